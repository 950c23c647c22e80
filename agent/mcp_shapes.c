/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of a shape: members "NAME:TYPE", blank-separated; "NAME!:TYPE" is always there.
 *   s string, i integer, b boolean, o object, x anything, [TYPE] array, {MEMBERS} object
 *   @NAME a noun of include/treaty, by its field table; TYPE? may be null; TYPE|TYPE
 * A shape is its members, or one noun. */
#include "mcp_shapes.h"

#include "agent/codec/noun.h"
#include "agent/state/world.h"

#include <string.h>

#define DEAL                                                                                   \
	"id!:s negotiation!:s lineage:s class:s flow:s life!:s active:b rev:i label:i path:i " \
	"bandwidthBps:i latencyMicros:i availabilityPpm:i pricePerHour:i currency:s amount:i " \
	"startMs:i endMs:i changedMs:i why:s riskOpen:b intent:s quote:s quoteVersion:i "      \
	"service:s order:s plan:s planSteps:i planDone:i action:s peer:s quoteItems:i "        \
	"goodSeconds:i badSeconds:i unknownSeconds:i measuredPpm:i"
#define POLICY                                                                                    \
	"classes!:[{name!:s id!:i bandwidthBps:i latencyMicros:i availabilityPpm:i strategy:s "   \
	"termMs:i value:i delayValue:i floorBps:i donor:b detect:b priority:i base:[i] margin:i " \
	"marginFloor:i}] ledger:{currency:s ceiling:i} operator:{quoteTtlS:i surgeMaxPpm:i "      \
	"overlapMs:i policePct:i} windows:{sampleMs:i holdIntervals:i coolIntervals:i}"
#define OBJECTS  "ok!:b wrong!:i objects!:[{state!:s kind!:s object!:s why:s}] next:s"
#define TMF      "@type!:s id:s href:s"
#define APPROVAL "id!:s state!:s deal!:s amount!:i currency!:s"
#define RECORDED "recorded!:s seq!:i"
#define NEW_KEY  "key!:s publicKeyMultibase!:s holdsFrozen!:i"

static const struct {
	const char *tool, *shape;
} shapes[] = {
	{ "status", "name!:s did:s roles!:[s] pid:i enforcer:o? shaping:o? kernel:s uptimeMs:i "
		    "log!:{seq!:i durable!:i chain:s root:s commits:i} counts!:{deals!:i "
		    "live:i active:i wantedSteps:i events:i refusals:i agreements:i} "
		    "peers:[{name!:s role:s did:s url:s}] lastError:s" },
	{ "deal_list", "deals!:[{" DEAL "}] next:i" },
	{ "deal_show", "deal!:{" DEAL "} intent:@intent quote:@quote? accept:@accept? "
		       "pending:@agreement? agreement:@agreement? origin:@agreement? order:@order? "
		       "plan:@plan? life!:s why:s" },
	{ "flow_list", "flows!:[{label!:i class:s agreement:s promisedBps:i offeredBps:i "
		       "deliveredBps:i drops:i rttMicros:i upBytes:i downBytes:i path:i "
		       "atMicros:i}] monoMicros!:i next:i" },
	{ "path_list",
	  "paths!:[{path!:i name!:s type!:s alive:b baseMicros:i delayMicros:i "
	  "forecastMicros:i jitterMicros:i lossPpm:i capacityBps:i reservedBps:i loadBps:i "
	  "loadForecastBps:i band:s bands:[s] ageMs:i tableNode:s table:s "
	  "tableUsed:i tableMax:i roomFor:i}]" },
	{ "log_read", "rows!:[o] durable!:i" },
	{ "explain", "id!:s life!:s events!:[{seq!:i time!:s event!:s actor:s tool:s core:s why:s "
		     "in:o? out:o? alternatives:[o] refusal:s undo:s}]" },
	{ "ledger_show",
	  "wallets!:[{side!:s wallet!:s issuer:s holder:s generation:i currency:s ceiling:i held:i "
	  "captured:i agreementMax:i revoked:b validUntil:s}] classes!:[{side!:s wallet!:s "
	  "class!:s ceiling:i held:i captured:i}] holds!:[{side!:s hold!:s wallet!:s class:s "
	  "lineage:s rev:i amount:i total:i state:s expires:s}] lineages!:[{side!:s lineage!:s "
	  "wallet:s class:s rev:i captured:i head:s}] credits!:[o] next:s" },
	{ "verify", "agreement!:s label!:i ok!:b checks!:[{node!:s object!:s wanted:s seen:s "
		    "ok!:b dir:s by:s rule:s refused:s}]" },
	{ "policy_show", POLICY },
	{ "policy_load", POLICY },
	{ "intent_show", TMF },
	{ "quote_show", TMF },
	{ "order_show", TMF },
	{ "service_show", TMF },
	{ "agreement_show", "agreement!:o credential:o? life!:s" },
	{ "service_list", "services!:[{" TMF "}] next:i" },
	{ "agreement_terminate", "agreement!:s revision!:i life!:s" },
	{ "wallet_revoke", "wallet!:s revoked!:b held!:i captured!:i" },
	{ "wallet_load", "walletId!:s generation!:i currency!:s" },
	{ "consumer_erase", "consumer!:s erased!:b" },
	{ "approval_list", "approvals!:[{" APPROVAL " class:s quote:s item:i expiresMs:i why:s}]" },
	{ "approval_grant", APPROVAL },
	{ "approval_deny", APPROVAL },
	{ "approval_review", APPROVAL },
	{ "dataplane_dump", OBJECTS },
	{ "dataplane_check", OBJECTS },
	{ "dataplane_gc", "steps!:i ports!:i classes!:i queues!:i routes!:i" },
	{ "intent_declare", "negotiation!:s intent!:s" },
	{ "intent_withdraw", "negotiation!:s" },
	{ "path_swap", "agreementId!:s path!:i why:s" },
	{ "capacity_query", "paths!:[@pathView]" },
	{ "topology", "paths!:[@pathDef]" },
	{ "step_apply", "receipts!:[@receipt]" },
	{ "telemetry_read",
	  "labels!:[@label]|o marks:[@mark]|o next:i paths!:[@path] classes!:[@class] "
	  "clock:@clock mono!:i tables:[@table] noIpv4:[i]" },
	{ "node_observe", "@observation" },
	{ "disclosure_show", "version!:i rules!:i digest!:s policy:o?" },
	{ "disclosure_sign", "policy!:o" },
	{ "disclosure_load", "version!:i rules!:i" },
	{ "log_export", "export!:o next!:i" },
	{ "key_list", "keys!:[{key!:s role!:s state!:s publicKeyMultibase!:s since:s until:s}] "
		      "ledgerFrozen!:b sums!:[{wallet!:s currency!:s committed!:i credited!:i "
		      "ceiling:i since:s lineages:i lineagesMax:i "
		      "staying:i stayingMax:i horizon:s}]" },
	{ "key_document", "document!:o" },
	{ "key_rotate", NEW_KEY },
	{ "key_compromise", NEW_KEY },
	{ "ledger_freeze", "frozen!:b" },
	{ "ledger_thaw", "frozen!:b" },
	{ "log_open", "seq!:i member!:s salt!:s value:x" },
	{ "loss_list",
	  "losses!:[{label!:i dir:s agreement:s between:s verdict:s block:i sent:i lost:i "
	  "lossPpm:i blocks:i allSent:i allLost:i missing:i}]" },
	{ "dataplane_events", "events!:[{cause!:s label!:i device:s heldBack:i ageMs:i}] "
			      "causes!:[{cause!:s seen!:i heldBack!:i}]" },
	{ "socket_list", "sockets!:[{with!:s label:i sockets!:i srttMicros:i leastMicros:i "
			 "mostMicros:i}] more!:i" },
	{ "queue_list", "queues!:[{device!:s class:s label:i rateBps:i backlogBytes:i "
			"backlogMicros:i virtualMicros:i virtual:s drops:i}]" },
	{ "metered_flag", RECORDED },
	{ "breach_predict", RECORDED },
	{ "breach_flag", RECORDED },
	{ "recovery_flag", RECORDED },
	{ "cooled_flag", RECORDED },
	{ "advice_record", RECORDED },
	{ "metered_note", RECORDED },
	{ "cooled_note", RECORDED },
	{ "agreement_expire", RECORDED },
	{ "log_commit", RECORDED " upto!:i" },
	{ "quote_reject", "negotiation!:s quote!:s life!:s" },
	{ "agreement_release", "agreement!:s revision!:i" },
	{ "spur_rebalance", "changed!:b shares!:[{agreement!:s rateBps!:i}]" },
	{ "renegotiation_open", "agreement!:s quote!:s validUntilMs!:i why:s" },
	{ "renegotiation_close", "agreement!:s quote!:s" },
	{ "removal_settle", "owed!:i asked!:b" },
};

static const struct {
	const char *name;
	const struct field_table *t;
} nouns[] = {
	{ "intent", &intent_fields },
	{ "quote", &quote_fields },
	{ "accept", &ev_accept_fields },
	{ "agreement", &agreement_fields },
	{ "order", &order_fields },
	{ "plan", &plan_fields },
	{ "pathView", &path_view_fields },
	{ "pathDef", &path_def_fields },
	{ "receipt", &step_receipt_fields },
	{ "label", &label_sample_fields },
	{ "path", &path_sample_fields },
	{ "class", &class_sample_fields },
	{ "observation", &observation_fields },
	{ "mark", &mark_sample_fields },
	{ "clock", &mark_clock_fields },
	{ "table", &table_use_fields },
};

static json_t *type_read(const char **p);

/* Up to the closing brace, or the text's end. */
static json_t *members_read(const char **p)
{
	json_t *props = json_object(), *need = json_array();
	int bad = !props || !need;

	while (!bad && **p && **p != '}') {
		size_t n = strcspn(*p, "!: }");
		char name[64];
		json_t *type;

		bad = !n || n >= sizeof(name);
		if (bad)
			break;
		memcpy(name, *p, n);
		name[n] = '\0';
		*p += n;
		if (**p == '!') {
			++*p;
			bad |= json_array_append_new(need, json_string(name));
		}
		bad |= **p != ':' || json_object_get(props, name) != NULL;
		type = bad ? NULL : (++*p, type_read(p));
		bad |= !type || json_object_set_new(props, name, type);
		*p += **p == ' ';
	}
	if (!bad)
		return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", props,
				 "required", need);
	json_decref(props);
	json_decref(need);
	return NULL;
}

static json_t *noun_read(const char **p)
{
	size_t n = strcspn(*p, " ?|]}");

	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (strlen(nouns[i].name) == n && !strncmp(nouns[i].name, *p, n)) {
			*p += n;
			return noun_schema(nouns[i].t);
		}
	return NULL;
}

static json_t *plain_read(const char **p)
{
	json_t *in;

	switch (*(*p)++) {
	case 's': return json_pack("{s:s}", "type", "string");
	case 'i': return json_pack("{s:s}", "type", "integer");
	case 'b': return json_pack("{s:s}", "type", "boolean");
	case 'o': return json_pack("{s:s}", "type", "object");
	case 'x': return json_object();
	case '@': return noun_read(p);
	case '[':
		in = type_read(p);
		if (in && *(*p)++ == ']')
			return json_pack("{s:s, s:o}", "type", "array", "items", in);
		break;
	case '{':
		in = members_read(p);
		if (in && *(*p)++ == '}')
			return in;
		break;
	default: in = NULL; break;
	}
	json_decref(in);
	return NULL;
}

static json_t *type_read(const char **p)
{
	json_t *t = plain_read(p), *other;

	if (t && **p == '?') {
		++*p;
		return json_pack("{s:[o, {s:s}]}", "anyOf", t, "type", "null");
	}
	if (t && **p == '|') {
		++*p;
		other = plain_read(p);
		if (other)
			return json_pack("{s:[o, o]}", "anyOf", t, other);
		json_decref(t);
		return NULL;
	}
	return t;
}

json_t *mcp_shape_parse(const char *text)
{
	json_t *s = !strchr(text, ':') ? plain_read(&text) : members_read(&text);

	if (s && !*text)
		return s;
	json_decref(s);
	return NULL;
}

json_t *mcp_shape(const char *tool)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (!strcmp(shapes[i].tool, tool))
			return mcp_shape_parse(shapes[i].shape);
	return NULL;
}
