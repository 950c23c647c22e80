/* SPDX-License-Identifier: Apache-2.0 */
/* intent_declare and intent_withdraw over MCP: a TMF921 body, our own noun, or a class and what
 * differs from it. Who posts a body names the need; the ids of the conversation are given here. */
#include "ent_requirement.h"
#include "ent_requirement_int.h"

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/codec/tmf.h"
#include "agent/mcp_table.h"
#include "agent/store/store.h"

#include <errno.h>
#include <stdio.h>

static int from_body(const json_t *js, struct intent *i, struct err *e)
{
	if (json_object_get(js, "@type"))
		return tmf921_read(js, i, e);
	return noun_decode(&intent_fields, js, i, e);
}

static int from_class(const struct side *s, const json_t *args, struct intent *i, struct err *e)
{
	int64_t bw, us, ppm;
	const struct class_profile *p;
	int r = json_only(args, "", e, "class", "bandwidthBps", "latencyMicros", "availabilityPpm",
			  "agreementId", NULL);

	if (!r)
		r = json_need_text(args, "", "class", i->class_name.s, sizeof(i->class_name.s), e);
	if (r)
		return r;
	p = side_profile(s, &i->class_name);
	if (!p)
		return err_set(e, -EINVAL, "class: not configured");
	i->want = p->want;
	i->term_ms = p->term_ms;
	bw = (int64_t)p->want.bandwidth.bps;
	us = p->want.latency.us;
	ppm = p->want.availability.ppm;
	r = json_opt_int(args, "", "bandwidthBps", 1, 400000000000, &bw, e);
	if (r >= 0)
		r = json_opt_int(args, "", "latencyMicros", 1, UINT32_MAX, &us, e);
	if (r >= 0)
		r = json_opt_int(args, "", "availabilityPpm", 0, 1000000, &ppm, e);
	if (r >= 0)
		r = json_opt_text(args, "", "agreementId", i->lineage.s, sizeof(i->lineage.s), e);
	i->want.bandwidth.bps = (uint64_t)bw;
	i->want.latency.us = (uint32_t)us;
	i->want.availability.ppm = (uint32_t)ppm;
	return r < 0 ? r : 0;
}

static int read_args(const struct side *s, const json_t *args, struct intent *i, struct err *e)
{
	json_t *js;
	int r;

	memset(i, 0, sizeof(*i));
	if (!json_object_get(args, "intent"))
		return from_class(s, args, i, e);
	r = json_only(args, "", e, "intent", NULL);
	if (!r)
		r = json_need_obj(args, "", "intent", &js, e);
	return r ? r : from_body(js, i, e);
}

/* --- calls --------------------------------------------------------------------------------------
 */

struct idem {
	char principal[WIRE_DID_MAX]; /* keys of one caller are nobody else's */
	const char *key;
	struct hash request; /* of tool and arguments */
};

/* 1: answered from the store. */
static int known(struct side *s, struct idem *x, const char *tool, const json_t *args,
		 struct mcp_turn *t, struct err *e)
{
	auto_json json_t *request = x->key ? json_pack("{s:O}", tool, args) : NULL;
	auto_free void *text = NULL;
	enum refusal no = REFUSE_NONE;
	size_t n;
	int r;

	if (!x->key)
		return 0;
	r = request ? canon_sha256(request, x->request.b, e) : err_set(e, -ENOMEM, "%s", tool);
	if (!r)
		r = store_idem_get(engine_store(s->engine), x->principal, x->key, &x->request, &no,
				   &text, &n, e);
	if (r || (no == REFUSE_NONE && !text))
		return r;
	if (no != REFUSE_NONE)
		mcp_refuse(t, no, "");
	else
		r = mcp_answer_later(s, t, json_loadb(text, n, 0, NULL), e);
	return r ? r : 1;
}

static int remember(struct side *s, const struct idem *x, const json_t *js, struct err *e)
{
	auto_free char *text = x->key ? json_text_new(js) : NULL;

	if (!x->key)
		return 0;
	return text ? store_idem_put(engine_store(s->engine), x->principal, x->key, &x->request,
				     text, strlen(text), e)
		    : err_set(e, -ENOMEM, "answer");
}

static int call(struct side *s, const struct peer *p, const json_t *args, const char *key,
		struct mcp_turn *t, struct err *e)
{
	struct idem x = { .key = key };
	struct intent i;
	enum refusal no;
	json_t *js;
	int r;

	wire_owner(p, x.principal);
	r = known(s, &x, "intent_declare", args, t, e);
	if (!r)
		r = read_args(s, args, &i, e);
	if (r)
		return r < 0 ? r : 0;
	i.source = !wire_uid(p) || wire_uid(p) == geteuid() ? INTENT_DECLARED : INTENT_POSTED;
	no = ent_intent_declare(s, &i, e);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, e->text);
		return 0;
	}
	js = json_pack("{s:s, s:s}", "negotiation", i.negotiation.s, "intent", i.id.s);
	r = js ? remember(s, &x, js, e) : err_set(e, -ENOMEM, "answer");
	if (r) {
		json_decref(js);
		return r;
	}
	return mcp_answer_later(s, t, js, e);
}

static int withdraw(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e)
{
	struct idem x = { .key = key };
	struct ev_ref ref = { 0 };
	enum refusal no;
	json_t *js;
	int r;

	wire_owner(p, x.principal);
	r = known(s, &x, "intent_withdraw", args, t, e);
	if (r)
		return r < 0 ? r : 0;
	r = json_only(args, "", e, "negotiation", "why", NULL);
	if (!r)
		r = json_need_text(args, "", "negotiation", ref.deal.s, sizeof(ref.deal.s), e);
	if (!r)
		r = json_opt_text(args, "", "why", ref.why.s, sizeof(ref.why.s), e);
	if (r < 0)
		return r;
	no = ent_intent_withdraw(s, &ref, e);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, e->text);
		return 0;
	}
	js = json_pack("{s:s}", "negotiation", ref.deal.s);
	r = js ? remember(s, &x, js, e) : err_set(e, -ENOMEM, "answer");
	if (r) {
		json_decref(js);
		return r;
	}
	return mcp_answer_later(s, t, js, e);
}

static int release(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	struct ev_ref ref = { 0 };
	enum refusal no;
	int r = mcp_id_reason(args, ref.deal.s, sizeof(ref.deal.s), &ref.why, e);

	(void)p;
	(void)key;
	if (r)
		return r;
	no = ent_agreement_release(s, &ref, e);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, e->text);
		return 0;
	}
	return mcp_answer_later(
		s, t,
		json_pack("{s:s, s:I}", "agreement", ref.about.s, "revision", (json_int_t)ref.rev),
		e);
}

int ent_requirement_rows(struct err *e)
{
	static const struct mcp_row let_go = {
		.name = "agreement_release",
		.title = "Release a detected agreement",
		.help = "Ends an agreement that was made for detected traffic, because its demand "
			"is gone; the operator is told. What a person asked for is ended by "
			"agreement_terminate.",
		.input_schema = MCP_ID_REASON,
		.destructive = true,
		.idempotent = true,
		.open_world = true,
		.who = WHO_HUMAN,
		.call = release,
	};
	static const struct mcp_row back = {
		.name = "intent_withdraw",
		.title = "Withdraw a service intent",
		.help = "Takes back an intent of which nothing is accepted yet; its operator is "
			"told. An "
			"agreement is ended by agreement_terminate.",
		.input_schema = "{\"type\":\"object\",\"properties\":{\"negotiation\":{\"type\":"
				"\"string\"},\"why\":{\"type\":\"string\"}},\"required\":["
				"\"negotiation\"],\"additionalProperties\":false}",
		.destructive = true,
		.idempotent = true,
		.open_world = true,
		.who = WHO_HUMAN,
		.call = withdraw,
	};
	static const struct mcp_row row = {
		.name = "intent_declare",
		.title = "Declare a service intent",
		.help = "Asks for network service: a TMF921 Intent, or a class with what differs "
			"from its defaults. With agreementId it changes a live agreement.",
		.input_schema =
			"{\"type\":\"object\",\"properties\":{\"intent\":{\"type\":\"object\"},"
			"\"class\":{\"type\":\"string\"},\"bandwidthBps\":{\"type\":\"integer\","
			"\"minimum\":1},\"latencyMicros\":{\"type\":\"integer\",\"minimum\":1},"
			"\"availabilityPpm\":{\"type\":\"integer\",\"minimum\":0,"
			"\"maximum\":1000000},\"agreementId\":{\"type\":\"string\"}},"
			"\"additionalProperties\":false}",
		.idempotent = true,
		.open_world = true,
		.who = WHO_HUMAN | WHO_APP,
		.call = call,
	};
	static bool added;

	if (added)
		return 0;
	added = true;
	return mcp_table_add(&row, e) || mcp_table_add(&back, e) || mcp_table_add(&let_go, e)
		       ? -EINVAL
		       : 0;
}
