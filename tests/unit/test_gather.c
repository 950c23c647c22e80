/* SPDX-License-Identifier: Apache-2.0 */
/* The layer that gathers writes, over one that counts and fails: a file is what it would be without
 * it, whatever is asked of it in between; contiguous writes are one; and a write that failed after
 * it was said to be done is told at the sync, before a commit is acknowledged. */
#include "agent/store/db.h"
#include "fault_vfs.h"

#include <sys/stat.h>

enum { FILE_MAX = 512 * 1024 };

static char name[128]; /* two zeros at its end: SQLite looks for parameters behind it */

static sqlite3_file *file_open(int flags)
{
	sqlite3_vfs *v;
	sqlite3_file *f;

	assert_non_null(gather_vfs());
	v = sqlite3_vfs_find(gather_vfs());
	assert_non_null(v);
	memset(name, 0, sizeof(name));
	(void)snprintf(name, sizeof(name) - 1, "%s/file", dir);
	f = calloc(1, (size_t)v->szOsFile);
	assert_non_null(f);
	assert_int_equal(v->xOpen(v, name, f, flags, NULL), SQLITE_OK);
	return f;
}

static int file_close(sqlite3_file *f)
{
	int rc = f->pMethods->xClose(f);

	free(f);
	return rc;
}

static sqlite3_file *db_file(void)
{
	return file_open(SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
}

static uint8_t is[FILE_MAX], got[FILE_MAX];
static sqlite3_int64 size;

/* Mostly on from where the last write ended, as a log grows. */
static void write_some(sqlite3_file *f, sqlite3_int64 *at)
{
	static const int lens[] = { 24, 4096, 4096, 7, 100000, 122880, 130000 };
	int n = lens[(size_t)rand() % ARRAY_LEN(lens)];

	if (rand() % 8 == 0 || *at + n > FILE_MAX)
		*at = rand() % (FILE_MAX - 130000);
	for (int i = 0; i < n; i++)
		is[*at + i] = (uint8_t)rand();
	assert_int_equal(f->pMethods->xWrite(f, is + *at, n, *at), SQLITE_OK);
	*at += n;
	size = *at > size ? *at : size;
}

static void read_some(sqlite3_file *f)
{
	int n = 1 + rand() % 9000, rc;
	sqlite3_int64 at = rand() % (FILE_MAX - n);

	memset(got, 0xee, (size_t)n);
	rc = f->pMethods->xRead(f, got, n, at);
	assert_int_equal(rc, at + n > size ? SQLITE_IOERR_SHORT_READ : SQLITE_OK);
	assert_memory_equal(got, is + at, (size_t)n); /* beyond the end: zeros */
}

static void others(sqlite3_file *f, unsigned what)
{
	sqlite3_int64 n = -1;

	switch (what) {
	case 0:
		assert_int_equal(f->pMethods->xFileSize(f, &n), SQLITE_OK);
		assert_int_equal(n, size);
		break;
	case 1:
		n = rand() % (size + 1);
		assert_int_equal(f->pMethods->xTruncate(f, n), SQLITE_OK);
		memset(is + n, 0, (size_t)(size - n));
		size = n;
		break;
	default: assert_int_equal(f->pMethods->xSync(f, SQLITE_SYNC_NORMAL), SQLITE_OK);
	}
}

static void test_a_file_is_what_it_was(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		sqlite3_file *f = db_file();
		sqlite3_int64 at = 0;

		assert_int_equal(f->pMethods->xTruncate(f, 0), SQLITE_OK);
		size = 0;
		memset(is, 0, sizeof(is));
		for (unsigned i = 0; i < 150; i++) {
			unsigned what = (unsigned)rand() % 16;

			if (what < 12)
				write_some(f, &at);
			else if (what == 12)
				read_some(f);
			else
				others(f, what - 13);
		}
		assert_int_equal(file_close(f), SQLITE_OK);
		f = db_file();
		assert_int_equal(f->pMethods->xFileSize(f, &at), SQLITE_OK);
		assert_int_equal(at, size);
		assert_int_equal(f->pMethods->xRead(f, got, (int)size, 0), SQLITE_OK);
		assert_memory_equal(got, is, (size_t)size);
		assert_int_equal(file_close(f), SQLITE_OK);
	}
}

static unsigned frames(sqlite3_file *f, unsigned n)
{
	unsigned was = below_writes;
	sqlite3_int64 at = 32;

	for (unsigned i = 0; i < n; i++, at += 4120) {
		assert_int_equal(f->pMethods->xWrite(f, is, 24, at), SQLITE_OK);
		assert_int_equal(f->pMethods->xWrite(f, is, 4096, at + 24), SQLITE_OK);
	}
	return below_writes - was;
}

static void test_frames_are_few_writes(void **state)
{
	sqlite3_file *f = db_file();
	unsigned was = below_writes;

	(void)state;
	assert_int_equal(frames(f, 29), 0); /* 119,480 bytes */
	assert_int_equal(f->pMethods->xSync(f, SQLITE_SYNC_NORMAL), SQLITE_OK);
	assert_int_equal(below_writes - was, 1);
	assert_int_equal(frames(f, 290), 9);
	was = below_writes;
	assert_int_equal(f->pMethods->xRead(f, got, 4096, 289 * 4120), SQLITE_OK);
	assert_int_equal(below_writes, was + 1);
	assert_int_equal(file_close(f), SQLITE_OK);
	assert_int_equal(below_writes, was + 1);
}

/* After a lost write nothing of the file is said to be well, although the disk is again. */
static void lost(unsigned asked_first)
{
	sqlite3_file *f = db_file();
	const sqlite3_io_methods *m = f->pMethods;
	sqlite3_int64 n;

	assert_int_equal(frames(f, 3), 0);
	countdown = 0;
	for (unsigned i = 0; i < 6; i++) {
		switch ((asked_first + i) % 6) {
		case 0:
			assert_int_equal(m->xSync(f, SQLITE_SYNC_NORMAL), SQLITE_IOERR_WRITE);
			break;
		case 1: assert_int_equal(m->xRead(f, got, 9, 40), SQLITE_IOERR_WRITE); break;
		case 2: assert_int_equal(m->xFileSize(f, &n), SQLITE_IOERR_WRITE); break;
		case 3: assert_int_equal(m->xTruncate(f, 0), SQLITE_IOERR_WRITE); break;
		case 4: assert_int_equal(m->xWrite(f, is, 9, 999), SQLITE_IOERR_WRITE); break;
		default: assert_int_equal(m->xUnlock(f, SQLITE_LOCK_NONE), SQLITE_IOERR_WRITE);
		}
		assert_int_equal(countdown, -1); /* it failed once */
	}
	assert_int_equal(file_close(f), SQLITE_IOERR_WRITE);
}

static void test_a_lost_write_is_told(void **state)
{
	(void)state;
	kind = FAULT_WRITE;
	for_ever = false;
	for (unsigned i = 0; i < 6; i++)
		lost(i);
}

/* --- the store over it --- */

static void stage_many(struct store *s, unsigned n)
{
	char body[700];

	for (unsigned i = 0; i < n; i++) {
		int len = snprintf(body, sizeof(body), "{\"n\":\"%0600u\"}", i);

		assert_int_equal(store_stage(s, body, (size_t)len, NULL, NULL), 0);
	}
}

/* Other processes read by SQLite's own layer: once a commit is acknowledged they find all of it. */
static uint64_t seen_by_a_reader(void)
{
	struct store *r = open_ok(STORE_READER);
	uint64_t n = store_head(r).seq;

	r = store_free(r);
	return n;
}

static void test_a_commit_is_few_writes_and_one_sync(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	unsigned writes = below_writes, syncs = below_syncs;

	(void)state;
	stage_many(s, 1000);
	assert_int_equal(seen_by_a_reader(), 0);
	commit_ok(s);
	/* Some 170 frames of 4 kB, and room for them in pieces of 64 kB. */
	print_message("1,000 events: %u writes\n", below_writes - writes);
	assert_in_range(below_writes - writes, 5 + 8, 9 + 8);
	assert_in_range(below_syncs - syncs, 1, 2); /* a WAL that begins syncs its header */
	assert_int_equal(seen_by_a_reader(), 1000);
	writes = below_writes;
	syncs = below_syncs;
	assert_int_equal(put_event(s, 1), 1001);
	commit_ok(s);
	assert_int_equal(below_writes - writes, 1);
	assert_int_equal(below_syncs - syncs, 1);
	writes = below_writes;
	assert_int_equal(store_checkpoint(s, NULL), 0);
	assert_in_range(below_writes - writes, 5, 12);
	assert_int_equal(seen_by_a_reader(), 1001);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
}

static void path_of(char ret[160], const char *in, const char *file)
{
	(void)snprintf(ret, 160, "%s/%s", in, file);
}

static off_t wal_size(void)
{
	char path[160];
	struct stat st;

	path_of(path, dir, "treaty.db-wal");
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void copy_of(const char *to, const char *file)
{
	char from[160], path[160], bytes[4096];
	FILE *in, *out;
	size_t n;

	path_of(from, dir, file);
	path_of(path, to, file);
	in = fopen(from, "re");
	out = fopen(path, "we");
	assert_true(in && out && fchmod(fileno(out), 0600) == 0);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	assert_int_equal(fclose(in) | fclose(out), 0);
}

/* What a crash leaves: the database and a WAL that ends in zeros. */
static void opens_after_a_crash(uint64_t want)
{
	char was[sizeof(dir)], to[] = "/tmp/treaty-crash-XXXXXX";
	struct store *s;

	assert_non_null(mkdtemp(to));
	copy_of(to, "treaty.db");
	copy_of(to, "treaty.db-wal");
	memcpy(was, dir, sizeof(was));
	(void)snprintf(dir, sizeof(dir), "%s", to);
	s = open_ok(0);
	assert_int_equal(store_head(s).seq, want);
	assert_int_equal(put_event(s, 1), want + 1);
	commit_ok(s);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
	assert_int_equal(dir_drop(NULL), 0);
	memcpy(dir, was, sizeof(dir));
}

/* A commit makes the file longer once in a hundred frames, not each time; and one that was
 * checkpointed is written over, not made longer. */
static void test_the_wal_has_room(void **state)
{
	struct store *s = open_ok(STORE_CREATE);
	unsigned grew = 0;
	off_t had;

	(void)state;
	for (unsigned i = 1; i <= 100; i++) {
		had = wal_size();
		assert_int_equal(put_event(s, 1), i);
		commit_ok(s);
		grew += wal_size() != had;
		assert_int_equal(wal_size() % (512 * 1024), 0);
		if (i % 25 == 0)
			opens_after_a_crash(i);
	}
	assert_in_range(grew, 1, 10);
	had = wal_size();
	assert_int_equal(store_checkpoint(s, NULL), 0);
	for (unsigned i = 101; i <= 110; i++) {
		assert_int_equal(put_event(s, 1), i);
		commit_ok(s);
	}
	assert_int_equal(wal_size(), had);
	opens_after_a_crash(110);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
}

/* Each write of a large commit, and of the checkpoint after it, fails once: the commit is told. */
static void test_a_large_commit_fails_as_a_whole(void **state)
{
	(void)state;
	for (kind = FAULT_WRITE; kind < FAULT_KINDS; kind++) {
		for (long at = 0;; at++) {
			struct store *s = open_ok(STORE_CREATE);
			uint64_t had = store_head(s).seq;
			int r;

			stage_many(s, 1000);
			countdown = at;
			r = store_commit(s, NULL);
			if (r)
				assert_true(store_poisoned(s));
			if (countdown >= 0) {
				countdown = -1;
				assert_int_equal(r, 0);
				assert_true(kind == FAULT_SYNC || at >= 5);
				s = store_free(s);
				break;
			}
			assert_int_equal(r, kind == FAULT_FULL ? -ENOSPC : -EIO);
			assert_int_equal(store_checkpoint(s, NULL), -EIO);
			s = store_free(s);
			assert_int_equal(report().fault, STORE_SOUND);
			s = open_ok(0);
			/* A commit whose sync alone failed may be there. */
			assert_true(store_head(s).seq == had ||
				    (kind == FAULT_SYNC && store_head(s).seq == had + 1000));
			s = store_free(s);
		}
	}
}

/* A failed copy into the database is the last word too, and loses nothing that was acknowledged. */
static void test_a_checkpoint_that_fails(void **state)
{
	bool over = false;

	(void)state;
	kind = FAULT_WRITE;
	for (long at = 0; !over; at++) {
		struct store *s = open_ok(STORE_CREATE);
		uint64_t want;

		stage_many(s, 300);
		commit_ok(s);
		want = store_head(s).seq;
		countdown = at;
		over = store_checkpoint(s, NULL) == 0;
		assert_true(over == (countdown >= 0));
		assert_int_equal(store_poisoned(s), !over);
		countdown = -1;
		s = store_free(s);
		assert_int_equal(report().fault, STORE_SOUND);
		assert_int_equal(report().head.seq, want);
		assert_true(!over || at > 1);
		assert_int_equal(dir_drop(NULL), 0);
		assert_int_equal(dir_make(NULL), 0);
	}
}

static int shim_in(void **state)
{
	shim_install();
	return dir_make(state);
}

static int shim_out(void **state)
{
	countdown = -1;
	return sqlite3_vfs_unregister(&shim) == SQLITE_OK ? dir_drop(state) : -1;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_file_is_what_it_was, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_frames_are_few_writes, shim_in, shim_out),
		cmocka_unit_test_setup_teardown(test_a_lost_write_is_told, shim_in, shim_out),
		cmocka_unit_test_setup_teardown(test_a_commit_is_few_writes_and_one_sync, shim_in,
						shim_out),
		cmocka_unit_test_setup_teardown(test_the_wal_has_room, shim_in, shim_out),
		cmocka_unit_test_setup_teardown(test_a_large_commit_fails_as_a_whole, shim_in,
						shim_out),
		cmocka_unit_test_setup_teardown(test_a_checkpoint_that_fails, shim_in, shim_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
