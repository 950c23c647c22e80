/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of tests/vectors/merkle-rfc6962, then every proof of every size up to 40. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include "agent/store/merkle.h"

static json_t *vectors;
static struct hash leaves[64];

static struct hash unhex(const json_t *j)
{
	struct hash h;
	size_t n = 0;
	const char *s = json_string_value(j);

	assert_non_null(s);
	assert_int_equal(sodium_hex2bin(h.b, HASH_LEN, s, strlen(s), NULL, &n, NULL), 0);
	assert_int_equal(n, HASH_LEN);
	return h;
}

static int leaf_at(void *arg, uint64_t i, bool block, struct hash *ret)
{
	uint64_t *last = arg;

	(void)block;
	assert_true(*last == UINT64_MAX || i > *last);
	*last = i;
	*ret = leaves[i];
	return 0;
}

static struct hash root_of(uint64_t n)
{
	struct merkle m = { .size = 0 };

	for (uint64_t i = 0; i < n; i++)
		merkle_append(&m, &leaves[i]);
	return merkle_root(&m);
}

static void load_leaves(void)
{
	json_t *hex = json_object_get(vectors, "leavesHex");

	for (size_t i = 0; i < json_array_size(hex); i++) {
		const char *s = json_string_value(json_array_get(hex, i));
		uint8_t b[64];
		size_t n = 0;

		assert_int_equal(sodium_hex2bin(b, sizeof(b), s, strlen(s), NULL, &n, NULL), 0);
		leaves[i] = hash_leaf(b, n);
	}
}

static bool same(struct hash a, struct hash b)
{
	return hash_eq(&a, &b);
}

static void test_constants(void **state)
{
	json_t *roots = json_object_get(vectors, "roots");
	struct hash l = hash_bytes("", 0);

	(void)state;
	assert_true(same(root_of(0), unhex(json_object_get(vectors, "emptyRoot"))));
	assert_true(same(l, unhex(json_object_get(vectors, "emptyRoot"))));
	assert_true(same(hash_leaf("", 0), unhex(json_object_get(vectors, "emptyLeaf"))));
	assert_true(same(hash_leaf("L123456", 7), unhex(json_object_get(vectors, "leaf_L123456"))));
	load_leaves();
	assert_int_equal(json_array_size(roots), 8);
	for (size_t i = 0; i < 8; i++)
		assert_true(same(root_of(i + 1), unhex(json_array_get(roots, i))));
}

static void test_vector_proofs(void **state)
{
	json_t *inc = json_object_get(vectors, "inclusion");
	json_t *con = json_object_get(vectors, "consistency");

	(void)state;
	load_leaves();
	for (size_t k = 0; k < json_array_size(inc) + json_array_size(con); k++) {
		bool is_inc = k < json_array_size(inc);
		json_t *v =
			json_array_get(is_inc ? inc : con, is_inc ? k : k - json_array_size(inc));
		json_t *want = json_object_get(v, "proof");
		uint64_t last = UINT64_MAX;
		struct merkle_proof p;
		int r;

		if (is_inc)
			r = merkle_prove_inclusion(
				leaf_at, &last,
				(uint64_t)json_integer_value(json_object_get(v, "leafIndex")),
				(uint64_t)json_integer_value(json_object_get(v, "treeSize")), &p);
		else
			r = merkle_prove_consistency(
				leaf_at, &last,
				(uint64_t)json_integer_value(json_object_get(v, "size1")),
				(uint64_t)json_integer_value(json_object_get(v, "size2")), &p);
		assert_int_equal(r, 0);
		assert_int_equal(p.n, json_array_size(want));
		for (unsigned i = 0; i < p.n; i++)
			assert_true(same(p.node[i], unhex(json_array_get(want, i))));
	}
}

/* Every bit of information in a proof matters: wrong size, index, root, node, length. */
static void spoil_inclusion(uint64_t i, uint64_t n, const struct merkle_proof *p,
			    const struct hash *root)
{
	struct merkle_proof q = *p;
	struct hash bad = *root;

	bad.b[31] ^= 1;
	assert_int_equal(merkle_check_inclusion(&leaves[i], i, n, p, &bad), -EBADMSG);
	assert_int_equal(merkle_check_inclusion(&leaves[i], n, n, p, root), -EINVAL);
	if (n > 1)
		assert_int_equal(merkle_check_inclusion(&leaves[i], (i + 1) % n, n, p, root),
				 -EBADMSG);
	q.n++;
	assert_int_equal(merkle_check_inclusion(&leaves[i], i, n, &q, root), -EBADMSG);
	for (unsigned k = 0; k < p->n; k++) {
		q = *p;
		q.node[k].b[0] ^= 0x80;
		assert_int_equal(merkle_check_inclusion(&leaves[i], i, n, &q, root), -EBADMSG);
	}
	if (p->n) {
		q = *p;
		q.n--;
		assert_int_equal(merkle_check_inclusion(&leaves[i], i, n, &q, root), -EBADMSG);
	}
}

static void test_every_inclusion(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 40; n++) {
		struct hash root = root_of(n);

		for (uint64_t i = 0; i < n; i++) {
			uint64_t last = UINT64_MAX;
			struct merkle_proof p = { .n = 0 };

			assert_int_equal(merkle_prove_inclusion(leaf_at, &last, i, n, &p), 0);
			assert_int_equal(merkle_check_inclusion(&leaves[i], i, n, &p, &root), 0);
			spoil_inclusion(i, n, &p, &root);
		}
	}
}

static void test_every_consistency(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 40; n++) {
		for (uint64_t old = 0; old <= n; old++) {
			struct hash a = root_of(old), b = root_of(n);
			uint64_t last = UINT64_MAX;
			struct merkle_proof p = { .n = 0 }, q;

			assert_int_equal(merkle_prove_consistency(leaf_at, &last, old, n, &p), 0);
			assert_int_equal(merkle_check_consistency(old, n, &p, &a, &b), 0);
			a.b[5] ^= 1;
			assert_int_equal(merkle_check_consistency(old, n, &p, &a, &b), -EBADMSG);
			a.b[5] ^= 1;
			for (unsigned k = 0; k < p.n; k++) {
				q = p;
				q.node[k].b[7] ^= 4;
				assert_int_equal(merkle_check_consistency(old, n, &q, &a, &b),
						 -EBADMSG);
			}
			q = p;
			q.node[q.n++] = b;
			assert_int_equal(merkle_check_consistency(old, n, &q, &a, &b), -EBADMSG);
			if (old != 0 && p.n) {
				b.b[0] ^= 1;
				assert_int_equal(merkle_check_consistency(old, n, &p, &a, &b),
						 -EBADMSG);
			}
		}
		assert_int_equal(merkle_prove_consistency(leaf_at, NULL, n + 1, n, NULL), -EINVAL);
	}
}

/* The proof of another history gives the root that it had, but where it does not hold it; a bent
 * proof gives nothing. */
static void test_old_root(void **state)
{
	struct hash x;

	(void)state;
	for (uint64_t fork = 0; fork < 40; fork += 3) {
		struct hash was[41], kept = leaves[fork];

		for (uint64_t n = 0; n <= 40; n++)
			was[n] = root_of(n);
		leaves[fork].b[3] ^= 1;
		for (uint64_t n = 2; n <= 40; n++) {
			for (uint64_t old = 1; old < n; old++) {
				struct hash a = root_of(old), b = root_of(n);
				bool whole = !(old & (old - 1));
				uint64_t last = UINT64_MAX;
				struct merkle_proof p;

				assert_int_equal(
					merkle_prove_consistency(leaf_at, &last, old, n, &p), 0);
				assert_int_equal(merkle_old_root(old, n, &p, &b, &x),
						 whole ? -EINVAL : 0);
				if (whole)
					continue;
				assert_true(same(x, a));
				assert_int_equal(same(x, was[old]), fork >= old);
				p.node[p.n - 1].b[9] ^= 1;
				assert_int_equal(merkle_old_root(old, n, &p, &b, &x), -EBADMSG);
			}
		}
		leaves[fork] = kept;
	}
	assert_int_equal(merkle_old_root(0, 3, &(struct merkle_proof){ .n = 0 }, &x, &x), -EINVAL);
	assert_int_equal(merkle_old_root(3, 3, &(struct merkle_proof){ .n = 0 }, &x, &x), -EINVAL);
}

static void test_checkpoint(void **state)
{
	struct hash root = hash_bytes("", 0);
	char buf[256];
	int n = merkle_checkpoint(buf, sizeof(buf), "edge.example/log", 7, &root);

	(void)state;
	assert_string_equal(buf, "edge.example/log\n7\n"
				 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
	assert_int_equal(n, strlen(buf));
	assert_int_equal(merkle_checkpoint(buf, (size_t)n, "edge.example/log", 7, &root), -ENOSPC);
	assert_int_equal(merkle_checkpoint(buf, sizeof(buf), "", 7, &root), -EINVAL);
	assert_int_equal(merkle_checkpoint(buf, sizeof(buf), "a\nb", 7, &root), -EINVAL);
	assert_int_equal(merkle_checkpoint(buf, sizeof(buf), "a+b", 7, &root), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_constants),       cmocka_unit_test(test_vector_proofs),
		cmocka_unit_test(test_every_inclusion), cmocka_unit_test(test_every_consistency),
		cmocka_unit_test(test_old_root),        cmocka_unit_test(test_checkpoint),
	};

	for (unsigned i = 0; i < ARRAY_LEN(leaves); i++)
		leaves[i] = hash_leaf(&i, sizeof(i));
	vectors = json_load_file("tests/vectors/merkle-rfc6962/vectors.json", 0, NULL);
	if (!vectors)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
