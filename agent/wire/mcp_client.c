/* SPDX-License-Identifier: Apache-2.0 */
#include "mcp.h"

#include "agent/codec/json.h"

#include <errno.h>

#include "rpc.h"

#define META "io.modelcontextprotocol/"

char *mcp_build(const struct mcp_call *c)
{
	bool is_call = !strcmp(c->method, "tools/call");
	json_t *root =
		json_pack("{s:s, s:I, s:s, s:{s:{s:s, s:{s:s, s:s}, s:{}}}}", "jsonrpc", "2.0",
			  "id", (json_int_t)c->rpc_id, "method", c->method, "params", "_meta",
			  META "protocolVersion", MCP_VERSION, META "clientInfo", "name",
			  c->client_name, "version", c->client_version, META "clientCapabilities");
	json_t *params = json_object_get(root, "params");
	char *text = NULL;
	int bad = !root || is_call != (c->tool != NULL);

	if (!bad && is_call) {
		bad |= json_object_set_new(params, "name", json_string(c->tool));
		bad |= json_object_set_new(params, "arguments",
					   c->args ? json_incref((json_t *)(uintptr_t)c->args)
						   : json_object());
	}
	if (!bad && c->idempotency_key)
		bad |= json_object_set_new(json_object_get(params, "_meta"), MCP_IDEMPOTENCY_KEY,
					   json_string(c->idempotency_key));
	if (!bad)
		text = json_text_new(root);
	json_decref(root);
	return text;
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
