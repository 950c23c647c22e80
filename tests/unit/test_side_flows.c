/* SPDX-License-Identifier: Apache-2.0 */
/* Flows of more labels than fit anywhere at first: each keeps what it measured while others come
 * and go. */
#include "agent/side_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { MANY = 20000 };

static struct side side;

/* Labels all over their range. */
static uint32_t label_of(uint32_t i)
{
	return 1 + (i * 7919u) % LABEL_MAX;
}

static bool is_even(const struct side *s, const struct side_flow *f)
{
	assert_ptr_equal(s, &side);
	return f->drops % 2 == 0;
}

static void expect(uint32_t i, bool there)
{
	const struct side_flow *f = side_flow(&side, label_of(i), false);

	assert_int_equal(f != NULL, there);
	if (!f)
		return;
	assert_int_equal(f->label, label_of(i));
	assert_int_equal(f->drops, i);
}

static void many_come_and_go(void **state)
{
	struct side_flow *f;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		assert_null(side_flow(&side, label_of(i), false));
		f = side_flow(&side, label_of(i), true);
		assert_non_null(f);
		assert_int_equal(f->drops, 0);
		f->drops = i;
	}
	assert_int_equal(side.flows.n, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		expect(i, true);
	side_flows_keep(&side, is_even);
	assert_int_equal(side.flows.n, MANY / 2);
	for (uint32_t i = 0; i < MANY; i++)
		expect(i, i % 2 == 0);
	for (uint32_t i = 1; i < MANY; i += 2) {
		f = side_flow(&side, label_of(i), true);
		assert_int_equal(f->drops, 0); /* nothing of the one before it */
		f->drops = i;
	}
	for (uint32_t i = 0; i < MANY; i++)
		expect(i, true);
	for (uint32_t i = 0; i < side.flows.n; i++)
		assert_ptr_equal(side_flow(&side, side.flows.flow[i].label, true),
				 &side.flows.flow[i]);
	side_flows_free(&side);
	assert_null(side_flow(&side, label_of(0), false));
}

static void the_last_label_is_one_and_no_more(void **state)
{
	(void)state;
	assert_non_null(side_flow(&side, LABEL_MAX, true));
	assert_null(side_flow(&side, LABEL_MAX + 1, true));
	assert_null(side_flow(&side, UINT32_MAX, false));
	side_flows_free(&side);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_come_and_go),
		cmocka_unit_test(the_last_label_is_one_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
