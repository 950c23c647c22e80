/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions described as data for the log. */
#include "ent_edge_core.h"
#include "ent_policy_core.h"
#include "ent_spur_core.h"

#define T struct wallet_limits
static const struct field wallet_limits_f[] = {
	F_BOOL(T, valid),
	F_INT(T, envelope_left),
	F_INT(T, class_left),
	F_INT(T, agreement_max),
	F_INT(T, term_max_ms),
	F_STR(T, currency),
	F_OBJ(T, floor, grades_fields),
};
FIELD_TABLE(wallet_limits_fields, struct wallet_limits, wallet_limits_f);
#undef T

#define T struct ent_policy_in
static const struct field ent_policy_in_f[] = {
	F_OBJ(T, quote, quote_fields),
	F_OBJ(T, profile, class_profile_fields),
	F_OBJ(T, want, grades_fields),
	F_OBJ(T, wallet, wallet_limits_fields),
	F_OBJ(T, cost, lineage_cost_fields),
	F_INT(T, captured),
	F_INT(T, origin_price),
	F_INT(T, now),
	F_UINT(T, round),
	F_BOOL(T, bargain),
	F_INT(T, last_margin),
};
FIELD_TABLE(ent_policy_in_fields, struct ent_policy_in, ent_policy_in_f);
#undef T

#define T struct ent_policy_out
static const struct field ent_policy_out_f[] = {
	F_UINT(T, verdict),
	F_UINT(T, item),
	F_INT(T, price),
	F_INT(T, margin),
	F_INT(T, start),
	F_INT(T, end),
	F_INT(T, amount),
	F_INT(T, hold),
	F_UINT(T, refusal),
	F_BOOL(T, advised),
	F_ARR(T, refused, refused_fields, n_refused),
	F_STR(T, why),
};
FIELD_TABLE(ent_policy_out_fields, struct ent_policy_out, ent_policy_out_f);
#undef T

#define T struct ent_advised_in
static const struct field ent_advised_in_f[] = {
	F_OBJ(T, in, ent_policy_in_fields),
	F_OBJ(T, advice, advice_fields),
};
FIELD_TABLE(ent_advised_in_fields, struct ent_advised_in, ent_advised_in_f);
#undef T

#define T struct spur_flow
static const struct field spur_flow_f[] = {
	F_UINT(T, label),      F_UINT(T, class_id), F_UINT(T, priority), F_BOOL(T, donor),
	F_UINT(T, contracted), F_UINT(T, floor),    F_UINT(T, demand),   F_UINT(T, rate),
};
static FIELD_TABLE(spur_flow_fields, struct spur_flow, spur_flow_f);
#undef T

#define T struct ent_spur_in
static const struct field ent_spur_in_f[] = {
	F_UINT(T, capacity), F_UINT(T, usable), F_UINT(T, restore),
	F_UINT(T, hold),     F_UINT(T, calm),   F_ARR(T, flow, spur_flow_fields, n_flows),
};
FIELD_TABLE(ent_spur_in_fields, struct ent_spur_in, ent_spur_in_f);
#undef T

#define T struct spur_rate
static const struct field spur_rate_f[] = {
	F_UINT(T, label),
	F_UINT(T, rate),
	F_BOOL(T, changed),
};
static FIELD_TABLE(spur_rate_fields, struct spur_rate, spur_rate_f);
#undef T

#define T struct ent_spur_out
static const struct field ent_spur_out_f[] = {
	F_BOOL(T, changed), F_UINT(T, refusal),
	F_UINT(T, calm),    F_ARR(T, flow, spur_rate_fields, n_flows),
	F_STR(T, why),
};
FIELD_TABLE(ent_spur_out_fields, struct ent_spur_out, ent_spur_out_f);
#undef T

#define T struct ent_edge_in
static const struct field ent_edge_in_f[] = {
	F_STR(T, plan),        F_STR(T, node),
	F_STR(T, lan),         F_STR(T, access),
	F_UINT(T, path),       F_OBJ(T, order, order_fields),
	F_UINT(T, local),      F_UINT(T, ceil),
	F_UINT(T, minor),      F_UINT(T, old_minor),
	F_UINT(T, prio),       F_UINT(T, dscp),
	F_UINT(T, police_pct), F_UINT(T, burst_ms),
	F_INT(T, drain_ms),    F_ARR(T, rule, flow_rule_fields, n_rules),
};
FIELD_TABLE(ent_edge_in_fields, struct ent_edge_in, ent_edge_in_f);
#undef T

#define T struct ent_edge_out
static const struct field ent_edge_out_f[] = {
	F_UINT(T, refusal),
	F_OBJ(T, plan, plan_fields),
	F_STR(T, why),
};
FIELD_TABLE(ent_edge_out_fields, struct ent_edge_out, ent_edge_out_f);
#undef T
