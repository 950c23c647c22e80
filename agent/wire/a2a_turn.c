/* SPDX-License-Identifier: Apache-2.0 */
/* One message from its first copy to its answer. Whoever repeats a message that is still being
 * worked on waits beside the first; whoever repeats an answered one gets the kept answer. */
#include "a2a_i.h"

#include "agent/codec/json_out.h"

#include <errno.h>
#include <stdio.h>

static const char internal[] = "{\"code\":-32603,\"message\":\"internal error\"}";

/* --- the turn -----------------------------------------------------------------------------------
 */

static void turn_free(struct a2a_turn *t)
{
	json_decref(t->metadata);
	free(t->push);
	for (size_t i = 0; i < t->nwaiters; i++)
		json_decref(t->waiters[i].id);
	free(t);
}

static void turn_unlink(struct a2a_turn *t)
{
	LIST_REMOVE(t, entry);
	t->s->nturns--;
	t->share->n_turns--;
	a2a_share_done(t->share);
	if (t->task)
		t->task->turn = NULL;
	if (t->seen)
		t->seen->turn = NULL;
	t->task = NULL;
	t->seen = NULL;
	t->share = NULL;
	t->s = NULL;
}

/* Takes the waiters out first: an answer may lead back here. */
static void answer_waiters(struct a2a_turn *t, bool is_error, const char *value)
{
	size_t n = t->nwaiters;

	t->nwaiters = 0;
	for (size_t i = 0; i < n; i++) {
		if (t->waiters[i].stream && !is_error)
			a2a_stream_once(t->s, &t->waiters[i], value);
		else
			a2a_answer_text(t->s, &t->waiters[i], is_error, value);
		json_decref(t->waiters[i].id);
	}
}

/* The turn has a task and something is about to happen to it: whoever wants events gets them from
 * here on. */
static void open_streams(struct a2a_turn *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->nwaiters; i++) {
		struct a2a_to to = t->waiters[i];

		if (!to.stream) {
			t->waiters[kept++] = to;
			continue;
		}
		(void)a2a_stream_open(t->s, &to, t->task, t, t->share->owner);
		json_decref(to.id);
	}
	t->nwaiters = kept;
}

/* Takes value, the text of a result or an error; NULL is an internal error, which a repeated
 * message may overcome: not kept. */
static void turn_end(struct a2a_turn *t, bool is_error, char *value)
{
	struct a2a_server *s = t->s;
	bool in_call = t->in_call;

	if (s) {
		bool keep = value != NULL && t->seen;

		if (!value) {
			is_error = true;
			value = strdup(internal);
		}
		if (t->task)
			a2a_streams_end(t->task, t, is_error ? value : NULL);
		answer_waiters(t, is_error, value);
		if (keep) {
			t->seen->is_error = is_error;
			t->seen->answer = TAKE_PTR(value);
		} else if (t->seen) {
			a2a_seen_free(s, t->seen);
		}
		turn_unlink(t);
	}
	free(value);
	t->ended = true;
	if (!in_call)
		turn_free(t);
}

/* Steals value. */
static void turn_end_json(struct a2a_turn *t, bool is_error, json_t *value)
{
	char *text = t->s ? json_text_new(value) : NULL;

	json_decref(value);
	turn_end(t, is_error, text);
}

void a2a_turns_abandon(struct a2a_server *s)
{
	static const struct wire_response gone = { .status = 503 };
	struct a2a_turn *t;

	while ((t = LIST_FIRST(&s->turns))) {
		for (size_t i = 0; i < t->nwaiters; i++) {
			t->waiters[i].sink.fn(t->waiters[i].sink.to, &gone);
			json_decref(t->waiters[i].id);
		}
		t->nwaiters = 0;
		turn_unlink(t);
	}
}

static int refuse(const struct a2a_call *c, int code, const char *text)
{
	a2a_answer(c->s, &c->to, true, a2a_error_new(code, text, NULL));
	return -1;
}

/* Finds the task a message continues and checks that it may. *ret NULL: a new matter. */
static int task_for(struct a2a_task **ret, const struct a2a_server *s, const char *owner,
		    const struct a2a_message *m, const char **why)
{
	struct a2a_task *t;

	if (!m->task_id[0])
		return 0;
	t = a2a_task_find(s, m->task_id, owner);
	*why = "no such task";
	if (!t)
		return A2A_E_TASK_NOT_FOUND;
	*why = "contextId: not the task's";
	if (m->context_id[0] && strcmp(m->context_id, t->context))
		return A2A_E_PARAMS;
	*why = "the task is finished; begin another in its context";
	if (a2a_state_terminal(t->state))
		return A2A_E_UNSUPPORTED;
	*why = "an earlier message of the task is still being answered";
	if (t->turn)
		return A2A_E_UNSUPPORTED;
	*ret = t;
	return 0;
}

static struct a2a_turn *turn_new(struct a2a_server *s, const struct peer *peer,
				 const struct a2a_params *p, struct a2a_task *task,
				 struct a2a_seen *seen)
{
	struct a2a_turn *t = calloc(1, sizeof(*t));
	char fresh[RPC_ID_MAX] = "";
	const char *ctx = task ? task->context : p->m.context_id;

	if (!t)
		return NULL;
	t->s = s;
	t->peer = *peer;
	if (!*ctx && !rpc_random_id(fresh))
		ctx = fresh;
	if (!*ctx || !str_set(t->context, ctx) || !str_set(t->task_id, p->m.task_id)) {
		free(t);
		return NULL;
	}
	t->task = task;
	t->seen = seen;
	t->share = seen->share;
	seen->turn = t;
	if (task)
		task->turn = t;
	LIST_INSERT_HEAD(&s->turns, t, entry);
	s->nturns++;
	t->share->n_turns++;
	return t;
}

static int wait_for(struct a2a_turn *t, const struct a2a_to *to)
{
	if (t->nwaiters == A2A_WAITERS_MAX)
		return -ENOSPC;
	t->waiters[t->nwaiters] = *to;
	json_incref(to->id);
	t->nwaiters++;
	return 0;
}

/* A message we know. 0: it is answered or waits. */
static int repeated(const struct a2a_call *c, struct a2a_seen *n, bool return_now,
		    const uint8_t print[JSON_PRINT_LEN])
{
	auto_free char *text = NULL;

	if (memcmp(n->print, print, JSON_PRINT_LEN))
		return refuse(c, A2A_E_PARAMS, "messageId: already used with another content");
	if (n->answer && c->to.stream && !n->is_error) {
		a2a_stream_once(c->s, &c->to, n->answer);
		return 0;
	}
	if (n->answer) {
		a2a_answer_text(c->s, &c->to, n->is_error, n->answer);
		return 0;
	}
	if (n->turn && return_now && !c->to.stream && a2a_turn_task_id(n->turn))
		text = a2a_task_text(n->turn->task, false);
	if (text) {
		a2a_answer_text(c->s, &c->to, false, text);
		return 0;
	}
	if (!n->turn || wait_for(n->turn, &c->to))
		return refuse(c, A2A_E_INTERNAL, "too many wait for this message");
	return 0;
}

static void run(struct a2a_turn *t, const struct a2a_params *p)
{
	struct a2a_server *s = t->s;
	struct a2a_message m = p->m;
	int r;

	m.task_id = t->task_id;
	m.context_id = t->context;
	t->in_call = true;
	r = s->app.on_message(s->app.arg, &t->peer, &m, t);
	t->in_call = false;
	if (t->ended) {
		turn_free(t);
	} else if (r < 0) {
		turn_end(t, true, NULL);
	} else if (p->return_now && t->s) {
		auto_free char *text = a2a_turn_task_id(t) ? a2a_task_text(t->task, false) : NULL;

		if (text)
			answer_waiters(t, false, text);
	}
}

/* A new turn with its record, or NULL and refused. */
static struct a2a_turn *turn_make(struct a2a_call *c, const struct a2a_params *p,
				  const uint8_t print[JSON_PRINT_LEN])
{
	const char *why = "internal error";
	struct a2a_task *task = NULL;
	struct a2a_seen *n;
	struct a2a_turn *t;
	int code = task_for(&task, c->s, c->owner, &p->m, &why);

	if (!code && a2a_limited(c))
		return NULL;
	n = code ? NULL : a2a_seen_new(c->s, c->owner, p->m.message_id, print);
	t = n ? turn_new(c->s, c->r->peer, p, task, n) : NULL;
	if (!t) {
		if (n)
			a2a_seen_free(c->s, n);
		(void)refuse(c, code ? code : A2A_E_INTERNAL, why);
	}
	return t;
}

void a2a_turn_begin(struct a2a_call *c, struct a2a_params *p, struct a2a_push_cfg *push)
{
	struct a2a_turn *t = NULL;
	struct a2a_seen *n;
	uint8_t print[JSON_PRINT_LEN];

	if (json_fingerprint(p->raw, c->s->key, print)) {
		(void)refuse(c, A2A_E_INTERNAL, "internal error");
	} else {
		n = a2a_seen_find(c->s, c->owner, p->m.message_id);
		if (n)
			(void)repeated(c, n, p->return_now, print);
		else
			t = turn_make(c, p, print);
	}
	if (!t) {
		free(push);
		return;
	}
	t->push = push;
	(void)wait_for(t, &c->to);
	run(t, p);
}

/* --- what the application does with it ----------------------------------------------------------
 */

/* What the message brought along for its task. */
static void adopt_push(struct a2a_turn *t)
{
	if (!t->push)
		return;
	if (a2a_push_add(t->task, t->push))
		free(t->push);
	t->push = NULL;
}

const char *a2a_turn_task_id(struct a2a_turn *t)
{
	if (!t->s)
		return NULL;
	if (!t->task) {
		if (t->task_id[0])
			return NULL; /* it was there and is gone */
		if (a2a_task_new(&t->task, t->s, t->share->owner, t->context))
			return NULL;
		t->task->turn = t;
		memcpy(t->task_id, t->task->id, sizeof(t->task_id));
	}
	adopt_push(t);
	open_streams(t);
	return t->task->id;
}

const char *a2a_turn_context_id(const struct a2a_turn *t)
{
	return t->context;
}

const struct peer *a2a_turn_peer(const struct a2a_turn *t)
{
	return &t->peer;
}

void a2a_turn_brief(struct a2a_turn *t)
{
	for (size_t i = 0; t->task && i < t->task->n_made; i++)
		t->task->made[i].fresh = false;
	t->brief = true;
}

static void tell_artifact(struct a2a_turn *t, const char *text, bool append, bool last)
{
	struct a2a_task *task = t->task;
	json_t *ev;

	if (LIST_EMPTY(&task->subs) && !task->npushes)
		return;
	ev = json_pack("{s:s, s:s, s:o}", "taskId", task->id, "contextId", task->context,
		       "artifact", json_loads(text, JSON_ALLOW_NUL, NULL));
	if (ev && append)
		(void)json_object_set_new(ev, "append", json_true());
	if (ev && last)
		(void)json_object_set_new(ev, "lastChunk", json_true());
	a2a_event(t->s, task, "artifactUpdate", ev);
}

/* An Artifact object: parts is its list's text. */
static char *artifact_text(const char *id, const char *name, const char *parts)
{
	struct json_out o = { 0 };

	json_out_lit(&o, "{\"artifactId\":");
	json_out_str(&o, id, strlen(id));
	if (name) {
		json_out_lit(&o, ",\"name\":");
		json_out_str(&o, name, strlen(name));
	}
	json_out_lit(&o, ",\"parts\":");
	json_out_text(&o, parts);
	json_out_lit(&o, "}");
	return json_out_take(&o, NULL);
}

/* Steals piece: the artifact as it goes out. */
static int artifact_add(struct a2a_turn *t, const char *id, const char *name, char *piece,
			bool last)
{
	int r = a2a_made_put(t->task, id, name, piece, t->brief);

	if (!r)
		tell_artifact(t, a2a_made_by_id(t->task, id)->text, false, last);
	return r;
}

int a2a_turn_artifact_parts(struct a2a_turn *t, const char *id, const char *name,
			    const json_t *parts, bool append, bool last)
{
	auto_free char *list = json_text_new(parts), *piece = NULL;
	int r;

	if (!a2a_turn_task_id(t))
		return t->s ? -ENOSPC : -EPIPE;
	piece = list ? artifact_text(id, name, list) : NULL;
	if (!piece)
		return -ENOMEM;
	if (!append)
		return artifact_add(t, id, name, TAKE_PTR(piece), last);
	r = a2a_made_extend(t->task, id, parts, t->brief);
	if (!r)
		tell_artifact(t, piece, true, last);
	return r;
}

int a2a_turn_artifact_text(struct a2a_turn *t, const char *name, const char *data)
{
	const struct a2a_made *was;
	struct json_out o = { 0 };
	auto_free char *list = NULL;
	char id[32];

	if (!a2a_turn_task_id(t))
		return t->s ? -ENOSPC : -EPIPE;
	was = a2a_made_by_name(t->task, name);
	(void)snprintf(id, sizeof(id), "artifact-%zu",
		       (was ? (size_t)(was - t->task->made) : t->task->n_made) + 1);
	json_out_lit(&o, "[{\"data\":");
	json_out_text(&o, data);
	json_out_lit(&o, ",\"mediaType\":\"application/json\"}]");
	list = json_out_take(&o, NULL);
	return list ? artifact_add(t, id, name, artifact_text(id, name, list), true) : -ENOMEM;
}

int a2a_turn_artifact(struct a2a_turn *t, const char *name, const json_t *data)
{
	auto_free char *text = NULL;

	if (!a2a_turn_task_id(t))
		return t->s ? -ENOSPC : -EPIPE;
	text = json_text_new(data);
	return text ? a2a_turn_artifact_text(t, name, text) : -ENOMEM;
}

int a2a_turn_metadata(struct a2a_turn *t, const json_t *metadata)
{
	json_t *copy = json_deep_copy(metadata);

	if (!json_is_object(copy)) {
		json_decref(copy);
		return -EINVAL;
	}
	if (t->metadata && json_object_update_missing(copy, t->metadata)) {
		json_decref(copy);
		return -ENOMEM;
	}
	json_decref(t->metadata);
	t->metadata = copy;
	return 0;
}

int a2a_turn_state(struct a2a_turn *t, enum a2a_state s)
{
	if (s != A2A_SUBMITTED && s != A2A_WORKING)
		return -EINVAL;
	if (!a2a_turn_task_id(t))
		return t->s ? -ENOSPC : -EPIPE;
	return a2a_task_move(t->s, t->task, s, NULL);
}

void a2a_turn_task_parts(struct a2a_turn *t, enum a2a_state s, const json_t *parts)
{
	char *text = NULL;

	if (s > A2A_WORKING && s < A2A_STATE_MAX_ && a2a_turn_task_id(t)) {
		if (t->metadata) {
			json_decref(t->task->metadata);
			t->task->metadata = TAKE_PTR(t->metadata);
		}
		if (!a2a_task_move(t->s, t->task, s, parts))
			text = a2a_task_text(t->task, t->brief);
	}
	turn_end(t, false, text);
}

void a2a_turn_task(struct a2a_turn *t, enum a2a_state s, const json_t *data)
{
	json_t *parts = data ? a2a_data_parts(data, false) : NULL;

	if (data && !parts)
		turn_end(t, true, NULL);
	else
		a2a_turn_task_parts(t, s, parts);
	json_decref(parts);
}

/* A message up to its parts, and from there on. */
static void message_open(struct json_out *o)
{
	char id[RPC_ID_MAX];

	o->failed |= rpc_random_id(id) != 0;
	json_out_lit(o, "{\"message\":{\"messageId\":");
	json_out_str(o, id, RPC_ID_MAX - 1);
	json_out_lit(o, ",\"role\":\"ROLE_AGENT\",\"parts\":");
}

static void message_end(struct a2a_turn *t, struct json_out *o)
{
	json_out_lit(o, ",\"contextId\":");
	json_out_str(o, t->context, strlen(t->context));
	if (t->task) {
		json_out_lit(o, ",\"taskId\":");
		json_out_str(o, t->task->id, strlen(t->task->id));
	}
	if (t->metadata) {
		json_out_lit(o, ",\"metadata\":");
		json_out_value(o, t->metadata);
	}
	json_out_lit(o, "}}");
	turn_end(t, false, json_out_take(o, NULL));
}

void a2a_turn_message_parts(struct a2a_turn *t, const json_t *parts)
{
	struct json_out o = { 0 };

	message_open(&o);
	json_out_value(&o, parts);
	message_end(t, &o);
}

/* The one part that a2a_data_parts() would make. */
void a2a_turn_message(struct a2a_turn *t, const json_t *data)
{
	struct json_out o = { 0 };

	message_open(&o);
	json_out_lit(&o, "[{\"data\":");
	json_out_value(&o, data);
	json_out_lit(&o, ",\"mediaType\":\"application/json\"}]");
	message_end(t, &o);
}

void a2a_turn_fail(struct a2a_turn *t, enum a2a_code code, const char *text, const json_t *detail)
{
	turn_end_json(t, true, a2a_error_new(code, text, detail));
}
