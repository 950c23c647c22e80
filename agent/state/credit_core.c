/* SPDX-License-Identifier: Apache-2.0 */
/* Credit notes: which are legal, and what they do to a deal. */
#include "world.h"
#include "treaty/pure.h"

/* Both sides: it has ended, its agreement says so, and no more goes back than was taken. How much
 * was used is the operator's to say; the enterprise's own clock of the end is another. */
static bool unused_ok(const struct deal *d, const struct ev_credit *c)
{
	return d->life == LIFE_TERMINATED && d->cur.rev && d->cur.refundable &&
	       d->cur.rev == c->rev && digest_eq(d->cur.digest, c->agreement) &&
	       c->amount.minor > 0 && c->amount.minor <= deal_captured(d).minor;
}

/* Both sides: the agreement says so, and it is exactly what the cheaper revision costs less. The
 * operator says it when the network carries that revision: from then on it cannot become void. */
static bool lowered_ok(const struct deal *d, const struct ev_credit *c, bool issued)
{
	bool carried = d->life != LIFE_TERMINATED && d->active;

	return d->cur.rev == c->rev && digest_eq(d->cur.digest, c->agreement) &&
	       d->cur.refundable && (carried || !issued) && c->amount.minor > 0 &&
	       c->amount.minor == deal_captured(d).minor - d->cur.amount.minor;
}

bool deal_credited(const struct deal *d)
{
	for (uint8_t i = 0; i < d->n_credits; i++)
		if (digest_eq(d->credit[i].note.agreement, d->cur.digest) &&
		    d->credit[i].note.reason != CREDIT_LOWERED)
			return true;
	return false;
}

/* One note makes a revision cheaper and one ends it; else a revision has one. */
static bool same_note(const struct ev_credit *a, const struct ev_credit *b)
{
	return digest_eq(a->note, b->note) ||
	       (digest_eq(a->agreement, b->agreement) &&
		(a->reason == CREDIT_LOWERED) == (b->reason == CREDIT_LOWERED));
}

/* The enterprise need not have heard that it failed when it has ended meanwhile: then that is the
 * operator's word, which costs nobody else. */
static bool void_now(const struct deal *d, bool issued)
{
	return d->failed || (!issued && d->life == LIFE_TERMINATED);
}

/* A void revision's money is exactly what was captured for it; nothing is given back twice. */
enum refusal credit_guard(const struct deal *d, const struct ev_credit *c, bool issued)
{
	const struct agreement *p = &d->pending;
	uint8_t i = 0;

	while (i < d->n_credits && !same_note(&d->credit[i].note, c))
		i++;
	if (d->operator_side && !issued)
		return i == d->n_credits    ? REFUSE_AGREEMENT_UNKNOWN
		       : d->credit[i].taken ? REFUSE_DUPLICATE
					    : REFUSE_NONE;
	if (i < d->n_credits)
		return REFUSE_DUPLICATE;
	if (d->n_credits == DEAL_CREDITS_MAX && !d->credit[0].taken)
		return REFUSE_LIMIT_REACHED;
	if (credit_voids(c->reason) && void_now(d, issued) && d->cur.rev == c->rev &&
	    digest_eq(d->cur.digest, c->agreement))
		return c->amount.minor == d->rev[d->n_revs - 1].held.minor ? REFUSE_NONE
									   : REFUSE_LEDGER_STATE;
	if (c->reason == CREDIT_UNUSED)
		return unused_ok(d, c) ? REFUSE_NONE : REFUSE_LEDGER_STATE;
	if (c->reason == CREDIT_LOWERED)
		return lowered_ok(d, c, issued) ? REFUSE_NONE : REFUSE_LEDGER_STATE;
	/* Countersigned too late: only the operator has it as pending, and has captured nothing. */
	return issued && d->has_pending && p->rev == c->rev && digest_eq(p->digest, c->agreement)
		       ? REFUSE_NONE
		       : REFUSE_LEDGER_STATE;
}

/* What was in effect before is in effect again; number and place in the chain stay spent. */
static void fold_void(struct deal *d)
{
	struct agreement dead = d->cur;

	d->cur = d->n_revs > 1 ? d->old : (struct agreement){ 0 };
	d->old = dead;
	d->origin = d->origin_before;
	d->n_revs--;
	d->failed = false;
	d->active = d->cur.rev && d->applied.rev == d->cur.rev;
}

void credit_fold(struct deal *d, const struct event *ev)
{
	const struct ev_credit *c = &ev->u.credit;
	struct credit_line *l;

	for (uint8_t i = 0; i < d->n_credits; i++)
		if (digest_eq(d->credit[i].note.note, c->note)) {
			d->credit[i].taken = true;
			return;
		}
	if (d->n_credits == DEAL_CREDITS_MAX)
		memmove(&d->credit[0], &d->credit[1], --d->n_credits * sizeof(d->credit[0]));
	l = &d->credit[d->n_credits++];
	*l = (struct credit_line){ .note = *c, .taken = ev->kind == EV_CREDIT_TAKEN };
	if (!credit_voids(c->reason)) {
		d->credited = money_add(d->credited, c->amount);
	} else if (d->cur.rev == c->rev) {
		fold_void(d);
	} else {
		d->head = c->agreement;
		d->lineage = d->pending.lineage;
		d->has_pending = false;
	}
	d->why = c->why;
}
