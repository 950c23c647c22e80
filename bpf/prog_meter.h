/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_meter.h - two rates (RFC 4115) on virtual time (GCRA), no locks; a ceiling above several.
 *
 * A u64 holds the moment at which the traffic admitted so far would have ended at the rate. A
 * packet conforms while that moment is at most `burst` ahead of now. Its own cost is not part of
 * the test: a GSO packet larger than the burst must pass now and then, the debt is paid later and
 * the long-term rate is exact. Bytes are layer 2, the same that contract and shaper count. */
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

/* The customer's ceiling, asked after the label's own meter said yes. It holds for all; excess
 * traffic may fill half of its burst, so that committed traffic finds room. */
__noinline int under_ceiling(__u32 id, __u32 dir, __u32 bytes, __u64 now, __u32 excess)
{
	struct dp_ceiling_line *c = bpf_map_lookup_elem(&ceilings, &id);

	dir &= 1;
	if (!c || !c->cost[dir])
		return 1;
	return vt_take(&c->tat[dir], now, ((__u64)c->cost[dir] * bytes) >> (c->shift[dir] & 63),
		       c->burst[dir] >> (excess & 1));
}

INLINE enum colour meter(struct dp_line *l, __u32 dir, __u32 bytes, __u64 now)
{
	__u64 cost = ((__u64)l->cost[dir] * bytes) >> (l->shift[dir] & 63);

	if (!l->cost[dir])
		return !l->ceiling || under_ceiling(l->ceiling, dir, bytes, now, 0) ? GREEN : RED;
	if (vt_take(&l->tat[dir], now, cost, l->burst[dir])) {
		if (!l->ceiling || under_ceiling(l->ceiling, dir, bytes, now, 0))
			return GREEN;
		/* Dropped above, so not paid for here. */
		__sync_fetch_and_add(&l->tat[dir], -cost);
		return RED;
	}
	if (!l->ecost[dir])
		return RED;
	cost = ((__u64)l->ecost[dir] * bytes) >> (l->eshift[dir] & 63);
	if (!vt_take(&l->etat[dir], now, cost, l->eburst[dir]))
		return RED;
	if (!l->ceiling || under_ceiling(l->ceiling, dir, bytes, now, 1))
		return YELLOW;
	__sync_fetch_and_add(&l->etat[dir], -cost);
	return RED;
}

/* What happens above the committed rate. Returns 1 when the packet must be dropped. */
INLINE int over(const struct dp_line *l, const struct pkt *p, enum colour colour, __u32 label,
		__u32 dir, __u32 *dscp, __u32 *ce)
{
	__u32 what = (l->flags & DP_L_OVER_MASK) >> DP_L_OVER_SHIFT;
	struct dp_rare *c = rare_of(label, dir);

	if (!c)
		return 0;
	if (colour == YELLOW) {
		__sync_fetch_and_add(&c->excess, p->packets);
		*dscp = l->dscp_over;
		return 0;
	}
	if (what == DP_L_OVER_REMARK) {
		__sync_fetch_and_add(&c->remarked, p->packets);
		*dscp = l->dscp_over;
		return 0;
	}
	if (what == DP_L_OVER_ECN && p->ecn) {
		__sync_fetch_and_add(&c->ce, p->packets);
		*ce = 1;
		return 0;
	}
	__sync_fetch_and_add(&c->drop_packets, p->packets);
	__sync_fetch_and_add(&c->drop_bytes, p->bytes);
	return 1;
}

/* Meters and acts. Returns 1 when the packet must be dropped; *dscp and *ce say what to write. */
INLINE int police(struct dp_line *l, const struct pkt *p, __u32 label, __u32 dir, __u64 now,
		  __u32 *dscp, __u32 *ce)
{
	enum colour colour;

	dir &= 1;
	barrier_var(dir);
	dir &= 1;
	colour = meter(l, dir, p->bytes, now);
	return colour == GREEN ? 0 : over(l, p, colour, label, dir, dscp, ce);
}

#endif
