/* SPDX-License-Identifier: Apache-2.0 */
/* ent_lab.h - the enterprise's side for the tests: real store, engine and codecs, a virtual clock,
 * keys in this process. Its peer_send() reaches the operator of ent_operator.h through the real
 * A2A server; its node is a recorder. */
#ifndef TREATY_TESTS_ENT_LAB_H
#define TREATY_TESTS_ENT_LAB_H

#include <setjmp.h>
#include <stdarg.h>

#include "agent/ent_policy/ent_policy.h"
#include "agent/ent_requirement/ent_requirement.h"
#include "agent/log.h"
#include "agent/node.h"
#include "agent/peer.h"
#include "agent/side_make.h"
#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

#include "tests/unit/ent_operator.h"
#include "tests/unit/store_util.h"

#define PLANS_MAX 128
#define CALLS_MAX 1024
#define CALL_US   1000 /* one way or the other */

/* What goes wrong with the nth call, counted from 0 over the whole test. */
enum fault { FAULT_NONE, FAULT_LOST, FAULT_ANSWER_LOST, FAULT_AT_ONCE };

struct call {
	peer_a2a_fn fn;
	void *arg;
	char *body;
	int no;
	bool used;
};

struct node_wait {
	node_done_fn done;
	void *arg;
};

static struct {
	struct party wallet_key, agent;
	struct config *cfg;
	struct side side;
	struct loop *loop;
	struct store *store;
	struct err sign_err;
	int64_t past_ms; /* the lives before this one */
	bool (*until)(void);
	int64_t limit_us;
	uint64_t crash_at; /* this life ends when the log is that long; 0 = never */
	bool crashed, timed_out;
	const char *slow_prefix; /* the first message that begins so is overtaken by the second */
	bool all_slow;           /* every one that begins so takes its time */
	int64_t (*takes)(const char *message_id); /* CALL_US of each; NULL: by the two above */
	struct call call[CALLS_MAX];
	int n_calls;
	enum fault fault[CALLS_MAX];
	char said[CALLS_MAX][A2A_ID_MAX];
	struct plan plan[PLANS_MAX];
	int plan_call[PLANS_MAX]; /* calls said before the plan came */
	int n_plans;
	struct node_wait wait[PLANS_MAX];
	enum refusal node_says;
	struct label_sample label;
	struct class_sample class[CLASSES_MAX + 1];
	struct wallet wallet;
	char extra[512]; /* of the configuration */
} lab;

static inline wall_t lab_now(void *arg)
{
	(void)arg;
	return (wall_t){ NOW.ms + lab.past_ms + (lab.loop ? loop_now(lab.loop).us / 1000 : 0) };
}

static inline const struct world *lab_world(void)
{
	return engine_world(lab.side.engine);
}

/* --- the seams ----------------------------------------------------------------------------------
 */

struct lab_answer {
	struct call *k;
	int64_t id;
	bool drop;
};

/* What a test makes of the operator's answer: a new text, or NULL to leave it. */
static char *(*lab_bend)(const char *body);

static void lab_sink(void *to, const struct wire_response *r)
{
	struct lab_answer *a = to;
	struct a2a_result res;
	struct err e = { 0 };
	auto_free char *bent = !a->drop && lab_bend ? lab_bend(r->body) : NULL;
	struct wire_response other = *r;
	int err;

	if (a->drop) {
		a->k->fn(a->k->arg, -ECONNRESET, NULL, "the answer was lost");
		return;
	}
	if (bent) {
		other.body = bent;
		other.len = strlen(bent);
	}
	err = a2a_parse(&res, &other, "SendMessage", a->id, &e);
	if (err && !bent)
		fail_msg("answer: %s", e.text);
	a->k->fn(a->k->arg, err, err ? NULL : &res, e.text); /* as peer.c tells it */
	if (!err)
		a2a_result_clear(&res);
}

static void lab_deliver(void *arg)
{
	struct call *k = arg;
	struct peer p = { 0 };
	struct wire_header h[3];
	struct wire_request rq = { .method = "POST",
				   .path = "/a2a",
				   .query = "",
				   .headers = h,
				   .nheaders = a2a_client_headers(h, NEGO_EXTENSION),
				   .body = k->body,
				   .len = strlen(k->body),
				   .peer = &p };
	struct lab_answer a = { k, k->no + 1, lab.fault[k->no] == FAULT_ANSWER_LOST };
	struct wire_sink sink = { .fn = lab_sink, .to = &a };

	str_cut(p.did, lab.agent.did);
	if (lab.fault[k->no] == FAULT_LOST)
		k->fn(k->arg, -ECONNREFUSED, NULL, "nobody answers");
	else
		a2a_server_handle(op.a2a, &rq, sink);
	free(k->body);
	k->used = false;
}

int __wrap_peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn,
		     void *arg, struct err *e);
int __wrap_peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn,
		     void *arg, struct err *e)
{
	struct call *k = &lab.call[lab.n_calls];
	bool slow;

	assert_true(lab.n_calls < CALLS_MAX);
	assert_false(store_in_turn(lab.store)); /* nothing leaves before it is on disk */
	assert_string_equal(did, op.key.did);
	str_cut(lab.said[lab.n_calls], m->message_id);
	if (lab.fault[lab.n_calls] == FAULT_AT_ONCE) {
		lab.n_calls++;
		return err_set(e, -ENETUNREACH, "no road");
	}
	*k = (struct call){ fn, arg, a2a_build_send(m, lab.n_calls + 1), lab.n_calls, true };
	lab.n_calls++;
	assert_non_null(k->body);
	slow = lab.slow_prefix && !strncmp(m->message_id, lab.slow_prefix, strlen(lab.slow_prefix));
	assert_non_null(loop_after(s->loop,
				   CALL_US * (lab.takes ? lab.takes(m->message_id)
					      : slow    ? 300
							: 1),
				   lab_deliver, k));
	if (slow && !lab.all_slow)
		lab.slow_prefix = NULL;
	return 0;
}

static void lab_node_done(void *arg)
{
	struct node_wait *w = arg;

	w->done(w->arg, lab.node_says, "as the test says");
}

int __wrap_node_apply(struct side *s, const struct plan *p, node_done_fn done, void *arg,
		      struct err *e);
int __wrap_node_apply(struct side *s, const struct plan *p, node_done_fn done, void *arg,
		      struct err *e)
{
	struct cap_node cap = { s->engine };
	struct node_wait *w = &lab.wait[lab.n_plans];

	assert_true(lab.n_plans < PLANS_MAX);
	assert_true(p->n_steps > 0);
	if (!done || tool_step_apply(&cap, p, NULL, NULL) != REFUSE_NONE)
		return err_set(e, -EINVAL, "plan");
	lab.plan_call[lab.n_plans] = lab.n_calls;
	lab.plan[lab.n_plans++] = *p;
	*w = (struct node_wait){ done, arg };
	assert_non_null(loop_after(s->loop, CALL_US, lab_node_done, w));
	return 0;
}

int __wrap_node_label_sample(struct side *s, uint32_t label, struct label_sample *ret);
int __wrap_node_label_sample(struct side *s, uint32_t label, struct label_sample *ret)
{
	*ret = lab.label;
	ret->label = label;
	ret->at = loop_now(s->loop);
	return 0;
}

int __wrap_node_class_sample(struct side *s, uint8_t class_id, struct class_sample *ret);
int __wrap_node_class_sample(struct side *s, uint8_t class_id, struct class_sample *ret)
{
	if (class_id > CLASSES_MAX)
		return -ERANGE;
	*ret = lab.class[class_id];
	ret->class_id = class_id;
	ret->at = loop_now(s->loop);
	return 0;
}

/* --- a life -------------------------------------------------------------------------------------
 */

static int lab_hook(void *arg)
{
	int r = engine_turn(arg);

	if (r)
		return r;
	if (lab.crash_at && store_durable(lab.store) >= lab.crash_at) {
		lab.crashed = true;
		loop_stop(lab.loop, 0);
	} else if (lab.until && lab.until()) {
		loop_stop(lab.loop, 0);
	} else if (loop_now(lab.loop).us > lab.limit_us) {
		lab.timed_out = true;
		loop_stop(lab.loop, 0);
	}
	return 0;
}

static inline void lab_ports(struct side *s)
{
	s->port[SIGN_PRESENTATION] = lab.agent.port;
	s->port[SIGN_ACCEPTANCE] = lab.agent.port;
	s->port[SIGN_RECEIPT] = lab.agent.port;
	s->keys = (struct did_resolver){ .resolve = did_resolve_key };
}

static inline void lab_open(void)
{
	struct engine_config ec = { .max_deals = 128, .max_wanted = 512, .now = lab_now };
	struct err e = { 0 };
	struct side *s = &lab.side;

	memset(s, 0, sizeof(*s));
	assert_int_equal(loop_new(&lab.loop, true), 0);
	side_from_config(s, lab.cfg);
	s->loop = lab.loop;
	s->sign_err = &lab.sign_err;
	lab_ports(s);
	if (ent_policy_load(s, &e))
		fail_msg("load: %s", e.text);
	lab.store = ec.store = open_ok(STORE_CREATE | STORE_NOSYNC);
	if (engine_new(&s->engine, &ec, &e))
		fail_msg("engine: %s", e.text);
	loop_before_sleep(lab.loop, lab_hook, s->engine);
	if (ent_requirement_start(s, &e) || ent_policy_start(s, &e))
		fail_msg("start: %s", e.text);
}

/* The process is gone: what was not committed never was. */
static inline void lab_kill(void)
{
	for (int i = 0; i < lab.n_calls; i++)
		if (lab.call[i].used) {
			free(lab.call[i].body);
			lab.call[i].used = false;
		}
	lab.past_ms += loop_now(lab.loop).us / 1000;
	side_flows_free(&lab.side);
	lab.side.engine = engine_free(lab.side.engine);
	lab.store = store_free(lab.store);
	lab.loop = loop_free(lab.loop);
}

/* Until the condition holds, for at most that long. False: it never did. */
static inline bool lab_run(bool (*until)(void), int seconds)
{
	lab.until = until;
	lab.crashed = lab.timed_out = false;
	lab.limit_us = loop_now(lab.loop).us + seconds * 1000000LL;
	if (loop_run(lab.loop) < 0)
		fail_msg("engine: %s", engine_error(lab.side.engine)->text);
	return !lab.timed_out && !lab.crashed;
}

static inline void lab_wallet_file(void)
{
	auto_json json_t *vc = wallet_vc_fixture(&lab.wallet, &lab.wallet_key);
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/wallet.json", dir);
	assert_int_equal(json_dump_file(vc, path, 0), 0);
}

static inline void lab_config(void)
{
	static char text[4096];
	struct err e = { 0 };

	(void)snprintf(
		text, sizeof(text),
		"[daemon]\nroles = enterprise, node\nname = edge\ndid = %s\n"
		"[peer op]\ndid = %s\nurl = https://[fd10::1]:8443\nrole = operator\n"
		"[device lan0]\nrole = customer\n[device acc0]\nrole = network\nrate = 100M\n"
		"[class market-data]\nid = 1\nproto = udp\ndport = 7001\nbandwidth = 20M\n"
		"latency-us = 30000\nvalue = 500000\npriority = 0\n"
		"[class bulk-transfer]\nid = 5\nproto = tcp\ndport = 7005\nbandwidth = 10M\nfloor "
		"= 2M\n"
		"latency-us = 35000\nvalue = 400000\npriority = 5\ndonor = yes\ndetect = yes\n"
		"[wallet]\ncredential = %s/wallet.json\n"
		"[enterprise]\noperator = op\nlan = lan0\naccess = acc0\n%s",
		lab.agent.did, op.key.did, dir, lab.extra);
	lab.cfg = config_free(lab.cfg);
	if (config_parse(&lab.cfg, text, strlen(text), "test.conf", &e))
		fail_msg("config: %s", e.text);
}

static int64_t lab_purse_max;   /* of one agreement, for the next setup only; 0 = the fixture's */
static int64_t lab_human_above; /* likewise; below 0: the wallet says 0 */

static inline int lab_setup_with(void **state, const char *extra)
{
	struct config *old = lab.cfg;
	int r = dir_make(state);

	memset(&lab, 0, sizeof(lab));
	lab.cfg = old;
	str_cut(lab.extra, extra);
	log_init("test", LOG_LEVEL_ERROR);
	party_init(&lab.wallet_key, 1);
	party_init(&lab.agent, 2);
	op_start(lab.agent.did, lab_now);
	wallet_fixture(&lab.wallet, &lab.wallet_key, &lab.agent, op.key.did);
	if (lab_purse_max)
		lab.wallet.agreement_max.minor = lab_purse_max;
	if (lab_human_above)
		lab.wallet.human_above.minor = lab_human_above > 0 ? lab_human_above : 0;
	lab_purse_max = lab_human_above = 0;
	lab_wallet_file();
	lab_config();
	lab_open();
	return r;
}

static inline int lab_setup(void **state)
{
	return lab_setup_with(state, "");
}

static inline int lab_teardown(void **state)
{
	lab_kill();
	return dir_drop(state);
}

static inline struct ledger_wallet lab_purse(void)
{
	struct ledger_wallet_id id = { .side = LEDGER_GATE };
	struct ledger_wallet w;

	str_cut(id.issuer, lab.wallet.issuer);
	str_cut(id.wallet_id, lab.wallet.wallet_id);
	assert_int_equal(ledger_wallet_get(lab.store, &id, &w, NULL), 0);
	return w;
}

/* --- asking -------------------------------------------------------------------------------------
 */

static inline const struct deal *lab_deal(uint32_t i)
{
	assert_true(lab_world()->n_deals > i);
	return &lab_world()->deal[i];
}

static inline bool lab_ended(void)
{
	return lab_deal(0)->life == LIFE_TERMINATED;
}

/* Every deal has ended, or runs at a revision whose edge steps were taken. */
static inline bool lab_settled(void)
{
	const struct world *w = lab_world();

	for (uint32_t i = 0; i < w->n_deals; i++)
		if (w->deal[i].life != LIFE_TERMINATED && !w->deal[i].active)
			return false;
	return w->n_deals > 0;
}

/* Traffic of class 5 that nobody declared, in bits per second; call in every turn that waits. */
static uint64_t lab_demand_bps;

static inline void lab_flow(void)
{
	static int64_t last;
	int64_t now = loop_now(lab.loop).us;

	if (now < last)
		last = now;
	lab.class[5].bytes += lab_demand_bps / 8 * (uint64_t)(now - last) / 1000000;
	last = now;
}

static inline bool lab_detected(void)
{
	lab_flow();
	return lab_world()->n_deals == 1 && lab_settled();
}

static inline const struct plan *lab_plan_with(enum step_kind kind, uint32_t label)
{
	for (int i = lab.n_plans; i-- > 0;)
		for (int k = 0; k < lab.plan[i].n_steps; k++)
			if (lab.plan[i].step[k].step.kind == kind &&
			    lab.plan[i].step[k].step.label == label)
				return &lab.plan[i];
	return NULL;
}

/* bps 0: as the class wants. */
static inline void lab_declare(const char *class_name, uint64_t bps)
{
	struct intent i = { .source = INTENT_DECLARED };
	const struct class_profile *p;
	struct err e = { 0 };

	must_set(i.class_name.s, class_name);
	p = side_profile(&lab.side, &i.class_name);
	assert_non_null(p);
	i.want = p->want;
	i.term_ms = p->term_ms;
	if (bps)
		i.want.bandwidth.bps = bps;
	if (ent_intent_declare(&lab.side, &i, &e) != REFUSE_NONE)
		fail_msg("declare: %s", e.text);
}

#endif
