/* SPDX-License-Identifier: Apache-2.0 */
/* What costs more than the wallet lets its agent decide alone waits for a human: nothing is held,
 * said or signed before the answer, and the answer is worth what was asked, once, in time. */
#include "tests/unit/ent_lab.h"

#define ALONE 100000 /* the hour costs 140000 */

static int setup(void **state)
{
	lab_human_above = ALONE;
	return lab_setup_with(state, "approval-seconds = 600\n");
}

static int setup_short(void **state)
{
	lab_human_above = ALONE;
	return lab_setup_with(state, "approval-seconds = 5\n");
}

static int setup_always(void **state)
{
	lab_human_above = -1;
	return lab_setup_with(state, "approval-seconds = 600\n");
}

static int setup_enough(void **state)
{
	lab_human_above = 140000;
	return lab_setup(state);
}

static bool waiting(void)
{
	return lab_world()->n_deals && lab_deal(0)->approval_state == APPROVAL_WAITING;
}

static bool never(void)
{
	return false;
}

static void nothing_moved(void)
{
	struct ledger_wallet w = lab_purse();

	assert_int_equal(w.held.minor, 0);
	assert_int_equal(w.captured.minor, 0);
	assert_int_equal(op.deal[0].accepts, 0);
	assert_int_equal(lab_deal(0)->cur.rev, 0);
	assert_null(lab_plan_with(STEP_LABEL_SET, 0x100));
}

static enum refusal answer(bool grant, const struct ev_approval *a)
{
	const struct cap_human cap = { lab.side.engine };

	return grant ? tool_approval_grant(&cap, a, NULL, NULL)
		     : tool_approval_deny(&cap, a, NULL, NULL);
}

static struct ev_approval asked(void)
{
	struct ev_approval a;

	lab_declare("market-data", 0);
	assert_true(lab_run(waiting, 30));
	nothing_moved();
	a = lab_deal(0)->approval;
	assert_int_equal(a.amount.minor, 140000);
	assert_string_equal(a.currency, "EUR");
	assert_true(a.why.s[0]);
	must_set(a.why.s, "a human says so");
	return a;
}

static void bought(void)
{
	assert_true(lab_run(lab_settled, 60));
	assert_int_equal(lab_purse().captured.minor, lab_deal(0)->cur.amount.minor);
	assert_int_equal(lab_purse().held.minor, 0);
	assert_true(lab_deal(0)->active);
	assert_int_equal(lab_deal(0)->approval_state, APPROVAL_USED);
}

static void granted(void **state)
{
	struct ev_approval a = asked();

	(void)state;
	assert_false(lab_run(never, 20)); /* it really waits */
	assert_true(waiting());
	nothing_moved();
	assert_int_equal(op.deal[0].rejects, 0);
	assert_int_equal(answer(true, &a), REFUSE_NONE);
	bought();
	assert_int_equal(answer(true, &a), REFUSE_WRONG_STATE);
	assert_int_equal(answer(false, &a), REFUSE_WRONG_STATE);
}

/* A wallet that says 0 lets its agent spend nothing alone. */
static void nothing_alone(void **state)
{
	struct ev_approval a = asked();

	(void)state;
	assert_false(lab_run(never, 20));
	assert_true(waiting());
	nothing_moved();
	assert_int_equal(answer(true, &a), REFUSE_NONE);
	bought();
}

static bool declined(void)
{
	return lab_ended() && op.deal[0].rejects;
}

static void denied(void **state)
{
	struct ev_approval a = asked();

	(void)state;
	assert_int_equal(answer(false, &a), REFUSE_NONE);
	assert_true(lab_run(declined, 30));
	nothing_moved();
	assert_int_equal(lab_deal(0)->approval_state, APPROVAL_DENIED);
	assert_int_equal(answer(true, &a), REFUSE_WRONG_STATE);
}

static enum refusal withdraw(const char *negotiation)
{
	struct ev_ref ref = { 0 };
	struct err e = { 0 };

	must_set(ref.deal.s, negotiation);
	must_set(ref.why.s, "the need is gone");
	return ent_intent_withdraw(&lab.side, &ref, &e);
}

/* Whoever asked for it may take it back while it waits; afterwards there is nothing to allow. */
static void withdrawn(void **state)
{
	struct ev_approval a = asked();
	const struct deal *d = lab_deal(0);

	(void)state;
	assert_int_equal(withdraw("neg-nobody"), REFUSE_AGREEMENT_UNKNOWN);
	assert_false(d->life == LIFE_TERMINATED);
	assert_int_equal(withdraw(d->negotiation.s), REFUSE_NONE);
	assert_true(lab_run(declined, 30));
	nothing_moved();
	assert_int_equal(lab_deal(0)->life, LIFE_TERMINATED);
	assert_int_equal(answer(true, &a), REFUSE_WRONG_STATE);
	assert_int_equal(withdraw(d->negotiation.s), REFUSE_WRONG_STATE);
	nothing_moved();
}

static bool accepted(void)
{
	return lab_world()->n_deals && lab_deal(0)->has_accept;
}

/* What is accepted may be signed by now: it is not withdrawn, and goes on. */
static void not_withdrawn_once_accepted(void **state)
{
	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(accepted, 30));
	assert_int_equal(withdraw(lab_deal(0)->negotiation.s), REFUSE_WRONG_STATE);
	assert_true(lab_run(lab_settled, 60));
	assert_true(lab_deal(0)->active);
	assert_int_equal(withdraw(lab_deal(0)->negotiation.s), REFUSE_WRONG_STATE);
	assert_true(lab_deal(0)->active);
	assert_int_equal(lab_purse().captured.minor, lab_deal(0)->cur.amount.minor);
}

static bool declared(void)
{
	return lab_world()->n_deals == 1;
}

/* Before the first menu has come: it comes to nobody. */
static void withdrawn_before_the_menu(void **state)
{
	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(declared, 30));
	assert_false(lab_deal(0)->has_quote);
	assert_int_equal(withdraw(lab_deal(0)->negotiation.s), REFUSE_NONE);
	assert_false(lab_run(never, 60));
	assert_int_equal(lab_deal(0)->life, LIFE_TERMINATED);
	nothing_moved();
}

static void lapsed(void **state)
{
	struct ev_approval a = asked();

	(void)state;
	assert_true(lab_run(declined, 30));
	nothing_moved();
	assert_int_equal(lab_deal(0)->approval_state, APPROVAL_LAPSED);
	assert_int_equal(answer(true, &a), REFUSE_WRONG_STATE);
}

/* The human comes when the quote is long over: a new one is asked for, and covered. */
static void late(void **state)
{
	struct ev_approval a = asked();
	int quotes = op.challenges;

	(void)state;
	assert_false(lab_run(never, 120));
	assert_int_equal(answer(true, &a), REFUSE_NONE);
	bought();
	assert_true(op.challenges > quotes);
}

/* The new quote is dearer than what was granted: the human is asked again. */
static bool asked_again(void)
{
	return waiting() && lab_deal(0)->approval.amount.minor > 140000;
}

static void dearer(void **state)
{
	struct ev_approval a = asked(), b;

	(void)state;
	assert_false(lab_run(never, 120));
	op.scarcity.minor_h += 60000;
	assert_int_equal(answer(true, &a), REFUSE_NONE);
	assert_true(lab_run(asked_again, 30));
	nothing_moved();
	assert_int_equal(answer(true, &a), REFUSE_QUOTE_MISMATCH); /* the old question */
	b = lab_deal(0)->approval;
	assert_int_equal(answer(true, &b), REFUSE_NONE);
	bought();
}

/* The answer changes nothing of the question. */
static void bent(void **state)
{
	struct ev_approval a = asked(), b;

	(void)state;
	b = a;
	b.amount.minor++;
	assert_int_equal(answer(true, &b), REFUSE_QUOTE_MISMATCH);
	b = a;
	b.expires.ms++;
	assert_int_equal(answer(true, &b), REFUSE_QUOTE_MISMATCH);
	b = a;
	must_set(b.id.s, "apr-other");
	assert_int_equal(answer(true, &b), REFUSE_QUOTE_MISMATCH);
	b = a;
	must_set(b.deal.s, "neg-0");
	assert_int_equal(answer(true, &b), REFUSE_AGREEMENT_UNKNOWN);
	assert_false(lab_run(never, 5));
	nothing_moved();
	assert_int_equal(answer(true, &a), REFUSE_NONE);
	bought();
}

/* The question and the grant are in the log: a restart knows both. */
static void restarted(void **state)
{
	struct ev_approval a = asked();
	struct deal before;

	(void)state;
	assert_false(lab_run(never, 2));
	before = *lab_deal(0);
	lab_kill();
	lab_open();
	assert_memory_equal(&before, lab_deal(0), sizeof(before));
	assert_false(lab_run(never, 5));
	assert_true(waiting());
	nothing_moved();
	assert_int_equal(answer(true, &a), REFUSE_NONE);
	bought();
}

/* At the limit itself the agent decides alone. */
static void enough(void **state)
{
	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	assert_int_equal(lab_deal(0)->approval_state, APPROVAL_NONE);
	assert_int_equal(lab_purse().captured.minor, 140000);
}

int main(void)
{
#define T(f, s) cmocka_unit_test_setup_teardown(f, s, lab_teardown)
	const struct CMUnitTest tests[] = {
		T(granted, setup),
		T(nothing_alone, setup_always),
		T(denied, setup),
		T(lapsed, setup_short),
		T(late, setup),
		T(dearer, setup),
		T(bent, setup),
		T(restarted, setup),
		T(enough, setup_enough),
		T(withdrawn, setup),
		T(withdrawn_before_the_menu, setup),
		T(not_withdrawn_once_accepted, setup_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
