/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs out of the roots of full blocks: the same as those out of all leaves, whichever way the
 * log grew, and without reading the leaves of blocks that they do not cut. */
#include "store_util.h"

enum { BLOCK = 1 << MERKLE_BLOCK, EVENTS = 4 * BLOCK + 77 };

static struct hash leaves[EVENTS + 128];

static int leaf_at(void *arg, uint64_t i, bool block, struct hash *ret)
{
	(void)arg;
	(void)block;
	*ret = leaves[i];
	return 0;
}

static void stage(struct store *s)
{
	uint64_t seq = store_next_seq(s);
	char body[64];
	int n = snprintf(body, sizeof(body), "{\"seq\":%llu,\"x\":%d}", (unsigned long long)seq,
			 rand());

	assert_int_equal(store_stage(s, body, (size_t)n, NULL, NULL), 0);
	leaves[seq - 1] = hash_leaf(body, (size_t)n);
}

static void one_pair(struct store *s, uint64_t old, uint64_t size)
{
	struct merkle_proof a, b;

	assert_int_equal(store_prove_consistency(s, old, size, &a, NULL), 0);
	assert_int_equal(merkle_prove_consistency(leaf_at, NULL, old, size, &b), 0);
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.node, b.node, a.n * sizeof(a.node[0]));
	if (!old)
		return;
	assert_int_equal(store_prove_inclusion(s, old, size, &a, NULL), 0);
	assert_int_equal(merkle_prove_inclusion(leaf_at, NULL, old - 1, size, &b), 0);
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.node, b.node, a.n * sizeof(a.node[0]));
}

/* Around each end of a block, and at places of no order. */
static void same_proofs(struct store *s)
{
	uint64_t size = store_next_seq(s) - 1;

	for (uint64_t at = 0; at <= size; at += at % BLOCK == 0 || at % BLOCK == BLOCK - 1 ? 1 : 85)
		one_pair(s, at, size);
	for (unsigned i = 0; i < 40; i++) {
		uint64_t to = (uint64_t)rand() % size + 1;

		one_pair(s, (uint64_t)rand() % to, to);
	}
}

/* Turns of every length over the ends of blocks, each of which was another first and taken back. */
static struct store *grow(void)
{
	struct store *s = open_ok(STORE_CREATE | STORE_NOSYNC);

	for (unsigned n = 1; store_next_seq(s) <= EVENTS; n = n % 90 + 7) {
		uint64_t kept = store_next_seq(s);

		for (unsigned i = 0; i < n; i++)
			stage(s);
		(void)store_head(s); /* written, not committed */
		assert_int_equal(store_rollback(s, NULL), 0);
		assert_int_equal(store_next_seq(s), kept);
		for (unsigned i = 0; i < n && store_next_seq(s) <= EVENTS; i++)
			stage(s);
		commit_ok(s);
		if (kept % 5 == 0)
			same_proofs(s);
	}
	return s;
}

static void test_same_as_of_leaves(void **state)
{
	struct store *s = grow();

	(void)state;
	same_proofs(s);
	s = store_free(s);
	s = open_ok(0);
	same_proofs(s);
	for (unsigned i = 0; i < 60; i++)
		stage(s);
	same_proofs(s); /* within the turn */
	commit_ok(s);
	s = store_free(s);
	s = open_ok(STORE_READER);
	same_proofs(s);
	s = store_free(s);
}

/* Rows of full blocks are not looked at: were they, the proof would be of what stands there now. */
static void test_reads_no_full_block(void **state)
{
	struct store *s = grow();

	(void)state;
	raw_ok(OPEN_UP "UPDATE event SET leaf=zeroblob(32) WHERE seq<=1024;" SHUT);
	assert_int_equal(4 * BLOCK, 1024);
	one_pair(s, 1025, EVENTS);
	one_pair(s, 1030, EVENTS);
	s = store_free(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same_as_of_leaves, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_reads_no_full_block, dir_make, dir_drop),
	};

	srand(7);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
