/* SPDX-License-Identifier: Apache-2.0 */
/* bss_mcp.h - the operator of bss_road.h with two consumers, and its MCP server over the real table
 * of tools: what each of them is told. */
#ifndef TREATY_TEST_BSS_MCP_H
#define TREATY_TEST_BSS_MCP_H

#include "bss_road.h"

#include "agent/mcp_table.h"
#include "agent/queries.h"

static struct mcp_server *mcp;
static struct party desk; /* a [principal] with the human's tools */
static struct {
	json_t *json;
	char *body;
} got;

static inline void on_raw(void *to, const struct wire_response *r)
{
	(void)to;
	free(got.body);
	json_decref(got.json);
	got.body = strndup(r->body ? r->body : "", r->len);
	got.json = json_loads(got.body, 0, NULL);
	assert_non_null(got.json);
}

/* params is stolen. */
static inline void post(const struct party *from, const char *method, const char *name,
			json_t *params)
{
	struct peer p = { .name = "x" };
	const struct wire_header h[] = { { "Content-Type", "application/json" },
					 { "MCP-Protocol-Version", MCP_VERSION },
					 { "Mcp-Method", method },
					 { "Mcp-Name", name } };
	json_t *meta = json_pack("{s:s, s:{}}", "io.modelcontextprotocol/protocolVersion",
				 MCP_VERSION, "io.modelcontextprotocol/clientCapabilities");
	auto_json json_t *root = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1,
					   "method", method, "params", params);
	auto_free char *body = NULL;
	struct wire_request r = { .method = "POST",
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = name ? 4 : 3,
				  .peer = &p };

	assert_int_equal(json_object_set_new(params, "_meta", meta), 0);
	body = json_dumps(root, JSON_COMPACT);
	r.body = body;
	r.len = strlen(body);
	must_set(p.did, from->did);
	mcp_server_handle(mcp, &r, (struct wire_sink){ .fn = on_raw });
}

static inline void ask(const struct party *from, const char *tool, const char *id)
{
	post(from, "tools/call", tool,
	     json_pack("{s:s, s:{s:s}}", "name", tool, "arguments", "id", id));
}

static inline const json_t *result(const char *key)
{
	return json_object_get(json_object_get(got.json, "result"), key);
}

/* A second consumer has a wallet of its own. */
static inline struct road rival_road(void)
{
	struct road r = road_new(&lab.other, "b1");

	must_set(r.w.wallet_id, "urn:uuid:00000000-0000-4000-8000-0000000000bb");
	walk_road(&r);
	return r;
}

static inline int serve(void **state)
{
	static bool rows;
	struct err e = { 0 };
	int r = lab_setup(state);

	lab.cfg.daemon.roles = ROLE_BSS;
	party_init(&desk, 9);
	lab.cfg.principal[0].may = 1u << OWNER_human;
	must_set(lab.cfg.principal[0].did, desk.did);
	lab.cfg.principals = 1;
	lab.cfg.daemon.max_peer_calls = 8;
	if (!rows && queries_start(&lab.side, &e))
		fail_msg("%s", e.text);
	rows = true; /* the table is the process's */
	if (mcp_table_serve(&lab.side, NULL, &mcp, &e))
		fail_msg("%s", e.text);
	return r;
}

static inline int unserve(void **state)
{
	mcp = mcp_server_free(mcp);
	free(got.body);
	json_decref(got.json);
	memset(&got, 0, sizeof(got));
	return lab_teardown(state);
}

#endif
