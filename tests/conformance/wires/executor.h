/* SPDX-License-Identifier: Apache-2.0 */
/* executor.h - what the conformance build does instead of negotiating: A2A by the message id's
 * prefix, MCP by the suite's fixture tools. */
#ifndef TREATY_CONFORMANCE_EXECUTOR_H
#define TREATY_CONFORMANCE_EXECUTOR_H

#include "agent/loop.h"
#include "agent/wire/a2a.h"
#include "agent/wire/mcp.h"
#include "agent/wire/pace.h"

/* arg is the loop. */
int executor_message(void *arg, const struct peer *p, const struct a2a_message *m,
		     struct a2a_turn *t);
/* The fixtures of the tasks extension, by name; NULL-terminated. */
extern const char *const executor_task_tools[];
int executor_task(const char *tool, const json_t *args, struct mcp_turn *t, struct loop *l);
int executor_mcp(struct mcp_server **ret, struct loop *l, struct turns *turns, struct err *e);

#endif
