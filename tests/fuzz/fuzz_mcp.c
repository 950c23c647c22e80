/* SPDX-License-Identifier: Apache-2.0 */
/* Any body to the MCP server, in both revisions (exactly one reply or one stream), and to the
 * client's reader. */
#include <errno.h>
#include <stdio.h>

#include "agent/wire/mcp.h"
#include "turns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replies;

static void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	replies++;
	if (r->status >= 500)
		abort();
}

/* The stream that is open, and who wants to know when its reader leaves. */
static void (*reader_gone)(void *arg);
static void *reader;

static void *on_open(void *to, const struct wire_response *head, void (*gone)(void *arg), void *arg)
{
	on_reply(to, head);
	reader_gone = gone;
	reader = arg;
	return &replies;
}

static int on_write(void *stream, const void *p, size_t n)
{
	(void)stream;
	return n && ((const char *)p)[n - 1] != '\n' ? -EPIPE : 0;
}

static void on_end(void *stream)
{
	(void)stream;
	reader_gone = NULL;
}

static bool readable(void *arg, const struct peer *p, const char *uri)
{
	(void)arg;
	(void)p;
	return uri[0] == 'a';
}

static int on_read(void *arg, const struct peer *p, const char *uri, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	mcp_turn_progress(t, 1, 2, uri);
	mcp_turn_contents(t, "text/plain", uri);
	return 0;
}

static char session[64];

static void on_session(void *to, const struct wire_response *r)
{
	(void)to;
	for (size_t i = 0; i < r->nheaders; i++)
		if (!strcmp(r->headers[i].name, "Mcp-Session-Id"))
			(void)snprintf(session, sizeof(session), "%s", r->headers[i].value);
}

/* A session for the older revision's requests; the server keeps few, so it may have gone. */
static void begin(struct mcp_server *s, struct wire_request r)
{
	r.body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
		 "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}}}";
	r.len = strlen(r.body);
	r.nheaders = 1;
	mcp_server_handle(s, &r, (struct wire_sink){ .fn = on_session });
}

static struct mcp_turn *waits; /* a task that has not ended */

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	(void)tool;
	(void)key;
	if (json_object_get(args, "task") && !mcp_turn_task(t) && json_object_get(args, "wait")) {
		if (waits)
			mcp_turn_refuse(waits, "another waits");
		waits = t;
		return 0;
	}
	mcp_turn_result(t, args);
	return 0;
}

/* Whoever listens hears of everything that there is, and leaves. */
static void listen_then_leave(struct mcp_server *s, struct wire_request *r, struct wire_sink sink)
{
	static const struct wire_header h[] = { { "Content-Type", "application/json" },
						{ "MCP-Protocol-Version", MCP_VERSION },
						{ "Mcp-Method", "subscriptions/listen" } };

	r->headers = h;
	r->nheaders = ARRAY_LEN(h);
	replies = 0;
	mcp_server_handle(s, r, sink);
	if (replies != 1)
		abort();
	mcp_resource_changed(s, "a:b", NULL);
	mcp_list_changed(s, MCP_TOOLS);
	if (waits)
		mcp_turn_result(waits, mcp_turn_params(waits));
	waits = NULL;
	if (r->len % 2) /* it leaves before its turn, or after */
		turns_give();
	if (reader_gone)
		reader_gone(reader);
	reader_gone = NULL;
	turns_give();
	if (mcp_streams(s))
		abort();
}

static wall_t now(void *arg)
{
	static int64_t ms;

	(void)arg;
	return (wall_t){ ms += 60000 };
}

static const struct mcp_tool tool = { .name = "get_weather",
				      .description = "d",
				      .input_schema = "{\"type\":\"object\"}",
				      .tasks = true };
static const struct mcp_resource res = { .uri = "a:b", .name = "n" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mcp_config c = { .path = "/m",
					     .name = "n",
					     .version = "1",
					     .tools = &tool,
					     .ntools = 1,
					     .resources = &res,
					     .nresources = 1,
					     .lists_change = true,
					     .now = now,
					     .pace = { turn_wait, turn_leave, NULL },
					     .legacy = true };
	static const struct mcp_app app = { .call = on_call,
					    .readable = readable,
					    .read = on_read };
	static const struct wire_stream_ops ops = { on_open, on_write, on_end, NULL };
	const struct wire_header old[] = { { "Content-Type", "application/json" },
					   { "Accept", "text/event-stream" },
					   { "Mcp-Session-Id", session } };
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
	struct mcp_result parsed;

	if (!s && mcp_server_new(&s, &c, &app, NULL))
		abort();
	replies = 0;
	mcp_server_handle(s, &r, (struct wire_sink){ on_reply, NULL, &ops });
	if (replies != 1)
		abort();
	listen_then_leave(s, &r, (struct wire_sink){ on_reply, NULL, &ops });
	begin(s, r);
	r.headers = old;
	r.nheaders = ARRAY_LEN(old);
	replies = 0;
	mcp_server_handle(s, &r, (struct wire_sink){ on_reply, NULL, &ops });
	if (replies != 1)
		abort();
	if (!mcp_parse(&parsed, &a, 1, NULL))
		mcp_result_clear(&parsed);
	return 0;
}
