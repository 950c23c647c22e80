/* SPDX-License-Identifier: Apache-2.0 */
/* db_pages.c - SQLite's own page cache, told to drop pages only when it has such. SQLite 3.40 moves
 * a page that it balances to the number 262,145 and back, and remembers that number as the highest
 * there was: so every commit that cuts the cache back to the size of the file goes through all
 * pages of it, thousands, to find none. Here the highest number is known. One thread uses SQLite
 * (db.c). */
#include <stdlib.h>
#include "db.h"

static sqlite3_pcache_methods2 below;

/* No page of it has a number above `highest` but one at most, whose number is `away`. */
struct pages {
	sqlite3_pcache *cache;
	unsigned highest, away; /* 0 = none */
};

static struct pages *of(sqlite3_pcache *c)
{
	return (struct pages *)(void *)c;
}

static sqlite3_pcache *create(int size, int extra, int purgeable)
{
	struct pages *p = calloc(1, sizeof(*p));

	if (p)
		p->cache = below.xCreate(size, extra, purgeable);
	if (p && p->cache)
		return (sqlite3_pcache *)(void *)p;
	free(p);
	return NULL;
}

static void destroy(sqlite3_pcache *c)
{
	below.xDestroy(of(c)->cache);
	free(of(c));
}

static void cachesize(sqlite3_pcache *c, int n)
{
	below.xCachesize(of(c)->cache, n);
}

static int pagecount(sqlite3_pcache *c)
{
	return below.xPagecount(of(c)->cache);
}

static sqlite3_pcache_page *fetch(sqlite3_pcache *c, unsigned key, int make)
{
	struct pages *p = of(c);

	if (make && key > p->highest)
		p->highest = key;
	return below.xFetch(p->cache, key, make);
}

static void unpin(sqlite3_pcache *c, sqlite3_pcache_page *page, int discard)
{
	below.xUnpin(of(c)->cache, page, discard);
}

static void rekey(sqlite3_pcache *c, sqlite3_pcache_page *page, unsigned was, unsigned is)
{
	struct pages *p = of(c);

	below.xRekey(p->cache, page, was, is);
	if (was == p->away)
		p->away = 0;
	if (is > p->highest) {
		if (p->away)
			p->highest = is;
		else
			p->away = is;
	}
}

static void truncate_from(sqlite3_pcache *c, unsigned limit)
{
	struct pages *p = of(c);

	if (p->highest < limit && p->away < limit)
		return;
	below.xTruncate(p->cache, limit);
	if (p->highest >= limit)
		p->highest = limit ? limit - 1 : 0;
	if (p->away >= limit)
		p->away = 0;
}

static void shrink(sqlite3_pcache *c)
{
	below.xShrink(of(c)->cache);
}

void db_pages(void)
{
	sqlite3_pcache_methods2 m;

	if (below.xInit || sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &below) != SQLITE_OK)
		return;
	m = below;
	m.xCreate = create;
	m.xCachesize = cachesize;
	m.xPagecount = pagecount;
	m.xFetch = fetch;
	m.xUnpin = unpin;
	m.xRekey = rekey;
	m.xTruncate = truncate_from;
	m.xDestroy = destroy;
	m.xShrink = shrink;
	(void)sqlite3_config(SQLITE_CONFIG_PCACHE2, &m);
}
