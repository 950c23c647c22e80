/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_local.h - packets that begin on this host. They pass no ingress program: what the edge does
 * for a customer's packet is done when they leave, by what their socket tells of them, which is its
 * mark (SO_MARK, a label in the low bits) or, without one, its cgroup.
 *
 * Their route is chosen by then, so a label's path does not lead them: whoever wants that sets the
 * path in the socket's mark too. No device brought them, so a binding to one says nothing of them;
 * a bound source prefix does. */
#ifndef TREATY_BPF_PROG_LOCAL_H
#define TREATY_BPF_PROG_LOCAL_H

#include "prog_count.h"
#include "prog_effort.h"
#include "prog_mark.h"
#include "prog_meter.h"
#include "prog_tag.h"

#define LOCAL_DROP 0xffffffffu

volatile __u32
	locals_live; /* some rule names a cgroup: all that a router pays for when none does */
const volatile __u32 cfg_cgroups = 0; /* this kernel tells the cgroup of a packet */

const volatile __u32 cfg_pace = 0; /* sockets are paced: what is known of them is kept */
volatile __u32 locals_gen;         /* another number whenever rules by cgroup change */

/* What a TCP socket's cgroup said when its last packet left, for who paces it (prog_pace.h) and is
 * not told the cgroup: locals_gen << 32 | label. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, __u64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} knows SEC(".maps");

#define TCP_ 6

static __noinline void local_note(struct __sk_buff *skb, __u32 label)
{
	__u64 note = (__u64)locals_gen << 32 | label, *k;
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != TCP_)
		return;
	k = bpf_sk_storage_get(&knows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (k && *(volatile __u64 *)k != note)
		*(volatile __u64 *)k = note;
}

/* The label that the socket's cgroup gave it, 0 = none, or the rules are others by now. */
INLINE __u32 local_known(struct bpf_sock *sk)
{
	__u64 note, *k;

	if (!locals_live)
		return 0;
	k = bpf_sk_storage_get(&knows, sk, 0, 0);
	note = k ? *(volatile __u64 *)k : 0;
	return note >> 32 == locals_gen ? (__u32)note : 0;
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

/* Rule of the nearest cgroup, the socket's own or above it; NULL = none has one. */
static __noinline struct dp_local_line *local_rule(struct __sk_buff *skb)
{
	struct dp_local_line *l, *best = 0;

	if (!cfg_cgroups)
		return 0;
	for (int level = 0; level < DP_CGROUP_DEPTH; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (!id)
			break;
		l = bpf_map_lookup_elem(&locals, &id);
		best = l ? l : best;
	}
	return best;
}

/* label: of the socket's mark; 0 = its cgroup may have one. Returns the label that the packet has
 * from here on, 0 = none, or LOCAL_DROP. A mark that names no label of ours is somebody else's. */
static __noinline __u32 local_out(struct __sk_buff *skb, __u32 label)
{
	enum cause why = CAUSE_NONE;
	struct verdict v = {};
	struct pkt p = {};
	__u32 class = 0;
	struct dp_line *l;
	struct dp_pass *c;

	if (!label) {
		struct dp_local_line *rule = local_rule(skb);

		if (!rule)
			return 0;
		label = rule->label;
		class = rule->class_id;
		if (cfg_pace)
			local_note(skb, label);
	}
	l = line_of(label);
	c = pass_of(here()->rx, label);
	if (!l && !class)
		return 0;
	if (parse_outer(skb, &p) != PARSE_OK)
		return 0;
	out_size(skb, &p.o.packets, &p.o.bytes);
	if (l && expired(l))
		why = CAUSE_EXPIRED;
	else if (l && (l->flags & DP_L_SOURCE) && !source_ok(p.k.src[0], p.k.src[1], label * 2))
		why = CAUSE_BINDING;
	count_class(here(), class, p.o.packets, p.o.bytes, l && why == CAUSE_NONE, 0);
	if (!l || !c)
		return 0;
	if (why != CAUSE_NONE) {
		best_effort(skb, p.o.packets, p.o.bytes, label * 2, why);
		return 0;
	}
	v.dscp = l->dscp < 64 ? l->dscp : KEEP;
	v.rx = rx_word(c, 0);
	if ((l->flags & (DP_L_POLICE_EDGE | DP_L_POLICE_NODE)) && police(l, &p.o, label * 2, &v)) {
		drop_told(label * 2, skb->ifindex);
		return LOCAL_DROP;
	}
	if (l->watch)
		v.dscp = mark_edge(&p.o, l->watch * 2, v.dscp);
	tag(skb, &p.o, label, v.dscp, v.ce);
	skb->mark |= label; /* which has no label's bits, or these */
	count_rx(c, 0, v.rx, p.o.packets, p.o.bytes);
	return label;
}

#endif
