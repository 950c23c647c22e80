/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_event.h - tells user space of what should not happen, from rare branches only and at most
 * DP_EV_PER_S times a second for each cause and CPU. Nobody is woken: the ring is read once a
 * second. */
#ifndef TREATY_BPF_PROG_EVENT_H
#define TREATY_BPF_PROG_EVENT_H

#include "prog_maps.h"

#define EVENT_GAP (1000000000ull / DP_EV_PER_S)

__noinline int event(__u32 cause, __u32 label, __u32 ifindex)
{
	struct dp_gate *g = bpf_map_lookup_elem(&gates, &cause);
	__u64 now = now_ns(), from;
	struct dp_event *e = 0;

	if (!g)
		return 0;
	g->seen++;
	from = g->tat > now ? g->tat : now;
	if (from - now < EVENT_GAP * DP_EV_PER_S)
		e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		g->held_back++;
		return 0;
	}
	g->tat = from + EVENT_GAP;
	e->at = now;
	e->cause = cause;
	e->label = label;
	e->ifindex = ifindex;
	e->held_back = g->held_back - g->told;
	g->told = g->held_back;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

#endif
