/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for a human, and the human's answer. */
#include "acts.h"
#include "queries_int.h"

#include <errno.h>
#include <stdio.h>

static const char *const states[] = {
	[APPROVAL_NONE] = "none",       [APPROVAL_WAITING] = "waiting",
	[APPROVAL_GRANTED] = "granted", [APPROVAL_DENIED] = "denied",
	[APPROVAL_LAPSED] = "lapsed",   [APPROVAL_USED] = "used"
};

static json_t *approval_row(const struct deal *d)
{
	const struct ev_approval *a = &d->approval;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:s, s:I, s:s}", "id", a->id.s,
			 "state", states[d->approval_state], "deal", d->negotiation.s, "class",
			 d->intent.class_name.s, "quote", a->quote.s, "item", a->item, "amount",
			 (json_int_t)a->amount.minor, "currency", a->currency, "expiresMs",
			 (json_int_t)a->expires.ms, "why", a->why.s);
}

static int on_list(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	const struct world *w = engine_world(s->engine);
	json_t *rows = json_array();
	int r = json_only(args, "", e, NULL);

	(void)p, (void)key;
	for (uint32_t i = 0; !r && i < w->n_deals; i++)
		if (w->deal[i].approval_state != APPROVAL_NONE &&
		    json_array_append_new(rows, approval_row(&w->deal[i])))
			r = err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; !r && i < w->n_acts; i++)
		if (json_array_append_new(rows, acts_row(&w->act[i])))
			r = err_set(e, -ENOMEM, "out of memory");
	if (r) {
		json_decref(rows);
		return r;
	}
	return query_answer(t, json_pack("{s:o}", "approvals", rows), e);
}

static const struct deal *asked(const struct side *s, const char *id)
{
	const struct world *w = engine_world(s->engine);

	for (uint32_t i = 0; i < w->n_deals; i++)
		if (w->deal[i].approval_state != APPROVAL_NONE &&
		    !strcmp(w->deal[i].approval.id.s, id))
			return &w->deal[i];
	return NULL;
}

static int answer(struct side *s, const struct peer *p, const json_t *args, enum tool_id tool,
		  struct mcp_turn *t, struct err *e)
{
	struct ev_approval a;
	const struct act *act;
	const struct deal *d;
	char id[sizeof(ident_t)];
	why_t why = { 0 };
	enum refusal no;
	int r = mcp_id_reason(args, id, sizeof(id), &why, e);

	if (r)
		return r;
	act = acts_find(s, id);
	if (act)
		return acts_answer(s, p, act, tool == TOOL_approval_grant, &why, t, e);
	d = asked(s, id);
	if (!d)
		return err_set(e, -ENOENT, "id: %s: no such approval", id);
	a = d->approval;
	a.why = why;
	no = tool_call(s->engine, tool, &a);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, "the approval is decided, used, or its time is over");
		return 0;
	}
	return mcp_answer_later(s, t,
				json_pack("{s:s, s:s, s:s, s:I, s:s}", "id", a.id.s, "state",
					  tool == TOOL_approval_grant ? "granted" : "denied",
					  "deal", a.deal.s, "amount", (json_int_t)a.amount.minor,
					  "currency", a.currency),
				e);
}

static int on_grant(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e)
{
	(void)key;
	return answer(s, p, args, TOOL_approval_grant, t, e);
}

static int on_deny(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	(void)key;
	return answer(s, p, args, TOOL_approval_deny, t, e);
}

const struct mcp_row query_rows_approval[] = {
	{ "approval_list", "Approvals", "What waits for a human, and what became of it",
	  .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP, .call = on_list },
	{ "approval_grant", "Grant an approval",
	  "Allows the choice, up to the amount asked for; or lets the act happen",
	  .input_schema = MCP_ID_REASON, .idempotent = true, .open_world = true, .who = WHO_HUMAN,
	  .call = on_grant },
	{ "approval_deny", "Deny an approval",
	  "Refuses the choice, and the offer is declined; or the act",
	  .input_schema = MCP_ID_REASON, .idempotent = true, .open_world = true, .who = WHO_HUMAN,
	  .call = on_deny },
	{ 0 },
};
