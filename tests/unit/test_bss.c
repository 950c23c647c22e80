/* SPDX-License-Identifier: Apache-2.0 */
/* The road to an agreement, and everything that must not pass on it. */
#include "bss_road.h"
#include "tool_run.h"

#include "agent/bss_negotiation/bss_negotiation_core.h"
#include "agent/bss_policy/bss_known.h"
#include "agent/bss_policy/bss_policy_core.h"
#include "agent/codec/noun.h"

#define HEX "00000000000000aa"

static void happy_road(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, HEX);
	struct tmf_service sv;
	const struct deal *d = deal(&r);
	struct ledger_lineage l;

	(void)state;
	assert_int_equal(tmf638_read(artifact("service"), &sv, NULL), 0);
	assert_string_equal(sv.service.s, "svc-" HEX);
	assert_string_equal(sv.lineage.s, "agr-" HEX);
	assert_int_equal(sv.label, 100);
	assert_int_equal(sv.rev, 1);
	assert_int_equal(d->life, LIFE_PROVISIONED);
	assert_int_equal(d->cur.path, 1);
	assert_int_equal(d->cur.amount.minor, r.a.amount.minor);
	assert_int_equal(r.t.amount.minor, r.a.amount.minor);
	assert_int_equal(ledger_lineage_get(lab.store, LEDGER_SHADOW, "agr-" HEX, &l, NULL), 0);
	assert_int_equal(l.captured.minor, r.a.amount.minor);
	assert_memory_equal(l.head.b, r.digest.b, DIGEST_LEN);
	assert_int_equal(lab_world()->refusals, 0);
	lab_restart();
	assert_int_equal(deal(&r)->cur.rev, 1);
}

/* --- wallets ---------------------------------------------------------------------------------- */

enum bend {
	BEND_WALLET,   /* the credential says it */
	BEND_FORGED,   /* signed by another than its issuer */
	BEND_HOLDER,   /* presented by another peer */
	BEND_REPLAY,   /* a used challenge */
	BEND_STALE,    /* an expired challenge */
	BEND_OTHERS,   /* another peer's challenge */
	BEND_INTENT,   /* the intent was changed after the presentation */
	BEND_TAMPERED, /* a byte of the presentation */
	BEND_BARE,     /* no presentation at all */
	BEND_REVOKED,
	BEND_STRANGER, /* a peer that is not configured */
};

static void w_issuer(struct wallet *w)
{
	must_set(w->issuer, lab.stranger.did);
}

static void w_expired(struct wallet *w)
{
	w->valid_until = (wall_t){ lab.now.ms - 1 };
}

static void w_window(struct wallet *w)
{
	w->not_before = (wall_t){ lab.now.ms + 60000 };
}

static void w_class(struct wallet *w)
{
	must_set(w->classes[0].name, "voice");
}

static void w_currency(struct wallet *w)
{
	must_set(w->currency, "USD");
}

static void w_operator(struct wallet *w)
{
	must_set(w->operators[0], lab.stranger.did);
}

static void w_floor(struct wallet *w)
{
	w->classes[0].floor_bandwidth = (rate_t){ 20000000 };
}

static void w_term(struct wallet *w)
{
	w->term_max_s = 60;
}

static const struct bad_wallet {
	const char *name;
	enum bend bend;
	void (*edit)(struct wallet *w);
	enum refusal want;
} bad_wallets[] = {
	{ "foreign issuer", BEND_WALLET, w_issuer, REFUSE_WALLET_ISSUER },
	{ "expired", BEND_WALLET, w_expired, REFUSE_WALLET_EXPIRED },
	{ "outside its window", BEND_WALLET, w_window, REFUSE_WALLET_EXPIRED },
	{ "wrong class", BEND_WALLET, w_class, REFUSE_WALLET_POLICY },
	{ "wrong currency", BEND_WALLET, w_currency, REFUSE_WALLET_POLICY },
	{ "wrong operator", BEND_WALLET, w_operator, REFUSE_WALLET_POLICY },
	{ "below its floor", BEND_WALLET, w_floor, REFUSE_WALLET_POLICY },
	{ "longer than its term", BEND_WALLET, w_term, REFUSE_WALLET_POLICY },
	{ "forged", BEND_FORGED, NULL, REFUSE_WALLET_SIGNATURE },
	{ "tampered", BEND_TAMPERED, NULL, REFUSE_WALLET_SIGNATURE },
	{ "another's", BEND_HOLDER, NULL, REFUSE_WALLET_CHALLENGE },
	{ "replayed challenge", BEND_REPLAY, NULL, REFUSE_WALLET_CHALLENGE },
	{ "stale challenge", BEND_STALE, NULL, REFUSE_WALLET_CHALLENGE },
	{ "another's challenge", BEND_OTHERS, NULL, REFUSE_WALLET_CHALLENGE },
	{ "other intent", BEND_INTENT, NULL, REFUSE_WALLET_INTENT },
	{ "no wallet", BEND_BARE, NULL, REFUSE_WALLET_MISSING },
	{ "revoked", BEND_REVOKED, NULL, REFUSE_WALLET_REVOKED },
	{ "a stranger", BEND_STRANGER, NULL, REFUSE_NOT_AUTHORIZED },
};

static json_t *forged_vc(const struct wallet *w)
{
	json_t *vc = wallet_vc_fixture(w, &lab.issuer);
	struct wallet other = *w;
	auto_json json_t *vc2 = NULL;

	other.ceiling.minor++;
	vc2 = wallet_vc_fixture(&other, &lab.issuer);
	(void)json_object_set(vc, "proof", json_object_get(vc2, "proof"));
	return vc;
}

static void revoke_wallet(const struct wallet *w)
{
	const struct cap_human cap = { lab.side.engine };
	struct ev_ref ref = { 0 };

	must_set(ref.about.s, w->wallet_id);
	assert_int_equal(tool_wallet_revoke(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
}

static json_t *wallet_of(const struct bad_wallet *b, struct road *r)
{
	if (b->edit)
		b->edit(&r->w);
	if (b->bend == BEND_FORGED)
		return forged_vc(&r->w);
	return wallet_vc_fixture(&r->w, b->edit == w_issuer ? &lab.stranger : &lab.issuer);
}

static json_t *bent_presentation(const struct bad_wallet *b, struct road *r, json_t **intent)
{
	auto_json json_t *vc = wallet_of(b, r);
	char ch[80];
	json_t *vp;

	*intent = intent_json(&r->i);
	challenge(b->bend == BEND_OTHERS ? &lab.other : r->who, ch);
	vp = present(r, vc, *intent, ch);
	if (b->bend == BEND_STALE) /* the presentation itself is fresh */
		lab.now.ms += 300001;
	if (b->bend == BEND_STALE) {
		json_decref(vp);
		vp = present(r, vc, *intent, ch);
	}
	if (b->bend == BEND_TAMPERED) {
		char t[TIME_TEXT_MAX];

		time_format((wall_t){ lab.now.ms - 1000 }, t);
		(void)json_object_set_new(json_object_get(vp, "proof"), "created", json_string(t));
	}
	if (b->bend == BEND_INTENT) {
		r->i.want.bandwidth.bps *= 2;
		json_decref(*intent);
		*intent = intent_json(&r->i);
	}
	if (b->bend == BEND_REPLAY) { /* the challenge is used up by another intent */
		struct road first = road_new(r->who, "0bbb");
		auto_json json_t *i2 = intent_json(&first.i);

		say(r->who, json_pack("[O, o]", i2, present(&first, vc, i2, ch)));
		(void)artifact("quote");
	}
	return vp;
}

static void one_bad_wallet(const struct bad_wallet *b)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	auto_json json_t *intent = NULL;
	json_t *vp;
	struct snap s;

	if (b->bend == BEND_STRANGER) {
		s = snap();
		say(&lab.stranger, json_pack("[o]", nego_part(NEGO_CHALLENGE_REQUEST, NULL, NULL)));
		expect(b->want, s, b->name);
		return;
	}
	vp = bent_presentation(b, &r, &intent);
	if (b->bend == BEND_REVOKED)
		revoke_wallet(&r.w);
	s = snap();
	if (b->bend == BEND_BARE)
		say(r.who, json_pack("[O]", intent));
	else
		say(b->bend == BEND_HOLDER ? &lab.other : r.who, json_pack("[O, O]", intent, vp));
	json_decref(vp);
	expect(b->want, s, b->name);
}

static void wallets_are_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_wallets); i++) {
		struct road twin = road_new(&lab.ent, "0cc");

		ask_quote(&twin);
		(void)artifact("quote");
		one_bad_wallet(&bad_wallets[i]);
		(void)lab_teardown(state);
		(void)lab_setup(state);
	}
}

static void ask_with(struct road *r, const struct nego_challenge *ch)
{
	auto_json json_t *vc = road_vc(r);
	auto_json json_t *intent = intent_json(&r->i);

	say(r->who, json_pack("[O, o]", intent, present(r, vc, intent, ch->challenge)));
}

static struct nego_challenge brought(void)
{
	const json_t *next = json_object_get(lab.got.metadata, NEGO_WALLET_EXTENSION);
	struct nego_challenge ch;

	(void)artifact("quote");
	assert_int_equal(nego_read(next, NEGO_CHALLENGE, &nego_challenge_fields, &ch, NULL), 0);
	assert_int_equal(ch.expires.ms, lab_now(NULL).ms + 300000);
	assert_non_null(json_object_get(lab.got.metadata, NEGO_EXTENSION));
	return ch;
}

static void not_admitted(struct road *r, const struct nego_challenge *ch, const char *name)
{
	struct snap s = snap();

	ask_with(r, ch);
	expect(REFUSE_WALLET_CHALLENGE, s, name);
	assert_null(json_object_get(lab.got.metadata, NEGO_WALLET_EXTENSION));
}

/* The answer to an intent whose wallet was admitted brings the next challenge: for this peer and
 * one presentation. */
static void an_answer_brings_the_next_challenge(void **state)
{
	auto_road struct road first = road_new(&lab.ent, HEX), second = road_new(&lab.ent, "0aa");
	auto_road struct road third = road_new(&lab.ent, "0bb"),
			      other = road_new(&lab.other, "0cc");
	struct nego_challenge one, two;

	(void)state;
	ask_quote(&first);
	one = brought();
	ask_with(&second, &one);
	two = brought();
	assert_string_not_equal(one.challenge, two.challenge);
	not_admitted(&third, &one, "used");
	not_admitted(&other, &two, "another peer's");
	ask_with(&third, &two);
	(void)brought();
}

/* The holder's own presentation with a challenge of his own, sent by another peer's hand. */
static void holder_is_the_peer(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	auto_json json_t *vc = wallet_vc_fixture(&r.w, &lab.issuer);
	auto_json json_t *intent = intent_json(&r.i);
	char ch[80];
	struct snap s;

	(void)state;
	challenge(&lab.other, ch);
	s = snap();
	say(&lab.other, json_pack("[O, o]", intent, present(&r, vc, intent, ch)));
	expect(REFUSE_WALLET_HOLDER, s, "holder");
	ask_quote(&r);
	take_quote(&r);
}

/* Both contents are at hand, and each is what its digest says. */
static void evidence(const struct wallet *w)
{
	auto_free char *both = NULL;
	uint8_t seen[2][DIGEST_LEN];

	assert_int_equal(known_evidence(&lab.side, w, &both, NULL), 0);
	assert_int_equal(strlen(both), 4 * DIGEST_LEN + 1);
	for (int i = 0; i < 2; i++) {
		auto_json json_t *vc = NULL;
		struct wallet back;
		digest_t d;

		assert_int_equal(hex_decode(both + i * (2 * DIGEST_LEN + 1), 2 * DIGEST_LEN, d.b,
					    sizeof(d.b)),
				 DIGEST_LEN);
		assert_int_equal(desk_body_get(&lab.side, &d, &vc, NULL), 0);
		assert_int_equal(wallet_verify(vc, &lab.side.keys, &back, seen[i], NULL), 0);
		assert_memory_equal(seen[i], d.b, DIGEST_LEN);
		assert_int_equal(back.generation, w->generation);
	}
	assert_memory_not_equal(seen[0], seen[1], DIGEST_LEN);
}

/* The file convicts the issuer without the operator; bent, or of what is no contradiction, it does
 * not. */
static void evidence_file(void)
{
	static const struct {
		const char *at, *key;
		int code;
		const char *says;
	} rows[] = {
		{ NULL, NULL, 0, "\"says\": \"equivocation\"" },
		{ "shown", "proof", 1, "no wallet" },
		{ NULL, "type", 1, "type" },
		{ NULL, "shown", 1, "type" },
	};
	auto_json json_t *good = NULL, *same = NULL;
	char cmd[200], path[200];

	tool_want(dir, "", "evidence list --state .", 0, "equivocation");
	(void)snprintf(cmd, sizeof(cmd), "mv %s/evidence-*.json %s/e.json", dir, dir);
	assert_int_equal(system(cmd), 0);
	tool_want(dir, "", "evidence show e.json", 0, "equivocation");
	(void)snprintf(path, sizeof(path), "%s/e.json", dir);
	good = json_load_file(path, 0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *x = json_deep_copy(good);
		json_t *in = rows[i].at ? json_object_get(x, rows[i].at) : x;

		if (rows[i].key)
			assert_int_equal(json_object_del(in, rows[i].key), 0);
		assert_int_equal(json_dump_file(x, path, 0), 0);
		tool_want(dir, "", "evidence check e.json", rows[i].code, rows[i].says);
	}
	same = json_deep_copy(good);
	(void)json_object_set(same, "shown", json_object_get(same, "known"));
	assert_int_equal(json_dump_file(same, path, 0), 0);
	tool_want(dir, "", "evidence check e.json", 1, "they are the same");
	(void)json_object_set_new(
		json_object_get(json_object_get(good, "shown"), "credentialSubject"), "ceiling",
		json_integer(1));
	assert_int_equal(json_dump_file(good, path, 0), 0);
	tool_want(dir, "", "evidence check e.json", 1, ""); /* the issuer never signed that */
}

static void generations(void **state)
{
	auto_road struct road r = road_new(&lab.ent, "0a1"), n = road_new(&lab.ent, "0a2"),
			      old = road_new(&lab.ent, "0a3"), fork = road_new(&lab.ent, "0a4"),
			      late = road_new(&lab.ent, "0a5");
	struct snap s;

	(void)state;
	ask_quote(&r);
	take_quote(&r);
	n.w.generation = late.w.generation = 2;
	must_set(n.w.supersedes, r.w.id);
	must_set(n.w.id, "urn:uuid:00000000-0000-4000-8000-000000000002");
	late.w = n.w;
	ask_quote(&n);
	take_quote(&n);
	s = snap();
	ask_quote(&old);
	expect(REFUSE_WALLET_GENERATION, s, "older generation");
	ask_quote(&late);
	take_quote(&late);
	fork.w = n.w;
	fork.w.ceiling.minor += 1000;
	s = snap();
	ask_quote(&fork);
	expect(REFUSE_WALLET_GENERATION, s, "same generation, other content");
	evidence(&n.w);
	evidence_file();
	/* Two contents were seen: now the first one is not believed any more either. */
	n.i = road_new(&lab.ent, "0a6").i;
	s = snap();
	ask_quote(&n);
	expect(REFUSE_WALLET_GENERATION, s, "frozen");
}

/* --- menus and margins ------------------------------------------------------------------------ */

static void counter(struct road *r, int64_t margin, uint32_t round)
{
	struct ev_counter k = { .deal = r->i.negotiation,
				.quote = r->q.id,
				.item = 1,
				.margin = { margin },
				.round = round };

	say(r->who, json_pack("[o]", nego_part(NEGO_COUNTER, &ev_counter_fields, &k)));
}

static void margins_are_bargained(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	int64_t first, second;
	uint8_t digest;
	struct snap s;

	(void)state;
	ask_quote(&r);
	take_quote(&r);
	assert_int_equal(r.q.version, 1);
	first = r.q.item[0].margin.minor_h;
	assert_int_equal(first, 80);
	counter(&r, 0, 1);
	take_quote(&r);
	assert_int_equal(r.q.version, 2);
	second = r.q.item[0].margin.minor_h;
	assert_true(second < first && second > 16);
	digest = r.q.digest.b[0];
	counter(&r, 0, 1); /* the answer was lost: the same again */
	take_quote(&r);
	assert_int_equal(r.q.version, 2);
	assert_int_equal(r.q.digest.b[0], digest);
	counter(&r, second - 1, 2);
	take_quote(&r);
	assert_int_equal(r.q.version, 3);
	for (uint32_t n = 3; n <= QUOTE_ROUNDS_MAX; n++) {
		counter(&r, 0, n);
		take_quote(&r);
	}
	assert_int_equal(r.q.item[0].margin.minor_h, 16);
	s = snap();
	counter(&r, 0, QUOTE_ROUNDS_MAX + 1);
	expect(REFUSE_ROUNDS_EXCEEDED, s, "rounds");
	s = snap();
	counter(&r, 10, QUOTE_ROUNDS_MAX + 9);
	expect(REFUSE_BODY_MALFORMED, s, "round ahead");
	choose(&r, 1);
	send_accept(r.who, &r.a);
	take_agreement(&r);
	lab_restart();
}

static void nothing_for_sale(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);

	(void)state;
	r.i.want.bandwidth.bps = 500000000;
	ask_quote(&r);
	assert_int_equal(problem(), REFUSE_NO_CAPACITY);
	assert_int_equal(deal(&r)->life, LIFE_DECLARED);
	/* The same need is asked again when there is room. */
	lab.side.paths.view[0].capacity.bps = 1000000000;
	ask_quote(&r);
	take_quote(&r);
	assert_int_equal(lab_world()->n_deals, 1);
	lab_restart();
}

static void rejection_gives_back(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	struct ev_ref ref = { .deal = r.i.negotiation };
	struct ledger_hold_row h;

	(void)state;
	ask_quote(&r);
	take_quote(&r);
	choose(&r, 1);
	send_accept(r.who, &r.a);
	take_agreement(&r);
	assert_int_equal(
		ledger_hold_get(lab.store, LEDGER_SHADOW, "agr-" HEX, r.a.hold.s, &h, NULL), 0);
	assert_int_equal(h.state, HOLD_HELD);
	ref.about = r.q.id;
	say(r.who, json_pack("[o]", nego_part(NEGO_REJECT, &ev_ref_fields, &ref)));
	assert_int_equal(lab.got.state, A2A_CANCELED);
	assert_int_equal(
		ledger_hold_get(lab.store, LEDGER_SHADOW, "agr-" HEX, r.a.hold.s, &h, NULL), 0);
	assert_int_equal(h.state, HOLD_RELEASED);
}

/* --- what the log keeps of a decision is enough to decide again --------------------------------
 */

static unsigned repeated;

static void repeat_admit(const json_t *in_js, const json_t *out_js)
{
	struct bss_admit_in in;
	struct bss_admit_out out, was;
	struct err e = { 0 };

	if (noun_decode(&bss_admit_in_fields, in_js, &in, &e) ||
	    noun_decode(&bss_admit_out_fields, out_js, &was, &e))
		fail_msg("admit: %s", e.text);
	assert_string_equal(in.wallet.holder, lab.ent.did);
	bss_admit(&in, &out);
	assert_int_equal(out.refusal, was.refusal);
	assert_int_equal(out.step, was.step);
	assert_string_equal(out.why.s, was.why.s);
	in.facts.vc_signature_ok = false;
	bss_admit(&in, &out);
	assert_int_equal(out.refusal, REFUSE_WALLET_SIGNATURE);
	repeated |= 1;
}

static void repeat_menu(const json_t *in_js, const json_t *out_js)
{
	struct bss_menu_in in;
	struct bss_menu_out out, was;
	struct err e = { 0 };

	if (noun_decode(&bss_menu_in_fields, in_js, &in, &e) ||
	    noun_decode(&bss_menu_out_fields, out_js, &was, &e))
		fail_msg("menu: %s", e.text);
	bss_menu(&in, &out);
	assert_int_equal(out.n_items, was.n_items);
	assert_memory_equal(out.item, was.item, sizeof(out.item));
	repeated |= 2;
}

static int repeat_row(void *arg, const struct store_event *row)
{
	auto_json json_t *js = json_loads(row->body, 0, NULL);
	const json_t *in = json_object_get(json_object_get(js, "inputs"), "in");
	const json_t *out = json_object_get(json_object_get(js, "inputs"), "out");
	const char *core =
		json_string_value(json_object_get(json_object_get(js, "inputs"), "core"));

	(void)arg;
	if (core && !strcmp(core, "bss_admit"))
		repeat_admit(in, out);
	else if (core && !strcmp(core, "bss_menu"))
		repeat_menu(in, out);
	return 0;
}

static void decisions_repeat(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, HEX);

	(void)state;
	assert_int_equal(store_replay(lab.store, 1, repeat_row, NULL, NULL), 0);
	assert_int_equal(repeated, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
		T(happy_road),
		T(wallets_are_refused),
		T(an_answer_brings_the_next_challenge),
		T(holder_is_the_peer),
		T(generations),
		T(margins_are_bargained),
		T(nothing_for_sale),
		T(rejection_gives_back),
		T(decisions_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
