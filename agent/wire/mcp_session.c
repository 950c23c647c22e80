/* SPDX-License-Identifier: Apache-2.0 */
/* Long streams of both revisions, and the sessions of the older one: few, each its owner's, and the
 * one unused longest makes room. */
#include "mcp_i.h"

#include "agent/codec/json.h"

#include <errno.h>
#include <stdio.h>

/* --- listeners ----------------------------------------------------------------------------------
 */

/* Nothing waits for it any more. */
static void forget(struct mcp_listener *l)
{
	const struct wire_pace *pace = &l->s->cfg.pace;

	for (size_t i = 0; i < l->n_notices; i++) {
		json_decref(l->notices[i].params);
		json_decref(l->notices[i].uri);
	}
	l->n_notices = 0;
	if (l->wait.waits)
		pace->leave(pace->to, &l->wait);
}

/* Steals message. */
static void write_message(struct json_out *o, json_t *message)
{
	json_out_lit(o, "event: message\ndata: ");
	json_out_value(o, message);
	json_out_lit(o, "\n\n");
	json_decref(message);
}

/* A notification as this stream has it: the newer revision names the request that asked. Steals
 * params. */
static json_t *notification(const struct mcp_listener *l, const char *method, json_t *params)
{
	if (params && l->id &&
	    json_object_set_new(params, "_meta",
				json_pack("{s:O}", MCP_META "subscriptionId", l->id))) {
		json_decref(params);
		params = NULL;
	}
	return params ? json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params",
				  params)
		      : NULL;
}

/* What waits for the stream, in one piece, and last (stolen; NULL: nothing more). Negative: the
 * stream is lost. */
static int flush(struct mcp_listener *l, json_t *last)
{
	struct json_out o = { 0 };
	auto_free char *text = NULL;
	size_t len;

	if (!l->n_notices && !last)
		return 0;
	for (size_t i = 0; i < l->n_notices; i++) {
		struct mcp_notice *n = &l->notices[i];
		json_t *params =
			n->params ? json_incref(n->params) : json_pack("{s:O*}", "uri", n->uri);

		write_message(&o, notification(l, n->method, params));
	}
	forget(l);
	if (last)
		write_message(&o, last);
	text = json_out_take(&o, &len);
	return text ? l->ops->write(l->stream, text, len) : -ENOMEM;
}

void mcp_listener_free(struct mcp_listener *l)
{
	if (l->stream)
		(void)flush(l, NULL);
	forget(l);
	LIST_REMOVE(l, entry);
	l->s->nlisteners--;
	if (l->session)
		l->session->get = NULL;
	if (l->stream)
		l->ops->end(l->stream);
	for (size_t i = 0; i < l->nuris; i++)
		free(l->uris[i]);
	json_decref(l->tasks);
	json_decref(l->id);
	free(l);
}

static void on_gone(void *arg)
{
	forget(arg);
	mcp_listener_free(arg);
}

static void on_turn(void *arg)
{
	if (flush(arg, NULL))
		mcp_listener_free(arg);
}

/* Does it say already that this changed? */
static bool waits(const struct mcp_listener *l, const char *method, const json_t *uri)
{
	for (size_t i = 0; i < l->n_notices; i++) {
		const struct mcp_notice *n = &l->notices[i];

		if (!n->params && n->method == method &&
		    (n->uri == uri || (n->uri && uri && json_equal(n->uri, uri))))
			return true;
	}
	return false;
}

/* Written when its turn comes, or at once when too many wait. Takes what n holds. */
static int put(struct mcp_listener *l, struct mcp_notice n)
{
	const struct wire_pace *pace = &l->s->cfg.pace;

	l->notices[l->n_notices++] = n;
	if (!pace->wait || l->n_notices == MCP_NOTICES_MAX)
		return flush(l, NULL);
	pace->wait(pace->to, &l->wait);
	return 0;
}

int mcp_listener_tell(struct mcp_listener *l, const char *method, json_t *params)
{
	return params ? put(l, (struct mcp_notice){ method, params, NULL }) : -ENOMEM;
}

/* False: answered. */
static bool has_room(struct mcp_req *c)
{
	const struct mcp_server *s = c->s;
	const struct wire_limit own = { "peer-streams", s->cfg.max_peer_streams, true },
				all = { "streams", s->cfg.max_streams, false };
	const struct mcp_listener *l;
	size_t mine = 0;

	LIST_FOREACH(l, &s->listeners, entry)
	mine += !strcmp(l->owner, c->owner);
	if (mine < own.max && s->nlisteners < all.max)
		return true;
	mcp_limit(c, mine < own.max ? &all : &own, true);
	return false;
}

/* NULL: answered. */
static struct mcp_listener *listener_new(struct mcp_req *c)
{
	static const struct wire_header h[] = { { "Cache-Control", "no-cache" },
						{ "X-Accel-Buffering", "no" } };
	static const struct wire_response head = { .status = 200,
						   .content_type = "text/event-stream",
						   .headers = h,
						   .nheaders = ARRAY_LEN(h) };
	struct mcp_listener *l;

	if (c->sink.stream && !has_room(c))
		return NULL;
	l = c->sink.stream ? calloc(1, sizeof(*l)) : NULL;
	if (!l) {
		mcp_fail(c, 503, MCP_E_INTERNAL, "no stream can be opened");
		return NULL;
	}
	l->s = c->s;
	l->ops = c->sink.stream;
	l->peer = *c->r->peer;
	memcpy(l->owner, c->owner, sizeof(l->owner));
	l->wait = (struct wire_turn){ .fn = on_turn, .arg = l };
	LIST_INSERT_HEAD(&c->s->listeners, l, entry);
	c->s->nlisteners++;
	l->stream = l->ops->open(c->sink.to, &head, on_gone, l);
	if (l->stream)
		return l;
	mcp_listener_free(l);
	return NULL;
}

static int uri_add(char **uris, size_t *n, const char *uri)
{
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(uris[i], uri))
			return 0;
	if (*n == MCP_URIS_MAX)
		return -ENOSPC;
	uris[*n] = strdup(uri);
	if (!uris[*n])
		return -ENOMEM;
	++*n;
	return 0;
}

static bool readable(const struct mcp_req *c, const char *uri)
{
	const struct mcp_app *app = &c->s->app;

	return uri && strlen(uri) < MCP_URI_MAX && app->readable &&
	       app->readable(app->arg, c->r->peer, uri);
}

/* What we honour of what was asked. */
static json_t *filter(struct mcp_req *c, struct mcp_listener *l, const json_t *want)
{
	static const char *const names[] = { [MCP_TOOLS] = "toolsListChanged",
					     [MCP_PROMPTS] = "promptsListChanged",
					     [MCP_RESOURCES] = "resourcesListChanged" };
	const json_t *uris = json_object_get(want, "resourceSubscriptions");
	json_t *got = json_object(), *list = json_array(), *v;
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		l->lists[i] =
			c->s->cfg.lists_change && json_is_true(json_object_get(want, names[i]));
		if (l->lists[i])
			(void)json_object_set_new(got, names[i], json_true());
	}
	json_array_foreach (uris, i, v) {
		const char *uri = json_string_value(v);

		if (readable(c, uri) && !uri_add(l->uris, &l->nuris, uri))
			(void)json_array_append(list, v);
	}
	if (json_array_size(list))
		(void)json_object_set(got, "resourceSubscriptions", list);
	json_decref(list);
	l->tasks = mcp_task_listened(c->s, c->owner, json_object_get(want, "taskIds"));
	if (l->tasks)
		(void)json_object_set(got, "taskIds", l->tasks);
	return got;
}

void mcp_do_listen(struct mcp_req *c)
{
	const json_t *want = json_object_get(c->rpc.params, "notifications");
	struct mcp_listener *l;

	if (!json_is_object(want)) {
		mcp_fail(c, 400, MCP_E_PARAMS, "notifications: an object is needed");
		return;
	}
	if (json_object_get(want, "taskIds") && !mcp_task_declared(c))
		return;
	l = listener_new(c);
	if (!l)
		return;
	l->id = json_incref(c->rpc.id);
	if (mcp_listener_tell(l, "notifications/subscriptions/acknowledged",
			      json_pack("{s:o}", "notifications", filter(c, l, want))))
		mcp_listener_free(l);
	else
		mcp_task_catch_up(c->s, l);
}

/* "a://b" covers itself and what is below it. */
static bool covers(char *const *uris, size_t n, const char *uri)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(uris[i]);

		if (!strncmp(uris[i], uri, len) && (!uri[len] || uri[len] == '/'))
			return true;
	}
	return false;
}

void mcp_resource_changed(struct mcp_server *s, const char *uri, const char *about)
{
	static const char method[] = "notifications/resources/updated";
	const struct mcp_app *app = &s->app;
	struct mcp_listener *l, *next;
	json_t *name = NULL; /* one for all */

	for (l = LIST_FIRST(&s->listeners); l; l = next) {
		next = LIST_NEXT(l, entry);
		if (!(l->session ? covers(l->session->uris, l->session->nuris, uri)
				 : covers(l->uris, l->nuris, uri)))
			continue;
		name = name ? name : json_string(uri);
		if (waits(l, method, name) ||
		    (app->told && !app->told(app->arg, &l->peer, uri, about)))
			continue;
		if (!name || put(l, (struct mcp_notice){ method, NULL, json_incref(name) }))
			mcp_listener_free(l);
	}
	json_decref(name);
}

void mcp_list_changed(struct mcp_server *s, enum mcp_list which)
{
	static const char *const methods[] = { "notifications/tools/list_changed",
					       "notifications/prompts/list_changed",
					       "notifications/resources/list_changed" };
	struct mcp_listener *l, *next;

	for (l = LIST_FIRST(&s->listeners); l; l = next) {
		next = LIST_NEXT(l, entry);
		if ((l->session || l->lists[which]) && !waits(l, methods[which], NULL) &&
		    put(l, (struct mcp_notice){ methods[which], NULL, NULL }))
			mcp_listener_free(l);
	}
}

void mcp_ping(struct mcp_server *s)
{
	struct mcp_listener *l, *next;

	for (l = LIST_FIRST(&s->listeners); l; l = next) {
		next = LIST_NEXT(l, entry);
		if (l->ops->write(l->stream, ": ping\n\n", 8))
			mcp_listener_free(l);
	}
}

size_t mcp_streams(const struct mcp_server *s)
{
	return s->nlisteners;
}

/* --- sessions -----------------------------------------------------------------------------------
 */

static void session_free(struct mcp_server *s, struct mcp_session *x)
{
	TAILQ_REMOVE(&s->sessions, x, entry);
	s->nsessions--;
	if (x->get)
		mcp_listener_free(x->get);
	for (size_t i = 0; i < x->nuris; i++)
		free(x->uris[i]);
	json_decref(x->capabilities);
	free(x);
}

static void make_room(struct mcp_server *s, const char *owner)
{
	struct mcp_session *x, *mine = NULL;
	size_t n = 0;

	TAILQ_FOREACH (x, &s->sessions, entry)
		if (!strcmp(x->owner, owner)) {
			mine = x;
			n++;
		}
	if (n >= MCP_SESSIONS_PER_PEER)
		session_free(s, mine);
	else if (s->nsessions >= s->cfg.max_sessions)
		session_free(s, TAILQ_LAST(&s->sessions, mcp_sessions));
}

static struct mcp_session *session_new(struct mcp_req *c)
{
	struct mcp_session *x;

	make_room(c->s, c->owner);
	x = calloc(1, sizeof(*x));
	if (!x || rpc_random_id(x->id)) {
		free(x);
		return NULL;
	}
	memcpy(x->owner, c->owner, sizeof(x->owner));
	x->capabilities = json_incref(json_object_get(c->rpc.params, "capabilities"));
	TAILQ_INSERT_HEAD(&c->s->sessions, x, entry);
	c->s->nsessions++;
	return x;
}

struct mcp_session *mcp_session_find(const struct mcp_req *c)
{
	const char *id = wire_header(c->r, "Mcp-Session-Id");
	struct mcp_session *x;

	TAILQ_FOREACH (x, &c->s->sessions, entry)
		if (id && !strcmp(x->id, id) && !strcmp(x->owner, c->owner)) {
			TAILQ_REMOVE(&c->s->sessions, x, entry);
			TAILQ_INSERT_HEAD(&c->s->sessions, x, entry);
			return x;
		}
	return NULL;
}

static void do_initialize(struct mcp_req *c)
{
	static const char *const known[] = { "2025-11-25", "2025-06-18", "2025-03-26" };
	const char *want = json_string_value(json_object_get(c->rpc.params, "protocolVersion"));
	const char *use = MCP_LEGACY_VERSION;
	struct mcp_session *x = want ? session_new(c) : NULL;
	struct wire_header h[2] = { { "Cache-Control", "no-store" } };
	struct wire_response r = {
		.status = 200, .content_type = "application/json", .headers = h, .nheaders = 2
	};
	auto_free char *text = NULL;

	if (!x) {
		mcp_fail(c, 400, want ? MCP_E_INTERNAL : MCP_E_PARAMS,
			 want ? "no memory" : "protocolVersion: a string is needed");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i], want))
			use = known[i];
	h[1] = (struct wire_header){ "Mcp-Session-Id", x->id };
	text = rpc_result_new(c->rpc.id,
			      json_pack("{s:s, s:o, s:{s:s, s:s}, s:s*}", "protocolVersion", use,
					"capabilities", mcp_capabilities(c->s, true), "serverInfo",
					"name", c->s->cfg.name, "version", c->s->cfg.version,
					"instructions", c->s->cfg.instructions));
	if (!text)
		r.status = 500;
	r.body = text;
	r.len = text ? strlen(text) : 0;
	c->sink.fn(c->sink.to, &r);
}

static void do_subscribe(struct mcp_req *c, bool on)
{
	const char *uri = json_string_value(json_object_get(c->rpc.params, "uri"));
	struct mcp_session *x = c->session;

	if (!c->s->cfg.nresources) {
		mcp_fail(c, 200, MCP_E_METHOD, "no such method");
		return;
	}
	if (!readable(c, uri)) {
		mcp_fail(c, 200, -32002, "Resource not found");
		return;
	}
	for (size_t i = 0; !on && i < x->nuris; i++)
		if (!strcmp(x->uris[i], uri)) {
			free(x->uris[i]);
			x->uris[i] = x->uris[--x->nuris];
		}
	if (on && uri_add(x->uris, &x->nuris, uri))
		mcp_fail(c, 200, MCP_E_INTERNAL, "too many subscriptions");
	else
		mcp_succeed(c, json_object(), false);
}

bool mcp_legacy(struct mcp_req *c)
{
	const char *m = c->rpc.method;

	if (!strcmp(m, "initialize"))
		do_initialize(c);
	else if (!strcmp(m, "ping"))
		mcp_succeed(c, json_object(), false);
	else if (!strcmp(m, "logging/setLevel") && c->s->cfg.logging)
		mcp_succeed(c, json_object(), false);
	else if (!strcmp(m, "resources/subscribe"))
		do_subscribe(c, true);
	else if (!strcmp(m, "resources/unsubscribe"))
		do_subscribe(c, false);
	else if (!strcmp(m, "tasks/list"))
		mcp_do_task_list(c);
	else if (!strcmp(m, "tasks/result"))
		mcp_do_task_result(c);
	else
		return false;
	return true;
}

void mcp_session_tell(struct mcp_server *s, const char *id, const char *method, json_t *params)
{
	struct mcp_session *x;

	TAILQ_FOREACH (x, &s->sessions, entry) {
		if (!x->get || strcmp(x->id, id) != 0)
			continue;
		if (mcp_listener_tell(x->get, method, json_incref(params)))
			mcp_listener_free(x->get);
		break;
	}
	json_decref(params);
}

/* One stream a session: a newer one replaces it. */
void mcp_session_get(struct mcp_req *c)
{
	struct mcp_listener *l;

	if (c->session->get)
		mcp_listener_free(c->session->get);
	l = listener_new(c);
	if (!l)
		return;
	l->session = c->session;
	c->session->get = l;
	if (l->ops->write(l->stream, ": open\n\n", 8))
		mcp_listener_free(l);
}

void mcp_session_delete(struct mcp_req *c)
{
	static const struct wire_response done = { .status = 204 };

	session_free(c->s, c->session);
	c->sink.fn(c->sink.to, &done);
}

void mcp_sessions_free(struct mcp_server *s)
{
	struct mcp_listener *l;

	while ((l = LIST_FIRST(&s->listeners))) {
		if (l->id) /* the listen request's answer: it is over, and not by accident */
			(void)flush(l, json_pack("{s:s, s:O, s:{s:s, s:{s:O}}}", "jsonrpc", "2.0",
						 "id", l->id, "result", "resultType", "complete",
						 "_meta", MCP_META "subscriptionId", l->id));
		mcp_listener_free(l);
	}
	while (!TAILQ_EMPTY(&s->sessions))
		session_free(s, TAILQ_FIRST(&s->sessions));
}
