/* SPDX-License-Identifier: Apache-2.0 */
/* From a choice to a revision. Everything is derived: the same choice in the same world gives the
 * same revision, byte for byte. */
#include "bss_i.h"

#include "agent/codec/credential.h"
#include "agent/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>

/* The digits that negotiation, lineage and first service share. */
static void derived(ident_t *ret, const char *prefix, const ident_t *negotiation)
{
	char buf[sizeof(ret->s) + 8];

	(void)snprintf(buf, sizeof(buf), "%s-%s", prefix, negotiation->s + 4);
	str_cut(ret->s, buf);
}

/* The labels that were signed for, and are nobody's in force yet. */
static void chosen_labels(const struct deal *self, uint8_t *used)
{
	const struct cfg_range *r = &bss.side->cfg->op.labels;
	const struct world *w = engine_world(bss.side->engine);
	wall_t now = engine_now(bss.side->engine);

	for (uint32_t i = 0; i < w->choosing.n; i++) {
		uint32_t row = w->choosing.row[i];
		const struct deal_brief *b = &w->brief[row];
		bool gone = b->life == LIFE_TERMINATED && !b->has_order && !b->has_plan;

		if (&w->deal[row] != self && !gone && now.ms <= b->chosen.ms + SETTLE_MS &&
		    b->next.label >= r->low && b->next.label <= r->high)
			used[b->next.label - r->low] = 1;
	}
	bss_signing_labels(used, r->low, r->high - r->low + 1);
}

/* The lowest free label, 0 when there is none. */
static uint32_t label_free(const struct deal *self)
{
	const struct cfg_range *r = &bss.side->cfg->op.labels;
	const struct world *w = engine_world(bss.side->engine);
	auto_free uint8_t *used = calloc(r->high - r->low + 1, 1);

	if (!used)
		return 0;
	chosen_labels(self, used);
	for (uint32_t l = r->low; l <= r->high; l++)
		if (!used[l - r->low] && !world_label_used(w, l))
			return l;
	return 0;
}

static void new_service(const struct deal *d, struct agreement *g)
{
	uint8_t in[sizeof(g->lineage) + sizeof(g->rev) + sizeof(g->quote_digest)];
	uint8_t digest[SHA256_LEN];
	char hex[17];

	if (!d->cur.rev) {
		derived(&g->service, "svc", &d->negotiation);
		return;
	}
	memcpy(in, &g->lineage, sizeof(g->lineage));
	memcpy(in + sizeof(g->lineage), &g->rev, sizeof(g->rev));
	memcpy(in + sizeof(g->lineage) + sizeof(g->rev), &g->quote_digest, sizeof(g->quote_digest));
	sha256(in, sizeof(in), digest);
	(void)hex_encode(digest, 8, hex, sizeof(hex));
	memset(&g->service, 0, sizeof(g->service));
	(void)snprintf(g->service.s, sizeof(g->service.s), "svc-%s", hex);
}

static void from_quote(const struct deal *d, const struct quote_item *i, struct agreement *g)
{
	const struct quote *q = &d->quote;

	g->negotiation = d->negotiation;
	g->intent = q->intent;
	g->quote = q->id;
	g->quote_digest = q->digest;
	g->item = i->no;
	g->class_name = q->class_name;
	g->flow = q->flow;
	g->path = i->path;
	g->type = i->type;
	g->reason = q->reason;
	g->refundable = q->refundable;
	g->g = i->g;
	memcpy(g->currency, q->currency, sizeof(g->currency));
}

void bss_lineage(const struct deal *d, ident_t *ret)
{
	if (d->cur.rev)
		*ret = d->lineage;
	else
		derived(ret, "agr", &d->negotiation);
}

enum refusal bss_agreement(const struct deal *d, const struct ev_accept *a, struct agreement *g,
			   const char **why)
{
	const struct quote_item *item = NULL;
	enum order_action action;

	memset(g, 0, sizeof(*g));
	for (uint8_t i = 0; i < d->quote.n_items; i++)
		if (d->quote.item[i].no == a->item)
			item = &d->quote.item[i];
	*why = "item: not in the quote";
	if (!item)
		return REFUSE_QUOTE_MISMATCH;
	from_quote(d, item, g);
	bss_lineage(d, &g->lineage);
	g->rev = deal_next_rev(d);
	g->prev = d->head;
	g->hold = a->hold;
	g->wallet = a->wallet;
	g->enterprise = d->peer;
	str_cut(g->op.s, bss.side->cfg->daemon.did);
	g->price = a->price;
	g->start = a->start;
	g->end = a->end;
	g->amount = a->amount;
	action = bss_order_action(d->cur.rev ? &d->cur : NULL, g);
	g->label = d->cur.label;
	g->service = d->cur.service;
	if (action == ORDER_ADD || action == ORDER_MIGRATE) {
		g->label = label_free(d);
		new_service(d, g);
	}
	*why = "operator.labels: all are in use";
	return g->label ? REFUSE_NONE : REFUSE_LIMIT_REACHED;
}

/* A UUID (version 8, RFC 9562 section 5.8) out of what the revision is about. */
static void credential_id(const struct agreement *g, char id[URN_MAX])
{
	char text[256], hex[2 * SHA256_LEN + 1], quote[2 * SHA256_LEN + 1];
	uint8_t d[SHA256_LEN];

	(void)hex_encode(g->quote_digest.b, sizeof(g->quote_digest.b), quote, sizeof(quote));
	(void)snprintf(text, sizeof(text), "treaty/agreement/v1 %s %u %s %u %lld", g->lineage.s,
		       g->rev, quote, g->item, (long long)g->start.ms);
	sha256(text, strlen(text), d);
	d[6] = (uint8_t)((d[6] & 0x0f) | 0x80);
	d[8] = (uint8_t)((d[8] & 0x3f) | 0x80);
	(void)hex_encode(d, sizeof(d), hex, sizeof(hex));
	(void)snprintf(id, URN_MAX, "urn:uuid:%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		       hex + 16, hex + 20);
}

int bss_sign(const struct deal *d, const struct agreement *g, struct vc_asked **ret, struct err *e)
{
	struct agreement_terms t = { .revision = g->rev,
				     .generation = d->admit.generation,
				     .label = g->label,
				     .amount = g->amount,
				     .term_start = g->start,
				     .term_end = g->end,
				     .accept_by = { g->start.ms + SETTLE_MS } };
	struct tmf_parties parties;
	auto_json json_t *body = NULL;
	int r;

	credential_id(g, t.id);
	str_cut(t.issuer, bss.side->cfg->daemon.did);
	str_cut(t.lineage, g->lineage.s);
	str_cut(t.wallet_id, g->wallet.s);
	str_cut(t.hold_id, g->hold.s);
	memcpy(t.currency, g->currency, sizeof(t.currency));
	memcpy(t.previous, g->prev.b, sizeof(t.previous));
	memcpy(t.quote_digest, g->quote_digest.b, sizeof(t.quote_digest));
	desk_parties(bss.side, d->peer.s, &parties);
	r = tmf651_write(g, &parties, &body, e);
	if (!r)
		r = agreement_ask(&t, body, g->start, &bss.side->port[SIGN_AGREEMENT], ret, e);
	return r;
}
