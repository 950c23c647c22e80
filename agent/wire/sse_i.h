/* SPDX-License-Identifier: Apache-2.0 */
/* sse_i.h - private to sse*.c: the hub, its readers, what is kept for them and how they see it. */
#ifndef TREATY_SSE_I_H
#define TREATY_SSE_I_H

#include <sys/queue.h>

#include "pace.h"
#include "sse.h"

enum {
	KEPT_MAX = 4096, /* events held for readers that are behind; older ones are in the log */
	RING = 4 << 20,  /* bytes of their texts */
	SLICE = 32768,   /* bytes for one reader at a time */
	SCAN_MAX = 512,  /* events of the log looked at for one, whether it sees them or not */
	PAGES_MAX = 64,
};

/* One event that was published: its text, made once and in the ring right behind the one before it,
 * and what filters look at. */
struct kept {
	struct sse_event ev;
	const char *text;
	size_t len;
	char strings[];
};

enum sight { NOTHING, ALL, OTHER };

/* What readers with one lens get of the log: the text of all that they see of the events after
 * `after`, up to and with `upto`. */
struct page {
	char *text; /* NULL: there is none */
	size_t len;
	uint64_t after, upto;
};

/* Readers with one principal and one filter see the same: each event is judged once for all. */
struct lens {
	LIST_ENTRY(lens) entry;
	struct page page;
	size_t readers;
	char types[256], agreement[128], class_name[64]; /* "" = any */
	struct peer peer;
	uint64_t from, to;      /* events that are judged */
	uint8_t seen[KEPT_MAX]; /* enum sight of event number i at i % KEPT_MAX */
};

TAILQ_HEAD(sse_readers, sse_reader);

struct sse_reader {
	TAILQ_ENTRY(sse_reader) entry;
	struct sse_hub *hub;
	struct http_stream *stream;
	uint64_t seen;         /* in the log */
	uint64_t next;         /* of the hub's events */
	bool from_log;         /* until it has caught up */
	bool stuck;            /* its connection is full */
	bool told;             /* something, since the last ping */
	uint64_t given, taken; /* bytes; taken of the connection, as of the last ping */
	struct lens *lens;
};

struct sse_hub {
	struct pace pace;
	struct sse_readers current, behind, stuck;
	LIST_HEAD(, lens) lenses;
	size_t n, max, max_peer, pages;
	struct kept *kept[KEPT_MAX]; /* event number i at i % KEPT_MAX */
	uint64_t first, end;         /* numbers of those that are kept */
	char *ring;                  /* made with the first event */
	size_t at;                   /* of the next text */
	const char *run;             /* what the reader whose turn it is gets: the slice, */
	size_t run_len;              /* and behind it this much of the ring */
	char *slice;
	size_t used, cap, scanned;
	sse_replay_fn replay;
	sse_view_fn view;
	void *arg;
};

/* sse_kept.c. The event as text in the ring, ready to become number h->end; the oldest make room.
 * NULL on ENOMEM, or when it cannot be formatted. */
struct kept *sse_kept_new(struct sse_hub *h, const struct sse_event *ev);
void sse_forget_first(struct sse_hub *h);
/* The one of those who see as want does, with one reader more; NULL on ENOMEM. */
struct lens *sse_lens_get(struct sse_hub *h, const struct lens *want);
void sse_lens_put(struct sse_hub *h, struct lens *l); /* with one less; NULL is fine */
/* Keeps a copy of what was read of the log for l; without memory or beyond PAGES_MAX nothing is. */
void sse_page_keep(struct sse_hub *h, struct lens *l, const char *text, size_t len, uint64_t after,
		   uint64_t upto);
/* What of the page comes after seen: false when that is not in it. Borrowed. */
bool sse_page_find(const struct lens *l, uint64_t seen, const char **text, size_t *len);
void sse_pages_drop(struct sse_hub *h);
bool sse_wants(const struct lens *l, const struct sse_event *ev);
/* What the lens shows of event number i, which is kept: enum sight, or negative: whoever looks
 * through it is let go. */
int sse_sight(struct sse_hub *h, struct lens *l, uint64_t i);

#endif
