/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions described as data for the log. */
#include "oss_planning_core.h"

#define T struct oss_plan_in
static const struct field oss_plan_in_f[] = {
	F_STR(T, plan),
	F_OBJ(T, order, order_fields),
	F_OBJ(T, path, path_def_fields),
	F_OBJ(T, old_path, path_def_fields),
	F_UINT(T, minor),
	F_UINT(T, old_minor),
	F_UINT(T, prio),
	F_UINT(T, ceil_pct),
	F_UINT(T, police_pct),
	F_UINT(T, burst_ms),
	F_INT(T, overlap_ms),
	F_UINT(T, ceiling),
	F_UINT(T, ceiling_rate),
	F_BOOL(T, ceiling_last),
	F_UINT(T, src_family),
	F_UINT(T, src_up_len),
	F_UINT(T, src_down_len),
	F_BYTES(T, src_up),
	F_BYTES(T, src_down),
	F_BOOL(T, no_v4),
	F_ARR(T, rule, flow_rule_fields, n_rules),
};
FIELD_TABLE(oss_plan_in_fields, struct oss_plan_in, oss_plan_in_f);
#undef T

#define T struct oss_plan_out
static const struct field oss_plan_out_f[] = {
	F_UINT(T, refusal),
	F_OBJ(T, plan, plan_fields),
	F_STR(T, why),
};
FIELD_TABLE(oss_plan_out_fields, struct oss_plan_out, oss_plan_out_f);
#undef T

#define T struct oss_device
static const struct field oss_device_f[] = {
	F_STR(T, node),
	F_STR(T, device),
	F_UINT(T, capacity),
	F_UINT(T, reserved),
};
static FIELD_TABLE(oss_device_fields, struct oss_device, oss_device_f);
#undef T

#define T struct oss_check_in
static const struct field oss_check_in_f[] = {
	F_OBJ(T, plan_in, oss_plan_in_fields),
	F_OBJ(T, plan, plan_fields),
	F_UINT(T, limit),
	F_ARR(T, device, oss_device_fields, n_devices),
};
FIELD_TABLE(oss_check_in_fields, struct oss_check_in, oss_check_in_f);
#undef T

#define T struct oss_check_out
static const struct field oss_check_out_f[] = {
	F_UINT(T, refusal),
	F_UINT(T, at),
	F_STR(T, why),
};
FIELD_TABLE(oss_check_out_fields, struct oss_check_out, oss_check_out_f);
#undef T
