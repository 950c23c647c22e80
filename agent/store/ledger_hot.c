/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_hot.c - the wallets in use. A wallet is read once; its counters move here, through the
 * same gates, and are written once before each commit, however many operations moved them. The
 * database has the last word: its conditional statements and triggers judge the sum, and a turn
 * that they refuse is never committed. One process writes, so what was read stays true until that
 * process changes it; a rollback forgets everything. */
#include <errno.h>
#include "ledger_int.h"

enum { HOT_MAX = 128 };

struct hot {
	int64_t row; /* 0 = free */
	bool dirty;
	struct ledger_wallet w; /* counters as they will be written */
	struct ledger_delta d;  /* what they moved since they were read */
	struct ledger_delta klass[LEDGER_CLASSES_MAX];
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

static int flush_one(struct store *s, struct hot *h, struct err *e)
{
	int r = 1;

	for (unsigned i = 0; r > 0 && i < h->w.classes; i++)
		if (h->klass[i].held || h->klass[i].captured)
			r = db_run(s, Q_C_MOVE, e, "itii", h->row, h->w.klass[i].name,
				   h->klass[i].held, h->klass[i].captured);
	if (r > 0)
		r = db_run(s, Q_W_MOVE, e, "iii", h->row, h->d.held, h->d.captured);
	if (r > 0) {
		h->dirty = false;
		h->d = (struct ledger_delta){ 0 };
		memset(h->klass, 0, sizeof(h->klass));
		return 0;
	}
	s->poisoned = true;
	return r < 0 ? r : err_set(e, -EUCLEAN, "ledger: the database refuses the turn's sum");
}

int ledger_flush(struct store *s, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; !r && s->hot && i < HOT_MAX; i++)
		if (s->hot->h[i].row && s->hot->h[i].dirty)
			r = flush_one(s, &s->hot->h[i], e);
	return r;
}

/* A free place, made by writing everything when there is none. */
static int place(struct store *s, struct hot **ret, struct err *e)
{
	struct ledger_hot *c = hot_of(s);
	int r;

	if (!c)
		return err_set(e, -ENOMEM, "store: out of memory");
	for (unsigned i = 0; i < HOT_MAX; i++)
		if (!c->h[i].row) {
			c->last = i;
			*ret = &c->h[i];
			return 0;
		}
	r = ledger_flush(s, e);
	if (r)
		return r;
	ledger_cold(s);
	c->last = 0;
	*ret = &c->h[0];
	return 0;
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

int lg_hot_row(struct op *o, const struct ledger_wallet **ret)
{
	struct ledger_hot *c = hot_of(o->s);
	struct ledger_wallet w;
	int r;

	for (unsigned k = 0; c && k < HOT_MAX; k++) {
		unsigned i = (c->last + k) % HOT_MAX;

		if (c->h[i].row != o->wallet)
			continue;
		c->last = i;
		*ret = &c->h[i].w;
		return 1;
	}
	r = lg_wallet_row(o->s, o->wallet, &w, o->e);
	if (r == 0)
		return err_set(o->e, -EUCLEAN, "ledger: a wallet vanished");
	return heat(o, r, &w, o->wallet, ret);
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

static int apply(struct hot *h, unsigned i, int64_t dh, int64_t dc)
{
	struct ledger_class *k = &h->w.klass[i];

	if (!add(&k->held, dh) || !add(&k->captured, dc) || !add(&h->w.held, dh) ||
	    !add(&h->w.captured, dc))
		return -EUCLEAN;
	h->klass[i].held += dh;
	h->klass[i].captured += dc;
	h->d.held += dh;
	h->d.captured += dc;
	h->dirty = true;
	return 0;
}

/* A class beyond the listed ones keeps its counters in its row alone: what is hot is written, then
 * the rows move by themselves. */
static int move_cold(struct op *o, const char *class_name, int64_t dh, int64_t dc)
{
	int r = ledger_flush(o->s, o->e);

	if (r)
		return r;
	ledger_cold(o->s);
	r = db_run(o->s, Q_C_MOVE, o->e, "itii", o->wallet, class_name, dh, dc);
	if (r == 0)
		return lg_refuse(o, REFUSE_OVER_CLASS_CEILING);
	if (r > 0)
		r = db_run(o->s, Q_W_MOVE, o->e, "iii", o->wallet, dh, dc);
	if (r == 0)
		return lg_refuse(o, REFUSE_OVER_CEILING);
	return r < 0 ? r : 0;
}

int lg_move(struct op *o, const char *class_name, int64_t held, int64_t captured)
{
	const struct ledger_wallet *w;
	struct hot *h;
	unsigned i = 0;
	int r = lg_hot_row(o, &w);

	if (r < 0)
		return r;
	h = &o->s->hot->h[o->s->hot->last];
	while (i < w->classes && strcmp(w->klass[i].name, class_name) != 0)
		i++;
	if (i == w->classes)
		return move_cold(o, class_name, held, captured);
	if (over(w->klass[i].held, w->klass[i].captured, held, captured, w->klass[i].ceiling))
		return lg_refuse(o, REFUSE_OVER_CLASS_CEILING);
	if (over(w->held, w->captured, held, captured, w->ceiling))
		return lg_refuse(o, REFUSE_OVER_CEILING);
	if (o->moves == ARRAY_LEN(o->moved))
		return err_set(o->e, -EINVAL, "ledger: an operation of too many moves");
	o->moved[o->moves++] = (struct ledger_delta){ held, captured, i };
	return apply(h, i, held, captured) ? err_set(o->e, -EUCLEAN, "ledger: a counter is damaged")
					   : 0;
}

/* An operation that is rolled back takes its moves with it. */
void lg_unmove(struct op *o)
{
	const struct ledger_wallet *w;

	if (!o->moves)
		return;
	/* It was there a moment ago; were it not, the turn must not be committed. */
	if (lg_hot_row(o, &w) <= 0) {
		o->s->poisoned = true;
		return;
	}
	while (o->moves) {
		const struct ledger_delta *d = &o->moved[--o->moves];

		if (apply(&o->s->hot->h[o->s->hot->last], d->klass, -d->held, -d->captured))
			o->s->poisoned = true;
	}
}
