/* SPDX-License-Identifier: Apache-2.0 */
/* TMF648 v5 Quote as a menu: each item after the first is an "alternative" of item 1. The scarcity
 * price (with its surge, one PriceAlteration an axis) and the margin are two QuotePrices of an
 * item, because only the second is open to bargaining. A counter-offer raises version. */
#include "tmf_common.h"

#include "agent/codec/canon.h"

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

/* As money_write() has it: a whole number of the currency, or a real. */
static void amount(struct noun_text *o, price_t p, const struct quote *q, uint8_t digits)
{
	auto_json json_t *m = money_write((money_t){ p.minor_h }, digits, q->currency);
	const json_t *v = json_object_get(m, "value");
	char t[ES6_NUMBER_MAX];

	if (!m || (json_is_real(v) && es6_number(json_real_value(v), t) < 0)) {
		o->err = o->err ? o->err : -ENOMEM;
		return;
	}
	tmf_put(o, "{\"unit\":", q->currency);
	noun_text_put(o, ",\"value\":");
	if (json_is_real(v))
		noun_text_put(o, t);
	else
		noun_text_int(o, json_integer_value(v));
	noun_text_put(o, "}");
}

static void alterations(struct noun_text *o, const struct quote_item *i)
{
	const char *between = "";

	for (size_t a = 0; a < AXIS_MAX_; a++) {
		if (!i->surge_pct[a])
			continue;
		noun_text_put(o, between);
		tmf_put(o, "{\"@type\":\"PriceAlteration\",\"name\":", axes[a]);
		noun_text_put(o, ",\"price\":{\"@type\":\"Price\",\"percentage\":");
		noun_text_int(o, i->surge_pct[a]);
		noun_text_put(o, "},\"priceType\":\"recurring\",\"priority\":");
		noun_text_int(o, (int64_t)a + 1);
		noun_text_put(o, ",\"recurringChargePeriod\":\"hour\"}");
		between = ",";
	}
}

/* surges NULL: a price that has none. */
static void price(struct noun_text *o, const char *name, price_t p, const struct quote *q,
		  uint8_t digits, const struct quote_item *surges)
{
	tmf_put(o, "{\"@type\":\"QuotePrice\",\"name\":", name);
	noun_text_put(o, ",\"price\":{\"@type\":\"Price\",\"dutyFreeAmount\":");
	amount(o, p, q, digits);
	noun_text_put(o, "},\"priceAlteration\":[");
	if (surges)
		alterations(o, surges);
	noun_text_put(o, "],\"priceType\":\"recurring\",\"recurringChargePeriod\":\"hour\"}");
}

/* What is read has been compared with its characteristics: a form does without. */
static void product(struct noun_text *o, const struct quote *q, const struct quote_item *i,
		    bool form)
{
	struct product pr = { q->class_name, q->flow, i->g, q->term_ms, q->rev, q->refundable };
	char name[64];

	(void)snprintf(name, sizeof(name), "%s flow", q->class_name.s);
	noun_text_put(o, "{\"@type\":\"Product\",\"intent\":");
	tmf_ref(o, "IntentRef", q->intent.s, name);
	tmf_put(o, ",\"name\":", name);
	noun_text_put(o, ",\"productCharacteristic\":");
	ch_text(o, fields, form ? 0 : ARRAY_LEN(fields), &pr);
	noun_text_put(o, "}");
}

static void item(struct noun_text *o, const struct quote *q, const struct quote_item *i,
		 uint8_t digits, bool form)
{
	char id[8];

	(void)snprintf(id, sizeof(id), "%u", i->no);
	tmf_put(o,
		"{\"@type\":\"QuoteItem\",\"action\":", ident_empty(q->lineage) ? "add" : "modify");
	tmf_put(o, ",\"id\":", id);
	noun_text_put(o, ",\"product\":");
	product(o, q, i, form);
	noun_text_put(o, ",\"productOffering\":");
	if (i->type == NET_DET)
		tmf_ref(o, "ProductOfferingRef", "det-flow", "Deterministic flow");
	else
		tmf_ref(o, "ProductOfferingRef", "be-flow", "Best-effort flow");
	noun_text_put(o, ",\"quantity\":1,\"quoteItemPrice\":[");
	price(o, "scarcity", i->scarcity, q, digits, i);
	noun_text_put(o, ",");
	price(o, "margin", i->margin, q, digits, NULL);
	noun_text_put(o, "]");
	if (i->no != 1)
		noun_text_put(o, ",\"quoteItemRelationship\":[{\"@type\":\"QuoteItemRelationship\","
				 "\"id\":\"1\",\"relationshipType\":\"alternative\"}]");
	tmf_put(o, ",\"state\":", i->withdrawn ? "declined" : "approved");
	noun_text_put(o, "}");
}

static void head(struct noun_text *o, const struct quote *q, const struct tmf_parties *p)
{
	char made[TIME_TEXT_MAX];

	noun_text_put(o, "{\"@type\":\"Quote\"");
	if (!ident_empty(q->lineage)) {
		noun_text_put(o, ",\"agreement\":[");
		tmf_ref(o, "AgreementRef", q->lineage.s, q->class_name.s);
		noun_text_put(o, "]");
	}
	time_format(q->made, made);
	tmf_put(o, ",\"category\":", reasons[q->reason]);
	tmf_put(o, ",\"creationDate\":", made);
	tmf_put(o, ",\"description\":", q->class_name.s);
	tmf_put(o,
		",\"externalId\":[{\"@type\":\"ExternalIdentifier\",\"externalIdentifierType\":"
		"\"negotiation\",\"id\":",
		q->negotiation.s);
	tmf_put(o, ",\"owner\":", p->enterprise.s);
	tmf_put(o, "}],\"id\":", q->id.s);
}

static void body(struct noun_text *o, const struct quote *q, const struct tmf_parties *p,
		 const char *salt, bool form)
{
	char version[12];

	(void)snprintf(version, sizeof(version), "%u", q->version);
	head(o, q, p);
	noun_text_put(o, ",\"instantSyncQuote\":true,\"quoteItem\":[");
	for (uint8_t i = 0; i < q->n_items; i++) {
		noun_text_put(o, i ? "," : "");
		item(o, q, &q->item[i], p->digits, form);
	}
	noun_text_put(o, "],\"relatedParty\":[");
	tmf_party(o, "RelatedPartyOrPartyRole", "customer", &p->enterprise);
	noun_text_put(o, ",");
	tmf_party(o, "RelatedPartyOrPartyRole", "seller", &p->op);
	noun_text_put(o, "]");
	tmf_put_salt(o, salt);
	noun_text_put(o, ",\"state\":\"approved\",\"validFor\":");
	tmf_period_text(o, q->made, q->valid_until);
	tmf_put(o, ",\"version\":", version);
	noun_text_put(o, "}");
}

int tmf648_text(const struct quote *q, const struct tmf_parties *p, const char *salt, char **ret,
		size_t *len, struct err *e)
{
	struct noun_text o = TMF_TEXT;

	body(&o, q, p, salt, false);
	return tmf_text(&o, ret, len, e);
}

int tmf648_write(const struct quote *q, const struct tmf_parties *p, json_t **ret, struct err *e)
{
	struct noun_text o = TMF_TEXT;

	body(&o, q, p, NULL, false);
	return tmf_tree(&o, ret, e);
}

static int check_form(const json_t *js, const struct quote *q, const struct tmf_parties *p,
		      struct err *e)
{
	struct noun_text o = TMF_TEXT;
	auto_json json_t *like = NULL;
	int r;

	body(&o, q, p, NULL, true);
	r = tmf_tree(&o, &like, e);
	return r ? r : tmf_shape(js, like, e);
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
		r = check_form(js, &q, p, e);
	if (!r)
		*ret = q;
	return r;
}
