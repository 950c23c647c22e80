/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails: a layer below SQLite lets the nth write, sync or truncate fail, once or for
 * ever. The store refuses or stops, and whatever it acknowledged is there when the disk is well. */
#include "store_util.h"

enum fault { FAULT_WRITE, FAULT_SYNC, FAULT_FULL, FAULT_KINDS };

static sqlite3_vfs *real_vfs, shim;
static sqlite3_io_methods methods;
static int real_methods_set;
static long countdown = -1; /* operations until it fails; -1 = never */
static bool for_ever;
static enum fault kind;

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

	if (fails(FAULT_WRITE))
		return kind == FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	return r->pMethods->xWrite(r, p, n, at);
}

/* The real file is not synced: what a crash of the machine leaves is no matter of this test. */
static int shim_sync(sqlite3_file *f, int flags)
{
	(void)f;
	(void)flags;
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

static void shim_install(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	shim = *real_vfs;
	shim.zName = "failing";
	shim.szOsFile = (int)sizeof(struct shim_file) + real_vfs->szOsFile;
	shim.xOpen = shim_open;
	shim.pNext = NULL;
	assert_int_equal(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}

/* --- work --------------------------------------------------------------------------------------
 */

static struct ledger_wallet terms(void)
{
	return (struct ledger_wallet){ .id = { LEDGER_GATE, "did:web:issuer", "w" },
				       .holder = "did:web:ent",
				       .generation = 1,
				       .currency = "EUR",
				       .ceiling = { 1000000 },
				       .agreement_max = { 1000 },
				       .valid_until = { 1000 },
				       .classes = 1,
				       .klass = { { .name = "bulk", .ceiling = { 1000000 } } } };
}

/* One event and one debit of 7, acknowledged by 0. */
static int turn(struct store *s, unsigned n)
{
	struct ledger_hold q = { .wallet = terms().id,
				 .class_name = "bulk",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { 7 },
				 .now = { 1 },
				 .expires = { 999 } };
	struct ledger_result r;
	char body[64];
	int len = snprintf(body, sizeof(body), "{\"n\":%u}", n);
	int err = store_stage(s, body, (size_t)len, NULL, NULL);

	(void)snprintf(q.lineage, sizeof(q.lineage), "L%u", n);
	if (!err)
		err = ledger_hold(s, &q, &r, NULL);
	return err ? err : store_commit(s, NULL);
}

static unsigned begin(void)
{
	struct store *s = open_ok(STORE_CREATE);
	struct ledger_wallet w = terms();
	struct ledger_result r;

	assert_int_equal(ledger_wallet_put(s, &w, (wall_t){ 1 }, &r, NULL), 0);
	commit_ok(s);
	assert_int_equal(turn(s, 0), 0);
	s = store_free(s);
	return 1;
}

/* The disk is well again: all that was acknowledged, at most one turn more, and the books balance.
 */
static void after(unsigned acked)
{
	struct ledger_wallet w, want = terms();
	struct store_report rep;
	struct store *s;
	uint64_t n;

	countdown = -1;
	rep = report();
	if (rep.fault != STORE_SOUND)
		fail_msg("%s: %s", store_fault_name(rep.fault), rep.why);
	s = open_ok(0);
	n = store_head(s).seq;
	assert_true(n == acked || n == acked + 1);
	assert_int_equal(ledger_wallet_get(s, &want.id, &w, NULL), 0);
	assert_int_equal(w.held.minor, 7 * (int64_t)n);
	assert_int_equal(turn(s, 100000), 0);
	s = store_free(s);
}

static unsigned broke_at_open, broke_at_work;

static void one(enum fault of, bool ever, long at)
{
	unsigned acked = begin();
	struct store *s = NULL;
	struct err e = { 0 };
	int r;

	kind = of;
	for_ever = ever;
	countdown = at;
	r = store_open(dir, 0, &s, &e);
	if (r) {
		broke_at_open++;
		assert_true(e.text[0]);
	}
	for (unsigned i = 1; !r && i < 40; i++) {
		r = turn(s, i);
		acked += r == 0;
	}
	/* The first failure is the last word of this life. */
	if (r && s) {
		broke_at_work++;
		assert_true(store_poisoned(s));
		assert_int_equal(turn(s, 1000), -EIO);
		assert_int_equal(store_commit(s, NULL), -EIO);
		assert_int_equal(store_checkpoint(s, NULL), -EIO);
	}
	s = store_free(s);
	after(acked);
	assert_int_equal(dir_drop(NULL), 0);
	assert_int_equal(dir_make(NULL), 0);
}

static void test_every_operation(void **state)
{
	(void)state;
	shim_install();
	for (int of = 0; of < FAULT_KINDS; of++)
		for (int ever = 0; ever < 2; ever++)
			for (long at = 0; at < 60; at += at < 20 ? 1 : 5)
				one((enum fault)of, ever, at);
	assert_true(broke_at_work > 50);
	print_message("%u failed while opening, %u while working\n", broke_at_open, broke_at_work);
	assert_int_equal(sqlite3_vfs_unregister(&shim), SQLITE_OK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_operation, dir_make, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
