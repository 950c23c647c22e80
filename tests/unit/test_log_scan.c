/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever looks through the log shares the loop with everybody else. */
#include "query_call.h"

#include "agent/log_scan.h"

enum { EVENTS = 400, ROW_US = 100 };

struct seen {
	uint64_t next;      /* the event that must come */
	unsigned rows, max; /* so far; the most between two turns of the loop */
	unsigned in_turn, turns;
	unsigned done;
	int result;
	int ret; /* what row() says of event `at` */
	uint64_t at;
};

static void spin(int64_t us)
{
	int64_t until = loop_read(lab.side.loop).us + us;

	while (loop_read(lab.side.loop).us < until)
		;
}

static int row(void *arg, const struct store_event *ev, struct err *e)
{
	struct seen *s = arg;

	assert_int_equal(s->done, 0);
	assert_int_equal(ev->seq, s->next++);
	s->rows++;
	if (++s->in_turn > s->max)
		s->max = s->in_turn;
	spin(ROW_US);
	return ev->seq == s->at ? (s->ret < 0 ? err_set(e, s->ret, "row: bad") : s->ret) : 0;
}

static void done(void *arg, int r, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	s->done++;
	s->result = r;
}

/* The hook of the loop: a turn begins. */
static int begins(void *arg)
{
	struct seen *s = arg;

	s->turns++;
	s->in_turn = 0;
	return 0;
}

/* Some turns of the loop, with nothing else to do. */
static void run(struct seen *s)
{
	loop_before_sleep(lab.side.loop, begins, s);
	mcp_later(lab.side.loop);
	loop_before_sleep(lab.side.loop, NULL, NULL);
}

static struct log_scan from(uint64_t seq, struct seen *s)
{
	*s = (struct seen){ .next = seq };
	return (struct log_scan){ seq, row, done, s };
}

static void all_rows_a_few_at_a_time(void **state)
{
	struct seen s;
	struct log_scan ask = from(1, &s);
	uint64_t last = store_durable(lab.store);

	(void)state;
	assert_true(last >= EVENTS);
	assert_int_equal(log_scan(&lab.side, &ask, NULL), 0);
	assert_int_equal(s.rows, 0);
	for (unsigned k = 0; !s.done && k < 100000; k++)
		run(&s);
	assert_int_equal(s.done, 1);
	assert_int_equal(s.result, 0);
	assert_int_equal(s.rows, last);
	/* 2 ms of rows that take 0.1 ms each: the rest of the log is not read in one go */
	assert_true(s.max <= 2000 / ROW_US + 1);
	assert_true(s.turns > last / (2000 / ROW_US + 1));
}

static void a_row_ends_it(void **state)
{
	static const int rets[] = { 1, -EUCLEAN };
	struct seen s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rets); i++) {
		struct log_scan ask = from(7, &s);

		s.at = 50;
		s.ret = rets[i];
		assert_int_equal(log_scan(&lab.side, &ask, NULL), 0);
		for (unsigned k = 0; !s.done && k < 100000; k++)
			run(&s);
		assert_int_equal(s.rows, 44);
		assert_int_equal(s.result, rets[i] < 0 ? rets[i] : 0);
	}
}

static void as_many_as_may_and_all_end(void **state)
{
	static struct seen s[LOG_SCANS + 1];
	struct err e = { 0 };
	struct log_scan ask;

	(void)state;
	for (size_t i = 0; i < LOG_SCANS; i++) {
		ask = from(1, &s[i]);
		assert_int_equal(log_scan(&lab.side, &ask, NULL), 0);
	}
	ask = from(1, &s[LOG_SCANS]);
	assert_int_equal(log_scan(&lab.side, &ask, &e), -EAGAIN);
	assert_non_null(strstr(e.text, "limit_reached"));
	for (unsigned i = 0; i < 5; i++)
		run(s);
	log_scans_free(&lab.side);
	for (size_t i = 0; i < LOG_SCANS; i++) {
		assert_int_equal(s[i].done, 1);
		assert_int_equal(s[i].result, -ECANCELED);
	}
	assert_int_equal(s[LOG_SCANS].done, 0);
	for (unsigned i = 0; i < 5; i++)
		run(s);
	assert_int_equal(log_scan(&lab.side, &ask, NULL), 0);
	log_scans_free(&lab.side);
}

static int setup(void **state)
{
	(void)state;
	lab.deals = EVENTS + 1;
	lab_dir(&lab);
	lab_open(&lab);
	lab_walk(&lab);
	lab_serve(&lab, false);
	lab_intents(&lab, EVENTS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_drop(&lab);
	got_clear();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_rows_a_few_at_a_time),
		cmocka_unit_test(a_row_ends_it),
		cmocka_unit_test(as_many_as_may_and_all_end),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
