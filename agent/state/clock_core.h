/* SPDX-License-Identifier: Apache-2.0 */
/* clock_core.h - the time that decisions see, out of a wall clock that may be stepped and a
 * monotone one that may not. It never goes back. A step forward is believed when it has stayed for
 * a minute: till then nothing is expired or released by it. After a step back time goes on at half
 * its pace until the wall clock has caught up. Pure. */
#ifndef TREATY_STATE_CLOCK_CORE_H
#define TREATY_STATE_CLOCK_CORE_H

#include "treaty/units.h"

enum {
	CLOCK_SLACK_MS = 1000,     /* less is no step */
	CLOCK_GRACE_US = 60000000, /* how long a step forward must stay */
};

enum clock_step {
	CLOCK_STEADY,
	CLOCK_AHEAD,  /* the wall clock was stepped forward: not believed yet */
	CLOCK_BEHIND, /* it was stepped back: half pace from here */
	CLOCK_TAKEN,  /* it stayed ahead: from here it is believed */
	CLOCK_AGREES, /* both say the same again */
};

struct clock_guard {
	wall_t last, from;     /* told last; what is counted on from */
	mono_t at;             /* when it was `from` */
	mono_t since;          /* ahead: since when */
	enum clock_step state; /* STEADY, AHEAD or BEHIND */
};

/* floor: the latest time that was ever told before (0 = none); a wall clock before it is behind. */
void clock_begin(struct clock_guard *g, wall_t wall, wall_t floor, mono_t now);
/* The time now; now never goes back. *ret_step: what has just begun or ended, else STEADY.
 * *ret_off_ms: how far the wall clock is from the time told before the step was judged. */
wall_t clock_tell(struct clock_guard *g, wall_t wall, mono_t now, enum clock_step *ret_step,
		  int64_t *ret_off_ms);
const char *clock_step_name(enum clock_step s);

#endif
