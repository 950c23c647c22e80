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
/* Whoever selects from it at another time finds nothing. */
static unsigned rows_count(const struct store *s)
{
	return s->late && s->late->h ? s->late->n : 0;
}

static void rows_column(const struct store *s, unsigned i, int column, sqlite3_context *ret)
{
	const struct late *l = s->late;

	if (column == 0)
		sqlite3_result_text(ret, (const char *)l->text + l->at[i] + 1, (int)l->len[i],
				    SQLITE_STATIC);
	else if (column == 1)
		sqlite3_result_blob(ret, l->h->from[1 + i].b, HASH_LEN, SQLITE_STATIC);
	else if (i == l->n - 1)
		sqlite3_result_blob(ret, l->h->link.b, HASH_LEN, SQLITE_STATIC);
	else
		sqlite3_result_blob(ret, "", 0, SQLITE_STATIC);
}

int log_rows(struct store *s)
{
	static const struct db_rows rows = { .columns = "CREATE TABLE x(body,leaf,chain)",
					     .count = rows_count,
					     .column = rows_column };

	return db_rows(s, "late", &rows);
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
	uint64_t was;
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
	was = s->now.tree.size;
	merkle_append_many(&s->now.tree, h.from + 1, l->n);
	blocks_note(s, &s->now.tree, was);
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
