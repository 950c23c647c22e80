/* SPDX-License-Identifier: Apache-2.0 */
/* stamp_core.h - STAMP in unauthenticated mode (RFC 8762) without any I/O: packets, the answer of
 * a stateless reflector, the sender's book of probes, and the statistics of a window. */
#ifndef TREATY_STAMP_CORE_H
#define TREATY_STAMP_CORE_H

#include "treaty/telemetry.h"

#define STAMP_LEN        44   /* both ways, RFC 8762 sections 4.2.1 and 4.3.1 */
#define STAMP_LEN_MAX    1500 /* longer ones are padded or carry TLVs: sent back as they came */
#define STAMP_BOOK       1024 /* probes remembered; a power of two */
#define STAMP_WINDOW_MAX 256  /* delays kept of a window; more are counted, not kept */

/* NTP format (RFC 5905 section 6): seconds since 1900, and a binary fraction. */
struct stamp_time {
	uint32_t sec, frac;
};

struct stamp_time stamp_time_of(int64_t unix_ns);
int64_t stamp_unix_ns(struct stamp_time t);

/* Error estimate (RFC 4656 section 4.1.2): S synced, Z 0 = NTP format, scale, multiplier > 0; the
 * least that is not below us microseconds. */
uint16_t stamp_error(uint32_t us);
/* Microseconds, rounded up; UINT32_MAX when it does not fit. 0 = malformed (multiplier 0). */
uint32_t stamp_error_us(uint16_t e);

struct stamp_sent {
	uint32_t seq;
	struct stamp_time t1;
	uint16_t error;
};

struct stamp_reply {
	uint32_t seq; /* the reflector's */
	struct stamp_time t3, t2;
	uint16_t error;
	struct stamp_sent sent; /* as the reflector got it */
	uint8_t ttl;            /* as the reflector got it */
};

void stamp_write(uint8_t pkt[STAMP_LEN], const struct stamp_sent *s);
/* A packet of a sender into the answer to it, in place (only the first STAMP_LEN bytes change).
 * False = malformed, no answer: too short, too long, or an error estimate of multiplier 0. */
bool stamp_reflect(uint8_t *pkt, size_t len, int64_t t2_ns, int64_t t3_ns, uint16_t error,
		   uint8_t ttl);
/* False = malformed. */
bool stamp_read(const uint8_t *pkt, size_t len, struct stamp_reply *ret);

/* --- the sender's book ---------------------------------------------------------------------- */

struct stamp_window {
	uint32_t back, lost, duplicates, reordered;
	uint32_t n; /* delays kept */
	uint32_t delay[STAMP_WINDOW_MAX];
};

struct stamp_book {
	uint32_t next;   /* sequence number of the next probe */
	uint32_t oldest; /* first one that has no verdict yet */
	uint32_t last;   /* highest that came back, + 1 */
	struct {
		struct stamp_time t1;
		int64_t at_us; /* monotonic */
		bool back;
	} row[STAMP_BOOK];
	struct stamp_window w;
};

enum stamp_verdict { STAMP_FRESH, STAMP_DUPLICATE, STAMP_LATE, STAMP_STRANGE };

/* Notes a probe; returns what to send. */
struct stamp_sent stamp_send(struct stamp_book *b, int64_t at_us, int64_t t1_ns, uint16_t error);
/* Takes an answer: STRANGE when it does not repeat a probe of ours, LATE when that was given up.
 * FRESH: *delay_us (one way if clocks agree within clock_us <= 1000, else half the round trip) is
 * in the window. */
enum stamp_verdict stamp_take(struct stamp_book *b, const struct stamp_reply *r, int64_t t4_ns,
			      uint32_t clock_us, uint32_t *delay_us);
/* Gives up probes older than timeout_us. */
void stamp_expire(struct stamp_book *b, int64_t now_us, int64_t timeout_us);
/* Statistics of the window into ret (path and load are left alone), and a new window. */
void stamp_close(struct stamp_book *b, struct path_sample *ret);

#endif
