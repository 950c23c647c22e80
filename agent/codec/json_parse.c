/* SPDX-License-Identifier: Apache-2.0 */
/* jansson reads through a call for each byte. Here a string without an escape is checked in place
 * and copied once, which is most of what a signed document consists of. */
#include "agent/codec/json_parse.h"

#include "agent/codec/plain.h"
#include "agent/crypto/crypto.h"

#include <errno.h>
#include <math.h>

struct in {
	const char *start, *p, *end;
	struct err *e;
	char *spare; /* for strings with escapes: as long as the text */
	const struct json_limits *lim;
	unsigned depth, nodes;
};

static int bad(const struct in *in, const char *why)
{
	return err_set(in->e, -EBADMSG, "body: not JSON at byte %zu: %s",
		       (size_t)(in->p - in->start), why);
}

static int no_memory(const struct in *in)
{
	return err_set(in->e, -ENOMEM, "body: no memory");
}

/* Before each bracket that opens and behind each comma. */
static int count(struct in *in)
{
	if (in->depth > in->lim->depth)
		return err_set(in->e, -EMSGSIZE, "body: deeper than %u levels", in->lim->depth);
	if (++in->nodes > in->lim->nodes)
		return err_set(in->e, -EMSGSIZE, "body: more than %u values", in->lim->nodes);
	return 0;
}

static void space(struct in *in)
{
	while (in->p < in->end &&
	       (*in->p == ' ' || *in->p == '\n' || *in->p == '\t' || *in->p == '\r'))
		in->p++;
}

static bool take(struct in *in, char c)
{
	if (in->p == in->end || *in->p != c)
		return false;
	in->p++;
	return true;
}

/* --- strings --- */

size_t json_utf8(const char *p, size_t left)
{
	unsigned char c = (unsigned char)p[0];
	size_t n = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	unsigned char second;

	if (!n || left < n)
		return 0;
	second = (unsigned char)p[1];
	if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
	    (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static int hex4(const struct in *in, const char *p, unsigned *ret)
{
	uint8_t b[2] = { 0 };

	if (in->end - p < 4 || hex_decode(p, 4, b, sizeof(b)) != 2)
		return bad(in, "four hex digits required");
	*ret = (unsigned)b[0] << 8 | b[1];
	return 0;
}

static size_t put_utf8(char *o, unsigned c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n; i-- > 1; c >>= 6)
		o[i] = (char)(0x80 | (c & 0x3f));
	o[0] = (char)(lead[n] | c);
	return n;
}

/* After "\u": the character, both halves of a pair. */
static int unicode(struct in *in, unsigned *ret)
{
	unsigned hi = 0, lo = 0;
	int r = hex4(in, in->p, &hi);

	if (r)
		return r;
	in->p += 4;
	if (!hi)
		return bad(in, "\\u0000 is not allowed");
	*ret = hi;
	if (hi < 0xd800 || hi > 0xdfff)
		return 0;
	if (hi > 0xdbff || in->end - in->p < 6 || in->p[0] != '\\' || in->p[1] != 'u')
		return bad(in, "half of a surrogate pair");
	r = hex4(in, in->p + 2, &lo);
	if (r)
		return r;
	if (lo < 0xdc00 || lo > 0xdfff)
		return bad(in, "half of a surrogate pair");
	in->p += 6;
	*ret = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
	return 0;
}

static int escape(struct in *in, char *o, size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = in->p < in->end && *in->p ? strchr(from, *in->p) : NULL;
	unsigned c = 0;
	int r;

	if (at) {
		in->p++;
		o[(*n)++] = to[at - from];
		return 0;
	}
	if (!take(in, 'u'))
		return bad(in, "no such escape");
	r = unicode(in, &c);
	if (!r)
		*n += put_utf8(o + *n, c);
	return r;
}

/* As far as the text needs no change. */
static int plain(struct in *in)
{
	const char *p = in->p;
	size_t n = 1;

	while (n) {
		p += plain_run(p, (size_t)(in->end - p), true);
		in->p = p;
		if (p == in->end)
			return bad(in, "a string does not end");
		if (*p == '"' || *p == '\\')
			return 0;
		if ((unsigned char)*p < 0x20)
			return bad(in, "control character in a string");
		n = json_utf8(p, (size_t)(in->end - p));
		p += n;
	}
	return bad(in, "not UTF-8");
}

/* After the opening quote. *ret is in the text or in spare, and lasts until the next string. */
static int string(struct in *in, const char **ret, size_t *len)
{
	const char *from = in->p;
	char *o = in->spare;
	size_t n = 0;
	int r = plain(in);

	if (!r && take(in, '"')) {
		*ret = from;
		*len = (size_t)(in->p - 1 - from);
		return 0;
	}
	while (!r) {
		memcpy(o + n, from, (size_t)(in->p - from));
		n += (size_t)(in->p - from);
		if (take(in, '"'))
			break;
		in->p++;
		r = escape(in, o, &n);
		from = in->p;
		r = r ? r : plain(in);
	}
	*ret = o;
	*len = n;
	return r;
}

/* --- numbers --- */

static size_t digits(struct in *in)
{
	const char *from = in->p;

	while (in->p < in->end && *in->p >= '0' && *in->p <= '9')
		in->p++;
	return (size_t)(in->p - from);
}

static int real(struct in *in, const char *from, json_t **ret)
{
	char few[64];
	size_t n = (size_t)(in->p - from);
	auto_free char *many = n < sizeof(few) ? NULL : malloc(n + 1);
	char *t = n < sizeof(few) ? few : many;
	double v;

	if (!t)
		return no_memory(in);
	memcpy(t, from, n);
	t[n] = 0;
	v = strtod(t, NULL);
	if (!isfinite(v))
		return bad(in, "number too large");
	*ret = json_real(v);
	return *ret ? 0 : no_memory(in);
}

static int integer(struct in *in, const char *from, json_t **ret)
{
	bool minus = *from == '-';
	json_int_t v = 0;

	for (from += minus; from < in->p; from++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    (minus ? __builtin_sub_overflow(v, *from - '0', &v)
			   : __builtin_add_overflow(v, *from - '0', &v)))
			return bad(in, "integer too large");
	*ret = json_integer(v);
	return *ret ? 0 : no_memory(in);
}

static int number(struct in *in, json_t **ret)
{
	const char *from = in->p;
	bool is_real = false;

	(void)take(in, '-');
	if (!take(in, '0') && !digits(in))
		return bad(in, "a value is required");
	if (take(in, '.')) {
		is_real = true;
		if (!digits(in))
			return bad(in, "a digit is required");
	}
	if (take(in, 'e') || take(in, 'E')) {
		is_real = true;
		if (!take(in, '+'))
			(void)take(in, '-');
		if (!digits(in))
			return bad(in, "a digit is required");
	}
	return is_real ? real(in, from, ret) : integer(in, from, ret);
}

/* --- values --- */

static int value(struct in *in, json_t **ret);

static int member(struct in *in, json_t *o)
{
	size_t len = 0, had = json_object_size(o);
	const char *at = in->p, *text = NULL;
	auto_free char *key = NULL;
	json_t *v = NULL;
	int r;

	if (!take(in, '"'))
		return bad(in, "a key is required");
	r = string(in, &text, &len);
	if (r)
		return r;
	if (text == in->spare) { /* the value's strings will need the room */
		key = malloc(len + 1);
		if (!key)
			return no_memory(in);
		memcpy(key, text, len);
		text = key;
	}
	space(in);
	if (!take(in, ':'))
		return bad(in, "':' is required");
	r = value(in, &v);
	if (r)
		return r;
	if (json_object_setn_new_nocheck(o, text, len, v))
		return no_memory(in);
	in->p = json_object_size(o) == had ? at : in->p;
	return json_object_size(o) == had ? bad(in, "duplicate key") : 0;
}

static int element(struct in *in, json_t *a)
{
	json_t *v = NULL;
	int r = value(in, &v);

	if (!r && json_array_append_new(a, v))
		r = no_memory(in);
	return r;
}

/* After the opening bracket. */
static int branch(struct in *in, json_t *v, char close)
{
	int r = 0;

	space(in);
	if (take(in, close))
		return 0;
	do {
		space(in);
		r = close == '}' ? member(in, v) : element(in, v);
		space(in);
	} while (!r && take(in, ',') && !(r = count(in)));
	return r || take(in, close) ? r : bad(in, "',' or the closing bracket is required");
}

/* At an opening bracket. */
static int container(struct in *in, json_t **ret)
{
	bool object = *in->p++ == '{';
	int r;

	in->depth++;
	r = count(in);
	if (r)
		return r;
	*ret = object ? json_object() : json_array();
	r = *ret ? branch(in, *ret, object ? '}' : ']') : no_memory(in);
	in->depth--;
	return r;
}

static int word(struct in *in, json_t **ret)
{
	static const struct {
		const char *text;
		size_t n;
	} words[] = { { "true", 4 }, { "false", 5 }, { "null", 4 } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if ((size_t)(in->end - in->p) >= words[i].n &&
		    !memcmp(in->p, words[i].text, words[i].n)) {
			in->p += words[i].n;
			*ret = i == 0 ? json_true() : i == 1 ? json_false() : json_null();
			return 0;
		}
	return number(in, ret);
}

static int value(struct in *in, json_t **ret)
{
	const char *text = NULL;
	json_t *v = NULL;
	size_t len = 0;
	char c;
	int r = 0;

	space(in);
	c = in->p < in->end ? *in->p : 0;
	if (c == '"') {
		in->p++;
		r = string(in, &text, &len);
		v = r ? NULL : json_stringn_nocheck(text, len);
	} else if (c == '{' || c == '[') {
		r = container(in, &v);
	} else {
		return word(in, ret);
	}
	if (!r && !v)
		r = no_memory(in);
	if (r) {
		json_decref(v);
		return r;
	}
	*ret = v;
	return 0;
}

int json_parse(json_t **ret, const char *text, size_t len, const struct json_limits *lim,
	       struct err *e)
{
	struct in in = { text, text, text + len, e, NULL, lim, 0, 1 };
	auto_free char *spare = memchr(text, '\\', len) ? malloc(len) : NULL;
	json_t *v = NULL;
	int r;

	if (!spare && memchr(text, '\\', len))
		return no_memory(&in);
	in.spare = spare;
	space(&in);
	if (in.p == in.end || (*in.p != '{' && *in.p != '['))
		return bad(&in, "an object or an array is required");
	r = value(&in, &v);
	space(&in);
	if (!r && in.p != in.end)
		r = bad(&in, "something follows the value");
	if (r) {
		json_decref(v);
		return r;
	}
	*ret = v;
	return 0;
}
