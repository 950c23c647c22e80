/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments that a tool's schema wants repeated in a header ("x-mcp-header": "Region" makes it
 * Mcp-Param-Region, 2026-07-28): a gateway routed by the header, and we act on the body, so the two
 * must be one. */
#include "mcp_i.h"

#include <errno.h>
#include <stdio.h>

enum { HEADER_MAX = 96 };

static bool same(const json_t *v, const char *plain)
{
	char *end;

	if (json_is_string(v))
		return !strcmp(plain, json_string_value(v));
	if (json_is_boolean(v))
		return !strcmp(plain, json_is_true(v) ? "true" : "false");
	errno = 0;
	return json_is_integer(v) && *plain && strtoll(plain, &end, 10) == json_integer_value(v) &&
	       !*end && !errno;
}

static bool param(struct mcp_req *c, const char *name, const json_t *v)
{
	char header[HEADER_MAX], buf[256], text[HEADER_MAX + 80];
	const char *got, *plain;

	(void)snprintf(header, sizeof(header), "Mcp-Param-%s", name);
	got = wire_header(c->r, header);
	if (!v || json_is_null(v)) {
		if (!got)
			return true;
		(void)snprintf(text, sizeof(text), "Header mismatch: %s has no argument", header);
	} else {
		plain = got ? mcp_header_decode(got, buf) : NULL;
		if (plain && same(v, plain))
			return true;
		(void)snprintf(text, sizeof(text), "Header mismatch: %s is %s", header,
			       got ? "not the argument's value" : "missing");
	}
	mcp_fail(c, 400, MCP_E_HEADER, text);
	return false;
}

bool mcp_params_match(struct mcp_req *c, const json_t *schema, const json_t *args)
{
	json_t *p, *props = json_object_get(schema, "properties");
	const char *key;

	json_object_foreach (props, key, p) {
		const char *name = json_string_value(json_object_get(p, "x-mcp-header"));
		const json_t *v = json_object_get(args, key);

		if (name && !param(c, name, v))
			return false;
		if (json_object_get(p, "properties") && !mcp_params_match(c, p, v))
			return false;
	}
	return true;
}
