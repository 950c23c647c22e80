/* SPDX-License-Identifier: Apache-2.0 */
/* tc.h - what link.c, qdisc.c and htb.c share: libnl-route's builders and parsers over the handle's
 * socket. Not for other folders. */
#ifndef TREATY_NETLINK_TC_H
#define TREATY_NETLINK_TC_H

#include "nl.h"

struct nl_msg;
struct nl_object;

/* One parsed object with its raw message; 0 or a negative errno to stop. */
typedef int (*tc_fn)(struct nl_object *o, const struct nlmsghdr *nlh, void *arg);

/* Dumps the qdiscs (RTM_GETQDISC) or classes (RTM_GETTCLASS) of a device. reset as nl_dump_mnl. */
must_check int tc_dump(struct nl *n, uint16_t type, uint32_t ifindex, tc_fn fn,
		       void (*reset)(void *), void *arg, struct err *e);
/* Sends what a libnl builder made: built is its return code. Frees msg. ok as nl_talk. */
must_check int tc_send(struct nl *n, int built, struct nl_msg *msg, int ok, struct err *e);

#endif
