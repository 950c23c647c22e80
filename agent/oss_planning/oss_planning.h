/* SPDX-License-Identifier: Apache-2.0 */
/* oss_planning.h - the shell that plans accepted orders, has the plan checked, commits it and
 * carries it out node by node, or undoes what it has done. MCP row: path_swap. */
#ifndef TREATY_OSS_PLANNING_H
#define TREATY_OSS_PLANNING_H

#include "agent/side.h"

/* Takes up the plans that were under way when the process ended. */
int oss_planning_start(struct side *s, struct err *e) must_check;

#endif
