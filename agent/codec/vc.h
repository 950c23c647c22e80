/* SPDX-License-Identifier: Apache-2.0 */
/* vc.h - DataIntegrityProof with cryptosuite eddsa-jcs-2022, in two layers.
 *
 * proof_*: what the W3C recommendation says, no more (a document's @context may extend the
 *          proof's). For conformance only.
 * vc_*:    our profile on top: exact contexts, one proof object, no @context inside, known members
 *          only, a tree read again from its canonical bytes. Only vc_* results are acted on. */
#ifndef TREATY_CODEC_VC_H
#define TREATY_CODEC_VC_H

#include <jansson.h>

#include "agent/codec/canon.h"
#include "agent/codec/did.h"
#include "agent/codec/json.h"
#include "treaty/sign.h"

#define VC_CONTEXT_V2            "https://www.w3.org/ns/credentials/v2"
#define TREATY_CONTEXT_WALLET    "https://treaty.example/contexts/intent-wallet/v1"
#define TREATY_CONTEXT_AGREEMENT "https://treaty.example/contexts/agreement/v1"

/* --- conformance layer (vc-di-eddsa 3.3) --- */

struct proof_expect { /* NULL = not checked */
	const char *purpose, *domain, *challenge;
};

/* hashData of doc (its member "proof" left out) under proof (its "proofValue" left out). */
int proof_hash(const json_t *doc, const json_t *proof, uint8_t hash[SIGN_HASH_LEN],
	       struct err *e) must_check;
/* options: the proof object without proofValue; doc's @context is copied into it. rq: kind and
 * facts for the signer; hash and method are filled here. *ret: a new document with its proof. */
int proof_create(const json_t *doc, const json_t *options, const struct sign_port *port,
		 struct sign_request *rq, json_t **ret, struct err *e) must_check;
/* *ret: the verified document without proof, as it was signed. -EINVAL not such a proof, -EPERM
 * purpose, domain or challenge differ, -ENOKEY no key, -EKEYREJECTED the signature is wrong. */
int proof_verify(const json_t *secured, const struct proof_expect *want,
		 const struct did_resolver *keys, json_t **ret, struct err *e) must_check;

/* --- strict profile --- */

struct vc_profile {
	const char *const *contexts; /* NULL-terminated, exactly these in this order */
	const char *const *types;    /* likewise */
	const char *const *members;  /* allowed at the top besides @context, type and proof */
	const char *purpose;
	const char *author;        /* "issuer" or "holder": who must control the key */
	bool integers_only;        /* refuse every non-integer number, however spelt */
	struct json_limits limits; /* of the canonical text */
	bool presentation; /* the proof must hold domain and challenge; otherwise it must not */
	bool parents; /* credentialSubject.delegation.parent is a whole credential, read apart */
};

enum {
	VC_PARENTS_MAX = 3,
	VC_INNER_MAX = 9, /* a wallet, and two status lists for it and each above it */
	VC_PARENTS_AT = 1 + 2 * VC_INNER_MAX,
	VC_MARKS = VC_PARENTS_AT + 2 * VC_PARENTS_MAX,
};

/* A document that has our shape. Nothing in it is believed before vc_verified(). */
struct vc {
	json_t *doc;          /* owned, proof included, says no more than the canonical text */
	char id[DID_URL_MAX]; /* "" when a presentation has none */
	char author[DID_MAX];
	char method[DID_URL_MAX];
	char controller[DID_MAX]; /* the method's DID */
	char domain[DID_MAX];
	char challenge[URN_MAX];
	wall_t created;
	wall_t expires;                 /* 0 = the proof does not say */
	wall_t valid_from, valid_until; /* 0 = absent */
	uint8_t hash[SIGN_HASH_LEN];    /* hashData */
	uint8_t sig[SIGN_SIG_LEN];
	/* SHA-256(JCS(doc with its proof)): its name elsewhere. Zero for a presentation. */
	uint8_t digest[DIGEST_LEN];
	char *text; /* owned, canonical; NULL for one inside another */
	size_t len;
	size_t parents; /* of it, or of the first one inside; VC_PARENTS_MAX + 1: too many */
	/* The proof, then each credential inside and its proof, then each parent and its proof. */
	struct canon_mark marks[VC_MARKS];
};

/* Shape only, no key is touched. in is not copied where it holds no reals (its canonical text says
 * the same), so it must not be changed before vc_free(). Canonicalized once, hashed from that
 * text. -EINVAL with the member and the rule, -EMSGSIZE, -ERANGE, -ENOMEM. */
int vc_read(struct vc **ret, const json_t *in, const struct vc_profile *pf,
	    struct err *e) must_check;
/* The i-th credential of outer's verifiableCredential (below VC_INNER_MAX), out of outer's text. */
int vc_read_inner(struct vc **ret, const struct vc *outer, size_t i, const struct vc_profile *pf,
		  struct err *e) must_check;
/* The i-th above the credential (below its parents), out of outer's text. */
int vc_read_parent(struct vc **ret, const struct vc *outer, size_t i, const struct vc_profile *pf,
		   struct err *e) must_check;
struct vc *vc_free(struct vc *v);
static inline void vc_free_p(struct vc **v)
{
	*v = vc_free(*v);
}
#define auto_vc cleanup(vc_free_p)
/* 0; -ENOKEY: no such key; -EPERM: the key's controller is not the author; -EKEYREJECTED. */
int vc_verified(const struct vc *v, const struct vc_profile *pf, const struct did_resolver *keys,
		struct err *e) must_check;

struct vc_proof_options {
	wall_t created;
	wall_t expires;                 /* 0 = none */
	const char *domain, *challenge; /* presentations only, else NULL */
};
/* body holds everything but @context, type and proof. What we issue must pass our own vc_read().
 * In two halves, for who has other work while the signer signs: *ret of the first, which body and
 * *rq need not outlive, is ended by one of the three behind it. */
struct vc_asked;
int vc_ask(const json_t *body, const struct vc_profile *pf, const struct vc_proof_options *po,
	   const struct sign_port *port, struct sign_request *rq, struct vc_asked **ret,
	   struct err *e) must_check;
/* The document with its canonical text and digest, as vc_read() finds it. */
int vc_await(struct vc_asked *a, struct vc **ret, struct err *e) must_check;
/* The document alone. */
int vc_await_doc(struct vc_asked *a, json_t **ret, struct err *e) must_check;
/* It is not wanted any more. NULL. */
struct vc_asked *vc_asked_free(struct vc_asked *a);
/* Both halves. */
int vc_issue(const json_t *body, const struct vc_profile *pf, const struct vc_proof_options *po,
	     const struct sign_port *port, struct sign_request *rq, json_t **ret,
	     struct err *e) must_check;

#endif
