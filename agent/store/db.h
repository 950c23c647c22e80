/* SPDX-License-Identifier: Apache-2.0 */
/* db.h - inside agent/store only: the open database, its statements, and one row's rules. */
#ifndef TREATY_STORE_DB_H
#define TREATY_STORE_DB_H

#include <limits.h>
#include <sqlite3.h>
#include "store.h"

enum query {
#define Q(name, sql) Q_##name,
#include "queries.def"
#undef Q
	Q_MAX_
};

enum pairs_kind { PAIRS_NAMED, PAIRS_BODIES, PAIRS_MAX_ };

enum { STORE_APPLICATION = 0x54726561 };

/* What a turn moves, and what a rollback puts back. */
struct store_pos {
	struct merkle tree; /* tree.size = last seq */
	struct hash chain;
	uint64_t jseq; /* ledger journal */
	struct hash jhash;
};

struct store {
	sqlite3 *db;
	char dir[PATH_MAX];
	int lock_fd;
	unsigned flags;
	bool in_turn, poisoned;
	struct store_pos now, durable;
	int changes; /* sqlite3_total_changes() at the last commit */
	int wal_pages;
	store_commit_fn on_commit;
	void *on_commit_arg;
	sqlite3_stmt *stmt[Q_MAX_];
	struct hash *block; /* roots of the log's first full blocks, NULL = none yet */
	uint64_t blocks, block_cap;
	int frozen;             /* something of the ledger may be: 1 yes, 0 no, -1 not looked yet */
	struct ledger_hot *hot; /* the turn's wallets, NULL = none yet */
	struct late *late;      /* the turn's events that are not written yet, NULL = never any */
	struct staged *staged;  /* and its rows of the journal */
	struct pairs *pairs[PAIRS_MAX_]; /* and its named values and bodies, NULL = never any */
	struct body_key *keys;           /* of bodies, in locked memory; NULL = none read yet */
};

/* Keys of bodies that were kept in memory; NULL is fine. */
struct body_key *body_keys_free(struct body_key *keys);
/* SQLite's memory from now on: before its first use in the process. */
void db_heap(void);
/* And its page cache, likewise. */
void db_pages(void);
/* Opens the connection alone: pragmas, no lock, no verification. db_close() accepts NULL. */
int db_connect(const char *path, unsigned flags, struct store **ret, struct err *e) must_check;
struct store *db_close(struct store *s);
/* The name of the VFS that gathers writes, registered over the default one of now; NULL: SQLite
 * does not start. Only for connections that sync each commit (gather.c says why). */
const char *gather_vfs(void);
/* Maps an SQLite result to an errno; poisons a writer that is inside a turn, unless the database
 * refused the change by a constraint (-EEXIST). */
int db_fail(struct store *s, int rc, const char *what, struct err *e);

/* Arguments after fmt, one per letter: i int64_t, t const char *, b const void * + size_t,
 * T const char * + size_t, h const struct hash *. The statement is borrowed; reset it by
 * db_done() or auto_done. db_row: 1 = a row, 0 = none. db_run: number of changed rows. */
int db_bind(struct store *s, enum query q, sqlite3_stmt **ret, struct err *e, const char *fmt,
	    ...) must_check;
int db_step(struct store *s, sqlite3_stmt *st, struct err *e) must_check; /* 1, 0, errno */
int db_run(struct store *s, enum query q, struct err *e, const char *fmt, ...) must_check;
void db_done(sqlite3_stmt **st);
#define auto_done cleanup(db_done)

/* False unless column i is a blob of 32 bytes. */
bool db_hash(sqlite3_stmt *st, int i, struct hash *ret) must_check;
/* Copies column i; *ret is malloc'd and 0-terminated. */
int db_copy(sqlite3_stmt *st, int i, void **ret, size_t *ret_len, struct err *e) must_check;
/* First column of the first row as an integer; 0 rows = 0. For fixed SQL texts. */
int db_int(struct store *s, const char *sql, int64_t *ret, struct err *e) must_check;
int db_exec(struct store *s, const char *sql, struct err *e) must_check;

/* A text that fits by construction; cut to nothing when it does not. */
static inline void text_put_(char *dst, size_t cap, const char *src)
{
	if (!str_set_(dst, cap, src))
		dst[0] = '\0';
}
#define text_put(dst, src) text_put_(dst, sizeof(dst), src)

/* Begins the turn unless it is open. -EIO when poisoned, -EROFS for a reader. */
int db_turn(struct store *s, struct err *e) must_check;
/* 1..STORE_NAME_MAX bytes, else -EINVAL naming the field. */
int db_name(const char *field, const char *v, struct err *e) must_check;

/* --- rows of the log --- */
/* A text without zero bytes that is JSON whose top-level "seq", when there, is seq or null. */
bool event_text_ok(const char *text, size_t len, uint64_t seq);
/* Takes an event of 1..STORE_BODY_MAX bytes into the turn; log_write() writes what was taken, and
 * poisons the store when it cannot. Everything that reads the log's table or head writes first.
 * log_forget() goes with a rollback. */
int log_keep(struct store *s, const char *body, size_t len, struct err *e) must_check;
int log_write(struct store *s, struct err *e) must_check;
void log_forget(struct store *s);
/* Makes the turn's events a table of the connection, `late`, from which log_write() inserts.
 * SQLITE_*
 */
int log_rows(struct store *s) must_check;
/* Rows that wait in memory as a table of the connection; i < count. SQLITE_* */
struct db_rows {
	const char *columns; /* CREATE TABLE x(...) */
	unsigned (*count)(const struct store *s);
	void (*column)(const struct store *s, unsigned i, int column, sqlite3_context *ret);
};
int db_rows(struct store *s, const char *name, const struct db_rows *t) must_check;
/* Takes a named value or a body of the turn; val is malloc'd and taken whatever is returned, the
 * last of a key counts. pairs_write() writes those of a kind, and poisons the store when it cannot.
 * pairs_get() borrows what waits until the next call here, NULL = nothing of that key does.
 * pairs_forget() goes with a rollback, pairs_free() with the store. pairs_rows() makes them tables
 * of the connection, `named` and `bodies`: SQLITE_* */
int pairs_put(struct store *s, enum pairs_kind kind, const void *key, size_t key_len, void *val,
	      size_t len, struct err *e) must_check;
const void *pairs_get(struct store *s, enum pairs_kind kind, const void *key, size_t key_len,
		      size_t *ret_len);
int pairs_write(struct store *s, enum pairs_kind kind, struct err *e) must_check;
void pairs_forget(struct store *s);
void pairs_free(struct store *s);
int pairs_rows(struct store *s) must_check;
uint64_t log_next(const struct store *s); /* the next event's seq */
/* The chain's next link: over the one before it, from[0], and n leaves, from[1] and on. */
struct hash log_link(const struct hash *from, unsigned n);

/* After leaves were added to a tree that was of size was: keeps the root of a block that became
 * full, so that a proof need not read the block's leaves. What finds no memory is read again then.
 * blocks_cut() goes with a rollback. */
void blocks_note(struct store *s, const struct merkle *m, uint64_t was);
void blocks_cut(struct store *s, uint64_t size);

struct log_row {
	int64_t seq;
	const void *body;
	size_t len;
	const void *leaf;         /* NULL = not 32 bytes */
	const void *prev, *chain; /* NULL = empty */
	bool shaped, json;        /* prev and chain have 32 bytes or none */
};

/* Where a reader of rows stands: the last link of the chain, from[0], and n leaves after it. */
struct log_at {
	struct merkle tree; /* tree.size = last seq */
	struct hash from[1 + MERKLE_MANY];
	unsigned n;
};

/* Judges one row against the position before it and moves that past it when sound. A last row
 * without a link is for the caller to judge: at->n is not 0. */
enum store_fault db_row_check(struct log_at *at, const struct log_row *row);
/* Walks the log from the first event, checking; stops at the first fault, which it reports. */
int db_log_walk(struct store *s, struct store_pos *pos, struct store_report *rep,
		struct err *e) must_check;
/* Brings a file of an older schema to ours; anything else it leaves as it is. -EUCLEAN: its schema
 * was altered, or its rows do not hold what the step needs; then nothing has changed. */
int db_migrate(struct store *s, struct err *e) must_check;
/* Every object of the schema that has a name of ours, by kind and name: kind and name, words. */
extern const char db_schema_query[];
/* Compares the file's schema with ours. */
int db_schema_check(struct store *s, struct store_report *rep, struct err *e) must_check;
/* All of it, on an open connection. */
int db_verify(struct store *s, struct store_pos *pos, struct store_report *rep,
	      struct err *e) must_check;
/* The journal's rows of a turn wait and are written together, with the lineages that are new:
 * before the commit, before anything is read of them, and when their place is full. A failure
 * poisons the store. journal_rows() makes them a table of the connection, `staged`: SQLITE_*.
 * journal_forget() goes with a rollback. */
int journal_rows(struct store *s) must_check;
int journal_write(struct store *s, struct err *e) must_check;
void journal_forget(struct store *s);
/* Writes the counters that this turn moved. -EUCLEAN: a gate refused the sum, and the store is
 * poisoned. ledger_cold() forgets them. */
int ledger_flush(struct store *s, struct err *e) must_check;
void ledger_cold(struct store *s);
int ledger_room(struct store *s, struct err *e) must_check;
/* Schema, every row of the log and its head, but not the ledger: -EUCLEAN with what is wrong. */
int db_log_sound(struct store *s, struct err *e) must_check;
/* The writer, opened although the ledger may be wrong. */
int db_open_sound(const char *dir, struct store **ret, struct err *e) must_check;
/* The ledger's part: journal chain, then counters against it. */
int ledger_audit(struct store *s, struct store_pos *pos, struct store_report *rep,
		 struct err *e) must_check;

#endif
