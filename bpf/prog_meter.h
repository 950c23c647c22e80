/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_meter.h - two rates (RFC 4115) on virtual time (GCRA), no locks; a ceiling above several.
 *
 * A u64 holds the moment at which the traffic admitted so far would have ended at the rate. A
 * packet conforms while that moment is at most `burst` ahead of now. Its own cost is not part of
 * the test: a GSO packet larger than the burst must pass now and then, the debt is paid later and
 * the long-term rate is exact. Bytes are layer 2, the same that contract and shaper count.
 *
 * A CPU that asks takes up to sixteen packets' bytes more than it needs and spends this credit
 * without asking: most packets touch neither the clock nor a word that another CPU writes. What all
 * CPUs may hold comes out of the burst, so that never more passes than rate x time + burst; what is
 * held is not lost, so that the long-term rate stays exact. A slow label, whose burst has no room
 * for that, is asked for every packet, like one under a ceiling. */
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

/* Bytes to take beyond need, *ns what they cost; 0 where they would be more than a small part of
 * the burst (cfg_grant_shift leaves a sixteenth for all CPUs and two
 * more: the last draw and the packet that it is for). */
INLINE __u32 grant_of(const struct dp_line *l, __u32 dir, __u64 *ns)
{
	__u64 most = l->burst[dir] >> (cfg_grant_shift & 31);
	__u32 bytes = DP_GRANT;

	*ns = ((__u64)l->cost[dir] * DP_GRANT) >> (l->shift[dir] & 63);
	for (int i = 0; i < 3; i++) {
		if (*ns <= most)
			return bytes;
		*ns >>= 1;
		bytes >>= 1;
	}
	*ns = 0;
	return 0;
}

/* Committed traffic of a label without a ceiling. Returns the credit that is left, < 0 when the
 * packet does not conform. */
INLINE __s64 meter_draw(struct dp_line *l, __u32 dir, __u32 need, __u64 now)
{
	__u64 ns, cost, kept;
	__u32 grant = grant_of(l, dir, &ns);

	cost = ((__u64)l->cost[dir] * (need + grant)) >> (l->shift[dir] & 63);
	kept = ns * (cfg_cpus + 2);
	return vt_take(&l->tat[dir], now, cost, l->burst[dir] - kept) ? (__s64)grant : -1;
}

INLINE enum colour meter_excess(struct dp_line *l, __u32 dir, __u32 bytes, __u64 now)
{
	__u64 cost = ((__u64)l->ecost[dir] * bytes) >> (l->eshift[dir] & 63);

	if (!l->ecost[dir] || !vt_take(&l->etat[dir], now, cost, l->eburst[dir]))
		return RED;
	if (!l->ceiling || under_ceiling(l->ceiling, dir, bytes, now, 1))
		return YELLOW;
	__sync_fetch_and_add(&l->etat[dir], -cost);
	return RED;
}

INLINE enum colour meter_under(struct dp_line *l, __u32 dir, __u32 bytes, __u64 now)
{
	__u64 cost = ((__u64)l->cost[dir] * bytes) >> (l->shift[dir] & 63);

	if (cost && !vt_take(&l->tat[dir], now, cost, l->burst[dir]))
		return meter_excess(l, dir, bytes, now);
	if (under_ceiling(l->ceiling, dir, bytes, now, 0))
		return GREEN;
	/* Dropped above, so not paid for here. */
	if (cost)
		__sync_fetch_and_add(&l->tat[dir], -cost);
	return RED;
}

/* What a meter says of a packet: what to write, and the counter's word with the credit left. */
struct verdict {
	__u64 rx;
	__u32 dscp, ce;
};

/* What happens above the committed rate. Returns 1 when the packet must be dropped. */
INLINE int over(const struct dp_line *l, const struct outer *o, enum colour colour, __u32 at,
		struct verdict *v)
{
	__u32 what = (l->flags & DP_L_OVER_MASK) >> DP_L_OVER_SHIFT;
	struct dp_rare *c = rare_of(at >> 1, at & 1);

	if (!c)
		return 0;
	if (colour == YELLOW) {
		__sync_fetch_and_add(&c->excess, o->packets);
		v->dscp = l->dscp_over;
		return 0;
	}
	if (what == DP_L_OVER_REMARK) {
		__sync_fetch_and_add(&c->remarked, o->packets);
		v->dscp = l->dscp_over;
		return 0;
	}
	if (what == DP_L_OVER_ECN && o->ecn) {
		__sync_fetch_and_add(&c->ce, o->packets);
		v->ce = 1;
		return 0;
	}
	__sync_fetch_and_add(&c->drop_packets, o->packets);
	__sync_fetch_and_add(&c->drop_bytes, o->bytes);
	return 1;
}

/* The long way: the credit does not do. at = label * 2 + direction. Returns 1 when the packet must
 * be dropped. */
static __noinline int ask(struct dp_line *l, const struct outer *o, __u32 at, struct verdict *v)
{
	__u32 credit = v->rx >> DP_RX_CREDIT, dir = at & 1;
	enum colour colour = GREEN;
	__u64 now = now_ns();
	__s64 left = credit;

	if (l->ceiling)
		colour = meter_under(l, dir, o->bytes, now);
	else if (l->cost[dir])
		left = meter_draw(l, dir, o->bytes - credit, now);
	if (left < 0)
		colour = meter_excess(l, dir, o->bytes, now);
	else
		v->rx = (v->rx & DP_RX_PACKETS) | (__u64)left << DP_RX_CREDIT;
	return colour == GREEN ? 0 : over(l, o, colour, at, v);
}

/* Meters and acts. Returns 1 when the packet must be dropped. */
INLINE int police(struct dp_line *l, const struct outer *o, __u32 at, struct verdict *v)
{
	if (unlikely(v->rx >> DP_RX_CREDIT < o->bytes || l->ceiling))
		return ask(l, o, at, v);
	v->rx -= (__u64)o->bytes << DP_RX_CREDIT;
	return 0;
}

#endif
