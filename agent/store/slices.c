/* SPDX-License-Identifier: Apache-2.0 */
#include "slices.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
#define NO(name, when, why) \
	"CREATE TRIGGER IF NOT EXISTS " name " WHEN " when \
	" BEGIN SELECT RAISE(ABORT,'" why "'); END;"
#define SUM \
	"(SELECT coalesce(sum(ceiling),0) FROM slice WHERE issuer=NEW.issuer AND parent=NEW.parent" \
	" AND class=NEW.class AND wallet<>NEW.wallet)+NEW.ceiling>coalesce((SELECT ceiling FROM budget" \
	" WHERE issuer=NEW.issuer AND parent=NEW.parent AND class=NEW.class),-1)"

static const char schema[] =
	"PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA;"
	"CREATE TABLE IF NOT EXISTS budget(issuer TEXT NOT NULL, parent TEXT NOT NULL,"
	" class TEXT NOT NULL, generation INTEGER NOT NULL, currency TEXT NOT NULL,"
	" ceiling INTEGER NOT NULL CHECK(ceiling>=0), PRIMARY KEY(issuer,parent,class)) STRICT;"
	"CREATE TABLE IF NOT EXISTS slice(issuer TEXT NOT NULL, parent TEXT NOT NULL,"
	" class TEXT NOT NULL, wallet TEXT NOT NULL, operator TEXT NOT NULL,"
	" ceiling INTEGER NOT NULL CHECK(ceiling>=0), PRIMARY KEY(issuer,parent,class,wallet)) STRICT;"
	NO("budget_kept BEFORE DELETE ON budget", "1", "book: nothing is taken out of it")
	NO("slice_kept BEFORE DELETE ON slice", "1", "book: nothing is taken out of it")
	NO("budget_on BEFORE UPDATE ON budget",
	   "NEW.generation<OLD.generation OR NEW.currency<>OLD.currency OR"
	   " (NEW.generation=OLD.generation AND NEW.ceiling<>OLD.ceiling)",
	   "parent: older than one in the book, or of another currency or ceiling")
	NO("slice_bound BEFORE UPDATE ON slice", "NEW.operator<>OLD.operator OR NEW.ceiling<OLD.ceiling",
	   "wallet: the slice is another operator''s")
	NO("slice_gate BEFORE INSERT ON slice", SUM, "ceiling: more than the parent has left")
	NO("slice_gate_again BEFORE UPDATE ON slice", "NEW.ceiling>OLD.ceiling AND " SUM,
	   "ceiling: more than the parent has left");
/* clang-format on */

static const char put_budget[] =
	"INSERT INTO budget VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT DO UPDATE SET"
	" generation=?4, currency=?5, ceiling=?6";
/* Not by ON CONFLICT: what is there already would be held to the gate of what is new. */
static const char grow_slice[] = "UPDATE slice SET operator=?5, ceiling=max(ceiling,?6)"
				 " WHERE issuer=?1 AND parent=?2 AND class=?3 AND wallet=?4";
static const char put_slice[] = "INSERT INTO slice VALUES(?1,?2,?3,?4,?5,?6)";

static int failed(sqlite3 *db, const char *path, struct err *e)
{
	const char *why = sqlite3_errmsg(db);

	if (sqlite3_errcode(db) != SQLITE_CONSTRAINT)
		return err_set(e, -EIO, "%.200s: %.120s", path, why);
	return err_set(e, strstr(why, "has left") ? -EDQUOT : -EPERM, "%.200s: %.120s", path, why);
}

static int put(sqlite3 *db, const char *sql, const struct slice *s, const struct slice_part *p,
	       bool budget)
{
	sqlite3_stmt *st = NULL;
	bool bad = sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK ||
		   sqlite3_bind_text(st, 1, s->issuer, -1, SQLITE_STATIC) ||
		   sqlite3_bind_text(st, 2, s->parent, -1, SQLITE_STATIC) ||
		   sqlite3_bind_text(st, 3, p->class_name, -1, SQLITE_STATIC) ||
		   (budget ? sqlite3_bind_int64(st, 4, s->generation)
			   : sqlite3_bind_text(st, 4, s->wallet, -1, SQLITE_STATIC)) ||
		   sqlite3_bind_text(st, 5, budget ? s->currency : s->op, -1, SQLITE_STATIC) ||
		   sqlite3_bind_int64(st, 6, budget ? p->of.minor : p->ceiling.minor) ||
		   sqlite3_step(st) != SQLITE_DONE;

	/* Its result is that of the step: the reason stays with the connection. */
	return sqlite3_finalize(st) != SQLITE_OK || bad ? -1 : 0;
}

static int take(sqlite3 *db, const struct slice *s)
{
	int r = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (size_t i = 0; !r && i < s->n; i++) {
		r = put(db, put_budget, s, &s->part[i], true);
		r = r ? r : put(db, grow_slice, s, &s->part[i], false);
		if (!r && !sqlite3_changes(db))
			r = put(db, put_slice, s, &s->part[i], false);
	}
	return r ? r : sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
}

int slice_take(const char *path, const struct slice *s, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	sqlite3 *db = NULL;
	int r = 0;

	if (fd < 0)
		return err_set(e, -errno, "%.200s: %s", path, strerror(errno));
	(void)close(fd);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) ||
	    sqlite3_busy_timeout(db, 10000) || sqlite3_exec(db, schema, NULL, NULL, NULL) ||
	    take(db, s))
		r = failed(db, path, e);
	(void)sqlite3_close(db); /* what is not committed is rolled back */
	return r;
}
