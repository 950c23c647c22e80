/* SPDX-License-Identifier: Apache-2.0 */
/* did.h - did:key and did:web names, verification methods, and keys out of a DID document.
 * Nothing is fetched here. */
#ifndef TREATY_CODEC_DID_H
#define TREATY_CODEC_DID_H

#include <jansson.h>

#include "treaty/wallet.h"

enum did_kind { DID_KEY = 1, DID_WEB };

/* enum did_kind of a well-formed DID, or -EINVAL. did:key must hold an Ed25519 multikey. */
int did_check(const char *did, struct err *e) must_check;
int did_key_format(const uint8_t pub[32], char out[DID_MAX]) must_check;
int did_key_parse(const char *did, uint8_t pub[32]) must_check; /* 0 or -EINVAL */
/* did:key:zX#zX, the only verification method of a did:key. */
int did_key_method(const uint8_t pub[32], char out[DID_URL_MAX]) must_check;

/* The document of a did:web. */
#define JSON_LIMITS_DID ((struct json_limits){ .bytes = 32768, .depth = 12, .nodes = 1024 })

/* did:web:host -> https://host/.well-known/did.json; did:web:host%3A8443:a:b ->
 * https://host:8443/a/b/did.json. Refused: IP addresses, empty, "." and ".." segments. */
int did_web_url(const char *did, char *out, size_t cap, struct err *e) must_check;

/* A verificationMethod "did...#fragment": checks both, writes the DID (its controller). The
 * fragment of a did:key must be its own key. */
int did_method_controller(const char *method, char did[DID_MAX], struct err *e) must_check;

/* The Ed25519 key of `method` in the document, under the relationship named by purpose
 * ("assertionMethod", "authentication"): document.id == the method's DID, method.id == method,
 * method.controller == document.id, type Multikey or JsonWebKey (OKP, Ed25519), listed under
 * purpose (CID 1.0, 3.3). */
int did_document_key(const json_t *doc, const char *method, const char *purpose, uint8_t pub[32],
		     struct err *e) must_check;

/* Whether the document still stands by the method at `now`: -EKEYEXPIRED past its `expires`,
 * -EKEYREVOKED when it has `revoked`, whatever the time there, because whoever stole a key dates
 * its signatures as it likes; -EINVAL when a time is malformed (CID 1.0, 2.2). */
int did_document_in_force(const json_t *doc, const char *method, wall_t now,
			  struct err *e) must_check;

/* The i-th method that is listed under purpose, borrowed; NULL past the end. */
const char *did_document_method(const json_t *doc, const char *purpose, size_t i);

/* What the document says of the method's end (CID 1.0, 2.2): `expires` when it was rotated away,
 * `revoked` when it is compromised; ms = 0: not said. -EINVAL: a time is malformed. */
int did_document_times(const json_t *doc, const char *method, wall_t *expires, wall_t *revoked,
		       struct err *e) must_check;

struct did_document_key_row {
	const char *fragment; /* "agent", without '#' */
	const char *purpose;  /* relationship it is listed under */
	uint8_t pub[32];
	wall_t expires, revoked; /* ms = 0: not said */
};
/* New reference or NULL: the document that a did:web host serves. */
json_t *did_document_new(const char *did, const struct did_document_key_row *rows, size_t n);

/* How a verifier finds a key: 0 and pub, -ENOKEY when unknown, -EAGAIN when its document could be
 * fetched and is not at hand. purpose as above. */
typedef int (*did_resolve_fn)(void *arg, const char *method, const char *purpose, uint8_t pub[32],
			      struct err *e);
struct did_resolver {
	did_resolve_fn resolve;
	void *arg;
};
/* did:key out of its own name, -ENOKEY for anything else; arg unused. */
int did_resolve_key(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		    struct err *e);

#endif
