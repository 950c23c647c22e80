/* SPDX-License-Identifier: Apache-2.0 */
/* plain.h - bytes of a JSON string that stand for themselves. Private to agent/codec. */
#ifndef TREATY_CODEC_PLAIN_H
#define TREATY_CODEC_PLAIN_H

#include <string.h>

#include "treaty/base.h"

static inline bool plain_byte(unsigned char c, bool ascii)
{
	return c >= 0x20 && c != '"' && c != '\\' && (!ascii || c < 0x80);
}

#define PLAIN_LOW_FIRST (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define PLAIN_EACH(c)   (0x0101010101010101u * (c))

/* High bits of the bytes at s that do not stand for themselves, and perhaps of some behind the
 * first: the high bit of a byte of x - EACH(1) & ~x tells that one of x is 0, of x - EACH(c) & ~x
 * that one is below c (c <= 0x80); the lowest such bit is of the first. */
static inline uint64_t plain_odd(const char *s, bool ascii)
{
	uint64_t w, q, b;

	memcpy(&w, s, 8);
	q = w ^ PLAIN_EACH('"');
	b = w ^ PLAIN_EACH('\\');
	return (((w - PLAIN_EACH(0x20)) & ~w) | ((q - PLAIN_EACH(1)) & ~q) |
		((b - PLAIN_EACH(1)) & ~b) | (ascii ? w : 0)) &
	       PLAIN_EACH(0x80);
}

/* How many bytes from s on need no escape; ascii: and are ASCII, so that there is nothing to check.
 * Eight at a time, at the end some of them again. */
static inline size_t plain_run(const char *s, size_t n, bool ascii)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t odd = plain_odd(s + i, ascii);

		if (odd && PLAIN_LOW_FIRST)
			return i + (size_t)__builtin_ctzll(odd) / 8;
		if (odd)
			break;
	}
	if (i < n && i && !plain_odd(s + n - 8, ascii))
		return n;
	while (i < n && plain_byte((unsigned char)s[i], ascii))
		i++;
	return i;
}

#endif
