/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.c - hold, capture, release, expire, credit.
 *
 * The rules are L1 to L12 of the ledger's design; each is enforced where it cannot be bypassed:
 * the ceilings and the single flight by conditional statements and by triggers, the head of a
 * lineage by compare-and-set, the history by a primary key. */
#include <errno.h>
#include <sodium.h>
#include "agent/crypto/crypto.h"
#include "ledger_int.h"

/* --- keys and requests --- */
static void feed(struct sha256_ctx *st, const void *p, size_t len)
{
	sha256_add(st, p, len);
}

static void feed_int(struct sha256_ctx *st, int64_t v)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
	feed(st, b, sizeof(b));
}

/* With its closing zero byte, so that what follows cannot move across. */
static void feed_text(struct sha256_ctx *st, const char *t)
{
	feed(st, t, strlen(t) + 1);
}

struct hash ledger_hold_key(const char *lineage, uint32_t rev, const struct hash *offer)
{
	struct sha256_ctx st;
	struct hash h = { { 0 } };

	sha256_begin(&st);
	feed_text(&st, "treaty/hold/v1");
	feed_text(&st, lineage);
	feed_int(&st, rev);
	feed(&st, offer->b, HASH_LEN);
	sha256_end(&st, h.b);
	return h;
}

void ledger_hold_id(const struct hash *key, char ret[LEDGER_HOLD_ID_LEN])
{
	ret[0] = 'h';
	ret[1] = '-';
	(void)sodium_bin2hex(ret + 2, LEDGER_HOLD_ID_LEN - 2, key->b, 16);
}

/* Key or request of a step on a hold: "capture", "h-...", agreement. */
static struct hash step_hash(const char *step, const char *id, const struct hash *what)
{
	struct sha256_ctx st;
	struct hash h = { { 0 } };

	sha256_begin(&st);
	feed_text(&st, step);
	feed_text(&st, id);
	if (what)
		feed(&st, what->b, HASH_LEN);
	sha256_end(&st, h.b);
	return h;
}

/* A statement that changes one row by what was read of it: it is still so. */
static int one(struct op *o, int r)
{
	return r < 0 ? r : r == 1 ? 0 : err_set(o->e, -EUCLEAN, "ledger: a row has changed");
}

/* --- hold --- */
/* rev and prev must extend the head: two re-issues of one revision cannot both land. A number that
 * was signed and died is skipped, so the next may be more than one above. */
static bool extends(const struct lg_line *l, bool is_new, int64_t wallet,
		    const struct ledger_hold *q)
{
	if (is_new)
		return sodium_is_zero(q->prev.b, HASH_LEN);
	if (l->wallet != wallet || strcmp(l->l.class_name, q->class_name) != 0)
		return false;
	return (int64_t)q->rev > l->rev && hash_eq(&q->prev, &l->l.head);
}

static enum refusal living(const struct ledger_wallet *w, money_t amount, wall_t now)
{
	if (w->revoked)
		return REFUSE_WALLET_REVOKED;
	if (now.ms < w->valid_from.ms || now.ms >= w->valid_until.ms)
		return REFUSE_WALLET_EXPIRED;
	return amount.minor > w->agreement_max.minor ? REFUSE_OVER_AGREEMENT_MAX : REFUSE_NONE;
}

/* Only growth needs a living wallet and room: a walk-back or a step-down costs nothing more. A
 * sub-wallet lives no longer than those above it. */
static int may_grow(struct op *o, const struct ledger_wallet *w, money_t amount, wall_t now)
{
	int r;

	do {
		enum refusal no = living(w, amount, now);

		if (no != REFUSE_NONE)
			return lg_refuse(o, no);
		r = lg_hot_above(o, w, &w);
	} while (r > 0);
	return r;
}

/* One that a later generation no longer lists is there under ceiling 0, as one of the 16 listed
 * first or not: both are answered by the row. */
static int class_listed(struct op *o, const struct ledger_wallet *w, const char *name)
{
	auto_done sqlite3_stmt *st = NULL;
	int r;

	for (unsigned i = 0; i < w->classes; i++)
		if (!strcmp(w->klass[i].name, name))
			return 1;
	r = db_bind(o->s, Q_C_GET, &st, o->e, "it", o->wallet, name);
	return r ? r : db_step(o->s, st, o->e);
}

/* Everything that is refused before money is looked at. */
static int hold_gates(struct op *o, const struct ledger_hold *q, const struct ledger_wallet *w,
		      const struct lg_line *l, bool is_new)
{
	int r;

	if (strcmp(q->currency, w->currency) != 0)
		return lg_refuse(o, REFUSE_LEDGER_CURRENCY);
	r = class_listed(o, w, q->class_name);
	if (r <= 0)
		return r < 0 ? r : lg_refuse(o, REFUSE_WALLET_POLICY);
	if (!extends(l, is_new, o->wallet, q))
		return lg_refuse(o, REFUSE_LEDGER_FORK);
	return l->live ? lg_refuse(o, REFUSE_IN_FLIGHT) : 0;
}

static int hold_write(struct op *o, const struct ledger_hold *q, const struct lg_line *l,
		      int64_t delta)
{
	struct hold_part part = { .line = l->row,
				  .fresh = !l->row,
				  .side = q->wallet.side,
				  .total = q->amount,
				  .follows = q->prev,
				  .expires = q->expires,
				  .held = o->res.held,
				  .captured = o->res.captured,
				  .lineage_captured = o->res.lineage_captured };
	struct entry j = { .kind = "hold",
			   .class_name = q->class_name,
			   .lineage = q->lineage,
			   .hold_id = o->res.hold_id,
			   .rev = q->rev,
			   .held = delta,
			   .note = q->offer,
			   .time = q->now,
			   .hold = &part };
	int r = l->row ? one(o,
			     db_run(o->s, Q_L_LIVE, o->e, "ii", l->row, (int64_t)lg_next_row(o->s)))
		       : 0;

	return r < 0 ? r : lg_journal(o, &j);
}

static int hold(struct op *o, const struct ledger_hold *q)
{
	const struct ledger_wallet *w;
	struct lg_line l = { .rev = -1 };
	struct hash key;
	bool is_new;
	int64_t delta;
	int r = lg_hot(o, &q->wallet, &w);

	if (r <= 0)
		return r < 0 ? r : lg_refuse(o, REFUSE_WALLET_MISSING);
	r = lg_line(o->s, q->wallet.side, q->lineage, &l, o->e);
	if (r < 0)
		return r;
	is_new = r == 0;
	key = ledger_hold_key(q->lineage, q->rev, &q->offer);
	ledger_hold_id(&key, o->res.hold_id);
	/* What has no lineage was never held; another wallet's the gates refuse. */
	r = is_new || l.wallet != o->wallet ? 0 : lg_known_hold(o, q, &l, w->currency);
	if (r)
		return r < 0 ? r : 0;
	r = lg_frozen(o, q->wallet.side, NULL);
	if (!r && o->res.why == REFUSE_NONE)
		r = hold_gates(o, q, w, &l, is_new);
	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	delta = q->amount.minor > l.l.captured.minor ? q->amount.minor - l.l.captured.minor : 0;
	r = delta ? may_grow(o, w, q->amount, q->now) : 0;
	if (!r && o->res.why == REFUSE_NONE)
		r = lg_move(o, q->class_name, delta, 0);
	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	o->res.amount.minor = delta;
	o->res.lineage_captured = l.l.captured;
	r = lg_counters(o, q->wallet.side, NULL);
	return r < 0 ? r : hold_write(o, q, &l, delta);
}

static bool text_ok(const char *t, size_t cap)
{
	size_t n = strnlen(t, cap);

	return n > 0 && n < cap;
}

static int hold_check(const struct ledger_hold *q, struct err *e)
{
	int r = lg_side(q->wallet.side, e);

	if (r)
		return r;
	if (!text_ok(q->wallet.issuer, sizeof(q->wallet.issuer)))
		return err_set(e, -EINVAL, "issuer: 1 to %d bytes", LEDGER_DID_MAX - 1);
	if (!text_ok(q->wallet.wallet_id, sizeof(q->wallet.wallet_id)))
		return err_set(e, -EINVAL, "walletId: 1 to %d bytes", LEDGER_ID_MAX - 1);
	if (!text_ok(q->class_name, sizeof(q->class_name)))
		return err_set(e, -EINVAL, "class: 1 to %d bytes", LEDGER_CLASS_MAX - 1);
	if (strnlen(q->currency, sizeof(q->currency)) != 3)
		return err_set(e, -EINVAL, "currency: three letters");
	if (!text_ok(q->lineage, sizeof(q->lineage)))
		return err_set(e, -EINVAL, "lineage: 1 to %d bytes", LEDGER_ID_MAX - 1);
	if (q->rev > INT32_MAX)
		return err_set(e, -EINVAL, "rev: above 2^31");
	if (q->amount.minor < 0)
		return err_set(e, -EINVAL, "amount: negative");
	if (q->expires.ms <= q->now.ms)
		return err_set(e, -EINVAL, "expires: not after now");
	return 0;
}

/* For one that reads of the journal only what is of this lineage. */
static int begin_in(struct op *o, struct store *s, const char *lineage, struct err *e)
{
	return lg_staged(s, lineage) ? lg_begin(o, s, e) : lg_begin_late(o, s, e);
}

int ledger_hold(struct store *s, const struct ledger_hold *q, struct ledger_result *ret,
		struct err *e)
{
	struct op o;
	int r = hold_check(q, e);

	if (!r)
		r = begin_in(&o, s, q->lineage, e);
	return r ? r : lg_end(&o, hold(&o, q), ret);
}

/* --- the end of a hold --- */
static struct entry entry_of(const struct lg_found *f, const char *kind, wall_t now)
{
	return (struct entry){ .kind = kind,
			       .class_name = f->h.class_name,
			       .lineage = f->h.lineage,
			       .hold_id = f->h.hold_id,
			       .rev = f->h.rev,
			       .time = now };
}

/* Finds the hold and the stored answer. 1 = go on, 0 = answered, negative = failed. */
static int step_begin(struct op *o, const struct hold_name *n, const char *step,
		      const struct hash *what, struct lg_found *f)
{
	int r = lg_hold(o->s, n, f, o->e);

	if (r <= 0)
		return r < 0 ? r : lg_refuse(o, REFUSE_LEDGER_STATE);
	o->wallet = f->wallet;
	o->key = step_hash(step, n->id, NULL);
	o->request = step_hash(step, n->id, what);
	r = lg_known(o);
	if (r)
		return r < 0 ? r : 0;
	text_put(o->res.hold_id, f->h.hold_id);
	return 1;
}

/* A late capture: the money went back when the hold expired, so it must pass the gates again. */
static int hold_again(struct op *o, struct lg_found *f, const struct lg_line *l, wall_t now)
{
	struct entry j = entry_of(f, "rehold", now);
	int64_t delta = f->h.total.minor - l->l.captured.minor;
	const struct ledger_wallet *w;
	int r = lg_late(o, f->h.expires);

	if (r || o->res.why != REFUSE_NONE)
		return r;
	if (l->live)
		return lg_refuse(o, REFUSE_IN_FLIGHT);
	r = lg_hot_row(o, &w);
	if (r < 0)
		return r;
	delta = delta > 0 ? delta : 0;
	r = delta ? may_grow(o, w, f->h.total, now) : 0;
	if (!r && o->res.why == REFUSE_NONE)
		r = lg_move(o, f->h.class_name, delta, 0);
	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	j.held = delta;
	f->h.amount.minor = delta;
	r = one(o, db_run(o->s, Q_L_LIVE, o->e, "ii", f->line, f->row));
	if (!r)
		r = one(o, db_run(o->s, Q_H_AGAIN, o->e, "ii", f->row, delta));
	return r ? r : lg_journal(o, &j);
}

/* One signed agreement pays one hold, and is one revision of one lineage. */
static int unknown(struct op *o, enum ledger_side side, const struct hash *agreement)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(o->s, Q_A_KNOWN, &st, o->e, "ih", (int64_t)side, agreement);

	if (!r)
		r = db_step(o->s, st, o->e);
	return r > 0 ? lg_refuse(o, REFUSE_LEDGER_FORK) : r;
}

static int capture_write(struct op *o, const struct lg_found *f, const struct lg_line *l,
			 const struct hash *agreement, wall_t now)
{
	struct entry j = entry_of(f, "capture", now);
	int64_t side = f->h.side, x = f->h.amount.minor;
	int r = lg_move(o, f->h.class_name, -x, x);

	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	r = db_run(o->s, Q_H_STATE, o->e, "iii", f->row, (int64_t)HOLD_HELD,
		   (int64_t)HOLD_CAPTURED);
	if (r > 0)
		r = db_run(o->s, Q_L_HEAD, o->e, "iihhii", f->line, (int64_t)f->h.rev, agreement,
			   &l->l.head, x, f->row);
	if (r > 0)
		r = db_run(o->s, Q_A_PUT, o->e, "itithh", side, f->h.lineage, (int64_t)f->h.rev,
			   f->h.hold_id, agreement, &f->prev);
	j.held = -x;
	j.captured = x;
	j.note = *agreement;
	o->res.amount.minor = x;
	return r < 0 ? r : lg_journal(o, &j);
}

static int capture(struct op *o, const struct hold_name *n, const struct hash *agreement,
		   wall_t now)
{
	struct lg_found f;
	struct lg_line l;
	int r = step_begin(o, n, "treaty/capture/v1", agreement, &f);

	if (r <= 0)
		return r;
	if (f.h.state == HOLD_CAPTURED || f.h.state == HOLD_RELEASED)
		return lg_refuse(o, REFUSE_LEDGER_STATE);
	r = lg_frozen(o, n->side, n->id);
	if (r || o->res.why != REFUSE_NONE)
		return r;
	r = lg_line(o->s, n->side, f.h.lineage, &l, o->e);
	if (r <= 0)
		return r < 0 ? r : err_set(o->e, -EUCLEAN, "ledger: a lineage vanished");
	if (!hash_eq(&f.prev, &l.l.head) || f.h.rev <= l.rev)
		return lg_refuse(o, REFUSE_LEDGER_FORK);
	r = unknown(o, n->side, agreement);
	if (r || o->res.why != REFUSE_NONE)
		return r;
	if (f.h.state == HOLD_EXPIRED)
		r = lg_save(o);
	if (!r && f.h.state == HOLD_EXPIRED)
		r = hold_again(o, &f, &l, now);
	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	r = capture_write(o, &f, &l, agreement, now);
	return r < 0 || o->res.why != REFUSE_NONE ? r : lg_counters(o, n->side, f.h.lineage);
}

int ledger_capture(struct store *s, enum ledger_side side, const char *lineage, const char *hold_id,
		   const struct hash *agreement, wall_t now, struct ledger_result *ret,
		   struct err *e)
{
	struct hold_name n = { side, lineage, hold_id };
	struct op o;
	int r = lg_hold_name(&n, e);

	if (!r && sodium_is_zero(agreement->b, HASH_LEN))
		r = err_set(e, -EINVAL, "agreement: zero digest");
	if (!r)
		r = begin_in(&o, s, lineage, e);
	return r ? r : lg_end(&o, capture(&o, &n, agreement, now), ret);
}

static int let_go(struct op *o, const struct lg_found *f, enum ledger_hold_state to, wall_t now)
{
	struct entry j = entry_of(f, to == HOLD_EXPIRED ? "expire" : "release", now);
	int r = lg_move(o, f->h.class_name, -f->h.amount.minor, 0);

	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	r = db_run(o->s, Q_H_STATE, o->e, "iii", f->row, (int64_t)HOLD_HELD, (int64_t)to);
	r = one(o, r);
	if (!r)
		r = one(o, db_run(o->s, Q_L_FREE, o->e, "ii", f->line, f->row));
	j.held = -f->h.amount.minor;
	o->res.amount = f->h.amount;
	if (r >= 0)
		r = lg_journal(o, &j);
	return r < 0 ? r : lg_counters(o, f->h.side, f->h.lineage);
}

static int release(struct op *o, const struct hold_name *n, wall_t now)
{
	struct lg_found f;
	int r = step_begin(o, n, "treaty/release/v1", NULL, &f);

	if (r <= 0)
		return r;
	if (f.h.state != HOLD_HELD)
		return lg_refuse(o, REFUSE_LEDGER_STATE);
	return let_go(o, &f, HOLD_RELEASED, now);
}

int ledger_release(struct store *s, enum ledger_side side, const char *lineage, const char *hold_id,
		   wall_t now, struct ledger_result *ret, struct err *e)
{
	struct hold_name n = { side, lineage, hold_id };
	struct op o;
	int r = lg_hold_name(&n, e);

	if (!r)
		r = begin_in(&o, s, lineage, e);
	return r ? r : lg_end(&o, release(&o, &n, now), ret);
}

static int next_due(struct store *s, wall_t now, struct lg_found *f, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = journal_write(s, e);

	if (!r)
		r = db_bind(s, Q_H_DUE, &st, e, "i", now.ms);
	if (!r)
		r = db_step(s, st, e);
	return r <= 0 ? r : lg_found_row(st, f, e);
}

int ledger_expire(struct store *s, wall_t now, unsigned *ret_n, struct err *e)
{
	struct lg_found f;
	unsigned n = 0;
	int r;

	while ((r = next_due(s, now, &f, e)) > 0) {
		struct ledger_result res;
		struct op o;

		r = lg_begin(&o, s, e);
		if (r < 0)
			return r;
		o.wallet = f.wallet;
		r = lg_end(&o, let_go(&o, &f, HOLD_EXPIRED, now), &res);
		if (r < 0)
			return r;
		n++;
	}
	if (r == 0 && ret_n)
		*ret_n = n;
	return r;
}

/* --- void revisions --- */
static int make_void(struct op *o, const struct hold_name *n, const struct hash *agreement,
		     wall_t now)
{
	struct lg_found f;
	struct lg_line l;
	struct entry j;
	int r = step_begin(o, n, "treaty/void/v1", agreement, &f);

	if (r <= 0)
		return r;
	if (f.h.state != HOLD_RELEASED && f.h.state != HOLD_EXPIRED)
		return lg_refuse(o, REFUSE_LEDGER_STATE);
	r = lg_line(o->s, n->side, f.h.lineage, &l, o->e);
	if (r <= 0)
		return r < 0 ? r : err_set(o->e, -EUCLEAN, "ledger: a lineage vanished");
	if (!hash_eq(&f.prev, &l.l.head) || f.h.rev <= l.rev)
		return lg_refuse(o, REFUSE_LEDGER_FORK);
	r = unknown(o, n->side, agreement);
	if (r || o->res.why != REFUSE_NONE)
		return r;
	r = db_run(o->s, Q_L_HEAD, o->e, "iihhii", f.line, (int64_t)f.h.rev, agreement, &l.l.head,
		   (int64_t)0, (int64_t)0);
	if (r > 0)
		r = db_run(o->s, Q_A_PUT, o->e, "itithh", (int64_t)n->side, f.h.lineage,
			   (int64_t)f.h.rev, f.h.hold_id, agreement, &f.prev);
	j = entry_of(&f, "void", now);
	j.hold_id = ""; /* the hold stays as it ended */
	j.note = *agreement;
	if (r >= 0)
		r = lg_journal(o, &j);
	return r < 0 ? r : lg_counters(o, n->side, f.h.lineage);
}

int ledger_void(struct store *s, enum ledger_side side, const char *lineage, const char *hold_id,
		const struct hash *agreement, wall_t now, struct ledger_result *ret, struct err *e)
{
	struct hold_name n = { side, lineage, hold_id };
	struct op o;
	int r = lg_hold_name(&n, e);

	if (!r && sodium_is_zero(agreement->b, HASH_LEN))
		r = err_set(e, -EINVAL, "agreement: zero digest");
	if (!r)
		r = lg_begin_saved(&o, s, e);
	return r ? r : lg_end(&o, make_void(&o, &n, agreement, now), ret);
}

/* --- credit notes --- */
static int credit(struct op *o, enum ledger_side side, const char *lineage, money_t amount,
		  const struct hash *note, wall_t now)
{
	struct entry j = { .kind = "credit",
			   .lineage = lineage,
			   .hold_id = "",
			   .captured = -amount.minor,
			   .note = *note,
			   .time = now };
	struct lg_line l;
	int r = lg_line(o->s, side, lineage, &l, o->e);

	if (r <= 0)
		return r < 0 ? r : lg_refuse(o, REFUSE_LEDGER_STATE);
	o->wallet = l.wallet;
	o->key = *note;
	o->request = step_hash("treaty/credit/v1", lineage, note);
	for (int i = 0; i < 8; i++)
		o->request.b[i] ^= (uint8_t)((uint64_t)amount.minor >> (56 - 8 * i));
	r = lg_known(o);
	if (r)
		return r < 0 ? r : 0;
	if (l.live)
		return lg_refuse(o, REFUSE_IN_FLIGHT);
	r = db_run(o->s, Q_L_CREDIT, o->e, "ii", l.row, amount.minor);
	if (r == 0)
		return lg_refuse(o, REFUSE_LEDGER_STATE);
	if (r > 0)
		r = lg_move(o, l.l.class_name, 0, -amount.minor);
	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	j.class_name = l.l.class_name;
	j.rev = l.rev;
	o->res.amount = amount;
	r = lg_journal(o, &j);
	return r < 0 ? r : lg_counters(o, side, lineage);
}

int ledger_credit(struct store *s, enum ledger_side side, const char *lineage, money_t amount,
		  const struct hash *note, wall_t now, struct ledger_result *ret, struct err *e)
{
	struct op o;
	int r = lg_side(side, e);

	if (!r && (!lineage || !text_ok(lineage, LEDGER_ID_MAX)))
		r = err_set(e, -EINVAL, "lineage: 1 to %d bytes", LEDGER_ID_MAX - 1);
	if (!r && amount.minor <= 0)
		r = err_set(e, -EINVAL, "amount: not above 0");
	if (!r && sodium_is_zero(note->b, HASH_LEN))
		r = err_set(e, -EINVAL, "note: zero digest");
	if (!r)
		r = lg_begin_saved(&o, s, e);
	return r ? r : lg_end(&o, credit(&o, side, lineage, amount, note, now), ret);
}
