/* SPDX-License-Identifier: Apache-2.0 */
/* bss_desk.h - where the operator's business agents meet the wire: which agent takes which message,
 * answers that wait for the commit, turns that wait for the world. The agents never include each
 * other; what one must know of the other's work it learns from the events. */
#ifndef TREATY_BSS_DESK_H
#define TREATY_BSS_DESK_H

#include "agent/codec/nego.h"
#include "agent/codec/vc.h"
#include "agent/side.h"
#include "agent/wire/a2a.h"
#include "treaty/event.h"

#include <jansson.h>

/* One message being answered. Exactly one of the answers below ends it. */
struct desk_call {
	struct side *side;
	const struct peer *peer;
	const struct cfg_peer *who; /* the configured enterprise that the peer is */
	const struct a2a_message *msg;
	struct a2a_turn *turn;
	digest_t digest; /* of the message's first data part (JCS): the body that is answered */
	bool bound;      /* the message came with an envelope */
	struct nego_envelope env;
};

/* By "@type" of the first data part, or by the last entry of its "type" (credentials). */
struct desk_row {
	const char *type;
	size_t parts;
	int (*take)(struct desk_call *c); /* negative: internal error, nothing was answered */
};

/* Forgets the rows and ends the turns that are kept. */
void desk_reset(void);
/* rows are borrowed for ever. -ENOSPC. */
int desk_add(const struct desk_row *rows, size_t n) must_check;
/* Refuses whoever is no configured enterprise; then the row's take(). */
int desk_message(struct side *s, const struct peer *p, const struct a2a_message *m,
		 struct a2a_turn *t);

/* Answers leave after the commit of this engine turn. data and artifact, a JSON text, are stolen
 * (NULL data of a message is an internal error). deal may be NULL. */
void desk_say(struct desk_call *c, const ident_t *deal, json_t *data);
void desk_task(struct desk_call *c, const struct deal *d, enum a2a_state st, const char *name,
	       char *artifact);
/* Records the refusal in the log, answers with the Problem and the refusal's task state. 0. */
int desk_refuse(struct desk_call *c, const char *actor, const char *tool, const ident_t *deal,
		enum refusal r, const char *why);
/* What was agreed could not be delivered: a FAILED task with the Problem; nothing is recorded. */
void desk_fail(struct desk_call *c, const struct deal *d, enum refusal r, const char *why);

/* Turns that wait for the world: kept under the deal's negotiation id, a bounded number. */
void desk_keep(struct desk_call *c, const struct deal *d);
/* Takes the oldest one kept for the deal; false when there is none. out->msg is NULL. */
bool desk_take(struct side *s, const struct deal *d, struct desk_call *out);

/* What is left of a message, for which another process works meanwhile: fn runs at the end of the
 * engine's turn, or when a message of this turn asks for the same deal. Once. -ENOMEM. */
int desk_end_later(struct side *s, const ident_t *negotiation, void (*fn)(void *arg),
		   void *arg) must_check;

struct tmf_parties;
/* The labels by which bodies name the two parties. */
void desk_parties(const struct side *s, const char *enterprise_did, struct tmf_parties *ret);
/* The deal of that negotiation, lineage or signed but not yet accepted lineage, when it is this
 * peer's; NULL otherwise: a foreign deal looks like none. */
const struct deal *desk_deal(const struct desk_call *c, const ident_t *id);

/* A message that came with an envelope is held to it: NULL, or what of it names another
 * negotiation, another round (0: any) or another body (NULL: any) than the message itself speaks
 * of. */
const char *desk_unbound(const struct desk_call *c, const ident_t *negotiation, uint32_t round,
			 const digest_t *answers);

/* Canonical text under its digest, in this turn, encrypted for the consumer of that DID. Get:
 * -ENODATA when the consumer was erased. */
int desk_body_put(struct side *s, const char *consumer, const json_t *body, digest_t *ret,
		  struct err *e) must_check;
/* The same of what is that text already. */
int desk_text_put(struct side *s, const char *consumer, const char *text, size_t len, digest_t *ret,
		  struct err *e) must_check;
/* The same of a document that was canonicalised when it was read or made. */
int desk_vc_put(struct side *s, const char *consumer, const struct vc *vc,
		struct err *e) must_check;
/* *ret, NUL-terminated, is freed by the caller. */
int desk_body_text(struct side *s, const digest_t *digest, char **ret, size_t *len,
		   struct err *e) must_check;
int desk_body_get(struct side *s, const digest_t *digest, json_t **ret, struct err *e) must_check;

#endif
