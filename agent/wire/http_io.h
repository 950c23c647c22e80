/* SPDX-License-Identifier: Apache-2.0 */
/* http_io.h - private to the HTTP server: one nonblocking socket, plain or with TLS. A record is
 * read with one system call and what is written goes out at once, as far as the socket takes it; a
 * bufferevent asks epoll before each write and reads a record in two pieces. */
#ifndef TREATY_HTTP_IO_H
#define TREATY_HTTP_IO_H

#include <sys/types.h>
#include <sys/uio.h>

#include "treaty/base.h"

struct event_base;
struct http_io;
struct ssl_ctx_st;
struct ssl_st;

/* From the event loop, never inside one of the calls below. Each may free the io. */
struct http_io_ops {
	void (*ready)(void *arg);    /* TLS: the handshake is done; there may be bytes already */
	void (*readable)(void *arg); /* there are bytes, or the end */
	void (*drained)(void *arg);  /* what the socket had not taken is sent */
	void (*broken)(void *arg);   /* the handshake or a write failed */
};

/* Takes fd, also on failure. ctx NULL: plain. -ENOMEM. */
int http_io_new(struct http_io **ret, struct event_base *base, int fd, struct ssl_ctx_st *ctx,
		const struct http_io_ops *ops, void *arg) must_check;
/* Says goodbye first (close_notify), if there was a handshake. */
struct http_io *http_io_free(struct http_io *io);

/* Bytes; 0: the other side sends no more; -EAGAIN: nothing now; else it is broken. */
ssize_t http_io_read(struct http_io *io, void *p, size_t n);
/* Is something read that http_io_read() has not given out? epoll would not tell. */
bool http_io_has_more(const struct http_io *io);
/* readable is told or not; it is from the beginning. */
void http_io_hear(struct http_io *io, bool on);
/* Keeps what the socket does not take. -ENOMEM, or -EPIPE: it is broken. Up to HTTP_IO_PIECES
 * pieces go out as one. */
enum { HTTP_IO_PIECES = 3 };
int http_io_writev(struct http_io *io, const struct iovec *v, size_t n) must_check;
int http_io_write(struct http_io *io, const void *p, size_t n) must_check;
size_t http_io_unsent(const struct http_io *io);
/* Gives back what TLS holds for records until there are some again; while requests follow each
 * other it is kept. */
void http_io_rest(struct http_io *io);
/* We send no more. */
void http_io_finish(struct http_io *io);
struct ssl_st *http_io_ssl(const struct http_io *io); /* NULL: plain */

#endif
