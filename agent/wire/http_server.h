/* SPDX-License-Identifier: Apache-2.0 */
/* http_server.h - HTTP/1.1 (RFC 9112) over mutual TLS 1.3 and over AF_UNIX. llhttp parses; the
 * guards around it refuse what two parsers could read in two ways. A request reaches the handler
 * whole; its reply comes now, later, or as a stream of events. No pipelining, no trailers. */
#ifndef TREATY_HTTP_SERVER_H
#define TREATY_HTTP_SERVER_H

#include "wire.h"

struct loop;
struct tls_id;
struct http_server;
struct http_reply; /* the token of one request */
struct http_stream;

/* 0 anywhere means the default in brackets. */
struct http_limits {
	size_t header_bytes;     /* request line + headers [16384] -> 431 */
	size_t header_count;     /* [64, also the most] -> 431 */
	size_t body_bytes;       /* [1 MiB] -> 413 */
	size_t connections;      /* [512]; one more is closed at once */
	size_t peer_connections; /* of one principal [as many]; its requests on more are 503 */
	size_t stream_bytes; /* unsent bytes of one stream before its reader is closed [256 KiB] */
	int64_t header_us;   /* accept or first byte -> whole head, handshake included [10 s] -> 408
			      */
	int64_t body_us;     /* whole head -> whole body [30 s] -> 408 */
	int64_t reply_us;    /* whole request -> reply [120 s] -> 504 */
	int64_t idle_us;     /* between two requests of one connection [60 s] */
	int64_t write_us;    /* whole reply handed over -> sent [30 s] */
};

struct http_config {
	struct http_limits limits;
	const char *const *hosts;   /* allowed Host values, any port; NULL: any -> 421 */
	const char *const *origins; /* allowed Origin values; NULL: none -> 403 */
	/* Called once for each whole request; the request is borrowed until it returns. The token
	 * must be spent by exactly one of http_reply_send() and http_reply_stream(). */
	void (*handler)(void *arg, const struct wire_request *r, struct http_reply *token);
	/* Who calls over TLS? Asked for each request when its head is whole and before its body is
	 * read; head->peer and *who are the certificate's holder, or nobody on an open listener.
	 * True: served as *who. False: *no is the answer (borrowed until the next turn), and the
	 * connection ends. NULL: the certificate says who. */
	bool (*authenticate)(void *arg, const struct wire_request *head, struct peer *who,
			     struct wire_response *no);
	void *arg;
};

/* Copies the lists of c. The loop is borrowed. */
int http_server_new(struct http_server **ret, struct loop *l, const struct http_config *c,
		    struct err *e) must_check;
/* Closes everything. Tokens and streams that are still out stay valid and lead to nothing. libevent
 * gives a closed connection's buffers back in the loop's next turn. */
struct http_server *http_server_free(struct http_server *s);

/* Listens with TLS on a numeric address ("127.0.0.1", "::1", "fd10::1"); port 0 takes a free one.
 * The identity is borrowed until the server is freed. */
int http_listen_tls(struct http_server *s, const char *addr, uint16_t port, const struct tls_id *id,
		    struct err *e) must_check;
/* The same, but a caller need not show a certificate (one that it shows must be good):
 * authenticate() says who it is. -EINVAL without that. At most half of all connections come through
 * such listeners, so that strangers keep nobody out who has a certificate. */
int http_listen_open(struct http_server *s, const char *addr, uint16_t port,
		     const struct tls_id *id, struct err *e) must_check;
/* Listens without TLS on a loopback address (others: -EINVAL), and takes every caller for did
 * (borrowed). Nobody is authenticated: for test builds alone, no configuration leads here. */
int http_listen_plain(struct http_server *s, const char *addr, uint16_t port, const char *did,
		      struct err *e) must_check;
/* Port of the n-th listener (0 first), host order; 0 when there is none or it is a unix socket. */
uint16_t http_listen_port(const struct http_server *s, size_t n);
/* Listens on a socket file, mode 0660 from the first instant. A dead socket of an earlier run is
 * replaced; anything else at that path is -EEXIST, a living one -EADDRINUSE. */
int http_listen_unix(struct http_server *s, const char *path, struct err *e) must_check;

/* Stops accepting, closes idle connections, lets the others have the reply to their request, then
 * calls done (once; at once when nobody waits). Streams are left to whoever writes them. */
void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg);
size_t http_server_connections(const struct http_server *s);

struct http_stats {
	uint64_t accepted, over_limit, tls_failed, requests, replies, refused, timeouts,
		slow_readers;
};
struct http_stats http_server_stats(const struct http_server *s);

/* The token as a protocol core wants it: one reply, or a body that stays open. */
struct wire_sink http_sink(struct http_reply *token);
/* Spends the token. When the client has gone it does nothing but free the token. A response out of
 * range becomes 500. */
void http_reply_send(void *token, const struct wire_response *r);
bool http_reply_alive(const struct http_reply *token);
/* gone runs once when the client leaves, or its time is over, before the token is spent. */
void http_reply_watch(struct http_reply *token, void (*gone)(void *arg), void *arg);

/* Spends the token and opens a chunked body (SSE: content_type "text/event-stream"). on_close runs
 * once when the reader is gone or was closed for being slow; after it only http_stream_end() is
 * of use. r->body is the first chunk. NULL on ENOMEM (the connection is closed). */
struct http_stream *http_reply_stream(struct http_reply *token, const struct wire_response *r,
				      void (*on_close)(void *arg), void *arg);
/* -EPIPE: the reader is gone. -ENOBUFS: it was too slow and is closed now. */
int http_stream_write(struct http_stream *st, const void *data, size_t len);
/* drained runs, with on_close's arg, each time that the socket has taken what it had not; it may
 * neither write nor end. */
void http_stream_watch(struct http_stream *st, void (*drained)(void *arg));
/* Bytes, our framing included, that the socket has not taken. 0 when the reader is gone. */
size_t http_stream_unread(const struct http_stream *st);
/* Ends the body and frees the stream; on_close will not run. NULL is fine. */
struct http_stream *http_stream_end(struct http_stream *st);

#endif
