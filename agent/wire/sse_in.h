/* SPDX-License-Identifier: Apache-2.0 */
/* sse_in.h - server-sent events read as they arrive: bytes in, the data of each event out. */
#ifndef TREATY_SSE_IN_H
#define TREATY_SSE_IN_H

#include "treaty/err.h"

/* text is a whole event's data, its lines joined without what stood between them, which suits JSON;
 * it lives until the callback returns. Begin with fn and arg set. */
struct sse_in {
	char *buf;
	size_t n, cap;
	size_t seen; /* of n: no event ends in it */
	void (*fn)(void *arg, const char *text, size_t len);
	void *arg;
};
/* -EMSGSIZE: an event beyond 8 MiB; -ENOMEM. */
int sse_in_feed(struct sse_in *ev, const char *p, size_t n) must_check;
void sse_in_clear(struct sse_in *ev);

#endif
