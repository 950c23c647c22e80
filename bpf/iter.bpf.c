// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* iter.bpf.c - smoothed round trip times of the TCP sockets of this network namespace, one record
 * each, read through an iterator file. An object of its own: it needs the kernel's BTF (CO-RE), and
 * where it cannot be loaded nothing else suffers. */
#include <linux/bpf.h>
#include <linux/in6.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_endian.h>

#include "treaty/abi.h"

#define AF_INET         2
#define AF_INET6        10
#define TCP_ESTABLISHED 1
#define CORE            __attribute__((preserve_access_index))

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} CORE;

struct sock_common {
	__u16 skc_family, skc_num;
	volatile unsigned char skc_state;
	__be16 skc_dport;
	__be32 skc_daddr;
	struct in6_addr skc_v6_daddr;
} CORE;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} CORE;

struct sock {
	__u32 sk_mark;
} CORE;

struct inet_sock {
	struct sock sk;
} CORE;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
} CORE;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 srtt_us; /* shifted left by three */
} CORE;

SEC("iter/tcp")
int treaty_socks(struct bpf_iter__tcp *ctx)
{
	struct sock_common *c = ctx->sk_common;
	struct dp_sock out = {};
	struct tcp_sock *t;

	if (!c || c->skc_state != TCP_ESTABLISHED)
		return 0;
	t = bpf_skc_to_tcp_sock(c);
	if (!t || !t->srtt_us)
		return 0;
	out.srtt_us = t->srtt_us >> 3;
	out.mark = t->inet_conn.icsk_inet.sk.sk_mark;
	if (c->skc_family == AF_INET6) {
		out.peer[0] = c->skc_v6_daddr.in6_u.u6_addr32[0];
		out.peer[1] = c->skc_v6_daddr.in6_u.u6_addr32[1];
		out.peer[2] = c->skc_v6_daddr.in6_u.u6_addr32[2];
		out.peer[3] = c->skc_v6_daddr.in6_u.u6_addr32[3];
	} else if (c->skc_family == AF_INET) {
		out.peer[2] = bpf_htonl(0xffff);
		out.peer[3] = c->skc_daddr;
	} else {
		return 0;
	}
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
