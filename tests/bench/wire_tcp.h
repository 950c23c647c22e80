/* SPDX-License-Identifier: Apache-2.0 */
/* wire_tcp.h - greedy TCP flows over the stage: one thread writes all of them, one reads them. */
#ifndef TREATY_BENCH_WIRE_TCP_H
#define TREATY_BENCH_WIRE_TCP_H

#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "wire.h"

#define TCP_FLOWS_MAX 512
struct tcp_set {
	int out[TCP_FLOWS_MAX], in[TCP_FLOWS_MAX];
	unsigned n;
	_Atomic bool stop;
	pthread_t writer, reader;
};

static inline int tcp_listen(const struct wire *w, uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, fd;

	ns_enter(w->rx);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, TCP_FLOWS_MAX))
		die("listen: %s", strerror(errno));
	return fd;
}

/* flows more connections through router k. */
static inline void tcp_add(struct tcp_set *s, const struct wire *w, unsigned k, uint16_t port,
			   const char *control, unsigned flows)
{
	int at = tcp_listen(w, port);
	struct sockaddr_in6 a;

	if (s->n + flows > TCP_FLOWS_MAX)
		die("more than %d flows", TCP_FLOWS_MAX);
	wire_addr(&a, k, 2, port);
	for (unsigned i = 0; i < flows; i++, s->n++) {
		int fd;

		ns_enter(w->tx);
		fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control,
			       (socklen_t)strlen(control)))
			die("%s: %s", control, strerror(errno));
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
			die("connect: %s", strerror(errno));
		s->out[s->n] = fd;
		s->in[s->n] = accept(at, NULL, NULL);
		if (s->in[s->n] < 0)
			die("accept: %s", strerror(errno));
		(void)fcntl(fd, F_SETFL, O_NONBLOCK);
		(void)fcntl(s->in[s->n], F_SETFL, O_NONBLOCK);
	}
	(void)close(at);
}

static inline void *tcp_work(struct tcp_set *s, const int *fd, short what, int cpu)
{
	static char data[65536];
	struct pollfd p[TCP_FLOWS_MAX];

	wire_pin(cpu, false);
	for (unsigned i = 0; i < s->n; i++)
		p[i] = (struct pollfd){ fd[i], what, 0 };
	while (!s->stop) {
		if (poll(p, s->n, 20) <= 0)
			continue;
		for (unsigned i = 0; i < s->n; i++) {
			ssize_t r = 0;

			if (p[i].revents && what == POLLOUT)
				r = send(fd[i], data, sizeof(data), MSG_NOSIGNAL);
			else if (p[i].revents)
				r = recv(fd[i], NULL, 1 << 20, MSG_TRUNC);
			if (r < 0 && errno != EAGAIN)
				die("tcp: %s", strerror(errno));
		}
	}
	return NULL;
}

static inline void *tcp_write(void *s)
{
	return tcp_work(s, ((struct tcp_set *)s)->out, POLLOUT, 0);
}

static inline void *tcp_read(void *s)
{
	return tcp_work(s, ((struct tcp_set *)s)->in, POLLIN, 1);
}

static inline void tcp_start(struct tcp_set *s)
{
	if (pthread_create(&s->writer, NULL, tcp_write, s) ||
	    pthread_create(&s->reader, NULL, tcp_read, s))
		die("no thread");
}

/* Ends the flows at once: what is queued is thrown away. */
static inline void tcp_stop(struct tcp_set *s)
{
	const struct linger now = { 1, 0 };

	s->stop = true;
	(void)pthread_join(s->writer, NULL);
	(void)pthread_join(s->reader, NULL);
	for (unsigned i = 0; i < s->n; i++) {
		(void)setsockopt(s->out[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		(void)close(s->out[i]);
		(void)close(s->in[i]);
	}
}

/* Smoothed round trip of a sender, microseconds. */
static inline uint32_t tcp_rtt(int fd)
{
	struct tcp_info t = { 0 };
	socklen_t len = sizeof(t);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len))
		die("TCP_INFO: %s", strerror(errno));
	return t.tcpi_rtt;
}

#endif
