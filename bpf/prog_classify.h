/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_classify.h - first matching rule, behind the flow cache.
 *
 * Two tables; generation & 1 names the live one, so user space fills the other and flips one word.
 * A cached answer of another generation is no answer. */
#ifndef TREATY_BPF_PROG_CLASSIFY_H
#define TREATY_BPF_PROG_CLASSIFY_H

#include "prog_flow.h"

struct walk {
	struct dp_flow_key k;
	struct answer out;
	__u32 generation;
};

INLINE int rule_matches(const struct dp_rule_line *r, const struct dp_flow_key *k)
{
	if ((k->src[0] & r->src_mask[0]) != r->src[0] ||
	    (k->src[1] & r->src_mask[1]) != r->src[1] ||
	    (k->dst[0] & r->dst_mask[0]) != r->dst[0] || (k->dst[1] & r->dst_mask[1]) != r->dst[1])
		return 0;
	if ((r->family && r->family != k->family) || (r->proto && r->proto != k->proto) ||
	    (r->dscp != 0xff && r->dscp != k->dscp))
		return 0;
	if (!k->has_ports)
		return !r->sport_min && !r->dport_min && r->sport_max == 0xffff &&
		       r->dport_max == 0xffff;
	return k->sport >= r->sport_min && k->sport <= r->sport_max && k->dport >= r->dport_min &&
	       k->dport <= r->dport_max;
}

static long walk_rule(__u32 i, struct walk *w)
{
	__u32 which = w->generation & 1;
	struct dp_rule_table *t = bpf_map_lookup_elem(&rules, &which);
	struct dp_rule_line *r;

	if (!t || i >= t->n || i >= DP_RULES)
		return 1;
	r = &t->rule[i];
	if (!rule_matches(r, &w->k))
		return 0;
	w->out.label = r->label;
	w->out.class_id = r->class_id;
	w->out.dir = r->dir & 1;
	return 1;
}

static __noinline int classify_slow(const struct dp_flow_key *k, const struct place *at,
				    struct answer *a)
{
	struct walk w = { .k = *k, .generation = at->generation };

	bpf_loop(DP_RULES, walk_rule, &w, 0);
	*a = w.out;
	return flow_store(k, at, a);
}

/* Fills *a; returns 1 when the answer was not in the cache. */
INLINE int classify(const struct dp_flow_key *k, struct answer *a)
{
	struct place at;
	struct dp_ctl *c;
	__u32 zero = 0;

	c = bpf_map_lookup_elem(&ctl, &zero);
	if (!c || flow_find(k, *(volatile __u32 *)&c->generation, &at, a))
		return 0;
	classify_slow(k, &at, a);
	return 1;
}

#endif
