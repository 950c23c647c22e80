/* SPDX-License-Identifier: Apache-2.0 */
/* pace.h - what readers of streams may cost a loop: what it does not need otherwise, and of one
 * that is busy all the time a tenth (docs/decisions/0140). */
#ifndef TREATY_PACE_H
#define TREATY_PACE_H

#include "agent/loop.h"
#include "wire.h"

enum {
	PACE_FED = 2, /* readers in one turn: who publishes in every turn is not held up */
};

/* Runs fn in a turn of the loop that has nothing else to do, or after a rest of nine times what the
 * last run took; again while fn returns true. */
struct pace {
	struct loop *loop;
	struct loop_timer *timer;
	mono_t rest; /* until when fn waits while the loop has other work */
	bool (*fn)(void *arg);
	void *arg;
};
void pace_init(struct pace *p, struct loop *l, bool (*fn)(void *arg), void *arg);
void pace_ask(struct pace *p); /* fn is to run; once more while it waits changes nothing */
void pace_stop(struct pace *p);

/* Streams of one thread in the order in which they asked, PACE_FED at a time. -ENOMEM. */
struct turns;
int turns_new(struct turns **ret, struct loop *l) must_check;
/* Nobody may wait any more. NULL is fine. */
struct turns *turns_free(struct turns *t);
struct wire_pace turns_pace(struct turns *t);

#endif
