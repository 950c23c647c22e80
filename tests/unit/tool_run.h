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

static char tool_output[64 * 1024];

/* In the directory; fails unless it exits with code and says text. */
static inline void tool_run(const char *in, const char *args, int code, const char *text)
{
	char self[PATH_MAX], cmd[3 * PATH_MAX];
	size_t n;
	FILE *p;
	int st;

	assert_non_null(realpath("/proc/self/exe", self));
	(void)snprintf(cmd, sizeof(cmd), "cd %s && exec %s/../../treatyctl %s 2>&1", in,
		       dirname(self), args);
	p = popen(cmd, "r");
	assert_non_null(p);
	n = fread(tool_output, 1, sizeof(tool_output) - 1, p);
	tool_output[n] = '\0';
	st = pclose(p);
	if (!WIFEXITED(st) || WEXITSTATUS(st) != code || !strstr(tool_output, text))
		fail_msg("treatyctl %s: exit %d, not %d, or no \"%s\" in:\n%s", args,
			 WEXITSTATUS(st), code, text, tool_output);
}

#endif
