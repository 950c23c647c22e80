/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: a call that becomes one is answered at once with the task's id; its end, or its question,
 * is kept until its owner asks. Time is looked at when somebody looks; there is no timer. Here is
 * what both revisions share, and the extension of 2026-07-28 (SEP-2663), where the application
 * decides what becomes a task. */
#include "mcp_i.h"

#include <errno.h>

#define TASKS_EXTENSION MCP_META "tasks"

enum { TASKS_MAX = 256, TASKS_PER_PEER = 64 };

static const char *const names[] = { [MCP_TASK_WORKING] = "working",
				     [MCP_TASK_INPUT] = "input_required",
				     [MCP_TASK_COMPLETED] = "completed",
				     [MCP_TASK_FAILED] = "failed",
				     [MCP_TASK_CANCELLED] = "cancelled" };

static bool declared(const json_t *capabilities)
{
	return json_is_object(
		json_object_get(json_object_get(capabilities, "extensions"), TASKS_EXTENSION));
}

bool mcp_task_ended(const struct mcp_task *x)
{
	return x->status >= MCP_TASK_COMPLETED;
}

const char *mcp_task_name(enum mcp_task_status st)
{
	return names[st];
}

static wall_t now(const struct mcp_server *s)
{
	return s->cfg.now(s->cfg.now_arg);
}

static json_t *task_json(const struct mcp_task *x, const char *type);

static bool hears_of(const struct mcp_listener *l, const struct mcp_task *x)
{
	const json_t *id;
	size_t i;

	if (strcmp(l->owner, x->owner) != 0)
		return false;
	json_array_foreach (l->tasks, i, id)
		if (!strcmp(json_string_value(id), x->id))
			return true;
	return false;
}

/* The whole task, as tasks/get would show it now. */
static void tell(struct mcp_server *s, const struct mcp_task *x)
{
	struct mcp_listener *l, *next;

	for (l = LIST_FIRST(&s->listeners); l; l = next) {
		next = LIST_NEXT(l, entry);
		if (hears_of(l, x) &&
		    mcp_listener_tell(l, "notifications/tasks", task_json(x, NULL)))
			mcp_listener_free(l);
	}
}

static void move(struct mcp_server *s, struct mcp_task *x, enum mcp_task_status st)
{
	x->status = st;
	x->updated = now(s);
	if (x->legacy)
		mcp_task_old_moved(s, x);
	else
		tell(s, x);
}

static void task_free(struct mcp_server *s, struct mcp_task *x)
{
	TAILQ_REMOVE(&s->tasks, x, entry);
	s->ntasks--;
	if (x->turn)
		x->turn->task = NULL;
	json_decref(x->result);
	json_decref(x->error);
	json_decref(x->requests);
	json_decref(x->responses);
	free(x);
}

void mcp_tasks_free(struct mcp_server *s)
{
	while (!TAILQ_EMPTY(&s->tasks))
		task_free(s, TAILQ_FIRST(&s->tasks));
}

/* What ended long ago goes; then what ended first, of this owner or of all. */
static bool make_room(struct mcp_server *s, const char *owner)
{
	struct mcp_task *x, *next, *mine = NULL, *any = NULL;
	size_t n = 0;

	for (x = TAILQ_FIRST(&s->tasks); x; x = next) {
		next = TAILQ_NEXT(x, entry);
		if (mcp_task_ended(x) && now(s).ms - x->created.ms > MCP_TASK_TTL_MS)
			task_free(s, x);
	}
	TAILQ_FOREACH (x, &s->tasks, entry) {
		bool own = !strcmp(x->owner, owner);

		n += own;
		if (mcp_task_ended(x) && own && !mine)
			mine = x;
		if (mcp_task_ended(x) && !any)
			any = x;
	}
	x = n >= TASKS_PER_PEER ? mine : any;
	if (n < TASKS_PER_PEER && s->ntasks < TASKS_MAX)
		return true;
	if (x)
		task_free(s, x);
	return x != NULL;
}

/* --- as it is told ------------------------------------------------------------------------------
 */

/* type NULL: in a notification, which has none. */
static json_t *task_json(const struct mcp_task *x, const char *type)
{
	char created[RPC_TIME_MAX], updated[RPC_TIME_MAX];

	rpc_time(x->created, created);
	rpc_time(x->updated, updated);
	return json_pack("{s:s*, s:s, s:s, s:s, s:s, s:i, s:i, s:O*, s:O*, s:O*}", "resultType",
			 type, "taskId", x->id, "status", names[x->status], "createdAt", created,
			 "lastUpdatedAt", updated, "ttlMs", MCP_TASK_TTL_MS, "pollIntervalMs",
			 MCP_TASK_POLL_MS, "result",
			 x->status == MCP_TASK_COMPLETED ? x->result : NULL, "error", x->error,
			 "inputRequests", x->status == MCP_TASK_INPUT ? x->requests : NULL);
}

/* --- the application's side --------------------------------------------------------------------
 */

/* In the older revision who calls decides (mcp_task_wanted() saw to it), in the newer who answers.
 */
static bool may_be_task(const struct mcp_turn *t)
{
	return t->legacy ? json_is_object(json_object_get(t->params, "task"))
			 : declared(t->capabilities);
}

int mcp_turn_task(struct mcp_turn *t)
{
	struct mcp_server *s = t->s;
	struct mcp_task *x;
	json_t *told;

	if (t->task)
		return 0;
	if (!s || !s->cfg.now || t->lost || t->uri[0] || !may_be_task(t))
		return -EOPNOTSUPP;
	x = make_room(s, t->owner) ? calloc(1, sizeof(*x)) : NULL;
	if (!x || rpc_random_id(x->id)) {
		free(x);
		return -ENOSPC;
	}
	memcpy(x->owner, t->owner, sizeof(x->owner));
	memcpy(x->session, t->session, sizeof(x->session));
	x->legacy = t->legacy;
	x->created = x->updated = now(s);
	x->turn = t;
	TAILQ_INSERT_TAIL(&s->tasks, x, entry);
	s->ntasks++;
	told = x->legacy ? json_pack("{s:o}", "task", mcp_task_old_json(x)) : task_json(x, "task");
	mcp_turn_answer(t, 200, rpc_result_new(t->id, mcp_complete(s, x->legacy, told, false)));
	t->task = x;
	return 0;
}

int mcp_turn_task_ask(struct mcp_turn *t, const json_t *requests,
		      void (*answer)(void *arg, struct mcp_turn *t, const json_t *responses),
		      void *arg)
{
	struct mcp_task *x = t->task;

	if (!t->s || !x || x->status != MCP_TASK_WORKING || !json_object_size(requests))
		return -EINVAL;
	json_decref(x->requests);
	json_decref(x->responses);
	x->requests = json_deep_copy(requests);
	x->responses = json_object();
	if (!x->requests || !x->responses)
		return -ENOMEM;
	x->answer = answer;
	x->answer_arg = arg;
	move(t->s, x, MCP_TASK_INPUT);
	return 0;
}

/* text is the answer that the call would have had. */
void mcp_task_done(struct mcp_turn *t, const char *text)
{
	struct mcp_task *x = t->task;
	json_t *root = text ? json_loads(text, 0, NULL) : NULL;

	t->task = NULL;
	x->turn = NULL;
	if (!mcp_task_ended(x)) {
		x->result = json_incref(json_object_get(root, "result"));
		x->error = x->result ? NULL : json_incref(json_object_get(root, "error"));
		if (!x->result && !x->error)
			x->error = json_pack("{s:i, s:s}", "code", MCP_E_INTERNAL, "message",
					     "internal error");
		move(t->s, x, x->result ? MCP_TASK_COMPLETED : MCP_TASK_FAILED);
	}
	json_decref(root);
}

/* --- the methods --------------------------------------------------------------------------------
 */

bool mcp_task_declared(struct mcp_req *c)
{
	if (declared(json_object_get(c->meta, MCP_META "clientCapabilities")))
		return true;
	mcp_send(c->sink, 400,
		 rpc_error_new(c->rpc.id, MCP_E_CAPABILITY,
			       "the client must declare the tasks extension",
			       json_pack("{s:{s:{s:{}}}}", "requiredCapabilities", "extensions",
					 TASKS_EXTENSION)));
	return false;
}

json_t *mcp_task_listened(const struct mcp_server *s, const char *owner, const json_t *want)
{
	const struct mcp_task *x;
	json_t *ids = json_array();
	const json_t *v;
	size_t i;

	json_array_foreach (want, i, v) {
		const char *id = json_string_value(v);

		TAILQ_FOREACH (x, &s->tasks, entry)
			if (id && !x->legacy && !strcmp(x->id, id) && !strcmp(x->owner, owner))
				break;
		if (x && json_array_size(ids) < TASKS_PER_PEER)
			(void)json_array_append_new(ids, json_string(id));
	}
	if (json_array_size(ids))
		return ids;
	json_decref(ids);
	return NULL;
}

void mcp_task_catch_up(struct mcp_server *s, struct mcp_listener *l)
{
	const struct mcp_task *x;

	TAILQ_FOREACH (x, &s->tasks, entry)
		if (x->status != MCP_TASK_WORKING && hears_of(l, x) &&
		    mcp_listener_tell(l, "notifications/tasks", task_json(x, NULL))) {
			mcp_listener_free(l);
			return;
		}
}

/* Another's task is none. */
struct mcp_task *mcp_task_find(struct mcp_req *c)
{
	const char *id = json_string_value(json_object_get(c->rpc.params, "taskId"));
	struct mcp_task *x;

	if (!c->s->cfg.now) {
		mcp_fail(c, c->legacy ? 200 : 404, MCP_E_METHOD, "no such method");
		return NULL;
	}
	if (!c->legacy && !mcp_task_declared(c))
		return NULL;
	TAILQ_FOREACH (x, &c->s->tasks, entry)
		if (id && x->legacy == c->legacy && !strcmp(x->id, id) &&
		    !strcmp(x->owner, c->owner))
			return x;
	mcp_fail(c, 200, MCP_E_PARAMS, "taskId: no such task");
	return NULL;
}

void mcp_do_task_get(struct mcp_req *c)
{
	struct mcp_task *x = mcp_task_find(c);

	if (x)
		mcp_succeed(c, c->legacy ? mcp_task_old_json(x) : task_json(x, "complete"), false);
}

/* What ended is cancelled no more: the newer revision does not mind, the older one says so. */
void mcp_do_task_cancel(struct mcp_req *c)
{
	struct mcp_task *x = mcp_task_find(c);
	json_t *told;

	if (!x)
		return;
	if (c->legacy && mcp_task_ended(x)) {
		mcp_fail(c, 200, MCP_E_PARAMS, "taskId: the task has ended");
		return;
	}
	if (!mcp_task_ended(x)) {
		move(c->s, x, MCP_TASK_CANCELLED);
		if (x->turn)
			mcp_turn_cancel(x->turn);
	}
	told = c->legacy ? mcp_task_old_json(x) : json_object();
	mcp_succeed(c, told, false);
}

/* The first answer to a question counts; others are nothing. */
void mcp_task_answered(struct mcp_server *s, struct mcp_task *x, const char *key, json_t *v)
{
	json_t *responses;

	if (x->status != MCP_TASK_INPUT || !json_object_get(x->requests, key) ||
	    json_object_set(x->responses, key, v))
		return;
	(void)json_object_del(x->requests, key);
	if (json_object_size(x->requests) || !x->turn)
		return;
	move(s, x, MCP_TASK_WORKING);
	responses = json_incref(x->responses);
	x->answer(x->answer_arg, x->turn, responses); /* may end it */
	json_decref(responses);
}

void mcp_do_task_update(struct mcp_req *c)
{
	const json_t *got = json_object_get(c->rpc.params, "inputResponses");
	struct mcp_task *x = mcp_task_find(c);
	const char *key;
	json_t *v;

	if (!x)
		return;
	if (!json_is_object(got)) {
		mcp_fail(c, 200, MCP_E_PARAMS, "inputResponses: an object is needed");
		return;
	}
	json_object_foreach ((json_t *)(uintptr_t)got, key, v)
		mcp_task_answered(c->s, x, key, v);
	mcp_succeed(c, json_object(), false);
}

json_t *mcp_task_extension(void)
{
	return json_pack("{s:{}}", TASKS_EXTENSION);
}
