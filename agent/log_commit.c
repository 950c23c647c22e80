/* SPDX-License-Identifier: Apache-2.0 */
#include "log_commit.h"

#include "agent/codec/commit.h"
#include "agent/disclosure.h"
#include "agent/log.h"
#include "agent/store/store.h"
#include "agent/tools/tools.h"

#include <errno.h>
#include <stdlib.h>

#define STEP_US  (1000 * 1000)
#define AGAIN_US 1000 /* while there are more */
/* Of one step, and then to the next link: a millisecond or two. A turn has one step and may have
 * more events than that, so what is behind by many takes more, up to so many more. */
#define STEP_ROWS 32
#define STEP_MORE 160

struct log_commit {
	struct side *s;
	struct cap_witness cap;
	struct loop_timer *timer;
	uint64_t first; /* that the next root begins with */
	struct merkle tree;
	uint64_t rows, most; /* of this step */
	bool linked;         /* the last of them ends those that were written with it */
	bool more;           /* the step stopped before what is durable ends */
	struct err *e;
};

/* A log that was there before is not gone through again: its older events stay without. */
static uint64_t first_of(const struct log_commit *c)
{
	uint64_t done = engine_world(c->s->engine)->committed;
	uint64_t durable = store_durable(engine_store(c->s->engine));

	if (done)
		return done;
	return durable > LOG_COMMIT_MAX ? durable - LOG_COMMIT_MAX + 1 : 1;
}

static int take_row(void *arg, const struct store_event *row)
{
	struct log_commit *c = arg;
	uint8_t key[32], d[COMMIT_LEN];
	struct hash leaf;
	int r;

	if (row->seq > store_durable(engine_store(c->s->engine)))
		return 1;
	c->more = (c->rows >= c->most && c->linked) || c->tree.size == LOG_COMMIT_MAX;
	if (c->more)
		return 1;
	r = disclosure_key(c->s, key, c->e);
	r = r ? r : commit_event(key, row->seq, row->body, row->len, d, c->e);
	if (r)
		return r;
	leaf = hash_leaf(d, sizeof(d));
	merkle_append(&c->tree, &leaf);
	c->linked = row->linked;
	c->rows++;
	return 0;
}

static int step(struct log_commit *c, struct err *e)
{
	struct store *st = engine_store(c->s->engine);
	uint64_t from = c->first + c->tree.size;
	int r;

	c->rows = 0;
	c->more = false;
	c->e = e;
	if (from > store_durable(st))
		return 0;
	c->most = (store_durable(st) - from) / STEP_ROWS;
	c->most = STEP_ROWS + (c->most < STEP_MORE ? c->most : STEP_MORE);
	r = store_replay(st, from, take_row, c, e);
	if (r >= 0 && c->tree.size == LOG_COMMIT_MAX)
		r = log_commit_put(c->s, e);
	return r < 0 ? r : 0;
}

static void tick(void *arg)
{
	struct log_commit *c = arg;
	struct err e = { 0 };
	int r = step(c, &e);

	if (r)
		log_error("log: not committed: %s", e.text);
	c->timer = loop_after(c->s->loop, !r && c->more ? AGAIN_US : STEP_US, tick, c);
	if (!c->timer)
		loop_stop(c->s->loop, -ENOMEM);
}

int log_commit_put(struct side *s, struct err *e)
{
	struct log_commit *c = s->commits;
	struct ev_commit ev;
	struct hash root;

	if (!c || !c->tree.size)
		return 0;
	ev = (struct ev_commit){ .first = c->first, .count = c->tree.size };
	root = merkle_root(&c->tree);
	memcpy(ev.root.b, root.b, sizeof(ev.root.b));
	if (tool_log_commit(&c->cap, &ev, NULL, NULL) != REFUSE_NONE)
		return err_set(e, -EIO, "LOG_COMMITTED was refused");
	c->first += ev.count;
	c->tree = (struct merkle){ .size = 0 };
	return 0;
}

int log_commit_start(struct side *s, struct err *e)
{
	struct log_commit *c;

	if (!s->cfg->keys.file[KEY_CHECKPOINT][0])
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->s = s;
	c->cap.engine = s->engine;
	c->first = first_of(c);
	c->timer = loop_after(s->loop, STEP_US, tick, c);
	s->commits = c;
	return c->timer ? 0 : err_set(e, -ENOMEM, "out of memory");
}

void log_commit_free(struct side *s)
{
	if (s->commits)
		loop_cancel(s->loop, s->commits->timer);
	free(s->commits);
	s->commits = NULL;
}
