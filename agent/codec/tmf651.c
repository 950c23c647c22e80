/* SPDX-License-Identifier: Apache-2.0 */
/* TMF651 v5 Agreement: the subject of the AgreementCredential. What is not a TMF member travels as
 * a characteristic. The two DIDs, the previous revision's digest and our own digest are the
 * credential's business, so read leaves them empty. */
#include "tmf_common.h"

#include <errno.h>
#include <stdio.h>

/* Whose bytes a rate counts is a term as well: IP packet and 14 bytes of Ethernet header, by
 * contract, shaper and meter alike. Agreements of before do not say so and mean the same. */
#define LAYER "L2"
struct terms {
	struct agreement a;
	char layer[4];
};

#define T struct terms
static const struct field fields[] = {
	CH_STR("flowClass", T, a.class_name),
	CH_STR("flowLabel", T, a.flow),
	CH_UINT("flowLabelValue", T, a.label),
	CH_UINT("bandwidthBps", T, a.g.bandwidth),
	CH_UINT("latencyMicros", T, a.g.latency),
	CH_UINT("availabilityPpm", T, a.g.availability),
	CH_UINT("networkType", T, a.type),
	CH_INT("pricePerHourMinor", T, a.price),
	CH_INT("amountMinor", T, a.amount),
	CH_STR("currency", T, a.currency),
	CH_UINT("reason", T, a.reason),
	CH_UINT("quoteItem", T, a.item),
	CH_STR("quoteId", T, a.quote),
	CH_BYTES("quoteDigest", T, a.quote_digest),
	CH_STR("negotiationId", T, a.negotiation),
	CH_STR("intentId", T, a.intent),
	CH_STR("serviceId", T, a.service),
	CH_STR("holdId", T, a.hold),
	CH_STR("walletId", T, a.wallet),
	CH_BOOL("refundable", T, a.refundable),
	CH_STR("bandwidthLayer", T, layer),
};
#undef T

/* A credential's subject id must be a URI (VC data model 2.0, 4.4). */
#define URN "urn:treaty:agreement:"

static json_t *engaged(const name_t *who)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "@type", "PartyRef", "id", who->s, "name", who->s,
			 "@referredType", "Organization");
}

int tmf651_write(const struct agreement *a, const struct tmf_parties *p, json_t **ret,
		 struct err *e)
{
	const char *offering = a->type == NET_DET ? "det-flow" : "be-flow";
	const struct terms t = { *a, LAYER };
	char name[64], version[12], id[80];
	json_t *js;

	(void)snprintf(id, sizeof(id), URN "%s", a->lineage.s);
	(void)snprintf(name, sizeof(name), "%s agreement", a->class_name.s);
	(void)snprintf(version, sizeof(version), "%u", a->rev);
	js = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:[o, o], s:o, s:[{s:s, s:s, s:[{s:s, "
		       "s:s, s:s}]}]}",
		       "@type", "Agreement", "id", id, "name", name, "agreementType",
		       "naas-flow-sla", "version", version, "status", "approved", "agreementPeriod",
		       tmf_period(a->start, a->end), "engagedParty", engaged(&p->enterprise),
		       engaged(&p->op), "characteristic", ch_write(fields, ARRAY_LEN(fields), &t),
		       "agreementItem", "@type", "ProductAgreementItem", "id", "1",
		       "productOffering", "@type", "ProductOfferingRef", "id", offering, "name",
		       offering);
	if (js && a->rev > 1)
		(void)json_object_set_new(js, "agreementRelationship",
					  json_pack("[{s:s, s:s, s:s}]", "@type",
						    "AgreementRelationship", "id", a->lineage.s,
						    "relationshipType", "supersedes"));
	return tmf_done(js, ret, e);
}

static int check(const struct terms *t, struct err *e)
{
	const struct agreement *a = &t->a;

	if (*t->layer && strcmp(t->layer, LAYER) != 0)
		return err_set(e, -EINVAL, "characteristic: bandwidthLayer: " LAYER " required");
	if (a->label == 0 || a->label > LABEL_MAX)
		return err_set(e, -EINVAL, "characteristic: flowLabelValue: 1..1048575 required");
	if (a->type != NET_DET && a->type != NET_BE)
		return err_set(e, -EINVAL, "characteristic: networkType: 1 or 2 required");
	if (a->price.minor_h < 0 || a->amount.minor < 0)
		return err_set(e, -EINVAL, "characteristic: price and amount: 0 or more required");
	if (a->reason < QUOTE_NEW || a->reason >= QUOTE_REASON_MAX_)
		return err_set(e, -EINVAL, "characteristic: reason: unknown");
	if (a->g.bandwidth.bps == 0)
		return err_set(e, -EINVAL, "characteristic: bandwidthBps: above 0 required");
	return 0;
}

static int read_id(const json_t *js, struct agreement *a, struct err *e)
{
	const char *id;
	int r = json_need_str(js, "", "id", &id, e);

	if (r)
		return r;
	if (strncmp(id, URN, strlen(URN)) != 0 || !id[strlen(URN)] ||
	    !str_set(a->lineage.s, id + strlen(URN)))
		return err_set(e, -EINVAL, "id: " URN "ID required");
	return 0;
}

/* First revisions have one form, later ones another: nothing else that counts differs, the
 * names of the parties neither. */
static int check_form(const json_t *js, uint32_t rev, const struct tmf_parties *p, struct err *e)
{
	static json_t *forms[2];
	json_t **form = &forms[rev > 1];
	struct agreement some = { .rev = rev };
	int r = *form ? 0 : tmf651_write(&some, p, form, e);

	return r ? r : tmf_shape(js, *form, e);
}

int tmf651_read(const json_t *js, const struct tmf_parties *p, struct agreement *ret, struct err *e)
{
	struct terms t = { 0 };
	json_t *o;
	int r = json_only(js, "", e, "@type", "id", "name", "agreementType", "version", "status",
			  "agreementPeriod", "engagedParty", "characteristic", "agreementItem",
			  "agreementRelationship", NULL);

	if (!r)
		r = tmf_type(js, "", "Agreement", e);
	if (!r)
		r = json_need_const(js, "", "agreementType", "naas-flow-sla", e);
	if (!r)
		r = json_need_const(js, "", "status", "approved", e);
	if (!r)
		r = read_id(js, &t.a, e);
	if (!r)
		r = tmf_number(js, "", "version", &t.a.rev, e);
	if (!r)
		r = json_need_obj(js, "", "agreementPeriod", &o, e);
	if (!r)
		r = tmf_read_period(o, "agreementPeriod", &t.a.start, &t.a.end, e);
	if (!r)
		r = ch_read(json_object_get(js, "characteristic"), "characteristic", fields,
			    ARRAY_LEN(fields), 11, &t, e);
	if (!r)
		r = check(&t, e);
	if (!r)
		r = check_form(js, t.a.rev, p, e);
	if (!r)
		*ret = t.a;
	return r;
}
