/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP+JSON binding: a path and a query become the parameters of the same methods, and errors
 * become google.rpc.Status with an HTTP status of their own. */
#include "a2a_i.h"

#include <errno.h>
#include <stdio.h>

/* JSON-RPC's own errors, which A2A's have no reason for: here their number does not travel. */
static const char *rpc_reason(json_int_t code)
{
	switch (code) {
	case A2A_E_PARSE: return "PARSE_ERROR";
	case A2A_E_REQUEST: return "INVALID_REQUEST";
	case A2A_E_METHOD: return "METHOD_NOT_FOUND";
	case A2A_E_PARAMS: return "INVALID_PARAMS";
	case A2A_E_INTERNAL: return "INTERNAL_ERROR";
	default: return NULL;
	}
}

/* The error's data with that reason behind it, a new reference; NULL: there is none. */
static json_t *details(const json_t *error, json_int_t code)
{
	json_t *data = json_object_get(error, "data");
	const char *reason = error ? rpc_reason(code) : NULL;

	if (!reason)
		return json_incref(data);
	data = json_is_array(data) ? json_copy(data) : json_array();
	(void)json_array_append_new(data,
				    json_pack("{s:s, s:s, s:s}", "@type",
					      "type.googleapis.com/google.rpc.ErrorInfo", "reason",
					      reason, "domain", "a2a-protocol.org"));
	return data;
}

json_t *a2a_rest_error(json_t *error, int *ret_status)
{
	json_int_t code = json_integer_value(json_object_get(error, "code"));
	json_t *out;
	const char *name = "INVALID_ARGUMENT";

	*ret_status = 400;
	if (code == A2A_E_TASK_NOT_FOUND || code == A2A_E_METHOD) {
		*ret_status = 404;
		name = "NOT_FOUND";
	} else if (code == A2A_E_LIMIT) {
		*ret_status = 429;
		name = "RESOURCE_EXHAUSTED";
	} else if (code == A2A_E_INVALID_RESPONSE || code == A2A_E_INTERNAL || !error) {
		*ret_status = 500;
		name = "INTERNAL";
	} else if (code == A2A_E_UNSUPPORTED || code == A2A_E_NOT_CANCELABLE ||
		   code == A2A_E_NO_EXTENDED_CARD || code == A2A_E_NO_PUSH) {
		name = "FAILED_PRECONDITION";
	}
	out = json_pack("{s:{s:i, s:s, s:s, s:o*}}", "error", "code", *ret_status, "status", name,
			"message",
			error ? json_string_value(json_object_get(error, "message")) : "no memory",
			"details", details(error, code));
	json_decref(error);
	return out;
}

/* --- paths --------------------------------------------------------------------------------------
 */

/* One path: "{x}" takes one segment, up to its verb, into the member x. */
static const struct route {
	const char *verb, *path, *method;
} routes[] = {
	{ "POST", "/message:send", "SendMessage" },
	{ "POST", "/message:stream", "SendStreamingMessage" },
	{ "GET", "/tasks", "ListTasks" },
	{ "GET", "/tasks/{id}", "GetTask" },
	{ "POST", "/tasks/{id}:cancel", "CancelTask" },
	{ "GET", "/tasks/{id}:subscribe", "SubscribeToTask" },
	{ "POST", "/tasks/{id}:subscribe", "SubscribeToTask" },
	{ "POST", "/tasks/{taskId}/pushNotificationConfigs", "CreateTaskPushNotificationConfig" },
	{ "GET", "/tasks/{taskId}/pushNotificationConfigs", "ListTaskPushNotificationConfigs" },
	{ "GET", "/tasks/{taskId}/pushNotificationConfigs/{id}", "GetTaskPushNotificationConfig" },
	{ "DELETE", "/tasks/{taskId}/pushNotificationConfigs/{id}",
	  "DeleteTaskPushNotificationConfig" },
	{ "GET", "/extendedAgentCard", "GetExtendedAgentCard" },
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes n bytes; NULL: broken, or a NUL. */
static json_t *decoded(const char *s, size_t n)
{
	auto_free char *out = malloc(n + 1);
	size_t len = 0;

	for (size_t i = 0; out && i < n; i++, len++) {
		int a = s[i] == '%' && i + 2 < n ? hex(s[i + 1]) : -1;
		int b = a >= 0 ? hex(s[i + 2]) : -1;

		if (s[i] != '%') {
			out[len] = s[i];
			continue;
		}
		if (b < 0 || !(a | b))
			return NULL;
		out[len] = (char)(a << 4 | b);
		i += 2;
	}
	return out ? json_stringn(out, len) : NULL;
}

/* True when path is the route's; its segments become members of params. */
static bool match(const char *route, const char *path, json_t *params)
{
	while (*route) {
		if (*route == '{') {
			const char *close = strchr(route, '}');
			size_t n = strcspn(path, "/:");
			char name[16];
			json_t *v = n ? decoded(path, n) : NULL;

			(void)snprintf(name, sizeof(name), "%.*s", (int)(close - route - 1),
				       route + 1);
			if (!v || json_object_set_new(params, name, v))
				return false;
			route = close + 1;
			path += n;
		} else if (*route++ != *path++) {
			return false;
		}
	}
	return !*path;
}

/* A query's values are texts: what looks like a number or a boolean is one. */
static json_t *query_value(const char *name, const char *s, size_t n)
{
	static const char *const numbers[] = { "pageSize", "page_size", "historyLength",
					       "history_length" };
	char text[16];

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (!strcmp(name, numbers[i]) && n && n < sizeof(text)) {
			(void)snprintf(text, sizeof(text), "%.*s", (int)n, s);
			if (strspn(text, "0123456789") == n)
				return json_integer(strtoll(text, NULL, 10));
		}
	if (!strcmp(name, "includeArtifacts") || !strcmp(name, "include_artifacts")) {
		if (n == 4 && !strncmp(s, "true", 4))
			return json_true();
		if (n == 5 && !strncmp(s, "false", 5))
			return json_false();
	}
	return decoded(s, n);
}

/* What the path says is there already, and stands. */
static int query_read(json_t *params, const char *q, struct err *e)
{
	while (*q) {
		size_t n = strcspn(q, "&"), eq = strcspn(q, "=");
		char name[40];
		json_t *v;

		if (eq < n && eq < sizeof(name)) {
			(void)snprintf(name, sizeof(name), "%.*s", (int)eq, q);
			if (json_object_get(params, name))
				return err_set(e, -EINVAL, "query: %s came before", name);
			v = query_value(name, q + eq + 1, n - eq - 1);
			if (!v || json_object_set_new(params, name, v))
				return err_set(e, -EINVAL, "query: broken encoding");
		}
		q += n + (q[n] == '&');
	}
	return 0;
}

static bool body_type_ok(const char *type)
{
	static const char own[] = "application/a2a+json";

	return rpc_is_json(type) || (type && !strncmp(type, own, sizeof(own) - 1));
}

/* The body's members, under what the path says. 0 or the code with e. */
static int body_read(json_t *params, const struct wire_request *r, struct err *e)
{
	json_t *body;
	int bad;

	if (!r->len)
		return 0;
	if (!body_type_ok(wire_header(r, "Content-Type"))) {
		(void)err_set(e, -EINVAL, "Content-Type: application/json is needed");
		return A2A_E_CONTENT_TYPE;
	}
	body = rpc_json(r->body, r->len, e);
	if (!body)
		return A2A_E_PARSE;
	bad = json_is_object(body) ? json_object_update_missing(params, body) : -1;
	json_decref(body);
	if (bad)
		(void)err_set(e, -EINVAL, "body: one object is needed");
	return bad ? A2A_E_REQUEST : 0;
}

static void run(struct a2a_call *c, const struct route *route, json_t *params)
{
	struct err e = { 0 };
	int code = 0;

	if (!strcmp(route->verb, "POST")) {
		code = body_read(params, c->r, &e);
	} else if (query_read(params, c->r->query, &e)) {
		code = A2A_E_PARAMS;
	}
	c->params = params;
	if (code)
		a2a_fail(c, code, e.text);
	else
		a2a_dispatch(c, route->method);
}

void a2a_rest(struct a2a_call *c, const char *below)
{
	bool known = false;

	c->to.rest = true;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		json_t *params = json_object();
		bool hit = params && match(routes[i].path, below, params);

		known |= hit;
		if (hit && !strcmp(routes[i].verb, c->r->method)) {
			run(c, &routes[i], params);
			json_decref(params);
			return;
		}
		json_decref(params);
	}
	if (known)
		a2a_plain(c->to.sink, 405, "GET, POST, DELETE");
	else
		a2a_fail(c, A2A_E_METHOD, "no such resource");
}
