/* SPDX-License-Identifier: Apache-2.0 */
/* bss_known.h - what this operator has seen of wallets before, out of its store: the facts that
 * wallet_admit() asks for. Private to bss_policy. */
#ifndef TREATY_BSS_KNOWN_H
#define TREATY_BSS_KNOWN_H

#include "agent/bss_policy/wallet_admit.h"
#include "agent/side.h"

#include <jansson.h>

#include "agent/store/store.h"
#include "treaty/event.h"

/* Fills the callbacks; arg becomes the side. */
void known_env(struct side *s, struct admit_env *env);
/* Digest of the generation that w supersedes, when its credential id is the one known here; zero
 * otherwise, which the ledger refuses. */
int known_supersedes(struct side *s, const struct wallet *w, struct hash *ret,
		     struct err *e) must_check;
/* Remembers the credential's id as the current one of its wallet. */
int known_put(struct side *s, const struct wallet *w, struct err *e) must_check;
/* Two contents of one generation were seen: nothing of this wallet is admitted again. vc is the
 * second one; both stay among the bodies as proof, named by the mark and in the journal, and
 * together in a file evidence-*.json (WALLET_EVIDENCE) beside the database. */
int known_freeze(struct side *s, const struct wallet *w, const json_t *vc,
		 struct err *e) must_check;
/* Digests of the two contents, hex, with a space between; -ENOENT when the wallet is not frozen.
 * To be freed. */
int known_evidence(struct side *s, const struct wallet *w, char **ret, struct err *e) must_check;
/* No new hold, no new admission. about (or deal) names the wallet. */
int known_revoke(struct side *s, const struct ev_ref *ref, wall_t now, struct err *e) must_check;

#endif
