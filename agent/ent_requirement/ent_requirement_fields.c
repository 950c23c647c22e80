/* SPDX-License-Identifier: Apache-2.0 */
/* The decision described as data for the log. */
#include "ent_requirement_core.h"

#define T struct ent_requirement_params
static const struct field ent_requirement_params_f[] = {
	F_UINT(T, detect), F_UINT(T, up),       F_UINT(T, down),  F_UINT(T, idle), F_UINT(T, raise),
	F_UINT(T, lower),  F_UINT(T, headroom), F_UINT(T, grain), F_UINT(T, most),
};
static FIELD_TABLE(ent_requirement_params_fields, struct ent_requirement_params,
		   ent_requirement_params_f);
#undef T

#define T struct ent_requirement_state
static const struct field ent_requirement_state_f[] = {
	F_UINT(T, above),
	F_UINT(T, below),
	F_UINT(T, idle),
	F_UINT(T, peak),
};
static FIELD_TABLE(ent_requirement_state_fields, struct ent_requirement_state,
		   ent_requirement_state_f);
#undef T

#define T struct ent_requirement_in
static const struct field ent_requirement_in_f[] = {
	F_OBJ(T, p, ent_requirement_params_fields),
	F_OBJ(T, profile, class_profile_fields),
	F_OBJ(T, s, ent_requirement_state_fields),
	F_UINT(T, observed),
	F_BOOL(T, live),
	F_BOOL(T, detected),
	F_BOOL(T, busy),
	F_UINT(T, contracted),
};
FIELD_TABLE(ent_requirement_in_fields, struct ent_requirement_in, ent_requirement_in_f);
#undef T

#define T struct ent_requirement_out
static const struct field ent_requirement_out_f[] = {
	F_UINT(T, action),
	F_OBJ(T, want, grades_fields),
	F_OBJ(T, s, ent_requirement_state_fields),
	F_STR(T, why),
};
FIELD_TABLE(ent_requirement_out_fields, struct ent_requirement_out, ent_requirement_out_f);
#undef T
