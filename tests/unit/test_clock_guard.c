/* SPDX-License-Identifier: Apache-2.0 */
/* The guard of the wall clock by itself: steps forward and back, short and lasting, small ones that
 * add up, a restart, and a random walk; then with a real engine and log, where each step is said.
 */
#include "store_util.h"
#include "trust_fixture.h"

#include "agent/log.h"
#include "agent/side_clock.h"

static struct clock_guard g;
static int64_t real, mono; /* ms */

static int64_t told(enum clock_step want)
{
	enum clock_step step;
	int64_t off, t = clock_tell(&g, (wall_t){ real }, (mono_t){ mono * 1000 }, &step, &off).ms;

	if (step != want)
		fail_msg("at %lld: %s, not %s", (long long)mono, clock_step_name(step),
			 clock_step_name(want));
	return t;
}

static void pass(int64_t ms)
{
	real += ms;
	mono += ms;
}

static int fresh(void **state)
{
	(void)state;
	real = NOW.ms;
	mono = 5000;
	clock_begin(&g, (wall_t){ real }, (wall_t){ 0 }, (mono_t){ mono * 1000 });
	return 0;
}

static void test_back(void **state)
{
	int64_t t;

	(void)state;
	pass(1000);
	t = told(CLOCK_STEADY);
	assert_int_equal(t, real);
	real -= 3600000;
	assert_int_equal(told(CLOCK_BEHIND), t);
	pass(10000);
	assert_int_equal(told(CLOCK_STEADY), t + 5000);
	/* It catches up after twice the hour, and is followed again. */
	pass(2 * 3600000 - 10000 - 2000);
	assert_int_equal(told(CLOCK_AGREES), real);
	pass(5000);
	assert_int_equal(told(CLOCK_STEADY), real);
}

static void test_back_and_mended(void **state)
{
	int64_t t = told(CLOCK_STEADY);

	(void)state;
	real -= 86400000;
	assert_int_equal(told(CLOCK_BEHIND), t);
	pass(500);
	real += 86400000;
	assert_int_equal(told(CLOCK_AGREES), real);
}

static void test_forward(void **state)
{
	int64_t t = told(CLOCK_STEADY);

	(void)state;
	real += 3600000;
	assert_int_equal(told(CLOCK_AHEAD), t);
	pass(59999);
	assert_int_equal(told(CLOCK_STEADY), t + 59999);
	pass(1);
	assert_int_equal(told(CLOCK_TAKEN), real);
	pass(10);
	assert_int_equal(told(CLOCK_STEADY), real);
	/* A year, taken back within the minute: nobody saw it. */
	t = real;
	real += 365 * 86400000LL;
	assert_int_equal(told(CLOCK_AHEAD), t);
	pass(30000);
	real -= 365 * 86400000LL;
	assert_int_equal(told(CLOCK_AGREES), t + 30000);
	/* Forward, then back behind where it was. */
	t = real;
	real += 7200000;
	(void)told(CLOCK_AHEAD);
	real -= 2 * 7200000;
	assert_int_equal(told(CLOCK_BEHIND), t);
	real += 2 * 7200000;
	assert_int_equal(told(CLOCK_AHEAD), t); /* the minute begins again */
	pass(59000);
	assert_int_equal(told(CLOCK_STEADY), t + 59000);
}

/* What no single look would call a step. */
static void test_creeping(void **state)
{
	int64_t t = told(CLOCK_STEADY);

	(void)state;
	real -= 900;
	assert_int_equal(told(CLOCK_STEADY), t);
	real -= 900;
	assert_int_equal(told(CLOCK_BEHIND), t);
	(void)fresh(NULL);
	t = told(CLOCK_STEADY);
	real += 900;
	assert_int_equal(told(CLOCK_STEADY), t + 900);
	real += 900;
	assert_int_equal(told(CLOCK_AHEAD), t + 900);
	/* A slewed clock is followed: 500 ppm for a day. */
	(void)fresh(NULL);
	for (int i = 0; i < 86400; i++) {
		mono += 1000;
		real += 1000 + i % 2;
		assert_int_equal(told(CLOCK_STEADY), real);
	}
}

/* A process begins where the log ended. */
static void test_floor(void **state)
{
	int64_t t = NOW.ms;

	(void)state;
	real = t - 7200000;
	clock_begin(&g, (wall_t){ real }, (wall_t){ t }, (mono_t){ mono * 1000 });
	assert_int_equal(told(CLOCK_BEHIND), t);
	pass(2000);
	assert_int_equal(told(CLOCK_STEADY), t + 1000);
	clock_begin(&g, (wall_t){ real }, (wall_t){ 0 }, (mono_t){ mono * 1000 });
	assert_int_equal(told(CLOCK_STEADY), real);
	clock_begin(&g, (wall_t){ t + 5 }, (wall_t){ t }, (mono_t){ mono * 1000 });
	real = t + 5;
	assert_int_equal(told(CLOCK_STEADY), real);
}

/* Whatever the clock does: never back, and never further than a believed wall clock, or a second
 * more than what the monotone clock counted since. */
static void test_walk(void **state)
{
	int64_t last = 0, most = 0;

	(void)state;
	srandom(7);
	for (int i = 0; i < 200000; i++) {
		enum clock_step step;
		int64_t off, t, by = random() % 2000, was = last;
		long what = random() % 50;

		pass(by);
		if (what == 0)
			real += (random() % 4000000) - 2000000;
		else if (what == 1)
			real += (random() % 3000) - 1500;
		t = clock_tell(&g, (wall_t){ real }, (mono_t){ mono * 1000 }, &step, &off).ms;
		assert_true(t >= last);
		if (step != CLOCK_TAKEN && was)
			assert_true(t - was <= by + 2 * CLOCK_SLACK_MS);
		most += step == CLOCK_TAKEN;
		last = t;
	}
	assert_true(most > 100);
}

/* --- with a log ------------------------------------------------------------------------------- */

static struct side_clock clk;
static struct store *st;
static struct engine *en;
static unsigned events;
static char why[sizeof(((struct ev_ref *)0)->why.s)];

static wall_t wall_fn(void *arg)
{
	(void)arg;
	return (wall_t){ real };
}

static mono_t mono_fn(void *arg)
{
	(void)arg;
	return (mono_t){ mono * 1000 };
}

static void on_event(void *arg, const struct event *ev)
{
	(void)arg;
	if (ev->kind != EV_CLOCK_STEPPED)
		return;
	events++;
	str_cut(why, ev->u.ref.why.s);
}

static void begin(bool floor)
{
	struct engine_config ec = {
		.max_deals = 4, .max_wanted = 4, .now = side_clock_now, .now_arg = &clk
	};

	clk = (struct side_clock){ .wall = wall_fn, .mono = mono_fn };
	assert_int_equal(store_open(dir, STORE_CREATE | STORE_NOSYNC, &st, NULL), 0);
	ec.store = st;
	assert_int_equal(engine_new(&en, &ec, NULL), 0);
	assert_int_equal(engine_subscribe(en, on_event, NULL), 0);
	side_clock_begin(&clk, floor ? engine_replayed(en) : (wall_t){ 0 });
	events = 0;
}

static void turn(void)
{
	assert_int_equal(side_clock_turn(&clk, en), 0);
	assert_int_equal(engine_turn(en), 0);
}

static void finish(void)
{
	en = engine_free(en);
	st = store_free(st);
}

static void test_said(void **state)
{
	int64_t t;

	(void)state;
	begin(true);
	pass(10000);
	turn();
	assert_int_equal(events, 0);
	real -= 3600000;
	turn();
	turn();
	assert_int_equal(events, 1);
	assert_non_null(strstr(why, "behind: the machine's clock is 3600.000 s behind"));
	t = engine_now(en).ms;
	finish();
	/* A restart is no way round: time begins where the log ended. */
	begin(true);
	assert_int_equal(engine_replayed(en).ms, t);
	turn();
	assert_int_equal(engine_now(en).ms, t);
	assert_int_equal(events, 1);
	pass(1000);
	assert_int_equal(engine_now(en).ms, t + 500);
	real += 3600000 + 5000;
	turn();
	assert_non_null(strstr(why, "ahead"));
	pass(61000);
	turn();
	assert_non_null(strstr(why, "taken"));
	assert_int_equal(engine_now(en).ms, real);
	finish();
	/* The log's own time was wrong, and a human says so. */
	real -= 30 * 86400000LL;
	begin(false);
	turn();
	assert_int_equal(engine_now(en).ms, real);
	assert_int_equal(events, 0);
	finish();
}

static int said_setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR);
	(void)fresh(state);
	return dir_make(state);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, fresh)
	static const struct CMUnitTest tests[] = {
		T(test_back),
		T(test_back_and_mended),
		T(test_forward),
		T(test_creeping),
		T(test_floor),
		T(test_walk),
		cmocka_unit_test_setup_teardown(test_said, said_setup, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
