/* SPDX-License-Identifier: Apache-2.0 */
/* docs/tools.md is what tools.def and wire_tools.def say: `test_tool_table print` prints it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config.h"
#include "agent/tools/tools.h"

enum how { HOW_NONE, HOW_EVENT, HOW_ROW, HOW_AS, HOW_NOT };

static const struct {
	enum how how;
	uint32_t roles;
	const char *text; /* title, name or reason */
} wire[TOOL_MAX_] = {
#define WIRE_EVENT(tool, roles, title) [TOOL_##tool] = { HOW_EVENT, roles, title },
#define WIRE_ROW(tool, roles)          [TOOL_##tool] = { HOW_ROW, roles, "" },
#define WIRE_AS(tool, name)            [TOOL_##tool] = { HOW_AS, 0, name },
#define WIRE_NOT(tool, why)            [TOOL_##tool] = { HOW_NOT, 0, why },
#include "treaty/wire_tools.def"
#undef WIRE_EVENT
#undef WIRE_ROW
#undef WIRE_AS
#undef WIRE_NOT
};

static unsigned rows_of_wire(void)
{
	return 0
#define WIRE_EVENT(tool, roles, title) +1
#define WIRE_ROW(tool, roles)          +1
#define WIRE_AS(tool, name)            +1
#define WIRE_NOT(tool, why)            +1
#include "treaty/wire_tools.def"
#undef WIRE_EVENT
#undef WIRE_ROW
#undef WIRE_AS
#undef WIRE_NOT
		;
}

static void roles_print(FILE *f, uint32_t roles)
{
	static const char *const names[] = { "enterprise", "bss", "oss", "node" };
	const char *sep = "";

	if (roles == ROLES_ALL)
		(void)fputs("everywhere", f);
	for (unsigned i = 0; roles != ROLES_ALL && i < 4; i++)
		if (roles & 1u << i) {
			(void)fprintf(f, "%s%s", sep, names[i]);
			sep = ", ";
		}
}

static void row_print(FILE *f, unsigned i)
{
	const struct tool_row *t = tool_row((enum tool_id)i);

	(void)fprintf(f, "| `%s` | %s | %s%s%s | ", t->name, owner_name(t->owner),
		      t->flags & TOOL_IDEMPOTENT ? "idempotent" : "",
		      t->flags & TOOL_DESTRUCTIVE ? ", destructive" : "",
		      t->flags & TOOL_OPEN_WORLD ? ", open world" : "");
	if (wire[i].how == HOW_EVENT || wire[i].how == HOW_ROW) {
		roles_print(f, wire[i].roles);
		(void)fprintf(f, " | %s |\n", wire[i].how == HOW_ROW ? "the act" : "the event");
	} else if (wire[i].how == HOW_AS) {
		(void)fprintf(f, "as `%s` | the act |\n", wire[i].text);
	} else {
		(void)fprintf(f, "no | %s |\n", wire[i].text);
	}
}

static void print(FILE *f)
{
	(void)fputs(
		"# Every tool and what it is over MCP\n\n"
		"Made of `include/treaty/tools.def` and `include/treaty/wire_tools.def`: "
		"`build/tests/unit/test_tool_table print`\nprints this file, and the test holds "
		"it. *The act*: the call does what the tool's event says, then the event is "
		"written. *The\nevent*: the event is all there is to do; its payload is the call's "
		"arguments. *No*: the event is one part of an act that begins\nelsewhere, so that "
		"written alone it would be untrue (docs/decisions/0071, 0158). The owner's "
		"`[principal]` may call it, and\nfor acts the daemon's own people.\n\n"
		"| tool | owner | annotations | on the wire | what a call is, or why there is none "
		"|\n|---|---|---|---|---|\n",
		f);
	for (unsigned i = 0; i < TOOL_MAX_; i++)
		row_print(f, i);
}

static void each_tool_has_one_row(void **state)
{
	(void)state;
	assert_int_equal(rows_of_wire(), TOOL_MAX_);
	for (unsigned i = 0; i < TOOL_MAX_; i++)
		if (wire[i].how == HOW_NONE)
			fail_msg("%s: not in wire_tools.def", tool_row((enum tool_id)i)->name);
}

static void the_document_says_so(void **state)
{
	char *want = NULL, *is = NULL;
	size_t n = 0, got;
	FILE *m = open_memstream(&want, &n), *f = fopen("docs/tools.md", "re");

	(void)state;
	assert_non_null(m);
	assert_non_null(f);
	print(m);
	assert_int_equal(fclose(m), 0);
	is = calloc(1, n + 2);
	assert_non_null(is);
	got = fread(is, 1, n + 1, f);
	(void)fclose(f);
	if (got != n || memcmp(is, want, n))
		fail_msg("docs/tools.md is not what the tables say: test_tool_table print");
	free(is);
	free(want);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_tool_has_one_row),
		cmocka_unit_test(the_document_says_so),
	};

	if (argc == 2 && !strcmp(argv[1], "print")) {
		print(stdout);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
