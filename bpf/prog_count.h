/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_count.h - counters. What every packet touches is one cell per label and CPU with one writer:
 * tc programs run with bottom halves off, so plain adds lose nothing. What happens to a packet that
 * breaks a rule is counted by atomic adds in cells that only such labels have. */
#ifndef TREATY_BPF_PROG_COUNT_H
#define TREATY_BPF_PROG_COUNT_H

#include "prog_event.h"

INLINE union dp_cell *cell_at(__u32 i)
{
	return bpf_map_lookup_elem(&counts, &i);
}

/* What this CPU passed of the label, which is in the table: first = here()->rx or tx. NULL when the
 * CPU has no cell (hot-plugged above the possible CPUs: cannot happen). */
INLINE struct dp_pass *pass_of(__u32 first, __u32 label)
{
	union dp_cell *c = first ? cell_at(first + (label >> 1)) : 0;

	return c ? &c->pass[label & 1] : 0;
}

INLINE __u64 rx_word(const struct dp_pass *p, __u32 dir)
{
	return *(volatile const __u64 *)&p->dir[dir & 1].packets;
}

/* rx: the word as read, its credit as it is now. */
INLINE void count_rx(struct dp_pass *p, __u32 dir, __u64 rx, __u32 packets, __u32 bytes)
{
	*(volatile __u64 *)&p->dir[dir & 1].packets =
		(rx & ~DP_RX_PACKETS) | ((rx + packets) & DP_RX_PACKETS);
	p->dir[dir & 1].bytes += bytes;
}

/* The label's slot; given now when it has none. 0 when no slot is left. */
static __noinline __u32 slot_of(__u32 label)
{
	union dp_cell *c = label < cfg_labels ? cell_at(cfg_at.index + label / 16) : 0;
	__u32 zero = 0, was, slot;
	struct dp_ctl *k;
	__u32 *at;

	if (!c || !label)
		return 0;
	at = &c->index.at[label & 15];
	was = *(volatile __u32 *)at;
	if (was & DP_INDEX_SLOT)
		return was & DP_INDEX_SLOT;
	k = bpf_map_lookup_elem(&ctl, &zero);
	if (!k || *(volatile __u32 *)&k->slots_used + 1 >= cfg_slots) {
		event(DP_EV_FULL, label, 0);
		return 0;
	}
	slot = __sync_fetch_and_add(&k->slots_used, 1) + 1;
	if (slot >= cfg_slots)
		return 0;
	/* Lost to another CPU: that slot stays unused, this packet counts in slot 0. */
	return __sync_val_compare_and_swap(at, was, was | slot) == was ? slot : 0;
}

INLINE struct dp_rare *rare_of(__u32 label, __u32 dir)
{
	union dp_cell *c = cell_at(cfg_at.rare + slot_of(label) * 2 + (dir & 1));

	return c ? &c->rare : 0;
}

/* A packet over the rate goes: a new bout of drops is told once. at = label * 2 + direction. */
static __noinline int drop_told(__u32 at, __u32 ifindex)
{
	struct dp_rare *c = rare_of(at >> 1, at & 1);
	__u64 now = now_ns(), was;

	if (!c)
		return 0;
	was = *(volatile __u64 *)&c->drop_at;
	*(volatile __u64 *)&c->drop_at = now;
	if (now - was > 1000000000ull)
		event(DP_EV_DROP, at >> 1, ifindex);
	return 0;
}

INLINE struct dp_odd *odd_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	union dp_cell *c = cpu < cfg_cpus ? cell_at(cfg_at.odd + cpu) : 0;

	return c ? &c->odd : 0;
}

/* The boot clock at this CPU's last tick, late by a tick. To read the clock itself costs as much as
 * the rest of the label path: its fence waits for every load under way, so that no packet's cache
 * misses overlap with those of the next. */
INLINE __u64 tick_ns(struct dp_here *h)
{
	__u64 tick = bpf_jiffies64();

	if (unlikely(*(volatile __u64 *)&h->tick != tick)) {
		*(volatile __u64 *)&h->tick_ns = now_ns();
		*(volatile __u64 *)&h->tick = tick;
	}
	return *(volatile __u64 *)&h->tick_ns;
}

/* Exact: near the end the clock itself is asked. */
#define TICK_SLACK 100000000ull
INLINE int near_end(struct dp_here *h, const struct dp_line *l)
{
	return tick_ns(h) + TICK_SLACK >= *(volatile const __u64 *)&l->valid_until;
}

INLINE int expired(const struct dp_line *l)
{
	return unlikely(near_end(here(), l)) &&
	       now_ns() >= *(volatile const __u64 *)&l->valid_until;
}

INLINE void count_class(const struct dp_here *h, __u32 class, __u32 packets, __u32 bytes,
			__u32 labelled, __u32 fresh)
{
	__u32 first = h->class_count;
	union dp_cell *c;

	if (class - 1 >= DP_CLASSES - 1 || !first)
		return;
	c = cell_at(first + class);
	if (!c)
		return;
	c->class_count.packets += packets;
	c->class_count.bytes += bytes;
	c->class_count.labelled += labelled ? packets : 0;
	c->class_count.flows += fresh;
}

#endif
