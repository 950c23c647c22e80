/* SPDX-License-Identifier: Apache-2.0 */
/* bpffs.h - the daemon's own bpffs mount, where programs and maps outlive it. */
#ifndef TREATY_BPFFS_H
#define TREATY_BPFFS_H

#include "treaty/err.h"

/* 1 = dir is on a bpffs, 0 = not, or a negative errno. */
int bpffs_is(const char *dir) must_check;
/* Makes dir (0700, parents exist) and mounts a bpffs there unless it already is one. Needs
 * CAP_SYS_ADMIN only when it has to mount. */
int bpffs_ensure(const char *dir, struct err *e) must_check;
/* Unmounts it again (on-exit = remove). 0 also when nothing is mounted. */
int bpffs_remove(const char *dir, struct err *e) must_check;

#endif
