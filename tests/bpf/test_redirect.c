/* SPDX-License-Identifier: Apache-2.0 */
/* test_redirect.c - paths by direct redirect: what goes on at once, and what is left to the stack.
 */
#include "pkt.h"

#define L        9u
#define PATH     8u
#define REDIRECT 7u /* TC_ACT_REDIRECT */
#define LO       1u
#define IN       55u /* where packets come in */
#define OWN      "fd10:2::7"

static struct dp *d;
static const struct dp_redirect by_lo = { .path = PATH, .ifindex = LO, .gw = { 0xfd, [15] = 2 } };

static int setup(void **state)
{
	const struct dp_rule all = { .id = 1, .dscp = DP_DSCP_ANY, .label = L };
	struct err e = { 0 };

	(void)state;
	d = offline_open(64);
	label_set(d, &(struct dp_label){
			     .label = L, .valid_until = { INT64_MAX }, .dscp = DP_DSCP_ANY });
	rules_set(d, &all, 1);
	must(dp_steer_set(d, L, DP_UP, PATH, NULL, &e), &e);
	must(dp_redirect_set(d, &by_lo, NULL, &e), &e);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	d = dp_close(d);
	return 0;
}

static struct dp_redirect counted(void)
{
	struct dp_redirect r = { 0 };

	assert_int_equal(dp_redirect_get(d, PATH, &r), 0);
	return r;
}

/* For the device's own address, which is that of the test's device: zero. */
static void to_us(struct pkt *p)
{
	memset(p->b, 0, 6);
}

static void plain(struct pkt *p, const char *dst)
{
	eth(p, 0, ETH_P_IPV6);
	v6(p, 0, L, IPPROTO_UDP, "fd10:1::2", dst);
	udp(p, 40000, 7001, 32);
	finish(p);
	to_us(p);
}

/* Through either program: on at once, one hop less and nothing else. */
static void goes(const struct pkt *p)
{
	static const enum dp_prog progs[] = { DP_PROG_NODE_IN, DP_PROG_EDGE_IN };

	for (size_t i = 0; i < ARRAY_LEN(progs); i++) {
		struct ran r = run_in(dp_prog_fd(d, progs[i]), p, IN);

		assert_int_equal(r.ret, REDIRECT);
		assert_int_equal(r.mark, PATH << 24 | L);
		assert_int_equal(r.out.b[r.out.l3 + 7], p->b[p->l3 + 7] - 1);
		r.out.b[r.out.l3 + 7]++;
		assert_memory_equal(r.out.b, p->b, p->n);
	}
}

static void stays(const struct pkt *p, uint32_t ifindex)
{
	struct dp_redirect before = counted(), after;
	struct ran r = run_in(dp_prog_fd(d, DP_PROG_EDGE_IN), p, ifindex);

	assert_int_equal(r.ret, PASS);
	assert_int_equal(r.mark, PATH << 24 | L); /* the path's table takes it */
	if (p->b[p->l3] >> 4 == 6)
		assert_int_equal(r.out.b[r.out.l3 + 7], p->b[p->l3 + 7]);
	after = counted();
	assert_int_equal(after.back, before.back + 1);
	assert_int_equal(after.packets, before.packets);
	assert_int_equal(after.loops, before.loops + (ifindex == LO));
}

static void what_goes_and_what_stays(void **state)
{
	struct dp_prefix own[2] = { { .len = 128 }, { { 0xfd, 0x77 }, 16 } };
	struct err e = { 0 };
	struct pkt p;

	(void)state;
	plain(&p, "fd10:2::2");
	goes(&p);
	p.b[p.l3 + 7] = 2;
	goes(&p);
	assert_int_equal(counted().packets, 4);
	assert_int_not_equal(sum_kept(dp_prog_fd(d, DP_PROG_NODE_IN), &p, IN, 0), -EBADMSG);
	p.b[p.l3 + 7] = 1; /* the stack says that it ran out */
	stays(&p, IN);
	plain(&p, "fd10:2::2");
	stays(&p, LO); /* out where it came in */
	p.b[5] = 9;    /* another host's */
	stays(&p, IN);
	plain(&p, "ff05::1");
	stays(&p, IN);
	plain(&p, "fe80::9");
	stays(&p, IN);
	plain(&p, OWN);
	goes(&p);
	assert_int_equal(inet_pton(AF_INET6, OWN, own[0].addr), 1);
	must(dp_own_set(d, own, 2, &e), &e);
	stays(&p, IN);
	plain(&p, "fd77:1::1");
	stays(&p, IN);
	must(dp_own_set(d, own, 1, &e), &e); /* the other one is gone */
	goes(&p);
	plain(&p, "fd10:2::8");
	goes(&p);
	udp4(&p, 0, 7001);
	to_us(&p);
	stays(&p, IN);
}

static void what_must_be_looked_at_stays(void **state)
{
	struct pkt p;

	(void)state;
	eth(&p, 1, ETH_P_IPV6);
	v6(&p, 0, L, IPPROTO_UDP, "fd10:1::2", "fd10:2::2");
	udp(&p, 40000, 7001, 32);
	finish(&p);
	to_us(&p);
	stays(&p, IN); /* VLAN */
	for (uint8_t nh = 0; nh <= 60; nh += 60) {
		eth(&p, 0, ETH_P_IPV6);
		v6(&p, 0, L, nh, "fd10:1::2", "fd10:2::2");
		put16(&p, IPPROTO_UDP << 8);
		zeros(&p, 6);
		udp(&p, 40000, 7001, 32);
		finish(&p);
		to_us(&p);
		if (nh)
			goes(&p); /* for the destination to look at */
		else
			stays(&p, IN); /* for every node */
	}
}

static void others_pay_nothing(void **state)
{
	struct err e = { 0 };
	struct pkt p;
	struct ran r;

	(void)state;
	plain(&p, "fd10:2::2");
	must(dp_steer_set(d, L, DP_UP, PATH + 1, NULL, &e), &e); /* a path by its table */
	r = run_in(dp_prog_fd(d, DP_PROG_NODE_IN), &p, IN);
	assert_int_equal(r.ret, PASS);
	assert_int_equal(r.mark, (PATH + 1) << 24 | L);
	must(dp_steer_set(d, L, DP_UP, PATH, NULL, &e), &e);
	goes(&p);
	dp_redirect_del(d, PATH);
	dp_redirect_del(d, PATH);
	assert_int_equal(run_in(dp_prog_fd(d, DP_PROG_NODE_IN), &p, IN).ret, PASS);
	assert_int_equal(dp_redirect_get(d, PATH, &(struct dp_redirect){ 0 }), -ENOENT);
	must(dp_redirect_set(d, &by_lo, NULL, &e), &e);
	goes(&p);
}

static void refusals(void **state)
{
	static const struct {
		struct dp_redirect r;
		enum refusal no;
	} bad[] = {
		{ { .path = 0, .ifindex = LO, .gw = { 0xfd } }, REFUSE_BODY_MALFORMED },
		{ { .path = 256, .ifindex = LO, .gw = { 0xfd } }, REFUSE_BODY_MALFORMED },
		{ { .path = PATH, .ifindex = LO }, REFUSE_BODY_MALFORMED },
		{ { .path = PATH, .ifindex = LO, .gw = { 0xff } }, REFUSE_BODY_MALFORMED },
		{ { .path = PATH, .ifindex = 0, .gw = { 0xfd } }, REFUSE_DEVICE_UNKNOWN },
		{ { .path = PATH, .ifindex = 424242, .gw = { 0xfd } }, REFUSE_DEVICE_UNKNOWN },
	};
	static struct dp_prefix own[DP_OWNS + 1];
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		enum refusal no = REFUSE_NONE;
		struct err e = { 0 };

		assert_int_equal(dp_redirect_set(d, &bad[i].r, &no, &e), DP_REFUSED);
		assert_int_equal(no, bad[i].no);
		assert_true(e.text[0]);
	}
	assert_int_equal(dp_own_set(d, own, DP_OWNS + 1, NULL), -ENOSPC);
	assert_int_equal(dp_redirect_get(d, 256, &(struct dp_redirect){ 0 }), -ERANGE);
	plain(&p, "fd10:2::2");
	goes(&p); /* as it was */
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_goes_and_what_stays),
		CASE(what_must_be_looked_at_stays),
		CASE(others_pay_nothing),
		CASE(refusals),
	};

	return cmocka_run_group_tests_name("bpf redirect", tests, NULL, NULL);
}
