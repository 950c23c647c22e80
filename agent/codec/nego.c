/* SPDX-License-Identifier: Apache-2.0 */
#include "nego.h"

#include "agent/codec/noun.h"

#include <errno.h>

#define T struct nego_challenge
static const struct field nego_challenge_f[] = {
	F_STR(T, challenge),
	F_INT(T, expires),
};
FIELD_TABLE(nego_challenge_fields, struct nego_challenge, nego_challenge_f);
#undef T

#define T struct nego_problem
static const struct field nego_problem_f[] = {
	F_STR(T, type), F_STR(T, deal), F_UINT(T, status), F_STR(T, title), F_STR(T, detail),
};
FIELD_TABLE(nego_problem_fields, struct nego_problem, nego_problem_f);
#undef T

#define T struct nego_envelope
static const struct field nego_envelope_f[] = {
	F_STR(T, negotiationId), F_UINT(T, round),           F_STR(T, role),
	F_STR(T, status),        F_BYTES(T, previousDigest),
};
FIELD_TABLE(nego_envelope_fields, struct nego_envelope, nego_envelope_f);
#undef T

json_t *nego_part(const char *type, const struct field_table *t, const void *obj)
{
	json_t *js = t ? noun_encode(t, obj) : json_object();

	if (js && json_object_set_new(js, "@type", json_string(type))) {
		json_decref(js);
		return NULL;
	}
	return js;
}

const char *nego_type(const json_t *part)
{
	const char *s = json_string_value(json_object_get(part, "@type"));

	return s ? s : "";
}

int nego_read(const json_t *part, const char *type, const struct field_table *t, void *ret,
	      struct err *e)
{
	json_t *copy;
	int r;

	if (strcmp(nego_type(part), type) != 0)
		return err_set(e, -EINVAL, "@type: %s required", type);
	if (!t && json_object_size(part) != 1)
		return err_set(e, -EINVAL, "%s: unknown member", type);
	copy = json_copy((json_t *)(uintptr_t)part);
	if (!copy)
		return err_set(e, -ENOMEM, "%s", type);
	(void)json_object_del(copy, "@type");
	r = t ? noun_decode(t, copy, ret, e) : 0;
	json_decref(copy);
	return r;
}

json_t *nego_problem(enum refusal r, const ident_t *deal, const char *detail)
{
	struct nego_problem p = { .status = (uint32_t)refusal_http(r) };

	str_cut(p.type.s, refusal_name(r));
	str_cut(p.title.s, refusal_text(r));
	str_cut(p.detail.s, detail);
	if (deal)
		p.deal = *deal;
	return nego_part(NEGO_PROBLEM, &nego_problem_fields, &p);
}
