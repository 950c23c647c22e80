/* SPDX-License-Identifier: Apache-2.0 */
/* TMF921 v5 Intent. The expression is expanded JSON-LD of TM Forum's intent ontology (TIO v3.6.0):
 * no @context, absolute IRIs, every value an array, because Intent_FVO asks "@type" of any object
 * member and no valid JSON-LD context could hold one. We act on the characteristics; the
 * expression must say the same. */
#include "tmf_common.h"

#include <errno.h>
#include <stdio.h>

#define TIO       "http://tio.models.tmforum.org/tio/v3.6.0/"
#define RDF_VALUE "http://www.w3.org/1999/02/22-rdf-syntax-ns#value"

#define T struct intent
static const struct field fields[] = {
	CH_STR("flowClass", T, class_name),
	CH_STR("flowLabel", T, flow),
	CH_UINT("bandwidthBps", T, want.bandwidth),
	CH_UINT("latencyMicros", T, want.latency),
	CH_UINT("availabilityPpm", T, want.availability),
	CH_STR("intentId", T, id),
	CH_STR("negotiationId", T, negotiation),
	CH_UINT("source", T, source),
	CH_STR("agreementId", T, lineage),
};
#undef T
enum { FIELDS_NEEDED = 8 };

/* One Condition: operator (atLeast, atMost) over a property, in its unit. */
static json_t *condition(const char *class_name, const char *suffix, const char *op,
			 const char *property, uint64_t value, const char *unit)
{
	char id[96], opiri[96];

	(void)snprintf(id, sizeof(id), "urn:treaty:intent:%s:%s", class_name, suffix);
	(void)snprintf(opiri, sizeof(opiri), TIO "QuantityOntology/%s", op);
	return json_pack("{s:s, s:[s], s:[{s:[{s:[{s:[{s:s}]}]}, {s:[{s:I}], s:[{s:s}]}]}]}", "@id",
			 id, "@type", TIO "IntentCommonModel/Condition", opiri, "@list",
			 TIO "IntentCommonModel/valuesOfTargetProperty", "@list", "@id", property,
			 RDF_VALUE, "@value", (json_int_t)value, TIO "QuantityOntology/unit",
			 "@value", unit);
}

static json_t *expression(const struct intent *i)
{
	const char *c = i->class_name.s;
	char iri[80], pe[96], re[96], flow[80];
	json_t *conds, *value;

	(void)snprintf(iri, sizeof(iri), "urn:treaty:intent:%s", c);
	(void)snprintf(pe, sizeof(pe), "%s:pe", iri);
	(void)snprintf(re, sizeof(re), "%s:re", iri);
	(void)snprintf(flow, sizeof(flow), "urn:treaty:flow:%s", i->flow.s);
	conds = json_pack(
		"[o, o, o]",
		condition(c, "bw", "atLeast", "urn:treaty:ns:bandwidth", i->want.bandwidth.bps,
			  "bit/s"),
		condition(c, "lat", "atMost", "urn:treaty:ns:latency", i->want.latency.us, "us"),
		condition(c, "av", "atLeast", "urn:treaty:ns:availability",
			  i->want.availability.ppm, "ppm"));
	value = json_pack(
		"{s:s, s:s, s:[{s:[{s:s, s:[s], s:[{s:s}], s:[{s:o}]},"
		" {s:s, s:[s], s:[{s:s}]}]}]}",
		"@id", iri, "@type", TIO "IntentCommonModel/Intent", TIO "LogicalOperators/allOf",
		"@list", "@id", pe, "@type", TIO "IntentCommonModel/PropertyExpectation",
		TIO "IntentCommonModel/target", "@id", flow, TIO "LogicalOperators/allOf", "@list",
		conds, "@id", re, "@type", TIO "IntentCommonModel/ReportingExpectation",
		TIO "IntentCommonModel/target", "@id", iri);
	return json_pack("{s:s, s:s, s:o}", "@type", "JsonLdExpression", "iri", iri,
			 "expressionValue", value);
}

int tmf921_write(const struct intent *i, const struct tmf_parties *p, json_t **ret, struct err *e)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s flow", i->class_name.s);
	return tmf_done(
		json_pack("{s:s, s:s, s:s, s:b, s:o, s:s, s:o, s:[o], s:o}", "@type", "Intent",
			  "name", name, "version", "1", "isBundle", 0, "validFor",
			  tmf_period(i->declared, (wall_t){ i->declared.ms + i->term_ms }),
			  "lifecycleStatus", "Declared", "characteristic",
			  ch_write(fields, ARRAY_LEN(fields), i), "relatedParty",
			  tmf_party("RelatedPartyRefOrPartyRoleRef", "customer", &p->enterprise),
			  "expression", expression(i)),
		ret, e);
}

static int check(const struct intent *i, struct err *e)
{
	if (i->want.bandwidth.bps == 0 || i->want.bandwidth.bps > 400000000000ull)
		return err_set(e, -EINVAL,
			       "characteristic: bandwidthBps: 1..400000000000 required");
	if (i->want.latency.us == 0)
		return err_set(e, -EINVAL, "characteristic: latencyMicros: above 0 required");
	if (i->want.availability.ppm > 1000000)
		return err_set(e, -EINVAL, "characteristic: availabilityPpm: 0..1000000 required");
	if (i->source < INTENT_DECLARED || i->source > INTENT_CHANGE)
		return err_set(e, -EINVAL, "characteristic: source: 1..4 required");
	return 0;
}

/* like: what we would write. Of the expression every value counts, free texts too. */
static int check_form(const json_t *js, json_t *like, struct err *e)
{
	if (!json_equal(json_object_get(like, "expression"), json_object_get(js, "expression")))
		return err_set(e, -EINVAL,
			       "expression: must state the same conditions as the characteristics");
	/* Equal already, so one of the two need not be walked again. */
	if (json_object_set(like, "expression", json_object_get(js, "expression")))
		return err_set(e, -ENOMEM, "body");
	return tmf_shape(js, like, e);
}

int tmf921_read(const json_t *js, struct intent *ret, struct err *e)
{
	static const struct tmf_parties any = { { "any" }, { "any" }, 0 };
	auto_json json_t *like = NULL;
	struct intent i = { 0 };
	wall_t end = { 0 };
	json_t *o;
	int r = json_only(js, "", e, "@type", "name", "version", "isBundle", "validFor",
			  "lifecycleStatus", "characteristic", "relatedParty", "expression", "id",
			  "href", "priority", NULL);

	if (!r)
		r = tmf_type(js, "", "Intent", e);
	if (!r)
		r = json_need_obj(js, "", "validFor", &o, e);
	if (!r)
		r = tmf_read_period(o, "validFor", &i.declared, &end, e);
	if (!r) {
		i.term_ms = end.ms - i.declared.ms;
		r = ch_read(json_object_get(js, "characteristic"), "characteristic", fields,
			    ARRAY_LEN(fields), FIELDS_NEEDED, &i, e);
	}
	if (!r)
		r = check(&i, e);
	if (!r)
		r = tmf921_write(&i, &any, &like, e);
	if (!r)
		r = check_form(js, like, e);
	if (!r)
		*ret = i;
	return r;
}
