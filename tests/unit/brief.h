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
}

#endif
