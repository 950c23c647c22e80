// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* treaty.bpf.c - the data plane's programs, for tc (TCX links or cls_bpf).
 *
 *  treaty_edge_in  customer-facing ingress: a label on the packet counts as absent; classify, tag,
 *                  meter, count, mark
 *  treaty_node_in  network-facing ingress: the label is the index; binding, expiry, meter, count,
 *                  steer, mark
 *  treaty_out      egress of every managed device: outer flow label and HTB class from the mark
 *  treaty_pace     TCP sockets of a cgroup: the pace of their label
 *
 * All end with TC_ACT_UNSPEC, so that other people's programs and filters on the hook still run.
 * Nothing is ever dropped but what is over an agreement's rate. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "prog_classify.h"
#include "prog_count.h"
#include "prog_maps.h"
#include "prog_mark.h"
#include "prog_meter.h"
#include "prog_pace.h"
#include "prog_parse.h"
#include "prog_rtt.h"
#include "prog_shape.h"
#include "prog_tag.h"

enum cause { CAUSE_NONE, CAUSE_UNKNOWN, CAUSE_EXPIRED, CAUSE_BINDING };

/* Not one of ours: count it as label 0's and under its cause, pass it. */
__noinline int best_effort(struct __sk_buff *skb, const struct pkt *p, __u32 at, enum cause why)
{
	struct dp_odd *odd;
	struct dp_rare *c;

	if (!p)
		return TC_ACT_UNSPEC;
	set_mark(skb, 0, 0);
	count_rx(0, 0, p->packets, p->bytes);
	if (why == CAUSE_NONE)
		return TC_ACT_UNSPEC;
	if (why == CAUSE_UNKNOWN) {
		odd = odd_here();
		if (odd)
			odd->unknown += p->packets;
		return TC_ACT_UNSPEC;
	}
	c = rare_of(at >> 1, at & 1);
	if (c)
		__sync_fetch_and_add(why == CAUSE_EXPIRED ? &c->expired : &c->binding, p->packets);
	return TC_ACT_UNSPEC;
}

__noinline int not_parsed(struct __sk_buff *skb, struct pkt *p, int state)
{
	struct dp_odd *odd = odd_here();

	if (!p)
		return TC_ACT_UNSPEC;
	p->packets = 1;
	p->bytes = skb->len;
	if (odd && state == PARSE_NOT_IP)
		odd->not_ip++;
	else if (odd)
		odd->malformed++;
	return best_effort(skb, p, 0, CAUSE_NONE);
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

/* Only lines with a bound source prefix pay for the look. */
static __noinline int source_ok(const struct pkt *p, __u32 at)
{
	struct dp_bind *b = bpf_map_lookup_elem(&binds, &at);

	return b && (p->k.src[0] & b->mask[0]) == b->addr[0] &&
	       (p->k.src[1] & b->mask[1]) == b->addr[1];
}

/* Where the packet came in fits the line, in that direction. */
INLINE int bound(const struct dp_line *l, const struct pkt *p, __u32 label, __u32 dir)
{
	return !(l->flags & DP_L_SOURCE << dir) || source_ok(p, label * 2 + dir);
}

/* Demand counts (class) come before any question of an agreement. */
INLINE int edge_in(struct __sk_buff *skb)
{
	__u32 label, dir, dscp, ce = 0, fresh;
	enum cause why = CAUSE_NONE;
	struct pkt p = {};
	struct answer f = {};
	struct dp_line *l;
	__u64 now = now_ns();
	int state = parse(skb, &p);

	if (state != PARSE_OK)
		return not_parsed(skb, &p, state);
	parse_ports(skb, &p);
	wire_size(skb, &p);
	fresh = classify(&p.k, &f);
	label = f.label;
	dir = f.dir & 1;
	hot_fetch(label, dir);
	l = line_of(label);
	if (label && !l)
		why = CAUSE_UNKNOWN;
	else if (l && now >= *(volatile __u64 *)&l->valid_until)
		why = CAUSE_EXPIRED;
	else if (l && ((l->bind[dir] && l->bind[dir] != skb->ingress_ifindex) ||
		       !bound(l, &p, label, dir)))
		why = CAUSE_BINDING;
	count_class(f.class_id, p.packets, p.bytes, l && why == CAUSE_NONE, fresh);
	if (!l || why != CAUSE_NONE) {
		tag(skb, &p, 0, KEEP, 0);
		return best_effort(skb, &p, label * 2 + dir, why);
	}
	dscp = l->dscp < 64 ? l->dscp : KEEP;
	if ((l->flags & DP_L_POLICE_EDGE) && police(l, &p, label, dir, now, &dscp, &ce))
		return TC_ACT_SHOT;
	if (l->watch)
		dscp = mark_edge(&p, l->watch * 2 + dir, now, dscp);
	tag(skb, &p, label, dscp, ce);
	set_mark(skb, label, path_of(l, dir));
	count_rx(label, dir, p.packets, p.bytes);
	if (p.k.proto == IPPROTO_TCP && l->watch)
		rtt_tcp(skb, &p, l->watch * 2 + dir, now);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int treaty_edge_in(struct __sk_buff *skb)
{
	return edge_in(skb);
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

INLINE void node_rtt(struct __sk_buff *skb, struct pkt *p, __u32 at, __u64 now)
{
	if (!skb->gso_size)
		look_inside(skb, p);
	if (p->k.proto != IPPROTO_TCP)
		return;
	parse_ports(skb, p);
	rtt_tcp(skb, p, at, now);
}

INLINE int node_in(struct __sk_buff *skb)
{
	__u32 label, dir, dscp = KEEP, came, ce = 0;
	enum cause why = CAUSE_NONE;
	struct pkt p = {};
	struct dp_line *l;
	__u64 now = now_ns();
	int state = parse(skb, &p);

	if (state != PARSE_OK)
		return not_parsed(skb, &p, state);
	label = p.label;
	came = p.k.dscp; /* the outer header's */
	hot_fetch(label, 0);
	l = line_of(label);
	dir = l ? direction(l, skb->ingress_ifindex) : 0;
	if (!l)
		why = label ? CAUSE_UNKNOWN : CAUSE_NONE;
	else if (dir > 1 || !bound(l, &p, label, dir))
		why = CAUSE_BINDING;
	else if (now >= *(volatile __u64 *)&l->valid_until)
		why = CAUSE_EXPIRED;
	dir &= 1;
	if (skb->gso_size)
		look_inside(skb, &p);
	wire_size(skb, &p);
	if (!l || why != CAUSE_NONE)
		return best_effort(skb, &p, label * 2 + dir, why);
	if (cfg_colours.block_ns && l->watch)
		mark_seen(came, l->watch * 2 + dir, DP_MARK_IN, now, p.packets, p.bytes);
	if ((l->flags & DP_L_POLICE_NODE) && police(l, &p, label, dir, now, &dscp, &ce))
		return TC_ACT_SHOT;
	if (dscp != KEEP || ce)
		tag(skb, &p, KEEP, dscp == KEEP ? KEEP : mark_keep(came, dscp), ce);
	set_mark(skb, label, path_of(l, dir));
	count_rx(label, dir, p.packets, p.bytes);
	if (l->watch && p.k.proto != IPPROTO_UDP)
		node_rtt(skb, &p, l->watch * 2 + dir, now);
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

/* The mark was written by our ingress programs; it is the only witness of what a packet is. A
 * forwarded packet without it must not carry an active label further (it expired here, came in on
 * the wrong device, or a host drew that number by chance): the next node would believe it. */
SEC("tc")
int treaty_out(struct __sk_buff *skb)
{
	__u32 label = skb->mark & DP_MARK_LABEL, seen, dir, packets, bytes, minor = DP_MINOR_REST;
	struct dp_line *l = line_of(label);
	struct pkt p = {};
	struct dp_hot *c;

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
	if (shape(skb, minor, packets, bytes)) {
		struct dp_rare *r = rare_of(label, dir);

		if (r) {
			__sync_fetch_and_add(&r->drop_packets, packets);
			__sync_fetch_and_add(&r->drop_bytes, bytes);
		}
		return TC_ACT_SHOT;
	}
	if (cfg_colours.block_ns && l->watch)
		mark_out(skb, &p, l->watch * 2 + (dir & 1), packets, bytes);
	c = hot_of(label);
	if (!c)
		return TC_ACT_UNSPEC;
	c->dir[dir & 1].tx_packets += packets;
	c->dir[dir & 1].tx_bytes += bytes;
	return TC_ACT_UNSPEC;
}

/* Run by user space, which may not write the counters: gives a label a watched slot, empty, or
 * takes it away. */
SEC("syscall")
int treaty_watch(struct dp_watch_order *o)
{
	__u32 label = o->label, slot = o->slot, was;
	union dp_cell *c;

	if (!label || label >= cfg_labels || slot > DP_WATCHED)
		return -1;
	for (int i = 0; slot && i < 4; i++) {
		c = cell_at(cfg_at.rtt + slot * 4 + i);
		if (c)
			__builtin_memset(c, 0, sizeof(*c));
	}
	if (slot)
		mark_clear(slot);
	c = cell_at(cfg_at.index + label / 16);
	if (!c)
		return -1;
	for (int i = 0; i < 16; i++) {
		was = *(volatile __u32 *)&c->index.at[label & 15];
		if (__sync_val_compare_and_swap(&c->index.at[label & 15], was,
						(was & DP_INDEX_SLOT) | slot << DP_INDEX_WATCH) ==
		    was)
			return 0;
	}
	return -1;
}

SEC("sockops")
int treaty_pace(struct bpf_sock_ops *o)
{
	switch (o->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		bpf_sock_ops_cb_flags_set(o, o->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
		return pace_socket(o);
	case BPF_SOCK_OPS_RTT_CB: return pace_socket(o);
	default: return 1;
	}
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
