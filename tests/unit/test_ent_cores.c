/* SPDX-License-Identifier: Apache-2.0 */
/* The enterprise decides: what to ask for, and who gives way on its own spur. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/ent_policy/ent_edge_core.h"
#include "agent/ent_policy/ent_spur_core.h"
#include "agent/ent_requirement/ent_requirement_core.h"

#define M 1000000ull

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static struct ent_requirement_in class_in(void)
{
	struct ent_requirement_in in = { 0 };

	ent_requirement_defaults(&in.p);
	in.profile.detect = true;
	in.profile.want = (struct grades){ { 20 * M }, { 30000 }, { 999900 } };
	return in;
}

/* Feeds `n` windows; the first action other than NOTHING, or NOTHING. */
static struct ent_requirement_out windows(struct ent_requirement_in *in, uint64_t bps, unsigned n)
{
	struct ent_requirement_out out = { 0 };

	for (unsigned i = 0; i < n && out.action == REQUIRE_NOTHING; i++) {
		in->observed.bps = bps;
		ent_requirement_decide(in, &out);
		in->s = out.s;
	}
	return out;
}

static void requirement_table(void **state)
{
	static const struct {
		const char *what;
		bool live, detected, busy, detect;
		uint64_t contracted, seen;
		unsigned n;
		enum requirement_action want;
		uint64_t asks;
	} t[] = {
		{ "no demand", false, false, false, true, 0, 400000, 1000, REQUIRE_NOTHING, 0 },
		{ "too young", false, false, false, true, 0, 5 * M, 4, REQUIRE_NOTHING, 0 },
		{ "detected: default grade", false, false, false, true, 0, 5 * M, 5,
		  REQUIRE_DECLARE, 20 * M },
		{ "detected: more than default", false, false, false, true, 0, 40 * M + 1, 5,
		  REQUIRE_DECLARE, 45 * M },
		{ "not watched", false, false, false, false, 0, 40 * M, 1000, REQUIRE_NOTHING, 0 },
		{ "busy", false, false, true, true, 0, 40 * M, 1000, REQUIRE_NOTHING, 0 },
		{ "fits", true, true, false, true, 20 * M, 20 * M, 1000, REQUIRE_NOTHING, 0 },
		{ "raise", true, true, false, true, 20 * M, 21 * M, 5, REQUIRE_CHANGE, 24 * M },
		{ "raise is not at once", true, true, false, true, 20 * M, 60 * M, 4,
		  REQUIRE_NOTHING, 0 },
		{ "lower", true, true, false, true, 60 * M, 30 * M, 50, REQUIRE_CHANGE, 33 * M },
		{ "lower is slow", true, true, false, true, 60 * M, 30 * M, 49, REQUIRE_NOTHING,
		  0 },
		{ "never below default", true, false, false, true, 20 * M, 1 * M, 1000,
		  REQUIRE_NOTHING, 0 },
		{ "gone", true, true, false, true, 20 * M, 0, 100, REQUIRE_WITHDRAW, 0 },
		{ "declared stays", true, false, false, true, 20 * M, 0, 1000, REQUIRE_NOTHING, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct ent_requirement_in in = class_in();
		struct ent_requirement_out out;

		in.live = t[i].live;
		in.detected = t[i].detected;
		in.busy = t[i].busy;
		in.profile.detect = t[i].detect;
		in.contracted.bps = t[i].contracted;
		out = windows(&in, t[i].seen, t[i].n);
		if (out.action != t[i].want || out.want.bandwidth.bps != t[i].asks)
			fail_msg("%s: action %d asks %llu: %s", t[i].what, out.action,
				 (unsigned long long)out.want.bandwidth.bps, out.why.s);
	}
}

static void requirement_needs_a_run(void **state)
{
	struct ent_requirement_in in = class_in();

	(void)state;
	for (int i = 0; i < 100; i++) { /* four windows up, one down, for ever */
		assert_int_equal(windows(&in, 9 * M, 4).action, REQUIRE_NOTHING);
		assert_int_equal(windows(&in, 0, 1).action, REQUIRE_NOTHING);
	}
	in.p.most.bps = 30 * M;
	assert_int_equal(windows(&in, 90 * M, 5).want.bandwidth.bps, 30 * M);
	assert_int_equal(windows(&in, 90 * M, 5).want.latency.us, 30000);
}

static struct ent_spur_in spur_in(void)
{
	struct ent_spur_in in = {
		.capacity = { 200 * M }, .usable = 980, .restore = 950, .hold = 3, .n_flows = 5,
		.flow = {
			{ 101, 1, 1, false, { 20 * M }, { 10 * M }, { 20 * M }, { 20 * M } },
			{ 102, 2, 0, false, { 2 * M }, { 2 * M }, { 2 * M }, { 2 * M } },
			{ 103, 3, 2, false, { 50 * M }, { 25 * M }, { 50 * M }, { 50 * M } },
			{ 104, 4, 3, true, { 80 * M }, { 8 * M }, { 80 * M }, { 80 * M } },
			{ 105, 5, 4, true, { 10 * M }, { 1 * M }, { 10 * M }, { 10 * M } },
		},
	};

	return in;
}

static void spur_story(void **state)
{
	struct ent_spur_in in = spur_in();
	struct ent_spur_out out;

	(void)state;
	ent_spur_rebalance(&in, &out);
	assert_false(out.changed);          /* 162 of 196 */
	in.flow[0].contracted.bps = 60 * M; /* 202: bulk, the least important donor, gives way */
	ent_spur_rebalance(&in, &out);
	assert_true(out.changed);
	assert_int_equal(out.flow[0].rate.bps, 60 * M);
	assert_int_equal(out.flow[4].rate.bps, 1 * M);
	assert_int_equal(out.flow[3].rate.bps, 80 * M);
	assert_false(out.flow[3].changed);
	for (unsigned i = 0; i < 5; i++)
		in.flow[i].rate = out.flow[i].rate;
	in.flow[0].contracted.bps = 47 * M; /* 189 of 190: room, but bulk waits for it to last */
	for (unsigned i = 0; i < 3; i++) {
		ent_spur_rebalance(&in, &out);
		assert_int_equal(out.flow[4].rate.bps, i < 2 ? 1 * M : 10 * M);
		assert_int_equal(out.calm, i < 2 ? i + 1 : 0);
		in.calm = out.calm;
	}
	in.flow[0].contracted.bps = 48 * M; /* 190.. fits below usable, not below restore + 1 */
	in.flow[4].rate.bps = 1 * M;
	in.flow[3].contracted.bps = in.flow[3].rate.bps = 81 * M;
	in.calm = 100;
	ent_spur_rebalance(&in, &out);
	assert_int_equal(out.flow[4].rate.bps, 1 * M);
	assert_int_equal(out.calm, 0);
	in.capacity.bps = 40 * M; /* the floors come to 46 */
	ent_spur_rebalance(&in, &out);
	assert_int_equal(out.refusal, REFUSE_NO_CAPACITY);
	assert_false(out.changed);
}

static void spur_properties(void **state)
{
	uint32_t s = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct ent_spur_in in = { .usable = 980, .restore = 900, .hold = 2 };
		struct ent_spur_out out, twin;
		uint64_t floors = 0, sum = 0;
		unsigned n = 1 + rnd(&s) % SPUR_SHARES_MAX;

		in.capacity.bps = rnd(&s) % 300 * M;
		in.calm = (uint16_t)(rnd(&s) % 4);
		in.n_flows = (uint8_t)n;
		for (unsigned i = 0; i < n; i++) {
			struct spur_flow *f = &in.flow[i];

			f->label = i + 1;
			f->priority = (uint8_t)(rnd(&s) % 4);
			f->donor = rnd(&s) % 2;
			f->contracted.bps = (1 + rnd(&s) % 80) * M;
			f->floor.bps = rnd(&s) % (f->contracted.bps + 1);
			f->rate.bps = rnd(&s) % 3 ? f->floor.bps : 0;
			floors += f->floor.bps;
		}
		ent_spur_rebalance(&in, &out);
		for (unsigned i = 0; i < n; i++) {
			sum += out.flow[i].rate.bps;
			assert_true(out.flow[i].rate.bps <= in.flow[i].contracted.bps);
			if (out.refusal == REFUSE_NONE)
				assert_true(out.flow[i].rate.bps >= in.flow[i].floor.bps);
		}
		if (out.refusal == REFUSE_NONE)
			assert_true(sum <= in.capacity.bps / 1000 * 980);
		else
			assert_true(floors > in.capacity.bps / 1000 * 980 && !out.changed);
		/* A second look at the outcome changes nothing but what a restore may bring back.
		 */
		for (unsigned i = 0; i < n; i++)
			in.flow[i].rate = out.flow[i].rate;
		in.calm = 0;
		ent_spur_rebalance(&in, &twin);
		if (out.refusal == REFUSE_NONE)
			assert_false(twin.changed);
	}
}

static struct ent_edge_in edge_in(enum order_action action)
{
	struct ent_edge_in in = {
		.node = { "edge" },
		.lan = { "lan0" },
		.access = { "acc0" },
		.path = 1,
		.minor = 0x101,
		.old_minor = 0x100,
		.dscp = 255,
		.police_pct = 105,
		.burst_ms = 250,
		.drain_ms = 500,
		.n_rules = 2,
		.rule = { { .id = 1, .class_id = 1 }, { .id = 2, .class_id = 1 } },
	};

	in.order.action = action;
	in.order.label = 0x2001;
	in.order.old_label = 0x2000;
	in.order.g.bandwidth.bps = 20 * M;
	in.order.old_g.bandwidth.bps = 10 * M;
	return in;
}

/* Which kinds, in order: C class set, c class del, L label set, l label del, S steer, R rule, W
 * wait */
static void edge_order(void **state)
{
	static const struct {
		enum order_action action;
		uint64_t old;
		const char *kinds;
	} t[] = {
		{ ORDER_ADD, 0, "CLSRR" },
		{ ORDER_MODIFY, 10 * M, "CL" },
		{ ORDER_MODIFY, 30 * M, "LC" },
		{ ORDER_REROUTE, 20 * M, "CL" },
		{ ORDER_MIGRATE, 20 * M, "CLSRRWlc" },
		{ ORDER_DELETE, 20 * M, "RRWlc" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct ent_edge_in in = edge_in(t[i].action);
		struct ent_edge_out out;
		char kinds[STEPS_MAX + 1] = "";

		in.order.old_g.bandwidth.bps = t[i].old;
		ent_edge_steps(&in, &out);
		assert_int_equal(out.refusal, REFUSE_NONE);
		for (unsigned k = 0; k < out.plan.n_steps; k++) {
			const struct plan_step *s = &out.plan.step[k];

			kinds[k] = "?LlCcRrSPW"[s->step.kind];
			assert_int_equal(s->no, k + 1);
			assert_string_equal(s->node.s, "edge");
			if (s->step.kind == STEP_RULE_SET)
				assert_int_equal(s->step.rule.label,
						 t[i].action == ORDER_DELETE ? 0 : 0x2001);
			if (s->step.kind == STEP_LABEL_DEL)
				assert_int_equal(s->step.label,
						 t[i].action == ORDER_MIGRATE ? 0x2000 : 0x2001);
			if (s->step.kind == STEP_LABEL_SET)
				assert_int_equal(s->step.rate.bps, 21 * M);
		}
		assert_string_equal(kinds, t[i].kinds);
	}
}

static void edge_bad(void **state)
{
	struct ent_edge_in in = edge_in(ORDER_ADD);
	struct ent_edge_out out;

	(void)state;
	in.order.label = LABEL_MAX + 1;
	ent_edge_steps(&in, &out);
	assert_int_equal(out.refusal, REFUSE_ORDER_INVALID);
	assert_int_equal(out.plan.n_steps, 0);
	in = edge_in(ORDER_MIGRATE);
	in.order.old_label = in.order.label;
	ent_edge_steps(&in, &out);
	assert_int_equal(out.refusal, REFUSE_ORDER_INVALID);
	in = edge_in((enum order_action)0);
	ent_edge_steps(&in, &out);
	assert_int_equal(out.refusal, REFUSE_ORDER_INVALID);
	in = edge_in(ORDER_MODIFY); /* the spur's rate, not the contract's, shapes the class */
	in.local.bps = 3 * M;
	in.ceil.bps = 40 * M;
	ent_edge_steps(&in, &out);
	assert_int_equal(out.plan.step[0].step.rate.bps, 3 * M);
	assert_int_equal(out.plan.step[0].step.ceil.bps, 40 * M);
	assert_int_equal(out.plan.step[1].step.rate.bps, 21 * M);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requirement_table), cmocka_unit_test(requirement_needs_a_run),
		cmocka_unit_test(spur_story),        cmocka_unit_test(spur_properties),
		cmocka_unit_test(edge_order),        cmocka_unit_test(edge_bad),
	};

	return cmocka_run_group_tests_name("requirement, spur, edge", tests, NULL, NULL);
}
