/* SPDX-License-Identifier: Apache-2.0 */
/* credit.h - CreditNoteCredential: money of a revision goes back (docs/ARCHITECTURE.md of the
 * design, section 12, ruling 2). */
#ifndef TREATY_CODEC_CREDIT_H
#define TREATY_CODEC_CREDIT_H

#include "agent/codec/vc.h"
#include "treaty/credential.h"
#include "treaty/event.h"

#define CREDIT_NOTE_TYPE "CreditNoteCredential"

extern const struct vc_profile credit_note_profile;

/* "not-in-force", "not-applied", "unused"; "?" and CREDIT_REASON_MAX_ when unknown. */
const char *credit_reason_name(enum credit_reason r);
enum credit_reason credit_reason_parse(const char *name);

int credit_note_issue(const struct credit_note *c, const struct sign_port *port, json_t **ret,
		      struct err *e) must_check;
/* digest: SHA-256(JCS) of the note, its name in both ledgers. Errors as vc_verified(), or -EINVAL
 * with the member and the rule. */
int credit_note_verify(const json_t *vc, const struct did_resolver *keys, struct credit_note *ret,
		       uint8_t digest[DIGEST_LEN], struct err *e) must_check;

#endif
