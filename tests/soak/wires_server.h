/* SPDX-License-Identifier: Apache-2.0 */
/* wires_server.h - the server of test_wires.c, a process of its own: the daemon's HTTP server, A2A
 * and MCP cores, event hub and webhooks over an application that does what it is told. It says at
 * /state how much memory it has allocated, and at /leak begins to lose 64 bytes a request. */
#ifndef TREATY_SOAK_WIRES_SERVER_H
#define TREATY_SOAK_WIRES_SERVER_H

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "../unit/wire_lab.h"
#include "agent/wire/a2a.h"
#include "agent/wire/http_client.h"
#include "agent/wire/http_push.h"
#include "agent/wire/http_server.h"
#include "agent/wire/mcp.h"
#include "agent/wire/pace.h"
#include "agent/wire/sse.h"

/* --- how many blocks are allocated ---------------------------------------------------------------
 * The allocator's own figure of bytes creeps, since a block may get a little more room than it
 * asked for; the number of blocks does not. */

#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static int64_t blocks;

static void *counted(void *p)
{
	(void)__atomic_add_fetch(&blocks, p != NULL, __ATOMIC_RELAXED);
	return p;
}

void *malloc(size_t n)
{
	return counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	void *q = __libc_realloc(p, n);

	if (!p)
		return counted(q);
	if (!n && !q)
		(void)__atomic_sub_fetch(&blocks, 1, __ATOMIC_RELAXED);
	return q;
}

void *aligned_alloc(size_t align, size_t n)
{
	return counted(__libc_memalign(align, n));
}

int posix_memalign(void **ret, size_t align, size_t n)
{
	*ret = counted(__libc_memalign(align, n));
	return *ret ? 0 : ENOMEM;
}

void free(void *p)
{
	(void)__atomic_sub_fetch(&blocks, p != NULL, __ATOMIC_RELAXED);
	__libc_free(p);
}
#else
static int64_t blocks; /* the sanitizer looks itself */
#endif

#define LEAK_BYTES  64
#define CONNECTIONS 12000

static struct {
	struct loop *loop;
	struct turns *turns;
	struct http_server *http;
	struct http_client *client;
	struct http_push *push;
	struct a2a_server *a2a;
	struct mcp_server *mcp;
	struct sse_hub *hub;
	uint64_t events;
	bool leaks;
	void *lost; /* the last of what is lost, so that no compiler takes it away */
} sv;

static wall_t server_now(void *arg)
{
	return loop_wall(arg);
}

/* --- the application ---------------------------------------------------------------------------
 */

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	const json_t *d = json_array_get(m->data, 0);
	const char *act = json_string_value(json_object_get(d, "act"));

	(void)arg, (void)p;
	if (!act || !strcmp(act, "echo"))
		a2a_turn_message(t, d);
	else if (a2a_turn_artifact(t, "a", d))
		return -EIO;
	else
		a2a_turn_task(t, strcmp(act, "open") ? A2A_COMPLETED : A2A_INPUT_REQUIRED, d);
	return 0;
}

static int on_cancel(void *arg, const struct peer *p, const char *id)
{
	(void)arg, (void)p, (void)id;
	return 0;
}

struct job {
	struct mcp_turn *turn;
	struct loop_timer *timer;
};

static void job_end(void *arg)
{
	struct job *j = arg;
	json_t *o = json_pack("{s:s}", "said", "done");

	mcp_turn_on_cancel(j->turn, NULL, NULL);
	mcp_turn_progress(j->turn, 1, 1, "done");
	mcp_turn_result(j->turn, o);
	json_decref(o);
	free(j);
}

static void job_gone(void *arg)
{
	struct job *j = arg;

	loop_cancel(sv.loop, j->timer);
	mcp_turn_refuse(j->turn, "cancelled");
	free(j);
}

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	struct job *j;

	(void)arg, (void)p, (void)key;
	if (strcmp(tool, "job") != 0) {
		mcp_turn_result(t, args);
		return 0;
	}
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	(void)mcp_turn_task(t);
	j->turn = t;
	j->timer = loop_after(sv.loop, 1000, job_end, j);
	mcp_turn_on_cancel(t, job_gone, j);
	return 0;
}

static bool readable(void *arg, const struct peer *p, const char *uri)
{
	(void)arg, (void)p;
	return !strncmp(uri, "soak://", 7);
}

static int on_read(void *arg, const struct peer *p, const char *uri, struct mcp_turn *t)
{
	(void)arg, (void)p;
	mcp_turn_contents(t, "text/plain", uri);
	return 0;
}

/* --- requests ----------------------------------------------------------------------------------
 */

static void publish(unsigned n)
{
	char data[600];

	memset(data, 'x', sizeof(data) - 1);
	data[sizeof(data) - 1] = '\0';
	for (unsigned i = 0; i < n; i++) {
		const struct sse_event ev = { .seq = ++sv.events, .type = "TICK", .data = data };

		sse_publish(sv.hub, &ev);
		mcp_resource_changed(sv.mcp, "soak://log", NULL);
	}
}

static void answer(struct http_reply *t, int status, const char *text)
{
	struct wire_response r = { .status = status,
				   .content_type = "application/json",
				   .body = text,
				   .len = strlen(text) };

	http_reply_send(t, &r);
}

static void state(struct http_reply *t)
{
	char text[200];

	(void)snprintf(text, sizeof(text),
		       "{\"connections\":%zu,\"readers\":%zu,\"bytes\":%zu,\"blocks\":%lld,"
		       "\"pushed\":%llu}",
		       http_server_connections(sv.http), sse_readers(sv.hub) + mcp_streams(sv.mcp),
		       mallinfo2().uordblks + mallinfo2().hblkhd, (long long)blocks,
		       (unsigned long long)http_push_stats(sv.push).delivered);
	answer(t, 200, text);
}

static void route(void *arg, const struct wire_request *r, struct http_reply *t)
{
	(void)arg;
	if (sv.leaks) {
		sv.lost = malloc(LEAK_BYTES);
		memset(sv.lost, 1, LEAK_BYTES);
	}
	if (a2a_server_path(sv.a2a, r->path)) {
		a2a_server_handle(sv.a2a, r, http_sink(t));
	} else if (mcp_server_path(sv.mcp, r->path)) {
		mcp_server_handle(sv.mcp, r, http_sink(t));
	} else if (!strcmp(r->path, "/events")) {
		sse_subscribe(sv.hub, r, t);
	} else if (!strcmp(r->path, "/state")) {
		state(t);
	} else if (!strcmp(r->path, "/publish")) {
		publish(50);
		answer(t, 200, "{}");
	} else if (!strcmp(r->path, "/leak")) {
		sv.leaks = true;
		answer(t, 200, "{}");
	} else {
		answer(t, strcmp(r->path, "/hook") ? 404 : 200, "{}");
	}
}

static void on_ping(void *arg)
{
	(void)arg;
	sse_ping(sv.hub);
	mcp_ping(sv.mcp);
	a2a_ping(sv.a2a);
	(void)loop_after(sv.loop, 200000, on_ping, NULL);
}

static int server_cores(struct err *e)
{
#define OBJECT "{\"type\":\"object\"}"
	static const char *const skills[] = { "negotiate", "Negotiates", NULL };
	static const char *const more[] = { "more", "More", NULL };
	static const struct mcp_tool tools[] = {
		{ .name = "echo", .description = "d", .input_schema = OBJECT },
		{ .name = "job", .description = "d", .input_schema = OBJECT, .tasks = true },
	};
	static const struct mcp_resource res[] = { { .uri = "soak://log", .name = "log" } };
	const struct a2a_config a = { .path = "/a2a",
				      .url = "https://op.lab.example/a2a",
				      .name = "n",
				      .description = "d",
				      .version = "1",
				      .skills = skills,
				      .extended_skills = more,
				      .streaming = true,
				      .pace = turns_pace(sv.turns),
				      .max_tasks_per_peer = 32,
				      .now = server_now,
				      .now_arg = sv.loop };
	const struct a2a_app aa = { .on_message = on_message,
				    .on_cancel = on_cancel,
				    .push = http_push_send,
				    .push_check = http_push_check,
				    .push_arg = sv.push };
	const struct mcp_config m = { .path = "/mcp",
				      .name = "n",
				      .version = "1",
				      .tools = tools,
				      .ntools = ARRAY_LEN(tools),
				      .resources = res,
				      .nresources = ARRAY_LEN(res),
				      .legacy = true,
				      .pace = turns_pace(sv.turns),
				      .now = server_now,
				      .now_arg = sv.loop };
	const struct mcp_app ma = { .call = on_call, .readable = readable, .read = on_read };

	return a2a_server_new(&sv.a2a, &a, &aa, e) || mcp_server_new(&sv.mcp, &m, &ma, e);
}

/* Serves on DIR/soak.sock, with TLS and in the clear until its parent ends; the two ports are its
 * first line. */
static int server_main(const char *dir)
{
	const struct http_config hc = {
		.handler = route,
		.limits = { .connections = CONNECTIONS, .header_us = 500000, .body_us = 500000 }
	};
	const struct http_push_config pc = { .private_ok = true, .plain_ok = true };
	struct rlimit lim = { CONNECTIONS + 500, CONNECTIONS + 500 };
	struct tls_id *id = NULL;
	struct err e = { 0 };
	char sock[128];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setrlimit(RLIMIT_NOFILE, &lim);
	(void)snprintf(lab_dir, sizeof(lab_dir), "%s", dir);
	(void)snprintf(sock, sizeof(sock), "%s/soak.sock", dir);
	if (lab_id(&id, "alice") || loop_new(&sv.loop, false) || turns_new(&sv.turns, sv.loop) ||
	    http_server_new(&sv.http, sv.loop, &hc, &e) || http_listen_unix(sv.http, sock, &e) ||
	    http_listen_tls(sv.http, "127.0.0.1", 0, id, &e) ||
	    http_listen_plain(sv.http, "127.0.0.1", 0, "did:web:bob.example", &e) ||
	    http_client_new(&sv.client, sv.loop, id) ||
	    http_push_new(&sv.push, sv.loop, sv.client, &pc) ||
	    sse_hub_new(&sv.hub, sv.loop, CONNECTIONS, NULL, NULL) || server_cores(&e)) {
		fprintf(stderr, "server: %s\n", e.text);
		return 1;
	}
	printf("%u %u\n", http_listen_port(sv.http, 1), http_listen_port(sv.http, 2));
	(void)fflush(stdout);
	on_ping(NULL);
	return loop_run(sv.loop);
}

#endif
