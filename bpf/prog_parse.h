/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_parse.h - Ethernet, VLAN, IPv4, IPv6 and ports.
 *
 * The rule: what the packet does not plainly show is not guessed. A header that is cut short makes
 * the packet malformed (passed, counted); ports are read only inside the IP length, so Ethernet
 * padding is never taken for ports. All fragments of a datagram get the ports of its first one, so
 * that one datagram has one label. */
#ifndef TREATY_BPF_PROG_PARSE_H
#define TREATY_BPF_PROG_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "prog_maps.h"

#define HEAD_WANT 256 /* bytes brought into the linear part */
#define EXT_MAX   8   /* IPv6 extension headers walked */
#define NH_HOP    0
#define NH_ROUTE  43
#define NH_FRAG   44
#define NH_AUTH   51
#define NH_DEST   60

enum parse_state { PARSE_OK, PARSE_NOT_IP, PARSE_MALFORMED };

struct pkt {
	struct dp_flow_key k;
	__u32 l3;    /* offset of the IP header */
	__u32 l4;    /* offset of what follows all IP headers; 0 = not shown (later fragment) */
	__u32 end;   /* offset of the end of the IP packet */
	__u32 label; /* IPv6 flow label as it came */
	__u32 frag_id;
	__u8 frag, frag_first;
	__u8 outer_family, ecn; /* of the outermost IP header, like outer_l3: what may be written */
	__u32 outer_l3;
};

/* Headers of paged skbs lie outside the linear part that direct access sees. */
INLINE int head_pull(struct __sk_buff *skb)
{
	__u32 want = skb->len;

	if (want > HEAD_WANT)
		want = HEAD_WANT;
	if ((void *)(long)skb->data + want <= (void *)(long)skb->data_end)
		return 0;
	return bpf_skb_pull_data(skb, want);
}

/* Direct pointer to n bytes at offset l3 (a parse_l2 result), NULL beyond the linear part. The
 * barriers keep clang from checking one pointer and using another that the verifier takes for a
 * stranger. */
INLINE void *head_at(struct __sk_buff *skb, __u32 l3, __u32 n)
{
	void *p = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	l3 &= 31;
	barrier_var(l3);
	p += l3;
	barrier_var(p);
	return p + n <= end ? p : 0;
}

/* Sets p->l3 and returns the ethertype behind up to two VLAN tags, 0 when cut short. */
INLINE __u16 parse_l2(struct __sk_buff *skb, struct pkt *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__be16 *proto = data + 12;

	p->l3 = ETH_HLEN;
	if (data + ETH_HLEN > end)
		return 0;
	if (*proto == bpf_htons(ETH_P_8021Q) || *proto == bpf_htons(ETH_P_8021AD)) {
		proto = data + 16;
		p->l3 = ETH_HLEN + 4;
		if (data + ETH_HLEN + 4 > end)
			return 0;
		if (*proto == bpf_htons(ETH_P_8021Q) || *proto == bpf_htons(ETH_P_8021AD)) {
			proto = data + 20;
			p->l3 = ETH_HLEN + 8;
			if (data + ETH_HLEN + 8 > end)
				return 0;
		}
	}
	return bpf_ntohs(*proto);
}

INLINE void v4_mapped(__u64 *to, __be32 addr)
{
	__u32 w[4] = { 0, 0, bpf_htonl(0xffff), addr };

	__builtin_memcpy(to, w, sizeof(w));
}

/* n bytes at p->l3. The outermost header is in reach of direct access, an inner one may not be. */
INLINE int load(struct __sk_buff *skb, const struct pkt *p, void *to, __u32 n, int outer)
{
	void *h;

	if (!outer)
		return bpf_skb_load_bytes(skb, p->l3, to, n);
	h = head_at(skb, p->l3, n);
	if (!h)
		return -1;
	__builtin_memcpy(to, h, n);
	return 0;
}

INLINE int parse_v4(struct __sk_buff *skb, struct pkt *p, int outer)
{
	struct iphdr ip;
	__u32 hl, tot, fo;

	if (load(skb, p, &ip, sizeof(ip), outer))
		return PARSE_MALFORMED;
	hl = ip.ihl * 4;
	tot = bpf_ntohs(ip.tot_len);
	if (!tot && skb->gso_size) /* BIG TCP */
		tot = skb->len - p->l3;
	if (ip.version != 4 || hl < sizeof(ip) || tot < hl || p->l3 + hl > skb->len)
		return PARSE_MALFORMED;
	v4_mapped(p->k.src, ip.saddr);
	v4_mapped(p->k.dst, ip.daddr);
	p->k.family = 4;
	p->k.proto = ip.protocol;
	p->k.dscp = ip.tos >> 2;
	if (outer)
		p->ecn = ip.tos & 3;
	p->end = p->l3 + tot;
	fo = bpf_ntohs(ip.frag_off);
	p->frag = (fo & 0x3fff) != 0;
	p->frag_first = p->frag && !(fo & 0x1fff);
	p->frag_id = ip.id;
	p->l4 = !p->frag || p->frag_first ? p->l3 + hl : 0;
	return PARSE_OK;
}

/* Walks the extension headers at p->l4. Stops at the first upper header, at a later fragment
 * (l4 = 0), or where the chain is cut short or too long (l4 = 0: no ports). */
static __noinline int walk_ext(struct __sk_buff *skb, struct pkt *p)
{
	__u32 off = p->l4, nh = p->k.proto;
	__u8 b[8];

	for (int i = 0; i < EXT_MAX; i++) {
		if (nh != NH_HOP && nh != NH_ROUTE && nh != NH_DEST && nh != NH_AUTH &&
		    nh != NH_FRAG)
			break;
		if (off + 8 > p->end || bpf_skb_load_bytes(skb, off, b, sizeof(b))) {
			off = 0;
			break;
		}
		if (nh == NH_FRAG) {
			__u32 fo = (__u32)b[2] << 8 | b[3];

			p->frag = (fo & 0xfff9) != 0; /* an atomic fragment is whole */
			p->frag_first = p->frag && !(fo & 0xfff8);
			__builtin_memcpy(&p->frag_id, b + 4, 4);
			off += 8;
		} else {
			off += nh == NH_AUTH ? ((__u32)b[1] + 2) * 4 : ((__u32)b[1] + 1) * 8;
		}
		nh = b[0];
		if (p->frag && !p->frag_first) {
			off = 0;
			break;
		}
	}
	p->k.proto = nh;
	p->l4 = off;
	return 0;
}

INLINE int parse_v6(struct __sk_buff *skb, struct pkt *p, int outer)
{
	__u32 w, len;
	struct ipv6hdr ip;

	if (load(skb, p, &ip, sizeof(ip), outer))
		return PARSE_MALFORMED;
	__builtin_memcpy(&w, &ip, 4);
	w = bpf_ntohl(w);
	if (w >> 28 != 6)
		return PARSE_MALFORMED;
	len = bpf_ntohs(ip.payload_len);
	if (!len && skb->gso_size) /* BIG TCP */
		len = skb->len - p->l3 - sizeof(ip);
	__builtin_memcpy(p->k.src, &ip.saddr, 16);
	__builtin_memcpy(p->k.dst, &ip.daddr, 16);
	p->k.family = 6;
	p->k.proto = ip.nexthdr;
	p->k.dscp = (w >> 22) & 63;
	if (outer) {
		p->ecn = (w >> 20) & 3;
		p->label = w & DP_LABEL_MAX;
	}
	p->l4 = p->l3 + sizeof(ip);
	p->end = p->l4 + len;
	if (ip.nexthdr != IPPROTO_TCP && ip.nexthdr != IPPROTO_UDP)
		walk_ext(skb, p);
	return PARSE_OK;
}

INLINE int parse_ip(struct __sk_buff *skb, struct pkt *p, __u16 proto, int outer)
{
	if (proto == ETH_P_IPV6)
		return parse_v6(skb, p, outer);
	if (proto == ETH_P_IP)
		return parse_v4(skb, p, outer);
	return PARSE_NOT_IP;
}

/* Ports, if the protocol has them and the packet (or its first fragment) shows them. */
static __noinline int parse_ports(struct __sk_buff *skb, struct pkt *p)
{
	__u8 proto = p->k.proto;
	struct dp_frag_key fk;
	__u32 *seen, both;

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_SCTP &&
	    proto != IPPROTO_DCCP && proto != IPPROTO_UDPLITE)
		return 0;
	if (p->frag) {
		__builtin_memcpy(fk.src, p->k.src, sizeof(fk.src));
		__builtin_memcpy(fk.dst, p->k.dst, sizeof(fk.dst));
		fk.id = p->frag_id;
		fk.proto = proto;
	}
	if (p->l4) {
		if (p->l4 + 4 > p->end || bpf_skb_load_bytes(skb, p->l4, &both, 4))
			return 0;
		if (p->frag)
			bpf_map_update_elem(&frags, &fk, &both, BPF_ANY);
	} else {
		if (!p->frag)
			return 0;
		seen = bpf_map_lookup_elem(&frags, &fk);
		if (!seen)
			return 0;
		both = *seen;
	}
	both = bpf_ntohl(both);
	p->k.sport = both >> 16;
	p->k.dport = both & 0xffff;
	p->k.has_ports = 1;
	return 0;
}

/* What the packet takes on the wire. A GSO (or GRO) skb stands for several packets that each
 * repeat the headers, so that every layer counts the same bytes. */
INLINE void wire_size(struct __sk_buff *skb, const struct pkt *p, __u32 *packets, __u32 *bytes)
{
	__u32 len = skb->len, gso = skb->gso_size, hdr, n;
	__u8 doff = 0;

	*packets = 1;
	*bytes = len;
	if (!gso)
		return;
	hdr = p->l4 ? p->l4 : p->l3 + 40;
	if (p->l4 && p->k.proto == IPPROTO_TCP && !bpf_skb_load_bytes(skb, p->l4 + 12, &doff, 1))
		hdr += (doff >> 4) * 4;
	else
		hdr += 8;
	if (len <= hdr)
		return;
	n = (len - hdr + gso - 1) / gso;
	*packets = n;
	*bytes = len + (n - 1) * hdr;
}

#endif
