/* SPDX-License-Identifier: Apache-2.0 */
/* http_client.h - outgoing HTTP/1.1: libcurl's multi interface on our loop. Mutual TLS 1.3 with the
 * server's DID checked inside the handshake, or AF_UNIX. No redirects, no proxies, no other
 * schemes. */
#ifndef TREATY_HTTP_CLIENT_H
#define TREATY_HTTP_CLIENT_H

#include "wire.h"

struct loop;
struct tls_id;
struct http_client;
struct http_call;

struct http_call_spec {
	const char *method;    /* "GET", "POST" or "DELETE" */
	const char *url;       /* https://... or, with unix_path, http://localhost/... */
	const char *unix_path; /* NULL: TLS */
	const char *did;       /* who must answer; needed for https */
	const struct wire_header *headers;
	size_t nheaders;
	const char *body;
	size_t len;
	int64_t timeout_us; /* whole exchange; 0 = 30 s */
	size_t max_bytes;   /* of the response body; 0 = 1 MiB */
	bool public_only;   /* the address connected to must be public: -ECONNREFUSED */
	/* Gets the body of a 200 as it arrives, and with its head each time; then none is kept.
	 * Negative ends the call. It may not start, cancel or free anything here. */
	int (*on_data)(void *arg, const struct wire_response *head, const char *p, size_t n);
	bool plain; /* an http URL, without any certificate: only for tests */
};

/* err is 0 and r whole, or err is -ETIMEDOUT, -EMSGSIZE (body over max_bytes), -EACCES (TLS: wrong
 * CA, wrong DID, we were refused), -ECONNREFUSED, -ECONNRESET, -EIO and r NULL. r is borrowed; its
 * headers are the response's. text says what happened. */
typedef void (*http_done_fn)(void *arg, int err, const struct wire_response *r, const char *text);

/* id (borrowed) may be NULL when only unix sockets are called. */
int http_client_new(struct http_client **ret, struct loop *l, const struct tls_id *id) must_check;
/* Cancels what is under way: their callbacks do not run. */
struct http_client *http_client_free(struct http_client *c);

/* Starts one exchange; everything in s is copied. done runs later, never inside this call. Each
 * expected DID has connections of its own: one opened for another is never reused. -EINVAL: bad
 * spec; -EBUSY: more than 256 calls or 64 peers. */
int http_call_start(struct http_call **ret, struct http_client *c, const struct http_call_spec *s,
		    http_done_fn done, void *arg, struct err *e) must_check;
/* The callback will not run. NULL is fine; never after done has begun. */
void http_call_cancel(struct http_call *call);

/* One blocking exchange, unix socket only (treatyctl). *ret_body is NUL-terminated, to be freed. */
int http_call_sync(const struct http_call_spec *s, int *ret_status, char **ret_body,
		   size_t *ret_len, struct err *e) must_check;

#endif
