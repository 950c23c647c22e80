/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include "nexthop.h"

static struct nlmsghdr *start(struct nl *n, uint16_t type, uint16_t flags, struct nhmsg **nhm)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl_scratch(n));

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	*nhm = mnl_nlmsg_put_extra_header(nlh, sizeof(**nhm));
	return nlh;
}

static int send_nexthop(struct nl *n, uint16_t flags, const struct nl_nexthop *h, struct err *e)
{
	struct nhmsg *nhm;
	struct nlmsghdr *nlh = start(n, RTM_NEWNEXTHOP, NLM_F_CREATE | flags, &nhm);

	nhm->nh_family = h->gw.family == NL_V4 ? AF_INET : AF_INET6;
	nhm->nh_protocol = NL_PROTO;
	mnl_attr_put_u32(nlh, NHA_ID, h->id);
	mnl_attr_put_u32(nlh, NHA_OIF, h->oif);
	mnl_attr_put(nlh, NHA_GATEWAY, h->gw.family == NL_V4 ? 4 : 16, h->gw.b);
	return nl_talk(n, nlh, 0, e);
}

/* --- reading ------------------------------------------------------------------------------- */

struct fields {
	const struct nlattr *a[NHA_MAX + 1];
	bool odd;
};

static int take(const struct nlattr *a, void *arg)
{
	struct fields *f = arg;
	uint16_t type = mnl_attr_get_type(a);

	switch (type) {
	case NHA_ID:
	case NHA_OIF:
		if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			return MNL_CB_ERROR;
		f->a[type] = a;
		break;
	case NHA_GATEWAY: f->a[type] = a; break;
	case NHA_GROUP:
	case NHA_BLACKHOLE:
	case NHA_ENCAP:
	case NHA_ENCAP_TYPE:
	case NHA_FDB: f->odd = true; break;
	default: break;
	}
	return MNL_CB_OK;
}

int nexthop_parse(const struct nlmsghdr *nlh, struct nl_nexthop *ret, uint8_t *proto)
{
	const struct nhmsg *nhm = mnl_nlmsg_get_payload(nlh);
	struct nl_nexthop h = { 0 };
	struct fields f = { 0 };
	size_t want;

	/* libmnl walks to the aligned end: a ragged one (the kernel sends none) would be passed. */
	if (nlh->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*nhm) || nlh->nlmsg_len % MNL_ALIGNTO)
		return -EPROTO;
	if (mnl_attr_parse(nlh, sizeof(*nhm), take, &f) < 0 || !f.a[NHA_ID])
		return -EPROTO;
	h.id = mnl_attr_get_u32(f.a[NHA_ID]);
	h.oif = f.a[NHA_OIF] ? mnl_attr_get_u32(f.a[NHA_OIF]) : 0;
	if (f.a[NHA_GATEWAY]) {
		want = nhm->nh_family == AF_INET ? 4 : 16;
		if (mnl_attr_get_payload_len(f.a[NHA_GATEWAY]) != want)
			return -EPROTO;
		h.gw.family = want == 4 ? NL_V4 : NL_V6;
		h.gw.len = (uint8_t)(want * 8);
		memcpy(h.gw.b, mnl_attr_get_payload(f.a[NHA_GATEWAY]), want);
	}
	*ret = h;
	*proto = nhm->nh_protocol;
	return f.odd;
}

struct list {
	uint32_t id; /* 0 = ours, all of them; else this one, whose ever */
	struct nl_obj *out;
	size_t n, cap;
};

static void list_reset(void *arg)
{
	struct list *l = arg;

	l->n = 0;
}

static int list_one(const struct nlmsghdr *nlh, void *arg)
{
	struct list *l = arg;
	struct nl_obj o;
	uint8_t proto;
	int c;

	if (nlh->nlmsg_type != RTM_NEWNEXTHOP)
		return 0;
	memset(&o, 0, sizeof(o));
	c = nexthop_parse(nlh, &o.u.nexthop, &proto);
	if (c < 0)
		return c;
	if (l->id ? o.u.nexthop.id != l->id : proto != NL_PROTO)
		return 0;
	if (l->n == l->cap)
		return -ENOSPC;
	o.kind = NL_NEXTHOP;
	o.ours = proto == NL_PROTO;
	if (c) /* never equals a wanted one */
		o.u.nexthop.oif = 0;
	l->out[l->n++] = o;
	return 0;
}

static int list(struct nl *n, struct list *l, struct err *e)
{
	struct err mine = { 0 };
	struct nhmsg *nhm;
	int c = nl_dump_mnl(n, start(n, RTM_GETNEXTHOP, 0, &nhm), list_one, list_reset, l, &mine);

	if (c == -EOPNOTSUPP)
		return 0;
	return c ? err_set(e, c, "nexthops: %s", mine.text) : 0;
}

int nexthop_list(struct nl *n, struct nl_obj *out, size_t cap, size_t *count, struct err *e)
{
	struct list l = { .out = out, .cap = cap };
	int c = list(n, &l, e);

	if (c)
		return c;
	nl_obj_sort(out, l.n);
	*count = l.n;
	return 0;
}

/* --- put and delete ------------------------------------------------------------------------ */

int nexthop_put(struct nl *n, const struct nl_nexthop *h, struct err *e)
{
	struct nl_obj seen = { 0 }, o = { .kind = NL_NEXTHOP, .ours = true, .u.nexthop = *h };
	struct list l = { .id = h->id, .out = &seen, .cap = 1 };
	const char *why = nl_obj_check(&o);
	int c;

	if (why)
		return err_set(e, -EINVAL, "%s", why);
	c = list(n, &l, e);
	if (c)
		return c;
	if (!l.n)
		return send_nexthop(n, NLM_F_EXCL, h, e);
	if (!seen.ours)
		return err_set(e, -EEXIST, "nexthop: id %u is another protocol's", h->id);
	return nl_obj_same(&seen, &o) ? 0 : send_nexthop(n, NLM_F_REPLACE, h, e);
}

int nexthop_del(struct nl *n, const struct nl_nexthop *h, struct err *e)
{
	struct nl_obj seen = { 0 };
	struct list l = { .id = h->id, .out = &seen, .cap = 1 };
	struct nlmsghdr *nlh;
	struct nhmsg *nhm;
	int c = list(n, &l, e);

	if (c || !l.n || !seen.ours)
		return c;
	nlh = start(n, RTM_DELNEXTHOP, 0, &nhm);
	mnl_attr_put_u32(nlh, NHA_ID, h->id);
	return nl_talk(n, nlh, -ENOENT, e);
}
