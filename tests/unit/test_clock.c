/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's wall clock is stepped under its feet, forward and back. What ended by it does not
 * come back with it: a used challenge stays used, a hold that expired must pass the gates again,
 * and what is refused leaves everything as it was; beside each stands what is accepted at the right
 * time. */
#include "bss_road.h"

#include "agent/bss_policy/bss_policy_core.h"

#define HOUR_MS 3600000

static void ask_with(const struct road *r, const char *ch)
{
	auto_json json_t *vc = road_vc(r), *intent = intent_json(&r->i);

	say(r->who, json_pack("[O, o]", intent, present(r, vc, intent, ch)));
}

static void challenges(void **state)
{
	struct road a = road_new(&lab.ent, "0c1"), b = road_new(&lab.ent, "0c2");
	struct road c = road_new(&lab.ent, "0c3");
	char used[80], old[80];
	struct snap s;

	(void)state;
	challenge(a.who, used);
	challenge(a.who, old);
	ask_with(&a, used);
	(void)artifact("quote");
	s = snap();
	ask_with(&b, used);
	expect(REFUSE_WALLET_CHALLENGE, s, "a used challenge");
	lab.now.ms += HOUR_MS; /* beyond its life */
	s = snap();
	ask_with(&b, old);
	expect(REFUSE_WALLET_CHALLENGE, s, "an expired challenge");
	lab.now.ms -= HOUR_MS;
	s = snap();
	ask_with(&b, used);
	expect(REFUSE_WALLET_CHALLENGE, s, "a used challenge, the clock set back");
	lab.now.ms -= HOUR_MS;
	s = snap();
	ask_with(&b, used);
	expect(REFUSE_WALLET_CHALLENGE, s, "a used challenge, before it was made");
	lab.now.ms += HOUR_MS;
	ask_quote(&c);
	(void)artifact("quote");
}

static void refused_now(struct road *r, enum refusal want, const char *what)
{
	char ch[80];
	struct snap s;

	challenge(r->who, ch);
	s = snap();
	ask_with(r, ch);
	expect(want, s, what);
}

static void validity(void **state)
{
	struct road r = road_new(&lab.ent, "0c1"), below = road_new(&lab.ent, "0c3");
	const int64_t jumps[] = { 3 * 86400000LL, 365 * 86400000LL, -2 * HOUR_MS,
				  -365 * 86400000LL };

	(void)state;
	road_below(&below, &lab.stranger, 0);
	for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
		char hex[8];
		struct road twin;

		lab.now.ms += jumps[i];
		refused_now(&r, REFUSE_WALLET_EXPIRED, "a wallet outside its time");
		refused_now(&below, REFUSE_WALLET_EXPIRED, "a sub-wallet outside its time");
		lab.now.ms -= jumps[i];
		(void)snprintf(hex, sizeof(hex), "0d%zu", i);
		twin = road_new(&lab.ent, hex);
		ask_quote(&twin);
		(void)artifact("quote");
	}
}

/* The parent's window ends before the child's credential does. */
static void parents_window(void **state)
{
	struct road r = road_new(&lab.ent, "0c1"), twin = road_new(&lab.ent, "0c2");

	(void)state;
	road_below(&r, &lab.stranger, 0);
	r.top.valid_until.ms = lab.now.ms + 2 * HOUR_MS;
	road_below(&twin, &lab.stranger, 0);
	twin.top = r.top;
	lab.now.ms += 3 * HOUR_MS;
	refused_now(&r, REFUSE_WALLET_EXPIRED, "a parent whose time is over");
	lab.now.ms -= 3 * HOUR_MS;
	ask_quote(&twin);
	(void)artifact("quote");
}

static unsigned live;

static int count_live(void *arg, const struct ledger_hold_row *h)
{
	(void)arg;
	live += h->state == HOLD_HELD;
	return 0;
}

static unsigned live_holds(void)
{
	live = 0;
	assert_int_equal(ledger_live_holds(lab.store, count_live, NULL, NULL), 0);
	return live;
}

static int64_t captured(const struct road *r)
{
	struct ledger_wallet_id id = { .side = LEDGER_SHADOW };
	struct ledger_wallet w;

	must_set(id.issuer, r->w.issuer);
	must_set(id.wallet_id, r->w.wallet_id);
	assert_int_equal(ledger_wallet_get(lab.store, &id, &w, NULL), 0);
	return w.captured.minor;
}

/* As far as the operator's signature: the hold lives, and nothing is captured. */
static void take_signed(struct road *r)
{
	ask_quote(r);
	take_quote(r);
	choose(r, item_on(r, 1));
	send_accept(r->who, &r->a);
	take_agreement(r);
}

/* What nobody settled in time went back, and another took the room: the old hour does not bring it
 * back, since a late capture must pass the gates again. */
static void holds(void **state)
{
	auto_road struct road r = road_new(&lab.ent, "0c1"), twin = road_new(&lab.ent, "0c2");
	struct acceptance acc;
	struct receipt rc;

	(void)state;
	r.w.classes[0].ceiling.minor = twin.w.classes[0].ceiling.minor = 2500;
	take_signed(&r);
	acceptance_of(&r, &acc, &rc);
	assert_int_equal(live_holds(), 1);
	lab_run(121000);
	assert_int_equal(live_holds(), 0);
	ask_quote(&twin);
	take_quote(&twin);
	choose(&twin, item_on(&twin, 1));
	send_accept(twin.who, &twin.a);
	take_agreement(&twin);
	accept_agreement(&twin);
	assert_int_equal(captured(&twin), twin.a.amount.minor);
	lab.now.ms -= 121000;
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(lab.replies, 1);
	assert_int_not_equal(problem(), REFUSE_NONE);
	assert_int_equal(live_holds(), 0);
	assert_int_equal(captured(&r), twin.a.amount.minor);
	lab.now.ms += 121000;
	send_acceptance(r.who, &acc, &rc, &r.who->port);
	assert_int_equal(captured(&r), twin.a.amount.minor);
}

/* --- behind the guard that the daemon has: the machine's clock is stepped, not the decisions' ----
 */

static struct side_clock guard;

static wall_t machine(void *arg)
{
	(void)arg;
	return lab.now;
}

static mono_t monotone(void *arg)
{
	(void)arg;
	return loop_now(lab.side.loop);
}

static int guarded_setup(void **state)
{
	int r = lab_setup(state);

	guard = (struct side_clock){ .wall = machine, .mono = monotone };
	side_clock_begin(&guard, (wall_t){ 0 });
	lab_guard = &guard;
	return r;
}

static int guarded_teardown(void **state)
{
	lab_guard = NULL;
	return lab_teardown(state);
}

/* The clock is set back: what was to end ends all the same. */
static void guarded_back(void **state)
{
	auto_road struct road r = road_new(&lab.ent, "0c1"), late = road_new(&lab.ent, "0c2");
	char old[80];
	struct snap s;

	(void)state;
	challenge(r.who, old);
	take_signed(&r);
	assert_int_equal(live_holds(), 1);
	lab.now.ms -= 24LL * HOUR_MS;
	lab_run(119000);
	assert_int_equal(live_holds(), 1); /* at half pace: later, never sooner */
	lab_run(125000);
	assert_int_equal(live_holds(), 0);
	lab_run(400000);
	late.i.declared = engine_now(lab.side.engine);
	s = snap();
	ask_with(&late, old);
	expect(REFUSE_WALLET_CHALLENGE, s, "a challenge that is kept by a step back");
	lab.now.ms += 24LL * HOUR_MS;
}

/* Forward, and mended within the minute: nothing has ended by it. */
static void guarded_forward(void **state)
{
	auto_road struct road r = road_new(&lab.ent, "0c1"), twin = road_new(&lab.ent, "0c2");

	(void)state;
	take_signed(&r);
	lab.now.ms += 365LL * 24 * HOUR_MS;
	lab_run(20000);
	assert_int_equal(live_holds(), 1);
	ask_quote(&twin); /* no wallet has expired */
	(void)artifact("quote");
	lab.now.ms -= 365LL * 24 * HOUR_MS;
	lab_run(20000);
	accept_agreement(&r);
	assert_int_equal(captured(&r), r.a.amount.minor);
}

/* Forward for good: believed after the minute, and then holds and wallets end as they should. */
static void guarded_forward_for_good(void **state)
{
	auto_road struct road r = road_new(&lab.ent, "0c1"), twin = road_new(&lab.ent, "0c2");

	(void)state;
	take_signed(&r);
	lab.now.ms += 3LL * 24 * HOUR_MS;
	lab_run(50000);
	assert_int_equal(live_holds(), 1);
	lab_run(15000);
	assert_int_equal(live_holds(), 0);
	refused_now(&twin, REFUSE_WALLET_EXPIRED, "a wallet whose time is over");
	/* back again: what ended stays ended, and the time does not come back */
	lab.now.ms -= 3LL * 24 * HOUR_MS;
	lab_run(65000);
	assert_int_equal(live_holds(), 0);
	refused_now(&twin, REFUSE_WALLET_EXPIRED,
		    "a wallet whose time is over, the clock set back");
}

int main(void)
{
#define G(f) cmocka_unit_test_setup_teardown(f, guarded_setup, guarded_teardown)
#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		T(challenges),   T(validity),        T(parents_window),          T(holds),
		G(guarded_back), G(guarded_forward), G(guarded_forward_for_good)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
