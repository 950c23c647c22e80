/* SPDX-License-Identifier: Apache-2.0 */
/* msg.h - typed messages between the three processes over SOCK_SEQPACKET. One request has one
 * reply, of sizes that its type fixes, or none (MSG_ONE_WAY); both sides check magic, type,
 * sequence and size. A record carries one message, and of a client's any number, each padded with
 * zeros to a multiple of 8 before the next: a server is woken once for all that a call is about.
 * What does not fit is -EPROTO, and the caller ends the connection: from another privilege there is
 * no second chance. Library layer: nothing is logged here. */
#ifndef TREATY_MSG_H
#define TREATY_MSG_H

#include "treaty/err.h"

#define MSG_MAGIC    0x54724d31u /* "TrM1" */
#define MSG_BODY_MAX 32768u
#define MSG_REPLY    0x8000u /* set in the type of a reply */

/* Types of the whole tree; append only. Each server's table says what it serves. */
enum msg_type {
	MSG_PING = 1,     /* any -> enforcer, signer */
	MSG_STOP = 2,     /* enforcer -> agents: unasked, no body, no reply: finish and exit */
	MSG_STATUS = 3,   /* agents -> enforcer */
	MSG_SHUTDOWN = 4, /* agents -> enforcer: stop the tree */
	MSG_ENFORCER_BASE = 0x100, /* steps, links, maps */
	MSG_SIGNER_BASE = 0x200,   /* signer/signer.h */
};

struct msg_hdr {
	uint32_t magic;
	uint16_t type;
	uint16_t flags; /* 0 */
	uint32_t seq;
	int32_t status; /* replies: 0 or a negative errno; then the body is struct msg_error */
	uint32_t len;   /* of the body */
	uint32_t pad;   /* 0 */
};

/* Where the next message of a record begins. */
#define MSG_NEXT(at)   (((at) + 7u) & ~7u)
#define MSG_RECORD_MAX (sizeof(struct msg_hdr) + MSG_BODY_MAX)

struct msg_error {
	char text[ERR_TEXT_MAX]; /* NUL-terminated */
};

struct msg_ping {
	uint64_t token; /* comes back */
};

/* One received message. fd is owned by whoever holds the struct; -1 = none. */
struct msg {
	struct msg_hdr h;
	int fd;
	_Alignas(8) uint8_t body[MSG_BODY_MAX];
};

/* A row of a server's table. fn fills rep (rep_size bytes, zeroed before) and returns 0 or a
 * negative errno with *e set; -EPROTO from fn means that the sender broke a rule no honest sender
 * breaks. *ret_fd is sent along and closed (-1 = none). rep_size MSG_ONE_WAY: there is no reply,
 * fn fails with -EPROTO alone and gets no rep; a request may be shorter than req_size, the rest is
 * zero then. */
#define MSG_ONE_WAY UINT32_MAX
struct msg_handler {
	uint16_t type;
	uint32_t req_size, rep_size;
	int (*fn)(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
};

/* A request whose reply is waited for later. It stays where it is until msg_await(). */
struct msg_ask {
	struct msg_ask *next;
	void *rep;         /* rep_size bytes, filled when there was no error */
	int *ret_fd;       /* NULL: a reply with an fd is -EPROTO */
	uint32_t rep_size; /* may be 0 */
	uint32_t seq;
	uint16_t type;
	bool open;  /* neither answered nor given up */
	int result; /* then: 0 or the negative status, its text in why */
	struct err why;
};

/* So many at once: their replies find room in a socket that nobody reads meanwhile. */
#define MSG_ASKED_MAX 32

/* A client's end: fd is borrowed. stop is set when the other side said MSG_STOP meanwhile. out
 * holds what was posted and goes with the next call. */
struct msg_client {
	int fd;
	uint32_t seq;
	bool stop;
	struct msg_ask *asked; /* open ones, the oldest first; borrowed */
	uint32_t held;         /* bytes of out */
	_Alignas(8) uint8_t out[MSG_RECORD_MAX];
};

/* Sends one message; waits at most timeout_ms for room. fd_along < 0 = none. */
int msg_send(int fd, const struct msg_hdr *h, const void *body, int fd_along,
	     int timeout_ms) must_check;

/* Waits at most timeout_ms for one message. -ETIMEDOUT; -EPIPE when the other side is gone;
 * -EPROTO when it is not a message. At most one fd is taken; any surplus is closed. */
int msg_recv(int fd, struct msg *ret, int timeout_ms) must_check;
void msg_drop(struct msg *m); /* closes its fd */

/* One request, one reply of exactly rep_size bytes (may be 0), within timeout_ms in all. A negative
 * status comes back as the result, its text in *e. ret_fd NULL: a reply with an fd is -EPROTO. */
int msg_call(struct msg_client *c, uint16_t type, const void *req, uint32_t req_size, void *rep,
	     uint32_t rep_size, int *ret_fd, int timeout_ms, struct err *e) must_check;

/* The same in two halves, for who has other work meanwhile: sends the request, with *a's rep,
 * rep_size and ret_fd filled by the caller. Beyond MSG_ASKED_MAX it waits for the oldest first.
 * Replies come in the order of the requests. */
int msg_ask(struct msg_client *c, uint16_t type, const void *req, uint32_t req_size,
	    struct msg_ask *a, int timeout_ms, struct err *e) must_check;
/* The reply to a, waited for at most timeout_ms; after a time-out it is given up. Of one that
 * msg_ask() refused: the same refusal. */
int msg_await(struct msg_client *c, struct msg_ask *a, int timeout_ms, struct err *e) must_check;

/* One message of a one-way type. It is held until the next call, whose record it shares, or until
 * no more fits; then room is waited for, at most timeout_ms. That it was refused is seen by
 * whatever is called next: the other side is gone. */
int msg_post(struct msg_client *c, uint16_t type, const void *req, uint32_t size, int timeout_ms,
	     struct err *e) must_check;

/* Serves the one record that waits on fd, its messages in order. 0; -EPIPE = the client went away;
 * -EPROTO = malformed, unknown, wrong size, carrying an fd, or its reply found no room (the client
 * floods): end it. */
int msg_serve(int fd, const struct msg_handler *table, size_t n, void *ctx,
	      struct err *e) must_check;

/* A SEQPACKET pair, close-on-exec. */
int msg_pair(int ret[2]) must_check;

#endif
