/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - lines for the operator on stderr: "treatyd[7]: agents: warn: text". Only shells log,
 * once, at the top; library layers return struct err. */
#ifndef TREATY_LOG_H
#define TREATY_LOG_H

#include "config.h"

void log_init(const char *process, enum cfg_log_level max);
void log_line(enum cfg_log_level level, const char *fmt, ...) printf_like(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
