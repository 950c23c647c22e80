/* SPDX-License-Identifier: Apache-2.0 */
/* feed.h - the log as readers of /events see it. */
#ifndef TREATY_FEED_H
#define TREATY_FEED_H

#include "agent/wire/sse.h"
#include "side.h"

/* Ids and class as filters know them; borrowed from ev, body and the world. */
void feed_describe(const struct side *s, const struct event *ev, const char *body,
		   struct sse_event *ret);
bool feed_may_watch(const struct side *s, const struct peer *p);

/* For a hub whose arg is the side. A reader sees of an event what the disclosure policy lets it
 * see. */
int feed_see(void *arg, const struct peer *p, const struct sse_event *ev, char **ret);
int feed_replay(void *arg, uint64_t after, struct sse_reader *reader);

#endif
