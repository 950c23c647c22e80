/* SPDX-License-Identifier: Apache-2.0 */
/* jws.h - a JWS (RFC 7515) with EdDSA (RFC 8037) over the RFC 8785 form of a JSON value, the
 * payload being the value beside it: how agent cards (A2A 1.0, section 8.4) and our tool lists are
 * signed. */
#ifndef TREATY_JWS_H
#define TREATY_JWS_H

#include <jansson.h>

#include "treaty/err.h"

enum { JWS_KID_MAX = 256 };

struct jws_key {
	/* 0, or negative when it cannot. NULL: nothing is signed. */
	int (*sign)(void *arg, const char *input, size_t len, uint8_t sig[64]);
	void *arg;
	const char *kid;
};

/* {"protected", "signature"} over value, a new object. NULL: no memory, or the key would not. */
json_t *jws_new(const json_t *value, const struct jws_key *key);
/* Does jws hold over value with this key? kid (may be NULL) must be the header's. -EINVAL: not such
 * a JWS, -EKEYREJECTED: it does not verify or names another key. */
int jws_verify(const json_t *value, const json_t *jws, const char *kid, const uint8_t pub[32],
	       struct err *e) must_check;

#endif
