/* SPDX-License-Identifier: Apache-2.0 */
#include "clock_core.h"
#include "treaty/pure.h"

static void count_from(struct clock_guard *g, wall_t t, mono_t now, enum clock_step state)
{
	g->from = t;
	g->at = now;
	g->state = state;
}

void clock_begin(struct clock_guard *g, wall_t wall, wall_t floor, mono_t now)
{
	*g = (struct clock_guard){ .last = wall.ms < floor.ms ? floor : wall };
	count_from(g, g->last, now, CLOCK_STEADY);
}

/* By the monotone clock alone. */
static wall_t counted(const struct clock_guard *g, mono_t now)
{
	int64_t ms = (now.us - g->at.us) / 1000;

	return (wall_t){ g->from.ms + (g->state == CLOCK_BEHIND ? ms / 2 : ms) };
}

static enum clock_step ahead(struct clock_guard *g, wall_t wall, wall_t mine, mono_t now)
{
	if (g->state != CLOCK_AHEAD) {
		count_from(g, mine, now, CLOCK_AHEAD);
		g->since = now;
		return CLOCK_AHEAD;
	}
	if (now.us - g->since.us < CLOCK_GRACE_US)
		return CLOCK_STEADY;
	count_from(g, wall, now, CLOCK_STEADY);
	return CLOCK_TAKEN;
}

static enum clock_step behind(struct clock_guard *g, wall_t mine, mono_t now)
{
	if (g->state == CLOCK_BEHIND)
		return CLOCK_STEADY;
	count_from(g, mine, now, CLOCK_BEHIND);
	return CLOCK_BEHIND;
}

/* The wall clock is followed, as far as a slewed one may run away from the monotone one: it is
 * compared with the point from which is counted, and that moves once in a minute. */
static enum clock_step near(struct clock_guard *g, wall_t wall, mono_t now)
{
	bool was = g->state != CLOCK_STEADY;

	if (was || now.us - g->at.us >= CLOCK_GRACE_US)
		count_from(g, wall, now, CLOCK_STEADY);
	return was ? CLOCK_AGREES : CLOCK_STEADY;
}

wall_t clock_tell(struct clock_guard *g, wall_t wall, mono_t now, enum clock_step *ret_step,
		  int64_t *ret_off_ms)
{
	wall_t count = counted(g, now), mine = count.ms > g->last.ms ? count : g->last;

	*ret_off_ms = wall.ms - mine.ms;
	/* Small steps add up: ahead is seen from what was counted, behind from what was told. */
	*ret_step = wall.ms - count.ms > CLOCK_SLACK_MS   ? ahead(g, wall, mine, now)
		    : wall.ms - mine.ms < -CLOCK_SLACK_MS ? behind(g, mine, now)
							  : near(g, wall, now);
	mine = g->state == CLOCK_STEADY ? wall : counted(g, now);
	if (mine.ms > g->last.ms)
		g->last = mine;
	return g->last;
}

const char *clock_step_name(enum clock_step s)
{
	static const char *const names[] = { "steady", "ahead", "behind", "taken", "agrees" };

	return (unsigned)s <= CLOCK_AGREES ? names[s] : "?";
}
