/* SPDX-License-Identifier: Apache-2.0 */
/* A signed revision comes in: every number is compared with what was accepted before a coin moves;
 * then countersignature, capture, receipt. What we sign is a function of what they signed, so a
 * crash between our signer and our log signs the same bytes again, never a second version. While
 * the signer works the turn goes on; what rests on its signatures happens at the turn's end. */
#include "ent_int.h"

#include "agent/codec/credential.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/store/store.h"

#include <errno.h>
#include <stdio.h>

static enum refusal differs(struct err *e, enum refusal no, const char *member)
{
	(void)err_set(e, -EINVAL, "agreement: %s: not what was accepted", member);
	return no;
}

static const struct quote_item *item_of(const struct quote *q, uint8_t no)
{
	for (uint8_t i = 0; i < q->n_items; i++)
		if (q->item[i].no == no)
			return &q->item[i];
	return NULL;
}

/* The money and the time of the body against the choice. */
static enum refusal same_money(const struct deal *d, const struct agreement *a, struct err *e)
{
	const struct ev_accept *c = &d->accept;

	if (!ident_eq(a->quote, c->quote) || !digest_eq(a->quote_digest, c->quote_digest) ||
	    a->item != c->item)
		return differs(e, REFUSE_QUOTE_MISMATCH, "quote");
	if (a->price.minor_h != c->price.minor_h)
		return differs(e, REFUSE_QUOTE_MISMATCH, "pricePerHourMinor");
	if (a->amount.minor != c->amount.minor)
		return differs(e, REFUSE_QUOTE_MISMATCH, "amountMinor");
	if (a->start.ms != c->start.ms || a->end.ms != c->end.ms)
		return differs(e, REFUSE_QUOTE_MISMATCH, "agreementPeriod");
	if (memcmp(a->currency, d->quote.currency, sizeof(a->currency)) != 0)
		return differs(e, REFUSE_QUOTE_MISMATCH, "currency");
	if (!ident_eq(a->hold, c->hold) || !ident_eq(a->wallet, c->wallet))
		return differs(e, REFUSE_QUOTE_MISMATCH, "holdId, walletId");
	return REFUSE_NONE;
}

/* The service of the body against the item and the revision before. */
static enum refusal same_service(const struct deal *d, const struct agreement *a, struct err *e)
{
	const struct quote_item *i = item_of(&d->quote, d->accept.item);
	bool first = d->cur.rev == 0, migrates = !first && a->type != d->cur.type;
	ident_t lineage, service = d->cur.service;

	ent_lineage(d, &lineage);
	if (a->refundable != d->quote.refundable)
		return differs(e, REFUSE_QUOTE_MISMATCH, "refundable");
	if (first)
		(void)snprintf(service.s, sizeof(service.s), "svc%.40s", lineage.s + 3);
	if (!ident_eq(a->lineage, lineage) || !ident_eq(a->negotiation, d->negotiation) ||
	    !ident_eq(a->intent, d->quote.intent) || a->reason != d->quote.reason)
		return differs(e, REFUSE_QUOTE_MISMATCH, "id, negotiationId, intentId, reason");
	if (!i || a->type != i->type || memcmp(&a->g, &i->g, sizeof(a->g)) != 0 ||
	    !ident_eq(a->class_name, d->quote.class_name) || !ident_eq(a->flow, d->quote.flow))
		return differs(e, REFUSE_QUOTE_MISMATCH, "grades, networkType, flow");
	/* One label and one service for a life, unless the network type changes beneath. */
	if (!first && (a->label == d->cur.label) == migrates)
		return differs(e, REFUSE_QUOTE_MISMATCH, "flowLabelValue");
	if (ident_eq(a->service, service) == migrates)
		return differs(e, REFUSE_QUOTE_MISMATCH, "serviceId");
	return REFUSE_NONE;
}

static enum refusal same_terms(const struct ent *en, const struct deal *d,
			       const struct agreement_terms *t, const struct agreement *a,
			       struct err *e)
{
	if (strcmp(t->issuer, en->op->did) != 0) {
		(void)err_set(e, -EPERM, "agreement: issuer: not our operator");
		return REFUSE_SIGNATURE_BAD;
	}
	if (t->revision != (int64_t)deal_next_rev(d) || a->rev != deal_next_rev(d))
		return differs(e, REFUSE_LEDGER_FORK, "revision");
	if (memcmp(t->previous, d->head.b, DIGEST_LEN) != 0)
		return differs(e, REFUSE_LEDGER_FORK, "previousDigest");
	/* Too late for the operator, by its own words: money would only come back. */
	if (engine_now(en->s->engine).ms > t->accept_by.ms) {
		(void)err_set(e, -ETIME, "agreement: acceptBy: it has passed");
		return REFUSE_QUOTE_EXPIRED;
	}
	if (strcmp(t->lineage, a->lineage.s) != 0 || t->label != a->label ||
	    t->amount.minor != a->amount.minor || strcmp(t->currency, a->currency) != 0 ||
	    t->term_start.ms != a->start.ms || t->term_end.ms != a->end.ms ||
	    strcmp(t->hold_id, a->hold.s) != 0 || strcmp(t->wallet_id, a->wallet.s) != 0 ||
	    memcmp(t->quote_digest, a->quote_digest.b, DIGEST_LEN) != 0)
		return differs(e, REFUSE_QUOTE_MISMATCH, "treaty and TMF651 body");
	if (t->generation < 1 || t->generation > en->wallet.generation)
		return differs(e, REFUSE_QUOTE_MISMATCH, "generation");
	return REFUSE_NONE;
}

/* *kept: the document as it was read, also when it is refused. */
static enum refusal verify(struct ent *en, const struct deal *d, const json_t *vc,
			   struct agreement *ret, struct vc **kept, struct err *e)
{
	struct agreement_terms t;
	auto_json json_t *body = NULL;
	enum refusal no;

	if (!vc) {
		(void)err_set(e, -EINVAL, "artifact: agreement: required");
		return REFUSE_BODY_MALFORMED;
	}
	if (agreement_open(vc, &en->s->keys, &t, &body, kept, e))
		return REFUSE_SIGNATURE_BAD;
	if (tmf651_read(body, &en->parties, ret, e))
		return REFUSE_BODY_MALFORMED;
	no = same_terms(en, d, &t, ret, e);
	if (no == REFUSE_NONE)
		no = same_money(d, ret, e);
	if (no == REFUSE_NONE)
		no = same_service(d, ret, e);
	memcpy(ret->digest.b, (*kept)->digest, DIGEST_LEN);
	memcpy(ret->prev.b, t.previous, DIGEST_LEN);
	if (no == REFUSE_NONE && (!str_set(ret->enterprise.s, en->s->cfg->daemon.did) ||
				  !str_set(ret->op.s, en->op->did)))
		return differs(e, REFUSE_BODY_MALFORMED, "DID too long");
	return no;
}

/* --- capture and countersign --------------------------------------------------------------------
 */

/* "urn:uuid:" made from a digest: the same revision gives the same name. */
static void urn_of(const char *purpose, const digest_t *d, char out[URN_MAX])
{
	uint8_t in[48] = { 0 }, h[SHA256_LEN];
	char x[2 * SHA256_LEN + 1];

	(void)snprintf((char *)in, 16, "%s", purpose);
	memcpy(in + 16, d->b, sizeof(d->b));
	sha256(in, sizeof(in), h);
	h[6] = (uint8_t)((h[6] & 0x0f) | 0x80); /* RFC 9562: version 8, our own content */
	h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
	(void)hex_encode(h, 16, x, sizeof(x));
	(void)snprintf(out, URN_MAX, "urn:uuid:%.8s-%.4s-%.4s-%.4s-%.12s", x, x + 8, x + 12, x + 16,
		       x + 20);
}

/* At the agreement's own time: signed again it is the same. */
static int acceptance(struct ent *en, const struct agreement *a, const struct vc *vc,
		      struct vc_asked **ret, struct err *e)
{
	struct acceptance c = { .revision = a->rev, .accepted_at = vc->valid_from };

	urn_of("acceptance", &a->digest, c.id);
	str_cut(c.issuer, en->s->cfg->daemon.did);
	memcpy(c.agreement_digest, a->digest.b, DIGEST_LEN);
	str_cut(c.lineage, a->lineage.s);
	str_cut(c.hold_id, a->hold.s);
	if (!c.accepted_at.ms)
		return err_set(e, -EINVAL, "agreement: validFrom: required");
	return acceptance_ask(&c, vc->text, vc->len, &en->s->port[SIGN_ACCEPTANCE], ret, e);
}

/* All debits of the wallet before this one, as its last receipt says; where that was erased, as the
 * ledger does, which has this one already. */
static int debited(struct ent *en, const struct hash *last, money_t amount, money_t *ret,
		   struct err *e)
{
	struct store *st = engine_store(en->s->engine);
	static const struct hash none;
	auto_json json_t *vc = NULL;
	auto_free void *text = NULL;
	struct err why = { 0 };
	size_t len;
	int r;

	*ret = (money_t){ 0 };
	if (!memcmp(last, &none, sizeof(none)))
		return 0;
	if (!memcmp(last, &en->last_receipt, sizeof(*last))) {
		*ret = en->last_sum;
		return 0;
	}
	r = store_body_get(st, last, &text, &len, &why);
	if (r == -ENODATA) {
		r = ledger_debited(st, &en->wid, ret, e);
		ret->minor -= amount.minor;
		return r;
	}
	if (r)
		return err_set(e, r, "%s", why.text);
	vc = json_loadb(text, len, 0, NULL);
	return json_need_int(json_object_get(vc, "credentialSubject"), "receipt", "cumulativeAfter",
			     0, INT64_MAX, &ret->minor, e);
}

/* A revision on its way to our countersignature. */
struct agreeing {
	struct conv *c;
	struct agreement a;
	struct vc *agr, *acc;
	struct vc_asked *asked; /* the acceptance, then the receipt */
	struct hash before;     /* the wallet's last receipt before this one */
	money_t sum;            /* that this one will say */
	wall_t at;
	struct vc *rcp;
	struct err e;
};

static struct agreeing *agreeing_free(struct agreeing *x)
{
	(void)vc_asked_free(x->asked);
	(void)vc_free(x->agr);
	(void)vc_free(x->acc);
	(void)vc_free(x->rcp);
	free(x);
	return NULL;
}

/* Receipts are a chain over their signatures: the next needs the one before. */
static int receipt_end(struct ent *en, struct agreeing *x)
{
	struct ledger_result put = { 0 };
	struct hash digest;
	int r;

	if (!x->asked)
		return x->e.code;
	r = vc_await(TAKE_PTR(x->asked), &x->rcp, &x->e);
	if (!r) {
		memcpy(digest.b, x->rcp->digest, sizeof(digest.b));
		r = ledger_receipt(engine_store(en->s->engine), &en->wid, &x->before, &digest,
				   x->at, &put, &x->e);
	}
	if (!r && put.why != REFUSE_NONE)
		r = err_set(&x->e, -EUCLEAN, "receipt: %s", refusal_name(put.why));
	if (r)
		return r;
	en->last_receipt = digest;
	en->last_sum = x->sum;
	return 0;
}

static int receipt(struct ent *en, struct agreeing *x, const struct ledger_result *res)
{
	const struct agreement *a = &x->a;
	struct receipt c = { .revision = a->rev,
			     .amount = res->amount,
			     .ledger_seq = (int64_t)res->journal_seq,
			     .issued_at = engine_now(en->s->engine) };
	static const struct hash none;
	struct ledger_wallet w;
	int r = ledger_wallet_get(engine_store(en->s->engine), &en->wid, &w, &x->e);

	if (!r)
		r = debited(en, &w.receipt, res->amount, &c.cumulative_after, &x->e);
	if (r)
		return r;
	c.cumulative_after = money_add(c.cumulative_after, res->amount);
	urn_of("receipt", &a->digest, c.id);
	str_cut(c.issuer, en->s->cfg->daemon.did);
	str_cut(c.wallet_id, a->wallet.s);
	str_cut(c.hold_id, a->hold.s);
	str_cut(c.lineage, a->lineage.s);
	str_cut(c.currency, a->currency);
	c.has_previous = memcmp(&w.receipt, &none, sizeof(none)) != 0;
	memcpy(c.previous, w.receipt.b, DIGEST_LEN);
	x->before = w.receipt;
	x->sum = c.cumulative_after;
	x->at = c.issued_at;
	return receipt_ask(&c, &en->s->port[SIGN_RECEIPT], &x->asked, &x->e);
}

static enum refusal capture(struct ent *en, const struct agreement *a, struct ledger_result *ret,
			    struct err *e)
{
	struct hash digest = ent_hash(&a->digest);

	return ledger_capture(engine_store(en->s->engine), LEDGER_GATE, a->lineage.s, a->hold.s,
			      &digest, engine_now(en->s->engine), ret, e)
		       ? REFUSE_MAX_
		       : ret->why;
}

static void lowered(void *arg, enum refusal no, const char *why)
{
	struct conv *c = arg;

	if (no != REFUSE_NONE)
		log_warn("%s: edge: %s: %s", c->deal.s, refusal_name(no), why);
	ent_release(c);
}

/* All is signed: kept, recorded and said. */
static enum refusal countersigned(struct agreeing *x)
{
	struct conv *c = x->c;
	struct ent *en = c->ent;
	const struct deal *d;
	char id[A2A_ID_MAX];
	enum refusal no;

	if (receipt_end(en, x) || ent_keep_vc(en, x->agr, &x->e) ||
	    ent_keep_vc(en, x->acc, &x->e) || ent_keep_vc(en, x->rcp, &x->e))
		return REFUSE_MAX_;
	no = tool_agreement_accept(&en->cap, &x->a, NULL, &x->a.digest);
	(void)snprintf(id, sizeof(id), "m-acceptance-%.40s-%u", c->deal.s, x->a.rev);
	c->overtaken = 0;
	if (no == REFUSE_NONE && ent_say(c, CONV_ACCEPTANCE, id,
					 (const char *[]){ x->acc->text, x->rcp->text }, 2, &x->e))
		return REFUSE_MAX_;
	d = world_deal(en->w, &c->deal);
	/* What the network will not carry any more must not be sent when it stops. */
	if (no == REFUSE_NONE && d && ent_edge_lowers(d)) {
		c->wait = true;
		ent_edge_apply(en, d, lowered, c);
	}
	return no;
}

/* With a refusal, or without. */
static void end(struct agreeing *x, enum refusal no)
{
	ent_ended(x->c, x);
	if (no != REFUSE_NONE)
		ent_not_agreed(x->c, no, &x->e);
	(void)agreeing_free(x);
}

static void last_receipt(void *arg)
{
	struct ent *en = arg;
	struct agreeing *x = en->receipting;

	en->receipting = NULL;
	if (x)
		end(x, countersigned(x));
}

/* The signature first: without it nothing of the rest may happen. The receipt is asked for when the
 * one before is there, which is told while the signer works at this one. */
static enum refusal accepted(struct agreeing *x)
{
	struct ent *en = x->c->ent;
	struct agreeing *before = en->receipting;
	struct ledger_result res;
	enum refusal no;

	if (vc_await(TAKE_PTR(x->asked), &x->acc, &x->e))
		return REFUSE_MAX_;
	no = ent_would(en, EV_AGREEMENT_ACCEPTED, &x->a);
	if (no == REFUSE_NONE)
		no = capture(en, &x->a, &res, &x->e);
	if (no != REFUSE_NONE)
		return no;
	if (before)
		(void)receipt_end(en, before); /* its own end tells of it */
	if (receipt(en, x, &res))
		return REFUSE_MAX_;
	en->receipting = x;
	if (before)
		end(before, countersigned(before));
	else
		engine_before_commit(en->s->engine, last_receipt, en);
	return REFUSE_NONE;
}

static void turn_ends(void *arg)
{
	struct agreeing *x = arg;
	enum refusal no = REFUSE_NONE;

	if (x->c->ending != x) { /* something else was said meanwhile, or it is over */
		end(x, no);
		return;
	}
	no = accepted(x);
	if (no != REFUSE_NONE)
		end(x, no);
}

enum refusal ent_agree(struct conv *c, struct deal *d, const json_t *vc, struct err *e)
{
	struct ent *en = c->ent;
	struct agreeing *x = calloc(1, sizeof(*x));
	enum refusal no;

	if (!x)
		return REFUSE_MAX_;
	x->c = c;
	no = verify(en, d, vc, &x->a, &x->agr, e);
	if (no == REFUSE_NONE)
		no = ent_would(en, EV_AGREEMENT_ACCEPTED, &x->a);
	if (no == REFUSE_NONE && acceptance(en, &x->a, x->agr, &x->asked, e))
		no = REFUSE_MAX_;
	if (no != REFUSE_NONE) {
		(void)agreeing_free(x);
		return no;
	}
	ent_ends(c, x);
	engine_before_commit(en->s->engine, turn_ends, x);
	return REFUSE_NONE;
}
