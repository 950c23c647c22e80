/* SPDX-License-Identifier: Apache-2.0 */
#include "mcp.h"

#include "agent/codec/json.h"
#include "agent/codec/json_out.h"

#include <errno.h>

#include "rpc.h"

#define META "io.modelcontextprotocol/"

static void put(struct json_out *o, const char *before, const char *s)
{
	json_out_text(o, before);
	json_out_str(o, s, strlen(s));
}

static void put_meta(struct json_out *o, const struct mcp_call *c)
{
	put(o, "\"_meta\":{\"" META "protocolVersion\":", MCP_VERSION);
	put(o, ",\"" META "clientInfo\":{\"name\":", c->client_name);
	put(o, ",\"version\":", c->client_version);
	json_out_lit(o, "},\"" META "clientCapabilities\":{}");
	if (c->idempotency_key)
		put(o, ",\"" MCP_IDEMPOTENCY_KEY "\":", c->idempotency_key);
	json_out_lit(o, "}");
}

char *mcp_build(const struct mcp_call *c)
{
	bool is_call = !strcmp(c->method, "tools/call");
	struct json_out o = { .failed = is_call != (c->tool != NULL) };
	char id[JSON_INT_MAX];
	const size_t n = (size_t)json_int_text(c->rpc_id, id);

	json_out_lit(&o, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_out_add(&o, id, n);
	put(&o, ",\"method\":", c->method);
	json_out_lit(&o, ",\"params\":{");
	put_meta(&o, c);
	if (is_call && c->tool) {
		put(&o, ",\"name\":", c->tool);
		json_out_lit(&o, ",\"arguments\":");
		if (c->args)
			json_out_value(&o, c->args);
		else
			json_out_lit(&o, "{}");
	}
	json_out_lit(&o, "}}");
	return json_out_take(&o, NULL);
}

size_t mcp_client_headers(struct wire_header h[5], const struct mcp_call *c)
{
	size_t n = 0;

	h[n++] = (struct wire_header){ "Content-Type", "application/json" };
	h[n++] = (struct wire_header){ "Accept", "application/json, text/event-stream" };
	h[n++] = (struct wire_header){ "MCP-Protocol-Version", MCP_VERSION };
	h[n++] = (struct wire_header){ "Mcp-Method", c->method };
	if (c->tool)
		h[n++] = (struct wire_header){ "Mcp-Name", c->tool };
	return n;
}

static int read_result(struct mcp_result *r, struct err *e)
{
	const char *type = json_string_value(json_object_get(r->result, "resultType"));
	const json_t *content = json_object_get(r->result, "content");
	const json_t *is_error = json_object_get(r->result, "isError");
	const char *text;

	if (!json_is_object(r->result) || !type || strcmp(type, "complete"))
		return err_set(e, -EPROTO, "resultType: complete is needed");
	if (is_error && !json_is_boolean(is_error))
		return err_set(e, -EPROTO, "isError: a boolean is needed");
	r->is_error = json_is_true(is_error);
	r->structured = json_object_get(r->result, "structuredContent");
	if (r->structured && !json_is_object(r->structured))
		return err_set(e, -EPROTO, "structuredContent: an object is needed");
	text = json_string_value(json_object_get(json_array_get(content, 0), "text"));
	if (text)
		r->text = text;
	return 0;
}

/* HTTP errors of this protocol carry a JSON-RPC error; one without is not an MCP server. */
int mcp_parse(struct mcp_result *ret, const struct wire_response *resp, int64_t rpc_id,
	      struct err *e)
{
	struct mcp_result r = { .error = "", .text = "" };
	struct rpc_response rpc;
	int n;

	if (!rpc_is_json(resp->content_type))
		return err_set(e, -EPROTO, "HTTP %d %s: application/json is needed", resp->status,
			       resp->content_type ? resp->content_type : "");
	n = rpc_response(&rpc, resp->body, resp->len, rpc_id, e);
	if (n)
		return n;
	r.root = rpc.root;
	r.result = rpc.result;
	r.code = rpc.code;
	if (rpc.code)
		r.error = rpc.text;
	else if (resp->status != 200)
		n = err_set(e, -EPROTO, "HTTP %d with a result", resp->status);
	else
		n = read_result(&r, e);
	if (n)
		mcp_result_clear(&r);
	else
		*ret = r;
	return n;
}

void mcp_result_clear(struct mcp_result *r)
{
	json_decref(r->root);
	memset(r, 0, sizeof(*r));
}
