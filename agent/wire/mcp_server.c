/* SPDX-License-Identifier: Apache-2.0 */
/* Revision 2026-07-28: every request stands alone and says in its body and again in its headers
 * what it is; where the two differ, something between us and the caller was deceived: refused. */
#include "mcp.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/queue.h>

#include "rpc.h"

#define META         "io.modelcontextprotocol/"
#define TEXT_MAX     200
#define LIST_TTL_MS  300000
#define KEY_MAX      128
#define NAME_MAX_LEN 64

struct mcp_turn {
	LIST_ENTRY(mcp_turn) entry;
	struct mcp_server *s; /* NULL: the server is gone, and the sink has its answer */
	struct wire_sink sink;
	json_t *id;
};

struct mcp_server {
	struct mcp_config cfg;
	struct mcp_app app;
	char *path;
	json_t **tools; /* as listed */
	LIST_HEAD(, mcp_turn) turns;
	size_t nturns;
};

struct call {
	struct mcp_server *s;
	const struct wire_request *r;
	struct wire_sink sink;
	struct rpc_request rpc;
	const json_t *meta;
};

/* --- answers ------------------------------------------------------------------------------------
 */

static void send_text(struct wire_sink sink, int status, char *text)
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

static void fail(struct call *c, int status, int code, const char *text)
{
	send_text(c->sink, status, rpc_error_new(c->rpc.id, code, text, NULL));
}

static json_t *server_info(const struct mcp_server *s)
{
	return json_pack("{s:{s:s, s:s}}", META "serverInfo", "name", s->cfg.name, "version",
			 s->cfg.version);
}

static json_t *with_meta(const struct mcp_server *s, json_t *result)
{
	if (result && json_object_set_new(result, "_meta", server_info(s))) {
		json_decref(result);
		return NULL;
	}
	return result;
}

static void succeed(struct call *c, json_t *result)
{
	result = with_meta(c->s, result);
	send_text(c->sink, 200, rpc_result_new(c->rpc.id, result));
}

/* --- the methods --------------------------------------------------------------------------------
 */

static void do_discover(struct call *c)
{
	json_t *r = json_pack("{s:s, s:[s], s:{s:{s:b}}, s:i, s:s}", "resultType", "complete",
			      "supportedVersions", MCP_VERSION, "capabilities", "tools",
			      "listChanged", 0, "ttlMs", LIST_TTL_MS, "cacheScope", "private");

	if (r && c->s->cfg.instructions &&
	    json_object_set_new(r, "instructions", json_string(c->s->cfg.instructions))) {
		json_decref(r);
		r = NULL;
	}
	succeed(c, r);
}

static bool allowed(const struct call *c, const char *tool)
{
	return !c->s->app.allowed || c->s->app.allowed(c->s->app.arg, c->r->peer, tool);
}

static void do_list(struct call *c)
{
	const json_t *cursor = json_object_get(c->rpc.params, "cursor");
	json_t *list;
	int bad = 0;

	if (cursor) {
		/* Everything fits one page, so no cursor was ever given out. */
		fail(c, 200, MCP_E_PARAMS, "cursor: not one of ours");
		return;
	}
	list = json_array();
	for (size_t i = 0; list && i < c->s->cfg.ntools; i++)
		if (allowed(c, c->s->cfg.tools[i].name))
			bad |= json_array_append(list, c->s->tools[i]);
	if (bad) {
		json_decref(list);
		list = NULL;
	}
	succeed(c, list ? json_pack("{s:s, s:o, s:i, s:s}", "resultType", "complete", "tools", list,
				    "ttlMs", LIST_TTL_MS, "cacheScope", "private")
			: NULL);
}

static const char *tool_find(const struct call *c, const char *name)
{
	for (size_t i = 0; name && i < c->s->cfg.ntools; i++)
		if (!strcmp(c->s->cfg.tools[i].name, name))
			return allowed(c, name) ? c->s->cfg.tools[i].name : NULL;
	return NULL;
}

/* *ret stays NULL when there is none. */
static int key_read(const json_t *meta, const char **ret)
{
	const json_t *v = json_object_get(meta, MCP_IDEMPOTENCY_KEY);
	const char *s = json_string_value(v);

	if (!v)
		return 0;
	if (!s || !*s || strlen(s) > KEY_MAX)
		return -EINVAL;
	for (const char *p = s; *p; p++)
		if (*p < 0x21 || *p > 0x7e)
			return -EINVAL;
	*ret = s;
	return 0;
}

static struct mcp_turn *turn_new(struct call *c)
{
	struct mcp_turn *t = c->s->nturns < c->s->cfg.max_turns ? calloc(1, sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	*t = (struct mcp_turn){ .s = c->s, .sink = c->sink, .id = json_incref(c->rpc.id) };
	LIST_INSERT_HEAD(&c->s->turns, t, entry);
	c->s->nturns++;
	return t;
}

static void do_call(struct call *c)
{
	const char *name = json_string_value(json_object_get(c->rpc.params, "name"));
	const char *tool = tool_find(c, name), *key = NULL;
	json_t *args = json_object_get(c->rpc.params, "arguments");
	json_t *none = NULL;
	struct mcp_turn *t;

	if (!tool) {
		fail(c, 200, MCP_E_PARAMS, name ? "name: unknown tool" : "name: missing");
	} else if (args && !json_is_object(args)) {
		fail(c, 200, MCP_E_PARAMS, "arguments: an object is needed");
	} else if (key_read(c->meta, &key)) {
		fail(c, 200, MCP_E_PARAMS,
		     "_meta." MCP_IDEMPOTENCY_KEY ": 1..128 visible ASCII bytes are needed");
	} else {
		none = args ? NULL : json_object();
		t = args || none ? turn_new(c) : NULL;
		if (!t)
			fail(c, 200, MCP_E_INTERNAL, "too many calls are under way");
		else if (c->s->app.call(c->s->app.arg, c->r->peer, tool, args ? args : none, key,
					t) < 0)
			mcp_turn_fail(t, MCP_E_INTERNAL, "internal error");
		json_decref(none);
	}
}

static const struct method {
	const char *name;
	void (*fn)(struct call *c);
} methods[] = {
	{ "server/discover", do_discover },
	{ "tools/list", do_list },
	{ "tools/call", do_call },
};

/* --- the envelope -------------------------------------------------------------------------------
 */

static void wrong_version(struct call *c, const char *requested)
{
	json_t *data = json_pack("{s:[s], s:s}", "supported", MCP_VERSION, "requested", requested);

	send_text(c->sink, 400,
		  rpc_error_new(c->rpc.id, MCP_E_VERSION, "Unsupported protocol version", data));
}

static int base64_value(char c)
{
	static const char abc[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(abc, c) : NULL;

	return p ? (int)(p - abc) : -1;
}

/* "=?base64?....?=" is how a header carries what a header cannot. False: broken. */
static bool header_decode(const char *v, char out[256])
{
	size_t len = strlen(v), n = 0;
	unsigned acc = 0, bits = 0;

	if (len < 11 || strncmp(v, "=?base64?", 9) || strcmp(v + len - 2, "?=")) {
		(void)snprintf(out, 256, "%s", v);
		return len < 256;
	}
	for (const char *p = v + 9; p < v + len - 2 && *p != '='; p++) {
		int d = base64_value(*p);

		if (d < 0 || n >= 255)
			return false;
		acc = (acc << 6 | (unsigned)d) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n] = (char)(acc >> bits & 0xff);
			if (!out[n++])
				return false;
		}
	}
	out[n] = 0;
	return true;
}

/* The header must be there and say what the body says. */
static bool mirrors(struct call *c, const char *header, const char *body)
{
	const char *v = wire_header(c->r, header);
	char text[TEXT_MAX], plain[256];

	if (v && header_decode(v, plain) && !strcmp(plain, body))
		return true;
	(void)snprintf(text, sizeof(text), "Header mismatch: %s is %s", header,
		       v ? "not the body's value" : "missing");
	fail(c, 400, MCP_E_HEADER, text);
	return false;
}

static bool meta_ok(struct call *c, const char **version)
{
	const json_t *v;

	c->meta = json_object_get(c->rpc.params, "_meta");
	v = json_object_get(c->meta, META "protocolVersion");
	*version = json_string_value(v);
	if (!json_is_object(c->meta) || !*version) {
		fail(c, 400, MCP_E_PARAMS, "_meta." META "protocolVersion: a string is needed");
		return false;
	}
	if (!json_is_object(json_object_get(c->meta, META "clientCapabilities"))) {
		fail(c, 400, MCP_E_PARAMS, "_meta." META "clientCapabilities: an object is needed");
		return false;
	}
	return true;
}

/* A caller of an older revision begins with initialize and without our _meta: tell it what we
 * speak, in the one error that names versions. */
static bool is_legacy(const struct call *c)
{
	const json_t *meta = json_object_get(c->rpc.params, "_meta");

	return !strcmp(c->rpc.method, "initialize") &&
	       !json_object_get(meta, META "protocolVersion");
}

static void dispatch(struct call *c)
{
	const char *version, *name;

	if (is_legacy(c)) {
		version = json_string_value(json_object_get(c->rpc.params, "protocolVersion"));
		wrong_version(c, version ? version : "");
		return;
	}
	if (!meta_ok(c, &version))
		return;
	/* An unknown version first: its rules for headers are not known either. */
	if (strcmp(version, MCP_VERSION)) {
		wrong_version(c, version);
		return;
	}
	if (!mirrors(c, "MCP-Protocol-Version", version) ||
	    !mirrors(c, "Mcp-Method", c->rpc.method))
		return;
	name = json_string_value(json_object_get(c->rpc.params, "name"));
	if (!strcmp(c->rpc.method, "tools/call") && name && !mirrors(c, "Mcp-Name", name))
		return;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(methods[i].name, c->rpc.method))
			continue;
		methods[i].fn(c);
		return;
	}
	fail(c, 404, MCP_E_METHOD, "no such method");
}

bool mcp_server_path(const struct mcp_server *s, const char *path)
{
	return !strcmp(s->path, path);
}

void mcp_server_handle(struct mcp_server *s, const struct wire_request *r, struct wire_sink sink)
{
	static const struct wire_header allow = { "Allow", "POST" };
	static const struct wire_response only_post = { .status = 405,
							.headers = &allow,
							.nheaders = 1 };
	static const struct wire_response accepted = { .status = 202 }, missing = { .status = 404 };
	struct call c = { .s = s, .r = r, .sink = sink };
	struct err e = { 0 };
	int code;

	if (!mcp_server_path(s, r->path)) {
		sink.fn(sink.to, &missing);
		return;
	}
	if (strcmp(r->method, "POST")) {
		sink.fn(sink.to, &only_post);
		return;
	}
	if (!rpc_is_json(wire_header(r, "Content-Type"))) {
		fail(&c, 415, MCP_E_REQUEST, "Content-Type: application/json is needed");
		return;
	}
	code = rpc_parse(&c.rpc, r->body, r->len, &e);
	if (code)
		fail(&c, 400, code, e.text);
	else if (!c.rpc.id)
		sink.fn(sink.to, &accepted); /* a notification: none is defined, none is answered */
	else
		dispatch(&c);
	json_decref(c.rpc.root);
}

/* --- the three ends of a call --------------------------------------------------------------------
 */

static void turn_end(struct mcp_turn *t, char *text)
{
	if (t->s) {
		LIST_REMOVE(t, entry);
		t->s->nturns--;
		send_text(t->sink, 200, text);
	} else {
		free(text);
	}
	json_decref(t->id);
	free(t);
}

static json_t *call_result(const struct mcp_server *s, const char *text, const json_t *structured)
{
	json_t *r = json_pack("{s:s, s:[{s:s, s:s}], s:b}", "resultType", "complete", "content",
			      "type", "text", "text", text, "isError", structured == NULL);

	if (r && structured &&
	    json_object_set_new(r, "structuredContent", json_deep_copy(structured))) {
		json_decref(r);
		return NULL;
	}
	return with_meta(s, r);
}

void mcp_turn_result(struct mcp_turn *t, const json_t *structured)
{
	auto_free char *text =
		json_is_object(structured) ? json_dumps(structured, JSON_COMPACT) : NULL;

	if (!text || !t->s)
		mcp_turn_fail(t, MCP_E_INTERNAL, "internal error");
	else
		turn_end(t, rpc_result_new(t->id, call_result(t->s, text, structured)));
}

void mcp_turn_refuse(struct mcp_turn *t, const char *text)
{
	turn_end(t, t->s ? rpc_result_new(t->id, call_result(t->s, text, NULL)) : NULL);
}

void mcp_turn_fail(struct mcp_turn *t, enum mcp_code code, const char *text)
{
	turn_end(t, rpc_error_new(t->id, code, text, NULL));
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
	s->cfg = *c;
	s->app = *app;
	s->cfg.max_turns = c->max_turns ? c->max_turns : 256;
	s->path = strdup(c->path);
	s->tools = calloc(c->ntools + 1, sizeof(json_t *));
	if (!s->path || !s->tools) {
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
	static const struct wire_response gone = { .status = 503 };
	struct mcp_turn *t;

	if (!s)
		return NULL;
	while ((t = LIST_FIRST(&s->turns))) {
		LIST_REMOVE(t, entry);
		t->s = NULL;
		t->sink.fn(t->sink.to, &gone);
	}
	for (size_t i = 0; s->tools && i < s->cfg.ntools; i++)
		json_decref(s->tools[i]);
	free(s->tools);
	free(s->path);
	free(s);
	return NULL;
}
