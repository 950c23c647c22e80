/* SPDX-License-Identifier: Apache-2.0 */
#include "treaty/err.h"

#include <stdarg.h>
#include <stdio.h>

int err_set_(struct err *e, int code, const char *where, const char *fmt, ...)
{
	va_list ap;

	if (!e || e->code)
		return code;
	e->code = code;
	e->where = where;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return code;
}
