/* SPDX-License-Identifier: Apache-2.0 */
/* Acceptance and receipt: the shadow ledger captures, the revision is in force, the OSS gets its
 * order. The answer is given when the service runs or cannot. */
#include "bss_i.h"

#include "agent/codec/credential.h"
#include "agent/codec/json.h"
#include "agent/log.h"
#include "agent/store/ledger.h"

#include <errno.h>
#include <stdio.h>

#define TOOL_NAME "acceptance_record"

/* --- the service as the consumer sees it ------------------------------------------------------ */

static void say_service(struct desk_call *c, const struct deal *d)
{
	const struct agreement *a = &d->cur;
	struct tmf_service sv = { .service = a->service,
				  .lineage = a->lineage,
				  .rev = a->rev,
				  .label = a->label,
				  .class_name = a->class_name,
				  .flow = a->flow,
				  .g = a->g,
				  .state = "active",
				  .operating = "running" };
	struct tmf_parties parties;
	auto_json json_t *body = NULL;
	auto_free char *text = NULL;
	struct err e = { 0 };
	int r;

	desk_parties(bss.side, d->peer.s, &parties);
	r = tmf638_write(&sv, &parties, &body, &e);
	text = r ? NULL : json_text_new(body);
	if (!text)
		desk_fail(c, d, REFUSE_LIMIT_REACHED, r ? e.text : "service: no memory");
	else
		desk_task(c, d, A2A_COMPLETED, "service", TAKE_PTR(text));
}

/* A repeated acceptance, or the first: says what has become of the revision, or waits for it. */
static int answer_state(struct desk_call *c, const struct deal *d)
{
	if (d->life == LIFE_TERMINATED)
		desk_fail(c, d, REFUSE_WRONG_STATE, "the agreement has ended");
	else if (d->active)
		say_service(c, d);
	else if (d->has_order || d->has_plan)
		desk_keep(c, d);
	else
		desk_fail(c, d, REFUSE_STEP_REFUSED, d->why.s);
	return 0;
}

void bss_service_event(const struct event *ev)
{
	bool refused = ev->kind == EV_ORDER_REFUSED;
	const ident_t *id = refused ? &ev->u.refused.deal : &ev->u.ref.deal;
	const struct deal *d = world_deal(engine_world(bss.side->engine), id);
	struct desk_call c;

	if (d && !refused && ev->u.ref.rev && ev->u.ref.rev != d->cur.rev)
		return; /* the end of an earlier plan: the turn waits for its own */
	while (d && desk_take(bss.side, d, &c)) {
		if (ev->kind == EV_SERVICE_ACTIVE && d->active)
			say_service(&c, d);
		else
			desk_fail(&c, d,
				  refused ? (enum refusal)ev->u.refused.refusal
					  : REFUSE_STEP_REFUSED,
				  refused ? ev->u.refused.why.s : ev->u.ref.why.s);
	}
}

/* A replacement: the consumer hears of the new label while both are valid, not when the old one is
 * gone. What follows the wait only removes. */
void bss_made_event(const struct ev_progress *p)
{
	const struct deal *d = world_deal(engine_world(bss.side->engine), &p->deal);
	struct desk_call c;

	if (!d || !d->has_plan || d->planned.action != ORDER_MIGRATE || p->failed ||
	    p->upto >= d->plan.n_steps || d->plan.step[p->upto].step.kind != STEP_WAIT)
		return;
	while (desk_take(bss.side, d, &c))
		say_service(&c, d);
}

/* --- orders ----------------------------------------------------------------------------------- */

/* What an order changes is what was applied last: the revision before may have failed. */
static void from_applied(const struct deal *d, const struct agreement *next, struct order *o)
{
	const struct order *was = &d->applied;

	if (was->rev) {
		o->old_label = was->label;
		o->old_path = was->path;
		o->old_g = was->g;
	}
	if (!next)
		return;
	o->action = !was->rev                   ? ORDER_ADD
		    : next->label != was->label ? ORDER_MIGRATE
		    : next->path != was->path   ? ORDER_REROUTE
						: ORDER_MODIFY;
}

enum refusal bss_order(const struct deal *d, const struct agreement *old,
		       const struct agreement *next)
{
	const struct agreement *a = next ? next : old;
	struct order o = { .action = bss_order_action(old, next) };
	struct tmf_parties parties;
	auto_free char *text = NULL;
	char salt[TMF_SALT_MAX];
	digest_t digest;
	struct err e = { 0 };
	size_t len = 0;
	int r;

	if (!a)
		return REFUSE_ORDER_INVALID;
	engine_id(&o.id, "ord");
	o.lineage = a->lineage;
	o.rev = a->rev;
	o.agreement_digest = a->digest;
	o.service = a->service;
	o.label = a->label;
	o.path = a->path;
	o.g = a->g;
	o.end = a->end;
	from_applied(d, next, &o);
	/* A replacement that was cut short left two labels behind. */
	if (!next && d->has_order && d->order.action == ORDER_MIGRATE)
		o.old_label = d->order.old_label;
	desk_parties(bss.side, d->peer.s, &parties);
	tmf_salt(salt);
	r = tmf622_text(&o, a, &parties, salt, &text, &len, &e);
	if (!r)
		r = desk_text_put(bss.side, d->peer.s, text, len, &digest, &e);
	if (r) {
		log_error("order for %s: %s", a->lineage.s, e.text);
		return REFUSE_ORDER_INVALID;
	}
	return tool_order_emit(&bss.cap, &o, NULL, &digest);
}

/* --- acceptance and receipt ------------------------------------------------------------------- */

struct settle {
	struct desk_call *c;
	const struct deal *d;
	struct acceptance acc;
	struct receipt rcp;
	digest_t acc_digest;
	struct hash rcp_digest, rcp_prev;
	struct ledger_wallet_id wallet;
	int64_t last_seq; /* of the wallet's last receipt */
	money_t last_sum;
	bool compared; /* with that one: nothing else is wrong with it */
	bool booked;   /* it is the last one now */
	const char *why;
};

static enum refusal verify(struct settle *s, struct err *e)
{
	const json_t *data = s->c->msg->data;
	const struct did_resolver *keys = &s->c->side->keys;
	int r = acceptance_verify(json_array_get(data, 0), keys, &s->acc, s->acc_digest.b, e);

	if (!r)
		r = receipt_verify(json_array_get(data, 1), keys, &s->rcp, s->rcp_digest.b, e);
	s->why = e->text;
	if (r)
		return r == -EKEYREJECTED || r == -ENOKEY || r == -EPERM ? REFUSE_SIGNATURE_BAD
									 : REFUSE_BODY_MALFORMED;
	s->why = "issuer: not the authenticated peer";
	return strcmp(s->acc.issuer, s->c->peer->did) || strcmp(s->rcp.issuer, s->c->peer->did)
		       ? REFUSE_SIGNATURE_BAD
		       : REFUSE_NONE;
}

/* The acceptance names exactly the revision that we signed and that waits for it. */
static enum refusal names_pending(struct settle *s)
{
	const struct deal *d = s->d;
	const struct agreement *p = &d->pending;
	digest_t said;

	memcpy(said.b, s->acc.agreement_digest, sizeof(said.b));
	s->why = "revision: not the next of the lineage";
	if (d->cur.rev && s->acc.revision <= d->cur.rev)
		return REFUSE_LEDGER_FORK;
	s->why = "agreementDigest: not the revision that was signed";
	if (!d->has_pending || s->acc.revision != p->rev || !digest_eq(p->digest, said))
		return REFUSE_AGREEMENT_UNKNOWN;
	s->why = "holdId: not the agreement's";
	if (strcmp(s->acc.hold_id, p->hold.s) || strcmp(s->rcp.hold_id, p->hold.s))
		return REFUSE_QUOTE_MISMATCH;
	return REFUSE_NONE;
}

/* A revision dies at the time that it names itself, and when another choice has taken its place:
 * signed once, it is never signed again, and its number is spent. */
static enum refusal alive(struct settle *s)
{
	const struct deal *d = s->d;

	s->why = "agreement: not accepted in time";
	if (!d->has_accept || engine_now(bss.side->engine).ms > d->pending.start.ms + SETTLE_MS)
		return REFUSE_QUOTE_EXPIRED;
	s->why = "life cycle";
	return bss_guard(EV_ACCEPTANCE_RECORDED, &d->pending);
}

/* The receipts that wallets were last booked with, as they were verified then: the next one of a
 * wallet needs not read and verify its predecessor again. Known by their digest, so never out of
 * date. */
enum { LAST_MAX = 16 };
static struct {
	struct hash digest;
	struct receipt rcp;
} last_booked[LAST_MAX];

static bool last_known(const struct hash *digest, struct receipt *ret)
{
	for (size_t i = 0; i < LAST_MAX; i++)
		if (!memcmp(&last_booked[i].digest, digest, sizeof(*digest))) {
			*ret = last_booked[i].rcp;
			return true;
		}
	return false;
}

/* In the place of the one before it, else of any. */
static void last_put(const struct hash *before, const struct hash *digest, const struct receipt *r)
{
	size_t at = digest->b[0] % LAST_MAX;

	for (size_t i = 0; i < LAST_MAX; i++)
		if (!memcmp(&last_booked[i].digest, before, sizeof(*before)))
			at = i;
	last_booked[at].digest = *digest;
	last_booked[at].rcp = *r;
}

/* The wallet's last receipt, for the chain. 1, 0 none seen yet, negative; -ENODATA: its body was
 * erased, or its key lost, and only its digest is known. */
static int last_receipt(struct settle *s, struct receipt *prev, uint8_t digest[DIGEST_LEN],
			struct err *e)
{
	auto_json json_t *vc = NULL;
	struct ledger_wallet w;
	digest_t d;
	int r = ledger_wallet_get(engine_store(bss.side->engine), &s->wallet, &w, e);

	if (r)
		return r;
	s->rcp_prev = w.receipt;
	memcpy(d.b, w.receipt.b, sizeof(d.b));
	if (digest_empty(&d))
		return 0;
	if (last_known(&w.receipt, prev)) {
		memcpy(digest, w.receipt.b, DIGEST_LEN);
		return 1;
	}
	r = desk_body_get(bss.side, &d, &vc, e);
	if (!r)
		r = receipt_verify(vc, &bss.side->keys, prev, digest, e);
	return r ? r : 1;
}

static enum refusal receipt_ok(struct settle *s, struct err *e, int *err)
{
	const struct agreement *p = &s->d->pending;
	struct receipt prev;
	uint8_t digest[DIGEST_LEN] = { 0 };
	int r;

	s->compared = false;
	s->wallet = (struct ledger_wallet_id){ .side = LEDGER_SHADOW };
	str_cut(s->wallet.issuer, s->d->admit.issuer.s);
	str_cut(s->wallet.wallet_id, s->d->admit.wallet.s);
	s->why = "receipt: not of this revision and wallet";
	if (strcmp(s->rcp.lineage, p->lineage.s) || s->rcp.revision != p->rev ||
	    strcmp(s->rcp.wallet_id, p->wallet.s))
		return REFUSE_QUOTE_MISMATCH;
	s->why = "receipt: another amount or currency than was held";
	if (s->rcp.amount.minor != s->d->accept.held.minor)
		return REFUSE_LEDGER_STATE;
	if (strcmp(s->rcp.currency, p->currency))
		return REFUSE_LEDGER_CURRENCY;
	r = last_receipt(s, &prev, digest, e);
	*err = r < 0 && r != -ENODATA ? r : 0;
	s->last_seq = r > 0 ? prev.ledger_seq : 0;
	s->last_sum = r > 0 ? prev.cumulative_after : (money_t){ 0 };
	s->compared = true;
	s->why = "receipt: does not follow the wallet's last one";
	if (r == -ENODATA)
		return s->rcp.has_previous && !memcmp(s->rcp.previous, s->rcp_prev.b, DIGEST_LEN)
			       ? REFUSE_NONE
			       : REFUSE_LEDGER_FORK;
	return r < 0 ? REFUSE_NONE : receipt_extends(r ? &prev : NULL, digest, &s->rcp);
}

/* The receipt is chained, the bodies are kept. */
static int keep(struct settle *s, enum refusal *no, struct err *e)
{
	struct ledger_result res = { 0 };
	digest_t unused;
	int r = ledger_receipt(engine_store(bss.side->engine), &s->wallet, &s->rcp_prev,
			       &s->rcp_digest, engine_now(bss.side->engine), &res, e);

	*no = res.why;
	s->booked = !r && res.why == REFUSE_NONE;
	if (s->booked)
		last_put(&s->rcp_prev, &s->rcp_digest, &s->rcp);
	if (!r)
		r = desk_body_put(bss.side, s->c->peer->did, json_array_get(s->c->msg->data, 0),
				  &unused, e);
	if (!r)
		r = desk_body_put(bss.side, s->c->peer->did, json_array_get(s->c->msg->data, 1),
				  &unused, e);
	return r;
}

/* Money moves. *no: the ledger's refusal. */
static int capture(struct settle *s, enum refusal *no, struct err *e)
{
	struct ledger_result res = { 0 };
	struct hash agreement;
	int r;

	memcpy(agreement.b, s->d->pending.digest.b, sizeof(agreement.b));
	s->why = "shadow ledger";
	r = ledger_capture(engine_store(bss.side->engine), LEDGER_SHADOW, s->d->pending.lineage.s,
			   s->d->pending.hold.s, &agreement, engine_now(bss.side->engine), &res, e);
	*no = res.why;
	return r || *no != REFUSE_NONE ? r : keep(s, no, e);
}

/* The enterprise has paid for what is dead here. Its countersignature enters the chain as void, so
 * that the next revision links to the same head on both sides, and its money goes back. The note
 * comes first: with a signer that is away nothing is done, and the countersignature is said again.
 */
static int bury(struct settle *s, struct err *e)
{
	const struct agreement dead = s->d->pending;
	struct ledger_result res = { 0 };
	struct hash agreement;
	enum refusal no;
	int r = bss_credit(s->d, &dead, CREDIT_NOT_IN_FORCE, s->rcp.amount, s->why, e);

	memcpy(agreement.b, dead.digest.b, sizeof(agreement.b));
	if (!r)
		r = bss_release(s->d, e);
	if (!r)
		r = ledger_void(engine_store(bss.side->engine), LEDGER_SHADOW, dead.lineage.s,
				dead.hold.s, &agreement, engine_now(bss.side->engine), &res, e);
	if (!r && res.why == REFUSE_NONE)
		r = keep(s, &no, e);
	return !r && res.why != REFUSE_NONE
		       ? err_set(e, -EUCLEAN, "shadow ledger: %s", refusal_name(res.why))
		       : r;
}

/* It was buried before: the answer was lost, the note is on its way. */
static bool buried(const struct settle *s)
{
	for (uint8_t i = 0; i < s->d->n_credits; i++)
		if (!memcmp(s->d->credit[i].note.agreement.b, s->acc.agreement_digest, DIGEST_LEN))
			return true;
	return false;
}

static int in_force(struct settle *s)
{
	struct agreement next = s->d->pending, old = s->d->cur;
	enum refusal no = tool_acceptance_record(&bss.cap, &next, NULL, &s->acc_digest);

	if (no == REFUSE_NONE)
		no = bss_order(s->d, old.rev ? &old : NULL, &next);
	if (no != REFUSE_NONE)
		return bss_refuse(s->c, TOOL_NAME, &s->d->negotiation, no, "order");
	return answer_state(s->c, s->d);
}

/* Captured, or buried and *no says why. */
static int settle(struct settle *s, enum refusal *no, struct err *e)
{
	const char *why;
	int r = 0;

	*no = alive(s);
	if (*no == REFUSE_NONE)
		r = capture(s, no, e);
	if (r || *no == REFUSE_NONE)
		return r;
	why = s->why;
	r = bury(s, e);
	s->why = why;
	if (!r)
		bss_offers_soon();
	return r;
}

/* --- receipts that came early ------------------------------------------------------------------
 */

/* Receipts of one wallet are a chain, and where its agreements are settled at once each comes on a
 * connection of its own. One that is ahead waits a moment for those before it. */
enum { EARLY_MAX = 128, EARLY_PER_PEER = 40 }; /* of the 56 connections of a peer like us */
#define EARLY_US (5 * 1000 * 1000)

static struct early {
	struct settle s; /* verified; c.turn NULL = free */
	struct desk_call c;
	struct a2a_message msg;
	json_t *data;
	struct loop_timer *timer;
} early[EARLY_MAX];

void bss_early_reset(void)
{
	memset(last_booked, 0, sizeof(last_booked));
	for (size_t i = 0; i < EARLY_MAX; i++) {
		if (early[i].c.turn)
			a2a_turn_fail(early[i].c.turn, A2A_E_INTERNAL, "the service stops", NULL);
		json_decref(early[i].data);
		early[i] = (struct early){ 0 }; /* the timer belonged to another loop */
	}
}

static int judge(struct settle *s, bool may_wait);

/* Moves what waited to *to, whose data the caller frees. */
static void early_take(struct early *x, struct early *to)
{
	loop_cancel(bss.side->loop, x->timer);
	*to = *x;
	to->msg.data = to->data;
	to->c.msg = &to->msg;
	to->s.c = &to->c;
	*x = (struct early){ 0 };
}

/* True when its receipt was booked. */
static bool early_answer(struct early *x, bool may_wait)
{
	struct early now;

	early_take(x, &now);
	if (judge(&now.s, may_wait))
		a2a_turn_fail(now.c.turn, A2A_E_INTERNAL, "internal error", NULL);
	json_decref(now.data);
	return now.s.booked;
}

static void early_over(void *arg)
{
	struct early *x = arg;

	x->timer = NULL;
	(void)early_answer(x, false);
}

/* It names a receipt that is not here yet: its number and its sum are beyond the last one's. */
static bool ahead(const struct settle *s)
{
	return s->compared && s->rcp.has_previous && s->rcp.ledger_seq > s->last_seq &&
	       s->rcp.cumulative_after.minor > money_add(s->last_sum, s->rcp.amount).minor &&
	       memcmp(s->rcp.previous, s->rcp_prev.b, DIGEST_LEN) != 0;
}

static bool wait_early(const struct settle *s)
{
	const struct desk_call *c = s->c;
	struct early *x = NULL;
	unsigned mine = 0;

	for (size_t i = 0; i < EARLY_MAX; i++) {
		if (!early[i].c.turn)
			x = &early[i];
		else
			mine += !strcmp(early[i].c.peer->did, c->peer->did);
	}
	if (!x || mine >= EARLY_PER_PEER)
		return false;
	*x = (struct early){ .s = *s, .c = *c };
	x->c.peer = a2a_turn_peer(c->turn);
	x->data = json_incref((json_t *)(uintptr_t)c->msg->data);
	x->timer = loop_after(bss.side->loop, EARLY_US, early_over, x);
	if (x->timer)
		return true;
	json_decref(x->data);
	*x = (struct early){ 0 };
	return false;
}

/* The one that waits for this receipt; NULL when none does. */
static struct early *early_next(const struct hash *digest)
{
	for (size_t i = 0; i < EARLY_MAX; i++)
		if (early[i].c.turn && !memcmp(early[i].s.rcp.previous, digest->b, DIGEST_LEN))
			return &early[i];
	return NULL;
}

/* --- the message -------------------------------------------------------------------------------
 */

/* What the acceptance means for its deal as that stands now. s->d is looked up here. */
static enum refusal standing(struct settle *s, bool *repeated)
{
	struct desk_call *c = s->c;
	ident_t lineage = { 0 };
	digest_t said;

	*repeated = false;
	str_cut(lineage.s, s->acc.lineage);
	s->d = desk_deal(c, &lineage);
	s->why = "lineageId: no such agreement, or not yours";
	if (!s->d)
		return REFUSE_AGREEMENT_UNKNOWN;
	memcpy(said.b, s->acc.agreement_digest, sizeof(said.b));
	s->why = desk_unbound(c, &s->d->negotiation, 0, &said);
	if (s->why)
		return REFUSE_QUOTE_MISMATCH;
	*repeated = s->d->cur.rev == s->acc.revision &&
		    !memcmp(s->d->cur.digest.b, s->acc.agreement_digest, DIGEST_LEN);
	if (*repeated)
		return REFUSE_NONE;
	s->why = "agreement: void, and credited";
	return buried(s) ? REFUSE_QUOTE_EXPIRED : names_pending(s);
}

static int judge(struct settle *s, bool may_wait)
{
	struct err e = { 0 };
	ident_t lineage = { 0 };
	bool repeated;
	enum refusal no = standing(s, &repeated);
	int r = 0;

	if (repeated)
		return answer_state(s->c, s->d);
	if (no == REFUSE_NONE) {
		no = receipt_ok(s, &e, &r);
		if (no != REFUSE_NONE && may_wait && ahead(s) && wait_early(s))
			return 0;
	}
	if (no == REFUSE_NONE && !r)
		r = settle(s, &no, &e);
	if (r) {
		log_error("acceptance of %s: %s", s->acc.lineage, e.text);
		return r;
	}
	str_cut(lineage.s, s->acc.lineage);
	if (no != REFUSE_NONE)
		return bss_refuse(s->c, TOOL_NAME, s->d ? &s->d->negotiation : &lineage, no,
				  s->why);
	return in_force(s);
}

int bss_take_acceptance(struct desk_call *c)
{
	struct settle s = { .c = c };
	struct err e = { 0 };
	enum refusal no = verify(&s, &e);
	struct early *next;
	struct hash last;
	int r;

	if (no != REFUSE_NONE)
		return bss_refuse(c, TOOL_NAME, NULL, no, s.why);
	r = judge(&s, true);
	last = s.rcp_digest;
	for (bool booked = s.booked; !r && booked && (next = early_next(&last));) {
		last = next->s.rcp_digest;
		booked = early_answer(next, true);
	}
	return r;
}
