/* SPDX-License-Identifier: Apache-2.0 */
/* One message from its first copy to its answer. Whoever repeats a message that is still being
 * worked on waits beside the first; whoever repeats an answered one gets the kept answer. */
#include "a2a_i.h"

#include <errno.h>
#include <stdio.h>

static const char internal[] = "{\"code\":-32603,\"message\":\"internal error\"}";

/* --- the turn -----------------------------------------------------------------------------------
 */

static void turn_free(struct a2a_turn *t)
{
	json_decref(t->metadata);
	json_decref(t->fresh);
	free(t->push);
	for (size_t i = 0; i < t->nwaiters; i++)
		json_decref(t->waiters[i].id);
	free(t);
}

static void turn_unlink(struct a2a_turn *t)
{
	LIST_REMOVE(t, entry);
	t->s->nturns--;
	if (t->task)
		t->task->turn = NULL;
	if (t->seen)
		t->seen->turn = NULL;
	t->task = NULL;
	t->seen = NULL;
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
	char owner[WIRE_DID_MAX];
	size_t kept = 0;

	wire_owner(&t->peer, owner);
	for (size_t i = 0; i < t->nwaiters; i++) {
		struct a2a_to to = t->waiters[i];

		if (!to.stream) {
			t->waiters[kept++] = to;
			continue;
		}
		(void)a2a_stream_open(t->s, &to, t->task, t, owner);
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
	seen->turn = t;
	if (task)
		task->turn = t;
	LIST_INSERT_HEAD(&s->turns, t, entry);
	s->nturns++;
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
static int repeated(const struct a2a_call *c, struct a2a_seen *n,
		    const uint8_t print[JSON_PRINT_LEN])
{
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
		json_t *task = a2a_turn_task_id(t) ? a2a_task_json(t->task, true) : NULL;
		auto_free char *text = NULL;

		if (task)
			task = json_pack("{s:o}", "task", task);
		text = json_text_new(task);
		json_decref(task);
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
			(void)repeated(c, n, print);
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
	char owner[WIRE_DID_MAX];

	if (!t->s)
		return NULL;
	if (!t->task) {
		if (t->task_id[0])
			return NULL; /* it was there and is gone */
		wire_owner(&t->peer, owner);
		if (a2a_task_new(&t->task, t->s, owner, t->context))
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

/* key: "artifactId" or "name", which not every artifact has. */
static int find_artifact(const json_t *list, const char *key, const char *value, size_t *ret)
{
	size_t i;
	json_t *a;

	json_array_foreach (list, i, a) {
		const char *has = json_string_value(json_object_get(a, key));

		if (has && !strcmp(has, value)) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

/* Kept answers share the old object, so a longer one takes its place. */
static int artifact_extend(json_t *list, const char *id, const json_t *parts)
{
	json_t *longer;
	size_t i;
	int r = find_artifact(list, "artifactId", id, &i);

	if (r)
		return r;
	longer = json_deep_copy(json_array_get(list, i));
	if (!longer ||
	    json_array_extend(json_object_get(longer, "parts"), (json_t *)(uintptr_t)parts)) {
		json_decref(longer);
		return -ENOMEM;
	}
	return json_array_set_new(list, i, longer) ? -ENOMEM : 0;
}

int a2a_turn_brief(struct a2a_turn *t)
{
	if (!t->fresh)
		t->fresh = json_array();
	return t->fresh ? 0 : -ENOMEM;
}

/* The artifact of that id as the task holds it now. */
static int artifact_fresh(struct a2a_turn *t, const char *id)
{
	size_t i, at;
	int r = find_artifact(t->task->artifacts, "artifactId", id, &i);

	if (r || !find_artifact(t->fresh, "artifactId", id, &at))
		return r ? r : json_array_set(t->fresh, at, json_array_get(t->task->artifacts, i));
	return json_array_append(t->fresh, json_array_get(t->task->artifacts, i));
}

/* Steals artifact: the piece as it goes out. */
static int artifact_add(struct a2a_turn *t, json_t *piece, const char *id, bool append, bool last)
{
	struct a2a_task *task = t->task;
	size_t i;
	int r;

	if (!piece)
		return -ENOMEM;
	if (append)
		r = artifact_extend(task->artifacts, id, json_object_get(piece, "parts"));
	else if (!find_artifact(task->artifacts, "artifactId", id, &i))
		r = json_array_set(task->artifacts, i, piece) ? -ENOMEM : 0;
	else if (json_array_size(task->artifacts) >= A2A_ARTIFACTS_MAX)
		r = -ENOSPC;
	else
		r = json_array_append(task->artifacts, piece) ? -ENOMEM : 0;
	if (!r && (!LIST_EMPTY(&task->subs) || task->npushes)) {
		json_t *ev = json_pack("{s:s, s:s, s:O}", "taskId", task->id, "contextId",
				       task->context, "artifact", piece);

		if (ev && append)
			(void)json_object_set_new(ev, "append", json_true());
		if (ev && last)
			(void)json_object_set_new(ev, "lastChunk", json_true());
		a2a_event(t->s, task, "artifactUpdate", ev);
	}
	json_decref(piece);
	if (!r && t->fresh && artifact_fresh(t, id))
		r = -ENOMEM;
	return r;
}

int a2a_turn_artifact_parts(struct a2a_turn *t, const char *id, const char *name,
			    const json_t *parts, bool append, bool last)
{
	if (!a2a_turn_task_id(t))
		return t->s ? -ENOSPC : -EPIPE;
	return artifact_add(t,
			    json_pack("{s:s, s:s*, s:o}", "artifactId", id, "name", name, "parts",
				      json_deep_copy(parts)),
			    id, append, last);
}

int a2a_turn_artifact(struct a2a_turn *t, const char *name, const json_t *data)
{
	char id[32];
	json_t *parts;
	size_t i;

	if (!a2a_turn_task_id(t))
		return t->s ? -ENOSPC : -EPIPE;
	if (find_artifact(t->task->artifacts, "name", name, &i))
		i = json_array_size(t->task->artifacts);
	(void)snprintf(id, sizeof(id), "artifact-%zu", i + 1);
	parts = a2a_data_parts(data, false);
	return artifact_add(
		t,
		parts ? json_pack("{s:s, s:s, s:o}", "artifactId", id, "name", name, "parts", parts)
		      : NULL,
		id, false, true);
}

int a2a_turn_metadata(struct a2a_turn *t, const json_t *metadata)
{
	json_t *copy = json_deep_copy(metadata);

	if (!json_is_object(copy)) {
		json_decref(copy);
		return -EINVAL;
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
	json_t *task = NULL;

	if (s > A2A_WORKING && s < A2A_STATE_MAX_ && a2a_turn_task_id(t)) {
		if (t->metadata) {
			json_decref(t->task->metadata);
			t->task->metadata = TAKE_PTR(t->metadata);
		}
		if (!a2a_task_move(t->s, t->task, s, parts))
			task = a2a_task_json(t->task, !t->fresh);
	}
	if (task && json_array_size(t->fresh) && json_object_set(task, "artifacts", t->fresh)) {
		json_decref(task);
		task = NULL;
	}
	turn_end_json(t, false, task ? json_pack("{s:o}", "task", task) : NULL);
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
