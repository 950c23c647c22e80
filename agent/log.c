/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

static const char *who = "treatyd";
static enum cfg_log_level limit = LOG_LEVEL_INFO;

void log_init(const char *process, enum cfg_log_level max)
{
	who = process;
	limit = max;
}

/* One write per line, so that lines of three processes do not mix; control characters of foreign
 * text do not reach the terminal. */
void log_line(enum cfg_log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char line[512];
	va_list ap;
	int n, k;

	if (level > limit)
		return;
	n = snprintf(line, sizeof(line), "treatyd[%d]: %s: %s: ", getpid(), who, names[level]);
	va_start(ap, fmt);
	k = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (k < 0)
		return;
	k = k > (int)sizeof(line) - n - 2 ? (int)sizeof(line) - n - 2 : k;
	for (int i = n; i < n + k; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n + k] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)(n + k + 1));
}
