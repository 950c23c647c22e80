/* SPDX-License-Identifier: Apache-2.0 */
/* A2A over bytes: every rule of the envelope, the headers and the message, as tables. */
#include "a2a_lab.h"

#define M(fields) "{\"message\":{" fields "}}"
#define OK_ID     "\"messageId\":\"m\",\"role\":\"ROLE_USER\""
#define OK_PARTS  "\"parts\":[{\"data\":{\"act\":\"echo\"}}]"

static const struct {
	const char *params;
	int64_t code;
} param_rows[] = {
	{ M(OK_ID "," OK_PARTS), 0 },
	{ "{\"message\":{\"message_id\":\"s\",\"role\":1," OK_PARTS ",\"context_id\":\"c\"}}", 0 },
	{ M("\"messageId\":\"e\",\"role\":\"ROLE_USER\",\"unknown\":1," OK_PARTS), 0 },
	{ M("\"messageId\":\"n\",\"role\":\"ROLE_USER\",\"taskId\":null," OK_PARTS), 0 },
	{ "{}", -32602 },
	{ "{\"message\":[]}", -32602 },
	{ M("\"role\":\"ROLE_USER\"," OK_PARTS), -32602 },
	{ M("\"messageId\":\"\",\"role\":\"ROLE_USER\"," OK_PARTS), -32602 },
	{ M("\"messageId\":5,\"role\":\"ROLE_USER\"," OK_PARTS), -32602 },
	{ M("\"messageId\":\"a\\u0001\",\"role\":\"ROLE_USER\"," OK_PARTS), -32602 },
	{ M("\"messageId\":\"x\"," OK_PARTS), -32602 },
	{ M("\"messageId\":\"x\",\"role\":\"user\"," OK_PARTS), -32602 },
	{ M("\"messageId\":\"x\",\"role\":\"ROLE_AGENT\"," OK_PARTS), -32602 },
	{ M("\"messageId\":\"x\",\"role\":2," OK_PARTS), -32602 },
	{ M(OK_ID), -32602 },
	{ M(OK_ID ",\"parts\":[]"), -32602 },
	{ M(OK_ID ",\"parts\":{}"), -32602 },
	{ M(OK_ID ",\"parts\":[1]"), -32602 },
	{ M(OK_ID ",\"parts\":[{}]"), -32602 },
	{ M(OK_ID ",\"parts\":[{\"text\":1}]"), -32602 },
	{ M(OK_ID ",\"parts\":[{\"text\":\"a\",\"data\":1}]"), -32602 },
	{ M(OK_ID ",\"parts\":[{\"data\":1,\"metadata\":[]}]"), -32602 },
	{ M(OK_ID ",\"parts\":[{\"data\":1,\"mediaType\":1}]"), -32602 },
	{ M(OK_ID ",\"metadata\":1," OK_PARTS), -32602 },
	{ M(OK_ID ",\"extensions\":\"x\"," OK_PARTS), -32602 },
	{ M(OK_ID ",\"extensions\":[1]," OK_PARTS), -32602 },
	{ M(OK_ID ",\"referenceTaskIds\":[1]," OK_PARTS), -32602 },
	{ M(OK_ID ",\"taskId\":1," OK_PARTS), -32602 },
	{ M(OK_ID ",\"contextId\":\"\"," OK_PARTS), -32602 },
	{ M("\"messageId\":\"y\",\"role\":\"ROLE_USER\",\"taskId\":\"nope\"," OK_PARTS), -32001 },
	{ "{\"metadata\":1,\"message\":{" OK_ID "," OK_PARTS "}}", -32602 },
	{ "{\"configuration\":1,\"message\":{" OK_ID "," OK_PARTS "}}", -32602 },
	{ "{\"configuration\":{\"returnImmediately\":1},\"message\":{" OK_ID "," OK_PARTS "}}",
	  -32602 },
	{ "{\"configuration\":{\"history_length\":-1},\"message\":{" OK_ID "," OK_PARTS "}}",
	  -32602 },
	{ "{\"configuration\":{\"taskPushNotificationConfig\":{}},\"message\":{" OK_ID "," OK_PARTS
	  "}}",
	  -32003 },
	{ "{\"configuration\":{\"acceptedOutputModes\":[\"text/"
	  "plain\"]},\"message\":{" OK_ID "," OK_PARTS "}}",
	  -32005 },
	{ "{\"configuration\":{},\"message\":{" OK_ID "," OK_PARTS "}}", 0 },
};

static void params_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(param_rows); i++) {
		call(&alice, "SendMessage", param_rows[i].params);
		if (code() != param_rows[i].code)
			print_error("row %zu %s -> %s\n", i, param_rows[i].params, got.body);
		assert_int_equal(got.status, 200);
		assert_int_equal(got.replies, 1);
		assert_int_equal(code(), param_rows[i].code);
		assert_int_equal(json_integer_value(json_object_get(got.json, "id")), 7);
	}
	assert_int_equal(app_calls, 4); /* the fifth good row is a repeated message */
}

static void envelope_is_checked(void **state)
{
	static const struct {
		const char *body;
		int64_t code;
	} rows[] = {
		{ "", -32700 },
		{ "{", -32700 },
		{ "{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\"}", -32700 },
		{ "[]", -32600 },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		  -32700 },
		{ "{\"id\":1,\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":1}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"method\":\"GetTask\"}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetTask\",\"params\":[]}", -32600 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetTask\"}", -32602 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\"}", -32601 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendStreamingMessage\"}", -32004 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SubscribeToTask\"}", -32004 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetExtendedAgentCard\"}", -32004 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetTaskPushNotificationConfig\"}",
		  -32003 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		post(&alice, rows[i].body);
		if (code() != rows[i].code)
			print_error("row %zu %s -> %s\n", i, rows[i].body, got.body);
		assert_int_equal(code(), rows[i].code);
	}
}

static void headers_are_checked(void **state)
{
	static const struct {
		const char *version, *type;
		int64_t code;
	} rows[] = {
		{ "1.0", "application/json", -32602 },  { "1.0.1", "application/json", -32602 },
		{ "", "application/json", -32009 },     { "0.3", "application/json", -32009 },
		{ "1.1", "application/json", -32009 },  { "1.0.", "application/json", -32009 },
		{ "1.0x", "application/json", -32009 }, { "1.0", "text/plain", -32005 },
		{ "1.0", "application/jsonx", -32005 },
	};
	const char *body =
		"{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"GetTask\",\"params\":{}}";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct wire_header h[] = { { "A2A-Version", rows[i].version },
						 { "Content-Type", rows[i].type } };

		send_raw(&alice, "POST", "/a2a/", h, 2, body);
		assert_int_equal(code(), rows[i].code);
	}
	send_raw(&alice, "POST", "/a2a", &good[1], 1, body); /* absent means 0.3 */
	assert_int_equal(code(), -32009);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(json_object_get(got.json, "error"), "data"),
				       0),
			"reason")),
		"VERSION_NOT_SUPPORTED");
	send_raw(&alice, "GET", "/a2a", good, 3, "");
	assert_int_equal(got.status, 405);
	send_raw(&alice, "POST", "/elsewhere", good, 3, "");
	assert_int_equal(got.status, 404);
	send_raw(&(struct peer){ 0 }, "POST", "/a2a", good, 3, body);
	assert_int_equal(got.status, 401);
}

static void extension_is_activated_or_required(void **state)
{
	static const struct a2a_app app = { .on_message = on_message };
	struct a2a_config strict = config;

	message(&alice, "m1", "echo", "");
	assert_string_equal(got.ext, EXT);
	teardown(state);
	strict.extension_required = true;
	assert_int_equal(a2a_server_new(&srv, &strict, &app, NULL), 0);
	send_raw(&alice, "POST", "/a2a", good, 2,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ListTasks\"}");
	assert_int_equal(code(), -32008);
	message(&alice, "m1", "echo", "");
	assert_int_equal(code(), 0);
}

/* Two are declared; what a caller activates is named in the answer, and only that. */
static void two_extensions(void **state)
{
	static const struct {
		const char *ask, *active;
	} rows[] = {
		{ EXT, EXT },
		{ "urn:more", "urn:more" },
		{ "urn:more , " EXT, EXT ", urn:more" },
		{ "urn:mor, urn:moreover", "" },
	};
	static const struct a2a_app app = { .on_message = on_message };
	struct a2a_config two = config;

	teardown(state);
	two.offered = "urn:more";
	assert_int_equal(a2a_server_new(&srv, &two, &app, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct wire_header h[] = { { "A2A-Version", "1.0" },
						 { "Content-Type", "application/json" },
						 { "A2A-Extensions", rows[i].ask } };

		got.ext[0] = '\0';
		send_raw(&alice, "POST", "/a2a", h, 3,
			 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ListTasks\",\"params\":{}}");
		assert_int_equal(code(), 0);
		assert_string_equal(got.ext, rows[i].active);
	}
	send_raw(&alice, "GET", A2A_CARD_PATH, NULL, 0, "");
	assert_non_null(strstr(got.body, "{\"uri\":\"urn:more\",\"description\":\"urn:more\"}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(params_are_checked),  T(envelope_is_checked),
		T(headers_are_checked), T(extension_is_activated_or_required),
		T(two_extensions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
