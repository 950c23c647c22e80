/* SPDX-License-Identifier: Apache-2.0 */
/* mcp.h - MCP without any I/O: revision 2026-07-28 (stateless, every request stands alone) and, on
 * the same path, 2025-11-25 with initialize and sessions. A whole HTTP request goes in; one
 * response comes out, now or later, or a stream of server-sent events where something is told on
 * the way.
 *
 * To lift it into another program: agent/wire/{mcp_*,jws,rpc,wire}.c,
 * agent/codec/{canon,json,json_out,json_parse,json_print,json_units}.c,
 * agent/crypto/{crypto,sha256}.c, agent/err.c, agent/refusal.c and the headers that they name, with
 * jansson, libsodium and OpenSSL's libcrypto; tests/lint/lift.sh links just these. The program owns
 * sockets, TLS and time. It fills struct mcp_config, gives requests to mcp_server_handle(), and
 * ends each turn that it was given. One thread. */
#ifndef TREATY_MCP_H
#define TREATY_MCP_H

#include <jansson.h>

#include "jws.h"
#include "treaty/units.h"
#include "wire.h"

#define MCP_VERSION        "2026-07-28"
#define MCP_LEGACY_VERSION "2025-11-25"
/* _meta key of tools/list: {"digest", "jws"} over the RFC 8785 form of the tools as they are
 * listed. */
#define MCP_LIST_SIGNATURE "example.treaty/toolList"
/* _meta key of tools/call that makes a repeated call safe; 1..128 visible ASCII bytes. */
#define MCP_IDEMPOTENCY_KEY "example.treaty/idempotencyKey"

enum mcp_code {
	MCP_E_PARSE = -32700,
	MCP_E_REQUEST = -32600,
	MCP_E_METHOD = -32601,
	MCP_E_PARAMS = -32602,
	MCP_E_INTERNAL = -32603,
	MCP_E_LIMIT = -32000, /* a cap is reached: data is a problem (RFC 9457) */
	MCP_E_HEADER = -32020,
	MCP_E_CAPABILITY = -32021, /* the caller lacks one: data.requiredCapabilities */
	MCP_E_VERSION = -32022,
};

struct mcp_tool {
	const char *name; /* [a-z0-9_]{1,64} */
	const char *title, *description;
	const char *input_schema;                            /* JSON text, root "type":"object" */
	const char *output_schema;                           /* JSON text or NULL */
	bool read_only, destructive, idempotent, open_world; /* all four are always sent */
	bool tasks; /* 2025-11-25: its caller may ask for a task, and then gets one */
};

/* Something to read. uri is a URI, or with is_template an RFC 6570 template that is only told. */
struct mcp_resource {
	const char *uri, *name, *title, *description, *mime;
	bool is_template;
};

struct mcp_server;
struct mcp_turn; /* one call being answered */

struct mcp_app {
	/* tool is a name of the table; args (borrowed) is always an object. Takes the turn: it must
	 * end by exactly one of the mcp_turn_*() ends, inside this call or later. Negative: an
	 * internal error, and the turn must not have been ended. */
	int (*call)(void *arg, const struct peer *p, const char *tool, const json_t *args,
		    const char *idempotency_key, struct mcp_turn *t);
	/* May this peer see and call this tool? NULL: all. A hidden tool answers as unknown. */
	bool (*allowed)(void *arg, const struct peer *p, const char *tool);
	/* May this peer see, read and watch this URI (of the table, or of a template)? NULL: none.
	 * What it may not answers as unknown. */
	bool (*readable)(void *arg, const struct peer *p, const char *uri);
	/* May this peer, which watches what covers uri, hear that it changed because of about
	 * (mcp_resource_changed())? NULL: whoever could ask to watch. */
	bool (*told)(void *arg, const struct peer *p, const char *uri, const char *about);
	/* Of what was refused by allowed() or readable(): the WWW-Authenticate value of a 403 where
	 * another access token of the same caller would do; NULL: none would. One of tool and uri
	 * is NULL. The member may be NULL. */
	const char *(*challenge)(void *arg, const struct peer *p, const char *tool,
				 const char *uri);
	/* Takes the turn like call; ends best with mcp_turn_contents(). */
	int (*read)(void *arg, const struct peer *p, const char *uri, struct mcp_turn *t);
	/* prompts/get and completion/complete, params as sent; NULL: there are none. */
	int (*prompt)(void *arg, const struct peer *p, const char *name, const json_t *args,
		      struct mcp_turn *t);
	int (*complete)(void *arg, const struct peer *p, const json_t *params, struct mcp_turn *t);
	void *arg;
};

struct mcp_config {
	const char *path;             /* "/mcp" */
	const char *name, *version;   /* serverInfo */
	const char *instructions;     /* NULL: none */
	const struct mcp_tool *tools; /* borrowed for ever; order is kept */
	size_t ntools;
	const struct mcp_resource *resources; /* borrowed for ever */
	size_t nresources;
	const char *prompts;      /* JSON array as listed; NULL: none */
	bool lists_change;        /* mcp_list_changed() may be called */
	bool logging;             /* logging/setLevel of the older revision */
	bool legacy;              /* 2025-11-25 too */
	wall_t (*now)(void *arg); /* for tasks; NULL: there are none */
	void *now_arg;
	struct jws_key
		sign; /* signs tools/list; sign.sign NULL: the digest alone. kid is borrowed */
	struct wire_pace pace;   /* of long streams; zero: written at once */
	size_t max_turns;        /* [256] under way at once */
	size_t max_peer_turns;   /* [64] of one peer */
	size_t max_streams;      /* [1024] that listen */
	size_t max_peer_streams; /* [16] of one peer */
	size_t max_sessions;     /* [256] of the older revision; [32] of one peer; the one unused
				  * longest makes room */
};

/* Checks every tool's name and schemas: -EINVAL names the tool. */
int mcp_server_new(struct mcp_server **ret, const struct mcp_config *c, const struct mcp_app *app,
		   struct err *e) must_check;
/* Turns still out stay valid; their sinks get a 503 here. */
struct mcp_server *mcp_server_free(struct mcp_server *s);
bool mcp_server_path(const struct mcp_server *s, const char *path);
void mcp_server_handle(struct mcp_server *s, const struct wire_request *r, struct wire_sink sink);

/* structuredContent (borrowed object) and the same as a text block; of a read, its contents. */
void mcp_turn_result(struct mcp_turn *t, const json_t *structured);
/* isError: text a reader can act on; no structuredContent. Of a read, an error. */
void mcp_turn_refuse(struct mcp_turn *t, const char *text);
void mcp_turn_fail(struct mcp_turn *t, enum mcp_code code, const char *text);
/* data (borrowed, may be NULL) goes along; MCP_E_CAPABILITY is an HTTP 400. */
void mcp_turn_fail_data(struct mcp_turn *t, enum mcp_code code, const char *text,
			const json_t *data);
/* The text of what was to be read. */
void mcp_turn_contents(struct mcp_turn *t, const char *mime, const char *text);
/* Any result object (borrowed); resultType and _meta are added as the revision has them. */
void mcp_turn_raw(struct mcp_turn *t, const json_t *result);

/* What the caller sent, borrowed while the turn lives: the whole params. */
const json_t *mcp_turn_params(const struct mcp_turn *t);
/* Did the caller declare this client capability ("sampling", "elicitation", ...)? */
bool mcp_turn_capable(const struct mcp_turn *t, const char *capability);
bool mcp_turn_legacy(const struct mcp_turn *t);
/* gone runs once when the caller cancels (leaves, or says so in the older revision) before the end;
 * the turn must still be ended, which then leads to nothing. */
void mcp_turn_on_cancel(struct mcp_turn *t, void (*gone)(void *arg), void *arg);
/* To a caller that asked for it and can read a stream; else nothing happens. progress must grow.
 * message may be NULL. */
void mcp_turn_progress(struct mcp_turn *t, double progress, double total, const char *message);
/* A notification on the call's own stream; params borrowed. */
void mcp_turn_notify(struct mcp_turn *t, const char *method, const json_t *params);
/* The older revision alone: asks the caller and runs answer with its result (NULL: refused or
 * gone). -EOPNOTSUPP: it cannot be asked; -EPIPE: its stream is lost. */
int mcp_turn_ask(struct mcp_turn *t, const char *method, const json_t *params,
		 void (*answer)(void *arg, struct mcp_turn *t, const json_t *result), void *arg);

/* Makes the call a task: the caller is answered now, the ends above go into the task, its
 * cancelling is the caller's. In 2026-07-28 with the tasks extension the application decides; in
 * 2025-11-25 the caller does, and its call is a task before it comes here (0 again). -EOPNOTSUPP:
 * this caller has no tasks, and the call goes on as it is; -ENOSPC: too many are under way. */
int mcp_turn_task(struct mcp_turn *t);
/* Of a task alone: asks its owner (requests by key, borrowed) and runs answer with all responses by
 * key; in 2025-11-25 the owner is asked while it waits for the result, and null is a refused
 * answer. -EINVAL: no task, or it asks already. */
int mcp_turn_task_ask(struct mcp_turn *t, const json_t *requests,
		      void (*answer)(void *arg, struct mcp_turn *t, const json_t *responses),
		      void *arg);

/* To those who listen to that URI, or to a URI that is a path above it, as told() lets them. about
 * is the application's, NULL: nothing in particular. */
void mcp_resource_changed(struct mcp_server *s, const char *uri, const char *about);
enum mcp_list { MCP_TOOLS, MCP_PROMPTS, MCP_RESOURCES };
void mcp_list_changed(struct mcp_server *s, enum mcp_list which);
/* A comment on every stream, against idle closing. */
void mcp_ping(struct mcp_server *s);
size_t mcp_streams(const struct mcp_server *s);

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
