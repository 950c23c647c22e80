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

/* body is c's; all of it is borrowed. */
static inline struct wire_request mcp_request(const struct peer *p, const struct mcp_call *c,
					      const char *body, struct wire_header h[5])
{
	return (struct wire_request){ .method = "POST",
				      .path = "/mcp",
				      .query = "",
				      .headers = h,
				      .nheaders = mcp_client_headers(h, c),
				      .body = body,
				      .len = strlen(body),
				      .peer = p };
}

/* One request; its answer, now or later, is in got. */
static inline void mcp_ask(struct mcp_server *m, const struct peer *p, const struct mcp_call *c)
{
	auto_free char *body = mcp_build(c);
	struct wire_header h[5];
	struct wire_request rq = mcp_request(p, c, body, h);

	got.replies = 0;
	mcp_server_handle(m, &rq, (struct wire_sink){ .fn = got_reply });
}

/* What got has, of the request with that id. */
static inline struct mcp_result mcp_got(int64_t rpc_id)
{
	struct wire_response rp = { .content_type = "application/json",
				    .status = got.status,
				    .body = got.body,
				    .len = strlen(got.body) };
	struct mcp_result ret = { 0 };
	struct err e = { 0 };

	if (mcp_parse(&ret, &rp, rpc_id, &e))
		fail_msg("%s: %s", e.text, got.body);
	return ret;
}

static inline void mcp_stop(void *loop)
{
	loop_stop(loop, 0);
}

/* For what a call leaves to later turns of the loop. */
static inline void mcp_later(struct loop *l)
{
	assert_non_null(loop_after(l, 1000, mcp_stop, l));
	assert_int_equal(loop_run(l), 0);
}

/* The turn's commit lets waiting answers out. */
static inline struct mcp_result mcp_call_as(struct mcp_server *m, struct side *s,
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

	mcp_ask(m, p, &c);
	assert_int_equal(engine_turn(s->engine), 0);
	for (int i = 0; s->loop && !got.replies && i < 1000; i++)
		mcp_later(s->loop);
	assert_int_equal(got.replies, 1);
	return mcp_got(c.rpc_id);
}

#endif
