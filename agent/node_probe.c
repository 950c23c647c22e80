/* SPDX-License-Identifier: Apache-2.0 */
/* STAMP over unprivileged UDP: one sender a path, and the reflector for the other side's. A probe
 * takes its path's table by its source address, and carries a flow label of its own (0xfff00 +
 * path) where the kernel leases one, so that the network can tell it from customers' traffic. */
#include "log.h"
#include "node_int.h"
#include "stamp_core.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/in6.h>

#define PROBE_LABEL   0xfff00u
#define TIMEOUT_US    500000
#define REBIND_US     1000000
#define RECV_MAX      64 /* packets of one wake-up */
#define ALIVE_WINDOWS 3

#define KEPT_WINDOWS 32

struct sender {
	struct prober *p;
	const struct cfg_path *cfg;
	struct sockaddr_in6 to;
	int fd;
	struct loop_fd *watch;
	int64_t next_us;
	bool said;     /* the reason why it cannot probe */
	uint32_t idle; /* windows since a probe came back */
	struct path_sample sample;
	struct {
		uint32_t least_us, most_us; /* most_us 0 = no probe came back */
	} kept[KEPT_WINDOWS];               /* a ring */
	uint32_t windows;
	struct stamp_book book;
};

struct prober {
	struct node *n;
	uint16_t error;
	int reflector;
	struct loop_fd *watch;
	uint32_t senders;
	struct sender *sender[CFG_PATHS];
};

static int64_t wall_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t mono_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct packet {
	uint8_t b[STAMP_LEN_MAX + 1]; /* one more: longer packets show */
	size_t len;
	int64_t at_ns; /* the kernel's time of arrival */
	uint8_t ttl;
	struct sockaddr_storage from;
	socklen_t from_len;
	struct in6_pktinfo to; /* the address that it was sent to; ours to answer from */
};

static int recv_packet(int fd, struct packet *p)
{
	_Alignas(struct cmsghdr) char ctl[256];
	struct iovec iov = { p->b, sizeof(p->b) };
	struct msghdr m = { .msg_name = &p->from,
			    .msg_namelen = sizeof(p->from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
	struct timespec ts;
	int ttl;

	if (n < 0)
		return -errno;
	p->len = (size_t)n;
	p->from_len = m.msg_namelen;
	p->at_ns = wall_ns();
	p->ttl = 0;
	p->to = (struct in6_pktinfo){ 0 };
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
			memcpy(&ts, CMSG_DATA(c), sizeof(ts));
			p->at_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&p->to, CMSG_DATA(c), sizeof(p->to));
		} else if ((c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT) ||
			   (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)) {
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
			p->ttl = (uint8_t)ttl;
		}
	}
	return 0;
}

static void set_on(int fd, int level, int option)
{
	const int on = 1;

	(void)setsockopt(fd, level, option, &on, sizeof(on)); /* the fallback is less exact */
}

static int open_udp(const struct cfg_addr *a, uint16_t port, int *ret)
{
	struct sockaddr_in6 s6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in s4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool v6 = a->family == 6;
	auto_close int fd =
		socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	memcpy(&s6.sin6_addr, a->b, 16);
	memcpy(&s4.sin_addr, a->b, 4);
	set_on(fd, SOL_SOCKET, SO_TIMESTAMPNS);
	if (v6) {
		set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
		set_on(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
		set_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	} else {
		set_on(fd, IPPROTO_IP, IP_RECVTTL);
	}
	if (bind(fd, v6 ? (struct sockaddr *)&s6 : (struct sockaddr *)&s4,
		 v6 ? sizeof(s6) : sizeof(s4)))
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

/* --- reflector ---------------------------------------------------------------------------------
 */

/* From the address that was asked: the sender takes an answer from nobody else, and on a host with
 * many addresses the kernel would choose another. */
static void answer(int fd, const struct packet *k)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(k->to))] = { 0 };
	struct sockaddr_storage to = k->from;
	uint8_t b[sizeof(k->b)];
	struct iovec iov = { b, k->len };
	struct msghdr m = {
		.msg_name = &to, .msg_namelen = k->from_len, .msg_iov = &iov, .msg_iovlen = 1
	};
	struct in6_pktinfo from = { .ipi6_addr = k->to.ipi6_addr };

	memcpy(b, k->b, k->len);
	if (k->from.ss_family == AF_INET6 && k->to.ipi6_ifindex) {
		struct cmsghdr *c = (struct cmsghdr *)ctl;

		m.msg_control = ctl;
		m.msg_controllen = sizeof(ctl);
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(from));
		memcpy(CMSG_DATA(c), &from, sizeof(from));
	}
	(void)sendmsg(fd, &m, MSG_DONTWAIT);
}

static void on_reflect(void *arg, int fd, unsigned what)
{
	struct prober *p = arg;
	struct packet k;

	(void)what;
	for (int i = 0; i < RECV_MAX && !recv_packet(fd, &k); i++) {
		if (!stamp_reflect(k.b, k.len, k.at_ns, wall_ns(), p->error, k.ttl))
			continue;
		answer(fd, &k);
	}
}

static int open_reflector(struct prober *p, struct err *e)
{
	const struct cfg_listen *l = &p->n->s->cfg->node.reflector;
	int r;

	if (!l->port)
		return 0;
	r = open_udp(&l->addr, l->port, &p->reflector);
	if (r)
		return err_set(e, r, "node.reflector: port %u: %s", l->port, strerror(-r));
	p->watch = loop_watch(p->n->s->loop, p->reflector, LOOP_READ, on_reflect, p);
	return p->watch ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* --- senders -----------------------------------------------------------------------------------
 */

static void on_answer(void *arg, int fd, unsigned what)
{
	struct sender *s = arg;
	const struct config *c = s->p->n->s->cfg;
	struct stamp_reply r;
	struct packet k;
	uint32_t delay;

	(void)what;
	for (int i = 0; i < RECV_MAX; i++) {
		const struct sockaddr_in6 *from = (const struct sockaddr_in6 *)&k.from;
		int err = recv_packet(fd, &k);

		if (err == -EAGAIN)
			break;
		if (err || from->sin6_port != s->to.sin6_port ||
		    memcmp(&from->sin6_addr, &s->to.sin6_addr, 16) != 0 ||
		    !stamp_read(k.b, k.len, &r))
			continue;
		(void)stamp_take(&s->book, &r, k.at_ns, c->node.clock_us, &delay);
	}
}

/* A lease on the label; without one the kernel refuses to send it. */
static void lease_label(struct sender *s)
{
	struct in6_flowlabel_req q = { .flr_dst = s->to.sin6_addr,
				       .flr_label = htonl(PROBE_LABEL + s->cfg->id),
				       .flr_action = IPV6_FL_A_GET,
				       .flr_share = IPV6_FL_S_ANY,
				       .flr_flags = IPV6_FL_F_CREATE };

	if (setsockopt(s->fd, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, &q, sizeof(q))) {
		log_debug("path %u: no flow label: %s", s->cfg->id, strerror(errno));
		return;
	}
	set_on(s->fd, IPPROTO_IPV6, IPV6_FLOWINFO_SEND);
	s->to.sin6_flowinfo = q.flr_label;
}

/* The source address may come later than we do: asked again until it is there. */
static bool open_sender(struct sender *s)
{
	int r = open_udp(&s->cfg->probe_src, 0, &s->fd);

	if (!r) {
		s->watch = loop_watch(s->p->n->s->loop, s->fd, LOOP_READ, on_answer, s);
		r = s->watch ? 0 : -ENOMEM;
	}
	if (r) {
		if (!s->said)
			log_warn("path %u: probe-src: %s", s->cfg->id, strerror(-r));
		s->said = true;
		close_p(&s->fd);
		s->fd = -1;
		return false;
	}
	lease_label(s);
	return true;
}

static void on_probe(void *arg)
{
	struct sender *s = arg;
	int64_t now = mono_us(), every = s->p->n->s->cfg->node.probe_ms * 1000ll;
	uint8_t pkt[STAMP_LEN];
	struct stamp_sent q;

	if (s->fd < 0 && !open_sender(s)) {
		s->next_us = now + REBIND_US;
	} else {
		q = stamp_send(&s->book, now, wall_ns(), s->p->error);
		stamp_write(pkt, &q);
		/* what cannot be sent did not come back: the path is as good as dead */
		(void)sendto(s->fd, pkt, sizeof(pkt), MSG_DONTWAIT, (struct sockaddr *)&s->to,
			     sizeof(s->to));
		s->next_us += every;
		if (s->next_us <= now)
			s->next_us = now + every;
	}
	if (!loop_after(s->p->n->s->loop, s->next_us - now, on_probe, s))
		loop_stop(s->p->n->s->loop, -ENOMEM);
}

static int add_sender(struct prober *p, const struct cfg_path *c, struct err *e)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	p->sender[p->senders++] = s;
	s->p = p;
	s->cfg = c;
	s->fd = -1;
	s->idle = ALIVE_WINDOWS;
	s->sample.path = (uint8_t)c->id;
	s->to = (struct sockaddr_in6){ .sin6_family = AF_INET6,
				       .sin6_port = htons((uint16_t)c->probe_port) };
	memcpy(&s->to.sin6_addr, c->probe_dst.b, 16);
	s->next_us = mono_us();
	return loop_after(p->n->s->loop, 0, on_probe, s) ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int prober_new(struct prober **ret, struct node *n, struct err *e)
{
	struct prober *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->n = n;
	p->reflector = -1;
	p->error = stamp_error(n->s->cfg->node.clock_us);
	r = open_reflector(p, e);
	for (uint32_t i = 0; !r && i < n->s->cfg->paths; i++) {
		const struct cfg_path *c = &n->s->cfg->path[i];

		if (c->probe_src.family && c->probe_dst.family)
			r = add_sender(p, c, e);
	}
	if (r) {
		p = prober_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct prober *prober_free(struct prober *p)
{
	if (!p)
		return NULL;
	for (uint32_t i = 0; i < p->senders; i++) {
		p->sender[i]->watch = loop_fd_free(p->sender[i]->watch);
		close_p(&p->sender[i]->fd);
		free(p->sender[i]);
	}
	p->watch = loop_fd_free(p->watch);
	close_p(&p->reflector);
	free(p);
	return NULL;
}

/* --- windows -----------------------------------------------------------------------------------
 */

static void keep(struct sender *s)
{
	uint32_t at = s->windows++ % KEPT_WINDOWS, most = s->sample.delay_max.us;

	s->kept[at].most_us = s->sample.alive ? most : 0;
	s->kept[at].least_us = most > s->sample.jitter.us ? most - s->sample.jitter.us : 0;
}

void prober_spreads(const struct prober *p, struct enforcer_spreads *ret)
{
	for (uint32_t i = 0; i < p->senders && ret->n < PATHS_MAX; i++) {
		const struct sender *s = p->sender[i];
		uint32_t least = UINT32_MAX, most = 0;

		for (uint32_t k = 0; k < KEPT_WINDOWS; k++) {
			if (!s->kept[k].most_us)
				continue;
			least = s->kept[k].least_us < least ? s->kept[k].least_us : least;
			most = s->kept[k].most_us > most ? s->kept[k].most_us : most;
		}
		if (!most)
			continue;
		ret->of[ret->n].path = s->cfg->id;
		ret->of[ret->n].least_us = least;
		ret->of[ret->n++].most_us = most;
	}
}

void prober_window(struct prober *p)
{
	int64_t now = mono_us();

	for (uint32_t i = 0; i < p->senders; i++) {
		struct sender *s = p->sender[i];
		int64_t timeout = 4ll * s->cfg->delay.us;

		stamp_expire(&s->book, now, timeout > TIMEOUT_US ? timeout : TIMEOUT_US);
		stamp_close(&s->book, &s->sample);
		s->sample.at.us = now;
		keep(s);
		s->idle = s->sample.alive ? 0 : s->idle + (s->idle < ALIVE_WINDOWS);
		/* One silent window is an agent at the far end that was busy with a plan, not a
		 * dead path: nothing would be sold on any path to it meanwhile. */
		s->sample.alive = s->idle < ALIVE_WINDOWS;
	}
}

static const struct sender *sender_of(const struct prober *p, uint8_t path)
{
	for (uint32_t i = 0; i < p->senders; i++)
		if (p->sender[i]->cfg->id == path)
			return p->sender[i];
	return NULL;
}

bool prober_has(const struct prober *p, uint8_t path)
{
	return sender_of(p, path) != NULL;
}

bool prober_alive(const struct prober *p, uint8_t path)
{
	const struct sender *s = sender_of(p, path);

	return s && (s->idle < ALIVE_WINDOWS || s->book.w.back > 0);
}

int prober_sample(const struct prober *p, uint8_t path, struct path_sample *ret)
{
	const struct sender *s = sender_of(p, path);

	if (!s)
		return -ENOENT;
	*ret = s->sample;
	return 0;
}
