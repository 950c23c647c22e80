/* SPDX-License-Identifier: Apache-2.0 */
/* The methods that both revisions have: what there is, and one of it. Whatever a caller may not see
 * does not exist for it. */
#include "mcp_i.h"

#include <errno.h>
#include <stdio.h>

#include "agent/codec/canon.h"
#include "agent/crypto/crypto.h"

enum { KEY_MAX = 128 };

json_t *mcp_capabilities(const struct mcp_server *s, bool legacy)
{
	const struct mcp_config *c = &s->cfg;
	json_t *tasks, *cap = json_pack("{s:{s:b}}", "tools", "listChanged", c->lists_change);
	int bad = !cap;

	if (cap && c->nresources)
		bad |= json_object_set_new(
			cap, "resources",
			json_pack("{s:b, s:b}", "subscribe", 1, "listChanged", c->lists_change));
	if (cap && s->prompts)
		bad |= json_object_set_new(cap, "prompts",
					   json_pack("{s:b}", "listChanged", c->lists_change));
	if (cap && s->app.complete)
		bad |= json_object_set_new(cap, "completions", json_object());
	if (cap && c->logging)
		bad |= json_object_set_new(cap, "logging", json_object());
	if (cap && c->now && !legacy)
		bad |= json_object_set_new(cap, "extensions", mcp_task_extension());
	if (cap && legacy && (tasks = mcp_task_old_capability(s)))
		bad |= json_object_set_new(cap, "tasks", tasks);
	if (bad) {
		json_decref(cap);
		return NULL;
	}
	return cap;
}

void mcp_do_discover(struct mcp_req *c)
{
	json_t *versions = c->s->cfg.legacy ? json_pack("[s, s]", MCP_VERSION, MCP_LEGACY_VERSION)
					    : json_pack("[s]", MCP_VERSION);

	mcp_succeed(c,
		    json_pack("{s:o, s:o, s:s*}", "supportedVersions", versions, "capabilities",
			      mcp_capabilities(c->s, false), "instructions",
			      c->s->cfg.instructions),
		    true);
}

bool mcp_first_page(struct mcp_req *c)
{
	if (!json_object_get(c->rpc.params, "cursor"))
		return true;
	mcp_fail(c, 200, MCP_E_PARAMS, "cursor: not one of ours");
	return false;
}

static void send_list(struct mcp_req *c, const char *key, json_t *list, int bad)
{
	if (bad) {
		json_decref(list);
		list = NULL;
	}
	mcp_succeed(c, list ? json_pack("{s:o}", key, list) : NULL, true);
}

/* What the caller is shown, under our signature: a list that was changed on the way, or is another
 * one tomorrow, is known for it. */
static json_t *list_seal(const struct mcp_server *s, const json_t *tools)
{
	char digest[DIGEST_MULTIBASE_MAX];
	uint8_t hash[32];
	json_t *jws;

	if (canon_sha256(tools, hash, NULL))
		return NULL;
	digest_encode(hash, digest);
	jws = s->cfg.sign.sign ? jws_new(tools, &s->cfg.sign) : NULL;
	if (s->cfg.sign.sign && !jws)
		return NULL;
	return json_pack("{s:{s:s, s:o*}}", MCP_LIST_SIGNATURE, "digest", digest, "jws", jws);
}

static bool allowed(const struct mcp_req *c, const char *tool)
{
	return !c->s->app.allowed || c->s->app.allowed(c->s->app.arg, c->r->peer, tool);
}

/* As this revision lists it; a new reference. */
static json_t *listed(const struct mcp_req *c, size_t i)
{
	json_t *t = c->s->tools[i];

	if (!c->legacy || !c->s->cfg.now || !c->s->cfg.tools[i].tasks)
		return json_incref(t);
	t = json_copy(t);
	if (t &&
	    json_object_set_new(t, "execution", json_pack("{s:s}", "taskSupport", "optional"))) {
		json_decref(t);
		t = NULL;
	}
	return t;
}

void mcp_do_tools(struct mcp_req *c)
{
	json_t *list, *seal;
	int bad = 0;

	if (!mcp_first_page(c))
		return;
	list = json_array();
	for (size_t i = 0; list && i < c->s->cfg.ntools; i++)
		if (allowed(c, c->s->cfg.tools[i].name))
			bad |= json_array_append_new(list, listed(c, i));
	seal = bad ? NULL : list_seal(c->s, list);
	if (seal) {
		mcp_succeed(c, json_pack("{s:o, s:o}", "tools", list, "_meta", seal), true);
	} else {
		json_decref(list);
		mcp_succeed(c, NULL, true);
	}
}

/* Its place in the table; -1: none for this caller. */
static int tool_find(const struct mcp_req *c, const char *name)
{
	for (size_t i = 0; name && i < c->s->cfg.ntools; i++)
		if (!strcmp(c->s->cfg.tools[i].name, name))
			return allowed(c, name) ? (int)i : -1;
	return -1;
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

/* True: answered with what the caller's token lacks. */
static bool challenged(struct mcp_req *c, const char *tool, const char *uri)
{
	const struct mcp_app *app = &c->s->app;
	const char *v = app->challenge ? app->challenge(app->arg, c->r->peer, tool, uri) : NULL;
	const struct wire_header h = { "WWW-Authenticate", v };
	auto_free char *text =
		v ? rpc_error_new(c->rpc.id, MCP_E_REQUEST, "insufficient_scope", NULL) : NULL;
	const struct wire_response r = { .status = 403,
					 .content_type = "application/json",
					 .headers = &h,
					 .nheaders = 1,
					 .body = text,
					 .len = text ? strlen(text) : 0 };

	if (v)
		c->sink.fn(c->sink.to, &r);
	return v != NULL;
}

static void call_start(struct mcp_req *c, const char *tool, json_t *args, const char *key,
		       bool as_task)
{
	struct mcp_app *app = &c->s->app;
	struct mcp_turn *t = mcp_turn_new(c);

	if (!t)
		return;
	if (as_task && mcp_turn_task(t)) {
		mcp_turn_fail(t, MCP_E_LIMIT, "too many tasks are under way");
		return;
	}
	args = args ? json_incref(args) : json_object();
	if (!args || app->call(app->arg, c->r->peer, tool, args, key, t) < 0)
		mcp_turn_fail(t, MCP_E_INTERNAL, "internal error");
	json_decref(args);
}

void mcp_do_call(struct mcp_req *c)
{
	const char *name = json_string_value(json_object_get(c->rpc.params, "name"));
	int tool = tool_find(c, name);
	const char *key = NULL;
	json_t *args = json_object_get(c->rpc.params, "arguments");
	bool as_task = false;

	if (tool < 0 && name && challenged(c, name, NULL))
		return;
	if (tool < 0) {
		mcp_fail(c, 200, MCP_E_PARAMS, name ? "name: unknown tool" : "name: missing");
	} else if (args && !json_is_object(args)) {
		mcp_fail(c, 200, MCP_E_PARAMS, "arguments: an object is needed");
	} else if (key_read(c->meta, &key)) {
		mcp_fail(c, 200, MCP_E_PARAMS,
			 "_meta." MCP_IDEMPOTENCY_KEY ": 1..128 visible ASCII bytes are needed");
	} else if (c->legacy
			   ? mcp_task_wanted(c, &c->s->cfg.tools[tool], &as_task)
			   : mcp_params_match(c, json_object_get(c->s->tools[tool], "inputSchema"),
					      args)) {
		call_start(c, c->s->cfg.tools[tool].name, args, key, as_task);
	}
}

/* --- resources ----------------------------------------------------------------------------------
 */

static bool has_resources(struct mcp_req *c)
{
	if (c->s->cfg.nresources)
		return true;
	mcp_fail(c, c->legacy ? 200 : 404, MCP_E_METHOD, "no such method");
	return false;
}

static bool readable(const struct mcp_req *c, const char *uri)
{
	const struct mcp_app *app = &c->s->app;

	return app->readable && app->readable(app->arg, c->r->peer, uri);
}

static void list_resources(struct mcp_req *c, bool templates)
{
	json_t *list;
	int bad = 0;

	if (!has_resources(c) || !mcp_first_page(c))
		return;
	list = json_array();
	for (size_t i = 0; list && i < c->s->cfg.nresources; i++) {
		const struct mcp_resource *r = &c->s->cfg.resources[i];

		if (r->is_template != templates || !readable(c, r->uri))
			continue;
		bad |= json_array_append_new(list, json_pack("{s:s, s:s, s:s*, s:s*, s:s*}",
							     templates ? "uriTemplate" : "uri",
							     r->uri, "name", r->name, "title",
							     r->title, "description",
							     r->description, "mimeType", r->mime));
	}
	send_list(c, templates ? "resourceTemplates" : "resources", list, bad);
}

void mcp_do_resources(struct mcp_req *c)
{
	list_resources(c, false);
}

void mcp_do_templates(struct mcp_req *c)
{
	list_resources(c, true);
}

void mcp_do_read(struct mcp_req *c)
{
	const char *uri = json_string_value(json_object_get(c->rpc.params, "uri"));
	struct mcp_app *app = &c->s->app;
	struct mcp_turn *t;

	if (!has_resources(c))
		return;
	if (!uri || strlen(uri) >= MCP_URI_MAX) {
		mcp_fail(c, 200, MCP_E_PARAMS, "uri: a string is needed");
		return;
	}
	if (!app->read || !readable(c, uri)) {
		if (challenged(c, NULL, uri))
			return;
		mcp_send(c->sink, 200,
			 rpc_error_new(c->rpc.id, c->legacy ? -32002 : MCP_E_PARAMS,
				       "Resource not found", json_pack("{s:s}", "uri", uri)));
		return;
	}
	t = mcp_turn_new(c);
	if (!t)
		return;
	(void)snprintf(t->uri, sizeof(t->uri), "%s", uri);
	if (app->read(app->arg, c->r->peer, uri, t) < 0)
		mcp_turn_fail(t, MCP_E_INTERNAL, "internal error");
}

/* --- prompts and completion ---------------------------------------------------------------------
 */

void mcp_do_prompts(struct mcp_req *c)
{
	if (!c->s->prompts)
		mcp_fail(c, c->legacy ? 200 : 404, MCP_E_METHOD, "no such method");
	else if (mcp_first_page(c))
		send_list(c, "prompts", json_incref(c->s->prompts), 0);
}

void mcp_do_prompt(struct mcp_req *c)
{
	const char *name = json_string_value(json_object_get(c->rpc.params, "name"));
	const json_t *args = json_object_get(c->rpc.params, "arguments");
	struct mcp_app *app = &c->s->app;
	bool known = false;
	struct mcp_turn *t;
	json_t *p;
	size_t i;

	if (!c->s->prompts || !app->prompt) {
		mcp_fail(c, c->legacy ? 200 : 404, MCP_E_METHOD, "no such method");
		return;
	}
	json_array_foreach (c->s->prompts, i, p)
		known |= name && !strcmp(json_string_value(json_object_get(p, "name")), name);
	if (!known || (args && !json_is_object(args))) {
		mcp_fail(c, 200, MCP_E_PARAMS,
			 known ? "arguments: an object is needed" : "name: no such prompt");
		return;
	}
	t = mcp_turn_new(c);
	if (t && app->prompt(app->arg, c->r->peer, name, args, t) < 0)
		mcp_turn_fail(t, MCP_E_INTERNAL, "internal error");
}

void mcp_do_complete(struct mcp_req *c)
{
	struct mcp_app *app = &c->s->app;
	struct mcp_turn *t;

	if (!app->complete) {
		mcp_fail(c, c->legacy ? 200 : 404, MCP_E_METHOD, "no such method");
		return;
	}
	if (!json_is_object(json_object_get(c->rpc.params, "ref")) ||
	    !json_is_object(json_object_get(c->rpc.params, "argument"))) {
		mcp_fail(c, 200, MCP_E_PARAMS, "ref and argument: objects are needed");
		return;
	}
	t = mcp_turn_new(c);
	if (t && app->complete(app->arg, c->r->peer, c->rpc.params, t) < 0)
		mcp_turn_fail(t, MCP_E_INTERNAL, "internal error");
}
