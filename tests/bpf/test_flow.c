/* SPDX-License-Identifier: Apache-2.0 */
/* test_flow.c - the flow cache: full, crowded, torn; and tables that change under their readers. */
#include "pkt.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "bpf/treaty.skel.h"
#pragma GCC diagnostic pop

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

static uint64_t seed = 20261128;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static struct dp_flow_set *cache_map(struct dp *d, size_t *len)
{
	struct dp_features f;
	void *p;

	dp_features(d, &f);
	*len = f.flows * sizeof(struct dp_flow);
	p = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_SHARED, dp_map_fd(d, "flows"), 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static uint64_t misses(struct dp *d)
{
	struct dp_cache_count c;

	dp_cache_get(d, &c);
	return c.misses;
}

static uint32_t used(struct dp *d)
{
	struct dp_used u;

	dp_used_get(d, &u);
	return u.flows;
}

static void flow_n(struct pkt *p, uint32_t i)
{
	udp6(p, 0, 0, (uint16_t)(7000 + i % 10));
	p->b[p->l3 + 20] = (uint8_t)(i >> 16);
	p->b[p->l3 + 21] = (uint8_t)(i >> 8);
	p->b[p->l3 + 22] = (uint8_t)i;
}

static struct dp *open_small(uint32_t flows)
{
	struct dp_config c = { .offline = true, .labels = 64, .flows = flows };
	struct dp *d = NULL;
	struct err e = { 0 };
	struct dp_rule r[10];

	must(dp_open(&d, &c, &e), &e);
	for (uint32_t i = 0; i < 10; i++) {
		label_set(d, &(struct dp_label){ .label = i + 1, .valid_until = { INT64_MAX } });
		r[i] = (struct dp_rule){ .id = i + 1,
					 .dscp = DP_DSCP_ANY,
					 .dport_min = (uint16_t)(7000 + i),
					 .dport_max = (uint16_t)(7000 + i),
					 .label = i + 1 };
	}
	rules_set(d, r, 10);
	return d;
}

/* Far more flows than entries: every answer stays right, sets overflow, nothing grows. */
static void cache_overflows(void **state)
{
	struct dp *d = open_small(16);
	int edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	struct dp_cache_count c;
	struct pkt p;

	(void)state;
	for (int i = 0; i < 4000; i++) {
		uint32_t n = rnd(500);

		flow_n(&p, n);
		assert_int_equal(run_in(edge, &p, 1).mark, n % 10 + 1);
	}
	dp_cache_get(d, &c);
	assert_in_range(c.misses, 500, 4000);
	assert_true(c.evicted > 400 && c.evicted < c.misses);
	assert_int_equal(c.busy, 0);
	assert_int_equal(used(d), 16);
	d = dp_close(d);
}

/* All flows fit: each is missed once, also where four share a set. */
static void cache_holds(void **state)
{
	struct dp *d = open_small(16384);
	int edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	struct pkt p;

	(void)state;
	for (int round = 0; round < 3; round++)
		for (uint32_t n = 0; n < 1000; n++) {
			flow_n(&p, n);
			assert_int_equal(run_in(edge, &p, 1).mark, n % 10 + 1);
		}
	/* Five of 1000 in one of 4096 sets: once in fifty runs, and then a few flows contend. */
	assert_in_range(misses(d), 1000, 1030);
	assert_in_range(used(d), 970, 1000);
	assert_int_equal(dp_rule_del(d, 1, NULL, NULL), 0);
	assert_int_equal(used(d), 0); /* answers of other rules are free entries */
	d = dp_close(d);
}

/* A large table is looked at in part: what fills it by an eighth is found to within a twelfth. */
static void large_cache_is_estimated(void **state)
{
	struct dp *d = open_small(1u << 18);
	int edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	struct pkt p;

	(void)state;
	assert_int_equal(used(d), 0);
	for (uint32_t n = 0; n < 1u << 15; n++) {
		flow_n(&p, n);
		assert_int_equal(run_in(edge, &p, 1).mark, n % 10 + 1);
	}
	assert_in_range(used(d), 30000, 35500);
	d = dp_close(d);
}

/* By how much the words of the ports must grow that a place without a fold would hardly move. */
static uint32_t least_step(const struct dp_seek *s)
{
	uint64_t c = (uint32_t)((1u << 24 | 6u << 16 | IPPROTO_UDP) + s->key[9]) * s->last;
	uint64_t least = UINT64_MAX;
	uint32_t step = 0;

	for (uint32_t i = 1; i < 1u << 20; i++) {
		uint64_t x = i * c, moved = x > -x ? -x : x;

		if (moved < least) {
			least = moved;
			step = i;
		}
	}
	return step;
}

/* Flows that count up, by whatever step, do not fall into one set. */
static void flows_that_count_up_are_spread(void **state)
{
	struct dp *d = open_small(16384);
	int edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	struct dp_rule any = { .id = 1, .dscp = DP_DSCP_ANY, .label = 1 };
	struct treaty_bpf__bss *bss;
	uint64_t before;
	uint32_t step;
	struct pkt p;

	(void)state;
	bss = mmap(NULL, sizeof(*bss), PROT_READ, MAP_SHARED, dp_map_fd(d, ".bss"), 0);
	assert_ptr_not_equal(bss, MAP_FAILED);
	step = least_step(&bss->seek);
	(void)munmap(bss, sizeof(*bss));
	rules_set(d, &any, 1);
	before = misses(d);
	for (int round = 0; round < 3; round++)
		for (uint32_t i = 0, ports = 0x100; i < 16; i++, ports += step) {
			udp6(&p, 0, 0, (uint16_t)(ports >> 16));
			p.b[p.l4] = (uint8_t)(ports >> 8);
			p.b[p.l4 + 1] = (uint8_t)ports;
			assert_int_equal(run_in(edge, &p, 1).mark, 1);
		}
	assert_int_equal(misses(d) - before, 16);
	d = dp_close(d);
}

/* An entry that is being written, and one whose key differs in any single word, is a miss: the
 * wrong label in it is never used. */
static void torn_entry_is_a_miss(void **state)
{
	struct dp *d = open_small(4);
	int edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	struct dp_flow_set *set;
	struct pkt p;
	size_t len;

	(void)state;
	set = cache_map(d, &len);
	for (size_t off = 0; off < offsetof(struct dp_flow, label); off += 4) {
		uint64_t before;
		int way = 0;

		memset(set, 0, sizeof(*set));
		flow_n(&p, 3);
		assert_int_equal(run_in(edge, &p, 1).mark, 4);
		before = misses(d);
		while (way < DP_FLOW_WAYS - 1 && !set->way[way].seq)
			way++;
		set->way[way].label = 9;
		assert_int_equal(run_in(edge, &p, 1).mark, 9); /* it is what is read */
		*(uint32_t *)(void *)((char *)&set->way[way] + off) ^= 1;
		assert_int_equal(run_in(edge, &p, 1).mark, 4);
		assert_int_equal(misses(d), before + 1);
	}
	(void)munmap(set, len);
	d = dp_close(d);
}

/* A flow is one entry whatever labels its packets carry, until some rule asks for the label. */
static void labels_are_in_the_key_when_asked_for(void **state)
{
	struct dp *d = open_small(1024);
	int edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	struct dp_rule r[3] = { { .id = 1, .prio = 2, .dscp = DP_DSCP_ANY, .label = 1 },
				{ .id = 2, .dscp = DP_DSCP_ANY, .label = 2, .label_in = 7 } };
	struct pkt p;

	(void)state;
	for (int asked = 0; asked < 3; asked++) {
		uint64_t before = misses(d);

		rules_set(d, r, asked == 1 ? 2 : 1);
		for (int round = 0; round < 2; round++)
			for (uint32_t label = 1; label <= 20; label++) {
				udp6(&p, 0, label, 7001);
				assert_int_equal(run_in(edge, &p, 1).mark,
						 asked == 1 && label == 7 ? 2 : 1);
			}
		udp4(&p, 0, 7001);
		assert_int_equal(run_in(edge, &p, 1).mark, 1);
		assert_int_equal(misses(d) - before, asked == 1 ? 21 : 2);
	}
	d = dp_close(d);
}

/* --- tables that change under their readers --------------------------------------------------- */

#define TABLE 400

struct reader {
	struct dp *d;
	bool stop;
	uint64_t runs, wrong;
};

/* Every packet is of one of the two labels, whatever table it meets. */
static void *read_on(void *arg)
{
	struct reader *r = arg;
	int edge = dp_prog_fd(r->d, DP_PROG_EDGE_IN);
	struct pkt p;

	for (uint32_t i = 0; !__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE); i++) {
		uint32_t mark;

		flow_n(&p, i * 10 + 1); /* a new flow each time: the tables are walked */
		mark = run_in(edge, &p, 1).mark;
		r->wrong += mark != 1 && mark != 2;
		(void)__atomic_add_fetch(&r->runs, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static uint64_t runs_of(const struct reader *r)
{
	return __atomic_load_n(&r->runs, __ATOMIC_RELAXED);
}

/* Rules of many masks that match nothing, and behind them one that does. */
static void table_make(struct dp_rule r[TABLE], uint32_t label)
{
	for (uint32_t i = 0; i < TABLE - 1; i++) {
		r[i] = (struct dp_rule){ .id = i + 2,
					 .prio = i,
					 .family = 6,
					 .dscp = DP_DSCP_ANY,
					 .src = { .addr = { 0x20, (uint8_t)rnd(256) },
						  .len = (uint8_t)(16 + rnd(4)) },
					 .label = 9 };
	}
	r[TABLE - 1] = (struct dp_rule){ .id = 1,
					 .prio = TABLE,
					 .dscp = DP_DSCP_ANY,
					 .dport_min = 7001,
					 .dport_max = 7001,
					 .label = label };
}

/* Returns how many answers were of neither table. */
static uint64_t changed_under_readers(int changes)
{
	static struct dp_rule table[2][TABLE];
	struct dp *d = open_small(64);
	struct reader r = { .d = d };
	pthread_t t;

	table_make(table[0], 1);
	table_make(table[1], 2);
	rules_set(d, table[0], TABLE);
	assert_int_equal(pthread_create(&t, NULL, read_on, &r), 0);
	for (int i = 0; i < changes; i++) {
		uint64_t ran = runs_of(&r);

		rules_set(d, table[i & 1], TABLE);
		while (runs_of(&r) == ran) /* on a busy machine it may not have begun */
			(void)sched_yield();
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(t, NULL), 0);
	d = dp_close(d);
	return r.wrong;
}

static void tables_change_under_readers(void **state)
{
	(void)state;
	assert_int_equal(changed_under_readers(30), 0);
}

/* As on a machine with nohz_full: membarrier is not to be had. */
static void tables_change_without_membarrier(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

		if (!f || seccomp_rule_add(f, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(membarrier), 0) ||
		    seccomp_load(f))
			_exit(2);
		seccomp_release(f);
		_exit(changed_under_readers(5) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Who shares a data plane by a fork has no thread that waits, and neither hangs nor ends it. */
static void child_waits_by_itself(void **state)
{
	struct dp *d = open_small(16);
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		int r = dp_rule_del(d, 1, NULL, NULL);

		r = r ? r : dp_rule_del(d, 2, NULL, NULL);
		d = dp_close(d);
		_exit(r != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(dp_rule_del(d, 3, NULL, NULL), 0);
	d = dp_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cache_overflows),
		cmocka_unit_test(cache_holds),
		cmocka_unit_test(large_cache_is_estimated),
		cmocka_unit_test(flows_that_count_up_are_spread),
		cmocka_unit_test(labels_are_in_the_key_when_asked_for),
		cmocka_unit_test(torn_entry_is_a_miss),
		cmocka_unit_test(tables_change_under_readers),
		cmocka_unit_test(tables_change_without_membarrier),
		cmocka_unit_test(child_waits_by_itself),
	};

	return cmocka_run_group_tests_name("bpf flow cache", tests, NULL, NULL);
}
