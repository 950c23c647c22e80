/* SPDX-License-Identifier: Apache-2.0 */
/* queries_int.h - shared by queries*.c only. */
#ifndef TREATY_QUERIES_INT_H
#define TREATY_QUERIES_INT_H

#include "agent/codec/json.h"
#include "agent/codec/tmf.h"
#include "mcp_table.h"

#define QUERY_ID                                                              \
	"{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"}}," \
	"\"required\":[\"id\"],\"additionalProperties\":false}"

/* Lists come a page at a time, or a busy side would stand still while it writes what it has. */
#define QUERY_PAGE                                                                             \
	"{\"type\":\"object\",\"properties\":{\"after\":{\"type\":\"integer\",\"minimum\":0}," \
	"\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":500}},"                     \
	"\"additionalProperties\":false}"
enum { QUERY_PAGE_MAX = 500 };

/* A row's function; each file offers its rows as one table that ends with a NULL name. */
extern const struct mcp_row query_rows_deals[], query_rows_log[], query_rows_tmf[],
	query_rows_ledger[], query_rows_verify[], query_rows_human[], query_rows_approval[],
	query_rows_dataplane[], query_rows_disclosure[], query_rows_measure[], query_rows_review[],
	query_rows_key[];

/* Rows for tools of tools.def that have no row of their own. */
int query_tools_add(struct side *s, struct err *e) must_check;

/* Ends the turn with o, which is consumed; NULL o is -ENOMEM. */
int query_answer(struct mcp_turn *t, json_t *o, struct err *e) must_check;
/* args.after, 0 where a list begins, as the answer before named it in "next"; and args.limit. */
int query_page(const json_t *args, uint32_t *after, uint32_t *limit, struct err *e) must_check;
/* The same of a list in parts, whose "next" is "holds:17": of which part, and behind which of its
 * rows. Without after: part 0, row 0. limit NULL: there is none. The part's index, or negative.
 */
#define QUERY_PARTS                                                             \
	"{\"type\":\"object\",\"properties\":{\"after\":{\"type\":\"string\"}," \
	"\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":500}},"      \
	"\"additionalProperties\":false}"
int query_part(const json_t *args, const char *const *parts, int n, int64_t *row, uint32_t *limit,
	       struct err *e) must_check;
/* Says where the next page begins. */
int query_part_next(json_t *o, const char *part, int64_t row) must_check;
/* The same with rows under this name, and where more of them begin (0 = there are none). Takes
 * rows. */
int query_answer_page(struct mcp_turn *t, const char *name, json_t *rows, uint32_t next,
		      struct err *e) must_check;
/* The deal that any of its ids names: negotiation, lineage, intent, quote, order, plan, service,
 * hold. NULL when there is none. */
const struct deal *query_deal(const struct side *s, const char *id);
/* args.id, required, as text of this call; and its deal: -ENOENT names it. */
int query_id(const json_t *args, const char **ret, struct err *e) must_check;
int query_deal_arg(const struct side *s, const json_t *args, const struct deal **ret,
		   struct err *e) must_check;
/* Operational names of the two parties, for TM Forum bodies. */
void query_parties(const struct side *s, struct tmf_parties *ret);

#endif
