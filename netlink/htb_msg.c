/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "htb_msg.h"

#define TICK_NS 64u

/* The kernel counts ticks of 64 ns. */
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

static struct nlmsghdr *start(void *buf, uint16_t type, uint16_t flags, struct tcmsg want)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *t;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	t = mnl_nlmsg_put_extra_header(nlh, sizeof(*t));
	*t = want;
	return nlh;
}

static uint32_t parent_of(const struct nl_class *c)
{
	if (c->minor == HTB_ROOT)
		return HTB_HANDLE;
	return HTB_HANDLE | (c->parent ? c->parent : HTB_ROOT);
}

/* A rate in the 32-bit field; the 64-bit attribute beside it says what does not fit. */
static struct tc_ratespec spec(rate_t r)
{
	uint64_t v = r.bps / 8;

	return (struct tc_ratespec){ .linklayer = TC_LINKLAYER_ETHERNET,
				     .rate = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v };
}

struct nlmsghdr *htb_msg_class(void *buf, uint32_t ifindex, const struct nl_class *c)
{
	const struct tc_htb_opt opt = { .rate = spec(c->rate),
					.ceil = spec(c->ceil),
					.buffer = ticks(c->burst, c->rate),
					.cbuffer = ticks(c->cburst, c->ceil),
					.quantum = c->quantum,
					.prio = c->prio };
	struct nlmsghdr *nlh = start(buf, RTM_NEWTCLASS, NLM_F_CREATE,
				     (struct tcmsg){ .tcm_ifindex = (int)ifindex,
						     .tcm_handle = HTB_HANDLE | c->minor,
						     .tcm_parent = parent_of(c) });
	struct nlattr *nest;

	mnl_attr_put_strz(nlh, TCA_KIND, "htb");
	nest = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put(nlh, TCA_HTB_PARMS, sizeof(opt), &opt);
	if (c->rate.bps / 8 > UINT32_MAX)
		mnl_attr_put_u64(nlh, TCA_HTB_RATE64, c->rate.bps / 8);
	if (c->ceil.bps / 8 > UINT32_MAX)
		mnl_attr_put_u64(nlh, TCA_HTB_CEIL64, c->ceil.bps / 8);
	mnl_attr_nest_end(nlh, nest);
	return nlh;
}

struct nlmsghdr *htb_msg_class_del(void *buf, uint32_t ifindex, uint32_t minor)
{
	return start(
		buf, RTM_DELTCLASS, 0,
		(struct tcmsg){ .tcm_ifindex = (int)ifindex, .tcm_handle = HTB_HANDLE | minor });
}

struct nlmsghdr *htb_msg_leaf(void *buf, uint32_t ifindex, const struct nl_class *c)
{
	const struct tc_fifo_qopt opt = { .limit = c->limit };
	struct nlmsghdr *nlh = start(buf, RTM_NEWQDISC, NLM_F_CREATE,
				     (struct tcmsg){ .tcm_ifindex = (int)ifindex,
						     .tcm_handle = c->minor << 16,
						     .tcm_parent = HTB_HANDLE | c->minor });

	mnl_attr_put_strz(nlh, TCA_KIND, "bfifo");
	mnl_attr_put(nlh, TCA_OPTIONS, sizeof(opt), &opt);
	return nlh;
}

/* ECHO: before Linux 6.13 the answer is a notification, which reaches the sender only so. */
struct nlmsghdr *htb_msg_class_get(void *buf, uint32_t ifindex, uint32_t minor)
{
	return start(
		buf, RTM_GETTCLASS, NLM_F_ECHO,
		(struct tcmsg){ .tcm_ifindex = (int)ifindex, .tcm_handle = HTB_HANDLE | minor });
}

struct nlmsghdr *htb_msg_leaf_get(void *buf, uint32_t ifindex, uint32_t minor)
{
	return start(
		buf, RTM_GETQDISC, NLM_F_ECHO,
		(struct tcmsg){ .tcm_ifindex = (int)ifindex, .tcm_parent = HTB_HANDLE | minor });
}

/* --- reading ------------------------------------------------------------------------------- */

struct found {
	const struct nlattr *kind, *options, *stats;
	struct tc_htb_opt opt;
	uint64_t rate, ceil;
	bool has_opt;
};

static int take_option(const struct nlattr *a, void *arg)
{
	struct found *f = arg;
	size_t len = mnl_attr_get_payload_len(a);

	switch (mnl_attr_get_type(a)) {
	case TCA_HTB_PARMS:
		if (len < sizeof(f->opt))
			return MNL_CB_ERROR;
		memcpy(&f->opt, mnl_attr_get_payload(a), sizeof(f->opt));
		f->has_opt = true;
		break;
	case TCA_HTB_RATE64:
	case TCA_HTB_CEIL64:
		if (len != sizeof(uint64_t))
			return MNL_CB_ERROR;
		if (mnl_attr_get_type(a) == TCA_HTB_RATE64)
			f->rate = mnl_attr_get_u64(a);
		else
			f->ceil = mnl_attr_get_u64(a);
		break;
	default: break;
	}
	return MNL_CB_OK;
}

static int take_attr(const struct nlattr *a, void *arg)
{
	struct found *f = arg;

	switch (mnl_attr_get_type(a)) {
	case TCA_KIND:
		if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING))
			return MNL_CB_ERROR;
		f->kind = a;
		break;
	case TCA_OPTIONS: f->options = a; break;
	case TCA_STATS2: f->stats = a; break;
	default: break;
	}
	return MNL_CB_OK;
}

/* 1 = a message of this kind (in nlmsg_type's table), 0 = not. */
static int scan(const struct nlmsghdr *nlh, const char *kind, struct found *f)
{
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct tcmsg))
		return -EPROTO;
	if (mnl_attr_parse(nlh, sizeof(struct tcmsg), take_attr, f) < 0)
		return -EPROTO;
	return f->kind && !strcmp(mnl_attr_get_str(f->kind), kind);
}

static int take_stat(const struct nlattr *a, void *arg)
{
	struct nl_class_stats *s = arg;
	const void *p = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);
	struct gnet_stats_basic b = { 0 };
	struct gnet_stats_queue q = { 0 };

	switch (mnl_attr_get_type(a)) {
	case TCA_STATS_BASIC: /* the kernel's own length is without the tail's padding */
		memcpy(&b, p, len < sizeof(b) ? len : sizeof(b));
		s->bytes = b.bytes;
		if (!s->packets)
			s->packets = b.packets;
		break;
	case TCA_STATS_PKT64:
		if (len == sizeof(uint64_t))
			s->packets = mnl_attr_get_u64(a);
		break;
	case TCA_STATS_QUEUE:
		memcpy(&q, p, len < sizeof(q) ? len : sizeof(q));
		s->qlen = q.qlen;
		s->backlog_bytes = q.backlog;
		s->drops = q.drops;
		s->overlimits = q.overlimits;
		break;
	default: break;
	}
	return MNL_CB_OK;
}

int htb_msg_read_class(const struct nlmsghdr *nlh, struct nl_class *ret,
		       struct nl_class_stats *stats)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(nlh);
	struct found f = { 0 };
	struct nl_class c;
	int r = scan(nlh, "htb", &f);

	if (r <= 0)
		return r;
	if (TC_H_MAJ(t->tcm_handle) != HTB_HANDLE)
		return 0;
	if (!f.options || mnl_attr_parse_nested(f.options, take_option, &f) < 0 || !f.has_opt)
		return -EPROTO;
	memset(&c, 0, sizeof(c));
	c.minor = TC_H_MIN(t->tcm_handle);
	if (TC_H_MAJ(t->tcm_parent) == HTB_HANDLE && TC_H_MIN(t->tcm_parent) != HTB_ROOT)
		c.parent = TC_H_MIN(t->tcm_parent);
	f.rate = f.rate ? f.rate : f.opt.rate.rate;
	f.ceil = f.ceil ? f.ceil : f.opt.ceil.rate;
	if (f.rate > UINT64_MAX / 8 || f.ceil > UINT64_MAX / 8)
		return -EPROTO;
	c.rate.bps = f.rate * 8;
	c.ceil.bps = f.ceil * 8;
	c.burst = bytes(f.opt.buffer, f.rate);
	c.cburst = bytes(f.opt.cbuffer, f.ceil);
	c.prio = f.opt.prio;
	c.quantum = f.opt.quantum;
	*ret = c;
	if (!stats)
		return 1;
	memset(stats, 0, sizeof(*stats));
	stats->minor = c.minor;
	return !f.stats || mnl_attr_parse_nested(f.stats, take_stat, stats) >= 0 ? 1 : -EPROTO;
}

int htb_msg_read_leaf(const struct nlmsghdr *nlh, uint32_t *minor, uint32_t *limit)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(nlh);
	struct tc_fifo_qopt opt;
	struct found f = { 0 };
	int r = scan(nlh, "bfifo", &f);

	if (r <= 0)
		return r;
	if (t->tcm_parent == TC_H_ROOT || TC_H_MAJ(t->tcm_parent) != HTB_HANDLE ||
	    t->tcm_handle != TC_H_MIN(t->tcm_parent) << 16)
		return 0;
	if (!f.options || mnl_attr_get_payload_len(f.options) < sizeof(opt))
		return -EPROTO;
	memcpy(&opt, mnl_attr_get_payload(f.options), sizeof(opt));
	*minor = TC_H_MIN(t->tcm_parent);
	*limit = opt.limit;
	return 1;
}
