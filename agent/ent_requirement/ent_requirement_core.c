/* SPDX-License-Identifier: Apache-2.0 */
/* Demand is what a class sends for several windows in a row, not what it sends once. Up is quick,
 * down is slow, and the default grades of the class are the least that is ever asked for. A class
 * whose profile forbids detection is changed by people and applications only. */
#include "ent_requirement_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

static uint64_t part(uint64_t v, unsigned permille)
{
	return v / 1000 * permille + v % 1000 * permille / 1000;
}

static uint16_t more(uint16_t n)
{
	return n < UINT16_MAX ? (uint16_t)(n + 1) : n;
}

/* The rate to ask for, given the peak of a run. */
static rate_t target(const struct ent_requirement_in *in, rate_t peak)
{
	uint64_t grain = in->p.grain.bps ? in->p.grain.bps : 1;
	uint64_t bps = peak.bps + part(peak.bps, in->p.headroom);

	bps = (bps + grain - 1) / grain * grain;
	if (bps < in->profile.want.bandwidth.bps)
		bps = in->profile.want.bandwidth.bps;
	if (in->p.most.bps && bps > in->p.most.bps)
		bps = in->p.most.bps;
	return (rate_t){ bps };
}

static void run(struct ent_requirement_state *s, const struct ent_requirement_state *prev,
		rate_t seen, bool above, bool below, bool idle)
{
	bool goes_on = (above && prev->above) || (below && prev->below);

	s->above = above ? more(prev->above) : 0;
	s->below = below ? more(prev->below) : 0;
	s->idle = idle ? more(prev->idle) : 0;
	s->peak = goes_on && prev->peak.bps > seen.bps ? prev->peak : seen;
}

static void ask(const struct ent_requirement_in *in, struct ent_requirement_out *out,
		enum requirement_action action, const char *rule, unsigned windows)
{
	out->action = action;
	why_rule(&out->why, rule);
	why_num(&out->why, "observed", (int64_t)in->observed.bps);
	why_num(&out->why, "windows", windows);
	if (action == REQUIRE_WITHDRAW)
		return;
	out->want = in->profile.want;
	out->want.bandwidth = target(in, out->s.peak);
	why_num(&out->why, "contracted", (int64_t)in->contracted.bps);
	why_num(&out->why, "want", (int64_t)out->want.bandwidth.bps);
}

static void without(const struct ent_requirement_in *in, struct ent_requirement_out *out)
{
	run(&out->s, &in->s, in->observed, in->observed.bps >= in->p.detect.bps, false, false);
	if (out->s.above == 0)
		why_rule(&out->why, "no demand");
	else if (out->s.above < in->p.up)
		why_rule(&out->why, "demand is young");
	else
		ask(in, out, REQUIRE_DECLARE, "demand detected", out->s.above);
}

static void with(const struct ent_requirement_in *in, struct ent_requirement_out *out)
{
	bool up = in->observed.bps >= part(in->contracted.bps, in->p.raise);
	bool down = !up && in->observed.bps <= part(in->contracted.bps, in->p.lower);
	bool idle = in->detected && in->observed.bps < in->p.detect.bps;

	run(&out->s, &in->s, in->observed, up, down, idle);
	why_rule(&out->why, "the contract fits");
	if (idle && out->s.idle >= in->p.idle)
		ask(in, out, REQUIRE_WITHDRAW, "demand is gone", out->s.idle);
	else if (up && out->s.above >= in->p.up && target(in, out->s.peak).bps > in->contracted.bps)
		ask(in, out, REQUIRE_CHANGE, "demand above contract", out->s.above);
	else if (down && !idle && out->s.below >= in->p.down &&
		 target(in, out->s.peak).bps < in->contracted.bps)
		ask(in, out, REQUIRE_CHANGE, "demand below contract", out->s.below);
}

void ent_requirement_decide(const struct ent_requirement_in *in, struct ent_requirement_out *out)
{
	memset(out, 0, sizeof(*out));
	if (!in->profile.detect)
		why_rule(&out->why, "the class is not watched");
	else if (in->busy)
		why_rule(&out->why, "a negotiation is under way");
	else if (in->live)
		with(in, out);
	else
		without(in, out);
}

void ent_requirement_defaults(struct ent_requirement_params *p)
{
	*p = (struct ent_requirement_params){
		.detect = { 500000 },
		.up = 5,
		.down = 50,
		.idle = 100,
		.raise = 1050,
		.lower = 600,
		.headroom = 100,
		.grain = { 1000000 },
	};
}
