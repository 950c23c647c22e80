/* SPDX-License-Identifier: Apache-2.0 */
/* json_parse.h - RFC 8259 text to a jansson tree. Private to agent/codec. */
#ifndef TREATY_CODEC_JSON_PARSE_H
#define TREATY_CODEC_JSON_PARSE_H

#include <jansson.h>

#include "agent/codec/json.h"

/* One object or array and nothing after it; strict UTF-8, no NUL, no lone surrogates, no duplicate
 * keys, integers within 64 bits, reals finite, depth and values within lim, whose bytes the caller
 * has counted. What it takes and what it makes of it is what jansson's own reader does, three times
 * as fast. -EBADMSG with the place and the reason, -EMSGSIZE, -ENOMEM. Needs LC_NUMERIC=C. */
int json_parse(json_t **ret, const char *text, size_t len, const struct json_limits *lim,
	       struct err *e) must_check;
/* Length of the UTF-8 sequence at p (RFC 3629: shortest form, no surrogates), 0 = none. */
size_t json_utf8(const char *p, size_t left);

#endif
