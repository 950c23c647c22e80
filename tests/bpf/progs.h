/* SPDX-License-Identifier: Apache-2.0 */
/* progs.h - the programs, one label and two rules, for tests of one packet at a time. */
#ifndef TREATY_TESTS_BPF_PROGS_H
#define TREATY_TESTS_BPF_PROGS_H

#include "pkt.h"

#define LAN 7u
#define ACC 8u
#define L   17u /* the label under test */

static struct dp *d;
static int edge, node, out;

static const struct dp_label base_label = {
	.label = L, .valid_until = { INT64_MAX }, .class_minor = 0x105, .dscp = 34, .dscp_over = 8
};

/* Rule 1: UDP/TCP/any to port 7001 -> L, class 1. Rule 2: port 7009 is watched, class 9. */
static const struct dp_rule base_rules[] = {
	{ .id = 1,
	  .prio = 10,
	  .dscp = DP_DSCP_ANY,
	  .dport_min = 7001,
	  .dport_max = 7001,
	  .label = L,
	  .class_id = 1 },
	{ .id = 2,
	  .prio = 20,
	  .dscp = DP_DSCP_ANY,
	  .dport_min = 7009,
	  .dport_max = 7009,
	  .class_id = 9 },
};

static inline int setup(void **state)
{
	(void)state;
	d = offline_open(64);
	edge = dp_prog_fd(d, DP_PROG_EDGE_IN);
	node = dp_prog_fd(d, DP_PROG_NODE_IN);
	out = dp_prog_fd(d, DP_PROG_OUT);
	label_set(d, &base_label);
	rules_set(d, base_rules, ARRAY_LEN(base_rules));
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	d = dp_close(d);
	return 0;
}

static inline struct dp_count counted(uint32_t label, enum dp_dir dir)
{
	struct dp_count c;

	assert_int_equal(dp_counters_get(d, label, dir, &c), 0);
	return c;
}

/* Everything outside the fields that the program may write is as it was. */
static inline void assert_only_tagged(const struct pkt *a, const struct pkt *b)
{
	size_t skip = a->b[a->l3] >> 4 == 6 ? 4 : 2;

	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->b, b->b, a->l3);
	assert_int_equal(a->b[a->l3] >> 4, b->b[a->l3] >> 4);
	if (skip == 4) {
		assert_memory_equal(a->b + a->l3 + 4, b->b + a->l3 + 4, a->n - a->l3 - 4);
		return;
	}
	assert_memory_equal(a->b + a->l3 + 2, b->b + a->l3 + 2, 8);
	assert_memory_equal(a->b + a->l3 + 12, b->b + a->l3 + 12, a->n - a->l3 - 12);
}

#endif
