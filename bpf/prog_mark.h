/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_mark.h - alternate marking (RFC 9341) of watched labels: the edge writes the colour of the
 * present block as one of a class's two code points, every node counts by it.
 *
 * A block has a number, the wall clock divided by the block's length, and the colour is its parity.
 * Who finds a colour that is not its own clock's present one takes the nearest block of that
 * colour: right as long as the clocks' error and the packets' delay together stay below half a
 * block (RFC 9341 section 5). */
#ifndef TREATY_BPF_PROG_MARK_H
#define TREATY_BPF_PROG_MARK_H

#include "prog_tag.h"

const volatile struct dp_colours cfg_colours = {};
volatile __u64 wall_offset; /* wall clock less boot clock, kept by user space */

INLINE __u32 code_of(__u32 dscp)
{
	return cfg_colours.code[dscp & 63];
}

INLINE __u32 colour_of(__u32 code)
{
	return !!(code & DP_CODE_ONE);
}

/* The cell is another block's: ours from now on. Its totals stand still since that block ended, so
 * who wins the exchange read the right base before it. */
INLINE int block_begin(struct dp_block *c, __u64 block, __s64 offset)
{
	__u64 was = *(volatile __u64 *)&c->block;
	__u64 packets = *(volatile __u64 *)&c->packets, bytes = *(volatile __u64 *)&c->bytes;
	__s64 sum = *(volatile __s64 *)&c->sum_ns;

	if (was == block)
		return 1;
	/* Later than the cell is old: in no block. Much later is a clock that was set back. */
	if (was > block && was - block <= DP_BLOCKS)
		return 0;
	if (__sync_val_compare_and_swap(&c->block, was, block) != was)
		return *(volatile __u64 *)&c->block == block;
	c->base_packets = packets;
	c->base_bytes = bytes;
	c->base_sum_ns = sum;
	c->first_ns = offset;
	return 1;
}

/* at = (slot * 2 + direction) * 2 + point. */
static __noinline int mark_count(__u32 at, __u64 now, __u32 colour, __u32 packets, __u32 bytes)
{
	__u64 len = cfg_colours.block_ns, wall = now + wall_offset, block;
	struct dp_block *c;
	__s64 offset;
	__u32 i;

	if (!len)
		return 0;
	block = wall / len;
	offset = wall - block * len;
	if ((block & 1) != (colour & 1)) {
		int before = offset < (__s64)(len / 2);

		block += before ? -1 : 1;
		offset += before ? len : -len;
	}
	i = at * DP_BLOCKS + (block & (DP_BLOCKS - 1));
	c = bpf_map_lookup_elem(&marks, &i);
	if (!c || !block_begin(c, block, offset))
		return 0;
	__sync_fetch_and_add(&c->packets, packets);
	__sync_fetch_and_add(&c->bytes, bytes);
	__sync_fetch_and_add(&c->sum_ns, offset * packets);
	return 0;
}

/* Counts a packet whose code point shows a colour. at = slot * 2 + direction. */
INLINE void mark_seen(const struct outer *o, __u32 at, __u32 point)
{
	__u32 code = code_of(o->dscp);

	if (code & DP_CODE_PAIRED)
		mark_count(at * 2 + point, now_ns(), colour_of(code), o->packets, o->bytes);
}

/* At the edge: what to write in place of dscp (KEEP = the packet's own), which shows the colour of
 * the present block. A code point without a partner stays, and is not counted. */
INLINE __u32 mark_edge(const struct outer *o, __u32 at, __u32 dscp)
{
	__u32 is = dscp == KEEP ? o->dscp : dscp, code, colour;
	__u64 now;

	if (!cfg_colours.block_ns)
		return dscp;
	code = code_of(is);
	if (!(code & DP_CODE_PAIRED))
		return dscp;
	now = now_ns();
	colour = ((now + wall_offset) / cfg_colours.block_ns) & 1;
	mark_count(at * 2 + DP_MARK_IN, now, colour, o->packets, o->bytes);
	return colour == colour_of(code) ? is : code & DP_CODE_PARTNER;
}

/* A node's remark `to` of a packet that came with `from`: the colour stays. */
INLINE __u32 mark_keep(__u32 from, __u32 to)
{
	__u32 a = code_of(from), b = code_of(to);

	if (!cfg_colours.block_ns || !(a & b & DP_CODE_PAIRED) || colour_of(a) == colour_of(b))
		return to;
	return b & DP_CODE_PARTNER;
}

/* Where one domain's label becomes another's: a packet that comes with a colour keeps it, so that a
 * block's figures span both; any other gets ours. at = 0: not watched here. */
static __noinline __u32 mark_border(const struct outer *o, __u32 at, __u32 dscp)
{
	if (!(code_of(o->dscp) & DP_CODE_PAIRED))
		return at ? mark_edge(o, at, dscp) : dscp;
	if (at && cfg_colours.block_ns)
		mark_seen(o, at, DP_MARK_IN);
	return dscp == KEEP ? KEEP : mark_keep(o->dscp, dscp);
}

/* Code point of the packet inside, KEEP when there is none. */
INLINE __u32 dscp_inside(struct __sk_buff *skb, struct pkt *p)
{
	__be32 w;

	if (parse_v6(skb, p, 1) != PARSE_OK || !p->l4 || p->frag ||
	    bpf_skb_load_bytes(skb, p->l4, &w, sizeof(w)))
		return KEEP;
	if (p->k.proto == IPPROTO_IPIP)
		return (bpf_ntohl(w) >> 18) & 63;
	if (p->k.proto == IPPROTO_IPV6)
		return (bpf_ntohl(w) >> 22) & 63;
	return KEEP;
}

/* At egress. The kernel does not copy an IPv4 packet's code point to the SRv6 header that it gets:
 * the outer header must show the colour of what it carries. */
static __noinline int mark_out(struct __sk_buff *skb, __u32 l3, __u32 at, __u32 packets,
			       __u32 bytes)
{
	__be32 *w = head_at(skb, l3, sizeof(*w));
	struct pkt p = { .l3 = l3 };
	struct outer o = { .packets = packets, .bytes = bytes };
	__u32 v, dscp, in, code;

	if (!w || !l3)
		return 0;
	v = bpf_ntohl(*w);
	dscp = v >> 28 == 6 ? (v >> 22) & 63 : (v >> 18) & 63;
	if (v >> 28 == 6) {
		in = dscp_inside(skb, &p);
		code = in == KEEP ? 0 : code_of(in);
		if ((code & DP_CODE_PAIRED) &&
		    ((code ^ code_of(dscp)) & (DP_CODE_PAIRED | DP_CODE_ONE))) {
			tag_v6(skb, l3, KEEP, in, 0);
			dscp = in;
		}
	}
	o.dscp = dscp;
	mark_seen(&o, at, DP_MARK_OUT);
	return 0;
}

/* A slot's new owner is counted from the next block on: the present one has begun without it. Cells
 * of a block that is not over take nothing older; the next block's own begins as any other. */
INLINE void mark_clear(__u32 slot)
{
	__u64 next;

	if (!cfg_colours.block_ns)
		return;
	next = (now_ns() + wall_offset) / cfg_colours.block_ns + 1;
	for (__u32 i = 0; i < 4 * DP_BLOCKS; i++) {
		__u32 at = DP_MARK_AT(slot, 0, 0) + i;
		struct dp_block *c = bpf_map_lookup_elem(&marks, &at);

		if (c)
			c->block = (at ^ next) & (DP_BLOCKS - 1) ? next : next - 1;
	}
}

#endif
