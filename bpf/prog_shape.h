/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_shape.h - one virtual queue for each class and device, at egress.
 *
 * `next` is the moment at which all that was admitted so far will have left at the class's rate;
 * how far it lies ahead of now is the delay of this packet. It becomes the packet's departure time
 * where our fq waits for it (EDT), and a reason to mark or to drop everywhere: a queue that no
 * packet enters too late cannot stand. As in the meter, a packet's own cost is no part of the test,
 * so that a segmented packet larger than the bound still passes. */
#ifndef TREATY_BPF_PROG_SHAPE_H
#define TREATY_BPF_PROG_SHAPE_H

#include "prog_maps.h"

#define SHAPE_TRIES 4
#define LEAF_NS     50000000ull /* what a leaf of the qdisc holds: the enforcer's LEAF_MS */

volatile __u32 shapes_live; /* dp_ctl.shaped: without, the four need not be read */

INLINE struct dp_shape *shape_of(__u32 minor, __u32 ifindex)
{
	struct dp_shapes *s;

	if (!shapes_live)
		return 0;
	s = bpf_map_lookup_elem(&shapes, &minor);
	if (!s)
		return 0;
	for (int i = 0; i < DP_SHAPE_WAYS; i++)
		if (*(volatile __u32 *)&s->way[i].ifindex == ifindex)
			return &s->way[i];
	return 0;
}

/* The departure clock of fq is the monotonic one. */
INLINE __u64 shape_now(void)
{
	if (cfg_test_clock && test_now)
		return test_now;
	return bpf_ktime_get_ns();
}

/* Takes its place in the queue: the departure time; 0 = the queue is longer than drop_ns. One that
 * only marks is no longer than the leaf that it stands for: what finds that full is dropped there,
 * and is no reason to mark what comes later. */
INLINE __u64 shape_enter(struct dp_shape *s, __u64 now, __u64 cost)
{
	int marks = !s->drop_ns && !(s->flags & DP_SHAPE_PACE);
	__u64 from = now;

	for (int i = 0; i < SHAPE_TRIES; i++) {
		__u64 old = *(volatile __u64 *)&s->next;

		from = old > now ? old : now;
		if (s->drop_ns && from - now > s->drop_ns)
			return 0;
		if (marks && from - now > LEAF_NS)
			return from;
		if (__sync_val_compare_and_swap(&s->next, old, from + cost) == old)
			return from;
	}
	__sync_fetch_and_add(&s->next, cost); /* contended: admit, but never forget the cost */
	return from;
}

/* End of the last hold; 0 = none is under way, which is all that a packet pays for then. */
volatile __u64 holds_end;

/* The label was just moved to this path, which is faster than the one before: its packets wait for
 * those that are still on their way there. 0 = no hold. */
__noinline __u64 hold_until(struct __sk_buff *skb)
{
	__u32 key = skb->mark & ~DP_MARK_FOREIGN;
	__u64 end = holds_end, now = shape_now(), *until;

	if (now >= end) {
		__sync_val_compare_and_swap(&holds_end, end, 0);
		return 0;
	}
	until = bpf_map_lookup_elem(&holds, &key);
	return until && *until > now ? *until : 0;
}

/* Where there is a queue, or a hold; out of the way of devices whose qdisc does it all. */
static __noinline int shape_queue(struct __sk_buff *skb, struct dp_shape *s, __u32 packets,
				  __u32 bytes)
{
	__u64 now, at, hold = holds_end ? hold_until(skb) : 0;

	if (hold && skb->tstamp < hold)
		skb->tstamp = hold;
	if (!s)
		return 0;
	now = shape_now();
	now = now > hold ? now : hold; /* its turn begins there, and its queue */
	at = shape_enter(s, now, (s->cost * bytes) >> 20);
	if (!at) {
		__sync_fetch_and_add(&s->drops, packets);
		return 1;
	}
	if (s->ce_ns && at - now > s->ce_ns && bpf_skb_ecn_set_ce(skb))
		__sync_fetch_and_add(&s->marks, packets);
	/* A local sender's own pacing may already be later. */
	if ((s->flags & DP_SHAPE_PACE) && skb->tstamp < at)
		skb->tstamp = at;
	__sync_fetch_and_add(&s->packets, packets);
	__sync_fetch_and_add(&s->bytes, bytes);
	return 0;
}

/* 1 = drop. minor 2 = what has no agreement. */
INLINE int shape(struct __sk_buff *skb, __u32 minor, __u32 packets, __u32 bytes)
{
	struct dp_shape *s = shape_of(minor, skb->ifindex);

	return s || holds_end ? shape_queue(skb, s, packets, bytes) : 0;
}

#endif
