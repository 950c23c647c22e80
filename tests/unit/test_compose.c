/* SPDX-License-Identifier: Apache-2.0 */
/* The agents process put together, over its own socket: a reader of events is told what is durable,
 * and nothing before. */
#include "store_util.h"
#include "wire_lab.h"

#include "agent/codec/json.h"
#include "agent/compose.h"
#include "agent/msg.h"
#include "agent/signer/client.h"
#include "agent/wire/sse.h"

#define CONF                                                       \
	"[daemon]\nroles = oss\nname = op\nlog-level = error\n"    \
	"state-dir = %s\nrun-dir = %s\n"                           \
	"[peer popA]\ndid = did:key:z6MkA\nrole = node\n"          \
	"[path 1]\nname = one\ndelay-us = 5000\ncapacity = 200M\n" \
	"[hop 1 popA]\nup-device = corea\ndown-device = acc0\n"    \
	"[class market-data]\nid = 1\nproto = udp\ndport = 7001\n" \
	"bandwidth = 20M\nlatency-us = 12000\npriority = 1\n"      \
	"[operator]\nlabel-range = 100-199\noverlap-ms = 200\n"

static struct store *store; /* the process's own */
static unsigned told, early;

int __real_store_open(const char *path, unsigned flags, struct store **ret, struct err *e);
int __wrap_store_open(const char *path, unsigned flags, struct store **ret, struct err *e);
int __wrap_store_open(const char *path, unsigned flags, struct store **ret, struct err *e)
{
	int r = __real_store_open(path, flags, ret, e);

	store = *ret;
	return r;
}

int __real_sse_send(struct sse_reader *r, const struct sse_event *ev);
int __wrap_sse_send(struct sse_reader *r, const struct sse_event *ev);
int __wrap_sse_send(struct sse_reader *r, const struct sse_event *ev)
{
	told++;
	early += ev->seq > store_durable(store);
	return __real_sse_send(r, ev);
}

int __wrap_signer_ready(struct msg_client *c, struct err *e);
int __wrap_signer_ready(struct msg_client *c, struct err *e)
{
	(void)c, (void)e;
	return 0;
}

int __wrap_signer_attest(struct msg_client *c, const struct attest_req *q, struct attest_rep *ret,
			 struct err *e);
int __wrap_signer_attest(struct msg_client *c, const struct attest_req *q, struct attest_rep *ret,
			 struct err *e)
{
	(void)c, (void)q, (void)e;
	memset(ret, 0, sizeof(*ret));
	return 0;
}

static struct config *cfg;
static struct loop *loop;
static struct compose *agents;
static char conf[1024];

static int before_sleep(void *arg)
{
	return compose_turn(arg, NULL);
}

static int setup(void **state)
{
	static struct msg_client nobody = { .fd = -1 };
	struct err e = { 0 };

	if (dir_make(state))
		return -1;
	(void)snprintf(conf, sizeof(conf), CONF, dir, dir);
	if (config_parse(&cfg, conf, strlen(conf), "conf", &e) ||
	    mkdir(cfg->daemon.agents_dir, 0700) || loop_new(&loop, false) ||
	    compose_new(&agents, cfg, &e) || compose_start(agents, loop, &nobody, &nobody, &e)) {
		print_error("%s\n", e.text);
		return -1;
	}
	loop_before_sleep(loop, before_sleep, agents);
	return 0;
}

static int teardown(void **state)
{
	agents = compose_free(agents);
	loop = loop_free(loop);
	cfg = config_free(cfg);
	return dir_drop(state);
}

static void stop(void *arg)
{
	loop_stop(arg, 0);
}

static void run_for(int64_t us)
{
	assert_non_null(loop_after(loop, us, stop, loop));
	assert_int_equal(loop_run(loop), 0);
}

static void ask(struct wire_end *w, const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/treaty.sock", dir);
	assert_int_equal(end_unix(w, path), 0);
	assert_int_equal(end_write(w, text, strlen(text)), strlen(text));
}

/* A call of a human that is one event. */
static void call(struct wire_end *w)
{
	auto_json json_t *js = json_pack(
		"{s:s, s:i, s:s, s:{s:s, s:{s:s}, s:{s:s, s:{}}}}", "jsonrpc", "2.0", "id", 1,
		"method", "tools/call", "params", "name", "policy_load", "arguments", "config",
		conf, "_meta", "io.modelcontextprotocol/protocolVersion", "2026-07-28",
		"io.modelcontextprotocol/clientCapabilities");
	auto_free char *body = json_dumps(js, JSON_COMPACT);
	char text[4096];

	(void)snprintf(text, sizeof(text),
		       "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
		       "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n"
		       "Mcp-Name: policy_load\r\nContent-Length: %zu\r\n\r\n%s",
		       strlen(body), body);
	ask(w, text);
}

/* Both come in one turn: the reader of the log begins before the event is committed. */
static void readers_are_told_what_is_durable(void **state)
{
	struct wire_end writer, reader;
	char got[8192] = "";
	size_t n = 0;

	(void)state;
	told = early = 0;
	call(&writer);
	ask(&reader, "GET /events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	for (int i = 0; i < 10000 && !strstr(got, "event: POLICY_LOADED\n"); i++) {
		ssize_t r;

		run_for(1000);
		r = recv(reader.fd, got + n, sizeof(got) - 1 - n, MSG_DONTWAIT);
		n += r > 0 ? (size_t)r : 0;
		got[n] = 0;
	}
	assert_non_null(strstr(got, "event: POLICY_LOADED\n"));
	assert_int_equal(early, 0);
	end_close(&writer);
	end_close(&reader);
}

static bool waits(void)
{
	return store_head(store).seq > store_durable(store);
}

/* The turn stops before its commit. */
static int hold(void *arg)
{
	if (!waits())
		return compose_turn(arg, NULL);
	loop_stop(loop, 0);
	return 0;
}

static void drained(void *arg)
{
	*(bool *)arg = true;
	loop_stop(loop, 0);
}

static size_t read_all(const struct wire_end *w, char *buf, size_t cap)
{
	size_t n = 0;
	ssize_t r;

	while ((r = recv(w->fd, buf + n, cap - 1 - n, 0)) > 0)
		n += (size_t)r;
	buf[n] = 0;
	return n;
}

/* Who waits for a commit is answered, a stream ends, and nobody new is let in. */
static void the_last_callers_are_answered(void **state)
{
	struct wire_end writer, reader, late;
	char got[8192], path[128];
	bool over = false;
	size_t n;

	(void)state;
	ask(&reader, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
	run_for(20000);
	(void)strcat(conf, "# another\n");
	call(&writer);
	loop_before_sleep(loop, hold, agents);
	for (int i = 0; i < 1000 && !waits(); i++)
		run_for(1000);
	assert_true(waits());
	compose_drain(agents, drained, &over);
	assert_false(over);
	loop_before_sleep(loop, before_sleep, agents);
	for (int i = 0; i < 1000 && !over; i++)
		run_for(1000);
	assert_true(over);
	(void)snprintf(path, sizeof(path), "%s/treaty.sock", dir);
	assert_int_not_equal(end_unix(&late, path), 0);
	assert_true(read_all(&writer, got, sizeof(got)) > 0);
	assert_non_null(strstr(got, "HTTP/1.1 200"));
	n = read_all(&reader, got, sizeof(got));
	assert_true(n > 5 && !strcmp(got + n - 5, "0\r\n\r\n")); /* its end, and not a cut */
	end_close(&writer);
	end_close(&reader);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_are_told_what_is_durable),
		cmocka_unit_test(the_last_callers_are_answered),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
