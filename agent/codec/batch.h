/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h - many equal nouns in one JSON member, for telemetry of more labels than JSON a row can
 * carry. docs/telemetry-batch.md is its specification.
 *
 *   {"format":"treaty-batch-1","noun":NAME,"columns":["label","up.rx_bytes",..],"rows":N,
 *    "data":BASE64}
 *
 * A noun whose fields are integers, booleans, and structs of such can be a row; at most 64 columns.
 * A reader goes by the names of the columns: one it does not know it passes over, one that is not
 * there is zero. */
#ifndef TREATY_CODEC_BATCH_H
#define TREATY_CODEC_BATCH_H

#include "treaty/err.h"
#include "treaty/field.h"

#include <jansson.h>

enum { BATCH_COLUMNS_MAX = 64, BATCH_ROWS_MAX = 65536 };

struct batch;

/* noun: its name in the text, borrowed. -EOPNOTSUPP: the noun has another kind of field, or too
 * many. -ENOMEM. */
int batch_new(struct batch **ret, const char *noun, const struct field_table *t,
	      struct err *e) must_check;
struct batch *batch_free(struct batch *b);
/* -ENOSPC after BATCH_ROWS_MAX rows, -ENOMEM. */
int batch_add(struct batch *b, const void *obj) must_check;
size_t batch_rows(const struct batch *b);
/* A new object; NULL: no memory. */
json_t *batch_json(const struct batch *b);

/* Calls fn with each row as an object of the noun (borrowed); the first non-zero return ends it and
 * is returned. Everything but the rows' own bytes is checked before the first call. -EINVAL with
 * the member and the rule in e, -ERANGE for a value that its field cannot hold, -ENOMEM. */
int batch_read(const char *noun, const struct field_table *t, const json_t *js,
	       int (*fn)(void *arg, const void *obj), void *arg, struct err *e) must_check;

#endif
