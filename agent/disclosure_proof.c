/* SPDX-License-Identifier: Apache-2.0 */
#include "disclosure_proof.h"

#include "agent/codec/commit.h"
#include "agent/codec/event_json.h"
#include "agent/crypto/crypto.h"
#include "log_commit.h"
#include "treaty/event.h"

#include <errno.h>
#include <stdlib.h>

#define SCAN_MAX 50000 /* events looked at for roots: the daemon waits meanwhile */

json_t *disclosure_hash(const struct hash *h)
{
	char text[48];

	(void)base64_encode(h->b, HASH_LEN, text, sizeof(text));
	return json_string(text);
}

json_t *disclosure_path(const struct merkle_proof *p)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < p->n; i++)
		(void)json_array_append_new(a, disclosure_hash(&p->node[i]));
	return a;
}

/* A root on the way through the log, and the digests under it. */
struct proving {
	const struct disclosure_proving *p;
	size_t at; /* the next event that waits for its root */
	uint64_t scanned;
	struct ev_commit root;
	struct {
		uint64_t seq;
		struct hash leaf;
		char *body;
		size_t len;
	} by;
	struct hash *leaf; /* root.count of them */
	uint64_t n;
	json_t *out;
	struct err *e;
};

static uint64_t seq_of(const json_t *o)
{
	return (uint64_t)json_integer_value(json_object_get(o, "seq"));
}

/* The next event from `at` on that is shown in part; NULL at the end. */
static json_t *waiting(struct proving *x)
{
	json_t *o;

	while ((o = json_array_get(x->p->events, x->at)) && !json_object_get(o, "salts"))
		x->at++;
	return o;
}

/* Stops at the first LOG_COMMITTED. */
static int find_root(void *arg, const struct store_event *row)
{
	struct proving *x = arg;
	struct event *ev;
	int r;

	if (row->seq > x->p->size || ++x->scanned > SCAN_MAX)
		return 2;
	if (!memmem(row->body, row->len, "LOG_COMMITTED", 13))
		return 0;
	ev = malloc(sizeof(*ev));
	if (!ev)
		return err_set(x->e, -ENOMEM, "out of memory");
	r = event_read(row->body, row->len, ev, NULL, x->e);
	if (!r && ev->kind == EV_LOG_COMMITTED) {
		x->root = ev->u.commit;
		x->by.seq = row->seq;
		x->by.leaf = row->leaf;
		x->by.len = row->len;
		free(x->by.body);
		x->by.body = strndup(row->body, row->len);
		r = x->by.body ? 1 : err_set(x->e, -ENOMEM, "out of memory");
	}
	free(ev);
	return r;
}

static int read_leaf(void *arg, const struct store_event *row)
{
	struct proving *x = arg;
	uint8_t d[COMMIT_LEN];
	int r = commit_event(x->p->key, row->seq, row->body, row->len, d, x->e);

	if (r)
		return r;
	x->leaf[x->n++] = hash_leaf(d, sizeof(d));
	return x->n == x->root.count;
}

static int leaf_at(void *arg, uint64_t index, bool block, struct hash *ret)
{
	const struct proving *x = arg;

	(void)block;
	*ret = x->leaf[index];
	return 0;
}

static int add_root(struct proving *x)
{
	struct merkle_proof path;
	int r = store_prover_inclusion(x->p->prover, x->by.seq, &path);
	json_t *o;

	if (r)
		return err_set(x->e, r, "event %llu: no proof", (unsigned long long)x->by.seq);
	o = json_pack("{s:I, s:o, s:o, s:s%}", "seq", (json_int_t)x->by.seq, "leaf",
		      disclosure_hash(&x->by.leaf), "path", disclosure_path(&path), "body",
		      x->by.body, x->by.len);
	return o && !json_array_append_new(x->out, o) ? 0 : err_set(x->e, -ENOMEM, "out of memory");
}

/* All that wait and are under this root. */
static int prove_under(struct proving *x)
{
	const uint64_t first = x->root.first, end = first + x->root.count;
	struct merkle_proof path;
	json_t *o;
	int r;

	x->n = 0;
	free(x->leaf);
	x->leaf = calloc(x->root.count, sizeof(*x->leaf));
	if (!x->leaf)
		return err_set(x->e, -ENOMEM, "out of memory");
	r = store_replay(x->p->st, first, read_leaf, x, x->e);
	if (r < 0)
		return r;
	while ((o = waiting(x)) && seq_of(o) < end) {
		r = merkle_prove_inclusion(leaf_at, x, seq_of(o) - first, x->root.count, &path);
		if (r || json_object_set_new(o, "committed",
					     json_pack("{s:I, s:o}", "by", (json_int_t)x->by.seq,
						       "path", disclosure_path(&path))))
			return err_set(x->e, r ? r : -ENOMEM, "event: no proof of its digests");
		x->at++;
	}
	return add_root(x);
}

/* Roots stand in the log in the order of what is under them. What is before the next one's first
 * event is under none: it was logged before there were roots. */
static int prove_all(struct proving *x)
{
	uint64_t from = 0;
	json_t *o;
	int r;

	while ((o = waiting(x))) {
		from = from > seq_of(o) ? from : seq_of(o);
		if (from > x->p->size)
			return 0;
		r = store_replay(x->p->st, from, find_root, x, x->e);
		if (r != 1) /* no more of them */
			return r < 0 ? r : 0;
		from = x->by.seq + 1;
		while ((o = waiting(x)) && seq_of(o) < x->root.first)
			x->at++;
		if (!o || seq_of(o) >= x->root.first + x->root.count)
			continue;
		r = prove_under(x);
		if (r)
			return r;
	}
	return 0;
}

int disclosure_prove(const struct disclosure_proving *p, json_t **ret, struct err *e)
{
	struct proving x = { .p = p, .out = json_array(), .e = e };
	int r = x.out ? prove_all(&x) : err_set(e, -ENOMEM, "out of memory");

	free(x.by.body);
	free(x.leaf);
	if (r)
		json_decref(x.out);
	else
		*ret = x.out;
	return r;
}
