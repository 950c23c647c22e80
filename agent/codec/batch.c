/* SPDX-License-Identifier: Apache-2.0 */
/* A row is a bit for each column that is not zero, then the values of those: all are LEB128
 * numbers. Most columns of most labels are zero, and a counter of a day has five bytes of eight. */
#include "batch.h"

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>

#define FORMAT "treaty-batch-1"

enum { VARINT_MAX = 10, NAME_MAX_ = 64 };

/* Where a value is in the struct; size 0: the reader does not know the column. */
struct column {
	char name[NAME_MAX_];
	uint32_t off, size;
	bool is_signed, is_bool;
};

struct columns {
	size_t n;
	struct column c[BATCH_COLUMNS_MAX];
};

struct batch {
	const char *noun;
	struct columns cols;
	size_t rows, used, cap;
	uint8_t *data;
};

static int add_columns(struct columns *to, const struct field_table *t, const char *prefix,
		       uint32_t off)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->field[i];
		struct column *c = &to->c[to->n];
		char name[NAME_MAX_];
		int r, n = snprintf(name, sizeof(name), "%s%s", prefix, f->name);

		if (n < 0 || (size_t)n + 1 >= sizeof(name))
			return -EOPNOTSUPP;
		if (f->kind == FIELD_OBJ) {
			name[n] = '.';
			name[n + 1] = 0;
			r = add_columns(to, f->sub, name, off + f->off);
			if (r)
				return r;
			continue;
		}
		if (to->n == BATCH_COLUMNS_MAX || f->size > 8 ||
		    (f->kind != FIELD_UINT && f->kind != FIELD_INT && f->kind != FIELD_BOOL))
			return -EOPNOTSUPP;
		*c = (struct column){ .off = off + f->off,
				      .size = f->size,
				      .is_signed = f->kind == FIELD_INT,
				      .is_bool = f->kind == FIELD_BOOL };
		memcpy(c->name, name, sizeof(name));
		to->n++;
	}
	return 0;
}

static int columns_of(struct columns *ret, const struct field_table *t, struct err *e)
{
	ret->n = 0;
	if (add_columns(ret, t, "", 0))
		return err_set(e, -EOPNOTSUPP, "%s: cannot be a row of numbers", t->name);
	return 0;
}

/* --- writing --------------------------------------------------------------------------------- */

int batch_new(struct batch **ret, const char *noun, const struct field_table *t, struct err *e)
{
	struct batch *b = calloc(1, sizeof(*b));
	int r = b ? columns_of(&b->cols, t, e) : err_set(e, -ENOMEM, "batch: no memory");

	if (r) {
		free(b);
		return r;
	}
	b->noun = noun;
	*ret = b;
	return 0;
}

struct batch *batch_free(struct batch *b)
{
	if (b)
		free(b->data);
	free(b);
	return NULL;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

/* The struct's bytes as a number that is small where the value is (zigzag for signed ones). */
static uint64_t value_of(const struct column *c, const uint8_t *obj)
{
	unsigned shift = 64 - 8 * c->size;
	uint64_t v = 0;
	int64_t s;

	memcpy(&v, obj + c->off, c->size); /* little endian hosts only: abi.h */
	if (!c->is_signed)
		return v;
	s = (int64_t)(v << shift) >> shift;
	return s < 0 ? ~((uint64_t)s << 1) : (uint64_t)s << 1;
}

int batch_add(struct batch *b, const void *obj)
{
	size_t most = VARINT_MAX * (b->cols.n + 1);
	uint64_t value[BATCH_COLUMNS_MAX], bits = 0;
	uint8_t *p;

	if (b->rows == BATCH_ROWS_MAX)
		return -ENOSPC;
	if (b->used + most > b->cap) {
		size_t cap = b->cap * 2 + 64 * most;

		p = realloc(b->data, cap);
		if (!p)
			return -ENOMEM;
		b->data = p;
		b->cap = cap;
	}
	for (size_t i = 0; i < b->cols.n; i++) {
		value[i] = value_of(&b->cols.c[i], obj);
		bits |= (uint64_t)(value[i] != 0) << i;
	}
	p = put_varint(b->data + b->used, bits);
	for (; bits; bits &= bits - 1)
		p = put_varint(p, value[__builtin_ctzll(bits)]);
	b->used = (size_t)(p - b->data);
	b->rows++;
	return 0;
}

size_t batch_rows(const struct batch *b)
{
	return b->rows;
}

json_t *batch_json(const struct batch *b)
{
	size_t cap = (b->used + 2) / 3 * 4 + 1;
	auto_free char *text = malloc(cap);
	json_t *names = json_array();
	int n = text ? base64_encode(b->data ? b->data : (const uint8_t *)"", b->used, text, cap)
		     : -1;

	for (size_t i = 0; names && i < b->cols.n; i++)
		if (json_array_append_new(names, json_string(b->cols.c[i].name)))
			n = -1;
	if (n < 0 || !names) {
		json_decref(names);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:o, s:I, s:s%}", "format", FORMAT, "noun", b->noun, "columns",
			 names, "rows", (json_int_t)b->rows, "data", text, (size_t)n);
}

/* --- reading --------------------------------------------------------------------------------- */

static const struct column *by_name(const struct columns *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (!strcmp(all->c[i].name, name))
			return &all->c[i];
	return NULL;
}

/* The sender's columns, each with its place in our struct. */
static int read_columns(struct columns *ret, const struct field_table *t, const json_t *list,
			struct err *e)
{
	struct columns own;
	int r = columns_of(&own, t, e);

	if (r)
		return r;
	ret->n = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		const struct column *c = name ? by_name(&own, name) : NULL;
		struct column *to = &ret->c[ret->n];

		*to = c ? *c : (struct column){ .size = 0 };
		if (!name || !str_set(to->name, name))
			return err_set(e, -EINVAL, "columns[%zu]: string of 1..%d bytes required",
				       i, NAME_MAX_ - 1);
		if (by_name(ret, name))
			return err_set(e, -EINVAL, "columns[%zu]: %s came twice", i, name);
		ret->n++;
	}
	return 0;
}

static int take_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70 && *p < end; shift += 7) {
		uint8_t b = *(*p)++;

		if (shift == 63 && b > 1)
			return -ERANGE;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return shift && !b ? -EINVAL : 0; /* one spelling a number */
		}
	}
	return -EINVAL;
}

static int put_value(const struct column *c, uint8_t *obj, uint64_t v)
{
	unsigned bits = 8 * c->size;

	if (c->is_signed)
		v = v >> 1 ^ -(v & 1);
	if (c->is_bool     ? v > 1
	    : c->is_signed ? bits < 64 && ((int64_t)(v << (64 - bits)) >> (64 - bits)) != (int64_t)v
			   : bits < 64 && v >> bits)
		return -ERANGE;
	memcpy(obj + c->off, &v, c->size);
	return 0;
}

static int read_row(const struct columns *cols, const uint8_t **p, const uint8_t *end, uint8_t *obj,
		    size_t row, struct err *e)
{
	uint64_t bits = 0, v = 0;
	int r = take_varint(p, end, &bits);

	if (!r && cols->n < 64 && bits >> cols->n)
		r = -EINVAL;
	for (; !r && bits; bits &= bits - 1) {
		const struct column *c = &cols->c[__builtin_ctzll(bits)];

		r = take_varint(p, end, &v);
		if (!r && !v)
			r = -EINVAL; /* a zero has no bit */
		if (!r && c->size)
			r = put_value(c, obj, v);
		if (r == -ERANGE)
			return err_set(e, r, "data: row %zu: %s: too large", row, c->name);
	}
	return r ? err_set(e, -EINVAL, "data: row %zu: broken number or column", row) : 0;
}

static int read_rows(const struct field_table *t, const struct columns *cols, const uint8_t *p,
		     const uint8_t *end, size_t rows, int (*fn)(void *arg, const void *obj),
		     void *arg, struct err *e)
{
	auto_free uint8_t *obj = malloc(t->size);
	int r = obj ? 0 : err_set(e, -ENOMEM, "batch: no memory");

	for (size_t i = 0; i < rows && !r; i++) {
		memset(obj, 0, t->size);
		r = read_row(cols, &p, end, obj, i, e);
		r = r ? r : fn(arg, obj);
	}
	return !r && p != end ? err_set(e, -EINVAL, "data: something follows the last row") : r;
}

int batch_read(const char *noun, const struct field_table *t, const json_t *js,
	       int (*fn)(void *arg, const void *obj), void *arg, struct err *e)
{
	auto_free uint8_t *data = NULL;
	const char *text = NULL;
	struct columns cols;
	int64_t rows = 0;
	json_t *list = NULL;
	size_t len;
	int n, r = json_need_const(js, "", "format", FORMAT, e);

	r = r ? r : json_need_const(js, "", "noun", noun, e);
	r = r ? r : json_need_arr(js, "", "columns", 1, BATCH_COLUMNS_MAX, &list, e);
	r = r ? r : json_need_int(js, "", "rows", 0, BATCH_ROWS_MAX, &rows, e);
	r = r ? r : json_need_str(js, "", "data", &text, e);
	r = r ? r : read_columns(&cols, t, list, e);
	if (r)
		return r;
	len = strlen(text);
	data = malloc(len + 1);
	if (!data)
		return err_set(e, -ENOMEM, "batch: no memory");
	n = base64_decode(text, len, data, len + 1);
	if (n < 0)
		return err_set(e, -EINVAL, "data: base64 required");
	return read_rows(t, &cols, data, data + n, (size_t)rows, fn, arg, e);
}
