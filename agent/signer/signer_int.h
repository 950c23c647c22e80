/* SPDX-License-Identifier: Apache-2.0 */
/* signer_int.h - what the signer is made of, for its own files and for the fuzzer of its socket. */
#ifndef TREATY_SIGNER_INT_H
#define TREATY_SIGNER_INT_H

#include "keyfile.h"
#include "signer_state.h"

struct signer {
	const struct config *c;
	struct key_pair *key[KEY_MAX_];
	struct signer_state *state;
	struct sign_bucket bucket[KEY_MAX_];
	bool attested;
};

enum { SIGNER_ROWS = 4 };

/* Requests as msg_serve() takes them; their context is a struct signer. */
extern const struct msg_handler signer_rows[SIGNER_ROWS];

/* Reads the keys and the state file; c is borrowed. signer_close() also after a failure. */
int signer_open(struct signer *s, const struct config *c, struct err *e) must_check;
void signer_close(struct signer *s);

#endif
