/* SPDX-License-Identifier: Apache-2.0 */
/* The suite's fixtures of the tasks extension: tools that take their time, fail, or ask on the way.
 */
#include "executor.h"

#include <errno.h>
#include <stdio.h>

struct job {
	struct loop *loop;
	struct mcp_turn *turn;
	struct loop_timer *timer;
	enum { JOB_DONE, JOB_TOOL_ERROR, JOB_PROTOCOL_ERROR } end;
	char text[200];
};

static void say(struct mcp_turn *t, const char *text)
{
	json_t *o = json_pack("{s:[{s:s, s:s}]}", "content", "type", "text", "text", text);

	mcp_turn_raw(t, o);
	json_decref(o);
}

static void job_end(void *arg)
{
	struct job *j = arg;

	mcp_turn_on_cancel(j->turn, NULL, NULL);
	if (j->end == JOB_DONE)
		say(j->turn, j->text);
	else if (j->end == JOB_TOOL_ERROR)
		mcp_turn_refuse(j->turn, "the job failed");
	else
		mcp_turn_fail(j->turn, MCP_E_INTERNAL, "the job broke");
	free(j);
}

static void job_cancelled(void *arg)
{
	struct job *j = arg;

	loop_cancel(j->loop, j->timer);
	mcp_turn_refuse(j->turn, "cancelled");
	free(j);
}

static int job_start(struct loop *l, struct mcp_turn *t, int64_t us, int end, const char *text)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	*j = (struct job){ .loop = l, .turn = t, .end = end };
	(void)snprintf(j->text, sizeof(j->text), "%s", text);
	j->timer = loop_after(l, us, job_end, j);
	mcp_turn_on_cancel(t, job_cancelled, j);
	return 0;
}

/* True: it is a task now. Else the caller was told that it must have tasks. */
static bool must_be_task(struct mcp_turn *t)
{
	json_t *need;

	if (!mcp_turn_task(t))
		return true;
	need = json_pack("{s:{s:{s:{}}}}", "requiredCapabilities", "extensions",
			 "io.modelcontextprotocol/tasks");
	mcp_turn_fail_data(t, MCP_E_CAPABILITY, "the tasks extension is needed", need);
	json_decref(need);
	return false;
}

static void on_answers(void *arg, struct mcp_turn *t, const json_t *responses)
{
	auto_free char *all = json_dumps(responses, JSON_COMPACT);

	(void)arg;
	say(t, all ? all : "");
}

#define FORM(name, type)                                                       \
	"{\"method\":\"elicitation/create\",\"params\":{\"message\":\"" name   \
	"?\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"" name \
	"\":{\"type\":\"" type "\"}},\"required\":[\"" name "\"]}}}"

static int asks(struct mcp_turn *t, const char *requests)
{
	json_t *o = json_loads(requests, 0, NULL);
	int r = must_be_task(t) ? mcp_turn_task_ask(t, o, on_answers, NULL) : 0;

	json_decref(o);
	return r;
}

/* First a question to whoever calls, then a task. */
static int asks_then_task(struct loop *l, struct mcp_turn *t)
{
	const json_t *said = json_object_get(mcp_turn_params(t), "inputResponses");
	const char *name = json_string_value(json_object_get(
		json_object_get(json_object_get(said, "user_name"), "content"), "name"));
	json_t *o;
	char text[150];

	if (!name) {
		o = json_loads(
			"{\"resultType\":\"input_required\",\"inputRequests\":{\"user_name\":" FORM(
				"name", "string") "}}",
			0, NULL);
		mcp_turn_raw(t, o);
		json_decref(o);
		return 0;
	}
	(void)snprintf(text, sizeof(text), "Hello, %.100s!", name);
	return must_be_task(t) ? job_start(l, t, 200000, JOB_DONE, text) : 0;
}

const char *const executor_task_tools[] = {
	"greet",          "slow_compute", "failing_job",         "protocol_error_job",
	"confirm_delete", "multi_input",  "test_tool_with_task", NULL
};

int executor_task(const char *tool, const json_t *args, struct mcp_turn *t, struct loop *l)
{
	int64_t seconds = json_integer_value(json_object_get(args, "seconds"));
	char text[150];

	if (!strcmp(tool, "greet")) {
		(void)snprintf(text, sizeof(text), "Hello, %.100s!",
			       json_string_value(json_object_get(args, "name")) ?: "");
		say(t, text);
	} else if (!strcmp(tool, "slow_compute") && seconds <= 0) {
		say(t, "computed at once");
	} else if (!strcmp(tool, "slow_compute")) {
		(void)mcp_turn_task(t); /* or the caller waits */
		return job_start(l, t, seconds * 1000000, JOB_DONE, "computed");
	} else if (!strcmp(tool, "failing_job")) {
		return must_be_task(t) ? job_start(l, t, 1000000, JOB_TOOL_ERROR, "") : 0;
	} else if (!strcmp(tool, "protocol_error_job")) {
		return must_be_task(t) ? job_start(l, t, 200000, JOB_PROTOCOL_ERROR, "") : 0;
	} else if (!strcmp(tool, "confirm_delete")) {
		return asks(t, "{\"confirm\":" FORM("confirm", "boolean") "}");
	} else if (!strcmp(tool, "multi_input")) {
		return asks(t, "{\"first\":" FORM("name", "string") ",\"second\":" FORM(
				       "confirm", "boolean") "}");
	} else {
		return asks_then_task(l, t);
	}
	return 0;
}
