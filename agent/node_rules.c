/* SPDX-License-Identifier: Apache-2.0 */
/* A change of rules waits for the kernel's grace period, 8 to 16 ms whatever it holds (note 0093).
 * So plans do not send their rules alone: those of all plans that have come to theirs in one turn
 * go in one message, a plan's beside each other, and share that wait. */
#include "node_int.h"

#include <errno.h>

/* As many whole runs as fit one message, off the queue; the first fits always. */
static struct rule_run *gather(struct node *n, struct step *s, size_t *ret_count)
{
	struct rule_run *some = n->rules, **end = &n->rules;
	size_t k = 0;

	while (*end && k + (*end)->n <= ENFORCER_BATCH_MAX) {
		for (uint16_t i = 0; i < (*end)->n; i++)
			s[k++] = (*end)->step[i].step;
		end = &(*end)->next;
	}
	n->rules = *end;
	*end = NULL;
	*ret_count = k;
	return some;
}

/* Where the answers end that mean something: behind the first refused one nothing was tried. */
static size_t tried(const struct enforcer_receipt *rec, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rec[i].refusal != REFUSE_NONE)
			return i + 1;
	return count;
}

/* The answers to the first runs; `rest`: those that a refused rule of another plan kept from being
 * tried stand first in the queue again. */
static struct rule_run *answer(struct node *n, struct rule_run *some,
			       const struct enforcer_receipt *rec, size_t count)
{
	struct rule_run *done = some, **end = &done, **last;
	size_t at = 0, upto = tried(rec, count);

	while (*end && at < upto) {
		struct rule_run *r = *end;
		size_t k = upto - at < r->n ? upto - at : r->n;

		memcpy(r->rec, rec + at, k * sizeof(*rec));
		r->answered = (uint16_t)k;
		for (size_t i = 0; i < k && at; i++)
			r->rec[i].took_us = 0; /* the first one's is that of all */
		at += r->n;
		end = &r->next;
	}
	if (*end) {
		for (last = end; *last; last = &(*last)->next)
			;
		*last = n->rules;
		n->rules = *end;
		*end = NULL;
	}
	return done;
}

static struct rule_run *unheard(struct rule_run *some, const struct err *e)
{
	for (struct rule_run *r = some; r; r = r->next) {
		r->rec[0].refusal = REFUSE_STEP_REFUSED;
		str_cut(r->rec[0].why.s, e->text);
		r->answered = 1;
	}
	return some;
}

static void flush(void *arg)
{
	struct node *n = arg;

	n->rules_asked = false;
	while (n->rules) {
		struct enforcer_receipt rec[ENFORCER_BATCH_MAX] = { 0 };
		struct step s[ENFORCER_BATCH_MAX];
		struct err e = { 0 };
		struct rule_run *some;
		size_t count;

		some = gather(n, s, &count);
		if (enforcer_steps_until(n->s->enforcer, s, count, rec, &e))
			some = unheard(some, &e);
		else
			some = answer(n, some, rec, count);
		for (struct rule_run *r = some, *next; r; r = next) {
			next = r->next;
			r->fn(r->arg);
		}
	}
}

void rules_send(struct node *n, struct rule_run *r)
{
	struct rule_run **end = &n->rules;

	while (*end)
		end = &(*end)->next;
	r->next = NULL;
	r->answered = 0;
	*end = r;
	if (n->rules_asked)
		return;
	n->rules_asked = true;
	/* Behind everything that this turn has still to do. */
	engine_after_commit(n->s->engine, flush, n);
}
