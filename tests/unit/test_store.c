/* SPDX-License-Identifier: Apache-2.0 */
/* The log, the turn, the outbox and the side tables; then an attacker with raw SQL. */
#include <sys/stat.h>
#include "agent/crypto/crypto.h"
#include "store_util.h"

static unsigned released;

static void on_commit(void *arg, uint64_t seq)
{
	*(uint64_t *)arg = seq;
	released++;
}

static int count_events(void *arg, const struct store_event *ev)
{
	uint64_t *n = arg;

	assert_int_equal(ev->seq, *n + 1);
	*n = ev->seq;
	return 0;
}

static void test_turns(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	uint64_t last = 0, n = 0;
	struct store_head h;
	struct stat st;
	char path[128];

	(void)state;
	released = 0;
	store_on_commit(s, on_commit, &last);
	commit_ok(s); /* nothing open: nothing happens */
	assert_int_equal(released, 0);
	assert_int_equal(put_event(s, 1), 1);
	assert_int_equal(put_event(s, 2), 2);
	assert_int_equal(store_durable(s), 0);
	assert_true(store_in_turn(s));
	commit_ok(s);
	assert_int_equal(released, 1);
	assert_int_equal(last, 2);
	h = store_head(s);
	put_event(s, 3);
	assert_int_equal(store_head(s).seq, 3);
	assert_int_equal(store_rollback(s, NULL), 0);
	assert_int_equal(store_next_seq(s), 3);
	assert_memory_equal(store_head(s).root.b, h.root.b, HASH_LEN);
	put_event(s, 4);
	commit_ok(s);
	put_event(s, 5); /* lost with the process: never committed */
	s = store_free(s);
	(void)snprintf(path, sizeof(path), "%s/treaty.db", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	s = open_ok(0);
	assert_int_equal(store_replay(s, 1, count_events, &n, NULL), 0);
	assert_int_equal(n, 3);
	n = 1;
	assert_int_equal(store_replay(s, 2, count_events, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(store_replay(s, 9, count_events, &n, NULL), -ERANGE);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
}

static void test_bad_events(void **state)
{
	static char big[STORE_BODY_MAX + 1];
	struct store *s = open_ok(STORE_CREATE);
	static const char *const bad[] = { "{", "{\"seq\":9}", "nope", "{\"a\":\"\x01\"}", " " };
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(store_stage(s, bad[i], strlen(bad[i]), NULL, NULL), -EINVAL);
	assert_int_equal(store_stage(s, "{}\0x", 4, NULL, NULL), -EINVAL);
	assert_int_equal(store_stage(s, "", 0, NULL, NULL), -EINVAL);
	memset(big, ' ', sizeof(big));
	memcpy(big, "{}", 2);
	assert_int_equal(store_stage(s, big, sizeof(big), NULL, &e), -EMSGSIZE);
	assert_non_null(strstr(e.text, "event body"));
	assert_false(store_poisoned(s));
	assert_int_equal(store_stage(s, big, sizeof(big) - 1, NULL, NULL), 0);
	assert_int_equal(store_stage(s, "{\"seq\":2}", 9, NULL, NULL), 0);
	commit_ok(s);
	s = store_free(s);
}

static void test_one_writer(void **state)
{
	struct store *s, *second = NULL, *reader;
	struct err e = { 0 };
	char pid[32], *body = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(store_open(dir, 0, &second, NULL), -ENOENT);
	s = open_ok(STORE_CREATE);
	put_event(s, 1);
	commit_ok(s);
	(void)snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_int_equal(store_open(dir, STORE_CREATE, &second, &e), -EBUSY);
	assert_non_null(strstr(e.text, pid));
	reader = open_ok(STORE_READER);
	assert_int_equal(store_head(reader).seq, 1);
	assert_int_equal(store_get(reader, 1, &body, &len, NULL), 0);
	assert_string_equal(body, "{\"n\":1,\"seq\":1}");
	free(body);
	assert_int_equal(store_get(reader, 2, &body, &len, NULL), -ENOENT);
	assert_int_equal(store_stage(reader, "{}", 2, NULL, NULL), -EROFS);
	assert_int_equal(store_kv_put(reader, "k", "v", 1, NULL), -EROFS);
	reader = store_free(reader);
	s = store_free(s);
	raw_ok("PRAGMA user_version=99");
	assert_int_equal(store_open(dir, 0, &second, &e), -EPROTO);
}

/* A database of ten events; `sql` is what the attacker does. */
static struct store_report attacked(const char *sql)
{
	struct store *s = open_ok(STORE_CREATE);

	while (store_next_seq(s) <= 10)
		put_event(s, (int)store_next_seq(s));
	commit_ok(s);
	s = store_free(s);
	raw_ok(sql);
	return report();
}

static const struct {
	const char *name, *sql;
	enum store_fault fault;
	uint64_t seq;
} attacks[] = {
	{ "nothing", "SELECT 1", STORE_SOUND, 0 },
	{ "open and shut", OPEN_UP SHUT, STORE_SOUND, 0 },
	{ "trigger gone", "DROP TRIGGER event_no_delete", STORE_FAULT_SCHEMA, 0 },
	{ "foreign trigger", "CREATE TRIGGER x AFTER INSERT ON event BEGIN SELECT 1; END",
	  STORE_FAULT_SCHEMA, 0 },
	{ "trigger weakened",
	  "DROP TRIGGER class_gate; CREATE TRIGGER class_gate BEFORE UPDATE ON class_budget "
	  "BEGIN SELECT 1; END",
	  STORE_FAULT_SCHEMA, 0 },
	{ "row gone", OPEN_UP "DELETE FROM event WHERE seq=4;" SHUT, STORE_FAULT_GAP, 4 },
	{ "first row gone", OPEN_UP "DELETE FROM event WHERE seq=1;" SHUT, STORE_FAULT_GAP, 1 },
	{ "tail gone", OPEN_UP "DELETE FROM event WHERE seq>7;" SHUT, STORE_FAULT_GAP, 8 },
	{ "all gone", OPEN_UP "DELETE FROM event;" SHUT, STORE_FAULT_GAP, 1 },
	{ "two bodies swapped",
	  OPEN_UP
	  "PRAGMA ignore_check_constraints=1; UPDATE event SET body=(SELECT body FROM event "
	  "e WHERE e.seq=11-event.seq) WHERE seq IN(5,6);" SHUT,
	  STORE_FAULT_LEAF, 5 },
	{ "rows spliced",
	  OPEN_UP "PRAGMA ignore_check_constraints=1; UPDATE event SET (body,leaf,prev,chain)="
		  "(SELECT body,leaf,prev,chain FROM event e WHERE e.seq=9) WHERE seq=3;" SHUT,
	  STORE_FAULT_CHAIN, 3 },
	{ "leaf changed", OPEN_UP "UPDATE event SET leaf=zeroblob(32) WHERE seq=6;" SHUT,
	  STORE_FAULT_LEAF, 6 },
	{ "prev changed", OPEN_UP "UPDATE event SET prev=zeroblob(32) WHERE seq=6;" SHUT,
	  STORE_FAULT_CHAIN, 6 },
	{ "chain changed", OPEN_UP "UPDATE event SET chain=zeroblob(32) WHERE seq=10;" SHUT,
	  STORE_FAULT_CHAIN, 10 },
	/* No trigger asks these; the next start does. */
	{ "row replaced",
	  "INSERT OR REPLACE INTO event SELECT 2,'{}',leaf,prev,chain FROM event "
	  "WHERE seq=2",
	  STORE_FAULT_LEAF, 2 },
	{ "row put after a gap",
	  "INSERT INTO event SELECT 12,body,leaf,chain,chain FROM event "
	  "WHERE seq=10",
	  STORE_FAULT_GAP, 11 },
	{ "row that does not follow",
	  "INSERT INTO event SELECT 11,'{\"n\":10}',leaf,prev,chain "
	  "FROM event WHERE seq=10",
	  STORE_FAULT_LEAF, 11 },
	{ "row twice", "INSERT INTO event SELECT 11,body,leaf,prev,chain FROM event WHERE seq=10",
	  STORE_FAULT_CHAIN, 11 },
	{ "seq moved", OPEN_UP "UPDATE event SET seq=12,body='{}' WHERE seq=10;" SHUT,
	  STORE_FAULT_GAP, 10 },
};

static void test_attacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
		struct store_report r = attacked(attacks[i].sql);
		struct store *s = NULL;
		struct err e = { 0 };
		int opened;

		if (r.fault != attacks[i].fault || r.seq != attacks[i].seq)
			fail_msg("%s: %s at %llu: %s", attacks[i].name, store_fault_name(r.fault),
				 (unsigned long long)r.seq, r.why);
		opened = store_open(dir, 0, &s, &e);
		s = store_free(s);
		assert_int_equal(opened, r.fault == STORE_SOUND ? 0 : -EUCLEAN);
		if (opened < 0)
			assert_non_null(strstr(e.text, "treatyctl log verify"));
		assert_int_equal(dir_drop(NULL), 0);
		assert_int_equal(dir_make(NULL), 0);
	}
}

static void test_triggers(void **state)
{
	static const char *const sql[] = {
		"UPDATE event SET body='{}' WHERE seq=2",
		"DELETE FROM event WHERE seq=10",
		"INSERT INTO event SELECT 11,X'7b7d',leaf,chain,chain FROM event WHERE seq=10",
		"INSERT INTO event SELECT 11,'{}',NULL,chain,chain FROM event WHERE seq=10",
		"INSERT INTO "
		"journal(seq,wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,"
		"time,prev,hash) SELECT 1,1,'issue','','',0,'',0,0,leaf,1,1,leaf,leaf FROM event",
	};

	(void)state;
	assert_int_equal(attacked("SELECT 1").fault, STORE_SOUND);
	for (size_t i = 0; i < ARRAY_LEN(sql); i++)
		if ((raw(sql[i]) & 0xff) != SQLITE_CONSTRAINT)
			fail_msg("not refused: %s", sql[i]);
	assert_int_equal(report().fault, STORE_SOUND);
}

/* A row that follows, whose hashes are right where `leaf` says nothing else: verify knows its
 * shape. */
static struct store_report added(const char *body, const char *leaf)
{
	struct store *s = open_ok(STORE_CREATE);
	struct hash h[3];
	char hex[3][2 * HASH_LEN + 1], sql[512];

	put_event(s, 1);
	commit_ok(s);
	h[0] = store_durable_head(s).chain;
	h[1] = hash_leaf(body, strlen(body));
	h[2] = hash_bytes(h, 2 * sizeof(h[0]));
	s = store_free(s);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hex_encode(h[i].b, HASH_LEN, hex[i], sizeof(hex[i])), 64);
	(void)snprintf(sql, sizeof(sql), "INSERT INTO event VALUES(2,'%s',x'%s',x'%s',x'%s')", body,
		       leaf ? leaf : hex[1], hex[0], hex[2]);
	raw_ok(sql);
	return report();
}

static void test_shapes(void **state)
{
	static const struct {
		const char *body, *leaf;
		enum store_fault fault;
	} row[] = {
		{ "{\"seq\":2}", NULL, STORE_FAULT_GAP }, /* sound but for the head row */
		{ "{", NULL, STORE_FAULT_JSON },          { "{\"seq\":3}", NULL, STORE_FAULT_JSON },
		{ "", NULL, STORE_FAULT_LEAF },           { "{}", "00", STORE_FAULT_LEAF },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct store_report r = added(row[i].body, row[i].leaf);

		if (r.fault != row[i].fault)
			fail_msg("%s: %s", row[i].body, store_fault_name(r.fault));
		assert_int_equal(dir_drop(NULL), 0);
		assert_int_equal(dir_make(NULL), 0);
	}
}

/* Every byte of one body, flipped behind SQLite's back of constraints: verify names that seq. */
static void test_every_byte(void **state)
{
	static const char body[] = "{\"n\":7,\"seq\":7}";
	char sql[1024];

	(void)state;
	assert_int_equal(attacked("SELECT 1").fault, STORE_SOUND);
	for (size_t i = 0; i < sizeof(body) - 1; i++) {
		struct store_report r;
		char hex[2 * sizeof(body)];

		for (size_t k = 0; k < sizeof(body) - 1; k++)
			(void)snprintf(hex + 2 * k, 3, "%02x",
				       (unsigned char)body[k] ^ (k == i ? 1U << (i % 7) : 0));
		(void)snprintf(sql, sizeof(sql),
			       OPEN_UP
			       "PRAGMA ignore_check_constraints=1;"
			       "UPDATE event SET body=CAST(x'%s' AS TEXT) WHERE seq=7;" SHUT,
			       hex);
		raw_ok(sql);
		r = report();
		if (r.fault != STORE_FAULT_LEAF || r.seq != 7)
			fail_msg("byte %zu: %s at %llu", i, store_fault_name(r.fault),
				 (unsigned long long)r.seq);
	}
	(void)snprintf(sql, sizeof(sql), OPEN_UP "UPDATE event SET body='%s' WHERE seq=7;" SHUT,
		       body);
	raw_ok(sql);
	assert_int_equal(report().fault, STORE_SOUND);
}

static void test_backup(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	struct store_head h5;
	struct hash forged, at;
	struct merkle_proof p;

	(void)state;
	while (store_next_seq(s) <= 5)
		put_event(s, 1);
	h5 = store_head(s);
	while (store_next_seq(s) <= 9)
		put_event(s, 2);
	commit_ok(s);
	forged = h5.root;
	forged.b[0] ^= 1;
	assert_int_equal(store_backup_check(s, 5, &h5.root, NULL), 0);
	assert_int_equal(store_backup_check(s, 5, &forged, NULL), -EUCLEAN);
	assert_int_equal(store_backup_check(s, 10, &h5.root, NULL), -ESTALE);
	assert_int_equal(store_root_at(s, 9, &at, NULL), 0);
	assert_memory_equal(at.b, store_head(s).root.b, HASH_LEN);
	assert_int_equal(store_prove_consistency(s, 5, 9, &p, NULL), 0);
	assert_int_equal(merkle_check_consistency(5, 9, &p, &h5.root, &at), 0);
	assert_int_equal(store_prove_inclusion(s, 10, 9, &p, NULL), -ERANGE);
	for (uint64_t q = 1; q <= 9; q++) {
		char *body = NULL;
		size_t len = 0;
		struct hash leaf;

		assert_int_equal(store_get(s, q, &body, &len, NULL), 0);
		leaf = hash_leaf(body, len);
		free(body);
		assert_int_equal(store_prove_inclusion(s, q, 9, &p, NULL), 0);
		assert_int_equal(merkle_check_inclusion(&leaf, q - 1, 9, &p, &at), 0);
	}
	s = store_free(s);
}

static int collect(void *arg, const struct store_out *o)
{
	uint64_t *ids = arg;

	assert_string_equal(o->kind, "a2a");
	assert_int_equal(o->len, 5);
	ids[++ids[0]] = o->id;
	return 0;
}

static void test_outbox(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	struct store_out o = {
		.seq = 1, .kind = "a2a", .dest = "did:web:x", .body = "hello", .len = 5
	};
	uint64_t ids[8] = { 0 }, id = 0;

	(void)state;
	assert_int_equal(store_out_put(s, &o, &id, NULL), -EINVAL); /* no event 1 yet */
	put_event(s, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(store_out_put(s, &o, &id, NULL), 0);
	commit_ok(s);
	assert_int_equal(store_out_put(s, &o, &id, NULL), 0); /* not committed */
	s = store_free(s);
	s = open_ok(0);
	assert_int_equal(store_out_pending(s, 0, collect, ids, NULL), 0);
	assert_int_equal(ids[0], 3);
	assert_int_equal(store_out_done(s, ids[1], true, NULL), 0);
	assert_int_equal(store_out_done(s, ids[1], true, NULL), -ENOENT);
	assert_int_equal(store_out_done(s, ids[2], false, NULL), 0);
	commit_ok(s);
	s = store_free(s);
	s = open_ok(0);
	id = ids[3];
	ids[0] = 0;
	assert_int_equal(store_out_pending(s, 0, collect, ids, NULL), 0);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], id);
	o.kind = "";
	assert_int_equal(store_out_put(s, &o, &id, NULL), -EINVAL);
	s = store_free(s);
}

static void test_side_tables(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	struct hash q1 = hash_bytes("1", 1), q2 = hash_bytes("2", 1);
	enum refusal why = REFUSE_MAX_;
	void *p = NULL;
	size_t n = 9;

	(void)state;
	assert_int_equal(store_kv_get(s, "did", &p, &n, NULL), -ENOENT);
	assert_int_equal(store_kv_put(s, "did", "did:a", 5, NULL), 0);
	assert_int_equal(store_kv_put(s, "did", "did:bb", 6, NULL), 0);
	assert_int_equal(store_kv_get(s, "did", &p, &n, NULL), 0);
	assert_string_equal(p, "did:bb");
	free(p);
	assert_int_equal(store_idem_get(s, "did:a", "k", &q1, &why, &p, &n, NULL), 0);
	assert_int_equal(why, REFUSE_NONE);
	assert_null(p);
	assert_int_equal(store_idem_put(s, "did:a", "k", &q1, "yes", 3, NULL), 0);
	assert_int_equal(store_idem_put(s, "did:a", "k", &q1, "yes", 3, NULL), -EEXIST);
	commit_ok(s);
	assert_int_equal(store_idem_get(s, "did:a", "k", &q1, &why, &p, &n, NULL), 0);
	assert_string_equal(p, "yes");
	free(p);
	assert_int_equal(store_idem_get(s, "did:a", "k", &q2, &why, &p, &n, NULL), 0);
	assert_int_equal(why, REFUSE_DUPLICATE);
	assert_null(p);
	assert_int_equal(store_idem_get(s, "did:b", "k", &q2, &why, &p, &n, NULL), 0);
	assert_int_equal(why, REFUSE_NONE); /* another principal's key is another key */
	s = store_free(s);
}

/* The batch prover says what the single one says, for every event of every size. */
static void test_prover(void **state)
{
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);
	struct store_prover *p = NULL;

	(void)state;
	for (uint64_t n = 1; n <= 70; n++) {
		(void)put_event(s, (int)n);
		for (uint64_t seq = 1; seq <= n; seq++) {
			struct merkle_proof a, b;

			if (seq == 1)
				assert_int_equal(store_prover_new(s, n, &p, NULL), 0);
			assert_int_equal(store_prove_inclusion(s, seq, n, &a, NULL), 0);
			assert_int_equal(store_prover_inclusion(p, seq, &b), 0);
			assert_int_equal(a.n, b.n);
			assert_memory_equal(a.node, b.node, a.n * sizeof(a.node[0]));
		}
		assert_int_equal(store_prover_inclusion(p, n + 1, &(struct merkle_proof){ 0 }),
				 -ERANGE);
		p = store_prover_free(p);
	}
	assert_int_equal(store_prover_new(s, 71, &p, NULL), -ERANGE);
	assert_int_equal(store_prover_new(s, STORE_PROVER_MAX + 1, &p, NULL), -EFBIG);
	s = store_free(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dir_make, dir_drop)

/* Pieces of SQLite's memory taken, grown, shrunk and given back in no order: none is another's, and
 * what they hold stays. */
static void test_heap(void **state)
{
	static unsigned char *at[64];
	static size_t len[64];
	uint32_t seed = 7;

	(void)state;
	(void)store_free(open_ok(STORE_CREATE));
	for (int i = 0; i < 60000; i++) {
		unsigned k, kind;
		size_t n;

		seed = seed * 1664525 + 1013904223;
		k = seed >> 8 & 63;
		kind = seed >> 14 & 3;
		n = (seed >> 16) % (kind ? 600 : 9000) + 1;
		for (size_t j = 0; j < len[k]; j++)
			assert_true(at[k][j] == k);
		if (kind == 3) {
			sqlite3_free(at[k]);
			at[k] = NULL;
			len[k] = 0;
			continue;
		}
		at[k] = sqlite3_realloc64(at[k], n);
		assert_non_null(at[k]);
		assert_int_equal((uintptr_t)at[k] % 8, 0);
		assert_true(sqlite3_msize(at[k]) >= n);
		for (size_t j = 0; j < len[k] && j < n; j++)
			assert_true(at[k][j] == k);
		memset(at[k], (int)k, n);
		len[k] = n;
	}
	for (int k = 0; k < 64; k++)
		sqlite3_free(at[k]);
}

static bool in_files(const char *needle)
{
	char cmd[160];

	(void)snprintf(cmd, sizeof(cmd), "grep -rqaF '%s' %s", needle, dir);
	return system(cmd) == 0;
}

/* Bodies of two consumers: nothing readable on disk; one is erased, the log and the other stay. */
static void test_bodies(void **state)
{
	struct hash a = hash_bytes("a", 1), b = hash_bytes("b", 1), none = hash_bytes("c", 1);
	char name[160];
	void *p = NULL;
	size_t n = 0;
	struct store *s = open_ok(STORE_CREATE);

	(void)state;
	(void)put_event(s, 1);
	assert_int_equal(store_body_put(s, &a, "", "x", 1, NULL), -EINVAL);
	assert_int_equal(store_body_put(s, &a, "did:a", "secret-of-a", 11, NULL), 0);
	assert_int_equal(store_body_put(s, &a, "did:a", "secret-of-a", 11, NULL), 0);
	assert_int_equal(store_body_put(s, &b, "did:b", "secret-of-b", 11, NULL), 0);
	commit_ok(s);
	assert_int_equal(store_body_get(s, &a, &p, &n, NULL), 0);
	assert_int_equal(n, 11);
	assert_string_equal(p, "secret-of-a");
	free(p);
	assert_int_equal(store_body_get(s, &none, &p, &n, NULL), -ENOENT);
	assert_false(in_files("secret-of"));
	assert_int_equal(store_consumer_erase(s, "did:c", NULL), -ENOENT);
	assert_int_equal(store_consumer_erase(s, "did:a", NULL), 0);
	assert_int_equal(store_consumer_erase(s, "did:a", NULL), -ENOENT);
	assert_int_equal(store_body_get(s, &a, &p, &n, NULL), -ENODATA);
	/* A new key for what comes later; the old bodies stay erased. */
	assert_int_equal(store_body_put(s, &none, "did:a", "later", 5, NULL), 0);
	assert_int_equal(store_body_get(s, &a, &p, &n, NULL), -ENODATA);
	assert_int_equal(store_body_get(s, &none, &p, &n, NULL), 0);
	free(p);
	assert_int_equal(store_body_get(s, &b, &p, &n, NULL), 0);
	assert_string_equal(p, "secret-of-b");
	free(p);
	commit_ok(s);
	assert_int_equal(report().fault, STORE_SOUND);
	/* A body put under another's digest, or altered, is damage and no text. */
	raw_ok("DROP TRIGGER body_erase; UPDATE body SET data=CAST(substr(data,1,"
	       "length(data)-1)||x'00' AS BLOB) "
	       "WHERE data IS NOT NULL");
	assert_int_equal(store_body_get(s, &b, &p, &n, NULL), -EUCLEAN);
	(void)snprintf(name, sizeof(name), "%s/consumer", dir);
	assert_int_equal(access(name, X_OK), 0);
	s = store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_heap),       T(test_prover),  T(test_turns),    T(test_bad_events),
		T(test_one_writer), T(test_attacks), T(test_triggers), T(test_shapes),
		T(test_every_byte), T(test_backup),  T(test_outbox),   T(test_side_tables),
		T(test_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
