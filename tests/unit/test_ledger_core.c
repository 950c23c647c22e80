/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "agent/state/ledger_core.h"

#define HOUR 3600000LL

static struct ledger_span span(int64_t price, int64_t start, int64_t end)
{
	return (struct ledger_span){ { price }, { start }, { end } };
}

static const struct {
	const char *name;
	struct ledger_span s[3];
	size_t n;
	int64_t want; /* INT64_MIN = refused */
} amounts[] = {
	{ "one hour", { { { 1000 }, { 0 }, { HOUR } } }, 1, 1000 },
	{ "one ms rounds up", { { { 1000 }, { 0 }, { 1 } } }, 1, 1 },
	{ "free", { { { 0 }, { 0 }, { HOUR } } }, 1, 0 },
	{ "no time", { { { 1000 }, { 5 }, { 5 } } }, 1, 0 },
	{ "exact third", { { { 3 }, { 0 }, { HOUR / 3 } } }, 1, 1 },
	{ "just above", { { { 3 }, { 0 }, { HOUR / 3 + 1 } } }, 1, 2 },
	{ "each span rounds up",
	  { { { 1 }, { 0 }, { 1 } }, { { 1 }, { 1 }, { 2 } }, { { 1 }, { 2 }, { 3 } } },
	  3,
	  3 },
	{ "step up",
	  { { { 100 }, { 0 }, { HOUR } }, { { 300 }, { HOUR }, { 2 * HOUR } } },
	  2,
	  400 },
	{ "none", { { { 1 }, { 0 }, { 1 } } }, 0, INT64_MIN },
	{ "negative price", { { { -1 }, { 0 }, { 1 } } }, 1, INT64_MIN },
	{ "backwards", { { { 1 }, { 2 }, { 1 } } }, 1, INT64_MIN },
	{ "gap", { { { 1 }, { 0 }, { 1 } }, { { 1 }, { 2 }, { 3 } } }, 2, INT64_MIN },
	{ "overlap", { { { 1 }, { 0 }, { 2 } }, { { 1 }, { 1 }, { 3 } } }, 2, INT64_MIN },
	{ "overflow", { { { INT64_MAX }, { 0 }, { 2 } } }, 1, INT64_MIN },
	{ "time overflow", { { { 1 }, { INT64_MIN }, { INT64_MAX } } }, 1, INT64_MIN },
	{ "largest that fits", { { { INT64_MAX }, { 0 }, { 1 } } }, 1, INT64_MAX / HOUR + 1 },
};

static void test_amount(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
		money_t got = ledger_amount(amounts[i].s, amounts[i].n);

		if (got.minor != amounts[i].want)
			fail_msg("%s: %lld", amounts[i].name, (long long)got.minor);
	}
}

static void test_delta(void **state)
{
	(void)state;
	assert_int_equal(ledger_delta((money_t){ 10 }, (money_t){ 4 }).minor, 6);
	assert_int_equal(ledger_delta((money_t){ 4 }, (money_t){ 10 }).minor, 0);
	assert_int_equal(ledger_delta((money_t){ 4 }, (money_t){ 4 }).minor, 0);
	assert_int_equal(ledger_delta((money_t){ -1 }, (money_t){ 0 }).minor, INT64_MIN);
	assert_int_equal(ledger_delta((money_t){ 1 }, (money_t){ -1 }).minor, INT64_MIN);
	assert_int_equal(ledger_delta(MONEY_BAD, (money_t){ 0 }).minor, INT64_MIN);
}

static void test_unused(void **state)
{
	struct ledger_span s[2] = { span(100, 0, HOUR), span(300, HOUR, 3 * HOUR) };
	static const struct {
		int64_t at, captured, want;
	} t[] = {
		{ 0, 700, 700 },        { HOUR / 2, 700, 650 }, { HOUR, 700, 600 },
		{ 2 * HOUR, 700, 300 }, { 3 * HOUR, 700, 0 },   { 9 * HOUR, 700, 0 },
		{ 2 * HOUR, 100, 0 },   { HOUR + 1, 700, 599 }, { -5, 700, 700 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(
			ledger_unused(s, 2, (money_t){ t[i].captured }, (wall_t){ t[i].at }).minor,
			t[i].want);
	assert_int_equal(ledger_unused(s, 2, (money_t){ -1 }, (wall_t){ 0 }).minor, INT64_MIN);
	assert_int_equal(ledger_unused(s, 0, (money_t){ 1 }, (wall_t){ 0 }).minor, INT64_MIN);
}

/* A term of two hours at 100/h; raised to 300/h after one hour; lowered to 50/h after 1.5 h. */
static void test_recompute(void **state)
{
	struct ledger_span s[3] = { span(100, 0, HOUR), span(300, HOUR, HOUR + HOUR / 2),
				    span(50, HOUR + HOUR / 2, 2 * HOUR) };
	wall_t paid[3] = { { 2 * HOUR }, { 2 * HOUR }, { 2 * HOUR } };

	(void)state;
	assert_int_equal(ledger_recompute(s, paid, 1).minor, 200);
	assert_int_equal(ledger_recompute(s, paid, 2).minor, 400);
	/* amount is 275 now; what was captured stays */
	assert_int_equal(ledger_recompute(s, paid, 3).minor, 400);
	paid[0].ms = -1;
	assert_int_equal(ledger_recompute(s, paid, 3).minor, INT64_MIN);
}

/* Random lineages: hold/capture step by step equals the recomputation; what is captured never
 * falls, never exceeds the sum of full terms, and is at least what the time used costs. */
static void test_property(void **state)
{
	uint64_t x = 0x5097d2bb;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct ledger_span s[6];
		wall_t paid[6];
		int64_t term = 10 * HOUR, at = 0;
		money_t captured = { 0 };

		for (size_t i = 0; i < 6; i++) {
			money_t amount, before = captured;
			int64_t next;

			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			s[i] = span((int64_t)(x >> 50), at, term);
			paid[i].ms = term;
			amount = ledger_amount(s, i + 1);
			captured = money_add(captured, ledger_delta(amount, captured));
			assert_true(captured.minor >= before.minor);
			assert_true(captured.minor >= amount.minor);
			assert_int_equal(ledger_recompute(s, paid, i + 1).minor, captured.minor);
			assert_true(ledger_unused(s, i + 1, captured, (wall_t){ at }).minor <=
				    captured.minor);
			next = at + (int64_t)(x >> 40) % (term - at);
			s[i].end.ms = next;
			at = next;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amount),   cmocka_unit_test(test_delta),
		cmocka_unit_test(test_unused),   cmocka_unit_test(test_recompute),
		cmocka_unit_test(test_property),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
