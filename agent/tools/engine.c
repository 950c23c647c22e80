/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include "agent/crypto/crypto.h"
#include "agent/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define TURN_EVENTS  1024 /* of one turn; a turn that wants more is a loop between agents */
#define SUBSCRIBERS  16
#define TURN_EFFECTS 2048
#define FULL_PART    8 /* of either; each event may lead to several more */
#define END_EVENTS   4 /* of what ends with the turn, counted before they are there */

/* What a turn still has to call. */
struct calls {
	uint32_t n;
	struct {
		engine_effect_fn fn;
		void *arg;
	} call[TURN_EFFECTS];
};

struct engine {
	struct engine_config c;
	struct world *world;
	wall_t replayed;
	struct err err;      /* the failure that ends us */
	struct event *queue; /* of this turn; [0, n) staged, [0, delivered) seen by all */
	uint32_t n, delivered;
	struct {
		engine_event_fn fn;
		void *arg;
	} sub[SUBSCRIBERS], durable;
	uint32_t subs;
	struct calls effect, ending; /* behind the commit, and before it */
	uint32_t ended;              /* so many of ending ran */
	int (*at_commit)(void *arg, struct err *e);
	void *at_commit_arg;
	uint64_t commits;
	int64_t commit_us; /* smoothed */
};

static int replay_one(void *arg, const struct store_event *row)
{
	struct engine *en = arg;
	struct event *ev = &en->queue[0];
	enum refusal r;
	int k = event_read(row->body, row->len, ev, NULL, &en->err);

	if (k)
		return k;
	if (ev->seq != row->seq)
		return err_set(&en->err, -EUCLEAN, "event %llu: names another seq",
			       (unsigned long long)row->seq);
	r = fold_guard(en->world, ev);
	if (r != REFUSE_NONE)
		return err_set(&en->err, -EUCLEAN, "event %llu (%s): %s",
			       (unsigned long long)row->seq, event_name(ev->kind), refusal_name(r));
	fold(en->world, ev);
	if (ev->at.ms > en->replayed.ms)
		en->replayed = ev->at;
	return 0;
}

int engine_new(struct engine **ret, const struct engine_config *c, struct err *e)
{
	struct engine *en = calloc(1, sizeof(*en));
	int r = -ENOMEM;

	if (!en)
		return err_set(e, -ENOMEM, "engine");
	en->c = *c;
	en->queue = calloc(TURN_EVENTS, sizeof(*en->queue));
	if (en->queue)
		r = world_new(&en->world, c->max_deals, c->max_wanted);
	if (r)
		(void)err_set(e, r, "world of %u deals", c->max_deals);
	else
		r = store_replay(c->store, 1, replay_one, en, e);
	if (r) {
		if (e && !e->code)
			*e = en->err;
		engine_free(en);
		return r;
	}
	*ret = en;
	return 0;
}

struct engine *engine_free(struct engine *en)
{
	if (!en)
		return NULL;
	world_free(en->world);
	free(en->queue);
	free(en);
	return NULL;
}

const struct world *engine_world(const struct engine *en)
{
	return en->world;
}

struct store *engine_store(const struct engine *en)
{
	return en->c.store;
}

wall_t engine_now(const struct engine *en)
{
	return en->c.now(en->c.now_arg);
}

wall_t engine_replayed(const struct engine *en)
{
	return en->replayed;
}

bool engine_full(const struct engine *en)
{
	return en->n + END_EVENTS * en->ending.n >= TURN_EVENTS / FULL_PART ||
	       en->effect.n >= TURN_EFFECTS / FULL_PART;
}

uint64_t engine_commits(const struct engine *en)
{
	return en->commits;
}

int64_t engine_commit_us(const struct engine *en)
{
	return en->commit_us;
}

const struct err *engine_error(const struct engine *en)
{
	return &en->err;
}

static void stage(struct engine *en, struct event *ev, const struct decision *d,
		  const digest_t *body)
{
	auto_free char *text = NULL;
	size_t len;
	int r;

	ev->seq = store_next_seq(en->c.store);
	r = event_write(ev, d, body, &text, &len, &en->err);
	if (!r)
		r = store_stage(en->c.store, text, len, NULL, &en->err);
	if (r) {
		(void)err_set(&en->err, r, "cannot stage %s", event_name(ev->kind));
		return;
	}
	fold(en->world, ev);
	en->n++;
}

static bool begin(struct engine *en, enum event_kind kind, const char *actor, const char *tool)
{
	struct event *ev;

	if (en->err.code)
		return false;
	if (en->n >= TURN_EVENTS) {
		(void)err_set(&en->err, -ELOOP, "more than %d events in one turn", TURN_EVENTS);
		return false;
	}
	/* As far as its payload goes: the largest, a plan, is forty times most others. */
	ev = &en->queue[en->n];
	memset(ev, 0, offsetof(struct event, u) + event_table(kind)->size);
	ev->kind = kind;
	ev->at = engine_now(en);
	str_cut(ev->actor.s, actor);
	str_cut(ev->tool.s, tool);
	return true;
}

void engine_refuse(struct engine *en, const char *actor, const char *tool, const ident_t *deal,
		   enum refusal r, const char *why)
{
	struct event *ev;

	if (!begin(en, EV_REFUSED, actor, tool))
		return;
	ev = &en->queue[en->n];
	if (deal)
		ev->u.refused.deal = *deal;
	str_cut(ev->u.refused.tool.s, tool);
	ev->u.refused.refusal = r;
	str_cut(ev->u.refused.why.s, why);
	stage(en, ev, NULL, NULL);
}

enum refusal engine_emit(struct engine *en, enum event_kind kind, const char *actor,
			 const char *tool, const void *payload, const struct decision *d,
			 const digest_t *body)
{
	const struct field_table *t = event_table(kind);
	ident_t none = { 0 };
	enum refusal r;

	if (!begin(en, kind, actor, tool))
		return REFUSE_LIMIT_REACHED;
	memcpy(&en->queue[en->n].u, payload, t->size);
	r = fold_guard(en->world, &en->queue[en->n]);
	if (r != REFUSE_NONE) {
		/* The first member of most payloads is the id that it speaks of. */
		if (t->field[0].kind == FIELD_STR && t->field[0].size == sizeof(none))
			memcpy(&none, (const char *)payload + t->field[0].off, sizeof(none));
		engine_refuse(en, actor, tool, &none, r, refusal_text(r));
		return r;
	}
	stage(en, &en->queue[en->n], d, body);
	return en->err.code ? REFUSE_LIMIT_REACHED : REFUSE_NONE;
}

int engine_subscribe(struct engine *en, engine_event_fn fn, void *arg)
{
	if (en->subs == SUBSCRIBERS)
		return -ENOSPC;
	en->sub[en->subs].fn = fn;
	en->sub[en->subs++].arg = arg;
	return 0;
}

void engine_on_durable(struct engine *en, engine_event_fn fn, void *arg)
{
	en->durable.fn = fn;
	en->durable.arg = arg;
}

static void call_later(struct engine *en, struct calls *q, engine_effect_fn fn, void *arg)
{
	if (q->n == TURN_EFFECTS) {
		(void)err_set(&en->err, -ELOOP, "more than %d %s in one turn", TURN_EFFECTS,
			      q == &en->effect ? "effects" : "endings");
		return;
	}
	q->call[q->n].fn = fn;
	q->call[q->n++].arg = arg;
}

void engine_after_commit(struct engine *en, engine_effect_fn fn, void *arg)
{
	call_later(en, &en->effect, fn, arg);
}

void engine_before_commit(struct engine *en, engine_effect_fn fn, void *arg)
{
	call_later(en, &en->ending, fn, arg);
}

void engine_at_commit(struct engine *en, int (*fn)(void *arg, struct err *e), void *arg)
{
	en->at_commit = fn;
	en->at_commit_arg = arg;
}

/* Subscribers may emit while they look: the queue grows under the loop. */
static void deliver(struct engine *en)
{
	while (en->delivered < en->n && !en->err.code) {
		const struct event *ev = &en->queue[en->delivered++];

		for (uint32_t i = 0; i < en->subs; i++)
			en->sub[i].fn(en->sub[i].arg, ev);
	}
}

/* All of the turn but its commit. What it ends with waits for somebody: that one works while we
 * write. */
static void end(struct engine *en)
{
	deliver(en);
	if (en->ending.n && !en->err.code && store_write(en->c.store, &en->err))
		(void)err_set(&en->err, -EIO, "write failed");
	while (en->ended < en->ending.n && !en->err.code) {
		uint32_t i = en->ended++;

		en->ending.call[i].fn(en->ending.call[i].arg);
		deliver(en);
	}
	en->ended = en->ending.n = 0;
}

static void release(struct engine *en)
{
	struct calls *q = &en->effect;
	uint32_t n = en->n, effects = q->n;

	for (uint32_t i = 0; i < n && en->durable.fn; i++)
		en->durable.fn(en->durable.arg, &en->queue[i]);
	en->n = en->delivered = 0;
	/* An effect may ask for another turn, never for more effects of this one. */
	for (uint32_t i = 0; i < effects; i++)
		q->call[i].fn(q->call[i].arg);
	memmove(q->call, q->call + effects, (q->n - effects) * sizeof(q->call[0]));
	q->n -= effects;
}

static int64_t now_us(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void commit(struct engine *en)
{
	int64_t from;

	if (en->at_commit && en->at_commit(en->at_commit_arg, &en->err))
		return;
	from = store_in_turn(en->c.store) ? now_us() : 0;
	if (store_commit(en->c.store, &en->err)) {
		(void)err_set(&en->err, -EIO, "commit failed");
	} else if (from) {
		en->commits++;
		en->commit_us += (now_us() - from - en->commit_us) / 8;
	}
}

int engine_turn(void *engine)
{
	struct engine *en = engine;

	/* Effects may emit (a reply that arrived synchronously): go on until all is quiet. */
	do {
		end(en);
		if (!en->err.code)
			commit(en);
		if (en->err.code)
			return en->err.code;
		release(en);
	} while (en->n || en->effect.n || en->ending.n);
	return 0;
}

void engine_id(ident_t *ret, const char *prefix)
{
	uint8_t r[8];
	char hex[17];

	random_fill(r, sizeof(r));
	(void)hex_encode(r, sizeof(r), hex, sizeof(hex));
	memset(ret, 0, sizeof(*ret));
	(void)snprintf(ret->s, sizeof(ret->s), "%.8s-%s", prefix, hex);
}

void engine_id_timed(ident_t *ret, const char *prefix, wall_t at)
{
	char timed[32];

	(void)snprintf(timed, sizeof(timed), "%.8s-%011llx", prefix,
		       (unsigned long long)at.ms & 0xfffffffffffULL);
	engine_id(ret, "");
	memmove(ret->s + strlen(timed), ret->s + 1, strlen(ret->s));
	memcpy(ret->s, timed, strlen(timed));
}
