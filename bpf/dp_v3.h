/* SPDX-License-Identifier: Apache-2.0 */
/* dp_v3.h - what ABI versions 2 and 3 had pinned where it differs from now: label lines with the
 * meters in them, counters by label and CPU. Never changed again. */
#ifndef TREATY_BPF_DP_V3_H
#define TREATY_BPF_DP_V3_H

#include "treaty/abi.h"

struct v3_line {
	__u16 flags, class_minor;
	__u8 dscp, dscp_over;
	__u16 ceiling;
	__u64 valid_until;
	__u32 bind[2];
	__u8 path[2];
	__u16 watch;
	__u8 shift[2], eshift[2];
	__u32 cost[2], ecost[2];
	__u32 burst[2], eburst[2]; /* ns */
	__u64 tat[2], etat[2];
};
_Static_assert(sizeof(struct v3_line) == 96, "v3");

/* Sizes of line, ceiling, cell, rule, port, flow key, flow set, RTT key, base, bind, watch, ctl and
 * virtual queues: their checksum stands in the control map. */
#define V3_SIZES                                                       \
	{                                                              \
		96, 64, 64, 96, 16, 48, 256, 40, 128, 32, 16, 128, 256 \
	}

/* Cells: geometry | odd | cache | hot | class | index | rare | rtt; hot is [label][CPU] and class
 * [class][CPU]. */
struct v3_cells {
	__u32 odd, cache, hot, class_count, index, rare, rtt, end;
};

static inline struct v3_cells v3_cells_of(__u32 labels, __u32 cpus, __u32 slots)
{
	struct v3_cells c = { .odd = 1 };

	c.cache = c.odd + cpus;
	c.hot = c.cache + cpus;
	c.class_count = c.hot + labels * cpus;
	c.index = c.class_count + DP_CLASSES * cpus;
	c.rare = c.index + (labels + 15) / 16;
	c.rtt = c.rare + slots * 2;
	c.end = c.rtt + (DP_WATCHED + 1) * 4;
	return c;
}

#endif
