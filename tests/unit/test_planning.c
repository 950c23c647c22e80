/* SPDX-License-Identifier: Apache-2.0 */
/* Plans, walked by a model of the lab of its own: links and routes, not path definitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/oss_planning/oss_planning_core.h"

#define M 1000000ull

static const struct path_def shortp = {
	.path = 1,
	.type = NET_DET,
	.n_hops = 2,
	.hop = { { { "popA" }, { "acc0" }, { "coreb" }, false, false, true },
		 { { "popB" }, { "corea" }, { "exc0" }, false, true, true } },
};
static const struct path_def longp = {
	.path = 2,
	.type = NET_DET,
	.n_hops = 3,
	.hop = { { { "popA" }, { "acc0" }, { "corec" }, false, false, true },
		 { { "popC" }, { "corea" }, { "coreb" }, false, false, false },
		 { { "popB" }, { "corec" }, { "exc0" }, false, true, true } },
};

static struct oss_plan_in plan_in(enum order_action action)
{
	struct oss_plan_in in = {
		.plan = { "pln-1" },
		.path = shortp,
		.minor = 0x101,
		.old_minor = 0x101,
		.police_pct = 105,
		.burst_ms = 250,
		.overlap_ms = 500,
		.n_rules = 2,
		.rule = { { .id = 1, .class_id = 2 }, { .id = 2, .class_id = 2 } },
	};

	in.order.action = action;
	in.order.label = in.order.old_label = 0x2001;
	in.order.path = in.order.old_path = 1;
	in.order.g.bandwidth.bps = in.order.old_g.bandwidth.bps = 20 * M;
	if (action == ORDER_REROUTE || action == ORDER_MIGRATE) {
		in.path = longp;
		in.old_path = shortp;
		in.order.path = 2;
	}
	if (action == ORDER_MIGRATE) {
		in.order.label = 0x2002;
		in.minor = 0x102;
	}
	return in;
}

/* --- the lab, told a second time ---------------------------------------------------------- */
static const struct {
	const char *node, *dev, *to, *in;
} wires[] = {
	{ "popA", "coreb", "popB", "corea" }, { "popB", "corea", "popA", "coreb" },
	{ "popA", "corec", "popC", "corea" }, { "popC", "corea", "popA", "corec" },
	{ "popC", "coreb", "popB", "corec" }, { "popB", "corec", "popC", "coreb" },
	{ "popA", "acc0", NULL, NULL },       { "popB", "exc0", NULL, NULL },
};

static const char *route(const char *node, unsigned dir, unsigned path)
{
	if (!strcmp(node, "popC"))
		return dir == DIR_UP ? "coreb" : "corea";
	if (!strcmp(node, dir == DIR_UP ? "popB" : "popA"))
		return dir == DIR_UP ? "exc0" : "acc0";
	if (dir == DIR_UP)
		return path == 1 ? "coreb" : path == 2 ? "corec" : NULL;
	return path == 1 ? "corea" : path == 2 ? "corec" : NULL;
}

struct lab {
	unsigned n;
	struct plan_step set[512]; /* the newest step of each object */
};

static const struct step *find(const struct lab *l, const char *node, enum step_kind k,
			       uint32_t label, const char *dev, unsigned dir)
{
	for (unsigned i = l->n; i-- > 0;) {
		const struct step *s = &l->set[i].step;

		if (strcmp(l->set[i].node.s, node) || s->label != label)
			continue;
		if (k == STEP_LABEL_SET && (s->kind == k || s->kind == STEP_LABEL_DEL))
			return s->kind == k ? s : NULL;
		if (k == STEP_CLASS_SET && (s->kind == k || s->kind == STEP_CLASS_DEL) &&
		    !strcmp(s->device.s, dev))
			return s->kind == k ? s : NULL;
		if (k == STEP_STEER && s->kind == k && s->dir == dir)
			return s;
	}
	return NULL;
}

/* What stops a packet on its way, or NULL. */
static const char *travel(const struct lab *l, uint32_t label, unsigned dir)
{
	const char *node = dir == DIR_UP ? "popA" : "popB", *in = dir == DIR_UP ? "acc0" : "exc0";

	for (int hops = 0; hops < 5; hops++) {
		const struct step *line = find(l, node, STEP_LABEL_SET, label, NULL, 0), *s, *c;
		const char *bind, *out;
		size_t w = 0;

		if (!line)
			return "unknown label";
		bind = dir == DIR_UP ? line->in_up.s : line->in_down.s;
		if (*bind && strcmp(bind, in))
			return "binding";
		s = find(l, node, STEP_STEER, label, NULL, dir);
		out = route(node, dir, s ? s->path : 0);
		if (!out)
			return "no route";
		c = find(l, node, STEP_CLASS_SET, label, out, 0);
		if (!c || c->minor != line->minor)
			return "no class";
		while (strcmp(wires[w].node, node) || strcmp(wires[w].dev, out))
			w++;
		if (!wires[w].to)
			return NULL;
		node = wires[w].to;
		in = wires[w].in;
	}
	return "loop";
}

static bool emits(const struct lab *l, uint32_t label)
{
	for (uint32_t id = 1; id <= 2; id++)
		for (unsigned i = l->n; i-- > 0;) {
			const struct step *s = &l->set[i].step;

			if ((s->kind != STEP_RULE_SET && s->kind != STEP_RULE_DEL) ||
			    s->rule.id != id)
				continue;
			if (s->kind == STEP_RULE_SET && s->rule.label == label)
				return true;
			break;
		}
	return false;
}

static void take(struct lab *l, const struct plan *p, unsigned upto)
{
	for (unsigned i = 0; i < upto; i++)
		l->set[l->n++] = p->step[i];
}

/* The lab after an order that came before. */
static struct lab settled(const struct oss_plan_in *in)
{
	struct lab l = { 0 };
	struct oss_plan_in add = plan_in(ORDER_ADD);
	struct oss_plan_out out;

	add.order.g = in->order.old_g;
	if (in->order.action == ORDER_ADD)
		return l;
	oss_plan_make(&add, &out);
	assert_int_equal(out.refusal, REFUSE_NONE);
	take(&l, &out.plan, out.plan.n_steps);
	return l;
}

static struct oss_check_in check_in(const struct oss_plan_in *in, const struct plan *p)
{
	struct oss_check_in c = {
		.plan_in = *in,
		.plan = *p,
		.limit = 950,
		.n_devices = 3,
		.device = { { { "popA" }, { "coreb" }, { 200 * M }, { 100 * M } },
			    { { "popA" }, { "corec" }, { 300 * M }, { 100 * M } },
			    { { "popA" }, { "acc0" }, { 200 * M }, { 0 } } },
	};

	return c;
}

static struct oss_check_out check(const struct oss_plan_in *in, const struct plan *p)
{
	struct oss_check_in c = check_in(in, p);
	struct oss_check_out out;

	oss_plan_check(&c, &out);
	return out;
}

static struct plan make(const struct oss_plan_in *in)
{
	struct oss_plan_out out;

	oss_plan_make(in, &out);
	if (out.refusal != REFUSE_NONE)
		fail_msg("%s", out.why.s);
	for (unsigned i = 0; i < out.plan.n_steps; i++)
		assert_int_equal(out.plan.step[i].no, i + 1);
	return out.plan;
}

static void every_prefix_carries_the_traffic(void **state)
{
	static const struct {
		enum order_action action;
		uint64_t old, want;
	} t[] = {
		{ ORDER_ADD, 20, 20 },     { ORDER_MODIFY, 20, 40 },  { ORDER_MODIFY, 40, 20 },
		{ ORDER_MODIFY, 20, 20 },  { ORDER_REROUTE, 20, 20 }, { ORDER_REROUTE, 20, 40 },
		{ ORDER_REROUTE, 40, 20 }, { ORDER_MIGRATE, 20, 20 }, { ORDER_DELETE, 20, 20 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct oss_plan_in in = plan_in(t[i].action);
		struct plan p;
		bool waited = false;

		in.order.old_g.bandwidth.bps = t[i].old * M;
		in.order.g.bandwidth.bps = t[i].want * M;
		p = make(&in);
		for (unsigned upto = 0; upto <= p.n_steps; upto++) {
			struct lab l = settled(&in);
			const char *bad = NULL;
			bool up = t[i].action != ORDER_ADD || upto == p.n_steps;

			take(&l, &p, upto);
			waited = waited || (upto && p.step[upto - 1].step.kind == STEP_WAIT);
			if (waited && t[i].action == ORDER_DELETE)
				up = false;
			if (waited && t[i].action == ORDER_MIGRATE)
				up = false;
			if (up)
				bad = travel(&l,
					     t[i].action == ORDER_MIGRATE ? 0x2001 : in.order.label,
					     DIR_UP);
			if (!bad && waited && t[i].action == ORDER_MIGRATE)
				bad = travel(&l, 0x2002, DIR_UP);
			for (uint32_t label = 0x2001; label <= 0x2002 && !bad; label++)
				if (emits(&l, label))
					bad = travel(&l, label, DIR_DOWN);
			if (bad)
				fail_msg("case %zu after step %u: %s", i, upto, bad);
		}
		if (check(&in, &p).refusal != REFUSE_NONE)
			fail_msg("case %zu: the twin refuses: %s", i, check(&in, &p).why.s);
	}
}

/* Without the wait, or with steps swapped or left out, the twin says no. */
static void twin_sees_what_is_wrong(void **state)
{
	static const enum order_action actions[] = { ORDER_ADD, ORDER_REROUTE, ORDER_MIGRATE,
						     ORDER_DELETE };
	unsigned refused = 0;

	(void)state;
	for (size_t a = 0; a < ARRAY_LEN(actions); a++) {
		struct oss_plan_in in = plan_in(actions[a]);
		struct plan good = make(&in);

		for (unsigned k = 0; k < good.n_steps; k++) {
			enum step_kind kind = good.step[k].step.kind;
			struct plan p = good;
			bool need;

			/* one step made into one that does nothing */
			p.step[k].step.kind = STEP_KIND_MAX_;
			need = kind == STEP_WAIT ||
			       (actions[a] == ORDER_REROUTE && kind == STEP_PROBE);
			/* what is laid for the road must be there; idempotent repeats need not */
			if (actions[a] == ORDER_ADD && kind != STEP_PROBE && kind != STEP_RULE_SET)
				need = kind == STEP_LABEL_SET || kind == STEP_STEER ||
				       kind == STEP_CLASS_SET;
			if (need && check(&in, &p).refusal == REFUSE_NONE)
				fail_msg("action %d without step %u (kind %d) passes", actions[a],
					 k + 1, kind);
			refused += check(&in, &p).refusal != REFUSE_NONE;
		}
	}
	assert_true(refused > 25);
}

static void capacity(void **state)
{
	struct oss_plan_in in = plan_in(ORDER_MODIFY);
	struct plan p;
	struct oss_check_out out;

	(void)state;
	in.order.g.bandwidth.bps = 90 * M; /* 100 + 90 = 95 % of 200 */
	p = make(&in);
	assert_int_equal(check(&in, &p).refusal, REFUSE_NONE);
	in.order.g.bandwidth.bps = 90 * M + 1;
	p = make(&in);
	out = check(&in, &p);
	assert_int_equal(out.refusal, REFUSE_PLAN_INFEASIBLE);
	assert_string_equal(p.step[out.at - 1].step.device.s, "coreb");
	in = plan_in(ORDER_MIGRATE); /* both labels count on what they share during the overlap */
	in.order.g.bandwidth.bps = in.order.old_g.bandwidth.bps = 90 * M;
	p = make(&in);
	assert_int_equal(check(&in, &p).refusal, REFUSE_NONE);
	in.order.g.bandwidth.bps += 11 * M;
	p = make(&in);
	assert_int_equal(check(&in, &p).refusal, REFUSE_PLAN_INFEASIBLE);
}

/* Raised from the far end with the class first; lowered from the edge with the map first. */
static void order_of_steps(void **state)
{
	static const struct {
		enum order_action action;
		uint64_t old, want;
		const char *kinds, *nodes;
	} t[] = {
		{ ORDER_ADD, 20, 20, "CCLSCCLSPRR", "BBBBAAAAABB" },
		{ ORDER_MODIFY, 20, 40, "CCLCCL", "BBBAAA" },
		{ ORDER_MODIFY, 40, 20, "LCCLCC", "AAABBB" },
		/* make B C A, probe, shift B A, overlap, narrow A C B, break A B */
		{ ORDER_REROUTE, 20, 20, "CCLCCLCCLPSSWLLLcc", "BBBCCCAAAABAAACBAB" },
		{ ORDER_REROUTE, 40, 20, "CCLCCLCCLPSSWLCCLCCLCCcc", "BBBCCCAAAABAAAAACCCBBBAB" },
		{ ORDER_DELETE, 20, 20, "rrWSlccSlcc", "BBAAAAABBBB" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct oss_plan_in in = plan_in(t[i].action);
		char kinds[STEPS_MAX + 1] = "", nodes[STEPS_MAX + 1] = "";
		struct plan p;

		in.order.old_g.bandwidth.bps = t[i].old * M;
		in.order.g.bandwidth.bps = t[i].want * M;
		p = make(&in);
		for (unsigned k = 0; k < p.n_steps; k++) {
			kinds[k] = "?LlCcRrSPWQq"[p.step[k].step.kind];
			nodes[k] = p.step[k].node.s[3];
		}
		assert_string_equal(kinds, t[i].kinds);
		assert_string_equal(nodes, t[i].nodes);
	}
}

/* Set where it polices, before the labels under it; gone after the last of them, never earlier. */
static void ceilings(void **state)
{
	static const struct {
		enum order_action action;
		bool last;
		const char *kinds;
	} t[] = {
		{ ORDER_ADD, true, "CCQLSCCQLSPRR" },
		{ ORDER_MODIFY, true, "CCQLCCQL" },
		{ ORDER_REROUTE, true, "CCQLCCLCCQLPSSWQLLQL" },
		{ ORDER_DELETE, true, "rrWSlqccSlqcc" },
		{ ORDER_DELETE, false, "rrWSlccSlcc" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct oss_plan_in in = plan_in(t[i].action);
		char kinds[STEPS_MAX + 1] = "";
		struct plan p;

		in.ceiling = 7;
		in.ceiling_rate.bps = 50 * M;
		in.ceiling_last = t[i].last;
		in.ceil_pct = 150;
		in.src_family = 6;
		in.src_up_len = in.src_down_len = 64;
		in.src_up[0] = 0xfd;
		p = make(&in);
		for (unsigned k = 0; k < p.n_steps; k++) {
			const struct step *s = &p.step[k].step;
			bool first = p.step[k].node.s[3] == 'A', mid = p.step[k].node.s[3] == 'C';

			kinds[k] = "?LlCcRrSPWQq"[s->kind];
			if (s->kind == STEP_CEILING_SET || s->kind == STEP_CEILING_DEL)
				assert_int_equal(s->ceiling, 7);
			if (s->kind == STEP_CEILING_SET)
				assert_int_equal(s->rate.bps, 50 * M);
			if (s->kind == STEP_CLASS_SET)
				assert_int_equal(s->ceil.bps, 30 * M);
			if (s->kind != STEP_LABEL_SET)
				continue;
			assert_int_equal(s->ceiling, mid ? 0 : 7);
			assert_int_equal(s->excess.bps, mid ? 0 : 10 * M);
			assert_int_equal(s->src_up_len, first ? 64 : 0);
			assert_int_equal(s->src_down_len, first || mid ? 0 : 64);
		}
		if (strncmp(kinds, t[i].kinds, t[i].action == ORDER_REROUTE ? 17 : 64))
			fail_msg("case %zu: %s", i, kinds);
		if (check(&in, &p).refusal != REFUSE_NONE)
			fail_msg("case %zu: the twin refuses: %s", i, check(&in, &p).why.s);
		for (unsigned k = 0; k < p.n_steps; k++)
			if (p.step[k].step.kind == STEP_CEILING_SET && t[i].action == ORDER_ADD) {
				struct plan bad = p;

				bad.step[k].step.kind = STEP_KIND_MAX_;
				assert_int_equal(check(&in, &bad).refusal, REFUSE_PLAN_INFEASIBLE);
			}
	}
}

static void details(void **state)
{
	struct oss_plan_in in = plan_in(ORDER_REROUTE);
	struct plan p = make(&in);
	unsigned lines = 0;

	(void)state;
	for (unsigned k = 0; k < p.n_steps; k++) {
		const struct step *s = &p.step[k].step;

		if (s->kind != STEP_LABEL_SET)
			continue;
		assert_int_equal(s->rate.bps, p.step[k].node.s[3] == 'C' ? 0 : 21 * M);
		if (p.step[k].node.s[3] == 'A') { /* open to both roads, then to the new one */
			assert_string_equal(s->in_up.s, "acc0");
			assert_string_equal(s->in_down.s, lines < 3 ? "" : "corec");
		}
		lines++;
	}
	assert_int_equal(lines, 6);
}

static void refusals(void **state)
{
	struct oss_plan_in in;
	struct oss_plan_out out;

	(void)state;
#define CASE(action, change)                                                 \
	do {                                                                 \
		in = plan_in(action);                                        \
		change;                                                      \
		oss_plan_make(&in, &out);                                    \
		if (out.refusal != REFUSE_ORDER_INVALID || out.plan.n_steps) \
			fail_msg("%s: %d", #change, out.refusal);            \
	} while (0)
	CASE(ORDER_ADD, in.order.action = 0);
	CASE(ORDER_ADD, in.order.label = 0);
	CASE(ORDER_ADD, in.order.label = LABEL_MAX + 1);
	CASE(ORDER_ADD, in.minor = 0);
	CASE(ORDER_ADD, in.order.path = 9);
	CASE(ORDER_ADD, in.path.n_hops = 0);
	CASE(ORDER_ADD, in.path.n_hops = HOPS_MAX + 1);
	CASE(ORDER_ADD, in.n_rules = OSS_RULES_MAX + 1);
	CASE(ORDER_ADD, in.order.g.bandwidth.bps = 0);
	CASE(ORDER_ADD, in.no_v4 = true; in.rule[1].family = 4);
	CASE(ORDER_MODIFY, in.no_v4 = true; in.rule[0].family = 4);
	CASE(ORDER_DELETE, in.overlap_ms = 0);
	CASE(ORDER_REROUTE, in.old_path.n_hops = 0);
	CASE(ORDER_REROUTE, str_set(in.old_path.hop[1].node.s, "popX") ? (void)0 : fail());
	CASE(ORDER_MIGRATE, in.order.label = in.order.old_label);
	CASE(ORDER_MIGRATE, in.minor = in.old_minor);
#undef CASE
	in = plan_in(ORDER_DELETE); /* what is there goes, also when it should not be */
	in.no_v4 = true;
	in.rule[0].family = 4;
	oss_plan_make(&in, &out);
	assert_int_equal(out.refusal, REFUSE_NONE);
	in = plan_in(ORDER_ADD); /* IPv6 does not ask for it */
	in.no_v4 = true;
	in.rule[0].family = 6;
	oss_plan_make(&in, &out);
	assert_int_equal(out.refusal, REFUSE_NONE);
	in = plan_in(
		ORDER_MIGRATE); /* eight hops twice and sixteen rules are too much for one plan */
	in.path.n_hops = in.old_path.n_hops = HOPS_MAX;
	for (unsigned i = 0; i < HOPS_MAX; i++) {
		in.path.hop[i] = in.old_path.hop[i] = shortp.hop[0];
		in.path.hop[i].node.s[3] = in.old_path.hop[i].node.s[3] = (char)('A' + i);
	}
	in.n_rules = OSS_RULES_MAX;
	oss_plan_make(&in, &out);
	assert_int_equal(out.refusal, REFUSE_PLAN_INFEASIBLE);
	assert_int_equal(out.plan.n_steps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_prefix_carries_the_traffic),
		cmocka_unit_test(twin_sees_what_is_wrong),
		cmocka_unit_test(capacity),
		cmocka_unit_test(order_of_steps),
		cmocka_unit_test(ceilings),
		cmocka_unit_test(details),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests_name("planning", tests, NULL, NULL);
}
