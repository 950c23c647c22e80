/* SPDX-License-Identifier: Apache-2.0 */
/* test_mark.c - when a block may be read, and what two nodes' blocks say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/mark_core.h"

#define S 1000000000ll

static uint64_t seed = 11;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

static void only_finished_blocks_are_read(void **state)
{
	static const struct {
		int64_t now; /* in tenths of a block of one second */
		uint64_t finished;
		bool block_10;
	} t[] = { { 0, 0, false },   { 14, 0, false },   { 15, 0, false },   { 25, 1, false },
		  { 109, 9, false }, { 114, 9, false },  { 115, 10, true },  { 120, 10, true },
		  { 134, 11, true }, { 135, 12, false }, { 140, 12, false }, { 1000, 98, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(mark_finished(t[i].now * S / 10, S), t[i].finished);
		assert_int_equal(mark_readable(10, 4, t[i].now * S / 10, S), t[i].block_10);
	}
	assert_false(mark_readable(0, 4, 3 * S, S));
}

/* Whatever is readable is over at every node whose clock is less than half a block away, and no
 * such node has begun the block that takes the cell. */
static void readable_is_safe(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t len = (int64_t)(1 + rnd(5000)) * 1000000,
			now = (int64_t)rnd(1u << 20) * len / 64;
		uint64_t block = rnd((uint64_t)(now / len) + 3);

		if (!mark_readable(block, 4, now, len))
			continue;
		assert_true(now - len / 2 >= ((int64_t)block + 1) * len);
		assert_true(now + len / 2 < ((int64_t)block + 4) * len);
	}
}

static struct mark_sample block(uint64_t no, uint64_t packets, int64_t mean)
{
	return (struct mark_sample){ .label = 7,
				     .block = no,
				     .packets = packets,
				     .bytes = packets * 100,
				     .first_ns = mean / 2,
				     .mean_ns = mean };
}

static const struct mark_clock here = { .host = 1, .block_ms = 1000 };
static void note(struct mark_end *e, uint64_t no, uint64_t packets, int64_t mean)
{
	const struct mark_sample m = block(no, packets, mean);

	assert_true(mark_note(e, &m, &here));
}

static void the_difference_is_the_loss(void **state)
{
	struct mark_pair p = { 0 };

	(void)state;
	assert_false(mark_settle(&p));
	note(&p.near, 100, 1000, 500);
	assert_false(mark_settle(&p)); /* the other end may still tell */
	note(&p.far, 100, 990, 700);
	assert_true(mark_settle(&p));
	assert_false(mark_settle(&p));
	assert_int_equal(p.verdict, MARK_COMPARED);
	assert_int_equal(p.block, 100);
	assert_int_equal(p.sent, 1000);
	assert_int_equal(p.lost, 10);
	assert_int_equal(p.sent_bytes, 100000);
	assert_int_equal(p.received_bytes, 99000);
	assert_true(p.delayed);
	assert_int_equal(p.delay_ns, 200);
	assert_int_equal(p.uncertainty_ns,
			 2002 + S / 100 + 10); /* ten of a thousand anywhere in a second */
	note(&p.near, 101, 0, 0);
	note(&p.far, 101, 0, 0);
	assert_true(mark_settle(&p));
	assert_int_equal(p.lost, 0);
	assert_false(p.delayed);
	note(&p.near, 102, 5, 10);
	note(&p.far, 102, 0, 0);
	assert_true(mark_settle(&p));
	assert_int_equal(p.lost, 5); /* all of them */
	assert_false(p.delayed);
	assert_int_equal(p.blocks, 3);
	assert_int_equal(p.all_sent, 1005);
	assert_int_equal(p.all_lost, 15);
	assert_int_equal(p.missing, 0);
}

static void a_missing_block_says_so(void **state)
{
	struct mark_pair p = { 0 };

	(void)state;
	note(&p.near, 10, 5, 0);
	note(&p.near, 11, 5, 0);
	note(&p.far, 11, 5, 0); /* the far end began with 11: 10 was no block of this pair */
	assert_true(mark_settle(&p));
	assert_int_equal(p.block, 11);
	assert_int_equal(p.missing, 0);
	note(&p.near, 13, 5, 0); /* 12 was not told by the first node */
	note(&p.far, 12, 5, 0);
	assert_true(mark_settle(&p));
	assert_int_equal(p.verdict, MARK_NO_NEAR);
	assert_string_equal(mark_verdict_text(p.verdict), "missing at the first node");
	assert_int_equal(p.sent, 0);
	note(&p.near, 14, 5, 0);
	note(&p.far, 14, 4, 0); /* and 13 not by the last */
	assert_true(mark_settle(&p));
	assert_int_equal(p.verdict, MARK_NO_FAR);
	assert_true(mark_settle(&p));
	assert_int_equal(p.verdict, MARK_COMPARED);
	assert_int_equal(p.lost, 1);
	assert_int_equal(p.missing, 2);
	note(&p.near, 115, 5, 0); /* a hundred blocks of silence */
	note(&p.far, 115, 5, 0);
	while (mark_settle(&p))
		;
	assert_int_equal(p.block, 115);
	assert_int_equal(p.verdict, MARK_COMPARED);
	assert_int_equal(p.missing, 2 + 100);
	note(&p.near, 116, 5, 0);
	note(&p.far, 116, 6, 0);
	assert_true(mark_settle(&p));
	assert_int_equal(p.verdict, MARK_MORE);
	assert_int_equal(p.missing, 103);
	assert_int_equal(p.all_lost, 1);
}

static void a_late_answer_is_no_news(void **state)
{
	const struct mark_sample old = block(9, 3, 0), same = block(10, 9, 0);
	struct mark_pair p = { 0 };

	(void)state;
	note(&p.near, 10, 5, 0);
	assert_false(mark_note(&p.near, &old, &here));
	assert_false(mark_note(&p.near, &same, &here));
	assert_int_equal(p.near.n, 1);
	assert_int_equal(p.near.m[0].packets, 5);
	for (uint64_t i = 11; i < 30; i++)
		note(&p.near, i, i, 0);
	assert_int_equal(p.near.n, MARK_KEPT);
	assert_int_equal(p.near.m[0].block, 26);
	assert_int_equal(p.near.m[3].block, 29);
}

static void the_clocks_are_part_of_the_figure(void **state)
{
	static const struct {
		struct mark_clock near, far;
		int64_t uncertainty;
		bool unsure;
	} t[] = {
		{ { .host = 1 }, { .host = 1 }, 2002, false },
		{ { 0 }, { 0 }, 2002, true }, /* no host is not the same host */
		{ { .host = 1, .synced = true, .max_error_us = 300 },
		  { .host = 2, .synced = true, .max_error_us = 450 },
		  752002,
		  false },
		{ { .host = 1, .synced = true, .max_error_us = 300 },
		  { .host = 1, .synced = true, .max_error_us = 300 },
		  2002,
		  false },
		{ { .host = 1, .synced = true, .max_error_us = 300 }, { .host = 2 }, 2002, true }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct mark_sample n = block(5, 10, 1000), f = block(5, 10, 400);
		struct mark_pair p = { 0 };

		assert_true(mark_note(&p.near, &n, &t[i].near));
		assert_true(mark_note(&p.far, &f, &t[i].far));
		assert_true(mark_settle(&p));
		assert_int_equal(p.delay_ns, -600); /* said as it is */
		assert_int_equal(p.uncertainty_ns, t[i].uncertainty);
		assert_int_equal(p.unsure, t[i].unsure);
	}
}

/* Packets at random moments, some lost anywhere in the block: the true delay lies within the
 * stated uncertainty, and the loss is exact. */
static void the_delay_is_within_its_uncertainty(void **state)
{
	(void)state;
	for (int round = 0; round < 3000; round++) {
		uint64_t n = 1 + rnd(60), kept = 0;
		int64_t true_delay = (int64_t)rnd(400000000), sum = 0, got = 0;
		struct mark_pair p = { 0 };
		int loss = (int)rnd(3);

		for (uint64_t i = 0; i < n; i++) {
			int64_t at = (int64_t)rnd(S);

			sum += at;
			/* Early ones only, late ones only, or any. */
			if ((loss == 0 && !rnd(5)) || (loss == 1 && at < S / 5) ||
			    (loss == 2 && at > 4 * S / 5))
				continue;
			kept++;
			got += at + true_delay;
		}
		note(&p.near, 5, n, sum / (int64_t)n);
		note(&p.far, 5, kept, kept ? got / (int64_t)kept : 0);
		assert_true(mark_settle(&p));
		assert_int_equal(p.lost, n - kept);
		if (!kept)
			continue;
		assert_true(p.delay_ns - true_delay <= p.uncertainty_ns &&
			    true_delay - p.delay_ns <= p.uncertainty_ns);
	}
}

/* In any order of two ends' news every block is settled once, and the totals are the sums. */
static void order_of_news_does_not_matter(void **state)
{
	(void)state;
	for (int round = 0; round < 500; round++) {
		uint64_t a = 1, b = 1, lost = 0, sent[21], got[21];
		struct mark_pair p = { 0 };

		for (uint64_t i = 1; i < 21; i++) {
			sent[i] = rnd(100);
			got[i] = sent[i] - rnd(sent[i] + 1);
			lost += sent[i] - got[i];
		}
		while (a < 21 || b < 21) {
			bool near = b == 21 || (a < 21 && rnd(2));

			/* No end runs ahead by more than is kept. */
			if (a > b + 2)
				near = false;
			if (b > a + 2)
				near = true;
			if (near)
				note(&p.near, a, sent[a], 0), a++;
			else
				note(&p.far, b, got[b], 0), b++;
			while (mark_settle(&p))
				assert_int_equal(p.verdict, MARK_COMPARED);
		}
		assert_int_equal(p.blocks, 20);
		assert_int_equal(p.all_lost, lost);
		assert_int_equal(p.missing, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_finished_blocks_are_read),
		cmocka_unit_test(readable_is_safe),
		cmocka_unit_test(the_difference_is_the_loss),
		cmocka_unit_test(a_missing_block_says_so),
		cmocka_unit_test(a_late_answer_is_no_news),
		cmocka_unit_test(the_clocks_are_part_of_the_figure),
		cmocka_unit_test(the_delay_is_within_its_uncertainty),
		cmocka_unit_test(order_of_news_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
