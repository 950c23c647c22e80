/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - opening the state directory, and the turn: one transaction, one fsync. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "db.h"
#include "schema.h"

enum { WAL_PAGES_MAX = 16384 };

struct paths {
	char lock[PATH_MAX], db[PATH_MAX];
};

static int paths_of(const char *dir, struct paths *p, struct err *e)
{
	if (!dir || !*dir || strlen(dir) > PATH_MAX - 32)
		return err_set(e, -EINVAL, "state directory: empty or too long");
	(void)snprintf(p->lock, sizeof(p->lock), "%s/treaty.lock", dir);
	(void)snprintf(p->db, sizeof(p->db), "%s/treaty.db", dir);
	return 0;
}

/* The lock is on a file of its own: closing a descriptor of the database would drop the locks
 * that SQLite holds on it. */
static int lock_take(const char *dir, const char *path, int *ret, struct err *e)
{
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char pid[16] = "";
	ssize_t n;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		n = pread(fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		return err_set(e, -EBUSY, "state directory %s: process %s holds it", dir,
			       *pid ? pid : "(unknown)");
	}
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n)
		return err_set(e, -EIO, "%s: %s", path, strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

/* Makes the empty file itself, so that it is 0600 from its first moment; SQLite gives the WAL the
 * same mode and owner. */
static int file_make(const char *dir, const char *path, unsigned flags, bool *ret_new,
		     struct err *e)
{
	auto_close int d = -1, fd = -1;
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size > 0) {
		if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
			return err_set(e, -EPERM, "%s: must be a file of mode 0600", path);
		*ret_new = false;
		return 0;
	}
	if (!(flags & STORE_CREATE))
		return err_set(e, -ENOENT, "%s: no database", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || d < 0 || fchmod(fd, 0600) < 0 || fsync(fd) < 0 || fsync(d) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	*ret_new = true;
	return 0;
}

static int schema_make(struct store *s, struct err *e)
{
	char pragma[96];
	int r = db_exec(s, "PRAGMA journal_mode=WAL", e);

	(void)snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%d; PRAGMA user_version=%d;",
		       STORE_APPLICATION, STORE_SCHEMA);
	if (!r)
		r = db_exec(s, "BEGIN IMMEDIATE", e);
	if (!r)
		r = db_exec(s, schema_log, e);
	if (!r)
		r = db_exec(s, schema_ledger, e);
	if (!r)
		r = db_exec(s, rules_log, e);
	if (!r)
		r = db_exec(s, rules_ledger, e);
	if (!r)
		r = db_exec(s, pragma, e);
	return r ? r : db_exec(s, "COMMIT", e);
}

static int identity_check(struct store *s, struct err *e)
{
	int64_t app = 0, version = 0;
	int r = db_int(s, "PRAGMA application_id", &app, e);

	if (!r)
		r = db_int(s, "PRAGMA user_version", &version, e);
	if (r)
		return r;
	if (app != STORE_APPLICATION)
		return err_set(e, -EPROTO, "treaty.db: not a database of this application");
	if (version != STORE_SCHEMA)
		return err_set(e, -EPROTO, "treaty.db: schema %lld, this program knows %d",
			       (long long)version, STORE_SCHEMA);
	return 0;
}

/* A new file whose making was cut short has no identity yet, and nothing in it. */
static int is_blank(struct store *s, bool *ret, struct err *e)
{
	int64_t tables = 0;
	int r = db_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e);

	*ret = r == 0 && tables == 0;
	return r;
}

static int load(struct store *s, struct err *e)
{
	struct store_report rep = { .fault = STORE_SOUND };
	int r = db_verify(s, &s->now, &rep, e);

	if (r < 0)
		return r;
	if (rep.fault != STORE_SOUND)
		return err_set(e, -EUCLEAN, "%s at %llu: %.120s (run: treatyctl log verify)",
			       store_fault_name(rep.fault), (unsigned long long)rep.seq, rep.why);
	s->durable = s->now;
	s->changes = sqlite3_total_changes(s->db);
	return 0;
}

/* A reader takes the leaves as they are: looking at a damaged log must be possible. */
static int load_reader(struct store *s, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_EVENT_LEAVES, &st, e, "ii", (int64_t)0, INT64_MAX);

	while (r >= 0 && (r = db_step(s, st, e)) > 0) {
		struct hash leaf;

		if (!db_hash(st, 0, &leaf) ||
		    (sqlite3_column_bytes(st, 1) && !db_hash(st, 1, &s->now.chain)))
			break;
		merkle_append(&s->now.tree, &leaf);
		blocks_note(s, &s->now.tree, s->now.tree.size - 1);
	}
	s->durable = s->now;
	return r < 0 ? r : 0;
}

static int wal_grew(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct store *s = arg;

	(void)db;
	(void)name;
	s->wal_pages = pages;
	return SQLITE_OK;
}

/* check: what the file must pass before anything is written. */
static int open_writer(const char *dir, unsigned flags,
		       int (*check)(struct store *s, struct err *e), struct store **ret,
		       struct err *e)
{
	auto_close int lock = -1;
	bool made = false;
	struct store *s = NULL;
	struct paths p;
	int r = paths_of(dir, &p, e);

	if (!r)
		r = lock_take(dir, p.lock, &lock, e);
	if (!r)
		r = file_make(dir, p.db, flags, &made, e);
	if (!r)
		r = db_connect(p.db, flags, &s, e);
	if (r < 0)
		return r;
	s->lock_fd = TAKE_FD(lock);
	(void)snprintf(s->dir, sizeof(s->dir), "%s", dir);
	(void)sqlite3_wal_hook(s->db, wal_grew, s);
	if (!made)
		r = is_blank(s, &made, e);
	if (!r && made)
		r = schema_make(s, e);
	if (!r && !made)
		r = db_migrate(s, e);
	if (!r)
		r = identity_check(s, e);
	if (!r)
		r = check(s, e);
	if (r < 0)
		s = db_close(s);
	else
		*ret = s;
	return r;
}

int db_open_sound(const char *dir, struct store **ret, struct err *e)
{
	if (sodium_init() < 0)
		return err_set(e, -EIO, "libsodium: does not start");
	return open_writer(dir, 0, db_log_sound, ret, e);
}

int store_open(const char *dir, unsigned flags, struct store **ret, struct err *e)
{
	struct store *s = NULL;
	struct paths p;
	int r;

	if (sodium_init() < 0)
		return err_set(e, -EIO, "libsodium: does not start");
	if (!(flags & STORE_READER))
		return open_writer(dir, flags, load, ret, e);
	r = paths_of(dir, &p, e);
	if (!r && access(p.db, R_OK) < 0)
		r = err_set(e, -errno, "%s: %s", p.db, strerror(errno));
	if (!r)
		r = db_connect(p.db, flags, &s, e);
	if (!r) {
		(void)snprintf(s->dir, sizeof(s->dir), "%s", dir);
		r = identity_check(s, e);
	}
	if (!r)
		r = load_reader(s, e);
	if (r < 0)
		s = db_close(s);
	else
		*ret = s;
	return r;
}

struct store *store_free(struct store *s)
{
	/* An open turn ends with its connection: SQLite rolls it back. */
	return db_close(s);
}

void store_on_commit(struct store *s, store_commit_fn fn, void *arg)
{
	s->on_commit = fn;
	s->on_commit_arg = arg;
}

uint64_t store_next_seq(const struct store *s)
{
	return log_next(s);
}

bool store_in_turn(const struct store *s)
{
	return s->in_turn;
}

bool store_poisoned(const struct store *s)
{
	return s->poisoned;
}

uint64_t store_durable(const struct store *s)
{
	return s->durable.tree.size;
}

static struct store_head head_of(const struct store_pos *p)
{
	return (struct store_head){
		.seq = p->tree.size,
		.chain = p->chain,
		.root = merkle_root(&p->tree),
	};
}

struct store_head store_head(struct store *s)
{
	/* A store that fails here is poisoned: the commit says so. */
	return head_of(log_write(s, NULL) < 0 ? &s->durable : &s->now);
}

struct store_head store_durable_head(const struct store *s)
{
	return head_of(&s->durable);
}

/* The head row makes a log whose tail was cut off by hand visible to a verifier that has nothing
 * else; against a restored backup only the other side's witness helps. */
static int head_put(struct store *s, struct err *e)
{
	struct hash head[2] = { s->now.chain, merkle_root(&s->now.tree) };

	return store_kv_put(s, "head", head, sizeof(head), e);
}

static int write_rows(struct store *s, struct err *e)
{
	int r = journal_write(s, e);

	if (!r)
		r = log_write(s, e);
	if (!r)
		r = pairs_write(s, PAIRS_BODIES, e);
	return r;
}

int store_write(struct store *s, struct err *e)
{
	int r = s->in_turn && !s->poisoned ? write_rows(s, e) : 0;

	s->poisoned |= r < 0;
	return r;
}

int store_commit(struct store *s, struct err *e)
{
	bool changed;
	int r = 0;

	if (s->poisoned)
		return err_set(e, -EIO, "store: an earlier write failed; restart the daemon");
	if (!s->in_turn)
		return 0;
	r = ledger_flush(s, e);
	if (!r)
		r = write_rows(s, e);
	if (!r && s->now.tree.size != s->durable.tree.size)
		r = head_put(s, e);
	if (!r)
		r = pairs_write(s, PAIRS_NAMED, e);
	if (r >= 0)
		r = db_run(s, Q_COMMIT, e, "");
	if (r < 0) {
		s->poisoned = true;
		return r;
	}
	s->in_turn = false;
	s->durable = s->now;
	changed = sqlite3_total_changes(s->db) != s->changes;
	s->changes = sqlite3_total_changes(s->db);
	if (changed && s->on_commit)
		s->on_commit(s->on_commit_arg, s->durable.tree.size);
	if (s->wal_pages > WAL_PAGES_MAX)
		return store_checkpoint(s, e);
	return 0;
}

int store_rollback(struct store *s, struct err *e)
{
	int r;

	if (s->poisoned)
		return err_set(e, -EIO, "store: an earlier write failed; restart the daemon");
	if (!s->in_turn)
		return 0;
	ledger_cold(s);
	journal_forget(s);
	log_forget(s);
	pairs_forget(s);
	r = db_run(s, Q_ROLLBACK, e, "");
	if (r < 0) {
		s->poisoned = true;
		return r;
	}
	s->in_turn = false;
	s->now = s->durable;
	blocks_cut(s, s->now.tree.size);
	s->changes = sqlite3_total_changes(s->db);
	return 0;
}

/* A reader in the middle of a read keeps part of the WAL alive; the next checkpoint gets it. */
int store_checkpoint(struct store *s, struct err *e)
{
	int rc;

	if (s->flags & STORE_READER)
		return err_set(e, -EROFS, "store: opened read-only");
	if (s->poisoned || s->in_turn)
		return err_set(e, s->poisoned ? -EIO : -EBUSY, "store: poisoned, or in a turn");
	rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
		s->wal_pages = 0;
		return 0;
	}
	s->poisoned = true;
	return db_fail(s, rc, "checkpoint", e);
}
