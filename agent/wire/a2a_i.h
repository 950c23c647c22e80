/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_i.h - private to a2a_*.c: the task store, the answers already given, the turns under way, the
 * open streams. */
#ifndef TREATY_A2A_I_H
#define TREATY_A2A_I_H

#include <sys/queue.h>

#include "a2a.h"
#include "agent/codec/json.h"
#include "rpc.h"

enum {
	A2A_BUCKETS = 1024,
	A2A_SEEN_MAX = 1024,
	A2A_SEEN_PEER_MAX = 256,
	A2A_WAITERS_MAX = 8,
	A2A_PUSH_MAX = 8,
	A2A_URL_MAX = 512,
	A2A_NEWS_MAX = 32, /* events that wait for one reader, */
	A2A_NEWS_BYTES = 65536,
};

/* Where an answer goes, and in which binding it is written. */
struct a2a_to {
	struct wire_sink sink;
	json_t *id;              /* JSON-RPC's */
	bool rest;               /* HTTP+JSON */
	bool stream;             /* wants events */
	bool extension, offered; /* activated */
};

/* An event's value, one for all who read the task. */
struct a2a_news {
	unsigned refs;
	bool is_error;
	size_t len;
	char text[];
};

struct a2a_sub {
	LIST_ENTRY(a2a_sub) entry; /* of its task; of the server's when it leaves */
	struct a2a_server *s;
	struct wire_turn wait;
	struct a2a_news *news[A2A_NEWS_MAX]; /* not written yet, in order */
	size_t n_news, bytes;
	bool leaves;           /* ends when they are written */
	struct a2a_turn *turn; /* ends with it; NULL: with the task */
	struct a2a_to to;      /* id owned; sink.to is spent */
	void *stream;
	char owner[WIRE_DID_MAX];
};

/* A webhook of one task. */
struct a2a_push_cfg {
	TAILQ_ENTRY(a2a_push_cfg) entry;
	char id[A2A_ID_MAX + 1], url[A2A_URL_MAX], token[A2A_URL_MAX];
	char scheme[64], credentials[A2A_URL_MAX];
};

/* An artifact of a task. */
struct a2a_made {
	char *id, *name; /* name NULL: it has none */
	char *text;      /* the Artifact object */
	bool fresh;      /* of the turn under way, which is brief */
};

struct a2a_task {
	TAILQ_ENTRY(a2a_task) entry; /* newest status first */
	TAILQ_ENTRY(a2a_task) own;
	LIST_ENTRY(a2a_task) bucket;
	struct a2a_share *share;
	char id[A2A_ID_MAX + 1], context[A2A_ID_MAX + 1];
	enum a2a_state state;
	uint64_t order; /* of the last change, server-wide: the page token */
	wall_t at;
	json_t *metadata, *status_parts;
	struct a2a_made *made;
	size_t n_made;
	struct a2a_turn *turn; /* under way, or NULL */
	LIST_HEAD(, a2a_sub) subs;
	TAILQ_HEAD(, a2a_push_cfg) pushes;
	size_t npushes;
};

/* One peer's tasks, kept answers and turns under way; gone with the last of them. */
struct a2a_share {
	LIST_ENTRY(a2a_share) entry;
	char owner[WIRE_DID_MAX];
	size_t n_tasks, n_seen, n_turns;
	TAILQ_HEAD(a2a_own_head, a2a_task) tasks; /* newest status first */
	TAILQ_HEAD(, a2a_seen) seen;              /* oldest first */
};

/* An answer given or about to be: the same message again gets the same answer again. */
struct a2a_seen {
	TAILQ_ENTRY(a2a_seen) entry; /* oldest first */
	TAILQ_ENTRY(a2a_seen) own;
	LIST_ENTRY(a2a_seen) bucket;
	struct a2a_share *share;
	char message_id[A2A_ID_MAX + 1];
	uint8_t print[JSON_PRINT_LEN]; /* of the message */
	bool is_error;
	char *answer; /* text of the result or error object; NULL: the turn is under way */
	struct a2a_turn *turn;
};

struct a2a_turn {
	LIST_ENTRY(a2a_turn) entry;
	struct a2a_server *s;    /* NULL: the server is gone */
	struct a2a_share *share; /* NULL with it */
	struct peer peer;
	char task_id[A2A_ID_MAX + 1], context[A2A_ID_MAX + 1];
	struct a2a_task *task;
	struct a2a_seen *seen;
	json_t *metadata;
	bool brief;                /* its answer carries the artifacts of this turn alone */
	struct a2a_push_cfg *push; /* came with the message: becomes the task's */
	struct a2a_to waiters[A2A_WAITERS_MAX];
	size_t nwaiters;
	bool in_call, ended; /* ended inside on_message: freed when it returns */
};

struct a2a_server {
	struct a2a_config cfg;
	struct a2a_app app;
	char *path, *extension, *offered;
	char *both; /* of them, as a header says so */
	char *card;
	json_t *extended;
	char etag[72];
	TAILQ_HEAD(a2a_tasks_head, a2a_task) tasks;
	LIST_HEAD(, a2a_task) buckets[A2A_BUCKETS];
	TAILQ_HEAD(, a2a_seen) seen;
	LIST_HEAD(, a2a_seen) seen_buckets[A2A_BUCKETS];
	LIST_HEAD(, a2a_share) shares;
	LIST_HEAD(, a2a_turn) turns;
	LIST_HEAD(, a2a_sub) leaving;
	size_t ntasks, nseen, nturns, nsubs;
	uint8_t key[16]; /* of fingerprints */
	uint64_t order;
};

/* One request on its way through. */
struct a2a_call {
	struct a2a_server *s;
	const struct wire_request *r;
	struct a2a_to to; /* id borrowed */
	const json_t *params;
	char owner[WIRE_DID_MAX];
};

/* a2a_msg.c: one field by its camelCase name or its snake_case one; JSON null is absent. */
json_t *a2a_field(const json_t *o, const char *camel);
struct a2a_params {
	struct a2a_message
		m; /* data owned, the rest borrowed; task_id, context_id "" when absent */
	json_t *data;
	const json_t *raw;  /* borrowed: the message, for its fingerprint */
	const json_t *push; /* borrowed: the inline configuration, NULL: none */
	bool return_now;
};
/* 0 or the JSON-RPC code with e. data is to be decref'd either way. */
int a2a_params_read(struct a2a_params *ret, const struct a2a_server *s, const json_t *params,
		    struct err *e) must_check;
int a2a_text(const json_t *o, const char *camel, const char **ret, struct err *e) must_check;
json_t *a2a_data_parts(const json_t *data, bool is_list); /* parts array of one or of each */

/* a2a_task.c */
uint32_t a2a_hash(const char *id); /* below A2A_BUCKETS */
struct a2a_task *a2a_task_find(const struct a2a_server *s, const char *id, const char *owner);
int a2a_task_new(struct a2a_task **ret, struct a2a_server *s, const char *owner,
		 const char *context) must_check;
void a2a_task_free(struct a2a_server *s, struct a2a_task *t);
/* Tells the task's streams and webhooks too. parts is borrowed, NULL: no status message. */
int a2a_task_move(struct a2a_server *s, struct a2a_task *t, enum a2a_state st,
		  const json_t *parts) must_check;
json_t *a2a_status_json(const struct a2a_task *t);
json_t *a2a_task_json(const struct a2a_task *t, bool artifacts);
/* {"task": ...} with all its artifacts, or the fresh ones. NULL: no memory. */
char *a2a_task_text(const struct a2a_task *t, bool fresh);

/* a2a_made.c: text is taken over. -ENOSPC: full. */
struct a2a_made *a2a_made_by_id(const struct a2a_task *t, const char *id);
struct a2a_made *a2a_made_by_name(const struct a2a_task *t, const char *name);
void a2a_made_free(struct a2a_task *t);
int a2a_made_put(struct a2a_task *t, const char *id, const char *name, char *text,
		 bool fresh) must_check;
/* More parts (borrowed) for the one of that id; -ENOENT: none. */
int a2a_made_extend(struct a2a_task *t, const char *id, const json_t *parts, bool fresh) must_check;
json_t *a2a_made_json(const struct a2a_task *t);
struct json_out;
/* A comma, the member's name and the artifacts; nothing when there are none. */
void a2a_made_write(const struct a2a_task *t, bool fresh, struct json_out *o);
/* 0 and *ret the result, or the JSON-RPC code with e. */
int a2a_task_list(json_t **ret, const struct a2a_server *s, const char *owner, const json_t *params,
		  struct err *e) must_check;

/* a2a_turn.c: SendMessage from the checked parameters to the application. */
void a2a_turn_begin(struct a2a_call *c, struct a2a_params *p, struct a2a_push_cfg *push);
void a2a_turns_abandon(struct a2a_server *s);

/* a2a_client.c: one StreamResponse or error. Takes rpc->root, also when it fails. */
struct rpc_response;
int a2a_told_json(struct a2a_told *ret, const struct rpc_response *rpc, struct err *e) must_check;

/* a2a_seen.c */
struct a2a_share *a2a_share_find(const struct a2a_server *s, const char *owner);
/* Made when there is none; NULL = no memory, or too long a name. */
struct a2a_share *a2a_share_get(struct a2a_server *s, const char *owner);
/* Behind what was taken out of it. */
void a2a_share_done(struct a2a_share *h);
void a2a_seen_free(struct a2a_server *s, struct a2a_seen *n);
struct a2a_seen *a2a_seen_find(const struct a2a_server *s, const char *owner, const char *id);
/* With a place among the owner's; an old answer may go for it. NULL: no memory, or a bad id. */
struct a2a_seen *a2a_seen_new(struct a2a_server *s, const char *owner, const char *id,
			      const uint8_t print[JSON_PRINT_LEN]);

/* a2a_stream.c. Opens the stream of `to` (its id is copied) with a snapshot of the task first.
 * False: it could not, and has been answered. */
bool a2a_stream_open(struct a2a_server *s, const struct a2a_to *to, struct a2a_task *task,
		     struct a2a_turn *turn, const char *owner);
/* One event, alone on its stream: a message, or what is known of a finished turn. */
void a2a_stream_once(const struct a2a_server *s, const struct a2a_to *to, const char *value);
/* kind "statusUpdate" or "artifactUpdate"; steals value. */
void a2a_event(struct a2a_server *s, struct a2a_task *t, const char *kind, json_t *value);
/* turn NULL: all of the task. error (an object's text, NULL: none) is told first. */
void a2a_streams_end(struct a2a_task *t, const struct a2a_turn *turn, const char *error);
/* Whoever leaves gets what waits for it now. */
void a2a_streams_flush(struct a2a_server *s);
void a2a_do_subscribe(struct a2a_call *c);

/* a2a_push.c */
int a2a_push_read(struct a2a_push_cfg **ret, const struct a2a_call *c, const json_t *o,
		  struct err *e) must_check;
int a2a_push_add(struct a2a_task *t, struct a2a_push_cfg *p); /* takes p; -ENOSPC leaves it */
void a2a_push_event(struct a2a_server *s, const struct a2a_task *t, const json_t *event);
void a2a_push_clear(struct a2a_task *t);
void a2a_do_push_create(struct a2a_call *c);
void a2a_do_push_get(struct a2a_call *c);
void a2a_do_push_list(struct a2a_call *c);
void a2a_do_push_delete(struct a2a_call *c);

/* a2a_server.c */
/* Steals value (result or error object). */
void a2a_answer(const struct a2a_server *s, const struct a2a_to *to, bool is_error, json_t *value);
/* The same of a value's text; NULL: no memory. */
void a2a_answer_text(const struct a2a_server *s, const struct a2a_to *to, bool is_error,
		     const char *value);
/* A value in its binding's envelope, to be freed; NULL on ENOMEM. *ret_status: HTTP's. */
char *a2a_body_new(const struct a2a_to *to, bool is_error, const char *value, int *ret_status);
void a2a_fail(struct a2a_call *c, int code, const char *text);
void a2a_succeed(struct a2a_call *c, json_t *result); /* NULL: internal error */
json_t *a2a_error_new(int code, const char *text, const json_t *detail);
/* A cap is reached: A2A_E_LIMIT with an ErrorInfo that names it. */
json_t *a2a_limit_new(const struct wire_limit *l);
/* True: no more messages may be under way, of this caller or of all; answered. */
bool a2a_limited(const struct a2a_call *c);
/* The headers of every answer; returns how many. */
size_t a2a_headers(const struct a2a_server *s, const struct a2a_to *to, struct wire_header h[3]);
/* The task that params' member names, or NULL and answered. */
struct a2a_task *a2a_call_task(struct a2a_call *c, const char *member);
void a2a_plain(struct wire_sink sink, int status, const char *allow);
/* Version and extension; then the method of that name. */
void a2a_dispatch(struct a2a_call *c, const char *method);

/* a2a_rest.c: a path below the endpoint. */
void a2a_rest(struct a2a_call *c, const char *below);
/* An error object as google.rpc.Status, and its HTTP status; steals error. */
json_t *a2a_rest_error(json_t *error, int *ret_status);

#endif
