/* SPDX-License-Identifier: Apache-2.0 */
/* commit.h - an event of the log as a tree of salted digests, so that some of its members can be
 * shown and the others be proven unchanged (docs/disclosure.md, "Exports").
 *
 * The digest of a value under its salt:
 *   leaf  (a text, a number, true, false, null, {}, [], an array that begins with one of them):
 *         SHA-256(salt || JCS([value]))
 *   node  (any other object or array): SHA-256("treaty/members/v1" or "treaty/elements/v1", zeros
 *         up to 32 bytes || for each member by its name's bytes, each element by its index: length
 *         of that, 4 bytes big endian || name or index || digest of the member)
 * After its first 32 bytes a leaf goes on with '[' and a node with a zero byte: none is both.
 * A member's salt is made from the salt around it: SHA-256("treaty/salt/v1" || salt || name or
 * index), so a value is opened by its one salt, and no salt leads upwards. */
#ifndef TREATY_CODEC_COMMIT_H
#define TREATY_CODEC_COMMIT_H

#include <jansson.h>

#include "treaty/err.h"

enum { COMMIT_LEN = 32, COMMIT_TEXT_MAX = 48 };

/* The salt of a whole event, by a database's own key. */
void commit_event_salt(const uint8_t key[32], uint64_t seq, uint8_t ret[32]);
void commit_salt(const uint8_t around[32], const char *name, uint8_t ret[32]);
void commit_salt_at(const uint8_t around[32], size_t index, uint8_t ret[32]);

/* The member that path ("output.price", "" the whole) leads to; NULL: there is none. salt (NULL:
 * not wanted) is that of v and becomes the member's. */
const json_t *commit_member(const json_t *v, const char *path, uint8_t salt[32]);

bool commit_is_leaf(const json_t *v);
/* As a leaf, whatever it is: how exports of before LOG_COMMITTED have it. */
int commit_leaf(const uint8_t salt[32], const json_t *v, uint8_t ret[COMMIT_LEN],
		struct err *e) must_check;
/* -ENOMEM; -ERANGE and -EMSGSIZE as of canon.h. */
int commit_value(const uint8_t salt[32], const json_t *v, uint8_t ret[COMMIT_LEN],
		 struct err *e) must_check;
/* The same from canonical text, of an object. -EDOM: not of the plain kind that this reads (ASCII
 * without escapes, integers of 15 digits, 32 levels); a tree can tell then. */
int commit_text(const uint8_t salt[32], const char *text, size_t len,
		uint8_t ret[COMMIT_LEN]) must_check;
/* The same of an event's text. -EINVAL: not JSON. */
int commit_event(const uint8_t key[32], uint64_t seq, const char *body, size_t len,
		 uint8_t ret[COMMIT_LEN], struct err *e) must_check;

/* {"redacted": digest}: in the place of what is hidden. NULL: no memory. */
json_t *commit_hidden(const uint8_t digest[COMMIT_LEN]);
/* Base64 of a salt; with masked, "~" and that of a digest: what is shown is not the value itself.
 */
json_t *commit_note(const uint8_t b[COMMIT_LEN], bool masked);

struct commit_seen {
	int64_t shown, hidden, masked; /* values, whatever is inside them counts with them */
};
/* The digest of what is shown in part. salts has the form of seen: a text for what is shown (see
 * commit_note), an object or array where members are, nothing or null where seen is hidden.
 * -EINVAL naming the member. */
int commit_shown(const json_t *seen, const json_t *salts, struct commit_seen *count,
		 uint8_t ret[COMMIT_LEN], struct err *e) must_check;

#endif
