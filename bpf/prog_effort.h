/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_effort.h - packets that carry a label, or should, and are none of its: best effort. */
#ifndef TREATY_BPF_PROG_EFFORT_H
#define TREATY_BPF_PROG_EFFORT_H

#include <linux/pkt_cls.h>

#include "prog_count.h"
#include "prog_event.h"

enum cause { CAUSE_NONE, CAUSE_UNKNOWN, CAUSE_EXPIRED, CAUSE_BINDING };

/* Not one of ours: count it as label 0's and under its cause, pass it. */
__noinline int best_effort(struct __sk_buff *skb, __u32 packets, __u32 bytes, __u32 at,
			   enum cause why)
{
	struct dp_pass *p = pass_of(here()->rx, 0);
	struct dp_odd *odd;
	struct dp_rare *c;

	set_mark(skb, 0, 0);
	if (p)
		count_rx(p, 0, rx_word(p, 0), packets, bytes);
	if (why == CAUSE_NONE)
		return TC_ACT_UNSPEC;
	event(why == CAUSE_UNKNOWN   ? DP_EV_UNKNOWN
	      : why == CAUSE_EXPIRED ? DP_EV_EXPIRED
				     : DP_EV_BINDING,
	      at >> 1, skb->ifindex);
	if (why == CAUSE_UNKNOWN) {
		odd = odd_here();
		if (odd)
			odd->unknown += packets;
		return TC_ACT_UNSPEC;
	}
	c = rare_of(at >> 1, at & 1);
	if (c)
		__sync_fetch_and_add(why == CAUSE_EXPIRED ? &c->expired : &c->binding, packets);
	return TC_ACT_UNSPEC;
}

/* Only lines with a bound source prefix pay for the look. */
static __noinline int source_ok(__u64 src0, __u64 src1, __u32 at)
{
	struct dp_bind *b = bpf_map_lookup_elem(&binds, &at);

	return b && (src0 & b->mask[0]) == b->addr[0] && (src1 & b->mask[1]) == b->addr[1];
}

#endif
