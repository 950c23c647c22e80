/* SPDX-License-Identifier: Apache-2.0 */
/* test_programs.c - what each program does to one packet. */
#include "progs.h"

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
	/* At egress the kernel counts; but not the packets of a guest's, whose headers it has not
	 * looked at yet (virtio: SKB_GSO_DODGY). */
	run_ctx(out, &p,
		(struct __sk_buff){ .gso_size = 500,
				    .wire_len = 3 * (14 + 40 + 32) + 1050,
				    .mark = L,
				    .ingress_ifindex = ACC });
	c = counted(L, DP_UP);
	assert_int_equal(c.tx_packets, 3);
	assert_int_equal(c.tx_bytes, 3 * (14 + 40 + 32) + 1050);
}

/* A device that sums whole packets (CHECKSUM_COMPLETE): the stack believes its sum. */
static void device_sum(void **state)
{
	struct dp_label l = base_label;
	struct pkt p, q;

	(void)state;
	udp6(&p, 1, 0, 7777); /* nothing is written */
	if (sum_kept(edge, &p, LAN, 0) == -EINVAL) {
		print_message("  this kernel cannot test it (before Linux 6.11)\n");
		skip();
	}
	udp6(&p, 1, 0xabcde, 7001);
	udp4(&q, 1, 7001);
	for (int i = 0; i < 2; i++) { /* not cached, cached */
		assert_int_equal(sum_kept(edge, &p, LAN, 0), 0);
		assert_int_equal(sum_kept(edge, &q, LAN, 0), 0);
	}
	udp6(&p, 1, 0xabcde, 7009); /* best effort loses its label */
	assert_int_equal(sum_kept(edge, &p, LAN, 0), 0);
	udp6(&p, 1, 0xabcde, 7001);
	assert_int_equal(sum_kept(out, &p, LAN, L), 0);
	l.over = DP_OVER_ECN;
	l.police_node = true;
	l.dir[0].rate.bps = 1000;
	l.dir[0].burst_us = 1000;
	label_set(d, &l);
	udp6(&p, 1, L, 7001);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sum_kept(node, &p, LAN, 0), 0);
	assert_true(counted(L, DP_UP).ce > 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
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
		T(device_sum),
	};

	return cmocka_run_group_tests_name("bpf programs", tests, NULL, NULL);
}
