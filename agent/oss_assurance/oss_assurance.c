/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_assurance.h"
#include "oss_assurance_core.h"

#include "agent/log.h"
#include "agent/oss_telemetry.h"

#include <errno.h>

struct watch {
	ident_t deal;
	uint32_t rev; /* another revision is another promise: it begins calm */
	struct oss_assurance_state s;
	struct seconds seconds; /* over all revisions, each held to its own ceilings */
};

static struct {
	struct side *s;
	struct oss_assurance_params p;
	struct watch *watch; /* as the world's deals */
} as;

static struct watch *watch_of(const struct deal *d)
{
	struct watch *w = &as.watch[d - engine_world(as.s->engine)->deal];

	if (!ident_eq(w->deal, d->lineage)) /* of a deal that made room for this one */
		*w = (struct watch){ .deal = d->lineage };
	if (w->rev != d->applied.rev)
		w->s = (struct oss_assurance_state){ 0 };
	w->rev = d->applied.rev;
	return w;
}

/* --- the core's input ------------------------------------------------------------------------ */

static void view(uint8_t path, struct path_view *ret, mono_t *at)
{
	const struct side_paths *p = &as.s->paths;

	for (uint8_t i = 0; i < p->n; i++)
		if (p->view[i].path == path) {
			*ret = p->view[i];
			*at = p->at[i];
		}
}

static void meter(const struct deal *d, struct oss_assurance_meter *m)
{
	const struct side_flow *f = side_flow(as.s, d->applied.label, false);

	if (!f || !f->at.us)
		return;
	m->known = true;
	m->at = f->at;
	m->offered = f->offered;
	m->delivered = f->delivered;
	/* Who sends more than is paid for loses the rest in its own class, not in ours. */
	m->drops = f->offered.bps <= d->applied.g.bandwidth.bps ? f->drops : 0;
}

static bool away(const struct deal *d)
{
	const struct agreement *o = &d->origin;

	return d->cur.rev != o->rev &&
	       (d->applied.path != o->path || d->applied.g.bandwidth.bps != o->g.bandwidth.bps ||
		d->applied.g.latency.us != o->g.latency.us);
}

static void gather(const struct deal *d, const struct watch *w, struct oss_assurance_in *in)
{
	memset(in, 0, sizeof(*in));
	in->p = as.p;
	in->s = w->s;
	in->life = d->life;
	in->now = loop_now(as.s->loop);
	in->g = d->applied.g;
	in->contracted = d->applied.g.bandwidth;
	meter(d, &in->meter);
	view(d->applied.path, &in->view, &in->view_at);
	in->away = away(d);
	in->origin_g = d->origin.g;
	view(d->origin.path, &in->origin, &in->origin_at);
}

/* --- one agreement --------------------------------------------------------------------------- */

static void say(const struct deal *d, const struct oss_assurance_in *in,
		const struct oss_assurance_out *out)
{
	struct cap_oss_assurance cap = { as.s->engine };
	struct decision dec = { "oss_assurance_decide", &oss_assurance_in_fields,
				&oss_assurance_out_fields, in, out };
	struct ev_ref ref = {
		.deal = d->lineage, .about = d->lineage, .rev = d->applied.rev, .why = out->why
	};

	switch (out->event) {
	case LEV_METERED: (void)tool_metered_flag(&cap, &ref, &dec, NULL); break;
	case LEV_BREACH_PREDICTED: (void)tool_breach_predict(&cap, &ref, &dec, NULL); break;
	case LEV_BREACHED: (void)tool_breach_flag(&cap, &ref, &dec, NULL); break;
	case LEV_RECOVERED: (void)tool_recovery_flag(&cap, &ref, &dec, NULL); break;
	case LEV_COOLED: (void)tool_cooled_flag(&cap, &ref, &dec, NULL); break;
	default: break;
	}
}

static void look(const struct deal *d)
{
	struct watch *w = watch_of(d);
	struct oss_assurance_in in;
	struct oss_assurance_out out;

	gather(d, w, &in);
	oss_assurance_decide(&in, &out);
	w->s = out.s;
	seconds_add(&w->seconds, in.now.us / 1000000, oss_assurance_known(&in),
		    oss_assurance_kept(&out));
	if (out.event != LEV_MAX_)
		say(d, &in, &out);
}

bool oss_assurance_seconds(const ident_t *lineage, struct seconds *ret)
{
	const struct world *w = as.watch ? engine_world(as.s->engine) : NULL;
	const struct deal *d = w ? world_deal(w, lineage) : NULL;

	if (!d || d->life == LIFE_TERMINATED || !ident_eq(as.watch[d - w->deal].deal, d->lineage))
		return false;
	*ret = as.watch[d - w->deal].seconds;
	return true;
}

static void tick(void *arg)
{
	const struct world *w = engine_world(as.s->engine);

	(void)arg;
	for (uint32_t i = 0; i < w->n_deals; i++)
		if (w->deal[i].operator_side && w->deal[i].applied.rev &&
		    w->deal[i].life != LIFE_TERMINATED)
			look(&w->deal[i]);
	if (!loop_after(as.s->loop, (int64_t)as.s->cfg->daemon.sample_ms * 1000, tick, NULL))
		log_error("assurance stops: no memory for its timer");
}

int oss_assurance_start(struct side *s, struct err *e)
{
	const struct cfg_daemon *c = &s->cfg->daemon;

	free(as.watch);
	memset(&as, 0, sizeof(as));
	as.s = s;
	oss_assurance_defaults(&as.p);
	as.p.recover = (uint16_t)(c->hold_intervals < UINT16_MAX ? c->hold_intervals : UINT16_MAX);
	as.p.cool = (uint16_t)(c->cool_intervals < UINT16_MAX ? c->cool_intervals : UINT16_MAX);
	as.p.stale_us = (int64_t)c->sample_ms * 1000 * TELEMETRY_STALE;
	as.watch = calloc(engine_world(s->engine)->max_deals, sizeof(*as.watch));
	if (!as.watch)
		return err_set(e, -ENOMEM, "assurance");
	tick(NULL);
	return 0;
}
