/* SPDX-License-Identifier: Apache-2.0 */
/* The nouns as TM Forum bodies. What was exchanged is shown as it was stored; what never left this
 * side is written now from the noun. */
#include "agent/codec/event_json.h"
#include "agent/store/store.h"
#include "queries_int.h"

#include <errno.h>

static int done(struct mcp_turn *t, int r, json_t *body, struct err *e)
{
	return r ? r : query_answer(t, body, e);
}

/* --- what the log still knows of an older quote or revision ------------------------------------
 */

struct finding {
	ident_t id;
	uint64_t durable;
	struct event *ev, *found; /* of this row; the newest that matches */
	bool any;
	struct err *e;
};

static bool is_it(const struct event *ev, const ident_t *id)
{
	switch (ev->kind) {
	case EV_QUOTE_OFFERED:
	case EV_QUOTE_RECEIVED:
	case EV_RENEGOTIATION_OPENED: return ident_eq(ev->u.quote.id, *id);
	case EV_ORDER_EMITTED: return ident_eq(ev->u.order.id, *id);
	default: return false;
	}
}

static int find_row(void *arg, const struct store_event *row)
{
	struct finding *f = arg;
	int r;

	if (row->seq > f->durable)
		return 1;
	r = event_read(row->body, row->len, f->ev, NULL, f->e);
	if (!r && is_it(f->ev, &f->id)) {
		*f->found = *f->ev;
		f->any = true;
	}
	return r;
}

/* The newest event about an id that no deal carries any more; -ENOENT. Free *ret. */
static int find_event(struct side *s, const char *id, struct event **ret, struct err *e)
{
	struct store *st = engine_store(s->engine);
	struct finding f = { .durable = store_durable(st),
			     .ev = malloc(sizeof(*f.ev)),
			     .found = malloc(sizeof(*f.found)),
			     .e = e };
	int r = f.ev && f.found && str_set(f.id.s, id) ? 0 : -ENOMEM;

	if (!r)
		r = store_replay(st, 1, find_row, &f, e);
	free(f.ev);
	if (r >= 0 && !f.any)
		r = err_set(e, -ENOENT, "%s: not in the log", id);
	if (r < 0) {
		free(f.found);
		return r;
	}
	*ret = f.found;
	return 0;
}

/* --- bodies ------------------------------------------------------------------------------------
 */

/* As exchanged; -ENOENT when this side never kept it. */
static int stored_body(struct side *s, const digest_t *d, json_t **ret, struct err *e)
{
	auto_free void *body = NULL;
	struct err why = { 0 };
	struct hash h;
	size_t n;
	int r;

	memcpy(h.b, d->b, sizeof(h.b));
	r = store_body_get(engine_store(s->engine), &h, &body, &n, &why);
	if (r)
		return r == -EIO ? err_set(e, r, "%s", why.text) : -ENOENT;
	*ret = json_loadb(body, n, JSON_REJECT_DUPLICATES, NULL);
	return *ret ? 0 : -ENOENT;
}

static int quote_body(struct side *s, const struct quote *q, json_t **ret, struct err *e)
{
	struct tmf_parties p;
	int r = stored_body(s, &q->digest, ret, e);

	if (r != -ENOENT)
		return r;
	query_parties(s, &p);
	return tmf648_write(q, &p, ret, e);
}

static int on_intent_show(struct side *s, const struct peer *p, const json_t *args, const char *key,
			  struct mcp_turn *t, struct err *e)
{
	const struct deal *d = NULL;
	struct tmf_parties parties;
	json_t *body = NULL;
	int r = query_deal_arg(s, args, &d, e);

	(void)p;
	(void)key;
	query_parties(s, &parties);
	if (!r)
		r = tmf921_write(&d->intent, &parties, &body, e);
	return done(t, r, body, e);
}

static int on_quote_show(struct side *s, const struct peer *p, const json_t *args, const char *key,
			 struct mcp_turn *t, struct err *e)
{
	auto_free struct event *old = NULL;
	const struct deal *d = NULL;
	json_t *body = NULL;
	const char *id;
	int r = query_id(args, &id, e);

	(void)p;
	(void)key;
	if (r)
		return r;
	d = query_deal(s, id);
	/* An older menu of a deal that has a newer one is in the log. */
	if (d && d->has_quote &&
	    (!strcmp(id, d->quote.id.s) ||
	     (strcmp(id, d->cur.quote.s) != 0 && strcmp(id, d->pending.quote.s) != 0))) {
		r = quote_body(s, &d->quote, &body, e);
		return done(t, r, body, e);
	}
	r = find_event(s, id, &old, e);
	if (!r && old->kind == EV_ORDER_EMITTED)
		r = err_set(e, -ENOENT, "quote_unknown: %s: is an order", id);
	if (!r)
		r = quote_body(s, &old->u.quote, &body, e);
	return done(t, r, body, e);
}

static int on_agreement_show(struct side *s, const struct peer *p, const json_t *args,
			     const char *key, struct mcp_turn *t, struct err *e)
{
	const struct deal *d = NULL;
	json_t *body = NULL, *vc = NULL;
	struct tmf_parties parties;
	int r = query_deal_arg(s, args, &d, e);

	(void)p;
	(void)key;
	if (!r && !d->cur.rev)
		r = err_set(e, -ENOENT, "agreement_unknown: %s: nothing is signed yet",
			    d->negotiation.s);
	if (r)
		return r;
	query_parties(s, &parties);
	r = tmf651_write(&d->cur, &parties, &body, e);
	if (!r)
		r = stored_body(s, &d->cur.digest, &vc, e);
	if (r == -ENOENT)
		r = 0;
	if (r) {
		json_decref(body);
		return r;
	}
	return query_answer(t,
			    json_pack("{s:o, s:o, s:s}", "agreement", body, "credential",
				      vc ? vc : json_null(), "life", life_name(d->life)),
			    e);
}

static int on_order_show(struct side *s, const struct peer *p, const json_t *args, const char *key,
			 struct mcp_turn *t, struct err *e)
{
	const struct deal *d = NULL;
	struct tmf_parties parties;
	json_t *body = NULL;
	int r = query_deal_arg(s, args, &d, e);

	(void)p;
	(void)key;
	if (!r && ident_empty(d->order.id))
		r = err_set(e, -ENOENT, "order_invalid: %s: nothing was ordered", d->lineage.s);
	query_parties(s, &parties);
	if (!r)
		r = tmf622_write(&d->order, &d->cur, &parties, &body, e);
	return done(t, r, body, e);
}

/* --- services ----------------------------------------------------------------------------------
 */

static void service_of(const struct deal *d, struct tmf_service *v)
{
	bool gone = d->life == LIFE_TERMINATED;
	bool runs = d->active || d->old.rev; /* an amended one still runs at its old revision */

	*v = (struct tmf_service){ .service = d->cur.service,
				   .lineage = d->lineage,
				   .rev = d->cur.rev,
				   .label = d->cur.label,
				   .class_name = d->cur.class_name,
				   .flow = d->cur.flow,
				   .g = d->cur.g };
	str_cut(v->state, gone ? "terminated" : runs ? "active" : "reserved");
	str_cut(v->operating, gone           ? "stopped"
			      : d->risk_open ? "degraded"
			      : runs         ? "running"
					     : "pending");
}

static int service_body(const struct side *s, const struct deal *d, json_t **ret, struct err *e)
{
	struct tmf_parties parties;
	struct tmf_service v;

	query_parties(s, &parties);
	service_of(d, &v);
	return tmf638_write(&v, &parties, ret, e);
}

static int on_service_list(struct side *s, const struct peer *p, const json_t *args,
			   const char *key, struct mcp_turn *t, struct err *e)
{
	const struct world *w = engine_world(s->engine);
	json_t *rows, *body = NULL;
	uint32_t i, left;
	int r = query_page(args, &i, &left, e);

	(void)p;
	(void)key;
	if (r)
		return r;
	rows = json_array();
	for (; !r && i < w->n_deals && left; i++, left--) {
		if (!w->deal[i].cur.rev)
			continue;
		r = service_body(s, &w->deal[i], &body, e);
		if (!r && json_array_append_new(rows, body))
			r = -ENOMEM;
	}
	if (r) {
		json_decref(rows);
		return r;
	}
	return query_answer_page(t, "services", rows, i < w->n_deals ? i : 0, e);
}

static int on_service_show(struct side *s, const struct peer *p, const json_t *args,
			   const char *key, struct mcp_turn *t, struct err *e)
{
	const struct deal *d = NULL;
	json_t *body = NULL;
	int r = query_deal_arg(s, args, &d, e);

	(void)p;
	(void)key;
	if (!r && !d->cur.rev)
		r = err_set(e, -ENOENT, "agreement_unknown: %s: has no service yet",
			    d->negotiation.s);
	if (!r)
		r = service_body(s, d, &body, e);
	return done(t, r, body, e);
}

#define READ .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP

/* What the OSS's own owners work on. */
#define ORDERS .owners = 1u << OWNER_oss_negotiation | 1u << OWNER_oss_planning

const struct mcp_row query_rows_tmf[] = {
	{ "intent_show", "Intent", "One intent as a TMF921 body", .input_schema = QUERY_ID, READ,
	  .call = on_intent_show },
	{ "quote_show", "Quote", "One quote as a TMF648 body", .input_schema = QUERY_ID, READ,
	  .call = on_quote_show },
	{ "agreement_show", "Agreement", "The revision in force: TMF651 body and credential",
	  .input_schema = QUERY_ID, READ, .call = on_agreement_show },
	{ "order_show", "Order", "The latest order as a TMF622 body", .input_schema = QUERY_ID,
	  READ, ORDERS, .call = on_order_show },
	{ "service_list", "Services", "Every service as a TMF638 body", .input_schema = QUERY_PAGE,
	  READ, ORDERS, .call = on_service_list },
	{ "service_show", "Service", "One service as a TMF638 body", .input_schema = QUERY_ID, READ,
	  ORDERS, .call = on_service_show },
	{ 0 },
};
