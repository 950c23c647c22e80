/* SPDX-License-Identifier: Apache-2.0 */
/* oss_lab.h - an operator with a real store, engine and side on a virtual loop, and three nodes
 * that the test plays: they apply steps to a table, answer receipts and telemetry, refuse, fall
 * silent. A crash drops everything that is not on disk. */
#ifndef TREATY_TEST_OSS_LAB_H
#define TREATY_TEST_OSS_LAB_H

#include "store_util.h"
#include "brief.h"

#include "agent/codec/json.h"
#include "agent/codec/batch.h"
#include "agent/codec/noun.h"
#include "agent/mcp_table.h"
#include "agent/oss_assurance/oss_assurance.h"
#include "agent/oss_negotiation/oss_negotiation.h"
#include "agent/oss_planning/oss_planning.h"
#include "agent/oss_telemetry.h"
#include "agent/peer.h"
#include "agent/side_make.h"

static const char lab_conf[] =
	"[daemon]\nroles = oss\nname = op\nlog-level = error\nsample-interval-ms = 100\n"
	"hold-intervals = 100\ncool-intervals = 100\n"
	"[peer popA]\ndid = did:key:z6MkA\nrole = node\nurl = https://[fd10::2]:8443\n"
	"[peer popB]\ndid = did:key:z6MkB\nrole = node\nurl = https://[fd10::3]:8443\n"
	"[peer popC]\ndid = did:key:z6MkC\nrole = node\nurl = https://[fd10::4]:8443\n"
	"[path 1]\nname = short\ndelay-us = 5000\ncapacity = 200M\nspare = 2\n"
	"[path 2]\nname = long\ndelay-us = 20000\ncapacity = 300M\nspare = 1\n"
	"[path 3]\nname = best\nkind = be\ndelay-us = 20000\ncapacity = 300M\n"
	"[hop 1 popA]\nup-device = coreb\ndown-device = acc0\nsteers = on\n"
	"[hop 1 popB]\nup-device = exc0\ndown-device = corea\nsteers = on\n"
	"[hop 2 popA]\nup-device = corec\ndown-device = acc0\nsteers = on\n"
	"[hop 2 popC]\nup-device = coreb\ndown-device = corea\n"
	"[hop 2 popB]\nup-device = exc0\ndown-device = corec\nsteers = on\n"
	"[hop 3 popA]\nup-device = corec\ndown-device = acc0\nsteers = on\n"
	"[hop 3 popC]\nup-device = coreb\ndown-device = corea\n"
	"[hop 3 popB]\nup-device = exc0\ndown-device = corec\nsteers = on\n"
	"[class market-data]\nid = 1\nproto = udp\ndport = 7001\nbandwidth = 20M\n"
	"latency-us = 12000\npriority = 1\n"
	"[operator]\nlabel-range = 100-199\noverlap-ms = 200\n";

#define LAB_WALL  1800000000000 /* 2027 */
#define LAB_NODES 3
#define LAB_LOG   512
#define LABEL     105

/* What a step did, in the order in which the nodes saw it. */
struct seen {
	name_t node;
	struct step step;
};

struct lab_node {
	const char *name;
	bool silent;
	uint32_t refuse; /* this one of its steps, counted from 1 since the start; 0 = none */
	uint32_t steps;
	uint8_t no_v4; /* it leads no IPv4 onto this path; 0 = it does not tell of any */
	struct label_count up;
	struct path_sample path[3];
	struct mark_sample mark; /* block 0 = none */
	struct mark_clock clock;
};

struct answer {
	struct answer *next;
	peer_mcp_fn fn;
	void *arg;
	json_t *js; /* NULL = unreachable */
	bool owned; /* arg dies with the answer */
};

static struct lab {
	struct config *cfg;
	struct store *store;
	struct side side;
	struct lab_node node[LAB_NODES];
	struct answer *answers; /* under way */
	uint32_t n_held, n_seen;
	struct seen held[LAB_LOG], seen[LAB_LOG];
	const struct mcp_row *swap;
	wall_t base;
	uint64_t crash_at; /* stop when that many events are durable; 0 = never */
	bool dying_deaf;   /* .. and what waited for it still leaves, but its answer is lost */
	bool dead, deaf;   /* nothing leaves any more; answers are lost */
	uint32_t telemetry_calls;
	bool turn_ended;
	enum refusal turn_refusal;
	char counts[64];
} lab;

/* --- nodes ----------------------------------------------------------------------------------- */

static struct lab_node *lab_node(const char *name)
{
	for (unsigned i = 0; i < LAB_NODES; i++)
		if (!strcmp(lab.node[i].name, name))
			return &lab.node[i];
	fail_msg("no node %s", name);
	return NULL;
}

static struct seen *lab_held(const char *node, const struct step *s)
{
	for (uint32_t i = 0; i < lab.n_held; i++)
		if (!strcmp(lab.held[i].node.s, node) && step_same_object(&lab.held[i].step, s))
			return &lab.held[i];
	return NULL;
}

/* Like the real node: a label line takes its steering with it. */
static void lab_apply(const char *node, const struct step *s)
{
	struct seen *h = lab_held(node, s);

	assert_true(lab.n_seen < LAB_LOG && lab.n_held < LAB_LOG);
	str_cut(lab.seen[lab.n_seen].node.s, node);
	lab.seen[lab.n_seen++].step = *s;
	if (s->kind == STEP_PROBE || s->kind == STEP_WAIT)
		return;
	if (step_is_removal(s->kind) || (s->kind == STEP_STEER && !s->path)) {
		if (h)
			*h = lab.held[--lab.n_held];
		return;
	}
	if (!h) {
		h = &lab.held[lab.n_held++];
		str_cut(h->node.s, node);
	}
	h->step = *s;
}

static json_t *lab_steps(struct lab_node *n, const json_t *args)
{
	static struct plan p;
	struct err e = { 0 };
	json_t *arr = json_array();

	if (noun_decode(&plan_fields, json_object_get(args, "plan"), &p, &e))
		fail_msg("plan: %s", e.text);
	for (uint16_t i = 0; i < p.n_steps; i++) {
		struct step_receipt rc = { .plan = p.id, .no = p.step[i].no, .took_us = 50 };
		bool no = ++n->steps == n->refuse;

		assert_string_equal(p.step[i].node.s, n->name);
		assert_int_not_equal(p.step[i].step.kind, STEP_WAIT);
		rc.refusal = no ? REFUSE_RATE_ABOVE_DEVICE : REFUSE_NONE;
		json_array_append_new(arr, noun_encode(&step_receipt_fields, &rc));
		if (no)
			break;
		lab_apply(n->name, &p.step[i].step);
	}
	return json_pack("{s:o}", "receipts", arr);
}

static json_t *lab_batch(const char *noun, const struct field_table *t, const void *row)
{
	struct batch *b = NULL;
	json_t *js;

	assert_int_equal(batch_new(&b, noun, t, NULL), 0);
	if (row)
		assert_int_equal(batch_add(b, row), 0);
	js = batch_json(b);
	b = batch_free(b);
	return js;
}

static json_t *lab_telemetry(struct lab_node *n)
{
	struct label_sample s = { .label = LABEL, .at = loop_now(lab.side.loop) };
	json_t *paths = json_array(), *js;

	lab.telemetry_calls++;
	s.dir[DIR_UP] = n->up;
	for (unsigned i = 0; i < 3; i++) {
		n->path[i].at = s.at;
		json_array_append_new(paths, noun_encode(&path_sample_fields, &n->path[i]));
	}
	js = json_pack(
		"{s:o, s:o, s:[], s:o, s:o, s:I}", "labels",
		lab_batch("label", &label_sample_fields, &s), "paths", paths, "classes", "marks",
		lab_batch("mark", &mark_sample_fields, n->mark.block ? &n->mark : NULL), "clock",
		noun_encode(&mark_clock_fields, &n->clock), "mono", (json_int_t)s.at.us);
	if (n->no_v4)
		json_object_set_new(js, "noIpv4", json_pack("[i]", n->no_v4));
	return js;
}

static void lab_answer(void *arg)
{
	struct answer *a = arg;
	struct mcp_result r = { .structured = a->js, .text = "", .error = "" };
	struct answer **at = &lab.answers;

	if (lab.dead || lab.deaf)
		return;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	a->fn(a->arg, a->js ? 0 : -EHOSTUNREACH, a->js ? &r : NULL, "no route to host");
	json_decref(a->js);
	free(a);
}

int __wrap_peer_tool(struct side *s, const char *name, const char *tool, const json_t *args,
		     const char *key, peer_mcp_fn fn, void *arg, struct err *e);
int __wrap_peer_tool(struct side *s, const char *name, const char *tool, const json_t *args,
		     const char *key, peer_mcp_fn fn, void *arg, struct err *e)
{
	struct lab_node *n = lab_node(name);
	struct answer *a = calloc(1, sizeof(*a));

	(void)e;
	assert_non_null(a);
	*a = (struct answer){ .next = lab.answers, .fn = fn, .arg = arg };
	lab.answers = a;
	if (!strcmp(tool, "step_apply")) {
		assert_non_null(key);
		a->owned = true;
		if (!lab.dead && !n->silent)
			a->js = lab_steps(n, args);
	} else if (!n->silent) {
		assert_string_equal(tool, "telemetry_read");
		a->js = lab_telemetry(n);
	}
	assert_non_null(loop_after(s->loop, n->silent ? 50000 : 2000, lab_answer, a));
	return 0;
}

/* --- the table and its turns ----------------------------------------------------------------- */

int __wrap_mcp_table_add(const struct mcp_row *r, struct err *e);
int __wrap_mcp_table_add(const struct mcp_row *r, struct err *e)
{
	(void)e;
	if (!strcmp(r->name, "path_swap"))
		lab.swap = r;
	return 0;
}

void __wrap_mcp_turn_result(struct mcp_turn *t, const json_t *structured);
void __wrap_mcp_turn_result(struct mcp_turn *t, const json_t *structured)
{
	(void)t;
	assert_non_null(structured);
	assert_false(lab.turn_ended);
	lab.turn_ended = true;
	lab.turn_refusal = REFUSE_NONE;
}

void __wrap_mcp_refuse(struct mcp_turn *t, enum refusal r, const char *why);
void __wrap_mcp_refuse(struct mcp_turn *t, enum refusal r, const char *why)
{
	(void)t;
	(void)why;
	assert_false(lab.turn_ended);
	lab.turn_ended = true;
	lab.turn_refusal = r;
}

/* --- the operator ---------------------------------------------------------------------------- */

static wall_t lab_now(void *arg)
{
	(void)arg;
	return (wall_t){ lab.base.ms + loop_now(lab.side.loop).us / 1000 };
}

static void lab_durable(void *arg, const struct event *ev)
{
	(void)arg;
	if (!lab.crash_at || ev->seq != lab.crash_at)
		return;
	lab.deaf = lab.dying_deaf;
	lab.dead = !lab.deaf;
	loop_stop(lab.side.loop, 0);
}

static void lab_open(void)
{
	struct engine_config ec = { .max_deals = 8, .max_wanted = 8, .now = lab_now };
	struct err e = { 0 };
	int r;

	memset(&lab.side, 0, sizeof(lab.side));
	lab.dead = lab.deaf = false;
	side_from_config(&lab.side, lab.cfg);
	r = loop_new(&lab.side.loop, true);
	lab.store = open_ok(STORE_CREATE | STORE_NOSYNC);
	ec.store = lab.store;
	if (!r)
		r = engine_new(&lab.side.engine, &ec, &e);
	if (!r) {
		loop_before_sleep(lab.side.loop, engine_turn, lab.side.engine);
		engine_on_durable(lab.side.engine, lab_durable, NULL);
		r = oss_telemetry_start(&lab.side, &e);
	}
	if (!r)
		r = oss_negotiation_start(&lab.side, &e);
	if (!r)
		r = oss_planning_start(&lab.side, &e);
	if (!r)
		r = oss_assurance_start(&lab.side, &e);
	if (r)
		fail_msg("start: %s", e.text);
}

/* As if the process had been killed: what is not committed is gone. */
static void lab_crash(void)
{
	lab.base.ms += loop_now(lab.side.loop).us / 1000 + 1;
	side_flows_free(&lab.side);
	lab.side.engine = engine_free(lab.side.engine);
	lab.side.loop = loop_free(lab.side.loop);
	while (lab.answers) {
		struct answer *a = lab.answers;

		lab.answers = a->next;
		json_decref(a->js);
		if (a->owned)
			free(a->arg);
		free(a);
	}
	lab.store = store_free(lab.store);
}

static inline int lab_make(void **state)
{
	static const char *const names[LAB_NODES] = { "popA", "popB", "popC" };
	struct err e = { 0 };

	memset(&lab, 0, sizeof(lab));
	lab.base.ms = LAB_WALL;
	for (unsigned i = 0; i < LAB_NODES; i++) {
		lab.node[i].name = names[i];
		for (unsigned p = 0; p < 3; p++)
			lab.node[i].path[p] = (struct path_sample){
				.path = (uint8_t)(p + 1),
				.alive = true,
				.delay = { p ? 20000 : 5000 },
				.load = { 1000000 },
			};
	}
	if (dir_make(state) || config_parse(&lab.cfg, lab_conf, strlen(lab_conf), "lab", &e)) {
		fail_msg("config: %s", e.text);
		return -1;
	}
	lab_open();
	return 0;
}

static inline int lab_drop(void **state)
{
	if (lab.side.loop)
		lab_crash();
	lab.cfg = config_free(lab.cfg);
	return dir_drop(state);
}

static void lab_stop(void *arg)
{
	(void)arg;
	loop_stop(lab.side.loop, 0);
}

static inline void lab_run(int64_t ms)
{
	struct loop_timer *t = loop_after(lab.side.loop, ms * 1000, lab_stop, NULL);
	int r;

	assert_non_null(t);
	r = loop_run(lab.side.loop);
	if (r)
		fail_msg("engine: %s", engine_error(lab.side.engine)->text);
	briefs_hold(engine_world(lab.side.engine));
}

static const struct deal *lab_deal(void)
{
	const struct world *w = engine_world(lab.side.engine);

	return w->n_deals ? &w->deal[0] : NULL;
}

/* --- deals ----------------------------------------------------------------------------------- */

static void lab_emit(enum event_kind k, const void *payload)
{
	enum refusal r = engine_emit(lab.side.engine, k, "test", "test", payload, NULL, NULL);

	if (r != REFUSE_NONE)
		fail_msg("%s: %s", event_name(k), refusal_name(r));
}

struct want {
	uint8_t path;
	uint64_t bps;
	uint32_t latency;
	uint32_t label;
	enum order_action action;
	enum quote_reason reason;
};

static inline void lab_intent(void)
{
	struct ev_admit a = { .ceiling = 1000000, .currency = "EUR" };

	str_cut(a.intent.id.s, "int-1");
	str_cut(a.intent.negotiation.s, "neg-1");
	str_cut(a.intent.class_name.s, "market-data");
	a.intent.want = (struct grades){ { 20000000 }, { 12000 }, { 999000 } };
	a.intent.term_ms = 3600000;
	lab_emit(EV_WALLET_ADMITTED, &a);
}

static inline void lab_quote(const struct want *w, struct ev_accept *a)
{
	const struct deal *d = lab_deal();
	struct quote q = { .version = 1,
			   .reason = w->reason,
			   .negotiation = d->negotiation,
			   .lineage = d->lineage,
			   .n_items = 1 };

	(void)snprintf(q.id.s, sizeof(q.id.s), "quo-%u", d->cur.rev + 1);
	q.valid_until.ms = lab_now(NULL).ms + 60000;
	q.item[0] = (struct quote_item){ .no = 1,
					 .path = w->path,
					 .type = NET_DET,
					 .g = { { w->bps }, { w->latency }, { 999000 } },
					 .scarcity = { 100 } };
	lab_emit(d->cur.rev ? EV_RENEGOTIATION_OPENED : EV_QUOTE_OFFERED, &q);
	*a = (struct ev_accept){ .deal = d->negotiation,
				 .quote = q.id,
				 .version = 1,
				 .item = 1,
				 .price = { 100 },
				 .start = lab_now(NULL) };
	a->end.ms = a->start.ms + 3600000;
	a->amount = deal_amount(d, a->price, a->start, a->end);
	lab_emit(EV_ACCEPT_RECORDED, a);
}

static inline void lab_sign(const struct want *w, const struct ev_accept *c)
{
	const struct deal *d = lab_deal();
	struct agreement a = { .rev = d->cur.rev + 1,
			       .prev = d->cur.digest,
			       .negotiation = d->negotiation,
			       .quote = c->quote,
			       .item = 1,
			       .label = w->label,
			       .path = w->path,
			       .type = NET_DET,
			       .reason = w->reason,
			       .g = { { w->bps }, { w->latency }, { 999000 } },
			       .price = c->price,
			       .start = c->start,
			       .end = c->end,
			       .amount = c->amount };

	str_cut(a.lineage.s, "agr-1");
	str_cut(a.service.s, w->action == ORDER_MIGRATE ? "svc-2" : "svc-1");
	str_cut(a.class_name.s, "market-data");
	a.digest.b[0] = (uint8_t)a.rev;
	lab_emit(EV_AGREEMENT_SIGNED, &a);
	lab_emit(EV_ACCEPTANCE_RECORDED, &a);
}

static inline void lab_order(enum order_action action)
{
	const struct deal *d = lab_deal();
	struct order o = { .lineage = d->lineage,
			   .rev = d->cur.rev,
			   .agreement_digest = d->cur.digest,
			   .action = action,
			   .service = d->cur.service,
			   .label = d->cur.label,
			   .path = d->cur.path,
			   .g = d->cur.g,
			   .end = d->cur.end };

	(void)snprintf(o.id.s, sizeof(o.id.s), "ord-%u-%d", o.rev, action);
	if (action != ORDER_ADD && action != ORDER_DELETE) {
		o.old_label = d->applied.label;
		o.old_path = d->applied.path;
		o.old_g = d->applied.g;
	}
	lab_emit(EV_ORDER_EMITTED, &o);
}

/* A whole negotiation in one turn, up to its order. */
static inline void lab_agree(const struct want *w)
{
	struct ev_accept a;

	if (!lab_deal())
		lab_intent();
	lab_quote(w, &a);
	lab_sign(w, &a);
	lab_order(w->action);
}

static inline void lab_until_life(enum life life, int64_t ms)
{
	for (int64_t t = 0; t < ms && (!lab_deal() || lab_deal()->life != life); t += 20)
		lab_run(20);
	assert_string_equal(life_name(lab_deal()->life), life_name(life));
}

static const struct want lab_add = { 1, 20000000, 30000, LABEL, ORDER_ADD, QUOTE_NEW };
static const struct want lab_reroute = { 2, 20000000, 30000, LABEL, ORDER_REROUTE, QUOTE_STEP_UP };

#endif
