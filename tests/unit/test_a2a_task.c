/* SPDX-License-Identifier: Apache-2.0 */
/* A2A over bytes: repeated messages, whose task it is, how it ends, the list, the limits, and the
 * golden card and task. */
#include "a2a_lab.h"

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "agent/wire/jws.h"

static const struct peer bob = { .did = "did:web:bob.example" };

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

/* A brief answer has what its turn added, as the task holds it in the end; GetTask has all, and
 * the same message again gets the same answer. */
static void brief_answer(void **state)
{
	char id[64], more[100], params[100];

	(void)state;
	message(&alice, "b1", "TASK_STATE_INPUT_REQUIRED", "");
	(void)snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(task(), "id")));
	(void)snprintf(more, sizeof(more), ",\"taskId\":\"%s\"", id);
	for (int i = 0; i < 2; i++) {
		message(&alice, "b2", "brief", more);
		assert_int_equal(json_array_size(json_object_get(task(), "artifacts")), 1);
		assert_non_null(strstr(got.body, "\"artifactId\":\"artifact-2\""));
		assert_non_null(strstr(got.body, "\"act\":\"brief\""));
		assert_null(strstr(got.body, "replaced"));
		assert_null(strstr(got.body, "Quote"));
	}
	(void)snprintf(params, sizeof(params), "{\"id\":\"%s\"}", id);
	call(&alice, "GetTask", params);
	assert_int_equal(json_array_size(json_object_get(task(), "artifacts")), 2);
	assert_null(strstr(got.body, "replaced"));
	/* the answer after it is as long as ever */
	message(&alice, "b3", "TASK_STATE_COMPLETED", more);
	assert_int_equal(json_array_size(json_object_get(task(), "artifacts")), 2);
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
	/* the newest of its name, in its place */
	assert_int_equal(json_array_size(json_object_get(task(), "artifacts")), 1);
	assert_non_null(strstr(got.body, "\"artifactId\":\"artifact-1\""));
	assert_null(strstr(strstr(got.body, "\"artifacts\""), "TASK_STATE_INPUT_REQUIRED"));
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
	assert_int_equal(code(), A2A_E_LIMIT); /* one turn at a time */
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	assert_int_equal(code(), -32603);
}

static bool known(const struct peer *who, const char *id)
{
	char params[100];

	(void)snprintf(params, sizeof(params), "{\"id\":\"%s\"}", id);
	call(who, "GetTask", params);
	return !code();
}

/* Who has its share gives up the one of its own that ended first, whichever began first. */
static void what_ended_first_makes_room(void **state)
{
	static const struct {
		const struct peer *who;
		const char *act;
	} begun[] = { { &bob, "TASK_STATE_COMPLETED" },
		      { &alice, "TASK_STATE_INPUT_REQUIRED" },
		      { &alice, "TASK_STATE_COMPLETED" } };
	static const struct a2a_app app = { .on_message = on_message };
	struct a2a_config small = config;
	char id[ARRAY_LEN(begun)][64], more[100], name[16];

	teardown(state);
	small.max_tasks_per_peer = 2;
	assert_int_equal(a2a_server_new(&srv, &small, &app, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(begun); i++) {
		(void)snprintf(name, sizeof(name), "m%zu", i);
		message(begun[i].who, name, begun[i].act, "");
		str_cut(id[i], json_string_value(json_object_get(task(), "id")));
	}
	(void)snprintf(more, sizeof(more), ",\"taskId\":\"%s\"", id[1]);
	message(&alice, "m3", "TASK_STATE_COMPLETED", more);
	message(&alice, "m4", "TASK_STATE_COMPLETED", "");
	assert_int_equal(code(), 0);
	assert_true(known(&bob, id[0]));
	assert_true(known(&alice, id[1]));
	assert_false(known(&alice, id[2]));
	message(&alice, "m5", "TASK_STATE_COMPLETED", "");
	assert_false(known(&alice, id[1]));
	assert_true(known(&bob, id[0]));
	assert_int_equal(a2a_tasks(srv), 3);
}

static const char *limit(const char *key)
{
	const json_t *info =
		json_array_get(json_object_get(json_object_get(got.json, "error"), "data"), 0);

	assert_string_equal(json_string_value(json_object_get(info, "reason")), "LIMIT_REACHED");
	return json_string_value(json_object_get(json_object_get(info, "metadata"), key));
}

/* Who has as many messages under way as it may is refused, and what it said does nothing and may be
 * said again; another caller is heard. */
static void a_caller_at_its_cap_is_refused(void **state)
{
	static const struct a2a_app app = { .on_message = on_message };
	struct a2a_config small = config;
	struct a2a_turn *turns[2];

	teardown(state);
	small.max_turns_per_peer = 2;
	assert_int_equal(a2a_server_new(&srv, &small, &app, NULL), 0);
	for (int i = 0; i < 2; i++) {
		message(&alice, i ? "m2" : "m1", "hold", "");
		turns[i] = held;
	}
	held = NULL;
	message(&alice, "m3", "hold", "");
	assert_null(held);
	assert_int_equal(code(), A2A_E_LIMIT);
	assert_string_equal(limit("limit"), "peer-calls");
	assert_string_equal(limit("max"), "2");
	assert_string_equal(limit("of"), "caller");
	message(&alice, "m1", "hold", ""); /* a repeat is no more than what it repeats */
	assert_int_equal(got.replies, 0);
	message(&bob, "m3", "hold", "");
	assert_non_null(held);
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	a2a_turn_task(turns[0], A2A_COMPLETED, NULL);
	held = NULL;
	message(&alice, "m3", "hold", "");
	assert_non_null(held);
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	a2a_turn_task(turns[1], A2A_COMPLETED, NULL);
}

static void return_immediately_gives_the_task(void **state)
{
	static const char hold[] =
		"{\"configuration\":{\"returnImmediately\":true},\"message\":{\"messageId\":\"m\","
		"\"role\":\"ROLE_USER\",\"parts\":[{\"data\":{\"act\":\"hold\"}}]}}";

	(void)state;
	for (int i = 0; i < 2; i++) { /* who did not get the answer is not kept waiting either */
		call(&alice, "SendMessage", hold);
		assert_int_equal(got.replies, 1);
		assert_non_null(json_object_get(json_object_get(got.json, "result"), "task"));
	}
	assert_int_equal(app_calls, 1);
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
		"\"JSONRPC\",\"protocolVersion\":\"1.0\"},{\"url\":\"https://op.lab.example:8443/"
		"a2a\","
		"\"protocolBinding\":\"HTTP+JSON\",\"protocolVersion\":\"1.0\"}],\"capabilities\":{"
		"\"streaming\":false,"
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

static int sign(void *arg, const char *input, size_t len, uint8_t sig[64])
{
	ed25519_sign(sig, input, len, arg);
	return 0;
}

/* A card as somebody else serves it: empty members may come and go, all else is signed. */
static void cards_are_verified(void **state)
{
	static uint8_t seed[32] = { 5 };
	const struct jws_key key = { sign, seed, "did:web:op.example#card" };
	auto_json json_t *card = json_pack("{s:s, s:{s:b}, s:[s]}", "name", "Op", "capabilities",
					   "streaming", 1, "skills", "x");
	static const struct {
		const char *member, *value, *kid;
		int result;
	} rows[] = {
		{ "version", "\"\"", "did:web:op.example#card", 0 },
		{ "version", "null", "did:web:op.example#card", 0 },
		{ "extra", "{\"a\":[[],{}]}", "did:web:op.example#card", 0 },
		{ "version", "\"\"", NULL, 0 },
		{ "version", "\"1\"", "did:web:op.example#card", -EKEYREJECTED },
		{ "name", "\"Other\"", "did:web:op.example#card", -EKEYREJECTED },
		{ "name", "null", "did:web:op.example#card", -EKEYREJECTED },
		{ "version", "\"\"", "did:web:evil.example#card", -EKEYREJECTED },
		{ "signatures", "[]", NULL, -EKEYREJECTED },
		{ "signatures", "[{\"protected\":\"e30\",\"signature\":\"AA\"}]", NULL, -EINVAL },
	};
	uint8_t pub[32];

	(void)state;
	ed25519_public(seed, pub);
	json_object_set_new(card, "signatures", json_pack("[o]", jws_new(card, &key)));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *c = json_deep_copy(card);
		auto_free char *text = NULL;
		int r;

		json_object_set_new(c, rows[i].member,
				    json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		text = json_dumps(c, JSON_COMPACT);
		r = a2a_card_verify(text, strlen(text), rows[i].kid, pub, NULL);
		if (r != rows[i].result)
			fail_msg("row %zu: %d", i, r);
	}
	assert_int_equal(a2a_card_verify("[", 1, NULL, pub, NULL), -EINVAL);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(same_message_same_answer),
		T(repeated_message_waits_beside_the_first),
		T(brief_answer),
		T(tasks_belong_to_their_peer),
		T(cancel_asks_the_application),
		T(list_pages_newest_first),
		T(store_is_bounded),
		T(what_ended_first_makes_room),
		T(a_caller_at_its_cap_is_refused),
		T(return_immediately_gives_the_task),
		T(turn_outlives_the_server),
		T(card_is_golden),
		T(cards_are_verified),
		T(task_is_golden),
		T(config_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
