/* SPDX-License-Identifier: Apache-2.0 */
/* What each answer of the operator means for the deal. A machine failure here (store, signer) is
 * answered by saying the message again: every step is idempotent on both sides. */
#include "ent_int.h"

#include "agent/codec/wallet.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"

#include <errno.h>
#include <stdio.h>

#define ATTEMPTS_MAX     3 /* presentations of one intent: a challenge may have aged */
#define RESTARTS_MAX     10
#define START_SKEW_MS    10000 /* an acceptance that arrives later must be made anew */
#define OVERTAKEN_MAX    50
#define TERMINATE_FOR_MS (10 * 60 * 1000)
#define NEXT_LEFT_MS     10000 /* of a challenge's life: for the way, and clocks that differ */
#define CLIENT_TOOL      "intent_declare"

wall_t ent_deadline(const struct conv *c, const struct deal *d)
{
	switch (c->step) {
	case CONV_ACCEPT:
	case CONV_COUNTER:
	case CONV_REJECT: return d->quote.valid_until;
	case CONV_ACCEPTANCE: return (wall_t){ INT64_MAX }; /* what is paid must be heard of */
	case CONV_TERMINATE: return (wall_t){ d->changed.ms + TERMINATE_FOR_MS };
	default: return (wall_t){ d->intent.declared.ms + d->intent.term_ms };
	}
}

/* --- intent and presentation -------------------------------------------------------------------
 */

/* A presentation that is being signed. */
struct presenting {
	struct conv *c;
	char *intent; /* canonical text */
	struct vc_asked *asked;
};

static struct presenting *presenting_free(struct presenting *x)
{
	(void)vc_asked_free(x->asked);
	free(x->intent);
	free(x);
	return NULL;
}

static void ask_challenge(struct conv *c)
{
	struct err e = { 0 };
	ident_t id;

	engine_id(&id, "m-chal");
	if (ent_say_part(c, CONV_CHALLENGE, id.s, nego_part(NEGO_CHALLENGE_REQUEST, NULL, NULL),
			 &e))
		log_error("%s: %s", c->deal.s, e.text);
}

static void presented(void *arg)
{
	struct presenting *x = arg;
	struct conv *c = x->c;
	auto_vc struct vc *vp = NULL;
	bool wanted = c->ending == x;
	struct err e = { 0 };
	ident_t id;
	int r = vc_await(TAKE_PTR(x->asked), &vp, &e);

	ent_ended(c, x);
	if (!r && wanted) {
		c->attempt++;
		engine_id(&id, "m-intent");
		r = ent_say(c, CONV_INTENT, id.s, (const char *[]){ x->intent, vp->text }, 2, &e);
	}
	if (r && wanted) {
		log_warn("%s: presentation: %s", c->deal.s, e.text);
		if (c->step == CONV_IDLE)
			ask_challenge(c);
		else
			ent_again(c);
	}
	(void)presenting_free(x);
}

static int present(struct conv *c, const struct deal *d, const struct nego_challenge *ch,
		   struct err *e)
{
	struct ent *en = c->ent;
	struct presentation_ask a = { .holder = en->s->cfg->daemon.did,
				      .domain = en->op->did,
				      .challenge = ch->challenge,
				      .intent_id = d->intent.id.s,
				      .created = engine_now(en->s->engine) };
	struct presenting *x = calloc(1, sizeof(*x));
	size_t len = 0;
	int r = x ? tmf921_text(&d->intent, &en->parties, &x->intent, &len, e)
		  : err_set(e, -ENOMEM, "presentation");

	if (!r)
		sha256(x->intent, len, a.intent_digest);
	ent_wallet_staple(en, a.stapled);
	if (!r)
		r = presentation_ask(en->vc, &a, &en->s->port[SIGN_PRESENTATION], &x->asked, e);
	if (r) {
		if (x)
			(void)presenting_free(x);
		return r;
	}
	c->intent = d->intent.id; /* a newer one may have come while the challenge was asked */
	x->c = c;
	ent_ends(c, x);
	engine_before_commit(en->s->engine, presented, x);
	return 0;
}

static void on_challenge(struct conv *c, const struct deal *d, const struct a2a_result *r)
{
	const json_t *part = json_array_get(r->data, 0);
	struct nego_challenge ch;
	struct err e = { 0 };
	int k = nego_read(part, NEGO_CHALLENGE, &nego_challenge_fields, &ch, &e);

	if (!k)
		k = present(c, d, &ch, &e);
	if (!k)
		return;
	log_warn("%s: challenge: %s", c->deal.s, e.text);
	ent_again(c);
}

/* An answer may bring the challenge for the next presentation along. Nothing rests on it: what
 * cannot be read is left, and the next one asked for. */
static void keep_next(struct ent *en, const struct a2a_result *r)
{
	const json_t *part = json_object_get(r->metadata, NEGO_WALLET_EXTENSION);
	struct nego_challenge ch;

	if (!part || nego_read(part, NEGO_CHALLENGE, &nego_challenge_fields, &ch, NULL))
		return;
	if (en->n_next == NEXT_MAX)
		memmove(en->next, en->next + 1, --en->n_next * sizeof(*en->next));
	en->next[en->n_next++] = ch;
}

/* The newest at hand, which outlives the others. */
static bool take_next(struct ent *en, struct nego_challenge *ret)
{
	wall_t now = engine_now(en->s->engine);

	if (en->n_next && en->next[en->n_next - 1].expires.ms < now.ms + NEXT_LEFT_MS)
		en->n_next = 0;
	if (!en->n_next)
		return false;
	*ret = en->next[--en->n_next];
	return true;
}

void ent_begin(struct conv *c, const struct deal *d)
{
	struct nego_challenge ch;
	struct err e = { 0 };

	if (!ident_eq(c->intent, d->intent.id))
		c->attempt = 0;
	c->intent = d->intent.id;
	c->task[0] = c->context[0] = '\0';
	c->rounds = 0;
	c->margin.minor_h = 0;
	if (!c->ent->vc) {
		ent_refused(c, REFUSE_WALLET_MISSING, "wallet.credential: none is loaded");
		return;
	}
	/* One that was refused is not answered with another that may be as old. */
	if (!c->attempt && take_next(c->ent, &ch)) {
		if (!present(c, d, &ch, &e))
			return;
		log_warn("%s: %s", c->deal.s, e.text);
	}
	ask_challenge(c);
}

/* --- refusals ----------------------------------------------------------------------------------
 */

/* The deal goes back to where it stood before this conversation; money that is only held returns.
 */
static int undo(struct conv *c, struct deal *d, bool asked, const char *why, struct err *e)
{
	struct ent *en = c->ent;
	struct ev_ref ref = { .deal = d->negotiation, .about = d->quote.id, .why = ent_why(why) };
	int r = ent_unhold(en, d, e);

	if (r)
		return r;
	/* A refused change leaves the live agreement as it is; anything else ends here. */
	if (!asked || d->cur.rev == 0)
		(void)tool_quote_reject(&en->cap, &ref, NULL, NULL);
	return ent_idle(c, e);
}

int ent_say_end(struct conv *c, const struct deal *d, struct err *e)
{
	struct ev_ref ref = { .deal = d->negotiation,
			      .about = d->cur.rev ? d->cur.lineage : d->negotiation,
			      .rev = d->cur.rev,
			      .why = d->why };
	char id[A2A_ID_MAX];

	(void)snprintf(id, sizeof(id), "m-terminate-%s", d->negotiation.s);
	c->task[0] = c->context[0] = '\0';
	return ent_say_part(c, CONV_TERMINATE, id, nego_part(NEGO_TERMINATE, &ev_ref_fields, &ref),
			    e);
}

/* The acceptance is answered. What has ended meanwhile could not be said before. */
static int answered(struct conv *c, const struct deal *d, struct err *e)
{
	return d->life == LIFE_TERMINATED ? ent_say_end(c, d, e) : ent_idle(c, e);
}

static int failed(struct conv *c, struct deal *d, enum refusal no, const char *why, struct err *e)
{
	struct ev_ref ref = { .deal = d->negotiation,
			      .about = d->cur.service,
			      .rev = d->cur.rev,
			      .why = ent_why(why) };

	(void)no;
	(void)tool_service_fail(&c->ent->cap, &ref, NULL, NULL);
	return answered(c, d, e);
}

/* The quote was lost to time, not to a rule: a new service is asked for once more from the start.
 * An offer in life is the operator's to repeat. */
static bool aged(const struct conv *c, const struct deal *d, enum refusal no)
{
	wall_t now = engine_now(c->ent->s->engine);

	if ((c->step != CONV_ACCEPT && c->step != CONV_COUNTER) || d->cur.rev ||
	    d->life != LIFE_NEGOTIATED || c->attempt >= RESTARTS_MAX)
		return false;
	return no == REFUSE_QUOTE_EXPIRED || no == REFUSE_QUOTE_UNKNOWN ||
	       (no == REFUSE_QUOTE_MISMATCH && c->step == CONV_ACCEPT &&
		now.ms - d->accept.start.ms > START_SKEW_MS);
}

void ent_afresh(struct conv *c, const struct deal *d, struct err *e)
{
	ident_t intent = d->intent.id;
	int r = ent_unhold(c->ent, d, e);

	if (!r) {
		memset(&c->intent, 0, sizeof(c->intent));
		r = ent_idle(c, e);
	}
	if (r) {
		log_error("%s: %s", c->deal.s, e->text);
		return;
	}
	c->intent = intent;
	ent_begin(c, d);
}

void ent_refused(struct conv *c, enum refusal no, const char *why)
{
	struct engine *engine = c->ent->s->engine;
	struct deal *d = world_deal(c->ent->w, &c->deal);
	bool asked = c->step == CONV_CHALLENGE || c->step == CONV_INTENT || c->step == CONV_IDLE;
	struct err e = { 0 };
	int r;

	if (!d)
		return;
	log_warn("%s: %s: %s", c->deal.s, refusal_name(no), why ? why : "");
	if (no == REFUSE_WALLET_CHALLENGE && c->step == CONV_INTENT && c->attempt < ATTEMPTS_MAX) {
		ent_begin(c, d);
		return;
	}
	if (aged(c, d, no)) {
		ent_afresh(c, d, &e);
		return;
	}
	engine_refuse(engine, "ent_policy", asked ? CLIENT_TOOL : "quote_accept", &d->negotiation,
		      no, why);
	if (c->step == CONV_ACCEPTANCE)
		r = failed(c, d, no, why, &e);
	else if (c->step == CONV_REJECT || c->step == CONV_TERMINATE)
		r = ent_idle(c, &e);
	else
		r = undo(c, d, asked, why, &e);
	if (r)
		log_error("%s: %s", c->deal.s, e.text);
}

/* Receipts of one wallet are a chain. Where two revisions are settled at once, the later receipt
 * may overtake the earlier one on the wire: it is said again, as a new message in a new task. */
static bool overtook(struct conv *c, enum refusal no)
{
	bool other = false;
	ident_t id;
	struct err e = { 0 };

	if (c->step != CONV_ACCEPTANCE || (no != REFUSE_LEDGER_FORK && no != REFUSE_LEDGER_STATE))
		return false;
	for (const struct conv *k = c->ent->convs; k; k = k->next)
		other |= k != c && k->step == CONV_ACCEPTANCE;
	if (!other || c->overtaken >= OVERTAKEN_MAX)
		return false;
	c->overtaken++;
	engine_id(&id, "m-again");
	if (ent_say_again(c, id.s, &e)) {
		log_error("%s: %s", c->deal.s, e.text);
		return false;
	}
	c->tries = c->overtaken;
	ent_again(c);
	return true;
}

static void on_problem(struct conv *c, const struct a2a_result *r)
{
	struct nego_problem p = { 0 };
	const char *why = p.detail.s;
	enum refusal no = REFUSE_MAX_;
	struct err e = { 0 };

	if (nego_read(json_array_get(r->data, 0), NEGO_PROBLEM, &nego_problem_fields, &p, &e))
		why = e.text;
	else
		no = refusal_parse(p.type.s);
	if (no == REFUSE_MAX_ || no == REFUSE_NONE) {
		no = REFUSE_BODY_MALFORMED;
		why = e.code ? why : "problem.type: not a refusal that is known here";
	}
	if (!overtook(c, no))
		ent_refused(c, no, *why ? why : "problem.detail: the operator gave no reason");
}

/* --- the artifacts -----------------------------------------------------------------------------
 */

/* A task collects its artifacts: the newest of that name is meant. */
static const json_t *artifact(const struct a2a_result *r, const char *name)
{
	for (size_t i = r->nartifacts; i-- > 0;)
		if (!strcmp(r->artifacts[i].name, name))
			return r->artifacts[i].data;
	return NULL;
}

static void on_quote(struct conv *c, struct deal *d, const struct a2a_result *r)
{
	const json_t *body = artifact(r, "quote");
	struct quote q;
	struct err e = { 0 };
	enum refusal no = ent_quote_read(c->ent, d, body, &q, &e);

	if (no == REFUSE_NONE)
		no = ent_quote_take(c, d, &q, body, &e);
	if (no == REFUSE_NONE)
		return;
	if (no == REFUSE_MAX_)
		ent_again(c);
	else
		ent_refused(c, no, e.text[0] ? e.text : refusal_text(no));
}

void ent_not_agreed(struct conv *c, enum refusal no, const struct err *e)
{
	const struct deal *d = world_deal(c->ent->w, &c->deal);

	log_warn("%s: agreement: %s", c->deal.s, e->text);
	if (no == REFUSE_MAX_) {
		ent_again(c);
		return;
	}
	ent_refused(c, no, e->text[0] ? e->text : refusal_text(no));
	/* What the operator signed will not be accepted: it need not wait for it. */
	if (d)
		ent_reject(c, d, refusal_name(no));
}

static void on_agreement(struct conv *c, struct deal *d, const struct a2a_result *r)
{
	struct err e = { 0 };
	enum refusal no = ent_agree(c, d, artifact(r, "agreement"), &e);

	if (no != REFUSE_NONE)
		ent_not_agreed(c, no, &e);
}

static void edge_done(void *arg, enum refusal no, const char *why)
{
	const struct conv *c = arg;

	if (no != REFUSE_NONE)
		log_warn("%s: edge: %s: %s", c->deal.s, refusal_name(no), why);
}

static void on_service(struct conv *c, struct deal *d, const struct a2a_result *r)
{
	struct ent *en = c->ent;
	const json_t *body = artifact(r, "service");
	struct tmf_service sv;
	struct err e = { 0 };
	struct ev_ref ref = { .deal = d->negotiation, .about = d->cur.service, .rev = d->cur.rev };

	if (!body || tmf638_read(body, &sv, &e) || !ident_eq(sv.lineage, d->cur.lineage) ||
	    sv.rev != d->cur.rev || sv.label != d->cur.label ||
	    !ident_eq(sv.service, d->cur.service) || !ident_eq(sv.class_name, d->cur.class_name) ||
	    !ident_eq(sv.flow, d->cur.flow) || memcmp(&sv.g, &d->cur.g, sizeof(sv.g)) != 0) {
		log_warn("%s: service: %s", c->deal.s,
			 e.text[0] ? e.text : "not the one that was agreed");
		ent_again(c);
		return;
	}
	ref.why = ent_why("the operator reports the service active");
	if (answered(c, d, &e)) {
		log_error("%s: %s", c->deal.s, e.text);
		return;
	}
	if (tool_service_confirm(&en->cap, &ref, NULL, NULL) == REFUSE_NONE) {
		ent_spur_divide(en, d);
		ent_edge_apply(en, d, edge_done, c);
	}
}

/* --- dispatch ----------------------------------------------------------------------------------
 */

static void unexpected(struct conv *c, const struct a2a_result *r)
{
	log_warn("%s: %s: unexpected answer %s", c->deal.s, c->message,
		 r->is_task ? a2a_state_name(r->state) : "message");
	ent_again(c);
}

static void on_task(struct conv *c, struct deal *d, const struct a2a_result *r)
{
	bool input = r->state == A2A_INPUT_REQUIRED;

	if ((c->step == CONV_INTENT || c->step == CONV_COUNTER) && input)
		on_quote(c, d, r);
	else if (c->step == CONV_ACCEPT && input)
		on_agreement(c, d, r);
	else if (c->step == CONV_ACCEPTANCE && r->state == A2A_COMPLETED)
		on_service(c, d, r);
	else if (a2a_state_terminal(r->state) || r->state == A2A_AUTH_REQUIRED)
		on_problem(c, r);
	else
		unexpected(c, r);
}

void ent_answer(struct conv *c, const struct a2a_result *r)
{
	struct deal *d = world_deal(c->ent->w, &c->deal);
	struct err e = { 0 };

	keep_next(c->ent, r);
	if (!d)
		return;
	if (c->step == CONV_REJECT || c->step == CONV_TERMINATE) {
		/* Whatever they say to a "no", it is over. */
		if (ent_idle(c, &e))
			log_error("%s: %s", c->deal.s, e.text);
		return;
	}
	if (!r->is_task && !strcmp(nego_type(json_array_get(r->data, 0)), NEGO_PROBLEM))
		on_problem(c, r);
	else if (!r->is_task && c->step == CONV_CHALLENGE)
		on_challenge(c, d, r);
	else if (r->is_task)
		on_task(c, d, r);
	else
		unexpected(c, r);
}
