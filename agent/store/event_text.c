/* SPDX-License-Identifier: Apache-2.0 */
/* event_text.c - is this text one that the log takes? It is asked when an event is staged, so that
 * a bad one is refused then; verification asks again, of SQLite itself. What passes here
 * passes there: RFC 8259, and a top-level "seq" that is the row's number or null. */
#include <endian.h>
#include <stddef.h>
#include "db.h"

enum { DEPTH_MAX = 512 };

struct scan {
	const char *p, *end;
	uint64_t seq;
};

static bool space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static char peek(struct scan *s)
{
	while (s->p < s->end && space(*s->p))
		s->p++;
	return s->p < s->end ? *s->p : '\0';
}

static bool digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static bool take(struct scan *s, char c)
{
	bool is = s->p < s->end && *s->p == c;

	s->p += is;
	return is;
}

static bool number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !digits(s))
		return false;
	if (take(s, '.') && !digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			(void)take(s, '-');
		return digits(s);
	}
	return true;
}

static bool escape(struct scan *s)
{
	if (s->p >= s->end || !strchr("\"\\/bfnrtu", *s->p))
		return false;
	if (*s->p++ != 'u')
		return true;
	for (int i = 0; i < 4; i++, s->p++)
		if (s->p >= s->end || !*s->p || !strchr("0123456789abcdefABCDEF", *s->p))
			return false;
	return true;
}

typedef uint8_t block __attribute__((vector_size(16)));

/* Up to the next byte that ends a string or needs a look (a quote, a backslash, what is below a
 * space), sixteen at a time; the text's last fifteen are left to the caller. */
static void plain(struct scan *s)
{
	for (; s->end - s->p >= (ptrdiff_t)sizeof(block); s->p += sizeof(block)) {
		uint64_t hit[2];
		block w, is;

		memcpy(&w, s->p, sizeof(w));
		is = (block)(w == '"') | (block)(w == '\\') | (block)(w < 0x20);
		memcpy(hit, &is, sizeof(hit));
		if (hit[0] | hit[1]) {
			s->p += hit[0] ? __builtin_ctzll(le64toh(hit[0])) / 8
				       : 8 + __builtin_ctzll(le64toh(hit[1])) / 8;
			return;
		}
	}
}

static bool string(struct scan *s)
{
	if (!take(s, '"'))
		return false;
	for (plain(s); s->p < s->end;) {
		unsigned char c = (unsigned char)*s->p++;

		if (c == '"')
			return true;
		if (c < 0x20 || (c == '\\' && !escape(s)))
			return false;
	}
	return false;
}

static bool word(struct scan *s, const char *w)
{
	size_t n = strlen(w);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n) != 0)
		return false;
	s->p += n;
	return true;
}

static bool scalar(struct scan *s)
{
	switch (peek(s)) {
	case '"': return string(s);
	case 't': return word(s, "true");
	case 'f': return word(s, "false");
	case 'n': return word(s, "null");
	default: return number(s);
	}
}

static bool seq_is(struct scan *s)
{
	char text[24], c = peek(s), *p = text + sizeof(text) - 1;
	uint64_t n = s->seq;

	*p = '\0';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	if (!word(s, c == 'n' ? "null" : p))
		return false;
	c = peek(s);
	return c == ',' || c == '}';
}

/* A member's name and colon; *seq: that it is "seq". */
static bool name(struct scan *s, bool *seq)
{
	const char *from;

	(void)peek(s);
	from = s->p;
	if (!string(s))
		return false;
	*seq = s->p - from == 5 && !memcmp(from, "\"seq\"", 5);
	return peek(s) == ':' && take(s, ':');
}

/* Closes what ends here; 0 = a value follows, 1 = the text's value is whole, -1 = malformed. */
static int after(struct scan *s, const bool *object, unsigned *depth)
{
	while (*depth) {
		char c = peek(s);

		if (take(s, ','))
			return 0;
		if (c != (object[*depth - 1] ? '}' : ']') || !take(s, c))
			return -1;
		--*depth;
	}
	return 1;
}

bool event_text_ok(const char *text, size_t len, uint64_t seq)
{
	struct scan s = { text, text + len, seq };
	bool object[DEPTH_MAX], is_seq;
	unsigned depth = 0;
	int r = 0;

	while (r == 0) {
		char c;

		is_seq = false;
		if (depth && object[depth - 1] && !name(&s, &is_seq))
			return false;
		c = peek(&s);
		if (is_seq && depth == 1) {
			if (!seq_is(&s))
				return false;
		} else if (c == '{' || c == '[') {
			if (depth == DEPTH_MAX)
				return false;
			object[depth++] = c == '{';
			s.p++;
			if (peek(&s) != (c == '{' ? '}' : ']'))
				continue;
		} else if (!scalar(&s)) {
			return false;
		}
		r = after(&s, object, &depth);
	}
	return r > 0 && peek(&s) == '\0' && s.p == s.end;
}
