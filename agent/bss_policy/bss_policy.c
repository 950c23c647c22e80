/* SPDX-License-Identifier: Apache-2.0 */
#include "bss_policy.h"

#include "agent/bss_desk.h"
#include "agent/codec/nego.h"
#include "agent/codec/tmf.h"
#include "agent/crypto/crypto.h"
#include "agent/fetch.h"
#include "agent/log.h"
#include "agent/peer.h"
#include "agent/store/ledger.h"
#include "agent/wallet_terms.h"
#include "bss_known.h"

#include <errno.h>
#include <stdio.h>

#define ACTOR             "bss_policy"
#define CHALLENGE_LIFE_MS (5 * 60 * 1000)
#define SKEW_MS           (120 * 1000)

static struct cap_bss_policy cap;

static int refuse(struct desk_call *c, const ident_t *deal, enum refusal r, const char *why)
{
	return desk_refuse(c, ACTOR, "wallet_admit", deal, r, why);
}

/* --- challenges ------------------------------------------------------------------------------- */

/* A new one for this peer, in this turn. -ENOBUFS: too many are open. */
static int challenge_new(const struct desk_call *c, struct nego_challenge *ret)
{
	struct store *st = engine_store(c->side->engine);
	wall_t now = engine_now(c->side->engine);
	uint8_t random[16];
	int r;

	*ret = (struct nego_challenge){ .expires = { now.ms + CHALLENGE_LIFE_MS } };
	random_fill(random, sizeof(random));
	(void)base64url_encode(random, sizeof(random), ret->challenge, sizeof(ret->challenge));
	r = store_challenge_put(st, ret->challenge, c->peer->did, ret->expires, NULL);
	if (r != -ENOBUFS)
		return r;
	r = store_challenge_prune(st, now, NULL);
	return r ? r : store_challenge_put(st, ret->challenge, c->peer->did, ret->expires, NULL);
}

static int take_challenge_request(struct desk_call *c)
{
	struct nego_challenge ch;
	struct err e = { 0 };
	int r = nego_read(json_array_get(c->msg->data, 0), NEGO_CHALLENGE_REQUEST, NULL, NULL, &e);

	if (r == -EINVAL)
		return refuse(c, NULL, REFUSE_BODY_MALFORMED, e.text);
	if (!r)
		r = challenge_new(c, &ch);
	if (r == -ENOBUFS)
		return refuse(c, NULL, REFUSE_LIMIT_REACHED, "challenges: too many are open");
	if (r)
		return r;
	desk_say(c, NULL, nego_part(NEGO_CHALLENGE, &nego_challenge_fields, &ch));
	return 0;
}

/* Whose wallet was admitted will ask again: the answer carries the challenge for the next time, in
 * the place of the one that was used up. Without it the peer asks for one. */
static int give_next(const struct desk_call *c)
{
	auto_json json_t *metadata = NULL;
	struct nego_challenge ch;
	int r = challenge_new(c, &ch);

	if (r)
		return r == -ENOBUFS ? 0 : r;
	metadata = json_pack("{s:o}", NEGO_WALLET_EXTENSION,
			     nego_part(NEGO_CHALLENGE, &nego_challenge_fields, &ch));
	(void)a2a_turn_metadata(c->turn, metadata);
	return 0;
}

/* --- the intent ------------------------------------------------------------------------------- */

/* "neg-" and hex digits: lineage and service ids are made of the same digits. */
static bool negotiation_ok(const ident_t *id)
{
	size_t n = strnlen(id->s, sizeof(id->s));

	return n > 4 && n < sizeof(id->s) && !strncmp(id->s, "neg-", 4) &&
	       strspn(id->s + 4, "0123456789abcdef") == n - 4;
}

static enum refusal change_ok(const struct desk_call *c, const struct intent *i, const char **why)
{
	const struct deal *d = desk_deal(c, &i->lineage);
	enum life to;

	*why = "agreementId: no live agreement of yours";
	if (!d || !d->cur.rev)
		return REFUSE_AGREEMENT_UNKNOWN;
	*why = "flowClass, flowLabel: the agreement's own are required";
	if (!ident_eq(d->cur.class_name, i->class_name) || !ident_eq(d->cur.flow, i->flow))
		return REFUSE_BODY_MALFORMED;
	*why = "agreementId: a change is not possible now";
	return life_next(d->life,
			 i->want.bandwidth.bps < d->cur.g.bandwidth.bps ? LEV_OFFERED_DOWN
									: LEV_OFFERED_UP,
			 &to);
}

static bool same_need(const struct intent *a, const struct intent *b)
{
	return ident_eq(a->id, b->id) && ident_eq(a->class_name, b->class_name) &&
	       ident_eq(a->flow, b->flow) && a->term_ms == b->term_ms &&
	       !memcmp(&a->want, &b->want, sizeof(a->want));
}

/* What can be said of the intent without the wallet. A repeated intent that no agreement answers
 * yet is admitted again, with a fresh presentation, and gets a fresh menu. */
static enum refusal intent_ok(const struct desk_call *c, const struct intent *i, const char **why)
{
	const struct deal *d = world_deal(engine_world(c->side->engine), &i->negotiation);

	*why = "negotiationId: \"neg-\" and hex digits required";
	if (!negotiation_ok(&i->negotiation) || !i->id.s[0])
		return REFUSE_BODY_MALFORMED;
	*why = "flowClass: not offered here";
	if (!side_profile(c->side, &i->class_name))
		return REFUSE_BODY_MALFORMED;
	if (!ident_empty(i->lineage))
		return change_ok(c, i, why);
	*why = "negotiationId: in use";
	if (!d)
		return REFUSE_NONE;
	return desk_deal(c, &i->negotiation) && same_need(&d->intent, i) &&
			       (d->life == LIFE_DECLARED ||
				(d->life == LIFE_NEGOTIATED && !d->cur.rev))
		       ? REFUSE_NONE
		       : REFUSE_DUPLICATE;
}

static void ask_from(const struct side *s, const struct intent *i, struct wallet_ask *ask)
{
	*ask = (struct wallet_ask){ .term_s = i->term_ms / 1000 + (i->term_ms % 1000 != 0),
				    .grade_known = true,
				    .availability = i->want.availability,
				    .latency = i->want.latency,
				    .bandwidth = i->want.bandwidth };
	str_cut(ask->operator_did, s->cfg->daemon.did);
	str_cut(ask->class_name, i->class_name.s);
	str_cut(ask->currency, s->cfg->ledger.currency);
}

static bool admit_event(const struct desk_call *c, const struct intent *i,
			const struct ledger_wallet *lw, struct ev_admit *a)
{
	memset(a, 0, sizeof(*a));
	a->intent = *i;
	a->generation = lw->generation;
	memcpy(a->credential.b, lw->credential.b, sizeof(a->credential.b));
	a->ceiling = lw->ceiling.minor;
	a->per_agreement_max = lw->agreement_max.minor;
	a->expires = lw->valid_until;
	str_cut(a->currency, lw->currency);
	for (unsigned k = 0; k < lw->classes; k++)
		if (!strcmp(lw->klass[k].name, i->class_name.s))
			a->class_ceiling = lw->klass[k].ceiling.minor;
	return str_set(a->peer.s, c->peer->did) && str_set(a->issuer.s, lw->id.issuer) &&
	       str_set(a->wallet.s, lw->id.wallet_id);
}

/* The credential inside the presentation that came along, or the i-th above it. */
static const json_t *wallet_part(const struct desk_call *c, uint32_t i)
{
	const json_t *vp = json_array_get(c->msg->data, 1);
	const json_t *vc = json_array_get(json_object_get(vp, "verifiableCredential"), 0);

	while (i--) {
		const json_t *s = json_object_get(vc, "credentialSubject");

		vc = json_object_get(json_object_get(s, "delegation"), "parent");
	}
	return vc;
}

/* The whole line into the shadow ledger, or nothing of it. Its credentials are kept: should another
 * content of one of these generations come, they are the proof. */
static int keep_line(struct desk_call *c, const struct wallet_chain *line, struct ledger_wallet *lw,
		     unsigned n, struct ledger_result *lr, struct err *e)
{
	struct store *st = engine_store(c->side->engine);
	digest_t kept;
	int r = 0;

	for (unsigned i = 0; !r && i < n; i++)
		r = known_supersedes(c->side, i ? &line->line.up[i - 1] : &line->wallet,
				     &lw[i].supersedes, e);
	if (!r)
		r = ledger_chain_put(st, lw, n, engine_now(c->side->engine), lr, e);
	for (unsigned i = 0; !r && lr->why == REFUSE_NONE && i < n; i++) {
		r = known_put(c->side, i ? &line->line.up[i - 1] : &line->wallet, e);
		if (!r)
			r = desk_body_put(c->side, c->peer->did, wallet_part(c, i), &kept, e);
	}
	return r;
}

/* The same credential of a wallet without a line above it is in the shadow ledger already, kept and
 * marked in the turn that put it there; to put it again would change nothing. */
static bool kept_before(const struct bss_admit_in *in, unsigned n)
{
	return n == 1 && in->facts.seen != WALLET_SEEN_NEVER && in->facts.same_digest &&
	       in->facts.seen_generation == in->wallet.generation;
}

static int admitted(struct desk_call *c, const struct intent *i, const struct bss_admit_in *in,
		    const struct admit_result *res)
{
	struct bss_admit_out out;
	struct decision dec = { "bss_admit", &bss_admit_in_fields, &bss_admit_out_fields, in,
				&out };
	const ident_t *deal = ident_empty(i->lineage) ? &i->negotiation : &i->lineage;
	struct ledger_wallet lw[LEDGER_CHAIN_MAX];
	struct ledger_result lr = { .why = REFUSE_NONE };
	struct ev_admit a;
	struct err e = { 0 };
	enum refusal no;
	int r, n = wallet_terms(&res->chain, LEDGER_SHADOW, 2, lw, &e);

	bss_admit(in, &out);
	if (n < 0 || out.refusal != REFUSE_NONE || !admit_event(c, i, lw, &a))
		return refuse(c, deal, REFUSE_WALLET_MALFORMED, "walletId, issuer: too long");
	r = kept_before(in, (unsigned)n) ? 0 : keep_line(c, &res->chain, lw, (unsigned)n, &lr, &e);
	if (r)
		return r;
	if (lr.why != REFUSE_NONE)
		return refuse(c, deal, lr.why,
			      lr.why == REFUSE_WALLET_DELEGATION
				      ? "delegation.parent: not where it stood before"
				      : "generation: must follow the one known here");
	no = tool_wallet_admit(&cap, &a, &dec, &a.credential);
	if (no != REFUSE_NONE)
		return refuse(c, deal, no, "wallet_admit");
	r = give_next(c);
	if (r)
		return r;
	desk_keep(c, world_deal(engine_world(c->side->engine), deal));
	return 0;
}

static const struct wallet *meant(const struct admit_result *res)
{
	return res->why.link ? &res->chain.line.up[res->why.link - 1] : &res->chain.wallet;
}

struct asked {
	struct admit_env env;
	struct bss_admit_in in;
	struct intent intent;
};

/* 0: the intent itself holds, go on; else the negative of a failure, or 1: refused. */
static int read_intent(struct desk_call *c, struct asked *q)
{
	const json_t *body = json_array_get(c->msg->data, 0);
	struct err e = { 0 };
	const char *why;
	enum refusal no;

	memset(q, 0, sizeof(*q));
	q->env = (struct admit_env){ .now = engine_now(c->side->engine),
				     .operator_did = c->side->cfg->daemon.did,
				     .peer = c->peer->did,
				     .intent_digest = &c->digest,
				     .limits = { SKEW_MS, c->side->cfg->trust.depth_max },
				     .keys = c->side->keys };
	if (tmf921_read(body, &q->intent, &e)) {
		(void)refuse(c, NULL, REFUSE_BODY_MALFORMED, e.text);
		return 1;
	}
	why = desk_unbound(c, &q->intent.negotiation, 1, &(digest_t){ 0 });
	no = why ? REFUSE_WALLET_INTENT : intent_ok(c, &q->intent, &why);
	if (no != REFUSE_NONE) {
		(void)refuse(c, &q->intent.negotiation, no, why);
		return 1;
	}
	known_env(c->side, &q->env);
	ask_from(c->side, &q->intent, &q->in.ask);
	return 0;
}

static int judge_intent(struct desk_call *c, struct asked *q)
{
	struct admit_result res;
	struct err e = { 0 };
	int r = wallet_admit(json_array_get(c->msg->data, 1), json_array_get(c->msg->data, 0),
			     &q->in.ask, &q->env, &res);

	if (r)
		return r;
	if (res.refusal != REFUSE_NONE) {
		r = res.why.freeze
			    ? known_freeze(c->side, meant(&res), wallet_part(c, res.why.link), &e)
			    : 0;
		return r ? r : refuse(c, &q->intent.negotiation, res.refusal, res.why.why);
	}
	q->in.facts = res.facts;
	q->in.wallet = res.chain.wallet;
	q->in.line = res.chain.line;
	q->in.now = q->env.now;
	q->in.limits = q->env.limits;
	return admitted(c, &q->intent, &q->in, &res);
}

/* --- intents that wait for the public web ------------------------------------------------------
 */

enum { WAITING_MAX = 64, WAITING_PER_PEER = 8 };

static struct waiting {
	struct side *side; /* NULL = free */
	struct a2a_turn *turn;
	json_t *data;
	digest_t digest;
	unsigned pending; /* documents under way */
	struct loop_timer *timer;
} waiting[WAITING_MAX];

static void go_on(struct waiting *w, bool last);

static void on_fetched(void *arg)
{
	struct waiting *w = arg;

	if (!--w->pending)
		go_on(w, false);
}

static void on_bound(void *arg)
{
	struct waiting *w = arg;

	w->timer = NULL;
	go_on(w, true);
}

static void ask_for(struct waiting *w, const struct wallet_needs *n)
{
	static const struct json_limits document = JSON_LIMITS_DID, list = JSON_LIMITS_STATUS;
	struct err e = { 0 };

	for (size_t i = 0; i < n->n; i++)
		if (fetch_ask(w->side->fetch, n->url[i].url, n->url[i].list ? &list : &document,
			      on_fetched, w, &e))
			log_warn("%s: %s", n->url[i].url, e.text);
		else
			w->pending++;
}

/* With what has come by now; the first documents may show that others are needed. */
static void go_on(struct waiting *w, bool last)
{
	struct a2a_message msg = { .data = w->data };
	struct desk_call c = { .side = w->side,
			       .turn = w->turn,
			       .peer = a2a_turn_peer(w->turn),
			       .msg = &msg,
			       .digest = w->digest };
	struct wallet_needs n = { 0 };
	struct asked q;
	int r;

	c.who = peer_by_did(c.side->cfg, c.peer->did);
	r = read_intent(&c, &q);
	if (!r && !last)
		wallet_needs(json_array_get(msg.data, 1), json_array_get(msg.data, 0), &q.in.ask,
			     &q.env, &n);
	if (n.n)
		ask_for(w, &n);
	if (!r && w->pending && !last)
		return;
	fetch_leave(w->side->fetch, w);
	loop_cancel(w->side->loop, w->timer);
	if (!r)
		r = judge_intent(&c, &q);
	if (r < 0)
		a2a_turn_fail(w->turn, A2A_E_INTERNAL, "internal error", NULL);
	json_decref(w->data);
	*w = (struct waiting){ 0 };
}

static struct waiting *free_place(const struct desk_call *c)
{
	struct waiting *w = NULL;
	unsigned mine = 0;

	for (size_t i = 0; i < WAITING_MAX; i++) {
		if (!waiting[i].side)
			w = &waiting[i];
		else
			mine += !strcmp(a2a_turn_peer(waiting[i].turn)->did, c->peer->did);
	}
	return mine < WAITING_PER_PEER ? w : NULL;
}

static int wait_for(struct desk_call *c, const struct intent *i, const struct wallet_needs *n)
{
	struct waiting *w = free_place(c);

	if (!w)
		return refuse(c, &i->negotiation, REFUSE_LIMIT_REACHED,
			      "intents: too many wait for documents");
	*w = (struct waiting){ .side = c->side,
			       .turn = c->turn,
			       .data = json_incref((json_t *)(uintptr_t)c->msg->data),
			       .digest = c->digest };
	w->timer = loop_after(c->side->loop, (int64_t)c->side->cfg->trust.fetch_wait_ms * 1000,
			      on_bound, w);
	if (!w->timer) {
		json_decref(w->data);
		*w = (struct waiting){ 0 };
		return -ENOMEM;
	}
	ask_for(w, n);
	if (!w->pending)
		go_on(w, true);
	return 0;
}

static int take_intent(struct desk_call *c)
{
	struct wallet_needs n = { 0 };
	struct asked q;
	int r = read_intent(c, &q);

	if (r)
		return r < 0 ? r : 0;
	if (c->side->fetch)
		wallet_needs(json_array_get(c->msg->data, 1), json_array_get(c->msg->data, 0),
			     &q.in.ask, &q.env, &n);
	return n.n ? wait_for(c, &q.intent, &n) : judge_intent(c, &q);
}

/* An intent alone: the answer says what is missing. */
static int take_bare_intent(struct desk_call *c)
{
	return refuse(c, NULL, REFUSE_WALLET_MISSING, "no presentation came with the intent");
}

/* --- revocation ------------------------------------------------------------------------------- */

static void on_event(void *arg, const struct event *ev)
{
	struct err e = { 0 };

	if (ev->kind == EV_WALLET_REVOKED && known_revoke(arg, &ev->u.ref, ev->at, &e))
		log_error("wallet %s: revocation not stored: %s", ev->u.ref.about.s, e.text);
}

int bss_policy_start(struct side *s, struct err *e)
{
	static const struct desk_row rows[] = {
		{ NEGO_CHALLENGE_REQUEST, 1, take_challenge_request },
		{ "Intent", 2, take_intent },
		{ "Intent", 1, take_bare_intent },
	};

	if (!s->cfg->trust.n_issuers)
		return err_set(e, -EINVAL, "trust.issuers: required for role bss");
	if (strlen(s->cfg->ledger.currency) != 3)
		return err_set(e, -EINVAL, "ledger.currency: required for role bss");
	cap.engine = s->engine;
	for (size_t i = 0; i < WAITING_MAX; i++) {
		json_decref(waiting[i].data);
		waiting[i] = (struct waiting){ 0 };
	}
	desk_reset();
	if (desk_add(rows, ARRAY_LEN(rows)) || engine_subscribe(s->engine, on_event, s))
		return err_set(e, -ENOSPC, "bss_policy: too many shells");
	return 0;
}
