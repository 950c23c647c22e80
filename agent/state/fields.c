/* SPDX-License-Identifier: Apache-2.0 */
/* The nouns described as data (include/treaty/field.h). Order = order in the log; a name is the
 * member's name, so that a reader of the log and a reader of the headers see the same words. */
#include "treaty/enforce.h"
#include "treaty/field.h"

#define T struct grades
static const struct field grades_f[] = {
	F_UINT(T, bandwidth),
	F_UINT(T, latency),
	F_UINT(T, availability),
};
FIELD_TABLE(grades_fields, struct grades, grades_f);
#undef T

#define T struct intent
static const struct field intent_f[] = {
	F_STR(T, id),         F_STR(T, negotiation), F_STR(T, lineage),
	F_STR(T, class_name), F_STR(T, flow),        F_OBJ(T, want, grades_fields),
	F_INT(T, term_ms),    F_INT(T, declared),    F_UINT(T, source),
};
FIELD_TABLE(intent_fields, struct intent, intent_f);
#undef T

#define T struct class_profile
static const struct field class_profile_f[] = {
	F_STR(T, name),        F_UINT(T, id),          F_OBJ(T, want, grades_fields),
	F_UINT(T, strategy),   F_INT(T, term_ms),      F_INT(T, value),
	F_INT(T, delay_value), F_UINT(T, floor),       F_BOOL(T, donor),
	F_BOOL(T, detect),     F_UINT(T, priority),    F_VEC(T, base, 8),
	F_INT(T, margin),      F_INT(T, margin_floor), F_BOOL(T, v4),
};
FIELD_TABLE(class_profile_fields, struct class_profile, class_profile_f);
#undef T

#define T struct quote_item
static const struct field quote_item_f[] = {
	F_UINT(T, no),
	F_UINT(T, path),
	F_UINT(T, type),
	F_BOOL(T, withdrawn),
	F_OBJ(T, g, grades_fields),
	F_INT(T, scarcity),
	F_INT(T, margin),
	F_VEC(T, surge_pct, 2),
};
FIELD_TABLE(quote_item_fields, struct quote_item, quote_item_f);
#undef T

#define T struct quote
static const struct field quote_f[] = {
	F_STR(T, id),          F_STR(T, negotiation), F_STR(T, intent),
	F_STR(T, lineage),     F_UINT(T, version),    F_UINT(T, rev),
	F_BOOL(T, refundable), F_UINT(T, reason),     F_STR(T, class_name),
	F_STR(T, flow),        F_STR(T, currency),    F_INT(T, made),
	F_INT(T, valid_until), F_INT(T, term_ms),     F_ARR(T, item, quote_item_fields, n_items),
	F_BYTES(T, digest),
};
FIELD_TABLE(quote_fields, struct quote, quote_f);
#undef T

#define T struct agreement
static const struct field agreement_f[] = {
	F_STR(T, lineage),
	F_UINT(T, rev),
	F_BYTES(T, digest),
	F_BYTES(T, prev),
	F_STR(T, negotiation),
	F_STR(T, intent),
	F_STR(T, quote),
	F_BYTES(T, quote_digest),
	F_UINT(T, item),
	F_STR(T, service),
	F_STR(T, hold),
	F_STR(T, wallet),
	F_STR(T, enterprise),
	F_STR(T, op),
	F_STR(T, class_name),
	F_STR(T, flow),
	F_UINT(T, label),
	F_UINT(T, path),
	F_UINT(T, type),
	F_UINT(T, reason),
	F_OBJ(T, g, grades_fields),
	F_INT(T, price),
	F_STR(T, currency),
	F_INT(T, start),
	F_INT(T, end),
	F_INT(T, amount),
	F_BOOL(T, refundable),
};
FIELD_TABLE(agreement_fields, struct agreement, agreement_f);
#undef T

#define T struct order
static const struct field order_f[] = {
	F_STR(T, id),
	F_STR(T, lineage),
	F_UINT(T, rev),
	F_BYTES(T, agreement_digest),
	F_UINT(T, action),
	F_STR(T, service),
	F_UINT(T, label),
	F_UINT(T, old_label),
	F_UINT(T, path),
	F_UINT(T, old_path),
	F_OBJ(T, g, grades_fields),
	F_OBJ(T, old_g, grades_fields),
	F_INT(T, end),
};
FIELD_TABLE(order_fields, struct order, order_f);
#undef T

#define T struct flow_rule
static const struct field flow_rule_f[] = {
	F_UINT(T, id),       F_UINT(T, prio),     F_UINT(T, family),   F_UINT(T, proto),
	F_BYTES(T, src),     F_BYTES(T, dst),     F_UINT(T, src_len),  F_UINT(T, dst_len),
	F_UINT(T, sport_lo), F_UINT(T, sport_hi), F_UINT(T, dport_lo), F_UINT(T, dport_hi),
	F_UINT(T, dscp),     F_UINT(T, class_id), F_UINT(T, label),    F_UINT(T, dir),
	F_UINT(T, label_in), F_UINT(T, cgroup),
};
FIELD_TABLE_SPARSE(flow_rule_fields, struct flow_rule, flow_rule_f);
#undef T

#define T struct step
static const struct field step_f[] = {
	F_UINT(T, kind),         F_UINT(T, label),      F_UINT(T, dir),
	F_UINT(T, path),         F_STR(T, device),      F_STR(T, in_up),
	F_STR(T, in_down),       F_UINT(T, minor),      F_UINT(T, rate),
	F_UINT(T, ceil),         F_UINT(T, burst_ms),   F_UINT(T, prio),
	F_UINT(T, dscp),         F_INT(T, valid_until), F_OBJ(T, rule, flow_rule_fields),
	F_INT(T, wait_ms),       F_UINT(T, customer),   F_UINT(T, excess),
	F_UINT(T, ceiling),      F_UINT(T, src_family), F_UINT(T, src_up_len),
	F_UINT(T, src_down_len), F_BYTES(T, src_up),    F_BYTES(T, src_down),
};
FIELD_TABLE_SPARSE(step_fields, struct step, step_f);
#undef T

#define T struct plan_step
static const struct field plan_step_f[] = {
	F_UINT(T, no),
	F_STR(T, node),
	F_BOOL(T, done),
	F_OBJ(T, step, step_fields),
};
FIELD_TABLE(plan_step_fields, struct plan_step, plan_step_f);
#undef T

#define T struct plan
static const struct field plan_f[] = {
	F_STR(T, id),
	F_STR(T, order),
	F_STR(T, lineage),
	F_UINT(T, rev),
	F_ARR(T, step, plan_step_fields, n_steps),
};
FIELD_TABLE(plan_fields, struct plan, plan_f);
#undef T

#define T struct step_receipt
static const struct field step_receipt_f[] = {
	F_STR(T, plan), F_UINT(T, no), F_UINT(T, refusal), F_STR(T, why), F_INT(T, took_us),
};
FIELD_TABLE(step_receipt_fields, struct step_receipt, step_receipt_f);
#undef T

#define T struct observed_class
static const struct field observed_class_f[] = {
	F_STR(T, device), F_UINT(T, minor), F_UINT(T, rate), F_UINT(T, ceil),
	F_UINT(T, dir),   F_STR(T, by),     F_STR(T, rule),  F_STR(T, refused),
};
static FIELD_TABLE(observed_class_fields, struct observed_class, observed_class_f);
#undef T

#define T struct observation
static const struct field observation_f[] = {
	F_UINT(T, label),        F_BOOL(T, label_present),
	F_VEC(T, rate, 8),       F_INT(T, valid_until),
	F_VEC(T, path, 1),       F_ARR(T, cls, observed_class_fields, n_classes),
	F_UINT(T, n_rules),      F_UINT(T, n_paths),
	F_VEC(T, excess, 8),     F_UINT(T, ceiling),
	F_UINT(T, ceiling_rate), F_STR(T, src_up),
	F_STR(T, src_down),
};
FIELD_TABLE(observation_fields, struct observation, observation_f);
#undef T

#define T struct table_use
static const struct field table_use_f[] = {
	F_UINT(T, table), F_STR(T, device), F_UINT(T, used), F_UINT(T, max), F_UINT(T, failed),
};
FIELD_TABLE(table_use_fields, struct table_use, table_use_f);
#undef T

#define T struct table_least
static const struct field table_least_f[] = {
	F_STR(T, node), F_UINT(T, table), F_UINT(T, used), F_UINT(T, max), F_UINT(T, room),
};
static FIELD_TABLE(table_least_fields, struct table_least, table_least_f);
#undef T

#define T struct path_view
static const struct field path_view_f[] = {
	F_UINT(T, path),     F_UINT(T, type),
	F_BOOL(T, alive),    F_BOOL(T, spare),
	F_UINT(T, base),     F_UINT(T, delay),
	F_UINT(T, forecast), F_UINT(T, loss_ppm),
	F_UINT(T, capacity), F_UINT(T, reserved),
	F_UINT(T, load),     F_UINT(T, load_forecast),
	F_VEC(T, band, 4),   F_OBJ(T, least, table_least_fields),
	F_STR(T, no_v4),
};
FIELD_TABLE(path_view_fields, struct path_view, path_view_f);
#undef T

#define T struct path_sample
static const struct field path_sample_f[] = {
	F_UINT(T, path),      F_BOOL(T, alive),  F_INT(T, at),        F_UINT(T, delay),
	F_UINT(T, delay_max), F_UINT(T, jitter), F_UINT(T, loss_ppm), F_UINT(T, load),
};
FIELD_TABLE(path_sample_fields, struct path_sample, path_sample_f);
#undef T

#define T struct label_count
static const struct field label_count_f[] = {
	F_UINT(T, rx_bytes),  F_UINT(T, rx_packets), F_UINT(T, tx_bytes),  F_UINT(T, tx_packets),
	F_UINT(T, drop_rate), F_UINT(T, expired),    F_UINT(T, violation), F_UINT(T, marked),
};
static FIELD_TABLE(label_count_fields, struct label_count, label_count_f);
#undef T

/* Two directions, written as an array of two: the count is the constant below. */
struct label_sample_wire {
	uint32_t label;
	mono_t at;
	struct label_count up, down;
	uint32_t rtt_us;
};
_Static_assert(sizeof(struct label_sample_wire) == sizeof(struct label_sample), "same layout");

#define T struct label_sample_wire
static const struct field label_sample_f[] = {
	F_UINT(T, label),
	F_INT(T, at),
	F_OBJ(T, up, label_count_fields),
	F_OBJ(T, down, label_count_fields),
	F_UINT(T, rtt_us),
};
FIELD_TABLE(label_sample_fields, struct label_sample_wire, label_sample_f);
#undef T

#define T struct mark_sample
static const struct field mark_sample_f[] = {
	F_UINT(T, label), F_UINT(T, dir),     F_UINT(T, block),  F_UINT(T, packets),
	F_UINT(T, bytes), F_INT(T, first_ns), F_INT(T, mean_ns),
};
FIELD_TABLE(mark_sample_fields, struct mark_sample, mark_sample_f);
#undef T

#define T struct mark_clock
static const struct field mark_clock_f[] = {
	F_UINT(T, host),         F_UINT(T, block_ms),     F_BOOL(T, synced),
	F_UINT(T, max_error_us), F_UINT(T, est_error_us),
};
FIELD_TABLE(mark_clock_fields, struct mark_clock, mark_clock_f);
#undef T

#define T struct class_sample
static const struct field class_sample_f[] = {
	F_UINT(T, class_id),
	F_INT(T, at),
	F_UINT(T, bytes),
	F_UINT(T, packets),
};
FIELD_TABLE(class_sample_fields, struct class_sample, class_sample_f);
#undef T

#define T struct hop
static const struct field hop_f[] = {
	F_STR(T, node),           F_STR(T, near),          F_STR(T, far),
	F_BOOL(T, customer_near), F_BOOL(T, customer_far), F_BOOL(T, steers),
};
FIELD_TABLE(hop_fields, struct hop, hop_f);
#undef T

#define T struct path_def
static const struct field path_def_f[] = {
	F_UINT(T, path),
	F_STR(T, name),
	F_UINT(T, type),
	F_UINT(T, base),
	F_UINT(T, capacity),
	F_UINT(T, spare),
	F_ARR(T, hop, hop_fields, n_hops),
};
FIELD_TABLE(path_def_fields, struct path_def, path_def_f);
#undef T
