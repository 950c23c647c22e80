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

#include "prog_count.h"

#define HEAD_WANT 256 /* bytes brought into the linear part */
#define HEAD_FAST 66  /* Ethernet, two VLAN tags, IPv6, ports */
#define EXT_MAX   8   /* IPv6 extension headers walked */
#define NH_HOP    0
#define NH_ROUTE  43
#define NH_FRAG   44
#define NH_AUTH   51
#define NH_DEST   60

enum parse_state { PARSE_OK, PARSE_NOT_IP, PARSE_MALFORMED };

/* Of the outermost IP header: what may be written, and what is counted. */
struct outer {
	__u32 l3;    /* its offset */
	__u32 label; /* IPv6 flow label as it came */
	__u8 family, ecn, dscp, proto;
	__u32 packets, bytes; /* on the wire, layer 2 */
};

struct pkt {
	struct dp_flow_key k;
	__u32 l3;  /* offset of the IP header */
	__u32 l4;  /* offset of what follows all IP headers; 0 = not shown (later fragment) */
	__u32 end; /* offset of the end of the IP packet */
	__u32 frag_id;
	__u8 frag, frag_first;
	struct outer o;
};

/* Headers of paged skbs lie outside the linear part that direct access sees: brought in unless
 * what the fast path reads is there. */
INLINE int head_pull(struct __sk_buff *skb)
{
	__u32 len = skb->len, want = len < HEAD_FAST ? len : HEAD_FAST;

	if ((void *)(long)skb->data + want <= (void *)(long)skb->data_end)
		return 0;
	return bpf_skb_pull_data(skb, len < HEAD_WANT ? len : HEAD_WANT);
}

/* Direct pointer to n bytes at offset l3 (below 64), NULL beyond the linear part. The
 * barriers keep clang from checking one pointer and using another that the verifier takes for a
 * stranger. */
INLINE void *head_at(struct __sk_buff *skb, __u32 l3, __u32 n)
{
	void *p = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	l3 &= 63;
	barrier_var(l3);
	p += l3;
	barrier_var(p);
	return p + n <= end ? p : 0;
}

/* One word of a header whose bytes no checksum of its own makes up for. A device that summed the
 * whole packet (CHECKSUM_COMPLETE) handed its sum up: it must hold for what stands there now. */
INLINE void word_write(struct __sk_buff *skb, __be32 *w, __be32 to)
{
	__u64 sum = (__u64)(__u32) ~*w + to;

	*w = to;
	bpf_csum_update(skb, (__u32)sum + (__u32)(sum >> 32));
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
	/* In whole words: a load that spans two stores stalls. */
	to[0] = 0;
	to[1] = bpf_htonl(1) == 1 ? (__u64)bpf_htonl(0xffff) << 32 | addr
				  : (__u64)addr << 32 | bpf_htonl(0xffff);
}

/* An IP header as words; by words because clang copies a packed struct byte by byte. */
union head {
	__u64 q[5];
	__u32 w[10];
	struct iphdr v4;
	struct ipv6hdr v6;
};

/* n bytes (20 or 40) at p->l3. The outermost header is in reach of direct access, an inner one may
 * not be. */
INLINE int load(struct __sk_buff *skb, const struct pkt *p, union head *to, __u32 n, int outer)
{
	__u32 *h;

	if (!outer)
		return bpf_skb_load_bytes(skb, p->l3, to, n);
	h = head_at(skb, p->l3, n);
	if (!h)
		return -1;
	to->q[0] = *(__u64 *)h;
	to->q[1] = *(__u64 *)(h + 2);
	if (n == 20) {
		to->w[4] = h[4];
		return 0;
	}
	to->q[2] = *(__u64 *)(h + 4);
	to->q[3] = *(__u64 *)(h + 6);
	to->q[4] = *(__u64 *)(h + 8);
	return 0;
}

INLINE int parse_v4(struct __sk_buff *skb, struct pkt *p, int outer)
{
	union head h;
	__u32 hl, tot, fo;

	if (load(skb, p, &h, 20, outer))
		return PARSE_MALFORMED;
	hl = (h.w[0] & 15) * 4;
	tot = bpf_ntohs(h.v4.tot_len);
	if (!tot && skb->gso_size) /* BIG TCP */
		tot = skb->len - p->l3;
	if ((h.w[0] & 0xf0) != 0x40 || hl < 20 || tot < hl || p->l3 + hl > skb->len)
		return PARSE_MALFORMED;
	v4_mapped(p->k.src, h.v4.saddr);
	v4_mapped(p->k.dst, h.v4.daddr);
	p->k.family = 4;
	p->k.proto = h.v4.protocol;
	p->k.dscp = h.v4.tos >> 2;
	if (outer) {
		p->o.ecn = h.v4.tos & 3;
		p->o.dscp = p->k.dscp;
	}
	p->end = p->l3 + tot;
	fo = bpf_ntohs(h.v4.frag_off);
	p->frag = (fo & 0x3fff) != 0;
	p->frag_first = p->frag && !(fo & 0x1fff);
	p->frag_id = h.v4.id;
	p->l4 = !p->frag || p->frag_first ? p->l3 + hl : 0;
	return PARSE_OK;
}

INLINE int leads_on(__u32 nh)
{
	return nh == NH_HOP || nh == NH_ROUTE || nh == NH_DEST || nh == NH_AUTH || nh == NH_FRAG;
}

/* Walks the extension headers at p->l4. Stops at the first upper header, at a later fragment
 * (l4 = 0), or where the chain is cut short or too long (l4 = 0: no ports). */
__noinline int walk_ext(struct __sk_buff *skb, struct pkt *p)
{
	__u32 off, nh;
	__u8 b[8];

	if (!p)
		return 0;
	off = p->l4;
	nh = p->k.proto;
	for (int i = 0; i < EXT_MAX; i++) {
		if (!leads_on(nh))
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
	union head h;

	if (load(skb, p, &h, 40, outer))
		return PARSE_MALFORMED;
	w = bpf_ntohl(h.w[0]);
	if (w >> 28 != 6)
		return PARSE_MALFORMED;
	len = bpf_ntohs((__u16)h.w[1]);
	if (!len && skb->gso_size) /* BIG TCP */
		len = skb->len - p->l3 - 40;
	p->k.src[0] = h.q[1];
	p->k.src[1] = h.q[2];
	p->k.dst[0] = h.q[3];
	p->k.dst[1] = h.q[4];
	*(__u32 *)&p->k.proto = ((h.w[1] >> 16) & 0xff) | ((w >> 22) & 63) << 8 | 6u << 16;
	if (outer) {
		p->o.ecn = (w >> 20) & 3;
		p->o.dscp = (w >> 22) & 63;
		p->o.label = w & DP_LABEL_MAX;
	}
	p->frag = 0;
	p->l4 = p->l3 + 40;
	p->end = p->l4 + len;
	if (p->k.proto != IPPROTO_TCP && p->k.proto != IPPROTO_UDP)
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

INLINE void ports_set(struct pkt *p, __be32 both)
{
	__u32 *ports = (__u32 *)&p->k.sport, *kind = (__u32 *)&p->k.proto;

	/* Whole words: the hash reads words, and a load that spans several stores stalls. */
	both = bpf_ntohl(both);
	*ports = both >> 16 | both << 16;
	*kind |= 1u << 24; /* has_ports */
}

/* It goes on: a rule that names no ports may still be its own. */
INLINE int no_ports(void)
{
	struct dp_odd *odd = odd_here();

	if (odd)
		odd->no_ports++;
	return 0;
}

/* Fragments, and packets whose ports lie behind options or extension headers. A header that leads
 * on and was not followed (the chain is cut short or too long, IPv4 before AH) shows none. */
__noinline int far_ports(struct __sk_buff *skb, struct pkt *p)
{
	struct dp_frag_key fk;
	__u32 *seen, both;

	if (!p)
		return 0;
	if (leads_on(p->k.proto))
		return no_ports();
	if (p->frag) {
		__builtin_memcpy(fk.src, p->k.src, sizeof(fk.src));
		__builtin_memcpy(fk.dst, p->k.dst, sizeof(fk.dst));
		fk.id = p->frag_id;
		fk.proto = p->k.proto;
	}
	if (p->l4) {
		if (p->l4 + 4 > p->end || bpf_skb_load_bytes(skb, p->l4, &both, 4))
			return no_ports();
		if (p->frag && bpf_map_update_elem(&frags, &fk, &both, BPF_ANY))
			event(DP_EV_FULL, 0, skb->ifindex);
	} else {
		seen = p->frag ? bpf_map_lookup_elem(&frags, &fk) : 0;
		if (!seen)
			return no_ports();
		both = *seen;
	}
	ports_set(p, both);
	return 0;
}

/* Ports, if the protocol has them and the packet (or its first fragment) shows them. */
INLINE void parse_ports(struct __sk_buff *skb, struct pkt *p)
{
	__u8 proto = p->k.proto;
	__u32 l4 = p->l4, *both;

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_SCTP &&
	    proto != IPPROTO_DCCP && proto != IPPROTO_UDPLITE && !leads_on(proto))
		return;
	barrier_var(l4);
	/* Masked here, not below the compare: older verifiers lose a bound that a copy showed. */
	both = !p->frag && l4 && l4 < 64 && l4 + 4 <= p->end && !leads_on(proto)
		       ? head_at(skb, l4 & 63, 4)
		       : 0;
	if (both)
		ports_set(p, *both);
	else
		far_ports(skb, p);
}

/* What the packet takes on the wire. A GSO (or GRO) skb stands for several packets that each
 * repeat the headers, so that every layer counts the same bytes. */
__noinline int gso_size(struct __sk_buff *skb, struct pkt *p)
{
	__u32 len = skb->len, gso = skb->gso_size, hdr, n;
	__u8 doff = 0;

	if (!p)
		return 0;
	hdr = p->l4 ? p->l4 : p->l3 + 40;
	if (p->l4 && p->k.proto == IPPROTO_TCP && !bpf_skb_load_bytes(skb, p->l4 + 12, &doff, 1))
		hdr += (doff >> 4) * 4;
	else
		hdr += 8;
	if (len <= hdr || !gso)
		return 0;
	n = (len - hdr + gso - 1) / gso;
	p->o.packets = n;
	p->o.bytes = len + (n - 1) * hdr;
	return 0;
}

INLINE void wire_size(struct __sk_buff *skb, struct pkt *p)
{
	p->o.packets = 1;
	p->o.bytes = skb->len;
	if (skb->gso_size)
		gso_size(skb, p);
}

/* Ethernet and the outermost IP header. */
INLINE int parse_outer(struct __sk_buff *skb, struct pkt *p)
{
	__u16 proto;
	int state;

	if (head_pull(skb))
		return PARSE_MALFORMED;
	proto = parse_l2(skb, p);
	if (!proto)
		return PARSE_MALFORMED;
	p->o.l3 = p->l3;
	p->o.family = proto == ETH_P_IPV6 ? 6 : 4;
	state = parse_ip(skb, p, proto, 1);
	p->o.proto = p->k.proto;
	return state;
}

/* Moves on to the packet inside SRv6 or IP-in-IP, for its TCP header; stays if there is none. */
__noinline int look_inside(struct __sk_buff *skb, struct pkt *p)
{
	__u16 proto;

	if (!p)
		return 0;
	if (p->k.proto == IPPROTO_IPIP)
		proto = ETH_P_IP;
	else if (p->k.proto == IPPROTO_IPV6)
		proto = ETH_P_IPV6;
	else
		return 0;
	if (!p->l4 || p->frag)
		return 0;
	p->l3 = p->l4;
	if (parse_ip(skb, p, proto, 0) != PARSE_OK)
		p->l4 = 0;
	return 0;
}

/* The long ways: any packet, at the edge and at a node. */
__noinline int parse_edge(struct __sk_buff *skb, struct pkt *p)
{
	int state = p ? parse_outer(skb, p) : PARSE_MALFORMED;

	if (state != PARSE_OK)
		return state;
	parse_ports(skb, p);
	wire_size(skb, p);
	return PARSE_OK;
}

__noinline int parse_node(struct __sk_buff *skb, struct pkt *p)
{
	int state = p ? parse_outer(skb, p) : PARSE_MALFORMED;

	if (state != PARSE_OK)
		return state;
	if (skb->gso_size)
		look_inside(skb, p);
	wire_size(skb, p);
	return PARSE_OK;
}

/* Most packets at a node: IPv6 right behind Ethernet, in reach, one on the wire. 0 = others, which
 * take the long way. The protocol may be that of an extension header. */
INLINE int plain_v6(struct __sk_buff *skb, struct outer *o)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 w;

	if (data + ETH_HLEN + 40 > end || *(__be16 *)(data + 12) != bpf_htons(ETH_P_IPV6))
		return 0;
	w = bpf_ntohl(*(__be32 *)(data + ETH_HLEN));
	if (w >> 28 != 6 || skb->gso_size)
		return 0;
	o->l3 = ETH_HLEN;
	o->label = w & DP_LABEL_MAX;
	o->family = 6;
	o->ecn = (w >> 20) & 3;
	o->dscp = (w >> 22) & 63;
	o->proto = *(__u8 *)(data + ETH_HLEN + 6);
	o->packets = 1;
	o->bytes = skb->len;
	return 1;
}

#endif
