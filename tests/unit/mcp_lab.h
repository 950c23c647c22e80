/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_lab.h - requests to an MCP server without sockets, and the last answer that it gave. */
#ifndef TREATY_TEST_MCP_LAB_H
#define TREATY_TEST_MCP_LAB_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent/wire/mcp.h"

static struct {
	int status, replies;
	char body[65536], session[64];
	json_t *json;
} got;
static struct mcp_server *srv;
static struct mcp_turn *held; /* a call that the test ends itself */

static inline void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	got.replies++;
	got.status = r->status;
	assert_true(r->len < sizeof(got.body));
	memcpy(got.body, r->body ? r->body : "", r->len);
	got.body[r->len] = 0;
	for (size_t i = 0; i < r->nheaders; i++)
		if (!strcmp(r->headers[i].name, "Mcp-Session-Id"))
			(void)snprintf(got.session, sizeof(got.session), "%s", r->headers[i].value);
	json_decref(got.json);
	got.json = json_loads(got.body, 0, NULL);
}

static inline void got_clear(void)
{
	json_decref(got.json);
	memset(&got, 0, sizeof(got));
	held = NULL;
}

static inline int64_t code(void)
{
	return json_integer_value(json_object_get(json_object_get(got.json, "error"), "code"));
}

static inline const json_t *result(const char *key)
{
	return json_object_get(json_object_get(got.json, "result"), key);
}

/* One request; of more those with a value go along. */
static inline void mcp_request(const struct peer *p, const char *verb,
			       const struct wire_header *more, size_t n, const char *body,
			       struct wire_sink sink)
{
	struct wire_header h[12] = { { "Content-Type", "application/json" },
				     { "Accept", "application/json, text/event-stream" } };
	struct wire_request r = { .method = verb,
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = 2,
				  .body = body,
				  .len = strlen(body),
				  .peer = p };

	for (size_t i = 0; i < n; i++)
		if (more[i].name && more[i].value)
			h[r.nheaders++] = more[i];
	got.replies = 0;
	mcp_server_handle(srv, &r, sink);
}

#endif
