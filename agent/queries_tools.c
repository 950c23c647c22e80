/* SPDX-License-Identifier: Apache-2.0 */
/* Tools of tools.def whose whole effect is their event: a [principal] that has their owner may call
 * them from outside, and the log shows them like ours. A tool that holds money, signs, or sends is
 * not here: its event without its act would be a lie. */
#include "agent/codec/noun.h"
#include "queries_int.h"

#include <errno.h>

static const struct {
	enum tool_id tool;
	const char *title;
	uint32_t roles; /* of the daemon that has the owner */
} wired[] = {
#define WIRE_EVENT(tool, roles, title) { TOOL_##tool, title, roles },
#define WIRE_ROW(tool, roles)
#define WIRE_AS(tool, name)
#define WIRE_NOT(tool, why)
#include "treaty/wire_tools.def"
#undef WIRE_EVENT
#undef WIRE_ROW
#undef WIRE_AS
#undef WIRE_NOT
};

static struct mcp_row rows[ARRAY_LEN(wired)];

/* The call's own name says which row it is: mcp_turn_params() is what was found by it. */
static int on_tool(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	const char *name = json_string_value(json_object_get(mcp_turn_params(t), "name"));
	enum tool_id id = name ? tool_parse(name) : TOOL_MAX_;
	const struct tool_row *r = tool_row(id);
	union event_body *body;
	enum refusal no;
	int err;

	(void)p;
	(void)key;
	if (!r)
		return -ENOENT;
	body = calloc(1, sizeof(*body));
	if (!body)
		return err_set(e, -ENOMEM, "%s", r->name);
	err = noun_decode(event_table(r->event), args, body, e);
	no = err ? REFUSE_NONE : tool_call(s->engine, id, body);
	free(body);
	if (err)
		return err;
	if (no == REFUSE_NONE)
		return mcp_answer_later(s, t,
					json_pack("{s:s, s:I}", "recorded", event_name(r->event),
						  "seq", (json_int_t)engine_world(s->engine)->seq),
					e);
	mcp_refuse(t, no, NULL);
	return 0;
}

int query_tools_add(struct side *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_LEN(wired); i++) {
		const struct tool_row *t = tool_row(wired[i].tool);

		if (!(s->cfg->daemon.roles & wired[i].roles))
			continue;
		rows[i] = (struct mcp_row){ .name = t->name,
					    .title = wired[i].title,
					    .help = t->help,
					    .input = event_table(t->event),
					    .destructive = t->flags & TOOL_DESTRUCTIVE,
					    .idempotent = t->flags & TOOL_IDEMPOTENT,
					    .open_world = t->flags & TOOL_OPEN_WORLD,
					    .call = on_tool };
		r = mcp_table_add(&rows[i], e);
	}
	return r;
}
