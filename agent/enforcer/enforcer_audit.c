/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel holds of ours that no step speaks of (programs, ports, roots, queues, classes,
 * routes, rules), beside what it should hold; and taking away what nobody needs. A foreign program
 * on our hooks is told, never touched. */
#include "shaper.h"
#include "netlink/apply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct audit {
	struct enforcer_node *n;
	struct enforcer_findings *out;
	uint32_t skip, seen; /* those of earlier pages; all so far */
};

static void printf_like(4, 5)
	found(struct audit *a, enum audit_state state, const char *kind, const char *fmt, ...)
{
	struct enforcer_finding *f;
	va_list ap;

	if (a->seen++ < a->skip)
		return;
	if (a->out->n == ENFORCER_FINDINGS_MAX) {
		a->out->more = 1;
		return;
	}
	f = &a->out->finding[a->out->n++];
	f->state = (uint32_t)state;
	(void)snprintf(f->kind, sizeof(f->kind), "%s", kind);
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/* --- devices, ports and programs ---------------------------------------------------------------
 */

static void audit_hook(struct audit *a, const struct device *d, bool out)
{
	struct dp_hooked h[DP_HOOKED_MAX];
	size_t count = 0;
	bool ours = false;

	if (dp_hooked(a->n->dp, d->link.ifindex, out, h, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		if (h[i].ours)
			ours = true;
		else
			found(a, AUDIT_FOREIGN, "program", "%s %s: %u %s, %s ours", d->cfg->name,
			      out ? "egress" : "ingress", h[i].id, h[i].name,
			      ours ? "after" : "before");
	}
	found(a, ours ? AUDIT_OK : AUDIT_MISSING, "program", "%s %s", d->cfg->name,
	      out ? "egress" : "ingress");
}

static void audit_device(struct audit *a, const struct device *d)
{
	if (!d->link.ifindex) {
		found(a, AUDIT_MISSING, "device", "%s", d->cfg->name);
		return;
	}
	found(a, AUDIT_OK, "device", "%s ifindex %u", d->cfg->name, d->link.ifindex);
	if (d->cfg->role != DEVICE_LOCAL) {
		audit_hook(a, d, false);
		audit_hook(a, d, true);
	}
	if (d->rate.bps)
		found(a, d->shaped && d->shaper->stands(a->n, d) ? AUDIT_OK : AUDIT_MISSING,
		      "qdisc", "%s %s", d->cfg->name, d->shaper ? d->shaper->name : "root");
}

static bool port_wanted(struct enforcer_node *n, uint32_t ifindex)
{
	const struct device *d = device_at(n, ifindex);

	return d && d->cfg->role != DEVICE_LOCAL;
}

static void audit_ports(struct audit *a)
{
	for (uint32_t i = 0; (i = dp_port_next(a->n->dp, i));)
		found(a, port_wanted(a->n, i) ? AUDIT_OK : AUDIT_ORPHAN, "port", "ifindex %u", i);
}

/* --- classes and queues ------------------------------------------------------------------------
 */

static void audit_classes(struct audit *a, const struct device *d)
{
	struct enforcer_node *n = a->n;
	uint32_t seen = 0;
	size_t count = 0;

	if (!d->shaped || device_classes(n, d, &count, NULL))
		return;
	for (size_t i = 0; i < count; i++) {
		uint32_t minor = n->classes[i].minor;

		if (minor < HTB_LABEL_BASE)
			continue;
		seen += class_wanted(d, minor);
		found(a, class_wanted(d, minor) ? AUDIT_OK : AUDIT_ORPHAN, "class",
		      "%s 54:%x rate %llu ceil %llu", d->cfg->name, minor,
		      (unsigned long long)n->classes[i].rate.bps,
		      (unsigned long long)n->classes[i].ceil.bps);
	}
	for (uint32_t m = 0; seen < d->n_classes && (m = class_next(d, m));) {
		bool there = false;

		for (size_t i = 0; i < count && !there; i++)
			there = n->classes[i].minor == m;
		if (!there && !class_policed(d, m))
			found(a, AUDIT_MISSING, "class", "%s 54:%x", d->cfg->name, m);
	}
}

static bool queue_wanted(struct enforcer_node *n, const struct dp_queue *q)
{
	const struct device *d = device_at(n, q->ifindex);

	return d && d->shaped &&
	       (q->minor == HTB_DEFAULT ? d->shaper == &shaper_edt : class_wanted(d, q->minor));
}

static void audit_queues(struct audit *a)
{
	struct dp_queue q;

	for (uint32_t at = 0; (at = dp_shape_walk(a->n->dp, at, &q));)
		found(a, queue_wanted(a->n, &q) ? AUDIT_OK : AUDIT_ORPHAN, "queue",
		      "ifindex %u 54:%x rate %llu packets %llu drops %llu marks %llu", q.ifindex,
		      q.minor, (unsigned long long)q.rate.bps, (unsigned long long)q.packets,
		      (unsigned long long)q.drops, (unsigned long long)q.marks);
}

/* What the labels name and what is there: a label under a ceiling that is gone is not held by it.
 */
static void audit_ceilings(struct audit *a)
{
	struct dp_ceiling c;

	for (uint32_t i = 1; i < DP_CEILINGS; i++) {
		bool there = !dp_ceiling_get(a->n->dp, i, &c);

		if (there)
			found(a, AUDIT_OK, "ceiling", "%u rate %llu labels %u", i,
			      (unsigned long long)c.rate[0].bps, a->n->under[i]);
		else if (a->n->under[i])
			found(a, AUDIT_MISSING, "ceiling", "%u labels %u", i, a->n->under[i]);
	}
}

/* --- routes and rules --------------------------------------------------------------------------
 */

static const char *ip_text(const struct nl_ip *ip, char buf[INET6_ADDRSTRLEN])
{
	if (ip->family == NL_NONE ||
	    !inet_ntop(ip->family == NL_V4 ? AF_INET : AF_INET6, ip->b, buf, INET6_ADDRSTRLEN))
		return "any";
	return buf;
}

static void tell_object(struct audit *a, enum audit_state state, const struct nl_obj *o)
{
	char b1[INET6_ADDRSTRLEN];

	if (o->kind == NL_NEXTHOP)
		found(a, state, "nexthop", "id %u oif %u via %s", o->u.nexthop.id, o->u.nexthop.oif,
		      ip_text(&o->u.nexthop.gw, b1));
	else if (o->kind == NL_ROUTE)
		found(a, state, "route", "table %u %s/%u oif %u encap %u", o->u.route.table,
		      ip_text(&o->u.route.dst, b1), o->u.route.dst.len, o->u.route.oif,
		      o->u.route.encap);
	else if (o->kind == NL_RULE)
		found(a, state, "rule", "priority %u mark %x/%x from %s table %u",
		      o->u.rule.priority, o->u.rule.mark, o->u.rule.mask,
		      ip_text(&o->u.rule.src, b1), o->u.rule.table);
}

static void audit_redirects(struct audit *a)
{
	for (uint32_t i = 1; i < DP_PATHS; i++) {
		const struct cfg_path *p = config_path(a->n->c, i);
		bool wanted = p && p->via == VIA_REDIRECT && p->device[0];
		char gw[INET6_ADDRSTRLEN] = "";
		struct dp_redirect r;

		if (dp_redirect_get(a->n->dp, i, &r)) {
			if (wanted)
				found(a, AUDIT_MISSING, "redirect", "path %u by %s", i, p->device);
			continue;
		}
		(void)inet_ntop(AF_INET6, r.gw, gw, sizeof(gw));
		found(a, wanted ? AUDIT_OK : AUDIT_ORPHAN, "redirect",
		      "path %u oif %u via %s packets %llu back %llu loops %llu", i, r.ifindex, gw,
		      (unsigned long long)r.packets, (unsigned long long)r.back,
		      (unsigned long long)r.loops);
	}
}

static int audit_paths(struct audit *a, struct err *e)
{
	struct path_audit p = { 0 };
	int r = paths_audit(a->n, &p, e);

	for (size_t i = 0; !r && i < p.n_ok; i++)
		tell_object(a, AUDIT_OK, &p.ok[i]);
	for (size_t i = 0; !r && i < p.n_step; i++)
		tell_object(a,
			    p.step[i].op == NL_ADD      ? AUDIT_MISSING
			    : p.step[i].op == NL_CHANGE ? AUDIT_DIFFERS
							: AUDIT_ORPHAN,
			    &p.step[i].obj);
	free(p.ok);
	free(p.step);
	return r;
}

int show_findings(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	const struct enforcer_cursor *q = req;
	struct audit a = { .n = n, .out = rep, .skip = q->a };
	int r;

	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	for (uint32_t i = 0; i < n->n_dev; i++)
		audit_device(&a, &n->dev[i]);
	audit_ports(&a);
	for (uint32_t i = 0; i < n->n_dev; i++)
		audit_classes(&a, &n->dev[i]);
	audit_queues(&a);
	audit_ceilings(&a);
	audit_redirects(&a);
	r = audit_paths(&a, e);
	a.out->next = q->a + a.out->n;
	return r;
}

/* --- taking away what nobody needs -------------------------------------------------------------
 */

static uint32_t gc_classes(struct enforcer_node *n, struct device *d)
{
	uint32_t gone = 0;
	size_t count = 0;

	if (!d->shaped || device_classes(n, d, &count, NULL))
		return 0;
	for (size_t i = count;
	     i-- > 0;) { /* customers, whose minors are high, after their leaves */
		uint32_t minor = n->classes[i].minor;

		if (minor >= HTB_LABEL_BASE && !htb_inner(minor) && !class_wanted(d, minor))
			gone += !d->shaper->del(n, d, minor, NULL);
	}
	for (size_t i = 0; i < count; i++) {
		uint32_t minor = n->classes[i].minor;

		if (minor >= HTB_LABEL_BASE && htb_inner(minor) && !class_wanted(d, minor))
			gone += !d->shaper->del(n, d, minor, NULL);
	}
	return gone;
}

int on_gc(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_gc *p = rep;
	struct dp_queue q;
	size_t changed = 0;
	bool out = false;
	int r;

	(void)req;
	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	for (uint32_t i = 0; (i = dp_port_next(n->dp, i));)
		if (!port_wanted(n, i))
			p->ports += !dp_port_detach(n->dp, i, NULL);
	for (uint32_t i = 0; i < n->n_dev; i++)
		p->classes += gc_classes(n, &n->dev[i]);
	for (uint32_t at = 0; (at = dp_shape_walk(n->dp, at, &q));) {
		if (queue_wanted(n, &q))
			continue;
		dp_shape_del(n->dp, q.ifindex, q.minor);
		p->queues++;
	}
	r = paths_apply(n, &changed, &out, e);
	p->routes = (uint32_t)changed;
	return r;
}
