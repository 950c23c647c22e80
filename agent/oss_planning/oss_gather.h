/* SPDX-License-Identifier: Apache-2.0 */
/* oss_gather.h - what the planning cores read, from configuration, topology and world. */
#ifndef TREATY_OSS_GATHER_H
#define TREATY_OSS_GATHER_H

#include "agent/side.h"
#include "oss_planning_core.h"

/* From d->order; a DELETE takes what was applied last. REFUSE_NONE, ORDER_INVALID (a path that is
 * not ours), LABEL_RANGE. */
enum refusal oss_gather_plan(const struct side *s, const struct deal *d, const ident_t *plan,
			     struct oss_plan_in *ret);
/* The state before d->planned as an ADD of what was applied; false when nothing was. */
bool oss_gather_before(const struct side *s, const struct deal *d, struct oss_plan_in *ret);
void oss_gather_check(const struct side *s, const struct deal *d, const struct oss_plan_in *in,
		      const struct plan *p, struct oss_check_in *ret);

#endif
