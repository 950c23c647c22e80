/* SPDX-License-Identifier: Apache-2.0 */
/* store_util.h - a fresh state directory per test, events to put in, raw SQL for the attacker. */
#ifndef TREATY_TEST_STORE_UTIL_H
#define TREATY_TEST_STORE_UTIL_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <ftw.h>
#include <sqlite3.h>
#include "agent/store/ledger.h"

static char dir[64];

static inline int rm_one(const char *p, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(p);
}

static inline int dir_make(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/treaty-store-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static inline int dir_drop(void **state)
{
	(void)state;
	return nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct store *open_ok(unsigned flags)
{
	struct store *s = NULL;
	struct err e = { 0 };

	if (store_open(dir, flags, &s, &e) < 0)
		fail_msg("open: %s", e.text);
	return s;
}

/* Stages {"n":..,"seq":..}; returns its seq. */
static inline uint64_t put_event(struct store *s, int n)
{
	struct store_event ev;
	struct err e = { 0 };
	char body[96];
	int len = snprintf(body, sizeof(body), "{\"n\":%d,\"seq\":%llu}", n,
			   (unsigned long long)store_next_seq(s));

	if (store_stage(s, body, (size_t)len, &ev, &e) < 0)
		fail_msg("stage: %s", e.text);
	return ev.seq;
}

static inline void commit_ok(struct store *s)
{
	struct err e = { 0 };

	if (store_commit(s, &e) < 0)
		fail_msg("commit: %s", e.text);
}

/* Another program's connection: knows nothing of our rules, may switch things off. */
static inline int raw(const char *sql)
{
	char path[128];
	sqlite3 *db = NULL;
	int rc;

	(void)snprintf(path, sizeof(path), "%s/treaty.db", dir);
	rc = sqlite3_open(path, &db);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	(void)sqlite3_close(db);
	return rc;
}

static inline void raw_ok(const char *sql)
{
	if (raw(sql) != SQLITE_OK)
		fail_msg("raw sql failed: %s", sql);
}

static inline struct store_report report(void)
{
	struct store_report r;
	struct err e = { 0 };

	if (store_verify(dir, &r, &e) < 0)
		fail_msg("verify: %s", e.text);
	return r;
}

/* Around changes of the table of events: its triggers away, and back. */
#define OPEN_UP                                                                           \
	"CREATE TEMP TABLE t AS SELECT name,sql FROM sqlite_schema WHERE type='trigger';" \
	"DROP TRIGGER event_no_update;DROP TRIGGER event_no_delete;"
#define SHUT                                                           \
	"CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN " \
	"SELECT RAISE(ABORT,'event is append-only'); END;"             \
	"CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN " \
	"SELECT RAISE(ABORT,'event is never deleted'); END;"

#endif
