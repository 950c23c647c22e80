/* SPDX-License-Identifier: Apache-2.0 */
/* Every message and answer that the enterprise takes, and its own tools over MCP, mutated
 * (foreign.h); then the unmutated twin. */
#include "tests/unit/ent_lab.h"

#include "agent/codec/noun.h"
#include "agent/mcp_table.h"
#include "tests/unit/foreign.h"

static struct a2a_server *ours;
static struct mcp_server *mcp;
static struct {
	char *body;
	unsigned replies;
} got;

struct inbound {
	const char *kind;
	bool tool; /* over MCP */
	struct still before;
};

static void on_raw(void *to, const struct wire_response *r)
{
	(void)to;
	free(got.body);
	got.body = strndup(r->body ? r->body : "", r->len);
	got.replies++;
}

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	return ent_message(arg, p, m, t);
}

static void serve(void)
{
	static const char *const skills[] = { "renegotiate", "takes offers", NULL };
	const struct a2a_app app = { .on_message = on_message, .arg = &lab.side };
	const struct a2a_config c = { .path = "/a2a",
				      .url = "https://edge.example/a2a",
				      .name = "edge",
				      .description = "the enterprise",
				      .version = "1",
				      .extension = NEGO_EXTENSION,
				      .extension_description = "negotiation",
				      .extension_required = true,
				      .skills = skills,
				      .now = lab_now };

	assert_int_equal(a2a_server_new(&ours, &c, &app, NULL), 0);
	assert_int_equal(mcp_table_serve(&lab.side, NULL, &mcp, NULL), 0);
}

static void post_bytes(const char *text)
{
	static unsigned n;
	char id[32];
	auto_json json_t *parts = json_pack("[s]", "@@PART");
	struct a2a_send m = { .message_id = id, .data = parts, .extension = NEGO_EXTENSION };
	struct wire_header h[3];
	struct peer p = { 0 };
	struct wire_request rq = { .method = "POST",
				   .path = "/a2a",
				   .query = "",
				   .headers = h,
				   .nheaders = a2a_client_headers(h, NEGO_EXTENSION),
				   .peer = &p };
	char *body;

	(void)snprintf(id, sizeof(id), "f-%u", ++n);
	body = foreign_splice(a2a_build_send(&m, 1), "\"@@PART\"", text);
	str_cut(p.did, op.key.did);
	rq.body = body;
	rq.len = strlen(body);
	a2a_server_handle(ours, &rq, (struct wire_sink){ .fn = on_raw });
	free(body);
}

static json_t *say(const struct inbound *x, const char *text)
{
	got.replies = 0;
	if (x->tool)
		foreign_mcp(mcp, x->kind, text, (struct wire_sink){ .fn = on_raw });
	else
		post_bytes(text);
	assert_int_equal(engine_turn(lab.side.engine), 0);
	return got.replies == 1 ? json_loads(got.body, 0, NULL) : NULL;
}

static void on_mutant(void *arg, const char *what, const char *text)
{
	struct inbound *x = arg;
	auto_json json_t *answer = say(x, text);
	const char *why = refusal_in(answer), *broken = still_broken(&x->before, lab_world(), dir);

	if (!answer)
		wrong(x->kind, what, "silence", NULL);
	else if (!why)
		wrong(x->kind, what, "not refused", got.body);
	else if (!names_rule(why))
		wrong(x->kind, what, "names nothing", why);
	if (!broken)
		return;
	wrong(x->kind, what, broken, why);
	still_free(&x->before);
	x->before = still_of(lab_world(), dir);
}

/* doc is stolen; afterwards it is said as it is, and must be taken. */
static void mutate_inbound(const char *kind, bool tool, json_t *doc, const char *const *legal)
{
	struct inbound x = { .kind = kind, .tool = tool, .before = still_of(lab_world(), dir) };
	struct mutants m = { .root = doc, .skip = legal, .fn = on_mutant, .arg = &x };
	auto_free char *text = json_dumps(doc, JSON_COMPACT);
	auto_json json_t *answer = NULL;

	mutate_root(&m);
	mutate(&m, doc, "");
	still_free(&x.before);
	foreign_done(kind, m.n, 20);
	answer = say(&x, text);
	if (!answer || refusal_in(answer) || json_object_get(answer, "error"))
		fail_msg("%s: the twin: %s", kind, got.body);
	json_decref(m.root);
}

static void first_agreement(void)
{
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	serve();
}

static bool over(void)
{
	return lab_world()->n_deals && (lab_settled() || lab_ended());
}

static bool second_revision(void)
{
	return lab_deal(0)->cur.rev == 2 && lab_deal(0)->active;
}

static void test_offer(void **state)
{
	static const char *const legal[] = { "quoteItem[1] missing", NULL }; /* a shorter menu */
	struct op_deal *d = &op.deal[0];

	(void)state;
	first_agreement();
	op_quote(d, QUOTE_STEP_UP);
	d->q.item[0].scarcity.minor_h = 150000;
	mutate_inbound("Quote", false, op_quote_body(d), legal);
	assert_true(lab_run(second_revision, 30));
}

static void test_end(void **state)
{
	static const char *const legal[] = { "why empty", NULL };
	struct ev_ref ref = { .rev = 1 };

	(void)state;
	first_agreement();
	ref.deal = ref.about = lab_deal(0)->cur.lineage;
	mutate_inbound(NEGO_TERMINATE, false, nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref),
		       legal);
	assert_int_equal(lab_deal(0)->life, LIFE_TERMINATED);
}

static void test_declare(void **state)
{
	static const char *const class_legal[] = { "bandwidthBps missing", "latencyMicros missing",
						   "availabilityPpm missing", NULL };
	static const char *const noun_legal[] = {
		"intent.id empty",          "intent.lineage empty",     "intent.flow empty",
		"intent.declared negative", "intent.negotiation empty", NULL
	};
	const struct tmf_parties who = { { "edge" }, { "op" }, 2 };
	struct intent i = { .source = INTENT_POSTED, .declared = NOW, .term_ms = 1800000 };
	json_t *body = NULL;

	(void)state;
	serve();
	assert_false(lab_run(over, 1));
	must_set(i.id.s, "int-theirs");
	must_set(i.negotiation.s, "neg-theirs");
	must_set(i.class_name.s, "bulk-transfer");
	must_set(i.flow.s, "backup");
	i.want = (struct grades){ { 5000000 }, { 30000 }, { 999900 } };
	assert_int_equal(tmf921_write(&i, &who, &body, NULL), 0);
	mutate_inbound("intent_declare", true,
		       json_pack("{s:s, s:i, s:i, s:i}", "class", "market-data", "bandwidthBps",
				 15000000, "latencyMicros", 30000, "availabilityPpm", 999000),
		       class_legal);
	mutate_inbound("intent_declare", true, json_pack("{s:o}", "intent", body), NULL);
	mutate_inbound("intent_declare", true,
		       json_pack("{s:o}", "intent", noun_encode(&intent_fields, &i)), noun_legal);
	assert_int_equal(lab_world()->n_deals, 3);
}

static void test_wallet(void **state)
{
	struct wallet w;

	(void)state;
	first_agreement();
	w = lab.wallet;
	must_set(w.id, "urn:uuid:00000000-0000-4000-8000-000000000002");
	must_set(w.supersedes, lab.wallet.id);
	w.generation = 2;
	mutate_inbound("wallet_load", true,
		       json_pack("{s:o}", "credential", wallet_vc_fixture(&w, &lab.wallet_key)),
		       NULL);
	assert_int_equal(lab_purse().generation, 2);
}

/* --- answers ----------------------------------------------------------------------------------
 *
 * An answer is refused by ending the negotiation with the reason, the held money given back; or,
 * where the answer cannot be read at all or is no more than a confirmation, by asking again. */

static struct {
	const char *artifact; /* NULL = the status message's part */
	unsigned want, at, done;
	char what[300];
	char *text;
} bend;

static void pick(void *arg, const char *what, const char *text)
{
	(void)arg;
	if (bend.at++ != bend.want)
		return;
	str_cut(bend.what, what);
	bend.text = strdup(text);
}

/* Where the document is in the answer; NULL when this answer has none. */
static json_t *place_of(json_t *root)
{
	json_t *task = json_object_get(json_object_get(root, "result"), "task"), *a, *in = NULL;
	const json_t *list = json_object_get(task, "artifacts");
	size_t i;

	if (!bend.artifact)
		in = json_object_get(json_object_get(task, "status"), "message");
	json_array_foreach (list, i, a)
		if (bend.artifact &&
		    !strcmp(json_string_value(json_object_get(a, "name")), bend.artifact))
			in = a;
	return json_array_get(json_object_get(in, "parts"), 0);
}

static char *bent(const char *body)
{
	auto_json json_t *root = json_loads(body, 0, NULL), *doc = NULL;
	json_t *part = place_of(root);
	/* A menu of fewer items is one, but not what this operator has written down. */
	static const char *const menu[] = { "quoteItem[1] missing", NULL };
	static const char *const problem[] = { "deal empty", "title empty", NULL };
	struct mutants m = { .skip = bend.artifact ? menu : problem, .fn = pick };
	char *out;

	if (!part || bend.done)
		return NULL;
	doc = json_deep_copy(json_object_get(part, "data"));
	if (!doc)
		return NULL;
	m.root = doc;
	bend.at = 0;
	mutate_root(&m);
	mutate(&m, doc, "");
	if (!bend.text)
		return NULL; /* there is no such mutant any more */
	bend.done = 1;
	json_object_set_new(part, "data", json_string("@@PART"));
	out = foreign_splice(json_dumps(root, JSON_COMPACT), "\"@@PART\"", bend.text);
	free(bend.text);
	bend.text = NULL;
	return out;
}

/* The text of the log's last refusal. */
static void last_refusal(char *out, size_t cap)
{
	out[0] = '\0';
	for (uint64_t seq = store_durable(lab.store); seq && !*out; seq--) {
		auto_free char *body = NULL;
		auto_json json_t *js = NULL;
		const json_t *why;
		size_t len;

		assert_int_equal(store_get(lab.store, seq, &body, &len, NULL), 0);
		js = json_loadb(body, len, 0, NULL);
		why = json_object_get(json_object_get(js, "output"), "why");
		if (!strcmp(json_string_value(json_object_get(js, "event")),
			    event_name(EV_REFUSED)))
			(void)snprintf(out, cap, "%s", json_string_value(why));
	}
}

/* One negotiation whose answer is the mutant of that number; false when there are no more. */
static bool one_answer(const char *kind, unsigned number)
{
	static char why[400];
	const struct deal *d;
	struct ledger_wallet w;
	bool ended, said;

	bend.want = number;
	bend.done = 0;
	lab_bend = bent;
	lab_declare("market-data", 0);
	said = lab_run(over, 120);
	lab_bend = NULL;
	if (!bend.done)
		return false;
	d = lab_deal(0);
	w = lab_purse();
	ended = d->life == LIFE_TERMINATED;
	last_refusal(why, sizeof(why));
	if (!said)
		wrong(kind, bend.what, "hangs", why);
	else if (ended && (w.held.minor || w.captured.minor || d->cur.rev))
		wrong(kind, bend.what, "money moved", why);
	else if (ended && !strcmp(why, "as the script says") && lab.n_calls > 2)
		return true; /* asked again, and told the twin */
	else if (ended && !names_rule(why))
		wrong(kind, bend.what, "names nothing", why);
	else if (!ended && lab.n_calls <= 4)
		wrong(kind, bend.what, "taken", why);
	else if (!ended && (w.held.minor || w.captured.minor != 140000))
		wrong(kind, bend.what, "another sum", why);
	return true;
}

/* Each in a world of its own; of a long list every step-th. */
static void mutate_answer(const char *kind, const char *name, unsigned step, enum refusal no)
{
	unsigned n = 0;

	log_init("test", LOG_LEVEL_ERROR);
	bend.artifact = name;
	for (bool more = true; more; n++) {
		assert_int_equal(lab_setup(NULL), 0);
		op.refuse_intent = no;
		more = one_answer(kind, n * step);
		assert_int_equal(lab_teardown(NULL), 0);
	}
	foreign_done(kind, n - 1, 20);
	assert_int_equal(lab_setup(NULL), 0); /* the twin */
	op.refuse_intent = no;
	lab_declare("market-data", 0);
	assert_true(lab_run(over, 30));
	assert_int_equal(lab_deal(0)->life, no ? LIFE_TERMINATED : LIFE_PROVISIONED);
	assert_int_equal(lab.n_calls, no ? 2 : 4);
	assert_int_equal(lab_teardown(NULL), 0);
}

static void test_quote_answer(void **state)
{
	(void)state;
	mutate_answer("Quote (answer)", "quote", 17, REFUSE_NONE);
}

static void test_agreement_answer(void **state)
{
	(void)state;
	mutate_answer("AgreementCredential", "agreement", 23, REFUSE_NONE);
}

static void test_service_answer(void **state)
{
	(void)state;
	mutate_answer("Service", "service", 7, REFUSE_NONE);
}

static void test_problem_answer(void **state)
{
	(void)state;
	mutate_answer("Problem", NULL, 1, REFUSE_WALLET_POLICY);
}

static int teardown(void **state)
{
	ours = a2a_server_free(ours);
	mcp = mcp_server_free(mcp);
	return lab_teardown(state);
}

static int group_teardown(void **state)
{
	(void)state;
	free(got.body);
	printf("foreign: %u cases for the enterprise\n", foreign_total);
	return 0;
}

#define IN_LAB(t) cmocka_unit_test_setup_teardown(t, lab_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(test_offer),
		IN_LAB(test_end),
		IN_LAB(test_declare),
		IN_LAB(test_wallet),
		cmocka_unit_test(test_problem_answer),
		cmocka_unit_test(test_quote_answer),
		cmocka_unit_test(test_agreement_answer),
		cmocka_unit_test(test_service_answer),
	};

	return cmocka_run_group_tests(tests, NULL, group_teardown);
}
