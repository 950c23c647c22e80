/* SPDX-License-Identifier: Apache-2.0 */
/* bench_dataplane.c - nanoseconds per packet of each program by BPF_PROG_TEST_RUN, next to an empty
 * program and one that only reads the clock. Rounds are interleaved, so that a slow moment of the
 * machine hits all alike; the medians are printed, one JSON object per line. Then the size of the
 * machine code that a packet begins in, beside that of all it may call: between two packets a
 * kernel's own path pushes code out of the first cache. */
#include <errno.h>
#include <linux/if_ether.h>
#include <stdio.h>

#include <bpf/bpf.h>

#include "bpf/dataplane.h"

#define ROUNDS 9
#define REPEAT 300000
#define L      7u

static const uint8_t v6_udp[] = {
	0x02, 0, 0, 0,  0,  2,  0x02, 0,    0,    0,    0, 1,  0x86, 0xdd, 0x60, 0,
	0,    L, 0, 24, 17, 64, 0xfd, 0x10, 0,    1,    0, 0,  0,    0,    0,    0,
	0,    0, 0, 0,  0,  2,  0xfd, 0x10, 0,    2,    0, 0,  0,    0,    0,    0,
	0,    0, 0, 0,  0,  2,  0x9c, 0x40, 0x1b, 0x59, 0, 24, 0,    0,    0,    0,
	0,    0, 0, 0,  0,  0,  0,    0,    0,    0,    0, 0,  0,    0,
};
static const uint8_t v4_udp[] = {
	0x02, 0,  0,    0,    0,    2,    0x02, 0,  0,    0,    0,  1, 0x08, 0x00, 0x45, 0,
	0,    48, 0,    1,    0x40, 0,    64,   17, 0x26, 0xbb, 10, 1, 0,    2,    10,   2,
	0,    2,  0x9c, 0x40, 0x1b, 0x59, 0,    28, 0,    0,    0,  0, 0,    0,    0,    0,
	0,    0,  0,    0,    0,    0,    0,    0,  0,    0,    0,  0, 0,    0,
};
static const uint8_t v6_tcp[] = {
	0x02, 0,    0,    0,    0,    2,    0x02, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, L,
	0,    36,   6,    64,   0xfd, 0x10, 0,    1, 0, 0, 0, 0, 0,    0,    0,    0, 0, 0,
	0,    2,    0xfd, 0x10, 0,    2,    0,    0, 0, 0, 0, 0, 0,    0,    0,    0, 0, 2,
	0x9c, 0x40, 0x1b, 0x59, 0,    0,    0,    1, 0, 0, 0, 1, 0x80, 0x10, 1,    0, 0, 0,
	0,    0,    1,    1,    8,    10,   0,    0, 0, 9, 0, 0, 0,    8,    1,    2, 3, 4,
};

static const struct row {
	const char *metric, *baseline;
	enum dp_prog prog;
	const uint8_t *pkt;
	size_t n;
	bool marked;
} rows[] = {
	{ "empty_ns", NULL, DP_PROG_EMPTY, v6_udp, sizeof(v6_udp), false },
	{ "clock_ns", "empty_ns", DP_PROG_CLOCK, v6_udp, sizeof(v6_udp), false },
	{ "edge_in_ns", "empty_ns", DP_PROG_EDGE_IN, v6_udp, sizeof(v6_udp), false },
	{ "edge_in_v4_ns", "empty_ns", DP_PROG_EDGE_IN, v4_udp, sizeof(v4_udp), false },
	{ "edge_in_tcp_ns", "empty_ns", DP_PROG_EDGE_IN, v6_tcp, sizeof(v6_tcp), false },
	{ "node_in_ns", "empty_ns", DP_PROG_NODE_IN, v6_udp, sizeof(v6_udp), false },
	{ "node_in_tcp_ns", "empty_ns", DP_PROG_NODE_IN, v6_tcp, sizeof(v6_tcp), false },
	{ "out_ns", "empty_ns", DP_PROG_OUT, v6_udp, sizeof(v6_udp), true },
};

static int setup(struct dp *d)
{
	const struct dp_profile p = { .rate = { 400000000000 } };
	const struct dp_label l = { .label = L,
				    .valid_until = { INT64_MAX },
				    .dscp = 34,
				    .class_minor = 0x101,
				    .police_edge = true,
				    .police_node = true,
				    .dir = { p, p } };
	const struct dp_rule r = { .id = 1,
				   .dscp = DP_DSCP_ANY,
				   .dport_min = 7001,
				   .dport_max = 7001,
				   .label = L,
				   .class_id = 1 };
	int err = dp_label_set(d, &l, NULL, NULL);

	return err ? err : dp_rules_set(d, &r, 1, NULL, NULL);
}

/* Average of one burst of packets, -1 when the kernel refuses or the program did not pass them. */
static int measure(struct dp *d, const struct row *r)
{
	struct __sk_buff ctx = { .mark = r->marked ? L : 0, .ingress_ifindex = 1 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = r->pkt, .data_size_in = (uint32_t)r->n,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = REPEAT);
	int err = bpf_prog_test_run_opts(dp_prog_fd(d, r->prog), &o);

	return err || o.retval != UINT32_MAX ? -1 : (int)o.duration;
}

static int by_value(const void *a, const void *b)
{
	int x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* Of the function that a packet begins in; at the edge that is two: the first one only calls. */
static int sizes(struct dp *d)
{
	static const struct {
		const char *metric;
		enum dp_prog prog;
		uint32_t quick;
	} of[] = { { "edge_in_code_bytes", DP_PROG_EDGE_IN, 2 },
		   { "node_in_code_bytes", DP_PROG_NODE_IN, 1 },
		   { "out_code_bytes", DP_PROG_OUT, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		uint32_t part[256] = { 0 }, len, all = 0, quick = 0;
		struct bpf_prog_info info = { .nr_jited_func_lens = ARRAY_LEN(part),
					      .jited_func_lens = (uint64_t)(uintptr_t)part };

		len = sizeof(info);
		if (bpf_obj_get_info_by_fd(dp_prog_fd(d, of[i].prog), &info, &len))
			return -1;
		for (uint32_t k = 0; k < info.nr_jited_func_lens && k < ARRAY_LEN(part); k++) {
			all += part[k];
			quick += k < of[i].quick ? part[k] : 0;
		}
		(void)printf("{\"metric\":\"dataplane.%s\",\"value\":%u,\"unit\":\"bytes\","
			     "\"with_calls\":%u}\n",
			     of[i].metric, quick, all);
	}
	return 0;
}

int main(void)
{
	static int ns[ARRAY_LEN(rows)][ROUNDS];
	const struct dp_config c = { .offline = true };
	struct err e = { 0 };
	struct dp *d = NULL;

	if (dp_open(&d, &c, &e) || setup(d)) {
		(void)fprintf(stderr, "bench_dataplane: %s\n", e.text);
		return 1;
	}
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			ns[i][round] = measure(d, &rows[i]);
			if (ns[i][round] < 0) {
				(void)fprintf(stderr, "bench_dataplane: %s failed\n",
					      rows[i].metric);
				return 1;
			}
		}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int median, base;

		qsort(ns[i], ROUNDS, sizeof(int), by_value);
		median = ns[i][ROUNDS / 2];
		base = ns[0][ROUNDS / 2];
		(void)printf("{\"metric\":\"dataplane.%s\",\"value\":%d,\"unit\":\"ns\"",
			     rows[i].metric, median);
		if (rows[i].baseline)
			(void)printf(",\"baseline\":\"dataplane.%s\",\"ratio\":%.2f",
				     rows[i].baseline, (double)median / (base ? base : 1));
		(void)printf("}\n");
	}
	if (sizes(d)) {
		(void)fprintf(stderr, "bench_dataplane: sizes: %s\n", strerror(errno));
		return 1;
	}
	d = dp_close(d);
	return 0;
}
