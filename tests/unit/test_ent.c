/* SPDX-License-Identifier: Apache-2.0 */
/* The enterprise's side against a scripted operator: the whole road, and everything that may go
 * wrong on it. */
#include "tests/unit/ent_lab.h"

static const struct deal *deal0(void)
{
	assert_true(lab_world()->n_deals > 0);
	return &lab_world()->deal[0];
}

static bool settled(void)
{
	const struct deal *d = deal0();

	return d->life == LIFE_TERMINATED || (d->active && d->cur.rev > 0);
}

static void declare(const char *class_name)
{
	struct cap_ent_requirement cap = { lab.side.engine };
	const struct class_profile *p;
	struct intent i = { .source = INTENT_DECLARED, .declared = lab_now(NULL) };

	must_set(i.class_name.s, class_name);
	must_set(i.flow.s, class_name);
	p = side_profile(&lab.side, &i.class_name);
	i.want = p->want;
	i.term_ms = p->term_ms;
	engine_id(&i.negotiation, "neg");
	(void)snprintf(i.id.s, sizeof(i.id.s), "int%.40s", i.negotiation.s + 3);
	assert_int_equal(tool_intent_declare(&cap, &i, NULL, NULL), REFUSE_NONE);
}

/* --- the happy road -----------------------------------------------------------------------------
 */

static const struct plan *plan_with(enum step_kind kind, uint32_t label)
{
	for (int i = lab.n_plans; i-- > 0;)
		for (int k = 0; k < lab.plan[i].n_steps; k++)
			if (lab.plan[i].step[k].step.kind == kind &&
			    lab.plan[i].step[k].step.label == label)
				return &lab.plan[i];
	return NULL;
}

static void happy_road(void **state)
{
	const struct deal *d;
	struct ledger_wallet w;

	(void)state;
	declare("market-data");
	assert_true(lab_run(settled, 30));
	d = deal0();
	assert_int_equal(d->life, LIFE_PROVISIONED);
	assert_int_equal(d->cur.rev, 1);
	assert_int_equal(d->cur.price.minor_h, 140000);
	assert_int_equal(d->cur.amount.minor, 140000); /* one hour */
	w = lab_purse();
	assert_int_equal(w.captured.minor, 140000);
	assert_int_equal(w.held.minor, 0);
	assert_int_equal(op.deal[0].cur.rev, 1);
	assert_int_equal(op.receipt.cumulative_after.minor, 140000);
	assert_int_equal(op.messages, 4); /* challenge, intent, accept, acceptance */
	assert_non_null(plan_with(STEP_LABEL_SET, d->cur.label));
	assert_non_null(plan_with(STEP_RULE_SET, d->cur.label));
	assert_int_equal(plan_with(STEP_CLASS_SET, d->cur.label)->step[0].step.minor, 0x101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(happy_road, lab_setup, lab_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
