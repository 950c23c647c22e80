/* SPDX-License-Identifier: Apache-2.0 */
/* http_client_i.h - a call (http_client.c) and the connections that it takes (http_pool.c). */
#ifndef TREATY_HTTP_CLIENT_I_H
#define TREATY_HTTP_CLIENT_I_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "agent/loop.h"
#include "http_client.h"

enum { IDLE_MAX = 64, SOCK_ROWS = 64 };

struct http_pool {
	SLIST_ENTRY(http_pool) entry;
	struct http_client *c;
	char did[WIRE_DID_MAX]; /* "" = unix sockets */
	bool public_only;       /* connections whose address was looked at */
	CURLM *multi;
	size_t running;
	TAILQ_HEAD(, http_call) waiting; /* for a connection: libcurl has not seen them */
	struct loop_timer *timer;
	SLIST_HEAD(, http_sock) socks[SOCK_ROWS]; /* by fd */
};

struct http_call {
	LIST_ENTRY(http_call) entry;
	TAILQ_ENTRY(http_call) turn;
	struct http_client *c;
	struct http_pool *pool; /* NULL: not under way */
	int64_t timeout_us;
	bool waits; /* for a connection, until then: */
	mono_t until;
	struct loop_timer *late;
	CURL *easy;
	const struct http_pool *of; /* of easy, as below */
	struct curl_slist *headers;
	char *in;
	size_t nin, cap, max;
	bool public_only, too_large, private_addr;
	struct wire_header got[WIRE_HEADERS_MAX];
	size_t ngot;
	char error[CURL_ERROR_SIZE];
	http_done_fn done;
	int (*on_data)(void *arg, const struct wire_response *head, const char *p, size_t n);
	void *arg;
};

struct http_client {
	struct loop *loop;
	const struct tls_id *id;
	SLIST_HEAD(, http_pool) pools;
	LIST_HEAD(, http_call) calls;
	size_t ncalls, npools;
	/* With their buffers: one is 20 kB to make and to clear. */
	struct {
		CURL *easy;
		const struct http_pool
			*of; /* a peer's, with what all calls to it set; NULL: reset */
	} idle[IDLE_MAX];
	size_t nidle;
	bool *freed; /* set while callbacks run */
};

/* The connections to did ("" = whom no DID is asked of). -EBUSY: too many peers, -ENOMEM. */
int http_pool_get(struct http_pool **ret, struct http_client *c, const char *did,
		  bool public_only) must_check;
/* Its calls are gone. */
void http_pool_free(struct http_pool *p);
/* The call is under way, and its end is told by http_call_end(). -EIO: libcurl does not take it,
 * -ENOMEM. */
int http_pool_add(struct http_pool *p, struct http_call *k) must_check;
/* It is not any more. */
void http_pool_remove(struct http_call *k);

/* Connections that a handle makes are opened and closed here, and the call is its
 * CURLOPT_OPENSOCKETDATA. -ENOMEM. */
int http_pool_sockets(struct http_pool *p, CURL *easy) must_check;

/* What came of a call: tells its owner and frees it. *freed is set by who frees the client
 * meanwhile. */
void http_call_end(struct http_call *k, CURLcode code, const bool *freed);

#endif
