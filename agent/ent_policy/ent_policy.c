/* SPDX-License-Identifier: Apache-2.0 */
#include "ent_int.h"

#include "agent/codec/canon.h"
#include "agent/codec/wallet.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/mcp_table.h"
#include "agent/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define TICK_US       (1000 * 1000)
#define MORE_US       (5 * 1000) /* when a tick could not end all that has expired */
#define LEFT_PER_TICK 64
#define DIGITS        2
#define BODY_TEXT_MAX (512 * 1024)

static struct ent ent;
static json_t *wallet_file;

/* --- small things that all files use ------------------------------------------------------------
 */

void ent_lineage(const struct deal *d, ident_t *ret)
{
	const char *hex = strchr(d->negotiation.s, '-');

	if (d->cur.rev) {
		*ret = d->cur.lineage;
		return;
	}
	memset(ret, 0, sizeof(*ret));
	(void)snprintf(ret->s, sizeof(ret->s), "agr%.40s", hex ? hex : "-");
}

struct hash ent_hash(const digest_t *d)
{
	struct hash h;

	memcpy(h.b, d->b, sizeof(h.b));
	return h;
}

why_t ent_why(const char *text)
{
	why_t w = { 0 };

	str_cut(w.s, text);
	return w;
}

enum refusal ent_would(struct ent *en, enum event_kind kind, const void *payload)
{
	struct event *ev = en->scratch;

	memset(ev, 0, offsetof(struct event, u)); /* the payload follows */
	ev->kind = kind;
	ev->at = engine_now(en->s->engine);
	memcpy(&ev->u, payload, event_table(kind)->size);
	return fold_guard(en->w, ev);
}

int ent_keep(struct ent *en, const json_t *body, const digest_t *digest, struct err *e)
{
	auto_free char *text = NULL;
	struct hash h = ent_hash(digest);
	size_t len;
	int r = canon_text(body, BODY_TEXT_MAX, &text, &len, e);

	if (r)
		return r;
	/* Our own: one consumer. */
	return store_body_put(engine_store(en->s->engine), &h, en->s->cfg->daemon.did, text, len,
			      e);
}

int ent_keep_vc(struct ent *en, const struct vc *vc, struct err *e)
{
	struct hash h;

	memcpy(h.b, vc->digest, sizeof(h.b));
	return store_body_put(engine_store(en->s->engine), &h, en->s->cfg->daemon.did, vc->text,
			      vc->len, e);
}

/* --- the wallet's file --------------------------------------------------------------------------
 */

int ent_policy_load(struct side *s, struct err *e)
{
	const char *path = s->cfg->wallet.credential;
	auto_close int fd = -1;
	auto_free char *buf = NULL;
	struct json_limits lim = JSON_LIMITS_WALLET;
	ssize_t n;

	json_decref(wallet_file);
	wallet_file = NULL;
	if (!path[0])
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "wallet.credential: %s", path);
	buf = malloc(lim.bytes + 1);
	if (!buf)
		return err_set(e, -ENOMEM, "wallet.credential");
	n = read(fd, buf, lim.bytes + 1);
	if (n <= 0 || (size_t)n > lim.bytes)
		return err_set(e, -EMSGSIZE, "wallet.credential: %s: 1..%zu bytes", path,
			       lim.bytes);
	return json_read(&wallet_file, buf, (size_t)n, &lim, e);
}

/* --- events -------------------------------------------------------------------------------------
 */

static void on_terminated(struct ent *en, struct deal *d, const struct event *ev)
{
	struct conv *c = ent_conv(en, d);
	bool ours = !ident_eq(ev->actor, (name_t){ "ent_policy" }) && d->cur.rev;
	struct err e = { 0 };

	if (ent_unhold(en, d, &e))
		log_error("%s: %s", d->negotiation.s, e.text);
	if (d->cur.rev)
		ent_edge_apply(en, d, NULL, NULL);
	/* Its receipt is a link of the wallet's chain, and the operator gives back only what it
	 * knows to be paid: that is said until it is answered, and the end after it. */
	if (!c || c->step == CONV_ACCEPTANCE)
		return;
	if (ours ? ent_say_end(c, d, &e) : ent_idle(c, &e))
		log_error("%s: %s", d->negotiation.s, e.text);
}

static void on_withdrawn(struct ent *en, struct deal *d)
{
	struct conv *c = ent_conv(en, d);
	struct err e = { 0 };

	if (!c || ent_unhold(en, d, &e))
		log_error("%s: %s", d->negotiation.s, e.text);
	else if (d->has_quote)
		ent_reject(c, d, "the intent is withdrawn");
	else if (ent_idle(c, &e))
		log_error("%s: %s", d->negotiation.s, e.text);
}

static void on_revoked(struct ent *en, const struct ev_ref *ref)
{
	struct ledger_result res;
	struct err e = { 0 };

	if (!en->has_wallet || strcmp(ref->about.s, en->wallet.wallet_id) != 0)
		return;
	if (ledger_wallet_revoke(engine_store(en->s->engine), &en->wid, engine_now(en->s->engine),
				 &res, &e))
		log_error("wallet: %s", e.text);
}

static void on_intent(struct ent *en, struct deal *d)
{
	struct conv *c = ent_conv(en, d);

	if (!c)
		log_error("%s: out of memory", d->negotiation.s);
	else if (c->step == CONV_IDLE && !c->ending)
		ent_begin(c, d);
}

static void on_event(void *arg, const struct event *ev)
{
	struct ent *en = arg;
	const ident_t *id =
		ev->kind == EV_INTENT_DECLARED ? &ev->u.intent.negotiation : &ev->u.ref.deal;
	bool approval = ev->kind == EV_APPROVAL_GRANTED || ev->kind == EV_APPROVAL_DENIED ||
			ev->kind == EV_APPROVAL_LAPSED;
	struct deal *d;

	if (ev->kind == EV_WALLET_REVOKED)
		on_revoked(en, &ev->u.ref);
	if (ev->kind != EV_INTENT_DECLARED && ev->kind != EV_INTENT_WITHDRAWN &&
	    ev->kind != EV_TERMINATED && !approval)
		return;
	d = world_deal(en->w, id);
	if (!d || d->operator_side)
		return;
	if (approval)
		ent_approval_answered(en, d, ev);
	else if (ev->kind == EV_INTENT_DECLARED)
		on_intent(en, d);
	else if (ev->kind == EV_INTENT_WITHDRAWN)
		on_withdrawn(en, d);
	else
		on_terminated(en, d, ev);
}

/* --- time ---------------------------------------------------------------------------------------
 */

static int any_expired(void *arg, const struct ledger_hold_row *h)
{
	const wall_t *now = arg;

	return h->side == LEDGER_GATE && h->expires.ms <= now->ms;
}

/* True: there are more. */
static bool expire(struct ent *en)
{
	unsigned left = 0;
	wall_t now = engine_now(en->s->engine);
	struct store *st = engine_store(en->s->engine);
	struct err e = { 0 };

	if (ledger_live_holds(st, any_expired, &now, &e) > 0 && ledger_expire(st, now, NULL, &e))
		log_error("ledger: %s", e.text);
	for (uint32_t i = 0; i < en->w->n_deals && left < LEFT_PER_TICK; i++) {
		const struct deal *d = &en->w->deal[i];
		struct ev_ref ref = { .deal = d->negotiation,
				      .about = d->cur.lineage,
				      .rev = d->cur.rev,
				      .why = ent_why("the paid term is over") };

		if (d->operator_side || !d->cur.rev || d->life == LIFE_TERMINATED ||
		    now.ms < d->cur.end.ms)
			continue;
		(void)tool_agreement_leave(&en->cap, &ref, NULL, NULL);
		left++;
	}
	return left == LEFT_PER_TICK;
}

/* A change that was declared while a conversation was under way waited for its end. */
static void take_up(struct ent *en)
{
	for (struct conv *c = en->convs; c; c = c->next) {
		const struct deal *d = world_deal(en->w, &c->deal);

		if (d && c->step == CONV_IDLE && !c->ending && d->life != LIFE_TERMINATED &&
		    !ident_eq(c->intent, d->intent.id))
			ent_begin(c, d);
	}
}

static void on_tick(void *arg)
{
	struct ent *en = arg;
	bool more = expire(en);

	ent_approval_tick(en);
	take_up(en);
	ent_conv_sweep(en);
	ent_spur_divide(en, NULL);
	en->tick = loop_after(en->s->loop, more ? MORE_US : TICK_US, on_tick, en);
}

static void on_sample(void *arg)
{
	struct ent *en = arg;

	ent_sample(en);
	en->sampler = loop_after(en->s->loop, (int64_t)en->s->cfg->daemon.sample_ms * 1000,
				 on_sample, en);
}

/* --- start --------------------------------------------------------------------------------------
 */

static void resumed(void *arg, enum refusal no, const char *why)
{
	struct conv *c = arg;

	if (no != REFUSE_NONE)
		log_warn("%s: edge: %s: %s", c->deal.s, refusal_name(no), why);
	ent_release(c);
}

/* Where the process ended: said but not answered, signed but not applied, declared but not said. */
static int resume(struct ent *en, struct deal *d, struct err *e)
{
	struct conv *c = ent_conv(en, d);
	int r = c ? ent_conv_load(c, e) : err_set(e, -ENOMEM, "conversations");

	if (r)
		return r;
	if (d->cur.rev && (d->life == LIFE_TERMINATED || d->active))
		ent_edge_apply(en, d, NULL, NULL);
	if (c->step == CONV_ACCEPTANCE && ent_edge_lowers(d)) {
		c->wait = true;
		ent_edge_apply(en, d, resumed, c);
	} else if (c->step != CONV_IDLE) {
		ent_conv_later(c);
	} else if (d->life != LIFE_TERMINATED && !ident_eq(c->intent, d->intent.id)) {
		ent_begin(c, d);
	}
	return 0;
}

static int wallet_row(struct side *s, const struct peer *p, const json_t *args, const char *key,
		      struct mcp_turn *t, struct err *e)
{
	(void)s;
	(void)p;
	(void)key;
	return ent_wallet_load(&ent, args, t, e);
}

/* What a tick does once a second, now; its shares as they are then. */
static int spur_row(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e)
{
	uint64_t before = engine_world(s->engine)->seq;
	json_t *shares = json_array();
	int r = json_only(args, "", e, NULL);

	(void)p;
	(void)key;
	if (!r && !ent_edge_on(&ent))
		r = err_set(e, -ENODEV, "this enterprise has no edge of its own");
	if (!r)
		ent_spur_divide(&ent, NULL);
	for (uint8_t i = 0; !r && i < ent.w->spur.n_flows; i++)
		if (json_array_append_new(shares,
					  json_pack("{s:s, s:I}", "agreement",
						    ent.w->spur.flow[i].lineage.s, "rateBps",
						    (json_int_t)ent.w->spur.flow[i].rate.bps)))
			r = err_set(e, -ENOMEM, "out of memory");
	if (r) {
		json_decref(shares);
		return r;
	}
	return mcp_answer_later(
		s, t, json_pack("{s:b, s:o}", "changed", ent.w->seq != before, "shares", shares),
		e);
}

static int reject_row(struct side *s, const struct peer *p, const json_t *args, const char *key,
		      struct mcp_turn *t, struct err *e)
{
	ident_t id = { "" };
	struct deal *d;
	why_t why;
	enum refusal no;
	int r = mcp_id_reason(args, id.s, sizeof(id.s), &why, e);

	(void)p;
	(void)key;
	if (r)
		return r;
	d = world_deal(ent.w, &id);
	no = ent_decline(&ent, d, &why);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, no == REFUSE_WRONG_STATE ? "no menu waits for an answer" : "");
		return 0;
	}
	return mcp_answer_later(s, t,
				json_pack("{s:s, s:s, s:s}", "negotiation", d->negotiation.s,
					  "quote", d->quote.id.s, "life", life_name(d->life)),
				e);
}

static int add_rows(struct err *e)
{
	static const struct mcp_row no = {
		.name = "quote_reject",
		.title = "Decline a menu",
		.help = "Says no to a menu that waits for a human's approval; the deal returns to "
			"where it stood",
		.input_schema = MCP_ID_REASON,
		.idempotent = true,
		.open_world = true,
		.who = WHO_HUMAN,
		.call = reject_row,
	};
	static const struct mcp_row spur = {
		.name = "spur_rebalance",
		.title = "Divide the access link again",
		.help = "Settles now, by the enterprise's own priorities, what each agreement may "
			"use of its access link",
		.input_schema = MCP_NO_ARGUMENTS,
		.idempotent = true,
		.who = WHO_HUMAN,
		.call = spur_row,
	};
	static const struct mcp_row row = {
		.name = "wallet_load",
		.title = "Load a re-issued wallet",
		.help = "Verifies an IntentWallet credential and puts it in the place of the one "
			"that it supersedes; what is held and captured stays counted.",
		.input_schema = "{\"type\":\"object\",\"properties\":{\"credential\":"
				"{\"type\":\"object\"}},\"required\":[\"credential\"],"
				"\"additionalProperties\":false}",
		.idempotent = true,
		.who = WHO_HUMAN,
		.owners = 1u << OWNER_ent_policy,
		.call = wallet_row,
	};
	static bool added;

	if (added)
		return 0;
	added = true;
	return mcp_table_add(&row, e) || mcp_table_add(&spur, e) || mcp_table_add(&no, e) ? -EINVAL
											  : 0;
}

static int prepare(struct side *s, struct err *e)
{
	struct event *scratch = ent.scratch ? ent.scratch : calloc(1, sizeof(*scratch));

	ent_conv_reset(&ent);
	json_decref(ent.vc);
	ent = (struct ent){ .s = s,
			    .w = engine_world(s->engine),
			    .cap = { s->engine },
			    .advice = { s->engine },
			    .op = config_peer(s->cfg, s->cfg->enterprise.op),
			    .parties.digits = DIGITS,
			    .scratch = scratch };
	TAILQ_INIT(&ent.chain);
	ent.conv_at = calloc(ent.w->max_deals, sizeof(struct conv *));
	if (!scratch || !ent.conv_at)
		return err_set(e, -ENOMEM, "enterprise policy");
	if (!ent.op)
		return err_set(e, -EINVAL, "enterprise.operator: no [peer] of that name");
	str_cut(ent.parties.enterprise.s, s->cfg->daemon.name);
	str_cut(ent.parties.op.s, ent.op->name);
	return 0;
}

int ent_policy_start(struct side *s, struct err *e)
{
	int r = prepare(s, e);

	if (!r)
		r = ent_wallet_start(&ent, wallet_file, e);
	if (!r)
		r = engine_subscribe(s->engine, on_event, &ent);
	if (!r)
		r = add_rows(e);
	if (!r)
		r = ent_edge_watch(&ent, e);
	for (uint32_t i = 0; !r && i < ent.w->n_deals; i++)
		if (!ent.w->deal[i].operator_side)
			r = resume(&ent, &ent.w->deal[i], e);
	if (r)
		return r;
	ent.tick = loop_after(s->loop, TICK_US, on_tick, &ent);
	ent.sampler =
		loop_after(s->loop, (int64_t)s->cfg->daemon.sample_ms * 1000, on_sample, &ent);
	return ent.tick && ent.sampler ? 0 : err_set(e, -ENOMEM, "timers");
}

int ent_message(struct side *s, const struct peer *p, const struct a2a_message *m,
		struct a2a_turn *t)
{
	(void)s;
	return ent_offer(&ent, p, m, t);
}
