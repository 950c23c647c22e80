/* SPDX-License-Identifier: Apache-2.0 */
/* ent_operator.h - the other end of the conversation, for the enterprise's tests: scripted, but
 * with the real A2A server and the real codecs. It remembers what it signed and says it again. */
#ifndef TREATY_TESTS_ENT_OPERATOR_H
#define TREATY_TESTS_ENT_OPERATOR_H

#include "agent/codec/nego.h"
#include "agent/codec/tmf.h"
#include "agent/wire/a2a.h"
#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

#define OP_DEALS 96

struct op_deal {
	struct intent intent;
	struct quote q;
	ident_t quotes[16]; /* every quote of this deal */
	int n_quotes;
	struct ev_accept accept;
	struct agreement cur, next;
	uint32_t last; /* newest number that is spent */
	digest_t head; /* of the newest countersigned revision */
	json_t *vc;    /* of `next`, or of `cur` once it is accepted */
	struct lineage_cost cost;
	int accepts, acceptances, rejects, counters, ends;
};

static struct {
	struct party key, thief;
	struct a2a_server *a2a;
	const char *peer; /* the enterprise's DID */
	struct op_deal deal[OP_DEALS];
	int n, messages, challenges, forks;
	wall_t (*now)(void *arg);
	/* the script */
	price_t scarcity, margin;
	uint32_t latency_us;
	int64_t valid_ms;
	enum refusal refuse_intent, refuse_accept, fail_service;
	bool refund, thief_signs, late; /* late: countersigned when it was dead already */
	int64_t next_ms; /* an answer to an intent brings a challenge of that life; 0 = none */
	int nexts;
	char shown[80];   /* the challenge of the last presentation */
	wall_t accept_by; /* 0 = in two minutes */
	void (*bend)(struct op_deal *d, struct agreement *a, struct agreement_terms *t);
	struct receipt receipt; /* the last one, and its digest */
	uint8_t receipt_digest[DIGEST_LEN];
	bool any_receipt;
	json_t *old_vc; /* answered in place of the agreement when set */
} op;

static const struct tmf_parties op_parties = { { "edge" }, { "op" }, 2 };

static inline struct op_deal *op_by_quote(const ident_t *id)
{
	for (int i = 0; i < op.n; i++)
		for (int k = 0; k < op.deal[i].n_quotes; k++)
			if (ident_eq(op.deal[i].quotes[k], *id))
				return &op.deal[i];
	return NULL;
}

static inline struct op_deal *op_by_negotiation(const ident_t *id)
{
	for (int i = 0; i < op.n; i++)
		if (ident_eq(op.deal[i].intent.negotiation, *id))
			return &op.deal[i];
	return NULL;
}

static inline int op_problem(struct a2a_turn *t, enum refusal no, enum a2a_state st)
{
	auto_json json_t *p = nego_problem(no, NULL, "as the script says");

	assert_non_null(a2a_turn_task_id(t));
	a2a_turn_task(t, st, p);
	return 0;
}

static inline int op_artifact(struct a2a_turn *t, const char *name, const json_t *body,
			      enum a2a_state st)
{
	assert_non_null(a2a_turn_task_id(t));
	assert_int_equal(a2a_turn_artifact(t, name, body), 0);
	a2a_turn_task(t, st, NULL);
	return 0;
}

static inline void op_quote(struct op_deal *d, enum quote_reason reason)
{
	struct quote *q = &d->q;
	char id[48];

	memset(q, 0, sizeof(*q));
	(void)snprintf(id, sizeof(id), "quo-%s-%d", d->intent.negotiation.s + 4, d->n_quotes + 1);
	must_set(q->id.s, id);
	q->negotiation = d->intent.negotiation;
	q->intent = d->intent.id;
	if (d->cur.rev)
		q->lineage = d->cur.lineage;
	q->version = 1;
	q->rev = d->last + 1;
	q->refundable = op.refund;
	q->reason = reason;
	q->class_name = d->intent.class_name;
	q->flow = d->intent.flow;
	must_set(q->currency, "EUR");
	q->made = op.now(NULL);
	q->valid_until.ms = q->made.ms + op.valid_ms;
	q->term_ms = d->intent.term_ms;
	q->n_items = 2;
	for (uint8_t i = 0; i < 2; i++)
		q->item[i] = (struct quote_item){ .no = (uint8_t)(i + 1),
						  .type = i ? NET_BE : NET_DET,
						  .withdrawn = i == 1,
						  .g = d->intent.want,
						  .scarcity = op.scarcity,
						  .margin = op.margin };
	q->item[0].g.latency.us = op.latency_us;
	d->quotes[d->n_quotes++] = q->id;
}

static inline json_t *op_quote_body(struct op_deal *d)
{
	json_t *body = NULL;

	assert_int_equal(tmf648_write(&d->q, &op_parties, &body, NULL), 0);
	assert_int_equal(tmf_digest(body, &d->q.digest, NULL), 0);
	return body;
}

static inline int op_send_quote(struct op_deal *d, struct a2a_turn *t)
{
	auto_json json_t *body = op_quote_body(d);

	return op_artifact(t, "quote", body, A2A_INPUT_REQUIRED);
}

static inline void op_bring_next(struct a2a_turn *t)
{
	struct nego_challenge ch = { .expires = { op.now(NULL).ms + op.next_ms } };
	auto_json json_t *js = NULL;

	if (!op.next_ms)
		return;
	(void)snprintf(ch.challenge, sizeof(ch.challenge), "next-%d", ++op.nexts);
	js = json_pack("{s:o}", NEGO_WALLET_EXTENSION,
		       nego_part(NEGO_CHALLENGE, &nego_challenge_fields, &ch));
	assert_int_equal(a2a_turn_metadata(t, js), 0);
}

static inline int op_on_intent(const struct a2a_message *m, struct a2a_turn *t)
{
	const json_t *body = json_array_get(m->data, 0);
	struct presentation *vp = NULL;
	struct intent i;
	struct op_deal *d;
	uint8_t digest[DIGEST_LEN];
	struct err e = { 0 };

	if (tmf921_read(body, &i, &e) || presentation_read(&vp, json_array_get(m->data, 1), &e))
		fail_msg("intent: %s", e.text);
	assert_int_equal(canon_sha256(body, digest, NULL), 0);
	assert_memory_equal(digest, vp->intent_digest, DIGEST_LEN);
	assert_string_equal(vp->intent_id, i.id.s);
	assert_string_equal(vp->vp->domain, op.key.did);
	assert_string_equal(vp->vp->author, op.peer);
	must_set(op.shown, vp->vp->challenge);
	presentation_free(vp);
	op_bring_next(t);
	if (op.refuse_intent != REFUSE_NONE)
		return op_problem(t, op.refuse_intent, A2A_REJECTED);
	d = op_by_negotiation(&i.negotiation);
	if (!d) {
		assert_true(op.n < OP_DEALS);
		d = &op.deal[op.n++];
	}
	d->intent = i;
	op_quote(d, ident_empty(i.lineage) ? QUOTE_NEW : QUOTE_CHANGE);
	return op_send_quote(d, t);
}

static inline void op_fill(struct op_deal *d, struct agreement *a)
{
	const struct quote_item *it = &d->q.item[d->accept.item - 1];
	bool first = d->cur.rev == 0;
	const ident_t neg = d->q.negotiation;

	*a = (struct agreement){ .rev = d->q.rev,
				 .prev = d->head,
				 .negotiation = d->q.negotiation,
				 .intent = d->q.intent,
				 .quote = d->q.id,
				 .quote_digest = d->q.digest,
				 .item = it->no,
				 .hold = d->accept.hold,
				 .wallet = d->accept.wallet,
				 .class_name = d->q.class_name,
				 .flow = d->q.flow,
				 .label = 0x100 + (uint32_t)(d - op.deal),
				 .type = it->type,
				 .reason = d->q.reason,
				 .g = it->g,
				 .price = d->accept.price,
				 .start = d->accept.start,
				 .end = d->accept.end,
				 .amount = d->accept.amount,
				 .refundable = d->q.refundable };
	memcpy(a->currency, d->q.currency, sizeof(a->currency));
	(void)snprintf(a->lineage.s, sizeof(a->lineage.s), "agr%.40s", neg.s + 3);
	(void)snprintf(a->service.s, sizeof(a->service.s), "svc%.40s", neg.s + 3);
	if (!first && a->type != d->cur.type) {
		a->label += 0x100;
		(void)snprintf(a->service.s, sizeof(a->service.s), "svc-replacement-%u", a->rev);
	} else if (!first) {
		a->label = d->cur.label;
		a->service = d->cur.service;
	}
}

static inline void op_sign(struct op_deal *d)
{
	struct agreement *a = &d->next;
	struct party *who = op.thief_signs ? &op.thief : &op.key;
	struct agreement_terms t = { .revision = a->rev,
				     .generation = 1,
				     .accept_by = op.accept_by };
	auto_json json_t *body = NULL;
	struct err e = { 0 };

	if (!t.accept_by.ms)
		t.accept_by.ms = op.now(NULL).ms + 120000;
	op_fill(d, a);
	if (op.bend)
		op.bend(d, a, &t);
	(void)snprintf(t.id, sizeof(t.id), "urn:uuid:00000000-0000-4000-8000-%012u", a->rev);
	must_set(t.issuer, who->did);
	must_set(t.lineage, a->lineage.s);
	t.revision = a->rev;
	memcpy(t.previous, a->prev.b, DIGEST_LEN);
	must_set(t.wallet_id, a->wallet.s);
	must_set(t.hold_id, a->hold.s);
	memcpy(t.quote_digest, a->quote_digest.b, DIGEST_LEN);
	t.label = a->label;
	t.amount = a->amount;
	memcpy(t.currency, a->currency, sizeof(t.currency));
	t.term_start = a->start;
	t.term_end = a->end;
	json_decref(d->vc);
	d->vc = NULL;
	if (tmf651_write(a, &op_parties, &body, &e) ||
	    agreement_issue(&t, body, op.now(NULL), &who->port, &d->vc, &e))
		fail_msg("sign: %s", e.text);
	assert_int_equal(canon_sha256(d->vc, a->digest.b, NULL), 0);
}

/* What the other side says it pays, computed here again. */
static inline void op_check_money(const struct op_deal *d, const struct ev_accept *a)
{
	const struct quote_item *it = &d->q.item[a->item - 1];
	money_t amount;

	assert_in_range(a->item, 1, d->q.n_items);
	assert_false(it->withdrawn);
	assert_int_equal(a->version, d->q.version);
	assert_memory_equal(a->quote_digest.b, d->q.digest.b, 32);
	assert_int_equal(a->price.minor_h, it->scarcity.minor_h + it->margin.minor_h);
	assert_int_equal(a->end.ms, quote_end(&d->q, &d->cost, a->start).ms);
	amount = amount_for(&d->cost, a->price, a->start, a->end);
	assert_int_equal(a->amount.minor, amount.minor);
	assert_in_range(op.now(NULL).ms - a->start.ms, 0, 10000);
}

static inline int op_on_accept(const json_t *part, struct a2a_turn *t)
{
	struct ev_accept a;
	struct op_deal *d;

	assert_int_equal(nego_read(part, NEGO_ACCEPT, &ev_accept_fields, &a, NULL), 0);
	d = op_by_quote(&a.quote);
	if (!d)
		return op_problem(t, REFUSE_QUOTE_UNKNOWN, A2A_REJECTED);
	if (op.refuse_accept != REFUSE_NONE)
		return op_problem(t, op.refuse_accept, A2A_REJECTED);
	if (op.now(NULL).ms - a.start.ms > 10000)
		return op_problem(t, REFUSE_QUOTE_MISMATCH, A2A_REJECTED);
	if (op.old_vc)
		return op_artifact(t, "agreement", op.old_vc, A2A_INPUT_REQUIRED);
	d->accepts++;
	if (!d->accepts || !ident_eq(d->accept.quote, a.quote) || !d->vc ||
	    d->accept.version != a.version) {
		op_check_money(d, &a);
		d->accept = a;
		op_sign(d);
	}
	assert_memory_equal(&d->accept, &a, sizeof(a)); /* said again: the same */
	return op_artifact(t, "agreement", d->vc, A2A_INPUT_REQUIRED);
}

static inline int op_on_counter(const json_t *part, struct a2a_turn *t)
{
	struct ev_counter c;
	struct op_deal *d;

	assert_int_equal(nego_read(part, NEGO_COUNTER, &ev_counter_fields, &c, NULL), 0);
	d = op_by_quote(&c.quote);
	assert_non_null(d);
	d->counters++;
	d->q.version++;
	d->q.item[c.item - 1].margin.minor_h =
		(d->q.item[c.item - 1].margin.minor_h + c.margin.minor_h) / 2;
	return op_send_quote(d, t);
}

static inline int op_on_reject(const json_t *part, struct a2a_turn *t)
{
	struct ev_ref ref;
	struct op_deal *d;

	assert_int_equal(nego_read(part, NEGO_REJECT, &ev_ref_fields, &ref, NULL), 0);
	d = op_by_quote(&ref.about);
	if (d)
		d->rejects++;
	assert_non_null(a2a_turn_task_id(t));
	a2a_turn_task(t, A2A_CANCELED, NULL);
	return 0;
}

/* False: it does not follow the wallet's last one. */
static inline bool op_check_receipt(const struct op_deal *d, const json_t *vc)
{
	static const struct did_resolver keys = { .resolve = did_resolve_key };
	struct receipt r;
	uint8_t digest[DIGEST_LEN];

	assert_int_equal(receipt_verify(vc, &keys, &r, digest, NULL), 0);
	assert_string_equal(r.hold_id, d->next.hold.s);
	if (receipt_extends(op.any_receipt ? &op.receipt : NULL, op.receipt_digest, &r) !=
	    REFUSE_NONE) {
		op.forks++;
		return false;
	}
	op.receipt = r;
	op.any_receipt = true;
	memcpy(op.receipt_digest, digest, DIGEST_LEN);
	return true;
}

static inline void op_in_force(struct op_deal *d)
{
	const struct agreement *a = &d->next;

	d->cost.past = amount_past(&d->cost, a->start);
	d->cost.live = true;
	d->cost.price = a->price;
	d->cost.start = a->start;
	d->cost.end = a->end;
	d->cur = *a;
	d->last = a->rev;
	d->head = a->digest;
}

static inline int op_on_acceptance(const struct a2a_message *m, struct a2a_turn *t)
{
	static const struct did_resolver keys = { .resolve = did_resolve_key };
	struct tmf_service sv = { .state = "active", .operating = "running" };
	struct acceptance a;
	struct op_deal *d = NULL;
	uint8_t digest[DIGEST_LEN];
	auto_json json_t *body = NULL;

	assert_int_equal(acceptance_verify(json_array_get(m->data, 0), &keys, &a, digest, NULL), 0);
	for (int i = 0; i < op.n; i++)
		if (!strcmp(op.deal[i].next.lineage.s, a.lineage))
			d = &op.deal[i];
	assert_non_null(d);
	assert_memory_equal(a.agreement_digest, d->next.digest.b, DIGEST_LEN);
	d->acceptances++;
	if (op.late && d->last == d->next.rev)
		return op_problem(t, REFUSE_QUOTE_EXPIRED, A2A_REJECTED);
	if (op.late && op_check_receipt(d, json_array_get(m->data, 1))) {
		d->last = d->next.rev;
		d->head = d->next.digest;
		return op_problem(t, REFUSE_QUOTE_EXPIRED, A2A_REJECTED);
	}
	if (d->cur.rev != d->next.rev) {
		if (!op_check_receipt(d, json_array_get(m->data, 1)))
			return op_problem(t, REFUSE_LEDGER_FORK, A2A_REJECTED);
		op_in_force(d);
	}
	if (op.fail_service != REFUSE_NONE)
		return op_problem(t, op.fail_service, A2A_FAILED);
	sv.service = d->cur.service;
	sv.lineage = d->cur.lineage;
	sv.rev = d->cur.rev;
	sv.label = d->cur.label;
	sv.class_name = d->cur.class_name;
	sv.flow = d->cur.flow;
	sv.g = d->cur.g;
	assert_int_equal(tmf638_write(&sv, &op_parties, &body, NULL), 0);
	return op_artifact(t, "service", body, A2A_COMPLETED);
}

static inline int op_message(void *arg, const struct peer *p, const struct a2a_message *m,
			     struct a2a_turn *t)
{
	const json_t *part = json_array_get(m->data, 0);
	const char *type = nego_type(part);
	struct nego_challenge ch = { 0 };
	auto_json json_t *js = NULL;

	(void)arg;
	assert_string_equal(p->did, op.peer);
	assert_non_null(json_object_get(m->metadata, NEGO_EXTENSION));
	op.messages++;
	if (!strcmp(type, NEGO_CHALLENGE_REQUEST)) {
		(void)snprintf(ch.challenge, sizeof(ch.challenge), "challenge-%d", ++op.challenges);
		ch.expires.ms = op.now(NULL).ms + 60000;
		js = nego_part(NEGO_CHALLENGE, &nego_challenge_fields, &ch);
		a2a_turn_message(t, js);
		return 0;
	}
	if (!strcmp(type, "Intent"))
		return op_on_intent(m, t);
	if (!strcmp(type, NEGO_ACCEPT))
		return op_on_accept(part, t);
	if (!strcmp(type, NEGO_COUNTER))
		return op_on_counter(part, t);
	if (!strcmp(type, NEGO_REJECT))
		return op_on_reject(part, t);
	if (!strcmp(type, NEGO_TERMINATE)) {
		struct ev_ref ref;

		assert_int_equal(nego_read(part, NEGO_TERMINATE, &ev_ref_fields, &ref, NULL), 0);
		op_by_negotiation(&ref.deal)->ends++;
		js = nego_part(NEGO_RECEIVED, &ev_ref_fields, &ref);
		a2a_turn_message(t, js);
		return 0;
	}
	return op_on_acceptance(m, t);
}

static inline void op_server_new(void)
{
	static const char *const skills[] = { "negotiate", "scripted", NULL };
	const struct a2a_app app = { .on_message = op_message };
	const struct a2a_config c = { .path = "/a2a",
				      .url = "https://op.example/a2a",
				      .name = "op",
				      .description = "scripted operator",
				      .version = "1",
				      .extension = NEGO_EXTENSION,
				      .extension_description = "negotiation",
				      .extension_required = true,
				      .skills = skills,
				      .now = op.now };

	op.a2a = a2a_server_free(op.a2a);
	assert_int_equal(a2a_server_new(&op.a2a, &c, &app, NULL), 0);
}

static inline void op_start(const char *peer, wall_t (*now)(void *arg))
{
	for (int i = 0; i < op.n; i++)
		json_decref(op.deal[i].vc);
	op.a2a = a2a_server_free(op.a2a);
	memset(&op, 0, sizeof(op));
	party_init(&op.key, 3);
	party_init(&op.thief, 4);
	op.peer = peer;
	op.now = now;
	op.scarcity.minor_h = 120000;
	op.margin.minor_h = 20000;
	op.latency_us = 10000;
	op.valid_ms = 60000;
	op_server_new();
}

#endif
