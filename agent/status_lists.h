/* SPDX-License-Identifier: Apache-2.0 */
/* status_lists.h - this side's own copies of status lists: the files of [trust] status-lists, and
 * what was fetched from their URLs. A file is read again as soon as it has changed, so a wallet is
 * stopped by copying a new list in. Of two copies the one that was signed last counts. A fetched
 * one is of no use beyond its ttl. */
#ifndef TREATY_STATUS_LISTS_H
#define TREATY_STATUS_LISTS_H

#include "agent/codec/status_list.h"
#include "agent/side.h"

enum { STATUS_LISTS_MAX = 64 };

/* Reads the directory; needs s->keys. A list that does not verify is an error at start. */
int status_lists_start(struct side *s, struct err *e) must_check;
/* The list of that URL, verified, or NULL: none, or one that no longer verifies (logged once). Its
 * validity is the caller's to judge. Borrowed until the next call. */
const struct status_list *status_lists_find(struct side *s, const char *url);
/* The same as a credential, while it is valid, for sending along with a wallet. Borrowed likewise.
 */
const json_t *status_lists_credential(struct side *s, const char *url, wall_t now);
/* The list would be better fetched now: there is none of use, or a fetched one is no longer fresh.
 * A file that is valid is never fetched beside. */
bool status_lists_due(struct side *s, const char *url, wall_t now);
void status_lists_end(void);

#endif
