/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of a task, as a client reads it: the task first, then what becomes of it, or one message
 * and nothing else. */
#include "a2a_i.h"

#include "sse_in.h"

#include <errno.h>

#define BODY_MAX ((size_t)1 << 20)

struct a2a_watch {
	struct sse_in in;
	int64_t rpc_id;
	a2a_told_fn fn;
	void *arg;
	char task_id[A2A_ID_MAX + 1];
	bool begun, may_end, over;
	char *body; /* an answer that is no stream */
	size_t len;
	int failed;
	struct err err;
};

/* Is it what may come now? */
static int in_order(struct a2a_watch *w, const struct a2a_told *t, struct err *e)
{
	bool first = t->kind == A2A_TOLD_TASK || t->kind == A2A_TOLD_MESSAGE;

	if (w->over)
		return err_set(e, -EPROTO, "an event follows the last one");
	if (t->r.code)
		return 0;
	if (!w->begun && !first)
		return err_set(e, -EPROTO, "the first event is neither task nor message");
	if (w->begun && t->kind == A2A_TOLD_MESSAGE)
		return err_set(e, -EPROTO, "a message on a task's stream");
	if (t->kind == A2A_TOLD_MESSAGE)
		return 0;
	if (!w->begun && !str_set(w->task_id, t->r.task_id))
		return err_set(e, -EPROTO, "task.id: too long");
	if (strcmp(w->task_id, t->r.task_id) != 0)
		return err_set(e, -EPROTO, "%.60s is not the task of this stream", t->r.task_id);
	return 0;
}

static void tell(struct a2a_watch *w, const struct a2a_told *t)
{
	bool state = t->kind == A2A_TOLD_TASK || t->kind == A2A_TOLD_STATUS;

	w->begun = true;
	if (t->r.code || t->kind == A2A_TOLD_MESSAGE)
		w->over = true;
	else if (state)
		w->over = a2a_state_terminal(t->r.state);
	if (state)
		w->may_end = t->r.state == A2A_INPUT_REQUIRED || t->r.state == A2A_AUTH_REQUIRED;
	w->fn(w->arg, t);
}

static int take(struct a2a_watch *w, const char *text, size_t len, struct err *e)
{
	struct rpc_response rpc;
	struct a2a_told t;
	int n = rpc_response(&rpc, text, len, w->rpc_id, e);

	if (n)
		return n;
	n = a2a_told_json(&t, &rpc, e);
	if (n)
		return n;
	n = in_order(w, &t, e);
	if (!n)
		tell(w, &t);
	a2a_result_clear(&t.r);
	return n;
}

static void on_event(void *arg, const char *text, size_t len)
{
	struct a2a_watch *w = arg;

	if (!w->failed)
		w->failed = take(w, text, len, &w->err);
}

int a2a_watch_new(struct a2a_watch **ret, int64_t rpc_id, a2a_told_fn fn, void *arg)
{
	struct a2a_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->rpc_id = rpc_id;
	w->fn = fn;
	w->arg = arg;
	w->in = (struct sse_in){ .fn = on_event, .arg = w };
	*ret = w;
	return 0;
}

static int keep(struct a2a_watch *w, const char *p, size_t n)
{
	char *b = n <= BODY_MAX - w->len ? realloc(w->body, w->len + n + 1) : NULL;

	if (!b)
		return n <= BODY_MAX - w->len ? -ENOMEM : -EMSGSIZE;
	memcpy(b + w->len, p, n);
	w->body = b;
	w->len += n;
	return 0;
}

int a2a_watch_feed(struct a2a_watch *w, const struct wire_response *head, const char *p, size_t n,
		   struct err *e)
{
	static const char type[] = "text/event-stream";
	const char *have = head->content_type ? head->content_type : "";
	int r;

	if (w->failed)
		return err_set(e, w->failed, "%s", w->err.text);
	if (rpc_is_json(have)) {
		r = keep(w, p, n);
		return r ? err_set(e, r, "the answer is too long") : 0;
	}
	if (strncasecmp(have, type, sizeof(type) - 1) != 0)
		return err_set(e, -EPROTO, "%.60s: text/event-stream is needed", have);
	r = sse_in_feed(&w->in, p, n);
	if (r)
		return err_set(e, r, "an event is too long");
	return w->failed ? err_set(e, w->failed, "%s", w->err.text) : 0;
}

int a2a_watch_end(struct a2a_watch *w, struct err *e)
{
	if (!w->failed && w->body) {
		w->failed = take(w, w->body, w->len, &w->err);
		if (!w->failed && !w->over)
			return err_set(e, -EPROTO, "an answer where a stream was asked for");
	}
	if (w->failed)
		return err_set(e, w->failed, "%s", w->err.text);
	if (!w->over && !w->may_end)
		return err_set(e, -EPIPE, "the stream ended before the task");
	return 0;
}

struct a2a_watch *a2a_watch_free(struct a2a_watch *w)
{
	if (!w)
		return NULL;
	sse_in_clear(&w->in);
	free(w->body);
	free(w);
	return NULL;
}
