/* SPDX-License-Identifier: Apache-2.0 */
/* tools.h - generated from tools.def: one typed function a tool, its first argument the caller's
 * capability. There is one capability type an owner, so the wrong caller is a compile error. */
#ifndef TREATY_TOOLS_TOOLS_H
#define TREATY_TOOLS_TOOLS_H

#include "engine.h"

#define OWNERS(X)          \
	X(ent_requirement) \
	X(ent_policy)      \
	X(bss_policy)      \
	X(bss_negotiation) \
	X(oss_negotiation) \
	X(oss_planning)    \
	X(oss_assurance)   \
	X(node)            \
	X(human)           \
	X(advice)          \
	X(witness)

#define X(o)                           \
	struct cap_##o {               \
		struct engine *engine; \
	};
OWNERS(X)
#undef X

enum owner {
#define X(o) OWNER_##o,
	OWNERS(X)
#undef X
		OWNER_MAX_
};

#define EVENT(name, type, table, help) typedef type payload_##name;
#include "treaty/events.def"
#undef EVENT

/* REFUSE_NONE: the event is staged and folded. d (the decision behind it) and body (digest of the
 * signed body) may be NULL. */
#define TOOL(name, owner, event, flags, help)                                               \
	enum refusal tool_##name(const struct cap_##owner *cap, const payload_##event *arg, \
				 const struct decision *d, const digest_t *body);
#include "treaty/tools.def"
#undef TOOL

enum tool_id {
#define TOOL(name, owner, event, flags, help) TOOL_##name,
#include "treaty/tools.def"
#undef TOOL
	TOOL_MAX_
};

enum tool_flags { TOOL_IDEMPOTENT = 1, TOOL_DESTRUCTIVE = 2, TOOL_OPEN_WORLD = 4 };

struct tool_row {
	const char *name, *help;
	enum owner owner;
	enum event_kind event;
	unsigned flags;
};

const struct tool_row *tool_row(enum tool_id id);
const char *owner_name(enum owner o);
enum tool_id tool_parse(const char *name); /* TOOL_MAX_ when unknown */
/* By id, for callers that are authorized on the wire (MCP). payload as the event's table says. */
enum refusal tool_call(struct engine *en, enum tool_id id, const void *payload);

#endif
