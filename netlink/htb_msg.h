/* SPDX-License-Identifier: Apache-2.0 */
/* htb_msg.h - one HTB class or leaf as a netlink message, both ways. No I/O. */
#ifndef TREATY_NETLINK_HTB_MSG_H
#define TREATY_NETLINK_HTB_MSG_H

#include "htb.h"

#define HTB_HANDLE (HTB_MAJOR << 16)

/* All write a whole message into buf (512 bytes are enough) and return its header. */
struct nlmsghdr *htb_msg_class(void *buf, uint32_t ifindex, const struct nl_class *c);
struct nlmsghdr *htb_msg_class_del(void *buf, uint32_t ifindex, uint32_t minor);
struct nlmsghdr *htb_msg_leaf(void *buf, uint32_t ifindex, const struct nl_class *c);
/* Ask for one class or its leaf; the kernel answers the sender. */
struct nlmsghdr *htb_msg_class_get(void *buf, uint32_t ifindex, uint32_t minor);
struct nlmsghdr *htb_msg_leaf_get(void *buf, uint32_t ifindex, uint32_t minor);

/* 1 = a class of our tree, 0 = something else, -EPROTO = cannot be read. stats may be NULL; limit
 * is left 0: it is the leaf's. */
int htb_msg_read_class(const struct nlmsghdr *nlh, struct nl_class *ret,
		       struct nl_class_stats *stats);
/* 1 = our bfifo below class *minor, 0 = something else, -EPROTO. */
int htb_msg_read_leaf(const struct nlmsghdr *nlh, uint32_t *minor, uint32_t *limit);

#endif
