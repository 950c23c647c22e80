/* SPDX-License-Identifier: Apache-2.0 */
/* The digest of an event straight from its row: what the log holds is canonical text already, so
 * the text of a value is what its leaf hashes. Anything that could have another canonical text (an
 * escape, a byte beyond ASCII, a blank, another number, names out of order) is for the tree, and so
 * is what has more values than there is room for.
 *
 * The values are found first. Then all salts of one depth are made, all leaves, and the nodes from
 * the last one up: short texts that wait for nothing are hashed side by side. */
#include "agent/codec/commit.h"

#include "agent/codec/commit_i.h"
#include "agent/codec/plain.h"

#include <errno.h>
#include <stdio.h>

enum {
	DEPTH_MAX = 32,
	DIGITS_MAX = 15,
	NODES_MAX = 1024, /* values of an event */
	KEY_MAX = 64,     /* bytes of a name */
	AT_ONCE = 32,     /* texts of one batch, */
	SLOT = 128,       /* each of two blocks at most: */
	ONE_BLOCK = 55,   /* so many bytes fill one with their padding, */
	TWO_BLOCKS = 119, /* so many two */
	NODE_MAX = 4096,  /* bytes of a node that is hashed beside others */
	ROOM = 16384,     /* for such */
};
_Static_assert(COMMIT_SALT_LEN + 32 + KEY_MAX <= TWO_BLOCKS, "a salt's text has two blocks");

/* A value. Those inside of it follow it. */
struct node {
	const char *name, *text;
	uint32_t name_len, len; /* of a leaf's text */
	uint16_t parent, end;   /* the value around it; the first one that is not inside of it */
	uint8_t depth;
	bool inner, array;
	char index[8]; /* the name of an element, below NODES_MAX, with its end */
	uint8_t h[32]; /* its salt, then its digest */
};

/* Texts of as many blocks each, whose hashes are to[i]->h. */
struct batch {
	unsigned n;
	struct node *to[AT_ONCE];
	struct sha256_text in[AT_ONCE];
	uint8_t slot[AT_ONCE][SLOT];
};

/* Nodes of one depth, of any length, in `bytes`. */
struct joins {
	unsigned n;
	size_t used;
	struct node *to[AT_ONCE];
	struct sha256_text in[AT_ONCE];
	uint8_t bytes[ROOM];
};

struct text {
	const char *p, *end;
	unsigned depth, n, deepest;
	unsigned upto[DEPTH_MAX + 1]; /* of by_depth: so many stand above that depth */
	uint16_t by_depth[NODES_MAX];
	struct node node[NODES_MAX];
	struct batch batch[2]; /* of one block, of two */
	struct joins joins;
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
	t->p += plain_run(t->p, (size_t)(t->end - t->p), true);
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

/* --- the values ------------------------------------------------------------------------------ */

static int value(struct text *t, struct node *v);

/* The next one, inside of parent; NULL = no room. */
static struct node *node_new(struct text *t, const struct node *parent, const char *name, size_t n)
{
	struct node *v = t->n < NODES_MAX ? &t->node[t->n++] : NULL;

	if (v) {
		v->name = name;
		v->name_len = (uint32_t)n;
		v->parent = (uint16_t)(parent - t->node);
	}
	return v;
}

/* last: the name before, to see that they ascend. */
static int member(struct text *t, const struct node *parent, const struct node **last)
{
	const char *name = t->p + 1;
	struct node *v;
	size_t n, common;
	int order = -1;

	if (!skip_string(t) || !take(t, ':'))
		return -EDOM;
	n = (size_t)(t->p - name) - 2;
	if (*last) {
		common = n < (*last)->name_len ? n : (*last)->name_len;
		order = memcmp((*last)->name, name, common);
		order = order ? order : (*last)->name_len < n ? -1 : 1;
	}
	v = order < 0 && n <= KEY_MAX ? node_new(t, parent, name, n) : NULL;
	*last = v;
	return v ? value(t, v) : -EDOM;
}

static int members(struct text *t, const struct node *parent)
{
	const struct node *last = NULL;
	int r;

	t->p++;
	do
		r = member(t, parent, &last);
	while (!r && take(t, ','));
	return r || take(t, '}') ? r : -EDOM;
}

static int elements(struct text *t, const struct node *parent)
{
	unsigned i = 0;
	int r;

	t->p++;
	do {
		struct node *v = node_new(t, parent, NULL, 0);

		if (!v)
			return -EDOM;
		v->name = v->index;
		v->name_len = (uint32_t)snprintf(v->index, sizeof(v->index), "%u", i++);
		r = value(t, v);
	} while (!r && take(t, ','));
	return r || take(t, ']') ? r : -EDOM;
}

static int value(struct text *t, struct node *v)
{
	char next = t->end - t->p > 1 ? t->p[1] : 0;
	int r = 0;

	v->array = at(t, '[') && (next == '{' || next == '[');
	v->inner = v->array || (at(t, '{') && next != '}');
	v->depth = (uint8_t)t->depth;
	v->text = t->p;
	if (t->depth == DEPTH_MAX)
		return -EDOM;
	t->deepest = t->depth > t->deepest ? t->depth : t->deepest;
	t->depth++;
	if (v->inner)
		r = v->array ? elements(t, v) : members(t, v);
	else if (!skip_plain(t))
		r = -EDOM;
	t->depth--;
	v->len = (uint32_t)(t->p - v->text);
	v->end = (uint16_t)t->n;
	return r;
}

/* --- their hashes ---------------------------------------------------------------------------- */

static void hash_to(struct node *const *to, const struct sha256_text *in, unsigned n)
{
	uint8_t out[AT_ONCE][SHA256_LEN];

	sha256_many(in, n, out);
	for (unsigned i = 0; i < n; i++)
		memcpy(to[i]->h, out[i], sizeof(out[i]));
}

static void flush(struct batch *b)
{
	hash_to(b->to, b->in, b->n);
	b->n = 0;
}

static void flush_all(struct text *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->batch); i++)
		flush(&t->batch[i]);
}

/* Where a text of len bytes, TWO_BLOCKS at most, is put whose hash is to->h. */
static uint8_t *slot(struct text *t, struct node *to, size_t len)
{
	struct batch *b = &t->batch[len > ONE_BLOCK];

	if (b->n == AT_ONCE)
		flush(b);
	b->to[b->n] = to;
	b->in[b->n] = sha256_close(b->slot[b->n], len);
	return b->slot[b->n++];
}

static void salt(struct text *t, struct node *v)
{
	uint8_t *p = slot(t, v, COMMIT_SALT_LEN + 32 + v->name_len);

	memcpy(p, COMMIT_SALT, COMMIT_SALT_LEN);
	memcpy(p + COMMIT_SALT_LEN, t->node[v->parent].h, 32);
	memcpy(p + COMMIT_SALT_LEN + 32, v->name, v->name_len);
}

static void leaf(struct text *t, struct node *v)
{
	size_t len = 32 + 1 + (size_t)v->len + 1;
	struct sha256_ctx c;
	uint8_t *p;

	if (len > TWO_BLOCKS) {
		sha256_begin(&c);
		sha256_add(&c, v->h, 32);
		sha256_add(&c, "[", 1);
		sha256_add(&c, v->text, v->len);
		sha256_add(&c, "]", 1);
		sha256_end(&c, v->h);
		return;
	}
	p = slot(t, v, len);
	memcpy(p, v->h, 32);
	p[32] = '[';
	memcpy(p + 33, v->text, v->len);
	p[33 + v->len] = ']';
}

/* The values inside of v: the first, and the one after another. */
static const struct node *inside(const struct text *t, const struct node *v, const struct node *in)
{
	const struct node *next = in ? t->node + in->end : v + 1;

	return next < t->node + v->end ? next : NULL;
}

static void join_flush(struct joins *j)
{
	hash_to(j->to, j->in, j->n);
	j->n = 0;
	j->used = 0;
}

static void join_alone(const struct text *t, struct node *v)
{
	const struct node *in = NULL;
	struct sha256_ctx c;

	commit_node_begin(&c, v->array);
	while ((in = inside(t, v, in)))
		commit_node_add(&c, in->name, in->name_len, in->h);
	sha256_end(&c, v->h);
}

/* Over the digests of those inside, which have been made. */
static void join(struct text *t, struct node *v)
{
	struct joins *j = &t->joins;
	const struct node *in = NULL;
	size_t len = 32;
	uint8_t *p;

	while ((in = inside(t, v, in)))
		len += COMMIT_MEMBER(in->name_len);
	if (len > NODE_MAX) {
		join_alone(t, v);
		return;
	}
	if (j->n == AT_ONCE || j->used + sha256_room(len) > ROOM)
		join_flush(j);
	p = j->bytes + j->used;
	j->used += sha256_room(len);
	j->to[j->n] = v;
	j->in[j->n++] = sha256_close(p, len);
	p = commit_node_head(p, v->array);
	while ((in = inside(t, v, in)))
		p = commit_node_member(p, in->name, in->name_len, in->h);
}

static void sort(struct text *t)
{
	unsigned at[DEPTH_MAX] = { 0 };

	for (unsigned i = 0; i < t->n; i++)
		at[t->node[i].depth]++;
	t->upto[0] = 0;
	for (unsigned d = 0; d < DEPTH_MAX; d++) {
		t->upto[d + 1] = t->upto[d] + at[d];
		at[d] = t->upto[d];
	}
	for (unsigned i = 0; i < t->n; i++)
		t->by_depth[at[t->node[i].depth]++] = (uint16_t)i;
}

static void hash_all(struct text *t)
{
	sort(t);
	for (unsigned d = 1; d <= t->deepest; d++) {
		for (unsigned i = t->upto[d]; i < t->upto[d + 1]; i++)
			salt(t, &t->node[t->by_depth[i]]);
		flush_all(t);
	}
	for (unsigned i = 0; i < t->n; i++)
		if (!t->node[i].inner)
			leaf(t, &t->node[i]);
	flush_all(t);
	for (unsigned d = t->deepest + 1; d--;) {
		for (unsigned i = t->upto[d]; i < t->upto[d + 1]; i++)
			if (t->node[t->by_depth[i]].inner)
				join(t, &t->node[t->by_depth[i]]);
		join_flush(&t->joins);
	}
}

int commit_text(const uint8_t around[32], const char *text, size_t len, uint8_t ret[COMMIT_LEN])
{
	struct text t;
	int r;

	t.p = text;
	t.end = text + len;
	t.depth = t.deepest = t.n = 0;
	t.batch[0].n = t.batch[1].n = t.joins.n = 0;
	t.joins.used = 0;
	r = at(&t, '{') ? value(&t, node_new(&t, t.node, NULL, 0)) : -EDOM;
	if (r || t.p != t.end)
		return -EDOM;
	memcpy(t.node[0].h, around, 32);
	hash_all(&t);
	memcpy(ret, t.node[0].h, COMMIT_LEN);
	return 0;
}
