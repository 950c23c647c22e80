/* SPDX-License-Identifier: Apache-2.0 */
/* merkle.h - RFC 6962 trees over leaf hashes: SHA-256, leaf = H(0x00 || data), node = H(0x01 ||
 * left || right), the empty tree's root = H(). No allocation, no I/O. */
#ifndef TREATY_MERKLE_H
#define TREATY_MERKLE_H

#include "treaty/err.h"

enum { HASH_LEN = 32, MERKLE_PROOF_MAX = 65 };

struct hash {
	uint8_t b[HASH_LEN];
};

/* A block is a full subtree of so many leaves: 2^MERKLE_BLOCK, the first at leaf 0. */
enum { MERKLE_BLOCK = 8 };

/* The state of a growing tree: node[i] is the root of a full subtree of 2^i leaves and counts
 * when bit i of size is set; block is the root of the last block that became full. All zero = the
 * empty tree. */
struct merkle {
	uint64_t size;
	struct hash node[64], block;
};

struct merkle_proof {
	unsigned n;
	struct hash node[MERKLE_PROOF_MAX];
};

/* Reads leaf `index` (0..size-1) of a tree that is being proved. 0 or negative errno. Where the
 * whole block that begins there is asked for, it may give the block's root instead: 1. */
typedef int (*merkle_leaf_fn)(void *arg, uint64_t index, bool block, struct hash *ret);

struct hash hash_bytes(const void *data, size_t len); /* plain SHA-256 */
struct hash hash_leaf(const void *data, size_t len);
struct hash hash_node(const struct hash *left, const struct hash *right);
bool hash_eq(const struct hash *a, const struct hash *b); /* constant time */

void merkle_append(struct merkle *m, const struct hash *leaf);
/* The same for n leaves in a row, n <= MERKLE_MANY. */
enum { MERKLE_MANY = 64 };
void merkle_append_many(struct merkle *m, const struct hash *leaf, unsigned n);
struct hash merkle_root(const struct merkle *m);

/* Proofs over the first `size` leaves, which fn reads in ascending order, each once. -EINVAL when
 * index >= size, or when not old <= size. Consistency from 0 or to itself is an empty proof. */
int merkle_prove_inclusion(merkle_leaf_fn fn, void *arg, uint64_t index, uint64_t size,
			   struct merkle_proof *ret) must_check;
int merkle_prove_consistency(merkle_leaf_fn fn, void *arg, uint64_t old, uint64_t size,
			     struct merkle_proof *ret) must_check;

/* 0, -EINVAL (impossible sizes) or -EBADMSG (the proof does not show it). */
int merkle_check_inclusion(const struct hash *leaf, uint64_t index, uint64_t size,
			   const struct merkle_proof *p, const struct hash *root) must_check;
int merkle_check_consistency(uint64_t old, uint64_t size, const struct merkle_proof *p,
			     const struct hash *old_root, const struct hash *root) must_check;
/* The root that the first `old` leaves have in the tree of `root`, if the proof leads to that root:
 * nobody can make one that gives another. -EINVAL also where old is a power of two: such a proof
 * does not hold the old root. -EBADMSG: it does not lead there. */
int merkle_old_root(uint64_t old, uint64_t size, const struct merkle_proof *p,
		    const struct hash *root, struct hash *ret) must_check;

/* C2SP tlog-checkpoint text, unsigned: "origin\nsize\nbase64(root)\n" into buf, 0-terminated.
 * Returns its length; -EINVAL for an empty origin or one with a line break, '+' or space;
 * -ENOSPC when cap is too small. */
int merkle_checkpoint(char *buf, size_t cap, const char *origin, uint64_t size,
		      const struct hash *root) must_check;

#endif
