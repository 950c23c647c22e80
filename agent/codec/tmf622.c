/* SPDX-License-Identifier: Apache-2.0 */
/* TMF622 v5 ProductOrder: BSS to OSS. In place (modify, reroute) is one item "modify" that keeps
 * the product; a replacement is an item "add" and an item "delete" that migrates to it. */
#include "tmf_common.h"

#include <errno.h>
#include <stdio.h>

#define T struct order
static const struct field fields[] = {
	CH_STR("serviceId", T, service),
	CH_UINT("flowLabelValue", T, label),
	CH_UINT("bandwidthBps", T, g.bandwidth),
	CH_UINT("latencyMicros", T, g.latency),
	CH_UINT("availabilityPpm", T, g.availability),
	CH_UINT("pathId", T, path),
	CH_UINT("agreementRevision", T, rev),
	CH_BYTES("agreementDigest", T, agreement_digest),
	CH_UINT("orderAction", T, action),
	CH_INT("endMillis", T, end),
	CH_UINT("oldFlowLabelValue", T, old_label),
	CH_UINT("oldPathId", T, old_path),
	CH_UINT("oldBandwidthBps", T, old_g.bandwidth),
	CH_UINT("oldLatencyMicros", T, old_g.latency),
	CH_UINT("oldAvailabilityPpm", T, old_g.availability),
};
#undef T
enum { FIELDS_NEEDED = 10 };

static void offering(struct noun_text *o, const struct agreement *a)
{
	if (a->type == NET_DET)
		tmf_ref(o, "ProductOfferingRef", "det-flow", "Deterministic flow");
	else
		tmf_ref(o, "ProductOfferingRef", "be-flow", "Best-effort flow");
}

static const char *action_of(enum order_action a)
{
	return a == ORDER_ADD || a == ORDER_MIGRATE ? "add"
	       : a == ORDER_DELETE                  ? "delete"
						    : "modify";
}

static void item(struct noun_text *o, const struct order *r, const struct agreement *a)
{
	char no[8];

	(void)snprintf(no, sizeof(no), "%u", a->item);
	tmf_put(o, "{\"@type\":\"ProductOrderItem\",\"action\":", action_of(r->action));
	tmf_put(o, ",\"id\":\"1\",\"product\":{\"@type\":\"Product\",\"name\":", a->class_name.s);
	noun_text_put(o, ",\"productCharacteristic\":");
	ch_text(o, fields, ARRAY_LEN(fields), r);
	noun_text_put(o, "},\"productOffering\":");
	offering(o, a);
	tmf_put(o, ",\"quantity\":1,\"quoteItem\":{\"@type\":\"QuoteItemRef\",\"quoteId\":",
		a->quote.s);
	tmf_put(o, ",\"quoteItemId\":", no);
	noun_text_put(o, "}}");
}

/* What the first item replaces. */
static void item_old(struct noun_text *o, const struct agreement *a)
{
	tmf_put(o,
		",{\"@type\":\"ProductOrderItem\",\"action\":\"delete\",\"id\":\"2\",\"product\":"
		"{\"@type\":\"Product\",\"name\":",
		a->class_name.s);
	noun_text_put(o, "},\"productOffering\":");
	offering(o, a);
	noun_text_put(o, ",\"productOrderItemRelationship\":[{\"@type\":\"OrderItemRelationship\","
			 "\"id\":\"1\",\"relationshipType\":\"migratesTo\"}],\"quantity\":1}");
}

static void body(struct noun_text *o, const struct order *r, const struct agreement *a,
		 const struct tmf_parties *p, const char *salt)
{
	noun_text_put(o, "{\"@type\":\"ProductOrder\",\"agreement\":[");
	tmf_ref(o, "AgreementRef", r->lineage.s, a->class_name.s);
	tmf_put(o,
		"],\"category\":\"naas\",\"externalId\":[{\"@type\":\"ExternalIdentifier\","
		"\"externalIdentifierType\":\"negotiation\",\"id\":",
		a->negotiation.s);
	tmf_put(o, ",\"owner\":", p->enterprise.s);
	tmf_put(o, "}],\"id\":", r->id.s);
	noun_text_put(o, ",\"productOrderItem\":[");
	item(o, r, a);
	if (r->action == ORDER_MIGRATE)
		item_old(o, a);
	noun_text_put(o, "],\"quote\":[");
	tmf_ref(o, "QuoteRef", a->quote.s, a->class_name.s);
	noun_text_put(o, "],\"relatedParty\":[");
	tmf_party(o, "RelatedPartyOrPartyRole", "customer", &p->enterprise);
	noun_text_put(o, "]");
	tmf_put_salt(o, salt);
	noun_text_put(o, "}");
}

int tmf622_text(const struct order *o, const struct agreement *a, const struct tmf_parties *p,
		const char *salt, char **ret, size_t *len, struct err *e)
{
	struct noun_text t = TMF_TEXT;

	body(&t, o, a, p, salt);
	return tmf_text(&t, ret, len, e);
}

int tmf622_write(const struct order *o, const struct agreement *a, const struct tmf_parties *p,
		 json_t **ret, struct err *e)
{
	struct noun_text t = TMF_TEXT;

	body(&t, o, a, p, NULL);
	return tmf_tree(&t, ret, e);
}

int tmf622_read(const json_t *js, struct order *ret, struct err *e)
{
	struct order o = { 0 };
	json_t *agreements, *items, *product;
	int r = json_only(js, "", e, "@type", "id", "category", "externalId", "agreement", "quote",
			  "relatedParty", "productOrderItem", "salt", NULL);

	if (!r)
		r = tmf_salt_check(js, e);
	if (!r)
		r = tmf_type(js, "", "ProductOrder", e);
	if (!r)
		r = json_need_text(js, "", "id", o.id.s, sizeof(o.id.s), e);
	if (!r)
		r = json_need_arr(js, "", "agreement", 1, 1, &agreements, e);
	if (!r)
		r = json_need_text(json_array_get(agreements, 0), "agreement[0]", "id", o.lineage.s,
				   sizeof(o.lineage.s), e);
	if (!r)
		r = json_need_arr(js, "", "productOrderItem", 1, 2, &items, e);
	if (!r)
		r = json_need_obj(json_array_get(items, 0), "productOrderItem[0]", "product",
				  &product, e);
	if (!r)
		r = ch_read(json_object_get(product, "productCharacteristic"),
			    "productCharacteristic", fields, ARRAY_LEN(fields), FIELDS_NEEDED, &o,
			    e);
	if (!r && (o.action < ORDER_ADD || o.action > ORDER_DELETE))
		r = err_set(e, -EINVAL, "productCharacteristic: orderAction: 1..5 required");
	if (!r)
		r = json_need_const(json_array_get(items, 0), "productOrderItem[0]", "action",
				    action_of(o.action), e);
	if (!r && (o.action == ORDER_MIGRATE) != (json_array_size(items) == 2))
		r = err_set(e, -EINVAL, "productOrderItem: two items exactly when migrating");
	if (!r)
		*ret = o;
	return r;
}
