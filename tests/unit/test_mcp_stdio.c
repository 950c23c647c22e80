/* SPDX-License-Identifier: Apache-2.0 */
/* build/treatyctl mcp as a process between two pipes and the real MCP core behind real HTTP, on a
 * unix socket and over mutual TLS: both revisions, streams, questions, cancellation and the end of
 * input; before that the transport's core over bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <libgen.h>
#include <limits.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "agent/codec/json.h"
#include "agent/wire/http_server.h"
#include "agent/wire/mcp.h"
#include "agent/wire/mcp_stdio.h"
#include "agent/wire/sse_in.h"
#include "wire_lab.h"

static char tool[PATH_MAX], sock[128];
static uint16_t port;
static pid_t server;

/* --- the server, in a process of its own --------------------------------------------------------
 */

static struct mcp_server *mcp;
static struct mcp_turn *held;
static int64_t gone;

static void on_gone(void *arg)
{
	struct mcp_turn *t = held;

	(void)arg;
	gone++;
	held = NULL;
	mcp_turn_refuse(t, "cancelled");
}

static void on_answer(void *arg, struct mcp_turn *t, const json_t *r)
{
	(void)arg;
	if (r)
		mcp_turn_raw(t, r);
	else
		mcp_turn_refuse(t, "declined");
}

static int on_call(void *arg, const struct peer *p, const char *name, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	auto_json json_t *n = NULL;

	(void)arg;
	(void)key;
	if (!strcmp(name, "slow")) {
		held = t;
		mcp_turn_on_cancel(t, on_gone, NULL);
		mcp_turn_progress(t, 1, 2, "half");
	} else if (!strcmp(name, "release")) {
		if (held)
			mcp_turn_result(held, args);
		held = NULL;
		mcp_turn_result(t, args);
	} else if (!strcmp(name, "ask")) {
		return mcp_turn_ask(t, "elicitation/create", args, on_answer, NULL);
	} else if (!strcmp(name, "touch")) {
		mcp_resource_changed(mcp, "treaty://agreements", NULL);
		mcp_turn_result(t, args);
	} else if (!strcmp(name, "who")) {
		n = json_pack("{s:s, s:I, s:I}", "did", p->did, "gone", (json_int_t)gone, "streams",
			      (json_int_t)mcp_streams(mcp));
		mcp_turn_result(t, n);
	} else {
		mcp_turn_result(t, args);
	}
	return 0;
}

static bool readable(void *arg, const struct peer *p, const char *uri)
{
	(void)arg;
	(void)p;
	return !strcmp(uri, "treaty://agreements");
}

static void route(void *arg, const struct wire_request *r, struct http_reply *t)
{
	(void)arg;
	mcp_server_handle(mcp, r, http_sink(t));
}

static void serve(int ready)
{
#define TOOL_OF(n)                                                                            \
	{                                                                                     \
		n, NULL, "d", "{\"type\":\"object\"}", NULL, false, false, true, false, false \
	}
	static const struct mcp_tool tools[] = { TOOL_OF("echo"),  TOOL_OF("slow"),
						 TOOL_OF("who"),   TOOL_OF("ask"),
						 TOOL_OF("touch"), TOOL_OF("release") };
	static const struct mcp_resource res = { .uri = "treaty://agreements",
						 .name = "agreements" };
	static const struct mcp_app app = { .call = on_call, .readable = readable };
	static const struct mcp_config c = { .path = "/mcp",
					     .name = "n",
					     .version = "1",
					     .tools = tools,
					     .ntools = ARRAY_LEN(tools),
					     .resources = &res,
					     .nresources = 1,
					     .legacy = true };
	static const struct http_config hc = { .handler = route };
	struct http_server *srv = NULL;
	struct loop *l = NULL;
	struct tls_id *id = NULL;
	struct err e = { 0 };

	if (loop_new(&l, false) || mcp_server_new(&mcp, &c, &app, &e) ||
	    http_server_new(&srv, l, &hc, &e) || http_listen_unix(srv, sock, &e) ||
	    lab_id(&id, "alice") || http_listen_tls(srv, "127.0.0.1", 0, id, &e)) {
		fprintf(stderr, "serve: %s\n", e.text);
		_exit(1);
	}
	port = http_listen_port(srv, 1);
	(void)!write(ready, &port, sizeof(port));
	_exit(loop_run(l) ? 1 : 0);
}

static int group_setup(void **state)
{
	int fd[2];

	(void)state;
	if (lab_make() || pipe2(fd, O_CLOEXEC))
		return -1;
	(void)snprintf(sock, sizeof(sock), "%s", lab_path("mcp", ".sock"));
	server = fork();
	if (!server)
		serve(fd[1]);
	(void)close(fd[1]);
	return read(fd[0], &port, sizeof(port)) == sizeof(port) ? close(fd[0]) : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	(void)kill(server, SIGTERM);
	(void)waitpid(server, NULL, 0);
	lab_remove();
	return 0;
}

/* --- the bridge ---------------------------------------------------------------------------------
 */

static struct bridge {
	pid_t pid;
	int in, out;
	char buf[3 << 20];
	size_t n;
} br;

static void bridge_open(const char *const *more)
{
	const char *argv[16] = { tool, "mcp" };
	int in[2], out[2];
	size_t n = 2;

	while (*more)
		argv[n++] = *more++;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	br.n = 0;
	br.pid = fork();
	assert_true(br.pid >= 0);
	if (!br.pid) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)execv(tool, (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	br.in = in[1];
	br.out = out[0];
}

static void local(void)
{
	const char *const args[] = { "--socket", sock, NULL };

	bridge_open(args);
}

static void say(const char *line)
{
	size_t n = strlen(line), done = 0;

	while (done < n) {
		ssize_t r = write(br.in, line + done, n - done);

		assert_true(r > 0);
		done += (size_t)r;
	}
}

/* The next line as JSON; NULL at the end of output. */
static json_t *hear(void)
{
	char *nl;
	json_t *js;
	size_t len;

	while (!(nl = memchr(br.buf, '\n', br.n))) {
		struct pollfd p = { .fd = br.out, .events = POLLIN };
		ssize_t r;

		if (poll(&p, 1, 20000) != 1)
			fail_msg("no line; so far: %.*s", (int)br.n, br.buf);
		assert_true(br.n < sizeof(br.buf) - 1);
		r = read(br.out, br.buf + br.n, sizeof(br.buf) - 1 - br.n);
		if (r <= 0) {
			assert_int_equal(br.n, 0);
			return NULL;
		}
		br.n += (size_t)r;
	}
	len = (size_t)(nl - br.buf);
	js = json_loadb(br.buf, len, 0, NULL);
	if (!js)
		fail_msg("no JSON: %.*s", (int)len, br.buf);
	br.n -= len + 1;
	memmove(br.buf, nl + 1, br.n);
	return js;
}

/* The next line must hold this. */
static void expect(const char *text)
{
	auto_json json_t *js = hear();
	auto_free char *line = json_dumps(js, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!line || !strstr(line, text))
		fail_msg("expected %s in %.400s", text, line ? line : "the end of output");
}

/* Ends the input; the exit code, and nothing more may be said. */
static int bridge_end(void)
{
	int st;
	auto_json json_t *js = NULL;

	(void)close(br.in);
	js = hear();
	if (js)
		fail_msg("a line after the end");
	(void)close(br.out);
	assert_int_equal(waitpid(br.pid, &st, 0), br.pid);
	assert_true(WIFEXITED(st));
	return WEXITSTATUS(st);
}

#define META                                                                     \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," \
	"\"io.modelcontextprotocol/clientCapabilities\":{},\"progressToken\":\"p\"}"
#define NEW(id, method, more)                                                                      \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":{" META more "}}" \
	"\n"
#define CALL(id, name) \
	NEW(id, "tools/call", ",\"name\":\"" name "\",\"arguments\":{\"k\":\"" name "\"}")
#define OLD(id, method, params) \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":{" params "}}\n"
#define NOTE(method, params) \
	"{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":{" params "}}\n"
#define INITIALIZE                                                                      \
	OLD("1", "initialize",                                                          \
	    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"elicitation\":{}}," \
	    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}")

static void newer_revision(void **state)
{
	(void)state;
	local();
	say(NEW("\"d\"", "server/discover", ""));
	expect("\"supportedVersions\":[\"2026-07-28\",\"2025-11-25\"]");
	say(NEW("2", "tools/list", ""));
	expect("\"id\":2,\"result\":{\"resultType\":\"complete\",\"tools\":[");
	say(CALL("3", "echo") "\r\n\n");
	expect("\"structuredContent\":{\"k\":\"echo\"}");
	say(CALL("4", "nobody")); /* an error of the daemon is the client's answer */
	expect("\"id\":4,\"error\":{\"code\":-32602");
	say(NEW("5", "nothing/here", "")); /* HTTP 404 */
	expect("\"id\":5,\"error\":{\"code\":-32601");
	assert_int_equal(bridge_end(), 0);
}

static void older_revision(void **state)
{
	(void)state;
	local();
	/* All at once: what follows initialize waits for its session. */
	say(INITIALIZE NOTE("notifications/initialized", "") OLD("2", "tools/list", "")
		    OLD("3", "ping", ""));
	expect("\"id\":1,\"result\":{\"protocolVersion\":\"2025-11-25\"");
	{
		auto_json json_t *a = hear(), *b = hear();
		json_int_t ids = json_integer_value(json_object_get(a, "id")) +
				 json_integer_value(json_object_get(b, "id"));

		assert_int_equal(ids, 5); /* two calls under way may end in any order */
		assert_non_null(json_object_get(a, "result"));
		assert_non_null(json_object_get(b, "result"));
	}
	say(OLD("4", "tools/call", "\"name\":\"ask\",\"arguments\":{\"message\":\"sure?\"}"));
	expect("\"method\":\"elicitation/create\",\"params\":{\"message\":\"sure?\"}");
	say("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"action\":\"accept\"}}\n");
	expect("\"id\":4,\"result\":{\"action\":\"accept\"}");
	say(OLD("5", "resources/subscribe", "\"uri\":\"treaty://agreements\""));
	expect("\"id\":5,\"result\":{}");
	/* until the session's own stream is open; it opens beside the calls */
	for (bool open = false; !open;) {
		auto_json json_t *js = NULL;

		say(OLD("6", "tools/call", "\"name\":\"who\",\"arguments\":{}"));
		js = hear();
		open = json_integer_value(json_object_get(
			       json_object_get(json_object_get(js, "result"), "structuredContent"),
			       "streams")) == 1;
	}
	say(OLD("7", "tools/call", "\"name\":\"touch\",\"arguments\":{}"));
	{
		auto_json json_t *a = hear(), *b = hear();
		const json_t *note = json_object_get(a, "method") ? a : b;

		assert_string_equal(json_string_value(json_object_get(note, "method")),
				    "notifications/resources/updated");
	}
	assert_int_equal(bridge_end(), 0);
	/* the session went with it */
	local();
	say(CALL("1", "who"));
	expect("\"streams\":0");
	assert_int_equal(bridge_end(), 0);
}

static int64_t gone_now(void)
{
	auto_json json_t *js = NULL;

	say(CALL("\"g\"", "who"));
	js = hear();
	return json_integer_value(json_object_get(
		json_object_get(json_object_get(js, "result"), "structuredContent"), "gone"));
}

static void progress_and_cancel(void **state)
{
	int64_t before;

	(void)state;
	local();
	before = gone_now();
	say(CALL("7", "slow"));
	expect("\"method\":\"notifications/progress\"");
	say(CALL("8", "release"));
	{
		auto_json json_t *a = hear(), *b = hear();
		json_int_t ids = json_integer_value(json_object_get(a, "id")) +
				 json_integer_value(json_object_get(b, "id"));

		assert_int_equal(ids, 15);
	}
	say(CALL("9", "slow"));
	expect("\"method\":\"notifications/progress\"");
	say(NOTE("notifications/cancelled", "\"requestId\":9,\"reason\":\"no\""));
	while (gone_now() == before)
		;
	say(NOTE("notifications/cancelled", "\"requestId\":\"none\""));
	say(CALL("10", "echo")); /* nothing was said for 9 */
	expect("\"id\":10,");
	assert_int_equal(bridge_end(), 0);
}

static void listening(void **state)
{
	(void)state;
	local();
	say(NEW("\"l\"", "subscriptions/listen",
		",\"notifications\":{\"resourceSubscriptions\":[\"treaty://agreements\"]}"));
	expect("notifications/subscriptions/acknowledged");
	say(CALL("2", "touch"));
	{
		auto_json json_t *a = hear(), *b = hear();
		const json_t *note = json_object_get(a, "method") ? a : b;
		const json_t *meta = json_object_get(json_object_get(note, "params"), "_meta");

		assert_string_equal(json_string_value(json_object_get(
					    meta, "io.modelcontextprotocol/subscriptionId")),
				    "l");
	}
	assert_int_equal(bridge_end(), 0); /* a stream does not hold the end up */
}

static void answers_come_after_the_end(void **state)
{
	(void)state;
	local();
	say(CALL("1", "echo") CALL("2", "echo") CALL("3", "echo"));
	(void)close(br.in);
	br.in = -1;
	for (int i = 0; i < 3; i++)
		expect("\"structuredContent\":{\"k\":\"echo\"}");
	assert_int_equal(bridge_end(), 0);
}

static void bad_lines(void **state)
{
	static char longer[MCP_LINE_MAX + 100];
	static const char *const bad[] = { "nonsense\n",
					   "[]\n",
					   "{\"a\":1,\"a\":2}\n",
					   "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"x\"}\n",
					   "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"x\"}\n",
					   "{\"jsonrpc\":\"2.0\",\"id\":1}\n" };

	(void)state;
	local();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		say(bad[i]);
		expect("\"id\":null,\"error\":{\"code\":-32700");
	}
	memset(longer, 'a', sizeof(longer) - 2);
	longer[sizeof(longer) - 2] = '\n';
	say(longer);
	expect("\"code\":-32600,\"message\":\"a line is longer than 1 MiB\"");
	say(CALL("1", "echo"));
	expect("\"id\":1,\"result\"");
	assert_int_equal(bridge_end(), 0);
}

static void no_daemon(void **state)
{
	const char *const args[] = { "--socket", "/nonexistent/s.sock", NULL };

	(void)state;
	bridge_open(args);
	say(CALL("1", "echo"));
	expect("\"id\":1,\"error\":{\"code\":-32603,\"message\":\"no answer from the daemon");
	assert_int_equal(bridge_end(), 3);
}

static void over_tls(void **state)
{
	char url[64], cert[128], key[128], ca[128];
	const char *args[] = { "--url", url,    "--cert", cert,    "--key",
			       key,     "--ca", ca,       "--did", "did:web:alice.example",
			       NULL };

	(void)state;
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/mcp", port);
	(void)snprintf(cert, sizeof(cert), "%s", lab_path("bob", ".pem"));
	(void)snprintf(key, sizeof(key), "%s", lab_path("bob", ".key"));
	(void)snprintf(ca, sizeof(ca), "%s", lab_path("ca", ".pem"));
	bridge_open(args);
	say(CALL("1", "who"));
	expect("\"did\":\"did:web:bob.example\"");
	say(CALL("2", "slow"));
	expect("\"method\":\"notifications/progress\"");
	say(NOTE("notifications/cancelled", "\"requestId\":2"));
	assert_int_equal(bridge_end(), 0);
	args[9] = "did:web:bob.example"; /* somebody else answers */
	bridge_open(args);
	say(CALL("1", "who"));
	expect("\"id\":1,\"error\":{\"code\":-32603");
	assert_int_equal(bridge_end(), 3);
}

/* --- the core -----------------------------------------------------------------------------------
 */

static void headers_follow_the_line(void **state)
{
	static const struct {
		const char *line, *name;
	} rows[] = {
		{ CALL("1", "echo"), "echo" },
		{ NEW("1", "resources/read", ",\"uri\":\"treaty://a b\""), "treaty://a b" },
		{ NEW("1", "resources/read", ",\"uri\":\"\xc3\xa9\""), "=?base64?w6k=?=" },
		{ NEW("1", "prompts/get", ",\"name\":\" x\""), "=?base64?IHg=?=" },
		{ NEW("1", "tasks/get", ",\"taskId\":\"t\""), "t" },
		{ NEW("1", "tools/call", ",\"name\":\"=?base64?\""), "=?base64?PT9iYXNlNjQ/?=" },
	};
	const struct mcp_stdio_session s = { "sid", "2025-11-25" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_header h[MCP_STDIO_HEADERS];
		struct mcp_line l;
		size_t n;

		assert_int_equal(mcp_line_read(&l, rows[i].line, strlen(rows[i].line), NULL), 0);
		n = mcp_line_headers(h, &l, &s);
		assert_int_equal(n, 5);
		assert_string_equal(h[4].name, "Mcp-Name");
		assert_string_equal(h[4].value, rows[i].name);
		mcp_line_clear(&l);
	}
}

static char heard[512];

static void on_event(void *arg, const char *text, size_t len)
{
	(void)arg;
	(void)snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), "[%.*s]", (int)len,
		       text);
}

/* The same bytes cut in every place say the same. */
static void events_come_in_pieces(void **state)
{
	static const char text[] = ": open\n\nevent: message\ndata: {\"a\":1}\n\nid: 7\r\ndata:"
				   "{\"b\":\r\ndata: 2}\r\n\r\n: ping\n\ndata: {}\n\n";

	(void)state;
	for (size_t cut = 1; cut < sizeof(text); cut++) {
		struct sse_in ev = { .fn = on_event };

		heard[0] = '\0';
		for (size_t at = 0; at < sizeof(text) - 1; at += cut)
			assert_int_equal(sse_in_feed(&ev, text + at,
						     sizeof(text) - 1 - at < cut
							     ? sizeof(text) - 1 - at
							     : cut),
					 0);
		sse_in_clear(&ev);
		assert_string_equal(heard, "[{\"a\":1}][{\"b\":2}][{}]");
	}
}

static size_t longest;

static void on_long(void *arg, const char *text, size_t len)
{
	(void)arg;
	(void)text;
	longest = len > longest ? len : longest;
}

/* What was looked through is not looked through again: else this takes minutes. Ends that are cut
 * at each byte are found, and what only looks like one is not. */
static void a_long_event_comes_byte_by_byte(void **state)
{
	enum { LEN = 2 << 20 };
	char *text = malloc(LEN + 1);
	struct sse_in ev = { .fn = on_long };

	(void)state;
	assert_non_null(text);
	memset(text, 'x', LEN);
	memcpy(text, "data:", 5);
	memcpy(text + LEN / 2, "\r\ndata:\r\rdata:", 14);
	memcpy(text + LEN - 4, "\r\n\r\n", 4);
	for (size_t i = 0; i < LEN; i++)
		assert_int_equal(sse_in_feed(&ev, text + i, 1), 0);
	assert_int_equal(longest, LEN - 4 - 5 - 7);
	sse_in_clear(&ev);
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_follow_the_line),
		cmocka_unit_test(events_come_in_pieces),
		cmocka_unit_test(a_long_event_comes_byte_by_byte),
		cmocka_unit_test(newer_revision),
		cmocka_unit_test(older_revision),
		cmocka_unit_test(progress_and_cancel),
		cmocka_unit_test(listening),
		cmocka_unit_test(answers_come_after_the_end),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(no_daemon),
		cmocka_unit_test(over_tls),
	};
	char self[PATH_MAX] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
	    snprintf(tool, sizeof(tool), "%.4000s/../../treatyctl", dirname(self)) < 0)
		return 1;
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
