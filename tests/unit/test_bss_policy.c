/* SPDX-License-Identifier: Apache-2.0 */
/* The order of judgement: each fact alone gives its refusal, and of any two the earlier wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "agent/bss_policy/bss_policy_core.h"

#include <cmocka.h>

struct given {
	struct wallet_facts f;
	struct wallet w;
	struct wallet_line line;
	struct wallet_ask ask;
	wall_t now;
};

static const struct admit_limits limits = { .skew_ms = 120000 };

static void must(char *dst, size_t cap, const char *s)
{
	assert_true(str_set_(dst, cap, s));
}
#define MUST(dst, s) must(dst, sizeof(dst), s)

static void good(struct given *g)
{
	memset(g, 0, sizeof(*g));
	g->now = (wall_t){ 1000000000 };
	g->f.present = g->f.size_ok = g->f.parse_ok = g->f.shape_ok = true;
	g->f.domain_ok = g->f.challenge_ok = g->f.intent_bound = true;
	g->f.issuer_trusted = g->f.holder_trusted = true;
	g->f.vp_signature_ok = g->f.challenge_consumed = g->f.vc_signature_ok = true;
	g->f.status_known = g->f.same_digest = true;
	g->f.seen = WALLET_SEEN_BEFORE;
	g->f.seen_generation = g->w.generation = 3;
	g->f.created = (wall_t){ g->now.ms - 120000 };
	g->f.proof_expires = g->now;
	MUST(g->f.vp_holder, "did:web:agent.example");
	MUST(g->f.peer, "did:web:agent.example");
	MUST(g->w.holder, "did:web:agent.example");
	MUST(g->w.operators[0], "did:web:x.example");
	MUST(g->w.operators[1], "did:web:op.example");
	g->w.n_operators = 2;
	MUST(g->w.currency, "EUR");
	MUST(g->w.classes[0].name, "market-data");
	g->w.n_classes = 1;
	g->w.classes[0].floor_availability = g->ask.availability = (avail_t){ 999990 };
	g->w.classes[0].floor_latency = g->ask.latency = (delay_t){ 10000 };
	g->w.classes[0].floor_bandwidth = g->ask.bandwidth = (rate_t){ 20000000 };
	g->ask.grade_known = true;
	g->w.agreement_max = g->ask.amount = (money_t){ 100 };
	g->w.term_max_s = g->ask.term_s = 3600;
	g->w.valid_from = g->w.not_before = g->now;
	g->w.valid_until = g->now;
	g->w.not_after = (wall_t){ g->now.ms + 3600000 };
	MUST(g->ask.operator_did, "did:web:op.example");
	MUST(g->ask.class_name, "market-data");
	MUST(g->ask.currency, "EUR");
}

/* In the order of judgement. Each spoils one fact, by the smallest step where there is one. */
#define SPOILS(X)                                                                       \
	X(PRESENT, WALLET_MISSING, g->f.present = false)                                \
	X(SIZE, BODY_TOO_LARGE, g->f.size_ok = false)                                   \
	X(PARSE, WALLET_MALFORMED, g->f.parse_ok = false)                               \
	X(SHAPE, WALLET_MALFORMED, g->f.shape_ok = false)                               \
	X(PLAUSIBLE, WALLET_CHALLENGE, g->f.domain_ok = false)                          \
	X(PLAUSIBLE, WALLET_CHALLENGE, g->f.challenge_ok = false)                       \
	X(PLAUSIBLE, WALLET_CHALLENGE, g->f.created.ms = g->now.ms - 120001)            \
	X(PLAUSIBLE, WALLET_CHALLENGE, g->f.created.ms = g->now.ms + 120001)            \
	X(PLAUSIBLE, WALLET_INTENT, g->f.intent_bound = false)                          \
	X(TRUST, WALLET_ISSUER, g->f.issuer_trusted = false)                            \
	X(TRUST, WALLET_ISSUER, g->f.holder_trusted = false)                            \
	X(VP_SIGNATURE, WALLET_SIGNATURE, g->f.vp_signature_ok = false)                 \
	X(CONSUME, WALLET_CHALLENGE, g->f.challenge_consumed = false)                   \
	X(VC_SIGNATURE, WALLET_SIGNATURE, g->f.vc_signature_ok = false)                 \
	X(HOLDER, WALLET_HOLDER, MUST(g->f.vp_holder, "did:web:thief.example"))         \
	X(HOLDER, WALLET_HOLDER, MUST(g->f.peer, "did:web:agent.exampl"))               \
	X(HOLDER, WALLET_HOLDER, g->f.peer[0] = g->f.vp_holder[0] = g->w.holder[0] = 0) \
	X(HOLDER, WALLET_HOLDER, MUST(g->w.holder, "did:web:agent.example2"))           \
	X(TIME, WALLET_EXPIRED, g->f.proof_expires.ms--)                                \
	X(TIME, WALLET_EXPIRED, g->w.valid_from.ms++)                                   \
	X(TIME, WALLET_EXPIRED, g->w.valid_until.ms--)                                  \
	X(TIME, WALLET_EXPIRED, g->w.not_before.ms++)                                   \
	X(TIME, WALLET_EXPIRED, g->w.not_after.ms = g->now.ms - 1)                      \
	X(STATUS, WALLET_STATUS, g->f.status_known = false)                             \
	X(STATUS, WALLET_SUSPENDED, g->f.suspended = true)                              \
	X(STATUS, WALLET_REVOKED, g->f.revoked = true)                                  \
	X(FIT, WALLET_POLICY, g->w.n_operators = 1)                                     \
	X(FIT, WALLET_POLICY, MUST(g->ask.currency, "USD"))                             \
	X(FIT, WALLET_POLICY, MUST(g->ask.class_name, "bulk-transfer"))                 \
	X(FIT, WALLET_POLICY, g->ask.term_s++)                                          \
	X(FIT, WALLET_POLICY, g->ask.term_s = -1)                                       \
	X(FIT, WALLET_POLICY, g->ask.term_s = INT64_MAX)                                \
	X(FIT, WALLET_POLICY, g->w.not_after.ms--)                                      \
	X(FIT, WALLET_POLICY, g->ask.availability.ppm--)                                \
	X(FIT, WALLET_POLICY, g->ask.latency.us++)                                      \
	X(FIT, WALLET_POLICY, g->ask.bandwidth.bps--)                                   \
	X(FIT, OVER_AGREEMENT_MAX, g->ask.amount.minor++)                               \
	X(FIT, OVER_AGREEMENT_MAX, g->ask.amount.minor = -1)                            \
	X(GENERATION, WALLET_GENERATION, g->f.equivocated = true)                       \
	X(GENERATION, WALLET_GENERATION, g->w.generation--)                             \
	X(GENERATION, WALLET_GENERATION, g->f.same_digest = false)

static const struct {
	enum admit_step step;
	enum refusal want;
	const char *what;
} rows[] = {
#define X(step, refusal, act) { ADMIT_##step, REFUSE_##refusal, #act },
	SPOILS(X)
#undef X
};

static void spoil(struct given *g, size_t row)
{
	size_t i = 0;

#define X(step, refusal, act) \
	if (i++ == row)       \
		act;
	SPOILS(X)
#undef X
	assert_int_equal(i, ARRAY_LEN(rows));
}

static enum refusal judge(const struct given *g, enum admit_step upto, struct admit_why *why)
{
	return wallet_admit_judge(&g->f, &g->w, &g->line, &g->ask, g->now, &limits, upto, why);
}

static void the_good_one(void **state)
{
	struct admit_why why;
	struct given g;

	(void)state;
	good(&g);
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_NONE);
	assert_int_equal(why.step, ADMIT_ALL);
	assert_string_equal(why.why, "admitted");
	assert_false(why.freeze);
}

static void each_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct admit_why why;
		struct given g;

		good(&g);
		spoil(&g, i);
		if (judge(&g, ADMIT_ALL, &why) != rows[i].want || why.step != rows[i].step)
			fail_msg("%s: step %d, %s", rows[i].what, why.step, why.why);
		assert_non_null(why.why);
		if (rows[i].step == ADMIT_PRESENT)
			continue;
		/* Not looked at before its step. */
		assert_int_equal(judge(&g, (enum admit_step)(rows[i].step - 1), &why), REFUSE_NONE);
	}
}

static void of_two_the_earlier(void **state)
{
	size_t pairs = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			size_t first = rows[i].step <= rows[k].step ? i : k;
			struct admit_why why;
			struct given g;

			if (rows[i].step == rows[k].step)
				continue;
			good(&g);
			spoil(&g, i);
			spoil(&g, k);
			if (judge(&g, ADMIT_ALL, &why) != rows[first].want ||
			    why.step != rows[first].step)
				fail_msg("%s and %s: step %d", rows[i].what, rows[k].what,
					 why.step);
			pairs++;
		}
	}
	assert_true(pairs > 1000);
}

static void generations(void **state)
{
	struct admit_why why;
	struct given g;

	(void)state;
	good(&g);
	g.w.generation = 4; /* newer: its content is not the seen one's */
	g.f.same_digest = false;
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_NONE);
	g.w.generation = 3;
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_WALLET_GENERATION);
	assert_true(why.freeze);
	g.w.generation = 2; /* older is refused without freezing */
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_WALLET_GENERATION);
	assert_false(why.freeze);
	g.f.seen = WALLET_SEEN_NEVER;
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_NONE);
}

static void unknown_grade_and_price(void **state)
{
	struct admit_why why;
	struct given g;

	(void)state;
	good(&g);
	g.ask.grade_known = false;
	g.ask.availability = (avail_t){ 0 };
	g.ask.latency = (delay_t){ UINT32_MAX };
	g.ask.bandwidth = (rate_t){ 0 };
	g.ask.amount = (money_t){ 0 };
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_NONE);
	g.ask.grade_known = true;
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_WALLET_POLICY);
	good(&g);
	g.w.classes[0].floor_latency = (delay_t){ 0 }; /* no floor */
	g.ask.latency = (delay_t){ UINT32_MAX };
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_NONE);
	g.f.proof_expires = (wall_t){ 0 }; /* the proof does not say */
	assert_int_equal(judge(&g, ADMIT_ALL, &why), REFUSE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_good_one),
		cmocka_unit_test(each_alone),
		cmocka_unit_test(of_two_the_earlier),
		cmocka_unit_test(generations),
		cmocka_unit_test(unknown_grade_and_price),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
