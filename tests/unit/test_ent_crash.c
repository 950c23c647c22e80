/* SPDX-License-Identifier: Apache-2.0 */
/* Wires that fail at every message and a process that dies after every event: the road goes on, the
 * same message has the same id, and money moves once. */
#include "tests/unit/ent_lab.h"

#define ROAD_CALLS 4 /* challenge, intent, accept, acceptance */

static void paid_once(void)
{
	struct ledger_wallet w = lab_purse();

	assert_int_equal(lab_deal(0)->cur.rev, 1);
	assert_true(lab_deal(0)->active);
	assert_int_equal(w.captured.minor, 140000);
	assert_int_equal(w.held.minor, 0);
	assert_int_equal(op.deal[0].cur.rev, 1);
	assert_int_equal(op.receipt.cumulative_after.minor, 140000);
	assert_int_equal(op.n, 1);
}

/* --- wires --------------------------------------------------------------------------------------
 */

static void wire_failures(void **state)
{
	const enum fault faults[] = { FAULT_LOST, FAULT_ANSWER_LOST, FAULT_AT_ONCE };

	for (size_t f = 0; f < ARRAY_LEN(faults); f++)
		for (int n = 0; n < ROAD_CALLS; n++) {
			lab.fault[n] = lab.fault[n + 1] = faults[f];
			lab_declare("market-data", 0);
			if (!lab_run(lab_settled, 60))
				fail_msg("fault %d at call %d: the road ends", faults[f], n);
			paid_once();
			assert_string_equal(lab.said[n], lab.said[n + 1]);
			assert_string_equal(lab.said[n], lab.said[n + 2]);
			assert_int_equal(lab.n_calls, ROAD_CALLS + 2);
			assert_int_equal(op.messages, ROAD_CALLS);
			assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
		}
}

/* Nobody answers any more: the hold goes back when the quote is over, and what is needed is asked
 * for again, with longer and longer pauses, until the asked term is over. */
static bool asks_again(void)
{
	return lab.n_calls > 4 && !strncmp(lab.said[lab.n_calls - 1], "m-chal-", 7);
}

static void silence(void **state)
{
	(void)state;
	for (int n = 2; n < CALLS_MAX; n++)
		lab.fault[n] = FAULT_LOST;
	lab_declare("market-data", 0);
	assert_true(lab_run(asks_again, 120));
	assert_true(lab_now(NULL).ms - NOW.ms > 60000); /* the quote's life */
	assert_int_equal(lab_purse().held.minor, 0);
	assert_true(lab.n_calls < 40);
	for (int n = 3; n < lab.n_calls - 1; n++)
		assert_string_equal(lab.said[n], lab.said[2]);
}

static bool two_accepts(void)
{
	return op.n && op.deal[0].accepts >= 1;
}

/* The line comes back too late for the start that was promised: a new menu, a new hold. */
static void late_acceptance(void **state)
{
	(void)state;
	for (int n = 2; n < 9; n++)
		lab.fault[n] = FAULT_LOST; /* some 18 s */
	lab_declare("market-data", 0);
	assert_true(lab_run(two_accepts, 120));
	assert_int_equal(op.deal[0].n_quotes, 2);
	assert_true(lab_run(lab_settled, 30));
	paid_once();
}

static bool intent_said(void)
{
	return lab.n_calls >= 3;
}

/* The operator forgets its tasks: what is said next is said outside of one. */
static void operator_forgets(void **state)
{
	(void)state;
	lab.fault[2] = FAULT_LOST;
	lab_declare("market-data", 0);
	assert_true(lab_run(intent_said, 30));
	op_server_new();
	assert_true(lab_run(lab_settled, 60));
	paid_once();
}

/* --- crashes ------------------------------------------------------------------------------------
 */

static void restart(void)
{
	lab_kill();
	lab_open();
}

static void crash_after_every_event(void **state)
{
	uint64_t lives = 0;
	bool crashed = true;

	for (uint64_t at = 1; crashed; at++) {
		lab.crash_at = at + store_durable(lab.store);
		lab_declare("market-data", 0);
		(void)lab_run(lab_settled, 60);
		crashed = lab.crashed;
		lab.crash_at = 0;
		restart();
		if (!lab_run(lab_settled, 60))
			fail_msg("after event %llu: the road ends at %s", (unsigned long long)at,
				 life_name(lab_deal(0)->life));
		paid_once();
		lives++;
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
	assert_true(lives >= 5);
}

/* Between the commit and the answer: from the choice on the same words, with the same id. */
static int stop_at;

static bool said_enough(void)
{
	return lab.n_calls >= stop_at;
}

static void crash_after_every_message(void **state)
{
	for (stop_at = 2; stop_at <= ROAD_CALLS; stop_at++) {
		char id[A2A_ID_MAX];

		lab_declare("market-data", 0);
		assert_true(lab_run(said_enough, 30));
		str_cut(id, lab.said[stop_at - 1]);
		restart();
		assert_true(lab_run(lab_settled, 60));
		paid_once();
		if (stop_at == 2) /* nothing was chosen: the first menu is asked for anew */
			assert_int_equal(strncmp(lab.said[stop_at], "m-chal-", 7), 0);
		else
			assert_string_equal(lab.said[stop_at], id);
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
}

/* Both sides at once: the operator's server forgot the task and the answer. */
static void crash_on_both_sides(void **state)
{
	for (stop_at = 2; stop_at <= ROAD_CALLS; stop_at++) {
		lab.fault[stop_at - 1] = FAULT_ANSWER_LOST;
		lab_declare("market-data", 0);
		assert_true(lab_run(said_enough, 30));
		assert_false(lab_run(NULL, 0));
		restart();
		op_server_new();
		assert_true(lab_run(lab_settled, 60));
		assert_int_equal(lab_purse().captured.minor, lab_deal(0)->cur.amount.minor);
		assert_int_equal(lab_purse().held.minor, 0);
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
}

/* A life that is over does nothing again. */
static void restart_at_rest(void **state)
{
	int calls, plans;

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	calls = lab.n_calls;
	plans = lab.n_plans;
	for (int i = 0; i < 3; i++) {
		restart();
		assert_false(lab_run(NULL, 5));
	}
	assert_int_equal(lab.n_calls, calls);
	assert_int_equal(lab.n_plans, plans);
	paid_once();
}

int main(void)
{
#define ROAD(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		ROAD(wire_failures),           ROAD(silence),
		ROAD(late_acceptance),         ROAD(operator_forgets),
		ROAD(crash_after_every_event), ROAD(crash_after_every_message),
		ROAD(crash_on_both_sides),     ROAD(restart_at_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
