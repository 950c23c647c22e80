/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/msg.h>
#include <netlink/errno.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include <netlink/route/qdisc/fifo.h>
#include <netlink/route/qdisc/htb.h>

#include "qdisc.h"
#include "obj.h"
#include "tc.h"

#define OUR_HANDLE (HTB_MAJOR << 16)
#define FQ_HANDLE  (OUR_HANDLE + 0x10000) /* of an fq that took our HTB's place in one step */
#define FQ_PACKETS 100000                 /* the programs bound the queue, by time */

struct tc_walk {
	uint32_t ifindex;
	tc_fn fn;
	void (*reset)(void *);
	void *arg;
	const struct nlmsghdr *nlh;
	int code;
};

static void walk_reset(void *arg)
{
	struct tc_walk *w = arg;

	w->code = 0;
	w->reset(w->arg);
}

static void walk_object(struct nl_object *o, void *arg)
{
	struct tc_walk *w = arg;

	w->code = w->fn(o, w->nlh, w->arg);
}

static int walk_message(const struct nlmsghdr *nlh, void *arg)
{
	struct nlmsghdr *copy = (struct nlmsghdr *)(uintptr_t)nlh; /* nlmsg_convert reads only */
	const struct tcmsg *tcm = (const void *)((const char *)nlh + NLMSG_HDRLEN);
	struct tc_walk *w = arg;
	struct nl_msg *msg;
	int r;

	/* The qdisc dump names every device's: skip before the costly parse. */
	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*tcm)))
		return -EPROTO;
	if ((uint32_t)tcm->tcm_ifindex != w->ifindex)
		return 0;
	msg = nlmsg_convert(copy);
	if (!msg)
		return -ENOMEM;
	nlmsg_set_proto(msg, NETLINK_ROUTE);
	w->nlh = nlh;
	r = nl_msg_parse(msg, walk_object, w);
	nlmsg_free(msg);
	return r < 0 ? nl_errno(r) : w->code;
}

int tc_dump(struct nl *n, uint16_t type, uint32_t ifindex, tc_fn fn, void (*reset)(void *),
	    void *arg, struct err *e)
{
	struct tc_walk w = { .ifindex = ifindex, .fn = fn, .reset = reset, .arg = arg };
	struct nlmsghdr *nlh = nl_scratch(n);
	struct tcmsg *tcm = NLMSG_DATA(nlh);

	memset(nlh, 0, NLMSG_SPACE(sizeof(*tcm)));
	nlh->nlmsg_len = NLMSG_LENGTH(sizeof(*tcm));
	nlh->nlmsg_type = type;
	tcm->tcm_ifindex = (int)ifindex;
	return nl_dump_mnl(n, nlh, walk_message, walk_reset, &w, e);
}

int tc_send(struct nl *n, int built, struct nl_msg *msg, int ok, struct err *e)
{
	int r;

	if (built < 0)
		return err_set(e, nl_errno(built), "netlink message: %s", nl_geterror(built));
	r = nl_talk(n, nlmsg_hdr(msg), ok, e);
	nlmsg_free(msg);
	return r;
}

/* --- reading ------------------------------------------------------------------------------- */

static bool fifo_limit(struct nl_object *o, uint32_t *limit)
{
	const char *kind = rtnl_tc_get_kind(TC_CAST(o));
	int v;

	if (!kind || strcmp(kind, "bfifo"))
		return false;
	v = rtnl_qdisc_fifo_get_limit((struct rtnl_qdisc *)o);
	*limit = v > 0 ? (uint32_t)v : 0;
	return v > 0;
}

struct list {
	struct nl_qdisc *out;
	size_t n, cap;
};

static void list_reset(void *arg)
{
	struct list *l = arg;

	l->n = 0;
}

static int list_one(struct nl_object *o, const struct nlmsghdr *nlh, void *arg)
{
	struct rtnl_tc *tc = TC_CAST(o);
	struct list *l = arg;
	struct nl_qdisc *q;

	(void)nlh;
	if (l->n == l->cap)
		return -ENOSPC;
	q = &l->out[l->n++];
	memset(q, 0, sizeof(*q));
	q->ifindex = (uint32_t)rtnl_tc_get_ifindex(tc);
	q->handle = rtnl_tc_get_handle(tc);
	q->parent = rtnl_tc_get_parent(tc);
	(void)!str_set(q->kind, rtnl_tc_get_kind(tc));
	(void)fifo_limit(o, &q->limit);
	return 0;
}

int qdisc_list(struct nl *n, uint32_t ifindex, struct nl_qdisc *out, size_t cap, size_t *count,
	       struct err *e)
{
	struct list l = { .out = out, .cap = cap };
	int r = tc_dump(n, RTM_GETQDISC, ifindex, list_one, list_reset, &l, e);

	if (!r)
		*count = l.n;
	return r;
}

struct top {
	enum qdisc_root root;
	uint32_t handle; /* of a root of ours */
	bool clsact;
};

static void top_reset(void *arg)
{
	memset(arg, 0, sizeof(struct top));
}

static int top_one(struct nl_object *o, const struct nlmsghdr *nlh, void *arg)
{
	const char *kind = rtnl_tc_get_kind(TC_CAST(o));
	uint32_t handle = rtnl_tc_get_handle(TC_CAST(o));
	struct top *t = arg;

	(void)nlh;
	if (rtnl_tc_get_parent(TC_CAST(o)) == TC_H_INGRESS)
		t->clsact = true; /* clsact and ingress share the parent */
	if (rtnl_tc_get_parent(TC_CAST(o)) != TC_H_ROOT || !handle)
		return 0;
	t->handle = handle;
	if (handle == OUR_HANDLE && kind && !strcmp(kind, "htb") &&
	    rtnl_htb_get_defcls((struct rtnl_qdisc *)o) == HTB_DEFAULT)
		t->root = QDISC_ROOT_OURS;
	else if ((handle == OUR_HANDLE || handle == FQ_HANDLE) && kind && !strcmp(kind, "fq"))
		t->root = QDISC_ROOT_FQ;
	else
		t->root = QDISC_ROOT_FOREIGN;
	return 0;
}

int qdisc_root(struct nl *n, uint32_t ifindex, enum qdisc_root *ret, struct err *e)
{
	struct top t;
	int r = tc_dump(n, RTM_GETQDISC, ifindex, top_one, top_reset, &t, e);

	if (!r)
		*ret = t.root;
	return r;
}

int qdisc_has_clsact(struct nl *n, uint32_t ifindex, bool *ret, struct err *e)
{
	struct top t;
	int r = tc_dump(n, RTM_GETQDISC, ifindex, top_one, top_reset, &t, e);

	if (!r)
		*ret = t.clsact;
	return r;
}

/* --- making -------------------------------------------------------------------------------- */

static struct rtnl_qdisc *build(uint32_t ifindex, uint32_t parent, uint32_t handle,
				const char *kind)
{
	struct rtnl_qdisc *q = rtnl_qdisc_alloc();

	if (!q)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(q), (int)ifindex);
	rtnl_tc_set_parent(TC_CAST(q), parent);
	rtnl_tc_set_handle(TC_CAST(q), handle);
	if (rtnl_tc_set_kind(TC_CAST(q), kind) < 0) {
		rtnl_qdisc_put(q);
		return NULL;
	}
	return q;
}

/* Without NLM_F_REPLACE the kernel itself refuses to displace what someone else put there. */
static int put(struct nl *n, struct rtnl_qdisc *q, int flags, struct err *e)
{
	struct nl_msg *msg = NULL;
	int r = rtnl_qdisc_build_add_request(q, NLM_F_CREATE | flags, &msg);

	rtnl_qdisc_put(q);
	return tc_send(n, r, msg, 0, e);
}

int qdisc_htb_ensure(struct nl *n, uint32_t ifindex, struct err *e)
{
	enum qdisc_root root = QDISC_ROOT_DEFAULT;
	struct rtnl_qdisc *q;
	int r = qdisc_root(n, ifindex, &root, e);

	if (r || root == QDISC_ROOT_OURS)
		return r;
	if (root != QDISC_ROOT_DEFAULT)
		return err_set(e, -EEXIST, "device %u: a root qdisc that is not ours is there",
			       ifindex);
	q = build(ifindex, TC_H_ROOT, OUR_HANDLE, "htb");
	if (!q || rtnl_htb_set_defcls(q, HTB_DEFAULT) < 0) {
		rtnl_qdisc_put(q);
		return err_set(e, -ENOMEM, "qdisc: out of memory");
	}
	(void)rtnl_htb_set_rate2quantum(q, 10);
	return put(n, q, NLM_F_EXCL, e);
}

int qdisc_fq_ensure(struct nl *n, uint32_t ifindex, struct err *e)
{
	enum qdisc_root root = QDISC_ROOT_DEFAULT;
	struct nlmsghdr *nlh = nl_scratch(n);
	struct nlattr *nest;
	struct tcmsg *t;
	int r = qdisc_root(n, ifindex, &root, e);
	bool swap = root == QDISC_ROOT_OURS;

	if (r || root == QDISC_ROOT_FQ)
		return r;
	if (root == QDISC_ROOT_FOREIGN)
		return err_set(e, -EEXIST, "device %u: another root qdisc is there", ifindex);
	nlh = mnl_nlmsg_put_header(nlh);
	nlh->nlmsg_type = RTM_NEWQDISC;
	nlh->nlmsg_flags = NLM_F_CREATE | (swap ? NLM_F_REPLACE : NLM_F_EXCL);
	t = mnl_nlmsg_put_extra_header(nlh, sizeof(*t));
	t->tcm_ifindex = (int)ifindex;
	t->tcm_parent = TC_H_ROOT;
	t->tcm_handle = swap ? FQ_HANDLE : OUR_HANDLE;
	mnl_attr_put_strz(nlh, TCA_KIND, "fq");
	nest = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put_u32(nlh, TCA_FQ_PLIMIT, FQ_PACKETS);
	mnl_attr_put_u32(nlh, TCA_FQ_FLOW_PLIMIT, FQ_PACKETS);
	mnl_attr_nest_end(nlh, nest);
	r = nl_talk(n, nlh, 0, e);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

int qdisc_root_del(struct nl *n, uint32_t ifindex, struct err *e)
{
	struct nl_msg *msg = NULL;
	struct rtnl_qdisc *q;
	struct top t;
	int r = tc_dump(n, RTM_GETQDISC, ifindex, top_one, top_reset, &t, e);

	if (r || (t.root != QDISC_ROOT_OURS && t.root != QDISC_ROOT_FQ))
		return r;
	q = build(ifindex, TC_H_ROOT, t.handle, t.root == QDISC_ROOT_FQ ? "fq" : "htb");
	if (!q)
		return err_set(e, -ENOMEM, "qdisc: out of memory");
	r = rtnl_qdisc_build_delete_request(q, &msg);
	rtnl_qdisc_put(q);
	return tc_send(n, r, msg, -ENOENT, e);
}
