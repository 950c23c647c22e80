/* SPDX-License-Identifier: Apache-2.0 */
/* test_pace.c - real TCP sockets of a cgroup of our own, over the loopback device of a network
 * namespace of our own: which of them are paced, at what rate, and what they have afterwards. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "pkt.h"
#include "cgroup.h"

#define L    21u
#define PORT 7001
#define MBIT 1000000ull
#define NONE 0xffffffffu

static char bpffs[64], pins[80], root[128], group[192];
static struct dp *d;

static void open_plane(void)
{
	const struct dp_config c = { .pin_dir = pins, .labels = 64, .pace = true };
	struct err e = { 0 };

	must(dp_open(&d, &c, &e), &e);
}

static void police(uint64_t bps)
{
	struct dp_label l = { .label = L,
			      .valid_until = { INT64_MAX },
			      .dscp = DP_DSCP_ANY,
			      .police_edge = bps != 0 };
	struct err e = { 0 };

	l.dir[0].rate.bps = bps;
	must(dp_label_set(d, &l, NULL, &e), &e);
}

static int setup(void **state)
{
	const struct dp_rule r = { .id = 1,
				   .proto = 6,
				   .dscp = DP_DSCP_ANY,
				   .dport_min = PORT,
				   .dport_max = PORT,
				   .label = L };
	struct err e = { 0 };

	(void)state;
	open_plane();
	must(dp_rules_set(d, &r, 1, NULL, &e), &e);
	must(dp_pace_attach(d, group, NULL, &e), &e);
	return 0;
}

static int teardown(void **state)
{
	struct err e = { 0 };

	(void)state;
	if (d)
		must(dp_remove(&d, &e), &e);
	return 0;
}

/* --- sockets --------------------------------------------------------------------------------- */

struct pair {
	int out, in, at;
};

static int address(const char *ip, uint16_t port, struct sockaddr_storage *a)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

	memset(a, 0, sizeof(*a));
	if (strchr(ip, ':')) {
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		assert_int_equal(inet_pton(AF_INET6, ip, &v6->sin6_addr), 1);
		return AF_INET6;
	}
	*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	assert_int_equal(inet_pton(AF_INET, ip, &v4->sin_addr), 1);
	return AF_INET;
}

/* mark, own: 0 = not set. to: "::ffff:127.0.0.1" is IPv4 by an IPv6 socket. */
static struct pair join_to(const char *to, uint16_t port, uint32_t mark, uint32_t own)
{
	struct sockaddr_storage a;
	int family = address(to, port, &a), one = 1;
	struct pair p = { .at = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	assert_int_equal(setsockopt(p.at, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(p.at, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(p.at, 1), 0);
	p.out = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (mark)
		assert_int_equal(setsockopt(p.out, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	if (own)
		assert_int_equal(
			setsockopt(p.out, SOL_SOCKET, SO_MAX_PACING_RATE, &own, sizeof(own)), 0);
	assert_int_equal(connect(p.out, (struct sockaddr *)&a,
				 family == AF_INET6 ? sizeof(struct sockaddr_in6)
						    : sizeof(struct sockaddr_in)),
			 0);
	p.in = accept(p.at, NULL, NULL);
	assert_true(p.in >= 0);
	return p;
}

static void part(struct pair *p)
{
	(void)close(p->out);
	(void)close(p->in);
	(void)close(p->at);
}

static uint32_t pace_of(int fd)
{
	uint32_t rate = 0;
	socklen_t len = sizeof(rate);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &len), 0);
	return rate;
}

/* What leaves room for the headers of full frames, less one in 128. */
static uint32_t expected(int fd, uint64_t bps, uint32_t headers)
{
	struct tcp_info t;
	socklen_t len = sizeof(t);
	uint64_t rate;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len), 0);
	rate = bps / 8 * t.tcpi_snd_mss / (t.tcpi_snd_mss + headers);
	return (uint32_t)(rate - rate / 128);
}

static bool near(uint32_t a, uint32_t b)
{
	return a == b || (a > b ? a - b : b - a) < b / 1000;
}

/* A round trip after the other until the pace is this; bytes keep the clock running. */
static void becomes(struct pair *p, uint64_t bps, uint32_t headers)
{
	uint32_t want = 0;

	for (int i = 0; i < 2000; i++) {
		char c[100] = { 0 };

		want = bps ? expected(p->out, bps, headers) : NONE;
		if (near(pace_of(p->out), want))
			return;
		assert_int_equal(send(p->out, c, sizeof(c), 0), sizeof(c));
		assert_int_equal(recv(p->in, c, sizeof(c), MSG_WAITALL), sizeof(c));
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	fail_msg("paced at %u, not %u", pace_of(p->out), want);
}

/* --- the cases ------------------------------------------------------------------------------- */

static void follows_its_label(void **state)
{
	struct pair p;
	struct err e = { 0 };

	(void)state;
	police(80 * MBIT);
	p = join_to("::1", PORT, 0, 0);
	becomes(&p, 80 * MBIT, 14 + 40 + 32);
	assert_int_equal(pace_of(p.in), NONE); /* the answers are no flow of the label */
	police(20 * MBIT);
	becomes(&p, 20 * MBIT, 14 + 40 + 32);
	police(0); /* nobody drops any more: nothing to pace for */
	becomes(&p, 0, 0);
	police(40 * MBIT);
	becomes(&p, 40 * MBIT, 14 + 40 + 32);
	must(dp_label_del(d, L, NULL, &e), &e);
	becomes(&p, 0, 0);
	part(&p);
}

static void knows_flow_and_mark(void **state)
{
	struct pair p;

	(void)state;
	police(80 * MBIT);
	p = join_to("127.0.0.1", PORT, 0, 0);
	becomes(&p, 80 * MBIT, 14 + 20 + 32);
	part(&p);
	p = join_to("::ffff:127.0.0.1", PORT, 0, 0);
	becomes(&p, 80 * MBIT, 14 + 20 + 32);
	part(&p);
	p = join_to("::1", PORT + 1, L, 0);
	becomes(&p, 80 * MBIT, 14 + 40 + 32);
	part(&p);
	p = join_to("::1", PORT + 1, 0, 0);
	assert_int_equal(pace_of(p.out), NONE);
	part(&p);
}

/* Nothing of the flow is in a rule: its cgroup is, and packets that leave tell it. */
static void knows_the_cgroup(void **state)
{
	const struct dp_port lo = { .ifindex = 1, .role = DP_ROLE_NODE };
	struct dp_local rule = { .rule = 9, .label = L };
	struct dp_label other = { .label = L + 1,
				  .valid_until = { INT64_MAX },
				  .police_node = true };
	struct err e = { 0 };
	struct pair p;

	(void)state;
	police(80 * MBIT);
	other.dscp = DP_DSCP_ANY;
	other.dir[0].rate.bps = 30 * MBIT;
	must(dp_label_set(d, &other, NULL, &e), &e);
	must(dp_port_attach(d, &lo, NULL, &e), &e);
	assert_true(str_set(rule.path, group));
	must(dp_local_set(d, &rule, NULL, &e), &e);
	p = join_to("::1", PORT + 1, 0, 0);
	becomes(&p, 80 * MBIT, 14 + 40 + 32);
	rule.label = L + 1;
	must(dp_local_set(d, &rule, NULL, &e), &e);
	becomes(&p, 30 * MBIT, 14 + 40 + 32);
	dp_local_del(d, 9);
	becomes(&p, 0, 0);
	must(dp_local_set(d, &rule, NULL, &e), &e);
	becomes(&p, 30 * MBIT, 14 + 40 + 32);
	part(&p);
	p = join_to("127.0.0.1", PORT + 1, L, 0); /* the mark comes first */
	becomes(&p, 80 * MBIT, 14 + 20 + 32);
	part(&p);
}

static void obeys_the_policed_class(void **state)
{
	struct dp_queue q = {
		.ifindex = 1, .minor = 0x110, .rate = { 30 * MBIT }, .drop_us = 250000
	};
	struct dp_label l = {
		.label = L, .valid_until = { INT64_MAX }, .dscp = DP_DSCP_ANY, .class_minor = 0x110
	};
	struct err e = { 0 };
	struct pair p;

	(void)state;
	must(dp_label_set(d, &l, NULL, &e), &e);
	must(dp_shape_set(d, &q, NULL, &e), &e);
	p = join_to("::1", PORT, 0, 0);
	becomes(&p, 30 * MBIT, 14 + 40 + 32);
	q.rate.bps = 60 * MBIT;
	must(dp_shape_set(d, &q, NULL, &e), &e);
	becomes(&p, 60 * MBIT, 14 + 40 + 32);
	q.drop_us = 0; /* a queue that only marks drops nothing: HTB stands behind it */
	must(dp_shape_set(d, &q, NULL, &e), &e);
	becomes(&p, 0, 0);
	part(&p);
}

static void keeps_what_the_application_asked(void **state)
{
	struct pair p;

	(void)state;
	police(80 * MBIT);
	p = join_to("::1", PORT, 0, 100000);
	for (int i = 0; i < 50; i++) {
		char c = 0;

		assert_int_equal(send(p.out, &c, 1, 0), 1);
		assert_int_equal(recv(p.in, &c, 1, 0), 1);
		assert_int_equal(pace_of(p.out), 100000);
	}
	part(&p);
}

static void outlives_its_owner(void **state)
{
	struct pair p;

	(void)state;
	police(80 * MBIT);
	p = join_to("::1", PORT, 0, 0);
	becomes(&p, 80 * MBIT, 14 + 40 + 32);
	d = dp_close(d);
	part(&p);
	p = join_to("::1", PORT, 0, 0); /* nobody is there, and it goes on */
	becomes(&p, 80 * MBIT, 14 + 40 + 32);
	open_plane();
	assert_true(dp_pace_stands(d));
	assert_int_equal(dp_pace_attach(d, group, NULL, NULL), 0);
	police(10 * MBIT);
	becomes(&p, 10 * MBIT, 14 + 40 + 32);
	assert_int_equal(dp_pace_detach(d, NULL), 0);
	assert_int_equal(dp_pace_detach(d, NULL), 0);
	assert_false(dp_pace_stands(d));
	part(&p);
	p = join_to("::1", PORT, 0, 0);
	assert_int_equal(pace_of(p.out), NONE);
	part(&p);
	assert_int_equal(dp_remove(&d, NULL), 0);
	assert_int_equal(access(pins, F_OK), -1);
}

static void refuses(void **state)
{
	static const char *const bad[] = { "/nowhere", "/tmp", "/proc/self/mounts" };
	const struct dp_config c = { .pin_dir = pins, .labels = 64 };
	enum refusal no;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		no = REFUSE_NONE;
		e = (struct err){ 0 };
		assert_int_equal(dp_pace_attach(d, bad[i], &no, &e), DP_REFUSED);
		assert_int_equal(no, REFUSE_BODY_MALFORMED);
		assert_non_null(strstr(e.text, bad[i]));
	}
	assert_true(dp_pace_stands(d)); /* what stood before stands */
	d = dp_close(d);
	e = (struct err){ 0 };
	must(dp_open(&d, &c, &e), &e);
	assert_int_equal(dp_pace_attach(d, group, &no, &e), DP_REFUSED);
	assert_int_equal(no, REFUSE_KERNEL_UNSUPPORTED);
	assert_int_equal(dp_pace_detach(d, NULL), 0);
}

/* --- the stage ------------------------------------------------------------------------------- */

static bool stage(void)
{
	if (geteuid() != 0 || !cgroup_root(root))
		return false;
	if (!bpffs_own(bpffs, pins) || unshare(CLONE_NEWNET) || system("ip link set lo up"))
		exit(1);
	(void)snprintf(group, sizeof(group), "%s/treaty-test-%d", root, (int)getpid());
	return !mkdir(group, 0755);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(follows_its_label, setup, teardown),
		cmocka_unit_test_setup_teardown(knows_flow_and_mark, setup, teardown),
		cmocka_unit_test_setup_teardown(knows_the_cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(obeys_the_policed_class, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_what_the_application_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(outlives_its_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
	};
	pid_t pid;
	int r = 0;

	if (!stage()) {
		print_message("SKIPPED: needs root and cgroup2\n");
		return 77;
	}
	/* the sockets' process is one of its own, so that the cgroup can go afterwards */
	pid = fork();
	if (pid == 0) {
		cgroup_join(group);
		_exit(cmocka_run_group_tests(tests, NULL, NULL));
	}
	(void)waitpid(pid, &r, 0);
	(void)rmdir(group);
	bpffs_gone(bpffs);
	return r ? 1 : 0;
}
