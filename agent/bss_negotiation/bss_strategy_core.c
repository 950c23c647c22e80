/* SPDX-License-Identifier: Apache-2.0 */
/* Renegotiation, as the draft says it: step up for a service-level-sensitive class, step down for
 * a cost-sensitive one, and walk back when the scarcity clears.
 *
 * As we do it: a step up is the best that can be had, in this order and never mixed in one offer:
 * the same grades on another path, the class's own ceiling on another path, priority where it is,
 * another network type. A step down is everything that costs less than now. The way back is the
 * original revision at its price, once its path is clear with room to spare. */
#include "bss_offer_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

enum rank { RANK_SAME, RANK_CEILING, RANK_PRIORITY, RANK_TYPE, RANK_NONE };

static uint32_t slow(const struct path_view *v)
{
	uint32_t us = v->forecast.us > v->delay.us ? v->forecast.us : v->delay.us;

	return us > v->base.us ? us : v->base.us;
}

static avail_t available(const struct bss_strategy_in *in, const struct path_view *v, avail_t want)
{
	return bss_protected(v) || want.ppm < in->p.unprotected.ppm ? want : in->p.unprotected;
}

static bool within(const struct path_view *v, unsigned permille, uint64_t less, uint64_t plus)
{
	uint64_t load = v->load_forecast.bps;

	load -= load < less ? load : less;
	return load + plus <= bss_limit(v, permille);
}

/* Alive, for sale, with room among the promises and below the load that it may reach. */
static enum refusal holds(const struct bss_strategy_in *in, const struct path_view *v, rate_t rate,
			  bool load_too)
{
	struct bss_own own = { in->live.path, in->live.g.bandwidth };
	uint64_t had = v->path == in->live.path ? in->live.g.bandwidth.bps : 0;

	if (!v->alive || !bss_room(&in->p, v, &own, rate))
		return REFUSE_NO_CAPACITY;
	if (v->path != in->live.path && !table_admits(&v->least, true))
		return REFUSE_NODE_FULL;
	if (!path_carries(v, in->profile.v4))
		return REFUSE_PATH_NO_IPV4;
	if (load_too && bss_withdrawn(v))
		return REFUSE_GRADE_WITHDRAWN;
	if (load_too && !within(v, in->p.load_limit, had, rate.bps))
		return REFUSE_NO_CAPACITY;
	return REFUSE_NONE;
}

static void price_item(const struct bss_strategy_in *in, const struct path_view *v,
		       struct quote_item *i)
{
	unsigned n = in->n_paths < PATHS_MAX ? in->n_paths : PATHS_MAX;

	i->path = v->path;
	i->type = v->type;
	i->scarcity = bss_price(&in->p, &in->profile, &i->g, v, bss_shortest(in->path, n));
	i->margin = in->live.margin;
	for (unsigned a = 0; a < AXIS_MAX_; a++)
		i->surge_pct[a] = (unsigned)v->band[a] < BAND_MAX_
					  ? in->p.surge_pct[a * BAND_MAX_ + v->band[a]]
					  : 0;
}

static bool before(const struct quote_item *a, const struct quote_item *b)
{
	if (a->g.bandwidth.bps != b->g.bandwidth.bps)
		return a->g.bandwidth.bps > b->g.bandwidth.bps;
	if (quote_price(a).minor_h != quote_price(b).minor_h)
		return quote_price(a).minor_h < quote_price(b).minor_h;
	return a->path < b->path;
}

static void refuse_path(struct bss_strategy_out *out, const struct path_view *v, enum refusal r)
{
	bss_refuse_path(out->refused, &out->n_refused, v->path, r);
	if (out->refusal == REFUSE_NONE || r == REFUSE_GRADE_WITHDRAWN)
		out->refusal = r;
}

/* How well a path would hold the live grades; the item carries what it would promise. */
static enum rank step_up_rank(const struct bss_strategy_in *in, const struct path_view *v,
			      struct quote_item *i, enum refusal *why)
{
	bool here = v->path == in->live.path, type = v->type == in->live.type;
	uint32_t ceiling = in->profile.want.latency.us;
	delay_t promise = bss_promise(&in->p, v);

	memset(i, 0, sizeof(*i));
	i->g = in->live.g;
	i->g.availability = available(in, v, in->live.g.availability);
	*why = holds(in, v, in->live.g.bandwidth, !here);
	if (*why != REFUSE_NONE)
		return RANK_NONE;
	if (slow(v) <= in->live.g.latency.us) {
		if (here)
			return RANK_PRIORITY;
		if (type)
			return RANK_SAME;
		return RANK_TYPE;
	}
	*why = REFUSE_NO_CAPACITY;
	if (here || (ceiling && promise.us > ceiling))
		return RANK_NONE;
	*why = REFUSE_NONE;
	i->g.latency = promise;
	return type ? RANK_CEILING : RANK_TYPE;
}

static void step_up(const struct bss_strategy_in *in, unsigned n, struct bss_strategy_out *out)
{
	enum rank best = RANK_NONE;

	for (unsigned k = 0; k < n; k++) {
		const struct path_view *v = &in->path[k];
		struct quote_item i;
		enum refusal why;
		enum rank r = step_up_rank(in, v, &i, &why);

		if (r == RANK_NONE)
			refuse_path(out, v, why);
		if (r == RANK_NONE || r > best)
			continue;
		if (r < best)
			out->n_items = 0;
		best = r;
		price_item(in, v, &i);
		if (i.scarcity.minor_h >= 0)
			bss_insert(out->item, &out->n_items, &i, before);
	}
	out->reason = QUOTE_STEP_UP;
	out->event = LEV_OFFERED_UP;
	why_rule(&out->why, "step up");
	why_num(&out->why, "rank", best);
}

/* One way down: `rate` on the path, at less than the live price. */
static enum refusal down_item(const struct bss_strategy_in *in, const struct path_view *v,
			      rate_t rate, struct quote_item *i)
{
	uint32_t most = in->profile.want.latency.us;
	delay_t promise = bss_promise(&in->p, v);
	enum refusal r = holds(in, v, rate, true);

	if (r != REFUSE_NONE)
		return r;
	if (most < in->live.g.latency.us)
		most = in->live.g.latency.us;
	memset(i, 0, sizeof(*i));
	i->g.bandwidth = rate;
	i->g.latency = slow(v) <= in->live.g.latency.us ? in->live.g.latency : promise;
	i->g.availability = available(in, v, in->live.g.availability);
	if (i->g.latency.us > most)
		return REFUSE_NO_CAPACITY;
	price_item(in, v, i);
	if (i->scarcity.minor_h < 0)
		return REFUSE_LIMIT_REACHED;
	return quote_price(i).minor_h < in->live.scarcity.minor_h + in->live.margin.minor_h
		       ? REFUSE_NONE
		       : REFUSE_UNAFFORDABLE;
}

static void step_down(const struct bss_strategy_in *in, unsigned n, struct bss_strategy_out *out)
{
	rate_t full = in->live.g.bandwidth, less = { full.bps / 100 * in->p.step_pct };

	for (unsigned k = 0; k < n; k++) {
		const struct path_view *v = &in->path[k];
		enum refusal r1 = REFUSE_NO_CAPACITY, r2 = REFUSE_NO_CAPACITY;
		struct quote_item i;

		if (v->path != in->live.path) {
			r1 = down_item(in, v, full, &i);
			if (r1 == REFUSE_NONE)
				bss_insert(out->item, &out->n_items, &i, before);
		}
		if (less.bps && less.bps < full.bps) {
			r2 = down_item(in, v, less, &i);
			if (r2 == REFUSE_NONE)
				bss_insert(out->item, &out->n_items, &i, before);
		}
		if (r1 != REFUSE_NONE && r2 != REFUSE_NONE)
			refuse_path(out, v, r2);
	}
	out->reason = QUOTE_STEP_DOWN;
	out->event = LEV_OFFERED_DOWN;
	why_rule(&out->why, "step down");
}

static bool away(const struct bss_strategy_in *in)
{
	const struct bss_terms *a = &in->live, *b = &in->origin;

	return a->path != b->path || a->type != b->type ||
	       a->g.bandwidth.bps != b->g.bandwidth.bps || a->g.latency.us != b->g.latency.us ||
	       a->g.availability.ppm != b->g.availability.ppm ||
	       a->scarcity.minor_h != b->scarcity.minor_h || a->margin.minor_h != b->margin.minor_h;
}

static enum refusal clear(const struct bss_strategy_in *in, const struct path_view *v)
{
	const struct grades *g = &in->origin.g;
	uint64_t had = v->path == in->live.path ? in->live.g.bandwidth.bps : 0;
	enum refusal r = holds(in, v, g->bandwidth, true);

	if (r != REFUSE_NONE)
		return r;
	if (!within(v, in->p.load_clear, had, g->bandwidth.bps) || slow(v) > g->latency.us)
		return REFUSE_NO_CAPACITY;
	return g->availability.ppm > available(in, v, g->availability).ppm ? REFUSE_GRADE_WITHDRAWN
									   : REFUSE_NONE;
}

static void walk_back(const struct bss_strategy_in *in, unsigned n, struct bss_strategy_out *out)
{
	out->reason = QUOTE_WALK_BACK;
	out->event = LEV_OFFERED_DOWN;
	why_rule(&out->why, "walk back");
	out->refusal = REFUSE_NO_CAPACITY;
	for (unsigned k = 0; k < n; k++) {
		struct quote_item i = { 0 };

		if (in->path[k].path != in->origin.path)
			continue;
		out->refusal = clear(in, &in->path[k]);
		if (out->refusal != REFUSE_NONE) {
			refuse_path(out, &in->path[k], out->refusal);
			continue;
		}
		i.g = in->origin.g;
		price_item(in, &in->path[k], &i);
		i.type = in->origin.type;
		i.scarcity = in->origin.scarcity;
		i.margin = in->origin.margin;
		bss_insert(out->item, &out->n_items, &i, before);
	}
}

static void choose(const struct bss_strategy_in *in, unsigned n, struct bss_strategy_out *out)
{
	bool cheap = in->profile.strategy == STRATEGY_STEP_DOWN;

	switch (in->trigger) {
	case TRIGGER_RECOVERED:
		if (away(in))
			walk_back(in, n, out);
		else
			why_rule(&out->why, "at its origin already");
		return;
	case TRIGGER_RECLAIM:
		if (cheap)
			step_down(in, n, out);
		else
			why_rule(&out->why, "the class does not step down");
		return;
	case TRIGGER_BREACH_PREDICTED:
	case TRIGGER_BREACHED:
		if (cheap)
			step_down(in, n, out);
		else
			step_up(in, n, out);
		return;
	}
	why_rule(&out->why, "unknown trigger");
}

void bss_strategy(const struct bss_strategy_in *in, struct bss_strategy_out *out)
{
	unsigned n = in->n_paths < PATHS_MAX ? in->n_paths : PATHS_MAX;
	enum life to;
	enum refusal r;

	memset(out, 0, sizeof(*out));
	out->event = LEV_MAX_;
	choose(in, n, out);
	if (out->n_items) {
		r = life_next(in->life, out->event, &to);
		out->refusal = r;
		out->offer = r == REFUSE_NONE;
	}
	for (unsigned k = 0; k < out->n_items; k++)
		out->item[k].no = (uint8_t)(k + 1);
	if (!out->offer) {
		out->n_items = 0;
		out->reason = 0;
		out->event = LEV_MAX_;
		memset(out->item, 0, sizeof(out->item));
	} else {
		out->valid_until.ms = in->now.ms + in->p.ttl_ms;
	}
	why_num(&out->why, "trigger", in->trigger);
	why_text(&out->why, "life", life_name(in->life));
	why_num(&out->why, "live-path", in->live.path);
	why_num(&out->why, "items", out->n_items);
	why_num(&out->why, "refused", out->n_refused);
}

enum order_action bss_order_action(const struct agreement *old, const struct agreement *next)
{
	if (!next)
		return ORDER_DELETE;
	if (!old)
		return ORDER_ADD;
	if (old->type != next->type)
		return ORDER_MIGRATE;
	return old->path != next->path ? ORDER_REROUTE : ORDER_MODIFY;
}
