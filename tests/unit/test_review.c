/* SPDX-License-Identifier: Apache-2.0 */
/* An approval put before a person through an MCP client, in both revisions: nothing is decided by
 * the call itself, only by the form's answer, once, by the caller that was asked, in time. */
#include "tests/unit/ent_lab.h"

#include "agent/codec/json.h"
#include "agent/mcp_table.h"
#include "agent/queries.h"
#include "agent/wire/mcp.h"

static struct mcp_server *mcp;
static json_t *got;
static int status;
static char session[64], stream_text[8192];

static const struct peer root = { .local = true }, desk = { .did = "did:web:desk.lab.example" };

/* --- the wire -----------------------------------------------------------------------------------
 */

static void take(const char *text, size_t len)
{
	json_decref(got);
	got = json_loadb(text, len, 0, NULL);
}

static void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	status = r->status;
	for (size_t i = 0; i < r->nheaders; i++)
		if (!strcmp(r->headers[i].name, "Mcp-Session-Id"))
			(void)snprintf(session, sizeof(session), "%s", r->headers[i].value);
	take(r->body ? r->body : "", r->len);
}

static void *body_open(void *to, const struct wire_response *head, void (*gone)(void *), void *arg)
{
	(void)head, (void)gone, (void)arg;
	stream_text[0] = '\0';
	return to;
}

static int body_write(void *stream, const void *p, size_t n)
{
	size_t have = strlen(stream_text);

	(void)stream;
	assert_true(have + n < sizeof(stream_text));
	memcpy(stream_text + have, p, n);
	stream_text[have + n] = '\0';
	return 0;
}

static void body_end(void *stream)
{
	(void)stream;
}

static const struct wire_stream_ops ops = { body_open, body_write, body_end, NULL };

static void post(const struct peer *p, const char *version, const char *name, const char *body)
{
	struct wire_header h[] = { { "Content-Type", "application/json" },
				   { "Accept", "application/json, text/event-stream" },
				   { "MCP-Protocol-Version", version },
				   { "Mcp-Session-Id", session },
				   { "Mcp-Method", "tools/call" },
				   { "Mcp-Name", name } };
	struct wire_request r = { .method = "POST",
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = strcmp(version, MCP_VERSION) ? 4 : 6,
				  .body = body,
				  .len = strlen(body),
				  .peer = p };

	take("", 0);
	mcp_server_handle(mcp, &r, (struct wire_sink){ on_reply, &status, &ops });
	assert_int_equal(engine_turn(lab.side.engine), 0);
}

static const json_t *result(const char *key)
{
	return json_object_get(json_object_get(got, "result"), key);
}

static int64_t code(void)
{
	return json_integer_value(json_object_get(json_object_get(got, "error"), "code"));
}

/* One call of the newer revision; more: "" or members behind the arguments. */
static void review(const struct peer *p, const char *capabilities, const char *more)
{
	char body[2048];

	(void)snprintf(
		body, sizeof(body),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"_meta\":{"
		"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		"\"io.modelcontextprotocol/clientCapabilities\":%s},\"name\":"
		"\"approval_review\",\"arguments\":{\"id\":\"%s\"}%s}}",
		capabilities, lab_deal(0)->approval.id.s, more);
	post(p, MCP_VERSION, "approval_review", body);
}

#define CAN "{\"elicitation\":{}}"

static void answer(const struct peer *p, const char *state, const char *form)
{
	char more[1024];

	(void)snprintf(more, sizeof(more),
		       ",\"requestState\":\"%s\",\"inputResponses\":{\"decision\":%s}", state,
		       form);
	review(p, CAN, more);
}

/* --- the lab ------------------------------------------------------------------------------------
 */

static bool waits(void)
{
	return lab_world()->n_deals && lab_deal(0)->approval_state == APPROVAL_WAITING;
}

static int setup(void **state)
{
	static bool rows;
	struct cfg_principal *p = NULL;
	struct err e = { 0 };
	int r;

	lab_human_above = 100000;
	r = lab_setup_with(state, "approval-seconds = 3600\n");
	p = &((struct config *)(uintptr_t)lab.side.cfg)->principal[0];
	*p = (struct cfg_principal){ .may = 1u << OWNER_human };
	must_set(p->did, desk.did);
	((struct config *)(uintptr_t)lab.side.cfg)->principals = 1;
	if (!rows && queries_start(&lab.side, &e))
		fail_msg("%s", e.text);
	rows = true;
	if (mcp_table_serve(&lab.side, NULL, &mcp, &e))
		fail_msg("%s", e.text);
	lab_declare("market-data", 0);
	assert_true(lab_run(waits, 30));
	return r;
}

static int teardown(void **state)
{
	mcp = mcp_server_free(mcp);
	json_decref(got);
	got = NULL;
	session[0] = '\0';
	return lab_teardown(state);
}

/* The state of the question that must have been put. */
static void question(char state[64])
{
	const json_t *ask = json_object_get(result("inputRequests"), "decision");
	const char *text =
		json_string_value(json_object_get(json_object_get(ask, "params"), "message"));

	assert_string_equal(json_string_value(result("resultType")), "input_required");
	assert_string_equal(json_string_value(json_object_get(ask, "method")),
			    "elicitation/create");
	assert_non_null(strstr(text, "1400.00 EUR"));
	(void)snprintf(state, 64, "%s", json_string_value(result("requestState")));
	assert_int_equal(strlen(state), 32);
	assert_true(waits());
}

#define GRANT "{\"action\":\"accept\",\"content\":{\"decision\":\"grant\",\"reason\":\"worth it\"}}"
#define DENY  "{\"action\":\"accept\",\"content\":{\"decision\":\"deny\",\"reason\":\"too dear\"}}"

static void granted_by_the_form(void **state)
{
	char s[64];

	(void)state;
	review(&root, CAN, "");
	question(s);
	answer(&root, s, GRANT);
	assert_string_equal(
		json_string_value(json_object_get(result("structuredContent"), "state")),
		"granted");
	assert_int_equal(lab_deal(0)->approval_state, APPROVAL_USED);
	answer(&root, s, DENY);
	assert_true(json_is_true(result("isError"))); /* nothing waits any more */
	assert_true(lab_run(lab_settled, 60));
}

static void denied_by_a_principal(void **state)
{
	char s[64];

	(void)state;
	review(&desk, CAN, "");
	question(s);
	answer(&desk, s, DENY);
	assert_int_equal(lab_deal(0)->approval_state, APPROVAL_DENIED);
}

static void only_the_question_that_was_put(void **state)
{
	static const char *const vague[] = {
		"{}",
		"null",
		"{\"action\":\"accept\"}",
		"{\"action\":\"accept\",\"content\":{\"decision\":\"grant\"}}",
		"{\"action\":\"accept\",\"content\":{\"decision\":\"yes\",\"reason\":\"r\"}}",
		"{\"action\":\"accept\",\"content\":{\"decision\":\"grant\",\"reason\":\"\"}}",
	};
	char s[64], bent[64];

	(void)state;
	review(&root, "{}", "");
	assert_int_equal(status, 400);
	assert_int_equal(code(), MCP_E_CAPABILITY);
	answer(&root, "00000000000000000000000000000000", GRANT);
	assert_int_equal(code(), MCP_E_PARAMS);
	answer(&root, "", GRANT);
	assert_int_equal(code(), MCP_E_PARAMS);
	review(&root, CAN, "");
	question(s);
	answer(&desk, s, GRANT); /* another's question */
	assert_int_equal(code(), MCP_E_PARAMS);
	memcpy(bent, s, sizeof(bent));
	bent[3] = bent[3] == 'a' ? 'b' : 'a';
	answer(&root, bent, GRANT);
	assert_int_equal(code(), MCP_E_PARAMS);
	for (size_t i = 0; i < ARRAY_LEN(vague); i++) {
		answer(&root, s, vague[i]); /* asks again, under a new state */
		question(bent);
		assert_string_not_equal(s, bent);
		memcpy(s, bent, sizeof(s));
	}
	answer(&root, s, "{\"action\":\"decline\"}");
	assert_true(json_is_true(result("isError")));
	assert_true(waits());
	answer(&root, s, GRANT); /* the question is spent */
	assert_int_equal(code(), MCP_E_PARAMS);
	assert_true(waits());
	assert_int_equal(op.deal[0].accepts, 0);
}

/* --- the older revision: asked within the call --- */

static void call_old(const char *body)
{
	post(&root, MCP_LEGACY_VERSION, "approval_review", body);
}

static void begin_old(void)
{
	char body[512];

	call_old("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
		 "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"elicitation\":{}}}}");
	assert_int_equal(status, 200);
	(void)snprintf(
		body, sizeof(body),
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":"
		"\"approval_review\",\"arguments\":{\"id\":\"%s\"}}}",
		lab_deal(0)->approval.id.s);
	call_old(body);
	assert_non_null(strstr(stream_text, "\"method\":\"elicitation/create\""));
	assert_true(waits());
}

static void asked_in_a_session(void **state)
{
	(void)state;
	begin_old();
	call_old("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"action\":\"cancel\"}}");
	assert_non_null(strstr(stream_text, "\"isError\":true"));
	assert_true(waits());
	begin_old();
	call_old("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
		 "\"requestId\":2}}");
	assert_true(waits());
	begin_old();
	call_old("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":" GRANT "}");
	assert_non_null(strstr(stream_text, "\"state\":\"granted\""));
	assert_int_equal(lab_deal(0)->approval_state, APPROVAL_USED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(granted_by_the_form),
		T(denied_by_a_principal),
		T(only_the_question_that_was_put),
		T(asked_in_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
