/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 is libcrypto's, by its plain functions: twice as fast as libsodium's, more where the
 * processor has instructions for it. The EVP interface would cost an allocation and a look-up for
 * each of many short texts; these functions are deprecated for what they cannot do (providers),
 * not for what they do. Signatures stay libsodium's. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "agent/crypto/crypto.h"

#include <openssl/sha.h>

_Static_assert(sizeof(struct sha256_ctx) >= sizeof(SHA256_CTX), "sha256 state fits");

void sha256_begin(struct sha256_ctx *c)
{
	(void)SHA256_Init((SHA256_CTX *)(void *)c);
}

void sha256_add(struct sha256_ctx *c, const void *p, size_t n)
{
	(void)SHA256_Update((SHA256_CTX *)(void *)c, p, n);
}

void sha256_end(struct sha256_ctx *c, uint8_t out[SHA256_LEN])
{
	(void)SHA256_Final(out, (SHA256_CTX *)(void *)c);
}

void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	struct sha256_ctx c;

	sha256_begin(&c);
	sha256_add(&c, p, n);
	sha256_end(&c, out);
}
