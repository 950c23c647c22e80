/* SPDX-License-Identifier: Apache-2.0 */
/* http_push.h - delivers A2A notifications: in order for each webhook, one at a time, three tries,
 * and then no more; to all webhooks of one owner, eight at a time. The webhook must be answered by
 * its task's owner (its DID is checked in the handshake), redirects are not followed, and the
 * address that is connected to is looked at, not the one that a name had when it was given. */
#ifndef TREATY_HTTP_PUSH_H
#define TREATY_HTTP_PUSH_H

#include "a2a.h"

struct http_client;
struct http_push;
struct loop;

struct http_push_config {
	bool private_ok;         /* webhooks in private and loopback ranges */
	bool plain_ok;           /* http, without any certificate: only for tests */
	size_t max_queued;       /* [1024] in all; more are dropped */
	size_t max_owner_queued; /* [a quarter of all] of one task owner's */
	int64_t retry_us;        /* [1 s] before the second try; four times that before the third */
	int64_t timeout_us;      /* [10 s] of one try */
};

/* The client and the loop are borrowed. */
int http_push_new(struct http_push **ret, struct loop *l, struct http_client *c,
		  const struct http_push_config *cfg) must_check;
struct http_push *http_push_free(struct http_push *p);

/* For struct a2a_app; arg is the struct http_push. */
int http_push_check(void *arg, const struct peer *p, const char *url, struct err *e);
void http_push_send(void *arg, const struct a2a_push *n);

struct http_push_stats {
	uint64_t delivered, failed, dropped, tries;
};
struct http_push_stats http_push_stats(const struct http_push *p);

#endif
