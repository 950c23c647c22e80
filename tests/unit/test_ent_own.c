/* SPDX-License-Identifier: Apache-2.0 */
/* What the enterprise does of its own: asks for more, finds its demand, divides its access link,
 * ends what it does not need, reloads its wallet. */
#include "tests/unit/ent_lab.h"
#include "tests/unit/mcp_call.h"

#include "agent/mcp_table.h"

static bool two_settled(void)
{
	return lab_world()->n_deals == 2 && lab_settled();
}

static uint64_t class_rate(uint32_t label)
{
	const struct world *w = lab_world();

	for (uint32_t i = 0; i < w->n_wanted; i++)
		if (w->wanted[i].step.kind == STEP_CLASS_SET && w->wanted[i].step.label == label)
			return w->wanted[i].step.rate.bps;
	return 0;
}

/* --- changes ------------------------------------------------------------------------------------
 */

static void change(uint64_t bps)
{
	struct intent i = { .source = INTENT_CHANGE };
	const struct deal *d = lab_deal(0);
	struct err e = { 0 };

	i.class_name = d->cur.class_name;
	i.lineage = d->cur.lineage;
	i.want = d->intent.want;
	i.want.bandwidth.bps = bps;
	i.term_ms = d->intent.term_ms;
	if (ent_intent_declare(&lab.side, &i, &e) != REFUSE_NONE)
		fail_msg("change: %s", e.text);
}

static bool second(void)
{
	return lab_deal(0)->cur.rev == 2 && lab_deal(0)->active;
}

static void raised(void **state)
{
	const struct deal *d;

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(two_settled, 2) || lab_run(lab_settled, 30));
	change(30000000);
	assert_true(lab_run(second, 30));
	d = lab_deal(0);
	assert_int_equal(d->cur.g.bandwidth.bps, 30000000);
	assert_int_equal(d->cur.label, d->old.label);
	assert_int_equal(d->cur.reason, QUOTE_CHANGE);
	assert_int_equal(class_rate(d->cur.label), 30000000);
	assert_int_equal(lab_purse().captured.minor, d->cur.amount.minor);
}

static bool settled_at_28(void)
{
	return lab_settled() && lab_deal(0)->cur.g.bandwidth.bps == 28000000;
}

/* The last word counts: what was asked before it and not yet answered is dropped. */
static void changed_twice(void **state)
{
	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	change(30000000);
	change(28000000);
	assert_true(lab_run(settled_at_28, 30));
	assert_false(lab_run(NULL, 10));
	assert_int_equal(lab_deal(0)->cur.rev, 2);
	assert_int_equal(lab_purse().captured.minor, lab_deal(0)->cur.amount.minor);
}

static void change_refused(void **state)
{
	struct ledger_wallet w;

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	op.refuse_intent = REFUSE_NO_CAPACITY;
	change(30000000);
	assert_false(lab_run(second, 5));
	w = lab_purse();
	assert_int_equal(lab_deal(0)->cur.rev, 1);
	assert_true(lab_deal(0)->active);
	assert_int_equal(lab_deal(0)->life, LIFE_PROVISIONED);
	assert_int_equal(w.captured.minor, 140000);
	op.refuse_intent = REFUSE_NONE;
	change(25000000);
	assert_true(lab_run(second, 30));
}

/* --- the own access link ------------------------------------------------------------------------
 */

static bool cut(void)
{
	return class_rate(lab_deal(1)->cur.label) == 2000000;
}

static bool whole_again(void)
{
	return class_rate(lab_deal(1)->cur.label) == 10000000;
}

/* The most that the classes asked for together, at any instant between two steps. */
static uint64_t most_at_once(void)
{
	uint64_t rate[0x200] = { 0 }, most = 0;

	for (int i = 0; i < lab.n_plans; i++)
		for (int k = 0; k < lab.plan[i].n_steps; k++) {
			const struct step *s = &lab.plan[i].step[k].step;
			uint64_t sum = 0;

			if (s->kind == STEP_CLASS_SET)
				rate[s->minor] = s->rate.bps;
			if (s->kind == STEP_CLASS_DEL)
				rate[s->minor] = 0;
			for (size_t m = 0; m < ARRAY_LEN(rate); m++)
				sum += rate[m];
			most = sum > most ? sum : most;
		}
	return most;
}

static void human_end(const struct deal *d)
{
	struct cap_human cap = { lab.side.engine };
	struct ev_ref ref = { .deal = d->negotiation, .about = d->cur.lineage };

	must_set(ref.why.s, "no more");
	assert_int_equal(tool_agreement_terminate(&cap, &ref, NULL, NULL), REFUSE_NONE);
}

/* 88 + 10 of 100 Mbit/s is above what may be promised: bulk falls to its floor, and nobody else
 * hears of it. */
static void spur(void **state)
{
	int messages;

	(void)state;
	op.scarcity.minor_h = 12000;
	lab_declare("market-data", 0);
	lab_declare("bulk-transfer", 0);
	assert_true(lab_run(two_settled, 30));
	assert_int_equal(class_rate(lab_deal(1)->cur.label), 10000000);
	change(88000000);
	assert_true(lab_run(second, 30));
	messages = op.messages;
	assert_true(lab_run(cut, 5));
	assert_int_equal(class_rate(lab_deal(0)->cur.label), 88000000);
	assert_int_equal(lab_deal(1)->cur.g.bandwidth.bps, 10000000); /* the contract stands */
	assert_int_equal(lab_world()->spur.n_flows, 2);
	change(40000000);
	assert_true(lab_run(whole_again, 60));
	assert_true(most_at_once() <= 100000000);
	assert_int_equal(op.messages, messages + 4); /* of the change alone */
}

/* --- two at once --------------------------------------------------------------------------------
 */

/* The second receipt arrives before the first: it is said again until the chain fits. */
static void receipts_overtake(void **state)
{
	(void)state;
	lab_declare("market-data", 0);
	lab_declare("bulk-transfer", 0);
	lab.slow_prefix = "m-acceptance";
	assert_true(lab_run(two_settled, 60));
	assert_int_equal(lab_purse().captured.minor, 280000);
	assert_int_equal(op.receipt.cumulative_after.minor, 280000);
	assert_true(op.forks > 0);
}

enum { AT_ONCE = 40, MANY = AT_ONCE + 2, CROWD = 2 * AT_ONCE + 6 };
static unsigned most_under_way;

/* Acceptances that left and were not delivered yet. */
static unsigned under_way(void)
{
	unsigned n = 0;

	for (int i = 0; i < lab.n_calls; i++)
		n += lab.call[i].used && !strncmp(lab.said[i], "m-acceptance", 12);
	most_under_way = n > most_under_way ? n : most_under_way;
	return n;
}

static bool many_settled(void)
{
	(void)under_way();
	return lab_world()->n_deals == MANY && lab_settled();
}

/* While forty acceptances are under way the next one waits (docs/decisions/0155), and none is lost:
 * each comes once, in the order of the receipts. */
static void the_next_acceptance_waits(void **state)
{
	(void)state;
	most_under_way = 0;
	op.scarcity.minor_h = 1000;
	lab.slow_prefix = "m-acceptance";
	lab.all_slow = true;
	for (int i = 0; i < MANY; i++)
		lab_declare("market-data", 1000000);
	assert_true(lab_run(many_settled, 60));
	assert_int_equal(most_under_way, AT_ONCE);
	assert_int_equal(op.n, MANY);
	assert_int_equal(op.forks, 0);
	assert_int_equal(op.messages, 4 * MANY); /* nothing was said twice */
	for (int i = 0; i < MANY; i++)
		assert_int_equal(op.deal[i].cur.rev, 1);
	assert_int_equal(lab_purse().captured.minor, op.receipt.cumulative_after.minor);
	assert_int_equal(lab_purse().held.minor, 0);
}

/* The first AT_ONCE + 1 are signed at once, and their acceptances take their time; of the others
 * the agreements come in the turn in which those are answered, before the answers. */
static int64_t all_at_one_time(const char *id)
{
	static int accepts;

	if (!strncmp(id, "m-chal", 6))
		accepts = 0;
	if (!strncmp(id, "m-acceptance", 12))
		return 300;
	return !strncmp(id, "m-accept", 8) && ++accepts > AT_ONCE + 1 ? 301 : 1;
}

static bool first_of_all_goes(void)
{
	const struct op_deal *first = &op.deal[AT_ONCE];
	bool said = first->cur.rev;

	if (under_way() == AT_ONCE && op.n == CROWD && lab.n_calls > 3 * CROWD + AT_ONCE) {
		for (int i = 0; i < lab.n_calls; i++)
			said |= !strncmp(lab.said[i], "m-acceptance", 12) &&
				strstr(lab.said[i], first->intent.negotiation.s);
		assert_true(said);
	}
	return lab_world()->n_deals == CROWD && lab_settled();
}

/* The acceptance that waited for a place gets one before those that were signed after it, however
 * many: all of them would wait at the operator for its receipt. */
static void the_first_of_the_chain_goes(void **state)
{
	(void)state;
	op.scarcity.minor_h = 1000;
	lab.takes = all_at_one_time;
	for (int i = 0; i < CROWD; i++)
		lab_declare("market-data", 1000000);
	assert_true(lab_run(first_of_all_goes, 120));
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(op.deal[i].cur.rev, 1);
}

/* --- detection ----------------------------------------------------------------------------------
 */

static bool grown(void)
{
	lab_flow();
	return lab_deal(0)->cur.rev == 2 && lab_deal(0)->active;
}

static bool gone(void)
{
	lab_flow();
	return lab_deal(0)->life == LIFE_TERMINATED;
}

static void detection(void **state)
{
	(void)state;
	op.scarcity.minor_h = 12000;
	lab_demand_bps = 100000; /* below what counts as demand */
	assert_false(lab_run(lab_detected, 5));
	assert_int_equal(lab_world()->n_deals, 0);
	lab_demand_bps = 8000000;
	assert_true(lab_run(lab_detected, 10));
	assert_int_equal(lab_deal(0)->intent.source, INTENT_DETECTED);
	assert_int_equal(lab_deal(0)->cur.g.bandwidth.bps, 10000000);
	assert_true(ident_eq(lab_deal(0)->cur.class_name, (name_t){ "bulk-transfer" }));
	lab_demand_bps = 20000000;
	assert_true(lab_run(grown, 30));
	assert_int_equal(lab_deal(0)->cur.g.bandwidth.bps, 22000000);
	lab_demand_bps = 0;
	assert_true(lab_run(gone, 120));
	assert_false(lab_run(NULL, 2));
	assert_int_equal(op.deal[0].ends, 1);
	assert_int_equal(class_rate(lab_deal(0)->cur.label), 0);
}

/* --- ends ---------------------------------------------------------------------------------------
 */

static bool told(void)
{
	return op.deal[0].ends > 0;
}

static void ended_by_a_human(void **state)
{
	const struct plan *p;

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	lab.fault[lab.n_calls] = FAULT_LOST;
	human_end(lab_deal(0));
	assert_true(lab_run(told, 30));
	p = lab_plan_with(STEP_LABEL_DEL, lab_deal(0)->cur.label);
	assert_non_null(p);
	assert_int_equal(p->step[0].step.kind, STEP_RULE_SET); /* watched again */
	assert_int_equal(p->step[0].step.rule.label, 0);
	assert_int_equal(lab_purse().captured.minor, 140000);
}

static void ended_by_time(void **state)
{
	int calls;

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	calls = lab.n_calls;
	assert_true(lab_run(lab_ended, 3700));
	assert_false(lab_run(NULL, 2));
	assert_int_equal(lab.n_calls, calls); /* both sides know when it ends */
	assert_non_null(lab_plan_with(STEP_LABEL_DEL, 0x100));
}

/* A human ends it while the agreement is on its way: the hold goes back. */
static bool held(void)
{
	return lab_purse().held.minor > 0;
}

static void ended_in_mid_talk(void **state)
{
	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(held, 30));
	human_end(lab_deal(0));
	assert_false(lab_run(NULL, 10));
	assert_int_equal(lab_purse().held.minor, 0);
	assert_int_equal(lab_purse().captured.minor, 0);
	assert_int_equal(lab_deal(0)->cur.rev, 0);
}

/* --- over MCP -----------------------------------------------------------------------------------
 */

static struct mcp_server *mcp;
static struct peer mcp_peer; /* who calls; nobody: we */
static struct mcp_result answer;

static bool mcp_said(void)
{
	return got.replies;
}

static void mcp_call(const char *tool, json_t *args, const char *key)
{
	struct mcp_call c = { .method = "tools/call",
			      .tool = tool,
			      .args = args,
			      .idempotency_key = key,
			      .client_name = "test",
			      .client_version = "1",
			      .rpc_id = 1 };
	struct peer p =
		mcp_peer.did[0] ? mcp_peer : (struct peer){ .local = true, .uid = geteuid() };
	struct err e = { 0 };

	if (!mcp && mcp_table_serve(&lab.side, NULL, &mcp, &e))
		fail_msg("mcp: %s", e.text);
	mcp_ask(mcp, &p, &c);
	assert_true(lab_run(mcp_said, 5));
	json_decref(args);
	mcp_result_clear(&answer);
	answer = mcp_got(c.rpc_id);
	assert_int_equal(answer.code, 0);
}

static void declared_over_mcp(void **state)
{
	auto_json json_t *first = NULL;
	struct intent i = { .source = INTENT_POSTED, .declared = NOW, .term_ms = 1800000 };
	const struct tmf_parties parties = { { "edge" }, { "op" }, 2 };
	json_t *body = NULL;

	(void)state;
	mcp_call("intent_declare", json_pack("{s:s}", "class", "nobody"), NULL);
	assert_true(answer.is_error);
	mcp_call("intent_declare", json_pack("{s:s, s:i}", "class", "market-data", "wish", 1),
		 NULL);
	assert_true(answer.is_error);
	mcp_call("intent_declare",
		 json_pack("{s:s, s:i}", "class", "market-data", "bandwidthBps", 15000000), "k1");
	assert_false(answer.is_error);
	first = json_deep_copy(answer.structured);
	assert_string_equal(json_string_value(json_object_get(first, "negotiation")) + 4,
			    json_string_value(json_object_get(first, "intent")) + 4);
	mcp_call("intent_declare",
		 json_pack("{s:s, s:i}", "class", "market-data", "bandwidthBps", 15000000), "k1");
	assert_true(json_equal(first, answer.structured));
	assert_int_equal(lab_world()->n_deals, 1);
	mcp_call("intent_declare", json_pack("{s:s}", "class", "bulk-transfer"), "k1");
	assert_true(answer.is_error);
	must_set(i.id.s, "int-theirs");
	must_set(i.negotiation.s, "neg-theirs");
	must_set(i.class_name.s, "bulk-transfer");
	must_set(i.flow.s, "backup");
	i.want = (struct grades){ { 5000000 }, { 30000 }, { 999900 } };
	assert_int_equal(tmf921_write(&i, &parties, &body, NULL), 0);
	mcp_call("intent_declare", json_pack("{s:o}", "intent", body), NULL);
	assert_false(answer.is_error);
	assert_int_equal(lab_world()->n_deals, 2);
	assert_string_equal(lab_deal(1)->intent.flow.s, "backup");
	assert_string_not_equal(lab_deal(1)->negotiation.s, "neg-theirs");
	assert_true(lab_run(two_settled, 30));
	assert_int_equal(lab_deal(0)->cur.g.bandwidth.bps, 15000000);
}

static int setup_app(void **state)
{
	return lab_setup_with(state, "[principal app]\ndid = did:web:app.example\n"
				     "may = ent_requirement\n[principal other]\n"
				     "did = did:web:other.example\nmay = node\n");
}

/* A key is its caller's: another caller's does its own, and does not hear the first one's answer.
 */
static void keys_are_each_callers_own(void **state)
{
	auto_json json_t *first = NULL, *second = NULL, *back = NULL;

	(void)state;
	mcp_call("intent_declare", json_pack("{s:s}", "class", "market-data"), "k1");
	assert_false(answer.is_error);
	first = json_deep_copy(answer.structured);
	must_set(mcp_peer.did, "did:web:app.example");
	mcp_call("intent_declare", json_pack("{s:s}", "class", "bulk-transfer"), "k1");
	assert_false(answer.is_error);
	assert_false(json_equal(first, answer.structured));
	assert_int_equal(lab_deal(0)->intent.source, INTENT_DECLARED);
	assert_int_equal(lab_deal(1)->intent.source, INTENT_POSTED); /* it is no uid of ours */
	second = json_deep_copy(answer.structured);
	mcp_call("intent_declare", json_pack("{s:s}", "class", "bulk-transfer"), "k1");
	assert_true(json_equal(second, answer.structured));
	assert_int_equal(lab_world()->n_deals, 2);
	back = json_pack("{s:O, s:s}", "negotiation", json_object_get(second, "negotiation"), "why",
			 "the need is gone");
	mcp_call("intent_withdraw", json_incref(back), "k2");
	assert_false(answer.is_error);
	assert_int_equal(lab_deal(1)->life, LIFE_TERMINATED);
	mcp_call("intent_withdraw", json_incref(back), "k2"); /* the same answer again */
	assert_false(answer.is_error);
	mcp_call("intent_declare", json_incref(back), "k2"); /* and not to another tool */
	assert_true(answer.is_error && strstr(answer.text, "duplicate"));
	mcp_call("intent_withdraw", json_pack("{s:s}", "negotiation", "neg-none"), NULL);
	assert_true(answer.is_error);
	mcp_call("intent_withdraw", json_pack("{}"), NULL);
	assert_true(answer.is_error);
	memset(&mcp_peer, 0, sizeof(mcp_peer));
	assert_false(lab_deal(0)->life == LIFE_TERMINATED);
}

static json_t *reissue(const char *supersedes, const struct party *issuer)
{
	struct wallet w = lab.wallet;

	must_set(w.id, "urn:uuid:00000000-0000-4000-8000-000000000002");
	must_set(w.supersedes, supersedes);
	w.generation = 2;
	w.ceiling.minor += 500;
	must_set(w.issuer, issuer->did);
	return wallet_vc_fixture(&w, issuer);
}

static void wallet_reloaded(void **state)
{
	json_t *forged = reissue(lab.wallet.id, &lab.wallet_key);
	struct ledger_wallet w;

	(void)state;
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	mcp_call("wallet_load",
		 json_pack("{s:o}", "credential", reissue("urn:uuid:x", &lab.wallet_key)), NULL);
	assert_true(answer.is_error);
	(void)json_object_set_new(json_object_get(forged, "credentialSubject"), "x", json_true());
	mcp_call("wallet_load", json_pack("{s:o}", "credential", forged), NULL);
	assert_true(answer.is_error);
	assert_int_equal(lab_purse().generation, 1);
	mcp_call("wallet_load",
		 json_pack("{s:o}", "credential", reissue(lab.wallet.id, &lab.wallet_key)), NULL);
	if (answer.is_error)
		fail_msg("%s", answer.text);
	w = lab_purse();
	assert_int_equal(w.generation, 2);
	assert_int_equal(w.ceiling.minor, lab.wallet.ceiling.minor + 500);
	assert_int_equal(w.captured.minor, 140000); /* what was spent stays spent */
	lab_kill();
	lab_open(); /* the file is of the first generation still */
	assert_int_equal(lab_purse().generation, 2);
}

/* A sub-wallet is spent from, and its parent is spent with it. */
static void wallet_below(void **state)
{
	auto_json json_t *root = NULL;
	struct wallet top = lab.wallet, w = lab.wallet;
	struct party boss;
	struct err e = { 0 };
	json_t *vc = NULL;

	(void)state;
	party_init(&boss, 9);
	must_set(top.holder, boss.did);
	must_set(top.wallet_id, "urn:uuid:00000000-0000-4000-8000-0000000000bb");
	top.sub_depth = 1;
	top.ceiling.minor = 200000;
	root = wallet_vc_fixture(&top, &lab.wallet_key);
	must_set(w.issuer, boss.did);
	must_set(w.wallet_id, "urn:uuid:00000000-0000-4000-8000-0000000000cc");
	w.ceiling.minor = 190000;
	if (wallet_issue_below(&w, root, NOW, &boss.port, &vc, &e))
		fail_msg("%s", e.text);
	mcp_call("wallet_load", json_pack("{s:O}", "credential", vc), NULL);
	if (answer.is_error)
		fail_msg("%s", answer.text);
	lab_declare("market-data", 0);
	assert_true(lab_run(lab_settled, 30));
	lab.wallet = top;
	assert_int_equal(lab_purse().captured.minor, 140000);
	lab.wallet = w;
	assert_int_equal(lab_purse().captured.minor, 140000);
	assert_int_equal(lab_purse().held.minor, 0);
	json_decref(vc);
	/* One that was changed after it was signed is not taken. */
	vc = NULL;
	assert_int_equal(wallet_issue_below(&w, root, NOW, &boss.port, &vc, &e), 0);
	(void)json_object_set(
		json_object_get(json_object_get(vc, "credentialSubject"), "delegation"), "parent",
		json_null());
	mcp_call("wallet_load", json_pack("{s:o}", "credential", vc), NULL);
	assert_true(answer.is_error);
}

static int own_teardown(void **state)
{
	mcp = mcp_server_free(mcp);
	mcp_result_clear(&answer);
	got_clear();
	return lab_teardown(state);
}

static int setup_detect(void **state)
{
	return lab_setup_with(state, "detect = 1M\ndetect-intervals = 5\n");
}

int main(void)
{
#define ROAD(f) cmocka_unit_test_setup_teardown(f, lab_setup, own_teardown)
	const struct CMUnitTest tests[] = {
		ROAD(raised),
		ROAD(changed_twice),
		ROAD(change_refused),
		ROAD(spur),
		ROAD(receipts_overtake),
		ROAD(the_next_acceptance_waits),
		ROAD(the_first_of_the_chain_goes),
		cmocka_unit_test_setup_teardown(detection, setup_detect, own_teardown),
		ROAD(ended_by_a_human),
		ROAD(ended_by_time),
		ROAD(ended_in_mid_talk),
		ROAD(declared_over_mcp),
		cmocka_unit_test_setup_teardown(keys_are_each_callers_own, setup_app, own_teardown),
		ROAD(wallet_reloaded),
		ROAD(wallet_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
