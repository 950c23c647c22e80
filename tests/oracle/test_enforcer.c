/* SPDX-License-Identifier: Apache-2.0 */
/* The enforcer's node role against the kernel's own words: ip, tc and the pinned maps. */
#include "enforcer_rig.h"

static uint32_t ifindex_of(const char *name)
{
	char *t = told("cat /sys/class/net/%s/ifindex 2>/dev/null || "
		       "ip -o link show %s | cut -d: -f1",
		       name, name);
	uint32_t i = (uint32_t)atoi(t);

	free(t);
	assert_true(i > 0);
	return i;
}

static bool class_there(void)
{
	return !system("tc class show dev acc0 2>/dev/null | grep -q 'htb 54:110 .*rate 20Mbit'");
}

/* --- what stands after the start ------------------------------------------------------------- */

static void test_start(void **st)
{
	struct enforcer_shaper sh = { 0 };
	struct enforcer_links l = { 0 };
	struct err e = { 0 };
	char *before = host(), *first, *second, *after;

	(void)st;
	enforcer_up();
	assert_int_equal(enforcer_shaper(&rig.c, &sh, &e), 0);
	assert_string_equal(sh.kind, "htb");
	assert_int_equal(sh.labels, 64);
	assert_int_equal(sh.adopted, 0);
	says("tc qdisc show dev acc0", "qdisc htb 54: root", true);
	says("tc class show dev acc0", "class htb 54:1 root rate 200Mbit ceil 200Mbit", true);
	says("tc qdisc show dev lan0", "htb", false);
	says("ip -6 rule", "from all fwmark 0x7000000/0xff000000 lookup 1007 proto 84", true);
	says("ip -6 rule", "from fd10:ff:e:1::1 lookup 1007 proto 84", true);
	says("ip -4 rule", "fwmark 0x7000000/0xff000000 lookup 1007 proto 84", true);
	says("ip -6 route show table 1007", "default via fd10:a1::2 dev acc0", true);
	says("ip -4 route show table 1007", "segs 1 [ fd10:ff:b:d4::1 ]", true);
	says("ip -6 route show", "End.DX4 nh4 10.1.0.2 dev lan0", true);
	assert_int_equal(enforcer_links(&rig.c, &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.link[1].name.s, "acc0");
	assert_int_equal(l.link[1].rate.bps, 200 * MBIT);
	assert_true(l.link[1].up && l.link[1].attached && l.link[1].shaped && l.link[1].dir == 1);
	assert_int_equal(l.link[1].ifindex, ifindex_of("acc0"));
	assert_true(l.link[0].attached && !l.link[0].shaped);
	first = host();
	enforcer_kill();
	enforcer_up();
	assert_int_equal(enforcer_shaper(&rig.c, &sh, &e), 0);
	assert_int_equal(sh.adopted, 1);
	second = host();
	same(first, second, "adopted");
	assert_int_equal(enforcer_down(), 0);
	after = host();
	same(before, after, "removed");
	free(before);
	free(first);
	free(second);
	free(after);
}

/* --- every kind of step, twice, and back ----------------------------------------------------- */

/* Nanoseconds by which the wall clock is ahead of the boot clock. */
static int64_t ahead(void)
{
	struct timespec boot, wall;

	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	return ((int64_t)wall.tv_sec - boot.tv_sec) * 1000000000 + wall.tv_nsec - boot.tv_nsec;
}

static void test_label(void **st)
{
	struct step s = label_step(21), del = { .kind = STEP_LABEL_DEL, .label = 21 };
	struct dp_meter meter;
	struct dp_line line;
	int64_t end = s.valid_until.ms * 1000000 - ahead(), off;

	(void)st;
	enforcer_up();
	done(&s, 1);
	done(&s, 0);
	element("lines", 21, &line);
	assert_int_equal(line.flags & DP_L_ACTIVE, DP_L_ACTIVE);
	assert_int_equal(line.class_minor, 0x110);
	assert_int_equal(line.dscp, 34);
	assert_int_equal(line.bind[0], ifindex_of("lan0"));
	assert_int_equal(line.bind[1], ifindex_of("acc0"));
	element("meters", 21, &meter);
	assert_int_equal(meter.rate[0].span & DP_SPAN_US, 300000);
	assert_int_equal(meter.rate[0].cost,
			 (8000000000ull << (meter.rate[0].span >> DP_SPAN_SHIFT)) / (21 * MBIT));
	off = (int64_t)line.valid_until - end;
	assert_true(off > -1000000000 && off < 1000000000);
	s.rate.bps = 0; /* changed in place: no meter, no binding, the sender's own DSCP */
	s.dscp = 255;
	memset(&s.in_down, 0, sizeof(s.in_down));
	done(&s, 1);
	element("meters", 21, &meter);
	assert_int_equal(meter.rate[0].cost, 0);
	element("lines", 21, &line);
	assert_int_equal(line.dscp, 255);
	assert_int_equal(line.bind[1], 0);
	s.valid_until.ms = 1000; /* over for fifty years */
	done(&s, 1);
	done(&s, 0);
	element("lines", 21, &line);
	assert_true(line.valid_until > 0 && line.valid_until <= 1000000);
	done(&del, 1);
	done(&del, 0);
	element("lines", 21, &line);
	assert_int_equal(line.flags & DP_L_ACTIVE, 0);
	assert_int_equal(enforcer_down(), 0);
}

static void test_steer_and_rule(void **st)
{
	struct step l = label_step(22), s = steer_step(22, 7), r = rule_step(9, 22);
	struct step del = { .kind = STEP_RULE_DEL, .rule = { .id = 9 } };
	struct dp_rule_line rule;
	struct dp_table t;
	struct dp_line at;
	struct dp_ctl ctl;

	(void)st;
	enforcer_up();
	done(&l, 1);
	done(&s, 1);
	done(&s, 0);
	element("lines", 22, &at);
	assert_int_equal(at.path[0], 7);
	s.path = 0;
	done(&s, 1);
	element("lines", 22, &at);
	assert_int_equal(at.path[0], 0);
	done(&r, 1);
	done(&r, 0);
	element("ctl", 0, &ctl);
	element("tables", ctl.generation & 1, &t);
	assert_int_equal(t.n, 1);
	element("rules", (ctl.generation & 1) * ctl.rules, &rule);
	assert_int_equal(rule.id, 9);
	assert_int_equal(rule.label, 22);
	assert_int_equal(rule.dport_min, 7001);
	assert_int_equal(rule.dport_max, 7002);
	assert_int_equal(rule.proto, 17);
	assert_int_equal(rule.class_id, 4);
	r.rule.label = 0; /* watched only */
	done(&r, 1);
	r.rule.dport_hi = UINT16_MAX; /* a full range is "any" */
	r.rule.dport_lo = 0;
	done(&r, 1);
	done(&r, 0);
	done(&del, 1);
	done(&del, 0);
	element("ctl", 0, &ctl);
	element("tables", ctl.generation & 1, &t);
	assert_int_equal(t.n, 0);
	assert_int_equal(enforcer_down(), 0);
}

static void test_class(void **st)
{
	struct step c = class_step(22, 0x110, 20 * MBIT);
	struct step del = { .kind = STEP_CLASS_DEL, .device = { "acc0" }, .minor = 0x110 };
	struct enforcer_device d = { 0 };
	struct err e = { 0 };
	char *before, *after;

	(void)st;
	enforcer_up();
	assert_int_equal(enforcer_device(&rig.c, "acc0", &d, &e), 0);
	before = host();
	done(&c, 1);
	done(&c, 0);
	says("tc class show dev acc0",
	     "class htb 54:110 parent 54:1 leaf 110: prio 1 rate 20Mbit "
	     "ceil 20Mbit",
	     true);
	c.ceil.bps = 50 * MBIT;
	done(&c, 1);
	says("tc class show dev acc0", "rate 20Mbit ceil 50Mbit", true);
	c.rate.bps = 20 * MBIT + 1; /* a promise is rounded up to whole bytes a second */
	done(&c, 1);
	assert_int_equal(enforcer_device(&rig.c, "acc0", &d, &e), 0);
	assert_int_equal(d.n, 3);
	assert_int_equal(d.cls[2].minor, 0x110);
	assert_int_equal(d.cls[2].rate.bps, 20 * MBIT + 8);
	done(&del, 1);
	done(&del, 0);
	after = host();
	same(before, after, "removed");
	free(before);
	free(after);
	assert_int_equal(enforcer_down(), 0);
}

/* A class that somebody changed behind our back is put right by the same step again. */
static void test_class_bent(void **st)
{
	struct step c = class_step(22, 0x110, 20 * MBIT);

	(void)st;
	enforcer_up();
	done(&c, 1);
	sh("tc class change dev acc0 parent 54:1 classid 54:110 htb rate 1mbit");
	done(&c, 1);
	done(&c, 0);
	says("tc class show dev acc0", "rate 20Mbit ceil 20Mbit", true);
	sh("tc class del dev acc0 classid 54:110");
	done(&c, 1);
	says("tc class show dev acc0", "rate 20Mbit ceil 20Mbit", true);
	assert_int_equal(enforcer_down(), 0);
}

static struct step customer_step(uint64_t rate, uint64_t ceil)
{
	struct step s = class_step(0, 0x8001, rate);

	s.ceil.bps = ceil;
	s.prio = 0;
	return s;
}

static void no(const struct step *s, enum refusal want);

/* Guarantees below one ceiling: raised from above, lowered from below, never in the other order. */
static void test_customer(void **st)
{
	struct step top = customer_step(30 * MBIT, 50 * MBIT), a = class_step(22, 0x110, 20 * MBIT);
	struct step b = class_step(23, 0x111, 10 * MBIT),
		    more = customer_step(40 * MBIT, 50 * MBIT);
	struct step del = { .kind = STEP_CLASS_DEL, .device = { "acc0" }, .minor = 0x8001 };
	struct step gone = del;

	(void)st;
	enforcer_up();
	a.customer = b.customer = 0x8001;
	a.ceil.bps = b.ceil.bps = 50 * MBIT;
	no(&a, REFUSE_STEP_REFUSED); /* no such customer yet */
	done(&top, 1);
	done(&top, 0);
	done(&a, 1);
	done(&b, 1);
	says("tc class show dev acc0", "class htb 54:8001 parent 54:1 rate 30Mbit ceil 50Mbit",
	     true);
	says("tc class show dev acc0",
	     "class htb 54:110 parent 54:8001 leaf 110: prio 1 rate 20Mbit "
	     "ceil 50Mbit",
	     true);
	b.rate.bps = 20 * MBIT;
	no(&b, REFUSE_RATE_ABOVE_DEVICE); /* 20 + 20 of 30 */
	done(&more, 1);
	done(&b, 1);
	no(&top, REFUSE_RATE_ABOVE_DEVICE); /* 30 below 40 */
	b.rate.bps = 10 * MBIT;
	done(&b, 1);
	done(&top, 1);
	b.ceil.bps = 51 * MBIT;
	no(&b, REFUSE_RATE_ABOVE_DEVICE); /* above the customer's ceiling */
	a.customer = 0;
	no(&a, REFUSE_STEP_REFUSED); /* cannot move */
	no(&del, REFUSE_STEP_REFUSED);
	/* a tree that somebody took away comes back whole */
	sh("tc qdisc del dev acc0 root");
	assert_true(within(15000, class_there));
	says("tc class show dev acc0", "class htb 54:110 parent 54:8001", true);
	gone.minor = 0x110;
	done(&gone, 1);
	gone.minor = 0x111;
	done(&gone, 1);
	done(&del, 1);
	says("tc class show dev acc0", "8001", false);
	assert_int_equal(enforcer_down(), 0);
}

/* --- what is refused ------------------------------------------------------------------------- */

static void no(const struct step *s, enum refusal want)
{
	struct enforcer_receipt p = take(s);

	if (p.refusal != want)
		fail_msg("kind %d: %s (%s), not %s", (int)s->kind,
			 refusal_name((enum refusal)p.refusal), p.why.s, refusal_name(want));
	assert_int_equal(p.changed, 0);
	assert_true(p.why.s[0] != 0);
	print_message("  %s: %s\n", refusal_name(want), p.why.s);
}

#define REFUSE_WITH(base, member, value, want) \
	do {                                   \
		struct step s_ = (base);       \
		s_.member = value;             \
		no(&s_, want);                 \
	} while (0)

static void test_refusals(void **st)
{
	const struct step l = label_step(21), c = class_step(21, 0x111, 20 * MBIT);
	const struct step r = rule_step(5, 21), s = steer_step(21, 7);
	const struct step full = class_step(20, 0x110, 190 * MBIT);
	char *before, *after;

	(void)st;
	enforcer_up();
	done(&full, 1);
	before = host();
	REFUSE_WITH(l, label, 0, REFUSE_LABEL_RANGE);
	REFUSE_WITH(l, label, 9, REFUSE_LABEL_RANGE); /* label-range */
	REFUSE_WITH(l, label, 51, REFUSE_LABEL_RANGE);
	REFUSE_WITH(l, label, 0xfffff, REFUSE_LABEL_RANGE);
	REFUSE_WITH(l, in_up, ((name_t){ "eth9" }), REFUSE_DEVICE_UNKNOWN);
	REFUSE_WITH(l, in_down, ((name_t){ "lo" }), REFUSE_DEVICE_UNKNOWN);
	REFUSE_WITH(l, valid_until.ms, 0, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, valid_until.ms, -1, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, minor, 2, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, minor, 0x7f00, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, dscp, 64, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, rate.bps, 999, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, burst_ms, 4001, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, burst_ms, UINT32_MAX, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, dir, 2, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(s, label, 51, REFUSE_LABEL_RANGE);
	REFUSE_WITH(s, path, 8, REFUSE_DEVICE_UNKNOWN);
	REFUSE_WITH(s, dir, 2, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(c, device, ((name_t){ "eth9" }), REFUSE_DEVICE_UNKNOWN);
	REFUSE_WITH(c, device, ((name_t){ "" }), REFUSE_DEVICE_UNKNOWN);
	REFUSE_WITH(c, device, ((name_t){ "lan0" }), REFUSE_RATE_ABOVE_DEVICE); /* no rate */
	REFUSE_WITH(c, rate.bps, 201 * MBIT, REFUSE_BODY_MALFORMED);            /* ceil below */
	REFUSE_WITH(c, ceil.bps, 201 * MBIT, REFUSE_RATE_ABOVE_DEVICE);
	REFUSE_WITH(c, prio, 1, REFUSE_RATE_ABOVE_DEVICE); /* 190 + 20 */
	REFUSE_WITH(c, rate.bps, 0, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(c, prio, 8, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(c, minor, 1, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(c, minor, 0xffff, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(r, rule.id, 0, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(r, rule.label, 51, REFUSE_LABEL_RANGE);
	REFUSE_WITH(r, rule.family, 5, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(r, rule.dst_len, 129, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(r, rule.dst_len, 16, REFUSE_BODY_MALFORMED); /* host bits */
	REFUSE_WITH(r, rule.dport_lo, 7003, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(r, rule.dscp, 64, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(r, rule.dir, 2, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, kind, STEP_PROBE, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, kind, STEP_WAIT, REFUSE_BODY_MALFORMED);
	REFUSE_WITH(l, kind, (enum step_kind)77, REFUSE_BODY_MALFORMED);
	after = host();
	same(before, after, "removed");
	free(before);
	free(after);
	assert_int_equal(enforcer_down(), 0);
}

/* Tables as small as the configuration makes them: full is a refusal, and room comes back. */
static void test_sizes(void **st)
{
	struct step del = { .kind = STEP_RULE_DEL, .rule = { .id = 2 } }, s = rule_step(4, 21);
	struct enforcer_shaper sh = { 0 };
	struct err e = { 0 };

	(void)st;
	rig.cfg.node.max_rules = 3;
	rig.cfg.node.max_flows = 64;
	rig.cfg.node.max_watched = 5;
	enforcer_up();
	for (uint32_t i = 1; i <= 3; i++) {
		struct step x = rule_step(i, 21);

		done(&x, 1);
	}
	no(&s, REFUSE_MAP_FULL);
	assert_int_equal(enforcer_shaper(&rig.c, &sh, &e), 0);
	assert_int_equal(sh.rules, 3);
	assert_int_equal(sh.rules_used, 3);
	assert_int_equal(sh.flows, 64);
	assert_int_equal(sh.watched, 5);
	assert_int_equal(sh.full, 1);
	done(&del, 1);
	done(&s, 1);
	for (uint32_t i = 10; i < 20; i++) { /* beyond the watched ones labels work all the same */
		struct step l = label_step(i);
		struct dp_line line;

		done(&l, 1);
		element("lines", i, &line);
		assert_int_equal(line.watch, i < 15 ? i - 9 : 0);
	}
	assert_int_equal(enforcer_down(), 0);
}

static void test_many_rules(void **st)
{
	const uint32_t many = 300;

	(void)st;
	enforcer_up();
	for (uint32_t i = 1; i <= many; i++) {
		struct step s = rule_step(i, 21);

		done(&s, 1);
	}
	for (uint32_t i = 1; i <= many; i += 100) {
		struct step s = rule_step(i, 21);

		done(&s, 0);
	}
	assert_int_equal(enforcer_down(), 0);
}

/* A message that no honest sender sends ends the enforcer, and leaves the kernel alone. */
static void test_liar(void **st)
{
	struct step s = label_step(21);
	struct enforcer_receipt p;
	struct err e = { 0 };

	(void)st;
	enforcer_up();
	memset(&s.in_up, 'x', sizeof(s.in_up));
	assert_int_equal(enforcer_step(&rig.c, &s, &p, &e), -EPIPE);
	assert_int_equal(enforcer_down(), EPROTO);
	take_away_at_end = true;
	enforcer_up();
	assert_int_equal(enforcer_down(), 0);
}

/* --- objects of others ----------------------------------------------------------------------- */

static void test_foreign_root(void **st)
{
	struct enforcer_links l;
	struct err e = { 0 };
	char *before, *after;

	(void)st;
	sh("tc qdisc add dev acc0 root handle 1: tbf rate 1gbit burst 100k latency 10ms");
	before = told("tc qdisc show dev acc0");
	enforcer_up();
	assert_true(enforcer_links(&rig.c, &l, &e) != 0);
	assert_int_equal(enforcer_down(), EEXIST);
	after = told("tc qdisc show dev acc0");
	same(before, after, "removed");
	free(before);
	free(after);
	sh("tc qdisc del dev acc0 root");
	enforcer_up();
	assert_int_equal(enforcer_links(&rig.c, &l, &e), 0);
	assert_int_equal(enforcer_down(), 0);
}

static void test_foreign_later(void **st)
{
	const struct step c = class_step(22, 0x110, 20 * MBIT);
	char *before, *after;

	(void)st;
	sh("ip -6 route add fd10:dead::/64 via fd10:a1::2 dev acc0 table 1007");
	sh("ip -6 rule add fwmark 0x7000000/0xff000000 lookup 1007 pref 10007");
	before = told("ip -6 rule; ip -6 route show table 1007 | grep dead");
	enforcer_up();
	done(&c, 1);
	assert_int_equal(enforcer_down(), 0);
	after = told("ip -6 rule; ip -6 route show table 1007 | grep dead");
	same(before, after, "removed");
	free(before);
	free(after);
	sh("ip -6 rule del pref 10007; ip -6 route flush table 1007");
}

/* --- what comes back ------------------------------------------------------------------------- */

static bool route_there(void)
{
	return !system("ip -6 route show table 1007 | grep -q 'default via fd10:a1::2 dev acc0'") &&
	       !system("ip -4 route show table 1007 | grep -q 'fd10:ff:b:d4::1'");
}

static void test_comes_back(void **st)
{
	struct step c = class_step(22, 0x110, 20 * MBIT), l = label_step(22);
	struct enforcer_links links;
	struct dp_line line;
	struct err e = { 0 };
	uint32_t was;

	(void)st;
	enforcer_up();
	done(&c, 1);
	done(&l, 1);
	was = ifindex_of("acc0");
	sh("tc qdisc del dev acc0 root");
	assert_true(within(15000, class_there));
	sh("ip -6 route flush table 1007; ip -4 route flush table 1007");
	assert_true(within(15000, route_there));
	sh("ip link set acc0 down");
	sh("ip link set acc0 up"); /* its address is gone with it: no next hop yet */
	sh("ip -6 addr add fd10:a1::1/64 dev acc0 nodad");
	assert_true(within(15000, route_there));
	sh("ip link del acc0");
	no(&c, REFUSE_DEVICE_UNKNOWN);
	/* numbers of devices that are gone are given anew: others must not get our port */
	sh("ip link add acc0 type veth peer name acc1 && ip link set acc0 addrgenmode none && "
	   "ip link set acc1 addrgenmode none && ip link set acc0 up && ip link set acc1 up && "
	   "ip -6 addr add fd10:a1::1/64 dev acc0 nodad");
	assert_true(within(15000, class_there));
	assert_true(within(15000, route_there));
	assert_true(ifindex_of("acc0") != was);
	element("lines", 22, &line);
	assert_int_equal(line.bind[1], ifindex_of("acc0"));
	assert_int_equal(enforcer_links(&rig.c, &links, &e), 0);
	assert_true(links.link[1].attached && links.link[1].shaped);
	assert_int_equal(enforcer_down(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		staged(test_start),      staged(test_label),        staged(test_steer_and_rule),
		staged(test_class),      staged(test_class_bent),   staged(test_customer),
		staged(test_refusals),   staged(test_sizes),        staged(test_many_rules),
		staged(test_liar),       staged(test_foreign_root), staged(test_foreign_later),
		staged(test_comes_back),
	};

	return rig_run(tests);
}
