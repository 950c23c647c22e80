/* SPDX-License-Identifier: Apache-2.0 */
/* node_int.h - what the files of the node agent share. */
#ifndef TREATY_NODE_INT_H
#define TREATY_NODE_INT_H

#include "enforcer/counters.h"
#include "node.h"
#include "tools/tools.h"

#include <jansson.h>

struct prober;
struct batch;

enum run_kind { RUN_STATE, RUN_RULES, RUN_KINDS };

struct node {
	struct side *s;
	struct cap_node cap;
	struct counters *counters;
	struct prober *prober;
	struct batch *batch; /* under way */
	uint32_t batches;
	struct step_run *runs[RUN_KINDS]; /* that wait for their message, oldest first */
	bool runs_asked;                  /* it goes when this turn has done all else */
	struct enforcer_links links;      /* of the last window */
	mono_t links_at;
	rate_t tx[DEVICES_MAX]; /* over the last window, by position in links */
	int64_t next_window;
};

/* --- node_steps.c */
/* Once, not inside the call; rec are the receipts so far, n of them. */
typedef void (*batch_fn)(void *arg, enum refusal r, const char *why, const struct step_receipt *rec,
			 size_t n);
/* After each step that was applied, the last one too: done of n. */
typedef void (*batch_step_fn)(void *arg, size_t done, size_t n);
/* step may be NULL. */
int batch_start(struct node *n, const struct plan *p, batch_step_fn step, batch_fn fn, void *arg,
		struct err *e) must_check;
/* Those under way end without an answer. */
void batches_free(struct node *n);
/* One step of the wanted table to the kernel, with what follows from it for the counters. */
int step_send(struct node *n, const struct step *s, struct enforcer_receipt *ret, struct err *e);
/* All wanted steps again, in an order that never lets a label run ahead of its state. */
int wanted_send(struct node *n, struct err *e) must_check;
/* Takes away what the kernel holds and nobody wants; *gone (may be NULL) = how many. */
int wanted_collect(struct node *n, uint32_t *gone, struct err *e) must_check;
/* Whether a committed step says what the kernel holds now (a set, and no left-over steering). */
bool wanted_now(const struct world *w, const struct step *s);
struct enforcer_object;
/* Whether a committed step asks for the object. */
bool object_wanted(const struct world *w, const struct enforcer_object *o);

/* --- node_runs.c */
/* Steps of a plan side by side, rules or none of them: 1..STEPS_MAX for the kernel, which stay the
 * caller's until fn. */
struct step_run {
	struct step_run *next;
	const struct plan_step *step;
	uint16_t n;
	/* Their answers. Fewer than n: the last one is a refusal, what is behind it was not tried.
	 */
	uint16_t answered;
	struct enforcer_receipt rec[STEPS_MAX];
	void (*fn)(void *arg); /* once, not inside the call */
	void *arg;
};
bool step_is_rule(const struct step *s);
/* Asks for the steps of r, which go with those of other plans of this turn. */
void run_send(struct node *n, struct step_run *r);

/* --- node_probe.c */
int prober_new(struct prober **ret, struct node *n, struct err *e) must_check;
struct prober *prober_free(struct prober *p);
/* Closes the window of every path: called once a window. */
void prober_window(struct prober *p);
/* The spread of each path's delay over the last windows; a path without an answer is left out. */
void prober_spreads(const struct prober *p, struct enforcer_spreads *ret);
/* Alive in one of the last three windows, or a probe came back since. */
bool prober_alive(const struct prober *p, uint8_t path);
bool prober_has(const struct prober *p, uint8_t path);
int prober_sample(const struct prober *p, uint8_t path, struct path_sample *ret);

/* --- node_marks.c */
/* This node's clock, and how sure its kernel is of it. */
void node_clock(const struct side *s, struct mark_clock *ret);

/* --- node_telemetry.c */
int telemetry_rows(struct err *e) must_check;

#endif
