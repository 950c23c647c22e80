/* SPDX-License-Identifier: Apache-2.0 */
/* The client's reading of a task's stream and of its notifications, from the server beside it and
 * from servers that do it wrong. */
#include "a2a_lab.h"

#include "stream_lab.h"

static struct {
	unsigned n;
	int kind[16], code[16];
	enum a2a_state state[16];
	char artifact[16][64];
	bool append[16], last[16];
	json_int_t k[16];
} told;

static struct {
	unsigned n;
	char token[64], authorization[64], body[8][2048];
} pushed;

static void on_told(void *arg, const struct a2a_told *t)
{
	unsigned i = told.n++;
	const json_t *d = t->kind == A2A_TOLD_ARTIFACT ? t->r.artifacts[0].data
						       : json_array_get(t->r.data, 0);

	(void)arg;
	assert_true(i < 16);
	told.kind[i] = (int)t->kind;
	told.code[i] = t->r.code;
	told.state[i] = t->r.state;
	told.append[i] = t->append;
	told.last[i] = t->last;
	told.k[i] = json_integer_value(json_object_get(d, "k"));
	(void)snprintf(told.artifact[i], sizeof(told.artifact[i]), "%s",
		       t->r.nartifacts ? t->r.artifacts[0].name : "");
}

static int push_check(void *arg, const struct peer *p, const char *url, struct err *e)
{
	(void)arg;
	(void)p;
	return strncmp(url, "https://", 8) ? err_set(e, -EINVAL, "url: https is needed") : 0;
}

static void on_push(void *arg, const struct a2a_push *p)
{
	(void)arg;
	assert_true(pushed.n < 8);
	(void)snprintf(pushed.token, sizeof(pushed.token), "%s", p->token);
	(void)snprintf(pushed.authorization, sizeof(pushed.authorization), "%s", p->authorization);
	(void)snprintf(pushed.body[pushed.n++], sizeof(pushed.body[0]), "%s", p->body);
}

static int watch_setup(void **state)
{
	static const struct a2a_app app = { .on_message = on_message,
					    .on_cancel = on_cancel,
					    .push_check = push_check,
					    .push = on_push };
	struct a2a_config c = config;

	(void)state;
	memset(streams, 0, sizeof(streams));
	memset(&told, 0, sizeof(told));
	memset(&pushed, 0, sizeof(pushed));
	held = NULL;
	c.streaming = true;
	return a2a_server_new(&srv, &c, &app, NULL);
}

/* One of our requests to the server; text is freed. */
static void ask(unsigned to, char *text)
{
	struct wire_header h[3];
	struct wire_request r = { .method = "POST",
				  .path = "/a2a",
				  .query = "",
				  .headers = h,
				  .body = text,
				  .peer = &alice };

	assert_non_null(text);
	r.len = strlen(text);
	r.nheaders = a2a_client_headers(h, NULL);
	got.replies = 0;
	a2a_server_handle(srv, &r, (struct wire_sink){ on_reply, &streams[to], &ops });
	free(text);
}

static void say(unsigned to, const char *id, const char *act, const struct a2a_hook *hook)
{
	json_t *data = json_pack("[{s:s, s:i}]", "act", act, "k", 7);
	const struct a2a_send m = { .message_id = id, .data = data, .stream = true, .hook = hook };

	ask(to, a2a_build_send(&m, 5));
	json_decref(data);
}

static const struct wire_response events = { .status = 200,
					     .content_type = "text/event-stream; charset=utf-8" };
static const struct wire_response answer = { .status = 200, .content_type = "application/json" };

/* What the end says of text, read `piece` bytes at a time. */
static int read_it(const struct wire_response *head, const char *text, size_t len, size_t piece,
		   struct err *e)
{
	struct a2a_watch *w;
	int r = 0, end;

	memset(&told, 0, sizeof(told));
	assert_int_equal(a2a_watch_new(&w, 5, on_told, NULL), 0);
	for (size_t at = 0; !r && at < len; at += piece)
		r = a2a_watch_feed(w, head, text + at, piece < len - at ? piece : len - at, e);
	end = r ? r : a2a_watch_end(w, e);
	w = a2a_watch_free(w);
	return end;
}

static void task_from_its_beginning_to_its_end(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 100, 65536 };
	json_t *d = json_pack("{s:i}", "k", 9);
	const char *text = streams[0].text;
	struct err e;

	(void)state;
	say(0, "m1", "hold", NULL);
	assert_int_equal(a2a_turn_state(held, A2A_WORKING), 0);
	assert_int_equal(a2a_turn_artifact(held, "Quote", d), 0);
	a2a_ping(srv);
	a2a_turn_task(held, A2A_COMPLETED, d);
	json_decref(d);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		assert_int_equal(read_it(&events, text, strlen(text), pieces[i], &e), 0);
		assert_int_equal(told.n, 4);
		assert_int_equal(told.kind[0], A2A_TOLD_TASK);
		assert_int_equal(told.kind[1], A2A_TOLD_STATUS);
		assert_int_equal(told.state[1], A2A_WORKING);
		assert_int_equal(told.kind[2], A2A_TOLD_ARTIFACT);
		assert_string_equal(told.artifact[2], "Quote");
		assert_int_equal(told.k[2], 9);
		assert_int_equal(told.kind[3], A2A_TOLD_STATUS);
		assert_int_equal(told.state[3], A2A_COMPLETED);
		assert_int_equal(told.k[3], 9);
	}
	/* Wherever it breaks off, that is said, and nothing is told that is not whole. */
	for (size_t n = 0; n + 1 < strlen(text); n++) {
		assert_int_equal(read_it(&events, text, n, 64, &e), -EPIPE);
		assert_in_range(told.n, 0, 3);
	}
}

static void messages_errors_and_waiting_tasks(void **state)
{
	struct a2a_send m = { .message_id = "m4", .task_id = "no-such-task", .stream = true };
	struct err e;

	(void)state;
	say(0, "m2", "echo", NULL);
	assert_int_equal(read_it(&events, streams[0].text, strlen(streams[0].text), 9, &e), 0);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.kind[0], A2A_TOLD_MESSAGE);
	assert_int_equal(told.k[0], 7);
	say(1, "m3", "TASK_STATE_INPUT_REQUIRED", NULL); /* our move: the stream may end */
	assert_int_equal(read_it(&events, streams[1].text, strlen(streams[1].text), 9, &e), 0);
	assert_int_equal(told.state[told.n - 1], A2A_INPUT_REQUIRED);
	m.data = json_pack("[{}]");
	ask(2, a2a_build_send(&m, 5));
	json_decref((json_t *)(uintptr_t)m.data);
	assert_int_equal(streams[2].opens, 0);
	assert_int_equal(read_it(&answer, got.body, strlen(got.body), 9, &e), 0);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.code[0], A2A_E_TASK_NOT_FOUND);
}

static void subscribing_shows_the_task_first(void **state)
{
	char *text;
	struct err e;

	(void)state;
	say(0, "m1", "hold", NULL);
	text = a2a_build_task("SubscribeToTask", a2a_turn_task_id(held), 5);
	ask(1, text);
	a2a_turn_task(held, A2A_REJECTED, NULL);
	assert_int_equal(read_it(&events, streams[1].text, strlen(streams[1].text), 5, &e), 0);
	assert_int_equal(told.n, 2);
	assert_int_equal(told.kind[0], A2A_TOLD_TASK);
	assert_int_equal(told.state[1], A2A_REJECTED);
}

/* --- servers that do it wrong ----------------------------------------------------------------- */

#define EV(result) "data: {\"jsonrpc\":\"2.0\",\"id\":5,\"result\":" result "}\n\n"
#define TASK(id, st) \
	EV("{\"task\":{\"id\":\"" id "\",\"status\":{\"state\":\"TASK_STATE_" st "\"}}}")
#define STATUS(id, st)                                                                           \
	EV("{\"statusUpdate\":{\"taskId\":\"" id "\",\"contextId\":\"c\",\"status\":{\"state\":" \
	   "\"TASK_STATE_" st "\"}}}")
#define MESSAGE                                                                             \
	EV("{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\",\"contextId\":\"c\"," \
	   "\"parts\":[{\"text\":\"x\"}]}}")
#define GROWTH(more)                                                                  \
	EV("{\"artifactUpdate\":{\"taskId\":\"t\",\"contextId\":\"c\",\"artifact\":{" \
	   "\"artifactId\":\"a\",\"parts\":[{\"data\":{\"k\":1}}]}" more "}}")

static const struct {
	const char *what, *text;
	int want;
	unsigned told;
} cases[] = {
	{ "whole", TASK("t", "WORKING") STATUS("t", "COMPLETED"), 0, 2 },
	{ "append",
	  TASK("t", "WORKING") GROWTH(",\"append\":true,\"lastChunk\":true") STATUS("t", "FAILED"),
	  0, 3 },
	{ "a comment and an id", ": hi\n\nid: 3\nevent: x\n" TASK("t", "COMPLETED"), 0, 1 },
	{ "CRLF",
	  "data: {\"jsonrpc\":\"2.0\",\"id\":5,\r\ndata: "
	  "\"error\":{\"code\":-32004,\"message\":\"no\"}}\r\n\r\n",
	  0, 1 },
	{ "message", MESSAGE, 0, 1 },
	{ "waits", TASK("t", "AUTH_REQUIRED"), 0, 1 },
	{ "waited, works on, broke off", TASK("t", "INPUT_REQUIRED") STATUS("t", "WORKING"), -EPIPE,
	  2 },
	{ "nothing", "", -EPIPE, 0 },
	{ "broke off", TASK("t", "WORKING"), -EPIPE, 1 },
	{ "status first", STATUS("t", "COMPLETED"), -EPROTO, 0 },
	{ "artifact first", GROWTH(""), -EPROTO, 0 },
	{ "another task", TASK("t", "WORKING") STATUS("u", "COMPLETED"), -EPROTO, 1 },
	{ "after the end", TASK("t", "COMPLETED") STATUS("t", "WORKING"), -EPROTO, 1 },
	{ "an error after the end",
	  TASK("t", "COMPLETED") "data: "
				 "{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":-1,\"message\":"
				 "\"x\"}}\n\n",
	  -EPROTO, 1 },
	{ "after a message", MESSAGE TASK("t", "COMPLETED"), -EPROTO, 1 },
	{ "message in a task", TASK("t", "WORKING") MESSAGE, -EPROTO, 1 },
	{ "two contents",
	  EV("{\"task\":{\"id\":\"t\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}},\"message\":{}"
	     "}"),
	  -EPROTO, 0 },
	{ "no content", EV("{}"), -EPROTO, 0 },
	{ "unknown content", EV("{\"surprise\":{}}"), -EPROTO, 0 },
	{ "unknown field",
	  EV("{\"statusUpdate\":{\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"TASK_"
	     "STATE_WORKING\"},\"final\":true}}"),
	  -EPROTO, 0 },
	{ "append is no boolean", TASK("t", "WORKING") GROWTH(",\"append\":1"), -EPROTO, 1 },
	{ "unknown state", TASK("t", "DANCING"), -EPROTO, 0 },
	{ "another id", "data: {\"jsonrpc\":\"2.0\",\"id\":6,\"result\":{}}\n\n", -EPROTO, 0 },
	{ "no JSON", "data: hello\n\n", -EPROTO, 0 },
};

static void wrong_streams_are_refused(void **state)
{
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t piece = 1; piece < 2000; piece += 1999 / 2) {
			int r = read_it(&events, cases[i].text, strlen(cases[i].text), piece, &e);

			if (r != cases[i].want || told.n != cases[i].told)
				fail_msg("%s: %d, %u told", cases[i].what, r, told.n);
		}
	assert_int_equal(read_it(&(struct wire_response){ .status = 200 }, "x", 1, 1, &e), -EPROTO);
	assert_int_equal(
		read_it(&answer, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{}}", 37, 9, &e),
		-EPROTO);
}

/* --- notifications ---------------------------------------------------------------------------- */

static void hook_call(const char *method, const char *task, const struct a2a_hook *h,
		      struct a2a_result *ret)
{
	struct err e = { 0 };
	struct wire_response r = answer;

	ask(0, a2a_build_hook(method, task, h, 9));
	r.status = got.status;
	r.body = got.body;
	r.len = strlen(got.body);
	if (a2a_parse(ret, &r, method, 9, &e))
		fail_msg("%s: %s: %s", method, e.text, got.body);
}

static void hooks_are_set_told_and_taken_back(void **state)
{
	const struct a2a_hook one = { .id = "one", .url = "https://a.example/h", .token = "tok" };
	const struct a2a_hook two = { .id = "two",
				      .url = "https://b.example/h",
				      .scheme = "Bearer",
				      .credentials = "secret" };
	const struct a2a_hook bad = { .id = "bad", .url = "http://a.example/h" };
	struct a2a_result r;
	char task[A2A_ID_MAX + 1];

	(void)state;
	say(1, "m1", "hold", &one); /* one comes with the message */
	(void)snprintf(task, sizeof(task), "%s", a2a_turn_task_id(held));
	hook_call("CreateTaskPushNotificationConfig", task, &two, &r);
	assert_int_equal(r.nhooks, 1);
	assert_string_equal(r.hooks[0].id, "two");
	assert_string_equal(r.task_id, task);
	a2a_result_clear(&r);
	hook_call("CreateTaskPushNotificationConfig", task, &bad, &r);
	assert_int_equal(r.code, A2A_E_PARAMS);
	a2a_result_clear(&r);
	hook_call("GetTaskPushNotificationConfig", task, &one, &r);
	assert_string_equal(r.hooks[0].url, one.url);
	assert_string_equal(r.hooks[0].token, "tok");
	a2a_result_clear(&r);
	hook_call("ListTaskPushNotificationConfigs", task, NULL, &r);
	assert_int_equal(r.nhooks, 2);
	assert_string_equal(r.hooks[1].url, two.url);
	a2a_result_clear(&r);
	hook_call("DeleteTaskPushNotificationConfig", task, &two, &r);
	assert_int_equal(r.code, 0);
	a2a_result_clear(&r);
	hook_call("GetTaskPushNotificationConfig", task, &two, &r);
	assert_int_equal(r.code, A2A_E_TASK_NOT_FOUND);
	a2a_result_clear(&r);
	pushed.n = 0;
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	assert_int_equal(pushed.n, 1);
	assert_string_equal(pushed.token, "tok");
}

static void notifications_read(void **state)
{
	const struct a2a_hook h = { .id = "h", .url = "https://a.example/h" };
	struct a2a_told t;
	struct err e = { 0 };

	(void)state;
	say(0, "m1", "TASK_STATE_COMPLETED", &h);
	assert_true(pushed.n >= 2);
	for (unsigned i = 0; i < pushed.n; i++) {
		if (a2a_told_read(&t, pushed.body[i], strlen(pushed.body[i]), &e))
			fail_msg("%s: %s", e.text, pushed.body[i]);
		on_told(NULL, &t);
		a2a_result_clear(&t.r);
	}
	assert_int_equal(told.state[told.n - 1], A2A_COMPLETED);
	assert_int_equal(a2a_told_read(&t, "{}", 2, &e), -EPROTO);
	assert_int_equal(a2a_told_read(&t, "[]", 2, &e), -EPROTO);
	assert_int_equal(a2a_told_read(&t, "{", 1, &e), -EPROTO);
}

#define W(f) cmocka_unit_test_setup_teardown(f, watch_setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		W(task_from_its_beginning_to_its_end), W(messages_errors_and_waiting_tasks),
		W(subscribing_shows_the_task_first),   W(wrong_streams_are_refused),
		W(hooks_are_set_told_and_taken_back),  W(notifications_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
