/* SPDX-License-Identifier: Apache-2.0 */
/* The operator and revisions that never came into effect: signed and not countersigned,
 * countersigned too late, in force and not applied. Each number is signed once, the chain has no
 * fork, money is taken once and given back once. The signer here keeps the real signer's rule. */
#include "bss_road.h"

#include "agent/codec/credit.h"
#include "agent/signer/signer_core.h"

#define HEX   "00000000000000dd"
#define SLEPT 121000 /* above the time for a countersignature */

/* --- a signer that moves forward only --------------------------------------------------------- */

static struct sign_last signed_last;
static unsigned signed_new;

static int strict_sign(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN])
{
	uint8_t digest[32];
	const struct sign_limits lim = { "EUR", INT64_MAX, INT64_MAX, INT64_MAX };
	struct sign_facts f;
	struct sign_scan scan;
	enum sign_verdict v;

	(void)arg;
	if (rq->kind == SIGN_AGREEMENT) {
		scan_begin(&scan, sign_paths(SIGNER_AGREEMENT, SIGN_DOCUMENT));
		scan_feed(&scan, (const uint8_t *)rq->document, rq->document_len);
		assert_int_equal(
			sign_check_text(SIGNER_AGREEMENT, &scan, NULL, "", lab.op.did, &lim, &f),
			SIGN_OK);
		sha256(rq->hash, sizeof(rq->hash), digest);
		v = sign_check_revision(&signed_last, f.revision, digest);
		if (v != SIGN_OK && v != SIGN_AGAIN)
			return -EACCES;
		signed_new += v == SIGN_OK;
		signed_last.revision = f.revision;
		memcpy(signed_last.digest, digest, sizeof(digest));
	}
	return lab.op.port.sign(lab.op.port.arg, rq, sig);
}

static int setup(void **state)
{
	int r = lab_setup(state);

	memset(&signed_last, 0, sizeof(signed_last));
	signed_new = 0;
	lab.side.port[SIGN_AGREEMENT].sign = strict_sign;
	lab.side.port[SIGN_AGREEMENT].ask = NULL;
	return r;
}

/* --- what is looked at ------------------------------------------------------------------------ */

static struct ledger_lineage shadow(void)
{
	struct ledger_lineage l;

	assert_int_equal(ledger_lineage_get(lab.store, LEDGER_SHADOW, "agr-" HEX, &l, NULL), 0);
	return l;
}

static int64_t wallet_captured(const struct road *r)
{
	struct ledger_wallet_id id = { .side = LEDGER_SHADOW };
	struct ledger_wallet w;

	must_set(id.issuer, lab.issuer.did);
	must_set(id.wallet_id, r->w.wallet_id);
	assert_int_equal(ledger_wallet_get(lab.store, &id, &w, NULL), 0);
	assert_int_equal(w.held.minor, 0);
	return w.captured.minor;
}

/* The note that left, as the enterprise reads it. */
static struct credit_note note_sent(digest_t *digest)
{
	struct credit_note c;
	struct err e = { 0 };

	assert_non_null(lab.sent_data);
	assert_true(!strncmp(lab.sent_id, "m-credit-crd-", 13));
	assert_string_equal(lab.sent_to, lab.ent.did);
	if (credit_note_verify(json_array_get(lab.sent_data, 0), &lab.side.keys, &c, digest->b, &e))
		fail_msg("note: %s", e.text);
	assert_string_equal(c.issuer, lab.op.did);
	assert_string_equal(c.lineage, "agr-" HEX);
	return c;
}

static json_t *received(const struct road *r)
{
	struct ev_ref ref = { .deal = deal(r)->negotiation, .about = deal(r)->lineage };

	return nego_part(NEGO_RECEIVED, &ev_ref_fields, &ref);
}

static void to_agreement(struct road *r)
{
	ask_quote(r);
	take_quote(r);
	choose(r, item_on(r, 1));
	send_accept(r->who, &r->a);
	take_agreement(r);
}

static void run_on(struct road *r)
{
	accept_agreement(r);
	assert_int_equal(lab.replies, 0);
	oss_active(r);
	(void)artifact("service");
	assert_int_equal(lab.got.state, A2A_COMPLETED);
}

/* Another need for the live agreement. */
static void change(struct road *r, const char *id, uint64_t bps)
{
	must_set(r->i.id.s, id);
	r->i.lineage = deal(r)->lineage;
	r->i.want.bandwidth.bps = bps;
	r->i.declared = lab.now;
}

static void service_fails(const struct road *r)
{
	const struct cap_oss_planning cap = { lab.side.engine };
	struct ev_ref ref = { .deal = deal(r)->lineage, .rev = deal(r)->cur.rev };

	must_set(ref.why.s, "node popA refused step 2");
	assert_int_equal(tool_plan_fail(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
}

/* --- never countersigned ---------------------------------------------------------------------- */

static void first_is_never_countersigned(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX), dead = { 0 };
	struct acceptance acc;
	struct receipt rc;
	struct snap s;

	(void)state;
	to_agreement(&r);
	assert_int_equal(r.t.revision, 1);
	assert_int_equal(r.t.accept_by.ms, r.t.term_start.ms + 120000);
	acceptance_of(&r, &acc, &rc);
	lab_run(SLEPT);
	lab_restart();
	dead = r;
	r.agreement = NULL;
	to_agreement(&r);
	assert_int_equal(r.q.rev, 2);
	assert_int_equal(r.t.revision, 2);
	assert_int_equal(signed_new, 2);
	for (int i = 0; i < DIGEST_LEN; i++)
		assert_int_equal(r.t.previous[i], 0); /* nothing was countersigned before */
	/* The dead one's countersignature comes now: its place is taken. */
	s = snap();
	send_acceptance(dead.who, &acc, &rc, &dead.who->port);
	expect(REFUSE_AGREEMENT_UNKNOWN, s, "superseded");
	run_on(&r);
	assert_int_equal(wallet_captured(&r), r.a.held.minor);
	s = snap();
	send_acceptance(dead.who, &acc, &rc, &dead.who->port);
	expect(REFUSE_LEDGER_FORK, s, "after the next is in force");
	assert_int_equal(wallet_captured(&r), r.a.held.minor);
	assert_int_equal(shadow().rev, 2);
	lab_restart();
}

/* In life the next one links to what is in force, not to what died. */
static void amendment_is_never_countersigned(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, HEX);
	const struct cap_oss_assurance cap = { lab.side.engine };
	struct ev_ref ref = { .deal = deal(&r)->lineage, .rev = 1 };
	digest_t first = r.digest, dead;
	uint64_t before;

	(void)state;
	assert_int_equal(tool_metered_flag(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	before = deal_promised(deal(&r), 1).bps;
	change(&r, "int-change-1", 12000000);
	to_agreement(&r);
	assert_int_equal(r.t.revision, 2);
	assert_int_equal(deal_promised(deal(&r), 1).bps, 12000000);
	dead = r.digest;
	lab_run(SLEPT);
	assert_int_equal(deal(&r)->life, LIFE_COOLING);
	assert_int_equal(deal_promised(deal(&r), 1).bps, before); /* nothing is reserved for it */
	lab_restart();
	change(&r, "int-change-2", 14000000);
	to_agreement(&r);
	assert_int_equal(r.t.revision, 3);
	assert_memory_equal(r.t.previous, first.b, DIGEST_LEN);
	assert_memory_not_equal(r.digest.b, dead.b, DIGEST_LEN);
	run_on(&r);
	assert_int_equal(deal(&r)->cur.rev, 3);
	assert_int_equal(shadow().rev, 3);
	assert_int_equal(wallet_captured(&r), deal_captured(deal(&r)).minor);
	lab_restart();
}

/* --- countersigned too late ------------------------------------------------------------------- */

static void late(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	struct acceptance acc;
	struct receipt rc;
	struct credit_note c;
	digest_t note, again, dead;
	struct snap s;

	(void)state;
	to_agreement(&r);
	acceptance_of(&r, &acc, &rc);
	dead = r.digest;
	lab_run(SLEPT);
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(problem(), REFUSE_QUOTE_EXPIRED);
	assert_int_equal(deal(&r)->cur.rev, 0);
	assert_int_equal(wallet_captured(&r), 0);
	c = note_sent(&note);
	assert_string_equal(c.reason, "not-in-force");
	assert_int_equal(c.revision, 1);
	assert_int_equal(c.amount.minor, rc.amount.minor);
	assert_memory_equal(c.agreement_digest, dead.b, DIGEST_LEN);
	/* Said again: the same no, and no second note. */
	s = snap();
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	expect(REFUSE_QUOTE_EXPIRED, s, "late, again");
	assert_int_equal(deal(&r)->n_credits, 1);
	/* Nothing is signed while the two sides' sums differ. */
	ask_quote(&r);
	take_quote(&r);
	choose(&r, item_on(&r, 1));
	s = snap();
	send_accept(r.who, &r.a);
	expect(REFUSE_IN_FLIGHT, s, "a note waits");
	lab_restart(); /* the note is still owed */
	lab_run(1000);
	(void)note_sent(&again);
	assert_memory_equal(again.b, note.b, DIGEST_LEN);
	answer_sent(nego_problem(REFUSE_IN_FLIGHT, NULL, "a hold is live"));
	assert_non_null(deal_credit_open(deal(&r)));
	lab_run(2000);
	answer_sent(received(&r));
	assert_null(deal_credit_open(deal(&r)));
	choose(&r, item_on(&r, 1));
	send_accept(r.who, &r.a);
	take_agreement(&r);
	assert_int_equal(r.t.revision, 2);
	assert_memory_equal(r.t.previous, dead.b, DIGEST_LEN); /* both sides have it in the chain */
	acceptance_of(&r, &acc, &rc);
	rc.cumulative_after.minor = c.amount.minor + r.a.held.minor; /* debits, not the balance */
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(lab.replies, 0);
	oss_active(&r);
	(void)artifact("service");
	assert_int_equal(wallet_captured(&r), r.a.held.minor);
	lab_restart();
}

/* What is not whole is refused and credits nothing. */
static void late_and_wrong(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	struct acceptance acc, bad_acc;
	struct receipt rc, bad_rc;
	struct snap s;

	(void)state;
	to_agreement(&r);
	acceptance_of(&r, &acc, &rc);
	lab_run(SLEPT);
	bad_rc = rc;
	bad_rc.amount.minor++;
	bad_rc.cumulative_after.minor++;
	s = snap();
	send_acceptance(r.who, &acc, &bad_rc, &r.who->port);
	expect(REFUSE_LEDGER_STATE, s, "a receipt over more");
	bad_acc = acc;
	bad_acc.agreement_digest[0] ^= 1;
	s = snap();
	send_acceptance(r.who, &bad_acc, &rc, &r.who->port);
	expect(REFUSE_AGREEMENT_UNKNOWN, s, "another digest");
	bad_acc = acc;
	must_set(bad_acc.issuer, lab.other.did);
	bad_rc = rc;
	must_set(bad_rc.issuer, lab.other.did);
	s = snap();
	send_acceptance(r.who, &bad_acc, &bad_rc, &lab.other.port);
	expect(REFUSE_SIGNATURE_BAD, s, "another's signature");
	assert_int_equal(deal(&r)->n_credits, 0);
}

/* --- not applied ------------------------------------------------------------------------------ */

static void first_fails(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	struct credit_note c;
	digest_t note, dead;

	(void)state;
	to_agreement(&r);
	dead = r.digest;
	accept_agreement(&r);
	assert_int_equal(wallet_captured(&r), r.a.held.minor);
	service_fails(&r);
	assert_int_equal(lab.got.state, A2A_FAILED);
	assert_int_equal(problem(), REFUSE_STEP_REFUSED);
	c = note_sent(&note);
	assert_string_equal(c.reason, "not-applied");
	assert_int_equal(c.amount.minor, r.a.held.minor);
	assert_int_equal(wallet_captured(&r), 0);
	assert_int_equal(shadow().captured.minor, 0);
	assert_int_equal(deal(&r)->life, LIFE_NEGOTIATED);
	assert_int_equal(deal(&r)->cur.rev, 0);
	assert_int_equal(deal_captured(deal(&r)).minor, 0);
	lab_restart();
	lab_run(1000);
	answer_sent(received(&r));
	/* The same need, once more. */
	ask_quote(&r);
	take_quote(&r);
	choose(&r, item_on(&r, 1));
	send_accept(r.who, &r.a);
	take_agreement(&r);
	assert_int_equal(r.t.revision, 2);
	assert_memory_equal(r.t.previous, dead.b, DIGEST_LEN);
}

/* What was in effect before is in effect: terms, label, road, money. */
static void amendment_fails(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, HEX);
	const struct cap_oss_assurance cap = { lab.side.engine };
	struct ev_ref ref = { .deal = deal(&r)->lineage, .rev = 1 };
	struct agreement was = deal(&r)->cur, origin = deal(&r)->origin;
	int64_t paid = wallet_captured(&r);
	struct credit_note c;
	digest_t note;

	(void)state;
	assert_int_equal(tool_metered_flag(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	lab.now.ms += 60000;
	change(&r, "int-change-1", 20000000);
	to_agreement(&r);
	accept_agreement(&r);
	assert_int_equal(wallet_captured(&r), paid + r.a.held.minor);
	assert_true(r.a.held.minor > 0);
	service_fails(&r);
	c = note_sent(&note);
	assert_int_equal(c.revision, 2);
	assert_int_equal(c.amount.minor, r.a.held.minor);
	assert_int_equal(wallet_captured(&r), paid);
	assert_int_equal(deal_captured(deal(&r)).minor, paid);
	assert_memory_equal(&deal(&r)->cur, &was, sizeof(was));
	assert_memory_equal(&deal(&r)->origin, &origin, sizeof(origin));
	assert_true(deal(&r)->active);
	assert_int_equal(deal(&r)->life, LIFE_AT_RISK);
	assert_int_equal(shadow().rev, 2);
	answer_sent(received(&r));
	lab_restart();
	assert_int_equal(deal(&r)->n_credits, 1);
}

static void end_it(const struct road *r)
{
	struct ev_ref ref = { .deal = deal(r)->lineage, .about = deal(r)->lineage };

	must_set(ref.why.s, "no longer needed");
	say(r->who, json_pack("[o]", nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref)));
}

/* Half of the term was used: the other half goes back, when the quote said so. */
static void early_end(void **state)
{
	struct credit_note c;
	struct road r;
	digest_t note;

	(void)state;
	lab.cfg.op.refund = true;
	r = whole_road(&lab.ent, HEX);
	assert_true(r.q.refundable && deal(&r)->cur.refundable);
	lab.now.ms += 1800000;
	end_it(&r);
	c = note_sent(&note);
	assert_string_equal(c.reason, "unused");
	assert_in_range(c.amount.minor, r.a.amount.minor / 2 - 1, r.a.amount.minor / 2);
	assert_int_equal(wallet_captured(&r), r.a.amount.minor - c.amount.minor);
	assert_int_equal(deal_captured(deal(&r)).minor, wallet_captured(&r));
	lab_restart();
	lab_run(2000);
	assert_int_equal(deal(&r)->n_credits, 1);
	(void)note_sent(&note);
	answer_sent(received(&r));
	assert_null(deal_credit_open(deal(&r)));
	end_it(&r); /* said again */
	lab_run(3000);
	assert_int_equal(deal(&r)->n_credits, 1);
	assert_int_equal(wallet_captured(&r), r.a.amount.minor - c.amount.minor);
	road_free(&r);
}

/* What a cheaper revision spares goes back when it is in effect, and an early end after it gives
 * back the rest. Without the quote's word it stays, and pays for what comes. */
static void stepped_down(void **state)
{
	struct credit_note c;
	int64_t paid, amount;
	struct road r;
	digest_t note;

	for (int refund = 0; refund < 2; refund++) {
		const struct cap_oss_assurance cap = { lab.side.engine };
		struct ev_ref ref = { .rev = 1 };

		lab.cfg.op.refund = refund;
		r = whole_road(&lab.ent, HEX);
		ref.deal = deal(&r)->lineage;
		assert_int_equal(tool_metered_flag(&cap, &ref, NULL, NULL), REFUSE_NONE);
		lab_turn();
		lab.now.ms += 60000;
		change(&r, "int-change-1", 1000000);
		to_agreement(&r);
		paid = wallet_captured(&r);
		accept_agreement(&r);
		amount = deal(&r)->cur.amount.minor;
		assert_true(amount < paid);
		assert_int_equal(deal(&r)->n_credits, 0); /* not before the network has it */
		oss_active(&r);
		lab_turn();
		if (refund)
			break;
		assert_int_equal(deal(&r)->n_credits, 0);
		assert_int_equal(wallet_captured(&r), paid);
		road_free(&r);
		assert_int_equal(lab_teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
	lab_run(2000);
	c = note_sent(&note);
	assert_string_equal(c.reason, "lowered");
	assert_int_equal(c.revision, 2);
	assert_int_equal(c.amount.minor, paid - amount);
	assert_int_equal(wallet_captured(&r), amount);
	assert_int_equal(deal_captured(deal(&r)).minor, amount);
	lab_restart();
	lab_run(2000);
	assert_int_equal(deal(&r)->n_credits, 1);
	answer_sent(received(&r));
	assert_null(deal_credit_open(deal(&r)));
	lab.now.ms += 1200000;
	end_it(&r);
	c = note_sent(&note);
	assert_string_equal(c.reason, "unused");
	assert_int_equal(deal(&r)->n_credits, 2);
	assert_int_equal(wallet_captured(&r), amount - c.amount.minor);
	assert_int_equal(deal_captured(deal(&r)).minor, wallet_captured(&r));
	road_free(&r);
}

/* Nothing goes back when the quote does not say so, nor at the end of the paid term. */
static void no_refund(void **state)
{
	struct road r = whole_road(&lab.ent, HEX);

	(void)state;
	assert_false(r.q.refundable);
	lab.now.ms += 1800000;
	end_it(&r);
	lab_run(2000);
	assert_int_equal(deal(&r)->n_credits, 0);
	assert_int_equal(wallet_captured(&r), r.a.amount.minor);
	road_free(&r);
	assert_int_equal(lab_teardown(state), 0);
	assert_int_equal(setup(state), 0);
	lab.cfg.op.refund = true;
	r = whole_road(&lab.ent, HEX);
	lab.now.ms = r.a.end.ms;
	lab_run(3000);
	assert_int_equal(deal(&r)->life, LIFE_TERMINATED);
	assert_int_equal(deal(&r)->n_credits, 0);
	assert_int_equal(wallet_captured(&r), r.a.amount.minor);
	road_free(&r);
}

/* The signer is away when the service fails: the note is issued when it is back. */
static int no_signer(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN])
{
	(void)arg;
	(void)rq;
	(void)sig;
	return -EIO;
}

static void signer_away(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	digest_t note;

	(void)state;
	to_agreement(&r);
	accept_agreement(&r);
	lab.side.port[SIGN_CREDIT].sign = no_signer;
	lab.side.port[SIGN_CREDIT].ask = NULL;
	service_fails(&r);
	assert_int_equal(deal(&r)->n_credits, 0);
	assert_int_equal(wallet_captured(&r), r.a.held.minor);
	lab_restart();
	lab_run(2000);
	assert_int_equal(deal(&r)->n_credits, 0);
	lab.side.port[SIGN_CREDIT] = lab.op.port;
	lab_run(2000);
	(void)note_sent(&note);
	assert_int_equal(deal(&r)->n_credits, 1);
	assert_int_equal(wallet_captured(&r), 0);
}

/* The same for what was dead when it was countersigned: the countersignature is said again. */
static void signer_away_when_late(void **state)
{
	auto_road struct road r = road_new(&lab.ent, HEX);
	struct acceptance acc;
	struct receipt rc;
	digest_t note;

	(void)state;
	to_agreement(&r);
	acceptance_of(&r, &acc, &rc);
	lab_run(SLEPT);
	lab.side.port[SIGN_CREDIT].sign = no_signer;
	lab.side.port[SIGN_CREDIT].ask = NULL;
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(lab.got.code, A2A_E_INTERNAL);
	assert_int_equal(deal(&r)->n_credits, 0);
	lab.side.port[SIGN_CREDIT] = lab.op.port;
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(problem(), REFUSE_QUOTE_EXPIRED);
	assert_int_equal(note_sent(&note).amount.minor, rc.amount.minor);
	assert_int_equal(wallet_captured(&r), 0);
}

/* Ended between its signature and its countersignature: whoever paid has it back. */
static void ended_before_in_force(void **state)
{
	const struct cap_human cap = { lab.side.engine };
	struct ev_ref ref = { .why = { "the site is closed" } };
	auto_road struct road r = road_new(&lab.ent, HEX);
	struct acceptance acc;
	struct receipt rc;

	(void)state;
	to_agreement(&r);
	acceptance_of(&r, &acc, &rc);
	ref.deal = ref.about = deal(&r)->negotiation;
	assert_int_equal(tool_agreement_terminate(&cap, &ref, NULL, NULL), REFUSE_NONE);
	lab_turn();
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(problem(), REFUSE_WRONG_STATE);
	assert_int_equal(deal(&r)->n_credits, 1);
	assert_int_equal(deal(&r)->credit[0].note.amount.minor, rc.amount.minor);
	assert_int_equal(wallet_captured(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, lab_teardown)
		T(first_is_never_countersigned),
		T(amendment_is_never_countersigned),
		T(late),
		T(late_and_wrong),
		T(first_fails),
		T(amendment_fails),
		T(early_end),
		T(no_refund),
		T(stepped_down),
		T(signer_away),
		T(signer_away_when_late),
		T(ended_before_in_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
