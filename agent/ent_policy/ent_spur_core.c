/* SPDX-License-Identifier: Apache-2.0 */
/* The firm's own spur: contracts are promises to the firm's own flows, and when they do not fit,
 * donors drop to their floor, the least important first and whole, so that one cut makes room for a
 * while. They come back when there has been room for it for some time. */
#include "ent_spur_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

static uint64_t part(rate_t r, unsigned permille)
{
	return r.bps / 1000 * permille + r.bps % 1000 * permille / 1000;
}

/* Whether a gives way before b: donors, then the lower priority, then the idler, then by label. */
static bool gives_way(const struct spur_flow *a, const struct spur_flow *b)
{
	if (a->donor != b->donor)
		return a->donor;
	if (a->priority != b->priority)
		return a->priority > b->priority;
	if (a->demand.bps != b->demand.bps)
		return a->demand.bps < b->demand.bps;
	return a->label > b->label;
}

struct spur {
	const struct ent_spur_in *in;
	unsigned n;
	uint8_t order[SPUR_SHARES_MAX]; /* who gives way first */
	uint64_t rate[SPUR_SHARES_MAX];
	uint64_t sum;
};

static void start(struct spur *s, const struct ent_spur_in *in)
{
	s->in = in;
	s->n = in->n_flows < SPUR_SHARES_MAX ? in->n_flows : SPUR_SHARES_MAX;
	for (unsigned i = 0; i < s->n; i++) {
		const struct spur_flow *f = &in->flow[i];
		bool keeps = f->donor && f->rate.bps && f->rate.bps < f->contracted.bps;
		unsigned k = i;

		s->rate[i] = keeps ? f->rate.bps : f->contracted.bps;
		if (keeps && s->rate[i] < f->floor.bps)
			s->rate[i] = f->floor.bps;
		s->sum += s->rate[i];
		for (; k > 0 && gives_way(f, &in->flow[s->order[k - 1]]); k--)
			s->order[k] = s->order[k - 1];
		s->order[k] = (uint8_t)i;
	}
}

/* Down to the floors, one whole flow after the other. */
static bool cut(struct spur *s, uint64_t limit, uint32_t *label)
{
	bool any = false;

	for (unsigned k = 0; k < s->n && s->sum > limit; k++) {
		const struct spur_flow *f = &s->in->flow[s->order[k]];

		if (s->rate[s->order[k]] <= f->floor.bps)
			continue;
		s->sum -= s->rate[s->order[k]] - f->floor.bps;
		s->rate[s->order[k]] = f->floor.bps;
		*label = f->label;
		any = true;
	}
	return any;
}

/* Back up to the contracts, the most important first, as far as there is room. With `act` false
 * only says whether one could come back. */
static bool restore(struct spur *s, uint64_t limit, bool act, uint32_t *label)
{
	bool any = false;

	for (unsigned k = s->n; k-- > 0;) {
		const struct spur_flow *f = &s->in->flow[s->order[k]];
		uint64_t *rate = &s->rate[s->order[k]];

		if (*rate >= f->contracted.bps || s->sum + (f->contracted.bps - *rate) > limit)
			continue;
		any = true;
		if (!act)
			break;
		s->sum += f->contracted.bps - *rate;
		*rate = f->contracted.bps;
		*label = f->label;
	}
	return any;
}

static void answer(const struct spur *s, struct ent_spur_out *out)
{
	out->n_flows = (uint8_t)s->n;
	for (unsigned i = 0; i < s->n; i++) {
		const struct spur_flow *f = &s->in->flow[i];
		bool keep = out->refusal != REFUSE_NONE && f->rate.bps;

		out->flow[i].label = f->label;
		out->flow[i].rate.bps = keep ? f->rate.bps : s->rate[i];
		out->flow[i].changed = out->refusal == REFUSE_NONE && f->rate.bps != s->rate[i];
		out->changed = out->changed || out->flow[i].changed;
	}
}

void ent_spur_rebalance(const struct ent_spur_in *in, struct ent_spur_out *out)
{
	struct spur s = { 0 };
	uint64_t limit = part(in->capacity, in->usable);
	uint32_t label = 0;

	memset(out, 0, sizeof(*out));
	start(&s, in);
	if (cut(&s, limit, &label)) {
		why_rule(&out->why, "cut to the floor");
	} else if (restore(&s, part(in->capacity, in->restore), false, &label)) {
		out->calm = in->calm < UINT16_MAX ? (uint16_t)(in->calm + 1) : in->calm;
		why_rule(&out->why, "room, not yet for long");
		if (out->calm >= in->hold) {
			(void)restore(&s, part(in->capacity, in->restore), true, &label);
			out->calm = 0;
			why_rule(&out->why, "restored");
		}
	} else {
		why_rule(&out->why, "nothing to divide anew");
	}
	if (s.sum > limit) {
		out->refusal = REFUSE_NO_CAPACITY;
		why_rule(&out->why, "the floors do not fit");
	}
	answer(&s, out);
	if (label)
		why_num(&out->why, "label", label);
	why_num(&out->why, "sum", (int64_t)s.sum);
	why_num(&out->why, "limit", (int64_t)limit);
	why_num(&out->why, "calm", out->calm);
}
