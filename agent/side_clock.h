/* SPDX-License-Identifier: Apache-2.0 */
/* side_clock.h - the clock of a daemon: the guarded time for the engine and the wires, and an event
 * in the log for each step of the machine's clock. */
#ifndef TREATY_SIDE_CLOCK_H
#define TREATY_SIDE_CLOCK_H

#include "agent/state/clock_core.h"
#include "agent/tools/tools.h"

struct side_clock {
	wall_t (*wall)(void *arg); /* the machine's */
	mono_t (*mono)(void *arg);
	void *arg;
	struct clock_guard guard;
	bool begun;
	enum clock_step step; /* not in the log yet */
	int64_t off_ms;
};

/* The time now, as engine_config.now; arg: a struct side_clock. */
wall_t side_clock_now(void *arg);
/* From what time on: the log's last when clock-floor is on, else 0. Before the first question. */
void side_clock_begin(struct side_clock *c, wall_t floor);
/* In a turn: looks at the clock, and says a step. 0 or -EIO. */
int side_clock_turn(struct side_clock *c, struct engine *en) must_check;

#endif
