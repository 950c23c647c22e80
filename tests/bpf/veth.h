/* SPDX-License-Identifier: Apache-2.0 */
/* veth.h - test_attach.c's stage: a veth pair, packet sockets on both ends, a data plane with one
 * label and one rule. */
#ifndef TREATY_TESTS_BPF_VETH_H
#define TREATY_TESTS_BPF_VETH_H

#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "pkt.h"

#define L     21u
#define BATCH 100

static char bpffs[64], pins[80];
static enum dp_hook hook;
static uint32_t v0, v1;
static int to_v0 = -1, to_v1 = -1; /* packet sockets on v1 and v0: what one sends the other gets */

static void sh(const char *cmd)
{
	if (system(cmd)) {
		print_error("failed: %s\n", cmd);
		fail();
	}
}

static int packet_socket(uint32_t ifindex)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static inline int setup(void **state)
{
	(void)state;
	sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	v0 = if_nametoindex("v0");
	v1 = if_nametoindex("v1");
	to_v0 = packet_socket(v1);
	to_v1 = packet_socket(v0);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	(void)close(to_v0);
	(void)close(to_v1);
	(void)system("ip link del v0 2>/dev/null");
	(void)dp_wipe(pins, NULL);
	(void)rmdir(pins);
	return 0;
}

static struct dp *reopen(void)
{
	struct dp_config c = { .pin_dir = pins, .labels = 64, .flows = 1024, .hook = hook };
	struct err e = { 0 };
	struct dp *d = NULL;

	must(dp_open(&d, &c, &e), &e);
	return d;
}

static void attach(struct dp *d, enum dp_role role)
{
	struct dp_port p = { .ifindex = v0, .role = role };
	struct err e = { 0 };

	must(dp_port_attach(d, &p, NULL, &e), &e);
}

/* Opens, one label and one rule (port 7001), v0 is a customer's device. */
static inline struct dp *start(void)
{
	const struct dp_label l = { .label = L, .valid_until = { INT64_MAX }, .dscp = 34 };
	const struct dp_rule r = {
		.id = 1, .dscp = DP_DSCP_ANY, .dport_min = 7001, .dport_max = 7001, .label = L
	};
	struct dp *d = reopen();

	label_set(d, &l);
	rules_set(d, &r, 1);
	assert_int_equal(dp_steer_set(d, L, DP_UP, 4, NULL, NULL), 0);
	attach(d, DP_ROLE_EDGE);
	return d;
}

static void blast(int fd, const struct pkt *p, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(send(fd, p->b, p->n, 0), (ssize_t)p->n);
}

static inline void send_flow(int n)
{
	struct pkt p;

	udp6(&p, 0, 0, 7001);
	blast(to_v0, &p, n);
}

/* Counters arrive with the softirq: wait for them, two seconds at most. */
static inline void await_rx(struct dp *d, uint64_t want)
{
	struct dp_count c = { 0 };

	for (int i = 0; i < 200; i++) {
		assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
		if (c.rx_packets >= want)
			break;
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	assert_int_equal(c.rx_packets, want);
}

static inline void host_state(char *to, size_t cap)
{
	FILE *f = popen("tc qdisc show dev v0; tc filter show dev v0 ingress;"
			"tc filter show dev v0 egress; ip -d link show dev v0",
			"r");
	size_t n;

	assert_non_null(f);
	n = fread(to, 1, cap - 1, f);
	to[n] = 0;
	assert_int_equal(pclose(f), 0);
	assert_true(n > 0 && n < cap - 1);
}

/* --- all of a program's tests, by clsact and where there is TCX by that too --------------------
 */

static inline int stage_enter(void)
{
	(void)snprintf(bpffs, sizeof(bpffs), "/tmp/treaty-bpf-XXXXXX");
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(bpffs) ||
	    mount("bpf", bpffs, "bpf", 0, NULL))
		return -1;
	(void)snprintf(pins, sizeof(pins), "%s/dp", bpffs);
	/* only our own packets */
	return system("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
}

static inline int stage_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
	struct dp_features f;
	struct dp *d;
	int bad;

	if (geteuid() || stage_enter()) {
		(void)fprintf(stderr, "needs root: own namespaces and a bpffs\n");
		return 1;
	}
	d = offline_open(64);
	dp_features(d, &f);
	d = dp_close(d);
	hook = DP_HOOK_CLSACT;
	print_message("%s, clsact\n", name);
	bad = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
	hook = DP_HOOK_TCX;
	print_message("%s, %s\n", name, f.tcx ? "TCX" : "no TCX here");
	if (f.tcx)
		bad += _cmocka_run_group_tests(name, tests, n, NULL, NULL);
	(void)umount(bpffs);
	(void)rmdir(bpffs);
	return bad;
}

#endif
