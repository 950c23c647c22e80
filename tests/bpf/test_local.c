/* SPDX-License-Identifier: Apache-2.0 */
/* test_local.c - senders on this host: real sockets in cgroups of our own, over a veth pair to a
 * second network namespace, and what their packets look like there. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "pkt.h"
#include "cgroup.h"

#define L     21u
#define L2    22u
#define DSCP  34u
#define PLAIN 10u /* what the sockets ask for themselves */
#define ECN   2u

static char bpffs[64], pins[80], root[128], group[150], child[159];
static int home = -1, peer = -1, tap = -1; /* namespaces; a packet socket on the far end */
static uint32_t v0;
static enum dp_hook hook;
static struct dp *d;
static uint16_t port = 7000;

static void enter(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

/* Made in that cgroup; the process is elsewhere afterwards. */
static int sock_in(const char *dir, int family, int type)
{
	int fd, tos = (int)(PLAIN << 2 | ECN);

	cgroup_join(dir);
	fd = socket(family, type | SOCK_CLOEXEC, 0);
	cgroup_join(root);
	assert_true(fd >= 0);
	if (family == AF_INET)
		assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)), 0);
	else
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos)), 0);
	return fd;
}

static socklen_t far_end(int family, uint16_t at, struct sockaddr_storage *a)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;

	memset(a, 0, sizeof(*a));
	if (family == AF_INET6) {
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(at) };
		assert_int_equal(inet_pton(AF_INET6, "fd10::2", &v6->sin6_addr), 1);
		return sizeof(*v6);
	}
	*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(at) };
	assert_int_equal(inet_pton(AF_INET, "10.1.0.2", &v4->sin_addr), 1);
	return sizeof(*v4);
}

/* --- what arrives ----------------------------------------------------------------------------- */

struct seen {
	uint32_t label, dscp, ecn;
	bool sum_ok;
};

static bool sum_right(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	return ((sum & 0xffff) + (sum >> 16)) == 0xffff;
}

static bool is_for(const uint8_t *p, uint16_t to, struct seen *s)
{
	const uint8_t *ip = p + 14, *l4;
	uint32_t w = (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];

	if (p[12] == 0x86 && p[13] == 0xdd) {
		*s = (struct seen){ w & 0xfffff, (w >> 22) & 63, (w >> 20) & 3, true };
		l4 = ip + 40;
	} else {
		*s = (struct seen){ 0, (w >> 18) & 63, (w >> 16) & 3, sum_right(ip) };
		l4 = ip + 20;
	}
	return (p[12] == 0x86 || p[12] == 0x08) && (l4[2] << 8 | l4[3]) == to;
}

/* The next packet to that port; two seconds at most. */
static bool arrives(uint16_t to, struct seen *s, int wait_ms)
{
	struct pollfd w = { .fd = tap, .events = POLLIN };
	static uint8_t b[70000];

	while (poll(&w, 1, wait_ms) == 1) {
		ssize_t n = recv(tap, b, sizeof(b), 0);

		if (n >= 14 + 24 && is_for(b, to, s))
			return true;
	}
	return false;
}

static void send_one(int fd, int family, uint16_t to)
{
	struct sockaddr_storage a;
	socklen_t len = far_end(family, to, &a);
	char b[100] = { 0 };

	assert_int_equal(sendto(fd, b, sizeof(b), 0, (struct sockaddr *)&a, len), sizeof(b));
}

static void looks(const struct seen *s, int family, uint32_t label)
{
	assert_int_equal(s->dscp, label ? DSCP : PLAIN);
	assert_int_equal(s->ecn, ECN);
	assert_true(s->sum_ok);
	if (family == AF_INET6 && label)
		assert_int_equal(s->label, label);
	else
		assert_true(s->label != L && s->label != L2);
}

static void datagram(const char *from, int family, uint32_t mark, uint32_t label)
{
	int fd = sock_in(from, family, SOCK_DGRAM);
	uint16_t to = ++port;
	struct seen s;

	if (mark)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	send_one(fd, family, to);
	assert_true(arrives(to, &s, 2000));
	looks(&s, family, label);
	(void)close(fd);
}

static void datagrams(const char *from, uint32_t mark, uint32_t label)
{
	datagram(from, AF_INET, mark, label);
	datagram(from, AF_INET6, mark, label);
}

/* --- the stage -------------------------------------------------------------------------------- */

static void label(uint32_t n, int64_t until, uint32_t dscp)
{
	struct dp_label l = { .label = n, .valid_until = { until }, .dscp = (uint8_t)dscp };
	struct err e = { 0 };

	must(dp_label_set(d, &l, NULL, &e), &e);
}

static void rule(uint32_t id, const char *dir, uint32_t to)
{
	struct dp_local l = { .rule = id, .label = to, .class_id = 3 };
	struct err e = { 0 };

	assert_true(str_set(l.path, dir));
	must(dp_local_set(d, &l, NULL, &e), &e);
}

static void open_plane(void)
{
	const struct dp_config c = { .pin_dir = pins, .labels = 64, .flows = 64, .hook = hook };
	struct err e = { 0 };

	must(dp_open(&d, &c, &e), &e);
}

static int setup(void **state)
{
	const struct dp_port p = { .ifindex = v0, .role = DP_ROLE_NODE };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(mkdir(group, 0755), 0);
	assert_int_equal(mkdir(child, 0755), 0);
	open_plane();
	must(dp_port_attach(d, &p, NULL, &e), &e);
	label(L, INT64_MAX, DSCP);
	return 0;
}

static int teardown(void **state)
{
	struct err e = { 0 };

	(void)state;
	if (d)
		must(dp_remove(&d, &e), &e);
	(void)rmdir(child);
	(void)rmdir(group);
	return access(pins, F_OK) ? 0 : -1;
}

static uint64_t rx(uint32_t n)
{
	struct dp_count c, down;

	assert_int_equal(dp_counters_get(d, n, DP_UP, &c), 0);
	assert_int_equal(dp_counters_get(d, n, DP_DOWN, &down), 0);
	assert_int_equal(down.rx_packets + down.tx_packets, 0);
	assert_int_equal(c.rx_packets, c.tx_packets + c.drop_packets);
	return c.rx_packets;
}

/* --- the cases -------------------------------------------------------------------------------- */

static void knows_a_cgroup_and_its_children(void **state)
{
	struct dp_class_count k;

	(void)state;
	datagrams(group, 0, 0);
	rule(1, group, L);
	datagrams(group, 0, L);
	datagrams(child, 0, L);
	datagrams(root, 0, 0);
	assert_int_equal(rx(L), 4);
	assert_int_equal(dp_class_get(d, 3, &k), 0);
	assert_int_equal(k.packets, 4);
	assert_int_equal(k.labelled, 4);
	dp_local_del(d, 1);
	dp_local_del(d, 1);
	datagrams(group, 0, 0);
	assert_int_equal(rx(L), 4);
}

static void nearest_cgroup_holds(void **state)
{
	struct dp_class_count k;

	(void)state;
	label(L2, INT64_MAX, DSCP);
	rule(1, group, L);
	rule(2, child, L2);
	datagrams(child, 0, L2);
	datagrams(group, 0, L);
	rule(2, child, 0); /* watched, no agreement */
	datagrams(child, 0, 0);
	assert_int_equal(dp_class_get(d, 3, &k), 0);
	assert_int_equal(k.packets, 6);
	assert_int_equal(k.labelled, 4);
}

static void stream(const char *from, int family, uint32_t want)
{
	int at, in, fd = sock_in(from, family, SOCK_STREAM), one = 1;
	static char b[200000];
	struct sockaddr_storage a;
	socklen_t len = far_end(family, ++port, &a);
	struct seen s;
	size_t got = 0;

	enter(peer);
	at = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enter(home);
	assert_int_equal(setsockopt(at, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(at, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(at, 1), 0);
	while (recv(tap, b, sizeof(b), MSG_DONTWAIT) > 0) /* room for the SYN */
		continue;
	assert_int_equal(connect(fd, (struct sockaddr *)&a, len), 0);
	in = accept(at, NULL, NULL);
	assert_true(in >= 0);
	assert_true(arrives(port, &s, 2000)); /* the SYN: TCP sets its ECN itself */
	assert_int_equal(s.dscp, want ? DSCP : PLAIN);
	assert_true(s.sum_ok);
	if (family == AF_INET6)
		assert_int_equal(s.label == L, want != 0);
	for (size_t sent = 0; got < sizeof(b);) {
		ssize_t n = sent < sizeof(b) ? send(fd, b, sizeof(b) - sent, MSG_DONTWAIT) : 0;

		sent += n > 0 ? (size_t)n : 0;
		n = recv(in, b, sizeof(b), MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
		if (!arrives(port, &s, 1))
			continue;
		assert_int_equal(s.dscp, want ? DSCP : PLAIN);
		assert_true(s.sum_ok);
		if (family == AF_INET6)
			assert_int_equal(s.label == L, want != 0);
	}
	(void)close(in);
	(void)close(at);
	(void)close(fd);
}

static void tcp_too(void **state)
{
	static const int family[] = { AF_INET, AF_INET6 };

	(void)state;
	rule(1, group, L);
	for (size_t i = 0; i < ARRAY_LEN(family); i++) {
		struct dp_count c;
		uint64_t was = rx(L);

		stream(root, family[i], 0);
		assert_int_equal(rx(L), was);
		stream(child, family[i], L);
		assert_true(rx(L) > was + 200000 / 1500); /* as many as on the wire */
		assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
		assert_int_equal(c.rx_bytes, c.tx_bytes);
	}
}

static void knows_a_mark(void **state)
{
	(void)state;
	datagrams(root, L, L);
	datagrams(root, 3u << DP_MARK_PATH | L, L);
	datagrams(root, L2, 0); /* no such label: somebody else's mark */
	assert_int_equal(rx(L), 4);
	label(L2, INT64_MAX, DSCP);
	rule(1, group, L);
	datagrams(group, L2, L2); /* the socket's own word goes first */
}

static void expires_and_is_bound(void **state)
{
	struct dp_label l = { .label = L,
			      .valid_until = { INT64_MAX },
			      .dscp = DSCP,
			      .dir[0] = { .src = { .addr = { 0xfd, 0x77 }, .len = 16 },
					  .src_family = 6,
					  .bind_ifindex = 99 } };
	struct err e = { 0 };
	struct dp_count c;

	(void)state;
	rule(1, group, L);
	label(L, 1, DSCP);
	datagrams(group, 0, 0);
	datagrams(root, L, 0);
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	assert_int_equal(c.expired, 4);
	must(dp_label_set(d, &l, NULL, &e), &e);
	datagrams(group, 0, 0);
	datagrams(root, L, 0);
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	assert_int_equal(c.binding, 4);
	assert_int_equal(c.rx_packets, 0);
	l.dir[0].src.addr[1] = 0x10; /* ours; the device it is bound to says nothing here */
	must(dp_label_set(d, &l, NULL, &e), &e);
	datagram(group, AF_INET6, 0, L);
	must(dp_label_del(d, L, NULL, &e), &e);
	datagrams(group, 0, 0);
}

static void is_metered(void **state)
{
	struct dp_label l = { .label = L,
			      .valid_until = { INT64_MAX },
			      .dscp = DSCP,
			      .police_edge = true,
			      .dir[0] = { .rate = { 8000 } } };
	int fd = sock_in(group, AF_INET, SOCK_DGRAM);
	struct err e = { 0 };
	struct dp_count c;

	(void)state;
	must(dp_label_set(d, &l, NULL, &e), &e);
	rule(1, group, L);
	for (int i = 0; i < 50; i++)
		send_one(fd, AF_INET, 6999);
	(void)close(fd);
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	assert_true(c.rx_packets > 0 && c.drop_packets > 0);
	assert_int_equal(c.rx_packets + c.drop_packets, 50);
	assert_int_equal(c.tx_packets, c.rx_packets);
}

static void waits_for_its_cgroup(void **state)
{
	struct dp_local l;

	(void)state;
	rule(1, child, L);
	assert_int_equal(dp_local_get(d, 1, &l), 0);
	assert_true(l.stands);
	assert_int_equal(rmdir(child), 0);
	assert_int_equal(dp_local_get(d, 1, &l), 0);
	assert_false(l.stands);
	assert_int_equal(dp_locals_renew(d), 1);
	assert_int_equal(mkdir(child, 0755), 0);
	datagrams(child, 0, 0);
	assert_int_equal(dp_locals_renew(d), 0);
	datagrams(child, 0, L);
	assert_int_equal(rmdir(child), 0);
	dp_local_del(d, 1);
	rule(2, child, L); /* never was there */
	assert_int_equal(dp_locals_renew(d), 1);
	assert_int_equal(mkdir(child, 0755), 0);
	assert_int_equal(dp_locals_renew(d), 0);
	datagrams(child, 0, L);
	assert_int_equal(dp_local_next(d, 0), 2);
	assert_int_equal(dp_local_next(d, 2), 0);
}

static void outlives_its_owner(void **state)
{
	struct dp_local l;

	(void)state;
	rule(7, group, L);
	d = dp_close(d);
	datagrams(group, 0, L); /* nobody is there, and it goes on */
	assert_int_equal(rmdir(child), 0);
	assert_int_equal(rmdir(group), 0); /* made anew while nobody was there */
	assert_int_equal(mkdir(group, 0755), 0);
	assert_int_equal(mkdir(child, 0755), 0);
	datagrams(group, 0, 0);
	open_plane();
	datagrams(group, 0, L);
	assert_int_equal(dp_local_get(d, 7, &l), 0);
	assert_string_equal(l.path, group);
	assert_int_equal(l.label, L);
	assert_int_equal(l.class_id, 3);
}

static void refuses(void **state)
{
	static const struct {
		struct dp_local l;
		enum refusal no;
		const char *why;
	} t[] = {
		{ { .path = "/" }, REFUSE_BODY_MALFORMED, "rule: id is 0" },
		{ { .rule = 2, .class_id = 256, .path = "/" },
		  REFUSE_BODY_MALFORMED,
		  "rule 2: class: 0..255" },
		{ { .rule = 2, .label = 64, .path = "/" },
		  REFUSE_LABEL_RANGE,
		  "rule 2: label: above 63" },
		{ { .rule = 2 },
		  REFUSE_BODY_MALFORMED,
		  "rule 2: cgroup: an absolute path of at most 159 bytes" },
		{ { .rule = 2, .path = "/nowhere" },
		  REFUSE_BODY_MALFORMED,
		  "rule 2: cgroup /nowhere: not a cgroup2 directory" },
		{ { .rule = 2, .path = "/tmp" },
		  REFUSE_BODY_MALFORMED,
		  "rule 2: cgroup /tmp: not a cgroup2 directory" },
		{ { .rule = 2, .path = "/proc/self/mounts" },
		  REFUSE_BODY_MALFORMED,
		  "rule 2: cgroup /proc/self/mounts: not a cgroup2 directory" },
	};
	struct dp_local l = { .rule = 2, .label = L };
	char why[256];
	enum refusal no = REFUSE_NONE;
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_int_equal(dp_local_set(d, &t[i].l, &no, &e), DP_REFUSED);
		assert_int_equal(no, t[i].no);
		if (i < ARRAY_LEN(t) - 1)
			assert_string_equal(e.text, t[i].why);
		assert_int_equal(dp_local_next(d, 0), 0);
		e = (struct err){ 0 };
	}
	rule(1, group, L);
	assert_true(str_set(l.path, group));
	assert_int_equal(dp_local_set(d, &l, &no, &e), DP_REFUSED);
	(void)snprintf(why, sizeof(why), "rule 2: cgroup %s: rule 1 has it", group);
	assert_string_equal(e.text, why);
	assert_int_equal(dp_local_get(d, 2, &l), -ENOENT);
	assert_int_equal(dp_local_get(d, 1, &l), 0);
}

static void sh(const char *cmd)
{
	if (system(cmd)) {
		(void)fprintf(stderr, "failed: %s\n", cmd);
		exit(1);
	}
}

static int here(void)
{
	if (unshare(CLONE_NEWNET))
		exit(1);
	sh("ip link set lo up && sysctl -qw net.ipv6.conf.default.accept_dad=0");
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void stage(void)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	char cmd[256];

	if (!bpffs_own(bpffs, pins))
		exit(1);
	peer = here();
	home = here();
	(void)snprintf(cmd, sizeof(cmd),
		       "ip link add v0 type veth peer name v1 && "
		       "ip link set v1 netns /proc/%d/fd/%d && ip addr add 10.1.0.1/24 dev v0 && "
		       "ip addr add fd10::1/64 nodad dev v0 && ip link set v0 up",
		       (int)getpid(), peer);
	sh(cmd);
	v0 = if_nametoindex("v0");
	if (setns(peer, CLONE_NEWNET))
		exit(1);
	sh("ip addr add 10.1.0.2/24 dev v1 && ip addr add fd10::2/64 nodad dev v1 && "
	   "ip link set v1 up");
	tap = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	a.sll_ifindex = (int)if_nametoindex("v1");
	if (tap < 0 || bind(tap, (struct sockaddr *)&a, sizeof(a)) || setns(home, CLONE_NEWNET))
		exit(1);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(knows_a_cgroup_and_its_children, setup, teardown),
		cmocka_unit_test_setup_teardown(nearest_cgroup_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(tcp_too, setup, teardown),
		cmocka_unit_test_setup_teardown(knows_a_mark, setup, teardown),
		cmocka_unit_test_setup_teardown(expires_and_is_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(is_metered, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_for_its_cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(outlives_its_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
	};
	int bad;

	stage();
	hook = DP_HOOK_AUTO;
	bad = cmocka_run_group_tests(tests, NULL, NULL);
	hook = DP_HOOK_CLSACT;
	bad += cmocka_run_group_tests(tests, NULL, NULL);
	bpffs_gone(bpffs);
	return bad ? 1 : 0;
}

int main(void)
{
	pid_t pid;
	int r = 0;

	if (geteuid() != 0 || !cgroup_root(root)) {
		print_message("SKIPPED: needs root and cgroup2\n");
		return 77;
	}
	(void)snprintf(group, sizeof(group), "%s/treaty-test-%d", root, (int)getpid());
	(void)snprintf(child, sizeof(child), "%s/child", group);
	pid = fork();
	if (pid == 0)
		_exit(run());
	(void)waitpid(pid, &r, 0);
	(void)rmdir(child);
	(void)rmdir(group);
	return r ? 1 : 0;
}
