/* SPDX-License-Identifier: Apache-2.0 */
/* The page cache is gone through only when it holds pages that the file has not: counted below the
 * store's own layer. */
#include "store_util.h"

static sqlite3_pcache_methods2 real;
static unsigned cuts, far_away;

static void count_cuts(sqlite3_pcache *c, unsigned limit)
{
	cuts++;
	real.xTruncate(c, limit);
}

static void count_far(sqlite3_pcache *c, sqlite3_pcache_page *p, unsigned was, unsigned is)
{
	far_away += is > 200000;
	real.xRekey(c, p, was, is);
}

/* Values under keys in no order: their index is balanced all over. */
static void put_values(struct store *s, uint32_t from, uint32_t n)
{
	char val[300] = "", key[16];

	for (uint32_t i = from; i < from + n; i++) {
		(void)snprintf(key, sizeof(key), "%08x", i * 2654435761U);
		assert_int_equal(store_kv_put(s, key, val, sizeof(val), NULL), 0);
	}
}

static void values_there(struct store *s, uint32_t n, uint32_t of)
{
	char key[16];

	for (uint32_t i = 0; i < of; i++) {
		void *val = NULL;
		size_t len;
		int r;

		(void)snprintf(key, sizeof(key), "%08x", i * 2654435761U);
		r = store_kv_get(s, key, &val, &len, NULL);
		assert_int_equal(r, i < n ? 0 : -ENOENT);
		free(val);
	}
}

/* Pages are moved far away and back, and no commit looks for them. */
static void test_commits(void **state)
{
	struct store *s = open_ok(STORE_CREATE);

	(void)state;
	cuts = far_away = 0;
	for (uint32_t turn = 0; turn < 100; turn++) {
		put_values(s, turn * 40, 40);
		commit_ok(s);
	}
	print_message("%u pages moved away, %u cuts\n", far_away, cuts);
	assert_true(far_away > 20);
	assert_int_equal(cuts, 0);
	values_there(s, 4000, 4001);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
}

/* What a turn that was taken back added to the file is cut off, each time. */
static void test_rollbacks(void **state)
{
	struct store *s = open_ok(STORE_CREATE);

	(void)state;
	put_values(s, 0, 40);
	commit_ok(s);
	cuts = 0;
	for (unsigned i = 1; i < 6; i++) {
		put_values(s, 40, 2000);
		assert_int_equal(store_rollback(s, NULL), 0);
		assert_true(cuts >= i);
		values_there(s, 40, 100);
	}
	put_values(s, 40, 4000);
	commit_ok(s);
	values_there(s, 4040, 4041);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dir_make, dir_drop)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_commits), T(test_rollbacks) };
	sqlite3_pcache_methods2 mine;

	if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &real) != SQLITE_OK)
		return 1;
	mine = real;
	mine.xTruncate = count_cuts;
	mine.xRekey = count_far;
	if (sqlite3_config(SQLITE_CONFIG_PCACHE2, &mine) != SQLITE_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
