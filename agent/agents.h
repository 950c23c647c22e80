/* SPDX-License-Identifier: Apache-2.0 */
/* agents.h - the process that reads the network: wires, cores, tools, log. No capabilities. */
#ifndef TREATY_AGENTS_H
#define TREATY_AGENTS_H

#include "config.h"

/* Confines itself, then runs until the enforcer says stop or either socket ends. The fds are
 * borrowed. 0 = clean stop. */
int agents_run(const struct config *c, int enforcer_fd, int signer_fd, struct err *e) must_check;

#endif
