/* SPDX-License-Identifier: Apache-2.0 */
/* http_parse.h - one HTTP/1.1 request out of bytes, without sockets. The head is collected whole,
 * searched for what parsers disagree about, and only then given to llhttp; so everything llhttp
 * reports points into one buffer. */
#ifndef TREATY_HTTP_PARSE_H
#define TREATY_HTTP_PARSE_H

#include "wire.h"

struct http_in;

struct http_in_limits {
	size_t header_bytes, header_count, body_bytes;
};

int http_in_new(struct http_in **ret, const struct http_in_limits *lim) must_check;
struct http_in *http_in_free(struct http_in *in);
void http_in_reset(struct http_in *in); /* for the next request; gives memory back */

/* 0: more bytes needed; 1: the request is whole; 400, 405, 413, 417, 431, 500, 501 or 505: refused,
 * *why names the rule (static text). *used: bytes taken; the rest belongs to what follows. After 1
 * or a refusal only http_in_reset() and http_in_free(). */
int http_in_feed(struct http_in *in, const char *p, size_t n, size_t *used, const char **why);
bool http_in_started(const struct http_in *in);
bool http_in_head_done(const struct http_in *in);
bool http_in_expects_continue(const struct http_in *in);
bool http_in_keep_alive(const struct http_in *in);
/* HEAD, which is always refused: no body answers it. */
bool http_in_is_head(const struct http_in *in);
/* After 1 (or, without body, once the head is done): borrowed until reset; peer is left NULL. */
void http_in_request(const struct http_in *in, struct wire_request *r);

#endif
