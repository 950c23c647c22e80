/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* prog_pace.h - pacing of local TCP senders, where nothing behind them makes them wait.
 *
 * A sender on this host whose flow belongs to a label (by its mark, cgroup, or addresses) gets the
 * rate that the label is policed at as its SO_MAX_PACING_RATE: TCP then leaves its packets at that
 * pace by its own timers, without any qdisc, and meets no drop. Asked again with every round trip,
 * so a changed rate holds within one. What the application had asked for comes back with the end.
 */
#ifndef TREATY_BPF_PROG_PACE_H
#define TREATY_BPF_PROG_PACE_H

#include "prog_classify.h"
#include "prog_local.h"
#include "prog_meter.h"
#include "prog_parse.h"

#define SOL_SOCKET_         1
#define SO_MAX_PACING_RATE_ 47
#define AF_INET6_           10
#define NO_RATE             0xffffffffu
#define NS                  1000000000ull
#define TCP_TIMESTAMPS      32 /* header with time stamps */

struct pace {
	__u32 given; /* bytes per second of payload; 0 = not ours */
	__u32 own;   /* the application's, NO_RATE = none */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct pace);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} paces SEC(".maps");

INLINE __u64 least(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

/* Bytes per second on layer 2 that this label is held to by drops; NO_RATE = by none. */
INLINE __u64 policed_at(const struct dp_line *l, __u32 label, __u32 dir)
{
	__u32 minor = l->class_minor ? l->class_minor : DP_MINOR_REST;
	struct dp_shapes *s = bpf_map_lookup_elem(&shapes, &minor);
	struct dp_meter *m = meter_of(label);
	struct rate r = m ? rate_read(&m->rate[dir & 1]) : (struct rate){};
	__u64 rate = NO_RATE, cost;

	if (r.cost && r.shift < 34 && (l->flags & (DP_L_POLICE_EDGE | DP_L_POLICE_NODE)))
		rate = least(rate, (NS << r.shift) / r.cost);
	for (int i = 0; s && i < DP_SHAPE_WAYS; i++) {
		struct dp_shape *q = &s->way[i];

		cost = q->cost;
		if (q->ifindex && cost && q->drop_ns && !(q->flags & DP_SHAPE_PACE))
			rate = least(rate, (NS << 20) / cost);
	}
	return rate;
}

INLINE void pace_key(struct bpf_sock_ops *o, struct dp_flow_key *k)
{
	if (o->family == AF_INET6_) {
		/* Word by word: clang would make wider loads, which a context refuses. */
		volatile __u32 *l = o->local_ip6, *r = o->remote_ip6;
		__u32 s[4] = { l[0], l[1], l[2], l[3] }, d[4] = { r[0], r[1], r[2], r[3] };

		__builtin_memcpy(k->src, s, sizeof(s));
		__builtin_memcpy(k->dst, d, sizeof(d));
		k->family = !s[0] && !s[1] && s[2] == bpf_htonl(0xffff) ? 4 : 6;
	} else {
		v4_mapped(k->src, o->local_ip4);
		v4_mapped(k->dst, o->remote_ip4);
		k->family = 4;
	}
	k->proto = 6;
	k->has_ports = 1;
	k->sport = o->local_port;
	k->dport = bpf_ntohl(o->remote_port);
}

/* Payload per second that fills the label's rate with frames; NO_RATE = the flow has none. */
INLINE __u32 pace_rate(struct bpf_sock_ops *o, struct bpf_sock *sk)
{
	__u32 label = sk->mark & DP_MARK_LABEL, dir = 0, mss = o->mss_cache, over;
	struct dp_flow_key k = {};
	struct answer f = {};
	struct dp_line *l;
	__u64 rate;

	pace_key(o, &k);
	if (!label)
		label = local_known(sk);
	if (!label) {
		classify(&k, 0, &f);
		label = f.label;
		dir = f.dir;
	}
	l = line_of(label);
	if (!l || now_ns() >= *(volatile __u64 *)&l->valid_until)
		return NO_RATE;
	rate = policed_at(l, label, dir);
	if (rate >= NO_RATE || !mss)
		return NO_RATE;
	over = 14 + (k.family == 4 ? 20 : 40) + TCP_TIMESTAMPS;
	rate = rate * mss / (mss + over);
	return rate - rate / 128; /* what is sent again, or not full, is part of the rate too */
}

INLINE void pace_set(struct bpf_sock_ops *o, __u32 rate)
{
	bpf_setsockopt(o, SOL_SOCKET_, SO_MAX_PACING_RATE_, &rate, sizeof(rate));
}

INLINE int pace_socket(struct bpf_sock_ops *o)
{
	struct bpf_sock *sk = o->sk;
	struct pace *p;
	__u32 rate;

	if (!sk || !o->is_fullsock)
		return 1;
	rate = pace_rate(o, sk);
	p = bpf_sk_storage_get(&paces, sk, 0, rate == NO_RATE ? 0 : BPF_SK_STORAGE_GET_F_CREATE);
	if (!p || p->given == rate || (rate == NO_RATE && !p->given))
		return 1;
	if (!p->given &&
	    bpf_getsockopt(o, SOL_SOCKET_, SO_MAX_PACING_RATE_, &p->own, sizeof(p->own)))
		p->own = NO_RATE; /* kernels before 6.1 do not tell */
	pace_set(o, rate == NO_RATE ? p->own : (__u32)least(rate, p->own));
	p->given = rate == NO_RATE ? 0 : rate;
	return 1;
}

#endif
