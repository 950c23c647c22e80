/* SPDX-License-Identifier: Apache-2.0 */
/* A2A over bytes: every rule of the envelope, the headers, the message and the task, as tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent/wire/a2a.h"

#define EXT "https://treaty.example/a2a/negotiation/v1"

static struct {
	int status, replies;
	char body[65536], ext[128], etag[128];
	json_t *json;
} got;
static struct a2a_server *srv;
static struct a2a_turn *held;
static unsigned app_calls;
static int cancel_answer;
static struct peer alice = { .did = "did:web:alice.example" };
static struct peer bob = { .did = "did:web:bob.example" };
static int64_t clock_ms = 1790000000000;

static void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	got.replies++;
	got.status = r->status;
	assert_true(r->len < sizeof(got.body));
	memcpy(got.body, r->body ? r->body : "", r->len);
	got.body[r->len] = 0;
	got.ext[0] = got.etag[0] = 0;
	for (size_t i = 0; i < r->nheaders; i++) {
		if (!strcmp(r->headers[i].name, "A2A-Extensions"))
			(void)snprintf(got.ext, sizeof(got.ext), "%s", r->headers[i].value);
		if (!strcmp(r->headers[i].name, "ETag"))
			(void)snprintf(got.etag, sizeof(got.etag), "%s", r->headers[i].value);
	}
	json_decref(got.json);
	got.json = json_loads(got.body, 0, NULL);
}

static wall_t now(void *arg)
{
	(void)arg;
	return (wall_t){ clock_ms++ };
}

/* The first data part says what the application shall do. */
static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	const json_t *d = json_array_get(m->data, 0);
	const char *act = json_string_value(json_object_get(d, "act"));

	(void)arg;
	(void)p;
	app_calls++;
	assert_true(m->context_id[0] != 0);
	if (!act || !strcmp(act, "echo")) {
		a2a_turn_message(t, d ? d : json_object_get(m->metadata, "nothing"));
	} else if (!strcmp(act, "hold")) {
		held = t;
	} else if (!strcmp(act, "fail")) {
		a2a_turn_fail(t, A2A_E_PARAMS, "intent.class: unknown", d);
	} else if (!strcmp(act, "broken")) {
		return -EIO;
	} else {
		assert_int_equal(a2a_turn_artifact(t, "Quote", d), 0);
		assert_int_equal(a2a_turn_metadata(t, d), 0);
		a2a_turn_task(t, a2a_state_parse(act), d);
	}
	return 0;
}

static int on_cancel(void *arg, const struct peer *p, const char *id)
{
	(void)arg;
	(void)p;
	(void)id;
	return cancel_answer;
}

static const char *const skills[] = { "negotiate", "Negotiates network service", NULL };
static struct a2a_config config = { .path = "/a2a",
				    .url = "https://op.lab.example:8443/a2a",
				    .name = "Operator",
				    .description = "Sells network service",
				    .version = "1.0.0",
				    .extension = EXT,
				    .skills = skills,
				    .now = now };

static int setup(void **state)
{
	static const struct a2a_app app = { .on_message = on_message, .on_cancel = on_cancel };

	(void)state;
	held = NULL;
	app_calls = 0;
	cancel_answer = 0;
	return a2a_server_new(&srv, &config, &app, NULL);
}

static int teardown(void **state)
{
	(void)state;
	srv = a2a_server_free(srv);
	json_decref(got.json);
	got.json = NULL;
	return 0;
}

static void send_raw(const struct peer *p, const char *method, const char *path,
		     const struct wire_header *h, size_t n, const char *body)
{
	struct wire_request r = { .method = method,
				  .path = path,
				  .query = "",
				  .headers = h,
				  .nheaders = n,
				  .body = body,
				  .len = strlen(body),
				  .peer = p };

	got.replies = 0;
	a2a_server_handle(srv, &r, (struct wire_sink){ on_reply, NULL });
}

static const struct wire_header good[] = { { "A2A-Version", "1.0" },
					   { "content-type", "application/json; charset=utf-8" },
					   { "A2A-Extensions", "urn:x, " EXT } };

static void post(const struct peer *p, const char *body)
{
	send_raw(p, "POST", "/a2a", good, ARRAY_LEN(good), body);
}

static void call(const struct peer *p, const char *method, const char *params)
{
	char body[4096];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"%s\",\"params\":%s}", method,
		       params);
	post(p, body);
}

static int64_t code(void)
{
	return json_integer_value(json_object_get(json_object_get(got.json, "error"), "code"));
}

static const char *at(const char *a, const char *b, const char *c)
{
	json_t *v = json_object_get(got.json, a);

	v = b ? json_object_get(v, b) : v;
	return json_string_value(c ? json_object_get(v, c) : v);
}

static void message(const struct peer *p, const char *id, const char *act, const char *more)
{
	char params[2048];

	(void)snprintf(
		params, sizeof(params),
		"{\"message\":{\"messageId\":\"%s\",\"role\":\"ROLE_USER\",\"parts\":[{\"data\":"
		"{\"act\":\"%s\"}}]%s}}",
		id, act, more);
	call(p, "SendMessage", params);
}

#define M(fields) "{\"message\":{" fields "}}"
#define OK_ID     "\"messageId\":\"m\",\"role\":\"ROLE_USER\""
#define OK_PARTS  "\"parts\":[{\"data\":{\"act\":\"echo\"}}]"

static void params_are_checked(void **state)
{
	static const struct {
		const char *params;
		int64_t code;
	} rows[] = {
		{ M(OK_ID "," OK_PARTS), 0 },
		{ "{\"message\":{\"message_id\":\"s\",\"role\":1," OK_PARTS
		  ",\"context_id\":\"c\"}}",
		  0 },
		{ M("\"messageId\":\"e\",\"role\":\"ROLE_USER\",\"unknown\":1," OK_PARTS), 0 },
		{ M("\"messageId\":\"n\",\"role\":\"ROLE_USER\",\"taskId\":null," OK_PARTS), 0 },
		{ "{}", -32602 },
		{ "{\"message\":[]}", -32602 },
		{ M("\"role\":\"ROLE_USER\"," OK_PARTS), -32602 },
		{ M("\"messageId\":\"\",\"role\":\"ROLE_USER\"," OK_PARTS), -32602 },
		{ M("\"messageId\":5,\"role\":\"ROLE_USER\"," OK_PARTS), -32602 },
		{ M("\"messageId\":\"a\\u0001\",\"role\":\"ROLE_USER\"," OK_PARTS), -32602 },
		{ M("\"messageId\":\"x\"," OK_PARTS), -32602 },
		{ M("\"messageId\":\"x\",\"role\":\"user\"," OK_PARTS), -32602 },
		{ M("\"messageId\":\"x\",\"role\":\"ROLE_AGENT\"," OK_PARTS), -32602 },
		{ M("\"messageId\":\"x\",\"role\":2," OK_PARTS), -32602 },
		{ M(OK_ID), -32602 },
		{ M(OK_ID ",\"parts\":[]"), -32602 },
		{ M(OK_ID ",\"parts\":{}"), -32602 },
		{ M(OK_ID ",\"parts\":[1]"), -32602 },
		{ M(OK_ID ",\"parts\":[{}]"), -32602 },
		{ M(OK_ID ",\"parts\":[{\"text\":1}]"), -32602 },
		{ M(OK_ID ",\"parts\":[{\"text\":\"a\",\"data\":1}]"), -32602 },
		{ M(OK_ID ",\"parts\":[{\"data\":1,\"metadata\":[]}]"), -32602 },
		{ M(OK_ID ",\"parts\":[{\"data\":1,\"mediaType\":1}]"), -32602 },
		{ M(OK_ID ",\"metadata\":1," OK_PARTS), -32602 },
		{ M(OK_ID ",\"extensions\":\"x\"," OK_PARTS), -32602 },
		{ M(OK_ID ",\"extensions\":[1]," OK_PARTS), -32602 },
		{ M(OK_ID ",\"referenceTaskIds\":[1]," OK_PARTS), -32602 },
		{ M(OK_ID ",\"taskId\":1," OK_PARTS), -32602 },
		{ M(OK_ID ",\"contextId\":\"\"," OK_PARTS), -32602 },
		{ M("\"messageId\":\"y\",\"role\":\"ROLE_USER\",\"taskId\":\"nope\"," OK_PARTS),
		  -32001 },
		{ "{\"metadata\":1,\"message\":{" OK_ID "," OK_PARTS "}}", -32602 },
		{ "{\"configuration\":1,\"message\":{" OK_ID "," OK_PARTS "}}", -32602 },
		{ "{\"configuration\":{\"returnImmediately\":1},\"message\":{" OK_ID "," OK_PARTS
		  "}}",
		  -32602 },
		{ "{\"configuration\":{\"history_length\":-1},\"message\":{" OK_ID "," OK_PARTS
		  "}}",
		  -32602 },
		{ "{\"configuration\":{\"taskPushNotificationConfig\":{}},\"message\":{" OK_ID
		  "," OK_PARTS "}}",
		  -32003 },
		{ "{\"configuration\":{\"acceptedOutputModes\":[\"text/"
		  "plain\"]},\"message\":{" OK_ID "," OK_PARTS "}}",
		  -32005 },
		{ "{\"configuration\":{},\"message\":{" OK_ID "," OK_PARTS "}}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		call(&alice, "SendMessage", rows[i].params);
		if (code() != rows[i].code)
			print_error("row %zu %s -> %s\n", i, rows[i].params, got.body);
		assert_int_equal(got.status, 200);
		assert_int_equal(got.replies, 1);
		assert_int_equal(code(), rows[i].code);
		assert_int_equal(json_integer_value(json_object_get(got.json, "id")), 7);
	}
	assert_int_equal(app_calls, 4); /* the fifth good row is a repeated message */
}

static void envelope_is_checked(void **state)
{
	static const struct {
		const char *body;
		int64_t code;
	} rows[] = {
		{ "", -32700 },
		{ "{", -32700 },
		{ "{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\"}", -32700 },
		{ "[]", -32600 },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		  -32700 },
		{ "{\"id\":1,\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":1}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetTask\",\"params\":[]}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetTask\"}", -32602 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\"}", -32601 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendStreamingMessage\"}", -32004 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SubscribeToTask\"}", -32004 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetExtendedAgentCard\"}", -32004 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetTaskPushNotificationConfig\"}",
		  -32003 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		post(&alice, rows[i].body);
		if (code() != rows[i].code)
			print_error("row %zu %s -> %s\n", i, rows[i].body, got.body);
		assert_int_equal(code(), rows[i].code);
	}
}

static void headers_are_checked(void **state)
{
	static const struct {
		const char *version, *type;
		int64_t code;
	} rows[] = {
		{ "1.0", "application/json", -32602 },  { "1.0.1", "application/json", -32602 },
		{ "", "application/json", -32009 },     { "0.3", "application/json", -32009 },
		{ "1.1", "application/json", -32009 },  { "1.0.", "application/json", -32009 },
		{ "1.0x", "application/json", -32009 }, { "1.0", "text/plain", -32005 },
		{ "1.0", "application/jsonx", -32005 },
	};
	const char *body =
		"{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"GetTask\",\"params\":{}}";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct wire_header h[] = { { "A2A-Version", rows[i].version },
						 { "Content-Type", rows[i].type } };

		send_raw(&alice, "POST", "/a2a/", h, 2, body);
		assert_int_equal(code(), rows[i].code);
	}
	send_raw(&alice, "POST", "/a2a", &good[1], 1, body); /* absent means 0.3 */
	assert_int_equal(code(), -32009);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(json_object_get(got.json, "error"), "data"),
				       0),
			"reason")),
		"VERSION_NOT_SUPPORTED");
	send_raw(&alice, "GET", "/a2a", good, 3, "");
	assert_int_equal(got.status, 405);
	send_raw(&alice, "POST", "/elsewhere", good, 3, "");
	assert_int_equal(got.status, 404);
	send_raw(&(struct peer){ 0 }, "POST", "/a2a", good, 3, body);
	assert_int_equal(got.status, 401);
}

static void extension_is_activated_or_required(void **state)
{
	static const struct a2a_app app = { .on_message = on_message };
	struct a2a_config strict = config;

	message(&alice, "m1", "echo", "");
	assert_string_equal(got.ext, EXT);
	teardown(state);
	strict.extension_required = true;
	assert_int_equal(a2a_server_new(&srv, &strict, &app, NULL), 0);
	send_raw(&alice, "POST", "/a2a", good, 2,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ListTasks\"}");
	assert_int_equal(code(), -32008);
	message(&alice, "m1", "echo", "");
	assert_int_equal(code(), 0);
}

static void same_message_same_answer(void **state)
{
	char first[sizeof(got.body)];

	(void)state;
	message(&alice, "m1", "TASK_STATE_INPUT_REQUIRED", "");
	memcpy(first, got.body, sizeof(first));
	message(&alice, "m1", "TASK_STATE_INPUT_REQUIRED", "");
	assert_string_equal(got.body, first);
	assert_int_equal(app_calls, 1);
	message(&alice, "m1", "echo", "");
	assert_int_equal(code(), -32602);
	message(&bob, "m1", "echo", ""); /* ids are each peer's own */
	assert_int_equal(code(), 0);
	assert_int_equal(app_calls, 2);
	/* an internal failure is not an answer to keep */
	message(&alice, "m2", "broken", "");
	assert_int_equal(code(), -32603);
	message(&alice, "m2", "broken", "");
	assert_int_equal(app_calls, 4);
}

static void repeated_message_waits_beside_the_first(void **state)
{
	json_t *d = json_pack("{s:s}", "k", "v");

	(void)state;
	message(&alice, "m1", "hold", "");
	assert_int_equal(got.replies, 0);
	message(&alice, "m1", "hold", "");
	assert_int_equal(got.replies, 0);
	assert_int_equal(app_calls, 1);
	a2a_turn_task(held, A2A_COMPLETED, d);
	assert_int_equal(got.replies, 2);
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(
				json_object_get(json_object_get(got.json, "result"), "task"),
				"status"),
			"state")),
		"TASK_STATE_COMPLETED");
	json_decref(d);
}

static json_t *task(void)
{
	json_t *r = json_object_get(got.json, "result");
	json_t *t = json_object_get(r, "task");

	return t ? t : r;
}

static void tasks_belong_to_their_peer(void **state)
{
	char id[64], ctx[64], more[200], params[200];

	(void)state;
	message(&alice, "m1", "TASK_STATE_INPUT_REQUIRED", "");
	(void)snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(task(), "id")));
	(void)snprintf(ctx, sizeof(ctx), "%s",
		       json_string_value(json_object_get(task(), "contextId")));
	assert_int_equal(json_array_size(json_object_get(task(), "artifacts")), 1);
	(void)snprintf(params, sizeof(params), "{\"id\":\"%s\"}", id);
	call(&bob, "GetTask", params);
	assert_int_equal(code(), -32001);
	call(&bob, "CancelTask", params);
	assert_int_equal(code(), -32001);
	call(&alice, "GetTask", params);
	assert_int_equal(code(), 0);
	(void)snprintf(more, sizeof(more), ",\"taskId\":\"%s\"", id);
	message(&bob, "m2", "echo", more);
	assert_int_equal(code(), -32001);
	(void)snprintf(more, sizeof(more), ",\"taskId\":\"%s\",\"contextId\":\"other\"", id);
	message(&alice, "m3", "echo", more);
	assert_int_equal(code(), -32602);
	/* the context follows from the task; then it ends, once */
	(void)snprintf(more, sizeof(more), ",\"taskId\":\"%s\"", id);
	message(&alice, "m4", "TASK_STATE_COMPLETED", more);
	assert_string_equal(json_string_value(json_object_get(task(), "contextId")), ctx);
	assert_int_equal(json_array_size(json_object_get(task(), "artifacts")), 2);
	message(&alice, "m5", "echo", more);
	assert_int_equal(code(), -32004);
	call(&alice, "CancelTask", params);
	assert_int_equal(code(), -32002);
	assert_int_equal(a2a_task_set(srv, id, A2A_FAILED, NULL), -EPERM);
	assert_int_equal(a2a_task_set(srv, "nope", A2A_FAILED, NULL), -ENOENT);
}

static void cancel_asks_the_application(void **state)
{
	char params[200];

	(void)state;
	message(&alice, "m1", "TASK_STATE_INPUT_REQUIRED", "");
	(void)snprintf(params, sizeof(params), "{\"id\":\"%s\"}",
		       json_string_value(json_object_get(task(), "id")));
	cancel_answer = -EBUSY;
	call(&alice, "CancelTask", params);
	assert_int_equal(code(), -32002);
	cancel_answer = 0;
	call(&alice, "CancelTask", params);
	assert_int_equal(code(), 0);
	call(&alice, "CancelTask", params); /* again: the same */
	assert_int_equal(code(), 0);
	assert_string_equal(at("result", "status", "state"), "TASK_STATE_CANCELED");
}

static void list_pages_newest_first(void **state)
{
	char id[16], params[128];

	(void)state;
	for (int i = 0; i < 5; i++) {
		(void)snprintf(id, sizeof(id), "m%d", i);
		message(&alice, id, i % 2 ? "TASK_STATE_COMPLETED" : "TASK_STATE_INPUT_REQUIRED",
			"");
	}
	message(&bob, "b", "TASK_STATE_COMPLETED", "");
	call(&alice, "ListTasks", "{\"page_size\":3}");
	assert_int_equal(json_array_size(json_object_get(task(), "tasks")), 3);
	assert_int_equal(json_integer_value(json_object_get(task(), "totalSize")), 5);
	assert_null(
		json_object_get(json_array_get(json_object_get(task(), "tasks"), 0), "artifacts"));
	(void)snprintf(params, sizeof(params), "{\"pageToken\":\"%s\",\"includeArtifacts\":true}",
		       json_string_value(json_object_get(task(), "nextPageToken")));
	call(&alice, "ListTasks", params);
	assert_int_equal(json_array_size(json_object_get(task(), "tasks")), 2);
	assert_string_equal(json_string_value(json_object_get(task(), "nextPageToken")), "");
	assert_non_null(
		json_object_get(json_array_get(json_object_get(task(), "tasks"), 0), "artifacts"));
	call(&alice, "ListTasks", "{\"status\":\"TASK_STATE_COMPLETED\"}");
	assert_int_equal(json_array_size(json_object_get(task(), "tasks")), 2);
	call(&alice, "ListTasks", "{\"statusTimestampAfter\":\"2999-01-01T00:00:00.5Z\"}");
	assert_int_equal(json_array_size(json_object_get(task(), "tasks")), 0);
	static const char *const bad[] = {
		"{\"pageSize\":0}",         "{\"pageSize\":101}",
		"{\"pageToken\":\"x\"}",    "{\"status\":\"done\"}",
		"{\"includeArtifacts\":1}", "{\"statusTimestampAfter\":\"yesterday\"}"
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		call(&alice, "ListTasks", bad[i]);
		assert_int_equal(code(), -32602);
	}
}

static void store_is_bounded(void **state)
{
	static const struct a2a_app app = { .on_message = on_message };
	struct a2a_config small = config;

	teardown(state);
	small.max_tasks_per_peer = 2;
	small.max_tasks = 3;
	small.max_turns = 1;
	assert_int_equal(a2a_server_new(&srv, &small, &app, NULL), 0);
	message(&alice, "1", "TASK_STATE_INPUT_REQUIRED", "");
	message(&alice, "2", "TASK_STATE_COMPLETED", "");
	message(&alice, "3", "TASK_STATE_INPUT_REQUIRED", ""); /* pushes out the finished one */
	assert_int_equal(code(), 0);
	assert_int_equal(a2a_tasks(srv), 2);
	message(&bob, "1", "TASK_STATE_INPUT_REQUIRED", "");
	message(&bob, "2", "hold", "");
	assert_null(a2a_turn_task_id(held)); /* three open tasks fill the store */
	message(&alice, "5", "echo", "");
	assert_int_equal(code(), -32603); /* one turn at a time */
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	assert_int_equal(code(), -32603);
}

static void return_immediately_gives_the_task(void **state)
{
	(void)state;
	call(&alice, "SendMessage",
	     "{\"configuration\":{\"returnImmediately\":true},\"message\":{\"messageId\":\"m\","
	     "\"role\":"
	     "\"ROLE_USER\",\"parts\":[{\"data\":{\"act\":\"hold\"}}]}}");
	assert_int_equal(got.replies, 1);
	assert_non_null(json_object_get(json_object_get(got.json, "result"), "task"));
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	assert_int_equal(got.replies, 1);
	assert_int_equal(a2a_task_state(srv, json_string_value(json_object_get(task(), "id"))),
			 A2A_COMPLETED);
}

static void turn_outlives_the_server(void **state)
{
	(void)state;
	message(&alice, "m1", "hold", "");
	srv = a2a_server_free(srv);
	assert_int_equal(got.status, 503);
	assert_null(a2a_turn_task_id(held));
	assert_int_equal(a2a_turn_artifact(held, "x", NULL), -EPIPE);
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	assert_int_equal(got.replies, 1);
}

static void card_is_golden(void **state)
{
	struct wire_header h = { "If-None-Match", got.etag };
	char etag[128];

	(void)state;
	send_raw(&bob, "GET", A2A_CARD_PATH, NULL, 0, "");
	assert_int_equal(got.status, 200);
	assert_string_equal(
		got.body,
		"{\"name\":\"Operator\",\"description\":\"Sells network "
		"service\",\"version\":\"1.0.0\","
		"\"supportedInterfaces\":[{\"url\":\"https://op.lab.example:8443/"
		"a2a\",\"protocolBinding\":"
		"\"JSONRPC\",\"protocolVersion\":\"1.0\"}],\"capabilities\":{\"streaming\":false,"
		"\"pushNotifications\":false,\"extensions\":[{\"uri\":\"" EXT
		"\",\"description\":\"" EXT
		"\"}]},\"defaultInputModes\":[\"application/json\"],\"defaultOutputModes\":["
		"\"application/json\"],\"skills\":[{\"id\":\"negotiate\",\"name\":\"negotiate\","
		"\"description\":\"Negotiates network "
		"service\",\"tags\":[\"treaty\"]}],\"securitySchemes\":"
		"{\"mtls\":{\"mtlsSecurityScheme\":{\"description\":\"TLS 1.3 with a client "
		"certificate "
		"that names the caller's DID\"}}}}");
	(void)snprintf(etag, sizeof(etag), "%s", got.etag);
	h.value = etag;
	send_raw(&bob, "GET", A2A_CARD_PATH, &h, 1, "");
	assert_int_equal(got.status, 304);
	send_raw(&bob, "POST", A2A_CARD_PATH, NULL, 0, "");
	assert_int_equal(got.status, 405);
}

static void task_is_golden(void **state)
{
	(void)state;
	clock_ms = 1790000000000;
	message(&alice, "m1", "fail", "");
	assert_string_equal(
		got.body,
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32602,\"message\":\"intent."
		"class: "
		"unknown\",\"data\":[{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\","
		"\"fieldViolations\":[{\"field\":\"intent.class\",\"description\":\"unknown\"}]},"
		"{\"act\":\"fail\"}]}}");
	message(&alice, "m2", "TASK_STATE_INPUT_REQUIRED", ",\"contextId\":\"ctx\"");
	json_t *t = task();
	const char *id = json_string_value(json_object_get(t, "id"));
	char want[2048];

	assert_int_equal(strlen(id), 32);
	(void)snprintf(
		want, sizeof(want),
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"task\":{\"id\":\"%s\",\"contextId\":"
		"\"ctx\",\"status\":{\"state\":\"TASK_STATE_INPUT_REQUIRED\",\"timestamp\":"
		"\"2026-09-21T14:13:20.001Z\",\"message\":{\"messageId\":\"%s-2\",\"role\":"
		"\"ROLE_AGENT\",\"parts\":[{\"data\":{\"act\":\"TASK_STATE_INPUT_REQUIRED\"},"
		"\"mediaType\":\"application/json\"}],\"contextId\":\"ctx\",\"taskId\":\"%s\"}},"
		"\"artifacts\":[{\"artifactId\":\"artifact-1\",\"name\":\"Quote\",\"parts\":[{"
		"\"data\":{\"act\":\"TASK_STATE_INPUT_REQUIRED\"},\"mediaType\":"
		"\"application/json\"}]}],\"metadata\":{\"act\":\"TASK_STATE_INPUT_REQUIRED\"}}}}",
		id, id, id);
	assert_string_equal(got.body, want);
}

static void config_is_checked(void **state)
{
	static const struct a2a_app app = { .on_message = on_message };
	struct a2a_config bad = config;
	struct a2a_server *s = NULL;
	struct err e = { 0 };

	(void)state;
	bad.description = "";
	assert_int_equal(a2a_server_new(&s, &bad, &app, &e), -EINVAL);
	assert_string_equal(e.text, "a2a description: must not be empty");
	assert_null(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(params_are_checked),
		T(envelope_is_checked),
		T(headers_are_checked),
		T(extension_is_activated_or_required),
		T(same_message_same_answer),
		T(repeated_message_waits_beside_the_first),
		T(tasks_belong_to_their_peer),
		T(cancel_asks_the_application),
		T(list_pages_newest_first),
		T(store_is_bounded),
		T(return_immediately_gives_the_task),
		T(turn_outlives_the_server),
		T(card_is_golden),
		T(task_is_golden),
		T(config_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
