/* SPDX-License-Identifier: Apache-2.0 */
/* From the choice to the captured money: every number that is not what was quoted, every message
 * that comes twice or from another, and the chain of revisions. */
#include "bss_road.h"

#define HEX "00000000000000bb"

static void to_quote(struct road *r, const char *hex)
{
	*r = road_new(&lab.ent, hex);
	ask_quote(r);
	take_quote(r);
	choose(r, item_on(r, 1));
}

static void to_agreement(struct road *r, const char *hex)
{
	to_quote(r, hex);
	send_accept(r->who, &r->a);
	take_agreement(r);
}

/* --- QuoteAccept ------------------------------------------------------------------------------ */

static void a_price(struct ev_accept *a)
{
	a->price.minor_h--;
}

static void a_margin(struct ev_accept *a)
{
	a->margin.minor_h -= 10;
	a->price.minor_h -= 10;
}

static void a_amount(struct ev_accept *a)
{
	a->amount.minor--;
	a->held.minor--;
}

static void a_held(struct ev_accept *a)
{
	a->held.minor = 0;
}

static void a_end(struct ev_accept *a)
{
	a->end.ms += 1000;
}

static void a_early(struct ev_accept *a)
{
	a->start.ms -= 10001;
	a->end.ms -= 10001;
}

static void a_late(struct ev_accept *a)
{
	a->start.ms += 10001;
	a->end.ms += 10001;
}

static void a_item(struct ev_accept *a)
{
	a->item = 6;
}

static void a_version(struct ev_accept *a)
{
	a->version++;
}

static void a_digest(struct ev_accept *a)
{
	a->quote_digest.b[0] ^= 1;
}

static void a_wallet(struct ev_accept *a)
{
	a->wallet.s[10] ^= 1;
}

static void a_hold(struct ev_accept *a)
{
	a->hold.s[5] = a->hold.s[5] == '0' ? '1' : '0';
}

static void a_quote(struct ev_accept *a)
{
	a->quote.s[6] = a->quote.s[6] == '0' ? '1' : '0';
}

static const struct {
	const char *name;
	void (*edit)(struct ev_accept *a);
	enum refusal want;
} bad_accepts[] = {
	{ "price", a_price, REFUSE_QUOTE_MISMATCH },
	{ "margin", a_margin, REFUSE_QUOTE_MISMATCH },
	{ "amount", a_amount, REFUSE_QUOTE_MISMATCH },
	{ "held", a_held, REFUSE_QUOTE_MISMATCH },
	{ "end", a_end, REFUSE_QUOTE_MISMATCH },
	{ "too early", a_early, REFUSE_QUOTE_MISMATCH },
	{ "too late", a_late, REFUSE_QUOTE_MISMATCH },
	{ "item", a_item, REFUSE_QUOTE_MISMATCH },
	{ "version", a_version, REFUSE_QUOTE_MISMATCH },
	{ "digest", a_digest, REFUSE_QUOTE_MISMATCH },
	{ "wallet", a_wallet, REFUSE_QUOTE_MISMATCH },
	{ "hold", a_hold, REFUSE_QUOTE_MISMATCH },
	{ "quote", a_quote, REFUSE_QUOTE_UNKNOWN },
};

static void changed_choices(void **state)
{
	auto_road struct road r = { 0 };

	(void)state;
	to_quote(&r, HEX);
	for (size_t i = 0; i < ARRAY_LEN(bad_accepts); i++) {
		struct ev_accept a = r.a;
		struct snap s = snap();

		bad_accepts[i].edit(&a);
		send_accept(r.who, &a);
		expect(bad_accepts[i].want, s, bad_accepts[i].name);
		assert_int_equal(holds_now(), 0);
	}
	send_accept(r.who, &r.a);
	take_agreement(&r);
	assert_int_equal(holds_now(), 1);
}

/* A choice that was signed comes again, bent in one member: it is not the one that was signed, be
 * the agreement only signed or in force. The twin is answered with the same agreement as before. */
static void signed_and_bent(void **state)
{
	auto_road struct road r = { 0 };
	digest_t was;

	(void)state;
	to_quote(&r, HEX);
	send_accept(r.who, &r.a);
	take_agreement(&r);
	was = r.digest;
	for (int in_force = 0; in_force < 2; in_force++) {
		for (size_t i = 0; i < ARRAY_LEN(bad_accepts); i++) {
			struct ev_accept a = r.a;
			struct snap s = snap();

			bad_accepts[i].edit(&a);
			send_accept(r.who, &a);
			expect(problem(), s, bad_accepts[i].name);
			assert_int_equal(holds_now(), !in_force);
		}
		send_accept(r.who, &r.a);
		take_agreement(&r);
		assert_memory_equal(&r.digest, &was, sizeof(was));
		if (!in_force)
			accept_agreement(&r);
	}
}

static void expired_quote(void **state)
{
	auto_road struct road r = { 0 };
	struct snap s;

	(void)state;
	to_quote(&r, HEX);
	lab.now.ms += 30001;
	choose(&r, r.a.item);
	s = snap();
	send_accept(r.who, &r.a);
	expect(REFUSE_QUOTE_EXPIRED, s, "expired quote");
	ask_quote(&r);
	take_quote(&r);
	choose(&r, item_on(&r, 1));
	send_accept(r.who, &r.a);
	take_agreement(&r);
}

/* Two enterprises, each with a sub-wallet as wide as the one above both, which has room for one. */
static void overspending_together(void **state)
{
	auto_road struct road a = road_new(&lab.ent, "0d1"), b = road_new(&lab.other, "0d2");
	struct ledger_wallet_id top = { .side = LEDGER_SHADOW };
	struct ledger_wallet w;
	struct ev_ref ref = { 0 };
	const struct cap_human cap = { lab.side.engine };
	struct snap s;

	(void)state;
	a.w.classes[0].ceiling.minor = b.w.classes[0].ceiling.minor = 2500;
	road_below(&a, &lab.stranger, 0);
	road_below(&b, &lab.stranger, 1);
	ask_quote(&a);
	take_quote(&a);
	choose(&a, item_on(&a, 1));
	ask_quote(&b);
	take_quote(&b);
	choose(&b, item_on(&b, 1));
	send_accept(a.who, &a.a);
	take_agreement(&a);
	s = snap();
	send_accept(b.who, &b.a);
	expect(REFUSE_OVER_CLASS_CEILING, s, "overspend of the parent");
	accept_agreement(&a);
	must_set(top.issuer, lab.issuer.did);
	must_set(top.wallet_id, a.top.wallet_id);
	assert_int_equal(ledger_wallet_get(lab.store, &top, &w, NULL), 0);
	assert_int_equal(w.captured.minor, a.a.amount.minor);
	/* The parent is taken back, and with it both. */
	must_set(ref.about.s, a.top.wallet_id);
	assert_int_equal(tool_wallet_revoke(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	must_set(b.i.negotiation.s, "neg-0d3");
	must_set(b.i.id.s, "int-0d3");
	ask_quote(&b);
	assert_int_equal(problem(), REFUSE_WALLET_REVOKED);
}

static void overspending(void **state)
{
	auto_road struct road a = road_new(&lab.ent, "0d1"), b = road_new(&lab.ent, "0d2");
	struct snap s;

	(void)state;
	/* Room for one of the two. */
	a.w.classes[0].ceiling.minor = b.w.classes[0].ceiling.minor = 2500;
	ask_quote(&a);
	take_quote(&a);
	choose(&a, item_on(&a, 1));
	assert_in_range(a.a.amount.minor, 1251, 2500);
	ask_quote(&b);
	take_quote(&b);
	choose(&b, item_on(&b, 1));
	send_accept(a.who, &a.a);
	take_agreement(&a);
	s = snap();
	send_accept(b.who, &b.a);
	expect(REFUSE_OVER_CLASS_CEILING, s, "overspend");
	assert_int_equal(holds_now(), 1);
	/* What is never settled goes back, and then there is room. */
	lab_run(121000);
	assert_int_equal(holds_now(), 0);
	ask_quote(&b);
	take_quote(&b);
	choose(&b, item_on(&b, 1));
	send_accept(b.who, &b.a);
	take_agreement(&b);
}

/* Revoked between quote and choice: nothing new is held. */
static void revoked_before_choice(void **state)
{
	const struct cap_human cap = { lab.side.engine };
	auto_road struct road r = { 0 };
	struct ev_ref ref = { 0 };
	struct snap s;

	(void)state;
	to_quote(&r, HEX);
	must_set(ref.about.s, r.w.wallet_id);
	assert_int_equal(tool_wallet_revoke(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	s = snap();
	send_accept(r.who, &r.a);
	expect(REFUSE_WALLET_REVOKED, s, "revoked");
	assert_int_equal(holds_now(), 0);
}

static void repeated_choice(void **state)
{
	auto_road struct road r = { 0 };
	char id[32];
	digest_t first;
	struct ev_accept other;
	uint64_t events;

	(void)state;
	to_agreement(&r, HEX);
	must_set(id, lab.mid);
	first = r.digest;
	events = lab_world()->events;
	/* The same message, the same choice in a new message, and after a restart. */
	say_as(r.who, id, NULL, json_pack("[o]", nego_part(NEGO_ACCEPT, &ev_accept_fields, &r.a)));
	take_agreement(&r);
	assert_memory_equal(&first, &r.digest, sizeof(first));
	send_accept(r.who, &r.a);
	take_agreement(&r);
	assert_memory_equal(&first, &r.digest, sizeof(first));
	other = r.a;
	other.start.ms++;
	say_as(r.who, id, NULL,
	       json_pack("[o]", nego_part(NEGO_ACCEPT, &ev_accept_fields, &other)));
	assert_int_equal(lab.got.code, A2A_E_PARAMS);
	assert_int_equal(lab_world()->events, events);
	lab_restart();
	send_accept(r.who, &r.a);
	take_agreement(&r);
	assert_memory_equal(&first, &r.digest, sizeof(first));
	assert_int_equal(holds_now(), 1);
	/* Another choice while one is signed: the revision has one content. */
	lab.now.ms += 1000;
	choose(&r, r.a.item);
	send_accept(r.who, &r.a);
	assert_int_equal(problem(), REFUSE_DUPLICATE);
}

/* --- acceptance and receipt ------------------------------------------------------------------- */

enum settle_bend {
	C_AMOUNT,
	C_CUMULATIVE,
	C_CURRENCY,
	C_WALLET,
	C_HOLD,
	C_DIGEST,
	C_REVISION,
	C_LINEAGE,
	C_PREVIOUS,
	C_FORGED,
	C_ISSUER,
};

static const struct {
	const char *name;
	enum settle_bend bend;
	enum refusal want;
} bad_settles[] = {
	{ "receipt amount", C_AMOUNT, REFUSE_LEDGER_STATE },
	{ "receipt sum", C_CUMULATIVE, REFUSE_LEDGER_STATE },
	{ "receipt currency", C_CURRENCY, REFUSE_LEDGER_CURRENCY },
	{ "receipt wallet", C_WALLET, REFUSE_QUOTE_MISMATCH },
	{ "receipt hold", C_HOLD, REFUSE_QUOTE_MISMATCH },
	{ "agreement digest", C_DIGEST, REFUSE_AGREEMENT_UNKNOWN },
	{ "revision", C_REVISION, REFUSE_AGREEMENT_UNKNOWN },
	{ "lineage", C_LINEAGE, REFUSE_AGREEMENT_UNKNOWN },
	{ "receipt chain", C_PREVIOUS, REFUSE_LEDGER_FORK },
	{ "forged", C_FORGED, REFUSE_SIGNATURE_BAD },
	{ "issuer", C_ISSUER, REFUSE_SIGNATURE_BAD },
};

static const struct party *bend(enum settle_bend b, struct acceptance *acc, struct receipt *rc)
{
	switch (b) {
	case C_AMOUNT:
		rc->amount.minor--;
		rc->cumulative_after.minor--;
		return &lab.ent;
	case C_CUMULATIVE: rc->cumulative_after.minor++; return &lab.ent;
	case C_CURRENCY: must_set(rc->currency, "USD"); return &lab.ent;
	case C_WALLET: rc->wallet_id[12] ^= 1; return &lab.ent;
	case C_HOLD: rc->hold_id[4] ^= 1; return &lab.ent;
	case C_DIGEST: acc->agreement_digest[3] ^= 1; return &lab.ent;
	case C_REVISION: acc->revision++; return &lab.ent;
	case C_LINEAGE: acc->lineage[5] ^= 1; return &lab.ent;
	case C_PREVIOUS: rc->has_previous = true; return &lab.ent;
	case C_FORGED: return &lab.ent;
	case C_ISSUER:
		must_set(acc->issuer, lab.other.did);
		must_set(rc->issuer, lab.other.did);
		return &lab.other;
	}
	return NULL;
}

/* A signature of other content of the same shape. */
static void send_forged(struct acceptance *acc, const struct receipt *rc)
{
	json_t *a = NULL, *b = NULL, *x = NULL;

	assert_int_equal(acceptance_issue(acc, NULL, &lab.ent.port, &a, NULL), 0);
	assert_int_equal(receipt_issue(rc, &lab.ent.port, &b, NULL), 0);
	acc->revision++;
	assert_int_equal(acceptance_issue(acc, NULL, &lab.ent.port, &x, NULL), 0);
	(void)json_object_set(a, "proof", json_object_get(x, "proof"));
	json_decref(x);
	say(&lab.ent, json_pack("[o, o]", a, b));
}

static void changed_acceptances(void **state)
{
	auto_road struct road r = { 0 };
	struct acceptance acc;
	struct receipt rc;

	(void)state;
	to_agreement(&r, HEX);
	for (size_t i = 0; i < ARRAY_LEN(bad_settles); i++) {
		const struct party *by;
		struct snap s = snap();

		acceptance_of(&r, &acc, &rc);
		by = bend(bad_settles[i].bend, &acc, &rc);
		if (bad_settles[i].bend == C_FORGED)
			send_forged(&acc, &rc);
		else
			send_acceptance(r.who, &acc, &rc, &by->port);
		expect(bad_settles[i].want, s, bad_settles[i].name);
		assert_int_equal(holds_now(), 1);
	}
	accept_agreement(&r);
	oss_active(&r);
	(void)artifact("service");
}

static void repeated_acceptance(void **state)
{
	auto_road struct road r = { 0 };
	struct acceptance acc;
	struct receipt rc;
	struct snap s;

	(void)state;
	to_agreement(&r, HEX);
	acceptance_of(&r, &acc, &rc);
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(lab.replies, 0);
	lab_restart(); /* the turn is gone; the world is not */
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(lab.replies, 0);
	oss_active(&r);
	(void)artifact("service");
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	(void)artifact("service");
	assert_int_equal(lab.got.state, A2A_COMPLETED);
	/* A fork: the same revision with another content. */
	acc.agreement_digest[0] ^= 1;
	s = snap();
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	expect(REFUSE_LEDGER_FORK, s, "fork");
}

static void failed_service(void **state)
{
	const struct cap_oss_planning cap = { lab.side.engine };
	auto_road struct road r = { 0 };
	struct ev_ref ref = { 0 };

	(void)state;
	to_agreement(&r, HEX);
	accept_agreement(&r);
	ref.deal = deal(&r)->lineage;
	must_set(ref.why.s, "node popA refused step 2");
	assert_int_equal(tool_plan_fail(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(lab.got.state, A2A_FAILED);
	assert_int_equal(problem(), REFUSE_STEP_REFUSED);
	lab_restart();
}

static void refused_order(void **state)
{
	const struct cap_oss_negotiation cap = { lab.side.engine };
	auto_road struct road r = { 0 };
	struct ev_refused no = { .refusal = REFUSE_PLAN_INFEASIBLE };

	(void)state;
	to_agreement(&r, HEX);
	accept_agreement(&r);
	assert_int_equal(deal(&r)->order.action, ORDER_ADD);
	no.deal = deal(&r)->lineage;
	assert_int_equal(tool_order_refuse(&cap, &no, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(lab.got.state, A2A_FAILED);
	assert_int_equal(problem(), REFUSE_PLAN_INFEASIBLE);
	assert_int_equal(deal(&r)->life, LIFE_NEGOTIATED);
	lab_restart();
}

/* --- somebody else's -------------------------------------------------------------------------- */

static void foreign_hands(void **state)
{
	auto_road struct road r = { 0 };
	struct ev_counter k = { .item = 1 };
	struct ev_ref ref = { 0 };
	struct acceptance acc;
	struct receipt rc;
	struct snap s;

	(void)state;
	to_quote(&r, HEX);
	k.deal = ref.deal = r.i.negotiation;
	k.quote = ref.about = r.q.id;
	s = snap();
	send_accept(&lab.other, &r.a);
	expect(REFUSE_QUOTE_UNKNOWN, s, "accept");
	s = snap();
	say(&lab.other, json_pack("[o]", nego_part(NEGO_COUNTER, &ev_counter_fields, &k)));
	expect(REFUSE_QUOTE_UNKNOWN, s, "counter");
	s = snap();
	say(&lab.other, json_pack("[o]", nego_part(NEGO_REJECT, &ev_ref_fields, &ref)));
	expect(REFUSE_QUOTE_UNKNOWN, s, "reject");
	s = snap();
	say(&lab.other, json_pack("[o]", nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref)));
	expect(REFUSE_AGREEMENT_UNKNOWN, s, "terminate");
	send_accept(r.who, &r.a);
	take_agreement(&r);
	acceptance_of(&r, &acc, &rc);
	must_set(acc.issuer, lab.other.did);
	must_set(rc.issuer, lab.other.did);
	s = snap();
	send_acceptance(&lab.other, &acc, &rc, &lab.other.port);
	expect(REFUSE_AGREEMENT_UNKNOWN, s, "acceptance");
	accept_agreement(&r);
	oss_active(&r);
	(void)artifact("service");
}

static void malformed(void **state)
{
	static const char *const bodies[] = {
		"[{}]",
		"[{\"@type\":\"Quote\"}]",
		"[{\"@type\":\"QuoteAccept\"}]",
		"[{\"@type\":\"QuoteCounter\",\"deal\":7}]",
		"[{\"@type\":\"QuoteReject\",\"deal\":\"x\",\"rev\":-1}]",
		"[{\"@type\":\"Intent\"},{\"x\":1}]",
		"[{\"@type\":\"TreatyChallengeRequest\"},{}]",
		"[{\"type\":[\"VerifiableCredential\",\"AcceptanceCredential\"]},{}]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct snap s = snap();

		say(&lab.ent, json_loads(bodies[i], 0, NULL));
		expect(REFUSE_BODY_MALFORMED, s, bodies[i]);
	}
}

/* Four labels are configured, one for each service. */
static void labels_run_out(void **state)
{
	auto_road struct road r = { 0 };
	char hex[8];
	struct snap s;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		(void)snprintf(hex, sizeof(hex), "0e%u", i);
		r = whole_road(&lab.ent, hex);
		assert_int_equal(deal(&r)->cur.label, 100 + i);
		road_free(&r);
		r.agreement = NULL;
	}
	to_quote(&r, "0ef");
	s = snap();
	send_accept(r.who, &r.a);
	expect(REFUSE_LIMIT_REACHED, s, "labels");
	assert_int_equal(holds_now(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
		T(changed_choices), T(signed_and_bent),       T(expired_quote),
		T(overspending),    T(overspending_together), T(revoked_before_choice),
		T(repeated_choice), T(changed_acceptances),   T(repeated_acceptance),
		T(failed_service),  T(refused_order),         T(foreign_hands),
		T(malformed),       T(labels_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
