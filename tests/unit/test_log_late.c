/* SPDX-License-Identifier: Apache-2.0 */
/* Events that a turn writes together are those that it would have written one by one; what is read
 * of the log within the turn has them; and what staging lets pass the table's own check passes too.
 */
#include <stdlib.h>
#include "agent/crypto/crypto.h"
#include "agent/store/db.h"
#include "store_util.h"

static void test_lanes(void **state)
{
	static uint8_t buf[20][700];
	struct sha256_text in[20];
	uint8_t out[20][SHA256_LEN], one[SHA256_LEN];

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		unsigned n = (unsigned)rand() % 21;

		for (unsigned i = 0; i < n; i++) {
			size_t len = round < 140 ? round : (size_t)rand() % 600;

			for (size_t k = 0; k < len; k++)
				buf[i][k] = (uint8_t)rand();
			assert_true(sha256_room(len) >= len + 9 && sha256_room(len) < len + 73);
			in[i] = sha256_close(buf[i], len);
		}
		sha256_many(in, n, out);
		for (unsigned i = 0; i < n; i++) {
			sha256(in[i].p, in[i].len, one);
			assert_memory_equal(one, out[i], SHA256_LEN);
		}
	}
}

/* --- texts --- */
static bool table_takes(sqlite3_stmt *st, const char *text, size_t n)
{
	bool is;

	(void)sqlite3_bind_text(st, 1, text, (int)n, SQLITE_STATIC);
	is = sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0) == 1;
	(void)sqlite3_reset(st);
	return is;
}

static const char *const good[] = {
	"{}",
	"[]",
	" { \"seq\" : 7 } ",
	"{\"seq\":7,\"a\":[1,-0,0.5,1e9,2E-3,1.25e+10]}",
	"{\"seq\":null}",
	"{\"a\":{\"seq\":9},\"b\":[{\"seq\":1}]}",
	"\"seq\"",
	"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\",true,false,null,[[{}]],{\"\":\"\"}]",
	"-12",
	"{\"a\":\"\xc3\xa9\",\"seq\":7}",
	"{\"a long name of a member\":\"and its text, which is \\\"long\\\" as well\"}",
};
static const char *const bad[] = {
	"",
	" ",
	"{",
	"}",
	"[1,]",
	"{\"a\":1,}",
	"{\"a\"}",
	"{a:1}",
	"01",
	"1.",
	".5",
	"1e",
	"+1",
	"--1",
	"tru",
	"nul",
	"\"a",
	"\"\\x\"",
	"\"\\u12g4\"",
	"\"\x01\"",
	"{} {}",
	"[1 2]",
	"{\"seq\":8}",
	"{\"seq\":\"7\"}",
	"{\"seq\":70}",
	"{\"seq\":7.0}",
	"{\"seq\":{}}",
	"{\"seq\":7,\"seq\":8}",
	"{\"seq\":7]",
	"[}",
};

/* Each byte at each place of a string of each length, so of every block that is looked at at once.
 * Above 127 SQLite asks no more than we do. */
static void each_byte(sqlite3_stmt *st)
{
	for (size_t len = 1; len < 40; len++) {
		size_t n = len + 10;
		char *text = malloc(n);

		for (size_t at = 0; at < len; at++) {
			for (int c = 1; c < 256; c++) {
				memcpy(text, "{\"a\":\"", 6);
				memset(text + 6, 'x', len);
				memcpy(text + 6 + len, "\"}  ", 4);
				text[6 + at] = (char)c;
				if (event_text_ok(text, n, 7) != table_takes(st, text, n))
					fail_msg("byte %d at %zu of %zu", c, at, len);
			}
		}
		free(text);
	}
}

static void test_texts(void **state)
{
	static const char tokens[] = "{}[]:,\"\\ue0917.-+ \ntrfalsn";
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	unsigned passed = 0;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT CASE WHEN json_valid(?1) THEN"
					    " coalesce(json_extract(?1,'$.seq'),7)=7 ELSE 0 END",
					    -1, &st, NULL),
			 SQLITE_OK);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!event_text_ok(good[i], strlen(good[i]), 7) ||
		    !table_takes(st, good[i], strlen(good[i])))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (event_text_ok(bad[i], strlen(bad[i]), 7))
			fail_msg("passed: %s", bad[i]);
	each_byte(st);
	for (unsigned round = 0; round < 200000; round++) {
		const char *from = good[(unsigned)rand() % ARRAY_LEN(good)];
		size_t n = strlen(from);
		/* of its own size, so that a read beyond it is seen */
		char *text = malloc(n);

		memcpy(text, from, n);
		for (int k = rand() % 3; k >= 0; k--)
			text[(unsigned)rand() % n] =
				tokens[(unsigned)rand() % (sizeof(tokens) - 1)];
		n -= (unsigned)rand() % 8 == 0;
		if (event_text_ok(text, n, 7)) {
			passed++;
			if (!table_takes(st, text, n))
				fail_msg("the table refuses: %.*s", (int)n, text);
		}
		free(text);
	}
	assert_true(passed > 1000);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
}

/* --- turns --- */
struct model {
	struct merkle tree;
};

/* Stages an event of about len bytes and adds it to the model by the plain functions. */
static void stage(struct store *s, struct model *m, size_t len)
{
	static char body[STORE_BODY_MAX + 1];
	struct hash leaf;
	size_t n = (size_t)snprintf(body, sizeof(body), "{\"seq\":%llu,\"x\":\"",
				    (unsigned long long)store_next_seq(s));

	memset(body + n, 'a' + (int)(store_next_seq(s) % 20), len);
	memcpy(body + n + len, "\"}", 2);
	n += len + 2;
	assert_int_equal(store_stage(s, body, n, NULL, NULL), 0);
	leaf = hash_leaf(body, n);
	merkle_append(&m->tree, &leaf);
}

static void same(struct store *s, const struct model *m)
{
	struct store_head h = store_head(s);
	struct hash root = merkle_root(&m->tree);

	assert_int_equal(h.seq, m->tree.size);
	assert_memory_equal(h.root.b, root.b, HASH_LEN);
}

static void test_turns(void **state)
{
	struct model m = { .tree.size = 0 };
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);
	struct hash chain;

	(void)state;
	for (unsigned n = 0; n < 150; n += n < 70 ? 1 : 17) {
		struct model before = m;

		for (unsigned i = 0; i < n; i++)
			stage(s, &m, (size_t)rand() % 300);
		if (n % 3 == 1) {
			if (n % 2)
				same(s, &m);
			assert_int_equal(store_rollback(s, NULL), 0);
			m = before;
		}
		commit_ok(s);
		same(s, &m);
	}
	for (unsigned i = 0; i < 12; i++) /* more than fits at once */
		stage(s, &m, STORE_BODY_MAX - 100);
	commit_ok(s);
	same(s, &m);
	chain = store_head(s).chain;
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
	s = open_ok(0);
	same(s, &m);
	assert_memory_equal(store_head(s).chain.b, chain.b, HASH_LEN);
	s = store_free(s);
}

static int leaf_of(void *arg, const struct store_event *ev)
{
	assert_int_equal(ev->linked,
			 ev->seq == 3 || ev->seq == 3 + MERKLE_MANY || ev->seq == 7 + MERKLE_MANY);
	((struct hash *)arg)[ev->seq] = ev->leaf;
	return 0;
}

/* One link for what is written together, over the link before and each leaf since; 64 at most. */
static void test_links(void **state)
{
	struct model m = { .tree.size = 0 };
	struct hash at[1 + MERKLE_MANY + 7] = { { { 0 } } }, link;
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		stage(s, &m, 5);
	commit_ok(s);
	for (unsigned i = 0; i < MERKLE_MANY + 4; i++)
		stage(s, &m, 5);
	commit_ok(s);
	assert_int_equal(store_replay(s, 1, leaf_of, at, NULL), 0);
	link = hash_bytes(at, (size_t)4 * HASH_LEN);
	at[3] = link;
	link = hash_bytes(at + 3, (size_t)(1 + MERKLE_MANY) * HASH_LEN);
	at[3 + MERKLE_MANY] = link;
	link = hash_bytes(at + 3 + MERKLE_MANY, (size_t)5 * HASH_LEN);
	assert_memory_equal(store_head(s).chain.b, link.b, HASH_LEN);
	s = store_free(s);
}

static int count_one(void *arg, const struct store_event *ev)
{
	(void)ev;
	++*(unsigned *)arg;
	return 0;
}

/* Whatever reads the log within a turn finds what the turn has staged. */
static void test_reads(void **state)
{
	struct model m = { .tree.size = 0 };
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);
	struct store_out out = { .seq = 3, .kind = "k", .dest = "d", .body = "x", .len = 1 };
	struct merkle_proof p;
	struct hash root;
	unsigned n = 0;
	uint64_t id;
	char *body = NULL;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		stage(s, &m, 5);
	assert_int_equal(store_out_put(s, &out, &id, NULL), 0);
	out.seq = 4;
	assert_true(store_out_put(s, &out, &id, NULL) < 0);
	assert_int_equal(store_get(s, 3, &body, &len, NULL), 0);
	free(body);
	stage(s, &m, 5);
	assert_int_equal(store_replay(s, 2, count_one, &n, NULL), 0);
	assert_int_equal(n, 3);
	stage(s, &m, 5);
	assert_int_equal(store_root_at(s, 5, &root, NULL), 0);
	stage(s, &m, 5);
	assert_int_equal(store_prove_inclusion(s, 6, 6, &p, NULL), 0);
	stage(s, &m, 5);
	assert_int_equal(store_prove_consistency(s, 2, 7, &p, NULL), 0);
	stage(s, &m, 5);
	root = merkle_root(&m.tree);
	assert_int_equal(store_backup_check(s, 8, &root, NULL), 0);
	assert_int_equal(store_backup_check(s, 9, &root, NULL), -ESTALE);
	commit_ok(s);
	same(s, &m);
	s = store_free(s);
}

/* A table that refuses at the end what staging took: nothing of the turn is durable, all before is.
 */
static void test_refused(void **state)
{
	struct model m = { .tree.size = 0 }, before;
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);
	struct err e = { 0 };

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		stage(s, &m, 5);
	commit_ok(s);
	before = m;
	raw_ok("CREATE TRIGGER odd AFTER INSERT ON event WHEN NEW.seq=38 BEGIN"
	       " SELECT RAISE(ABORT,'odd'); END");
	for (unsigned i = 0; i < 20; i++)
		stage(s, &m, 5);
	assert_int_equal(store_commit(s, &e), -EUCLEAN);
	assert_true(store_poisoned(s));
	assert_int_equal(store_durable(s), 20);
	assert_int_equal(store_commit(s, &e), -EIO);
	s = store_free(s);
	raw_ok("DROP TRIGGER odd");
	s = open_ok(0);
	same(s, &before);
	s = store_free(s);
}

/* Events 1 to 64 have one link, 65 to 70 the next. */
static const struct {
	const char *name, *sql;
	uint64_t seq; /* 0 = sound */
} cuts[] = {
	{ "nothing", "", 0 },
	{ "rows swapped",
	  "UPDATE event SET (body,leaf)=(SELECT body,leaf FROM event e WHERE e.seq=12-event.seq)"
	  " WHERE seq IN(3,9);",
	  64 },
	{ "row repeated",
	  "UPDATE event SET (body,leaf)=(SELECT body,leaf FROM event e WHERE e.seq=4) WHERE seq=5;",
	  64 },
	{ "link gone", "UPDATE event SET chain=x'' WHERE seq=64;", 64 },
	{ "last link gone", "UPDATE event SET chain=x'' WHERE seq=70;", 70 },
	{ "link one early",
	  "UPDATE event SET chain=(SELECT chain FROM event e WHERE e.seq=64) WHERE seq=63;", 63 },
	{ "link twice",
	  "UPDATE event SET chain=(SELECT chain FROM event e WHERE e.seq=64) WHERE seq=65;", 65 },
	{ "link of one byte", "UPDATE event SET chain=x'00' WHERE seq=7;", 7 },
	{ "prev of one byte", "UPDATE event SET prev=x'00' WHERE seq=7;", 7 },
	{ "prev within a link", "UPDATE event SET prev=zeroblob(32) WHERE seq=2;", 2 },
	{ "the right prev",
	  "UPDATE event SET prev=(SELECT chain FROM event e WHERE e.seq=64)"
	  " WHERE seq=65;",
	  0 },
};

static int last_of(void *arg, const struct store_event *ev)
{
	*(uint64_t *)arg = ev->seq;
	return 0;
}

static void put_many(void)
{
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);
	char body[32];

	for (int n = 1; n <= 70; n++) {
		int len = snprintf(body, sizeof(body), "{\"n\":%d}", n);

		assert_int_equal(store_stage(s, body, (size_t)len, NULL, NULL), 0);
	}
	commit_ok(s);
	for (uint64_t from = 1; from <= 71; from++) {
		uint64_t last = 0;

		assert_int_equal(store_replay(s, from, last_of, &last, NULL), 0);
		assert_int_equal(last, from == 71 ? 0 : 70);
	}
	assert_int_equal(store_replay(s, 72, last_of, body, NULL), -ERANGE);
	s = store_free(s);
}

static void test_links_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		char sql[640];
		struct store_report r;

		put_many();
		(void)snprintf(sql, sizeof(sql), OPEN_UP "%s" SHUT, cuts[i].sql);
		raw_ok(sql);
		r = report();
		if (r.seq != cuts[i].seq ||
		    r.fault != (cuts[i].seq ? STORE_FAULT_CHAIN : STORE_SOUND))
			fail_msg("%s: %s at %llu: %s", cuts[i].name, store_fault_name(r.fault),
				 (unsigned long long)r.seq, r.why);
		assert_int_equal(dir_drop(NULL), 0);
		assert_int_equal(dir_make(NULL), 0);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, dir_make, dir_drop)

/* Another program's row, and then another chain of the last one: the turn ends. */
static void test_the_log_is_what_it_was(void **state)
{
	static const char *const sql[] = {
		"INSERT INTO event SELECT 4,body,leaf,prev,chain FROM event WHERE seq=3",
		"DROP TRIGGER event_no_update; UPDATE event SET chain=leaf WHERE seq=3",
		"DROP TRIGGER event_no_delete; DELETE FROM event WHERE seq=3",
		"DROP TRIGGER event_no_delete; DELETE FROM event",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
		struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);
		struct err e = { 0 };
		int64_t n = -1;

		for (int k = 0; k < 3; k++)
			put_event(s, k);
		commit_ok(s);
		raw_ok(sql[i]);
		assert_int_equal(store_stage(s, "{}", 2, NULL, &e), 0);
		/* What is staged is a table for the one statement alone. */
		assert_int_equal(db_int(s, "SELECT count(*) FROM late", &n, &e), 0);
		assert_int_equal(n, 0);
		assert_int_equal(store_commit(s, &e), -EUCLEAN);
		assert_non_null(strstr(e.text, "last row"));
		assert_true(store_poisoned(s));
		s = store_free(s);
		assert_int_not_equal(report().fault, STORE_SOUND);
		assert_int_equal(dir_drop(NULL), 0);
		assert_int_equal(dir_make(NULL), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_texts),
		T(test_turns),
		T(test_links),
		T(test_links_cut),
		T(test_reads),
		T(test_refused),
		T(test_the_log_is_what_it_was),
	};

	return cmocka_run_group_tests_name("log_late", tests, NULL, NULL);
}
