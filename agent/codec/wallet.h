/* SPDX-License-Identifier: Apache-2.0 */
/* wallet.h - IntentWallet credential <-> struct wallet, and the presentation that carries it. */
#ifndef TREATY_CODEC_WALLET_H
#define TREATY_CODEC_WALLET_H

#include "agent/codec/json.h"
#include "agent/codec/vc.h"

#define JSON_LIMITS_WALLET ((struct json_limits){ .bytes = 32768, .depth = 16, .nodes = 1024 })

extern const struct vc_profile wallet_profile, presentation_profile;
extern const char *const wallet_contexts[]; /* of both */

/* w->issuer must control port->method. Checks every rule that reading checks. */
int wallet_issue(const struct wallet *w, wall_t now, const struct sign_port *port, json_t **ret,
		 struct err *e) must_check;
/* Shape and terms; the signature is vc_verified()'s. digest = the credential's name elsewhere. */
int wallet_read(const json_t *vc, struct wallet *ret, uint8_t digest[DIGEST_LEN],
		struct err *e) must_check;
/* The terms of a document whose shape was read by wallet_profile, or of a body before its proof. */
int wallet_read_body(struct wallet *ret, const json_t *doc, struct err *e) must_check;
/* wallet_read() and vc_verified(): for the holder's own wallet and for treatyctl. */
int wallet_verify(const json_t *vc, const struct did_resolver *keys, struct wallet *ret,
		  uint8_t digest[DIGEST_LEN], struct err *e) must_check;

struct presentation_ask {
	const char *holder;    /* DID, controls port->method */
	const char *domain;    /* the operator's DID */
	const char *challenge; /* the operator's, 1..URN_MAX-1 characters */
	const char *intent_id;
	uint8_t intent_digest[DIGEST_LEN]; /* SHA-256(JCS(intent)) */
	wall_t created;
	/* Status lists to send along, borrowed; unused = NULL. */
	const json_t *stapled[STATUS_PURPOSES];
};
int presentation_new(const json_t *wallet_vc, const struct presentation_ask *a,
		     const struct sign_port *port, json_t **ret, struct err *e) must_check;

/* What a presentation says; believed only after its signatures. */
struct presentation {
	struct vc *vp, *vc;                  /* owned */
	struct vc *stapled[STATUS_PURPOSES]; /* owned: status lists that came along, or NULL */
	struct wallet wallet;
	char intent_id[URN_MAX];
	uint8_t intent_digest[DIGEST_LEN];
};
/* Steps 1 to 3: size, strict shape. -EMSGSIZE above a limit, -EINVAL names member and rule. */
int presentation_read(struct presentation **ret, const json_t *vp, struct err *e) must_check;
struct presentation *presentation_free(struct presentation *p);

#endif
