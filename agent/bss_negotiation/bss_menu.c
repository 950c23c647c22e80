/* SPDX-License-Identifier: Apache-2.0 */
/* From an admitted intent to a menu, and the bargaining over its margins. */
#include "bss_i.h"

#include "agent/codec/nego.h"
#include "agent/log.h"
#include "agent/state/table_core.h"
#include "agent/store/ledger.h"

#include <errno.h>
#include <stdio.h>

/* --- what is free ----------------------------------------------------------------------------- */

static bool next_counts(const struct deal_brief *b, wall_t now)
{
	return b->next.is && b->life != LIFE_TERMINATED && now.ms <= b->chosen.ms + SETTLE_MS;
}

/* In life a revision replaces the one before it, on its own path only. */
static uint64_t beyond(const struct deal_brief *b)
{
	bool live = b->cur.is && b->cur.path == b->next.path;
	uint64_t cur = live ? b->cur.rate.bps : 0;

	return b->next.rate.bps > cur ? b->next.rate.bps - cur : 0;
}

uint8_t bss_paths(struct path_view ret[PATHS_MAX])
{
	const struct side_paths *p = &bss.side->paths;
	const struct world *w = engine_world(bss.side->engine);
	wall_t now = engine_now(bss.side->engine);
	uint32_t coming = w->sum.admitted; /* sold, and in no node's tables yet */

	for (uint8_t i = 0; i < p->n; i++) {
		ret[i] = p->view[i];
		ret[i].reserved = w->sum.sold[ret[i].path];
	}
	for (uint32_t k = 0; k < w->choosing.n; k++) {
		const struct deal_brief *b = &w->brief[w->choosing.row[k]];

		if (!b->operator_side || !next_counts(b, now))
			continue;
		coming += !b->cur.is && !b->applied.is;
		for (uint8_t i = 0; i < p->n; i++)
			if (ret[i].path == b->next.path)
				ret[i].reserved.bps += beyond(b);
	}
	for (uint8_t i = 0; i < p->n; i++)
		table_expect(&ret[i].least, coming);
	return p->n;
}

/* --- bodies ----------------------------------------------------------------------------------- */

int bss_quote_body(struct quote *q, const struct deal *d, char **ret, struct err *e)
{
	struct tmf_parties parties;
	auto_free char *text = NULL;
	char salt[TMF_SALT_MAX];
	size_t len = 0;
	int r;

	desk_parties(bss.side, d->peer.s, &parties);
	tmf_salt(salt);
	r = tmf648_text(q, &parties, salt, &text, &len, e);
	if (!r)
		r = desk_text_put(bss.side, d->peer.s, text, len, &q->digest, e);
	if (!r && ret)
		*ret = TAKE_PTR(text);
	return r;
}

/* The margins as first quoted, for the bargaining that may follow. */
static void margins_key(const struct quote *q, char key[80])
{
	(void)snprintf(key, 80, "margins/%s", q->id.s);
}

static int margins_put(const struct quote *q, struct err *e)
{
	int64_t m[QUOTE_ITEMS_MAX] = { 0 };
	char key[80];

	for (uint8_t i = 0; i < q->n_items; i++)
		m[i] = q->item[i].margin.minor_h;
	margins_key(q, key);
	return store_kv_put(engine_store(bss.side->engine), key, m, sizeof(m), e);
}

static price_t margin_first(const struct quote *q, uint8_t index)
{
	auto_free void *val = NULL;
	struct err e = { 0 };
	price_t p = q->item[index].margin;
	char key[80];
	size_t len;

	margins_key(q, key);
	if (!store_kv_get(engine_store(bss.side->engine), key, &val, &len, &e) &&
	    len == QUOTE_ITEMS_MAX * sizeof(int64_t))
		memcpy(&p.minor_h, (char *)val + index * sizeof(int64_t), sizeof(int64_t));
	return p;
}

/* --- the menu --------------------------------------------------------------------------------- */

static void menu_in(const struct deal *d, struct bss_menu_in *in)
{
	memset(in, 0, sizeof(*in));
	in->p = bss.params;
	in->profile = *side_profile(bss.side, &d->intent.class_name);
	in->want = d->intent.want;
	in->now = engine_now(bss.side->engine);
	in->room = side_ceiling_room(bss.side, d);
	in->ceiling = in->room.bps != UINT64_MAX;
	in->room.bps = in->ceiling ? in->room.bps : 0;
	if (d->cur.rev) {
		in->own.path = d->cur.path;
		in->own.rate = d->cur.g.bandwidth;
	}
	in->n_paths = bss_paths(in->path);
}

static void quote_from(const struct deal *d, const struct bss_menu_out *out, struct quote *q)
{
	memset(q, 0, sizeof(*q));
	engine_id(&q->id, "quo");
	q->negotiation = d->negotiation;
	q->intent = d->intent.id;
	if (d->cur.rev)
		q->lineage = d->lineage;
	q->version = 1;
	q->rev = d->last_rev + 1;
	q->refundable = bss.side->cfg->op.refund;
	q->reason = d->cur.rev ? QUOTE_CHANGE : QUOTE_NEW;
	q->class_name = d->intent.class_name;
	q->flow = d->intent.flow;
	str_cut(q->currency, bss.side->cfg->ledger.currency);
	q->made = engine_now(bss.side->engine);
	q->valid_until = out->valid_until;
	q->term_ms = d->intent.term_ms;
	q->n_items = out->n_items;
	memcpy(q->item, out->item, sizeof(q->item));
}

static void answer_refused(const struct deal *d, enum refusal r, const char *why)
{
	struct desk_call c;
	bool any = false;

	for (; desk_take(bss.side, d, &c); any = true)
		(void)bss_refuse(&c, "quote_offer", &d->negotiation, r, why);
	if (!any)
		engine_refuse(bss.side->engine, ACTOR, "quote_offer", &d->negotiation, r, why);
}

static void answer_quote(const struct deal *d, const char *body)
{
	struct desk_call c;

	while (desk_take(bss.side, d, &c))
		desk_task(&c, d, A2A_INPUT_REQUIRED, "quote", strdup(body));
}

void bss_offer_menu(const struct event *ev)
{
	const struct intent *i = &ev->u.admit.intent;
	const struct deal *d = world_deal(engine_world(bss.side->engine),
					  ident_empty(i->lineage) ? &i->negotiation : &i->lineage);
	struct bss_menu_in in;
	struct bss_menu_out out;
	struct decision dec = { "bss_menu", &bss_menu_in_fields, &bss_menu_out_fields, &in, &out };
	auto_free char *body = NULL;
	struct quote q;
	struct err e = { 0 };
	enum refusal no;
	int r;

	if (!d || !side_profile(bss.side, &d->intent.class_name))
		return;
	menu_in(d, &in);
	memset(&out, 0, sizeof(out));
	bss_menu(&in, &out);
	if (out.refusal != REFUSE_NONE) {
		answer_refused(d, out.refusal, out.why.s);
		return;
	}
	quote_from(d, &out, &q);
	r = bss_quote_body(&q, d, &body, &e);
	if (!r)
		r = margins_put(&q, &e);
	if (r)
		log_error("quote for %s: %s", d->negotiation.s, e.text);
	no = r ? REFUSE_LIMIT_REACHED : tool_quote_offer(&bss.cap, &q, &dec, &q.digest);
	if (no == REFUSE_NONE)
		answer_quote(d, body);
	else
		answer_refused(d, no, "quote_offer");
}

/* --- bargaining ------------------------------------------------------------------------------- */

/* The deal and the item that a counter-offer speaks of. */
static enum refusal counter_ok(const struct deal *d, const struct ev_counter *k, uint8_t *index,
			       const char **why)
{
	*why = "quote: not the latest of this negotiation";
	if (!d || !d->has_quote || !ident_eq(d->quote.id, k->quote))
		return REFUSE_QUOTE_UNKNOWN;
	*why = "quote: it is not open";
	if (d->has_accept || (d->life != LIFE_NEGOTIATED && d->life != LIFE_RENEGOTIATING))
		return REFUSE_WRONG_STATE;
	*why = "item: not in the quote";
	for (*index = 0; *index < d->quote.n_items; ++*index)
		if (d->quote.item[*index].no == k->item)
			break;
	if (*index == d->quote.n_items)
		return REFUSE_QUOTE_UNKNOWN;
	*why = "round: counted from 1, without gaps";
	return k->round > d->quote.version ? REFUSE_BODY_MALFORMED : REFUSE_NONE;
}

static int offer_again(struct desk_call *c, const struct deal *d, uint8_t index, price_t margin,
		       const struct decision *dec)
{
	struct quote q = d->quote;
	auto_free char *body = NULL;
	struct err e = { 0 };
	enum refusal no;
	int r;

	q.version++;
	q.item[index].margin = margin;
	r = bss_quote_body(&q, d, &body, &e);
	if (r)
		return r;
	no = tool_quote_offer(&bss.cap, &q, dec, &q.digest);
	if (no == REFUSE_NONE) {
		desk_task(c, d, A2A_INPUT_REQUIRED, "quote", TAKE_PTR(body));
		return 0;
	}
	return bss_refuse(c, "quote_offer", &d->negotiation, no, "quote_offer");
}

static int same_quote(struct desk_call *c, const struct deal *d)
{
	char *body = NULL;
	struct err e = { 0 };
	size_t len;
	int r = desk_body_text(bss.side, &d->quote.digest, &body, &len, &e);

	if (!r)
		desk_task(c, d, A2A_INPUT_REQUIRED, "quote", body);
	return r;
}

int bss_take_counter(struct desk_call *c)
{
	struct bss_counter_in in = { 0 };
	struct bss_counter_out out = { 0 };
	struct decision dec = { "bss_counter", &bss_counter_in_fields, &bss_counter_out_fields, &in,
				&out };
	struct ev_counter k;
	struct err e = { 0 };
	const struct class_profile *p;
	const struct deal *d;
	const char *why;
	enum refusal no;
	uint8_t i;

	if (nego_read(json_array_get(c->msg->data, 0), NEGO_COUNTER, &ev_counter_fields, &k, &e))
		return bss_refuse(c, "quote_offer", NULL, REFUSE_BODY_MALFORMED, e.text);
	if (k.margin.minor_h < 0)
		return bss_refuse(c, "quote_offer", &k.deal, REFUSE_BODY_MALFORMED,
				  "margin: 0 or more required");
	d = desk_deal(c, &k.deal);
	no = counter_ok(d, &k, &i, &why);
	if (no != REFUSE_NONE)
		return bss_refuse(c, "quote_offer", &k.deal, no, why);
	/* Of an earlier round the quote is not at hand: what is repeated changes nothing. */
	why = desk_unbound(c, &d->negotiation, k.round,
			   k.round && k.round < d->quote.version ? NULL : &d->quote.digest);
	if (why)
		return bss_refuse(c, "quote_offer", &k.deal, REFUSE_QUOTE_MISMATCH, why);
	/* The round before was answered; whoever asks again lost the answer. */
	if (k.round && k.round < d->quote.version)
		return same_quote(c, d);
	p = side_profile(bss.side, &d->quote.class_name);
	in.quoted = margin_first(&d->quote, i);
	in.floor = p ? p->margin_floor : in.quoted;
	in.last = d->quote.item[i].margin;
	in.offered = k.margin;
	in.round = (uint8_t)(d->quote.version < 255 ? d->quote.version : 255);
	in.expired = engine_now(bss.side->engine).ms > d->quote.valid_until.ms;
	in.withdrawn = d->quote.item[i].withdrawn;
	bss_counter(&in, &out);
	if (out.verdict == BSS_REFUSE)
		return bss_refuse(c, "quote_offer", &d->negotiation, out.refusal, out.why.s);
	return offer_again(c, d, i, out.margin, &dec);
}

/* --- rejection -------------------------------------------------------------------------------- */

int bss_release(const struct deal *d, struct err *e)
{
	struct store *st = engine_store(bss.side->engine);
	struct ledger_hold_row row;
	struct ledger_result res;
	ident_t line;
	int r;

	if (ident_empty(d->accept.hold))
		return 0;
	bss_lineage(d, &line);
	r = ledger_hold_get(st, LEDGER_SHADOW, line.s, d->accept.hold.s, &row, NULL);
	if (r == -ENOENT || (!r && row.state != HOLD_HELD))
		return 0;
	return r ? r
		 : ledger_release(st, LEDGER_SHADOW, line.s, d->accept.hold.s,
				  engine_now(bss.side->engine), &res, e);
}

int bss_take_reject(struct desk_call *c)
{
	struct ev_ref ref;
	struct err e = { 0 };
	const struct deal *d;
	const char *why;
	enum refusal no = REFUSE_NONE;
	int r;

	if (nego_read(json_array_get(c->msg->data, 0), NEGO_REJECT, &ev_ref_fields, &ref, &e))
		return bss_refuse(c, "renegotiation_close", NULL, REFUSE_BODY_MALFORMED, e.text);
	d = desk_deal(c, &ref.deal);
	if (!d || !d->has_quote || !ident_eq(d->quote.id, ref.about))
		return bss_refuse(c, "renegotiation_close", &ref.deal, REFUSE_QUOTE_UNKNOWN,
				  "about: not the latest quote of this negotiation");
	why = desk_unbound(c, &d->negotiation, d->quote.version, &d->quote.digest);
	if (why)
		return bss_refuse(c, "renegotiation_close", &ref.deal, REFUSE_QUOTE_MISMATCH, why);
	/* A revision in force is paid: only what is still being negotiated can be let go. */
	if (d->life == LIFE_NEGOTIATED || d->life == LIFE_RENEGOTIATING) {
		r = bss_release(d, &e);
		if (r)
			return r;
	}
	if (d->life == LIFE_RENEGOTIATING) {
		ref.deal = d->lineage;
		no = tool_renegotiation_close(&bss.cap, &ref, NULL, NULL);
	}
	if (no != REFUSE_NONE)
		return bss_refuse(c, "renegotiation_close", &d->negotiation, no, "close");
	desk_task(c, d, A2A_CANCELED, NULL, NULL);
	return 0;
}
