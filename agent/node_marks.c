/* SPDX-License-Identifier: Apache-2.0 */
/* What this node counted of coloured labels (RFC 9341): the newest block that is over. */
#include "mark_core.h"
#include "node_int.h"
#include "treaty/abi.h"

#include <errno.h>
#include <sys/timex.h>
#include <time.h>

void node_clock(const struct side *s, struct mark_clock *ret)
{
	struct timex t = { 0 }; /* modes 0: nothing is changed */
	int state = adjtimex(&t);

	*ret = (struct mark_clock){ .host = counters_host(s->node->counters),
				    .block_ms = s->cfg->node.colours ? s->cfg->node.block_ms : 0,
				    .synced = state >= 0 && state != TIME_ERROR &&
					      !(t.status & STA_UNSYNC) };
	if (!ret->synced)
		return;
	ret->max_error_us = (uint32_t)t.maxerror;
	ret->est_error_us = (uint32_t)t.esterror;
}

static int64_t wall_ns(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int node_mark(const struct side *s, uint32_t label, enum dir dir, uint32_t point,
	      struct mark_sample *ret)
{
	int64_t block_ns = (int64_t)s->cfg->node.block_ms * 1000000;
	uint64_t block;
	int r;

	if (!s->node)
		return -EOPNOTSUPP;
	block = s->cfg->node.colours && block_ns ? mark_finished(wall_ns(), block_ns) : 0;
	if (!block)
		return -ENOENT;
	r = counters_mark(s->node->counters, label, dir, point, block, ret);
	/* Slept between the two looks: what was read may be half of a newer block. */
	return r ? r : mark_readable(block, DP_BLOCKS, wall_ns(), block_ns) ? 0 : -ENOENT;
}
