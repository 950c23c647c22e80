/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel holds and counts, for the agents. */
#include "shaper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int device_classes(struct enforcer_node *n, const struct device *d, size_t *count, struct err *e)
{
	*count = 0;
	return d->shaper->list(n, d, count, e);
}

/* What comes in by the one device leaves by the other; the label says which, else the device. */
static uint8_t leaves(const struct device *d, const struct dp_label *l)
{
	if (l->dir[DIR_UP].bind_ifindex == d->link.ifindex)
		return DIR_DOWN;
	if (l->dir[DIR_DOWN].bind_ifindex == d->link.ifindex)
		return DIR_UP;
	return d->cfg->dir == DIR_UP ? DIR_DOWN : DIR_UP;
}

static void observe_holder(const struct enforcer_node *n, const struct device *d,
			   const struct dp_label *l, struct observed_class *c)
{
	bool policed = class_policed(d, c->minor);

	c->dir = leaves(d, l);
	str_cut(c->by, policed ? shaper_policer.name : d->shaper->name);
	shaper_rule(n, d, policed && d->shaper != &shaper_policer, c->rule, sizeof(c->rule));
	str_cut(c->refused, d->refused);
}

static int observe_classes(struct enforcer_node *n, const struct dp_label *l, struct observation *o,
			   struct err *e)
{
	uint16_t minor = l->class_minor;
	int r = 0;

	for (uint32_t i = 0; !r && minor && i < n->n_dev && o->n_classes < DEVICES_MAX; i++) {
		struct observed_class *c = &o->cls[o->n_classes];
		struct device *d = &n->dev[i];
		const uint32_t want = minor;
		struct nl_class seen = { 0 };

		if (d->shaped)
			r = (class_policed(d, minor) ? &shaper_policer : d->shaper)
				    ->get(n, d, &want, 1, &seen, e);
		if (r || seen.minor != minor)
			continue;
		str_cut(c->device.s, d->cfg->name);
		c->minor = minor;
		c->rate = seen.rate;
		c->ceil = seen.ceil;
		observe_holder(n, d, l, c);
		o->n_classes++;
	}
	return r;
}

/* In match order; of those by cgroup, which follow, id and label. The caller frees; NULL and none
 * without memory. */
static struct dp_rule *rules_all(struct enforcer_node *n, size_t *count)
{
	size_t room = dp_rules_get(n->dp, NULL, 0);
	struct dp_rule *all = calloc(room + DP_LOCALS, sizeof(*all));
	struct dp_local l;

	*count = all ? dp_rules_get(n->dp, all, room) : 0;
	for (uint32_t i = 0; all && (i = dp_local_next(n->dp, i)) && *count < room + DP_LOCALS;)
		if (!dp_local_get(n->dp, i, &l))
			all[(*count)++] = (struct dp_rule){ .id = i, .label = l.label };
	return all;
}

static void observe_rules(struct enforcer_node *n, struct observation *o)
{
	size_t count = 0;
	struct dp_rule *all = rules_all(n, &count);

	for (size_t i = 0; i < count; i++)
		if (all[i].label == o->label && o->n_rules < UINT8_MAX)
			o->n_rules++;
	free(all);
}

static void observe_source(const struct dp_profile *p, char to[48])
{
	char addr[INET6_ADDRSTRLEN];

	if (p->src.len &&
	    inet_ntop(p->src_family == 4 ? AF_INET : AF_INET6, p->src.addr, addr, sizeof(addr)))
		(void)snprintf(to, 48, "%.43s/%u", addr, p->src.len);
}

static void observe_line(struct enforcer_node *n, const struct dp_label *l, struct observation *o)
{
	struct dp_ceiling c;

	o->valid_until = l->valid_until;
	for (int i = 0; i < DIR_MAX_; i++) {
		o->rate[i] = l->dir[i].rate;
		o->excess[i] = l->dir[i].excess;
	}
	observe_source(&l->dir[DIR_UP], o->src_up);
	observe_source(&l->dir[DIR_DOWN], o->src_down);
	o->ceiling = (uint16_t)l->ceiling;
	if (l->ceiling && !dp_ceiling_get(n->dp, l->ceiling, &c))
		o->ceiling_rate = c.rate[DIR_UP];
}

int show_observe(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	const struct enforcer_label *q = req;
	struct observation *o = rep;
	struct dp_label l;
	int r;

	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	o->label = q->label;
	r = dp_label_get(n->dp, q->label, &l);
	if (r && r != -ENOENT)
		return err_set(e, r, "label %u: %s", q->label, strerror(-r));
	o->label_present = !r;
	r = 0;
	if (o->label_present) {
		observe_line(n, &l, o);
		r = observe_classes(n, &l, o, e);
	}
	for (int i = 0; !r && i < DIR_MAX_; i++) {
		uint32_t path = 0;
		bool there = false;

		r = dp_steer_get(n->dp, q->label, (enum dp_dir)i, &path);
		o->path[i] = (uint8_t)path;
		if (!r && path)
			r = path_present(n, (uint8_t)path, &there, e);
		o->n_paths += there;
	}
	observe_rules(n, o);
	return r;
}

int show_counters(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_counters *p = rep;
	struct dp_features f;

	(void)req;
	if (!n)
		return -EOPNOTSUPP;
	dp_features(n->dp, &f);
	p->labels = f.labels;
	*ret_fd = fcntl(dp_counters_fd(n->dp), F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? err_set(e, -errno, "counters: %s", strerror(errno)) : 0;
}

int show_bases(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	const struct enforcer_labels *q = req;
	struct enforcer_bases *p = rep;

	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	if (!q->n || q->n > ENFORCER_BASES_MAX)
		return err_set(e, -EPROTO, "labels: 1..%d", ENFORCER_BASES_MAX);
	for (uint32_t i = 0; i < q->n; i++)
		for (int k = 0; k < DIR_MAX_; k++) {
			int r = dp_baseline_get(n->dp, q->label[i], (enum dp_dir)k,
						&p->of[i].dir[k]);

			if (r)
				return err_set(e, r, "label %u: %s", q->label[i], strerror(-r));
		}
	return 0;
}

static void fill_link(struct enforcer_node *n, const struct device *d, struct enforcer_link *l)
{
	struct nl_link now = { 0 };

	str_cut(l->name.s, d->cfg->name);
	l->role = (uint8_t)d->cfg->role;
	l->dir = (uint8_t)d->cfg->dir;
	if (link_find(n->nl, d->cfg->name, &now, NULL))
		return;
	l->ifindex = now.ifindex;
	l->mtu = now.mtu;
	l->up = now.up;
	l->rx_bytes = now.rx_bytes;
	l->tx_bytes = now.tx_bytes;
	l->rx_packets = now.rx_packets;
	l->tx_packets = now.tx_packets;
	l->rate = d->shaped ? d->rate : (rate_t){ 0 };
	l->attached = d->attached;
	l->shaped = d->shaped;
	l->hook = (uint8_t)d->hook;
}

int show_links(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_links *p = rep;

	(void)req;
	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	for (uint32_t i = 0; i < n->n_dev && p->n < DEVICES_MAX; i++)
		fill_link(n, &n->dev[i], &p->link[p->n++]);
	return 0;
}

static void fill_class(struct enforcer_node *n, const struct device *d, size_t i,
		       struct enforcer_class *c)
{
	struct dp_queue q;

	*c = (struct enforcer_class){ .minor = (uint16_t)n->classes[i].minor,
				      .rate = n->classes[i].rate,
				      .ceil = n->classes[i].ceil,
				      .bytes = n->stats[i].bytes,
				      .packets = n->stats[i].packets,
				      .drops = n->stats[i].drops,
				      .backlog_bytes = n->stats[i].backlog_bytes };
	if (dp_shape_get(n->dp, d->link.ifindex, c->minor, &q))
		return;
	c->virtual_us = (uint32_t)(q.depth_us < UINT32_MAX ? q.depth_us : UINT32_MAX);
	c->paced = q.pace;
}

/* What is kept ready for deals to come has no traffic. */
static bool idle(const struct device *d, uint32_t minor)
{
	return minor >= HTB_LABEL_BASE && !class_wanted(d, minor);
}

int show_device(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	const struct enforcer_name *q = req;
	struct enforcer_device *p = rep;
	struct nl_link now = { 0 };
	struct device *d;
	size_t count = 0;
	int r;

	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	if (!memchr(q->name.s, 0, sizeof(q->name.s)))
		return err_set(e, -EPROTO, "device: the name does not end");
	d = device_find(n, q->name.s);
	if (!d)
		return err_set(e, -ENODEV, "%s: not one of [device]", q->name.s);
	r = link_find(n->nl, d->cfg->name, &now, e);
	if (!r && d->shaped)
		r = device_classes(n, d, &count, e);
	p->rx_bytes = now.rx_bytes;
	p->tx_bytes = now.tx_bytes;
	for (size_t i = 0; i < count; i++) {
		if (idle(d, n->classes[i].minor))
			continue;
		p->more = p->n == ENFORCER_CLASSES_MAX;
		if (p->more)
			break;
		fill_class(n, d, i, &p->cls[p->n++]);
	}
	return r;
}

static void fill_shaped(struct enforcer_node *n, const struct device *d, struct enforcer_shaped *s)
{
	struct dp_queue q;

	str_cut(s->device.s, d->cfg->name);
	str_cut(s->kind, d->shaper->name);
	str_cut(s->refused, d->refused);
	s->classes = d->n_classes;
	s->max_classes = d->shaper == &shaper_htb ? n->c->node.max_classes : HTB_SLOTS_MAX;
	s->idle = d->n_idle;
	s->policed = d->shaper == &shaper_policer ? d->n_classes : d->n_policed;
	s->rate = d->rate;
	s->link = d->link.speed;
	s->promised.bps = d->promised;
	for (uint32_t i = 0; (i = dp_shape_next(n->dp, d->link.ifindex, i));) {
		if (dp_shape_get(n->dp, d->link.ifindex, i, &q))
			continue;
		s->drops += q.drops;
		s->marks += q.marks;
	}
}

int show_shaper(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_shaper *p = rep;
	const char *kind = "policer";
	struct dp_features f;
	struct dp_odd odd;
	bool tcx;

	(void)req;
	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	dp_features(n->dp, &f);
	tcx = f.tcx;
	for (uint32_t i = 0; i < n->n_dev; i++) {
		const struct device *d = &n->dev[i];

		if (d->attached && d->hook == DP_HOOK_CLSACT)
			tcx = false;
		if (!d->shaped || p->n == DEVICES_MAX)
			continue;
		kind = p->n && strcmp(kind, d->shaper->name) != 0 ? "mixed" : d->shaper->name;
		fill_shaped(n, d, &p->dev[p->n++]);
	}
	str_cut(p->kind, kind);
	str_cut(p->hook, tcx ? "tcx" : "clsact");
	(void)snprintf(p->pacing, sizeof(p->pacing), "%s%.110s", n->unpaced[0] ? "refused: " : "",
		       n->unpaced[0]                ? n->unpaced
		       : !n->c->node.pace_cgroup[0] ? "off"
						    : n->c->node.pace_cgroup);
	p->labels = f.labels;
	p->flows = f.flows;
	p->cpus = f.cpus;
	p->adopted = f.adopted;
	p->abi = DP_ABI_VERSION;
	str_cut(p->socks, n->socks_said);
	p->labels_used = n->labels;
	p->rules_used = (uint32_t)dp_rules_get(n->dp, NULL, 0);
	p->rules = f.rules;
	p->watched = f.watched;
	p->full = n->full;
	dp_odd_get(n->dp, &odd);
	p->unknown = odd.unknown;
	p->malformed = odd.malformed;
	p->not_ip = odd.not_ip;
	p->no_ports = odd.no_ports;
	return 0;
}

/* --- all that is ours, in pages ----------------------------------------------------------------
 */

static struct enforcer_object *object(struct enforcer_held *p, uint32_t kind, uint32_t id)
{
	struct enforcer_object *o = &p->obj[p->n++];

	o->kind = kind;
	o->id = id;
	return o;
}

static bool held_labels(struct enforcer_node *n, uint32_t *a, struct enforcer_held *p)
{
	uint32_t label = *a;

	while (p->n < ENFORCER_HELD_MAX && (label = dp_label_next(n->dp, label))) {
		(void)object(p, STEP_LABEL_DEL, label);
		*a = label;
	}
	return p->n < ENFORCER_HELD_MAX;
}

/* a = position in match order. */
static bool held_rules(struct enforcer_node *n, uint32_t *a, struct enforcer_held *p)
{
	size_t count = 0;
	struct dp_rule *all = rules_all(n, &count);

	for (; p->n < ENFORCER_HELD_MAX && *a < count; (*a)++)
		object(p, STEP_RULE_DEL, all[*a].id)->label = all[*a].label;
	free(all);
	return p->n < ENFORCER_HELD_MAX;
}

/* a = number seen last. */
static bool held_ceilings(struct enforcer_node *n, uint32_t *a, struct enforcer_held *p)
{
	struct dp_ceiling c;

	while (p->n < ENFORCER_HELD_MAX && ++*a < DP_CEILINGS)
		if (!dp_ceiling_get(n->dp, *a, &c))
			(void)object(p, STEP_CEILING_DEL, *a);
	return *a >= DP_CEILINGS;
}

/* a = device, b = minor seen last. */
static bool held_classes(struct enforcer_node *n, struct enforcer_cursor *at,
			 struct enforcer_held *p)
{
	for (; at->a < n->n_dev; at->a++, at->b = 0) {
		const struct device *d = &n->dev[at->a];
		size_t count = 0;

		if (!d->shaped || device_classes(n, d, &count, NULL))
			continue;
		for (size_t i = 0; i < count; i++) {
			uint32_t minor = n->classes[i].minor;

			if (minor < HTB_LABEL_BASE || minor <= at->b)
				continue;
			if (p->n == ENFORCER_HELD_MAX)
				return false;
			str_cut(object(p, STEP_CLASS_DEL, minor)->device.s, d->cfg->name);
			at->b = minor;
		}
	}
	return true;
}

int show_held(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_held *p = rep;

	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	p->next = *(const struct enforcer_cursor *)req;
	if (p->next.kind == 0)
		p->next.kind = STEP_LABEL_DEL;
	if (p->next.kind == STEP_LABEL_DEL && held_labels(n, &p->next.a, p))
		p->next = (struct enforcer_cursor){ .kind = STEP_RULE_DEL };
	if (p->next.kind == STEP_RULE_DEL && held_rules(n, &p->next.a, p))
		p->next = (struct enforcer_cursor){ .kind = STEP_CEILING_DEL };
	if (p->next.kind == STEP_CEILING_DEL && held_ceilings(n, &p->next.a, p))
		p->next = (struct enforcer_cursor){ .kind = STEP_CLASS_DEL };
	if (p->next.kind == STEP_CLASS_DEL)
		p->done = held_classes(n, &p->next, p);
	return 0;
}
