/* SPDX-License-Identifier: Apache-2.0 */
/* nego.h - the data parts of our A2A negotiation extension that no body of TM Forum carries, and
 * the envelope in message.metadata. Documented in docs/negotiation.md. */
#ifndef TREATY_CODEC_NEGO_H
#define TREATY_CODEC_NEGO_H

#include "treaty/event.h"

#include <jansson.h>

#define NEGO_EXTENSION "https://treaty.example/a2a/negotiation/v1"
/* The wallet's presentation with an intent (docs/a2a.md). */
#define NEGO_WALLET_EXTENSION "https://treaty.example/a2a/wallet-presentation/v1"

/* "@type" of the parts; the rest of each part is the noun's members. */
#define NEGO_CHALLENGE_REQUEST "TreatyChallengeRequest" /* {} */
#define NEGO_CHALLENGE         "TreatyChallenge"        /* struct nego_challenge */
#define NEGO_ACCEPT            "QuoteAccept"            /* struct ev_accept */
#define NEGO_COUNTER           "QuoteCounter"           /* struct ev_counter */
#define NEGO_REJECT            "QuoteReject"            /* struct ev_ref */
#define NEGO_TERMINATE         "AgreementTermination"   /* struct ev_ref */
#define NEGO_RECEIVED          "OfferReceived"          /* struct ev_ref */
#define NEGO_CHECKPOINT        "TreatyCheckpoint"       /* body: C2SP add-checkpoint */
#define NEGO_COSIGNATURE       "TreatyCosignature"      /* verdict, note */
#define NEGO_PROBLEM           "Problem"                /* struct nego_problem */

struct nego_challenge {
	char challenge[80];
	wall_t expires;
};

/* RFC 9457 in our own words: type is the refusal's name. */
struct nego_problem {
	name_t type;
	ident_t deal;
	uint32_t status;
	why_t title, detail;
};

/* message.metadata[NEGO_EXTENSION]: the A2A-T Negotiation-T envelope's fields that we use. */
struct nego_envelope {
	ident_t negotiationId;
	uint32_t round;          /* 1.. */
	name_t role;             /* "client" | "server" */
	name_t status;           /* "in-progress" | "agreed" | "rejected" */
	digest_t previousDigest; /* JCS of the body that is answered; zero when none is */
};

extern const struct field_table nego_challenge_fields, nego_problem_fields, nego_envelope_fields;

/* New object: the noun's members plus "@type"; NULL on ENOMEM. t NULL = no members. */
json_t *nego_part(const char *type, const struct field_table *t, const void *obj);
/* "@type" of a part, "" when there is none. */
const char *nego_type(const json_t *part);
/* -EINVAL naming the member. t NULL: a part without members. */
int nego_read(const json_t *part, const char *type, const struct field_table *t, void *ret,
	      struct err *e) must_check;
/* The problem part of a refusal. */
json_t *nego_problem(enum refusal r, const ident_t *deal, const char *detail);

#endif
