/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - one turn of the machine: tools guard, stage and fold; subscribers of the turn's
 * events decide and call their own tools; then one commit; then what waited for the commit leaves.
 *
 * A failure of the store is not survivable under "nothing leaves before it is on disk": the engine
 * remembers it, every later call refuses, and the turn's hook returns it, which ends the process.
 */
#ifndef TREATY_TOOLS_ENGINE_H
#define TREATY_TOOLS_ENGINE_H

#include "agent/codec/event_json.h"
#include "agent/state/world.h"
#include "treaty/err.h"

struct engine;
struct store;

struct engine_config {
	struct store *store; /* borrowed */
	uint32_t max_deals, max_wanted;
	wall_t (*now)(void *arg);
	void *now_arg;
};

/* Replays the whole log into a new world. -EUCLEAN and the store's own errors. */
int engine_new(struct engine **ret, const struct engine_config *c, struct err *e) must_check;
struct engine *engine_free(struct engine *en);

const struct world *engine_world(const struct engine *en);
struct store *engine_store(const struct engine *en);
wall_t engine_now(const struct engine *en);
/* The latest time in the log when it was replayed, 0 = none. */
wall_t engine_replayed(const struct engine *en);

/* Guard, stage, fold, queue for the subscribers. REFUSE_NONE or the refusal, which was recorded
 * as a REFUSED event. d and body may be NULL; payload is event_table(kind)->size bytes. */
enum refusal engine_emit(struct engine *en, enum event_kind kind, const char *actor,
			 const char *tool, const void *payload, const struct decision *d,
			 const digest_t *body);
/* Records a refusal that no fold_guard made (a wallet, a ledger, a node). */
void engine_refuse(struct engine *en, const char *actor, const char *tool, const ident_t *deal,
		   enum refusal r, const char *why);

/* Every event of the turn, in order, after it was folded. */
typedef void (*engine_event_fn)(void *arg, const struct event *ev);
int engine_subscribe(struct engine *en, engine_event_fn fn, void *arg) must_check;

typedef void (*engine_effect_fn)(void *arg);
/* Runs fn at the end of this turn, before its commit: what waits for another process is begun while
 * the turn works and ended there. In the order asked, each with the events before it delivered; fn
 * may emit, and ask for more of it. */
void engine_before_commit(struct engine *en, engine_effect_fn fn, void *arg);
/* The last before each commit: it writes to the store and emits nothing. At most one. */
void engine_at_commit(struct engine *en, int (*fn)(void *arg, struct err *e), void *arg);
/* Runs fn after the commit of this turn, in the order asked. */
void engine_after_commit(struct engine *en, engine_effect_fn fn, void *arg);

/* Called with each durable event (SSE, log tail). At most one. */
void engine_on_durable(struct engine *en, engine_event_fn fn, void *arg);

/* The before-sleep hook: deliver, end, commit, release. 0 or the failure that ends the process. */
int engine_turn(void *engine);
/* The turn holds so much that no other request should be taken into it: the rest of its room is for
 * what the subscribers make of its events. */
bool engine_full(const struct engine *en);
/* Transactions of this process so far. */
uint64_t engine_commits(const struct engine *en);
/* How long a transaction's commit takes of late, in microseconds. */
int64_t engine_commit_us(const struct engine *en);
/* The stored failure's text. */
const struct err *engine_error(const struct engine *en);

/* A fresh id: prefix ("neg") + "-" + 16 hex digits drawn from the kernel. */
void engine_id(ident_t *ret, const char *prefix);
/* The same with the time before the digits (44 bits of ms, 11 hex digits): what is made later sorts
 * later, so that a table by such names grows at its end. */
void engine_id_timed(ident_t *ret, const char *prefix, wall_t at);

#endif
