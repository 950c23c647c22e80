/* SPDX-License-Identifier: Apache-2.0 */
/* The OSS's tools on the wire: planning asks for what nodes owe and swaps paths, negotiation reads
 * the orders that it decides; nobody else's owner may. */
#include "oss_lab.h"
#include "owner_call.h"

#define PLANNER OWNER_oss_planning

/* Once: the rows are the process's. */
static int setup(void **state)
{
	int r = lab_make(state);

	owner_serve(&lab.side);
	return r;
}

static int teardown(void **state)
{
	owner_unserve();
	return lab_drop(state);
}

/* A removal that a silent node owes is asked for at once when it is back, not at the next try. */
static void owed_removals_are_asked_for(void **state)
{
	struct plan owed = { .n_steps = 1 };
	struct step *s = &owed.step[0].step;
	struct mcp_result a;
	uint32_t seen;

	(void)state;
	owner_alone(PLANNER, "removal_settle");
	a = owner_does(PLANNER, "removal_settle", "{}");
	assert_int_equal(owner_int(&a, "owed"), 0);
	assert_false(json_is_true(json_object_get(a.structured, "asked")));
	mcp_result_clear(&a);
	str_cut(owed.id.s, "pln-old");
	str_cut(owed.step[0].node.s, "popC");
	s->kind = STEP_CLASS_DEL;
	s->label = 0x100;
	str_cut(s->device.s, "coreb");
	lab_emit(EV_REMOVAL_OWED, &owed);
	lab_run(1);
	seen = lab.n_seen;
	a = owner_does(PLANNER, "removal_settle", "{}");
	assert_int_equal(owner_int(&a, "owed"), 1);
	assert_true(json_is_true(json_object_get(a.structured, "asked")));
	mcp_result_clear(&a);
	lab_run(500);
	assert_int_equal(lab.n_seen, seen + 1);
	assert_int_equal(engine_world(lab.side.engine)->n_debts, 0);
}

static void each_reads_what_it_works_on(void **state)
{
	static const enum owner of[] = { OWNER_oss_negotiation, PLANNER };
	struct mcp_result a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		a = owner_does(of[i], "service_list", "{}");
		mcp_result_clear(&a);
		owner_refused(of[i], "order_show", "{\"id\":\"ord-none\"}", "no deal");
	}
	a = owner_call(OWNER_bss_negotiation, "service_list", "{}");
	assert_int_equal(a.code, MCP_E_PARAMS);
	mcp_result_clear(&a);
	owner_alone(PLANNER, "path_swap");
	owner_refused(PLANNER, "path_swap", "{\"agreementId\":\"agr-none\",\"path\":2}",
		      "agreement_unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owed_removals_are_asked_for),
		cmocka_unit_test(each_reads_what_it_works_on),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
