/* SPDX-License-Identifier: Apache-2.0 */
/* confine.h - giving up what a process does not need: user, capabilities, new privileges, files
 * (landlock, where the kernel has it), system calls (seccomp). Every step fails closed. */
#ifndef TREATY_CONFINE_H
#define TREATY_CONFINE_H

#include "treaty/err.h"

struct confine_user {
	uint32_t uid, gid;
};

enum confine_profile { CONFINE_AGENTS, CONFINE_SIGNER, CONFINE_ENFORCER };

/* A user name or a decimal uid >= 1 (then gid = uid). There is no fallback to nobody: that uid is
 * shared with strangers, who could then signal us and read our files. -ENOENT names the rule. */
int confine_user_find(struct confine_user *ret, const char *name, struct err *e) must_check;

/* Groups cleared, gid and uid set for good, every capability set emptied (also when not root). */
int confine_drop_user(const struct confine_user *u, struct err *e) must_check;
/* Keeps exactly the capabilities of `caps` (bit n = CAP n) that it already has. */
int confine_keep_caps(uint64_t caps, struct err *e) must_check;
int confine_no_new_privs(struct err *e) must_check;
/* No core dump, not traceable by the same uid, /proc/self owned by root. */
int confine_no_dump(struct err *e) must_check;

/* Only what lies below rw (files and directories may be made and removed there) and ro may be
 * opened from now on; entries that do not exist are skipped; both end with NULL. With a kernel that
 * has scopes, signals and abstract sockets out of this domain are refused as well.
 * *ret_abi = 0: this kernel has no landlock, nothing was done. */
int confine_files(const char *const *rw, const char *const *ro, int *ret_abi,
		  struct err *e) must_check;

/* The profile's allow-list. Calls that are never innocent (execve, ptrace, bpf, mount, setns,
 * unshare, modules, keys ...) kill the process, anything else not listed fails with EPERM. Signals
 * may be sent to ourselves, and by kill() to the n processes of may_kill only. */
int confine_syscalls(enum confine_profile p, const pid_t *may_kill, size_t n,
		     struct err *e) must_check;

#endif
