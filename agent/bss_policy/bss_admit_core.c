/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement of bss_policy_core.c as data, so that the log can hold it and a reader repeat it.
 */
#include "agent/bss_policy/bss_policy_core.h"

#include "treaty/pure.h"

#define T struct wallet_facts
static const struct field wallet_facts_f[] = {
	F_BOOL(T, present),
	F_BOOL(T, size_ok),
	F_BOOL(T, parse_ok),
	F_BOOL(T, shape_ok),
	F_BOOL(T, domain_ok),
	F_BOOL(T, challenge_ok),
	F_BOOL(T, intent_bound),
	F_INT(T, created),
	F_BOOL(T, issuer_trusted),
	F_BOOL(T, holder_trusted),
	F_BOOL(T, vp_signature_ok),
	F_BOOL(T, challenge_consumed),
	F_BOOL(T, vc_signature_ok),
	F_STR(T, vp_holder),
	F_STR(T, peer),
	F_INT(T, proof_expires),
	F_BOOL(T, status_known),
	F_BOOL(T, revoked),
	F_BOOL(T, suspended),
	F_UINT(T, seen),
	F_INT(T, seen_generation),
	F_BOOL(T, same_digest),
	F_BOOL(T, equivocated),
	F_BOOL(T, key_missing),
	F_UINT(T, parent),
	F_UINT(T, parent_wrong),
};
FIELD_TABLE(wallet_facts_fields, struct wallet_facts, wallet_facts_f);
#undef T

#define T struct wallet_class
static const struct field wallet_class_f[] = {
	F_STR(T, name),           F_INT(T, ceiling),          F_UINT(T, floor_availability),
	F_UINT(T, floor_latency), F_UINT(T, floor_bandwidth), F_UINT(T, on_scarcity),
};
static FIELD_TABLE(wallet_class_fields, struct wallet_class, wallet_class_f);
#undef T

/* A row of wallet.operators. */
struct operator_did {
	char did[DID_MAX];
};

#define T struct operator_did
static const struct field operator_did_f[] = {
	F_STR(T, did),
};
static FIELD_TABLE(operator_did_fields, struct operator_did, operator_did_f);
#undef T

#define T struct wallet_status
static const struct field wallet_status_f[] = {
	F_UINT(T, purpose),
	F_STR(T, list),
	F_UINT(T, index),
};
static FIELD_TABLE(wallet_status_fields, struct wallet_status, wallet_status_f);
#undef T

#define T struct wallet
static const struct field wallet_f[] = {
	F_STR(T, id),
	F_STR(T, wallet_id),
	F_STR(T, supersedes),
	F_INT(T, generation),
	F_STR(T, issuer),
	F_STR(T, holder),
	F_ARR(T, operators, operator_did_fields, n_operators),
	F_ARR(T, classes, wallet_class_fields, n_classes),
	F_STR(T, currency),
	F_INT(T, ceiling),
	F_INT(T, agreement_max),
	F_INT(T, term_max_s),
	F_INT(T, human_above),
	F_INT(T, valid_from),
	F_INT(T, valid_until),
	F_INT(T, not_before),
	F_INT(T, not_after),
	F_STR(T, policy_id),
	F_BYTES(T, policy_digest),
	F_ARR(T, status, wallet_status_fields, n_status),
	F_UINT(T, sub_depth),
};
FIELD_TABLE(wallet_fields, struct wallet, wallet_f);
#undef T

#define T struct wallet_line
static const struct field wallet_line_f[] = {
	F_ARR(T, up, wallet_fields, n),
};
static FIELD_TABLE(wallet_line_fields, struct wallet_line, wallet_line_f);
#undef T

#define T struct wallet_ask
static const struct field wallet_ask_f[] = {
	F_STR(T, operator_did),  F_STR(T, class_name), F_STR(T, currency),
	F_INT(T, amount),        F_INT(T, term_s),     F_BOOL(T, grade_known),
	F_UINT(T, availability), F_UINT(T, latency),   F_UINT(T, bandwidth),
};
FIELD_TABLE(wallet_ask_fields, struct wallet_ask, wallet_ask_f);
#undef T

#define T struct admit_limits
static const struct field admit_limits_f[] = {
	F_INT(T, skew_ms),
	F_UINT(T, depth_max),
};
static FIELD_TABLE(admit_limits_fields, struct admit_limits, admit_limits_f);
#undef T

#define T struct bss_admit_in
static const struct field bss_admit_in_f[] = {
	F_OBJ(T, facts, wallet_facts_fields),
	F_OBJ(T, wallet, wallet_fields),
	F_OBJ(T, line, wallet_line_fields),
	F_OBJ(T, ask, wallet_ask_fields),
	F_INT(T, now),
	F_OBJ(T, limits, admit_limits_fields),
};
FIELD_TABLE(bss_admit_in_fields, struct bss_admit_in, bss_admit_in_f);
#undef T

#define T struct bss_admit_out
static const struct field bss_admit_out_f[] = {
	F_UINT(T, refusal),
	F_UINT(T, step),
	F_BOOL(T, freeze),
	F_STR(T, why),
};
FIELD_TABLE(bss_admit_out_fields, struct bss_admit_out, bss_admit_out_f);
#undef T

void bss_admit(const struct bss_admit_in *in, struct bss_admit_out *out)
{
	struct admit_why why = { .why = "" };

	memset(out, 0, sizeof(*out));
	out->refusal = wallet_admit_judge(&in->facts, &in->wallet, &in->line, &in->ask, in->now,
					  &in->limits, ADMIT_ALL, &why);
	out->step = why.step;
	out->freeze = why.freeze;
	str_cut(out->why.s, why.why);
}
