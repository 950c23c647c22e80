/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_count.h - counters. A cell belongs to one CPU and tc programs run with bottom halves off,
 * so plain adds lose nothing. */
#ifndef TREATY_BPF_PROG_COUNT_H
#define TREATY_BPF_PROG_COUNT_H

#include "prog_maps.h"

/* NULL when this CPU has no cell (hot-plugged above the possible CPUs: cannot happen). */
INLINE struct dp_count *count_of(__u32 label, __u32 dir)
{
	__u32 cpu = bpf_get_smp_processor_id(), i;
	union dp_cell *c;

	if (cpu >= cfg_cpus || label >= cfg_labels)
		return 0;
	i = DP_CELL_COUNT(label, dir, cfg_cpus, cpu);
	c = bpf_map_lookup_elem(&counts, &i);
	return c ? &c->count : 0;
}

INLINE void count_rx(__u32 label, __u32 dir, __u32 packets, __u32 bytes, __u64 now)
{
	struct dp_count *c = count_of(label, dir);

	if (!c)
		return;
	c->rx_packets += packets;
	c->rx_bytes += bytes;
	c->last_ns = now;
}

INLINE void count_class(__u32 class, __u32 packets, __u32 bytes, __u32 labelled, __u32 fresh,
			__u64 now)
{
	__u32 cpu = bpf_get_smp_processor_id(), i;
	union dp_cell *c;

	if (!class || class >= DP_CLASSES || cpu >= cfg_cpus)
		return;
	i = DP_CELL_CLASS(cfg_labels, class, cfg_cpus, cpu);
	c = bpf_map_lookup_elem(&counts, &i);
	if (!c)
		return;
	c->class_count.packets += packets;
	c->class_count.bytes += bytes;
	c->class_count.labelled += labelled ? packets : 0;
	c->class_count.flows += fresh;
	c->class_count.last_ns = now;
}

#endif
