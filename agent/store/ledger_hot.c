/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_hot.c - the wallets in use. A wallet is read once; its counters move here, through the
 * same gates, and are written once before each commit, however many operations moved them; its last
 * receipt is written at once. What a sub-wallet moves is counted in those above it too, and written
 * there by the database itself. The database has the last word: its conditional statements and
 * triggers judge the sum, and a turn that they refuse is never committed. One process writes, so
 * what was read stays true until that process changes it; a rollback forgets everything. */
#include <errno.h>
#include "ledger_int.h"

enum { HOT_MAX = 128 };

struct hot {
	int64_t row; /* 0 = free */
	bool dirty;
	struct ledger_wallet w;                        /* counters as they will be written */
	struct ledger_delta klass[LEDGER_CLASSES_MAX]; /* what it moved by itself since then */
};

struct ledger_hot {
	struct hot h[HOT_MAX];
	unsigned last; /* found last: a hot wallet is asked for again and again */
};

static struct ledger_hot *hot_of(struct store *s)
{
	if (!s->hot)
		s->hot = calloc(1, sizeof(*s->hot));
	return s->hot;
}

void ledger_cold(struct store *s)
{
	for (unsigned i = 0; s->hot && i < HOT_MAX; i++)
		s->hot->h[i].row = 0;
}

static bool in_pass(const struct ledger_delta *d, bool grow)
{
	return (d->held || d->captured) && (d->held + d->captured > 0) == grow;
}

static int flush_one(struct store *s, struct hot *h, bool grow, struct err *e)
{
	int r = 1;

	for (unsigned i = 0; r > 0 && i < h->w.classes; i++)
		if (in_pass(&h->klass[i], grow)) {
			r = db_run(s, Q_C_MOVE, e, "iii", h->w.klass[i].row, h->klass[i].held,
				   h->klass[i].captured);
			h->klass[i] = (struct ledger_delta){ 0 };
		}
	if (r > 0) {
		h->dirty = h->dirty && !grow;
		return 0;
	}
	s->poisoned = true;
	return r < 0 ? r : err_set(e, -EUCLEAN, "ledger: the database refuses the turn's sum");
}

/* What shrinks goes first: of two sub-wallets one may hold what the other let go in this turn, and
 * the parent's gate judges each row as it is written. */
int ledger_flush(struct store *s, struct err *e)
{
	int r = 0;

	for (int grow = 0; !r && s->hot && grow < 2; grow++)
		for (unsigned i = 0; !r && i < HOT_MAX; i++)
			if (s->hot->h[i].row && s->hot->h[i].dirty)
				r = flush_one(s, &s->hot->h[i], grow, e);
	return r;
}

/* Room for one wallet and those above it, before the operation begins: what is written inside of
 * it goes back when it is refused, with all that others moved before. */
int ledger_room(struct store *s, struct err *e)
{
	struct ledger_hot *c = hot_of(s);
	unsigned n = 0;
	int r;

	if (!c)
		return err_set(e, -ENOMEM, "store: out of memory");
	for (unsigned i = 0; i < HOT_MAX && n < LEDGER_CHAIN_MAX; i++)
		n += !c->h[i].row;
	if (n == LEDGER_CHAIN_MAX)
		return 0;
	r = ledger_flush(s, e);
	if (!r)
		ledger_cold(s);
	return r;
}

static int place(struct store *s, struct hot **ret, struct err *e)
{
	struct ledger_hot *c = hot_of(s);

	for (unsigned i = 0; c && i < HOT_MAX; i++)
		if (!c->h[i].row) {
			c->last = i;
			*ret = &c->h[i];
			return 0;
		}
	return err_set(e, -ENOBUFS, "ledger: an operation of too many wallets");
}

static bool same_wallet(const struct hot *h, const struct ledger_wallet_id *id)
{
	return h->row && h->w.id.side == id->side && !strcmp(h->w.id.wallet_id, id->wallet_id) &&
	       !strcmp(h->w.id.issuer, id->issuer);
}

static int heat(struct op *o, int found, const struct ledger_wallet *w, int64_t row,
		const struct ledger_wallet **ret)
{
	struct hot *h = NULL;
	int r = found > 0 ? place(o->s, &h, o->e) : found;

	if (!h)
		return r;
	*h = (struct hot){ .row = row, .w = *w };
	r = lg_classes(o->s, row, &h->w, o->e);
	if (r) {
		h->row = 0;
		return r;
	}
	*ret = &h->w;
	return 1;
}

int lg_hot(struct op *o, const struct ledger_wallet_id *id, const struct ledger_wallet **ret)
{
	struct ledger_hot *c = hot_of(o->s);
	struct ledger_wallet w;
	int64_t row = 0;
	int r;

	for (unsigned k = 0; c && k < HOT_MAX; k++) {
		unsigned i = (c->last + k) % HOT_MAX;

		if (!same_wallet(&c->h[i], id))
			continue;
		c->last = i;
		o->wallet = c->h[i].row;
		*ret = &c->h[i].w;
		return 1;
	}
	r = lg_wallet(o->s, id, &w, &row, o->e);
	o->wallet = row;
	return heat(o, r, &w, row, ret);
}

static int hot_at(struct op *o, int64_t row, const struct ledger_wallet **ret)
{
	struct ledger_hot *c = hot_of(o->s);
	struct ledger_wallet w;
	int r;

	for (unsigned k = 0; c && k < HOT_MAX; k++) {
		unsigned i = (c->last + k) % HOT_MAX;

		if (c->h[i].row != row)
			continue;
		c->last = i;
		*ret = &c->h[i].w;
		return 1;
	}
	r = lg_wallet_row(o->s, row, &w, o->e);
	if (r == 0)
		return err_set(o->e, -EUCLEAN, "ledger: a wallet vanished");
	return heat(o, r, &w, row, ret);
}

int lg_hot_row(struct op *o, const struct ledger_wallet **ret)
{
	return hot_at(o, o->wallet, ret);
}

int lg_hot_above(struct op *o, const struct ledger_wallet *w, const struct ledger_wallet **ret)
{
	return w->parent_row ? hot_at(o, w->parent_row, ret) : 0;
}

void lg_hot_receipt(struct op *o, const struct hash *digest)
{
	struct ledger_hot *c = o->s->hot;

	for (unsigned i = 0; i < HOT_MAX; i++)
		if (c->h[i].row == o->wallet)
			c->h[i].w.receipt = *digest;
}

/* --- moving ---------------------------------------------------------------------------------- */

/* False when a sum would overflow or fall below zero: no ledger has such. */
static bool add(money_t *m, int64_t x)
{
	int64_t sum;

	if (__builtin_add_overflow(m->minor, x, &sum) || sum < 0)
		return false;
	m->minor = sum;
	return true;
}

static bool over(money_t held, money_t captured, int64_t dh, int64_t dc, money_t ceiling)
{
	int64_t grow, sum;

	if (__builtin_add_overflow(dh, dc, &grow) ||
	    __builtin_add_overflow(held.minor, captured.minor, &sum) ||
	    __builtin_add_overflow(sum, grow, &sum))
		return true;
	return grow > 0 && sum > ceiling.minor;
}

enum { COLD = LEDGER_CLASSES_MAX }; /* a class beyond the listed ones: its row alone counts */

/* own: the wallet's row is to be written; those above it follow in the database. */
static int apply(struct hot *h, const struct ledger_moved *m, int sign, bool own)
{
	struct ledger_class *k = &h->w.klass[m->klass];
	int64_t dh = sign * m->d.held, dc = sign * m->d.captured;

	if (!add(&k->held, dh) || !add(&k->captured, dc) || !add(&h->w.held, dh) ||
	    !add(&h->w.captured, dc))
		return -EUCLEAN;
	if (!own)
		return 0;
	h->klass[m->klass].held += dh;
	h->klass[m->klass].captured += dc;
	h->dirty = true;
	return 0;
}

static int apply_all(struct op *o, const struct ledger_moved *m, unsigned n)
{
	const struct ledger_wallet *w;

	if (o->moves + n > ARRAY_LEN(o->moved))
		return err_set(o->e, -EINVAL, "ledger: an operation of too many moves");
	for (unsigned i = 0; i < n; i++) {
		int r = hot_at(o, m[i].row, &w);

		if (r < 0)
			return r;
		if (apply(&o->s->hot->h[o->s->hot->last], &m[i], 1, i == 0))
			return err_set(o->e, -EUCLEAN, "ledger: a counter is damaged");
		o->moved[o->moves++] = m[i];
	}
	return 0;
}

/* What is hot is written, then the rows move by themselves. Should the operation fail after that,
 * what others moved before it would go back with it: the turn is given up. */
static int move_cold(struct op *o, int64_t class_row, const struct ledger_delta *d)
{
	int r = ledger_flush(o->s, o->e);

	if (r)
		return r;
	ledger_cold(o->s);
	o->moves = 0;
	o->flushed = true;
	r = db_run(o->s, Q_C_MOVE, o->e, "iii", class_row, d->held, d->captured);
	return r > 0 ? 0 : r < 0 ? r : err_set(o->e, -EUCLEAN, "ledger: a gate is shut");
}

static int class_of(struct op *o, const struct ledger_wallet *w, const char *name,
		    struct ledger_class *ret, unsigned *klass)
{
	auto_done sqlite3_stmt *st = NULL;
	int r;

	for (*klass = 0; *klass < w->classes; ++*klass)
		if (!strcmp(w->klass[*klass].name, name)) {
			*ret = w->klass[*klass];
			return 1;
		}
	*klass = COLD;
	r = db_bind(o->s, Q_C_GET, &st, o->e, "it", o->s->hot->h[o->s->hot->last].row, name);
	if (!r)
		r = db_step(o->s, st, o->e);
	if (r > 0)
		*ret = (struct ledger_class){ .ceiling.minor = sqlite3_column_int64(st, 0),
					      .held.minor = sqlite3_column_int64(st, 1),
					      .captured.minor = sqlite3_column_int64(st, 2),
					      .row = sqlite3_column_int64(st, 3) };
	return r;
}

/* 1 = w lets it pass, 0 = refused. */
static int judge(struct op *o, const struct ledger_wallet *w, const char *class_name,
		 struct ledger_moved *m)
{
	struct ledger_class k = { .ceiling = { 0 } };
	int r;

	m->row = o->s->hot->h[o->s->hot->last].row;
	r = class_of(o, w, class_name, &k, &m->klass);
	if (r < 0)
		return r;
	m->class_row = k.row;
	if (!r || over(k.held, k.captured, m->d.held, m->d.captured, k.ceiling))
		return lg_refuse(o, REFUSE_OVER_CLASS_CEILING);
	if (over(w->held, w->captured, m->d.held, m->d.captured, w->ceiling))
		return lg_refuse(o, REFUSE_OVER_CEILING);
	return 1;
}

int lg_move(struct op *o, const char *class_name, int64_t held, int64_t captured)
{
	struct ledger_moved m[LEDGER_CHAIN_MAX];
	const struct ledger_wallet *w;
	unsigned n = 0;
	bool cold = false;
	int r = lg_hot_row(o, &w);

	while (r > 0 && n < LEDGER_CHAIN_MAX) {
		m[n].d = (struct ledger_delta){ held, captured };
		r = judge(o, w, class_name, &m[n]);
		if (r <= 0)
			return r;
		cold |= m[n++].klass == COLD;
		r = lg_hot_above(o, w, &w);
	}
	if (r)
		return r < 0 ? r : err_set(o->e, -EUCLEAN, "ledger: too many wallets above");
	return cold ? move_cold(o, m[0].class_row, &m[0].d) : apply_all(o, m, n);
}

/* An operation that is rolled back takes its moves with it. */
void lg_unmove(struct op *o)
{
	const struct ledger_wallet *w;

	while (o->moves) {
		const struct ledger_moved *m = &o->moved[--o->moves];

		/* It was there a moment ago; were it not, the turn must not be committed. */
		if (hot_at(o, m->row, &w) <= 0 ||
		    apply(&o->s->hot->h[o->s->hot->last], m, -1, m->row == o->wallet)) {
			o->s->poisoned = true;
			o->moves = 0;
		}
	}
}
