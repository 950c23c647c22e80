/* SPDX-License-Identifier: Apache-2.0 */
/* MCP over HTTP/1.1 on the daemon's unix socket. */
#include "ctl.h"

#include "agent/codec/json.h"
#include "agent/wire/http_client.h"
#include "agent/wire/mcp.h"

#include <errno.h>
#include <stdio.h>
#include <sys/un.h>

#define ANSWER_MAX (8 * 1024 * 1024)
#define WAIT_US    60000000

static int exchange(const struct ctl *c, const struct mcp_call *call, struct mcp_result *ret)
{
	auto_free char *body = mcp_build(call), *answer = NULL;
	struct wire_header h[5];
	struct http_call_spec s = { .method = "POST",
				    .url = "http://localhost/mcp",
				    .unix_path = c->socket,
				    .headers = h,
				    .body = body,
				    .timeout_us = WAIT_US,
				    .max_bytes = ANSWER_MAX };
	struct wire_response r = { .content_type = "application/json" };
	struct err e = { 0 };
	int err;

	if (!body)
		return fail(CTL_FAILED, "out of memory");
	if (strlen(c->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return fail(CTL_USAGE, "--socket: too long a path");
	s.nheaders = mcp_client_headers(h, call);
	s.len = strlen(body);
	err = http_call_sync(&s, &r.status, &answer, &r.len, &e);
	if (err)
		return fail(err == -EMSGSIZE ? CTL_FAILED : CTL_UNREACHABLE, "no daemon at %s: %s",
			    c->socket, e.text[0] ? e.text : strerror(-err));
	r.body = answer;
	if (mcp_parse(ret, &r, call->rpc_id, &e))
		return fail(CTL_FAILED, "bad answer (HTTP %d): %s", r.status, e.text);
	if (ret->code) {
		err = fail(CTL_FAILED, "%s: %s", call->tool ? call->tool : call->method,
			   ret->error ? ret->error : "the daemon failed");
		mcp_result_clear(ret);
		return err;
	}
	return CTL_OK;
}

int client_call(const struct ctl *c, const char *tool, json_t *args, json_t **ret)
{
	struct mcp_call call = { .method = "tools/call",
				 .tool = tool,
				 .args = args,
				 .client_name = "treatyctl",
				 .client_version = "0.1",
				 .rpc_id = 1 };
	struct mcp_result res = { 0 };
	int r = exchange(c, &call, &res);

	json_decref(args);
	if (r)
		return r;
	if (res.is_error)
		r = fail(CTL_REFUSED, "%s", res.text);
	else if (!res.structured)
		r = fail(CTL_FAILED, "%s: an answer without content", tool);
	else
		*ret = json_incref((json_t *)(uintptr_t)res.structured);
	mcp_result_clear(&res);
	return r;
}

/* The rows of one more page, behind those of the pages before it. */
static int add_page(json_t *all, const json_t *page)
{
	const char *name;
	json_t *rows;

	json_object_foreach ((json_t *)(uintptr_t)page, name, rows)
		if (json_is_array(rows) && json_array_extend(json_object_get(all, name), rows))
			return fail(CTL_FAILED, "%s: another kind of page", name);
	return CTL_OK;
}

int client_list(const struct ctl *c, const char *tool, json_t **ret)
{
	json_t *all = NULL, *next;
	int r = client_call(c, tool, json_object(), &all);

	while (!r && (next = json_object_get(all, "next"))) {
		auto_json json_t *page = NULL;

		r = client_call(c, tool, json_pack("{s:O}", "after", next), &page);
		(void)json_object_del(all, "next");
		if (!r)
			r = add_page(all, page);
		next = json_object_get(page, "next");
		if (!r && next && json_object_set(all, "next", next))
			r = fail(CTL_FAILED, "out of memory");
	}
	if (r)
		json_decref(all);
	else
		*ret = all;
	return r;
}

int client_tools(const struct ctl *c, json_t **ret)
{
	struct mcp_call call = { .method = "tools/list",
				 .client_name = "treatyctl",
				 .client_version = "0.1",
				 .rpc_id = 1 };
	struct mcp_result res = { 0 };
	int r = exchange(c, &call, &res);

	if (r)
		return r;
	if (!json_object_get(res.result, "tools"))
		r = fail(CTL_FAILED, "tools/list: an answer without tools");
	else
		*ret = json_incref((json_t *)(uintptr_t)res.result);
	mcp_result_clear(&res);
	return r;
}
