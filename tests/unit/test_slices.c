/* SPDX-License-Identifier: Apache-2.0 */
/* One wallet for two operators: the book by itself, under many writers and by raw SQL; then the
 * ledgers of two operators, who know nothing of each other, under the slices that the book let
 * through, and without them; and build/treatyctl, which signs no sub-wallet beside the book. */
#include "store_util.h"
#include "tool_run.h"

#include "agent/store/slices.h"

#define PARENT 1000

static const char *book(void)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/book.db", dir);
	return path;
}

static int give(const char *wallet, const char *op, int64_t generation, int64_t of, int64_t x)
{
	struct slice_part part[] = { { "", { x }, { of } }, { "bulk", { x }, { of } } };
	struct slice sl = { "did:web:boss", "w-top", generation, wallet, op, "EUR", part, 2 };
	struct err e = { 0 };
	int r = slice_take(book(), &sl, &e);

	assert_true(!r == !e.code);
	return r;
}

static int64_t given(void)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n;

	assert_int_equal(sqlite3_open_v2(book(), &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT coalesce(sum(ceiling),0) FROM slice"
					    " WHERE class=''",
					    -1, &st, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return n;
}

static void test_book(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(give("w-a", "did:web:a", 1, PARENT, 600), 0);
	assert_int_equal(stat(book(), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(give("w-b", "did:web:b", 1, PARENT, 401), -EDQUOT);
	assert_int_equal(given(), 600);
	assert_int_equal(give("w-b", "did:web:b", 1, PARENT, 400), 0);
	assert_int_equal(give("w-c", "did:web:c", 1, PARENT, 1), -EDQUOT);
	assert_int_equal(give("w-c", "did:web:c", 1, PARENT, 0), 0);
	/* The same again; less, which gives nothing back; and at another operator. */
	assert_int_equal(give("w-a", "did:web:a", 1, PARENT, 600), 0);
	assert_int_equal(give("w-a", "did:web:a", 1, PARENT, 100), 0);
	assert_int_equal(give("w-a", "did:web:b", 1, PARENT, 100), -EPERM);
	assert_int_equal(given(), 1000);
	/* The parent is raised by its next generation only, and an older one is none any more. */
	assert_int_equal(give("w-a", "did:web:a", 1, PARENT + 500, 700), -EPERM);
	assert_int_equal(give("w-a", "did:web:a", 2, PARENT + 500, 700), 0);
	assert_int_equal(give("w-a", "did:web:a", 1, PARENT, 600), -EPERM);
	/* Lowered below what is given: nothing grows, nothing is lost. */
	assert_int_equal(give("w-b", "did:web:b", 3, 900, 400), 0);
	assert_int_equal(give("w-b", "did:web:b", 3, 900, 401), -EDQUOT);
	assert_int_equal(given(), 1100);
}

/* Six processes, each after as much as it gets. */
static void test_together(void **state)
{
	pid_t pid[6];

	(void)state;
	assert_int_equal(give("w-0", "did:web:0", 1, PARENT, 1), 0);
	for (int p = 0; p < 6; p++) {
		pid[p] = fork();
		if (pid[p])
			continue;
		for (int i = 1; i < 30; i++) {
			char w[32], op[48];
			struct slice_part part[] = { { "", { i * 7 }, { PARENT } } };
			struct slice sl = { "did:web:boss", "w-top", 1, w, op, "EUR", part, 1 };

			(void)snprintf(w, sizeof(w), "w-%d-%d", p, i % 5);
			(void)snprintf(op, sizeof(op), "did:web:%d-%d", p, i % 5);
			if (slice_take(book(), &sl, NULL) == -EIO)
				_exit(1);
		}
		_exit(0);
	}
	for (int p = 0; p < 6; p++) {
		int st;

		assert_int_equal(waitpid(pid[p], &st, 0), pid[p]);
		assert_int_equal(st, 0);
	}
	assert_true(given() <= PARENT && given() > PARENT - 210);
}

static void test_raw_sql(void **state)
{
	static const char *const bad[] = {
		"UPDATE slice SET ceiling=ceiling+401 WHERE wallet='w-a'",
		"UPDATE slice SET ceiling=ceiling-1",
		"UPDATE slice SET operator='did:web:z'",
		"DELETE FROM slice",
		"DELETE FROM budget",
		"UPDATE budget SET ceiling=9999",
		"UPDATE budget SET currency='USD', generation=generation+1",
		"INSERT INTO slice VALUES('did:web:boss','w-top','','w-z','did:web:z',401)",
		"INSERT INTO slice VALUES('did:web:boss','w-top','other','w-z','did:web:z',1)",
		"INSERT INTO slice VALUES('did:web:x','w-top','','w-z','did:web:z',1)",
		"INSERT INTO slice VALUES('did:web:boss','w-top','','w-z','did:web:z',-1)",
	};
	sqlite3 *db = NULL;

	(void)state;
	assert_int_equal(give("w-a", "did:web:a", 1, PARENT, 600), 0);
	assert_int_equal(sqlite3_open(book(), &db), SQLITE_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (sqlite3_exec(db, bad[i], NULL, NULL, NULL) != SQLITE_CONSTRAINT)
			fail_msg("%s: %s", bad[i], sqlite3_errmsg(db));
	(void)sqlite3_close(db);
	assert_int_equal(given(), 600);
}

/* --- two operators ---------------------------------------------------------------------------- */

static struct ledger_wallet terms(const char *issuer, const char *id, int64_t ceiling)
{
	struct ledger_wallet w = { .id = { .side = LEDGER_SHADOW },
				   .holder = "did:web:ent",
				   .generation = 1,
				   .currency = "EUR",
				   .digits = 2,
				   .ceiling = { ceiling },
				   .agreement_max = { PARENT },
				   .valid_from = { 1 },
				   .valid_until = { 100000 },
				   .classes = 1,
				   .klass = { { .name = "bulk", .ceiling = { ceiling } } } };

	assert_true(str_set(w.id.issuer, issuer) && str_set(w.id.wallet_id, id));
	w.credential = hash_bytes(id, strlen(id));
	return w;
}

/* An operator's ledger alone: as much as it lets through of that sub-wallet, in small holds. */
static int64_t spend(const char *op, const char *wallet, int64_t ceiling)
{
	struct ledger_wallet w[2] = { terms("did:web:ent", wallet, ceiling),
				      terms("did:web:boss", "w-top", PARENT) };
	char path[128];
	struct store *s = NULL;
	struct ledger_result r;
	int64_t n = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, op);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(store_open(path, STORE_CREATE | STORE_NOSYNC, &s, NULL), 0);
	assert_true(str_set(w[0].parent_issuer, "did:web:boss") &&
		    str_set(w[0].parent_id, "w-top"));
	assert_int_equal(ledger_chain_put(s, w, 2, (wall_t){ 2 }, &r, NULL), 0);
	assert_int_equal(r.why, REFUSE_NONE);
	for (int i = 0; i < 200; i++) {
		struct ledger_hold q = { .wallet = w[0].id,
					 .class_name = "bulk",
					 .currency = "EUR",
					 .rev = 1,
					 .amount = { 9 },
					 .now = { 5 },
					 .expires = { 9999 } };

		(void)snprintf(q.lineage, sizeof(q.lineage), "agr-%d", i);
		assert_int_equal(ledger_hold(s, &q, &r, NULL), 0);
		n += r.why == REFUSE_NONE ? 9 : 0;
	}
	assert_int_equal(store_commit(s, NULL), 0);
	s = store_free(s);
	return n;
}

static void test_two_operators(void **state)
{
	int64_t a = 600, b = 600, spent;

	(void)state;
	assert_int_equal(give("w-a", "did:web:a", 1, PARENT, a), 0);
	while (give("w-b", "did:web:b", 1, PARENT, b) == -EDQUOT)
		b--;
	assert_int_equal(b, 400);
	spent = spend("a", "w-a", a) + spend("b", "w-b", b);
	assert_true(spent <= PARENT && spent > PARENT - 18);
	/* Without the book each would be as wide as the parent, and neither ledger knows better. */
	assert_true(spend("x", "w-a", PARENT) + spend("y", "w-b", PARENT) > PARENT);
}

/* --- treatyctl -------------------------------------------------------------------------------- */

static void want(const char *args, int code, const char *text)
{
	tool_want(dir, "", args, code, text);
}

#define SUB                                                                       \
	"wallet issue --key e.key --issuer did:web:ent.example --parent top.json" \
	" --holder did:web:edge.example --agreement-max 100 --valid-for 1h"

static void test_issue(void **state)
{
	(void)state;
	want("key new t.key", 0, "");
	want("key new e.key", 0, "");
	want("wallet issue --key t.key --issuer did:web:boss.example --holder did:web:ent.example "
	     "--operator did:web:a.example --operator did:web:b.example --currency EUR "
	     "--class bulk:ceiling=1000 --ceiling 1000 --agreement-max 100 --term-max 1h "
	     "--valid-for 1d --sub-wallets 1 --out top.json",
	     0, "");
	want(SUB " --ceiling 600 --class bulk:ceiling=600", 2, "--book: the parent may go to 2");
	want(SUB " --ceiling 600 --class bulk:ceiling=600 --book b.db", 2, "--operator: one");
	want(SUB " --ceiling 600 --class bulk:ceiling=600 --book b.db "
		 "--operator did:web:a.example --out a.json",
	     0, "");
	want(SUB " --ceiling 401 --class bulk:ceiling=400 --book b.db "
		 "--operator did:web:b.example --out b.json",
	     1, "more than the parent has left");
	want(SUB " --ceiling 400 --class bulk:ceiling=401 --book b.db "
		 "--operator did:web:b.example --out b.json",
	     1, "more than the parent has left");
	want(SUB " --ceiling 400 --class bulk:ceiling=400 --book b.db "
		 "--operator did:web:b.example --out b.json",
	     0, "");
	want(SUB " --ceiling 1 --class bulk:ceiling=1 --book b.db --operator did:web:a.example", 1,
	     "more than the parent has left");
	want(SUB " --ceiling 1 --class bulk:ceiling=1 --book no/b.db --operator did:web:a.example",
	     4, "no/b.db");
	want("wallet issue --key t.key --holder did:web:ent.example --operator did:web:a.example "
	     "--currency EUR --class bulk:ceiling=10 --ceiling 10 --agreement-max 10 --term-max 1h "
	     "--valid-for 1d --book b.db",
	     2, "--book: only with --parent");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, dir_make, dir_drop)
	static const struct CMUnitTest tests[] = { T(test_book), T(test_together), T(test_raw_sql),
						   T(test_two_operators), T(test_issue) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
