/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of one task: each begins with a snapshot, then all get the same events in the same order.
 * Nothing is replayed: whoever lost its stream subscribes again and reads the snapshot. */
#include "a2a_i.h"

#include <errno.h>

static void news_put(struct a2a_news *n)
{
	if (n && !--n->refs)
		free(n);
}

static struct a2a_news *news_new(bool is_error, const char *text)
{
	size_t len = strlen(text);
	struct a2a_news *n = malloc(sizeof(*n) + len + 1);

	if (!n)
		return NULL;
	n->refs = 1;
	n->is_error = is_error;
	n->len = len;
	memcpy(n->text, text, len + 1);
	return n;
}

static void sub_forget(struct a2a_sub *sub)
{
	while (sub->n_news)
		news_put(sub->news[--sub->n_news]);
	sub->bytes = 0;
	if (sub->wait.waits)
		sub->s->cfg.pace.leave(sub->s->cfg.pace.to, &sub->wait);
}

static void sub_free(struct a2a_sub *sub)
{
	sub_forget(sub);
	LIST_REMOVE(sub, entry);
	sub->s->nsubs--;
	sub->to.sink.stream->end(sub->stream);
	json_decref(sub->to.id);
	free(sub);
}

/* The reader left. */
static void on_gone(void *arg)
{
	sub_free(arg);
}

/* "data: {...}\n\n" of one StreamResponse or error, as the binding has it. */
static void event_write(struct json_out *o, const struct a2a_to *to, bool is_error,
			const char *value)
{
	int status;
	auto_free char *body = a2a_body_new(to, is_error, value, &status);

	o->failed |= !body;
	json_out_lit(o, "data: ");
	json_out_text(o, body ? body : "");
	json_out_lit(o, "\n\n");
}

/* What waits for the reader, in one piece. Negative: it is lost. */
static int sub_flush(struct a2a_sub *sub)
{
	struct json_out o = { 0 };
	auto_free char *text = NULL;
	size_t len;

	if (!sub->n_news)
		return 0;
	for (size_t i = 0; i < sub->n_news; i++)
		event_write(&o, &sub->to, sub->news[i]->is_error, sub->news[i]->text);
	sub_forget(sub);
	text = json_out_take(&o, &len);
	return text ? sub->to.sink.stream->write(sub->stream, text, len) : -ENOMEM;
}

static void on_turn(void *arg)
{
	struct a2a_sub *sub = arg;

	if (sub_flush(sub) || sub->leaves)
		sub_free(sub);
}

/* Written when its turn comes, or at once when too much waits. Negative: it is lost. */
static int sub_tell(struct a2a_sub *sub, struct a2a_news *n)
{
	const struct wire_pace *pace = &sub->s->cfg.pace;

	n->refs++;
	sub->news[sub->n_news++] = n;
	sub->bytes += n->len;
	if (!pace->wait || sub->n_news == A2A_NEWS_MAX || sub->bytes > A2A_NEWS_BYTES)
		return sub_flush(sub);
	pace->wait(pace->to, &sub->wait);
	return 0;
}

/* It ends, when it has read what waits for it. */
static void sub_leave(struct a2a_sub *sub)
{
	if (!sub->n_news) {
		sub_free(sub);
		return;
	}
	LIST_REMOVE(sub, entry);
	LIST_INSERT_HEAD(&sub->s->leaving, sub, entry);
	sub->leaves = true;
}

void a2a_streams_flush(struct a2a_server *s)
{
	while (!LIST_EMPTY(&s->leaving))
		on_turn(LIST_FIRST(&s->leaving));
}

static const struct wire_response *stream_head(const struct a2a_server *s, const struct a2a_to *to,
					       struct wire_header h[4], struct wire_response *r)
{
	size_t n = a2a_headers(s, to, h);

	h[n++] = (struct wire_header){ "X-Accel-Buffering", "no" };
	*r = (struct wire_response){
		.status = 200, .content_type = "text/event-stream", .headers = h, .nheaders = n
	};
	return r;
}

/* NULL, or the cap that is reached, in *ret. */
static const struct wire_limit *full(const struct a2a_server *s, const char *owner,
				     struct wire_limit *ret)
{
	const struct a2a_task *t;
	const struct a2a_sub *sub;
	size_t mine = 0;

	*ret = (struct wire_limit){ "peer-streams", s->cfg.max_streams_per_peer, true };
	if (s->nsubs >= ret->max) {
		TAILQ_FOREACH (t, &s->tasks, entry)
			LIST_FOREACH(sub, &t->subs, entry)
		mine += !strcmp(sub->owner, owner);
		LIST_FOREACH(sub, &s->leaving, entry)
		mine += !strcmp(sub->owner, owner);
	}
	if (mine >= ret->max)
		return ret;
	*ret = (struct wire_limit){ "streams", s->cfg.max_streams, false };
	return s->nsubs >= ret->max ? ret : NULL;
}

bool a2a_stream_open(struct a2a_server *s, const struct a2a_to *to, struct a2a_task *task,
		     struct a2a_turn *turn, const char *owner)
{
	struct wire_limit lim;
	const struct wire_limit *no = full(s, owner, &lim);
	struct a2a_sub *sub = no ? NULL : calloc(1, sizeof(*sub));
	struct wire_header h[4];
	struct wire_response r;
	auto_free char *text = NULL;
	struct a2a_news *n = NULL;
	json_t *snapshot;

	if (!sub || !str_set(sub->owner, owner)) {
		free(sub);
		a2a_answer(s, to, true,
			   no ? a2a_limit_new(no)
			      : a2a_error_new(A2A_E_INTERNAL, "internal error", NULL));
		return false;
	}
	sub->s = s;
	sub->wait = (struct wire_turn){ .fn = on_turn, .arg = sub };
	sub->turn = turn;
	sub->to = *to;
	sub->to.id = json_incref(to->id);
	sub->stream = to->sink.stream->open(to->sink.to, stream_head(s, to, h, &r), on_gone, sub);
	if (!sub->stream) {
		json_decref(sub->to.id);
		free(sub);
		return false;
	}
	LIST_INSERT_HEAD(&task->subs, sub, entry);
	s->nsubs++;
	snapshot = json_pack("{s:o*}", "task", a2a_task_json(task, true));
	text = json_text_new(snapshot);
	json_decref(snapshot);
	n = text ? news_new(false, text) : NULL;
	if (!n || sub_tell(sub, n))
		sub_free(sub);
	news_put(n);
	return true;
}

static void nothing(void *arg)
{
	(void)arg;
}

void a2a_stream_once(const struct a2a_server *s, const struct a2a_to *to, const char *value)
{
	struct json_out o = { 0 };
	auto_free char *text = NULL;
	struct wire_header h[4];
	struct wire_response r;
	void *st = to->sink.stream->open(to->sink.to, stream_head(s, to, h, &r), nothing, NULL);
	size_t len;

	event_write(&o, to, false, value);
	text = json_out_take(&o, &len);
	if (st && text)
		(void)to->sink.stream->write(st, text, len);
	if (st)
		to->sink.stream->end(st);
}

void a2a_event(struct a2a_server *s, struct a2a_task *t, const char *kind, json_t *value)
{
	json_t *event = value ? json_pack("{s:o}", kind, value) : NULL;
	auto_free char *text = json_text_new(event);
	struct a2a_news *n = text ? news_new(false, text) : NULL;
	struct a2a_sub *sub, *next;

	if (!n) {
		json_decref(event);
		return; /* the next event's reader may ask for the task */
	}
	for (sub = LIST_FIRST(&t->subs); sub; sub = next) {
		next = LIST_NEXT(sub, entry);
		if (sub_tell(sub, n))
			sub_free(sub);
	}
	news_put(n);
	a2a_push_event(s, t, event);
	json_decref(event);
}

void a2a_streams_end(struct a2a_task *t, const struct a2a_turn *turn, const char *error)
{
	struct a2a_news *n = error ? news_new(true, error) : NULL;
	struct a2a_sub *sub, *next;

	for (sub = LIST_FIRST(&t->subs); sub; sub = next) {
		next = LIST_NEXT(sub, entry);
		if (turn && sub->turn != turn)
			continue;
		if (n && sub_tell(sub, n))
			sub_free(sub);
		else
			sub_leave(sub);
	}
	news_put(n);
}

void a2a_do_subscribe(struct a2a_call *c)
{
	struct a2a_task *t;

	if (!c->s->cfg.streaming || !c->to.sink.stream) {
		a2a_fail(c, A2A_E_UNSUPPORTED, "streaming is not supported");
		return;
	}
	t = a2a_call_task(c, "id");
	if (!t)
		return;
	if (a2a_state_terminal(t->state)) {
		a2a_fail(c, A2A_E_UNSUPPORTED, "the task is finished");
		return;
	}
	c->to.stream = true;
	(void)a2a_stream_open(c->s, &c->to, t, NULL, c->owner);
}

size_t a2a_streams(const struct a2a_server *s)
{
	return s->nsubs;
}

void a2a_ping(struct a2a_server *s)
{
	struct a2a_task *t;
	struct a2a_sub *sub, *next;

	TAILQ_FOREACH (t, &s->tasks, entry)
		for (sub = LIST_FIRST(&t->subs); sub; sub = next) {
			next = LIST_NEXT(sub, entry);
			if (sub->to.sink.stream->write(sub->stream, ": ping\n\n", 8))
				sub_free(sub);
		}
}
