/* SPDX-License-Identifier: Apache-2.0 */
/* One call from its start to its one end: plain JSON as long as nothing is told on the way, a
 * stream of events from the first thing that is. */
#include "mcp_i.h"

#include "agent/codec/json.h"

#include <errno.h>
#include <stdio.h>

static void on_gone(void *arg)
{
	struct mcp_turn *t = arg;
	void (*gone)(void *) = t->gone;

	t->lost = true;
	t->gone = NULL;
	if (gone)
		gone(t->gone_arg);
}

/* The stream of a call of the older revision broke: nothing more goes out, and the call goes on. */
static void on_lost(void *arg)
{
	struct mcp_turn *t = arg;

	t->lost = true;
	if (!t->asked)
		return;
	t->asked = 0; /* no answer comes any more */
	t->answer(t->answer_arg, t, NULL);
}

static bool reads_streams(const struct mcp_req *c)
{
	const char *accept = wire_header(c->r, "Accept");

	return c->sink.stream && accept &&
	       (strstr(accept, "text/event-stream") || strstr(accept, "*/*"));
}

/* False: answered. */
static bool has_room(struct mcp_req *c)
{
	const struct mcp_server *s = c->s;
	const struct wire_limit own = { "peer-calls", s->cfg.max_peer_turns, true },
				all = { "calls", s->cfg.max_turns, false };
	const struct mcp_turn *t;
	size_t mine = 0;

	LIST_FOREACH(t, &s->turns, entry)
	mine += !strcmp(t->owner, c->owner);
	if (mine < own.max && s->nturns < all.max)
		return true;
	mcp_limit(c, mine < own.max ? &all : &own, false);
	return false;
}

struct mcp_turn *mcp_turn_new(struct mcp_req *c)
{
	struct mcp_server *s = c->s;
	struct mcp_turn *t;

	if (!has_room(c))
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t) {
		mcp_fail(c, 200, MCP_E_INTERNAL, "internal error");
		return NULL;
	}
	*t = (struct mcp_turn){ .s = s,
				.sink = c->sink,
				.id = json_incref(c->rpc.id),
				.params = json_incref(c->rpc.params),
				.legacy = c->legacy,
				.streams = reads_streams(c) };
	memcpy(t->owner, c->owner, sizeof(t->owner));
	if (c->session)
		memcpy(t->session, c->session->id, sizeof(t->session));
	t->capabilities =
		json_incref(c->session ? c->session->capabilities
				       : json_object_get(c->meta, MCP_META "clientCapabilities"));
	LIST_INSERT_HEAD(&s->turns, t, entry);
	s->nturns++;
	/* In the older revision leaving is not cancelling. */
	if (c->sink.stream && c->sink.stream->watch && !c->legacy)
		c->sink.stream->watch(c->sink.to, on_gone, t);
	return t;
}

void mcp_turn_watch(struct mcp_turn *t, void (*gone)(void *arg))
{
	mcp_turn_on_cancel(t, gone, t);
	if (t->sink.stream && t->sink.stream->watch && !t->stream)
		t->sink.stream->watch(t->sink.to, gone ? on_gone : NULL, t);
}

static void turn_free(struct mcp_turn *t)
{
	json_decref(t->id);
	json_decref(t->params);
	json_decref(t->capabilities);
	free(t);
}

void mcp_turns_abandon(struct mcp_server *s)
{
	static const struct wire_response gone = { .status = 503 };
	struct mcp_turn *t;

	while ((t = LIST_FIRST(&s->turns))) {
		LIST_REMOVE(t, entry);
		t->s = NULL;
		if (t->awaits)
			mcp_turn_watch(t, NULL);
		if (t->stream)
			t->sink.stream->end(t->stream);
		else if (!t->detached)
			t->sink.fn(t->sink.to, &gone);
		t->stream = NULL;
		t->task = NULL;
		if (t->awaits)
			turn_free(t);
	}
}

/* --- the stream of a call -----------------------------------------------------------------------
 */

static int stream_write(struct mcp_turn *t, const char *message)
{
	char *text = NULL;
	int n = asprintf(&text, "event: message\ndata: %s\n\n", message);
	int r = n < 0 ? -ENOMEM : t->sink.stream->write(t->stream, text, (size_t)n);

	if (n >= 0)
		free(text);
	return r;
}

static bool stream_open(struct mcp_turn *t)
{
	static const struct wire_header h[] = { { "Cache-Control", "no-cache" },
						{ "X-Accel-Buffering", "no" } };
	static const struct wire_response head = { .status = 200,
						   .content_type = "text/event-stream",
						   .headers = h,
						   .nheaders = ARRAY_LEN(h) };

	if (t->lost || !t->s || !t->streams)
		return false;
	if (t->stream)
		return true;
	t->stream = t->sink.stream->open(t->sink.to, &head,
					 t->legacy && !t->awaits ? on_lost : on_gone, t);
	t->lost = !t->stream;
	return t->stream != NULL;
}

/* Steals message. */
static void stream_json(struct mcp_turn *t, json_t *message)
{
	auto_free char *text = message && stream_open(t) ? json_text_new(message) : NULL;

	json_decref(message);
	if (text && stream_write(t, text))
		t->lost = true;
}

void mcp_turn_notify(struct mcp_turn *t, const char *method, const json_t *params)
{
	if (t->s && t->legacy && t->task) {
		mcp_session_tell(t->s, t->task->session, method,
				 mcp_task_related(json_copy((json_t *)(uintptr_t)params), t->task));
		return;
	}
	stream_json(t, json_pack("{s:s, s:s, s:o*}", "jsonrpc", "2.0", "method", method, "params",
				 json_deep_copy(params)));
}

void mcp_turn_progress(struct mcp_turn *t, double progress, double total, const char *message)
{
	json_t *token = json_object_get(json_object_get(t->params, "_meta"), "progressToken");
	json_t *p;

	if (!json_is_string(token) && !json_is_integer(token))
		return;
	p = json_pack("{s:O, s:f, s:f, s:s*}", "progressToken", token, "progress", progress,
		      "total", total, "message", message);
	mcp_turn_notify(t, "notifications/progress", p);
	json_decref(p);
}

int mcp_turn_ask(struct mcp_turn *t, const char *method, const json_t *params,
		 void (*answer)(void *arg, struct mcp_turn *t, const json_t *result), void *arg)
{
	if (!t->s || !t->legacy || t->asked || !stream_open(t))
		return -EOPNOTSUPP;
	t->asked = ++t->s->asked;
	t->answer = answer;
	t->answer_arg = arg;
	stream_json(t,
		    json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", (json_int_t)t->asked,
			      "method", method, "params", json_deep_copy(params)));
	if (t->lost) /* and nobody tells of it */
		t->asked = 0;
	return t->lost ? -EPIPE : 0;
}

/* Only in the session that was asked. */
void mcp_turn_answered(struct mcp_req *c, const json_t *message)
{
	const json_t *id = json_object_get(message, "id");
	struct mcp_turn *t;

	LIST_FOREACH(t, &c->s->turns, entry)
	if (t->asked && json_is_integer(id) && json_integer_value(id) == t->asked &&
	    !strcmp(t->session, c->session->id)) {
		t->asked = 0;
		t->answer(t->answer_arg, t, json_object_get(message, "result"));
		return;
	}
}

void mcp_turn_cancelled(struct mcp_req *c)
{
	const json_t *id = json_object_get(c->rpc.params, "requestId");
	struct mcp_turn *t;

	LIST_FOREACH(t, &c->s->turns, entry)
	if (c->session && !t->detached && !strcmp(t->session, c->session->id) &&
	    json_equal(t->id, id)) {
		on_gone(t);
		return;
	}
}

/* --- the ends -----------------------------------------------------------------------------------
 */

void mcp_turn_answer(struct mcp_turn *t, int status, char *text)
{
	if (t->stream) {
		if (text && !t->lost)
			(void)stream_write(t, text);
		t->sink.stream->end(t->stream);
		free(text);
	} else {
		if (t->sink.stream && t->sink.stream->watch)
			t->sink.stream->watch(t->sink.to, NULL, NULL);
		mcp_send(t->sink, status, text);
	}
	t->stream = NULL;
	t->streams = false;
	t->detached = true;
}

void mcp_turn_cancel(struct mcp_turn *t)
{
	on_gone(t);
}

/* Takes text. */
static void turn_end(struct mcp_turn *t, int status, char *text)
{
	if (t->s) {
		LIST_REMOVE(t, entry);
		t->s->nturns--;
	}
	if (t->s && t->task)
		mcp_task_done(t, text);
	if (t->s && !t->detached)
		mcp_turn_answer(t, status, text);
	else
		free(text);
	turn_free(t);
}

void mcp_turn_raw(struct mcp_turn *t, const json_t *result)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)result);

	if (!t->s)
		json_decref(copy);
	turn_end(t, 200,
		 t->s ? rpc_result_new(t->id, mcp_complete(t->s, t->legacy, copy, t->uri[0]))
		      : NULL);
}

/* The whole answer, as mcp_complete() would have it. structured: an object's text, NULL: text is an
 * error's. */
static char *call_result(const struct mcp_turn *t, const char *text, const char *structured)
{
	struct json_out o = { 0 };

	rpc_open(&o, t->id, "result");
	json_out_lit(&o, "{");
	if (!t->legacy)
		json_out_lit(&o, "\"resultType\":\"complete\",");
	json_out_lit(&o, "\"content\":[{\"type\":\"text\",\"text\":");
	json_out_str(&o, text, strlen(text));
	if (structured) {
		json_out_lit(&o, "}],\"isError\":false,\"structuredContent\":");
		json_out_text(&o, structured);
	} else {
		json_out_lit(&o, "}],\"isError\":true");
	}
	if (!t->legacy) {
		json_out_lit(&o, ",");
		json_out_text(&o, t->s->info);
	}
	json_out_lit(&o, "}}");
	return json_out_take(&o, NULL);
}

void mcp_turn_result(struct mcp_turn *t, const json_t *structured)
{
	auto_free char *text = json_is_object(structured) ? json_text_new(structured) : NULL;

	if (text && t->uri[0])
		mcp_turn_contents(t, "application/json", text);
	else if (!text || !t->s)
		mcp_turn_fail(t, MCP_E_INTERNAL, "internal error");
	else
		turn_end(t, 200, call_result(t, text, text));
}

void mcp_turn_refuse(struct mcp_turn *t, const char *text)
{
	if (t->uri[0]) {
		mcp_turn_fail(t, MCP_E_INTERNAL, text);
		return;
	}
	turn_end(t, 200, t->s ? call_result(t, text, NULL) : NULL);
}

void mcp_turn_fail_data(struct mcp_turn *t, enum mcp_code code, const char *text,
			const json_t *data)
{
	turn_end(t, code == MCP_E_CAPABILITY ? 400 : 200,
		 rpc_error_new(t->id, code, text, data ? json_deep_copy(data) : NULL));
}

void mcp_turn_fail(struct mcp_turn *t, enum mcp_code code, const char *text)
{
	mcp_turn_fail_data(t, code, text, NULL);
}

void mcp_turn_contents(struct mcp_turn *t, const char *mime, const char *text)
{
	json_t *r = json_pack("{s:[{s:s, s:s, s:s}]}", "contents", "uri", t->uri, "mimeType", mime,
			      "text", text);

	if (!r || !t->s) {
		json_decref(r);
		mcp_turn_fail(t, MCP_E_INTERNAL, "internal error");
		return;
	}
	turn_end(t, 200, rpc_result_new(t->id, mcp_complete(t->s, t->legacy, r, true)));
}

/* --- what a turn knows --------------------------------------------------------------------------
 */

const json_t *mcp_turn_params(const struct mcp_turn *t)
{
	return t->params;
}

bool mcp_turn_capable(const struct mcp_turn *t, const char *capability)
{
	return json_is_object(json_object_get(t->capabilities, capability));
}

bool mcp_turn_legacy(const struct mcp_turn *t)
{
	return t->legacy;
}

void mcp_turn_on_cancel(struct mcp_turn *t, void (*gone)(void *arg), void *arg)
{
	t->gone = gone;
	t->gone_arg = arg;
}
