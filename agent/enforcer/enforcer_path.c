/* SPDX-License-Identifier: Apache-2.0 */
/* The static part of a path: its table, the rules that lead into it, and the SIDs that end here.
 * apply_wanted() takes away every route and rule of protocol 84 that is not in the set, so the set
 * is always built whole. */
#include "enforcer_int.h"
#include "netlink/apply.h"
#include "netlink/nexthop.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/srv6.h"

#include <errno.h>

#define PATH_OBJS 6 /* a nexthop, two routes, two rules by mark, one by source */
#define OBJS_MAX  (CFG_PATHS * PATH_OBJS + CFG_SIDS)
#define SEEN_MAX  512
#define LOCAL_MAX (2 * DP_OWNS)

#define TABLE_LOCAL 255

static struct nl_ip ip_of(const struct cfg_addr *a)
{
	struct nl_ip ip = { .family = a->family, .len = a->plen };

	memcpy(ip.b, a->b, sizeof(ip.b));
	return ip;
}

static struct nl_obj *add(struct nl_obj *o, size_t *n, enum nl_kind kind)
{
	struct nl_obj *x = &o[(*n)++];

	memset(x, 0, sizeof(*x));
	x->kind = (uint8_t)kind;
	x->ours = true;
	return x;
}

/* Out by the path's next hop: by itself, or by the object that stands for it. */
static struct nl_route out_by(const struct cfg_path *p, uint32_t oif, const struct nl_ip *dst)
{
	struct nl_route r = { .table = NL_PATH_TABLE(p->id), .dst = *dst };

	if (p->via == VIA_NEXTHOP) {
		r.nh_id = NL_PATH_NEXTHOP(p->id);
	} else {
		r.oif = oif;
		r.gw = ip_of(&p->nexthop6);
	}
	return r;
}

static void add_path(const struct cfg_path *p, uint32_t oif, struct nl_obj *o, size_t *n)
{
	struct nl_ip any = { .family = NL_V6 }, gw = ip_of(&p->nexthop6), src;
	uint8_t id = (uint8_t)p->id;
	struct nl_route *r;

	if (p->via == VIA_NEXTHOP)
		add(o, n, NL_NEXTHOP)->u.nexthop =
			(struct nl_nexthop){ .id = NL_PATH_NEXTHOP(id), .oif = oif, .gw = gw };
	r = &add(o, n, NL_ROUTE)->u.route;
	*r = out_by(p, oif, &any);
	r->metric = NL_METRIC_V6;
	add(o, n, NL_RULE)->u.rule = rule_path(NL_V6, id);
	if (p->probe_src.family == 6) {
		src = ip_of(&p->probe_src);
		add(o, n, NL_RULE)->u.rule = rule_probe(&src, id);
	}
	if (p->v4_prefix.family != 4)
		return;
	any = ip_of(&p->v4_prefix);
	if (p->v4_sid.family == 6) {
		uint8_t sid[1][16];

		memcpy(sid[0], p->v4_sid.b, 16);
		add(o, n, NL_ROUTE)->u.route =
			srv6_encap(NL_PATH_TABLE(id), &any, sid, 1, oif, &gw);
	} else {
		add(o, n, NL_ROUTE)->u.route = out_by(p, oif, &any);
	}
	add(o, n, NL_RULE)->u.rule = rule_path(NL_V4, id);
}

static uint32_t present(struct enforcer_node *n, const char *device)
{
	struct device *d = device_find(n, device);
	struct nl_link l;

	if (d)
		return d->link.up ? d->link.ifindex : 0;
	return !link_find(n->nl, device, &l, NULL) && l.up ? l.ifindex : 0;
}

static void add_sid(struct enforcer_node *n, const struct cfg_sid *s, struct nl_obj *o,
		    size_t *count)
{
	uint32_t oif = present(n, s->device);
	struct nl_ip nh = ip_of(&s->nh4);

	if (oif)
		add(o, count, NL_ROUTE)->u.route = srv6_end_dx(254, s->sid.b, &nh, oif);
}

/* Whether the kernel takes these routes; why not is said once. */
static bool takes(struct enforcer_node *n, uint32_t i, const struct nl_obj *o, size_t count)
{
	struct err e = { 0 };
	int r = 0;

	for (size_t k = 0; k < count && !r; k++)
		if (o[k].kind == NL_ROUTE)
			r = route_put(n->nl, &o[k].u.route, &e);
		else if (o[k].kind == NL_NEXTHOP)
			r = nexthop_put(n->nl, &o[k].u.nexthop, &e);
	if (r && !n->path_out[i])
		log_warn("path %u: left out for now: %s", n->c->path[i].id, e.text);
	n->path_out[i] = r != 0;
	return !r;
}

/* All that is wanted; with `sift`, without the paths whose routes the kernel does not take (a next
 * hop that has no address yet, a foreign route in the way): the others must not wait for them. */
static size_t wanted(struct enforcer_node *n, bool sift, struct nl_obj *o, bool *out)
{
	size_t count = 0;

	for (uint32_t i = 0; i < n->c->paths; i++) {
		const struct cfg_path *p = &n->c->path[i];
		uint32_t oif = p->device[0] ? present(n, p->device) : 0;
		size_t from = count;

		if (oif)
			add_path(p, oif, o, &count);
		if (sift && !takes(n, i, o + from, count - from)) {
			count = from;
			*out = true;
		} else if (!sift) {
			n->path_out[i] = false;
		}
	}
	for (uint32_t i = 0; i < n->c->sids; i++)
		add_sid(n, &n->c->sid[i], o, &count);
	return count;
}

/* --- direct redirect: beside the table, which takes what it leaves -------------------------------
 */

static bool redirects(const struct enforcer_node *n)
{
	for (uint32_t i = 0; i < n->c->paths; i++)
		if (n->c->path[i].via == VIA_REDIRECT && n->c->path[i].device[0])
			return true;
	return false;
}

bool redirects_asked(const struct enforcer_node *n, const struct nl_event *ev)
{
	return ev->obj.kind == NL_ROUTE && ev->obj.u.route.table == TABLE_LOCAL && redirects(n);
}

/* What the kernel's table `local` holds is for this host. */
static int own_apply(struct enforcer_node *n, struct err *e)
{
	auto_free struct nl_obj *o = calloc(LOCAL_MAX, sizeof(*o));
	auto_free struct dp_prefix *own = calloc(LOCAL_MAX, sizeof(*own));
	size_t count = 0, k = 0;
	int r = o && own ? 0 : err_set(e, -ENOMEM, "out of memory");

	r = r ? r : route_list(n->nl, TABLE_LOCAL, false, o, LOCAL_MAX, &count, e);
	for (size_t i = 0; !r && i < count; i++) {
		const struct nl_ip *ip = &o[i].u.route.dst;

		if (ip->family != NL_V6)
			continue;
		own[k].len = ip->len;
		memcpy(own[k++].addr, ip->b, sizeof(own->addr));
	}
	return r ? r : dp_own_set(n->dp, own, k, e);
}

static int redirect_apply(struct enforcer_node *n, const struct cfg_path *p, struct err *e)
{
	struct dp_redirect want = { .path = p->id, .ifindex = present(n, p->device) };

	if (!want.ifindex || n->path_out[p - n->c->path]) {
		dp_redirect_del(n->dp, p->id);
		return 0;
	}
	memcpy(want.gw, p->nexthop6.b, sizeof(want.gw));
	return dp_redirect_set(n->dp, &want, NULL, e);
}

static int redirects_apply(struct enforcer_node *n, struct err *e)
{
	int r = redirects(n) ? own_apply(n, e) : 0, first = r;

	for (uint32_t id = 1; id < DP_PATHS; id++) {
		const struct cfg_path *p = config_path(n->c, id);

		if (first || !p || p->via != VIA_REDIRECT || !p->device[0]) {
			dp_redirect_del(n->dp, id);
			continue;
		}
		r = redirect_apply(n, p, e);
		first = first ? first : r;
	}
	return first;
}

void redirects_stop(struct enforcer_node *n, uint32_t ifindex)
{
	struct dp_redirect r;

	for (uint32_t i = 0; i < n->c->paths; i++)
		if (!dp_redirect_get(n->dp, n->c->path[i].id, &r) && r.ifindex == ifindex)
			dp_redirect_del(n->dp, r.path);
}

int redirect_check(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p)
{
	const struct cfg_path *path = config_path(n->c, s->path);
	struct dp_redirect r;
	struct dp_label l;

	if (!path || path->via != VIA_REDIRECT)
		return 0;
	if (dp_redirect_get(n->dp, s->path, &r))
		return refuse(p, REFUSE_DEVICE_UNKNOWN,
			      "path %u: redirect: %s is not here, or not up", s->path,
			      path->device);
	if (!dp_label_get(n->dp, s->label, &l) && l.dir[s->dir].bind_ifindex == r.ifindex)
		return refuse(p, REFUSE_STEP_REFUSED,
			      "path %u: redirect: label %u comes in by %s itself", s->path,
			      s->label, path->device);
	return 0;
}

/* Its marks have no IPv4 table then: what is steered would leave by the host's own routes. */
bool path_lacks_v4(const struct enforcer_node *n, uint32_t path)
{
	const struct cfg_path *p = config_path(n->c, path);

	return p && p->device[0] && p->v4_prefix.family != 4;
}

/* --- applied, audited, removed -------------------------------------------------------------------
 */

static int tables_apply(struct enforcer_node *n, size_t *changed, bool *out, struct err *e)
{
	struct err mine = { 0 };
	struct nl_obj o[OBJS_MAX];
	bool said[CFG_PATHS];
	int r;

	*out = false;
	memcpy(said, n->path_out, sizeof(said));
	r = apply_wanted(n->nl, NULL, 0, o, wanted(n, false, o, out), changed, &mine);
	if (!r)
		return 0;
	memcpy(n->path_out, said, sizeof(said));
	return apply_wanted(n->nl, NULL, 0, o, wanted(n, true, o, out), changed, e);
}

/* Tables first: a redirect leaves to them what it cannot do. */
int paths_apply(struct enforcer_node *n, size_t *changed, bool *out, struct err *e)
{
	int r = tables_apply(n, changed, out, e);

	return r ? r : redirects_apply(n, e);
}

int paths_audit(struct enforcer_node *n, struct path_audit *ret, struct err *e)
{
	auto_free struct nl_obj *o = calloc(OBJS_MAX, sizeof(*o));
	bool said[CFG_PATHS], out = false;
	size_t count, keep = 0;
	int r;

	if (!o)
		return err_set(e, -ENOMEM, "out of memory");
	memcpy(said, n->path_out, sizeof(said));
	count = wanted(n, false, o, &out);
	memcpy(n->path_out, said, sizeof(said));
	r = apply_look(n->nl, NULL, 0, o, count, &ret->step, &ret->n_step, e);
	for (size_t i = 0; !r && i < count; i++) {
		bool step = false;

		for (size_t k = 0; k < ret->n_step && !step; k++)
			step = ret->step[k].op != NL_DEL && !nl_obj_cmp(&ret->step[k].obj, &o[i]);
		if (!step)
			o[keep++] = o[i];
	}
	if (r)
		return r;
	ret->n_ok = keep;
	ret->ok = TAKE_PTR(o);
	return 0;
}

int paths_remove(struct enforcer_node *n, struct err *e)
{
	return apply_wanted(n->nl, NULL, 0, NULL, 0, NULL, e);
}

bool path_here(const struct enforcer_node *n, uint8_t path)
{
	const struct cfg_path *p = config_path(n->c, path);

	return p && p->device[0];
}

int path_present(struct enforcer_node *n, uint8_t path, bool *ret, struct err *e)
{
	struct nl_obj *o = calloc(SEEN_MAX, sizeof(*o));
	struct nl_rule want = rule_path(NL_V6, path);
	size_t count = 0, rules = 0;
	bool rule = false;
	int r;

	if (!o)
		return err_set(e, -ENOMEM, "out of memory");
	r = rule_list(n->nl, o, SEEN_MAX, &rules, e);
	for (size_t i = 0; !r && i < rules; i++)
		rule = rule || (o[i].u.rule.family == NL_V6 && o[i].u.rule.mark == want.mark &&
				o[i].u.rule.table == want.table);
	if (!r)
		r = route_list(n->nl, NL_PATH_TABLE(path), true, o, SEEN_MAX, &count, e);
	free(o);
	if (!r)
		*ret = rule && count;
	return r;
}
