/* SPDX-License-Identifier: Apache-2.0 */
/* Lists a page at a time: where one begins, and where the next one does. */
#include "queries_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int query_page(const json_t *args, uint32_t *after, uint32_t *limit, struct err *e)
{
	int64_t from = 0, most = QUERY_PAGE_MAX;
	int r = args ? json_only(args, "", e, "after", "limit", NULL) : 0;

	if (!r && args)
		r = json_opt_int(args, "", "after", 0, UINT32_MAX, &from, e);
	if (r >= 0 && args)
		r = json_opt_int(args, "", "limit", 1, QUERY_PAGE_MAX, &most, e);
	*after = (uint32_t)from;
	*limit = (uint32_t)most;
	return r < 0 ? r : 0;
}

static int part_of(const char *after, const char *const *parts, int n, int64_t *row, struct err *e)
{
	for (int i = 0; i < n; i++) {
		size_t len = strlen(parts[i]);
		char *end;

		if (strncmp(after, parts[i], len) != 0 || after[len] != ':' ||
		    after[len + 1] < '0' || after[len + 1] > '9')
			continue;
		errno = 0;
		*row = strtoll(after + len + 1, &end, 10);
		if (!errno && !*end)
			return i;
	}
	return err_set(e, -EINVAL, "after: not what \"next\" said");
}

int query_part(const json_t *args, const char *const *parts, int n, int64_t *row, uint32_t *limit,
	       struct err *e)
{
	int64_t most = QUERY_PAGE_MAX;
	const char *after = NULL;
	int r = args ? json_only(args, "", e, "after", limit ? "limit" : NULL, NULL) : 0;

	if (!r && args)
		r = json_opt_str(args, "", "after", &after, e);
	if (r >= 0 && args && limit)
		r = json_opt_int(args, "", "limit", 1, QUERY_PAGE_MAX, &most, e);
	*row = 0;
	if (limit)
		*limit = (uint32_t)most;
	return r < 0 ? r : after ? part_of(after, parts, n, row, e) : 0;
}

int query_part_next(json_t *o, const char *part, int64_t row)
{
	char next[48];

	(void)snprintf(next, sizeof(next), "%s:%lld", part, (long long)row);
	return json_object_set_new(o, "next", json_string(next)) ? -ENOMEM : 0;
}

int query_answer_page(struct mcp_turn *t, const char *name, json_t *rows, uint32_t next,
		      struct err *e)
{
	json_t *o = json_pack("{s:o}", name, rows);

	if (o && next && json_object_set_new(o, "next", json_integer(next))) {
		json_decref(o);
		o = NULL;
	}
	return query_answer(t, o, e);
}
