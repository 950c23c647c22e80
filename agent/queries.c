/* SPDX-License-Identifier: Apache-2.0 */
/* status, deals, flows, paths; and the start of all queries. */
#include "agent/oss_assurance/oss_assurance.h"
#include "queries.h"

#include "agent/codec/noun.h"
#include "agent/crypto/crypto.h"
#include "agent/enforcer/client.h"
#include "agent/enforcer/enforcer.h"
#include "agent/store/ledger.h"
#include "agent/store/store.h"
#include "node.h"
#include "oss_telemetry.h"
#include "acts.h"
#include "queries_int.h"

#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

#define STATUS_WAIT_MS 1000

static mono_t started;

int query_answer(struct mcp_turn *t, json_t *o, struct err *e)
{
	int r = o ? mcp_table_view(&o, e) : err_set(e, -ENOMEM, "out of memory");

	if (!r)
		mcp_turn_result(t, o);
	json_decref(o);
	return r;
}

int query_id(const json_t *args, const char **ret, struct err *e)
{
	int r = json_only(args, "", e, "id", NULL);

	if (!r)
		r = json_need_str(args, "", "id", ret, e);
	if (!r && (!**ret || strlen(*ret) >= sizeof(ident_t)))
		r = err_set(e, -EINVAL, "id: 1..%zu characters required", sizeof(ident_t) - 1);
	return r;
}

static bool names(const struct deal *d, const ident_t *id)
{
	const ident_t *ids[] = { &d->negotiation,   &d->lineage,         &d->intent.id,
				 &d->quote.id,      &d->cur.intent,      &d->cur.quote,
				 &d->cur.service,   &d->cur.hold,        &d->old.service,
				 &d->pending.quote, &d->pending.service, &d->accept.hold,
				 &d->order.id,      &d->plan.id };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (ident_eq(*ids[i], *id))
			return true;
	return false;
}

const struct deal *query_deal(const struct side *s, const char *id)
{
	const struct world *w = engine_world(s->engine);
	ident_t key;

	struct deal *d;

	if (!*id || !str_set(key.s, id))
		return NULL;
	d = world_deal(w, &key);
	if (d)
		return d;
	for (uint32_t i = w->n_deals; i-- > 0;)
		if (names(&w->deal[i], &key))
			return &w->deal[i];
	return NULL;
}

int query_deal_arg(const struct side *s, const json_t *args, const struct deal **ret, struct err *e)
{
	const struct deal *d;
	const char *id;
	int r = query_id(args, &id, e);

	if (r)
		return r;
	d = query_deal(s, id);
	if (!d)
		return err_set(e, -ENOENT, "agreement_unknown: %s: no deal has this id", id);
	*ret = d;
	return 0;
}

void query_parties(const struct side *s, struct tmf_parties *ret)
{
	const struct config *c = s->cfg;
	bool ent = c->daemon.roles & ROLE_ENTERPRISE;

	*ret = (struct tmf_parties){ .digits = 2 };
	if (ent)
		str_cut(ret->enterprise.s, c->daemon.name);
	else
		str_cut(ret->op.s, c->daemon.name);
	for (uint32_t i = 0; i < c->peers; i++) {
		if (ent && c->peer[i].role == PEER_OPERATOR && ident_empty(ret->op))
			str_cut(ret->op.s, c->peer[i].name);
		if (!ent && c->peer[i].role == PEER_ENTERPRISE && ident_empty(ret->enterprise))
			str_cut(ret->enterprise.s, c->peer[i].name);
	}
}

/* --- status ------------------------------------------------------------------------------------
 */

static json_t *roles_json(uint32_t roles)
{
	static const char *const names_of[] = { "enterprise", "bss", "oss", "node" };
	json_t *a = json_array();

	for (size_t i = 0; i < ARRAY_LEN(names_of); i++)
		if (roles & 1u << i)
			(void)json_array_append_new(a, json_string(names_of[i]));
	return a;
}

static json_t *peers_json(const struct config *c)
{
	static const char *const role[] = { "operator", "enterprise", "node", "oss" };
	json_t *a = json_array();

	for (uint32_t i = 0; i < c->peers; i++)
		(void)json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:s}", "name",
							 c->peer[i].name, "role",
							 role[c->peer[i].role & 3], "did",
							 c->peer[i].did, "url", c->peer[i].url));
	return a;
}

/* The parent's own words; without a parent (tests) only what this process sees. */
static json_t *enforcer_json(const struct side *s)
{
	struct enforcer_status st = { 0 };
	struct err e = { 0 };
	char caps[24];

	if (!s->enforcer)
		return json_null();
	if (msg_call(s->enforcer, MSG_STATUS, NULL, 0, &st, sizeof(st), NULL, STATUS_WAIT_MS, &e))
		return json_pack("{s:s}", "error", e.text);
	(void)snprintf(caps, sizeof(caps), "%016llx", (unsigned long long)st.caps);
	return json_pack("{s:i, s:i, s:s, s:b}", "pid", (int)st.pid, "uid", (int)st.uid,
			 "capabilities", caps, "bpffs", st.bpffs == 1);
}

static json_t *shaped_json(const struct enforcer_shaper *sh)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < sh->n; i++) {
		const struct enforcer_shaped *d = &sh->dev[i];

		(void)json_array_append_new(
			all,
			json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
				  "device", d->device.s, "kind", d->kind, "refused", d->refused,
				  "classes", (json_int_t)d->classes, "maxClasses",
				  (json_int_t)d->max_classes, "idle", (json_int_t)d->idle,
				  "policed", (json_int_t)d->policed, "rate",
				  (json_int_t)d->rate.bps, "promised", (json_int_t)d->promised.bps,
				  "linkRate", (json_int_t)d->link.bps, "drops",
				  (json_int_t)d->drops, "marks", (json_int_t)d->marks));
	}
	return all;
}

static json_t *tables_json(const struct side *s)
{
	struct enforcer_tables t = { 0 };
	json_t *all = json_array();
	int r = enforcer_tables(s->enforcer, &t, NULL);

	for (uint32_t i = 0; i < t.n && !r; i++)
		(void)json_array_append_new(all, json_pack("{s:s, s:s, s:I, s:I, s:I}", "table",
							   table_name(t.table[i].table), "device",
							   t.table[i].device.s, "used",
							   (json_int_t)t.table[i].used, "max",
							   (json_int_t)t.table[i].max, "failed",
							   (json_int_t)t.table[i].failed));
	return all;
}

/* How this node shapes, as probed, and how full its tables are; null where there is no node. */
static json_t *shaper_json(const struct side *s)
{
	struct enforcer_shaper sh = { 0 };
	struct err e = { 0 };

	if (!s->enforcer || !(s->cfg->daemon.roles & ROLE_NODE))
		return json_null();
	if (enforcer_shaper(s->enforcer, &sh, &e))
		return json_pack("{s:s}", "error", e.text);
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:o, s:o,"
			 " s:{s:I, s:I, s:I, s:I}}",
			 "kind", sh.kind, "hook", sh.hook, "pacing", sh.pacing, "labels",
			 (json_int_t)sh.labels, "labelsUsed", (json_int_t)sh.labels_used, "rules",
			 (json_int_t)sh.rules, "rulesUsed", (json_int_t)sh.rules_used, "flows",
			 (json_int_t)sh.flows, "watched", (json_int_t)sh.watched, "refusedFull",
			 (json_int_t)sh.full, "adopted", sh.adopted == 1, "sockets", sh.socks,
			 "devices", shaped_json(&sh), "tables", tables_json(s), "odd",
			 "unknownLabel", (json_int_t)sh.unknown, "malformed",
			 (json_int_t)sh.malformed, "notIp", (json_int_t)sh.not_ip, "noPorts",
			 (json_int_t)sh.no_ports);
}

static json_t *counts_json(const struct world *w)
{
	json_int_t live = 0, active = 0;

	for (uint32_t i = 0; i < w->n_deals; i++) {
		live += w->deal[i].life != LIFE_TERMINATED;
		active += w->deal[i].active;
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "deals", (json_int_t)w->n_deals,
			 "live", live, "active", active, "wantedSteps", (json_int_t)w->n_wanted,
			 "events", (json_int_t)w->events, "refusals", (json_int_t)w->refusals,
			 "agreements", (json_int_t)w->agreements);
}

static json_t *log_json(const struct engine *en)
{
	struct store *st = engine_store(en);
	struct store_head h = store_head(st);
	char root[2 * HASH_LEN + 1], chain[2 * HASH_LEN + 1];

	(void)hex_encode(h.root.b, HASH_LEN, root, sizeof(root));
	(void)hex_encode(h.chain.b, HASH_LEN, chain, sizeof(chain));
	return json_pack("{s:I, s:I, s:s, s:s, s:I}", "seq", (json_int_t)h.seq, "durable",
			 (json_int_t)store_durable(st), "chain", chain, "root", root, "commits",
			 (json_int_t)engine_commits(en));
}

static int on_status(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	const struct err *last = engine_error(s->engine);
	struct utsname u = { .release = "?" };

	(void)p;
	(void)args;
	(void)key;
	(void)uname(&u);
	return query_answer(
		t,
		json_pack("{s:s, s:s, s:o, s:i, s:o, s:o, s:s, s:I, s:o, s:o, s:o, s:s}", "name",
			  s->cfg->daemon.name, "did", s->cfg->daemon.did, "roles",
			  roles_json(s->cfg->daemon.roles), "pid", (int)getpid(), "enforcer",
			  enforcer_json(s), "shaping", shaper_json(s), "kernel", u.release,
			  "uptimeMs", (json_int_t)((loop_now(s->loop).us - started.us) / 1000),
			  "log", log_json(s->engine), "counts",
			  counts_json(engine_world(s->engine)), "peers", peers_json(s->cfg),
			  "lastError", last->code ? last->text : ""),
		e);
}

/* --- deals -------------------------------------------------------------------------------------
 */

static const char *action_name(enum order_action a)
{
	static const char *const n[] = { "", "add", "modify", "reroute", "migrate", "delete" };

	return (unsigned)a < ARRAY_LEN(n) ? n[a] : "?";
}

/* Availability as it was measured; -1: nothing is known of it here. */
static json_t *seconds_json(const struct deal *d)
{
	struct seconds s = { 0 };

	if (!oss_assurance_seconds(&d->lineage, &s))
		return json_object();
	return json_pack("{s:I, s:I, s:I, s:I}", "goodSeconds", (json_int_t)s.good, "badSeconds",
			 (json_int_t)s.bad, "unknownSeconds", (json_int_t)s.unknown, "measuredPpm",
			 (json_int_t)seconds_ppm(&s));
}

/* One flat row: what is in force, or what is asked while nothing is. */
static json_t *deal_row(const struct deal *d)
{
	const struct grades *g = d->cur.rev ? &d->cur.g : &d->intent.want;
	json_t *o =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I}", "id",
			  ident_empty(d->lineage) ? d->negotiation.s : d->lineage.s, "negotiation",
			  d->negotiation.s, "lineage", d->lineage.s, "class",
			  d->intent.class_name.s, "flow", d->intent.flow.s, "life",
			  life_name(d->life), "active", d->active, "rev", (json_int_t)d->cur.rev,
			  "label", (json_int_t)d->cur.label, "path", (json_int_t)d->cur.path);
	json_t *more =
		json_pack("{s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:s, s:b}", "bandwidthBps",
			  (json_int_t)g->bandwidth.bps, "latencyMicros", (json_int_t)g->latency.us,
			  "availabilityPpm", (json_int_t)g->availability.ppm, "pricePerHour",
			  (json_int_t)d->cur.price.minor_h, "currency",
			  d->cur.rev ? d->cur.currency : d->quote.currency, "amount",
			  (json_int_t)d->cur.amount.minor, "startMs", (json_int_t)d->cur.start.ms,
			  "endMs", (json_int_t)d->cur.end.ms, "changedMs",
			  (json_int_t)d->changed.ms, "why", d->why.s, "riskOpen", d->risk_open);
	json_t *ids = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:I}", "intent",
				d->intent.id.s, "quote", d->has_quote ? d->quote.id.s : "",
				"quoteVersion", (json_int_t)(d->has_quote ? d->quote.version : 0),
				"service", d->cur.service.s, "order", d->order.id.s, "plan",
				d->plan.id.s, "planSteps", (json_int_t)d->plan.n_steps, "planDone",
				(json_int_t)d->plan_upto, "action", action_name(d->order.action),
				"peer", d->peer.s, "quoteItems",
				(json_int_t)(d->has_quote ? d->quote.n_items : 0));

	json_t *seconds = seconds_json(d);

	if (!o || !more || !ids || !seconds || json_object_update(o, more) ||
	    json_object_update(o, ids) || json_object_update(o, seconds)) {
		json_decref(o);
		o = NULL;
	}
	json_decref(seconds);
	json_decref(more);
	json_decref(ids);
	return o;
}

static int on_deal_list(struct side *s, const struct peer *p, const json_t *args, const char *key,
			struct mcp_turn *t, struct err *e)
{
	const struct world *w = engine_world(s->engine);
	uint32_t i, left;
	int r = query_page(args, &i, &left, e);
	json_t *rows;

	(void)p;
	(void)key;
	if (r)
		return r;
	rows = json_array();
	for (; i < w->n_deals && left; i++, left--)
		if (json_array_append_new(rows, deal_row(&w->deal[i]))) {
			json_decref(rows);
			return err_set(e, -ENOMEM, "out of memory");
		}
	return query_answer_page(t, "deals", rows, i < w->n_deals ? i : 0, e);
}

static json_t *noun_or_null(bool there, const struct field_table *t, const void *obj)
{
	return there ? noun_encode(t, obj) : json_null();
}

static int on_deal_show(struct side *s, const struct peer *p, const json_t *args, const char *key,
			struct mcp_turn *t, struct err *e)
{
	const struct deal *d = NULL;
	int r = query_deal_arg(s, args, &d, e);

	(void)p;
	(void)key;
	if (r)
		return r;
	return query_answer(
		t,
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s}", "deal",
			  deal_row(d), "intent", noun_encode(&intent_fields, &d->intent), "quote",
			  noun_or_null(d->has_quote, &quote_fields, &d->quote), "accept",
			  noun_or_null(d->has_accept, &ev_accept_fields, &d->accept), "pending",
			  noun_or_null(d->has_pending, &agreement_fields, &d->pending), "agreement",
			  noun_or_null(d->cur.rev, &agreement_fields, &d->cur), "origin",
			  noun_or_null(d->origin.rev, &agreement_fields, &d->origin), "order",
			  noun_or_null(!ident_empty(d->order.id), &order_fields, &d->order), "plan",
			  noun_or_null(!ident_empty(d->plan.id), &plan_fields, &d->plan), "life",
			  life_name(d->life), "why", d->why.s),
		e);
}

/* --- flows and paths ---------------------------------------------------------------------------
 */

/* On a node the totals are the maps' own, read now; elsewhere what telemetry last brought. */
static json_t *flow_row(struct side *s, uint32_t label)
{
	const struct deal *d = world_deal_by_label(engine_world(s->engine), label);
	const struct side_flow *f = side_flow(s, label, false);
	struct side_flow v = { .label = label };
	struct label_sample own;

	if (f)
		v = *f;
	if ((s->cfg->daemon.roles & ROLE_NODE) && !node_label_sample(s, label, &own)) {
		v.first = v.last = own;
		v.at = own.at;
		v.rtt_us = own.rtt_us ? own.rtt_us : v.rtt_us;
	}
	return json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "label",
			 (json_int_t)label, "class", d ? d->intent.class_name.s : "", "agreement",
			 d ? d->lineage.s : "", "promisedBps",
			 (json_int_t)(d ? d->cur.g.bandwidth.bps : 0), "offeredBps",
			 (json_int_t)v.offered.bps, "deliveredBps", (json_int_t)v.delivered.bps,
			 "drops", (json_int_t)v.drops, "rttMicros", (json_int_t)v.rtt_us, "upBytes",
			 (json_int_t)v.first.dir[DIR_UP].rx_bytes, "downBytes",
			 (json_int_t)v.last.dir[DIR_DOWN].rx_bytes, "path",
			 (json_int_t)(d ? d->cur.path : 0), "atMicros", (json_int_t)v.at.us);
}

/* Labels with telemetry, and those whose line this node's own kernel should hold: one bit each. */
static uint64_t *labels_of(const struct side *s)
{
	const struct world *w = engine_world(s->engine);
	uint64_t *set = calloc(LABEL_MAX / 64 + 1, sizeof(*set));

	for (uint32_t i = 0; set && i < s->flows.n; i++)
		set[s->flows.flow[i].label / 64] |= 1ull << s->flows.flow[i].label % 64;
	for (uint32_t i = 0; set && i < w->n_wanted; i++) {
		const struct step *k = &w->wanted[i].step;

		if (k->kind == STEP_LABEL_SET && k->label <= LABEL_MAX)
			set[k->label / 64] |= 1ull << k->label % 64;
	}
	return set;
}

/* Those beyond *after, by their number; *after becomes the last one's, or 0 where no more come. */
static int flow_rows(struct side *s, uint32_t *after, uint32_t left, json_t *rows)
{
	auto_free uint64_t *set = labels_of(s);
	uint32_t last = 0;

	if (!set || !rows)
		return -ENOMEM;
	for (uint32_t l = *after + 1; l <= LABEL_MAX; l++) {
		if (!(set[l / 64] >> l % 64 & 1))
			continue;
		if (!left--) {
			*after = last;
			return 0;
		}
		if (json_array_append_new(rows, flow_row(s, l)))
			return -ENOMEM;
		last = l;
	}
	*after = 0;
	return 0;
}

static int on_flow_list(struct side *s, const struct peer *p, const json_t *args, const char *key,
			struct mcp_turn *t, struct err *e)
{
	uint32_t after, left;
	int r = query_page(args, &after, &left, e);
	json_t *rows, *o;

	(void)p;
	(void)key;
	if (r)
		return r;
	if (after > LABEL_MAX)
		return err_set(e, -EINVAL, "after: 0..%u required", LABEL_MAX);
	rows = json_array();
	if (flow_rows(s, &after, left, rows)) {
		json_decref(rows);
		return err_set(e, -ENOMEM, "out of memory");
	}
	o = json_pack("{s:o, s:I}", "flows", rows, "monoMicros", (json_int_t)loop_now(s->loop).us);
	if (o && after)
		(void)json_object_set_new(o, "next", json_integer(after));
	return query_answer(t, o, e);
}

static json_t *path_row(const struct side *s, uint8_t i)
{
	static const char *const band[] = { "plenty", "modest", "steep", "withdrawn" };
	const struct path_view *v = &s->paths.view[i];
	const struct path_def *d = &s->paths.def[i];
	int64_t at = s->paths.at[i].us;
	json_t *bands = json_pack("[s, s, s]", band[v->band[AXIS_BANDWIDTH] % BAND_MAX_],
				  band[v->band[AXIS_LATENCY] % BAND_MAX_],
				  band[v->band[AXIS_AVAILABILITY] % BAND_MAX_]);

	return json_pack(
		"{s:I, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:I, "
		"s:s, "
		"s:s, s:I, s:I, s:I}",
		"path", (json_int_t)v->path, "name", d->name.s, "type",
		v->type == NET_BE ? "be" : "det", "alive", v->alive, "baseMicros",
		(json_int_t)v->base.us, "delayMicros", (json_int_t)v->delay.us, "forecastMicros",
		(json_int_t)v->forecast.us, "jitterMicros",
		(json_int_t)oss_telemetry_jitter(v->path).us, "lossPpm", (json_int_t)v->loss_ppm,
		"capacityBps", (json_int_t)v->capacity.bps, "reservedBps",
		(json_int_t)v->reserved.bps, "loadBps", (json_int_t)v->load.bps, "loadForecastBps",
		(json_int_t)v->load_forecast.bps, "band", band[v->band[AXIS_BANDWIDTH] % BAND_MAX_],
		"bands", bands, "ageMs", (json_int_t)(at ? (loop_now(s->loop).us - at) / 1000 : -1),
		"tableNode", v->least.node.s, "table", table_name(v->least.table), "tableUsed",
		(json_int_t)v->least.used, "tableMax", (json_int_t)v->least.max, "roomFor",
		(json_int_t)v->least.room);
}

static int on_path_list(struct side *s, const struct peer *p, const json_t *args, const char *key,
			struct mcp_turn *t, struct err *e)
{
	json_t *rows = json_array();

	(void)p;
	(void)args;
	(void)key;
	for (uint8_t i = 0; i < s->paths.n; i++)
		if (json_array_append_new(rows, path_row(s, i))) {
			json_decref(rows);
			return err_set(e, -ENOMEM, "out of memory");
		}
	return query_answer(t, json_pack("{s:o}", "paths", rows), e);
}

/* --- start -------------------------------------------------------------------------------------
 */

#define READ .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP

const struct mcp_row query_rows_deals[] = {
	{ "status", "Status", "Who this daemon is, its processes, its log and what it holds", READ,
	  .call = on_status },
	{ "deal_list", "Deals", "Every negotiation and agreement, one row each",
	  .input_schema = QUERY_PAGE, READ, .call = on_deal_list },
	{ "deal_show", "Deal", "One deal as nouns: intent, quote, agreement, order, plan",
	  .input_schema = QUERY_ID, READ, .call = on_deal_show },
	{ "flow_list", "Flows", "Rates, drops and round trips of each label",
	  .input_schema = QUERY_PAGE, READ, .call = on_flow_list },
	{ "path_list", "Paths", "Delay, loss, load and scarcity of each path", READ,
	  .call = on_path_list },
	{ 0 },
};

static int add_rows(const struct mcp_row *r, struct err *e)
{
	int err = 0;

	for (; !err && r->name; r++)
		err = mcp_table_add(r, e);
	return err;
}

int queries_start(struct side *s, struct err *e)
{
	static const struct mcp_row *const all[] = { query_rows_deals,      query_rows_log,
						     query_rows_tmf,        query_rows_ledger,
						     query_rows_verify,     query_rows_human,
						     query_rows_approval,   query_rows_dataplane,
						     query_rows_disclosure, query_rows_measure,
						     query_rows_key,        query_rows_review };
	int r = 0;

	started = loop_now(s->loop);
	for (size_t i = 0; !r && i < ARRAY_LEN(all); i++)
		r = add_rows(all[i], e);
	r = r ? r : query_tools_add(s, e);
	return r ? r : acts_start(s, e);
}
