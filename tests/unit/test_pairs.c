/* SPDX-License-Identifier: Apache-2.0 */
/* Named values and bodies of a turn, which are written together before its commit. */
#include "store_util.h"
#include "agent/store/db.h"

static void put(struct store *s, const char *key, const char *val)
{
	assert_int_equal(store_kv_put(s, key, val, strlen(val), NULL), 0);
}

static void is(struct store *s, const char *key, const char *val)
{
	void *p = NULL;
	size_t n = 0;
	int r = store_kv_get(s, key, &p, &n, NULL);

	if (!val) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, strlen(val));
	assert_string_equal(p, val);
	free(p);
}

/* Rows that the file has, as another program sees them. */
static int64_t durable(const char *sql)
{
	struct err e = { 0 };
	struct store *s = open_ok(STORE_READER);
	int64_t n = -1;

	assert_int_equal(db_int(s, sql, &n, &e), 0);
	s = store_free(s);
	return n;
}

static void test_last_one_counts(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	int rows;

	(void)state;
	put(s, "a", "1");
	put(s, "empty", "");
	is(s, "a", "1");
	is(s, "empty", "");
	commit_ok(s);
	rows = sqlite3_total_changes(s->db);
	for (int i = 0; i < 20; i++) {
		char v[16];

		(void)snprintf(v, sizeof(v), "%d", i);
		put(s, "a", v);
		put(s, "ab", "x");
		is(s, "a", v);
	}
	assert_int_equal(durable("SELECT val=x'31' FROM kv WHERE key='a'"), 1);
	commit_ok(s);
	assert_int_equal(sqlite3_total_changes(s->db) - rows, 2);
	is(s, "a", "19");
	s = store_free(s);
	s = open_ok(0);
	is(s, "a", "19");
	is(s, "ab", "x");
	is(s, "empty", "");
	is(s, "b", NULL);
	s = store_free(s);
}

static void test_taken_back(void **state)
{
	static const struct hash digest = { { 7 } };
	struct store *s = open_ok(STORE_CREATE);
	size_t n;
	void *p;

	(void)state;
	put(s, "a", "1");
	commit_ok(s);
	put(s, "a", "2");
	put(s, "b", "2");
	assert_int_equal(store_body_put(s, &digest, "did:a", "text", 4, NULL), 0);
	assert_int_equal(store_rollback(s, NULL), 0);
	is(s, "a", "1");
	is(s, "b", NULL);
	assert_int_equal(store_body_get(s, &digest, &p, &n, NULL), -ENOENT);
	put(s, "c", "3");
	commit_ok(s);
	put(s, "c", "4");
	s = store_free(s); /* without a commit */
	s = open_ok(0);
	is(s, "a", "1");
	is(s, "b", NULL);
	is(s, "c", "3");
	s = store_free(s);
}

/* More than wait at once, in number and in bytes. */
static void test_many(void **state)
{
	static char big[400 * 1024];
	struct store *s = open_ok(STORE_CREATE);
	char key[32];

	(void)state;
	memset(big, 'b', sizeof(big) - 1);
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < 300; i++) {
			(void)snprintf(key, sizeof(key), "k%d", i);
			put(s, key, turn ? key : "x");
		}
		for (int i = 0; i < 5; i++) {
			(void)snprintf(key, sizeof(key), "big%d", i);
			put(s, key, big);
		}
		is(s, "big0", big);
		is(s, "k0", turn ? "k0" : "x");
		commit_ok(s);
	}
	assert_int_equal(
		durable("SELECT count(*) FROM kv WHERE key LIKE 'k%' AND key=CAST(val AS TEXT)"),
		300);
	assert_int_equal(durable("SELECT sum(length(val)) FROM kv WHERE key LIKE 'big%'"),
			 5 * (sizeof(big) - 1));
	s = store_free(s);
}

static struct hash digest_of(int i)
{
	return hash_bytes(&i, sizeof(i));
}

static void test_bodies(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	char text[32];
	size_t n;
	void *p;

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct hash d = digest_of(i % 150); /* some twice, in one turn and in another */

		(void)snprintf(text, sizeof(text), "body %d", i % 150);
		assert_int_equal(store_body_put(s, &d, "did:a", text, strlen(text), NULL), 0);
		if (i % 40 == 39) {
			assert_int_equal(store_body_get(s, &d, &p, &n, NULL), 0);
			assert_string_equal(p, text);
			free(p);
		}
		if (i == 120)
			commit_ok(s);
	}
	commit_ok(s);
	s = store_free(s);
	s = open_ok(0);
	for (int i = 0; i < 150; i++) {
		struct hash d = digest_of(i);

		(void)snprintf(text, sizeof(text), "body %d", i);
		assert_int_equal(store_body_get(s, &d, &p, &n, NULL), 0);
		assert_string_equal(p, text);
		free(p);
	}
	assert_int_equal(durable("SELECT count(*) FROM body"), 150);
	s = store_free(s);
}

/* Bodies and events that are written before the turn ends are changes of the one transaction: seen
 * by nobody, gone with a rollback, and written once. */
static void test_written_ahead(void **state)
{
	static const struct hash digest = { { 9 } };
	struct store *s = open_ok(STORE_CREATE);
	struct err e = { 0 };
	int rows;

	(void)state;
	assert_int_equal(store_write(s, &e), 0); /* of no turn */
	assert_false(store_in_turn(s));
	for (int round = 0; round < 2; round++) {
		(void)put_event(s, 1);
		assert_int_equal(store_body_put(s, &digest, "did:x", "{}", 2, NULL), 0);
		put(s, "a", "1");
		rows = sqlite3_total_changes(s->db); /* the consumer's key */
		assert_int_equal(store_write(s, &e), 0);
		assert_true(sqlite3_total_changes(s->db) > rows);
		assert_int_equal(durable("SELECT count(*) FROM event"), 0);
		if (!round)
			assert_int_equal(store_rollback(s, NULL), 0);
	}
	rows = sqlite3_total_changes(s->db);
	assert_int_equal(store_write(s, &e), 0); /* nothing is left to write */
	assert_int_equal(sqlite3_total_changes(s->db), rows);
	(void)put_event(s, 2);
	commit_ok(s);
	assert_int_equal(store_durable(s), 2);
	assert_int_equal(durable("SELECT count(*) FROM event"), 2);
	assert_int_equal(durable("SELECT count(*) FROM body"), 1);
	is(s, "a", "1");
	s = store_free(s);
	s = open_ok(0); /* the chain holds */
	s = store_free(s);
}

/* A table that refuses at the end what was taken: nothing of the turn is durable. */
static void test_refused_at_the_end(void **state)
{
	static const struct hash digest = { { 7 } };
	struct err e = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct store *s = open_ok(STORE_CREATE);

		put(s, "a", "1");
		commit_ok(s);
		assert_int_equal(db_exec(s,
					 "CREATE TEMP TRIGGER no BEFORE INSERT ON main.kv BEGIN "
					 "SELECT RAISE(ABORT,'no'); END;"
					 "CREATE TEMP TRIGGER nor BEFORE INSERT ON main.body BEGIN "
					 "SELECT RAISE(ABORT,'no'); END;",
					 &e),
				 0);
		if (i)
			assert_int_equal(store_body_put(s, &digest, "did:a", "x", 1, NULL), 0);
		else
			put(s, "a", "2");
		assert_int_equal(store_commit(s, &e), -EUCLEAN);
		assert_true(store_poisoned(s));
		s = store_free(s);
		s = open_ok(0);
		is(s, "a", "1");
		assert_int_equal(durable("SELECT count(*) FROM body"), 0);
		s = store_free(s);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_last_one_counts, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_taken_back, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_many, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_bodies, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_written_ahead, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_refused_at_the_end, dir_make, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
