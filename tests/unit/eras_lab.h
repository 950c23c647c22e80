/* SPDX-License-Identifier: Apache-2.0 */
/* eras_lab.h - an MCP server of both revisions, with tools, resources and streams, and requests of
 * either. */
#ifndef TREATY_TEST_ERAS_LAB_H
#define TREATY_TEST_ERAS_LAB_H

#include "agent/loop.h"
#include "agent/wire/pace.h"
#include "mcp_lab.h"
#include "stream_lab.h"

static unsigned gone, answered;
static const struct peer alice = { .did = "did:web:alice.example" },
			 bob = { .did = "did:web:bob.example" };

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	(void)key;
	if (!strcmp(tool, "slow"))
		held = t;
	else
		mcp_turn_result(t, args);
	return 0;
}

static bool allowed(void *arg, const struct peer *p, const char *tool)
{
	(void)arg;
	return strcmp(tool, "oss_only") || !strcmp(p->did, bob.did);
}

static bool readable(void *arg, const struct peer *p, const char *uri)
{
	(void)arg;
	if (!strncmp(uri, "treaty://log", 12))
		return !strcmp(p->did, bob.did);
	return !strncmp(uri, "treaty://agreements", 19);
}

static int on_read(void *arg, const struct peer *p, const char *uri, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	mcp_turn_contents(t, "application/json", uri);
	return 0;
}

#define OBJECT "{\"type\":\"object\"}"
static const struct mcp_tool tools[] = {
	{ "echo", NULL, "d", OBJECT, OBJECT, true, false, true, false, false },
	{ "slow", NULL, "d", OBJECT, NULL, false, false, true, false, false },
	{ "oss_only", NULL, "d", OBJECT, NULL, false, true, false, false, false },
};
static const struct mcp_resource resources[] = {
	{ "treaty://agreements", "agreements", NULL, "All", "application/json", false },
	{ "treaty://log", "log", NULL, NULL, NULL, false },
	{ "treaty://agreements/{id}", "agreement", NULL, NULL, "application/json", true },
};

static struct loop *loop;
static struct turns *pacer;

static int setup(void **state)
{
	static const struct mcp_app app = {
		.call = on_call, .allowed = allowed, .readable = readable, .read = on_read
	};
	struct mcp_config c = { .path = "/mcp",
				.name = "n",
				.version = "1",
				.tools = tools,
				.ntools = ARRAY_LEN(tools),
				.resources = resources,
				.nresources = ARRAY_LEN(resources),
				.legacy = true,
				.lists_change = true,
				.max_peer_turns = 2,
				.max_peer_streams = 2,
				.max_sessions = 3 };

	(void)state;
	memset(streams, 0, sizeof(streams));
	got_clear();
	gone = answered = 0;
	if (pacer)
		c.pace = turns_pace(pacer);
	return mcp_server_new(&srv, &c, &app, NULL);
}

/* With streams that take turns. */
static int pace_setup(void **state)
{
	return loop_new(&loop, true) || turns_new(&pacer, loop) ? -1 : setup(state);
}

static int teardown(void **state)
{
	(void)state;
	srv = mcp_server_free(srv);
	got_clear();
	return 0;
}

static int pace_teardown(void **state)
{
	(void)teardown(state);
	pacer = turns_free(pacer);
	loop = loop_free(loop);
	return 0;
}

static void send(const struct peer *p, unsigned to, const char *verb, const char *version,
		 const char *session, const char *method, const char *name, const char *body)
{
	const struct wire_header h[] = { { "MCP-Protocol-Version", version },
					 { "Mcp-Session-Id", session },
					 { "Mcp-Method", method },
					 { "Mcp-Name", name } };

	mcp_request(p, verb, h, ARRAY_LEN(h), body,
		    (struct wire_sink){ on_reply, &streams[to], &ops });
}

#define META                                                                     \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," \
	"\"io.modelcontextprotocol/clientCapabilities\":{},\"progressToken\":\"p\"}"

static void modern(const struct peer *p, unsigned to, const char *method, const char *name,
		   const char *more)
{
	char body[2048];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"%s\",\"params\":{" META
		       "%s}}",
		       method, more);
	send(p, to, "POST", MCP_VERSION, NULL, method, name, body);
}

static void old(const struct peer *p, unsigned to, const char *session, const char *method,
		const char *params)
{
	char body[2048];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"%s\",\"params\":{%s}}", method,
		       params);
	send(p, to, "POST", MCP_LEGACY_VERSION, session, NULL, NULL, body);
}

static void begin(const struct peer *p, char session[64])
{
	old(p, 0, NULL, "initialize",
	    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"elicitation\":{}},"
	    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}");
	assert_int_equal(got.status, 200);
	(void)snprintf(session, 64, "%s", got.session);
}

#endif
