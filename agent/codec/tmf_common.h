/* SPDX-License-Identifier: Apache-2.0 */
/* tmf_common.h - what the five TM Forum bodies share: characteristics made from field tables,
 * references, parties. TMF v5 conventions: "@type" everywhere, typed values. */
#ifndef TREATY_CODEC_TMF_COMMON_H
#define TREATY_CODEC_TMF_COMMON_H

#include "agent/codec/json.h"
#include "agent/codec/noun_text.h"
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

json_t *tmf_period(wall_t start, wall_t end);

/* Bodies whose digest counts are written as canonical text at once (noun_text.h), so their members
 * stand in the order of their names. `before` is put as it is, s as a string behind it. */
void tmf_put(struct noun_text *o, const char *before, const char *s);
void ch_text(struct noun_text *o, const struct field *f, size_t n, const void *obj);
/* {"@type": type, "id": id, "name": name}; type is put as it is. */
void tmf_ref(struct noun_text *o, const char *type, const char *id, const char *name);
/* relatedParty element; v5 spells the wrapper differently in 921/651/638 and 648/622. */
void tmf_party(struct noun_text *o, const char *wrapper, const char *role, const name_t *who);
void tmf_period_text(struct noun_text *o, wall_t start, wall_t end);
/* ,"salt":salt unless it is NULL. */
void tmf_put_salt(struct noun_text *o, const char *salt);
/* Takes o's text: *ret, *len, or the error that the writing met. */
int tmf_text(struct noun_text *o, char **ret, size_t *len, struct err *e) must_check;
/* The tree of o's text, which it frees. */
int tmf_tree(struct noun_text *o, json_t **ret, struct err *e) must_check;
#define TMF_TEXT ((struct noun_text){ .max = TMF_TEXT_MAX })
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
