/* SPDX-License-Identifier: Apache-2.0 */
/* field.h - a struct described as data, so that one walker turns any noun or decision input into
 * log JSON and back (agent/codec/noun.c). Names are the member names. */
#ifndef TREATY_FIELD_H
#define TREATY_FIELD_H

#include "base.h"

enum field_kind {
	FIELD_STR,  /* char array, NUL padded */
	FIELD_UINT, /* unsigned of the member's size, also an enum and a wrapped unit */
	FIELD_INT,  /* signed of the member's size */
	FIELD_BOOL,
	FIELD_BYTES, /* fixed byte array, hex on the wire */
	FIELD_OBJ,   /* nested struct */
	FIELD_ARR,   /* array of structs, its count is the integer member at count_off */
	FIELD_VEC,   /* fixed-length array of integers of `elem` bytes each */
};

struct field_table;

struct field {
	const char *name;
	uint32_t off, size;
	enum field_kind kind;
	const struct field_table *sub;  /* OBJ, ARR */
	uint32_t count_off, count_size; /* ARR */
	uint32_t elem;                  /* VEC: bytes per element; unsigned */
};

struct field_table {
	const char *name;
	size_t size;
	const struct field *field;
	size_t n;
	bool sparse; /* in the log: what is zero is not written, and what is absent is zero */
};

#define FIELD_AT_(t, m) .name = #m, .off = offsetof(t, m), .size = sizeof(((t *)0)->m)
#define F_STR(t, m)                                \
	{                                          \
		FIELD_AT_(t, m), .kind = FIELD_STR \
	}
#define F_UINT(t, m)                                \
	{                                           \
		FIELD_AT_(t, m), .kind = FIELD_UINT \
	}
#define F_INT(t, m)                                \
	{                                          \
		FIELD_AT_(t, m), .kind = FIELD_INT \
	}
#define F_BOOL(t, m)                                \
	{                                           \
		FIELD_AT_(t, m), .kind = FIELD_BOOL \
	}
#define F_BYTES(t, m)                                \
	{                                            \
		FIELD_AT_(t, m), .kind = FIELD_BYTES \
	}
#define F_OBJ(t, m, s)                                          \
	{                                                       \
		FIELD_AT_(t, m), .kind = FIELD_OBJ, .sub = &(s) \
	}
#define F_ARR(t, m, s, c)                                                                     \
	{                                                                                     \
		FIELD_AT_(t, m), .kind = FIELD_ARR, .sub = &(s), .count_off = offsetof(t, c), \
				 .count_size = sizeof(((t *)0)->c)                            \
	}
#define F_VEC(t, m, e)                                          \
	{                                                       \
		FIELD_AT_(t, m), .kind = FIELD_VEC, .elem = (e) \
	}
#define FIELD_TABLE(var, t, fields) \
	const struct field_table var = { #t, sizeof(t), fields, ARRAY_LEN(fields), false }
#define FIELD_TABLE_SPARSE(var, t, fields) \
	const struct field_table var = { #t, sizeof(t), fields, ARRAY_LEN(fields), true }

/* Tables of the nouns (agent/state/fields.c). */
extern const struct field_table grades_fields, intent_fields, class_profile_fields,
	quote_item_fields, quote_fields, agreement_fields, order_fields, flow_rule_fields,
	step_fields, plan_step_fields, plan_fields, step_receipt_fields, observation_fields,
	path_view_fields, path_sample_fields, label_sample_fields, class_sample_fields, hop_fields,
	path_def_fields, mark_sample_fields, mark_clock_fields, table_use_fields;

#endif
