/* SPDX-License-Identifier: Apache-2.0 */
/* disclosure.h - the signed disclosure policy of a side, and the one way through it: every tool
 * that reads, every resource, the event stream and every export asks disclosure_*(), which asks the
 * core (disclosure_core.h) and leaves out, or replaces by a salted digest, what may not be seen.
 * docs/disclosure.md. */
#ifndef TREATY_DISCLOSURE_H
#define TREATY_DISCLOSURE_H

#include <jansson.h>

#include "agent/disclosure_core.h"
#include "agent/side.h"
#include "agent/wire/wire.h"

#define DISCLOSURE_POLICY   "DisclosurePolicy"
#define DISCLOSURE_EXPORT   "TreatyLogExport"
#define DISCLOSURE_SALT_KEY "disclosure-salt" /* in the store: 32 bytes */
#define DISCLOSURE_BYTES    (256 * 1024)      /* of a policy's text */

/* Where a reading tool keeps what: whole, found by its argument "id", or in rows that name their
 * agreement. Index = number of the resource in a policy. */
enum disclosure_shape { VIEW_WHOLE, VIEW_BY_ID, VIEW_ROWS, VIEW_EVENTS };

struct disclosure_view {
	const char *tool;
	enum disclosure_shape shape;
	struct {
		const char *rows, *id; /* array, and the member of a row that names the deal */
	} list[3];
};

extern const struct disclosure_view disclosure_views[];
/* -1 when a policy cannot speak of this tool: then it is for its owner alone. */
int disclosure_resource(const char *tool);

/* --- the policy --- */
/* Shape only, proof not looked at. -EINVAL naming member and rule. */
int disclosure_parse(const json_t *doc, struct disclosure *ret, struct err *e) must_check;
/* Takes the policy that the database holds into force, if it is the newest that the log names and
 * is signed; else everything stays denied, and an event says why. */
int disclosure_start(struct side *s, struct err *e) must_check;
void disclosure_free(struct side *s);
/* The policy in force; borrowed. */
const struct disclosure *disclosure_of(const struct side *s);
/* The signed document in force, a new reference, or NULL for the built-in one. */
json_t *disclosure_document(const struct side *s);
/* Signs an unsigned document as the next policy. -EACCES: the signer says no. */
int disclosure_sign(struct side *s, const json_t *doc, json_t **ret, struct err *e) must_check;
/* Takes a signed document into force and logs it. -EPERM unsigned or by another key, -ESTALE not
 * newer, -EINVAL bent: each is logged as a refusal, and what was in force stays. */
int disclosure_load(struct side *s, const json_t *doc, struct err *e) must_check;

/* --- who --- */
struct disclose_who disclosure_who(const struct side *s, const struct peer *p);

/* --- views --- */
/* A lens: what one caller sees of one thing. key NULL: what is hidden is left out; else it is
 * replaced by {"redacted": digest}, as of codec/commit.h with the event's salt of the key. */
struct disclosure_lens {
	const struct side *side;
	struct disclose_who who;
	const uint8_t *key;
};

/* An event as its row's JSON, new references; event NULL: it is not seen. */
struct disclosure_seen {
	json_t *event;
	json_t *salts; /* with a key: for commit_shown() */
	bool whole;    /* nothing of it was hidden */
};
int disclosure_event(const struct disclosure_lens *l, const struct event *ev, const json_t *row,
		     struct disclosure_seen *ret, struct err *e) must_check;
/* The same from the log's bytes. */
int disclosure_row(const struct disclosure_lens *l, uint64_t seq, const char *body, size_t len,
		   struct disclosure_seen *ret, struct err *e) must_check;
/* May this tool be asked at all, and about this? -EACCES with the rule. */
int disclosure_ask(const struct disclosure_lens *l, const char *tool, const json_t *args,
		   struct err *e) must_check;
/* Whether this tool would tell anything of that deal ("" or NULL: of what is about none). */
bool disclosure_about(const struct disclosure_lens *l, const char *tool, const char *deal);
/* What an event (its row's text) is to a caller: 1 all of it; 0 nothing; 2 *ret instead, to be
 * freed. */
int disclosure_sight(const struct disclosure_lens *l, uint64_t seq, const char *text, char **ret,
		     struct err *e) must_check;
/* What a tool answered, made into what is seen: *io is replaced. */
int disclosure_answer(const struct disclosure_lens *l, const char *tool, const json_t *args,
		      json_t **io, struct err *e) must_check;

/* The salt of a member in exports of before LOG_COMMITTED: there the digest was always a leaf's. */
void disclosure_salt(const uint8_t key[32], uint64_t seq, const char *path, uint8_t salt[32]);
/* The database's own salt key. */
int disclosure_key(const struct side *s, uint8_t ret[32], struct err *e) must_check;

/* --- exports --- */
struct disclosure_ask_export {
	uint32_t role;         /* one of enum disclose_role */
	const char *did;       /* of whom it is for; "" = the role alone */
	const char *agreement; /* "" = all */
	uint64_t after;        /* events beyond this one */
};
/* A signed document with the events that this audience may see, up to the newest checkpoint; *next
 * = where to go on when it had to stop, else 0. */
int disclosure_export(struct side *s, const struct disclosure_ask_export *q, json_t **ret,
		      uint64_t *next, struct err *e) must_check;

#endif
