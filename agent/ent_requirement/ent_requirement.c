/* SPDX-License-Identifier: Apache-2.0 */
#include "ent_requirement.h"

#include "agent/log.h"
#include "agent/node.h"
#include "ent_requirement_core.h"
#include "ent_requirement_int.h"

#include <errno.h>
#include <stdio.h>

#define BPS_MAX     400000000000ull
#define TERM_MAX_MS (10ll * 366 * 86400 * 1000)
#define QUIET_US    (5 * 1000 * 1000) /* between two askings for one class: an answer takes time */

struct watch {
	struct ent_requirement_state state;
	struct class_sample last;
	mono_t quiet_until;
};

static struct {
	struct side *s;
	struct cap_ent_requirement cap;
	struct ent_requirement_params p;
	struct watch watch[CLASSES_MAX]; /* as side->profile */
} rq;

/* --- declaring ----------------------------------------------------------------------------------
 */

static const char *flow_of(const struct side *s, const char *class_name)
{
	const struct cfg_class *c = config_class(s->cfg, class_name);

	return c && c->flow[0] ? c->flow : class_name;
}

static enum refusal refuse(struct err *e, enum refusal no, const char *text)
{
	(void)err_set(e, -EINVAL, "%s", text);
	return no;
}

static enum refusal change_of(struct side *s, struct intent *i, struct err *e)
{
	const struct deal *d = world_deal(engine_world(s->engine), &i->lineage);

	if (!d || d->operator_side || d->cur.rev == 0 || !ident_eq(d->cur.lineage, i->lineage))
		return refuse(e, REFUSE_AGREEMENT_UNKNOWN, "agreementId: no such agreement");
	if (!ident_eq(d->cur.class_name, i->class_name))
		return refuse(e, REFUSE_BODY_MALFORMED, "class: not the agreement's");
	if (d->life == LIFE_TERMINATED)
		return refuse(e, REFUSE_WRONG_STATE, "agreementId: the agreement has ended");
	if (!d->active || d->life == LIFE_RENEGOTIATING || d->life == LIFE_RENEGOTIATED)
		return refuse(e, REFUSE_IN_FLIGHT, "agreementId: a revision is under way");
	i->negotiation = d->negotiation;
	i->flow = d->cur.flow;
	return REFUSE_NONE;
}

static enum refusal declare(struct side *s, struct intent *i, const struct decision *dn,
			    struct err *e)
{
	enum refusal no = REFUSE_NONE;
	ident_t fresh;

	if (!side_profile(s, &i->class_name))
		return refuse(e, REFUSE_WALLET_POLICY, "class: not configured");
	if (i->want.bandwidth.bps == 0 || i->want.bandwidth.bps > BPS_MAX ||
	    i->want.latency.us == 0 || i->want.availability.ppm > 1000000)
		return refuse(e, REFUSE_BODY_MALFORMED,
			      "bandwidthBps: 1..400000000000, latencyMicros: above 0, "
			      "availabilityPpm: 0..1000000 required");
	if (i->term_ms <= 0 || i->term_ms > TERM_MAX_MS)
		return refuse(e, REFUSE_BODY_MALFORMED, "term: above 0, at most ten years");
	engine_id_timed(&fresh, "neg", engine_now(s->engine));
	memset(&i->id, 0, sizeof(i->id));
	(void)snprintf(i->id.s, sizeof(i->id.s), "int%.40s", fresh.s + 3);
	if (ident_empty(i->lineage))
		i->negotiation = fresh;
	else
		no = change_of(s, i, e);
	if (no != REFUSE_NONE)
		return no;
	if (ident_empty(i->flow))
		str_cut(i->flow.s, flow_of(s, i->class_name.s));
	i->declared = engine_now(s->engine);
	no = tool_intent_declare(&rq.cap, i, dn, NULL);
	return no == REFUSE_NONE ? no : refuse(e, no, refusal_text(no));
}

enum refusal ent_intent_declare(struct side *s, struct intent *i, struct err *e)
{
	return declare(s, i, NULL, e);
}

enum refusal ent_intent_withdraw(struct side *s, const struct ev_ref *ref, struct err *e)
{
	const struct deal *d = world_deal(engine_world(s->engine), &ref->deal);
	enum refusal no;

	if (!d || d->operator_side || !ident_eq(d->negotiation, ref->deal))
		return refuse(e, REFUSE_AGREEMENT_UNKNOWN, "negotiation: no such intent");
	/* What the operator may have signed by now is ended, not withdrawn. */
	if (d->has_accept || d->cur.rev)
		return refuse(e, REFUSE_WRONG_STATE,
			      "negotiation: accepted already, end the agreement instead");
	no = tool_intent_withdraw(&rq.cap, ref, NULL, NULL);
	return no == REFUSE_NONE ? no : refuse(e, no, refusal_text(no));
}

enum refusal ent_agreement_release(struct side *s, struct ev_ref *ref, struct err *e)
{
	const struct deal *d = world_deal(engine_world(s->engine), &ref->deal);
	enum refusal no;

	if (!d || d->operator_side || !d->cur.rev)
		return refuse(e, REFUSE_AGREEMENT_UNKNOWN, "id: no such agreement");
	if (d->intent.source != INTENT_DETECTED)
		return refuse(e, REFUSE_WRONG_STATE,
			      "id: not made for detected traffic, end the agreement instead");
	ref->deal = d->negotiation;
	ref->about = d->cur.lineage;
	ref->rev = d->cur.rev;
	no = tool_agreement_release(&rq.cap, ref, NULL, NULL);
	return no == REFUSE_NONE ? no : refuse(e, no, refusal_text(no));
}

/* --- detecting ----------------------------------------------------------------------------------
 */

/* A first revision that could not be applied holds nothing and blocks nothing. */
static bool dead(const struct deal *d)
{
	return d->life == LIFE_TERMINATED || (d->life == LIFE_NEGOTIATED && d->cur.rev > 0);
}

static const struct deal *deal_of(const struct side *s, const name_t *class_name)
{
	const struct world *w = engine_world(s->engine);

	for (uint32_t i = w->n_deals; i-- > 0;)
		if (!w->deal[i].operator_side && !dead(&w->deal[i]) &&
		    ident_eq(w->deal[i].intent.class_name, *class_name))
			return &w->deal[i];
	return NULL;
}

/* False while there is nothing to compare with. */
static bool observe(struct watch *w, uint8_t class_id, rate_t *ret)
{
	struct class_sample now, was = w->last;

	if (node_class_sample(rq.s, class_id, &now))
		return false;
	w->last = now;
	/* Counters begin anew when the node does. */
	if (!was.at.us || now.at.us <= was.at.us || now.bytes < was.bytes)
		return false;
	ret->bps = (now.bytes - was.bytes) * 8 * 1000000 / (uint64_t)(now.at.us - was.at.us);
	return true;
}

static void fill(const struct class_profile *p, const struct watch *w, rate_t observed,
		 struct ent_requirement_in *in)
{
	const struct deal *d = deal_of(rq.s, &p->name);

	*in = (struct ent_requirement_in){
		.p = rq.p, .profile = *p, .s = w->state, .observed = observed
	};
	in->busy = mono_cmp(loop_now(rq.s->loop), w->quiet_until) < 0;
	if (!d)
		return;
	in->live = d->active;
	in->detected = d->intent.source == INTENT_DETECTED;
	in->contracted = d->cur.g.bandwidth;
	in->busy |= !d->active || d->life == LIFE_RENEGOTIATING || d->life == LIFE_RENEGOTIATED;
}

static enum refusal act(const struct class_profile *p, const struct ent_requirement_out *out,
			const struct decision *dn, struct err *e)
{
	const struct deal *d = deal_of(rq.s, &p->name);
	struct intent i = { .class_name = p->name,
			    .want = out->want,
			    .term_ms = p->term_ms,
			    .source = INTENT_DETECTED };
	struct ev_ref ref = { .why = out->why };

	if (out->action == REQUIRE_WITHDRAW) {
		ref.deal = d->negotiation;
		ref.about = d->cur.lineage;
		ref.rev = d->cur.rev;
		return tool_agreement_release(&rq.cap, &ref, dn, NULL);
	}
	if (out->action == REQUIRE_CHANGE) {
		i.lineage = d->cur.lineage;
		/* What a person asked for stays a person's, whoever notices that it grew. */
		if (d->intent.source != INTENT_DETECTED)
			i.source = INTENT_CHANGE;
	}
	return declare(rq.s, &i, dn, e);
}

static void look(const struct class_profile *p, struct watch *w)
{
	struct ent_requirement_in in;
	struct ent_requirement_out out;
	struct decision dn = { "ent_requirement_decide", &ent_requirement_in_fields,
			       &ent_requirement_out_fields, &in, &out };
	struct err e = { 0 };
	rate_t observed;
	enum refusal no;

	if (!observe(w, p->id, &observed))
		return;
	fill(p, w, observed, &in);
	ent_requirement_decide(&in, &out);
	w->state = out.s;
	if (out.action == REQUIRE_NOTHING)
		return;
	no = act(p, &out, &dn, &e);
	if (no != REFUSE_NONE)
		log_warn("%s: %s: %s", p->name.s, refusal_name(no), e.text);
	w->state = (struct ent_requirement_state){ 0 };
	w->quiet_until = mono_add(loop_now(rq.s->loop), QUIET_US);
}

static void on_sample(void *arg)
{
	struct side *s = arg;

	for (uint32_t i = 0; i < s->profiles; i++)
		if (s->profile[i].detect)
			look(&s->profile[i], &rq.watch[i]);
	if (!loop_after(s->loop, (int64_t)s->cfg->daemon.sample_ms * 1000, on_sample, s))
		log_error("detection ends: out of memory");
}

/* --- start --------------------------------------------------------------------------------------
 */

int ent_requirement_start(struct side *s, struct err *e)
{
	const struct cfg_enterprise *c = &s->cfg->enterprise;
	const struct cfg_device *dev = config_device(s->cfg, c->access);
	int r;

	memset(&rq, 0, sizeof(rq));
	rq.s = s;
	rq.cap.engine = s->engine;
	ent_requirement_defaults(&rq.p);
	rq.p.detect = c->detect;
	rq.p.up = (uint16_t)c->detect_intervals;
	/* Down is ten times slower than up, away twice as slow again. */
	rq.p.down = (uint16_t)(c->detect_intervals * 10 < UINT16_MAX ? c->detect_intervals * 10
								     : UINT16_MAX);
	rq.p.idle = rq.p.down < UINT16_MAX / 2 ? (uint16_t)(rq.p.down * 2) : UINT16_MAX;
	if (dev)
		rq.p.most = dev->rate;
	r = ent_requirement_rows(e);
	if (r || !(s->cfg->daemon.roles & ROLE_NODE))
		return r;
	return loop_after(s->loop, (int64_t)s->cfg->daemon.sample_ms * 1000, on_sample, s)
		       ? 0
		       : err_set(e, -ENOMEM, "timer");
}
