/* SPDX-License-Identifier: Apache-2.0 */
/* Rules by cgroup. The step names the class; which cgroup that is says this node's configuration.
 */
#include "shaper.h"

#include <errno.h>

bool local_named(const struct enforcer_node *n, const struct step *s)
{
	struct dp_local l;

	if (s->kind == STEP_RULE_DEL)
		return !dp_local_get(n->dp, s->rule.id, &l);
	return s->kind == STEP_RULE_SET && s->rule.cgroup;
}

static const char *cgroup_of(const struct enforcer_node *n, uint32_t class_id)
{
	for (uint32_t i = 0; i < n->c->classes; i++)
		if (n->c->class[i].id == class_id && n->c->class[i].cgroup[0])
			return n->c->class[i].cgroup;
	return NULL;
}

/* What a rule by address may say, and this one may not. */
static const char *beside(const struct flow_rule *f)
{
	return f->family                   ? "family"
	       : f->proto                  ? "proto"
	       : f->src_len                ? "src"
	       : f->dst_len                ? "dst"
	       : f->sport_lo | f->sport_hi ? "sport"
	       : f->dport_lo | f->dport_hi ? "dport"
	       : f->dscp != 255            ? "dscp"
	       : f->label_in               ? "label_in"
	       : f->dir != DIR_UP          ? "dir down"
					   : NULL;
}

static int local_check(struct enforcer_node *n, const struct flow_rule *f, const char *cgroup,
		       struct enforcer_receipt *p)
{
	const char *what = beside(f);
	struct dp_rule by_address;

	if (f->cgroup > 1)
		return refuse(p, REFUSE_BODY_MALFORMED, "rule %u: cgroup: 0 or 1", f->id);
	if (what)
		return refuse(p, REFUSE_BODY_MALFORMED, "rule %u: %s: not with a cgroup", f->id,
			      what);
	if (!cgroup)
		return refuse(p, REFUSE_BODY_MALFORMED, "rule %u: cgroup: class %u has none here",
			      f->id, f->class_id);
	if (!dp_rule_get(n->dp, f->id, &by_address))
		return refuse(p, REFUSE_BODY_MALFORMED, "rule %u: cgroup: the rule is by address",
			      f->id);
	return f->label ? check_label(n, f->label, p) : 0;
}

static bool same(const struct dp_local *a, const struct dp_local *b)
{
	return a->label == b->label && a->class_id == b->class_id && !strcmp(a->path, b->path);
}

int local_step(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	const char *cgroup = cgroup_of(n, s->rule.class_id);
	struct dp_local want = { .rule = s->rule.id,
				 .label = s->rule.label,
				 .class_id = s->rule.class_id },
			seen;
	bool there = !dp_local_get(n->dp, s->rule.id, &seen), del = s->kind == STEP_RULE_DEL;
	enum refusal no = REFUSE_NONE;
	struct err e = { 0 };
	int r;

	if (!del && !cgroup && !n->dry)
		dp_local_del(n->dp, s->rule.id); /* the configuration took it away */
	if (!del && (local_check(n, &s->rule, cgroup, p) || p->refusal))
		return 0;
	if (!del)
		str_cut(want.path, cgroup);
	if (del ? !there : there && same(&want, &seen))
		return 0;
	if (n->dry)
		return would_change(p, there);
	r = 0;
	if (del)
		dp_local_del(n->dp, s->rule.id);
	else
		r = dp_local_set(n->dp, &want, &no, &e);
	if (r)
		return failed(p, r, no, &e);
	p->changed = 1;
	there = !dp_local_get(n->dp, s->rule.id, &seen);
	return del == there || (there && !same(&want, &seen)) ? differs(p, "rule") : 0;
}
