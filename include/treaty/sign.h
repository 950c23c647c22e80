/* SPDX-License-Identifier: Apache-2.0 */
/* sign.h - what a codec asks of whoever holds the keys. The keys live in the signer process; a
 * codec sees only this callback. */
#ifndef TREATY_SIGN_H
#define TREATY_SIGN_H

#include "wallet.h"

/* Four keys per side; the kind decides which (keys are never shared between purposes). */
enum sign_kind {
	SIGN_WALLET = 1,   /* credential key, assertionMethod */
	SIGN_PRESENTATION, /* holder agent's key, authentication */
	SIGN_AGREEMENT,    /* operator's agreement key, assertionMethod */
	SIGN_ACCEPTANCE,   /* enterprise's agreement key, assertionMethod */
	SIGN_RECEIPT,      /* enterprise's agreement key, assertionMethod */
	SIGN_CREDIT,       /* operator's agreement key, assertionMethod */
	SIGN_DISCLOSURE,   /* agreement key: a disclosure policy; revision = its version */
	SIGN_EXPORT,       /* agreement key: what was disclosed of the log */
	SIGN_KIND_MAX_
};

enum { SIGN_HASH_LEN = 64, SIGN_SIG_LEN = 64 };

/* hash is the eddsa-jcs-2022 hashData: SHA-256(JCS(proof options)) then SHA-256(JCS(document)).
 * The typed facts below repeat what the document says, for the signer's own gates; unused = 0. */
struct sign_request {
	enum sign_kind kind;
	uint8_t hash[SIGN_HASH_LEN];
	char method[DID_URL_MAX]; /* verificationMethod that the signature will name */
	char subject[URN_MAX];    /* credential id, walletId or lineageId */
	int64_t revision;         /* generation of a wallet, revision of an agreement */
	money_t amount;
};

/* 0 and sig filled, or negative errno. Pure Ed25519 over the 64 bytes of hash. */
typedef int (*sign_fn)(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN]);

struct sign_port {
	sign_fn sign;
	void *arg;
	char method[DID_URL_MAX]; /* this key's verificationMethod */
};

#endif
