/* SPDX-License-Identifier: Apache-2.0 */
/* acts.h - acts of a human that [human] grant puts before another look. The act is kept with its
 * arguments and its reason, shown among the approvals, and tried once in the turn of its grant;
 * what nobody grants in time lapses. */
#ifndef TREATY_ACTS_H
#define TREATY_ACTS_H

#include "agent/mcp_table.h"

bool acts_wait(const struct side *s, const char *tool);
/* Instead of the act: answers with the question's id. args needs a reason, or names itself why. */
int acts_ask(struct side *s, const struct peer *p, const char *tool, const json_t *args,
	     struct mcp_turn *t, struct err *e) must_check;
/* NULL when that id is no act's. */
const struct act *acts_find(const struct side *s, const char *id);
/* The human's answer; a grant ends the turn with the act's own answer. */
int acts_answer(struct side *s, const struct peer *p, const struct act *a, bool grant,
		const why_t *why, struct mcp_turn *t, struct err *e) must_check;
json_t *acts_row(const struct act *a); /* as among the approvals */
/* Lets questions lapse in time. */
int acts_start(struct side *s, struct err *e) must_check;

#endif
