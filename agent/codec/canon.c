/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 8785. jansson's own writer cannot do it: it sorts keys by bytes, prints numbers with %.17g
 * and control characters in upper-case hex. */
#include "agent/codec/canon.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "agent/codec/json.h"
#include "agent/codec/json_out.h"
#include "agent/codec/plain.h"
#include "agent/crypto/crypto.h"

#define INT_SAFE_MAX 9007199254740991LL /* 2^53 - 1 */

enum { PAIRS_FEW = 32 };

struct out {
	canon_sink sink;
	void *arg;
	struct err *e;
	struct canon_rules rules; /* all zero: none */
	unsigned seen;            /* values so far */
	struct canon_mark *marks;
	size_t n_marks;
	size_t given; /* bytes that the sink had */
	size_t used;
	char buf[1024]; /* so that a sink sees blocks, not characters */
};

static int out_flush(struct out *o)
{
	int r = o->used ? o->sink(o->arg, o->buf, o->used) : 0;

	o->given += o->used;
	o->used = 0;
	return r;
}

static int out_put(struct out *o, const char *p, size_t n)
{
	if (o->used + n > sizeof(o->buf)) {
		int r = out_flush(o);

		if (r)
			return r;
		if (n > sizeof(o->buf)) {
			o->given += n;
			return o->sink(o->arg, p, n);
		}
	}
	memcpy(o->buf + o->used, p, n);
	o->used += n;
	return 0;
}

static int out_char(struct out *o, char c)
{
	if (o->used == sizeof(o->buf))
		return out_put(o, &c, 1);
	o->buf[o->used++] = c;
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
		n = json_int_text(i, t);
	} else if (o->rules.integers_only) {
		/* A whole number spelt 2.5e7 has the signature of 25000000; one spelling is ours.
		 */
		return err_set(o->e, -EINVAL, "number: integers only, without point or exponent");
	} else {
		if (o->rules.reals)
			*o->rules.reals = true;
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
	size_t run = plain_run(s, n, false), from = 0;
	int r;

	if (run == n && o->used + n + 2 <= sizeof(o->buf)) {
		char *to = o->buf + o->used;

		*to = '"';
		memcpy(to + 1, s, n);
		to[n + 1] = '"';
		o->used += n + 2;
		return 0;
	}
	r = out_char(o, '"');
	while (!r && from < n) {
		r = out_put(o, s + from, run);
		from += run;
		if (!r && from < n)
			r = put_escape(o, (unsigned char)s[from++]);
		run = plain_run(s + from, n - from, false);
	}
	return r ? r : out_char(o, '"');
}

/* --- order of keys: UTF-16 code units --- */

/* Byte order is code point order, and that differs from code unit order in one case only: a
 * supplementary character (lead byte F0..F4, written as surrogates D800..DFFF) sorts before
 * U+E000..U+FFFF (lead byte EE, EF). Strings that differ inside a character share its lead. */
static int key_cmp(const char *a, const char *b)
{
	const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (*x >= 0xee && *y >= 0xee && (*x >= 0xf0) != (*y >= 0xf0))
		return *x >= 0xf0 ? -1 : 1;
	return (int)*x - (int)*y;
}

struct pair {
	const char *key;
	const json_t *value;
};

static int pair_cmp(const void *a, const void *b)
{
	return key_cmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

/* Few keys, and most often already in order: then one look at each is enough. */
static void pairs_sort(struct pair *p, size_t n)
{
	if (n > PAIRS_FEW) {
		qsort(p, n, sizeof(*p), pair_cmp);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct pair x = p[i];
		size_t k = i;

		for (; k && key_cmp(x.key, p[k - 1].key) < 0; k--)
			p[k] = p[k - 1];
		p[k] = x;
	}
}

static int put_value(struct out *o, const json_t *v, unsigned depth, const char *skip);

static int put_member(struct out *o, bool first, const char *key, const json_t *v, unsigned depth)
{
	int r = first ? 0 : out_char(o, ',');

	if (!r)
		r = put_string(o, key, strlen(key));
	if (!r)
		r = out_char(o, ':');
	return r ? r : put_value(o, v, depth + 1, NULL);
}

static int put_members(struct out *o, const struct pair *p, size_t n, unsigned depth)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = put_member(o, !i, p[i].key, p[i].value, depth);
	return r;
}

/* jansson's iterators take a mutable object and change nothing. */
static int put_object(struct out *o, const json_t *v, unsigned depth, const char *skip)
{
	struct pair few[PAIRS_FEW], *pairs = few;
	auto_free struct pair *many = NULL;
	size_t n = 0, size = json_object_size(v);
	int r = out_char(o, '{');

	if (size > ARRAY_LEN(few)) {
		pairs = many = calloc(size, sizeof(*many));
		if (!many)
			return err_set(o->e, -ENOMEM, "canonical form: no memory");
	}
	for (void *it = json_object_iter((json_t *)(uintptr_t)v); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)v, it))
		if (!skip || strcmp(skip, json_object_iter_key(it)))
			pairs[n++] = (struct pair){ json_object_iter_key(it),
						    json_object_iter_value(it) };
	pairs_sort(pairs, n);
	if (!r)
		r = put_members(o, pairs, n, depth);
	return r ? r : out_char(o, '}');
}

static int put_array(struct out *o, const json_t *v, unsigned depth)
{
	size_t n = json_array_size(v);
	int r = out_char(o, '[');

	for (size_t i = 0; !r && i < n; i++) {
		if (i)
			r = out_char(o, ',');
		if (!r)
			r = put_value(o, json_array_get(v, i), depth + 1, NULL);
	}
	return r ? r : out_char(o, ']');
}

static int put_branch(struct out *o, const json_t *v, unsigned depth, const char *skip)
{
	unsigned max = o->rules.depth ? o->rules.depth : CANON_DEPTH_MAX;
	size_t start = o->given + o->used;
	int r;

	if (depth > max)
		return err_set(o->e, -EMSGSIZE, "deeper than %u levels", max);
	r = json_is_array(v) ? put_array(o, v, depth) : put_object(o, v, depth, skip);
	for (size_t i = 0; i < o->n_marks; i++)
		if (o->marks[i].value == v) {
			o->marks[i].start = start;
			o->marks[i].end = o->given + o->used;
		}
	return r;
}

static int put_value(struct out *o, const json_t *v, unsigned depth, const char *skip)
{
	if (!v)
		return err_set(o->e, -EINVAL, "no value");
	if (o->rules.nodes && ++o->seen > o->rules.nodes)
		return err_set(o->e, -EMSGSIZE, "more than %u values", o->rules.nodes);
	switch (json_typeof(v)) {
	case JSON_OBJECT:
	case JSON_ARRAY: return put_branch(o, v, depth, skip);
	case JSON_STRING: return put_string(o, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
	case JSON_REAL: return put_number(o, v);
	case JSON_TRUE: return out_put(o, "true", 4);
	case JSON_FALSE: return out_put(o, "false", 5);
	case JSON_NULL: return out_put(o, "null", 4);
	}
	return err_set(o->e, -EINVAL, "unknown kind of value");
}

static int write_(struct out *o, const json_t *v, const char *skip)
{
	int r = put_value(o, v, 1, skip);

	return r ? r : out_flush(o);
}

int canon_write(const json_t *v, canon_sink sink, void *arg, struct err *e)
{
	struct out o = { .sink = sink, .arg = arg, .e = e };

	return write_(&o, v, NULL);
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
		size_t cap = 2 * (t->len + n) + 4096;
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

/* o writes into t. */
static int text_(struct out *o, struct text *t, const json_t *v, char **ret, size_t *ret_len)
{
	int r = put_value(o, v, 1, NULL);

	if (!r)
		r = out_flush(o);
	if (!r && !t->p)
		r = -ENOMEM;
	if (r) {
		free(t->p);
		return err_set(o->e, r,
			       r == -EMSGSIZE ? "canonical form: above its size limit"
					      : "canonical form: no memory");
	}
	t->p[t->len] = 0;
	*ret = t->p;
	if (ret_len)
		*ret_len = t->len;
	return 0;
}

int canon_text(const json_t *v, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	struct text t = { .max = max };
	struct out o = { .sink = text_sink, .arg = &t, .e = e };

	return text_(&o, &t, v, ret, ret_len);
}

int canon_marked(const json_t *v, size_t max, const struct canon_rules *rules,
		 struct canon_mark *marks, size_t n, char **ret, size_t *ret_len, struct err *e)
{
	struct text t = { .max = max };
	struct out o = {
		.sink = text_sink, .arg = &t, .e = e, .rules = *rules, .marks = marks, .n_marks = n
	};

	return text_(&o, &t, v, ret, ret_len);
}

static int hash_sink(void *arg, const char *p, size_t n)
{
	sha256_add(arg, p, n);
	return 0;
}

static int hash_(const json_t *v, const char *skip, uint8_t out[32], struct err *e)
{
	struct sha256_ctx c;
	struct out o = { .sink = hash_sink, .arg = &c, .e = e };
	int r;

	sha256_begin(&c);
	r = write_(&o, v, skip);
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
