/* SPDX-License-Identifier: Apache-2.0 */
/* db.c - the thin layer over SQLite: connection, prepared statements, errors. */
#include <errno.h>
#include <stdarg.h>
#include "db.h"

static const char *const sql_text[] = {
#define Q(name, sql) [Q_##name] = sql,
#include "queries.def"
#undef Q
};

/* The changes that a turn made are worth nothing once the disk or memory failed under them, and
 * SQLite may have rolled back by itself; so no finer distinction than this one is safe. */
int db_fail(struct store *s, int rc, const char *what, struct err *e)
{
	int code = -EIO;

	switch (rc & 0xff) {
	case SQLITE_CONSTRAINT: return err_set(e, -EEXIST, "%s: %s", what, sqlite3_errmsg(s->db));
	case SQLITE_BUSY:
	case SQLITE_LOCKED: code = -EBUSY; break;
	case SQLITE_NOMEM: code = -ENOMEM; break;
	case SQLITE_FULL: code = -ENOSPC; break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_MISMATCH: code = -EUCLEAN; break;
	case SQLITE_READONLY: code = -EROFS; break;
	default: break;
	}
	if (s->in_turn)
		s->poisoned = true;
	return err_set(e, code, "%s: %s", what, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
}

int db_exec(struct store *s, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_fail(s, rc, "database", e);
}

int db_int(struct store *s, const char *sql, int64_t *ret, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	else if (rc == SQLITE_DONE)
		*ret = 0;
	(void)sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : db_fail(s, rc, "database", e);
}

/* Before SQLite's first use in the process, once: one thread uses it, so it needs neither locks nor
 * a count of its memory. A process that has used it before keeps what it chose. */
static void configure(void)
{
	static bool done;

	if (!done) {
		(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
		(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
		db_heap();
		db_pages();
	}
	done = true;
}

/* The writer alone checkpoints: Debian's SQLite has the WAL-reset bug (two connections that write
 * or checkpoint at once), which one read-write connection in one process avoids. */
int db_connect(const char *path, unsigned flags, struct store **ret, struct err *e)
{
	int rc, r, mode = flags & STORE_READER ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "store: out of memory");
	s->lock_fd = -1;
	s->frozen = -1;
	s->flags = flags;
	configure();
	rc = sqlite3_open_v2(path, &s->db, mode | SQLITE_OPEN_NOMUTEX,
			     flags & (STORE_READER | STORE_NOSYNC) ? NULL : gather_vfs());
	if (rc == SQLITE_OK && !(flags & STORE_READER))
		rc = log_rows(s);
	if (rc == SQLITE_OK && !(flags & STORE_READER))
		rc = journal_rows(s);
	if (rc == SQLITE_OK && !(flags & STORE_READER))
		rc = pairs_rows(s);
	if (rc != SQLITE_OK) {
		r = db_fail(s, rc, path, e);
		s = db_close(s);
		return r;
	}
	(void)sqlite3_busy_timeout(s->db, 2000);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	r = db_exec(s,
		    "PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON;"
		    "PRAGMA cell_size_check=ON;"
		    "PRAGMA temp_store=MEMORY;"
		    "PRAGMA wal_autocheckpoint=0;",
		    e);
	/* The writer's batches touch pages all over the ledger's indexes. */
	if (!r)
		r = db_exec(s,
			    flags & STORE_READER ? "PRAGMA cache_size=-8000"
						 : "PRAGMA cache_size=-64000",
			    e);
	if (!r)
		r = db_exec(s,
			    flags & STORE_NOSYNC ? "PRAGMA synchronous=OFF"
						 : "PRAGMA synchronous=FULL",
			    e);
	if (r < 0) {
		s = db_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct store *db_close(struct store *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < Q_MAX_; i++)
		(void)sqlite3_finalize(s->stmt[i]);
	/* After a failed fsync nothing may be copied from the WAL in the belief that it is whole.
	 */
	if (s->db && s->poisoned)
		(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	s->keys = body_keys_free(s->keys);
	free(s->hot);
	free(s->late);
	free(s->block);
	pairs_free(s);
	free(s->staged);
	free(s);
	return NULL;
}

void db_done(sqlite3_stmt **st)
{
	if (!*st)
		return;
	(void)sqlite3_reset(*st);
	(void)sqlite3_clear_bindings(*st);
	*st = NULL;
}

static int bind_one(sqlite3_stmt *st, int i, char c, va_list *ap)
{
	const void *p;

	switch (c) {
	case 'i': return sqlite3_bind_int64(st, i, va_arg(*ap, int64_t));
	case 't': return sqlite3_bind_text(st, i, va_arg(*ap, const char *), -1, SQLITE_STATIC);
	case 'T':
		p = va_arg(*ap, const char *);
		return sqlite3_bind_text64(st, i, p, va_arg(*ap, size_t), SQLITE_STATIC,
					   SQLITE_UTF8);
	case 'b':
		p = va_arg(*ap, const void *);
		return sqlite3_bind_blob64(st, i, p ? p : "", va_arg(*ap, size_t), SQLITE_STATIC);
	case 'h':
		p = va_arg(*ap, const struct hash *);
		return sqlite3_bind_blob(st, i, p, HASH_LEN, SQLITE_STATIC);
	default: return SQLITE_MISUSE;
	}
}

static int bind_all(struct store *s, enum query q, sqlite3_stmt **ret, struct err *e,
		    const char *fmt, va_list *ap)
{
	int rc = SQLITE_OK;

	if (!s->stmt[q])
		rc = sqlite3_prepare_v3(s->db, sql_text[q], -1, SQLITE_PREPARE_PERSISTENT,
					&s->stmt[q], NULL);
	for (int i = 1; rc == SQLITE_OK && *fmt; i++)
		rc = bind_one(s->stmt[q], i, *fmt++, ap);
	if (rc != SQLITE_OK)
		return db_fail(s, rc, "database", e);
	*ret = s->stmt[q];
	return 0;
}

int db_bind(struct store *s, enum query q, sqlite3_stmt **ret, struct err *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = bind_all(s, q, ret, e, fmt, &ap);
	va_end(ap);
	return r;
}

int db_step(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : db_fail(s, rc, "database", e);
}

int db_run(struct store *s, enum query q, struct err *e, const char *fmt, ...)
{
	auto_done sqlite3_stmt *st = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = bind_all(s, q, &st, e, fmt, &ap);
	va_end(ap);
	if (!r)
		r = db_step(s, st, e);
	return r < 0 ? r : sqlite3_changes(s->db);
}

bool db_hash(sqlite3_stmt *st, int i, struct hash *ret)
{
	if (sqlite3_column_type(st, i) != SQLITE_BLOB || sqlite3_column_bytes(st, i) != HASH_LEN)
		return false;
	memcpy(ret->b, sqlite3_column_blob(st, i), HASH_LEN);
	return true;
}

int db_copy(sqlite3_stmt *st, int i, void **ret, size_t *ret_len, struct err *e)
{
	const void *p = sqlite3_column_blob(st, i);
	size_t n = (size_t)sqlite3_column_bytes(st, i);
	char *copy = malloc(n + 1);

	if (!copy || (n && !p)) {
		free(copy);
		return err_set(e, -ENOMEM, "store: out of memory");
	}
	if (n)
		memcpy(copy, p, n);
	copy[n] = '\0';
	*ret = copy;
	*ret_len = n;
	return 0;
}

int db_turn(struct store *s, struct err *e)
{
	int r;

	if (s->poisoned)
		return err_set(e, -EIO, "store: an earlier write failed; restart the daemon");
	if (s->flags & STORE_READER)
		return err_set(e, -EROFS, "store: opened read-only");
	if (s->in_turn)
		return 0;
	r = db_run(s, Q_BEGIN, e, "");
	if (r < 0) {
		s->poisoned = true;
		return r;
	}
	s->in_turn = true;
	return 0;
}

int db_name(const char *field, const char *v, struct err *e)
{
	size_t n = v ? strlen(v) : 0;

	if (n < 1 || n > STORE_NAME_MAX)
		return err_set(e, -EINVAL, "%s: 1 to %d bytes", field, STORE_NAME_MAX);
	return 0;
}
