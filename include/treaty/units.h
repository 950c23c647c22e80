/* SPDX-License-Identifier: Apache-2.0 */
/* units.h - scalars that cannot be mixed up: one struct per unit, integers only. */
#ifndef TREATY_UNITS_H
#define TREATY_UNITS_H

#include "base.h"

typedef struct {
	int64_t us;
} mono_t; /* CLOCK_BOOTTIME, microseconds: timers, meters, expiry */
typedef struct {
	int64_t ms;
} wall_t; /* CLOCK_REALTIME, ms since 1970: contracts, log */
typedef struct {
	uint64_t bps;
} rate_t; /* bits per second, layer 2 (IP bytes + 14) */
typedef struct {
	uint32_t us;
} delay_t; /* one way, microseconds */
typedef struct {
	uint32_t ppm;
} avail_t; /* availability, parts per million: 999990 = 99.999 % */
typedef struct {
	int64_t minor;
} money_t; /* minor units of the agreement's one currency */
typedef struct {
	int64_t minor_h;
} price_t; /* minor units per hour */

static inline mono_t mono_add(mono_t t, int64_t us)
{
	return (mono_t){ t.us + us };
}

static inline int mono_cmp(mono_t a, mono_t b)
{
	return (a.us > b.us) - (a.us < b.us);
}

#define MONEY_BAD ((money_t){ INT64_MIN })

/* Sum, or MONEY_BAD on overflow or a bad operand. */
static inline money_t money_add(money_t a, money_t b)
{
	money_t s;

	if (a.minor == INT64_MIN || b.minor == INT64_MIN ||
	    __builtin_add_overflow(a.minor, b.minor, &s.minor))
		return MONEY_BAD;
	return s;
}

/* ceil(price x elapsed / 1 h) in minor units (ruling 2 of docs/ARCHITECTURE.md); elapsed in ms,
 * >= 0. MONEY_BAD on overflow or a negative operand. */
static inline money_t price_for(price_t p, int64_t elapsed_ms)
{
	int64_t prod;

	if (p.minor_h < 0 || elapsed_ms < 0 || __builtin_mul_overflow(p.minor_h, elapsed_ms, &prod))
		return MONEY_BAD;
	return (money_t){ prod / 3600000 + (prod % 3600000 != 0) };
}

#endif
