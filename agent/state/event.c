/* SPDX-License-Identifier: Apache-2.0 */
/* events.def as tables: names, payload tables, fields of the payloads. */
#include "treaty/event.h"

#define T struct ev_ref
static const struct field ev_ref_f[] = {
	F_STR(T, deal),
	F_STR(T, about),
	F_UINT(T, rev),
	F_STR(T, why),
};
FIELD_TABLE(ev_ref_fields, struct ev_ref, ev_ref_f);
#undef T

#define T struct ev_refused
static const struct field ev_refused_f[] = {
	F_STR(T, deal),
	F_STR(T, tool),
	F_UINT(T, refusal),
	F_STR(T, why),
};
FIELD_TABLE(ev_refused_fields, struct ev_refused, ev_refused_f);
#undef T

#define T struct ev_admit
static const struct field ev_admit_f[] = {
	F_OBJ(T, intent, intent_fields),
	F_STR(T, peer),
	F_STR(T, issuer),
	F_STR(T, wallet),
	F_UINT(T, generation),
	F_BYTES(T, credential),
	F_INT(T, ceiling),
	F_INT(T, class_ceiling),
	F_INT(T, per_agreement_max),
	F_STR(T, currency),
	F_INT(T, expires),
};
FIELD_TABLE(ev_admit_fields, struct ev_admit, ev_admit_f);
#undef T

#define T struct ev_accept
static const struct field ev_accept_f[] = {
	F_STR(T, deal),
	F_STR(T, quote),
	F_UINT(T, version),
	F_UINT(T, item),
	F_BYTES(T, quote_digest),
	F_INT(T, margin),
	F_INT(T, price),
	F_STR(T, hold),
	F_STR(T, wallet),
	F_INT(T, held),
	F_INT(T, amount),
	F_INT(T, start),
	F_INT(T, end),
	F_STR(T, why),
};
FIELD_TABLE(ev_accept_fields, struct ev_accept, ev_accept_f);
#undef T

#define T struct ev_counter
static const struct field ev_counter_f[] = {
	F_STR(T, deal),   F_STR(T, quote),  F_UINT(T, item),
	F_INT(T, margin), F_UINT(T, round), F_STR(T, why),
};
FIELD_TABLE(ev_counter_fields, struct ev_counter, ev_counter_f);
#undef T

#define T struct ev_progress
static const struct field ev_progress_f[] = {
	F_STR(T, deal),    F_STR(T, plan),     F_UINT(T, upto),
	F_UINT(T, failed), F_UINT(T, refusal), F_STR(T, why),
};
FIELD_TABLE(ev_progress_fields, struct ev_progress, ev_progress_f);
#undef T

#define T struct spur_cut
static const struct field spur_cut_f[] = {
	F_STR(T, lineage),
	F_UINT(T, rate),
};
static FIELD_TABLE(spur_cut_fields, struct spur_cut, spur_cut_f);
#undef T

#define T struct ev_spur
static const struct field ev_spur_f[] = {
	F_ARR(T, flow, spur_cut_fields, n_flows),
	F_STR(T, why),
};
FIELD_TABLE(ev_spur_fields, struct ev_spur, ev_spur_f);
#undef T

#define T struct ev_advice
static const struct field ev_advice_f[] = {
	F_STR(T, deal), F_STR(T, adviser), F_UINT(T, choice), F_BOOL(T, heeded), F_STR(T, why),
};
FIELD_TABLE(ev_advice_fields, struct ev_advice, ev_advice_f);
#undef T

#define T struct ev_credit
static const struct field ev_credit_f[] = {
	F_STR(T, deal),   F_UINT(T, rev),     F_BYTES(T, agreement), F_BYTES(T, note),
	F_INT(T, amount), F_STR(T, currency), F_UINT(T, reason),     F_STR(T, why),
};
FIELD_TABLE(ev_credit_fields, struct ev_credit, ev_credit_f);
#undef T

#define T struct ev_approval
static const struct field ev_approval_f[] = {
	F_STR(T, deal),     F_STR(T, id),      F_STR(T, quote),
	F_UINT(T, version), F_UINT(T, item),   F_INT(T, amount),
	F_STR(T, currency), F_INT(T, expires), F_STR(T, why),
};
FIELD_TABLE(ev_approval_fields, struct ev_approval, ev_approval_f);
#undef T

#define T struct ev_key
static const struct field ev_key_f[] = {
	F_STR(T, owner), F_STR(T, role),      F_STR(T, id),    F_BYTES(T, key),
	F_STR(T, old),   F_BYTES(T, old_key), F_INT(T, until), F_STR(T, why),
};
FIELD_TABLE(ev_key_fields, struct ev_key, ev_key_f);
#undef T

#define T struct ev_act
static const struct field ev_act_f[] = {
	F_STR(T, id),   F_STR(T, act),     F_STR(T, about), F_BYTES(T, args),
	F_UINT(T, uid), F_INT(T, expires), F_STR(T, why),
};
FIELD_TABLE(ev_act_fields, struct ev_act, ev_act_f);
#undef T

#define T struct ev_commit
static const struct field ev_commit_f[] = { F_UINT(T, first), F_UINT(T, count), F_BYTES(T, root) };
FIELD_TABLE(ev_commit_fields, struct ev_commit, ev_commit_f);
#undef T

static const struct {
	const char *name;
	const struct field_table *table;
} rows[] = {
#define EVENT(name, type, table, help) [EV_##name] = { #name, &table },
#include "treaty/events.def"
#undef EVENT
};

const char *event_name(enum event_kind k)
{
	return k > EV_NONE_ && k < EV_MAX_ ? rows[k].name : "?";
}

const struct field_table *event_table(enum event_kind k)
{
	return k > EV_NONE_ && k < EV_MAX_ ? rows[k].table : NULL;
}

enum event_kind event_parse(const char *name)
{
	for (unsigned k = EV_NONE_ + 1; k < EV_MAX_; k++)
		if (!strcmp(rows[k].name, name))
			return (enum event_kind)k;
	return EV_MAX_;
}
