/* SPDX-License-Identifier: Apache-2.0 */
/* sse.h - server-sent events: formatting, and one list of readers. Events carry the log's sequence
 * number as their id, so a reader that comes back names the last one it saw and misses nothing. */
#ifndef TREATY_SSE_H
#define TREATY_SSE_H

#include "wire.h"

struct http_reply;
struct loop;
struct sse_hub;

/* Formats one event; data is split at newlines into data: lines. Bytes needed (as snprintf) or
 * -EINVAL when type has a control byte. seq 0: no id line. type NULL: none. */
int sse_format(char *buf, size_t cap, uint64_t seq, const char *type, const char *data);

/* Sends the events after `after` by sse_send(reader, ...), as long as that returns 0. 0: there are
 * no more; 1: sse_send() had enough for now, and asks again later; negative errno: the reader is
 * closed. */
struct sse_reader;
typedef int (*sse_replay_fn)(void *arg, uint64_t after, struct sse_reader *reader);

/* What filters look at: NULL or "" where the event has none. */
struct sse_event {
	uint64_t seq;
	const char *type;
	const char *about[2]; /* ids of its agreement: lineage, negotiation */
	const char *class_name;
	const char *data;
};

/* What a caller sees of an event: 1 all of it; 0 nothing; 2 *ret instead of its data, to be freed;
 * negative: it is let go. */
typedef int (*sse_view_fn)(void *arg, const struct peer *p, const struct sse_event *ev, char **ret);

/* Whoever publishes pays for one copy of the event, however many read. Readers are fed from later
 * turns of the loop, some at a time, each with all that waits for it in one piece. They get what
 * the loop does not need otherwise, and of a loop that is busy all the time a tenth. One that
 * cannot keep up is fed from the log when it reads on, and closed when it has read nothing for two
 * pings.
 */
int sse_hub_new(struct sse_hub **ret, struct loop *l, size_t max_readers, sse_replay_fn replay,
		void *arg) must_check;
void sse_hub_end(struct sse_hub *h);             /* every stream */
struct sse_hub *sse_hub_free(struct sse_hub *h); /* ends every stream */
/* Readers of one caller; the next one's answer is a 429. 0: as many as of all. */
void sse_hub_limit(struct sse_hub *h, size_t max_peer_readers);
/* Asked for each reader and event, with replay's arg; without it everybody sees everything. */
void sse_hub_view(struct sse_hub *h, sse_view_fn view);
/* Turns the request into a reader: Last-Event-ID or ?after= names where to begin; without either
 * only new events come. ?type=A,B, ?agreement=ID and ?class=NAME leave out what is not of them, all
 * of those that are given; an unknown parameter is a 400. Answers 400 or 503 itself. Spends the
 * token. */
void sse_subscribe(struct sse_hub *h, const struct wire_request *r, struct http_reply *token);
/* For every reader that has not seen seq yet and wants it. */
void sse_publish(struct sse_hub *h, const struct sse_event *ev);
/* A comment line for whoever got nothing since the last, to keep idle connections open. */
void sse_ping(struct sse_hub *h);
/* For replay: 0, 1 = enough for now (the event is taken), negative errno. */
int sse_send(struct sse_reader *r, const struct sse_event *ev) must_check;
size_t sse_readers(const struct sse_hub *h);

#endif
