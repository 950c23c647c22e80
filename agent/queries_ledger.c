/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as rows: wallets and their classes, holds, lineages. */
#include "agent/codec/credit.h"
#include "agent/crypto/crypto.h"
#include "agent/store/ledger.h"
#include "queries_int.h"

#include <errno.h>

struct listing {
	json_t *wallets, *classes, *holds, *lineages;
};

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

	return json_array_append_new(l->holds,
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

	(void)hex_encode(x->head.b, HASH_LEN, head, sizeof(head));
	return json_array_append_new(l->lineages,
				     json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "side",
					       side_name(x->side), "lineage", x->lineage, "wallet",
					       x->wallet_id, "class", x->class_name, "rev",
					       (json_int_t)x->rev, "captured",
					       (json_int_t)x->captured.minor, "head", head))
		       ? -ENOMEM
		       : 0;
}

/* Credit notes as the log knows them; "booked": by the enterprise. */
static json_t *credits(const struct world *w)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < w->n_deals; i++)
		for (uint8_t k = 0; k < w->deal[i].n_credits; k++) {
			const struct credit_line *l = &w->deal[i].credit[k];
			char note[2 * HASH_LEN + 1];

			(void)hex_encode(l->note.note.b, HASH_LEN, note, sizeof(note));
			(void)json_array_append_new(
				rows,
				json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:b, s:s}", "side",
					  side_name(w->deal[i].operator_side ? LEDGER_SHADOW
									     : LEDGER_GATE),
					  "lineage", w->deal[i].lineage.s, "rev",
					  (json_int_t)l->note.rev, "amount",
					  (json_int_t)l->note.amount.minor, "currency",
					  l->note.currency, "reason",
					  credit_reason_name((enum credit_reason)l->note.reason),
					  "booked", l->taken, "note", note));
		}
	return rows;
}

static int on_ledger_show(struct side *s, const struct peer *p, const json_t *args, const char *key,
			  struct mcp_turn *t, struct err *e)
{
	struct listing l = { json_array(), json_array(), json_array(), json_array() };
	struct store *st = engine_store(s->engine);
	json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o}", "wallets", l.wallets, "classes",
			      l.classes, "holds", l.holds, "lineages", l.lineages, "credits",
			      credits(engine_world(s->engine)));
	int r = o ? ledger_wallets(st, wallet_row, &l, e) : -ENOMEM;

	(void)p;
	(void)args;
	(void)key;
	if (!r)
		r = ledger_holds(st, false, hold_row, &l, e);
	if (!r)
		r = ledger_lineages(st, lineage_row, &l, e);
	if (r) {
		json_decref(o);
		return r;
	}
	return query_answer(t, o, e);
}

const struct mcp_row query_rows_ledger[] = {
	{ "ledger_show", "Ledger", "Wallets, their classes, holds, lineages and credit notes",
	  .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP,
	  .call = on_ledger_show },
	{ 0 },
};
