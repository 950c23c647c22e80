/* SPDX-License-Identifier: Apache-2.0 */
/* A credit note of the operator comes in: verified, compared with what was paid, booked in the
 * gate, and the edge goes back to what is in effect. The same note again is answered again; a
 * second note for the same revision is refused, whoever signed it. */
#include "ent_int.h"

#include "agent/codec/credit.h"
#include "agent/log.h"

#include <errno.h>

static enum refusal differs(struct err *e, enum refusal no, const char *member)
{
	(void)err_set(e, -EINVAL, "credit note: %s", member);
	return no;
}

/* Against the operator that we buy from, and the revision that we accepted. */
static enum refusal fits(const struct ent *en, const struct deal *d, const struct credit_note *c,
			 struct err *e)
{
	const struct agreement *a = &d->cur;

	if (strcmp(c->issuer, en->op->did) != 0)
		return differs(e, REFUSE_SIGNATURE_BAD, "issuer: not our operator");
	if (c->revision != a->rev || memcmp(c->agreement_digest, a->digest.b, DIGEST_LEN) != 0)
		return differs(e, REFUSE_AGREEMENT_UNKNOWN,
			       "agreementDigest: not the newest accepted revision");
	if (strcmp(c->hold_id, a->hold.s) != 0 || strcmp(c->wallet_id, a->wallet.s) != 0)
		return differs(e, REFUSE_QUOTE_MISMATCH, "holdId, walletId: not the agreement's");
	if (strcmp(c->currency, a->currency) != 0)
		return differs(e, REFUSE_LEDGER_CURRENCY, "currency: not the agreement's");
	return REFUSE_NONE;
}

/* The answer to the acceptance may still be on its way: the note says the same. */
static void not_waiting(struct ent *en, const struct deal *d, const char *why)
{
	struct conv *c = ent_conv(en, d);
	struct ev_ref ref = { .deal = d->negotiation,
			      .about = d->cur.service,
			      .rev = d->cur.rev,
			      .why = ent_why(why) };
	struct err e = { 0 };

	if (!c || c->step != CONV_ACCEPTANCE)
		return;
	(void)tool_service_fail(&en->cap, &ref, NULL, NULL);
	if (ent_idle(c, &e))
		log_error("%s: %s", c->deal.s, e.text);
}

static enum refusal book(struct ent *en, const struct deal *d, const struct ev_credit *ev,
			 struct err *e)
{
	struct ledger_result res = { 0 };
	struct hash note = ent_hash(&ev->note);
	ident_t lineage;

	ent_lineage(d, &lineage);
	if (ev->amount.minor > 0 &&
	    ledger_credit(engine_store(en->s->engine), LEDGER_GATE, lineage.s, ev->amount, &note,
			  engine_now(en->s->engine), &res, e))
		return REFUSE_MAX_;
	if (res.why != REFUSE_NONE)
		return res.why;
	return tool_credit_take(&en->cap, ev, NULL, &ev->note);
}

static bool known(const struct deal *d, const digest_t *note)
{
	for (uint8_t i = 0; i < d->n_credits; i++)
		if (digest_eq(d->credit[i].note.note, *note))
			return true;
	return false;
}

enum refusal ent_credit_take(struct ent *en, const json_t *vc, const struct deal **ret,
			     struct err *e)
{
	struct credit_note c;
	struct ev_credit ev = { 0 };
	const struct deal *d;
	enum refusal no;
	ident_t lineage = { 0 };

	if (credit_note_verify(vc, &en->s->keys, &c, ev.note.b, e))
		return e->code == -EINVAL ? REFUSE_BODY_MALFORMED : REFUSE_SIGNATURE_BAD;
	str_cut(lineage.s, c.lineage);
	*ret = d = world_deal(en->w, &lineage);
	if (!d || d->operator_side)
		return differs(e, REFUSE_AGREEMENT_UNKNOWN, "lineageId: not one of ours");
	if (known(d, &ev.note))
		return REFUSE_NONE;
	no = fits(en, d, &c, e);
	if (no != REFUSE_NONE)
		return no;
	ev.deal = d->negotiation;
	ev.rev = d->cur.rev;
	ev.agreement = d->cur.digest;
	ev.amount = c.amount;
	memcpy(ev.currency, c.currency, sizeof(ev.currency));
	ev.reason = (uint8_t)credit_reason_parse(c.reason);
	ev.why = ent_why(c.reason);
	if (credit_voids(ev.reason))
		not_waiting(en, d, "the operator credits the revision");
	no = ent_would(en, EV_CREDIT_TAKEN, &ev);
	if (no == REFUSE_NONE && ent_keep(en, vc, &ev.note, e))
		no = REFUSE_MAX_;
	if (no == REFUSE_NONE)
		no = book(en, d, &ev, e);
	if (no == REFUSE_NONE && d->cur.rev && credit_voids(ev.reason))
		ent_edge_apply(en, d, NULL, NULL);
	return no;
}
