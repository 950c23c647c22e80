/* SPDX-License-Identifier: Apache-2.0 */
/* tools.def as functions and as a table. */
#include "tools.h"

#define TOOL(name, owner, event, flags, help)                                               \
	enum refusal tool_##name(const struct cap_##owner *cap, const payload_##event *arg, \
				 const struct decision *d, const digest_t *body)            \
	{                                                                                   \
		return engine_emit(cap->engine, EV_##event, #owner, #name, arg, d, body);   \
	}
#include "treaty/tools.def"
#undef TOOL

enum { I = TOOL_IDEMPOTENT, D = TOOL_DESTRUCTIVE, O = TOOL_OPEN_WORLD };

static const struct tool_row rows[] = {
#define TOOL(name, owner, event, flags, help) \
	[TOOL_##name] = { #name, help, OWNER_##owner, EV_##event, flags },
#include "treaty/tools.def"
#undef TOOL
};

const struct tool_row *tool_row(enum tool_id id)
{
	return (unsigned)id < TOOL_MAX_ ? &rows[id] : NULL;
}

const char *owner_name(enum owner o)
{
	static const char *const names[] = {
#define X(n) [OWNER_##n] = #n,
		OWNERS(X)
#undef X
	};

	return (unsigned)o < OWNER_MAX_ ? names[o] : "?";
}

enum tool_id tool_parse(const char *name)
{
	for (unsigned i = 0; i < TOOL_MAX_; i++)
		if (!strcmp(rows[i].name, name))
			return (enum tool_id)i;
	return TOOL_MAX_;
}

enum refusal tool_call(struct engine *en, enum tool_id id, const void *payload)
{
	const struct tool_row *t = tool_row(id);

	return t ? engine_emit(en, t->event, owner_name(t->owner), t->name, payload, NULL, NULL)
		 : REFUSE_NOT_AUTHORIZED;
}
