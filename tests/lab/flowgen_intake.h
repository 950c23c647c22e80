/* SPDX-License-Identifier: Apache-2.0 */
/* flowgen_intake.h - the receiver's packet side: one thread reads all sockets. Arrival times are
 * the kernel's. */
#ifndef LAB_FLOWGEN_INTAKE_H
#define LAB_FLOWGEN_INTAKE_H

#include "flowgen.h"

enum { MAX_CLASSES = 64, FLOW_SLOTS = 8192, MAX_SOCKS = 512, SEEN_BITS = 65536, BATCH = 64 };

struct win {
	uint64_t rx, dup, reordered, extent, l2_bytes, payload, first, last, first_len, gap,
		owd_min, owd_max;
	uint32_t hist[FG_BUCKETS];
};

struct rclass {
	char name[FG_CLASS];
	uint32_t sender;
	bool tcp;
	uint64_t bytes, first, last; /* tcp: payload */
	struct win *win[FG_EPOCHS];
};

struct rflow {
	struct rclass *class;
	uint32_t sender;
	uint16_t id;
	bool used, ended;
	uint64_t top; /* highest number seen + 1 */
	uint64_t rx, dup, reordered, extent, sent, last, gap;
	uint64_t seen[SEEN_BITS / 64];
};

struct receiver {
	struct rclass classes[MAX_CLASSES];
	struct rflow *flows; /* FLOW_SLOTS, touched only where used */
	size_t nclasses, nflows;
	struct pollfd socks[MAX_SOCKS];
	struct rclass *conn[MAX_SOCKS]; /* tcp connections */
	size_t nsocks, nfixed, nudp;
	uint64_t strange, overflow, real_offset;
	struct {
		char name[32];
		uint64_t bytes[MAX_CLASSES], ns;
	} marks[FG_NAMES];
	size_t nmarks;
	pthread_mutex_t lock;
};

static volatile sig_atomic_t recv_stop;

static void on_recv_stop(int sig)
{
	(void)sig;
	recv_stop = 1;
}

static struct rclass *class_of(struct receiver *r, const struct fg_hdr *h, bool tcp)
{
	struct rclass *c;

	for (size_t i = 0; i < r->nclasses; i++) {
		c = &r->classes[i];
		if (c->sender == h->sender && c->tcp == tcp && !memcmp(c->name, h->class, FG_CLASS))
			return c;
	}
	if (r->nclasses == MAX_CLASSES || h->class[FG_CLASS - 1])
		return NULL;
	c = &r->classes[r->nclasses++];
	c->sender = h->sender;
	c->tcp = tcp;
	memcpy(c->name, h->class, FG_CLASS);
	return c;
}

static struct rflow *flow_of(struct receiver *r, const struct fg_hdr *h)
{
	size_t at = (h->sender * 2654435761U + h->flow) % FLOW_SLOTS;

	for (; r->flows[at].used; at = (at + 1) % FLOW_SLOTS)
		if (r->flows[at].sender == h->sender && r->flows[at].id == h->flow)
			return &r->flows[at];
	r->flows[at].class = class_of(r, h, false);
	if (r->nflows >= FLOW_SLOTS / 2 || !r->flows[at].class)
		return NULL;
	r->nflows++;
	r->flows[at].used = true;
	r->flows[at].sender = h->sender;
	r->flows[at].id = h->flow;
	return &r->flows[at];
}

/* --- one packet ---------------------------------------------------------------------------- */
/* New (true), or a duplicate. What is more than SEEN_BITS late counts as a duplicate: never as
 * received. */
static bool note_seq(struct rflow *f, uint64_t seq)
{
	if (seq >= f->top) {
		uint64_t n = seq - f->top + 1;

		for (uint64_t i = 0; i < n && i < SEEN_BITS; i++)
			f->seen[((f->top + i) % SEEN_BITS) / 64] &= ~(1ULL << ((f->top + i) % 64));
		f->top = seq + 1;
	} else if (f->top - seq > SEEN_BITS ||
		   f->seen[(seq % SEEN_BITS) / 64] & 1ULL << (seq % 64)) {
		return false;
	}
	f->seen[(seq % SEEN_BITS) / 64] |= 1ULL << (seq % 64);
	return true;
}

static void note_delay(struct win *w, const struct fg_hdr *h, uint64_t now, uint64_t l2)
{
	uint64_t owd = now > h->ns ? now - h->ns : 0;

	if (!w->rx || owd < w->owd_min)
		w->owd_min = owd;
	if (owd > w->owd_max)
		w->owd_max = owd;
	w->hist[fg_bucket(owd)]++;
	if (!w->rx) {
		w->first = now;
		w->first_len = l2;
	}
	w->last = now > w->last ? now : w->last;
	w->rx++;
	w->l2_bytes += l2;
}

static void take(struct receiver *r, const struct fg_hdr *h, size_t len, uint64_t now, bool v4)
{
	struct rflow *f = flow_of(r, h);
	bool late;
	struct win *w;

	if (f && h->kind == FG_END) {
		f->ended = true;
		f->sent = h->seq;
		return;
	}
	if (!f || h->kind != FG_DATA || h->epoch >= FG_EPOCHS) {
		r->strange++;
		return;
	}
	w = f->class->win[h->epoch];
	if (!w)
		w = f->class->win[h->epoch] = calloc(1, sizeof(*w));
	if (!w)
		lab_die("out of memory");
	late = h->seq < f->top;
	if (late && f->top - 1 - h->seq > f->extent)
		f->extent = f->top - 1 - h->seq;
	if (late && f->top - 1 - h->seq > w->extent)
		w->extent = f->top - 1 - h->seq;
	if (!note_seq(f, h->seq)) {
		f->dup++;
		w->dup++;
		return;
	}
	f->reordered += late;
	w->reordered += late;
	f->rx++;
	w->payload += len;
	if (f->last && now > f->last && now - f->last > f->gap)
		f->gap = now - f->last;
	if (f->last && now > f->last && now - f->last > w->gap)
		w->gap = now - f->last;
	f->last = now;
	note_delay(w, h, now, len + fg_overhead(v4));
}

/* --- sockets ------------------------------------------------------------------------------- */
static uint64_t arrival(struct receiver *r, struct msghdr *m)
{
	uint64_t ns = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct timespec t;
		uint32_t lost;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&t, CMSG_DATA(c), sizeof(t));
			ns = (uint64_t)t.tv_sec * LAB_NS_PER_S + (uint64_t)t.tv_nsec -
			     r->real_offset;
		} else if (c->cmsg_type == SO_RXQ_OVFL) {
			memcpy(&lost, CMSG_DATA(c), sizeof(lost));
			if (lost > r->overflow)
				r->overflow = lost;
		}
	}
	return ns ? ns : lab_now(CLOCK_MONOTONIC);
}

/* True: there may be more. */
static bool read_udp(struct receiver *r, int fd)
{
	struct fg_hdr h[BATCH];
	struct sockaddr_in6 from[BATCH];
	uint64_t control[BATCH][16];
	struct iovec v[BATCH];
	struct mmsghdr m[BATCH] = { 0 };
	int n;

	for (size_t i = 0; i < BATCH; i++) {
		v[i] = (struct iovec){ &h[i], sizeof(h[i]) };
		m[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
						.msg_namelen = sizeof(from[i]),
						.msg_iov = &v[i],
						.msg_iovlen = 1,
						.msg_control = control[i],
						.msg_controllen = sizeof(control[i]) };
	}
	n = recvmmsg(fd, m, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
	if (n <= 0)
		return false;
	/* The kernel stamps with the wall clock; the packets carry the monotonic one. */
	r->real_offset = lab_now(CLOCK_REALTIME) - lab_now(CLOCK_MONOTONIC);
	for (int i = 0; i < n; i++) {
		uint64_t now = arrival(r, &m[i].msg_hdr);

		if (m[i].msg_len < sizeof(h[i]) || h[i].magic != FG_MAGIC)
			r->strange++;
		else
			take(r, &h[i], m[i].msg_len, now, IN6_IS_ADDR_V4MAPPED(&from[i].sin6_addr));
	}
	return n == BATCH;
}

static void drop_conn(struct receiver *r, size_t i)
{
	close(r->socks[i].fd);
	r->nsocks--;
	r->socks[i] = r->socks[r->nsocks];
	r->conn[i] = r->conn[r->nsocks];
}

/* False: the connection has ended. */
static bool read_tcp(struct receiver *r, size_t i)
{
	static uint8_t buf[262144];
	uint64_t now = lab_now(CLOCK_MONOTONIC);
	struct fg_hdr h;
	ssize_t n;

	if (!r->conn[i]) {
		n = recv(r->socks[i].fd, &h, sizeof(h), MSG_PEEK | MSG_DONTWAIT);
		if (n < (ssize_t)sizeof(h))
			return n > 0 || (n < 0 && errno == EAGAIN);
		if (h.magic != FG_MAGIC || h.kind != FG_STREAM)
			return false;
		r->conn[i] = class_of(r, &h, true);
		if (!r->conn[i])
			return false;
		if (!r->conn[i]->first)
			r->conn[i]->first = now;
	}
	n = recv(r->socks[i].fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n > 0) {
		r->conn[i]->bytes += (uint64_t)n;
		r->conn[i]->last = now;
	}
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static void open_port(struct receiver *r, uint16_t port, bool tcp)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	int on = 1, off = 0, buf = 16 << 20;

	if (r->nsocks == MAX_SOCKS / 2)
		lab_die("--port: at most %d", MAX_SOCKS / 4);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buf, sizeof(buf));
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || (tcp && listen(fd, 256)))
		lab_die("port %u: %s", port, strerror(errno));
	r->socks[r->nsocks++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	r->nfixed = r->nsocks;
	r->nudp += !tcp;
}

static void accept_one(struct receiver *r, int fd)
{
	int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (c >= 0 && r->nsocks == MAX_SOCKS) {
		close(c);
	} else if (c >= 0) {
		r->conn[r->nsocks] = NULL;
		r->socks[r->nsocks++] = (struct pollfd){ .fd = c, .events = POLLIN };
	}
}

static void serve_ready(struct receiver *r)
{
	for (size_t i = r->nsocks; i-- > 0;) {
		if (!r->socks[i].revents)
			continue;
		if (i >= r->nfixed) {
			if (!read_tcp(r, i))
				drop_conn(r, i);
		} else if (i < r->nudp) {
			for (int k = 0; k < 16 && read_udp(r, r->socks[i].fd); k++)
				;
		} else {
			accept_one(r, r->socks[i].fd);
		}
	}
}

#endif
