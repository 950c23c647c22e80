/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c - is this still the log that was written? Order: schema (a log whose triggers are gone
 * proves less), rows, head row, ledger, SQLite's own check. */
#include <errno.h>
#include <stdio.h>
#include "db.h"
#include "schema.h"

const char *store_fault_name(enum store_fault f)
{
	static const char *const name[STORE_FAULT_MAX_] = {
		"sound", "file", "schema", "gap", "json", "leaf", "chain", "ledger",
	};

	return (unsigned)f < STORE_FAULT_MAX_ ? name[f] : "?";
}

const char db_schema_query[] = "SELECT type||' '||name, coalesce(sql,'') FROM sqlite_schema "
			       "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type,name";

/* Steps both cursors over their sorted lists; the first difference is the fault. */
static void schema_diff(sqlite3_stmt *have, sqlite3_stmt *want, struct store_report *rep)
{
	for (;;) {
		int h = sqlite3_step(have), w = sqlite3_step(want), c;
		const char *hn =
			h == SQLITE_ROW ? (const char *)sqlite3_column_text(have, 0) : NULL;
		const char *wn =
			w == SQLITE_ROW ? (const char *)sqlite3_column_text(want, 0) : NULL;
		const char *what = "altered";

		if (!hn && !wn)
			return;
		c = !hn ? 1 : !wn ? -1 : strcmp(hn, wn);
		if (c == 0 && strcmp((const char *)sqlite3_column_text(have, 1),
				     (const char *)sqlite3_column_text(want, 1)) == 0)
			continue;
		if (c != 0)
			what = c > 0 ? "missing" : "foreign";
		rep->fault = STORE_FAULT_SCHEMA;
		(void)snprintf(rep->why, sizeof(rep->why), "%.150s: %s", c > 0 ? wn : hn, what);
		return;
	}
}

int db_schema_check(struct store *s, struct store_report *rep, struct err *e)
{
	sqlite3_stmt *have = NULL, *want = NULL;
	sqlite3 *model = NULL;
	int rc = sqlite3_open(":memory:", &model);

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(model, schema_log, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(model, schema_ledger, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(model, rules_log, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(model, rules_ledger, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(model, db_schema_query, -1, &want, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db, db_schema_query, -1, &have, NULL);
	if (rc == SQLITE_OK)
		schema_diff(have, want, rep);
	/* finalize reports what the last step ran into: a cursor that failed is no difference. */
	for (int i = 0; i < 2; i++) {
		int last = sqlite3_finalize(i ? have : want);

		rc = rc == SQLITE_OK ? last : rc;
	}
	(void)sqlite3_close(model);
	return rc == SQLITE_OK ? 0 : db_fail(s, rc, "schema", e);
}

static int head_check(struct store *s, const struct store_pos *pos, struct store_report *rep,
		      struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	struct hash head[2] = { pos->chain, merkle_root(&pos->tree) };
	int r = db_bind(s, Q_KV_GET, &st, e, "t", "head");

	if (!r)
		r = db_step(s, st, e);
	if (r < 0)
		return r;
	if (r == 0 ? pos->tree.size == 0
		   : sqlite3_column_bytes(st, 0) == (int)sizeof(head) &&
			     memcmp(sqlite3_column_blob(st, 0), head, sizeof(head)) == 0)
		return 0;
	rep->fault = STORE_FAULT_GAP;
	rep->seq = pos->tree.size + 1;
	text_put(rep->why, "the log ends here, but the head row is of another end");
	return 0;
}

static int file_check(struct store *s, struct store_report *rep, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	const char *text = NULL;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		text = (const char *)sqlite3_column_text(st, 0);
	if (text && strcmp(text, "ok") != 0) {
		rep->fault = STORE_FAULT_FILE;
		(void)snprintf(rep->why, sizeof(rep->why), "%.180s", text);
	}
	(void)sqlite3_finalize(st);
	return text ? 0 : db_fail(s, rc, "quick_check", e);
}

int db_verify(struct store *s, struct store_pos *pos, struct store_report *rep, struct err *e)
{
	int r = db_schema_check(s, rep, e);

	if (!r && rep->fault == STORE_SOUND)
		r = db_log_walk(s, pos, rep, e);
	if (!r && rep->fault == STORE_SOUND)
		r = head_check(s, pos, rep, e);
	if (!r && rep->fault == STORE_SOUND)
		r = ledger_audit(s, pos, rep, e);
	rep->head.seq = pos->tree.size;
	rep->head.chain = pos->chain;
	rep->head.root = merkle_root(&pos->tree);
	rep->journal = pos->jseq;
	return r;
}

int db_log_sound(struct store *s, struct err *e)
{
	struct store_report rep = { .fault = STORE_SOUND };
	int r = db_schema_check(s, &rep, e);

	if (!r && rep.fault == STORE_SOUND)
		r = db_log_walk(s, &s->now, &rep, e);
	if (!r && rep.fault == STORE_SOUND)
		r = head_check(s, &s->now, &rep, e);
	if (r < 0)
		return r;
	return rep.fault == STORE_SOUND
		       ? 0
		       : err_set(e, -EUCLEAN, "%s at %llu: %.120s", store_fault_name(rep.fault),
				 (unsigned long long)rep.seq, rep.why);
}

int store_verify(const char *dir, struct store_report *ret, struct err *e)
{
	struct store_report rep = { .fault = STORE_SOUND };
	struct store_pos pos = { .jseq = 0 };
	struct store *s = NULL;
	int r = store_open(dir, STORE_READER, &s, e);

	if (r < 0)
		return r;
	/* One snapshot, though a writer may go on. */
	r = db_exec(s, "BEGIN", e);
	if (!r)
		r = db_verify(s, &pos, &rep, e);
	if (!r && rep.fault == STORE_SOUND)
		r = file_check(s, &rep, e);
	s = store_free(s);
	if (!r)
		*ret = rep;
	return r;
}

int store_backup_check(struct store *s, uint64_t size, const struct hash *root, struct err *e)
{
	struct hash ours;
	int r;

	if (size >= log_next(s))
		return err_set(e, -ESTALE,
			       "log: %llu events, the witness saw %llu: a restored backup",
			       (unsigned long long)log_next(s) - 1, (unsigned long long)size);
	r = store_root_at(s, size, &ours, e);
	if (r < 0)
		return r;
	if (!hash_eq(&ours, root))
		return err_set(e, -EUCLEAN, "log: the first %llu events are not those witnessed",
			       (unsigned long long)size);
	return 0;
}
