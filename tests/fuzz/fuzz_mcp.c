/* SPDX-License-Identifier: Apache-2.0 */
/* Any body to the MCP server (exactly one reply) and to the client's reader. */
#include "agent/wire/mcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replies;

static void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	replies++;
	if (r->status >= 500)
		abort();
}

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	(void)tool;
	(void)key;
	mcp_turn_result(t, args);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mcp_tool tool = { .name = "get_weather",
					      .description = "d",
					      .input_schema = "{\"type\":\"object\"}" };
	static const struct mcp_config c = {
		.path = "/m", .name = "n", .version = "1", .tools = &tool, .ntools = 1
	};
	static const struct mcp_app app = { .call = on_call };
	static const struct wire_header h[] = { { "Content-Type", "application/json" },
						{ "MCP-Protocol-Version", MCP_VERSION },
						{ "Mcp-Method", "tools/call" },
						{ "Mcp-Name", "get_weather" } };
	static const struct peer peer = { .did = "did:web:fuzz.example" };
	static struct mcp_server *s;
	struct wire_request r = { .method = "POST",
				  .path = "/m",
				  .query = "",
				  .headers = h,
				  .nheaders = ARRAY_LEN(h),
				  .body = (const char *)data,
				  .len = size,
				  .peer = &peer };
	struct wire_response a = { .status = 200,
				   .content_type = "application/json",
				   .body = (const char *)data,
				   .len = size };
	struct mcp_result res;

	if (!s && mcp_server_new(&s, &c, &app, NULL))
		abort();
	replies = 0;
	mcp_server_handle(s, &r, (struct wire_sink){ .fn = on_reply });
	if (replies != 1)
		abort();
	if (!mcp_parse(&res, &a, 1, NULL))
		mcp_result_clear(&res);
	return 0;
}
