/* SPDX-License-Identifier: Apache-2.0 */
#include "noun_text.h"

#include "agent/codec/noun.h"
#include "agent/codec/plain.h"
#include "agent/crypto/crypto.h"

#include <errno.h>

#define SAFE_INT   9007199254740991LL /* 2^53 - 1; beyond it a number is written as a string */
#define TABLES     512
#define FIELDS_MAX 64
#define FIRST      4096

void noun_text_more(struct noun_text *o, const char *s, size_t n)
{
	if (o->err)
		return;
	if (n >= o->max - o->len) {
		o->err = -EMSGSIZE;
		return;
	}
	if (o->len + n >= o->cap) {
		size_t cap = 2 * (o->len + n) + FIRST;
		char *q = realloc(o->p, cap);

		if (!q) {
			o->err = -ENOMEM;
			return;
		}
		o->p = q;
		o->cap = cap < o->max ? cap : o->max;
	}
	memcpy(o->p + o->len, s, n);
	o->len += n;
	o->p[o->len] = '\0';
}

static void put(struct noun_text *o, const char *s, size_t n)
{
	noun_text_add(o, s, n);
}

/* --- values ------------------------------------------------------------------------------------
 */

static void escape(struct noun_text *o, unsigned char c)
{
	static const char hex[] = "0123456789abcdef",
			  name[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
				     ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\' };
	char t[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	if (c < sizeof(name) && name[c]) {
		t[1] = name[c];
		put(o, t, 2);
	} else {
		put(o, t, sizeof(t));
	}
}

static bool utf8(const char *s, size_t n)
{
	json_t *js = json_stringn(s, n);
	bool ok = js != NULL;

	json_decref(js);
	return ok;
}

static void string(struct noun_text *o, const char *s, size_t n)
{
	size_t from = 0, i = plain_run(s, n, true);
	bool wide = false;

	if (i == n && noun_text_room(o, n + 2)) { /* most of them */
		char *to = o->p + o->len;

		to[0] = '"';
		memcpy(to + 1, s, n);
		memcpy(to + 1 + n, "\"", 2);
		o->len += n + 2;
		return;
	}
	put(o, "\"", 1);
	for (; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		wide |= c >= 0x80;
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		put(o, s + from, i - from);
		escape(o, c);
		from = i + 1;
	}
	put(o, s + from, n - from);
	put(o, "\"", 1);
	if (wide && !o->err && !utf8(s, n))
		o->err = -EINVAL;
}

void noun_text_string(struct noun_text *o, const char *s)
{
	string(o, s, strlen(s));
}

static void digits(struct noun_text *o, uint64_t v, bool minus)
{
	char t[24];
	size_t at = sizeof(t);
	bool quoted = v > SAFE_INT;

	if (quoted)
		t[--at] = '"';
	do {
		t[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	if (minus)
		t[--at] = '-';
	if (quoted)
		t[--at] = '"';
	put(o, t + at, sizeof(t) - at);
}

void noun_text_int(struct noun_text *o, int64_t v)
{
	digits(o, v < 0 ? -(uint64_t)v : (uint64_t)v, v < 0);
}

void noun_text_hex(struct noun_text *o, const uint8_t *p, size_t n)
{
	char t[2 * 64 + 1];

	if (hex_encode(p, n, t, sizeof(t)) < 0) {
		o->err = o->err ? o->err : -EINVAL;
		return;
	}
	put(o, "\"", 1);
	put(o, t, 2 * n);
	put(o, "\"", 1);
}

/* --- objects -----------------------------------------------------------------------------------
 */

/* Members in the order of their names, which are ASCII: worked out once for each table. */
struct order {
	const struct field_table *table;
	uint8_t at[FIELDS_MAX], len[FIELDS_MAX]; /* of the name of the i-th */
};

static void order_fill(struct order *x, const struct field_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t k = i;

		for (; k && strcmp(t->field[i].name, t->field[x->at[k - 1]].name) < 0; k--)
			x->at[k] = x->at[k - 1];
		x->at[k] = (uint8_t)i;
	}
	for (size_t i = 0; i < t->n; i++)
		x->len[i] = (uint8_t)strlen(t->field[x->at[i]].name);
	x->table = t;
}

/* NULL: too many members or tables for it. */
static const struct order *order_of(const struct field_table *t)
{
	static _Thread_local struct order known[TABLES];
	size_t i = ((uintptr_t)t / _Alignof(struct field_table)) % TABLES;

	if (t->n > FIELDS_MAX)
		return NULL;
	for (size_t tries = 0; tries < TABLES; tries++, i = (i + 1) % TABLES) {
		if (!known[i].table)
			order_fill(&known[i], t);
		if (known[i].table == t)
			return &known[i];
	}
	return NULL;
}

static uint64_t number(const uint8_t *p, uint32_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

static int64_t signed_number(const uint8_t *p, uint32_t size)
{
	unsigned shift = 64 - 8 * size;

	return (int64_t)(number(p, size) << shift) >> shift;
}

static void array(struct noun_text *o, const struct field *f, const uint8_t *base)
{
	size_t n = f->kind == FIELD_VEC ? f->size / f->elem
					: number(base + f->count_off, f->count_size);

	put(o, "[", 1);
	for (size_t i = 0; i < n && !o->err; i++) {
		put(o, ",", i > 0);
		if (f->kind == FIELD_VEC)
			digits(o, number(base + f->off + i * f->elem, f->elem), false);
		else
			noun_text(o, f->sub, base + f->off + i * f->sub->size);
	}
	put(o, "]", 1);
}

static void member(struct noun_text *o, const struct field *f, const uint8_t *base)
{
	const uint8_t *p = base + f->off;

	switch (f->kind) {
	case FIELD_STR: string(o, (const char *)p, strnlen((const char *)p, f->size)); break;
	case FIELD_UINT: digits(o, number(p, f->size), false); break;
	case FIELD_INT: noun_text_int(o, signed_number(p, f->size)); break;
	case FIELD_BOOL: noun_text_put(o, number(p, f->size) ? "true" : "false"); break;
	case FIELD_BYTES: noun_text_hex(o, p, f->size); break;
	case FIELD_OBJ: noun_text(o, f->sub, p); break;
	case FIELD_ARR:
	case FIELD_VEC: array(o, f, base); break;
	}
}

void noun_text_field(struct noun_text *o, const struct field *f, const void *obj)
{
	member(o, f, obj);
}

static bool zeros(const uint8_t *p, uint32_t size, uint8_t zero)
{
	uint32_t i = 0;

	while (i < size && p[i] == zero)
		i++;
	return i == size || (zero && !p[i]);
}

enum noun_form noun_text_form(const struct field *f, const void *obj)
{
	const uint8_t *p = (const uint8_t *)obj + f->off;
	int64_t v;

	switch (f->kind) {
	case FIELD_STR: return zeros(p, f->size, '0') ? NOUN_NOTHING : NOUN_STRING;
	case FIELD_BYTES: return zeros(p, f->size, 0) ? NOUN_NOTHING : NOUN_STRING;
	case FIELD_UINT: return number(p, f->size) > SAFE_INT ? NOUN_STRING : NOUN_INTEGER;
	case FIELD_INT:
		v = signed_number(p, f->size);
		return v > SAFE_INT || v < -SAFE_INT ? NOUN_STRING : NOUN_INTEGER;
	case FIELD_BOOL: return NOUN_BOOLEAN;
	default: return NOUN_NOTHING; /* no value by itself */
	}
}

static void name(struct noun_text *o, bool comma, const char *s, size_t n)
{
	char *to;

	if (!noun_text_room(o, n + 4)) {
		put(o, ",", comma);
		put(o, "\"", 1);
		put(o, s, n);
		put(o, "\":", 2);
		return;
	}
	to = o->p + o->len;
	*to = ',';
	to += comma;
	*to++ = '"';
	memcpy(to, s, n);
	memcpy(to + n, "\":", 3);
	o->len += n + 3 + comma;
}

void noun_text(struct noun_text *o, const struct field_table *t, const void *obj)
{
	const struct order *x = order_of(t);
	bool first = true;

	if (!x) {
		o->err = o->err ? o->err : -ENOMEM;
		return;
	}
	put(o, "{", 1);
	for (size_t i = 0; i < t->n && !o->err; i++) {
		const struct field *f = &t->field[x->at[i]];

		if (t->sparse && noun_zero(f, obj))
			continue;
		name(o, !first, f->name, x->len[i]);
		first = false;
		member(o, f, obj);
	}
	put(o, "}", 1);
}
