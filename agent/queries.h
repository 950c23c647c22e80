/* SPDX-License-Identifier: Apache-2.0 */
/* queries.h - what people and tools may ask of a daemon over MCP: rows of agent/mcp_table.h. All
 * read only, but for the human's own tools (agreement_terminate, wallet_revoke, policy_load). */
#ifndef TREATY_QUERIES_H
#define TREATY_QUERIES_H

#include "side.h"

/* Adds the rows; the last shell to start. s is borrowed for ever. */
int queries_start(struct side *s, struct err *e) must_check;

#endif
