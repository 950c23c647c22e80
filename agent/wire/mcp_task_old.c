/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks of 2025-11-25: the caller decides that its call is one, its session hears how it goes,
 * and tasks/result waits for its end. What the task asks is put to who waits there, one question
 * after another. */
#include "mcp_i.h"

#include <errno.h>

#define RELATED_TASK MCP_META "related-task"

json_t *mcp_task_related(json_t *params, const struct mcp_task *x)
{
	json_t *meta = json_object_get(params, "_meta");
	json_t *mine = json_pack("{s:{s:s}}", RELATED_TASK, "taskId", x->id);

	if (!params)
		params = json_object();
	if ((meta && json_object_update_missing(mine, meta)) ||
	    json_object_set(params, "_meta", mine)) {
		json_decref(params);
		params = NULL;
	}
	json_decref(mine);
	return params;
}

/* --- as it is told ------------------------------------------------------------------------------
 */

/* A tool's refusal is a failure here, and its text stays in the result. */
static const char *status(const struct mcp_task *x)
{
	bool refused = x->status == MCP_TASK_COMPLETED &&
		       json_is_true(json_object_get(x->result, "isError"));

	return mcp_task_name(refused ? MCP_TASK_FAILED : x->status);
}

json_t *mcp_task_old_json(const struct mcp_task *x)
{
	char created[RPC_TIME_MAX], updated[RPC_TIME_MAX];

	rpc_time(x->created, created);
	rpc_time(x->updated, updated);
	return json_pack("{s:s, s:s, s:s*, s:s, s:s, s:i, s:i}", "taskId", x->id, "status",
			 status(x), "statusMessage",
			 json_string_value(json_object_get(x->error, "message")), "createdAt",
			 created, "lastUpdatedAt", updated, "ttl", MCP_TASK_TTL_MS, "pollInterval",
			 MCP_TASK_POLL_MS);
}

json_t *mcp_task_old_capability(const struct mcp_server *s)
{
	bool any = false;

	for (size_t i = 0; i < s->cfg.ntools; i++)
		any |= s->cfg.tools[i].tasks;
	return any && s->cfg.now ? json_pack("{s:{}, s:{}, s:{s:{s:{}}}}", "list", "cancel",
					     "requests", "tools", "call")
				 : NULL;
}

bool mcp_task_wanted(struct mcp_req *c, const struct mcp_tool *tool, bool *wanted)
{
	const json_t *task = json_object_get(c->rpc.params, "task");
	const json_t *ttl = json_object_get(task, "ttl");

	*wanted = task && c->s->cfg.now;
	if (!*wanted)
		return true;
	if (!json_is_object(task) || (ttl && !json_is_number(ttl)))
		mcp_fail(c, 200, MCP_E_PARAMS,
			 "task: an object is needed, and in it ttl a number of milliseconds");
	else if (!tool->tasks)
		mcp_fail(c, 200, MCP_E_METHOD, "name: this tool cannot be called as a task");
	else
		return true;
	return false;
}

/* --- who waits ----------------------------------------------------------------------------------
 */

/* Ends the turn with what the call itself would have said. */
static void deliver(struct mcp_turn *w, const struct mcp_task *x)
{
	json_t *r =
		x->status == MCP_TASK_COMPLETED ? mcp_task_related(json_copy(x->result), x) : NULL;

	if (r)
		mcp_turn_raw(w, r);
	else if (x->status == MCP_TASK_CANCELLED)
		mcp_turn_fail(w, MCP_E_REQUEST, "the task was cancelled");
	else
		mcp_turn_fail_data(w, (int)json_integer_value(json_object_get(x->error, "code")),
				   json_string_value(json_object_get(x->error, "message"))
					   ?: "internal error",
				   json_object_get(x->error, "data"));
	json_decref(r);
}

static struct mcp_turn *waiter(const struct mcp_server *s, const struct mcp_task *x)
{
	struct mcp_turn *t;

	LIST_FOREACH(t, &s->turns, entry)
	if (t->awaits == x)
		return t;
	return NULL;
}

static bool asks(const struct mcp_server *s, const struct mcp_task *x)
{
	const struct mcp_turn *t;

	LIST_FOREACH(t, &s->turns, entry)
	if (t->awaits == x && t->asked)
		return true;
	return false;
}

static void on_answer(void *arg, struct mcp_turn *w, const json_t *result);

/* The question that has waited longest; it stays the first until it is answered. */
static const char *question(const struct mcp_task *x)
{
	return x->status == MCP_TASK_INPUT ? json_object_iter_key(json_object_iter(x->requests))
					   : NULL;
}

/* Puts it to one who waits and reads streams; where there is none, to the next that comes. */
static void ask(struct mcp_server *s, struct mcp_task *x)
{
	const char *key = question(x);
	const json_t *q = key ? json_object_get(x->requests, key) : NULL;
	const char *method = json_string_value(json_object_get(q, "method"));
	struct mcp_turn *t;
	json_t *params;

	if (!method || asks(s, x))
		return;
	params = mcp_task_related(json_copy(json_object_get(q, "params")), x);
	LIST_FOREACH(t, &s->turns, entry)
	if (params && t->awaits == x && !mcp_turn_ask(t, method, params, on_answer, NULL))
		break;
	json_decref(params);
}

static void on_answer(void *arg, struct mcp_turn *w, const json_t *result)
{
	struct mcp_server *s = w->s;
	struct mcp_task *x = w->awaits;
	const char *key = question(x);
	json_t *v = result ? json_deep_copy(result) : json_null();
	bool more = json_object_size(x->requests) > 1;

	(void)arg;
	if (key && v)
		mcp_task_answered(s, x, key, v); /* the last may end x, and w with it */
	json_decref(v);
	if (more)
		ask(s, x);
}

void mcp_task_old_moved(struct mcp_server *s, struct mcp_task *x)
{
	struct mcp_turn *w;

	mcp_session_tell(s, x->session, "notifications/tasks/status", mcp_task_old_json(x));
	while (mcp_task_ended(x) && (w = waiter(s, x)))
		deliver(w, x);
	ask(s, x);
}

/* --- the methods --------------------------------------------------------------------------------
 */

/* What it was asked is put to another that waits. */
static void on_left(void *arg)
{
	struct mcp_turn *w = arg;
	struct mcp_server *s = w->s;
	struct mcp_task *x = w->awaits;

	mcp_turn_fail(w, MCP_E_REQUEST, "cancelled");
	ask(s, x);
}

void mcp_do_task_result(struct mcp_req *c)
{
	struct mcp_task *x = mcp_task_find(c);
	struct mcp_turn *w = x ? mcp_turn_new(c) : NULL;

	if (!w)
		return;
	w->awaits = x;
	mcp_turn_watch(w, on_left);
	if (mcp_task_ended(x))
		deliver(w, x);
	else
		ask(c->s, x);
}

void mcp_do_task_list(struct mcp_req *c)
{
	const struct mcp_task *x;
	json_t *list;
	int bad = 0;

	if (!c->s->cfg.now) {
		mcp_fail(c, 200, MCP_E_METHOD, "no such method");
		return;
	}
	if (!mcp_first_page(c))
		return;
	list = json_array();
	TAILQ_FOREACH (x, &c->s->tasks, entry)
		if (x->legacy && !strcmp(x->owner, c->owner))
			bad |= json_array_append_new(list, mcp_task_old_json(x));
	if (bad) {
		json_decref(list);
		list = NULL;
	}
	mcp_succeed(c, list ? json_pack("{s:o}", "tasks", list) : NULL, false);
}
