/* SPDX-License-Identifier: Apache-2.0 */
/* netlink_ns.h - the bench of the netlink oracle tests: a namespace of our own with two veth ends,
 * iproute2 as a witness, and the two assertions. */
#ifndef TREATY_TESTS_NETLINK_NS_H
#define TREATY_TESTS_NETLINK_NS_H

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <cmocka.h>
#include <jansson.h>

#include "netlink/nl.h"
#include "netlink/obj.h"

#define MBIT 1000000ull
#define GBIT 1000000000ull

static struct nl *N;
static struct err E;
static uint32_t VA, VB;

/* Runs a command, prints it, returns all it said (caller frees); the exit status must be 0. */
static inline char *run_v(const char *fmt, va_list ap)
{
	char cmd[512], *out = NULL;
	size_t len = 0, got;
	FILE *p, *m = open_memstream(&out, &len);
	char buf[4096];

	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	print_message("CMD: %s\n", cmd);
	p = popen(cmd, "re");
	assert_non_null(p);
	while ((got = fread(buf, 1, sizeof(buf), p)) > 0)
		(void)fwrite(buf, 1, got, m);
	assert_int_equal(pclose(p), 0);
	(void)fclose(m);
	return out;
}

static inline char *printf_like(1, 2) run(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = run_v(fmt, ap);
	va_end(ap);
	return s;
}

static inline void printf_like(1, 2) sh(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	free(run_v(fmt, ap));
	va_end(ap);
}

static inline json_t *printf_like(1, 2) js(const char *fmt, ...)
{
	va_list ap;
	json_t *j;
	char *s;

	va_start(ap, fmt);
	s = run_v(fmt, ap);
	va_end(ap);
	j = json_loads(s, 0, NULL);
	free(s);
	assert_non_null(j);
	return j;
}

#define OK(call)                                                                         \
	do {                                                                             \
		int r_;                                                                  \
		E.code = 0;                                                              \
		r_ = (call);                                                             \
		if (r_)                                                                  \
			fail_msg("%s: %d (%s)", #call, r_, E.code ? E.text : "no text"); \
	} while (0)

#define REFUSED(call, want)                               \
	do {                                              \
		E.code = 0;                               \
		assert_int_equal((call), (want));         \
		assert_int_equal(E.code, (want));         \
		print_message("  refused: %s\n", E.text); \
	} while (0)

/* "10.0.0.0/8", "fd00::1". */
static inline struct nl_ip ip(const char *s)
{
	struct nl_ip a = { 0 };
	char buf[64];
	char *slash;

	assert_true(str_set(buf, s));
	slash = strchr(buf, '/');
	if (slash)
		*slash = 0;
	a.family = strchr(buf, ':') ? NL_V6 : NL_V4;
	assert_int_equal(inet_pton(a.family == NL_V4 ? AF_INET : AF_INET6, buf, a.b), 1);
	a.len = slash ? (uint8_t)atoi(slash + 1) : a.family == NL_V4 ? 32 : 128;
	return a;
}

/* All that could be ours, as text. */
static inline char *world(void)
{
	return run("ip -d route show table all; ip -6 -d route show table all; ip rule; "
		   "ip -6 rule; tc -d qdisc show | sed 's/direct_packets_stat [0-9]*//'; tc -d "
		   "class show dev va");
}

/* A fresh network and mount namespace with va (fd09::1, 10.9.0.1) and vb; the handle opens in it.
 * No link-local addresses: their routes would come after duplicate detection, in the midst of a
 * test. False: the caller is not root. */
static inline bool enter_ns(void)
{
	if (geteuid() != 0)
		return false;
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		perror("unshare");
		exit(1);
	}
	sh("ip link add va address 02:00:00:00:00:0a type veth peer name vb address "
	   "02:00:00:00:00:0b && ip link set va addrgenmode none && "
	   "ip link set vb addrgenmode none && ip link set lo up && ip link set va up && ip link "
	   "set vb up");
	sh("ip addr add 10.9.0.1/24 dev va && ip addr add fd09::1/64 dev va nodad");
	sh("ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:0b dev va && "
	   "ip neigh add fd09::2 lladdr 02:00:00:00:00:0b dev va");
	/* The carrier is told by the kernel's link watch, up to a second later, and with it come
	 * the multicast routes of both ends. */
	sh("for i in $(seq 500); do "
	   "[ \"$(ip -6 route show table all | grep -c '^multicast ff00::/8 dev v')\" = 2 ] "
	   "&& [ \"$(ip -o link | grep -c 'state UP')\" = 2 ] && exit 0; sleep 0.01; done; exit 1");
	VA = if_nametoindex("va");
	VB = if_nametoindex("vb");
	if (nl_new(&N, &E) != 0) {
		print_error("%s\n", E.text);
		exit(1);
	}
	return true;
}

#endif
