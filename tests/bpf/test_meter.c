/* SPDX-License-Identifier: Apache-2.0 */
/* test_meter.c - the policer against a plain reference model, its actions, and passive RTT. */
#include <pthread.h>
#include <sched.h>

#include "pkt.h"

#define L 5u

static struct dp *d;
static int edge, node;
static uint64_t seed;

static int setup(void **state)
{
	const struct dp_rule all = { .id = 1, .dscp = DP_DSCP_ANY, .label = L };

	(void)state;
	d = offline_open(16);
	edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	node = dp_prog_fd(d, DP_PROG_NODE_IN);
	rules_set(d, &all, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	d = dp_close(d);
	return 0;
}

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

static struct dp_count counted(enum dp_dir dir)
{
	struct dp_count c;

	assert_int_equal(dp_counters_get(d, L, dir, &c), 0);
	return c;
}

static struct dp_label metered(uint64_t rate, uint64_t excess, uint32_t burst_us, enum dp_over over)
{
	const struct dp_profile p = { .rate = { rate },
				      .excess = { excess },
				      .burst_us = burst_us };

	return (struct dp_label){ .label = L,
				  .valid_until = { INT64_MAX },
				  .dscp = 34,
				  .dscp_over = 8,
				  .over = over,
				  .police_edge = true,
				  .police_node = true,
				  .dir = { p, p } };
}

/* GCRA as one would write it on paper: now and tat in ns, cost rounded down as bytes x the
 * line's ns per byte. */
struct model {
	uint64_t tat, rate, burst;
};

static bool model_takes(struct model *m, uint64_t now, uint64_t bytes)
{
	int shift = m->rate > 1000000000  ? 28
		    : m->rate > 100000000 ? 25
		    : m->rate > 10000000  ? 23
					  : 19;
	uint64_t per_byte = ((uint64_t)8000000000 << shift) / m->rate; /* 31 or 32 bits */
	uint64_t start = m->tat > now ? m->tat : now;

	if (start > now + m->burst)
		return false;
	m->tat = start + ((bytes * per_byte) >> shift);
	return true;
}

/* Bursty arrivals of one rate; `credit`: the burst has room for bytes that a CPU takes ahead. */
struct arrivals {
	uint64_t rate, gap;
	uint32_t burst_us;
	bool credit;
};

/* Without credit each verdict is the model's. With it, all that passes conforms to the model, and
 * as much passes as would at eleven twelfths of the burst. */
static void like_the_model(const struct arrivals *t, uint64_t now)
{
	struct dp_label l = metered(t->rate, 0, t->burst_us, DP_OVER_DROP);
	struct model m = { .rate = t->rate, .burst = t->burst_us * 1000ull }, low = m;
	uint64_t dropped = 0, dropped_bytes = 0, bytes = 0, least = 0;
	struct dp_count before = counted(DP_UP), after;

	low.burst = m.burst / 12 * 11;
	label_set(d, &l);
	for (int n = 0; n < 6000; n++) {
		struct pkt p;
		bool passes;

		now += rnd(50) ? rnd(t->gap) : rnd(t->gap * 400);
		dp_clock_set(d, now);
		eth(&p, 0, ETH_P_IPV6);
		v6(&p, 0, 0, 17, "fd10:1::2", "fd10:2::2");
		udp(&p, 1, 2, rnd(1400));
		finish(&p);
		passes = run_in(edge, &p, 1).ret == PASS;
		if (passes)
			assert_true(model_takes(&m, now, p.n));
		else
			assert_true(t->credit || !model_takes(&m, now, p.n));
		least += model_takes(&low, now, p.n) ? p.n : 0;
		bytes += passes ? p.n : 0;
		assert_true(bytes + 1500 >= least);
		dropped += !passes;
		dropped_bytes += passes ? 0 : p.n;
	}
	after = counted(DP_UP);
	dp_count_sub(&after, &before);
	print_message("  %llu bit/s: %llu of 6000 dropped\n", (unsigned long long)t->rate,
		      (unsigned long long)dropped);
	assert_true(dropped > 100 && dropped < 5900);
	assert_int_equal(after.drop_packets, dropped);
	assert_int_equal(after.drop_bytes, dropped_bytes);
	assert_int_equal(after.rx_packets, 6000 - dropped);
	assert_int_equal(after.rx_bytes, bytes);
}

static void drops_what_the_model_drops(void **state)
{
	static const struct arrivals t[] = { { 1000000, 900000, 250000, false },
					     { 20000000, 100000, 1000, false },
					     { 100000000, 6000, 100000, true },
					     { 200000000, 3000, 20000, true },
					     { 10000000000, 20, 1000, true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		seed = 42 + i;
		like_the_model(&t[i], (i + 1) * 100 * SEC_NS);
	}
}

/* --- all CPUs on one label -------------------------------------------------------------------- */

#define STEPS 200
static pthread_barrier_t step;

static void *hammer(void *arg)
{
	const int *cpu = arg;
	struct pkt p;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(*cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* fails where there is one CPU: no matter */
	udp6(&p, 0, L, 1);
	zeros(&p, 900);
	for (int i = 0; i < STEPS; i++) {
		struct __sk_buff ctx = { .ingress_ifindex = 1 };
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p.b, .data_size_in = (uint32_t)p.n,
			    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 400);

		(void)pthread_barrier_wait(&step);
		assert_int_equal(bpf_prog_test_run_opts(node, &o), 0);
		(void)pthread_barrier_wait(&step);
	}
	return NULL;
}

/* At every moment no more has passed than rate x time + burst, whoever holds credit, and in the
 * end nearly as much. */
static void cpus_share_one_contract(void **state)
{
	struct dp_label l = metered(1000000000, 0, 20000, DP_OVER_DROP);
	const uint64_t t0 = 1000 * SEC_NS, burst = 2500000, each = 125; /* bytes, per us */
	static const int cpu[] = { 0, 1 };
	pthread_t t[2];
	uint64_t most = 0;

	(void)state;
	label_set(d, &l);
	dp_clock_set(d, t0);
	assert_int_equal(pthread_barrier_init(&step, NULL, 3), 0);
	for (int i = 0; i < 2; i++) {
		int *arg = (int *)(uintptr_t)&cpu[i];

		assert_int_equal(pthread_create(&t[i], NULL, hammer, arg), 0);
	}
	for (uint64_t i = 0; i < STEPS; i++) {
		(void)pthread_barrier_wait(&step);
		dp_clock_set(d, t0 + i * 1000000 / 2);
		(void)pthread_barrier_wait(&step);
		most = burst + i * 500 * each +
		       1000; /* + 1000: the one that found room for a byte */
		assert_in_range(counted(DP_UP).rx_bytes, 1, most);
	}
	for (int i = 0; i < 2; i++)
		(void)pthread_join(t[i], NULL);
	print_message("  passed %llu bytes of %llu\n", (unsigned long long)counted(DP_UP).rx_bytes,
		      (unsigned long long)most);
	assert_true(counted(DP_UP).rx_bytes + burst / 12 >= most);
	(void)pthread_barrier_destroy(&step);
}

/* Two seconds at twice the contract: what passes is the contract plus one burst. */
static void long_run_rate(void **state)
{
	struct dp_label l = metered(10000000, 0, 250000, DP_OVER_DROP);
	uint64_t t0 = 50 * SEC_NS, passed = 0, want = 10000000 / 8 * 9 / 4; /* 2 s + 250 ms */
	struct pkt p;

	(void)state;
	label_set(d, &l);
	udp6(&p, 0, L, 1);
	zeros(&p, 1000);
	for (uint64_t now = t0; now < t0 + 2 * SEC_NS; now += p.n * 400) {
		dp_clock_set(d, now);
		if (run_in(node, &p, 1).ret == PASS)
			passed += p.n;
	}
	print_message("  passed %llu bytes of %llu\n", (unsigned long long)passed,
		      (unsigned long long)want);
	assert_true(passed >= want - p.n && passed <= want + 2 * p.n);
}

static void two_rates(void **state)
{
	struct dp_label l = metered(1000000, 1000000, 1000, DP_OVER_DROP);
	int green = 0, yellow = 0, red = 0;
	struct pkt p;

	(void)state;
	label_set(d, &l);
	udp4(&p, 46 << 2 | 1, 9);
	for (int i = 0; i < 20; i++) {
		struct ran r = run_in(edge, &p, 1);

		red += r.ret == SHOT;
		green += r.ret == PASS && tos_of(&r.out) == (34 << 2 | 1);
		yellow += r.ret == PASS && tos_of(&r.out) == (8 << 2 | 1);
		assert_true(r.ret == SHOT || csum_right(&r.out));
	}
	/* 74 bytes at 1 Mbit/s = 592 us; burst 1 ms: two packets per rate */
	assert_int_equal(green, 2);
	assert_int_equal(yellow, 2);
	assert_int_equal(red, 16);
	assert_int_equal(counted(DP_UP).excess, 2);
	assert_int_equal(counted(DP_UP).drop_packets, 16);
}

/* RFC 4115: the two bursts are apart. */
static void bursts_apart(void **state)
{
	struct dp_label l = metered(1000000, 1000000, 1000, DP_OVER_DROP);
	int colours[3] = { 0 };
	struct pkt p;

	(void)state;
	l.dir[0].eburst_us = 4000;
	label_set(d, &l);
	udp4(&p, 0, 9);
	for (int i = 0; i < 20; i++) {
		struct ran r = run_in(edge, &p, 1);

		colours[r.ret == SHOT ? 2 : tos_of(&r.out) == 34 << 2 ? 0 : 1]++;
	}
	/* 592 us each: 0, 592 <= 1 ms; 0, 592, .. 3552 <= 4 ms */
	assert_int_equal(colours[0], 2);
	assert_int_equal(colours[1], 7);
	assert_int_equal(colours[2], 11);
}

/* Three labels of 1 Mbit/s committed and 10 excess under 4 Mbit/s: together the ceiling, each at
 * least what is committed to it, whatever the others send. */
static void ceiling_over_labels(void **state)
{
	const struct dp_ceiling c = { .id = 3, .rate = { { 4000000 }, { 0 } }, .burst_us = 100000 };
	uint64_t t0 = 200 * SEC_NS, passed[3] = { 0 }, all;
	struct pkt p[3];

	(void)state;
	assert_int_equal(dp_ceiling_set(d, &c, NULL, NULL), 0);
	for (uint32_t i = 0; i < 3; i++) {
		struct dp_label l = metered(1000000, 10000000, 20000, DP_OVER_DROP);

		l.label = 8 + i;
		l.ceiling = 3;
		label_set(d, &l);
		udp6(&p[i], 0, 8 + i, 1);
		zeros(&p[i], 1000);
	}
	/* 10 s; label 8 sends 1 Mbit/s, the other two 8 each */
	for (uint64_t now = t0; now < t0 + 10 * SEC_NS; now += p[0].n * 1000) {
		for (int k = 0; k < 17; k++) {
			int i = k == 8 ? 0 : 1 + k % 2;

			dp_clock_set(d, now + (uint64_t)k * 60 * p[0].n);
			if (run_in(node, &p[i], 1).ret == PASS)
				passed[i] += p[i].n;
		}
	}
	all = passed[0] + passed[1] + passed[2];
	print_message("  passed %llu %llu %llu\n", (unsigned long long)passed[0],
		      (unsigned long long)passed[1], (unsigned long long)passed[2]);
	/* 8 offers slightly less than its committed rate (the step rounds up) and loses nothing */
	assert_true(passed[0] > 1240000);
	assert_true(passed[1] > 1250000 && passed[2] > 1250000);
	assert_in_range(all, 5000000, 5000000 + 50000 + 3 * p[0].n);
	assert_int_equal(dp_ceiling_del(d, 3, NULL, NULL), DP_REFUSED);
	for (uint32_t i = 8; i < 11; i++)
		assert_int_equal(dp_label_del(d, i, NULL, NULL), 0);
	assert_int_equal(dp_ceiling_del(d, 3, NULL, NULL), 0);
	assert_int_equal(dp_ceiling_get(d, 3, &(struct dp_ceiling){ 0 }), -ENOENT);
}

/* Over the rate: remark, or CE where the sender speaks ECN and a drop where it does not. */
static void over_actions(void **state)
{
	static const struct {
		enum dp_over over;
		uint8_t tos, want; /* want: DSCP and ECN of the packet over the rate */
		uint32_t ret;
	} t[] = {
		{ DP_OVER_DROP, 0, 0, SHOT },          { DP_OVER_REMARK, 1, 8 << 2 | 1, PASS },
		{ DP_OVER_ECN, 0, 0, SHOT },           { DP_OVER_ECN, 1, 34 << 2 | 3, PASS },
		{ DP_OVER_ECN, 2, 34 << 2 | 3, PASS }, { DP_OVER_ECN, 3, 34 << 2 | 3, PASS },
	};

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < ARRAY_LEN(t); i++) {
			struct dp_label l = metered(1000, 0, 1000, t[i].over);
			struct pkt p;
			struct ran r;

			dp_clock_set(d, (uint64_t)(family * 10 + (int)i) * 100 * SEC_NS);
			label_set(d, &l);
			if (family == 4)
				udp4(&p, t[i].tos, 9);
			else
				udp6(&p, t[i].tos, 0, 9);
			assert_int_equal(run_in(edge, &p, 1).ret, PASS);
			r = run_in(edge, &p, 1);
			assert_int_equal(r.ret, t[i].ret);
			if (r.ret != PASS)
				continue;
			assert_int_equal(tos_of(&r.out), t[i].want);
			assert_true(family == 6 || csum_right(&r.out));
			assert_int_equal(r.mark, L);
		}
	}
	assert_int_equal(counted(DP_UP).remarked, 2);
	assert_int_equal(counted(DP_UP).ce, 6);
}

/* A node that marks touches ECN and nothing else; flags say where the meter works. */
static void where_it_polices(void **state)
{
	struct dp_label l = metered(1000, 0, 1000, DP_OVER_ECN);
	struct pkt p;
	struct ran r;

	(void)state;
	label_set(d, &l);
	udp6(&p, 12 << 2 | 2, L, 9);
	run_in(node, &p, 1);
	r = run_in(node, &p, 1);
	assert_int_equal(tos_of(&r.out), 12 << 2 | 3);
	assert_int_equal(label_of(&r.out), L);
	l = metered(1000, 0, 1000, DP_OVER_DROP);
	l.police_node = false;
	label_set(d, &l);
	for (int i = 0; i < 3; i++)
		assert_int_equal(run_in(node, &p, 1).ret, PASS);
	assert_int_equal(run_in(edge, &p, 1).ret, SHOT);
	l.police_edge = false;
	label_set(d, &l);
	assert_int_equal(run_in(edge, &p, 1).ret, PASS);
}

/* Raised in place: the debt at the old rate is at most the burst, then the new rate holds. */
static void raised_in_place(void **state)
{
	struct dp_label l = metered(1000000, 0, 10000, DP_OVER_DROP);
	uint64_t now = 10 * SEC_NS;
	struct pkt p;
	int n = 0;

	(void)state;
	label_set(d, &l);
	udp6(&p, 0, L, 9);
	dp_clock_set(d, now);
	while (run_in(node, &p, 1).ret == PASS)
		n++;
	assert_int_equal(n, 14); /* 94 bytes = 752 us each; 13 x 752 us <= 10 ms */
	l = metered(100000000, 0, 10000, DP_OVER_DROP);
	label_set(d, &l);
	for (n = 0; n < 100; n++) {
		dp_clock_set(d, now + 2000000 + (uint64_t)n * 8000);
		assert_int_equal(run_in(node, &p, 1).ret, PASS);
	}
}

/* A packet whose cost is above the whole burst still passes when nothing is owed. */
static void giant_packet(void **state)
{
	struct dp_label l = metered(100000, 0, 1000, DP_OVER_DROP);
	struct pkt p;

	(void)state;
	label_set(d, &l);
	udp6(&p, 0, L, 9);
	zeros(&p, 1300);
	assert_int_equal(run_in(node, &p, 1).ret, PASS);
	assert_int_equal(run_in(node, &p, 1).ret, SHOT);
	dp_clock_set(d, 101 * SEC_NS);
	assert_int_equal(run_in(node, &p, 1).ret, PASS);
}

/* What is owed at a rate is owed as time: a changed rate begins with an empty bucket at worst, a
 * new owner with a full one, and to say the same again forgives nothing. */
static void debts_end_with_their_rate(void **state)
{
	struct dp_label slow = metered(1000, 0, 10000, DP_OVER_DROP);
	struct dp_label fast = metered(1000000, 0, 10000, DP_OVER_DROP);
	struct dp_ceiling c = { .id = 3, .rate = { { 1000 }, { 1000 } }, .burst_us = 10000 };
	uint64_t now = 10 * SEC_NS;
	struct pkt p;
	int n = 0;

	(void)state;
	udp6(&p, 0, L, 9);
	dp_clock_set(d, now);
	label_set(d, &slow);
	assert_int_equal(run_in(node, &p, 1).ret, PASS); /* 752 ms are owed */
	label_set(d, &slow);
	assert_int_equal(run_in(node, &p, 1).ret, SHOT);
	label_set(d, &fast);
	dp_clock_set(d, now += 1000000);
	assert_int_equal(run_in(node, &p, 1).ret, PASS);
	label_set(d, &slow);
	dp_clock_set(d, now += SEC_NS);
	assert_int_equal(run_in(node, &p, 1).ret, PASS);
	assert_int_equal(dp_label_del(d, L, NULL, NULL), 0);
	label_set(d, &fast);
	while (run_in(node, &p, 1).ret == PASS)
		n++;
	assert_int_equal(n, 14);
	must(dp_ceiling_set(d, &c, NULL, NULL), &(struct err){ 0 });
	fast.ceiling = 3;
	dp_clock_set(d, now += SEC_NS);
	label_set(d, &fast);
	assert_int_equal(run_in(node, &p, 1).ret, PASS);
	assert_int_equal(run_in(node, &p, 1).ret, SHOT);
	c.rate[0].bps = c.rate[1].bps = 1000000;
	must(dp_ceiling_set(d, &c, NULL, NULL), &(struct err){ 0 });
	dp_clock_set(d, now += 1000000);
	assert_int_equal(run_in(node, &p, 1).ret, PASS);
}

/* --- passive RTT ------------------------------------------------------------------------------ */

struct seg {
	bool reverse;
	size_t payload;
	uint32_t tsval, tsecr;
};

static void tcp_seg(struct pkt *p, const struct seg *s, bool in_v4)
{
	uint16_t a = s->reverse ? 80 : 40000, b = s->reverse ? 40000 : 80;

	if (in_v4) {
		eth(p, 0, ETH_P_IPV6);
		v6(p, 0, L, IPPROTO_IPIP, "fd10::1", "fd10::2");
		v4(p, 0, 6, s->reverse ? "10.2.0.2" : "10.1.0.2",
		   s->reverse ? "10.1.0.2" : "10.2.0.2", 0, 0);
	} else {
		eth(p, 0, ETH_P_IPV6);
		v6(p, 0, L, 6, s->reverse ? "fd10:2::2" : "fd10:1::2",
		   s->reverse ? "fd10:1::2" : "fd10:2::2");
	}
	put16(p, a);
	put16(p, b);
	zeros(p, 8);
	put32(p, 0x80100000);
	zeros(p, 4);
	put32(p, 0x0101080a);
	put32(p, s->tsval);
	put32(p, s->tsecr);
	zeros(p, s->payload);
	finish(p);
	if (in_v4) {
		p->l3 = 14;
		finish(p);
	}
}

static void rtt_run(bool in_v4)
{
	static const struct {
		uint64_t at_us;
		struct seg s;
	} t[] = {
		{ 0, { false, 100, 1000, 1 } },
		{ 100, { false, 100, 1000, 1 } },     /* same TSval: the first counts */
		{ 5000, { true, 0, 7, 1000 } },       /* 5 ms: bucket 12 */
		{ 5100, { true, 0, 7, 1000 } },       /* echoed again: no second sample */
		{ 9000, { false, 0, 1009, 7 } },      /* pure acknowledgement: not noted */
		{ 900000, { true, 100, 900, 1009 } }, /* so its echo is no sample */
		{ 920000, { false, 0, 1920, 900 } },  /* but this data took 20 ms: bucket 14 */
		{ 930000, { true, 0, 901, 55555 } },  /* an echo of nothing */
	};
	struct dp_label l = { .label = L,
			      .valid_until = { INT64_MAX },
			      .dir = { { .bind_ifindex = 1 }, { .bind_ifindex = 2 } } };
	struct dp_rtt up, down;

	label_set(d, &l);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct pkt p;

		tcp_seg(&p, &t[i].s, in_v4);
		dp_clock_set(d, 1000 * SEC_NS + t[i].at_us * 1000);
		assert_int_equal(run_in(node, &p, t[i].s.reverse ? 2 : 1).mark, L);
	}
	assert_int_equal(dp_rtt_get(d, L, DP_UP, &up), 0);
	assert_int_equal(dp_rtt_get(d, L, DP_DOWN, &down), 0);
	assert_int_equal(up.samples, 1);
	assert_int_equal(up.bucket[12], 1);
	assert_int_equal(up.sum_us, 5000);
	assert_int_equal(down.samples, 1);
	assert_int_equal(down.bucket[14], 1);
	assert_int_equal(down.sum_us, 20000);
}

static void rtt_v6(void **state)
{
	(void)state;
	rtt_run(false);
}

static void rtt_v4_inside(void **state)
{
	(void)state;
	rtt_run(true);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(drops_what_the_model_drops),
		T(cpus_share_one_contract),
		T(long_run_rate),
		T(two_rates),
		T(bursts_apart),
		T(ceiling_over_labels),
		T(over_actions),
		T(where_it_polices),
		T(raised_in_place),
		T(giant_packet),
		T(debts_end_with_their_rate),
		T(rtt_v6),
		T(rtt_v4_inside),
	};

	return cmocka_run_group_tests_name("bpf meter", tests, NULL, NULL);
}
