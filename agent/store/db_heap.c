/* SPDX-License-Identifier: Apache-2.0 */
/* db_heap.c - SQLite's memory. Each statement takes and gives back some twenty pieces: cursors,
 * frames of triggers, texts. Debian's SQLite is built without its own store of such pieces
 * (lookaside), and malloc() merges those above 1 kB with their neighbours each time. Here a piece
 * that was given back waits for the next of its size. One thread uses SQLite (db.c). */
#include <stdlib.h>
#include "db.h"

enum {
	STEP = 64,
	PIECE_MAX = 4096,       /* larger ones come and go */
	WAIT_MAX = 1024 * 1024, /* bytes that wait */
};

/* Before each piece: its size, a multiple of STEP up to PIECE_MAX. */
struct piece {
	uint64_t size;
	struct piece *next; /* while it waits: the user's first bytes */
};

enum { HEAD = offsetof(struct piece, next) };

static struct piece *waits[PIECE_MAX / STEP + 1];
static size_t waiting;

static struct piece *piece_of(void *p)
{
	return (struct piece *)(void *)((char *)p - HEAD);
}

static int roundup_to(int n)
{
	return n > PIECE_MAX ? (n + 7) & ~7 : n < 1 ? STEP : (n + STEP - 1) / STEP * STEP;
}

static void *take(int n)
{
	size_t size = (size_t)roundup_to(n);
	struct piece *p = size <= PIECE_MAX ? waits[size / STEP] : NULL;

	if (p) {
		waits[size / STEP] = p->next;
		waiting -= size;
	} else {
		p = malloc(HEAD + size);
		if (!p)
			return NULL;
		p->size = size;
	}
	return &p->next;
}

static void give(void *at)
{
	struct piece *p = at ? piece_of(at) : NULL;

	if (!p)
		return;
	if (p->size > PIECE_MAX || waiting + p->size > WAIT_MAX) {
		free(p);
		return;
	}
	p->next = waits[p->size / STEP];
	waits[p->size / STEP] = p;
	waiting += p->size;
}

static int size_of(void *at)
{
	return at ? (int)piece_of(at)->size : 0;
}

static void *again(void *at, int n)
{
	size_t had = (size_t)size_of(at), size = (size_t)roundup_to(n);
	void *p;

	if (had == size)
		return at;
	p = take(n);
	if (p) {
		memcpy(p, at, had < size ? had : size);
		give(at);
	}
	return p;
}

static int begin(void *arg)
{
	(void)arg;
	return SQLITE_OK;
}

static void end(void *arg)
{
	(void)arg;
}

void db_heap(void)
{
	static sqlite3_mem_methods m = { .xMalloc = take,
					 .xFree = give,
					 .xRealloc = again,
					 .xSize = size_of,
					 .xRoundup = roundup_to,
					 .xInit = begin,
					 .xShutdown = end };

	(void)sqlite3_config(SQLITE_CONFIG_MALLOC, &m);
}
