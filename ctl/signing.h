/* SPDX-License-Identifier: Apache-2.0 */
/* signing.h - signing offline with a key file, for the verbs that issue credentials. */
#ifndef TREATY_CTL_SIGNING_H
#define TREATY_CTL_SIGNING_H

#include "agent/codec/did.h"
#include "agent/signer/keyfile.h"
#include "treaty/sign.h"

/* sign_fn; arg is a struct key_pair. */
int signing_sign(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN]);
/* Fills port->method. "" becomes the key's own did:key; a did:key issuer must be the key itself; a
 * did:web one names it by the fragment "wallet". -EPERM, -EINVAL. */
int signing_method(char issuer[DID_MAX], const struct key_pair *k, struct sign_port *port,
		   struct err *e) must_check;

/* Verifying what the same key signed: a did_resolve_fn that knows one method. */
struct signing_key {
	const char *method;
	const uint8_t *pub;
};
int signing_resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		    struct err *e);

#endif
