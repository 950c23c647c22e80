/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_gather.h"

#include "agent/peer.h"

#define RULES_EACH   4   /* rule ids that an agreement has to itself on every node */
#define BURST_MS     250 /* TCP needs a quarter of a second of its rate */
#define DEVICE_LIMIT 1000

static const struct path_def *path_of(const struct side *s, uint8_t path)
{
	for (uint8_t i = 0; i < s->paths.n; i++)
		if (s->paths.def[i].path == path)
			return &s->paths.def[i];
	return NULL;
}

/* Unique per label on every device; 0 = out of range. */
static uint16_t minor_of(const struct side *s, uint32_t label)
{
	uint32_t low = s->cfg->op.labels.low;

	if (label < low || label - low >= PLAN_MINORS)
		return 0;
	return (uint16_t)(PLAN_MINOR + (label - low));
}

/* --- rules ----------------------------------------------------------------------------------- */

/* The far end sees the answers: what the class calls destination is the source there. The id is
 * the agreement's own, not its label's: a replacement turns the same rule to the new label. */
static void mirrored(const struct cfg_class *c, uint32_t id, uint32_t label, struct flow_rule *r)
{
	*r = (struct flow_rule){ .id = id,
				 .prio = (uint16_t)c->priority,
				 .proto = (uint8_t)c->proto,
				 .sport_lo = (uint16_t)c->dport.low,
				 .sport_hi = (uint16_t)c->dport.high,
				 .dscp = 255,
				 .class_id = (uint8_t)c->id,
				 .label = label,
				 .dir = DIR_DOWN };
	r->family = c->src.family ? c->src.family : c->dst.family;
	if (c->dst.family) {
		memcpy(r->src, c->dst.b, sizeof(r->src));
		r->src_len = c->dst.plen;
	}
	if (c->src.family) {
		memcpy(r->dst, c->src.b, sizeof(r->dst));
		r->dst_len = c->src.plen;
	}
}

/* The one that it has, else its row's. A table of another size had other rows: that one may be
 * taken, and then one behind all rows is free. */
static uint32_t rule_of(const struct world *w, const struct deal *d)
{
	uint32_t id = d->rule ? d->rule : (uint32_t)(d - w->deal + 1) * RULES_EACH;

	for (uint32_t row = w->max_deals; world_rule_taken(w, d, id); row++)
		id = (row + 1) * RULES_EACH;
	return id;
}

/* --- the customer ------------------------------------------------------------------------------
 */

/* Holds state of nodes, or is about to: an order under way counts. */
static bool on_nodes(const struct deal *d)
{
	return d->operator_side &&
	       (d->applied.rev || (d->has_plan && d->planned.action != ORDER_DELETE) ||
		(d->has_order && d->order.action != ORDER_DELETE));
}

static void customer(const struct side *s, const struct deal *d, struct oss_plan_in *in)
{
	const struct cfg_peer *p = peer_by_did(s->cfg, d->peer.s);
	const struct world *w = engine_world(s->engine);

	if (!p || !p->customer)
		return;
	in->ceiling = (uint16_t)p->customer;
	in->ceiling_rate = p->ceiling;
	in->ceiling_last = true;
	for (uint32_t i = 0; i < w->n_deals; i++)
		if (&w->deal[i] != d && on_nodes(&w->deal[i]) &&
		    !strcmp(w->deal[i].peer.s, d->peer.s))
			in->ceiling_last = false;
}

/* Up: the class's source, where it is the outer packet's (IPv4 crosses in SRv6). Down: what it
 * calls destination, where its answers come in as they are. */
static void sources(const struct cfg_class *c, struct oss_plan_in *in)
{
	in->src_family = c->src.family ? c->src.family : c->dst.family;
	if (c->src.family == 6) {
		in->src_up_len = c->src.plen;
		memcpy(in->src_up, c->src.b, sizeof(in->src_up));
	}
	if (c->dst.family) {
		in->src_down_len = c->dst.plen;
		memcpy(in->src_down, c->dst.b, sizeof(in->src_down));
	}
}

/* --- the plan's input ------------------------------------------------------------------------ */

static void rest(const struct side *s, const struct deal *d, struct oss_plan_in *in)
{
	const struct cfg_class *c = config_class(s->cfg, d->cur.class_name.s);

	const struct path_view *v = side_path(s, in->order.path);

	in->no_v4 = v && v->no_v4.s[0];
	in->minor = minor_of(s, in->order.label);
	in->old_minor = minor_of(s, in->order.old_label ? in->order.old_label : in->order.label);
	in->police_pct = (uint16_t)s->cfg->op.police_pct;
	in->burst_ms = BURST_MS;
	in->overlap_ms = s->cfg->op.overlap_ms;
	in->ceil_pct = (uint16_t)s->cfg->op.peak_pct;
	customer(s, d, in);
	if (!c)
		return;
	in->prio = (uint8_t)c->priority;
	sources(c, in);
	mirrored(c, rule_of(engine_world(s->engine), d), in->order.label, &in->rule[0]);
	in->n_rules = 1;
}

/* What goes is what the kernels hold, also when the last revision could not be applied. */
static void as_applied(const struct deal *d, struct order *o)
{
	if (!d->applied.rev || o->action != ORDER_DELETE)
		return;
	o->path = d->applied.path;
	o->label = d->applied.label;
	o->g = d->applied.g;
}

enum refusal oss_gather_plan(const struct side *s, const struct deal *d, const ident_t *plan,
			     struct oss_plan_in *ret)
{
	const struct path_def *p, *old;
	enum order_action action;

	memset(ret, 0, sizeof(*ret));
	ret->plan = *plan;
	ret->order = d->order;
	as_applied(d, &ret->order);
	action = ret->order.action;
	p = path_of(s, ret->order.path);
	old = path_of(s, ret->order.old_path);
	if (!p || ((action == ORDER_REROUTE || action == ORDER_MIGRATE) && !old))
		return REFUSE_ORDER_INVALID;
	ret->path = *p;
	if (action == ORDER_REROUTE || action == ORDER_MIGRATE)
		ret->old_path = *old;
	rest(s, d, ret);
	return ret->minor && ret->old_minor ? REFUSE_NONE : REFUSE_LABEL_RANGE;
}

bool oss_gather_before(const struct side *s, const struct deal *d, struct oss_plan_in *ret)
{
	const struct path_def *p = path_of(s, d->applied.path);

	if (!d->applied.rev || !p)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->plan = d->plan.id;
	ret->order = d->applied;
	ret->order.action = ORDER_ADD;
	ret->order.old_label = 0;
	ret->order.old_path = 0;
	ret->path = *p;
	rest(s, d, ret);
	return ret->minor;
}

/* --- the check's input ----------------------------------------------------------------------- */

static struct oss_device *device(struct oss_check_in *c, const name_t *node, const name_t *dev,
				 rate_t capacity)
{
	struct oss_device *x;

	for (uint8_t i = 0; i < c->n_devices; i++) {
		x = &c->device[i];
		if (!ident_eq(x->node, *node) || !ident_eq(x->device, *dev))
			continue;
		if (capacity.bps > x->capacity.bps)
			x->capacity = capacity;
		return x;
	}
	if (!dev->s[0] || c->n_devices == OSS_DEVICES_MAX)
		return NULL;
	x = &c->device[c->n_devices++];
	*x = (struct oss_device){ .node = *node, .device = *dev, .capacity = capacity };
	return x;
}

/* A device that several paths share carries at least what the widest of them does; what it cannot
 * do its own node refuses. */
static void along(struct oss_check_in *c, const struct path_def *p, rate_t more)
{
	for (uint8_t h = 0; h < p->n_hops; h++) {
		const struct hop *hop = &p->hop[h];
		struct oss_device *near = device(c, &hop->node, &hop->near, p->capacity);
		struct oss_device *far = device(c, &hop->node, &hop->far, p->capacity);

		if (near)
			near->reserved.bps += more.bps;
		if (far)
			far->reserved.bps += more.bps;
	}
}

void oss_gather_check(const struct side *s, const struct deal *d, const struct oss_plan_in *in,
		      const struct plan *p, struct oss_check_in *ret)
{
	const struct world *w = engine_world(s->engine);
	const struct deal_part *own = brief_held(&w->brief[d - w->deal]);

	memset(ret, 0, sizeof(*ret));
	ret->plan_in = *in;
	ret->plan = *p;
	ret->limit = DEVICE_LIMIT;
	for (uint8_t i = 0; i < s->paths.n; i++) {
		const struct path_def *q = &s->paths.def[i];
		rate_t more = w->sum.held[q->path];

		if (own->is && own->path == q->path)
			more.bps -= own->rate.bps;
		along(ret, q, more);
	}
}
