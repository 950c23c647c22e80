/* SPDX-License-Identifier: Apache-2.0 */
/* test_shape.c - the virtual queue at egress against a model on paper: departure times, marks,
 * drops, changes in place. The packets leave by the loopback device, which is ifindex 1. */
#include "pkt.h"

#define L     5u
#define MINOR 0x110u
#define LO    1u
#define MS    1000000ull

static struct dp *d;
static uint64_t now;

static int setup(void **state)
{
	const struct dp_label l = {
		.label = L, .valid_until = { INT64_MAX }, .dscp = DP_DSCP_ANY, .class_minor = MINOR
	};

	(void)state;
	d = offline_open(16);
	label_set(d, &l);
	now = 100 * SEC_NS;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	d = dp_close(d);
	return 0;
}

static void queue(uint32_t ifindex, uint32_t minor, uint64_t bps, uint32_t drop_us, uint32_t ce_us,
		  bool pace)
{
	const struct dp_queue q = { .ifindex = ifindex,
				    .minor = minor,
				    .rate = { bps },
				    .drop_us = drop_us,
				    .ce_us = ce_us,
				    .pace = pace };
	struct err e = { 0 };

	must(dp_shape_set(d, &q, NULL, &e), &e);
}

static struct dp_queue seen(uint32_t minor)
{
	struct dp_queue q;

	assert_int_equal(dp_shape_get(d, LO, minor, &q), 0);
	return q;
}

struct sent {
	uint32_t ret;
	uint64_t at; /* departure, 0 = none given */
	uint8_t tos;
};

/* The packet's own cost: 94 bytes of UDP over IPv6 unless it says otherwise. */
static struct sent leave(struct pkt *p, uint32_t mark, uint64_t own_time)
{
	struct __sk_buff ctx = { .mark = mark, .tstamp = own_time }, out = { 0 };
	struct pkt got = *p;
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->b, .data_size_in = (uint32_t)p->n,
		    .data_out = got.b, .data_size_out = sizeof(got.b), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .ctx_out = &out, .ctx_size_out = sizeof(out));

	dp_clock_set(d, now);
	assert_int_equal(bpf_prog_test_run_opts(dp_prog_fd(d, DP_PROG_OUT), &o), 0);
	return (struct sent){ o.retval, out.tstamp, tos_of(&got) };
}

static struct sent labelled(uint8_t tos)
{
	struct pkt p;

	udp6(&p, tos, L, 7001);
	return leave(&p, L, 0);
}

static uint64_t cost(const struct pkt *p, uint64_t bps)
{
	return (p->n * (((uint64_t)8000000000 << 20) / bps)) >> 20;
}

static void departs_by_the_rate(void **state)
{
	const uint64_t bps = 1000000;
	uint64_t next = now;
	struct pkt p;

	(void)state;
	udp6(&p, 0, L, 7001);
	queue(LO, MINOR, bps, 0, 0, true);
	for (int i = 0; i < 1000; i++) {
		struct sent s = leave(&p, L, 0);

		assert_int_equal(s.ret, PASS);
		assert_int_equal(s.at, next > now ? next : now);
		next = (next > now ? next : now) + cost(&p, bps);
		now += (uint64_t)i * 7919 % (2 * cost(&p, bps)); /* now early, now late */
	}
	assert_int_equal(seen(MINOR).packets, 1000);
	assert_int_equal(seen(MINOR).bytes, 1000 * p.n);
	dp_clock_set(d, next - 5 * MS); /* the gauge: a packet of now would leave in 5 ms */
	assert_int_equal(seen(MINOR).depth_us, 5000);
	dp_clock_set(d, next + 1);
	assert_int_equal(seen(MINOR).depth_us, 0);
	/* a sender that paces itself more slowly keeps its own time */
	assert_int_equal(leave(&p, L, now + 5 * SEC_NS).at, now + 5 * SEC_NS);
}

static void is_inert_without_a_queue(void **state)
{
	(void)state;
	queue(LO + 1, MINOR, 8000, 1000, 0, true); /* another device's */
	for (int i = 0; i < 50; i++) {
		struct sent s = labelled(2);

		assert_int_equal(s.ret, PASS);
		assert_int_equal(s.at, 0);
		assert_int_equal(s.tos, 2);
	}
}

/* Never longer than the bound, whatever is offered; marks from the threshold on, ECT only. */
static void bounds_the_queue(void **state)
{
	const uint64_t bps = 1000000, each = 94 * 8000; /* ns */
	uint64_t held = 0, passed = 0, marked = 0, dropped = 0;

	(void)state;
	queue(LO, MINOR, bps, 50000, 5000, false);
	for (int i = 0; i < 500; i++) {
		bool ect = i % 2;
		struct sent s = labelled(ect ? 2 : 0);

		if (held > 50 * MS) {
			assert_int_equal(s.ret, SHOT);
			dropped++;
			continue;
		}
		assert_int_equal(s.ret, PASS);
		assert_int_equal(s.at, 0); /* not paced: HTB or nothing waits behind it */
		assert_int_equal(s.tos & 3, !ect ? 0 : held > 5 * MS ? 3 : 2);
		marked += ect && held > 5 * MS;
		held += each;
		passed++;
	}
	assert_true(dropped > 400 && marked > 20);
	assert_int_equal(seen(MINOR).packets, passed);
	assert_int_equal(seen(MINOR).drops, dropped);
	assert_int_equal(seen(MINOR).marks, marked);
	now += 20 * MS; /* and lets in again what has drained */
	assert_int_equal(labelled(0).ret, PASS);
}

static void changes_in_place(void **state)
{
	uint64_t at;

	(void)state;
	queue(LO, MINOR, 1000000, 0, 0, true);
	for (int i = 0; i < 10; i++)
		(void)labelled(0);
	at = labelled(0).at;
	assert_int_equal(at, now + 10 * 94 * 8000);
	queue(LO, MINOR, 10000000, 0, 0, true);
	assert_int_equal(labelled(0).at, at + 94 * 8000); /* what waits keeps its time */
	assert_int_equal(labelled(0).at, at + 94 * 8800);
	assert_int_equal(seen(MINOR).packets, 13);
	dp_shape_del(d, LO, MINOR);
	assert_int_equal(labelled(0).at, 0);
	queue(LO, MINOR, 1000000, 0, 0, true); /* anew: nothing of the old one */
	assert_int_equal(labelled(0).at, now);
	assert_int_equal(seen(MINOR).packets, 1);
}

/* A packet may cost more than the longest queue: what it owes at a rate ends with the rate. */
static void debts_end_with_their_rate(void **state)
{
	(void)state;
	for (int pace = 0; pace < 2; pace++) {
		queue(LO, MINOR, 1000, 10000, 0, pace);
		assert_int_equal(labelled(0).ret, PASS); /* 752 ms are owed */
		queue(LO, MINOR, 1000, 10000, 0, pace);
		assert_int_equal(labelled(0).ret, SHOT);
		queue(LO, MINOR, 1000000, 10000, 0, pace);
		now += MS;
		assert_int_equal(labelled(0).ret, PASS);
		now += SEC_NS;
	}
}

/* A queue that only marks stands for a leaf of the qdisc: what the leaf drops is in neither. */
static void marks_end_with_the_overload(void **state)
{
	(void)state;
	queue(LO, MINOR, 1000000, 0, 5000, false);
	for (int i = 0; i < 1000; i++) /* 752 us each */
		assert_int_equal(labelled(1).ret, PASS);
	assert_int_equal(labelled(1).tos & 3, 3);
	now += 100 * MS;
	assert_int_equal(labelled(1).tos & 3, 1);
	assert_int_equal(seen(MINOR).packets, 1002);
}

static void the_rest_has_its_own(void **state)
{
	struct pkt p;

	(void)state;
	udp4(&p, 0, 7001);
	queue(LO, DP_MINOR_REST, 8000, 1000, 0, true);
	assert_int_equal(leave(&p, 0, 0).ret, PASS);
	assert_int_equal(leave(&p, 0, 0).ret, SHOT);
	assert_int_equal(labelled(0).ret, PASS); /* has a class of its own, which has no queue */
	assert_int_equal(labelled(0).ret, PASS);
	assert_int_equal(seen(DP_MINOR_REST).drops, 1);
}

/* --- moving a label -------------------------------------------------------------------------- */

static void move(uint32_t path, int32_t ahead_us)
{
	const struct dp_move m = {
		.label = L, .dir = DP_UP, .path = path, .ahead_us = ahead_us, .old_ifindex = LO
	};
	struct err e = { 0 };

	dp_clock_set(d, now);
	must(dp_steer_move(d, &m, NULL, &e), &e);
}

static uint64_t leaves_on(uint32_t path, uint64_t own_time)
{
	struct pkt p;

	udp6(&p, 0, L, 7001);
	return leave(&p, path << DP_MARK_PATH | L, own_time).at;
}

static void holds_on_a_faster_path(void **state)
{
	uint64_t flip = now;
	uint32_t path = 0;

	(void)state;
	assert_int_equal(dp_steer_set(d, L, DP_UP, 1, NULL, NULL), 0);
	move(2, 15000);
	assert_int_equal(dp_steer_get(d, L, DP_UP, &path), 0);
	assert_int_equal(path, 2);
	assert_int_equal(leaves_on(1, 0), 0); /* marked before the flip: as ever */
	for (now = flip; now < flip + 15 * MS; now += MS)
		assert_int_equal(leaves_on(2, 0), flip + 15 * MS); /* shrinking */
	assert_int_equal(leaves_on(2, 0), 0);
	now = flip + 3 * MS;
	move(1,
	     -15000); /* back at once: those held leave first, and the path is slower by as much */
	assert_int_equal(leaves_on(1, 0), 0);
	now = flip + 4 * MS;
	move(2, 15000); /* and again: after what was sent on 1 */
	assert_int_equal(leaves_on(2, 0), flip + 19 * MS);
	assert_int_equal(leaves_on(2, flip + 30 * MS), flip + 30 * MS);
	move(3, -5000); /* while 2 is held, a path that is slower by less must wait too */
	assert_int_equal(leaves_on(3, 0), flip + 14 * MS);
	now = flip + 3 * SEC_NS;
	assert_int_equal(leaves_on(2, 0), 0);
	assert_int_equal(leaves_on(3, 0), 0);
	move(2, 2000000);
	assert_int_equal(leaves_on(2, 0), now + 2 * SEC_NS);
}

/* What waits in the old path's queue counts; what is held keeps the rate afterwards, and its wait
 * is no reason to drop or mark. */
static void holds_with_queues(void **state)
{
	const uint64_t each = 94 * 8000;
	uint64_t flip = now;

	(void)state;
	queue(LO, MINOR, 1000000, 50000, 5000, true);
	assert_int_equal(dp_steer_set(d, L, DP_UP, 1, NULL, NULL), 0);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(leaves_on(1, 0), flip + i * each);
	move(2, 60000);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(leaves_on(2, 0), flip + 4 * each + 60 * MS + i * each);
	assert_int_equal(seen(MINOR).drops, 0);
	assert_int_equal(seen(MINOR).marks, 0);
}

static void refuses_moves(void **state)
{
	const struct dp_move bad[] = { { .label = 0, .path = 1 },
				       { .label = 16, .path = 1 },
				       { .label = L, .path = 0 },
				       { .label = L, .path = 256 },
				       { .label = L, .path = 1, .dir = 2 },
				       { .label = L, .path = 1, .ahead_us = 2000001 },
				       { .label = L, .path = 1, .ahead_us = -2000001 } };
	uint32_t path = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		enum refusal no = REFUSE_NONE;
		struct err e = { 0 };

		assert_int_equal(dp_steer_move(d, &bad[i], &no, &e), DP_REFUSED);
		assert_int_equal(no, i < 2 ? REFUSE_LABEL_RANGE : REFUSE_BODY_MALFORMED);
		assert_true(e.text[0] != 0);
	}
	assert_int_equal(dp_steer_get(d, L, DP_UP, &path), 0);
	assert_int_equal(path, 0);
}

static void refuses(void **state)
{
	struct dp_queue q = { .ifindex = LO, .minor = MINOR, .rate = { 1000000 } }, bad;
	enum refusal no = REFUSE_NONE;
	struct err e = { 0 };

	(void)state;
#define BAD(member, value)                                                    \
	do {                                                                  \
		bad = q;                                                      \
		bad.member = value;                                           \
		no = REFUSE_NONE;                                             \
		e = (struct err){ 0 };                                        \
		assert_int_equal(dp_shape_set(d, &bad, &no, &e), DP_REFUSED); \
		assert_int_equal(no, REFUSE_BODY_MALFORMED);                  \
		assert_true(e.text[0] != 0);                                  \
	} while (0)
	BAD(ifindex, 0);
	BAD(minor, 0);
	BAD(minor, 1);
	BAD(minor, DP_SHAPES);
	BAD(rate.bps, 0);
	BAD(rate.bps, 999);
	BAD(rate.bps, 400000000001);
	BAD(drop_us, 4000001);
	BAD(ce_us, 4000001);
	for (uint32_t i = 1; i <= DP_SHAPE_WAYS; i++)
		queue(i, MINOR, 1000000, 0, 0, false);
	q.ifindex = DP_SHAPE_WAYS + 1;
	assert_int_equal(dp_shape_set(d, &q, &no, &e), DP_REFUSED);
	assert_int_equal(no, REFUSE_MAP_FULL);
	dp_shape_del(d, 2, MINOR);
	must(dp_shape_set(d, &q, NULL, &e), &e);
	assert_int_equal(dp_shape_next(d, LO, 0), MINOR);
	assert_int_equal(dp_shape_next(d, LO, MINOR), 0);
	assert_int_equal(dp_shape_next(d, 2, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(departs_by_the_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(is_inert_without_a_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(bounds_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(debts_end_with_their_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(marks_end_with_the_overload, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rest_has_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_on_a_faster_path, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_with_queues, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
	};

	if (geteuid() != 0) {
		print_message("SKIPPED: needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
