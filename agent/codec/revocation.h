/* SPDX-License-Identifier: Apache-2.0 */
/* revocation.h - a local list of revoked wallets, one per line of a text file: a credential id, or
 * "walletId generation" (that generation and all before it). '#' starts a comment. */
#ifndef TREATY_CODEC_REVOCATION_H
#define TREATY_CODEC_REVOCATION_H

#include "treaty/wallet.h"

/* Text of a whole file (not NUL-terminated). 1 revoked, 0 not, -EINVAL for a malformed line
 * anywhere: a list that cannot be read must refuse, not admit. */
int revocation_check(const char *text, size_t len, const struct wallet *w,
		     struct err *e) must_check;
/* The same for a file of at most 1 MiB; a missing file is -ENOENT. */
int revocation_check_file(const char *path, const struct wallet *w, struct err *e) must_check;

#endif
