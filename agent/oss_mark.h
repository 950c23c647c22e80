/* SPDX-License-Identifier: Apache-2.0 */
/* oss_mark.h - exact loss and one-way delay of coloured labels between a path's first and last node
 * (RFC 9341), from what telemetry brings. Both at the nodes' egress: what the first node's meters
 * and queues drop is no loss of the network. */
#ifndef TREATY_OSS_MARK_H
#define TREATY_OSS_MARK_H

#include "agent/side.h"

/* One node's finished block; labels and nodes that no path of a live agreement has are ignored. */
void oss_mark_sample(struct side *s, const char *node, const struct mark_sample *m,
		     const struct mark_clock *c);
/* Whether a block of the direction was compared lately: then its figures are the loss, and nothing
 * needs to be estimated. */
bool oss_mark_live(const struct side *s, const struct side_flow *f, enum dir dir);

#endif
