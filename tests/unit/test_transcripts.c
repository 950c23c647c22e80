/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile transcripts against the operator's real wire code: smuggled, replayed, reordered and
 * crossed messages, bent envelopes, prices that change at the confirmation, and orders to a machine
 * in every place where text may stand. After each case the world and every table of the database
 * but the log are what they were, byte by byte; after each group the honest message goes through.
 */
#include "transcript_lab.h"

/* --- bent envelopes -----------------------------------------------------------------------------
 */

/* Steals value. */
static void with_member(const struct message *m, const struct still *before, const char *key,
			json_t *value, const char *what)
{
	struct message bent = *m;
	json_t *env;

	bent.metadata = json_deep_copy(m->metadata);
	env = json_object_get(bent.metadata, NEGO_EXTENSION);
	if (value)
		(void)json_object_set_new(env, key, value);
	else
		(void)json_object_del(env, key);
	(void)snprintf(bent.id, sizeof(bent.id), "e-%u", cases);
	hostile(&bent, before, true, what);
	json_decref(bent.metadata);
}

/* checked: the step's round is part of the binding. */
static void bend(const struct message *m, const struct road *other, bool checked)
{
	static const char *const members[] = { "negotiationId", "round", "role", "status",
					       "previousDigest" };
	struct still before = still_of(lab_world(), dir);
	const json_t *env = json_object_get(m->metadata, NEGO_EXTENSION);
	const json_t *digest = json_object_get(env, "previousDigest");
	int64_t round = json_integer_value(json_object_get(env, "round"));
	const int64_t rounds[] = { 0, round + 1, round + 2, 250, 4294967295 };

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		with_member(m, &before, members[i], NULL, "member missing");
		with_member(m, &before, members[i], json_null(), "member null");
		with_member(m, &before, members[i], json_array(), "member an array");
		with_member(m, &before, "x", json_string(members[i]), "unknown member");
	}
	with_member(m, &before, "negotiationId", json_string(other->i.negotiation.s), "crossed");
	with_member(m, &before, "negotiationId", json_string(""), "of nothing");
	with_member(m, &before, "role", json_string("server"), "role");
	for (size_t i = checked ? 0 : ARRAY_LEN(rounds); i < ARRAY_LEN(rounds); i++)
		with_member(m, &before, "round", json_integer(rounds[i]), "round");
	for (size_t i = 0; i < strlen(json_string_value(digest)); i += 3) {
		auto_free char *text = strdup(json_string_value(digest));

		text[i] = text[i] == 'a' || text[i] == '0' ? 'b' : '0';
		if (strcmp(text, json_string_value(digest)) != 0)
			with_member(m, &before, "previousDigest", json_string(text), "digest");
	}
	for (size_t i = 0; i < ARRAY_LEN(orders); i++)
		with_member(m, &before, "negotiationId", json_string(orders[i]), "order in the id");
	still_free(&before);
}

static void envelopes_are_bound(void **state)
{
	auto_road struct road rival = to_quote(&lab.other, "b1"), a = to_quote(&lab.ent, "a1");
	auto_message struct message counter = counter_of(&a);

	(void)state;
	bend(&counter, &rival, true);
	honest(&counter);
	a.q = deal(&a)->quote;
	choose(&a, item_on(&a, 1));
	{
		auto_message struct message accept = accept_of(&a, &a.a);

		bend(&accept, &rival, true);
		honest(&accept);
	}
}

static void envelopes_to_the_end(void **state)
{
	auto_road struct road rival = to_quote(&lab.other, "b1"), a = to_agreement(&lab.ent, "a1");
	auto_message struct message settle = acceptance_msg(&a);

	(void)state;
	bend(&settle, &rival, false);
	honest(&settle);
}

static void envelopes_of_a_no(void **state)
{
	auto_road struct road rival = to_quote(&lab.other, "b1"), a = to_quote(&lab.ent, "a1");
	auto_message struct message no = reject_of(&a);

	(void)state;
	bend(&no, &rival, true);
	send_message(&no);
	assert_null(refusal_in(got.json));
}

/* --- replays and order --------------------------------------------------------------------------
 */

/* The same bytes again; under a new id; from another peer under both. */
static void replay(const struct message *m, const char *what)
{
	struct still before = still_of(lab_world(), dir);
	struct message again = *m;

	hostile(&again, &before, false, what);
	again.from = &lab.other;
	hostile(&again, &before, true, what);
	(void)snprintf(again.id, sizeof(again.id), "r-%u", cases);
	hostile(&again, &before, true, what);
	again.from = &lab.stranger;
	hostile(&again, &before, true, what);
	again.from = m->from;
	(void)snprintf(again.id, sizeof(again.id), "r-%u", cases);
	hostile(&again, &before, false, what);
	still_free(&before);
}

static void replays_do_nothing(void **state)
{
	auto_road struct road a = road_new(&lab.ent, "a1");
	auto_json json_t *vc = wallet_vc_fixture(&a.w, &lab.issuer), *intent = intent_json(&a.i);
	char ch[80];
	struct message said[3];

	(void)state;
	challenge(&lab.ent, ch);
	said[0] = message(&lab.ent, json_pack("[O, o]", intent, present(&a, vc, intent, ch)),
			  envelope(&a, 1, NULL));
	honest(&said[0]);
	replay(&said[0], "intent");
	a.q = deal(&a)->quote;
	choose(&a, item_on(&a, 1));
	said[1] = accept_of(&a, &a.a);
	honest(&said[1]);
	for (size_t i = 0; i < 2; i++)
		replay(&said[i], "before the acceptance");
	send_accept(&lab.ent, &a.a); /* a repeat: the agreement again */
	take_agreement(&a);
	said[2] = acceptance_msg(&a);
	send_message(&said[2]); /* is answered when the service runs */
	for (size_t i = 0; i < 2; i++)
		replay(&said[i], "before the service");
	oss_active(&a);
	for (size_t i = 0; i < 3; i++)
		replay(&said[i], "in life");
	for (size_t i = 0; i < 3; i++)
		message_free(&said[i]);
}

static void order_is_kept(void **state)
{
	auto_road struct road a = to_quote(&lab.ent, "a1");
	struct road none = road_new(&lab.ent, "c1");
	struct still before = still_of(lab_world(), dir);
	struct message m[8];
	size_t n = 0;

	(void)state;
	none.q = a.q;
	none.a = a.a;
	none.a.deal = none.i.negotiation;
	must_set(a.t.lineage, "agr-a1");
	must_set(a.t.hold_id, a.a.hold.s);
	a.t.revision = 1;
	m[n++] = accept_of(&none, &none.a); /* no intent before it */
	m[n++] = counter_of(&none);
	m[n++] = reject_of(&none);
	m[n++] = acceptance_msg(&a); /* no agreement before it */
	for (size_t i = 0; i < n; i++) {
		hostile(&m[i], &before, true, "too early");
		message_free(&m[i]);
	}
	still_free(&before);
	send_accept(&lab.ent, &a.a);
	take_agreement(&a);
	before = still_of(lab_world(), dir);
	m[0] = counter_of(&a); /* chosen already */
	hostile(&m[0], &before, true, "too late");
	message_free(&m[0]);
	still_free(&before);
	m[0] = acceptance_msg(&a);
	honest(&m[0]);
	message_free(&m[0]);
}

/* --- one negotiation's facts in another ---------------------------------------------------------
 */

static void facts_are_not_crossed(void **state)
{
	auto_road struct road rival = to_quote(&lab.other, "b1"), a = to_quote(&lab.ent, "a1");
	struct still before = still_of(lab_world(), dir);
	auto_message struct message twin = accept_of(&a, &a.a);

	(void)state;
	for (unsigned bits = 1; bits < 64; bits++) {
		struct ev_accept x = a.a;
		struct message m;

		if (bits & 1)
			x.deal = rival.a.deal;
		if (bits & 2)
			x.quote = rival.a.quote;
		if (bits & 4)
			x.quote_digest = rival.a.quote_digest;
		if (bits & 8)
			x.hold = rival.a.hold;
		if (bits & 16)
			x.wallet = rival.a.wallet;
		if (bits & 32)
			x.item = 6;
		m = accept_of(&a, &x);
		hostile(&m, &before, true, "crossed accept");
		json_decref(m.metadata);
		m.metadata = NULL; /* also by what it says alone */
		(void)snprintf(m.id, sizeof(m.id), "c-%u", bits);
		hostile(&m, &before, true, "crossed accept without envelope");
		message_free(&m);
	}
	still_free(&before);
	honest(&twin);
}

/* --- another price at the confirmation ----------------------------------------------------------
 */

static void r_less(struct acceptance *a, struct receipt *r)
{
	(void)a;
	r->amount.minor--;
}

static void r_more(struct acceptance *a, struct receipt *r)
{
	(void)a;
	r->amount.minor++;
	r->cumulative_after.minor++;
}

static void r_one(struct acceptance *a, struct receipt *r)
{
	(void)a;
	r->amount.minor = 1;
	r->cumulative_after.minor = 1;
}

static void r_sum(struct acceptance *a, struct receipt *r)
{
	(void)a;
	r->cumulative_after.minor += 100;
}

static void r_currency(struct acceptance *a, struct receipt *r)
{
	(void)a;
	must_set(r->currency, "JPY");
}

static void r_wallet(struct acceptance *a, struct receipt *r)
{
	(void)a;
	must_set(r->wallet_id, "urn:uuid:00000000-0000-4000-8000-0000000000cc");
}

static void r_hold(struct acceptance *a, struct receipt *r)
{
	(void)a;
	r->hold_id[5] ^= 1;
}

static void r_rev(struct acceptance *a, struct receipt *r)
{
	a->revision++;
	r->revision++;
}

static void r_lineage(struct acceptance *a, struct receipt *r)
{
	must_set(a->lineage, "agr-b1");
	must_set(r->lineage, "agr-b1");
}

static void r_digest(struct acceptance *a, struct receipt *r)
{
	(void)r;
	a->agreement_digest[7] ^= 1;
}

static void r_previous(struct acceptance *a, struct receipt *r)
{
	(void)a;
	r->has_previous = true;
	r->previous[0] ^= 1;
}

static void the_price_stays(void **state)
{
	static void (*const edits[])(struct acceptance * a, struct receipt * r) = {
		r_less, r_more, r_one,     r_sum,    r_currency, r_wallet,
		r_hold, r_rev,  r_lineage, r_digest, r_previous,
	};
	auto_road struct road a = to_agreement(&lab.ent, "a1");
	auto_message struct message twin = acceptance_msg(&a);
	struct still before = still_of(lab_world(), dir);
	struct acceptance acc;
	struct receipt rc;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edits); i++)
		for (int bare = 0; bare < 2; bare++) {
			struct message m;

			acceptance_of(&a, &acc, &rc);
			edits[i](&acc, &rc);
			m = settle_of(&a, &acc, &rc);
			if (bare) {
				json_decref(m.metadata);
				m.metadata = NULL;
			}
			hostile(&m, &before, true, "confirmation");
			message_free(&m);
		}
	still_free(&before);
	honest(&twin);
}

/* --- orders to a machine ------------------------------------------------------------------------
 */

/* Each string below node in turn gives way to each order. */
static void inject(struct message *m, json_t *node, const struct still *before)
{
	const char *key;
	json_t *v;
	void *tmp;
	size_t k;

	json_object_foreach_safe(node, tmp, key, v)
	{
		json_t *old = json_incref(v);

		for (size_t i = 0; json_is_string(old) && i < ARRAY_LEN(orders); i++) {
			if (!strcmp(key, "why"))
				break; /* free text by its kind: the next test */
			json_object_set_new(node, key, json_string(orders[i]));
			(void)snprintf(m->id, sizeof(m->id), "i-%u", cases);
			hostile(m, before, true, key);
			json_object_set(node, key, old);
		}
		inject(m, old, before);
		json_decref(old);
	}
	json_array_foreach (node, k, v)
		inject(m, v, before);
}

static void orders_are_no_names(void **state)
{
	auto_road struct road a = to_quote(&lab.ent, "a1");
	struct still before = still_of(lab_world(), dir);
	auto_message struct message accept = accept_of(&a, &a.a), no = reject_of(&a),
				    counter = counter_of(&a);
	struct message *const all[] = { &accept, &no, &counter };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		inject(all[i], all[i]->parts, &before);
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		auto_message struct message m =
			message(&lab.ent, json_pack("[{s:s}]", "note", orders[i]), NULL);

		m.text = orders[i];
		hostile(&m, &before, true, "an order alone");
	}
	still_free(&before);
	(void)snprintf(accept.id, sizeof(accept.id), "twin");
	honest(&accept);
}

/* Text that is free by its kind: the same numbers come out as without it. */
static void orders_change_no_number(void **state)
{
	struct agreement plain = { 0 };

	(void)state;
	for (size_t i = 0; i <= ARRAY_LEN(orders); i++) {
		const char *order = i ? orders[i - 1] : NULL;
		char hex[8];
		auto_road struct road r = { 0 };
		auto_message struct message m = { 0 };
		struct agreement got_terms;

		if (i) {
			lab_teardown(NULL);
			lab_setup(state);
		}
		(void)snprintf(hex, sizeof(hex), "d1");
		r = to_quote(&lab.ent, hex);
		if (order)
			str_cut(r.a.why.s, order);
		m = accept_of(&r, &r.a);
		m.text = order;
		honest(&m);
		got_terms = deal(&r)->pending;
		if (!i)
			plain = got_terms;
		cases += i != 0;
		assert_int_equal(got_terms.price.minor_h, plain.price.minor_h);
		assert_int_equal(got_terms.amount.minor, plain.amount.minor);
		assert_int_equal(got_terms.label, plain.label);
		assert_int_equal(got_terms.rev, 1);
		assert_memory_equal(&got_terms.g, &plain.g, sizeof(plain.g));
		assert_int_equal(lab_world()->n_deals, 1);
	}
}

static int group_teardown(void **state)
{
	(void)state;
	free(got.body);
	json_decref(got.json);
	printf("transcripts: %u hostile, none changed the state\n", cases);
	return cases >= 200 ? 0 : -1;
}

#define IN_LAB(t) cmocka_unit_test_setup_teardown(t, lab_setup, lab_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(envelopes_are_bound),     IN_LAB(envelopes_to_the_end),
		IN_LAB(envelopes_of_a_no),       IN_LAB(replays_do_nothing),
		IN_LAB(order_is_kept),           IN_LAB(facts_are_not_crossed),
		IN_LAB(the_price_stays),         IN_LAB(orders_are_no_names),
		IN_LAB(orders_change_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, group_teardown);
}
