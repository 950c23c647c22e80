/* SPDX-License-Identifier: Apache-2.0 */
/* QuoteAccept: every number is computed again here; the shadow ledger is asked; then the revision
 * is signed. The ledger comes before the signature, because a signer signs each revision once. */
#include "bss_i.h"

#include "agent/codec/json.h"
#include "agent/codec/nego.h"
#include "agent/log.h"
#include "agent/store/ledger.h"

#include <errno.h>

#define TOOL_NAME     "accept_record"
#define START_SKEW_MS (10 * 1000)

static int say_agreement(struct desk_call *c, const struct deal *d, const digest_t *digest)
{
	char *vc = NULL;
	struct err e = { 0 };
	size_t len;
	int r = desk_body_text(bss.side, digest, &vc, &len, &e);

	if (!r)
		desk_task(c, d, A2A_INPUT_REQUIRED, "agreement", vc);
	return r;
}

/* The choice that was signed, said again: the hold that pays for it and what it holds too, or a
 * second hold would be taken for the first; and as it was said, while that is the last that was. */
static bool same_choice(const struct deal *d, const struct agreement *a, money_t held,
			const struct ev_accept *said)
{
	const struct ev_accept *last = &d->accept;

	if (ident_eq(last->hold, said->hold) &&
	    (last->version != said->version || last->margin.minor_h != said->margin.minor_h))
		return false;
	return ident_eq(a->hold, said->hold) && held.minor == said->held.minor &&
	       ident_eq(a->wallet, said->wallet) && ident_eq(a->quote, said->quote) &&
	       a->item == said->item && digest_eq(a->quote_digest, said->quote_digest) &&
	       a->start.ms == said->start.ms && a->end.ms == said->end.ms &&
	       a->price.minor_h == said->price.minor_h && a->amount.minor == said->amount.minor;
}

static enum refusal open_ok(const struct deal *d, const char **why)
{
	*why = "quote: nothing is being negotiated";
	if (d->life != LIFE_NEGOTIATED && d->life != LIFE_RENEGOTIATING)
		return REFUSE_WRONG_STATE;
	*why = "agreement: a credit note waits to be booked";
	if (deal_credit_open(d))
		return REFUSE_IN_FLIGHT;
	*why = "wallet: its issuer lost a key since it was shown";
	if (key_issuer_lost(engine_world(bss.side->engine), d))
		return REFUSE_KEY_COMPROMISED;
	*why = "quote: another choice was signed; accept it or let it lapse";
	if (d->has_accept && d->has_pending)
		return REFUSE_DUPLICATE;
	return REFUSE_NONE;
}

/* Fills a with our own numbers and compares them with theirs. */
static enum refusal numbers(const struct deal *d, const struct ev_accept *said, struct ev_accept *a,
			    const char **why)
{
	wall_t now = engine_now(bss.side->engine);
	struct lineage_cost cost;

	deal_cost(d, &cost);
	*a = *said;
	a->deal = d->cur.rev ? d->lineage : d->negotiation;
	*why = "start: within 10 s of the operator's clock";
	if (said->start.ms < now.ms - START_SKEW_MS || said->start.ms > now.ms + START_SKEW_MS)
		return REFUSE_QUOTE_MISMATCH;
	a->end = quote_end(&d->quote, &cost, a->start);
	a->amount = amount_for(&cost, a->price, a->start, a->end);
	a->held = hold_for(a->amount, deal_captured(d));
	*why = "end, amount, held: not what the quote comes to";
	if (a->amount.minor == INT64_MIN || a->held.minor == INT64_MIN ||
	    a->end.ms != said->end.ms || a->amount.minor != said->amount.minor ||
	    a->held.minor != said->held.minor)
		return REFUSE_QUOTE_MISMATCH;
	*why = "wallet: not the one that was admitted";
	if (!ident_eq(a->wallet, d->admit.wallet))
		return REFUSE_QUOTE_MISMATCH;
	*why = "quote, version, item, price: not as quoted";
	return bss_guard(EV_ACCEPT_RECORDED, a);
}

/* Both sides derive the same id of the hold. */
static bool hold_id_ok(const struct agreement *g, const struct ev_accept *a, struct hash *offer)
{
	char id[LEDGER_HOLD_ID_LEN];
	struct hash key;

	memcpy(offer->b, a->quote_digest.b, sizeof(offer->b));
	key = ledger_hold_key(g->lineage.s, g->rev, offer);
	ledger_hold_id(&key, id);
	return !strcmp(id, a->hold.s);
}

/* A repeated hold is answered as it was; the money may have gone back since. */
static int still_held(const char *lineage, const struct ev_accept *a, struct ledger_result *res,
		      struct err *e)
{
	struct ledger_hold_row row;
	int r = ledger_hold_get(engine_store(bss.side->engine), LEDGER_SHADOW, lineage, a->hold.s,
				&row, e);

	if (!r && row.state != HOLD_HELD)
		res->why = REFUSE_LEDGER_STATE;
	return r;
}

static int hold(const struct deal *d, const struct agreement *g, const struct ev_accept *a,
		const struct hash *offer, struct ledger_result *res, struct err *e)
{
	wall_t now = engine_now(bss.side->engine);
	struct ledger_hold q = { .wallet = { .side = LEDGER_SHADOW },
				 .rev = g->rev,
				 .offer = *offer,
				 .amount = a->amount,
				 .now = now,
				 .expires = { now.ms + SETTLE_MS } };
	/* An earlier choice of this negotiation that was never settled makes room. */
	int r = ident_eq(d->accept.hold, a->hold) ? 0 : bss_release(d, e);

	str_cut(q.wallet.issuer, d->admit.issuer.s);
	str_cut(q.wallet.wallet_id, d->admit.wallet.s);
	str_cut(q.class_name, g->class_name.s);
	str_cut(q.currency, g->currency);
	str_cut(q.lineage, g->lineage.s);
	memcpy(q.prev.b, g->prev.b, sizeof(q.prev.b));
	if (!r)
		r = ledger_hold(engine_store(bss.side->engine), &q, res, e);
	return r || !res->replayed ? r : still_held(q.lineage, a, res, e);
}

/* --- the signature ------------------------------------------------------------------------------
 */

/* A choice whose money is held and whose revision the signer has. */
struct signing {
	struct signing *next;
	struct desk_call call; /* without its message */
	ident_t deal;
	struct ev_accept accept;
	struct agreement next_rev;
	struct vc_asked *asked;
};
static struct signing *signings;

static int money_back(const struct signing *x, struct err *e)
{
	struct ledger_result res;

	return ledger_release(engine_store(bss.side->engine), LEDGER_SHADOW, x->next_rev.lineage.s,
			      x->accept.hold.s, engine_now(bss.side->engine), &res, e);
}

static enum refusal record(struct signing *x, const struct vc *vc)
{
	enum refusal no = tool_accept_record(&bss.cap, &x->accept, NULL, &x->accept.quote_digest);

	memcpy(x->next_rev.digest.b, vc->digest, sizeof(x->next_rev.digest.b));
	return no != REFUSE_NONE
		       ? no
		       : tool_agreement_sign(&bss.cap, &x->next_rev, NULL, &x->next_rev.digest);
}

/* The signature is there, or there is none and the money goes back. */
static int settle(struct signing *x)
{
	auto_vc struct vc *vc = NULL;
	struct err e = { 0 };
	const char *why = "agreement_sign";
	enum refusal no = REFUSE_LEDGER_FORK;
	int r = vc_await(TAKE_PTR(x->asked), &vc, &e);

	if (r) {
		log_error("%s revision %u: not signed: %s", x->next_rev.lineage.s, x->next_rev.rev,
			  e.text);
		why = "the signer holds another content of this revision";
		if (r == -ESTALE) { /* SIGN_FORGOTTEN */
			no = REFUSE_NAME_FORGOTTEN;
			why = "lineageId: named before the signer's horizon, and none it knows";
		}
	} else {
		r = desk_vc_put(bss.side, x->call.peer->did, vc, &e);
		if (r)
			return r;
		no = record(x, vc);
	}
	if (no != REFUSE_NONE) {
		r = money_back(x, &e);
		return r ? r : bss_refuse(&x->call, "agreement_sign", &x->deal, no, why);
	}
	desk_task(&x->call, world_deal(engine_world(bss.side->engine), &x->deal),
		  A2A_INPUT_REQUIRED, "agreement", TAKE_PTR(vc->text));
	return 0;
}

static void end(void *arg)
{
	struct signing *x = arg, **at = &signings;
	int r = settle(x);

	if (r) {
		log_error("%s: %s", x->deal.s, strerror(-r));
		a2a_turn_fail(x->call.turn, A2A_E_INTERNAL, "internal error", NULL);
	}
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	free(x);
}

/* Held: the signer has it now, and ends it with the turn. */
static int sign(struct desk_call *c, const struct deal *d, const struct ev_accept *a,
		const struct agreement *g)
{
	struct signing *x = malloc(sizeof(*x));
	struct err e = { 0 };
	int r = -ENOMEM;

	if (!x)
		return r;
	*x = (struct signing){ .next = signings,
			       .call = { .side = bss.side,
					 .turn = c->turn,
					 .peer = a2a_turn_peer(c->turn),
					 .digest = c->digest },
			       .deal = d->negotiation,
			       .accept = *a,
			       .next_rev = *g };
	r = bss_sign(d, g, &x->asked, &e);
	if (!r && desk_end_later(bss.side, &d->negotiation, end, x)) {
		x->asked = vc_asked_free(x->asked);
		r = -ENOMEM;
	}
	if (!r) {
		signings = x;
		return 0;
	}
	log_error("%s revision %u: not signed: %s", g->lineage.s, g->rev, e.text);
	r = money_back(x, &e);
	free(x);
	return r ? r
		 : bss_refuse(c, "agreement_sign", &d->negotiation, REFUSE_LEDGER_FORK,
			      "the signer holds another content of this revision");
}

void bss_signing_labels(uint8_t *used, uint32_t low, uint32_t n)
{
	for (const struct signing *x = signings; x; x = x->next)
		if (x->next_rev.label >= low && x->next_rev.label - low < n)
			used[x->next_rev.label - low] = 1;
}

void bss_signing_reset(void)
{
	while (signings) {
		struct signing *x = signings;

		signings = x->next;
		a2a_turn_fail(x->call.turn, A2A_E_INTERNAL, "the service stops", NULL);
		(void)vc_asked_free(x->asked);
		free(x);
	}
}

/* --- the choice ---------------------------------------------------------------------------------
 */

static int choose(struct desk_call *c, const struct deal *d, const struct ev_accept *said)
{
	struct ledger_result res;
	struct ev_accept a = *said;
	struct agreement g;
	struct hash offer;
	struct err e = { 0 };
	const char *why;
	enum refusal no = open_ok(d, &why);
	int r;

	if (no == REFUSE_NONE)
		no = numbers(d, said, &a, &why);
	if (no == REFUSE_NONE)
		no = bss_agreement(d, &a, &g, &why);
	if (no == REFUSE_NONE && !hold_id_ok(&g, &a, &offer)) {
		no = REFUSE_QUOTE_MISMATCH;
		why = "hold: not the id that follows from lineage, revision and quote";
	}
	if (no != REFUSE_NONE)
		return bss_refuse(c, TOOL_NAME, &d->negotiation, no, why);
	r = hold(d, &g, &a, &offer, &res, &e);
	if (r)
		return r;
	if (res.why != REFUSE_NONE)
		return bss_refuse(c, TOOL_NAME, &d->negotiation, res.why, "shadow ledger");
	return sign(c, d, &a, &g);
}

int bss_take_accept(struct desk_call *c)
{
	struct ev_accept said;
	struct err e = { 0 };
	const struct deal *d;
	const char *why;

	if (nego_read(json_array_get(c->msg->data, 0), NEGO_ACCEPT, &ev_accept_fields, &said, &e))
		return bss_refuse(c, TOOL_NAME, NULL, REFUSE_BODY_MALFORMED, e.text);
	d = desk_deal(c, &said.deal);
	if (!d)
		return bss_refuse(c, TOOL_NAME, &said.deal, REFUSE_QUOTE_UNKNOWN,
				  "quote: no such quote, or not yours");
	why = desk_unbound(c, &d->negotiation, said.version, &said.quote_digest);
	if (why)
		return bss_refuse(c, TOOL_NAME, &d->negotiation, REFUSE_QUOTE_MISMATCH, why);
	if (d->has_accept && d->has_pending && same_choice(d, &d->pending, d->accept.held, &said))
		return say_agreement(c, d, &d->pending.digest);
	if (d->cur.rev && d->n_revs && same_choice(d, &d->cur, d->rev[d->n_revs - 1].held, &said))
		return say_agreement(c, d, &d->cur.digest);
	return choose(c, d, &said);
}
