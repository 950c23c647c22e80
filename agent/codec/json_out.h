/* SPDX-License-Identifier: Apache-2.0 */
/* json_out.h - JSON written straight into one text, without a tree: what an answer's frame is made
 * of. A write that finds no memory or no value is remembered and shows at json_out_take(). */
#ifndef TREATY_CODEC_JSON_OUT_H
#define TREATY_CODEC_JSON_OUT_H

#include <jansson.h>
#include <string.h>

#include "treaty/base.h"

struct json_out {
	char *p;
	size_t n, cap;
	bool failed;
};

/* json_out_add() where it does not fit. */
void json_out_more(struct json_out *o, const char *s, size_t n);
/* As it stands: punctuation, names of members, or a value that is text already. */
static inline void json_out_add(struct json_out *o, const char *s, size_t n)
{
	if (o->n + n >= o->cap) {
		json_out_more(o, s, n);
		return;
	}
	memcpy(o->p + o->n, s, n);
	o->n += n;
}
#define json_out_lit(o, s) json_out_add(o, "" s, sizeof(s) - 1)
static inline void json_out_text(struct json_out *o, const char *s)
{
	json_out_add(o, s, strlen(s));
}
/* A string, quoted; it fails when it is not UTF-8. */
void json_out_str(struct json_out *o, const char *s, size_t n);
/* Like json_text_new(). */
void json_out_value(struct json_out *o, const json_t *v);
/* Digits of i, without a NUL; returns how many. */
enum { JSON_INT_MAX = 20 };
static inline int json_int_text(json_int_t i, char out[JSON_INT_MAX])
{
	char back[JSON_INT_MAX];
	uint64_t left = i < 0 ? -(uint64_t)i : (uint64_t)i;
	int n = 0, len = 0;

	do {
		back[n++] = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (i < 0)
		out[len++] = '-';
	while (n)
		out[len++] = back[--n];
	return len;
}
/* The text with a NUL behind it, to be freed; NULL when something failed. *len may be NULL. Leaves
 * *o empty. */
char *json_out_take(struct json_out *o, size_t *len);

#endif
