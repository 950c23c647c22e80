/* SPDX-License-Identifier: Apache-2.0 */
/* Credit notes: what a void revision cost goes back, signed; what an early end or a cheaper
 * revision leaves unused does when the quote said so. A revision is void when its service failed,
 * or when its countersignature came after it was dead. The shadow ledger moves in the turn that
 * issues the note; the enterprise's gate moves when it books it, and until then nothing new is
 * signed for that agreement, because both sides must count from the same sum. */
#include "bss_i.h"

#include "agent/codec/credit.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/store/ledger.h"

#include <errno.h>
#include <stdio.h>

/* A UUID (version 8, RFC 9562 section 5.8): one note a revision, and one that lowers it, so its
 * name follows from it. */
static void note_id(const struct agreement *a, uint8_t reason, char id[URN_MAX])
{
	char text[32 + 2 * SHA256_LEN], hex[2 * SHA256_LEN + 1];
	uint8_t d[SHA256_LEN];

	(void)hex_encode(a->digest.b, sizeof(a->digest.b), hex, sizeof(hex));
	(void)snprintf(text, sizeof(text), "credit/v1 %s%s", hex,
		       reason == CREDIT_LOWERED ? " lowered" : "");
	sha256(text, strlen(text), d);
	d[6] = (uint8_t)((d[6] & 0x0f) | 0x80);
	d[8] = (uint8_t)((d[8] & 0x3f) | 0x80);
	(void)hex_encode(d, sizeof(d), hex, sizeof(hex));
	(void)snprintf(id, URN_MAX, "urn:uuid:%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		       hex + 16, hex + 20);
}

static int sign(const struct agreement *a, const struct ev_credit *ev, json_t **ret, struct err *e)
{
	struct credit_note c = { .revision = a->rev,
				 .amount = ev->amount,
				 .issued_at = engine_now(bss.side->engine) };

	note_id(a, ev->reason, c.id);
	str_cut(c.issuer, bss.side->cfg->daemon.did);
	str_cut(c.lineage, a->lineage.s);
	memcpy(c.agreement_digest, a->digest.b, DIGEST_LEN);
	str_cut(c.wallet_id, a->wallet.s);
	str_cut(c.hold_id, a->hold.s);
	memcpy(c.currency, a->currency, sizeof(c.currency));
	str_cut(c.reason, credit_reason_name((enum credit_reason)ev->reason));
	return credit_note_issue(&c, &bss.side->port[SIGN_CREDIT], ret, e);
}

int bss_credit(const struct deal *d, const struct agreement *a, enum credit_reason reason,
	       money_t amount, const char *why, struct err *e)
{
	struct ev_credit ev = { .deal = d->cur.rev ? d->lineage : d->negotiation,
				.rev = a->rev,
				.agreement = a->digest,
				.amount = amount,
				.reason = (uint8_t)reason };
	struct ledger_result res = { 0 };
	auto_json json_t *note = NULL;
	struct hash h;
	enum refusal no = bss_guard(EV_CREDIT_ISSUED, &ev);
	int r;

	if (no != REFUSE_NONE)
		return err_set(e, -EINVAL, "%s", refusal_text(no));
	memcpy(ev.currency, a->currency, sizeof(ev.currency));
	str_cut(ev.why.s, why);
	r = sign(a, &ev, &note, e);
	if (!r)
		r = desk_body_put(bss.side, d->peer.s, note, &ev.note, e);
	memcpy(h.b, ev.note.b, sizeof(h.b));
	if (!r && reason != CREDIT_NOT_IN_FORCE && amount.minor > 0)
		r = ledger_credit(engine_store(bss.side->engine), LEDGER_SHADOW, a->lineage.s,
				  amount, &h, engine_now(bss.side->engine), &res, e);
	if (!r && res.why != REFUSE_NONE)
		r = err_set(e, -EUCLEAN, "shadow ledger: %s", refusal_name(res.why));
	if (r)
		return r;
	no = tool_credit_issue(&bss.cap, &ev, NULL, &ev.note);
	return no == REFUSE_NONE ? 0 : err_set(e, -EINVAL, "credit_issue: %s", refusal_name(no));
}

/* Right after the failure, and again from the tick when the signer was away then. */
void bss_credit_failed(const struct deal *d)
{
	struct agreement a = d->cur;
	struct err e = { 0 };
	money_t amount;

	if (!d->operator_side || !d->failed || d->has_plan || d->has_order ||
	    d->life == LIFE_TERMINATED)
		return;
	amount = d->rev[d->n_revs - 1].held;
	if (bss_credit(d, &a, CREDIT_NOT_APPLIED, amount, d->why.s, &e))
		log_error("%s revision %u: no credit note: %s", a.lineage.s, a.rev, e.text);
	else
		bss_offers_soon();
}

/* After an early end: what the last revision says may go back. The end is in the log, so the sum is
 * the same whenever it is asked for. */
void bss_credit_unused(const struct deal *d)
{
	struct agreement a = d->cur;
	struct err e = { 0 };
	money_t amount;

	if (!d->operator_side || d->life != LIFE_TERMINATED || !a.rev || !a.refundable ||
	    deal_credited(d))
		return;
	amount = deal_unused(d, d->changed);
	if (amount.minor <= 0)
		return;
	if (bss_credit(d, &a, CREDIT_UNUSED, amount, "ended before its paid term", &e))
		log_error("%s: no credit note: %s", a.lineage.s, e.text);
	else
		bss_offers_soon();
}

/* When the network carries a revision that costs less than was paid: the difference, when its quote
 * said so. What was paid equals its amount afterwards, so there is nothing to give a second time.
 */
void bss_credit_lowered(const struct deal *d)
{
	struct agreement a = d->cur;
	struct err e = { 0 };
	money_t amount = { deal_captured(d).minor - a.amount.minor };

	if (!d->operator_side || d->life == LIFE_TERMINATED || !d->active || !a.refundable ||
	    amount.minor <= 0)
		return;
	if (bss_credit(d, &a, CREDIT_LOWERED, amount, "stepped down", &e))
		log_error("%s revision %u: no credit note: %s", a.lineage.s, a.rev, e.text);
	else
		bss_offers_soon();
}

void bss_credit_delivered(const ident_t *deal, const digest_t *note)
{
	const struct deal *d = world_deal(engine_world(bss.side->engine), deal);
	const struct credit_line *l = d ? deal_credit_open(d) : NULL;

	if (l && digest_eq(l->note.note, *note))
		(void)tool_credit_deliver(&bss.cap, &l->note, NULL, &l->note.note);
}
