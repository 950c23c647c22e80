/* SPDX-License-Identifier: Apache-2.0 */
/* The human's tools at the operator over the real MCP core, mutated (foreign.h): path_swap,
 * agreement_terminate, wallet_revoke, policy_load; then the unmutated twin. */
#include "bss_road.h"
#include "foreign.h"

#include "agent/mcp_table.h"
#include "agent/oss_planning/oss_swap.h"
#include "agent/queries.h"

static struct mcp_server *mcp;
static struct {
	char *body;
	unsigned replies;
} got;

struct tool {
	const char *name;
	struct still before;
	struct class_profile profile[CLASSES_MAX];
};

static void on_raw(void *to, const struct wire_response *r)
{
	(void)to;
	free(got.body);
	got.body = strndup(r->body ? r->body : "", r->len);
	got.replies++;
}

static json_t *ask(const char *name, const char *args)
{
	got.replies = 0;
	foreign_mcp(mcp, name, args, (struct wire_sink){ .fn = on_raw });
	lab_turn();
	return got.replies == 1 ? json_loads(got.body, 0, NULL) : NULL;
}

static void on_mutant(void *arg, const char *what, const char *text)
{
	struct tool *x = arg;
	auto_json json_t *answer = ask(x->name, text);
	const char *why = refusal_in(answer), *broken = still_broken(&x->before, lab_world(), dir);

	if (!answer)
		wrong(x->name, what, "silence", NULL);
	else if (!why)
		wrong(x->name, what, "not refused", got.body);
	else if (!names_rule(why))
		wrong(x->name, what, "names nothing", why);
	if (!broken && memcmp(x->profile, lab.side.profile, sizeof(x->profile)) != 0)
		broken = "the policy changed";
	if (!broken)
		return;
	wrong(x->name, what, broken, why);
	still_free(&x->before);
	x->before = still_of(lab_world(), dir);
	memcpy(x->profile, lab.side.profile, sizeof(x->profile));
}

static void mutate_args(const char *name, const json_t *args, const char *const *legal)
{
	static struct tool x;
	struct mutants m = {
		.root = json_deep_copy(args), .skip = legal, .fn = on_mutant, .arg = &x
	};

	x.name = name;
	x.before = still_of(lab_world(), dir);
	memcpy(x.profile, lab.side.profile, sizeof(x.profile));
	mutate_root(&m);
	mutate(&m, m.root, "");
	still_free(&x.before);
	json_decref(m.root);
	foreign_done(name, m.n, 20);
}

/* The twin; its structured answer. */
static json_t *good(const char *name, const json_t *args)
{
	auto_free char *text = json_dumps(args, JSON_COMPACT);
	auto_json json_t *answer = ask(name, text);
	const json_t *r = json_object_get(answer, "result");

	if (!json_object_get(r, "structuredContent"))
		fail_msg("%s: %s", name, got.body);
	return json_incref(json_object_get(r, "structuredContent"));
}

static void test_swap(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, "a1");
	const struct cap_oss_planning cap = { lab.side.engine };
	auto_json json_t *args = json_pack("{s:s, s:i}", "agreementId", r.t.lineage, "path", 2);
	auto_free char *text = json_dumps(args, JSON_COMPACT);
	auto_json json_t *none = NULL;
	struct ev_progress end = { .deal = deal(&r)->lineage, .plan = { "pln-1" } };
	static struct plan plan; /* the other agent's answer */

	(void)state;
	/* A path that keeps what was promised on the first. */
	lab.side.paths.view[1].base = lab.side.paths.view[1].delay =
		lab.side.paths.view[1].forecast = (delay_t){ 5000 };
	mutate_args("path_swap", args, NULL);
	none = ask("path_swap", text);
	if (none) /* it waits for the nodes */
		fail_msg("path_swap: %s", got.body);
	assert_true(deal(&r)->has_order);
	assert_int_equal(deal(&r)->order.path, 2);
	plan = (struct plan){
		.id = end.plan, .order = deal(&r)->order.id, .lineage = deal(&r)->lineage, .rev = 1
	};
	assert_int_equal(tool_plan_commit(&cap, &plan, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_order_close(&cap, &end, NULL, NULL), REFUSE_NONE);
	lab_turn();
	assert_int_equal(got.replies, 1);
	assert_non_null(strstr(got.body, "structuredContent"));
}

static void test_terminate(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, "a2");
	auto_json json_t *args = json_pack("{s:s, s:s}", "id", r.t.lineage, "reason", "done");
	auto_json json_t *said = NULL;

	(void)state;
	mutate_args("agreement_terminate", args, NULL);
	said = good("agreement_terminate", args);
	assert_int_equal(deal(&r)->life, LIFE_TERMINATED);
}

static void test_revoke(void **state)
{
	auto_road struct road r = whole_road(&lab.ent, "a3");
	auto_json json_t *args = json_pack("{s:s, s:s}", "id", r.w.wallet_id, "reason", "stolen");
	auto_json json_t *said = NULL;

	(void)state;
	mutate_args("wallet_revoke", args, NULL);
	said = good("wallet_revoke", args);
	assert_true(json_is_true(json_object_get(said, "revoked")));
}

#define OPERATOR                                                                       \
	"[daemon]\nroles = oss\nname = op\n[class market-data]\nid = 1\nproto = udp\n" \
	"dport = 7001\nbandwidth = 30M\nlatency-us = 12000\n"

static void test_policy(void **state)
{
	static const char *const wrong_texts[] = {
		"[class market-data]\nid = 2\n",
		"[class market-data]\nid = 1\nbandwidth = 2.0e1\n",
		"[class market-data]\nid = 1\nbandwidth =\n",
		"[class market-data]\nid = 1\nunknown = 1\n",
		"[class market-data]\nid = 1\nid = 1\nid = x\n",
		"[nothing]\na = 1\n",
		OPERATOR "[class bulk-transfer]\nid = 5\nproto = udp\ndport = 1\nbandwidth = 1M\n",
		"[class market-data",
		"\xff\xfe",
		"=",
	};
	auto_json json_t *args = json_pack("{s:s}", "config", OPERATOR), *said = NULL;
	static struct tool x;

	(void)state;
	mutate_args("policy_load", args, NULL);
	x.name = "policy_load";
	x.before = still_of(lab_world(), dir);
	memcpy(x.profile, lab.side.profile, sizeof(x.profile));
	for (size_t i = 0; i < ARRAY_LEN(wrong_texts); i++) {
		auto_json json_t *bad = json_pack("{s:s}", "config", wrong_texts[i]);
		auto_free char *text =
			bad ? json_dumps(bad, JSON_COMPACT) : strdup("{\"config\":\"\xff\"}");

		on_mutant(&x, wrong_texts[i], text);
	}
	still_free(&x.before);
	foreign_done("policy_load (texts)", ARRAY_LEN(wrong_texts), 10);
	said = good("policy_load", args);
	assert_int_equal(lab.side.profile[0].want.bandwidth.bps, 30000000);
}

static int setup(void **state)
{
	static bool rows;
	struct err e = { 0 };
	int r = lab_setup(state);

	if (rows)
		return r; /* the table is the process's, and so are its rows */
	rows = true;
	if (queries_start(&lab.side, &e))
		fail_msg("%s", e.text);
	return r;
}

/* Each life of the lab has an engine and a server of its own. */
static int serve(void **state)
{
	static bool row;
	struct err e = { 0 };
	int r = setup(state);

	if (!row && oss_swap_start(&lab.side, &e))
		fail_msg("%s", e.text);
	row = true;
	if (mcp_table_serve(&lab.side, NULL, &mcp, &e))
		fail_msg("%s", e.text);
	return r;
}

static int unserve(void **state)
{
	mcp = mcp_server_free(mcp);
	return lab_teardown(state);
}

static int group_teardown(void **state)
{
	(void)state;
	free(got.body);
	printf("foreign: %u cases for the human's tools\n", foreign_total);
	return 0;
}

#define IN_LAB(t) cmocka_unit_test_setup_teardown(t, serve, unserve)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(test_swap), /* first: the row is the first life's */
		IN_LAB(test_terminate),
		IN_LAB(test_revoke),
		IN_LAB(test_policy),
	};

	return cmocka_run_group_tests(tests, NULL, group_teardown);
}
