// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* treaty.bpf.c - the data plane's programs, for tc (TCX links or cls_bpf).
 *
 *  treaty_edge_in  customer-facing ingress: a label on the packet counts as absent; classify, tag,
 *                  meter, count, mark
 *  treaty_node_in  network-facing ingress: the label is the index; binding, expiry, meter, count,
 *                  steer, mark
 *  treaty_out      egress of every managed device: outer flow label and HTB class from the mark
 *
 * All end with TC_ACT_UNSPEC, so that other people's programs and filters on the hook still run.
 * Nothing is ever dropped but what is over an agreement's rate. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "prog_classify.h"
#include "prog_count.h"
#include "prog_maps.h"
#include "prog_meter.h"
#include "prog_parse.h"
#include "prog_rtt.h"
#include "prog_shape.h"
#include "prog_tag.h"

enum cause { CAUSE_NONE, CAUSE_UNKNOWN, CAUSE_EXPIRED, CAUSE_BINDING };

/* Not one of ours: count it in label 0's line and in the cause's own counter, pass it. */
INLINE int best_effort(struct __sk_buff *skb, __u32 label, __u32 dir, enum cause why, __u32 packets,
		       __u32 bytes, __u64 now)
{
	struct dp_count *c = 0;

	set_mark(skb, 0, 0);
	count_rx(0, 0, packets, bytes, now);
	if (why != CAUSE_NONE)
		c = count_of(why == CAUSE_UNKNOWN ? 0 : label, why == CAUSE_UNKNOWN ? 0 : dir);
	if (!c)
		return TC_ACT_UNSPEC;
	if (why == CAUSE_UNKNOWN)
		c->unknown += packets;
	else if (why == CAUSE_EXPIRED)
		c->expired += packets;
	else
		c->binding += packets;
	return TC_ACT_UNSPEC;
}

INLINE int not_parsed(struct __sk_buff *skb, int state, __u64 now)
{
	struct dp_count *c = count_of(0, 0);

	if (c) {
		if (state == PARSE_NOT_IP)
			c->not_ip++;
		else
			c->malformed++;
	}
	return best_effort(skb, 0, 0, CAUSE_NONE, 1, skb->len, now);
}

INLINE int parse(struct __sk_buff *skb, struct pkt *p)
{
	__u16 proto;

	if (head_pull(skb))
		return PARSE_MALFORMED;
	proto = parse_l2(skb, p);
	if (!proto)
		return PARSE_MALFORMED;
	p->outer_l3 = p->l3;
	p->outer_family = proto == ETH_P_IPV6 ? 6 : 4;
	return parse_ip(skb, p, proto, 1);
}

/* Direction of a label's packet by the device on which it came in. 2 = not bound to it. */
INLINE __u32 direction(const struct dp_line *l, __u32 ifindex)
{
	__u32 up = l->bind[0], down = l->bind[1];
	struct dp_port_line *port;

	if (up && up == ifindex)
		return 0;
	if (down && down == ifindex)
		return 1;
	if (up && down)
		return 2;
	if (up)
		return 1;
	if (down)
		return 0;
	port = bpf_map_lookup_elem(&ports, &ifindex);
	return port ? port->dir & 1 : 0;
}

/* Demand counts (class) come before any question of an agreement. */
INLINE int edge_in(struct __sk_buff *skb)
{
	__u32 packets, bytes, label, dir, dscp, ce = 0, fresh;
	enum cause why = CAUSE_NONE;
	struct pkt p = {};
	struct answer f = {};
	struct dp_line *l;
	__u64 now = now_ns();
	int state = parse(skb, &p);

	if (state != PARSE_OK)
		return not_parsed(skb, state, now);
	parse_ports(skb, &p);
	wire_size(skb, &p, &packets, &bytes);
	fresh = classify(&p.k, &f);
	label = f.label;
	dir = f.dir & 1;
	l = line_of(label);
	if (label && !l)
		why = CAUSE_UNKNOWN;
	else if (l && now >= *(volatile __u64 *)&l->valid_until)
		why = CAUSE_EXPIRED;
	else if (l && l->bind[dir] && l->bind[dir] != skb->ingress_ifindex)
		why = CAUSE_BINDING;
	count_class(f.class_id, packets, bytes, l && why == CAUSE_NONE, fresh, now);
	if (!l || why != CAUSE_NONE) {
		tag(skb, &p, 0, KEEP, 0);
		return best_effort(skb, label, dir, why, packets, bytes, now);
	}
	dscp = l->dscp < 64 ? l->dscp : KEEP;
	if ((l->flags & DP_L_POLICE_EDGE) &&
	    police(l, &p, label, dir, packets, bytes, now, &dscp, &ce))
		return TC_ACT_SHOT;
	tag(skb, &p, label, dscp, ce);
	set_mark(skb, label, path_of(label, dir));
	count_rx(label, dir, packets, bytes, now);
	if (p.k.proto == IPPROTO_TCP)
		rtt_tcp(skb, &p, label * 2 + dir, now);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int treaty_edge_in(struct __sk_buff *skb)
{
	return edge_in(skb);
}

/* Moves on to the packet inside SRv6 or IP-in-IP, for its TCP header; stays if there is none. */
INLINE void look_inside(struct __sk_buff *skb, struct pkt *p)
{
	__u16 proto;

	if (p->k.proto == IPPROTO_IPIP)
		proto = ETH_P_IP;
	else if (p->k.proto == IPPROTO_IPV6)
		proto = ETH_P_IPV6;
	else
		return;
	if (!p->l4 || p->frag)
		return;
	p->l3 = p->l4;
	if (parse_ip(skb, p, proto, 0) != PARSE_OK)
		p->l4 = 0;
}

INLINE int node_in(struct __sk_buff *skb)
{
	__u32 packets, bytes, label, dir, dscp = KEEP, ce = 0;
	enum cause why = CAUSE_NONE;
	struct pkt p = {};
	struct dp_line *l;
	__u64 now = now_ns();
	int state = parse(skb, &p);

	if (state != PARSE_OK)
		return not_parsed(skb, state, now);
	look_inside(skb, &p);
	wire_size(skb, &p, &packets, &bytes);
	label = p.label;
	l = line_of(label);
	if (!l)
		return best_effort(skb, 0, 0, label ? CAUSE_UNKNOWN : CAUSE_NONE, packets, bytes,
				   now);
	dir = direction(l, skb->ingress_ifindex);
	if (dir > 1)
		why = CAUSE_BINDING;
	else if (now >= *(volatile __u64 *)&l->valid_until)
		why = CAUSE_EXPIRED;
	dir &= 1;
	if (why != CAUSE_NONE)
		return best_effort(skb, label, dir, why, packets, bytes, now);
	if ((l->flags & DP_L_POLICE_NODE) &&
	    police(l, &p, label, dir, packets, bytes, now, &dscp, &ce))
		return TC_ACT_SHOT;
	if (dscp != KEEP || ce)
		tag(skb, &p, KEEP, dscp, ce);
	set_mark(skb, label, path_of(label, dir));
	count_rx(label, dir, packets, bytes, now);
	if (p.k.proto != IPPROTO_TCP)
		return TC_ACT_UNSPEC;
	parse_ports(skb, &p);
	rtt_tcp(skb, &p, label * 2 + dir, now);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int treaty_node_in(struct __sk_buff *skb)
{
	return node_in(skb);
}

/* IPv6 flow label of the outer header, KEEP when the packet is not IPv6. */
INLINE __u32 outer_label(struct __sk_buff *skb, struct pkt *p)
{
	__be32 *w;

	if (head_pull(skb) || parse_l2(skb, p) != ETH_P_IPV6)
		return KEEP;
	w = head_at(skb, p->l3, sizeof(*w));
	if (!w || (*w & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return KEEP;
	return bpf_ntohl(*w) & DP_LABEL_MAX;
}

/* The mark was written by our ingress programs; it is the only witness of what a packet is. A
 * forwarded packet without it must not carry an active label further (it expired here, came in on
 * the wrong device, or a host drew that number by chance): the next node would believe it. */
/* Wire packets and bytes; clang folds two context loads behind one condition into ctx + register,
 * which the verifier refuses; the barrier keeps them apart. At egress wire_len counts GSO headers
 * already. */
INLINE void out_size(struct __sk_buff *skb, __u32 *packets, __u32 *bytes)
{
	__u32 len = skb->len, wire, gso;

	barrier_var(len);
	wire = skb->wire_len;
	barrier_var(wire);
	gso = skb->gso_segs;
	*packets = gso ? gso : 1;
	*bytes = wire > len ? wire : len;
}

SEC("tc")
int treaty_out(struct __sk_buff *skb)
{
	__u32 label = skb->mark & DP_MARK_LABEL, seen, dir, packets, bytes, minor = DP_MINOR_REST;
	struct dp_line *l = line_of(label);
	struct pkt p = {};
	struct dp_count *c;

	seen = outer_label(skb, &p);
	out_size(skb, &packets, &bytes);
	if (!l) {
		if (seen != KEEP && seen && skb->ingress_ifindex && line_of(seen))
			tag_v6(skb, p.l3, 0, KEEP, 0);
		return shape(skb, minor, packets, bytes) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	}
	if (seen != KEEP && seen != label)
		tag_v6(skb, p.l3, label, KEEP, 0);
	if (l->class_minor) {
		skb->priority = DP_PRIO_MAJOR | l->class_minor;
		minor = l->class_minor;
	}
	dir = direction(l, skb->ingress_ifindex);
	c = count_of(label, dir & 1);
	if (shape(skb, minor, packets, bytes)) {
		if (c) {
			c->drop_packets += packets;
			c->drop_bytes += bytes;
		}
		return TC_ACT_SHOT;
	}
	if (!c)
		return TC_ACT_UNSPEC;
	c->tx_packets += packets;
	c->tx_bytes += bytes;
	return TC_ACT_UNSPEC;
}

/* For the bench only: what a packet costs before we do anything. */
SEC("tc")
int treaty_empty(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_UNSPEC;
}

SEC("tc")
int treaty_clock(struct __sk_buff *skb)
{
	(void)skb;
	return bpf_ktime_get_boot_ns() == 1 ? TC_ACT_OK : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
