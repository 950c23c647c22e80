/* SPDX-License-Identifier: Apache-2.0 */
/* http_conn.h - private to http_server.c and http_conn.c: one server, its connections, tokens and
 * streams. A token or stream that the application still holds outlives its connection; the link
 * between them is cut from whichever side ends first. */
#ifndef TREATY_HTTP_CONN_H
#define TREATY_HTTP_CONN_H

#include <sys/queue.h>
#include <time.h>

#include "agent/loop.h"
#include "http_io.h"
#include "http_parse.h"
#include "http_server.h"

enum conn_state {
	CONN_READ,  /* handshake, waiting for a request, or inside one */
	CONN_WAIT,  /* the application has the token */
	CONN_WRITE, /* the reply is on its way */
	CONN_STREAM,
	CONN_LINGER, /* all is sent; the client may still be sending: wait, or it loses our reply */
};

struct http_conn {
	TAILQ_ENTRY(http_conn) entry;
	struct http_server *s;
	struct http_io *io;
	struct loop_timer *timer;
	mono_t deadline, fires; /* 0: none; of the timer, which may be earlier */
	enum conn_state state;
	bool tls, ready, served, body_phase, close_after;
	bool busy;     /* inside what was read: a reply given now is finished behind it */
	bool resting;  /* idle for so long that its buffers are given back */
	bool open;     /* came through an open listener */
	bool admitted; /* this request's caller is known */
	struct http_in *in;
	struct http_reply *reply;
	struct http_stream *stream;
	struct peer peer;
};

struct http_reply {
	struct http_conn *conn; /* NULL: the client has gone */
	void (*gone)(void *arg);
	void *gone_arg;
};

struct http_stream {
	struct http_conn *conn; /* NULL: gone or closed */
	void (*on_close)(void *arg);
	void (*on_drained)(void *arg); /* or NULL */
	void *arg;
};

struct http_listener {
	SLIST_ENTRY(http_listener) entry;
	struct http_server *s;
	struct evconnlistener *ev;
	struct ssl_ctx_st *ctx; /* NULL: unix or plain */
	const struct tls_id *id;
	const char *plain_did; /* NULL: not plain */
	bool open;             /* no certificate is required */
	struct loop_timer *retry;
	uint16_t port;
	char path[108];
	uint64_t dev, ino;
};

struct http_server {
	struct loop *loop;
	struct http_config cfg;
	char **hosts, **origins;
	TAILQ_HEAD(, http_conn) conns;
	size_t nconns, nopen; /* all; through open listeners */
	SLIST_HEAD(, http_listener) listeners;
	struct http_stats stats;
	char date[40];
	time_t date_of;
	bool draining;
	void (*drained)(void *arg);
	void *drained_arg;
	struct loop_timer *drain_timer;
	char in[32768]; /* what one connection has just sent */
};

/* Takes the accepted fd, also on failure. */
void http_conn_accept(struct http_server *s, int fd, const struct http_listener *li);
struct http_conn *http_conn_free(struct http_conn *c);
/* Replaces its one deadline; 0: none. */
void http_conn_arm(struct http_conn *c, int64_t us);
/* A reply is on its way: if it has left, the connection is ready for the next request. */
void http_conn_settle(struct http_conn *c);
/* Closes it in a later turn, since we may be inside the application. */
void http_conn_drop(struct http_conn *c);
/* We refuse; the application does not see it. What was sent may be read in two ways, so the
 * connection is of no more use. */
void http_conn_refuse(struct http_conn *c, int status, const char *why);
void http_conn_refuse_with(struct http_conn *c, const struct wire_response *r);
/* For a drain: true when it waits between two requests. */
bool http_conn_idle(const struct http_conn *c);

#endif
