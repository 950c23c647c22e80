/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "agent/wire/http_client.h"

#include <errno.h>
#include <stdio.h>

#define CALL_TIMEOUT_US (20 * 1000 * 1000) /* an order may wait for its overlap and its probes */

struct call {
	peer_a2a_fn a2a;
	peer_mcp_fn mcp;
	void *arg;
	int64_t id;
};

static int64_t next_id; /* JSON-RPC ids of this process; unique among calls in flight */

const struct cfg_peer *peer_by_did(const struct config *c, const char *did)
{
	for (uint32_t i = 0; i < c->peers; i++)
		if (!strcmp(c->peer[i].did, did))
			return &c->peer[i];
	return NULL;
}

static void done_a2a(struct call *k, const struct wire_response *r)
{
	struct a2a_result res;
	struct err e = { 0 };
	int err = a2a_parse(&res, r, "SendMessage", k->id, &e);

	k->a2a(k->arg, err, err ? NULL : &res, e.text);
	if (!err)
		a2a_result_clear(&res);
}

static void done_mcp(struct call *k, const struct wire_response *r)
{
	struct mcp_result res;
	struct err e = { 0 };
	int err = mcp_parse(&res, r, k->id, &e);

	k->mcp(k->arg, err, err ? NULL : &res, e.text);
	if (!err)
		mcp_result_clear(&res);
}

static void done(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct call *k = arg;

	if (!err && k->a2a)
		done_a2a(k, r);
	else if (!err)
		done_mcp(k, r);
	else if (k->a2a)
		k->a2a(k->arg, err, NULL, text);
	else
		k->mcp(k->arg, err, NULL, text);
	free(k);
}

static int post(struct side *s, const struct cfg_peer *p, const char *path,
		const struct wire_header *h, size_t n, const char *body, struct call *k,
		struct err *e)
{
	char url[256];
	struct http_call_spec spec = { .method = "POST",
				       .url = url,
				       .did = p->did,
				       .headers = h,
				       .nheaders = n,
				       .body = body,
				       .timeout_us = CALL_TIMEOUT_US };
	struct http_call *call;

	if (!s->http)
		return err_set(e, -ENOTCONN, "daemon.tls-cert: needed to call %s", p->name);
	if (!body)
		return err_set(e, -ENOMEM, "call to %s", p->name);
	spec.len = strlen(body);
	(void)snprintf(url, sizeof(url), "%s%s", p->url, path);
	return http_call_start(&call, s->http, &spec, done, k, e);
}

int peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn, void *arg,
	      struct err *e)
{
	const struct cfg_peer *p = peer_by_did(s->cfg, did);
	struct wire_header h[3];
	struct call *k;
	auto_free char *body = NULL;
	int r;

	if (!p || !p->url[0])
		return err_set(e, -ENOENT, "%.60s is no configured peer with a url", did);
	k = calloc(1, sizeof(*k));
	if (!k)
		return err_set(e, -ENOMEM, "call to %s", p->name);
	*k = (struct call){ .a2a = fn, .arg = arg, .id = ++next_id };
	body = a2a_build_send(m, k->id);
	r = post(s, p, "/a2a", h, a2a_client_headers(h, m->extension), body, k, e);
	if (r)
		free(k);
	return r;
}

int peer_tool(struct side *s, const char *name, const char *tool, const json_t *args,
	      const char *key, peer_mcp_fn fn, void *arg, struct err *e)
{
	const struct cfg_peer *p = config_peer(s->cfg, name);
	struct mcp_call c = { .method = "tools/call",
			      .tool = tool,
			      .args = args,
			      .idempotency_key = key,
			      .client_name = s->cfg->daemon.name,
			      .client_version = "1" };
	struct wire_header h[5];
	auto_free char *body = NULL;
	struct call *k;
	int r;

	if (!p || !p->url[0])
		return err_set(e, -ENOENT, "%.60s is no configured peer with a url", name);
	k = calloc(1, sizeof(*k));
	if (!k)
		return err_set(e, -ENOMEM, "call to %s", name);
	*k = (struct call){ .mcp = fn, .arg = arg, .id = ++next_id };
	c.rpc_id = k->id;
	body = mcp_build(&c);
	r = post(s, p, "/mcp", h, mcp_client_headers(h, &c), body, k, e);
	if (r)
		free(k);
	return r;
}
