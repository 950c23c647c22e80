/* SPDX-License-Identifier: Apache-2.0 */
/* What only a human may do: end an agreement, revoke a wallet, replace the class profiles. Each act
 * needs a reason, which the log keeps; the answer leaves after the commit. */
#include "agent/crypto/crypto.h"
#include "agent/codec/noun.h"
#include "agent/log.h"
#include "agent/disclosure.h"
#include "agent/store/ledger.h"
#include "queries_int.h"
#include "side_make.h"

#include <errno.h>
#include <stdio.h>

#define CONFIG_TEXT                                                               \
	"{\"type\":\"object\",\"properties\":{\"config\":{\"type\":\"string\"}}," \
	"\"required\":[\"config\"],\"additionalProperties\":false}"

/* --- agreement_terminate -----------------------------------------------------------------------
 */

static int on_terminate(struct side *s, const struct peer *p, const json_t *args, const char *key,
			struct mcp_turn *t, struct err *e)
{
	struct ev_ref ref = { 0 };
	const struct deal *d;
	char id[sizeof(ident_t)];
	enum refusal no;
	int r = mcp_id_reason(args, id, sizeof(id), &ref.why, e);

	(void)p;
	(void)key;
	if (r)
		return r;
	d = query_deal(s, id);
	if (!d)
		return err_set(e, -ENOENT, "agreement_unknown: %s: no deal has this id", id);
	ref.deal = ident_empty(d->lineage) ? d->negotiation : d->lineage;
	ref.about = ref.deal;
	ref.rev = d->cur.rev;
	no = tool_call(s->engine, TOOL_agreement_terminate, &ref);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, ref.deal.s);
		return 0;
	}
	return mcp_answer_later(s, t,
				json_pack("{s:s, s:I, s:s}", "agreement", ref.deal.s, "revision",
					  (json_int_t)ref.rev, "life", life_name(LIFE_TERMINATED)),
				e);
}

/* --- wallet_revoke -----------------------------------------------------------------------------
 */

#define REVOKE_MAX 8 /* one wallet id of several issuers, on both ledgers */

struct revoking {
	const char *wallet;
	struct ledger_wallet_id id[REVOKE_MAX];
	size_t n;
};

static int collect(void *arg, const struct ledger_wallet *w)
{
	struct revoking *v = arg;

	if (!strcmp(w->id.wallet_id, v->wallet) && v->n < REVOKE_MAX)
		v->id[v->n++] = w->id;
	return 0;
}

/* The ledger first: when it says no, no event says otherwise. */
static int on_revoke(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	struct store *st = engine_store(s->engine);
	struct ev_ref ref = { 0 };
	struct revoking v = { .wallet = ref.about.s };
	struct ledger_result res = { 0 };
	enum refusal no;
	int r = mcp_id_reason(args, ref.about.s, sizeof(ref.about.s), &ref.why, e);

	(void)p;
	(void)key;
	if (!r)
		r = ledger_wallets(st, collect, &v, e);
	if (!r && !v.n)
		r = err_set(e, -ENOENT, "wallet_missing: %s: no such wallet", ref.about.s);
	for (size_t i = 0; !r && i < v.n; i++) {
		r = ledger_wallet_revoke(st, &v.id[i], engine_now(s->engine), &res, e);
		if (!r && res.why != REFUSE_NONE) {
			mcp_refuse(t, res.why, ref.about.s);
			return 0;
		}
	}
	if (r)
		return r;
	no = tool_call(s->engine, TOOL_wallet_revoke, &ref);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, ref.about.s);
		return 0;
	}
	return mcp_answer_later(s, t,
				json_pack("{s:s, s:b, s:I, s:I}", "wallet", ref.about.s, "revoked",
					  1, "held", (json_int_t)res.held.minor, "captured",
					  (json_int_t)res.captured.minor),
				e);
}

/* --- policy ------------------------------------------------------------------------------------
 */

static json_t *profile_row(const struct class_profile *c)
{
	return json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:I, s:[I,I,I], "
		"s:I, s:I}",
		"name", c->name.s, "id", (json_int_t)c->id, "bandwidthBps",
		(json_int_t)c->want.bandwidth.bps, "latencyMicros", (json_int_t)c->want.latency.us,
		"availabilityPpm", (json_int_t)c->want.availability.ppm, "strategy",
		c->strategy == STRATEGY_STEP_UP ? "step-up" : "step-down", "termMs",
		(json_int_t)c->term_ms, "value", (json_int_t)c->value.minor_h, "delayValue",
		(json_int_t)c->delay_value.minor_h, "floorBps", (json_int_t)c->floor.bps, "donor",
		c->donor, "detect", c->detect, "priority", (json_int_t)c->priority, "base",
		(json_int_t)c->base[0].minor_h, (json_int_t)c->base[1].minor_h,
		(json_int_t)c->base[2].minor_h, "margin", (json_int_t)c->margin.minor_h,
		"marginFloor", (json_int_t)c->margin_floor.minor_h);
}

static json_t *policy_json(const struct side *s)
{
	const struct cfg_operator *o = &s->cfg->op;
	json_t *rows = json_array();

	for (uint32_t i = 0; i < s->profiles; i++)
		(void)json_array_append_new(rows, profile_row(&s->profile[i]));
	return json_pack("{s:o, s:{s:s, s:I}, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I}}",
			 "classes", rows, "ledger", "currency", s->cfg->ledger.currency, "ceiling",
			 (json_int_t)s->cfg->ledger.ceiling.minor, "operator", "quoteTtlS",
			 (json_int_t)o->quote_ttl_s, "surgeMaxPpm", (json_int_t)o->surge_max_ppm,
			 "overlapMs", (json_int_t)o->overlap_ms, "policePct",
			 (json_int_t)o->police_pct, "windows", "sampleMs",
			 (json_int_t)s->cfg->daemon.sample_ms, "holdIntervals",
			 (json_int_t)s->cfg->daemon.hold_intervals, "coolIntervals",
			 (json_int_t)s->cfg->daemon.cool_intervals);
}

static int on_policy_show(struct side *s, const struct peer *p, const json_t *args, const char *key,
			  struct mcp_turn *t, struct err *e)
{
	(void)p;
	(void)args;
	(void)key;
	return query_answer(t, policy_json(s), e);
}

/* Numbers of a class may change under way; its name, its id and how many there are may not: rules,
 * HTB minors and counters in the kernel are named by them. */
static int same_classes(const struct side *s, const struct side *next, struct err *e)
{
	if (next->profiles != s->profiles)
		return err_set(e, -EINVAL, "class: %u of them, %u are in force: restart to change",
			       next->profiles, s->profiles);
	for (uint32_t i = 0; i < s->profiles; i++)
		if (!ident_eq(next->profile[i].name, s->profile[i].name) ||
		    next->profile[i].id != s->profile[i].id)
			return err_set(e, -EINVAL,
				       "class %.31s: not where %.31s (id %u) is: "
				       "restart to change",
				       next->profile[i].name.s, s->profile[i].name.s,
				       s->profile[i].id);
	return 0;
}

/* The log names the text by its digest and who loaded it. */
static int log_policy(struct side *s, const struct peer *p, const char *text, struct err *e)
{
	const struct cap_human cap = { s->engine };
	struct ev_ref ref = { 0 };
	char who[WIRE_DID_MAX];
	uint8_t d[SHA256_LEN];
	enum refusal no;

	wire_owner(p, who);
	sha256(text, strlen(text), d);
	(void)hex_encode(d, 16, ref.about.s, sizeof(ref.about.s));
	(void)snprintf(ref.why.s, sizeof(ref.why.s), "%u class profiles replaced by %.80s",
		       s->profiles, who);
	no = tool_policy_load(&cap, &ref, NULL, NULL);
	return no == REFUSE_NONE ? 0 : err_set(e, -EPERM, "%s", refusal_text(no));
}

static int on_policy_load(struct side *s, const struct peer *p, const json_t *args, const char *key,
			  struct mcp_turn *t, struct err *e)
{
	struct side *next = calloc(1, sizeof(*next));
	struct config *c = NULL;
	const char *text;
	int r = next ? json_only(args, "", e, "config", NULL) : -ENOMEM;

	(void)key;
	if (!r)
		r = json_need_str(args, "", "config", &text, e);
	if (!r)
		r = config_parse(&c, text, strlen(text), "config", e);
	if (!r) {
		side_from_config(next, c);
		r = same_classes(s, next, e);
	}
	if (!r)
		r = log_policy(s, p, text, e);
	if (!r) {
		memcpy(s->profile, next->profile, sizeof(s->profile));
		r = mcp_answer_later(s, t, policy_json(s), e);
	}
	(void)config_free(c);
	free(next);
	return r;
}

/* --- consumer_erase ----------------------------------------------------------------------------
 */

/* An agreement that lives needs its bodies: they answer what is asked again. */
static bool has_living(const struct side *s, const char *did)
{
	const struct world *w = engine_world(s->engine);

	for (uint32_t i = 0; i < w->n_deals; i++) {
		const struct deal *d = &w->deal[i];

		if (d->life != LIFE_TERMINATED && (d->cur.rev || d->has_pending) &&
		    !strcmp(d->operator_side ? d->peer.s : s->cfg->daemon.did, did))
			return true;
	}
	return false;
}

/* The key first: a crash between leaves too little readable, never too much, and the act can be
 * asked for again. */
static int on_erase(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e)
{
	struct ev_ref ref = { 0 };
	char did[DID_MAX];
	uint8_t salted[32 + DID_MAX], d[SHA256_LEN];
	enum refusal no;
	int r = mcp_id_reason(args, did, sizeof(did), &ref.why, e);

	(void)p;
	(void)key;
	if (!r && has_living(s, did))
		r = err_set(e, -EBUSY, "%s: has an agreement that has not ended", did);
	if (!r)
		r = disclosure_key(s, salted, e);
	if (!r)
		r = store_consumer_erase(engine_store(s->engine), did, e);
	if (r)
		return r;
	/* Who was erased is not to be guessed from the log by who has not the database. */
	memcpy(salted + 32, did, strlen(did));
	sha256(salted, 32 + strlen(did), d);
	(void)hex_encode(d, 16, ref.about.s, sizeof(ref.about.s));
	no = tool_call(s->engine, TOOL_consumer_erase, &ref);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, ref.about.s);
		return 0;
	}
	return mcp_answer_later(s, t, json_pack("{s:s, s:b}", "consumer", did, "erased", 1), e);
}

#define HUMAN .who = WHO_HUMAN

const struct mcp_row query_rows_human[] = {
	{ "agreement_terminate", "End an agreement", "Ends it now, on both sides",
	  .input_schema = MCP_ID_REASON, .destructive = true, .idempotent = true,
	  .open_world = true, HUMAN, .call = on_terminate },
	{ "wallet_revoke", "Revoke a wallet", "No new hold on it; what is paid for runs on",
	  .input_schema = MCP_ID_REASON, .destructive = true, .idempotent = true, HUMAN,
	  .call = on_revoke },
	{ "policy_show", "Policy", "The class profiles and windows in force", .read_only = true,
	  .idempotent = true, .who = WHO_HUMAN | WHO_APP, .call = on_policy_show },
	{ "policy_load", "Load a policy", "Replaces the class profiles by those of a configuration",
	  .input_schema = CONFIG_TEXT, .idempotent = true, HUMAN, .call = on_policy_load },
	{ "consumer_erase", "Erase a consumer",
	  "Destroys the key of its bodies; the log stays whole. Its agreements must have ended",
	  .input_schema = MCP_ID_REASON, .destructive = true, .idempotent = true, HUMAN,
	  .call = on_erase },
	{ 0 },
};
