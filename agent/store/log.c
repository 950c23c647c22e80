/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - the event log: append, replay, proofs, the rules of a row. */
#include <errno.h>
#include "db.h"

int store_stage(struct store *s, const char *body, size_t len, struct store_event *ret,
		struct err *e)
{
	struct store_event ev = { .seq = log_next(s), .body = body, .len = len };
	int r;

	if (!body || len == 0)
		return err_set(e, -EINVAL, "event body: empty");
	if (len > STORE_BODY_MAX)
		return err_set(e, -EMSGSIZE, "event body: at most %d bytes", STORE_BODY_MAX);
	if (memchr(body, 0, len))
		return err_set(e, -EINVAL, "event body: holds a zero byte");
	if (!event_text_ok(body, len, ev.seq))
		return err_set(e, -EINVAL, "event body: not JSON, or its seq is not %llu",
			       (unsigned long long)ev.seq);
	r = db_turn(s, e);
	if (!r)
		r = log_keep(s, body, len, e);
	if (!r && ret)
		r = log_write(s, e);
	if (r || !ret)
		return r;
	ev.leaf = hash_leaf(body, len);
	ev.linked = true;
	*ret = ev;
	return 0;
}

/* What the row says it follows, and the link that it has: over the leaves since the one before. */
static bool linked(struct log_at *at, const struct log_row *row)
{
	struct hash link;

	if (!row->shaped ||
	    (row->prev && (at->n != 1 || memcmp(at->from[0].b, row->prev, HASH_LEN) != 0)))
		return false;
	if (!row->chain)
		return at->n < MERKLE_MANY;
	link = log_link(at->from, at->n);
	if (memcmp(link.b, row->chain, HASH_LEN) != 0)
		return false;
	at->from[0] = link;
	at->n = 0;
	return true;
}

enum store_fault db_row_check(struct log_at *at, const struct log_row *row)
{
	struct hash leaf;

	if (row->seq < 0 || (uint64_t)row->seq != at->tree.size + 1)
		return STORE_FAULT_GAP;
	if (row->len == 0 || row->len > STORE_BODY_MAX)
		return STORE_FAULT_LEAF;
	leaf = hash_leaf(row->body, row->len);
	if (!row->leaf || memcmp(leaf.b, row->leaf, HASH_LEN) != 0)
		return STORE_FAULT_LEAF;
	at->from[1 + at->n++] = leaf;
	if (!linked(at, row))
		return STORE_FAULT_CHAIN;
	if (!row->json || memchr(row->body, 0, row->len))
		return STORE_FAULT_JSON;
	merkle_append(&at->tree, &leaf);
	return STORE_SOUND;
}

/* A blob of 32 bytes or none; anything else makes *shaped false. */
static const void *blob32(sqlite3_stmt *st, int i, bool *shaped)
{
	int n = sqlite3_column_bytes(st, i);

	if (sqlite3_column_type(st, i) != SQLITE_BLOB || (n && n != HASH_LEN)) {
		*shaped = false;
		return NULL;
	}
	return n ? sqlite3_column_blob(st, i) : NULL;
}

static struct log_row row_of(sqlite3_stmt *st)
{
	const void *body = sqlite3_column_blob(st, 1);
	struct log_row row = {
		.seq = sqlite3_column_int64(st, 0),
		.body = body ? body : "",
		.len = body ? (size_t)sqlite3_column_bytes(st, 1) : 0,
		.shaped = true,
		.json = sqlite3_column_int(st, 5) != 0,
	};

	row.leaf = blob32(st, 2, &row.shaped);
	row.prev = blob32(st, 3, &row.shaped);
	row.chain = blob32(st, 4, &row.shaped);
	return row;
}

/* Every row from the first on, until the first fault. */
static int walk(struct store *s, struct log_at *at, struct store_report *rep, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_EVENT_CHECK, &st, e, "i", (int64_t)INT64_MIN);

	while (r >= 0 && (r = db_step(s, st, e)) > 0) {
		struct log_row row = row_of(st);

		rep->fault = db_row_check(at, &row);
		if (rep->fault == STORE_SOUND) {
			blocks_note(s, &at->tree, at->tree.size - 1);
			continue;
		}
		if (sqlite3_errcode(s->db) == SQLITE_NOMEM)
			return err_set(e, -ENOMEM, "store: out of memory");
		rep->seq = rep->fault == STORE_FAULT_GAP ? at->tree.size + 1 : (uint64_t)row.seq;
		return 0;
	}
	if (r == 0 && at->n) {
		rep->fault = STORE_FAULT_CHAIN;
		rep->seq = at->tree.size;
	}
	return r;
}

int db_log_walk(struct store *s, struct store_pos *pos, struct store_report *rep, struct err *e)
{
	static const char *const why[STORE_FAULT_MAX_] = {
		[STORE_FAULT_GAP] = "the row before it is missing",
		[STORE_FAULT_JSON] = "the body is not JSON, or names another seq",
		[STORE_FAULT_LEAF] = "the body does not hash to its leaf",
		[STORE_FAULT_CHAIN] =
			"the chain does not follow from the rows since its link before",
	};
	struct log_at at = { .n = 0 };
	struct err why_not = { 0 };
	int r = walk(s, &at, rep, &why_not);

	pos->tree = at.tree;
	pos->chain = at.from[0];
	if (rep->fault != STORE_SOUND)
		text_put(rep->why, why[rep->fault]);
	if (r == -EUCLEAN) {
		rep->fault = STORE_FAULT_FILE;
		rep->seq = pos->tree.size + 1;
		text_put(rep->why, why_not.text);
		return 0;
	}
	return r < 0 ? err_set(e, r, "%s", why_not.text) : 0;
}

/* Begins after the last link before event `from`. */
static int link_before(struct store *s, uint64_t from, struct log_at *at, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_EVENT_LINK, &st, e, "i", (int64_t)from);

	if (!r)
		r = db_step(s, st, e);
	if (r <= 0)
		return r;
	at->tree.size = (uint64_t)sqlite3_column_int64(st, 0);
	return db_hash(st, 1, &at->from[0])
		       ? 0
		       : err_set(e, -EUCLEAN, "event %llu: %s", (unsigned long long)at->tree.size,
				 store_fault_name(STORE_FAULT_CHAIN));
}

/* Replay after open needs no JSON check: only hashes tie the row to what was verified. */
int store_replay(struct store *s, uint64_t from, store_event_fn fn, void *arg, struct err *e)
{
	struct log_at at = { .n = 0 };
	auto_done sqlite3_stmt *st = NULL;
	int r = log_write(s, e);

	if (r)
		return r;
	if (from > INT64_MAX)
		return err_set(e, -ERANGE, "from: above 2^63");
	r = link_before(s, from, &at, e);
	if (!r)
		r = db_bind(s, Q_EVENT_FROM, &st, e, "i", (int64_t)at.tree.size + 1);
	while (r >= 0 && (r = db_step(s, st, e)) > 0) {
		struct log_row row = row_of(st);
		struct store_event ev = { .seq = (uint64_t)row.seq };
		enum store_fault f = db_row_check(&at, &row);

		if (f != STORE_SOUND)
			return err_set(e, -EUCLEAN, "event %lld: %s (run: treatyctl log verify)",
				       (long long)row.seq, store_fault_name(f));
		if (ev.seq < from)
			continue;
		ev.body = row.body;
		ev.len = row.len;
		ev.linked = row.chain != NULL;
		memcpy(ev.leaf.b, row.leaf, HASH_LEN);
		r = fn(arg, &ev);
		if (r != 0)
			return r;
	}
	if (r == 0 && at.n)
		return err_set(e, -EUCLEAN, "event %llu: %s (run: treatyctl log verify)",
			       (unsigned long long)at.tree.size,
			       store_fault_name(STORE_FAULT_CHAIN));
	if (r == 0 && at.tree.size + 1 < from)
		return err_set(e, -ERANGE, "from: the log ends before event %llu",
			       (unsigned long long)from - 1);
	return r;
}

int store_get(struct store *s, uint64_t seq, char **ret_body, size_t *ret_len, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	void *p;
	int r = log_write(s, e);

	if (!r)
		r = db_bind(s, Q_EVENT_GET, &st, e, "i", (int64_t)seq);
	if (!r)
		r = db_step(s, st, e);
	if (r == 0)
		return err_set(e, -ENOENT, "event %llu: not in the log", (unsigned long long)seq);
	if (r > 0)
		r = db_copy(st, 0, &p, ret_len, e);
	if (r == 0)
		*ret_body = p;
	return r;
}

/* --- proofs --- */
struct leaves {
	struct store *s;
	sqlite3_stmt *st;
	uint64_t next; /* index that the next step yields */
	uint64_t size;
	struct err *e;
};

void blocks_note(struct store *s, const struct merkle *m, uint64_t was)
{
	uint64_t full = m->size >> MERKLE_BLOCK;

	if (full == was >> MERKLE_BLOCK || s->blocks != full - 1)
		return;
	if (s->blocks == s->block_cap) {
		uint64_t cap = s->block_cap ? 2 * s->block_cap : 64;
		struct hash *p = reallocarray(s->block, cap, sizeof(*p));

		if (!p)
			return;
		s->block = p;
		s->block_cap = cap;
	}
	s->block[s->blocks++] = m->block;
}

void blocks_cut(struct store *s, uint64_t size)
{
	if (s->blocks > size >> MERKLE_BLOCK)
		s->blocks = size >> MERKLE_BLOCK;
}

/* A cursor that follows the ascending reads of merkle_prove_*() and seeks over what they skip. */
static int leaf_at(void *arg, uint64_t index, bool block, struct hash *ret)
{
	struct leaves *l = arg;
	int r;

	if (block && index >> MERKLE_BLOCK < l->s->blocks) {
		*ret = l->s->block[index >> MERKLE_BLOCK];
		return 1;
	}
	if (!l->st || l->next != index) {
		db_done(&l->st);
		r = db_bind(l->s, Q_EVENT_LEAVES, &l->st, l->e, "ii", (int64_t)index,
			    (int64_t)l->size);
		if (r < 0)
			return r;
	}
	r = db_step(l->s, l->st, l->e);
	if (r < 0)
		return r;
	if (r == 0 || sqlite3_column_int64(l->st, 2) != (int64_t)index + 1 ||
	    !db_hash(l->st, 0, ret))
		return err_set(l->e, -EUCLEAN, "event %llu: missing or without a leaf",
			       (unsigned long long)index + 1);
	l->next = index + 1;
	return 0;
}

static int in_log(struct store *s, uint64_t size, struct err *e)
{
	if (size >= log_next(s))
		return err_set(e, -ERANGE, "size: the log has %llu events",
			       (unsigned long long)log_next(s) - 1);
	return log_write(s, e);
}

int store_root_at(struct store *s, uint64_t size, struct hash *ret, struct err *e)
{
	struct leaves l = { .s = s, .size = size, .e = e };
	struct merkle m = { .size = 0 };
	int r = in_log(s, size, e);

	for (uint64_t i = 0; r == 0 && i < size; i++) {
		struct hash leaf;

		r = leaf_at(&l, i, false, &leaf);
		if (r == 0)
			merkle_append(&m, &leaf);
	}
	db_done(&l.st);
	if (r == 0)
		*ret = merkle_root(&m);
	return r;
}

int store_prove_inclusion(struct store *s, uint64_t seq, uint64_t size, struct merkle_proof *ret,
			  struct err *e)
{
	struct leaves l = { .s = s, .size = size, .e = e };
	int r = in_log(s, size, e);

	if (r < 0)
		return r;
	if (seq < 1 || seq > size)
		return err_set(e, -ERANGE, "seq: not within the first %llu events",
			       (unsigned long long)size);
	r = merkle_prove_inclusion(leaf_at, &l, seq - 1, size, ret);
	db_done(&l.st);
	return r;
}

int store_prove_consistency(struct store *s, uint64_t old, uint64_t size, struct merkle_proof *ret,
			    struct err *e)
{
	struct leaves l = { .s = s, .size = size, .e = e };
	int r = in_log(s, size, e);

	if (r < 0)
		return r;
	if (old > size)
		return err_set(e, -ERANGE, "old: above size");
	r = merkle_prove_consistency(leaf_at, &l, old, size, ret);
	db_done(&l.st);
	return r;
}
