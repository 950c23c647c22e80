/* SPDX-License-Identifier: Apache-2.0 */
/* ids.h - names of things. Fixed size, zero padded: ids compare and copy by bytes. */
#ifndef TREATY_IDS_H
#define TREATY_IDS_H

#include "base.h"

typedef struct {
	char s[48];
} ident_t; /* "int-..", "neg-..", "quo-..", "agr-..", "ord-..", "pln-..", "svc-..", "hld-.." */
typedef struct {
	char s[32];
} name_t; /* class, node, device, operational flow label */
typedef struct {
	char s[120];
} did_t; /* a DID, RFC 3986 characters */
typedef struct {
	uint8_t b[32];
} digest_t; /* SHA-256 */
typedef struct {
	char s[120];
} why_t; /* the rule and its inputs, for humans and the log */

#define ident_eq(x, y)  (memcmp((x).s, (y).s, sizeof((x).s)) == 0)
#define ident_empty(a)  ((a).s[0] == '\0')
#define digest_eq(x, y) (memcmp((x).b, (y).b, sizeof((x).b)) == 0)

static inline bool digest_empty(const digest_t *d)
{
	for (size_t i = 0; i < sizeof(d->b); i++)
		if (d->b[i])
			return false;
	return true;
}

#endif
