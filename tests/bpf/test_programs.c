/* SPDX-License-Identifier: Apache-2.0 */
/* test_programs.c - what each program does to one packet. */
#include "pkt.h"

#define LAN 7u
#define ACC 8u
#define L   17u /* the label under test */

static struct dp *d;
static int edge, node, out;

static const struct dp_label base_label = {
	.label = L, .valid_until = { INT64_MAX }, .class_minor = 0x105, .dscp = 34, .dscp_over = 8
};

/* Rule 1: UDP/TCP/any to port 7001 -> L, class 1. Rule 2: port 7009 is watched, class 9. */
static const struct dp_rule base_rules[] = {
	{ .id = 1,
	  .prio = 10,
	  .dscp = DP_DSCP_ANY,
	  .dport_min = 7001,
	  .dport_max = 7001,
	  .label = L,
	  .class_id = 1 },
	{ .id = 2,
	  .prio = 20,
	  .dscp = DP_DSCP_ANY,
	  .dport_min = 7009,
	  .dport_max = 7009,
	  .class_id = 9 },
};

static int setup(void **state)
{
	(void)state;
	d = offline_open(64);
	edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	node = dp_prog_fd(d, DP_PROG_NODE_IN);
	out = dp_prog_fd(d, DP_PROG_OUT);
	label_set(d, &base_label);
	rules_set(d, base_rules, ARRAY_LEN(base_rules));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	d = dp_close(d);
	return 0;
}

static struct dp_count counted(uint32_t label, enum dp_dir dir)
{
	struct dp_count c;

	assert_int_equal(dp_counters_get(d, label, dir, &c), 0);
	return c;
}

/* --- kinds of packets at the edge ------------------------------------------------------------ */

enum frag { WHOLE, FIRST, LATER };

struct kind {
	const char *name;
	int family, vlans;
	size_t opts;
	enum frag frag;
	uint8_t ext[3]; /* IPv6 extension headers; 0xff = none */
	uint8_t proto;
	uint16_t dport;
	bool labelled; /* expected */
};

#define NOEXT                    \
	{                        \
		0xff, 0xff, 0xff \
	}
static const struct kind kinds[] = {
	{ "v6 udp", 6, 0, 0, WHOLE, NOEXT, 17, 7001, true },
	{ "v6 tcp", 6, 0, 0, WHOLE, NOEXT, 6, 7001, true },
	{ "v6 sctp", 6, 0, 0, WHOLE, NOEXT, 132, 7001, true },
	{ "v6 icmp shows no ports", 6, 0, 0, WHOLE, NOEXT, 58, 7001, false },
	{ "v6 other port", 6, 0, 0, WHOLE, NOEXT, 17, 7002, false },
	{ "v6 hop-by-hop", 6, 0, 0, WHOLE, { 0, 0xff, 0xff }, 17, 7001, true },
	{ "v6 hop+route+dest", 6, 0, 0, WHOLE, { 0, 43, 60 }, 17, 7001, true },
	{ "v6 auth", 6, 0, 0, WHOLE, { 51, 0xff, 0xff }, 17, 7001, true },
	{ "v6 first fragment", 6, 0, 0, FIRST, { 44, 0xff, 0xff }, 17, 7001, true },
	{ "v6 later fragment of it", 6, 0, 0, LATER, { 44, 0xff, 0xff }, 17, 1, true },
	{ "v6 atomic fragment", 6, 0, 0, WHOLE, { 44, 0xff, 0xff }, 17, 7001, true },
	{ "v6 vlan", 6, 1, 0, WHOLE, NOEXT, 17, 7001, true },
	{ "v6 qinq", 6, 2, 0, WHOLE, NOEXT, 17, 7001, true },
	{ "v4 udp", 4, 0, 0, WHOLE, NOEXT, 17, 7001, true },
	{ "v4 tcp", 4, 0, 0, WHOLE, NOEXT, 6, 7001, true },
	{ "v4 options", 4, 0, 12, WHOLE, NOEXT, 17, 7001, true },
	{ "v4 40 bytes of options", 4, 0, 40, WHOLE, NOEXT, 17, 7001, true },
	{ "v4 vlan", 4, 1, 0, WHOLE, NOEXT, 17, 7001, true },
	{ "v4 qinq, options", 4, 2, 8, WHOLE, NOEXT, 17, 7001, true },
	{ "v4 first fragment", 4, 0, 0, FIRST, NOEXT, 17, 7001, true },
	{ "v4 later fragment of it", 4, 0, 0, LATER, NOEXT, 17, 1, true },
	{ "v4 icmp", 4, 0, 0, WHOLE, NOEXT, 1, 7001, false },
};

static void ext_put(struct pkt *p, uint8_t kind, uint8_t next, enum frag frag)
{
	if (kind == 44) {
		put16(p, (uint16_t)(next << 8));
		put16(p, frag == FIRST ? 1 : frag == LATER ? 0x0100 : 0);
		put32(p, 0xcafe0001);
	} else if (kind == 51) {
		put16(p, (uint16_t)(next << 8 | 4)); /* (4 + 2) * 4 = 24 bytes */
		zeros(p, 22);
	} else {
		put16(p, (uint16_t)(next << 8 | 1)); /* (1 + 1) * 8 = 16 bytes */
		zeros(p, 14);
	}
}

static void build(struct pkt *p, const struct kind *k, uint8_t tos)
{
	static const uint16_t v4_frag[] = { 0x4000, 0x2000, 0x0020 };

	eth(p, k->vlans, k->family == 6 ? ETH_P_IPV6 : ETH_P_IP);
	if (k->family == 4) {
		v4(p, tos, k->proto, "10.1.0.2", "10.2.0.2", k->opts, v4_frag[k->frag]);
	} else {
		v6(p, tos, 0xabcde, k->ext[0] != 0xff ? k->ext[0] : k->proto, "fd10:1::2",
		   "fd10:2::2");
		for (int i = 0; i < 3 && k->ext[i] != 0xff; i++)
			ext_put(p, k->ext[i],
				i < 2 && k->ext[i + 1] != 0xff ? k->ext[i + 1] : k->proto, k->frag);
	}
	udp(p, 40000, k->dport, 40); /* of TCP and SCTP only the ports matter here */
	finish(p);
}

/* Everything outside the fields that the program may write is as it was. */
static void assert_only_tagged(const struct pkt *a, const struct pkt *b)
{
	size_t skip = a->b[a->l3] >> 4 == 6 ? 4 : 2;

	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->b, b->b, a->l3);
	assert_int_equal(a->b[a->l3] >> 4, b->b[a->l3] >> 4);
	if (skip == 4) {
		assert_memory_equal(a->b + a->l3 + 4, b->b + a->l3 + 4, a->n - a->l3 - 4);
		return;
	}
	assert_memory_equal(a->b + a->l3 + 2, b->b + a->l3 + 2, 8);
	assert_memory_equal(a->b + a->l3 + 12, b->b + a->l3 + 12, a->n - a->l3 - 12);
}

static void edge_kinds(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (uint8_t ecn = 0; ecn < 4; ecn++) {
			const struct kind *k = &kinds[i];
			uint8_t tos = (uint8_t)(10 << 2 | ecn), want;
			struct pkt p;
			struct ran r;

			build(&p, k, tos);
			r = run_in(edge, &p, LAN);
			want = k->labelled ? (uint8_t)(34 << 2 | ecn) : tos;
			if (r.ret != PASS || r.mark != (k->labelled ? L : 0) ||
			    tos_of(&r.out) != want)
				print_error("%s, ecn %d: ret %d mark %#x tos %#x\n", k->name, ecn,
					    (int)r.ret, r.mark, tos_of(&r.out));
			assert_int_equal(r.ret, PASS);
			assert_int_equal(r.mark, k->labelled ? L : 0);
			assert_int_equal(tos_of(&r.out), want);
			assert_only_tagged(&p, &r.out);
			if (k->family == 6)
				assert_int_equal(label_of(&r.out), k->labelled ? L : 0);
			else
				assert_true(csum_right(&r.out));
		}
	}
}

/* Cut at every length: passed, never changed beyond the tag, labelled only when ports are there. */
static void truncated(void **state)
{
	size_t shortest = SIZE_MAX;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct pkt whole;

		build(&whole, &kinds[i], 0);
		for (size_t n = 15; n < whole.n; n++) {
			struct pkt p = whole;
			struct ran r;

			if (kinds[i].frag == LATER) /* its ports come from another packet */
				break;
			memset(p.b + n, 0, sizeof(p.b) - n);
			p.n = n;
			if (!runnable(out, &p)) {
				assert_true(n < whole.l3 + 40);
				continue;
			}
			shortest = n < shortest ? n : shortest;
			r = run_in(edge, &p, LAN);
			assert_int_equal(r.ret, PASS);
			if (r.mark) {
				size_t l4 = whole.n - 48;

				assert_true(kinds[i].labelled && n >= l4 + 4);
				assert_int_equal(r.mark, L);
			} else if (n < whole.l3 + (kinds[i].family == 6 ? 40 : 20)) {
				assert_memory_equal(p.b, r.out.b, n);
			}
			r = run_in(node, &p, ACC);
			assert_int_equal(r.ret, PASS);
			r = run_ctx(out, &p,
				    (struct __sk_buff){ .mark = L, .ingress_ifindex = ACC });
			assert_int_equal(r.ret, PASS);
		}
	}
	assert_true(shortest < 20); /* tags hide IP from the harness: these come that short */
	assert_true(counted(0, DP_UP).malformed > 100);
}

/* Ethernet padding behind a short IP packet is not its ports; wrong lengths and versions. */
static void padding_and_lies(void **state)
{
	struct pkt p;
	uint64_t before;

	(void)state;
	udp4(&p, 0, 7001);
	p.b[p.l3 + 3] = 20; /* total length: header only */
	assert_int_equal(run_in(edge, &p, LAN).mark, 0);
	udp6(&p, 0, 0, 7001);
	p.b[p.l3 + 5] = 3; /* payload length: ports cut */
	assert_int_equal(run_in(edge, &p, LAN).mark, 0);
	p.b[p.l3 + 5] = 0;
	assert_int_equal(run_in(edge, &p, LAN).mark, 0);

	before = counted(0, DP_UP).malformed;
	udp4(&p, 0, 7001);
	p.b[p.l3] = 0x44; /* header length 16 */
	assert_memory_equal(run_in(edge, &p, LAN).out.b, p.b, p.n);
	udp4(&p, 0, 7001);
	p.b[p.l3] = 0x65; /* version 6 under the ethertype of 4 */
	assert_memory_equal(run_in(edge, &p, LAN).out.b, p.b, p.n);
	udp6(&p, 0, 5, 7001);
	p.b[p.l3] = 0x45;
	assert_memory_equal(run_in(edge, &p, LAN).out.b, p.b, p.n);
	assert_int_equal(counted(0, DP_UP).malformed, before + 3);

	eth(&p, 0, ETH_P_ARP);
	zeros(&p, 46);
	assert_memory_equal(run_in(edge, &p, LAN).out.b, p.b, p.n);
	assert_int_equal(counted(0, DP_UP).not_ip, 1);
}

/* A chain longer than the walk ends without ports, not with wrong ones. */
static void endless_extensions(void **state)
{
	struct pkt p;

	(void)state;
	eth(&p, 0, ETH_P_IPV6);
	v6(&p, 0, 0, 60, "fd10:1::2", "fd10:2::2");
	for (int i = 0; i < 12; i++)
		ext_put(&p, 60, i == 11 ? 17 : 60, WHOLE);
	udp(&p, 40000, 7001, 8);
	finish(&p);
	assert_int_equal(run_in(edge, &p, LAN).mark, 0);
}

static uint64_t portless(void)
{
	struct dp_odd odd;

	dp_odd_get(d, &odd);
	return odd.no_ports;
}

/* What the edge classifies without ports though its protocol has some (or cannot be known) is
 * counted once, and nothing else is. */
static const struct {
	const char *what;
	struct kind k;
	uint16_t ip_len; /* 0 = right; else bytes behind the IPv6 header, or IPv4's total */
	uint32_t counted;
} shows[] = {
	{ "whole udp", { "", 6, 0, 0, WHOLE, NOEXT, 17, 7001, true }, 0, 0 },
	{ "udp behind headers", { "", 6, 0, 0, WHOLE, { 0, 43, 60 }, 17, 7001, true }, 0, 0 },
	{ "icmp", { "", 6, 0, 0, WHOLE, NOEXT, 58, 7001, true }, 0, 0 },
	{ "v4 icmp", { "", 4, 0, 0, WHOLE, NOEXT, 1, 7001, true }, 0, 0 },
	{ "later fragment, first never seen",
	  { "", 6, 0, 0, LATER, { 44, 0xff, 0xff }, 17, 1, false },
	  0,
	  1 },
	{ "v4 later fragment", { "", 4, 0, 0, LATER, NOEXT, 17, 1, false }, 0, 1 },
	{ "v4 later fragment of icmp", { "", 4, 0, 0, LATER, NOEXT, 1, 1, false }, 0, 0 },
	{ "v4 first fragment", { "", 4, 0, 0, FIRST, NOEXT, 17, 1, false }, 0, 0 },
	{ "v4 later fragment, seen", { "", 4, 0, 0, LATER, NOEXT, 17, 1, false }, 0, 0 },
	{ "first fragment", { "", 6, 0, 0, FIRST, { 44, 0xff, 0xff }, 17, 1, false }, 0, 0 },
	{ "later fragment, seen", { "", 6, 0, 0, LATER, { 44, 0xff, 0xff }, 17, 1, false }, 0, 0 },
	{ "udp cut by its length", { "", 6, 0, 0, WHOLE, NOEXT, 17, 7001, false }, 3, 1 },
	{ "v4 udp cut by its length", { "", 4, 0, 0, WHOLE, NOEXT, 17, 7001, false }, 20, 1 },
	{ "header cut by its length",
	  { "", 6, 0, 0, WHOLE, { 60, 0xff, 0xff }, 17, 1, false },
	  7,
	  1 },
	{ "v4 before ah", { "", 4, 0, 0, WHOLE, NOEXT, 51, 7001, false }, 0, 1 },
};

static void what_shows_no_ports_is_counted(void **state)
{
	uint64_t before;
	struct pkt p;

	for (size_t i = 0; i < ARRAY_LEN(shows); i++) {
		const struct kind *k = &shows[i].k;

		build(&p, k, 0);
		if (k->family == 4) /* a datagram of its own */
			p.b[p.l3 + 4] = k->proto;
		else if (k->frag)
			p.b[p.l3 + 23] = 9; /* its source */
		if (shows[i].ip_len)
			p.b[p.l3 + (k->family == 4 ? 3 : 5)] = (uint8_t)shows[i].ip_len;
		before = portless();
		assert_int_equal(run_in(edge, &p, LAN).ret, PASS);
		if (portless() != before + shows[i].counted)
			print_error("%s: %llu\n", shows[i].what,
				    (unsigned long long)(portless() - before));
		assert_int_equal(portless(), before + shows[i].counted);
	}
	before = portless();
	endless_extensions(state);
	assert_int_equal(portless(), before + 1);
}

/* --- the edge's decisions --------------------------------------------------------------------- */

/* A host's own label is worth nothing, and other owners' mark bits are left alone. */
static void host_label_is_absent(void **state)
{
	struct ran r;
	struct pkt p;

	(void)state;
	udp6(&p, 0, L, 80);
	r = run_ctx(edge, &p, (struct __sk_buff){ .mark = 0xff500000 | L });
	assert_int_equal(r.mark, 0x00500000);
	assert_int_equal(label_of(&r.out), 0);
	udp6(&p, 0, 3, 7001);
	r = run_ctx(edge, &p, (struct __sk_buff){ .mark = 0xff500003 });
	assert_int_equal(r.mark, 0x00500000 | L);
	assert_int_equal(label_of(&r.out), L);
}

static void steering(void **state)
{
	struct dp_rule down = base_rules[0];
	uint32_t path = 99;
	struct pkt p;

	(void)state;
	udp6(&p, 0, 0, 7001);
	assert_int_equal(dp_steer_set(d, L, DP_UP, 1, NULL, NULL), 0);
	assert_int_equal(run_in(edge, &p, LAN).mark, 1u << 24 | L);
	assert_int_equal(dp_steer_set(d, L, DP_UP, 255, NULL, NULL), 0);
	assert_int_equal(dp_steer_set(d, L, DP_DOWN, 2, NULL, NULL), 0);
	assert_int_equal(run_in(edge, &p, LAN).mark, 255u << 24 | L);
	assert_int_equal(dp_steer_get(d, L, DP_UP, &path), 0);
	assert_int_equal(path, 255);
	down.dir = DP_DOWN;
	rules_set(d, &down, 1);
	assert_int_equal(run_in(edge, &p, LAN).mark, 2u << 24 | L);
	assert_int_equal(counted(L, DP_DOWN).rx_packets, 1);
	assert_int_equal(counted(L, DP_UP).rx_packets, 2);
	assert_int_equal(dp_label_del(d, L, NULL, NULL), 0);
	assert_int_equal(dp_steer_get(d, L, DP_UP, &path), 0);
	assert_int_equal(path, 0);
}

static void expiry(void **state)
{
	struct dp_label l = base_label;
	struct pkt e6, n6;

	(void)state;
	l.valid_until.us = 200 * 1000000;
	label_set(d, &l);
	udp6(&e6, 0, 0, 7001);
	udp6(&n6, 0, L, 1);
	dp_clock_set(d, 200 * SEC_NS - 1);
	assert_int_equal(run_in(edge, &e6, LAN).mark, L);
	assert_int_equal(run_in(node, &n6, ACC).mark, L);
	dp_clock_set(d, 200 * SEC_NS);
	assert_int_equal(run_in(edge, &e6, LAN).mark, 0);
	assert_int_equal(run_in(node, &n6, ACC).mark, 0);
	assert_int_equal(counted(L, DP_UP).expired, 2);
	assert_int_equal(counted(L, DP_UP).rx_packets, 2);
	assert_int_equal(counted(0, DP_UP).rx_packets, 2);
	l.valid_until.us = 300 * 1000000; /* extended in place */
	label_set(d, &l);
	assert_int_equal(run_in(edge, &e6, LAN).mark, L);
}

static void demand_by_class(void **state)
{
	struct dp_class_count c1, c9;
	struct pkt p;

	(void)state;
	udp4(&p, 0, 7009);
	for (int i = 0; i < 5; i++)
		assert_int_equal(run_in(edge, &p, LAN).mark, 0);
	udp4(&p, 0, 7001);
	for (int i = 0; i < 3; i++)
		run_in(edge, &p, LAN);
	assert_int_equal(dp_class_get(d, 9, &c9), 0);
	assert_int_equal(dp_class_get(d, 1, &c1), 0);
	assert_int_equal(c9.packets, 5);
	assert_int_equal(c9.bytes, 5 * p.n);
	assert_int_equal(c9.labelled, 0);
	assert_int_equal(c9.flows, 1);
	assert_int_equal(c1.packets, 3);
	assert_int_equal(c1.labelled, 3);
	assert_int_equal(dp_class_get(d, DP_CLASSES, &c1), -ERANGE);
}

/* A changed rule holds for the very next packet of a cached flow. */
static void rule_change_beats_cache(void **state)
{
	struct dp_rule r = base_rules[0];
	struct dp_label l2 = base_label;
	struct pkt p;

	(void)state;
	l2.label = 18;
	label_set(d, &l2);
	udp6(&p, 0, 0, 7001);
	assert_int_equal(run_in(edge, &p, LAN).mark, L);
	r.label = 18;
	assert_int_equal(dp_rule_put(d, &r, NULL, NULL), 0);
	assert_int_equal(run_in(edge, &p, LAN).mark, 18);
	r = (struct dp_rule){ .id = 77, .prio = 1, .dscp = DP_DSCP_ANY, .label = L };
	assert_int_equal(dp_rule_put(d, &r, NULL, NULL), 0);
	assert_int_equal(run_in(edge, &p, LAN).mark, L);
	assert_int_equal(dp_rule_del(d, 77, NULL, NULL), 0);
	assert_int_equal(run_in(edge, &p, LAN).mark, 18);
	assert_int_equal(dp_rule_del(d, 1, NULL, NULL), 0);
	assert_int_equal(run_in(edge, &p, LAN).mark, 0);
	assert_int_equal(dp_rules_get(d, &r, 1), 1);
	assert_int_equal(r.id, 2);
}

/* --- the node --------------------------------------------------------------------------------- */

static void node_label(void **state)
{
	struct pkt p;
	struct ran r;

	(void)state;
	udp6(&p, 46 << 2 | 1, L, 1);
	assert_int_equal(dp_steer_set(d, L, DP_UP, 3, NULL, NULL), 0);
	r = run_in(node, &p, ACC);
	assert_int_equal(r.mark, 3u << 24 | L);
	assert_memory_equal(r.out.b, p.b, p.n);
	assert_int_equal(counted(L, DP_UP).rx_bytes, p.n);
	udp6(&p, 0, 19, 7001); /* no line */
	assert_int_equal(run_in(node, &p, ACC).mark, 0);
	udp6(&p, 0, 0xfffff, 7001); /* above the table */
	assert_int_equal(run_in(node, &p, ACC).mark, 0);
	assert_int_equal(counted(0, DP_UP).unknown, 2);
	udp6(&p, 0, 0, 7001);
	assert_int_equal(run_in(node, &p, ACC).mark, 0);
	udp4(&p, 0, 7001);
	assert_int_equal(run_in(node, &p, ACC).mark, 0);
	assert_int_equal(counted(0, DP_UP).unknown, 2);
	assert_int_equal(counted(0, DP_UP).rx_packets, 4);
}

static void binding(void **state)
{
	static const struct {
		uint32_t up, down, from;
		int dir; /* -1 = violation */
	} t[] = {
		{ LAN, ACC, LAN, 0 }, { LAN, ACC, ACC, 1 }, { LAN, ACC, 9, -1 }, { 0, ACC, ACC, 1 },
		{ 0, ACC, 9, 0 },     { LAN, 0, LAN, 0 },   { LAN, 0, 9, 1 },    { 0, 0, 9, 0 },
	};
	struct pkt p;

	(void)state;
	udp6(&p, 0, L, 1);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct dp_label l = base_label;
		struct dp_count c[2];

		assert_int_equal(dp_label_del(d, L, NULL, NULL), 0);
		l.dir[0].bind_ifindex = t[i].up;
		l.dir[1].bind_ifindex = t[i].down;
		label_set(d, &l);
		assert_int_equal(run_in(node, &p, t[i].from).mark, t[i].dir < 0 ? 0 : L);
		c[0] = counted(L, DP_UP);
		c[1] = counted(L, DP_DOWN);
		assert_int_equal(c[0].rx_packets, t[i].dir == 0);
		assert_int_equal(c[1].rx_packets, t[i].dir == 1);
		assert_int_equal(c[0].binding, t[i].dir < 0);
	}
	udp6(&p, 0, 0, 7001);
	label_set(d, &(struct dp_label){ .label = L,
					 .valid_until = { INT64_MAX },
					 .dir = { { .bind_ifindex = LAN } } });
	assert_int_equal(run_in(edge, &p, 9).mark, 0);
	assert_int_equal(run_in(edge, &p, LAN).mark, L);
}

/* A bound source prefix: what comes from elsewhere is counted and best effort. */
static void source_binding(void **state)
{
	struct dp_label l = base_label;
	struct pkt in, elsewhere, v4p;

	(void)state;
	l.dir[0].src = (struct dp_prefix){ { 0xfd, 0x10, 0, 1 }, 32 };
	l.dir[0].src_family = 6;
	label_set(d, &l);
	udp6(&in, 0, L, 7001);
	elsewhere = in;
	elsewhere.b[elsewhere.l3 + 11] ^= 1;
	assert_int_equal(run_in(node, &in, ACC).mark, L);
	assert_int_equal(run_in(node, &elsewhere, ACC).mark, 0);
	assert_int_equal(run_in(edge, &in, LAN).mark, L);
	assert_int_equal(run_in(edge, &elsewhere, LAN).mark, 0);
	assert_int_equal(counted(L, DP_UP).binding, 2);
	assert_int_equal(counted(L, DP_UP).rx_packets, 2);
	l.dir[0].src = (struct dp_prefix){ { 10, 1, 0, 0 }, 16 };
	l.dir[0].src_family = 4;
	label_set(d, &l);
	udp4(&v4p, 0, 7001);
	assert_int_equal(run_in(edge, &v4p, LAN).mark, L);
	v4p.b[v4p.l3 + 13] = 9;
	assert_int_equal(run_in(edge, &v4p, LAN).mark, 0);
	assert_int_equal(counted(L, DP_UP).binding, 3);
	label_set(d, &base_label);
	assert_int_equal(run_in(edge, &v4p, LAN).mark, L);
}

/* IPv4 in SRv6: the outer label is the one that counts. */
static void srv6(void **state)
{
	struct pkt p;
	struct ran r;

	(void)state;
	eth(&p, 0, ETH_P_IPV6);
	v6(&p, 0, L, 43, "fd10:ff:e::1", "fd10:ff:b:d4::1");
	put32(&p, 4u << 24 | 2 << 16 | 4 << 8); /* next IPv4, 24 bytes, type 4, 0 left */
	put32(&p, 0);
	zeros(&p, 16);
	v4(&p, 0, IPPROTO_UDP, "10.1.0.2", "10.2.0.2", 0, 0);
	udp(&p, 40000, 7001, 20);
	finish(&p);
	p.l3 = 14;
	finish(&p);
	r = run_in(node, &p, ACC);
	assert_int_equal(r.mark, L);
	assert_int_equal(counted(L, DP_UP).rx_bytes, p.n);
	/* arriving from a customer it is just some packet */
	assert_int_equal(run_in(edge, &p, LAN).mark, 0);
	/* leaving: label on the outer header, the rest untouched */
	p.b[15] = 0;
	p.b[16] = p.b[17] = 0;
	r = run_ctx(out, &p, (struct __sk_buff){ .mark = L, .ingress_ifindex = ACC });
	assert_int_equal(label_of(&r.out), L);
	assert_only_tagged(&p, &r.out);
}

/* --- egress ----------------------------------------------------------------------------------- */

static void egress(void **state)
{
	struct pkt p;
	struct ran r;

	(void)state;
	udp6(&p, 46 << 2 | 2, 5, 1);
	r = run_ctx(out, &p,
		    (struct __sk_buff){ .mark = 2u << 24 | L,
					.ingress_ifindex = ACC,
					.wire_len = (uint32_t)p.n });
	assert_int_equal(r.ret, PASS);
	assert_int_equal(label_of(&r.out), L);
	assert_int_equal(tos_of(&r.out), 46 << 2 | 2);
	assert_int_equal(r.priority, 0x540105);
	assert_int_equal(r.mark, 2u << 24 | L);
	assert_int_equal(counted(L, DP_UP).tx_packets, 1);
	assert_int_equal(counted(L, DP_UP).tx_bytes, p.n);
	udp4(&p, 0, 1);
	r = run_ctx(out, &p, (struct __sk_buff){ .mark = L, .ingress_ifindex = ACC });
	assert_int_equal(r.priority, 0x540105);
	assert_memory_equal(r.out.b, p.b, p.n);
	/* unmarked: nothing, also not to the priority */
	udp6(&p, 0, 5, 1);
	r = run_ctx(out, &p, (struct __sk_buff){ .priority = 6, .ingress_ifindex = ACC });
	assert_int_equal(r.priority, 6);
	assert_memory_equal(r.out.b, p.b, p.n);
	/* forwarded, unmarked, but wearing an active label: taken off; our own sender keeps it */
	udp6(&p, 0, L, 1);
	r = run_ctx(out, &p, (struct __sk_buff){ .ingress_ifindex = ACC });
	assert_int_equal(label_of(&r.out), 0);
	r = run_ctx(out, &p, (struct __sk_buff){ 0 });
	assert_int_equal(label_of(&r.out), L);
}

/* A GSO packet counts as the packets that it becomes on the wire. */
static void gso_bytes(void **state)
{
	struct dp_count c;
	struct pkt p;

	(void)state;
	eth(&p, 0, ETH_P_IPV6);
	v6(&p, 0, L, IPPROTO_TCP, "fd10:1::2", "fd10:2::2");
	put32(&p, 40000u << 16 | 7001);
	zeros(&p, 8);
	put32(&p, 0x80100000); /* 32 bytes of header */
	zeros(&p, 16);
	zeros(&p, 1050);
	finish(&p);
	run_ctx(node, &p, (struct __sk_buff){ .gso_size = 500, .gso_segs = 3 });
	c = counted(L, DP_UP);
	assert_int_equal(c.rx_packets, 3);
	assert_int_equal(c.rx_bytes, 3 * (14 + 40 + 32) + 1050);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(edge_kinds),
		T(truncated),
		T(padding_and_lies),
		T(endless_extensions),
		T(what_shows_no_ports_is_counted),
		T(host_label_is_absent),
		T(steering),
		T(expiry),
		T(demand_by_class),
		T(rule_change_beats_cache),
		T(node_label),
		T(binding),
		T(source_binding),
		T(srv6),
		T(egress),
		T(gso_bytes),
	};

	return cmocka_run_group_tests_name("bpf programs", tests, NULL, NULL);
}
