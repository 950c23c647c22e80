/* SPDX-License-Identifier: Apache-2.0 */
/* bench_labels.c - the data plane on up to a million random flows and labels, by BPF_PROG_TEST_RUN
 * of dp.bpf.c, beside the bare lookups that are its floors. Rounds are interleaved, so that a slow
 * moment of the machine hits all alike; medians are printed, one JSON object per line. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/dataplane.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "tests/bench/dp.skel.h"
#pragma GCC diagnostic pop

#define ROUNDS   7
#define REPEAT   200000
#define MILLION  1000000u
#define LABELS   (1u << 20)
#define FLOWS    (1u << 22)
#define NO_LIMIT 0xfffffff0u

static const uint8_t v6_udp[] = {
	0x02, 0, 0, 0,  0,  2,  0x02, 0,    0,    0,    0, 1,  0x86, 0xdd, 0x60, 0,
	0,    1, 0, 24, 17, 64, 0xfd, 0x10, 0,    1,    0, 0,  0,    0,    0,    0,
	0,    0, 0, 0,  0,  2,  0xfd, 0x10, 0,    2,    0, 0,  0,    0,    0,    0,
	0,    0, 0, 0,  0,  2,  0x9c, 0x40, 0x1b, 0x59, 0, 24, 0,    0,    0,    0,
	0,    0, 0, 0,  0,  0,  0,    0,    0,    0,    0, 0,  0,    0,
};

static int by_value(const void *x, const void *y)
{
	int a, c;

	memcpy(&a, x, sizeof(a));
	memcpy(&c, y, sizeof(c));
	return (a > c) - (a < c);
}

#include "tests/bench/marking.h"

static struct dp *d;
static struct dp_bpf *b;

struct row {
	const char *metric, *baseline;
	const char *prog;
	uint32_t flows, labels;
	int ns[ROUNDS];
	uint64_t misses; /* of the flow cache, all rounds */
};

/* A phase is one rule table; its rows and their baselines take turns. */
#define LABEL_ROW(name, base, n)                                                         \
	{                                                                                \
		.metric = (name), .baseline = (base), .prog = "bench_label", .flows = 1, \
		.labels = (n)                                                            \
	}
#define HASH5_ROW(name)                                                                      \
	{                                                                                    \
		.metric = (name), .prog = "bench_hash5", .flows = MILLION, .labels = MILLION \
	}
#define EDGE_ROW(name, base, f, n)                                                        \
	{                                                                                 \
		.metric = (name), .baseline = (base), .prog = "bench_edge", .flows = (f), \
		.labels = (n)                                                             \
	}

#define PART_ROW(name, base, program, n)                                               \
	{                                                                              \
		.metric = (name), .baseline = (base), .prog = (program), .flows = (n), \
		.labels = (n)                                                          \
	}

static struct row at_4k[] = {
	{ .metric = "empty_ktime_ns", .prog = "treaty_clock", .flows = 1, .labels = 1 },
	{ .metric = "array_1m_ns", .prog = "bench_array", .flows = 1, .labels = MILLION },
	HASH5_ROW("hash5_1m_ns"),
	LABEL_ROW("label_ns", "empty_ktime_ns", 1),
	LABEL_ROW("label_ns", "empty_ktime_ns", 1000),
	LABEL_ROW("label_4k_ns", "empty_ktime_ns", 4096),
	LABEL_ROW("label_ns", "array_1m_ns", 100000),
	LABEL_ROW("label_1m_ns", "array_1m_ns", MILLION),
	EDGE_ROW("edge_hit_1_ns", "empty_ktime_ns", 1, 1),
	EDGE_ROW("edge_hit_1m_ns", "hash5_1m_ns", MILLION, 4096),
};
/* The label path by hand, stage by stage, beside the product: `one` and `two` are other layouts of
 * what `count` touches, `cas` a meter by the clock and a compare-and-swap for each packet. */
#define BREAKDOWN(n, labels, base)                                                              \
	PART_ROW("label_breakdown_" n "_random_ns", NULL, "bench_random", labels),              \
		PART_ROW("label_breakdown_" n "_clock_ns", NULL, "bench_random_clock", labels), \
		PART_ROW("label_breakdown_" n "_tick_ns", NULL, "bench_random_tick", labels),   \
		PART_ROW("label_breakdown_" n "_parse_ns", NULL, "bench_parse", labels),        \
		PART_ROW("label_breakdown_" n "_line_ns", NULL, "bench_line", labels),          \
		PART_ROW("label_breakdown_" n "_count_ns", NULL, "bench_count", labels),        \
		PART_ROW("label_breakdown_" n "_one_ns", "label_breakdown_" n "_count_ns",      \
			 "bench_one", labels),                                                  \
		PART_ROW("label_breakdown_" n "_two_ns", "label_breakdown_" n "_count_ns",      \
			 "bench_two", labels),                                                  \
		PART_ROW("label_breakdown_" n "_cas_ns", NULL, "bench_cas", labels),            \
		PART_ROW("label_breakdown_" n "_product_ns", base, "bench_label", labels)
static struct row parts[] = {
	BREAKDOWN("4k", 4096, "label_breakdown_4k_count_ns"),
	BREAKDOWN("1m", MILLION, "label_breakdown_1m_count_ns"),
	PART_ROW("array2_1m_ns", NULL, "bench_array2", MILLION),
	{ .metric = "chain_1m_labels_4k_ns",
	  .prog = "bench_chain",
	  .flows = MILLION,
	  .labels = 4096 },
	PART_ROW("chain_1m_labels_1m_ns", NULL, "bench_chain", MILLION),
	PART_ROW("chain_one_1m_labels_1m_ns", "chain_1m_labels_1m_ns", "bench_chain_one", MILLION),
	{ .metric = "chain_serial_1m_labels_4k_ns",
	  .baseline = "chain_1m_labels_4k_ns",
	  .prog = "bench_chain_serial",
	  .flows = MILLION,
	  .labels = 4096 },
	PART_ROW("chain_serial_1m_labels_1m_ns", "chain_1m_labels_1m_ns", "bench_chain_serial",
		 MILLION),
	PART_ROW("array_written_1m_ns", "array_1m_beside_ns", "bench_array_write", MILLION),
	PART_ROW("array_1m_beside_ns", NULL, "bench_array", MILLION),
};
static struct row at_1m[] = {
	HASH5_ROW("hash5_1m_again_ns"),
	EDGE_ROW("edge_hit_1m_labels_1m_ns", "hash5_1m_again_ns", MILLION, MILLION),
};
static struct row miss_10[] = { EDGE_ROW("edge_miss_ns", NULL, NO_LIMIT, 10) };
static struct row miss_1k[] = { EDGE_ROW("edge_miss_ns", NULL, NO_LIMIT, 1000) };
static struct row miss_100k[] = { EDGE_ROW("edge_miss_ns", NULL, NO_LIMIT, 100000) };

static int labels_set(void)
{
	const struct dp_profile p = { .rate = { 400000000000 } };
	struct dp_label l = { .valid_until = { INT64_MAX },
			      .dscp = 34,
			      .class_minor = 0x101,
			      .police_edge = true,
			      .police_node = true,
			      .dir = { p, p } };
	int r = 0;

	for (l.label = 1; !r && l.label <= MILLION; l.label++)
		r = dp_label_set(d, &l, NULL, NULL);
	return r;
}

/* Flow i of dp.bpf.c, k labels, belongs to label 1 + i mod k: a rule for each label's prefix. With
 * `mixed`, in many shapes: prefix lengths, protocols, ports, port ranges, DSCP. */
static void rule_of(struct dp_rule *r, uint32_t i, bool mixed)
{
	static const uint8_t lens[] = { 96, 95, 92, 88 };

	*r = (struct dp_rule){ .id = i + 1,
			       .prio = mixed ? i * 2654435761u >> 8 : 1,
			       .family = 6,
			       .dscp = DP_DSCP_ANY,
			       .src = { { 0xfd, 0x10, 0, 1 }, 96 },
			       .label = i + 1,
			       .class_id = 1 };
	r->src.addr[8] = (uint8_t)((i + 1) >> 24);
	r->src.addr[9] = (uint8_t)((i + 1) >> 16);
	r->src.addr[10] = (uint8_t)((i + 1) >> 8);
	r->src.addr[11] = (uint8_t)(i + 1);
	if (!mixed)
		return;
	r->src.len = lens[i % 4];
	r->src.addr[11] &= (uint8_t)(0xff << (96 - r->src.len));
	if (i & 4)
		r->proto = i & 8 ? 17 : 6;
	if (i & 16) {
		r->dport_min = (uint16_t)(i & 32 ? 7001 : i % 60000);
		r->dport_max = (uint16_t)(r->dport_min + (i & 64 ? 9 : 0));
	}
	if (i & 128)
		r->dscp = (uint8_t)(i % 64);
}

static int rules_load(uint32_t k, bool mixed)
{
	struct dp_rule *r = calloc(k, sizeof(*r));
	struct err e = { 0 };
	uint32_t zero = 0;
	struct dp_ctl ctl;
	int err;

	if (!r)
		return -ENOMEM;
	for (uint32_t i = 0; i < k; i++)
		rule_of(&r[i], i, mixed);
	err = dp_rules_set(d, r, k, NULL, &e);
	if (err)
		(void)fprintf(stderr, "bench_labels: %s\n", e.text);
	free(r);
	if (!err && !bpf_map_lookup_elem(dp_map_fd(d, "ctl"), &zero, &ctl))
		b->bss->seek.generation = ctl.generation;
	return err;
}

static uint32_t mix(uint32_t i)
{
	i ^= i >> 16;
	i *= 0x7feb352d;
	i ^= i >> 15;
	i *= 0x846ca68b;
	return i ^ i >> 16;
}

/* The same million flows as dp.bpf.c draws. */
static int hash5_fill(void)
{
	int fd = bpf_map__fd(b->maps.hash5);

	for (uint32_t i = 0; i < MILLION; i++) {
		uint8_t key[40] = { 0 };
		uint32_t word[2] = { htonl(1 + i % MILLION), htonl(mix(i)) };
		uint16_t port = htons((uint16_t)i);
		uint64_t value = i;

		memcpy(key, v6_udp + 22, 32);
		memcpy(key + 8, word, sizeof(word));
		memcpy(key + 32, &port, 2);
		memcpy(key + 34, v6_udp + 56, 2);
		key[36] = 17;
		if (bpf_map_update_elem(fd, key, &value, BPF_ANY))
			return -errno;
	}
	return 0;
}

/* The bench's programs work on the maps that `d` made. */
static int bench_load(void)
{
	struct dp_features f;
	struct dp_cells at;
	struct dp_ctl ctl;
	struct bpf_map *m;
	uint32_t zero = 0;

	dp_features(d, &f);
	b = dp_bpf__open();
	if (!b || bpf_map_lookup_elem(dp_map_fd(d, "ctl"), &zero, &ctl))
		return -errno;
	bpf_object__for_each_map (m, b->obj) {
		int fd = dp_map_fd(d, bpf_map__name(m));

		if (!bpf_map__is_internal(m) && fd >= 0 && bpf_map__reuse_fd(m, fd))
			return -errno;
	}
	b->rodata->cfg_labels = f.labels;
	b->rodata->cfg_cpus = f.cpus;
	b->rodata->cfg_rules = f.rules;
	b->rodata->cfg_heads = f.rules; /* a power of two here */
	b->rodata->cfg_slots = dp_slots_of(f.labels);
	at = dp_cells_of(f.labels, f.cpus, dp_slots_of(f.labels));
	memcpy((void *)(uintptr_t)&b->rodata->cfg_at, &at, sizeof(at));
	dp_here_fill(b->bss->heres, &at, f.cpus);
	dp_seek_fill(&b->bss->seek, ctl.key, f.flows);
	return dp_bpf__load(b);
}

static void pin(int cpu)
{
	cpu_set_t set;

	const struct sched_param p = { .sched_priority = 1 };

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	(void)sched_setscheduler(0, SCHED_FIFO, &p); /* ahead of all else there, floors as well */
}

/* Average of one burst, -1 when the kernel refuses or the program did not pass the packets. */
static int measure(const struct row *r, uint32_t repeat)
{
	struct __sk_buff ctx = { .ingress_ifindex = 1 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = v6_udp, .data_size_in = sizeof(v6_udp),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = (int)repeat);
	struct bpf_program *p = bpf_object__find_program_by_name(b->obj, r->prog);
	int err;

	b->bss->n_flows = r->flows;
	b->bss->n_labels = r->labels;
	err = bpf_prog_test_run_opts(bpf_program__fd(p), &o);
	return err || o.retval != UINT32_MAX ? -1 : (int)o.duration;
}

/* Until nearly each flow or label was seen: with ten packets a flow, all but one of 22,000. */
static uint32_t warm_up(const struct row *r)
{
	return strcmp(r->prog, "bench_edge") ? 4 * MILLION : 10 * MILLION;
}

static int run_rows(struct row *rows, size_t n)
{
	for (int round = -1; round < ROUNDS; round++)
		for (size_t i = 0; i < n; i++) {
			struct dp_cache_count before, after;
			bool warm = round < 0 && rows[i].flows != NO_LIMIT;
			int ns;

			dp_cache_get(d, &before);
			ns = measure(&rows[i], warm ? warm_up(&rows[i]) : REPEAT);
			dp_cache_get(d, &after);
			if (ns < 0)
				return -EIO;
			if (round < 0)
				continue;
			rows[i].ns[round] = ns;
			rows[i].misses += after.misses - before.misses;
		}
	return 0;
}

static int median(struct row *r)
{
	qsort(r->ns, ROUNDS, sizeof(int), by_value);
	return r->ns[ROUNDS / 2];
}

static int median_of(struct row *rows, size_t n, const char *metric)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].metric, metric))
			return median(&rows[i]);
	return 1;
}

/* What a row may take: so many times its baseline, and so many nanoseconds more. */
static const struct {
	const char *metric;
	double times;
	int plus;
} targets[] = {
	{ "label_4k_ns", 1.5, 0 },
	{ "label_1m_ns", 1.25, 40 },
	{ "edge_hit_1m_ns", 0.6, 0 },
	{ "edge_hit_1m_labels_1m_ns", 0.6, 0 },
};

static void print_target(const char *metric, int baseline)
{
	for (size_t i = 0; i < ARRAY_LEN(targets); i++)
		if (!strcmp(metric, targets[i].metric))
			(void)printf(",\"target\":%.0f",
				     targets[i].times * baseline + targets[i].plus);
}

static void print(struct row *rows, size_t n, struct row *r)
{
	struct dp_table t;
	int mid = median(r), base = r->baseline ? median_of(rows, n, r->baseline) : 0;

	(void)printf("{\"metric\":\"dataplane.%s\",\"value\":%d,\"unit\":\"ns\",\"least\":%d",
		     r->metric, mid, r->ns[0]);
	if (r->baseline)
		(void)printf(",\"baseline\":\"dataplane.%s\",\"ratio\":%.2f", r->baseline,
			     (double)mid / base);
	print_target(r->metric, base);
	if (strstr(r->metric, "edge_hit"))
		(void)printf(",\"flows\":%u,\"labels\":%u,\"hit_ratio\":%.4f", r->flows, r->labels,
			     1 - (double)r->misses / ((double)REPEAT * ROUNDS));
	if (!strncmp(r->metric, "label_", 6))
		(void)printf(",\"labels\":%u", r->labels);
	dp_rules_shape(d, &t);
	if (r->flows == NO_LIMIT)
		(void)printf(",\"rules\":%u,\"masks\":%u,\"longest_chain\":%u", t.n, t.tuples,
			     t.chain);
	(void)printf("}\n");
}

static int phase(struct row *rows, size_t n, uint32_t rules, bool mixed)
{
	int r = rules_load(rules, mixed);

	r = r ? r : run_rows(rows, n);
	for (size_t i = 0; !r && i < n; i++)
		print(rows, n, &rows[i]);
	return r;
}

/* --- two CPUs on one label -------------------------------------------------------------------- */

static const struct row one_label = { .prog = "bench_label", .flows = 1, .labels = 1 };

/* In: the CPU; out: nanoseconds. */
static void *on_cpu(void *arg)
{
	int *ns = arg;

	pin(*ns);
	*ns = measure(&one_label, 10 * REPEAT);
	return NULL;
}

static int contended(void)
{
	int alone[ROUNDS], both[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		int ns[2] = { 0, 1 };
		pthread_t t;

		if (pthread_create(&t, NULL, on_cpu, &ns[1]))
			return -EAGAIN;
		on_cpu(&ns[0]);
		(void)pthread_join(t, NULL);
		both[i] = ns[0] > ns[1] ? ns[0] : ns[1];
		alone[i] = 0;
		on_cpu(&alone[i]);
		if (ns[0] < 0 || ns[1] < 0 || alone[i] < 0)
			return -EIO;
	}
	qsort(alone, ROUNDS, sizeof(int), by_value);
	qsort(both, ROUNDS, sizeof(int), by_value);
	(void)printf("{\"metric\":\"dataplane.label_alone_ns\",\"value\":%d,\"unit\":\"ns\"}\n",
		     alone[ROUNDS / 2]);
	(void)printf(
		"{\"metric\":\"dataplane.label_2cpu_ns\",\"value\":%d,\"unit\":\"ns\","
		"\"baseline\":\"dataplane.label_alone_ns\",\"ratio\":%.2f,\"target_ratio\":1.5}\n",
		both[ROUNDS / 2], (double)both[ROUNDS / 2] / alone[ROUNDS / 2]);
	return 0;
}

/* --- a sweep of all labels, and what they take -------------------------------------------------
 */

static atomic_int sweeping;

static double sweep_ms(const struct dp_view *v)
{
	static struct dp_hot sum[1024];
	struct timespec a, z;
	volatile uint64_t all = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint32_t at = 0; at < LABELS; at += 1024) {
		dp_view_sweep(v, at, 1024, sum);
		all += sum[7].dir[0].rx_packets;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &z);
	return (double)(z.tv_sec - a.tv_sec) * 1e3 + (double)(z.tv_nsec - a.tv_nsec) / 1e6;
}

/* The sweep's floor: one word of each cell. */
static double touch_ms(const union dp_cell *c)
{
	struct timespec a, z;
	uint64_t all = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	for (size_t i = 0; i < (size_t)LABELS * 2; i++)
		all += __atomic_load_n(&c[i].word[0], __ATOMIC_RELAXED);
	(void)clock_gettime(CLOCK_MONOTONIC, &z);
	return all == 1 ? 0
			: (double)(z.tv_sec - a.tv_sec) * 1e3 +
				  (double)(z.tv_nsec - a.tv_nsec) / 1e6;
}

static const union dp_cell *cells_map(void)
{
	struct dp_features f;
	struct dp_cells at;
	void *p;

	dp_features(d, &f);
	if (f.cpus != 2)
		return NULL;
	at = dp_cells_of(f.labels, f.cpus, dp_slots_of(f.labels));
	p = mmap(NULL, at.end * sizeof(union dp_cell), PROT_READ, MAP_SHARED | MAP_POPULATE,
		 dp_counters_fd(d), 0);
	return p == MAP_FAILED ? NULL : (const union dp_cell *)p + at.rx;
}

static void *sweeper(void *arg)
{
	pin(1);
	while (atomic_load(&sweeping)) {
		(void)sweep_ms(arg);
		(void)usleep(100000);
	}
	return NULL;
}

static int by_double(const void *x, const void *y)
{
	double a, c;

	memcpy(&a, x, sizeof(a));
	memcpy(&c, y, sizeof(c));
	return (a > c) - (a < c);
}

static int sweep(void)
{
	const struct row many = { .prog = "bench_label", .flows = 1, .labels = MILLION };
	int quiet[ROUNDS], swept[ROUNDS];
	struct dp_view *v = NULL;
	double ms[ROUNDS], floor_ms[ROUNDS] = { 0 };
	const union dp_cell *cells = cells_map();
	int r = dp_view_open(&v, dp_counters_fd(d), NULL);

	pin(0);
	if (!r)
		(void)sweep_ms(v);
	for (int i = 0; !r && i < ROUNDS; i++) {
		pthread_t t;

		ms[i] = sweep_ms(v);
		floor_ms[i] = cells ? touch_ms(cells) : 0;
		quiet[i] = measure(&many, 3 * MILLION);
		atomic_store(&sweeping, 1);
		if (pthread_create(&t, NULL, sweeper, v))
			return -EAGAIN;
		swept[i] = measure(&many, 3 * MILLION);
		atomic_store(&sweeping, 0);
		(void)pthread_join(t, NULL);
	}
	v = dp_view_close(v);
	if (r)
		return r;
	qsort(ms, ROUNDS, sizeof(double), by_double);
	qsort(floor_ms, ROUNDS, sizeof(double), by_double);
	qsort(quiet, ROUNDS, sizeof(int), by_value);
	qsort(swept, ROUNDS, sizeof(int), by_value);
	(void)printf(
		"{\"metric\":\"dataplane.sweep_touch_1m_ms\",\"value\":%.1f,\"unit\":\"ms\"}\n",
		floor_ms[ROUNDS / 2]);
	(void)printf("{\"metric\":\"dataplane.sweep_1m_ms\",\"value\":%.1f,\"unit\":\"ms\","
		     "\"packet_ns\":%d,\"packet_ns_swept_ten_times_a_second\":%d,"
		     "\"packet_ratio\":%.3f,\"target\":20,\"target_packet_ratio\":1.05}\n",
		     ms[ROUNDS / 2], quiet[ROUNDS / 2], swept[ROUNDS / 2],
		     (double)swept[ROUNDS / 2] / quiet[ROUNDS / 2]);
	return 0;
}

static void bytes(void)
{
	struct dp_cells at = dp_cells_of(LABELS, 2, dp_slots_of(LABELS));
	double each = sizeof(struct dp_line) + sizeof(struct dp_meter) +
		      (double)(at.class_count - at.rx) * sizeof(union dp_cell) / LABELS +
		      (double)(at.rtt - at.index) * sizeof(union dp_cell) / LABELS;

	(void)printf("{\"metric\":\"dataplane.bytes_per_label\",\"value\":%.0f,\"unit\":\"B\","
		     "\"labels\":%u,\"cpus\":2,\"notes_of_user_space\":%zu,\"target\":256}\n",
		     each, LABELS, 2 * sizeof(struct dp_base));
}

static int done(int r, const struct err *e)
{
	if (r)
		(void)fprintf(stderr, "bench_labels: %s %s\n", strerror(-r), e->text);
	dp_bpf__destroy(b);
	d = dp_close(d);
	return r != 0;
}

/* bench_labels parts: the label path by hand alone. */
int main(int argc, char **argv)
{
	bool all = argc < 2 || strcmp(argv[1], "parts") != 0;
	const struct dp_config c = {
		.offline = true, .labels = LABELS, .flows = FLOWS, .rules = LABELS
	};
	LIBBPF_OPTS(bpf_test_run_opts, o);
	struct err e = { 0 };
	int r;

	pin(0);
	r = dp_open(&d, &c, &e);
	r = r ? r : bench_load();
	r = r ? r : labels_set();
	r = r ? r : bpf_prog_test_run_opts(bpf_program__fd(b->progs.bench_layouts), &o);
	r = r || !all ? r : hash5_fill();
	if (all)
		r = r ? r : phase(at_4k, ARRAY_LEN(at_4k), 4096, false);
	r = r ? r : phase(parts, ARRAY_LEN(parts), 4096, false);
	if (!all || r)
		return done(r, &e);
	r = r ? r : marking();
	r = r ? r : contended();
	r = r ? r : sweep();
	r = r ? r : phase(at_1m, ARRAY_LEN(at_1m), MILLION, false);
	r = r ? r : phase(miss_10, 1, 10, true);
	r = r ? r : phase(miss_1k, 1, 1000, true);
	r = r ? r : phase(miss_100k, 1, 100000, true);
	if (!r)
		bytes();
	return done(r, &e);
}
