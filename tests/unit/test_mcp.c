/* SPDX-License-Identifier: Apache-2.0 */
/* MCP over bytes: the official examples, then every rule of headers, envelope and call as a row.
 * tests/vectors/mcp holds examples of the specification's schema directory. */
#include "mcp_lab.h"

#include "agent/crypto/crypto.h"

static bool routing; /* the routed tool is there */
static struct wire_header param[3];
static unsigned calls;
static char key_seen[200];
static const struct peer peer = { .did = "did:web:oss.example" };

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg;
	assert_string_equal(p->did, peer.did);
	assert_true(json_is_object(args));
	calls++;
	(void)snprintf(key_seen, sizeof(key_seen), "%s", key ? key : "");
	if (json_object_get(args, "hold"))
		held = t;
	else if (json_object_get(args, "refuse"))
		mcp_turn_refuse(t, "over_ceiling: held plus captured would grow past the ceiling");
	else if (json_object_get(args, "break"))
		return -EIO;
	else if (json_object_get(args, "array"))
		mcp_turn_result(t, json_object_get(args, "array"));
	else
		mcp_turn_result(t, args);
	assert_non_null(tool);
	return 0;
}

static bool allowed(void *arg, const struct peer *p, const char *tool)
{
	(void)arg;
	(void)p;
	return strcmp(tool, "hidden") != 0 && (strcmp(tool, "route") != 0 || routing);
}

#define OBJECT "{\"type\":\"object\"}"
static const struct mcp_tool tools[] = {
	{ "get_weather", "Weather", "Tells the weather", OBJECT, OBJECT, true, false, true, false,
	  false },
	{ "hidden", NULL, "Not for everyone", OBJECT, NULL, false, true, false, true, false },
	{ "route", NULL, "Routed",
	  "{\"type\":\"object\",\"properties\":{\"where\":{\"type\":\"string\",\"x-mcp-header\":"
	  "\"Region\"},\"how\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\","
	  "\"x-mcp-header\":\"N\"},\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"B\"}}}}}",
	  NULL, true, false, true, false, false },
};

static int setup(void **state)
{
	static const struct mcp_app app = { .call = on_call, .allowed = allowed };
	static const struct mcp_config c = { .path = "/mcp",
					     .name = "treatyd",
					     .version = "1",
					     .tools = tools,
					     .ntools = 3,
					     .max_turns = 2 };

	(void)state;
	got_clear();
	calls = 0;
	return mcp_server_new(&srv, &c, &app, NULL);
}

static int teardown(void **state)
{
	(void)state;
	srv = mcp_server_free(srv);
	got_clear();
	return 0;
}

static void post(const char *version, const char *method, const char *name, const char *body)
{
	const struct wire_header h[] = { { "mcp-protocol-version", version },
					 { "Mcp-Method", method },
					 { "Mcp-Name", name },
					 param[0],
					 param[1],
					 param[2] };

	mcp_request(&peer, "POST", h, ARRAY_LEN(h), body, (struct wire_sink){ .fn = on_reply });
}

static void vector(char *buf, size_t cap, const char *name)
{
	char path[200];
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "tests/vectors/mcp/%s.json", name);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(buf, 1, cap - 1, f);
	buf[n] = 0;
	(void)fclose(f);
}

static void official_requests(void **state)
{
	char body[4096];

	(void)state;
	vector(body, sizeof(body), "server-discover-request");
	post(MCP_VERSION, "server/discover", NULL, body);
	assert_int_equal(got.status, 200);
	assert_string_equal(got.body,
			    "{\"jsonrpc\":\"2.0\",\"id\":\"discover-1\",\"result\":{\"resultType\":"
			    "\"complete\","
			    "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{"
			    "\"listChanged\":"
			    "false}},\"ttlMs\":300000,\"cacheScope\":\"private\",\"_meta\":{"
			    "\"io.modelcontextprotocol/"
			    "serverInfo\":{\"name\":\"treatyd\",\"version\":\"1\"}}}}");
	vector(body, sizeof(body), "list-tools-request");
	post(MCP_VERSION, "tools/list", NULL, body);
	assert_string_equal(
		got.body,
		"{\"jsonrpc\":\"2.0\",\"id\":\"list-tools-example\",\"result\":{\"resultType\":"
		"\"complete\",\"tools\":[{\"name\":\"get_weather\",\"title\":\"Weather\","
		"\"description\":"
		"\"Tells the weather\",\"inputSchema\":" OBJECT ",\"outputSchema\":" OBJECT
		",\"annotations\":{\"readOnlyHint\":true,\"destructiveHint\":false,"
		"\"idempotentHint\":true,"
		"\"openWorldHint\":false}}],\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{"
		"\"name\":\"treatyd\",\"version\":\"1\"},\"example.treaty/toolList\":{"
		"\"digest\":\"uEiB88aUdc2ebvHEiqh_bmA6dHqZnmzHRoRzUxsFVXfhKuA\"}},"
		"\"ttlMs\":300000,\"cacheScope\":\"private\"}}");
	vector(body, sizeof(body), "call-tool-request");
	post(MCP_VERSION, "tools/call", "get_weather", body);
	assert_string_equal(
		got.body,
		"{\"jsonrpc\":\"2.0\",\"id\":\"call-tool-example\",\"result\":{\"resultType\":"
		"\"complete\","
		"\"content\":[{\"type\":\"text\",\"text\":\"{\\\"location\\\":\\\"New "
		"York\\\"}\"}],"
		"\"isError\":false,\"structuredContent\":{\"location\":\"New York\"},\"_meta\":{"
		"\"io.modelcontextprotocol/"
		"serverInfo\":{\"name\":\"treatyd\",\"version\":\"1\"}}}}");
	post(MCP_VERSION, "tools/call", "=?base64?Z2V0X3dlYXRoZXI=?=", body);
	assert_int_equal(code(), 0);
	assert_int_equal(calls, 2);
}

#define VER  "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\""
#define CAP  "\"io.modelcontextprotocol/clientCapabilities\":{}"
#define META "\"_meta\":{" VER "," CAP "}"
#define R(method, params) \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":{" params "}}"
#define CALL(more) R("tools/call", META ",\"name\":\"get_weather\"" more)

static const struct {
	const char *version, *method, *name, *body;
	int status;
	int64_t code;
} rule_rows[] = {
	{ MCP_VERSION, "tools/call", "get_weather", CALL(""), 200, 0 },
	{ NULL, "tools/call", "get_weather", CALL(""), 400, -32020 },
	{ "2025-11-25", "tools/call", "get_weather", CALL(""), 400, -32020 },
	{ MCP_VERSION, NULL, "get_weather", CALL(""), 400, -32020 },
	{ MCP_VERSION, "Tools/Call", "get_weather", CALL(""), 400, -32020 },
	{ MCP_VERSION, "tools/call", NULL, CALL(""), 400, -32020 },
	{ MCP_VERSION, "tools/call", "other", CALL(""), 400, -32020 },
	{ MCP_VERSION, "tools/call", "=?base64?!?=", CALL(""), 400, -32020 },
	{ "1900-01-01", "tools/list", NULL,
	  R("tools/list",
	    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"1900-01-01\"," CAP "}"),
	  400, -32022 },
	{ MCP_VERSION, "tools/list", NULL, R("tools/list", ""), 400, -32602 },
	{ MCP_VERSION, "tools/list", NULL, R("tools/list", "\"_meta\":[]"), 400, -32602 },
	{ MCP_VERSION, "tools/list", NULL, R("tools/list", "\"_meta\":{" CAP "}"), 400, -32602 },
	{ MCP_VERSION, "tools/list", NULL, R("tools/list", "\"_meta\":{" VER "}"), 400, -32602 },
	{ MCP_VERSION, "tools/list", NULL, R("tools/list", META ",\"cursor\":\"x\""), 200, -32602 },
	{ MCP_VERSION, "ping", NULL, R("ping", META), 404, -32601 },
	{ MCP_VERSION, "initialize", NULL, R("initialize", META), 404, -32601 },
	{ NULL, NULL, NULL, R("initialize", "\"protocolVersion\":\"2025-11-25\""), 400, -32022 },
	{ MCP_VERSION, "tools/call", "nope", R("tools/call", META ",\"name\":\"nope\""), 200,
	  -32602 },
	{ MCP_VERSION, "tools/call", "hidden", R("tools/call", META ",\"name\":\"hidden\""), 200,
	  -32602 },
	{ MCP_VERSION, "tools/call", NULL, R("tools/call", META), 200, -32602 },
	{ MCP_VERSION, "tools/call", "get_weather", CALL(",\"arguments\":[]"), 200, -32602 },
	{ MCP_VERSION, "tools/call", "get_weather", CALL(",\"arguments\":{\"break\":1}"), 200,
	  -32603 },
	{ MCP_VERSION, "tools/call", "get_weather", CALL(",\"arguments\":{\"array\":[]}"), 200,
	  -32603 },
	{ NULL, NULL, NULL, "", 400, -32700 },
	{ NULL, NULL, NULL, "{\"a\":1,\"a\":1}", 400, -32700 },
	{ NULL, NULL, NULL, "[]", 400, -32600 },
	{ NULL, NULL, NULL, "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"x\"}", 400, -32600 },
	{ NULL, NULL, NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":1}", 400,
	  -32600 },
	{ NULL, NULL, NULL, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}", 202, 0 },
};

static void rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rule_rows); i++) {
		post(rule_rows[i].version, rule_rows[i].method, rule_rows[i].name,
		     rule_rows[i].body);
		if (got.status != rule_rows[i].status || code() != rule_rows[i].code)
			print_error("row %zu %s -> %s\n", i, rule_rows[i].body, got.body);
		assert_int_equal(got.replies, 1);
		assert_int_equal(got.status, rule_rows[i].status);
		assert_int_equal(code(), rule_rows[i].code);
	}
	post(NULL, NULL, NULL, R("initialize", "\"protocolVersion\":\"2025-11-25\""));
	assert_string_equal(got.body,
			    "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32022,\"message\":"
			    "\"Unsupported protocol version\",\"data\":{\"supported\":["
			    "\"2026-07-28\"],\"requested\":\"2025-11-25\"}}}");
}

static void only_post_to_our_path(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
	} rows[] = { { "GET", "/mcp", 405 },
		     { "DELETE", "/mcp", 405 },
		     { "POST", "/mcp/", 404 },
		     { "POST", "/mcp", 415 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_request r = { .method = rows[i].method,
					  .path = rows[i].path,
					  .query = "",
					  .body = "",
					  .peer = &peer };

		mcp_server_handle(srv, &r, (struct wire_sink){ .fn = on_reply });
		assert_int_equal(got.status, rows[i].status);
	}
}

static void refusals_are_results(void **state)
{
	(void)state;
	post(MCP_VERSION, "tools/call", "get_weather", CALL(",\"arguments\":{\"refuse\":1}"));
	assert_int_equal(code(), 0);
	assert_true(json_is_true(result("isError")));
	assert_null(result("structuredContent"));
}

static void idempotency_key_is_passed_or_refused(void **state)
{
#define KEYED(value)                                                                    \
	R("tools/call", "\"_meta\":{" VER "," CAP ",\"" MCP_IDEMPOTENCY_KEY "\":" value \
			"},\"name\":\"get_weather\"")
	static const struct {
		const char *body;
		int64_t code;
	} rows[] = { { KEYED("\"step-7\""), 0 },
		     { KEYED("\"\""), -32602 },
		     { KEYED("7"), -32602 },
		     { KEYED("\"a b\""), -32602 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		post(MCP_VERSION, "tools/call", "get_weather", rows[i].body);
		assert_int_equal(code(), rows[i].code);
	}
	assert_string_equal(key_seen, "step-7");
	assert_int_equal(calls, 1);
}

static void later_and_too_many_and_too_late(void **state)
{
	struct mcp_turn *first;
	json_t *o = json_object();

	(void)state;
	post(MCP_VERSION, "tools/call", "get_weather", CALL(",\"arguments\":{\"hold\":1}"));
	first = held;
	post(MCP_VERSION, "tools/call", "get_weather", CALL(",\"arguments\":{\"hold\":1}"));
	assert_int_equal(got.replies, 0);
	post(MCP_VERSION, "tools/call", "get_weather", CALL(""));
	assert_int_equal(code(), MCP_E_LIMIT);
	assert_non_null(strstr(got.body, "\"type\":\"limit_reached\""));
	assert_non_null(strstr(got.body, "\"status\":503,\"detail\":\"calls: no more than 2"));
	mcp_turn_result(first, o);
	assert_int_equal(got.replies, 2);
	assert_int_equal(code(), 0);
	srv = mcp_server_free(srv);
	assert_int_equal(got.status, 503);
	mcp_turn_result(held, o);
	assert_int_equal(got.replies, 3);
	json_decref(o);
}

#define ROUTE(args) R("tools/call", META ",\"name\":\"route\",\"arguments\":" args)

static void arguments_are_repeated_in_headers(void **state)
{
	static const struct {
		const char *args, *region, *n, *b;
		bool ok;
	} rows[] = {
		{ "{}", NULL, NULL, NULL, true },
		{ "{\"where\":\"eu\"}", "eu", NULL, NULL, true },
		{ "{\"where\":\"eu\"}", "=?base64?ZXU=?=", NULL, NULL, true },
		{ "{\"where\":\"eu\"}", NULL, NULL, NULL, false },
		{ "{\"where\":\"eu\"}", "us", NULL, NULL, false },
		{ "{\"where\":\"eu\"}", "EU", NULL, NULL, false },
		{ "{\"where\":\"eu\"}", "=?base64?!?=", NULL, NULL, false },
		{ "{\"where\":\"eu\"}", "=?base64?ZXU?=", NULL, NULL, false },
		{ "{\"where\":\"ZXU=\"}", "ZXU=", NULL, NULL, true },
		{ "{\"where\":\"=?base64?ZXU=\"}", "=?base64?ZXU=", NULL, NULL, true },
		{ "{\"where\":null}", NULL, NULL, NULL, true },
		{ "{\"where\":null}", "eu", NULL, NULL, false },
		{ "{}", "eu", NULL, NULL, false },
		{ "{\"how\":{\"n\":42,\"b\":true}}", NULL, "42", "true", true },
		{ "{\"how\":{\"n\":42}}", NULL, "042", NULL, true },
		{ "{\"how\":{\"n\":42}}", NULL, "42x", NULL, false },
		{ "{\"how\":{\"n\":42}}", NULL, "43", NULL, false },
		{ "{\"how\":{\"b\":false}}", NULL, NULL, "true", false },
	};
	char body[1024];

	(void)state;
	routing = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		param[0] = (struct wire_header){ rows[i].region ? "mcp-param-region" : NULL,
						 rows[i].region };
		param[1] = (struct wire_header){ rows[i].n ? "Mcp-Param-N" : NULL, rows[i].n };
		param[2] = (struct wire_header){ rows[i].b ? "Mcp-Param-B" : NULL, rows[i].b };
		(void)snprintf(body, sizeof(body), ROUTE("%s"), rows[i].args);
		post(MCP_VERSION, "tools/call", "route", body);
		if (got.status != (rows[i].ok ? 200 : 400) || code() != (rows[i].ok ? 0 : -32020))
			fail_msg("row %zu: %s", i, got.body);
	}
	memset(param, 0, sizeof(param));
	routing = false;
}

static int sign(void *arg, const char *input, size_t len, uint8_t sig[64])
{
	ed25519_sign(sig, input, len, arg);
	return 0;
}

/* The list under the key: every change of it, of the header and of the key is found. */
static void the_list_is_signed(void **state)
{
	static const struct mcp_app app = { .call = on_call, .allowed = allowed };
	static uint8_t seed[32] = { 9 };
	struct mcp_config c = { .path = "/mcp",
				.name = "n",
				.version = "1",
				.tools = tools,
				.ntools = 3,
				.sign = { sign, seed, "did:web:x.example#card" } };
	uint8_t pub[32];
	const json_t *jws;
	json_t *list;

	(void)state;
	srv = mcp_server_free(srv);
	assert_int_equal(mcp_server_new(&srv, &c, &app, NULL), 0);
	ed25519_public(seed, pub);
	post(MCP_VERSION, "tools/list", NULL, R("tools/list", META));
	jws = json_object_get(json_object_get(result("_meta"), MCP_LIST_SIGNATURE), "jws");
	list = json_deep_copy(result("tools"));
	assert_int_equal(jws_verify(list, jws, c.sign.kid, pub, NULL), 0);
	assert_int_equal(jws_verify(list, jws, "did:web:y.example#card", pub, NULL), -EKEYREJECTED);
	pub[0] ^= 1;
	assert_int_equal(jws_verify(list, jws, c.sign.kid, pub, NULL), -EKEYREJECTED);
	pub[0] ^= 1;
	json_object_set_new(json_array_get(list, 0), "description", json_string("Tells all"));
	assert_int_equal(jws_verify(list, jws, c.sign.kid, pub, NULL), -EKEYREJECTED);
	json_decref(list);
	list = json_pack("{s:s, s:s}", "protected", "e30", "signature", "AA");
	assert_int_equal(jws_verify(result("tools"), list, NULL, pub, NULL), -EINVAL);
	json_decref(list);
}

static void tables_are_checked(void **state)
{
	static const struct mcp_app app = { .call = on_call };
	static const struct mcp_tool bad[] = {
		{ .name = "Upper", .description = "d", .input_schema = OBJECT },
		{ .name = "", .description = "d", .input_schema = OBJECT },
		{ .name = "t", .description = "d", .input_schema = "{" },
		{ .name = "t", .description = "d", .input_schema = "{\"type\":\"array\"}" },
		{ .name = "t", .description = "d" },
		{ .name = "t", .input_schema = OBJECT },
		{ .name = "t", .description = "d", .input_schema = OBJECT, .output_schema = "[]" },
	};
	struct mcp_server *s = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct mcp_config c = {
			.path = "/mcp", .name = "n", .version = "v", .tools = &bad[i], .ntools = 1
		};
		struct err e = { 0 };

		assert_int_equal(mcp_server_new(&s, &c, &app, &e), -EINVAL);
		assert_memory_equal(e.text, "tool ", 5);
		assert_null(s);
	}
}

static void client_reads_strictly(void **state)
{
#define RES(r) "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":" r "}"
	static const struct {
		int status;
		const char *body;
		bool ok;
	} rows[] = {
		{ 200, RES("{\"resultType\":\"complete\",\"content\":[]}"), true },
		{ 404,
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32601,\"message\":\"m\"}}",
		  true },
		{ 400,
		  "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"m\"}}",
		  true },
		{ 500, RES("{\"resultType\":\"complete\"}"), false },
		{ 200, RES("{}"), false },
		{ 200, RES("{\"resultType\":\"task\"}"), false },
		{ 200, RES("{\"resultType\":\"complete\",\"isError\":1}"), false },
		{ 200, RES("{\"resultType\":\"complete\",\"structuredContent\":[]}"), false },
		{ 200, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"resultType\":\"complete\"}}",
		  false },
		{ 200, "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{\"resultType\":\"complete\"}}",
		  false },
		{ 200, "{\"jsonrpc\":\"2.0\",\"id\":1}", false },
		{ 200, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", false },
		{ 200, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":0,\"message\":\"m\"}}",
		  false },
		{ 200, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"x\":1}", false },
		{ 200, "nonsense", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_response r = { .status = rows[i].status,
					   .content_type = "application/json",
					   .body = rows[i].body,
					   .len = strlen(rows[i].body) };
		struct mcp_result m;
		int n = mcp_parse(&m, &r, 1, NULL);

		assert_int_equal(n, rows[i].ok ? 0 : -EPROTO);
		if (!n)
			mcp_result_clear(&m);
	}
}

static void client_meets_server(void **state)
{
	json_t *args = json_pack("{s:s}", "location", "Kyoto");
	struct mcp_call c = { .method = "tools/call",
			      .tool = "get_weather",
			      .args = args,
			      .idempotency_key = "k1",
			      .client_name = "oss",
			      .client_version = "1",
			      .rpc_id = 42 };
	struct wire_header h[5];
	auto_free char *body = mcp_build(&c);
	struct wire_request r = { .method = "POST",
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = mcp_client_headers(h, &c),
				  .body = body,
				  .len = strlen(body),
				  .peer = &peer };
	struct wire_response resp = { .content_type = "application/json", .body = got.body };
	struct mcp_result m;

	(void)state;
	assert_string_equal(
		body,
		"{\"jsonrpc\":\"2.0\",\"id\":42,\"method\":\"tools/call\",\"params\":{\"_meta\":{"
		"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		"\"io.modelcontextprotocol/clientInfo\":{\"name\":\"oss\",\"version\":\"1\"},"
		"\"io.modelcontextprotocol/clientCapabilities\":{},"
		"\"example.treaty/idempotencyKey\":\"k1\"},\"name\":\"get_weather\","
		"\"arguments\":{\"location\":\"Kyoto\"}}}");
	mcp_server_handle(srv, &r, (struct wire_sink){ .fn = on_reply });
	resp.status = got.status;
	resp.len = strlen(got.body);
	assert_int_equal(mcp_parse(&m, &resp, 42, NULL), 0);
	assert_false(m.is_error);
	assert_true(json_equal(m.structured, args));
	assert_string_equal(key_seen, "k1");
	mcp_result_clear(&m);
	json_decref(args);
	c.tool = NULL;
	assert_null(mcp_build(&c));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(official_requests),
		T(rules),
		T(only_post_to_our_path),
		T(refusals_are_results),
		T(idempotency_key_is_passed_or_refused),
		T(later_and_too_many_and_too_late),
		T(arguments_are_repeated_in_headers),
		T(the_list_is_signed),
		T(tables_are_checked),
		T(client_reads_strictly),
		T(client_meets_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
