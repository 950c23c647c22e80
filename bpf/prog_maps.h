/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_maps.h - constants, maps and small lookups of the BPF programs. Sizes marked 1 are set by
 * the loader. */
#ifndef TREATY_BPF_PROG_MAPS_H
#define TREATY_BPF_PROG_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_endian.h>

#include "treaty/abi.h"

/* Functions that are not static are verified once, by themselves, and not again at every call:
 * loading takes a tenth of the time. Their pointers may be NULL for all that the verifier knows. */
#define INLINE static __always_inline

/* What most packets do not: clang puts it behind the rest, so that their code is one piece and few
 * cache lines. Between two packets the kernel's own path has pushed it out of the first cache. */
#define unlikely(x) __builtin_expect(!!(x), 0)

const volatile __u32 cfg_labels = 2;
const volatile __u32 cfg_cpus = 1;
const volatile __u32 cfg_grant_shift = 6; /* of the burst that a credit may be: see grant_of() */
const volatile __u32 cfg_slots = 1;
const volatile struct dp_cells cfg_at = {};
const volatile __u32 cfg_test_clock = 0; /* offline only; the verifier removes the branch */
volatile __u64 test_now = 0;
const volatile __u32 cfg_rules = 1; /* room of one copy */
const volatile __u32 cfg_heads = 1; /* of one copy, a power of two */
struct dp_here heres[DP_CPUS] __attribute__((aligned(64))) = {};
struct dp_seek seek __attribute__((aligned(64))) = {};
__u32 order_word;
volatile __u32 opaque_zero; /* never written; the verifier does not know it */

/* Where the CPU may reorder loads (not x86) WEAK_ORDER is set: a BPF program has no other barrier
 * than an atomic that returns a value. */
INLINE void order(void)
{
#ifdef WEAK_ORDER
	__sync_fetch_and_add(&order_word, 0);
#endif
	asm volatile("" ::: "memory");
}

#define MAP(name, map_type, key_type, value_type, entries, flags) \
	struct {                                                  \
		__uint(type, map_type);                           \
		__type(key, key_type);                            \
		__type(value, value_type);                        \
		__uint(max_entries, entries);                     \
		__uint(map_flags, flags);                         \
	} name SEC(".maps")

MAP(ctl, BPF_MAP_TYPE_ARRAY, __u32, struct dp_ctl, 1, BPF_F_MMAPABLE);
MAP(lines, BPF_MAP_TYPE_ARRAY, __u32, struct dp_line, 1, BPF_F_MMAPABLE);
MAP(meters, BPF_MAP_TYPE_ARRAY, __u32, struct dp_meter, 1, BPF_F_MMAPABLE);
MAP(ceilings, BPF_MAP_TYPE_ARRAY, __u32, struct dp_ceiling_line, DP_CEILINGS, BPF_F_MMAPABLE);
MAP(binds, BPF_MAP_TYPE_HASH, __u32, struct dp_bind, DP_BINDS, BPF_F_NO_PREALLOC);
MAP(counts, BPF_MAP_TYPE_ARRAY, __u32, union dp_cell, 1, BPF_F_MMAPABLE);
MAP(watches, BPF_MAP_TYPE_ARRAY, __u32, struct dp_watch, DP_WATCHED + 1, 0);
MAP(tables, BPF_MAP_TYPE_ARRAY, __u32, struct dp_table, 2, BPF_F_MMAPABLE);
MAP(tuples, BPF_MAP_TYPE_ARRAY, __u32, struct dp_tuple, 2 * DP_TUPLES, BPF_F_MMAPABLE);
MAP(heads, BPF_MAP_TYPE_ARRAY, __u32, struct dp_head, 2, BPF_F_MMAPABLE);
MAP(nodes, BPF_MAP_TYPE_ARRAY, __u32, struct dp_node, 2, BPF_F_MMAPABLE);
MAP(rules, BPF_MAP_TYPE_ARRAY, __u32, struct dp_rule_line, 2, BPF_F_MMAPABLE);
MAP(ports, BPF_MAP_TYPE_HASH, __u32, struct dp_port_line, DP_PORTS, 0);
MAP(flows, BPF_MAP_TYPE_ARRAY, __u32, struct dp_flow_set, 1, BPF_F_MMAPABLE);
MAP(frags, BPF_MAP_TYPE_LRU_HASH, struct dp_frag_key, __u32, 1024, 0);
MAP(stamps, BPF_MAP_TYPE_LRU_HASH, struct dp_rtt_key, __u64, 4096, 0);
MAP(shapes, BPF_MAP_TYPE_ARRAY, __u32, struct dp_shapes, DP_SHAPES, BPF_F_MMAPABLE);
MAP(marks, BPF_MAP_TYPE_ARRAY, __u32, struct dp_block, DP_MARK_AT(DP_WATCHED + 1, 0, 0),
    BPF_F_MMAPABLE);
MAP(holds, BPF_MAP_TYPE_LRU_HASH, __u32, __u64, DP_HOLDS, 0);
MAP(hops, BPF_MAP_TYPE_ARRAY, __u32, struct dp_hop, DP_PATHS, 0);
MAP(hop_counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct dp_hop_count, DP_PATHS, 0);
MAP(hop_owns, BPF_MAP_TYPE_LPM_TRIE, struct dp_own_key, __u32, DP_OWNS, BPF_F_NO_PREALLOC);
MAP(locals, BPF_MAP_TYPE_HASH, __u64, struct dp_local_line, DP_LOCALS, 0);
MAP(gates, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct dp_gate, DP_EV_MAX, 0);
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");
/* Never read by a program: here so that it is created, sized and pinned like the rest. */
MAP(base, BPF_MAP_TYPE_ARRAY, __u32, struct dp_base, 1, BPF_F_MMAPABLE);

INLINE struct dp_here *here(void)
{
	struct dp_here *h = &heres[bpf_get_smp_processor_id() & (DP_CPUS - 1)];

	barrier_var(h); /* clang would find it again for every word */
	return h;
}

/* Boot clock, which is also what valid_until is written in. Read once per packet. */
INLINE __u64 now_ns(void)
{
	if (cfg_test_clock && test_now)
		return test_now;
	return bpf_ktime_get_boot_ns();
}

/* NULL for 0, for labels above the table and for inactive lines. */
INLINE struct dp_line *line_of(__u32 label)
{
	struct dp_line *l;

	if (!label)
		return 0;
	l = bpf_map_lookup_elem(&lines, &label);
	if (!l || !(*(volatile __u16 *)&l->flags & DP_L_ACTIVE))
		return 0;
	return l;
}

INLINE __u32 path_of(const struct dp_line *l, __u32 dir)
{
	return *(volatile const __u8 *)&l->path[dir & 1];
}

INLINE void set_mark(struct __sk_buff *skb, __u32 label, __u32 path)
{
	skb->mark = (skb->mark & DP_MARK_FOREIGN) | path << DP_MARK_PATH | label;
}

#endif
