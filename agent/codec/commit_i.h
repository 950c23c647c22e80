/* SPDX-License-Identifier: Apache-2.0 */
/* commit_i.h - what the two readers of a value share: of a tree, and of canonical text. */
#ifndef TREATY_CODEC_COMMIT_I_H
#define TREATY_CODEC_COMMIT_I_H

#include "agent/codec/commit.h"
#include "agent/crypto/crypto.h"

/* What a salt begins with. */
#define COMMIT_SALT "treaty/salt/v1"
enum { COMMIT_SALT_LEN = sizeof(COMMIT_SALT) - 1 };

void commit_salt_n(const uint8_t around[32], const char *name, size_t n, uint8_t ret[32]);
/* A node's text: 32 bytes, then so many for each member. The two that write it return its end. */
#define COMMIT_MEMBER(name_len) (4 + (size_t)(name_len) + COMMIT_LEN)
uint8_t *commit_node_head(uint8_t *p, bool array);
uint8_t *commit_node_member(uint8_t *p, const char *name, size_t n,
			    const uint8_t digest[COMMIT_LEN]);
/* The same for one that is not written down. */
void commit_node_begin(struct sha256_ctx *c, bool array);
void commit_node_add(struct sha256_ctx *c, const char *name, size_t n,
		     const uint8_t digest[COMMIT_LEN]);

#endif
