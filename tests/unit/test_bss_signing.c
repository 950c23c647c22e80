/* SPDX-License-Identifier: Apache-2.0 */
/* Choices whose revisions are being signed while the turn goes on: what other messages of the turn
 * see of them, and what is left when there is no signature. */
#include "bss_road.h"

static struct road quoted(const struct party *who, const char *hex)
{
	struct road r = road_new(who, hex);

	ask_quote(&r);
	take_quote(&r);
	choose(&r, item_on(&r, 1));
	return r;
}

/* The choice is taken, its revision not signed yet. */
static void half_accept(const struct road *r)
{
	lab_held = true;
	send_accept(r->who, &r->a);
	lab_held = false;
	assert_int_equal(lab.replies, 0);
	assert_false(deal(r)->has_accept);
}

/* The last answer is in lab.got. */
static void both_answered(void)
{
	assert_int_equal(lab.replies, 2);
	lab.replies = 1;
}

/* Another than r's own; it joins the turn, and ends it. */
static void and_say(const struct party *from, json_t *data)
{
	lab_held = true;
	say(from, data);
	lab_held = false;
	lab.replies = 0;
	lab_turn();
}

/* The signer has both at once; each gets a label of its own, as one after the other would. */
static void two_in_a_turn(void **state)
{
	auto_road struct road a = quoted(&lab.ent, "a1"), b = quoted(&lab.ent, "a2");

	(void)state;
	half_accept(&a);
	half_accept(&b);
	assert_int_equal(lab.op.open, 2);
	assert_int_equal(holds_now(), 2);
	lab_turn();
	assert_int_equal(lab.op.open, 0);
	both_answered();
	assert_true(deal(&a)->has_pending && deal(&b)->has_pending);
	assert_int_equal(deal(&a)->pending.label, 100);
	assert_int_equal(deal(&b)->pending.label, 101);
	take_agreement(&b);
	accept_agreement(&b);
	assert_int_equal(deal(&b)->cur.label, 101);
	lab_restart();
}

/* A message about the same deal finds it as if the turn had ended in between. */
static void again_in_the_turn(void **state)
{
	auto_road struct road r = quoted(&lab.ent, "a1");

	(void)state;
	half_accept(&r);
	and_say(&lab.ent, json_pack("[o]", nego_part(NEGO_ACCEPT, &ev_accept_fields, &r.a)));
	both_answered();
	assert_int_equal(lab.op.most, 1);
	take_agreement(&r);
	assert_int_equal(holds_now(), 1);
}

static void another_in_the_turn(void **state)
{
	auto_road struct road r = quoted(&lab.ent, "a1");

	(void)state;
	half_accept(&r);
	choose(&r, item_on(&r, 2));
	and_say(&lab.ent, json_pack("[o]", nego_part(NEGO_ACCEPT, &ev_accept_fields, &r.a)));
	both_answered();
	assert_int_equal(problem(), REFUSE_DUPLICATE);
	assert_int_equal(deal(&r)->pending.path, 1);
	assert_int_equal(holds_now(), 1);
}

/* The enterprise's "no" comes in the same turn: it ends what was signed just before. */
static void rejected_in_the_turn(void **state)
{
	auto_road struct road r = quoted(&lab.ent, "a1"), twin = quoted(&lab.ent, "a2");
	struct ev_ref no = { .deal = r.i.negotiation, .about = r.q.id };

	(void)state;
	half_accept(&r);
	and_say(&lab.ent, json_pack("[o]", nego_part(NEGO_REJECT, &ev_ref_fields, &no)));
	assert_int_equal(holds_now(), 0);
	send_accept(twin.who, &twin.a);
	no.deal = twin.i.negotiation;
	no.about = twin.q.id;
	say(&lab.ent, json_pack("[o]", nego_part(NEGO_REJECT, &ev_ref_fields, &no)));
	assert_int_equal(deal(&r)->life, deal(&twin)->life);
	assert_int_equal(deal(&r)->has_pending, deal(&twin)->has_pending);
	assert_int_equal(holds_now(), 0);
}

/* No signature: the money is back, the reason told, nothing recorded but the refusal. */
static void the_signer_refuses(void **state)
{
	auto_road struct road r = quoted(&lab.ent, "a1"), b = quoted(&lab.ent, "a2");

	(void)state;
	lab.op.refuses = -EACCES;
	half_accept(&r);
	half_accept(&b);
	assert_int_equal(holds_now(), 2);
	lab_turn();
	both_answered();
	assert_int_equal(problem(), REFUSE_LEDGER_FORK);
	assert_int_equal(holds_now(), 0);
	assert_false(deal(&r)->has_accept || deal(&r)->has_pending);
	lab.op.refuses = 0;
	choose(&r, item_on(&r, 1));
	send_accept(r.who, &r.a); /* its twin */
	assert_int_equal(deal(&r)->has_pending, holds_now() == 1);
}

/* A name of before its horizon, which it never knew or no longer does. */
static void the_signer_forgot(void **state)
{
	auto_road struct road r = quoted(&lab.ent, "a1");

	(void)state;
	lab.op.refuses = -ESTALE;
	half_accept(&r);
	lab_turn();
	assert_int_equal(problem(), REFUSE_NAME_FORGOTTEN);
	assert_int_equal(holds_now(), 0);
	assert_false(deal(&r)->has_accept || deal(&r)->has_pending);
	lab.op.refuses = 0;
}

/* What no message brings about: the fold does not take the choice any more. */
static void overtaken(void **state)
{
	auto_road struct road r = quoted(&lab.ent, "a1");
	const struct cap_bss_negotiation cap = { lab.side.engine };
	struct quote newer;

	(void)state;
	half_accept(&r);
	newer = deal(&r)->quote;
	newer.version++;
	newer.digest.b[0] ^= 1;
	assert_int_equal(tool_quote_offer(&cap, &newer, NULL, &newer.digest), REFUSE_NONE);
	lab_turn();
	assert_int_equal(problem(), REFUSE_QUOTE_MISMATCH);
	assert_int_equal(holds_now(), 0);
	assert_false(deal(&r)->has_accept || deal(&r)->has_pending);
}

/* An agreement has ended in this turn, and nobody has ordered yet that its label goes. */
static void label_of_what_just_ended(void **state)
{
	auto_road struct road a = whole_road(&lab.ent, "a1"), b = { 0 };
	const struct cap_bss_negotiation cap = { lab.side.engine };
	struct ev_ref ref = { .deal = deal(&a)->lineage, .about = deal(&a)->lineage, .rev = 1 };

	(void)state;
	assert_int_equal(deal(&a)->cur.label, 100);
	lab.now.ms = deal(&a)->cur.end.ms + 1;
	b = quoted(&lab.ent, "a2");
	assert_int_equal(tool_agreement_expire(&cap, &ref, NULL, NULL), REFUSE_NONE);
	assert_false(deal(&a)->has_order);
	half_accept(&b);
	lab_turn();
	assert_true(deal(&a)->has_order);
	assert_int_equal(deal(&b)->pending.label, 101);
}

/* The process ends before the turn does: as if the choice had never come. */
static void stopped_in_the_turn(void **state)
{
	auto_road struct road r = quoted(&lab.ent, "a1");

	(void)state;
	half_accept(&r);
	lab_down();
	lab_up();
	assert_int_equal(lab.op.open, 0);
	assert_int_equal(holds_now(), 0);
	send_accept(r.who, &r.a);
	take_agreement(&r);
	assert_int_equal(holds_now(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
		T(two_in_a_turn),       T(again_in_the_turn),
		T(another_in_the_turn), T(rejected_in_the_turn),
		T(the_signer_refuses),  T(the_signer_forgot),
		T(overtaken),           T(label_of_what_just_ended),
		T(stopped_in_the_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
