/* SPDX-License-Identifier: Apache-2.0 */
/* raw_rig.h - frames as they are on the wire, put on lan1 and read on acc1 of enforcer_rig.h's
 * stage: what the host between them forwards has gone through our programs at lan0 and acc0. */
#ifndef TREATY_TESTS_RAW_RIG_H
#define TREATY_TESTS_RAW_RIG_H

#include <linux/if_packet.h>
#include <net/if.h>

#include "enforcer_rig.h"

#include "tests/bpf/pkt.h"

#define RAW_DST    "fd10:a1::2" /* behind acc1 */
#define RAW_DST_HW "02:00:00:00:00:99"

static inline void hw_of(const char *dev, uint8_t hw[6])
{
	char *t = told("ip -o link show %s | sed 's/.*link.ether \\([0-9a-f:]*\\).*/\\1/'", dev);

	assert_int_equal(sscanf(t, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &hw[0], &hw[1], &hw[2], &hw[3],
				&hw[4], &hw[5]),
			 6);
	free(t);
}

static inline int raw_open(const char *dev)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex(dev) };
	const struct timeval wait = { .tv_sec = 5 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	return fd;
}

/* Whom a frame is for stands in the last byte of its payload. */
static inline void raw_udp6(struct pkt *p, uint8_t tc, uint32_t label, uint16_t dport, uint8_t no)
{
	eth(p, 0, ETH_P_IPV6);
	hw_of("lan0", p->b);
	v6(p, tc, label, IPPROTO_UDP, "fd10:1::2", RAW_DST);
	udp(p, 40000, dport, 32);
	p->b[p->n - 1] = no;
	finish(p);
}

/* Of a UDP packet that a socket is to take. */
static inline void raw_checksum(struct pkt *p)
{
	uint32_t sum = (uint32_t)(p->n - p->l4) + IPPROTO_UDP;

	p->b[p->l4 + 6] = p->b[p->l4 + 7] = 0;
	for (size_t i = p->l3 + 8; i < p->n; i += 2)
		sum += get16(p->b + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	p->b[p->l4 + 6] = (uint8_t)(~sum >> 8);
	p->b[p->l4 + 7] = (uint8_t)~sum;
}

static inline void raw_send(int fd, const struct pkt *p)
{
	assert_int_equal(send(fd, p->b, p->n, 0), (ssize_t)p->n);
}

/* The frame with that number, as it comes; false after five seconds without. */
static inline bool raw_take(int fd, size_t len, uint8_t no, struct pkt *ret)
{
	ssize_t n;

	while ((n = recv(fd, ret->b, sizeof(ret->b), 0)) > 0) {
		if ((size_t)n != len || ret->b[n - 1] != no || get16(ret->b + 12) != ETH_P_IPV6)
			continue;
		ret->n = (size_t)n;
		ret->l3 = ETH_HLEN;
		ret->l4 = ETH_HLEN + 40;
		return true;
	}
	return false;
}

/* The way from lan0 to acc0, whose neighbour nobody is. */
static inline void raw_stage(void)
{
	sh("ip -6 addr add fd10:1::1/64 dev lan0 nodad; "
	   "ip -6 neigh replace " RAW_DST " lladdr " RAW_DST_HW " dev acc0 nud permanent");
}

#endif
