/* SPDX-License-Identifier: Apache-2.0 */
/* One question a deal. A grant is for the amount that was asked, serves one acceptance, and ends
 * with its time; a newer question takes the place of an older one. */
#include "world.h"
#include "treaty/pure.h"

static enum refusal guard_ask(const struct deal *d, const struct event *ev)
{
	const struct ev_approval *a = &ev->u.approval;

	if (d->operator_side || d->life == LIFE_TERMINATED)
		return REFUSE_WRONG_STATE;
	if (!d->has_quote || !ident_eq(d->quote.id, a->quote))
		return REFUSE_QUOTE_UNKNOWN;
	if (ident_empty(a->id) || a->amount.minor <= 0 || a->expires.ms <= ev->at.ms)
		return REFUSE_BODY_MALFORMED;
	return d->approval_state == APPROVAL_WAITING && ident_eq(d->approval.quote, a->quote) &&
			       d->approval.version == a->version
		       ? REFUSE_DUPLICATE
		       : REFUSE_NONE;
}

/* The answer repeats the question: a human says yes or no, and changes nothing of it. */
static bool same(const struct ev_approval *a, const struct ev_approval *b)
{
	return ident_eq(a->id, b->id) && ident_eq(a->quote, b->quote) && a->version == b->version &&
	       a->item == b->item && a->amount.minor == b->amount.minor &&
	       a->expires.ms == b->expires.ms;
}

enum refusal approval_guard(const struct deal *d, const struct event *ev)
{
	bool waits = d->approval_state == APPROVAL_WAITING;
	bool over = ev->at.ms >= d->approval.expires.ms;

	switch (ev->kind) {
	case EV_APPROVAL_ASKED: return guard_ask(d, ev);
	case EV_APPROVAL_GRANTED:
	case EV_APPROVAL_DENIED:
		if (!same(&d->approval, &ev->u.approval))
			return REFUSE_QUOTE_MISMATCH;
		return waits && !over ? REFUSE_NONE : REFUSE_WRONG_STATE;
	case EV_APPROVAL_LAPSED:
		if (!same(&d->approval, &ev->u.approval))
			return REFUSE_QUOTE_MISMATCH;
		waits |= d->approval_state == APPROVAL_GRANTED;
		return waits && over ? REFUSE_NONE : REFUSE_WRONG_STATE;
	default: return REFUSE_NONE;
	}
}

void approval_fold(struct deal *d, const struct event *ev)
{
	switch (ev->kind) {
	case EV_APPROVAL_ASKED:
		d->approval = ev->u.approval;
		d->approval_state = APPROVAL_WAITING;
		break;
	case EV_APPROVAL_GRANTED: d->approval_state = APPROVAL_GRANTED; break;
	case EV_APPROVAL_DENIED: d->approval_state = APPROVAL_DENIED; break;
	case EV_APPROVAL_LAPSED: d->approval_state = APPROVAL_LAPSED; break;
	case EV_QUOTE_ACCEPTED:
		if (d->approval_state == APPROVAL_GRANTED)
			d->approval_state = APPROVAL_USED;
		return;
	case EV_INTENT_WITHDRAWN:
	case EV_TERMINATED:
		if (d->approval_state == APPROVAL_WAITING || d->approval_state == APPROVAL_GRANTED)
			d->approval_state = APPROVAL_LAPSED;
		return;
	default: return;
	}
	d->why = ev->u.approval.why;
}
