/* SPDX-License-Identifier: Apache-2.0 */
/* credential.h - AgreementCredential, AcceptanceCredential, DebitReceipt. Each *_issue signs
 * through the port; each *_verify checks shape, controller and signature and then reads. *_ask is
 * the first half of issuing, vc_await() the second; that and *_open are for who goes on with the
 * canonical text: they give the document as it was read, freed by the caller with vc_free(). */
#ifndef TREATY_CODEC_CREDENTIAL_H
#define TREATY_CODEC_CREDENTIAL_H

#include "agent/codec/vc.h"
#include "treaty/credential.h"

extern const struct vc_profile agreement_profile, acceptance_profile, receipt_profile;

/* tmf651: the body, borrowed; it may hold no "treaty" and no "@context" member. Its numbers may be
 * fractions (TMF quantities). */
int agreement_issue(const struct agreement_terms *t, const json_t *tmf651, wall_t now,
		    const struct sign_port *port, json_t **ret, struct err *e) must_check;
int agreement_ask(const struct agreement_terms *t, const json_t *tmf651, wall_t now,
		  const struct sign_port *port, struct vc_asked **ret, struct err *e) must_check;
/* *body (may be NULL): new reference, the TMF651 body as signed, without "treaty". digest: the
 * name by which acceptance and next revision call it. Errors as vc_verified(), or -EINVAL. */
int agreement_verify(const json_t *vc, const struct did_resolver *keys, struct agreement_terms *ret,
		     json_t **body, uint8_t digest[DIGEST_LEN], struct err *e) must_check;

int agreement_open(const json_t *vc, const struct did_resolver *keys, struct agreement_terms *ret,
		   json_t **body, struct vc **kept, struct err *e) must_check;

/* agreement: the credential that is accepted, for the signer, which reads there what is committed;
 * NULL only for signers that do not ask. */
int acceptance_issue(const struct acceptance *a, const json_t *agreement,
		     const struct sign_port *port, json_t **ret, struct err *e) must_check;
/* about: the canonical text of that credential, or NULL. */
int acceptance_ask(const struct acceptance *a, const char *about, size_t len,
		   const struct sign_port *port, struct vc_asked **ret, struct err *e) must_check;
int acceptance_verify(const json_t *vc, const struct did_resolver *keys, struct acceptance *ret,
		      uint8_t digest[DIGEST_LEN], struct err *e) must_check;

int receipt_issue(const struct receipt *r, const struct sign_port *port, json_t **ret,
		  struct err *e) must_check;
int receipt_ask(const struct receipt *c, const struct sign_port *port, struct vc_asked **ret,
		struct err *e) must_check;
int receipt_verify(const json_t *vc, const struct did_resolver *keys, struct receipt *ret,
		   uint8_t digest[DIGEST_LEN], struct err *e) must_check;
/* REFUSE_NONE when next extends the wallet's last receipt (prev NULL = none seen yet):
 * LEDGER_FORK for digest, sequence or currency, LEDGER_STATE when the sums do not add up. */
enum refusal receipt_extends(const struct receipt *prev, const uint8_t prev_digest[DIGEST_LEN],
			     const struct receipt *next);

#endif
