/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) of eight or sixteen texts at a time, one in each lane of a vector: one text
 * cannot be hashed faster than its chain of additions allows, several can. Used where the processor
 * has wide vectors; where it has instructions for SHA-256 as well, for many texts of one length.
 * Elsewhere libcrypto takes one text after the other. */
#include "agent/crypto/crypto.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { BLOCK = 64 };

static const uint32_t round_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
				   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))

#define LANES       8
#define LOW         0, 8, 1, 9, 2, 10, 3, 11
#define HIGH        4, 12, 5, 13, 6, 14, 7, 15
#define TARGET      "avx2"
#define IN_LANES(x) x##_8_avx2
#include "sha256_lanes.h"
#define LANES       8
#define LOW         0, 8, 1, 9, 2, 10, 3, 11
#define HIGH        4, 12, 5, 13, 6, 14, 7, 15
#define TARGET      "avx512vl"
#define IN_LANES(x) x##_8_avx512
#include "sha256_lanes.h"
#define LANES       16
#define LOW         0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define TARGET      "avx512f"
#define IN_LANES(x) x##_16_avx512
#include "sha256_lanes.h"

static bool has_sha(void)
{
	unsigned a, b = 0, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

typedef void (*lanes_fn)(const struct sha256_text *in, unsigned n, uint8_t (*out)[SHA256_LEN]);

/* cost: a block in each of the lanes takes as long as so many blocks of libcrypto, one after the
 * other. Measured; what a text more or less costs is not worth asking again. */
struct way {
	lanes_fn hash;
	unsigned lanes, cost;
};

static const struct way *ways(void)
{
	static const struct way none[] = { { NULL, 0, 0 } },
				avx2[] = { { hash_8_avx2, 8, 3 }, { NULL, 0, 0 } },
				avx512[] = { { hash_16_avx512, 16, 4 },
					     { hash_8_avx512, 8, 3 },
					     { NULL, 0, 0 } },
				beside_sha[] = { { hash_16_avx512, 16, 11 },
						 { hash_8_avx512, 8, 6 },
						 { NULL, 0, 0 } };
	static const struct way *found;

	if (found)
		return found;
	if (__builtin_cpu_supports("avx512vl")) /* which has avx512f */
		found = has_sha() ? beside_sha : avx512;
	else
		found = !has_sha() && __builtin_cpu_supports("avx2") ? avx2 : none;
	return found;
}

/* How many of the first n were hashed: none when the first ones are not worth the lanes, being too
 * few, or too short beside the longest of them. */
static unsigned by_lanes(const struct sha256_text *in, unsigned n, uint8_t (*out)[SHA256_LEN])
{
	for (const struct way *w = ways(); w->hash; w++) {
		unsigned k = n < w->lanes ? n : w->lanes;
		size_t sum = 0, most = 0;

		for (unsigned i = 0; i < k; i++) {
			sum += in[i].blocks;
			most = in[i].blocks > most ? in[i].blocks : most;
		}
		if (sum < most * w->cost || (k <= w->lanes / 2 && w[1].hash))
			continue;
		w->hash(in, k, out);
		return k;
	}
	return 0;
}
#else
static unsigned by_lanes(const struct sha256_text *in, unsigned n, uint8_t (*out)[SHA256_LEN])
{
	(void)in, (void)n, (void)out;
	return 0;
}
#endif

void sha256_many(const struct sha256_text *in, unsigned n, uint8_t (*out)[SHA256_LEN])
{
	unsigned k;

	for (unsigned i = 0; i < n; i += k) {
		k = by_lanes(in + i, n - i, out + i);
		if (k)
			continue;
		sha256(in[i].p, in[i].len, out[i]);
		k = 1;
	}
}
