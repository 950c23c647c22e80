/* SPDX-License-Identifier: Apache-2.0 */
/* test_event.c - every cause comes out of the ring once, a flood of one is held back and counted,
 * and holds no other back. */
#include <bpf/libbpf.h>

#include "pkt.h"

#define L 5u

static struct dp *d;
static struct dp_event got[4096];
static int n_got;

static int setup(void **state)
{
	(void)state;
	d = offline_open(16);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	d = dp_close(d);
	return 0;
}

static void on_event(void *arg, const struct dp_event *ev)
{
	(void)arg;
	assert_true(n_got < (int)ARRAY_LEN(got));
	got[n_got++] = *ev;
}

static int drain(void)
{
	struct err e = { 0 };
	int r;

	n_got = 0;
	r = dp_events(d, on_event, NULL, &e);
	assert_int_equal(r, n_got);
	return n_got;
}

static void label(int64_t until_us, uint32_t bind, uint64_t rate)
{
	const struct dp_label l = {
		.label = L,
		.valid_until = { until_us },
		.dscp = DP_DSCP_ANY,
		.police_node = rate != 0,
		.dir = { { .bind_ifindex = bind, .rate = { rate }, .burst_us = 1000 },
			 { .bind_ifindex = bind } }
	};

	label_set(d, &l);
}

static void one(uint32_t cause, uint32_t of)
{
	assert_int_equal(drain(), 1);
	assert_int_equal(got[0].cause, cause);
	assert_int_equal(got[0].label, of);
	assert_int_equal(got[0].at, 100 * SEC_NS);
	assert_int_equal(got[0].held_back, 0);
	assert_string_not_equal(dp_cause_text(cause), "?");
}

static void each_cause_is_told(void **state)
{
	int node = dp_prog_fd(d, DP_PROG_NODE_IN);
	struct pkt p;

	(void)state;
	udp6(&p, 0, L, 1);
	label(INT64_MAX, 0, 0);
	(void)run_in(node, &p, 1);
	assert_int_equal(drain(), 0);
	label(INT64_MAX, 77, 0);
	(void)run_in(node, &p, 1);
	one(DP_EV_BINDING, L);
	label(5, 0, 0);
	(void)run_in(node, &p, 1);
	one(DP_EV_EXPIRED, L);
	label(INT64_MAX, 0, 1000);
	for (int i = 0; i < 5; i++)
		(void)run_in(node, &p, 1);
	one(DP_EV_DROP, L); /* the first of four */
	udp6(&p, 0, L + 1, 1);
	(void)run_in(node, &p, 1);
	one(DP_EV_UNKNOWN, L + 1);
	p.b[p.l3] = 0;
	(void)run_in(node, &p, 1);
	one(DP_EV_PARSE, 0);
	eth(&p, 0, ETH_P_ARP);
	zeros(&p, 28);
	(void)run_in(node, &p, 1);
	assert_int_equal(drain(), 0); /* somebody else's protocol is no event */
}

/* A bout of drops ends after a second without one. */
static void drops_begin_again(void **state)
{
	int node = dp_prog_fd(d, DP_PROG_NODE_IN), dropped = 0;
	struct pkt p;

	(void)state;
	label(INT64_MAX, 0, 8000); /* a packet takes 0.1 s */
	udp6(&p, 0, L, 1);
	for (uint64_t ms = 0; ms < 5000; ms += 20) {
		if (ms > 1500 && ms < 3500)
			continue;
		dp_clock_set(d, 100 * SEC_NS + ms * 1000000);
		dropped += run_in(node, &p, 1).ret == SHOT;
	}
	assert_true(dropped > 50);
	assert_int_equal(drain(), 2);
	assert_true(got[1].at - got[0].at > 2 * SEC_NS);
}

static void a_flood_is_held_back(void **state)
{
	int node = dp_prog_fd(d, DP_PROG_NODE_IN);
	struct dp_event_count c;
	uint64_t held = 0;
	struct pkt p;

	(void)state;
	udp6(&p, 0, L, 1);
	for (uint64_t i = 0; i < 1000; i++) { /* ten seconds */
		dp_clock_set(d, 100 * SEC_NS + i * 10000000);
		for (int k = 0; k < 20; k++)
			(void)run_in(node, &p, 1);
	}
	(void)drain();
	for (int i = 0; i < n_got; i++) {
		assert_int_equal(got[i].cause, DP_EV_UNKNOWN);
		held += got[i].held_back;
	}
	assert_int_equal(dp_events_count(d, DP_EV_UNKNOWN, &c), 0);
	assert_int_equal(c.seen, 20000);
	assert_int_equal(c.seen - c.held_back, n_got);
	/* The test may have moved between the CPUs, each of which has its own gate. */
	assert_in_range(n_got, 1, libbpf_num_possible_cpus() * (int)DP_EV_PER_S * 11);
	assert_in_range(held, 1, c.held_back);
	label(5, 0, 0);
	udp6(&p, 0, L, 1);
	(void)run_in(node, &p, 1);
	assert_int_equal(drain(), 1);
	assert_int_equal(got[0].cause, DP_EV_EXPIRED);
	assert_int_equal(dp_events_count(d, 0, &c), -ERANGE);
	assert_int_equal(dp_events_count(d, DP_EV_MAX, &c), -ERANGE);
}

/* Nobody reads: the ring fills up and what does not fit is counted; then it goes on. */
static void a_full_ring_loses_the_record_only(void **state)
{
	int node = dp_prog_fd(d, DP_PROG_NODE_IN);
	struct dp_event_count c;
	struct pkt p;

	(void)state;
	udp6(&p, 0, L, 1);
	for (uint64_t i = 0; i < 4000; i++) {
		dp_clock_set(d, (100 + i) * SEC_NS);
		assert_int_equal(run_in(node, &p, 1).ret, PASS);
	}
	assert_int_equal(dp_events_count(d, DP_EV_UNKNOWN, &c), 0);
	assert_int_equal(c.seen, 4000);
	assert_in_range(drain(), 1000, 3999);
	assert_int_equal(c.seen - c.held_back, n_got);
	dp_clock_set(d, 9000 * SEC_NS);
	(void)run_in(node, &p, 1);
	assert_int_equal(drain(), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(each_cause_is_told), CASE(drops_begin_again),
					    CASE(a_flood_is_held_back),
					    CASE(a_full_ring_loses_the_record_only) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
