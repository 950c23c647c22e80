/* SPDX-License-Identifier: Apache-2.0 */
/* The query rows over the real MCP core, bytes in and bytes out, on a world of real events. */
#include "query_call.h"

#include "agent/disclosure.h"
#include "agent/redecide.h"

static struct peer stranger = { .did = "did:web:nobody.example" };

/* The same bytes as a client's, for the methods that call no tool. */
static json_t *raw(const struct peer *p, const char *method, const char *uri)
{
	char body[600];
	const struct wire_header h[] = { { "Content-Type", "application/json" },
					 { "MCP-Protocol-Version", MCP_VERSION },
					 { "Mcp-Method", method },
					 { "Mcp-Name", uri } };
	struct wire_request rq = { .method = "POST",
				   .path = "/mcp",
				   .query = "",
				   .headers = h,
				   .nheaders = uri ? 4 : 3,
				   .body = body,
				   .peer = p };

	rq.len = (size_t)snprintf(
		body, sizeof(body),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"_meta\":{"
		"\"io.modelcontextprotocol/protocolVersion\":\"" MCP_VERSION "\","
		"\"io.modelcontextprotocol/clientCapabilities\":{}},\"uri\":\"%s\"}}",
		method, uri ? uri : "");
	got.replies = 0;
	mcp_server_handle(lab.mcp, &rq, (struct wire_sink){ .fn = got_reply });
	assert_int_equal(engine_turn(lab.side.engine), 0);
	assert_int_equal(got.replies, 1);
	return json_loads(got.body, 0, NULL);
}

static const json_t *of(const json_t *root, const char *key)
{
	return json_object_get(json_object_get(root, "result"), key);
}

/* Reading is what a tool says, to whom may call the tool. */
static void test_resources(void **state)
{
	json_t *r = raw(&human, "resources/list", NULL), *text;
	const char *const uris[] = { "treaty://agreements", "treaty://log", "treaty://labels",
				     "treaty://ledger", "treaty://status" };

	(void)state;
	assert_true(json_array_size(of(r, "resources")) >= ARRAY_LEN(uris));
	json_decref(r);
	for (size_t i = 0; i < ARRAY_LEN(uris); i++) {
		r = raw(&human, "resources/read", uris[i]);
		text = json_loads(json_string_value(json_object_get(
					  json_array_get(of(r, "contents"), 0), "text")),
				  0, NULL);
		if (!json_is_object(text))
			fail_msg("%s: %s", uris[i], got.body);
		json_decref(text);
		json_decref(r);
		r = raw(&stranger, "resources/read", uris[i]);
		assert_int_equal(
			json_integer_value(json_object_get(json_object_get(r, "error"), "code")),
			-32602);
		json_decref(r);
	}
	r = raw(&stranger, "resources/list", NULL);
	assert_int_equal(json_array_size(of(r, "resources")), 0);
	json_decref(r);
	r = raw(&human, "resources/read", "treaty://agreements/no-such");
	assert_non_null(strstr(got.body, "agreement_unknown"));
	json_decref(r);
	r = raw(&human, "resources/read", "treaty://agreements/a/b");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(r, "error"), "code")),
			 -32602);
	json_decref(r);
	/* every tool says what goes in and what comes out, and all four hints */
	r = raw(&human, "tools/list", NULL);
	for (size_t i = 0; i < json_array_size(of(r, "tools")); i++) {
		const json_t *t = json_array_get(of(r, "tools"), i);

		assert_non_null(json_object_get(t, "inputSchema"));
		assert_non_null(json_object_get(t, "outputSchema"));
		assert_non_null(json_object_get(t, "title"));
		assert_int_equal(json_object_size(json_object_get(t, "annotations")), 4);
	}
	json_decref(r);
}

static void test_status(void **state)
{
	struct mcp_result r = ask("status", NULL);

	(void)state;
	expect(&r, "name", "\"enterprise-x\"");
	expect(&r, "roles", "[\"enterprise\"]");
	expect(&r, "counts.deals", "1");
	expect(&r, "counts.active", "1");
	expect(&r, "counts.refusals", "1");
	expect(&r, "log.seq", "6");
	expect(&r, "log.durable", "6");
	expect(&r, "peers.0.role", "\"operator\"");
	expect(&r, "lastError", "\"\"");
	mcp_result_clear(&r);
}

static void test_deals(void **state)
{
	static const char *const ids[] = { "agr-1", "neg-1", "int-1", "quo-1", "svc-1", "h-1" };
	struct mcp_result r = ask("deal_list", "{}");
	char args[64];

	(void)state;
	expect(&r, "deals.0.id", "\"agr-1\"");
	expect(&r, "deals.0.life", "\"PROVISIONED\"");
	expect(&r, "deals.0.label", "77");
	expect(&r, "deals.0.bandwidthBps", "20000000");
	expect(&r, "deals.0.amount", "4100");
	mcp_result_clear(&r);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		(void)snprintf(args, sizeof(args), "{\"id\":\"%s\"}", ids[i]);
		r = ask("deal_show", args);
		expect(&r, "deal.id", "\"agr-1\"");
		expect(&r, "agreement.rev", "1");
		expect(&r, "order", "null");
		mcp_result_clear(&r);
	}
	refused("deal_show", "{\"id\":\"agr-2\"}", "agreement_unknown: agr-2");
	refused("deal_show", "{\"id\":\"agr-1\",\"x\":1}", "x");
	refused("deal_show", "{\"id\":7}", "id");
	refused("deal_show", "{\"id\":\"\"}", "id: 1..47 characters");
}

static void test_bodies(void **state)
{
	struct mcp_result r = ask("intent_show", "{\"id\":\"int-1\"}");

	(void)state;
	expect(&r, "@type", "\"Intent\"");
	mcp_result_clear(&r);
	r = ask("quote_show", "{\"id\":\"quo-1\"}");
	expect(&r, "@type", "\"Quote\"");
	expect(&r, "id", "\"quo-1\"");
	mcp_result_clear(&r);
	r = ask("agreement_show", "{\"id\":\"agr-1\"}");
	expect(&r, "agreement.@type", "\"Agreement\"");
	expect(&r, "credential", "null");
	mcp_result_clear(&r);
	r = ask("service_list", NULL);
	expect(&r, "services.0.id", "\"svc-1\"");
	expect(&r, "services.0.state", "\"active\"");
	expect(&r, "services.0.operatingStatus", "\"running\"");
	mcp_result_clear(&r);
	r = ask("service_show", "{\"id\":\"svc-1\"}");
	expect(&r, "state", "\"active\"");
	mcp_result_clear(&r);
	refused("order_show", "{\"id\":\"agr-1\"}", "nothing was ordered");
	refused("quote_show", "{\"id\":\"quo-9\"}", "quo-9: not in the log");
}

static void test_log(void **state)
{
	struct mcp_result r = ask("log_read", "{\"after\":0,\"limit\":2}");

	(void)state;
	expect(&r, "rows.0.event", "\"INTENT_DECLARED\"");
	expect(&r, "rows.1.event", "\"REFUSED\"");
	expect(&r, "durable", "6");
	assert_int_equal(json_array_size(json_object_get(r.structured, "rows")), 2);
	mcp_result_clear(&r);
	r = ask("log_read", "{\"after\":6}");
	expect(&r, "rows", "[]");
	mcp_result_clear(&r);
	refused("log_read", "{\"after\":-1}", "after");
	refused("log_read", "{\"limit\":1001}", "limit");
}

/* By an id that only a quote carried, the whole deal is explained, with what was turned down. */
static void test_explain(void **state)
{
	struct mcp_result r = ask("explain", "{\"id\":\"quo-1\"}");

	(void)state;
	expect(&r, "life", "\"PROVISIONED\"");
	assert_int_equal(json_array_size(json_object_get(r.structured, "events")), 6);
	expect(&r, "events.1.refusal", "\"duplicate\"");
	expect(&r, "events.3.event", "\"QUOTE_ACCEPTED\"");
	expect(&r, "events.3.core", "\"ent_policy_choose\"");
	expect(&r, "events.3.out.item", "1");
	expect(&r, "events.3.alternatives.0.no", "2");
	expect(&r, "events.4.undo", "\"treatyctl agreement terminate ID --reason TEXT\"");
	mcp_result_clear(&r);
	refused("explain", "{\"id\":\"agr-9\"}", "nothing in the log names it");
}

static void test_flows(void **state)
{
	struct side_flow *f = side_flow(&lab.side, 77, true);
	struct mcp_result r;

	(void)state;
	assert_non_null(f);
	f->offered.bps = 19000000;
	f->delivered.bps = 18900000;
	f->drops = 3;
	f->first.dir[DIR_UP].rx_bytes = 12345;
	r = ask("flow_list", NULL);
	expect(&r, "flows.0.label", "77");
	expect(&r, "flows.0.class", "\"market-data\"");
	expect(&r, "flows.0.promisedBps", "20000000");
	expect(&r, "flows.0.deliveredBps", "18900000");
	expect(&r, "flows.0.upBytes", "12345");
	mcp_result_clear(&r);
	r = ask("path_list", NULL);
	expect(&r, "paths", "[]");
	mcp_result_clear(&r);
}

static void test_ledger(void **state)
{
	struct mcp_result r = ask("ledger_show", NULL);

	(void)state;
	expect(&r, "wallets.0.wallet", "\"urn:w:1\"");
	expect(&r, "wallets.0.held", "4100");
	expect(&r, "wallets.0.revoked", "false");
	expect(&r, "classes.0.class", "\"market-data\"");
	expect(&r, "holds.0.state", "\"held\"");
	expect(&r, "holds.0.amount", "4100");
	mcp_result_clear(&r);
}

/* Nothing is wanted of a kernel here, and no enforcer answers: not verified, and it says so. */
static void test_verify(void **state)
{
	struct mcp_result r = ask("verify", "{\"agreementId\":\"agr-1\"}");

	(void)state;
	expect(&r, "agreement", "\"agr-1\"");
	expect(&r, "ok", "false");
	mcp_result_clear(&r);
	refused("verify", "{\"agreementId\":\"neg-9\"}", "agreement_unknown");
}

static void test_policy(void **state)
{
	struct mcp_result r = ask("policy_show", NULL);
	json_t *args;
	char *text;

	(void)state;
	expect(&r, "classes.0.name", "\"market-data\"");
	expect(&r, "classes.0.value", "9000");
	expect(&r, "classes.1.donor", "true");
	mcp_result_clear(&r);
	args = json_pack("{s:s}", "config", LAB_CONFIG "margin = 5\n");
	text = json_dumps(args, 0);
	r = ask("policy_load", text);
	expect(&r, "classes.1.margin", "5");
	assert_int_equal(lab.side.profile[1].margin.minor_h, 5);
	mcp_result_clear(&r);
	free(text);
	json_decref(args);
	refused("policy_load", "{\"config\":\"[daemon]\\nroles = node\\n\"}", "daemon.name");
	args = json_pack("{s:s}", "config",
			 LAB_CONFIG "[class x]\nid = 9\nbandwidth = 1M\nlatency-us = 9\n");
	text = json_dumps(args, 0);
	refused("policy_load", text, "class: 3 of them, 2 are in force");
	assert_int_equal(lab.side.profiles, 2);
	free(text);
	json_decref(args);
}

/* Only a human ends things, never without a reason, and never twice. The last test. */
/* A question put before the human, seen, and answered once. */
static void test_approvals(void **state)
{
	const struct cap_ent_policy cap = { lab.side.engine };
	const struct deal *d = world_deal(engine_world(lab.side.engine), &(ident_t){ "agr-1" });
	struct ev_approval a = { .version = 1, .item = 1, .amount = { 4711 } };
	struct mcp_result r;

	(void)state;
	assert_non_null(d);
	a.deal = d->negotiation;
	a.quote = d->quote.id;
	a.expires.ms = engine_now(lab.side.engine).ms + 60000;
	str_cut(a.id.s, "apr-1");
	str_cut(a.currency, "EUR");
	str_cut(a.why.s, "best of the cleared items");
	assert_int_equal(tool_approval_ask(&cap, &a, NULL, NULL), REFUSE_NONE);
	r = ask("approval_list", NULL);
	expect(&r, "approvals.0.id", "\"apr-1\"");
	expect(&r, "approvals.0.state", "\"waiting\"");
	expect(&r, "approvals.0.amount", "4711");
	expect(&r, "approvals.0.why", "\"best of the cleared items\"");
	mcp_result_clear(&r);
	call_as(&stranger, "approval_grant", "{\"id\":\"apr-1\",\"reason\":\"x\"}", &r);
	assert_int_not_equal(r.code, 0);
	mcp_result_clear(&r);
	refused("approval_grant", "{\"id\":\"apr-2\",\"reason\":\"x\"}", "no such approval");
	refused("approval_grant", "{\"id\":\"apr-1\"}", "reason");
	r = ask("approval_grant", "{\"id\":\"apr-1\",\"reason\":\"quarter end\"}");
	expect(&r, "state", "\"granted\"");
	mcp_result_clear(&r);
	refused("approval_deny", "{\"id\":\"apr-1\",\"reason\":\"x\"}", "wrong_state");
	r = ask("approval_list", NULL);
	expect(&r, "approvals.0.state", "\"granted\"");
	mcp_result_clear(&r);
}

/* Nothing of the log says who was erased, and it is whole: it verifies and decides as before. */
static void erased_leaves_the_log(void)
{
	struct redecide_report dec;
	struct store_report rep;
	auto_free char *last = NULL;
	uint8_t digest[SHA256_LEN];
	char hex[2 * 16 + 1];
	size_t n;

	assert_int_equal(store_get(lab.store, store_durable(lab.store), &last, &n, NULL), 0);
	assert_non_null(strstr(last, "CONSUMER_ERASED"));
	assert_null(strstr(last, "edge.lab"));
	sha256("did:web:edge.lab.example", 24, digest);
	(void)hex_encode(digest, 16, hex, sizeof(hex));
	assert_null(strstr(last, hex));
	assert_int_equal(store_verify(lab.dir, &rep, NULL), 0);
	assert_int_equal(rep.fault, STORE_SOUND);
	assert_int_equal(redecide_log(lab.store, &dec, NULL), 0);
	assert_int_equal(dec.different, 0);
}

static void test_human(void **state)
{
	const uint64_t before = store_durable(lab.store);
	struct hash body = hash_bytes("body", 4);
	void *text = NULL;
	size_t n = 0;
	struct mcp_result r = { 0 };

	(void)state;
	call_as(&stranger, "agreement_terminate", "{\"id\":\"agr-1\",\"reason\":\"x\"}", &r);
	assert_int_not_equal(r.code, 0);
	mcp_result_clear(&r);
	refused("agreement_terminate", "{\"id\":\"agr-1\"}", "reason");
	refused("agreement_terminate", "{\"id\":\"agr-1\",\"reason\":\"\"}", "reason");
	refused("wallet_revoke", "{\"id\":\"urn:w:2\",\"reason\":\"x\"}", "wallet_missing");
	assert_int_equal(store_durable(lab.store), before);
	/* The agreement lives: its bodies are needed. */
	assert_int_equal(
		store_body_put(lab.store, &body, "did:web:edge.lab.example", "secret", 6, NULL), 0);
	refused("consumer_erase", "{\"id\":\"did:web:edge.lab.example\",\"reason\":\"asked\"}",
		"has an agreement");
	refused("consumer_erase", "{\"id\":\"did:web:else.example\",\"reason\":\"asked\"}",
		"no body");
	r = ask("wallet_revoke", "{\"id\":\"urn:w:1\",\"reason\":\"lost\"}");
	expect(&r, "revoked", "true");
	mcp_result_clear(&r);
	r = ask("ledger_show", NULL);
	expect(&r, "wallets.0.revoked", "true");
	expect(&r, "wallets.0.held", "4100");
	mcp_result_clear(&r);
	r = ask("agreement_terminate", "{\"id\":\"svc-1\",\"reason\":\"moving house\"}");
	expect(&r, "agreement", "\"agr-1\"");
	mcp_result_clear(&r);
	r = ask("deal_show", "{\"id\":\"agr-1\"}");
	expect(&r, "life", "\"TERMINATED\"");
	expect(&r, "why", "\"moving house\"");
	mcp_result_clear(&r);
	refused("agreement_terminate", "{\"id\":\"agr-1\",\"reason\":\"again\"}", "wrong_state");
	r = ask("service_show", "{\"id\":\"svc-1\"}");
	expect(&r, "state", "\"terminated\"");
	mcp_result_clear(&r);
	r = ask("consumer_erase", "{\"id\":\"did:web:edge.lab.example\",\"reason\":\"asked\"}");
	expect(&r, "erased", "true");
	mcp_result_clear(&r);
	assert_int_equal(store_body_get(lab.store, &body, &text, &n, NULL), -ENODATA);
	erased_leaves_the_log();
}

/* Every row is seen by a human and none by a stranger. */
static void test_visible(void **state)
{
	static const char *const rows[] = { "status",         "deal_list",       "deal_show",
					    "flow_list",      "path_list",       "ledger_show",
					    "log_read",       "explain",         "quote_show",
					    "intent_show",    "verify",          "agreement_show",
					    "service_list",   "order_show",      "service_show",
					    "wallet_revoke",  "policy_show",     "policy_load",
					    "dataplane_dump", "dataplane_check", "dataplane_gc",
					    "consumer_erase", "loss_list" };
	struct mcp_result r = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		call_as(&stranger, rows[i], "{}", &r);
		assert_int_not_equal(r.code, 0);
		mcp_result_clear(&r);
		call_as(&human, rows[i], "{}", &r);
		assert_int_equal(r.code, 0);
		mcp_result_clear(&r);
	}
}

static int setup(void **state)
{
	(void)state;
	lab_dir(&lab);
	lab_open(&lab);
	lab_walk(&lab);
	lab_wallet(&lab);
	lab_serve(&lab, true);
	human.uid = geteuid();
	assert_int_equal(disclosure_start(&lab.side, NULL), 0);
	return engine_turn(lab.side.engine);
}

static int teardown(void **state)
{
	(void)state;
	disclosure_free(&lab.side);
	lab_drop(&lab);
	got_clear();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),    cmocka_unit_test(test_visible),
		cmocka_unit_test(test_resources), cmocka_unit_test(test_deals),
		cmocka_unit_test(test_bodies),    cmocka_unit_test(test_log),
		cmocka_unit_test(test_explain),   cmocka_unit_test(test_flows),
		cmocka_unit_test(test_ledger),    cmocka_unit_test(test_verify),
		cmocka_unit_test(test_policy),    cmocka_unit_test(test_approvals),
		cmocka_unit_test(test_human),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
