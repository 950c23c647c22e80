/* SPDX-License-Identifier: Apache-2.0 */
/* What decisions share, described as data for the log. */
#include "forecast_core.h"
#include "scarcity_core.h"
#include "treaty/advice.h"
#include "treaty/amount.h"

#define T struct advice
static const struct field advice_f[] = {
	F_UINT(T, kind),
	F_UINT(T, item),
	F_STR(T, text),
};
FIELD_TABLE(advice_fields, struct advice, advice_f);
#undef T

#define T struct refused
static const struct field refused_f[] = {
	F_UINT(T, no),
	F_UINT(T, refusal),
};
FIELD_TABLE(refused_fields, struct refused, refused_f);
#undef T

#define T struct lineage_cost
static const struct field lineage_cost_f[] = {
	F_INT(T, past), F_BOOL(T, live), F_INT(T, price), F_INT(T, start), F_INT(T, end),
};
FIELD_TABLE(lineage_cost_fields, struct lineage_cost, lineage_cost_f);
#undef T

#define T struct scarcity_edge
static const struct field scarcity_edge_f[] = {
	F_VEC(T, up, 4),
	F_VEC(T, down, 4),
};
static FIELD_TABLE(scarcity_edge_fields, struct scarcity_edge, scarcity_edge_f);
#undef T

#define T struct scarcity_params
static const struct field scarcity_params_f[] = {
	F_OBJ(T, load, scarcity_edge_fields),
	F_OBJ(T, shortest, scarcity_edge_fields),
	F_OBJ(T, delay, scarcity_edge_fields),
	F_OBJ(T, loss, scarcity_edge_fields),
	F_VEC(T, surge_pct, 2),
};
FIELD_TABLE(scarcity_params_fields, struct scarcity_params, scarcity_params_f);
#undef T

#define T struct scarcity_in
static const struct field scarcity_in_f[] = {
	F_OBJ(T, p, scarcity_params_fields),
	F_ARR(T, path, path_view_fields, n_paths),
};
FIELD_TABLE(scarcity_in_fields, struct scarcity_in, scarcity_in_f);
#undef T

#define T struct scarcity_path
static const struct field scarcity_path_f[] = {
	F_UINT(T, path),
	F_VEC(T, band, 1),
	F_VEC(T, surge_pct, 2),
};
static FIELD_TABLE(scarcity_path_fields, struct scarcity_path, scarcity_path_f);
#undef T

#define T struct scarcity_out
static const struct field scarcity_out_f[] = {
	F_ARR(T, path, scarcity_path_fields, n_paths),
	F_STR(T, why),
};
FIELD_TABLE(scarcity_out_fields, struct scarcity_out, scarcity_out_f);
#undef T

#define T struct forecast_params
static const struct field forecast_params_f[] = {
	F_UINT(T, alpha),   F_UINT(T, beta),      F_UINT(T, gamma), F_UINT(T, warm),
	F_UINT(T, gap_max), F_UINT(T, outlier),   F_UINT(T, shift), F_UINT(T, dead),
	F_UINT(T, upper),   F_INT(T, spread_min),
};
FIELD_TABLE(forecast_params_fields, struct forecast_params, forecast_params_f);
#undef T

#define T struct forecast_state
static const struct field forecast_state_f[] = {
	F_INT(T, level), F_INT(T, trend), F_INT(T, spread), F_UINT(T, n),
	F_INT(T, first), F_INT(T, last),  F_INT(T, run),
};
FIELD_TABLE(forecast_state_fields, struct forecast_state, forecast_state_f);
#undef T

#define T struct forecast_in
static const struct field forecast_in_f[] = {
	F_OBJ(T, p, forecast_params_fields),
	F_OBJ(T, s, forecast_state_fields),
	F_INT(T, sample),
	F_UINT(T, steps),
};
FIELD_TABLE(forecast_in_fields, struct forecast_in, forecast_in_f);
#undef T

#define T struct forecast_value
static const struct field forecast_value_f[] = {
	F_BOOL(T, known),
	F_INT(T, mean),
	F_INT(T, upper),
};
FIELD_TABLE(forecast_value_fields, struct forecast_value, forecast_value_f);
#undef T
