/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "route.h"
#include "srv6.h"

/* RTA_VIA: the gateway's family, then its address. */
struct via {
	uint16_t family;
	uint8_t addr[16];
};

static struct nlmsghdr *start(struct nl *n, uint16_t type, uint16_t flags, uint8_t family,
			      struct rtmsg **rtm)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl_scratch(n));

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	*rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(**rtm));
	(*rtm)->rtm_family = family == NL_V4 ? AF_INET : AF_INET6;
	return nlh;
}

static void put_gw(struct nlmsghdr *nlh, const struct nl_route *r)
{
	struct via via = { .family = AF_INET6 };

	if (r->gw.family == r->dst.family) {
		mnl_attr_put(nlh, RTA_GATEWAY, r->gw.family == NL_V4 ? 4 : 16, r->gw.b);
	} else if (r->gw.family) {
		memcpy(via.addr, r->gw.b, 16);
		mnl_attr_put(nlh, RTA_VIA, sizeof(via), &via);
	}
}

/* The key, and what the kernel needs to find the route again. The scratch buffer is far larger than
 * any route; only the encapsulation, whose length varies, is checked. */
static struct nlmsghdr *key(struct nl *n, uint16_t type, uint16_t flags, const struct nl_route *r)
{
	struct rtmsg *rtm;
	struct nlmsghdr *nlh = start(n, type, flags, r->dst.family, &rtm);

	rtm->rtm_dst_len = r->dst.len;
	rtm->rtm_table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC;
	rtm->rtm_protocol = NL_PROTO;
	rtm->rtm_type = RTN_UNICAST;
	rtm->rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE;
	if (type == RTM_NEWROUTE && r->dst.family == NL_V4 && !r->gw.family && !r->nh_id)
		rtm->rtm_scope = RT_SCOPE_LINK;
	mnl_attr_put_u32(nlh, RTA_TABLE, r->table);
	if (r->dst.len)
		mnl_attr_put(nlh, RTA_DST, r->dst.family == NL_V4 ? 4 : 16, r->dst.b);
	if (r->metric || r->dst.family == NL_V6)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, r->metric ? r->metric : NL_METRIC_V6);
	return nlh;
}

static int send_route(struct nl *n, uint16_t flags, const struct nl_route *r, struct err *e)
{
	struct nlmsghdr *nlh = key(n, RTM_NEWROUTE, flags, r);
	int c;

	if (r->nh_id) {
		mnl_attr_put_u32(nlh, RTA_NH_ID, r->nh_id);
		return nl_talk(n, nlh, 0, e);
	}
	mnl_attr_put_u32(nlh, RTA_OIF, r->oif);
	put_gw(nlh, r);
	if (r->encap != NL_ENCAP_NONE) {
		c = srv6_put(nlh, NL_BATCH_BYTES, r);
		if (c)
			return err_set(e, c, "route.seg: does not fit the message");
	}
	return nl_talk(n, nlh, 0, e);
}

static int check(const struct nl_route *r, struct err *e)
{
	struct nl_obj o = { .kind = NL_ROUTE, .ours = true, .u.route = *r };
	const char *why = nl_obj_check(&o);

	return why ? err_set(e, -EINVAL, "%s", why) : 0;
}

int route_replace(struct nl *n, const struct nl_route *r, struct err *e)
{
	int c = check(r, e);

	return c ? c : send_route(n, NLM_F_CREATE | NLM_F_REPLACE, r, e);
}

/* --- reading ------------------------------------------------------------------------------- */

struct fields {
	const struct nlattr *a[RTA_MAX + 1];
};

/* Wrong widths end the parse: a value is never read beyond its attribute. */
static int take(const struct nlattr *a, void *arg)
{
	struct fields *f = arg;
	uint16_t type = mnl_attr_get_type(a);

	if (type > RTA_MAX)
		return MNL_CB_OK;
	switch (type) {
	case RTA_TABLE:
	case RTA_OIF:
	case RTA_NH_ID:
	case RTA_PRIORITY:
		if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			return MNL_CB_ERROR;
		break;
	case RTA_ENCAP_TYPE:
		if (mnl_attr_validate(a, MNL_TYPE_U16) < 0)
			return MNL_CB_ERROR;
		break;
	case RTA_ENCAP:
		if (mnl_attr_validate(a, MNL_TYPE_NESTED) < 0)
			return MNL_CB_ERROR;
		break;
	default: break;
	}
	f->a[type] = a;
	return MNL_CB_OK;
}

static int take_ip(const struct nlattr *a, uint8_t family, uint8_t len, struct nl_ip *ret)
{
	size_t want = family == NL_V4 ? 4 : 16;

	if (len > want * 8 || (a && mnl_attr_get_payload_len(a) != want))
		return -EPROTO;
	ret->family = family;
	ret->len = len;
	if (a)
		memcpy(ret->b, mnl_attr_get_payload(a), want);
	return 0;
}

static int take_gw(const struct fields *f, struct nl_route *r)
{
	const struct nlattr *via = f->a[RTA_VIA];
	uint8_t bits = r->dst.family == NL_V4 ? 32 : 128;
	struct via v;

	if (f->a[RTA_GATEWAY])
		return take_ip(f->a[RTA_GATEWAY], r->dst.family, bits, &r->gw);
	if (!via)
		return 0;
	if (mnl_attr_get_payload_len(via) != sizeof(v))
		return 1;
	memcpy(&v, mnl_attr_get_payload(via), sizeof(v));
	if (v.family != AF_INET6)
		return 1;
	r->gw.family = NL_V6;
	r->gw.len = 128;
	memcpy(r->gw.b, v.addr, 16);
	return 0;
}

static int take_value(const struct rtmsg *rtm, const struct fields *f, struct nl_route *r)
{
	int c;

	if (rtm->rtm_type != RTN_UNICAST || rtm->rtm_src_len || rtm->rtm_tos || f->a[RTA_MULTIPATH])
		return 1;
	if (f->a[RTA_NH_ID]) { /* the kernel tells device and gateway besides: the object's */
		r->nh_id = mnl_attr_get_u32(f->a[RTA_NH_ID]);
		r->oif = 0;
		return f->a[RTA_ENCAP] != NULL;
	}
	c = take_gw(f, r);
	if (c || !f->a[RTA_ENCAP])
		return c;
	if (!f->a[RTA_ENCAP_TYPE])
		return -EPROTO;
	return srv6_parse(f->a[RTA_ENCAP], mnl_attr_get_u16(f->a[RTA_ENCAP_TYPE]), r);
}

int route_parse(const struct nlmsghdr *nlh, struct nl_route *ret, uint8_t *proto)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct fields f = { 0 };
	struct nl_route r;
	int c;

	/* libmnl walks to the aligned end: a ragged one (the kernel sends none) would be passed. */
	if (nlh->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*rtm) || nlh->nlmsg_len % MNL_ALIGNTO)
		return -EPROTO;
	if (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6)
		return -EPROTO;
	memset(&r, 0, sizeof(r));
	if (mnl_attr_parse(nlh, sizeof(*rtm), take, &f) < 0)
		return -EPROTO;
	c = take_ip(f.a[RTA_DST], rtm->rtm_family == AF_INET ? NL_V4 : NL_V6, rtm->rtm_dst_len,
		    &r.dst);
	if (c)
		return c;
	r.table = f.a[RTA_TABLE] ? mnl_attr_get_u32(f.a[RTA_TABLE]) : rtm->rtm_table;
	r.metric = f.a[RTA_PRIORITY] ? mnl_attr_get_u32(f.a[RTA_PRIORITY]) : 0;
	r.oif = f.a[RTA_OIF] ? mnl_attr_get_u32(f.a[RTA_OIF]) : 0;
	c = take_value(rtm, &f, &r);
	if (c < 0)
		return c;
	*ret = r;
	*proto = rtm->rtm_protocol;
	return c;
}

struct list {
	uint32_t table;
	bool ours;
	struct nl_obj *out;
	size_t n, start, cap;
};

static void list_reset(void *arg)
{
	struct list *l = arg;

	l->n = l->start;
}

static int list_one(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct list *l = arg;
	struct nl_obj o;
	uint8_t proto;
	int c;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return 0;
	memset(&o, 0, sizeof(o));
	c = route_parse(nlh, &o.u.route, &proto);
	if (c < 0)
		return c;
	/* Cached clones are the kernel's, and so are the routes of table local that it makes. */
	if (rtm->rtm_flags & RTM_F_CLONED || (proto == NL_PROTO) != l->ours ||
	    (l->table && o.u.route.table != l->table))
		return 0;
	if (l->n == l->cap)
		return -ENOSPC;
	o.kind = NL_ROUTE;
	o.ours = proto == NL_PROTO;
	/* A form that we never make never equals a wanted one: an impossible encapsulation. */
	if (c)
		o.u.route.encap = UINT8_MAX;
	l->out[l->n++] = o;
	return 0;
}

static int list_family(struct nl *n, uint8_t family, struct list *l, struct err *e)
{
	struct rtmsg *rtm;
	struct nlmsghdr *nlh = start(n, RTM_GETROUTE, 0, family, &rtm);

	/* The kernel filters (strict checking is on); list_one checks again. */
	if (l->ours)
		rtm->rtm_protocol = NL_PROTO;
	if (l->table)
		mnl_attr_put_u32(nlh, RTA_TABLE, l->table);
	l->start = l->n;
	return nl_dump_mnl(n, nlh, list_one, list_reset, l, e);
}

int route_list(struct nl *n, uint32_t table, bool ours, struct nl_obj *out, size_t cap,
	       size_t *count, struct err *e)
{
	struct list l = { .table = table, .ours = ours, .out = out, .cap = cap };
	int c = list_family(n, NL_V4, &l, e);

	if (!c)
		c = list_family(n, NL_V6, &l, e);
	if (c)
		return c;
	nl_obj_sort(out, l.n);
	*count = l.n;
	return 0;
}

/* --- put and delete ------------------------------------------------------------------------ */

struct lookup {
	struct nl_obj want;
	bool foreign, ours, same;
};

static void lookup_reset(void *arg)
{
	struct lookup *l = arg;

	l->foreign = l->ours = l->same = false;
}

static int lookup_one(const struct nlmsghdr *nlh, void *arg)
{
	struct lookup *l = arg;
	struct nl_obj o = { .kind = NL_ROUTE };
	uint8_t proto;
	int c = route_parse(nlh, &o.u.route, &proto);

	if (c < 0)
		return c;
	if (nl_obj_cmp(&o, &l->want))
		return 0;
	l->foreign |= proto != NL_PROTO;
	l->ours |= proto == NL_PROTO;
	l->same |= proto == NL_PROTO && !c && nl_obj_same(&o, &l->want);
	return 0;
}

static int lookup(struct nl *n, struct lookup *l, struct err *e)
{
	struct rtmsg *rtm;
	struct nlmsghdr *nlh = start(n, RTM_GETROUTE, 0, l->want.u.route.dst.family, &rtm);

	mnl_attr_put_u32(nlh, RTA_TABLE, l->want.u.route.table);
	return nl_dump_mnl(n, nlh, lookup_one, lookup_reset, l, e);
}

int route_put(struct nl *n, const struct nl_route *r, struct err *e)
{
	struct lookup l = { .want = { .kind = NL_ROUTE, .u.route = *r } };
	int c = check(r, e);

	if (c)
		return c;
	if (!nl_in_batch(n)) {
		struct err first = { 0 };

		c = send_route(n, NLM_F_CREATE | NLM_F_EXCL, r, &first);
		if (c != -EEXIST) {
			if (c && e && !e->code)
				*e = first;
			return c;
		}
	}
	/* Something has the key. Only what carries our protocol may be replaced. */
	c = lookup(n, &l, e);
	if (c)
		return c;
	if (l.foreign)
		return err_set(e, -EEXIST,
			       "route: table %u holds this destination with another protocol",
			       r->table);
	return l.same ? 0 : send_route(n, NLM_F_CREATE | NLM_F_REPLACE, r, e);
}

int route_del(struct nl *n, const struct nl_route *r, struct err *e)
{
	/* In IPv4 metric 0 in a deletion means "any metric": look before, or one of our other
	 * routes to the same destination would go. */
	if (r->dst.family == NL_V4 && !r->metric) {
		struct lookup l = { .want = { .kind = NL_ROUTE, .u.route = *r } };
		int c = lookup(n, &l, e);

		if (c || !l.ours)
			return c;
	}
	return nl_talk(n, key(n, RTM_DELROUTE, 0, r), -ESRCH, e);
}
