/* SPDX-License-Identifier: Apache-2.0 */
/* oss_debt.h - removals that a silent node still owes: asked for again until it answers. They are
 * in the log (REMOVAL_OWED, REMOVAL_SETTLED), so a restart knows them; a new plan over the same
 * objects settles them, because it says the newer word. */
#ifndef TREATY_OSS_DEBT_H
#define TREATY_OSS_DEBT_H

#include "agent/side.h"

/* Adds the MCP row removal_settle, once per process. */
int oss_debt_start(struct side *s, struct err *e) must_check;
/* Step no (1..) of p. */
void oss_debt_add(const struct plan *p, uint16_t no);

#endif
