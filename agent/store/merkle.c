/* SPDX-License-Identifier: Apache-2.0 */
/* merkle.c - RFC 6962 section 2.1; the checks follow RFC 9162 sections 2.1.3.2 and 2.1.4.2. */
#include <errno.h>
#include <stdio.h>
#include <sodium.h>
#include "agent/crypto/crypto.h"
#include "merkle.h"

struct hash hash_bytes(const void *data, size_t len)
{
	struct hash h = { { 0 } };

	sha256(data, len, h.b);
	return h;
}

struct hash hash_leaf(const void *data, size_t len)
{
	struct sha256_ctx st;
	struct hash h = { { 0 } };

	sha256_begin(&st);
	sha256_add(&st, "\0", 1);
	sha256_add(&st, data, len);
	sha256_end(&st, h.b);
	return h;
}

struct hash hash_node(const struct hash *left, const struct hash *right)
{
	uint8_t b[1 + 2 * HASH_LEN];

	b[0] = 1;
	memcpy(b + 1, left->b, HASH_LEN);
	memcpy(b + 1 + HASH_LEN, right->b, HASH_LEN);
	return hash_bytes(b, sizeof(b));
}

bool hash_eq(const struct hash *a, const struct hash *b)
{
	return sodium_memcmp(a->b, b->b, HASH_LEN) == 0;
}

/* Adding is a binary increment: each carry joins two equal subtrees, of 2^level leaves at first. */
static void append_full(struct merkle *m, unsigned level, const struct hash *root)
{
	struct hash h = *root;
	unsigned i = level;

	for (;; i++) {
		if (i == MERKLE_BLOCK)
			m->block = h;
		if (!(m->size >> i & 1))
			break;
		h = hash_node(&m->node[i], &h);
	}
	m->node[i] = h;
	m->size += UINT64_C(1) << level;
}

void merkle_append(struct merkle *m, const struct hash *leaf)
{
	append_full(m, 0, leaf);
}

/* Level by level: what stands alone at a level and what is new there pair up, so that the nodes of
 * one level are hashed together. */
void merkle_append_many(struct merkle *m, const struct hash *leaf, unsigned n)
{
	struct hash row[MERKLE_MANY + 1];
	uint8_t text[MERKLE_MANY / 2 + 1][2 * 64];
	struct sha256_text in[MERKLE_MANY / 2 + 1];
	unsigned k = n;

	memcpy(row + 1, leaf, n * sizeof(*leaf));
	for (unsigned level = 0; k; level++) {
		struct hash *from = row + 1;

		if (level == MERKLE_BLOCK)
			m->block = from[k - 1];
		if (m->size >> level & 1) {
			*--from = m->node[level];
			k++;
		}
		if (k % 2)
			m->node[level] = from[k - 1];
		k /= 2;
		for (unsigned i = 0; i < k; i++) {
			text[i][0] = 1;
			memcpy(text[i] + 1, from + (size_t)2 * i, 2 * HASH_LEN);
			in[i] = sha256_close(text[i], 1 + 2 * HASH_LEN);
		}
		sha256_many(in, k, (uint8_t(*)[SHA256_LEN])(void *)(row + 1));
	}
	m->size += n;
}

struct hash merkle_root(const struct merkle *m)
{
	struct hash h = { { 0 } };
	bool any = false;

	for (unsigned i = 0; i < 64; i++) {
		if (!(m->size >> i & 1))
			continue;
		h = any ? hash_node(&m->node[i], &h) : m->node[i];
		any = true;
	}
	return any ? h : hash_bytes("", 0);
}

/* Root of the leaves [from, to). */
static int range_root(merkle_leaf_fn fn, void *arg, uint64_t from, uint64_t to, struct hash *ret)
{
	const uint64_t n = UINT64_C(1) << MERKLE_BLOCK;
	struct merkle m = { .size = 0 };
	struct hash h;
	int r;

	for (uint64_t i = from; i<to; i += r> 0 ? n : 1) {
		r = fn(arg, i, i % n == 0 && to - i >= n, &h);
		if (r < 0)
			return r;
		append_full(&m, r > 0 ? MERKLE_BLOCK : 0, &h);
	}
	*ret = merkle_root(&m);
	return 0;
}

/* The largest power of two below n, for n >= 2. */
static uint64_t split(uint64_t n)
{
	return 1ULL << (63 - __builtin_clzll(n - 1));
}

struct sibling {
	uint64_t from, to;
};

/* Roots of the collected siblings, deepest first as RFC 6962 lists them; they are read in
 * ascending order of leaves so that the caller may stream. */
static int sibling_roots(merkle_leaf_fn fn, void *arg, const struct sibling *sib, unsigned n,
			 struct merkle_proof *ret)
{
	struct merkle_proof p = { .n = n };
	bool done[MERKLE_PROOF_MAX] = { false };

	for (unsigned k = 0; k < n; k++) {
		unsigned low = n;
		int r;

		for (unsigned i = 0; i < n; i++)
			if (!done[i] && (low == n || sib[i].from < sib[low].from))
				low = i;
		r = range_root(fn, arg, sib[low].from, sib[low].to, &p.node[n - 1 - low]);
		if (r < 0)
			return r;
		done[low] = true;
	}
	*ret = p;
	return 0;
}

int merkle_prove_inclusion(merkle_leaf_fn fn, void *arg, uint64_t index, uint64_t size,
			   struct merkle_proof *ret)
{
	struct sibling sib[MERKLE_PROOF_MAX];
	uint64_t from = 0, to = size;
	unsigned n = 0;

	if (index >= size)
		return -EINVAL;
	while (to - from > 1) {
		uint64_t mid = from + split(to - from);

		if (index < mid) {
			sib[n++] = (struct sibling){ mid, to };
			to = mid;
		} else {
			sib[n++] = (struct sibling){ from, mid };
			from = mid;
		}
	}
	return sibling_roots(fn, arg, sib, n, ret);
}

int merkle_prove_consistency(merkle_leaf_fn fn, void *arg, uint64_t old, uint64_t size,
			     struct merkle_proof *ret)
{
	struct sibling sib[MERKLE_PROOF_MAX];
	uint64_t from = 0, to = size;
	unsigned n = 0;

	if (old > size)
		return -EINVAL;
	if (old == 0 || old == size) {
		ret->n = 0;
		return 0;
	}
	while (old != to) {
		uint64_t mid = from + split(to - from);

		if (old <= mid) {
			sib[n++] = (struct sibling){ mid, to };
			to = mid;
		} else {
			sib[n++] = (struct sibling){ from, mid };
			from = mid;
		}
	}
	/* The old tree's own last subtree; left out when it is the whole old tree, whose root the
	 * verifier holds. */
	if (from != 0)
		sib[n++] = (struct sibling){ from, to };
	return sibling_roots(fn, arg, sib, n, ret);
}

int merkle_check_inclusion(const struct hash *leaf, uint64_t index, uint64_t size,
			   const struct merkle_proof *p, const struct hash *root)
{
	uint64_t fn = index, sn = size - 1;
	struct hash r = *leaf;

	if (index >= size || p->n > MERKLE_PROOF_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < p->n; i++) {
		if (sn == 0)
			return -EBADMSG;
		if ((fn & 1) || fn == sn) {
			r = hash_node(&p->node[i], &r);
			for (; !(fn & 1) && fn != 0; fn >>= 1)
				sn >>= 1;
		} else {
			r = hash_node(&r, &p->node[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && hash_eq(&r, root) ? 0 : -EBADMSG;
}

/* RFC 9162 2.1.4.2 steps 3 to 5, for 0 < old < size and a proof that is not empty: the two roots to
 * which the proof leads. first: the old tree's root where it is itself the first node. */
static int roots_of(uint64_t old, uint64_t size, const struct merkle_proof *p,
		    const struct hash *first, struct hash *fr, struct hash *sr)
{
	uint64_t fn = old - 1, sn = size - 1;
	unsigned i = first ? 0 : 1;

	*fr = *sr = first ? *first : p->node[0];
	for (; fn & 1; fn >>= 1)
		sn >>= 1;
	for (; i < p->n; i++) {
		if (sn == 0)
			return -EBADMSG;
		if ((fn & 1) || fn == sn) {
			*fr = hash_node(&p->node[i], fr);
			*sr = hash_node(&p->node[i], sr);
			for (; !(fn & 1) && fn != 0; fn >>= 1)
				sn >>= 1;
		} else {
			*sr = hash_node(sr, &p->node[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 ? 0 : -EBADMSG;
}

static bool whole(uint64_t old)
{
	return (old & (old - 1)) == 0;
}

static int check_steps(uint64_t old, uint64_t size, const struct merkle_proof *p,
		       const struct hash *old_root, const struct hash *root)
{
	struct hash fr, sr;

	if (roots_of(old, size, p, whole(old) ? old_root : NULL, &fr, &sr))
		return -EBADMSG;
	return hash_eq(&fr, old_root) && hash_eq(&sr, root) ? 0 : -EBADMSG;
}

int merkle_old_root(uint64_t old, uint64_t size, const struct merkle_proof *p,
		    const struct hash *root, struct hash *ret)
{
	struct hash sr;

	if (old == 0 || old >= size || whole(old) || p->n == 0 || p->n > MERKLE_PROOF_MAX)
		return -EINVAL;
	if (roots_of(old, size, p, NULL, ret, &sr))
		return -EBADMSG;
	return hash_eq(&sr, root) ? 0 : -EBADMSG;
}

int merkle_check_consistency(uint64_t old, uint64_t size, const struct merkle_proof *p,
			     const struct hash *old_root, const struct hash *root)
{
	if (old > size || p->n > MERKLE_PROOF_MAX)
		return -EINVAL;
	if (old == size)
		return p->n == 0 && hash_eq(old_root, root) ? 0 : -EBADMSG;
	if (old == 0) {
		struct hash empty = hash_bytes("", 0);

		return p->n == 0 && hash_eq(old_root, &empty) ? 0 : -EBADMSG;
	}
	return p->n == 0 ? -EBADMSG : check_steps(old, size, p, old_root, root);
}

int merkle_checkpoint(char *buf, size_t cap, const char *origin, uint64_t size,
		      const struct hash *root)
{
	char b64[sodium_base64_ENCODED_LEN(HASH_LEN, sodium_base64_VARIANT_ORIGINAL)];
	int n;

	if (!origin || !*origin)
		return -EINVAL;
	for (const char *p = origin; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == '+' || *p == 0x7f)
			return -EINVAL;
	(void)sodium_bin2base64(b64, sizeof(b64), root->b, HASH_LEN,
				sodium_base64_VARIANT_ORIGINAL);
	n = snprintf(buf, cap, "%s\n%llu\n%s\n", origin, (unsigned long long)size, b64);
	return n < 0 || (size_t)n >= cap ? -ENOSPC : n;
}
