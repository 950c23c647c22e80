/* SPDX-License-Identifier: Apache-2.0 */
/* The decision described as data for the log. */
#include "oss_assurance_core.h"

#define T struct oss_assurance_params
static const struct field oss_assurance_params_f[] = {
	F_UINT(T, predict),     F_UINT(T, breach),    F_UINT(T, recover),
	F_UINT(T, cool),        F_UINT(T, load_risk), F_UINT(T, load_clear),
	F_UINT(T, delay_clear), F_UINT(T, rate_keep), F_UINT(T, loss_max_ppm),
	F_INT(T, stale_us),
};
static FIELD_TABLE(oss_assurance_params_fields, struct oss_assurance_params,
		   oss_assurance_params_f);
#undef T

#define T struct oss_assurance_meter
static const struct field oss_assurance_meter_f[] = {
	F_BOOL(T, known), F_INT(T, at), F_UINT(T, offered), F_UINT(T, delivered), F_UINT(T, drops),
};
static FIELD_TABLE(oss_assurance_meter_fields, struct oss_assurance_meter, oss_assurance_meter_f);
#undef T

#define T struct oss_assurance_state
static const struct field oss_assurance_state_f[] = {
	F_UINT(T, risk), F_UINT(T, breach), F_UINT(T, clear), F_UINT(T, cool), F_BOOL(T, flagged),
};
static FIELD_TABLE(oss_assurance_state_fields, struct oss_assurance_state, oss_assurance_state_f);
#undef T

#define T struct oss_assurance_in
static const struct field oss_assurance_in_f[] = {
	F_OBJ(T, p, oss_assurance_params_fields),
	F_OBJ(T, s, oss_assurance_state_fields),
	F_UINT(T, life),
	F_INT(T, now),
	F_OBJ(T, g, grades_fields),
	F_UINT(T, contracted),
	F_OBJ(T, meter, oss_assurance_meter_fields),
	F_INT(T, view_at),
	F_OBJ(T, view, path_view_fields),
	F_BOOL(T, away),
	F_OBJ(T, origin_g, grades_fields),
	F_INT(T, origin_at),
	F_OBJ(T, origin, path_view_fields),
};
FIELD_TABLE(oss_assurance_in_fields, struct oss_assurance_in, oss_assurance_in_f);
#undef T

#define T struct oss_assurance_out
static const struct field oss_assurance_out_f[] = {
	F_UINT(T, event),
	F_UINT(T, cause),
	F_OBJ(T, s, oss_assurance_state_fields),
	F_STR(T, why),
};
FIELD_TABLE(oss_assurance_out_fields, struct oss_assurance_out, oss_assurance_out_f);
#undef T
