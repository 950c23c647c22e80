/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h - the database. Rules that must hold whoever writes live here, as constraints and
 * triggers, not in code. store_verify() compares these texts with the ones in the file. */
#ifndef TREATY_SCHEMA_H
#define TREATY_SCHEMA_H

/* Lists of more than two in a constraint are spelt out: SQLite builds a table in memory for IN, at
 * every statement.
 *
 * The rows of the three tables that each debit fills (event, lineage, journal) are written many by
 * one statement (db_rows.c), so no trigger stands before them: with one, SQLite takes each row by
 * way of a table in memory. That they follow one another and are of one another is asked of the
 * tables once for all of a statement, and of all rows at each verification; that nothing is there
 * twice is a key. They call no function and have no foreign keys: with either, SQLite keeps a copy
 * of every page that a statement touches. What a row's shape must be besides (digests of 32 bytes,
 * JSON, names, rows that it names) is asked before it is written and each time the file is
 * verified. */
/* clang-format off */
#define APPEND_ONLY(t)                                                                             \
	"CREATE TRIGGER " t "_no_update BEFORE UPDATE ON " t " BEGIN "                             \
	"SELECT RAISE(ABORT,'" t " is append-only'); END;"                                         \
	KEEP(t)
#define KEEP(t)                                                                                    \
	"CREATE TRIGGER " t "_no_delete BEFORE DELETE ON " t " BEGIN "                             \
	"SELECT RAISE(ABORT,'" t " is never deleted'); END;"
#define REFUSE_WHEN(name, when, text)                                                              \
	"CREATE TRIGGER " name " WHEN " when " BEGIN SELECT RAISE(ABORT,'" text "'); END;"
#define ZERO_HASH	"x'0000000000000000000000000000000000000000000000000000000000000000'"
#define HASH(col)	col " BLOB NOT NULL CHECK(length(" col ")=32)"
#define DIGEST(col)	col " BLOB NOT NULL"
#define FLAG(col)	col " INTEGER NOT NULL CHECK(" col " IN(0,1))"
#define COUNT(col)	col " INTEGER NOT NULL DEFAULT 0 CHECK(" col ">=0)"
#define NAME(col)	col " TEXT NOT NULL CHECK(length(CAST(" col " AS BLOB)) BETWEEN 1 AND 255)"

/* Tables that came with schema 4, 5 or 6; the steps from older ones make them by the same words. */
#define TABLE_EVENT                                                                                \
	"CREATE TABLE event(seq INTEGER PRIMARY KEY CHECK(seq>=1), body TEXT NOT NULL,"            \
	DIGEST("leaf") "," DIGEST("prev") "," DIGEST("chain") ") STRICT"

static const char schema_log[] =
	TABLE_EVENT ";"
	"CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, seq INTEGER NOT NULL CHECK(seq>=1),"
	NAME("kind") "," NAME("dest") ", body BLOB NOT NULL CHECK(length(body)<=1048576),"
	" state INTEGER NOT NULL DEFAULT 0 CHECK(state BETWEEN 0 AND 2)) STRICT;"
	"CREATE INDEX outbox_wait ON outbox(id) WHERE state=0;"
	"CREATE TABLE kv(key TEXT PRIMARY KEY, val BLOB NOT NULL CHECK(length(val)<=1048576)) STRICT;"
	"CREATE TABLE body(digest BLOB PRIMARY KEY CHECK(length(digest)=32),"
	" data BLOB CHECK(length(data)<=1048576)) STRICT;" /* NULL = erased */
	"CREATE TABLE challenge(" NAME("value") "," NAME("peer") ", expires INTEGER NOT NULL,"
	FLAG("used") ", PRIMARY KEY(value)) STRICT;"
	"CREATE TABLE idempotency(" NAME("principal") "," NAME("key") "," HASH("request")
	", answer BLOB NOT NULL CHECK(length(answer)<=1048576), PRIMARY KEY(principal,key)) STRICT;";

static const char rules_log[] =
	APPEND_ONLY("event")
	REFUSE_WHEN("outbox_done BEFORE UPDATE ON outbox", "OLD.state<>0", "outbox: already done")
	KEEP("outbox")
	REFUSE_WHEN("body_erase BEFORE UPDATE ON body",
		"NEW.data IS NOT NULL OR NEW.digest<>OLD.digest", "body: may only be erased")
	KEEP("body")
	REFUSE_WHEN("challenge_once BEFORE UPDATE ON challenge", "OLD.used<>0", "challenge: used")
	APPEND_ONLY("idempotency");

/* The hard stop: commitments never GROW past a ceiling, the class's or the wallet's; a re-issue may
 * lower it below what is committed, then only releases pass. What a wallet commits, those above it
 * commit too: a sub-wallet spends out of its parent's ceiling, so its counters are part of the
 * parent's, and the parent's gates judge each of its steps. All of them stand before the first row:
 * one that is shut leaves nothing to take back. */
#define CLASS_GATE                                                                                 \
	"CREATE TRIGGER class_gate BEFORE UPDATE OF held,captured ON class_budget BEGIN"           \
	" SELECT RAISE(FAIL,'class or wallet: ceiling') WHERE"                                     \
	" NEW.held+NEW.captured>OLD.held+OLD.captured AND (NEW.held+NEW.captured>NEW.ceiling OR"   \
	" (SELECT sum(held+captured) FROM class_budget WHERE wallet=NEW.wallet)+NEW.held+NEW.captured" \
	"-OLD.held-OLD.captured>(SELECT ceiling FROM wallet WHERE id=NEW.wallet));"                \
	" UPDATE class_budget SET held=held+NEW.held-OLD.held,"                                    \
	"captured=captured+NEW.captured-OLD.captured WHERE NEW.sub AND class=NEW.class AND"        \
	" wallet=(SELECT parent FROM wallet WHERE id=NEW.wallet); END;"

/* What it commits is what its classes do: each sum counts once, and the gate of the wallet stands
 * where they change. */
#define TABLE_WALLET                                                                               \
	"CREATE TABLE wallet(id INTEGER PRIMARY KEY," FLAG("side") "," NAME("issuer") ","          \
	NAME("wallet_id") "," NAME("holder") "," HASH("credential") ","                            \
	" generation INTEGER NOT NULL CHECK(generation>=1),"                                       \
	" currency TEXT NOT NULL CHECK(length(currency)=3),"                                       \
	" digits INTEGER NOT NULL CHECK(digits BETWEEN 0 AND 6),"                                  \
	" ceiling INTEGER NOT NULL CHECK(ceiling>=0),"                                             \
	" agreement_max INTEGER NOT NULL CHECK(agreement_max>=0),"                                 \
	" valid_from INTEGER NOT NULL, valid_until INTEGER NOT NULL," FLAG("revoked") ","          \
	HASH("receipt") ", parent INTEGER REFERENCES wallet,"                                      \
	" depth INTEGER NOT NULL CHECK(depth BETWEEN 0 AND 3),"                                    \
	" UNIQUE(side,issuer,wallet_id)) STRICT;"                                                  \
	"CREATE INDEX wallet_parent ON wallet(parent) WHERE parent NOTNULL;"
/* sub: the wallet has one above it, so the class has as well. */
#define TABLE_CLASS                                                                                \
	"CREATE TABLE class_budget(id INTEGER PRIMARY KEY, wallet INTEGER NOT NULL REFERENCES wallet," \
	NAME("class") ","                                                                          \
	" generation INTEGER NOT NULL, ceiling INTEGER NOT NULL CHECK(ceiling>=0),"                \
	COUNT("held") "," COUNT("captured") "," FLAG("sub")                                        \
	", UNIQUE(wallet,class)) STRICT;"
/* live: the row of its live hold. A hold that is not named here cannot be live, so there is one.
 * Names are random: rows stand in the order of their making, so a new one touches a page of names
 * and not one of rows as well. */
#define TABLE_LINEAGE                                                                              \
	"CREATE TABLE lineage(id INTEGER PRIMARY KEY CHECK(id>=1)," FLAG("side") ","               \
	" lineage TEXT NOT NULL CHECK(lineage<>''), wallet INTEGER NOT NULL, class TEXT NOT NULL," \
	" rev INTEGER NOT NULL DEFAULT -1," DIGEST("head") "," COUNT("captured") ","               \
	" live INTEGER, UNIQUE(side,lineage)," \
	" CHECK(rev>=0 OR (rev=-1 AND captured=0 AND head=" ZERO_HASH "))) STRICT;"
#define TABLE_AGREEMENT                                                                            \
	"CREATE TABLE agreement(" FLAG("side") ", lineage TEXT NOT NULL, rev INTEGER NOT NULL,"    \
	" hold_id TEXT NOT NULL," HASH("digest") "," HASH("prev") ","                              \
	" PRIMARY KEY(side,lineage,rev), UNIQUE(side,digest)) STRICT, WITHOUT ROWID;"
/* Answers of all operations but holds. */
#define TABLE_IDEM                                                                                 \
	"CREATE TABLE ledger_idem(wallet INTEGER NOT NULL REFERENCES wallet," HASH("key") ","      \
	HASH("request") ", hold_id TEXT NOT NULL, amount INTEGER NOT NULL, held INTEGER NOT NULL," \
	" captured INTEGER NOT NULL, lineage_captured INTEGER NOT NULL, journal INTEGER NOT NULL," \
	" PRIMARY KEY(wallet,key)) STRICT, WITHOUT ROWID;"

/* A hold is made once: the second one of its name in its lineage is refused. */
#define INDEX_HOLD "CREATE UNIQUE INDEX hold_of ON journal(line,hold_id) WHERE line NOTNULL;"

/* A hold is the row that made it. line: its lineage's row. state and amount are what became of it,
 * told by later rows too; the rest never changes. total, follows (the head it extends), the offer
 * (note), class and lineage are what was asked; held and *_then, the counters after it, are the
 * answer that is given again. */
#define TABLE_JOURNAL                                                                              \
	"CREATE TABLE journal(seq INTEGER PRIMARY KEY CHECK(seq>=1), wallet INTEGER NOT NULL,"     \
	" kind TEXT NOT NULL CHECK(kind='hold' OR kind='capture' OR kind='release' OR kind='expire' OR"\
	" kind='receipt' OR kind='rehold' OR kind='credit' OR kind='void' OR kind='issue' OR kind='revoke'),"\
	" class TEXT NOT NULL, lineage TEXT NOT NULL, rev INTEGER NOT NULL, hold_id TEXT NOT NULL,"\
	" held INTEGER NOT NULL, captured INTEGER NOT NULL," DIGEST("note") ","                    \
	" event INTEGER NOT NULL, time INTEGER NOT NULL," DIGEST("prev") "," DIGEST("hash") ","    \
	" line INTEGER, state INTEGER CHECK(state BETWEEN 0 AND 3), amount INTEGER CHECK(amount>=0),"\
	" total INTEGER CHECK(total>=0), follows BLOB, expires INTEGER, held_then INTEGER,"        \
	" captured_then INTEGER, lineage_then INTEGER,"                                            \
	" CHECK(CASE WHEN kind='hold' THEN rev>=0 AND line NOTNULL AND state NOTNULL AND amount NOTNULL"\
	" AND total NOTNULL AND follows NOTNULL AND expires NOTNULL AND held_then NOTNULL AND"     \
	" captured_then NOTNULL AND lineage_then NOTNULL ELSE line ISNULL AND state ISNULL END)) STRICT;"\
	INDEX_HOLD                                                                                 \
	"CREATE INDEX hold_due ON journal(expires) WHERE state=0;"

static const char schema_ledger[] =
	TABLE_WALLET
	TABLE_CLASS
	TABLE_LINEAGE
	TABLE_AGREEMENT
	TABLE_IDEM
	TABLE_JOURNAL;

/* A trigger is a program of its own for each row, so each table has few, and those of an update
 * only for the columns that they judge. SQLite goes by the word: a row number has four names. */
#define ROW(col)	col ",rowid,oid,_rowid_"

static const char rules_ledger[] =
	KEEP("wallet")
	REFUSE_WHEN("wallet_new BEFORE INSERT ON wallet",
		"EXISTS(SELECT 1 FROM wallet WHERE id=NEW.id OR"
		" (side=NEW.side AND issuer=NEW.issuer AND wallet_id=NEW.wallet_id))",
		"wallet: known")
	REFUSE_WHEN("wallet_sub BEFORE INSERT ON wallet",
		"NOT CASE WHEN NEW.parent ISNULL THEN NEW.depth=0 ELSE EXISTS(SELECT 1 FROM wallet"
		" WHERE id=NEW.parent AND side=NEW.side AND currency=NEW.currency AND"
		" digits=NEW.digits AND depth=NEW.depth-1) END",
		"wallet: its parent is of another side, currency or depth")
	REFUSE_WHEN("wallet_key BEFORE UPDATE OF " ROW("id")
		",side,issuer,wallet_id,currency,digits,parent,depth ON wallet",
		"NEW.id<>OLD.id OR NEW.side<>OLD.side OR NEW.issuer<>OLD.issuer OR"
		" NEW.wallet_id<>OLD.wallet_id OR NEW.currency<>OLD.currency OR NEW.digits<>OLD.digits"
		" OR NEW.parent IS NOT OLD.parent OR NEW.depth<>OLD.depth",
		"wallet: identity, parent and currency are fixed")
	REFUSE_WHEN("wallet_terms BEFORE UPDATE OF generation,ceiling,agreement_max,valid_from,"
		"valid_until,credential,holder,revoked ON wallet",
		"NEW.generation<>OLD.generation+1 AND (NEW.generation<>OLD.generation OR"
		" NEW.ceiling<>OLD.ceiling OR NEW.agreement_max<>OLD.agreement_max OR"
		" NEW.valid_from<>OLD.valid_from OR NEW.valid_until<>OLD.valid_until OR"
		" NEW.credential<>OLD.credential OR NEW.holder<>OLD.holder OR NEW.revoked<OLD.revoked)",
		"wallet: terms change only with the next generation")
	KEEP("class_budget")
	REFUSE_WHEN("class_new BEFORE INSERT ON class_budget",
		"NEW.held<>0 OR NEW.captured<>0 OR"
		" NEW.sub IS NOT (SELECT parent NOTNULL FROM wallet WHERE id=NEW.wallet) OR"
		" NEW.generation<>(SELECT generation FROM wallet WHERE id=NEW.wallet) OR"
		" EXISTS(SELECT 1 FROM class_budget WHERE id=NEW.id OR (wallet=NEW.wallet AND class=NEW.class))",
		"class: known, born with counters, or of another generation")
	REFUSE_WHEN("class_sub BEFORE INSERT ON class_budget",
		"EXISTS(SELECT 1 FROM wallet w WHERE w.id=NEW.wallet AND w.parent NOTNULL AND NOT"
		" EXISTS(SELECT 1 FROM class_budget WHERE wallet=w.parent AND class=NEW.class))",
		"class: not one of the parent wallet''s")
	REFUSE_WHEN("class_terms BEFORE UPDATE OF " ROW("id") ",wallet,class,sub,generation,ceiling ON class_budget",
		"NEW.id<>OLD.id OR NEW.wallet<>OLD.wallet OR NEW.class<>OLD.class OR NEW.sub<>OLD.sub OR NEW.generation<OLD.generation OR"
		" (NEW.ceiling<>OLD.ceiling AND NOT (NEW.generation>OLD.generation AND"
		" NEW.generation=(SELECT generation FROM wallet WHERE id=NEW.wallet)))",
		"class: terms change only with the wallet''s generation")
	CLASS_GATE
	KEEP("lineage")
	REFUSE_WHEN("lineage_head BEFORE UPDATE OF " ROW("id")
		",side,lineage,wallet,class,rev,head ON lineage",
		"NEW.id<>OLD.id OR NEW.side<>OLD.side OR NEW.lineage<>OLD.lineage OR NEW.wallet<>OLD.wallet OR"
		" NEW.class<>OLD.class OR (NEW.rev=OLD.rev AND NEW.head<>OLD.head) OR"
		" NEW.rev<OLD.rev OR (NEW.rev>OLD.rev AND NEW.head=OLD.head)",
		"lineage: the head only moves on")
	/* The single-flight gate: a live hold keeps its place until it has ended. */
	REFUSE_WHEN("lineage_live BEFORE UPDATE OF live ON lineage",
		"OLD.live NOTNULL AND NEW.live IS NOT OLD.live AND"
		" EXISTS(SELECT 1 FROM journal WHERE seq=OLD.live AND state=0)", "lineage: a hold of it is live")
	APPEND_ONLY("agreement")
	APPEND_ONLY("ledger_idem")
	KEEP("journal")
	REFUSE_WHEN("journal_no_update BEFORE UPDATE OF " ROW("seq") ",wallet,kind,class,lineage,rev,"
		"hold_id,held,captured,note,event,time,prev,hash,line,total,follows,expires,held_then,"
		"captured_then,lineage_then ON journal", "1", "journal is append-only")
	REFUSE_WHEN("hold_step BEFORE UPDATE OF state,amount ON journal",
		"NOT coalesce((OLD.state=0 AND NEW.state BETWEEN 1 AND 3 AND NEW.amount=OLD.amount) OR"
		" (OLD.state=3 AND NEW.state=0 AND"
		" NEW.seq=(SELECT live FROM lineage WHERE id=NEW.line)),0)",
		"hold: illegal step");

/* From schema 1, whose constraints said the same with IN: the object, its old words, its new ones. */
static const struct {
	const char *name, *was, *is;
} schema_moved[] = {
	{ "outbox", "state IN(0,1,2)", "state BETWEEN 0 AND 2" },
	{ "hold", "state IN(0,1,2,3)", "state BETWEEN 0 AND 3" },
	{ "hold_step", "NEW.state IN(1,2,3)", "NEW.state BETWEEN 1 AND 3" },
	{ "journal",
	  "kind IN('issue','revoke','hold','rehold','capture','release','expire','credit','receipt','void')",
	  "kind='hold' OR kind='capture' OR kind='release' OR kind='expire' OR"
	  " kind='receipt' OR kind='rehold' OR kind='credit' OR kind='void' OR kind='issue' OR kind='revoke'" },
};
/* clang-format on */

#endif
