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
	SIGN_DISCLOSURE,   /* agreement key: a disclosure policy */
	SIGN_EXPORT,       /* agreement key: what was disclosed of the log */
	SIGN_KIND_MAX_
};

enum { SIGN_HASH_LEN = 64, SIGN_SIG_LEN = 64 };

/* What is asked to be signed, as canonical text: the signer reads its facts out of it and hashes it
 * by itself. hash is the eddsa-jcs-2022 hashData of the two: SHA-256(proof), then
 * SHA-256(document), for whoever holds a key and asks no questions. */
struct sign_request {
	enum sign_kind kind;
	uint8_t hash[SIGN_HASH_LEN];
	char method[DID_URL_MAX]; /* verificationMethod that the signature will name */
	/* Borrowed for the call, filled by vc_ask() and proof_create(). */
	const char *proof; /* options, without proofValue */
	size_t proof_len;
	const char *document; /* without its proof */
	size_t document_len;
	/* The agreement that an acceptance accepts, with its proof; else NULL. The caller's. */
	const char *about;
	size_t about_len;
};

/* 0 and sig filled, or negative errno. Pure Ed25519 over the 64 bytes of hash. */
typedef int (*sign_fn)(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN]);

/* The same in two halves, for who has other work while the keys' holder signs. ask gives what await
 * takes and ends, which *rq need not outlive. sig NULL: it is not wanted any more. */
typedef int (*sign_ask_fn)(void *arg, const struct sign_request *rq, void **ret);
typedef int (*sign_await_fn)(void *arg, void *asked, uint8_t sig[SIGN_SIG_LEN]);

struct sign_port {
	sign_fn sign;
	void *arg;
	sign_ask_fn ask; /* NULL: only sign, which is at once then */
	sign_await_fn await;
	char method[DID_URL_MAX]; /* this key's verificationMethod */
};

#endif
