/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h - one call to another daemon, over mutual TLS: A2A to the other organisation, MCP to a
 * host of our own. The callback runs exactly once, never inside the call that started it. */
#ifndef TREATY_PEER_H
#define TREATY_PEER_H

#include "agent/side.h"
#include "agent/wire/a2a.h"
#include "agent/wire/mcp.h"

/* err 0: r is the parsed answer (which may itself be a JSON-RPC error, see r->code), borrowed.
 * Else a negative errno and the reason in why; r is NULL. */
typedef void (*peer_a2a_fn)(void *arg, int err, const struct a2a_result *r, const char *why);
typedef void (*peer_mcp_fn)(void *arg, int err, const struct mcp_result *r, const char *why);

/* Everything in m is copied. -ENOENT: the DID is no configured peer with a url. */
int peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn, void *arg,
	      struct err *e) must_check;
/* By the peer's configured name. args is borrowed for the call; key makes it idempotent, or NULL.
 */
int peer_tool(struct side *s, const char *name, const char *tool, const json_t *args,
	      const char *key, peer_mcp_fn fn, void *arg, struct err *e) must_check;
/* The configured peer of that DID, NULL when there is none. */
const struct cfg_peer *peer_by_did(const struct config *c, const char *did);

#endif
