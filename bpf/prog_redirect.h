/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_redirect.h - a path without a routing table: the packet goes straight to a device, and the
 * neighbour code of the kernel finds the next hop's link address.
 *
 * What only the stack can answer is left to the stack, which takes the path's table by the mark
 * that the packet has anyway: what is for this host, too large for the device, out of hops, or to
 * be looked at on the way; and everything once the device is gone. A hop is counted down as a
 * router does, so that no circle of nodes keeps a packet, and no packet leaves by the device it
 * came in. */
#ifndef TREATY_BPF_PROG_REDIRECT_H
#define TREATY_BPF_PROG_REDIRECT_H

#include <linux/pkt_cls.h>

#include "prog_parse.h"

#define AF_INET6_HERE 10

volatile __u32 hops_live; /* some path is by redirect: all that a packet pays for when none is */

INLINE int hop_own(const struct ipv6hdr *h)
{
	struct dp_own_key k = { .len = 128 };

	__builtin_memcpy(k.addr, &h->daddr, sizeof(k.addr));
	return bpf_map_lookup_elem(&hop_owns, &k) != 0;
}

/* IPv6 right behind Ethernet, which a router may pass on without asking anybody; NULL = others. */
INLINE struct ipv6hdr *hop_header(struct __sk_buff *skb, __u32 ifindex)
{
	__u32 mtu = 0, first;
	struct ipv6hdr *h;

	if (skb->pkt_type != 0 /* PACKET_HOST */ || skb->vlan_present ||
	    bpf_check_mtu(skb, ifindex, &mtu, 0, BPF_MTU_CHK_SEGS)) /* or no such device */
		return 0;
	h = head_at(skb, ETH_HLEN, sizeof(*h));
	if (!h || ((__be16 *)h)[-1] != bpf_htons(ETH_P_IPV6) || h->version != 6 ||
	    h->hop_limit <= 1 || h->nexthdr == NH_HOP)
		return 0;
	first = bpf_ntohl(h->daddr.in6_u.u6_addr32[0]);
	if (first >> 24 == 0xff || first >> 22 == 0x3fa) /* multicast, link-local */
		return 0;
	return hop_own(h) ? 0 : h;
}

/* What to return for the packet: on by redirect, or by the stack. */
__noinline int hop_out(struct __sk_buff *skb, __u32 path)
{
	struct bpf_redir_neigh to = { .nh_family = AF_INET6_HERE };
	struct dp_hop *hop = bpf_map_lookup_elem(&hops, &path);
	struct dp_hop_count *c = bpf_map_lookup_elem(&hop_counts, &path);
	struct ipv6hdr *h;
	__u32 ifindex;
	__be32 *w;

	if (!hop || !c)
		return TC_ACT_UNSPEC;
	ifindex = *(volatile __u32 *)&hop->ifindex;
	if (!ifindex)
		return TC_ACT_UNSPEC;
	if (ifindex == skb->ingress_ifindex) {
		c->loops++;
		return TC_ACT_UNSPEC;
	}
	h = hop_header(skb, ifindex);
	if (!h) {
		c->back++;
		return TC_ACT_UNSPEC;
	}
	w = (__be32 *)h + 1;
	word_write(skb, w, *w - bpf_htonl(1)); /* its last byte, which is not 0 */
	__builtin_memcpy(to.ipv6_nh, hop->gw, sizeof(to.ipv6_nh));
	c->packets++;
	return bpf_redirect_neigh(ifindex, &to, sizeof(to), 0);
}

INLINE int leave(struct __sk_buff *skb, __u32 path)
{
	return unlikely(path && hops_live) ? hop_out(skb, path) : TC_ACT_UNSPEC;
}

#endif
