/* SPDX-License-Identifier: Apache-2.0 */
/* The enterprise and an agreement that is ended while its acceptance is under way: the receipt
 * arrives, the end after it, and the money of what never began comes back. */
#include "tests/unit/ent_note.h"

/* --- ended while its acceptance is under way ---------------------------------------------------
 */

static bool told(void)
{
	return op.deal[0].acceptances == 1 && op.deal[0].ends == 1;
}

/* The acceptance is lost, and before it is said again somebody ends the agreement. */
static void end_unheard(bool by_operator)
{
	const struct cap_human cap = { lab.side.engine };
	struct ev_ref ref = { .why = { "no longer needed" } };

	serve();
	lab_declare("market-data", 0);
	assert_true(lab_run(countersigned, 30));
	lab.fault[lab.n_calls - 1] = FAULT_LOST;
	ref.deal = ref.about = lab_deal(0)->negotiation;
	if (by_operator) {
		say_as(op.key.did, "m-end-1", nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref));
		assert_string_equal(answer_type, NEGO_RECEIVED);
	} else {
		assert_int_equal(tool_agreement_terminate(&cap, &ref, NULL, NULL), REFUSE_NONE);
	}
	assert_int_equal(lab_deal(0)->life, LIFE_TERMINATED);
	assert_int_equal(op.deal[0].acceptances, 0);
	expect_money(140000);
}

static void next_one_runs(void)
{
	op.late = false;
	lab_declare("bulk-transfer", 0);
	assert_true(lab_run(second_runs, 60));
	assert_int_equal(op.forks, 0);
	assert_int_equal(op.receipt.cumulative_after.minor, 140000 + op.receipt.amount.minor);
}

/* Its receipt is a link of the wallet's chain: it arrives, and then the end does. */
static void ended_unheard(void **state)
{
	for (int restart = 0; restart < 2; restart++) {
		end_unheard(false);
		if (restart) {
			assert_false(lab_run(NULL, 0));
			lab_kill();
			lab_open();
			serve();
		}
		assert_true(lab_run(told, 30));
		expect_money(140000);
		next_one_runs();
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
}

/* The operator ended what it had signed; what it then gives back is taken. */
static void ended_by_the_operator(void **state)
{
	struct credit_note c;

	(void)state;
	end_unheard(true);
	op.late = true;
	assert_true(lab_run(told, 30));
	c = good_note("not-in-force");
	c.amount.minor++;
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_LEDGER_STATE, "more than was paid");
	c.amount.minor--;
	for (int i = 0; i < 2; i++) {
		send_note(&c, &op.key, op.key.did);
		assert_string_equal(answer_type, NEGO_RECEIVED);
		expect_money(0);
	}
	assert_int_equal(lab_deal(0)->n_credits, 1);
	assert_int_equal(lab_deal(0)->life, LIFE_TERMINATED);
	next_one_runs();
	expect_money(op.receipt.amount.minor);
}

/* The operator is away for the whole paid term. */
static void heard_after_the_end(void **state)
{
	const struct deal *d;
	struct credit_note c;

	(void)state;
	serve();
	lab_declare("market-data", 0);
	assert_true(lab_run(countersigned, 30));
	for (int n = lab.n_calls - 1; n < CALLS_MAX; n++)
		lab.fault[n] = FAULT_LOST;
	d = lab_deal(0);
	assert_false(lab_run(NULL, (int)((d->cur.end.ms - d->cur.start.ms) / 1000) + 60));
	assert_int_equal(d->life, LIFE_TERMINATED);
	for (int n = lab.n_calls; n < CALLS_MAX; n++)
		lab.fault[n] = FAULT_NONE;
	op.late = true;
	assert_true(lab_run(told, 30));
	c = good_note("not-in-force");
	send_note(&c, &op.key, op.key.did);
	assert_string_equal(answer_type, NEGO_RECEIVED);
	expect_money(0);
	next_one_runs();
}

static bool runs(void)
{
	return lab_world()->n_deals && lab_deal(0)->active;
}

static bool end_told(void)
{
	return op.deal[0].ends == 1;
}

/* Its own bodies were erased afterwards, the last receipt among them: the next one continues. */
static void erased_and_back(void **state)
{
	const struct cap_human cap = { lab.side.engine };
	struct ev_ref ref = { .why = { "no longer needed" } };

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(runs, 30));
	ref.deal = lab_deal(0)->negotiation;
	assert_int_equal(tool_agreement_terminate(&cap, &ref, NULL, NULL), REFUSE_NONE);
	assert_true(lab_run(end_told, 30));
	assert_int_equal(store_consumer_erase(lab.store, lab.agent.did, NULL), 0);
	lab_kill();
	lab_open();
	next_one_runs();
	expect_money(140000 + op.receipt.amount.minor);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		T(ended_unheard),
		T(ended_by_the_operator),
		T(heard_after_the_end),
		T(erased_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
