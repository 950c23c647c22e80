/* SPDX-License-Identifier: Apache-2.0 */
/* htb.h - classes of our HTB tree. */
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

/* Whether the class holds other classes and no leaf: the root, a customer's ceiling. */
bool htb_inner(uint32_t minor);

/* A class of rate (and ceil: 0 = the same) with fitting burst (>= 10 ms at its rate, >= 2 full
 * frames), quantum and leaf limit (50 ms at ceil, >= 16 full frames). mtu in bytes. */
struct nl_class htb_class(uint32_t minor, rate_t rate, rate_t ceil, uint32_t mtu);

/* A class that stands ready for a deal: almost no rate of its own, borrows up to ceil after all
 * others, so that a packet that still names it travels as what has no agreement. Known by its
 * quantum, which htb_class() never gives. */
#define HTB_IDLE_BPS 8000u
struct nl_class htb_idle(uint32_t minor, rate_t ceil, uint32_t mtu);
bool htb_is_idle(const struct nl_class *c);

/* Our root, the root class at the device's rate and the default class, idempotently. dflt is the
 * rate guaranteed to traffic without an agreement; it may borrow up to rate. -EEXIST: foreign root.
 */
must_check int htb_ensure(struct nl *n, uint32_t ifindex, rate_t rate, rate_t dflt, uint32_t mtu,
			  struct err *e);
/* Adds or changes a class and its leaf; inner classes have none, the parent is 54:1 or a customer's
 * class, and cannot be changed later. A leaf that is not ours: -EEXIST. Range errors: -EINVAL, e
 * names the field. */
must_check int htb_class_put(struct nl *n, uint32_t ifindex, const struct nl_class *c,
			     struct err *e);
/* Many leaf classes, in flights of many messages; result[i] = 0 or the errno of class i, a later
 * one is tried even when an earlier one failed. The return value is 0 unless nothing could be
 * sent (-E2BIG: more than HTB_MANY; -EINVAL: out of range, e names the field). e (may hold text
 * with a return of 0): the kernel's words on the first class that failed. */
#define HTB_MANY 128
must_check int htb_classes_put(struct nl *n, uint32_t ifindex, const struct nl_class *c,
			       size_t count, int *result, struct err *e);
/* Reads single classes with their leaves' limits, many in flight, without a dump: its cost does not
 * grow with the tree. out[i].minor = 0: not there. */
must_check int htb_classes_get(struct nl *n, uint32_t ifindex, const uint32_t *minor, size_t count,
			       struct nl_class *out, struct err *e);
/* Not there = 0. */
must_check int htb_class_del(struct nl *n, uint32_t ifindex, uint32_t minor, struct err *e);
/* The classes of our tree sorted by minor, with their leaves' limits; none when the root is not
 * ours. -ENOSPC when more than cap. stats may be NULL. */
must_check int htb_class_list(struct nl *n, uint32_t ifindex, struct nl_class *out,
			      struct nl_class_stats *stats, size_t cap, size_t *count,
			      struct err *e);

#endif
