/* SPDX-License-Identifier: Apache-2.0 */
/* The same bad certificates from either end: who calls us with one, and who answers us with one.
 * Each row is refused before any request is seen, beside a good twin; and whoever has a good
 * certificate in its own name has nothing of another's. */
#include "http_lab.h"

#include "agent/wire/a2a.h"

#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>

#define ALICE "did:web:alice.example"

/* $D is the lab's directory. */
static void lab_sh(const char *cmd)
{
	assert_int_equal(setenv("D", lab_dir, 1), 0);
	assert_int_equal(system(cmd), 0);
}

/* who's certificate; revoked ones are looked for in D/crl. */
static struct tls_id *identity(const char *who)
{
	struct tls_id *id = NULL;
	struct err e = { 0 };

	assert_int_equal(lab_id(&id, who), 0);
	if (tls_crl_dir(id, lab_path("crl", ""), &e))
		fail_msg("%s", e.text);
	return id;
}

/* What each certificate is, and what its holder gets. "gone" is alice's own, revoked since. */
static const struct row {
	const char *what, *cert;
	bool good;
	int newest; /* of TLS; 0: as new as can be */
} rows[] = {
	{ "good", "alice", true, 0 },         { "downgrade", "alice", false, TLS1_2_VERSION },
	{ "wrong CA", "mallory", false, 0 },  { "expired", "old", false, 0 },
	{ "revoked", "gone", false, 0 },      { "no name", "nameless", false, 0 },
	{ "two names", "twofold", false, 0 }, { "another peer's", "bob", false, 0 },
	{ "good again", "alice", true, 0 },
};

/* --- who calls -------------------------------------------------------------------------------- */

struct calls {
	uint16_t port;
	int status[ARRAY_LEN(rows)];
};

static void call_each(void *arg)
{
	static const char req[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
	struct calls *c = arg;
	char buf[512];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_end w;

		c->status[i] = 0;
		if (!end_tls(&w, c->port, rows[i].cert, rows[i].newest)) {
			(void)end_write(&w, req, sizeof(req) - 1);
			c->status[i] = end_reply(&w, buf, sizeof(buf));
		}
		end_close(&w);
	}
}

/* Another peer's certificate is a good one here: it is that peer who calls (the last test). */
static void callers_with_bad_ones_are_refused(void **state)
{
	struct tls_id *id = identity("alice");
	struct http_stats before;
	struct calls c;
	unsigned bad = 0;

	(void)state;
	assert_int_equal(http_listen_tls(srv, "127.0.0.1", 0, id, NULL), 0);
	c.port = http_listen_port(srv, 2);
	before = http_server_stats(srv);
	assert_int_equal(lab_beside(loop, call_each, &c), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool good = rows[i].good || !strcmp(rows[i].cert, "bob");

		if (c.status[i] != (good ? 200 : 0))
			fail_msg("%s: %d", rows[i].what, c.status[i]);
		bad += !good;
	}
	assert_int_equal(http_server_stats(srv).tls_failed - before.tls_failed, bad);
	assert_int_equal(http_server_stats(srv).requests - before.requests, ARRAY_LEN(rows) - bad);
	srv = http_server_free(srv);
	id = tls_id_free(id);
}

/* --- who answers ------------------------------------------------------------------------------ */

/* A server that asks nobody anything, and says 200 to whoever has sent something. */
static struct front {
	SSL_CTX *ctx;
	struct evconnlistener *l;
	struct bufferevent *open;
	uint16_t port;
	unsigned requests;
} front;

static void front_read(struct bufferevent *b, void *arg)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
	char buf[2048];

	(void)arg;
	front.requests++;
	(void)bufferevent_read(b, buf, sizeof(buf));
	(void)bufferevent_write(b, ok, sizeof(ok) - 1);
}

static void front_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
			 void *arg)
{
	(void)sa, (void)len, (void)arg;
	assert_null(front.open);
	front.open =
		bufferevent_openssl_socket_new(evconnlistener_get_base(l), fd, SSL_new(front.ctx),
					       BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	assert_non_null(front.open);
	bufferevent_setcb(front.open, front_read, NULL, NULL, NULL);
	(void)bufferevent_enable(front.open, EV_READ | EV_WRITE);
}

static void front_start(const struct row *r)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	memset(&front, 0, sizeof(front));
	front.ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate_file(front.ctx, lab_path(r->cert, ".pem"),
						      SSL_FILETYPE_PEM),
			 1);
	assert_int_equal(
		SSL_CTX_use_PrivateKey_file(front.ctx, lab_path(r->cert, ".key"), SSL_FILETYPE_PEM),
		1);
	assert_int_equal(SSL_CTX_set_max_proto_version(front.ctx, r->newest), 1);
	front.l =
		evconnlistener_new_bind(loop_base(loop), front_accept, NULL, LEV_OPT_CLOSE_ON_FREE,
					16, (struct sockaddr *)&in, sizeof(in));
	assert_non_null(front.l);
	assert_int_equal(getsockname(evconnlistener_get_fd(front.l), (struct sockaddr *)&in, &len),
			 0);
	front.port = ntohs(in.sin_port);
}

static void front_stop(void)
{
	if (front.open)
		bufferevent_free(front.open);
	evconnlistener_free(front.l);
	SSL_CTX_free(front.ctx);
	run_for(0);
}

struct got {
	int err, status;
	const char *method; /* NULL: the answer is none of A2A */
	struct a2a_result a;
};

static void on_done(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct got *g = arg;

	(void)text;
	g->err = err;
	g->status = r ? r->status : 0;
	if (r && g->method)
		assert_int_equal(a2a_parse(&g->a, r, g->method, 7, NULL), 0);
	loop_stop(loop, 0);
}

static void fetch(struct http_client *c, struct http_call_spec *s, uint16_t at, const char *path,
		  struct got *g)
{
	char url[64];

	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", at, path);
	s->url = url;
	s->did = ALICE;
	s->method = s->body ? "POST" : "GET";
	assert_int_equal(http_call_start(NULL, c, s, on_done, g, NULL), 0);
	assert_int_equal(loop_run(loop), 0);
}

/* We expect alice. */
static void servers_with_bad_ones_are_not_spoken_to(void **state)
{
	struct tls_id *me = identity("bob");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_client *c = NULL;
		struct http_call_spec s = { 0 };
		struct got g = { 0 };

		assert_int_equal(http_client_new(&c, loop, me), 0);
		front_start(&rows[i]);
		fetch(c, &s, front.port, "/x", &g);
		if (rows[i].good ? g.err || g.status != 200 : g.err != -EACCES)
			fail_msg("%s: %d, status %d", rows[i].what, g.err, g.status);
		assert_int_equal(front.requests, rows[i].good);
		c = http_client_free(c);
		front_stop();
	}
	me = tls_id_free(me);
}

/* --- a good certificate is its holder's alone --------------------------------------------------
 */

static struct a2a_server *a2a;

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	(void)arg, (void)p, (void)m;
	a2a_turn_task(t, A2A_INPUT_REQUIRED, NULL);
	return 0;
}

static void to_a2a(void *arg, const struct wire_request *r, struct http_reply *t)
{
	(void)arg;
	a2a_server_handle(a2a, r, http_sink(t));
}

static wall_t now(void *arg)
{
	return loop_wall(arg);
}

static struct http_client *as(const char *who, struct tls_id **id)
{
	struct http_client *c = NULL;

	assert_int_equal(lab_id(id, who), 0);
	assert_int_equal(http_client_new(&c, loop, *id), 0);
	return c;
}

/* The answer of one call about the task of that id ("": a message that begins one), to be cleared.
 */
static struct a2a_result said(struct http_client *c, const char *method, const char *id)
{
	struct wire_header h[3];
	struct http_call_spec s = { .headers = h, .nheaders = a2a_client_headers(h, NULL) };
	struct got g = { .method = method };
	char body[512];

	if (strstr(method, "Message"))
		s.len = (size_t)snprintf(
			body, sizeof(body),
			"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"%s\",\"params\":{\"message\":{"
			"\"messageId\":\"x\",\"role\":\"ROLE_USER\",\"parts\":[{\"data\":1}]%s%s%s}"
			"}}",
			method, *id ? ",\"taskId\":\"" : "", id, *id ? "\"" : "");
	else
		s.len = (size_t)snprintf(body, sizeof(body),
					 "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"%s\","
					 "\"params\":{\"id\":\"%s\"}}",
					 method, id);
	s.body = body;
	fetch(c, &s, port, "/a2a", &g);
	assert_int_equal(g.err, 0);
	return g.a;
}

static void serve_a2a(void)
{
	static const char *const skills[] = { "s", "d", NULL };
	static const struct a2a_app app = { .on_message = on_message };
	const struct http_config hc = { .handler = to_a2a };
	const struct a2a_config ac = { .path = "/a2a",
				       .url = "https://h/a2a",
				       .name = "n",
				       .description = "d",
				       .version = "1",
				       .skills = skills,
				       .streaming = true,
				       .now = now,
				       .now_arg = loop };

	srv = http_server_free(srv);
	assert_int_equal(a2a_server_new(&a2a, &ac, &app, NULL), 0);
	assert_int_equal(http_server_new(&srv, loop, &hc, NULL), 0);
	assert_int_equal(http_listen_tls(srv, "127.0.0.1", 0, alice, NULL), 0);
	port = http_listen_port(srv, 0);
}

/* Every method that names a task, by another peer; its owner finds it as it was. */
static void another_peers_certificate_is_another_peer(void **state)
{
	static const char *const methods[] = { "GetTask", "SubscribeToTask", "SendMessage",
					       "SendStreamingMessage", "CancelTask" };
	struct tls_id *ids[2];
	struct http_client *owner = as("carol", &ids[0]), *other = as("bob", &ids[1]);
	struct a2a_result r;
	char id[A2A_ID_MAX + 1];

	(void)state;
	serve_a2a();
	r = said(owner, "SendMessage", "");
	assert_true(r.is_task && str_set(id, r.task_id));
	a2a_result_clear(&r);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		r = said(other, methods[i], id);
		if (r.code != A2A_E_TASK_NOT_FOUND)
			fail_msg("%s: %d", methods[i], r.code);
		a2a_result_clear(&r);
	}
	r = said(owner, "GetTask", id);
	assert_int_equal(r.state, A2A_INPUT_REQUIRED);
	a2a_result_clear(&r);
	r = said(owner, "CancelTask", id);
	assert_int_equal(r.state, A2A_CANCELED);
	a2a_result_clear(&r);
	owner = http_client_free(owner);
	other = http_client_free(other);
	srv = http_server_free(srv);
	a2a = a2a_server_free(a2a);
	run_for(0);
	for (size_t i = 0; i < 2; i++)
		ids[i] = tls_id_free(ids[i]);
}

/* Beside the lab's: old's time is over, gone's was taken back, carol is a third peer. */
static int certificates(void **state)
{
	int r = group_setup(state);

	if (r)
		return r;
	lab_sh("CA_DAYS=-1 tests/lab/ca.sh $D old=did:web:alice.example=IP:127.0.0.1");
	lab_sh("tests/lab/ca.sh $D gone=did:web:alice.example=IP:127.0.0.1 "
	       "carol=did:web:carol.example=IP:127.0.0.1");
	lab_sh("mkdir $D/crl && tests/lab/ca.sh $D -r $D/crl/one.pem gone");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(callers_with_bad_ones_are_refused),
		T(servers_with_bad_ones_are_not_spoken_to),
		T(another_peers_certificate_is_another_peer),
	};

	return cmocka_run_group_tests(tests, certificates, group_teardown);
}
