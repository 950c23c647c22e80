/* SPDX-License-Identifier: Apache-2.0 */
/* test_mark.c - alternate marking: what the edge writes, where every node counts, and that a
 * block's figures are exact whatever comes late, twice or never. */
#include "pkt.h"

#define L     5u
#define MS    1000000ull
#define BLOCK (1000 * MS)
#define EF    46u
#define EF1   47u
#define AF    34u
#define AF1   35u

static struct dp *d;
static struct dp_view *view;
static struct dp_marks *marks;
static int edge, node, out;

static struct dp *mark_open(const struct dp_colours *c)
{
	struct dp_config cfg = { .offline = true, .labels = 16, .colours = *c };
	struct err e = { 0 };
	struct dp *ret = NULL;

	must(dp_open(&ret, &cfg, &e), &e);
	return ret;
}

static int setup(void **state)
{
	const struct dp_rule all = { .id = 1, .dscp = DP_DSCP_ANY, .label = L };
	struct dp_colours c = { .block_ns = BLOCK };
	struct err e = { 0 };

	(void)state;
	must(dp_colours_pair(&c, EF, EF1, &e), &e);
	must(dp_colours_pair(&c, AF, AF1, &e), &e);
	d = mark_open(&c);
	dp_clock_set(d, 100 * BLOCK);
	edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	node = dp_prog_fd(d, DP_PROG_NODE_IN);
	out = dp_prog_fd(d, DP_PROG_OUT);
	rules_set(d, &all, 1);
	must(dp_view_open(&view, dp_counters_fd(d), &e), &e);
	must(dp_marks_open(&marks, dp_marks_fd(d), &e), &e);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	view = dp_view_close(view);
	marks = dp_marks_close(marks);
	d = dp_close(d);
	return 0;
}

static void label(uint8_t dscp)
{
	const struct dp_label l = { .label = L, .valid_until = { INT64_MAX }, .dscp = dscp };

	label_set(d, &l);
	assert_int_not_equal(dp_view_watched(view, L), 0);
}

static struct dp_mark got(enum dp_dir dir, uint32_t point, uint64_t block)
{
	struct dp_mark m = { 0 };
	int r = dp_marks_get(marks, dp_view_watched(view, L), dir, point, block, &m);

	assert_true(!r || r == -ENOENT);
	return m;
}

static void tagged(struct ran r, uint8_t dscp, uint8_t ecn)
{
	assert_int_equal(r.ret, PASS);
	assert_int_equal(tos_of(&r.out), dscp << 2 | ecn);
	if (r.out.b[r.out.l3] >> 4 == 4)
		assert_true(csum_right(&r.out));
}

static void the_edge_writes_the_colour(void **state)
{
	struct pkt p6, p4;
	struct dp_mark m;

	(void)state;
	label(EF);
	for (uint64_t b = 101; b < 111; b++) {
		uint8_t want = b & 1 ? EF1 : EF;

		for (uint64_t at = 0; at < BLOCK; at += BLOCK / 2 - 1) {
			dp_clock_set(d, b * BLOCK + at);
			udp6(&p6, 2, 0, 1);
			tagged(run_in(edge, &p6, 1), want, 2);
			udp4(&p4, 1, 1);
			tagged(run_in(edge, &p4, 1), want, 1);
		}
		m = got(DP_UP, DP_MARK_IN, b);
		assert_int_equal(m.packets, 6);
		assert_int_equal(m.bytes, 3 * (p6.n + p4.n));
		assert_int_equal(m.first_ns, 0);
		assert_int_equal(m.sum_ns, 2 * (0 + BLOCK / 2 - 1 + BLOCK - 2));
	}
	assert_int_equal(got(DP_UP, DP_MARK_IN, 106).packets, 0); /* four blocks are kept */
	assert_int_equal(got(DP_UP, DP_MARK_IN, 107).packets, 6);
	assert_int_equal(got(DP_DOWN, DP_MARK_IN, 110).packets, 0);
	assert_int_equal(got(DP_UP, DP_MARK_OUT, 110).packets, 0);
}

/* A class that leaves the code point: the packet's own decides. */
static void strangers_are_left_alone(void **state)
{
	struct pkt p;

	(void)state;
	label(DP_DSCP_ANY);
	for (uint32_t dscp = 0; dscp < 64; dscp++) {
		bool ours = dscp == EF || dscp == EF1 || dscp == AF || dscp == AF1;

		dp_clock_set(d, 101 * BLOCK);
		udp6(&p, (uint8_t)(dscp << 2), 0, 1);
		tagged(run_in(edge, &p, 1), (uint8_t)(ours ? dscp | 1 : dscp), 0);
		udp6(&p, (uint8_t)(dscp << 2), L, 1);
		tagged(run_in(node, &p, 1), (uint8_t)dscp, 0);
	}
	assert_int_equal(got(DP_UP, DP_MARK_IN, 101).packets, 4 + 2);
}

/* A packet counts in the nearest block of its colour: right up to half a block of delay and
 * clocks' error, either way. */
static void nodes_take_the_nearest_block(void **state)
{
	static const struct {
		int64_t at; /* ns from the start of block 103 */
		uint8_t dscp;
		uint64_t block;
	} t[] = {
		{ 0, EF1, 103 },
		{ BLOCK - 1, EF1, 103 },
		{ 0, EF, 102 },             /* delayed */
		{ BLOCK / 2 - 1, EF, 102 }, /* the most */
		{ BLOCK / 2, EF, 104 },     /* or a fast sender's clock, the most */
		{ BLOCK - 1, EF, 104 },     /* the sender has begun already */
		{ -1, EF1, 103 },           /* the same, seen from the block before */
		{ -(int64_t)BLOCK / 2, EF1, 103 },
		{ -(int64_t)BLOCK / 2 - 1, EF1, 101 },
		{ 3 * (int64_t)BLOCK / 2 - 1, EF1, 103 },
	};
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		int64_t now = 103 * (int64_t)BLOCK + t[i].at;
		struct dp_mark m;

		dp_clock_set(d, 98 * BLOCK);
		assert_int_equal(dp_label_del(d, L, NULL, NULL), 0);
		label(EF);
		dp_clock_set(d, (uint64_t)now);
		udp6(&p, (uint8_t)(t[i].dscp << 2), L, 1);
		tagged(run_in(node, &p, 1), t[i].dscp, 0);
		m = got(DP_UP, DP_MARK_IN, t[i].block);
		assert_int_equal(m.packets, 1);
		assert_int_equal(m.first_ns, now - (int64_t)(t[i].block * BLOCK));
		assert_int_equal(m.sum_ns, m.first_ns);
	}
}

static const struct dp_rule theirs = { .id = 1, .dscp = DP_DSCP_ANY, .label = L, .label_in = 77 };

/* A neighbour's label, and its colours: what comes coloured keeps the colour in whatever class it
 * goes on, and counts by it; what has none gets ours. ECN stays. */
static void a_border_keeps_the_colour(void **state)
{
	static const struct {
		uint8_t dscp, comes,
			leaves; /* of the class; the packet's; in a block of colour 0 */
	} t[] = { { AF, EF, AF },          { AF, EF1, AF1 },
		  { EF, EF, EF },          { DP_DSCP_ANY, EF1, EF1 },
		  { DP_DSCP_ANY, EF, EF }, { EF, 10, EF },
		  { EF, AF1, EF1 } };
	struct pkt p;

	(void)state;
	rules_set(d, &theirs, 1);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		dp_clock_set(d, (102 + 2 * i) * BLOCK + MS);
		label(t[i].dscp);
		for (uint8_t ecn = 0; ecn < 4; ecn++) {
			struct ran r;

			udp6(&p, (uint8_t)(t[i].comes << 2 | ecn), 77, 1);
			r = run_in(edge, &p, 1);
			tagged(r, t[i].leaves, ecn);
			assert_int_equal(label_of(&r.out), L);
		}
		udp6(&p, EF << 2, 78, 1);
		assert_int_equal(run_in(edge, &p, 1).mark, 0);
	}
	assert_int_equal(got(DP_UP, DP_MARK_IN, 112).packets, 4); /* ours */
	assert_int_equal(got(DP_UP, DP_MARK_IN, 113).packets, 4); /* theirs, as it came */
	assert_int_equal(got(DP_UP, DP_MARK_IN, 114).packets, 0);
}

/* Nobody counts the label here, but somebody behind may. */
static void a_border_keeps_it_unwatched(void **state)
{
	struct dp_config cfg = { .offline = true, .labels = 16, .watched = 1 };
	struct dp_label l = { .label = 1, .valid_until = { INT64_MAX }, .dscp = AF };
	struct err e = { 0 };
	struct dp *one = NULL;
	struct pkt p;

	(void)state;
	must(dp_colours_pair(&cfg.colours, EF, EF1, &e), &e);
	must(dp_colours_pair(&cfg.colours, AF, AF1, &e), &e);
	cfg.colours.block_ns = BLOCK;
	must(dp_open(&one, &cfg, &e), &e);
	label_set(one, &l);
	l.label = L;
	label_set(one, &l);
	rules_set(one, &theirs, 1);
	dp_clock_set(one, 102 * BLOCK);
	for (uint8_t ecn = 0; ecn < 4; ecn++) {
		udp6(&p, (uint8_t)(EF1 << 2 | ecn), 77, 1);
		tagged(run_in(dp_prog_fd(one, DP_PROG_EDGE_IN), &p, 1), AF1, ecn);
		udp6(&p, (uint8_t)(10 << 2 | ecn), 77, 1);
		tagged(run_in(dp_prog_fd(one, DP_PROG_EDGE_IN), &p, 1), AF, ecn);
	}
	one = dp_close(one);
}

static void a_remark_keeps_the_colour(void **state)
{
	struct dp_label l = { .label = L,
			      .valid_until = { INT64_MAX },
			      .dscp = EF,
			      .dscp_over = AF,
			      .over = DP_OVER_REMARK,
			      .police_edge = true,
			      .police_node = true,
			      .dir = { { .rate = { 1000 }, .burst_us = 1000 } } };
	enum refusal no = REFUSE_NONE;
	struct err e = { 0 };
	struct pkt p;

	(void)state;
	label_set(d, &l);
	for (uint64_t b = 101; b < 105; b++) {
		dp_clock_set(d, b * BLOCK);
		udp6(&p, 0, 0, 1);
		(void)run_in(edge, &p, 1);
		tagged(run_in(edge, &p, 1), b & 1 ? AF1 : AF, 0);
		udp6(&p, (uint8_t)((b & 1 ? EF1 : EF) << 2 | 1), L, 1);
		tagged(run_in(node, &p, 1), b & 1 ? AF1 : AF, 1);
		udp6(&p, 10 << 2, L, 1); /* no colour of ours: none is put on it */
		tagged(run_in(node, &p, 1), AF, 0);
		assert_int_equal(got(DP_UP, DP_MARK_IN, b).packets, 3);
	}
	l.dscp_over = 8;
	assert_int_equal(dp_label_set(d, &l, &no, &e), DP_REFUSED);
	assert_int_equal(no, REFUSE_BODY_MALFORMED);
	assert_non_null(strstr(e.text, "dscp_over: 8 has no second colour"));
}

/* What the meter drops was there before it, and is not in what left. */
static void points_lie_around_the_meter(void **state)
{
	const struct dp_label l = { .label = L,
				    .valid_until = { INT64_MAX },
				    .dscp = EF,
				    .police_node = true,
				    .dir = { { .rate = { 8000 }, .burst_us = 1000 } } };
	int passed = 0;
	struct pkt p;

	(void)state;
	label_set(d, &l);
	dp_clock_set(d, 101 * BLOCK);
	udp6(&p, EF1 << 2, L, 1);
	for (int i = 0; i < 10; i++) {
		struct ran r = run_in(node, &p, 1);

		if (r.ret != PASS)
			continue;
		passed++;
		(void)run_ctx(out, &r.out,
			      (struct __sk_buff){ .mark = r.mark, .ingress_ifindex = 1 });
	}
	assert_true(passed > 0 && passed < 10);
	assert_int_equal(got(DP_UP, DP_MARK_IN, 101).packets, 10);
	assert_int_equal(got(DP_UP, DP_MARK_OUT, 101).packets, passed);
}

/* An IPv4 packet in a new SRv6 header whose code point is 0: the header gets the colour; one that
 * was remarked with its colour on the way keeps the remark. */
static void the_outer_header_shows_the_colour(void **state)
{
	static const struct {
		uint8_t outer, inner, want;
	} t[] = { { 0, EF1, EF1 },   { 0, EF, EF }, { EF, EF1, EF1 }, { AF1, EF1, AF1 },
		  { EF1, EF1, EF1 }, { 0, 10, 0 },  { AF1, 10, AF1 } };
	struct pkt p;

	(void)state;
	label(EF);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		dp_clock_set(d, 101 * BLOCK);
		eth(&p, 0, ETH_P_IPV6);
		v6(&p, (uint8_t)(t[i].outer << 2), L, 43, "fd10:1::2", "fd10:2::2");
		put(&p, "\x04\x02\x04\0\0\0\0\0", 8);
		zeros(&p, 16);
		p.l4 = p.n;
		finish(&p);
		v4(&p, (uint8_t)(t[i].inner << 2), 17, "10.1.0.2", "10.2.0.2", 0, 0);
		udp(&p, 1, 2, 20);
		finish(&p);
		p.l3 = 14;
		finish(&p);
		tagged(run_ctx(out, &p, (struct __sk_buff){ .mark = L, .ingress_ifindex = 1 }),
		       t[i].want, 0);
	}
	assert_int_equal(got(DP_UP, DP_MARK_OUT, 101).packets, 5);
}

/* A slot's new owner begins with a whole block. */
static void a_new_owner_begins_anew(void **state)
{
	struct pkt p;

	(void)state;
	label(EF);
	udp6(&p, 0, 0, 1);
	for (uint64_t b = 100; b < 105; b++) {
		dp_clock_set(d, b * BLOCK + 7);
		(void)run_in(edge, &p, 1);
		assert_int_equal(got(DP_UP, DP_MARK_IN, b).packets, b == 100 ? 0 : 1);
	}
	assert_int_equal(dp_label_del(d, L, NULL, NULL), 0);
	label(EF);
	for (uint64_t b = 100; b < 106; b++)
		assert_int_equal(got(DP_UP, DP_MARK_IN, b).packets, 0);
	(void)run_in(edge, &p, 1);
	dp_clock_set(d, 105 * BLOCK + 9);
	(void)run_in(edge, &p, 1);
	(void)run_in(edge, &p, 1);
	assert_int_equal(got(DP_UP, DP_MARK_IN, 104).packets, 0);
	assert_int_equal(got(DP_UP, DP_MARK_IN, 105).packets, 2);
	assert_int_equal(got(DP_UP, DP_MARK_IN, 105).first_ns, 9);
}

/* A clock that was set back goes on from there; a packet of an old block is in none. */
static void a_clock_may_be_set(void **state)
{
	struct pkt p;

	(void)state;
	label(EF);
	udp6(&p, 0, 0, 1);
	dp_clock_set(d, 1000 * BLOCK);
	(void)run_in(edge, &p, 1);
	dp_clock_set(d, 996 * BLOCK);
	(void)run_in(edge, &p, 1);
	assert_int_equal(got(DP_UP, DP_MARK_IN, 996).packets, 0);
	assert_int_equal(got(DP_UP, DP_MARK_IN, 1000).packets, 1);
	dp_clock_set(d, 200 * BLOCK);
	(void)run_in(edge, &p, 1);
	assert_int_equal(got(DP_UP, DP_MARK_IN, 200).packets, 1);
	assert_int_equal(got(DP_UP, DP_MARK_IN, 1000).packets, 0);
}

static uint64_t seed = 7;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* Any number of packets at any moment, some lost on the way, some late by less than half a block:
 * the difference of finished blocks is the loss, block by block. */
static void the_difference_is_the_loss(void **state)
{
	struct pkt p;

	(void)state;
	label(EF);
	for (uint64_t b = 101; b < 140; b++) {
		uint64_t n = 1 + rnd(40), kept = 0, late = rnd(BLOCK / 2), at = 0;
		struct dp_mark in, far;

		for (uint64_t i = 0; i < n; i++) {
			struct ran r;

			at += rnd((BLOCK - at) / (n - i) + 1);
			at = at < BLOCK ? at : BLOCK - 1;
			dp_clock_set(d, b * BLOCK + at);
			udp6(&p, 0, 0, 1);
			r = run_in(edge, &p, 1);
			if (!rnd(4))
				continue;
			kept++;
			dp_clock_set(d, b * BLOCK + at + late);
			(void)run_ctx(out, &r.out,
				      (struct __sk_buff){ .mark = r.mark, .ingress_ifindex = 1 });
		}
		in = got(DP_UP, DP_MARK_IN, b);
		far = got(DP_UP, DP_MARK_OUT, b);
		assert_int_equal(in.packets, n);
		assert_int_equal(far.packets, kept);
		if (kept == n)
			assert_int_equal(far.sum_ns - in.sum_ns, n * late);
	}
}

/* Without code points nothing is written and nothing is counted. */
static void off_is_off(void **state)
{
	const struct dp_rule all = { .id = 1, .dscp = DP_DSCP_ANY, .label = L };
	const struct dp_label l = { .label = L, .valid_until = { INT64_MAX }, .dscp = EF };
	const struct dp_colours none = { 0 };
	struct dp *off = mark_open(&none);
	struct pkt p;

	(void)state;
	rules_set(off, &all, 1);
	label_set(off, &l);
	dp_clock_set(off, 101 * BLOCK);
	udp6(&p, 0, 0, 1);
	tagged(run_in(dp_prog_fd(off, DP_PROG_EDGE_IN), &p, 1), EF, 0);
	(void)dp_close(off);
}

static void pairs_are_checked(void **state)
{
	static const struct {
		uint32_t a, b;
		const char *why;
	} t[] = { { 64, 1, "0..63" },
		  { 1, 64, "0..63" },
		  { 5, 5, "5 twice" },
		  { EF, 1, "46: in another" },
		  { 1, EF1, "47: in another" } };
	struct dp_colours c = { 0 };

	(void)state;
	assert_int_equal(dp_colours_pair(&c, EF, EF1, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct dp_colours was = c;
		struct err e = { 0 };

		assert_int_equal(dp_colours_pair(&c, t[i].a, t[i].b, &e), -EINVAL);
		assert_non_null(strstr(e.text, t[i].why));
		assert_memory_equal(&c, &was, sizeof(c));
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_edge_writes_the_colour),    CASE(strangers_are_left_alone),
		CASE(nodes_take_the_nearest_block),  CASE(a_remark_keeps_the_colour),
		CASE(a_border_keeps_the_colour),     CASE(a_border_keeps_it_unwatched),
		CASE(points_lie_around_the_meter),   CASE(the_outer_header_shows_the_colour),
		CASE(a_new_owner_begins_anew),       CASE(a_clock_may_be_set),
		CASE(the_difference_is_the_loss),    CASE(off_is_off),
		cmocka_unit_test(pairs_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
