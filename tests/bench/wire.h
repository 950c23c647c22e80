/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - the stage of the benches that send real packets: one sender's and one receiver's network
 * namespace, and any number of routers between them, each in a namespace of its own:
 *
 *   sender  t3 --- in [router 3] out --- x3  receiver
 *
 * Router k: fd00:k:1::2 (t) - fd00:k:1::1 (in) - fd00:k:2::1 (out) - fd00:k:2::2 (x). Everything
 * lives in namespaces and on a bpffs that only this process knows, so that all of it ends with the
 * process, however that ends. The sockets of all namespaces belong to one process: its threads send
 * and receive with the same clock. */
#ifndef TREATY_BENCH_WIRE_H
#define TREATY_BENCH_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/in6.h>
#include <math.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "bpf/dataplane.h"
#include "netlink/link.h"

#define WIRE_PORT  7001
#define WIRE_LABEL 7u /* what the senders' packets carry when they are asked to */
#define WIRE_PINS  "/sys/fs/bpf"

struct wire {
	int tx, rx; /* namespaces */
	struct nl *rx_nl;
};

struct router {
	unsigned k;
	int ns;
	uint32_t in, out, x; /* ifindex: of the router, of the router, in the receiver */
	bool pace;           /* its data plane will pace TCP senders */
	struct dp *dp;
};

static inline _Noreturn void vdie(const char *fmt, va_list ap)
{
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	exit(1);
}

static inline _Noreturn void printf_like(1, 2) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdie(fmt, ap);
	va_end(ap);
}

static inline void must(int r, const struct err *e, const char *what)
{
	if (r)
		die("%s: %d: %s", what, r, e && e->text[0] ? e->text : strerror(errno));
}

static inline bool printf_like(1, 2) sh_try(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd) == 0;
}

#define sh(...)                                                                     \
	do {                                                                        \
		if (!sh_try(__VA_ARGS__))                                           \
			die("%s:%d: a command failed (above)", __FILE__, __LINE__); \
	} while (0)

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline void sleep_ns(uint64_t ns)
{
	(void)nanosleep(&(struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
					    .tv_nsec = (long)(ns % 1000000000) },
			NULL);
}

/* An argument of the form NAME=NUMBER from the environment. */
static inline double knob(const char *name, double dfl)
{
	const char *v = getenv(name);

	return v && *v ? strtod(v, NULL) : dfl;
}

/* make bench FULL=1 */
static inline bool wire_full(void)
{
	return knob("FULL", 0) > 0;
}

/* This thread on one CPU. realtime: ahead of everything else there, so that the builds of a busy
 * machine are not measured; the baselines run in the same way. */
static inline void wire_pin(int cpu, bool realtime)
{
	struct sched_param p = { .sched_priority = 1 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	if (realtime)
		(void)sched_setscheduler(0, SCHED_FIFO, &p);
}

static inline void ns_enter(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		die("setns: %s", strerror(errno));
}

/* Fork children of system() open it under /proc: no CLOEXEC. */
static inline int ns_new(void)
{
	int fd;

	if (unshare(CLONE_NEWNET))
		die("unshare: %s", strerror(errno));
	fd = open("/proc/self/ns/net", O_RDONLY);
	if (fd < 0)
		die("/proc/self/ns/net: %s", strerror(errno));
	sh("ip link set lo up");
	return fd;
}

/* Skips (exit 77) without root. */
static inline void wire_open(struct wire *w, const char *bench)
{
	struct err e = { 0 };

	if (geteuid() != 0) {
		(void)fprintf(stderr, "%s: skipped, needs root\n", bench);
		exit(77);
	}
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", WIRE_PINS, "bpf", 0, "mode=0700"))
		die("%s: own mounts: %s", bench, strerror(errno));
	(void)setpriority(PRIO_PROCESS, 0, -15);
	w->tx = ns_new();
	w->rx = ns_new();
	must(nl_new(&w->rx_nl, &e), &e, "netlink");
}

/* A veth pair across two namespaces; the addresses of both ends are each other's permanent
 * neighbours: nothing but the bench's packets travels. */
static inline void wire_link(int a_ns, const char *a, const char *a_ip, int b_ns, const char *b,
			     const char *b_ip, unsigned id)
{
	ns_enter(a_ns);
	sh("ip link add %s address 02:00:00:01:%02x:%02x type veth peer name %s "
	   "address 02:00:00:02:%02x:%02x netns /proc/%d/fd/%d",
	   a, id >> 8, id & 255, b, id >> 8, id & 255, (int)getpid(), b_ns);
	sh("ip link set %s addrgenmode none && ip link set %s up && "
	   "ip -6 addr add %s/64 dev %s nodad && "
	   "ip -6 neigh add %s lladdr 02:00:00:02:%02x:%02x dev %s",
	   a, a, a_ip, a, b_ip, id >> 8, id & 255, a);
	ns_enter(b_ns);
	sh("ip link set %s addrgenmode none && ip link set %s up && "
	   "ip -6 addr add %s/64 dev %s nodad && "
	   "ip -6 neigh add %s lladdr 02:00:00:01:%02x:%02x dev %s",
	   b, b, b_ip, b, a_ip, id >> 8, id & 255, b);
}

static inline void router_new(struct wire *w, struct router *r, unsigned k)
{
	char t[16], x[16], ip[4][32];
	struct nl_link l;
	struct err e = { 0 };

	*r = (struct router){ .k = k, .ns = ns_new() };
	sh("sysctl -qw net.ipv6.conf.all.forwarding=1");
	(void)snprintf(t, sizeof(t), "t%u", k);
	(void)snprintf(x, sizeof(x), "x%u", k);
	for (int i = 0; i < 4; i++)
		(void)snprintf(ip[i], sizeof(ip[i]), "fd00:%x:%d::%d", k, 1 + i / 2,
			       i == 0 || i == 3 ? 2 : 1);
	wire_link(w->tx, t, ip[0], r->ns, "in", ip[1], k * 2);
	wire_link(r->ns, "out", ip[2], w->rx, x, ip[3], k * 2 + 1);
	sh("ip -6 route add fd00:%x:1::/64 via %s", k, ip[2]);
	ns_enter(w->tx);
	sh("ip -6 route add fd00:%x:2::/64 via %s", k, ip[1]);
	must(link_find(w->rx_nl, x, &l, &e), &e, x);
	r->x = l.ifindex;
	ns_enter(r->ns);
	r->in = if_nametoindex("in");
	r->out = if_nametoindex("out");
}

/* A data plane of the router's own: `in` is a customer's (EDGE) or a network's device. The caller
 * is in the router's namespace afterwards. */
static inline void router_dataplane(struct router *r, enum dp_role role, uint32_t labels)
{
	struct dp_config c = { .labels = labels, .pace = r->pace };
	struct dp_port p = { .role = role };
	struct err e = { 0 };
	char pins[64];

	ns_enter(r->ns);
	(void)snprintf(pins, sizeof(pins), WIRE_PINS "/r%u", r->k);
	c.pin_dir = pins;
	must(dp_open(&r->dp, &c, &e), &e, "data plane");
	p.ifindex = r->in;
	must(dp_port_attach(r->dp, &p, NULL, &e), &e, "port");
	p.ifindex = r->out;
	p.role = DP_ROLE_NODE;
	p.dir = DP_DOWN;
	must(dp_port_attach(r->dp, &p, NULL, &e), &e, "port");
}

static inline void wire_addr(struct sockaddr_in6 *a, unsigned k, unsigned net, uint16_t port)
{
	char text[64];

	*a = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
	(void)snprintf(text, sizeof(text), "fd00:%x:%u::2", k, net);
	(void)inet_pton(AF_INET6, text, &a->sin6_addr);
}

/* UDP through router k. label: the flow label that its packets carry, 0 = the kernel's choice. */
static inline int wire_sender(const struct wire *w, unsigned k, uint16_t port, uint32_t label)
{
	struct in6_flowlabel_req q = { .flr_label = htonl(label),
				       .flr_action = IPV6_FL_A_GET,
				       .flr_share = IPV6_FL_S_ANY,
				       .flr_flags = IPV6_FL_F_CREATE };
	struct sockaddr_in6 a;
	int fd, one = 1, buf = 8 << 20;

	ns_enter(w->tx);
	wire_addr(&a, k, 2, port);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (label) {
		memcpy(&q.flr_dst, &a.sin6_addr, sizeof(q.flr_dst));
		a.sin6_flowinfo = htonl(label);
		if (setsockopt(fd, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, &q, sizeof(q)) ||
		    setsockopt(fd, IPPROTO_IPV6, IPV6_FLOWINFO_SEND, &one, sizeof(one)))
			die("flow label: %s", strerror(errno));
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buf, sizeof(buf));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect: %s", strerror(errno));
	return fd;
}

static inline int wire_receiver(const struct wire *w, uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd, buf = 32 << 20;

	ns_enter(w->rx);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buf, sizeof(buf));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("bind: %s", strerror(errno));
	return fd;
}

/* Packets and bytes that have come to the receiver through router r. */
static inline struct nl_link wire_arrived(const struct wire *w, const struct router *r)
{
	struct nl_link l;
	struct err e = { 0 };

	must(link_get(w->rx_nl, r->x, &l, &e), &e, "receiver");
	return l;
}

/* --- figures ------------------------------------------------------------------------------- */

static inline int by_double(const void *a, const void *b)
{
	double x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

struct median {
	double mid, low, high; /* 95 % interval of the median, by order statistics */
};

/* Sorts v. */
static inline struct median median_of(double *v, size_t n)
{
	double half = 0.98 * sqrt((double)n), c = (double)n / 2;
	size_t lo = c > half ? (size_t)(c - half) : 0, hi = (size_t)(c + half);

	qsort(v, n, sizeof(*v), by_double);
	return (struct median){ v[n / 2], v[lo], v[hi < n ? hi : n - 1] };
}

/* Sorts v; 0 when there is none. */
static inline double percentile(double *v, size_t n, double percent)
{
	size_t i;

	if (!n)
		return 0;
	qsort(v, n, sizeof(*v), by_double);
	i = (size_t)ceil((double)n * percent / 100);
	return v[i ? i - 1 : 0];
}

#endif
