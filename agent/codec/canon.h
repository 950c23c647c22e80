/* SPDX-License-Identifier: Apache-2.0 */
/* canon.h - RFC 8785 (JCS) over a jansson tree. Bytes are UTF-8 without a newline. The tree must
 * come from json_read() or from jansson's own constructors, so keys are unique and strings UTF-8.
 * All: 0, -ERANGE for an integer beyond 2^53-1, -EMSGSIZE above max or CANON_DEPTH_MAX levels,
 * -ENOMEM. */
#ifndef TREATY_CODEC_CANON_H
#define TREATY_CODEC_CANON_H

#include <jansson.h>

#include "treaty/err.h"

enum { CANON_DEPTH_MAX = 64, ES6_NUMBER_MAX = 32 };

typedef int (*canon_sink)(void *arg, const char *p, size_t n);

/* What a profile wants besides; 0 = no limit. */
struct canon_rules {
	bool integers_only; /* refuse every real, however whole: -EINVAL */
	unsigned depth;     /* objects and arrays inside each other: -EMSGSIZE */
	unsigned nodes;     /* values: -EMSGSIZE */
	bool *reals;        /* not NULL: set where a real is met */
};

/* Where a value of the tree stands in the text: text[start..end). */
struct canon_mark {
	const json_t *value; /* NULL: not asked */
	size_t start, end;
};

/* Streams; a negative result of the sink ends it and is returned. */
int canon_write(const json_t *v, canon_sink sink, void *arg, struct err *e) must_check;
/* *ret is NUL-terminated, freed by the caller; ret_len may be NULL. */
int canon_text(const json_t *v, size_t max, char **ret, size_t *ret_len, struct err *e) must_check;
/* The same under rules; fills the n marks whose value is met (borrowed pointers, an object or
 * array of this tree that is in it once). */
int canon_marked(const json_t *v, size_t max, const struct canon_rules *rules,
		 struct canon_mark *marks, size_t n, char **ret, size_t *ret_len,
		 struct err *e) must_check;
int canon_sha256(const json_t *v, uint8_t out[32], struct err *e) must_check;
/* The same of an object without its member `key`, at the top level only. */
int canon_sha256_without(const json_t *o, const char *key, uint8_t out[32],
			 struct err *e) must_check;
/* Number::toString of ECMAScript: length, or -EDOM for NaN and infinities. Needs LC_NUMERIC=C. */
int es6_number(double v, char out[ES6_NUMBER_MAX]);

#endif
