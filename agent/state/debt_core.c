/* SPDX-License-Identifier: Apache-2.0 */
/* Removals that a silent node owes: one row an object, the newest word counts. */
#include "world.h"
#include "treaty/pure.h"

static bool same(const struct debt *d, const struct plan_step *s)
{
	return ident_eq(d->step.node, s->node) && step_same_object(&d->step.step, &s->step);
}

/* Room is needed for an object that no row speaks of yet. */
static bool has_room(const struct world *w, const struct plan_step *s)
{
	for (uint32_t i = 0; i < w->n_debts; i++)
		if (same(&w->debt[i], s))
			return true;
	return w->n_debts < WORLD_DEBTS_MAX;
}

enum refusal debt_guard(const struct world *w, const struct event *ev)
{
	const struct plan *p = &ev->u.plan;
	const struct plan_step *s = &p->step[0];

	if (p->n_steps != 1 || s->step.kind == STEP_WAIT || s->step.kind == STEP_PROBE ||
	    s->step.kind >= STEP_KIND_MAX_ || ident_empty(s->node))
		return REFUSE_BODY_MALFORMED;
	if (ev->kind == EV_REMOVAL_OWED)
		return has_room(w, s) ? REFUSE_NONE : REFUSE_LIMIT_REACHED;
	for (uint32_t i = 0; i < w->n_debts; i++)
		if (same(&w->debt[i], s) && ident_eq(w->debt[i].plan, p->id))
			return REFUSE_NONE;
	return REFUSE_WRONG_STATE;
}

static void drop(struct world *w, const struct plan_step *s)
{
	for (uint32_t i = w->n_debts; i-- > 0;)
		if (same(&w->debt[i], s)) {
			w->n_debts--;
			memmove(&w->debt[i], &w->debt[i + 1],
				(w->n_debts - i) * sizeof(w->debt[0]));
		}
}

void debt_fold(struct world *w, const struct event *ev)
{
	const struct plan *p = &ev->u.plan;

	if (ev->kind != EV_REMOVAL_OWED && ev->kind != EV_REMOVAL_SETTLED &&
	    ev->kind != EV_PLAN_COMMITTED)
		return;
	for (uint16_t i = 0; i < p->n_steps; i++)
		drop(w, &p->step[i]);
	if (ev->kind == EV_REMOVAL_OWED)
		w->debt[w->n_debts++] = (struct debt){ .plan = p->id,
						       .order = p->order,
						       .lineage = p->lineage,
						       .rev = p->rev,
						       .step = p->step[0] };
}
