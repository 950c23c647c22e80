/* SPDX-License-Identifier: Apache-2.0 */
/* A live agreement at risk, or past it: offers go to the enterprise. The single flight is the life
 * state RENEGOTIATING, and what is in flight is the quote in the world; the table here only holds
 * when to try again, so after a restart an open offer is sent again under the same message id. */
#include "bss_i.h"

#include "agent/codec/nego.h"
#include "agent/codec/noun.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/mcp_table.h"
#include "agent/peer.h"

#include <errno.h>
#include <stdio.h>

#define OUT_MAX      256
#define RETRY_US     (500 * 1000)
#define RETRY_MAX_US (8 * 1000 * 1000)
#define TELL_TRIES   12
#define PER_TICK     16 /* closed in one turn */

enum out_kind { OUT_OFFER, OUT_END, OUT_CREDIT };

struct out {
	enum out_kind kind;
	ident_t key; /* quote, lineage that has ended, or the credit note's name */
	ident_t deal;
	digest_t note; /* credit note */
	json_t *data;  /* of a termination; other bodies come from the store */
	unsigned tries;
	bool busy, delivered;
	mono_t next;
};

static struct out outs[OUT_MAX];
static uint32_t n_outs;

static struct out *out_find(const ident_t *key)
{
	for (uint32_t i = 0; i < n_outs; i++)
		if (ident_eq(outs[i].key, *key))
			return &outs[i];
	return NULL;
}

static struct out *out_make(enum out_kind kind, const ident_t *key, const ident_t *deal)
{
	struct out *o = out_find(key);

	if (o || n_outs == OUT_MAX)
		return o;
	o = &outs[n_outs++];
	*o = (struct out){ .kind = kind, .key = *key, .deal = *deal };
	return o;
}

static void out_drop(struct out *o)
{
	json_decref(o->data);
	*o = outs[--n_outs];
}

void bss_offers_reset(void)
{
	while (n_outs)
		out_drop(&outs[0]);
}

/* --- sending ---------------------------------------------------------------------------------- */

static enum refusal close_offer(const struct deal *d, const char *why)
{
	struct ev_ref ref = { .deal = d->lineage, .about = d->quote.id, .rev = d->cur.rev };
	struct err e = { 0 };

	str_cut(ref.why.s, why);
	if (bss_release(d, &e))
		log_error("%s: hold not released: %s", d->lineage.s, e.text);
	return tool_renegotiation_close(&bss.cap, &ref, NULL, NULL);
}

static void later(struct out *o, const char *why)
{
	int64_t wait = RETRY_US << (o->tries < 5 ? o->tries : 5);

	if (!o->tries)
		log_warn("%s: not delivered: %s", o->key.s, why);
	o->tries++;
	o->next = mono_add(loop_now(bss.side->loop), wait < RETRY_MAX_US ? wait : RETRY_MAX_US);
}

static void on_answer(void *arg, int err, const struct a2a_result *r, const char *why)
{
	auto_free ident_t *key = arg;
	struct out *o = out_find(key);
	const struct deal *d;
	struct nego_problem p;
	const json_t *part = err ? NULL : json_array_get(r->data, 0);
	struct err e = { 0 };

	if (!o)
		return;
	o->busy = false;
	if (err || r->code) {
		later(o, err ? why : r->error);
		return;
	}
	if (o->kind == OUT_CREDIT) {
		if (strcmp(nego_type(part), NEGO_RECEIVED) != 0) {
			later(o, "not booked");
			return;
		}
		bss_credit_delivered(&o->deal, &o->note);
	}
	o->delivered = true;
	d = world_deal(engine_world(bss.side->engine), &o->deal);
	if (d && o->kind == OUT_OFFER && d->life == LIFE_RENEGOTIATING &&
	    ident_eq(d->quote.id, *key) &&
	    !nego_read(part, NEGO_PROBLEM, &nego_problem_fields, &p, &e))
		(void)close_offer(d, p.title.s);
}

static json_t *envelope(const struct deal *d)
{
	struct nego_envelope v = { .negotiationId = d->negotiation, .round = 1 };

	str_cut(v.role.s, "server");
	str_cut(v.status.s, "in-progress");
	return json_pack("{s:o}", NEGO_EXTENSION, noun_encode(&nego_envelope_fields, &v));
}

static int post(struct out *o, const struct deal *d, const json_t *part, struct err *e)
{
	static const char *const names[] = { "offer", "end", "credit" };
	char id[sizeof(o->key.s) + 16];
	json_t *data = json_pack("[O]", part), *meta = envelope(d);
	struct a2a_send m = {
		.message_id = id, .data = data, .metadata = meta, .extension = NEGO_EXTENSION
	};
	ident_t *key = malloc(sizeof(*key));
	int r = -ENOMEM;

	(void)snprintf(id, sizeof(id), "m-%s-%s", names[o->kind], o->key.s);
	if (data && meta && key) {
		*key = o->key;
		r = peer_send(bss.side, d->peer.s, &m, on_answer, key, e);
	}
	if (r)
		free(key);
	json_decref(data);
	json_decref(meta);
	return r;
}

static void try_send(struct out *o, const struct deal *d)
{
	json_t *body = json_incref(o->data);
	struct err e = { 0 };
	int r = 0;

	if (o->busy || o->delivered || mono_cmp(loop_now(bss.side->loop), o->next) < 0)
		return;
	if (!body)
		r = desk_body_get(bss.side, o->kind == OUT_CREDIT ? &o->note : &d->quote.digest,
				  &body, &e);
	if (!r)
		r = post(o, d, body, &e);
	json_decref(body);
	if (r)
		later(o, e.text);
	else
		o->busy = true;
}

static bool in_life_offer(const struct quote *q)
{
	return q->reason == QUOTE_STEP_UP || q->reason == QUOTE_STEP_DOWN ||
	       q->reason == QUOTE_WALK_BACK;
}

static bool still_open(const struct out *o, const struct deal *d)
{
	switch (o->kind) {
	case OUT_CREDIT: return !o->delivered;
	case OUT_END: return !o->delivered && o->tries < TELL_TRIES;
	default: return d->life == LIFE_RENEGOTIATING && ident_eq(d->quote.id, o->key);
	}
}

static void drop_stale(void)
{
	for (uint32_t i = n_outs; i-- > 0;) {
		struct out *o = &outs[i];
		const struct deal *d = world_deal(engine_world(bss.side->engine), &o->deal);

		if (!o->busy && (!d || !still_open(o, d)))
			out_drop(o);
		else if (d && o->kind != OUT_OFFER)
			try_send(o, d);
	}
}

/* Until the enterprise has booked it, however long that takes. */
static void credit_out(const struct deal *d)
{
	const struct credit_line *l = deal_credit_open(d);
	char hex[2 * SHA256_LEN + 1];
	ident_t key = { 0 };
	struct out *o;

	if (!l)
		return;
	(void)hex_encode(l->note.note.b, sizeof(l->note.note.b), hex, sizeof(hex));
	(void)snprintf(key.s, sizeof(key.s), "crd-%.24s", hex);
	o = out_make(OUT_CREDIT, &key, &d->negotiation);
	if (o)
		o->note = l->note.note;
}

void bss_offers_tick(void)
{
	const struct world *w = engine_world(bss.side->engine);
	wall_t now = engine_now(bss.side->engine);
	unsigned closed = 0;

	for (uint32_t i = 0; i < w->n_deals && closed < PER_TICK; i++) {
		const struct deal *d = &w->deal[i];
		struct out *o;

		if (d->operator_side) {
			bss_credit_failed(d);
			bss_credit_unused(d);
			bss_credit_lowered(d);
			credit_out(d);
		}
		if (!d->operator_side || d->life != LIFE_RENEGOTIATING)
			continue;
		if (now.ms >
		    (d->has_accept ? d->accept.start.ms + SETTLE_MS : d->quote.valid_until.ms)) {
			(void)close_offer(d, d->has_accept ? "not countersigned in time"
							   : "not answered in time");
			closed++;
		} else if (in_life_offer(&d->quote) && d->quote.version == 1 && !d->has_accept) {
			o = out_make(OUT_OFFER, &d->quote.id, &d->lineage);
			if (o)
				try_send(o, d);
		}
	}
	drop_stale();
}

static void send_now(void *arg)
{
	(void)arg;
	bss_offers_tick();
}

void bss_offers_soon(void)
{
	engine_after_commit(bss.side->engine, send_now, NULL);
}

void bss_tell_ended(const struct deal *d, const struct ev_ref *ref)
{
	const ident_t *key = ident_empty(d->lineage) ? &d->negotiation : &d->lineage;
	struct out *o = out_make(OUT_END, key, key);

	if (o && !o->data)
		o->data = nego_part(NEGO_TERMINATE, &ev_ref_fields, ref);
	bss_offers_soon();
}

/* --- deciding --------------------------------------------------------------------------------- */

/* The agreement states one price; the margin in it is the choice's, or the price book's. */
static void terms_of(const struct deal *d, const struct agreement *a, const struct class_profile *p,
		     struct bss_terms *ret)
{
	price_t margin = ident_eq(d->accept.quote, a->quote) ? d->accept.margin : p->margin;

	if (margin.minor_h > a->price.minor_h)
		margin = a->price;
	*ret = (struct bss_terms){ .g = a->g,
				   .scarcity = { a->price.minor_h - margin.minor_h },
				   .margin = margin,
				   .path = a->path,
				   .type = a->type };
}

static void offer_from(const struct deal *d, const struct bss_strategy_out *out, struct quote *q)
{
	memset(q, 0, sizeof(*q));
	engine_id(&q->id, "quo");
	q->negotiation = d->negotiation;
	q->intent = d->cur.intent;
	q->lineage = d->lineage;
	q->version = 1;
	q->rev = d->last_rev + 1;
	q->refundable = bss.side->cfg->op.refund;
	q->reason = out->reason;
	q->class_name = d->cur.class_name;
	q->flow = d->cur.flow;
	memcpy(q->currency, d->cur.currency, sizeof(q->currency));
	q->made = engine_now(bss.side->engine);
	q->valid_until = out->valid_until;
	q->term_ms = d->cur.end.ms - q->made.ms;
	q->n_items = out->n_items;
	memcpy(q->item, out->item, sizeof(q->item));
}

static enum refusal open_offer(const struct deal *d, const struct bss_strategy_in *in,
			       const struct bss_strategy_out *out)
{
	struct decision dec = { "bss_strategy", &bss_strategy_in_fields, &bss_strategy_out_fields,
				in, out };
	auto_free char *body = NULL;
	struct quote q;
	struct err e = { 0 };
	enum refusal no;

	offer_from(d, out, &q);
	if (q.term_ms <= 0)
		return REFUSE_WRONG_STATE; /* it ends now anyway */
	if (bss_quote_body(&q, d, &body, &e)) {
		log_error("offer for %s: %s", d->lineage.s, e.text);
		return REFUSE_LIMIT_REACHED;
	}
	no = tool_renegotiation_open(&bss.cap, &q, &dec, &q.digest);
	if (no == REFUSE_NONE)
		bss_offers_soon();
	return no;
}

enum refusal bss_look(const struct deal *d, enum bss_trigger t, why_t *why)
{
	const struct class_profile *p;
	struct bss_strategy_in in;
	struct bss_strategy_out out;

	if (!d || !d->operator_side || !d->cur.rev)
		return REFUSE_AGREEMENT_UNKNOWN;
	/* Money that is on its way back would make the two sides' sums differ. */
	str_cut(why->s, "a credit note is on its way");
	if (deal_credit_open(d))
		return REFUSE_WRONG_STATE;
	p = side_profile(bss.side, &d->cur.class_name);
	str_cut(why->s, "its class is not configured any more");
	if (!p)
		return REFUSE_WRONG_STATE;
	memset(&in, 0, sizeof(in));
	memset(&out, 0, sizeof(out));
	in.p = bss.params;
	in.profile = *p;
	in.trigger = t;
	in.life = d->life;
	terms_of(d, &d->cur, p, &in.live);
	terms_of(d, &d->origin, p, &in.origin);
	in.now = engine_now(bss.side->engine);
	in.n_paths = bss_paths(in.path);
	bss_strategy(&in, &out);
	*why = out.why;
	if (out.offer)
		return open_offer(d, &in, &out);
	if (out.refusal == REFUSE_NONE)
		return REFUSE_DECLINED;
	engine_refuse(bss.side->engine, ACTOR, "renegotiation_open", &d->lineage, out.refusal,
		      out.why.s);
	return out.refusal;
}

/* --- on request ---------------------------------------------------------------------------------
 */

/* The operator wants capacity back: the same offer as at a risk, by the same rules. */
static int open_row(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e)
{
	ident_t id = { "" };
	const struct deal *d;
	why_t why = { "" };
	enum refusal no;
	int r = json_only(args, "", e, "id", NULL);

	(void)p;
	(void)key;
	if (!r)
		r = json_need_text(args, "", "id", id.s, sizeof(id.s), e);
	if (r)
		return r;
	d = world_deal(engine_world(s->engine), &id);
	no = bss_look(d, TRIGGER_RECLAIM, &why);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, why.s);
		return 0;
	}
	return mcp_answer_later(s, t,
				json_pack("{s:s, s:s, s:I, s:s}", "agreement", d->lineage.s,
					  "quote", d->quote.id.s, "validUntilMs",
					  (json_int_t)d->quote.valid_until.ms, "why", why.s),
				e);
}

/* What the enterprise has accepted is settled or times out; it is not taken back. */
static enum refusal may_close(const struct deal *d, const char **why)
{
	*why = "";
	if (!d || !d->operator_side || !d->cur.rev)
		return REFUSE_AGREEMENT_UNKNOWN;
	*why = "no offer is open";
	if (d->life != LIFE_RENEGOTIATING)
		return REFUSE_WRONG_STATE;
	*why = "the offer is accepted";
	return d->has_accept ? REFUSE_IN_FLIGHT : REFUSE_NONE;
}

static int close_row(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	ident_t id = { "" };
	const struct deal *d;
	const char *text;
	why_t why;
	enum refusal no;
	int r = mcp_id_reason(args, id.s, sizeof(id.s), &why, e);

	(void)p;
	(void)key;
	if (r)
		return r;
	d = world_deal(engine_world(s->engine), &id);
	no = may_close(d, &text);
	if (no == REFUSE_NONE)
		no = close_offer(d, why.s);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, text);
		return 0;
	}
	return mcp_answer_later(
		s, t, json_pack("{s:s, s:s}", "agreement", d->lineage.s, "quote", d->quote.id.s),
		e);
}

int bss_renegotiate_rows(struct err *e)
{
	static const struct mcp_row rows[] = {
		{ .name = "renegotiation_open",
		  .title = "Ask for capacity back",
		  .help = "Offers a smaller revision of a live agreement to its enterprise, when "
			  "its class steps down and its life allows it; no offer is forced on "
			  "anybody",
		  .input_schema = "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":"
				  "\"string\"}},\"required\":[\"id\"],"
				  "\"additionalProperties\":false}",
		  .idempotent = true,
		  .open_world = true,
		  .who = WHO_HUMAN,
		  .call = open_row },
		{ .name = "renegotiation_close",
		  .title = "Take an offer back",
		  .help = "Closes an offer of a revision that the enterprise has not accepted; "
			  "the agreement goes on as it is",
		  .input_schema = MCP_ID_REASON,
		  .idempotent = true,
		  .who = WHO_HUMAN,
		  .call = close_row },
	};
	static bool added;
	int r = 0;

	for (size_t i = 0; !added && !r && i < ARRAY_LEN(rows); i++)
		r = mcp_table_add(&rows[i], e);
	added = true;
	return r;
}
