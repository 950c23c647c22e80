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

const struct deal_part *brief_held(const struct deal_brief *b)
{
	return b->has_plan ? &b->planned : &b->applied;
}

rate_t deal_promised(const struct deal *d, uint8_t path)
{
	struct deal_brief b;

	deal_brief(d, &b);
	return brief_promised(&b, path);
}

/* --- all of them together ----------------------------------------------------------------------
 */

static void add(rate_t *to, rate_t r, bool comes)
{
	to->bps += comes ? r.bps : -r.bps;
}

/* Each path once, however many parts are on it. */
static void sum_promised(struct brief_sum *s, const struct deal_brief *b, bool comes)
{
	const struct deal_part *part[] = { &b->applied, &b->cur, &b->next };

	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= part[k]->path == part[i]->path;
		if (!again)
			add(&s->promised[part[i]->path], brief_promised(b, part[i]->path), comes);
	}
}

static void sum(struct brief_sum *s, const struct deal_brief *b, bool comes)
{
	const struct deal_part *held = brief_held(b);

	sum_promised(s, b, comes);
	if (held->is)
		add(&s->held[held->path], held->rate, comes);
	if (b->has_plan && !b->applied.is)
		s->coming += comes ? 1 : UINT32_MAX;
	if (!b->operator_side || !b->cur.is || b->life == LIFE_TERMINATED)
		return;
	add(&s->sold[b->cur.path], b->cur.rate, comes);
	if (!b->applied.is)
		s->admitted += comes ? 1 : UINT32_MAX;
}

void brief_put(struct world *w, const struct deal *d)
{
	uint32_t row = (uint32_t)(d - w->deal);
	struct deal_brief *b = &w->brief[row];

	index_brief(w, row, false);
	sum(&w->sum, b, false);
	deal_brief(d, b);
	sum(&w->sum, b, true);
	index_brief(w, row, true);
}
