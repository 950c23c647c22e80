/* SPDX-License-Identifier: Apache-2.0 */
/* wallet.h - IntentWallet credential <-> struct wallet, and the presentation that carries it. */
#ifndef TREATY_CODEC_WALLET_H
#define TREATY_CODEC_WALLET_H

#include "agent/codec/json.h"
#include "agent/codec/vc.h"

#define JSON_LIMITS_WALLET ((struct json_limits){ .bytes = 32768, .depth = 20, .nodes = 1024 })

extern const struct vc_profile wallet_profile, presentation_profile;
extern const char *const wallet_contexts[]; /* of both */

/* w->issuer must control port->method. Checks every rule that reading checks. */
/* Two contents of one generation, kept as proof: {type, known, shown}, both credentials. */
#define WALLET_EVIDENCE "TreatyWalletEvidence"

int wallet_issue(const struct wallet *w, wall_t now, const struct sign_port *port, json_t **ret,
		 struct err *e) must_check;
/* The same for a sub-wallet of the holder of parent, which must be as wide as w: -EPERM. */
int wallet_issue_below(const struct wallet *w, const json_t *parent, wall_t now,
		       const struct sign_port *port, json_t **ret, struct err *e) must_check;
/* Shape and terms; the signature is vc_verified()'s. digest = the credential's name elsewhere. */
int wallet_read(const json_t *vc, struct wallet *ret, uint8_t digest[DIGEST_LEN],
		struct err *e) must_check;
/* The terms of a document whose shape was read by wallet_profile, or of a body before its proof. */
int wallet_read_body(struct wallet *ret, const json_t *doc, struct err *e) must_check;
/* wallet_read() and vc_verified(), of every wallet in its line. */
int wallet_verify(const json_t *vc, const struct did_resolver *keys, struct wallet *ret,
		  uint8_t digest[DIGEST_LEN], struct err *e) must_check;

/* A wallet and those above it. */
struct wallet_chain {
	struct wallet wallet;
	struct wallet_line line;
	uint8_t digest[1 + WALLET_PARENTS_MAX]
		      [DIGEST_LEN]; /* of the credentials, the wallet's first */
};
/* wallet_read() and wallet_verify() with the whole line; -EINVAL too where a link does not hold. */
int wallet_chain_read(const json_t *vc, struct wallet_chain *ret, struct err *e) must_check;
int wallet_chain_verify(const json_t *vc, const struct did_resolver *keys, struct wallet_chain *ret,
			struct err *e) must_check;
/* Shape and terms of those above outer's wallet; up is owned by the caller, also on failure. */
int wallet_line_read(struct wallet_line *ret, struct vc *up[WALLET_PARENTS_MAX],
		     const struct vc *outer, struct err *e) must_check;

enum { LISTS_MAX = STATUS_PURPOSES * (1 + WALLET_PARENTS_MAX) }; /* status lists of one line */

struct presentation_ask {
	const char *holder;    /* DID, controls port->method */
	const char *domain;    /* the operator's DID */
	const char *challenge; /* the operator's, 1..URN_MAX-1 characters */
	const char *intent_id;
	uint8_t intent_digest[DIGEST_LEN]; /* SHA-256(JCS(intent)) */
	wall_t created;
	/* Status lists to send along, borrowed; unused = NULL. */
	const json_t *stapled[LISTS_MAX];
};
int presentation_new(const json_t *wallet_vc, const struct presentation_ask *a,
		     const struct sign_port *port, json_t **ret, struct err *e) must_check;
/* Its first half, of a wallet that wallet_read() has taken before; vc_await() is the second. */
int presentation_ask(const json_t *wallet_vc, const struct presentation_ask *a,
		     const struct sign_port *port, struct vc_asked **ret, struct err *e) must_check;

/* What a presentation says; believed only after its signatures. */
struct presentation {
	struct vc *vp, *vc;                /* owned */
	struct vc *up[WALLET_PARENTS_MAX]; /* owned: the line's credentials */
	struct vc *stapled[LISTS_MAX];     /* owned: status lists that came along, or NULL */
	struct wallet wallet;
	struct wallet_line line;
	char intent_id[URN_MAX];
	uint8_t intent_digest[DIGEST_LEN];
};
/* Steps 1 to 3: size, strict shape. -EMSGSIZE above a limit, -EINVAL names member and rule. */
int presentation_read(struct presentation **ret, const json_t *vp, struct err *e) must_check;
struct presentation *presentation_free(struct presentation *p);

#endif
