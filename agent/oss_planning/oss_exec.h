/* SPDX-License-Identifier: Apache-2.0 */
/* oss_exec.h - carries a committed plan out, strictly in order: consecutive steps of one node are
 * one call, a wait is a timer here, a probe is a call of its own. A node that refuses or stays
 * silent ends the plan: what was done is undone, newest first, and the failure is recorded. Once
 * traffic is on the new road there is no way back: what cannot be removed behind it is removed
 * later (oss_debt.h). */
#ifndef TREATY_OSS_EXEC_H
#define TREATY_OSS_EXEC_H

#include "agent/side.h"
#include "oss_gather.h"

/* Forgets every run of an earlier start. */
void oss_exec_start(struct side *s);
/* After the commit of this turn: goes on with d->plan from d->plan_upto, or with its undoing. */
void oss_exec_run(const struct deal *d);
/* The agreement has ended under its plan: undo it. */
void oss_exec_stop(const struct deal *d);

/* The steps that undo 1..last of d->plan, newest first. *ret is wholly written. */
void oss_back_plan(const struct side *s, const struct deal *d, uint16_t last, struct plan *ret);

#endif
