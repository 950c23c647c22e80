/* SPDX-License-Identifier: Apache-2.0 */
/* Deals by their ids. What is kept here follows from the table of deals alone. */
#include "world.h"
#include "treaty/pure.h"

static uint32_t *chain_of(const struct world_index *x, const ident_t *id)
{
	uint32_t h = 2166136261u;

	for (const char *p = id->s; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return &x->head[h & x->mask];
}

static void add(const struct world_index *x, uint32_t slot, const ident_t *id)
{
	uint32_t *head = chain_of(x, id);

	if (ident_empty(*id))
		return;
	x->next[slot] = *head;
	*head = slot + 1;
}

static void drop(const struct world_index *x, uint32_t slot, const ident_t *id)
{
	uint32_t *at = chain_of(x, id);

	if (ident_empty(*id))
		return;
	while (*at && *at != slot + 1)
		at = &x->next[*at - 1];
	if (*at)
		*at = x->next[slot];
}

void index_deal(struct world *w, const struct deal *d, const ident_t *old_lineage)
{
	uint32_t slot = (uint32_t)(d - w->deal);

	if (!old_lineage) {
		add(&w->by_negotiation, slot, &d->negotiation);
		return;
	}
	if (ident_eq(*old_lineage, d->lineage))
		return;
	drop(&w->by_lineage, slot, old_lineage);
	add(&w->by_lineage, slot, &d->lineage);
}

void index_forget(struct world *w, const struct deal *d)
{
	uint32_t slot = (uint32_t)(d - w->deal);

	drop(&w->by_negotiation, slot, &d->negotiation);
	drop(&w->by_lineage, slot, &d->lineage);
}

struct deal *world_deal(const struct world *w, const ident_t *id)
{
	const struct world_index *n = &w->by_negotiation, *l = &w->by_lineage;

	if (ident_empty(*id))
		return NULL;
	for (uint32_t i = *chain_of(n, id); i; i = n->next[i - 1])
		if (ident_eq(w->deal[i - 1].negotiation, *id))
			return &w->deal[i - 1];
	for (uint32_t i = *chain_of(l, id); i; i = l->next[i - 1])
		if (ident_eq(w->deal[i - 1].lineage, *id))
			return &w->deal[i - 1];
	return NULL;
}

/* --- who may go --------------------------------------------------------------------------------
 */

#define LAPSED_MS (10 * 60 * 1000) /* so long after its menu's end nobody comes back for it */

/* A menu that nobody chose from, or an end that everybody heard of and every kernel carried out.
 * What ended in this very turn (the clock stands still in it) has yet to be heard of. */
static bool over(const struct world *w, const struct deal *d, wall_t now)
{
	if (d->changed.ms >= now.ms)
		return false;
	if (d->life != LIFE_TERMINATED)
		return d->operator_side && !d->last_rev && !d->has_accept && d->has_quote &&
		       now.ms - d->quote.valid_until.ms > LAPSED_MS;
	if (d->has_order || d->has_plan || d->applied.rev || deal_credit_open(d))
		return false;
	for (uint32_t i = 0; i < w->n_debts; i++)
		if (ident_eq(w->debt[i].lineage, d->lineage))
			return false;
	/* An edge's own steps have no order: its label is wanted until it is removed. */
	for (uint32_t i = 0; i < w->n_wanted && d->cur.rev && !d->operator_side; i++)
		if (w->wanted[i].step.kind == STEP_LABEL_SET &&
		    w->wanted[i].step.label == d->cur.label)
			return false;
	return true;
}

struct deal *world_room(const struct world *w, wall_t now)
{
	if (w->n_deals < w->max_deals)
		return &w->deal[w->n_deals];
	for (uint32_t i = 0; i < w->n_deals; i++) {
		struct deal *d = &w->deal[(w->hand + i) % w->n_deals];

		if (over(w, d, now))
			return d;
	}
	return NULL;
}
