/* SPDX-License-Identifier: Apache-2.0 */
/* log_commit.h - fixes, while the log grows, the salted digests of what is in it (codec/commit.h):
 * LOG_COMMITTED holds the root over them, and an export of parts of events is checked against it.
 */
#ifndef TREATY_LOG_COMMIT_H
#define TREATY_LOG_COMMIT_H

#include "agent/side.h"

enum { LOG_COMMIT_MAX = 4096 }; /* events under one root */

/* After disclosure_start(), whose salt key it takes. Digests are made beside other work, a few at a
 * time. Does nothing at a side that signs no checkpoints: nobody could be shown a root. */
int log_commit_start(struct side *s, struct err *e) must_check;
void log_commit_free(struct side *s);
/* Stages LOG_COMMITTED over the digests that are made; nothing, when there are none. */
int log_commit_put(struct side *s, struct err *e) must_check;

#endif
