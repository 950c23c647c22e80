/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - what every wire shares: an authenticated peer, a whole request, a whole response and
 * the one way an answer travels back. The protocol cores (a2a, mcp) know only these: no sockets. */
#ifndef TREATY_WIRE_H
#define TREATY_WIRE_H

#include <sys/queue.h>
#include <sys/types.h>

#include "treaty/err.h"
#include "treaty/units.h"

enum {
	WIRE_DID_MAX = 256,
	WIRE_HEADERS_MAX = 64, /* of one request */
};

/* Who speaks. Over TLS: did = the certificate's URI SAN, name = its CN. Over AF_UNIX: did is empty,
 * local is true, uid and pid are SO_PEERCRED's. With an access token (bearer): did and name of whom
 * it stands for. Neither local nor a did: nobody said who it is. */
struct peer {
	char did[WIRE_DID_MAX];
	char name[64];
	bool local, bearer, certified; /* certified: x5t is there */
	uid_t uid;
	pid_t pid;
	uint32_t scopes; /* of a token; what the bits mean is the application's */
	wall_t until;    /* of a token: when it is over */
	uint8_t x5t[32]; /* SHA-256 of the certificate (DER) */
};

struct wire_header {
	const char *name;  /* as sent; compare without case */
	const char *value; /* trimmed, no control bytes but HTAB */
};

/* Borrowed for the time of the call. Body is NUL-terminated after len bytes. */
struct wire_request {
	const char *method; /* "GET", "POST" or "DELETE" */
	const char *path;   /* begins with '/', without the query */
	const char *query;  /* after '?', "" when none */
	const struct wire_header *headers;
	size_t nheaders;
	const char *body;
	size_t len;
	const struct peer *peer;
};

struct wire_response {
	int status;
	const char *content_type;          /* NULL: none */
	const struct wire_header *headers; /* more headers */
	size_t nheaders;
	const char *body;
	size_t len;
};

/* What a transport that can keep a body open offers beside the one reply. gone runs once, never
 * inside one of these calls; after it a stream wants nothing but its end. */
struct wire_stream_ops {
	/* Instead of the reply: sends the head and keeps the body open. Spends `to`. NULL: failed,
	 * and the caller is lost. */
	void *(*open)(void *to, const struct wire_response *head, void (*gone)(void *arg),
		      void *arg);
	int (*write)(void *stream, const void *p, size_t n); /* negative: lost or too slow */
	void (*end)(void *stream);                           /* frees it */
	/* Tells when the caller leaves before its answer; fn NULL takes it back. */
	void (*watch)(void *to, void (*gone)(void *arg), void *arg);
};

/* Called exactly once for each request, inside the handler or later. The response is borrowed. */
typedef void (*wire_reply_fn)(void *to, const struct wire_response *r);
struct wire_sink {
	wire_reply_fn fn;
	void *to;
	const struct wire_stream_ops *stream; /* NULL: one whole reply is all there is */
};

/* Streams that many read may take turns, so that who makes an event does not pay for each reader:
 * what waits for a reader meanwhile goes out in one piece. wait asks for a turn, in which fn writes
 * (while one waits it changes nothing); leave gives it back. wait NULL: written at once. */
struct wire_turn {
	TAILQ_ENTRY(wire_turn) entry; /* the pace's */
	void (*fn)(void *arg);
	void *arg;
	bool waits;
};
struct wire_pace {
	void (*wait)(void *to, struct wire_turn *w);
	void (*leave)(void *to, struct wire_turn *w);
	void *to;
};

/* First value of that header (any case), NULL when absent. */
const char *wire_header(const struct wire_request *r, const char *name);

/* Whose something is: the DID, "uid:N" of a local caller, or "nobody". */
void wire_owner(const struct peer *p, char out[WIRE_DID_MAX]);
/* A local caller's uid; of all others (uid_t)-1, which is nobody's. */
uid_t wire_uid(const struct peer *p);

/* A cap that is reached: "peer-streams" and 16. own: of this caller, else of all together. */
struct wire_limit {
	const char *name;
	size_t max;
	bool own;
};
enum { WIRE_LIMIT_TEXT = 320 };
/* As a problem (RFC 9457), JSON text. Returns its HTTP status: 429 of the caller's own cap, 503 of
 * all's. */
int wire_limit_problem(const struct wire_limit *l, char text[WIRE_LIMIT_TEXT]);

/* SIGPIPE is ignored from then on, in the whole process: http_server and http_client do it. */
void wire_ignore_sigpipe(void);
/* Up to 8 MiB of free memory stay with the process from then on: http_server does it. */
void wire_keep_heap(void);

#endif
