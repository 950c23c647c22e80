/* SPDX-License-Identifier: Apache-2.0 */
/* The twin: a model of what the nodes hold for one lineage, and a packet that walks it. A packet of
 * a live label must find on every node a line whose binding admits it, a class to leave by, and a
 * steer where there is a choice. What has been replaced counts until a wait has drained it. */
#include "oss_planning_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

struct line {
	name_t node, in[DIR_MAX_];
	uint32_t label;
	uint16_t minor, ceiling;
};

struct klass {
	name_t node, device;
	uint32_t label;
	uint16_t minor;
	uint64_t rate;
};

struct steering {
	name_t node;
	uint32_t label;
	uint8_t dir, path, draining; /* draining: the path before, until a wait */
};

struct emit {
	name_t node;
	uint32_t id, label, draining;
};

struct roof {
	name_t node;
	uint16_t ceiling;
};

struct twin {
	const struct oss_check_in *in;
	unsigned n_lines, n_classes, n_steers, n_rules, n_roofs;
	struct line line[2 * HOPS_MAX];
	struct klass klass[4 * HOPS_MAX];
	struct steering steer[4 * HOPS_MAX];
	struct emit rule[2 * OSS_RULES_MAX];
	struct roof roof[4];
	uint32_t up[2], probed; /* labels that the edge writes; paths probed, one bit each */
	bool full;
};

static bool name_eq(const name_t *a, const name_t *b)
{
	return memcmp(a->s, b->s, sizeof(a->s)) == 0;
}

static struct line *line_of(struct twin *t, const name_t *node, uint32_t label)
{
	for (unsigned i = 0; i < t->n_lines; i++)
		if (t->line[i].label == label && name_eq(&t->line[i].node, node))
			return &t->line[i];
	return NULL;
}

static struct klass *class_of(struct twin *t, const name_t *node, const name_t *dev, uint32_t label)
{
	for (unsigned i = 0; i < t->n_classes; i++)
		if (t->klass[i].label == label && name_eq(&t->klass[i].node, node) &&
		    name_eq(&t->klass[i].device, dev))
			return &t->klass[i];
	return NULL;
}

static struct steering *steer_of(struct twin *t, const name_t *node, uint32_t label, unsigned dir)
{
	for (unsigned i = 0; i < t->n_steers; i++)
		if (t->steer[i].label == label && t->steer[i].dir == dir &&
		    name_eq(&t->steer[i].node, node))
			return &t->steer[i];
	return NULL;
}

static void apply_line(struct twin *t, const struct plan_step *s)
{
	struct line *l = line_of(t, &s->node, s->step.label);

	if (s->step.kind == STEP_LABEL_DEL) {
		if (l)
			*l = t->line[--t->n_lines];
		return;
	}
	if (!l && t->n_lines == ARRAY_LEN(t->line)) {
		t->full = true;
		return;
	}
	if (!l)
		l = &t->line[t->n_lines++];
	*l = (struct line){ s->node,
			    { s->step.in_up, s->step.in_down },
			    s->step.label,
			    s->step.minor,
			    s->step.ceiling };
}

static struct roof *roof_of(struct twin *t, const name_t *node, uint16_t ceiling)
{
	for (unsigned i = 0; i < t->n_roofs; i++)
		if (t->roof[i].ceiling == ceiling && name_eq(&t->roof[i].node, node))
			return &t->roof[i];
	return NULL;
}

static void apply_roof(struct twin *t, const struct plan_step *s)
{
	struct roof *r = roof_of(t, &s->node, s->step.ceiling);

	if (s->step.kind == STEP_CEILING_DEL) {
		if (r)
			*r = t->roof[--t->n_roofs];
		return;
	}
	if (!r && t->n_roofs == ARRAY_LEN(t->roof)) {
		t->full = true;
		return;
	}
	if (!r)
		t->roof[t->n_roofs++] = (struct roof){ s->node, s->step.ceiling };
}

static const char *roofless(struct twin *t)
{
	for (unsigned i = 0; i < t->n_lines; i++)
		if (t->line[i].ceiling && !roof_of(t, &t->line[i].node, t->line[i].ceiling))
			return "a label under a ceiling that is not there";
	return NULL;
}

static void apply_class(struct twin *t, const struct plan_step *s)
{
	struct klass *c = class_of(t, &s->node, &s->step.device, s->step.label);

	if (s->step.kind == STEP_CLASS_DEL) {
		if (c)
			*c = t->klass[--t->n_classes];
		return;
	}
	if (!c && t->n_classes == ARRAY_LEN(t->klass)) {
		t->full = true;
		return;
	}
	if (!c)
		c = &t->klass[t->n_classes++];
	*c = (struct klass){ s->node, s->step.device, s->step.label, s->step.minor,
			     s->step.rate.bps };
}

static void apply_steer(struct twin *t, const struct plan_step *s)
{
	struct steering *e = steer_of(t, &s->node, s->step.label, s->step.dir);
	uint8_t before = e ? e->path : 0;

	if (!e && t->n_steers == ARRAY_LEN(t->steer)) {
		t->full = true;
		return;
	}
	if (!e)
		e = &t->steer[t->n_steers++];
	*e = (struct steering){ s->node, s->step.label, s->step.dir, s->step.path, before };
	if (before == s->step.path)
		e->draining = 0;
}

static void apply_rule(struct twin *t, const struct plan_step *s)
{
	uint32_t label = s->step.kind == STEP_RULE_SET ? s->step.rule.label : 0;
	unsigned i = 0;

	while (i < t->n_rules &&
	       (t->rule[i].id != s->step.rule.id || !name_eq(&t->rule[i].node, &s->node)))
		i++;
	if (i == ARRAY_LEN(t->rule)) {
		t->full = true;
		return;
	}
	if (i == t->n_rules)
		t->rule[t->n_rules++] = (struct emit){ s->node, s->step.rule.id, 0, 0 };
	if (t->rule[i].label != label)
		t->rule[i].draining = t->rule[i].label;
	t->rule[i].label = label;
}

static void drained(struct twin *t)
{
	const struct order *o = &t->in->plan_in.order;

	for (unsigned i = 0; i < t->n_steers; i++)
		t->steer[i].draining = 0;
	for (unsigned i = 0; i < t->n_rules; i++)
		t->rule[i].draining = 0;
	if (o->action == ORDER_MIGRATE)
		t->up[0] = 0;
	if (o->action == ORDER_DELETE)
		t->up[0] = 0;
}

static void apply(struct twin *t, const struct plan_step *s)
{
	switch (s->step.kind) {
	case STEP_LABEL_SET:
	case STEP_LABEL_DEL: apply_line(t, s); break;
	case STEP_CLASS_SET:
	case STEP_CLASS_DEL: apply_class(t, s); break;
	case STEP_STEER: apply_steer(t, s); break;
	case STEP_CEILING_SET:
	case STEP_CEILING_DEL: apply_roof(t, s); break;
	case STEP_RULE_SET:
	case STEP_RULE_DEL: apply_rule(t, s); break;
	case STEP_PROBE:
		if (s->step.path < 32)
			t->probed |= (uint32_t)1 << s->step.path;
		break;
	case STEP_WAIT:
		if (s->step.wait_ms > 0)
			drained(t);
		break;
	case STEP_KIND_MAX_: break;
	}
}

/* A packet on its way: which label, which direction, by which path it was last steered. */
struct packet {
	uint32_t label;
	enum dir dir;
	const struct path_def *path;
	unsigned hop, left; /* left: hops that it may still take */
};

static const struct path_def *path_by_id(const struct twin *t, uint8_t id)
{
	const struct oss_plan_in *p = &t->in->plan_in;

	if (id && p->path.path == id)
		return &p->path;
	return id && p->old_path.n_hops && p->old_path.path == id ? &p->old_path : NULL;
}

static int hop_on(const struct path_def *p, const name_t *node)
{
	for (int i = 0; p && i < p->n_hops; i++)
		if (name_eq(&p->hop[i].node, node))
			return i;
	return -1;
}

static const char *walk(struct twin *t, struct packet p);

/* Leaves the node by the device of the packet's path. */
static const char *leave(struct twin *t, struct packet p, const struct line *l)
{
	const struct hop *h = &p.path->hop[p.hop];
	const struct klass *c =
		class_of(t, &h->node, p.dir == DIR_UP ? &h->far : &h->near, p.label);
	const struct order *o = &t->in->plan_in.order;
	uint64_t least = o->g.bandwidth.bps;

	if (!c || c->minor != l->minor)
		return "no class on the way out";
	if (o->action != ORDER_ADD && o->old_g.bandwidth.bps &&
	    (p.label != o->label || o->old_g.bandwidth.bps < least))
		least = o->old_g.bandwidth.bps;
	if (c->rate < least)
		return "a class below the promise";
	if (p.dir == DIR_UP ? p.hop + 1u == p.path->n_hops : p.hop == 0)
		return NULL;
	p.hop = p.dir == DIR_UP ? p.hop + 1 : p.hop - 1;
	return walk(t, p);
}

static const char *steered(struct twin *t, struct packet p, const struct line *l, uint8_t id)
{
	const name_t *node = &p.path->hop[p.hop].node;
	int i;

	p.path = path_by_id(t, id);
	i = hop_on(p.path, node);
	if (i < 0)
		return "steered onto a path that is not there";
	p.hop = (unsigned)i;
	return leave(t, p, l);
}

static const char *walk(struct twin *t, struct packet p)
{
	const struct hop *h = &p.path->hop[p.hop];
	const struct line *l = line_of(t, &h->node, p.label);
	const name_t *dev = p.dir == DIR_UP ? &h->near : &h->far;
	bool last = p.dir == DIR_UP ? p.hop + 1u == p.path->n_hops : p.hop == 0;
	const struct steering *e;
	const char *bad;

	if (p.left-- == 0)
		return "a loop";
	if (!l)
		return "a node does not know the label";
	if (l->in[p.dir].s[0] && !name_eq(&l->in[p.dir], dev))
		return "a binding does not admit the label";
	if (!h->steers || last)
		return leave(t, p, l);
	e = steer_of(t, &h->node, p.label, p.dir);
	if (!e || e->path == 0)
		return "no steer where there is a choice";
	bad = steered(t, p, l, e->path);
	return bad || e->draining == 0 ? bad : steered(t, p, l, e->draining);
}

static const char *walk_label(struct twin *t, uint32_t label, enum dir dir)
{
	const struct oss_plan_in *in = &t->in->plan_in;
	bool old = in->order.action == ORDER_MIGRATE && label == in->order.old_label;
	struct packet p = { .label = label, .dir = dir, .left = 2 * HOPS_MAX };

	p.path = old ? &in->old_path : &in->path;
	p.hop = dir == DIR_UP ? 0 : p.path->n_hops - 1u;
	/* An in-place swap keeps both ends, but not their devices: enter by the road in use. */
	if (in->order.action == ORDER_REROUTE)
		p.path = &in->old_path;
	if (in->order.action == ORDER_REROUTE && dir == DIR_DOWN)
		p.hop = in->old_path.n_hops - 1u;
	return walk(t, p);
}

static const char *walk_all(struct twin *t)
{
	const char *bad = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(t->up) && !bad; i++)
		if (t->up[i])
			bad = walk_label(t, t->up[i], DIR_UP);
	for (unsigned i = 0; i < t->n_rules && !bad; i++) {
		if (t->rule[i].label)
			bad = walk_label(t, t->rule[i].label, DIR_DOWN);
		if (!bad && t->rule[i].draining)
			bad = walk_label(t, t->rule[i].draining, DIR_DOWN);
	}
	return bad;
}

/* Only what grows is asked: nobody is kept from giving back. */
static const char *promises(struct twin *t, const struct plan_step *s)
{
	uint64_t sum;

	if (s->step.kind != STEP_CLASS_SET)
		return NULL;
	for (unsigned i = 0; i < t->in->n_devices && i < OSS_DEVICES_MAX; i++) {
		const struct oss_device *d = &t->in->device[i];

		if (!name_eq(&d->node, &s->node) || !name_eq(&d->device, &s->step.device))
			continue;
		sum = d->reserved.bps;
		for (unsigned k = 0; k < t->n_classes; k++)
			if (name_eq(&t->klass[k].node, &d->node) &&
			    name_eq(&t->klass[k].device, &d->device))
				sum += t->klass[k].rate;
		if (sum > d->capacity.bps / 1000 * t->in->limit)
			return "a device would promise more than it has";
	}
	return NULL;
}

static const char *shift(const struct twin *t, const struct plan_step *s)
{
	const struct oss_plan_in *in = &t->in->plan_in;

	if (in->order.action != ORDER_REROUTE || s->step.kind != STEP_STEER ||
	    s->step.path != in->path.path || s->step.path >= 32 ||
	    hop_on(&in->old_path, &s->node) < 0)
		return NULL;
	return t->probed >> s->step.path & 1 ? NULL : "shifted before the path was probed";
}

/* The state before the plan is what laying the old agreement anew would leave. */
static const char *before(struct twin *t, struct oss_plan_out *scratch)
{
	struct oss_plan_in in = t->in->plan_in;
	enum order_action action = in.order.action;

	if (action == ORDER_ADD)
		return NULL;
	if (action == ORDER_MIGRATE) {
		in.order.label = in.order.old_label;
		in.minor = in.old_minor;
	}
	if (action == ORDER_MIGRATE || action == ORDER_REROUTE) {
		in.path = in.old_path;
		in.order.path = in.order.old_path;
	}
	if (action != ORDER_DELETE)
		in.order.g = in.order.old_g;
	in.order.action = ORDER_ADD;
	oss_plan_make(&in, scratch);
	if (scratch->refusal != REFUSE_NONE)
		return "the state before cannot be modelled";
	for (unsigned i = 0; i < scratch->plan.n_steps; i++)
		apply(t, &scratch->plan.step[i]);
	t->up[0] = in.order.label;
	for (unsigned i = 0; i < t->n_steers; i++)
		t->steer[i].draining = 0;
	t->probed = 0;
	return walk_all(t);
}

static const char *step_through(struct twin *t, uint16_t *at)
{
	const struct plan *p = &t->in->plan;
	const struct order *o = &t->in->plan_in.order;
	const char *bad = NULL;

	for (unsigned i = 0; i < p->n_steps && i < STEPS_MAX && !bad; i++) {
		const struct plan_step *s = &p->step[i];

		*at = (uint16_t)(i + 1);
		bad = s->no == i + 1 ? shift(t, s) : "steps out of number";
		/* The edge switches to the new label when the wait begins, not before. */
		if (s->step.kind == STEP_WAIT && o->action == ORDER_MIGRATE) {
			t->up[1] = o->label;
			bad = bad ? bad : walk_all(t);
		}
		apply(t, s);
		if (!bad && t->full)
			bad = "the model is full";
		if (!bad)
			bad = promises(t, s);
		if (!bad)
			bad = roofless(t);
		if (!bad)
			bad = walk_all(t);
	}
	if (!bad && (o->action == ORDER_ADD || o->action == ORDER_MIGRATE)) {
		t->up[1] = o->label;
		bad = walk_all(t);
	}
	return bad;
}

void oss_plan_check(const struct oss_check_in *in, struct oss_check_out *out)
{
	struct twin t = { .in = in };
	struct oss_plan_out scratch;
	const char *bad;

	memset(out, 0, sizeof(*out));
	oss_plan_make(&in->plan_in, &scratch);
	bad = scratch.refusal == REFUSE_NONE ? before(&t, &scratch) : "the order is not valid";
	if (!bad)
		bad = step_through(&t, &out->at);
	out->refusal = bad ? REFUSE_PLAN_INFEASIBLE : REFUSE_NONE;
	why_rule(&out->why, bad ? bad : "every prefix is safe");
	why_num(&out->why, "at", out->at);
	why_num(&out->why, "steps", in->plan.n_steps);
	if (!bad)
		out->at = 0;
}
