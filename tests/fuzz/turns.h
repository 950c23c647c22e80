/* SPDX-License-Identifier: Apache-2.0 */
/* turns.h - streams that wait for a turn which the target gives when it likes. */
#ifndef TREATY_FUZZ_TURNS_H
#define TREATY_FUZZ_TURNS_H

#include <stdlib.h>

#include "agent/wire/wire.h"

static TAILQ_HEAD(, wire_turn) waiting = TAILQ_HEAD_INITIALIZER(waiting);

static void turn_wait(void *to, struct wire_turn *w)
{
	(void)to;
	if (w->waits)
		return;
	w->waits = true;
	TAILQ_INSERT_TAIL(&waiting, w, entry);
}

static void turn_leave(void *to, struct wire_turn *w)
{
	(void)to;
	if (w->waits)
		TAILQ_REMOVE(&waiting, w, entry);
	w->waits = false;
}

/* Everybody's: afterwards nobody waits. */
static void turns_give(void)
{
	for (struct wire_turn *w; (w = TAILQ_FIRST(&waiting));) {
		TAILQ_REMOVE(&waiting, w, entry);
		w->waits = false;
		w->fn(w->arg);
	}
}

#endif
