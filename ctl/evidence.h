/* SPDX-License-Identifier: Apache-2.0 */
/* evidence.h - a signed checkpoint against the DID documents that the caller trusts. */
#ifndef TREATY_CTL_EVIDENCE_H
#define TREATY_CTL_EVIDENCE_H

#include "ctl.h"

#include "agent/crypto/note.h"

struct evidence {
	bool against; /* set before: shown against the side that signed, see below */
	struct checkpoint cp;
	json_t *who; /* {signedBy, cosignedBy, notCounted}; to be given back */
};

/* Reads the note and asks each --document for its checkpoint keys, every generation that it lists:
 * one must have signed the log, the others may have cosigned it. A key that has ended counts when
 * a cosigner says that it saw the note before; so does a compromised one, before the time since
 * when it is. A cosigner's own key must have been in force when it signed, and never compromised.
 * Against its side a key that has ended counts as it is: whoever signs with it is that side, and
 * must not get rid of what it signed by a rotation.
 * CTL_OK, or said; who is set either way, or NULL. */
int evidence_note(const struct ctl *c, const char *note, size_t len, struct evidence *ret);
/* The --document whose id this is, a new reference; CTL_REFUSED, said, when none is. */
int evidence_document(const struct ctl *c, const char *did, json_t **ret);
/* The method's key in the document if it stood at that time; -EKEYREVOKED when it is compromised,
 * whatever the time. Else as did_document_key(). */
int evidence_key(const json_t *doc, const char *method, const char *purpose, wall_t at,
		 uint8_t pub[32], struct err *e);

/* Every --document, a new array. */
int evidence_documents(const struct ctl *c, json_t **ret);
/* For struct did_resolver; arg: that array. A did:key speaks for itself. */
int evidence_resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		     struct err *e);

/* kept_wallet.c: two contents of one generation of a wallet. */
bool kept_of_wallet(const char *file);
/* Adds what it says to the list's row; nothing when it is none. */
void kept_wallet_row(const char *path, json_t *row);
int kept_wallet_look(struct ctl *c, bool check);

#endif
