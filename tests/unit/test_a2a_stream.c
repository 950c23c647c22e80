/* SPDX-License-Identifier: Apache-2.0 */
/* A2A over bytes: streams and their order, webhooks, the HTTP+JSON binding, the extended and the
 * signed card. A transport without sockets keeps what each stream was told. */
#include "a2a_lab.h"

#include "agent/codec/canon.h"
#include "agent/crypto/crypto.h"
#include "a2a_streams.h"

static const struct peer bob = { .did = "did:web:bob.example" };
static struct {
	unsigned n;
	char url[8][128], auth[8][64], token[8][64], body[8][2048];
} pushed;

static int push_check(void *arg, const struct peer *p, const char *url, struct err *e)
{
	(void)arg;
	(void)p;
	return strncmp(url, "https://", 8) ? err_set(e, -EINVAL, "url: https is needed") : 0;
}

static void on_push(void *arg, const struct a2a_push *p)
{
	unsigned i = pushed.n++;

	(void)arg;
	assert_true(i < 8);
	assert_string_equal(p->owner, alice.did);
	(void)snprintf(pushed.url[i], sizeof(pushed.url[i]), "%s", p->url);
	(void)snprintf(pushed.auth[i], sizeof(pushed.auth[i]), "%s", p->authorization);
	(void)snprintf(pushed.token[i], sizeof(pushed.token[i]), "%s", p->token);
	(void)snprintf(pushed.body[i], sizeof(pushed.body[i]), "%s", p->body);
}

static const uint8_t seed[32] = { 1, 2, 3 };

static int on_sign(void *arg, const char *input, size_t len, uint8_t sig[64])
{
	(void)arg;
	ed25519_sign(sig, input, len, seed);
	return 0;
}

static int stream_setup(void **state)
{
	static const struct a2a_app app = { .on_message = on_message,
					    .on_cancel = on_cancel,
					    .push_check = push_check,
					    .push = on_push };
	static const char *const more[] = { "ledger", "Tells what was captured", NULL };
	struct a2a_config c = config;

	(void)state;
	memset(streams, 0, sizeof(streams));
	memset(&pushed, 0, sizeof(pushed));
	held = NULL;
	app_calls = 0;
	cancel_answer = 0;
	c.streaming = true;
	c.extended_skills = more;
	c.sign = on_sign;
	c.sign_kid = "did:web:op.example#card";
	c.max_streams_per_peer = 3;
	c.max_streams = 4;
	return crypto_init() || a2a_server_new(&srv, &c, &app, NULL);
}

static void events_come_in_order(void **state)
{
	json_t *d = json_pack("{s:i}", "k", 1);
	char sub[200];

	(void)state;
	say(&alice, 0, "m1", "hold", "");
	assert_int_equal(streams[0].opens, 0); /* nothing yet: an error could still be a reply */
	assert_int_equal(a2a_turn_state(held, A2A_WORKING), 0);
	(void)snprintf(sub, sizeof(sub), "{\"id\":\"%s\"}", a2a_turn_task_id(held));
	rpc(&alice, 1, "SubscribeToTask", sub);
	assert_int_equal(a2a_turn_artifact(held, "Quote", d), 0);
	a2a_turn_task(held, A2A_COMPLETED, d);
	assert_int_equal(got.replies, 0);
	assert_false(streams[0].open || streams[1].open);
	assert_string_equal(text_of(event(0, 0), "task", "status", "state"),
			    "TASK_STATE_SUBMITTED");
	assert_string_equal(text_of(event(0, 1), "statusUpdate", "status", "state"),
			    "TASK_STATE_WORKING");
	assert_string_equal(text_of(event(0, 2), "artifactUpdate", "artifact", "name"), "Quote");
	assert_string_equal(text_of(event(0, 3), "statusUpdate", "status", "state"),
			    "TASK_STATE_COMPLETED");
	assert_null(event(0, 4));
	assert_string_equal(text_of(event(1, 0), "task", "status", "state"), "TASK_STATE_WORKING");
	/* both saw the same afterwards */
	assert_string_equal(strstr(streams[0].text, "{\"artifactUpdate"),
			    strstr(streams[1].text, "{\"artifactUpdate"));
	json_decref(d);
}

static void interrupted_ends_the_turn_not_the_subscription(void **state)
{
	char sub[200], more[200], id[64];

	(void)state;
	say(&alice, 0, "m1", "TASK_STATE_INPUT_REQUIRED", "");
	assert_false(streams[0].open);
	(void)snprintf(id, sizeof(id), "%s", text_of(event(0, 0), "task", "id", NULL));
	(void)snprintf(sub, sizeof(sub), "{\"id\":\"%s\"}", id);
	rpc(&alice, 1, "SubscribeToTask", sub);
	assert_true(streams[1].open);
	(void)snprintf(more, sizeof(more), ",\"taskId\":\"%s\"", id);
	say(&alice, 2, "m2", "TASK_STATE_INPUT_REQUIRED", more);
	assert_false(streams[2].open);
	assert_true(streams[1].open);
	say(&alice, 2, "m3", "TASK_STATE_COMPLETED", more);
	assert_false(streams[1].open);
	rpc(&alice, 3, "SubscribeToTask", sub);
	assert_int_equal(code(), -32004);
	rpc(&bob, 3, "SubscribeToTask", sub);
	assert_int_equal(code(), -32001);
	assert_int_equal(streams[3].opens, 0);
	assert_int_equal(a2a_streams(srv), 0);
}

static void errors_before_and_after_the_first_event(void **state)
{
	(void)state;
	say(&alice, 0, "m1", "fail", "");
	assert_int_equal(code(), -32602);
	assert_int_equal(streams[0].opens, 0);
	say(&alice, 0, "m2", "echo", "");
	assert_string_equal(text_of(event(0, 0), "message", "role", NULL), "ROLE_AGENT");
	assert_false(streams[0].open);
	say(&alice, 1, "m2", "echo", ""); /* a repeated message: the same one event */
	assert_string_equal(streams[0].text, streams[1].text);
	assert_int_equal(app_calls, 2);
	say(&alice, 0, "m3", "hold", "");
	assert_non_null(a2a_turn_task_id(held));
	a2a_turn_fail(held, A2A_E_INTERNAL, "no", NULL);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(event(0, 1), "error"), "code")),
		-32603);
	assert_false(streams[0].open);
}

static void readers_that_leave_or_lag(void **state)
{
	char sub[200];

	(void)state;
	say(&alice, 0, "m1", "hold", "");
	(void)snprintf(sub, sizeof(sub), "{\"id\":\"%s\"}", a2a_turn_task_id(held));
	rpc(&alice, 1, "SubscribeToTask", sub);
	rpc(&alice, 2, "SubscribeToTask", sub);
	assert_int_equal(a2a_streams(srv), 3);
	rpc(&alice, 3, "SubscribeToTask", sub); /* the share of one peer is three */
	assert_int_equal(code(), A2A_E_LIMIT);
	assert_non_null(strstr(got.body, "\"reason\":\"LIMIT_REACHED\""));
	assert_non_null(strstr(got.body, "\"limit\":\"peer-streams\",\"max\":\"3\""));
	streams[1].gone(streams[1].arg);
	assert_int_equal(a2a_streams(srv), 2);
	streams[2].refuses = true;
	a2a_ping(srv);
	assert_int_equal(a2a_streams(srv), 1);
	assert_false(streams[2].open);
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	assert_non_null(strstr(streams[0].text, ": ping\n\ndata: "));
	assert_non_null(strstr(streams[0].text, "TASK_STATE_COMPLETED"));
	say(&alice, 4, "m9", "hold", "");
	assert_non_null(a2a_turn_task_id(held));
	srv = a2a_server_free(srv); /* ends what is open */
	assert_false(streams[4].open);
	a2a_turn_task(held, A2A_COMPLETED, NULL);
}

static void chunks_grow_one_artifact(void **state)
{
	json_t *one = json_pack("[{s:s}]", "text", "a"), *two = json_pack("[{s:s}]", "text", "b");
	json_t *list;

	(void)state;
	say(&alice, 0, "m1", "hold", "");
	assert_int_equal(a2a_turn_artifact_parts(held, "x", "log", one, true, false), -ENOENT);
	assert_int_equal(a2a_turn_artifact_parts(held, "x", "log", one, false, false), 0);
	assert_int_equal(a2a_turn_artifact_parts(held, "x", "log", two, true, true), 0);
	a2a_turn_task_parts(held, A2A_COMPLETED, one);
	assert_null(json_object_get(json_object_get(event(0, 1), "artifactUpdate"), "append"));
	assert_true(json_is_true(
		json_object_get(json_object_get(event(0, 2), "artifactUpdate"), "append")));
	assert_true(json_is_true(
		json_object_get(json_object_get(event(0, 2), "artifactUpdate"), "lastChunk")));
	message(&alice, "m1", "hold", "");
	list = json_object_get(task(), "artifacts");
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(json_array_size(json_object_get(json_array_get(list, 0), "parts")), 2);
	json_decref(one);
	json_decref(two);
}

static void webhooks(void **state)
{
	char p[400], id[64];

	(void)state;
	message(&alice, "m1", "TASK_STATE_INPUT_REQUIRED", "");
	(void)snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(task(), "id")));
#define PUSH(peer, method, more)                                          \
	((void)snprintf(p, sizeof(p), "{\"taskId\":\"%s\"" more "}", id), \
	 call(peer, method "PushNotificationConfig", p))
	PUSH(&bob, "CreateTask", ",\"url\":\"https://b.example/\"");
	assert_int_equal(code(), -32001);
	PUSH(&alice, "CreateTask", "");
	assert_int_equal(code(), -32602);
	PUSH(&alice, "CreateTask", ",\"url\":\"http://a.example/\"");
	assert_int_equal(code(), -32602);
	PUSH(&alice, "CreateTask", ",\"url\":\"https://a.example/\\u000d\"");
	assert_int_equal(code(), -32602);
	PUSH(&alice, "CreateTask", ",\"url\":\"https://a.example/\",\"authentication\":{}");
	assert_int_equal(code(), -32602);
	PUSH(&alice, "CreateTask",
	     ",\"id\":\"c1\",\"url\":\"https://a.example/1\",\"token\":\"t\"");
	assert_int_equal(code(), 0);
	PUSH(&alice, "CreateTask",
	     ",\"url\":\"https://a.example/2\",\"authentication\":{\"scheme\":\"Bearer\","
	     "\"credentials\":\"s3cret\"}");
	assert_int_equal(code(), 0);
	assert_null(strstr(got.body, "s3cret"));
	PUSH(&alice, "GetTask", ",\"id\":\"c1\"");
	assert_string_equal(at("result", "url", NULL), "https://a.example/1");
	PUSH(&alice, "GetTask", ",\"id\":\"nope\"");
	assert_int_equal(code(), -32001);
	(void)snprintf(p, sizeof(p), "{\"taskId\":\"%s\"}", id);
	call(&alice, "ListTaskPushNotificationConfigs", p);
	assert_int_equal(json_array_size(json_object_get(task(), "configs")), 2);
	(void)snprintf(p, sizeof(p), ",\"taskId\":\"%s\"", id);
	message(&alice, "m2", "fail", p); /* nothing happened to the task: nobody is told */
	assert_int_equal(pushed.n, 0);
	message(&alice, "m3", "TASK_STATE_COMPLETED", p);
	assert_int_equal(pushed.n, 4); /* artifact and status, to each */
	assert_string_equal(pushed.url[2], "https://a.example/1");
	assert_string_equal(pushed.token[2], "t");
	assert_string_equal(pushed.auth[2], "");
	assert_string_equal(pushed.auth[3], "Bearer s3cret");
	assert_non_null(strstr(pushed.body[3], "TASK_STATE_COMPLETED"));
	PUSH(&alice, "CreateTask", ",\"url\":\"https://a.example/3\"");
	assert_int_equal(code(), -32004);
	PUSH(&alice, "DeleteTask", ",\"id\":\"c1\"");
	assert_int_equal(code(), 0);
	PUSH(&alice, "DeleteTask", ",\"id\":\"c1\"");
	assert_int_equal(code(), 0);
}

static void webhook_with_the_message(void **state)
{
	(void)state;
	call(&alice, "SendMessage",
	     "{\"configuration\":{\"taskPushNotificationConfig\":{\"url\":\"https://a.example/\"}},"
	     "\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{\"data\":{"
	     "\"act\":\"TASK_STATE_COMPLETED\"}}]}}");
	assert_int_equal(code(), 0);
	assert_int_equal(pushed.n, 2);
	call(&alice, "SendMessage",
	     "{\"configuration\":{\"taskPushNotificationConfig\":{\"url\":\"ftp://a\"}},"
	     "\"message\":{\"messageId\":\"m2\",\"role\":\"ROLE_USER\",\"parts\":[{\"data\":1}]}}");
	assert_int_equal(code(), -32602);
	assert_int_equal(app_calls, 1);
}

#define SEND(id, act)                                                                          \
	"{\"message\":{\"messageId\":\"" id "\",\"role\":\"ROLE_USER\",\"parts\":[{\"data\":{" \
	"\"act\":\"" act "\"}}]}}"

static void http_json(void **state)
{
	char path[128], id[64], query[80];

	(void)state;
	ask(&alice, 0, "POST", "/a2a/message:send", "", SEND("m1", "TASK_STATE_INPUT_REQUIRED"));
	assert_int_equal(got.status, 200);
	assert_string_equal(at("task", "status", "state"), "TASK_STATE_INPUT_REQUIRED");
	(void)snprintf(id, sizeof(id), "%s", at("task", "id", NULL));
	(void)snprintf(path, sizeof(path), "/a2a/tasks/%s", id);
	ask(&alice, 0, "GET", path, "historyLength=3", "");
	assert_string_equal(at("id", NULL, NULL), id);
	ask(&bob, 0, "GET", path, "", "");
	assert_int_equal(got.status, 404);
	assert_string_equal(at("error", "status", NULL), "NOT_FOUND");
	ask(&alice, 0, "GET", "/a2a/tasks", "pageSize=1&includeArtifacts=true", "");
	assert_int_equal(json_integer_value(json_object_get(got.json, "totalSize")), 1);
	ask(&alice, 0, "GET", "/a2a/tasks", "pageSize=0", "");
	assert_int_equal(got.status, 400);
	assert_non_null(strstr(got.body, "google.rpc.BadRequest"));
	assert_non_null(strstr(got.body, "\"reason\":\"INVALID_PARAMS\""));
	ask(&alice, 0, "GET", "/a2a/tasks", "status=%zz", "");
	assert_int_equal(got.status, 400);
	/* The path says which task: who let it pass must not see another one answered. */
	(void)snprintf(query, sizeof(query), "id=%s", id);
	ask(&alice, 0, "GET", "/a2a/tasks/nope", query, "");
	assert_int_equal(got.status, 400);
	assert_non_null(strstr(got.body, "\"field\":\"query\""));
	ask(&alice, 0, "GET", "/a2a/tasks", "pageSize=1&pageSize=2", "");
	assert_int_equal(got.status, 400);
	ask(&alice, 1, "POST", "/a2a/message:stream", "", SEND("m2", "TASK_STATE_COMPLETED"));
	assert_non_null(strstr(streams[1].text, "data: {\"task\":{"));
	(void)snprintf(path, sizeof(path), "/a2a/tasks/%s:subscribe", id);
	ask(&alice, 2, "GET", path, "", "");
	assert_true(streams[2].open);
	(void)snprintf(path, sizeof(path), "/a2a/tasks/%s/pushNotificationConfigs", id);
	ask(&alice, 0, "POST", path, "", "{\"id\":\"c\",\"url\":\"https://a.example/\"}");
	assert_string_equal(at("id", NULL, NULL), "c");
	ask(&alice, 0, "GET", path, "", "");
	assert_int_equal(json_array_size(json_object_get(got.json, "configs")), 1);
	(void)snprintf(path, sizeof(path), "/a2a/tasks/%s/pushNotificationConfigs/c", id);
	ask(&alice, 0, "DELETE", path, "", "");
	assert_int_equal(got.status, 200);
	(void)snprintf(path, sizeof(path), "/a2a/tasks/%s:cancel", id);
	ask(&alice, 0, "POST", path, "", "{}");
	assert_string_equal(at("status", "state", NULL), "TASK_STATE_CANCELED");
	assert_false(streams[2].open);
	ask(&alice, 0, "DELETE", path, "", "");
	assert_int_equal(got.status, 405);
	ask(&alice, 0, "GET", "/a2a/else", "", "");
	assert_int_equal(got.status, 404);
	ask(&alice, 0, "POST", "/a2a/message:send", "", "{");
	assert_int_equal(got.status, 400);
	assert_non_null(strstr(got.body, "\"reason\":\"PARSE_ERROR\""));
	ask(&alice, 0, "GET", "/a2a/extendedAgentCard", "", "");
	assert_int_equal(json_array_size(json_object_get(got.json, "skills")), 2);
}

/* The first detail of the last error, in either binding, and its HTTP status. */
static void is_error(bool rest, int status, int64_t want, const char *reason)
{
	const json_t *e = json_object_get(got.json, "error");
	const json_t *info = json_array_get(json_object_get(e, rest ? "details" : "data"), 0);

	if (got.status != (rest ? status : 200) || (!rest && code() != want) ||
	    (rest && json_integer_value(json_object_get(e, "code")) != status))
		fail_msg("%s: %d %s", reason, got.status, got.body);
	assert_string_equal(text_of(info, "@type", NULL, NULL),
			    "type.googleapis.com/google.rpc.ErrorInfo");
	assert_string_equal(text_of(info, "reason", NULL, NULL), reason);
	assert_string_equal(text_of(info, "domain", NULL, NULL), "a2a-protocol.org");
	assert_true(*text_of(e, "message", NULL, NULL) != 0);
}

/* Each of A2A's own, by its number alone. */
static void every_error_has_its_reason(void **state)
{
	static const struct {
		enum a2a_code code;
		const char *reason;
		int status;
	} errors[] = {
		{ A2A_E_TASK_NOT_FOUND, "TASK_NOT_FOUND", 404 },
		{ A2A_E_NOT_CANCELABLE, "TASK_NOT_CANCELABLE", 400 },
		{ A2A_E_NO_PUSH, "PUSH_NOTIFICATION_NOT_SUPPORTED", 400 },
		{ A2A_E_UNSUPPORTED, "UNSUPPORTED_OPERATION", 400 },
		{ A2A_E_CONTENT_TYPE, "CONTENT_TYPE_NOT_SUPPORTED", 400 },
		{ A2A_E_INVALID_RESPONSE, "INVALID_AGENT_RESPONSE", 500 },
		{ A2A_E_NO_EXTENDED_CARD, "EXTENDED_AGENT_CARD_NOT_CONFIGURED", 400 },
		{ A2A_E_EXTENSION_REQUIRED, "EXTENSION_SUPPORT_REQUIRED", 400 },
		{ A2A_E_VERSION, "VERSION_NOT_SUPPORTED", 400 },
	};
	char id[16], body[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		for (int rest = 0; rest < 2; rest++) {
			(void)snprintf(id, sizeof(id), "e%zu-%d", i, rest);
			(void)snprintf(body, sizeof(body), SEND("%s", "hold"), id);
			if (rest)
				ask(&alice, 0, "POST", "/a2a/message:send", "", body);
			else
				call(&alice, "SendMessage", body);
			a2a_turn_fail(held, errors[i].code, "why", NULL);
			is_error(rest, errors[i].status, errors[i].code, errors[i].reason);
		}
}

/* As a caller meets them: both bindings of one server that offers nothing more. */
static void errors_as_they_are_met(void **state)
{
	static const struct a2a_app app = { .on_message = on_message };
	static const struct {
		const char *method, *params, *verb, *path, *body;
		int status;
		int64_t code;
		const char *reason;
	} calls[] = {
		{ "GetTask", "{\"id\":\"nope\"}", "GET", "/a2a/tasks/nope", "", 404, -32001,
		  "TASK_NOT_FOUND" },
		{ "CancelTask", "{\"id\":\"nope\"}", "POST", "/a2a/tasks/nope:cancel", "{}", 404,
		  -32001, "TASK_NOT_FOUND" },
		{ "ListTaskPushNotificationConfigs", "{\"taskId\":\"x\"}", "GET",
		  "/a2a/tasks/x/pushNotificationConfigs", "", 400, -32003,
		  "PUSH_NOTIFICATION_NOT_SUPPORTED" },
		{ "SendStreamingMessage", SEND("s", "echo"), "POST", "/a2a/message:stream",
		  SEND("s", "echo"), 400, -32004, "UNSUPPORTED_OPERATION" },
		{ "SubscribeToTask", "{\"id\":\"x\"}", "GET", "/a2a/tasks/x:subscribe", "", 400,
		  -32004, "UNSUPPORTED_OPERATION" },
		{ "GetExtendedAgentCard", "{}", "GET", "/a2a/extendedAgentCard", "", 400, -32004,
		  "UNSUPPORTED_OPERATION" },
	};
	struct a2a_config strict = config;
	char path[96], params[96];

	teardown(state);
	strict.extension_required = true;
	assert_int_equal(a2a_server_new(&srv, &strict, &app, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		call(&alice, calls[i].method, calls[i].params);
		is_error(false, 0, calls[i].code, calls[i].reason);
		ask(&alice, 0, calls[i].verb, calls[i].path, "", calls[i].body);
		is_error(true, calls[i].status, calls[i].code, calls[i].reason);
	}
	message(&alice, "m1", "TASK_STATE_COMPLETED", "");
	(void)snprintf(params, sizeof(params), "{\"id\":\"%s\"}",
		       text_of(task(), "id", NULL, NULL));
	(void)snprintf(path, sizeof(path), "/a2a/tasks/%s:cancel",
		       text_of(task(), "id", NULL, NULL));
	call(&alice, "CancelTask", params);
	is_error(false, 0, -32002, "TASK_NOT_CANCELABLE");
	ask(&alice, 0, "POST", path, "", "{}");
	is_error(true, 400, -32002, "TASK_NOT_CANCELABLE");
	assert_int_equal(app_calls, 1);
}

/* By the headers alone: the wrong type, no extension where one is required, no version. */
static void errors_of_headers(void **state)
{
	static const struct a2a_app app = { .on_message = on_message };
	static const struct wire_header h[] = { { "A2A-Extensions", EXT },
						{ "Content-Type", "text/plain" },
						{ "A2A-Version", "1.0" },
						{ "Content-Type", "application/json" } };
	static const char *const paths[] = { "/a2a", "/a2a/message:send" };
	struct a2a_config strict = config;

	teardown(state);
	strict.extension_required = true;
	assert_int_equal(a2a_server_new(&srv, &strict, &app, NULL), 0);
	for (int rest = 0; rest < 2; rest++) {
		const char *body = rest ? SEND("h", "echo")
					: "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
					  "\"ListTasks\"}";

		send_raw(&alice, "POST", paths[rest], h, 3, body);
		is_error(rest, 400, -32005, "CONTENT_TYPE_NOT_SUPPORTED");
		send_raw(&alice, "POST", paths[rest], h + 2, 2, body);
		is_error(rest, 400, -32008, "EXTENSION_SUPPORT_REQUIRED");
		send_raw(&alice, "POST", paths[rest], h + 3, 1, body);
		is_error(rest, 400, -32009, "VERSION_NOT_SUPPORTED");
	}
	assert_int_equal(app_calls, 0);
}

/* A client that cannot set the header says it in the query. */
static void version_in_the_query(void **state)
{
	static const struct {
		const char *query;
		int status;
	} rows[] = {
		{ "A2A-Version=1.0", 200 },
		{ "pageSize=1&A2A-Version=1.0", 200 },
		{ "A2A-Version=1.0.1", 200 },
		{ "A2A-Version=1.0.1&pageSize=1", 200 },
		{ "A2A-Version=1.0.&pageSize=1", 400 },
		{ "A2A-Version=1.01", 400 },
		{ "A2A-Version=", 400 },
		{ "XA2A-Version=1.0", 400 },
		{ "pageSize=1", 400 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_request r = { .method = "GET",
					  .path = "/a2a/tasks",
					  .query = rows[i].query,
					  .headers = good + 1,
					  .nheaders = 2,
					  .body = "",
					  .peer = &alice };

		a2a_server_handle(srv, &r, (struct wire_sink){ .fn = on_reply });
		if (got.status != rows[i].status)
			fail_msg("%s: %d", rows[i].query, got.status);
	}
}

/* What another implementation does to check it, from the text alone. */
static void card_is_signed(void **state)
{
	const char *head, *sig;
	char *canon = NULL, input[8192], b64[6000], protected[512];
	uint8_t raw[64], pub[32];
	json_t *s;
	size_t len;
	int n;

	(void)state;
	ask(&bob, 0, "GET", A2A_CARD_PATH, "", "");
	s = json_array_get(json_object_get(got.json, "signatures"), 0);
	json_incref(s);
	head = json_string_value(json_object_get(s, "protected"));
	sig = json_string_value(json_object_get(s, "signature"));
	assert_int_equal(json_object_del(got.json, "signatures"), 0);
	assert_int_equal(canon_text(got.json, 1 << 16, &canon, &len, NULL), 0);
	assert_true(base64url_encode(canon, len, b64, sizeof(b64)) > 0);
	n = snprintf(input, sizeof(input), "%s.%s", head, b64);
	assert_int_equal(base64url_decode(sig, strlen(sig), raw, sizeof(raw)), 64);
	ed25519_public(seed, pub);
	assert_true(ed25519_verify(raw, input, (size_t)n, pub));
	input[n - 2] ^= 1;
	assert_false(ed25519_verify(raw, input, (size_t)n, pub));
	n = base64url_decode(head, strlen(head), protected, sizeof(protected) - 1);
	assert_true(n > 0);
	protected[n] = 0;
	assert_string_equal(
		protected,
		"{\"alg\":\"EdDSA\",\"kid\":\"did:web:op.example#card\",\"typ\":\"JOSE\"}");
	/* nothing empty: every way to canonicalize gives these bytes */
	assert_null(strstr(canon, "\"\""));
	assert_null(strstr(canon, "[]"));
	assert_null(strstr(canon, "{}"));
	free(canon);
	json_decref(s);
}

#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, stream_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(events_come_in_order),
		T(interrupted_ends_the_turn_not_the_subscription),
		T(errors_before_and_after_the_first_event),
		T(readers_that_leave_or_lag),
		T(chunks_grow_one_artifact),
		T(webhooks),
		T(webhook_with_the_message),
		T(http_json),
		T(every_error_has_its_reason),
		T(errors_as_they_are_met),
		T(errors_of_headers),
		T(version_in_the_query),
		T(card_is_signed),
	};

	(void)setup;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
