/* SPDX-License-Identifier: Apache-2.0 */
/* TMF921 v5 Intent. The expression is expanded JSON-LD of TM Forum's intent ontology (TIO v3.6.0):
 * no @context, absolute IRIs, every value an array, because Intent_FVO asks "@type" of any object
 * member and no valid JSON-LD context could hold one. We act on the characteristics; the
 * expression must say the same. */
#include "tmf_common.h"

#include "agent/codec/canon.h"

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

/* One Condition: operator (atLeast, atMost) over a property, in its unit. All but the class are
 * ours and need no escape. */
static void condition(struct noun_text *o, const char *class_name, const char *suffix,
		      const char *op, const char *property, uint64_t value, const char *unit)
{
	char id[96];

	(void)snprintf(id, sizeof(id), "urn:treaty:intent:%s:%s", class_name, suffix);
	tmf_put(o, "{\"@id\":", id);
	noun_text_put(o, ",\"@type\":[\"" TIO "IntentCommonModel/Condition\"],\"" TIO
			 "QuantityOntology/");
	noun_text_put(o, op);
	noun_text_put(o, "\":[{\"@list\":[{\"" TIO
			 "IntentCommonModel/valuesOfTargetProperty\":[{\"@list\":[{\"@id\":\"");
	noun_text_put(o, property);
	noun_text_put(o, "\"}]}]},{\"" TIO "QuantityOntology/unit\":[{\"@value\":\"");
	noun_text_put(o, unit);
	noun_text_put(o, "\"}],\"" RDF_VALUE "\":[{\"@value\":");
	noun_text_int(o, (int64_t)value);
	noun_text_put(o, "}]}]}]}");
}

static void conditions(struct noun_text *o, const char *class_name, const struct grades *want)
{
	condition(o, class_name, "bw", "atLeast", "urn:treaty:ns:bandwidth", want->bandwidth.bps,
		  "bit/s");
	noun_text_put(o, ",");
	condition(o, class_name, "lat", "atMost", "urn:treaty:ns:latency", want->latency.us, "us");
	noun_text_put(o, ",");
	condition(o, class_name, "av", "atLeast", "urn:treaty:ns:availability",
		  want->availability.ppm, "ppm");
}

static void expression(struct noun_text *o, const struct intent *i)
{
	char iri[80], id[96], flow[80];

	(void)snprintf(iri, sizeof(iri), "urn:treaty:intent:%s", i->class_name.s);
	(void)snprintf(flow, sizeof(flow), "urn:treaty:flow:%s", i->flow.s);
	tmf_put(o, "{\"@type\":\"JsonLdExpression\",\"expressionValue\":{\"@id\":", iri);
	(void)snprintf(id, sizeof(id), "%s:pe", iri);
	tmf_put(o,
		",\"@type\":\"" TIO "IntentCommonModel/Intent\",\"" TIO
		"LogicalOperators/allOf\":[{\"@list\":[{\"@id\":",
		id);
	tmf_put(o,
		",\"@type\":[\"" TIO "IntentCommonModel/PropertyExpectation\"],\"" TIO
		"IntentCommonModel/target\":[{\"@id\":",
		flow);
	noun_text_put(o, "}],\"" TIO "LogicalOperators/allOf\":[{\"@list\":[");
	conditions(o, i->class_name.s, &i->want);
	(void)snprintf(id, sizeof(id), "%s:re", iri);
	tmf_put(o, "]}]},{\"@id\":", id);
	tmf_put(o,
		",\"@type\":[\"" TIO "IntentCommonModel/ReportingExpectation\"],\"" TIO
		"IntentCommonModel/target\":[{\"@id\":",
		iri);
	tmf_put(o, "}]}]}]},\"iri\":", iri);
	noun_text_put(o, "}");
}

static void body(struct noun_text *o, const struct intent *i, const struct tmf_parties *p)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s flow", i->class_name.s);
	noun_text_put(o, "{\"@type\":\"Intent\",\"characteristic\":");
	ch_text(o, fields, ARRAY_LEN(fields), i);
	noun_text_put(o, ",\"expression\":");
	expression(o, i);
	tmf_put(o, ",\"isBundle\":false,\"lifecycleStatus\":\"Declared\",\"name\":", name);
	noun_text_put(o, ",\"relatedParty\":[");
	tmf_party(o, "RelatedPartyRefOrPartyRoleRef", "customer", &p->enterprise);
	noun_text_put(o, "],\"validFor\":");
	tmf_period_text(o, i->declared, (wall_t){ i->declared.ms + i->term_ms });
	noun_text_put(o, ",\"version\":\"1\"}");
	/* The expression has it as a number whatever its size. */
	if (!o->err && i->want.bandwidth.bps > 9007199254740991)
		o->err = -ERANGE;
}

int tmf921_text(const struct intent *i, const struct tmf_parties *p, char **ret, size_t *len,
		struct err *e)
{
	struct noun_text o = TMF_TEXT;

	body(&o, i, p);
	return tmf_text(&o, ret, len, e);
}

int tmf921_write(const struct intent *i, const struct tmf_parties *p, json_t **ret, struct err *e)
{
	struct noun_text o = TMF_TEXT;

	body(&o, i, p);
	return tmf_tree(&o, ret, e);
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

/* Of the expression every value counts, free texts too: it has the text that we would write. */
static int check_expression(const json_t *js, const struct intent *i, struct err *e)
{
	const struct canon_rules rules = { .integers_only = true };
	auto_free char *mine = NULL, *theirs = NULL;
	struct noun_text o = TMF_TEXT;
	size_t n = 0, len = 0;
	int r;

	expression(&o, i);
	r = tmf_text(&o, &mine, &n, e);
	if (r)
		return r;
	r = canon_marked(js, TMF_TEXT_MAX, &rules, NULL, 0, &theirs, &len, NULL);
	if (r == -ENOMEM)
		return err_set(e, r, "body");
	if (r || n != len || memcmp(mine, theirs, n) != 0)
		return err_set(e, -EINVAL,
			       "expression: must state the same conditions as the characteristics");
	return 0;
}

/* But for the expression one intent has the form of all. */
static int check_form(const json_t *js, struct err *e)
{
	static const struct tmf_parties any = { { "any" }, { "any" }, 0 };
	static const struct intent some = { .class_name = { "any" } };
	static json_t *form;
	json_t *mine = json_object_get(js, "expression");
	int r = form ? 0 : tmf921_write(&some, &any, &form, e);

	if (!r && json_object_set(form, "expression", mine)) /* need not be walked */
		r = err_set(e, -ENOMEM, "body");
	if (!r)
		r = tmf_shape(js, form, e);
	(void)json_object_set_new(form, "expression", json_null());
	return r;
}

int tmf921_read(const json_t *js, struct intent *ret, struct err *e)
{
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
		r = check_expression(json_object_get(js, "expression"), &i, e);
	if (!r)
		r = check_form(js, e);
	if (!r)
		*ret = i;
	return r;
}
