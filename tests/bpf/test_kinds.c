/* SPDX-License-Identifier: Apache-2.0 */
/* test_kinds.c - packets of every kind at the edge: what is read of them, what is never guessed,
 * and what is counted. */
#include "progs.h"

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

	eth(&p, 3, ETH_P_IPV6); /* more tags than are looked behind */
	v6(&p, 0, 0, 17, "fd10:1::2", "fd10:2::2");
	udp(&p, 40000, 7001, 8);
	finish(&p);
	assert_memory_equal(run_in(edge, &p, LAN).out.b, p.b, p.n);
	assert_int_equal(counted(0, DP_UP).not_ip, 2);
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(edge_kinds),
		T(truncated),
		T(padding_and_lies),
		T(endless_extensions),
		T(what_shows_no_ports_is_counted),
	};

	return cmocka_run_group_tests_name("kinds of packets", tests, NULL, NULL);
}
