/* SPDX-License-Identifier: Apache-2.0 */
/* signer_int.h - what the signer is made of, for its own files and for the fuzzer of its socket. */
#ifndef TREATY_SIGNER_INT_H
#define TREATY_SIGNER_INT_H

#include "keyfile.h"
#include "signer_state.h"

#include <sodium.h>

/* A document while it goes by. */
struct sign_doc {
	bool open;
	uint32_t kind;
	struct sign_scan scan;
	crypto_hash_sha256_state hash;
};

struct signer {
	const struct config *c;
	struct key_pair *loaded[KEY_MAX_][2]; /* keys.ROLE and keys.next-ROLE; NULL = not given */
	const struct key_pair *key[KEY_MAX_]; /* that signs; NULL = none */
	uint64_t generation[KEY_MAX_];
	struct signer_state *state;
	struct sign_bucket bucket[KEY_MAX_];
	bool attested;
	struct sign_doc doc[SIGN_PARTS];
};

enum { SIGNER_ROWS = 8 };

/* Requests as msg_serve() takes them; their context is a struct signer. */
extern const struct msg_handler signer_rows[SIGNER_ROWS];

/* signer_keys.c: the keys' life. */
int keys_open(struct signer *s, struct err *e) must_check;
void keys_close(struct signer *s);
int keys_on_pubkey(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int keys_on_act(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);

/* Reads the keys and the state file; c is borrowed. signer_close() also after a failure. */
int signer_open(struct signer *s, const struct config *c, struct err *e) must_check;
void signer_close(struct signer *s);

#endif
