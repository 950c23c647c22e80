/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's rules against raw SQL: what the tables refuse, what the next look at the file finds,
 * and what a turn says of tables that were changed beneath it. */
#include <stdlib.h>
#include "ledger_lab.h"

/* So much more held in one class, then in the other. */
#define BOTH(order, bulk)                                                         \
	"BEGIN; UPDATE class_budget SET held=held+" order " WHERE class='order';" \
	"UPDATE class_budget SET held=held+" bulk " WHERE class='bulk'"

/* The next row of the journal as a new hold of L1, which has ended its own. */
#define NEXT_HOLD(line, name, wallet, class, id, amount, state)                                    \
	"BEGIN; UPDATE lineage SET live=(SELECT max(seq)+1 FROM journal) WHERE lineage='L1';"      \
	"INSERT INTO journal SELECT j.seq+1," wallet                                               \
	",'hold'," class "," name ",9," id ",0,0,"                                                 \
			 "j.note,j.event,j.time,j.hash,j.hash," line "," state "," amount          \
			 ",0,zeroblob(32),999,0,"                                                  \
			 "0,0 FROM lineage l,(SELECT * FROM journal ORDER BY seq DESC LIMIT 1) j " \
			 "WHERE"                                                                   \
			 " l.lineage='L1'"
#define KNOWN "(SELECT hold_id FROM journal WHERE line=l.id)"

/* As the daemon's own connection is. */
#define REPLACES "PRAGMA recursive_triggers=ON; "

static const char *const refused[] = {
	BOTH("485", "211"), /* 790 of 800 and 211 of 600, but 1001 of the wallet's 1000 */
	"UPDATE class_budget SET captured=1001,held=0",
	"UPDATE class_budget SET held=801 WHERE class='order'",
	"UPDATE wallet SET ceiling=ceiling+1",
	"UPDATE wallet SET ceiling=99999",
	"UPDATE wallet SET generation=generation+2,ceiling=5000",
	"UPDATE wallet SET currency='USD'",
	"UPDATE class_budget SET held=-1",
	"UPDATE class_budget SET ceiling=9999",
	"UPDATE class_budget SET ceiling=9999,generation=generation+1",
	"DELETE FROM wallet",
	"DELETE FROM class_budget",
	"UPDATE wallet SET rowid=9",
	"UPDATE wallet SET _rowid_=9",
	"UPDATE wallet SET oid=id+9",
	"UPDATE journal SET rowid=99",
	"UPDATE journal SET seq=99",
	"UPDATE lineage SET live=NULL WHERE lineage='L2'",
	"UPDATE lineage SET live=99 WHERE lineage='L2'",
	"UPDATE lineage SET lineage='L9'",
	REPLACES "INSERT OR REPLACE INTO lineage SELECT * FROM lineage",
	REPLACES
	"INSERT OR REPLACE INTO lineage(id,side,lineage,wallet,class,head) SELECT id,side,'L9',"
	"wallet,class,zeroblob(32) FROM lineage",
	"INSERT INTO lineage(side,lineage,wallet,class,head) SELECT 0,'',wallet,class,"
	"zeroblob(32) FROM lineage",
	"UPDATE lineage SET id=99 WHERE lineage='L2'",
	"UPDATE lineage SET rowid=99 WHERE lineage='L2'",
	"UPDATE class_budget SET sub=1",
	"INSERT INTO class_budget(wallet,class,generation,ceiling,sub) SELECT id,'x',generation,1,1"
	" FROM wallet",
	REPLACES "INSERT OR REPLACE INTO journal SELECT * FROM journal WHERE state=0",
	"INSERT INTO lineage(side,lineage,wallet,class,head,captured) SELECT 0,'L9',wallet,class,"
	"zeroblob(32),1 FROM lineage",
	"INSERT INTO lineage(side,lineage,wallet,class,head) SELECT 0,'L9',wallet,class,"
	"randomblob(32) FROM lineage",
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", KNOWN, "0", "0"),
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "0",
		  "0") "; " /* again */
		       "INSERT INTO journal SELECT "
		       "seq+1,wallet,kind,class,lineage,rev,hold_id,held,captured,note,"
		       "event,time,hash,hash,line,state,amount,total,follows,expires,0,0,0 FROM "
		       "journal"
		       " ORDER BY seq DESC LIMIT 1",
	"INSERT INTO "
	"journal(seq,wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,time,"
	"prev,hash) SELECT seq+1,wallet,'hold',class,lineage,9,'h-z',1,0,note,event,time,hash,hash"
	" FROM journal ORDER BY seq DESC LIMIT 1",
	"INSERT INTO "
	"journal(seq,wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,time,"
	"prev,hash,line) SELECT "
	"seq+1,wallet,'credit',class,lineage,9,'',0,0,note,event,time,hash,hash"
	",1 FROM journal ORDER BY seq DESC LIMIT 1",
	"UPDATE journal SET held_then=1",
	"UPDATE journal SET state=3 WHERE state ISNULL",
	"UPDATE journal SET state=NULL WHERE state=0",
	"UPDATE journal SET state=0 WHERE state=0",
	"UPDATE journal SET state=4 WHERE state=0",
	"INSERT OR REPLACE INTO wallet SELECT * FROM wallet",
	"UPDATE journal SET amount=1",
	"UPDATE journal SET state=0 WHERE state=1",
	"UPDATE lineage SET head=zeroblob(32) WHERE rev=1",
	"UPDATE lineage SET rev=rev+2 WHERE rev=1",
	"UPDATE lineage SET rev=rev-1 WHERE rev=1",
	"UPDATE agreement SET rev=5",
	"DELETE FROM agreement",
	"UPDATE journal SET held=0",
	"DELETE FROM journal",
	"UPDATE ledger_idem SET amount=0",
	"DELETE FROM ledger_idem",
};

/* The table takes these, the next look at the file does not. */
static const char *const misshapen[] = {
	"INSERT INTO lineage(side,lineage,wallet,class,head) SELECT 0,'L9',9,class,"
	"zeroblob(32) FROM lineage LIMIT 1",
	"INSERT INTO lineage(side,lineage,wallet,class,head) SELECT 0,'L9',wallet,'gold',"
	"zeroblob(32) FROM lineage LIMIT 1",
};

/* So are rows of the journal that do not follow: nobody else can make a hash that does, but nobody
 * needs the digest of a row whose columns alone are wrong. */
static const char *const forged[] = {
	NEXT_HOLD("l.id+1", "l.lineage", "l.wallet", "l.class", "'h-z'", "0", "0") ";COMMIT",
	NEXT_HOLD("l.id", "'L9'", "l.wallet", "l.class", "'h-z'", "0", "0") ";COMMIT",
	NEXT_HOLD("l.id", "l.lineage", "l.wallet+1", "l.class", "'h-z'", "0", "0") ";COMMIT",
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "'gold'", "'h-z'", "0", "0") ";COMMIT",
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "5", "0") ";COMMIT",
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "0", "1") ";COMMIT",
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "0", "0") ";COMMIT",
};

/* Each column that does not change is under the row's hash. */
static const char *const columns[] = {
	"class='order '", "lineage='L3'",    "rev=2",        "hold_id='h-'||substr(hold_id,2)",
	"held=6",         "captured=1",      "event=9",      "note=zeroblob(32)",
	"time=1",         "total=6",         "expires=1000", "follows=randomblob(32)",
	"held_then=6",    "captured_then=1", "wallet=2",     "lineage_then=1",
};

static void copy_file(const char *from, const char *to)
{
	char cmd[300];

	(void)snprintf(cmd, sizeof(cmd), "cp -p %s/%s %s/%s", dir, from, dir, to);
	assert_int_equal(system(cmd), 0);
}

static void test_forged(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 300), live = ask("L2", 1, NULL, 5);

	(void)state;
	(void)capture(hold(&q).hold_id, "A1");
	(void)hold(&live);
	commit_ok(s);
	s = store_free(s);
	copy_file("treaty.db", "sound.db");
	for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
		raw_ok(forged[i]);
		if (report().fault != STORE_FAULT_LEDGER)
			fail_msg("not seen: %s", forged[i]);
		copy_file("sound.db", "treaty.db");
		assert_int_equal(report().fault, STORE_SOUND);
	}
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		char sql[600];

		(void)snprintf(
			sql, sizeof(sql),
			"CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE"
			" name='journal_no_update'; DROP TRIGGER journal_no_update;"
			"UPDATE journal SET %s WHERE lineage='L2'; PRAGMA writable_schema=ON;"
			"INSERT INTO sqlite_schema SELECT * FROM temp.kept",
			columns[i]);
		raw_ok(sql);
		if (report().fault != STORE_FAULT_LEDGER || !strstr(report().why, "follow"))
			fail_msg("not seen: %s", columns[i]);
		copy_file("sound.db", "treaty.db");
	}
	s = open_ok(0);
}

static void test_raw_sql(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 300), live = ask("L2", 1, NULL, 5);
	struct store *again = NULL;
	struct err e = { 0 };

	(void)state;
	(void)capture(hold(&q).hold_id, "A1");
	(void)hold(&live);
	commit_ok(s);
	s = store_free(s);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if ((raw(refused[i]) & 0xff) != SQLITE_CONSTRAINT)
			fail_msg("not refused: %s", refused[i]);
	raw_ok(NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "0", "0"));
	raw_ok(BOTH("485", "210"));
	assert_int_equal(report().fault, STORE_SOUND); /* these were not committed */
	/* within the ceiling the triggers let it pass, but the journal does not know of it */
	raw_ok("UPDATE class_budget SET held=held+1 WHERE class='order'");
	assert_int_equal(report().fault, STORE_FAULT_LEDGER);
	assert_int_equal(store_open(dir, 0, &again, &e), -EUCLEAN);
	assert_non_null(strstr(e.text, "class counters"));
	raw_ok("UPDATE class_budget SET held=held-1 WHERE class='order'");
	raw_ok("UPDATE lineage SET captured=captured-1 WHERE lineage='L1'");
	assert_int_equal(report().fault, STORE_FAULT_LEDGER);
	raw_ok("UPDATE lineage SET captured=captured+1 WHERE lineage='L1'");
	for (size_t i = 0; i < ARRAY_LEN(misshapen); i++) {
		raw_ok(misshapen[i]);
		assert_int_equal(report().fault, STORE_FAULT_LEDGER);
		raw_ok("DROP TRIGGER lineage_no_delete; DELETE FROM lineage WHERE lineage='L9';"
		       "CREATE TRIGGER lineage_no_delete BEFORE DELETE ON lineage BEGIN SELECT"
		       " RAISE(ABORT,'lineage is never deleted'); END");
		assert_int_equal(report().fault, STORE_SOUND);
	}
	s = open_ok(0);
}

/* What others do to the tables beneath a turn. `first` is in the file, L2 is not yet. */
static const struct {
	const char *sql, *back;
} beneath[] = {
	{ "CREATE TRIGGER odd BEFORE INSERT ON journal WHEN NEW.lineage='L2' BEGIN"
	  " SELECT RAISE(ABORT,'odd'); END",
	  "DROP TRIGGER odd" },
	{ "CREATE TRIGGER odd BEFORE INSERT ON journal WHEN NEW.lineage='L2' BEGIN"
	  " SELECT RAISE(IGNORE); END",
	  "DROP TRIGGER odd" },
	{ "CREATE TRIGGER odd BEFORE INSERT ON lineage WHEN NEW.lineage='L2' BEGIN"
	  " SELECT RAISE(IGNORE); END",
	  "DROP TRIGGER odd" },
	{ "CREATE TRIGGER odd AFTER INSERT ON lineage WHEN NEW.lineage='L2' BEGIN"
	  " UPDATE lineage SET live=NULL WHERE id=NEW.id; END",
	  "DROP TRIGGER odd" },
	{ "INSERT INTO "
	  "journal(seq,wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,time,"
	  "prev,hash) SELECT seq+1,wallet,'credit',class,lineage,9,'',0,0,note,event,time,hash,hash"
	  " FROM journal ORDER BY seq DESC LIMIT 1",
	  "DROP TRIGGER journal_no_delete; DELETE FROM journal WHERE kind='credit'; CREATE TRIGGER"
	  " journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT,'journal is never"
	  " deleted'); END;" },
};

/* A turn whose rows the database refuses, or takes otherwise than they are, is never committed, and
 * what was acknowledged before it is all there. */
static void test_half_written(void **state)
{
	struct ledger_hold first = ask("L1", 1, NULL, 100), q = ask("L2", 1, NULL, 100);
	struct ledger_wallet w;

	(void)state;
	(void)hold(&first);
	commit_ok(s);
	for (size_t i = 0; i < ARRAY_LEN(beneath); i++) {
		struct err e = { 0 };

		(void)hold(&q);
		assert_int_equal(store_rollback(s, &e), 0);
		raw_ok(beneath[i].sql);
		assert_int_equal(hold(&q).why, REFUSE_NONE);
		if (store_commit(s, &e) != -EUCLEAN)
			fail_msg("taken: %s", beneath[i].sql);
		assert_true(store_poisoned(s));
		s = store_free(s);
		raw_ok(beneath[i].back);
		s = open_ok(0);
		assert_int_equal(ledger_wallet_get(s, &q.wallet, &w, &e), 0);
		assert_int_equal(w.held.minor, 100);
	}
	assert_int_equal(hold(&q).why, REFUSE_NONE);
	commit_ok(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_raw_sql),
		T(test_forged),
		T(test_half_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
