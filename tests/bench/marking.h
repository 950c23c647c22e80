/* SPDX-License-Identifier: Apache-2.0 */
/* marking.h - bench_labels.c's row of what alternate marking adds; uses its packet and rounds. */
#ifndef TREATY_TESTS_BENCH_MARKING_H
#define TREATY_TESTS_BENCH_MARKING_H

/* A coloured packet of a label through a program of its own data plane; nanoseconds, < 0 on error.
 */
static int marked(struct dp *c, enum dp_prog prog, uint8_t label)
{
	struct __sk_buff ctx = { .ingress_ifindex = 1, .mark = label };
	uint8_t pkt[sizeof(v6_udp)];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = pkt, .data_size_in = sizeof(pkt),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 5 * REPEAT);

	memcpy(pkt, v6_udp, sizeof(pkt));
	pkt[14] = 0x6b; /* DSCP 46 */
	pkt[15] = 0x80;
	pkt[17] = label;
	return bpf_prog_test_run_opts(dp_prog_fd(c, prog), &o) ? -1 : (int)o.duration;
}

/* Label 1 is watched and counted by its colour, label 2 found no slot: the same program, pairs in
 * turn, medians of the differences. */
static int marking(void)
{
	struct dp_config cfg = { .offline = true, .labels = 16, .watched = 1 };
	static const enum dp_prog prog[] = { DP_PROG_NODE_IN, DP_PROG_OUT };
	int added[2][ROUNDS], plain[ROUNDS] = { 0 };
	struct dp *c = NULL;
	int r = dp_colours_pair(&cfg.colours, 46, 47, NULL);

	cfg.colours.block_ns = 1000000000;
	r = r ? r : dp_open(&c, &cfg, NULL);
	for (uint32_t i = 1; !r && i <= 2; i++) {
		struct dp_label l = { .label = i,
				      .valid_until = { INT64_MAX },
				      .dscp = DP_DSCP_ANY };

		r = dp_label_set(c, &l, NULL, NULL);
	}
	if (!r)
		dp_wall_set(c);
	for (int i = 0; !r && i < ROUNDS; i++)
		for (int p = 0; !r && p < 2; p++) {
			int with = marked(c, prog[p], 1), without = marked(c, prog[p], 2);

			r = with < 0 || without < 0 ? -EIO : 0;
			added[p][i] = with - without;
			plain[i] = p ? plain[i] : without;
		}
	c = dp_close(c);
	if (r)
		return r;
	qsort(added[0], ROUNDS, sizeof(int), by_value);
	qsort(added[1], ROUNDS, sizeof(int), by_value);
	qsort(plain, ROUNDS, sizeof(int), by_value);
	(void)printf("{\"metric\":\"dataplane.marking_added_ns\",\"value\":%d,\"unit\":\"ns\","
		     "\"at_egress\":%d,\"node_in_unwatched_ns\":%d}\n",
		     added[0][ROUNDS / 2], added[1][ROUNDS / 2], plain[ROUNDS / 2]);
	return 0;
}

#endif
