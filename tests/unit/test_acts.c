/* SPDX-License-Identifier: Apache-2.0 */
/* Acts of a human that policy puts before another look: nothing of them happens before the grant,
 * and a grant serves once, in time, for what was asked. */
#include "query_call.h"

static const char end[] = "{\"id\":\"agr-1\",\"reason\":\"moved out\"}";

static const struct deal *deal(void)
{
	return world_deal(engine_world(lab.side.engine), &(ident_t){ "agr-1" });
}

/* The newest act's id, out of the answer that it waits. */
static void waiting_act(const char *tool, const char *args, char id[64])
{
	struct mcp_result r = ask(tool, args);
	const char *s = json_string_value(json_object_get(r.structured, "approval"));

	expect(&r, "state", "\"waiting\"");
	assert_non_null(s);
	(void)snprintf(id, 64, "%s", s);
	mcp_result_clear(&r);
}

static void reply_to(const char *id, char args[160])
{
	(void)snprintf(args, 160, "{\"id\":\"%s\",\"reason\":\"looked at\"}", id);
}

static void done(const char *tool, const char *args)
{
	struct mcp_result r = ask(tool, args);

	mcp_result_clear(&r);
}

static const struct act *last_act(void)
{
	const struct world *w = engine_world(lab.side.engine);

	assert_true(w->n_acts > 0);
	return &w->act[w->n_acts - 1];
}

static void test_asked(void **state)
{
	struct cfg_human *h = &lab.cfg->human;
	char id[64], args[160], key[96];
	struct mcp_result r;
	struct err e = { 0 };

	(void)state;
	h->two = true;
	human.uid = geteuid() + 4711; /* nobody of ours: not even asked */
	call_as(&human, "agreement_terminate", end, &r);
	assert_int_not_equal(r.code, 0);
	mcp_result_clear(&r);
	human.uid = geteuid();
	waiting_act("agreement_terminate", end, id);
	assert_int_equal(deal()->life, LIFE_PROVISIONED);
	refused("agreement_terminate", end, "duplicate");
	r = ask("approval_list", NULL);
	expect(&r, "approvals.0.act", "\"agreement_terminate\"");
	expect(&r, "approvals.0.why", "\"moved out\"");
	expect(&r, "approvals.0.deal", "\"agr-1\"");
	mcp_result_clear(&r);
	reply_to(id, args);
	refused("approval_grant", args, "two-persons");
	assert_int_equal(last_act()->state, APPROVAL_WAITING);
	h->two = false;
	/* Arguments that are not those that were asked for are not carried out. */
	(void)snprintf(key, sizeof(key), "act/%s", id);
	assert_int_equal(store_kv_put(lab.store, key, "{\"id\":\"agr-2\"}", 14, &e), 0);
	refused("approval_grant", args, "not those that were asked for");
	assert_int_equal(store_kv_put(lab.store, key, end, strlen(end), &e), 0);
	done("approval_deny", args);
	assert_int_equal(last_act()->state, APPROVAL_DENIED);
	refused("approval_grant", args, "wrong_state");
	assert_int_equal(deal()->life, LIFE_PROVISIONED);
}

/* Whoever comes over the network is not root for having no uid: neither in the log nor among two
 * persons. */
static void test_remote(void **state)
{
	const struct peer boss = { .did = "did:web:boss.example" };
	char id[64], args[160];
	struct mcp_result r;

	(void)state;
	lab.cfg->principals = 1;
	lab.cfg->principal[0] = (struct cfg_principal){ .may = 1u << OWNER_human };
	str_cut(lab.cfg->principal[0].did, boss.did);
	lab.cfg->human.two = true;
	call_as(&boss, "agreement_terminate", end, &r);
	assert_string_equal(json_string_value(json_object_get(r.structured, "state")), "waiting");
	(void)snprintf(id, sizeof(id), "%s",
		       json_string_value(json_object_get(r.structured, "approval")));
	mcp_result_clear(&r);
	assert_int_equal(last_act()->ask.uid, UINT32_MAX);
	reply_to(id, args);
	call_as(&boss, "approval_grant", args, &r);
	assert_non_null(strstr(r.text, "two-persons"));
	mcp_result_clear(&r);
	human.uid = 0;
	done("approval_deny", args);
	assert_int_equal(last_act()->state, APPROVAL_DENIED);
	human.uid = geteuid();
	lab.cfg->human.two = false;
	lab.cfg->principals = 0;
}

/* In its time a question cannot lapse; after it that is all that is left. */
static void test_late(void **state)
{
	const struct cap_human cap = { lab.side.engine };
	char id[64], args[160];
	struct ev_act late;

	(void)state;
	waiting_act("agreement_terminate", end, id);
	reply_to(id, args);
	late = last_act()->ask;
	assert_int_equal(tool_act_lapse(&cap, &late, NULL, NULL), REFUSE_WRONG_STATE);
	lab.clock.ms += 60000;
	refused("approval_grant", args, "wrong_state");
	assert_int_equal(tool_act_lapse(&cap, &late, NULL, NULL), REFUSE_NONE);
	lab.clock.ms -= 60000; /* a clock that goes back gives it no second life */
	refused("approval_grant", args, "wrong_state");
	assert_int_equal(last_act()->state, APPROVAL_LAPSED);
	assert_int_equal(deal()->life, LIFE_PROVISIONED);
}

/* A mistake in the act shows only now, and the grant is spent. */
static void test_mistakes(void **state)
{
	char id[64], args[160];

	(void)state;
	waiting_act("policy_load", "{\"config\":\"[daemon]\"}", id);
	reply_to(id, args);
	refused("approval_grant", args, "must be given");
	refused("approval_grant", args, "wrong_state");
	waiting_act("agreement_terminate", "{\"id\":\"agr-9\",\"reason\":\"x\"}", id);
	reply_to(id, args);
	refused("approval_grant", args, "agreement_unknown");
	assert_int_equal(deal()->life, LIFE_PROVISIONED);
}

static void test_granted(void **state)
{
	json_t *good = json_pack("{s:s}", "config", LAB_CONFIG);
	char *text = json_dumps(good, 0);
	char id[64], args[160];
	struct mcp_result r;

	(void)state;
	waiting_act("policy_load", text, id);
	reply_to(id, args);
	r = ask("approval_grant", args);
	expect(&r, "classes.0.name", "\"market-data\""); /* the act's own answer */
	mcp_result_clear(&r);
	assert_int_equal(last_act()->state, APPROVAL_USED);
	refused("approval_grant", args, "wrong_state");
	free(text);
	json_decref(good);
	waiting_act("agreement_terminate", end, id);
	reply_to(id, args);
	done("approval_grant", args);
	assert_int_equal(deal()->life, LIFE_TERMINATED);
}

/* What waits is in the log: a restart knows it. */
static void test_restart(void **state)
{
	const struct world *w = engine_world(lab.side.engine);
	struct act acts[WORLD_ACTS_MAX];
	uint32_t n = w->n_acts;

	(void)state;
	assert_true(n >= 6);
	memcpy(acts, w->act, sizeof(acts));
	lab.mcp = mcp_server_free(lab.mcp);
	lab.side.engine = engine_free(lab.side.engine);
	lab.store = store_free(lab.store);
	lab_open(&lab);
	w = engine_world(lab.side.engine);
	assert_int_equal(w->n_acts, n);
	assert_memory_equal(acts, w->act, n * sizeof(acts[0]));
}

static int setup(void **state)
{
	struct cfg_human *h;

	(void)state;
	lab_dir(&lab);
	lab_open(&lab);
	lab_serve(&lab, true);
	lab_walk(&lab);
	h = &lab.cfg->human;
	*h = (struct cfg_human){ .n_acts = 2, .wait_s = 60 };
	str_cut(h->act[0], "agreement_terminate");
	str_cut(h->act[1], "policy_load");
	human.uid = geteuid();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	got_clear();
	lab_drop(&lab);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked),   cmocka_unit_test(test_remote),
		cmocka_unit_test(test_late),    cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_granted), cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
