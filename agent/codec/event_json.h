/* SPDX-License-Identifier: Apache-2.0 */
/* event_json.h - one log row's bytes: JCS JSON {v, seq, time, actor, tool, event, inputs, output,
 * body_digest}, fixed from the first landing. */
#ifndef TREATY_CODEC_EVENT_JSON_H
#define TREATY_CODEC_EVENT_JSON_H

#include "treaty/event.h"

#include <jansson.h>

#define EVENT_VERSION 1

/* What a decision knew and said, so that `log redecide` can run it again. core NULL = the event
 * was no decision of a core. in and out are described by their tables. */
struct decision {
	const char *core;
	const struct field_table *in_table, *out_table;
	const void *in, *out;
};

/* *ret is NUL-terminated and the caller's. d may be NULL. -ENOMEM, -EMSGSIZE. */
int event_write(const struct event *ev, const struct decision *d, const digest_t *body, char **ret,
		size_t *ret_len, struct err *e) must_check;

/* Strict; *ret_inputs (may be NULL) gets a new reference to the "inputs" object or NULL. Events of
 * another v are -EPROTO. */
int event_read(const char *body, size_t len, struct event *ret, json_t **ret_inputs,
	       struct err *e) must_check;

#endif
