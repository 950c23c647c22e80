/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's counters, altered by hand and counted anew from the journal; and what is no counter
 * and stays refused. */
#include "store_util.h"

static struct ledger_wallet terms(void)
{
	return (struct ledger_wallet){ .id = { LEDGER_GATE, "did:web:issuer", "w" },
				       .holder = "did:web:ent",
				       .generation = 1,
				       .currency = "EUR",
				       .ceiling = { 1000 },
				       .agreement_max = { 500 },
				       .valid_until = { 1000 },
				       .classes = 1,
				       .klass = { { .name = "bulk", .ceiling = { 1000 } } } };
}

static struct ledger_result hold(struct store *s, const char *lineage, int64_t amount)
{
	struct ledger_hold q = { .wallet = terms().id,
				 .class_name = "bulk",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { amount },
				 .now = { 1 },
				 .expires = { 999 } };
	struct ledger_result r;

	assert_true(str_set(q.lineage, lineage));
	assert_int_equal(ledger_hold(s, &q, &r, NULL), 0);
	assert_int_equal(r.why, REFUSE_NONE);
	return r;
}

/* 100 captured for L1, 50 held for L2. */
static struct store *books(void)
{
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);
	struct hash a = hash_bytes("a", 1);
	struct ledger_wallet w = terms();
	struct ledger_result r;

	assert_int_equal(ledger_wallet_put(s, &w, (wall_t){ 1 }, &r, NULL), 0);
	r = hold(s, "L1", 100);
	assert_int_equal(
		ledger_capture(s, LEDGER_GATE, "L1", r.hold_id, &a, (wall_t){ 2 }, &r, NULL), 0);
	(void)hold(s, "L2", 50);
	commit_ok(s);
	return s;
}

static void test_rebuild(void **state)
{
	struct ledger_wallet_id id = terms().id;
	struct store *s = books(), *none = NULL;
	struct ledger_wallet w;
	struct err e = { 0 };
	uint64_t n = 9;

	(void)state;
	assert_int_equal(ledger_rebuild(dir, &n, NULL), -EBUSY);
	s = store_free(s);
	assert_int_equal(ledger_rebuild(dir, &n, NULL), 0);
	assert_int_equal(n, 0);
	raw_ok("UPDATE class_budget SET held=held-10,captured=captured-1;"
	       "UPDATE lineage SET captured=captured-5 WHERE lineage='L1'");
	assert_int_equal(store_open(dir, 0, &none, NULL), -EUCLEAN);
	if (ledger_rebuild(dir, &n, &e))
		fail_msg("%s", e.text);
	assert_int_equal(n, 2);
	s = open_ok(0);
	assert_int_equal(ledger_wallet_get(s, &id, &w, NULL), 0);
	assert_int_equal(w.held.minor, 50);
	assert_int_equal(w.captured.minor, 100);
	s = store_free(s);
}

/* A hold that ended without a row of the journal, an altered row of the log, a missing gate. */
static void test_no_counter(void **state)
{
	static const char *const sql[] = {
		"UPDATE journal SET state=2 WHERE lineage='L2'",
		"DROP TRIGGER journal_no_update; UPDATE journal SET held=0 WHERE seq=2",
		"DROP TRIGGER class_gate; UPDATE class_budget SET held=held-10",
	};
	uint64_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
		(void)store_free(books());
		raw_ok(sql[i]);
		assert_int_equal(ledger_rebuild(dir, &n, NULL), -EUCLEAN);
		assert_int_not_equal(report().fault, STORE_SOUND);
		assert_int_equal(dir_drop(NULL), 0);
		assert_int_equal(dir_make(NULL), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rebuild, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_no_counter, dir_make, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
