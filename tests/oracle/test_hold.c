/* SPDX-License-Identifier: Apache-2.0 */
/* A flow moves between a slow and a fast path by the enforcer's steps, to and fro, under traffic:
 * where the kernel has fq nothing is lost and nothing overtaken; a plain flip is the control that
 * must reorder. Where it has no fq the step says that nothing was held.
 *
 *   lan1 --- lan0 [enforcer] acc0 --- acc1, 60 ms later
 *                            bcc0 --- bcc1, 20 ms later      both lead to fd10:2::2
 */
#include "enforcer_rig.h"

#include <net/if.h>
#include <netinet/in.h>

#define SLOW_MS        60
#define FAST_MS        20
#define JITTER_US      20000 /* an emulated machine's timers */
#define TOLD_JITTER_US 3000
#define FLIPS          6
#define GAP_NS         1000000
#define LABEL          22

static int here, tx, rx; /* network namespaces */

static void enter(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

static int ns_fd(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY);

	assert_true(fd >= 0);
	return fd;
}

static int ns_new(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = ns_fd();
	sh("ip link set lo up");
	enter(here);
	return fd;
}

static bool kernel_has(const char *qdisc)
{
	char cmd[160];

	(void)snprintf(cmd, sizeof(cmd),
		       "{ tc qdisc add dev lo root %s && tc qdisc del dev lo root; } 2>/dev/null",
		       qdisc);
	return !system(cmd);
}

static void network(void)
{
	here = ns_fd();
	tx = ns_new();
	rx = ns_new();
	links_make();
	sh("ip link add bcc0 type veth peer name bcc1 && ip link set bcc0 addrgenmode none up");
	sh("ip link set lan1 netns /proc/%d/fd/%d && ip link set acc1 netns /proc/%d/fd/%d && "
	   "ip link set bcc1 netns /proc/%d/fd/%d",
	   (int)getpid(), tx, (int)getpid(), rx, (int)getpid(), rx);
	sh("ip -6 addr add fd10:1::1/64 dev lan0 nodad; ip -6 addr add fd10:b1::1/64 dev bcc0 "
	   "nodad");
	/* a router asks for its neighbours from a link-local address */
	sh("ip -6 addr add fe80::1/64 dev acc0 nodad; ip -6 addr add fe80::1/64 dev bcc0 nodad");
	enter(tx);
	sh("ip link set lan1 up && ip -6 addr add fd10:1::2/64 dev lan1 nodad && "
	   "ip -6 route add default via fd10:1::1");
	enter(rx);
	sh("ip link set acc1 up && ip link set bcc1 addrgenmode none up && "
	   "ip -6 addr add fd10:a1::2/64 dev acc1 nodad && "
	   "ip -6 addr add fd10:b1::2/64 dev bcc1 nodad && "
	   "ip -6 addr add fd10:2::2/128 dev lo nodad");
	enter(here);
}

static void delay_line(const char *dev, int ms)
{
	enter(rx);
	sh("ip link add i%s type ifb && ip link set i%s up && "
	   "tc qdisc add dev i%s root netem delay %dms limit 100000 && "
	   "tc qdisc add dev %s ingress && tc filter add dev %s ingress matchall "
	   "action mirred egress redirect dev i%s",
	   dev, dev, dev, ms, dev, dev, dev);
	enter(here);
}

static void two_paths(uint32_t shaper, bool delays)
{
	struct cfg_path *p = rig.cfg.path;

	configure();
	device_add("bcc0", DEVICE_NETWORK, 200 * MBIT, 1);
	rig.cfg.device[1].shaper = rig.cfg.device[2].shaper = shaper;
	rig.cfg.sids = 0;
	p[0].v4_prefix = p[0].v4_sid = (struct cfg_addr){ 0 };
	p[1] = p[0];
	p[1].id = 8;
	assert_true(str_set(p[1].name, "fast"));
	assert_true(str_set(p[1].device, "bcc0"));
	p[1].nexthop6 = address("fd10:b1::2");
	p[1].probe_src = (struct cfg_addr){ 0 };
	rig.cfg.paths = 2;
	p[0].delay.us = delays ? SLOW_MS * 1000 : 0;
	p[1].delay.us = delays ? FAST_MS * 1000 : 0;
	p[0].jitter_us = p[1].jitter_us = JITTER_US;
}

static struct enforcer_receipt steer_to(uint8_t path)
{
	struct step s = steer_step(LABEL, path);
	struct enforcer_receipt p = take(&s);

	assert_int_equal(p.refusal, REFUSE_NONE);
	assert_int_equal(p.changed, 1);
	return p;
}

static void flow_up(void)
{
	struct step l = label_step(LABEL), r = rule_step(7, LABEL);

	l.rate.bps = 0;
	l.minor = 0;
	done(&l, 1);
	done(&r, 1);
	(void)steer_to(7);
}

/* --- traffic --------------------------------------------------------------------------------- */

struct sender {
	pid_t pid;
	int stop, said;
};

static void send_until_told(int stop, int said)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(7001) };
	const struct timespec gap = { .tv_nsec = GAP_NS };
	uint32_t n = 0;
	int fd;

	if (setns(tx, CLONE_NEWNET))
		_exit(1);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)inet_pton(AF_INET6, "fd10:2::2", &to.sin6_addr);
	(void)fcntl(stop, F_SETFL, O_NONBLOCK);
	for (char c; read(stop, &c, 1) < 0; n++) {
		if (sendto(fd, &n, sizeof(n), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			_exit(1);
		(void)nanosleep(&gap, NULL);
	}
	_exit(write(said, &n, sizeof(n)) != sizeof(n));
}

static struct sender sender_start(void)
{
	int stop[2], said[2];
	struct sender s;

	assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	s.pid = fork();
	assert_true(s.pid >= 0);
	if (s.pid == 0) {
		(void)close(stop[1]);
		send_until_told(stop[0], said[1]);
	}
	(void)close(stop[0]);
	(void)close(said[1]);
	s.stop = stop[1];
	s.said = said[0];
	return s;
}

static uint32_t sender_stop(struct sender *s)
{
	uint32_t n = 0;
	int status;

	(void)close(s->stop);
	assert_int_equal(read(s->said, &n, sizeof(n)), sizeof(n));
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_int_equal(status, 0);
	(void)close(s->said);
	return n;
}

static int receiver(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(7001) };
	const struct timeval quiet = { .tv_sec = 1 };
	int fd, room = 32 << 20;

	enter(rx);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	enter(here);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

struct came {
	uint32_t n, reordered;
};

/* In the order of their arrival, which the socket keeps. */
static struct came read_all(int fd)
{
	struct came c = { 0 };
	uint32_t seq, next = 0;

	while (recv(fd, &seq, sizeof(seq), 0) == sizeof(seq)) {
		c.n++;
		c.reordered += seq < next;
		next = seq >= next ? seq + 1 : next;
	}
	return c;
}

/* What the node's probes would have told: path 7 slow, path 8 fast, some jitter each. */
static void spreads(uint32_t slow_us, uint32_t fast_us, uint32_t jitter_us)
{
	struct enforcer_spreads s = { .n = 2 };
	struct err e = { 0 };

	s.of[0].path = 7;
	s.of[0].least_us = slow_us - jitter_us;
	s.of[0].most_us = slow_us + jitter_us;
	s.of[1].path = 8;
	s.of[1].least_us = fast_us - jitter_us;
	s.of[1].most_us = fast_us + jitter_us;
	if (enforcer_spreads(&rig.c, &s, &e))
		fail_msg("%s", e.text);
}

/* jitter_us: measured ones are told with it before each move; 0: none are. why: of a move to the
 * faster path. */
static struct came ride(uint32_t *sent, uint32_t jitter_us, const char *why)
{
	const struct timespec pause = { .tv_nsec = 250000000 };
	struct sender s;
	struct came c;
	uint32_t first;
	int fd = receiver();

	flow_up();
	s = sender_start();
	for (int i = 0; recv(fd, &first, sizeof(first), 0) < 0; i++) /* neighbours must be found */
		assert_true(i < 20);
	for (int i = 0; i < FLIPS; i++) {
		struct enforcer_receipt p;

		if (jitter_us)
			spreads(SLOW_MS * 1000, FAST_MS * 1000, jitter_us);
		p = steer_to(i % 2 ? 7 : 8);
		if (i % 2 == 0 && !strstr(p.why.s, why))
			fail_msg("%s: not \"%s\"", p.why.s, why);
		(void)nanosleep(&pause, NULL);
	}
	*sent = sender_stop(&s);
	c = read_all(fd);
	c.n++;
	(void)close(fd);
	print_message("  %u sent, %u came, %u reordered in %d moves\n", *sent, c.n, c.reordered,
		      FLIPS);
	return c;
}

static void test_held(void **st)
{
	struct came c;
	uint32_t sent;

	(void)st;
	if (!kernel_has("fq") || !kernel_has("netem")) {
		print_message("SKIPPED: no fq or no netem in this kernel\n");
		skip();
	}
	delay_line("acc1", SLOW_MS);
	delay_line("bcc1", FAST_MS);
	take_away_at_end = true;
	two_paths(SHAPER_EDT, true);
	enforcer_up();
	c = ride(&sent, 0, "order held while path 7 takes at most 80000 us, path 8 at least 20000");
	assert_int_equal(enforcer_down(), 0);
	assert_int_equal(c.n, sent);
	assert_int_equal(c.reordered, 0);
	two_paths(SHAPER_EDT, false); /* whose delays nobody knows is moved at once */
	enforcer_up();
	c = ride(&sent, 0, "order not held: the delay of path 7 or 8 is not known");
	assert_int_equal(enforcer_down(), 0);
	assert_int_equal(c.n, sent);
	assert_true(c.reordered > 0);
	/* Nothing is configured: what was measured holds the order. */
	two_paths(SHAPER_EDT, false);
	enforcer_up();
	c = ride(&sent, TOLD_JITTER_US,
		 "order held while path 7 takes at most 89000 us, path 8 at "
		 "least 17000");
	assert_int_equal(enforcer_down(), 0);
	assert_int_equal(c.n, sent);
	assert_int_equal(c.reordered, 0);
}

static void test_not_offered(void **st)
{
	(void)st;
	take_away_at_end = true;
	two_paths(SHAPER_HTB, true);
	enforcer_up();
	flow_up();
	assert_string_equal(steer_to(8).why.s,
			    "order not held: no fq: 60000 us of path 7 may be overtaken");
	assert_string_equal(steer_to(7).why.s, ""); /* to the slower one nothing needs holding */
	spreads(70000, 15000, 1000);                /* further than configured, on both sides */
	assert_string_equal(steer_to(8).why.s,
			    "order not held: no fq: 79000 us of path 7 may be overtaken");
	assert_int_equal(enforcer_down(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_not_offered),
	};
	int r;

	if (!rig_enter()) {
		print_message("SKIPPED: needs root\n");
		return 77;
	}
	network();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	rig_leave();
	return r;
}
