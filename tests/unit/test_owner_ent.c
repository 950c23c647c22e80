/* SPDX-License-Identifier: Apache-2.0 */
/* The buyer's tools on the wire: the access link is divided, a question ends early, what traffic
 * asked for is let go. Each owner its own, nobody else's. */
#include "tests/unit/ent_lab.h"
#include "owner_call.h"

#define BUYER OWNER_ent_policy
#define ASKER OWNER_ent_requirement

static int setup(void **state)
{
	int r = lab_setup(state);

	owner_serve(&lab.side);
	return r;
}

static int setup_question(void **state)
{
	int r;

	lab_human_above = 100000; /* the hour costs 140000 */
	r = lab_setup_with(state, "approval-seconds = 3600\n");
	owner_serve(&lab.side);
	return r;
}

static int setup_detect(void **state)
{
	int r = lab_setup_with(state, "detect = 1M\ndetect-intervals = 5\n");

	owner_serve(&lab.side);
	return r;
}

static int teardown(void **state)
{
	owner_unserve();
	return lab_teardown(state);
}

static bool two_settled(void)
{
	return lab_world()->n_deals == 2 && lab_settled();
}

/* Twice the same question gives the same shares; the second changes nothing. */
static void the_link_is_divided(void **state)
{
	struct mcp_result a;
	uint64_t seq;

	(void)state;
	lab_declare("market-data", 0);
	lab_declare("bulk-transfer", 0);
	assert_true(lab_run(two_settled, 30));
	owner_alone(BUYER, "spur_rebalance");
	owner_refused(BUYER, "spur_rebalance", "{\"rate\":1}", "rate");
	a = owner_does(BUYER, "spur_rebalance", "{}");
	mcp_result_clear(&a);
	assert_int_equal(lab_world()->spur.n_flows, 2);
	seq = lab_world()->seq;
	a = owner_does(BUYER, "spur_rebalance", "{}");
	assert_false(json_is_true(json_object_get(a.structured, "changed")));
	assert_int_equal(json_array_size(json_object_get(a.structured, "shares")), 2);
	mcp_result_clear(&a);
	assert_int_equal(lab_world()->seq, seq);
}

static bool waits(void)
{
	return lab_world()->n_deals && lab_deal(0)->approval_state == APPROVAL_WAITING;
}

static bool rejected(void)
{
	return op.deal[0].rejects > 0;
}

static void a_question_ends_early(void **state)
{
	struct mcp_result a;
	char args[200];

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(waits, 30));
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"reason\":\"the day is over\"}",
		       lab_deal(0)->negotiation.s);
	owner_alone(BUYER, "quote_reject");
	owner_refused(BUYER, "quote_reject", "{\"id\":\"neg-none\",\"reason\":\"x\"}",
		      "agreement_unknown");
	assert_true(waits());
	a = owner_does(BUYER, "quote_reject", args);
	assert_string_equal(json_string_value(json_object_get(a.structured, "quote")),
			    lab_deal(0)->quote.id.s);
	mcp_result_clear(&a);
	assert_int_equal(lab_deal(0)->life, LIFE_TERMINATED);
	assert_true(lab_run(rejected, 30));
	assert_int_equal(lab_purse().held.minor, 0);
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"reason\":\"once more\"}",
		       lab_deal(0)->negotiation.s);
	owner_refused(BUYER, "quote_reject", args, "wrong_state");
}

/* An agreement that runs has no menu to decline. */
static void what_runs_has_no_menu(void **state)
{
	char args[200];

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"reason\":\"too dear\"}",
		       lab_deal(0)->lineage.s);
	owner_refused(BUYER, "quote_reject", args, "no menu waits");
	assert_true(lab_deal(0)->active);
}

static bool told(void)
{
	lab_flow();
	return op.deal[0].ends > 0;
}

static void what_traffic_asked_for_is_let_go(void **state)
{
	struct mcp_result a;
	char args[200];

	(void)state;
	op.scarcity.minor_h = 12000;
	lab_demand_bps = 8000000;
	assert_true(lab_run(lab_detected, 20));
	assert_int_equal(lab_deal(0)->intent.source, INTENT_DETECTED);
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"reason\":\"the copy is done\"}",
		       lab_deal(0)->lineage.s);
	owner_alone(ASKER, "agreement_release");
	assert_true(lab_deal(0)->active);
	a = owner_does(ASKER, "agreement_release", args);
	assert_int_equal(owner_int(&a, "revision"), 1);
	mcp_result_clear(&a);
	assert_int_equal(lab_deal(0)->life, LIFE_TERMINATED);
	lab_demand_bps = 0;
	assert_true(lab_run(told, 30));
	assert_int_equal(op.deal[0].ends, 1);
}

/* The twin: what a person asked for is not traffic's to end. */
static void what_a_person_asked_for_stays(void **state)
{
	char args[200];

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"reason\":\"no demand\"}",
		       lab_deal(0)->lineage.s);
	owner_refused(ASKER, "agreement_release", args, "wrong_state");
	owner_refused(ASKER, "agreement_release", "{\"id\":\"agr-none\",\"reason\":\"x\"}",
		      "agreement_unknown");
	assert_true(lab_deal(0)->active);
	/* Flags of the enterprise's own mirror are guarded like the operator's. */
	(void)snprintf(args, sizeof(args),
		       "{\"deal\":\"%s\",\"about\":\"%s\",\"rev\":1,\"why\":\"x\"}",
		       lab_deal(0)->negotiation.s, lab_deal(0)->cur.service.s);
	owner_refused(BUYER, "cooled_note", args, "wrong_state");
}

#define CASE(f, s) cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_link_is_divided, setup),
		CASE(a_question_ends_early, setup_question),
		CASE(what_runs_has_no_menu, setup),
		CASE(what_traffic_asked_for_is_let_go, setup_detect),
		CASE(what_a_person_asked_for_stays, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
