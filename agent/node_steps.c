/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on their way to the kernel.
 *
 * A batch is logged first (STEPS_TAKEN: wanted from now on), then applied step by step after that
 * commit, then receipted. What is wanted and what the kernel holds must never part: when a step is
 * refused, it and the steps behind it are taken back by another STEPS_TAKEN that names what was
 * wanted before, so that a restart does not bring to life what the planner has given up.
 *
 * Every step is idempotent, so the same batch again simply runs again; it leaves no event when the
 * log wants all of it already. */
#include "log.h"
#include "node_int.h"
#include "treaty/why.h"

#include <errno.h>
#include <stdio.h>

#define BATCHES_MAX   64
#define PROBE_WAIT_US 2000000
#define PROBE_POLL_US 50000
#define WAIT_MAX_MS   60000

struct batch {
	struct batch *next;
	struct node *node;
	struct plan plan;
	struct plan before; /* what each step replaced, to take it back */
	bool again;         /* the log wants all of it already */
	uint16_t at;        /* step under way */
	uint16_t changed;
	bool waited; /* WAIT is over */
	mono_t deadline;
	enum refusal refusal;
	why_t why;
	struct step_receipt rec[STEPS_MAX];
	struct step_run run; /* the answers to steps from run_from on */
	uint16_t run_from;
	batch_step_fn step; /* NULL: nobody follows */
	batch_fn fn;
	void *arg;
};

/* --- what is wanted ----------------------------------------------------------------------------
 */

static bool for_kernel(const struct step *s)
{
	return s->kind != STEP_PROBE && s->kind != STEP_WAIT;
}

static bool last_of_object(const struct plan *p, uint16_t i)
{
	for (uint16_t k = i + 1; k < p->n_steps; k++)
		if (step_same_object(&p->step[k].step, &p->step[i].step))
			return false;
	return true;
}

static bool all_wanted(const struct world *w, const struct plan *p)
{
	for (uint16_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->step[i].step;
		const struct wanted *x;

		if (!for_kernel(s) || !last_of_object(p, i))
			continue;
		x = world_wanted(w, s);
		if (!x || !ident_eq(x->plan, p->id) || memcmp(&x->step, s, sizeof(*s)) != 0)
			return false;
	}
	return true;
}

/* The step that makes undone what s does, when nothing of the kind was wanted before. */
static void opposite(const struct step *s, struct step *ret)
{
	*ret = *s;
	switch (s->kind) {
	case STEP_LABEL_SET: ret->kind = STEP_LABEL_DEL; break;
	case STEP_CLASS_SET: ret->kind = STEP_CLASS_DEL; break;
	case STEP_RULE_SET: ret->kind = STEP_RULE_DEL; break;
	case STEP_STEER: ret->path = 0; break;
	case STEP_CEILING_SET: ret->kind = STEP_CEILING_DEL; break;
	default: break;
	}
}

static void remember(const struct world *w, const struct plan *p, struct plan *before)
{
	*before = *p;
	for (uint16_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->step[i].step;
		const struct wanted *x = for_kernel(s) ? world_wanted(w, s) : NULL;

		if (x)
			before->step[i].step = x->step;
		else
			opposite(s, &before->step[i].step);
	}
}

/* --- one step ----------------------------------------------------------------------------------
 */

int step_send(struct node *n, const struct step *s, struct enforcer_receipt *ret, struct err *e)
{
	int r = enforcer_step(n->s->enforcer, s, ret, e);

	if (r || ret->refusal != REFUSE_NONE)
		return r;
	if (s->kind == STEP_LABEL_SET)
		r = counters_base(n->counters, &s->label, 1, e);
	else if (s->kind == STEP_LABEL_DEL)
		counters_drop(n->counters, s->label);
	return r;
}

/* What the log wants of step i once it is taken back: what an applied step of this batch made of
 * the object, else what was wanted before the batch. */
static const struct step *fall_back(const struct batch *b, uint16_t i, bool *applied)
{
	*applied = true;
	for (uint16_t k = b->at; k-- > 0;)
		if (step_same_object(&b->plan.step[k].step, &b->plan.step[i].step))
			return &b->plan.step[k].step;
	*applied = false;
	return &b->before.step[i].step;
}

/* The refused step and all behind it, backwards: in the log, and in the kernel where a restart had
 * run ahead of the plan. A batch that the log wanted already has no "before": it stays wanted, and
 * the planner's own steps decide. */
static void take_back(struct batch *b)
{
	struct plan p = b->before;

	p.n_steps = 0;
	for (uint16_t i = b->plan.n_steps; i-- > b->at && !b->again;) {
		struct step *s = &p.step[p.n_steps].step;
		struct enforcer_receipt rec = { 0 };
		struct err e = { 0 };
		bool applied;

		if (!for_kernel(&b->plan.step[i].step) || !last_of_object(&b->plan, i))
			continue;
		p.step[p.n_steps] = b->plan.step[i];
		*s = *fall_back(b, i, &applied);
		p.n_steps++;
		if (!applied && (step_send(b->node, s, &rec, &e) || rec.refusal))
			log_warn("plan %s: step %u: not taken back: %s%s", b->plan.id.s,
				 b->plan.step[i].no, rec.why.s, e.text);
	}
	if (p.n_steps)
		(void)tool_step_apply(&b->node->cap, &p, NULL, NULL);
}

/* --- a batch -----------------------------------------------------------------------------------
 */

static void batch_reply(void *arg)
{
	struct batch *b = arg, **p = &b->node->batch;

	while (*p != b)
		p = &(*p)->next;
	*p = b->next;
	b->node->batches--;
	b->fn(b->arg, b->refusal, b->why.s, b->rec, b->at);
	free(b);
}

/* One receipt speaks for the batch: the step that was refused, or the last with the sum. */
static void batch_end(struct batch *b)
{
	struct step_receipt sum = { .plan = b->plan.id };
	struct engine *en = b->node->s->engine;

	for (uint16_t i = 0; i < b->at; i++)
		sum.took_us += b->rec[i].took_us;
	if (b->refusal != REFUSE_NONE) {
		sum = b->rec[b->at];
		log_warn("plan %s: step %u: %s: %s", b->plan.id.s, sum.no, refusal_name(b->refusal),
			 b->why.s);
		take_back(b);
		b->at++; /* its receipt is the last one */
	} else {
		sum.no = b->plan.step[b->plan.n_steps - 1].no;
		why_rule(&sum.why, "applied and read back");
		why_num(&sum.why, "steps", b->plan.n_steps);
		why_num(&sum.why, "changed", b->changed);
	}
	if (!b->again || b->changed || b->refusal != REFUSE_NONE)
		(void)tool_step_receipt(&b->node->cap, &sum, NULL, NULL);
	engine_after_commit(en, batch_reply, b);
}

static void batch_run(void *arg);

static bool later(struct batch *b, int64_t us)
{
	return loop_after(b->node->s->loop, us, batch_run, b) != NULL;
}

/* 1 = done, 0 = comes back later, negative = refused, with b->refusal. */
static int run_probe(struct batch *b, const struct step *s)
{
	mono_t now = loop_now(b->node->s->loop);

	if (!prober_has(b->node->prober, s->path)) {
		b->refusal = REFUSE_DEVICE_UNKNOWN;
		why_rule(&b->why, "this node probes no such path");
		why_num(&b->why, "path", s->path);
		return -1;
	}
	if (prober_alive(b->node->prober, s->path))
		return 1;
	if (b->deadline.us == 0)
		b->deadline = mono_add(now, PROBE_WAIT_US);
	if (mono_cmp(now, b->deadline) < 0 && later(b, PROBE_POLL_US))
		return 0;
	b->refusal = REFUSE_STEP_REFUSED;
	why_rule(&b->why, "no probe came back");
	why_num(&b->why, "path", s->path);
	why_num(&b->why, "waited_ms", PROBE_WAIT_US / 1000);
	return -1;
}

static int run_wait(struct batch *b, const struct step *s)
{
	if (s->wait_ms < 0 || s->wait_ms > WAIT_MAX_MS) {
		b->refusal = REFUSE_BODY_MALFORMED;
		why_rule(&b->why, "wait_ms: must be 0..60000");
		return -1;
	}
	if (b->waited)
		return 1;
	b->waited = true;
	return later(b, s->wait_ms * 1000) ? 0 : 1;
}

/* The steps from b->at on that go together: their answers come later. */
static void send_run(struct batch *b)
{
	const struct plan_step *first = &b->plan.step[b->at];
	uint16_t to = b->at;

	while (to < b->plan.n_steps && for_kernel(&b->plan.step[to].step) &&
	       step_is_rule(&b->plan.step[to].step) == step_is_rule(&first->step))
		to++;
	b->run_from = b->at;
	b->run.step = first;
	b->run.n = (uint16_t)(to - b->at);
	b->run.fn = batch_run;
	b->run.arg = b;
	run_send(b->node, &b->run);
}

/* 1 = done, 0 = comes back later, negative = refused, with b->refusal. */
static int run_kernel(struct batch *b, struct step_receipt *rec)
{
	const struct enforcer_receipt *p = &b->run.rec[b->at - b->run_from];

	if (b->at >= b->run_from + b->run.answered) {
		send_run(b);
		return 0;
	}
	rec->took_us = p->took_us;
	b->changed = (uint16_t)(b->changed + (p->changed != 0));
	b->refusal = (enum refusal)p->refusal;
	b->why = p->why;
	return p->refusal == REFUSE_NONE ? 1 : -1;
}

static int run_step(struct batch *b, const struct step *s, struct step_receipt *rec)
{
	if (s->kind == STEP_PROBE)
		return run_probe(b, s);
	if (s->kind == STEP_WAIT)
		return run_wait(b, s);
	return run_kernel(b, rec);
}

static void batch_run(void *arg)
{
	struct batch *b = arg;

	for (; b->at < b->plan.n_steps; b->at++) {
		const struct plan_step *s = &b->plan.step[b->at];
		struct step_receipt *rec = &b->rec[b->at];
		int r;

		rec->plan = b->plan.id;
		rec->no = s->no;
		r = run_step(b, &s->step, rec);
		if (r == 0)
			return;
		rec->refusal = b->refusal;
		rec->why = b->why;
		if (r < 0)
			break;
		b->waited = false;
		b->deadline.us = 0;
		if (b->step)
			b->step(b->arg, b->at + 1u, b->plan.n_steps);
	}
	batch_end(b);
}

int batch_start(struct node *n, const struct plan *p, batch_step_fn step, batch_fn fn, void *arg,
		struct err *e)
{
	const struct world *w = engine_world(n->s->engine);
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, -ENOMEM, "out of memory");
	b->node = n;
	b->plan = *p;
	b->step = step;
	b->fn = fn;
	b->arg = arg;
	b->next = n->batch;
	n->batch = b;
	n->batches++;
	if (n->batches > BATCHES_MAX) {
		b->refusal = REFUSE_LIMIT_REACHED;
		why_rule(&b->why, "too many plans under way");
	} else {
		b->again = all_wanted(w, p);
		remember(w, p, &b->before);
		if (!b->again)
			b->refusal = tool_step_apply(&n->cap, &b->plan, NULL, NULL);
	}
	engine_after_commit(n->s->engine, b->refusal == REFUSE_NONE ? batch_run : batch_reply, b);
	return 0;
}

void batches_free(struct node *n)
{
	for (struct batch *b = n->batch, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	n->batch = NULL;
	memset(n->runs, 0, sizeof(n->runs));
}

/* --- after a restart ---------------------------------------------------------------------------
 */

static bool label_wanted(const struct world *w, uint32_t label)
{
	const struct step s = { .kind = STEP_LABEL_SET, .label = label };
	const struct wanted *x = world_wanted(w, &s);

	return x && x->step.kind == STEP_LABEL_SET;
}

/* A path stays noted for a label that has gone: it means nothing then. */
static bool stale(const struct world *w, const struct step *s)
{
	return s->kind == STEP_STEER && !label_wanted(w, s->label);
}

bool wanted_now(const struct world *w, const struct step *s)
{
	return !stale(w, s) &&
	       (s->kind == STEP_CLASS_SET || s->kind == STEP_LABEL_SET || s->kind == STEP_STEER ||
		s->kind == STEP_RULE_SET || s->kind == STEP_CEILING_SET);
}

struct resent {
	uint32_t sent, changed;
};

static void sent_again(struct resent *t, const struct wanted *x, const struct enforcer_receipt *rec)
{
	t->sent++;
	t->changed += rec->changed != 0;
	if (rec->refusal != REFUSE_NONE)
		log_warn("wanted by plan %s: %s: %s", x->plan.s,
			 refusal_name((enum refusal)rec->refusal), rec->why.s);
}

static int rules_again(struct node *n, struct resent *t, struct err *e)
{
	const struct world *w = engine_world(n->s->engine);
	struct enforcer_receipt rec[ENFORCER_BATCH_MAX];
	const struct wanted *of[ENFORCER_BATCH_MAX];
	struct step s[ENFORCER_BATCH_MAX];
	size_t k = 0;

	for (uint32_t i = 0; i < w->n_wanted || k; i++) {
		int r;

		if (i < w->n_wanted && w->wanted[i].step.kind == STEP_RULE_SET) {
			of[k] = &w->wanted[i];
			s[k++] = w->wanted[i].step;
		}
		if (!k || (k < ENFORCER_BATCH_MAX && i < w->n_wanted))
			continue;
		r = enforcer_steps(n->s->enforcer, s, k, rec, e);
		if (r)
			return r;
		while (k)
			k--, sent_again(t, of[k], &rec[k]);
	}
	return 0;
}

int wanted_send(struct node *n, struct err *e)
{
	static const enum step_kind order[] = { STEP_CEILING_SET, STEP_CLASS_SET, STEP_LABEL_SET,
						STEP_STEER };
	const struct world *w = engine_world(n->s->engine);
	struct resent t = { 0 };
	int r;

	for (size_t k = 0; k < ARRAY_LEN(order); k++)
		for (uint32_t i = 0; i < w->n_wanted; i++) {
			const struct step *s = &w->wanted[i].step;
			struct enforcer_receipt rec = { 0 };

			if (s->kind != order[k] || stale(w, s))
				continue;
			r = step_send(n, s, &rec, e);
			if (r)
				return r;
			sent_again(&t, &w->wanted[i], &rec);
		}
	r = rules_again(n, &t, e);
	if (!r && t.sent)
		log_info("%u wanted steps, %u of them were not in the kernel", t.sent, t.changed);
	return r;
}

/* A class is known to the kernel by its number, and to the log by its label. */
static bool class_wanted(const struct world *w, const struct enforcer_object *o)
{
	for (uint32_t i = 0; i < w->n_wanted; i++) {
		const struct step *s = &w->wanted[i].step;

		if (s->kind == STEP_CLASS_SET && s->minor == o->id &&
		    !strcmp(s->device.s, o->device.s))
			return true;
	}
	return false;
}

bool object_wanted(const struct world *w, const struct enforcer_object *o)
{
	struct step s = { .kind = (enum step_kind)o->kind };
	const struct wanted *x;

	if (s.kind == STEP_CLASS_DEL)
		return class_wanted(w, o);
	s.label = s.kind == STEP_LABEL_DEL ? o->id : 0;
	s.rule.id = s.kind == STEP_RULE_DEL ? o->id : 0;
	s.ceiling = s.kind == STEP_CEILING_DEL ? (uint16_t)o->id : 0;
	x = world_wanted(w, &s);
	return x && !step_is_removal(x->step.kind);
}

static int collect_one(struct node *n, const struct enforcer_object *o, struct err *e)
{
	struct step s = { .kind = (enum step_kind)o->kind };
	struct enforcer_receipt rec = { 0 };
	int r;

	s.label = o->kind == STEP_LABEL_DEL ? o->id : 0;
	s.rule.id = o->kind == STEP_RULE_DEL ? o->id : 0;
	s.minor = o->kind == STEP_CLASS_DEL ? (uint16_t)o->id : 0;
	s.ceiling = o->kind == STEP_CEILING_DEL ? (uint16_t)o->id : 0;
	s.device = o->device;
	r = step_send(n, &s, &rec, e);
	if (!r)
		log_info("not wanted by the log: %s %u %s: %s",
			 o->kind == STEP_LABEL_DEL     ? "label"
			 : o->kind == STEP_RULE_DEL    ? "rule"
			 : o->kind == STEP_CEILING_DEL ? "ceiling"
						       : "class",
			 o->id, o->device.s,
			 rec.refusal ? refusal_name((enum refusal)rec.refusal) : "removed");
	return r;
}

/* Rules go first, then labels, then what is above them: nothing carries a label that has lost its
 * state. */
int wanted_collect(struct node *n, uint32_t *gone, struct err *e)
{
	static const enum step_kind order[] = { STEP_RULE_DEL, STEP_LABEL_DEL, STEP_CEILING_DEL,
						STEP_CLASS_DEL };
	const struct world *w = engine_world(n->s->engine);

	for (size_t k = 0; k < ARRAY_LEN(order); k++) {
		struct enforcer_cursor at = { 0 };
		struct enforcer_held h;

		do {
			uint32_t here = 0;
			int r = enforcer_held(n->s->enforcer, &at, &h, e);

			for (uint32_t i = 0; !r && i < h.n; i++) {
				if (h.obj[i].kind != order[k] || object_wanted(w, &h.obj[i]))
					continue;
				r = collect_one(n, &h.obj[i], e);
				here++;
			}
			if (r)
				return r;
			if (gone)
				*gone += here;
			/* removed rules shift the positions behind them */
			at = h.next;
			if (order[k] == STEP_RULE_DEL && at.kind == STEP_RULE_DEL)
				at.a = at.a > here ? at.a - here : 0;
		} while (!h.done);
	}
	return 0;
}
