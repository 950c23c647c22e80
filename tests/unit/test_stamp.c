/* SPDX-License-Identifier: Apache-2.0 */
/* STAMP as RFC 8762 draws it: packets byte by byte, the reflector, and the sender's book. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/enforcer/counters.h"
#include "agent/stamp_core.h"

#define NS 1000000000ll
#define T  (1795400000 * NS) /* 2026-11-23 */

/* --- packets -----------------------------------------------------------------------------------
 */

static void times(void **st)
{
	const struct {
		int64_t ns;
		uint32_t sec, frac;
	} rows[] = {
		{ 0, 2208988800u, 0 },                   /* RFC 5905 figure 4 */
		{ 500000000, 2208988800u, 0x80000000u }, /* half a second */
		{ 63104400 * NS, 2272093200u, 0 },
		{ 2085978496 * NS, 0, 0 }, /* era 1: 2036-02-07 06:28:16 */
	};

	(void)st;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stamp_time t = stamp_time_of(rows[i].ns);

		assert_int_equal(t.sec, rows[i].sec);
		assert_int_equal(t.frac, rows[i].frac);
		assert_int_equal(stamp_unix_ns(t), rows[i].ns);
	}
	for (int64_t ns = T; ns < T + NS; ns += 7654321) {
		int64_t back = stamp_unix_ns(stamp_time_of(ns));

		assert_true(back >= ns - 1 && back <= ns + 1);
	}
}

static void errors(void **st)
{
	const uint32_t us[] = { 0, 1, 10, 999, 1000, 20000, 1000000, 10000000 };

	(void)st;
	for (size_t i = 0; i < ARRAY_LEN(us); i++) {
		uint16_t e = stamp_error(us[i]);

		assert_true((e & 0xff) != 0);
		assert_true((e & 0xc000) == 0x8000); /* synced, NTP format */
		assert_true(stamp_error_us(e) >= us[i]);
		assert_true(stamp_error_us(e) <= us[i] + us[i] / 64 + 1);
	}
	assert_int_equal(stamp_error_us(0x8000), 0);
	assert_int_equal(stamp_error_us(0x8000 | 32 << 8 | 1), 1000000); /* one second */
	assert_int_equal(stamp_error_us(0xbfff), UINT32_MAX);
}

/* Figure 2 of RFC 8762: sequence number, timestamp, error estimate, 30 zero octets. */
static void sender_packet(void **st)
{
	const struct stamp_sent s = { 0x01020304, { 0x11223344, 0x55667788 }, 0x8a01 };
	const uint8_t want[STAMP_LEN] = { 1,    2,    3,    4,    0x11, 0x22, 0x33,
					  0x44, 0x55, 0x66, 0x77, 0x88, 0x8a, 0x01 };
	uint8_t pkt[STAMP_LEN];

	(void)st;
	memset(pkt, 0xff, sizeof(pkt));
	stamp_write(pkt, &s);
	assert_memory_equal(pkt, want, sizeof(want));
}

/* Figure 5: number, T3, error, MBZ, T2, the sender's number, T1, error, MBZ, TTL, MBZ. */
static void reflector_packet(void **st)
{
	const struct stamp_sent s = { 77, stamp_time_of(T), 0x8a01 };
	struct stamp_time t2 = stamp_time_of(T + 5000000), t3 = stamp_time_of(T + 5500000);
	uint8_t pkt[STAMP_LEN_MAX + 1], sent[STAMP_LEN];
	struct stamp_reply r;

	(void)st;
	for (size_t len = STAMP_LEN; len <= STAMP_LEN_MAX; len += 728) {
		memset(pkt, 0xee, sizeof(pkt));
		stamp_write(pkt, &s);
		memcpy(sent, pkt, sizeof(sent));
		assert_true(stamp_reflect(pkt, len, T + 5000000, T + 5500000, 0x8b02, 61));
		assert_memory_equal(pkt, "\0\0\0\115", 4);
		assert_memory_equal(pkt + 14, "\0", 2);
		assert_memory_equal(pkt + 24, sent, 14);
		assert_memory_equal(pkt + 38, "\0\0\75\0\0", 6);
		for (size_t i = STAMP_LEN; i < len; i++)
			assert_int_equal(pkt[i], 0xee); /* padding comes back */
		assert_true(stamp_read(pkt, len, &r));
		assert_int_equal(r.seq, 77);
		assert_int_equal(r.error, 0x8b02);
		assert_int_equal(r.ttl, 61);
		assert_int_equal(r.sent.seq, 77);
		assert_int_equal(r.sent.error, 0x8a01);
		assert_memory_equal(&r.sent.t1, &s.t1, sizeof(s.t1));
		assert_memory_equal(&r.t2, &t2, sizeof(t2));
		assert_memory_equal(&r.t3, &t3, sizeof(t3));
	}
}

static void malformed(void **st)
{
	uint8_t pkt[STAMP_LEN_MAX + 1] = { 0 }, before[sizeof(pkt)];
	struct stamp_reply r;

	(void)st;
	memset(pkt, 1, sizeof(pkt));
	for (size_t len = 0; len < STAMP_LEN; len++) {
		assert_false(stamp_reflect(pkt, len, T, T, 0x8001, 64));
		assert_false(stamp_read(pkt, len, &r));
	}
	assert_false(stamp_reflect(pkt, sizeof(pkt), T, T, 0x8001, 64));
	assert_false(stamp_read(pkt, sizeof(pkt), &r));
	pkt[13] = 0; /* multiplier 0 */
	memcpy(before, pkt, sizeof(pkt));
	assert_false(stamp_reflect(pkt, STAMP_LEN, T, T, 0x8001, 64));
	assert_false(stamp_read(pkt, STAMP_LEN, &r));
	assert_memory_equal(before, pkt, sizeof(pkt));
	pkt[13] = 1;
	pkt[12] = 0x40; /* PTP's format, which we never asked for */
	assert_false(stamp_read(pkt, STAMP_LEN, &r));
}

/* --- the book ----------------------------------------------------------------------------------
 */

static struct stamp_book book;

/* The reflector's answer to s after `there` us one way and `hold` us inside. */
static struct stamp_reply answer(const struct stamp_sent *s, int64_t there, int64_t hold)
{
	int64_t t1 = stamp_unix_ns(s->t1);

	return (struct stamp_reply){ .seq = s->seq,
				     .t2 = stamp_time_of(t1 + there * 1000),
				     .t3 = stamp_time_of(t1 + (there + hold) * 1000),
				     .error = 0x8001,
				     .sent = *s };
}

static int64_t arrival(const struct stamp_sent *s, int64_t rtt)
{
	return stamp_unix_ns(s->t1) + rtt * 1000;
}

static int fresh_book(void **st)
{
	(void)st;
	memset(&book, 0, sizeof(book));
	return 0;
}

static void window(void **st)
{
	const int64_t delay[] = { 5300, 5100, 9000, 5000, 5200 };
	struct path_sample p = { .path = 3, .load = { 7 } };
	struct stamp_sent s[6];
	struct stamp_reply r;
	uint32_t d;

	(void)st;
	for (int i = 0; i < 6; i++)
		s[i] = stamp_send(&book, i * 20000, T + i * 20000000, 0x8001);
	for (int i = 0; i < 5; i++) {
		r = answer(&s[i], delay[i], 100);
		assert_int_equal(stamp_take(&book, &r, arrival(&s[i], 12000), 0, &d), STAMP_FRESH);
		assert_true(d >= delay[i] - 1 && d <= delay[i]);
	}
	stamp_expire(&book, 100000 + 500000, 500000); /* exactly at its age: not yet */
	assert_int_equal(book.w.lost, 0);
	stamp_expire(&book, 100000 + 500001, 500000);
	stamp_close(&book, &p);
	assert_true(p.alive);
	assert_in_range(p.delay.us, 5199, 5200);
	assert_in_range(p.delay_max.us, 8999, 9000);
	assert_in_range(p.jitter.us, 3999, 4001);
	assert_int_equal(p.loss_ppm, 166666);
	assert_true(p.path == 3 && p.load.bps == 7);
	stamp_close(&book, &p); /* nothing in the next */
	assert_false(p.alive);
	assert_true(p.delay.us == 0 && p.jitter.us == 0 && p.loss_ppm == 0);
}

static void clocks_apart(void **st)
{
	struct stamp_sent s = stamp_send(&book, 0, T, 0x8001);
	struct stamp_reply r = answer(&s, -700000, 400); /* the other clock is 0.7 s behind */
	uint32_t d;

	(void)st;
	assert_int_equal(stamp_take(&book, &r, arrival(&s, 10400), 2000, &d), STAMP_FRESH);
	assert_in_range(d, 4999, 5001); /* half of what is not the reflector's */
	s = stamp_send(&book, 0, T + NS, 0x8001);
	r = answer(&s, -50, 0); /* within the uncertainty: never negative */
	assert_int_equal(stamp_take(&book, &r, arrival(&s, 80), 1000, &d), STAMP_FRESH);
	assert_int_equal(d, 0);
}

static void disorder(void **st)
{
	struct path_sample p = { 0 };
	struct stamp_sent s[8];
	struct stamp_reply r;
	uint32_t d;

	(void)st;
	for (int i = 0; i < 8; i++)
		s[i] = stamp_send(&book, i * 1000, T + i * 1000000, 0x8001);
	for (int i = 0; i < 2; i++) { /* 4, 2 : 2 is late in order only */
		r = answer(&s[4 - 2 * i], 500, 1);
		assert_int_equal(stamp_take(&book, &r, T + NS, 0, &d), STAMP_FRESH);
	}
	assert_int_equal(book.w.reordered, 1);
	assert_int_equal(stamp_take(&book, &r, T + NS, 0, &d), STAMP_DUPLICATE);
	assert_int_equal(book.w.duplicates, 1);
	assert_int_equal(book.w.back, 2);
	stamp_expire(&book, 501500, 500000); /* 0 and 1 are over */
	assert_int_equal(book.w.lost, 2);
	r = answer(&s[1], 500, 1);
	assert_int_equal(stamp_take(&book, &r, T + NS, 0, &d), STAMP_LATE);
	assert_int_equal(book.w.back, 2);
	r = answer(&s[5], 500, 1);
	r.sent.seq = 100; /* never sent */
	assert_int_equal(stamp_take(&book, &r, T + NS, 0, &d), STAMP_STRANGE);
	r.sent.seq = 6; /* sent, at another time */
	assert_int_equal(stamp_take(&book, &r, T + NS, 0, &d), STAMP_STRANGE);
	stamp_close(&book, &p);
	assert_int_equal(p.loss_ppm, 500000);
}

/* Numbers wrap, the book turns over, a flood of answers is counted but not kept. */
static void long_run(void **st)
{
	struct path_sample p = { 0 };
	uint32_t d, lost = 0;

	(void)st;
	book.next = book.oldest = book.last = UINT32_MAX - 2000;
	for (uint32_t i = 0; i < 10000; i++) {
		struct stamp_sent s = stamp_send(&book, i * 1000, T + i * 1000000ll, 0x8001);
		struct stamp_reply r = answer(&s, 100 + i % 7, 0);

		if (i % 10)
			assert_int_equal(stamp_take(&book, &r, arrival(&s, 300), 0, &d),
					 STAMP_FRESH);
		else
			lost++;
	}
	assert_int_equal(book.w.reordered, 0);
	assert_int_equal(book.w.n, STAMP_WINDOW_MAX);
	stamp_expire(&book, INT64_MAX / 2, 1);
	assert_int_equal(book.w.lost, lost);
	stamp_close(&book, &p);
	assert_int_equal(p.loss_ppm, 100000);
	assert_in_range(p.delay.us, 99, 106);
	for (int i = 0; i < 3 * STAMP_BOOK; i++) /* nobody answers: each is lost once */
		(void)stamp_send(&book, 0, T + i * NS, 0x8001);
	assert_int_equal(book.w.lost, 2 * STAMP_BOOK);
}

/* --- medians of histograms ---------------------------------------------------------------------
 */

static void median(void **st)
{
	uint32_t b[DP_RTT_BUCKETS] = { 0 };

	(void)st;
	assert_int_equal(counters_median(b), 0);
	b[10] = 1; /* one sample of 1024..2047 us: the middle */
	assert_int_equal(counters_median(b), 1536);
	b[10] = 4; /* the third of four, spread evenly */
	assert_int_equal(counters_median(b), 1024 + 1024 * 5 / 8);
	b[20] = 3; /* seven: still the fourth */
	assert_int_equal(counters_median(b), 1024 + 1024 * 7 / 8);
	b[20] = 100;
	assert_in_range(counters_median(b), 1 << 20, 2 << 20);
	memset(b, 0xff, sizeof(b));
	assert_true(counters_median(b) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(errors),
		cmocka_unit_test(sender_packet),
		cmocka_unit_test(reflector_packet),
		cmocka_unit_test(malformed),
		cmocka_unit_test_setup(window, fresh_book),
		cmocka_unit_test_setup(clocks_apart, fresh_book),
		cmocka_unit_test_setup(disorder, fresh_book),
		cmocka_unit_test_setup(long_run, fresh_book),
		cmocka_unit_test(median),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
