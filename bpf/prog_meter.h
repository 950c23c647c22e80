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

/* A rate as it was at one moment. */
struct rate {
	__u64 cost, burst; /* burst in nanoseconds */
	__u32 shift;
};

INLINE struct rate rate_read(const struct dp_rate *from)
{
	__u64 w = *(volatile const __u64 *)from;
	struct dp_rate r;

	__builtin_memcpy(&r, &w, sizeof(r));
	return (struct rate){ .cost = r.cost,
			      .burst = (__u64)(r.span & DP_SPAN_US) * 1000,
			      .shift = (r.span >> DP_SPAN_SHIFT) & 63 };
}

INLINE struct dp_meter *meter_of(__u32 label)
{
	return bpf_map_lookup_elem(&meters, &label);
}

/* Bytes to take beyond need, *ns what they cost; 0 where they would be more than a small part of
 * the burst (cfg_grant_shift leaves a sixteenth for all CPUs and two
 * more: the last draw and the packet that it is for). */
INLINE __u32 grant_of(const struct rate *r, __u64 *ns)
{
	__u64 most = r->burst >> (cfg_grant_shift & 31);
	__u32 bytes = DP_GRANT;

	*ns = (r->cost * DP_GRANT) >> r->shift;
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
INLINE __s64 meter_draw(struct dp_meter *m, const struct rate *r, __u32 dir, __u32 need, __u64 now)
{
	__u64 ns, cost, kept;
	__u32 grant = grant_of(r, &ns);

	cost = (r->cost * (need + grant)) >> r->shift;
	kept = ns * (cfg_cpus + 2);
	return vt_take(&m->tat[dir & 1], now, cost, r->burst - kept) ? (__s64)grant : -1;
}

INLINE enum colour meter_excess(struct dp_meter *m, __u32 ceiling, __u32 dir, __u32 bytes,
				__u64 now)
{
	struct rate r = rate_read(&m->excess[dir & 1]);
	__u64 cost = (r.cost * bytes) >> r.shift, *etat = &m->etat[dir & 1];

	if (!r.cost || !vt_take(etat, now, cost, r.burst))
		return RED;
	if (!ceiling || under_ceiling(ceiling, dir, bytes, now, 1))
		return YELLOW;
	__sync_fetch_and_add(etat, -cost);
	return RED;
}

INLINE enum colour meter_under(struct dp_meter *m, const struct rate *r, __u32 ceiling, __u32 dir,
			       __u32 bytes, __u64 now)
{
	__u64 cost = (r->cost * bytes) >> r->shift;

	if (cost && !vt_take(&m->tat[dir & 1], now, cost, r->burst))
		return meter_excess(m, ceiling, dir, bytes, now);
	if (under_ceiling(ceiling, dir, bytes, now, 0))
		return GREEN;
	/* Dropped above, so not paid for here. */
	if (cost)
		__sync_fetch_and_add(&m->tat[dir & 1], -cost);
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
	struct dp_meter *m = meter_of(at >> 1);
	enum colour colour = GREEN;
	__u64 now = now_ns();
	__s64 left = credit;
	struct rate r;

	if (!m)
		return 0;
	r = rate_read(&m->rate[dir]);
	if (l->ceiling)
		colour = meter_under(m, &r, l->ceiling, dir, o->bytes, now);
	else if (r.cost)
		left = meter_draw(m, &r, dir, o->bytes - credit, now);
	if (left < 0)
		colour = meter_excess(m, l->ceiling, dir, o->bytes, now);
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
