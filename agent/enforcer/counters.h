/* SPDX-License-Identifier: Apache-2.0 */
/* counters.h - the frozen counter map as the agents read it: no message, no capability. Baselines
 * come from the enforcer once a label is set, so that totals start at the label's beginning and
 * outlive every process of ours. */
#ifndef TREATY_ENFORCER_COUNTERS_H
#define TREATY_ENFORCER_COUNTERS_H

#include "client.h"
#include "treaty/telemetry.h"

struct counters;

/* Maps the counters; c is borrowed for counters_base(). */
int counters_new(struct counters **ret, struct msg_client *c, struct err *e) must_check;
struct counters *counters_free(struct counters *k); /* NULL in, NULL out */

/* After LABEL_SETs: where the labels' totals begin. Idempotent. -ERANGE, -ENOMEM, msg_call()'s. */
int counters_base(struct counters *k, const uint32_t *label, uint32_t n, struct err *e) must_check;
/* After a LABEL_DEL. */
void counters_drop(struct counters *k, uint32_t label);
/* Closes a window: the passive round trips seen since the last call, for the labels with a base. */
void counters_window(struct counters *k);
/* Labels with a base, in the order they came; false = end. */
bool counters_next(const struct counters *k, uint32_t *i, uint32_t *label);

/* Totals now (label 0 = best effort, raw); at is left to the caller. -ERANGE. A label without a
 * base reads from its map's beginning. */
int counters_label(const struct counters *k, uint32_t label, struct label_sample *ret);
int counters_class(const struct counters *k, uint8_t class_id, struct class_sample *ret);

/* What this node counted of a block of the label; whether it may be read is the caller's question.
 * -ENOENT: the label is not watched, or the block is not known any more. point: DP_MARK_*. */
int counters_mark(const struct counters *k, uint32_t label, enum dir dir, uint32_t point,
		  uint64_t block, struct mark_sample *ret);
/* The number of this node's kernel, for struct mark_clock. */
uint64_t counters_host(const struct counters *k);

/* Median of a histogram of round trips, microseconds; 0 when it is empty. */
uint32_t counters_median(const uint32_t bucket[DP_RTT_BUCKETS]);

#endif
