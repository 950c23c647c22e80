/* SPDX-License-Identifier: Apache-2.0 */
/* owner_call.h - tools as a [principal] of one owner calls them, over the real table and the real
 * MCP core of whatever lab stands. */
#ifndef TREATY_TEST_OWNER_CALL_H
#define TREATY_TEST_OWNER_CALL_H

#include "agent/codec/json.h"
#include "agent/mcp_table.h"
#include "agent/queries.h"
#include "mcp_call.h"

#include <errno.h>

static struct mcp_server *owner_mcp;
static struct side *owner_side;

static inline void owner_did(enum owner o, char *to, size_t cap)
{
	(void)snprintf(to, cap, "did:web:%s.lab.example", owner_name(o));
}

/* Rows are the process's: started once. One principal an owner. */
static inline void owner_serve(struct side *s)
{
	struct config *c = (struct config *)(uintptr_t)s->cfg;
	struct err e = { 0 };
	int r;

	owner_side = s;
	for (c->principals = 0; c->principals < OWNER_MAX_; c->principals++) {
		struct cfg_principal *p = &c->principal[c->principals];

		*p = (struct cfg_principal){ .may = 1u << c->principals };
		owner_did((enum owner)c->principals, p->did, sizeof(p->did));
	}
	c->daemon.max_peer_calls = 8;
	r = queries_start(s, &e);
	if (r && r != -EEXIST)
		fail_msg("%s", e.text);
	if (mcp_table_serve(s, NULL, &owner_mcp, &e))
		fail_msg("%s", e.text);
}

static inline void owner_unserve(void)
{
	owner_mcp = mcp_server_free(owner_mcp);
	got_clear();
}

static inline struct mcp_result owner_call(enum owner o, const char *tool, const char *args)
{
	struct peer p = { .name = "x" };

	owner_did(o, p.did, sizeof(p.did));
	return mcp_call_as(owner_mcp, owner_side, &p, tool, args);
}

static inline struct mcp_result owner_does(enum owner o, const char *tool, const char *args)
{
	struct mcp_result r = owner_call(o, tool, args);

	if (r.code || r.is_error)
		fail_msg("%s: %s", tool, r.code ? r.error : r.text);
	return r;
}

static inline void owner_refused(enum owner o, const char *tool, const char *args, const char *why)
{
	struct mcp_result r = owner_call(o, tool, args);

	if (!r.is_error || !strstr(r.text, why))
		fail_msg("%s %s: \"%s\" lacks \"%s\"", tool, args, r.code ? r.error : r.text, why);
	mcp_result_clear(&r);
}

/* For every owner but this one and the human's the tool is not there. */
static inline void owner_alone(enum owner o, const char *tool)
{
	for (unsigned i = 0; i < OWNER_MAX_; i++) {
		struct mcp_result r;

		if (i == (unsigned)o || i == OWNER_human)
			continue;
		r = owner_call((enum owner)i, tool, "{}");
		if (r.code != MCP_E_PARAMS)
			fail_msg("%s: %s may", tool, owner_name((enum owner)i));
		mcp_result_clear(&r);
	}
}

static inline int64_t owner_int(const struct mcp_result *r, const char *key)
{
	return json_integer_value(json_object_get(r->structured, key));
}

#endif
