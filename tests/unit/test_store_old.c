/* SPDX-License-Identifier: Apache-2.0 */
/* A database of an older schema goes on under ours: every row and every stored answer as before.
 * One that was bent is refused, and left as it is. tests/vectors/store/schema2.sql has a hold in
 * each state, a sub-wallet, both sides, a late capture, a void revision, a credit note; schema3.sql
 * to schema5.sql are the same database moved on by the programs of those times, with one hold more
 * each. */
#include <stdlib.h>
#include "store_util.h"

#define FIXTURE "tests/vectors/store/schema%d.sql"

static int was; /* the schema of the file */

static char *text_of(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 17);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 17) - 1, f) > 0);
	(void)fclose(f);
	return text;
}

/* The same database twice: dir/treaty.db is to be moved on, dir/was.db to compare with. */
static int old_make(void **state, int schema)
{
	static const char *const name[] = { "treaty.db", "was.db" };
	char from[64], *sql;

	was = schema;
	(void)snprintf(from, sizeof(from), FIXTURE, schema);
	sql = text_of(from);
	if (dir_make(state))
		return -1;
	for (int i = 0; i < 2; i++) {
		char path[128];
		sqlite3 *db = NULL;

		(void)snprintf(path, sizeof(path), "%s/%s", dir, name[i]);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		assert_int_equal(chmod(path, 0600), 0);
	}
	free(sql);
	return 0;
}

static int make_2(void **state)
{
	return old_make(state, 2);
}

static int make_3(void **state)
{
	return old_make(state, 3);
}

static int make_4(void **state)
{
	return old_make(state, 4);
}

static int make_5(void **state)
{
	return old_make(state, 5);
}

/* One number out of dir/treaty.db, beside dir/was.db as `was`. */
static int64_t number(const char *sql)
{
	char path[160];
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n;

	(void)snprintf(path, sizeof(path), "%s/treaty.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	(void)snprintf(path, sizeof(path), "ATTACH '%s/was.db' AS was", dir);
	assert_int_equal(sqlite3_exec(db, path, NULL, NULL, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return n;
}

/* Columns of a table that both schemas have, or what stands for it. */
struct same {
	const char *cols, *was, *is;
};

#define HOLD                                                                                  \
	"(SELECT j.seq id,l.side,j.hold_id,l.lineage,j.rev,j.amount,j.total,j.follows prev,"  \
	"j.note offer,j.state,j.expires,j.held_then,j.captured_then,j.lineage_then,l.wallet," \
	"l.class FROM main.journal j JOIN main.lineage l ON l.id=j.line)"

static const struct same same[] = {
	{ "id,side,issuer,wallet_id,holder,credential,generation,currency,digits,ceiling,"
	  "agreement_max,valid_from,valid_until,revoked,receipt,parent,depth",
	  "was.wallet", "main.wallet" },
	{ "*", "was.event", "main.event" },
	{ "seq,wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,time,prev,hash",
	  "was.journal", "main.journal" },
	{ "*", "was.kv", "main.kv" },
	{ "*", "was.agreement", "main.agreement" },
	{ "wallet,class,generation,ceiling,held,captured", "was.class_budget",
	  "main.class_budget" },
	{ "wallet,class",
	  "(SELECT c.* FROM was.class_budget c JOIN wallet w ON w.id=c.wallet"
	  " WHERE w.parent NOTNULL)",
	  "(SELECT * FROM main.class_budget WHERE sub=1)" },
	{ "side,lineage,wallet,class,rev,head,captured", "was.lineage", "main.lineage" },
};

/* Until 4: holds had a table, wallets counters. */
static const struct same same_to_4[] = {
	{ "id,held,captured", "was.wallet",
	  "(SELECT w.id,sum(b.held) held,sum(b.captured) captured FROM main.wallet w JOIN"
	  " main.class_budget b ON b.wallet=w.id GROUP BY w.id)" },
	{ "side,hold_id,lineage,rev,amount,total,prev,offer,state,expires", "was.hold", HOLD },
	{ "side,lineage", "(SELECT side,lineage FROM was.hold WHERE state=0)",
	  "(SELECT side,lineage FROM main.lineage WHERE live NOTNULL)" },
};

/* Of schema 2: holds had a stored answer, and their lineage's wallet and class. */
static const struct same same_2[] = {
	{ "side,hold_id,wallet,class,lineage", "was.hold", HOLD },
	{ "wallet,hold_id,amount,held,captured,lineage_captured,journal", "was.ledger_idem",
	  "(SELECT wallet,hold_id,amount,held,captured,lineage_captured,journal FROM"
	  " main.ledger_idem UNION ALL SELECT j.wallet,j.hold_id,j.held,j.held_then,"
	  "j.captured_then,j.lineage_then,j.seq FROM main.journal j WHERE j.line NOTNULL)" },
	{ "wallet,key,request,journal",
	  "(SELECT i.* FROM was.ledger_idem i JOIN was.journal j ON j.seq=i.journal"
	  " WHERE j.kind<>'hold')",
	  "main.ledger_idem" },
};

#define ANSWER "wallet,key,request,hold_id,amount,held,captured,lineage_captured,journal"

static const struct same same_3[] = {
	{ "id,side,hold_id,lineage,rev,amount,total,prev,offer,state,expires,held_then,"
	  "captured_then,lineage_then",
	  "was.hold", HOLD },
	{ ANSWER, "was.ledger_idem", "main.ledger_idem" },
	{ "side,lineage,wallet,class,rev,head,captured,live", "was.lineage", "main.lineage" },
};

static const struct same same_5[] = {
	{ "*", "was.wallet", "main.wallet" },
	{ "*", "was.lineage", "main.lineage" },
	{ "*", "was.journal", "main.journal" },
	{ ANSWER, "was.ledger_idem", "main.ledger_idem" },
	{ "wallet,class,generation,ceiling,held,captured,sub", "was.class_budget",
	  "main.class_budget" },
};

static void compare(const struct same *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char sql[1600];

		(void)snprintf(
			sql, sizeof(sql),
			"SELECT (SELECT count(*) FROM (SELECT %s FROM %s EXCEPT SELECT %s FROM"
			" %s))+(SELECT count(*) FROM (SELECT %s FROM %s EXCEPT SELECT %s FROM"
			" %s))+((SELECT count(*) FROM %s)<>(SELECT count(*) FROM %s))",
			t[i].cols, t[i].was, t[i].cols, t[i].is, t[i].cols, t[i].is, t[i].cols,
			t[i].was, t[i].was, t[i].is);
		if (number(sql) != 0)
			fail_msg("not as it was: %s", t[i].was);
		(void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", t[i].was);
		if (number(sql) == 0)
			fail_msg("nothing to compare: %s", t[i].was);
	}
}

static void all_the_same(void)
{
	compare(same, ARRAY_LEN(same));
	if (was < 5)
		compare(same_to_4, ARRAY_LEN(same_to_4));
	if (was == 2)
		compare(same_2, ARRAY_LEN(same_2));
	else if (was < 5)
		compare(same_3, ARRAY_LEN(same_3));
	else
		compare(same_5, ARRAY_LEN(same_5));
}

static struct ledger_hold ask_again(void)
{
	struct ledger_hold q = { .wallet = { LEDGER_GATE, "did:web:treasury.example", "sub" },
				 .class_name = "bulk",
				 .currency = "EUR",
				 .lineage = "live",
				 .rev = 1,
				 .amount = { 111 },
				 .now = { 50 },
				 .expires = { 450 } };

	q.offer = hash_bytes("offer live 1", 12);
	return q;
}

static struct ledger_result held(struct store *s, const struct ledger_hold *q, enum refusal why)
{
	struct ledger_result r = { 0 };

	assert_int_equal(ledger_hold(s, q, &r, NULL), 0);
	assert_int_equal(r.why, why);
	return r;
}

/* What was asked before gets its old answer; what is new goes on from where it stood. */
static void goes_on(void)
{
	struct store *s = open_ok(0);
	struct ledger_hold q = ask_again();
	struct hash a = hash_bytes("A-new", 5), prev = hash_bytes("A-late", 6);
	struct ledger_result r = held(s, &q, REFUSE_NONE), c;
	unsigned n = 0;

	assert_true(r.replayed);
	assert_int_equal(r.amount.minor, 111);
	q.amount.minor = 112;
	(void)held(s, &q, REFUSE_LEDGER_REPLAY);
	q.amount.minor = 111;
	q.rev = 2;
	(void)held(s, &q, REFUSE_IN_FLIGHT);
	assert_int_equal(
		ledger_capture(s, LEDGER_GATE, q.lineage, r.hold_id, &a, (wall_t){ 51 }, &c, NULL),
		0);
	assert_int_equal(c.why, REFUSE_KEY_COMPROMISED); /* frozen there */
	assert_int_equal(ledger_expire(s, (wall_t){ 10000 }, &n, NULL), 0);
	assert_int_equal(n, number(was < 5 ? "SELECT count(*) FROM was.hold WHERE state=0"
					   : "SELECT count(*) FROM was.journal WHERE state=0"));
	memcpy(q.lineage, "late", 5);
	q.rev = 9;
	q.prev = prev;
	q.now.ms = 10001;
	q.expires.ms = 10002;
	r = held(s, &q, REFUSE_NONE);
	assert_int_equal(ledger_capture(s, LEDGER_GATE, q.lineage, r.hold_id, &a, q.now, &c, NULL),
			 0);
	assert_int_equal(c.why, REFUSE_NONE);
	(void)put_event(s, 1);
	commit_ok(s);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
}

/* From 2 to 5. */
static void test_schema(void **state)
{
	struct store *s = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(store_open(dir, STORE_READER, &s, &e), -EPROTO);
	s = open_ok(0);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
	assert_int_equal(number("PRAGMA user_version"), STORE_SCHEMA);
	all_the_same();
	goes_on();
}

/* Its constraints said the same with IN. */
static void test_schema_1(void **state)
{
	struct store *s;

	(void)state;
	raw_ok("PRAGMA writable_schema=ON;"
	       "UPDATE sqlite_schema SET sql=replace(sql,'state BETWEEN 0 AND 2',"
	       "'state IN(0,1,2)') WHERE name='outbox';"
	       "UPDATE sqlite_schema SET sql=replace(sql,'state BETWEEN 0 AND 3',"
	       "'state IN(0,1,2,3)') WHERE name='hold';"
	       "UPDATE sqlite_schema SET sql=replace(sql,'NEW.state BETWEEN 1 AND 3',"
	       "'NEW.state IN(1,2,3)') WHERE name='hold_step';"
	       "UPDATE sqlite_schema SET sql=replace(sql,'kind=''hold'' OR kind=''capture'' OR "
	       "kind=''release'' OR kind=''expire'' OR kind=''receipt'' OR kind=''rehold'' OR "
	       "kind=''credit'' OR kind=''void'' OR kind=''issue'' OR kind=''revoke''',"
	       "'kind IN(''issue'',''revoke'',''hold'',''rehold'',''capture'',''release'',"
	       "''expire'',''credit'',''receipt'',''void'')') WHERE name='journal';"
	       "PRAGMA user_version=1;");
	s = open_ok(0);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
	all_the_same();
	goes_on();
}

#define ANSWERS_OPEN "DROP TRIGGER ledger_idem_no_delete; DROP TRIGGER ledger_idem_no_update;"
#define ANSWERS_SHUT                                                               \
	"CREATE TRIGGER ledger_idem_no_update BEFORE UPDATE ON ledger_idem BEGIN " \
	"SELECT RAISE(ABORT,'ledger_idem is append-only'); END;"                   \
	"CREATE TRIGGER ledger_idem_no_delete BEFORE DELETE ON ledger_idem BEGIN " \
	"SELECT RAISE(ABORT,'ledger_idem is never deleted'); END;"

/* Each leaves a file that cannot be moved on: refused as a whole, and still of its old schema. */
static const char *const bent[] = {
	"DROP TRIGGER event_no_delete",
	"CREATE TRIGGER odd AFTER INSERT ON event BEGIN SELECT 1; END",
	"CREATE INDEX odd ON journal(held)",
	"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql=replace(sql,'leaf','leave')"
	" WHERE name='event'",
};

static const char *const bent_2[] = {
	ANSWERS_OPEN "DELETE FROM ledger_idem WHERE journal=(SELECT max(seq) FROM journal"
		     " WHERE kind='hold');" ANSWERS_SHUT,
	"INSERT INTO lineage(side,lineage,wallet,class,head) VALUES(0,'odd',1,'bulk',"
	"zeroblob(32)); INSERT INTO hold(side,hold_id,wallet,class,lineage,rev,amount,total,"
	"prev,offer,expires) VALUES(0,'h-00000000000000000000000000000000',1,'bulk','odd',1,"
	"0,0,zeroblob(32),zeroblob(32),9)",
};

/* A hold without its row of the journal, and a row of the journal without its hold. */
static const char *const bent_4[] = {
	"UPDATE lineage SET live=(SELECT max(id)+1 FROM hold) WHERE lineage='released'; INSERT INTO"
	" hold(id,side,hold_id,lineage,rev,amount,total,prev,offer,expires,held_then,captured_then,"
	"lineage_then) SELECT "
	"max(id)+1,0,'h-00000000000000000000000000000000','released',2,0,0,prev,"
	"offer,9,0,0,0 FROM hold",
	"DROP TRIGGER hold_no_delete; DELETE FROM hold WHERE id=8; CREATE TRIGGER hold_no_delete "
	"BEFORE"
	" DELETE ON hold BEGIN SELECT RAISE(ABORT,'hold is never deleted'); END;",
};

/* A hold that is there twice. */
static const char *const bent_5[] = {
	"CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name='journal_next';"
	"DROP TRIGGER journal_next; INSERT INTO journal SELECT (SELECT max(seq) FROM journal)+1,"
	"wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,time,prev,hash,line,1,"
	"amount,total,follows,expires,held_then,captured_then,lineage_then FROM journal WHERE"
	" line NOTNULL LIMIT 1; PRAGMA writable_schema=ON; INSERT INTO sqlite_schema SELECT * FROM"
	" temp.kept;",
};

static void refuse_bent(const char *sql, int schema)
{
	struct store *s = NULL;
	struct err e = { 0 };

	assert_int_equal(old_make(NULL, schema), 0);
	raw_ok(sql);
	if (store_open(dir, 0, &s, &e) != -EUCLEAN)
		fail_msg("taken: %s", sql);
	assert_int_equal(number("PRAGMA user_version"), schema);
	if (schema < 5)
		assert_true(number("SELECT count(*) FROM main.hold") + 1 >=
			    number("SELECT count(*) FROM was.hold"));
	assert_int_equal(number("SELECT count(*) FROM main.lineage WHERE side=1"),
			 number("SELECT count(*) FROM was.lineage WHERE side=1"));
	assert_int_equal(number("SELECT count(*) FROM sqlite_schema WHERE name='hold_live'"),
			 schema == 2);
	assert_int_equal(dir_drop(NULL), 0);
}

static void test_bent(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bent); i++) {
		refuse_bent(bent[i], 2);
		refuse_bent(bent[i], 3);
		refuse_bent(bent[i], 4);
		refuse_bent(bent[i], 5);
	}
	for (size_t i = 0; i < ARRAY_LEN(bent_2); i++)
		refuse_bent(bent_2[i], 2);
	for (size_t i = 0; i < ARRAY_LEN(bent_4); i++)
		refuse_bent(bent_4[i], 4);
	for (size_t i = 0; i < ARRAY_LEN(bent_5); i++)
		refuse_bent(bent_5[i], 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_schema, make_2, dir_drop),
		cmocka_unit_test_setup_teardown(test_schema, make_3, dir_drop),
		cmocka_unit_test_setup_teardown(test_schema, make_4, dir_drop),
		cmocka_unit_test_setup_teardown(test_schema, make_5, dir_drop),
		cmocka_unit_test_setup_teardown(test_schema_1, make_2, dir_drop),
		cmocka_unit_test(test_bent),
	};

	return cmocka_run_group_tests_name("store_old", tests, NULL, NULL);
}
