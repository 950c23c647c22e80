/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_core.h - what an agreement costs: money x time, integers only (docs/ARCHITECTURE.md
 * section 12, ruling 2). Pure. */
#ifndef TREATY_LEDGER_CORE_H
#define TREATY_LEDGER_CORE_H

#include "treaty/units.h"

/* One revision's price and the time it is in force: [start, end), wall clock. */
struct ledger_span {
	price_t price;     /* minor units per hour, >= 0 */
	wall_t start, end; /* start <= end */
};

/* amount(revision): the last span is the revision in question and runs to its paid end, those
 * before it end where the next one starts. Sum over the spans of ceil(price x ms / 3 600 000).
 * MONEY_BAD: n = 0, a negative price, end < start, a gap or an overlap, or overflow. */
money_t ledger_amount(const struct ledger_span *span, size_t n);

/* What revision n+1 must hold on top of what the lineage has captured: max(0, amount - captured).
 * MONEY_BAD for a negative operand. */
money_t ledger_delta(money_t amount, money_t captured);

/* Unused part of what was captured when the service ends or steps down at `at`: captured minus
 * what the spans cost up to `at`, never below 0. What a credit note may give back at most. */
money_t ledger_unused(const struct ledger_span *span, size_t n, money_t captured, wall_t at);

/* The whole debit recomputed from prices and times alone, for an audit: the largest amount() of
 * any prefix of revisions, i.e. what hold = max(0, amount - captured) has captured after the last
 * one when no credit was given. paid_end[i] is the end that revision i was paid to when it was
 * signed. MONEY_BAD as above. */
money_t ledger_recompute(const struct ledger_span *span, const wall_t *paid_end, size_t n);

#endif
