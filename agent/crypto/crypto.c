/* SPDX-License-Identifier: Apache-2.0 */
/* Verification is libsodium's on purpose: OpenSSL accepts small-order keys that the eddsa
 * suites' security properties want refused. */
#include "agent/crypto/crypto.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

_Static_assert(crypto_sign_BYTES == ED25519_SIG_LEN, "signature length");

int crypto_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

bool ed25519_verify(const uint8_t sig[ED25519_SIG_LEN], const void *msg, size_t n,
		    const uint8_t pub[ED25519_PUB_LEN])
{
	return crypto_sign_verify_detached(sig, msg, n, pub) == 0;
}

void ed25519_sign(uint8_t sig[ED25519_SIG_LEN], const void *msg, size_t n,
		  const uint8_t seed[ED25519_SEED_LEN])
{
	uint8_t pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];

	(void)crypto_sign_seed_keypair(pk, sk, seed);
	(void)crypto_sign_detached(sig, NULL, msg, n, sk);
	sodium_memzero(sk, sizeof(sk));
}

void ed25519_public(const uint8_t seed[ED25519_SEED_LEN], uint8_t pub[ED25519_PUB_LEN])
{
	uint8_t sk[crypto_sign_SECRETKEYBYTES];

	(void)crypto_sign_seed_keypair(pub, sk, seed);
	sodium_memzero(sk, sizeof(sk));
}

void hash_keyed(const uint8_t key[16], const void *p, size_t n, uint8_t out[16])
{
	(void)crypto_shorthash_siphashx24(out, p, n, key);
}

void random_fill(void *p, size_t n)
{
	randombytes_buf(p, n);
}

void random_urn(char out[46])
{
	uint8_t u[16];

	random_fill(u, sizeof(u));
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
	(void)snprintf(
		out, 46,
		"urn:uuid:%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
		u[13], u[14], u[15]);
}

bool bytes_equal(const void *a, const void *b, size_t n)
{
	return sodium_memcmp(a, b, n) == 0;
}

void bytes_wipe(void *p, size_t n)
{
	sodium_memzero(p, n);
}

/* --- encodings --- */

int hex_encode(const void *p, size_t n, char *out, size_t cap)
{
	if (n > INT32_MAX / 4 || cap < 2 * n + 1)
		return -ENOSPC;
	(void)sodium_bin2hex(out, cap, p, n);
	return (int)(2 * n);
}

int hex_decode(const char *s, size_t n, void *out, size_t cap)
{
	size_t got;
	const char *end;

	if (n % 2)
		return -EINVAL;
	if (n / 2 > cap || n > INT32_MAX)
		return -ENOSPC;
	if (sodium_hex2bin(out, cap, s, n, NULL, &got, &end) || end != s + n)
		return -EINVAL;
	return (int)got;
}

static int b64_encode(const void *p, size_t n, char *out, size_t cap, int variant)
{
	if (n > INT32_MAX / 4 || cap < sodium_base64_encoded_len(n, variant))
		return -ENOSPC;
	(void)sodium_bin2base64(out, cap, p, n, variant);
	return (int)strlen(out);
}

/* libsodium refuses non-zero trailing bits and wrong padding, so each value has one spelling; but
 * version 1.0.18 takes some bytes above ASCII for letters. */
static int b64_decode(const char *s, size_t n, void *out, size_t cap, int variant)
{
	size_t got;
	const char *end;

	if (n > INT32_MAX)
		return -ENOSPC;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] >= 0x80)
			return -EINVAL;
	if (sodium_base642bin(out, cap, s, n, NULL, &got, &end, variant))
		return cap < n / 4 * 3 ? -ENOSPC : -EINVAL;
	return end == s + n ? (int)got : -EINVAL;
}

int base64_encode(const void *p, size_t n, char *out, size_t cap)
{
	return b64_encode(p, n, out, cap, sodium_base64_VARIANT_ORIGINAL);
}

int base64_decode(const char *s, size_t n, void *out, size_t cap)
{
	return b64_decode(s, n, out, cap, sodium_base64_VARIANT_ORIGINAL);
}

int base64url_encode(const void *p, size_t n, char *out, size_t cap)
{
	return b64_encode(p, n, out, cap, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

int base64url_decode(const char *s, size_t n, void *out, size_t cap)
{
	return b64_decode(s, n, out, cap, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static const char b58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

enum { BASE58_TEXT_MAX = BASE58_IN_MAX * 138 / 100 + 2 };

enum { BASE58_LIMB = 58 * 58 * 58 * 58 * 58, BASE58_LIMBS = BASE58_TEXT_MAX / 5 + 1 };

/* limbs x 2^bits + value, five digits a limb, least significant first. */
static void b58_shift(uint32_t *limbs, size_t *len, unsigned bits, uint32_t value)
{
	uint64_t carry = value;

	for (size_t i = 0; i < *len || carry; i++) {
		carry += i < *len ? (uint64_t)limbs[i] << bits : 0;
		limbs[i] = (uint32_t)(carry % BASE58_LIMB);
		carry /= BASE58_LIMB;
		if (i >= *len)
			*len = i + 1;
	}
}

int base58_encode(const void *p, size_t n, char *out, size_t cap)
{
	const uint8_t *in = p;
	uint32_t limbs[BASE58_LIMBS];
	char digits[5 * BASE58_LIMBS]; /* least significant first */
	size_t len = 0, zeros = 0, k = 0;

	if (n > BASE58_IN_MAX)
		return -ENOSPC;
	while (zeros < n && !in[zeros])
		zeros++;
	for (size_t i = zeros; i < n;) {
		uint32_t value = 0;
		unsigned bits = 0;

		for (; i < n && bits < 32; bits += 8)
			value = value << 8 | in[i++];
		b58_shift(limbs, &len, bits, value);
	}
	for (size_t i = 0; i < len; i++)
		for (unsigned d = 0; d < 5; d++, limbs[i] /= 58)
			digits[k++] = b58[limbs[i] % 58];
	while (k && digits[k - 1] == b58[0])
		k--;
	if (cap < zeros + k + 1)
		return -ENOSPC;
	memset(out, b58[0], zeros);
	for (size_t i = 0; i < k; i++)
		out[zeros + i] = digits[k - 1 - i];
	out[zeros + k] = 0;
	return (int)(zeros + k);
}

/* Value of a digit, or -1. */
static int b58_digit(unsigned char c)
{
	static int8_t table[256]; /* value + 1, filled at the first use */

	if (!table['1'])
		for (int i = 0; i < 58; i++)
			table[(unsigned char)b58[i]] = (int8_t)(i + 1);
	return table[c] - 1;
}

enum { BASE58_AT_ONCE = 10, BASE58_WORDS = BASE58_IN_MAX / 8 + 1 };

/* words x scale + value, least significant first; -ENOSPC past the end. */
static int b58_push(uint64_t *words, size_t *len, uint64_t scale, uint64_t value)
{
	uint64_t carry = value;

	for (size_t i = 0; i < *len || carry; i++) {
		unsigned __int128 x;

		if (i >= BASE58_WORDS)
			return -ENOSPC;
		x = (unsigned __int128)(i < *len ? words[i] : 0) * scale + carry;
		words[i] = (uint64_t)x;
		carry = (uint64_t)(x >> 64);
		if (i >= *len)
			*len = i + 1;
	}
	return 0;
}

static size_t b58_bytes(const uint64_t *words, size_t len)
{
	return len ? 8 * len - (size_t)__builtin_clzll(words[len - 1]) / 8 : 0;
}

int base58_decode(const char *s, size_t n, void *out, size_t cap)
{
	uint64_t words[BASE58_WORDS], scale = 1, value = 0; /* 58^10 < 2^59 */
	size_t len = 0, bytes, zeros = 0;
	uint8_t *o = out;

	if (n > BASE58_TEXT_MAX)
		return -ENOSPC;
	while (zeros < n && s[zeros] == '1')
		zeros++;
	for (size_t i = zeros; i < n; i++) {
		int d = b58_digit((unsigned char)s[i]);

		if (d < 0)
			return -EINVAL;
		value = value * 58 + (uint64_t)d;
		scale *= 58;
		if ((i + 1 - zeros) % BASE58_AT_ONCE && i + 1 < n)
			continue;
		if (b58_push(words, &len, scale, value))
			return -ENOSPC;
		scale = 1;
		value = 0;
	}
	bytes = b58_bytes(words, len);
	if (bytes > BASE58_IN_MAX || zeros + bytes > cap)
		return -ENOSPC;
	memset(o, 0, zeros);
	for (size_t i = 0; i < bytes; i++)
		o[zeros + bytes - 1 - i] = (uint8_t)(words[i / 8] >> 8 * (i % 8));
	return (int)(zeros + bytes);
}

/* --- keys and digests as text --- */

static int multibase58_decode(const char *s, uint8_t p0, uint8_t p1, uint8_t out[32])
{
	uint8_t raw[34];

	if (!s || s[0] != 'z' || strlen(s) >= MULTIKEY_MAX ||
	    base58_decode(s + 1, strlen(s) - 1, raw, sizeof(raw)) != (int)sizeof(raw) ||
	    raw[0] != p0 || raw[1] != p1)
		return -EINVAL;
	memcpy(out, raw + 2, 32);
	bytes_wipe(raw, sizeof(raw));
	return 0;
}

int multikey_encode(const uint8_t pub[ED25519_PUB_LEN], char out[MULTIKEY_MAX])
{
	uint8_t raw[34] = { 0xed, 0x01 };
	int r;

	memcpy(raw + 2, pub, ED25519_PUB_LEN);
	out[0] = 'z';
	r = base58_encode(raw, sizeof(raw), out + 1, MULTIKEY_MAX - 1);
	return r < 0 ? r : r + 1;
}

int multikey_decode(const char *s, uint8_t pub[ED25519_PUB_LEN])
{
	return multibase58_decode(s, 0xed, 0x01, pub);
}

int multikey_secret_decode(const char *s, uint8_t seed[ED25519_SEED_LEN])
{
	return multibase58_decode(s, 0x80, 0x26, seed);
}

void digest_encode(const uint8_t d[SHA256_LEN], char out[DIGEST_MULTIBASE_MAX])
{
	uint8_t raw[34] = { 0x12, 0x20 };

	memcpy(raw + 2, d, SHA256_LEN);
	out[0] = 'u';
	(void)base64url_encode(raw, sizeof(raw), out + 1, DIGEST_MULTIBASE_MAX - 1);
}

int digest_decode(const char *s, uint8_t d[SHA256_LEN])
{
	uint8_t raw[34];

	if (!s || s[0] != 'u' || strlen(s) >= DIGEST_MULTIBASE_MAX ||
	    base64url_decode(s + 1, strlen(s) - 1, raw, sizeof(raw)) != (int)sizeof(raw) ||
	    raw[0] != 0x12 || raw[1] != 0x20)
		return -EINVAL;
	memcpy(d, raw + 2, SHA256_LEN);
	return 0;
}
