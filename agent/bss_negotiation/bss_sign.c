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

/* The labels that a deal keeps from others, 0 = none. */
static void labels_of(const struct deal_brief *b, bool self, wall_t now, uint32_t ret[4])
{
	/* After the end the label stays taken until its steps are gone, and so before anybody has
	 * ordered that. */
	bool gone = b->life == LIFE_TERMINATED && !b->has_order && !b->has_plan;
	bool signed_now = !self && b->next.is && now.ms <= b->chosen.ms + SETTLE_MS;

	ret[0] = !gone && b->cur.is ? b->cur.label : 0;
	ret[1] = !gone ? b->old_label : 0;
	ret[2] = !gone && signed_now ? b->next.label : 0;
	ret[3] = b->applied.is ? b->applied.label : 0;
}

/* The lowest free label, 0 when there is none. Each deal takes four at most, or one more while its
 * revision is being signed, so one of the first 5 n + 1 is free, or none is. */
static uint32_t label_free(const struct deal *self, wall_t now)
{
	const struct cfg_range *r = &bss.side->cfg->op.labels;
	const struct world *w = engine_world(bss.side->engine);
	uint32_t many = r->high - r->low + 1, look = 5 * w->n_deals + 1, label[4];
	auto_free uint8_t *used = NULL;

	look = look < many ? look : many;
	used = calloc(look, 1);
	for (uint32_t i = 0; used && i < w->n_deals; i++) {
		labels_of(&w->brief[i], &w->deal[i] == self, now, label);
		for (unsigned k = 0; k < ARRAY_LEN(label); k++)
			if (label[k] >= r->low && label[k] - r->low < look)
				used[label[k] - r->low] = 1;
	}
	if (used)
		bss_signing_labels(used, r->low, look);
	for (uint32_t l = 0; used && l < look; l++)
		if (!used[l])
			return r->low + l;
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
		g->label = label_free(d, engine_now(bss.side->engine));
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
