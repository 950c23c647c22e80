/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_rtt.h - passive TCP round trip time from timestamps (RFC 7323): the TSval of a data segment
 * is noted once, the first TSecr that echoes it closes the sample.
 *
 * Only segments with payload are noted (an echo of a pure acknowledgement would measure the
 * application's silence), at most one per label, direction and millisecond, in an LRU map, and only
 * for watched labels. The
 * option is read where RFC 7323 appendix A puts it; other layouts give no sample. */
#ifndef TREATY_BPF_PROG_RTT_H
#define TREATY_BPF_PROG_RTT_H

#include "prog_parse.h"

#define RTT_PACE 1000000ull

struct tcp_ts {
	__u8 fixed[12];
	__u8 doff, flags, rest[6];
	__be32 kind; /* NOP NOP 8 10 */
	__be32 tsval, tsecr;
};

/* Cells of (watched slot, direction): two halves, the second ends with samples and sum. */
INLINE void rtt_add(__u32 watch, __u32 dir, __u64 ns)
{
	__u32 i = cfg_at.rtt + (watch * 2 + dir) * 2, b = 0;
	union dp_cell *c = cell_at(i + 1);
	__u64 us = ns / 1000, v = us;

	if (!c)
		return;
	__sync_fetch_and_add(&c->word[6], 1);
	__sync_fetch_and_add(&c->word[7], us);
	for (int s = 16; s > 0; s /= 2) {
		if (v >> s) {
			v >>= s;
			b += s;
		}
	}
	if (b >= DP_RTT_BUCKETS)
		b = DP_RTT_BUCKETS - 1;
	c = cell_at(i + b / 16);
	if (c)
		__sync_fetch_and_add(&c->rtt.bucket[b & 15], 1);
}

INLINE void rtt_note(const struct pkt *p, __u32 watch, __u32 dir, __be32 tsval, __u64 now)
{
	struct dp_watch *m = bpf_map_lookup_elem(&watches, &watch);
	struct dp_rtt_key k;

	/* Two CPUs may pass this gate together: one sample more, no harm. */
	if (!m || *(volatile __u64 *)&m->rtt_next[dir & 1] > now)
		return;
	*(volatile __u64 *)&m->rtt_next[dir & 1] = now + RTT_PACE;
	__builtin_memcpy(k.src, p->k.src, sizeof(k.src));
	__builtin_memcpy(k.dst, p->k.dst, sizeof(k.dst));
	k.sport = p->k.sport;
	k.dport = p->k.dport;
	k.tsval = tsval;
	bpf_map_update_elem(&stamps, &k, &now, BPF_NOEXIST);
}

__noinline int rtt_tcp(struct __sk_buff *skb, const struct pkt *p, __u32 at, __u64 now)
{
	__u32 watch = at >> 1, dir = at & 1, hl;
	struct dp_rtt_key k;
	struct tcp_ts t;
	__u64 *when;

	if (!p)
		return 0;
	if (!p->l4 || p->frag || p->k.proto != IPPROTO_TCP || !p->k.has_ports)
		return 0;
	if (p->l4 + sizeof(t) > p->end || bpf_skb_load_bytes(skb, p->l4, &t, sizeof(t)))
		return 0;
	hl = (t.doff >> 4) * 4;
	if (hl < sizeof(t) || t.kind != bpf_htonl(0x0101080a))
		return 0;
	if (p->l4 + hl < p->end)
		rtt_note(p, watch, dir, t.tsval, now);
	if (!(t.flags & 0x10) || !t.tsecr)
		return 0;
	__builtin_memcpy(k.src, p->k.dst, sizeof(k.src));
	__builtin_memcpy(k.dst, p->k.src, sizeof(k.dst));
	k.sport = p->k.dport;
	k.dport = p->k.sport;
	k.tsval = t.tsecr;
	when = bpf_map_lookup_elem(&stamps, &k);
	if (!when)
		return 0;
	if (now > *when)
		rtt_add(watch, dir ^ 1, now - *when);
	bpf_map_delete_elem(&stamps, &k);
	return 0;
}

#endif
