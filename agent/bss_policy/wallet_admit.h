/* SPDX-License-Identifier: Apache-2.0 */
/* wallet_admit.h - from a presentation as it came to admit or refuse: gathers the facts step by
 * step, no step's work is done before the steps ahead of it were passed. */
#ifndef TREATY_WALLET_ADMIT_H
#define TREATY_WALLET_ADMIT_H

#include "agent/bss_policy/bss_policy_core.h"
#include "agent/codec/status_list.h"
#include "agent/codec/wallet.h"

/* What the operator knows. Callbacks must not block; each is called at most once, where it
 * does not say otherwise. */
struct admit_env {
	wall_t now;
	const char *operator_did;
	const char *peer; /* DID authenticated by the wire */
	/* Of the intent (JCS), where it is known already; NULL: hashed here. */
	const digest_t *intent_digest;
	struct admit_limits limits;
	struct did_resolver keys;
	void *arg;
	bool (*trusted)(void *arg, const char *issuer, const char *holder);
	/* Issued by us to this peer, not expired, not used. */
	bool (*challenge_known)(void *arg, const char *challenge, const char *peer);
	/* True for exactly one caller per challenge. */
	bool (*challenge_consume)(void *arg, const char *challenge, const char *peer);
	/* What the operator knows by itself; once for each of the line. 0 valid, 1 revoked,
	 * negative: cannot tell (then refused). */
	int (*revoked)(void *arg, const struct wallet *w);
	/* The operator's own copy of a status list, verified, or NULL. Where it does not hold now
	 * a stapled one is taken that is no older, and fresh by its ttl since its validFrom. May
	 * be NULL: no copies are kept. Called once for each entry. */
	const struct status_list *(*status_list)(void *arg, const char *url);
	/* For wallet_needs() alone: would what can be fetched be better fetched now? */
	bool (*document_due)(void *arg, const char *did);
	bool (*list_due)(void *arg, const char *url);
	/* Fills seen, seen_generation, same_digest, equivocated. Once for each of the line. */
	void (*generation)(void *arg, const struct wallet *w, const uint8_t digest[DIGEST_LEN],
			   struct wallet_facts *f);
};

struct admit_result {
	enum refusal refusal;
	struct admit_why why;
	struct err detail;         /* the codec's words, when a step failed on shape or signature */
	struct wallet_chain chain; /* valid from ADMIT_SHAPE on; believed only when admitted */
	struct wallet_facts facts; /* what was judged */
};

/* vp: parsed presentation or NULL (none came); intent: as received. The result is
 * always filled; the return is 0, or negative for a failure of the machine (ENOMEM). */
int wallet_admit(const json_t *vp, const json_t *intent, const struct wallet_ask *ask,
		 const struct admit_env *env, struct admit_result *ret) must_check;
/* What the judgement would need from the public web: did:web documents of the signers, and, once
 * these are at hand and every signature holds, the status lists. Nothing for what is refused before
 * that; the challenge is not used up. The signatures are checked here too: ask only where something
 * can be fetched at all. */
struct wallet_needs {
	size_t n;
	struct {
		char url[DID_URL_MAX];
		bool list; /* else a document */
	} url[16];
};
void wallet_needs(const json_t *vp, const json_t *intent, const struct wallet_ask *ask,
		  const struct admit_env *env, struct wallet_needs *ret);

/* The same for bytes (fuzzing, treatyctl). */
int wallet_admit_bytes(const void *buf, size_t len, const json_t *intent,
		       const struct wallet_ask *ask, const struct admit_env *env,
		       struct admit_result *ret) must_check;

#endif
