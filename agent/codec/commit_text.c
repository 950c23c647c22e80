/* SPDX-License-Identifier: Apache-2.0 */
/* The digest of an event straight from its row: what the log holds is canonical text already, so
 * the text of a value is what its leaf hashes. Anything that could have another canonical text (an
 * escape, a byte beyond ASCII, a blank, another number, names out of order) is for the tree. */
#include "agent/codec/commit.h"

#include "agent/codec/commit_i.h"

#include <errno.h>
#include <stdio.h>

enum { DEPTH_MAX = 32, DIGITS_MAX = 15 };

struct text {
	const char *p, *end;
	unsigned depth;
};

static bool take(struct text *t, char c)
{
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

static bool at(const struct text *t, char c)
{
	return t->p < t->end && *t->p == c;
}

static bool skip_string(struct text *t)
{
	if (!take(t, '"'))
		return false;
	while (t->p < t->end && *t->p >= 0x20 && *t->p < 0x7f && *t->p != '"' && *t->p != '\\')
		t->p++;
	return take(t, '"');
}

static bool skip_number(struct text *t)
{
	const char *from;

	(void)take(t, '-');
	from = t->p;
	while (t->p < t->end && *t->p >= '0' && *t->p <= '9')
		t->p++;
	if (t->p == from || t->p - from > DIGITS_MAX)
		return false;
	return *from != '0' || (t->p - from == 1 && from[-1] != '-');
}

static bool skip_word(struct text *t)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(t->end - t->p) >= n && !memcmp(t->p, words[i], n)) {
			t->p += n;
			return true;
		}
	}
	return false;
}

/* A value that has no digests inside: not an object with members. Arrays of such only. */
static bool skip_plain(struct text *t)
{
	if (at(t, '"'))
		return skip_string(t);
	if (take(t, '{'))
		return take(t, '}');
	if (!take(t, '['))
		return at(t, 't') || at(t, 'f') || at(t, 'n') ? skip_word(t) : skip_number(t);
	if (take(t, ']'))
		return true;
	do {
		if (at(t, '{') || at(t, '[') || !skip_plain(t))
			return false;
	} while (take(t, ','));
	return take(t, ']');
}

static int value(struct text *t, const uint8_t salt[32], uint8_t ret[COMMIT_LEN]);

static int leaf(struct text *t, const uint8_t salt[32], uint8_t ret[COMMIT_LEN])
{
	const char *from = t->p;
	struct sha256_ctx c;

	if (!skip_plain(t))
		return -EDOM;
	sha256_begin(&c);
	sha256_add(&c, salt, 32);
	sha256_add(&c, "[", 1);
	sha256_add(&c, from, (size_t)(t->p - from));
	sha256_add(&c, "]", 1);
	sha256_end(&c, ret);
	return 0;
}

static int part(struct text *t, struct sha256_ctx *c, const uint8_t salt[32], const char *name,
		size_t n)
{
	uint8_t own[32], d[COMMIT_LEN];
	int r;

	commit_salt_n(salt, name, n, own);
	r = value(t, own, d);
	commit_node_add(c, name, n, d);
	return r;
}

/* The last name, to see that they ascend. */
struct last {
	const char *name;
	size_t n;
};

static int member(struct text *t, struct sha256_ctx *c, const uint8_t salt[32], struct last *last)
{
	const char *name = t->p + 1;
	size_t n, common;
	int order;

	if (!skip_string(t) || !take(t, ':'))
		return -EDOM;
	n = (size_t)(t->p - name) - 2;
	common = n < last->n ? n : last->n;
	order = last->name ? memcmp(last->name, name, common) : -1;
	if (order > 0 || (!order && last->n >= n))
		return -EDOM;
	*last = (struct last){ name, n };
	return part(t, c, salt, name, n);
}

static int members(struct text *t, const uint8_t salt[32], uint8_t ret[COMMIT_LEN])
{
	struct last last = { NULL, 0 };
	struct sha256_ctx c;
	int r;

	commit_node_begin(&c, false);
	t->p++;
	do
		r = member(t, &c, salt, &last);
	while (!r && take(t, ','));
	sha256_end(&c, ret);
	return r || take(t, '}') ? r : -EDOM;
}

static int elements(struct text *t, const uint8_t salt[32], uint8_t ret[COMMIT_LEN])
{
	struct sha256_ctx c;
	char name[24];
	size_t i = 0;
	int r;

	commit_node_begin(&c, true);
	t->p++;
	do {
		int n = snprintf(name, sizeof(name), "%zu", i++);

		r = part(t, &c, salt, name, (size_t)n);
	} while (!r && take(t, ','));
	sha256_end(&c, ret);
	return r || take(t, ']') ? r : -EDOM;
}

static int value(struct text *t, const uint8_t salt[32], uint8_t ret[COMMIT_LEN])
{
	char next = t->end - t->p > 1 ? t->p[1] : 0;
	int r;

	if (++t->depth > DEPTH_MAX)
		return -EDOM;
	if (at(t, '{') && next != '}')
		r = members(t, salt, ret);
	else if (at(t, '[') && (next == '{' || next == '['))
		r = elements(t, salt, ret);
	else
		r = leaf(t, salt, ret);
	t->depth--;
	return r;
}

int commit_text(const uint8_t salt[32], const char *text, size_t len, uint8_t ret[COMMIT_LEN])
{
	struct text t = { text, text + len, 0 };
	int r = at(&t, '{') ? value(&t, salt, ret) : -EDOM;

	return r || t.p == t.end ? r : -EDOM;
}
