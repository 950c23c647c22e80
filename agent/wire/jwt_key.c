/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt_key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "agent/crypto/crypto.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096
#define P256         32 /* bytes of a coordinate, and of half a signature */

/* struct jwt_key is an EVP_PKEY by another name. */
static EVP_PKEY *pkey(const struct jwt_key *k)
{
	return (EVP_PKEY *)(uintptr_t)k;
}

/* Bytes of a member, or negative. */
static int bytes_of(const json_t *jwk, const char *name, uint8_t *out, size_t cap)
{
	const char *s = json_string_value(json_object_get(jwk, name));

	return s ? base64url_decode(s, strlen(s), out, cap) : -EINVAL;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *k = NULL;

	if (ctx && params && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &k, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	return k;
}

static EVP_PKEY *ec_new(const json_t *jwk)
{
	uint8_t point[1 + 2 * P256] = { POINT_CONVERSION_UNCOMPRESSED };
	char group[] = "prime256v1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end()
	};

	if (bytes_of(jwk, "x", point + 1, P256) != P256 ||
	    bytes_of(jwk, "y", point + 1 + P256, P256) != P256)
		return NULL;
	return from_params("EC", params);
}

static EVP_PKEY *rsa_new(const json_t *jwk)
{
	uint8_t n[RSA_BITS_MAX / 8], exp[8];
	int nn = bytes_of(jwk, "n", n, sizeof(n)), ne = bytes_of(jwk, "e", exp, sizeof(exp));
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *bn = nn > 0 ? BN_bin2bn(n, nn, NULL) : NULL;
	BIGNUM *be = ne > 0 ? BN_bin2bn(exp, ne, NULL) : NULL;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *k = NULL;

	if (b && bn && be && BN_num_bits(bn) >= RSA_BITS_MIN && BN_is_odd(bn) && BN_is_odd(be) &&
	    !BN_is_one(be) && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, be) == 1)
		params = OSSL_PARAM_BLD_to_param(b);
	if (params)
		k = from_params("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	BN_free(bn);
	BN_free(be);
	return k;
}

static EVP_PKEY *ed_new(const json_t *jwk)
{
	uint8_t x[32];

	if (bytes_of(jwk, "x", x, sizeof(x)) != (int)sizeof(x))
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x));
}

int jwt_key_new(struct jwt_key **ret, enum jwt_alg alg, const json_t *jwk)
{
	EVP_PKEY *k = alg == JWT_EDDSA   ? ed_new(jwk)
		      : alg == JWT_ES256 ? ec_new(jwk)
					 : rsa_new(jwk);
	EVP_PKEY_CTX *ctx = k ? EVP_PKEY_CTX_new(k, NULL) : NULL;
	/* Ed25519 has no bad points to a verifier, and OpenSSL no check of them. */
	bool good = ctx && (alg == JWT_EDDSA || EVP_PKEY_public_check(ctx) == 1);

	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	if (!good) {
		EVP_PKEY_free(k);
		return -EINVAL;
	}
	*ret = (struct jwt_key *)k;
	return 0;
}

void jwt_key_free(struct jwt_key *k)
{
	EVP_PKEY_free(pkey(k));
}

/* JWS has the two numbers side by side (RFC 7518 section 3.4); OpenSSL wants them in DER. */
static int ecdsa_der(const uint8_t *sig, size_t n, uint8_t **der)
{
	ECDSA_SIG *s = n == 2 * P256 ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = s ? BN_bin2bn(sig, P256, NULL) : NULL;
	BIGNUM *t = s ? BN_bin2bn(sig + P256, P256, NULL) : NULL;
	int len = -1;

	if (r && t && ECDSA_SIG_set0(s, r, t) == 1) {
		r = t = NULL;
		len = i2d_ECDSA_SIG(s, der);
	}
	BN_free(r);
	BN_free(t);
	ECDSA_SIG_free(s);
	return len;
}

bool jwt_key_verify(const struct jwt_key *k, enum jwt_alg alg, const void *p, size_t n,
		    const uint8_t *sig, size_t sig_len)
{
	const EVP_MD *md = alg == JWT_EDDSA ? NULL : EVP_sha256();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *der = NULL;
	int len = alg == JWT_ES256 ? ecdsa_der(sig, sig_len, &der) : (int)sig_len;
	bool good = ctx && len > 0 && EVP_DigestVerifyInit(ctx, NULL, md, NULL, pkey(k)) == 1 &&
		    EVP_DigestVerify(ctx, der ? der : sig, (size_t)len, p, n) == 1;

	OPENSSL_free(der);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}
