/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_call.h - one tools/call as a client sends it, over the real MCP core of whatever lab stands.
 */
#ifndef TREATY_TEST_MCP_CALL_H
#define TREATY_TEST_MCP_CALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/codec/json.h"
#include "agent/mcp_table.h"
#include "agent/tools/engine.h"
#include "agent/wire/mcp.h"

static struct {
	char *body;
	int status, replies;
} got;

static inline void got_reply(void *to, const struct wire_response *r)
{
	(void)to;
	free(got.body);
	got.body = strndup(r->body ? r->body : "", r->len);
	got.status = r->status;
	got.replies++;
}

static inline void got_clear(void)
{
	free(got.body);
	memset(&got, 0, sizeof(got));
}

/* The turn's commit lets waiting answers out. */
static inline struct mcp_result mcp_call_as(struct mcp_server *m, struct engine *en,
					    const struct peer *p, const char *tool,
					    const char *args)
{
	auto_json json_t *a = args ? json_loads(args, 0, NULL) : NULL;
	struct mcp_call c = { .method = "tools/call",
			      .tool = tool,
			      .args = a,
			      .client_name = "test",
			      .client_version = "0",
			      .rpc_id = 7 };
	auto_free char *body = mcp_build(&c);
	struct wire_header h[5];
	struct wire_request rq = { .method = "POST",
				   .path = "/mcp",
				   .query = "",
				   .headers = h,
				   .nheaders = mcp_client_headers(h, &c),
				   .body = body,
				   .len = strlen(body),
				   .peer = p };
	struct wire_response rp = { .content_type = "application/json" };
	struct mcp_result ret = { 0 };
	struct err e = { 0 };

	got.replies = 0;
	mcp_server_handle(m, &rq, (struct wire_sink){ .fn = got_reply });
	assert_int_equal(engine_turn(en), 0);
	assert_int_equal(got.replies, 1);
	rp.status = got.status;
	rp.body = got.body;
	rp.len = strlen(got.body);
	if (mcp_parse(&ret, &rp, 7, &e))
		fail_msg("%s: %s: %s", tool, e.text, got.body);
	return ret;
}

#endif
