/* SPDX-License-Identifier: Apache-2.0 */
/* The disclosure policy: what each caller sees by each way, what is refused, and exports that are
 * checked by build/treatyctl where there is no daemon; every bent export is refused. */
#include "disclosure_lab.h"

/* --- policies ----------------------------------------------------------------------------------
 */

#define RULES                                                                                  \
	"[{\"name\":\"operator\",\"to\":[\"operator\"],\"events\":[\"AGREEMENT_ACCEPTED\","    \
	"\"QUOTE_ACCEPTED\"],\"resources\":[\"deal_list\",\"agreement_show\",\"log_read\"],"   \
	"\"members\":[\"id\",\"life\",\"output.lineage\",\"output.price\"],\"own\":true},"     \
	"{\"name\":\"audit\",\"to\":[\"auditor\"],\"events\":[\"*\"],\"members\":[\"output\"," \
	"\"body_digest\"]},{\"name\":\"whole\",\"to\":[\"auditor\"],"                          \
	"\"events\":[\"SERVICE_ACTIVE\"],\"members\":[\"*\"]}]"

static void load_refused(json_t *doc, int code, const char *text)
{
	const uint32_t before = disclosure_of(&lab.side)->version;
	const uint64_t refusals = engine_world(lab.side.engine)->refusals;
	struct err e = { 0 };

	assert_int_equal(disclosure_load(&lab.side, doc, &e), code);
	if (!strstr(e.text, text))
		fail_msg("\"%s\" is not in: %s", text, e.text);
	assert_int_equal(disclosure_of(&lab.side)->version, before);
	assert_int_equal(engine_world(lab.side.engine)->refusals, refusals + 1);
	assert_int_equal(engine_turn(lab.side.engine), 0);
	json_decref(doc);
}

static void denied(const struct peer *p, const char *name, const char *args)
{
	auto_json json_t *r = ask(p, name, args);

	if (r)
		fail_msg("%s: %s was told %s", name, p->did, got.body);
}

#define AGR "{\"id\":\"agr-1\"}"

/* --- views -------------------------------------------------------------------------------------
 */

static void test_default(void **state)
{
	const struct disclosure *d = disclosure_of(&lab.side);
	const struct disclose_who domain = { .roles = DISCLOSE_DOMAIN, .did = "did:web:n" },
				  consumer = { .roles = DISCLOSE_CONSUMER, .did = US };
	const struct disclosure_lens ld = { .side = &lab.side, .who = domain },
				     lc = { .side = &lab.side, .who = consumer };
	json_t *r = told(&owner, "deal_list", NULL);

	(void)state;
	json_decref(r);
	r = told(&app, "ledger_show", NULL);
	assert_int_equal(json_array_size(json_object_get(r, "wallets")), 1);
	json_decref(r);
	for (int i = 0; i < 3; i++) {
		const struct peer *p[] = { &op, &auditor, &stranger };

		denied(p[i], "deal_list", NULL);
		denied(p[i], "agreement_show", AGR);
		denied(p[i], "log_read", NULL);
		denied(p[i], "policy_show", NULL);
		r = told(p[i], NULL, NULL);
		assert_int_equal(json_array_size(r), 0);
		json_decref(r);
	}
	assert_int_equal(d->version, 0);
	assert_int_equal(disclosure_ask(&ld, "capacity_query", NULL, NULL), 0);
	assert_int_equal(disclosure_ask(&ld, "topology", NULL, NULL), 0);
	assert_int_equal(disclosure_ask(&ld, "deal_list", NULL, NULL), -EACCES);
	assert_int_equal(disclosure_ask(&lc, "capacity_query", NULL, NULL), -EACCES);
	assert_int_equal(disclosure_ask(&lc, "topology", NULL, NULL), -EACCES);
	assert_false(disclose_may_watch(d, &consumer));
}

static void test_views(void **state)
{
	const json_t *row, *rows;
	json_t *r;

	(void)state;
	load(signed_policy(3, RULES));
	r = told(&op, "deal_list", NULL);
	rows = json_object_get(r, "deals");
	assert_int_equal(json_array_size(rows), 1);
	row = json_array_get(rows, 0);
	assert_int_equal(json_object_size(row), 2);
	assert_string_equal(json_string_value(json_object_get(row, "id")), "agr-1");
	json_decref(r);
	r = told(&op, "log_read", NULL);
	rows = json_object_get(r, "rows");
	assert_int_equal(json_array_size(rows), 2);
	row = json_array_get(rows, 1);
	assert_string_equal(json_string_value(json_object_get(row, "event")), "AGREEMENT_ACCEPTED");
	assert_int_equal(json_object_size(json_object_get(row, "output")), 2);
	assert_null(json_object_get(row, "inputs"));
	json_decref(r);
	r = told(&op, "agreement_show", AGR);
	assert_null(json_object_get(r, "credential"));
	json_decref(r);
	denied(&op, "agreement_show", "{\"id\":\"agr-2\"}");
	denied(&op, "quote_show", "{\"id\":\"quo-1\"}");
	denied(&op, "ledger_show", NULL);
	denied(&app, "deal_list", NULL); /* nothing is left of the built-in rules */
	denied(&stranger, "deal_list", NULL);
	r = told(&owner, "deal_show", AGR);
	json_decref(r);
	r = told(&op, NULL, NULL);
	assert_int_equal(json_array_size(r), 3);
	json_decref(r);
}

static void test_refused(void **state)
{
	json_t *doc = signed_policy(4, RULES);

	(void)state;
	load_refused(policy(4, RULES), -EPERM, "not signed");
	(void)json_object_set_new(doc, "version", json_integer(5));
	load_refused(doc, -EPERM, "does not verify");
	doc = signed_policy(4, RULES);
	(void)json_object_del(json_array_get(json_object_get(doc, "rules"), 0), "own");
	load_refused(doc, -EPERM, "does not verify");
	seed[0]++;
	doc = signed_policy(4, RULES);
	seed[0]--;
	load_refused(doc, -EPERM, "does not verify");
	load_refused(policy(4, "[{\"name\":\"x\",\"to\":[\"consumer\"],\"own\":1}]"), -EINVAL,
		     "own");
	load_refused(policy(4, "[{\"name\":\"x\",\"to\":[\"anybody\"]}]"), -EINVAL, "rules[0].to");
	load_refused(policy(4, "[{\"name\":\"x\",\"to\":[\"app\"],\"events\":[\"NO\"]}]"), -EINVAL,
		     "no such event");
	load_refused(policy(4, "[{\"name\":\"x\",\"to\":[\"app\"],\"resources\":[\"verify\"]}]"),
		     -EINVAL, "no such resource");
	load_refused(policy(4, "[{\"name\":\"x\",\"to\":[\"app\"],\"extra\":1}]"), -EINVAL,
		     "extra");
	doc = policy(4, RULES);
	(void)json_object_set_new(doc, "side", json_string(OP));
	load_refused(doc, -EINVAL, "side");
	doc = signed_policy(4, RULES);
	load(json_incref(doc));
	load_refused(doc, -ESTALE, "version: 4 is in force");
}

/* The same after a restart; an older one that was put back shows nothing at all. */
static void test_restart(void **state)
{
	struct engine_config c = {
		.max_deals = 16, .max_wanted = 64, .now = lab_now, .now_arg = &lab
	};
	auto_free char *old = NULL;
	json_t *five;

	(void)state;
	five = disclosure_document(&lab.side);
	old = json_dumps(five, 0);
	json_decref(five);
	five = signed_policy(5, RULES);
	load(json_incref(five));
	for (int round = 0; round < 2; round++) {
		disclosure_free(&lab.side);
		lab.side.engine = engine_free(lab.side.engine);
		c.store = lab.store;
		assert_int_equal(engine_new(&lab.side.engine, &c, NULL), 0);
		assert_int_equal(disclosure_start(&lab.side, NULL), 0);
		assert_int_equal(disclosure_of(&lab.side)->version, 5);
		assert_int_equal(disclosure_of(&lab.side)->n_rules, round ? 0 : 3);
		assert_int_equal(engine_turn(lab.side.engine), 0);
		assert_int_equal(store_kv_put(lab.store, "disclosure", old, strlen(old), NULL), 0);
		assert_int_equal(store_commit(lab.store, NULL), 0);
	}
	denied(&op, "deal_list", NULL);
	json_decref(five);
	load(signed_policy(6, RULES));
	json_decref(told(&op, "deal_list", NULL));
}

/* --- the core ----------------------------------------------------------------------------------
 */

static void test_conditions(void **state)
{
	static struct disclosure d;
	const struct disclose_who who = { .roles = DISCLOSE_CONSUMER, .did = "did:web:a" },
				  other = { .roles = DISCLOSE_OPERATOR, .did = "did:web:b" };
	struct disclose_what w = { .event = EV_TERMINATED, .at = { 500 } };

	(void)state;
	d.n_rules = 1;
	d.rule[0].to = DISCLOSE_CONSUMER;
	assert_int_equal(disclose_rules(&d, &who, &w), 0);
	d.rule[0].events[EV_TERMINATED] = true;
	assert_int_equal(disclose_rules(&d, &who, &w), 1);
	assert_int_equal(disclose_rules(&d, &other, &w), 0);
	d.rule[0].own = true;
	assert_int_equal(disclose_rules(&d, &who, &w), 0);
	w.own = true;
	d.rule[0].after_end = true;
	assert_int_equal(disclose_rules(&d, &who, &w), 0);
	w.ended = true;
	assert_int_equal(disclose_rules(&d, &who, &w), 1);
	d.rule[0].from.ms = 500;
	d.rule[0].until.ms = 501;
	assert_int_equal(disclose_rules(&d, &who, &w), 1);
	w.at.ms = 501;
	assert_int_equal(disclose_rules(&d, &who, &w), 0);
	w.at.ms = 499;
	assert_int_equal(disclose_rules(&d, &who, &w), 0);
	w.at.ms = 500;
	d.rule[0].to = 0;
	d.rule[0].n_peers = 1;
	str_cut(d.rule[0].peer[0].s, "did:web:b");
	assert_int_equal(disclose_rules(&d, &who, &w), 0);
	assert_int_equal(disclose_rules(&d, &other, &w), 1);
	d.rule[0].n_members = 1;
	str_cut(d.rule[0].member[0], "output.price");
	assert_int_equal(disclose_member(&d, 1, "output"), DISCLOSE_PART);
	assert_int_equal(disclose_member(&d, 1, "output.price"), DISCLOSE_SHOW);
	assert_int_equal(disclose_member(&d, 1, "output.price.x"), DISCLOSE_SHOW);
	assert_int_equal(disclose_member(&d, 1, "output.prices"), DISCLOSE_HIDE);
	assert_int_equal(disclose_member(&d, 0, "output.price"), DISCLOSE_HIDE);
}

/* At an operator: another consumer's DID leaves as a label only, whatever a rule shows. */
static void test_identity(void **state)
{
	static struct config cfg;
	struct side side = lab.side;
	struct disclosure_lens l = { .side = &side,
				     .who = { .roles = DISCLOSE_AUDITOR, .did = AUD } };
	auto_json json_t *row = json_loads(
		"{\"v\":1,\"seq\":9,\"event\":\"SERVICE_ACTIVE\",\"output\":{\"deal\":\"agr-1\","
		"\"a\":\"did:web:x.example\",\"b\":[\"for did:web:x.example and did:web:y.example\""
		"]}}",
		0, NULL);
	struct event ev = { .kind = EV_SERVICE_ACTIVE, .seq = 9, .u.ref.deal = { "agr-1" } };
	struct disclosure_seen seen;
	auto_free char *text = NULL;

	(void)state;
	cfg.peers = 2;
	str_cut(cfg.peer[0].did, "did:web:x.example");
	str_cut(cfg.peer[1].did, "did:web:y.example");
	cfg.peer[0].role = cfg.peer[1].role = PEER_ENTERPRISE;
	side.cfg = &cfg;
	assert_int_equal(disclosure_event(&l, &ev, row, &seen, NULL), 0);
	assert_non_null(seen.event);
	assert_null(seen.salts); /* not without a key */
	assert_false(seen.whole);
	text = json_dumps(seen.event, 0);
	assert_null(strstr(text, "did:web:"));
	assert_non_null(strstr(text, "consumer-"));
	json_decref(seen.event);
}

/* --- exports -----------------------------------------------------------------------------------
 */

/* Each: a member somewhere in the export is changed; nothing of it may pass. */
static void mutations(const json_t *good)
{
	const json_t *events = json_object_get(good, "events");

	for (size_t i = 0; i < json_array_size(events); i++) {
		static const char *const keys[] = { "seq", "leaf", "body", "event", "path" };

		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			json_t *bad = json_deep_copy(good);
			json_t *o = json_array_get(json_object_get(bad, "events"), i);

			if (json_object_get(o, keys[k])) {
				(void)json_object_del(o, keys[k]);
				put_file("x.json", bad);
				run(CHECK, 1, "");
			}
			json_decref(bad);
		}
	}
	for (void *it = json_object_iter((json_t *)(uintptr_t)good); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)good, it)) {
		json_t *bad = json_deep_copy(good);

		(void)json_object_del(bad, json_object_iter_key(it));
		put_file("x.json", bad);
		run(CHECK, 1, "");
		json_decref(bad);
	}
}

static void test_export(void **state)
{
	auto_json json_t *r = NULL, *opened = NULL;
	json_t *x, *v;
	size_t i, redacted = 0;

	(void)state;
	documents();
	denied(&owner, "log_export", "{\"for\":\"consumer\"}"); /* nobody of that role */
	assert_non_null(strstr(got.body, "name one"));
	denied(&owner, "log_export", "{\"for\":\"auditor\",\"peer\":\"did:web:else.example\"}");
	denied(&owner, "log_export", "{\"for\":\"everybody\"}");
	denied(&op, "log_export", "{\"for\":\"operator\"}");
	denied(&owner, "log_export", "{\"for\":\"operator\"}");
	assert_non_null(strstr(got.body, "no checkpoint was signed"));
	put_checkpoint(lab.store, US, seed);
	denied(&owner, "log_export", "{\"for\":\"operator\",\"agreement\":\"agr-9\"}");
	r = told(&owner, "log_export", "{\"for\":\"operator\",\"agreement\":\"agr-1\"}");
	x = json_object_get(r, "export");
	assert_int_equal(json_array_size(json_object_get(x, "events")), 2);
	put_file("x.json", x);
	run(CHECK, 0, "\"partly\": 2");
	run("log check-export x.json --document op.json", 1, "no --document is of it");
	run("log check-export x.json", 2, "--document");
	mutations(x);
	/* a digest is opened, and stands for nothing else */
	put_file("x.json", x);
	opened = told(&owner, "log_open", "{\"seq\":5,\"member\":\"output.currency\"}");
	put_file("open.json", opened);
	run(CHECK " --opened open.json", 0, "\"opened\": 1");
	(void)json_object_set_new(opened, "value", json_string("USD"));
	put_file("open.json", opened);
	run(CHECK " --opened open.json", 1, "is not what the export's digest stands for");
	json_decref(r);
	/* an auditor sees everything's output, and what is seen whole is the leaf's own bytes */
	r = told(&owner, "log_export", "{\"for\":\"auditor\",\"peer\":\"" AUD "\"}");
	x = json_object_get(r, "export");
	put_file("x.json", x);
	run(CHECK, 0, "\"whole\": ");
	json_array_foreach (json_object_get(x, "events"), i, v)
		redacted += json_object_get(v, "event") != NULL;
	assert_true(redacted > 0 && redacted < i);
	mutations(x);
}

/* --- set-up ------------------------------------------------------------------------------------
 */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),    cmocka_unit_test(test_views),
		cmocka_unit_test(test_refused),    cmocka_unit_test(test_restart),
		cmocka_unit_test(test_conditions), cmocka_unit_test(test_identity),
		cmocka_unit_test(test_export),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
