/* SPDX-License-Identifier: Apache-2.0 */
/* Whole negotiations in one process, to count instructions where a busy machine says nothing about
 * time: an enterprise's shells and an operator's with real stores, engines, codecs and the A2A
 * server on one virtual loop; between them the messages as text, without HTTP and TLS. The keys
 * are here (no signer), the node answers at once.
 *
 * bench_negotiation [COUNT [OPEN]]   OPEN deals live on beside those that are counted */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/bss_desk.h"
#include "agent/bss_negotiation/bss_negotiation.h"
#include "agent/bss_policy/bss_policy.h"
#include "agent/codec/json_pool.h"
#include "agent/codec/nego.h"
#include "agent/codec/noun.h"
#include "agent/ent_policy/ent_policy.h"
#include "agent/ent_requirement/ent_requirement.h"
#include "agent/log.h"
#include "agent/oss_negotiation/oss_negotiation.h"
#include "agent/oss_planning/oss_planning.h"
#include "agent/peer.h"
#include "agent/side_make.h"
#include "agent/store/store.h"
#include "tests/unit/trust_fixture.h"

enum { CALL_US = 1000, PLACES = 64, CLASS_MS = 3600 * 1000, LIMIT_US = 5 * 1000 * 1000 };

static struct party treasury, agent, oper;
static struct loop *loop;
static struct side ent, op; /* two daemons in one process: each role is in one of them only */
static char top[] = "/tmp/treaty-nego-XXXXXX";
static struct err err;
static unsigned done;
static int64_t limit_us; /* of the loop's time: what is not agreed by then never will be */

static void must(int r)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench_negotiation: %s\n", err.text);
	exit(1);
}

static wall_t now(void *arg)
{
	(void)arg;
	return (wall_t){ NOW.ms + loop_now(loop).us / 1000 };
}

/* --- between them ------------------------------------------------------------------------------
 */

struct call {
	peer_a2a_fn fn;
	peer_mcp_fn node;
	void *arg;
	char *body;
	json_t *receipts;
	int64_t id;
};

static void on_reply(void *to, const struct wire_response *r)
{
	struct call *k = to;
	struct a2a_result res;

	must(a2a_parse(&res, r, "SendMessage", k->id, &err));
	k->fn(k->arg, 0, &res, "");
	a2a_result_clear(&res);
	free(k);
}

static void deliver(void *arg)
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
	struct wire_sink sink = { .fn = on_reply, .to = k };
	auto_free char *body = k->body;

	str_cut(p.did, agent.did);
	a2a_server_handle(op.a2a, &rq, sink);
}

int __wrap_peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn,
		     void *arg, struct err *e);
int __wrap_peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn,
		     void *arg, struct err *e)
{
	static int64_t id;
	struct call *k = calloc(1, sizeof(*k));

	(void)did;
	if (!k || s != &ent)
		return err_set(e, -ENETUNREACH, "only the enterprise calls");
	*k = (struct call){ .fn = fn, .arg = arg, .id = ++id };
	k->body = a2a_build_send(m, k->id);
	return k->body && loop_after(loop, CALL_US, deliver, k) ? 0 : -ENOMEM;
}

static void node_answers(void *arg)
{
	struct call *k = arg;
	struct mcp_result m = { .structured = k->receipts, .text = "", .error = "" };

	k->node(k->arg, 0, &m, "");
	json_decref(k->receipts);
	free(k);
}

int __wrap_peer_tool(struct side *s, const char *name, const char *tool, const json_t *args,
		     const char *key, peer_mcp_fn fn, void *arg, struct err *e);
int __wrap_peer_tool(struct side *s, const char *name, const char *tool, const json_t *args,
		     const char *key, peer_mcp_fn fn, void *arg, struct err *e)
{
	struct mcp_call c = { .method = "tools/call", .tool = tool, .args = args };
	struct call *k = calloc(1, sizeof(*k));
	auto_free struct plan *p = calloc(1, sizeof(*p));
	auto_free char *body = NULL;
	json_t *list = json_array();

	c.idempotency_key = key;
	c.client_name = name;
	c.client_version = "1";
	body = mcp_build(&c);
	if (!k || !p || !body || noun_decode(&plan_fields, json_object_get(args, "plan"), p, e))
		return -EINVAL;
	for (uint16_t i = 0; i < p->n_steps; i++) {
		struct step_receipt rc = { .plan = p->id, .no = p->step[i].no, .took_us = 50 };

		(void)json_array_append_new(list, noun_encode(&step_receipt_fields, &rc));
	}
	*k = (struct call){ .node = fn, .arg = arg };
	k->receipts = json_pack("{s:o}", "receipts", list);
	return loop_after(s->loop, CALL_US, node_answers, k) ? 0 : -ENOMEM;
}

/* --- two daemons --------------------------------------------------------------------------------
 */

static const char class_text[] =
	"[class market-data]\nid = 1\nproto = udp\ndport = 7001\nbandwidth = 1M\n"
	"latency-us = 40000\navailability = 90\nprice = 60\nprice-latency = 1500\n"
	"price-availability = 300\nmargin = 400\nmargin-floor = 200\nvalue = 1000000\n"
	"term-seconds = 3600\n";

static void configure(struct side *s, const char *text)
{
	struct config *c = NULL;

	must(config_parse(&c, text, strlen(text), "bench.conf", &err));
	side_from_config(s, c);
	s->loop = loop;
	s->keys = (struct did_resolver){ .resolve = did_resolve_key };
}

static void make(struct side *s, const char *dir, uint32_t deals)
{
	struct engine_config ec = { .max_deals = deals, .max_wanted = 2 * deals, .now = now };

	must(store_open(dir, STORE_CREATE | STORE_NOSYNC, &ec.store, &err));
	must(engine_new(&s->engine, &ec, &err));
}

static void wallet_file(const char *path)
{
	struct wallet w;
	json_t *vc;

	wallet_fixture(&w, &treasury, &agent, oper.did);
	w.ceiling.minor = w.classes[0].ceiling.minor = 1000000000000;
	w.classes[0].floor_availability.ppm = 900000;
	vc = wallet_vc_fixture(&w, &treasury);
	must(json_dump_file(vc, path, 0));
	json_decref(vc);
}

static void enterprise(uint32_t deals)
{
	char text[2048], path[64], dir[64];

	(void)snprintf(path, sizeof(path), "%s/wallet.json", top);
	(void)snprintf(dir, sizeof(dir), "%s/ent", top);
	must(mkdir(dir, 0700));
	wallet_file(path);
	(void)snprintf(text, sizeof(text),
		       "[daemon]\nroles = enterprise\nname = ent\ndid = %s\n"
		       "[peer op]\ndid = %s\nurl = https://[fd10::1]:8443\nrole = operator\n%s"
		       "[wallet]\ncredential = %s\n[enterprise]\noperator = op\nbargain = off\n"
		       "lan = lo\naccess = lo\n",
		       agent.did, oper.did, class_text, path);
	configure(&ent, text);
	ent.port[SIGN_PRESENTATION] = ent.port[SIGN_ACCEPTANCE] = agent.port;
	ent.port[SIGN_RECEIPT] = agent.port;
	must(ent_policy_load(&ent, &err));
	make(&ent, dir, deals);
	must(ent_requirement_start(&ent, &err));
	must(ent_policy_start(&ent, &err));
}

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	return bss_message(arg, p, m, t);
}

static void operator_(uint32_t deals)
{
	static const char *const skills[] = { "negotiate", "Negotiates", NULL };
	const struct a2a_app app = { .on_message = on_message, .arg = &op };
	const struct a2a_config ac = { .path = "/a2a",
				       .url = "https://op.bench.example/a2a",
				       .name = "op",
				       .description = "Operator",
				       .version = "1",
				       .extension = NEGO_EXTENSION,
				       .extension_required = true,
				       .skills = skills,
				       .now = now };
	char text[2048], dir[64];

	(void)snprintf(dir, sizeof(dir), "%s/op", top);
	must(mkdir(dir, 0700));
	(void)snprintf(text, sizeof(text),
		       "[daemon]\nroles = bss,oss\nname = op\ndid = %s\nstate-dir = %s\n"
		       "[peer ent]\ndid = %s\nurl = https://[fd10::2]:8443\nrole = enterprise\n"
		       "[peer node]\ndid = did:key:z6MkA\nurl = https://[fd10::3]:8443\n"
		       "role = node\n[trust]\nissuers = %s\n[ledger]\ncurrency = EUR\n"
		       "ceiling = 1000000000000\n"
		       "[operator]\nquote-ttl = 60\nlabel-range = 1-3800\noverlap-ms = 1\n"
		       "[path 1]\nname = way\nkind = be\ndelay-us = 1000\ncapacity = 10G\n"
		       "[hop 1 node]\nup-device = down0\ndown-device = up0\nsteers = on\n%s",
		       oper.did, dir, agent.did, treasury.did, class_text);
	configure(&op, text);
	op.port[SIGN_AGREEMENT] = op.port[SIGN_CREDIT] = oper.port;
	op.paths.view[0].alive = true;
	op.paths.view[0].delay = op.paths.view[0].forecast = op.paths.view[0].base;
	make(&op, dir, deals);
	must(bss_policy_start(&op, &err));
	must(bss_negotiation_start(&op, &err));
	must(oss_negotiation_start(&op, &err));
	must(oss_planning_start(&op, &err));
	must(a2a_server_new(&op.a2a, &ac, &app, &err));
}

/* --- the count ---------------------------------------------------------------------------------
 */

static int before_sleep(void *arg)
{
	const struct world *w = engine_world(ent.engine);
	unsigned active;
	int r = engine_turn(ent.engine);

	(void)arg;
	if (!r)
		r = engine_turn(op.engine);
	active = w->n_deals;
	active -= active && !w->deal[active - 1].active;
	if (active > done || loop_now(loop).us > limit_us)
		loop_stop(loop, 0);
	done = active;
	return r;
}

static void declare(void)
{
	struct intent i = { .source = INTENT_DECLARED,
			    .want = ent.profile[0].want,
			    .term_ms = CLASS_MS,
			    .class_name = ent.profile[0].name };
	unsigned was = done;
	enum refusal no = ent_intent_declare(&ent, &i, &err);

	limit_us = loop_now(loop).us + LIMIT_US;
	if (no == REFUSE_NONE)
		must(loop_run(loop));
	if (done != was + 1) {
		(void)fprintf(stderr, "bench_negotiation: no agreement: %s %s\n", refusal_name(no),
			      err.text);
		exit(1);
	}
}

static double cpu_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int rm_one(const char *p, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(p);
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 300;
	unsigned open = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : PLACES;
	double from;

	log_init("bench", LOG_LEVEL_WARN);
	json_pool_use();
	party_init(&treasury, 1);
	party_init(&agent, 2);
	party_init(&oper, 3);
	if (!mkdtemp(top) || loop_new(&loop, true))
		return 1;
	enterprise(n + open + 1);
	operator_(n + open + 1);
	loop_before_sleep(loop, before_sleep, NULL);
	for (unsigned i = 0; i < open; i++)
		declare();
	from = cpu_us();
	for (unsigned i = 0; i < n; i++)
		declare();
	if (n)
		(void)printf("{\"metric\":\"negotiation.cpu_us\",\"value\":%.1f,\"unit\":\"us\","
			     "\"negotiations\":%u,\"live\":%u}\n",
			     (cpu_us() - from) / n, n, open);
	return nftw(top, rm_one, 8, FTW_DEPTH | FTW_PHYS) ? 1 : 0;
}
