/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/codec/json_out.h"

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/codec/json_parse.h"
#include "agent/codec/plain.h"

#include <errno.h>
#include <math.h>

enum { FIRST = 480 }; /* bytes: most answers fit without growing twice */

static bool room(struct json_out *o, size_t n)
{
	size_t cap = o->cap ? o->cap : FIRST;
	char *p;

	if (o->n + n < o->cap)
		return !o->failed;
	while (cap <= o->n + n)
		cap *= 2;
	p = o->failed ? NULL : realloc(o->p, cap);
	if (!p) {
		o->failed = true;
		return false;
	}
	o->p = p;
	o->cap = cap;
	return true;
}

void json_out_more(struct json_out *o, const char *s, size_t n)
{
	if (!room(o, n))
		return;
	memcpy(o->p + o->n, s, n);
	o->n += n;
}

static void put(struct json_out *o, char c)
{
	json_out_add(o, &c, 1);
}

static void put_escape(struct json_out *o, unsigned char c)
{
	static const char name[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
				     ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\' };
	static const char hex[] = "0123456789abcdef";
	char t[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	if (c < sizeof(name) && name[c])
		t[1] = name[c];
	json_out_add(o, t, t[1] == 'u' ? 6 : 2);
}

void json_out_str(struct json_out *o, const char *s, size_t n)
{
	size_t from = 0, i = 0;

	if (!room(o, n + 2))
		return;
	put(o, '"');
	while (i < n && !o->failed) {
		unsigned char c;

		i += plain_run(s + i, n - i, true);
		if (i == n)
			break;
		c = (unsigned char)s[i];
		if (c >= 0x80) {
			size_t len = json_utf8(s + i, n - i);

			o->failed |= !len;
			i += len;
			continue;
		}
		json_out_add(o, s + from, i - from);
		put_escape(o, c);
		from = ++i;
	}
	json_out_add(o, s + from, n - from);
	put(o, '"');
}

static void put_value(struct json_out *o, const json_t *v, unsigned depth);

static void put_member(struct json_out *o, bool first, const char *key, const json_t *v,
		       unsigned depth)
{
	if (!first)
		put(o, ',');
	json_out_str(o, key, strlen(key));
	put(o, ':');
	put_value(o, v, depth + 1);
}

/* jansson's iterators take a mutable object and change nothing. */
static void put_object(struct json_out *o, const json_t *v, unsigned depth)
{
	json_t *m = (json_t *)(uintptr_t)v;
	bool first = true;

	put(o, '{');
	for (void *it = json_object_iter(m); it; it = json_object_iter_next(m, it)) {
		put_member(o, first, json_object_iter_key(it), json_object_iter_value(it), depth);
		first = false;
	}
	put(o, '}');
}

static void put_array(struct json_out *o, const json_t *v, unsigned depth)
{
	size_t n = json_array_size(v);

	put(o, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			put(o, ',');
		put_value(o, json_array_get(v, i), depth + 1);
	}
	put(o, ']');
}

static void put_number(struct json_out *o, const json_t *v)
{
	char t[ES6_NUMBER_MAX];
	int n = json_is_integer(v) ? json_int_text(json_integer_value(v), t)
				   : es6_number(json_real_value(v), t);

	if (n < 0) {
		o->failed = true;
		return;
	}
	json_out_add(o, t, (size_t)n);
	/* So many digits alone would be an integer, which has no digest and may be too large. */
	if (json_is_real(v) && fabs(json_real_value(v)) > 9007199254740991.0 &&
	    !memchr(t, 'e', (size_t)n))
		json_out_lit(o, "e0");
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
	case JSON_STRING: json_out_str(o, json_string_value(v), json_string_length(v)); break;
	case JSON_INTEGER:
	case JSON_REAL: put_number(o, v); break;
	case JSON_TRUE: json_out_lit(o, "true"); break;
	case JSON_FALSE: json_out_lit(o, "false"); break;
	case JSON_NULL: json_out_lit(o, "null"); break;
	}
}

void json_out_value(struct json_out *o, const json_t *v)
{
	put_value(o, v, 1);
}

char *json_out_take(struct json_out *o, size_t *len)
{
	char *p = room(o, 0) ? o->p : NULL;

	if (p)
		p[o->n] = 0;
	else
		free(o->p);
	if (p && len)
		*len = o->n;
	*o = (struct json_out){ 0 };
	return p;
}

static int dump_sink(const char *s, size_t n, void *arg)
{
	struct json_out *o = arg;

	json_out_add(o, s, n);
	return o->failed ? -1 : 0;
}

char *json_dump_new(const json_t *v, size_t flags)
{
	struct json_out o = { 0 };

	o.failed = json_dump_callback(v, dump_sink, &o, flags) != 0;
	return json_out_take(&o, NULL);
}

char *json_text_new(const json_t *v)
{
	struct json_out o = { 0 };

	json_out_value(&o, v);
	return json_out_take(&o, NULL);
}
