/* SPDX-License-Identifier: Apache-2.0 */
/* Every message kind that the operator takes, mutated (foreign.h); then the unmutated twin. */
#include "bss_road.h"
#include "foreign.h"

struct post {
	const char *kind;
	const struct party *from;
	json_t *first, *last; /* parts before and behind the mutated one, borrowed */
	struct still before;
	const struct road *resign; /* each mutant of an intent gets a presentation of its own */
	const char *challenge;
};

static struct {
	char *body;
	unsigned replies;
} got;

static void on_raw(void *to, const struct wire_response *r)
{
	(void)to;
	free(got.body);
	got.body = strndup(r->body ? r->body : "", r->len);
	got.replies++;
}

/* The server, with the mutant's bytes in the place of "@@PART". */
static void post_bytes(const struct party *from, json_t *parts, const char *text)
{
	static unsigned n;
	char id[32];
	struct a2a_send m = { .message_id = id, .data = parts, .extension = NEGO_EXTENSION };
	struct wire_header h[3];
	struct peer p = { .name = "ent" };
	struct wire_request r = { .method = "POST",
				  .path = "/a2a",
				  .query = "",
				  .headers = h,
				  .nheaders = a2a_client_headers(h, NEGO_EXTENSION),
				  .peer = &p };
	char *body;

	(void)snprintf(id, sizeof(id), "f-%u", ++n);
	body = foreign_splice(a2a_build_send(&m, ++lab.rpc), "\"@@PART\"", text);
	must_set(p.did, from->did);
	r.body = body;
	r.len = strlen(body);
	got.replies = 0;
	a2a_server_handle(lab.side.a2a, &r, (struct wire_sink){ .fn = on_raw });
	lab_turn();
	free(body);
}

/* A presentation that is bound to this very mutant, so that only the intent itself is at fault. */
static json_t *bound_to(const struct post *x, const char *text)
{
	auto_json json_t *intent = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *vc = NULL;
	uint8_t digest[DIGEST_LEN];

	if (!json_is_object(intent) || canon_sha256(intent, digest, NULL))
		return json_incref(x->last);
	vc = wallet_vc_fixture(&x->resign->w, &lab.issuer);
	return present(x->resign, vc, intent, x->challenge);
}

static void on_mutant(void *arg, const char *what, const char *text)
{
	struct post *x = arg;
	auto_json json_t *parts = json_array(), *answer = NULL;
	const char *why, *broken;

	if (x->first)
		json_array_append(parts, x->first);
	json_array_append_new(parts, json_string("@@PART"));
	if (x->last)
		json_array_append_new(parts, x->resign ? bound_to(x, text) : json_incref(x->last));
	post_bytes(x->from, parts, text);
	if (got.replies != 1) {
		wrong(x->kind, what, "silence", NULL);
		return;
	}
	answer = json_loads(got.body, 0, NULL);
	why = refusal_in(answer);
	if (!why)
		wrong(x->kind, what, "not refused", got.body);
	else if (!names_rule(why))
		wrong(x->kind, what, "names nothing", why);
	broken = still_broken(&x->before, lab_world(), dir);
	if (!broken)
		return;
	wrong(x->kind, what, broken, why);
	still_free(&x->before); /* one finding, not one for each that follows */
	x->before = still_of(lab_world(), dir);
}

/* doc is stolen. */
static void mutate_part(struct post *x, const char *kind, json_t *doc, const char *const *legal)
{
	struct mutants m = { .root = doc, .skip = legal, .fn = on_mutant, .arg = x };

	x->kind = kind;
	x->before = still_of(lab_world(), dir);
	mutate_root(&m);
	mutate(&m, doc, "");
	still_free(&x->before);
	json_decref(m.root);
	foreign_done(kind, m.n, 15);
}

static void test_challenge_request(void **state)
{
	struct post x = { .from = &lab.ent };
	char ch[80];

	(void)state;
	mutate_part(&x, NEGO_CHALLENGE_REQUEST, nego_part(NEGO_CHALLENGE_REQUEST, NULL, NULL),
		    NULL);
	challenge(&lab.ent, ch);
}

static void test_intent(void **state)
{
	struct road r = road_new(&lab.ent, "a1");
	auto_json json_t *vc = wallet_vc_fixture(&r.w, &lab.issuer), *intent = intent_json(&r.i);
	struct post x = { .from = &lab.ent, .resign = &r };
	char ch[80];
	auto_json json_t *vp = NULL;

	(void)state;
	challenge(&lab.ent, ch);
	vp = present(&r, vc, intent, ch);
	x.last = vp;
	x.challenge = ch;
	mutate_part(&x, "Intent", json_deep_copy(intent), NULL);
	say(&lab.ent, json_pack("[O, O]", intent, vp));
	take_quote(&r);
}

static void test_presentation(void **state)
{
	struct road r = road_new(&lab.ent, "a1");
	auto_json json_t *vc = wallet_vc_fixture(&r.w, &lab.issuer), *intent = intent_json(&r.i);
	auto_json json_t *vp = NULL;
	struct post x = { .from = &lab.ent, .first = intent };
	char ch[80];

	(void)state;
	challenge(&lab.ent, ch);
	vp = present(&r, vc, intent, ch);
	mutate_part(&x, "VerifiablePresentation", json_deep_copy(vp), NULL);
	say(&lab.ent, json_pack("[O, O]", intent, vp));
	take_quote(&r);
}

static void test_accept(void **state)
{
	static const char *const legal[] = { "why empty", NULL };
	struct road r = road_new(&lab.ent, "a1");
	struct post x = { .from = &lab.ent };

	(void)state;
	ask_quote(&r);
	take_quote(&r);
	choose(&r, item_on(&r, 1));
	mutate_part(&x, NEGO_ACCEPT, nego_part(NEGO_ACCEPT, &ev_accept_fields, &r.a), legal);
	send_accept(&lab.ent, &r.a);
	take_agreement(&r);
	road_free(&r);
}

static void test_counter(void **state)
{
	static const char *const legal[] = { "why empty", NULL };
	struct road r = road_new(&lab.ent, "a1");
	struct post x = { .from = &lab.ent };
	struct ev_counter c;

	(void)state;
	ask_quote(&r);
	take_quote(&r);
	c = (struct ev_counter){
		.deal = r.i.negotiation, .quote = r.q.id, .item = 1, .margin = { 20 }, .round = 1
	};
	mutate_part(&x, NEGO_COUNTER, nego_part(NEGO_COUNTER, &ev_counter_fields, &c), legal);
	say(&lab.ent, json_pack("[o]", nego_part(NEGO_COUNTER, &ev_counter_fields, &c)));
	take_quote(&r);
	assert_int_equal(r.q.version, 2);
}

static void test_reject(void **state)
{
	static const char *const legal[] = { "why empty", NULL };
	struct road r = road_new(&lab.ent, "a1");
	struct post x = { .from = &lab.ent };
	struct ev_ref ref;

	(void)state;
	ask_quote(&r);
	take_quote(&r);
	ref = (struct ev_ref){ .deal = r.i.negotiation, .about = r.q.id };
	mutate_part(&x, NEGO_REJECT, nego_part(NEGO_REJECT, &ev_ref_fields, &ref), legal);
	say(&lab.ent, json_pack("[o]", nego_part(NEGO_REJECT, &ev_ref_fields, &ref)));
	assert_int_equal(lab.got.state, A2A_CANCELED);
}

static void test_settlement(void **state)
{
	struct road r = road_new(&lab.ent, "a1");
	struct post x = { .from = &lab.ent };
	struct acceptance acc;
	struct receipt rc;
	auto_json json_t *a = NULL, *b = NULL;

	(void)state;
	ask_quote(&r);
	take_quote(&r);
	choose(&r, item_on(&r, 1));
	send_accept(&lab.ent, &r.a);
	take_agreement(&r);
	acceptance_of(&r, &acc, &rc);
	assert_int_equal(acceptance_issue(&acc, NULL, &lab.ent.port, &a, NULL), 0);
	assert_int_equal(receipt_issue(&rc, &lab.ent.port, &b, NULL), 0);
	x.last = b;
	mutate_part(&x, "AcceptanceCredential", json_deep_copy(a), NULL);
	x.last = NULL;
	x.first = a;
	mutate_part(&x, "DebitReceipt", json_deep_copy(b), NULL);
	say(&lab.ent, json_pack("[O, O]", a, b));
	oss_active(&r);
	(void)artifact("service");
	road_free(&r);
}

static void test_termination(void **state)
{
	static const char *const legal[] = { "why empty", NULL };
	struct road r = whole_road(&lab.ent, "a1");
	struct post x = { .from = &lab.ent };
	struct ev_ref ref = { .rev = 1 };

	(void)state;
	must_set(ref.deal.s, r.t.lineage);
	must_set(ref.about.s, r.t.lineage);
	mutate_part(&x, NEGO_TERMINATE, nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref), legal);
	say(&lab.ent, json_pack("[o]", nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref)));
	assert_int_equal(deal(&r)->life, LIFE_TERMINATED);
	road_free(&r);
}

static int group_teardown(void **state)
{
	(void)state;
	free(got.body);
	printf("foreign: %u cases for the operator\n", foreign_total);
	return 0;
}

#define IN_LAB(t) cmocka_unit_test_setup_teardown(t, lab_setup, lab_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(test_challenge_request), IN_LAB(test_intent),
		IN_LAB(test_presentation),      IN_LAB(test_accept),
		IN_LAB(test_counter),           IN_LAB(test_reject),
		IN_LAB(test_settlement),        IN_LAB(test_termination),
	};

	return cmocka_run_group_tests(tests, NULL, group_teardown);
}
