/* SPDX-License-Identifier: Apache-2.0 */
#include "acts.h"

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/store/store.h"
#include "queries_int.h"

#include <errno.h>
#include <stdio.h>

#define TICK_US 1000000

static const char *const states[] = {
	[APPROVAL_NONE] = "none",       [APPROVAL_WAITING] = "waiting",
	[APPROVAL_GRANTED] = "granted", [APPROVAL_DENIED] = "denied",
	[APPROVAL_LAPSED] = "lapsed",   [APPROVAL_USED] = "used"
};

static void key_of(const ident_t *id, char key[96])
{
	(void)snprintf(key, 96, "act/%s", id->s);
}

bool acts_wait(const struct side *s, const char *tool)
{
	for (uint32_t i = 0; s && i < s->cfg->human.n_acts; i++)
		if (!strcmp(s->cfg->human.act[i], tool))
			return true;
	return false;
}

/* The reason is the asker's own where the tool takes one. */
static void describe(struct ev_act *a, const char *tool, const json_t *args)
{
	const char *id = json_string_value(json_object_get(args, "id"));
	const char *reason = json_string_value(json_object_get(args, "reason"));

	str_cut(a->act.s, tool);
	str_cut(a->about.s, id ? id : "");
	if (reason && *reason)
		str_cut(a->why.s, reason);
	else
		(void)snprintf(a->why.s, sizeof(a->why.s), "%s, no reason given", tool);
}

int acts_ask(struct side *s, const struct peer *p, const char *tool, const json_t *args,
	     struct mcp_turn *t, struct err *e)
{
	auto_free char *text =
		json_dump_new(args ? args : json_null(), JSON_COMPACT | JSON_SORT_KEYS);
	struct ev_act a = { .uid = wire_uid(p), .expires = engine_now(s->engine) };
	char key[96], who[WIRE_DID_MAX];
	enum refusal no;
	int r;

	if (!text || !json_is_object(args))
		return err_set(e, text ? -EINVAL : -ENOMEM, "arguments: object required");
	describe(&a, tool, args);
	a.expires.ms += (int64_t)s->cfg->human.wait_s * 1000;
	sha256(text, strlen(text), a.args.b);
	engine_id(&a.id, "act");
	key_of(&a.id, key);
	no = tool_call(s->engine, TOOL_act_ask, &a);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, tool);
		return 0;
	}
	r = store_kv_put(engine_store(s->engine), key, text, strlen(text), e);
	if (r)
		return r;
	wire_owner(p, who);
	log_warn("%s: %s by %s waits for approval: %s", a.id.s, tool, who, a.why.s);
	return mcp_answer_later(s, t,
				json_pack("{s:s, s:s, s:s, s:I}", "approval", a.id.s, "state",
					  "waiting", "act", tool, "expiresMs",
					  (json_int_t)a.expires.ms),
				e);
}

const struct act *acts_find(const struct side *s, const char *id)
{
	const struct world *w = engine_world(s->engine);

	for (uint32_t i = 0; i < w->n_acts; i++)
		if (!strcmp(w->act[i].ask.id.s, id))
			return &w->act[i];
	return NULL;
}

/* The arguments as they were asked for, or nothing. */
static int arguments(struct side *s, const struct ev_act *a, json_t **ret, struct err *e)
{
	const struct json_limits lim = { .bytes = 1 << 20, .depth = 32, .nodes = 16384 };
	auto_free void *text = NULL;
	uint8_t d[SHA256_LEN];
	char key[96];
	size_t n = 0;
	int r;

	key_of(&a->id, key);
	r = store_kv_get(engine_store(s->engine), key, &text, &n, e);
	if (r)
		return r;
	sha256(text, n, d);
	if (memcmp(d, a->args.b, sizeof(d)) != 0)
		return err_set(e, -EUCLEAN, "%s: its arguments are not those that were asked for",
			       a->id.s);
	return json_read(ret, text, n, &lim, e);
}

int acts_answer(struct side *s, const struct peer *p, const struct act *k, bool grant,
		const why_t *why, struct mcp_turn *t, struct err *e)
{
	auto_json json_t *args = NULL;
	struct ev_act a = k->ask;
	enum refusal no;
	int r = grant ? arguments(s, &a, &args, e) : 0;

	if (r)
		return r;
	if (grant && s->cfg->human.two && wire_uid(p) == k->ask.uid)
		return err_set(e, -EPERM, "not_authorized: who asked may not grant (two-persons)");
	a.uid = wire_uid(p);
	a.why = *why;
	no = tool_call(s->engine, grant ? TOOL_act_grant : TOOL_act_deny, &a);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, "the approval is decided, or its time is over");
		return 0;
	}
	if (grant)
		return mcp_table_run(s, p, a.act.s, args, t, e);
	return mcp_answer_later(
		s, t, json_pack("{s:s, s:s, s:s}", "id", a.id.s, "state", "denied", "act", a.act.s),
		e);
}

json_t *acts_row(const struct act *a)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "id", a->ask.id.s, "state",
			 states[a->state], "act", a->ask.act.s, "deal", a->ask.about.s, "askedBy",
			 (json_int_t)a->ask.uid, "expiresMs", (json_int_t)a->ask.expires.ms, "why",
			 a->ask.why.s);
}

static void tick(void *arg)
{
	struct side *s = arg;
	const struct world *w = engine_world(s->engine);
	wall_t now = engine_now(s->engine);

	if (!loop_after(s->loop, TICK_US, tick, s))
		log_error("acts: out of memory");
	for (uint32_t i = 0; i < w->n_acts; i++) {
		struct ev_act a = w->act[i].ask;

		if (w->act[i].state != APPROVAL_WAITING || now.ms < a.expires.ms)
			continue;
		str_cut(a.why.s, "no human answered in time");
		(void)tool_call(s->engine, TOOL_act_lapse, &a);
	}
}

int acts_start(struct side *s, struct err *e)
{
	if (!s->cfg->human.n_acts)
		return 0;
	return loop_after(s->loop, TICK_US, tick, s) ? 0 : err_set(e, -ENOMEM, "acts");
}
