/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.h - Ed25519 seeds on disk: 64 hex digits and a newline, or 32 raw bytes; a regular file,
 * mode 0600 or 0400, owned by root or by the reader. */
#ifndef TREATY_KEYFILE_H
#define TREATY_KEYFILE_H

#include "agent/config.h"

#define KEY_SEED_LEN   32
#define KEY_PUBLIC_LEN 32

/* Locked memory that never reaches a core dump; key_free() wipes it. */
struct key_pair {
	uint8_t public[KEY_PUBLIC_LEN];
	uint8_t secret[64]; /* libsodium's form */
};

/* Makes a new seed file (0600, fails with -EEXIST rather than overwrite), synced to disk. */
int key_new(const char *path, uint8_t ret_public[KEY_PUBLIC_LEN], struct err *e) must_check;
/* path may be "credential:NAME": that file of $CREDENTIALS_DIRECTORY (systemd's LoadCredential=).
 */
int key_load(struct key_pair **ret, const char *path, struct err *e) must_check;
struct key_pair *key_free(struct key_pair *k); /* NULL in, NULL out */

#endif
