/* SPDX-License-Identifier: Apache-2.0 */
/* pkt.h - builds packets and runs them through a program by BPF_PROG_TEST_RUN. */
#ifndef TREATY_TESTS_BPF_PKT_H
#define TREATY_TESTS_BPF_PKT_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include <bpf/bpf.h>

#include "bpf/dataplane.h"

#define PASS   ((uint32_t)-1) /* TC_ACT_UNSPEC */
#define SHOT   2u
#define SEC_NS 1000000000ull

struct pkt {
	uint8_t b[2048];
	size_t n;
	size_t l3, l4;
};

struct ran {
	uint32_t ret, mark, priority;
	struct pkt out;
};

static inline void put(struct pkt *p, const void *src, size_t n)
{
	assert_true(p->n + n <= sizeof(p->b));
	memcpy(p->b + p->n, src, n);
	p->n += n;
}

static inline void put16(struct pkt *p, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(p, b, 2);
}

static inline void put32(struct pkt *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p, (uint16_t)v);
}

static inline void zeros(struct pkt *p, size_t n)
{
	static const uint8_t zero[1500];

	put(p, zero, n);
}

static inline uint16_t get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t get32(const uint8_t *b)
{
	return (uint32_t)get16(b) << 16 | get16(b + 2);
}

/* Ethernet with `vlans` tags (0..2), then the ethertype. */
static inline void eth(struct pkt *p, int vlans, uint16_t type)
{
	memset(p, 0, sizeof(*p));
	put(p, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
	for (int i = vlans; i > 0; i--) {
		put16(p, i == 2 ? ETH_P_8021AD : ETH_P_8021Q);
		put16(p, (uint16_t)(100 + i));
	}
	put16(p, type);
	p->l3 = p->n;
}

static inline uint16_t csum(const uint8_t *b, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += get16(b + i);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* IPv4 header with `opts` bytes of options (multiple of 4); lengths by finish(). */
static inline void v4(struct pkt *p, uint8_t tos, uint8_t proto, const char *src, const char *dst,
		      size_t opts, uint16_t frag)
{
	struct in_addr a;

	p->l3 = p->n;
	put16(p, (uint16_t)((0x45 + opts / 4) << 8 | tos));
	put16(p, 0);
	put16(p, 0x1234);
	put16(p, frag);
	put16(p, (uint16_t)(64 << 8 | proto));
	put16(p, 0);
	assert_int_equal(inet_pton(AF_INET, src, &a), 1);
	put(p, &a, 4);
	assert_int_equal(inet_pton(AF_INET, dst, &a), 1);
	put(p, &a, 4);
	for (size_t i = 0; i < opts; i++)
		put(p, "\x01", 1);
	p->l4 = p->n;
}

static inline void v6(struct pkt *p, uint8_t tc, uint32_t label, uint8_t nh, const char *src,
		      const char *dst)
{
	struct in6_addr a;

	p->l3 = p->n;
	put32(p, 6u << 28 | (uint32_t)tc << 20 | label);
	put16(p, 0);
	put16(p, (uint16_t)(nh << 8 | 64));
	assert_int_equal(inet_pton(AF_INET6, src, &a), 1);
	put(p, &a, 16);
	assert_int_equal(inet_pton(AF_INET6, dst, &a), 1);
	put(p, &a, 16);
	p->l4 = p->n;
}

static inline void udp(struct pkt *p, uint16_t sport, uint16_t dport, size_t payload)
{
	put16(p, sport);
	put16(p, dport);
	put16(p, (uint16_t)(8 + payload));
	put16(p, 0);
	zeros(p, payload);
}

/* Writes the length fields of the IP header at l3 and the IPv4 checksum. */
static inline void finish(struct pkt *p)
{
	uint8_t *h = p->b + p->l3;
	size_t len = p->n - p->l3;
	size_t hl = (size_t)(h[0] & 15) * 4;
	uint16_t c;

	if (h[0] >> 4 == 6) {
		h[4] = (uint8_t)((len - 40) >> 8);
		h[5] = (uint8_t)(len - 40);
		return;
	}
	h[2] = (uint8_t)(len >> 8);
	h[3] = (uint8_t)len;
	h[10] = h[11] = 0;
	c = csum(h, hl);
	h[10] = (uint8_t)(c >> 8);
	h[11] = (uint8_t)c;
}

static inline void udp6(struct pkt *p, uint8_t tc, uint32_t label, uint16_t dport)
{
	eth(p, 0, ETH_P_IPV6);
	v6(p, tc, label, IPPROTO_UDP, "fd10:1::2", "fd10:2::2");
	udp(p, 40000, dport, 32);
	finish(p);
}

static inline void udp4(struct pkt *p, uint8_t tos, uint16_t dport)
{
	eth(p, 0, ETH_P_IP);
	v4(p, tos, IPPROTO_UDP, "10.1.0.2", "10.2.0.2", 0, 0);
	udp(p, 40000, dport, 32);
	finish(p);
}

/* False when the kernel's test harness itself refuses so short a packet. */
static inline bool runnable(int fd, const struct pkt *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->b, .data_size_in = (uint32_t)p->n);

	return bpf_prog_test_run_opts(fd, &o) != -EINVAL;
}

/* One packet through the program; ctx may carry mark, priority, ingress_ifindex, gso_*. */
static inline struct ran run_ctx(int fd, const struct pkt *p, struct __sk_buff ctx)
{
	struct __sk_buff out = { 0 };
	struct ran r;
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->b, .data_size_in = (uint32_t)p->n,
		    .data_out = r.out.b, .data_size_out = sizeof(r.out.b), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .ctx_out = &out, .ctx_size_out = sizeof(out));
	int err = bpf_prog_test_run_opts(fd, &o);

	if (err)
		print_error("BPF_PROG_TEST_RUN, %zu bytes: %s\n", p->n, strerror(-err));
	assert_int_equal(err, 0);
	r.ret = o.retval;
	r.mark = out.mark;
	r.priority = out.priority;
	r.out.n = o.data_size_out;
	r.out.l3 = p->l3;
	r.out.l4 = p->l4;
	return r;
}

#ifndef BPF_F_TEST_SKB_CHECKSUM_COMPLETE /* Linux 6.11 */
#define BPF_F_TEST_SKB_CHECKSUM_COMPLETE (1u << 2)
#endif

/* 0 when the sum over the packet that its device handed up is right afterwards, too. */
static inline int sum_kept(int fd, const struct pkt *p, uint32_t ifindex, uint32_t mark)
{
	struct __sk_buff ctx = { .ingress_ifindex = ifindex, .mark = mark };
	uint8_t room[sizeof(p->b)];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->b, .data_size_in = (uint32_t)p->n,
		    .data_out = room, .data_size_out = sizeof(room), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE);

	return bpf_prog_test_run_opts(fd, &o);
}

static inline struct ran run_in(int fd, const struct pkt *p, uint32_t ifindex)
{
	return run_ctx(fd, p, (struct __sk_buff){ .ingress_ifindex = ifindex });
}

static inline uint32_t label_of(const struct pkt *p)
{
	return get32(p->b + p->l3) & 0xfffff;
}

/* DSCP and ECN of the IP header at l3. */
static inline uint8_t tos_of(const struct pkt *p)
{
	const uint8_t *h = p->b + p->l3;

	return h[0] >> 4 == 6 ? (uint8_t)(get16(h) >> 4) : h[1];
}

static inline bool csum_right(const struct pkt *p)
{
	const uint8_t *h = p->b + p->l3;

	return csum(h, (size_t)(h[0] & 15) * 4) == 0;
}

static inline struct dp *offline_open(uint32_t labels)
{
	struct dp_config c = { .offline = true, .labels = labels };
	struct err e = { 0 };
	struct dp *d = NULL;

	if (dp_open(&d, &c, &e))
		print_error("%s: %s\n", e.where, e.text);
	assert_non_null(d);
	dp_clock_set(d, 100 * SEC_NS);
	return d;
}

static inline void must(int r, const struct err *e)
{
	if (r)
		print_error("%s: %s\n", e->where, e->text);
	assert_int_equal(r, 0);
}

static inline void label_set(struct dp *d, const struct dp_label *l)
{
	struct err e = { 0 };

	must(dp_label_set(d, l, NULL, &e), &e);
}

static inline void rules_set(struct dp *d, const struct dp_rule *r, size_t n)
{
	struct err e = { 0 };

	must(dp_rules_set(d, r, n, NULL, &e), &e);
}

#endif
