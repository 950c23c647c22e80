/* SPDX-License-Identifier: Apache-2.0 */
/* The fold, as the architecture says it: the log is the state; a typed tool appends events;
 * agreements, ledger, plans and dashboards are folds of the log. As we do it:
 *   - fold_guard() decides from the world alone whether the event may happen: the life table
 *     (life.def) is asked once, here, for every event that moves a deal.
 *   - fold() applies an event that passed; replay calls it with the same bytes.
 *   - an offer is upward when it asks no less bandwidth than is in force; the walk-back and the
 *     step-down are downward by their reason. Cooling refuses only the way down.
 */
#include "world.h"
#include "treaty/pure.h"

/* Members of the payload that name the deal, by kind. */
const ident_t *event_deal(const struct event *ev)
{
	switch (ev->kind) {
	case EV_INTENT_DECLARED:
		return ident_empty(ev->u.intent.lineage) ? &ev->u.intent.negotiation
							 : &ev->u.intent.lineage;
	case EV_WALLET_ADMITTED:
		return ident_empty(ev->u.admit.intent.lineage) ? &ev->u.admit.intent.negotiation
							       : &ev->u.admit.intent.lineage;
	case EV_QUOTE_OFFERED:
	case EV_QUOTE_RECEIVED:
	case EV_RENEGOTIATION_OPENED:
		return ident_empty(ev->u.quote.lineage) ? &ev->u.quote.negotiation
							: &ev->u.quote.lineage;
	case EV_AGREEMENT_SIGNED:
	case EV_AGREEMENT_ACCEPTED:
	case EV_ACCEPTANCE_RECORDED: return &ev->u.agreement.negotiation;
	case EV_ORDER_EMITTED: return &ev->u.order.lineage;
	case EV_PLAN_COMMITTED: return &ev->u.plan.lineage;
	case EV_QUOTE_ACCEPTED:
	case EV_ACCEPT_RECORDED: return &ev->u.accept.deal;
	case EV_QUOTE_COUNTERED: return &ev->u.counter.deal;
	case EV_PLAN_STEP_DONE:
	case EV_ORDER_CLOSED: return &ev->u.progress.deal;
	case EV_ORDER_REFUSED: return &ev->u.refused.deal;
	case EV_CREDIT_ISSUED:
	case EV_CREDIT_TAKEN: return &ev->u.credit.deal;
	case EV_STEPS_TAKEN:
	case EV_STEP_RECEIPT:
	case EV_REMOVAL_OWED:
	case EV_REMOVAL_SETTLED:
	case EV_SPUR_REBALANCED:
	case EV_REFUSED:
	case EV_ADVICE_GIVEN:
	case EV_POLICY_LOADED:
	case EV_DISCLOSURE_LOADED:
	case EV_WITNESS_ALARM:
	case EV_CLOCK_STEPPED:
	case EV_CONSUMER_ERASED:
	case EV_KEY_ROTATED:
	case EV_KEY_COMPROMISED:
	case EV_LEDGER_FROZEN:
	case EV_LEDGER_THAWED:
	case EV_ACT_ASKED:
	case EV_ACT_GRANTED:
	case EV_ACT_DENIED:
	case EV_ACT_LAPSED:
	case EV_LOG_COMMITTED:
	case EV_WALLET_REVOKED: return NULL;
	default: return &ev->u.ref.deal;
	}
}

static enum life_event offer_event(const struct deal *d, const struct quote *q)
{
	if (d->cur.rev == 0)
		return LEV_QUOTED;
	if (q->reason == QUOTE_STEP_DOWN || q->reason == QUOTE_WALK_BACK)
		return LEV_OFFERED_DOWN;
	if (q->n_items > 0 && q->item[0].g.bandwidth.bps < d->cur.g.bandwidth.bps)
		return LEV_OFFERED_DOWN;
	return LEV_OFFERED_UP;
}

static bool same_service(const struct agreement *a, const struct agreement *b)
{
	return a->path == b->path && a->type == b->type && a->price.minor_h <= b->price.minor_h &&
	       a->g.bandwidth.bps == b->g.bandwidth.bps && a->g.latency.us == b->g.latency.us;
}

/* The order that removes the steps of an agreement that has ended: no life is left to change. */
static bool removing(const struct deal *d)
{
	return d->life == LIFE_TERMINATED && d->has_order && d->order.action == ORDER_DELETE;
}

enum life_event fold_life_event(const struct deal *d, const struct event *ev)
{
	switch (ev->kind) {
	case EV_QUOTE_OFFERED:
	case EV_QUOTE_RECEIVED:
	case EV_RENEGOTIATION_OPENED:
		/* A counter-offer's new version stays in the open negotiation. */
		if (d->life == LIFE_RENEGOTIATING && ident_eq(ev->u.quote.id, d->quote.id))
			return LEV_MAX_;
		return offer_event(d, &ev->u.quote);
	case EV_INTENT_WITHDRAWN: return LEV_WITHDRAWN;
	case EV_QUOTE_REJECTED:
	case EV_RENEGOTIATION_CLOSED: return d->cur.rev ? LEV_DECLINED : LEV_WITHDRAWN;
	case EV_AGREEMENT_ACCEPTED:
	case EV_ACCEPTANCE_RECORDED: return d->life == LIFE_NEGOTIATED ? LEV_SIGNED : LEV_AMENDED;
	case EV_SERVICE_ACTIVE:
		if (removing(d))
			return LEV_MAX_;
		if (d->life == LIFE_AGREED)
			return LEV_PROVISIONED;
		return same_service(&d->cur, &d->origin) ? LEV_APPLIED_ORIGIN : LEV_APPLIED;
	case EV_SERVICE_FAILED:
	case EV_ORDER_REFUSED:
		if (removing(d) || (d->has_order && deal_swap(d, &d->order)))
			return LEV_MAX_;
		return d->life == LIFE_AGREED ? LEV_PROVISION_FAILED : LEV_APPLY_FAILED;
	case EV_METERED: return LEV_METERED;
	case EV_BREACH_PREDICTED: return LEV_BREACH_PREDICTED;
	case EV_BREACHED: return LEV_BREACHED;
	case EV_RECOVERED: return LEV_RECOVERED;
	case EV_COOLED: return LEV_COOLED;
	case EV_TERMINATED: return LEV_TERMINATED;
	case EV_EXPIRED: return LEV_EXPIRED;
	default: return LEV_MAX_;
	}
}

/* The same peer shows its wallet again for a need that no agreement answers yet. */
static bool readmitted(const struct deal *d, const struct event *ev)
{
	return ev->kind == EV_WALLET_ADMITTED && d->operator_side && !d->cur.rev &&
	       (d->life == LIFE_DECLARED || d->life == LIFE_NEGOTIATED) &&
	       ident_eq(d->peer, ev->u.admit.peer) && ident_eq(d->intent.id, ev->u.admit.intent.id);
}

static enum refusal guard_new(const struct world *w, const struct event *ev, const struct intent *i)
{
	const struct deal *d =
		world_deal(w, ident_empty(i->lineage) ? &i->negotiation : &i->lineage);

	if (i->want.bandwidth.bps == 0 || i->term_ms <= 0 || ident_empty(i->negotiation))
		return REFUSE_BODY_MALFORMED;
	if (!ident_empty(i->lineage))
		return !d                           ? REFUSE_AGREEMENT_UNKNOWN
		       : d->life == LIFE_TERMINATED ? REFUSE_WRONG_STATE
						    : REFUSE_NONE;
	if (d)
		return readmitted(d, ev) ? REFUSE_NONE : REFUSE_DUPLICATE;
	return world_room(w, ev->at) ? REFUSE_NONE : REFUSE_LIMIT_REACHED;
}

static enum refusal guard_quote(const struct deal *d, const struct quote *q)
{
	if (q->n_items == 0 || q->n_items > QUOTE_ITEMS_MAX)
		return REFUSE_BODY_MALFORMED;
	if (d->has_quote && ident_eq(d->quote.id, q->id) && q->version <= d->quote.version)
		return REFUSE_DUPLICATE;
	return q->rev && q->rev <= d->last_rev ? REFUSE_LEDGER_FORK : REFUSE_NONE;
}

static const struct quote_item *item_of(const struct quote *q, uint8_t no)
{
	for (uint8_t i = 0; i < q->n_items; i++)
		if (q->item[i].no == no)
			return &q->item[i];
	return NULL;
}

/* The numbers of the acceptance against the quote in hand: the envelope holds against the quote,
 * never against the conversation. */
static enum refusal guard_accept(const struct deal *d, const struct ev_accept *a, wall_t now)
{
	const struct quote_item *i = item_of(&d->quote, a->item);

	if (!d->has_quote || !ident_eq(d->quote.id, a->quote))
		return REFUSE_QUOTE_UNKNOWN;
	if (d->quote.version != a->version || !digest_eq(d->quote.digest, a->quote_digest) || !i)
		return REFUSE_QUOTE_MISMATCH;
	if (i->withdrawn)
		return REFUSE_GRADE_WITHDRAWN;
	if (now.ms > d->quote.valid_until.ms)
		return REFUSE_QUOTE_EXPIRED;
	if (a->margin.minor_h != i->margin.minor_h ||
	    a->price.minor_h != i->scarcity.minor_h + i->margin.minor_h)
		return REFUSE_QUOTE_MISMATCH;
	if (a->end.ms <= a->start.ms)
		return REFUSE_BODY_MALFORMED;
	if (deal_amount(d, a->price, a->start, a->end).minor != a->amount.minor)
		return REFUSE_QUOTE_MISMATCH;
	return REFUSE_NONE;
}

static enum refusal guard_agreement(const struct deal *d, const struct agreement *a)
{
	const struct ev_accept *c = &d->accept;

	if (!d->has_accept || !ident_eq(c->quote, a->quote) || c->item != a->item ||
	    c->price.minor_h != a->price.minor_h || c->amount.minor != a->amount.minor ||
	    c->start.ms != a->start.ms || c->end.ms != a->end.ms)
		return REFUSE_QUOTE_MISMATCH;
	if (a->rev != deal_next_rev(d) || a->rev <= d->last_rev || !digest_eq(a->prev, d->head) ||
	    (d->cur.rev && !ident_eq(a->lineage, d->cur.lineage)))
		return REFUSE_LEDGER_FORK;
	if (a->label == 0 || a->label > LABEL_MAX)
		return REFUSE_LABEL_RANGE;
	if (d->n_revs >= DEAL_REVS_MAX)
		return REFUSE_LIMIT_REACHED;
	return REFUSE_NONE;
}

/* What has ended is removed, and only that. */
static enum refusal guard_order(const struct deal *d, const struct order *o)
{
	if (!d->cur.rev || o->rev != d->cur.rev || !digest_eq(o->agreement_digest, d->cur.digest))
		return REFUSE_ORDER_INVALID;
	return (o->action == ORDER_DELETE) == (d->life == LIFE_TERMINATED) ? REFUSE_NONE
									   : REFUSE_ORDER_INVALID;
}

static enum refusal guard_payload(const struct deal *d, const struct event *ev)
{
	switch (ev->kind) {
	case EV_QUOTE_OFFERED:
	case EV_QUOTE_RECEIVED:
	case EV_RENEGOTIATION_OPENED: return guard_quote(d, &ev->u.quote);
	case EV_QUOTE_ACCEPTED:
	case EV_ACCEPT_RECORDED: return guard_accept(d, &ev->u.accept, ev->at);
	case EV_QUOTE_COUNTERED:
		return !d->has_quote                   ? REFUSE_QUOTE_UNKNOWN
		       : d->rounds >= QUOTE_ROUNDS_MAX ? REFUSE_ROUNDS_EXCEEDED
						       : REFUSE_NONE;
	case EV_AGREEMENT_SIGNED: return guard_agreement(d, &ev->u.agreement);
	case EV_AGREEMENT_ACCEPTED: return guard_agreement(d, &ev->u.agreement);
	case EV_ACCEPTANCE_RECORDED:
		return d->has_pending && digest_eq(d->pending.digest, ev->u.agreement.digest)
			       ? REFUSE_NONE
			       : REFUSE_SIGNATURE_BAD;
	case EV_ORDER_EMITTED: return guard_order(d, &ev->u.order);
	case EV_CREDIT_ISSUED:
	case EV_CREDIT_TAKEN: return credit_guard(d, &ev->u.credit, ev->kind == EV_CREDIT_ISSUED);
	case EV_EXPIRED:
		return d->cur.rev && ev->at.ms >= d->cur.end.ms ? REFUSE_NONE : REFUSE_WRONG_STATE;
	case EV_PLAN_COMMITTED:
		return d->has_order && ident_eq(d->order.id, ev->u.plan.order)
			       ? REFUSE_NONE
			       : REFUSE_ORDER_INVALID;
	case EV_PLAN_STEP_DONE:
		return d->has_plan && ident_eq(d->plan.id, ev->u.progress.plan) &&
				       ev->u.progress.upto <= d->plan.n_steps
			       ? REFUSE_NONE
			       : REFUSE_ORDER_INVALID;
	case EV_ORDER_CLOSED:
		return d->has_plan && ident_eq(d->plan.id, ev->u.progress.plan)
			       ? REFUSE_NONE
			       : REFUSE_ORDER_INVALID;
	default: return approval_guard(d, ev);
	}
}

/* Room for every step, were all of them new. */
static enum refusal guard_steps(const struct world *w, const struct plan *p)
{
	uint32_t room = w->max_wanted - w->n_wanted;

	if (p->n_steps == 0 || p->n_steps > STEPS_MAX)
		return REFUSE_BODY_MALFORMED;
	for (uint32_t k = 0; k < w->n_wanted && room < p->n_steps; k++)
		room += step_is_removal(w->wanted[k].step.kind);
	return room < p->n_steps ? REFUSE_LIMIT_REACHED : REFUSE_NONE;
}

/* Each event is committed to once, and not before it is there. */
static enum refusal guard_commit(const struct world *w, const struct ev_commit *c)
{
	if (!c->first || !c->count || c->count > w->seq || c->first > w->seq - c->count + 1)
		return REFUSE_BODY_MALFORMED;
	return c->first < w->committed ? REFUSE_DUPLICATE : REFUSE_NONE;
}

enum refusal fold_guard(const struct world *w, const struct event *ev)
{
	const ident_t *id = event_deal(ev);
	const struct deal *d;
	enum life_event lev;
	enum life to;
	enum refusal r;

	if (ev->kind == EV_INTENT_DECLARED)
		return guard_new(w, ev, &ev->u.intent);
	if (ev->kind == EV_WALLET_ADMITTED)
		return guard_new(w, ev, &ev->u.admit.intent);
	if (ev->kind == EV_STEPS_TAKEN)
		return guard_steps(w, &ev->u.plan);
	if (ev->kind == EV_REMOVAL_OWED || ev->kind == EV_REMOVAL_SETTLED)
		return debt_guard(w, ev);
	if (ev->kind == EV_DISCLOSURE_LOADED)
		return ev->u.ref.rev > w->disclosure_rev ? REFUSE_NONE : REFUSE_DISCLOSURE_STALE;
	if (ev->kind == EV_KEY_ROTATED || ev->kind == EV_KEY_COMPROMISED)
		return key_guard(w, ev);
	if (ev->kind == EV_LEDGER_FROZEN || ev->kind == EV_LEDGER_THAWED)
		return w->ledger_frozen == (ev->kind == EV_LEDGER_FROZEN) ? REFUSE_DUPLICATE
									  : REFUSE_NONE;
	if (ev->kind == EV_LOG_COMMITTED)
		return guard_commit(w, &ev->u.commit);
	if (!id)
		return act_guard(w, ev);
	d = world_deal(w, id);
	if (!d)
		return REFUSE_AGREEMENT_UNKNOWN;
	r = key_stops(w, d, ev);
	if (r == REFUSE_NONE)
		r = guard_payload(d, ev);
	if (r != REFUSE_NONE)
		return r;
	lev = fold_life_event(d, ev);
	return lev == LEV_MAX_ ? REFUSE_NONE : life_next(d->life, lev, &to);
}

/* --- folding -------------------------------------------------------------------------- */

/* The guard has seen that there is room. */
static struct deal *deal_make(struct world *w, const struct intent *i, const struct event *ev)
{
	struct deal *d = world_room(w, ev->at);

	if (w->n_deals < w->max_deals) {
		w->n_deals++;
	} else {
		w->hand = (uint32_t)(d - w->deal) + 1;
		index_forget(w, d);
	}
	memset(d, 0, sizeof(*d));
	d->negotiation = i->negotiation;
	d->life = LIFE_DECLARED;
	d->first = ev->seq;
	index_deal(w, d, NULL);
	return d;
}

static void fold_intent(struct world *w, const struct intent *i, const struct event *ev)
{
	struct deal *d = world_deal(w, ident_empty(i->lineage) ? &i->negotiation : &i->lineage);

	if (!d)
		d = deal_make(w, i, ev);
	d->intent = *i;
	d->rounds = 0;
	d->seq = ev->seq;
	if (d->life == LIFE_DECLARED)
		d->changed = ev->at;
	if (ev->kind == EV_WALLET_ADMITTED) {
		d->operator_side = true;
		d->admit = ev->u.admit;
		d->peer = ev->u.admit.peer;
		d->admitted = ev->at;
	}
}

/* The revision comes into force on paper: price line, linked digests; the kernel follows. */
static void fold_in_force(struct deal *d, const struct agreement *a)
{
	money_t before = deal_captured(d);
	struct rev_line *l = &d->rev[d->n_revs++];

	*l = (struct rev_line){
		.rev = a->rev, .price = a->price, .start = a->start, .end = a->end
	};
	l->held.minor = a->amount.minor > before.minor ? a->amount.minor - before.minor : 0;
	d->old = d->cur;
	d->cur = *a;
	d->last_rev = a->rev > d->last_rev ? a->rev : d->last_rev;
	d->head = a->digest;
	d->lineage = a->lineage;
	d->has_pending = d->has_accept = false;
	d->active = d->failed = false;
	d->origin_before = d->origin;
	if (a->reason == QUOTE_NEW || a->reason == QUOTE_CHANGE)
		d->origin = *a;
	if (a->reason == QUOTE_WALK_BACK)
		d->cooled = false;
}

/* The plan under way has ended. An order that came meanwhile waits on. */
static void fold_plan_end(struct deal *d, bool applied)
{
	if (applied && (d->has_plan || d->has_order))
		d->applied = d->has_plan ? d->planned : d->order;
	if (d->applied.action == ORDER_DELETE)
		memset(&d->applied, 0, sizeof(d->applied));
	if (!d->has_plan || ident_eq(d->order.id, d->planned.id))
		d->has_order = false;
	d->has_plan = false;
	d->plan_failed = 0;
}

/* The running revision keeps number, price and promise; only the road is another. */
static void fold_closed(struct deal *d, const struct ev_progress *p)
{
	bool applied = p->refusal == REFUSE_NONE;

	if (applied && deal_swap(d, &d->planned) && d->planned.rev == d->cur.rev)
		d->cur.path = d->planned.path;
	fold_plan_end(d, applied);
	deal_order_waits(d);
	d->why = p->why;
}

/* The object's own row, a new one, or that of an object which is not wanted any more. */
static uint32_t wanted_row(const struct world *w, const struct step *s)
{
	const struct wanted *own = world_wanted(w, s);
	uint32_t k = 0;

	if (own)
		return (uint32_t)(own - w->wanted);
	if (w->n_wanted < w->max_wanted)
		return w->n_wanted;
	while (k < w->n_wanted && !step_is_removal(w->wanted[k].step.kind))
		k++;
	return k;
}

static void fold_wanted(struct world *w, const struct plan *p)
{
	for (uint16_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->step[i].step;
		uint32_t k;

		if (s->kind == STEP_PROBE || s->kind == STEP_WAIT)
			continue;
		k = wanted_row(w, s);
		if (k == w->max_wanted)
			continue;
		if (k == w->n_wanted)
			w->n_wanted++;
		else
			index_wanted(w, k, false);
		w->wanted[k] = (struct wanted){ .step = *s, .plan = p->id };
		index_wanted(w, k, true);
	}
}

/* An agreement keeps the id of its rule for life: it is not to follow from the row it stands in. */
static void fold_rule(struct deal *d, const struct plan *p)
{
	for (uint16_t i = 0; i < p->n_steps; i++)
		if (p->step[i].step.kind == STEP_RULE_SET)
			d->rule = p->step[i].step.rule.id;
}

/* From the order to what the kernels hold. */
static void fold_order(struct deal *d, const struct event *ev)
{
	switch (ev->kind) {
	case EV_ORDER_EMITTED:
		d->order = ev->u.order;
		d->has_order = true;
		break;
	case EV_PLAN_COMMITTED:
		d->plan = ev->u.plan;
		d->planned = d->order;
		d->plan_upto = d->plan_failed = 0;
		d->has_plan = true;
		fold_rule(d, &ev->u.plan);
		break;
	case EV_PLAN_STEP_DONE:
		d->plan_upto = ev->u.progress.upto;
		/* A failed step within the prefix was passed over; one behind it ends the plan. */
		d->plan_failed = ev->u.progress.failed > d->plan_upto ? ev->u.progress.failed : 0;
		break;
	case EV_ORDER_CLOSED: fold_closed(d, &ev->u.progress); break;
	case EV_SERVICE_ACTIVE:
		d->active = d->life != LIFE_TERMINATED;
		fold_plan_end(d, true);
		d->why = ev->u.ref.why;
		break;
	case EV_ORDER_REFUSED:
		d->has_order = false;
		d->why = ev->u.refused.why;
		break;
	case EV_SERVICE_FAILED:
		fold_plan_end(d, false);
		d->why = ev->u.ref.why;
		break;
	default: break;
	}
}

static void fold_deal(struct deal *d, const struct event *ev)
{
	switch (ev->kind) {
	case EV_QUOTE_OFFERED:
	case EV_QUOTE_RECEIVED:
	case EV_RENEGOTIATION_OPENED:
		if (!ident_eq(d->quote.id, ev->u.quote.id))
			d->rounds = 0; /* another menu is another negotiation */
		d->quote = ev->u.quote;
		d->has_quote = true;
		d->has_accept = false;
		break;
	case EV_QUOTE_COUNTERED:
		d->rounds = ev->u.counter.round;
		d->why = ev->u.counter.why;
		break;
	case EV_QUOTE_ACCEPTED:
	case EV_ACCEPT_RECORDED:
		d->accept = ev->u.accept;
		d->has_accept = true;
		d->why = ev->u.accept.why;
		break;
	case EV_AGREEMENT_SIGNED:
		d->pending = ev->u.agreement;
		d->has_pending = true;
		d->last_rev = ev->u.agreement.rev;
		break;
	case EV_AGREEMENT_ACCEPTED:
	case EV_ACCEPTANCE_RECORDED: fold_in_force(d, &ev->u.agreement); break;
	case EV_BREACH_PREDICTED:
	case EV_BREACHED:
		d->risk_open = true;
		d->cooled = false;
		d->why = ev->u.ref.why;
		break;
	case EV_RECOVERED:
		d->risk_open = false;
		d->cool_from = ev->at;
		d->why = ev->u.ref.why;
		break;
	case EV_COOLED: d->cooled = true; break;
	case EV_RENEGOTIATION_CLOSED: d->has_accept = false; break;
	case EV_CREDIT_ISSUED:
	case EV_CREDIT_TAKEN: credit_fold(d, ev); break;
	case EV_EXPIRED:
	case EV_TERMINATED:
		d->active = false;
		d->why = ev->u.ref.why;
		break;
	default: fold_order(d, ev);
	}
}

static void fold_event(struct world *w, const struct event *ev, struct deal *d)
{
	enum life_event lev;
	ident_t lineage;
	enum life to;

	w->seq = ev->seq;
	w->events++;
	w->refusals += ev->kind == EV_REFUSED;
	w->agreements += ev->kind == EV_AGREEMENT_ACCEPTED || ev->kind == EV_ACCEPTANCE_RECORDED;
	if (ev->kind == EV_DISCLOSURE_LOADED) {
		w->disclosure_rev = ev->u.ref.rev;
		w->disclosure = ev->u.ref.about;
	}
	if (ev->kind == EV_LOG_COMMITTED)
		w->committed = ev->u.commit.first + ev->u.commit.count;
	if (ev->kind == EV_INTENT_DECLARED)
		fold_intent(w, &ev->u.intent, ev);
	else if (ev->kind == EV_WALLET_ADMITTED)
		fold_intent(w, &ev->u.admit.intent, ev);
	else if (ev->kind == EV_STEPS_TAKEN)
		fold_wanted(w, &ev->u.plan);
	else if (ev->kind == EV_SPUR_REBALANCED)
		w->spur = ev->u.spur;
	debt_fold(w, ev);
	key_fold(w, ev);
	act_fold(w, ev);
	if (!d || ev->kind == EV_INTENT_DECLARED || ev->kind == EV_WALLET_ADMITTED)
		return;
	/* The life event is read before the payload is folded: it compares with what was. */
	lev = fold_life_event(d, ev);
	lineage = d->lineage;
	fold_deal(d, ev);
	index_deal(w, d, &lineage);
	approval_fold(d, ev);
	d->seq = ev->seq;
	if (lev == LEV_PROVISION_FAILED || lev == LEV_APPLY_FAILED)
		d->failed = true;
	if (lev != LEV_MAX_ && life_next(d->life, lev, &to) == REFUSE_NONE) {
		d->life = to;
		d->changed = ev->at;
	}
}

void fold(struct world *w, const struct event *ev)
{
	const ident_t *id = event_deal(ev);
	struct deal *d = id ? world_deal(w, id) : NULL;

	fold_event(w, ev, d);
	if (!d && id)
		d = world_deal(w, id);
	if (d)
		brief_put(w, d);
}
