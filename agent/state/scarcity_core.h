/* SPDX-License-Identifier: Apache-2.0 */
/* scarcity_core.h - telemetry and forecast -> a band per path and axis -> surge. One set of
 * parameters for all tenants: same band, same grades, same scarcity price. */
#ifndef TREATY_SCARCITY_CORE_H
#define TREATY_SCARCITY_CORE_H

#include "treaty/field.h"
#include "treaty/telemetry.h"

/* A band is entered at or above `up` and left below `down` (down <= up). Index 0, BAND_PLENTY, is
 * not used. */
struct scarcity_edge {
	uint32_t up[BAND_MAX_], down[BAND_MAX_];
};

struct scarcity_params {
	struct scarcity_edge load; /* permille of capacity: max(reserved, forecast load) */
	struct scarcity_edge
		shortest;           /* the same on the lowest-latency path, for its latency axis */
	struct scarcity_edge delay; /* permille of the path's own delay: forecast or measured */
	struct scarcity_edge loss;  /* ppm, for the availability axis */
	uint16_t surge_pct[AXIS_MAX_ * BAND_MAX_]; /* [axis * BAND_MAX_ + band] */
};

struct scarcity_in {
	struct scarcity_params p;
	uint8_t n_paths;
	struct path_view path[PATHS_MAX]; /* band[] = the previous bands */
};

struct scarcity_path {
	uint8_t path;
	uint8_t band[AXIS_MAX_]; /* enum band */
	uint16_t surge_pct[AXIS_MAX_];
};

struct scarcity_out {
	uint8_t n_paths;
	struct scarcity_path path[PATHS_MAX]; /* same order as the input */
	why_t why;                            /* the scarcest (path, axis) */
};

/* Sensible defaults: modest from 600, steep from 800, withdrawn from 950 permille. */
void scarcity_defaults(struct scarcity_params *p);
void scarcity_decide(const struct scarcity_in *in, struct scarcity_out *out);
/* 0 for an unknown axis or band. */
uint16_t scarcity_surge(const struct scarcity_params *p, enum axis a, enum band b);

extern const struct field_table scarcity_params_fields, scarcity_in_fields, scarcity_out_fields;

#endif
