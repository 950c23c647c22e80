/* SPDX-License-Identifier: Apache-2.0 */
/* sha256_lanes.h - SHA-256 of LANES texts, one in each lane of vectors of LANES words, by the
 * instructions of TARGET; included by sha256_many.c for each pair. IN_LANES(x) names what it makes;
 * LOW and HIGH lay the first and the second halves of two vectors into one another.
 */
#define LANES_T IN_LANES(words)
typedef uint32_t LANES_T __attribute__((vector_size(4 * LANES)));

/* Word t of each text from byte `from` on into ret[t]: rows are read whole and become columns by
 * being laid one into the other, the first half of them into the second, as often as LANES has
 * bits. */
__attribute__((target(TARGET))) static inline void
IN_LANES(words_of)(LANES_T ret[LANES], const uint8_t *const p[], int from)
{
	for (int i = 0; i < LANES; i++) {
		LANES_T x;

		memcpy(&x, p[i] + from, sizeof(x));
		ret[i] = (ROR(x, 8) & 0xff00ff00) | (ROR(x, 24) & 0x00ff00ff);
	}
#pragma GCC unroll 4
	for (int s = 1; s < LANES; s *= 2) {
		LANES_T x[LANES];

		memcpy(x, ret, sizeof(x));
#pragma GCC unroll 8
		for (int i = 0; i < LANES / 2; i++) {
			ret[2 * i] = __builtin_shufflevector(x[i], x[i + LANES / 2], LOW);
			ret[2 * i + 1] = __builtin_shufflevector(x[i], x[i + LANES / 2], HIGH);
		}
	}
}

__attribute__((target(TARGET))) static void IN_LANES(compress)(LANES_T h[8],
							       const uint8_t *const p[])
{
	LANES_T a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
	LANES_T w[16];

	for (int t = 0; t < 16; t += LANES)
		IN_LANES(words_of)(w + t, p, 4 * t);
	for (int from = 0; from < 64; from += 16) {
#pragma GCC unroll 16
		for (int t = 0; t < 16; t++) {
			LANES_T x = w[(t + 1) & 15], y = w[(t + 14) & 15];

			if (from)
				w[t] += (ROR(x, 7) ^ ROR(x, 18) ^ (x >> 3)) + w[(t + 9) & 15] +
					(ROR(y, 17) ^ ROR(y, 19) ^ (y >> 10));
			x = k + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & f) ^ (~e & g)) +
			    round_k[from + t] + w[t];
			y = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
			k = g, g = f, f = e, e = d + x, d = c, c = b, b = a, a = x + y;
		}
	}
	h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += k;
}

__attribute__((target(TARGET))) static void IN_LANES(hash)(const struct sha256_text *in, unsigned n,
							   uint8_t (*out)[SHA256_LEN])
{
	const uint8_t *p[LANES];
	size_t blocks = 0;
	LANES_T h[8];

	for (int i = 0; i < 8; i++)
		h[i] = start[i] - (LANES_T){ 0 };
	for (unsigned i = 0; i < n; i++)
		blocks = in[i].blocks > blocks ? in[i].blocks : blocks;
	for (size_t done = 0; done < blocks; done++) {
		/* A lane that is done or not taken goes over something that is there. */
		for (unsigned i = 0; i < LANES; i++)
			p[i] = i < n && done < in[i].blocks ? in[i].p + done * BLOCK : in[0].p;
		IN_LANES(compress)(h, p);
		for (unsigned i = 0; i < n; i++)
			for (int k = 0; k < 8 && in[i].blocks == done + 1; k++) {
				uint32_t be = __builtin_bswap32(h[k][i]);

				memcpy(out[i] + 4 * k, &be, sizeof(be));
			}
	}
}

#undef LANES_T
#undef LANES
#undef LOW
#undef HIGH
#undef TARGET
#undef IN_LANES
