/* SPDX-License-Identifier: Apache-2.0 */
/* obj_core.c - order, sameness and range of kernel objects. */
#include "obj.h"
#include "treaty/pure.h"

#define CMP(x, y) (((x) > (y)) - ((x) < (y)))

/* First difference decides. */
#define CMP_OR_RETURN(x, y)         \
	do {                        \
		int c_ = CMP(x, y); \
		if (c_)             \
			return c_;  \
	} while (0)

static int ip_cmp(const struct nl_ip *a, const struct nl_ip *b)
{
	CMP_OR_RETURN(a->family, b->family);
	CMP_OR_RETURN(a->len, b->len);
	return memcmp(a->b, b->b, sizeof(a->b));
}

static uint32_t metric(const struct nl_route *r)
{
	return r->metric || r->dst.family == NL_V4 ? r->metric : NL_METRIC_V6;
}

static int route_cmp(const struct nl_route *a, const struct nl_route *b)
{
	CMP_OR_RETURN(a->dst.family, b->dst.family);
	CMP_OR_RETURN(a->table, b->table);
	CMP_OR_RETURN(ip_cmp(&a->dst, &b->dst), 0);
	return CMP(metric(a), metric(b));
}

static int rule_cmp(const struct nl_rule *a, const struct nl_rule *b)
{
	CMP_OR_RETURN(a->family, b->family);
	CMP_OR_RETURN(a->priority, b->priority);
	CMP_OR_RETURN(a->mark, b->mark);
	CMP_OR_RETURN(a->mask, b->mask);
	CMP_OR_RETURN(ip_cmp(&a->src, &b->src), 0);
	return CMP(a->table, b->table);
}

int nl_obj_cmp(const struct nl_obj *a, const struct nl_obj *b)
{
	CMP_OR_RETURN(a->kind, b->kind);
	switch (a->kind) {
	case NL_QDISC: return CMP(a->ifindex, b->ifindex);
	case NL_CLASS:
		CMP_OR_RETURN(a->ifindex, b->ifindex);
		return CMP(a->u.class.minor, b->u.class.minor);
	case NL_NEXTHOP: return CMP(a->u.nexthop.id, b->u.nexthop.id);
	case NL_ROUTE: return route_cmp(&a->u.route, &b->u.route);
	default: return rule_cmp(&a->u.rule, &b->u.rule);
	}
}

/* The kernel keeps a burst as time in 64 ns ticks: equal within one tick of bytes, and one more for
 * the rounding back. */
static bool burst_same(uint32_t a, uint32_t b, rate_t at)
{
	uint64_t tick = at.bps / 8 / 1000 * 64 / 1000000 + 2;

	return (a > b ? a - b : b - a) <= tick;
}

static bool inner(const struct nl_class *c)
{
	return c->minor == HTB_ROOT || c->minor >= HTB_CUSTOMER_BASE;
}

static bool class_same(const struct nl_class *a, const struct nl_class *b)
{
	if (a->rate.bps / 8 != b->rate.bps / 8 || a->ceil.bps / 8 != b->ceil.bps / 8)
		return false;
	if (!burst_same(a->burst, b->burst, a->rate) || !burst_same(a->cburst, b->cburst, a->ceil))
		return false;
	if (a->parent != b->parent)
		return false;
	/* Inner classes have no priority, quantum or leaf: the kernel ignores them there. */
	return inner(a) || (a->prio == b->prio && a->quantum == b->quantum && a->limit == b->limit);
}

static bool route_same(const struct nl_route *a, const struct nl_route *b)
{
	if (a->nh_id != b->nh_id)
		return false;
	if (a->oif != b->oif || ip_cmp(&a->gw, &b->gw) || a->encap != b->encap)
		return false;
	if (a->encap == NL_ENCAP_SEG6)
		return a->n_seg == b->n_seg && !memcmp(a->seg, b->seg, 16u * a->n_seg);
	if (a->encap == NL_ENCAP_SEG6LOCAL)
		return a->action == b->action &&
		       (a->action == NL_END_DT6 ? a->nh_table == b->nh_table
						: !ip_cmp(&a->nh, &b->nh));
	return true;
}

bool nl_obj_same(const struct nl_obj *a, const struct nl_obj *b)
{
	switch (a->kind) {
	case NL_CLASS: return class_same(&a->u.class, &b->u.class);
	case NL_NEXTHOP:
		return a->u.nexthop.oif == b->u.nexthop.oif &&
		       !ip_cmp(&a->u.nexthop.gw, &b->u.nexthop.gw);
	case NL_ROUTE: return route_same(&a->u.route, &b->u.route);
	default: return true; /* the key is all there is */
	}
}

static const char *ip_check(const struct nl_ip *a, const char *family, const char *bits)
{
	unsigned int max = a->family == NL_V4 ? 32 : 128;

	if (a->family != NL_V4 && a->family != NL_V6)
		return family;
	if (a->len > max)
		return bits;
	for (unsigned int i = a->len; i < 128; i++)
		if (a->b[i / 8] >> (7 - i % 8) & 1)
			return bits;
	return NULL;
}

static const char *host_check(const struct nl_ip *a, const char *rule)
{
	if (ip_check(a, rule, rule))
		return rule;
	return a->len == (a->family == NL_V4 ? 32 : 128) ? NULL : rule;
}

/* Burst in ticks of 64 ns must fit 32 bits: 275 s at the rate. */
static bool burst_fits(uint32_t burst, rate_t rate)
{
	return burst && (uint64_t)burst * 1000000000u / 64 / (rate.bps / 8) < UINT32_MAX;
}

static const char *class_check(const struct nl_obj *o)
{
	const struct nl_class *c = &o->u.class;

	if (c->minor != HTB_ROOT && c->minor != HTB_DEFAULT &&
	    (c->minor < HTB_LABEL_BASE || c->minor >= HTB_LABEL_BASE + HTB_SLOTS_MAX) &&
	    (c->minor < HTB_CUSTOMER_BASE || c->minor > 0xfffe))
		return "class.minor: must be 1, 2, 0x100..0x7eff or 0x8000..0xfffe";
	if (c->parent && (inner(c) || c->parent < HTB_CUSTOMER_BASE || c->parent > 0xfffe))
		return "class.parent: must be 0, or 0x8000..0xfffe of a leaf class";
	if (c->rate.bps < 8 || c->rate.bps % 8 || c->rate.bps > 1000000000000000ull)
		return "class.rate: must be 8..10^15 bit/s, a multiple of 8";
	if (c->ceil.bps < c->rate.bps || c->ceil.bps % 8 || c->ceil.bps > 1000000000000000ull)
		return "class.ceil: must be rate..10^15 bit/s, a multiple of 8";
	if (!burst_fits(c->burst, c->rate) || !burst_fits(c->cburst, c->ceil))
		return "class.burst: must be > 0 and below 275 s at the rate";
	if (inner(c) && c->limit)
		return "class.limit: an inner class has no leaf";
	if (c->prio > 7)
		return "class.prio: must be 0..7";
	if (c->quantum < 1000 || c->quantum > 1 << 24)
		return "class.quantum: must be 1000..2^24 bytes";
	if (!inner(c) && (!c->limit || c->limit > HTB_LIMIT_MAX))
		return "class.limit: must be 1..2^30 bytes";
	return NULL;
}

static const char *encap_check(const struct nl_route *r)
{
	switch (r->encap) {
	case NL_ENCAP_NONE: return NULL;
	case NL_ENCAP_SEG6:
		return !r->n_seg || r->n_seg > NL_SEGS_MAX ? "route.seg: must be 1..8 segments"
							   : NULL;
	case NL_ENCAP_SEG6LOCAL: break;
	default: return "route.encap: unknown";
	}
	if (r->dst.family != NL_V6 || r->dst.len != 128 || r->gw.family)
		return "route.dst: a SID is an IPv6 /128 with no gateway";
	switch (r->action) {
	case NL_END_DT6: return r->nh_table ? NULL : "route.nh_table: must not be 0";
	case NL_END_DX4:
		return r->nh.family == NL_V4 ? host_check(&r->nh, "route.nh: not an IPv4 host")
					     : "route.nh: End.DX4 needs IPv4";
	case NL_END_DX6:
		return r->nh.family == NL_V6 ? host_check(&r->nh, "route.nh: not an IPv6 host")
					     : "route.nh: End.DX6 needs IPv6";
	default: return "route.action: unknown";
	}
}

static const char *route_check(const struct nl_route *r)
{
	const char *why = ip_check(&r->dst, "route.dst: no family",
				   "route.dst: bits beyond the prefix length");

	if (why)
		return why;
	if (!r->table)
		return "route.table: must not be 0";
	if (r->nh_id)
		return r->oif || r->gw.family || r->encap
			       ? "route.nh_id: excludes device, gateway and encapsulation"
			       : NULL;
	if (!r->oif)
		return "route.oif: must not be 0";
	if (r->gw.family) {
		why = host_check(&r->gw, "route.gw: not a host address");
		if (why)
			return why;
		if (r->dst.family == NL_V6 && r->gw.family == NL_V4)
			return "route.gw: IPv4 for an IPv6 destination";
	}
	return encap_check(r);
}

static const char *nexthop_check(const struct nl_nexthop *h)
{
	if (!h->id)
		return "nexthop.id: must not be 0";
	if (!h->oif)
		return "nexthop.oif: must not be 0";
	return host_check(&h->gw, "nexthop.gw: not a host address");
}

static const char *rule_check(const struct nl_rule *r)
{
	if (r->family != NL_V4 && r->family != NL_V6)
		return "rule.family: must be 4 or 6";
	if (!r->table)
		return "rule.table: must not be 0";
	if (!r->priority)
		return "rule.priority: must not be 0";
	if (r->mark & ~r->mask)
		return "rule.mark: bits outside the mask";
	if (!r->src.family)
		return NULL;
	if (r->src.family != r->family || !r->src.len)
		return "rule.src: not of the rule's family, or length 0";
	return ip_check(&r->src, "rule.src: no family", "rule.src: bits beyond the prefix length");
}

const char *nl_obj_check(const struct nl_obj *o)
{
	switch (o->kind) {
	case NL_QDISC: return o->ifindex ? NULL : "qdisc.ifindex: must not be 0";
	case NL_CLASS: return o->ifindex ? class_check(o) : "class.ifindex: must not be 0";
	case NL_NEXTHOP: return nexthop_check(&o->u.nexthop);
	case NL_ROUTE: return route_check(&o->u.route);
	case NL_RULE: return rule_check(&o->u.rule);
	default: return "kind: unknown";
	}
}

static void swap(struct nl_obj *a, struct nl_obj *b)
{
	struct nl_obj t = *a;

	*a = *b;
	*b = t;
}

static void sift(struct nl_obj *o, size_t i, size_t n)
{
	for (;;) {
		size_t c = 2 * i + 1;

		if (c >= n)
			return;
		if (c + 1 < n && nl_obj_cmp(&o[c], &o[c + 1]) < 0)
			c++;
		if (nl_obj_cmp(&o[i], &o[c]) >= 0)
			return;
		swap(&o[i], &o[c]);
		i = c;
	}
}

void nl_obj_sort(struct nl_obj *o, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(o, i, n);
	for (size_t i = n; i-- > 1;) {
		swap(&o[0], &o[i]);
		sift(o, 0, i);
	}
}
