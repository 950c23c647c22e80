/* SPDX-License-Identifier: Apache-2.0 */
/* http_lab.h - for test_http.c and test_http_client.c: a server on loopback and on a unix socket,
 * with short deadlines, and one handler whose paths say what it does. */
#ifndef TREATY_HTTP_LAB_H
#define TREATY_HTTP_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "agent/wire/http_client.h"
#include "agent/wire/http_server.h"
#include "agent/wire/sse.h"
#include "wire_lab.h"

static struct loop *loop;
static struct http_server *srv;
static struct http_client *client;
static struct tls_id *alice, *bob;
static struct http_reply *held;
static struct sse_hub *hub;
static char sock[128];
static uint16_t port;

static void wait_stop(void *arg)
{
	(void)arg;
	loop_stop(loop, 0);
}

static void run_for(int64_t us)
{
	assert_non_null(loop_after(loop, us, wait_stop, NULL));
	assert_int_equal(loop_run(loop), 0);
}

static void reply_text(struct http_reply *t, int status, const char *text, size_t len)
{
	struct wire_response r = {
		.status = status, .content_type = "text/plain", .body = text, .len = len
	};

	http_reply_send(t, &r);
}

static void answer_later(void *arg)
{
	reply_text(arg, 200, "later", 5);
}

static void handler(void *arg, const struct wire_request *r, struct http_reply *t)
{
	char who[400];

	(void)arg;
	if (!strcmp(r->path, "/later")) {
		assert_non_null(loop_after(loop, 20000, answer_later, t));
	} else if (!strcmp(r->path, "/hold")) {
		held = t;
	} else if (!strcmp(r->path, "/events")) {
		sse_subscribe(hub, r, t);
	} else if (!strcmp(r->path, "/split")) {
		struct wire_header h = { "X-Split", "a\r\nB: c" };
		struct wire_response bad = { .status = 200, .headers = &h, .nheaders = 1 };

		http_reply_send(t, &bad);
	} else if (!strcmp(r->path, "/who")) {
		(void)snprintf(who, sizeof(who), "%s %s %d %d %s", r->peer->did, r->peer->name,
			       r->peer->local, r->peer->uid == getuid() && r->peer->pid == getpid(),
			       r->query);
		reply_text(t, 200, who, strlen(who));
	} else if (!strcmp(r->path, "/headers")) {
		(void)snprintf(who, sizeof(who), "%s %zu %zu", r->method, r->len, r->nheaders);
		reply_text(t, 200, who, strlen(who));
	} else {
		reply_text(t, 200, r->body, r->len);
	}
}

static uint64_t log_end; /* what the lab's log has */

static int replay(void *arg, uint64_t after, struct sse_reader *rd)
{
	int r = 0;

	(void)arg;
	for (uint64_t i = after + 1; !r && i <= log_end; i++)
		r = sse_send(rd, &(struct sse_event){ .seq = i, .type = "old", .data = "x" });
	return r;
}

static const char *const hosts[] = { "127.0.0.1", "localhost", "h", NULL };
static const char *const origins[] = { "https://ok.example", NULL };

static int setup(void **state)
{
	struct http_config c = { .limits = { .header_bytes = 2048,
					     .header_count = 8,
					     .body_bytes = 2 << 20,
					     .connections = 220,
					     .stream_bytes = 65536,
					     .header_us = 500000,
					     .body_us = 1500000,
					     .reply_us = 500000,
					     .idle_us = 3000000 },
				 .hosts = hosts,
				 .origins = origins,
				 .handler = handler };

	(void)state;
	held = NULL;
	log_end = 3;
	(void)snprintf(sock, sizeof(sock), "%s", lab_path("http", ".sock"));
	if (loop_new(&loop, false) || http_server_new(&srv, loop, &c, NULL) ||
	    http_listen_tls(srv, "127.0.0.1", 0, alice, NULL) ||
	    http_listen_unix(srv, sock, NULL) || http_client_new(&client, loop, bob) ||
	    sse_hub_new(&hub, loop, 4, replay, NULL))
		return -1;
	port = http_listen_port(srv, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	client = http_client_free(client);
	hub = sse_hub_free(hub);
	srv = http_server_free(srv);
	run_for(0); /* libevent frees its buffers in the loop */
	loop = loop_free(loop);
	assert_int_not_equal(access(sock, F_OK), 0);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	return lab_make() || lab_id(&alice, "alice") || lab_id(&bob, "bob");
}

static int group_teardown(void **state)
{
	(void)state;
	alice = tls_id_free(alice);
	bob = tls_id_free(bob);
	lab_remove();
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
