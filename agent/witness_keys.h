/* SPDX-License-Identifier: Apache-2.0 */
/* witness_keys.h - whose signature stands under a checkpoint, while keys are rotated. */
#ifndef TREATY_WITNESS_KEYS_H
#define TREATY_WITNESS_KEYS_H

#include "agent/crypto/note.h"
#include "agent/side.h"

/* The checkpoint key of `did` that has a line under the note which verifies: the first one or one
 * that a rotation put beside it. k holds name and algorithm and gets the key. -EBADMSG: none
 * verifies, k gets the oldest that is in force; else why none was found. */
int witness_key_of(const struct side *s, const char *did, const struct note *n, struct note_key *k,
		   struct err *e) must_check;

/* Our own signature: by the key in force, or by one that was rotated away since. believe_lost: on
 * our own disk, also by one that is compromised. */
bool witness_own_note(const struct side *s, const struct note_key *in_force, const struct note *n,
		      bool believe_lost);

#endif
