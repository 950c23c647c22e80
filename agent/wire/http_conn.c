/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: its state, its one deadline, and the way out of each. Nothing here frees a
 * connection inside a call of the application: bufferevent callbacks are deferred, so a reply given
 * inside the handler is finished by a later turn. */
#include "http_conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "tls.h"

#define LINGER_US 1000000
#define READ_HIGH 65536 /* bytes of input held while we cannot take them */

static void on_deadline(void *arg);

static void arm(struct http_conn *c, int64_t us)
{
	loop_cancel(c->s->loop, c->timer);
	c->timer = us ? loop_after(c->s->loop, us, on_deadline, c) : NULL;
}

/* libevent reads OpenSSL's error queue to learn what happened, so we leave nothing in it. */
static void close_notify(struct http_conn *c)
{
	if (c->tls && c->ready)
		(void)SSL_shutdown(bufferevent_openssl_get_ssl(c->bev));
	ERR_clear_error();
}

struct http_conn *http_conn_free(struct http_conn *c)
{
	struct http_server *s;
	struct http_stream *st;

	if (!c)
		return NULL;
	s = c->s;
	st = c->stream;
	loop_cancel(s->loop, c->timer);
	if (c->reply)
		c->reply->conn = NULL;
	close_notify(c);
	bufferevent_free(c->bev);
	(void)http_in_free(c->in);
	TAILQ_REMOVE(&s->conns, c, entry);
	s->nconns--;
	free(c);
	if (st) {
		st->conn = NULL;
		st->on_close(st->arg);
	}
	return NULL;
}

bool http_conn_idle(const struct http_conn *c)
{
	return c->state == CONN_STREAM || (c->state == CONN_READ && !http_in_started(c->in));
}

/* --- writing --------------------------------------------------------------------------------- */

static const char *reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 413: return "Content Too Large";
	case 421: return "Misdirected Request";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 503: return "Service Unavailable";
	case 504: return "Gateway Timeout";
	default: return "Other";
	}
}

static bool clean(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static bool sendable(const struct wire_response *r)
{
	if (r->status < 200 || r->status > 599 || (r->content_type && !clean(r->content_type)) ||
	    (r->len && !r->body))
		return false;
	for (size_t i = 0; i < r->nheaders; i++)
		if (!clean(r->headers[i].name) || !clean(r->headers[i].value))
			return false;
	return true;
}

static bool has_body(const struct wire_response *r)
{
	return r->status != 204 && r->status != 304;
}

static int put_head(struct http_conn *c, struct evbuffer *out, const struct wire_response *r,
		    bool chunked)
{
	char date[40] = "";
	time_t now = (time_t)(loop_wall(c->s->loop).ms / 1000);
	struct tm tm;
	int n = 0;

	if (gmtime_r(&now, &tm))
		(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	n |= evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", r->status,
				 reason(r->status), date);
	if (r->content_type)
		n |= evbuffer_add_printf(out, "Content-Type: %s\r\n", r->content_type);
	for (size_t i = 0; i < r->nheaders; i++)
		n |= evbuffer_add_printf(out, "%s: %s\r\n", r->headers[i].name,
					 r->headers[i].value);
	if (chunked)
		n |= evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
	else if (has_body(r))
		n |= evbuffer_add_printf(out, "Content-Length: %zu\r\n", r->len);
	if (c->close_after)
		n |= evbuffer_add_printf(out, "Connection: close\r\n");
	n |= evbuffer_add(out, "\r\n", 2);
	return n < 0 ? -ENOMEM : 0;
}

/* All or nothing: a half-written head would be read as a reply. */
static int put_reply(struct http_conn *c, const struct wire_response *r, bool chunked)
{
	struct evbuffer *tmp = evbuffer_new();
	int n;

	if (!tmp)
		return -ENOMEM;
	n = put_head(c, tmp, r, chunked);
	if (!n && r->len && !chunked && has_body(r))
		n = evbuffer_add(tmp, r->body, r->len);
	if (!n)
		n = bufferevent_write_buffer(c->bev, tmp);
	evbuffer_free(tmp);
	return n ? -ENOMEM : 0;
}

static void drop(struct http_conn *c)
{
	/* Deferred, since we may be inside the application: the deadline of now closes it. */
	c->state = CONN_LINGER;
	arm(c, 1);
}

static void conn_reply(struct http_conn *c, const struct wire_response *r)
{
	static const struct wire_response bad = { .status = 500 };
	const struct wire_response *use = sendable(r) ? r : &bad;

	c->s->stats.replies++;
	c->close_after |= c->s->draining;
	c->state = CONN_WRITE;
	if (put_reply(c, use, false)) {
		drop(c);
		return;
	}
	arm(c, c->s->cfg.limits.write_us);
}

/* We refuse; the application does not see it. What was sent may be read in two ways, so the
 * connection is of no more use. */
static void conn_refuse(struct http_conn *c, int status, const char *why)
{
	static const struct wire_header allow = { "Allow", "GET, POST, DELETE" };
	char text[160];
	int n = snprintf(text, sizeof(text), "%s\n", why);
	struct wire_response r = { .status = status,
				   .content_type = "text/plain",
				   .headers = &allow,
				   .nheaders = status == 405 ? 1 : 0,
				   .body = text,
				   .len = n > 0 && (size_t)n < sizeof(text) ? (size_t)n : 0 };

	c->s->stats.refused++;
	c->close_after = true;
	conn_reply(c, &r);
}

void http_reply_send(void *arg, const struct wire_response *r)
{
	struct http_reply *t = arg;

	if (t->conn) {
		t->conn->reply = NULL;
		conn_reply(t->conn, r);
	}
	free(t);
}

bool http_reply_alive(const struct http_reply *t)
{
	return t->conn != NULL;
}

/* --- streams --------------------------------------------------------------------------------- */

static void stream_closed(struct http_stream *st)
{
	struct http_conn *c = st->conn;

	st->conn = NULL;
	c->stream = NULL;
}

struct http_stream *http_reply_stream(struct http_reply *t, const struct wire_response *r,
				      void (*on_close)(void *arg), void *arg)
{
	struct http_conn *c = t->conn;
	struct http_stream *st = calloc(1, sizeof(*st));

	free(t);
	if (c)
		c->reply = NULL;
	if (!st) {
		if (c)
			drop(c);
		return NULL;
	}
	*st = (struct http_stream){ .conn = c, .on_close = on_close, .arg = arg };
	if (!c)
		return st;
	c->state = CONN_STREAM;
	c->stream = st;
	c->close_after |= c->s->draining;
	c->s->stats.replies++;
	arm(c, 0);
	if (!sendable(r) || put_reply(c, r, true) ||
	    (r->len && http_stream_write(st, r->body, r->len))) {
		if (st->conn) {
			stream_closed(st);
			drop(c);
		}
		free(st);
		return NULL;
	}
	return st;
}

int http_stream_write(struct http_stream *st, const void *data, size_t len)
{
	struct http_conn *c = st->conn;
	struct evbuffer *out;
	int n;

	if (!c)
		return -EPIPE;
	if (!len)
		return 0;
	out = bufferevent_get_output(c->bev);
	if (evbuffer_get_length(out) + len > c->s->cfg.limits.stream_bytes) {
		c->s->stats.slow_readers++;
		stream_closed(st);
		drop(c);
		return -ENOBUFS;
	}
	n = evbuffer_add_printf(out, "%zx\r\n", len);
	n |= evbuffer_add(out, data, len);
	n |= evbuffer_add(out, "\r\n", 2);
	if (n < 0) {
		stream_closed(st);
		drop(c);
		return -EPIPE;
	}
	return 0;
}

struct http_stream *http_stream_end(struct http_stream *st)
{
	struct http_conn *c;

	if (!st)
		return NULL;
	c = st->conn;
	if (c) {
		stream_closed(st);
		c->state = CONN_WRITE;
		if (bufferevent_write(c->bev, "0\r\n\r\n", 5))
			drop(c);
		else
			arm(c, c->s->cfg.limits.write_us);
	}
	free(st);
	return NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

static bool listed(char *const *list, const char *v)
{
	for (; list && *list; list++)
		if (!strcasecmp(*list, v))
			return true;
	return false;
}

/* A listed host allows any port: which one is ours is known from being connected. */
static bool host_listed(char *const *list, const char *v)
{
	for (; *list; list++) {
		size_t n = strlen(*list);

		if (!strncasecmp(*list, v, n) &&
		    (!v[n] ||
		     (v[n] == ':' && strspn(v + n + 1, "0123456789") == strlen(v + n + 1))))
			return true;
	}
	return false;
}

static void deliver(struct http_conn *c)
{
	struct http_server *s = c->s;
	struct wire_request r;
	const char *origin;
	struct http_reply *t;

	http_in_request(c->in, &r);
	r.peer = &c->peer;
	origin = wire_header(&r, "Origin");
	if (s->hosts && !host_listed(s->hosts, wire_header(&r, "Host"))) {
		conn_refuse(c, 421, "Host: not served here");
		return;
	}
	if (origin && !listed(s->origins, origin)) {
		conn_refuse(c, 403, "Origin: not allowed");
		return;
	}
	t = calloc(1, sizeof(*t));
	if (!t) {
		conn_refuse(c, 503, "no memory");
		return;
	}
	t->conn = c;
	c->reply = t;
	c->state = CONN_WAIT;
	c->close_after |= !http_in_keep_alive(c->in);
	s->stats.requests++;
	arm(c, s->cfg.limits.reply_us);
	s->cfg.handler(s->cfg.arg, &r, t);
}

static void whole(struct http_conn *c, struct evbuffer *input)
{
	size_t rest = evbuffer_get_length(input);

	/* A pipelined request is dropped, and the close tells the client so. */
	if (rest) {
		c->close_after = true;
		(void)evbuffer_drain(input, rest);
	}
	deliver(c);
}

static void head_done(struct http_conn *c)
{
	if (c->body_phase || !http_in_head_done(c->in))
		return;
	c->body_phase = true;
	arm(c, c->s->cfg.limits.body_us);
	if (http_in_expects_continue(c->in) &&
	    bufferevent_write(c->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25))
		drop(c);
}

static void pump(struct http_conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	size_t n, used;

	while (c->state == CONN_READ && (n = evbuffer_get_contiguous_space(input)) > 0) {
		const char *p = (const char *)evbuffer_pullup(input, (ev_ssize_t)n);
		const char *why = NULL;
		bool started = http_in_started(c->in);
		int r = http_in_feed(c->in, p, n, &used, &why);

		(void)evbuffer_drain(input, used);
		if (!started && c->served) /* the first request has its deadline from the accept */
			arm(c, c->s->cfg.limits.header_us);
		if (r == 0)
			head_done(c);
		else if (r == 1)
			whole(c, input);
		else
			conn_refuse(c, r, why);
	}
	/* While the application thinks, more bytes are a pipelined request; after our last reply
	 * they are nothing. During a reply they may be the next request: they wait. */
	n = evbuffer_get_length(input);
	if (n && (c->state == CONN_WAIT || c->state == CONN_STREAM))
		c->close_after = true;
	if (n && c->state != CONN_WRITE && c->state != CONN_READ)
		(void)evbuffer_drain(input, n);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	pump(arg);
}

static void linger(struct http_conn *c)
{
	c->state = CONN_LINGER;
	close_notify(c);
	(void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	arm(c, LINGER_US);
	pump(c);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	if (c->state != CONN_WRITE || evbuffer_get_length(bufferevent_get_output(bev)))
		return;
	http_in_reset(c->in);
	c->body_phase = false;
	c->served = true;
	if (c->close_after || c->s->draining) {
		linger(c);
		return;
	}
	c->state = CONN_READ;
	arm(c, c->s->cfg.limits.idle_us);
	pump(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;

	if (what & BEV_EVENT_CONNECTED) {
		c->ready = true;
		if (!tls_peer(bufferevent_openssl_get_ssl(bev), &c->peer))
			return;
	}
	if (c->tls && !c->ready)
		c->s->stats.tls_failed++;
	(void)http_conn_free(c);
}

static void on_deadline(void *arg)
{
	struct http_conn *c = arg;

	c->timer = NULL;
	if (c->state != CONN_LINGER)
		c->s->stats.timeouts++;
	if (c->state == CONN_READ && http_in_started(c->in)) {
		conn_refuse(c, 408, "the request took too long");
	} else if (c->state == CONN_WAIT) {
		c->reply->conn = NULL;
		c->reply = NULL;
		conn_refuse(c, 504, "no answer in time");
	} else {
		if (c->tls && !c->ready)
			c->s->stats.tls_failed++;
		(void)http_conn_free(c);
	}
}

/* --- birth ----------------------------------------------------------------------------------- */

static struct bufferevent *bev_new(struct http_server *s, int fd, struct ssl_ctx_st *ctx)
{
	struct event_base *base = loop_base(s->loop);
	int flags = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS, one = 1;
	struct bufferevent *bev;
	SSL *ssl;

	if (!ctx) {
		bev = bufferevent_socket_new(base, fd, flags);
	} else {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		ssl = SSL_new(ctx);
		bev = ssl ? bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
							   flags)
			  : NULL;
		if (bev)
			bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
		else
			SSL_free(ssl);
	}
	if (!bev)
		(void)close(fd);
	return bev;
}

static void unix_peer(struct http_conn *c, int fd)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	/* Without credentials the caller is nobody: uid_t's -1. */
	c->peer = (struct peer){ .local = true, .uid = (uid_t)-1 };
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		c->peer.uid = cred.uid;
		c->peer.pid = cred.pid;
	}
}

void http_conn_accept(struct http_server *s, int fd, struct ssl_ctx_st *ctx)
{
	const struct http_limits *l = &s->cfg.limits;
	struct http_in_limits lim = { l->header_bytes, l->header_count, l->body_bytes };
	struct http_conn *c = NULL;

	if (s->nconns >= l->connections || s->draining) {
		s->stats.over_limit++;
		(void)close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || http_in_new(&c->in, &lim)) {
		free(c);
		(void)close(fd);
		return;
	}
	c->s = s;
	c->tls = ctx != NULL;
	if (!ctx)
		unix_peer(c, fd);
	c->bev = bev_new(s, fd, ctx);
	if (!c->bev) {
		(void)http_in_free(c->in);
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, entry);
	s->nconns++;
	s->stats.accepted++;
	bufferevent_setwatermark(c->bev, EV_READ, 0, READ_HIGH);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	(void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	arm(c, l->header_us);
}
