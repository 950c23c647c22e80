/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <strings.h>

const char *wire_header(const struct wire_request *r, const char *name)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (!strcasecmp(r->headers[i].name, name))
			return r->headers[i].value;
	return NULL;
}
