/* SPDX-License-Identifier: Apache-2.0 */
/* pairs.c - the named values and the bodies of a turn, until they are written: one statement takes
 * all of a kind, and a value that the turn changed more than once is written once. They are written
 * before the commit, and when this is full; bodies before one is looked for as well. What must hold
 * of them was asked before, so a table that refuses one ends the turn. */
#include <errno.h>
#include <stdlib.h>
#include "db.h"

enum { PAIRS_MAX = 64, PAIRS_BYTES = 1024 * 1024 };

struct pair {
	char key[STORE_NAME_MAX + 1];
	size_t key_len;
	void *val; /* malloc'd */
	size_t len;
};

struct pairs {
	unsigned n;
	size_t bytes;
	bool writing;
	struct pair row[PAIRS_MAX];
};

static void forget(struct pairs *p)
{
	while (p && p->n)
		free(p->row[--p->n].val);
	if (p)
		p->bytes = 0;
}

void pairs_forget(struct store *s)
{
	forget(s->pairs[PAIRS_NAMED]);
	forget(s->pairs[PAIRS_BODIES]);
}

void pairs_free(struct store *s)
{
	pairs_forget(s);
	for (unsigned i = 0; i < PAIRS_MAX_; i++) {
		free(s->pairs[i]);
		s->pairs[i] = NULL;
	}
}

static struct pair *find(struct store *s, enum pairs_kind kind, const void *key, size_t key_len)
{
	struct pairs *p = s->pairs[kind];

	for (unsigned i = p ? p->n : 0; i-- > 0;)
		if (p->row[i].key_len == key_len && !memcmp(p->row[i].key, key, key_len))
			return &p->row[i];
	return NULL;
}

const void *pairs_get(struct store *s, enum pairs_kind kind, const void *key, size_t key_len,
		      size_t *ret_len)
{
	const struct pair *row = find(s, kind, key, key_len);

	if (!row)
		return NULL;
	*ret_len = row->len;
	return row->val;
}

int pairs_write(struct store *s, enum pairs_kind kind, struct err *e)
{
	static const enum query q[PAIRS_MAX_] = {
		[PAIRS_NAMED] = Q_KV_PUT, [PAIRS_BODIES] = Q_BODY_PUT
	};
	struct pairs *p = s->pairs[kind];
	int r;

	if (!p || !p->n)
		return 0;
	if (s->poisoned)
		return err_set(e, -EIO, "store: an earlier write failed; restart the daemon");
	p->writing = true;
	r = db_run(s, q[kind], e, "");
	p->writing = false;
	if (r < 0) {
		s->poisoned = true;
		return r == -EEXIST ? err_set(e, -EUCLEAN, "a value or a body was refused") : r;
	}
	forget(p);
	return 0;
}

int pairs_put(struct store *s, enum pairs_kind kind, const void *key, size_t key_len, void *val,
	      size_t len, struct err *e)
{
	struct pair *row = find(s, kind, key, key_len);
	struct pairs *p = s->pairs[kind];
	int r = 0;

	if (!p)
		p = s->pairs[kind] = calloc(1, sizeof(*p));
	if (!p)
		r = err_set(e, -ENOMEM, "store: out of memory");
	else if (!row && (p->n == PAIRS_MAX || (p->n && p->bytes + len > PAIRS_BYTES)))
		r = pairs_write(s, kind, e);
	if (r) {
		free(val);
		return r;
	}
	if (!row) {
		row = &p->row[p->n++];
		memcpy(row->key, key, key_len);
		row->key_len = key_len;
		row->val = NULL;
	} else {
		p->bytes -= row->len;
	}
	free(row->val);
	row->val = val;
	row->len = len;
	p->bytes += len;
	return 0;
}

/* --- as rows: key, val, for one INSERT from SELECT --- */
static unsigned count(const struct pairs *p)
{
	return p && p->writing ? p->n : 0;
}

static unsigned named_count(const struct store *s)
{
	return count(s->pairs[PAIRS_NAMED]);
}

static unsigned bodies_count(const struct store *s)
{
	return count(s->pairs[PAIRS_BODIES]);
}

static void value(const struct pair *row, sqlite3_context *ret)
{
	sqlite3_result_blob64(ret, row->val, row->len, SQLITE_STATIC);
}

static void named_column(const struct store *s, unsigned i, int column, sqlite3_context *ret)
{
	const struct pair *row = &s->pairs[PAIRS_NAMED]->row[i];

	if (column == 0)
		sqlite3_result_text(ret, row->key, (int)row->key_len, SQLITE_STATIC);
	else
		value(row, ret);
}

static void bodies_column(const struct store *s, unsigned i, int column, sqlite3_context *ret)
{
	const struct pair *row = &s->pairs[PAIRS_BODIES]->row[i];

	if (column == 0)
		sqlite3_result_blob(ret, row->key, (int)row->key_len, SQLITE_STATIC);
	else
		value(row, ret);
}

int pairs_rows(struct store *s)
{
	static const char columns[] = "CREATE TABLE x(key,val)";
	static const struct db_rows named = { columns, named_count, named_column },
				    bodies = { columns, bodies_count, bodies_column };
	int rc = db_rows(s, "named", &named);

	return rc == SQLITE_OK ? db_rows(s, "bodies", &bodies) : rc;
}
