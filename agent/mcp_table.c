/* SPDX-License-Identifier: Apache-2.0 */
#include "mcp_table.h"

#include "agent/codec/noun.h"

#include <errno.h>
#include <stdio.h>

#define NO_ARGUMENTS "{\"type\":\"object\",\"additionalProperties\":false}"

static const struct mcp_row *rows[MCP_ROWS_MAX];
static struct mcp_tool tools[MCP_ROWS_MAX];
static size_t n_rows;
static struct side *side;

int mcp_table_add(const struct mcp_row *r, struct err *e)
{
	struct mcp_tool *t = &tools[n_rows];
	json_t *schema;

	for (size_t i = 0; i < n_rows; i++)
		if (!strcmp(rows[i]->name, r->name))
			return err_set(e, -EEXIST, "tool %s: twice", r->name);
	if (n_rows == MCP_ROWS_MAX)
		return err_set(e, -ENOSPC, "tool %s: more than %d", r->name, MCP_ROWS_MAX);
	*t = (struct mcp_tool){ .name = r->name,
				.title = r->title,
				.description = r->help,
				.input_schema = r->input_schema ? r->input_schema : NO_ARGUMENTS,
				.read_only = r->read_only,
				.destructive = r->destructive,
				.idempotent = r->idempotent,
				.open_world = r->open_world };
	if (r->input && !r->input_schema) {
		schema = noun_schema(r->input);
		t->input_schema = schema ? json_dumps(schema, JSON_COMPACT) : NULL; /* for ever */
		json_decref(schema);
		if (!t->input_schema)
			return err_set(e, -ENOMEM, "tool %s", r->name);
	}
	rows[n_rows++] = r;
	return 0;
}

static unsigned who_is(const struct peer *p)
{
	const struct cfg_peer *oss;
	unsigned who = 0;

	if (p->local)
		return p->uid == 0 || p->uid == geteuid() ? WHO_HUMAN | WHO_APP : WHO_APP;
	for (uint32_t i = 0; i < side->cfg->peers; i++)
		if (!strcmp(side->cfg->peer[i].did, p->did))
			who |= WHO_PEER;
	oss = config_peer(side->cfg, side->cfg->node.oss);
	if (oss && !strcmp(oss->did, p->did))
		who |= WHO_OSS;
	return who;
}

static const struct mcp_row *row_of(const char *name)
{
	for (size_t i = 0; i < n_rows; i++)
		if (!strcmp(rows[i]->name, name))
			return rows[i];
	return NULL;
}

static bool allowed(void *arg, const struct peer *p, const char *tool)
{
	const struct mcp_row *r = row_of(tool);

	(void)arg;
	return r && (r->who & who_is(p));
}

static int call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		const char *key, struct mcp_turn *t)
{
	const struct mcp_row *r = row_of(tool);
	struct err e = { 0 };
	int err = r ? r->call(arg, p, args, key, t, &e) : -ENOENT;

	if (err)
		mcp_turn_refuse(t, e.text[0] ? e.text : strerror(-err));
	return 0;
}

int mcp_table_serve(struct side *s, struct mcp_server **ret, struct err *e)
{
	struct mcp_app app = { .call = call, .allowed = allowed, .arg = s };
	struct mcp_config c = { .path = "/mcp",
				.name = "treatyd",
				.version = "0.1",
				.tools = tools,
				.ntools = n_rows };

	side = s;
	return mcp_server_new(ret, &c, &app, e);
}

void mcp_refuse(struct mcp_turn *t, enum refusal r, const char *why)
{
	char text[400];

	(void)snprintf(text, sizeof(text), "%s: %s%s%s", refusal_name(r), refusal_text(r),
		       why && *why ? ": " : "", why ? why : "");
	mcp_turn_refuse(t, text);
}
