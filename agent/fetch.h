/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.h - documents of the public web (did:web, status lists), over HTTPS, from the hosts of the
 * configuration's [web HOST] and from no other: their certificate checked, no redirect followed, no
 * private address, size and depth bounded, one call at a time for each URL. What came is kept; it
 * says nothing true by itself, its reader verifies it. Ages are of the monotone clock, so a step of
 * the wall clock makes nothing fresh. */
#ifndef TREATY_FETCH_H
#define TREATY_FETCH_H

#include <jansson.h>

#include "agent/codec/json.h"
#include "agent/config.h"

struct fetch;
struct http_client;
struct loop;

enum { FETCH_URLS = 64, FETCH_WAITERS = 256, FETCH_URL_MAX = 256 };

int fetch_new(struct fetch **ret, const struct config *c, struct loop *l) must_check;
/* Forgets who waits. */
struct fetch *fetch_free(struct fetch *f);

/* 0: such a URL may be fetched here. -EINVAL, -EACCES (its host is not configured). */
int fetch_may(const struct fetch *f, const char *url, struct err *e) must_check;
/* The last good copy, while it is of use: not older than the stale limit and than max_age_ms (0 =
 * no such limit). Borrowed until the next turn of the loop. NULL: none; why (may be NULL) says. */
const json_t *fetch_copy(struct fetch *f, const char *url, int64_t max_age_ms, const char **why);
/* When the copy came, to know another one by; us 0 = there is none. */
mono_t fetch_time(const struct fetch *f, const char *url);
/* It would be better asked for: no copy, or not a fresh one, and the last try is no failure of just
 * now. */
bool fetch_due(struct fetch *f, const char *url, int64_t max_age_ms);

/* Once, never inside this call: the try is over, well or not. */
typedef void (*fetch_fn)(void *arg);
/* Joins the call under way for that URL or starts one. lim: of the document. -EACCES, -EBUSY. */
int fetch_ask(struct fetch *f, const char *url, const struct json_limits *lim, fetch_fn fn,
	      void *arg, struct err *e) must_check;
/* Those with that arg are not told any more. */
void fetch_leave(struct fetch *f, const void *arg);
/* From now on asked for again whenever it is no longer fresh. */
int fetch_keep(struct fetch *f, const char *url, const struct json_limits *lim,
	       struct err *e) must_check;

#endif
