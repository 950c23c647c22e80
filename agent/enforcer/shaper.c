/* SPDX-License-Identifier: Apache-2.0 */
/* The back ends. EDT and policer keep their classes in the data plane's virtual queues; HTB keeps a
 * class in the kernel and a queue beside it that only marks. */
#include "shaper.h"
#include "netlink/qdisc.h"

#include <errno.h>
#include <stdio.h>

#define DFLT_PERMILLE 1 /* of a device, guaranteed to what has no agreement; it may borrow all */
#define QUEUE_US      50000
#define CE_US         5000
#define POLICE_US     250000 /* less, and a TCP flow starves between two retransmissions */

/* --- virtual queues ----------------------------------------------------------------------------
 */

static int queue_set(struct enforcer_node *n, const struct device *d, const struct nl_class *c,
		     const struct dp_queue *bounds, struct err *e)
{
	struct dp_queue q = *bounds;
	enum refusal no = REFUSE_NONE;
	int r;

	q.ifindex = d->link.ifindex;
	q.minor = c->minor;
	q.rate = c->ceil;
	r = dp_shape_set(n->dp, &q, &no, e);
	if (r != DP_REFUSED)
		return r;
	return no == REFUSE_MAP_FULL ? -ENOSPC : -EINVAL;
}

static int queues_put(struct enforcer_node *n, struct device *d, const struct nl_class *c,
		      size_t count, const struct dp_queue *bounds, int *result, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		result[i] = queue_set(n, d, &c[i], bounds, e);
	return 0;
}

/* A queue as the class that it holds; none = minor 0. */
static struct nl_class queue_class(struct enforcer_node *n, const struct device *d, uint32_t minor,
				   bool pace, struct nl_class_stats *stats)
{
	struct nl_class c = { 0 };
	struct dp_queue q;

	if (dp_shape_get(n->dp, d->link.ifindex, minor, &q) || q.pace != pace || !q.drop_us)
		return c;
	c = htb_class(minor, q.rate, q.rate, d->link.mtu);
	if (!pace)
		c.limit = 0;
	if (stats)
		*stats = (struct nl_class_stats){ .minor = minor,
						  .bytes = q.bytes,
						  .packets = q.packets,
						  .drops = q.drops,
						  .overlimits = q.marks };
	return c;
}

static int queue_del(struct enforcer_node *n, struct device *d, uint32_t minor, struct err *e)
{
	(void)e;
	dp_shape_del(n->dp, d->link.ifindex, minor);
	return 0;
}

static void queues_drop(struct enforcer_node *n, const struct device *d)
{
	for (uint32_t i = 0; (i = dp_shape_next(n->dp, d->link.ifindex, i));)
		dp_shape_del(n->dp, d->link.ifindex, i);
}

static int queues_list(struct enforcer_node *n, const struct device *d, bool pace, size_t *count,
		       struct err *e)
{
	*count = 0;
	for (uint32_t i = 0; (i = dp_shape_next(n->dp, d->link.ifindex, i));) {
		struct nl_class c = queue_class(n, d, i, pace, &n->stats[*count]);

		if (c.minor != i)
			continue;
		if (*count == CLASSES_CAP)
			return err_set(e, -ENOSPC, "%s: too many classes", d->cfg->name);
		n->classes[(*count)++] = c;
	}
	return 0;
}

/* Neither borrows, and there are no customers: a class is its rate. */
static void queue_fit(const struct device *d, struct nl_class *c)
{
	uint32_t limit = c->limit;

	*c = htb_class(c->minor, c->rate, c->rate, d->link.mtu);
	if (!limit)
		c->limit = 0;
}

/* --- EDT ---------------------------------------------------------------------------------------
 */

static const struct dp_queue paced = { .drop_us = QUEUE_US, .ce_us = CE_US, .pace = true };

/* What no class was promised; at least a thousandth, so that nobody is cut off. */
static rate_t rest_of(const struct device *d)
{
	uint64_t left = d->rate.bps > d->promised ? d->rate.bps - d->promised : 0;
	uint64_t low = d->rate.bps / 1000 * DFLT_PERMILLE;

	left = left > low ? left : low;
	return (rate_t){ left < 8000 ? 8000 : left };
}

static int rest_set(struct enforcer_node *n, struct device *d, struct err *e)
{
	struct nl_class c = htb_class(HTB_DEFAULT, rest_of(d), (rate_t){ 0 }, d->link.mtu);

	return queue_set(n, d, &c, &paced, e);
}

static int edt_ensure(struct enforcer_node *n, struct device *d, struct err *e)
{
	int r = qdisc_fq_ensure(n->nl, d->link.ifindex, e);

	return r ? r : rest_set(n, d, e);
}

static bool edt_stands(struct enforcer_node *n, const struct device *d)
{
	enum qdisc_root root;

	return !qdisc_root(n->nl, d->link.ifindex, &root, NULL) && root == QDISC_ROOT_FQ;
}

/* A raise takes from the rest first; what a lowering frees goes there once all is settled. */
static int edt_put(struct enforcer_node *n, struct device *d, const struct nl_class *c,
		   size_t count, int *result, struct err *e)
{
	struct dp_queue now;
	int r = 0;

	if (dp_shape_get(n->dp, d->link.ifindex, HTB_DEFAULT, &now) ||
	    now.rate.bps > rest_of(d).bps)
		r = rest_set(n, d, e);
	return r ? r : queues_put(n, d, c, count, &paced, result, e);
}

static void edt_settle(struct enforcer_node *n, struct device *d)
{
	(void)rest_set(n, d, NULL);
}

static int edt_get(struct enforcer_node *n, struct device *d, const uint32_t *minor, size_t count,
		   struct nl_class *out, struct err *e)
{
	(void)e;
	for (size_t i = 0; i < count; i++)
		out[i] = queue_class(n, d, minor[i], true, NULL);
	return 0;
}

static int edt_list(struct enforcer_node *n, const struct device *d, size_t *count, struct err *e)
{
	return queues_list(n, d, true, count, e);
}

static int edt_remove(struct enforcer_node *n, struct device *d, struct err *e)
{
	queues_drop(n, d);
	return qdisc_root_del(n->nl, d->link.ifindex, e);
}

const struct shaper shaper_edt = {
	.name = "edt",
	.ensure = edt_ensure,
	.stands = edt_stands,
	.fit = queue_fit,
	.put = edt_put,
	.get = edt_get,
	.del = queue_del,
	.settle = edt_settle,
	.list = edt_list,
	.remove = edt_remove,
};

/* --- HTB ---------------------------------------------------------------------------------------
 */

static const struct dp_queue marking = { .ce_us = CE_US };

static int htb_ensure_root(struct enforcer_node *n, struct device *d, struct err *e)
{
	uint64_t low = (d->rate.bps / 1000 * DFLT_PERMILLE) & ~7ull;
	enum qdisc_root root;
	int r = qdisc_root(n->nl, d->link.ifindex, &root, e);

	if (!r && root == QDISC_ROOT_FQ) {
		queues_drop(n, d);
		r = qdisc_root_del(n->nl, d->link.ifindex, e);
	}
	return r ? r
		 : htb_ensure(n->nl, d->link.ifindex, d->rate, (rate_t){ low < 8000 ? 8000 : low },
			      d->link.mtu, e);
}

static bool htb_stands(struct enforcer_node *n, const struct device *d)
{
	enum qdisc_root root;

	return !qdisc_root(n->nl, d->link.ifindex, &root, NULL) && root == QDISC_ROOT_OURS;
}

static void htb_fit(const struct device *d, struct nl_class *c)
{
	(void)d;
	(void)c;
}

/* A class cannot move below a customer: the idle one makes room. */
static int make_room(struct enforcer_node *n, struct device *d, const struct nl_class *c,
		     struct err *e)
{
	if (!pool_has(d, c->minor))
		return 0;
	pool_taken(d, c->minor);
	return c->parent ? htb_class_del(n->nl, d->link.ifindex, c->minor, e) : 0;
}

static int htb_put(struct enforcer_node *n, struct device *d, const struct nl_class *c,
		   size_t count, int *result, struct err *e)
{
	int r = 0;

	if (count == 1 && htb_inner(c->minor)) {
		*result = htb_class_put(n->nl, d->link.ifindex, c, e);
		return 0;
	}
	for (size_t i = 0; !r && i < count; i++)
		r = make_room(n, d, &c[i], e);
	r = r ? r : htb_classes_put(n->nl, d->link.ifindex, c, count, result, e);
	for (size_t i = 0; !r && i < count; i++)
		if (!result[i])
			(void)queue_set(n, d, &c[i], &marking, NULL); /* a help, no promise */
	return r;
}

static int htb_get(struct enforcer_node *n, struct device *d, const uint32_t *minor, size_t count,
		   struct nl_class *out, struct err *e)
{
	int r = htb_classes_get(n->nl, d->link.ifindex, minor, count, out, e);

	for (size_t i = 0; !r && i < count; i++)
		if (htb_is_idle(&out[i]))
			out[i].minor = 0;
	return r;
}

static int htb_del(struct enforcer_node *n, struct device *d, uint32_t minor, struct err *e)
{
	dp_shape_del(n->dp, d->link.ifindex, minor);
	return pool_wants(n, d, minor) ? pool_give(n, d, minor, e)
				       : htb_class_del(n->nl, d->link.ifindex, minor, e);
}

static int htb_list(struct enforcer_node *n, const struct device *d, size_t *count, struct err *e)
{
	int r = htb_class_list(n->nl, d->link.ifindex, n->classes, n->stats, CLASSES_CAP, count, e);
	size_t to = 0;

	for (size_t i = 0; !r && i < *count; i++) {
		if (htb_is_idle(&n->classes[i]))
			continue;
		n->classes[to] = n->classes[i];
		n->stats[to++] = n->stats[i];
	}
	*count = r ? *count : to;
	return r;
}

const struct shaper shaper_htb = {
	.name = "htb",
	.ensure = htb_ensure_root,
	.stands = htb_stands,
	.fit = htb_fit,
	.put = htb_put,
	.get = htb_get,
	.del = htb_del,
	.list = htb_list,
	.remove = edt_remove, /* queues and root */
};

/* --- policer -----------------------------------------------------------------------------------
 */

static const struct dp_queue policed = { .drop_us = POLICE_US };

/* A root of ours goes: it would shape what nobody asks it to. */
static int policer_ensure(struct enforcer_node *n, struct device *d, struct err *e)
{
	return qdisc_root_del(n->nl, d->link.ifindex, e);
}

static bool policer_stands(struct enforcer_node *n, const struct device *d)
{
	(void)n;
	(void)d;
	return true;
}

static int policer_put(struct enforcer_node *n, struct device *d, const struct nl_class *c,
		       size_t count, int *result, struct err *e)
{
	return queues_put(n, d, c, count, &policed, result, e);
}

static int policer_get(struct enforcer_node *n, struct device *d, const uint32_t *minor,
		       size_t count, struct nl_class *out, struct err *e)
{
	(void)e;
	for (size_t i = 0; i < count; i++)
		out[i] = queue_class(n, d, minor[i], false, NULL);
	return 0;
}

static int policer_list(struct enforcer_node *n, const struct device *d, size_t *count,
			struct err *e)
{
	return queues_list(n, d, false, count, e);
}

const struct shaper shaper_policer = {
	.name = "policer",
	.ensure = policer_ensure,
	.stands = policer_stands,
	.fit = queue_fit,
	.put = policer_put,
	.get = policer_get,
	.del = queue_del,
	.list = policer_list,
	.remove = edt_remove,
};

/* --- the choice --------------------------------------------------------------------------------
 */

const struct shaper *shaper_of(const struct device *d, const struct nl_class *c)
{
	return c->limit || htb_inner(c->minor) ? d->shaper : &shaper_policer;
}

static const struct shaper *const order[] = { &shaper_edt, &shaper_htb, &shaper_policer };

int shaper_choose(struct enforcer_node *n, struct device *d, struct err *e)
{
	struct err why = { 0 };
	size_t len = 0;
	int r = -EOPNOTSUPP;

	d->refused[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(order) && r == -EOPNOTSUPP; i++) {
		if (d->cfg->shaper && d->cfg->shaper != i + 1)
			continue;
		why = (struct err){ 0 };
		r = order[i]->ensure(n, d, &why);
		if (!r)
			d->shaper = order[i];
		else if (r == -EOPNOTSUPP && len < sizeof(d->refused))
			len += (size_t)snprintf(d->refused + len, sizeof(d->refused) - len,
						"%s%s: %s", len ? "; " : "", order[i]->name,
						why.text);
	}
	return r ? err_set(e, r, "%s", why.text) : 0;
}

void shaper_rule(const struct enforcer_node *n, const struct device *d, bool over, char *to,
		 size_t room)
{
	if (over)
		(void)snprintf(to, room, "htb's max-classes (%u) were taken",
			       n->c->node.max_classes);
	else if (d->cfg->shaper)
		(void)snprintf(to, room, "shaper = %s", d->shaper->name);
	else
		(void)snprintf(to, room, "shaper = auto: the first that is here");
}
