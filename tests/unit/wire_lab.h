/* SPDX-License-Identifier: Apache-2.0 */
/* wire_lab.h - for tests of the wires: certificates in a temporary directory, and a blocking client
 * on a thread of its own that sends exactly the bytes it is told, while the loop serves. */
#ifndef TREATY_WIRE_LAB_H
#define TREATY_WIRE_LAB_H

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "agent/loop.h"
#include "agent/wire/tls.h"

static char lab_dir[64];

static inline const char *lab_path(const char *name, const char *suffix)
{
	static char buf[4][128];
	static unsigned i;
	char *p = buf[i++ % 4];

	(void)snprintf(p, sizeof(buf[0]), "%s/%s%s", lab_dir, name, suffix);
	return p;
}

/* alice and bob of one CA, nameless without a DID, twofold with two, mallory of another CA. */
static inline int lab_make(void)
{
	char cmd[1024];

	(void)snprintf(lab_dir, sizeof(lab_dir), "/tmp/treaty-wire.XXXXXX");
	if (!mkdtemp(lab_dir))
		return -errno;
	(void)snprintf(
		cmd, sizeof(cmd),
		"tests/lab/ca.sh %s alice=did:web:alice.example=IP:127.0.0.1 "
		"bob=did:web:bob.example=IP:127.0.0.1 nameless==IP:127.0.0.1 "
		"twofold=did:web:a.example,URI:did:web:b.example=IP:127.0.0.1 && "
		"tests/lab/ca.sh %s/other -k p256 mallory=did:web:alice.example=IP:127.0.0.1 && "
		"cp %s/other/mallory.* %s/",
		lab_dir, lab_dir, lab_dir, lab_dir);
	return system(cmd) ? -EIO : 0;
}

static inline void lab_remove(void)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", lab_dir);
	(void)!system(cmd);
}

static inline int lab_id(struct tls_id **ret, const char *name)
{
	struct err e = { 0 };
	int r = tls_id_new(ret, lab_path("ca", ".pem"), lab_path(name, ".pem"),
			   lab_path(name, ".key"), &e);

	if (r)
		fprintf(stderr, "%s: %s\n", name, e.text);
	return r;
}

/* --- a blocking connection ------------------------------------------------------------------ */

struct wire_end {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
};

static inline int end_open(struct wire_end *w, const struct sockaddr *sa, socklen_t len)
{
	struct timeval tv = { .tv_sec = 5 };

	*w = (struct wire_end){ .fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	(void)setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	return connect(w->fd, sa, len) ? -errno : 0;
}

static inline int end_unix(struct wire_end *w, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	return str_set(un.sun_path, path) ? end_open(w, (struct sockaddr *)&un, sizeof(un))
					  : -EINVAL;
}

/* cert NULL: shows none. max_version 0: the newest. */
static inline int end_tls(struct wire_end *w, uint16_t port, const char *cert, int max_version)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int r = end_open(w, (struct sockaddr *)&in, sizeof(in));

	if (r)
		return r;
	w->ctx = SSL_CTX_new(TLS_client_method());
	(void)SSL_CTX_set_max_proto_version(w->ctx, max_version);
	if (cert &&
	    (SSL_CTX_use_certificate_file(w->ctx, lab_path(cert, ".pem"), SSL_FILETYPE_PEM) != 1 ||
	     SSL_CTX_use_PrivateKey_file(w->ctx, lab_path(cert, ".key"), SSL_FILETYPE_PEM) != 1))
		return -EINVAL;
	w->ssl = SSL_new(w->ctx);
	(void)SSL_set_fd(w->ssl, w->fd);
	return SSL_connect(w->ssl) == 1 ? 0 : -EPROTO;
}

static inline void end_close(struct wire_end *w)
{
	SSL_free(w->ssl);
	SSL_CTX_free(w->ctx);
	close_p(&w->fd);
}

static inline ssize_t end_write(struct wire_end *w, const void *p, size_t n)
{
	return w->ssl ? SSL_write(w->ssl, p, (int)n) : send(w->fd, p, n, MSG_NOSIGNAL);
}

static inline ssize_t end_read(struct wire_end *w, void *p, size_t n)
{
	return w->ssl ? SSL_read(w->ssl, p, (int)n) : recv(w->fd, p, n, 0);
}

/* One reply of a connection with one request in flight: status (0: closed without one, -1: timed
 * out), its text kept in buf. */
static inline int end_reply(struct wire_end *w, char *buf, size_t cap)
{
	size_t n = 0, need = 0;
	const char *body = NULL, *cl;
	ssize_t r = 0;

	while (n + 1 < cap && (!body || n < need)) {
		r = end_read(w, buf + n, cap - 1 - n);
		if (r <= 0)
			break;
		n += (size_t)r;
		buf[n] = 0;
		if (!body && (body = strstr(buf, "\r\n\r\n"))) {
			cl = strstr(buf, "Content-Length: ");
			need = (size_t)(body + 4 - buf) + (cl ? strtoul(cl + 16, NULL, 10) : 0);
		}
	}
	buf[n] = 0;
	if (n < 12)
		return r < 0 && errno == EAGAIN ? -1 : 0;
	return atoi(buf + 9);
}

/* True when the other side closes within the socket's timeout. */
static inline bool end_closed(struct wire_end *w)
{
	char c[256];
	ssize_t r;

	while ((r = end_read(w, c, sizeof(c))) > 0)
		;
	return r == 0 || w->ssl || errno == ECONNRESET;
}

/* --- a thread beside the loop --------------------------------------------------------------- */

struct lab_thread {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	int done;
};

static inline void *lab_thread_main(void *arg)
{
	struct lab_thread *t = arg;
	uint64_t one = 1;

	t->fn(t->arg);
	(void)!write(t->done, &one, sizeof(one));
	return NULL;
}

static inline void lab_thread_done(void *arg, int fd, unsigned what)
{
	struct lab_thread *t = arg;

	(void)fd;
	(void)what;
	loop_stop(t->loop, 0);
}

/* Serves until fn has returned on its thread. */
static inline int lab_beside(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct lab_thread t = { l, fn, arg, eventfd(0, EFD_CLOEXEC) };
	struct loop_fd *w = loop_watch(l, t.done, LOOP_READ, lab_thread_done, &t);
	pthread_t id;
	int r;

	if (!w || pthread_create(&id, NULL, lab_thread_main, &t))
		return -EAGAIN;
	r = loop_run(l);
	(void)pthread_join(id, NULL);
	(void)loop_fd_free(w);
	close_p(&t.done);
	return r;
}

#endif
