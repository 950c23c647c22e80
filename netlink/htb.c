/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <libmnl/libmnl.h>

#include "htb.h"
#include "htb_msg.h"
#include "qdisc.h"
#include "tc.h"

#define FRAME_EXTRA 18u /* Ethernet header and checksum */
/* A leaf counts bytes, so that it holds the same time of small and of large packets. It must hold
 * an initial TCP window that comes as one segmented packet, whatever the rate. */
#define LEAF_MS     50u
#define LEAF_FRAMES 16u
#define BURST_MS    10u /* a timer of a busy machine is late by some milliseconds */
#define QUANTUM_MAX 200000u

static uint32_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
	return (uint32_t)(v < lo ? lo : v > hi ? hi : v);
}

bool htb_inner(uint32_t minor)
{
	return minor == HTB_ROOT || minor >= HTB_CUSTOMER_BASE;
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
	if (!htb_inner(minor))
		c.limit =
			clamp(c.ceil.bps / 8000 * LEAF_MS,
			      (uint64_t)LEAF_FRAMES * (frame < 1518 ? 1518 : frame), HTB_LIMIT_MAX);
	return c;
}

struct nl_class htb_idle(uint32_t minor, rate_t ceil, uint32_t mtu)
{
	struct nl_class c = htb_class(minor, (rate_t){ HTB_IDLE_BPS }, ceil, mtu);

	c.prio = 7;
	c.quantum = QUANTUM_MAX + 1;
	return c;
}

bool htb_is_idle(const struct nl_class *c)
{
	return !htb_inner(c->minor) && c->quantum == QUANTUM_MAX + 1;
}

static int check(uint32_t ifindex, const struct nl_class *c, struct err *e)
{
	struct nl_obj o = { .kind = NL_CLASS, .ours = true, .ifindex = ifindex, .u.class = *c };
	const char *why = nl_obj_check(&o);

	return why ? err_set(e, -EINVAL, "%s", why) : 0;
}

int htb_class_put(struct nl *n, uint32_t ifindex, const struct nl_class *c, struct err *e)
{
	bool alone = !nl_in_batch(n);
	int r = check(ifindex, c, e), end;

	if (r)
		return r;
	if (alone)
		nl_batch_begin(n, NULL, 0);
	r = nl_talk(n, htb_msg_class(nl_scratch(n), ifindex, c), 0, e);
	if (!r && !htb_inner(c->minor))
		r = nl_talk(n, htb_msg_leaf(nl_scratch(n), ifindex, c), 0, e);
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
	return nl_talk(n, htb_msg_class_del(nl_scratch(n), ifindex, minor), -ENOENT, e);
}

/* --- many at once -------------------------------------------------------------------------- */

/* Results of the class and the leaf message of class i are 2i and 2i + 1. */
static int worse(const int *result, size_t i)
{
	return result[2 * i] ? result[2 * i] : result[2 * i + 1];
}

int htb_classes_put(struct nl *n, uint32_t ifindex, const struct nl_class *c, size_t count,
		    int *result, struct err *e)
{
	int two[2 * HTB_MANY] = { 0 };
	int r = count > HTB_MANY ? err_set(e, -E2BIG, "classes: above %d", HTB_MANY) : 0;

	for (size_t i = 0; !r && i < count; i++)
		r = htb_inner(c[i].minor) ? -EINVAL : check(ifindex, &c[i], e);
	if (r)
		return r;
	nl_batch_begin(n, two, 2 * count);
	for (size_t i = 0; i < count; i++) {
		r = nl_talk(n, htb_msg_class(nl_scratch(n), ifindex, &c[i]), 0, e);
		r = r ? r : nl_talk(n, htb_msg_leaf(nl_scratch(n), ifindex, &c[i]), 0, e);
		if (r)
			break;
	}
	(void)!nl_batch_end(n, NULL, e);
	for (size_t i = 0; !r && i < count; i++)
		result[i] = worse(two, i);
	return r;
}

struct answers {
	struct nl_class *out;
	int code;
};

/* Answer i: even = the class, odd = its leaf. */
static void take_answer(size_t i, const struct nlmsghdr *nlh, void *arg)
{
	struct answers *a = arg;
	struct nl_class *c = &a->out[i / 2], seen;
	uint32_t minor, limit;
	int r;

	if (i % 2 == 0) {
		r = nlh->nlmsg_type == RTM_NEWTCLASS ? htb_msg_read_class(nlh, &seen, NULL) : 0;
		if (r == 1 && seen.minor == c->minor) {
			seen.limit = c->limit;
			*c = seen;
		}
	} else {
		r = nlh->nlmsg_type == RTM_NEWQDISC ? htb_msg_read_leaf(nlh, &minor, &limit) : 0;
		if (r == 1 && minor == c->minor)
			c->limit = limit;
	}
	if (r < 0)
		a->code = r;
}

int htb_classes_get(struct nl *n, uint32_t ifindex, const uint32_t *minor, size_t count,
		    struct nl_class *out, struct err *e)
{
	struct answers a = { .out = out };
	int two[2 * HTB_MANY] = { 0 }, r = 0;

	if (count > HTB_MANY)
		return err_set(e, -E2BIG, "classes: above %d", HTB_MANY);
	memset(out, 0, count * sizeof(*out));
	nl_batch_begin(n, two, 2 * count);
	nl_batch_answers(n, take_answer, &a);
	for (size_t i = 0; !r && i < count; i++) {
		out[i].minor = minor[i];
		r = nl_talk(n, htb_msg_class_get(nl_scratch(n), ifindex, minor[i]), -ENOENT, e);
		r = r ? r
		      : nl_talk(n, htb_msg_leaf_get(nl_scratch(n), ifindex, minor[i]), -ENOENT, e);
	}
	(void)!nl_batch_end(n, NULL, NULL);
	for (size_t i = 0; !r && i < count; i++) {
		if (two[2 * i])
			r = err_set(e, two[2 * i], "class %x: %s", minor[i], strerror(-two[2 * i]));
		if (!out[i].rate.bps)
			out[i].minor = 0;
	}
	return a.code ? err_set(e, a.code, "class: an answer cannot be read") : r;
}

/* --- reading ------------------------------------------------------------------------------- */

struct row {
	struct nl_class c;
	struct nl_class_stats s;
};

struct list {
	struct row *row;
	size_t n, cap;
	uint32_t ifindex;
};

static void list_reset(void *arg)
{
	struct list *l = arg;

	l->n = 0;
}

static bool of_device(const struct list *l, const struct nlmsghdr *nlh)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(nlh);

	return mnl_nlmsg_get_payload_len(nlh) >= sizeof(*t) &&
	       (uint32_t)t->tcm_ifindex == l->ifindex;
}

static int list_class(const struct nlmsghdr *nlh, void *arg)
{
	struct list *l = arg;
	struct row w = { 0 };
	int r = of_device(l, nlh) ? htb_msg_read_class(nlh, &w.c, &w.s) : 0;

	if (r <= 0)
		return r;
	if (l->n == l->cap)
		return -ENOSPC;
	l->row[l->n++] = w;
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

/* A leaf that is not our bfifo leaves the limit 0, which no wanted class has. */
static int list_leaf(const struct nlmsghdr *nlh, void *arg)
{
	struct row key = { 0 }, *w;
	struct list *l = arg;
	uint32_t limit = 0;
	int r = of_device(l, nlh) ? htb_msg_read_leaf(nlh, &key.c.minor, &limit) : 0;

	if (r <= 0)
		return r;
	w = bsearch(&key, l->row, l->n, sizeof(key), by_minor);
	if (w)
		w->c.limit = limit;
	return 0;
}

static int list_dump(struct nl *n, uint16_t type, struct list *l, struct err *e)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl_scratch(n));
	struct tcmsg *t = mnl_nlmsg_put_extra_header(nlh, sizeof(*t));

	nlh->nlmsg_type = type;
	t->tcm_ifindex = (int)l->ifindex;
	return type == RTM_GETTCLASS ? nl_dump_mnl(n, nlh, list_class, list_reset, l, e)
				     : nl_dump_mnl(n, nlh, list_leaf, leaves_reset, l, e);
}

int htb_class_list(struct nl *n, uint32_t ifindex, struct nl_class *out,
		   struct nl_class_stats *stats, size_t cap, size_t *count, struct err *e)
{
	auto_free struct row *row = calloc(cap + 1, sizeof(*row));
	struct list l = { .row = row, .cap = cap, .ifindex = ifindex };
	enum qdisc_root root = QDISC_ROOT_DEFAULT;
	int r = row ? qdisc_root(n, ifindex, &root, e) : err_set(e, -ENOMEM, "class list");

	if (r)
		return r;
	if (root == QDISC_ROOT_OURS) {
		r = list_dump(n, RTM_GETTCLASS, &l, e);
		if (!r) {
			qsort(row, l.n, sizeof(*row), by_minor);
			r = list_dump(n, RTM_GETQDISC, &l, e);
		}
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
