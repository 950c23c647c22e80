/* SPDX-License-Identifier: Apache-2.0 */
/* The way back: replies, refusals, and bodies that stay open. */
#include "http_conn.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

/* --- writing --------------------------------------------------------------------------------- */

static const char *reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
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

/* The clock of the second, as every reply has it. */
static const char *date_now(struct http_server *s)
{
	time_t now = (time_t)(loop_wall(s->loop).ms / 1000);
	struct tm tm;

	if (now != s->date_of && gmtime_r(&now, &tm)) {
		(void)strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s->date_of = now;
	}
	return s->date;
}

struct text {
	char *p;
	size_t n;
};

static void put(struct text *t, const char *s, size_t n)
{
	memcpy(t->p + t->n, s, n);
	t->n += n;
}

static void put_line(struct text *t, const char *name, const char *value)
{
	put(t, name, strlen(name));
	put(t, ": ", 2);
	put(t, value, strlen(value));
	put(t, "\r\n", 2);
}

static void put_number(struct text *t, size_t v)
{
	char back[24];
	size_t n = sizeof(back);

	do {
		back[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put(t, back + n, sizeof(back) - n);
}

static void put_status(struct text *t, int status)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n";
	const char *why = reason(status);

	if (status == 200) {
		put(t, ok, sizeof(ok) - 1);
		return;
	}
	put(t, ok, 9);
	put_number(t, (size_t)status);
	put(t, " ", 1);
	put(t, why, strlen(why));
	put(t, "\r\n", 2);
}

/* The most that put_head() writes. */
static size_t head_room(const struct wire_response *r)
{
	size_t n = 256 + (r->content_type ? strlen(r->content_type) : 0);

	for (size_t i = 0; i < r->nheaders; i++)
		n += strlen(r->headers[i].name) + strlen(r->headers[i].value) + 4;
	return n;
}

static void put_head(struct http_conn *c, struct text *t, const struct wire_response *r,
		     bool chunked)
{
	put_status(t, r->status);
	put_line(t, "Date", date_now(c->s));
	if (r->content_type)
		put_line(t, "Content-Type", r->content_type);
	for (size_t i = 0; i < r->nheaders; i++)
		put_line(t, r->headers[i].name, r->headers[i].value);
	if (chunked) {
		put_line(t, "Transfer-Encoding", "chunked");
	} else if (has_body(r)) {
		put(t, "Content-Length: ", 16);
		put_number(t, r->len);
		put(t, "\r\n", 2);
	}
	if (c->close_after)
		put_line(t, "Connection", "close");
	put(t, "\r\n", 2);
}

/* All or nothing: a half-written head would be read as a reply. In one piece, since each piece
 * becomes a TLS record and a system call of its own. */
static int put_reply(struct http_conn *c, const struct wire_response *r, bool chunked)
{
	bool body = r->len && !chunked && has_body(r) && !http_in_is_head(c->in);
	size_t room = head_room(r) + (body ? r->len : 0);
	auto_free char *p = malloc(room);
	struct text t = { p, 0 };

	if (!p)
		return -ENOMEM;
	put_head(c, &t, r, chunked);
	if (body)
		put(&t, r->body, r->len);
	return http_io_write(c->io, p, t.n);
}

void http_conn_drop(struct http_conn *c)
{
	c->state = CONN_LINGER;
	http_conn_arm(c, 1);
}

static void conn_reply(struct http_conn *c, const struct wire_response *r)
{
	static const struct wire_response bad = { .status = 500 };
	const struct wire_response *use = sendable(r) ? r : &bad;

	c->s->stats.replies++;
	c->close_after |= c->s->draining;
	c->state = CONN_WRITE;
	if (put_reply(c, use, false)) {
		http_conn_drop(c);
		return;
	}
	http_conn_arm(c, c->s->cfg.limits.write_us);
	http_conn_settle(c);
}

void http_conn_refuse(struct http_conn *c, int status, const char *why)
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

	http_conn_refuse_with(c, &r);
}

void http_conn_refuse_with(struct http_conn *c, const struct wire_response *r)
{
	c->s->stats.refused++;
	c->close_after = true;
	conn_reply(c, r);
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

/* A stream does not outlive the token that it was opened with. 0: there is no end. */
static int64_t stream_time(const struct http_conn *c)
{
	int64_t left = c->peer.until.ms - loop_wall(c->s->loop).ms;

	if (!c->peer.bearer)
		return 0;
	return left > 0 && left < INT64_MAX / 1000 ? left * 1000 : 1;
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
			http_conn_drop(c);
		return NULL;
	}
	*st = (struct http_stream){ .conn = c, .on_close = on_close, .arg = arg };
	if (!c)
		return st;
	c->state = CONN_STREAM;
	c->stream = st;
	c->close_after |= c->s->draining;
	c->s->stats.replies++;
	http_conn_arm(c, stream_time(c));
	if (!sendable(r) || put_reply(c, r, true) ||
	    (r->len && http_stream_write(st, r->body, r->len))) {
		if (st->conn) {
			stream_closed(st);
			http_conn_drop(c);
		}
		free(st);
		return NULL;
	}
	http_io_rest(c->io);
	return st;
}

static int stream_fail(struct http_stream *st, int code)
{
	struct http_conn *c = st->conn;

	stream_closed(st);
	http_conn_drop(c);
	return code;
}

void http_stream_watch(struct http_stream *st, void (*drained)(void *arg))
{
	st->on_drained = drained;
}

size_t http_stream_unread(const struct http_stream *st)
{
	return st->conn ? http_io_unsent(st->conn->io) : 0;
}

/* The chunk goes out as one, for the same reason as a reply. */
int http_stream_write(struct http_stream *st, const void *data, size_t len)
{
	struct http_conn *c = st->conn;
	char size[24];
	struct iovec v[] = { { size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", len) },
			     { (void *)(uintptr_t)data, len },
			     { (void *)(uintptr_t) "\r\n", 2 } };

	if (!c)
		return -EPIPE;
	if (!len)
		return 0;
	if (http_stream_unread(st) + len > c->s->cfg.limits.stream_bytes) {
		c->s->stats.slow_readers++;
		return stream_fail(st, -ENOBUFS);
	}
	if (http_io_writev(c->io, v, ARRAY_LEN(v)))
		return stream_fail(st, -EPIPE);
	http_io_rest(c->io); /* its reader may be one of thousands */
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
		if (http_io_write(c->io, "0\r\n\r\n", 5)) {
			http_conn_drop(c);
		} else {
			http_conn_arm(c, c->s->cfg.limits.write_us);
			http_conn_settle(c);
		}
	}
	free(st);
	return NULL;
}

void http_reply_watch(struct http_reply *t, void (*gone)(void *arg), void *arg)
{
	t->gone = gone;
	t->gone_arg = arg;
}

static void *sink_open(void *to, const struct wire_response *head, void (*gone)(void *arg),
		       void *arg)
{
	return http_reply_stream(to, head, gone, arg);
}

static int sink_write(void *stream, const void *p, size_t n)
{
	return http_stream_write(stream, p, n);
}

static void sink_end(void *stream)
{
	(void)http_stream_end(stream);
}

static void sink_watch(void *to, void (*gone)(void *arg), void *arg)
{
	http_reply_watch(to, gone, arg);
}

struct wire_sink http_sink(struct http_reply *token)
{
	static const struct wire_stream_ops ops = { sink_open, sink_write, sink_end, sink_watch };

	return (struct wire_sink){ http_reply_send, token, &ops };
}
