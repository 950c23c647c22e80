/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of 2025-11-25 over bytes: the caller asks for one, sees it go, waits for its result,
 * answers what it asks, cancels it; and it is nobody else's. */
#include "mcp_lab.h"
#include "stream_lab.h"

#include "agent/codec/json.h"

static unsigned gone, calls;
static int made;
static json_t *answers;
static wall_t clock_ms = { 1790000000000 };
static const struct peer alice = { .did = "did:web:alice.example" },
			 bob = { .did = "did:web:bob.example" };
static char a[64], b[64]; /* their sessions */

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg, (void)p, (void)args, (void)key;
	held = t;
	calls++;
	if (!strcmp(tool, "broken"))
		return -EIO;
	made = mcp_turn_task(t);
	return 0;
}

static wall_t now(void *arg)
{
	(void)arg;
	return clock_ms;
}

static void send(const struct peer *p, unsigned to, const char *verb, const char *session,
		 const char *body)
{
	const struct wire_header h[] = { { "MCP-Protocol-Version", MCP_LEGACY_VERSION },
					 { "Mcp-Session-Id", session } };

	mcp_request(p, verb, h, ARRAY_LEN(h), body,
		    (struct wire_sink){ on_reply, &streams[to], &ops });
}

static void old(const struct peer *p, unsigned to, const char *method, const char *params)
{
	const char *session = !strcmp(method, "initialize") ? NULL : p == &alice ? a : b;
	char body[1024];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"%s\",\"params\":{%s}}", method,
		       params);
	send(p, to, "POST", session, body);
}

static void begin_session(const struct peer *p, char session[64])
{
	old(p, 0, "initialize",
	    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"elicitation\":{}},"
	    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}");
	assert_int_equal(got.status, 200);
	(void)snprintf(session, 64, "%s", got.session);
}

static int setup_with(wall_t (*clock)(void *arg))
{
#define OBJECT "{\"type\":\"object\"}"
	static const struct mcp_tool tools[] = {
		{ "job", NULL, "d", OBJECT, NULL, false, false, true, false, true },
		{ "quick", NULL, "d", OBJECT, NULL, false, false, true, false, false },
		{ "broken", NULL, "d", OBJECT, NULL, false, false, true, false, true },
	};
	static const struct mcp_app app = { .call = on_call };
	struct mcp_config c = { .path = "/mcp",
				.name = "n",
				.version = "1",
				.tools = tools,
				.ntools = ARRAY_LEN(tools),
				.legacy = true,
				.max_peer_turns = 256,
				.now = clock };
	int r;

	memset(streams, 0, sizeof(streams));
	gone = calls = 0;
	got_clear();
	r = mcp_server_new(&srv, &c, &app, NULL);
	begin_session(&alice, a);
	begin_session(&bob, b);
	return r;
}

static int setup(void **state)
{
	(void)state;
	return setup_with(now);
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

static const json_t *member(const json_t *o, const char *path)
{
	char key[64];

	while (o && *path) {
		size_t n = strcspn(path, "/");

		(void)snprintf(key, sizeof(key), "%.*s", (int)n, path);
		o = json_object_get(o, key);
		path += n + (path[n] == '/');
	}
	return o;
}

/* The slash in that key is no step of a path, as member() has them. */
static const char *related(const json_t *o)
{
	return json_string_value(
		json_object_get(json_object_get(json_object_get(o, "_meta"),
						"io.modelcontextprotocol/related-task"),
				"taskId"));
}

static void begin(const struct peer *p, char id[64])
{
	old(p, 0, "tools/call", "\"name\":\"job\",\"task\":{\"ttl\":60000}");
	assert_int_equal(made, 0);
	assert_int_equal(got.replies, 1);
	assert_null(result("content"));
	assert_null(result("resultType"));
	assert_string_equal(json_string_value(member(result("task"), "status")), "working");
	assert_int_equal(json_integer_value(member(result("task"), "ttl")), 3600000);
	(void)snprintf(id, 64, "%s", json_string_value(member(result("task"), "taskId")));
}

static void task(const struct peer *p, unsigned to, const char *method, const char *id)
{
	char params[128];

	(void)snprintf(params, sizeof(params), "\"taskId\":\"%s\"", id);
	old(p, to, method, params);
}

static void expect(const struct peer *p, const char *id, const char *status)
{
	task(p, 0, "tasks/get", id);
	assert_string_equal(json_string_value(result("status")), status);
	assert_null(related(json_object_get(got.json, "result")));
}

static void it_is_declared(void **state)
{
	json_t *t;
	size_t i;

	(void)state;
	old(&alice, 0, "initialize", "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}");
	assert_true(json_is_object(member(result("capabilities"), "tasks/list")));
	assert_true(json_is_object(member(result("capabilities"), "tasks/cancel")));
	assert_true(json_is_object(member(result("capabilities"), "tasks/requests/tools/call")));
	old(&alice, 0, "tools/list", "");
	json_array_foreach ((json_t *)(uintptr_t)result("tools"), i, t) {
		const char *support = json_string_value(member(t, "execution/taskSupport"));

		if (!strcmp(json_string_value(json_object_get(t, "name")), "quick"))
			assert_null(support);
		else
			assert_string_equal(support, "optional");
	}
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
	mcp_turn_result(held, o);
	expect(&alice, id, "completed");
	assert_string_equal(json_string_value(result("lastUpdatedAt")), "2026-09-21T14:13:25.000Z");
	task(&alice, 0, "tasks/result", id);
	assert_true(json_equal(result("structuredContent"), o));
	assert_string_equal(related(json_object_get(got.json, "result")), id);
	begin(&alice, id);
	mcp_turn_refuse(held, "no");
	expect(&alice, id, "failed"); /* what the tool refused has failed, and its words stay */
	task(&alice, 0, "tasks/result", id);
	assert_true(json_is_true(result("isError")));
	begin(&alice, id);
	mcp_turn_fail(held, MCP_E_INTERNAL, "broke");
	expect(&alice, id, "failed");
	assert_string_equal(json_string_value(result("statusMessage")), "broke");
	task(&alice, 0, "tasks/result", id);
	assert_int_equal(code(), MCP_E_INTERNAL);
	old(&alice, 0, "tools/call", "\"name\":\"broken\",\"task\":{}");
	(void)snprintf(id, sizeof(id), "%s", json_string_value(member(result("task"), "taskId")));
	expect(&alice, id, "failed");
	old(&alice, 0, "tools/call", "\"name\":\"job\""); /* who does not ask for one waits */
	assert_int_equal(made, -EOPNOTSUPP);
	assert_int_equal(got.replies, 0);
	mcp_turn_refuse(held, "end");
	assert_int_equal(got.replies, 1);
}

/* Each refused call is beside one that differs in one thing and goes through. */
static void what_may_not_be_one(void **state)
{
	static const struct {
		const char *params;
		int code;
	} rows[] = {
		{ "\"name\":\"job\",\"task\":7", MCP_E_PARAMS },
		{ "\"name\":\"job\",\"task\":{\"ttl\":\"long\"}", MCP_E_PARAMS },
		{ "\"name\":\"job\",\"task\":{\"ttl\":1}", 0 },
		{ "\"name\":\"job\",\"task\":{}", 0 },
		{ "\"name\":\"quick\",\"task\":{}", MCP_E_METHOD },
		{ "\"name\":\"quick\"", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		calls = 0;
		old(&alice, 0, "tools/call", rows[i].params);
		assert_int_equal(got.replies ? code() : 0, rows[i].code);
		assert_int_equal(calls, rows[i].code == 0);
		if (!rows[i].code)
			mcp_turn_refuse(held, "end");
	}
	(void)teardown(NULL);
	assert_int_equal(setup_with(NULL), 0); /* a server without tasks does not look at it */
	assert_null(member(result("capabilities"), "tasks"));
	old(&alice, 0, "tools/call", "\"name\":\"job\",\"task\":{}");
	assert_int_equal(got.replies, 0);
	mcp_turn_refuse(held, "end");
	task(&alice, 0, "tasks/get", "x");
	assert_int_equal(code(), MCP_E_METHOD);
	old(&alice, 0, "tasks/list", "");
	assert_int_equal(code(), MCP_E_METHOD);
}

static void it_is_its_owners(void **state)
{
	static const char *const methods[] = { "tasks/get", "tasks/result", "tasks/cancel" };
	char id[64], second[64];

	(void)state;
	begin(&alice, id);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		task(&bob, 0, methods[i], id);
		assert_int_equal(code(), MCP_E_PARAMS);
		task(&alice, 0, methods[i], "0123456789abcdef0123456789abcdef");
		assert_int_equal(code(), MCP_E_PARAMS);
	}
	task(&alice, 0, "tasks/update", id); /* of the newer revision */
	assert_int_equal(code(), MCP_E_METHOD);
	mcp_turn_refuse(held, "end");
	begin(&alice, second);
	mcp_turn_refuse(held, "end");
	old(&bob, 0, "tasks/list", "");
	assert_int_equal(json_array_size(result("tasks")), 0);
	old(&alice, 0, "tasks/list", "\"cursor\":\"x\"");
	assert_int_equal(code(), MCP_E_PARAMS);
	old(&alice, 0, "tasks/list", "");
	assert_int_equal(json_array_size(result("tasks")), 2);
	assert_string_equal(json_string_value(member(json_array_get(result("tasks"), 1), "taskId")),
			    second);
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
	send(&alice, 0, "POST", a,
	     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
	     "\"requestId\":5}}");
	expect(&alice, id,
	       "working"); /* the call has its answer: it is the task that is cancelled */
	task(&alice, 0, "tasks/cancel", id);
	assert_string_equal(json_string_value(result("status")), "cancelled");
	assert_int_equal(gone, 1);
	task(&alice, 0, "tasks/cancel", id);
	assert_int_equal(code(), MCP_E_PARAMS);
	task(&alice, 0, "tasks/result", id);
	assert_int_equal(code(), MCP_E_REQUEST);
	begin(&alice, id);
	task(&alice, 0, "tasks/cancel", id);
	mcp_turn_result(held, o); /* it could not be stopped: what it says is not heard */
	expect(&alice, id, "cancelled");
}

/* Every waiter gets the result; one that left, or says that it does not wait any more, does not
 * take the task with it. */
static void waiting_for_the_result(void **state)
{
	auto_json json_t *o = json_object();
	char id[64];

	(void)state;
	begin(&alice, id);
	task(&alice, 1, "tasks/result", id);
	assert_int_equal(got.replies, 0);
	task(&alice, 2, "tasks/result", id);
	task(&alice, 3, "tasks/result", id);
	streams[1].left(streams[1].left_arg);
	expect(&alice, id, "working");
	mcp_turn_result(held, o);
	assert_int_equal(got.replies, 3); /* tasks/get, and who still waited */
	assert_string_equal(related(json_object_get(got.json, "result")), id);
	begin(&alice, id);
	task(&alice, 1, "tasks/result", id);
	send(&alice, 0, "POST", a,
	     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
	     "\"requestId\":5}}");
	expect(&alice, id, "working");
	task(&alice, 1, "tasks/result", id);
	task(&alice, 0, "tasks/cancel", id);
	assert_int_equal(got.replies, 2);
	mcp_turn_result(held, o);
	begin(&alice, id);
	task(&alice, 1, "tasks/result", id);
	srv = mcp_server_free(srv);
	assert_int_equal(got.status, 503);
	mcp_turn_result(held, o);
}

static void on_answers(void *arg, struct mcp_turn *t, const json_t *responses)
{
	auto_json json_t *o = json_object();

	(void)arg;
	answers = json_deep_copy(responses);
	mcp_turn_result(t, o);
}

static void reply(const struct peer *p, const char *session, int id, const char *rest)
{
	char body[256];

	(void)snprintf(body, sizeof(body), "{\"jsonrpc\":\"2.0\",\"id\":%d,%s}", id, rest);
	send(p, 0, "POST", session, body);
}

static void it_asks_who_waits(void **state)
{
	auto_json json_t *ask =
		json_pack("{s:{s:s, s:{s:s}}, s:{s:s}}", "x", "method", "elicitation/create",
			  "params", "message", "x?", "y", "method", "elicitation/create");
	char id[64], want[256];

	(void)state;
	begin(&alice, id);
	assert_int_equal(mcp_turn_task_ask(held, ask, on_answers, NULL), 0);
	expect(&alice, id, "input_required");
	task(&alice, 1, "tasks/result", id);
	(void)snprintf(want, sizeof(want),
		       "\"id\":1,\"method\":\"elicitation/create\",\"params\":{\"message\":\"x?\","
		       "\"_meta\":{\"io.modelcontextprotocol/related-task\":{\"taskId\":\"%s\"}}}",
		       id);
	assert_non_null(strstr(streams[1].text, want));
	assert_null(strstr(streams[1].text, "\"id\":2"));
	reply(&bob, b, 1, "\"result\":{\"action\":\"accept\"}");
	streams[1].gone(streams[1].arg); /* the line broke: the next that waits is asked */
	expect(&alice, id, "input_required");
	task(&alice, 2, "tasks/result", id);
	assert_non_null(strstr(streams[2].text, "\"id\":2,\"method\""));
	reply(&alice, a, 2, "\"result\":{\"n\":2}");
	assert_non_null(strstr(streams[2].text, "\"id\":3,\"method\""));
	reply(&alice, a, 2, "\"result\":{\"n\":9}"); /* answered already */
	reply(&alice, a, 3, "\"error\":{\"code\":1,\"message\":\"no\"}");
	assert_non_null(strstr(streams[2].text, "\"structuredContent\""));
	assert_false(streams[2].open);
	expect(&alice, id, "completed");
	assert_int_equal(json_integer_value(member(answers, "x/n")), 2);
	assert_true(json_is_null(member(answers, "y")));
}

/* Whoever was asked leaves, or the question does not reach it: another that waits is asked. */
static void another_that_waits_is_asked(void **state)
{
	auto_json json_t *ask = json_pack("{s:{s:s}, s:{s:s}}", "x", "method", "elicitation/create",
					  "y", "method", "elicitation/create");
	char id[64];

	(void)state;
	begin(&alice, id);
	assert_int_equal(mcp_turn_task_ask(held, ask, on_answers, NULL), 0);
	task(&alice, 1, "tasks/result", id);
	assert_non_null(strstr(streams[1].text, "\"id\":1,\"method\""));
	task(&alice, 2, "tasks/result", id);
	streams[1].gone(streams[1].arg);
	assert_non_null(strstr(streams[2].text, "\"id\":2,\"method\""));
	streams[2].refuses = true;
	reply(&alice, a, 2, "\"result\":{\"n\":2}"); /* the next question finds no way out */
	task(&alice, 3, "tasks/result", id);
	assert_non_null(strstr(streams[3].text, "\"id\":4,\"method\""));
	reply(&alice, a, 4, "\"result\":{\"n\":4}");
	expect(&alice, id, "completed");
}

/* On the session's own stream. */
static void its_session_hears_of_it(void **state)
{
	auto_json json_t *o = json_object();
	char id[64];

	(void)state;
	send(&alice, 7, "GET", a, "");
	send(&bob, 6, "GET", b, "");
	old(&alice, 0, "tools/call",
	    "\"name\":\"job\",\"task\":{},\"_meta\":{\"progressToken\":\"p\"}");
	(void)snprintf(id, sizeof(id), "%s", json_string_value(member(result("task"), "taskId")));
	mcp_turn_progress(held, 1, 2, "half");
	assert_non_null(strstr(streams[7].text, "\"progressToken\":\"p\",\"progress\":1"));
	assert_non_null(strstr(streams[7].text, "related-task\":{\"taskId\":\""));
	streams[7].text[0] = 0;
	mcp_turn_result(held, o);
	assert_non_null(strstr(streams[7].text, "\"method\":\"notifications/tasks/status\""));
	assert_non_null(strstr(streams[7].text, "\"status\":\"completed\""));
	assert_null(strstr(streams[7].text, "related-task"));
	assert_null(strstr(streams[6].text, id));
	begin(&alice, id);
	streams[7].refuses = true; /* a reader that does not read is let go, the task is not */
	mcp_turn_result(held, o);
	assert_false(streams[7].open);
	expect(&alice, id, "completed");
}

static void there_is_only_so_much_room(void **state)
{
	struct mcp_turn *turns[64];
	char id[64];

	(void)state;
	for (int i = 0; i < 64; i++) {
		begin(&alice, id);
		turns[i] = held;
	}
	calls = 0;
	old(&alice, 0, "tools/call", "\"name\":\"job\",\"task\":{}");
	assert_int_equal(code(), MCP_E_LIMIT);
	assert_int_equal(calls, 0);
	begin(&bob, id);
	mcp_turn_refuse(held, "end");
	mcp_turn_refuse(turns[0], "end");
	begin(&alice, id);
	mcp_turn_refuse(held, "end");
	for (int i = 1; i < 64; i++)
		mcp_turn_refuse(turns[i], "end");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_declared),          T(it_works_and_ends),
		T(what_may_not_be_one),     T(it_is_its_owners),
		T(cancelled_is_cancelled),  T(waiting_for_the_result),
		T(it_asks_who_waits),       T(another_that_waits_is_asked),
		T(its_session_hears_of_it), T(there_is_only_so_much_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
