/* SPDX-License-Identifier: Apache-2.0 */
#include "http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "http_conn.h"
#include "tls.h"

#define BACKLOG  128
#define RETRY_US 100000 /* accept() failed, most likely for want of fds */

/* --- lists ----------------------------------------------------------------------------------- */

static void list_free(char **l)
{
	for (size_t i = 0; l && l[i]; i++)
		free(l[i]);
	free(l);
}

static int list_copy(char ***ret, const char *const *src)
{
	size_t n = 0;
	char **l;

	while (src && src[n])
		n++;
	if (!src)
		return 0;
	l = calloc(n + 1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		l[i] = strdup(src[i]);
		if (!l[i]) {
			list_free(l);
			return -ENOMEM;
		}
	}
	*ret = l;
	return 0;
}

static void defaults(struct http_limits *l)
{
#define DEFAULT(field, value) (l->field = l->field ? l->field : (value))
	DEFAULT(header_bytes, 16384);
	DEFAULT(header_count, WIRE_HEADERS_MAX);
	DEFAULT(body_bytes, 1 << 20);
	DEFAULT(connections, 512);
	DEFAULT(peer_connections, l->connections);
	DEFAULT(stream_bytes, 256 << 10);
	DEFAULT(header_us, 10000000);
	DEFAULT(body_us, 30000000);
	DEFAULT(reply_us, 120000000);
	DEFAULT(idle_us, 60000000);
	DEFAULT(write_us, 30000000);
#undef DEFAULT
}

int http_server_new(struct http_server **ret, struct loop *l, const struct http_config *c,
		    struct err *e)
{
	struct http_server *s;

	if (!c->handler)
		return err_set(e, -EINVAL, "http: a handler is needed");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "http: no memory");
	wire_ignore_sigpipe();
	wire_keep_heap();
	TAILQ_INIT(&s->conns);
	SLIST_INIT(&s->listeners);
	s->loop = l;
	s->cfg = *c;
	defaults(&s->cfg.limits);
	if (list_copy(&s->hosts, c->hosts) || list_copy(&s->origins, c->origins)) {
		(void)http_server_free(s);
		return err_set(e, -ENOMEM, "http: no memory");
	}
	*ret = s;
	return 0;
}

/* Only our own socket file: someone else may have taken the path since. */
static void unlink_own(const struct http_listener *li)
{
	struct stat st;

	if (li->path[0] && !lstat(li->path, &st) && st.st_dev == li->dev && st.st_ino == li->ino)
		(void)unlink(li->path);
}

static struct http_listener *listener_free(struct http_listener *li)
{
	if (!li)
		return NULL;
	loop_cancel(li->s->loop, li->retry);
	if (li->ev)
		evconnlistener_free(li->ev);
	unlink_own(li);
	(void)tls_ctx_free(li->ctx);
	free(li);
	return NULL;
}

static void listeners_close(struct http_server *s)
{
	struct http_listener *li;

	while ((li = SLIST_FIRST(&s->listeners))) {
		SLIST_REMOVE_HEAD(&s->listeners, entry);
		(void)listener_free(li);
	}
}

struct http_server *http_server_free(struct http_server *s)
{
	if (!s)
		return NULL;
	listeners_close(s);
	s->draining = true;
	while (!TAILQ_EMPTY(&s->conns))
		(void)http_conn_free(TAILQ_FIRST(&s->conns));
	loop_cancel(s->loop, s->drain_timer);
	list_free(s->hosts);
	list_free(s->origins);
	free(s);
	return NULL;
}

/* --- listening ------------------------------------------------------------------------------- */

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int len,
		      void *arg)
{
	struct http_listener *li = arg;

	(void)ev;
	(void)sa;
	(void)len;
	http_conn_accept(li->s, fd, li);
}

static void on_retry(void *arg)
{
	struct http_listener *li = arg;

	li->retry = NULL;
	(void)evconnlistener_enable(li->ev);
}

/* Out of fds the listener stays readable, and libevent would spin on it. */
static void on_accept_error(struct evconnlistener *ev, void *arg)
{
	struct http_listener *li = arg;

	if (li->retry)
		return;
	(void)evconnlistener_disable(ev);
	li->retry = loop_after(li->s->loop, RETRY_US, on_retry, li);
}

/* Takes fd and li. */
static int listener_add(struct http_server *s, struct http_listener *li, int fd, struct err *e)
{
	struct http_listener *last = SLIST_FIRST(&s->listeners);

	li->s = s;
	li->ev = evconnlistener_new(loop_base(s->loop), on_accept, li,
				    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
	if (!li->ev) {
		int code = errno == EADDRINUSE ? -EADDRINUSE : -ENOMEM;

		(void)close(fd);
		(void)listener_free(li);
		return err_set(e, code, "listen: %s", strerror(-code));
	}
	evconnlistener_set_error_cb(li->ev, on_accept_error);
	while (last && SLIST_NEXT(last, entry))
		last = SLIST_NEXT(last, entry);
	if (last)
		SLIST_INSERT_AFTER(last, li, entry);
	else
		SLIST_INSERT_HEAD(&s->listeners, li, entry);
	return 0;
}

static int tcp_bind(const char *addr, uint16_t port, uint16_t *ret_port, struct err *e)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ss;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
	socklen_t len = sizeof(*v6);
	auto_close int fd = -1;
	int one = 1;

	if (inet_pton(AF_INET6, addr, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
	} else if (inet_pton(AF_INET, addr, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		len = sizeof(*v4);
	} else {
		return err_set(e, -EINVAL, "listen address %s: must be numeric", addr);
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "listen %s: socket", addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ss.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) || getsockname(fd, (struct sockaddr *)&ss, &len))
		return err_set(e, -errno, "listen %s port %u: cannot bind", addr, port);
	*ret_port = ntohs(ss.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
	return TAKE_FD(fd);
}

static int listen_tls(struct http_server *s, const char *addr, uint16_t port,
		      const struct tls_id *id, bool open, struct err *e)
{
	struct http_listener *li;
	uint16_t bound = 0;
	int fd, r;

	li = calloc(1, sizeof(*li));
	if (!li)
		return err_set(e, -ENOMEM, "listen: no memory");
	li->s = s;
	li->id = id;
	li->open = open;
	r = open ? tls_open_ctx(&li->ctx, id, e) : tls_server_ctx(&li->ctx, id, e);
	fd = r ? r : tcp_bind(addr, port, &bound, e);
	if (fd < 0) {
		(void)listener_free(li);
		return fd;
	}
	li->port = bound;
	return listener_add(s, li, fd, e);
}

int http_listen_tls(struct http_server *s, const char *addr, uint16_t port, const struct tls_id *id,
		    struct err *e)
{
	return listen_tls(s, addr, port, id, false, e);
}

int http_listen_open(struct http_server *s, const char *addr, uint16_t port,
		     const struct tls_id *id, struct err *e)
{
	if (!s->cfg.authenticate)
		return err_set(e, -EINVAL, "listen %s: nobody would say who calls", addr);
	return listen_tls(s, addr, port, id, true, e);
}

int http_listen_plain(struct http_server *s, const char *addr, uint16_t port, const char *did,
		      struct err *e)
{
	struct http_listener *li;
	uint16_t bound = 0;
	int fd;

	if (strcmp(addr, "127.0.0.1") && strcmp(addr, "::1"))
		return err_set(e, -EINVAL, "listen %s: plain HTTP is for loopback only", addr);
	li = calloc(1, sizeof(*li));
	if (!li)
		return err_set(e, -ENOMEM, "listen: no memory");
	li->s = s;
	fd = tcp_bind(addr, port, &bound, e);
	if (fd < 0) {
		(void)listener_free(li);
		return fd;
	}
	li->port = bound;
	li->plain_did = did;
	return listener_add(s, li, fd, e);
}

uint16_t http_listen_port(const struct http_server *s, size_t n)
{
	const struct http_listener *li = SLIST_FIRST(&s->listeners);

	while (li && n--)
		li = SLIST_NEXT(li, entry);
	return li ? li->port : 0;
}

/* Is there a socket file that nobody listens on? Then it is a crashed run's, and goes. */
static int unix_clear(const struct sockaddr_un *un, struct err *e)
{
	auto_close int fd = -1;
	struct stat st;

	if (lstat(un->sun_path, &st))
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s: cannot look", un->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "%s: exists and is not a socket", un->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "%s: socket", un->sun_path);
	if (!connect(fd, (const struct sockaddr *)un, sizeof(*un)) || errno != ECONNREFUSED)
		return err_set(e, -EADDRINUSE, "%s: another process listens", un->sun_path);
	return unlink(un->sun_path) ? err_set(e, -errno, "%s: cannot replace", un->sun_path) : 0;
}

static int unix_bind(const char *path, struct err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	auto_close int fd = -1;
	mode_t old;
	int r;

	if (!str_set(un.sun_path, path) || !*path)
		return err_set(e, -EINVAL, "%s: path must be 1..107 bytes", path);
	r = unix_clear(&un, e);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "%s: socket", path);
	old = umask(0117); /* chmod afterwards would leave a moment open to all */
	r = bind(fd, (struct sockaddr *)&un, sizeof(un)) ? -errno : 0;
	(void)umask(old);
	if (r)
		return err_set(e, r, "%s: cannot bind", path);
	return TAKE_FD(fd);
}

int http_listen_unix(struct http_server *s, const char *path, struct err *e)
{
	struct http_listener *li;
	struct stat st;
	int fd = unix_bind(path, e);

	if (fd < 0)
		return fd;
	li = calloc(1, sizeof(*li));
	if (!li || lstat(path, &st) || !str_set(li->path, path)) {
		free(li);
		(void)close(fd);
		return err_set(e, -ENOMEM, "%s: no memory", path);
	}
	li->dev = st.st_dev;
	li->ino = st.st_ino;
	return listener_add(s, li, fd, e);
}

/* --- the end --------------------------------------------------------------------------------- */

/* Polls: connections end in many places, and a drain happens once in a life. */
static void on_drain(void *arg)
{
	struct http_server *s = arg;
	void (*done)(void *) = s->drained;
	struct http_conn *c, *next;
	size_t waiting = 0;

	s->drain_timer = NULL;
	for (c = TAILQ_FIRST(&s->conns); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (http_conn_idle(c))
			(void)http_conn_free(c);
		else
			waiting += c->state != CONN_STREAM && c->state != CONN_LINGER;
	}
	if (waiting) {
		s->drain_timer = loop_after(s->loop, RETRY_US / 5, on_drain, s);
		if (s->drain_timer)
			return;
	}
	s->drained = NULL;
	if (done)
		done(s->drained_arg);
}

void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg)
{
	listeners_close(s);
	s->draining = true;
	s->drained = done;
	s->drained_arg = arg;
	if (!s->drain_timer)
		on_drain(s);
}

size_t http_server_connections(const struct http_server *s)
{
	return s->nconns;
}

struct http_stats http_server_stats(const struct http_server *s)
{
	return s->stats;
}
