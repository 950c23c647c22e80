/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - JSON from strangers. Every limit is checked before jansson is given what is beyond it;
 * every getter names the field and the rule it broke: "envelope.amount: integer 0..100 required".
 *
 * path is the object's own path, "" for the root. Getters borrow: what they return lives as long
 * as the object. A getter's ret is untouched on failure. */
#ifndef TREATY_CODEC_JSON_H
#define TREATY_CODEC_JSON_H

#include <jansson.h>

#include "treaty/err.h"
#include "treaty/units.h"

/* A json_t * that gives its reference back at the end of its scope (jansson's json_auto_t does not
 * go with base.h's cleanup macro). */
static inline void json_decref_p(json_t **p)
{
	json_decref(*p);
}
#define auto_json cleanup(json_decref_p)

struct json_limits {
	size_t bytes;   /* of the text */
	unsigned depth; /* objects and arrays inside each other */
	unsigned nodes; /* values: counted as opening brackets + commas + 1, so never too few */
};

#define JSON_LIMITS_BODY ((struct json_limits){ .bytes = 65536, .depth = 32, .nodes = 8192 })

/* One object or array, UTF-8, no NUL (raw or as \u0000), no duplicate keys, nothing after it.
 * lim NULL = JSON_LIMITS_BODY. -EMSGSIZE: above a limit; -EBADMSG: not JSON; -ENOMEM. */
int json_read(json_t **ret, const void *buf, size_t len, const struct json_limits *lim,
	      struct err *e) must_check;

/* The way back: compact, members in their order, a whole real without its point (beyond 2^53 - 1
 * with an exponent, so that it is read back as it was). Without the hash table of containers that
 * jansson's own writer keeps against cycles. Freed by the caller. NULL: v is NULL or deeper than 64
 * levels, a real is not finite, or no memory. Needs LC_NUMERIC=C. */
char *json_text_new(const json_t *v);
/* The text of jansson's own writer under its flags, freed by the caller with free() whatever
 * jansson takes its memory from (json_pool.h). NULL as json_dumps(), or no memory. */
char *json_dump_new(const json_t *v, size_t flags);
/* To tell whether two values are the same, in whatever order their members came, under a random key
 * that stays here; not for signatures, which want JCS (canon.h). 0, or -EINVAL when
 * v is NULL or deeper than 64 levels, a real is not finite, or no memory. */
enum { JSON_PRINT_LEN = 16 };
int json_fingerprint(const json_t *v, const uint8_t key[16],
		     uint8_t out[JSON_PRINT_LEN]) must_check;

/* All: 0, or -EINVAL. need_* refuse absence. */
int json_need_str(const json_t *o, const char *path, const char *key, const char **ret,
		  struct err *e) must_check;
/* Copies into dst[cap], zero-filled; refuses empty strings and those that do not fit. */
int json_need_text(const json_t *o, const char *path, const char *key, char *dst, size_t cap,
		   struct err *e) must_check;
int json_need_int(const json_t *o, const char *path, const char *key, int64_t min, int64_t max,
		  int64_t *ret, struct err *e) must_check;
int json_need_bool(const json_t *o, const char *path, const char *key, bool *ret,
		   struct err *e) must_check;
int json_need_obj(const json_t *o, const char *path, const char *key, json_t **ret,
		  struct err *e) must_check;
/* min..max elements. */
int json_need_arr(const json_t *o, const char *path, const char *key, size_t min, size_t max,
		  json_t **ret, struct err *e) must_check;
int json_need_time(const json_t *o, const char *path, const char *key, wall_t *ret,
		   struct err *e) must_check;
/* The string must be exactly this. */
int json_need_const(const json_t *o, const char *path, const char *key, const char *want,
		    struct err *e) must_check;

/* 1 present, 0 absent (ret untouched), -EINVAL present and wrong. JSON null is "wrong". */
int json_opt_str(const json_t *o, const char *path, const char *key, const char **ret,
		 struct err *e) must_check;
int json_opt_text(const json_t *o, const char *path, const char *key, char *dst, size_t cap,
		  struct err *e) must_check;
int json_opt_int(const json_t *o, const char *path, const char *key, int64_t min, int64_t max,
		 int64_t *ret, struct err *e) must_check;
int json_opt_bool(const json_t *o, const char *path, const char *key, bool *ret,
		  struct err *e) must_check;
int json_opt_obj(const json_t *o, const char *path, const char *key, json_t **ret,
		 struct err *e) must_check;
int json_opt_arr(const json_t *o, const char *path, const char *key, size_t min, size_t max,
		 json_t **ret, struct err *e) must_check;
int json_opt_time(const json_t *o, const char *path, const char *key, wall_t *ret,
		  struct err *e) must_check;

/* -EINVAL when o has a member that is not in the NULL-terminated list. */
int json_only_(const json_t *o, const char *path, struct err *e, ...) must_check
	__attribute__((sentinel));
#define json_only(o, path, e, ...) json_only_(o, path, e, __VA_ARGS__)

/* TMF Money {"unit": ISO 4217, "value": number}: minor = llround(value x 10^digits), refused when
 * printing it again gives another number, when it is negative or above 2^53-1 (ruling 2 of
 * docs/ARCHITECTURE.md). digits 0..4. unit[] gets three upper-case letters. */
int money_read(const json_t *money, const char *path, unsigned digits, char unit[4], money_t *ret,
	       struct err *e) must_check;
/* New reference or NULL: ENOMEM, or an amount that money_read() would not give back. */
json_t *money_write(money_t m, unsigned digits, const char *unit);

/* RFC 3339 with Z or an offset, at most milliseconds kept (more digits are cut), years 1970..9999,
 * leap second refused. 0 or -EINVAL. */
int time_parse(const char *s, wall_t *ret) must_check;
/* "2026-11-23T02:00:00.000Z"; milliseconds are left out when 0. t.ms in 1970..9999. */
enum { TIME_TEXT_MAX = 28 };
void time_format(wall_t t, char out[TIME_TEXT_MAX]);
json_t *json_time(wall_t t); /* new reference */

#endif
