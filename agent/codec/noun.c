/* SPDX-License-Identifier: Apache-2.0 */
/* One walker over field tables; see noun.h. */
#include "noun.h"

#include "agent/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>

#define SAFE_INT 9007199254740991LL /* 2^53 - 1 */

static uint64_t get_uint(const uint8_t *p, uint32_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size); /* little endian hosts only; asserted in abi.h as well */
	return v;
}

static int64_t get_int(const uint8_t *p, uint32_t size)
{
	uint64_t v = get_uint(p, size);
	unsigned shift = 64 - 8 * size;

	return (int64_t)(v << shift) >> shift;
}

static json_t *big(const char *fmt, long long v)
{
	char buf[24];

	(void)snprintf(buf, sizeof(buf), fmt[0] == 'u' ? "%llu" : "%lld", v);
	return json_string(buf);
}

static json_t *put_uint(uint64_t v)
{
	return v <= SAFE_INT ? json_integer((json_int_t)v) : big("u", (long long)v);
}

static json_t *put_int(int64_t v)
{
	return v <= SAFE_INT && v >= -SAFE_INT ? json_integer(v) : big("d", v);
}

static json_t *put_hex(const uint8_t *p, uint32_t n)
{
	char buf[2 * 64 + 1];

	return hex_encode(p, n, buf, sizeof(buf)) < 0 ? NULL : json_string(buf);
}

static json_t *put_array(const struct field *f, const uint8_t *base)
{
	size_t n = f->kind == FIELD_VEC ? f->size / f->elem
					: get_uint(base + f->count_off, f->count_size);
	json_t *arr = json_array();

	for (size_t i = 0; arr && i < n; i++) {
		json_t *v = f->kind == FIELD_VEC
				    ? put_uint(get_uint(base + f->off + i * f->elem, f->elem))
				    : noun_encode(f->sub, base + f->off + i * f->sub->size);
		if (json_array_append_new(arr, v)) {
			json_decref(arr);
			return NULL;
		}
	}
	return arr;
}

static json_t *put_field(const struct field *f, const uint8_t *base)
{
	const uint8_t *p = base + f->off;

	switch (f->kind) {
	case FIELD_STR: return json_stringn((const char *)p, strnlen((const char *)p, f->size));
	case FIELD_UINT: return put_uint(get_uint(p, f->size));
	case FIELD_INT: return put_int(get_int(p, f->size));
	case FIELD_BOOL: return json_boolean(get_uint(p, f->size) != 0);
	case FIELD_BYTES: return put_hex(p, f->size);
	case FIELD_OBJ: return noun_encode(f->sub, p);
	case FIELD_ARR:
	case FIELD_VEC: return put_array(f, base);
	}
	return NULL;
}

bool noun_zero(const struct field *f, const void *obj)
{
	const uint8_t *base = obj, *p = base + f->off;
	bool zero = true;

	if (f->kind == FIELD_ARR)
		return !get_uint(base + f->count_off, f->count_size);
	if (f->kind == FIELD_STR)
		return !*p;
	if (f->kind != FIELD_OBJ)
		for (uint32_t i = 0; zero && i < f->size; i++)
			zero = !p[i];
	else
		for (size_t i = 0; zero && i < f->sub->n; i++)
			zero = noun_zero(&f->sub->field[i], p);
	return zero;
}

json_t *noun_field(const struct field *f, const void *obj)
{
	return put_field(f, obj);
}

json_t *noun_encode(const struct field_table *t, const void *obj)
{
	json_t *js = json_object();

	for (size_t i = 0; js && i < t->n; i++) {
		/* Names are ours, ASCII: nothing to check. */
		if (json_object_set_new_nocheck(js, t->field[i].name,
						put_field(&t->field[i], obj))) {
			json_decref(js);
			return NULL;
		}
	}
	return js;
}

/* --- decoding ------------------------------------------------------------------------- */

struct reading {
	struct err *e;
	bool log; /* sparse tables may lack members */
};

static int bad(const struct reading *x, const struct field_table *t, const struct field *f,
	       const char *rule)
{
	return err_set(x->e, -EINVAL, "%s.%s: %s", t->name, f->name, rule);
}

/* Whether this is how put_uint() and put_int() write the number: one spelling a number. */
static bool big_as_written(const char *s, uint64_t v, bool is_signed)
{
	json_t *js = is_signed ? put_int((int64_t)v) : put_uint(v);
	bool same = json_is_string(js) && !strcmp(json_string_value(js), s);

	json_decref(js);
	return same;
}

/* An integer, or its decimal string when it is beyond 2^53-1. */
static int read_number(const json_t *v, bool is_signed, uint64_t *ret)
{
	const char *s = json_string_value(v);
	json_int_t i = json_integer_value(v);
	char *end;

	if (json_is_integer(v)) {
		if ((!is_signed && i < 0) || i > SAFE_INT || i < -SAFE_INT)
			return -ERANGE;
		*ret = (uint64_t)json_integer_value(v);
		return 0;
	}
	if (!s || !*s || strlen(s) > 20 || strspn(s, "-0123456789") != strlen(s) ||
	    (!is_signed && *s == '-'))
		return -EINVAL;
	errno = 0;
	*ret = is_signed ? (uint64_t)strtoll(s, &end, 10) : strtoull(s, &end, 10);
	return errno || *end || !big_as_written(s, *ret, is_signed) ? -ERANGE : 0;
}

static int take_number(const json_t *v, uint8_t *p, uint32_t size, bool is_signed)
{
	uint64_t u;
	int r = read_number(v, is_signed, &u);

	if (r)
		return r;
	if (size < 8) {
		unsigned shift = 64 - 8 * size;
		bool fits = is_signed ? ((int64_t)(u << shift) >> shift) == (int64_t)u
				      : (u >> (8 * size)) == 0;

		if (!fits)
			return -ERANGE;
	}
	memcpy(p, &u, size);
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static int take_hex(const json_t *v, uint8_t *p, uint32_t n)
{
	const char *s = json_string_value(v);

	if (!s || strlen(s) != 2 * (size_t)n)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++) {
		int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

static int take_str(const json_t *v, uint8_t *p, uint32_t size)
{
	size_t n = json_string_length(v);

	if (!json_is_string(v) || n >= size || memchr(json_string_value(v), '\0', n))
		return -EINVAL;
	memset(p, 0, size);
	memcpy(p, json_string_value(v), n);
	return 0;
}

static int decode_into(const struct field_table *t, const json_t *js, uint8_t *obj,
		       const struct reading *x);

static int take_array(const struct field_table *t, const struct field *f, const json_t *v,
		      uint8_t *base, const struct reading *x)
{
	size_t n = json_array_size(v), step = f->kind == FIELD_VEC ? f->elem : f->sub->size;
	size_t max = f->size / step;

	if (!json_is_array(v) || n > max || (f->kind == FIELD_VEC && n != max))
		return bad(x, t, f, "array of the right length required");
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = base + f->off + i * step;
		int r = f->kind == FIELD_VEC ? take_number(json_array_get(v, i), p, f->elem, false)
					     : decode_into(f->sub, json_array_get(v, i), p, x);

		if (r)
			return bad(x, t, f, "element out of range");
	}
	if (f->kind == FIELD_ARR)
		memcpy(base + f->count_off, &n, f->count_size);
	return 0;
}

static int take_field(const struct field_table *t, const struct field *f, const json_t *v,
		      uint8_t *base, const struct reading *x)
{
	uint8_t *p = base + f->off;

	switch (f->kind) {
	case FIELD_STR:
		return take_str(v, p, f->size) ? bad(x, t, f, "string that fits required") : 0;
	case FIELD_UINT:
		return take_number(v, p, f->size, false)
			       ? bad(x, t, f, "unsigned integer in range required")
			       : 0;
	case FIELD_INT:
		return take_number(v, p, f->size, true) ? bad(x, t, f, "integer in range required")
							: 0;
	case FIELD_BOOL:
		if (!json_is_boolean(v))
			return bad(x, t, f, "boolean required");
		memset(p, 0, f->size);
		p[0] = json_is_true(v);
		return 0;
	case FIELD_BYTES:
		return take_hex(v, p, f->size) ? bad(x, t, f, "lower-case hex required") : 0;
	case FIELD_OBJ: return decode_into(f->sub, v, p, x);
	case FIELD_ARR:
	case FIELD_VEC: return take_array(t, f, v, base, x);
	}
	return bad(x, t, f, "unknown kind");
}

static int decode_sparse(const struct field_table *t, const json_t *js, uint8_t *obj,
			 const struct reading *x)
{
	size_t found = 0;
	int r = 0;

	memset(obj, 0, t->size);
	for (size_t i = 0; !r && i < t->n; i++) {
		const json_t *v = json_object_get(js, t->field[i].name);

		if (v)
			r = take_field(t, &t->field[i], v, obj, x);
		found += v != NULL;
	}
	if (!r && found != json_object_size(js))
		r = err_set(x->e, -EINVAL, "%s: unknown member", t->name);
	return r;
}

static int decode_into(const struct field_table *t, const json_t *js, uint8_t *obj,
		       const struct reading *x)
{
	if (!json_is_object(js))
		return err_set(x->e, -EINVAL, "%s: object required", t->name);
	if (t->sparse && x->log)
		return decode_sparse(t, js, obj, x);
	if (json_object_size(js) != t->n) {
		for (size_t i = 0; i < t->n; i++)
			if (!json_object_get(js, t->field[i].name))
				return bad(x, t, &t->field[i], "missing");
		return err_set(x->e, -EINVAL, "%s: unknown member", t->name);
	}
	for (size_t i = 0; i < t->n; i++) {
		const json_t *v = json_object_get(js, t->field[i].name);
		int r = v ? take_field(t, &t->field[i], v, obj, x)
			  : bad(x, t, &t->field[i], "missing");

		if (r)
			return r;
	}
	return 0;
}

static int decode_all(const struct field_table *t, const json_t *js, void *obj,
		      const struct reading *x)
{
	auto_free uint8_t *tmp = calloc(1, t->size);
	int r;

	if (!tmp)
		return err_set(x->e, -ENOMEM, "%s", t->name);
	r = decode_into(t, js, tmp, x);
	if (!r)
		memcpy(obj, tmp, t->size);
	return r;
}

int noun_decode(const struct field_table *t, const json_t *js, void *obj, struct err *e)
{
	return decode_all(t, js, obj, &(struct reading){ .e = e });
}

int noun_decode_log(const struct field_table *t, const json_t *js, void *obj, struct err *e)
{
	return decode_all(t, js, obj, &(struct reading){ .e = e, .log = true });
}

int noun_decode_field(const char *table, const struct field *f, const json_t *v, void *obj,
		      struct err *e)
{
	const struct field_table t = { table, 0, f, 1, false };
	const struct reading x = { .e = e };

	return take_field(&t, f, v, obj, &x);
}

static json_t *schema_of(const struct field *f)
{
	switch (f->kind) {
	case FIELD_STR:
		return json_pack("{s:s, s:i}", "type", "string", "maxLength", (int)f->size - 1);
	case FIELD_UINT:
		return json_pack("{s:[s,s], s:i}", "type", "integer", "string", "minimum", 0);
	case FIELD_INT: return json_pack("{s:[s,s]}", "type", "integer", "string");
	case FIELD_BOOL: return json_pack("{s:s}", "type", "boolean");
	case FIELD_BYTES:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-9a-f]*$");
	case FIELD_OBJ: return noun_schema(f->sub);
	case FIELD_ARR:
		return json_pack("{s:s, s:o, s:i}", "type", "array", "items", noun_schema(f->sub),
				 "maxItems", (int)(f->size / f->sub->size));
	case FIELD_VEC:
		return json_pack("{s:s, s:{s:s}, s:i}", "type", "array", "items", "type", "integer",
				 "maxItems", (int)(f->size / f->elem));
	}
	return NULL;
}

json_t *noun_schema(const struct field_table *t)
{
	json_t *props = json_object(), *need = json_array();

	for (size_t i = 0; i < t->n; i++) {
		(void)json_object_set_new(props, t->field[i].name, schema_of(&t->field[i]));
		(void)json_array_append_new(need, json_string(t->field[i].name));
	}
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", props, "required",
			 need, "additionalProperties", 0);
}
