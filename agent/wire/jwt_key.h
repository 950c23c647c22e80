/* SPDX-License-Identifier: Apache-2.0 */
/* jwt_key.h - private to jwt.c: one public key of a JWK set, as OpenSSL has it. */
#ifndef TREATY_JWT_KEY_H
#define TREATY_JWT_KEY_H

#include "jwt.h"

struct jwt_key;

/* Of the kind that alg is for. -EINVAL: bent, off its curve, or an RSA key not of 2048..4096 bits.
 */
int jwt_key_new(struct jwt_key **ret, enum jwt_alg alg, const json_t *jwk) must_check;
void jwt_key_free(struct jwt_key *k); /* NULL is fine */
bool jwt_key_verify(const struct jwt_key *k, enum jwt_alg alg, const void *p, size_t n,
		    const uint8_t *sig, size_t sig_len);

#endif
