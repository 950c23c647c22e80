/* SPDX-License-Identifier: Apache-2.0 */
#include "side_clock.h"

#include "agent/log.h"

#include <errno.h>
#include <stdio.h>

void side_clock_begin(struct side_clock *c, wall_t floor)
{
	clock_begin(&c->guard, c->wall(c->arg), floor, c->mono(c->arg));
	c->begun = true;
}

wall_t side_clock_now(void *arg)
{
	struct side_clock *c = arg;
	enum clock_step step;
	int64_t off;
	wall_t t;

	if (!c->begun)
		return c->wall(c->arg);
	t = clock_tell(&c->guard, c->wall(c->arg), c->mono(c->arg), &step, &off);
	if (step != CLOCK_STEADY) {
		c->step = step;
		c->off_ms = off;
	}
	return t;
}

static const char *meaning(enum clock_step s)
{
	switch (s) {
	case CLOCK_AHEAD: return "not believed unless it stays for 60 s; nothing ends by it";
	case CLOCK_BEHIND: return "time goes on at half pace until the clock has caught up";
	case CLOCK_TAKEN: return "it stayed: believed from now on";
	default: return "they agree again";
	}
}

int side_clock_turn(struct side_clock *c, struct engine *en)
{
	const struct cap_witness cap = { en };
	struct ev_ref ev = { .about = { "clock" } };

	(void)side_clock_now(c);
	if (c->step == CLOCK_STEADY)
		return 0;
	(void)snprintf(ev.why.s, sizeof(ev.why.s),
		       "%s: the machine's clock is %lld.%03lld s %s; %s", clock_step_name(c->step),
		       (long long)llabs(c->off_ms) / 1000, (long long)llabs(c->off_ms) % 1000,
		       c->off_ms < 0 ? "behind" : "ahead", meaning(c->step));
	log_warn("clock %s", ev.why.s);
	c->step = CLOCK_STEADY;
	return tool_clock_note(&cap, &ev, NULL, NULL) == REFUSE_NONE ? 0 : -EIO;
}
