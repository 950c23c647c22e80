/* SPDX-License-Identifier: Apache-2.0 */
/* brief.h - what the fold keeps of each deal for the searches, against the deal itself. */
#ifndef TREATY_TEST_BRIEF_H
#define TREATY_TEST_BRIEF_H

#include "agent/state/world.h"

static inline bool same_part(const struct deal_part *a, const struct deal_part *b)
{
	return a->rate.bps == b->rate.bps && a->label == b->label && a->path == b->path &&
	       a->is == b->is;
}

static inline bool sold_now(const struct deal *d)
{
	return d->operator_side && d->cur.rev && d->life != LIFE_TERMINATED;
}

/* How many parts of deals keep the label from others. */
static inline uint32_t uses(const struct world *w, uint32_t label)
{
	uint32_t n = 0;

	for (uint32_t i = 0; label && i < w->n_deals; i++) {
		const struct deal *d = &w->deal[i];
		bool gone = d->life == LIFE_TERMINATED && !d->has_order && !d->has_plan;

		n += !gone && d->cur.rev && d->cur.label == label;
		n += !gone && d->old.rev && !d->active && d->old.label == label;
		n += d->applied.rev && d->applied.label == label;
	}
	return n;
}

/* What is kept for the searches, against what each would find by looking at every row. */
static inline void searches_hold(const struct world *w)
{
	uint32_t coming = 0, choosing = 0, admitted = 0;

	for (unsigned path = 0; path <= UINT8_MAX; path++) {
		uint64_t promised = 0, held = 0, sold = 0;

		for (uint32_t i = 0; i < w->n_deals; i++) {
			const struct deal_part *h = brief_held(&w->brief[i]);

			promised += deal_promised(&w->deal[i], (uint8_t)path).bps;
			held += h->is && h->path == path ? h->rate.bps : 0;
			sold += sold_now(&w->deal[i]) && w->deal[i].cur.path == path
					? w->deal[i].cur.g.bandwidth.bps
					: 0;
		}
		assert_int_equal(w->sum.sold[path].bps, sold);
		assert_int_equal(w->sum.promised[path].bps, promised);
		assert_int_equal(w->sum.held[path].bps, held);
	}
	for (uint32_t i = 0; i < w->n_deals; i++) {
		const struct deal *d = &w->deal[i], *last = NULL;
		bool label = false, rule = false;

		coming += d->has_plan && !d->applied.rev;
		admitted += sold_now(d) && !d->applied.rev;
		choosing += w->brief[i].next.is;
		assert_int_equal(w->choosing.place[i] != 0, w->brief[i].next.is);
		assert_int_equal(world_label_used(w, d->cur.label), uses(w, d->cur.label) > 0);
		assert_int_equal(w->label_uses[d->cur.label], uses(w, d->cur.label));
		for (uint32_t k = 0; k < w->n_deals; k++) {
			const struct deal *o = &w->deal[k];
			bool live = o->cur.rev && o->life != LIFE_TERMINATED;

			last = live && o->cur.label == d->cur.label ? o : last;
			label |= o != d && ((live && o->cur.label == d->cur.label) ||
					    (o->applied.rev && o->applied.label == d->cur.label));
			rule |= o != d && d->rule && w->brief[k].rule == d->rule;
		}
		assert_ptr_equal(world_deal_by_label(w, d->cur.label), last);
		assert_int_equal(world_label_taken(w, d, d->cur.label), label);
		assert_int_equal(d->rule && world_rule_taken(w, d, d->rule), rule);
	}
	assert_int_equal(w->sum.coming, coming);
	assert_int_equal(w->sum.admitted, admitted);
	assert_int_equal(w->choosing.n, choosing);
	for (uint32_t i = 0; i < w->n_wanted; i++)
		assert_ptr_equal(world_wanted(w, &w->wanted[i].step), &w->wanted[i]);
}

static inline void briefs_hold(const struct world *w)
{
	for (uint32_t i = 0; i < w->n_deals; i++) {
		const struct deal_brief *k = &w->brief[i];
		struct deal_brief b;

		deal_brief(&w->deal[i], &b);
		assert_true(same_part(&b.cur, &k->cur) && same_part(&b.next, &k->next));
		assert_true(same_part(&b.applied, &k->applied));
		assert_true(same_part(&b.planned, &k->planned));
		assert_true(b.rule == k->rule && b.chosen.ms == k->chosen.ms &&
			    b.old_label == k->old_label && b.life == k->life &&
			    b.operator_side == k->operator_side && b.has_order == k->has_order &&
			    b.has_plan == k->has_plan);
	}
	searches_hold(w);
}

#endif
