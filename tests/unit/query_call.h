/* SPDX-License-Identifier: Apache-2.0 */
/* query_call.h - calls of tools as a client makes them, over the real MCP core of query_lab.h. */
#ifndef TREATY_TEST_QUERY_CALL_H
#define TREATY_TEST_QUERY_CALL_H

#include "query_lab.h"

#include <errno.h>

static struct query_lab lab;
static struct peer human = { .local = true };

static struct {
	char *body;
	int status, replies;
} got;

static inline void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	free(got.body);
	got.body = strndup(r->body ? r->body : "", r->len);
	got.status = r->status;
	got.replies++;
}

/* One tools/call as a client sends it; the turn's commit lets waiting answers out. */
static inline void call_as(const struct peer *p, const char *tool, const char *args,
			   struct mcp_result *ret)
{
	json_t *a = args ? json_loads(args, 0, NULL) : NULL;
	struct mcp_call c = { .method = "tools/call",
			      .tool = tool,
			      .args = a,
			      .client_name = "test",
			      .client_version = "0",
			      .rpc_id = 7 };
	char *body = mcp_build(&c);
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
	struct err e = { 0 };

	got.replies = 0;
	mcp_server_handle(lab.mcp, &rq, (struct wire_sink){ .fn = on_reply });
	assert_int_equal(engine_turn(lab.side.engine), 0);
	assert_int_equal(got.replies, 1);
	rp.status = got.status;
	rp.body = got.body;
	rp.len = strlen(got.body);
	if (mcp_parse(ret, &rp, 7, &e))
		fail_msg("%s: %s: %s", tool, e.text, got.body);
	json_decref(a);
	free(body);
}

static inline struct mcp_result ask(const char *tool, const char *args)
{
	struct mcp_result r = { 0 };

	call_as(&human, tool, args, &r);
	if (r.code || r.is_error)
		fail_msg("%s: %s", tool, r.code ? r.error : r.text);
	return r;
}

static inline void refused(const char *tool, const char *args, const char *text)
{
	struct mcp_result r = { 0 };

	call_as(&human, tool, args, &r);
	if (!r.is_error || !strstr(r.text, text))
		fail_msg("%s %s: \"%s\" lacks \"%s\"", tool, args, r.text, text);
	mcp_result_clear(&r);
}

/* "a.b.2.c" in the answer, as compact text. */
static inline void expect(const struct mcp_result *r, const char *path, const char *want)
{
	const json_t *v = r->structured;
	char part[64], *text;
	size_t n;

	for (const char *p = path; *p; p += n + (p[n] == '.')) {
		n = strcspn(p, ".");
		(void)snprintf(part, sizeof(part), "%.*s", (int)n, p);
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(part))
				     : json_object_get(v, part);
	}
	text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	if (!text || strcmp(text, want) != 0)
		fail_msg("%s: %s, not %s", path, text ? text : "nothing", want);
	free(text);
}

#endif
