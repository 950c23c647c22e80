/* SPDX-License-Identifier: Apache-2.0 */
/* compose.h - the agents process put together: what is read with privileges, what is opened after
 * they are gone, and which shells the roles start. */
#ifndef TREATY_COMPOSE_H
#define TREATY_COMPOSE_H

#include "agent/config.h"
#include "agent/loop.h"

struct compose;
struct msg_client;

/* Before the privileges go: certificate, key, CA, pinned documents, wallet. */
int compose_new(struct compose **ret, const struct config *c, struct err *e) must_check;
/* After: store (replayed), engine, wires, shells. enforcer and signer are borrowed. */
int compose_start(struct compose *m, struct loop *l, struct msg_client *enforcer,
		  struct msg_client *signer, struct err *e) must_check;
/* Before every sleep: one turn of the engine. The failure that ends the process, in e. */
int compose_turn(struct compose *m, struct err *e) must_check;
/* Takes no new callers, ends the streams of events, and calls done once those who wait have their
 * answers; at once when nobody does. The loop goes on. */
void compose_drain(struct compose *m, void (*done)(void *arg), void *arg);
/* Stops taking new work, commits what is staged, closes. NULL in, NULL out. */
struct compose *compose_free(struct compose *m);

#endif
