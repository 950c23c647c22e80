/* SPDX-License-Identifier: Apache-2.0 */
/* fault_vfs.h - a layer below SQLite that counts writes and syncs and lets the nth fail, once or
 * for ever. */
#ifndef TREATY_TEST_FAULT_VFS_H
#define TREATY_TEST_FAULT_VFS_H

#include "store_util.h"

enum fault { FAULT_WRITE, FAULT_SYNC, FAULT_FULL, FAULT_KINDS };

static sqlite3_vfs *real_vfs, shim;
static sqlite3_io_methods methods;
static int real_methods_set;
static long countdown = -1; /* operations until it fails; -1 = never */
static bool for_ever;
static enum fault kind;
static unsigned below_writes, below_syncs; /* calls, failed ones too */

struct shim_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static bool fails(enum fault of)
{
	if (of != (kind == FAULT_FULL ? FAULT_WRITE : kind) || countdown < 0)
		return false;
	if (countdown > 0) {
		countdown--;
		return false;
	}
	if (!for_ever)
		countdown = -1;
	return true;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
	return ((struct shim_file *)(void *)f)->real;
}

static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	sqlite3_file *r = real_of(f);

	below_writes++;
	if (fails(FAULT_WRITE))
		return kind == FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	return r->pMethods->xWrite(r, p, n, at);
}

/* The real file is not synced: what a crash of the machine leaves is no matter of this test. */
static int shim_sync(sqlite3_file *f, int flags)
{
	(void)f;
	(void)flags;
	below_syncs++;
	return fails(FAULT_SYNC) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

#define PASS(name, args, call)                    \
	static int shim_##name args               \
	{                                         \
		sqlite3_file *r = real_of(f);     \
                                                  \
		return r->pMethods->x##name call; \
	}
PASS(Close, (sqlite3_file * f), (r))
PASS(Read, (sqlite3_file * f, void *p, int n, sqlite3_int64 at), (r, p, n, at))
PASS(Truncate, (sqlite3_file * f, sqlite3_int64 n), (r, n))
PASS(FileSize, (sqlite3_file * f, sqlite3_int64 *n), (r, n))
PASS(Lock, (sqlite3_file * f, int l), (r, l))
PASS(Unlock, (sqlite3_file * f, int l), (r, l))
PASS(CheckReservedLock, (sqlite3_file * f, int *o), (r, o))
PASS(FileControl, (sqlite3_file * f, int op, void *a), (r, op, a))
PASS(SectorSize, (sqlite3_file * f), (r))
PASS(DeviceCharacteristics, (sqlite3_file * f), (r))
PASS(ShmMap, (sqlite3_file * f, int a, int b, int c, void volatile **p), (r, a, b, c, p))
PASS(ShmLock, (sqlite3_file * f, int a, int b, int c), (r, a, b, c))
PASS(ShmUnmap, (sqlite3_file * f, int d), (r, d))

static void shim_ShmBarrier(sqlite3_file *f)
{
	sqlite3_file *r = real_of(f);

	r->pMethods->xShmBarrier(r);
}

static int shim_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct shim_file *s = (struct shim_file *)(void *)f;
	int rc;

	(void)v;
	s->real = (sqlite3_file *)(void *)(s + 1);
	rc = real_vfs->xOpen(real_vfs, name, s->real, flags, out);
	if (!real_methods_set++)
		methods =
			(sqlite3_io_methods){ .iVersion = 2,
					      .xClose = shim_Close,
					      .xRead = shim_Read,
					      .xWrite = shim_write,
					      .xTruncate = shim_Truncate,
					      .xSync = shim_sync,
					      .xFileSize = shim_FileSize,
					      .xLock = shim_Lock,
					      .xUnlock = shim_Unlock,
					      .xCheckReservedLock = shim_CheckReservedLock,
					      .xFileControl = shim_FileControl,
					      .xSectorSize = shim_SectorSize,
					      .xDeviceCharacteristics = shim_DeviceCharacteristics,
					      .xShmMap = shim_ShmMap,
					      .xShmLock = shim_ShmLock,
					      .xShmBarrier = shim_ShmBarrier,
					      .xShmUnmap = shim_ShmUnmap };
	f->pMethods = s->real->pMethods ? &methods : NULL;
	return rc;
}

static inline void shim_install(void)
{
	real_vfs = sqlite3_vfs_find("unix");
	shim = *real_vfs;
	shim.zName = "failing";
	shim.szOsFile = (int)sizeof(struct shim_file) + real_vfs->szOsFile;
	shim.xOpen = shim_open;
	shim.pNext = NULL;
	assert_int_equal(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}

#endif
