/* SPDX-License-Identifier: Apache-2.0 */
/* The seller's tools on the wire: an operator asks for capacity back and takes the question back.
 */
#include "bss_road.h"
#include "owner_call.h"

#define SELLER OWNER_bss_negotiation

static int setup(void **state)
{
	int r = lab_setup(state);

	lab.cfg.daemon.roles = ROLE_BSS;
	owner_serve(&lab.side);
	return r;
}

static int teardown(void **state)
{
	owner_unserve();
	return lab_teardown(state);
}

static struct road assured(uint8_t strategy)
{
	struct road r;
	const struct cap_oss_assurance cap = { lab.side.engine };
	struct ev_ref ref = { 0 };

	lab.side.profile[0].strategy = strategy;
	r = whole_road(&lab.ent, "00000000000000cc");
	ref.deal = deal(&r)->lineage;
	ref.rev = deal(&r)->cur.rev;
	assert_int_equal(tool_metered_flag(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(deal(&r)->life, LIFE_ASSURED);
	return r;
}

static void capacity_is_asked_back(void **state)
{
	auto_road struct road r = assured(STRATEGY_STEP_DOWN);
	struct mcp_result a;
	char args[200];

	(void)state;
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\"}", deal(&r)->lineage.s);
	owner_alone(SELLER, "renegotiation_open");
	assert_int_equal(deal(&r)->life, LIFE_ASSURED);
	a = owner_does(SELLER, "renegotiation_open", args);
	assert_int_equal(deal(&r)->life, LIFE_RENEGOTIATING);
	assert_string_equal(json_string_value(json_object_get(a.structured, "quote")),
			    deal(&r)->quote.id.s);
	assert_int_equal(owner_int(&a, "validUntilMs"), deal(&r)->quote.valid_until.ms);
	mcp_result_clear(&a);
	assert_int_equal(deal(&r)->quote.reason, QUOTE_STEP_DOWN);
	for (uint8_t i = 0; i < deal(&r)->quote.n_items; i++)
		assert_true(quote_price(&deal(&r)->quote.item[i]).minor_h <
			    deal(&r)->cur.price.minor_h);
	assert_int_equal(lab.sent, 1);
	assert_string_equal(lab.sent_to, lab.ent.did);
	/* One at a time. */
	owner_refused(SELLER, "renegotiation_open", args, "in_flight");
	assert_int_equal(lab.sent, 1);
}

static void an_offer_is_taken_back(void **state)
{
	auto_road struct road r = assured(STRATEGY_STEP_DOWN);
	struct mcp_result a;
	char open[200], close[200];

	(void)state;
	(void)snprintf(open, sizeof(open), "{\"id\":\"%s\"}", deal(&r)->lineage.s);
	(void)snprintf(close, sizeof(close), "{\"id\":\"%s\",\"reason\":\"not needed\"}",
		       deal(&r)->lineage.s);
	owner_refused(SELLER, "renegotiation_close", close, "no offer is open");
	a = owner_does(SELLER, "renegotiation_open", open);
	mcp_result_clear(&a);
	owner_alone(SELLER, "renegotiation_close");
	owner_refused(SELLER, "renegotiation_close", open, "reason");
	assert_int_equal(deal(&r)->life, LIFE_RENEGOTIATING);
	a = owner_does(SELLER, "renegotiation_close", close);
	mcp_result_clear(&a);
	assert_int_equal(deal(&r)->life, LIFE_COOLING);
	assert_int_equal(deal(&r)->cur.rev, 1);
	assert_int_equal(holds_now(), 0);
	/* Cooling refuses the way down. */
	owner_refused(SELLER, "renegotiation_open", open, "cooling_down");
}

/* What is accepted waits for its signature: nobody takes it back. */
static void what_is_accepted_is_settled(void **state)
{
	auto_road struct road r = assured(STRATEGY_STEP_DOWN);
	struct mcp_result a;
	char args[200];
	struct err e = { 0 };

	(void)state;
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\"}", deal(&r)->lineage.s);
	a = owner_does(SELLER, "renegotiation_open", args);
	mcp_result_clear(&a);
	if (tmf648_read(json_array_get(lab.sent_data, 0), &parties, &r.q, &e))
		fail_msg("offer: %s", e.text);
	assert_int_equal(tmf_digest(json_array_get(lab.sent_data, 0), &r.q.digest, NULL), 0);
	choose(&r, 1);
	send_accept(r.who, &r.a);
	take_agreement(&r);
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\",\"reason\":\"too late\"}",
		       deal(&r)->lineage.s);
	owner_refused(SELLER, "renegotiation_close", args, "in_flight");
	accept_agreement(&r);
	assert_int_equal(deal(&r)->cur.rev, 2);
}

static void who_does_not_step_down_is_not_asked(void **state)
{
	auto_road struct road r = assured(STRATEGY_STEP_UP);
	char args[200];

	(void)state;
	(void)snprintf(args, sizeof(args), "{\"id\":\"%s\"}", deal(&r)->lineage.s);
	owner_refused(SELLER, "renegotiation_open", args, "does not step down");
	owner_refused(SELLER, "renegotiation_open", "{\"id\":\"agr-none\"}", "agreement_unknown");
	assert_int_equal(lab.sent, 0);
	assert_int_equal(deal(&r)->life, LIFE_ASSURED);
	/* The term is not over: the guard says so, whoever asks. */
	(void)snprintf(args, sizeof(args),
		       "{\"deal\":\"%s\",\"about\":\"%s\",\"rev\":1,\"why\":\"x\"}",
		       deal(&r)->lineage.s, deal(&r)->lineage.s);
	owner_refused(SELLER, "agreement_expire", args, "wrong_state");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(capacity_is_asked_back),
		CASE(an_offer_is_taken_back),
		CASE(what_is_accepted_is_settled),
		CASE(who_does_not_step_down_is_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
