/* SPDX-License-Identifier: Apache-2.0 */
/* mcp.h - MCP 2026-07-28 (stateless, POST only) without any I/O: server/discover, tools/list and
 * tools/call. One whole HTTP request in, one response out, now or later. */
#ifndef TREATY_MCP_H
#define TREATY_MCP_H

#include <jansson.h>

#include "wire.h"

#define MCP_VERSION "2026-07-28"
/* _meta key of tools/call that makes a repeated call safe; 1..128 visible ASCII bytes. */
#define MCP_IDEMPOTENCY_KEY "example.treaty/idempotencyKey"

enum mcp_code {
	MCP_E_PARSE = -32700,
	MCP_E_REQUEST = -32600,
	MCP_E_METHOD = -32601,
	MCP_E_PARAMS = -32602,
	MCP_E_INTERNAL = -32603,
	MCP_E_HEADER = -32020,
	MCP_E_VERSION = -32022,
};

struct mcp_tool {
	const char *name; /* [a-z0-9_]{1,64} */
	const char *title, *description;
	const char *input_schema;                            /* JSON text, root "type":"object" */
	const char *output_schema;                           /* JSON text or NULL */
	bool read_only, destructive, idempotent, open_world; /* all four are always sent */
};

struct mcp_server;
struct mcp_turn; /* one call being answered */

struct mcp_app {
	/* tool is a name of the table; args (borrowed) is always an object. Takes the turn: it must
	 * end by exactly one of mcp_turn_result(), mcp_turn_refuse() and mcp_turn_fail(), inside
	 * this call or later. Negative: an internal error, and the turn must not have been ended.
	 */
	int (*call)(void *arg, const struct peer *p, const char *tool, const json_t *args,
		    const char *idempotency_key, struct mcp_turn *t);
	/* May this peer see and call this tool? NULL: all. A hidden tool answers as unknown. */
	bool (*allowed)(void *arg, const struct peer *p, const char *tool);
	void *arg;
};

struct mcp_config {
	const char *path;             /* "/mcp" */
	const char *name, *version;   /* serverInfo */
	const char *instructions;     /* NULL: none */
	const struct mcp_tool *tools; /* borrowed for ever; order is kept */
	size_t ntools;
	size_t max_turns; /* [256] under way at once */
};

/* Checks every tool's name and schemas: -EINVAL names the tool. */
int mcp_server_new(struct mcp_server **ret, const struct mcp_config *c, const struct mcp_app *app,
		   struct err *e) must_check;
/* Turns still out stay valid; their sinks get a 503 here. */
struct mcp_server *mcp_server_free(struct mcp_server *s);
bool mcp_server_path(const struct mcp_server *s, const char *path);
void mcp_server_handle(struct mcp_server *s, const struct wire_request *r, struct wire_sink sink);

/* structuredContent (borrowed object) and the same as a text block. */
void mcp_turn_result(struct mcp_turn *t, const json_t *structured);
/* isError: text a reader can act on; no structuredContent. */
void mcp_turn_refuse(struct mcp_turn *t, const char *text);
void mcp_turn_fail(struct mcp_turn *t, enum mcp_code code, const char *text);

/* ---- client ---- */

struct mcp_call {
	const char *method;          /* "tools/call", "tools/list" or "server/discover" */
	const char *tool;            /* for tools/call */
	const json_t *args;          /* borrowed object or NULL */
	const char *idempotency_key; /* or NULL */
	const char *client_name, *client_version;
	int64_t rpc_id;
};
char *mcp_build(const struct mcp_call *c); /* body, to be freed; NULL on ENOMEM or bad call */
/* Fills up to 5 headers, returns how many; they borrow from c. */
size_t mcp_client_headers(struct wire_header h[5], const struct mcp_call *c);

struct mcp_result {
	json_t *root;
	int code; /* JSON-RPC error, 0 = none */
	const char *error;
	bool is_error;            /* the tool refused: text says why */
	const char *text;         /* first text block, "" when none */
	const json_t *structured; /* object or NULL */
	const json_t *result;     /* the whole result */
};
int mcp_parse(struct mcp_result *ret, const struct wire_response *r, int64_t rpc_id,
	      struct err *e) must_check;
void mcp_result_clear(struct mcp_result *r);

#endif
