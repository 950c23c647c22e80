/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_core.c - money x time.
 *
 * The rule: amount(revision) = sum over past revisions of ceil(price/h x elapsed_ms / 3,600,000),
 * plus ceil(price/h x remaining_ms / 3,600,000) for the revision itself; it is paid up front, so
 * a new revision holds only what exceeds what its lineage has captured. Step-down never refunds
 * by itself.
 * We do: each span is rounded up by itself, so that either side finds the same sum from the same
 * list, in integers, whatever the order of events was. */
#include "ledger_core.h"
#include "treaty/pure.h"

static bool is_bad(money_t m)
{
	return m.minor == INT64_MIN;
}

static money_t span_cost(const struct ledger_span *s, wall_t end)
{
	int64_t ms;

	if (end.ms < s->start.ms || __builtin_sub_overflow(end.ms, s->start.ms, &ms))
		return MONEY_BAD;
	return price_for(s->price, ms);
}

money_t ledger_amount(const struct ledger_span *span, size_t n)
{
	money_t sum = { 0 };

	if (n == 0)
		return MONEY_BAD;
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && span[i].start.ms != span[i - 1].end.ms)
			return MONEY_BAD;
		sum = money_add(sum, span_cost(&span[i], span[i].end));
	}
	return sum;
}

money_t ledger_delta(money_t amount, money_t captured)
{
	if (amount.minor < 0 || captured.minor < 0)
		return MONEY_BAD;
	return (money_t){ amount.minor > captured.minor ? amount.minor - captured.minor : 0 };
}

money_t ledger_unused(const struct ledger_span *span, size_t n, money_t captured, wall_t at)
{
	money_t used = { 0 };

	if (is_bad(ledger_amount(span, n)) || captured.minor < 0)
		return MONEY_BAD;
	for (size_t i = 0; i < n && span[i].start.ms < at.ms; i++) {
		bool cut = at.ms < span[i].end.ms;

		used = money_add(used, span_cost(&span[i], cut ? at : span[i].end));
	}
	return ledger_delta(captured, used);
}

money_t ledger_recompute(const struct ledger_span *span, const wall_t *paid_end, size_t n)
{
	money_t past = { 0 }, captured = { 0 };

	if (is_bad(ledger_amount(span, n)))
		return MONEY_BAD;
	for (size_t i = 0; i < n; i++) {
		money_t amount = money_add(past, span_cost(&span[i], paid_end[i]));

		if (is_bad(amount))
			return MONEY_BAD;
		if (amount.minor > captured.minor)
			captured = amount;
		past = money_add(past, span_cost(&span[i], span[i].end));
	}
	return captured;
}
