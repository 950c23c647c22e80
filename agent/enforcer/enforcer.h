/* SPDX-License-Identifier: Apache-2.0 */
/* enforcer.h - the parent: capabilities, steps, nothing about treaties. */
#ifndef TREATY_ENFORCER_H
#define TREATY_ENFORCER_H

#include "agent/config.h"
#include "agent/msg.h"
#include "agent/role.h"

struct enforcer_status {
	int32_t pid;
	uint32_t uid;
	uint64_t caps;  /* effective, bit n = CAP n */
	uint32_t bpffs; /* 1 = the pin directory is a bpffs of ours */
	uint32_t pad;
	char release[72]; /* uname -r */
};

/* Before the children start, with all privileges: directories, bpffs. */
int enforcer_prepare(const struct config *c, struct err *e) must_check;
/* What --check prints: can this kernel and user run these roles? 0, or the first reason. */
int enforcer_preflight(const struct config *c, struct err *e) must_check;
/* Confines itself, serves agents until SIGTERM/SIGINT, MSG_SHUTDOWN, a child's death or a malformed
 * message, then stops the children in order. 0 = clean stop, else a negative errno and *e. */
int enforcer_run(const struct config *c, struct role_tree *t, struct err *e) must_check;

#endif
