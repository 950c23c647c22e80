/* SPDX-License-Identifier: Apache-2.0 */
/* bench_labels.c - the data plane on up to a million random flows and labels, by BPF_PROG_TEST_RUN
 * of dp.bpf.c, beside the bare lookups that are its floors. Rounds are interleaved, so that a slow
 * moment of the machine hits all alike; medians are printed, one JSON object per line. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include <bpf/bpf.h>

#include "bpf/dataplane.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "tests/bench/dp.skel.h"
#pragma GCC diagnostic pop

#define ROUNDS  7
#define REPEAT  200000
#define MILLION 1000000u
#define LABELS  (1u << 20)
#define FLOWS   (1u << 21)
#define RULES   255u

static const uint8_t v6_udp[] = {
	0x02, 0, 0, 0,  0,  2,  0x02, 0,    0,    0,    0, 1,  0x86, 0xdd, 0x60, 0,
	0,    1, 0, 24, 17, 64, 0xfd, 0x10, 0,    1,    0, 0,  0,    0,    0,    0,
	0,    0, 0, 0,  0,  2,  0xfd, 0x10, 0,    2,    0, 0,  0,    0,    0,    0,
	0,    0, 0, 0,  0,  2,  0x9c, 0x40, 0x1b, 0x59, 0, 24, 0,    0,    0,    0,
	0,    0, 0, 0,  0,  0,  0,    0,    0,    0,    0, 0,  0,    0,
};

static struct dp *d;
static struct dp_bpf *b;

struct row {
	const char *metric, *baseline;
	const char *prog;
	uint32_t flows, labels;
	int ns[ROUNDS];
	uint64_t misses; /* of the flow cache, all rounds */
};

static struct row rows[] = {
	{ .metric = "empty_ktime_ns", .prog = "treaty_clock", .flows = 1, .labels = 1 },
	{ .metric = "hash5_1m_ns", .prog = "bench_hash5", .flows = MILLION, .labels = MILLION },
	{ .metric = "edge_hit_1_ns",
	  .baseline = "empty_ktime_ns",
	  .prog = "bench_edge",
	  .flows = 1,
	  .labels = 1 },
	{ .metric = "edge_hit_1m_ns",
	  .baseline = "hash5_1m_ns",
	  .prog = "bench_edge",
	  .flows = MILLION,
	  .labels = RULES },
};

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

/* Flow i of dp.bpf.c, k labels, belongs to label 1 + i mod k: a rule for each label's prefix. */
static int rules_load(uint32_t k)
{
	struct dp_rule *r = calloc(k, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	for (uint32_t i = 0; i < k; i++) {
		r[i] = (struct dp_rule){ .id = i + 1,
					 .family = 6,
					 .dscp = DP_DSCP_ANY,
					 .src = { { 0xfd, 0x10, 0, 1 }, 96 },
					 .label = i + 1,
					 .class_id = 1 };
		r[i].src.addr[8] = (uint8_t)((i + 1) >> 24);
		r[i].src.addr[9] = (uint8_t)((i + 1) >> 16);
		r[i].src.addr[10] = (uint8_t)((i + 1) >> 8);
		r[i].src.addr[11] = (uint8_t)(i + 1);
	}
	err = dp_rules_set(d, r, k, NULL, NULL);
	free(r);
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
	b->rodata->cfg_slots = dp_slots_of(f.labels);
	at = dp_cells_of(f.labels, f.cpus, dp_slots_of(f.labels));
	memcpy((void *)(uintptr_t)&b->rodata->cfg_at, &at, sizeof(at));
	b->rodata->cfg_flow_sets = f.flows / DP_FLOW_WAYS;
	for (size_t i = 0; i < ARRAY_LEN(ctl.key); i++)
		b->rodata->cfg_key[i] = ctl.key[i];
	return dp_bpf__load(b);
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

static int run_all(void)
{
	for (int round = -1; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			struct dp_cache_count before, after;
			int ns;

			dp_cache_get(d, &before);
			ns = measure(&rows[i], round < 0 ? 4 * MILLION : REPEAT);
			dp_cache_get(d, &after);
			if (ns < 0)
				return err_set(NULL, -EIO, "%s", rows[i].metric);
			if (round < 0)
				continue;
			rows[i].ns[round] = ns;
			rows[i].misses += after.misses - before.misses;
		}
	return 0;
}

static int by_value(const void *x, const void *y)
{
	int a, c;

	memcpy(&a, x, sizeof(a));
	memcpy(&c, y, sizeof(c));
	return (a > c) - (a < c);
}

static int median(struct row *r)
{
	qsort(r->ns, ROUNDS, sizeof(int), by_value);
	return r->ns[ROUNDS / 2];
}

static int median_of(const char *metric)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(rows[i].metric, metric))
			return median(&rows[i]);
	return 1;
}

static void print(struct row *r)
{
	(void)printf("{\"metric\":\"dataplane.%s\",\"value\":%d,\"unit\":\"ns\"", r->metric,
		     median(r));
	if (r->baseline)
		(void)printf(",\"baseline\":\"dataplane.%s\",\"ratio\":%.2f", r->baseline,
			     (double)median(r) / median_of(r->baseline));
	if (strstr(r->metric, "edge"))
		(void)printf(",\"flows\":%u,\"labels\":%u,\"hit_ratio\":%.4f", r->flows, r->labels,
			     1 - (double)r->misses / ((double)REPEAT * ROUNDS));
	(void)printf("}\n");
}

int main(void)
{
	const struct dp_config c = { .offline = true, .labels = LABELS, .flows = FLOWS };
	struct err e = { 0 };
	int r = dp_open(&d, &c, &e);

	r = r ? r : bench_load();
	r = r ? r : labels_set();
	r = r ? r : rules_load(RULES);
	r = r ? r : hash5_fill();
	r = r ? r : run_all();
	if (r)
		(void)fprintf(stderr, "bench_labels: %s %s\n", strerror(-r), e.text);
	for (size_t i = 0; !r && i < ARRAY_LEN(rows); i++)
		print(&rows[i]);
	dp_bpf__destroy(b);
	d = dp_close(d);
	return r != 0;
}
