/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_exec.h"

#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/log.h"
#include "agent/peer.h"
#include "oss_debt.h"

#include <errno.h>
#include <stdio.h>

#define RETRY_FIRST_MS 200
#define RETRY_MOST_MS  2000
#define ANSWER_MS      4000  /* a probe may take two seconds of it */
#define SILENT_MS      10000 /* a node that answers nothing for so long has failed */

struct run {
	struct run *next;
	uintptr_t id;
	ident_t deal;
	bool in_flight, going; /* going: asked to continue after the commit */
	bool stop;             /* the agreement has ended: turn round at the next answer */
	bool undo;
	struct plan back; /* undo: what is carried out */
	uint16_t upto;    /* of back */
	uint16_t to;      /* last step of the call in flight */
	uint32_t serial;  /* of the call in flight: a late answer to an earlier one is nothing */
	struct loop_timer *timer;
	int64_t silent_since; /* loop time of the first try of this call; 0 = none */
	uint32_t retry_ms;
	enum refusal refusal; /* why it is undone */
	why_t why;
};

/* A call may outlive its run, or its turn. */
struct call {
	uintptr_t run;
	uint32_t serial;
};

static struct side *side;
static struct run *runs;
static uintptr_t next_id;

static void go(struct run *r);
static void silent(struct run *r, const struct deal *d, const char *why);
static void turn_round(struct run *r, const struct deal *d, uint16_t last);

static struct run *run_by_id(uintptr_t id)
{
	for (struct run *r = runs; r; r = r->next)
		if (r->id == id)
			return r;
	return NULL;
}

static struct run *run_of(const ident_t *deal)
{
	for (struct run *r = runs; r; r = r->next)
		if (ident_eq(r->deal, *deal))
			return r;
	return NULL;
}

static void run_free(struct run *r)
{
	struct run **at = &runs;

	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
	loop_cancel(side->loop, r->timer);
	free(r);
}

static const struct deal *deal_of(const struct run *r)
{
	return world_deal(engine_world(side->engine), &r->deal);
}

static const struct plan *plan_of(const struct run *r, const struct deal *d)
{
	return r->undo ? &r->back : &d->plan;
}

static uint16_t upto_of(const struct run *r, const struct deal *d)
{
	return r->undo ? r->upto : d->plan_upto;
}

/* --- later ----------------------------------------------------------------------------------- */

static void committed(void *arg)
{
	struct run *r = run_by_id((uintptr_t)arg);

	if (!r)
		return;
	r->going = false;
	go(r);
}

/* Nothing is sent before the log holds what it follows from. */
static void go_after_commit(struct run *r)
{
	if (r->going)
		return;
	r->going = true;
	engine_after_commit(side->engine, committed, (void *)r->id);
}

static void on_timer(void *arg)
{
	struct run *r = arg;

	r->timer = NULL;
	if (!r->in_flight) {
		go(r);
		return;
	}
	r->in_flight = false;
	if (r->stop && !r->undo)
		turn_round(r, deal_of(r), r->to);
	else
		silent(r, deal_of(r), "no answer in time");
}

static void go_later(struct run *r, int64_t ms)
{
	r->timer = loop_after(side->loop, ms * 1000, on_timer, r);
	if (!r->timer)
		log_error("plan of %s: no memory for its timer", r->deal.s);
}

/* --- the end --------------------------------------------------------------------------------- */

static void close_order(const struct deal *d, const struct run *r)
{
	struct cap_oss_planning cap = { side->engine };
	struct ev_progress p = { .deal = r->deal,
				 .plan = d->plan.id,
				 .upto = d->plan_upto,
				 .failed = r->undo ? d->plan_failed : 0,
				 .refusal = r->undo ? r->refusal : REFUSE_NONE,
				 .why = r->why };

	(void)tool_order_close(&cap, &p, NULL, NULL);
}

/* A swap moves no life; nor does a plan that the end of the agreement overtook. */
static bool quiet(const struct deal *d)
{
	return deal_swap(d, &d->planned) ||
	       (d->life == LIFE_TERMINATED && d->planned.action != ORDER_DELETE);
}

static void finish(struct run *r, const struct deal *d)
{
	struct cap_oss_planning cap = { side->engine };
	struct ev_ref ref = { .deal = r->deal, .about = d->planned.id, .rev = d->planned.rev };

	if (!r->undo)
		(void)snprintf(r->why.s, sizeof(r->why.s), "applied: %u steps", d->plan.n_steps);
	ref.why = r->why;
	if (quiet(d))
		close_order(d, r);
	else if (r->undo)
		(void)tool_plan_fail(&cap, &ref, NULL, NULL);
	else
		(void)tool_service_activate(&cap, &ref, NULL, NULL);
	run_free(r);
}

/* --- steps ----------------------------------------------------------------------------------- */

static void progress(struct run *r, const struct deal *d, uint16_t upto, uint16_t failed,
		     enum refusal refusal, const char *why)
{
	struct cap_oss_planning cap = { side->engine };
	struct ev_progress p = { .deal = r->deal,
				 .plan = d->plan.id,
				 .upto = upto,
				 .failed = failed,
				 .refusal = refusal };

	str_cut(p.why.s, why);
	(void)tool_plan_step_done(&cap, &p, NULL, NULL);
}

static void done(struct run *r, const struct deal *d, uint16_t upto)
{
	r->silent_since = 0;
	r->retry_ms = 0;
	if (r->undo)
		r->upto = upto;
	else
		progress(r, d, upto, 0, REFUSE_NONE, "");
	go_after_commit(r);
}

static void turn_round(struct run *r, const struct deal *d, uint16_t last)
{
	r->undo = true;
	r->upto = 0;
	r->silent_since = 0;
	oss_back_plan(side, d, last, &r->back);
	go_after_commit(r);
}

/* All traffic has left what this step removes: it comes after the overlap. */
static bool behind(const struct plan *p, uint16_t no)
{
	const struct step *s = &p->step[no - 1].step;

	if (!step_is_removal(s->kind) && (s->kind != STEP_STEER || s->path != 0))
		return false;
	for (uint16_t i = 0; i + 1 < no; i++)
		if (p->step[i].step.kind == STEP_WAIT)
			return true;
	return false;
}

static void pass_over(struct run *r, const struct deal *d, const struct plan *p, uint16_t no,
		      uint16_t to, enum refusal refusal, const char *why)
{
	log_warn("plan %s: step %u on %s is left for later: %s", p->id.s, no,
		 p->step[no - 1].node.s, why);
	for (uint16_t i = no; i <= to; i++)
		oss_debt_add(p, i);
	r->silent_since = 0;
	r->retry_ms = 0;
	if (r->undo)
		r->upto = to;
	else
		progress(r, d, to, no, refusal, why);
	go_after_commit(r);
}

/* A node tries no step behind a refused one; `whole`: none of the call's steps is known done. */
static void failed(struct run *r, const struct deal *d, uint16_t no, bool whole,
		   enum refusal refusal, const char *why)
{
	const struct plan *p = plan_of(r, d);

	if (r->undo || d->planned.action == ORDER_DELETE || behind(p, no)) {
		pass_over(r, d, p, no, whole ? r->to : no, refusal, why);
		return;
	}
	r->refusal = refusal;
	(void)snprintf(r->why.s, sizeof(r->why.s), "step %u on %.31s: %.70s", no,
		       p->step[no - 1].node.s, why);
	log_warn("plan %s: %s", p->id.s, r->why.s);
	progress(r, d, d->plan_upto, no, refusal, why);
	turn_round(r, d, r->to);
}

static void silent(struct run *r, const struct deal *d, const char *why)
{
	int64_t now = loop_now(side->loop).us;

	if (now - r->silent_since > (int64_t)SILENT_MS * 1000) {
		failed(r, d, (uint16_t)(upto_of(r, d) + 1), true, REFUSE_STEP_REFUSED, why);
		return;
	}
	r->retry_ms = !r->retry_ms                      ? RETRY_FIRST_MS
		      : r->retry_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS
							: r->retry_ms * 2;
	go_later(r, r->retry_ms);
}

/* --- a node's answer ------------------------------------------------------------------------- */

/* REFUSE_NONE when every step from..to has its receipt; else *no is the first that has not. */
static enum refusal receipts(const struct mcp_result *m, const struct plan *p, uint16_t from,
			     uint16_t to, uint16_t *no, why_t *why)
{
	struct step_receipt rc;
	json_t *arr, *one;
	size_t i;

	*no = from;
	str_cut(why->s, "no receipt");
	if (json_need_arr(m->structured, "", "receipts", 0, STEPS_MAX, &arr, NULL))
		return REFUSE_BODY_MALFORMED;
	json_array_foreach (arr, i, one) {
		if (noun_decode(&step_receipt_fields, one, &rc, NULL) || !ident_eq(rc.plan, p->id))
			return REFUSE_BODY_MALFORMED;
		if (rc.refusal != REFUSE_NONE) {
			*no = rc.no < from || rc.no > to ? from : rc.no;
			str_cut(why->s, rc.why.s[0] ? rc.why.s : refusal_text(rc.refusal));
			return rc.refusal;
		}
		if (rc.no == *no)
			(*no)++;
	}
	return *no > to ? REFUSE_NONE : REFUSE_BODY_MALFORMED;
}

static void answered(struct run *r, const struct deal *d, const struct mcp_result *m)
{
	const struct plan *p = plan_of(r, d);
	enum refusal no_why;
	uint16_t no;
	why_t why;

	if (m->is_error || !m->structured) {
		failed(r, d, (uint16_t)(upto_of(r, d) + 1), true, REFUSE_STEP_REFUSED, m->text);
		return;
	}
	no_why = receipts(m, p, (uint16_t)(upto_of(r, d) + 1), r->to, &no, &why);
	if (no_why == REFUSE_NONE)
		done(r, d, r->to);
	else
		failed(r, d, no, false, no_why, why.s);
}

static void on_answer(void *arg, int err, const struct mcp_result *m, const char *why)
{
	struct call *k = arg;
	struct run *r = run_by_id(k->run);
	const struct deal *d = r ? deal_of(r) : NULL;
	bool mine = r && r->in_flight && r->serial == k->serial;

	free(k);
	if (!mine)
		return;
	r->in_flight = false;
	loop_cancel(side->loop, r->timer);
	r->timer = NULL;
	if (r->stop && !r->undo)
		turn_round(r, d, r->to);
	else if (err || m->code)
		silent(r, d, err ? why : m->error);
	else
		answered(r, d, m);
}

/* --- sending --------------------------------------------------------------------------------- */

/* Probes stand alone: what follows them waits for their answer. */
static uint16_t batch(const struct plan *p, uint16_t from)
{
	const struct plan_step *s = &p->step[from - 1];
	uint16_t to = from;

	while (s->step.kind != STEP_PROBE && to < p->n_steps &&
	       ident_eq(p->step[to].node, s->node) && p->step[to].step.kind != STEP_PROBE &&
	       p->step[to].step.kind != STEP_WAIT)
		to++;
	return to;
}

static json_t *args_of(const struct plan *p, uint16_t from, uint16_t to)
{
	auto_free struct plan *some = calloc(1, sizeof(*some));

	if (!some)
		return NULL;
	some->id = p->id;
	some->order = p->order;
	some->lineage = p->lineage;
	some->rev = p->rev;
	some->n_steps = (uint16_t)(to - from + 1);
	memcpy(some->step, &p->step[from - 1], some->n_steps * sizeof(some->step[0]));
	return json_pack("{s:o}", "plan", noun_encode(&plan_fields, some));
}

static int send_steps(struct run *r, const struct plan *p, uint16_t from, uint16_t to,
		      struct err *e)
{
	auto_json json_t *args = args_of(p, from, to);
	struct call *k = args ? malloc(sizeof(*k)) : NULL;
	char key[64];
	int err;

	if (!k)
		return err_set(e, -ENOMEM, "steps");
	*k = (struct call){ r->id, ++r->serial };
	(void)snprintf(key, sizeof(key), "%s-%u", p->id.s, from);
	err = peer_tool(side, p->step[from - 1].node.s, "step_apply", args, key, on_answer, k, e);
	if (err)
		free(k);
	return err;
}

static void waited(void *arg)
{
	struct run *r = arg;
	const struct deal *d = deal_of(r);

	r->timer = NULL;
	if (r->stop && !r->undo)
		turn_round(r, d, d->plan_upto);
	else
		done(r, d, (uint16_t)(upto_of(r, d) + 1));
}

static void wait_step(struct run *r, int64_t ms)
{
	r->timer = loop_after(side->loop, ms * 1000, waited, r);
	if (!r->timer)
		log_error("plan of %s: no memory for its timer", r->deal.s);
}

static void go(struct run *r)
{
	const struct deal *d = deal_of(r);
	const struct plan *p = plan_of(r, d);
	uint16_t next = (uint16_t)(upto_of(r, d) + 1);
	struct err e = { 0 };

	if (r->in_flight || r->timer)
		return;
	if (r->stop && !r->undo) {
		turn_round(r, d, d->plan_upto);
		return;
	}
	if (next > p->n_steps) {
		finish(r, d);
		return;
	}
	if (p->step[next - 1].step.kind == STEP_WAIT) {
		wait_step(r, p->step[next - 1].step.wait_ms);
		return;
	}
	r->to = batch(p, next);
	if (!r->silent_since)
		r->silent_since = loop_now(side->loop).us;
	r->in_flight = true;
	if (send_steps(r, p, next, r->to, &e)) {
		r->in_flight = false;
		silent(r, d, e.text);
		return;
	}
	go_later(r, ANSWER_MS);
}

/* --- beginning ------------------------------------------------------------------------------- */

void oss_exec_run(const struct deal *d)
{
	struct run *r = run_of(&d->lineage);

	if (!r) {
		r = calloc(1, sizeof(*r));
		if (!r) {
			log_error("plan %s: no memory", d->plan.id.s);
			return;
		}
		r->id = ++next_id;
		r->deal = d->lineage;
		r->next = runs;
		runs = r;
	}
	/* Found after a restart: the end of the way forward is in the log. */
	if (d->plan_failed || (d->life == LIFE_TERMINATED && d->planned.action != ORDER_DELETE)) {
		r->refusal = REFUSE_STEP_REFUSED;
		str_cut(r->why.s, "undone after a restart");
		turn_round(r, d,
			   d->plan_upto < d->plan.n_steps
				   ? batch(&d->plan, (uint16_t)(d->plan_upto + 1))
				   : d->plan_upto);
		return;
	}
	go_after_commit(r);
}

void oss_exec_stop(const struct deal *d)
{
	struct run *r = run_of(&d->lineage);

	if (!r || r->undo || d->planned.action == ORDER_DELETE)
		return;
	r->stop = true;
	r->refusal = REFUSE_WRONG_STATE;
	str_cut(r->why.s, "the agreement ended under its plan");
	if (!r->in_flight) {
		loop_cancel(side->loop, r->timer);
		r->timer = NULL;
	}
	go_after_commit(r);
}

void oss_exec_start(struct side *s)
{
	while (runs) {
		struct run *r = runs;

		/* Their timers belonged to another loop. */
		runs = r->next;
		free(r);
	}
	side = s;
}
