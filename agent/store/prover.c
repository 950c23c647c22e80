/* SPDX-License-Identifier: Apache-2.0 */
/* prover.c - many inclusion proofs of one tree: its leaves are read once and every whole subtree is
 * hashed once, so that a proof takes the logarithm of the tree. */
#include <errno.h>
#include "db.h"

enum { LEVELS = 40 };

struct store_prover {
	uint64_t size;
	struct hash *level[LEVELS]; /* [0] the leaves, [k] the whole subtrees of 2^k */
};

struct store_prover *store_prover_free(struct store_prover *p)
{
	for (unsigned k = 0; p && k < LEVELS; k++)
		free(p->level[k]);
	free(p);
	return NULL;
}

static int read_leaves(struct store *s, struct store_prover *p, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	uint64_t n = 0;
	int r = log_write(s, e);

	if (!r)
		r = db_bind(s, Q_EVENT_LEAVES, &st, e, "ii", (int64_t)0, (int64_t)p->size);
	while (r >= 0 && (r = db_step(s, st, e)) > 0)
		if (n == p->size || sqlite3_column_int64(st, 2) != (int64_t)n + 1 ||
		    !db_hash(st, 0, &p->level[0][n++]))
			return err_set(e, -EUCLEAN, "event %llu: missing or without a leaf",
				       (unsigned long long)n + 1);
	if (r == 0 && n != p->size)
		return err_set(e, -ERANGE, "size: the log has %llu events", (unsigned long long)n);
	return r;
}

int store_prover_new(struct store *s, uint64_t size, struct store_prover **ret, struct err *e)
{
	struct store_prover *p = calloc(1, sizeof(*p));
	int r = 0;

	if (size > STORE_PROVER_MAX) {
		free(p);
		return err_set(e, -EFBIG, "size: at most %d events", STORE_PROVER_MAX);
	}
	if (p)
		p->size = size;
	for (unsigned k = 0; p && !r && size >> k; k++) {
		p->level[k] = malloc((size >> k) * sizeof(struct hash));
		if (!p->level[k])
			r = -ENOMEM;
		else if (k == 0)
			r = read_leaves(s, p, e);
		for (uint64_t i = 0; !r && k && i < size >> k; i++)
			p->level[k][i] =
				hash_node(&p->level[k - 1][2 * i], &p->level[k - 1][2 * i + 1]);
	}
	if (!p || r) {
		p = store_prover_free(p);
		return r && r != -ENOMEM ? r : err_set(e, -ENOMEM, "store: out of memory");
	}
	*ret = p;
	return 0;
}

/* Root of [from, to), where from is a multiple of the power of two that holds to - from. */
static struct hash range(const struct store_prover *p, uint64_t from, uint64_t to)
{
	struct merkle m = { .size = to - from };

	/* The binary digits of the length are whole subtrees, largest first. */
	for (int k = LEVELS - 1; k >= 0; k--)
		if (m.size >> k & 1) {
			m.node[k] = p->level[k][from >> k];
			from += 1ULL << k;
		}
	return merkle_root(&m);
}

int store_prover_inclusion(const struct store_prover *p, uint64_t seq, struct merkle_proof *ret)
{
	uint64_t from = 0, to = p->size, index = seq - 1;
	unsigned n = 0;

	if (!seq || index >= p->size)
		return -ERANGE;
	while (to - from > 1) {
		uint64_t mid = from + (1ULL << (63 - __builtin_clzll(to - from - 1)));
		bool left = index < mid;

		ret->node[n++] = left ? range(p, mid, to) : range(p, from, mid);
		if (left)
			to = mid;
		else
			from = mid;
	}
	ret->n = n;
	for (unsigned i = 0; i < n / 2; i++) { /* deepest first */
		struct hash h = ret->node[i];

		ret->node[i] = ret->node[n - 1 - i];
		ret->node[n - 1 - i] = h;
	}
	return 0;
}
