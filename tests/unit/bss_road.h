/* SPDX-License-Identifier: Apache-2.0 */
/* bss_road.h - the enterprise of bss_lab.h, step by step: challenge, intent, choice, acceptance. */
#ifndef TREATY_TEST_BSS_ROAD_H
#define TREATY_TEST_BSS_ROAD_H

#include "bss_lab.h"

/* --- the enterprise --------------------------------------------------------------------------- */

static const struct tmf_parties parties = { { "enterprise-x" }, { "op" }, 2 };

struct road {
	const struct party *who;
	struct wallet w;
	const struct party *boss; /* who issued w below `top`; NULL: the issuer, below nothing */
	struct wallet top;
	struct intent i;
	struct quote q;
	struct ev_accept a;
	json_t *agreement;
	struct agreement_terms t;
	digest_t digest;
};

static inline void road_free(struct road *r)
{
	json_decref(r->agreement);
}
#define auto_road cleanup(road_free)

static inline void challenge(const struct party *from, char out[80])
{
	struct nego_challenge ch;
	struct err e = { 0 };

	say(from, json_pack("[o]", nego_part(NEGO_CHALLENGE_REQUEST, NULL, NULL)));
	assert_int_equal(lab.replies, 1);
	assert_false(lab.got.is_task);
	if (nego_read(json_array_get(lab.got.data, 0), NEGO_CHALLENGE, &nego_challenge_fields, &ch,
		      &e))
		fail_msg("challenge: %s", e.text);
	assert_int_equal(strlen(ch.challenge), 22);
	assert_int_equal(ch.expires.ms, lab_now(NULL).ms + 300000);
	must_set_(out, 80, ch.challenge);
}

static inline struct road road_new(const struct party *who, const char *hex)
{
	struct road r = { .who = who };

	wallet_fixture(&r.w, &lab.issuer, who, lab.op.did);
	r.i = (struct intent){ .want = { { 10000000 }, { 30000 }, { 999900 } },
			       .term_ms = 3600000,
			       .declared = lab_now(NULL),
			       .source = INTENT_DECLARED };
	(void)snprintf(r.i.id.s, sizeof(r.i.id.s), "int-%s", hex);
	(void)snprintf(r.i.negotiation.s, sizeof(r.i.negotiation.s), "neg-%s", hex);
	must_set(r.i.class_name.s, "market-data");
	must_set(r.i.flow.s, "flow-1");
	return r;
}

static inline json_t *intent_json(const struct intent *i)
{
	json_t *js = NULL;

	assert_int_equal(tmf921_write(i, &parties, &js, NULL), 0);
	return js;
}

static inline json_t *present(const struct road *r, const json_t *vc, const json_t *intent,
			      const char *ch)
{
	struct presentation_ask ask = { .holder = r->who->did,
					.domain = lab.op.did,
					.challenge = ch,
					.intent_id = r->i.id.s,
					.created = lab_now(NULL) };
	json_t *vp = NULL;
	struct err e = { 0 };

	assert_int_equal(canon_sha256(intent, ask.intent_digest, NULL), 0);
	if (presentation_new(vc, &ask, &r->who->port, &vp, &e))
		fail_msg("presentation: %s", e.text);
	return vp;
}

static inline void take_quote(struct road *r)
{
	const json_t *body = artifact("quote");
	struct err e = { 0 };

	assert_int_equal(lab.got.state, A2A_INPUT_REQUIRED);
	if (tmf648_read(body, &parties, &r->q, &e))
		fail_msg("quote: %s", e.text);
	assert_int_equal(tmf_digest(body, &r->q.digest, NULL), 0);
}

static inline const struct deal *deal(const struct road *r)
{
	return world_deal(lab_world(), &r->i.negotiation);
}

/* The wallet becomes one of two below boss's. */
static inline void road_below(struct road *r, const struct party *boss, uint32_t nth)
{
	r->boss = boss;
	r->top = r->w;
	must_set(r->top.holder, boss->did);
	r->top.sub_depth = 1;
	must_set(r->w.issuer, boss->did);
	r->w.id[strlen(r->w.id) - 1] = (char)('a' + nth);
	r->w.wallet_id[strlen(r->w.wallet_id) - 1] = (char)('b' + nth);
}

static inline json_t *road_vc(const struct road *r)
{
	auto_json json_t *top = NULL;
	json_t *vc = NULL;
	struct err e = { 0 };

	if (!r->boss)
		return wallet_vc_fixture(&r->w, &lab.issuer);
	top = wallet_vc_fixture(&r->top, &lab.issuer);
	if (wallet_issue_below(&r->w, top, NOW, &r->boss->port, &vc, &e))
		fail_msg("sub-wallet: %s", e.text);
	return vc;
}

/* Steps 1 and 2. */
static inline void ask_quote(struct road *r)
{
	auto_json json_t *vc = road_vc(r);
	auto_json json_t *intent = intent_json(&r->i);
	char ch[80];

	challenge(r->who, ch);
	say(r->who, json_pack("[O, o]", intent, present(r, vc, intent, ch)));
}

/* What the deal has cost is on both sides the same; here the operator's fold is read for it. */
static inline void choose(struct road *r, uint8_t item)
{
	const struct deal *d = world_deal(lab_world(), &r->i.negotiation);
	const struct quote_item *i = &r->q.item[item - 1];
	struct lineage_cost cost;
	struct hash offer, key;
	ident_t lineage = { 0 };

	deal_cost(d, &cost);
	r->a = (struct ev_accept){ .deal = r->i.negotiation,
				   .quote = r->q.id,
				   .version = r->q.version,
				   .item = item,
				   .quote_digest = r->q.digest,
				   .margin = i->margin,
				   .price = quote_price(i),
				   .start = lab_now(NULL) };
	r->a.end = quote_end(&r->q, &cost, r->a.start);
	r->a.amount = amount_for(&cost, r->a.price, r->a.start, r->a.end);
	r->a.held = hold_for(r->a.amount, deal_captured(d));
	must_set(r->a.wallet.s, r->w.wallet_id);
	(void)snprintf(lineage.s, sizeof(lineage.s), "agr-%s", r->i.negotiation.s + 4);
	memcpy(offer.b, r->q.digest.b, sizeof(offer.b));
	key = ledger_hold_key(lineage.s, r->q.rev, &offer);
	ledger_hold_id(&key, r->a.hold.s);
}

static inline void send_accept(const struct party *who, const struct ev_accept *a)
{
	say(who, json_pack("[o]", nego_part(NEGO_ACCEPT, &ev_accept_fields, a)));
}

static inline void take_agreement(struct road *r)
{
	const json_t *vc = artifact("agreement");
	struct err e = { 0 };

	assert_int_equal(lab.got.state, A2A_INPUT_REQUIRED);
	json_decref(r->agreement);
	r->agreement = json_deep_copy(vc);
	if (agreement_verify(vc, &lab.side.keys, &r->t, NULL, r->digest.b, &e))
		fail_msg("agreement: %s", e.text);
	assert_string_equal(r->t.issuer, lab.op.did);
}

static inline void acceptance_of(const struct road *r, struct acceptance *acc, struct receipt *rc)
{
	const struct deal *d = world_deal(lab_world(), &r->i.negotiation);
	struct ledger_wallet_id id = { .side = LEDGER_SHADOW };
	struct ledger_wallet w;
	digest_t last;

	must_set(id.issuer, r->w.issuer);
	must_set(id.wallet_id, r->w.wallet_id);
	assert_int_equal(ledger_wallet_get(lab.store, &id, &w, NULL), 0);
	*acc = (struct acceptance){ .revision = r->t.revision, .accepted_at = lab_now(NULL) };
	random_urn(acc->id);
	must_set(acc->issuer, r->who->did);
	memcpy(acc->agreement_digest, r->digest.b, DIGEST_LEN);
	must_set(acc->lineage, r->t.lineage);
	must_set(acc->hold_id, r->t.hold_id);
	*rc = (struct receipt){ .revision = r->t.revision,
				.amount = r->a.held,
				.cumulative_after = { w.captured.minor + r->a.held.minor },
				.ledger_seq = d ? (int64_t)d->seq : 1,
				.issued_at = lab_now(NULL) };
	random_urn(rc->id);
	must_set(rc->issuer, r->who->did);
	must_set(rc->wallet_id, r->w.wallet_id);
	must_set(rc->hold_id, r->t.hold_id);
	must_set(rc->lineage, r->t.lineage);
	must_set(rc->currency, "EUR");
	memcpy(rc->previous, w.receipt.b, DIGEST_LEN);
	memcpy(last.b, w.receipt.b, sizeof(last.b));
	rc->has_previous = !digest_empty(&last);
}

static inline void send_acceptance(const struct party *who, const struct acceptance *acc,
				   const struct receipt *rc, const struct sign_port *port)
{
	json_t *a = NULL, *b = NULL;
	struct err e = { 0 };

	if (acceptance_issue(acc, NULL, port, &a, &e) || receipt_issue(rc, port, &b, &e))
		fail_msg("acceptance: %s", e.text);
	say(who, json_pack("[o, o]", a, b));
}

static inline void accept_agreement(struct road *r)
{
	struct acceptance acc;
	struct receipt rc;

	acceptance_of(r, &acc, &rc);
	send_acceptance(r->who, &acc, &rc, &r->who->port);
}

/* What the other agents of the operator would say. */
static inline void oss_active(const struct road *r)
{
	const struct cap_oss_planning cap = { lab.side.engine };
	const struct deal *d = world_deal(lab_world(), &r->i.negotiation);
	struct ev_ref ref = { .deal = d->lineage, .about = d->order.id, .rev = d->cur.rev };

	assert_int_equal(tool_service_activate(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
}

static inline uint8_t item_on(const struct road *r, uint8_t path)
{
	const struct deal *d = world_deal(lab_world(), &r->i.negotiation);

	for (uint8_t i = 0; i < d->quote.n_items; i++)
		if (d->quote.item[i].path == path)
			return d->quote.item[i].no;
	fail_msg("no item on path %u", path);
	return 0;
}

/* Steps 1 to 4 on path 1, and the service runs. */
static inline void walk_road(struct road *r)
{
	ask_quote(r);
	take_quote(r);
	choose(r, item_on(r, 1));
	send_accept(r->who, &r->a);
	take_agreement(r);
	accept_agreement(r);
	assert_int_equal(lab.replies, 0);
	oss_active(r);
	(void)artifact("service");
	assert_int_equal(lab.got.state, A2A_COMPLETED);
}

static inline struct road whole_road(const struct party *who, const char *hex)
{
	struct road r = road_new(who, hex);

	walk_road(&r);
	return r;
}

static inline int count_hold(void *arg, const struct ledger_hold_row *h)
{
	unsigned *n = arg;

	(void)h;
	(*n)++;
	return 0;
}

/* Live ones. */
static inline unsigned holds_now(void)
{
	unsigned n = 0;

	assert_int_equal(ledger_live_holds(lab.store, count_hold, &n, NULL), 0);
	return n;
}

#endif
