/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator says first: a menu for a live agreement, or the end of one. */
#include "ent_int.h"

#include "agent/codec/credit.h"
#include "agent/log.h"

#include <errno.h>

struct reply {
	struct a2a_turn *turn;
	json_t *data;
};

static void send_reply(void *arg)
{
	struct reply *r = arg;

	a2a_turn_message(r->turn, r->data);
	json_decref(r->data);
	free(r);
}

/* Nothing leaves before the log holds what it is about. */
static int reply(struct ent *en, struct a2a_turn *t, json_t *data)
{
	struct reply *r = data ? malloc(sizeof(*r)) : NULL;

	if (!r) {
		json_decref(data);
		return -ENOMEM;
	}
	*r = (struct reply){ t, data };
	engine_after_commit(en->s->engine, send_reply, r);
	return 0;
}

static int received(struct ent *en, struct a2a_turn *t, const struct deal *d, const ident_t *about)
{
	struct ev_ref ref = { .deal = d->negotiation, .about = *about, .rev = d->cur.rev };

	return reply(en, t, nego_part(NEGO_RECEIVED, &ev_ref_fields, &ref));
}

static int refuse(struct ent *en, struct a2a_turn *t, const char *tool, const struct deal *d,
		  enum refusal no, const char *why)
{
	const ident_t *deal = d ? &d->negotiation : NULL;

	log_warn("%s: %s: %s", tool, refusal_name(no), why);
	engine_refuse(en->s->engine, "ent_policy", tool, deal, no, why);
	return reply(en, t, nego_problem(no, deal, why));
}

/* --- offers -------------------------------------------------------------------------------------
 */

static enum refusal offered(struct ent *en, struct conv *c, struct deal *d, const json_t *part,
			    struct quote *q, struct err *e)
{
	enum refusal no = ent_quote_read(en, d, part, q, e);

	if (no != REFUSE_NONE)
		return no;
	if (q->reason == QUOTE_NEW || q->reason == QUOTE_CHANGE) {
		(void)err_set(e, -EINVAL, "category: nobody asked for it");
		return REFUSE_QUOTE_UNKNOWN;
	}
	if (c->step != CONV_IDLE && c->step != CONV_REJECT)
		return REFUSE_IN_FLIGHT;
	if (engine_now(en->s->engine).ms > q->valid_until.ms)
		return REFUSE_QUOTE_EXPIRED;
	c->task[0] = c->context[0] = '\0';
	return ent_quote_take(c, d, q, part, e);
}

static struct deal *deal_of(const struct ent *en, const json_t *part)
{
	const json_t *ref = json_array_get(json_object_get(part, "agreement"), 0);
	const char *id = json_string_value(json_object_get(ref, "id"));
	struct deal *d;
	ident_t lineage = { 0 };

	if (!id || !str_set(lineage.s, id))
		return NULL;
	d = world_deal(en->w, &lineage);
	return d && !d->operator_side && d->cur.rev && ident_eq(d->cur.lineage, lineage) ? d : NULL;
}

static bool seen_before(const struct deal *d, const json_t *part)
{
	const char *id = json_string_value(json_object_get(part, "id"));
	digest_t digest;

	return d->has_quote && id && !strcmp(id, d->quote.id.s) &&
	       !tmf_digest(part, &digest, NULL) && digest_eq(digest, d->quote.digest);
}

static int on_offer(struct ent *en, const json_t *part, struct a2a_turn *t)
{
	struct deal *d = deal_of(en, part);
	struct conv *c = d ? ent_conv(en, d) : NULL;
	struct quote q = { 0 };
	struct err e = { 0 };
	enum refusal no;

	if (!d)
		return refuse(en, t, "quote_receive", NULL, REFUSE_AGREEMENT_UNKNOWN,
			      "agreement: not one of ours");
	if (!c)
		return -ENOMEM;
	if (seen_before(d, part))
		return received(en, t, d, &d->quote.id);
	no = offered(en, c, d, part, &q, &e);
	if (no == REFUSE_NONE)
		return received(en, t, d, &q.id);
	if (no == REFUSE_MAX_)
		return e.code ? e.code : -EIO;
	return refuse(en, t, "quote_receive", d, no, e.text[0] ? e.text : refusal_text(no));
}

/* --- the end ------------------------------------------------------------------------------------
 */

static int on_terminate(struct ent *en, const json_t *part, struct a2a_turn *t)
{
	struct ev_ref said, ref;
	struct err e = { 0 };
	const struct deal *d;
	enum refusal no;

	if (nego_read(part, NEGO_TERMINATE, &ev_ref_fields, &said, &e))
		return refuse(en, t, "agreement_leave", NULL, REFUSE_BODY_MALFORMED, e.text);
	d = world_deal(en->w, &said.deal);
	if (!d || d->operator_side)
		return refuse(en, t, "agreement_leave", NULL, REFUSE_AGREEMENT_UNKNOWN,
			      "deal: not one of ours");
	if (!ident_eq(said.about, d->cur.lineage) && !ident_eq(said.about, d->negotiation))
		return refuse(en, t, "agreement_leave", d, REFUSE_BODY_MALFORMED,
			      "about: the agreement's id required");
	if (d->life == LIFE_TERMINATED)
		return received(en, t, d, &said.about);
	ref = (struct ev_ref){
		.deal = d->negotiation, .about = d->cur.lineage, .rev = d->cur.rev, .why = said.why
	};
	no = tool_agreement_leave(&en->cap, &ref, NULL, NULL);
	if (no != REFUSE_NONE)
		return reply(en, t, nego_problem(no, &d->negotiation, refusal_text(no)));
	return received(en, t, d, &said.about);
}

/* --- money back ---------------------------------------------------------------------------------
 */

static bool is_credit_note(const json_t *part)
{
	const json_t *types = json_object_get(part, "type");
	const char *last = json_string_value(json_array_get(types, json_array_size(types) - 1));

	return last && !strcmp(last, CREDIT_NOTE_TYPE);
}

static int on_credit(struct ent *en, const json_t *part, struct a2a_turn *t)
{
	const struct deal *d = NULL;
	struct err e = { 0 };
	enum refusal no = ent_credit_take(en, part, &d, &e);

	if (no == REFUSE_NONE)
		return received(en, t, d, &d->lineage);
	if (no == REFUSE_MAX_)
		return e.code ? e.code : -EIO;
	return refuse(en, t, "credit_take", d, no, e.text[0] ? e.text : refusal_text(no));
}

int ent_offer(struct ent *en, const struct peer *p, const struct a2a_message *m, struct a2a_turn *t)
{
	const json_t *part = json_array_get(m->data, 0);

	if (!en->op || p->local || strcmp(p->did, en->op->did) != 0)
		return refuse(en, t, "quote_receive", NULL, REFUSE_NOT_AUTHORIZED,
			      "the peer is not our operator");
	if (json_array_size(m->data) == 1 && !strcmp(nego_type(part), "Quote"))
		return on_offer(en, part, t);
	if (json_array_size(m->data) == 1 && !strcmp(nego_type(part), NEGO_TERMINATE))
		return on_terminate(en, part, t);
	if (json_array_size(m->data) == 1 && is_credit_note(part))
		return on_credit(en, part, t);
	return refuse(en, t, "quote_receive", NULL, REFUSE_BODY_MALFORMED,
		      "parts: one Quote, AgreementTermination or credit note required");
}
