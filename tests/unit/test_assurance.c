/* SPDX-License-Identifier: Apache-2.0 */
/* Assurance by table, and the whole loop closed over a model of two paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/state/seconds_core.h"
#include "agent/bss_negotiation/bss_negotiation_core.h"
#include "agent/ent_policy/ent_policy_core.h"
#include "agent/oss_assurance/oss_assurance_core.h"
#include "agent/state/forecast_core.h"

#define M 1000000ll

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static struct oss_assurance_in quiet(enum life life)
{
	struct oss_assurance_in in = { .life = life,
				       .now = { 10 * M },
				       .view_at = { 10 * M },
				       .origin_at = { 10 * M },
				       .contracted = { 20 * M } };

	oss_assurance_defaults(&in.p);
	in.g = in.origin_g = (struct grades){ { 20 * M }, { 10000 }, { 999900 } };
	in.meter.known = true;
	in.meter.at = in.now;
	in.meter.offered.bps = in.meter.delivered.bps = 20 * M;
	in.view = (struct path_view){ .path = 1,
				      .type = NET_DET,
				      .alive = true,
				      .base = { 5000 },
				      .delay = { 5000 },
				      .forecast = { 5000 },
				      .capacity = { 200 * M },
				      .load_forecast = { 50 * M } };
	in.origin = in.view;
	return in;
}

/* Runs n intervals; which interval spoke first, and what. */
static unsigned run(struct oss_assurance_in *in, unsigned n, struct oss_assurance_out *out)
{
	for (unsigned i = 1; i <= n; i++) {
		oss_assurance_decide(in, out);
		in->s = out->s;
		if (out->event != LEV_MAX_)
			return i;
	}
	return 0;
}

static void quiet_(struct oss_assurance_in *in)
{
	(void)in;
}
static void dead(struct oss_assurance_in *in)
{
	in->view.alive = false;
}
static void slow(struct oss_assurance_in *in)
{
	in->view.delay.us = 10001;
}
static void at_ceiling(struct oss_assurance_in *in)
{
	in->view.delay.us = 10000;
}
static void slowing(struct oss_assurance_in *in)
{
	in->view.forecast.us = 10001;
}
static void filling(struct oss_assurance_in *in)
{
	in->view.load_forecast.bps = 180 * M + 1;
}
static void half_full(struct oss_assurance_in *in)
{
	in->view.load_forecast.bps = 161 * M;
}
static void lossy(struct oss_assurance_in *in)
{
	in->view.loss_ppm = 10001;
}
static void starved(struct oss_assurance_in *in)
{
	in->meter.delivered.bps = 18 * M;
}
static void idle(struct oss_assurance_in *in)
{
	in->meter.offered.bps = in->meter.delivered.bps = 0;
}
static void greedy(struct oss_assurance_in *in)
{
	in->meter.offered.bps = 90 * M;
}
static void drops(struct oss_assurance_in *in)
{
	in->meter.drops = 1;
}
static void stale(struct oss_assurance_in *in)
{
	in->view.alive = false;
	in->view_at.us = in->now.us - 3 * M - 1;
}
static void old_meter(struct oss_assurance_in *in)
{
	starved(in);
	in->meter.at.us = 0;
}
static void no_meter(struct oss_assurance_in *in)
{
	in->meter.known = false;
}
static void away(struct oss_assurance_in *in)
{
	in->away = true;
}
static void away_dear(struct oss_assurance_in *in)
{
	in->away = true;
	in->origin.load_forecast.bps = 170 * M;
}
static void no_headroom(struct oss_assurance_in *in)
{
	in->view.delay.us = 9001;
}

static void table(void **state)
{
	static const struct {
		enum life life;
		void (*set)(struct oss_assurance_in *in);
		enum life_event want;
		unsigned after; /* intervals; 0 = silence for 300 */
	} t[] = {
		{ LIFE_PROVISIONED, quiet_, LEV_METERED, 1 },
		{ LIFE_PROVISIONED, no_meter, LEV_MAX_, 0 },
		{ LIFE_PROVISIONED, dead, LEV_MAX_, 0 },
		{ LIFE_RESTORED, quiet_, LEV_METERED, 1 },
		{ LIFE_ASSURED, quiet_, LEV_MAX_, 0 },
		{ LIFE_ASSURED, at_ceiling, LEV_MAX_, 0 },
		{ LIFE_ASSURED, idle, LEV_MAX_, 0 },
		{ LIFE_ASSURED, greedy, LEV_MAX_, 0 },
		{ LIFE_ASSURED, old_meter, LEV_MAX_, 0 },
		{ LIFE_ASSURED, stale, LEV_MAX_, 0 },
		{ LIFE_ASSURED, half_full, LEV_MAX_, 0 },
		{ LIFE_ASSURED, slowing, LEV_BREACH_PREDICTED, 4 },
		{ LIFE_ASSURED, filling, LEV_BREACH_PREDICTED, 4 },
		{ LIFE_ASSURED, dead, LEV_BREACH_PREDICTED, 4 },
		{ LIFE_ASSURED, slow, LEV_BREACH_PREDICTED, 4 },
		{ LIFE_ASSURED, away, LEV_RECOVERED, 100 },
		{ LIFE_ASSURED, away_dear, LEV_MAX_, 0 },
		{ LIFE_AT_RISK, slow, LEV_BREACHED, 5 },
		{ LIFE_AT_RISK, lossy, LEV_BREACHED, 5 },
		{ LIFE_AT_RISK, starved, LEV_BREACHED, 5 },
		{ LIFE_AT_RISK, drops, LEV_BREACHED, 5 },
		{ LIFE_AT_RISK, slowing, LEV_MAX_, 0 },
		{ LIFE_AT_RISK, quiet_, LEV_RECOVERED, 100 },
		{ LIFE_AT_RISK, away_dear, LEV_RECOVERED, 100 },
		{ LIFE_AT_RISK, no_headroom, LEV_MAX_, 0 },
		{ LIFE_AT_RISK, half_full, LEV_MAX_, 0 },
		{ LIFE_COOLING, quiet_, LEV_COOLED, 100 },
		{ LIFE_COOLING, filling, LEV_BREACH_PREDICTED, 4 },
		{ LIFE_RENEGOTIATING, dead, LEV_MAX_, 0 },
		{ LIFE_RENEGOTIATED, dead, LEV_MAX_, 0 },
		{ LIFE_TERMINATED, dead, LEV_MAX_, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct oss_assurance_in in = quiet(t[i].life);
		struct oss_assurance_out out;
		enum life to;
		unsigned n;

		t[i].set(&in);
		n = run(&in, 300, &out);
		if (out.event != t[i].want || n != t[i].after)
			fail_msg("case %zu: %s after %u: %s", i, life_event_name(out.event), n,
				 out.why.s);
		if (out.event != LEV_MAX_) /* it never says what the life cycle would refuse */
			assert_int_equal(life_next(t[i].life, out.event, &to), REFUSE_NONE);
	}
}

static void said_once(void **state)
{
	struct oss_assurance_in in = quiet(LIFE_AT_RISK);
	struct oss_assurance_out out;

	(void)state;
	slow(&in);
	assert_int_equal(run(&in, 300, &out), 5);
	assert_int_equal(out.event, LEV_BREACHED);
	assert_int_equal(out.cause, CAUSE_DELAY);
	assert_int_equal(run(&in, 300, &out), 0); /* not again while it lasts */
	in.view.delay.us = 5000;
	assert_int_equal(run(&in, 99, &out), 0);
	in.view.load_forecast.bps =
		170 * M; /* one interval without headroom starts the hold again */
	assert_int_equal(run(&in, 1, &out), 0);
	in.view.load_forecast.bps = 50 * M;
	assert_int_equal(run(&in, 300, &out), 100);
	assert_int_equal(out.event, LEV_RECOVERED);
	slow(&in);
	assert_int_equal(run(&in, 300, &out), 5); /* the next one is said */
}

/* --- the loop ------------------------------------------------------------------------------ */
struct sim {
	uint32_t seed;
	int64_t now;
	enum life life;
	struct path_view view[2];
	struct forecast_in load[2], delay[2];
	struct bss_terms live, origin;
	struct oss_assurance_state as;
	unsigned predicted, breached, up, back, applied, over, declined;
	int64_t first_predicted, first_over;
};

static int64_t tenant(int64_t t) /* 100 ms: quiet, ramp at 10 s, full 15..45 s, then gone */
{
	if (t < 100 || t >= 450)
		return 60 * M;
	return t < 150 ? 60 * M + (t - 100) * 27 * M / 10 : 195 * M;
}

static int64_t forecast(struct forecast_in *in, int64_t sample, bool upper)
{
	struct forecast_state s;
	struct forecast_value v;

	in->sample = sample;
	in->steps = 1;
	forecast_update(in, &s);
	in->s = s;
	forecast_predict(&in->p, &in->s, 15, &v);
	return upper ? v.upper : v.mean;
}

static void sense(struct sim *s)
{
	for (unsigned p = 0; p < 2; p++) {
		struct path_view *v = &s->view[p];
		int64_t load = p == 0 ? tenant(s->now) : 40 * M, delay = v->base.us;

		if (s->live.path == p + 1)
			load += 20 * M;
		load += (int64_t)(rnd(&s->seed) % 8000001) - 4 * M;
		if (load > (int64_t)v->capacity.bps) /* the queue fills */
			delay += 12000;
		delay += rnd(&s->seed) % 400;
		v->load.bps = load;
		v->load_forecast.bps = forecast(&s->load[p], load, true);
		v->delay.us = (uint32_t)delay;
		v->forecast.us = (uint32_t)forecast(&s->delay[p], delay, false);
	}
	if (s->view[s->live.path - 1].delay.us > s->live.g.latency.us) {
		s->over++;
		if (!s->first_over)
			s->first_over = s->now;
	}
}

static void step(struct sim *s, enum life_event ev)
{
	if (life_next(s->life, ev, &s->life) != REFUSE_NONE)
		fail_msg("%lld: %s in %s", (long long)s->now, life_event_name(ev),
			 life_name(s->life));
}

static void renegotiate(struct sim *s, enum bss_trigger trigger)
{
	struct bss_strategy_in in = { .trigger = trigger,
				      .life = s->life,
				      .live = s->live,
				      .origin = s->origin,
				      .n_paths = 2 };
	struct ent_policy_in pin = { .now = { s->now * 100 } };
	struct bss_strategy_out out;
	struct ent_policy_out pol;

	bss_defaults(&in.p);
	in.profile.strategy = STRATEGY_STEP_UP;
	in.profile.want = s->origin.g;
	in.profile.want.latency.us = 30000;
	in.profile.base[0].minor_h = 10;
	memcpy(in.path, s->view, sizeof(s->view));
	bss_strategy(&in, &out);
	if (!out.offer)
		return;
	step(s, out.event);
	pin.quote.reason = out.reason;
	pin.quote.valid_until.ms = INT64_MAX;
	pin.quote.n_items = out.n_items;
	memcpy(pin.quote.item, out.item, sizeof(out.item));
	pin.profile = in.profile;
	pin.profile.value.minor_h = 1000;
	pin.want = in.profile.want;
	pin.cost = (struct lineage_cost){ { 0 }, true, { 240 }, { 0 }, { 3600000 } };
	pin.origin_price = (price_t){ 240 };
	pin.wallet = (struct wallet_limits){ true,
					     { 9999 },
					     { 9999 },
					     { 9999 },
					     INT64_MAX,
					     "",
					     { { 20 * M }, { 30000 }, { 990000 } } };
	ent_policy_choose(&pin, NULL, &pol);
	if (pol.verdict != POLICY_ACCEPT) {
		s->declined++;
		step(s, LEV_DECLINED);
		return;
	}
	step(s, LEV_AMENDED);
	s->up += out.reason == QUOTE_STEP_UP;
	s->back += out.reason == QUOTE_WALK_BACK;
	s->live = (struct bss_terms){ out.item[pol.item - 1].g, out.item[pol.item - 1].scarcity,
				      out.item[pol.item - 1].margin, out.item[pol.item - 1].path,
				      out.item[pol.item - 1].type };
	step(s, out.reason == QUOTE_WALK_BACK ? LEV_APPLIED_ORIGIN : LEV_APPLIED);
}

static void assure(struct sim *s)
{
	struct oss_assurance_in in = quiet(s->life);
	struct oss_assurance_out out;

	in.now.us = in.view_at.us = in.origin_at.us = in.meter.at.us = s->now * 100000;
	in.s = s->as;
	in.g = s->live.g;
	in.view = s->view[s->live.path - 1];
	in.away = s->live.path != s->origin.path;
	in.origin_g = s->origin.g;
	in.origin = s->view[s->origin.path - 1];
	/* the promise of the origin may be held again if our own rate fits back in */
	in.origin.load_forecast.bps += in.away ? 20 * M : 0;
	oss_assurance_decide(&in, &out);
	s->as = out.s;
	if (out.event == LEV_MAX_)
		return;
	step(s, out.event);
	if (out.event == LEV_BREACH_PREDICTED) {
		s->predicted++;
		if (!s->first_predicted)
			s->first_predicted = s->now;
		renegotiate(s, TRIGGER_BREACH_PREDICTED);
	}
	if (out.event == LEV_BREACHED) {
		s->breached++;
		renegotiate(s, TRIGGER_BREACHED);
	}
	if (out.event == LEV_COOLED)
		renegotiate(s, TRIGGER_RECOVERED);
}

static void ramp_breach_and_back_without_flutter(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 50; seed++) {
		struct sim s = { .seed = seed, .life = LIFE_PROVISIONED };

		s.live = (struct bss_terms){
			{ { 20 * M }, { 10000 }, { 990000 } }, { 200 }, { 40 }, 1, NET_DET
		};
		s.origin = s.live;
		for (unsigned p = 0; p < 2; p++) {
			s.view[p] = (struct path_view){ .path = (uint8_t)(p + 1),
							.type = NET_DET,
							.alive = true,
							.spare = true,
							.base = { p ? 20000 : 5000 },
							.capacity = { p ? 300 * M : 200 * M } };
			forecast_defaults(&s.load[p].p, 2 * M);
			forecast_defaults(&s.delay[p].p, 200);
		}
		for (; s.now < 1200; s.now++) {
			sense(&s);
			assure(&s);
		}
		if (s.predicted != 1 || s.up != 1 || s.back != 1 || s.breached || s.declined ||
		    s.over || s.live.path != 1 || s.life != LIFE_ASSURED)
			fail_msg("seed %u: predicted %u up %u back %u breached %u over %u in %s",
				 seed, s.predicted, s.up, s.back, s.breached, s.over,
				 life_name(s.life));
		assert_true(s.first_predicted > 100 && s.first_predicted < 150);
	}
}

/* A second is as good as its worst window; what nobody saw is neither good nor bad. */
static void seconds_are_counted(void **state)
{
	static const struct {
		int64_t second;
		bool known, kept;
		uint32_t good, bad, unknown;
		int32_t ppm;
	} rows[] = {
		{ 10, true, true, 0, 0, 0, -1 },
		{ 10, true, true, 0, 0, 0, -1 },
		{ 11, true, true, 1, 0, 0, 1000000 }, /* 10 was good */
		{ 11, true, false, 1, 0, 0, 1000000 },
		{ 11, true, true, 1, 0, 0, 1000000 },
		{ 12, false, true, 1, 1, 0, 500000 }, /* one window of 11 was not */
		{ 12, false, false, 1, 1, 0, 500000 },
		{ 13, true, true, 1, 1, 1, 500000 },  /* 12 was not seen */
		{ 12, true, false, 1, 1, 1, 500000 }, /* the clock does not go back */
		{ 16, true, true, 2, 1, 3, 666666 },  /* 14 and 15 were left out */
		{ 17, true, true, 3, 1, 3, 750000 },
	};
	struct seconds s = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		seconds_add(&s, rows[i].second, rows[i].known, rows[i].kept);
		assert_int_equal(s.good, rows[i].good);
		assert_int_equal(s.bad, rows[i].bad);
		assert_int_equal(s.unknown, rows[i].unknown);
		assert_int_equal(seconds_ppm(&s), rows[i].ppm);
	}
	s = (struct seconds){ .good = UINT32_MAX, .begun = true, .seen = true, .unknown = 5 };
	seconds_add(&s, INT64_MAX, true, true);
	assert_int_equal(s.good, UINT32_MAX);
	assert_int_equal(s.unknown, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(said_once),
		cmocka_unit_test(ramp_breach_and_back_without_flutter),
		cmocka_unit_test(seconds_are_counted),
	};

	return cmocka_run_group_tests_name("assurance", tests, NULL, NULL);
}
