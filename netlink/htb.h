/* SPDX-License-Identifier: Apache-2.0 */
/* htb.h - classes of our HTB tree (libnl-route). */
#ifndef TREATY_NETLINK_HTB_H
#define TREATY_NETLINK_HTB_H

#include "nl.h"
#include "obj.h"

struct nl_class_stats {
	uint32_t minor;
	uint64_t bytes, packets; /* sent */
	uint64_t drops, overlimits;
	uint64_t backlog_bytes, qlen; /* waiting now */
};

/* A class of rate (and ceil: 0 = the same) with fitting burst (>= 10 ms at its rate, >= 2 full
 * frames), quantum and leaf limit (50 ms of 600-byte frames at ceil). mtu in bytes. */
struct nl_class htb_class(uint32_t minor, rate_t rate, rate_t ceil, uint32_t mtu);

/* Our root, the root class at the device's rate and the default class, idempotently. dflt is the
 * rate guaranteed to traffic without an agreement; it may borrow up to rate. -EEXIST: foreign root.
 */
must_check int htb_ensure(struct nl *n, uint32_t ifindex, rate_t rate, rate_t dflt, uint32_t mtu,
			  struct err *e);
/* Adds or changes a class and its leaf; 54:1 has no leaf, every other class is its child. A leaf
 * that is not ours: -EEXIST. Range errors: -EINVAL, e names the field. */
must_check int htb_class_put(struct nl *n, uint32_t ifindex, const struct nl_class *c,
			     struct err *e);
/* Not there = 0. */
must_check int htb_class_del(struct nl *n, uint32_t ifindex, uint32_t minor, struct err *e);
/* The classes of our tree sorted by minor, with their leaves' limits; none when the root is not
 * ours. -ENOSPC when more than cap. stats may be NULL. */
must_check int htb_class_list(struct nl *n, uint32_t ifindex, struct nl_class *out,
			      struct nl_class_stats *stats, size_t cap, size_t *count,
			      struct err *e);

#endif
