/* SPDX-License-Identifier: Apache-2.0 */
/* Reasons, forecasts and scarcity bands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/state/forecast_core.h"
#include "agent/state/scarcity_core.h"
#include "treaty/why.h"

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static void reasons(void **state)
{
	why_t w, twin;

	(void)state;
	memset(&w, 0xff, sizeof(w));
	why_rule(&w, "rule");
	why_num(&w, "a", INT64_MIN);
	why_num(&w, "b", 0);
	why_text(&w, "c", "x");
	assert_string_equal(w.s, "rule a=-9223372036854775808 b=0 c=x");
	memset(&twin, 0, sizeof(twin));
	memcpy(twin.s, w.s, strlen(w.s));
	assert_memory_equal(&w, &twin, sizeof(w)); /* zero padded */
	for (int i = 0; i < 100; i++)
		why_num(&w, "key", INT64_MAX);
	assert_int_equal(strlen(w.s), WHY_MAX - 1);
}

/* Feeds a series and returns the last prediction. */
static struct forecast_value feed(struct forecast_in *in, int64_t sample, uint16_t horizon)
{
	struct forecast_value v;
	struct forecast_state s;

	in->sample = sample;
	in->steps = in->steps ? in->steps : 1;
	forecast_update(in, &s);
	in->s = s;
	in->steps = 1;
	forecast_predict(&in->p, &in->s, horizon, &v);
	return v;
}

static void steady_noise_never_triggers(void **state)
{
	const int64_t level = 100000000, limit = 180000000; /* of 200 Mbit/s, risk at 90 % */

	(void)state;
	for (uint32_t seed = 1; seed <= 20; seed++) {
		struct forecast_in in = { 0 };
		uint32_t s = seed;
		int64_t top = 0;

		forecast_defaults(&in.p, 2000000);
		for (int i = 0; i < 5000; i++) {
			/* +-20 % of uniform noise */
			int64_t noise = (int64_t)(rnd(&s) % 40000001) - 20000000;
			struct forecast_value v = feed(&in, level + noise, 20);

			if (v.known && v.upper > top)
				top = v.upper;
		}
		assert_true(top > level && top < limit);
	}
}

static void ramp_is_seen_ahead(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 20; seed++) {
		struct forecast_in in = { 0 };
		const int64_t limit = 180000000;
		int predicted = -1, broken = -1;
		uint32_t s = seed;

		forecast_defaults(&in.p, 2000000);
		for (int i = 0; i < 200; i++) {
			int64_t x = i < 100 ? 60000000 : 60000000 + (int64_t)(i - 100) * 2000000;
			int64_t noise = (int64_t)(rnd(&s) % 4000001) - 2000000;
			struct forecast_value v = feed(&in, x + noise, 20);

			if (i < 100)
				assert_true(v.upper < limit);
			if (predicted < 0 && v.known && v.upper > limit)
				predicted = i;
			if (broken < 0 && x > limit)
				broken = i;
		}
		assert_true(predicted > 100 && broken > 0);
		assert_true(broken - predicted >= 10); /* a second ahead at 100 ms */
	}
}

static void start_gap_outlier_shift(void **state)
{
	struct forecast_in in = { 0 };
	struct forecast_value v;

	(void)state;
	forecast_defaults(&in.p, 100);
	forecast_predict(&in.p, &in.s, 10, &v);
	assert_false(v.known);
	for (int i = 1; i < in.p.warm; i++)
		assert_false(feed(&in, 10000, 10).known);
	v = feed(&in, 10000, 10);
	assert_true(v.known);
	assert_int_equal(v.mean, 10000);
	v = feed(&in, 900000, 10); /* one wild sample */
	assert_true(v.mean < 13000);
	for (int i = 0; i < 30; i++)
		v = feed(&in, 10000, 10);
	assert_true(v.mean > 9800 && v.mean < 10200);
	for (int i = 0; i < in.p.shift; i++)
		v = feed(&in, 50000, 10); /* a real step is believed after `shift` samples */
	assert_int_equal(v.mean, 50000);
	in.steps = (uint16_t)(in.p.gap_max + 2);
	assert_false(feed(&in, 7, 10).known);
	in.s = (struct forecast_state){ 0 };
	v = feed(&in, INT64_MAX, UINT16_MAX); /* absurd input stays in range */
	v = feed(&in, -5, UINT16_MAX);
	assert_true(v.mean >= 0 && v.upper >= v.mean);
}

/* 42 Mbit/s, then 105: the window in which it happens sees 70. No ramp follows. */
static void a_step_is_no_slope(void **state)
{
	struct forecast_in in = { 0 };
	struct forecast_value v = { 0 };

	(void)state;
	forecast_defaults(&in.p, 2000000);
	for (int i = 0; i < 50; i++)
		v = feed(&in, 42000000, 20);
	v = feed(&in, 70000000, 20);
	for (int i = 0; i < 50; i++) {
		assert_true(v.upper < 180000000);
		v = feed(&in, 105000000, 20);
	}
	assert_true(v.mean > 100000000 && v.mean < 110000000);
}

static const struct path_view quiet = {
	.path = 1,
	.type = NET_DET,
	.alive = true,
	.spare = true,
	.base = { 5000 },
	.delay = { 5100 },
	.forecast = { 5200 },
	.capacity = { 200000000 },
};

static void scarcity_table(void **state)
{
	static const struct {
		const char *what;
		uint64_t reserved, load;
		uint32_t forecast, loss;
		bool alive, spare;
		uint8_t prev, bw, lat, av;
	} t[] = {
		{ "quiet", 0, 0, 5200, 0, true, true, 0, 0, 0, 0 },
		{ "shortest surges first", 90000000, 0, 5200, 0, true, true, 0, 0, 1, 0 },
		{ "reserved modest", 120000000, 0, 5200, 0, true, true, 0, 1, 1, 0 },
		{ "forecast load steep", 0, 160000000, 5200, 0, true, true, 0, 2, 2, 0 },
		{ "exhausted", 190000000, 0, 5200, 0, true, true, 0, 3, 3, 0 },
		{ "left late", 112000000, 0, 5200, 0, true, true, 1, 1, 1, 0 },
		{ "not entered early", 112000000, 0, 5200, 0, true, true, 0, 0, 1, 0 },
		{ "delay modest", 0, 0, 6500, 0, true, true, 0, 0, 1, 0 },
		{ "delay steep", 0, 0, 10000, 0, true, true, 0, 0, 2, 0 },
		{ "loss", 0, 0, 5200, 10000, true, true, 0, 0, 0, 2 },
		{ "no spare", 0, 0, 5200, 0, true, false, 0, 0, 0, 2 },
		{ "dead", 0, 0, 5200, 0, false, true, 0, 3, 3, 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct scarcity_in in = { .n_paths = 2 };
		struct scarcity_out out;

		scarcity_defaults(&in.p);
		in.path[0] = quiet;
		in.path[0].reserved.bps = t[i].reserved;
		in.path[0].load_forecast.bps = t[i].load;
		in.path[0].forecast.us = t[i].forecast;
		in.path[0].loss_ppm = t[i].loss;
		in.path[0].alive = t[i].alive;
		in.path[0].spare = t[i].spare;
		in.path[0].band[AXIS_BANDWIDTH] = in.path[0].band[AXIS_LATENCY] = t[i].prev;
		in.path[1] = quiet;
		in.path[1].path = 2;
		in.path[1].base.us = in.path[1].delay.us = in.path[1].forecast.us = 20000;
		in.path[1].reserved.bps = 90000000; /* the longer path: no latency surge by load */
		scarcity_decide(&in, &out);
		if (out.path[0].band[0] != t[i].bw || out.path[0].band[1] != t[i].lat ||
		    out.path[0].band[2] != t[i].av)
			fail_msg("%s: %d %d %d", t[i].what, out.path[0].band[0],
				 out.path[0].band[1], out.path[0].band[2]);
		assert_int_equal(out.path[1].band[AXIS_LATENCY],
				 t[i].alive ? BAND_PLENTY : BAND_MODEST);
		assert_int_equal(out.path[0].surge_pct[0],
				 scarcity_surge(&in.p, AXIS_BANDWIDTH, (enum band)t[i].bw));
	}
}

static void scarcity_ignores_order(void **state)
{
	struct scarcity_in a = { .n_paths = 3 }, b;
	struct scarcity_out x, y;

	(void)state;
	scarcity_defaults(&a.p);
	for (unsigned i = 0; i < 3; i++) {
		a.path[i] = quiet;
		a.path[i].path = (uint8_t)(i + 1);
		a.path[i].base.us = 5000 * (i + 1);
		a.path[i].reserved.bps = 70000000 * (i + 1);
	}
	b = a;
	b.path[0] = a.path[2];
	b.path[2] = a.path[0];
	scarcity_decide(&a, &x);
	scarcity_decide(&b, &y);
	assert_memory_equal(&x.path[0], &y.path[2], sizeof(x.path[0]));
	assert_memory_equal(&x.path[1], &y.path[1], sizeof(x.path[0]));
	assert_memory_equal(&x.path[2], &y.path[0], sizeof(x.path[0]));
	assert_string_equal(x.why.s, y.why.s);
	assert_int_equal(scarcity_surge(&a.p, AXIS_MAX_, BAND_STEEP), 0);
}

/* A load that swings around a threshold changes band once, not with every sample. */
static void scarcity_does_not_flutter(void **state)
{
	struct scarcity_in in = { .n_paths = 1 };
	struct scarcity_out out;
	unsigned changes = 0;
	uint32_t s = 7;

	(void)state;
	scarcity_defaults(&in.p);
	in.path[0] = quiet;
	for (int i = 0; i < 1000; i++) {
		in.path[0].load_forecast.bps = 118000000 + rnd(&s) % 4000000;
		scarcity_decide(&in, &out);
		changes += out.path[0].band[0] != in.path[0].band[0];
		in.path[0].band[0] = (enum band)out.path[0].band[0];
	}
	assert_int_equal(changes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons),
		cmocka_unit_test(steady_noise_never_triggers),
		cmocka_unit_test(ramp_is_seen_ahead),
		cmocka_unit_test(start_gap_outlier_shift),
		cmocka_unit_test(a_step_is_no_slope),
		cmocka_unit_test(scarcity_table),
		cmocka_unit_test(scarcity_ignores_order),
		cmocka_unit_test(scarcity_does_not_flutter),
	};

	return cmocka_run_group_tests_name("forecast and scarcity", tests, NULL, NULL);
}
