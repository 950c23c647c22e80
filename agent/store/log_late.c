/* SPDX-License-Identifier: Apache-2.0 */
/* log_late.c - the events of a turn, until they are written: hashing several at once costs a third
 * of one after the other. They are written before the commit, before anything is read of the log,
 * and when this is full; what must hold of them was asked before, so a table that refuses one now
 * ends the turn. (Several rows in one INSERT were tried: SQLite takes no less for them.) */
#include <errno.h>
#include "agent/crypto/crypto.h"
#include "db.h"

enum { LATE_EVENTS = MERKLE_MANY, LATE_BYTES = 256 * 1024 };

struct late {
	unsigned n;
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

struct hash log_chain(const struct hash *prev, const struct hash *leaf)
{
	uint8_t b[2 * HASH_LEN];

	memcpy(b, prev->b, HASH_LEN);
	memcpy(b + HASH_LEN, leaf->b, HASH_LEN);
	return hash_bytes(b, sizeof(b));
}

struct hashes {
	struct hash leaf[LATE_EVENTS], chain[LATE_EVENTS + 1]; /* chain[0]: before the first */
};

static void hash_all(struct store *s, struct hashes *h)
{
	struct late *l = s->late;
	struct sha256_text text[LATE_EVENTS];

	for (unsigned i = 0; i < l->n; i++)
		text[i] = sha256_close(l->text + l->at[i], l->len[i] + 1);
	sha256_many(text, l->n, (uint8_t(*)[SHA256_LEN])(void *)h->leaf);
	h->chain[0] = s->now.chain;
	for (unsigned i = 0; i < l->n; i++)
		h->chain[i + 1] = log_chain(&h->chain[i], &h->leaf[i]);
}

static int put(struct store *s, const struct hashes *h, unsigned i, struct err *e)
{
	const struct late *l = s->late;

	return db_run(s, Q_EVENT_PUT, e, "iThhh", (int64_t)(s->now.tree.size + i + 1),
		      (const char *)l->text + l->at[i] + 1, l->len[i], &h->leaf[i], &h->chain[i],
		      &h->chain[i + 1]);
}

int log_write(struct store *s, struct err *e)
{
	struct late *l = s->late;
	struct err why = { 0 };
	struct hashes h;
	int r = 0;

	if (!l || !l->n)
		return 0;
	if (s->poisoned)
		return err_set(e, -EIO, "store: an earlier write failed; restart the daemon");
	hash_all(s, &h);
	for (unsigned i = 0; r >= 0 && i < l->n; i++)
		r = put(s, &h, i, &why);
	if (r < 0) {
		s->poisoned = true;
		return err_set(e, r == -EEXIST ? -EUCLEAN : r, "event %llu or after: %s",
			       (unsigned long long)s->now.tree.size + 1, why.text);
	}
	merkle_append_many(&s->now.tree, h.leaf, l->n);
	s->now.chain = h.chain[l->n];
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
