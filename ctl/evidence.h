/* SPDX-License-Identifier: Apache-2.0 */
/* evidence.h - a signed checkpoint against the DID documents that the caller trusts. */
#ifndef TREATY_CTL_EVIDENCE_H
#define TREATY_CTL_EVIDENCE_H

#include "ctl.h"

#include "agent/crypto/note.h"

struct evidence {
	struct checkpoint cp;
	bool is_signed;
	json_t *cosigners; /* [{did, seconds}], to be given back */
};

/* Reads the note and asks each --document for its key: one must have signed the log, the others may
 * have cosigned it. CTL_OK, or said; cosigners is set either way, or NULL. */
int evidence_note(const struct ctl *c, const char *note, size_t len, struct evidence *ret);
/* The --document whose id this is, a new reference; CTL_REFUSED, said, when none is. */
int evidence_document(const struct ctl *c, const char *did, json_t **ret);

#endif
