/* SPDX-License-Identifier: Apache-2.0 */
/* amount.h - ruling 2 for a whole lineage, the same arithmetic on both sides of the boundary. */
#ifndef TREATY_AMOUNT_H
#define TREATY_AMOUNT_H

#include "quote.h"

/* What a lineage has cost so far and is running at. All zero for a new service. */
struct lineage_cost {
	money_t past; /* sum over revisions that ended before the live one */
	bool live;    /* a revision is running: the next three count */
	price_t price;
	wall_t start, end;
};

/* The end of the paid term if `q` takes effect at `start`. An offer in life keeps the end that was
 * paid for; a new service or a change asked for by the consumer counts its term from `start`. */
static inline wall_t quote_end(const struct quote *q, const struct lineage_cost *c, wall_t start)
{
	if (c->live && (q->reason == QUOTE_STEP_UP || q->reason == QUOTE_STEP_DOWN ||
			q->reason == QUOTE_WALK_BACK))
		return c->end;
	return (wall_t){ start.ms + q->term_ms };
}

/* Cost of the live revision up to `start`: what it adds to `past` once it is replaced. MONEY_BAD
 * on overflow or a start before the live revision's. */
static inline money_t amount_past(const struct lineage_cost *c, wall_t start)
{
	if (!c->live)
		return c->past;
	return money_add(c->past, price_for(c->price, start.ms - c->start.ms));
}

/* amount(revision): past + live up to start + price from start to end. MONEY_BAD on overflow or
 * when the times run backwards. */
static inline money_t amount_for(const struct lineage_cost *c, price_t price, wall_t start,
				 wall_t end)
{
	return money_add(amount_past(c, start), price_for(price, end.ms - start.ms));
}

/* hold = max(0, amount - captured). MONEY_BAD stays MONEY_BAD: it must never pass for "nothing
 * to pay". */
static inline money_t hold_for(money_t amount, money_t captured)
{
	money_t h;

	if (amount.minor == INT64_MIN || captured.minor < 0 ||
	    __builtin_sub_overflow(amount.minor, captured.minor, &h.minor))
		return MONEY_BAD;
	return h.minor > 0 ? h : (money_t){ 0 };
}

extern const struct field_table lineage_cost_fields;

#endif
