/* SPDX-License-Identifier: Apache-2.0 */
/* The decision described as data for the log. */
#include "oss_negotiation_core.h"

#define T struct oss_negotiation_in
static const struct field oss_negotiation_in_f[] = {
	F_OBJ(T, order, order_fields),
	F_BOOL(T, known),
	F_OBJ(T, agreement, agreement_fields),
	F_UINT(T, applied_rev),
	F_OBJ(T, applied, order_fields),
	F_BOOL(T, swap),
	F_BOOL(T, busy),
	F_UINT(T, label_lo),
	F_UINT(T, label_hi),
	F_BOOL(T, label_taken),
	F_BOOL(T, path_known),
	F_OBJ(T, view, path_view_fields),
	F_BOOL(T, v4),
	F_BOOL(T, ceiling),
	F_UINT(T, room),
	F_UINT(T, load_limit),
	F_INT(T, now),
};
FIELD_TABLE(oss_negotiation_in_fields, struct oss_negotiation_in, oss_negotiation_in_f);
#undef T

#define T struct oss_negotiation_out
static const struct field oss_negotiation_out_f[] = {
	F_UINT(T, refusal),
	F_STR(T, why),
};
FIELD_TABLE(oss_negotiation_out_fields, struct oss_negotiation_out, oss_negotiation_out_f);
#undef T
