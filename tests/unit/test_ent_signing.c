/* SPDX-License-Identifier: Apache-2.0 */
/* Presentations, acceptances and receipts that are signed while the turn goes on. */
#include "tests/unit/ent_lab.h"

#define NEXT_MS 300000

static bool all_settled(void)
{
	return lab_settled() && lab.agent.open == 0;
}

/* So many at once, from the intent on; the signer has all of a kind together but the receipts, of
 * which each needs the one before. */
static void several_in_a_turn(void **state)
{
	enum { MANY = 5 };
	struct ledger_wallet w;

	(void)state;
	op.next_ms = NEXT_MS;
	for (int i = 0; i < MANY; i++)
		lab_declare("market-data", 10000000 + (uint64_t)i * 1000000);
	assert_true(lab_run(all_settled, 30));
	assert_int_equal(lab.agent.most, MANY);
	w = lab_purse();
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(lab_deal(i)->cur.rev, 1);
	assert_int_equal(w.held.minor, 0);
	assert_int_equal(w.captured.minor, op.receipt.cumulative_after.minor);
	assert_int_equal(lab_world()->refusals, 0);
}

/* With a challenge at hand the presentation is signed in the turn of the intent. */
static void challenge_at_hand(void)
{
	op.next_ms = NEXT_MS;
	lab_declare("market-data", 0);
	assert_true(lab_run(all_settled, 30));
}

static const struct deal *last_deal(void)
{
	return lab_deal(lab_world()->n_deals - 1);
}

static bool last_over(void)
{
	return last_deal()->life == LIFE_TERMINATED;
}

static void on_declared(void *arg, const struct event *ev)
{
	struct ev_ref ref = { .deal = ev->u.intent.negotiation };
	struct err e = { 0 };

	if (ev->kind != EV_INTENT_DECLARED || !*(bool *)arg)
		return;
	*(bool *)arg = false;
	assert_int_equal(lab.agent.open, 1); /* the presentation is on its way */
	assert_int_equal(ent_intent_withdraw(&lab.side, &ref, &e), REFUSE_NONE);
}

/* The intent is withdrawn before its presentation is signed: nothing is said of it. */
static void withdrawn_in_the_turn(void **state)
{
	static bool now;
	int said;

	(void)state;
	challenge_at_hand();
	assert_int_equal(engine_subscribe(lab.side.engine, on_declared, &now), 0);
	said = lab.n_calls;
	now = true;
	lab_declare("market-data", 12000000);
	assert_true(lab_run(last_over, 30));
	assert_false(now);
	assert_int_equal(lab.agent.open, 0);
	assert_int_equal(lab.n_calls, said);
	lab_declare("market-data", 13000000); /* its twin */
	assert_true(lab_run(all_settled, 30));
	assert_true(lab.n_calls > said);
}

static bool asked_again(void)
{
	const char *mid = lab.n_calls ? lab.said[lab.n_calls - 1] : "";

	return !strncmp(mid, "m-chal", 6) && last_deal()->cur.rev == 0;
}

/* No signature for a presentation: another challenge is asked for, and answered when it can be. */
static void presentation_unsigned(void **state)
{
	(void)state;
	challenge_at_hand();
	lab.agent.refuses = -EAGAIN;
	lab_declare("market-data", 12000000);
	assert_true(lab_run(asked_again, 30));
	assert_false(lab_run(all_settled, 3));
	assert_int_equal(last_deal()->cur.rev, 0);
	lab.agent.refuses = 0;
	assert_true(lab_run(all_settled, 30));
	assert_int_equal(last_deal()->cur.rev, 1);
}

/* Which kind of signature fails. */
static enum sign_kind fails;
static int asked_of_it;

static int ask_or_fail(void *arg, const struct sign_request *rq, void **ret)
{
	struct party *p = arg;

	if (rq->kind == fails)
		asked_of_it++;
	p->refuses = rq->kind == fails ? -EIO : 0;
	return party_ask(arg, rq, ret);
}

static void fail_kind(enum sign_kind kind)
{
	fails = kind;
	asked_of_it = 0;
	for (unsigned k = SIGN_PRESENTATION; k <= SIGN_RECEIPT; k++)
		lab.side.port[k].ask = ask_or_fail;
}

/* Without its signature an acceptance costs nothing; without its receipt the money is captured,
 * once, and the same receipt follows. */
static void countersignature_unsigned(void **state)
{
	(void)state;
	for (int k = 0; k < 2; k++) {
		enum sign_kind kind = k ? SIGN_RECEIPT : SIGN_ACCEPTANCE;

		fail_kind(kind);
		lab_declare("market-data", 0);
		assert_false(lab_run(lab_settled, 5));
		assert_true(asked_of_it >= 2);
		assert_int_equal(lab_deal(0)->cur.rev, 0);
		assert_int_equal(lab_purse().captured.minor, k ? 140000 : 0);
		fail_kind(SIGN_KIND_MAX_);
		assert_true(lab_run(all_settled, 30));
		assert_int_equal(lab_deal(0)->cur.rev, 1);
		assert_int_equal(lab_purse().captured.minor, 140000);
		assert_int_equal(op.receipt.cumulative_after.minor, 140000);
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
}

int main(void)
{
#define ROAD(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		ROAD(several_in_a_turn),
		ROAD(withdrawn_in_the_turn),
		ROAD(presentation_unsigned),
		ROAD(countersignature_unsigned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
