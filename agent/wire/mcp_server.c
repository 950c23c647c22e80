/* SPDX-License-Identifier: Apache-2.0 */
/* Which revision a request speaks, and what each demands of its envelope. In 2026-07-28 a request
 * says in its body and again in its headers what it is; where the two differ, something between us
 * and the caller was deceived: refused. A request without that is of the older revision, and
 * belongs to a session. */
#include "mcp_i.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "agent/crypto/crypto.h"

#define TEXT_MAX     200
#define NAME_MAX_LEN 64

/* --- answers ------------------------------------------------------------------------------------
 */

void mcp_send(struct wire_sink sink, int status, char *text)
{
	static const struct wire_header h = { "Cache-Control", "no-store" };
	struct wire_response r = { .status = text ? status : 500,
				   .content_type = "application/json",
				   .headers = &h,
				   .nheaders = 1,
				   .body = text,
				   .len = text ? strlen(text) : 0 };

	sink.fn(sink.to, &r);
	free(text);
}

void mcp_fail(struct mcp_req *c, int status, int code, const char *text)
{
	mcp_send(c->sink, status, rpc_error_new(c->rpc.id, code, text, NULL));
}

void mcp_limit(struct mcp_req *c, const struct wire_limit *l, bool status)
{
	char text[WIRE_LIMIT_TEXT];
	int http = wire_limit_problem(l, text);

	mcp_send(c->sink, status ? http : 200,
		 rpc_error_new(c->rpc.id, MCP_E_LIMIT, "a limit is reached",
			       rpc_json(text, strlen(text), NULL)));
}

json_t *mcp_complete(const struct mcp_server *s, bool legacy, json_t *result, bool cached)
{
	json_t *r, *meta;
	int bad;

	if (!result || legacy)
		return result;
	r = json_pack("{s:s}", "resultType", "complete");
	bad = json_object_update(r, result);
	json_decref(result);
	if (cached) {
		bad |= json_object_set_new(r, "ttlMs", json_integer(MCP_LIST_TTL_MS));
		bad |= json_object_set_new(r, "cacheScope", json_string("private"));
	}
	meta = json_pack("{s:{s:s, s:s}}", MCP_META "serverInfo", "name", s->cfg.name, "version",
			 s->cfg.version);
	if (json_object_get(r, "_meta"))
		bad |= json_object_update(meta, json_object_get(r, "_meta"));
	bad |= json_object_set_new(r, "_meta", meta);
	if (bad) {
		json_decref(r);
		return NULL;
	}
	return r;
}

void mcp_succeed(struct mcp_req *c, json_t *result, bool cached)
{
	mcp_send(c->sink, 200,
		 rpc_result_new(c->rpc.id, mcp_complete(c->s, c->legacy, result, cached)));
}

static const struct method {
	const char *name;
	void (*fn)(struct mcp_req *c);
	const char *mirrored; /* the member that Mcp-Name repeats */
	bool modern_only;
} methods[] = {
	{ "server/discover", mcp_do_discover, NULL, true },
	{ "subscriptions/listen", mcp_do_listen, NULL, true },
	{ "tools/list", mcp_do_tools, NULL, false },
	{ "tools/call", mcp_do_call, "name", false },
	{ "resources/list", mcp_do_resources, NULL, false },
	{ "resources/templates/list", mcp_do_templates, NULL, false },
	{ "resources/read", mcp_do_read, "uri", false },
	{ "prompts/list", mcp_do_prompts, NULL, false },
	{ "prompts/get", mcp_do_prompt, "name", false },
	{ "completion/complete", mcp_do_complete, NULL, false },
	{ "tasks/get", mcp_do_task_get, "taskId", false },
	{ "tasks/update", mcp_do_task_update, "taskId", true },
	{ "tasks/cancel", mcp_do_task_cancel, "taskId", false },
};

static const struct method *method_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (!strcmp(methods[i].name, name))
			return &methods[i];
	return NULL;
}

/* --- the envelope -------------------------------------------------------------------------------
 */

static void wrong_version(struct mcp_req *c, const char *requested)
{
	json_t *data = json_pack("{s:[s], s:s}", "supported", MCP_VERSION, "requested", requested);

	mcp_send(c->sink, 400,
		 rpc_error_new(c->rpc.id, MCP_E_VERSION, "Unsupported protocol version", data));
}

const char *mcp_header_decode(const char *v, char out[256])
{
	size_t len = strlen(v);
	int n;

	if (len < 11 || strncmp(v, "=?base64?", 9) || strcmp(v + len - 2, "?="))
		return len < 256 ? v : NULL;
	n = base64_decode(v + 9, len - 11, out, 255);
	if (n < 0 || memchr(out, '\0', (size_t)n))
		return NULL;
	out[n] = '\0';
	return out;
}

/* The header must be there and say what the body says. */
static bool mirrors(struct mcp_req *c, const char *header, const char *body)
{
	const char *v = wire_header(c->r, header), *plain;
	char text[TEXT_MAX], buf[256];

	plain = v ? mcp_header_decode(v, buf) : NULL;
	if (plain && !strcmp(plain, body))
		return true;
	(void)snprintf(text, sizeof(text), "Header mismatch: %s is %s", header,
		       v ? "not the body's value" : "missing");
	mcp_fail(c, 400, MCP_E_HEADER, text);
	return false;
}

static bool meta_ok(struct mcp_req *c, const char **version)
{
	const json_t *v;

	c->meta = json_object_get(c->rpc.params, "_meta");
	v = json_object_get(c->meta, MCP_META "protocolVersion");
	*version = json_string_value(v);
	if (!json_is_object(c->meta) || !*version) {
		mcp_fail(c, 400, MCP_E_PARAMS,
			 "_meta." MCP_META "protocolVersion: a string is needed");
		return false;
	}
	if (!json_is_object(json_object_get(c->meta, MCP_META "clientCapabilities"))) {
		mcp_fail(c, 400, MCP_E_PARAMS,
			 "_meta." MCP_META "clientCapabilities: an object is needed");
		return false;
	}
	return true;
}

/* What a request of 2026-07-28 carries, or what its transport says it is. */
static bool is_modern(const struct mcp_req *c)
{
	const json_t *meta = json_object_get(c->rpc.params, "_meta");
	const char *v = wire_header(c->r, "MCP-Protocol-Version");

	return json_object_get(meta, MCP_META "protocolVersion") || (v && !strcmp(v, MCP_VERSION));
}

static void modern(struct mcp_req *c)
{
	const struct method *m;
	const char *version, *name, *header = wire_header(c->r, "MCP-Protocol-Version");

	if (!meta_ok(c, &version))
		return;
	/* A version that both name and we do not know: its other rules for headers are not known.
	 */
	if (strcmp(version, MCP_VERSION) && (!header || !strcmp(header, version))) {
		wrong_version(c, version);
		return;
	}
	if (!mirrors(c, "MCP-Protocol-Version", version) ||
	    !mirrors(c, "Mcp-Method", c->rpc.method))
		return;
	m = method_find(c->rpc.method);
	name = m && m->mirrored ? json_string_value(json_object_get(c->rpc.params, m->mirrored))
				: NULL;
	if (name && !mirrors(c, "Mcp-Name", name))
		return;
	if (m)
		m->fn(c);
	else
		mcp_fail(c, 404, MCP_E_METHOD, "no such method");
}

/* True when the session's header is right; else answered: 400 without one, 404 when it is over, so
 * that the caller begins anew. */
static bool in_session(struct mcp_req *c)
{
	c->session = mcp_session_find(c);
	if (!c->session)
		mcp_fail(c, wire_header(c->r, "Mcp-Session-Id") ? 404 : 400, MCP_E_REQUEST,
			 "Mcp-Session-Id: no such session");
	return c->session != NULL;
}

static bool legacy_version_ok(struct mcp_req *c)
{
	static const char *const known[] = { "2025-11-25", "2025-06-18", "2025-03-26" };
	const char *v = wire_header(c->r, "MCP-Protocol-Version");

	for (size_t i = 0; v && i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i], v))
			return true;
	if (v)
		wrong_version(c, v);
	return !v;
}

static void legacy(struct mcp_req *c)
{
	const struct method *m = method_find(c->rpc.method);
	bool begins = !strcmp(c->rpc.method, "initialize");

	c->legacy = true;
	c->meta = json_object_get(c->rpc.params, "_meta");
	if (!begins && (!legacy_version_ok(c) || !in_session(c)))
		return;
	if (mcp_legacy(c))
		return;
	if (m && !m->modern_only)
		m->fn(c);
	else
		mcp_fail(c, 200, MCP_E_METHOD, "no such method");
}

/* A caller of an older revision begins with initialize and without our _meta: where only the newer
 * one is spoken, tell it so, in the one error that names versions. */
static void dispatch(struct mcp_req *c)
{
	const char *version;

	if (is_modern(c)) {
		modern(c);
	} else if (c->s->cfg.legacy) {
		legacy(c);
	} else if (!strcmp(c->rpc.method, "initialize")) {
		version = json_string_value(json_object_get(c->rpc.params, "protocolVersion"));
		wrong_version(c, version ? version : "");
	} else {
		modern(c);
	}
}

bool mcp_server_path(const struct mcp_server *s, const char *path)
{
	return !strcmp(s->path, path);
}

/* True, and answered: it belongs to a session that is over. */
static bool late(struct mcp_req *c)
{
	return c->s->cfg.legacy && !is_modern(c) && wire_header(c->r, "Mcp-Session-Id") &&
	       !in_session(c);
}

/* A notification, or the answer to what we asked: neither is answered. */
static void one_way(struct mcp_req *c)
{
	static const struct wire_response accepted = { .status = 202 };

	if (late(c))
		return;
	if (c->session && !strcmp(c->rpc.method, "notifications/cancelled"))
		mcp_turn_cancelled(c);
	c->sink.fn(c->sink.to, &accepted);
}

/* A response, to rpc_parse() no request at all. True: taken. */
static bool response(struct mcp_req *c)
{
	static const struct wire_response accepted = { .status = 202 };
	const json_t *root = c->rpc.root;

	if (!c->s->cfg.legacy || !json_is_object(root) || json_object_get(root, "method") ||
	    (!json_object_get(root, "result") && !json_object_get(root, "error")))
		return false;
	if (late(c))
		return true;
	if (!c->session)
		return false;
	mcp_turn_answered(c, root);
	c->sink.fn(c->sink.to, &accepted);
	return true;
}

static void post(struct mcp_req *c)
{
	struct err e = { 0 };
	int code;

	if (!rpc_is_json(wire_header(c->r, "Content-Type"))) {
		mcp_fail(c, 415, MCP_E_REQUEST, "Content-Type: application/json is needed");
		return;
	}
	code = rpc_parse(&c->rpc, c->r->body, c->r->len, &e);
	if (code && response(c))
		;
	else if (code)
		mcp_fail(c, 400, code, e.text);
	else if (!c->rpc.id)
		one_way(c);
	else
		dispatch(c);
	json_decref(c->rpc.root);
}

void mcp_server_handle(struct mcp_server *s, const struct wire_request *r, struct wire_sink sink)
{
	static const struct wire_header allow = { "Allow", "POST" };
	static const struct wire_response only_post = { .status = 405,
							.headers = &allow,
							.nheaders = 1 };
	static const struct wire_response missing = { .status = 404 };
	struct mcp_req c = { .s = s, .r = r, .sink = sink };
	const char *version = wire_header(r, "MCP-Protocol-Version");

	wire_owner(r->peer, c.owner);
	if (!mcp_server_path(s, r->path))
		sink.fn(sink.to, &missing);
	else if (!strcmp(r->method, "POST"))
		post(&c);
	else if (!s->cfg.legacy || (version && !strcmp(version, MCP_VERSION)))
		sink.fn(sink.to, &only_post);
	else if (!in_session(&c))
		;
	else if (!strcmp(r->method, "GET"))
		mcp_session_get(&c);
	else
		mcp_session_delete(&c);
}

/* --- birth ---------------------------------------------------------------------------------------
 */

static json_t *schema_new(const struct mcp_tool *t, const char *what, const char *text,
			  struct err *e)
{
	struct err inner = { 0 };
	json_t *s = text ? rpc_json(text, strlen(text), &inner) : NULL;
	const char *type = json_string_value(json_object_get(s, "type"));

	if (type && !strcmp(type, "object"))
		return s;
	json_decref(s);
	(void)err_set(e, -EINVAL, "tool %s: %s: a JSON Schema of type object is needed %.60s",
		      t->name, what, inner.text);
	return NULL;
}

static json_t *tool_new(const struct mcp_tool *t, struct err *e)
{
	json_t *tool, *in, *out = NULL;
	size_t n = t->name ? strlen(t->name) : 0;

	if (!n || n > NAME_MAX_LEN ||
	    strspn(t->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != n) {
		(void)err_set(e, -EINVAL, "tool %s: name must be [a-z0-9_]{1,64}",
			      t->name ? t->name : "");
		return NULL;
	}
	in = schema_new(t, "inputSchema", t->input_schema, e);
	if (in && t->output_schema)
		out = schema_new(t, "outputSchema", t->output_schema, e);
	if (!in || (t->output_schema && !out)) {
		json_decref(in);
		return NULL;
	}
	tool = json_pack("{s:s, s:s*, s:s, s:o, s:o*, s:{s:b, s:b, s:b, s:b}}", "name", t->name,
			 "title", t->title, "description", t->description, "inputSchema", in,
			 "outputSchema", out, "annotations", "readOnlyHint", t->read_only,
			 "destructiveHint", t->destructive, "idempotentHint", t->idempotent,
			 "openWorldHint", t->open_world);
	if (!tool)
		(void)err_set(e, -EINVAL, "tool %s: a description is needed", t->name);
	return tool;
}

static char *info_new(const struct mcp_config *c)
{
	struct json_out o = { 0 };

	json_out_lit(&o, "\"_meta\":{\"" MCP_META "serverInfo\":{\"name\":");
	json_out_str(&o, c->name, strlen(c->name));
	json_out_lit(&o, ",\"version\":");
	json_out_str(&o, c->version, strlen(c->version));
	json_out_lit(&o, "}}");
	return json_out_take(&o, NULL);
}

int mcp_server_new(struct mcp_server **ret, const struct mcp_config *c, const struct mcp_app *app,
		   struct err *e)
{
	struct mcp_server *s;

	if (!c->path || c->path[0] != '/' || !c->name || !c->version || !app->call)
		return err_set(e, -EINVAL, "mcp: path from /, name, version and call are needed");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "mcp: no memory");
	LIST_INIT(&s->turns);
	LIST_INIT(&s->listeners);
	TAILQ_INIT(&s->sessions);
	TAILQ_INIT(&s->tasks);
	s->cfg = *c;
	s->app = *app;
	s->cfg.max_turns = c->max_turns ? c->max_turns : 256;
	s->cfg.max_peer_turns = c->max_peer_turns ? c->max_peer_turns : 64;
	s->cfg.max_peer_streams = c->max_peer_streams ? c->max_peer_streams : 16;
	s->cfg.max_streams = c->max_streams ? c->max_streams : 1024;
	s->cfg.max_sessions = c->max_sessions ? c->max_sessions : 256;
	s->path = strdup(c->path);
	s->info = info_new(c);
	s->prompts = c->prompts ? rpc_json(c->prompts, strlen(c->prompts), e) : NULL;
	s->tools = calloc(c->ntools + 1, sizeof(json_t *));
	if (!s->path || !s->info || !s->tools || (c->prompts && !s->prompts)) {
		(void)mcp_server_free(s);
		return err_set(e, -ENOMEM, "mcp: no memory");
	}
	for (size_t i = 0; i < c->ntools; i++) {
		s->tools[i] = tool_new(&c->tools[i], e);
		if (!s->tools[i]) {
			(void)mcp_server_free(s);
			return -EINVAL;
		}
	}
	*ret = s;
	return 0;
}

struct mcp_server *mcp_server_free(struct mcp_server *s)
{
	if (!s)
		return NULL;
	mcp_turns_abandon(s);
	mcp_tasks_free(s);
	mcp_sessions_free(s);
	json_decref(s->prompts);
	for (size_t i = 0; s->tools && i < s->cfg.ntools; i++)
		json_decref(s->tools[i]);
	free(s->tools);
	free(s->info);
	free(s->path);
	free(s);
	return NULL;
}
