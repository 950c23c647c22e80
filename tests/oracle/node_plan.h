/* SPDX-License-Identifier: Apache-2.0 */
/* node_plan.h - one plan to the node agent of node_rig.h, and what the kernel has of a label then.
 */
#ifndef TREATY_TESTS_NODE_PLAN_H
#define TREATY_TESTS_NODE_PLAN_H

#include "node_rig.h"

static struct answer {
	bool have;
	enum refusal refusal;
	char why[160];
} got;

static inline void on_done(void *arg, enum refusal r, const char *why)
{
	(void)arg;
	got.have = true;
	got.refusal = r;
	str_cut(got.why, why);
	loop_stop(side.loop, 0);
}

static inline void apply(const struct plan *p, enum refusal want)
{
	struct err e = { 0 };

	got = (struct answer){ 0 };
	if (node_apply(&side, p, on_done, NULL, &e))
		fail_msg("%s", e.text);
	assert_false(got.have);
	assert_int_equal(turn(5000), 0);
	if (got.refusal != want)
		fail_msg("%s: %s", refusal_name(got.refusal), got.why);
}

static inline struct observation seen(uint32_t label)
{
	struct observation o = { 0 };
	struct err e = { 0 };

	if (node_observation(&side, label, &o, &e))
		fail_msg("%s", e.text);
	return o;
}

#endif
