/* SPDX-License-Identifier: Apache-2.0 */
/* key_freeze.h - the holds that rest on a compromised key. */
#ifndef TREATY_KEY_FREEZE_H
#define TREATY_KEY_FREEZE_H

#include "agent/side.h"
#include "agent/store/ledger.h"

/* Freezes every live hold that rests on the key: all of them for our own presentation or agreement
 * key; those of its wallets and deals for another's or for an issuer's; none for a checkpoint key.
 * *ret counts them. What expired before is not held again by a late capture, whatever it rested on.
 * In this turn. */
int key_freeze(struct side *s, const struct ev_key *k, unsigned *ret, struct err *e) must_check;

#endif
