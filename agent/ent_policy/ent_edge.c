/* SPDX-License-Identifier: Apache-2.0 */
/* The enterprise's own edge: a revision in force becomes steps of the local node. Plan ids are
 * functions of lineage and revision, and the node answers a plan that it knows from its log, so
 * asking twice is harmless. */
#include "ent_int.h"

#include "agent/log.h"
#include "ent_edge_core.h"

#include <errno.h>
#include <stdio.h>

#define MINOR_FIRST  0x100
#define MINOR_SECOND 0x180 /* a replacement stands beside what it replaces */
#define BURST_MS     250
#define DRAIN_MS     300
#define DSCP_LEAVE   255

bool ent_edge_on(const struct ent *en)
{
	return en->s->cfg->daemon.roles & ROLE_NODE;
}

bool ent_edge_lowers(const struct deal *d)
{
	return d->cur.rev > 1 && d->cur.label == d->old.label &&
	       d->cur.g.bandwidth.bps < d->old.g.bandwidth.bps;
}

static void plan_id(const struct deal *d, ident_t *ret)
{
	char after[12] = "";

	/* A revision that is in effect again after a void one is another plan than the first time.
	 */
	if (d->last_rev != d->cur.rev)
		(void)snprintf(after, sizeof(after), "-%u", d->last_rev);
	memset(ret, 0, sizeof(*ret));
	(void)snprintf(ret->s, sizeof(ret->s), "pln%.20s-%s%u%s", d->cur.lineage.s + 3,
		       d->life == LIFE_TERMINATED ? "x" : "e", d->cur.rev, after);
}

/* The newest label line that the log wants here; NULL when it was removed or never was. */
static const struct wanted *line_of(const struct ent *en, uint32_t label)
{
	const struct step line = { .kind = STEP_LABEL_SET, .label = label };
	const struct wanted *x = world_wanted(en->w, &line);

	return x && x->step.kind == STEP_LABEL_SET ? x : NULL;
}

bool ent_edge_taken(const struct ent *en, const struct deal *d)
{
	const struct wanted *x = line_of(en, d->cur.label);
	ident_t id;

	if (d->life == LIFE_TERMINATED)
		return !x;
	plan_id(d, &id);
	return x && ident_eq(x->plan, id);
}

/* --- rules of a class ---------------------------------------------------------------------------
 */

static void rule_prefix(const struct cfg_addr *a, uint8_t to[16], uint8_t *len, uint8_t *family)
{
	if (!a->family)
		return;
	memcpy(to, a->b, a->family == 4 ? 4 : 16);
	*len = a->plen;
	*family = a->family;
}

/* Ids above those of rules by address. */
#define CGROUP_RULE 512

/* Whether the class says nothing of addresses: then it is its cgroup alone. */
static bool cgroup_alone(const struct cfg_class *c)
{
	return c->cgroup[0] && !c->proto && !c->dport.high && !c->src.family && !c->dst.family &&
	       !c->label_in;
}

static unsigned cgroup_rule(const struct cfg_class *c, struct flow_rule *r)
{
	*r = (struct flow_rule){ .id = CGROUP_RULE + c->id,
				 .dscp = DSCP_LEAVE,
				 .class_id = (uint8_t)c->id,
				 .dir = DIR_UP,
				 .cgroup = 1 };
	return c->cgroup[0] ? 1 : 0;
}

static unsigned rules_of(const struct cfg_class *c, struct flow_rule rule[EDGE_RULES_MAX])
{
	struct flow_rule r = { .id = c->id * 2,
			       .proto = (uint8_t)c->proto,
			       .dscp = DSCP_LEAVE,
			       .class_id = (uint8_t)c->id,
			       .dir = DIR_UP,
			       .dport_lo = (uint16_t)c->dport.low,
			       .dport_hi = (uint16_t)c->dport.high,
			       .label_in = c->label_in };

	if (cgroup_alone(c))
		return cgroup_rule(c, rule);
	rule_prefix(&c->src, r.src, &r.src_len, &r.family);
	rule_prefix(&c->dst, r.dst, &r.dst_len, &r.family);
	rule[0] = r;
	if (!c->dport.high)
		return 1 + cgroup_rule(c, rule + 1);
	/* The same class answered from here: it still travels upwards, from the port. */
	r.id++;
	r.sport_lo = r.dport_lo;
	r.sport_hi = r.dport_hi;
	r.dport_lo = r.dport_hi = 0;
	rule[1] = r;
	return 2 + cgroup_rule(c, rule + 2);
}

static uint8_t access_path(const struct config *c)
{
	for (uint32_t i = 0; i < c->paths; i++)
		if (!strcmp(c->path[i].device, c->enterprise.access))
			return (uint8_t)c->path[i].id;
	return 0;
}

/* --- a revision ---------------------------------------------------------------------------------
 */

static void fill_order(const struct deal *d, const struct wanted *known, struct order *o)
{
	const struct agreement *a = &d->cur;
	bool replaced = d->old.rev && d->old.label != a->label;

	*o = (struct order){ .lineage = a->lineage,
			     .rev = a->rev,
			     .agreement_digest = a->digest,
			     .action = ORDER_MODIFY,
			     .service = a->service,
			     .label = a->label,
			     .g = a->g,
			     .end = a->end };
	o->id = a->lineage;
	if (d->old.rev) {
		o->old_label = d->old.label;
		o->old_g = d->old.g;
	}
	if (d->life == LIFE_TERMINATED)
		o->action = ORDER_DELETE;
	else if (replaced)
		o->action = ORDER_MIGRATE;
	else if (!known)
		o->action = ORDER_ADD;
}

static uint16_t first_minor(uint32_t class_id)
{
	return (uint16_t)(MINOR_FIRST + class_id);
}

static void fill_minors(const struct ent *en, const struct deal *d, const struct wanted *known,
			uint32_t class_id, struct ent_edge_in *in)
{
	const struct wanted *old = d->old.rev ? line_of(en, d->old.label) : NULL;

	in->minor = known ? known->step.minor : first_minor(class_id);
	if (known || !old || d->old.label == d->cur.label)
		return;
	in->old_minor = old->step.minor;
	if (old->step.minor == in->minor)
		in->minor = (uint16_t)(MINOR_SECOND + class_id);
}

static int fill(struct ent *en, const struct deal *d, struct ent_edge_in *in)
{
	const struct config *c = en->s->cfg;
	const struct cfg_class *k = config_class(c, d->cur.class_name.s);
	const struct wanted *known = line_of(en, d->cur.label);

	memset(in, 0, sizeof(*in));
	if (!k)
		return -ENOENT;
	plan_id(d, &in->plan);
	str_cut(in->node.s, c->daemon.name);
	str_cut(in->lan.s, c->enterprise.lan);
	str_cut(in->access.s, c->enterprise.access);
	in->path = access_path(c);
	fill_order(d, known, &in->order);
	in->local = ent_spur_local(en, d);
	fill_minors(en, d, known, k->id, in);
	in->prio = (uint8_t)k->priority;
	in->dscp = k->dscp ? (uint8_t)k->dscp : DSCP_LEAVE;
	in->burst_ms = BURST_MS;
	in->drain_ms = DRAIN_MS;
	in->n_rules = (uint8_t)rules_of(k, in->rule);
	return 0;
}

static void no_done(void *arg, enum refusal r, const char *why)
{
	if (r != REFUSE_NONE)
		log_warn("%s: edge: %s: %s", (const char *)arg, refusal_name(r), why);
}

struct later {
	node_done_fn done;
	void *arg;
};

static void run_later(void *arg)
{
	struct later *l = arg;

	l->done(l->arg, REFUSE_NONE, "");
	free(l);
}

/* There is nothing to apply, and done may not run inside the call. */
static void nothing(struct ent *en, node_done_fn done, void *arg)
{
	struct later *l = done ? malloc(sizeof(*l)) : NULL;

	if (!l)
		return;
	*l = (struct later){ done, arg };
	engine_after_commit(en->s->engine, run_later, l);
}

void ent_edge_apply(struct ent *en, const struct deal *d, node_done_fn done, void *arg)
{
	struct ent_edge_in *in = malloc(sizeof(*in));
	struct ent_edge_out *out = malloc(sizeof(*out));
	struct err e = { 0 };
	int r = in && out ? 0 : -ENOMEM;

	if (!ent_edge_on(en) || ent_edge_taken(en, d)) {
		nothing(en, done, arg);
		goto out;
	}
	if (!r)
		r = fill(en, d, in);
	if (!r) {
		ent_edge_steps(in, out);
		if (out->refusal != REFUSE_NONE)
			r = err_set(&e, -EINVAL, "%s", out->why.s);
	}
	if (!r)
		r = node_apply(en->s, &out->plan, done ? done : no_done,
			       done ? arg : (void *)(uintptr_t) "edge", &e);
	if (r) {
		log_error("%s: edge: %s", d->cur.lineage.s, e.text[0] ? e.text : strerror(-r));
		nothing(en, done, arg);
	}
out:
	free(in);
	free(out);
}

/* --- watching -----------------------------------------------------------------------------------
 */

static bool known_rule(const struct ent *en, uint32_t id)
{
	const struct step rule = { .kind = STEP_RULE_SET, .rule.id = id };
	const struct wanted *x = world_wanted(en->w, &rule);

	return x && x->step.kind == STEP_RULE_SET;
}

/* Every class is counted from the start, with or without an agreement: demand shows there. */
int ent_edge_watch(struct ent *en, struct err *e)
{
	const struct config *c = en->s->cfg;
	struct flow_rule rule[EDGE_RULES_MAX];
	struct plan *p;
	int r = 0;

	if (!ent_edge_on(en))
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "edge");
	engine_id(&p->id, "pln");
	for (uint32_t i = 0; i < c->classes; i++) {
		unsigned n = rules_of(&c->class[i], rule);

		for (unsigned k = 0; k < n && p->n_steps < STEPS_MAX; k++) {
			struct plan_step *s = &p->step[p->n_steps];

			if (known_rule(en, rule[k].id))
				continue;
			s->no = ++p->n_steps;
			str_cut(s->node.s, c->daemon.name);
			s->step.kind = STEP_RULE_SET;
			s->step.dir = rule[k].dir;
			s->step.rule = rule[k];
		}
	}
	if (p->n_steps)
		r = node_apply(en->s, p, no_done, (void *)(uintptr_t) "watch", e);
	free(p);
	return r;
}
