/* SPDX-License-Identifier: Apache-2.0 */
/* oss_negotiation.h - the shell that takes or refuses the orders of the BSS. While a plan of the
 * same agreement is under way an order waits; it is judged when that plan has ended. */
#ifndef TREATY_OSS_NEGOTIATION_H
#define TREATY_OSS_NEGOTIATION_H

#include "agent/side.h"

int oss_negotiation_start(struct side *s, struct err *e) must_check;

#endif
