/* SPDX-License-Identifier: Apache-2.0 */
/* An operator's labels, to the last of as many as there may be. */
#include "oss_lab.h"

/* Each label of the range has a class of its own. */
static void the_last_label_has_a_class(void **state)
{
	const uint32_t last = lab.cfg->op.labels.low + PLAN_MINORS - 1;
	const struct want w = { 1, 20000000, 30000, last, ORDER_ADD, QUOTE_NEW };
	const struct step klass = { .kind = STEP_CLASS_SET, .label = last, .device = { "coreb" } };
	const struct seen *s;

	(void)state;
	lab.cfg->op.labels.high = last;
	lab_run(500);
	lab_agree(&w);
	lab_run(2000);
	assert_true(lab_deal()->active);
	s = lab_held("popA", &klass);
	assert_non_null(s);
	assert_int_equal(s->step.minor, PLAN_MINOR + PLAN_MINORS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_label_has_a_class, lab_make, lab_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
