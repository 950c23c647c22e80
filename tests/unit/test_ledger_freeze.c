/* SPDX-License-Identifier: Apache-2.0 */
/* The debit ledger's stops. */
#include "ledger_lab.h"

/* What a compromise stops: one hold for good, or everything until it is lifted. Giving back passes.
 */
static void test_frozen(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 100), other = ask("L2", 1, NULL, 50);
	struct ledger_result a = hold(&q), b = hold(&other);

	(void)state;
	assert_false(ledger_hold_frozen(s, LEDGER_GATE, a.hold_id));
	assert_int_equal(ledger_hold_freeze(s, LEDGER_GATE, a.hold_id, NULL), 0);
	assert_true(ledger_hold_frozen(s, LEDGER_GATE, a.hold_id));
	expect(capture(a.hold_id, "A1"), REFUSE_KEY_COMPROMISED, 0, 0);
	expect(capture(b.hold_id, "B1"), REFUSE_NONE, 100, 50);
	for (unsigned i = 0; i < LEDGER_STOP_MAX_; i++) {
		char lineage[8] = "M0";
		enum refusal why =
			i == LEDGER_STOP_LEDGER ? REFUSE_LEDGER_FROZEN : REFUSE_KEY_COMPROMISED;

		lineage[1] = (char)('0' + i);
		q = ask(lineage, 1, NULL, 10);
		assert_int_equal(ledger_stop(s, (enum ledger_stop)i, true, NULL), 0);
		expect(hold(&q), why, 0, 0);
		assert_true(hold(&other).replayed); /* an answer given is given again */
		assert_int_equal(ledger_stop(s, (enum ledger_stop)i, false, NULL), 0);
		expect(hold(&q), REFUSE_NONE, 110 + 10 * (int64_t)i, 50);
	}
	/* by the database, not by this process */
	commit_ok(s);
	s = store_free(s);
	s = open_ok(STORE_NOSYNC);
	expect(capture(a.hold_id, "A1"), REFUSE_KEY_COMPROMISED, 0, 0);
	assert_int_equal(ledger_check(s, NULL), 0);
	expect(release(a.hold_id), REFUSE_NONE, 20, 50);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frozen, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
