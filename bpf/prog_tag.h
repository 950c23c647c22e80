/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_tag.h - writes DSCP, ECN and flow label. In IPv6 none of them is under a checksum of the
 * packet's own; in IPv4 the header checksum is updated by RFC 1624, so that a sum over all stays.
 */
#ifndef TREATY_BPF_PROG_TAG_H
#define TREATY_BPF_PROG_TAG_H

#include "prog_parse.h"

#define KEEP 0xffffffffu

INLINE void tag_v6(struct __sk_buff *skb, __u32 l3, __u32 label, __u32 dscp, __u32 ce)
{
	__u32 keep = 0xffffffff, set = 0;
	__be32 *w = head_at(skb, l3, sizeof(*w));

	if (!w)
		return;
	if (label != KEEP) {
		keep &= ~DP_LABEL_MAX;
		set |= label & DP_LABEL_MAX;
	}
	if (dscp != KEEP) {
		keep &= ~(63u << 22);
		set |= (dscp & 63) << 22;
	}
	if (ce)
		set |= 3u << 20;
	word_write(skb, w, (*w & bpf_htonl(keep)) | bpf_htonl(set));
}

INLINE void tag_v4(struct __sk_buff *skb, __u32 l3, __u32 dscp, __u32 ce)
{
	__u16 *w = head_at(skb, l3, 20), *check = w + 5, old, new;
	__u32 sum;

	if (!w)
		return;
	old = bpf_ntohs(*w);
	new = old;
	if (dscp != KEEP)
		new = (new & 0xff03) | (dscp & 63) << 2;
	if (ce)
		new |= 3;
	if (new == old)
		return;
	sum = (__u16)~bpf_ntohs(*check) + (__u16)~old + new;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*check = bpf_htons((__u16)~sum);
	*w = bpf_htons(new);
}

INLINE void tag(struct __sk_buff *skb, const struct outer *o, __u32 label, __u32 dscp, __u32 ce)
{
	if (o->family == 6)
		tag_v6(skb, o->l3, label, dscp, ce);
	else
		tag_v4(skb, o->l3, dscp, ce);
}

#endif
