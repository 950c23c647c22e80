/* SPDX-License-Identifier: Apache-2.0 */
/* sign_scan_core.h - reads members out of a document as its canonical text (RFC 8785) goes by.
 * Pure, of constant size however long the text is.
 *
 * Text that is not canonical may be misread, and may be: a signature is over its hash, and nobody
 * can show a document whose canonical text is anything else. */
#ifndef TREATY_SIGN_SCAN_CORE_H
#define TREATY_SIGN_SCAN_CORE_H

#include "treaty/err.h"

enum {
	SCAN_FIELDS = 8,
	SCAN_VALUE_MAX = 320, /* of one member's text, with its NUL */
	SCAN_PATH_MAX = 128,
	SCAN_DEPTH_MAX = 64,
};

struct sign_scan {
	const char *const *path; /* SCAN_FIELDS, "a.b.c"; NULL = not asked. Borrowed. */
	char value[SCAN_FIELDS][SCAN_VALUE_MAX]; /* as it is written; "" = absent */
	size_t len[SCAN_FIELDS];
	char at[SCAN_PATH_MAX]; /* names of the members that the text is inside of */
	uint16_t at_len[SCAN_DEPTH_MAX + 1];
	uint64_t objects; /* a bit for each depth: object or array */
	unsigned depth;
	int field; /* being read, or -1 */
	unsigned field_depth;
	bool in_text, escaped, in_key, wants_key, bad;
};

void scan_begin(struct sign_scan *s, const char *const path[SCAN_FIELDS]);
/* The next bytes. */
void scan_feed(struct sign_scan *s, const uint8_t *p, size_t n);
/* One whole object went by, and no member that is asked for was too long or there twice. */
bool scan_whole(const struct sign_scan *s);
/* A string without escapes: its bytes and their number. False: absent, or something else. */
bool scan_text(const struct sign_scan *s, int field, const char **ret, size_t *ret_len);
/* An integer from 0 to 2^53-1. */
bool scan_int(const struct sign_scan *s, int field, int64_t *ret);

#endif
