/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_int.h - inside the ledger only: the frame of an operation and its journal row. */
#ifndef TREATY_LEDGER_INT_H
#define TREATY_LEDGER_INT_H

#include "db.h"
#include "ledger.h"

/* Counters move by this. */
struct ledger_delta {
	int64_t held, captured;
};

/* One wallet's part of a move; klass is an index into its classes. */
struct ledger_moved {
	int64_t row, class_row;
	struct ledger_delta d;
	unsigned klass;
};

/* One operation in the turn. A refusal or a failure leaves nothing behind: what is refused after a
 * write was made under a savepoint (lg_save), any other failure after a write ends the turn. A
 * savepoint costs a copy of every page that the operation touches. */
struct op {
	struct store *s;
	struct err *e;
	int64_t wallet;           /* row */
	struct hash key, request; /* under which the answer is stored; request zero = not stored */
	struct ledger_result res;
	unsigned staged; /* rows of the journal before it, to go back to */
	struct ledger_moved moved[2 * LEDGER_CHAIN_MAX]; /* a late capture moves twice */
	unsigned moves;
	bool flushed; /* counters of other operations were written inside of this one */
	bool saved;
	int changes; /* of the connection, before it */
};

/* What the row of a hold says besides. */
struct hold_part {
	int64_t line; /* its lineage's row, */
	bool fresh;   /* which is made with this one: then the row gets its number as it is written,
		       */
	enum ledger_side side; /* on this side */
	money_t total;
	struct hash follows; /* the head that it extends */
	wall_t expires;
	money_t held, captured, lineage_captured; /* after it, as in the answer */
};

/* A row for the journal; strings may be "". */
struct entry {
	const char *kind, *class_name, *lineage, *hold_id;
	int64_t rev, held, captured;
	struct hash note;
	wall_t time;
	const struct hold_part *hold; /* NULL = not a hold */
};

int lg_begin(struct op *o, struct store *s, struct err *e) must_check;
/* The same while rows of the journal wait: for one that reads nothing which they say. */
int lg_begin_late(struct op *o, struct store *s, struct err *e) must_check;
/* Before the first write of an operation that may yet be refused. */
int lg_save(struct op *o) must_check;
int lg_begin_saved(struct op *o, struct store *s, struct err *e) must_check;
/* Ends the operation: r < 0 or a refusal rolls it back, else its answer is stored. */
int lg_end(struct op *o, int r, struct ledger_result *ret) must_check;
/* Refuses when a stop is on, or this hold (NULL = none yet) is frozen: then sets the answer. */
int lg_frozen(struct op *o, enum ledger_side side, const char *hold_id) must_check;
/* Refuses when a key was lost after a hold had ended at that time: then sets the answer. */
int lg_late(struct op *o, wall_t ended) must_check;
/* 1 = answered from the store (or refused as a replay): leave; 0 = new. */
int lg_known(struct op *o) must_check;
struct lg_line;
/* The same for a hold of a lineage of o->wallet, whose id is in the answer already: its row is the
 * stored answer. */
int lg_known_hold(struct op *o, const struct ledger_hold *q, const struct lg_line *l,
		  const char *currency) must_check;
/* Refuses: sets the answer, returns 0. */
int lg_refuse(struct op *o, enum refusal why) must_check;
/* Takes a row, and a new lineage with it, into the turn; journal_write() writes what was taken.
 * Room for those of one operation is made when it begins. */
int lg_journal(struct op *o, const struct entry *j) must_check;
int lg_journal_room(struct store *s, struct err *e) must_check;
uint64_t lg_next_row(const struct store *s);                /* the next row's seq */
bool lg_staged(const struct store *s, const char *lineage); /* is named by a row that waits */
unsigned lg_staged_rows(const struct store *s);
void lg_unstage(struct store *s, unsigned n); /* all but the first n */
/* Moves *pos past all rows that follow one another. */
int lg_journal_walk(struct store *s, struct store_pos *pos, struct store_report *rep,
		    struct err *e) must_check;

/* Adds to the counters of o->wallet and of those above it, and of the class in each, through all
 * their gates; sets a refusal when one is shut. */
int lg_move(struct op *o, const char *class_name, int64_t held, int64_t captured) must_check;
void lg_unmove(struct op *o);
/* The wallet of an id, or of o->wallet, as this turn leaves it, with its classes; 1 found, 0 none.
 * Borrowed until the next operation. */
int lg_hot(struct op *o, const struct ledger_wallet_id *id,
	   const struct ledger_wallet **ret) must_check;
int lg_hot_row(struct op *o, const struct ledger_wallet **ret) must_check;
/* The same for the wallet above w; 0 = w has none. */
int lg_hot_above(struct op *o, const struct ledger_wallet *w,
		 const struct ledger_wallet **ret) must_check;
/* o->wallet's row got this receipt; it is hot. */
void lg_hot_receipt(struct op *o, const struct hash *digest);
/* Reads the wallet's counters (and the lineage's unless NULL) into the answer. */
int lg_counters(struct op *o, enum ledger_side side, const char *lineage) must_check;

/* Row -> struct; *ret_row (may be NULL) gets the wallet's row number. */
int lg_wallet(struct store *s, const struct ledger_wallet_id *id, struct ledger_wallet *ret,
	      int64_t *ret_row, struct err *e) must_check; /* 1 found, 0 none */
int lg_wallet_row(struct store *s, int64_t row, struct ledger_wallet *ret,
		  struct err *e) must_check; /* 1 found, 0 none */
/* Its classes, with their counters. */
int lg_classes(struct store *s, int64_t row, struct ledger_wallet *ret, struct err *e) must_check;
int lg_text(sqlite3_stmt *st, int i, char *dst, size_t cap, struct err *e) must_check;
void lg_hold_row(sqlite3_stmt *st, struct ledger_hold_row *ret);
struct lg_found;
int lg_found_row(sqlite3_stmt *st, struct lg_found *ret, struct err *e) must_check; /* 1 */
int lg_side(enum ledger_side side, struct err *e) must_check;

/* A lineage and its row; rev -1 = no agreement yet; live = row of its live hold, 0 = none. */
struct lg_line {
	struct ledger_lineage l;
	int64_t row, wallet, rev, live;
};

/* A hold; row = the journal row that made it, line = its lineage's. */
struct lg_found {
	struct ledger_hold_row h;
	int64_t wallet, row, line;
	struct hash prev;
};

int lg_line(struct store *s, enum ledger_side side, const char *lineage, struct lg_line *ret,
	    struct err *e) must_check; /* 1 found, 0 none */
/* Which hold: a lineage of a side, and the hold's id in it. */
struct hold_name {
	enum ledger_side side;
	const char *lineage, *id;
};

int lg_hold(struct store *s, const struct hold_name *n, struct lg_found *ret,
	    struct err *e) must_check; /* 1 found, 0 none */
int lg_hold_name(const struct hold_name *n, struct err *e) must_check;
int lg_hold_id(enum ledger_side side, const char *hold_id, struct err *e) must_check;

#endif
