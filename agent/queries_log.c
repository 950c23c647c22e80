/* SPDX-License-Identifier: Apache-2.0 */
/* The log for readers: rows after a sequence number, and everything that touched one deal. */
#include "agent/codec/event_json.h"
#include "agent/store/store.h"
#include "log_commit.h"
#include "log_scan.h"
#include "queries_int.h"

#include <errno.h>

#define ROWS_MAX  1000
#define BYTES_MAX (4 * 1024 * 1024) /* of one answer */

/* --- log_read ----------------------------------------------------------------------------------
 */

struct reading {
	json_t *rows;
	uint64_t durable;
	size_t left, bytes;
	struct err *e;
};

/* Rows that are not durable yet are nobody's business. */
static int read_row(void *arg, const struct store_event *row)
{
	struct reading *to = arg;
	json_t *js;

	if (row->seq > to->durable || !to->left || to->bytes + row->len > BYTES_MAX)
		return 1;
	js = json_loadb(row->body, row->len, JSON_REJECT_DUPLICATES, NULL);
	if (!js)
		return err_set(to->e, -EUCLEAN, "event %llu: not JSON",
			       (unsigned long long)row->seq);
	to->left--;
	to->bytes += row->len;
	return json_array_append_new(to->rows, js) ? -ENOMEM : 0;
}

static int on_log_read(struct side *s, const struct peer *p, const json_t *args, const char *key,
		       struct mcp_turn *t, struct err *e)
{
	struct store *st = engine_store(s->engine);
	int64_t after = 0, limit = 100;
	struct reading to = { .durable = store_durable(st), .e = e };
	int r = json_only(args, "", e, "after", "limit", NULL);

	(void)p;
	(void)key;
	if (!r)
		r = json_opt_int(args, "", "after", 0, INT64_MAX - 1, &after, e);
	if (r >= 0)
		r = json_opt_int(args, "", "limit", 1, ROWS_MAX, &limit, e);
	if (r < 0)
		return r;
	to.left = (size_t)limit;
	to.rows = json_array();
	r = !to.rows ? -ENOMEM
	    : (uint64_t)after >= to.durable
		    ? 0
		    : store_replay(st, (uint64_t)after + 1, read_row, &to, e);
	if (r < 0) {
		json_decref(to.rows);
		return r;
	}
	return query_answer(
		t, json_pack("{s:o, s:I}", "rows", to.rows, "durable", (json_int_t)to.durable), e);
}

/* --- explain -----------------------------------------------------------------------------------
 */

struct explaining {
	struct side *side;
	struct mcp_turn *turn;
	struct mcp_kept_view *view;
	ident_t about; /* as it was asked for */
	json_t *rows;
	ident_t ids[32]; /* the deal's names, found as the log goes by */
	size_t n_ids;
};

static bool known_id(const struct explaining *x, const ident_t *id)
{
	for (size_t i = 0; i < x->n_ids; i++)
		if (ident_eq(x->ids[i], *id))
			return true;
	return false;
}

static void learn(struct explaining *x, const ident_t *id)
{
	if (!ident_empty(*id) && !known_id(x, id) && x->n_ids < ARRAY_LEN(x->ids))
		x->ids[x->n_ids++] = *id;
}

/* Where a payload keeps the names of what it is about: offsets into union event_body. */
#define AT(m) offsetof(union event_body, m)
static const struct {
	enum event_kind kind;
	uint8_t n;
	size_t at[5];
} names_of[] = {
	{ EV_INTENT_DECLARED, 3, { AT(intent.id), AT(intent.negotiation), AT(intent.lineage) } },
	{ EV_WALLET_ADMITTED,
	  3,
	  { AT(admit.intent.id), AT(admit.intent.negotiation), AT(admit.intent.lineage) } },
	{ EV_QUOTE_OFFERED, 3, { AT(quote.id), AT(quote.negotiation), AT(quote.lineage) } },
	{ EV_QUOTE_RECEIVED, 3, { AT(quote.id), AT(quote.negotiation), AT(quote.lineage) } },
	{ EV_RENEGOTIATION_OPENED, 3, { AT(quote.id), AT(quote.negotiation), AT(quote.lineage) } },
	{ EV_AGREEMENT_SIGNED,
	  5,
	  { AT(agreement.lineage), AT(agreement.negotiation), AT(agreement.quote),
	    AT(agreement.service), AT(agreement.hold) } },
	{ EV_AGREEMENT_ACCEPTED,
	  5,
	  { AT(agreement.lineage), AT(agreement.negotiation), AT(agreement.quote),
	    AT(agreement.service), AT(agreement.hold) } },
	{ EV_ACCEPTANCE_RECORDED,
	  5,
	  { AT(agreement.lineage), AT(agreement.negotiation), AT(agreement.quote),
	    AT(agreement.service), AT(agreement.hold) } },
	{ EV_ORDER_EMITTED, 3, { AT(order.id), AT(order.lineage), AT(order.service) } },
	{ EV_PLAN_COMMITTED, 3, { AT(plan.id), AT(plan.order), AT(plan.lineage) } },
	{ EV_STEPS_TAKEN, 3, { AT(plan.id), AT(plan.order), AT(plan.lineage) } },
	{ EV_REMOVAL_OWED, 3, { AT(plan.id), AT(plan.order), AT(plan.lineage) } },
	{ EV_REMOVAL_SETTLED, 3, { AT(plan.id), AT(plan.order), AT(plan.lineage) } },
	{ EV_QUOTE_ACCEPTED, 3, { AT(accept.deal), AT(accept.quote), AT(accept.hold) } },
	{ EV_ACCEPT_RECORDED, 3, { AT(accept.deal), AT(accept.quote), AT(accept.hold) } },
	{ EV_QUOTE_COUNTERED, 2, { AT(counter.deal), AT(counter.quote) } },
	{ EV_PLAN_STEP_DONE, 2, { AT(progress.deal), AT(progress.plan) } },
	{ EV_REFUSED, 1, { AT(refused.deal) } },
	{ EV_ORDER_REFUSED, 1, { AT(refused.deal) } },
	{ EV_STEP_RECEIPT, 1, { AT(receipt.plan) } },
	{ EV_ADVICE_GIVEN, 1, { AT(advice.deal) } },
	{ EV_CREDIT_ISSUED, 1, { AT(credit.deal) } },
	{ EV_CREDIT_TAKEN, 1, { AT(credit.deal) } },
	{ EV_APPROVAL_ASKED, 3, { AT(approval.deal), AT(approval.id), AT(approval.quote) } },
	{ EV_APPROVAL_GRANTED, 3, { AT(approval.deal), AT(approval.id), AT(approval.quote) } },
	{ EV_APPROVAL_DENIED, 3, { AT(approval.deal), AT(approval.id), AT(approval.quote) } },
	{ EV_APPROVAL_LAPSED, 3, { AT(approval.deal), AT(approval.id), AT(approval.quote) } },
	{ EV_ACT_ASKED, 2, { AT(act.id), AT(act.about) } },
	{ EV_ACT_GRANTED, 2, { AT(act.id), AT(act.about) } },
	{ EV_ACT_DENIED, 2, { AT(act.id), AT(act.about) } },
	{ EV_ACT_LAPSED, 2, { AT(act.id), AT(act.about) } },
};
#undef AT

static size_t ids_of(const struct event *ev, const ident_t *ids[6])
{
	const char *u = (const char *)&ev->u;

	for (size_t i = 0; i < ARRAY_LEN(names_of); i++) {
		if (names_of[i].kind != ev->kind)
			continue;
		for (size_t k = 0; k < names_of[i].n; k++)
			ids[k] = (const ident_t *)(u + names_of[i].at[k]);
		return names_of[i].n;
	}
	ids[0] = &ev->u.ref.deal;
	return event_table(ev->kind) == &ev_ref_fields;
}

static bool in_spur(const struct explaining *x, const struct event *ev)
{
	for (uint8_t i = 0; ev->kind == EV_SPUR_REBALANCED && i < ev->u.spur.n_flows; i++)
		if (known_id(x, &ev->u.spur.flow[i].lineage))
			return true;
	return false;
}

/* What a person can do about an event, in the commands of treatyctl. */
static const char *undo(enum event_kind k)
{
	switch (k) {
	case EV_INTENT_DECLARED:
	case EV_WALLET_ADMITTED: return "no money moves before an acceptance; it lapses unanswered";
	case EV_QUOTE_OFFERED:
	case EV_QUOTE_RECEIVED:
	case EV_RENEGOTIATION_OPENED:
		return "let it lapse: an offer binds nobody after its validity";
	case EV_QUOTE_ACCEPTED:
	case EV_ACCEPT_RECORDED: return "the hold is released when no signature follows";
	case EV_AGREEMENT_ACCEPTED:
	case EV_ACCEPTANCE_RECORDED:
	case EV_SERVICE_ACTIVE: return "treatyctl agreement terminate ID --reason TEXT";
	case EV_PLAN_COMMITTED:
	case EV_STEPS_TAKEN:
		return "treatyctl path swap AGREEMENT PATH; or terminate the agreement";
	case EV_TERMINATED: return "declare the intent again: an end is final";
	case EV_WALLET_REVOKED: return "issue a wallet of a new id: a revocation is final";
	case EV_CREDIT_ISSUED:
	case EV_CREDIT_TAKEN: return "declare the intent again: a void revision stays void";
	case EV_DISCLOSURE_LOADED: return "treatyctl disclosure load FILE, of the next version";
	case EV_KEY_ROTATED:
		return "treatyctl key rotate ROLE: back to the key before, as a new act";
	case EV_KEY_COMPROMISED:
		return "nothing brings a compromised key back: rotate to another, see "
		       "runbook-keys.md";
	case EV_LEDGER_FROZEN: return "treatyctl ledger thaw --reason TEXT";
	case EV_LEDGER_THAWED: return "treatyctl ledger freeze --reason TEXT";
	case EV_CONSUMER_ERASED: return "nothing: what was erased cannot be read again";
	default: return "";
	}
}

/* The alternatives that the core turned down, wherever its answer lists them. */
static json_t *alternatives(const json_t *inputs)
{
	const json_t *list = json_object_get(json_object_get(inputs, "out"), "refused");
	json_t *a = json_array(), *x;
	size_t i;

	json_array_foreach (list, i, x) {
		json_int_t why = json_integer_value(json_object_get(x, "refusal"));

		(void)json_array_append_new(a, json_pack("{s:O, s:s, s:s}", "no",
							 json_object_get(x, "no"), "refusal",
							 refusal_name((enum refusal)why), "text",
							 refusal_text((enum refusal)why)));
	}
	return a;
}

/* Scalars of the decision's input and its output, one level deep: the numbers that a person
 * compares; the log row holds the rest. */
static json_t *key_numbers(const json_t *o)
{
	json_t *to = json_object(), *v;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)o, key, v)
		if (!json_is_object(v) && !json_is_array(v))
			(void)json_object_set(to, key, v);
	return to;
}

static const char *why_of(const struct event *ev)
{
	switch (ev->kind) {
	case EV_REFUSED:
	case EV_ORDER_REFUSED: return ev->u.refused.why.s;
	case EV_QUOTE_ACCEPTED:
	case EV_ACCEPT_RECORDED: return ev->u.accept.why.s;
	case EV_QUOTE_COUNTERED: return ev->u.counter.why.s;
	case EV_PLAN_STEP_DONE: return ev->u.progress.why.s;
	case EV_STEP_RECEIPT: return ev->u.receipt.why.s;
	case EV_SPUR_REBALANCED: return ev->u.spur.why.s;
	case EV_ADVICE_GIVEN: return ev->u.advice.why.s;
	case EV_CREDIT_ISSUED:
	case EV_CREDIT_TAKEN: return ev->u.credit.why.s;
	default: return event_table(ev->kind) == &ev_ref_fields ? ev->u.ref.why.s : "";
	}
}

static json_t *explained(const struct event *ev, const json_t *inputs)
{
	const char *core = json_string_value(json_object_get(inputs, "core"));
	const json_t *out = json_object_get(inputs, "out");
	const char *why = why_of(ev);
	const char *core_why = json_string_value(json_object_get(out, "why"));
	char at[TIME_TEXT_MAX];

	time_format(ev->at, at);
	if (!*why && core_why)
		why = core_why;
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s}", "seq",
			 (json_int_t)ev->seq, "time", at, "event", event_name(ev->kind), "actor",
			 ev->actor.s, "tool", ev->tool.s, "core", core ? core : "", "why", why,
			 "in", key_numbers(json_object_get(inputs, "in")), "out", key_numbers(out),
			 "alternatives", alternatives(inputs), "refusal",
			 ev->kind == EV_REFUSED || ev->kind == EV_ORDER_REFUSED
				 ? refusal_name((enum refusal)ev->u.refused.refusal)
				 : "",
			 "undo", undo(ev->kind));
}

/* An event is read when its text has one of the names: most have none. */
static bool has_name(const struct explaining *x, const struct store_event *row)
{
	for (size_t i = 0; i < x->n_ids; i++)
		if (memmem(row->body, row->len, x->ids[i].s, strlen(x->ids[i].s)))
			return true;
	return false;
}

static int explain_row(void *arg, const struct store_event *row, struct err *e)
{
	struct explaining *x = arg;
	const ident_t *ids[6];
	struct event *ev = NULL;
	json_t *inputs = NULL;
	bool mine;
	size_t n;
	int r;

	if (!has_name(x, row))
		return 0;
	ev = malloc(sizeof(*ev));
	if (!ev)
		return err_set(e, -ENOMEM, "out of memory");
	r = event_read(row->body, row->len, ev, &inputs, e);
	n = r ? 0 : ids_of(ev, ids);
	mine = !r && in_spur(x, ev);
	for (size_t i = 0; i < n; i++)
		mine |= known_id(x, ids[i]);
	/* What shares an event with the deal is a name of it too: the order of an agreement. */
	for (size_t i = 0; mine && i < n; i++)
		learn(x, ids[i]);
	if (mine && json_array_append_new(x->rows, explained(ev, inputs)))
		r = err_set(e, -ENOMEM, "out of memory");
	json_decref(inputs);
	free(ev);
	return r ? r : json_array_size(x->rows) == ROWS_MAX;
}

static struct explaining *explaining_free(struct explaining *x)
{
	if (x) {
		json_decref(x->rows);
		x->view = mcp_table_free_view(x->view);
	}
	free(x);
	return NULL;
}

static void explain_done(void *arg, int r, struct err *e)
{
	struct explaining *x = arg;
	const struct deal *d = query_deal(x->side, x->about.s);
	json_t *o = NULL;

	if (!r && !json_array_size(x->rows))
		r = err_set(e, -ENOENT, "agreement_unknown: %s: nothing in the log names it",
			    x->about.s);
	if (!r) {
		o = json_pack("{s:s, s:s, s:O}", "id", x->about.s, "life",
			      d ? life_name(d->life) : "", "events", x->rows);
		r = o ? mcp_table_view_by(x->view, &o, e) : err_set(e, -ENOMEM, "out of memory");
	}
	if (r)
		mcp_turn_refuse(x->turn, e->text);
	else
		mcp_turn_result(x->turn, o);
	json_decref(o);
	explaining_free(x);
}

static int on_explain(struct side *s, const struct peer *p, const json_t *args, const char *key,
		      struct mcp_turn *t, struct err *e)
{
	struct log_scan ask = { .from = 1, .row = explain_row, .done = explain_done };
	struct explaining *x;
	const struct deal *d;
	const char *id;
	int r = query_id(args, &id, e);

	(void)p;
	(void)key;
	if (r)
		return r;
	x = ask.arg = calloc(1, sizeof(*x));
	if (!x || !(x->rows = json_array()) || !(x->view = mcp_table_keep_view())) {
		explaining_free(x);
		return err_set(e, -ENOMEM, "out of memory");
	}
	x->side = s;
	x->turn = t;
	str_cut(x->about.s, id);
	learn(x, &x->about);
	d = query_deal(s, id);
	if (d) {
		learn(x, &d->negotiation);
		learn(x, &d->lineage);
	}
	r = log_scan(s, &ask, e);
	if (r)
		explaining_free(x);
	return r;
}

/* The root that would come with enough events or before the next checkpoint, now: what is under it
 * can be proven from here on. */
static int on_commit(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	const struct world *w = engine_world(s->engine);
	uint64_t before = w->committed;
	int r = json_only(args, "", e, NULL);

	(void)p;
	(void)key;
	if (!r)
		r = log_commit_put(s, e);
	if (!r && w->committed == before)
		r = err_set(e, -EAGAIN,
			    s->commits ? "no digest is made since the last root: ask again"
				       : "this side signs no checkpoints (keys.checkpoint)");
	if (r)
		return r;
	return mcp_answer_later(s, t,
				json_pack("{s:s, s:I, s:I}", "recorded", "LOG_COMMITTED", "seq",
					  (json_int_t)w->seq, "upto",
					  (json_int_t)(w->committed - 1)),
				e);
}

#define LOG_READ_SCHEMA                                                                        \
	"{\"type\":\"object\",\"properties\":{\"after\":{\"type\":\"integer\",\"minimum\":0}," \
	"\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}},"                    \
	"\"additionalProperties\":false}"
#define READ .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP

const struct mcp_row query_rows_log[] = {
	{ "log_read", "Log", "Rows of the event log after a sequence number",
	  .input_schema = LOG_READ_SCHEMA, READ, .call = on_log_read },
	{ "explain", "Explain", "Every event that touched an object: who, by which rule, and why",
	  .input_schema = QUERY_ID, READ, .call = on_explain },
	{ "log_commit", "Fix the log's digests", "Writes the root over what was logged so far",
	  .idempotent = true, .who = WHO_HUMAN, .call = on_commit },
	{ 0 },
};
