/* SPDX-License-Identifier: Apache-2.0 */
/* link.h - network devices (libnl-route). */
#ifndef TREATY_NETLINK_LINK_H
#define TREATY_NETLINK_LINK_H

#include "nl.h"
#include "treaty/units.h"

#define LINK_NAME_MAX 16

struct nl_link {
	uint32_t ifindex;
	char name[LINK_NAME_MAX];
	uint32_t mtu;
	uint32_t txqlen; /* packets */
	bool up;         /* IFF_UP and operationally up or unknown */
	bool loopback;
	rate_t speed; /* 0 = unknown, or of a TUN device, which has none */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
};

/* Up to cap links sorted by ifindex; *n = how many. -ENOSPC when there are more than cap. */
must_check int link_list(struct nl *n, struct nl_link *out, size_t cap, size_t *count,
			 struct err *e);
/* -ENODEV when there is none (REFUSE_DEVICE_UNKNOWN). */
must_check int link_find(struct nl *n, const char *name, struct nl_link *ret, struct err *e);
must_check int link_get(struct nl *n, uint32_t ifindex, struct nl_link *ret, struct err *e);
must_check int link_set_up(struct nl *n, uint32_t ifindex, bool up, struct err *e);
must_check int link_set_txqlen(struct nl *n, uint32_t ifindex, uint32_t txqlen, struct err *e);

#endif
