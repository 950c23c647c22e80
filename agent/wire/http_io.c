/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's error queue is looked at by SSL_get_error(): whoever fails leaves nothing in it. */
#include "http_io.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#define RECORD 16384 /* the most that one TLS record holds */

struct http_io {
	int fd;
	SSL *ssl;
	struct event *rd, *wr; /* wr: made when the socket is full for the first time */
	struct evbuffer *out;  /* likewise: what it has not taken */
	bool shaken, heard, finished, writing;
	const struct http_io_ops *ops;
	void *arg;
};

static bool in_handshake(const struct http_io *io)
{
	return io->ssl && !io->shaken;
}

/* --- out ------------------------------------------------------------------------------------- */

static void on_writable(evutil_socket_t fd, short what, void *arg);

static int want_write(struct http_io *io)
{
	if (io->writing)
		return 0;
	if (!io->wr)
		io->wr = event_new(event_get_base(io->rd), io->fd, EV_WRITE | EV_PERSIST,
				   on_writable, io);
	if (!io->wr || event_add(io->wr, NULL))
		return -ENOMEM;
	io->writing = true;
	return 0;
}

/* Bytes that went out, 0 when there is no room, -EPIPE. */
static ssize_t send_some(struct http_io *io, const char *p, size_t n)
{
	ssize_t sent;
	int why;

	if (!io->ssl) {
		sent = send(io->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		return sent >= 0 ? sent : errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	}
	/* What did not go out must come again in no smaller a piece: always as much as there is. */
	sent = SSL_write(io->ssl, p, n < RECORD ? (int)n : RECORD);
	if (sent > 0)
		return sent;
	why = SSL_get_error(io->ssl, (int)sent);
	ERR_clear_error();
	return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -EPIPE;
}

static int keep(struct http_io *io, const char *p, size_t n)
{
	if (!io->out)
		io->out = evbuffer_new();
	if (!io->out || evbuffer_add(io->out, p, n))
		return -ENOMEM;
	return want_write(io);
}

/* What is left of v behind its first `done` bytes; returns the number of pieces. */
static size_t rest_of(const struct iovec *v, size_t n, size_t done,
		      struct iovec left[HTTP_IO_PIECES])
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		size_t skip = done < v[i].iov_len ? done : v[i].iov_len;

		done -= skip;
		if (v[i].iov_len > skip)
			left[k++] =
				(struct iovec){ (char *)v[i].iov_base + skip, v[i].iov_len - skip };
	}
	return k;
}

/* One record, or one call, of what there is. */
static ssize_t send_pieces(struct http_io *io, struct iovec *v, size_t n)
{
	struct msghdr m = { .msg_iov = v, .msg_iovlen = n };
	char record[RECORD];
	size_t used = 0;
	ssize_t sent;

	if (n == 1 || (io->ssl && v[0].iov_len >= RECORD))
		return send_some(io, v[0].iov_base, v[0].iov_len);
	if (!io->ssl) {
		sent = sendmsg(io->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		return sent >= 0 ? sent : errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	}
	for (size_t i = 0; i < n && used < RECORD; i++) {
		size_t take = v[i].iov_len < RECORD - used ? v[i].iov_len : RECORD - used;

		memcpy(record + used, v[i].iov_base, take);
		used += take;
	}
	return send_some(io, record, used);
}

int http_io_writev(struct http_io *io, const struct iovec *v, size_t n)
{
	struct iovec left[HTTP_IO_PIECES];
	size_t done = 0, k;
	ssize_t sent = 1;

	if (io->finished)
		return -EPIPE;
	while ((k = rest_of(v, n, done, left)) && sent && !http_io_unsent(io)) {
		sent = send_pieces(io, left, k);
		if (sent < 0)
			return -EPIPE;
		done += (size_t)sent;
	}
	for (size_t i = 0; i < k; i++)
		if (keep(io, left[i].iov_base, left[i].iov_len))
			return -ENOMEM;
	return 0;
}

int http_io_write(struct http_io *io, const void *p, size_t n)
{
	return http_io_writev(io, &(struct iovec){ (void *)(uintptr_t)p, n }, 1);
}

size_t http_io_unsent(const struct http_io *io)
{
	return io->out ? evbuffer_get_length(io->out) : 0;
}

/* 0: all of it is sent, or the socket is full. */
static int flush(struct http_io *io)
{
	size_t n;

	while ((n = http_io_unsent(io)) > 0) {
		ssize_t sent;

		n = n < RECORD ? n : RECORD;
		sent = send_some(io, (const char *)evbuffer_pullup(io->out, (ev_ssize_t)n), n);
		if (sent <= 0)
			return (int)sent;
		(void)evbuffer_drain(io->out, (size_t)sent);
	}
	return 0;
}

/* --- the handshake --------------------------------------------------------------------------- */

static void no_write(struct http_io *io)
{
	if (io->writing)
		(void)event_del(io->wr);
	io->writing = false;
}

static void shake(struct http_io *io)
{
	int r = SSL_accept(io->ssl), why;

	if (r == 1) {
		no_write(io);
		io->shaken = true;
		io->ops->ready(io->arg);
		return;
	}
	why = SSL_get_error(io->ssl, r);
	ERR_clear_error();
	if (why == SSL_ERROR_WANT_READ)
		no_write(io);
	else if (why != SSL_ERROR_WANT_WRITE || want_write(io))
		io->ops->broken(io->arg);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct http_io *io = arg;

	(void)fd;
	(void)what;
	if (in_handshake(io))
		shake(io);
	else
		io->ops->readable(io->arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct http_io *io = arg;

	(void)fd;
	(void)what;
	if (in_handshake(io)) {
		shake(io);
	} else if (flush(io)) {
		io->ops->broken(io->arg);
	} else if (!http_io_unsent(io)) {
		no_write(io);
		io->ops->drained(io->arg);
	}
}

/* --- in -------------------------------------------------------------------------------------- */

ssize_t http_io_read(struct http_io *io, void *p, size_t n)
{
	ssize_t got;
	int why;

	if (!io->ssl) {
		got = recv(io->fd, p, n, MSG_DONTWAIT);
		return got >= 0 ? got : errno == EINTR ? -EAGAIN : -errno;
	}
	got = SSL_read(io->ssl, p, n < INT32_MAX ? (int)n : INT32_MAX);
	if (got > 0)
		return got;
	why = SSL_get_error(io->ssl, (int)got);
	ERR_clear_error();
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -EAGAIN : -EPIPE;
}

bool http_io_has_more(const struct http_io *io)
{
	return io->ssl && SSL_has_pending(io->ssl);
}

void http_io_hear(struct http_io *io, bool on)
{
	if (on != io->heard && !(on ? event_add(io->rd, NULL) : event_del(io->rd)))
		io->heard = on;
	if (on && http_io_has_more(io))
		event_active(io->rd, EV_READ, 0);
}

void http_io_rest(struct http_io *io)
{
	if (io->ssl && !SSL_free_buffers(io->ssl))
		ERR_clear_error(); /* they are in use */
}

/* --- the ends -------------------------------------------------------------------------------- */

static void goodbye(struct http_io *io)
{
	if (io->ssl && io->shaken && !io->finished)
		(void)SSL_shutdown(io->ssl);
	ERR_clear_error();
	io->finished = true;
}

void http_io_finish(struct http_io *io)
{
	goodbye(io);
	(void)shutdown(io->fd, SHUT_WR);
}

struct ssl_st *http_io_ssl(const struct http_io *io)
{
	return io->ssl;
}

static int tls_new(struct http_io *io, struct ssl_ctx_st *ctx)
{
	int one = 1;

	(void)setsockopt(io->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	io->ssl = SSL_new(ctx);
	if (!io->ssl || SSL_set_fd(io->ssl, io->fd) != 1) {
		ERR_clear_error();
		return -ENOMEM;
	}
	SSL_set_accept_state(io->ssl);
	SSL_set_read_ahead(io->ssl, 1);
	/* What is left of a write comes again from a buffer of ours. */
	(void)SSL_set_mode(io->ssl,
			   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return 0;
}

int http_io_new(struct http_io **ret, struct event_base *base, int fd, struct ssl_ctx_st *ctx,
		const struct http_io_ops *ops, void *arg)
{
	struct http_io *io = calloc(1, sizeof(*io));

	if (!io) {
		(void)close(fd);
		return -ENOMEM;
	}
	*io = (struct http_io){ .fd = fd, .ops = ops, .arg = arg };
	io->rd = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, io);
	if (!io->rd || (ctx && tls_new(io, ctx)) || event_add(io->rd, NULL)) {
		(void)http_io_free(io);
		return -ENOMEM;
	}
	io->heard = true;
	*ret = io;
	return 0;
}

struct http_io *http_io_free(struct http_io *io)
{
	if (!io)
		return NULL;
	goodbye(io);
	if (io->rd)
		event_free(io->rd);
	if (io->wr)
		event_free(io->wr);
	if (io->out)
		evbuffer_free(io->out);
	SSL_free(io->ssl);
	(void)close(io->fd);
	free(io);
	return NULL;
}
