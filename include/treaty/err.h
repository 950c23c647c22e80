/* SPDX-License-Identifier: Apache-2.0 */
/* err.h - failures and refusals: two channels that never mix.
 *
 * A FAILURE is the machine's fault: an int, negative errno, 0 on success. `struct err` is
 * optional detail owned by the caller, never allocated, filled once at the origin.
 *
 * A REFUSAL is an answer: the rules said no. It is a value of enum refusal (refusals.def), it is
 * recorded in the log like any event, and it is not an error. */
#ifndef TREATY_ERR_H
#define TREATY_ERR_H

#include "base.h"

#define ERR_TEXT_MAX 200

struct err {
	int code;                /* negative errno, 0 = nothing reported */
	const char *where;       /* __func__ of the origin */
	char text[ERR_TEXT_MAX]; /* names the field and the rule */
};

/* Fills *e unless e is NULL or already filled; always returns code:
 *	return err_set(e, -EPROTO, "quoteItem[0].id: missing"); */
#define err_set(e, code, ...) err_set_(e, code, __func__, __VA_ARGS__)
int err_set_(struct err *e, int code, const char *where, const char *fmt, ...) printf_like(4, 5);

enum refusal {
#define REFUSAL(name, http, a2a, text) REFUSE_##name,
#include "refusals.def"
#undef REFUSAL
	REFUSE_MAX_
};

/* Stable lower-case name ("over_ceiling"), sentence, and HTTP status of a refusal; "?" and 500
 * for an unknown value. */
const char *refusal_name(enum refusal r);
const char *refusal_text(enum refusal r);
int refusal_http(enum refusal r);
/* REFUSE_MAX_ when the name is unknown. */
enum refusal refusal_parse(const char *name);

#endif
