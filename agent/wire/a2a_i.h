/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_i.h - private to a2a_*.c: the task store, the answers already given, the turns under way. */
#ifndef TREATY_A2A_I_H
#define TREATY_A2A_I_H

#include <sys/queue.h>

#include "a2a.h"
#include "rpc.h"

enum { A2A_BUCKETS = 1024, A2A_SEEN_MAX = 1024, A2A_SEEN_PEER_MAX = 256, A2A_WAITERS_MAX = 8 };

struct a2a_task {
	TAILQ_ENTRY(a2a_task) entry; /* newest status first */
	LIST_ENTRY(a2a_task) bucket;
	char id[A2A_ID_MAX + 1], context[A2A_ID_MAX + 1], owner[WIRE_DID_MAX];
	enum a2a_state state;
	uint64_t order; /* of the last change, server-wide: the page token */
	wall_t at;
	json_t *artifacts, *metadata, *status_data;
	struct a2a_turn *turn; /* under way, or NULL */
};

/* An answer given or about to be: the same message again gets the same answer again. */
struct a2a_seen {
	TAILQ_ENTRY(a2a_seen) entry; /* oldest first */
	char owner[WIRE_DID_MAX], message_id[A2A_ID_MAX + 1];
	uint8_t digest[32];
	bool is_error;
	json_t *answer; /* result or error object; NULL: the turn is under way */
	struct a2a_turn *turn;
};

struct a2a_waiter {
	struct wire_sink sink;
	json_t *id;
};

struct a2a_turn {
	LIST_ENTRY(a2a_turn) entry;
	struct a2a_server *s; /* NULL: the server is gone */
	struct peer peer;
	char task_id[A2A_ID_MAX + 1], context[A2A_ID_MAX + 1];
	struct a2a_task *task;
	struct a2a_seen *seen;
	json_t *metadata;
	struct a2a_waiter waiters[A2A_WAITERS_MAX];
	size_t nwaiters;
	bool extension;      /* activated */
	bool in_call, ended; /* ended inside on_message: freed when it returns */
};

struct a2a_server {
	struct a2a_config cfg;
	struct a2a_app app;
	char *path, *extension;
	char *card;
	char etag[72];
	TAILQ_HEAD(a2a_tasks_head, a2a_task) tasks;
	LIST_HEAD(, a2a_task) buckets[A2A_BUCKETS];
	TAILQ_HEAD(, a2a_seen) seen;
	LIST_HEAD(, a2a_turn) turns;
	size_t ntasks, nseen, nturns;
	uint64_t order;
};

/* a2a_msg.c: one field by its camelCase name or its snake_case one; JSON null is absent. */
json_t *a2a_field(const json_t *o, const char *camel);
struct a2a_params {
	struct a2a_message
		m; /* data owned, the rest borrowed; task_id, context_id "" when absent */
	json_t *data;
	json_t *raw; /* borrowed: the message, for its digest */
	bool return_now;
};
/* 0 or the JSON-RPC code with e. data is to be decref'd either way. */
int a2a_params_read(struct a2a_params *ret, const json_t *params, struct err *e) must_check;
int a2a_text(const json_t *o, const char *camel, const char **ret, struct err *e) must_check;
json_t *a2a_data_parts(const json_t *data, bool is_list); /* parts array of one or of each */

/* a2a_task.c */
void a2a_owner(const struct peer *p, char out[WIRE_DID_MAX]);
struct a2a_task *a2a_task_find(const struct a2a_server *s, const char *id, const char *owner);
int a2a_task_new(struct a2a_task **ret, struct a2a_server *s, const char *owner,
		 const char *context) must_check;
void a2a_task_free(struct a2a_server *s, struct a2a_task *t);
int a2a_task_move(struct a2a_server *s, struct a2a_task *t, enum a2a_state st,
		  const json_t *data) must_check;
json_t *a2a_task_json(const struct a2a_task *t, bool artifacts);
/* 0 and *ret the result, or the JSON-RPC code with e. */
int a2a_task_list(json_t **ret, const struct a2a_server *s, const char *owner, const json_t *params,
		  struct err *e) must_check;

/* a2a_turn.c: SendMessage from the checked parameters to the application. Steals id. */
void a2a_turn_begin(struct a2a_server *s, const struct peer *peer, struct a2a_params *p, json_t *id,
		    bool extension, struct wire_sink sink);
void a2a_turns_abandon(struct a2a_server *s);
void a2a_seen_free(struct a2a_server *s, struct a2a_seen *n);

/* a2a_server.c: the two answers; both steal value (result or error object) and leave id alone. */
void a2a_answer(const struct a2a_server *s, struct wire_sink sink, const json_t *id, bool is_error,
		json_t *value, bool extension);
json_t *a2a_error_new(int code, const char *text, const json_t *detail);

#endif
