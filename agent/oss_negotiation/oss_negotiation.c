/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_negotiation.h"
#include "oss_negotiation_core.h"

#include "agent/state/table_core.h"

#include <errno.h>

/* The BSS keeps its own margin below the capacity; here nothing is promised that is not there. */
#define LOAD_LIMIT 1000

static struct side *side;

/* What others hold and what this agreement held before the order: the order's own promise is not
 * counted against it. */
static rate_t reserved(const struct deal *d, const struct path_view *v)
{
	uint64_t own = deal_promised(d, v->path).bps, rest = v->reserved.bps;

	rest = rest > own ? rest - own : 0;
	if (d->applied.rev && d->applied.path == v->path)
		rest += d->applied.g.bandwidth.bps;
	return (rate_t){ rest };
}

/* Others that are being provisioned: in no node's tables yet. */
static uint32_t coming(const struct world *w, const struct deal *own)
{
	const struct deal_brief *b = &w->brief[own - w->deal];

	return w->sum.coming - (b->has_plan && !b->applied.is);
}

static void gather(const struct deal *d, struct oss_negotiation_in *in)
{
	const struct path_view *v = side_path(side, d->order.path);
	const struct class_profile *p = side_profile(side, &d->cur.class_name);

	memset(in, 0, sizeof(*in));
	in->order = d->order;
	in->known =
		d->cur.rev == d->order.rev && digest_eq(d->cur.digest, d->order.agreement_digest);
	in->agreement = d->cur;
	in->applied_rev = d->applied.rev;
	in->applied = d->applied;
	in->swap = deal_swap(d, &d->order);
	in->busy = d->has_plan;
	in->label_lo = side->cfg->op.labels.low;
	in->label_hi = side->cfg->op.labels.high;
	in->label_taken = world_label_taken(engine_world(side->engine), d, d->order.label);
	in->path_known = v;
	if (v) {
		in->view = *v;
		in->view.reserved = reserved(d, v);
		table_expect(&in->view.least, coming(engine_world(side->engine), d));
	}
	in->v4 = p && p->v4;
	in->room = side_ceiling_room(side, d);
	in->ceiling = in->room.bps != UINT64_MAX;
	in->room.bps = in->ceiling ? in->room.bps : 0;
	in->load_limit = LOAD_LIMIT;
	in->now = engine_now(side->engine);
}

static void judge(const struct deal *d)
{
	struct cap_oss_negotiation cap = { side->engine };
	struct oss_negotiation_in in;
	struct oss_negotiation_out out;
	struct decision dec = { "oss_negotiation_decide", &oss_negotiation_in_fields,
				&oss_negotiation_out_fields, &in, &out };

	gather(d, &in);
	oss_negotiation_decide(&in, &out);
	if (out.refusal == REFUSE_NONE) {
		struct ev_ref ref = { .deal = d->order.lineage,
				      .about = d->order.id,
				      .rev = d->order.rev,
				      .why = out.why };

		(void)tool_order_accept(&cap, &ref, &dec, NULL);
	} else {
		struct ev_refused no = { .deal = d->order.lineage,
					 .refusal = out.refusal,
					 .why = out.why };

		str_cut(no.tool.s, "order_accept");
		(void)tool_order_refuse(&cap, &no, &dec, NULL);
	}
}

static const ident_t *ended(const struct event *ev)
{
	switch (ev->kind) {
	case EV_SERVICE_ACTIVE:
	case EV_SERVICE_FAILED: return &ev->u.ref.deal;
	case EV_ORDER_CLOSED: return &ev->u.progress.deal;
	default: return NULL;
	}
}

static void on_event(void *arg, const struct event *ev)
{
	const ident_t *id = ev->kind == EV_ORDER_EMITTED ? &ev->u.order.lineage : ended(ev);
	const struct deal *d = id ? world_deal(engine_world(side->engine), id) : NULL;

	(void)arg;
	if (d && d->has_order && !d->has_plan)
		judge(d);
}

int oss_negotiation_start(struct side *s, struct err *e)
{
	side = s;
	if (engine_subscribe(s->engine, on_event, NULL))
		return err_set(e, -ENOSPC, "oss_negotiation: too many subscribers");
	return 0;
}
