/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_table.h - everything this daemon answers over MCP, as rows. Shells add theirs at start; the
 * tools of tools.def that a human may call are added by compose.c. A caller sees only the rows that
 * it may call. */
#ifndef TREATY_MCP_TABLE_H
#define TREATY_MCP_TABLE_H

#include "agent/side.h"
#include "agent/wire/mcp.h"

enum mcp_who {
	WHO_HUMAN = 1, /* the unix socket, root or the daemon's own user */
	WHO_APP = 2,   /* the unix socket, anybody who may open it */
	WHO_OSS = 4,   /* the TLS peer named by [node] oss */
};

/* Beside these, a [principal] may call the tools of the owners that it was given: a row's owner is
 * the one that tools.def names for the tool of that name. The human's owner makes it WHO_HUMAN. */

/* A row that only reads is also for whom the disclosure policy lets see it (agent/disclosure.h); an
 * app sees it by that policy alone. */
struct mcp_row {
	const char *name, *title, *help;
	/* JSON text, or NULL and a table from which it is made, or both NULL: no arguments. */
	const char *input_schema;
	const struct field_table *input;
	bool read_only, destructive, idempotent, open_world;
	unsigned who;
	unsigned owners; /* 1u << enum owner; 0: as tools.def says of this name */
	bool slow;       /* waits for nodes: a task where the caller has tasks */
	/* Ends the turn now or later. Negative with *e: answered as a refusal with its text. */
	int (*call)(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e);
};

#define MCP_ROWS_MAX 112

/* r is borrowed for ever. -ENOSPC, -EEXIST. Only before the server starts. */
int mcp_table_add(const struct mcp_row *r, struct err *e) must_check;
/* The server over all rows. key (copied, what it names borrowed for ever; NULL: none) signs lists.
 */
int mcp_table_serve(struct side *s, const struct jws_key *key, struct mcp_server **ret,
		    struct err *e) must_check;
/* The row's act itself, after its grant: nothing is asked any more. -ENOENT: no such tool. */
int mcp_table_run(struct side *s, const struct peer *p, const char *tool, const json_t *args,
		  struct mcp_turn *t, struct err *e) must_check;
/* Tells those who listen that the log grew, and about which deal ("" or NULL: none). */
void mcp_table_changed(struct mcp_server *m, const char *deal);
/* Tells those who listen that the state of the paths is another one, and so what prices follow. */
void mcp_table_paths_changed(struct mcp_server *m);
/* What the call under way may be told of o: *io is replaced. Every read answers through it. */
int mcp_table_view(json_t **io, struct err *e) must_check;
/* The same for an answer after the call: kept while it is under way, to be freed. NULL: no memory.
 */
struct mcp_kept_view *mcp_table_keep_view(void);
struct mcp_kept_view *mcp_table_free_view(struct mcp_kept_view *v);
int mcp_table_view_by(const struct mcp_kept_view *v, json_t **io, struct err *e) must_check;
/* Ends the turn with o, which is consumed, once what it says is durable. */
int mcp_answer_later(struct side *s, struct mcp_turn *t, json_t *o, struct err *e) must_check;
/* {id, reason} of an act that somebody answers for, both required. */
int mcp_id_reason(const json_t *args, char *id, size_t cap, why_t *why, struct err *e) must_check;
#define MCP_ID_REASON                                                                   \
	"{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"reason\":" \
	"{\"type\":\"string\",\"minLength\":1}},\"required\":[\"id\",\"reason\"],"      \
	"\"additionalProperties\":false}"
#define MCP_NO_ARGUMENTS "{\"type\":\"object\",\"additionalProperties\":false}"
/* The refusal as a tool's answer: "over_ceiling: held plus captured ...: why". */
void mcp_refuse(struct mcp_turn *t, enum refusal r, const char *why);

#endif
