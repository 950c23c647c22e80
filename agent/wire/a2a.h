/* SPDX-License-Identifier: Apache-2.0 */
/* a2a.h - A2A 1.0 over JSON-RPC and over HTTP+JSON, without any I/O: a whole HTTP request goes in,
 * one response comes out, now or later; or, where the transport can keep a body open, a stream of
 * server-sent events. Tasks live in memory, belong to the peer that began them, and never change
 * once terminal.
 *
 * To lift it into another program: agent/wire/{a2a_*,jws,rpc,sse_in,wire}.c,
 * agent/codec/{canon,json,json_out,json_parse,json_print,json_units}.c,
 * agent/crypto/{crypto,sha256}.c, agent/err.c, agent/refusal.c and the headers that they name, with
 * jansson, libsodium and OpenSSL's libcrypto; tests/lint/lift.sh links just these. The program owns
 * sockets, TLS and time. It fills struct a2a_config, gives every request whose path
 * a2a_server_path() knows to a2a_server_handle(), and ends each turn that on_message hands to it.
 * One thread. */
#ifndef TREATY_A2A_H
#define TREATY_A2A_H

#include <jansson.h>

#include "treaty/units.h"
#include "wire.h"

#define A2A_VERSION   "1.0"
#define A2A_CARD_PATH "/.well-known/agent-card.json"

enum { A2A_ID_MAX = 128, A2A_PARTS_MAX = 16, A2A_ARTIFACTS_MAX = 64, A2A_HOOKS_MAX = 8 };

enum a2a_state {
	A2A_SUBMITTED,
	A2A_WORKING,
	A2A_INPUT_REQUIRED,
	A2A_AUTH_REQUIRED,
	A2A_COMPLETED,
	A2A_FAILED,
	A2A_CANCELED,
	A2A_REJECTED,
	A2A_STATE_MAX_,
	A2A_STATE_INVALID = -22,
};
const char *a2a_state_name(enum a2a_state s);     /* "TASK_STATE_WORKING" */
enum a2a_state a2a_state_parse(const char *name); /* A2A_STATE_INVALID when unknown */
bool a2a_state_terminal(enum a2a_state s);

enum a2a_code {
	A2A_E_PARSE = -32700,
	A2A_E_REQUEST = -32600,
	A2A_E_METHOD = -32601,
	A2A_E_PARAMS = -32602,
	A2A_E_INTERNAL = -32603,
	A2A_E_LIMIT = -32000, /* ours: a cap is reached */
	A2A_E_TASK_NOT_FOUND = -32001,
	A2A_E_NOT_CANCELABLE = -32002,
	A2A_E_NO_PUSH = -32003,
	A2A_E_UNSUPPORTED = -32004,
	A2A_E_CONTENT_TYPE = -32005,
	A2A_E_INVALID_RESPONSE = -32006,
	A2A_E_NO_EXTENDED_CARD = -32007,
	A2A_E_EXTENSION_REQUIRED = -32008,
	A2A_E_VERSION = -32009,
};

/* One message. Everything is borrowed; text, raw and url parts are checked and then left out. */
struct a2a_message {
	const char *message_id;
	const char *task_id;    /* "" begins something new */
	const char *context_id; /* never "" */
	const json_t *metadata; /* object or NULL */
	const json_t *data;     /* array: the data of each data part, in order; may be empty */
};

struct a2a_server;
struct a2a_turn; /* one message being answered */

/* One notification to be delivered; everything is borrowed. POST body to url with Content-Type
 * application/a2a+json and the two headers, where they are not "". */
struct a2a_push {
	const char *owner;   /* the DID whose task it is */
	const char *task_id; /* with config_id: what must stay in order */
	const char *config_id, *url;
	const char *token;         /* X-A2A-Notification-Token */
	const char *authorization; /* Authorization: "scheme credentials" */
	const char *body;
};

struct a2a_app {
	/* Takes the turn: it must end by exactly one of a2a_turn_task(), a2a_turn_message() and
	 * a2a_turn_fail(), inside this call or later. Negative: answered as an internal error,
	 * and the turn must not have been ended. */
	int (*on_message)(void *arg, const struct peer *p, const struct a2a_message *m,
			  struct a2a_turn *t);
	/* May the peer cancel this task? 0 yes, negative no (-32002). NULL: yes. */
	int (*on_cancel)(void *arg, const struct peer *p, const char *task_id);
	/* NULL: push notifications are not supported (-32003). push_check says whether url may be
	 * called for this peer (negative with e: -32602); push delivers later and in order for each
	 * key, and what becomes of it is its own matter. */
	int (*push_check)(void *arg, const struct peer *p, const char *url, struct err *e);
	void (*push)(void *arg, const struct a2a_push *p);
	void *arg, *push_arg; /* of the first two; of the other two */
};

struct a2a_config {
	const char *path;                         /* of the JSON-RPC endpoint, e.g. "/a2a" */
	const char *url;                          /* its public URL, for the card */
	const char *name, *description, *version; /* of the agent; not empty */
	const char *extension;                    /* URI declared in the card; NULL: none */
	const char *extension_description;
	bool extension_required; /* a caller that does not activate it gets -32008 */
	/* A second one, which a caller may activate too; NULL: none. */
	const char *offered, *offered_description;
	const char *const *skills; /* pairs id, description; NULL-terminated; at least one */
	/* More skills, shown to callers who are known; NULL: there is no extended card (-32004). */
	const char *const *extended_skills;
	bool streaming;  /* else -32004 */
	bool any_output; /* acceptedOutputModes is not held to application/json */
	/* EdDSA over the card (a JWS over its RFC 8785 form); NULL: not signed. kid names the key.
	 */
	int (*sign)(void *arg, const char *input, size_t len, uint8_t sig[64]);
	void *sign_arg;
	const char *sign_kid;
	struct wire_pace pace;       /* of streams; zero: written at once */
	size_t max_streams;          /* [1024] */
	size_t max_streams_per_peer; /* [32] */
	size_t max_tasks;            /* [4096] the oldest terminal one makes room */
	size_t max_tasks_per_peer;   /* [256] */
	size_t max_turns;            /* [256] under way at once */
	size_t max_turns_per_peer;   /* [64] */
	wall_t (*now)(void *arg);    /* for timestamps */
	void *now_arg;
};

/* Copies c. */
int a2a_server_new(struct a2a_server **ret, const struct a2a_config *c, const struct a2a_app *app,
		   struct err *e) must_check;
/* Turns that are still out stay valid; ending them leads to nothing but their sinks, which get a
 * 503 here. */
struct a2a_server *a2a_server_free(struct a2a_server *s);
/* True when the path is ours: the endpoint with or without the last '/', what HTTP+JSON has below
 * it, or the card. */
bool a2a_server_path(const struct a2a_server *s, const char *path);
/* Answers through the sink, exactly once. */
void a2a_server_handle(struct a2a_server *s, const struct wire_request *r, struct wire_sink sink);

/* The task of this turn, made when there is none yet. NULL when the store is full (fail the turn).
 */
const char *a2a_turn_task_id(struct a2a_turn *t);
const char *a2a_turn_context_id(const struct a2a_turn *t);
const struct peer *a2a_turn_peer(const struct a2a_turn *t);
/* An artifact with one data part of the task of this turn. Name and data are borrowed; the data of
 * the ends below is shared: it may not be changed afterwards. One of that name is
 * replaced, under its id: each answer carries all of a task's, and of a menu only the newest is of
 * use. -ENOSPC: full. */
int a2a_turn_artifact(struct a2a_turn *t, const char *name, const json_t *data);
/* The same with the data as JSON text, borrowed. */
int a2a_turn_artifact_text(struct a2a_turn *t, const char *name, const char *data);
/* The same with parts (borrowed array of A2A parts, checked by the caller) under an id of the
 * caller's; one of that id is replaced. append adds them to the artifact of that id (-ENOENT:
 * none); last says that no more come. */
int a2a_turn_artifact_parts(struct a2a_turn *t, const char *id, const char *name,
			    const json_t *parts, bool append, bool last);
/* From here on: the answer carries the artifacts that this turn adds, not those before it, which
 * GetTask has. For an extension whose messages say so. */
void a2a_turn_brief(struct a2a_turn *t);
/* Metadata of the answer (task or message); borrowed object, whose members are added to those that
 * were set and replace what has their name. */
int a2a_turn_metadata(struct a2a_turn *t, const json_t *metadata);
/* SUBMITTED or WORKING, while the turn goes on. The others end it: a2a_turn_task(). */
int a2a_turn_state(struct a2a_turn *t, enum a2a_state s);

/* The three ends. data (borrowed, may be NULL) becomes the one data part of the status message.
 * s must be interrupted or terminal. A failure inside is answered as an internal error. */
void a2a_turn_task(struct a2a_turn *t, enum a2a_state s, const json_t *data);
void a2a_turn_message(struct a2a_turn *t, const json_t *data);
/* The same two with whole parts. */
void a2a_turn_task_parts(struct a2a_turn *t, enum a2a_state s, const json_t *parts);
void a2a_turn_message_parts(struct a2a_turn *t, const json_t *parts);
/* detail (borrowed object, may be NULL) becomes error.data's second entry ("@type" needed). */
void a2a_turn_fail(struct a2a_turn *t, enum a2a_code code, const char *text, const json_t *detail);

/* Outside a turn: moves a task that is not terminal and has no turn under way. -ENOENT, -EPERM
 * (terminal), -EBUSY. */
int a2a_task_set(struct a2a_server *s, const char *task_id, enum a2a_state st, const json_t *data);
enum a2a_state a2a_task_state(const struct a2a_server *s, const char *task_id);
size_t a2a_tasks(const struct a2a_server *s);
size_t a2a_streams(const struct a2a_server *s);
/* A comment on every open stream, so that nothing between us and the reader calls it idle. */
void a2a_ping(struct a2a_server *s);

/* ---- client ---- */

struct a2a_send {
	const char *message_id; /* unique; the same again asks for the same answer again */
	const char *task_id, *context_id; /* NULL: none */
	const json_t *data;               /* borrowed array, one data part each; at least one */
	const char *const *text;          /* in place of data: the parts' own texts, JSON .. */
	size_t texts;                     /* .. and how many */
	const json_t *metadata;           /* borrowed object or NULL */
	const char *extension;            /* URIs to activate, separated by ", ", or NULL */
	bool stream;                      /* SendStreamingMessage: read it by a2a_watch_*() */
	const struct a2a_hook *hook;      /* where to tell what becomes of the task, or NULL */
};

/* Where a peer shall POST what becomes of a task. Borrowed; NULL or "" where there is none. */
struct a2a_hook {
	const char *id, *url;
	const char *token;                /* comes back as X-A2A-Notification-Token, or */
	const char *scheme, *credentials; /* as Authorization */
};

/* Is this card signed with that key? kid (NULL: any) as the signature must name it; pin both, the
 * card proves nothing about itself. -EINVAL: no card, -EKEYREJECTED: not signed so. */
int a2a_card_verify(const char *text, size_t len, const char *kid, const uint8_t pub[32],
		    struct err *e) must_check;

/* The JSON-RPC body of SendMessage, of GetTask, CancelTask or SubscribeToTask, and of
 * {Create,Get,List,Delete}TaskPushNotificationConfig (List ignores the hook, Get and Delete look at
 * its id); NULL on ENOMEM. Free with free(). Send it with the headers of a2a_client_headers(). */
char *a2a_build_send(const struct a2a_send *m, int64_t rpc_id);
char *a2a_build_task(const char *method, const char *task_id, int64_t rpc_id);
char *a2a_build_hook(const char *method, const char *task_id, const struct a2a_hook *h,
		     int64_t rpc_id);
/* Fills up to 3 headers, returns how many: A2A-Version, Content-Type and A2A-Extensions. */
size_t a2a_client_headers(struct wire_header h[3], const char *extension);

struct a2a_artifact {
	const char *id, *name; /* name "" when absent */
	const json_t *data;    /* first data part */
};

/* A parsed answer; borrows from root until a2a_result_clear(). */
struct a2a_result {
	json_t *root;
	bool is_task;             /* else a message, or an error when code is not 0 */
	int code;                 /* JSON-RPC error code, 0 = none */
	const char *error;        /* its text */
	const json_t *error_data; /* array or NULL */
	const char *task_id, *context_id;
	enum a2a_state state;
	struct a2a_artifact artifacts[A2A_ARTIFACTS_MAX];
	size_t nartifacts;
	const json_t *data;     /* array: data parts of the message or of the status message */
	const json_t *metadata; /* of the task or message; object or NULL */
	struct a2a_hook hooks[A2A_HOOKS_MAX]; /* what a call about hooks tells; no credentials */
	size_t nhooks;
	json_t *owned; /* private */
};

/* Strict: HTTP status, JSON, id echoed, exactly one of result and error, closed objects, required
 * fields. method: "SendMessage" expects {task|message}, those about hooks theirs (Delete:
 * anything), the others a bare Task. -EPROTO with e. */
int a2a_parse(struct a2a_result *ret, const struct wire_response *r, const char *method,
	      int64_t rpc_id, struct err *e) must_check;
void a2a_result_clear(struct a2a_result *r);

/* One event of a stream or notification. Of r: an error has its code; a task all of it; a message
 * data, metadata and context_id; a status task_id, state and data; an artifact task_id and
 * artifacts[0]. */
struct a2a_told {
	enum { A2A_TOLD_TASK, A2A_TOLD_MESSAGE, A2A_TOLD_STATUS, A2A_TOLD_ARTIFACT } kind;
	struct a2a_result r;
	bool append, last; /* an artifact's: adds to the one of that id; no more of it comes */
};

/* The body that a peer POSTs to a hook of ours. Clear r after use. -EPROTO with e. Whether it is
 * the peer who calls, and of which task, is for the caller to check. */
int a2a_told_read(struct a2a_told *ret, const char *text, size_t len, struct err *e) must_check;

/* The answer to SendStreamingMessage or SubscribeToTask: bytes in, events out. */
struct a2a_watch;
typedef void (*a2a_told_fn)(void *arg, const struct a2a_told *t); /* borrowed */
int a2a_watch_new(struct a2a_watch **ret, int64_t rpc_id, a2a_told_fn fn, void *arg) must_check;
/* A piece of the body of a 200. Strict like a2a_parse(), and: the first event is the task or a
 * message, all are of that task, none follows a message or the task's end. After an error (-EPROTO,
 * -EMSGSIZE, -ENOMEM, with e) nothing more is told. */
int a2a_watch_feed(struct a2a_watch *w, const struct wire_response *head, const char *p, size_t n,
		   struct err *e) must_check;
/* The body is over. 0: so is what it told, or the task waits for us; -EPIPE: it broke off, ask for
 * the task or subscribe again; else as above. */
int a2a_watch_end(struct a2a_watch *w, struct err *e) must_check;
struct a2a_watch *a2a_watch_free(struct a2a_watch *w); /* NULL is fine */

#endif
