/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/msg.h>
#include <netlink/errno.h>
#include <netlink/route/class.h>
#include <netlink/route/tc.h>
#include <netlink/route/qdisc/htb.h>

#include "htb.h"
#include "qdisc.h"
#include "tc.h"

#define OUR_HANDLE  TC_H_MAKE(HTB_MAJOR << 16, 0)
#define FRAME_EXTRA 18u /* Ethernet header and checksum */
#define LEAF_MS     50u
/* A leaf counts packets, whatever their size: by full frames of 9000 a class of 20 Mbit/s would
 * hold 7 ms of 1000-byte packets and run dry between two bursts of its sender. */
#define LEAF_FRAME  600u
#define BURST_MS    10u /* a timer of a busy machine is late by some milliseconds */
#define QUANTUM_MAX 200000u
#define TICK_NS     64u

static uint32_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
	return (uint32_t)(v < lo ? lo : v > hi ? hi : v);
}

struct nl_class htb_class(uint32_t minor, rate_t rate, rate_t ceil, uint32_t mtu)
{
	uint32_t frame = mtu + FRAME_EXTRA;
	struct nl_class c;

	memset(&c, 0, sizeof(c));
	c.minor = minor;
	c.rate.bps = rate.bps & ~7ull;
	c.ceil.bps = ceil.bps ? ceil.bps & ~7ull : c.rate.bps;
	c.burst = clamp(c.rate.bps / 8000 * BURST_MS, 2ull * frame, UINT32_MAX);
	c.cburst = clamp(c.ceil.bps / 8000 * BURST_MS, 2ull * frame, UINT32_MAX);
	c.prio = 0;
	c.quantum = clamp(c.rate.bps / 800, frame < 1000 ? 1000 : frame, QUANTUM_MAX);
	if (minor != HTB_ROOT)
		c.limit = clamp(c.ceil.bps / 8000 * LEAF_MS / LEAF_FRAME + 1, 16, HTB_LIMIT_MAX);
	return c;
}

/* libnl counts a burst in whole microseconds of a 32-bit rate, which at 10 Gbit/s is wrong by a
 * frame and above 17 Gbit/s by everything. The kernel counts ticks of 64 ns: say it ourselves. */
static uint32_t ticks(uint32_t burst, rate_t rate)
{
	uint64_t ns = (uint64_t)burst * 1000000000u / (rate.bps / 8);

	return (uint32_t)((ns + TICK_NS - 1) / TICK_NS);
}

static uint32_t bytes(uint32_t tick, uint64_t bytes_per_s)
{
	unsigned __int128 b = (unsigned __int128)tick * TICK_NS * bytes_per_s / 1000000000u;

	return b > UINT32_MAX ? UINT32_MAX : (uint32_t)b;
}

static struct tc_htb_opt *parms(struct nlmsghdr *nlh)
{
	struct nlattr *opt = nlmsg_find_attr(nlh, sizeof(struct tcmsg), TCA_OPTIONS);
	struct nlattr *p = opt ? nla_find(nla_data(opt), nla_len(opt), TCA_HTB_PARMS) : NULL;

	return p && nla_len(p) >= (int)sizeof(struct tc_htb_opt) ? nla_data(p) : NULL;
}

static struct rtnl_class *build(uint32_t ifindex, uint32_t minor)
{
	struct rtnl_class *k = rtnl_class_alloc();

	if (!k)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(k), (int)ifindex);
	rtnl_tc_set_handle(TC_CAST(k), TC_H_MAKE(OUR_HANDLE, minor));
	rtnl_tc_set_parent(TC_CAST(k),
			   minor == HTB_ROOT ? OUR_HANDLE : TC_H_MAKE(OUR_HANDLE, HTB_ROOT));
	if (rtnl_tc_set_kind(TC_CAST(k), "htb") < 0) {
		rtnl_class_put(k);
		return NULL;
	}
	return k;
}

static int put_class(struct nl *n, uint32_t ifindex, const struct nl_class *c, struct err *e)
{
	struct rtnl_class *k = build(ifindex, c->minor);
	struct nl_msg *msg = NULL;
	struct tc_htb_opt *opt;
	int r;

	if (!k)
		return err_set(e, -ENOMEM, "class: out of memory");
	(void)rtnl_htb_set_rate64(k, c->rate.bps / 8);
	(void)rtnl_htb_set_ceil64(k, c->ceil.bps / 8);
	(void)rtnl_htb_set_prio(k, c->prio);
	(void)rtnl_htb_set_quantum(k, c->quantum);
	r = rtnl_class_build_add_request(k, NLM_F_CREATE, &msg);
	rtnl_class_put(k);
	if (r >= 0) {
		opt = parms(nlmsg_hdr(msg));
		if (!opt) {
			nlmsg_free(msg);
			return err_set(e, -EPROTO, "class: libnl made a message without its rate");
		}
		opt->buffer = ticks(c->burst, c->rate);
		opt->cbuffer = ticks(c->cburst, c->ceil);
	}
	return tc_send(n, r, msg, 0, e);
}

int htb_class_put(struct nl *n, uint32_t ifindex, const struct nl_class *c, struct err *e)
{
	struct nl_obj o = { .kind = NL_CLASS, .ours = true, .ifindex = ifindex, .u.class = *c };
	const char *why = nl_obj_check(&o);
	bool alone = !nl_in_batch(n);
	int r, end;

	if (why)
		return err_set(e, -EINVAL, "%s", why);
	if (alone)
		nl_batch_begin(n, NULL, 0);
	r = put_class(n, ifindex, c, e);
	if (!r && c->minor != HTB_ROOT)
		r = tc_put_leaf(n, ifindex, c->minor, c->limit, e);
	if (!alone)
		return r;
	end = nl_batch_end(n, NULL, e);
	return r ? r : end;
}

int htb_ensure(struct nl *n, uint32_t ifindex, rate_t rate, rate_t dflt, uint32_t mtu,
	       struct err *e)
{
	struct nl_class root = htb_class(HTB_ROOT, rate, rate, mtu);
	struct nl_class low = htb_class(HTB_DEFAULT, dflt, rate, mtu);
	int r = qdisc_htb_ensure(n, ifindex, e);

	low.prio = 7; /* what has an agreement borrows first */
	if (!r)
		r = htb_class_put(n, ifindex, &root, e);
	if (!r)
		r = htb_class_put(n, ifindex, &low, e);
	return r;
}

int htb_class_del(struct nl *n, uint32_t ifindex, uint32_t minor, struct err *e)
{
	struct rtnl_class *k = build(ifindex, minor);
	struct nl_msg *msg = NULL;
	int r;

	if (!k)
		return err_set(e, -ENOMEM, "class: out of memory");
	r = rtnl_class_build_delete_request(k, &msg);
	rtnl_class_put(k);
	return tc_send(n, r, msg, -ENOENT, e);
}

/* --- reading ------------------------------------------------------------------------------- */

struct row {
	struct nl_class c;
	struct nl_class_stats s;
};

struct list {
	struct row *row;
	size_t n, cap;
};

static void list_reset(void *arg)
{
	struct list *l = arg;

	l->n = 0;
}

static struct nl_class_stats stats_of(struct rtnl_tc *tc, uint32_t minor)
{
	return (struct nl_class_stats){
		.minor = minor,
		.bytes = rtnl_tc_get_stat(tc, RTNL_TC_BYTES),
		.packets = rtnl_tc_get_stat(tc, RTNL_TC_PACKETS),
		.drops = rtnl_tc_get_stat(tc, RTNL_TC_DROPS),
		.overlimits = rtnl_tc_get_stat(tc, RTNL_TC_OVERLIMITS),
		.backlog_bytes = rtnl_tc_get_stat(tc, RTNL_TC_BACKLOG),
		.qlen = rtnl_tc_get_stat(tc, RTNL_TC_QLEN),
	};
}

static int list_class(struct nl_object *o, const struct nlmsghdr *nlh, void *arg)
{
	struct nlmsghdr *raw = (struct nlmsghdr *)(uintptr_t)nlh; /* parms() only reads here */
	struct rtnl_class *k = (struct rtnl_class *)o;
	const struct tc_htb_opt *opt = parms(raw);
	uint32_t handle = rtnl_tc_get_handle(TC_CAST(o));
	uint64_t rate = 0, ceil = 0;
	struct list *l = arg;
	struct row *w;

	if (TC_H_MAJ(handle) != OUR_HANDLE)
		return 0;
	if (!opt || rtnl_htb_get_rate64(k, &rate) < 0 || rtnl_htb_get_ceil64(k, &ceil) < 0)
		return -EPROTO;
	if (l->n == l->cap)
		return -ENOSPC;
	w = &l->row[l->n++];
	memset(w, 0, sizeof(*w));
	w->c.minor = TC_H_MIN(handle);
	w->c.rate.bps = rate * 8;
	w->c.ceil.bps = ceil * 8;
	w->c.burst = bytes(opt->buffer, rate);
	w->c.cburst = bytes(opt->cbuffer, ceil);
	w->c.prio = opt->prio;
	w->c.quantum = opt->quantum;
	w->s = stats_of(TC_CAST(o), w->c.minor);
	return 0;
}

static int by_minor(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return (x->c.minor > y->c.minor) - (x->c.minor < y->c.minor);
}

static void leaves_reset(void *arg)
{
	struct list *l = arg;

	for (size_t i = 0; i < l->n; i++)
		l->row[i].c.limit = 0;
}

/* A leaf that is not our pfifo leaves the limit 0, which no wanted class has. */
static int list_leaf(struct nl_object *o, const struct nlmsghdr *nlh, void *arg)
{
	uint32_t parent = rtnl_tc_get_parent(TC_CAST(o));
	struct row key = { .c = { .minor = TC_H_MIN(parent) } }, *w;
	struct list *l = arg;
	uint32_t limit = 0;

	(void)nlh;
	if (parent == TC_H_ROOT || TC_H_MAJ(parent) != OUR_HANDLE)
		return 0;
	w = bsearch(&key, l->row, l->n, sizeof(key), by_minor);
	if (w && rtnl_tc_get_handle(TC_CAST(o)) == TC_H_MAKE(key.c.minor << 16, 0) &&
	    tc_pfifo_limit(o, &limit))
		w->c.limit = limit;
	return 0;
}

int htb_class_list(struct nl *n, uint32_t ifindex, struct nl_class *out,
		   struct nl_class_stats *stats, size_t cap, size_t *count, struct err *e)
{
	auto_free struct row *row = calloc(cap + 1, sizeof(*row));
	struct list l = { .row = row, .cap = cap };
	enum qdisc_root root = QDISC_ROOT_DEFAULT;
	int r = row ? qdisc_root(n, ifindex, &root, e) : err_set(e, -ENOMEM, "class list");

	if (r)
		return r;
	if (root == QDISC_ROOT_OURS) {
		r = tc_dump(n, RTM_GETTCLASS, ifindex, list_class, list_reset, &l, e);
		qsort(row, l.n, sizeof(*row), by_minor);
		if (!r)
			r = tc_dump(n, RTM_GETQDISC, ifindex, list_leaf, leaves_reset, &l, e);
		if (r)
			return r;
	}
	for (size_t i = 0; i < l.n; i++) {
		out[i] = row[i].c;
		if (stats)
			stats[i] = row[i].s;
	}
	*count = l.n;
	return 0;
}
