/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's connection cache knows nothing of our DID check: it would hand a connection opened for
 * one DID to a call that expects another at the same address. So each expected DID has a multi
 * handle, and with it a cache, of its own. */
#include "http_client_i.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "http_addr.h"

enum { POOLS_MAX = 64, SOCKS_PER_POOL = 56 };

struct http_sock {
	SLIST_ENTRY(http_sock) entry;
	struct http_pool *pool;
	int fd;
	bool conn; /* a connection, which we close: not one that libcurl wakes itself with */
	bool used; /* libcurl waits for it; a watch outlives that by the time to the next call */
	unsigned bits; /* of the watch */
	struct loop_fd *watch;
};

/* A call's owner may start calls, cancel others, or free the client: true, and nothing of it may be
 * touched. */
static bool end_call(struct http_call *k, CURLcode code)
{
	struct http_client *c = k->c;
	bool freed = false, *outer = c->freed;

	c->freed = &freed;
	http_call_end(k, code, &freed);
	if (!freed)
		c->freed = outer;
	else if (outer)
		*outer = true;
	return freed;
}

static void collect(struct http_pool *p)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(p->multi, &left))) {
		struct http_call *k = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &k);
		if (end_call(k, m->data.result))
			return;
	}
}

static void on_sock(void *arg, int fd, unsigned what)
{
	struct http_sock *s = arg;
	struct http_pool *p = s->pool;
	int bits = (what & LOOP_READ ? CURL_CSELECT_IN : 0) |
		   (what & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	if (!s->used) { /* the peer closed it: seen by the next call */
		s->watch = loop_fd_free(s->watch);
		return;
	}
	(void)curl_multi_socket_action(p->multi, fd, bits, &running); /* may free s */
	collect(p);
}

static void on_timer(void *arg)
{
	struct http_pool *p = arg;
	int running;

	p->timer = NULL;
	(void)curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(p);
}

static int set_timer(CURLM *m, long ms, void *arg)
{
	struct http_pool *p = arg;

	(void)m;
	loop_cancel(p->c->loop, p->timer);
	p->timer = NULL;
	if (ms < 0)
		return 0;
	p->timer = loop_after(p->c->loop, (int64_t)ms * 1000, on_timer, p);
	return p->timer ? 0 : -1;
}

static struct http_sock *sock_find(const struct http_pool *p, int fd)
{
	struct http_sock *s;

	SLIST_FOREACH(s, &p->socks[fd % SOCK_ROWS], entry)
	if (s->fd == fd)
		return s;
	return NULL;
}

static struct http_sock *sock_new(struct http_pool *p, int fd, bool conn)
{
	struct http_sock *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct http_sock){ .pool = p, .fd = fd, .conn = conn };
	SLIST_INSERT_HEAD(&p->socks[fd % SOCK_ROWS], s, entry);
	return s;
}

static void sock_free(struct http_sock *s)
{
	if (!s)
		return;
	(void)loop_fd_free(s->watch);
	SLIST_REMOVE(&s->pool->socks[s->fd % SOCK_ROWS], s, http_sock, entry);
	free(s);
}

/* The last moment before a connection, with the address it will have: whatever a name meant when
 * somebody looked, this is what it means now. */
static curl_socket_t on_open(void *arg, curlsocktype what, struct curl_sockaddr *a)
{
	struct http_call *k = arg;
	int fd;

	if (k->public_only && (what != CURLSOCKTYPE_IPCXN || !http_addr_public(&a->addr))) {
		k->private_addr = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	if (fd >= 0 && !sock_new(k->pool, fd, true)) {
		(void)close(fd);
		return CURL_SOCKET_BAD;
	}
	return fd;
}

/* The pool outlives its connections, a call does not. */
static int on_close(void *arg, curl_socket_t fd)
{
	sock_free(sock_find(arg, fd));
	return close(fd);
}

int http_pool_sockets(struct http_pool *p, CURL *easy)
{
	return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) ||
			       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) ||
			       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, p)
		       ? -ENOMEM
		       : 0;
}

/* A connection is looked at for reading nearly always, and between two calls it rests: what is
 * watched stays so, which spares two system calls each. */
static int watch(struct http_sock *s, unsigned bits)
{
	s->used = true;
	if (s->watch && s->bits == bits)
		return 0;
	(void)loop_fd_free(s->watch);
	s->watch = loop_watch(s->pool->c->loop, s->fd, bits, on_sock, s);
	s->bits = bits;
	return s->watch ? 0 : -1;
}

static void unwatch(struct http_sock *s)
{
	s->used = false;
	if (!s->conn)
		sock_free(s);
	else if (s->bits != LOOP_READ)
		s->watch = loop_fd_free(s->watch);
}

static int set_sock(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
	struct http_pool *p = arg;
	struct http_sock *s = sockp ? sockp : sock_find(p, fd);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			unwatch(s);
		return 0;
	}
	if (!s)
		s = sock_new(p, fd, false);
	if (!s)
		return -1;
	if (!sockp)
		(void)curl_multi_assign(p->multi, fd, s);
	return watch(s, (what & CURL_POLL_IN ? LOOP_READ : 0u) |
				(what & CURL_POLL_OUT ? LOOP_WRITE : 0u));
}

void http_pool_free(struct http_pool *p)
{
	(void)curl_multi_cleanup(p->multi);
	for (size_t i = 0; i < SOCK_ROWS; i++)
		while (!SLIST_EMPTY(&p->socks[i]))
			sock_free(SLIST_FIRST(&p->socks[i]));
	loop_cancel(p->c->loop, p->timer);
	free(p);
}

int http_pool_get(struct http_pool **ret, struct http_client *c, const char *did, bool public_only)
{
	struct http_pool *p;

	SLIST_FOREACH(p, &c->pools, entry)
	{
		if (strcmp(p->did, did) || p->public_only != public_only)
			continue;
		*ret = p;
		return 0;
	}
	if (c->npools == POOLS_MAX)
		return -EBUSY;
	p = calloc(1, sizeof(*p));
	if (!p || !str_set(p->did, did)) {
		free(p);
		return -ENOMEM;
	}
	p->c = c;
	p->public_only = public_only;
	p->multi = curl_multi_init();
	TAILQ_INIT(&p->waiting);
	if (!p->multi || curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, set_sock) ||
	    curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p) ||
	    curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, set_timer) ||
	    curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p) ||
	    curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) ||
	    curl_multi_setopt(p->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)SOCKS_PER_POOL) ||
	    /* Else it keeps four a call under way: a burst's connections would not outlive it. */
	    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)SOCKS_PER_POOL)) {
		http_pool_free(p);
		return -ENOMEM;
	}
	SLIST_INSERT_HEAD(&c->pools, p, entry);
	c->npools++;
	*ret = p;
	return 0;
}

/* --- its calls ---------------------------------------------------------------------------------
 */

static int run(struct http_pool *p, struct http_call *k)
{
	if (curl_multi_add_handle(p->multi, k->easy))
		return -EIO;
	p->running++;
	return 0;
}

/* No connection was free in all its time. */
static void on_late(void *arg)
{
	struct http_call *k = arg;

	k->late = NULL;
	(void)snprintf(k->error, sizeof(k->error), "no connection was free in time");
	(void)end_call(k, CURLE_OPERATION_TIMEDOUT);
}

static int wait_turn(struct http_pool *p, struct http_call *k)
{
	struct loop *l = p->c->loop;

	k->late = loop_after(l, k->timeout_us, on_late, k);
	if (!k->late)
		return -ENOMEM;
	k->until = mono_add(loop_now(l), k->timeout_us);
	TAILQ_INSERT_TAIL(&p->waiting, k, turn);
	return 0;
}

static void no_wait(struct http_pool *p, struct http_call *k)
{
	TAILQ_REMOVE(&p->waiting, k, turn);
	loop_cancel(p->c->loop, k->late);
	k->late = NULL;
	k->waits = false;
}

/* Whom libcurl does not take waits on, at worst until it is late. */
static void next_turn(struct http_pool *p)
{
	struct http_call *k;

	while (p->running < SOCKS_PER_POOL && (k = TAILQ_FIRST(&p->waiting))) {
		int64_t left = k->until.us - loop_now(p->c->loop).us;

		(void)curl_easy_setopt(k->easy, CURLOPT_TIMEOUT_MS,
				       left > 1000 ? (long)(left / 1000) : 1L);
		if (run(p, k))
			return;
		no_wait(p, k);
	}
}

/* libcurl would make a connection's state, and read the URL, for each call that has to wait, and do
 * so again with each one that ends. */
int http_pool_add(struct http_pool *p, struct http_call *k)
{
	int r;

	k->waits = p->running == SOCKS_PER_POOL || !TAILQ_EMPTY(&p->waiting);
	r = k->waits ? wait_turn(p, k) : run(p, k);
	if (r)
		return r;
	k->pool = p;
	LIST_INSERT_HEAD(&p->c->calls, k, entry);
	p->c->ncalls++;
	return 0;
}

void http_pool_remove(struct http_call *k)
{
	struct http_pool *p = k->pool;

	if (k->waits) {
		no_wait(p, k);
	} else {
		(void)curl_multi_remove_handle(p->multi, k->easy);
		p->running--;
	}
	LIST_REMOVE(k, entry);
	k->c->ncalls--;
	k->pool = NULL;
	next_turn(p);
}
