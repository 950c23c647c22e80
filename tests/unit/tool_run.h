/* SPDX-License-Identifier: Apache-2.0 */
/* tool_run.h - build/treatyctl as a user runs it: where it lies beside the test, what it ends with
 * and what it says. */
#ifndef TREATY_TEST_TOOL_RUN_H
#define TREATY_TEST_TOOL_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char output[256 * 1024]; /* stdout and stderr of the last one */

/* By the shell in that directory, env ("A=b ", or "") before it; what it ends with. */
static inline int tool_exec(const char *in, const char *env, const char *args)
{
	char self[PATH_MAX], cmd[3 * PATH_MAX];
	FILE *p;
	int st;

	assert_non_null(realpath("/proc/self/exe", self));
	(void)snprintf(cmd, sizeof(cmd), "cd %s && %sexec %s/../../treatyctl %s 2>&1", in, env,
		       dirname(self), args);
	p = popen(cmd, "r");
	assert_non_null(p);
	output[fread(output, 1, sizeof(output) - 1, p)] = '\0';
	st = pclose(p);
	assert_true(WIFEXITED(st));
	return WEXITSTATUS(st);
}

/* Fails unless it ends with code and says text. */
static inline void tool_want(const char *in, const char *env, const char *args, int code,
			     const char *text)
{
	int r = tool_exec(in, env, args);

	if (r != code || !strstr(output, text))
		fail_msg("treatyctl %s: exit %d, not %d, or no \"%s\" in:\n%s", args, r, code, text,
			 output);
}

#endif
