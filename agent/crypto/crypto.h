/* SPDX-License-Identifier: Apache-2.0 */
/* crypto.h - the few functions over libsodium and libcrypto that the rest needs. Encoders return
 * the length written without the NUL, or -ENOSPC; decoders the bytes written, -EINVAL for a
 * character, a length or a padding that the encoding does not have, -ENOSPC when out is too small.
 * Decoders are strict: every value has exactly one spelling. */
#ifndef TREATY_CRYPTO_H
#define TREATY_CRYPTO_H

#include <endian.h>

#include "treaty/err.h"

enum {
	SHA256_LEN = 32,
	ED25519_PUB_LEN = 32,
	ED25519_SEED_LEN = 32,
	ED25519_SIG_LEN = 64,
	BASE58_IN_MAX = 96, /* bytes; base 58 is quadratic, so it is only for keys and signatures */
	MULTIKEY_MAX = 64,  /* text of a multikey with its NUL */
	DIGEST_MULTIBASE_MAX = 64, /* text of a digestMultibase with its NUL */
};

/* Once per process, before anything below; 0 or -EIO. Idempotent. */
int crypto_init(void) must_check;

struct sha256_ctx {
	_Alignas(8) uint8_t opaque[112];
};

void sha256_begin(struct sha256_ctx *c);
void sha256_add(struct sha256_ctx *c, const void *p, size_t n);
void sha256_end(struct sha256_ctx *c, uint8_t out[SHA256_LEN]);
void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]);

/* Many texts at once. sha256_close() writes the padding behind a text of len bytes, in a buffer of
 * sha256_room(len) bytes that stays until sha256_many() returns; out[i] is in[i]'s digest. */
struct sha256_text {
	const uint8_t *p;
	size_t len, blocks; /* bytes; blocks of 64 bytes with the padding */
};
static inline size_t sha256_room(size_t len)
{
	return (len + 8) / 64 * 64 + 64;
}

static inline struct sha256_text sha256_close(uint8_t *p, size_t len)
{
	uint64_t bits = htobe64((uint64_t)len * 8);
	size_t room = sha256_room(len);

	p[len] = 0x80;
	memset(p + len + 1, 0, room - len - 9);
	memcpy(p + room - sizeof(bits), &bits, sizeof(bits));
	return (struct sha256_text){ .p = p, .len = len, .blocks = room / 64 };
}

void sha256_many(const struct sha256_text *in, unsigned n, uint8_t (*out)[SHA256_LEN]);

/* SipHash-2-4 with 128 bits: two texts with one result can only be found by who knows the key. */
void hash_keyed(const uint8_t key[16], const void *p, size_t n, uint8_t out[16]);

/* Strict verification (small-order keys and points, and s >= L, are refused). */
bool ed25519_verify(const uint8_t sig[ED25519_SIG_LEN], const void *msg, size_t n,
		    const uint8_t pub[ED25519_PUB_LEN]) must_check;
/* Deterministic; the expanded secret is wiped before it returns. */
void ed25519_sign(uint8_t sig[ED25519_SIG_LEN], const void *msg, size_t n,
		  const uint8_t seed[ED25519_SEED_LEN]);
void ed25519_public(const uint8_t seed[ED25519_SEED_LEN], uint8_t pub[ED25519_PUB_LEN]);

void random_fill(void *p, size_t n);
/* "urn:uuid:" and a random version 4 UUID: 45 characters and NUL. */
void random_urn(char out[46]);
bool bytes_equal(const void *a, const void *b, size_t n); /* constant time */
void bytes_wipe(void *p, size_t n);

int hex_encode(const void *p, size_t n, char *out, size_t cap);
int hex_decode(const char *s, size_t n, void *out, size_t cap);    /* lower or upper case */
int base64_encode(const void *p, size_t n, char *out, size_t cap); /* padded */
int base64_decode(const char *s, size_t n, void *out, size_t cap);
int base64url_encode(const void *p, size_t n, char *out, size_t cap); /* not padded */
int base64url_decode(const char *s, size_t n, void *out, size_t cap);
int base58_encode(const void *p, size_t n, char *out, size_t cap); /* n <= BASE58_IN_MAX */
int base58_decode(const char *s, size_t n, void *out, size_t cap);

/* Multikey: 'z' base58btc(0xed 0x01 || key). Secret: 'z' base58btc(0x80 0x26 || seed). */
int multikey_encode(const uint8_t pub[ED25519_PUB_LEN], char out[MULTIKEY_MAX]);
int multikey_decode(const char *s, uint8_t pub[ED25519_PUB_LEN]);          /* 0 or -EINVAL */
int multikey_secret_decode(const char *s, uint8_t seed[ED25519_SEED_LEN]); /* 0 or -EINVAL */

/* digestMultibase: 'u' base64url(0x12 0x20 || SHA-256). */
void digest_encode(const uint8_t d[SHA256_LEN], char out[DIGEST_MULTIBASE_MAX]);
int digest_decode(const char *s, uint8_t d[SHA256_LEN]); /* 0 or -EINVAL */

#endif
