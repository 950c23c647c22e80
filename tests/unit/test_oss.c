/* SPDX-License-Identifier: Apache-2.0 */
/* Orders through plans to nodes and back: every step in order at its node, every refusal and every
 * crash at every place. */
#include "oss_lab.h"

#include "agent/redecide.h"

static struct seen before[LAB_LOG];
static uint32_t n_before;

static void remember(void)
{
	memcpy(before, lab.held, sizeof(before));
	n_before = lab.n_held;
}

/* The nodes hold what they held then: same objects with the same numbers. */
static void assert_as_before(void)
{
	assert_int_equal(lab.n_held, n_before);
	for (uint32_t i = 0; i < n_before; i++) {
		const struct seen *h = lab_held(before[i].node.s, &before[i].step);

		assert_non_null(h);
		assert_memory_equal(&h->step, &before[i].step, sizeof(h->step));
	}
}

static int seen_at(const char *node, enum step_kind k, int way, int path)
{
	for (uint32_t i = 0; i < lab.n_seen; i++) {
		const struct step *s = &lab.seen[i].step;

		if (!strcmp(lab.seen[i].node.s, node) && s->kind == k &&
		    (way < 0 || s->dir == way) && (path < 0 || s->path == path))
			return (int)i;
	}
	return -1;
}

static void provision(void)
{
	lab_run(500);
	lab_agree(&lab_add);
	lab_until_life(LIFE_ASSURED, 5000);
}

/* Nine objects: two classes, a line and a steer at both ends, and the mirrored rule. */
static void an_order_becomes_steps(void **state)
{
	const struct step rule = { .kind = STEP_RULE_SET, .rule.id = 4 };
	const struct step line = { .kind = STEP_LABEL_SET, .label = LABEL };
	const struct seen *r, *l;

	(void)state;
	provision();
	assert_int_equal(lab.n_held, 9);
	assert_int_equal(lab.n_seen, 10);
	r = lab_held("popB", &rule);
	l = lab_held("popA", &line);
	assert_non_null(r);
	assert_non_null(l);
	assert_int_equal(r->step.rule.sport_lo, 7001);
	assert_int_equal(r->step.rule.sport_hi, 7001);
	assert_int_equal(r->step.rule.dport_hi, 0);
	assert_int_equal(r->step.rule.dir, DIR_DOWN);
	assert_int_equal(r->step.rule.label, LABEL);
	assert_int_equal(l->step.minor, 0x105);
	assert_int_equal(l->step.rate.bps, 21000000);
	assert_int_equal(l->step.valid_until.ms, lab_deal()->cur.end.ms);
	/* Nothing carries the label before every node knows it. */
	assert_true(seen_at("popB", STEP_LABEL_SET, -1, -1) <
		    seen_at("popA", STEP_LABEL_SET, -1, -1));
	assert_true(seen_at("popA", STEP_PROBE, -1, 1) < seen_at("popB", STEP_RULE_SET, -1, -1));
	assert_int_equal(lab_deal()->applied.rev, 1);
	assert_int_equal(side_path(&lab.side, 1)->reserved.bps, 20000000);
}

static void each_refused_step_is_undone(void **state)
{
	for (unsigned i = 0; i < LAB_NODES - 1; i++)
		for (uint32_t k = 1; k < 32; k++) {
			struct lab_node *n = &lab.node[i];

			(void)lab_drop(state);
			assert_int_equal(lab_make(state), 0);
			lab_run(500);
			n->steps = 0;
			n->refuse = k;
			lab_agree(&lab_add);
			lab_run(3000);
			if (n->steps < k) {
				assert_int_equal(lab_deal()->life, LIFE_ASSURED);
				assert_true(k > 4);
				break;
			}
			assert_int_equal(lab_deal()->life, LIFE_NEGOTIATED);
			assert_int_equal(lab.n_held, 0);
			assert_false(lab_deal()->has_plan);
			assert_int_equal(side_path(&lab.side, 1)->reserved.bps, 0);
		}
}

/* Whatever fails until traffic has left the old road, the old road is what remains. */
static void each_refused_reroute_is_undone(void **state)
{
	unsigned failures = 0;

	for (unsigned i = 0; i < LAB_NODES; i++)
		for (uint32_t k = 1; k < 32; k++) {
			struct lab_node *n = &lab.node[i];

			(void)lab_drop(state);
			assert_int_equal(lab_make(state), 0);
			provision();
			remember();
			n->steps = 0;
			n->refuse = k;
			lab_agree(&lab_reroute);
			lab_run(4000);
			if (n->steps < k)
				break;
			if (lab_deal()->applied.rev == 2)
				continue; /* passed over: behind the traffic */
			failures++;
			assert_int_equal(lab_deal()->life, LIFE_AT_RISK);
			assert_as_before();
		}
	assert_true(failures > 10);
}

static void a_reroute_makes_before_it_breaks(void **state)
{
	const struct step old = { .kind = STEP_CLASS_SET, .label = LABEL, .device = { "coreb" } };
	uint32_t from;
	int shift;

	(void)state;
	provision();
	from = lab.n_seen;
	memset(lab.seen, 0, sizeof(lab.seen));
	lab_agree(&lab_reroute);
	lab_run(3000);
	assert_int_equal(lab_deal()->applied.path, 2);
	shift = seen_at("popA", STEP_STEER, DIR_UP, 2);
	assert_true(shift > (int)from);
	assert_in_range(seen_at("popC", STEP_LABEL_SET, -1, -1), from, shift - 1);
	assert_in_range(seen_at("popC", STEP_CLASS_SET, -1, -1), from, shift - 1);
	assert_in_range(seen_at("popB", STEP_LABEL_SET, -1, -1), from, shift - 1);
	assert_in_range(seen_at("popA", STEP_CLASS_SET, -1, -1), from, shift - 1);
	assert_in_range(seen_at("popA", STEP_PROBE, -1, 2), from, shift - 1);
	assert_true(seen_at("popA", STEP_CLASS_DEL, -1, -1) > shift);
	assert_null(lab_held("popA", &old));
	assert_non_null(lab_held("popC", &old));
	assert_int_equal(side_path(&lab.side, 1)->reserved.bps, 0);
	assert_int_equal(side_path(&lab.side, 2)->reserved.bps, 20000000);
}

static void a_silent_node_is_waited_for(void **state)
{
	(void)state;
	lab_run(500);
	lab_node("popA")->silent = true;
	lab_agree(&lab_add);
	lab_run(4000);
	assert_int_equal(lab_deal()->life, LIFE_AGREED);
	lab_node("popA")->silent = false;
	lab_until_life(LIFE_ASSURED, 5000);
	assert_int_equal(lab.n_held, 9);
}

static void a_node_that_stays_silent_ends_the_plan(void **state)
{
	(void)state;
	lab_run(500);
	lab_node("popA")->silent = true;
	lab_agree(&lab_add);
	lab_until_life(LIFE_NEGOTIATED, 40000);
	assert_int_equal(lab.n_held, 0);
	lab_node("popA")->silent = false;
	lab_run(5000);
	assert_int_equal(lab.n_held, 0);
}

/* The old road's node dies: the way on does not hang on it. The OSS ends meanwhile: what is owed is
 * in the log, the class and the line go when the node is back, once each; and a third life has
 * nothing left to do. */
static void what_is_owed_survives_a_restart(void **state)
{
	const struct want back = { 1, 20000000, 12000, LABEL, ORDER_REROUTE, QUOTE_WALK_BACK };
	const struct step line = { .kind = STEP_LABEL_SET, .label = LABEL };
	struct step htb = { .kind = STEP_CLASS_SET, .label = LABEL };
	uint32_t owed, seen;

	(void)state;
	provision();
	lab_agree(&lab_reroute);
	lab_run(3000);
	lab_until_life(LIFE_ASSURED, 3000);
	lab_node("popC")->silent = true;
	lab_agree(&back);
	lab_run(40000);
	owed = engine_world(lab.side.engine)->n_debts;
	assert_true(owed > 0);
	str_cut(htb.device.s, "coreb");
	assert_non_null(lab_held("popC", &line));
	assert_non_null(lab_held("popC", &htb));
	lab_crash();
	lab_open();
	lab_run(5000);
	assert_int_equal(engine_world(lab.side.engine)->n_debts, owed);
	seen = lab.n_seen;
	lab_node("popC")->silent = false;
	lab_run(10000);
	assert_null(lab_held("popC", &line));
	assert_null(lab_held("popC", &htb));
	assert_int_equal(lab.n_held, 9);
	assert_int_equal(engine_world(lab.side.engine)->n_debts, 0);
	assert_int_equal(lab.n_seen, seen + owed);
	lab_crash();
	lab_open();
	lab_run(5000);
	assert_int_equal(lab.n_seen, seen + owed);
}

/* A plan that speaks of the same objects says the newer word: nothing old removes what it laid. */
static void a_new_plan_settles_what_is_owed(void **state)
{
	struct plan owed = { .n_steps = 1 };
	struct step *s = &owed.step[0].step;

	(void)state;
	provision();
	str_cut(owed.id.s, "pln-old");
	str_cut(owed.step[0].node.s, "popC");
	s->kind = STEP_CLASS_DEL;
	s->label = LABEL;
	str_cut(s->device.s, "coreb");
	lab_emit(EV_REMOVAL_OWED, &owed);
	assert_int_equal(engine_world(lab.side.engine)->n_debts, 1);
	lab_agree(&lab_reroute);
	lab_run(3000);
	assert_int_equal(engine_world(lab.side.engine)->n_debts, 0);
	lab_crash();
	lab_open();
	lab_run(5000);
	assert_int_equal(lab_deal()->applied.path, 2);
	assert_non_null(lab_held("popC", s));
}

static void a_replacement_leaves_only_the_new_label(void **state)
{
	const struct want w = { 2, 20000000, 30000, LABEL + 1, ORDER_MIGRATE, QUOTE_STEP_UP };
	const struct step rule = { .kind = STEP_RULE_SET, .rule.id = 4 };

	(void)state;
	provision();
	lab_agree(&w);
	lab_run(3000);
	assert_int_equal(lab_deal()->applied.label, LABEL + 1);
	assert_int_equal(lab.n_held, 12);
	for (uint32_t i = 0; i < lab.n_held; i++)
		assert_int_equal(lab.held[i].step.label, LABEL + 1);
	assert_int_equal(lab_held("popB", &rule)->step.rule.label, LABEL + 1);
}

/* From the log alone; and no event comes near the largest that the log takes. */
static void every_decision_can_be_made_again(void **state)
{
	struct redecide_report r = { 0 };
	struct err e = { 0 };
	size_t most = 0;

	a_replacement_leaves_only_the_new_label(state);
	for (uint64_t seq = 1; seq <= store_durable(lab.store); seq++) {
		auto_free char *body = NULL;
		size_t len = 0;

		assert_int_equal(store_get(lab.store, seq, &body, &len, &e), 0);
		most = len > most ? len : most;
	}
	print_message("largest event: %zu bytes\n", most);
	assert_in_range(most, 1000, STORE_BODY_MAX * 9 / 10);
	if (redecide_log(lab.store, &r, &e) || r.different)
		fail_msg("%s %s", e.text, r.why);
	assert_true(r.decisions >= 5);
}

/* --- crashes --------------------------------------------------------------------------------- */

/* The process dies when event `at` has become durable: before anything that waited for it has left
 * (dead), or after, its answers lost (deaf). False when the log ended before. */
static bool crashed(uint64_t at, bool deaf)
{
	lab.crash_at = at;
	lab.dying_deaf = deaf;
	lab_run(8000);
	lab.crash_at = 0;
	if (!lab.dead && !lab.deaf)
		return false;
	lab_crash();
	lab_open();
	lab_run(6000);
	return true;
}

static void crash_everywhere(void **state, bool deaf, bool reroute)
{
	uint64_t first;
	bool again = true;

	for (uint64_t k = 1; again; k++) {
		(void)lab_drop(state);
		assert_int_equal(lab_make(state), 0);
		if (reroute)
			provision();
		else
			lab_run(500);
		first = store_durable(lab.store);
		lab_agree(reroute ? &lab_reroute : &lab_add);
		again = crashed(first + k, deaf);
		lab_run(3000);
		assert_int_equal(lab_deal()->applied.rev, reroute ? 2 : 1);
		assert_int_equal(lab.n_held, reroute ? 12 : 9);
		assert_true(k < 60);
		if (!again)
			assert_true(k > 8);
	}
}

static void a_crash_before_sending_loses_no_step(void **state)
{
	crash_everywhere(state, false, false);
}

static void a_crash_before_the_answer_loses_no_step(void **state)
{
	crash_everywhere(state, true, false);
}

static void a_crash_in_a_reroute_loses_no_step(void **state)
{
	crash_everywhere(state, false, true);
	crash_everywhere(state, true, true);
}

/* A failed plan stays failed: the restart goes on undoing. */
static void a_crash_while_undoing_goes_on_undoing(void **state)
{
	uint64_t first, last = 64;

	for (uint64_t k = 1; k < last; k++) {
		(void)lab_drop(state);
		assert_int_equal(lab_make(state), 0);
		provision();
		remember();
		first = store_durable(lab.store);
		lab_node("popC")->steps = 0;
		lab_node("popC")->refuse = 2;
		lab_agree(&lab_reroute);
		if (!crashed(first + k, k & 1))
			last = k;
		lab_run(4000);
		if (lab_deal()->applied.rev == 2)
			continue; /* died before the refusal was on disk: the second try passed */
		/* All is clear on the old road, so it may be cooling already. */
		assert_true(lab_deal()->life == LIFE_AT_RISK || lab_deal()->life == LIFE_COOLING);
		assert_int_equal(lab_deal()->applied.rev, 1);
		assert_as_before();
	}
	assert_true(last < 64);
}

/* --- the end --------------------------------------------------------------------------------- */

static void terminate(void)
{
	struct ev_ref r = { .deal = lab_deal()->lineage };

	lab_emit(EV_TERMINATED, &r);
	lab_order(ORDER_DELETE);
}

static void an_ended_agreement_leaves_nothing(void **state)
{
	(void)state;
	provision();
	terminate();
	lab_run(3000);
	assert_int_equal(lab.n_held, 0);
	assert_int_equal(lab_deal()->life, LIFE_TERMINATED);
	assert_int_equal(lab_deal()->applied.rev, 0);
	assert_false(lab_deal()->has_plan);
	assert_int_equal(side_path(&lab.side, 1)->reserved.bps, 0);
}

static void an_end_overtakes_a_plan(void **state)
{
	for (int64_t ms = 1; ms < 400; ms += 9) {
		(void)lab_drop(state);
		assert_int_equal(lab_make(state), 0);
		provision();
		lab_agree(&lab_reroute);
		lab_run(ms);
		terminate();
		lab_run(4000);
		assert_int_equal(lab.n_held, 0);
		assert_false(lab_deal()->has_plan);
		assert_int_equal(lab_deal()->applied.rev, 0);
	}
}

/* --- swaps ----------------------------------------------------------------------------------- */

static void swap_begin(const char *agreement, int path)
{
	auto_json json_t *args = json_pack("{s:s, s:i}", "agreementId", agreement, "path", path);
	struct err e = { 0 };

	lab.turn_ended = false;
	lab.turn_refusal = REFUSE_MAX_;
	assert_int_equal(
		lab.swap->call(&lab.side, NULL, args, NULL, (struct mcp_turn *)&lab.counts, &e), 0);
}

static void swap(const char *agreement, int path)
{
	swap_begin(agreement, path);
	lab_run(3000);
	assert_true(lab.turn_ended);
}

static void a_human_swaps_the_path(void **state)
{
	struct order was;

	(void)state;
	provision();
	was = lab_deal()->applied;
	swap("agr-1", 2);
	assert_int_equal(lab.turn_refusal, REFUSE_NONE);
	assert_int_equal(lab_deal()->cur.path, 2);
	assert_int_equal(lab_deal()->cur.rev, 1);
	assert_int_equal(lab_deal()->applied.label, was.label);
	assert_int_equal(lab_deal()->applied.path, 2);
	assert_int_equal(lab_deal()->life, LIFE_ASSURED);
	assert_true(lab_deal()->active);
	assert_int_equal(lab.n_held, 12);
	swap("agr-1", 1);
	assert_int_equal(lab.turn_refusal, REFUSE_NONE);
	assert_int_equal(lab_deal()->cur.path, 1);
	assert_int_equal(lab.n_held, 9);
}

static void a_swap_that_may_not_be_is_refused(void **state)
{
	(void)state;
	provision();
	swap("agr-2", 2);
	assert_int_equal(lab.turn_refusal, REFUSE_AGREEMENT_UNKNOWN);
	swap("agr-1", 1);
	assert_int_equal(lab.turn_refusal, REFUSE_ORDER_INVALID);
	swap("agr-1", 9);
	assert_int_equal(lab.turn_refusal, REFUSE_ORDER_INVALID);
	swap("agr-1", 3); /* another network type */
	assert_int_equal(lab.turn_refusal, REFUSE_ORDER_INVALID);
	lab.side.profile[0].v4 = true;
	lab_node("popB")->no_v4 = 2;
	swap("agr-1", 2);
	assert_int_equal(lab.turn_refusal, REFUSE_NONE); /* not told yet */
	swap("agr-1", 1);
	swap("agr-1", 2);
	assert_int_equal(lab.turn_refusal, REFUSE_PATH_NO_IPV4);
	assert_int_equal(lab_deal()->cur.path, 1);
	assert_int_equal(lab.n_held, 9);
}

static void a_swap_that_fails_changes_nothing(void **state)
{
	(void)state;
	provision();
	remember();
	lab_node("popC")->steps = 0;
	lab_node("popC")->refuse = 3;
	swap("agr-1", 2);
	assert_int_equal(lab.turn_refusal, REFUSE_RATE_ABOVE_DEVICE);
	assert_int_equal(lab_deal()->cur.path, 1);
	assert_int_equal(lab_deal()->life, LIFE_ASSURED);
	assert_false(lab_deal()->has_plan || lab_deal()->has_order);
	assert_as_before();
	/* The dead path is refused before a plan is made. */
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].path[1].alive = false;
	lab_run(1000);
	swap("agr-1", 2);
	assert_int_equal(lab.turn_refusal, REFUSE_NO_CAPACITY);
	assert_false(lab_deal()->has_plan || lab_deal()->has_order);
	assert_int_equal(lab_deal()->life, LIFE_ASSURED);
}

/* Nobody swaps an agreement onto a path that would break it: neither as the path is nor as it will
 * be. At its very ceiling it may. */
static void a_swap_that_would_break_the_promise_is_refused(void **state)
{
	(void)state;
	provision();
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].path[1].delay.us = 40000;
	lab_run(1000);
	remember();
	swap("agr-1", 2);
	assert_int_equal(lab.turn_refusal, REFUSE_NO_CAPACITY);
	assert_int_equal(lab_deal()->cur.path, 1);
	assert_int_equal(lab_deal()->life, LIFE_ASSURED);
	assert_false(lab_deal()->has_plan || lab_deal()->has_order);
	assert_as_before();
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].path[1].delay.us = 20000;
	lab_run(30000);
	swap("agr-1", 2);
	assert_int_equal(lab.turn_refusal, REFUSE_NONE);
}

/* A revision is agreed at any moment of a swap: both are carried out, one after the other. */
static void a_revision_in_the_middle_of_a_swap(void **state)
{
	static const struct want wants[] = {
		{ 1, 30000000, 30000, LABEL, ORDER_MODIFY, QUOTE_STEP_UP },
		{ 2, 30000000, 30000, LABEL, ORDER_REROUTE, QUOTE_STEP_UP },
	};

	for (unsigned k = 0; k < 2 * 24; k++) {
		const struct want *w = &wants[k % 2];

		(void)lab_drop(state);
		assert_int_equal(lab_make(state), 0);
		provision();
		swap_begin("agr-1", 2);
		lab_run(1 + k / 2 * 17);
		if (lab_deal()->has_plan) {
			lab_agree(w);
			lab_run(5000);
			assert_int_equal(lab_deal()->applied.rev, 2);
			assert_int_equal(lab_deal()->applied.path, w->path);
			assert_false(lab_deal()->failed || lab_deal()->has_order);
			assert_int_equal(lab.n_held, w->path == 1 ? 9 : 12);
		}
		assert_true(lab.turn_ended);
		assert_int_equal(lab.turn_refusal, REFUSE_NONE);
	}
}

/* What the world holds after swaps and failures is what a replay makes of the log. */
static void a_restart_is_a_replay(void **state)
{
	struct deal *was = malloc(sizeof(*was));

	(void)state;
	assert_non_null(was);
	provision();
	swap("agr-1", 2);
	*was = *lab_deal();
	lab_crash();
	lab_open();
	assert_memory_equal(was, lab_deal(), sizeof(*was));
	free(was);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, lab_make, lab_drop)
	const struct CMUnitTest tests[] = {
		T(an_order_becomes_steps),
		T(each_refused_step_is_undone),
		T(a_reroute_makes_before_it_breaks),
		T(each_refused_reroute_is_undone),
		T(a_silent_node_is_waited_for),
		T(what_is_owed_survives_a_restart),
		T(a_new_plan_settles_what_is_owed),
		T(a_node_that_stays_silent_ends_the_plan),
		T(a_replacement_leaves_only_the_new_label),
		T(every_decision_can_be_made_again),
		T(a_crash_before_sending_loses_no_step),
		T(a_crash_before_the_answer_loses_no_step),
		T(a_crash_in_a_reroute_loses_no_step),
		T(a_crash_while_undoing_goes_on_undoing),
		T(an_ended_agreement_leaves_nothing),
		T(an_end_overtakes_a_plan),
		T(a_human_swaps_the_path),
		T(a_swap_that_may_not_be_is_refused),
		T(a_swap_that_fails_changes_nothing),
		T(a_swap_that_would_break_the_promise_is_refused),
		T(a_revision_in_the_middle_of_a_swap),
		T(a_restart_is_a_replay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
