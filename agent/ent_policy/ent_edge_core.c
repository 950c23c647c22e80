/* SPDX-License-Identifier: Apache-2.0 */
/* The edge starts to write a label only when everything behind the writing is in place, so the
 * rules come last on the way in and first on the way out. */
#include "ent_edge_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

struct edge {
	const struct ent_edge_in *in;
	struct ent_edge_out *out;
};

static struct step *add(struct edge *e, enum step_kind kind, uint32_t label)
{
	struct plan *p = &e->out->plan;
	struct plan_step *s = &p->step[p->n_steps];

	/* Bounded by construction: two labels and EDGE_RULES_MAX rules stay far below STEPS_MAX. */
	memset(s, 0, sizeof(*s));
	s->no = ++p->n_steps;
	s->node = e->in->node;
	s->step.kind = kind;
	s->step.label = label;
	return &s->step;
}

static rate_t local(const struct ent_edge_in *in)
{
	return in->local.bps ? in->local : in->order.g.bandwidth;
}

static void class_set(struct edge *e)
{
	struct step *s = add(e, STEP_CLASS_SET, e->in->order.label);

	s->device = e->in->access;
	s->minor = e->in->minor;
	s->rate = local(e->in);
	s->ceil = e->in->ceil.bps > s->rate.bps ? e->in->ceil : s->rate;
	s->prio = e->in->prio;
}

static void label_set(struct edge *e)
{
	struct step *s = add(e, STEP_LABEL_SET, e->in->order.label);

	s->in_up = e->in->lan;
	s->in_down = e->in->access;
	s->minor = e->in->minor;
	s->rate.bps = e->in->order.g.bandwidth.bps / 100 * e->in->police_pct;
	s->burst_ms = e->in->burst_ms;
	s->dscp = e->in->dscp;
	s->valid_until = e->in->order.end;
}

static void steer(struct edge *e)
{
	struct step *s = add(e, STEP_STEER, e->in->order.label);

	s->dir = DIR_UP;
	s->path = e->in->path;
}

static void rules(struct edge *e, uint32_t label)
{
	for (unsigned k = 0; k < e->in->n_rules && k < EDGE_RULES_MAX; k++) {
		struct step *s = add(e, STEP_RULE_SET, label);

		s->dir = e->in->rule[k].dir;
		s->rule = e->in->rule[k];
		s->rule.label = label;
	}
}

static void drain(struct edge *e)
{
	add(e, STEP_WAIT, 0)->wait_ms = e->in->drain_ms;
}

static void remove_label(struct edge *e, uint32_t label, uint16_t minor)
{
	struct step *s;

	add(e, STEP_LABEL_DEL, label);
	s = add(e, STEP_CLASS_DEL, label);
	s->device = e->in->access;
	s->minor = minor;
}

static void change(struct edge *e)
{
	if (e->in->order.g.bandwidth.bps < e->in->order.old_g.bandwidth.bps) {
		label_set(e);
		class_set(e);
	} else {
		class_set(e);
		label_set(e);
	}
}

static void enter(struct edge *e)
{
	class_set(e);
	label_set(e);
	steer(e);
	rules(e, e->in->order.label);
}

void ent_edge_steps(const struct ent_edge_in *in, struct ent_edge_out *out)
{
	struct edge e = { in, out };
	enum order_action action = in->order.action;

	memset(out, 0, sizeof(*out));
	out->plan.id = in->plan;
	out->plan.order = in->order.id;
	out->plan.lineage = in->order.lineage;
	out->plan.rev = in->order.rev;
	if (action < ORDER_ADD || action > ORDER_DELETE || in->order.label == 0 ||
	    in->order.label > LABEL_MAX || in->n_rules > EDGE_RULES_MAX ||
	    (action == ORDER_MIGRATE && in->order.old_label == in->order.label)) {
		out->refusal = REFUSE_ORDER_INVALID;
		why_rule(&out->why, "action, label or rules out of range");
		return;
	}
	if (action == ORDER_ADD || action == ORDER_MIGRATE)
		enter(&e);
	if (action == ORDER_MODIFY || action == ORDER_REROUTE)
		change(&e);
	if (action == ORDER_MIGRATE) {
		drain(&e);
		remove_label(&e, in->order.old_label, in->old_minor);
	}
	if (action == ORDER_DELETE) {
		rules(&e, 0);
		drain(&e);
		remove_label(&e, in->order.label, in->minor);
	}
	why_rule(&out->why, "edge steps");
	why_num(&out->why, "action", action);
	why_num(&out->why, "label", in->order.label);
	why_num(&out->why, "steps", out->plan.n_steps);
}
