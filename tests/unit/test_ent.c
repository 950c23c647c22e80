/* SPDX-License-Identifier: Apache-2.0 */
/* The enterprise's side against a scripted operator: the whole road, and every lie of the other
 * side that must not cost a coin. */
#include "tests/unit/ent_lab.h"

/* --- the happy road -----------------------------------------------------------------------------
 */

static void happy_road(void **state)
{
	const struct deal *d;
	struct ledger_wallet w;

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	d = lab_deal(0);
	assert_int_equal(d->life, LIFE_PROVISIONED);
	assert_int_equal(d->cur.rev, 1);
	assert_int_equal(d->cur.price.minor_h, 140000);
	assert_int_equal(d->cur.amount.minor, 140000); /* one hour */
	w = lab_purse();
	assert_int_equal(w.captured.minor, 140000);
	assert_int_equal(w.held.minor, 0);
	assert_int_equal(op.deal[0].cur.rev, 1);
	assert_int_equal(op.receipt.cumulative_after.minor, 140000);
	assert_int_equal(op.messages, 4); /* challenge, intent, accept, acceptance */
	assert_non_null(lab_plan_with(STEP_LABEL_SET, d->cur.label));
	assert_non_null(lab_plan_with(STEP_RULE_SET, d->cur.label));
	assert_int_equal(lab_plan_with(STEP_CLASS_SET, d->cur.label)->step[0].step.minor, 0x101);
	/* The edge follows the network: its plan comes after the last message. */
	assert_int_equal(lab.plan_call[lab.n_plans - 1], lab.n_calls);
}

/* The first traffic of the label makes the agreement an assured one. */
static bool assured(void)
{
	lab.label.dir[DIR_UP].rx_packets += 3;
	lab.label.dir[DIR_UP].rx_bytes += 3000;
	return lab_deal(0)->life == LIFE_ASSURED;
}

static void metered(void **state)
{
	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	assert_false(lab_run(lab_ended, 2)); /* no traffic: nothing is noted */
	assert_int_equal(lab_deal(0)->life, LIFE_PROVISIONED);
	assert_true(lab_run(assured, 5));
}

static void watched_from_the_start(void **state)
{
	(void)state;
	assert_int_equal(lab.n_plans, 1);
	assert_int_equal(lab.plan[0].n_steps, 4); /* two classes, to and from their port */
	for (int i = 0; i < 4; i++) {
		const struct step *s = &lab.plan[0].step[i].step;

		assert_int_equal(s->kind, STEP_RULE_SET);
		assert_int_equal(s->rule.label, 0);
		assert_int_equal(s->rule.id, i < 2 ? 2 + i : 8 + i);
		assert_int_equal(s->rule.class_id, i < 2 ? 1 : 5);
		assert_int_equal(i % 2 ? s->rule.sport_lo : s->rule.dport_lo, i < 2 ? 7001 : 7005);
	}
}

static int setup_local(void **state)
{
	return lab_setup_with(
		state, "bargain = yes\n[class logs]\nid = 7\nbandwidth = 1M\nlatency-us = 9000\n"
		       "cgroup = /sys/fs/cgroup/logs\n[class dns]\nid = 8\nproto = udp\n"
		       "bandwidth = 1M\nlatency-us = 9000\ncgroup = /sys/fs/cgroup/dns\n");
}

/* A class that names nothing else is its cgroup alone: no rule for everything that comes. */
static void cgroups_have_rules(void **state)
{
	const struct plan_step *s = lab.plan[0].step + 4;

	(void)state;
	assert_int_equal(lab.plan[0].n_steps, 4 + 1 + 2);
	for (int i = 0; i < 3; i += 2) {
		assert_int_equal(s[i].step.rule.cgroup, 1);
		assert_int_equal(s[i].step.rule.id, 512 + 7 + i / 2);
		assert_int_equal(s[i].step.rule.class_id, 7 + i / 2);
		assert_int_equal(s[i].step.rule.proto, 0);
		assert_int_equal(s[i].step.rule.dscp, 255);
	}
	assert_int_equal(s[1].step.rule.id, 16);
	assert_int_equal(s[1].step.rule.cgroup, 0);
	assert_int_equal(s[1].step.rule.proto, 17);
}

/* --- choosing -----------------------------------------------------------------------------------
 */

static int setup_bargain(void **state)
{
	return lab_setup_with(state, "bargain = yes\n");
}

static void bargain(void **state)
{
	const struct deal *d;

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	d = lab_deal(0);
	assert_true(op.deal[0].counters > 0);
	assert_int_equal(d->cur.rev, 1);
	assert_true(d->cur.price.minor_h < 140000);
	assert_true(d->cur.price.minor_h >= 120000); /* the scarcity price is not negotiable */
	assert_int_equal(lab_purse().captured.minor, d->cur.amount.minor);
	assert_int_equal(op.deal[0].q.version, op.deal[0].counters + 1);
}

static void nothing_spent(void)
{
	struct ledger_wallet w = lab_purse();

	assert_int_equal(w.held.minor, 0);
	assert_int_equal(w.captured.minor, 0);
	assert_int_equal(lab_deal(0)->life, LIFE_TERMINATED);
	assert_int_equal(lab_deal(0)->cur.rev, 0);
	assert_null(lab_plan_with(STEP_LABEL_SET, 0x100));
}

static bool quiet(void)
{
	return lab_ended() && op.n && op.deal[0].rejects;
}

static void too_dear(void **state)
{
	(void)state;
	op.scarcity.minor_h = 3000000;
	lab_declare("market-data", 0);
	assert_true(lab_run(quiet, 30));
	nothing_spent();
	assert_int_equal(op.deal[0].accepts, 0);
}

static int setup_poor(void **state)
{
	lab_purse_max = 100000;
	return lab_setup(state);
}

static void beyond_the_wallet(void **state)
{
	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(quiet, 30));
	nothing_spent();
}

static void below_the_floor(void **state)
{
	(void)state;
	op.latency_us = 50000;
	lab_declare("market-data", 0);
	assert_true(lab_run(quiet, 30));
	nothing_spent();
}

/* --- the operator says no -----------------------------------------------------------------------
 */

static void intent_refused(void **state)
{
	(void)state;
	op.refuse_intent = REFUSE_WALLET_POLICY;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_ended, 30));
	nothing_spent();
	assert_true(lab_world()->refusals > 0);
}

/* A challenge that aged is asked for anew, but not for ever. */
static void challenge_refused(void **state)
{
	(void)state;
	op.refuse_intent = REFUSE_WALLET_CHALLENGE;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_ended, 60));
	assert_int_equal(op.challenges, 3);
	nothing_spent();
}

/* A challenge that came along with an answer is used for the next intent, once; one that is refused
 * or about to expire is followed by one that is asked for. */
static void next_challenge(void **state)
{
	(void)state;
	op.next_ms = 60000;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	assert_int_equal(op.messages, 4);
	assert_string_equal(op.shown, "challenge-1");
	lab_declare("market-data", 12000000);
	assert_true(lab_run(lab_settled, 30));
	assert_int_equal(op.messages, 7); /* intent, accept, acceptance */
	assert_string_equal(op.shown, "next-1");
	assert_int_equal(op.challenges, 1);
	op.refuse_intent = REFUSE_WALLET_CHALLENGE;
	lab_declare("market-data", 14000000);
	assert_true(lab_run(lab_settled, 60));
	assert_string_equal(op.shown, "challenge-3");
	assert_int_equal(op.challenges, 3);
	assert_int_equal(lab_deal(1)->cur.rev, 1);
	assert_int_equal(lab_deal(2)->cur.rev, 0);
}

static void next_challenge_expires(void **state)
{
	(void)state;
	op.next_ms = 9000; /* less than is left for the way */
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	lab_declare("market-data", 12000000);
	assert_true(lab_run(lab_settled, 30));
	assert_int_equal(op.challenges, 2);
	assert_string_equal(op.shown, "challenge-2");
	assert_int_equal(op.nexts, 2);
}

static void accept_refused(void **state)
{
	(void)state;
	op.refuse_accept = REFUSE_NO_CAPACITY;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_ended, 30));
	nothing_spent();
}

static bool failed(void)
{
	return lab_deal(0)->cur.rev && lab_deal(0)->life == LIFE_NEGOTIATED;
}

static void service_failed(void **state)
{
	(void)state;
	op.fail_service = REFUSE_STEP_REFUSED;
	lab_declare("market-data", 0);
	assert_true(lab_run(failed, 30));
	assert_false(lab_deal(0)->active);
	assert_int_equal(lab_purse().captured.minor, 140000); /* signed is owed */
	assert_null(lab_plan_with(STEP_LABEL_SET, 0x100));
}

/* --- what they sign -----------------------------------------------------------------------------
 */

static int bend_no;

static const char *const bends[] = { "price",  "amount",   "start",     "end",     "currency",
				     "hold",   "wallet",   "item",      "quote",   "digest",
				     "class",  "flow",     "bandwidth", "latency", "availability",
				     "type",   "reason",   "service",   "lineage", "negotiation",
				     "intent", "revision", "generation" };

static void bend(struct op_deal *d, struct agreement *a, struct agreement_terms *t)
{
	(void)d;
	switch (bend_no) {
	case 0: a->price.minor_h++; break;
	case 1: a->amount.minor++; break;
	case 2: a->start.ms += 1000; break;
	case 3: a->end.ms -= 1000; break;
	case 4: memcpy(a->currency, "USD", 4); break;
	case 5: a->hold.s[5] ^= 1; break;
	case 6: a->wallet.s[20] ^= 1; break;
	case 7: a->item = 2; break;
	case 8: a->quote.s[7] ^= 1; break;
	case 9: a->quote_digest.b[0] ^= 1; break;
	case 10: a->class_name.s[0] = 'x'; break;
	case 11: a->flow.s[0] = 'x'; break;
	case 12: a->g.bandwidth.bps--; break;
	case 13: a->g.latency.us++; break;
	case 14: a->g.availability.ppm--; break;
	case 15: a->type = NET_BE; break;
	case 16: a->reason = QUOTE_STEP_UP; break;
	case 17: a->service.s[4] ^= 1; break;
	case 18: a->lineage.s[4] ^= 1; break;
	case 19: a->negotiation.s[4] ^= 1; break;
	case 20: a->intent.s[4] ^= 1; break;
	case 21: a->rev = 2; break;
	default: t->generation = 2; break;
	}
}

static void bent(void **state)
{
	op.bend = bend;
	for (bend_no = 0; bend_no < (int)ARRAY_LEN(bends); bend_no++) {
		lab_declare("market-data", 0);
		if (!lab_run(quiet, 30))
			fail_msg("%s: not refused", bends[bend_no]);
		nothing_spent();
		assert_int_equal(op.deal[0].acceptances, 0);
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
		op.bend = bend;
	}
}

static void wrong_signer(void **state)
{
	(void)state;
	op.thief_signs = true;
	lab_declare("market-data", 0);
	assert_true(lab_run(quiet, 30));
	nothing_spent();
}

/* --- advisers -----------------------------------------------------------------------------------
 */

static struct advice next_advice;

static const struct advice *adviser(void *arg, const struct quote *q, struct advice *buf)
{
	(void)arg;
	(void)q;
	*buf = next_advice;
	return buf;
}

/* Whatever is advised, what is bought is an item that the guards cleared, or nothing. */
static void advisers(void **state)
{
	static const struct {
		struct advice a;
		uint32_t rev;
	} rows[] = {
		{ { ADVICE_NONE, 1, { "" } }, 1 },   { { ADVICE_PICK, 1, { "" } }, 1 },
		{ { ADVICE_PICK, 2, { "" } }, 1 },   { { ADVICE_PICK, 0, { "" } }, 1 },
		{ { ADVICE_PICK, 255, { "" } }, 1 }, { { (enum advice_kind)77, 2, { "" } }, 1 },
		{ { ADVICE_REJECT, 0, { "" } }, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		next_advice = rows[i].a;
		lab.side.advise = adviser;
		lab_declare("market-data", 0);
		assert_true(lab_run(lab_settled, 30));
		assert_int_equal(lab_deal(0)->cur.rev, rows[i].rev);
		assert_int_equal(lab_purse().captured.minor, rows[i].rev ? 140000 : 0);
		if (rows[i].rev)
			assert_int_equal(lab_deal(0)->cur.item, 1);
		assert_int_equal(lab_teardown(state) | lab_setup(state), 0);
	}
}

int main(void)
{
#define ROAD(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		ROAD(happy_road),
		ROAD(metered),
		ROAD(watched_from_the_start),
		cmocka_unit_test_setup_teardown(cgroups_have_rules, setup_local, lab_teardown),
		cmocka_unit_test_setup_teardown(bargain, setup_bargain, lab_teardown),
		ROAD(too_dear),
		cmocka_unit_test_setup_teardown(beyond_the_wallet, setup_poor, lab_teardown),
		ROAD(below_the_floor),
		ROAD(intent_refused),
		ROAD(challenge_refused),
		ROAD(next_challenge),
		ROAD(next_challenge_expires),
		ROAD(accept_refused),
		ROAD(service_failed),
		ROAD(bent),
		ROAD(wrong_signer),
		ROAD(advisers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
