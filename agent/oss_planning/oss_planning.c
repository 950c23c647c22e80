/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_planning.h"

#include "oss_debt.h"
#include "oss_exec.h"
#include "oss_swap.h"

#include <errno.h>

/* Too large for the stack; one order is planned at a time. */
static struct {
	struct side *s;
	struct oss_plan_in in;
	struct oss_plan_out out;
	struct oss_check_in check_in;
	struct oss_check_out check_out;
} pl;

/* An order that cannot be planned ends like a plan that could not be applied. A swap's order moves
 * no life: it is ended by a plan of no steps. */
static void infeasible(const struct deal *d, const char *rule, const why_t *why,
		       const struct decision *dec)
{
	struct cap_oss_planning cap = { pl.s->engine };
	struct ev_ref ref = { .deal = d->lineage, .about = d->order.id, .rev = d->order.rev };

	if (why)
		ref.why = *why;
	else
		str_cut(ref.why.s, rule);
	if (deal_swap(d, &d->order)) {
		struct plan none = { .id = pl.in.plan,
				     .order = d->order.id,
				     .lineage = d->lineage,
				     .rev = d->order.rev };
		struct ev_progress end = { .deal = d->lineage,
					   .plan = none.id,
					   .refusal = REFUSE_PLAN_INFEASIBLE,
					   .why = ref.why };

		if (tool_plan_commit(&cap, &none, dec, NULL) == REFUSE_NONE)
			(void)tool_order_close(&cap, &end, NULL, NULL);
		return;
	}
	(void)tool_plan_fail(&cap, &ref, dec, NULL);
}

static void plan(const struct deal *d)
{
	struct cap_oss_planning cap = { pl.s->engine };
	struct decision made = { "oss_plan_make", &oss_plan_in_fields, &oss_plan_out_fields, &pl.in,
				 &pl.out };
	struct decision checked = { "oss_plan_check", &oss_check_in_fields, &oss_check_out_fields,
				    &pl.check_in, &pl.check_out };
	enum refusal r;
	ident_t id;

	engine_id(&id, "pln");
	r = oss_gather_plan(pl.s, d, &id, &pl.in);
	if (r != REFUSE_NONE) {
		infeasible(d, refusal_text(r), NULL, NULL);
		return;
	}
	oss_plan_make(&pl.in, &pl.out);
	if (pl.out.refusal != REFUSE_NONE) {
		infeasible(d, NULL, &pl.out.why, &made);
		return;
	}
	oss_gather_check(pl.s, d, &pl.in, &pl.out.plan, &pl.check_in);
	oss_plan_check(&pl.check_in, &pl.check_out);
	if (pl.check_out.refusal != REFUSE_NONE) {
		infeasible(d, NULL, &pl.check_out.why, &checked);
		return;
	}
	if (tool_plan_commit(&cap, &pl.out.plan, &made, NULL) == REFUSE_NONE)
		oss_exec_run(d);
}

static void on_event(void *arg, const struct event *ev)
{
	const struct world *w = engine_world(pl.s->engine);
	const struct deal *d;

	(void)arg;
	switch (ev->kind) {
	case EV_ORDER_ACCEPTED:
		d = world_deal(w, &ev->u.ref.deal);
		if (d && d->has_order && ident_eq(d->order.id, ev->u.ref.about))
			plan(d);
		break;
	case EV_TERMINATED:
	case EV_EXPIRED:
		d = world_deal(w, &ev->u.ref.deal);
		if (d && d->has_plan)
			oss_exec_stop(d);
		break;
	default: break;
	}
}

int oss_planning_start(struct side *s, struct err *e)
{
	const struct world *w = engine_world(s->engine);

	pl.s = s;
	oss_exec_start(s);
	for (uint32_t i = 0; i < w->n_deals; i++)
		if (w->deal[i].has_plan)
			oss_exec_run(&w->deal[i]);
	if (engine_subscribe(s->engine, on_event, NULL))
		return err_set(e, -ENOSPC, "oss_planning: too many subscribers");
	if (oss_debt_start(s, e))
		return -EINVAL;
	return oss_swap_start(s, e);
}
