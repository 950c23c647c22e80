/* SPDX-License-Identifier: Apache-2.0 */
/* seconds_core.h - availability as measured: a second is good when every window of it that was seen
 * kept its ceilings, bad when one did not, unknown when none was seen. Unknown seconds are told
 * apart and never counted as good. Pure. */
#ifndef TREATY_SECONDS_CORE_H
#define TREATY_SECONDS_CORE_H

#include "treaty/units.h"

struct seconds {
	uint32_t good, bad, unknown; /* whole seconds, the open one not among them */
	int64_t current;             /* the second that is being counted; valid when begun */
	bool begun, seen, broken;
};

/* One window. second: of a clock that never goes back; a second left out is unknown. */
void seconds_add(struct seconds *s, int64_t second, bool known, bool kept);
/* Good of the known ones in millionths, rounded down; -1 while none is known. */
int32_t seconds_ppm(const struct seconds *s);

#endif
