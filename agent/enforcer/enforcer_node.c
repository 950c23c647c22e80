/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, healing and leaving. Everything goes through heal_device() and paths_apply(), which look
 * first and change only what differs: at start, when the link monitor says that something moved,
 * and after a restart of the daemon over a kernel that kept running. */
#include "enforcer_int.h"
#include "netlink/qdisc.h"
#include "shaper.h"

#include <errno.h>

#define HEAL_US    50000 /* events come in bursts */
#define RETRY_US   1000000
#define EVENTS_MAX 256

struct device *device_find(struct enforcer_node *n, const char *name)
{
	for (uint32_t i = 0; i < n->n_dev; i++)
		if (!strcmp(n->dev[i].cfg->name, name))
			return &n->dev[i];
	return NULL;
}

struct device *device_at(struct enforcer_node *n, uint32_t ifindex)
{
	for (uint32_t i = 0; i < n->n_dev; i++)
		if (n->dev[i].link.ifindex == ifindex)
			return &n->dev[i];
	return NULL;
}

/* --- one device --------------------------------------------------------------------------------
 */

/* Its ifindex is not the device's any more: gone, or under another name, and then it goes on
 * without us. */
static void leave(struct enforcer_node *n, struct device *d)
{
	struct err e = { 0 };

	log_warn("device %s: ifindex %u is gone", d->cfg->name, d->link.ifindex);
	(void)dp_port_detach(n->dp, d->link.ifindex, NULL);
	for (uint32_t i = 0; (i = dp_shape_next(n->dp, d->link.ifindex, i));)
		dp_shape_del(n->dp, d->link.ifindex, i);
	if (d->shaped && qdisc_root_del(n->nl, d->link.ifindex, &e))
		log_warn("ifindex %u: its root qdisc stays: %s", d->link.ifindex, e.text);
	d->attached = d->shaped = false;
	d->was = d->was ? d->was : d->link.ifindex;
}

/* Where the device is now. */
static int look(struct enforcer_node *n, struct device *d, struct err *e)
{
	struct nl_link now = { 0 };
	struct err mine = { 0 };
	int r = link_find(n->nl, d->cfg->name, &now, &mine);

	if (r && r != -ENODEV)
		return err_set(e, r, "%s", mine.text);
	if (d->link.ifindex && d->link.ifindex != now.ifindex)
		leave(n, d);
	if (now.speed.bps && now.speed.bps < d->rate.bps && now.speed.bps != d->link.speed.bps)
		log_warn(
			"device %s: its rate is %llu bit/s, its link has %llu: no more is promised",
			d->cfg->name, (unsigned long long)d->rate.bps,
			(unsigned long long)now.speed.bps);
	d->link = now;
	return 0;
}

static int attach(struct enforcer_node *n, struct device *d, struct err *e)
{
	struct dp_port p = { .ifindex = d->link.ifindex,
			     .role = d->cfg->role == DEVICE_CUSTOMER ? DP_ROLE_EDGE : DP_ROLE_NODE,
			     .dir = d->cfg->dir ? DP_DOWN : DP_UP };
	enum refusal no = REFUSE_NONE;
	int r;

	if (d->cfg->role == DEVICE_LOCAL || d->attached)
		return 0;
	r = dp_port_attach(n->dp, &p, &no, e);
	if (!r)
		r = dp_port_get(n->dp, p.ifindex, &p);
	if (r)
		return err_set(e, r == DP_REFUSED ? -EEXIST : r, "device %s: port: %s",
			       d->cfg->name, strerror(-r));
	d->hook = p.hook;
	d->attached = true;
	return 0;
}

static int foreign(const struct device *d, struct err *e)
{
	return err_set(e, -EEXIST, "device %s: another root qdisc is there: remove it, or the rate",
		       d->cfg->name);
}

/* Before anything is attached anywhere: a start that is refused changes nothing. */
static int may_shape(struct enforcer_node *n, struct device *d, struct err *e)
{
	enum qdisc_root root;
	int r = look(n, d, e);

	if (r || !d->link.ifindex || !d->rate.bps)
		return r;
	r = qdisc_root(n->nl, d->link.ifindex, &root, e);
	return r ? r : root == QDISC_ROOT_FOREIGN ? foreign(d, e) : 0;
}

static int shape(struct enforcer_node *n, struct device *d, struct err *e)
{
	struct err mine = { 0 };
	int r;

	if (!d->rate.bps || (d->shaped && d->shaper->stands(n, d)))
		return 0;
	d->shaped = false;
	pool_forget(d);
	r = shaper_choose(n, d, &mine);
	if (r == -EEXIST)
		return foreign(d, e);
	if (r)
		return err_set(e, r, "device %s: shaper: %s", d->cfg->name, mine.text);
	d->shaped = true;
	pool_adopt(n, d);
	if (d->n_classes)
		classes_again(n, d);
	r = classes_adopt(n, d, e);
	pool_start(n);
	return r;
}

static int heal_device(struct enforcer_node *n, struct device *d, struct err *e)
{
	int r = look(n, d, e);

	if (r || !d->link.ifindex)
		return r;
	r = attach(n, d, e);
	r = r ? r : shape(n, d, e);
	if (!r && d->was)
		labels_rebind(n, d);
	return r;
}

/* shaped turns true again only here, so a tree that somebody took away shows as a change. */
static void check_tree(struct enforcer_node *n, struct device *d)
{
	if (d->shaped && d->link.ifindex && !d->shaper->stands(n, d)) {
		log_warn("device %s: our root qdisc is gone", d->cfg->name);
		d->shaped = false;
	}
}

static void on_heal(void *arg)
{
	struct enforcer_node *n = arg;

	n->healing = NULL;
	enforcer_node_heal(n);
}

static void heal_soon(struct enforcer_node *n, int64_t us)
{
	if (n->loop && !n->healing)
		n->healing = loop_after(n->loop, us, on_heal, n);
}

/* A help to local senders: what is missing for it is said, and stops nothing. */
static void pace(struct enforcer_node *n)
{
	const char *cgroup = n->c->node.pace_cgroup;
	enum refusal no = REFUSE_NONE;
	struct err e = { 0 };

	if (!cgroup[0]) {
		(void)dp_pace_detach(n->dp, NULL);
		return;
	}
	if (dp_pace_stands(n->dp) && !n->unpaced[0] && n->paced)
		return;
	n->paced = !dp_pace_attach(n->dp, cgroup, &no, &e);
	if (!n->paced && strncmp(n->unpaced, e.text, sizeof(n->unpaced) - 1) != 0)
		log_warn("local senders are not paced: %s", e.text);
	str_cut(n->unpaced, n->paced ? "" : e.text);
}

void enforcer_node_heal(struct enforcer_node *n)
{
	struct err paths = { 0 };
	size_t changed = 0;
	bool again = false, out = false;

	for (uint32_t i = 0; i < n->n_dev; i++) {
		struct err e = { 0 };

		check_tree(n, &n->dev[i]);
		if (!heal_device(n, &n->dev[i], &e))
			continue;
		log_error("%s", e.text);
		again = again || e.code != -EEXIST; /* a foreign object waits for its owner */
	}
	pace(n);
	if (paths_apply(n, &changed, &out, &paths)) {
		log_error("paths: %s", paths.text);
		again = true;
	}
	if (changed)
		log_info("paths: %zu objects put right", changed);
	if (again || out)
		heal_soon(n, RETRY_US);
}

/* --- the link monitor --------------------------------------------------------------------------
 */

static void on_event(const struct nl_event *ev, void *arg)
{
	struct enforcer_node *n = arg;
	const struct device *d;

	switch (ev->type) {
	case NL_EV_LINK:
		if (!ev->up)
			redirects_stop(n, ev->ifindex);
		d = device_find(n, ev->name);
		if (!d || d->link.ifindex != ev->ifindex || d->link.up != ev->up)
			heal_soon(n, HEAL_US);
		break;
	case NL_EV_LINK_GONE:
		redirects_stop(n, ev->ifindex);
		if (device_at(n, ev->ifindex))
			heal_soon(n, HEAL_US);
		break;
	case NL_EV_QDISC:
		/* the end of our root is told by our own handle, like its beginning: look */
		d = device_at(n, ev->ifindex);
		if (d && d->rate.bps)
			heal_soon(n, HEAL_US);
		break;
	case NL_EV_ROUTE:
	case NL_EV_ROUTE_GONE:
	case NL_EV_RULE_GONE:
		if (redirects_asked(n, ev) || (ev->ours && ev->type != NL_EV_ROUTE))
			heal_soon(n, HEAL_US);
		break;
	case NL_EV_RESYNC: heal_soon(n, HEAL_US); break;
	default: break;
	}
}

static void on_monitor(void *arg, int fd, unsigned what)
{
	struct enforcer_node *n = arg;
	int r = monitor_drain(n->monitor, EVENTS_MAX, on_event, n);

	(void)fd;
	(void)what;
	if (r >= 0)
		return;
	log_error("link monitor: %s: not watching any more", strerror(-r));
	n->watch = loop_fd_free(n->watch);
}

/* --- opening and leaving -----------------------------------------------------------------------
 */

static int open_parts(struct enforcer_node *n, struct err *e)
{
	struct dp_config dc = { .pin_dir = n->c->node.pin_dir,
				.labels = n->c->node.max_labels,
				.flows = n->c->node.max_flows,
				.rules = n->c->node.max_rules,
				.watched = n->c->node.max_watched,
				.pace = n->c->node.pace_cgroup[0] != 0 };
	int r = nl_new(&n->nl, e);

	r = r ? r : colours_from(n->c, &dc.colours, e);
	r = r ? r : dp_open(&n->dp, &dc, e);
	if (!r)
		labels_count(n);
	if (!r && n->loop)
		r = monitor_new(&n->monitor, e);
	if (r || !n->loop)
		return r;
	n->watch = loop_watch(n->loop, monitor_fd(n->monitor), LOOP_READ, on_monitor, n);
	return n->watch ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* A port of a device that is configured no more, or whose ifindex is another's now. */
static void drop_ports(struct enforcer_node *n)
{
	for (uint32_t i = 0; (i = dp_port_next(n->dp, i));) {
		const struct device *d = device_at(n, i);

		if (d && d->cfg->role != DEVICE_LOCAL)
			continue;
		log_warn("ifindex %u: not configured: detached", i);
		(void)dp_port_detach(n->dp, i, NULL);
	}
}

static int open_devices(struct enforcer_node *n, struct err *e)
{
	size_t changed;
	bool out;
	int r = 0;

	for (uint32_t i = 0; i < n->c->devices; i++) {
		struct device *d = &n->dev[n->n_dev++];

		d->cfg = &n->c->device[i];
		d->rate.bps = d->cfg->rate.bps & ~7ull;
		r = r ? r : may_shape(n, d, e);
	}
	for (uint32_t i = 0; !r && i < n->n_dev; i++) {
		r = heal_device(n, &n->dev[i], e);
		if (!r && !n->dev[i].link.ifindex)
			log_warn("device %s: not there yet", n->dev[i].cfg->name);
	}
	if (!r)
		drop_ports(n);
	if (!r)
		pace(n);
	r = r ? r : paths_apply(n, &changed, &out, e);
	if (!r && out)
		heal_soon(n, RETRY_US);
	return r;
}

/* A start that fails over what an earlier one left lets that stand: it carries traffic. What this
 * one made itself goes. */
static void give_up(struct enforcer_node *n)
{
	struct dp_features f = { .adopted = true };

	if (n->dp)
		dp_features(n->dp, &f);
	if (f.adopted)
		(void)enforcer_node_close(n);
	else
		(void)enforcer_node_remove(&n, NULL);
}

int enforcer_node_open(struct enforcer_node **ret, const struct config *c, struct loop *l,
		       struct err *e)
{
	struct enforcer_node *n = calloc(1, sizeof(*n));
	int r = -ENOMEM;

	if (n) {
		n->classes = calloc(CLASSES_CAP, sizeof(*n->classes));
		n->stats = calloc(CLASSES_CAP, sizeof(*n->stats));
	}
	if (!n || !n->classes || !n->stats) {
		n = enforcer_node_close(n);
		return err_set(e, r, "out of memory");
	}
	n->c = c;
	n->loop = l;
	r = open_parts(n, e);
	r = r ? r : open_devices(n, e);
	if (!r)
		second_start(n), socks_start(n);
	if (r) {
		give_up(n);
		return r;
	}
	*ret = n;
	return 0;
}

struct enforcer_node *enforcer_node_close(struct enforcer_node *n)
{
	if (!n)
		return NULL;
	if (n->loop)
		loop_cancel(n->loop, n->healing), loop_cancel(n->loop, n->second);
	pool_stop(n);
	n->watch = loop_fd_free(n->watch);
	n->monitor = monitor_free(n->monitor);
	n->dp = dp_close(n->dp);
	n->socks = dp_socks_close(n->socks);
	n->nl = nl_free(n->nl);
	free(n->classes);
	free(n->stats);
	for (uint32_t i = 0; i < n->n_dev; i++)
		classes_forget(&n->dev[i]);
	free(n);
	return NULL;
}

int enforcer_node_remove(struct enforcer_node **n, struct err *e)
{
	struct enforcer_node *x = *n;
	int r, first = 0;

	*n = NULL;
	if (!x)
		return 0;
	for (uint32_t i = 0; i < x->n_dev; i++) {
		if (!x->dev[i].shaped)
			continue;
		r = x->dev[i].shaper->remove(x, &x->dev[i], e);
		first = first || r == -ENODEV ? first : r;
	}
	r = dp_remove(&x->dp, e);
	first = first ? first : r;
	r = paths_remove(x, e);
	(void)enforcer_node_close(x);
	return first ? first : r;
}

/* --- messages ----------------------------------------------------------------------------------
 */

struct enforcer_node *node_of(void *ctx, struct err *e)
{
	struct enforcer_node *n = *(struct enforcer_node **)ctx;

	if (!n)
		(void)err_set(e, -EOPNOTSUPP, "this daemon is no node");
	return n;
}

static int on_step(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);

	(void)ret_fd;
	return n ? steps_run(n, req, 1, rep, e) : -EOPNOTSUPP;
}

static int on_batch(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	const struct enforcer_batch *b = req;
	struct enforcer_receipts *p = rep;
	int r;

	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	if (b->n < 1 || b->n > ENFORCER_BATCH_MAX || b->how > BATCH_STOP)
		return err_set(e, -EPROTO, "batch: 1..%d steps", ENFORCER_BATCH_MAX);
	p->n = b->n;
	n->dry = b->how == BATCH_LOOK;
	n->stop = b->how == BATCH_STOP;
	r = steps_run(n, b->step, b->n, p->receipt, e);
	n->dry = n->stop = false;
	return r;
}

const struct msg_handler enforcer_node_rows[ENFORCER_NODE_ROWS] = {
	{ MSG_STEP, sizeof(struct step), sizeof(struct enforcer_receipt), on_step },
	{ MSG_OBSERVE, sizeof(struct enforcer_label), sizeof(struct observation), show_observe },
	{ MSG_COUNTERS, 0, sizeof(struct enforcer_counters), show_counters },
	{ MSG_LINKS, 0, sizeof(struct enforcer_links), show_links },
	{ MSG_DEVICE, sizeof(struct enforcer_name), sizeof(struct enforcer_device), show_device },
	{ MSG_SHAPER, 0, sizeof(struct enforcer_shaper), show_shaper },
	{ MSG_HELD, sizeof(struct enforcer_cursor), sizeof(struct enforcer_held), show_held },
	{ MSG_BASES, sizeof(struct enforcer_labels), sizeof(struct enforcer_bases), show_bases },
	{ MSG_STEPS, sizeof(struct enforcer_batch), sizeof(struct enforcer_receipts), on_batch },
	{ MSG_FINDINGS, sizeof(struct enforcer_cursor), sizeof(struct enforcer_findings),
	  show_findings },
	{ MSG_GC, 0, sizeof(struct enforcer_gc), on_gc },
	{ MSG_MARKS, 0, sizeof(struct enforcer_marks), show_marks },
	{ MSG_EVENTS, 0, sizeof(struct enforcer_events), show_events },
	{ MSG_SOCKS, 0, sizeof(struct enforcer_socks), show_socks },
	{ MSG_TABLES, 0, sizeof(struct enforcer_tables), show_tables },
	{ MSG_SPREADS, sizeof(struct enforcer_spreads), 0, on_spreads },
};
