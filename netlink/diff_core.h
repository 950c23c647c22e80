/* SPDX-License-Identifier: Apache-2.0 */
/* diff_core.h - wanted vs seen -> ordered idempotent steps. Pure. */
#ifndef TREATY_NETLINK_DIFF_CORE_H
#define TREATY_NETLINK_DIFF_CORE_H

#include "obj.h"

enum nl_op { NL_ADD, NL_CHANGE, NL_DEL };

struct nl_step {
	enum nl_op op;
	struct nl_obj obj; /* wanted for add and change, seen for delete */
};

enum nl_diff {
	NL_DIFF_OK,
	NL_DIFF_FULL,      /* more than cap steps: raise cap */
	NL_DIFF_BAD,       /* wanted[at] is out of range */
	NL_DIFF_DUPLICATE, /* wanted[at] has the key of another wanted object */
	NL_DIFF_FOREIGN,   /* wanted[at] is where a foreign object is */
};

struct nl_diff_result {
	size_t n;        /* steps written; 0 unless NL_DIFF_OK */
	size_t at;       /* index into wanted (after its sort) of the first complaint */
	const char *why; /* static text for NL_DIFF_BAD */
};

/* Sorts both arrays in place (so that input order never matters), then writes at most cap steps:
 * adds and changes first (qdisc, class, route, rule; a device's root class before its leaves), then
 * deletes in reverse: make before break. A step never names a foreign object. All or nothing: on
 * any answer but NL_DIFF_OK no step counts. Applying the steps to seen gives wanted. */
enum nl_diff nl_diff(struct nl_obj *wanted, size_t n_wanted, struct nl_obj *seen, size_t n_seen,
		     struct nl_step *step, size_t cap, struct nl_diff_result *res);

#endif
