/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_i.h - private to mcp_*.c. */
#ifndef TREATY_MCP_I_H
#define TREATY_MCP_I_H

#include <sys/queue.h>

#include "mcp.h"
#include "rpc.h"

#define MCP_META "io.modelcontextprotocol/"

enum {
	MCP_URIS_MAX = 32,
	MCP_URI_MAX = 256,
	MCP_LIST_TTL_MS = 300000,
	MCP_SESSIONS_PER_PEER = 32,
	MCP_NOTICES_MAX = 32, /* that wait for one stream */
};

/* A notification that waits. Without params it says that something changed, and saying so once is
 * enough: uri what (NULL: a list, which the method names). */
struct mcp_notice {
	const char *method;
	json_t *params, *uri;
};

/* One long stream: subscriptions/listen, or a session's GET. */
struct mcp_listener {
	LIST_ENTRY(mcp_listener) entry;
	struct mcp_server *s;
	struct peer peer;
	char owner[WIRE_DID_MAX];
	json_t *id;                  /* of the listen request; NULL: the session's */
	struct mcp_session *session; /* NULL: the newer revision */
	const struct wire_stream_ops *ops;
	void *stream;
	struct wire_turn wait;
	struct mcp_notice notices[MCP_NOTICES_MAX]; /* in order */
	size_t n_notices;
	char *uris[MCP_URIS_MAX];
	size_t nuris;
	bool lists[3]; /* by enum mcp_list */
	json_t *tasks; /* ids that it hears of, all its owner's; NULL: none */
};

/* 2025-11-25 only. */
struct mcp_session {
	TAILQ_ENTRY(mcp_session) entry; /* the one used last first */
	char id[RPC_ID_MAX], owner[WIRE_DID_MAX];
	json_t *capabilities;
	char *uris[MCP_URIS_MAX];
	size_t nuris;
	struct mcp_listener *get; /* its GET stream */
};

enum mcp_task_status {
	MCP_TASK_WORKING,
	MCP_TASK_INPUT,
	MCP_TASK_COMPLETED, /* from here on nothing changes any more */
	MCP_TASK_FAILED,
	MCP_TASK_CANCELLED,
};

struct mcp_task {
	TAILQ_ENTRY(mcp_task) entry; /* the oldest first */
	char id[RPC_ID_MAX], owner[WIRE_DID_MAX];
	char session[RPC_ID_MAX]; /* 2025-11-25: where it was made; else "" */
	bool legacy;              /* each revision sees its own */
	enum mcp_task_status status;
	wall_t created, updated;
	struct mcp_turn *turn; /* NULL: ended */
	json_t *result, *error, *requests, *responses;
	void (*answer)(void *arg, struct mcp_turn *t, const json_t *responses);
	void *answer_arg;
};

struct mcp_turn {
	LIST_ENTRY(mcp_turn) entry;
	struct mcp_task *task;   /* what its end goes into; NULL: none, or it is gone */
	struct mcp_task *awaits; /* tasks/result: whose end is the answer. The turn is ours */
	struct mcp_server *s;    /* NULL: the server is gone, and the sink has its answer */
	struct wire_sink sink;
	json_t *id, *params, *capabilities;
	char owner[WIRE_DID_MAX], session[RPC_ID_MAX];
	bool legacy, streams; /* the caller reads event streams */
	bool lost;            /* cancelled: nothing more goes out */
	bool detached;        /* the caller has its answer: a task goes on without it */
	void *stream;
	char uri[MCP_URI_MAX]; /* being read */
	void (*gone)(void *arg);
	void *gone_arg;
	int64_t asked; /* id of our own request, 0 = none */
	void (*answer)(void *arg, struct mcp_turn *t, const json_t *result);
	void *answer_arg;
};

struct mcp_server {
	struct mcp_config cfg;
	struct mcp_app app;
	char *path;
	json_t **tools; /* as listed */
	char *info;     /* the member _meta of a result that has no other */
	json_t *prompts;
	LIST_HEAD(, mcp_turn) turns;
	LIST_HEAD(, mcp_listener) listeners;
	TAILQ_HEAD(mcp_sessions, mcp_session) sessions;
	TAILQ_HEAD(, mcp_task) tasks;
	size_t nturns, nlisteners, nsessions, ntasks;
	int64_t asked;
};

/* One request on its way through. */
struct mcp_req {
	struct mcp_server *s;
	const struct wire_request *r;
	struct wire_sink sink;
	struct rpc_request rpc;
	const json_t *meta;
	struct mcp_session *session; /* NULL: the newer revision */
	bool legacy;
	char owner[WIRE_DID_MAX];
};

/* mcp_server.c */
void mcp_send(struct wire_sink sink, int status, char *text); /* frees text; NULL: 500 */
void mcp_fail(struct mcp_req *c, int status, int code, const char *text);
/* A cap is reached; its problem goes along. On HTTP 200, or as a status by itself. */
void mcp_limit(struct mcp_req *c, const struct wire_limit *l, bool status);
/* Steals result; adds what the revision wants. cached: ttlMs and cacheScope too. */
json_t *mcp_complete(const struct mcp_server *s, bool legacy, json_t *result, bool cached);
void mcp_succeed(struct mcp_req *c, json_t *result, bool cached);

/* "=?base64?...?=" in a header's value, decoded into out, or the value itself. NULL: broken, or
 * beyond 255 bytes. */
const char *mcp_header_decode(const char *v, char out[256]);

/* mcp_param.c: false and answered when a header does not repeat its argument. */
bool mcp_params_match(struct mcp_req *c, const json_t *schema, const json_t *args);

/* mcp_turn.c: NULL and answered when there is no room. */
struct mcp_turn *mcp_turn_new(struct mcp_req *c);
void mcp_turns_abandon(struct mcp_server *s);
/* A result or error for what we asked, or notifications/cancelled. */
void mcp_turn_answered(struct mcp_req *c, const json_t *message);
void mcp_turn_cancelled(struct mcp_req *c);

/* The caller's answer; the turn lives on. Takes text. */
void mcp_turn_answer(struct mcp_turn *t, int status, char *text);
/* As if the caller had left. */
void mcp_turn_cancel(struct mcp_turn *t);
/* Runs gone when the caller leaves (NULL: no more); t is ended in there. */
void mcp_turn_watch(struct mcp_turn *t, void (*gone)(void *arg));

/* mcp_task.c */
enum { MCP_TASK_TTL_MS = 3600000, MCP_TASK_POLL_MS = 1000 };

void mcp_task_done(struct mcp_turn *t, const char *text);
void mcp_tasks_free(struct mcp_server *s);
bool mcp_task_ended(const struct mcp_task *x);
/* Of what a listener of 2026-07-28 wants to hear those ids that are its owner's tasks; NULL: none.
 */
json_t *mcp_task_listened(const struct mcp_server *s, const char *owner, const json_t *want);
/* False and answered: this caller did not say that it knows tasks. */
bool mcp_task_declared(struct mcp_req *c);
/* What ended, or asks, before it was listened to. */
void mcp_task_catch_up(struct mcp_server *s, struct mcp_listener *l);
const char *mcp_task_name(enum mcp_task_status st);
/* The caller's task that the request names, of its revision; NULL: answered. */
struct mcp_task *mcp_task_find(struct mcp_req *c);
/* One answer to a question still open; when it was the last, the task goes on, and may end. */
void mcp_task_answered(struct mcp_server *s, struct mcp_task *x, const char *key, json_t *v);
void mcp_do_task_get(struct mcp_req *c);
void mcp_do_task_cancel(struct mcp_req *c);
void mcp_do_task_update(struct mcp_req *c);
json_t *mcp_task_extension(void);

/* mcp_task_old.c: the tasks of 2025-11-25 */
/* False and answered: the call may not be a task as it asks for. */
bool mcp_task_wanted(struct mcp_req *c, const struct mcp_tool *tool, bool *wanted);
json_t *mcp_task_old_json(const struct mcp_task *x);
json_t *mcp_task_old_capability(const struct mcp_server *s); /* NULL: none */
/* The status changed: its session hears it, and who waits gets what it waits for. */
void mcp_task_old_moved(struct mcp_server *s, struct mcp_task *x);
/* Steals params and returns it with the task's id in _meta; NULL: no memory. */
json_t *mcp_task_related(json_t *params, const struct mcp_task *x);
void mcp_do_task_list(struct mcp_req *c);
void mcp_do_task_result(struct mcp_req *c);

/* mcp_objects.c */
void mcp_do_discover(struct mcp_req *c);
json_t *mcp_capabilities(const struct mcp_server *s, bool legacy);
/* False and answered: everything fits one page, so no cursor was ever given out. */
bool mcp_first_page(struct mcp_req *c);
void mcp_do_tools(struct mcp_req *c);
void mcp_do_call(struct mcp_req *c);
void mcp_do_resources(struct mcp_req *c);
void mcp_do_templates(struct mcp_req *c);
void mcp_do_read(struct mcp_req *c);
void mcp_do_prompts(struct mcp_req *c);
void mcp_do_prompt(struct mcp_req *c);
void mcp_do_complete(struct mcp_req *c);

/* mcp_session.c */
void mcp_do_listen(struct mcp_req *c);
/* Everything of the older revision that is not a method of both. True: answered. */
bool mcp_legacy(struct mcp_req *c);
void mcp_session_get(struct mcp_req *c);
void mcp_session_delete(struct mcp_req *c);
/* The caller's session, or NULL. */
struct mcp_session *mcp_session_find(const struct mcp_req *c);
void mcp_sessions_free(struct mcp_server *s);
/* One notification on that stream, when its turn comes. Steals params; negative: it is lost, free
 * it. */
int mcp_listener_tell(struct mcp_listener *l, const char *method, json_t *params);
void mcp_listener_free(struct mcp_listener *l);
/* A notification on that session's own stream, if it has one. Steals params. */
void mcp_session_tell(struct mcp_server *s, const char *id, const char *method, json_t *params);

#endif
