/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - the agents' side of the signer. At most SIGNER_WAIT_MS each. A refusal by
 * the signer's own rules is -EACCES (rule), -EAGAIN (rate), -ENOKEY (no such key), text in *e. */
#ifndef TREATY_SIGNER_CLIENT_H
#define TREATY_SIGNER_CLIENT_H

#include "agent/signer/signer.h"

#define SIGNER_WAIT_MS  5000
#define SIGNER_START_MS 60000

int signer_ping(struct msg_client *c, struct err *e) must_check;
/* The first answer of all, for which it reads its whole file and may write it anew: up to
 * SIGNER_START_MS. */
int signer_ready(struct msg_client *c, struct err *e) must_check;
int signer_attest(struct msg_client *c, const struct attest_req *q, struct attest_rep *ret,
		  struct err *e) must_check;
int signer_public(struct msg_client *c, enum cfg_key_kind key, uint8_t ret[32],
		  struct err *e) must_check;
/* The same with its generation, or of the key that stands by. */
int signer_key(struct msg_client *c, enum cfg_key_kind key, enum signer_which which,
	       struct pubkey_rep *ret, struct err *e) must_check;
int signer_key_act(struct msg_client *c, const struct key_req *q, struct key_rep *ret,
		   struct err *e) must_check;
/* Shows the signer what the next signer_sign() of this kind is about. len in bytes, any.
 * Nothing is waited for: a text that was refused is seen by signer_sign(), as -EPIPE. */
int signer_text(struct msg_client *c, enum signer_kind kind, enum sign_part part, const char *text,
		size_t len, struct err *e) must_check;
/* Of this wallet, or of all with NULL. */
int signer_sums(struct msg_client *c, const char *wallet, struct sums_rep *ret,
		struct err *e) must_check;
int signer_horizon(struct msg_client *c, uint64_t before, struct horizon_rep *ret,
		   struct err *e) must_check;
int signer_sign(struct msg_client *c, const struct sign_req *q, struct sign_rep *ret,
		struct err *e) must_check;

/* The same in two halves: *a stays where it is in between. */
struct signer_ask {
	struct msg_ask m;
	struct sign_rep rep; /* after the second, when it gives 0 */
};
int signer_ask(struct msg_client *c, const struct sign_req *q, struct signer_ask *a,
	       struct err *e) must_check;
int signer_await(struct msg_client *c, struct signer_ask *a, struct err *e) must_check;

#endif
