/* SPDX-License-Identifier: Apache-2.0 */
/* Which deal is meant, and what it comes to: its money so far, its next number. */
#include "world.h"
#include "treaty/pure.h"

money_t deal_captured(const struct deal *d)
{
	money_t sum = { 0 };

	for (uint8_t i = 0; i < d->n_revs; i++)
		sum = money_add(sum, d->rev[i].held);
	return (money_t){ sum.minor - d->credited.minor };
}

money_t deal_unused(const struct deal *d, wall_t at)
{
	struct lineage_cost c;
	money_t used, captured = deal_captured(d);

	deal_cost(d, &c);
	used = amount_past(&c, at.ms > c.start.ms ? at : c.start);
	if (used.minor < 0 || used.minor >= captured.minor)
		return (money_t){ 0 };
	return (money_t){ captured.minor - used.minor };
}

void deal_cost(const struct deal *d, struct lineage_cost *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (uint8_t i = 0; i + 1 < d->n_revs; i++)
		ret->past = money_add(
			ret->past,
			price_for(d->rev[i].price, d->rev[i + 1].start.ms - d->rev[i].start.ms));
	if (d->n_revs) {
		const struct rev_line *l = &d->rev[d->n_revs - 1];

		ret->live = true;
		ret->price = l->price;
		ret->start = l->start;
		ret->end = l->end;
	}
}

money_t deal_amount(const struct deal *d, price_t p, wall_t start, wall_t end)
{
	struct lineage_cost c;

	deal_cost(d, &c);
	return amount_for(&c, p, start, end);
}

uint32_t deal_next_rev(const struct deal *d)
{
	return d->quote.rev ? d->quote.rev : d->last_rev + 1;
}

const struct credit_line *deal_credit_open(const struct deal *d)
{
	for (uint8_t i = 0; i < d->n_credits; i++)
		if (!d->credit[i].taken)
			return &d->credit[i];
	return NULL;
}

/* A revision's own order is never taken for a swap: it is not applied yet. */
bool deal_swap(const struct deal *d, const struct order *o)
{
	return o->action == ORDER_REROUTE && o->rev && o->rev == d->applied.rev;
}

void deal_order_waits(struct deal *d)
{
	struct order *o = &d->order;

	if (!d->has_order || !d->applied.rev || o->rev <= d->applied.rev ||
	    o->action == ORDER_DELETE || o->action == ORDER_ADD)
		return;
	o->old_label = d->applied.label;
	o->old_path = d->applied.path;
	o->old_g = d->applied.g;
	if (o->action != ORDER_MIGRATE)
		o->action = o->path != o->old_path ? ORDER_REROUTE : ORDER_MODIFY;
}
