/* SPDX-License-Identifier: Apache-2.0 */
/* From a whole HTTP request to a method. Errors ride on HTTP 200, as the specification's own SDKs
 * have it; only what is wrong before JSON-RPC (method, caller) is an HTTP status. */
#include "a2a_i.h"

#include "agent/codec/json.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

/* --- answers ------------------------------------------------------------------------------------
 */

static const char *reason(int code)
{
	switch (code) {
	case A2A_E_TASK_NOT_FOUND: return "TASK_NOT_FOUND";
	case A2A_E_NOT_CANCELABLE: return "TASK_NOT_CANCELABLE";
	case A2A_E_NO_PUSH: return "PUSH_NOTIFICATION_NOT_SUPPORTED";
	case A2A_E_UNSUPPORTED: return "UNSUPPORTED_OPERATION";
	case A2A_E_CONTENT_TYPE: return "CONTENT_TYPE_NOT_SUPPORTED";
	case A2A_E_INVALID_RESPONSE: return "INVALID_AGENT_RESPONSE";
	case A2A_E_NO_EXTENDED_CARD: return "EXTENDED_AGENT_CARD_NOT_CONFIGURED";
	case A2A_E_EXTENSION_REQUIRED: return "EXTENSION_SUPPORT_REQUIRED";
	case A2A_E_VERSION: return "VERSION_NOT_SUPPORTED";
	default: return NULL;
	}
}

/* error.data: ErrorInfo for A2A's own codes, the field for bad parameters, then the caller's. */
static json_t *error_data(int code, const char *text, const json_t *detail)
{
	json_t *data = json_array();
	const char *colon = strstr(text, ": ");
	int bad = 0;

	if (data && reason(code))
		bad |= json_array_append_new(
			data, json_pack("{s:s, s:s, s:s}", "@type",
					"type.googleapis.com/google.rpc.ErrorInfo", "reason",
					reason(code), "domain", "a2a-protocol.org"));
	else if (data && code == A2A_E_PARAMS && colon)
		bad |= json_array_append_new(
			data,
			json_pack("{s:s, s:[{s:s%, s:s}]}", "@type",
				  "type.googleapis.com/google.rpc.BadRequest", "fieldViolations",
				  "field", text, (size_t)(colon - text), "description", colon + 2));
	if (data && detail)
		bad |= json_array_append_new(data, json_deep_copy(detail));
	if (bad || !json_array_size(data)) {
		json_decref(data);
		return NULL;
	}
	return data;
}

json_t *a2a_error_new(int code, const char *text, const json_t *detail)
{
	json_t *e = json_pack("{s:i, s:s}", "code", code, "message", text);
	json_t *data = e ? error_data(code, text, detail) : NULL;

	if (data && json_object_set_new(e, "data", data)) {
		json_decref(e);
		return NULL;
	}
	return e;
}

json_t *a2a_limit_new(const struct wire_limit *l)
{
	char max[24];

	(void)snprintf(max, sizeof(max), "%zu", l->max);
	return json_pack("{s:i, s:s, s:[{s:s, s:s, s:s, s:{s:s, s:s, s:s}}]}", "code", A2A_E_LIMIT,
			 "message", "a limit is reached", "data", "@type",
			 "type.googleapis.com/google.rpc.ErrorInfo", "reason", "LIMIT_REACHED",
			 "domain", "treaty.example", "metadata", "limit", l->name, "max", max, "of",
			 l->own ? "caller" : "all");
}

size_t a2a_headers(const struct a2a_server *s, const struct a2a_to *to, struct wire_header h[3])
{
	h[0] = (struct wire_header){ "Cache-Control", to->stream ? "no-cache" : "no-store" };
	h[1] = (struct wire_header){ "A2A-Version", A2A_VERSION };
	h[2] = (struct wire_header){ "A2A-Extensions", !to->offered    ? s->extension
						       : to->extension ? s->both
								       : s->offered };
	return to->extension || to->offered ? 3 : 2;
}

char *a2a_body_new(const struct a2a_to *to, bool is_error, const char *value, int *ret_status)
{
	struct json_out o = { 0 };
	struct err e = { 0 };
	json_t *error;

	*ret_status = 200;
	if (to->rest && is_error) {
		error = a2a_rest_error(value ? rpc_json(value, strlen(value), &e) : NULL,
				       ret_status);
		json_out_value(&o, error);
		json_decref(error);
		return json_out_take(&o, NULL);
	}
	if (!value)
		return NULL;
	if (!to->rest)
		rpc_open(&o, to->id, is_error ? "error" : "result");
	json_out_text(&o, value);
	if (!to->rest)
		json_out_lit(&o, "}");
	return json_out_take(&o, NULL);
}

void a2a_answer(const struct a2a_server *s, const struct a2a_to *to, bool is_error, json_t *value)
{
	auto_free char *text = json_text_new(value);

	json_decref(value);
	a2a_answer_text(s, to, is_error, text);
}

void a2a_answer_text(const struct a2a_server *s, const struct a2a_to *to, bool is_error,
		     const char *value)
{
	struct wire_header h[3];
	const struct a2a_to plain = { .extension = to->extension, .offered = to->offered };
	struct wire_response r = { .status = 200,
				   .content_type = "application/json",
				   .headers = h,
				   .nheaders = a2a_headers(s, &plain, h) };
	auto_free char *text = a2a_body_new(to, is_error, value, &r.status);

	if (!text)
		r = (struct wire_response){ .status = 500 };
	r.body = text;
	r.len = text ? strlen(text) : 0;
	to->sink.fn(to->sink.to, &r);
}

bool a2a_limited(const struct a2a_call *c)
{
	const struct wire_limit own = { "peer-calls", c->s->cfg.max_turns_per_peer, true },
				all = { "calls", c->s->cfg.max_turns, false };
	const struct a2a_share *h = a2a_share_find(c->s, c->owner);
	size_t mine = h ? h->n_turns : 0;

	if (mine < own.max && c->s->nturns < all.max)
		return false;
	a2a_answer(c->s, &c->to, true, a2a_limit_new(mine < own.max ? &all : &own));
	return true;
}

void a2a_plain(struct wire_sink sink, int status, const char *allow)
{
	struct wire_header h = { "Allow", allow };
	struct wire_response r = { .status = status, .headers = &h, .nheaders = allow ? 1 : 0 };

	sink.fn(sink.to, &r);
}

void a2a_fail(struct a2a_call *c, int code, const char *text)
{
	a2a_answer(c->s, &c->to, true, a2a_error_new(code, text, NULL));
}

void a2a_succeed(struct a2a_call *c, json_t *result)
{
	if (result)
		a2a_answer(c->s, &c->to, false, result);
	else
		a2a_fail(c, A2A_E_INTERNAL, "no memory");
}

/* --- the methods --------------------------------------------------------------------------------
 */

static void do_send(struct a2a_call *c)
{
	struct a2a_push_cfg *push = NULL;
	struct err e = { 0 };
	struct a2a_params p;
	int code = a2a_params_read(&p, c->s, c->params, &e);

	if (!code && p.push)
		code = a2a_push_read(&push, c, p.push, &e);
	if (code)
		a2a_fail(c, code, e.text);
	else
		a2a_turn_begin(c, &p, push);
	json_decref(p.data);
}

static void do_stream(struct a2a_call *c)
{
	if (!c->s->cfg.streaming || !c->to.sink.stream) {
		a2a_fail(c, A2A_E_UNSUPPORTED, "streaming is not supported");
		return;
	}
	c->to.stream = true;
	do_send(c);
}

struct a2a_task *a2a_call_task(struct a2a_call *c, const char *member)
{
	struct a2a_task *t;
	const char *id = NULL;
	char why[64];
	struct err e = { 0 };

	if (a2a_text(c->params, member, &id, &e)) {
		a2a_fail(c, A2A_E_PARAMS, e.text);
		return NULL;
	}
	if (!id) {
		(void)snprintf(why, sizeof(why), "%s: missing", member);
		a2a_fail(c, A2A_E_PARAMS, why);
		return NULL;
	}
	t = a2a_task_find(c->s, id, c->owner);
	if (!t)
		a2a_fail(c, A2A_E_TASK_NOT_FOUND, "no such task");
	return t;
}

static void do_get(struct a2a_call *c)
{
	const json_t *len = a2a_field(c->params, "historyLength");
	struct a2a_task *t;

	if (len && (!json_is_integer(len) || json_integer_value(len) < 0)) {
		a2a_fail(c, A2A_E_PARAMS, "historyLength: an integer >= 0 is needed");
		return;
	}
	t = a2a_call_task(c, "id");
	if (t)
		a2a_succeed(c, a2a_task_json(t, true));
}

static void do_cancel(struct a2a_call *c)
{
	struct a2a_task *t = a2a_call_task(c, "id");

	if (!t)
		return;
	if (a2a_state_terminal(t->state) && t->state != A2A_CANCELED) {
		a2a_fail(c, A2A_E_NOT_CANCELABLE, "the task is finished");
		return;
	}
	if (t->state != A2A_CANCELED) {
		const struct a2a_app *app = &c->s->app;

		if (t->turn || (app->on_cancel && app->on_cancel(app->arg, c->r->peer, t->id)) ||
		    a2a_task_move(c->s, t, A2A_CANCELED, NULL)) {
			a2a_fail(c, A2A_E_NOT_CANCELABLE, "the task cannot be canceled now");
			return;
		}
	}
	a2a_succeed(c, a2a_task_json(t, true));
}

static void do_list(struct a2a_call *c)
{
	struct err e = { 0 };
	json_t *result = NULL;
	int code = a2a_task_list(&result, c->s, c->owner, c->params, &e);

	if (code)
		a2a_fail(c, code, e.text);
	else
		a2a_succeed(c, result);
}

static void do_extended(struct a2a_call *c)
{
	if (c->s->extended)
		a2a_succeed(c, json_incref(c->s->extended));
	else
		a2a_fail(c, A2A_E_UNSUPPORTED, "there is no extended agent card");
}

static const struct method {
	const char *name;
	void (*fn)(struct a2a_call *c);
} methods[] = {
	{ "SendMessage", do_send },
	{ "GetTask", do_get },
	{ "CancelTask", do_cancel },
	{ "ListTasks", do_list },
	{ "SendStreamingMessage", do_stream },
	{ "SubscribeToTask", a2a_do_subscribe },
	{ "CreateTaskPushNotificationConfig", a2a_do_push_create },
	{ "GetTaskPushNotificationConfig", a2a_do_push_get },
	{ "ListTaskPushNotificationConfigs", a2a_do_push_list },
	{ "DeleteTaskPushNotificationConfig", a2a_do_push_delete },
	{ "GetExtendedAgentCard", do_extended },
};

/* --- the headers --------------------------------------------------------------------------------
 */

/* "1.0", and "1.0.x" since a patch never changes the wire. Absent or empty means 0.3. */
static bool version_ok(const struct wire_request *r)
{
	const char *v = wire_header(r, "A2A-Version");
	size_t n = strlen(A2A_VERSION), digits, len;

	if (!v) {
		v = strstr(r->query, "A2A-Version=");
		if (!v || (v != r->query && v[-1] != '&'))
			return false;
		v += strlen("A2A-Version=");
	}
	len = strcspn(v, "&"); /* no version has one */
	if (len < n || strncmp(v, A2A_VERSION, n) != 0)
		return false;
	digits = v[n] == '.' ? strspn(v + n + 1, "0123456789") : 0;
	return len == n || (digits && len == n + 1 + digits);
}

static bool listed(const char *list, const char *uri)
{
	size_t n = strlen(uri);

	while (list && *list) {
		list += strspn(list, ", \t");
		if (strcspn(list, ", \t") == n && !memcmp(list, uri, n))
			return true;
		list += strcspn(list, ", \t");
	}
	return false;
}

/* A header may come several times; all of them count. */
static void activate(const struct a2a_server *s, const struct wire_request *r, struct a2a_to *to)
{
	for (size_t i = 0; i < r->nheaders; i++) {
		if (strcasecmp(r->headers[i].name, "A2A-Extensions") != 0)
			continue;
		to->extension |= s->extension && listed(r->headers[i].value, s->extension);
		to->offered |= s->offered && listed(r->headers[i].value, s->offered);
	}
}

void a2a_dispatch(struct a2a_call *c, const char *method)
{
	if (!version_ok(c->r)) {
		a2a_fail(c, A2A_E_VERSION, "A2A-Version: only " A2A_VERSION " is spoken here");
		return;
	}
	if (c->s->cfg.extension_required && !c->to.extension) {
		a2a_fail(c, A2A_E_EXTENSION_REQUIRED, "A2A-Extensions: a required one is missing");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(methods[i].name, method))
			continue;
		methods[i].fn(c);
		return;
	}
	a2a_fail(c, A2A_E_METHOD, "no such method");
}

static void json_rpc(struct a2a_call *c)
{
	struct rpc_request rpc;
	struct err e = { 0 };
	int code = rpc_parse(&rpc, c->r->body, c->r->len, &e);

	c->to.id = rpc.id;
	c->params = rpc.params;
	if (!code && !rpc.id) {
		code = A2A_E_REQUEST;
		(void)err_set(&e, -EINVAL, "id: missing");
	}
	if (code)
		a2a_fail(c, code, e.text);
	else
		a2a_dispatch(c, rpc.method);
	json_decref(rpc.root);
}

static void endpoint(struct a2a_server *s, const struct wire_request *r, struct wire_sink sink)
{
	const char *below = r->path + strlen(s->path);
	struct a2a_call c = { .s = s, .r = r, .to = { .sink = sink } };

	if (!r->peer->did[0] && !r->peer->local) {
		a2a_plain(sink, 401, NULL);
		return;
	}
	wire_owner(r->peer, c.owner);
	activate(s, r, &c.to);
	if (*below == '/' && below[1])
		a2a_rest(&c, below);
	else if (strcmp(r->method, "POST"))
		a2a_plain(sink, 405, "POST");
	else if (!rpc_is_json(wire_header(r, "Content-Type")))
		a2a_fail(&c, A2A_E_CONTENT_TYPE, "Content-Type: application/json is needed");
	else
		json_rpc(&c);
}

static void card(const struct a2a_server *s, const struct wire_request *r, struct wire_sink sink)
{
	const struct wire_header h[] = { { "Cache-Control", "max-age=300" },
					 { "ETag", s->etag },
					 { "A2A-Version", A2A_VERSION } };
	const char *have = wire_header(r, "If-None-Match");
	struct wire_response a = { .status = 200,
				   .content_type = "application/json",
				   .headers = h,
				   .nheaders = ARRAY_LEN(h),
				   .body = s->card,
				   .len = strlen(s->card) };

	if (strcmp(r->method, "GET")) {
		a2a_plain(sink, 405, "GET");
		return;
	}
	if (have && !strcmp(have, s->etag))
		a = (struct wire_response){ .status = 304, .headers = h, .nheaders = ARRAY_LEN(h) };
	sink.fn(sink.to, &a);
}

bool a2a_server_path(const struct a2a_server *s, const char *path)
{
	size_t n = strlen(s->path);

	if (!strcmp(path, A2A_CARD_PATH))
		return true;
	return !strncmp(path, s->path, n) && (!path[n] || path[n] == '/');
}

void a2a_server_handle(struct a2a_server *s, const struct wire_request *r, struct wire_sink sink)
{
	if (!strcmp(r->path, A2A_CARD_PATH))
		card(s, r, sink);
	else if (a2a_server_path(s, r->path))
		endpoint(s, r, sink);
	else
		a2a_plain(sink, 404, NULL);
}
