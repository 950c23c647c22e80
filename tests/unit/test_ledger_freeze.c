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

/* A late capture holds again, which is what a thief who waited would like: what had expired before
 * a key was lost, or while it was, is not held again on the old word, and a new hold under the next
 * key passes the same gates as any. */
static void test_late(void **state)
{
	struct ledger_hold q[4];
	struct ledger_result r[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		char lineage[4] = "L0";

		lineage[1] = (char)('0' + i);
		q[i] = ask(lineage, 1, NULL, 100);
		q[i].expires.ms = i < 3 ? 300 : 400;
		r[i] = hold(&q[i]);
	}
	/* The twin: nothing was lost, and a late capture is held again. */
	assert_int_equal(expire(310), 3);
	expect(capture(r[0].hold_id, "A0"), REFUSE_NONE, 100, 100);
	/* Lost: q[3] is live and frozen, q[1] and q[2] had ended. */
	assert_int_equal(ledger_hold_freeze(s, LEDGER_GATE, r[3].hold_id, NULL), 0);
	assert_int_equal(ledger_late_freeze(s, (wall_t){ 320 }, NULL), 0);
	assert_int_equal(ledger_late_freeze(s, (wall_t){ 10 }, NULL), 0); /* never back */
	expect(capture(r[1].hold_id, "A1"), REFUSE_KEY_COMPROMISED, 0, 0);
	expect(capture(r[3].hold_id, "A3"), REFUSE_KEY_COMPROMISED, 0, 0);
	assert_int_equal(expire(400), 1); /* frozen first, expired then: still frozen */
	expect(capture(r[3].hold_id, "A3"), REFUSE_KEY_COMPROMISED, 0, 0);
	commit_ok(s);
	s = store_free(s);
	s = open_ok(STORE_NOSYNC);
	expect(capture(r[1].hold_id, "A1"), REFUSE_KEY_COMPROMISED, 0, 0);
	expect(capture(r[3].hold_id, "A3"), REFUSE_KEY_COMPROMISED, 0, 0);
	/* Under the next key: another offer, another hold; then late again, and held again. */
	for (int i = 1; i < 4; i += 2) {
		q[i].offer = h("of the next key");
		q[i].expires.ms = 500;
		r[i] = hold(&q[i]);
	}
	expect(capture(r[1].hold_id, "A1"), REFUSE_NONE, 100, 200);
	assert_int_equal(expire(500), 1);
	expect(capture(r[3].hold_id, "A3"), REFUSE_NONE, 0, 300);
	expect(capture(r[2].hold_id, "A2"), REFUSE_KEY_COMPROMISED, 0, 0);
	/* and the gates are asked when it is held again */
	q[2].offer = h("of the next key");
	q[2].expires.ms = 600;
	r[2] = hold(&q[2]);
	assert_int_equal(expire(600), 1);
	q[0] = ask("M", 1, NULL, 450);
	expect(hold(&q[0]), REFUSE_NONE, 450, 300);
	expect(capture(r[2].hold_id, "A2"), REFUSE_OVER_CLASS_CEILING, 0, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frozen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
