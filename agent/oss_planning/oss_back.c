/* SPDX-License-Identifier: Apache-2.0 */
/* The way back. What stood before is known exactly: it is the plan that would add what was applied
 * last. A step over an object that stood before puts that back; any other object goes. */
#include "oss_exec.h"

#include <stdio.h>

static const struct step *last_of(const struct plan *p, uint16_t n, const struct plan_step *s)
{
	for (uint16_t i = n; i-- > 0;)
		if (ident_eq(p->step[i].node, s->node) &&
		    step_same_object(&p->step[i].step, &s->step))
			return &p->step[i].step;
	return NULL;
}

/* False: nothing to do, the object did not stand before and does not now. */
static bool inverse(const struct step *s, struct step *ret)
{
	*ret = *s;
	switch (s->kind) {
	case STEP_LABEL_SET: ret->kind = STEP_LABEL_DEL; return true;
	case STEP_CLASS_SET: ret->kind = STEP_CLASS_DEL; return true;
	case STEP_RULE_SET: ret->kind = STEP_RULE_DEL; return true;
	case STEP_CEILING_SET: ret->kind = STEP_CEILING_DEL; return true;
	case STEP_STEER: ret->path = 0; return true;
	default: return false;
	}
}

static void push(struct plan *p, const name_t *node, const struct step *s)
{
	struct plan_step *to = &p->step[p->n_steps];

	if (p->n_steps == STEPS_MAX)
		return;
	*to = (struct plan_step){ .no = (uint16_t)(p->n_steps + 1), .node = *node, .step = *s };
	p->n_steps++;
}

/* The object as it was just before step i (from 0) of the plan. */
static void one_back(const struct plan *before, const struct plan *p, uint16_t i, struct plan *ret)
{
	const struct plan_step *s = &p->step[i];
	const struct step *was = last_of(p, i, s);
	struct step undo;

	if (!was)
		was = last_of(before, before->n_steps, s);
	if (was)
		push(ret, &s->node, was);
	else if (inverse(&s->step, &undo))
		push(ret, &s->node, &undo);
}

void oss_back_plan(const struct side *s, const struct deal *d, uint16_t last, struct plan *ret)
{
	auto_free struct oss_plan_in *in = calloc(1, sizeof(*in));
	auto_free struct oss_plan_out *before = calloc(1, sizeof(*before));
	const struct step drain = { .kind = STEP_WAIT, .wait_ms = s->cfg->op.overlap_ms };
	const name_t nobody = { "" };
	bool steered = false;

	*ret = (struct plan){ .order = d->plan.order,
			      .lineage = d->plan.lineage,
			      .rev = d->plan.rev };
	(void)snprintf(ret->id.s, sizeof(ret->id.s), "%.40s-undo", d->plan.id.s);
	if (!in || !before)
		return;
	if (oss_gather_before(s, d, in))
		oss_plan_make(in, before);
	for (uint16_t i = last; i-- > 0;) {
		const struct plan_step *p = &d->plan.step[i];

		if (p->step.kind == STEP_WAIT || p->step.kind == STEP_PROBE)
			continue;
		/* Packets are still on the road that traffic was just taken from. */
		if (steered && p->step.kind != STEP_STEER && d->applied.rev) {
			push(ret, &nobody, &drain);
			steered = false;
		}
		steered = steered || p->step.kind == STEP_STEER;
		one_back(&before->plan, &d->plan, i, ret);
	}
}
