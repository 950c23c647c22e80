// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* treaty.bpf.c - the data plane's programs, for tc (TCX links or cls_bpf).
 *
 *  treaty_edge_in  customer-facing ingress: a label on the packet counts as absent unless a rule
 *                  names it; classify, tag, meter, count, mark
 *  treaty_node_in  network-facing ingress: the label is the index; binding, expiry, meter, count,
 *                  steer, mark
 *  treaty_out      egress of every managed device: outer flow label and HTB class from the mark;
 *                  what the edge does, for packets of this host's own sockets
 *  treaty_pace     TCP sockets of a cgroup: the pace of their label
 *
 * All end with TC_ACT_UNSPEC, so that other people's programs and filters on the hook still run,
 * but for what goes on by direct redirect. Nothing is ever dropped but what is over an agreement's
 * rate. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "prog_classify.h"
#include "prog_count.h"
#include "prog_effort.h"
#include "prog_local.h"
#include "prog_maps.h"
#include "prog_mark.h"
#include "prog_meter.h"
#include "prog_pace.h"
#include "prog_parse.h"
#include "prog_quick.h"
#include "prog_redirect.h"
#include "prog_rtt.h"
#include "prog_shape.h"
#include "prog_tag.h"

__noinline int not_parsed(struct __sk_buff *skb, int state)
{
	struct dp_odd *odd = odd_here();

	if (odd && state == PARSE_NOT_IP)
		odd->not_ip++;
	else if (odd)
		odd->malformed++;
	if (state != PARSE_NOT_IP)
		event(DP_EV_PARSE, 0, skb->ifindex);
	return best_effort(skb, 1, skb->len, 0, CAUSE_NONE);
}

volatile __u32 downs_live; /* dp_ctl.downs: most nodes have none that says down */

/* As the device says. */
static __noinline __u32 port_dir(__u32 ifindex)
{
	struct dp_port_line *port = bpf_map_lookup_elem(&ports, &ifindex);

	return port ? port->dir & 1 : 0;
}

/* Direction of a label's packet by the device on which it came in, 0 = from this host. 2 = not
 * bound to it. */
INLINE __u32 direction(const struct dp_line *l, __u32 ifindex)
{
	__u32 up = l->bind[0], down = l->bind[1];

	if (!(up | down))
		return unlikely(downs_live) ? port_dir(ifindex) : 0;
	if (up == ifindex)
		return 0;
	if (down == ifindex)
		return 1;
	return up && down ? 2 : up ? 1 : 0;
}

/* What the edge needs of a packet. */
struct edge {
	struct dp_flow_key k;
	struct outer o;
	__u32 l4, end; /* l4 0: a fragment, or no header shown */
};

static __noinline int edge_parse(struct __sk_buff *skb, struct edge *e)
{
	struct pkt p = {};
	int state = parse_edge(skb, &p);

	e->k = p.k;
	e->o = p.o;
	e->l4 = p.frag ? 0 : p.l4;
	e->end = p.end;
	return state;
}

/* Out of the way: its parser's room on the stack counts against the deepest call otherwise. */
static __noinline int edge_rtt(struct __sk_buff *skb, const struct edge *e, __u32 at)
{
	struct pkt p = { .k = e->k, .l4 = e->l4, .end = e->end };

	return rtt_tcp(skb, &p, at, now_ns());
}

/* Where a packet of the line's must come from. */
INLINE int edge_bound(struct __sk_buff *skb, const struct dp_line *l, const struct edge *e,
		      __u32 label, __u32 dir)
{
	if (l->bind[dir] && l->bind[dir] != skb->ingress_ifindex)
		return 0;
	return !(l->flags & DP_L_SOURCE << dir) ||
	       source_ok(e->k.src[0], e->k.src[1], label * 2 + dir);
}

/* Any packet. Demand counts (class) come before any question of an agreement. */
__noinline int edge_any(struct __sk_buff *skb)
{
	__u32 label, dir, fresh, path;
	enum cause why = CAUSE_NONE;
	struct answer f = {};
	struct verdict v = {};
	struct dp_line *l;
	struct dp_pass *p;
	struct edge e;
	int state = edge_parse(skb, &e);

	if (unlikely(state != PARSE_OK))
		return not_parsed(skb, state);
	fresh = classify(&e.k, e.o.label, &f);
	label = f.label;
	dir = f.dir & 1;
	p = pass_of(here()->rx, label);
	l = line_of(label);
	if (label && !l)
		why = CAUSE_UNKNOWN;
	else if (l && expired(l))
		why = CAUSE_EXPIRED;
	else if (l && !edge_bound(skb, l, &e, label, dir))
		why = CAUSE_BINDING;
	count_class(here(), f.class_id, e.o.packets, e.o.bytes, l && why == CAUSE_NONE, fresh);
	if (unlikely(!l || !p || why != CAUSE_NONE)) {
		tag(skb, &e.o, 0, KEEP, 0);
		return best_effort(skb, e.o.packets, e.o.bytes, label * 2 + dir, why);
	}
	v.dscp = l->dscp < 64 ? l->dscp : KEEP;
	v.rx = rx_word(p, dir);
	if (unlikely((l->flags & DP_L_POLICE_EDGE) && police(l, &e.o, label * 2 + dir, &v))) {
		drop_told(label * 2 + dir, skb->ifindex);
		return TC_ACT_SHOT;
	}
	if (unlikely(f.swap))
		v.dscp = mark_border(&e.o, l->watch ? l->watch * 2 + dir : 0, v.dscp);
	else if (unlikely(l->watch))
		v.dscp = mark_edge(&e.o, l->watch * 2 + dir, v.dscp);
	tag(skb, &e.o, label, v.dscp, v.ce);
	path = path_of(l, dir);
	set_mark(skb, label, path);
	count_rx(p, dir, v.rx, e.o.packets, e.o.bytes);
	if (unlikely(l->watch && e.k.proto == IPPROTO_TCP))
		edge_rtt(skb, &e, l->watch * 2 + dir);
	return leave(skb, path);
}

/* Of a packet of a watched label, in its quick way. */
static __noinline int edge_told(struct __sk_buff *skb, __u32 at)
{
	struct edge e;

	if (edge_parse(skb, &e) != PARSE_OK || e.k.proto != IPPROTO_TCP)
		return 0;
	return edge_rtt(skb, &e, at);
}

/* The way of most packets, of one family. */
INLINE int edge_quick(struct __sk_buff *skb, int v6)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 label, dir, path, class, dscp, bytes = skb->len;
	struct plain k;
	struct dp_here *h;
	struct dp_line *l;
	struct dp_pass *p;
	__be32 *ip = data + ETH_HLEN;
	__u64 set;

	if (data + ETH_HLEN + (v6 ? 40 : 20) + 4 > end || unlikely(!plain_read(skb, ip, v6, &k)))
		return AGAIN;
	if (unlikely(!plain_find(ip, v6, &k, &label, &class) || label & DP_FLOW_SWAP))
		return AGAIN;
	dir = label >> 31;
	label &= ~DP_FLOW_DIR;
	l = bpf_map_lookup_elem(&lines, &label);
	h = here();
	p = pass_of(h->rx, label);
	if (!l || !p)
		return AGAIN;
	set = *(volatile __u64 *)l;
	if (unlikely((set & LINE_PLAIN) != DP_L_ACTIVE || near_end(h, l) || coloured(l)))
		return AGAIN;
	if (unlikely(l->bind[dir] && l->bind[dir] != skb->ingress_ifindex))
		return AGAIN;
	if (unlikely(!rx_plain(p, dir, bytes, set & DP_L_POLICE_EDGE)))
		return AGAIN;
	count_class(h, class, 1, bytes, 1, 0);
	dscp = (set >> 32) & 0xff;
	if (v6)
		word_write(skb, ip,
			   bpf_htonl(dscp < 64 ? (k.first & 0xf0300000) | dscp << 22 | label
					       : (k.first & ~DP_LABEL_MAX) | label));
	else
		tag_v4(skb, ETH_HLEN, dscp < 64 ? dscp : KEEP, 0);
	path = path_of(l, dir);
	set_mark(skb, label, path);
	if (unlikely(l->watch))
		edge_told(skb, l->watch * 2 + dir);
	return leave(skb, path);
}

static __noinline int edge_quick_v6(struct __sk_buff *skb)
{
	return edge_quick(skb, 1);
}

static __noinline int edge_quick_v4(struct __sk_buff *skb)
{
	return edge_quick(skb, 0);
}

/* All ways are calls: one that stood here would take its room on the stack from the longest (512
 * bytes along a chain of calls; older kernels round each up to 32). */
INLINE int edge_in(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	int r = AGAIN;

	if (data + ETH_HLEN > end)
		return edge_any(skb);
	if (*(__be16 *)(data + 12) == bpf_htons(ETH_P_IPV6))
		r = edge_quick_v6(skb);
	else if (*(__be16 *)(data + 12) == bpf_htons(ETH_P_IP))
		r = edge_quick_v4(skb);
	return unlikely(r == AGAIN) ? edge_any(skb) : r;
}

SEC("tc")
int treaty_edge_in(struct __sk_buff *skb)
{
	return edge_in(skb);
}

__noinline int node_source(struct __sk_buff *skb, __u32 at)
{
	struct pkt p = {};

	return parse_outer(skb, &p) == PARSE_OK && source_ok(p.k.src[0], p.k.src[1], at);
}

__noinline int node_rtt(struct __sk_buff *skb, __u32 at)
{
	struct pkt p = {};

	if (parse_outer(skb, &p) != PARSE_OK)
		return 0;
	look_inside(skb, &p);
	if (p.k.proto != IPPROTO_TCP)
		return 0;
	parse_ports(skb, &p);
	return rtt_tcp(skb, &p, at, now_ns());
}

static __noinline int node_far(struct __sk_buff *skb, struct outer *o)
{
	struct pkt p = {};
	int state = parse_node(skb, &p);

	*o = p.o;
	return state;
}

/* Any packet. */
__noinline int node_any(struct __sk_buff *skb)
{
	enum cause why = CAUSE_NONE;
	struct verdict v = { .dscp = KEEP };
	__u32 label, dir, path;
	struct dp_line *l;
	struct dp_pass *p;
	struct outer o;

	if (unlikely(!plain_v6(skb, &o))) {
		struct outer far;
		int state = node_far(skb, &far);

		if (state != PARSE_OK)
			return not_parsed(skb, state);
		o = far;
	}
	label = o.label;
	p = pass_of(here()->rx, label);
	l = line_of(label);
	dir = l ? direction(l, skb->ingress_ifindex) : 0;
	if (!l)
		why = label ? CAUSE_UNKNOWN : CAUSE_NONE;
	else if (dir > 1 || ((l->flags & DP_L_SOURCE << dir) && !node_source(skb, label * 2 + dir)))
		why = CAUSE_BINDING;
	else if (expired(l))
		why = CAUSE_EXPIRED;
	dir &= 1;
	if (unlikely(!l || !p || why != CAUSE_NONE))
		return best_effort(skb, o.packets, o.bytes, label * 2 + dir, why);
	if (unlikely(cfg_colours.block_ns && l->watch))
		mark_seen(&o, l->watch * 2 + dir, DP_MARK_IN);
	v.rx = rx_word(p, dir);
	if (unlikely((l->flags & DP_L_POLICE_NODE) && police(l, &o, label * 2 + dir, &v))) {
		drop_told(label * 2 + dir, skb->ifindex);
		return TC_ACT_SHOT;
	}
	if (unlikely(v.dscp != KEEP || v.ce))
		tag(skb, &o, KEEP, v.dscp == KEEP ? KEEP : mark_keep(o.dscp, v.dscp), v.ce);
	path = path_of(l, dir);
	set_mark(skb, label, path);
	count_rx(p, dir, v.rx, o.packets, o.bytes);
	if (unlikely(l->watch && o.proto != IPPROTO_UDP))
		node_rtt(skb, l->watch * 2 + dir);
	return leave(skb, path);
}

/* The way of most packets, and the other one. */
INLINE int node_in(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 label, dir, path, watched, bytes = skb->len;
	struct dp_here *h;
	struct dp_line *l;
	struct dp_pass *p;
	__u64 set;

	if (data + ETH_HLEN + 40 > end || *(__be16 *)(data + 12) != bpf_htons(ETH_P_IPV6))
		return node_any(skb);
	label = bpf_ntohl(*(__be32 *)(data + ETH_HLEN));
	if (label >> 28 != 6 || skb->gso_size)
		return node_any(skb);
	label &= DP_LABEL_MAX;
	l = bpf_map_lookup_elem(&lines, &label);
	h = here();
	p = pass_of(h->rx, label);
	if (!l || !p)
		return node_any(skb);
	set = *(volatile __u64 *)l;
	dir = direction(l, skb->ingress_ifindex);
	if (unlikely((set & LINE_PLAIN) != DP_L_ACTIVE || dir > 1 || near_end(h, l) || coloured(l)))
		return node_any(skb);
	watched = l->watch && *(__u8 *)(data + ETH_HLEN + 6) != IPPROTO_UDP;
	if (unlikely(!rx_plain(p, dir, bytes, set & DP_L_POLICE_NODE)))
		return node_any(skb);
	path = path_of(l, dir);
	set_mark(skb, label, path);
	if (unlikely(watched))
		node_rtt(skb, l->watch * 2 + dir);
	return leave(skb, path);
}

SEC("tc")
int treaty_node_in(struct __sk_buff *skb)
{
	return node_in(skb);
}

/* IPv6 flow label of the outer header and its offset, KEEP when the packet is not IPv6: behind VLAN
 * tags, or out of reach, and the others. */
static __noinline __u32 outer_far(struct __sk_buff *skb, __u32 *l3)
{
	struct pkt p = {};
	__u16 proto;
	__be32 *w;

	if (head_pull(skb))
		return KEEP;
	proto = parse_l2(skb, &p);
	*l3 = p.l3;
	w = head_at(skb, p.l3, sizeof(*w));
	if (proto != ETH_P_IPV6 || !w || (*w & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return KEEP;
	return bpf_ntohl(*w) & DP_LABEL_MAX;
}

INLINE __u32 outer_label(struct __sk_buff *skb, __u32 *l3)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 w, far = 0;

	if (data + ETH_HLEN + 40 <= end && *(__be16 *)(data + 12) == bpf_htons(ETH_P_IPV6)) {
		w = bpf_ntohl(*(__be32 *)(data + ETH_HLEN));
		*l3 = ETH_HLEN;
		return w >> 28 == 6 ? w & DP_LABEL_MAX : KEEP;
	}
	w = outer_far(skb, &far);
	*l3 = far;
	return w;
}

/* A guest's segmented packet, whose headers the kernel has not looked at yet (SKB_GSO_DODGY): it
 * knows the bytes and not the packets. */
__noinline int out_segments(struct __sk_buff *skb)
{
	struct pkt p = {};

	return parse_node(skb, &p) == PARSE_OK ? p.o.packets : 1;
}

INLINE void out_count(struct __sk_buff *skb, __u32 *packets, __u32 *bytes)
{
	out_size(skb, packets, bytes);
	if (unlikely(*packets == 1 && *bytes > skb->len))
		*packets = out_segments(skb);
}

/* The mark was written by our ingress programs; it is the only witness of what a packet is, but for
 * one that begins here, which has its socket's. A forwarded packet without it must not carry an
 * active label further (it expired here, came in on the wrong device, or a host drew that number by
 * chance): the next node would believe it. */
__noinline int out_any(struct __sk_buff *skb)
{
	__u32 label = skb->mark & DP_MARK_LABEL, seen, l3, dir, packets, bytes;
	__u32 minor = DP_MINOR_REST;
	struct dp_pass *c;
	struct dp_line *l;

	if (unlikely(!skb->ingress_ifindex && (label | locals_live))) {
		label = local_out(skb, label);
		if (label == LOCAL_DROP)
			return TC_ACT_SHOT;
	}
	l = line_of(label);
	seen = outer_label(skb, &l3);
	out_count(skb, &packets, &bytes);
	if (unlikely(!l)) {
		if (seen != KEEP && seen && skb->ingress_ifindex && line_of(seen))
			tag_v6(skb, l3, 0, KEEP, 0);
		return shape(skb, minor, packets, bytes) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	}
	if (unlikely(seen != KEEP && seen != label))
		tag_v6(skb, l3, label, KEEP, 0);
	if (l->class_minor) {
		skb->priority = DP_PRIO_MAJOR | l->class_minor;
		minor = l->class_minor;
	}
	dir = skb->ingress_ifindex ? direction(l, skb->ingress_ifindex) : 0;
	if (unlikely(shape(skb, minor, packets, bytes))) {
		struct dp_rare *r = rare_of(label, dir);

		if (r) {
			__sync_fetch_and_add(&r->drop_packets, packets);
			__sync_fetch_and_add(&r->drop_bytes, bytes);
		}
		drop_told(label * 2 + (dir & 1), skb->ifindex);
		return TC_ACT_SHOT;
	}
	if (unlikely(cfg_colours.block_ns && l->watch))
		mark_out(skb, l3, l->watch * 2 + (dir & 1), packets, bytes);
	c = pass_of(here()->tx, label);
	if (!c)
		return TC_ACT_UNSPEC;
	c->dir[dir & 1].packets += packets;
	c->dir[dir & 1].bytes += bytes;
	return TC_ACT_UNSPEC;
}

/* Whether the outer header says what the mark does, in the plain case. */
INLINE int out_plain(struct __sk_buff *skb, __u32 label)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 w;

	if (data + ETH_HLEN + 20 > end)
		return 0;
	if (*(__be16 *)(data + 12) != bpf_htons(ETH_P_IPV6))
		return *(__be16 *)(data + 12) == bpf_htons(ETH_P_IP);
	w = bpf_ntohl(*(__be32 *)(data + ETH_HLEN));
	return (w & (0xf0000000 | DP_LABEL_MAX)) == (0x60000000 | label);
}

/* Most packets leave as our ingress program made them, into no queue of ours. */
SEC("tc")
int treaty_out(struct __sk_buff *skb)
{
	__u32 label = skb->mark & DP_MARK_LABEL, from = skb->ingress_ifindex;
	__u32 dir, minor, packets, bytes;
	struct dp_pass *c;
	struct dp_line *l;
	__u64 set;

	if (!from || !label || !out_plain(skb, label) || unlikely(shapes_live || holds_end))
		return out_any(skb);
	l = bpf_map_lookup_elem(&lines, &label);
	c = pass_of(here()->tx, label);
	if (!l || !c)
		return out_any(skb);
	set = *(volatile __u64 *)l;
	if (unlikely(!(set & DP_L_ACTIVE) || coloured(l)))
		return out_any(skb);
	out_count(skb, &packets, &bytes);
	dir = direction(l, from) & 1;
	minor = (set >> 16) & 0xffff;
	if (minor)
		skb->priority = DP_PRIO_MAJOR | minor;
	c->dir[dir].packets += packets;
	c->dir[dir].bytes += bytes;
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
