/* SPDX-License-Identifier: Apache-2.0 */
/* approval_review: a human's client shows what waits and brings the human's own answer. The tool's
 * caller may be a model; what decides is the form that its client puts before a person. 2026-07-28:
 * the call ends input_required and is repeated with the answer; 2025-11-25: we ask within the call.
 */
#include "queries_int.h"

#include "agent/wire/rpc.h"

#include <errno.h>
#include <stdio.h>

enum { REVIEWS_MAX = 32, REVIEW_US = 600 * 1000000 };

/* One question that is out: whose, about what, and until when. The token is no secret of the
 * question, it only finds it; the caller's identity is compared too. */
static struct review {
	char token[RPC_ID_MAX], owner[WIRE_DID_MAX];
	struct ev_approval a;
	mono_t until;
} reviews[REVIEWS_MAX];

struct asked {
	struct side *side;
	struct mcp_turn *turn;
	struct ev_approval a;
};

static const struct deal *waiting(const struct side *s, const char *id)
{
	const struct world *w = engine_world(s->engine);

	for (uint32_t i = 0; i < w->n_deals; i++)
		if (w->deal[i].approval_state == APPROVAL_WAITING &&
		    !strcmp(w->deal[i].approval.id.s, id))
			return &w->deal[i];
	return NULL;
}

/* The form; numbers and names of ours alone, nothing that a peer wrote. */
static json_t *form(const struct deal *d)
{
	const struct ev_approval *a = &d->approval;
	char text[300];

	(void)snprintf(
		text, sizeof(text),
		"Class %s: %lld.%02lld %s, above what the agent may spend alone. Approval %s, "
		"quote %s version %u item %u. Allow it?",
		d->intent.class_name.s, (long long)(a->amount.minor / 100),
		(long long)(a->amount.minor % 100), a->currency, a->id.s, a->quote.s, a->version,
		a->item);
	return json_pack("{s:s, s:{s:s, s:{s:{s:s, s:[s,s]}, s:{s:s, s:i, s:i}}, s:[s,s]}}",
			 "message", text, "requestedSchema", "type", "object", "properties",
			 "decision", "type", "string", "enum", "grant", "deny", "reason", "type",
			 "string", "minLength", 1, "maxLength", (int)sizeof(why_t) - 1, "required",
			 "decision", "reason");
}

/* --- the answer ---------------------------------------------------------------------------------
 */

/* What the form came back with. -EAGAIN: no answer in it, ask again; 1: the human would not say. */
static int answer_read(const json_t *r, bool *grant, why_t *why)
{
	const char *action = json_string_value(json_object_get(r, "action"));
	const json_t *content = json_object_get(r, "content");
	const char *decision = json_string_value(json_object_get(content, "decision"));
	const char *reason = json_string_value(json_object_get(content, "reason"));

	if (action && strcmp(action, "accept") != 0)
		return 1;
	if (!action || !decision || !reason || !*reason || !str_set(why->s, reason) ||
	    (strcmp(decision, "grant") != 0 && strcmp(decision, "deny") != 0))
		return -EAGAIN;
	*grant = !strcmp(decision, "grant");
	return 0;
}

static int decide(struct side *s, struct ev_approval *a, bool grant, struct mcp_turn *t,
		  struct err *e)
{
	enum refusal no = tool_call(s->engine, grant ? TOOL_approval_grant : TOOL_approval_deny, a);

	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, "the approval is decided, has changed, or its time is over");
		return 0;
	}
	return mcp_answer_later(s, t,
				json_pack("{s:s, s:s, s:s, s:I, s:s}", "id", a->id.s, "state",
					  grant ? "granted" : "denied", "deal", a->deal.s, "amount",
					  (json_int_t)a->amount.minor, "currency", a->currency),
				e);
}

/* --- 2025-11-25 ---------------------------------------------------------------------------------
 */

static void on_cancel(void *arg)
{
	struct asked *q = arg;

	mcp_turn_refuse(q->turn, "cancelled");
	free(q);
}

static void on_answer(void *arg, struct mcp_turn *t, const json_t *result)
{
	struct asked *q = arg;
	struct err e = { 0 };
	bool grant = false;

	mcp_turn_on_cancel(t, NULL, NULL);
	if (!result || answer_read(result, &grant, &q->a.why))
		mcp_turn_refuse(t, "declined: nobody decided, the approval still waits");
	else if (decide(q->side, &q->a, grant, t, &e))
		mcp_turn_refuse(t, e.text);
	free(q);
}

static int ask_now(struct side *s, const struct deal *d, struct mcp_turn *t, struct err *e)
{
	struct asked *q = malloc(sizeof(*q));
	json_t *params = form(d);
	int r = q && params ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (!r) {
		*q = (struct asked){ s, t, d->approval };
		r = mcp_turn_ask(t, "elicitation/create", params, on_answer, q);
		if (r)
			(void)err_set(e, r, "elicitation: a client that can be asked is needed");
	}
	json_decref(params);
	if (r)
		free(q);
	else
		mcp_turn_on_cancel(t, on_cancel, q);
	return r;
}

/* --- 2026-07-28 ---------------------------------------------------------------------------------
 */

/* Ends the call with the question. The one that is out longest gives way. */
static int ask_later(struct side *s, const struct deal *d, const char *owner, struct mcp_turn *t,
		     struct err *e)
{
	struct review *x = &reviews[0];
	json_t *o;

	for (size_t i = 1; i < REVIEWS_MAX; i++)
		if (reviews[i].until.us < x->until.us)
			x = &reviews[i];
	x->a = d->approval;
	x->until.us = loop_now(s->loop).us + REVIEW_US;
	(void)snprintf(x->owner, sizeof(x->owner), "%s", owner);
	if (rpc_random_id(x->token))
		return err_set(e, -EIO, "no random bytes");
	o = json_pack("{s:s, s:{s:{s:s, s:o}}, s:s}", "resultType", "input_required",
		      "inputRequests", "decision", "method", "elicitation/create", "params",
		      form(d), "requestState", x->token);
	if (!o)
		return err_set(e, -ENOMEM, "out of memory");
	mcp_turn_raw(t, o);
	json_decref(o);
	return 0;
}

/* The question that this state belongs to, spent by the look. */
static bool review_take(struct side *s, const char *state, const char *owner, const char *id,
			struct ev_approval *ret)
{
	for (size_t i = 0; state && i < REVIEWS_MAX; i++) {
		struct review *x = &reviews[i];
		bool mine = x->token[0] && !strcmp(x->token, state) && !strcmp(x->owner, owner) &&
			    !strcmp(x->a.id.s, id) && x->until.us > loop_now(s->loop).us;

		if (!mine)
			continue;
		*ret = x->a;
		memset(x, 0, sizeof(*x));
		return true;
	}
	return false;
}

static int reviewed(struct side *s, const struct deal *d, const char *owner, struct mcp_turn *t,
		    struct err *e)
{
	const json_t *params = mcp_turn_params(t);
	const json_t *said = json_object_get(json_object_get(params, "inputResponses"), "decision");
	const char *state = json_string_value(json_object_get(params, "requestState"));
	struct ev_approval a;
	bool grant = false;
	int r;

	if (!said)
		return ask_later(s, d, owner, t, e);
	if (!review_take(s, state, owner, d->approval.id.s, &a)) {
		mcp_turn_fail(t, MCP_E_PARAMS, "requestState: not of a question that is out");
		return 0;
	}
	r = answer_read(said, &grant, &a.why);
	if (r == -EAGAIN)
		return ask_later(s, d, owner, t, e);
	if (!r)
		return decide(s, &a, grant, t, e);
	mcp_turn_refuse(t, "declined: nobody decided, the approval still waits");
	return 0;
}

static int on_review(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	char owner[WIRE_DID_MAX];
	const struct deal *d;
	const char *id;
	json_t *need;
	int r = query_id(args, &id, e);

	(void)key;
	if (r)
		return r;
	d = waiting(s, id);
	if (!d)
		return err_set(e, -ENOENT, "id: %s: no approval of this id waits", id);
	if (!mcp_turn_capable(t, "elicitation")) {
		need = json_pack("{s:{s:{}}}", "requiredCapabilities", "elicitation");
		mcp_turn_fail_data(t, MCP_E_CAPABILITY,
				   "elicitation: the client must be able to "
				   "ask its user",
				   need);
		json_decref(need);
		return 0;
	}
	if (mcp_turn_legacy(t))
		return ask_now(s, d, t, e);
	wire_owner(p, owner);
	return reviewed(s, d, owner, t, e);
}

const struct mcp_row query_rows_review[] = {
	{ "approval_review", "Put an approval before a human",
	  "Shows what waits to the person at the client and takes that person's own answer",
	  .input_schema = QUERY_ID, .idempotent = true, .open_world = true, .who = WHO_HUMAN,
	  .call = on_review },
	{ 0 },
};
