/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "rule.h"

static struct nlmsghdr *build(struct nl *n, uint16_t type, uint16_t flags, const struct nl_rule *r)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl_scratch(n));
	struct fib_rule_hdr *frh;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	frh = mnl_nlmsg_put_extra_header(nlh, sizeof(*frh));
	frh->family = r->family == NL_V4 ? AF_INET : AF_INET6;
	frh->src_len = r->src.len;
	frh->action = FR_ACT_TO_TBL;
	frh->table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(nlh, FRA_TABLE, r->table);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, r->priority);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, NL_PROTO);
	if (r->mask) {
		mnl_attr_put_u32(nlh, FRA_FWMARK, r->mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, r->mask);
	}
	if (r->src.family)
		mnl_attr_put(nlh, FRA_SRC, r->src.family == NL_V4 ? 4 : 16, r->src.b);
	return nlh;
}

int rule_put(struct nl *n, const struct nl_rule *r, struct err *e)
{
	struct nl_obj o = { .kind = NL_RULE, .ours = true, .u.rule = *r };
	const char *why = nl_obj_check(&o);

	if (why)
		return err_set(e, -EINVAL, "%s", why);
	/* Without NLM_F_EXCL the kernel would add the same rule once more. */
	return nl_talk(n, build(n, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, r), -EEXIST, e);
}

int rule_del(struct nl *n, const struct nl_rule *r, struct err *e)
{
	return nl_talk(n, build(n, RTM_DELRULE, 0, r), -ENOENT, e);
}

/* --- reading ------------------------------------------------------------------------------- */

struct fields {
	const struct nlattr *a[FRA_MAX + 1];
	bool odd; /* a selector that we never use */
};

static int take(const struct nlattr *a, void *arg)
{
	struct fields *f = arg;
	uint16_t type = mnl_attr_get_type(a);

	if (type > FRA_MAX) {
		f->odd = true;
		return MNL_CB_OK;
	}
	switch (type) {
	case FRA_TABLE:
	case FRA_PRIORITY:
	case FRA_FWMARK:
	case FRA_FWMASK:
		if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			return MNL_CB_ERROR;
		break;
	case FRA_PROTOCOL:
		if (mnl_attr_validate(a, MNL_TYPE_U8) < 0)
			return MNL_CB_ERROR;
		break;
	case FRA_SRC:
	case FRA_PAD:
	case FRA_UNSPEC: break;
	case FRA_SUPPRESS_PREFIXLEN: /* the kernel always sends it; -1 = off */
		if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			return MNL_CB_ERROR;
		f->odd |= mnl_attr_get_u32(a) != UINT32_MAX;
		break;
	default: f->odd = true;
	}
	f->a[type] = a;
	return MNL_CB_OK;
}

static uint32_t u32_of(const struct fields *f, int type, uint32_t or)
{
	return f->a[type] ? mnl_attr_get_u32(f->a[type]) : or ;
}

int rule_parse(const struct nlmsghdr *nlh, struct nl_rule *ret, uint8_t *proto)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	struct fields f = { 0 };
	struct nl_rule r;
	size_t width;

	/* libmnl walks to the aligned end: a ragged one (the kernel sends none) would be passed. */
	if (nlh->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*frh) || nlh->nlmsg_len % MNL_ALIGNTO)
		return -EPROTO;
	if (frh->family != AF_INET && frh->family != AF_INET6)
		return -EPROTO;
	if (mnl_attr_parse(nlh, sizeof(*frh), take, &f) < 0)
		return -EPROTO;
	memset(&r, 0, sizeof(r));
	r.family = frh->family == AF_INET ? NL_V4 : NL_V6;
	width = r.family == NL_V4 ? 4 : 16;
	if (frh->src_len > width * 8 ||
	    (f.a[FRA_SRC] && mnl_attr_get_payload_len(f.a[FRA_SRC]) != width))
		return -EPROTO;
	if (f.a[FRA_SRC]) {
		r.src.family = r.family;
		r.src.len = frh->src_len;
		memcpy(r.src.b, mnl_attr_get_payload(f.a[FRA_SRC]), width);
	}
	r.table = u32_of(&f, FRA_TABLE, frh->table);
	r.priority = u32_of(&f, FRA_PRIORITY, 0);
	r.mark = u32_of(&f, FRA_FWMARK, 0);
	r.mask = u32_of(&f, FRA_FWMASK, 0);
	*ret = r;
	*proto = f.a[FRA_PROTOCOL] ? mnl_attr_get_u8(f.a[FRA_PROTOCOL]) : 0;
	return f.odd || frh->action != FR_ACT_TO_TBL || frh->dst_len || frh->tos || frh->flags;
}

struct list {
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
	struct list *l = arg;
	struct nl_obj o;
	uint8_t proto;
	int c;

	memset(&o, 0, sizeof(o));
	c = rule_parse(nlh, &o.u.rule, &proto);
	if (c < 0)
		return c;
	/* A rule of a form that we never make is not ours, whatever number it carries. */
	if (c || proto != NL_PROTO)
		return 0;
	if (l->n == l->cap)
		return -ENOSPC;
	o.kind = NL_RULE;
	o.ours = true;
	l->out[l->n++] = o;
	return 0;
}

int rule_list(struct nl *n, struct nl_obj *out, size_t cap, size_t *count, struct err *e)
{
	static const int family[] = { AF_INET, AF_INET6 };
	struct list l = { .out = out, .cap = cap };

	for (size_t i = 0; i < ARRAY_LEN(family); i++) {
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl_scratch(n));
		struct fib_rule_hdr *frh = mnl_nlmsg_put_extra_header(nlh, sizeof(*frh));
		int c;

		nlh->nlmsg_type = RTM_GETRULE;
		frh->family = (uint8_t)family[i];
		l.start = l.n;
		c = nl_dump_mnl(n, nlh, list_one, list_reset, &l, e);
		if (c)
			return c;
	}
	nl_obj_sort(out, l.n);
	*count = l.n;
	return 0;
}

struct nl_rule rule_path(enum nl_family family, uint8_t path)
{
	struct nl_rule r;

	memset(&r, 0, sizeof(r));
	r.family = (uint8_t)family;
	r.priority = NL_PATH_PRIO(path);
	r.mark = NL_PATH_MARK(path);
	r.mask = NL_PATH_MASK;
	r.table = NL_PATH_TABLE(path);
	return r;
}

struct nl_rule rule_probe(const struct nl_ip *src, uint8_t path)
{
	struct nl_rule r;

	memset(&r, 0, sizeof(r));
	r.family = src->family;
	r.priority = NL_PROBE_PRIO(path);
	r.src = *src;
	r.table = NL_PATH_TABLE(path);
	return r;
}
