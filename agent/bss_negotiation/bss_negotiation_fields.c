/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions described as data for the log. */
#include "bss_negotiation_core.h"

#define T struct bss_params
static const struct field bss_params_f[] = {
	F_VEC(T, surge_pct, 2), F_UINT(T, guard),  F_UINT(T, load_limit), F_UINT(T, load_clear),
	F_UINT(T, unprotected), F_UINT(T, be_pct), F_UINT(T, step_pct),   F_INT(T, ttl_ms),
};
FIELD_TABLE(bss_params_fields, struct bss_params, bss_params_f);
#undef T

#define T struct bss_own
static const struct field bss_own_f[] = {
	F_UINT(T, path),
	F_UINT(T, rate),
};
static FIELD_TABLE(bss_own_fields, struct bss_own, bss_own_f);
#undef T

#define T struct bss_menu_in
static const struct field bss_menu_in_f[] = {
	F_OBJ(T, p, bss_params_fields),
	F_OBJ(T, profile, class_profile_fields),
	F_OBJ(T, want, grades_fields),
	F_OBJ(T, own, bss_own_fields),
	F_BOOL(T, ceiling),
	F_UINT(T, room),
	F_INT(T, now),
	F_ARR(T, path, path_view_fields, n_paths),
};
FIELD_TABLE(bss_menu_in_fields, struct bss_menu_in, bss_menu_in_f);
#undef T

#define T struct bss_menu_out
static const struct field bss_menu_out_f[] = {
	F_UINT(T, refusal),
	F_INT(T, valid_until),
	F_ARR(T, item, quote_item_fields, n_items),
	F_ARR(T, refused, refused_fields, n_refused),
	F_STR(T, why),
};
FIELD_TABLE(bss_menu_out_fields, struct bss_menu_out, bss_menu_out_f);
#undef T

#define T struct bss_counter_in
static const struct field bss_counter_in_f[] = {
	F_INT(T, quoted), F_INT(T, floor),    F_INT(T, last),       F_INT(T, offered),
	F_UINT(T, round), F_BOOL(T, expired), F_BOOL(T, withdrawn),
};
FIELD_TABLE(bss_counter_in_fields, struct bss_counter_in, bss_counter_in_f);
#undef T

#define T struct bss_counter_out
static const struct field bss_counter_out_f[] = {
	F_UINT(T, verdict),
	F_INT(T, margin),
	F_UINT(T, refusal),
	F_STR(T, why),
};
FIELD_TABLE(bss_counter_out_fields, struct bss_counter_out, bss_counter_out_f);
#undef T

#define T struct bss_terms
static const struct field bss_terms_f[] = {
	F_OBJ(T, g, grades_fields),
	F_INT(T, scarcity),
	F_INT(T, margin),
	F_UINT(T, path),
	F_UINT(T, type),
};
FIELD_TABLE(bss_terms_fields, struct bss_terms, bss_terms_f);
#undef T

#define T struct bss_strategy_in
static const struct field bss_strategy_in_f[] = {
	F_OBJ(T, p, bss_params_fields),
	F_OBJ(T, profile, class_profile_fields),
	F_UINT(T, trigger),
	F_UINT(T, life),
	F_OBJ(T, live, bss_terms_fields),
	F_OBJ(T, origin, bss_terms_fields),
	F_INT(T, now),
	F_ARR(T, path, path_view_fields, n_paths),
};
FIELD_TABLE(bss_strategy_in_fields, struct bss_strategy_in, bss_strategy_in_f);
#undef T

#define T struct bss_strategy_out
static const struct field bss_strategy_out_f[] = {
	F_BOOL(T, offer),
	F_UINT(T, reason),
	F_UINT(T, event),
	F_UINT(T, refusal),
	F_INT(T, valid_until),
	F_ARR(T, item, quote_item_fields, n_items),
	F_ARR(T, refused, refused_fields, n_refused),
	F_STR(T, why),
};
FIELD_TABLE(bss_strategy_out_fields, struct bss_strategy_out, bss_strategy_out_f);
#undef T
