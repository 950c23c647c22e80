/* SPDX-License-Identifier: Apache-2.0 */
/* query_call.h - calls of tools as a client makes them, over the real MCP core of query_lab.h. */
#ifndef TREATY_TEST_QUERY_CALL_H
#define TREATY_TEST_QUERY_CALL_H

#include "mcp_call.h"
#include "query_lab.h"

#include <errno.h>

static struct query_lab lab;
static struct peer human = { .local = true };

static inline void call_as(const struct peer *p, const char *tool, const char *args,
			   struct mcp_result *ret)
{
	*ret = mcp_call_as(lab.mcp, &lab.side, p, tool, args);
}

static inline struct mcp_result ask(const char *tool, const char *args)
{
	struct mcp_result r = { 0 };

	call_as(&human, tool, args, &r);
	if (r.code || r.is_error)
		fail_msg("%s: %s", tool, r.code ? r.error : r.text);
	return r;
}

static inline void refused(const char *tool, const char *args, const char *text)
{
	struct mcp_result r = { 0 };

	call_as(&human, tool, args, &r);
	if (!r.is_error || !strstr(r.text, text))
		fail_msg("%s %s: \"%s\" lacks \"%s\"", tool, args, r.text, text);
	mcp_result_clear(&r);
}

/* "a.b.2.c" in the answer, as compact text. */
static inline void expect(const struct mcp_result *r, const char *path, const char *want)
{
	const json_t *v = r->structured;
	char part[64], *text;
	size_t n;

	for (const char *p = path; *p; p += n + (p[n] == '.')) {
		n = strcspn(p, ".");
		(void)snprintf(part, sizeof(part), "%.*s", (int)n, p);
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(part))
				     : json_object_get(v, part);
	}
	text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	if (!text || strcmp(text, want) != 0)
		fail_msg("%s: %s, not %s", path, text ? text : "nothing", want);
	free(text);
}

#endif
