/* SPDX-License-Identifier: Apache-2.0 */
/* horizon.h - asks the signer to forget what no agreement needs any more (docs/decisions/0175). */
#ifndef TREATY_HORIZON_H
#define TREATY_HORIZON_H

#include "agent/side.h"

/* Looks each minute, from now on. */
int horizon_start(struct side *s, struct err *e) must_check;

/* By the rule: when SIGNER_DUE lineages could be forgotten, a horizon before every agreement that
 * lives. 1 = one was set, which the log tells; 0 = none is due, or none can be. Negative: the
 * signer did not answer. */
int horizon_look(struct side *s, struct err *e) must_check;

/* Seconds since 1970: the oldest name of a deal in w that may still be signed for, none later than
 * an hour and a half before now. *ret_oldest: that name, empty when it is no deal's. */
uint64_t horizon_of(const struct world *w, wall_t now, ident_t *ret_oldest);

#endif
