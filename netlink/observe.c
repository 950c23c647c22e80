/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "observe.h"
#include "htb.h"
#include "nexthop.h"
#include "qdisc.h"
#include "route.h"
#include "rule.h"

int state_new(struct nl_state **ret, size_t cap, struct err *e)
{
	struct nl_state *s = calloc(1, sizeof(*s));

	if (s)
		s->obj = calloc(cap ? cap : 1, sizeof(*s->obj));
	if (!s || !s->obj) {
		(void)state_free(s);
		return err_set(e, -ENOMEM, "netlink state: out of memory");
	}
	s->cap = cap;
	*ret = s;
	return 0;
}

struct nl_state *state_free(struct nl_state *s)
{
	if (s)
		free(s->obj);
	free(s);
	return NULL;
}

static int push(struct nl_state *s, const struct nl_obj *o, struct err *e)
{
	if (s->n == s->cap)
		return err_set(e, -ENOSPC, "netlink state: more than %zu objects", s->cap);
	s->obj[s->n++] = *o;
	return 0;
}

static int device(struct nl *n, uint32_t ifindex, struct nl_state *s, struct err *e)
{
	struct nl_obj o = { .kind = NL_QDISC, .ifindex = ifindex };
	auto_free struct nl_class *c = NULL;
	enum qdisc_root root = QDISC_ROOT_DEFAULT;
	size_t count = 0, cap = s->cap - s->n;
	int r = qdisc_root(n, ifindex, &root, e);

	if (r || root == QDISC_ROOT_DEFAULT)
		return r;
	o.ours = root == QDISC_ROOT_OURS;
	r = push(s, &o, e);
	if (r || !o.ours)
		return r;
	c = calloc(cap, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "netlink state: out of memory");
	r = htb_class_list(n, ifindex, c, NULL, cap, &count, e);
	for (size_t i = 0; !r && i < count; i++) {
		memset(&o, 0, sizeof(o));
		o.kind = NL_CLASS;
		o.ours = true;
		o.ifindex = ifindex;
		o.u.class = c[i];
		r = push(s, &o, e);
	}
	return r;
}

static int all(struct nl *n, const uint32_t *ifindex, size_t n_if, struct nl_state *s,
	       struct err *e)
{
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; !r && i < n_if; i++)
		r = device(n, ifindex[i], s, e);
	if (!r)
		r = nexthop_list(n, s->obj + s->n, s->cap - s->n, &count, e);
	if (r)
		return r;
	s->n += count;
	r = route_list(n, 0, true, s->obj + s->n, s->cap - s->n, &count, e);
	if (r)
		return r;
	s->n += count;
	r = rule_list(n, s->obj + s->n, s->cap - s->n, &count, e);
	if (!r)
		s->n += count;
	return r;
}

int observe(struct nl *n, const uint32_t *ifindex, size_t n_if, struct nl_state *s, struct err *e)
{
	size_t at = 0;
	int r;

	s->n = 0;
	r = all(n, ifindex, n_if, s, e);
	if (r)
		s->n = 0;
	nl_obj_sort(s->obj, s->n);
	for (int k = 0; k <= NL_KIND_MAX_; k++) {
		while (at < s->n && s->obj[at].kind < k)
			at++;
		s->first[k] = at;
	}
	return r;
}
