/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server on real sockets: every guard by its bytes and its status, the deadlines, the
 * certificates, and the two ways a reply can outlive its reader. */
#include "http_lab.h"

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
	{ G("Host: h\r\n1: a\r\n2: a\r\n3: a\r\n4: a\r\n5: a\r\n6: a\r\n7: a\r\n"), 200, 0 },
	{ G("Host: h\r\n1: a\r\n2: a\r\n3: a\r\n4: a\r\n5: a\r\n6: a\r\n7: a\r\n8: a\r\n"), 431,
	  0 },
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
	{ "GET /x HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", 400, 36 },
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

/* A megabyte of chunk extensions around no body at all. */
static void endless_framing(void *arg)
{
	static const char head[] =
		"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;";
	struct talk *t = arg;
	struct wire_end w;
	char junk[8192];

	if (end_unix(&w, sock))
		return;
	memset(junk, 'e', sizeof(junk));
	(void)end_write(&w, head, sizeof(head) - 1);
	for (int i = 0; i < 320 && end_write(&w, junk, sizeof(junk)) > 0; i++)
		;
	t->status[0] = end_reply(&w, t->buf, sizeof(t->buf));
	t->ok = true;
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

/* Its answer ends with the head, or the body would be read as the next one (RFC 9110, 9.3.2). */
static void head_only(void *arg)
{
	static const char req[] = "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n";
	struct talk *t = arg;
	struct wire_end w;
	size_t n = 0;
	ssize_t r;

	if (end_unix(&w, sock))
		return;
	(void)end_write(&w, req, sizeof(req) - 1);
	while ((r = end_read(&w, t->buf + n, sizeof(t->buf) - 1 - n)) > 0)
		n += (size_t)r;
	t->buf[n] = 0;
	t->status[0] = n > 12 ? atoi(t->buf + 9) : 0;
	t->ok = n > 4 && strstr(t->buf, "\r\n\r\n") == t->buf + n - 4;
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
		      { endless_framing, { 413 } },
		      { keep_alive, { 200, 200, 200, 200 } },
		      { pipelined, { 200, 0 } },
		      { expects_continue, { 100, 200 } },
		      { head_only, { 405 } } };
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

struct one_call {
	const char *cert;
	uint16_t port;
	int status;
};

static void call_once(void *arg)
{
	static const char req[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
	struct one_call *c = arg;
	struct wire_end w;
	char buf[512];

	c->status = -2;
	if (!end_tls(&w, c->port, c->cert, 0)) {
		(void)end_write(&w, req, sizeof(req) - 1);
		c->status = end_reply(&w, buf, sizeof(buf));
	}
	end_close(&w);
}

static int status_of(const char *cert, uint16_t at)
{
	struct one_call c = { .cert = cert, .port = at };

	assert_int_equal(lab_beside(loop, call_once, &c), 0);
	return c.status;
}

/* $D is the lab's directory. */
static void lab_run(const char *cmd)
{
	assert_int_equal(setenv("D", lab_dir, 1), 0);
	assert_int_equal(system(cmd), 0);
}

static void expired_and_revoked_are_refused(void **state)
{
	struct tls_id *id = NULL;
	struct err e = { 0 };
	uint16_t at;

	(void)state;
	lab_run("CA_DAYS=-1 tests/lab/ca.sh $D old=did:web:old.example=IP:127.0.0.1");
	assert_int_equal(lab_id(&id, "alice"), 0);
	assert_int_equal(tls_crl_dir(id, lab_path("crl", ""), &e), -ENOENT);
	id = tls_id_free(id);
	e = (struct err){ 0 };
	lab_run("mkdir $D/crl && echo no list > $D/crl/a.pem");
	assert_int_equal(lab_id(&id, "alice"), 0);
	assert_int_equal(tls_crl_dir(id, lab_path("crl", ""), &e), -EBADMSG);
	assert_non_null(strstr(e.text, "a.pem: no certificate revocation list"));
	id = tls_id_free(id);
	lab_run("rm $D/crl/a.pem; tests/lab/ca.sh $D -r $D/crl/one.pem -u 20260101000000Z");
	assert_int_equal(lab_id(&id, "alice"), 0);
	assert_int_equal(tls_crl_dir(id, lab_path("crl", ""), &e), 0);
	assert_int_equal(http_listen_tls(srv, "127.0.0.1", 0, id, &e), 0);
	at = http_listen_port(srv, 2);
	assert_int_equal(status_of("bob", port), 200);
	assert_int_equal(status_of("old", port), 0);
	assert_int_equal(status_of("bob", at), 200);
	lab_run("tests/lab/ca.sh $D -r $D/new bob && mv $D/new $D/crl/one.pem");
	for (int i = 0; i < 100 && status_of("bob", at) == 200; i++)
		run_for(50000);
	assert_int_equal(status_of("bob", at), 0);
	assert_int_equal(status_of("alice", at), 200);
	assert_int_equal(status_of("bob", port), 200); /* nobody asked for lists there */
	srv = http_server_free(srv);
	id = tls_id_free(id);
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

/* Two streams of alice where one is allowed, one of bob; then alice's makes room. */
static void readers_of_two(void *arg)
{
	static const char req[] = "GET /events HTTP/1.1\r\nHost: h\r\n\r\n";
	static const char *const who[] = { "alice", "alice", "bob" };
	struct wire_end w[3], again;
	struct talk *t = arg;
	char buf[2048];
	int status = 0;

	for (size_t i = 0; i < 3; i++) {
		(void)end_tls(&w[i], port, who[i], 0);
		(void)end_write(&w[i], req, sizeof(req) - 1);
		t->status[i] = end_reply(&w[i], i == 1 ? t->buf : buf, sizeof(buf));
	}
	end_close(&w[0]);
	for (int i = 0; i < 500 && status != 200; i++) {
		(void)end_tls(&again, port, "alice", 0);
		(void)end_write(&again, req, sizeof(req) - 1);
		status = end_reply(&again, buf, sizeof(buf));
		end_close(&again);
	}
	t->status[3] = status;
	end_close(&w[1]);
	end_close(&w[2]);
}

static void one_caller_has_so_many_readers(void **state)
{
	struct talk t = { 0 };

	(void)state;
	sse_hub_limit(hub, 1);
	assert_int_equal(lab_beside(loop, readers_of_two, &t), 0);
	assert_int_equal(t.status[0], 200);
	assert_int_equal(t.status[1], 429);
	assert_non_null(strstr(t.buf, "Content-Type: application/problem+json"));
	assert_non_null(strstr(t.buf, "\"type\":\"limit_reached\""));
	assert_non_null(strstr(t.buf, "peer-readers: no more than 1 at a time of one caller"));
	assert_int_equal(t.status[2], 200);
	assert_int_equal(t.status[3], 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(guards_refuse),
		T(conversations),
		T(reply_after_the_client_left),
		T(reply_after_the_server_left),
		T(tls_admits_only_names_of_our_ca),
		T(expired_and_revoked_are_refused),
		T(many_connections),
		T(one_caller_has_so_many_readers),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
