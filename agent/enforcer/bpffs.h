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
/* Unlinks every pin below dir (on-exit = remove); the empty mount stays, since unmounting would
 * need CAP_SYS_ADMIN. -ENODEV when dir is no bpffs: nothing else is ever removed. */
int bpffs_clear(const char *dir, struct err *e) must_check;

#endif
