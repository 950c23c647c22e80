/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_journal.c - the journal: what its rows hash to, those of a turn until they are written,
 * and the walk through all of them.
 *
 * Rows that are written together have one link of the journal's chain, in the last of them: SHA-256
 * over the link before and the digests of their columns, which are made side by side. Rows of
 * before schema 6 have a link each, and beside it the one before; they are hashed another way. */
#include <errno.h>
#include "agent/crypto/crypto.h"
#include "ledger_int.h"

enum {
	LATE_ROWS = 128,
	OP_ROWS = 8,     /* more than one operation makes */
	TEXT_MAX = 384,  /* of one row: 373 with the longest names */
	TEXT_ROOM = 512, /* and its padding */
};

/* A row as it will be written. Kinds are constants. */
struct late_row {
	struct entry j; /* its texts stand below */
	struct hold_part hold;
	int64_t wallet, event;
	uint64_t mark; /* of the lineage's name: most others differ in it */
	char class_name[LEDGER_CLASS_MAX], lineage[LEDGER_ID_MAX], hold_id[LEDGER_HOLD_ID_LEN];
};

/* The last link, from[0], and the digests of n rows after it. */
struct chain {
	struct hash from[1 + LATE_ROWS], link;
	unsigned n;
};

struct staged {
	unsigned n, fresh; /* of them lineages that are new */
	bool writing;
	struct late_row row[LATE_ROWS];
	struct chain chain;
	uint8_t text[LATE_ROWS][TEXT_ROOM];
};

/* --- hashes --- */
struct text {
	uint8_t *p;
	size_t n, cap;
	bool fits;
};

static void add(struct text *t, const void *p, size_t n)
{
	if (n > t->cap - t->n) {
		t->fits = false;
		return;
	}
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void add_int(struct text *t, int64_t v)
{
	uint64_t b = htobe64((uint64_t)v);

	add(t, &b, sizeof(b));
}

static void add_text(struct text *t, const char *v)
{
	size_t n = strlen(v);
	uint8_t len = (uint8_t)n;

	t->fits = t->fits && n <= UINT8_MAX;
	add(t, &len, 1);
	add(t, v, n);
}

/* Every column but those that change, each text with its length before it, so that no two rows say
 * the same. 0 = longer than any row that was written. */
static size_t row_text(uint8_t *ret, uint64_t seq, int64_t wallet, uint64_t event,
		       const struct entry *j)
{
	struct text t = { .p = ret, .cap = TEXT_MAX, .fits = true };

	add(&t, "treaty/j2", 10);
	add_int(&t, (int64_t)seq);
	add_int(&t, wallet);
	add_text(&t, j->kind);
	add_text(&t, j->class_name);
	add_text(&t, j->lineage);
	add_int(&t, j->rev);
	add_text(&t, j->hold_id);
	add_int(&t, j->held);
	add_int(&t, j->captured);
	add(&t, j->note.b, HASH_LEN);
	add_int(&t, (int64_t)event);
	add_int(&t, j->time.ms);
	if (j->hold) {
		add_int(&t, j->hold->total.minor);
		add(&t, j->hold->follows.b, HASH_LEN);
		add_int(&t, j->hold->expires.ms);
		add_int(&t, j->hold->held.minor);
		add_int(&t, j->hold->captured.minor);
		add_int(&t, j->hold->lineage_captured.minor);
	}
	return t.fits ? t.n : 0;
}

/* --- the older hash --- */
static void feed_int(struct sha256_ctx *st, int64_t v)
{
	uint64_t b = htobe64((uint64_t)v);

	sha256_add(st, &b, sizeof(b));
}

static void feed_text(struct sha256_ctx *st, const char *t)
{
	feed_int(st, (int64_t)strlen(t));
	sha256_add(st, t, strlen(t));
}

static struct hash old_hash(uint64_t seq, int64_t wallet, uint64_t event, const struct entry *j,
			    const struct hash *prev)
{
	struct sha256_ctx st;
	struct hash h = { { 0 } };

	sha256_begin(&st);
	feed_text(&st, "treaty/journal/v1");
	sha256_add(&st, prev->b, HASH_LEN);
	feed_int(&st, (int64_t)seq);
	feed_int(&st, wallet);
	feed_text(&st, j->kind);
	feed_text(&st, j->class_name);
	feed_text(&st, j->lineage);
	feed_int(&st, j->rev);
	feed_text(&st, j->hold_id);
	feed_int(&st, j->held);
	feed_int(&st, j->captured);
	sha256_add(&st, j->note.b, HASH_LEN);
	feed_int(&st, (int64_t)event);
	feed_int(&st, j->time.ms);
	sha256_end(&st, h.b);
	return h;
}

/* --- the rows of a turn --- */
/* The end of a name: names of one time begin alike. */
static uint64_t mark_of(const char *name)
{
	uint64_t m = 0;
	size_t n = strlen(name), last = n < sizeof(m) ? n : sizeof(m);

	memcpy(&m, name + n - last, last);
	return m;
}

bool lg_staged(const struct store *s, const char *lineage)
{
	uint64_t mark = mark_of(lineage);

	for (unsigned i = 0; s->staged && i < s->staged->n; i++)
		if (s->staged->row[i].mark == mark && !strcmp(s->staged->row[i].lineage, lineage))
			return true;
	return false;
}

unsigned lg_staged_rows(const struct store *s)
{
	return s->staged ? s->staged->n : 0;
}

void lg_unstage(struct store *s, unsigned n)
{
	struct staged *g = s->staged;

	while (g && g->n > n)
		g->fresh -= g->row[--g->n].hold.fresh;
}

void journal_forget(struct store *s)
{
	lg_unstage(s, 0);
}

int lg_journal_room(struct store *s, struct err *e)
{
	if (!s->staged)
		s->staged = calloc(1, sizeof(*s->staged));
	if (!s->staged)
		return err_set(e, -ENOMEM, "store: out of memory");
	return s->staged->n > LATE_ROWS - OP_ROWS ? journal_write(s, e) : 0;
}

int lg_journal(struct op *o, const struct entry *j)
{
	struct staged *g = o->s->staged;
	struct late_row *w = &g->row[g->n];

	if (g->n == LATE_ROWS)
		return err_set(o->e, -ENOBUFS, "ledger: an operation of too many rows");
	w->j = *j;
	w->hold = j->hold ? *j->hold : (struct hold_part){ .line = 0 };
	w->wallet = o->wallet;
	w->event = (int64_t)store_next_seq(o->s);
	w->mark = mark_of(j->lineage);
	text_put(w->class_name, j->class_name);
	text_put(w->lineage, j->lineage);
	text_put(w->hold_id, j->hold_id);
	w->j.class_name = w->class_name;
	w->j.lineage = w->lineage;
	w->j.hold_id = w->hold_id;
	w->j.hold = j->hold ? &w->hold : NULL;
	g->fresh += w->hold.fresh;
	g->n++;
	o->res.journal_seq = o->s->now.jseq + g->n;
	return 0;
}

uint64_t lg_next_row(const struct store *s)
{
	return s->now.jseq + lg_staged_rows(s) + 1;
}

static unsigned rows_count(const struct store *s)
{
	return s->staged && s->staged->writing ? s->staged->n : 0;
}

static void put_text(sqlite3_context *ret, const char *t)
{
	sqlite3_result_text(ret, t, -1, SQLITE_STATIC);
}

static void put_hash(sqlite3_context *ret, const struct hash *h)
{
	sqlite3_result_blob(ret, h->b, HASH_LEN, SQLITE_STATIC);
}

/* Columns of `staged`. */
enum { LINE = 12, FRESH = 22, SEQ = 23 };

/* Columns that only a hold has: those of `staged` from `line` on. */
static void hold_column(const struct hold_part *h, int64_t held, int column, sqlite3_context *ret)
{
	const int64_t v[] = { h->line,
			      0,
			      held,
			      h->total.minor,
			      0,
			      h->expires.ms,
			      h->held.minor,
			      h->captured.minor,
			      h->lineage_captured.minor,
			      h->side,
			      h->fresh };

	if (column == 4)
		put_hash(ret, &h->follows);
	else
		sqlite3_result_int64(ret, v[column]);
}

static void rows_column(const struct store *s, unsigned i, int column, sqlite3_context *ret)
{
	const struct staged *g = s->staged;
	const struct late_row *w = &g->row[i];

	switch (column) {
	case 0: sqlite3_result_int64(ret, w->wallet); return;
	case 1: put_text(ret, w->j.kind); return;
	case 2: put_text(ret, w->class_name); return;
	case 3: put_text(ret, w->lineage); return;
	case 4: sqlite3_result_int64(ret, w->j.rev); return;
	case 5: put_text(ret, w->hold_id); return;
	case 6: sqlite3_result_int64(ret, w->j.held); return;
	case 7: sqlite3_result_int64(ret, w->j.captured); return;
	case 8: put_hash(ret, &w->j.note); return;
	case 9: sqlite3_result_int64(ret, w->event); return;
	case 10: sqlite3_result_int64(ret, w->j.time.ms); return;
	case 11:
		sqlite3_result_blob(ret, g->chain.link.b, i + 1 == g->n ? HASH_LEN : 0,
				    SQLITE_STATIC);
		return;
	case SEQ: sqlite3_result_int64(ret, (int64_t)(s->now.jseq + i + 1)); return;
	default: break;
	}
	if (w->j.hold || column == FRESH)
		hold_column(&w->hold, w->j.held, column - LINE, ret);
}

int journal_rows(struct store *s)
{
	static const struct db_rows rows = {
		.columns =
			"CREATE TABLE x(wallet,kind,class,lineage,rev,hold_id,held,captured,note,"
			"event,time,hash,line,state,amount,total,follows,expires,held_then,"
			"captured_then,lineage_then,side,fresh,seq)",
		.count = rows_count,
		.column = rows_column
	};

	return db_rows(s, "staged", &rows);
}

static void link_up(struct chain *c)
{
	c->link = log_link(c->from, c->n);
}

static int hash_all(struct store *s, struct err *e)
{
	struct staged *g = s->staged;
	struct sha256_text text[LATE_ROWS];

	for (unsigned i = 0; i < g->n; i++) {
		const struct late_row *w = &g->row[i];
		size_t n = row_text(g->text[i], s->now.jseq + i + 1, w->wallet, (uint64_t)w->event,
				    &w->j);

		if (!n)
			return err_set(e, -EUCLEAN, "ledger: a row is too long");
		text[i] = sha256_close(g->text[i], n);
	}
	g->chain.n = g->n;
	g->chain.from[0] = s->now.jhash;
	sha256_many(text, g->n, (uint8_t(*)[SHA256_LEN])(void *)(g->chain.from + 1));
	link_up(&g->chain);
	return 0;
}

/* The last row of a table: its number, and its hash where it has one. */
static int last_row(struct store *s, enum query q, int64_t *seq, struct hash *h, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, q, &st, e, "");

	*seq = 0;
	if (!r)
		r = db_step(s, st, e);
	if (r > 0) {
		*seq = sqlite3_column_int64(st, 0);
		if (h && !db_hash(st, 1, h))
			*seq = -1;
	}
	return r < 0 ? r : 0;
}

static int exactly(int r, unsigned n, struct err *e)
{
	if (r >= 0 && (unsigned)r != n)
		return err_set(e, -EUCLEAN, "%d of %u rows were taken", r, n);
	return r < 0 ? r : 0;
}

/* New lineages get the next numbers, and their holds name them. */
static int lines_put(struct store *s, struct err *e)
{
	struct staged *g = s->staged;
	int64_t line;
	int r = last_row(s, Q_L_LAST, &line, NULL, e);

	if (r)
		return r;
	for (unsigned i = 0; i < g->n; i++)
		if (g->row[i].hold.fresh)
			g->row[i].hold.line = ++line;
	return exactly(db_run(s, Q_L_PUT, e, ""), g->fresh, e);
}

/* So many of the rows after the last one are holds that are what their lineages say. */
static int lives(struct store *s, unsigned n, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_H_LIVING, &st, e, "i", (int64_t)s->now.jseq);

	if (!r)
		r = db_step(s, st, e);
	if (r < 0)
		return r;
	return exactly(sqlite3_column_int(st, 0), n, e);
}

/* What a trigger would ask of each row is asked once for all of them, of the tables: that they
 * follow the last one, and that each hold is the live one of its own lineage. */
static int put(struct store *s, struct err *e)
{
	struct staged *g = s->staged;
	struct hash last = { { 0 } };
	unsigned holds = 0;
	int64_t seq;
	int r = last_row(s, Q_J_LAST, &seq, &last, e);

	if (!r && (seq != (int64_t)s->now.jseq || !hash_eq(&last, &s->now.jhash)))
		r = err_set(e, -EUCLEAN, "the last row is not the one before these");
	if (!r && g->fresh)
		r = lines_put(s, e);
	if (!r)
		r = exactly(db_run(s, Q_J_PUT, e, ""), g->n, e);
	for (unsigned i = 0; i < g->n; i++)
		holds += g->row[i].j.hold != NULL;
	if (!r && holds)
		r = lives(s, holds, e);
	return r;
}

int journal_write(struct store *s, struct err *e)
{
	struct staged *g = s->staged;
	struct err why = { 0 };
	int r;

	if (!lg_staged_rows(s))
		return 0;
	if (s->poisoned)
		return err_set(e, -EIO, "store: an earlier write failed; restart the daemon");
	r = hash_all(s, &why);
	g->writing = true;
	if (!r)
		r = put(s, &why);
	g->writing = false;
	if (r < 0) {
		s->poisoned = true;
		return err_set(e, r == -EEXIST ? -EUCLEAN : r, "journal %llu or after: %s",
			       (unsigned long long)s->now.jseq + 1, why.text);
	}
	s->now.jhash = g->chain.link;
	s->now.jseq += g->n;
	lg_unstage(s, 0);
	return 0;
}

/* --- the walk --- */
static const char *col(sqlite3_stmt *st, int i)
{
	const char *t = (const char *)sqlite3_column_text(st, i);

	return t ? t : "";
}

static bool row_entry(sqlite3_stmt *st, struct entry *j, struct hold_part *h)
{
	*j = (struct entry){ .kind = col(st, 2),
			     .class_name = col(st, 3),
			     .lineage = col(st, 4),
			     .rev = sqlite3_column_int64(st, 5),
			     .hold_id = col(st, 6),
			     .held = sqlite3_column_int64(st, 7),
			     .captured = sqlite3_column_int64(st, 8),
			     .time.ms = sqlite3_column_int64(st, 11) };
	*h = (struct hold_part){ .total.minor = sqlite3_column_int64(st, 15),
				 .expires.ms = sqlite3_column_int64(st, 17),
				 .held.minor = sqlite3_column_int64(st, 18),
				 .captured.minor = sqlite3_column_int64(st, 19),
				 .lineage_captured.minor = sqlite3_column_int64(st, 20) };
	if (sqlite3_column_type(st, 14) != SQLITE_NULL)
		j->hold = h;
	return db_hash(st, 9, &j->note) && (!j->hold || db_hash(st, 16, &h->follows));
}

/* A blob of 32 bytes, or none: then false. Any other is *bad. */
static bool has_hash(sqlite3_stmt *st, int i, struct hash *ret, bool *bad)
{
	bool has = sqlite3_column_bytes(st, i) > 0;

	*bad = *bad || (has ? !db_hash(st, i, ret) : sqlite3_column_type(st, i) != SQLITE_BLOB);
	return has;
}

/* The row is the next one, and its link, when it has one, is over those since the link before. */
static bool follows(sqlite3_stmt *st, struct chain *c, struct store_pos *pos)
{
	uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0),
		 event = (uint64_t)sqlite3_column_int64(st, 10);
	int64_t wallet = sqlite3_column_int64(st, 1);
	bool bad = false, old, linked;
	struct hash prev, stored;
	uint8_t text[TEXT_ROOM];
	struct hold_part hold;
	struct entry j;
	size_t n;

	old = has_hash(st, 12, &prev, &bad);
	linked = has_hash(st, 13, &stored, &bad);
	if (bad || seq != pos->jseq + 1 || !row_entry(st, &j, &hold) || c->n == LATE_ROWS)
		return false;
	if (old) {
		if (c->n || !linked || !hash_eq(&prev, &c->from[0]))
			return false;
		c->link = old_hash(seq, wallet, event, &j, &prev);
	} else {
		n = row_text(text, seq, wallet, event, &j);
		if (!n)
			return false;
		c->from[++c->n] = hash_bytes(text, n);
		if (linked)
			link_up(c);
	}
	pos->jseq = seq;
	if (!linked)
		return true;
	c->from[0] = pos->jhash = c->link;
	c->n = 0;
	return hash_eq(&c->link, &stored);
}

int lg_journal_walk(struct store *s, struct store_pos *pos, struct store_report *rep, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	struct chain c = { .n = 0 };
	uint64_t next = 0;
	int r = db_bind(s, Q_J_ALL, &st, e, "");

	do
		next = pos->jseq + 1;
	while (r >= 0 && (r = db_step(s, st, e)) > 0 && follows(st, &c, pos));
	if (r > 0 && sqlite3_errcode(s->db) == SQLITE_NOMEM)
		return err_set(e, -ENOMEM, "store: out of memory");
	if (r < 0 || (r == 0 && !c.n))
		return r;
	rep->fault = STORE_FAULT_LEDGER;
	rep->seq = r > 0 ? next : pos->jseq;
	text_put(rep->why, r > 0 ? "journal: the row does not follow from those before it"
				 : "journal: no link is over its last rows");
	return 0;
}
