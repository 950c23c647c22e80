/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 8785. jansson's own writer cannot do it: it sorts keys by bytes, prints numbers with %.17g
 * and control characters in upper-case hex. */
#include "agent/codec/canon.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "agent/crypto/crypto.h"

#define INT_SAFE_MAX 9007199254740991LL /* 2^53 - 1 */

struct out {
	canon_sink sink;
	void *arg;
	struct err *e;
	size_t used;
	char buf[1024]; /* so that a sink sees blocks, not characters */
};

static int out_flush(struct out *o)
{
	int r = o->used ? o->sink(o->arg, o->buf, o->used) : 0;

	o->used = 0;
	return r;
}

static int out_put(struct out *o, const char *p, size_t n)
{
	if (o->used + n > sizeof(o->buf)) {
		int r = out_flush(o);

		if (r)
			return r;
		if (n > sizeof(o->buf))
			return o->sink(o->arg, p, n);
	}
	memcpy(o->buf + o->used, p, n);
	o->used += n;
	return 0;
}

/* --- numbers --- */

/* Adds one unit in the last place of a run of decimal digits. False on a carry out of the top:
 * then the digits were 99..9 and a shorter form exists, which was tried before. */
static bool digits_up(char *d, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		if (d[i] != '9') {
			d[i]++;
			return true;
		}
		d[i] = '0';
	}
	return false;
}

static double digits_value(const char *d, int n, int exp10)
{
	char t[48];

	(void)snprintf(t, sizeof(t), "%.*se%d", n, d, exp10 - n + 1);
	return strtod(t, NULL);
}

/* Shortest digits that read back as v > 0: v = d[0].d[1].. x 10^*exp10. The nearest decimal of p
 * digits may miss where the one above it hits: below a power of two the doubles lie twice as
 * dense as above it. */
static int digits_shortest(double v, char d[20], int *exp10)
{
	char t[40];

	for (int p = 1; p <= 17; p++) {
		(void)snprintf(t, sizeof(t), "%.*e", p - 1, v);
		d[0] = t[0];
		memcpy(d + 1, t + 2, (size_t)(p - 1));
		*exp10 = atoi(strchr(t, 'e') + 1);
		if (digits_value(d, p, *exp10) == v)
			return p;
		if (digits_up(d, p) && digits_value(d, p, *exp10) == v)
			return p;
	}
	return -EDOM; /* not reached: 17 digits always read back */
}

/* Number::toString of ECMAScript, steps 6 to 10; k digits, value x 10^(n-k). */
static int es6_layout(char *out, const char *d, int k, int n)
{
	if (k <= n && n <= 21) {
		memcpy(out, d, (size_t)k);
		memset(out + k, '0', (size_t)(n - k));
		out[n] = 0;
		return n;
	}
	if (0 < n && n <= 21)
		return snprintf(out, ES6_NUMBER_MAX - 1, "%.*s.%.*s", n, d, k - n, d + n);
	if (-6 < n && n <= 0)
		return snprintf(out, ES6_NUMBER_MAX - 1, "0.%.*s%.*s", -n, "00000", k, d);
	return snprintf(out, ES6_NUMBER_MAX - 1, "%c%s%.*se%+d", d[0], k > 1 ? "." : "", k - 1,
			d + 1, n - 1);
}

int es6_number(double v, char out[ES6_NUMBER_MAX])
{
	char d[20];
	int k, exp10, neg = v < 0;

	if (!isfinite(v))
		return -EDOM;
	if (v == 0) { /* and -0 */
		memcpy(out, "0", 2);
		return 1;
	}
	k = digits_shortest(fabs(v), d, &exp10);
	if (k < 0)
		return k;
	while (k > 1 && d[k - 1] == '0')
		k--;
	if (neg)
		out[0] = '-';
	return neg + es6_layout(out + neg, d, k, exp10 + 1);
}

static int put_number(struct out *o, const json_t *v)
{
	char t[ES6_NUMBER_MAX];
	int n;

	if (json_is_integer(v)) {
		json_int_t i = json_integer_value(v);

		if (i > INT_SAFE_MAX || i < -INT_SAFE_MAX)
			return err_set(o->e, -ERANGE, "integer %lld: above 2^53-1", (long long)i);
		n = snprintf(t, sizeof(t), "%lld", (long long)i);
	} else {
		n = es6_number(json_real_value(v), t);
	}
	if (n < 0)
		return err_set(o->e, -ERANGE, "number: not finite");
	return out_put(o, t, (size_t)n);
}

/* --- strings --- */

static int put_escape(struct out *o, unsigned char c)
{
	static const char name[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
				     ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\' };
	char t[8];
	int n;

	if (c < sizeof(name) && name[c])
		n = snprintf(t, sizeof(t), "\\%c", name[c]);
	else
		n = snprintf(t, sizeof(t), "\\u%04x", c);
	return out_put(o, t, (size_t)n);
}

static int put_string(struct out *o, const char *s, size_t n)
{
	size_t from = 0;
	int r = out_put(o, "\"", 1);

	for (size_t i = 0; !r && i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		r = out_put(o, s + from, i - from);
		if (!r)
			r = put_escape(o, c);
		from = i + 1;
	}
	if (!r)
		r = out_put(o, s + from, n - from);
	return r ? r : out_put(o, "\"", 1);
}

/* --- order of keys: UTF-16 code units --- */

/* Byte order is code point order, and that differs from code unit order in one case only: a
 * supplementary character (lead byte F0..F4, written as surrogates D800..DFFF) sorts before
 * U+E000..U+FFFF (lead byte EE, EF). Strings that differ inside a character share its lead. */
static int key_cmp(const void *a, const void *b)
{
	const unsigned char *x = *(const unsigned char *const *)a;
	const unsigned char *y = *(const unsigned char *const *)b;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (*x >= 0xee && *y >= 0xee && (*x >= 0xf0) != (*y >= 0xf0))
		return *x >= 0xf0 ? -1 : 1;
	return (int)*x - (int)*y;
}

static int put_value(struct out *o, const json_t *v, unsigned depth, const char *skip);

static int put_members(struct out *o, const json_t *v, const char **keys, size_t n, unsigned depth)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		if (i)
			r = out_put(o, ",", 1);
		if (!r)
			r = put_string(o, keys[i], strlen(keys[i]));
		if (!r)
			r = out_put(o, ":", 1);
		if (!r)
			r = put_value(o, json_object_get(v, keys[i]), depth + 1, NULL);
	}
	return r;
}

static int put_object(struct out *o, const json_t *v, unsigned depth, const char *skip)
{
	const char *few[32], **keys = few;
	auto_free const char **many = NULL;
	size_t n = 0, size = json_object_size(v);
	int r = out_put(o, "{", 1);

	if (size > ARRAY_LEN(few)) {
		keys = many = calloc(size, sizeof(*many));
		if (!many)
			return err_set(o->e, -ENOMEM, "canonical form: no memory");
	}
	/* jansson's iterators take a mutable object and change nothing. */
	for (void *it = json_object_iter((json_t *)(uintptr_t)v); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)v, it))
		if (!skip || strcmp(skip, json_object_iter_key(it)))
			keys[n++] = json_object_iter_key(it);
	qsort(keys, n, sizeof(*keys), key_cmp);
	if (!r)
		r = put_members(o, v, keys, n, depth);
	return r ? r : out_put(o, "}", 1);
}

static int put_array(struct out *o, const json_t *v, unsigned depth)
{
	size_t n = json_array_size(v);
	int r = out_put(o, "[", 1);

	for (size_t i = 0; !r && i < n; i++) {
		if (i)
			r = out_put(o, ",", 1);
		if (!r)
			r = put_value(o, json_array_get(v, i), depth + 1, NULL);
	}
	return r ? r : out_put(o, "]", 1);
}

static int put_value(struct out *o, const json_t *v, unsigned depth, const char *skip)
{
	if (!v)
		return err_set(o->e, -EINVAL, "no value");
	if (depth > CANON_DEPTH_MAX)
		return err_set(o->e, -EMSGSIZE, "deeper than %d levels", CANON_DEPTH_MAX);
	switch (json_typeof(v)) {
	case JSON_OBJECT: return put_object(o, v, depth, skip);
	case JSON_ARRAY: return put_array(o, v, depth);
	case JSON_STRING: return put_string(o, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
	case JSON_REAL: return put_number(o, v);
	case JSON_TRUE: return out_put(o, "true", 4);
	case JSON_FALSE: return out_put(o, "false", 5);
	case JSON_NULL: return out_put(o, "null", 4);
	}
	return err_set(o->e, -EINVAL, "unknown kind of value");
}

static int write_(const json_t *v, const char *skip, canon_sink sink, void *arg, struct err *e)
{
	struct out o = { .sink = sink, .arg = arg, .e = e };
	int r = put_value(&o, v, 1, skip);

	return r ? r : out_flush(&o);
}

int canon_write(const json_t *v, canon_sink sink, void *arg, struct err *e)
{
	return write_(v, NULL, sink, arg, e);
}

struct text {
	char *p;
	size_t len, cap, max;
};

static int text_sink(void *arg, const char *p, size_t n)
{
	struct text *t = arg;

	if (n > t->max - t->len)
		return -EMSGSIZE;
	if (t->len + n + 1 > t->cap) {
		size_t cap = 2 * (t->len + n) + 1;
		char *q = realloc(t->p, cap);

		if (!q)
			return -ENOMEM;
		t->p = q;
		t->cap = cap;
	}
	memcpy(t->p + t->len, p, n);
	t->len += n;
	return 0;
}

int canon_text(const json_t *v, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	struct text t = { .max = max };
	int r = write_(v, NULL, text_sink, &t, e);

	if (r) {
		free(t.p);
		return err_set(e, r,
			       r == -EMSGSIZE ? "canonical form: above its size limit"
					      : "canonical form: no memory");
	}
	t.p[t.len] = 0;
	*ret = t.p;
	if (ret_len)
		*ret_len = t.len;
	return 0;
}

static int hash_sink(void *arg, const char *p, size_t n)
{
	sha256_add(arg, p, n);
	return 0;
}

static int hash_(const json_t *v, const char *skip, uint8_t out[32], struct err *e)
{
	struct sha256_ctx c;
	int r;

	sha256_begin(&c);
	r = write_(v, skip, hash_sink, &c, e);
	if (!r)
		sha256_end(&c, out);
	return r;
}

int canon_sha256(const json_t *v, uint8_t out[32], struct err *e)
{
	return hash_(v, NULL, out, e);
}

int canon_sha256_without(const json_t *o, const char *key, uint8_t out[32], struct err *e)
{
	return hash_(o, key, out, e);
}
