/* SPDX-License-Identifier: Apache-2.0 */
/* diff_core.c - wanted vs seen.
 *
 * Adds and changes come first, in the order of the sorted arrays, which is the order of dependence
 * (a device's qdisc, its root class, its leaves, routes, the rules that lead to them); deletes come
 * last, from the end backwards. So a rule never points to a table that is not filled yet, and what
 * carries traffic goes only when its successor stands. */
#include "diff_core.h"
#include "treaty/pure.h"

struct out {
	struct nl_step *step;
	size_t n, cap;
};

static bool emit(struct out *o, enum nl_op op, const struct nl_obj *obj)
{
	if (o->n == o->cap)
		return false;
	o->step[o->n].op = op;
	o->step[o->n++].obj = *obj;
	return true;
}

static enum nl_diff check(const struct nl_obj *wanted, size_t n, struct nl_diff_result *res)
{
	for (size_t i = 0; i < n; i++) {
		res->at = i;
		res->why = nl_obj_check(&wanted[i]);
		if (res->why)
			return NL_DIFF_BAD;
		if (i && !nl_obj_cmp(&wanted[i - 1], &wanted[i]))
			return NL_DIFF_DUPLICATE;
	}
	res->at = 0;
	return NL_DIFF_OK;
}

/* The seen objects of wanted's key, from *at on: several (ours and foreign) may share a key. */
static const struct nl_obj *find(const struct nl_obj *w, const struct nl_obj *seen, size_t n,
				 size_t *at, bool *foreign)
{
	const struct nl_obj *mine = NULL;

	*foreign = false;
	while (*at < n && nl_obj_cmp(&seen[*at], w) < 0)
		++*at;
	for (size_t i = *at; i < n && !nl_obj_cmp(&seen[i], w); i++) {
		if (seen[i].ours)
			mine = &seen[i];
		else
			*foreign = true;
	}
	return mine;
}

static enum nl_diff puts_(const struct nl_obj *wanted, size_t nw, const struct nl_obj *seen,
			  size_t ns, struct out *o, struct nl_diff_result *res)
{
	size_t at = 0;

	for (size_t i = 0; i < nw; i++) {
		bool foreign;
		const struct nl_obj *mine = find(&wanted[i], seen, ns, &at, &foreign);

		/* Rules of others live beside ours under the same key; all else collides. */
		if (foreign && wanted[i].kind != NL_RULE) {
			res->at = i;
			return NL_DIFF_FOREIGN;
		}
		if (mine && nl_obj_same(&wanted[i], mine))
			continue;
		if (!emit(o, mine ? NL_CHANGE : NL_ADD, &wanted[i]))
			return NL_DIFF_FULL;
	}
	return NL_DIFF_OK;
}

static enum nl_diff deletes(const struct nl_obj *wanted, size_t nw, const struct nl_obj *seen,
			    size_t ns, struct out *o)
{
	size_t at = nw;

	for (size_t i = ns; i-- > 0;) {
		while (at && nl_obj_cmp(&wanted[at - 1], &seen[i]) > 0)
			at--;
		if (!seen[i].ours || (at && !nl_obj_cmp(&wanted[at - 1], &seen[i])))
			continue;
		if (!emit(o, NL_DEL, &seen[i]))
			return NL_DIFF_FULL;
	}
	return NL_DIFF_OK;
}

enum nl_diff nl_diff(struct nl_obj *wanted, size_t n_wanted, struct nl_obj *seen, size_t n_seen,
		     struct nl_step *step, size_t cap, struct nl_diff_result *res)
{
	struct out o = { .step = step, .cap = cap };
	enum nl_diff r;

	memset(res, 0, sizeof(*res));
	nl_obj_sort(wanted, n_wanted);
	nl_obj_sort(seen, n_seen);
	r = check(wanted, n_wanted, res);
	if (r == NL_DIFF_OK)
		r = puts_(wanted, n_wanted, seen, n_seen, &o, res);
	if (r == NL_DIFF_OK)
		r = deletes(wanted, n_wanted, seen, n_seen, &o);
	if (r == NL_DIFF_OK)
		res->n = o.n;
	return r;
}
