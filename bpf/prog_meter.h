/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_meter.h - two rates on virtual time (GCRA), no locks.
 *
 * A u64 holds the moment at which the traffic admitted so far would have ended at the rate. A
 * packet conforms while that moment is at most `burst` ahead of now. Its own cost is not part of
 * the test: a GSO packet larger than the burst must pass now and then, the debt is paid later and
 * the long-term rate is exact. */
#ifndef TREATY_BPF_PROG_METER_H
#define TREATY_BPF_PROG_METER_H

#include "prog_count.h"
#include "prog_tag.h"

#define CAS_TRIES 4

enum colour { GREEN, YELLOW, RED };

INLINE int vt_take(__u64 *tat, __u64 now, __u64 cost, __u64 burst)
{
	for (int i = 0; i < CAS_TRIES; i++) {
		__u64 old = *(volatile __u64 *)tat, from = old > now ? old : now;

		if (from - now > burst)
			return 0;
		if (__sync_val_compare_and_swap(tat, old, from + cost) == old)
			return 1;
	}
	/* Contended: admit, but never forget the cost. */
	__sync_fetch_and_add(tat, cost);
	return 1;
}

INLINE enum colour meter(const struct dp_line *l, __u32 label, __u32 dir, __u32 bytes, __u64 now)
{
	__u32 i = label * 2 + dir;
	__u64 cost = l->cost[dir & 1], ecost = l->ecost[dir & 1], burst = l->burst[dir & 1];
	struct dp_meter *m;

	if (!cost)
		return GREEN;
	m = bpf_map_lookup_elem(&meters, &i);
	if (!m || vt_take(&m->tat, now, (cost * bytes) >> 20, burst))
		return GREEN;
	if (ecost && vt_take(&m->etat, now, (ecost * bytes) >> 20, burst))
		return YELLOW;
	return RED;
}

/* Meters and acts. Returns 1 when the packet must be dropped; *dscp and *ce say what to write. */
INLINE int police(const struct dp_line *l, const struct pkt *p, __u32 label, __u32 dir,
		  __u32 packets, __u32 bytes, __u64 now, __u32 *dscp, __u32 *ce)
{
	enum colour colour = meter(l, label, dir, bytes, now);
	__u32 over = (l->flags & DP_L_OVER_MASK) >> DP_L_OVER_SHIFT;
	struct dp_count *c;

	if (colour == GREEN)
		return 0;
	c = count_of(label, dir);
	if (!c)
		return 0;
	if (colour == YELLOW) {
		c->excess += packets;
		*dscp = l->dscp_over;
		return 0;
	}
	if (over == DP_L_OVER_REMARK) {
		c->remarked += packets;
		*dscp = l->dscp_over;
		return 0;
	}
	if (over == DP_L_OVER_ECN && p->ecn) {
		c->ce += packets;
		*ce = 1;
		return 0;
	}
	c->drop_packets += packets;
	c->drop_bytes += bytes;
	return 1;
}

#endif
