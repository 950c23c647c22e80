/* SPDX-License-Identifier: Apache-2.0 */
/* qdisc.h - what hangs on a device's root, and our HTB root there (libnl-route). */
#ifndef TREATY_NETLINK_QDISC_H
#define TREATY_NETLINK_QDISC_H

#include "nl.h"

struct nl_qdisc {
	uint32_t ifindex;
	uint32_t handle; /* 0 = the kernel's default */
	uint32_t parent;
	char kind[16];
	uint32_t limit; /* of a bfifo, bytes; else 0 */
};

/* OURS: our HTB; FQ: our fq. */
enum qdisc_root { QDISC_ROOT_DEFAULT, QDISC_ROOT_OURS, QDISC_ROOT_FQ, QDISC_ROOT_FOREIGN };

/* All qdiscs of a device, in the kernel's order; -ENOSPC when more than cap. */
must_check int qdisc_list(struct nl *n, uint32_t ifindex, struct nl_qdisc *out, size_t cap,
			  size_t *count, struct err *e);
/* Whose root qdisc is it? A 54: htb whose default class is not 54:2 is foreign. */
must_check int qdisc_root(struct nl *n, uint32_t ifindex, enum qdisc_root *ret, struct err *e);
/* True in *ret when clsact (or the older ingress) sits on the device: someone's tc filters may be
 * there. We never add or remove it. */
must_check int qdisc_has_clsact(struct nl *n, uint32_t ifindex, bool *ret, struct err *e);
/* Makes our HTB root (handle 54:, default 54:2). There already = 0. Foreign root = -EEXIST. */
must_check int qdisc_htb_ensure(struct nl *n, uint32_t ifindex, struct err *e);
/* Makes our fq root (handle 54:) with room for any queue that the programs admit. There already =
 * 0. Our HTB is replaced in one step (then 55:), or stands as it is: -EOPNOTSUPP: this kernel has
 * no fq. -EEXIST: another root. */
must_check int qdisc_fq_ensure(struct nl *n, uint32_t ifindex, struct err *e);
/* Deletes our root, fq or HTB with all classes; the kernel's default comes back. Not ours or not
 * there = 0, untouched. */
must_check int qdisc_root_del(struct nl *n, uint32_t ifindex, struct err *e);

#endif
