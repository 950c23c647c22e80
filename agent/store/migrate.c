/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.c - a database of an older schema becomes one of ours in one transaction: as a whole or
 * not at all. What it then holds is verified as at every start. */
#include <errno.h>
#include "agent/crypto/crypto.h"
#include "db.h"
#include "schema.h"

/* SHA-256 over the schemas that are moved on, a line for each object and one for its words. */
static const char schema_2[] = "c5fc5d19c1d2030e16d1145aabfd420a658a83d814df2150b445a41c21bb4640",
		  schema_3[] = "5e2cb2b7ee5b8e55539f5de0451599ae3aaafd2985d09bea0735254a0b4b7254",
		  schema_4[] = "31ac1111eb06e530b4ea7ab5b0a25033acc33ff3e8513a7c38e835af8e54fbd6",
		  schema_5[] = "a07b66d14ce50bed075486b8c313b980263423ed24dc43ad255bcab9bed65325";

/* Holds as 3 and 4 had them, on their way. */
#define HOLD_4                                                                                   \
	"CREATE TABLE hold(id INTEGER PRIMARY KEY CHECK(id>=1), side INTEGER NOT NULL, hold_id " \
	"TEXT"                                                                                   \
	" NOT NULL, lineage TEXT NOT NULL, rev INTEGER NOT NULL, amount INTEGER NOT NULL, total" \
	" INTEGER NOT NULL, prev BLOB NOT NULL, offer BLOB NOT NULL, state INTEGER NOT NULL,"    \
	" expires INTEGER NOT NULL, held_then INTEGER NOT NULL, captured_then INTEGER NOT NULL," \
	" lineage_then INTEGER NOT NULL) STRICT;"

/* A hold that has no row in the journal, no stored answer or another wallet than its lineage breaks
 * a constraint of the new table, and the step fails. */
static const char from_2[] =
	"ALTER TABLE class_budget RENAME TO class_2; ALTER TABLE lineage RENAME TO lineage_2;"
	"ALTER TABLE hold RENAME TO hold_2; ALTER TABLE ledger_idem RENAME TO idem_2;"
	"DROP INDEX hold_live; DROP INDEX hold_due;" TABLE_CLASS TABLE_LINEAGE HOLD_4 TABLE_IDEM
	"INSERT INTO class_budget(wallet,class,generation,ceiling,held,captured,sub)"
	" SELECT wallet,class,generation,ceiling,held,captured,(SELECT parent NOTNULL FROM wallet"
	" WHERE id=class_2.wallet) FROM class_2;"
	"INSERT INTO "
	"hold(id,side,hold_id,lineage,rev,amount,total,prev,offer,state,expires,held_then,"
	"captured_then,lineage_then) SELECT "
	"coalesce(j.seq,0),h.side,h.hold_id,l.lineage,h.rev,h.amount,"
	"h.total,h.prev,h.offer,h.state,h.expires,i.held,i.captured,i.lineage_captured FROM hold_2 "
	"h"
	" LEFT JOIN lineage_2 l ON l.side=h.side AND l.lineage=h.lineage AND l.wallet=h.wallet AND"
	" l.class=h.class LEFT JOIN journal j ON j.kind='hold' AND j.wallet=h.wallet AND"
	" j.hold_id=h.hold_id LEFT JOIN idem_2 i ON i.journal=j.seq ORDER BY j.seq;"
	"INSERT INTO lineage(side,lineage,wallet,class,rev,head,captured,live)"
	" SELECT l.side,l.lineage,l.wallet,l.class,l.rev,l.head,l.captured,h.id FROM lineage_2 l"
	" LEFT JOIN hold h ON h.state=0 AND h.side=l.side AND h.lineage=l.lineage"
	" ORDER BY l.side,l.lineage;"
	"INSERT INTO ledger_idem(wallet,key,request,hold_id,amount,held,captured,lineage_captured,"
	"journal) SELECT i.wallet,i.key,i.request,i.hold_id,i.amount,i.held,i.captured,"
	"i.lineage_captured,i.journal FROM idem_2 i JOIN journal j ON j.seq=i.journal"
	" WHERE j.kind<>'hold';"
	"DROP TABLE idem_2; DROP TABLE hold_2; DROP TABLE lineage_2;"
	"DROP TABLE class_2;";

static const char from_3[] =
	"ALTER TABLE class_budget RENAME TO class_3; ALTER TABLE lineage RENAME TO "
	"lineage_3;" TABLE_CLASS TABLE_LINEAGE
	"INSERT INTO class_budget(wallet,class,generation,ceiling,held,captured,sub)"
	" SELECT wallet,class,generation,ceiling,held,captured,(SELECT parent NOTNULL FROM wallet"
	" WHERE id=class_3.wallet) FROM class_3;"
	"INSERT INTO lineage(side,lineage,wallet,class,rev,head,captured,live)"
	" SELECT side,lineage,wallet,class,rev,head,captured,live FROM lineage_3"
	" ORDER BY side,lineage;"
	"DROP TABLE lineage_3; DROP TABLE class_3;";

/* A hold becomes part of the row that made it; one that has no such row makes the step fail. A
 * wallet's counters were its classes' sums. */
static const char from_4[] =
	"ALTER TABLE journal RENAME TO journal_4; ALTER TABLE hold RENAME TO hold_4;"
	"ALTER TABLE agreement RENAME TO agreement_4; ALTER TABLE wallet RENAME TO wallet_4;"
	"DROP INDEX IF EXISTS hold_due; DROP INDEX "
	"wallet_parent;" TABLE_WALLET TABLE_AGREEMENT TABLE_JOURNAL
	"INSERT INTO wallet(id,side,issuer,wallet_id,holder,credential,generation,currency,digits,"
	"ceiling,agreement_max,valid_from,valid_until,revoked,receipt,parent,depth) SELECT id,side,"
	"issuer,wallet_id,holder,credential,generation,currency,digits,ceiling,agreement_max,"
	"valid_from,valid_until,revoked,receipt,parent,depth FROM wallet_4 ORDER BY id;"
	"CREATE TABLE odd(n INTEGER CHECK(n=0)); INSERT INTO odd SELECT count(*) FROM hold_4 h LEFT"
	" JOIN journal_4 j ON j.seq=h.id AND j.kind='hold' AND j.hold_id=h.hold_id AND"
	" j.lineage=h.lineage AND j.rev=h.rev AND j.note=h.offer LEFT JOIN wallet w ON"
	" w.id=j.wallet AND w.side=h.side WHERE w.id IS NULL; DROP TABLE odd;"
	"INSERT INTO journal(seq,wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,"
	"time,prev,hash,line,state,amount,total,follows,expires,held_then,captured_then,"
	"lineage_then) SELECT j.seq,j.wallet,j.kind,j.class,j.lineage,j.rev,j.hold_id,j.held,"
	"j.captured,j.note,j.event,j.time,j.prev,j.hash,l.id,h.state,h.amount,h.total,h.prev,"
	"h.expires,h.held_then,h.captured_then,h.lineage_then FROM journal_4 j LEFT JOIN hold_4 h"
	" ON h.id=j.seq AND j.kind='hold' LEFT JOIN lineage l ON l.side=h.side AND"
	" l.lineage=h.lineage ORDER BY j.seq;"
	"INSERT INTO agreement(side,lineage,rev,hold_id,digest,prev)"
	" SELECT side,lineage,rev,hold_id,digest,prev FROM agreement_4;"
	"DROP TABLE agreement_4; DROP TABLE hold_4; DROP TABLE journal_4; DROP TABLE wallet_4;";

/* Classes get a number, stored answers lose the hash of their row. */
static const char from_5[] =
	"ALTER TABLE class_budget RENAME TO class_5; ALTER TABLE lineage RENAME TO lineage_5;"
	"ALTER TABLE ledger_idem RENAME TO idem_5; DROP INDEX hold_of;" TABLE_CLASS TABLE_LINEAGE
		TABLE_IDEM INDEX_HOLD
	"INSERT INTO class_budget(wallet,class,generation,ceiling,held,captured,sub) SELECT wallet,"
	"class,generation,ceiling,held,captured,sub FROM class_5 ORDER BY wallet,class;"
	"INSERT INTO lineage(id,side,lineage,wallet,class,rev,head,captured,live) SELECT id,side,"
	"lineage,wallet,class,rev,head,captured,live FROM lineage_5 ORDER BY id;"
	"INSERT INTO ledger_idem(wallet,key,request,hold_id,amount,held,captured,lineage_captured,"
	"journal) SELECT wallet,key,request,hold_id,amount,held,captured,lineage_captured,journal"
	" FROM idem_5; DROP TABLE idem_5; DROP TABLE lineage_5; DROP TABLE class_5;";

/* The table of events has the same rows under fewer constraints: only its words change. */
static int words_of_4(struct store *s, struct err *e)
{
	char *sql = sqlite3_mprintf("UPDATE sqlite_schema SET sql=%Q WHERE type='table' AND"
				    " name='event'",
				    TABLE_EVENT);
	int r = sql ? db_exec(s, "PRAGMA writable_schema=ON", e)
		    : err_set(e, -ENOMEM, "store: out of memory");

	if (!r)
		r = db_exec(s, sql, e);
	sqlite3_free(sql);
	return r ? r : db_exec(s, "PRAGMA writable_schema=RESET", e);
}

/* Words of constraints that mean the same: the rows stay as they are. */
static int to_2(struct store *s, struct err *e)
{
	int r = db_exec(s, "PRAGMA writable_schema=ON", e);

	for (size_t i = 0; !r && i < ARRAY_LEN(schema_moved); i++) {
		char *sql = sqlite3_mprintf("UPDATE sqlite_schema SET sql=replace(sql,%Q,%Q)"
					    " WHERE name=%Q",
					    schema_moved[i].was, schema_moved[i].is,
					    schema_moved[i].name);

		r = sql ? db_exec(s, sql, e) : err_set(e, -ENOMEM, "store: out of memory");
		sqlite3_free(sql);
	}
	return r ? r : db_exec(s, "PRAGMA writable_schema=RESET", e);
}

/* The schema is, word for word, the one with this digest. */
static int is_known(struct store *s, const char *digest, struct err *e)
{
	sqlite3_stmt *st = NULL;
	struct sha256_ctx c;
	uint8_t d[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	int rc = sqlite3_prepare_v2(s->db, db_schema_query, -1, &st, NULL);

	sha256_begin(&c);
	while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		for (int i = 0; i < 2; i++) {
			sha256_add(&c, sqlite3_column_text(st, i),
				   (size_t)sqlite3_column_bytes(st, i));
			sha256_add(&c, "\n", 1);
		}
		rc = SQLITE_OK;
	}
	sha256_end(&c, d);
	(void)hex_encode(d, sizeof(d), hex, sizeof(hex));
	(void)sqlite3_finalize(st);
	if (rc != SQLITE_DONE)
		return db_fail(s, rc, "schema", e);
	return strcmp(hex, digest) ? err_set(e, -EUCLEAN, "treaty.db: its schema was altered") : 0;
}

/* The rules are written anew: their words stand in the schema alone. */
static int rules_drop(struct store *s, struct err *e)
{
	static const char next[] = "SELECT 'DROP TRIGGER '||name FROM sqlite_schema"
				   " WHERE type='trigger' LIMIT 1";
	int r = 0;

	for (bool more = true; !r && more;) {
		sqlite3_stmt *st = NULL;
		char *sql = NULL;
		int rc = sqlite3_prepare_v2(s->db, next, -1, &st, NULL);

		if (rc == SQLITE_OK)
			rc = sqlite3_step(st);
		more = rc == SQLITE_ROW;
		if (more)
			sql = sqlite3_mprintf("%s", sqlite3_column_text(st, 0));
		(void)sqlite3_finalize(st);
		if (more)
			r = sql ? db_exec(s, sql, e) : err_set(e, -ENOMEM, "store: out of memory");
		else if (rc != SQLITE_DONE)
			r = db_fail(s, rc, "schema", e);
		sqlite3_free(sql);
	}
	return r;
}

static int to_4(struct store *s, bool from3, struct err *e)
{
	int r = is_known(s, from3 ? schema_3 : schema_2, e);

	if (!r)
		r = rules_drop(s, e);
	if (!r)
		r = db_exec(s, from3 ? from_3 : from_2, e);
	return r ? r : words_of_4(s, e);
}

static int to_5(struct store *s, bool from4, struct err *e)
{
	int r = from4 ? is_known(s, schema_4, e) : 0;

	if (!r)
		r = rules_drop(s, e);
	return r ? r : db_exec(s, from_4, e);
}

static int to_6(struct store *s, bool from5, struct err *e)
{
	int r = from5 ? is_known(s, schema_5, e) : 0;

	if (!r)
		r = rules_drop(s, e);
	if (!r)
		r = db_exec(s, from_5, e);
	if (!r)
		r = db_exec(s, rules_log, e);
	if (!r)
		r = db_exec(s, rules_ledger, e);
	return r ? r : db_exec(s, "PRAGMA user_version=6", e);
}

static int steps(struct store *s, int64_t version, struct err *e)
{
	int r = db_exec(s, "BEGIN IMMEDIATE", e);

	if (r)
		return r;
	if (version < 2)
		r = to_2(s, e);
	if (!r && version < 4)
		r = to_4(s, version == 3, e);
	if (!r && version < 5)
		r = to_5(s, version == 4, e);
	if (!r)
		r = to_6(s, version == 5, e);
	if (!r)
		r = db_exec(s, "COMMIT", e);
	if (r)
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r == -EEXIST ? -EUCLEAN : r;
}

int db_migrate(struct store *s, struct err *e)
{
	int64_t app = 0, version = 0;
	struct err none = { 0 };
	int r = db_int(s, "PRAGMA application_id", &app, e), back;

	if (!r)
		r = db_int(s, "PRAGMA user_version", &version, e);
	if (r || app != STORE_APPLICATION || version < 1 || version >= STORE_SCHEMA)
		return r;
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	r = db_exec(s, "PRAGMA foreign_keys=OFF; PRAGMA legacy_alter_table=ON", e);
	if (!r)
		r = steps(s, version, e);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	back = db_exec(s,
		       "PRAGMA writable_schema=OFF; PRAGMA legacy_alter_table=OFF;"
		       "PRAGMA foreign_keys=ON",
		       &none);
	return r ? r : back ? err_set(e, back, "%s", none.text) : 0;
}
