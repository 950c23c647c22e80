/* SPDX-License-Identifier: Apache-2.0 */
/* The wallet keeper: the gate, the haggling, and what no adviser can make it do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/ent_policy/ent_policy_core.h"

#define M 1000000ull
#define H 3600000ll

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static struct quote_item item(uint8_t no, uint64_t bps, uint32_t us, int64_t scarcity,
			      int64_t margin)
{
	return (struct quote_item){ .no = no,
				    .path = no,
				    .type = NET_DET,
				    .g = { { bps }, { us }, { 999900 } },
				    .scarcity = { scarcity },
				    .margin = { margin } };
}

/* An hour of 20 Mbit/s: item 1 short and dear, item 2 long and cheap. */
static struct ent_policy_in base(void)
{
	struct ent_policy_in in = { 0 };

	in.quote.reason = QUOTE_NEW;
	in.quote.term_ms = H;
	in.quote.valid_until.ms = 1000;
	memcpy(in.quote.currency, "EUR", 4);
	in.quote.n_items = 2;
	in.quote.item[0] = item(1, 20 * M, 10000, 300, 50);
	in.quote.item[1] = item(2, 20 * M, 25000, 200, 50);
	in.profile.want = in.want = (struct grades){ { 20 * M }, { 30000 }, { 999900 } };
	in.profile.value.minor_h = 1000;
	in.wallet = (struct wallet_limits){ true,
					    { 10000 },
					    { 5000 },
					    { 4000 },
					    24 * H,
					    "EUR",
					    { { 10 * M }, { 40000 }, { 990000 } } };
	return in;
}

static struct ent_policy_out choose(const struct ent_policy_in *in, const struct advice *a)
{
	struct ent_policy_out out;

	ent_policy_choose(in, a, &out);
	return out;
}

static void choice(void **state)
{
	struct ent_policy_in in = base();
	struct ent_policy_out out = choose(&in, NULL);

	(void)state;
	assert_int_equal(out.verdict, POLICY_ACCEPT);
	assert_int_equal(out.item, 2); /* delay is worth nothing: the cheaper */
	assert_int_equal(out.price.minor_h, 250);
	assert_int_equal(out.amount.minor, 250);
	assert_int_equal(out.hold.minor, 250);
	assert_int_equal(out.end.ms, H);
	in.profile.delay_value.minor_h = 10; /* 15 ms less are worth 150 more: the shorter */
	assert_int_equal(choose(&in, NULL).item, 1);
	in.captured.minor = 100;
	assert_int_equal(choose(&in, NULL).hold.minor, 250);
	assert_int_equal(choose(&in, NULL).amount.minor, 350);
	in.captured.minor = 1000;
	assert_int_equal(choose(&in, NULL).hold.minor, 0);
}

static void set_expired(struct ent_policy_in *in)
{
	in->now.ms = 1001;
}
static void set_currency(struct ent_policy_in *in)
{
	in->quote.currency[0] = 'U';
}
static void set_term(struct ent_policy_in *in)
{
	in->quote.term_ms = 24 * H + 1;
}
static void set_no_term(struct ent_policy_in *in)
{
	in->quote.term_ms = 0;
}
static void set_twice(struct ent_policy_in *in)
{
	in->quote.item[1].no = 1;
}
static void set_none(struct ent_policy_in *in)
{
	in->quote.n_items = 0;
}
static void set_many(struct ent_policy_in *in)
{
	in->quote.n_items = QUOTE_ITEMS_MAX + 1;
}
static void set_reason(struct ent_policy_in *in)
{
	in->quote.reason = QUOTE_REASON_MAX_;
}
static void set_envelope(struct ent_policy_in *in)
{
	in->wallet.envelope_left.minor = 199;
}
static void set_class(struct ent_policy_in *in)
{
	in->wallet.class_left.minor = 199;
}
static void set_agreement(struct ent_policy_in *in)
{
	in->wallet.agreement_max.minor = 199;
}
static void set_revoked(struct ent_policy_in *in)
{
	in->wallet.valid = false;
}
static void set_worth(struct ent_policy_in *in)
{
	in->profile.value.minor_h = 199;
}
static void set_bandwidth(struct ent_policy_in *in)
{
	in->wallet.floor.bandwidth.bps = 20 * M + 1;
}
static void set_latency(struct ent_policy_in *in)
{
	in->want.latency.us = 9000;
}
static void set_availability(struct ent_policy_in *in)
{
	in->wallet.floor.availability.ppm = 999901;
}
static void set_withdrawn(struct ent_policy_in *in)
{
	in->quote.item[0].withdrawn = in->quote.item[1].withdrawn = true;
}
static void set_negative(struct ent_policy_in *in)
{
	in->quote.item[0].scarcity.minor_h = in->quote.item[1].scarcity.minor_h = -1;
}
static void set_overflow(struct ent_policy_in *in)
{
	in->profile.value.minor_h = in->wallet.agreement_max.minor = INT64_MAX;
	in->quote.item[0].scarcity.minor_h = in->quote.item[1].scarcity.minor_h = INT64_MAX - 60;
}
static void set_down(struct ent_policy_in *in)
{
	in->quote.reason = QUOTE_STEP_DOWN;
	in->cost = (struct lineage_cost){ { 0 }, true, { 199 }, { 0 }, { H } };
}
static void set_back(struct ent_policy_in *in)
{
	in->quote.reason = QUOTE_WALK_BACK;
	in->cost = (struct lineage_cost){ { 0 }, true, { 900 }, { 0 }, { H } };
	in->origin_price.minor_h = 199;
}

static void refusals(void **state)
{
	static const struct {
		void (*set)(struct ent_policy_in *in);
		enum refusal want;
	} t[] = {
		{ set_expired, REFUSE_QUOTE_EXPIRED },
		{ set_currency, REFUSE_LEDGER_CURRENCY },
		{ set_term, REFUSE_WALLET_POLICY },
		{ set_no_term, REFUSE_WALLET_POLICY },
		{ set_twice, REFUSE_BODY_MALFORMED },
		{ set_none, REFUSE_BODY_MALFORMED },
		{ set_many, REFUSE_BODY_MALFORMED },
		{ set_reason, REFUSE_BODY_MALFORMED },
		{ set_envelope, REFUSE_OVER_CEILING },
		{ set_class, REFUSE_OVER_CLASS_CEILING },
		{ set_agreement, REFUSE_OVER_AGREEMENT_MAX },
		{ set_revoked, REFUSE_WALLET_REVOKED },
		{ set_worth, REFUSE_UNAFFORDABLE },
		{ set_bandwidth, REFUSE_FLOOR_BROKEN },
		{ set_latency, REFUSE_FLOOR_BROKEN },
		{ set_availability, REFUSE_FLOOR_BROKEN },
		{ set_withdrawn, REFUSE_GRADE_WITHDRAWN },
		{ set_negative, REFUSE_BODY_MALFORMED },
		{ set_overflow, REFUSE_UNAFFORDABLE },
		{ set_down, REFUSE_UNAFFORDABLE },
		{ set_back, REFUSE_UNAFFORDABLE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct ent_policy_in in = base();
		struct ent_policy_out out;

		t[i].set(&in);
		out = choose(&in, NULL);
		if (out.verdict != POLICY_REJECT || out.refusal != t[i].want)
			fail_msg("case %zu: verdict %d %s: %s", i, out.verdict,
				 refusal_name(out.refusal), out.why.s);
		in = base();
		assert_int_equal(choose(&in, NULL).verdict, POLICY_ACCEPT);
	}
}

/* A live service at 400 since t=0, an hour paid; at half time an offer. */
static void in_life(void **state)
{
	struct ent_policy_in in = base();
	struct ent_policy_out out;

	(void)state;
	in.quote.valid_until.ms = 2 * H;
	in.now.ms = H / 2;
	in.cost = (struct lineage_cost){ { 0 }, true, { 400 }, { 0 }, { H } };
	in.captured.minor = 400;
	in.quote.n_items = 1;
	in.quote.item[0] = item(1, 20 * M, 25000, 600, 0);
	in.quote.reason = QUOTE_STEP_UP;
	out = choose(&in, NULL);
	assert_int_equal(out.verdict, POLICY_ACCEPT);
	assert_int_equal(out.end.ms, H); /* the paid end stays */
	assert_int_equal(out.amount.minor, 200 + 300);
	assert_int_equal(out.hold.minor, 100);
	in.quote.reason = QUOTE_CHANGE; /* asked by the consumer: a new term from now */
	out = choose(&in, NULL);
	assert_int_equal(out.end.ms, H / 2 + H);
	assert_int_equal(out.amount.minor, 200 + 600);
	in.quote.reason = QUOTE_WALK_BACK; /* back to the origin, cheaper: nothing to hold */
	in.origin_price.minor_h = 300;
	in.quote.item[0].scarcity.minor_h = 300;
	in.wallet.valid = false; /* ruling 6: allowed even without a wallet */
	in.wallet.envelope_left.minor = 0;
	out = choose(&in, NULL);
	assert_int_equal(out.verdict, POLICY_ACCEPT);
	assert_int_equal(out.hold.minor, 0);
	in.quote.item[0].scarcity.minor_h = 301;
	assert_int_equal(choose(&in, NULL).verdict, POLICY_REJECT);
	in.quote.reason = QUOTE_STEP_DOWN; /* cheaper, but below the floor */
	in.quote.item[0] = item(1, 10 * M - 1, 25000, 10, 0);
	assert_int_equal(choose(&in, NULL).refusal, REFUSE_FLOOR_BROKEN);
	in.quote.item[0].g.bandwidth.bps = 10 * M;
	assert_int_equal(choose(&in, NULL).verdict, POLICY_ACCEPT);
}

static void haggling(void **state)
{
	struct ent_policy_in in = base();
	struct ent_policy_out out;
	int64_t last = -1;

	(void)state;
	in.bargain = true;
	for (unsigned r = 0; r < QUOTE_ROUNDS_MAX; r++) {
		in.round = (uint8_t)r;
		out = choose(&in, NULL);
		if (out.verdict == POLICY_ACCEPT)
			break;
		assert_int_equal(out.verdict, POLICY_COUNTER);
		assert_true(out.margin.minor_h >= last && out.margin.minor_h < 50);
		last = in.last_margin.minor_h = out.margin.minor_h;
	}
	assert_int_equal(out.verdict, POLICY_ACCEPT);
	assert_true(last > 0);
	in = base();
	in.bargain = true;
	in.quote.reason = QUOTE_STEP_UP; /* a breach does not wait for haggling */
	assert_int_equal(choose(&in, NULL).verdict, POLICY_ACCEPT);
	in = base(); /* dear by its margin alone: countered even without a taste for bargaining */
	in.profile.value.minor_h = 230;
	out = choose(&in, NULL);
	assert_int_equal(out.verdict, POLICY_COUNTER);
	assert_int_equal(out.item, 2);
	assert_true(out.margin.minor_h <= 30);
	in.round = QUOTE_ROUNDS_MAX;
	assert_int_equal(choose(&in, NULL).verdict, POLICY_REJECT);
}

static void advice(void **state)
{
	struct ent_policy_in in = base();
	struct advice a = { ADVICE_PICK, 1, { "" } };
	struct ent_policy_out out = choose(&in, &a);

	(void)state;
	assert_int_equal(out.item, 1); /* not the best, but cleared */
	assert_true(out.advised);
	in.quote.item[0].withdrawn = true;
	out = choose(&in, &a);
	assert_int_equal(out.item, 2); /* not cleared: not heard */
	assert_false(out.advised);
	a.kind = ADVICE_REJECT;
	out = choose(&in, &a);
	assert_int_equal(out.refusal, REFUSE_DECLINED);
	a.kind = ADVICE_NONE;
	assert_int_equal(choose(&in, &a).item, 2);
}

static struct ent_policy_in any(uint32_t *s)
{
	struct ent_policy_in in = base();

	in.quote.reason = (enum quote_reason)(1 + rnd(s) % 5);
	in.quote.n_items = (uint8_t)(1 + rnd(s) % QUOTE_ITEMS_MAX);
	for (unsigned k = 0; k < in.quote.n_items; k++) {
		in.quote.item[k] = item((uint8_t)(k + 1), (1 + rnd(s) % 40) * M,
					1000 * (1 + rnd(s) % 45), rnd(s) % 900, rnd(s) % 200);
		in.quote.item[k].withdrawn = rnd(s) % 8 == 0;
		in.quote.item[k].g.availability.ppm = rnd(s) % 8 ? 999900 : 980000;
	}
	in.wallet.valid = rnd(s) % 8 != 0;
	in.wallet.envelope_left.minor = rnd(s) % 6000;
	in.wallet.class_left.minor = rnd(s) % 6000;
	in.wallet.agreement_max.minor = rnd(s) % 6000;
	in.profile.delay_value.minor_h = rnd(s) % 20;
	in.cost = (struct lineage_cost){
		{ rnd(s) % 100 }, in.quote.reason != QUOTE_NEW, { rnd(s) % 900 }, { 0 }, { H }
	};
	if (!in.cost.live)
		in.cost = (struct lineage_cost){ 0 };
	in.now.ms = rnd(s) % 1000;
	in.origin_price.minor_h = rnd(s) % 900;
	in.captured.minor = rnd(s) % 500;
	in.bargain = rnd(s) % 2;
	in.round = (uint8_t)(rnd(s) % (QUOTE_ROUNDS_MAX + 1));
	return in;
}

/* Written anew from the rules, not from the core. */
static void inside_envelope(const struct ent_policy_in *in, const struct ent_policy_out *o)
{
	const struct quote_item *i = &in->quote.item[o->item - 1];
	const struct wallet_limits *w = &in->wallet;
	int64_t past = in->cost.past.minor, end = in->quote.term_ms + in->now.ms, ms;

	if (in->cost.live) {
		past += (in->cost.price.minor_h * in->now.ms + H - 1) / H;
		if (in->quote.reason >= QUOTE_STEP_UP)
			end = in->cost.end.ms;
	}
	ms = end - in->now.ms;
	assert_false(i->withdrawn);
	assert_int_equal(o->price.minor_h, i->scarcity.minor_h + i->margin.minor_h);
	assert_int_equal(o->amount.minor, past + (o->price.minor_h * ms + H - 1) / H);
	assert_int_equal(o->hold.minor, o->amount.minor > in->captured.minor
						? o->amount.minor - in->captured.minor
						: 0);
	assert_true(o->amount.minor <= w->agreement_max.minor);
	if (o->hold.minor) {
		assert_true(w->valid);
		assert_true(o->hold.minor <= w->envelope_left.minor);
		assert_true(o->hold.minor <= w->class_left.minor);
	}
	assert_true(i->g.bandwidth.bps >= w->floor.bandwidth.bps);
	assert_true(i->g.latency.us <= w->floor.latency.us);
	assert_true(i->g.availability.ppm >= w->floor.availability.ppm);
	if (in->quote.reason == QUOTE_STEP_DOWN)
		assert_true(o->price.minor_h <= in->cost.price.minor_h);
}

static void no_adviser_leaves_the_envelope(void **state)
{
	unsigned accepted = 0, advised = 0, differs = 0;
	uint32_t s = 42;

	(void)state;
	for (int round = 0; round < 10000; round++) {
		struct ent_policy_in in = any(&s);
		struct advice a = { ADVICE_PICK, (uint8_t)rnd(&s), { "ignore all rules" } };
		struct ent_policy_out none = choose(&in, NULL), said, out;

		if (round % 3 == 0) /* random */
			a.kind = (enum advice_kind)(rnd(&s) % 4);
		a.item %= QUOTE_ITEMS_MAX + 2;
		if (round % 3 == 1) /* hostile: always the dearest */
			for (unsigned k = a.item = 1; k <= in.quote.n_items; k++)
				if (quote_price(&in.quote.item[k - 1]).minor_h >
				    quote_price(&in.quote.item[a.item - 1]).minor_h)
					a.item = (uint8_t)k;
		out = choose(&in, &a);
		said = out;
		for (const struct ent_policy_out *o = &none; o; o = o == &none ? &said : NULL) {
			if (o->verdict == POLICY_ACCEPT)
				inside_envelope(&in, o);
			if (o->verdict == POLICY_COUNTER)
				assert_true(o->margin.minor_h >= 0);
		}
		accepted += none.verdict == POLICY_ACCEPT;
		advised += out.advised;
		differs += out.item != none.item;
	}
	/* the cases are worth something: each road was taken often */
	if (accepted < 500 || advised < 500 || differs < 100)
		fail_msg("%u accepted, %u advised, %u differ", accepted, advised, differs);
}

static void order_of_the_menu_is_nothing(void **state)
{
	uint32_t s = 4;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct ent_policy_in a = any(&s), b = a;
		struct ent_policy_out x, y;

		for (unsigned k = 0; k < a.quote.n_items; k++)
			b.quote.item[k] = a.quote.item[a.quote.n_items - 1 - k];
		x = choose(&a, NULL);
		y = choose(&b, NULL);
		assert_int_equal(x.verdict, y.verdict);
		assert_int_equal(x.item, y.item);
		assert_int_equal(x.hold.minor, y.hold.minor);
		assert_int_equal(x.refusal, y.refusal);
		assert_string_equal(x.why.s, y.why.s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choice),
		cmocka_unit_test(refusals),
		cmocka_unit_test(in_life),
		cmocka_unit_test(haggling),
		cmocka_unit_test(advice),
		cmocka_unit_test(no_adviser_leaves_the_envelope),
		cmocka_unit_test(order_of_the_menu_is_nothing),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
