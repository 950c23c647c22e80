/* SPDX-License-Identifier: Apache-2.0 */
/* commit_i.h - what the two readers of a value share: of a tree, and of canonical text. */
#ifndef TREATY_CODEC_COMMIT_I_H
#define TREATY_CODEC_COMMIT_I_H

#include "agent/codec/commit.h"
#include "agent/crypto/crypto.h"

void commit_salt_n(const uint8_t around[32], const char *name, size_t n, uint8_t ret[32]);
void commit_node_begin(struct sha256_ctx *c, bool array);
void commit_node_add(struct sha256_ctx *c, const char *name, size_t n,
		     const uint8_t digest[COMMIT_LEN]);

#endif
