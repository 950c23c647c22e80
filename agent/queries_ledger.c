/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as rows: wallets and their classes, holds, lineages. */
#include "agent/codec/credit.h"
#include "agent/crypto/crypto.h"
#include "agent/store/ledger.h"
#include "queries_int.h"

#include <errno.h>

/* What comes after the wallets, page by page. */
enum part { HOLDS, LINEAGES, CREDITS, PARTS };
static const char *const part_name[] = { "holds", "lineages", "credits" };

struct listing {
	json_t *wallets, *classes, *rows[PARTS];
	enum part part;
	int64_t at;    /* the part's row that was taken last */
	uint32_t left; /* rows on this page */
};

/* Whether another row of the part fits on the page. */
static bool room(struct listing *l, int64_t row)
{
	if (!l->left)
		return false;
	l->left--;
	l->at = row;
	return true;
}

static const char *side_name(enum ledger_side s)
{
	return s == LEDGER_GATE ? "gate" : "shadow";
}

static const char *time_text(wall_t t, char buf[TIME_TEXT_MAX])
{
	buf[0] = '\0';
	if (t.ms >= 0 && t.ms < 253402300800000)
		time_format(t, buf);
	return buf;
}

static int wallet_row(void *arg, const struct ledger_wallet *w)
{
	struct listing *l = arg;
	char until[TIME_TEXT_MAX];
	int r = json_array_append_new(
		l->wallets,
		json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:b, s:s}", "side",
			  side_name(w->id.side), "wallet", w->id.wallet_id, "issuer", w->id.issuer,
			  "holder", w->holder, "generation", (json_int_t)w->generation, "currency",
			  w->currency, "ceiling", (json_int_t)w->ceiling.minor, "held",
			  (json_int_t)w->held.minor, "captured", (json_int_t)w->captured.minor,
			  "agreementMax", (json_int_t)w->agreement_max.minor, "revoked", w->revoked,
			  "validUntil", time_text(w->valid_until, until)));

	for (unsigned i = 0; !r && i < w->classes && i < LEDGER_CLASSES_MAX; i++)
		r = json_array_append_new(
			l->classes,
			json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "side", side_name(w->id.side),
				  "wallet", w->id.wallet_id, "class", w->klass[i].name, "ceiling",
				  (json_int_t)w->klass[i].ceiling.minor, "held",
				  (json_int_t)w->klass[i].held.minor, "captured",
				  (json_int_t)w->klass[i].captured.minor));
	return r ? -ENOMEM : 0;
}

static int hold_row(void *arg, const struct ledger_hold_row *h)
{
	struct listing *l = arg;
	char until[TIME_TEXT_MAX];

	if (!room(l, h->row))
		return 1;
	return json_array_append_new(l->rows[HOLDS],
				     json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s}",
					       "side", side_name(h->side), "hold", h->hold_id,
					       "wallet", h->wallet_id, "class", h->class_name,
					       "lineage", h->lineage, "rev", (json_int_t)h->rev,
					       "amount", (json_int_t)h->amount.minor, "total",
					       (json_int_t)h->total.minor, "state",
					       ledger_hold_state_name(h->state), "expires",
					       time_text(h->expires, until)))
		       ? -ENOMEM
		       : 0;
}

static int lineage_row(void *arg, const struct ledger_lineage *x)
{
	struct listing *l = arg;
	char head[2 * HASH_LEN + 1];

	if (!room(l, x->row))
		return 1;
	(void)hex_encode(x->head.b, HASH_LEN, head, sizeof(head));
	return json_array_append_new(l->rows[LINEAGES],
				     json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "side",
					       side_name(x->side), "lineage", x->lineage, "wallet",
					       x->wallet_id, "class", x->class_name, "rev",
					       (json_int_t)x->rev, "captured",
					       (json_int_t)x->captured.minor, "head", head))
		       ? -ENOMEM
		       : 0;
}

static int credit_row(struct listing *l, const struct deal *d, const struct credit_line *c)
{
	char note[2 * HASH_LEN + 1];

	(void)hex_encode(c->note.note.b, HASH_LEN, note, sizeof(note));
	return json_array_append_new(
		       l->rows[CREDITS],
		       json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:b, s:s}", "side",
				 side_name(d->operator_side ? LEDGER_SHADOW : LEDGER_GATE),
				 "lineage", d->lineage.s, "rev", (json_int_t)c->note.rev, "amount",
				 (json_int_t)c->note.amount.minor, "currency", c->note.currency,
				 "reason", credit_reason_name((enum credit_reason)c->note.reason),
				 "booked", c->taken, "note", note))
		       ? -ENOMEM
		       : 0;
}

/* Credit notes as the log knows them; "booked": by the enterprise. */
static int credits(struct listing *l, const struct world *w)
{
	int64_t row = 0;
	int r = 0;

	for (uint32_t i = 0; !r && i < w->n_deals; i++)
		for (uint8_t k = 0; !r && k < w->deal[i].n_credits; k++)
			if (++row > l->at)
				r = room(l, row) ? credit_row(l, &w->deal[i], &w->deal[i].credit[k])
						 : 1;
	return r;
}

/* 1: the page is full, and the part has more. */
static int part_rows(struct side *s, struct listing *l, struct err *e)
{
	struct store *st = engine_store(s->engine);

	switch (l->part) {
	case HOLDS: return ledger_holds(st, l->at, hold_row, l, e);
	case LINEAGES: return ledger_lineages(st, l->at, lineage_row, l, e);
	default: return credits(l, engine_world(s->engine));
	}
}

/* 1: there is more, of l->part behind l->at. */
static int page(struct side *s, struct listing *l, struct err *e)
{
	int r = part_rows(s, l, e);

	while (!r && l->part != CREDITS) {
		l->part++;
		l->at = 0;
		r = part_rows(s, l, e);
	}
	return r;
}

static int on_ledger_show(struct side *s, const struct peer *p, const json_t *args, const char *key,
			  struct mcp_turn *t, struct err *e)
{
	struct listing l = { .wallets = json_array(),
			     .classes = json_array(),
			     .rows = { json_array(), json_array(), json_array() } };
	json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o}", "wallets", l.wallets, "classes",
			      l.classes, "holds", l.rows[HOLDS], "lineages", l.rows[LINEAGES],
			      "credits", l.rows[CREDITS]);
	int r = query_part(args, part_name, PARTS, &l.at, &l.left, e);

	(void)p;
	(void)key;
	l.part = r > 0 ? (enum part)r : HOLDS;
	if (r >= 0 && !json_object_get(args, "after"))
		r = ledger_wallets(engine_store(s->engine), wallet_row, &l, e);
	if (r >= 0)
		r = page(s, &l, e);
	if (r > 0)
		r = query_part_next(o, part_name[l.part], l.at);
	if (r < 0) {
		json_decref(o);
		return r;
	}
	return query_answer(t, o, e);
}

const struct mcp_row query_rows_ledger[] = {
	{ "ledger_show", "Ledger", "Wallets, their classes, holds, lineages and credit notes",
	  .input_schema = QUERY_PARTS, .read_only = true, .idempotent = true,
	  .who = WHO_HUMAN | WHO_APP, .call = on_ledger_show },
	{ 0 },
};
