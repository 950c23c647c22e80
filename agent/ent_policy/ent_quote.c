/* SPDX-License-Identifier: Apache-2.0 */
/* A menu comes in: read, kept, recorded, chosen from, and answered, all in one turn. The ledger
 * moves before the event that depends on it, and only when the event is known to be legal. */
#include "ent_int.h"

#include "agent/codec/canon.h"
#include "agent/log.h"
#include "agent/store/store.h"

#include <errno.h>
#include <stdio.h>

#define HOLD_GRACE_MS 30000 /* a hold outlives its quote: the agreement may be on its way */

/* What a quote must repeat of the deal that it is for. */
static enum refusal belongs(const struct conv *c, const struct deal *d, const struct quote *q,
			    struct err *e)
{
	bool offer = q->reason == QUOTE_STEP_UP || q->reason == QUOTE_STEP_DOWN ||
		     q->reason == QUOTE_WALK_BACK;
	const char *what = NULL;

	if (!ident_eq(q->negotiation, d->negotiation))
		what = "externalId: another negotiation";
	else if (!ident_eq(q->class_name, d->intent.class_name))
		what = "flowClass: another class";
	else if (d->cur.rev ? !ident_eq(q->lineage, d->cur.lineage) : !ident_empty(q->lineage))
		what = "agreement: another agreement";
	else if (offer ? d->cur.rev == 0 : !ident_eq(q->intent, d->intent.id))
		what = "intent: another intent";
	else if (c && c->step == CONV_COUNTER && !ident_eq(q->id, c->quote))
		what = "id: another quote than the one countered";
	if (!what)
		return REFUSE_NONE;
	(void)err_set(e, -EINVAL, "quote: %s", what);
	return REFUSE_QUOTE_MISMATCH;
}

enum refusal ent_quote_read(struct ent *en, const struct deal *d, const json_t *body,
			    struct quote *ret, struct err *e)
{
	const struct conv *c = ent_conv(en, d);

	if (!body) {
		(void)err_set(e, -EINVAL, "artifact: quote: required");
		return REFUSE_BODY_MALFORMED;
	}
	if (tmf648_read(body, &en->parties, ret, e) || tmf_digest(body, &ret->digest, e))
		return REFUSE_BODY_MALFORMED;
	return belongs(c, d, ret, e);
}

/* --- answering ---------------------------------------------------------------------------------
 */

static int say(struct conv *c, const struct quote *q, enum conv_step step, const char *purpose,
	       json_t *part, struct err *e)
{
	char id[A2A_ID_MAX];

	(void)snprintf(id, sizeof(id), "m-%s-%s-%u", purpose, q->id.s, q->version);
	return ent_say_part(c, step, id, part, e);
}

void ent_reject(struct conv *c, const struct deal *d, const char *why)
{
	struct ev_ref ref = { .deal = d->negotiation, .about = d->quote.id, .why = ent_why(why) };
	struct err e = { 0 };

	if (say(c, &d->quote, CONV_REJECT, "reject", nego_part(NEGO_REJECT, &ev_ref_fields, &ref),
		&e))
		log_error("%s: %s", c->deal.s, e.text);
}

/* --- choosing ----------------------------------------------------------------------------------
 */

/* A change that the operator refused is no measure for what it offers later. */
static struct grades wanted(const struct deal *d, const struct class_profile *p)
{
	struct grades g = d->intent.want;

	if (d->cur.rev == 0 || d->quote.reason == QUOTE_CHANGE ||
	    ident_eq(d->intent.id, d->origin.intent))
		return g;
	g = p->want;
	g.bandwidth = d->origin.g.bandwidth;
	return g;
}

static int gather(struct conv *c, const struct deal *d, struct ent_policy_in *in, struct err *e)
{
	struct ent *en = c->ent;
	const struct class_profile *p = side_profile(en->s, &d->intent.class_name);

	memset(in, 0, sizeof(*in));
	if (!p)
		return err_set(e, -ENOENT, "class %s: not configured", d->intent.class_name.s);
	in->quote = d->quote;
	in->profile = *p;
	in->want = wanted(d, p);
	in->captured = deal_captured(d);
	in->origin_price = d->origin.price;
	in->now = engine_now(en->s->engine);
	in->round = (uint8_t)c->rounds;
	in->bargain = en->s->cfg->enterprise.bargain;
	in->last_margin = c->margin;
	deal_cost(d, &in->cost);
	if (ent_wallet_limits(en, &d->intent.class_name, &in->wallet, e))
		return e->code;
	in->wallet.agreement_max = ent_approval_limit(en, d);
	return 0;
}

static void advised(struct ent *en, const struct deal *d, const struct advice *a,
		    const struct ent_policy_out *out)
{
	static const char *const names[] = {
		[ADVICE_NULL] = "null", [ADVICE_RANDOM] = "random", [ADVICE_HOSTILE] = "hostile"
	};
	struct ev_advice ev = { .deal = d->negotiation,
				.choice = a->kind == ADVICE_PICK ? a->item : 0,
				.heeded = out->advised,
				.why = a->text };

	str_cut(ev.adviser.s, names[en->s->cfg->daemon.advice % ARRAY_LEN(names)]);
	(void)tool_advice_record(&en->advice, &ev, NULL, NULL);
}

static void fill_hold(const struct ent *en, const struct deal *d, const struct ev_accept *a,
		      struct ledger_hold *q)
{
	ident_t lineage;

	memset(q, 0, sizeof(*q));
	ent_lineage(d, &lineage);
	q->wallet = en->wid;
	str_cut(q->class_name, d->intent.class_name.s);
	str_cut(q->currency, d->quote.currency);
	str_cut(q->lineage, lineage.s);
	q->rev = deal_next_rev(d);
	q->prev = ent_hash(&d->head);
	q->offer = ent_hash(&a->quote_digest);
	q->amount = a->amount;
	q->now = a->start;
	q->expires.ms = d->quote.valid_until.ms + HOLD_GRACE_MS;
}

static void fill_accept(const struct ent *en, const struct deal *d,
			const struct ent_policy_out *out, struct ev_accept *a)
{
	*a = (struct ev_accept){ .deal = d->negotiation,
				 .quote = d->quote.id,
				 .version = d->quote.version,
				 .item = out->item,
				 .quote_digest = d->quote.digest,
				 .margin = out->margin,
				 .price = out->price,
				 .held = out->hold,
				 .amount = out->amount,
				 .start = out->start,
				 .end = out->end,
				 .why = out->why };
	str_cut(a->wallet.s, en->wallet.wallet_id);
}

static enum refusal accept(struct conv *c, const struct deal *d, const struct ent_policy_out *out,
			   const struct decision *dn, struct err *e)
{
	struct ent *en = c->ent;
	struct store *st = engine_store(en->s->engine);
	struct ledger_result res;
	struct ledger_hold q;
	struct ev_accept a;
	struct hash key;
	enum refusal no;

	fill_accept(en, d, out, &a);
	fill_hold(en, d, &a, &q);
	key = ledger_hold_key(q.lineage, q.rev, &q.offer);
	ledger_hold_id(&key, a.hold.s);
	no = ent_would(en, EV_QUOTE_ACCEPTED, &a);
	if (no != REFUSE_NONE)
		return no;
	if (ledger_hold(st, &q, &res, e))
		return REFUSE_MAX_;
	if (res.why != REFUSE_NONE)
		return res.why;
	if (res.amount.minor != a.held.minor || strcmp(res.hold_id, a.hold.s) != 0) {
		(void)err_set(e, -EUCLEAN, "ledger: held %lld, the rules say %lld",
			      (long long)res.amount.minor, (long long)a.held.minor);
		return REFUSE_LEDGER_STATE;
	}
	no = tool_quote_accept(&en->cap, &a, dn, &a.quote_digest);
	if (no == REFUSE_NONE && say(c, &d->quote, CONV_ACCEPT, "accept",
				     nego_part(NEGO_ACCEPT, &ev_accept_fields, &a), e))
		no = REFUSE_MAX_;
	return no;
}

static enum refusal counter(struct conv *c, const struct deal *d, const struct ent_policy_out *out,
			    const struct decision *dn, struct err *e)
{
	struct ev_counter ev = { .deal = d->negotiation,
				 .quote = d->quote.id,
				 .item = out->item,
				 .margin = out->margin,
				 .round = c->rounds + 1,
				 .why = out->why };
	enum refusal no = tool_quote_counter(&c->ent->cap, &ev, dn, &d->quote.digest);

	if (no != REFUSE_NONE)
		return no;
	c->rounds++;
	c->margin = out->margin;
	return say(c, &d->quote, CONV_COUNTER, "counter",
		   nego_part(NEGO_COUNTER, &ev_counter_fields, &ev), e)
		       ? REFUSE_MAX_
		       : REFUSE_NONE;
}

static enum refusal reject(struct conv *c, const struct deal *d, const struct ent_policy_out *out,
			   const struct decision *dn)
{
	struct ev_ref ref = { .deal = d->negotiation, .about = d->quote.id, .why = out->why };
	enum refusal no = tool_quote_reject(&c->ent->cap, &ref, dn, &d->quote.digest);

	if (no == REFUSE_NONE)
		ent_reject(c, d, refusal_name(out->refusal));
	return no;
}

enum refusal ent_choose(struct conv *c, struct deal *d, struct err *e)
{
	enum refusal no;
	struct side *s = c->ent->s;
	struct ent_advised_in in = { 0 };
	struct ent_policy_out out;
	struct advice buf = { 0 };
	const struct advice *a = s->advise ? s->advise(s->advise_arg, &d->quote, &buf) : NULL;
	struct decision dn = { "ent_policy_choose", &ent_policy_in_fields, &ent_policy_out_fields,
			       &in.in, &out };

	if (gather(c, d, &in.in, e))
		return e->code == -ENOENT ? REFUSE_WALLET_POLICY : REFUSE_MAX_;
	ent_policy_choose(&in.in, a, &out);
	if (a) { /* the advice is an input like any other: the log repeats it, never the model */
		in.advice = *a;
		dn = (struct decision){ "ent_policy_advised", &ent_advised_in_fields,
					&ent_policy_out_fields, &in, &out };
		advised(c->ent, d, a, &out);
	}
	if (out.verdict == POLICY_ACCEPT)
		return accept(c, d, &out, &dn, e);
	if (out.verdict == POLICY_COUNTER)
		return counter(c, d, &out, &dn, e);
	if (!out.advised && ent_approval_ask(c, d, &in.in, &no, e))
		return no;
	return reject(c, d, &out, &dn);
}

/* The operator measures and cools; by quoting in life it says that both are over. Here the two
 * states only mirror it. */
static void catch_up(struct ent *en, const struct deal *d, const struct quote *q)
{
	struct ev_ref ref = { .deal = d->negotiation,
			      .about = q->id,
			      .rev = d->cur.rev,
			      .why = ent_why("the operator quotes in life") };

	if (d->active && (d->life == LIFE_PROVISIONED || d->life == LIFE_RESTORED))
		(void)tool_metered_note(&en->cap, &ref, NULL, NULL);
	if (d->life == LIFE_COOLING)
		(void)tool_cooled_note(&en->cap, &ref, NULL, NULL);
}

enum refusal ent_quote_take(struct conv *c, struct deal *d, const struct quote *q,
			    const json_t *body, struct err *e)
{
	enum refusal no;

	if (ent_keep(c->ent, body, &q->digest, e))
		return REFUSE_MAX_;
	if (!ident_eq(c->quote, q->id)) {
		c->quote = q->id;
		c->rounds = 0;
		c->margin.minor_h = 0;
	}
	/* A repeated answer is not a new menu. */
	if (!(d->has_quote && ident_eq(d->quote.id, q->id) && d->quote.version == q->version &&
	      digest_eq(d->quote.digest, q->digest))) {
		catch_up(c->ent, d, q);
		no = tool_quote_receive(&c->ent->cap, q, NULL, &q->digest);
		if (no != REFUSE_NONE)
			return no;
	}
	return ent_choose(c, d, e);
}

int ent_unhold(struct ent *en, const struct deal *d, struct err *e)
{
	struct ledger_hold_row row;
	struct ledger_result res;
	struct store *st = engine_store(en->s->engine);
	ident_t line;
	int r;

	if (!d->has_accept || ident_empty(d->accept.hold))
		return 0;
	ent_lineage(d, &line);
	r = ledger_hold_get(st, LEDGER_GATE, line.s, d->accept.hold.s, &row, e);
	if (r == -ENOENT) {
		*e = (struct err){ 0 };
		return 0;
	}
	if (r || row.state != HOLD_HELD)
		return r;
	return ledger_release(st, LEDGER_GATE, line.s, row.hold_id, engine_now(en->s->engine), &res,
			      e);
}
