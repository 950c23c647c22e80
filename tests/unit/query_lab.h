/* SPDX-License-Identifier: Apache-2.0 */
/* query_lab.h - one daemon's side by hand: a real store and engine, the real MCP core over the
 * query rows, and a road of real tool calls from a need to an agreement in force. */
#ifndef TREATY_TEST_QUERY_LAB_H
#define TREATY_TEST_QUERY_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <ftw.h>

#include "agent/crypto/crypto.h"
#include "agent/ent_policy/ent_policy_core.h"
#include "agent/mcp_table.h"
#include "agent/queries.h"
#include "agent/side_make.h"
#include "agent/store/ledger.h"
#include "agent/wire/mcp.h"

#define LAB_CLASSES                                                                    \
	"[class market-data]\nid = 1\nproto = udp\ndport = 7001\nbandwidth = 20M\n"    \
	"latency-us = 28000\navailability = 99.9\nvalue = 9000\nterm-seconds = 3600\n" \
	"[class bulk-transfer]\nid = 5\nproto = tcp\ndport = 7005\nbandwidth = 10M\n"  \
	"latency-us = 60000\nvalue = 1000\nterm-seconds = 3600\ndonor = yes\n"
#define LAB_CONFIG                                                                            \
	"[daemon]\nroles = enterprise\nname = enterprise-x\ndid = did:web:edge.lab.example\n" \
	"[peer operator-y]\ndid = did:web:op.lab.example\n"                                   \
	"url = https://[fd10:ee:1::1]:8443/a2a\nrole = operator\n"                            \
	"[enterprise]\noperator = operator-y\nlan = lan0\naccess = acc0\n"                    \
	"[device lan0]\nrole = customer\n[device acc0]\nrole = network\nrate = 200M\n"        \
	"[wallet]\ncredential = /etc/t/wallet.json\n[ledger]\ncurrency = EUR\n" LAB_CLASSES

#define LAB_NOW 1795400000000

struct query_lab {
	char dir[64];
	struct config *cfg;
	struct side side;
	struct err sign_err;
	struct store *store;
	struct mcp_server *mcp;
	wall_t clock;
	uint32_t deals;  /* at most; 0 = 16 */
	uint32_t wanted; /* at most; 0 = 64 */
};

static inline wall_t lab_now(void *arg)
{
	return ((struct query_lab *)arg)->clock;
}

static inline int lab_rm(const char *p, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(p);
}

static inline void lab_dir(struct query_lab *l)
{
	(void)snprintf(l->dir, sizeof(l->dir), "/tmp/treaty-query-XXXXXX");
	assert_non_null(mkdtemp(l->dir));
	l->clock.ms = LAB_NOW;
}

/* The log alone. */
static inline void lab_open(struct query_lab *l)
{
	struct engine_config c = { .max_deals = l->deals ? l->deals : 16,
				   .max_wanted = l->wanted ? l->wanted : 64,
				   .now = lab_now,
				   .now_arg = l };
	struct err e = { 0 };

	if (crypto_init() || store_open(l->dir, STORE_CREATE | STORE_NOSYNC, &l->store, &e))
		fail_msg("store: %s", e.text);
	c.store = l->store;
	if (engine_new(&l->side.engine, &c, &e))
		fail_msg("engine: %s", e.text);
}

/* And the daemon's face; once per process, since the table of rows is the process's. */
static inline void lab_serve(struct query_lab *l, bool is_virtual)
{
	struct err e = { 0 };

	if (config_parse(&l->cfg, LAB_CONFIG, strlen(LAB_CONFIG), "lab.conf", &e))
		fail_msg("%s", e.text);
	side_from_config(&l->side, l->cfg);
	l->side.sign_err = &l->sign_err;
	assert_int_equal(loop_new(&l->side.loop, is_virtual), 0);
	if (queries_start(&l->side, &e) || mcp_table_serve(&l->side, NULL, &l->mcp, &e))
		fail_msg("%s", e.text);
}

static inline void lab_close(struct query_lab *l)
{
	l->mcp = mcp_server_free(l->mcp);
	side_flows_free(&l->side);
	l->side.engine = engine_free(l->side.engine);
	l->store = store_free(l->store);
	l->side.loop = loop_free(l->side.loop);
	l->cfg = config_free(l->cfg);
}

static inline void lab_drop(struct query_lab *l)
{
	lab_close(l);
	assert_int_equal(nftw(l->dir, lab_rm, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* --- the road ----------------------------------------------------------------------------------
 */

static inline struct quote lab_quote(void)
{
	struct quote q = { .id = { "quo-1" },
			   .negotiation = { "neg-1" },
			   .intent = { "int-1" },
			   .version = 1,
			   .reason = QUOTE_NEW,
			   .class_name = { "market-data" },
			   .flow = { "x-md" },
			   .currency = "EUR",
			   .made = { LAB_NOW },
			   .valid_until = { LAB_NOW + 60000 },
			   .term_ms = 3600000,
			   .n_items = 2 };

	q.item[0] = (struct quote_item){ .no = 1,
					 .type = NET_DET,
					 .g = { { 20000000 }, { 28000 }, { 999000 } },
					 .scarcity = { 4000 },
					 .margin = { 100 } };
	q.item[1] = q.item[0];
	q.item[1].no = 2;
	q.item[1].scarcity.minor_h = 90000; /* beyond what the class is worth */
	q.digest.b[0] = 1;
	return q;
}

/* A real decision of the policy's core about that menu. */
static inline void lab_decide(struct ent_policy_in *in, struct ent_policy_out *out)
{
	memset(in, 0, sizeof(*in));
	memset(out, 0, sizeof(*out));
	in->quote = lab_quote();
	str_cut(in->profile.name.s, "market-data");
	in->profile.want = in->quote.item[0].g;
	in->profile.value.minor_h = 9000;
	in->profile.strategy = STRATEGY_STEP_UP;
	in->profile.term_ms = 3600000;
	in->wallet = (struct wallet_limits){ .valid = true,
					     .envelope_left = { 1000000 },
					     .class_left = { 1000000 },
					     .agreement_max = { 1000000 },
					     .term_max_ms = 86400000,
					     .currency = "EUR" };
	in->want = in->quote.item[0].g;
	in->now.ms = LAB_NOW;
	ent_policy_choose(in, NULL, out);
	assert_int_equal(out->verdict, POLICY_ACCEPT);
	assert_int_equal(out->item, 1);
}

static inline struct ev_accept lab_accept(const struct quote *q, const struct ent_policy_out *out)
{
	return (struct ev_accept){ .deal = q->negotiation,
				   .quote = q->id,
				   .version = q->version,
				   .item = out->item,
				   .quote_digest = q->digest,
				   .margin = q->item[0].margin,
				   .price = out->price,
				   .hold = { "h-1" },
				   .wallet = { "urn:w:1" },
				   .held = out->hold,
				   .amount = out->amount,
				   .start = out->start,
				   .end = out->end };
}

static inline struct agreement lab_agreement(const struct quote *q, const struct ev_accept *a)
{
	struct agreement g = { .lineage = { "agr-1" },
			       .rev = 1,
			       .negotiation = q->negotiation,
			       .intent = q->intent,
			       .quote = q->id,
			       .quote_digest = q->digest,
			       .item = a->item,
			       .service = { "svc-1" },
			       .hold = a->hold,
			       .wallet = a->wallet,
			       .enterprise = { "did:web:edge.lab.example" },
			       .op = { "did:web:op.lab.example" },
			       .class_name = q->class_name,
			       .flow = q->flow,
			       .label = 77,
			       .type = NET_DET,
			       .reason = QUOTE_NEW,
			       .g = q->item[0].g,
			       .price = a->price,
			       .currency = "EUR",
			       .start = a->start,
			       .end = a->end,
			       .amount = a->amount };

	memset(g.digest.b, 0xab, sizeof(g.digest.b));
	return g;
}

static inline void lab_walk(struct query_lab *l)
{
	struct cap_ent_requirement req = { l->side.engine };
	struct cap_ent_policy pol = { l->side.engine };
	struct intent i = { .id = { "int-1" },
			    .negotiation = { "neg-1" },
			    .class_name = { "market-data" },
			    .flow = { "x-md" },
			    .want = { { 20000000 }, { 28000 }, { 999000 } },
			    .term_ms = 3600000,
			    .declared = { LAB_NOW },
			    .source = INTENT_DECLARED };
	struct quote q = lab_quote();
	struct ent_policy_in in;
	struct ent_policy_out out;
	struct decision d = { "ent_policy_choose", &ent_policy_in_fields, &ent_policy_out_fields,
			      &in, &out };
	struct ev_ref done = { .deal = { "agr-1" }, .rev = 1 };
	struct ev_accept a;
	struct agreement g;

	lab_decide(&in, &out);
	a = lab_accept(&q, &out);
	a.why = out.why;
	g = lab_agreement(&q, &a);
	assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_intent_declare(&req, &i, NULL, NULL), REFUSE_DUPLICATE);
	assert_int_equal(tool_quote_receive(&pol, &q, NULL, &q.digest), REFUSE_NONE);
	assert_int_equal(tool_quote_accept(&pol, &a, &d, NULL), REFUSE_NONE);
	assert_int_equal(tool_agreement_accept(&pol, &g, NULL, &g.digest), REFUSE_NONE);
	assert_int_equal(tool_service_confirm(&pol, &done, NULL, NULL), REFUSE_NONE);
	assert_int_equal(engine_turn(l->side.engine), 0);
}

/* n more deals, of which nothing but an intent is known. */
static inline void lab_intents(struct query_lab *l, uint32_t n)
{
	struct cap_ent_requirement req = { l->side.engine };

	for (uint32_t i = 0; i < n; i++) {
		struct intent in = { .class_name = { "market-data" },
				     .flow = { "x-md" },
				     .want = { { 20000000 }, { 28000 }, { 999000 } },
				     .term_ms = 3600000,
				     .declared = { LAB_NOW },
				     .source = INTENT_DECLARED };

		(void)snprintf(in.id.s, sizeof(in.id.s), "int-p%u", i);
		(void)snprintf(in.negotiation.s, sizeof(in.negotiation.s), "neg-p%u", i);
		assert_int_equal(tool_intent_declare(&req, &in, NULL, NULL), REFUSE_NONE);
		if (i % 100 == 0)
			assert_int_equal(engine_turn(l->side.engine), 0);
	}
	assert_int_equal(engine_turn(l->side.engine), 0);
}

/* A wallet in the gate ledger with one hold of 4100. */
static inline void lab_wallet(struct query_lab *l)
{
	struct ledger_wallet w = { .id = { LEDGER_GATE, "did:web:t.example", "urn:w:1" },
				   .holder = "did:web:edge.lab.example",
				   .generation = 1,
				   .currency = "EUR",
				   .digits = 2,
				   .ceiling = { 1000000 },
				   .agreement_max = { 500000 },
				   .valid_from = { LAB_NOW - 1000 },
				   .valid_until = { LAB_NOW + 86400000 },
				   .classes = 1 };
	struct ledger_hold h = { .wallet = w.id,
				 .class_name = "market-data",
				 .currency = "EUR",
				 .lineage = "agr-1",
				 .rev = 1,
				 .amount = { 4100 },
				 .now = { LAB_NOW },
				 .expires = { LAB_NOW + 60000 } };
	struct ledger_result res;
	struct err e = { 0 };

	memset(w.credential.b, 7, sizeof(w.credential.b));
	str_cut(w.klass[0].name, "market-data");
	w.klass[0].ceiling.minor = 900000;
	if (ledger_wallet_put(l->store, &w, h.now, &res, &e) || res.why != REFUSE_NONE)
		fail_msg("wallet: %s %s", e.text, refusal_name(res.why));
	if (ledger_hold(l->store, &h, &res, &e) || res.why != REFUSE_NONE)
		fail_msg("hold: %s %s", e.text, refusal_name(res.why));
	assert_int_equal(store_commit(l->store, &e), 0);
}

#endif
