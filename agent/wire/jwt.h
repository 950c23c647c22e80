/* SPDX-License-Identifier: Apache-2.0 */
/* jwt.h - OAuth access tokens as JWT (RFC 9068) and the keys that vouch for them (RFC 7517),
 * without I/O and without a clock. Reading one proves nothing: jwt_check() does, against the keys
 * of the issuer that the token names. */
#ifndef TREATY_JWT_H
#define TREATY_JWT_H

#include <jansson.h>

#include "treaty/err.h"
#include "treaty/units.h"

enum { JWT_MAX = 8192, JWT_NAME_MAX = 256, JWT_KEYS_MAX = 32, JWT_X5T = 32 };

/* A key has one algorithm, by its kind: EdDSA with Ed25519 (RFC 8037), ES256, RS256 (RFC 7518). */
enum jwt_alg { JWT_EDDSA, JWT_ES256, JWT_RS256, JWT_ALG_MAX_ };

/* Why not. The texts go to the caller and into logs: none holds a byte of a token. */
#define JWT_ANSWERS(X)                                                             \
	X(OK, "good")                                                              \
	X(SHAPE, "not a signed JWT of three parts and JSON objects")               \
	X(ALG, "alg: not allowed here")                                            \
	X(TYP, "typ: at+jwt is needed")                                            \
	X(HEADER, "header: crit, jwk, jku, x5c and x5u are not taken")             \
	X(KID, "kid: no such key of this issuer")                                  \
	X(SIGNATURE, "signature: it does not verify")                              \
	X(CLAIMS, "claims: iss, aud, exp, iat, sub, client_id and jti are needed") \
	X(ISSUER, "iss: not trusted here")                                         \
	X(AUDIENCE, "aud: it is for another resource")                             \
	X(EXPIRED, "exp: it is over")                                              \
	X(EARLY, "nbf or iat: it is of the future")                                \
	X(UNBOUND, "cnf: a token bound to a certificate is needed")                \
	X(BOUND, "cnf: it is bound to another certificate, or in an unknown way")  \
	X(PRINCIPAL, "sub and client_id: no principal of this configuration")      \
	X(KEYS, "the keys of its issuer are not at hand")
#define X(name, text) JWT_##name,
enum jwt_answer { JWT_ANSWERS(X) JWT_ANSWER_MAX_ };
#undef X
const char *jwt_text(enum jwt_answer a);

struct jwks;

/* The keys of a JWK set that are for signatures and of a kind we know, each with a kid of its own;
 * others are passed over, as RFC 7517 section 5 has it. -EINVAL naming the key: two of one kid, a
 * private key, or one that is bent or weak (RSA below 2048 bits); or there is none at all. */
int jwks_new(struct jwks **ret, const json_t *doc, struct err *e) must_check;
struct jwks *jwks_free(struct jwks *k);

struct jwt {
	json_t *header, *claims;
	const char *iss; /* of the claims; "" when there is none */
	const char *signed_part;
	size_t signed_len;
	uint8_t sig[512];
	size_t sig_len;
	char *bytes; /* what signed_part points into */
};

/* Its parts; nothing in it is true yet. Cleared with jwt_clear() when JWT_OK. */
enum jwt_answer jwt_read(struct jwt *ret, const char *token, size_t len) must_check;
void jwt_clear(struct jwt *t);

struct jwt_rules {
	const struct jwks *keys;
	unsigned algs; /* 1u << enum jwt_alg */
	const char *issuer, *audience;
	wall_t now;
	int64_t leeway_ms;  /* clocks differ */
	const uint8_t *x5t; /* SHA-256 of the caller's certificate (DER); NULL: it showed none */
	bool bound;         /* only tokens that are bound to a certificate (RFC 8705) */
};

/* What a good token says; strings are borrowed from it. */
struct jwt_says {
	const char *sub, *client_id, *scope; /* scope "" when there is none */
	int64_t exp_s;
};

/* The checks of RFC 9068 section 4 and RFC 8705 section 3.1. */
enum jwt_answer jwt_check(const struct jwt *t, const struct jwt_rules *r,
			  struct jwt_says *ret) must_check;

/* Is word one of the scope's, which blanks divide (RFC 6749 section 3.3)? */
bool jwt_scope_has(const char *scope, const char *word);

#endif
