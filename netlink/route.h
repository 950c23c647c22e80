/* SPDX-License-Identifier: Apache-2.0 */
/* route.h - IPv4, IPv6 and SRv6 routes of protocol 84 in any table (libmnl). */
#ifndef TREATY_NETLINK_ROUTE_H
#define TREATY_NETLINK_ROUTE_H

#include "nl.h"
#include "obj.h"

/* One message that adds the route or swaps it in place: no packet sees a gap. -EEXIST when a route
 * of another protocol has its key. */
must_check int route_put(struct nl *n, const struct nl_route *r, struct err *e);
/* As route_put, for a route that the caller has seen to be ours or absent: no look-up first. */
must_check int route_replace(struct nl *n, const struct nl_route *r, struct err *e);
/* Not there (or not ours: the kernel compares the protocol) = 0. */
must_check int route_del(struct nl *n, const struct nl_route *r, struct err *e);
/* Our routes (protocol 84), sorted as nl_obj_cmp sorts; table 0 = all tables. -ENOSPC beyond cap.
 * With ours = false the routes of all other protocols are listed instead (for look-ups). */
must_check int route_list(struct nl *n, uint32_t table, bool ours, struct nl_obj *out, size_t cap,
			  size_t *count, struct err *e);
/* Reads an RTM_NEWROUTE or RTM_DELROUTE. 0 and *ret, 1 for a route of a form that we never make
 * (multipath, other encapsulations, not unicast: key fields still filled), -EPROTO when the message
 * breaks the format. *proto = its protocol. */
must_check int route_parse(const struct nlmsghdr *nlh, struct nl_route *ret, uint8_t *proto);

#endif
