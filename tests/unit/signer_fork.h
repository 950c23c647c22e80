/* SPDX-License-Identifier: Apache-2.0 */
/* signer_fork.h - a real signer in a process of its own. */
#ifndef TREATY_TEST_SIGNER_FORK_H
#define TREATY_TEST_SIGNER_FORK_H

#include "agent/msg.h"
#include "agent/signer/signer.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

/* It ends with *parent_end; asked on *fd. */
static inline pid_t signer_fork(const struct config *c, int *parent_end, int *fd)
{
	struct err e = { 0 };
	int a[2], b[2];
	pid_t pid;

	assert_int_equal(msg_pair(a), 0);
	assert_int_equal(msg_pair(b), 0);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL); /* not cmocka's: this is another process */
		(void)close(a[0]);
		(void)close(b[0]);
		_exit(signer_run(c, a[1], b[1], &e) ? 1 : 0);
	}
	(void)close(a[1]);
	(void)close(b[1]);
	*parent_end = a[0];
	*fd = b[0];
	return pid;
}

#endif
