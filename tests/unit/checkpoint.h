/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.h - what witness.c leaves in a database: the newest own checkpoint of its log. */
#ifndef TREATY_TEST_CHECKPOINT_H
#define TREATY_TEST_CHECKPOINT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent/crypto/crypto.h"
#include "agent/crypto/note.h"
#include "agent/store/store.h"
#include "agent/store/witness.h"

/* Of all that is durable, signed with the key of this seed. */
static inline void put_checkpoint(struct store *st, const char *did, const uint8_t seed[32])
{
	struct note_key k = { .alg = NOTE_ED25519 };
	struct store_head h = store_durable_head(st);
	char text[NOTE_MAX];
	uint8_t sig[64];
	int n;

	(void)snprintf(k.name, sizeof(k.name), "%s/0011223344556677", did);
	n = merkle_checkpoint(text, sizeof(text), k.name, h.seq, &h.root);
	ed25519_public(seed, k.pub);
	ed25519_sign(sig, text, (size_t)n, seed);
	text[n++] = '\n';
	n += note_line(&k, sig, 0, text + n, sizeof(text) - (size_t)n);
	assert_int_equal(store_kv_put(st, "checkpoint:own", text, (size_t)n, NULL), 0);
	assert_int_equal(store_commit(st, NULL), 0);
}

#endif
