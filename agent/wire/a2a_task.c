/* SPDX-License-Identifier: Apache-2.0 */
/* The task store. A task belongs to the peer that began it, and to everyone else it does not exist.
 * When the store or a peer's share is full, the task that has been terminal longest makes room. */
#include "a2a_i.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

uint32_t a2a_hash(const char *id)
{
	uint32_t h = 2166136261u;

	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return h % A2A_BUCKETS;
}

struct a2a_task *a2a_task_find(const struct a2a_server *s, const char *id, const char *owner)
{
	struct a2a_task *t;

	LIST_FOREACH(t, &s->buckets[a2a_hash(id)], bucket)
	if (!strcmp(t->id, id))
		return !owner || !strcmp(t->share->owner, owner) ? t : NULL;
	return NULL;
}

void a2a_task_free(struct a2a_server *s, struct a2a_task *t)
{
	TAILQ_REMOVE(&s->tasks, t, entry);
	TAILQ_REMOVE(&t->share->tasks, t, own);
	LIST_REMOVE(t, bucket);
	s->ntasks--;
	t->share->n_tasks--;
	a2a_share_done(t->share);
	if (t->turn)
		t->turn->task = NULL;
	a2a_made_free(t);
	json_decref(t->metadata);
	json_decref(t->status_parts);
	a2a_streams_end(t, NULL, NULL);
	a2a_push_clear(t);
	free(t);
}

/* Tasks end about as they began: the search ends at the first or soon behind it. */
static int make_room(struct a2a_server *s, const char *owner)
{
	const struct a2a_share *h = a2a_share_find(s, owner);
	struct a2a_task *t;

	if (h && h->n_tasks >= s->cfg.max_tasks_per_peer) {
		TAILQ_FOREACH_REVERSE(t, &h->tasks, a2a_own_head, own)
		if (a2a_state_terminal(t->state))
			break;
	} else if (s->ntasks >= s->cfg.max_tasks) {
		TAILQ_FOREACH_REVERSE(t, &s->tasks, a2a_tasks_head, entry)
		if (a2a_state_terminal(t->state))
			break;
	} else {
		return 0;
	}
	if (!t)
		return -ENOSPC;
	a2a_task_free(s, t);
	return 0;
}

static void touch(struct a2a_server *s, struct a2a_task *t)
{
	t->order = ++s->order;
	t->at = s->cfg.now(s->cfg.now_arg);
}

int a2a_task_new(struct a2a_task **ret, struct a2a_server *s, const char *owner,
		 const char *context)
{
	struct a2a_task *t;
	int r = make_room(s, owner);

	if (r)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	if (rpc_random_id(t->id) || !str_set(t->context, context) ||
	    !(t->share = a2a_share_get(s, owner))) {
		free(t);
		return -ENOMEM;
	}
	t->state = A2A_SUBMITTED;
	LIST_INIT(&t->subs);
	TAILQ_INIT(&t->pushes);
	touch(s, t);
	TAILQ_INSERT_HEAD(&s->tasks, t, entry);
	TAILQ_INSERT_HEAD(&t->share->tasks, t, own);
	t->share->n_tasks++;
	LIST_INSERT_HEAD(&s->buckets[a2a_hash(t->id)], t, bucket);
	s->ntasks++;
	*ret = t;
	return 0;
}

static void tell(struct a2a_server *s, struct a2a_task *t)
{
	if (!LIST_EMPTY(&t->subs) || t->npushes)
		a2a_event(s, t, "statusUpdate",
			  json_pack("{s:s, s:s, s:o*, s:O*}", "taskId", t->id, "contextId",
				    t->context, "status", a2a_status_json(t), "metadata",
				    t->metadata));
	if (a2a_state_terminal(t->state))
		a2a_streams_end(t, NULL, NULL);
}

/* The one writer of state. */
int a2a_task_move(struct a2a_server *s, struct a2a_task *t, enum a2a_state st, const json_t *parts)
{
	json_t *copy = parts ? json_deep_copy(parts) : NULL;

	if (a2a_state_terminal(t->state)) {
		json_decref(copy);
		return -EPERM;
	}
	if (parts && !copy)
		return -ENOMEM;
	json_decref(t->status_parts);
	t->status_parts = copy;
	t->state = st;
	touch(s, t);
	TAILQ_REMOVE(&s->tasks, t, entry);
	TAILQ_INSERT_HEAD(&s->tasks, t, entry);
	TAILQ_REMOVE(&t->share->tasks, t, own);
	TAILQ_INSERT_HEAD(&t->share->tasks, t, own);
	tell(s, t);
	return 0;
}

/* The status message's id follows from the task's change, so that reading twice reads the same. */
static int put_status_message(const struct a2a_task *t, json_t *status)
{
	char id[A2A_ID_MAX + 32];

	(void)snprintf(id, sizeof(id), "%s-%llu", t->id, (unsigned long long)t->order);
	return json_object_set_new(status, "message",
				   json_pack("{s:s, s:s, s:O, s:s, s:s}", "messageId", id, "role",
					     "ROLE_AGENT", "parts", t->status_parts, "contextId",
					     t->context, "taskId", t->id));
}

json_t *a2a_status_json(const struct a2a_task *t)
{
	char at[RPC_TIME_MAX];
	json_t *status;

	rpc_time(t->at, at);
	status = json_pack("{s:s, s:s}", "state", a2a_state_name(t->state), "timestamp", at);
	if (status && t->status_parts && put_status_message(t, status)) {
		json_decref(status);
		return NULL;
	}
	return status;
}

/* Shallow: what the task holds is shared and must not be changed through it. */
json_t *a2a_task_json(const struct a2a_task *t, bool artifacts)
{
	json_t *status = a2a_status_json(t), *root;
	int bad = 0;

	root = status ? json_pack("{s:s, s:s, s:o}", "id", t->id, "contextId", t->context, "status",
				  status)
		      : NULL;
	if (root && artifacts && t->n_made)
		bad |= json_object_set_new(root, "artifacts", a2a_made_json(t));
	if (root && t->metadata)
		bad |= json_object_set(root, "metadata", t->metadata);
	if (bad) {
		json_decref(root);
		return NULL;
	}
	return root;
}

char *a2a_task_text(const struct a2a_task *t, bool fresh)
{
	auto_json json_t *status = a2a_status_json(t);
	struct json_out o = { 0 };

	json_out_lit(&o, "{\"task\":{\"id\":");
	json_out_str(&o, t->id, strlen(t->id));
	json_out_lit(&o, ",\"contextId\":");
	json_out_str(&o, t->context, strlen(t->context));
	json_out_lit(&o, ",\"status\":");
	json_out_value(&o, status);
	a2a_made_write(t, fresh, &o);
	if (t->metadata) {
		json_out_lit(&o, ",\"metadata\":");
		json_out_value(&o, t->metadata);
	}
	json_out_lit(&o, "}}");
	return json_out_take(&o, NULL);
}

/* --- ListTasks -------------------------------------------------------------------------------- */

struct query {
	const char *context;
	enum a2a_state state; /* A2A_STATE_INVALID: any */
	int64_t size, after_ms;
	uint64_t before; /* page: orders below it */
	bool artifacts;
};

static int time_read(const char *s, int64_t *ret)
{
	struct tm tm = { 0 };
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ms = 0, unit = 100;

	if (end && *end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			ms += (*end - '0') * unit;
	if (!end || strcmp(end, "Z"))
		return -EINVAL;
	*ret = (int64_t)timegm(&tm) * 1000 + ms;
	return 0;
}

static int page_read(struct query *q, const json_t *p, struct err *e)
{
	const json_t *v = a2a_field(p, "pageSize");
	const char *token = NULL;
	char *end = NULL;

	if (v && (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 100))
		return err_set(e, -EINVAL, "pageSize: 1..100 is needed");
	q->size = v ? json_integer_value(v) : 50;
	v = a2a_field(p, "pageToken");
	if (v && !json_is_string(v))
		return err_set(e, -EINVAL, "pageToken: a string is needed");
	token = json_string_value(v);
	if (!token || !*token)
		return 0;
	q->before = strtoull(token, &end, 10);
	if (*end || *token < '0' || *token > '9')
		return err_set(e, -EINVAL, "pageToken: not one of ours");
	return 0;
}

static int query_read(struct query *q, const json_t *p, struct err *e)
{
	const json_t *v;

	*q = (struct query){ .state = A2A_STATE_INVALID,
			     .after_ms = INT64_MIN,
			     .before = UINT64_MAX };
	if (a2a_text(p, "contextId", &q->context, e) || page_read(q, p, e))
		return -EINVAL;
	v = a2a_field(p, "status");
	if (v) {
		q->state = a2a_state_parse(json_string_value(v));
		if (q->state == A2A_STATE_INVALID)
			return err_set(e, -EINVAL, "status: not a task state");
	}
	v = a2a_field(p, "statusTimestampAfter");
	if (v && (!json_is_string(v) || time_read(json_string_value(v), &q->after_ms)))
		return err_set(e, -EINVAL, "statusTimestampAfter: RFC 3339 with Z is needed");
	v = a2a_field(p, "includeArtifacts");
	if (v && !json_is_boolean(v))
		return err_set(e, -EINVAL, "includeArtifacts: a boolean is needed");
	q->artifacts = json_is_true(v);
	v = a2a_field(p, "historyLength");
	if (v && (!json_is_integer(v) || json_integer_value(v) < 0))
		return err_set(e, -EINVAL, "historyLength: an integer >= 0 is needed");
	return 0;
}

static bool matches(const struct query *q, const struct a2a_task *t, const char *owner)
{
	return !strcmp(t->share->owner, owner) &&
	       (!q->context || !strcmp(q->context, t->context)) &&
	       (q->state == A2A_STATE_INVALID || q->state == t->state) && t->at.ms > q->after_ms;
}

int a2a_task_list(json_t **ret, const struct a2a_server *s, const char *owner, const json_t *params,
		  struct err *e)
{
	json_t *list = json_array();
	const struct a2a_task *t;
	json_int_t total = 0, n = 0;
	char token[24] = "";
	struct query q;
	uint64_t last = 0;
	bool more = false, bad = !list;

	if (query_read(&q, params, e)) {
		json_decref(list);
		return RPC_PARAMS;
	}
	TAILQ_FOREACH (t, &s->tasks, entry) {
		if (!matches(&q, t, owner))
			continue;
		total++;
		if (t->order >= q.before)
			continue;
		more |= n == q.size;
		if (n == q.size)
			continue;
		bad |= json_array_append_new(list, a2a_task_json(t, q.artifacts)) != 0;
		last = t->order;
		n++;
	}
	if (more)
		(void)snprintf(token, sizeof(token), "%llu", (unsigned long long)last);
	*ret = bad ? NULL
		   : json_pack("{s:o, s:s, s:I, s:I}", "tasks", list, "nextPageToken", token,
			       "pageSize", (json_int_t)q.size, "totalSize", total);
	if (bad)
		json_decref(list);
	if (!*ret)
		(void)err_set(e, -ENOMEM, "no memory");
	return *ret ? 0 : A2A_E_INTERNAL;
}
