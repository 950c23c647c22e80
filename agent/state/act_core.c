/* SPDX-License-Identifier: Apache-2.0 */
/* Acts that wait for a grant. One question for one act with one set of arguments at a time; what
 * was answered makes room for what is new. */
#include "world.h"
#include "treaty/pure.h"

static struct act *find(const struct world *w, const ident_t *id)
{
	for (uint32_t i = 0; i < w->n_acts; i++)
		if (ident_eq(w->act[i].ask.id, *id))
			return (struct act *)(uintptr_t)&w->act[i];
	return NULL;
}

static enum refusal guard_ask(const struct world *w, const struct event *ev)
{
	const struct ev_act *a = &ev->u.act;
	uint32_t waiting = 0;

	if (ident_empty(a->id) || ident_empty(a->act) || !a->why.s[0] ||
	    a->expires.ms <= ev->at.ms || find(w, &a->id))
		return REFUSE_BODY_MALFORMED;
	for (uint32_t i = 0; i < w->n_acts; i++) {
		const struct act *k = &w->act[i];

		if (k->state != APPROVAL_WAITING)
			continue;
		waiting++;
		if (ident_eq(k->ask.act, a->act) && digest_eq(k->ask.args, a->args))
			return REFUSE_DUPLICATE;
	}
	return waiting == WORLD_ACTS_MAX ? REFUSE_LIMIT_REACHED : REFUSE_NONE;
}

/* The answer repeats the question: a human says yes or no, and changes nothing of it. */
static enum refusal guard_answer(const struct world *w, const struct event *ev)
{
	const struct ev_act *a = &ev->u.act;
	const struct act *k = find(w, &a->id);
	bool over;

	if (!k || !ident_eq(k->ask.act, a->act) || !digest_eq(k->ask.args, a->args) ||
	    k->ask.expires.ms != a->expires.ms)
		return REFUSE_QUOTE_MISMATCH;
	over = ev->at.ms >= k->ask.expires.ms;
	return k->state == APPROVAL_WAITING && over == (ev->kind == EV_ACT_LAPSED)
		       ? REFUSE_NONE
		       : REFUSE_WRONG_STATE;
}

enum refusal act_guard(const struct world *w, const struct event *ev)
{
	switch (ev->kind) {
	case EV_ACT_ASKED: return guard_ask(w, ev);
	case EV_ACT_GRANTED:
	case EV_ACT_DENIED:
	case EV_ACT_LAPSED: return guard_answer(w, ev);
	default: return REFUSE_NONE;
	}
}

/* The oldest that waits no more goes. */
static void make_room(struct world *w)
{
	uint32_t i = 0;

	while (i < w->n_acts && w->act[i].state == APPROVAL_WAITING)
		i++;
	if (w->n_acts < WORLD_ACTS_MAX || i == w->n_acts)
		return;
	w->n_acts--;
	memmove(&w->act[i], &w->act[i + 1], (w->n_acts - i) * sizeof(w->act[0]));
}

void act_fold(struct world *w, const struct event *ev)
{
	struct act *k;

	if (ev->kind == EV_ACT_ASKED) {
		make_room(w);
		if (w->n_acts == WORLD_ACTS_MAX)
			return;
		k = &w->act[w->n_acts++];
		memset(k, 0, sizeof(*k));
		k->ask = ev->u.act;
		k->state = APPROVAL_WAITING;
		return;
	}
	if (ev->kind != EV_ACT_GRANTED && ev->kind != EV_ACT_DENIED && ev->kind != EV_ACT_LAPSED)
		return;
	k = find(w, &ev->u.act.id);
	if (k)
		k->state = ev->kind == EV_ACT_GRANTED  ? APPROVAL_USED
			   : ev->kind == EV_ACT_DENIED ? APPROVAL_DENIED
						       : APPROVAL_LAPSED;
}
