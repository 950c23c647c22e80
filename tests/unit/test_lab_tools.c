/* SPDX-License-Identifier: Apache-2.0 */
/* The lab's measuring tools must not lie: numbers with units, the delay histogram, and the
 * accounting of lost, duplicated and reordered packets per window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/lab/flowgen_send.h"
#include "tests/lab/flowgen_recv.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		const struct lab_unit *unit;
		bool ok;
		uint64_t want;
	} cases[] = {
		{ "150M", LAB_RATE, true, 150000000 },
		{ "12.5Mbit", LAB_RATE, true, 12500000 },
		{ "0", LAB_RATE, true, 0 },
		{ "300", LAB_RATE, true, 300 },
		{ "5ms", LAB_TIME, true, 5000000 },
		{ "0.25s", LAB_TIME, true, 250000000 },
		{ "5", LAB_TIME, false, 0 },
		{ "", LAB_RATE, false, 0 },
		{ "-1", LAB_COUNT, false, 0 },
		{ "M", LAB_RATE, false, 0 },
		{ "5mss", LAB_TIME, false, 0 },
		{ "1e6", LAB_RATE, false, 0 },
		{ "99999999999999999999", LAB_COUNT, false, 0 },
		{ "18446744073709551615s", LAB_TIME, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t x = 77;

		assert_int_equal(lab_parse(cases[i].text, cases[i].unit, &x), cases[i].ok);
		assert_int_equal(x, cases[i].ok ? cases[i].want : 77);
	}
}

static void test_histogram(void **state)
{
	static uint32_t hist[FG_BUCKETS];
	size_t last = 0;

	(void)state;
	for (uint64_t ns = 1; ns < 30 * LAB_NS_PER_S; ns += ns / 100 + 1) {
		size_t b = fg_bucket(ns);

		assert_true(b >= last);
		assert_true(b < FG_BUCKETS);
		assert_true(fg_bucket_ns(b) <= ns);
		assert_true(ns - fg_bucket_ns(b) <= 16 + ns / 256);
		last = b;
	}
	for (uint64_t i = 1; i <= 1000; i++)
		hist[fg_bucket(i * 10000)]++;
	assert_in_range(fg_percentile(hist, 1000, 50), 4980000, 5000000);
	assert_in_range(fg_percentile(hist, 1000, 99), 9860000, 9900000);
	assert_int_equal(fg_percentile(hist, 0, 50), 0);
}

/* A script of sequence numbers against what the receiver must make of it. */
static void test_accounting(void **state)
{
	static const struct {
		uint64_t seq[12];
		size_t n;
		uint64_t rx, dup, reordered, extent;
	} cases[] = {
		{ { 0, 1, 2, 3 }, 4, 4, 0, 0, 0 },
		{ { 0, 2, 1, 3 }, 4, 4, 0, 1, 1 },
		{ { 0, 1, 1, 2 }, 4, 3, 1, 0, 0 },
		{ { 5, 0, 1, 6 }, 4, 4, 0, 2, 5 },
		{ { 0, 3, 1, 1, 2, 0 }, 6, 4, 2, 2, 2 },
		{ { 0, 200000, 199999, 200000 }, 4, 3, 1, 1, 1 },
		{ { 0, 200000, 1 }, 3, 2, 1, 0, 0 }, /* too late to be told from a duplicate */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct receiver *r = calloc(1, sizeof(*r));
		struct fg_hdr h = { .magic = FG_MAGIC, .sender = 9, .kind = FG_DATA, .class = "c" };
		struct rflow *f;

		r->flows = calloc(FLOW_SLOTS, sizeof(*r->flows));
		for (size_t k = 0; k < cases[i].n; k++) {
			h.seq = cases[i].seq[k];
			h.ns = 1000 * (k + 1);
			take(r, &h, 1000, 1000 * (k + 1) + 500, false);
		}
		f = flow_of(r, &h);
		assert_int_equal(f->rx, cases[i].rx);
		assert_int_equal(f->dup, cases[i].dup);
		assert_int_equal(f->reordered, cases[i].reordered);
		if (cases[i].dup == 0)
			assert_int_equal(f->extent, cases[i].extent);
		assert_int_equal(r->classes[0].win[0]->rx, cases[i].rx);
		assert_int_equal(r->classes[0].win[0]->owd_max, 500);
		free(r->classes[0].win[0]);
		free(r->flows);
		free(r);
	}
}

static void feed_epochs(struct receiver *r, struct fg_hdr *h)
{
	/* Epoch of numbers 0..9: 0 before 3, 1 before 7, then 2; number 5 never comes, 6 comes
	 * twice. */
	static const uint64_t order[] = { 0, 1, 3, 2, 4, 6, 7, 6, 8, 9 };

	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++) {
		h->seq = order[k];
		h->epoch = order[k] < 3 ? 0 : order[k] < 7 ? 1 : 2;
		h->ns = 1000 * k;
		take(r, h, 500, 1000 * k + 100, true);
	}
}

static void test_windows(void **state)
{
	struct fg_hdr h = {
		.magic = FG_MAGIC, .sender = 9, .kind = FG_DATA, .class = "market-data"
	};
	struct receiver *r = calloc(1, sizeof(*r));
	char good[] = "w 10ms 9 1 1 market-data=4", bad[] = "w 10ms 9 2 1 market-data=4",
	     *text = NULL;
	size_t len = 0;
	FILE *out;

	(void)state;
	r->flows = calloc(FLOW_SLOTS, sizeof(*r->flows));
	pthread_mutex_init(&r->lock, NULL);
	feed_epochs(r, &h);
	out = open_memstream(&text, &len);
	assert_int_equal(window(r, good, out), 0);
	fclose(out);
	assert_non_null(strstr(text, "\"complete\":false"));
	assert_non_null(strstr(
		text, "\"sent\":4,\"lost\":1,\"received\":3,\"duplicated\":1,\"reordered\":0"));
	free(text);
	out = open_memstream(&text, &len);
	assert_int_equal(window(r, bad, out), -EINVAL);
	fclose(out);
	free(text);
	assert_int_equal(r->classes[0].win[0]->reordered, 1);
	for (int e = 0; e < 3; e++)
		free(r->classes[0].win[e]);
	h.kind = FG_END;
	h.seq = 10;
	take(r, &h, 56, 0, true);
	assert_int_equal(sent_of(r, &r->classes[0]), 10);
	free(r->flows);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_accounting),
		cmocka_unit_test(test_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
