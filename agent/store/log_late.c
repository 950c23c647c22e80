/* SPDX-License-Identifier: Apache-2.0 */
/* log_late.c - the events of a turn, until they are written: hashing several at once costs a third
 * of one after the other, and one statement that finds them as rows of a table costs half of one
 * each. They are written before the commit, before anything is read of the log, and when this is
 * full; what must hold of them was asked before, so a table that refuses one now ends the turn. */
#include <errno.h>
#include "agent/crypto/crypto.h"
#include "db.h"

enum { LATE_EVENTS = MERKLE_MANY, LATE_BYTES = 256 * 1024 };

struct hashes {
	struct hash from[1 + LATE_EVENTS]; /* the link before them, then their leaves */
	struct hash link;                  /* over them all: the last row has it */
};

struct late {
	unsigned n;
	const struct hashes *h; /* while they are written */
	size_t used;
	size_t at[LATE_EVENTS], len[LATE_EVENTS];
	uint8_t text[LATE_BYTES]; /* each as its leaf is hashed: a zero byte, the text, padding */
};

uint64_t log_next(const struct store *s)
{
	return s->now.tree.size + (s->late ? s->late->n : 0) + 1;
}

void log_forget(struct store *s)
{
	if (s->late)
		s->late->n = 0;
}

struct hash log_link(const struct hash *from, unsigned n)
{
	return hash_bytes(from, (1 + (size_t)n) * sizeof(*from));
}

static void hash_all(struct store *s, struct hashes *h)
{
	struct late *l = s->late;
	struct sha256_text text[LATE_EVENTS];

	for (unsigned i = 0; i < l->n; i++)
		text[i] = sha256_close(l->text + l->at[i], l->len[i] + 1);
	sha256_many(text, l->n, (uint8_t(*)[SHA256_LEN])(void *)(h->from + 1));
	h->from[0] = s->now.chain;
	h->link = log_link(h->from, l->n);
}

/* --- the staged events as rows: body, leaf, chain, for one INSERT from SELECT --- */
struct rows {
	sqlite3_vtab base;
	const struct store *s;
};

struct row {
	sqlite3_vtab_cursor base;
	unsigned i;
};

static const struct store *store_of(sqlite3_vtab_cursor *c)
{
	return ((struct rows *)(void *)c->pVtab)->s;
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
	*t = (struct rows){ .s = arg };
	*ret = &t->base;
	return sqlite3_declare_vtab(db, "CREATE TABLE x(body,leaf,chain)");
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
	plan->estimatedRows = LATE_EVENTS;
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

/* Whoever selects from it at another time finds nothing. */
static int rows_end(sqlite3_vtab_cursor *c)
{
	const struct late *l = store_of(c)->late;

	return !l || !l->h || *at(c) >= l->n;
}

static int rows_seq(sqlite3_vtab_cursor *c, sqlite3_int64 *ret)
{
	*ret = (sqlite3_int64)(store_of(c)->now.tree.size + *at(c) + 1);
	return SQLITE_OK;
}

static int rows_column(sqlite3_vtab_cursor *c, sqlite3_context *ret, int column)
{
	const struct late *l = store_of(c)->late;
	unsigned i = *at(c);

	if (column == 0)
		sqlite3_result_text(ret, (const char *)l->text + l->at[i] + 1, (int)l->len[i],
				    SQLITE_STATIC);
	else if (column == 1)
		sqlite3_result_blob(ret, l->h->from[1 + i].b, HASH_LEN, SQLITE_STATIC);
	else if (i == l->n - 1)
		sqlite3_result_blob(ret, l->h->link.b, HASH_LEN, SQLITE_STATIC);
	else
		sqlite3_result_blob(ret, "", 0, SQLITE_STATIC);
	return SQLITE_OK;
}

int log_rows(struct store *s)
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
					       .xRowid = rows_seq };

	return sqlite3_create_module(s->db, "late", &module, s);
}

/* The table's last row is the one that these follow: asked once for all of them, of the table. */
static int follows(struct store *s, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	struct hash last = { 0 };
	uint64_t seq = 0;
	int r = db_bind(s, Q_EVENT_LAST, &st, e, "");

	if (!r)
		r = db_step(s, st, e);
	if (r < 0)
		return r;
	if (r > 0) {
		seq = (uint64_t)sqlite3_column_int64(st, 0);
		if (!db_hash(st, 1, &last))
			seq = UINT64_MAX;
	}
	if (seq != s->now.tree.size || memcmp(&last, &s->now.chain, sizeof(last)) != 0)
		return err_set(e, -EUCLEAN, "the log's last row is not the one before it");
	return 0;
}

static int put(struct store *s, const struct hashes *h, struct err *e)
{
	int r = follows(s, e);

	if (r < 0)
		return r;
	s->late->h = h;
	r = db_run(s, Q_EVENT_PUT, e, "");
	s->late->h = NULL;
	if (r >= 0 && (unsigned)r != s->late->n)
		return err_set(e, -EUCLEAN, "%d of %u rows were taken", r, s->late->n);
	return r;
}

int log_write(struct store *s, struct err *e)
{
	struct late *l = s->late;
	struct err why = { 0 };
	struct hashes h;
	int r;

	if (!l || !l->n)
		return 0;
	if (s->poisoned)
		return err_set(e, -EIO, "store: an earlier write failed; restart the daemon");
	hash_all(s, &h);
	r = put(s, &h, &why);
	if (r < 0) {
		s->poisoned = true;
		return err_set(e, r == -EEXIST ? -EUCLEAN : r, "event %llu or after: %s",
			       (unsigned long long)s->now.tree.size + 1, why.text);
	}
	merkle_append_many(&s->now.tree, h.from + 1, l->n);
	s->now.chain = h.link;
	l->n = 0;
	return 0;
}

int log_keep(struct store *s, const char *body, size_t len, struct err *e)
{
	size_t room = sha256_room(len + 1);
	struct late *l = s->late;
	int r = 0;

	if (!l)
		l = s->late = calloc(1, sizeof(*l));
	if (!l)
		return err_set(e, -ENOMEM, "store: out of memory");
	if (l->n == LATE_EVENTS || (l->n && l->used + room > LATE_BYTES))
		r = log_write(s, e);
	if (r)
		return r;
	if (!l->n)
		l->used = 0;
	l->text[l->used] = 0;
	memcpy(l->text + l->used + 1, body, len);
	l->at[l->n] = l->used;
	l->len[l->n++] = len;
	l->used += room;
	return 0;
}
