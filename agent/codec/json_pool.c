/* SPDX-License-Identifier: Apache-2.0 */
/* Trees are made of small pieces, three for each member, that are taken together and given back
 * together. The pool is one range of addresses, cut into pages; a page holds pieces of one size, so
 * a piece needs no word of its own before it, and its place tells its size. A piece that was given
 * back is the next of its size to be taken: it is still in the cache. Pages never go back. */
#include "agent/codec/json_pool.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
	STEP = 16, /* and alignment */
	SIZES = JSON_POOL_LARGEST / STEP,
	PAGE = 16 * 1024,
	PAGES = JSON_POOL_BYTES / PAGE
};
_Static_assert(SIZES < UINT8_MAX, "a size fits its page's byte");

struct piece {
	struct piece *next;
};

static struct pool {
	char *base;
	unsigned pages; /* that have a size */
	struct {
		struct piece *free;
		char *at, *end; /* of its newest page: never taken yet */
	} size[SIZES];
	uint8_t page[PAGES]; /* whose size */
} pool;

/* Where no piece of size i is free. */
static void *take_new(size_t i)
{
	char *p = pool.size[i].at;

	if (p == pool.size[i].end) {
		if (pool.pages == PAGES)
			return malloc((i + 1) * STEP);
		pool.page[pool.pages] = (uint8_t)i;
		p = pool.base + (size_t)pool.pages++ * PAGE;
		pool.size[i].end = p + PAGE / ((i + 1) * STEP) * ((i + 1) * STEP);
	}
	pool.size[i].at = p + (i + 1) * STEP;
	return p;
}

static void *take(size_t n)
{
	size_t i = n ? (n - 1) / STEP : 0;
	struct piece *p;

	if (i >= SIZES)
		return malloc(n);
	p = pool.size[i].free;
	if (!p)
		return take_new(i);
	pool.size[i].free = p->next;
	return p;
}

static void give(void *at)
{
	size_t off = (size_t)((uintptr_t)at - (uintptr_t)pool.base);
	struct piece *p = at;
	unsigned i;

	if (off >= JSON_POOL_BYTES) { /* NULL too */
		free(at);
		return;
	}
	i = pool.page[off / PAGE];
	p->next = pool.size[i].free;
	pool.size[i].free = p;
}

static bool watched(void)
{
#ifdef __SANITIZE_ADDRESS__
	return true;
#elif defined(__has_feature)
	return __has_feature(address_sanitizer);
#else
	return false;
#endif
}

void json_pool_use(void)
{
	void *p;

	if (pool.base || watched())
		return;
	p = mmap(NULL, JSON_POOL_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return;
	pool.base = p;
	json_set_alloc_funcs(take, give);
}
