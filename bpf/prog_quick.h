/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_quick.h - the way of most packets: plain headers, a flow that the cache knows, a label in
 * force without source prefix and ceiling, bound as the packet came, far from its end, in credit.
 *
 * A processor overlaps the cache misses of packets whose instructions all fit into its window, and
 * in a router the code comes back into the first cache for every packet: so what counts is how few
 * instructions there are. Nothing is copied; headers are read where they lie, one way for each
 * family. Nothing is written before it is sure that this way ends well: else it says AGAIN, and the
 * packet takes the long way from its beginning. */
#ifndef TREATY_BPF_PROG_QUICK_H
#define TREATY_BPF_PROG_QUICK_H

#include "prog_flow.h"
#include "prog_mark.h"
#include "prog_redirect.h"
#include "prog_shape.h"
#include "prog_tag.h"

#define AGAIN 0x100 /* no verdict */

/* The line of a label in force, without a bound source prefix or a ceiling. */
#define LINE_PLAIN ((__u64)0xffff << 48 | DP_L_SOURCE << 1 | DP_L_SOURCE | DP_L_ACTIVE)

/* What the key of a flow holds beside the addresses. */
struct plain {
	__u32 first; /* word of the IP header, host order */
	__u32 ports, kind, label_in, generation;
	const struct dp_seek *s;
};

/* --- addresses, in the order of struct dp_flow_key; ip: the header ------------------------------
 */

INLINE __u64 addr_quad(const void *ip, int v6, int i)
{
	__u64 mapped[2];

	if (v6)
		return *(const __u64 *)(ip + 8 + i * 8);
	v4_mapped(mapped, *(const __be32 *)(ip + (i > 1 ? 16 : 12)));
	return mapped[i & 1];
}

INLINE __u32 addr_word(const void *ip, int v6, int i)
{
	if (v6)
		return *(const __u32 *)(ip + 8 + i * 4);
	return (i & 3) == 3   ? *(const __u32 *)(ip + (i > 3 ? 16 : 12))
	       : (i & 3) == 2 ? bpf_htonl(0xffff)
			      : 0;
}

/* flow_hash() of that flow. */
INLINE __u64 plain_hash(const void *ip, int v6, const struct plain *p)
{
	const __u32 *key = p->s->key;
	__u64 h = (__u64)(p->ports + key[8]) * (p->kind + key[9]) +
		  (__u64)(p->label_in + key[10]) * key[11];

#pragma unroll
	for (int i = 0; i < 8; i += 2)
		h += (__u64)(addr_word(ip, v6, i) + key[i]) *
		     (addr_word(ip, v6, i + 1) + key[i + 1]);
	return flow_hash(h, p->s->last);
}

/* TCP or UDP behind a plain header, one packet on the wire. */
INLINE int plain_read(struct __sk_buff *skb, const void *ip, int v6, struct plain *p)
{
	__u32 both, proto, dscp;

	p->first = bpf_ntohl(*(const __be32 *)ip);
	if (v6) {
		proto = *(const __u8 *)(ip + 6);
		if (p->first >> 28 != 6 || bpf_ntohs(*(const __be16 *)(ip + 4)) < 4)
			return 0;
	} else {
		proto = *(const __u8 *)(ip + 9);
		if (p->first >> 24 != 0x45 || (p->first & 0xffff) < 24 ||
		    *(const __be16 *)(ip + 6) & bpf_htons(0x3fff))
			return 0;
	}
	if ((proto != IPPROTO_UDP && proto != IPPROTO_TCP) || skb->gso_size)
		return 0;
	both = bpf_ntohl(*(const __be32 *)(ip + (v6 ? 40 : 20)));
	dscp = (p->first >> (v6 ? 22 : 18)) & 63;
	p->ports = both >> 16 | both << 16;
	p->kind = proto | dscp << 8 | (v6 ? 6 : 4) << 16 | 1u << 24;
	p->s = &seek;
	barrier_var(p->s); /* clang would load the address again for every word */
	p->generation = *(volatile const __u32 *)&p->s->generation;
	p->label_in = v6 && p->generation & DP_GEN_LABEL_IN ? p->first & DP_LABEL_MAX : 0;
	return 1;
}

/* As flow_read(). An entry never used has no kind, so it needs no question of its own. */
INLINE int plain_is(const struct dp_flow *e, const void *ip, int v6, const struct plain *p,
		    __u32 *label, __u32 *class)
{
	__u32 seq = *(volatile const __u32 *)&e->seq;
	__u64 differ;

	order();
	differ = (e->src[0] ^ addr_quad(ip, v6, 0)) | (e->src[1] ^ addr_quad(ip, v6, 1)) |
		 (e->dst[0] ^ addr_quad(ip, v6, 2)) | (e->dst[1] ^ addr_quad(ip, v6, 3)) |
		 (e->ports ^ p->ports) | (e->kind ^ p->kind) | (e->label_in ^ p->label_in) |
		 (e->generation ^ p->generation);
	*label = e->label;
	*class = e->class_id;
	order();
	return !(differ | (seq & 1) | (*(volatile const __u32 *)&e->seq ^ seq));
}

/* Another way of the set that may hold a flow which belongs into e; DP_FLOW_WAYS = none. */
INLINE __u32 way_hinted(const struct dp_flow *e, __u64 h)
{
	__u32 tag = ((h >> 22) & 0xff) ?: 1;

#pragma unroll
	for (__u32 i = 0; i < DP_FLOW_WAYS; i++)
		if (e->hint[i] == tag)
			return i;
	return DP_FLOW_WAYS;
}

INLINE int plain_find(const void *ip, int v6, const struct plain *p, __u32 *label, __u32 *class)
{
	__u64 h = plain_hash(ip, v6, p);
	__u32 at = ((h >> 32) * p->s->sets) >> 32, w;
	struct dp_flow_set *s = bpf_map_lookup_elem(&flows, &at);
	struct dp_flow *e;

	if (!s)
		return 0;
	e = way_of(s, (h >> 30) & 3);
	barrier_var(e);
	if (!unlikely(!plain_is(e, ip, v6, p, label, class)))
		return 1;
	w = way_hinted(e, h);
	if (w == DP_FLOW_WAYS)
		return 0;
	e = way_of(s, w);
	barrier_var(e);
	return plain_is(e, ip, v6, p, label, class);
}

/* Counts a packet of a label, out of its credit where it is policed; 0 = it must be asked for, or
 * the number of packets begins anew. */
INLINE int rx_plain(struct dp_pass *p, __u32 dir, __u32 bytes, __u64 policed)
{
	__u64 rx = rx_word(p, dir) + 1;

	if (unlikely(!(rx << (64 - DP_RX_CREDIT))))
		return 0;
	if (policed) {
		if (unlikely(rx >> DP_RX_CREDIT < bytes))
			return 0;
		rx -= (__u64)bytes << DP_RX_CREDIT;
	}
	*(volatile __u64 *)&p->dir[dir].packets = rx;
	p->dir[dir].bytes += bytes;
	return 1;
}

/* Colours are no quick matter. */
INLINE int coloured(const struct dp_line *l)
{
	return l->watch && cfg_colours.block_ns;
}

#endif
