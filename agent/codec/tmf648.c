/* SPDX-License-Identifier: Apache-2.0 */
/* TMF648 v5 Quote as a menu: each item after the first is an "alternative" of item 1. The scarcity
 * price (with its surge, one PriceAlteration an axis) and the margin are two QuotePrices of an
 * item, because only the second is open to bargaining. A counter-offer raises version. */
#include "tmf_common.h"

#include <errno.h>
#include <stdio.h>

static const char *const reasons[] = { [QUOTE_NEW] = "new",
				       [QUOTE_CHANGE] = "change",
				       [QUOTE_STEP_UP] = "step-up",
				       [QUOTE_STEP_DOWN] = "step-down",
				       [QUOTE_WALK_BACK] = "walk-back" };
static const char *const axes[] = { "scarcity:bandwidth", "scarcity:latency",
				    "scarcity:availability" };

/* What the product characteristics of an item hold: the quote's and the item's members. */
struct product {
	name_t class_name, flow;
	struct grades g;
	int64_t term_ms;
	uint32_t rev;
	bool refundable;
};

#define T struct product
static const struct field fields[] = {
	CH_STR("flowClass", T, class_name),
	CH_STR("flowLabel", T, flow),
	CH_UINT("bandwidthBps", T, g.bandwidth),
	CH_UINT("latencyMicros", T, g.latency),
	CH_UINT("availabilityPpm", T, g.availability),
	CH_INT("termMillis", T, term_ms),
	CH_UINT("revision", T, rev),
	CH_BOOL("refundable", T, refundable),
};
#undef T

static json_t *price(const char *name, price_t p, const struct quote *q, uint8_t digits,
		     json_t *alterations)
{
	json_t *m = money_write((money_t){ p.minor_h }, digits, q->currency);

	return json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:o}, s:o}", "@type", "QuotePrice", "name",
			 name, "priceType", "recurring", "recurringChargePeriod", "hour", "price",
			 "@type", "Price", "dutyFreeAmount", m, "priceAlteration", alterations);
}

static json_t *alterations(const struct quote_item *i)
{
	json_t *arr = json_array();

	for (size_t a = 0; arr && a < AXIS_MAX_; a++)
		if (i->surge_pct[a])
			(void)json_array_append_new(
				arr, json_pack("{s:s, s:s, s:s, s:s, s:i, s:{s:s, s:i}}", "@type",
					       "PriceAlteration", "name", axes[a], "priceType",
					       "recurring", "recurringChargePeriod", "hour",
					       "priority", (int)a + 1, "price", "@type", "Price",
					       "percentage", (int)i->surge_pct[a]));
	return arr;
}

static json_t *item_json(const struct quote *q, const struct quote_item *i, uint8_t digits)
{
	struct product pr = { q->class_name, q->flow, i->g, q->term_ms, q->rev, q->refundable };
	const char *offering = i->type == NET_DET ? "det-flow" : "be-flow";
	char id[8], name[64];
	json_t *js;

	(void)snprintf(id, sizeof(id), "%u", i->no);
	(void)snprintf(name, sizeof(name), "%s flow", q->class_name.s);
	js = json_pack("{s:s, s:s, s:s, s:i, s:o, s:{s:s, s:s, s:o, s:o}, s:s, s:[o, o]}", "@type",
		       "QuoteItem", "id", id, "action", ident_empty(q->lineage) ? "add" : "modify",
		       "quantity", 1, "productOffering",
		       tmf_ref("ProductOfferingRef", offering,
			       i->type == NET_DET ? "Deterministic flow" : "Best-effort flow"),
		       "product", "@type", "Product", "name", name, "productCharacteristic",
		       ch_write(fields, ARRAY_LEN(fields), &pr), "intent",
		       tmf_ref("IntentRef", q->intent.s, name), "state",
		       i->withdrawn ? "declined" : "approved", "quoteItemPrice",
		       price("scarcity", i->scarcity, q, digits, alterations(i)),
		       price("margin", i->margin, q, digits, json_array()));
	if (js && i->no != 1)
		(void)json_object_set_new(js, "quoteItemRelationship",
					  json_pack("[{s:s, s:s, s:s}]", "@type",
						    "QuoteItemRelationship", "id", "1",
						    "relationshipType", "alternative"));
	return js;
}

int tmf648_write(const struct quote *q, const struct tmf_parties *p, json_t **ret, struct err *e)
{
	char version[12];
	json_t *items = json_array(), *js;

	for (uint8_t i = 0; items && i < q->n_items; i++)
		if (json_array_append_new(items, item_json(q, &q->item[i], p->digits))) {
			json_decref(items);
			return err_set(e, -ENOMEM, "quoteItem");
		}
	(void)snprintf(version, sizeof(version), "%u", q->version);
	js = json_pack(
		"{s:s, s:b, s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:s}], s:[o, o], s:o, s:s, "
		"s:o, s:o}",
		"@type", "Quote", "instantSyncQuote", 1, "id", q->id.s, "version", version,
		"category", reasons[q->reason], "description", q->class_name.s, "externalId",
		"@type", "ExternalIdentifier", "id", q->negotiation.s, "externalIdentifierType",
		"negotiation", "owner", p->enterprise.s, "relatedParty",
		tmf_party("RelatedPartyOrPartyRole", "customer", &p->enterprise),
		tmf_party("RelatedPartyOrPartyRole", "seller", &p->op), "quoteItem", items, "state",
		"approved", "creationDate", json_time(q->made), "validFor",
		tmf_period(q->made, q->valid_until));
	if (js && !ident_empty(q->lineage))
		(void)json_object_set_new(
			js, "agreement",
			json_pack("[o]", tmf_ref("AgreementRef", q->lineage.s, q->class_name.s)));
	return tmf_done(js, ret, e);
}

/* --- reading ------------------------------------------------------------------------------ */

static int read_alterations(const json_t *arr, struct quote_item *it, struct err *e)
{
	const json_t *a;
	const char *name;
	json_t *price_js;
	int64_t pct;
	size_t i, k;

	json_array_foreach (arr, i, a) {
		int r = json_need_str(a, "priceAlteration", "name", &name, e);

		if (!r)
			r = json_need_obj(a, "priceAlteration", "price", &price_js, e);
		if (!r)
			r = json_need_int(price_js, "priceAlteration.price", "percentage", 1,
					  UINT16_MAX, &pct, e);
		if (r)
			return r;
		for (k = 0; k < AXIS_MAX_ && strcmp(axes[k], name) != 0; k++)
			;
		if (k == AXIS_MAX_ || it->surge_pct[k])
			return err_set(e, -EINVAL,
				       "priceAlteration.name: one of the three axes, once");
		it->surge_pct[k] = (uint16_t)pct;
	}
	return 0;
}

static int read_price(const json_t *js, const char *want, const struct tmf_parties *p,
		      struct quote *q, price_t *ret, struct err *e)
{
	json_t *price_js, *amount;
	char unit[4] = "";
	money_t m;
	int r = json_need_const(js, "quoteItemPrice", "name", want, e);

	if (!r)
		r = json_need_const(js, "quoteItemPrice", "recurringChargePeriod", "hour", e);
	if (!r)
		r = json_need_obj(js, "quoteItemPrice", "price", &price_js, e);
	if (!r)
		r = json_need_obj(price_js, "quoteItemPrice.price", "dutyFreeAmount", &amount, e);
	if (!r)
		r = money_read(amount, "quoteItemPrice.price.dutyFreeAmount", p->digits, unit, &m,
			       e);
	if (r)
		return r;
	if (q->currency[0] && strcmp(q->currency, unit) != 0)
		return err_set(e, -EINVAL, "quoteItemPrice: one currency a quote");
	memcpy(q->currency, unit, sizeof(unit));
	ret->minor_h = m.minor;
	return 0;
}

static int read_product(const json_t *js, struct quote *q, struct quote_item *it, bool first,
			struct err *e)
{
	struct product pr = { 0 };
	json_t *o;
	int r = json_only(js, "product", e, "@type", "name", "productCharacteristic", "intent",
			  NULL);

	if (!r)
		r = ch_read(json_object_get(js, "productCharacteristic"), "productCharacteristic",
			    fields, ARRAY_LEN(fields), ARRAY_LEN(fields), &pr, e);
	if (!r)
		r = json_need_obj(js, "product", "intent", &o, e);
	if (!r)
		r = json_need_text(o, "product.intent", "id", q->intent.s, sizeof(q->intent.s), e);
	if (r)
		return r;
	if (!first &&
	    (!ident_eq(pr.class_name, q->class_name) || !ident_eq(pr.flow, q->flow) ||
	     pr.term_ms != q->term_ms || pr.rev != q->rev || pr.refundable != q->refundable))
		return err_set(e, -EINVAL,
			       "productCharacteristic: one flow, term and revision a quote");
	if (pr.term_ms <= 0)
		return err_set(e, -EINVAL, "productCharacteristic: termMillis: above 0 required");
	q->class_name = pr.class_name;
	q->flow = pr.flow;
	q->term_ms = pr.term_ms;
	q->rev = pr.rev;
	q->refundable = pr.refundable;
	it->g = pr.g;
	return 0;
}

static int read_offering(const json_t *js, struct quote_item *it, struct err *e)
{
	const char *id;
	int r = json_need_str(js, "productOffering", "id", &id, e);

	if (r)
		return r;
	it->type = !strcmp(id, "det-flow") ? NET_DET : NET_BE;
	return it->type == NET_DET || !strcmp(id, "be-flow")
		       ? 0
		       : err_set(e, -EINVAL, "productOffering.id: det-flow or be-flow required");
}

static int read_item(const json_t *js, const struct tmf_parties *p, struct quote *q, struct err *e)
{
	struct quote_item *it = &q->item[q->n_items];
	const char *state;
	json_t *offering, *product, *prices;
	uint32_t no = 0;
	int r = json_only(js, "quoteItem", e, "@type", "id", "action", "quantity",
			  "productOffering", "product", "state", "quoteItemPrice",
			  "quoteItemRelationship", NULL);

	if (!r)
		r = tmf_number(js, "quoteItem", "id", &no, e);
	if (!r && no != q->n_items + 1u)
		r = err_set(e, -EINVAL, "quoteItem.id: %u required", q->n_items + 1u);
	if (!r)
		r = json_need_str(js, "quoteItem", "state", &state, e);
	if (!r)
		r = json_need_obj(js, "quoteItem", "productOffering", &offering, e);
	if (!r)
		r = read_offering(offering, it, e);
	if (!r)
		r = json_need_obj(js, "quoteItem", "product", &product, e);
	if (!r)
		r = read_product(product, q, it, q->n_items == 0, e);
	if (!r)
		r = json_need_arr(js, "quoteItem", "quoteItemPrice", 2, 2, &prices, e);
	if (!r)
		r = read_price(json_array_get(prices, 0), "scarcity", p, q, &it->scarcity, e);
	if (!r)
		r = read_alterations(json_object_get(json_array_get(prices, 0), "priceAlteration"),
				     it, e);
	if (!r)
		r = read_price(json_array_get(prices, 1), "margin", p, q, &it->margin, e);
	if (r)
		return r;
	it->no = (uint8_t)no;
	it->withdrawn = !strcmp(state, "declined");
	if (!it->withdrawn && strcmp(state, "approved") != 0)
		return err_set(e, -EINVAL, "quoteItem.state: approved or declined required");
	q->n_items++;
	return 0;
}

static int read_links(const json_t *js, struct quote *q, struct err *e)
{
	const char *category;
	json_t *arr;
	int r = json_need_str(js, "", "category", &category, e);

	for (unsigned k = QUOTE_NEW; !r && k < QUOTE_REASON_MAX_; k++)
		if (!strcmp(reasons[k], category))
			q->reason = (enum quote_reason)k;
	if (!r && !q->reason)
		r = err_set(e, -EINVAL, "category: not a reason that we know");
	if (!r)
		r = json_need_arr(js, "", "externalId", 1, 1, &arr, e);
	if (!r)
		r = json_need_const(json_array_get(arr, 0), "externalId[0]",
				    "externalIdentifierType", "negotiation", e);
	if (!r)
		r = json_need_text(json_array_get(arr, 0), "externalId[0]", "id", q->negotiation.s,
				   sizeof(q->negotiation.s), e);
	if (!r)
		r = json_opt_arr(js, "", "agreement", 1, 1, &arr, e);
	if (r > 0)
		r = json_need_text(json_array_get(arr, 0), "agreement[0]", "id", q->lineage.s,
				   sizeof(q->lineage.s), e);
	return r;
}

int tmf648_read(const json_t *js, const struct tmf_parties *p, struct quote *ret, struct err *e)
{
	struct quote q = { 0 };
	auto_json json_t *like = NULL;
	json_t *items, *o;
	int r = json_only(js, "", e, "@type", "instantSyncQuote", "id", "version", "category",
			  "description", "externalId", "relatedParty", "quoteItem", "state",
			  "creationDate", "validFor", "agreement", "salt", NULL);

	if (!r)
		r = tmf_salt_check(js, e);
	if (!r)
		r = tmf_type(js, "", "Quote", e);
	if (!r)
		r = json_need_const(js, "", "state", "approved", e);
	if (!r)
		r = json_need_text(js, "", "id", q.id.s, sizeof(q.id.s), e);
	if (!r)
		r = tmf_number(js, "", "version", &q.version, e);
	if (!r)
		r = read_links(js, &q, e);
	if (!r)
		r = json_need_obj(js, "", "validFor", &o, e);
	if (!r)
		r = tmf_read_period(o, "validFor", &q.made, &q.valid_until, e);
	if (!r)
		r = json_need_arr(js, "", "quoteItem", 1, QUOTE_ITEMS_MAX, &items, e);
	for (size_t i = 0; !r && i < json_array_size(items); i++)
		r = read_item(json_array_get(items, i), p, &q, e);
	if (!r)
		r = tmf648_write(&q, p, &like, e);
	if (!r)
		r = tmf_shape(js, like, e);
	if (!r)
		*ret = q;
	return r;
}
