/* SPDX-License-Identifier: Apache-2.0 */
/* A live agreement: offers up and back, what is not answered, and the two ends. */
#include "bss_road.h"

#define HEX "00000000000000cc"

static void metered(const struct road *r)
{
	const struct cap_oss_assurance cap = { lab.side.engine };
	struct ev_ref ref = { .deal = deal(r)->lineage, .rev = deal(r)->cur.rev };

	assert_int_equal(tool_metered_flag(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(deal(r)->life, LIFE_ASSURED);
}

static void predict(const struct road *r)
{
	const struct cap_oss_assurance cap = { lab.side.engine };
	struct ev_ref ref = { .deal = deal(r)->lineage, .rev = deal(r)->cur.rev };

	assert_int_equal(tool_breach_predict(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
}

/* Path 1 is heading for more delay than was promised. */
static struct road at_risk(void)
{
	struct road r = whole_road(&lab.ent, HEX);

	metered(&r);
	lab.side.paths.view[0].forecast.us = lab.side.paths.view[0].delay.us = 60000;
	predict(&r);
	return r;
}

static void take_offer(struct road *r, enum quote_reason why)
{
	const json_t *body = json_array_get(lab.sent_data, 0);
	struct err e = { 0 };

	assert_string_equal(lab.sent_to, lab.ent.did);
	if (tmf648_read(body, &parties, &r->q, &e))
		fail_msg("offer: %s", e.text);
	assert_int_equal(tmf_digest(body, &r->q.digest, NULL), 0);
	assert_int_equal(r->q.reason, why);
	assert_string_equal(r->q.lineage.s, "agr-" HEX);
}

static json_t *received(const struct road *r)
{
	struct ev_ref ref = { .deal = deal(r)->lineage, .about = r->q.id };

	return nego_part(NEGO_RECEIVED, &ev_ref_fields, &ref);
}

static void amend(struct road *r)
{
	choose(r, 1);
	send_accept(r->who, &r->a);
	take_agreement(r);
	accept_agreement(r);
	assert_int_equal(lab.replies, 0);
	oss_active(r);
	(void)artifact("service");
}

static void step_up_and_back(void **state)
{
	const struct cap_oss_assurance cap = { lab.side.engine };
	auto_road struct road r = at_risk();
	struct ev_ref ref = { .deal = deal(&r)->lineage, .rev = 2 };
	digest_t first = r.digest;
	wall_t end = r.a.end;

	(void)state;
	assert_int_equal(deal(&r)->life, LIFE_RENEGOTIATING);
	assert_int_equal(lab.sent, 1);
	take_offer(&r, QUOTE_STEP_UP);
	answer_sent(received(&r));
	lab.now.ms += 5000;
	amend(&r);
	assert_int_equal(r.t.revision, 2);
	assert_memory_equal(r.t.previous, first.b, DIGEST_LEN);
	assert_int_equal(deal(&r)->cur.path, 2);
	assert_int_equal(deal(&r)->cur.label, 100);
	assert_int_equal(deal(&r)->cur.end.ms, end.ms);
	assert_int_equal(deal(&r)->life, LIFE_ASSURED);
	/* The risk has passed: back to the path, the grades and the price of before. */
	lab.side.paths.view[0].forecast.us = lab.side.paths.view[0].delay.us = 5000;
	assert_int_equal(tool_recovery_flag(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(deal(&r)->life, LIFE_COOLING);
	assert_int_equal(lab.sent, 1);
	lab.now.ms += 60000;
	assert_int_equal(tool_cooled_flag(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(lab.sent, 2);
	take_offer(&r, QUOTE_WALK_BACK);
	answer_sent(received(&r));
	amend(&r);
	assert_int_equal(r.t.revision, 3);
	assert_int_equal(deal(&r)->cur.path, 1);
	assert_int_equal(deal(&r)->cur.price.minor_h, deal(&r)->origin.price.minor_h);
	assert_int_equal(deal(&r)->life, LIFE_RESTORED);
	lab_restart();
}

static void order_in_place(void **state)
{
	auto_road struct road r = at_risk();

	(void)state;
	take_offer(&r, QUOTE_STEP_UP);
	choose(&r, 1);
	send_accept(r.who, &r.a);
	take_agreement(&r);
	accept_agreement(&r);
	assert_int_equal(deal(&r)->order.action, ORDER_REROUTE);
	assert_int_equal(deal(&r)->order.old_path, 1);
	assert_int_equal(deal(&r)->order.path, 2);
	assert_int_equal(deal(&r)->order.label, 100);
	free(lab.sent_arg);
	lab.sent_arg = NULL;
}

static void retried_then_closed(void **state)
{
	auto_road struct road r = { 0 };
	char id[80];
	unsigned sent;

	(void)state;
	lab.send_err = -ENOTCONN;
	r = at_risk();
	assert_int_equal(lab.sent, 0);
	lab_run(2000);
	lab.send_err = 0;
	lab_run(3000);
	assert_int_equal(lab.sent, 1);
	must_set(id, lab.sent_id);
	answer_sent(NULL); /* the connection broke: again, under the same id */
	lab_run(6000);
	assert_true(lab.sent >= 2);
	assert_string_equal(lab.sent_id, id);
	take_offer(&r, QUOTE_STEP_UP);
	answer_sent(received(&r));
	sent = lab.sent;
	lab_run(25000); /* heard, but no answer within its validity */
	assert_int_equal(lab.sent, sent);
	assert_int_equal(deal(&r)->life, LIFE_COOLING);
	choose(&r, 1);
	send_accept(r.who, &r.a);
	assert_int_equal(problem(), REFUSE_WRONG_STATE);
	/* Cooling refuses only the way down: a predicted breach opens again. */
	predict(&r);
	assert_int_equal(deal(&r)->life, LIFE_RENEGOTIATING);
}

static void declined(void **state)
{
	auto_road struct road r = at_risk();
	struct snap s;

	(void)state;
	take_offer(&r, QUOTE_STEP_UP);
	answer_sent(nego_problem(REFUSE_UNAFFORDABLE, &deal(&r)->lineage, "too dear"));
	assert_int_equal(deal(&r)->life, LIFE_COOLING);
	s = snap();
	choose(&r, 1);
	send_accept(r.who, &r.a);
	expect(REFUSE_WRONG_STATE, s, "declined offer");
}

static void single_flight(void **state)
{
	const struct cap_oss_assurance cap = { lab.side.engine };
	auto_road struct road r = at_risk();
	struct ev_ref ref = { .deal = deal(&r)->lineage };
	struct road change = road_new(&lab.ent, "0ff");
	struct snap s;

	(void)state;
	answer_sent(received(&r));
	assert_int_equal(tool_breach_flag(&cap, &ref, NULL, NULL), REFUSE_WRONG_STATE);
	lab_turn();
	change.i.lineage = deal(&r)->lineage;
	s = snap();
	ask_quote(&change);
	expect(REFUSE_IN_FLIGHT, s, "a change while an offer is out");
	assert_int_equal(lab.sent, 1);
}

static void offer_after_restart(void **state)
{
	auto_road struct road r = at_risk();
	char id[80];

	(void)state;
	must_set(id, lab.sent_id);
	lab_restart();
	lab_run(1000);
	assert_int_equal(lab.sent, 2);
	assert_string_equal(lab.sent_id, id);
	take_offer(&r, QUOTE_STEP_UP);
	answer_sent(received(&r));
	amend(&r);
}

static void not_countersigned(void **state)
{
	auto_road struct road r = at_risk();
	struct ledger_hold_row h;
	int k;

	(void)state;
	take_offer(&r, QUOTE_STEP_UP);
	answer_sent(received(&r));
	choose(&r, 1);
	send_accept(r.who, &r.a);
	take_agreement(&r);
	lab_run(119000);
	assert_int_equal(deal(&r)->life, LIFE_RENEGOTIATING);
	lab_run(3000);
	assert_int_equal(deal(&r)->life, LIFE_COOLING);
	k = ledger_hold_get(lab.store, LEDGER_SHADOW, r.q.lineage.s, r.a.hold.s, &h, NULL);
	assert_int_equal(k, 0);
	assert_true(h.state == HOLD_RELEASED || h.state == HOLD_EXPIRED);
}

/* The enterprise wants more of the same service. */
static void change_of_mind(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, HEX);
	struct road bad = r;
	struct snap s;

	(void)state;
	metered(&r);
	r.i.lineage = deal(&r)->lineage;
	r.i.want.bandwidth.bps = 20000000;
	r.i.source = INTENT_CHANGE;
	must_set(r.i.id.s, "int-change");
	bad.i = r.i;
	bad.agreement = NULL;
	must_set(bad.i.flow.s, "flow-2");
	s = snap();
	ask_quote(&bad);
	expect(REFUSE_BODY_MALFORMED, s, "another flow");
	bad.i = r.i;
	must_set(bad.i.lineage.s, "agr-0");
	s = snap();
	ask_quote(&bad);
	expect(REFUSE_AGREEMENT_UNKNOWN, s, "no such agreement");
	ask_quote(&r);
	take_quote(&r);
	assert_int_equal(r.q.reason, QUOTE_CHANGE);
	assert_int_equal(deal(&r)->life, LIFE_RENEGOTIATING);
	choose(&r, item_on(&r, 1));
	send_accept(r.who, &r.a);
	take_agreement(&r);
	accept_agreement(&r);
	assert_int_equal(deal(&r)->order.action, ORDER_MODIFY);
	oss_active(&r);
	(void)artifact("service");
	assert_int_equal(deal(&r)->cur.g.bandwidth.bps, 20000000);
	assert_int_equal(deal(&r)->cur.label, 100);
	lab_restart();
}

/* Another network type is another service with another label. The answer comes when the new road is
 * made, before the old one is removed. */
static void replaced(void **state)
{
	const struct cap_oss_planning oss = { lab.side.engine };
	auto_road struct road r = whole_road(&lab.ent, HEX);
	struct ev_progress p = { .plan = { "pln-1" }, .upto = 1 };
	struct plan *plan = calloc(1, sizeof(*plan));

	(void)state;
	lab_path(3, NET_BE, 20000, 200000000);
	metered(&r);
	r.i.lineage = deal(&r)->lineage;
	r.i.want.bandwidth.bps = 12000000;
	r.i.source = INTENT_CHANGE;
	must_set(r.i.id.s, "int-change");
	ask_quote(&r);
	take_quote(&r);
	choose(&r, item_on(&r, 3));
	send_accept(r.who, &r.a);
	take_agreement(&r);
	accept_agreement(&r);
	assert_int_equal(deal(&r)->order.action, ORDER_MIGRATE);
	assert_int_not_equal(deal(&r)->order.label, deal(&r)->order.old_label);
	must_set(plan->id.s, "pln-1");
	plan->order = deal(&r)->order.id;
	plan->lineage = p.deal = deal(&r)->lineage;
	plan->rev = 2;
	plan->n_steps = 3;
	plan->step[0].step.kind = STEP_LABEL_SET;
	plan->step[1].step.kind = STEP_WAIT;
	plan->step[2].step.kind = STEP_LABEL_DEL;
	assert_int_equal(tool_plan_commit(&oss, plan, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(lab.replies, 0);
	assert_int_equal(tool_plan_step_done(&oss, &p, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(lab.got.state, A2A_COMPLETED);
	(void)artifact("service");
	assert_false(deal(&r)->active);
	p.upto = 3;
	assert_int_equal(tool_plan_step_done(&oss, &p, NULL, NULL), REFUSE_NONE);
	oss_active(&r);
	assert_true(deal(&r)->active);
	free(plan);
	lab_restart();
}

/* --- the end ---------------------------------------------------------------------------------- */

static void removed(const struct road *r)
{
	const struct cap_oss_planning cap = { lab.side.engine };
	const struct deal *d = deal(r);
	struct ev_ref ref = { .deal = d->lineage };

	assert_int_equal(d->life, LIFE_TERMINATED);
	assert_true(d->has_order);
	assert_int_equal(d->order.action, ORDER_DELETE);
	assert_int_equal(d->order.label, 100);
	assert_int_equal(tool_service_activate(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_false(deal(r)->has_order);
	assert_false(deal(r)->active);
	assert_int_equal(deal(r)->life, LIFE_TERMINATED);
	lab_restart();
}

static void ended_by_the_enterprise(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, HEX);
	struct ev_ref ref = { .deal = deal(&r)->lineage, .about = deal(&r)->lineage, .rev = 1 };
	struct snap s = snap();

	(void)state;
	say(&lab.other, json_pack("[o]", nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref)));
	expect(REFUSE_AGREEMENT_UNKNOWN, s, "foreign termination");
	for (int i = 0; i < 2; i++) { /* said twice, ended once */
		say(&lab.ent, json_pack("[o]", nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref)));
		assert_string_equal(nego_type(json_array_get(lab.got.data, 0)), NEGO_RECEIVED);
	}
	removed(&r);
}

/* All had ended and its bodies were erased, the last receipt among them: its wallet still pays. */
static void erased_and_back(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, HEX), next = { 0 };
	struct ev_ref ref = { .deal = deal(&r)->lineage, .about = deal(&r)->lineage, .rev = 1 };
	struct acceptance acc;
	struct receipt rc;
	struct snap s;

	(void)state;
	say(&lab.ent, json_pack("[o]", nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref)));
	removed(&r);
	assert_int_equal(store_consumer_erase(lab.store, lab.ent.did, NULL), 0);
	lab_restart();
	next = road_new(&lab.ent, "00000000000000ef");
	ask_quote(&next);
	take_quote(&next);
	choose(&next, item_on(&next, 1));
	send_accept(next.who, &next.a);
	take_agreement(&next);
	acceptance_of(&next, &acc, &rc);
	assert_true(rc.has_previous);
	rc.previous[0] ^= 1;
	s = snap();
	send_acceptance(next.who, &acc, &rc, &next.who->port);
	lab_run(6000); /* it might be ahead of others */
	expect(REFUSE_LEDGER_FORK, s, "of another chain");
	rc.has_previous = false;
	s = snap();
	send_acceptance(next.who, &acc, &rc, &next.who->port);
	expect(REFUSE_LEDGER_FORK, s, "as if it were the first");
	accept_agreement(&next);
	assert_int_equal(lab.replies, 0);
	oss_active(&next);
	(void)artifact("service");
	assert_int_equal(lab.got.state, A2A_COMPLETED);
}

static void ended_by_a_human(void **state)
{
	const struct cap_human cap = { lab.side.engine };
	auto_road struct road r = whole_road(&lab.ent, HEX);
	struct ev_ref ref = { .deal = deal(&r)->lineage, .rev = 1 };

	(void)state;
	assert_int_equal(tool_agreement_terminate(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(lab.sent, 1);
	assert_string_equal(nego_type(json_array_get(lab.sent_data, 0)), NEGO_TERMINATE);
	answer_sent(NULL);
	lab_run(3000);
	assert_int_equal(lab.sent, 2);
	answer_sent(received(&r));
	lab_run(10000);
	assert_int_equal(lab.sent, 2);
	removed(&r);
}

static void ended_by_its_term(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, HEX);

	(void)state;
	lab.now.ms = r.a.end.ms - 3000;
	lab_run(2000);
	assert_int_equal(deal(&r)->life, LIFE_PROVISIONED);
	lab_run(2000);
	removed(&r);
}

/* What a label and an order must not do out of turn. */
static void orders_follow_life(void **state)
{
	const struct cap_bss_negotiation cap = { lab.side.engine };
	auto_road struct road r = whole_road(&lab.ent, HEX);
	struct ev_ref ref = { .deal = deal(&r)->lineage };
	struct order o = { .lineage = deal(&r)->lineage,
			   .rev = 1,
			   .agreement_digest = deal(&r)->cur.digest,
			   .action = ORDER_DELETE };

	(void)state;
	assert_int_equal(tool_order_emit(&cap, &o, NULL, NULL), REFUSE_ORDER_INVALID);
	assert_int_equal(tool_agreement_expire(&cap, &ref, NULL, NULL), REFUSE_WRONG_STATE);
	lab.now = r.a.end;
	assert_int_equal(tool_agreement_expire(&cap, &ref, NULL, NULL), REFUSE_NONE);
	o.action = ORDER_MODIFY;
	assert_int_equal(tool_order_emit(&cap, &o, NULL, NULL), REFUSE_ORDER_INVALID);
	lab_turn();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
		T(step_up_and_back),
		T(order_in_place),
		T(retried_then_closed),
		T(declined),
		T(single_flight),
		T(offer_after_restart),
		T(not_countersigned),
		T(change_of_mind),
		T(replaced),
		T(ended_by_the_enterprise),
		T(erased_and_back),
		T(ended_by_a_human),
		T(ended_by_its_term),
		T(orders_follow_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
