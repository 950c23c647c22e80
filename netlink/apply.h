/* SPDX-License-Identifier: Apache-2.0 */
/* apply.h - runs steps of nl_diff against the kernel. */
#ifndef TREATY_NETLINK_APPLY_H
#define TREATY_NETLINK_APPLY_H

#include "nl.h"
#include "diff_core.h"

/* One step; idempotent: a second time it changes nothing and succeeds. */
must_check int apply_step(struct nl *n, const struct nl_step *s, struct err *e);
/* Steps in order until one fails; *done = how many succeeded. */
must_check int apply_steps(struct nl *n, const struct nl_step *s, size_t count, size_t *done,
			   struct err *e);
/* observe, diff, apply: makes the kernel hold exactly wanted (sorted in place) on these devices,
 * and in routes and rules. *done (may be NULL) = steps run; 0 when all was as wanted. */
must_check int apply_wanted(struct nl *n, const uint32_t *ifindex, size_t n_if,
			    struct nl_obj *wanted, size_t n_wanted, size_t *done, struct err *e);

/* What apply_wanted would do, without doing it. *ret is the caller's to free. */
must_check int apply_look(struct nl *n, const uint32_t *ifindex, size_t n_if, struct nl_obj *wanted,
			  size_t n_wanted, struct nl_step **ret, size_t *count, struct err *e);

#endif
