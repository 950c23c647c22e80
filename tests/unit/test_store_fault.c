/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails: a layer below SQLite lets the nth write, sync or truncate fail, once or for
 * ever. The store refuses or stops, and whatever it acknowledged is there when the disk is well. */
#include "fault_vfs.h"

/* --- work --------------------------------------------------------------------------------------
 */

static struct ledger_wallet terms(void)
{
	return (struct ledger_wallet){ .id = { LEDGER_GATE, "did:web:issuer", "w" },
				       .holder = "did:web:ent",
				       .generation = 1,
				       .currency = "EUR",
				       .ceiling = { 1000000 },
				       .agreement_max = { 1000 },
				       .valid_until = { 1000 },
				       .classes = 1,
				       .klass = { { .name = "bulk", .ceiling = { 1000000 } } } };
}

/* One event and one debit of 7, acknowledged by 0. */
static int turn(struct store *s, unsigned n)
{
	struct ledger_hold q = { .wallet = terms().id,
				 .class_name = "bulk",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { 7 },
				 .now = { 1 },
				 .expires = { 999 } };
	struct ledger_result r;
	char body[64];
	int len = snprintf(body, sizeof(body), "{\"n\":%u}", n);
	int err = store_stage(s, body, (size_t)len, NULL, NULL);

	(void)snprintf(q.lineage, sizeof(q.lineage), "L%u", n);
	if (!err)
		err = ledger_hold(s, &q, &r, NULL);
	return err ? err : store_commit(s, NULL);
}

static unsigned begin(void)
{
	struct store *s = open_ok(STORE_CREATE);
	struct ledger_wallet w = terms();
	struct ledger_result r;

	assert_int_equal(ledger_wallet_put(s, &w, (wall_t){ 1 }, &r, NULL), 0);
	commit_ok(s);
	assert_int_equal(turn(s, 0), 0);
	s = store_free(s);
	return 1;
}

/* The disk is well again: all that was acknowledged, at most one turn more, and the books balance.
 */
static void after(unsigned acked)
{
	struct ledger_wallet w, want = terms();
	struct store_report rep;
	struct store *s;
	uint64_t n;

	countdown = -1;
	rep = report();
	if (rep.fault != STORE_SOUND)
		fail_msg("%s: %s", store_fault_name(rep.fault), rep.why);
	s = open_ok(0);
	n = store_head(s).seq;
	assert_true(n == acked || n == acked + 1);
	assert_int_equal(ledger_wallet_get(s, &want.id, &w, NULL), 0);
	assert_int_equal(w.held.minor, 7 * (int64_t)n);
	assert_int_equal(turn(s, 100000), 0);
	s = store_free(s);
}

static unsigned broke_at_open, broke_at_work;

static void one(enum fault of, bool ever, long at)
{
	unsigned acked = begin();
	struct store *s = NULL;
	struct err e = { 0 };
	int r;

	kind = of;
	for_ever = ever;
	countdown = at;
	r = store_open(dir, 0, &s, &e);
	if (r) {
		broke_at_open++;
		assert_true(e.text[0]);
	}
	for (unsigned i = 1; !r && i < 40; i++) {
		r = turn(s, i);
		acked += r == 0;
	}
	/* The first failure is the last word of this life. */
	if (r && s) {
		broke_at_work++;
		assert_true(store_poisoned(s));
		assert_int_equal(turn(s, 1000), -EIO);
		assert_int_equal(store_commit(s, NULL), -EIO);
		assert_int_equal(store_checkpoint(s, NULL), -EIO);
	}
	s = store_free(s);
	after(acked);
	assert_int_equal(dir_drop(NULL), 0);
	assert_int_equal(dir_make(NULL), 0);
}

static void test_every_operation(void **state)
{
	(void)state;
	shim_install();
	for (int of = 0; of < FAULT_KINDS; of++)
		for (int ever = 0; ever < 2; ever++)
			for (long at = 0; at < 60; at += at < 20 ? 1 : 5)
				one((enum fault)of, ever, at);
	assert_true(broke_at_work > 50);
	print_message("%u failed while opening, %u while working\n", broke_at_open, broke_at_work);
	assert_int_equal(sqlite3_vfs_unregister(&shim), SQLITE_OK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_operation, dir_make, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
