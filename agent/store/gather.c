/* SPDX-License-Identifier: Apache-2.0 */
/* gather.c - a layer between SQLite and the system's files: writes that follow one another go down
 * as one. SQLite writes a WAL frame by two calls (24 bytes and a page), a checkpoint page by page;
 * four fifths of the kernel's work for a commit was that.
 *
 * What is promised stays the same: bytes that wait here go down before a sync, before anything that
 * could see that they are missing (a read, the size, a truncation, an unlock, a control),
 * and when the file is closed. SQLite publishes a commit in the WAL's index only after the sync
 * that the writer's connection (synchronous=FULL) makes, and a checkpoint's progress only after
 * that of the database, so no other process looks for bytes that are still here. Without syncs that
 * would not hold: a connection with synchronous=OFF does not use this layer.
 *
 * The WAL gets its room before it is used, in zeros: a sync after a write within the file waits for
 * the data alone, one after a write that made the file longer for the file system's journal too.
 * SQLite reads its WAL up to the first frame that is not of this round, and zeros are none.
 *
 * A write that was said to be done and then failed must not be forgotten: from then on everything
 * asked of that file fails with the same error, so the sync before the acknowledgement does too. */
#include "db.h"

/* Below the 128 KiB that SQLite's own layer writes at once; some thirty frames. */
enum { GATHER_MAX = 120 * 1024, ROOM = 512 * 1024 };

struct gathered {
	sqlite3_file base; /* first: SQLite's view of this */
	sqlite3_file *real;
	bool gathers;
	uint8_t *buf; /* GATHER_MAX bytes, NULL = nothing written yet */
	sqlite3_int64 at;
	int len;
	int failed;         /* the error of a write that was said to be done; 0 = none */
	bool lays;          /* the WAL */
	sqlite3_int64 room; /* bytes that the file has at least */
};

static sqlite3_vfs vfs;
static sqlite3_vfs *below;

static struct gathered *of(sqlite3_file *f)
{
	return (struct gathered *)(void *)f;
}

/* A disk that has no room for it says so now, and this commit fails: no later one could be kept. */
static int lay(struct gathered *g)
{
	static const uint8_t zeros[ROOM / 8];
	const sqlite3_io_methods *m = g->real->pMethods;
	sqlite3_int64 end = g->at + g->len, size = 0, to = end / ROOM * ROOM + ROOM;
	int rc;

	if (!g->lays || end <= g->room)
		return SQLITE_OK;
	rc = m->xFileSize(g->real, &size);
	for (; rc == SQLITE_OK && size < to; size += (int)sizeof(zeros))
		rc = m->xWrite(g->real, zeros, (int)sizeof(zeros), size);
	g->room = size;
	return rc;
}

static int hand_down(struct gathered *g)
{
	int n = g->len;

	if (!g->failed && n)
		g->failed = lay(g);
	g->len = 0;
	if (!g->failed && n)
		g->failed = g->real->pMethods->xWrite(g->real, g->buf, n, g->at);
	return g->failed;
}

static int gather_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	struct gathered *g = of(f);
	bool waits = g->gathers && n <= GATHER_MAX;
	int rc = g->failed;

	if (!waits || at != g->at + g->len || n > GATHER_MAX - g->len)
		rc = hand_down(g);
	if (rc)
		return rc;
	if (!waits)
		return g->real->pMethods->xWrite(g->real, p, n, at);
	if (!g->buf)
		g->buf = malloc(GATHER_MAX);
	if (!g->buf)
		return SQLITE_IOERR_NOMEM;
	if (!g->len)
		g->at = at;
	memcpy(g->buf + g->len, p, (size_t)n);
	g->len += n;
	return SQLITE_OK;
}

static int gather_close(sqlite3_file *f)
{
	struct gathered *g = of(f);
	int rc = hand_down(g), closed = g->real->pMethods->xClose(g->real);

	free(g->buf);
	free(g->real);
	return rc ? rc : closed;
}

/* Calls that could see what waits here, and those that could not. */
#define AFTER(name, args, call)                             \
	static int gather_##name args                       \
	{                                                   \
		sqlite3_file *r = of(f)->real;              \
		int rc = hand_down(of(f));                  \
                                                            \
		return rc ? rc : r->pMethods->x##name call; \
	}
#define PASS(name, args, call)                    \
	static int gather_##name args             \
	{                                         \
		sqlite3_file *r = of(f)->real;    \
                                                  \
		return r->pMethods->x##name call; \
	}
AFTER(Read, (sqlite3_file * f, void *p, int n, sqlite3_int64 at), (r, p, n, at))
AFTER(Sync, (sqlite3_file * f, int flags), (r, flags))
AFTER(FileSize, (sqlite3_file * f, sqlite3_int64 *n), (r, n))
AFTER(FileControl, (sqlite3_file * f, int op, void *arg), (r, op, arg))
AFTER(Unlock, (sqlite3_file * f, int level), (r, level))
PASS(Lock, (sqlite3_file * f, int level), (r, level))
PASS(CheckReservedLock, (sqlite3_file * f, int *ret), (r, ret))
PASS(SectorSize, (sqlite3_file * f), (r))
PASS(DeviceCharacteristics, (sqlite3_file * f), (r))
PASS(ShmMap, (sqlite3_file * f, int i, int n, int grow, void volatile **ret), (r, i, n, grow, ret))
PASS(ShmLock, (sqlite3_file * f, int from, int n, int flags), (r, from, n, flags))
PASS(ShmUnmap, (sqlite3_file * f, int erase), (r, erase))

static int gather_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	struct gathered *g = of(f);
	int rc = hand_down(g);

	if (n < g->room)
		g->room = n;
	return rc ? rc : g->real->pMethods->xTruncate(g->real, n);
}

static void gather_ShmBarrier(sqlite3_file *f)
{
	sqlite3_file *r = of(f)->real;

	r->pMethods->xShmBarrier(r);
}

/* Version 2: no memory map of the database, whose pages would not be those that wait here. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = gather_close,
	.xRead = gather_Read,
	.xWrite = gather_write,
	.xTruncate = gather_truncate,
	.xSync = gather_Sync,
	.xFileSize = gather_FileSize,
	.xLock = gather_Lock,
	.xUnlock = gather_Unlock,
	.xCheckReservedLock = gather_CheckReservedLock,
	.xFileControl = gather_FileControl,
	.xSectorSize = gather_SectorSize,
	.xDeviceCharacteristics = gather_DeviceCharacteristics,
	.xShmMap = gather_ShmMap,
	.xShmLock = gather_ShmLock,
	.xShmBarrier = gather_ShmBarrier,
	.xShmUnmap = gather_ShmUnmap,
};

static int gather_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct gathered *g = of(f);
	int rc;

	(void)v;
	*g = (struct gathered){ .gathers = flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL),
				.lays = flags & SQLITE_OPEN_WAL };
	g->real = calloc(1, (size_t)below->szOsFile);
	if (!g->real)
		return SQLITE_NOMEM;
	rc = below->xOpen(below, name, g->real, flags, out);
	if (rc == SQLITE_OK) {
		g->base.pMethods = &methods;
		return rc;
	}
	if (g->real->pMethods)
		(void)g->real->pMethods->xClose(g->real);
	free(g->real);
	return rc;
}

const char *gather_vfs(void)
{
	(void)sqlite3_vfs_unregister(&vfs); /* never over itself */
	below = sqlite3_vfs_find(NULL);
	if (!below)
		return NULL;
	vfs = *below;
	vfs.zName = "gather";
	vfs.szOsFile = (int)sizeof(struct gathered);
	vfs.xOpen = gather_open;
	vfs.pNext = NULL;
	return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK ? vfs.zName : NULL;
}
