/* SPDX-License-Identifier: Apache-2.0 */
/* oss_debt.h - removals that a silent node still owes: tried again until it answers. In memory
 * only: what is left carries no traffic, and a label line ends by itself with its term. */
#ifndef TREATY_OSS_DEBT_H
#define TREATY_OSS_DEBT_H

#include "agent/side.h"

void oss_debt_start(struct side *s);
/* Step no (1..) of p. */
void oss_debt_add(const struct plan *p, uint16_t no);
/* A new plan speaks of the same objects: what was owed for them is void. */
void oss_debt_settled(const struct plan *p);
uint32_t oss_debt_count(void);

#endif
