/* SPDX-License-Identifier: Apache-2.0 */
/* token_lab.h - an authorization server's keys, its JWK set, and tokens as it or its enemies would
 * make them, signed with OpenSSL. */
#ifndef TREATY_TOKEN_LAB_H
#define TREATY_TOKEN_LAB_H

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "agent/wire/jwt.h"

static inline EVP_PKEY *token_key(enum jwt_alg alg, size_t rsa_bits)
{
	switch (alg) {
	case JWT_EDDSA: return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	case JWT_ES256: return EVP_EC_gen("P-256");
	default: return EVP_RSA_gen((unsigned)rsa_bits);
	}
}

static inline void token_b64(char *out, size_t cap, const void *p, size_t n)
{
	if (base64url_encode(p, n, out, cap) < 0)
		abort();
}

static inline void token_number(const EVP_PKEY *k, const char *name, char *out, size_t cap)
{
	uint8_t raw[512];
	BIGNUM *bn = NULL;
	int n;

	if (EVP_PKEY_get_bn_param(k, name, &bn) != 1)
		abort();
	n = BN_num_bytes(bn) < 32 && strcmp(name, OSSL_PKEY_PARAM_RSA_E) != 0 ? 32
									      : BN_num_bytes(bn);
	(void)BN_bn2binpad(bn, raw, n);
	BN_free(bn);
	token_b64(out, cap, raw, (size_t)n);
}

static inline json_t *token_jwk(const EVP_PKEY *k, enum jwt_alg alg, const char *kid)
{
	char a[800], b[800];
	uint8_t x[32];
	size_t n = sizeof(x);

	switch (alg) {
	case JWT_EDDSA:
		if (EVP_PKEY_get_raw_public_key(k, x, &n) != 1)
			abort();
		token_b64(a, sizeof(a), x, n);
		return json_pack("{s:s, s:s, s:s, s:s}", "kty", "OKP", "crv", "Ed25519", "kid", kid,
				 "x", a);
	case JWT_ES256:
		token_number(k, OSSL_PKEY_PARAM_EC_PUB_X, a, sizeof(a));
		token_number(k, OSSL_PKEY_PARAM_EC_PUB_Y, b, sizeof(b));
		return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "kty", "EC", "crv", "P-256",
				 "kid", kid, "x", a, "y", b, "use", "sig");
	default:
		token_number(k, OSSL_PKEY_PARAM_RSA_N, a, sizeof(a));
		token_number(k, OSSL_PKEY_PARAM_RSA_E, b, sizeof(b));
		return json_pack("{s:s, s:s, s:s, s:s, s:s}", "kty", "RSA", "kid", kid, "n", a, "e",
				 b, "alg", "RS256");
	}
}

static inline size_t token_raw_ecdsa(const uint8_t *der, size_t n, uint8_t out[64])
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)n);

	if (!s || BN_bn2binpad(ECDSA_SIG_get0_r(s), out, 32) != 32 ||
	    BN_bn2binpad(ECDSA_SIG_get0_s(s), out + 32, 32) != 32)
		abort();
	ECDSA_SIG_free(s);
	return 64;
}

static inline size_t token_signature(EVP_PKEY *k, enum jwt_alg alg, const char *in, uint8_t *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[512];
	size_t n = sizeof(sig);

	if (EVP_DigestSignInit(ctx, NULL, alg == JWT_EDDSA ? NULL : EVP_sha256(), NULL, k) != 1 ||
	    EVP_DigestSign(ctx, sig, &n, (const uint8_t *)in, strlen(in)) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
	if (alg == JWT_ES256)
		return token_raw_ecdsa(sig, n, out);
	memcpy(out, sig, n);
	return n;
}

/* base64url of both texts, as they are signed. */
static inline void token_input(char *out, size_t cap, const char *header, const char *claims)
{
	char a[2048], b[6144];

	token_b64(a, sizeof(a), header, strlen(header));
	token_b64(b, sizeof(b), claims, strlen(claims));
	(void)snprintf(out, cap, "%s.%s", a, b);
}

/* key NULL: an empty signature. */
static inline void token_make(char *out, size_t cap, const char *header, const char *claims,
			      EVP_PKEY *key, enum jwt_alg alg)
{
	uint8_t sig[512];
	char text[800] = "";
	size_t n;

	token_input(out, cap, header, claims);
	if (key)
		token_b64(text, sizeof(text), sig, token_signature(key, alg, out, sig));
	n = strlen(out);
	(void)snprintf(out + n, cap - n, ".%s", text);
}

#endif
