/* SPDX-License-Identifier: Apache-2.0 */
/* oss_assurance.h - the shell that watches every running agreement once a sampling interval. What
 * it counts is in memory: after a restart it begins calm. */
#ifndef TREATY_OSS_ASSURANCE_H
#define TREATY_OSS_ASSURANCE_H

#include "agent/side.h"
#include "agent/state/seconds_core.h"

/* Measured seconds of a living agreement, counted since this process began to watch it. False: not
 * watched here. */
bool oss_assurance_seconds(const ident_t *lineage, struct seconds *ret);

int oss_assurance_start(struct side *s, struct err *e) must_check;

#endif
