/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_debt.h"

#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/log.h"
#include "agent/mcp_table.h"
#include "agent/peer.h"

#include <errno.h>
#include <stdio.h>

#define AGAIN_US (2 * 1000 * 1000)

static struct {
	struct side *s;
	uint32_t at; /* whose turn it is: one silent node does not hold up the others */
	bool in_flight;
	struct debt asked;
	struct loop_timer *timer;
} ds;

static void try_next(void *arg);

static const struct world *world(void)
{
	return engine_world(ds.s->engine);
}

static void again(int64_t us)
{
	if (ds.timer || ds.in_flight || !world()->n_debts)
		return;
	ds.timer = loop_after(ds.s->loop, us, try_next, NULL);
}

static void plan_of(const struct debt *d, struct plan *p)
{
	*p = (struct plan){
		.id = d->plan, .order = d->order, .lineage = d->lineage, .rev = d->rev, .n_steps = 1
	};
	p->step[0] = d->step;
}

static void on_answer(void *arg, int err, const struct mcp_result *r, const char *why)
{
	const struct cap_oss_planning cap = { ds.s->engine };
	auto_free struct plan *p = calloc(1, sizeof(*p));

	(void)arg;
	(void)why;
	ds.in_flight = false;
	if (err || r->code || !p) {
		ds.at++;
		again(AGAIN_US);
		return;
	}
	if (r->is_error)
		log_warn("node %s keeps label %u of plan %s: %s", ds.asked.step.node.s,
			 ds.asked.step.step.label, ds.asked.plan.s, r->text);
	/* A plan that came meanwhile may have settled it: then this is refused, and that is well.
	 */
	plan_of(&ds.asked, p);
	(void)tool_removal_settle(&cap, p, NULL, NULL);
	again(0);
}

static void try_next(void *arg)
{
	const struct world *w = world();
	auto_free struct plan *p = calloc(1, sizeof(*p));
	auto_json json_t *args = NULL;
	struct err e = { 0 };
	char key[64];

	(void)arg;
	ds.timer = NULL;
	if (!w->n_debts || !p)
		return;
	ds.asked = w->debt[ds.at % w->n_debts];
	plan_of(&ds.asked, p);
	args = json_pack("{s:o}", "plan", noun_encode(&plan_fields, p));
	(void)snprintf(key, sizeof(key), "%s-%u", p->id.s, ds.asked.step.no);
	ds.in_flight = true;
	if (!args ||
	    peer_tool(ds.s, ds.asked.step.node.s, "step_apply", args, key, on_answer, NULL, &e)) {
		ds.in_flight = false;
		ds.at++;
		again(AGAIN_US);
	}
}

static enum refusal owe(const struct debt *d)
{
	const struct cap_oss_planning cap = { ds.s->engine };
	auto_free struct plan *one = calloc(1, sizeof(*one));

	if (!one)
		return REFUSE_LIMIT_REACHED;
	plan_of(d, one);
	return tool_removal_owe(&cap, one, NULL, NULL);
}

void oss_debt_add(const struct plan *p, uint16_t no)
{
	const struct plan_step *s = &p->step[no - 1];
	const struct debt d = {
		.plan = p->id, .order = p->order, .lineage = p->lineage, .rev = p->rev, .step = *s
	};
	enum refusal r;

	if (s->step.kind == STEP_WAIT || s->step.kind == STEP_PROBE)
		return;
	r = owe(&d);
	if (r != REFUSE_NONE)
		log_warn("node %s keeps label %u: %s", s->node.s, s->step.label, refusal_text(r));
	again(AGAIN_US);
}

/* Without waiting for the next try. */
static int settle_row(struct side *s, const struct peer *p, const json_t *args, const char *key,
		      struct mcp_turn *t, struct err *e)
{
	json_t *js;
	int r = json_only(args, "", e, NULL);

	(void)s;
	(void)p;
	(void)key;
	if (r)
		return r;
	if (!ds.in_flight) {
		loop_cancel(ds.s->loop, ds.timer);
		try_next(NULL);
	}
	js = json_pack("{s:I, s:b}", "owed", (json_int_t)world()->n_debts, "asked", ds.in_flight);
	if (!js)
		return err_set(e, -ENOMEM, "out of memory");
	mcp_turn_result(t, js);
	json_decref(js);
	return 0;
}

static const struct mcp_row row = {
	.name = "removal_settle",
	.title = "Ask for owed removals",
	.help = "Asks the next node that owes a removal now, instead of at the next try; what it "
		"answers settles the debt",
	.input_schema = MCP_NO_ARGUMENTS,
	.idempotent = true,
	.who = WHO_HUMAN,
	.call = settle_row,
};

int oss_debt_start(struct side *s, struct err *e)
{
	static bool added;
	int r = added ? 0 : mcp_table_add(&row, e);

	added = true;
	memset(&ds, 0, sizeof(ds));
	ds.s = s;
	again(0);
	return r;
}
