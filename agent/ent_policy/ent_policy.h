/* SPDX-License-Identifier: Apache-2.0 */
/* ent_policy.h - the enterprise's money and word: takes menus in, chooses within the wallet,
 * holds, verifies, captures, countersigns, and keeps the enterprise's own edge in step. */
#ifndef TREATY_ENT_POLICY_H
#define TREATY_ENT_POLICY_H

#include "agent/side.h"

struct a2a_message;
struct a2a_turn;
struct peer;

/* Reads the wallet credential ([wallet] credential; empty: none) while the file may still be
 * opened. Nothing of it is believed before ent_policy_start(). */
int ent_policy_load(struct side *s, struct err *e) must_check;
/* Verifies the wallet, subscribes, adds the MCP row wallet_load, takes up every conversation that
 * was under way. -EACCES: the wallet is not ours or does not verify. */
int ent_policy_start(struct side *s, struct err *e) must_check;
/* A2A message of the operator: a renegotiation offer or the end of an agreement. Ends the turn. */
int ent_message(struct side *s, const struct peer *p, const struct a2a_message *m,
		struct a2a_turn *t);

#endif
