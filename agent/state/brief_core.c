/* SPDX-License-Identifier: Apache-2.0 */
/* What a deal holds, in a few words beside those of all others. */
#include "world.h"
#include "treaty/pure.h"

static struct deal_part revision(const struct agreement *a, bool is)
{
	return (struct deal_part){ a->g.bandwidth, a->label, a->path, is };
}

static struct deal_part ordered(const struct order *o, bool is)
{
	return (struct deal_part){ o->g.bandwidth, o->label, o->path, is };
}

void deal_brief(const struct deal *d, struct deal_brief *ret)
{
	*ret = (struct deal_brief){
		.cur = revision(&d->cur, d->cur.rev),
		.next = revision(&d->pending, d->has_pending && d->has_accept),
		.applied = ordered(&d->applied, d->applied.rev),
		.planned = ordered(&d->planned, d->has_plan && d->planned.rev),
		.chosen = d->accept.start,
		.rule = d->applied.rev || d->has_plan ? d->rule : 0,
		.old_label = d->old.rev && !d->active ? d->old.label : 0,
		.life = d->life,
		.operator_side = d->operator_side,
		.has_order = d->has_order,
		.has_plan = d->has_plan,
	};
}

static void promise(rate_t *most, const struct deal_part *p, uint8_t path)
{
	if (p->is && p->path == path && p->rate.bps > most->bps)
		*most = p->rate;
}

rate_t brief_promised(const struct deal_brief *b, uint8_t path)
{
	rate_t most = { 0 };

	promise(&most, &b->applied, path);
	if (b->life == LIFE_TERMINATED)
		return most;
	if (b->life != LIFE_NEGOTIATED)
		promise(&most, &b->cur, path);
	promise(&most, &b->next, path);
	return most;
}

rate_t deal_promised(const struct deal *d, uint8_t path)
{
	struct deal_brief b;

	deal_brief(d, &b);
	return brief_promised(&b, path);
}
