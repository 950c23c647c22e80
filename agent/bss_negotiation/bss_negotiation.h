/* SPDX-License-Identifier: Apache-2.0 */
/* bss_negotiation.h - the operator's seller: menus, bargaining, agreements, orders, offers in life.
 */
#ifndef TREATY_BSS_NEGOTIATION_H
#define TREATY_BSS_NEGOTIATION_H

#include "agent/side.h"
#include "agent/wire/a2a.h"

/* After bss_policy_start(). Takes up what was under way when the process ended. -EINVAL: the
 * configuration lacks a key or labels. */
int bss_negotiation_start(struct side *s, struct err *e) must_check;
/* The A2A server's on_message for role bss: the desk, with its rows of both agents. */
int bss_message(struct side *s, const struct peer *p, const struct a2a_message *m,
		struct a2a_turn *t);

#endif
