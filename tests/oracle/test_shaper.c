/* SPDX-License-Identifier: Apache-2.0 */
/* The back ends of the shaper: which one is chosen and why, what each holds, what happens beyond
 * the cap, and packets through our fq where the kernel has it. */
#include "enforcer_rig.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>

#define FRAME 1000u /* bytes: a millisecond at 8 Mbit/s */

static struct enforcer_shaper status(void)
{
	struct enforcer_shaper sh = { 0 };
	struct err e = { 0 };

	if (enforcer_shaper(&rig.c, &sh, &e))
		fail_msg("%s", e.text);
	return sh;
}

static struct dp_shape queue(uint32_t minor, uint32_t ifindex)
{
	struct dp_shape none = { 0 };
	struct dp_shapes s;
	char path[128];
	auto_close int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/shapes", rig.pins);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &minor, &s), 0);
	for (int i = 0; i < DP_SHAPE_WAYS; i++)
		if (s.way[i].ifindex == ifindex)
			return s.way[i];
	return none;
}

static bool has_fq(void)
{
	bool yes = !system("tc qdisc add dev lan1 root fq 2>/dev/null");

	if (yes)
		sh("tc qdisc del dev lan1 root");
	return yes;
}

/* --- the choice ------------------------------------------------------------------------------ */

static void test_auto(void **st)
{
	struct enforcer_shaper sh;
	char *before = host(), *after;
	bool fq = has_fq();

	(void)st;
	rig.cfg.device[1].shaper = SHAPER_AUTO;
	enforcer_up();
	sh = status();
	assert_string_equal(sh.kind, fq ? "edt" : "htb");
	assert_int_equal(sh.n, 1);
	assert_string_equal(sh.dev[0].device.s, "acc0");
	assert_int_equal(sh.dev[0].rate.bps, 200 * MBIT);
	if (fq)
		assert_string_equal(sh.dev[0].refused, "");
	else
		assert_non_null(strstr(sh.dev[0].refused, "edt: "));
	print_message("  %s (%s)\n", sh.kind, sh.dev[0].refused);
	says("tc qdisc show dev acc0", fq ? "qdisc fq 54: root" : "qdisc htb 54: root", true);
	assert_int_equal(enforcer_down(), 0);
	after = host();
	same(before, after, "removed");
	free(before);
	free(after);
}

/* Asked for by name and not there: no quiet fallback. */
static void test_edt_missing(void **st)
{
	struct enforcer_shaper sh;
	struct err e = { 0 };

	(void)st;
	if (has_fq()) {
		print_message("SKIPPED: this kernel has fq\n");
		skip();
	}
	rig.cfg.device[1].shaper = SHAPER_EDT;
	enforcer_up();
	assert_true(enforcer_shaper(&rig.c, &sh, &e) != 0);
	assert_int_equal(enforcer_down(), EOPNOTSUPP);
	rig.cfg.device[1].shaper = SHAPER_HTB; /* cleans up what was pinned */
	enforcer_up();
	assert_int_equal(enforcer_down(), 0);
}

static void test_policer(void **st)
{
	struct step c = class_step(22, 0x110, 20 * MBIT), top = class_step(0, 0x8001, 20 * MBIT);
	struct step del = { .kind = STEP_CLASS_DEL, .device = { "acc0" }, .minor = 0x110 };
	uint32_t dev;
	struct enforcer_receipt p;
	struct enforcer_device d = { 0 };
	struct err e = { 0 };
	struct dp_shape q;

	(void)st;
	rig.cfg.device[1].shaper = SHAPER_HTB;
	enforcer_up(); /* another back end's root is replaced */
	done(&c, 1);
	enforcer_kill();
	rig.cfg.device[1].shaper = SHAPER_POLICER;
	enforcer_up();
	assert_string_equal(status().kind, "policer");
	says("tc qdisc show dev acc0", "54:", false);
	dev = if_nametoindex("acc0");
	done(&c, 1);
	done(&c, 0);
	q = queue(0x110, dev);
	assert_int_equal(q.rate, 20 * MBIT);
	assert_int_equal(q.drop_ns, 250000000);
	assert_int_equal(q.flags, 0);
	c.rate.bps = c.ceil.bps = 30 * MBIT;
	done(&c, 1);
	assert_int_equal(queue(0x110, dev).rate, 30 * MBIT);
	assert_int_equal(enforcer_device(&rig.c, "acc0", &d, &e), 0);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.cls[0].rate.bps, 30 * MBIT);
	p = take(&top);
	assert_int_equal(p.refusal, REFUSE_KERNEL_UNSUPPORTED);
	c.minor = 0x111;
	c.rate.bps = c.ceil.bps = 180 * MBIT;
	p = take(&c);
	assert_int_equal(p.refusal, REFUSE_RATE_ABOVE_DEVICE);
	done(&del, 1);
	done(&del, 0);
	assert_int_equal(queue(0x110, dev).ifindex, 0);
	assert_int_equal(enforcer_down(), 0);
}

/* --- beyond the cap -------------------------------------------------------------------------- */

static void test_cap(void **st)
{
	struct step s[4], del = { .kind = STEP_CLASS_DEL, .device = { "acc0" }, .minor = 0x113 };
	struct enforcer_receipt p[4] = { 0 };
	struct enforcer_shaper sh;
	struct err e = { 0 };
	uint32_t dev;
	char *t;

	(void)st;
	rig.cfg.node.max_classes = 3;
	enforcer_up();
	dev = if_nametoindex("acc0");
	for (uint16_t i = 0; i < 4; i++)
		s[i] = class_step(20u + i, (uint16_t)(0x110 + i), MBIT);
	assert_int_equal(enforcer_steps(&rig.c, s, 4, p, &e), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(p[i].refusal, REFUSE_NONE);
		assert_int_equal(p[i].changed, 1);
	}
	assert_string_equal(p[2].why.s, "");
	assert_string_equal(p[3].why.s, "policed: the device has max-classes already");
	t = told("tc class show dev acc0 | grep -c 'leaf 11'");
	assert_int_equal(atoi(t), 3);
	free(t);
	assert_int_equal(queue(0x113, dev).drop_ns, 250000000);
	assert_int_equal(queue(0x112, dev).drop_ns, 0); /* HTB's own queue bounds it */
	assert_int_equal(queue(0x112, dev).ce_ns, 5000000);
	for (int i = 0; i < 4; i++) /* where it is, it stays */
		s[i].rate.bps = s[i].ceil.bps = 2 * MBIT;
	assert_int_equal(enforcer_steps(&rig.c, s, 4, p, &e), 0);
	assert_int_equal(p[3].refusal, REFUSE_NONE);
	assert_int_equal(queue(0x113, dev).rate, 2 * MBIT);
	enforcer_kill();
	enforcer_up();
	sh = status();
	assert_int_equal(sh.dev[0].classes, 4);
	assert_int_equal(sh.dev[0].max_classes, 3);
	assert_int_equal(sh.dev[0].promised.bps, 8 * MBIT);
	done(&s[3], 0);
	done(&del, 1);
	assert_int_equal(queue(0x113, dev).ifindex, 0);
	assert_int_equal(enforcer_down(), 0);
}

/* --- what holds a deal, as told -----------------------------------------------------------------
 */

static struct observed_class holder(uint32_t label)
{
	struct observation o = { 0 };
	struct err e = { 0 };

	if (enforcer_observe(&rig.c, label, &o, &e))
		fail_msg("%s", e.text);
	assert_int_equal(o.n_classes, 1);
	assert_string_equal(o.cls[0].device.s, "acc0");
	assert_int_equal(o.cls[0].dir, DIR_UP); /* acc0 is where down comes in */
	return o.cls[0];
}

static void test_holder(void **st)
{
	struct step l = label_step(22), c = class_step(22, 0x110, MBIT);
	struct step other = class_step(23, 0x111, MBIT);
	struct observed_class h;
	bool fq = has_fq();

	(void)st;
	rig.cfg.device[1].shaper = SHAPER_AUTO;
	enforcer_up();
	done(&l, 1);
	done(&c, 1);
	h = holder(22);
	assert_string_equal(h.by, fq ? "edt" : "htb");
	assert_string_equal(h.rule, "shaper = auto: the first that is here");
	assert_int_equal(strncmp(h.refused, "edt: ", 5) == 0, !fq);
	assert_int_equal(enforcer_down(), 0);
	rig.cfg.device[1].shaper = SHAPER_HTB;
	rig.cfg.node.max_classes = 1;
	enforcer_up();
	done(&l, 1);
	done(&c, 1);
	h = holder(22);
	assert_string_equal(h.by, "htb");
	assert_string_equal(h.rule, "shaper = htb");
	assert_string_equal(h.refused, ""); /* no other was asked for */
	l.label = 23;
	l.minor = 0x111;
	done(&l, 1);
	done(&other, 1);
	h = holder(23);
	assert_string_equal(h.by, "policer");
	assert_string_equal(h.rule, "htb's max-classes (1) were taken");
	assert_int_equal(enforcer_down(), 0);
	rig.cfg.device[1].shaper = SHAPER_POLICER;
	enforcer_up();
	done(&l, 1);
	done(&other, 1);
	h = holder(23);
	assert_string_equal(h.by, "policer");
	assert_string_equal(h.rule, "shaper = policer");
	assert_int_equal(enforcer_down(), 0);
}

/* --- classes made ahead of need -------------------------------------------------------------- */

static uint32_t idle_wanted;

/* As the enforcer says, and as tc does. */
static bool pool_is_full(void)
{
	char *t = told("tc class show dev acc0 | "
		       "grep -c 'leaf.*prio 7 rate 8Kbit ceil 200Mbit' || true");
	bool full = (uint32_t)atoi(t) == idle_wanted && status().dev[0].idle == idle_wanted;

	free(t);
	return full;
}

static void pool_holds(uint32_t n)
{
	idle_wanted = n;
	if (!within(30000, pool_is_full))
		fail_msg("%u idle classes, not %u", status().dev[0].idle, n);
}

static int kernel_classes(void)
{
	char *t = told("tc class show dev acc0 | grep -c leaf");
	int n = atoi(t);

	free(t);
	return n;
}

static void test_pool(void **st)
{
	struct step c = class_step(22, 0x110, 20 * MBIT), two[2];
	struct step del = { .kind = STEP_CLASS_DEL, .device = { "acc0" }, .minor = 0x110 };
	struct enforcer_receipt p[2] = { 0 };
	char *before = host(), *after;
	struct err e = { 0 };

	(void)st;
	rig.cfg.node.class_pool = 32;
	enforcer_up();
	pool_holds(32);
	assert_int_equal(kernel_classes(), 33); /* and that of what has no agreement */
	assert_int_equal(enforcer_steps_check(&rig.c, &c, 1, p, &e), 0);
	assert_string_equal(p[0].why.s, "absent from the kernel");
	done(&c, 1);
	done(&c, 0);
	pool_holds(31);
	assert_int_equal(kernel_classes(), 33); /* changed, not added */
	says("tc class show dev acc0", "54:110 parent 54:1 leaf 110: prio 1 rate 20Mbit", true);
	enforcer_kill(); /* its successor tells a deal's class from an idle one */
	enforcer_up();
	pool_holds(31);
	assert_int_equal(status().dev[0].classes, 1);
	assert_int_equal(status().dev[0].promised.bps, 20 * MBIT);
	done(&c, 0);
	done(&del, 1);
	done(&del, 0);
	assert_int_equal(status().dev[0].promised.bps, 0);
	pool_holds(32);
	/* below a customer the idle class makes room, and comes back */
	two[0] = class_step(0, 0x8001, 20 * MBIT);
	two[1] = c;
	two[1].customer = 0x8001;
	assert_int_equal(enforcer_steps(&rig.c, two, 2, p, &e), 0);
	assert_string_equal(p[0].why.s, "");
	assert_string_equal(p[1].why.s, "");
	says("tc class show dev acc0", "54:110 parent 54:8001 leaf 110:", true);
	pool_holds(31);
	done(&del, 1);
	pool_holds(32);
	enforcer_kill();
	rig.cfg.node.class_pool = 8; /* fewer are wanted now */
	enforcer_up();
	pool_holds(8);
	sh("tc qdisc del dev acc0 root"); /* a tree made anew gets its pool anew */
	pool_holds(8);
	assert_int_equal(enforcer_down(), 0);
	after = host();
	same(before, after, "removed");
	free(before);
	free(after);
}

/* HTB never holds more than max-classes, whatever minors the steps name. */
static void test_pool_cap(void **st)
{
	struct step c = class_step(22, 0x200, MBIT);
	struct enforcer_receipt p;

	(void)st;
	rig.cfg.node.class_pool = 32;
	rig.cfg.node.max_classes = 4;
	enforcer_up();
	pool_holds(4);
	for (uint16_t i = 0; i < 4; i++) {
		c.minor = (uint16_t)(0x200 + i);
		done(&c, 1);
		pool_holds(3u - i);
	}
	c.minor = 0x101;
	p = take(&c);
	assert_int_equal(p.refusal, REFUSE_NONE);
	assert_string_equal(p.why.s, "policed: the device has max-classes already");
	assert_int_equal(status().dev[0].policed, 1);
	assert_int_equal(kernel_classes(), 5);
	assert_int_equal(enforcer_down(), 0);
}

/* --- pacing ---------------------------------------------------------------------------------- */

/* Said by name where it cannot be, and then nothing else is worse for it. */
static void test_pacing(void **st)
{
	char *root = told("awk '$3 == \"cgroup2\" { print $2; exit }' /proc/self/mounts"),
	     group[128];
	char *before = host(), *after;

	(void)st;
	enforcer_up();
	assert_string_equal(status().pacing, "off");
	enforcer_kill();
	assert_true(str_set(rig.cfg.node.pace_cgroup, "/nowhere"));
	enforcer_up();
	assert_string_equal(status().pacing, "refused: cgroup /nowhere: No such file or directory");
	assert_string_equal(status().kind, "htb");
	enforcer_kill();
	root[strcspn(root, "\n")] = 0;
	if (root[0]) {
		(void)snprintf(group, sizeof(group), "%s/treaty-rig-%d", root, (int)getpid());
		assert_int_equal(mkdir(group, 0755), 0);
		assert_true(str_set(rig.cfg.node.pace_cgroup, group));
		enforcer_up();
		assert_string_equal(status().pacing, group);
		enforcer_kill();
		enforcer_up(); /* its link was there, and is taken over */
		assert_string_equal(status().pacing, group);
		enforcer_kill();
		assert_int_equal(rmdir(group), 0);
	}
	rig.cfg.node.pace_cgroup[0] = 0;
	enforcer_up();
	assert_int_equal(enforcer_down(), 0);
	after = host();
	same(before, after, "removed");
	free(before);
	free(after);
	free(root);
}

/* --- packets through fq ---------------------------------------------------------------------- */

static int64_t mono_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int listener(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IPV6),
				  .sll_ifindex = (int)if_nametoindex("acc1") };
	const struct timeval wait = { .tv_usec = 500000 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IPV6));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	return fd;
}

/* Sends n frames of the label at once; when the first went out. */
static int64_t burst(uint32_t n, uint32_t label)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(7001) };
	uint8_t b[FRAME - 62] = { 0 };
	int64_t from;
	auto_close int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET6, "fd10:a1::2", &to.sin6_addr), 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &label, sizeof(label)), 0);
	from = mono_ns();
	for (uint32_t i = 0; i < n; i++) /* a drop by the queue is told to a local sender */
		(void)sendto(fd, b, sizeof(b), 0, (struct sockaddr *)&to, sizeof(to));
	return from;
}

/* Frames that come until half a second of silence; ns_each: none may come earlier than its turn. */
static uint32_t arrive(int fd, int64_t from, int64_t ns_each)
{
	uint32_t got = 0;
	int64_t last = from;

	for (;;) {
		uint8_t b[2048];
		ssize_t n = recv(fd, b, sizeof(b), 0);

		if (n < 0)
			break;
		if (n != FRAME)
			continue;
		last = mono_ns();
		assert_true(last - from >= got * ns_each * 99 / 100);
		got++;
	}
	if (got > 1)
		print_message("  %u frames in %lld us, %lld us a frame asked for\n", got,
			      (long long)(last - from) / 1000, (long long)ns_each / 1000);
	return got;
}

static bool fq_there(void)
{
	return !system("tc qdisc show dev acc0 | grep -q 'qdisc fq 54: root'");
}

static void test_edt_packets(void **st)
{
	struct step c = class_step(22, 0x110, 8 * MBIT), l = label_step(22);
	struct step c2 = class_step(23, 0x111, 100 * MBIT), c3 = class_step(24, 0x112, 100 * MBIT);
	uint32_t dev, got;
	int64_t from;
	int fd;

	(void)st;
	if (!has_fq()) {
		print_message("SKIPPED: no fq in this kernel\n");
		skip();
	}
	rig.cfg.device[1].shaper = SHAPER_EDT;
	sh("sysctl -qw net.ipv6.conf.acc1.disable_ipv6=1; "
	   "ip -6 neigh add fd10:a1::2 lladdr $(cat /sys/class/net/acc1/address 2>/dev/null || "
	   "ip -o link show acc1 | sed 's/.*ether \\([^ ]*\\).*/\\1/') dev acc0");
	enforcer_up();
	dev = if_nametoindex("acc0");
	l.rate.bps = 0;
	done(&l, 1);
	done(&c, 1);
	done(&c, 0);
	assert_int_equal(queue(0x110, dev).flags, DP_SHAPE_PACE);
	assert_int_equal(queue(DP_MINOR_REST, dev).rate, 192 * MBIT);
	fd = listener();
	from = burst(40, 22);
	assert_int_equal(arrive(fd, from, 1000000), 40);
	from = burst(300, 22); /* the queue holds 50 ms */
	got = arrive(fd, from, 1000000);
	assert_true(got >= 50 && got < 300);
	assert_int_equal(queue(0x110, dev).packets, 40 + got);
	assert_int_equal(queue(0x110, dev).drops, 300 - got);
	c.rate.bps = c.ceil.bps = 16 * MBIT;
	done(&c, 1);
	from = burst(40, 22);
	assert_int_equal(arrive(fd, from, 500000), 40);
	/* what is promised is taken from the rest, and no more than the device has */
	done(&c2, 1);
	assert_int_equal(queue(DP_MINOR_REST, dev).rate, 84 * MBIT);
	assert_int_equal(take(&c3).refusal, REFUSE_RATE_ABOVE_DEVICE);
	assert_int_equal(queue(DP_MINOR_REST, dev).rate, 84 * MBIT);
	enforcer_kill(); /* nobody is needed for packets to keep their pace */
	from = burst(40, 22);
	assert_int_equal(arrive(fd, from, 500000), 40);
	enforcer_up();
	assert_int_equal(status().dev[0].classes, 2);
	done(&c, 0);
	sh("tc qdisc del dev acc0 root");
	assert_true(within(15000, fq_there));
	(void)close(fd);
	assert_int_equal(enforcer_down(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		staged(test_auto),   staged(test_edt_missing), staged(test_policer),
		staged(test_cap),    staged(test_pool),        staged(test_pool_cap),
		staged(test_pacing), staged(test_edt_packets), staged(test_holder),
	};

	return rig_run(tests);
}
