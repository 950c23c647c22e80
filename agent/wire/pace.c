/* SPDX-License-Identifier: Apache-2.0 */
#include "pace.h"

#include <errno.h>
#include <stdlib.h>

enum {
	REST = 9, /* times what a run took: readers cost a tenth of a busy loop */
	REST_MAX_US = 50000,
};

static void on_turn(void *arg);

void pace_init(struct pace *p, struct loop *l, bool (*fn)(void *arg), void *arg)
{
	*p = (struct pace){ .loop = l, .fn = fn, .arg = arg };
}

void pace_ask(struct pace *p)
{
	int64_t us = p->rest.us - loop_now(p->loop).us;

	if (!p->timer)
		p->timer = loop_spare(p->loop, us > 0 ? us : 0, on_turn, p);
}

static void on_turn(void *arg)
{
	struct pace *p = arg;
	mono_t from = loop_read(p->loop);
	int64_t rest;
	bool more;

	p->timer = NULL;
	more = p->fn(p->arg);
	p->rest = loop_read(p->loop);
	rest = (p->rest.us - from.us) * REST;
	p->rest.us += rest < REST_MAX_US ? rest : REST_MAX_US;
	if (more)
		pace_ask(p);
}

void pace_stop(struct pace *p)
{
	loop_cancel(p->loop, p->timer);
	p->timer = NULL;
}

/* --- turns ------------------------------------------------------------------------------------ */

struct turns {
	struct pace pace;
	TAILQ_HEAD(, wire_turn) waiting;
};

static bool next(void *arg)
{
	struct turns *t = arg;
	struct wire_turn *w;

	for (unsigned i = 0; i < PACE_FED && (w = TAILQ_FIRST(&t->waiting)); i++) {
		TAILQ_REMOVE(&t->waiting, w, entry);
		w->waits = false;
		w->fn(w->arg);
	}
	return !TAILQ_EMPTY(&t->waiting);
}

int turns_new(struct turns **ret, struct loop *l)
{
	struct turns *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	TAILQ_INIT(&t->waiting);
	pace_init(&t->pace, l, next, t);
	*ret = t;
	return 0;
}

struct turns *turns_free(struct turns *t)
{
	if (t)
		pace_stop(&t->pace);
	free(t);
	return NULL;
}

static void wait(void *to, struct wire_turn *w)
{
	struct turns *t = to;

	if (w->waits)
		return;
	w->waits = true;
	TAILQ_INSERT_TAIL(&t->waiting, w, entry);
	pace_ask(&t->pace);
}

static void leave(void *to, struct wire_turn *w)
{
	struct turns *t = to;

	if (w->waits)
		TAILQ_REMOVE(&t->waiting, w, entry);
	w->waits = false;
}

struct wire_pace turns_pace(struct turns *t)
{
	return (struct wire_pace){ wait, leave, t };
}
