/* SPDX-License-Identifier: Apache-2.0 */
/* A value's fingerprint: every part with its kind and its length before it, members in the order of
 * their names, under a key. No text is made of it, so nothing is escaped and no number spelt. */
#include <errno.h>
#include <math.h>

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/codec/json_out.h"
#include "agent/crypto/crypto.h"

enum { FEW = 16 }; /* members */

struct field {
	const char *key;
	const json_t *v;
};

static void put_value(struct json_out *o, const json_t *v, unsigned depth);

/* A kind and a count or number. */
static void put_head(struct json_out *o, char kind, uint64_t n)
{
	char t[1 + sizeof(n)] = { kind };

	memcpy(t + 1, &n, sizeof(n));
	json_out_add(o, t, sizeof(t));
}

static void put_bytes(struct json_out *o, const char *s, size_t n)
{
	put_head(o, 's', n);
	json_out_add(o, s, n);
}

static int field_cmp(const void *a, const void *b)
{
	const struct field *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* jansson's iterators take a mutable object and change nothing. */
static void put_object(struct json_out *o, const json_t *v, unsigned depth)
{
	json_t *m = (json_t *)(uintptr_t)v;
	size_t n = 0, size = json_object_size(m);
	struct field few[FEW], *f = few;
	auto_free struct field *many = size > FEW ? calloc(size, sizeof(*many)) : NULL;

	if (size > FEW)
		f = many;
	if (!f) {
		o->failed = true;
		return;
	}
	for (void *it = json_object_iter(m); it; it = json_object_iter_next(m, it)) {
		struct field one = { json_object_iter_key(it), json_object_iter_value(it) };
		size_t i = n++;

		for (; size <= FEW && i && field_cmp(&one, &f[i - 1]) < 0; i--)
			f[i] = f[i - 1];
		f[i] = one;
	}
	if (size > FEW)
		qsort(f, n, sizeof(*f), field_cmp);
	put_head(o, '{', n);
	for (size_t i = 0; i < n; i++) {
		put_bytes(o, f[i].key, strlen(f[i].key));
		put_value(o, f[i].v, depth + 1);
	}
}

static void put_array(struct json_out *o, const json_t *v, unsigned depth)
{
	size_t n = json_array_size(v);

	put_head(o, '[', n);
	for (size_t i = 0; i < n; i++)
		put_value(o, json_array_get(v, i), depth + 1);
}

/* A real that is an integer is the same number, however it was written. */
static void put_real(struct json_out *o, double v)
{
	uint64_t bits;

	if (!isfinite(v)) {
		o->failed = true;
	} else if (fabs(v) < 9007199254740992.0 && v == (double)(int64_t)v) {
		put_head(o, 'i', (uint64_t)(int64_t)v);
	} else {
		memcpy(&bits, &v, sizeof(bits));
		put_head(o, 'r', bits);
	}
}

static void put_value(struct json_out *o, const json_t *v, unsigned depth)
{
	if (!v || (depth > CANON_DEPTH_MAX && (json_is_object(v) || json_is_array(v)))) {
		o->failed = true;
		return;
	}
	switch (json_typeof(v)) {
	case JSON_OBJECT: put_object(o, v, depth); break;
	case JSON_ARRAY: put_array(o, v, depth); break;
	case JSON_STRING: put_bytes(o, json_string_value(v), json_string_length(v)); break;
	case JSON_INTEGER: put_head(o, 'i', (uint64_t)json_integer_value(v)); break;
	case JSON_REAL: put_real(o, json_real_value(v)); break;
	default: json_out_add(o, &"ntf"[json_is_true(v) + 2 * json_is_false(v)], 1); break;
	}
}

int json_fingerprint(const json_t *v, const uint8_t key[16], uint8_t out[JSON_PRINT_LEN])
{
	struct json_out o = { 0 };
	auto_free char *text = NULL;
	size_t len = 0;

	put_value(&o, v, 1);
	text = json_out_take(&o, &len);
	if (!text)
		return -EINVAL;
	hash_keyed(key, text, len, out);
	return 0;
}
