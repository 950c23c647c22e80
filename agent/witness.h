/* SPDX-License-Identifier: Apache-2.0 */
/* witness.h - each side shows the other its log and keeps what it was shown. At intervals the head
 * is signed as a checkpoint and sent to the peers of role operator and enterprise (a data part of
 * the negotiation extension); they verify that it extends what they saw before, and cosign. A log
 * that does not extend what its side signed before is an event and a file with both signatures.
 * docs/negotiation.md, docs/operations.md. */
#ifndef TREATY_WITNESS_SHELL_H
#define TREATY_WITNESS_SHELL_H

#include "agent/side.h"
#include "agent/wire/a2a.h"

/* Without keys.checkpoint: 0, and nothing is shown or cosigned. -ESTALE: the database is older than
 * a checkpoint of it that was signed or cosigned (a restored backup); -EUCLEAN: it is another one.
 * The text says what to do. */
int witness_start(struct side *s, struct err *e) must_check;
void witness_free(struct side *s);

/* After our checkpoint key's life changed: a new anchor is signed and shown to all. */
void witness_rekey(struct side *s);

/* Is this message for the witness? */
bool witness_takes(const struct a2a_message *m);
int witness_message(struct side *s, const struct peer *p, const struct a2a_message *m,
		    struct a2a_turn *t);

#endif
