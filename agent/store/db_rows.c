/* SPDX-License-Identifier: Apache-2.0 */
/* db_rows.c - rows that wait in memory as a table of the connection, so that one INSERT ... SELECT
 * takes them all: half of what a statement for each costs. Nothing is copied. */
#include "db.h"

struct source {
	const struct store *s;
	const struct db_rows *t;
};

struct rows {
	sqlite3_vtab base;
	const struct source *from;
};

struct row {
	sqlite3_vtab_cursor base;
	unsigned i;
};

static const struct source *source_of(sqlite3_vtab_cursor *c)
{
	return ((struct rows *)(void *)c->pVtab)->from;
}

static unsigned *at(sqlite3_vtab_cursor *c)
{
	return &((struct row *)(void *)c)->i;
}

static int rows_connect(sqlite3 *db, void *arg, int argc, const char *const *argv,
			sqlite3_vtab **ret, char **err)
{
	struct rows *t = sqlite3_malloc(sizeof(*t));

	(void)argc;
	(void)argv;
	(void)err;
	if (!t)
		return SQLITE_NOMEM;
	*t = (struct rows){ .from = arg };
	*ret = &t->base;
	return sqlite3_declare_vtab(db, t->from->t->columns);
}

static int rows_disconnect(sqlite3_vtab *t)
{
	sqlite3_free(t);
	return SQLITE_OK;
}

/* All of them, in their order, is the only way. */
static int rows_plan(sqlite3_vtab *t, sqlite3_index_info *plan)
{
	(void)t;
	plan->estimatedRows = 64;
	return SQLITE_OK;
}

static int rows_open(sqlite3_vtab *t, sqlite3_vtab_cursor **ret)
{
	struct row *c = sqlite3_malloc(sizeof(*c));

	(void)t;
	if (!c)
		return SQLITE_NOMEM;
	*c = (struct row){ .i = 0 };
	*ret = &c->base;
	return SQLITE_OK;
}

static int rows_close(sqlite3_vtab_cursor *c)
{
	sqlite3_free(c);
	return SQLITE_OK;
}

static int rows_first(sqlite3_vtab_cursor *c, int plan, const char *name, int argc,
		      sqlite3_value **argv)
{
	(void)plan;
	(void)name;
	(void)argc;
	(void)argv;
	*at(c) = 0;
	return SQLITE_OK;
}

static int rows_next(sqlite3_vtab_cursor *c)
{
	++*at(c);
	return SQLITE_OK;
}

static int rows_end(sqlite3_vtab_cursor *c)
{
	const struct source *from = source_of(c);

	return *at(c) >= from->t->count(from->s);
}

static int rows_number(sqlite3_vtab_cursor *c, sqlite3_int64 *ret)
{
	*ret = (sqlite3_int64)*at(c) + 1;
	return SQLITE_OK;
}

static int rows_column(sqlite3_vtab_cursor *c, sqlite3_context *ret, int column)
{
	const struct source *from = source_of(c);

	from->t->column(from->s, *at(c), column, ret);
	return SQLITE_OK;
}

int db_rows(struct store *s, const char *name, const struct db_rows *t)
{
	/* Without xCreate: a table of that name is there, and none can be made of it. */
	static const sqlite3_module module = { .xConnect = rows_connect,
					       .xDisconnect = rows_disconnect,
					       .xBestIndex = rows_plan,
					       .xOpen = rows_open,
					       .xClose = rows_close,
					       .xFilter = rows_first,
					       .xNext = rows_next,
					       .xEof = rows_end,
					       .xColumn = rows_column,
					       .xRowid = rows_number };
	struct source *from = sqlite3_malloc(sizeof(*from));

	if (!from)
		return SQLITE_NOMEM;
	*from = (struct source){ .s = s, .t = t };
	return sqlite3_create_module_v2(s->db, name, &module, from, sqlite3_free);
}
