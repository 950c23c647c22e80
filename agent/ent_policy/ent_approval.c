/* SPDX-License-Identifier: Apache-2.0 */
/* The wallet says above which amount a human must agree (humanApprovalAbove). Up to it the agent
 * chooses alone; what it could choose only above it waits. Nothing is held or said meanwhile. The
 * quote may well run out before the human comes: then a new one is asked for, and the grant covers
 * it up to the amount that was asked. */
#include "ent_int.h"

#include "agent/log.h"
#include "treaty/delegation.h"

#include <errno.h>

money_t ent_approval_limit(const struct ent *en, const struct deal *d)
{
	money_t limit = { wallet_alone(&en->wallet) }, max = en->wallet.agreement_max;

	if (d->approval_state != APPROVAL_GRANTED || d->approval.amount.minor <= limit.minor ||
	    engine_now(en->s->engine).ms >= d->approval.expires.ms)
		return limit;
	return d->approval.amount.minor < max.minor ? d->approval.amount : max;
}

static enum refusal ask(struct conv *c, const struct deal *d, const struct ent_policy_in *in,
			const struct ent_policy_out *out, struct err *e)
{
	struct ent *en = c->ent;
	struct decision dn = { "ent_policy_choose", &ent_policy_in_fields, &ent_policy_out_fields,
			       in, out };
	struct ev_approval a = { .deal = d->negotiation,
				 .quote = d->quote.id,
				 .version = d->quote.version,
				 .item = out->item,
				 .amount = out->amount,
				 .expires = engine_now(en->s->engine),
				 .why = out->why };
	enum refusal no;

	a.expires.ms += (int64_t)en->s->cfg->enterprise.approval_s * 1000;
	memcpy(a.currency, d->quote.currency, sizeof(a.currency));
	engine_id(&a.id, "apr");
	no = tool_approval_ask(&en->cap, &a, &dn, &d->quote.digest);
	if (no != REFUSE_NONE && no != REFUSE_DUPLICATE)
		return no;
	if (no == REFUSE_NONE)
		log_warn("%s: %s: %lld %s wait for approval", d->negotiation.s, a.id.s,
			 (long long)a.amount.minor, a.currency);
	return ent_idle(c, e) ? REFUSE_MAX_ : REFUSE_NONE;
}

bool ent_approval_ask(struct conv *c, const struct deal *d, const struct ent_policy_in *in,
		      enum refusal *no, struct err *e)
{
	struct ent_policy_in above = *in;
	struct ent_policy_out out;

	above.wallet.agreement_max = c->ent->wallet.agreement_max;
	above.bargain = false;
	if (above.wallet.agreement_max.minor <= in->wallet.agreement_max.minor)
		return false;
	ent_policy_choose(&above, NULL, &out);
	if (out.verdict != POLICY_ACCEPT)
		return false;
	*no = ask(c, d, &above, &out, e);
	return true;
}

static bool quote_open(const struct deal *d, const struct ev_approval *a, wall_t now)
{
	return (d->life == LIFE_NEGOTIATED || d->life == LIFE_RENEGOTIATING) &&
	       ident_eq(d->quote.id, a->quote) && d->quote.version == a->version &&
	       now.ms < d->quote.valid_until.ms;
}

static void granted(struct conv *c, struct deal *d, const struct ev_approval *a)
{
	struct err e = { 0 };
	enum refusal no;

	if (quote_open(d, a, engine_now(c->ent->s->engine))) {
		no = ent_choose(c, d, &e);
		if (no != REFUSE_NONE)
			ent_refused(c, no == REFUSE_MAX_ ? REFUSE_LEDGER_STATE : no,
				    e.text[0] ? e.text : refusal_text(no));
	} else if (!d->cur.rev) {
		ent_afresh(c, d, &e);
	} else {
		log_warn("%s: %s: granted, but the offer has passed: the operator may repeat it",
			 d->negotiation.s, a->id.s);
	}
}

/* As if the rules had said no: the deal returns to where it stood. */
static enum refusal decline(struct conv *c, const struct deal *d, const why_t *why)
{
	struct ev_ref ref = { .deal = d->negotiation, .about = d->quote.id, .why = *why };
	enum refusal no;

	if (!d->has_quote || d->has_accept ||
	    (d->life != LIFE_NEGOTIATED && d->life != LIFE_RENEGOTIATING))
		return REFUSE_WRONG_STATE;
	no = tool_quote_reject(&c->ent->cap, &ref, NULL, &d->quote.digest);
	if (no == REFUSE_NONE)
		ent_reject(c, d, why->s);
	return no;
}

enum refusal ent_decline(struct ent *en, struct deal *d, const why_t *why)
{
	struct conv *c = d && !d->operator_side ? ent_conv(en, d) : NULL;

	if (!c)
		return d && !d->operator_side ? REFUSE_LIMIT_REACHED : REFUSE_AGREEMENT_UNKNOWN;
	/* What is under way has its answer already. */
	return c->step == CONV_IDLE ? decline(c, d, why) : REFUSE_IN_FLIGHT;
}

void ent_approval_answered(struct ent *en, struct deal *d, const struct event *ev)
{
	const struct ev_approval a = ev->u.approval;
	struct conv *c = ent_conv(en, d);

	if (!c)
		log_error("%s: out of memory", d->negotiation.s);
	else if (c->step != CONV_IDLE)
		return; /* a newer conversation is under way; the grant is there when it needs it */
	else if (ev->kind == EV_APPROVAL_GRANTED)
		granted(c, d, &a);
	else if (ident_eq(d->quote.id, a.quote))
		(void)decline(c, d, &a.why);
}

void ent_approval_tick(struct ent *en)
{
	wall_t now = engine_now(en->s->engine);

	for (uint32_t i = 0; i < en->w->n_deals; i++) {
		const struct deal *d = &en->w->deal[i];
		struct ev_approval a = d->approval;

		if (d->operator_side || now.ms < a.expires.ms ||
		    (d->approval_state != APPROVAL_WAITING &&
		     d->approval_state != APPROVAL_GRANTED))
			continue;
		a.why = ent_why(d->approval_state == APPROVAL_WAITING
					? "no human answered in time"
					: "the grant was not used in time");
		(void)tool_approval_lapse(&en->cap, &a, NULL, NULL);
	}
}
