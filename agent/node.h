/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - the node agent: steps from agreements become kernel state, the kernel's numbers come
 * back. Needs role node. MCP rows: step_apply, telemetry_read, node_observe. */
#ifndef TREATY_NODE_H
#define TREATY_NODE_H

#include "agent/side.h"
#include "treaty/enforce.h"
#include "treaty/telemetry.h"

#define STAMP_PORT 8620 /* a path's reflector, unless [path] probe-port says otherwise */

/* Maps the counters, starts probes and reflector, sends every wanted step of the log to the
 * enforcer again, removes what the kernel holds and nobody wants, adds the MCP rows. */
int node_start(struct side *s, struct err *e) must_check;
/* Frees s->node (NULL is fine). Its timers stay in the loop: the loop goes next, without a turn. */
void node_stop(struct side *s);

/* Once for the plan, never inside the node_apply() that asked. REFUSE_NONE: all steps applied and
 * read back, in order; else the first refusal and its reason: no later step was tried. */
typedef void (*node_done_fn)(void *arg, enum refusal r, const char *why);

/* Takes the steps of p whose node is empty or this daemon's name (tool step_apply: staged in this
 * turn, sent to the enforcer after its commit). The same plan again gives the same answer without
 * another event. Synchronous refusals (a guard, too many plans under way) are told through done as
 * well; negative only on -ENOMEM, -EOPNOTSUPP (no node), or a plan without steps for us (-EINVAL).
 */
int node_apply(struct side *s, const struct plan *p, node_done_fn done, void *arg,
	       struct err *e) must_check;

/* Running totals now. -ERANGE outside the table, -EOPNOTSUPP without role node. No I/O. */
int node_label_sample(struct side *s, uint32_t label, struct label_sample *ret);
int node_class_sample(struct side *s, uint8_t class_id, struct class_sample *ret);
/* The newest finished block of a coloured label, at DP_MARK_IN or DP_MARK_OUT. -ENOENT: nothing is
 * coloured here, the label is not watched, or it was not when the block began. */
int node_mark(const struct side *s, uint32_t label, enum dir dir, uint32_t point,
	      struct mark_sample *ret);
/* The last full window of the path's probes. -ENOENT: no such path here. */
int node_path_sample(struct side *s, uint8_t path, struct path_sample *ret);
/* What the kernel holds for the label, read back through the enforcer. */
int node_observation(struct side *s, uint32_t label, struct observation *ret, struct err *e);

#endif
