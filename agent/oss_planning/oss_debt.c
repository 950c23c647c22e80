/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_debt.h"

#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/log.h"
#include "agent/peer.h"

#include <stdio.h>

#define DEBTS_MAX 64
#define AGAIN_US  (2 * 1000 * 1000)

struct debt {
	uint64_t id;
	ident_t plan, order, lineage;
	uint32_t rev;
	struct plan_step step;
};

static struct {
	struct side *s;
	struct debt debt[DEBTS_MAX]; /* oldest first */
	uint32_t n;
	uint64_t last_id, in_flight; /* 0 = none */
	struct loop_timer *timer;
} ds;

static void try_first(void *arg);

static void again(int64_t us)
{
	if (ds.timer || ds.in_flight || !ds.n)
		return;
	ds.timer = loop_after(ds.s->loop, us, try_first, NULL);
}

static void drop(uint32_t i)
{
	ds.n--;
	memmove(&ds.debt[i], &ds.debt[i + 1], (ds.n - i) * sizeof(ds.debt[0]));
}

static void on_answer(void *arg, int err, const struct mcp_result *r, const char *why)
{
	struct debt first = ds.debt[0];

	(void)arg;
	(void)why;
	if (!ds.n || first.id != ds.in_flight) {
		ds.in_flight = 0;
		again(0);
		return;
	}
	ds.in_flight = 0;
	drop(0);
	if (err || r->code) {
		ds.debt[ds.n++] = first;
		again(AGAIN_US);
		return;
	}
	if (r->is_error)
		log_warn("node %s keeps label %u of plan %s: %s", first.step.node.s,
			 first.step.step.label, first.plan.s, r->text);
	again(0);
}

static void try_first(void *arg)
{
	const struct debt *d = &ds.debt[0];
	auto_free struct plan *p = calloc(1, sizeof(*p));
	auto_json json_t *args = NULL;
	struct err e = { 0 };
	char key[64];

	(void)arg;
	ds.timer = NULL;
	if (!ds.n || !p)
		return;
	*p = (struct plan){
		.id = d->plan, .order = d->order, .lineage = d->lineage, .rev = d->rev, .n_steps = 1
	};
	p->step[0] = d->step;
	args = json_pack("{s:o}", "plan", noun_encode(&plan_fields, p));
	(void)snprintf(key, sizeof(key), "%s-%u", p->id.s, d->step.no);
	ds.in_flight = d->id;
	if (!args ||
	    peer_tool(ds.s, d->step.node.s, "step_apply", args, key, on_answer, NULL, &e)) {
		ds.in_flight = 0;
		again(AGAIN_US);
	}
}

void oss_debt_add(const struct plan *p, uint16_t no)
{
	const struct plan_step *s = &p->step[no - 1];

	if (s->step.kind == STEP_WAIT || s->step.kind == STEP_PROBE)
		return;
	if (ds.n == DEBTS_MAX) {
		log_warn("node %s keeps label %u: too many removals are owed", s->node.s,
			 s->step.label);
		return;
	}
	ds.debt[ds.n++] = (struct debt){ .id = ++ds.last_id,
					 .plan = p->id,
					 .order = p->order,
					 .lineage = p->lineage,
					 .rev = p->rev,
					 .step = *s };
	again(AGAIN_US);
}

void oss_debt_settled(const struct plan *p)
{
	for (uint32_t i = ds.n; i-- > 0;)
		for (uint16_t k = 0; k < p->n_steps; k++)
			if (ident_eq(p->step[k].node, ds.debt[i].step.node) &&
			    step_same_object(&p->step[k].step, &ds.debt[i].step.step)) {
				drop(i);
				break;
			}
}

uint32_t oss_debt_count(void)
{
	return ds.n;
}

void oss_debt_start(struct side *s)
{
	memset(&ds, 0, sizeof(ds));
	ds.s = s;
}
