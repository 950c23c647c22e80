/* SPDX-License-Identifier: Apache-2.0 */
/* tmf_common.h - what the five TM Forum bodies share: characteristics made from field tables,
 * references, parties. TMF v5 conventions: "@type" everywhere, typed values. */
#ifndef TREATY_CODEC_TMF_COMMON_H
#define TREATY_CODEC_TMF_COMMON_H

#include "agent/codec/json.h"
#include "treaty/field.h"
#include "tmf.h"

/* A field under the name that the body uses. */
#define CH_(n, t, m, k)                                                                  \
	{                                                                                \
		.name = n, .off = offsetof(t, m), .size = sizeof(((t *)0)->m), .kind = k \
	}
#define CH_STR(n, t, m)   CH_(n, t, m, FIELD_STR)
#define CH_UINT(n, t, m)  CH_(n, t, m, FIELD_UINT)
#define CH_INT(n, t, m)   CH_(n, t, m, FIELD_INT)
#define CH_BOOL(n, t, m)  CH_(n, t, m, FIELD_BOOL)
#define CH_BYTES(n, t, m) CH_(n, t, m, FIELD_BYTES)

/* characteristic[] of an object: one StringCharacteristic, IntegerCharacteristic or
 * BooleanCharacteristic a field; empty strings and zero digests are left out. */
json_t *ch_write(const struct field *f, size_t n, const void *obj);
/* Every element must be known and at most once; a missing one leaves its member zero unless it is
 * among the first `need` fields. */
int ch_read(const json_t *arr, const char *path, const struct field *f, size_t n, size_t need,
	    void *obj, struct err *e) must_check;

/* {"@type": type, "id": id, "name": name}. */
json_t *tmf_ref(const char *type, const char *id, const char *name);
/* relatedParty element; v5 spells the wrapper differently in 921/651/638 and 648/622. */
json_t *tmf_party(const char *wrapper, const char *role, const name_t *who);
json_t *tmf_period(wall_t start, wall_t end);
int tmf_read_period(const json_t *js, const char *path, wall_t *start, wall_t *end,
		    struct err *e) must_check;
/* A string that must equal `want`. */
int tmf_type(const json_t *js, const char *path, const char *want, struct err *e) must_check;
/* A positive decimal string such as version "2". */
int tmf_number(const json_t *js, const char *path, const char *key, uint32_t *ret,
	       struct err *e) must_check;
/* Whether a body that was read has the form that the writer gives what was read (like): every
 * member there and of its type, none besides, numbers, booleans and every string that is no free
 * text equal. Characteristics are ch_read()'s; at the top, members that like does not have are the
 * caller's to list, and must be texts. like NULL: -ENOMEM. */
int tmf_shape(const json_t *js, const json_t *like, struct err *e) must_check;
/* Consumes js: *ret = js, or -ENOMEM when it is NULL. */
int tmf_done(json_t *js, json_t **ret, struct err *e) must_check;

#endif
