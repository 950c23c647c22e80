/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks extension over bytes: who gets a task, what its owner sees of it, how it ends, asks and
 * is cancelled, and that it is nobody else's. */
#include "mcp_lab.h"
#include "stream_lab.h"

#include "agent/codec/json.h"

static unsigned gone;
static int made;
static json_t *answers;
static wall_t clock_ms = { 1790000000000 };
static const struct peer alice = { .did = "did:web:alice.example" },
			 bob = { .did = "did:web:bob.example" };

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg, (void)p, (void)tool, (void)args, (void)key;
	held = t;
	made = mcp_turn_task(t);
	return 0;
}

static wall_t now(void *arg)
{
	(void)arg;
	return clock_ms;
}

static int setup(void **state)
{
	static const struct mcp_tool tools[] = { { "job", NULL, "d", "{\"type\":\"object\"}", NULL,
						   false, false, true, false, true } };
	static const struct mcp_app app = { .call = on_call };
	static const struct mcp_config c = { .path = "/mcp",
					     .name = "n",
					     .version = "1",
					     .tools = tools,
					     .ntools = 1,
					     .legacy = true,
					     .max_peer_turns = 256,
					     .now = now };

	(void)state;
	gone = 0;
	got_clear();
	return mcp_server_new(&srv, &c, &app, NULL);
}

static int teardown(void **state)
{
	(void)state;
	srv = mcp_server_free(srv);
	got_clear();
	json_decref(answers);
	answers = NULL;
	return 0;
}

#define HAS "{\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}}"

static void post(const struct peer *p, const char *capabilities, const char *method,
		 const char *name, const char *params)
{
	const struct wire_header h[] = { { "MCP-Protocol-Version", MCP_VERSION },
					 { "Mcp-Method", method },
					 { "Mcp-Name", name } };
	char body[1024];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{"
		       "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":"
		       "\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":%s}%s}}",
		       method, capabilities, params);
	mcp_request(p, "POST", h, ARRAY_LEN(h), body, (struct wire_sink){ .fn = on_reply });
}

static void begin(const struct peer *p, char id[64])
{
	post(p, HAS, "tools/call", "job", ",\"name\":\"job\"");
	assert_int_equal(made, 0);
	assert_int_equal(got.replies, 1);
	assert_string_equal(json_string_value(result("resultType")), "task");
	assert_string_equal(json_string_value(result("status")), "working");
	(void)snprintf(id, 64, "%s", json_string_value(result("taskId")));
}

static void task(const struct peer *p, const char *method, const char *id, const char *more)
{
	char params[512];

	(void)snprintf(params, sizeof(params), ",\"taskId\":\"%s\"%s", id, more);
	post(p, HAS, method, id, params);
}

static void expect(const struct peer *p, const char *id, const char *status)
{
	task(p, "tasks/get", id, "");
	assert_string_equal(json_string_value(result("resultType")), "complete");
	assert_string_equal(json_string_value(result("status")), status);
}

static void it_works_and_ends(void **state)
{
	auto_json json_t *o = json_pack("{s:i}", "k", 7);
	char id[64];

	(void)state;
	begin(&alice, id);
	expect(&alice, id, "working");
	assert_string_equal(json_string_value(result("createdAt")), "2026-09-21T14:13:20.000Z");
	clock_ms.ms += 5000;
	mcp_turn_progress(held, 1, 2, "nobody reads it");
	mcp_turn_result(held, o);
	assert_int_equal(got.replies, 1); /* the last tasks/get: nothing more was sent */
	expect(&alice, id, "completed");
	assert_string_equal(json_string_value(result("lastUpdatedAt")), "2026-09-21T14:13:25.000Z");
	assert_true(json_equal(json_object_get(result("result"), "structuredContent"), o));
	begin(&alice, id);
	mcp_turn_refuse(held, "no");
	expect(&alice, id, "completed"); /* a refusal is a result */
	assert_true(json_is_true(json_object_get(result("result"), "isError")));
	begin(&alice, id);
	mcp_turn_fail(held, MCP_E_INTERNAL, "broke");
	expect(&alice, id, "failed");
	assert_null(result("result"));
	assert_int_equal(json_integer_value(json_object_get(result("error"), "code")), -32603);
}

static void only_who_declares_it(void **state)
{
	char id[64];

	(void)state;
	post(&alice, "{}", "tools/call", "job", ",\"name\":\"job\"");
	assert_int_equal(made, -EOPNOTSUPP);
	assert_int_equal(got.replies, 0); /* it waits as ever */
	mcp_turn_refuse(held, "end");
	assert_int_equal(got.replies, 1);
	begin(&alice, id);
	for (int i = 0; i < 3; i++) {
		static const char *const methods[] = { "tasks/get", "tasks/update",
						       "tasks/cancel" };
		char params[128];

		(void)snprintf(params, sizeof(params), ",\"taskId\":\"%s\"", id);
		post(&alice, "{}", methods[i], id, params);
		assert_int_equal(got.status, 400);
		assert_int_equal(code(), MCP_E_CAPABILITY);
		task(&bob, methods[i], id, ",\"inputResponses\":{}"); /* another's is none */
		assert_int_equal(code(), MCP_E_PARAMS);
	}
	expect(&alice, id, "working");
	post(&alice, HAS, "tasks/get", "other", ",\"taskId\":\"x\""); /* not what is asked for */
	assert_int_equal(code(), MCP_E_HEADER);
	mcp_turn_refuse(held, "end");
}

static void on_gone(void *arg)
{
	(void)arg;
	gone++;
	mcp_turn_refuse(held, "cancelled");
}

static void cancelled_is_cancelled(void **state)
{
	auto_json json_t *o = json_object();
	char id[64];

	(void)state;
	begin(&alice, id);
	mcp_turn_on_cancel(held, on_gone, NULL);
	task(&alice, "tasks/cancel", id, "");
	assert_string_equal(json_string_value(result("resultType")), "complete");
	assert_int_equal(gone, 1);
	expect(&alice, id, "cancelled");
	assert_null(result("result"));
	task(&alice, "tasks/cancel", id, ""); /* again: the same */
	assert_int_equal(code(), 0);
	begin(&alice, id);
	task(&alice, "tasks/cancel", id, "");
	mcp_turn_result(held, o); /* it could not be stopped: what it says is not heard */
	expect(&alice, id, "cancelled");
}

static void on_answers(void *arg, struct mcp_turn *t, const json_t *responses)
{
	auto_json json_t *o = json_object();

	(void)arg;
	answers = json_deep_copy(responses);
	mcp_turn_result(t, o);
}

static void listen_to(const struct peer *p, unsigned to, const char *capabilities, const char *ids)
{
	const struct wire_header h[] = { { "MCP-Protocol-Version", MCP_VERSION },
					 { "Mcp-Method", "subscriptions/listen" } };
	char body[1024];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":\"L\",\"method\":\"subscriptions/listen\","
		       "\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":"
		       "\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":%s},"
		       "\"notifications\":{\"taskIds\":[%s]}}}",
		       capabilities, ids);
	mcp_request(p, "POST", h, ARRAY_LEN(h), body,
		    (struct wire_sink){ on_reply, &streams[to], &ops });
}

/* The last notification of that stream is the task as its owner would get it now. */
static void told_as_got(const struct peer *p, unsigned st, const char *id)
{
	const char *at = streams[st].text, *hit;
	auto_json json_t *n = NULL, *shown = NULL;
	json_t *params;

	while ((hit = strstr(at + 1, "data: ")))
		at = hit;
	n = json_loads(at + 6, JSON_DISABLE_EOF_CHECK, NULL);
	assert_string_equal(json_string_value(json_object_get(n, "method")), "notifications/tasks");
	params = json_object_get(n, "params");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(params, "_meta"),
						  "io.modelcontextprotocol/subscriptionId")),
		"L");
	(void)json_object_del(params, "_meta");
	task(p, "tasks/get", id, "");
	shown = json_deep_copy(json_object_get(got.json, "result"));
	(void)json_object_del(shown, "resultType");
	(void)json_object_del(shown, "_meta");
	assert_true(json_equal(params, shown));
}

static void its_owner_hears_of_it(void **state)
{
	auto_json json_t *ask =
		json_pack("{s:{s:s, s:{}}}", "q", "method", "elicitation/create", "params");
	char id[64], ids[200];
	struct mcp_turn *first;

	(void)state;
	memset(streams, 0, sizeof(streams));
	begin(&alice, id);
	first = held;
	(void)snprintf(ids, sizeof(ids), "\"%s\",\"nope\",7", id);
	listen_to(&alice, 0, "{}", ids);
	assert_int_equal(got.status, 400);
	assert_int_equal(code(), MCP_E_CAPABILITY);
	assert_int_equal(streams[0].opens, 0);
	listen_to(&alice, 0, HAS, ids);
	assert_non_null(strstr(streams[0].text, "acknowledged"));
	(void)snprintf(ids, sizeof(ids), "\"taskIds\":[\"%s\"]", id);
	assert_non_null(strstr(streams[0].text, ids));
	(void)snprintf(ids, sizeof(ids), "\"%s\"", id);
	listen_to(&bob, 1, HAS, ids); /* another's task is none, and no word of it comes */
	assert_null(strstr(streams[1].text, "taskIds"));
	streams[1].text[0] = 0;
	assert_int_equal(mcp_turn_task_ask(first, ask, on_answers, NULL), 0);
	told_as_got(&alice, 0, id);
	assert_non_null(strstr(streams[0].text, "\"input_required\""));
	listen_to(&alice, 2, HAS, ids); /* late: what it missed is told at once */
	told_as_got(&alice, 2, id);
	task(&alice, "tasks/update", id, ",\"inputResponses\":{\"q\":{\"action\":\"accept\"}}");
	told_as_got(&alice, 0, id);
	told_as_got(&alice, 2, id);
	assert_non_null(strstr(streams[2].text, "\"completed\""));
	assert_string_equal(streams[1].text, "");
	streams[0].text[0] = 0;
	begin(&alice, id); /* nobody listens to it */
	mcp_turn_refuse(held, "end");
	assert_string_equal(streams[0].text, "");
	begin(&alice, id);
	(void)snprintf(ids, sizeof(ids), "\"%s\"", id);
	listen_to(&alice, 3, HAS, ids);
	listen_to(&alice, 4, HAS, ids);
	streams[4].refuses = true; /* it reads no more: let go, and the others hear */
	task(&alice, "tasks/cancel", id, "");
	told_as_got(&alice, 3, id);
	assert_false(streams[4].open);
	mcp_turn_refuse(held, "end");
}

static void it_asks_its_owner(void **state)
{
	auto_json json_t *ask = json_pack("{s:{s:s}, s:{s:s}}", "a", "method", "elicitation/create",
					  "b", "method", "elicitation/create");
	char id[64];

	(void)state;
	begin(&alice, id);
	assert_int_equal(mcp_turn_task_ask(held, ask, on_answers, NULL), 0);
	assert_int_equal(mcp_turn_task_ask(held, ask, on_answers, NULL), -EINVAL);
	expect(&alice, id, "input_required");
	assert_int_equal(json_object_size(result("inputRequests")), 2);
	task(&alice, "tasks/update", id, "");
	assert_int_equal(code(), MCP_E_PARAMS);
	task(&bob, "tasks/update", id, ",\"inputResponses\":{\"a\":{},\"b\":{}}");
	task(&alice, "tasks/update", id, ",\"inputResponses\":{\"a\":{\"n\":1},\"z\":{}}");
	task(&alice, "tasks/update", id, ",\"inputResponses\":{\"a\":{\"n\":2}}"); /* too late */
	expect(&alice, id, "input_required");
	assert_int_equal(json_object_size(result("inputRequests")), 1);
	task(&alice, "tasks/update", id, ",\"inputResponses\":{\"b\":{\"n\":3}}");
	assert_int_equal(code(), 0);
	expect(&alice, id, "completed");
	assert_int_equal(json_object_size(answers), 2);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(answers, "a"), "n")),
			 1);
}

/* What ended makes room; what works does not, and then the call is no task. */
static void there_is_only_so_much_room(void **state)
{
	struct mcp_turn *turns[64];
	char first[64], id[64];

	(void)state;
	for (int i = 0; i < 64; i++) {
		begin(&alice, i ? id : first);
		turns[i] = held;
	}
	post(&alice, HAS, "tools/call", "job", ",\"name\":\"job\"");
	assert_int_equal(made, -ENOSPC);
	mcp_turn_refuse(held, "later");
	begin(&bob, id);
	mcp_turn_refuse(held, "end");
	mcp_turn_refuse(turns[0], "end");
	begin(&alice, id);
	task(&alice, "tasks/get", first, "");
	assert_int_equal(code(), MCP_E_PARAMS);
	mcp_turn_refuse(held, "end");
	for (int i = 1; i < 60; i++)
		mcp_turn_refuse(turns[i], "end");
	srv = mcp_server_free(srv); /* the rest outlives it */
	for (int i = 60; i < 64; i++)
		mcp_turn_refuse(turns[i], "end");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_works_and_ends), T(only_who_declares_it),  T(cancelled_is_cancelled),
		T(it_asks_its_owner), T(its_owner_hears_of_it), T(there_is_only_so_much_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
