/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions of several cores, really made and really logged, decided again; and each way in which a
 * log can differ from its cores is found, and named by its sequence number. */
#include "query_lab.h"

#include "agent/bss_negotiation/bss_negotiation_core.h"
#include "agent/ent_policy/ent_spur_core.h"
#include "agent/redecide.h"
#include "agent/state/scarcity_core.h"

static struct query_lab lab;

static int setup(void **state)
{
	(void)state;
	memset(&lab, 0, sizeof(lab));
	lab_dir(&lab);
	lab_open(&lab);
	lab_walk(&lab); /* holds one decision: event 4, ent_policy_choose */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_drop(&lab);
	return 0;
}

/* Logs a decision behind an event that any world takes. */
static void put(const char *core, const struct field_table *in_t, const struct field_table *out_t,
		const void *in, const void *out)
{
	struct cap_advice cap = { lab.side.engine };
	struct decision d = { core, in_t, out_t, in, out };
	struct ev_advice a = { .deal = { "neg-1" }, .adviser = { "test" } };

	assert_int_equal(tool_advice_record(&cap, &a, &d, NULL), REFUSE_NONE);
	assert_int_equal(engine_turn(lab.side.engine), 0);
}

static void put_spur(int64_t spoil)
{
	struct ent_spur_in in = {
		.capacity = { 100000000 }, .usable = 950, .restore = 850, .hold = 3, .n_flows = 2
	};
	struct ent_spur_out out = { 0 };

	in.flow[0] = (struct spur_flow){ .label = 1,
					 .class_id = 1,
					 .contracted = { 80000000 },
					 .floor = { 80000000 },
					 .demand = { 70000000 } };
	in.flow[1] = (struct spur_flow){ .label = 2,
					 .class_id = 5,
					 .priority = 4,
					 .donor = true,
					 .contracted = { 40000000 },
					 .floor = { 5000000 },
					 .demand = { 40000000 } };
	ent_spur_rebalance(&in, &out);
	assert_true(out.changed);
	out.flow[1].rate.bps += (uint64_t)spoil;
	put("ent_spur_rebalance", &ent_spur_in_fields, &ent_spur_out_fields, &in, &out);
}

static void put_scarcity(void)
{
	struct scarcity_in in = { .n_paths = 1 };
	struct scarcity_out out = { 0 };

	scarcity_defaults(&in.p);
	in.path[0] = (struct path_view){ .path = 1,
					 .type = NET_DET,
					 .alive = true,
					 .base = { 5000 },
					 .delay = { 5000 },
					 .capacity = { 200000000 },
					 .reserved = { 170000000 } };
	scarcity_decide(&in, &out);
	put("scarcity_decide", &scarcity_in_fields, &scarcity_out_fields, &in, &out);
}

static void put_counter(void)
{
	struct bss_counter_in in = {
		.quoted = { 100 }, .floor = { 20 }, .last = { 100 }, .offered = { 50 }, .round = 1
	};
	struct bss_counter_out out = { 0 };

	bss_counter(&in, &out);
	put("bss_counter", &bss_counter_in_fields, &bss_counter_out_fields, &in, &out);
}

static struct redecide_report again(void)
{
	struct redecide_report rep;
	struct err e = { 0 };

	if (redecide_log(lab.store, &rep, &e))
		fail_msg("%s", e.text);
	return rep;
}

static void test_equal(void **state)
{
	struct redecide_report rep;
	uint64_t sum = 0;

	(void)state;
	put_spur(0);
	put_scarcity();
	put_counter();
	put_counter();
	rep = again();
	assert_int_equal(rep.events, 10);
	assert_int_equal(rep.decisions, 5);
	if (rep.different)
		fail_msg("%s", rep.why);
	for (size_t i = 0; i < rep.n_cores; i++) {
		assert_int_equal(rep.core[i].decisions, rep.core[i].equal);
		sum += rep.core[i].equal;
		if (!strcmp(rep.core[i].name, "bss_counter"))
			assert_int_equal(rep.core[i].equal, 2);
	}
	assert_int_equal(sum, 5);
}

static void test_output_differs(void **state)
{
	struct redecide_report rep;

	(void)state;
	put_scarcity();
	put_spur(1);
	put_spur(0);
	rep = again();
	assert_int_equal(rep.different, 1);
	assert_non_null(strstr(rep.why, "event 8: ent_spur_rebalance: the core says"));
	for (size_t i = 0; i < rep.n_cores; i++)
		assert_int_equal(rep.core[i].first_bad,
				 strcmp(rep.core[i].name, "ent_spur_rebalance") ? 0 : 8);
}

/* A core that this build does not have, and an input that its table does not describe. */
static void test_unknown(void **state)
{
	struct bss_counter_in in = { .offered = { 5 }, .round = 1 };
	struct bss_counter_out out = { 0 };
	struct redecide_report rep;

	(void)state;
	put("bss_oracle", &bss_counter_in_fields, &bss_counter_out_fields, &in, &out);
	put("scarcity_decide", &bss_counter_in_fields, &bss_counter_out_fields, &in, &out);
	rep = again();
	assert_int_equal(rep.different, 2);
	assert_non_null(strstr(rep.why, "event 7: bss_oracle: no such core"));
}

/* Every core stands in the table once, by its function's name, with tables that fit its structs. */
static void test_table(void **state)
{
	(void)state;
	assert_int_equal(redecide_n_cores, 15);
	for (size_t i = 0; i < redecide_n_cores; i++) {
		const struct redecide_core *c = &redecide_cores[i];

		assert_ptr_equal(redecide_find(c->name), c);
		if (c->alias)
			assert_ptr_equal(redecide_find(c->alias), c);
		assert_true(c->in->n && c->out->n && c->in->size && c->out->size);
	}
	assert_null(redecide_find("nothing"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_equal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_output_differs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
