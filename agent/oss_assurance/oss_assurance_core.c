/* SPDX-License-Identifier: Apache-2.0 */
/* Assurance, as the draft says it: a per-agreement state machine over telemetry and forecast,
 * emitting predicted-breach and recovery events, protected against oscillation.
 *
 * As we do it: a promise out of contract for `breach` windows is a breach; one that will be, for
 * `predict` windows, is a predicted one. Both are short. Recovery asks for more than the ceiling
 * (hysteresis) and for `recover` windows (hold). Away from its origin an agreement recovers when
 * the origin's path could take it back. */
#include "oss_assurance_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

static uint64_t part(uint64_t v, unsigned permille)
{
	return v / 1000 * permille + v % 1000 * permille / 1000;
}

static uint16_t more(uint16_t n)
{
	return n < UINT16_MAX ? (uint16_t)(n + 1) : n;
}

static bool stale(const struct oss_assurance_in *in, mono_t at)
{
	return in->now.us - at.us > in->p.stale_us;
}

/* Out of contract now. */
static enum assurance_cause broken(const struct oss_assurance_in *in)
{
	const struct oss_assurance_meter *m = &in->meter;
	const struct path_view *v = &in->view;
	uint64_t due = m->offered.bps < in->contracted.bps ? m->offered.bps : in->contracted.bps;

	if (!v->alive)
		return CAUSE_PATH_DEAD;
	if (in->g.latency.us && v->delay.us > in->g.latency.us)
		return CAUSE_DELAY;
	if (v->loss_ppm > in->p.loss_max_ppm)
		return CAUSE_LOSS;
	if (m->known && !stale(in, m->at) &&
	    (m->delivered.bps < part(due, in->p.rate_keep) || m->drops))
		return CAUSE_RATE;
	return CAUSE_NONE;
}

/* In contract, but not for long. */
static enum assurance_cause risky(const struct oss_assurance_in *in)
{
	const struct path_view *v = &in->view;

	if (in->g.latency.us && v->forecast.us > in->g.latency.us)
		return CAUSE_DELAY_FORECAST;
	if (v->load_forecast.bps > part(v->capacity.bps, in->p.load_risk))
		return CAUSE_LOAD_FORECAST;
	return CAUSE_NONE;
}

static bool clear(const struct oss_assurance_in *in, const struct path_view *v,
		  const struct grades *g)
{
	uint64_t ceiling = part(g->latency.us, in->p.delay_clear);

	return v->alive && v->loss_ppm <= in->p.loss_max_ppm &&
	       (g->latency.us == 0 || (v->delay.us <= ceiling && v->forecast.us <= ceiling)) &&
	       v->load_forecast.bps <= part(v->capacity.bps, in->p.load_clear);
}

/* At risk, the agreement recovers where it is, or where it came from. Otherwise only one that is
 * away from its origin has something to recover: its origin. */
static bool recovering(const struct oss_assurance_in *in)
{
	if (in->away && !stale(in, in->origin_at) && clear(in, &in->origin, &in->origin_g))
		return true;
	return (!in->away || in->life == LIFE_AT_RISK) && clear(in, &in->view, &in->g);
}

static void count(const struct oss_assurance_in *in, struct oss_assurance_out *out,
		  enum assurance_cause now, enum assurance_cause soon)
{
	bool at_risk = now != CAUSE_NONE || soon != CAUSE_NONE;
	bool ok = !at_risk && recovering(in);

	out->s = in->s;
	out->s.breach = now != CAUSE_NONE ? more(in->s.breach) : 0;
	out->s.risk = at_risk ? more(in->s.risk) : 0;
	out->s.clear = ok ? more(in->s.clear) : 0;
	out->s.cool = in->life == LIFE_COOLING ? more(in->s.cool) : 0;
	out->s.flagged = in->s.flagged && now != CAUSE_NONE;
}

static void say(struct oss_assurance_out *out, enum life_event ev, const char *rule)
{
	out->event = ev;
	why_rule(&out->why, rule);
	if (ev == LEV_BREACHED)
		out->s.flagged = true;
	/* Whatever is said starts the hold on the way down again. */
	out->s.clear = 0;
	if (ev == LEV_COOLED)
		out->s.cool = 0;
}

static bool worsening(const struct oss_assurance_in *in, struct oss_assurance_out *out)
{
	if (out->s.breach && out->s.breach >= in->p.breach && !out->s.flagged) {
		say(out, LEV_BREACHED, "out of contract");
		return true;
	}
	if (in->life != LIFE_AT_RISK && out->s.risk && out->s.risk >= in->p.predict) {
		say(out, LEV_BREACH_PREDICTED, "a breach is coming");
		return true;
	}
	return false;
}

static void judge(const struct oss_assurance_in *in, struct oss_assurance_out *out)
{
	why_rule(&out->why, "nothing new");
	switch (in->life) {
	case LIFE_PROVISIONED:
		if (in->view.alive && in->meter.known && !stale(in, in->meter.at))
			say(out, LEV_METERED, "first measurement");
		break;
	case LIFE_RESTORED:
		if (!worsening(in, out) && in->view.alive && in->meter.known &&
		    !stale(in, in->meter.at))
			say(out, LEV_METERED, "first measurement");
		break;
	case LIFE_ASSURED:
		if (!worsening(in, out) && in->away && out->s.clear >= in->p.recover)
			say(out, LEV_RECOVERED, "the origin is clear");
		break;
	case LIFE_AT_RISK:
		if (!worsening(in, out) && out->s.clear >= in->p.recover)
			say(out, LEV_RECOVERED, "clear with headroom");
		break;
	case LIFE_COOLING:
		if (!worsening(in, out) && out->s.cool >= in->p.cool)
			say(out, LEV_COOLED, "cooling has ended");
		break;
	case LIFE_DECLARED:
	case LIFE_NEGOTIATED:
	case LIFE_AGREED:
	case LIFE_RENEGOTIATING:
	case LIFE_RENEGOTIATED:
	case LIFE_TERMINATED:
	case LIFE_MAX_: why_rule(&out->why, "not ours to judge in this state"); break;
	}
}

bool oss_assurance_known(const struct oss_assurance_in *in)
{
	return !stale(in, in->view_at);
}

bool oss_assurance_kept(const struct oss_assurance_out *out)
{
	return out->cause == CAUSE_NONE || out->cause == CAUSE_DELAY_FORECAST ||
	       out->cause == CAUSE_LOAD_FORECAST;
}

void oss_assurance_decide(const struct oss_assurance_in *in, struct oss_assurance_out *out)
{
	enum assurance_cause now, soon;

	memset(out, 0, sizeof(*out));
	out->event = LEV_MAX_;
	out->s = in->s;
	if (stale(in, in->view_at)) {
		why_rule(&out->why, "telemetry is stale");
		return;
	}
	now = broken(in);
	soon = risky(in);
	out->cause = now != CAUSE_NONE ? now : soon;
	count(in, out, now, soon);
	judge(in, out);
	why_num(&out->why, "cause", out->cause);
	why_num(&out->why, "delay", in->view.delay.us);
	why_num(&out->why, "soon", in->view.forecast.us);
	why_num(&out->why, "ceiling", in->g.latency.us);
	why_num(&out->why, "load", (int64_t)in->view.load_forecast.bps);
	why_num(&out->why, "clear", out->s.clear);
}

void oss_assurance_defaults(struct oss_assurance_params *p)
{
	*p = (struct oss_assurance_params){
		.predict = 4,
		.breach = 5,
		.recover = 100,
		.cool = 100,
		.load_risk = 900,
		.load_clear = 800,
		.delay_clear = 900,
		.rate_keep = 950,
		.loss_max_ppm = 10000,
		.stale_us = 3000000,
	};
}
