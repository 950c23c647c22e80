/* SPDX-License-Identifier: Apache-2.0 */
/* A message to the enforcer is two changes of process, and a change of rules waits for the kernel's
 * grace period, 8 to 16 ms whatever it holds (note 0093). So plans do not send their steps alone:
 * those of all plans that have come to theirs in one turn go in one message, a plan's beside each
 * other. Labels, classes and paths go before rules, which so stay side by side, share that wait and
 * lead to nothing that is not there. */
#include "node_int.h"

#include <errno.h>

bool step_is_rule(const struct step *s)
{
	return s->kind == STEP_RULE_SET || s->kind == STEP_RULE_DEL;
}

/* As many whole runs as fit one message, off the queue; the first fits always. */
static struct step_run *gather(struct step_run **queue, struct step *s, size_t *ret_count)
{
	struct step_run *some = *queue, **end = queue;
	size_t k = 0;

	while (*end && k + (*end)->n <= ENFORCER_BATCH_MAX) {
		for (uint16_t i = 0; i < (*end)->n; i++)
			s[k++] = (*end)->step[i].step;
		end = &(*end)->next;
	}
	*queue = *end;
	*end = NULL;
	*ret_count = k;
	return some;
}

/* How many were done: behind the first refused one nothing was tried. */
static size_t done_of(const struct enforcer_receipt *rec, size_t count)
{
	size_t i = 0;

	while (i < count && rec[i].refusal == REFUSE_NONE)
		i++;
	return i;
}

/* The answers to the first runs; those that a refused step of another plan kept from being tried
 * stand first in the queue again. */
static struct step_run *answer(struct step_run **queue, struct step_run *some,
			       const struct enforcer_receipt *rec, size_t count)
{
	struct step_run *answered = some, **end = &answered, **last;
	size_t at = 0, done = done_of(rec, count), upto = done < count ? done + 1 : count;

	while (*end && at < upto) {
		struct step_run *r = *end;
		size_t k = upto - at < r->n ? upto - at : r->n;

		memcpy(r->rec, rec + at, k * sizeof(*rec));
		r->answered = (uint16_t)k;
		for (size_t i = 0; i < k && at && step_is_rule(&r->step[0].step); i++)
			r->rec[i].took_us = 0; /* the first one's is that of all */
		at += r->n;
		end = &r->next;
	}
	if (*end) {
		for (last = end; *last; last = &(*last)->next)
			;
		*last = *queue;
		*queue = *end;
		*end = NULL;
	}
	return answered;
}

static struct step_run *unheard(struct step_run *some, const struct err *e)
{
	for (struct step_run *r = some; r; r = r->next) {
		r->rec[0].refusal = REFUSE_STEP_REFUSED;
		str_cut(r->rec[0].why.s, e->text);
		r->answered = 1;
	}
	return some;
}

static bool gone_after(const struct step *s, size_t i, size_t done)
{
	for (size_t k = i + 1; k < done; k++)
		if (s[k].kind == STEP_LABEL_DEL && s[k].label == s[i].label)
			return true;
	return false;
}

/* What follows for the counters from the steps that were done, all before the first refused one.
 * That a label's totals have no beginning refuses the step that set it. */
static void count(struct node *n, const struct step *s, struct enforcer_receipt *rec, size_t done)
{
	uint32_t label[ENFORCER_BATCH_MAX], k = 0;
	size_t first = 0;
	struct err e = { 0 };

	for (size_t i = 0; i < done; i++)
		if (s[i].kind == STEP_LABEL_DEL)
			counters_drop(n->counters, s[i].label);
	for (size_t i = done; i-- > 0;)
		if (s[i].kind == STEP_LABEL_SET && !gone_after(s, i, done)) {
			label[k++] = s[i].label;
			first = i;
		}
	if (k && counters_base(n->counters, label, k, &e)) {
		rec[first].refusal = REFUSE_STEP_REFUSED;
		str_cut(rec[first].why.s, e.text);
	}
}

static void send_some(struct node *n, struct step_run **queue)
{
	struct enforcer_receipt rec[ENFORCER_BATCH_MAX] = { 0 };
	static struct step s[ENFORCER_BATCH_MAX]; /* one message at a time */
	struct err e = { 0 };
	struct step_run *some;
	size_t k;

	some = gather(queue, s, &k);
	if (enforcer_steps_until(n->s->enforcer, s, k, rec, &e)) {
		some = unheard(some, &e);
	} else {
		count(n, s, rec, done_of(rec, k));
		some = answer(queue, some, rec, k);
	}
	for (struct step_run *r = some, *next; r; r = next) {
		next = r->next;
		r->fn(r->arg);
	}
}

/* A plan that has its labels comes to its rules meanwhile. */
static void flush(void *arg)
{
	struct node *n = arg;

	n->runs_asked = false;
	while (n->runs[RUN_STATE] || n->runs[RUN_RULES])
		send_some(n, n->runs[RUN_STATE] ? &n->runs[RUN_STATE] : &n->runs[RUN_RULES]);
}

void run_send(struct node *n, struct step_run *r)
{
	struct step_run **end = &n->runs[step_is_rule(&r->step[0].step) ? RUN_RULES : RUN_STATE];

	while (*end)
		end = &(*end)->next;
	r->next = NULL;
	r->answered = 0;
	*end = r;
	if (n->runs_asked)
		return;
	n->runs_asked = true;
	/* Behind everything that this turn has still to do. */
	engine_after_commit(n->s->engine, flush, n);
}
