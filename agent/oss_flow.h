/* SPDX-License-Identifier: Apache-2.0 */
/* oss_flow.h - side->flows from the running totals of the first and the last node of each label's
 * path: offered, delivered, lost between them. */
#ifndef TREATY_OSS_FLOW_H
#define TREATY_OSS_FLOW_H

#include "agent/side.h"

/* One label's totals as `node` has just said them. Ignored when no live agreement has the label or
 * the node is neither end of its path. */
void oss_flow_sample(struct side *s, const char *node, const struct label_sample *sample);
/* What the treaties sent in the last window into a path's device: of its first node (DIR_UP) or of
 * its last (DIR_DOWN). All paths have their first and their last node in common. */
rate_t oss_flow_own(const struct side *s, const name_t *device, enum dir dir);
/* Drops the flows of labels that no live agreement has any more. */
/* What the treaties sent in the last window into a path's device: of its first node (DIR_UP) or of
 * its last (DIR_DOWN). All paths have their first and their last node in common. */
rate_t oss_flow_own(const struct side *s, const name_t *device, enum dir dir);
void oss_flow_forget(struct side *s);

#endif
