/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) of eight texts at a time, one in each lane of a vector: one text cannot be
 * hashed faster than its chain of additions allows, eight can. Used where the processor has wide
 * vectors and no instructions for SHA-256; elsewhere libcrypto takes one text after the other. */
#include "agent/crypto/crypto.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { LANES = 8, BLOCK = 64 };

typedef uint32_t lanes_t __attribute__((vector_size(4 * LANES)));

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

static inline __attribute__((always_inline)) uint32_t word(const uint8_t *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof(w));
	return __builtin_bswap32(w);
}

#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))

static inline __attribute__((always_inline)) void compress(lanes_t h[8], const uint8_t *const p[])
{
	lanes_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
	lanes_t w[16];

	for (int t = 0; t < 64; t++) {
		lanes_t x, y;

		if (t < 16) {
			for (int i = 0; i < LANES; i++)
				w[t][i] = word(p[i] + 4 * t);
		} else {
			x = w[(t + 1) & 15];
			y = w[(t + 14) & 15];
			w[t & 15] += (ROR(x, 7) ^ ROR(x, 18) ^ (x >> 3)) + w[(t + 9) & 15] +
				     (ROR(y, 17) ^ ROR(y, 19) ^ (y >> 10));
		}
		x = k + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & f) ^ (~e & g)) + round_k[t] +
		    w[t & 15];
		y = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
		k = g, g = f, f = e, e = d + x, d = c, c = b, b = a, a = x + y;
	}
	h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += k;
}

static inline __attribute__((always_inline)) void eight(const struct sha256_text *in, unsigned n,
							uint8_t (*out)[SHA256_LEN])
{
	const uint8_t *p[LANES];
	size_t blocks = 0;
	lanes_t h[8];

	for (int i = 0; i < 8; i++)
		h[i] = start[i] - (lanes_t){ 0 };
	for (unsigned i = 0; i < n; i++)
		blocks = in[i].blocks > blocks ? in[i].blocks : blocks;
	for (size_t done = 0; done < blocks; done++) {
		/* A lane that is done or not taken goes over something that is there. */
		for (unsigned i = 0; i < LANES; i++)
			p[i] = i < n && done < in[i].blocks ? in[i].p + done * BLOCK : in[0].p;
		compress(h, p);
		for (unsigned i = 0; i < n; i++)
			for (int k = 0; k < 8 && in[i].blocks == done + 1; k++) {
				uint32_t be = __builtin_bswap32(h[k][i]);

				memcpy(out[i] + 4 * k, &be, sizeof(be));
			}
	}
}

__attribute__((target("avx2"))) static void eight_avx2(const struct sha256_text *in, unsigned n,
						       uint8_t (*out)[SHA256_LEN])
{
	eight(in, n, out);
}

__attribute__((target("avx512vl"))) static void eight_avx512(const struct sha256_text *in,
							     unsigned n, uint8_t (*out)[SHA256_LEN])
{
	eight(in, n, out);
}

static bool has_sha(void)
{
	unsigned a, b = 0, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

/* Fewer than this many at a time are not worth the empty lanes. */
enum { WORTH = 3 };

/* How many of the first n were hashed. */
static unsigned by_lanes(const struct sha256_text *in, unsigned n, uint8_t (*out)[SHA256_LEN])
{
	static void (*run)(const struct sha256_text *, unsigned, uint8_t(*)[SHA256_LEN]);
	static bool looked;
	unsigned done = 0;

	if (!looked && !has_sha())
		run = __builtin_cpu_supports("avx512vl") ? eight_avx512
		      : __builtin_cpu_supports("avx2")   ? eight_avx2
							 : NULL;
	looked = true;
	while (run && n - done >= WORTH) {
		unsigned k = n - done < LANES ? n - done : LANES;

		run(in + done, k, out + done);
		done += k;
	}
	return done;
}
#else
static unsigned by_lanes(const struct sha256_text *in, unsigned n, uint8_t (*out)[SHA256_LEN])
{
	(void)in, (void)n, (void)out;
	return 0;
}
#endif

size_t sha256_room(size_t len)
{
	return (len + 8) / 64 * 64 + 64;
}

struct sha256_text sha256_close(uint8_t *p, size_t len)
{
	size_t room = sha256_room(len);

	p[len] = 0x80;
	memset(p + len + 1, 0, room - len - 9);
	for (int i = 0; i < 8; i++)
		p[room - 1 - i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
	return (struct sha256_text){ .p = p, .len = len, .blocks = room / 64 };
}

void sha256_many(const struct sha256_text *in, unsigned n, uint8_t (*out)[SHA256_LEN])
{
	for (unsigned i = by_lanes(in, n, out); i < n; i++)
		sha256(in[i].p, in[i].len, out[i]);
}
