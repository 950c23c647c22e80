/* SPDX-License-Identifier: Apache-2.0 */
#include "sign_scan_core.h"

#include "treaty/pure.h"

#define INT_SAFE_MAX 9007199254740991LL /* 2^53 - 1 */

void scan_begin(struct sign_scan *s, const char *const path[SCAN_FIELDS])
{
	memset(s, 0, sizeof(*s));
	s->path = path;
	s->field = -1;
}

/* One more byte of the path. What does not fit matches nothing: the path is full then, and no path
 * that is asked for is that long. */
static void path_add(struct sign_scan *s, char c)
{
	uint16_t *n = &s->at_len[s->depth];

	if (*n < SCAN_PATH_MAX - 1)
		s->at[(*n)++] = c;
}

/* A dot inside a name is no step, nor is a name ever what stands for an array. */
static void key_byte(struct sign_scan *s, char c)
{
	path_add(s, c == '.' || c == '[' ? '?' : c);
}

static void key_begin(struct sign_scan *s)
{
	s->at_len[s->depth] = s->at_len[s->depth - 1];
	if (s->depth > 1)
		path_add(s, '.');
}

static void value_begin(struct sign_scan *s)
{
	size_t n = s->at_len[s->depth];

	if (s->field >= 0 || !(s->objects >> s->depth & 1))
		return;
	for (int i = 0; i < SCAN_FIELDS; i++) {
		if (!s->path[i] || strlen(s->path[i]) != n || memcmp(s->path[i], s->at, n) != 0)
			continue;
		s->bad |= s->len[i] != 0;
		s->field = i;
		s->field_depth = s->depth;
		return;
	}
}

static void value_byte(struct sign_scan *s, char c)
{
	size_t *n;

	if (s->field < 0)
		return;
	n = &s->len[s->field];
	if (*n == SCAN_VALUE_MAX - 1)
		s->bad = true;
	else
		s->value[s->field][(*n)++] = c;
}

static void open_(struct sign_scan *s, bool object)
{
	if (s->depth == SCAN_DEPTH_MAX - 1 || (!s->depth && (!object || s->at_len[0]))) {
		s->bad = true;
		return;
	}
	s->depth++;
	s->at_len[s->depth] = s->at_len[s->depth - 1];
	s->objects &= ~(1ull << s->depth);
	if (object)
		s->objects |= 1ull << s->depth;
	else
		path_add(s, '[');
	s->wants_key = object;
}

static void close_(struct sign_scan *s)
{
	if (!s->depth) {
		s->bad = true;
		return;
	}
	s->depth--;
	s->wants_key = false;
	if (!s->depth)
		s->at_len[0] = 1; /* over: nothing may follow */
}

static void text_byte(struct sign_scan *s, char c)
{
	if (s->escaped)
		s->escaped = false;
	else if (c == '\\')
		s->escaped = true;
	else if (c == '"')
		s->in_text = false;
	if (s->in_key && s->in_text)
		key_byte(s, c);
}

/* A value that is read ends where its object goes on or ends. */
static void mark(struct sign_scan *s, char c)
{
	bool ends = c == ',' || c == '}' || c == ']';

	if (s->field >= 0 && ends && s->depth == s->field_depth)
		s->field = -1;
	value_byte(s, c);
	switch (c) {
	case '"':
		s->in_text = true;
		s->in_key = s->wants_key;
		if (s->in_key)
			key_begin(s);
		s->wants_key = false;
		break;
	case '{': open_(s, true); break;
	case '[': open_(s, false); break;
	case '}':
	case ']': close_(s); break;
	case ':': value_begin(s); break;
	case ',': s->wants_key = s->objects >> s->depth & 1; break;
	default: s->bad |= !s->depth; break;
	}
}

void scan_feed(struct sign_scan *s, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n && !s->bad; i++) {
		char c = (char)p[i];

		if (!s->in_text) {
			mark(s, c);
			continue;
		}
		value_byte(s, c);
		text_byte(s, c);
	}
}

bool scan_whole(const struct sign_scan *s)
{
	return !s->bad && !s->depth && s->at_len[0];
}

bool scan_text(const struct sign_scan *s, int field, const char **ret, size_t *ret_len)
{
	const char *v = s->value[field];
	size_t n = s->len[field];

	if (n < 2 || v[0] != '"' || v[n - 1] != '"')
		return false;
	for (size_t i = 0; i < n; i++)
		if (v[i] == '\\')
			return false;
	*ret = v + 1;
	*ret_len = n - 2;
	return true;
}

bool scan_int(const struct sign_scan *s, int field, int64_t *ret)
{
	const char *v = s->value[field];
	size_t n = s->len[field];
	int64_t x = 0;

	if (!n || n > 16 || (n > 1 && v[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (v[i] < '0' || v[i] > '9')
			return false;
		x = x * 10 + (v[i] - '0');
	}
	*ret = x;
	return x <= INT_SAFE_MAX;
}
