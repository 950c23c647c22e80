/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_flow.h - the exact-match cache in front of the rules: a set-associative table in an array.
 *
 * A set is four cache lines, an entry is one. The hash names the set and the way where a flow's
 * entry belongs; when it had to go to another way, a one-byte tag in the first line says which, so
 * that a lookup reads one line or two. Tags only hint. The whole key is compared, under the entry's
 * sequence: an entry that is half written, or of another flow, is a miss and never an answer.
 *
 * The hash is NH (RFC 4418 section 5.2) under random keys: any two flows fall together with
 * probability 2^-32, whatever their sender knows of the code. Nobody can aim at a set, and the
 * table never grows: a flood of new flows pushes out others at random and costs them a walk of the
 * rules.
 */
#ifndef TREATY_BPF_PROG_FLOW_H
#define TREATY_BPF_PROG_FLOW_H

#include "prog_count.h"

struct answer {
	__u32 label;
	__u16 class_id;
	__u8 dir;
	__u8 swap; /* the rule named the label that the packet came with */
};

/* Where a flow's entry belongs. */
struct place {
	__u32 set, first, tag, generation;
};

INLINE __u64 key_sum(const struct dp_flow_key *k)
{
	const __u32 *w = (const __u32 *)k;
	__u64 h = 0;

	for (int i = 0; i < DP_KEY_WORDS; i += 2)
		h += (__u64)(__u32)(w[i] + seek.key[i]) * (__u32)(w[i + 1] + seek.key[i + 1]);
	return h;
}

/* Multiply-shift: the upper bits depend on all of the sum's. */
INLINE __u64 key_hash(const struct dp_flow_key *k)
{
	return key_sum(k) * seek.last;
}

/* Where a flow belongs, of its sum. The sum of flows that count up (ports, hosts) counts up as
 * well; without the fold so would their places, and some keys put them all into few sets. */
INLINE __u64 flow_hash(__u64 sum, __u64 last)
{
	return (sum ^ sum >> 32) * last;
}

INLINE __u32 two16(const __u16 *p)
{
	return *(const __u32 *)p;
}

INLINE __u32 four8(const __u8 *p)
{
	return *(const __u32 *)p;
}

INLINE int flow_read(const struct dp_flow *e, const struct dp_flow_key *k, __u32 generation,
		     struct answer *a)
{
	__u32 seq = *(volatile const __u32 *)&e->seq, label;

	if (!seq || (seq & 1))
		return 0;
	order();
	if (e->src[1] != k->src[1] || e->ports != two16(&k->sport) || e->src[0] != k->src[0] ||
	    e->dst[0] != k->dst[0] || e->dst[1] != k->dst[1] || e->kind != four8(&k->proto) ||
	    e->label_in != k->label_in || e->generation != generation)
		return 0;
	label = e->label;
	a->class_id = e->class_id;
	order();
	if (*(volatile const __u32 *)&e->seq != seq)
		return 0;
	a->label = label & ~(DP_FLOW_DIR | DP_FLOW_SWAP);
	a->dir = label >> 31;
	a->swap = (label & DP_FLOW_SWAP) != 0;
	return 1;
}

/* The barrier hides from clang that w is small already: the verifier wants to see the mask. */
INLINE struct dp_flow *way_of(struct dp_flow_set *s, __u32 w)
{
	barrier_var(w);
	return &s->way[w & 3];
}

INLINE int flow_find(const struct dp_flow_key *k, __u32 generation, struct place *at,
		     struct answer *a)
{
	__u64 h = flow_hash(key_sum(k), seek.last);
	struct dp_flow_set *s;
	struct dp_flow *e;

	at->set = ((h >> 32) * seek.sets) >> 32;
	at->first = (h >> 30) & 3;
	at->tag = ((h >> 22) & 0xff) ?: 1;
	at->generation = generation;
	s = bpf_map_lookup_elem(&flows, &at->set);
	if (!s)
		return 0;
	e = way_of(s, at->first);
	if (flow_read(e, k, generation, a))
		return 1;
#pragma unroll
	for (__u32 i = 0; i < DP_FLOW_WAYS; i++)
		if (e->hint[i] == at->tag && flow_read(&s->way[i], k, generation, a))
			return 1;
	return 0;
}

/* The first way that is free or of old rules, beginning where the flow belongs; else any. */
INLINE __u32 flow_victim(struct dp_flow_set *s, const struct place *at, int *evict)
{
#pragma unroll
	for (__u32 i = 0; i < DP_FLOW_WAYS; i++) {
		struct dp_flow *e = way_of(s, at->first ^ i);

		if (!e->seq || e->generation != at->generation)
			return (at->first ^ i) & 3;
	}
	*evict = 1;
	return bpf_get_prandom_u32() & 3;
}

INLINE void count_cache(int evicted, int busy)
{
	__u32 cpu = bpf_get_smp_processor_id();
	union dp_cell *c = cpu < cfg_cpus ? cell_at(cfg_at.cache + cpu) : 0;

	if (!c)
		return;
	c->cache.misses++;
	c->cache.evicted += evicted;
	c->cache.busy += busy;
}

static __noinline int flow_store(const struct dp_flow_key *k, const struct place *at,
				 const struct answer *a)
{
	struct dp_flow_set *s = bpf_map_lookup_elem(&flows, &at->set);
	struct dp_flow *e;
	int evict = 0;
	__u32 seq, w;

	if (!s)
		return 0;
	w = flow_victim(s, at, &evict);
	e = way_of(s, w);
	seq = *(volatile __u32 *)&e->seq;
	if ((seq & 1) || __sync_val_compare_and_swap(&e->seq, seq, seq + 1) != seq) {
		count_cache(0, 1);
		return 0;
	}
	e->generation = at->generation;
	__builtin_memcpy(e->src, k->src, sizeof(e->src));
	__builtin_memcpy(e->dst, k->dst, sizeof(e->dst));
	e->ports = two16(&k->sport);
	e->kind = four8(&k->proto);
	e->label_in = k->label_in;
	e->label = a->label | (a->dir ? DP_FLOW_DIR : 0) | (a->swap ? DP_FLOW_SWAP : 0);
	e->class_id = a->class_id;
	asm volatile("" ::: "memory");
	/* The atomics' return values make both of them full barriers. 0 means never used. */
	if (__sync_fetch_and_add(&e->seq, 1) == (__u32)-1)
		__sync_fetch_and_add(&e->seq, 2);
	barrier_var(w);
	w &= 3;
	if (w != at->first)
		way_of(s, at->first)->hint[w] = at->tag;
	count_cache(evict, 0);
	return 0;
}

#endif
