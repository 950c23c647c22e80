/* SPDX-License-Identifier: Apache-2.0 */
/* wire_flow.h - UDP flows of numbered, time-stamped packets: a sending thread that keeps a pace (or
 * a number of packets under way), and a receiving thread that writes down all that came. Moments of
 * arrival are the kernel's own, taken as the packet enters the receiver's device: they do not wait
 * for the reading thread. All times are CLOCK_REALTIME nanoseconds. */
#ifndef TREATY_BENCH_WIRE_FLOW_H
#define TREATY_BENCH_WIRE_FLOW_H

#include <pthread.h>
#include <stdatomic.h>

#include "wire.h"

#define FLOW_BATCH 64

struct flow_pkt {
	uint64_t sent;
	uint32_t seq, flow;
};

struct came {
	uint64_t sent, at;
	uint64_t read; /* about when the reading thread had it */
	uint32_t seq;
	uint16_t flow;
	uint8_t tclass;
	uint8_t dev; /* ifindex, its last 8 bits */
};

/* --- sending ------------------------------------------------------------------------------- */

struct talker {
	const int *fd;         /* one connected socket a flow */
	unsigned flows, first; /* numbers first..first+flows-1 */
	size_t size;           /* bytes of payload */
	uint64_t gap_ns;       /* between two packets of the thread; the flows take turns */
	int cpu;
	bool realtime;
	unsigned window; /* not 0: no pace, but so many packets under way */
	const _Atomic uint64_t *acked;
	_Atomic uint64_t sent;
	_Atomic bool stop;
	uint64_t late; /* packets that left more than a millisecond after their moment */
	pthread_t thread;
};

static inline void talk_wait(struct talker *t, uint64_t due)
{
	const struct timespec at = { (time_t)(due / 1000000000), (long)(due % 1000000000) };
	uint64_t now = now_ns();

	if (t->window) {
		while (!t->stop && t->sent - *t->acked >= t->window)
			sleep_ns(10000);
		return;
	}
	if (due > now + 3000)
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	else if (now > due + 1000000)
		t->late++;
}

static inline void *talk_run(void *arg)
{
	struct talker *t = arg;
	char buf[2048] = { 0 };
	uint64_t from;

	wire_pin(t->cpu, t->realtime);
	from = now_ns();
	for (uint64_t n = 0; !t->stop; n++) {
		unsigned f = (unsigned)(n % t->flows);
		struct flow_pkt p = { .seq = (uint32_t)(n / t->flows), .flow = t->first + f };

		talk_wait(t, from + n * t->gap_ns);
		p.sent = clock_ns(CLOCK_REALTIME);
		memcpy(buf, &p, sizeof(p));
		/* ENOBUFS: a qdisc on the sender's own device, or its socket, is full */
		while (send(t->fd[f], buf, t->size, 0) < 0)
			if (errno != ENOBUFS && errno != EINTR)
				die("send: %s", strerror(errno));
		t->sent++;
	}
	return NULL;
}

static inline void talk_start(struct talker *t)
{
	if (pthread_create(&t->thread, NULL, talk_run, t))
		die("no thread");
}

static inline void talk_stop(struct talker *t)
{
	t->stop = true;
	(void)pthread_join(t->thread, NULL);
}

/* --- receiving ----------------------------------------------------------------------------- */

struct ear {
	int fd, cpu;
	bool realtime;
	struct came *log;
	size_t cap;
	_Atomic uint64_t n; /* also past cap: then what came is counted, not kept */
	_Atomic bool stop;
	pthread_t thread;
};

static inline void hear_one(struct ear *e, struct msghdr *m, const struct flow_pkt *p,
			    uint64_t read)
{
	struct came c = { .sent = p->sent, .read = read, .seq = p->seq, .flow = (uint16_t)p->flow };
	struct in6_pktinfo info;
	struct timespec at;
	int tclass;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h))
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_TIMESTAMPNS) {
			memcpy(&at, CMSG_DATA(h), sizeof(at));
			c.at = (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
		} else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info, CMSG_DATA(h), sizeof(info));
			c.dev = (uint8_t)info.ipi6_ifindex;
		} else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_TCLASS) {
			memcpy(&tclass, CMSG_DATA(h), sizeof(tclass));
			c.tclass = (uint8_t)tclass;
		}
	if (e->n < e->cap)
		e->log[e->n] = c;
	e->n++;
}

static inline void *hear_run(void *arg)
{
	static __thread char ctl[FLOW_BATCH][256];
	static __thread struct flow_pkt p[FLOW_BATCH];
	struct mmsghdr m[FLOW_BATCH];
	struct iovec v[FLOW_BATCH];
	struct ear *e = arg;

	wire_pin(e->cpu, e->realtime);
	while (!e->stop) {
		uint64_t read;
		int got;

		memset(m, 0, sizeof(m));
		for (size_t i = 0; i < FLOW_BATCH; i++) {
			v[i] = (struct iovec){ &p[i], sizeof(p[i]) };
			m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i],
							.msg_iovlen = 1,
							.msg_control = ctl[i],
							.msg_controllen = sizeof(ctl[i]) };
		}
		got = recvmmsg(e->fd, m, FLOW_BATCH, MSG_WAITFORONE, NULL);
		read = clock_ns(CLOCK_REALTIME);
		for (int i = 0; i < got; i++)
			hear_one(e, &m[i].msg_hdr, &p[i], read);
	}
	return NULL;
}

/* cap: packets that are kept. */
static inline void hear_start(struct ear *e, const struct wire *w, uint16_t port, int cpu,
			      bool realtime, size_t cap)
{
	const struct timeval tick = { .tv_usec = 20000 };
	int one = 1;

	*e = (struct ear){
		.cpu = cpu, .realtime = realtime, .cap = cap, .log = calloc(cap, sizeof(*e->log))
	};
	e->fd = wire_receiver(w, port);
	if (!e->log || setsockopt(e->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
	    setsockopt(e->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one)) ||
	    setsockopt(e->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one)) ||
	    setsockopt(e->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)))
		die("receiver: %s", strerror(errno));
	if (pthread_create(&e->thread, NULL, hear_run, e))
		die("no thread");
}

/* Waits until n packets have come: the sender runs. */
static inline void hear_begin(struct ear *e, uint64_t n)
{
	for (int i = 0; e->n < n; i++) {
		if (i > 5000)
			die("nothing arrives");
		sleep_ns(1000000);
	}
}

/* Waits until `sent` packets have come, or none came for half a second. */
static inline void hear_drain(struct ear *e, uint64_t sent)
{
	uint64_t last = e->n, quiet = now_ns();

	while (e->n < sent && now_ns() - quiet < 500000000) {
		sleep_ns(1000000);
		if (e->n != last)
			quiet = now_ns();
		last = e->n;
	}
}

/* The log is the caller's to free. */
static inline void hear_stop(struct ear *e)
{
	e->stop = true;
	(void)pthread_join(e->thread, NULL);
	(void)close(e->fd);
}

/* Packets that came after one that was sent later, in each of the flows 0..flows-1. */
static inline uint64_t reordered(const struct came *log, size_t n, unsigned flows)
{
	uint32_t *next = calloc(flows, sizeof(*next));
	uint64_t bad = 0;

	for (size_t i = 0; next && i < n; i++) {
		if (log[i].flow >= flows)
			continue;
		bad += log[i].seq < next[log[i].flow];
		if (log[i].seq >= next[log[i].flow])
			next[log[i].flow] = log[i].seq + 1;
	}
	free(next);
	return bad;
}

#endif
