/* SPDX-License-Identifier: Apache-2.0 */
/* oss_assurance_core.h - keep the promise: one agreement, one sampling interval. Fast up, slow
 * down: hysteresis and a hold only on the way down. Stale telemetry says nothing. */
#ifndef TREATY_OSS_ASSURANCE_CORE_H
#define TREATY_OSS_ASSURANCE_CORE_H

#include "treaty/field.h"
#include "treaty/life.h"
#include "treaty/telemetry.h"

/* Windows are counted in sampling intervals. */
struct oss_assurance_params {
	uint16_t predict;      /* intervals in a row at risk before a breach is predicted */
	uint16_t breach;       /* intervals in a row out of contract before it is flagged */
	uint16_t recover;      /* intervals in a row clear before recovery */
	uint16_t cool;         /* intervals of cooling */
	uint16_t load_risk;    /* permille of capacity: forecast load above is a risk */
	uint16_t load_clear;   /* permille: below is clear */
	uint16_t delay_clear;  /* permille of the latency ceiling: below is clear */
	uint16_t rate_keep;    /* permille of the due rate that must be delivered */
	uint32_t loss_max_ppm; /* path loss above is out of contract */
	int64_t stale_us;      /* older telemetry says nothing */
};

struct oss_assurance_meter {
	bool known;
	mono_t at;
	rate_t offered;   /* at the first node, last window */
	rate_t delivered; /* at the last node, last window */
	uint64_t drops;   /* packets of the last window that conformed and were lost by us */
};

struct oss_assurance_state {
	uint16_t risk, breach, clear, cool;
	bool flagged; /* this run of breach has been said */
};

struct oss_assurance_in {
	struct oss_assurance_params p;
	struct oss_assurance_state s;
	enum life life;
	mono_t now;
	struct grades g;
	rate_t contracted;
	struct oss_assurance_meter meter;
	mono_t view_at;
	struct path_view view; /* the path that carries it */
	bool away;             /* the live revision is not at its origin's grades or path */
	struct grades origin_g;
	mono_t origin_at;
	struct path_view origin; /* the origin's path; may be the same */
};

enum assurance_cause {
	CAUSE_NONE,
	CAUSE_PATH_DEAD,
	CAUSE_DELAY,
	CAUSE_DELAY_FORECAST,
	CAUSE_LOSS,
	CAUSE_RATE,
	CAUSE_LOAD_FORECAST,
};

struct oss_assurance_out {
	enum life_event event; /* LEV_MAX_ = silence */
	enum assurance_cause cause;
	struct oss_assurance_state s;
	why_t why;
};

/* Defaults for 100 ms intervals: predict after 4, breach after 5, recover after 100, cool 100. */
void oss_assurance_defaults(struct oss_assurance_params *p);
/* Whether this window says anything; and, when it does, whether it kept every ceiling. */
bool oss_assurance_known(const struct oss_assurance_in *in);
bool oss_assurance_kept(const struct oss_assurance_out *out);
void oss_assurance_decide(const struct oss_assurance_in *in, struct oss_assurance_out *out);

extern const struct field_table oss_assurance_in_fields, oss_assurance_out_fields;

#endif
