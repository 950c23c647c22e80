/* SPDX-License-Identifier: Apache-2.0 */
/* grades.h - what a service is worth having: the tuple of three axes. */
#ifndef TREATY_GRADES_H
#define TREATY_GRADES_H

#include "units.h"

enum axis { AXIS_BANDWIDTH, AXIS_LATENCY, AXIS_AVAILABILITY, AXIS_MAX_ };

struct grades {
	rate_t bandwidth;     /* at least, layer 2, each direction */
	delay_t latency;      /* at most, one way, between the two customer-facing ports */
	avail_t availability; /* at least */
};

/* The network type that carries a service: another type is another service (replacement). */
enum net_type { NET_DET = 1, NET_BE = 2 };

/* What happened to an agreement, and what may happen next (see life.def). */
enum strategy { STRATEGY_STEP_UP = 1, STRATEGY_STEP_DOWN = 2 };

#endif
