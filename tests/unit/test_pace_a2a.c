/* SPDX-License-Identifier: Apache-2.0 */
/* A2A streams that take turns: who makes an event writes to nobody, each reader gets what waits for
 * it in one piece and in order, and the last event comes before the end. */
#include "a2a_streams.h"
#include "agent/loop.h"
#include "agent/wire/pace.h"

static struct loop *loop;
static struct turns *turns;

static int pace_setup(void **state)
{
	static const struct a2a_app app = { .on_message = on_message };
	struct a2a_config c = config;

	(void)state;
	memset(streams, 0, sizeof(streams));
	held = NULL;
	c.streaming = true;
	c.max_streams_per_peer = 2;
	if (loop_new(&loop, true) || turns_new(&turns, loop))
		return -1;
	c.pace = turns_pace(turns);
	return a2a_server_new(&srv, &c, &app, NULL);
}

static int pace_teardown(void **state)
{
	(void)teardown(state);
	turns = turns_free(turns);
	loop = loop_free(loop);
	return 0;
}

/* A task under way with two readers, who have read what there was. */
static void two_read(void)
{
	char sub[200];

	say(&alice, 0, "m1", "hold", "");
	(void)snprintf(sub, sizeof(sub), "{\"id\":\"%s\"}", a2a_turn_task_id(held));
	rpc(&alice, 1, "SubscribeToTask", sub);
	assert_int_equal(loop_run(loop), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(text_of(event(i, 0), "task", "status", "state"),
				    "TASK_STATE_SUBMITTED");
		streams[i].text[0] = 0;
		streams[i].writes = 0;
	}
}

static void what_waits_goes_out_in_one_piece(void **state)
{
	json_t *d = json_pack("{s:i}", "k", 1);

	(void)state;
	two_read();
	assert_int_equal(a2a_turn_state(held, A2A_WORKING), 0);
	assert_int_equal(a2a_turn_artifact(held, "Quote", d), 0);
	a2a_turn_task(held, A2A_COMPLETED, d);
	json_decref(d);
	for (unsigned i = 0; i < 2; i++)
		assert_true(streams[i].open && !streams[i].writes);
	say(&alice, 2, "m2", "hold", "");
	assert_non_null(a2a_turn_task_id(held));
	assert_int_equal(code(), A2A_E_LIMIT); /* who still reads counts */
	assert_int_equal(loop_run(loop), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(streams[i].open);
		assert_int_equal(streams[i].writes, 1);
		assert_string_equal(text_of(event(i, 0), "statusUpdate", "status", "state"),
				    "TASK_STATE_WORKING");
		assert_string_equal(text_of(event(i, 1), "artifactUpdate", "artifact", "name"),
				    "Quote");
		assert_string_equal(text_of(event(i, 2), "statusUpdate", "status", "state"),
				    "TASK_STATE_COMPLETED");
		assert_null(event(i, 3));
	}
	assert_int_equal(a2a_streams(srv), 0);
	a2a_turn_task(held, A2A_COMPLETED, NULL); /* of the second message */
}

/* Beyond what may wait it is written at once: nothing is lost and nothing changes places. */
static void too_much_does_not_wait(void **state)
{
	(void)state;
	two_read();
	for (int i = 0; i < 40; i++) {
		json_t *parts = json_pack("[{s:i}]", "data", i);

		assert_int_equal(a2a_turn_artifact_parts(held, "x", "log", parts, i > 0, i == 39),
				 0);
		json_decref(parts);
	}
	assert_int_equal(streams[0].writes, 1);
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(streams[0].writes, 2);
	for (unsigned i = 0; i < 40; i++) {
		const json_t *a =
			json_object_get(json_object_get(event(1, i), "artifactUpdate"), "artifact");

		assert_int_equal(json_integer_value(json_object_get(
					 json_array_get(json_object_get(a, "parts"), 0), "data")),
				 i);
	}
	assert_string_equal(text_of(event(1, 40), "statusUpdate", "status", "state"),
			    "TASK_STATE_COMPLETED");
	assert_false(streams[0].open || streams[1].open);
}

static void who_leaves_or_lags_while_something_waits(void **state)
{
	(void)state;
	two_read();
	assert_int_equal(a2a_turn_state(held, A2A_WORKING), 0);
	streams[0].gone(streams[0].arg);
	streams[1].refuses = true;
	assert_int_equal(a2a_streams(srv), 1);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(streams[0].text, "");
	assert_int_equal(a2a_streams(srv), 0);
	assert_false(streams[1].open);
	a2a_turn_task(held, A2A_COMPLETED, NULL);
}

static void who_leaves_when_it_is_over(void **state)
{
	(void)state;
	two_read();
	a2a_turn_task(held, A2A_COMPLETED, NULL);
	streams[0].gone(streams[0].arg);
	assert_int_equal(a2a_streams(srv), 1);
	srv = a2a_server_free(srv); /* a server that stops tells the rest first */
	assert_string_equal(streams[0].text, "");
	assert_string_equal(text_of(event(1, 0), "statusUpdate", "status", "state"),
			    "TASK_STATE_COMPLETED");
	assert_false(streams[1].open);
	assert_int_equal(loop_run(loop), 0);
}

static void an_error_is_the_last_event(void **state)
{
	(void)state;
	two_read();
	assert_int_equal(a2a_turn_state(held, A2A_WORKING), 0);
	a2a_turn_fail(held, A2A_E_INTERNAL, "no", NULL);
	assert_true(streams[0].open && streams[1].open);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(text_of(event(0, 0), "statusUpdate", "status", "state"),
			    "TASK_STATE_WORKING");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(event(0, 1), "error"), "code")),
		A2A_E_INTERNAL);
	assert_false(streams[0].open);
	assert_true(streams[1].open); /* the subscription is the task's, not the turn's */
}

#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, pace_setup, pace_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_waits_goes_out_in_one_piece),
		T(too_much_does_not_wait),
		T(who_leaves_or_lags_while_something_waits),
		T(who_leaves_when_it_is_over),
		T(an_error_is_the_last_event),
	};

	(void)setup;
	(void)message;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
