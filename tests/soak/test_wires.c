/* SPDX-License-Identifier: Apache-2.0 */
/* test_wires.c - the wires under compressed load: WIRES_REQUESTS requests (default 16,000; `make
 * soak`: 864,000, a day at ten a second) of every method of A2A and of both MCP revisions, readers
 * that come, go, or never read, webhooks, broken requests, connections with TLS and without.
 *
 * A cycle is 2,000 requests; after it nothing is open any more, and the server must hold as many
 * descriptors and, but for a few, as many blocks of memory as after the first cycles. Then it is
 * made to lose 64 bytes a request, which the same comparison must find. The seed is printed:
 * WIRES_SEED repeats the choice. Idle readers and slow senders have a case each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/codec/json.h"
#include "wires_server.h"

#define CYCLE       2000
#define SETTLE      4   /* cycles until bounded stores are full */
#define SLACK       250 /* blocks: stores keep answers of several shapes */
#define SLACK_BYTES (32 << 10)
#define CREEP_BYTES \
	(1 << 20) /* of the whole run: blocks get a little more room than they ask for */
#define IDLE        10000
#define CROWDS      6    /* until one of them found every table large enough */
#define IDLE_BYTES  6144 /* a reader that waits, at most */
#define SLOW        200
#define EXT         "A2A-Version: 1.0\r\n"
#define VERSIONS(v) "MCP-Protocol-Version: " v "\r\n"

static char self[4096], buf[1 << 17], sock[128];
static pid_t server;
static unsigned tls_port, plain_port;
static uint64_t requests, nth;

static long knob(const char *name, long dfl)
{
	const char *v = getenv(name);

	return v && *v ? strtol(v, NULL, 10) : dfl;
}

/* --- connections ------------------------------------------------------------------------------ */

static struct wire_end dial(void)
{
	struct wire_end w;

	if (end_unix(&w, sock))
		fail_msg("connect: %s", strerror(errno));
	return w;
}

static void put(struct wire_end *w, const char *p, size_t n)
{
	assert_int_equal(end_write(w, p, n), n);
}

/* One request with a body; its status, its answer in buf. */
static int ask(struct wire_end *w, const char *line, const char *headers, const char *body)
{
	static char text[8192];
	int n = snprintf(text, sizeof(text),
			 "%s HTTP/1.1\r\nHost: h\r\n%sContent-Type: application/json\r\n"
			 "Accept: application/json, text/event-stream\r\nContent-Length: "
			 "%zu\r\n\r\n%s",
			 line, headers, strlen(body), body);

	assert_true(n > 0 && n < (int)sizeof(text));
	put(w, text, (size_t)n);
	requests++;
	return end_reply(w, buf, sizeof(buf));
}

static void get(struct wire_end *w, const char *path)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);

	put(w, text, (size_t)n);
	requests++;
	if (end_reply(w, buf, sizeof(buf)) != 200)
		fail_msg("%s: %.300s", path, buf);
}

/* The value of the first member of that name, of the last answer. */
static void member(const char *name, char out[80])
{
	char key[40];
	const char *at;

	(void)snprintf(key, sizeof(key), "\"%s\":\"", name);
	at = strstr(buf, key);
	if (!at)
		fail_msg("no %s in %.400s", name, buf);
	at += strlen(key);
	(void)snprintf(out, 80, "%.*s", (int)strcspn(at, "\""), at);
}

/* --- the protocols ------------------------------------------------------------------------------
 */

static void modern(struct wire_end *w, const char *method, const char *name, const char *params)
{
	char headers[400], body[1024];

	(void)snprintf(headers, sizeof(headers), VERSIONS("2026-07-28") "Mcp-Method: %s\r\n%s%s%s",
		       method, name ? "Mcp-Name: " : "", name ? name : "", name ? "\r\n" : "");
	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"_meta\":{"
		       "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		       "\"io.modelcontextprotocol/clientCapabilities\":{\"extensions\":{"
		       "\"io.modelcontextprotocol/tasks\":{}}}}%s}}",
		       method, params);
	if (ask(w, "POST /mcp", headers, body) != 200 || !strstr(buf, "\"result\""))
		fail_msg("%s: %.400s", method, buf);
}

static void do_modern(struct wire_end *w)
{
	char id[80], params[200];

	modern(w, "server/discover", NULL, "");
	modern(w, "tools/list", NULL, "");
	modern(w, "tools/call", "echo", ",\"name\":\"echo\",\"arguments\":{\"a\":1}");
	modern(w, "resources/list", NULL, "");
	modern(w, "resources/templates/list", NULL, "");
	modern(w, "resources/read", "soak://log", ",\"uri\":\"soak://log\"");
	for (int cancel = 0; cancel < 2; cancel++) {
		modern(w, "tools/call", "job", ",\"name\":\"job\"");
		member("taskId", id);
		(void)snprintf(params, sizeof(params), ",\"taskId\":\"%s\"", id);
		modern(w, cancel ? "tasks/cancel" : "tasks/get", id, params);
	}
}

static void old(struct wire_end *w, const char *session, const char *method, const char *params)
{
	char headers[200], body[600];

	(void)snprintf(headers, sizeof(headers), VERSIONS("2025-11-25") "%s%s%s",
		       *session ? "Mcp-Session-Id: " : "", session, *session ? "\r\n" : "");
	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{%s}}", method,
		       params);
	if (ask(w, "POST /mcp", headers, body) != 200 || !strstr(buf, "\"result\""))
		fail_msg("%s: %.400s", method, buf);
}

static void do_old(struct wire_end *w)
{
	char session[80], id[80], text[200];
	const char *at;

	old(w, "", "initialize", "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}");
	at = strstr(buf, "Mcp-Session-Id: ");
	assert_non_null(at);
	(void)snprintf(session, sizeof(session), "%.32s", at + 16);
	old(w, session, "ping", "");
	old(w, session, "tools/list", "");
	old(w, session, "tools/call", "\"name\":\"job\",\"arguments\":{}"); /* it is waited for */
	old(w, session, "resources/subscribe", "\"uri\":\"soak://log\"");
	old(w, session, "resources/unsubscribe", "\"uri\":\"soak://log\"");
	old(w, session, "tools/call", "\"name\":\"job\",\"task\":{\"ttl\":1000}");
	member("taskId", id);
	(void)snprintf(text, sizeof(text), "\"taskId\":\"%s\"", id);
	old(w, session, "tasks/get", text);
	old(w, session, "tasks/result", text);
	old(w, session, "tasks/list", "");
	(void)snprintf(text, sizeof(text), VERSIONS("2025-11-25") "Mcp-Session-Id: %s\r\n",
		       session);
	assert_int_equal(ask(w, "DELETE /mcp", text, ""), 204);
}

static void a2a(struct wire_end *w, const char *method, const char *params)
{
	char body[1200];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method,
		       params);
	if (ask(w, "POST /a2a", EXT, body) != 200 || !strstr(buf, "\"result\""))
		fail_msg("%s: %.400s", method, buf);
}

static void message(struct wire_end *w, const char *method, const char *act)
{
	char params[400];

	(void)snprintf(params, sizeof(params),
		       "{\"message\":{\"messageId\":\"m-%010llu\",\"role\":\"ROLE_USER\","
		       "\"parts\":[{\"data\":{\"act\":\"%s\"}}]}}",
		       (unsigned long long)++nth, act);
	if (strcmp(method, "SendStreamingMessage")) {
		a2a(w, method, params);
	} else {
		struct wire_end s = dial();
		char body[600];

		(void)snprintf(body, sizeof(body),
			       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
			       method, params);
		assert_int_equal(ask(&s, "POST /a2a", EXT, body), 200);
		end_close(&s); /* in the middle, or at its end */
	}
}

static void do_a2a(struct wire_end *w)
{
	char id[80], params[400];
	struct wire_end s;

	message(w, "SendMessage", "echo");
	message(w, "SendMessage", "done");
	message(w, "SendStreamingMessage", "done");
	message(w, "SendMessage", "open");
	member("id", id);
	(void)snprintf(params, sizeof(params), "{\"id\":\"%s\"}", id);
	a2a(w, "GetTask", params);
	a2a(w, "ListTasks", "{}");
	a2a(w, "GetExtendedAgentCard", "{}");
	(void)snprintf(params, sizeof(params),
		       "{\"taskId\":\"%s\",\"id\":\"c1\",\"url\":\"http://127.0.0.1:%u/hook\"}", id,
		       plain_port);
	a2a(w, "CreateTaskPushNotificationConfig", params);
	(void)snprintf(params, sizeof(params), "{\"taskId\":\"%s\",\"id\":\"c1\"}", id);
	a2a(w, "GetTaskPushNotificationConfig", params);
	a2a(w, "ListTaskPushNotificationConfigs", params);
	if (random() % 2)
		a2a(w, "DeleteTaskPushNotificationConfig", params);
	s = dial();
	(void)snprintf(params, sizeof(params),
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SubscribeToTask\",\"params\":{"
		       "\"id\":\"%s\"}}",
		       id);
	assert_int_equal(ask(&s, "POST /a2a", EXT, params), 200);
	(void)snprintf(params, sizeof(params), "{\"id\":\"%s\"}", id);
	a2a(w, "CancelTask", params);
	end_close(&s);
	(void)snprintf(params, sizeof(params), "GET /a2a/tasks/%s", id);
	assert_int_equal(ask(w, params, EXT, ""), 200);
	get(w, A2A_CARD_PATH);
}

/* --- everything else ---------------------------------------------------------------------------
 */

/* What is broken gets its status, or the door. */
static void do_broken(void)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "GET /state HTTP/1.1\r\n\r\n", 400 },
		{ "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n0\r\n\r\n",
		  400 },
		{ "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n", 413 },
		{ "BREW /mcp HTTP/1.1\r\nHost: h\r\n\r\n", 405 },
		{ "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
		  "Content-Length: 9\r\n\r\n{\"jsonrpc",
		  400 },
		{ "POST /a2a HTTP/1.1\r\nHost: h\r\nA2A-Version: 1.0\r\nContent-Type: "
		  "application/json\r\nContent-Length: 8\r\n\r\n[[[[[[[[",
		  200 },
		{ "\x16\x03\x01\x02", 0 },
		{ "GET /events?after=x HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	};
	size_t i = (size_t)random() % ARRAY_LEN(rows);
	struct wire_end w = dial();

	put(&w, rows[i].text, strlen(rows[i].text));
	requests++;
	if (!rows[i].status)
		end_close(&w); /* leaves in the middle of its head */
	else if (end_reply(&w, buf, sizeof(buf)) != rows[i].status)
		fail_msg("%s: %.300s", rows[i].text, buf);
	end_close(&w);
}

/* Readers of two kinds while events go out: one reads and leaves, one never reads. */
static void do_readers(struct wire_end *w)
{
	struct wire_end r = dial(), lazy = dial();

	get(&r, "/events");
	get(&lazy, "/events?type=TICK");
	for (int i = 0; i < 10; i++)
		get(w, "/publish");
	assert_true(end_read(&r, buf, sizeof(buf)) > 0);
	end_close(&r);
	end_close(&lazy);
	r = dial();
	modern(w, "tools/list", NULL, "");
	(void)ask(&r, "POST /mcp", VERSIONS("2026-07-28") "Mcp-Method: subscriptions/listen\r\n",
		  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{"
		  "\"notifications\":{\"resourceSubscriptions\":[\"soak://log\"]},\"_meta\":{"
		  "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		  "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");
	assert_non_null(strstr(buf, "text/event-stream"));
	get(w, "/publish");
	end_close(&r);
}

static void do_tls(void)
{
	struct wire_end w;

	if (end_tls(&w, (uint16_t)tls_port, "bob", 0))
		fail_msg("no TLS");
	modern(&w, "tools/list", NULL, "");
	get(&w, A2A_CARD_PATH);
	end_close(&w);
	requests++;
	if (!end_tls(&w, (uint16_t)tls_port, "mallory", 0)) { /* refused at the first read */
		(void)end_write(&w, "GET /state HTTP/1.1\r\nHost: h\r\n\r\n", 33);
		assert_int_equal(end_reply(&w, buf, sizeof(buf)), 0);
	}
	end_close(&w);
}

/* --- what the server holds ---------------------------------------------------------------------
 */

static unsigned descriptors(void)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)server);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static struct held {
	json_int_t connections, readers, bytes, blocks, pushed;
	unsigned fds;
} held_now(void)
{
	struct wire_end w = dial();
	struct held h = { 0 };
	json_t *js;

	get(&w, "/state");
	js = json_loads(strstr(buf, "\r\n\r\n") + 4, 0, NULL);
	assert_int_equal(json_unpack(js, "{s:I, s:I, s:I, s:I, s:I}", "connections", &h.connections,
				     "readers", &h.readers, "bytes", &h.bytes, "blocks", &h.blocks,
				     "pushed", &h.pushed),
			 0);
	json_decref(js);
	h.fds = descriptors();
	end_close(&w);
	return h;
}

/* When nothing is open but who asks, and nothing is on its way: two looks that are the same, but
 * for the block that each look loses when blocks are lost. */
static struct held at_rest(void)
{
	struct held last = { .blocks = -1 }, h;

	for (int i = 0; i < 2000; i++) {
		h = held_now();
		/* the server's own call of its webhook keeps two ends, for the next */
		if (h.connections <= 2 && !h.readers && llabs(h.blocks - last.blocks) < 3 &&
		    h.pushed == last.pushed)
			return h;
		last = h;
		(void)usleep(5000);
	}
	fail_msg("%d connections, %d readers stay", (int)h.connections, (int)h.readers);
	return h;
}

static struct held cycle(void)
{
	const uint64_t end = requests + CYCLE;
	struct wire_end w = dial();

	while (requests < end) {
		long pick = random() % 100;

		if (pick < 30)
			do_modern(&w);
		else if (pick < 55)
			do_old(&w);
		else if (pick < 80)
			do_a2a(&w);
		else if (pick < 94)
			do_broken();
		else if (pick < 98)
			do_readers(&w);
		else
			do_tls();
	}
	end_close(&w);
	return at_rest();
}

/* --- cases -------------------------------------------------------------------------------------
 */

static int start(void **state)
{
	int out[2], n;
	char line[64];

	(void)state;
	assert_int_equal(pipe(out), 0);
	server = fork();
	if (!server) {
		(void)dup2(out[1], 1);
		/* without its cache the allocator says to the byte what is in use */
		(void)setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
		(void)execl(self, self, "serve", lab_dir, NULL);
		_exit(126);
	}
	(void)close(out[1]);
	n = (int)read(out[0], line, sizeof(line) - 1);
	(void)close(out[0]);
	line[n > 0 ? n : 0] = '\0';
	return sscanf(line, "%u %u", &tls_port, &plain_port) == 2 ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	(void)kill(server, SIGKILL);
	(void)waitpid(server, NULL, 0);
	return unlink(sock);
}

static void nothing_grows(void **state)
{
	const uint64_t total = (uint64_t)knob("WIRES_REQUESTS", 16000);
	struct held first = { 0 }, h = { 0 };
	json_int_t most = 0;
	struct wire_end w;
	unsigned n;

	(void)state;
	requests = 0;
	for (n = 0; n < SETTLE + 2 || requests < total; n++) {
		h = cycle();
		if (getenv("WIRES_VERBOSE"))
			print_message("cycle %u: %d blocks, %d bytes\n", n, (int)h.blocks,
				      (int)h.bytes);
		if (n + 1 == SETTLE)
			first = h;
		if (n < SETTLE)
			continue;
		most = h.blocks - first.blocks > most ? h.blocks - first.blocks : most;
		if (h.blocks - first.blocks > SLACK)
			fail_msg("cycle %u: %d blocks more", n, (int)(h.blocks - first.blocks));
		assert_true(h.bytes - first.bytes < CREEP_BYTES);
		assert_int_equal(h.fds, first.fds);
	}
	print_message("%llu requests, %u cycles: %d blocks, at most %d more than after %d cycles "
		      "(%d bytes, %+d); %u descriptors; %d webhooks called\n",
		      (unsigned long long)requests, n, (int)h.blocks, (int)most, SETTLE,
		      (int)h.bytes, (int)(h.bytes - first.bytes), h.fds, (int)h.pushed);
	assert_true(h.pushed > 0);
	w = dial();
	get(&w, "/leak");
	end_close(&w);
	h = cycle();
	if (h.blocks - first.blocks <= SLACK)
		fail_msg("%d bytes a request lost were not seen", LEAK_BYTES);
	print_message("with %d bytes lost a request: %d blocks more after one cycle\n", LEAK_BYTES,
		      (int)(h.blocks - first.blocks));
}

static struct held crowd(void)
{
	struct wire_end *w = calloc(IDLE, sizeof(*w));
	struct held all;

	for (int i = 0; i < IDLE; i++) {
		w[i] = dial();
		get(&w[i], "/events");
	}
	all = held_now();
	assert_int_equal(all.readers, IDLE);
	for (int i = 0; i < IDLE; i++)
		end_close(&w[i]);
	free(w);
	return all;
}

/* The loop's tables of descriptors, timers and events double when a moment is fuller than any
 * before, and stay so. A crowd that meets no such moment leaves nothing behind; what is lost with a
 * reader is lost in each. */
static void readers_that_wait(void **state)
{
	struct rlimit lim = { IDLE + 500, IDLE + 500 };
	struct held before, all, after;

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	after = at_rest();
	for (int n = 0; n < CROWDS; n++) {
		before = after;
		all = crowd();
		after = at_rest();
		if (n && after.bytes - before.bytes < SLACK_BYTES)
			break;
	}
	print_message("%d readers that wait: %d bytes each, %d bytes stay\n", IDLE,
		      (int)((all.bytes - before.bytes) / IDLE), (int)(after.bytes - before.bytes));
	assert_true((all.bytes - before.bytes) / IDLE < IDLE_BYTES);
	assert_true(after.bytes - before.bytes < SLACK_BYTES);
	assert_true(after.blocks - before.blocks < SLACK);
	assert_int_equal(after.fds, before.fds);
}

/* Each sends a byte now and then and never ends its head: its time is over, and who has a whole
 * request is served meanwhile. */
static void senders_that_drip(void **state)
{
	static const char head[] = "GET /state HTTP/1.1\r\nHost: h\r\nX: ";
	struct wire_end w[SLOW], good;
	unsigned timed = 0;

	(void)state;
	for (int i = 0; i < SLOW; i++)
		w[i] = dial();
	for (size_t k = 0; k < sizeof(head) - 1; k++) {
		for (int i = 0; i < SLOW; i++)
			(void)end_write(&w[i], head + k, 1);
		good = dial();
		get(&good, "/state");
		end_close(&good);
		(void)usleep(20000);
	}
	for (int i = 0; i < SLOW; i++) {
		timed += end_reply(&w[i], buf, sizeof(buf)) == 408;
		assert_true(end_closed(&w[i]));
		end_close(&w[i]);
	}
	assert_int_equal(timed, SLOW);
	(void)at_rest();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_grows, start, stop),
		cmocka_unit_test_setup_teardown(readers_that_wait, start, stop),
		cmocka_unit_test_setup_teardown(senders_that_drip, start, stop),
	};
	long seed = knob("WIRES_SEED", (long)time(NULL));
	int r;

	if (argc == 3 && !strcmp(argv[1], "serve"))
		return server_main(argv[2]);
	wire_ignore_sigpipe();
	if (!realpath(argv[0], self) || lab_make())
		return 1;
	(void)snprintf(sock, sizeof(sock), "%s/soak.sock", lab_dir);
	print_message("WIRES_SEED=%ld\n", seed);
	srandom((unsigned)seed);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	lab_remove();
	return r;
}
