/* SPDX-License-Identifier: Apache-2.0 */
/* bench_subs.h - the two protocols' subscriptions, for bench_sse.c: one MCP resource and one A2A
 * task that all readers watch, each with streams that take turns or are written at once. */
#ifndef TREATY_BENCH_SUBS_H
#define TREATY_BENCH_SUBS_H

#include "agent/wire/a2a.h"
#include "agent/wire/mcp.h"
#include "agent/wire/pace.h"

static struct {
	struct turns *turns;
	struct mcp_server *mcp;
	struct a2a_server *a2a;
	char task[A2A_ID_MAX + 1];
} subs;

static wall_t subs_now(void *arg)
{
	return loop_wall(arg);
}

static bool subs_readable(void *arg, const struct peer *p, const char *uri)
{
	(void)arg, (void)p, (void)uri;
	return true;
}

static int subs_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		     const char *key, struct mcp_turn *t)
{
	(void)arg, (void)p, (void)tool, (void)key;
	mcp_turn_result(t, args);
	return 0;
}

static int subs_read(void *arg, const struct peer *p, const char *uri, struct mcp_turn *t)
{
	(void)arg, (void)p;
	mcp_turn_contents(t, "text/plain", uri);
	return 0;
}

static int subs_message(void *arg, const struct peer *p, const struct a2a_message *m,
			struct a2a_turn *t)
{
	const char *id = a2a_turn_task_id(t);

	(void)arg, (void)p, (void)m;
	(void)snprintf(subs.task, sizeof(subs.task), "%s", id ? id : "");
	a2a_turn_task(t, A2A_INPUT_REQUIRED, NULL);
	return 0;
}

static void subs_reply(void *to, const struct wire_response *r)
{
	(void)to, (void)r;
}

/* The task is of whoever will read it. */
static void subs_begin(const struct peer *owner)
{
	static const struct wire_header h[] = { { "A2A-Version", "1.0" },
						{ "Content-Type", "application/json" } };
	static const char body[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendMessage\",\"params\":{\"message\":"
		"{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{\"data\":{}}]}}}";
	const struct wire_request r = { .method = "POST",
					.path = "/a2a",
					.query = "",
					.headers = h,
					.nheaders = ARRAY_LEN(h),
					.body = body,
					.len = sizeof(body) - 1,
					.peer = owner };

	a2a_server_handle(subs.a2a, &r, (struct wire_sink){ .fn = subs_reply });
}

static int subs_new(struct loop *l, bool turns, size_t readers, struct err *e)
{
	static const struct mcp_app ma = { .call = subs_call,
					   .readable = subs_readable,
					   .read = subs_read };
	static const struct mcp_resource res[] = { { "bench://log", "log", NULL, NULL, NULL,
						     false } };
	static const struct a2a_app aa = { .on_message = subs_message };
	static const char *const skills[] = { "watch", "Is watched", NULL };
	struct mcp_config mc = { .path = "/mcp",
				 .name = "n",
				 .version = "1",
				 .resources = res,
				 .nresources = 1,
				 .max_streams = readers,
				 .max_peer_streams = readers };
	struct a2a_config ac = { .path = "/a2a",
				 .url = "https://bench.example/a2a",
				 .name = "n",
				 .description = "d",
				 .version = "1",
				 .skills = skills,
				 .streaming = true,
				 .max_streams = readers,
				 .max_streams_per_peer = readers,
				 .now = subs_now,
				 .now_arg = l };

	if (turns && turns_new(&subs.turns, l))
		return -ENOMEM;
	if (turns)
		mc.pace = ac.pace = turns_pace(subs.turns);
	return mcp_server_new(&subs.mcp, &mc, &ma, e) || a2a_server_new(&subs.a2a, &ac, &aa, e);
}

static void subs_free(void)
{
	subs.mcp = mcp_server_free(subs.mcp);
	subs.a2a = a2a_server_free(subs.a2a);
	subs.turns = turns_free(subs.turns);
}

/* The request that subscribes; returns its length. */
static int subs_request(char *req, size_t cap, bool a2a)
{
	char body[400];
	int n = a2a ? snprintf(body, sizeof(body),
			       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SubscribeToTask\","
			       "\"params\":{\"id\":\"%s\"}}",
			       subs.task)
		    : snprintf(body, sizeof(body), "%s",
			       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\","
			       "\"params\":{\"notifications\":{\"resourceSubscriptions\":["
			       "\"bench://log\"]},\"_meta\":{"
			       "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
			       "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");

	return snprintf(req, cap,
			"POST /%s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
			"Accept: application/json, text/event-stream\r\nA2A-Version: 1.0\r\n"
			"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n"
			"Content-Length: %d\r\n\r\n%s",
			a2a ? "a2a" : "mcp", n, body);
}

#endif
