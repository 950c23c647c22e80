/* SPDX-License-Identifier: Apache-2.0 */
/* bss_lab.h - the operator's business side, whole: store, engine, desk, both agents and the real
 * A2A server; the test is the enterprise and speaks to it in bytes. */
#ifndef TREATY_TEST_BSS_LAB_H
#define TREATY_TEST_BSS_LAB_H

#include "store_util.h"
#include "brief.h"
#include "trust_fixture.h"

#include "agent/side_clock.h"
#include "agent/bss_desk.h"
#include "agent/bss_negotiation/bss_negotiation.h"
#include "agent/bss_policy/bss_policy.h"
#include "agent/codec/nego.h"
#include "agent/codec/tmf.h"
#include "agent/peer.h"

static struct lab {
	struct party op, ent, other, issuer, stranger;
	struct config cfg;
	struct side side;
	struct store *store;
	wall_t now;
	int64_t rpc;
	unsigned replies;
	struct a2a_result got;
	bool have;
	unsigned sent; /* offers and terminations that left */
	char sent_id[80], sent_to[DID_MAX];
	json_t *sent_data;
	int send_err;
	peer_a2a_fn sent_fn;
	void *sent_arg;
	char mid[32];
} lab;

static struct side_clock *lab_guard; /* NULL: decisions see lab.now itself */

static inline wall_t lab_now(void *arg)
{
	(void)arg;
	return lab_guard ? side_clock_now(lab_guard) : lab.now;
}

static inline int lab_message(void *arg, const struct peer *p, const struct a2a_message *m,
			      struct a2a_turn *t)
{
	return bss_message(arg, p, m, t);
}

static inline void lab_peer(const char *name, const struct party *p)
{
	struct cfg_peer *c = &lab.cfg.peer[lab.cfg.peers++];

	must_set(c->name, name);
	must_set(c->did, p->did);
	must_set(c->url, "https://ent.lab.example:8443");
	c->role = PEER_ENTERPRISE;
}

static inline void lab_path(uint8_t id, enum net_type type, uint32_t delay_us, uint64_t bps)
{
	lab.side.paths.view[lab.side.paths.n++] = (struct path_view){ .path = id,
								      .type = type,
								      .alive = true,
								      .spare = type == NET_DET,
								      .base = { delay_us },
								      .delay = { delay_us },
								      .forecast = { delay_us },
								      .capacity = { bps } };
}

static inline void lab_config(void)
{
	struct class_profile *p = &lab.side.profile[0];

	must_set(lab.cfg.daemon.name, "op");
	must_set(lab.cfg.daemon.did, lab.op.did);
	must_set(lab.cfg.daemon.agents_dir, dir);
	must_set(lab.cfg.trust.issuers[0], lab.issuer.did);
	lab.cfg.trust.n_issuers = 1;
	lab.cfg.trust.depth_max = 2;
	must_set(lab.cfg.ledger.currency, "EUR");
	lab.cfg.op = (struct cfg_operator){ .quote_ttl_s = 30, .labels = { 100, 103 } };
	lab_peer("enterprise-x", &lab.ent);
	lab_peer("enterprise-y", &lab.other);
	*p = (struct class_profile){ .id = 1,
				     .want = { { 10000000 }, { 30000 }, { 999900 } },
				     .strategy = STRATEGY_STEP_UP,
				     .term_ms = 3600000,
				     .base = { { 100 }, { 400 }, { 200 } },
				     .margin = { 80 },
				     .margin_floor = { 16 } };
	must_set(p->name.s, "market-data");
	lab.side.profiles = 1;
	lab_path(1, NET_DET, 5000, 200000000);
	lab_path(2, NET_DET, 20000, 200000000);
}

static bool lab_real; /* a loop of real time, for real sockets */

/* Starts the process: replay, shells, server. */
static inline void lab_up(void)
{
	static const char *const skills[] = { "negotiate", "Negotiates", NULL };
	struct a2a_config a = { .path = "/a2a",
				.url = "https://op.lab.example:8443/a2a",
				.name = "op",
				.description = "Operator",
				.version = "1",
				.extension = NEGO_EXTENSION,
				.extension_required = true,
				.skills = skills,
				.now = lab_now };
	struct a2a_app app = { .on_message = lab_message, .arg = &lab.side };
	struct engine_config ec = { .max_deals = 64, .max_wanted = 64, .now = lab_now };
	struct err e = { 0 };
	struct side *s = &lab.side;

	s->cfg = &lab.cfg;
	lab.store = open_ok(STORE_CREATE | STORE_NOSYNC);
	ec.store = lab.store;
	assert_int_equal(loop_new(&s->loop, !lab_real), 0);
	if (engine_new(&s->engine, &ec, &e) || bss_policy_start(s, &e) ||
	    bss_negotiation_start(s, &e) || a2a_server_new(&s->a2a, &a, &app, &e))
		fail_msg("start: %s", e.text);
	loop_before_sleep(s->loop, engine_turn, s->engine);
}

static inline void lab_forget(void)
{
	if (lab.have)
		a2a_result_clear(&lab.got);
	lab.have = false;
}

static inline void lab_down(void)
{
	lab_forget();
	free(lab.sent_arg); /* its process is gone; peer.c would have ended the call */
	lab.sent_arg = NULL;
	lab.side.a2a = a2a_server_free(lab.side.a2a);
	desk_reset();
	lab.side.engine = engine_free(lab.side.engine);
	lab.store = store_free(lab.store);
	lab.side.loop = loop_free(lab.side.loop);
}

static inline int lab_setup(void **state)
{
	assert_int_equal(dir_make(state), 0);
	memset(&lab, 0, sizeof(lab));
	party_init(&lab.op, 1);
	party_init(&lab.ent, 2);
	party_init(&lab.other, 3);
	party_init(&lab.issuer, 4);
	party_init(&lab.stranger, 5);
	lab.now = NOW;
	lab.side.keys = (struct did_resolver){ did_resolve_key, NULL };
	lab.side.port[SIGN_AGREEMENT] = lab.op.port;
	lab.side.port[SIGN_CREDIT] = lab.op.port;
	lab_config();
	lab_up();
	return 0;
}

static inline int lab_teardown(void **state)
{
	lab_down();
	json_decref(lab.sent_data);
	return dir_drop(state);
}

static inline const struct world *lab_world(void)
{
	return engine_world(lab.side.engine);
}

static inline void lab_turn(void)
{
	if (engine_turn(lab.side.engine))
		fail_msg("turn: %s", engine_error(lab.side.engine)->text);
	briefs_hold(lab_world());
}

static inline void lab_stop(void *arg)
{
	(void)arg;
	loop_stop(lab.side.loop, 0);
}

/* Lets the timers run; the contract clock moves with them. */
static inline void lab_run(int64_t ms)
{
	for (int64_t left = ms; left > 0; left -= 1000) {
		lab.now.ms += 1000;
		assert_non_null(loop_after(lab.side.loop, 1000 * 1000, lab_stop, NULL));
		assert_int_equal(loop_run(lab.side.loop), 0);
	}
}

/* The process ends and starts again: what it knew must be what the log says. */
static inline void lab_restart(void)
{
	struct world *was = NULL;
	const struct world *w = lab_world();

	assert_int_equal(world_new(&was, w->max_deals, w->max_wanted), 0);
	was->n_deals = w->n_deals;
	was->n_wanted = w->n_wanted;
	was->seq = w->seq;
	was->spur = w->spur;
	memcpy(was->deal, w->deal, w->n_deals * sizeof(*w->deal));
	memcpy(was->wanted, w->wanted, w->n_wanted * sizeof(*w->wanted));
	lab_down();
	lab_up();
	assert_int_equal(world_compare(was, lab_world()), 0);
	world_free(was);
}

/* --- the wire --------------------------------------------------------------------------------- */

static bool lab_held; /* messages gather in one turn, which the test ends by lab_turn() */

static inline void on_reply(void *to, const struct wire_response *r)
{
	struct err e = { 0 };
	int64_t rpc = (intptr_t)to;

	lab.replies++;
	lab_forget();
	if (r->status == 503)
		return; /* the server ended while the message was being answered */
	if (a2a_parse(&lab.got, r, "SendMessage", rpc, &e))
		fail_msg("answer: %s: %.*s", e.text, (int)r->len, r->body ? r->body : "");
	lab.have = true;
}

/* data is stolen. The answer, if it came, is in lab.got. */
static inline void say_as(const struct party *from, const char *id, const char *task, json_t *data)
{
	const struct a2a_send m = {
		.message_id = id, .task_id = task, .data = data, .extension = NEGO_EXTENSION
	};
	auto_free char *body = a2a_build_send(&m, ++lab.rpc);
	struct wire_header h[3];
	size_t n = a2a_client_headers(h, NEGO_EXTENSION);
	struct peer p = { .name = "ent" };
	struct wire_request r = { .method = "POST",
				  .path = "/a2a",
				  .query = "",
				  .headers = h,
				  .nheaders = n,
				  .body = body,
				  .len = strlen(body),
				  .peer = &p };

	must_set(p.did, from->did);
	lab.replies = 0;
	a2a_server_handle(lab.side.a2a, &r,
			  (struct wire_sink){ .fn = on_reply, .to = (void *)(intptr_t)lab.rpc });
	if (!lab_held)
		lab_turn();
	json_decref(data);
}

static inline void say(const struct party *from, json_t *data)
{
	static unsigned n;

	(void)snprintf(lab.mid, sizeof(lab.mid), "m-%u", ++n);
	say_as(from, lab.mid, NULL, data);
}

static inline const json_t *artifact(const char *name)
{
	const json_t *last = NULL;

	assert_int_equal(lab.replies, 1);
	assert_int_equal(lab.got.nartifacts, 1); /* those of earlier answers are GetTask's */
	for (size_t i = 0; i < lab.got.nartifacts; i++)
		if (!strcmp(lab.got.artifacts[i].name, name))
			last = lab.got.artifacts[i].data;
	if (!last)
		fail_msg("no artifact %s: %s", name,
			 json_dumps(lab.got.root, JSON_COMPACT | JSON_ENCODE_ANY));
	return last;
}

static inline enum refusal problem(void)
{
	struct nego_problem p;
	struct err e = { 0 };

	assert_int_equal(lab.replies, 1);
	if (nego_read(json_array_get(lab.got.data, 0), NEGO_PROBLEM, &nego_problem_fields, &p, &e))
		fail_msg("no problem (%s): %s", e.text,
			 json_dumps(lab.got.root, JSON_COMPACT | JSON_ENCODE_ANY));
	return refusal_parse(p.type.s);
}

/* What leaves for the enterprise ends here: the last message is kept, its answer is the test's. */
int __wrap_peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn,
		     void *arg, struct err *e);
int __wrap_peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn,
		     void *arg, struct err *e)
{
	(void)s;
	if (lab.send_err)
		return err_set(e, lab.send_err, "no wire");
	if (lab.sent_arg) /* the last one was never answered: the connection broke */
		lab.sent_fn(lab.sent_arg, -ECONNRESET, NULL, "reset");
	lab.sent++;
	must_set(lab.sent_id, m->message_id);
	must_set(lab.sent_to, did);
	json_decref(lab.sent_data);
	lab.sent_data = json_deep_copy(m->data);
	lab.sent_fn = fn;
	lab.sent_arg = arg;
	return 0;
}

/* The enterprise's answer to what left; part NULL: the call failed. part is stolen. */
static inline void answer_sent(json_t *part)
{
	auto_json json_t *data = part ? json_pack("[o]", part) : NULL;
	struct a2a_result r = { .data = data };
	void *arg = lab.sent_arg;

	assert_non_null(arg);
	lab.sent_arg = NULL;
	lab.sent_fn(arg, part ? 0 : -ETIMEDOUT, part ? &r : NULL, "no answer");
	lab_turn();
}

/* --- refusals change nothing ------------------------------------------------------------------ */

struct snap {
	struct deal *deal;
	uint32_t n;
	uint64_t events, refusals;
};

static inline struct snap snap(void)
{
	const struct world *w = lab_world();
	struct snap s = { malloc((w->n_deals + 1) * sizeof(*w->deal)), w->n_deals, w->events,
			  w->refusals };

	assert_non_null(s.deal);
	memcpy(s.deal, w->deal, w->n_deals * sizeof(*w->deal));
	return s;
}

static inline void only_refused(struct snap s, const char *name)
{
	const struct world *w = lab_world();

	if (w->n_deals != s.n || memcmp(w->deal, s.deal, s.n * sizeof(*s.deal)))
		fail_msg("%s: the world changed", name);
	if (w->refusals != s.refusals + 1 || w->events != s.events + 1)
		fail_msg("%s: %llu refusals recorded", name,
			 (unsigned long long)(w->refusals - s.refusals));
	free(s.deal);
}

static inline void expect(enum refusal want, struct snap s, const char *name)
{
	enum refusal r = problem();

	if (r != want)
		fail_msg("%s: %s, expected %s", name, refusal_name(r), refusal_name(want));
	only_refused(s, name);
}

#endif
