/* SPDX-License-Identifier: Apache-2.0 */
/* observe.h - all that is ours, read back from the kernel. */
#ifndef TREATY_NETLINK_OBSERVE_H
#define TREATY_NETLINK_OBSERVE_H

#include "nl.h"
#include "obj.h"

/* One sorted array; the objects of kind k are obj[first[k]] .. obj[first[k + 1] - 1]. A foreign
 * root qdisc of a named device is in it too, with ours = false. */
struct nl_state {
	struct nl_obj *obj; /* owned */
	size_t n, cap;
	size_t first[NL_KIND_MAX_ + 1];
};

/* Room for cap objects in all. */
must_check int state_new(struct nl_state **ret, size_t cap, struct err *e);
struct nl_state *state_free(struct nl_state *s);
/* Reads the qdiscs and classes of the devices, and all our routes and rules. -ENOSPC = cap is too
 * small. On failure s is empty. */
must_check int observe(struct nl *n, const uint32_t *ifindex, size_t n_if, struct nl_state *s,
		       struct err *e);

#endif
