/* SPDX-License-Identifier: Apache-2.0 */
/* Each tool's real answer against the output schema that tools/list gives for it: the read tools
 * and the human's, on an enterprise with an agreement in force, a wallet and a hold. */
#include "mcp_call.h"
#include "query_lab.h"
#include "schema_check.h"

#include "agent/codec/json.h"
#include "agent/mcp_shapes.h"

static struct query_lab lab;
static json_t *answer, *tools;

static void ask(const char *method, const char *tool, json_t *args)
{
	static const struct peer human = { .local = true };
	struct mcp_call c = { .method = method,
			      .tool = tool,
			      .args = args,
			      .client_name = "t",
			      .client_version = "1",
			      .rpc_id = 1 };

	mcp_ask(lab.mcp, &human, &c);
	assert_int_equal(engine_turn(lab.side.engine), 0);
	json_decref(args);
	json_decref(answer);
	answer = json_loads(got.body, 0, NULL);
	assert_non_null(answer);
}

static const json_t *tool_of(const char *name)
{
	json_t *t;
	size_t i;

	json_array_foreach (tools, i, t)
		if (!strcmp(json_string_value(json_object_get(t, "name")), name))
			return t;
	fail_msg("%s: not listed", name);
	return NULL;
}

static void every_tool_is_described(void **state)
{
	static const char *const hints[] = { "readOnlyHint", "destructiveHint", "idempotentHint",
					     "openWorldHint" };
	json_t *t;
	size_t i;

	(void)state;
	assert_true(json_array_size(tools) >= 25);
	json_array_foreach (tools, i, t) {
		const json_t *out = json_object_get(t, "outputSchema");
		const char *name = json_string_value(json_object_get(t, "name"));

		if (!json_object_size(json_object_get(out, "properties")))
			fail_msg("%s: an empty output schema", name);
		if (!json_object_get(t, "title") || !json_object_get(t, "description"))
			fail_msg("%s: no title", name);
		for (size_t k = 0; k < ARRAY_LEN(hints); k++)
			assert_true(json_is_boolean(
				json_object_get(json_object_get(t, "annotations"), hints[k])));
	}
}

static void answers_fit(void **state)
{
	static const struct {
		const char *tool, *args; /* refuses: what it says when it cannot answer here */
		const char *refuses;
	} rows[] = {
		{ "status", "{}", NULL },
		{ "deal_list", "{}", NULL },
		{ "deal_show", "{\"id\":\"agr-1\"}", NULL },
		{ "flow_list", "{}", NULL },
		{ "path_list", "{}", NULL },
		{ "log_read", "{}", NULL },
		{ "explain", "{\"id\":\"quo-1\"}", NULL },
		{ "ledger_show", "{}", NULL },
		{ "verify", "{\"agreementId\":\"agr-1\"}", "node" },
		{ "policy_show", "{}", NULL },
		{ "intent_show", "{\"id\":\"int-1\"}", NULL },
		{ "quote_show", "{\"id\":\"quo-1\"}", "no longer" },
		{ "agreement_show", "{\"id\":\"agr-1\"}", NULL },
		{ "order_show", "{\"id\":\"agr-1\"}", "order" },
		{ "service_list", "{}", NULL },
		{ "service_show", "{\"id\":\"svc-1\"}", NULL },
		{ "approval_list", "{}", NULL },
		{ "dataplane_dump", "{}", "no node" },
		{ "dataplane_check", "{}", "no node" },
		{ "dataplane_gc", "{}", "no node" },
		{ "wallet_revoke", "{\"id\":\"urn:w:1\",\"reason\":\"lost\"}", NULL },
		{ "agreement_terminate", "{\"id\":\"agr-1\",\"reason\":\"done\"}", NULL },
	};
	unsigned held = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const json_t *schema = json_object_get(tool_of(rows[i].tool), "outputSchema");
		const json_t *r, *s;
		char why[200] = "";

		ask("tools/call", rows[i].tool, json_loads(rows[i].args, 0, NULL));
		r = json_object_get(answer, "result");
		s = json_object_get(r, "structuredContent");
		if (json_is_true(json_object_get(r, "isError"))) {
			const char *text = json_string_value(json_object_get(
				json_array_get(json_object_get(r, "content"), 0), "text"));

			assert_null(s);
			if (!rows[i].refuses || !strstr(text, rows[i].refuses))
				fail_msg("%s: %s", rows[i].tool, text);
			continue;
		}
		if (!s || !schema_holds(schema, s, why))
			fail_msg("%s: %s: %.600s", rows[i].tool, why,
				 json_dumps(s, JSON_COMPACT | JSON_ENCODE_ANY));
		held++;
	}
	assert_true(held >= 17);
}

/* The checker refuses what it should; the grammar refuses what is none. */
static void the_checker_checks(void **state)
{
	static const struct {
		const char *shape, *value;
		bool ok;
	} rows[] = {
		{ "a!:s b:i", "{\"a\":\"x\",\"b\":1,\"c\":null}", true },
		{ "a!:s b:i", "{\"b\":1}", false },
		{ "a!:s b:i", "{\"a\":1}", false },
		{ "a:[{b!:b}]", "{\"a\":[{\"b\":true},{\"b\":false}]}", true },
		{ "a:[{b!:b}]", "{\"a\":[{\"b\":true},{}]}", false },
		{ "a:o?", "{\"a\":null}", true },
		{ "a:o?", "{\"a\":[]}", false },
		{ "a:x", "{\"a\":[1]}", true },
		{ "a:[i]|o", "{\"a\":[1]}", true },
		{ "a:[i]|o", "{\"a\":{}}", true },
		{ "a:[i]|o", "{\"a\":[\"s\"]}", false },
	};
	static const char *const none[] = { "a",    "a:", "a:z",     "a:[s",       "a:{b:s",
					    "a:s}", ":s", "a:s a:s", "a:@nothing", "a:i|" };
	char why[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *s = mcp_shape_parse(rows[i].shape);
		auto_json json_t *v = json_loads(rows[i].value, 0, NULL);

		assert_non_null(s);
		if (schema_holds(s, v, why) != rows[i].ok)
			fail_msg("%s %s", rows[i].shape, rows[i].value);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (mcp_shape_parse(none[i]))
			fail_msg("%s", none[i]);
}

static int group_setup(void **state)
{
	(void)state;
	lab_dir(&lab);
	lab_open(&lab);
	lab_serve(&lab, true);
	lab_walk(&lab);
	lab_wallet(&lab);
	ask("tools/list", NULL, NULL);
	tools = json_incref(json_object_get(json_object_get(answer, "result"), "tools"));
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	json_decref(tools);
	json_decref(answer);
	got_clear();
	lab_drop(&lab);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checker_checks),
		cmocka_unit_test(every_tool_is_described),
		cmocka_unit_test(answers_fit),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
