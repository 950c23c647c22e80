/* SPDX-License-Identifier: Apache-2.0 */
/* noun.h - any described struct (treaty/field.h) to JSON and back: the log's and the nodes' own
 * bodies. Strict both ways: a missing, unknown or out-of-range member is an error naming it. */
#ifndef TREATY_CODEC_NOUN_H
#define TREATY_CODEC_NOUN_H

#include "treaty/err.h"
#include "treaty/field.h"

#include <jansson.h>

/* A new object, or NULL on ENOMEM. Integers beyond 2^53-1 are written as decimal strings, which
 * JCS keeps exact (RFC 8785 section 3.2.2.3). */
json_t *noun_encode(const struct field_table *t, const void *obj);

/* One member's value. */
json_t *noun_field(const struct field *f, const void *obj);
/* Whether it is all zero, empty or false. */
bool noun_zero(const struct field *f, const void *obj);

/* 0 and *obj filled (all of it: bytes outside the fields are zero), or -EINVAL / -ERANGE with the
 * member's path in e and *obj untouched. */
int noun_decode(const struct field_table *t, const json_t *js, void *obj, struct err *e) must_check;

/* The same of what the log holds, which noun_text() or an older version's wrote: sparse tables may
 * lack members, which are zero. */
int noun_decode_log(const struct field_table *t, const json_t *js, void *obj,
		    struct err *e) must_check;

/* One member's value into an object in place: what noun_field() gave. table is its name in errors.
 * For callers that gather one struct from several places; the member may be half written on
 * failure. */
int noun_decode_field(const char *table, const struct field *f, const json_t *v, void *obj,
		      struct err *e) must_check;

/* JSON Schema 2020-12 of the struct (a new object), for MCP's tools/list. */
json_t *noun_schema(const struct field_table *t);

#endif
