/* SPDX-License-Identifier: Apache-2.0 */
/* nexthop.h - nexthop objects (Linux 5.3): a device and a gateway under an id, which any number of
 * routes name. One message turns them all. Ours carry protocol 84. */
#ifndef TREATY_NETLINK_NEXTHOP_H
#define TREATY_NETLINK_NEXTHOP_H

#include "nl.h"
#include "obj.h"

/* Adds or changes in place. Another protocol's object under the id: -EEXIST. A kernel without
 * nexthop objects: -EOPNOTSUPP. */
must_check int nexthop_put(struct nl *n, const struct nl_nexthop *h, struct err *e);
/* Takes its routes along (the kernel does). Not there, or not ours = 0, untouched. */
must_check int nexthop_del(struct nl *n, const struct nl_nexthop *h, struct err *e);
/* Ours, sorted; none on a kernel that has none. -ENOSPC when more than cap. */
must_check int nexthop_list(struct nl *n, struct nl_obj *out, size_t cap, size_t *count,
			    struct err *e);
/* 0 = *ret is the message's; 1 = a form that we never make (a group, a blackhole, an
 * encapsulation), ret->id is right; -EPROTO. */
must_check int nexthop_parse(const struct nlmsghdr *nlh, struct nl_nexthop *ret, uint8_t *proto);

#endif
