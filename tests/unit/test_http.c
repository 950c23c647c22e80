/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server and client on real sockets: every guard by its bytes and its status, the
 * deadlines, the certificates, the two ways a reply can outlive its reader. */
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
	} else {
		reply_text(t, 200, r->body, r->len);
	}
}

static int64_t replay(void *arg, uint64_t after, struct sse_reader *rd)
{
	uint64_t last = 3;

	(void)arg;
	for (uint64_t i = after + 1; i <= last; i++)
		if (sse_send(rd, i, "old", "x"))
			return -EPIPE;
	return (int64_t)last;
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
					     .header_us = 150000,
					     .body_us = 150000,
					     .reply_us = 200000,
					     .idle_us = 3000000 },
				 .hosts = hosts,
				 .origins = origins,
				 .handler = handler };

	(void)state;
	held = NULL;
	(void)snprintf(sock, sizeof(sock), "%s", lab_path("http", ".sock"));
	if (loop_new(&loop, false) || http_server_new(&srv, loop, &c, NULL) ||
	    http_listen_tls(srv, "127.0.0.1", 0, alice, NULL) ||
	    http_listen_unix(srv, sock, NULL) || http_client_new(&client, loop, bob) ||
	    sse_hub_new(&hub, 4, replay, NULL))
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
	loop = loop_free(loop);
	assert_int_not_equal(access(sock, F_OK), 0);
	return 0;
}

/* --- guards --------------------------------------------------------------------------------- */

#define G(headers)       "GET /x HTTP/1.1\r\n" headers "\r\n"
#define P(headers, body) "POST /x HTTP/1.1\r\nHost: h\r\n" headers "\r\n" body

static const struct row {
	const char *bytes;
	int status;
	size_t len; /* when it holds a NUL */
} rows[] = {
	{ G("Host: h\r\n"), 200, 0 },
	{ P("Content-Length: 2\r\n", "ab"), 200, 0 },
	{ P("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n"), 200, 0 },
	{ P("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"), 400, 0 },
	{ P("Content-Length: 2\r\nContent-Length: 3\r\n", "ab"), 400, 0 },
	{ P("Content-Length: 2, 2\r\n", "ab"), 400, 0 },
	{ P("Content-Length: +2\r\n", "ab"), 400, 0 },
	{ P("Content-Length: -1\r\n", ""), 400, 0 },
	{ P("Content-Length: 0x2\r\n", "ab"), 400, 0 },
	{ P("Content-Length:\r\n", ""), 400, 0 },
	{ P("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, 0 },
	{ P("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "0\r\n\r\n"), 400, 0 },
	{ P("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, 0 },
	{ P("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501, 0 },
	{ P("Transfer-Encoding: identity\r\n", ""), 501, 0 },
	{ P("Transfer-Encoding: chunked\r\n", "zz\r\n"), 400, 0 },
	{ P("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"), 400, 0 },
	{ P("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n\r\n"), 400, 0 },
	{ P("Content-Length: 3000000\r\n", ""), 413, 0 },
	{ P("Content-Length: 999999999999999999\r\n", ""), 413, 0 },
	{ P("Content-Length: 99999999999999999999\r\n", ""), 400, 0 },
	{ P("Expect: the-best\r\n", ""), 417, 0 },
	{ P("Content-Type: a/b\r\nContent-Type: a/b\r\n", ""), 400, 0 },
	{ P("Mcp-Name: a\r\nmcp-name: b\r\n", ""), 400, 0 },
	{ P("Upgrade: h2c\r\nConnection: upgrade\r\n", ""), 400, 0 },
	{ G(""), 400, 0 },
	{ G("Host: h\r\nHost: h\r\n"), 400, 0 },
	{ G("Host: evil\r\n"), 421, 0 },
	{ G("Host: h\r\nOrigin: https://evil.example\r\n"), 403, 0 },
	{ G("Host: h\r\nOrigin: https://ok.example\r\n"), 200, 0 },
	{ G("Host: h\r\nA: b\r\n c\r\n"), 400, 0 },
	{ G("Host: h\r\nA: b\r\n\tc\r\n"), 400, 0 },
	{ G(" Host: h\r\n"), 400, 0 },
	{ G("Host: h\r\nA : b\r\n"), 400, 0 },
	{ G("Host: h\r\n: b\r\n"), 400, 0 },
	{ G("Host: h\r\nA\r\n"), 400, 0 },
	{ G("Host: h\r\nA(b: c\r\n"), 400, 0 },
	{ G("Host: h\r\nA: b\001\r\n"), 400, 0 },
	{ "GET /x HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", 400, 40 },
	{ "GET /x HTTP/1.1\nHost: h\n\n", 400, 0 },
	{ "GET /x HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", 400, 0 },
	{ "\r\n" G("Host: h\r\n"), 400, 0 },
	{ "PUT /x HTTP/1.1\r\nHost: h\r\n\r\n", 405, 0 },
	{ "BREW /x HTTP/1.1\r\nHost: h\r\n\r\n", 405, 0 },
	{ "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405, 0 },
	{ "G@T /x HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0 },
	{ "GET /x HTTP/1.0\r\nHost: h\r\n\r\n", 505, 0 },
	{ "GET /x HTTP/2.0\r\nHost: h\r\n\r\n", 505, 0 },
	{ "GET /x FTP/1.1\r\nHost: h\r\n\r\n", 400, 0 },
	{ "GET /x\r\n\r\n", 400, 0 },
	{ "GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0 },
	{ "GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0 },
	{ "GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0 },
	{ "GET /x#y HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0 },
	{ "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", 400, 0 },
	{ G("Host: h\r\n1: \r\n2: \r\n3: \r\n4: \r\n5: \r\n6: \r\n7: \r\n"), 200, 0 },
	{ G("Host: h\r\n1: \r\n2: \r\n3: \r\n4: \r\n5: \r\n6: \r\n7: \r\n8: \r\n"), 431, 0 },
	{ "GET /split HTTP/1.1\r\nHost: h\r\n\r\n", 500, 0 },
	{ "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n", 504, 0 },
	{ "GET /x HTTP/1.1\r\nHost: h\r\n", 408, 0 },
	{ P("Content-Length: 2\r\n", "a"), 408, 0 },
	{ P("Transfer-Encoding: chunked\r\n", "5\r\na"), 408, 0 },
};

struct guards {
	size_t chunk; /* bytes a write: 0 = all */
	int got[ARRAY_LEN(rows)];
	bool closed[ARRAY_LEN(rows)];
};

static void send_rows(void *arg)
{
	struct guards *g = arg;
	char buf[4096];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = rows[i].len ? rows[i].len : strlen(rows[i].bytes);
		struct wire_end w;

		if (end_unix(&w, sock))
			return;
		for (size_t n = 0, k; n < len; n += k) {
			k = g->chunk && g->chunk < len - n ? g->chunk : len - n;
			if (end_write(&w, rows[i].bytes + n, k) < 0)
				break;
		}
		g->got[i] = end_reply(&w, buf, sizeof(buf));
		g->closed[i] = g->got[i] == 200 || end_closed(&w);
		end_close(&w);
	}
}

static void guards_refuse(void **state)
{
	(void)state;
	for (size_t chunk = 0; chunk < 2; chunk++) {
		struct guards g = { .chunk = chunk };

		assert_int_equal(lab_beside(loop, send_rows, &g), 0);
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			if (g.got[i] != rows[i].status)
				print_error("row %zu: %s\n", i, rows[i].bytes);
			assert_int_equal(g.got[i], rows[i].status);
			assert_true(g.closed[i]);
		}
		assert_non_null(held);
		assert_false(http_reply_alive(held)); /* it was 504 long ago */
		reply_text(held, 200, "", 0);
	}
}

/* --- conversations -------------------------------------------------------------------------- */

struct talk {
	char buf[8192];
	int status[4];
	bool ok;
};

static void large_heads(void *arg)
{
	struct talk *t = arg;
	char head[4096];
	struct wire_end w;

	memset(head, 'a', sizeof(head));
	memcpy(head, "GET /x HTTP/1.1\r\nHost: h\r\nA: ", 29);
	if (end_unix(&w, sock))
		return;
	t->ok = end_write(&w, head, sizeof(head)) > 0;
	t->status[0] = end_reply(&w, t->buf, sizeof(t->buf));
	end_close(&w);
}

static void keep_alive(void *arg)
{
	static const char one[] = "POST /x?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
	static const char last[] = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	struct talk *t = arg;
	struct wire_end w;

	if (end_unix(&w, sock))
		return;
	for (size_t i = 0; i < 3; i++) {
		(void)end_write(&w, one, sizeof(one) - 1);
		t->status[i] = end_reply(&w, t->buf, sizeof(t->buf));
	}
	t->ok = strstr(t->buf, "\r\n\r\nabc") != NULL && !strstr(t->buf, "Connection: close");
	(void)end_write(&w, last, sizeof(last) - 1);
	t->status[3] = end_reply(&w, t->buf, sizeof(t->buf));
	t->ok &= strstr(t->buf, "Connection: close") != NULL && end_closed(&w);
	end_close(&w);
}

static void pipelined(void *arg)
{
	static const char two[] =
		"GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n";
	struct talk *t = arg;
	struct wire_end w;

	if (end_unix(&w, sock))
		return;
	(void)end_write(&w, two, sizeof(two) - 1);
	t->status[0] = end_reply(&w, t->buf, sizeof(t->buf));
	t->ok = strstr(t->buf, "Connection: close") != NULL;
	t->status[1] = end_reply(&w, t->buf, sizeof(t->buf));
	end_close(&w);
}

static void expects_continue(void *arg)
{
	static const char head[] =
		"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
	struct talk *t = arg;
	struct wire_end w;

	if (end_unix(&w, sock))
		return;
	(void)end_write(&w, head, sizeof(head) - 1);
	t->status[0] = end_reply(&w, t->buf, sizeof(t->buf));
	(void)end_write(&w, "ab", 2);
	t->status[1] = end_reply(&w, t->buf, sizeof(t->buf));
	t->ok = true;
	end_close(&w);
}

static void leaves_early(void *arg)
{
	static const char req[] = "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n";
	struct talk *t = arg;
	struct wire_end w;

	if (end_unix(&w, sock))
		return;
	t->ok = end_write(&w, req, sizeof(req) - 1) > 0;
	end_close(&w);
}

static void conversations(void **state)
{
	static const struct {
		void (*fn)(void *arg);
		int status[4];
	} talks[] = { { large_heads, { 431 } },
		      { keep_alive, { 200, 200, 200, 200 } },
		      { pipelined, { 200, 0 } },
		      { expects_continue, { 100, 200 } } };
	struct stat st;

	(void)state;
	assert_int_equal(lstat(sock, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	for (size_t i = 0; i < ARRAY_LEN(talks); i++) {
		struct talk t = { 0 };

		assert_int_equal(lab_beside(loop, talks[i].fn, &t), 0);
		assert_memory_equal(t.status, talks[i].status, sizeof(t.status));
		assert_true(t.ok);
	}
}

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

static void reply_after_the_client_left(void **state)
{
	struct talk t = { 0 };

	(void)state;
	assert_int_equal(lab_beside(loop, leaves_early, &t), 0);
	assert_true(t.ok);
	for (int i = 0; i < 100 && http_server_connections(srv); i++)
		run_for(5000);
	assert_int_equal(http_server_connections(srv), 0);
	assert_non_null(held);
	assert_false(http_reply_alive(held));
	reply_text(held, 200, "x", 1);
}

static void reply_after_the_server_left(void **state)
{
	struct talk t = { 0 };

	(void)state;
	assert_int_equal(lab_beside(loop, leaves_early, &t), 0);
	for (int i = 0; i < 100 && !held; i++)
		run_for(5000);
	assert_non_null(held);
	srv = http_server_free(srv);
	reply_text(held, 200, "x", 1);
}

/* --- TLS ------------------------------------------------------------------------------------ */

static const struct tls_row {
	const char *cert;
	int max_version;
	int status;
} tls_rows[] = {
	{ "alice", 0, 200 },           { "bob", 0, 200 },    { NULL, 0, 0 },
	{ "mallory", 0, 0 },           { "nameless", 0, 0 }, { "twofold", 0, 0 },
	{ "bob", TLS1_2_VERSION, -2 }, { "bob", 0, 200 },
};

struct tls_got {
	int status[ARRAY_LEN(tls_rows)];
	char who[256];
};

/* In TLS 1.3 the client learns of its refusal at the first read: no reply. */
static void tls_talk(void *arg)
{
	static const char req[] = "GET /who?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct tls_got *g = arg;
	char buf[1024];

	for (size_t i = 0; i < ARRAY_LEN(tls_rows); i++) {
		struct wire_end w;

		if (end_tls(&w, port, tls_rows[i].cert, tls_rows[i].max_version)) {
			g->status[i] = -2;
		} else {
			(void)end_write(&w, req, sizeof(req) - 1);
			g->status[i] = end_reply(&w, buf, sizeof(buf));
		}
		if (g->status[i] == 200)
			(void)snprintf(g->who, sizeof(g->who), "%.200s",
				       strstr(buf, "\r\n\r\n") + 4);
		end_close(&w);
	}
}

static void tls_admits_only_names_of_our_ca(void **state)
{
	struct tls_got g = { 0 };

	(void)state;
	assert_int_equal(lab_beside(loop, tls_talk, &g), 0);
	for (size_t i = 0; i < ARRAY_LEN(tls_rows); i++)
		assert_int_equal(g.status[i], tls_rows[i].status);
	assert_string_equal(g.who, "did:web:bob.example bob 0 0 a=b");
	assert_int_equal(http_server_stats(srv).tls_failed, 5);
	assert_int_equal(http_server_stats(srv).requests, 3);
}

static void crowd(void *arg)
{
	static const char req[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
	struct talk *t = arg;
	struct wire_end w[221];
	size_t n = 0, good = 0;
	char c;

	while (n < 220 && !end_unix(&w[n], sock))
		n++;
	/* the 221st is closed at once; the 200 idle ones all still serve */
	if (n < 220 || end_unix(&w[n], sock))
		return;
	t->ok = end_read(&w[n], &c, 1) <= 0;
	end_close(&w[n]);
	for (size_t i = 0; i < n; i++) {
		(void)end_write(&w[i], req, sizeof(req) - 1);
		good += end_reply(&w[i], t->buf, sizeof(t->buf)) == 200;
	}
	t->status[0] = (int)good;
	for (size_t i = 0; i < n; i++)
		end_close(&w[i]);
}

static void many_connections(void **state)
{
	struct talk t = { 0 };

	(void)state;
	assert_int_equal(lab_beside(loop, crowd, &t), 0);
	assert_int_equal(t.status[0], 220);
	assert_true(t.ok);
	assert_int_equal(http_server_stats(srv).over_limit, 1);
}

/* --- our client ----------------------------------------------------------------------------- */

struct got {
	int err, status, calls;
	size_t len;
	char text[256], body[256], type[64];
};

static void on_done(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct got *g = arg;

	g->calls++;
	g->err = err;
	(void)snprintf(g->text, sizeof(g->text), "%s", text);
	if (r) {
		g->status = r->status;
		g->len = r->len;
		(void)snprintf(g->body, sizeof(g->body), "%.200s", r->body);
		(void)snprintf(g->type, sizeof(g->type), "%s",
			       r->content_type ? r->content_type : "");
	}
	loop_stop(loop, 0);
}

static struct got fetch(struct http_call_spec s, const char *path)
{
	char url[128];
	struct got g = { 0 };

	if (s.unix_path)
		(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	else
		(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", port, path);
	s.url = s.url ? s.url : url;
	s.method = s.method ? s.method : "GET";
	assert_int_equal(http_call_start(NULL, client, &s, on_done, &g, NULL), 0);
	assert_int_equal(g.calls, 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(g.calls, 1);
	return g;
}

#define ALICE "did:web:alice.example"
#define BOB   "did:web:bob.example"

static void client_checks_who_answers(void **state)
{
	struct http_call_spec s = { .did = ALICE };
	struct got g = fetch(s, "/who");

	(void)state;
	assert_int_equal(g.err, 0);
	assert_string_equal(g.body, "did:web:bob.example bob 0 0 ");
	assert_string_equal(g.type, "text/plain");
	(void)fetch(s, "/who");
	assert_int_equal(http_server_stats(srv).accepted, 1); /* the connection was kept */
	s.did = BOB; /* same address, another name: the kept one must not serve */
	g = fetch(s, "/who");
	assert_int_equal(g.err, -EACCES);
	assert_int_equal(http_server_stats(srv).requests, 2);
	s.did = NULL;
	s.url = "https://127.0.0.1:1/";
	s.method = "GET";
	assert_int_equal(http_call_start(NULL, client, &s, on_done, &g, NULL), -EINVAL);
	s.did = ALICE;
	assert_int_equal(fetch(s, "").err, -ECONNREFUSED);
	s.url = "http://127.0.0.1:1/";
	assert_int_equal(fetch(s, "").err, -EIO); /* https alone */
}

static void client_is_refused_or_refuses(void **state)
{
	struct http_call_spec s = { .did = ALICE };
	struct tls_id *mallory = NULL;
	struct err e = { 0 };
	struct got g;

	(void)state;
	/* mallory has a certificate in alice's name from another CA */
	assert_int_equal(tls_id_new(&mallory, lab_path("ca", ".pem"), lab_path("mallory", ".pem"),
				    lab_path("mallory", ".key"), &e),
			 0);
	client = http_client_free(client);
	assert_int_equal(http_client_new(&client, loop, mallory), 0);
	assert_int_equal(fetch(s, "/who").err, -EACCES);
	client = http_client_free(client);
	srv = http_server_free(srv);
	struct http_config c = { .handler = handler };
	assert_int_equal(http_server_new(&srv, loop, &c, NULL), 0);
	assert_int_equal(http_listen_tls(srv, "127.0.0.1", 0, mallory, NULL), 0);
	port = http_listen_port(srv, 0);
	assert_int_equal(http_client_new(&client, loop, bob), 0);
	g = fetch(s, "/who");
	assert_int_equal(g.err, -EACCES);
	assert_int_equal(http_server_stats(srv).requests, 0);
	client = http_client_free(client);
	srv = http_server_free(srv);
	mallory = tls_id_free(mallory);
}

static void client_limits(void **state)
{
	struct http_call_spec s = { .unix_path = sock };
	auto_free char *big = malloc(1 << 20);
	struct http_call *k = NULL;
	struct got g = { 0 };

	(void)state;
	memset(big, 'z', 1 << 20);
	s.method = "POST";
	s.body = big;
	s.len = 1 << 20;
	g = fetch(s, "/echo");
	assert_int_equal(g.err, 0);
	assert_int_equal(g.len, 1 << 20);
	s.max_bytes = (1 << 20) - 1;
	assert_int_equal(fetch(s, "/echo").err, -EMSGSIZE);
	s = (struct http_call_spec){ .did = ALICE, .method = "POST", .body = big, .len = 1 << 20 };
	g = fetch(s, "/echo");
	assert_int_equal(g.len, 1 << 20);
	s = (struct http_call_spec){ .unix_path = sock, .timeout_us = 50000 };
	assert_int_equal(fetch(s, "/hold").err, -ETIMEDOUT);
	reply_text(held, 200, "", 0);
	assert_string_equal(fetch((struct http_call_spec){ .unix_path = sock }, "/who").body,
			    "  1 1 ");
	assert_string_equal(fetch((struct http_call_spec){ .unix_path = sock }, "/later").body,
			    "later");
	/* cancelled: no callback */
	memset(&g, 0, sizeof(g));
	s = (struct http_call_spec){ .unix_path = sock,
				     .method = "GET",
				     .url = "http://localhost/x" };
	assert_int_equal(http_call_start(&k, client, &s, on_done, &g, NULL), 0);
	http_call_cancel(k);
	run_for(50000);
	assert_int_equal(g.calls, 0);
}

static void sync_call(void *arg)
{
	struct http_call_spec s = { .method = "POST",
				    .url = "http://localhost/echo",
				    .unix_path = sock,
				    .body = "hello",
				    .len = 5 };
	struct talk *t = arg;
	auto_free char *body = NULL;
	size_t len = 0;

	t->ok = !http_call_sync(&s, &t->status[0], &body, &len, NULL) && len == 5 &&
		!strcmp(body, "hello");
}

static void unix_socket_belongs_to_one(void **state)
{
	struct http_config c = { .handler = handler };
	struct http_server *other = NULL;
	struct err e = { 0 };
	struct talk t = { 0 };
	FILE *f;

	(void)state;
	assert_int_equal(lab_beside(loop, sync_call, &t), 0);
	assert_true(t.ok);
	assert_int_equal(t.status[0], 200);
	assert_int_equal(http_server_new(&other, loop, &c, NULL), 0);
	assert_int_equal(http_listen_unix(other, sock, &e), -EADDRINUSE);
	f = fopen(lab_path("file", ""), "we");
	assert_non_null(f);
	(void)fclose(f);
	assert_int_equal(http_listen_unix(other, lab_path("file", ""), NULL), -EEXIST);
	/* a crashed run's socket file is replaced */
	assert_int_equal(rename(sock, lab_path("old", ".sock")), 0);
	srv = http_server_free(srv);
	assert_int_equal(http_listen_unix(other, lab_path("old", ".sock"), NULL), 0);
	other = http_server_free(other);
	assert_int_not_equal(access(lab_path("old", ".sock"), F_OK), 0);
}

/* --- streams and the end -------------------------------------------------------------------- */

struct reader {
	struct wire_end w;
	char buf[1024];
};

static void read_events(void *arg)
{
	static const char req[] = "GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 1\r\n\r\n";
	struct reader *r = arg;
	size_t n = 0;

	if (end_unix(&r->w, sock))
		return;
	(void)end_write(&r->w, req, sizeof(req) - 1);
	while (n + 1 < sizeof(r->buf) && !strstr(r->buf, "id: 3")) {
		ssize_t k = end_read(&r->w, r->buf + n, sizeof(r->buf) - 1 - n);

		if (k <= 0)
			return;
		n += (size_t)k;
		r->buf[n] = 0;
	}
}

static void slow_reader_is_closed(void **state)
{
	struct reader r = { .w.fd = -1 };
	char data[4096];

	(void)state;
	assert_int_equal(lab_beside(loop, read_events, &r), 0);
	assert_non_null(strstr(r.buf, "id: 2\nevent: old\ndata: x\n\n"));
	assert_null(strstr(r.buf, "id: 1\n"));
	assert_int_equal(sse_readers(hub), 1);
	memset(data, 'd', sizeof(data) - 1);
	data[sizeof(data) - 1] = 0;
	for (uint64_t seq = 4; sse_readers(hub) && seq < 10000; seq++) {
		sse_publish(hub, seq, "tick", data);
		run_for(0);
	}
	assert_int_equal(sse_readers(hub), 0);
	assert_int_equal(http_server_stats(srv).slow_readers, 1);
	end_close(&r.w);
}

static void reader_that_leaves_is_forgotten(void **state)
{
	struct reader r = { .w.fd = -1 };

	(void)state;
	assert_int_equal(lab_beside(loop, read_events, &r), 0);
	end_close(&r.w);
	for (int i = 0; i < 100 && sse_readers(hub); i++)
		run_for(5000);
	assert_int_equal(sse_readers(hub), 0);
	sse_publish(hub, 9, NULL, "nobody");
}

static void drained(void *arg)
{
	*(bool *)arg = true;
	loop_stop(loop, 0);
}

static void drain_lets_the_last_request_finish(void **state)
{
	struct http_call_spec s = { .unix_path = sock,
				    .method = "GET",
				    .url = "http://localhost/later" };
	struct got g = { 0 };
	bool over = false;

	(void)state;
	assert_int_equal(http_call_start(NULL, client, &s, on_done, &g, NULL), 0);
	for (int i = 0; i < 100 && !http_server_stats(srv).requests; i++)
		run_for(2000);
	http_server_drain(srv, drained, &over);
	assert_false(over);
	while (!over || !g.calls)
		assert_int_equal(loop_run(loop), 0);
	assert_string_equal(g.body, "later");
	assert_int_equal(http_server_connections(srv), 0);
}

static void sse_formats(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(sse_format(buf, sizeof(buf), 7, "tick", "a\nb\r\nc"), 43);
	assert_string_equal(buf, "id: 7\nevent: tick\ndata: a\ndata: b\ndata: c\n\n");
	assert_int_equal(sse_format(buf, sizeof(buf), 0, NULL, ""), 8);
	assert_string_equal(buf, "data: \n\n");
	assert_int_equal(sse_format(buf, sizeof(buf), 0, "a\nb", ""), -EINVAL);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(guards_refuse),
		T(conversations),
		T(reply_after_the_client_left),
		T(reply_after_the_server_left),
		T(tls_admits_only_names_of_our_ca),
		T(many_connections),
		T(client_checks_who_answers),
		T(client_is_refused_or_refuses),
		T(client_limits),
		T(unix_socket_belongs_to_one),
		T(slow_reader_is_closed),
		T(reader_that_leaves_is_forgotten),
		T(drain_lets_the_last_request_finish),
		T(sse_formats),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
