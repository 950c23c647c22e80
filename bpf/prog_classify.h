/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_classify.h - first matching rule, behind the flow cache: tuple-space search.
 *
 * Two copies of the tables; generation & 1 names the live one, so user space fills the other and
 * flips one word. A cached answer of another generation is no answer. */
#ifndef TREATY_BPF_PROG_CLASSIFY_H
#define TREATY_BPF_PROG_CLASSIFY_H

#include "prog_flow.h"

#define NO_RULE 0xffffffffu

struct walk {
	struct dp_flow_key k;
	__u32 copy;
	__u32 best;  /* the rule that matched so far */
	__u32 tuple; /* the next one */
	__u32 node;  /* + 1; the next of the chain, 0 = on to the next tuple */
	__u32 tag;
};

INLINE int rule_matches(const struct dp_rule_line *r, const struct dp_flow_key *k)
{
	if ((k->src[0] & r->src_mask[0]) != r->src[0] ||
	    (k->src[1] & r->src_mask[1]) != r->src[1] ||
	    (k->dst[0] & r->dst_mask[0]) != r->dst[0] || (k->dst[1] & r->dst_mask[1]) != r->dst[1])
		return 0;
	if ((r->family && r->family != k->family) || (r->proto && r->proto != k->proto) ||
	    (r->dscp != 0xff && r->dscp != k->dscp) || (r->label_in && r->label_in != k->label_in))
		return 0;
	if (!k->has_ports)
		return !r->sport_min && !r->dport_min && r->sport_max == 0xffff &&
		       r->dport_max == 0xffff;
	return k->sport >= r->sport_min && k->sport <= r->sport_max && k->dport >= r->dport_min &&
	       k->dport <= r->dport_max;
}

INLINE struct dp_rule_line *rule_at(const struct walk *w, __u32 rule)
{
	__u32 i = (w->copy ? cfg_rules : 0) + rule;

	return bpf_map_lookup_elem(&rules, &i);
}

/* Chains are in match order: behind a match, or behind a better one elsewhere, nothing counts. */
INLINE void walk_node(struct walk *w)
{
	__u32 i = (w->copy ? cfg_rules * DP_NODES_PER_RULE : 0) + w->node - 1;
	struct dp_node *n = bpf_map_lookup_elem(&nodes, &i);
	struct dp_rule_line *r;

	if (!n || n->rule >= w->best) {
		w->node = 0;
		return;
	}
	w->node = n->next;
	if (n->tag != w->tag)
		return;
	r = rule_at(w, n->rule);
	if (!r || !rule_matches(r, &w->k))
		return;
	w->best = n->rule;
	w->node = 0;
}

static long walk_step(__u32 step, struct walk *w)
{
	__u32 i = (w->copy ? DP_TUPLES : 0) + w->tuple;
	struct dp_flow_key m;
	struct dp_tuple *t;
	struct dp_head *head;
	__u64 h;

	(void)step;
	if (w->node) {
		walk_node(w);
		return 0;
	}
	t = w->tuple < DP_TUPLES ? bpf_map_lookup_elem(&tuples, &i) : 0;
	if (!t || t->best >= w->best)
		return 1;
	w->tuple++;
	for (i = 0; i < DP_KEY_WORDS / 2; i++)
		((__u64 *)&m)[i] = ((__u64 *)&w->k)[i] & t->mask[i];
	m.tuple = t->id;
	h = key_hash(&m);
	w->tag = h >> 16;
	i = (w->copy ? cfg_heads : 0) + ((__u32)(h >> 32) & (cfg_heads - 1));
	head = bpf_map_lookup_elem(&heads, &i);
	w->node = head ? head->first : 0;
	return 0;
}

static __noinline int classify_slow(const struct dp_flow_key *k, const struct place *at,
				    struct answer *a)
{
	/* Before Linux 6.7 a loop's function is verified for its first call alone, and what cannot
	 * happen there is removed: what the loop changes must not begin as a known number. */
	const __u32 zero = opaque_zero;
	struct walk w = { .k = *k,
			  .copy = at->generation & 1,
			  .best = NO_RULE - zero,
			  .tuple = zero,
			  .node = zero,
			  .tag = zero };
	struct dp_rule_line *r;

	bpf_loop(DP_WALK, walk_step, &w, 0);
	r = w.best != NO_RULE ? rule_at(&w, w.best) : 0;
	if (r) {
		a->label = r->label;
		a->class_id = r->class_id;
		a->dir = r->dir & 1;
		a->swap = r->label_in != 0;
	}
	return flow_store(k, at, a);
}

/* Fills *a; returns 1 when the answer was not in the cache. label: as the packet came; it goes into
 * the key where the live rules ask for it. */
INLINE int classify(struct dp_flow_key *k, __u32 label, struct answer *a)
{
	__u32 generation = *(volatile __u32 *)&seek.generation;
	struct place at;

	k->label_in = generation & DP_GEN_LABEL_IN ? label : 0;
	if (!unlikely(!flow_find(k, generation, &at, a)))
		return 0;
	classify_slow(k, &at, a);
	return 1;
}

#endif
