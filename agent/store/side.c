/* SPDX-License-Identifier: Apache-2.0 */
/* side.c - what shares the log's transaction: outbox, named values, challenges,
 * idempotency of calls. */
#include <errno.h>
#include "db.h"

static int blob_check(const char *field, const void *p, size_t len, struct err *e)
{
	if (len > STORE_BLOB_MAX)
		return err_set(e, -EMSGSIZE, "%s: at most %d bytes", field, STORE_BLOB_MAX);
	return p || len == 0 ? 0 : err_set(e, -EINVAL, "%s: missing", field);
}

static int count(struct store *s, enum query q, int64_t *ret, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, q, &st, e, "");

	if (!r)
		r = db_step(s, st, e);
	if (r > 0)
		*ret = sqlite3_column_int64(st, 0);
	return r < 0 ? r : 0;
}

/* --- outbox --- */
int store_out_put(struct store *s, const struct store_out *o, uint64_t *ret_id, struct err *e)
{
	int64_t waiting = 0;
	int r = db_name("kind", o->kind, e);

	if (!r)
		r = db_name("dest", o->dest, e);
	if (!r)
		r = blob_check("body", o->body, o->len, e);
	if (!r && (o->seq < 1 || o->seq >= log_next(s)))
		r = err_set(e, -EINVAL, "seq: no such event");
	if (!r)
		r = db_turn(s, e);
	if (!r)
		r = count(s, Q_OUT_WAITING, &waiting, e);
	if (r < 0)
		return r;
	if (waiting >= STORE_OUTBOX_MAX)
		return err_set(e, -ENOBUFS, "outbox: %d rows wait", STORE_OUTBOX_MAX);
	r = db_run(s, Q_OUT_PUT, e, "ittb", (int64_t)o->seq, o->kind, o->dest, o->body, o->len);
	if (r < 0)
		return r;
	*ret_id = (uint64_t)sqlite3_last_insert_rowid(s->db);
	return 0;
}

int store_out_pending(struct store *s, uint64_t after, store_out_fn fn, void *arg, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_OUT_LIST, &st, e, "i", (int64_t)after);

	while (r >= 0 && (r = db_step(s, st, e)) > 0) {
		struct store_out o = {
			.id = (uint64_t)sqlite3_column_int64(st, 0),
			.seq = (uint64_t)sqlite3_column_int64(st, 1),
			.kind = (const char *)sqlite3_column_text(st, 2),
			.dest = (const char *)sqlite3_column_text(st, 3),
			.body = sqlite3_column_blob(st, 4),
			.len = (size_t)sqlite3_column_bytes(st, 4),
		};

		r = fn(arg, &o);
		if (r != 0)
			return r;
	}
	return r;
}

int store_out_done(struct store *s, uint64_t id, bool delivered, struct err *e)
{
	int r = db_turn(s, e);

	if (!r)
		r = db_run(s, Q_OUT_DONE, e, "ii", (int64_t)id, (int64_t)(delivered ? 1 : 2));
	if (r == 0)
		return err_set(e, -ENOENT, "outbox: row %llu does not wait",
			       (unsigned long long)id);
	return r < 0 ? r : 0;
}

/* --- named values --- */
static int copy_of(const void *val, size_t len, void **ret, struct err *e)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return err_set(e, -ENOMEM, "store: out of memory");
	if (len)
		memcpy(copy, val, len);
	copy[len] = '\0';
	*ret = copy;
	return 0;
}

int store_kv_put(struct store *s, const char *key, const void *val, size_t len, struct err *e)
{
	void *copy = NULL;
	int r = db_name("key", key, e);

	if (!r)
		r = blob_check("value", val, len, e);
	if (!r)
		r = db_turn(s, e);
	if (!r)
		r = copy_of(val, len, &copy, e);
	return r ? r : pairs_put(s, PAIRS_NAMED, key, strlen(key), copy, len, e);
}

int store_kv_get(struct store *s, const char *key, void **ret, size_t *ret_len, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	const void *waits = NULL;
	int r = db_name("key", key, e);

	if (!r)
		waits = pairs_get(s, PAIRS_NAMED, key, strlen(key), ret_len);
	if (waits)
		return copy_of(waits, *ret_len, ret, e);
	if (!r)
		r = db_bind(s, Q_KV_GET, &st, e, "t", key);
	if (!r)
		r = db_step(s, st, e);
	if (r == 0)
		return err_set(e, -ENOENT, "%.100s: no such value", key);
	return r < 0 ? r : db_copy(st, 0, ret, ret_len, e);
}

/* --- challenges --- */
int store_challenge_put(struct store *s, const char *value, const char *peer, wall_t expires,
			struct err *e)
{
	int64_t open = 0;
	int r = db_name("challenge", value, e);

	if (!r)
		r = db_name("peer", peer, e);
	if (!r)
		r = db_turn(s, e);
	if (!r)
		r = count(s, Q_CHAL_OPEN, &open, e);
	if (r < 0)
		return r;
	if (open >= STORE_CHALLENGE_MAX)
		return err_set(e, -ENOBUFS, "challenge: %d are open", STORE_CHALLENGE_MAX);
	r = db_run(s, Q_CHAL_PUT, NULL, "tti", value, peer, expires.ms);
	if (r < 0)
		return err_set(e, r, "challenge: %s",
			       r == -EEXIST ? "known already" : "not stored");
	return 0;
}

int store_challenge_use(struct store *s, const char *value, const char *peer, wall_t now,
			enum refusal *ret, struct err *e)
{
	int r = db_turn(s, e);

	/* A name of an impossible length is no challenge of ours; that is an answer. */
	if (!r && value && peer)
		r = db_run(s, Q_CHAL_USE, e, "tti", value, peer, now.ms);
	if (r < 0)
		return r;
	*ret = r == 1 ? REFUSE_NONE : REFUSE_WALLET_CHALLENGE;
	return 0;
}

int store_challenge_known(struct store *s, const char *value, const char *peer, wall_t now,
			  bool *ret, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_CHAL_KNOWN, &st, e, "tti", value, peer, now.ms);

	if (!r)
		r = db_step(s, st, e);
	if (r < 0)
		return r;
	*ret = r > 0 && sqlite3_column_int64(st, 0) > 0;
	return 0;
}

int store_challenge_prune(struct store *s, wall_t now, struct err *e)
{
	int r = db_turn(s, e);

	if (!r)
		r = db_run(s, Q_CHAL_PRUNE, e, "i", now.ms);
	return r < 0 ? r : 0;
}

/* --- idempotency of calls --- */
int store_idem_get(struct store *s, const char *principal, const char *key,
		   const struct hash *request, enum refusal *ret_why, void **ret_answer,
		   size_t *ret_len, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	struct hash stored;
	int r = db_name("principal", principal, e);

	if (!r)
		r = db_name("key", key, e);
	if (!r)
		r = db_bind(s, Q_IDEM_GET, &st, e, "tt", principal, key);
	if (!r)
		r = db_step(s, st, e);
	if (r < 0)
		return r;
	if (r > 0 && (!db_hash(st, 0, &stored) || !hash_eq(&stored, request))) {
		*ret_why = REFUSE_DUPLICATE;
		*ret_answer = NULL;
		*ret_len = 0;
		return 0;
	}
	if (r > 0) {
		r = db_copy(st, 1, ret_answer, ret_len, e);
	} else {
		*ret_answer = NULL;
		*ret_len = 0;
	}
	if (r == 0)
		*ret_why = REFUSE_NONE;
	return r;
}

int store_idem_put(struct store *s, const char *principal, const char *key,
		   const struct hash *request, const void *answer, size_t len, struct err *e)
{
	int r = db_name("principal", principal, e);

	if (!r)
		r = db_name("key", key, e);
	if (!r)
		r = blob_check("answer", answer, len, e);
	if (!r)
		r = db_turn(s, e);
	if (!r)
		r = db_run(s, Q_IDEM_PUT, e, "tthb", principal, key, request, answer, len);
	return r < 0 ? r : 0;
}
