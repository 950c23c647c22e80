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

static json_t *item(const char *id, const char *action, const struct order *o,
		    const struct agreement *a, bool main_item)
{
	json_t *js = json_pack("{s:s, s:s, s:s, s:i, s:{s:s, s:s, s:s}, s:{s:s, s:s}}", "@type",
			       "ProductOrderItem", "id", id, "action", action, "quantity", 1,
			       "productOffering", "@type", "ProductOfferingRef", "id",
			       a->type == NET_DET ? "det-flow" : "be-flow", "name",
			       a->type == NET_DET ? "Deterministic flow" : "Best-effort flow",
			       "product", "@type", "Product", "name", a->class_name.s);

	if (js && main_item) {
		char no[8];

		(void)snprintf(no, sizeof(no), "%u", a->item);
		(void)json_object_set_new(json_object_get(js, "product"), "productCharacteristic",
					  ch_write(fields, ARRAY_LEN(fields), o));
		(void)json_object_set_new(js, "quoteItem",
					  json_pack("{s:s, s:s, s:s}", "@type", "QuoteItemRef",
						    "quoteId", a->quote.s, "quoteItemId", no));
	}
	return js;
}

static const char *action_of(enum order_action a)
{
	return a == ORDER_ADD || a == ORDER_MIGRATE ? "add"
	       : a == ORDER_DELETE                  ? "delete"
						    : "modify";
}

int tmf622_write(const struct order *o, const struct agreement *a, const struct tmf_parties *p,
		 json_t **ret, struct err *e)
{
	json_t *items = json_pack("[o]", item("1", action_of(o->action), o, a, true)), *js;

	if (items && o->action == ORDER_MIGRATE) {
		json_t *old = item("2", "delete", o, a, false);

		(void)json_object_set_new(old, "productOrderItemRelationship",
					  json_pack("[{s:s, s:s, s:s}]", "@type",
						    "OrderItemRelationship", "id", "1",
						    "relationshipType", "migratesTo"));
		(void)json_array_append_new(items, old);
	}
	js = json_pack("{s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:s}], s:[o], s:[o], s:[o], s:o}",
		       "@type", "ProductOrder", "id", o->id.s, "category", "naas", "externalId",
		       "@type", "ExternalIdentifier", "id", a->negotiation.s,
		       "externalIdentifierType", "negotiation", "owner", p->enterprise.s,
		       "agreement", tmf_ref("AgreementRef", o->lineage.s, a->class_name.s), "quote",
		       tmf_ref("QuoteRef", a->quote.s, a->class_name.s), "relatedParty",
		       tmf_party("RelatedPartyOrPartyRole", "customer", &p->enterprise),
		       "productOrderItem", items);
	return tmf_done(js, ret, e);
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
