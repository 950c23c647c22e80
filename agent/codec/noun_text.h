/* SPDX-License-Identifier: Apache-2.0 */
/* noun_text.h - a described struct as canonical JSON (RFC 8785) without a tree in between: the
 * bytes of canon_text(noun_encode()), for what is written much more often than it is read. */
#ifndef TREATY_CODEC_NOUN_TEXT_H
#define TREATY_CODEC_NOUN_TEXT_H

#include <string.h>

#include "treaty/err.h"
#include "treaty/field.h"

/* Grows up to max bytes; after the first failure (err: -ENOMEM, -EMSGSIZE, -EINVAL for a string
 * that is not UTF-8) everything put is passed over. The owner frees p. */
struct noun_text {
	char *p;
	size_t len, cap, max;
	int err;
};

/* noun_text_add() where it does not fit, or fails. */
void noun_text_more(struct noun_text *o, const char *s, size_t n);
/* Whether n bytes and a NUL fit as it stands. */
static inline bool noun_text_room(const struct noun_text *o, size_t n)
{
	return !o->err && n < o->cap - o->len;
}
/* As it is. */
static inline void noun_text_add(struct noun_text *o, const char *s, size_t n)
{
	if (!noun_text_room(o, n)) {
		noun_text_more(o, s, n);
		return;
	}
	memcpy(o->p + o->len, s, n);
	o->len += n;
	o->p[o->len] = '\0';
}
static inline void noun_text_put(struct noun_text *o, const char *s)
{
	noun_text_add(o, s, strlen(s));
}
void noun_text_string(struct noun_text *o, const char *s);
void noun_text_int(struct noun_text *o, int64_t v);
void noun_text_hex(struct noun_text *o, const uint8_t *p, size_t n);
/* One member's value, and what it is written as; NOTHING: an empty text or zeros only. */
enum noun_form { NOUN_NOTHING, NOUN_STRING, NOUN_INTEGER, NOUN_BOOLEAN };
void noun_text_field(struct noun_text *o, const struct field *f, const void *obj);
enum noun_form noun_text_form(const struct field *f, const void *obj);
/* The whole object. */
void noun_text(struct noun_text *o, const struct field_table *t, const void *obj);

#endif
