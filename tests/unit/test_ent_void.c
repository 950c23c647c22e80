/* SPDX-License-Identifier: Apache-2.0 */
/* The enterprise and revisions that never came into effect: the late countersignature, the service
 * that failed, the credit note and everything that is not one. Money comes back once. */
#include "tests/unit/ent_note.h"

static uint32_t awaited;

static bool in_force(void)
{
	return lab_deal(0)->cur.rev == awaited && lab_deal(0)->active;
}

/* Signed, countersigned, paid, and then it failed or was dead. */
static bool failed(void)
{
	return op.n && lab_deal(0)->failed;
}

static void to_failure(enum refusal fails)
{
	serve();
	op.fail_service = fails;
	op.late = fails == REFUSE_QUOTE_EXPIRED;
	lab_declare("market-data", 0);
	assert_true(lab_run(failed, 30));
	expect_money(140000);
}

/* --- dead ------------------------------------------------------------------------------------- */

/* The agreement comes after the time that it names itself: not signed, nothing captured. */
static void signed_too_late(void **state)
{
	(void)state;
	serve();
	op.accept_by.ms = NOW.ms - 1;
	lab_declare("market-data", 0);
	assert_false(lab_run(in_force, 5));
	assert_true(op.deal[0].accepts > 0);
	assert_int_equal(op.deal[0].acceptances, 0);
	expect_money(0);
}

/* The operator signed a number, and its answer never came: the next menu speaks of the next. */
static void spent_number(void **state)
{
	(void)state;
	serve();
	op.deal[0].last = 4;
	lab_declare("market-data", 0);
	awaited = 5;
	assert_true(lab_run(in_force, 30));
	assert_int_equal(op.deal[0].cur.rev, 5);
	expect_money(140000);
	lab_kill();
	lab_open();
	assert_int_equal(lab_deal(0)->last_rev, 5);
	assert_memory_equal(lab_deal(0)->head.b, op.deal[0].cur.digest.b, DIGEST_LEN);
}

/* A number at or below what was accepted is a fork. */
static void old_number(void **state)
{
	(void)state;
	serve();
	lab_declare("market-data", 0);
	awaited = 1;
	assert_true(lab_run(in_force, 30));
	op.deal[0].last = 0;
	op_quote(&op.deal[0], QUOTE_STEP_UP);
	say_as(op.key.did, op.deal[0].q.id.s, op_quote_body(&op.deal[0]));
	expect_no(REFUSE_LEDGER_FORK, "an offer under a spent number");
	assert_int_equal(op.deal[0].accepts, 1);
}

static void late_countersignature(void **state)
{
	struct credit_note c;

	(void)state;
	to_failure(REFUSE_QUOTE_EXPIRED);
	assert_int_equal(lab_deal(0)->life, LIFE_NEGOTIATED);
	c = good_note("not-in-force");
	send_note(&c, &op.key, op.key.did);
	assert_string_equal(answer_type, NEGO_RECEIVED);
	expect_money(0);
	assert_int_equal(lab_deal(0)->cur.rev, 0);
	send_note(&c, &op.key, op.key.did); /* said again: answered again, booked once */
	assert_string_equal(answer_type, NEGO_RECEIVED);
	expect_money(0);
	assert_int_equal(lab_deal(0)->n_credits, 1);
	/* Another note for the same revision. */
	must_set(c.id, "urn:uuid:00000000-0000-4000-8000-00000000dddd");
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_AGREEMENT_UNKNOWN, "a second note");
	expect_money(0);
	/* What is bought next links to it, under the next number, and is paid once. */
	op.late = false;
	op.fail_service = REFUSE_NONE;
	lab_declare("bulk-transfer", 0);
	assert_true(lab_run(second_runs, 60));
	assert_int_equal(op.deal[1].cur.rev, 1);
	assert_int_equal(op.receipt.cumulative_after.minor, 140000 + op.receipt.amount.minor);
	expect_money(op.receipt.amount.minor);
}

/* --- what is no credit note --------------------------------------------------------------------
 */

static void n_issuer(struct credit_note *c)
{
	must_set(c->issuer, op.thief.did);
}

static void n_lineage(struct credit_note *c)
{
	c->lineage[6] ^= 1;
}

static void n_digest(struct credit_note *c)
{
	c->agreement_digest[0] ^= 1;
}

static void n_revision(struct credit_note *c)
{
	c->revision++;
}

static void n_hold(struct credit_note *c)
{
	c->hold_id[4] ^= 1;
}

static void n_wallet(struct credit_note *c)
{
	c->wallet_id[10] ^= 1;
}

static void n_currency(struct credit_note *c)
{
	must_set(c->currency, "USD");
}

static void n_more(struct credit_note *c)
{
	c->amount.minor++;
}

static void n_less(struct credit_note *c)
{
	c->amount.minor--;
}

static const struct {
	const char *name;
	void (*edit)(struct credit_note *c);
	enum refusal want;
} bad_notes[] = {
	{ "issuer", n_issuer, REFUSE_SIGNATURE_BAD },
	{ "lineage", n_lineage, REFUSE_AGREEMENT_UNKNOWN },
	{ "digest", n_digest, REFUSE_AGREEMENT_UNKNOWN },
	{ "revision", n_revision, REFUSE_AGREEMENT_UNKNOWN },
	{ "hold", n_hold, REFUSE_QUOTE_MISMATCH },
	{ "wallet", n_wallet, REFUSE_QUOTE_MISMATCH },
	{ "currency", n_currency, REFUSE_LEDGER_CURRENCY },
	{ "more than was paid", n_more, REFUSE_LEDGER_STATE },
	{ "less than was paid", n_less, REFUSE_LEDGER_STATE },
};

static void bad_credit_notes(void **state)
{
	struct credit_note c;

	(void)state;
	to_failure(REFUSE_STEP_REFUSED);
	for (size_t i = 0; i < ARRAY_LEN(bad_notes); i++) {
		c = good_note("not-applied");
		bad_notes[i].edit(&c);
		send_note(&c, bad_notes[i].edit == n_issuer ? &op.thief : &op.key, op.key.did);
		expect_no(bad_notes[i].want, bad_notes[i].name);
		expect_money(140000);
		assert_int_equal(lab_deal(0)->n_credits, 0);
	}
	c = good_note("not-applied");
	send_note(&c, &op.key, op.thief.did);
	expect_no(REFUSE_NOT_AUTHORIZED, "from another peer");
	send_note(&c, &op.key, op.key.did); /* the unspoilt twin */
	assert_string_equal(answer_type, NEGO_RECEIVED);
	expect_money(0);
}

/* A running service is not undone by a note, whoever signed it. */
static void running_service(void **state)
{
	struct credit_note c;

	(void)state;
	serve();
	lab_declare("market-data", 0);
	awaited = 1;
	assert_true(lab_run(in_force, 30));
	c = good_note("not-applied");
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_LEDGER_STATE, "a service that runs");
	expect_money(140000);
	assert_true(lab_deal(0)->active);
}

/* --- in life -----------------------------------------------------------------------------------
 */

static void amendment(uint64_t bps)
{
	serve();
	lab_declare("market-data", 0);
	awaited = 1;
	assert_true(lab_run(in_force, 30));
	op.fail_service = REFUSE_STEP_REFUSED;
	op_quote(&op.deal[0], QUOTE_STEP_UP);
	op.deal[0].q.item[0].g.bandwidth.bps = bps;
	op.deal[0].q.item[0].scarcity.minor_h += 1000;
	say_as(op.key.did, op.deal[0].q.id.s, op_quote_body(&op.deal[0]));
	assert_string_equal(answer_type, NEGO_RECEIVED);
}

/* Terms, money and the edge are what they were before the amendment. */
static void amendment_fails(void **state)
{
	struct agreement was;
	struct credit_note c;
	int64_t paid;
	int plans;

	(void)state;
	amendment(10000000);
	was = lab_deal(0)->cur;
	paid = lab_purse().captured.minor;
	assert_true(lab_run(failed, 30));
	assert_int_equal(lab_deal(0)->cur.rev, 2);
	assert_true(lab_purse().captured.minor > paid);
	plans = lab.n_plans;
	c = good_note("not-applied");
	send_note(&c, &op.key, op.key.did);
	assert_string_equal(answer_type, NEGO_RECEIVED);
	expect_money(paid);
	assert_memory_equal(&lab_deal(0)->cur, &was, sizeof(was));
	assert_int_equal(lab_deal(0)->last_rev, 2);
	assert_int_equal(lab_deal(0)->life, LIFE_AT_RISK);
	lab_kill();
	lab_open();
	assert_memory_equal(&lab_deal(0)->cur, &was, sizeof(was));
	assert_int_equal(lab_deal(0)->last_rev, 2);
	expect_money(paid);
	assert_true(lab.n_plans >= plans);
}

/* The note overtakes the answer to the acceptance. */
static void note_comes_first(void **state)
{
	struct credit_note c;
	int64_t paid;

	(void)state;
	amendment(10000000);
	paid = lab_purse().captured.minor;
	for (int n = lab.n_calls; n < CALLS_MAX; n++)
		lab.fault[n] = FAULT_NONE;
	lab.fault[lab.n_calls + 1] = FAULT_ANSWER_LOST;
	assert_true(lab_run(countersigned, 30));
	assert_false(lab_run(NULL, 0));
	c = good_note("not-applied");
	c.amount.minor = lab_deal(0)->rev[1].held.minor;
	send_note(&c, &op.key, op.key.did);
	assert_string_equal(answer_type, NEGO_RECEIVED);
	expect_money(paid);
	assert_int_equal(lab_deal(0)->cur.rev, 1);
	assert_false(lab_run(NULL, 10));
	assert_int_equal(lab_deal(0)->cur.rev, 1);
	expect_money(paid);
}

static void refundable(void)
{
	serve();
	op.refund = true;
	lab_declare("market-data", 0);
	awaited = 1;
	assert_true(lab_run(in_force, 30));
}

/* Ended early: what the quote called refundable comes back, once; nothing while it runs. */
static void early_end(void **state)
{
	const struct cap_human cap = { lab.side.engine };
	struct ev_ref ref = { .why = { "no longer needed" } };
	struct credit_note c;

	(void)state;
	refundable();
	assert_true(lab_deal(0)->cur.refundable);
	c = good_note("unused");
	c.amount.minor = 100000;
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_LEDGER_STATE, "it runs");
	ref.deal = lab_deal(0)->negotiation;
	assert_int_equal(tool_agreement_terminate(&cap, &ref, NULL, NULL), REFUSE_NONE);
	assert_false(lab_run(NULL, 2));
	c.amount.minor = 140001;
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_LEDGER_STATE, "more than was paid");
	c.amount.minor = 100000;
	for (int i = 0; i < 2; i++) {
		send_note(&c, &op.key, op.key.did);
		assert_string_equal(answer_type, NEGO_RECEIVED);
		expect_money(40000);
	}
	c.amount.minor = 1;
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_DUPLICATE, "a second note");
	expect_money(40000);
}

/* Stepped down: exactly what the cheaper revision spares comes back, once, and the end gives back
 * what is left of that. */
static void stepped_down(void **state)
{
	struct credit_note c;
	const struct deal *d;
	int64_t spared;

	(void)state;
	refundable();
	c = good_note("lowered");
	c.amount.minor = 1;
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_LEDGER_STATE, "nothing was lowered");
	op_quote(&op.deal[0], QUOTE_STEP_DOWN);
	op.deal[0].q.item[0].g.bandwidth.bps = op.deal[0].q.item[1].g.bandwidth.bps = 10000000;
	op.deal[0].q.item[0].scarcity.minor_h = 50000;
	say_as(op.key.did, op.deal[0].q.id.s, op_quote_body(&op.deal[0]));
	assert_string_equal(answer_type, NEGO_RECEIVED);
	awaited = 2;
	assert_true(lab_run(in_force, 30));
	d = lab_deal(0);
	spared = 140000 - d->cur.amount.minor;
	assert_true(spared > 0);
	for (int off = -1; off <= 1; off += 2) {
		c = good_note("lowered");
		c.amount.minor = spared + off;
		send_note(&c, &op.key, op.key.did);
		expect_no(REFUSE_LEDGER_STATE, "another amount");
	}
	c.amount.minor = spared;
	for (int i = 0; i < 2; i++) {
		send_note(&c, &op.key, op.key.did);
		assert_string_equal(answer_type, NEGO_RECEIVED);
		expect_money(d->cur.amount.minor);
	}
	assert_true(d->active); /* nothing is void */
	c.amount.minor = 1;
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_DUPLICATE, "a second note");
	lab_kill();
	lab_open();
	expect_money(lab_deal(0)->cur.amount.minor);
}

/* The quote says "nothing": a note that says otherwise is refused. */
static void early_end_without_refund(void **state)
{
	const struct cap_human cap = { lab.side.engine };
	struct ev_ref ref = { .why = { "no longer needed" } };
	struct credit_note c;

	(void)state;
	serve();
	lab_declare("market-data", 0);
	awaited = 1;
	assert_true(lab_run(in_force, 30));
	ref.deal = lab_deal(0)->negotiation;
	assert_int_equal(tool_agreement_terminate(&cap, &ref, NULL, NULL), REFUSE_NONE);
	assert_false(lab_run(NULL, 2));
	c = good_note("unused");
	send_note(&c, &op.key, op.key.did);
	expect_no(REFUSE_LEDGER_STATE, "not refundable");
	expect_money(140000);
}

/* The process dies: after the nth event of the road there, and with the booking of the note. */
static void crash_after_every_event(void **state)
{
	struct credit_note c;
	bool crashed = true;
	unsigned lives = 0;

	for (uint64_t at = 1; crashed; at++, lives++) {
		serve();
		op.late = true;
		lab.crash_at = at + store_durable(lab.store);
		lab_declare("market-data", 0);
		(void)lab_run(failed, 30);
		crashed = lab.crashed;
		lab.crash_at = 0;
		lab_kill();
		lab_open();
		if (!lab_run(failed, 60))
			fail_msg("after event %llu: %s", (unsigned long long)at,
				 life_name(lab_deal(0)->life));
		expect_money(140000);
		c = good_note("not-in-force");
		serve();
		lab.crash_at = store_durable(lab.store) + 1;
		post_as(op.key.did, "m-credit-0", note_json(&c, &op.key));
		(void)lab_run(NULL, 5);
		assert_true(lab.crashed);
		lab.crash_at = 0;
		for (int i = 0; i < 2; i++) {
			lab_kill();
			lab_open();
			expect_money(0);
			assert_int_equal(lab_deal(0)->n_credits, 1);
			serve();
			send_note(&c, &op.key, op.key.did);
			assert_string_equal(answer_type, NEGO_RECEIVED);
		}
		expect_money(0);
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
	assert_true(lives >= 4);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		T(signed_too_late),          T(spent_number),     T(old_number),
		T(late_countersignature),    T(bad_credit_notes), T(running_service),
		T(amendment_fails),          T(note_comes_first), T(early_end),
		T(early_end_without_refund), T(stepped_down),     T(crash_after_every_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
