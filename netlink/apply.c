/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "apply.h"
#include "htb.h"
#include "nexthop.h"
#include "observe.h"
#include "qdisc.h"
#include "route.h"
#include "rule.h"

#define STATE_MIN 1024u
#define STATE_MAX (1u << 18)

static int put(struct nl *n, const struct nl_obj *o, struct err *e)
{
	switch (o->kind) {
	case NL_QDISC: return qdisc_htb_ensure(n, o->ifindex, e);
	case NL_CLASS: return htb_class_put(n, o->ifindex, &o->u.class, e);
	/* Looked up even for a change: what was ours when it was seen may not be now. */
	case NL_NEXTHOP: return nexthop_put(n, &o->u.nexthop, e);
	case NL_ROUTE: return route_put(n, &o->u.route, e);
	case NL_RULE: return rule_put(n, &o->u.rule, e);
	default: return err_set(e, -EINVAL, "step.kind: unknown");
	}
}

static int del(struct nl *n, const struct nl_obj *o, struct err *e)
{
	switch (o->kind) {
	case NL_QDISC: return qdisc_root_del(n, o->ifindex, e);
	case NL_CLASS: return htb_class_del(n, o->ifindex, o->u.class.minor, e);
	case NL_NEXTHOP: return nexthop_del(n, &o->u.nexthop, e);
	case NL_ROUTE: return route_del(n, &o->u.route, e);
	case NL_RULE: return rule_del(n, &o->u.rule, e);
	default: return err_set(e, -EINVAL, "step.kind: unknown");
	}
}

int apply_step(struct nl *n, const struct nl_step *s, struct err *e)
{
	if (!s->obj.ours)
		return err_set(e, -EINVAL, "step.obj: not ours");
	return s->op == NL_DEL ? del(n, &s->obj, e) : put(n, &s->obj, e);
}

int apply_steps(struct nl *n, const struct nl_step *s, size_t count, size_t *done, struct err *e)
{
	int r = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		r = apply_step(n, &s[i], e);
		if (r)
			break;
	}
	*done = i;
	return r;
}

static int answer(enum nl_diff d, const struct nl_diff_result *res, struct err *e)
{
	switch (d) {
	case NL_DIFF_OK: return 0;
	case NL_DIFF_BAD: return err_set(e, -EINVAL, "wanted[%zu]: %s", res->at, res->why);
	case NL_DIFF_DUPLICATE:
		return err_set(e, -EINVAL, "wanted[%zu]: the same object twice", res->at);
	case NL_DIFF_FOREIGN:
		return err_set(e, -EEXIST, "wanted[%zu]: an object that is not ours is there",
			       res->at);
	default: return err_set(e, -ENOSPC, "wanted: too many steps");
	}
}

static int see(struct nl *n, const uint32_t *ifindex, size_t n_if, struct nl_state **ret,
	       struct err *e)
{
	for (size_t cap = STATE_MIN;; cap *= 4) {
		struct nl_state *s = NULL;
		struct err why = { 0 };
		int r = state_new(&s, cap, e);

		if (r)
			return r;
		r = observe(n, ifindex, n_if, s, &why);
		if (!r) {
			*ret = s;
			return 0;
		}
		(void)state_free(s);
		if (r != -ENOSPC || cap >= STATE_MAX) {
			if (e && !e->code)
				*e = why;
			return r;
		}
	}
}

int apply_look(struct nl *n, const uint32_t *ifindex, size_t n_if, struct nl_obj *wanted,
	       size_t n_wanted, struct nl_step **ret, size_t *count, struct err *e)
{
	auto_free struct nl_step *step = NULL;
	struct nl_diff_result res = { 0 };
	struct nl_state *s = NULL;
	size_t cap;
	int r = see(n, ifindex, n_if, &s, e);

	if (r)
		return r;
	cap = n_wanted + s->n;
	step = calloc(cap ? cap : 1, sizeof(*step));
	r = step ? answer(nl_diff(wanted, n_wanted, s->obj, s->n, step, cap, &res), &res, e)
		 : err_set(e, -ENOMEM, "steps: out of memory");
	(void)state_free(s);
	if (r)
		return r;
	*count = res.n;
	*ret = TAKE_PTR(step);
	return 0;
}

int apply_wanted(struct nl *n, const uint32_t *ifindex, size_t n_if, struct nl_obj *wanted,
		 size_t n_wanted, size_t *done, struct err *e)
{
	auto_free struct nl_step *step = NULL;
	size_t count = 0, ran = 0;
	int r = apply_look(n, ifindex, n_if, wanted, n_wanted, &step, &count, e);

	r = r ? r : apply_steps(n, step, count, &ran, e);
	if (done)
		*done = ran;
	return r;
}
