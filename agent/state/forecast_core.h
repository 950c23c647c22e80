/* SPDX-License-Identifier: Apache-2.0 */
/* forecast_core.h - one series (a load, a delay) ahead of itself: Holt's level and trend in fixed
 * point, an upper estimate from the spread of its own errors. Time is counted in sampling
 * intervals. */
#ifndef TREATY_FORECAST_CORE_H
#define TREATY_FORECAST_CORE_H

#include "treaty/field.h"
#include "treaty/ids.h"

struct forecast_params {
	uint16_t alpha, beta, gamma; /* permille: level, trend, spread */
	uint16_t warm;               /* samples before anything is predicted */
	uint16_t gap_max;            /* missing intervals after which the series starts again */
	uint16_t outlier;   /* tenths of the spread: a lone sample farther off is clipped */
	uint16_t shift;     /* that many in a row on one side are a shift of level, not outliers */
	uint16_t dead;      /* tenths of the spread per 10 intervals: a smaller trend is noise */
	uint16_t upper;     /* tenths of the spread added for the upper estimate */
	int64_t spread_min; /* the spread is never taken smaller (units of the series) */
};

struct forecast_state {
	int64_t level, trend, spread; /* units of the series x 256 */
	uint32_t n;                   /* samples since the start */
	int64_t first, last;          /* samples of the run, x 256 */
	int16_t run;                  /* outliers in a row: > 0 above, < 0 below */
};

struct forecast_in {
	struct forecast_params p;
	struct forecast_state s;
	int64_t sample; /* 0 .. 2^47 */
	uint16_t steps; /* intervals since the last sample: 1 = none is missing */
};

struct forecast_value {
	bool known;          /* false until warm: mean and upper are the last sample then */
	int64_t mean, upper; /* never negative */
};

/* spread_min: the grain below which a change means nothing (1 % of a capacity, 200 us ...). */
void forecast_defaults(struct forecast_params *p, int64_t spread_min);
void forecast_update(const struct forecast_in *in, struct forecast_state *out);
/* The largest value the series is expected to reach within `horizon` intervals. */
void forecast_predict(const struct forecast_params *p, const struct forecast_state *s,
		      uint16_t horizon, struct forecast_value *out);

extern const struct field_table forecast_params_fields, forecast_state_fields, forecast_in_fields,
	forecast_value_fields;

#endif
