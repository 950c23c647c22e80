/* SPDX-License-Identifier: Apache-2.0 */
/* role.h - the process tree: one binary, three roles. The parent is the enforcer; it re-executes
 * itself as `agents` and `signer`, which find their sockets and the configuration at fixed fds and
 * die with it. */
#ifndef TREATY_ROLE_H
#define TREATY_ROLE_H

#include "config.h"

/* GLIBC_TUNABLES of the children (docs/decisions/0128). */
#define ROLE_HEAP "glibc.malloc.tcache_count=512"

enum role_child { CHILD_AGENTS, CHILD_SIGNER, CHILD_MAX_ };

/* What a child finds open. */
enum {
	ROLE_FD_ENFORCER = 3, /* socket to the parent */
	ROLE_FD_SIBLING = 4,  /* socket between agents and signer */
	ROLE_FD_CONFIG = 5,   /* sealed memfd: the bytes that the parent read */
};

enum { EXIT_CONFIG = 2, EXIT_CHILD = 3 }; /* exit codes: bad configuration; a child died */

struct role_tree {
	pid_t pid[CHILD_MAX_];
	int sock[CHILD_MAX_]; /* the parent's ends */
};

/* Blocks SIGTERM, SIGINT and SIGCHLD, for the children as well: the parent alone decides when the
 * tree ends. Starts both children of this process. On failure nothing is left running. */
struct role_start {
	const char *file;      /* for messages */
	const char *state_dir; /* treatyd -d, or NULL */
	const char *text;      /* the file's bytes */
	size_t len;
};
int role_spawn(struct role_tree *t, const struct role_start *how, struct err *e) must_check;
/* A child's first steps: fds in place, parent alive, configuration read. */
int role_child_setup(struct config **ret, const char *file, pid_t parent, struct err *e) must_check;
/* Dies with the parent; to be repeated after a change of uid, which clears it. */
int role_die_with(pid_t parent) must_check;
/* The lab's supervisor: runs `argv` (argv[0] ignored, this binary) again after a crash, with
 * back-off. Returns the exit code of the run that ended well, or of a bad configuration. */
int role_supervise(char *const argv[]);

#endif
