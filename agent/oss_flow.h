/* SPDX-License-Identifier: Apache-2.0 */
/* oss_flow.h - side->flows from the running totals of the first and the last node of each label's
 * path: offered, delivered, lost between them. */
#ifndef TREATY_OSS_FLOW_H
#define TREATY_OSS_FLOW_H

#include "agent/side.h"

/* One label's totals as `node` has just said them. Ignored when no live agreement has the label or
 * the node is neither end of its path. */
void oss_flow_sample(struct side *s, const char *node, const struct label_sample *sample);
/* What the treaties sent in the last window into the device by which each path leaves its first
 * node (up), and its last (down), by the path's index. All paths have these two nodes in common. */
struct oss_own {
	rate_t up[PATHS_MAX], down[PATHS_MAX];
};
void oss_flow_own(const struct side *s, struct oss_own *ret);
/* Drops the flows of labels that no live agreement has any more. */
void oss_flow_forget(struct side *s);

#endif
