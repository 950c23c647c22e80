/* SPDX-License-Identifier: Apache-2.0 */
/* Plans that come in one turn: their steps share messages, and stay each plan's own matter. */
#include "node_plan.h"

static struct answer all[4];
static int left;

static void on_each(void *arg, enum refusal r, const char *why)
{
	struct answer *a = arg;

	assert_false(a->have);
	a->have = true;
	a->refusal = r;
	str_cut(a->why, why);
	if (!--left)
		loop_stop(side.loop, 0);
}

static int64_t took[4];

static void on_receipt(void *arg, const struct event *ev)
{
	const struct step_receipt *r = &ev->u.receipt;

	(void)arg;
	if (ev->kind == EV_STEP_RECEIPT)
		took[r->plan.s[4] - '1'] = r->took_us;
}

/* Rules of the plans of one turn go together. One that is refused is its own plan's matter: what
 * is behind it there is not in force, the other plans are, in their order. */
static void test_rules_of_plans(void **st)
{
	struct plan p = add_plan("pln-9", 21, 0x110), q[4] = { 0 };
	struct err e = { 0 };

	(void)st;
	apply(&p, REFUSE_NONE);
	for (uint32_t i = 0; i < 4; i++) {
		(void)snprintf(q[i].id.s, sizeof(q[i].id.s), "pln-%u", i + 1);
		for (uint32_t k = 0; k < 12; k++)
			add(&q[i], rule_step(400 + 100 * i + k, 21));
	}
	q[1].step[7].step.rule.dst_len = 129;
	q[2].step[11].step.kind = STEP_RULE_DEL; /* of a rule that a plan before it brings */
	q[2].step[11].step.rule.id = 400;
	memset(all, 0, sizeof(all));
	assert_int_equal(engine_subscribe(side.engine, on_receipt, NULL), 0);
	left = 4;
	for (int i = 0; i < 4; i++)
		assert_int_equal(node_apply(&side, &q[i], on_each, &all[i], &e), 0);
	assert_int_equal(turn(5000), 0);
	for (int i = 0; i < 4; i++) {
		assert_true(all[i].have);
		if (all[i].refusal != (i == 1 ? REFUSE_BODY_MALFORMED : REFUSE_NONE))
			fail_msg("plan %d: %s: %s", i, refusal_name(all[i].refusal), all[i].why);
	}
	assert_int_equal(seen(21).n_rules, 1 + 11 + 7 + 11 + 12);
	/* two waits: up to the refused one, and the rest */
	assert_true(took[0] > 0 && took[1] == 0 && took[2] > 0 && took[3] == 0);
}

/* A plan of a label by itself: its class, its line, its path. */
static void line_plan(struct plan *p, uint32_t i)
{
	memset(p, 0, sizeof(*p));
	(void)snprintf(p->id.s, sizeof(p->id.s), "pln-%u", i + 1);
	add(p, class_step(21 + i, (uint16_t)(0x110 + i), MBIT));
	add(p, label_step(21 + i));
	add(p, steer_step(21 + i, 7));
	add(p, rule_step(400 + i, 21 + i));
}

static void have_run(struct plan q[4], int refused)
{
	struct err e = { 0 };

	memset(all, 0, sizeof(all));
	left = 4;
	for (int i = 0; i < 4; i++)
		assert_int_equal(node_apply(&side, &q[i], on_each, &all[i], &e), 0);
	assert_int_equal(turn(5000), 0);
	for (int i = 0; i < 4; i++) {
		assert_true(all[i].have);
		if ((all[i].refusal != REFUSE_NONE) != (i == refused))
			fail_msg("plan %d: %s: %s", i, refusal_name(all[i].refusal), all[i].why);
	}
}

static uint32_t counted(void)
{
	struct label_sample x;
	uint32_t n = 0;

	for (uint32_t label = 21; label < 25; label++)
		n += !node_label_sample(&side, label, &x) && seen(label).label_present;
	return n;
}

/* One message for what leads to rules, one for the labels' counters, one for the rules. */
static void test_steps_of_plans(void **st)
{
	struct plan q[4];
	uint32_t before;

	(void)st;
	for (uint32_t i = 0; i < 4; i++)
		line_plan(&q[i], i);
	before = rig.c.seq;
	have_run(q, -1);
	assert_int_equal(rig.c.seq - before, 3);
	assert_int_equal(counted(), 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(seen(21 + i).n_rules, 1);
		assert_int_equal(seen(21 + i).path[0], 7);
		assert_int_equal(seen(21 + i).n_classes, 1);
	}
}

/* The second plan's path is unknown here: it ends there, with what stood before that in force and
 * no rule. The other plans, of which two stood behind it in the message, have all of theirs. */
static void test_one_of_plans_refused(void **st)
{
	struct plan q[4];

	(void)st;
	for (uint32_t i = 0; i < 4; i++)
		line_plan(&q[i], i);
	q[1].step[2].step.path = 99;
	have_run(q, 1);
	assert_int_equal(all[1].refusal, REFUSE_DEVICE_UNKNOWN);
	assert_int_equal(counted(), 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(seen(21 + i).n_rules, i == 1 ? 0 : 1);
	assert_int_equal(seen(22).path[0], 0);
	str_cut(q[1].id.s, "pln-5");
	q[1].step[2].step.path = 7;
	have_run(q, -1);
	assert_int_equal(seen(22).n_rules, 1);
}

/* A label that comes in one plan and goes in the next of the turn has gone, and the other way. */
static void test_label_of_two_plans(void **st)
{
	struct plan q[4] = { 0 };
	struct step gone = label_step(21);

	(void)st;
	gone.kind = STEP_LABEL_DEL;
	for (uint32_t i = 0; i < 4; i++) {
		(void)snprintf(q[i].id.s, sizeof(q[i].id.s), "pln-%u", i + 1);
		add(&q[i], i == 1 ? gone : label_step(i == 3 ? 22 : 21));
	}
	have_run(q, -1);
	assert_true(seen(21).label_present);
	for (uint32_t i = 0; i < 4; i++) {
		(void)snprintf(q[i].id.s, sizeof(q[i].id.s), "pln-%u", i + 5);
		q[i].n_steps = 0;
		add(&q[i], i == 2 ? gone : label_step(i == 1 ? 21 : 22));
	}
	have_run(q, -1);
	assert_false(seen(21).label_present);
	assert_true(seen(22).label_present);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rules_of_plans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps_of_plans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_of_plans_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_label_of_two_plans, setup, teardown),
	};

	log_init("agents", LOG_LEVEL_ERROR);
	return crypto_init() || rig_run(tests);
}
