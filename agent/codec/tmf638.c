/* SPDX-License-Identifier: Apache-2.0 */
/* TMF638 v5 Service, the consumer's view (CFS): grades and labels, never the path beneath it. */
#include "tmf_common.h"

#include <errno.h>
#include <stdio.h>

#define T struct tmf_service
static const struct field fields[] = {
	CH_STR("flowClass", T, class_name),     CH_STR("flowLabel", T, flow),
	CH_UINT("flowLabelValue", T, label),    CH_UINT("bandwidthBps", T, g.bandwidth),
	CH_UINT("latencyMicros", T, g.latency), CH_UINT("availabilityPpm", T, g.availability),
	CH_UINT("agreementRevision", T, rev),
};
#undef T

static const char *const states[] = { "feasibilityChecked", "designed", "reserved",
				      "inactive",           "active",   "terminated",
				      "suspended" };
static const char *const operatings[] = { "pending",  "configured", "starting", "running",
					  "degraded", "failed",     "limited",  "stopping",
					  "stopped",  "unknown" };

int tmf638_write(const struct tmf_service *s, const struct tmf_parties *p, json_t **ret,
		 struct err *e)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s flow", s->class_name.s);
	return tmf_done(
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:[{s:s, s:s, s:s, s:s}], s:o, "
			  "s:[{s:s, s:s, s:{s:s, s:s, s:s, s:s}}], s:[{s:s, s:s, s:{s:s, s:s, s:s, "
			  "s:s}}]}",
			  "@type", "Service", "id", s->service.s, "name", name, "category", "CFS",
			  "serviceType", "deterministicFlow", "state", s->state, "operatingStatus",
			  s->operating, "serviceSpecification",
			  json_pack("{s:s, s:s, s:s, s:s}", "@type", "ServiceSpecificationRef",
				    "id", "flow-cfs", "name", "Flow CFS", "version", "1"),
			  "externalIdentifier", "@type", "ExternalIdentifier", "id", s->flow.s,
			  "externalIdentifierType", "flowLabel", "owner", p->enterprise.s,
			  "serviceCharacteristic", ch_write(fields, ARRAY_LEN(fields), s),
			  "relatedEntity", "@type", "RelatedEntityRefOrValue", "role", "agreement",
			  "entity", "@type", "EntityRef", "id", s->lineage.s, "name",
			  s->class_name.s, "@referredType", "Agreement", "relatedParty", "@type",
			  "RelatedPartyRefOrPartyRoleRef", "role", "customer", "partyOrPartyRole",
			  "@type", "PartyRef", "id", p->enterprise.s, "name", p->enterprise.s,
			  "@referredType", "Organization"),
		ret, e);
}

static int one_of(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(s, list[i]))
			return 0;
	return -EINVAL;
}

static int read_state(const json_t *js, struct tmf_service *s, struct err *e)
{
	int r = json_need_text(js, "", "state", s->state, sizeof(s->state), e);

	if (!r)
		r = json_need_text(js, "", "operatingStatus", s->operating, sizeof(s->operating),
				   e);
	if (!r && one_of(s->state, states, ARRAY_LEN(states)))
		r = err_set(e, -EINVAL, "state: not a state of TMF638");
	if (!r && one_of(s->operating, operatings, ARRAY_LEN(operatings)))
		r = err_set(e, -EINVAL, "operatingStatus: not a status of TMF638");
	return r;
}

/* But for its state, which was read, one service has the form of all. */
static int check_form(const json_t *js, struct err *e)
{
	static const struct tmf_parties any = { { "any" }, { "any" }, 0 };
	static const struct tmf_service some = { .state = "active", .operating = "running" };
	static json_t *form;
	int r = form ? 0 : tmf638_write(&some, &any, &form, e);

	if (!r &&
	    (json_object_set(form, "state", json_object_get(js, "state")) ||
	     json_object_set(form, "operatingStatus", json_object_get(js, "operatingStatus"))))
		r = err_set(e, -ENOMEM, "body");
	return r ? r : tmf_shape(js, form, e);
}

int tmf638_read(const json_t *js, struct tmf_service *ret, struct err *e)
{
	struct tmf_service s = { 0 };
	json_t *rel, *entity;
	int r = json_only(js, "", e, "@type", "id", "name", "category", "serviceType", "state",
			  "operatingStatus", "serviceSpecification", "externalIdentifier",
			  "serviceCharacteristic", "relatedEntity", "relatedParty", NULL);

	if (!r)
		r = tmf_type(js, "", "Service", e);
	if (!r)
		r = json_need_text(js, "", "id", s.service.s, sizeof(s.service.s), e);
	if (!r)
		r = read_state(js, &s, e);
	if (!r)
		r = json_need_arr(js, "", "relatedEntity", 1, 1, &rel, e);
	if (!r)
		r = json_need_obj(json_array_get(rel, 0), "relatedEntity[0]", "entity", &entity, e);
	if (!r)
		r = json_need_text(entity, "relatedEntity[0].entity", "id", s.lineage.s,
				   sizeof(s.lineage.s), e);
	if (!r)
		r = ch_read(json_object_get(js, "serviceCharacteristic"), "serviceCharacteristic",
			    fields, ARRAY_LEN(fields), ARRAY_LEN(fields), &s, e);
	if (!r)
		r = check_form(js, e);
	if (!r)
		*ret = s;
	return r;
}
