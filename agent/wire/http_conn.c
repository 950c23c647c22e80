/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: its state, its one deadline, and the way out of each. Nothing here frees a
 * connection inside a call of the application: that happens in the loop's own calls alone. */
#include "http_conn.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "tls.h"

#define LINGER_US 1000000
#define REST_US   1000000 /* of idling */
#define READS     4       /* at a time: others have their turn too */

static void on_timer(void *arg);

/* A request has four deadlines and meets them all: the timer of an earlier one is left where it is,
 * and looks again when it fires. */
void http_conn_arm(struct http_conn *c, int64_t us)
{
	struct loop *l = c->s->loop;

	if (us > INT64_MAX / 2)
		us = INT64_MAX / 2;
	c->deadline = us ? mono_add(loop_now(l), us) : (mono_t){ 0 };
	if (!us || (c->timer && mono_cmp(c->fires, c->deadline) <= 0))
		return;
	loop_cancel(l, c->timer);
	c->timer = loop_after(l, us, on_timer, c);
	c->fires = c->deadline;
}

/* The application still holds the token: it leads nowhere from now on. */
static void reply_orphan(struct http_reply *t)
{
	t->conn = NULL;
	if (t->gone)
		t->gone(t->gone_arg);
}

struct http_conn *http_conn_free(struct http_conn *c)
{
	struct http_server *s;
	struct http_stream *st;
	struct http_reply *t;

	if (!c)
		return NULL;
	s = c->s;
	st = c->stream;
	t = c->reply;
	loop_cancel(s->loop, c->timer);
	(void)http_io_free(c->io);
	(void)http_in_free(c->in);
	TAILQ_REMOVE(&s->conns, c, entry);
	s->nconns--;
	s->nopen -= c->open;
	free(c);
	if (st) {
		st->conn = NULL;
		st->on_close(st->arg);
	}
	if (t)
		reply_orphan(t);
	return NULL;
}

bool http_conn_idle(const struct http_conn *c)
{
	return c->state == CONN_READ && !http_in_started(c->in);
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

/* Each connection has one request or stream at a time: this bounds all three of a principal. */
static bool crowded(const struct http_conn *c)
{
	char own[WIRE_DID_MAX], other[WIRE_DID_MAX];
	const struct http_conn *x;
	size_t n = 0;

	if (c->s->nconns <= c->s->cfg.limits.peer_connections)
		return false;
	wire_owner(&c->peer, own);
	TAILQ_FOREACH (x, &c->s->conns, entry) {
		wire_owner(&x->peer, other);
		n += !strcmp(own, other);
	}
	return n > c->s->cfg.limits.peer_connections;
}

/* Who the certificate says it is; nobody, without one. */
static void certified(struct http_conn *c)
{
	if (tls_peer(http_io_ssl(c->io), &c->peer))
		c->peer = (struct peer){ 0 };
}

/* False: refused and answered. A token is of one request: the next one begins with the certificate
 * again. */
static bool admit(struct http_conn *c)
{
	const struct http_config *cfg = &c->s->cfg;
	struct wire_response no = { 0 };
	struct wire_request r;

	if (c->admitted || !c->tls || !cfg->authenticate)
		return true;
	if (c->peer.bearer)
		certified(c);
	http_in_request(c->in, &r);
	r.peer = &c->peer;
	c->admitted = cfg->authenticate(cfg->arg, &r, &c->peer, &no);
	if (!c->admitted)
		http_conn_refuse_with(c, &no);
	return c->admitted;
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
		http_conn_refuse(c, 421, "Host: not served here");
		return;
	}
	if (origin && !listed(s->origins, origin)) {
		http_conn_refuse(c, 403, "Origin: not allowed");
		return;
	}
	if (crowded(c)) {
		s->stats.over_limit++;
		http_conn_refuse(c, 503, "too many connections of this caller");
		return;
	}
	t = calloc(1, sizeof(*t));
	if (!t) {
		http_conn_refuse(c, 503, "no memory");
		return;
	}
	t->conn = c;
	c->reply = t;
	c->state = CONN_WAIT;
	c->close_after |= !http_in_keep_alive(c->in);
	s->stats.requests++;
	http_conn_arm(c, s->cfg.limits.reply_us);
	s->cfg.handler(s->cfg.arg, &r, t);
	loop_worked(s->loop);
}

static void head_done(struct http_conn *c)
{
	if (c->body_phase || !http_in_head_done(c->in))
		return;
	c->body_phase = true;
	if (!admit(c))
		return;
	http_conn_arm(c, c->s->cfg.limits.body_us);
	if (http_in_expects_continue(c->in) &&
	    http_io_write(c->io, "HTTP/1.1 100 Continue\r\n\r\n", 25))
		http_conn_drop(c);
}

/* Of a request's bytes. What is left over while the application thinks, or during our last reply,
 * is a pipelined request or nothing. */
static void take(struct http_conn *c, const char *p, size_t n)
{
	while (n && c->state == CONN_READ) {
		const char *why = NULL;
		bool started = http_in_started(c->in);
		size_t used;
		int r = http_in_feed(c->in, p, n, &used, &why);

		p += used;
		n -= used;
		if (!started && c->served) /* the first request has its deadline from the accept */
			http_conn_arm(c, c->s->cfg.limits.header_us);
		if (r == 0) {
			head_done(c);
		} else if (r == 1) {
			c->close_after |= n > 0; /* it is dropped, and the close says so */
			if (admit(c))
				deliver(c);
			return;
		} else {
			http_conn_refuse(c, r, why);
		}
	}
	if (n && (c->state == CONN_WAIT || c->state == CONN_STREAM))
		c->close_after = true;
}

/* While a reply is on its way, what comes may be the next request: it waits. */
static void on_readable(void *arg)
{
	struct http_conn *c = arg;
	struct http_server *s = c->s;
	unsigned turns = READS;

	do {
		ssize_t n;

		if (c->state == CONN_WRITE) {
			http_io_hear(c->io, false);
			return;
		}
		n = http_io_read(c->io, s->in, sizeof(s->in));
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			(void)http_conn_free(c);
			return;
		}
		c->busy = true;
		take(c, s->in, (size_t)n);
		c->busy = false;
		http_conn_settle(c);
	} while (http_io_has_more(c->io) && --turns);
	http_io_hear(c->io, true);
}

static void linger(struct http_conn *c)
{
	c->state = CONN_LINGER;
	http_io_finish(c->io);
	http_conn_arm(c, LINGER_US);
}

void http_conn_settle(struct http_conn *c)
{
	if (c->busy || c->state != CONN_WRITE || http_io_unsent(c->io))
		return;
	http_in_reset(c->in);
	c->body_phase = c->admitted = false;
	c->served = true;
	if (c->close_after || c->s->draining) {
		linger(c);
	} else {
		c->state = CONN_READ;
		c->resting = c->s->cfg.limits.idle_us <= REST_US;
		http_conn_arm(c, c->resting ? c->s->cfg.limits.idle_us : REST_US);
	}
	http_io_hear(c->io, true);
}

static void on_drained(void *arg)
{
	struct http_conn *c = arg;

	if (c->stream && c->stream->on_drained)
		c->stream->on_drained(c->stream->arg);
	http_conn_settle(c);
}

static void on_broken(void *arg)
{
	struct http_conn *c = arg;

	if (c->tls && !c->ready)
		c->s->stats.tls_failed++;
	(void)http_conn_free(c);
}

static void on_ready(void *arg)
{
	struct http_conn *c = arg;

	c->ready = true;
	certified(c);
	http_io_rest(c->io);
	if (!c->peer.did[0] && !c->open)
		(void)http_conn_free(c);
	else if (http_io_has_more(c->io)) /* a look for no reason would take the buffers again */
		on_readable(c);
}

static void expired(struct http_conn *c)
{
	if (c->state != CONN_LINGER)
		c->s->stats.timeouts++;
	if (c->state == CONN_READ && http_in_started(c->in)) {
		http_conn_refuse(c, 408, "the request took too long");
	} else if (c->state == CONN_WAIT) {
		struct http_reply *t = c->reply;

		c->reply = NULL;
		http_conn_refuse(c, 504, "no answer in time");
		reply_orphan(t);
	} else {
		if (c->tls && !c->ready)
			c->s->stats.tls_failed++;
		(void)http_conn_free(c);
	}
}

static void on_timer(void *arg)
{
	struct http_conn *c = arg;
	int64_t left = c->deadline.us - loop_now(c->s->loop).us;

	c->timer = NULL;
	if (!c->deadline.us)
		return;
	if (left > 0) {
		http_conn_arm(c, left);
	} else if (c->served && !c->resting && c->state == CONN_READ && !http_in_started(c->in)) {
		c->resting = true;
		http_io_rest(c->io);
		http_conn_arm(c, c->s->cfg.limits.idle_us - REST_US);
	} else {
		expired(c);
	}
}

/* --- birth ----------------------------------------------------------------------------------- */

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

void http_conn_accept(struct http_server *s, int fd, const struct http_listener *li)
{
	static const struct http_io_ops ops = { on_ready, on_readable, on_drained, on_broken };
	const struct http_limits *l = &s->cfg.limits;
	struct http_in_limits lim = { l->header_bytes, l->header_count, l->body_bytes };
	struct http_conn *c = NULL;

	if (s->nconns >= l->connections || s->draining ||
	    (li->open && s->nopen >= (l->connections + 1) / 2)) {
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
	c->tls = li->ctx != NULL;
	c->open = li->open;
	if (li->id)
		tls_refresh(li->id);
	if (li->plain_did)
		(void)snprintf(c->peer.did, sizeof(c->peer.did), "%s", li->plain_did);
	else if (!li->ctx)
		unix_peer(c, fd);
	if (http_io_new(&c->io, loop_base(s->loop), fd, li->ctx, &ops, c)) {
		(void)http_in_free(c->in);
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, entry);
	s->nconns++;
	s->nopen += c->open;
	s->stats.accepted++;
	http_conn_arm(c, l->header_us);
}
