/* SPDX-License-Identifier: Apache-2.0 */
/* The MCP core in a program that is not ours: a call goes in, its result comes out and is read by
 * the client's side. */
#include "agent/wire/mcp.h"

static bool ok;

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	json_t *value = json_pack("{s:i}", "k", 1);

	(void)arg;
	(void)p;
	(void)tool;
	(void)args;
	(void)key;
	mcp_turn_result(t, value);
	json_decref(value);
	return 0;
}

static void on_reply(void *to, const struct wire_response *r)
{
	struct mcp_result got;

	(void)to;
	if (mcp_parse(&got, r, 1, NULL))
		return;
	ok = json_integer_value(json_object_get(got.structured, "k")) == 1;
	mcp_result_clear(&got);
}

int main(void)
{
	static const struct mcp_tool tool = { .name = "t",
					      .title = "t",
					      .description = "d",
					      .input_schema = "{\"type\":\"object\"}" };
	const struct mcp_config c = {
		.path = "/mcp", .name = "n", .version = "1", .tools = &tool, .ntools = 1
	};
	const struct mcp_app app = { .call = on_call };
	const struct peer peer = { .did = "did:web:b.example" };
	const struct mcp_call call = { .method = "tools/call",
				       .tool = "t",
				       .client_name = "c",
				       .client_version = "1",
				       .rpc_id = 1 };
	struct wire_header h[5];
	char *body = mcp_build(&call);
	struct wire_request r = { .method = "POST",
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = mcp_client_headers(h, &call),
				  .body = body,
				  .len = body ? strlen(body) : 0,
				  .peer = &peer };
	struct mcp_server *s;
	struct err e = { 0 };

	if (mcp_server_new(&s, &c, &app, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	mcp_server_handle(s, &r, (struct wire_sink){ .fn = on_reply });
	s = mcp_server_free(s);
	free(body);
	return ok ? 0 : 1;
}
