/* SPDX-License-Identifier: Apache-2.0 */
/* Steps in an order in which every prefix is safe. Where a label goes away its line goes before its
 * classes: a class that still had packets would drop them. */
#include "oss_planning_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

struct maker {
	const struct oss_plan_in *in;
	struct plan *plan;
	bool full;
};

/* One label on one path at one rate: what the helpers below lay or remove. */
struct lay {
	const struct path_def *path,
		*other; /* other: the road that stays valid meanwhile, or NULL */
	uint32_t label;
	uint16_t minor;
	rate_t rate;
};

static struct step *add(struct maker *m, const name_t *node, enum step_kind kind, uint32_t label)
{
	struct plan_step *s;

	if (m->plan->n_steps == STEPS_MAX) {
		m->full = true;
		m->plan->n_steps = STEPS_MAX - 1; /* the caller fills it; the plan is refused */
	}
	s = &m->plan->step[m->plan->n_steps++];
	memset(s, 0, sizeof(*s));
	s->no = m->plan->n_steps;
	s->node = *node;
	s->step.kind = kind;
	s->step.label = label;
	return &s->step;
}

static bool name_eq(const name_t *a, const name_t *b)
{
	return memcmp(a->s, b->s, sizeof(a->s)) == 0;
}

static const struct hop *hop_at(const struct path_def *p, const name_t *node)
{
	for (unsigned i = 0; p && i < p->n_hops; i++)
		if (name_eq(&p->hop[i].node, node))
			return &p->hop[i];
	return NULL;
}

static bool uses(const struct path_def *p, const name_t *node, const name_t *device)
{
	const struct hop *h = hop_at(p, node);

	return h && (name_eq(&h->near, device) || name_eq(&h->far, device));
}

static uint64_t percent(rate_t r, unsigned pct)
{
	return r.bps / 100 * pct + r.bps % 100 * pct / 100;
}

static void class_set(struct maker *m, const struct lay *l, const struct hop *h, const name_t *dev)
{
	struct step *s = add(m, &h->node, STEP_CLASS_SET, l->label);

	s->device = *dev;
	s->minor = l->minor;
	s->rate = l->rate;
	s->ceil.bps = m->in->ceil_pct > 100 ? percent(l->rate, m->in->ceil_pct) : l->rate.bps;
	s->prio = m->in->prio;
}

static void classes_set(struct maker *m, const struct lay *l, const struct hop *h)
{
	class_set(m, l, h, &h->far);
	class_set(m, l, h, &h->near);
}

static bool is_end(const struct path_def *p, unsigned i)
{
	return i == 0 || i + 1u == p->n_hops;
}

static void ceiling_set(struct maker *m, const name_t *node)
{
	struct step *s = add(m, node, STEP_CEILING_SET, 0);

	s->ceiling = m->in->ceiling;
	s->rate = m->in->ceiling_rate;
	s->burst_ms = m->in->burst_ms;
}

/* Where a direction enters the network: what it must come from. */
static void bind_source(const struct maker *m, const struct lay *l, unsigned i, struct step *s)
{
	s->src_family = m->in->src_family;
	if (i == 0) {
		s->src_up_len = m->in->src_up_len;
		memcpy(s->src_up, m->in->src_up, sizeof(s->src_up));
	}
	if (i + 1u == l->path->n_hops) {
		s->src_down_len = m->in->src_down_len;
		memcpy(s->src_down, m->in->src_down, sizeof(s->src_down));
	}
}

/* Both ends police: the rate, what may pass above it while there is room, and all of it together
 * under the customer's ceiling. */
static void police(struct maker *m, const struct lay *l, unsigned i, struct step *s)
{
	s->rate.bps = percent(l->rate, m->in->police_pct);
	if (s->rate.bps && m->in->ceil_pct > 100)
		s->excess.bps = percent(l->rate, m->in->ceil_pct) - l->rate.bps;
	s->ceiling = m->in->ceiling;
	bind_source(m, l, i, s);
}

/* Bound to the devices that the path enters by; where the other road enters by another, to any. */
static void label_set(struct maker *m, const struct lay *l, unsigned i)
{
	const struct hop *h = &l->path->hop[i], *o = hop_at(l->other, &h->node);
	struct step *s;

	if (m->in->ceiling && is_end(l->path, i))
		ceiling_set(m, &h->node);
	s = add(m, &h->node, STEP_LABEL_SET, l->label);

	if (!o || name_eq(&o->near, &h->near))
		s->in_up = h->near;
	if (!o || name_eq(&o->far, &h->far))
		s->in_down = h->far;
	s->minor = l->minor;
	if (is_end(l->path, i))
		police(m, l, i, s);
	s->burst_ms = m->in->burst_ms;
	s->dscp = 255;
	s->valid_until = m->in->order.end;
}

static void steer_one(struct maker *m, const struct lay *l, unsigned i, enum dir dir, uint8_t path)
{
	const struct hop *h = &l->path->hop[i];
	bool last = dir == DIR_UP ? i + 1u == l->path->n_hops : i == 0;
	struct step *s;

	/* Where a direction leaves the path there is nothing to choose. */
	if (!h->steers || last)
		return;
	s = add(m, &h->node, STEP_STEER, l->label);
	s->dir = (uint8_t)dir;
	s->path = path;
}

static void steer(struct maker *m, const struct lay *l, unsigned i, uint8_t path)
{
	steer_one(m, l, i, DIR_DOWN, path);
	steer_one(m, l, i, DIR_UP, path);
}

static const struct hop *far_end(const struct path_def *p)
{
	return &p->hop[p->n_hops - 1];
}

static void probe(struct maker *m, const struct lay *l)
{
	for (unsigned i = 0; i + 1u < l->path->n_hops; i++) {
		if (!l->path->hop[i].steers)
			continue;
		add(m, &l->path->hop[i].node, STEP_PROBE, l->label)->path = l->path->path;
		return;
	}
}

static void overlap(struct maker *m, const struct lay *l)
{
	add(m, &l->path->hop[0].node, STEP_WAIT, l->label)->wait_ms = m->in->overlap_ms;
}

static void rules(struct maker *m, const struct lay *l, enum step_kind kind)
{
	for (unsigned k = 0; k < m->in->n_rules; k++) {
		struct step *s = add(m, &far_end(l->path)->node, kind, l->label);

		s->dir = DIR_DOWN;
		s->rule = m->in->rule[k];
		s->rule.dir = DIR_DOWN;
		s->rule.label = l->label;
	}
}

/* Far end first: by the time that a node may send the label on, the next one knows it. */
static void lay_new(struct maker *m, const struct lay *l)
{
	for (unsigned i = l->path->n_hops; i-- > 0;) {
		classes_set(m, l, &l->path->hop[i]);
		label_set(m, l, i);
		steer(m, l, i, l->path->path);
	}
	probe(m, l);
	rules(m, l, STEP_RULE_SET);
}

static void raise(struct maker *m, const struct lay *l)
{
	for (unsigned i = l->path->n_hops; i-- > 0;) {
		classes_set(m, l, &l->path->hop[i]);
		label_set(m, l, i);
	}
}

static void lower(struct maker *m, const struct lay *l)
{
	for (unsigned i = 0; i < l->path->n_hops; i++) {
		label_set(m, l, i);
		classes_set(m, l, &l->path->hop[i]);
	}
}

/* Its last agreement goes, and no replacement stands at this node. */
static bool ceiling_goes(const struct maker *m, const struct lay *l, unsigned i)
{
	const struct path_def *next = &m->in->path;
	const name_t *node = &l->path->hop[i].node;

	if (!m->in->ceiling || !m->in->ceiling_last || !is_end(l->path, i))
		return false;
	return m->in->order.action == ORDER_DELETE ||
	       (!name_eq(node, &next->hop[0].node) && !name_eq(node, &far_end(next)->node));
}

/* Takes the label off the path, but leaves what `keep` still uses. */
static void take_off(struct maker *m, const struct lay *l, const struct path_def *keep)
{
	for (unsigned i = 0; i < l->path->n_hops; i++) {
		const struct hop *h = &l->path->hop[i];
		const name_t *dev[] = { &h->far, &h->near };

		if (!hop_at(keep, &h->node)) {
			steer(m, l, i, 0);
			add(m, &h->node, STEP_LABEL_DEL, l->label);
			if (ceiling_goes(m, l, i))
				add(m, &h->node, STEP_CEILING_DEL, 0)->ceiling = m->in->ceiling;
		}
		for (unsigned d = 0; d < ARRAY_LEN(dev); d++) {
			struct step *s;

			if (uses(keep, &h->node, dev[d]))
				continue;
			s = add(m, &h->node, STEP_CLASS_DEL, l->label);
			s->device = *dev[d];
			s->minor = l->minor;
		}
	}
}

static void reroute(struct maker *m, struct lay l)
{
	const struct oss_plan_in *in = m->in;
	struct lay old = { &in->old_path, NULL, l.label, l.minor, in->order.old_g.bandwidth };
	rate_t final = l.rate;
	unsigned n = l.path->n_hops;

	l.other = &in->old_path;
	if (old.rate.bps > l.rate.bps)
		l.rate = old.rate; /* nothing is lowered while the old road carries traffic */
	for (unsigned i = n; i-- > 0;) {
		classes_set(m, &l, &l.path->hop[i]);
		label_set(m, &l, i);
		if (!hop_at(l.other, &l.path->hop[i].node))
			steer(m, &l, i, l.path->path);
	}
	probe(m, &l);
	for (unsigned i = n; i-- > 0;)
		if (hop_at(l.other, &l.path->hop[i].node))
			steer(m, &l, i, l.path->path);
	overlap(m, &l);
	l.other = NULL;
	l.rate = final;
	for (unsigned i = 0; i < n; i++) {
		label_set(m, &l, i);
		if (final.bps < old.rate.bps)
			classes_set(m, &l, &l.path->hop[i]);
	}
	take_off(m, &old, l.path);
}

static bool path_ok(const struct path_def *p, uint8_t id)
{
	return p->path == id && id != 0 && p->n_hops > 0 && p->n_hops <= HOPS_MAX;
}

static bool asks_v4(const struct oss_plan_in *in)
{
	for (unsigned k = 0; k < in->n_rules; k++)
		if (in->rule[k].family == 4)
			return true;
	return false;
}

/* The rule that the order breaks, or NULL. */
static const char *broken(const struct oss_plan_in *in)
{
	const struct order *o = &in->order;
	bool two = o->action == ORDER_REROUTE || o->action == ORDER_MIGRATE;

	if (o->action < ORDER_ADD || o->action > ORDER_DELETE)
		return "unknown action";
	if (o->label == 0 || o->label > LABEL_MAX || in->minor == 0)
		return "label or minor out of range";
	if (!path_ok(&in->path, o->path) || in->n_rules > OSS_RULES_MAX)
		return "path or rules out of range";
	if (in->ceiling && in->ceiling_rate.bps == 0)
		return "a ceiling has a rate";
	if (o->action != ORDER_DELETE && o->g.bandwidth.bps == 0)
		return "no bandwidth";
	if (o->action != ORDER_DELETE && in->no_v4 && asks_v4(in))
		return PATH_V4_RULE;
	if ((two || o->action == ORDER_DELETE) && in->overlap_ms <= 0)
		return "no overlap";
	if (two && !path_ok(&in->old_path, o->old_path))
		return "old path out of range";
	if (o->action == ORDER_MIGRATE && (o->label == o->old_label || in->minor == in->old_minor))
		return "a replacement has its own label and class";
	if (o->action == ORDER_REROUTE &&
	    (o->path == o->old_path || !name_eq(&in->path.hop[0].node, &in->old_path.hop[0].node) ||
	     !name_eq(&far_end(&in->path)->node, &far_end(&in->old_path)->node)))
		return "a reroute keeps both ends";
	return NULL;
}

static void compile(struct maker *m)
{
	const struct oss_plan_in *in = m->in;
	const struct order *o = &in->order;
	struct lay l = { &in->path, NULL, o->label, in->minor, o->g.bandwidth };
	struct lay old = { &in->old_path, NULL, o->old_label, in->old_minor, o->old_g.bandwidth };

	switch (o->action) {
	case ORDER_ADD: lay_new(m, &l); break;
	case ORDER_MODIFY:
		if (o->g.bandwidth.bps < o->old_g.bandwidth.bps)
			lower(m, &l);
		else
			raise(m, &l);
		break;
	case ORDER_REROUTE: reroute(m, l); break;
	case ORDER_MIGRATE:
		lay_new(m, &l);
		overlap(m, &l);
		take_off(m, &old, NULL);
		break;
	case ORDER_DELETE:
		rules(m, &l, STEP_RULE_DEL);
		overlap(m, &l);
		take_off(m, &l, NULL);
		break;
	}
}

void oss_plan_make(const struct oss_plan_in *in, struct oss_plan_out *out)
{
	const char *rule = broken(in);
	struct maker m = { in, &out->plan, false };

	memset(out, 0, sizeof(*out));
	if (rule) {
		out->refusal = REFUSE_ORDER_INVALID;
		why_rule(&out->why, rule);
		return;
	}
	out->plan.id = in->plan;
	out->plan.order = in->order.id;
	out->plan.lineage = in->order.lineage;
	out->plan.rev = in->order.rev;
	compile(&m);
	why_rule(&out->why, m.full ? "more steps than a plan holds" : "plan");
	if (m.full) {
		out->refusal = REFUSE_PLAN_INFEASIBLE;
		memset(&out->plan, 0, sizeof(out->plan));
	}
	why_num(&out->why, "action", in->order.action);
	why_num(&out->why, "label", in->order.label);
	why_num(&out->why, "path", in->order.path);
	why_num(&out->why, "steps", out->plan.n_steps);
}
