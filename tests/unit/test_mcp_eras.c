/* SPDX-License-Identifier: Apache-2.0 */
/* MCP over bytes: both revisions on one path, sessions, resources and who may see them, long
 * streams, progress, questions and cancellation. */
#include "eras_lab.h"

static void session_lives_and_ends(void **state)
{
	static const char *const one_way[] = {
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
	};
	char a[64], b[64], body[128];

	(void)state;
	begin(&alice, a);
	assert_int_equal(strlen(a), 32);
	assert_string_equal(json_string_value(result("protocolVersion")), "2025-11-25");
	assert_null(result("resultType"));
	(void)snprintf(body, sizeof(body), "%s",
		       "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
	send(&alice, 0, "POST", MCP_LEGACY_VERSION, a, NULL, NULL, body);
	assert_int_equal(got.status, 202);
	old(&alice, 0, a, "tools/list", "");
	assert_int_equal(json_array_size(result("tools")), 2);
	assert_null(result("ttlMs"));
	old(&alice, 0, a, "tools/call", "\"name\":\"echo\",\"arguments\":{\"a\":1}");
	assert_null(result("resultType"));
	assert_non_null(result("structuredContent"));
	old(&alice, 0, NULL, "tools/list", "");
	assert_int_equal(got.status, 400);
	old(&bob, 0, a, "tools/list", ""); /* another's session is none */
	assert_int_equal(got.status, 404);
	old(&alice, 0, a, "ping", "");
	assert_int_equal(got.status, 200);
	old(&alice, 0, a, "server/discover", "");
	assert_int_equal(code(), -32601);
	send(&alice, 0, "POST", "1900-01-01", a, NULL, NULL,
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
	assert_int_equal(got.status, 400);
	send(&alice, 0, "DELETE", MCP_LEGACY_VERSION, a, NULL, NULL, "");
	assert_int_equal(got.status, 204);
	old(&alice, 0, a, "ping", "");
	assert_int_equal(got.status, 404);
	for (size_t i = 0; i < ARRAY_LEN(one_way); i++) { /* what nobody answers, too */
		send(&alice, 0, "POST", MCP_LEGACY_VERSION, a, NULL, NULL, one_way[i]);
		assert_int_equal(got.status, 404);
		send(&alice, 0, "POST", MCP_VERSION, a, NULL, NULL, body);
		assert_int_equal(got.status, 202); /* the newer revision has no sessions */
	}
	begin(&alice, a);
	begin(&bob, b);
	for (int i = 0; i < 2; i++)
		begin(&bob, b); /* three fit: alice's was unused longest */
	old(&alice, 0, a, "ping", "");
	assert_int_equal(got.status, 404);
	old(&bob, 0, b, "ping", "");
	assert_int_equal(got.status, 200);
}

/* Nobody holds a session's methods against a request of the newer revision. */
static void modern_is_stateless(void **state)
{
	static const char *const old_only[] = { "initialize", "ping", "logging/setLevel",
						"resources/subscribe", "resources/unsubscribe" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(old_only); i++) {
		modern(&alice, 0, old_only[i], NULL, "");
		assert_int_equal(got.status, 404);
		assert_int_equal(code(), -32601);
	}
	modern(&alice, 0, "server/discover", NULL, "");
	assert_int_equal(json_array_size(result("supportedVersions")), 2);
	send(&alice, 0, "GET", MCP_VERSION, NULL, NULL, NULL, "");
	assert_int_equal(got.status, 405);
	send(&alice, 0, "GET", NULL, NULL, NULL, NULL, "");
	assert_int_equal(got.status, 400);
}

static void tools_are_each_principals_own(void **state)
{
	char a[64];

	(void)state;
	modern(&alice, 0, "tools/call", "oss_only", ",\"name\":\"oss_only\"");
	assert_int_equal(code(), -32602);
	modern(&bob, 0, "tools/call", "oss_only", ",\"name\":\"oss_only\"");
	assert_int_equal(code(), 0);
	begin(&alice, a);
	old(&alice, 0, a, "tools/call", "\"name\":\"oss_only\"");
	assert_int_equal(code(), -32602);
}

static void resources_are_seen_by_who_may(void **state)
{
	char a[64];

	(void)state;
	modern(&alice, 0, "resources/list", NULL, "");
	assert_int_equal(json_array_size(result("resources")), 1);
	assert_string_equal(json_string_value(result("cacheScope")), "private");
	modern(&bob, 0, "resources/list", NULL, "");
	assert_int_equal(json_array_size(result("resources")), 2);
	modern(&alice, 0, "resources/templates/list", NULL, "");
	assert_int_equal(json_array_size(result("resourceTemplates")), 1);
	modern(&alice, 0, "resources/read", "treaty://agreements/7",
	       ",\"uri\":\"treaty://agreements/7\"");
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(result("contents"), 0), "uri")),
		"treaty://agreements/7");
	modern(&alice, 0, "resources/read", "treaty://log", ",\"uri\":\"treaty://log\"");
	assert_int_equal(code(), -32602);
	assert_non_null(strstr(got.body, "\"uri\":\"treaty://log\""));
	modern(&alice, 0, "resources/read", "treaty://log",
	       ",\"uri\":\"treaty://agreements\""); /* what the header says is not what is read */
	assert_int_equal(code(), -32020);
	modern(&alice, 0, "prompts/list", NULL, "");
	assert_int_equal(code(), -32601);
	begin(&alice, a);
	old(&alice, 0, a, "resources/read", "\"uri\":\"treaty://log\"");
	assert_int_equal(code(), -32002);
}

static void listening(void **state)
{
	(void)state;
	modern(&alice, 1, "subscriptions/listen", NULL,
	       ",\"notifications\":{\"resourceSubscriptions\":[\"treaty://agreements\","
	       "\"treaty://log\",7],\"toolsListChanged\":true,\"somethingElse\":true}");
	assert_string_equal(
		streams[1].text,
		"event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":"
		"\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{"
		"\"toolsListChanged\":true,\"resourceSubscriptions\":[\"treaty://agreements\"]},"
		"\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"q\"}}}\n\n");
	streams[1].text[0] = 0;
	mcp_resource_changed(srv, "treaty://log", NULL);
	mcp_resource_changed(srv, "treaty://agreementsX", NULL);
	mcp_list_changed(srv, MCP_RESOURCES);
	assert_string_equal(streams[1].text, "");
	mcp_resource_changed(srv, "treaty://agreements/7", NULL);
	assert_non_null(strstr(streams[1].text, "\"uri\":\"treaty://agreements/7\""));
	mcp_list_changed(srv, MCP_TOOLS);
	assert_non_null(strstr(streams[1].text, "notifications/tools/list_changed"));
	modern(&alice, 2, "subscriptions/listen", NULL, "");
	assert_int_equal(got.status, 400);
	modern(&alice, 2, "subscriptions/listen", NULL, ",\"notifications\":{}");
	streams[2].gone(streams[2].arg);
	assert_int_equal(mcp_streams(srv), 1);
	streams[1].text[0] = 0;
	srv = mcp_server_free(srv); /* ends with the answer to the request that began it */
	assert_non_null(strstr(streams[1].text, "\"id\":\"q\",\"result\":{\"resultType\":"
						"\"complete\""));
	assert_false(streams[1].open);
}

static void listening_in_a_session(void **state)
{
	char a[64];

	(void)state;
	begin(&alice, a);
	old(&alice, 0, a, "resources/subscribe", "\"uri\":\"treaty://log\"");
	assert_int_equal(code(), -32002);
	old(&alice, 0, a, "resources/subscribe", "\"uri\":\"treaty://agreements\"");
	assert_int_equal(code(), 0);
	send(&alice, 1, "GET", MCP_LEGACY_VERSION, a, NULL, NULL, "");
	assert_true(streams[1].open);
	mcp_resource_changed(srv, "treaty://agreements", NULL);
	assert_non_null(strstr(streams[1].text, "notifications/resources/updated"));
	assert_null(strstr(streams[1].text, "subscriptionId"));
	send(&alice, 2, "GET", MCP_LEGACY_VERSION, a, NULL, NULL, ""); /* replaces */
	assert_false(streams[1].open);
	old(&alice, 0, a, "resources/unsubscribe", "\"uri\":\"treaty://agreements\"");
	streams[2].text[0] = 0;
	mcp_resource_changed(srv, "treaty://agreements", NULL);
	assert_string_equal(streams[2].text, "");
	mcp_ping(srv);
	assert_string_equal(streams[2].text, ": ping\n\n");
	send(&alice, 0, "DELETE", MCP_LEGACY_VERSION, a, NULL, NULL, "");
	assert_false(streams[2].open);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* Who changes something writes to nobody; what changed again meanwhile is said once, in its place.
 */
static void notices_wait_for_their_turn(void **state)
{
	static const char agreed[] = "\"uri\":\"treaty://agreements/7\"",
			  other[] = "\"uri\":\"treaty://agreements/8\"",
			  lists[] = "notifications/tools/list_changed";
	char a[64], uri[64];

	(void)state;
	modern(&alice, 1, "subscriptions/listen", NULL,
	       ",\"notifications\":{\"resourceSubscriptions\":[\"treaty://agreements\"],"
	       "\"toolsListChanged\":true}");
	begin(&alice, a);
	old(&alice, 0, a, "resources/subscribe", "\"uri\":\"treaty://agreements\"");
	send(&alice, 2, "GET", MCP_LEGACY_VERSION, a, NULL, NULL, "");
	assert_int_equal(loop_run(loop), 0);
	assert_non_null(strstr(streams[1].text, "subscriptions/acknowledged"));
	streams[1].writes = streams[2].writes = 0;
	for (int i = 0; i < 100; i++) {
		mcp_resource_changed(srv, "treaty://agreements/7", NULL);
		mcp_list_changed(srv, MCP_TOOLS);
		mcp_resource_changed(srv, "treaty://agreements/8", NULL);
	}
	assert_int_equal(streams[1].writes + streams[2].writes, 0);
	assert_int_equal(loop_run(loop), 0);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(streams[i].writes, 1);
		assert_int_equal(count(streams[i].text, agreed), 1);
		assert_int_equal(count(streams[i].text, lists), 1);
		assert_int_equal(count(streams[i].text, other), 1);
		assert_true(strstr(streams[i].text, agreed) < strstr(streams[i].text, lists));
		assert_true(strstr(streams[i].text, lists) < strstr(streams[i].text, other));
		assert_int_equal(count(streams[i].text, "subscriptionId"), i == 1 ? 4 : 0);
	}
	mcp_resource_changed(srv, "treaty://agreements/7", NULL);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(count(streams[1].text, agreed), 2); /* it was written: said anew */
	for (int i = 0; i < 40; i++) {
		(void)snprintf(uri, sizeof(uri), "treaty://agreements/n%d", i);
		mcp_resource_changed(srv, uri, NULL);
	}
	assert_int_equal(streams[1].writes, 3); /* too many to wait: at once, and none is lost */
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(count(streams[1].text, "treaty://agreements/n"), 40);
}

static void who_leaves_while_a_notice_waits(void **state)
{
	static const char want[] = ",\"notifications\":{\"resourceSubscriptions\":["
				   "\"treaty://agreements\"]}";

	(void)state;
	modern(&alice, 1, "subscriptions/listen", NULL, want);
	modern(&alice, 2, "subscriptions/listen", NULL, want);
	modern(&bob, 3, "subscriptions/listen", NULL, want);
	assert_int_equal(loop_run(loop), 0);
	streams[1].text[0] = 0;
	mcp_resource_changed(srv, "treaty://agreements", NULL);
	streams[1].gone(streams[1].arg);
	streams[2].refuses = true;
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(streams[1].text, "");
	assert_int_equal(mcp_streams(srv), 1);
	streams[3].text[0] = 0;
	mcp_resource_changed(srv, "treaty://agreements", NULL);
	srv = mcp_server_free(srv); /* what waits, and then the end */
	assert_true(strstr(streams[3].text, "resources/updated") <
		    strstr(streams[3].text, "\"resultType\":\"complete\""));
	assert_non_null(strstr(streams[3].text, "resources/updated"));
	assert_false(streams[3].open);
	assert_int_equal(loop_run(loop), 0);
}

/* Each caller's own cap, and nobody else's. */
static void a_caller_at_its_cap_is_refused(void **state)
{
	struct mcp_turn *turns[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		modern(&alice, 1, "tools/call", "slow", ",\"name\":\"slow\"");
		turns[i] = held;
	}
	modern(&alice, 1, "tools/call", "slow", ",\"name\":\"slow\"");
	assert_int_equal(got.status, 200);
	assert_int_equal(code(), MCP_E_LIMIT);
	assert_non_null(strstr(got.body, "\"status\":429,\"detail\":\"peer-calls: no more than 2"));
	modern(&bob, 1, "tools/call", "slow", ",\"name\":\"slow\"");
	assert_int_equal(got.replies, 0);
	mcp_turn_refuse(held, "end");
	for (unsigned i = 0; i < 2; i++) {
		mcp_turn_refuse(turns[i], "end");
		modern(&alice, 2 + i, "subscriptions/listen", NULL, ",\"notifications\":{}");
		assert_true(streams[2 + i].open);
	}
	modern(&alice, 4, "subscriptions/listen", NULL, ",\"notifications\":{}");
	assert_int_equal(got.status, 429);
	assert_int_equal(code(), MCP_E_LIMIT);
	assert_non_null(strstr(got.body, "\"detail\":\"peer-streams: no more than 2"));
	modern(&bob, 4, "subscriptions/listen", NULL, ",\"notifications\":{}");
	assert_true(streams[4].open);
}

static void on_gone(void *arg)
{
	(void)arg;
	gone++;
}

static void progress_then_the_answer(void **state)
{
	json_t *o = json_pack("{s:i}", "k", 1);

	(void)state;
	modern(&alice, 1, "tools/call", "slow", ",\"name\":\"slow\"");
	mcp_turn_progress(held, 1, 2, "half");
	assert_non_null(strstr(streams[1].text, "\"progressToken\":\"p\",\"progress\":1,"
						"\"total\":2,\"message\":\"half\""));
	mcp_turn_result(held, o);
	assert_int_equal(got.replies, 0);
	assert_non_null(strstr(streams[1].text, "\"id\":\"q\",\"result\":{\"resultType\""));
	assert_false(streams[1].open);
	json_decref(o);
}

static void leaving_cancels(void **state)
{
	json_t *o = json_object();

	(void)state;
	modern(&alice, 1, "tools/call", "slow", ",\"name\":\"slow\"");
	mcp_turn_on_cancel(held, on_gone, NULL);
	streams[1].left(streams[1].left_arg); /* before anything was said */
	assert_int_equal(gone, 1);
	mcp_turn_progress(held, 1, 2, NULL);
	assert_int_equal(streams[1].opens, 0);
	mcp_turn_result(held, o);
	modern(&alice, 2, "tools/call", "slow", ",\"name\":\"slow\"");
	mcp_turn_on_cancel(held, on_gone, NULL);
	mcp_turn_progress(held, 1, 2, NULL);
	streams[2].gone(streams[2].arg); /* in the middle */
	assert_int_equal(gone, 2);
	streams[2].text[0] = 0;
	mcp_turn_result(held, o);
	assert_string_equal(streams[2].text, "");
	json_decref(o);
}

/* The older revision says that it cancels, and only in its own session; leaving is not that, before
 * or after something was said. */
static void leaving_is_not_cancelling_there(void **state)
{
	json_t *o = json_object();
	char a[64];

	(void)state;
	begin(&alice, a);
	old(&alice, 3, a, "tools/call", "\"name\":\"slow\"");
	mcp_turn_on_cancel(held, on_gone, NULL);
	send(&alice, 0, "POST", MCP_LEGACY_VERSION, NULL, NULL, NULL,
	     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
	     "\"requestId\":5}}");
	assert_int_equal(gone, 0);
	send(&alice, 0, "POST", MCP_LEGACY_VERSION, a, NULL, NULL,
	     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
	     "\"requestId\":5}}");
	assert_int_equal(gone, 1);
	mcp_turn_result(held, o);
	old(&alice, 4, a, "tools/call", "\"name\":\"slow\"");
	mcp_turn_on_cancel(held, on_gone, NULL);
	assert_null(streams[4].left); /* nobody looks */
	mcp_turn_result(held, o);
	old(&alice, 5, a, "tools/call", "\"name\":\"slow\",\"_meta\":{\"progressToken\":\"p\"}");
	mcp_turn_on_cancel(held, on_gone, NULL);
	mcp_turn_progress(held, 1, 2, NULL);
	assert_true(streams[5].open);
	streams[5].gone(streams[5].arg);
	streams[5].text[0] = 0;
	mcp_turn_progress(held, 2, 2, NULL);
	mcp_turn_result(held, o);
	assert_string_equal(streams[5].text, "");
	assert_int_equal(gone, 1);
	json_decref(o);
}

static void on_answer(void *arg, struct mcp_turn *t, const json_t *r)
{
	(void)arg;
	answered++;
	if (r)
		mcp_turn_raw(t, r);
	else
		mcp_turn_refuse(t, "declined");
}

static void asking_in_a_session(void **state)
{
	char a[64], b[64];

	(void)state;
	begin(&alice, a);
	begin(&alice, b);
	old(&alice, 1, a, "tools/call", "\"name\":\"slow\"");
	assert_true(mcp_turn_capable(held, "elicitation"));
	assert_false(mcp_turn_capable(held, "sampling"));
	assert_int_equal(mcp_turn_ask(held, "elicitation/create", NULL, on_answer, NULL), 0);
	assert_non_null(strstr(streams[1].text, "\"id\":1,\"method\":\"elicitation/create\""));
	send(&alice, 0, "POST", MCP_LEGACY_VERSION, b, NULL, NULL,
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"action\":\"accept\"}}");
	assert_int_equal(answered, 0); /* from another session */
	send(&bob, 0, "POST", MCP_LEGACY_VERSION, a, NULL, NULL,
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"action\":\"accept\"}}");
	assert_int_equal(answered, 0); /* from another peer */
	assert_int_equal(got.status, 404);
	send(&alice, 0, "POST", MCP_LEGACY_VERSION, a, NULL, NULL,
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"action\":\"accept\"}}");
	assert_int_equal(answered, 1);
	assert_int_equal(got.status, 202);
	assert_non_null(strstr(streams[1].text, "\"result\":{\"action\":\"accept\"}"));
	modern(&alice, 2, "tools/call", "slow", ",\"name\":\"slow\"");
	assert_int_equal(mcp_turn_ask(held, "elicitation/create", NULL, on_answer, NULL),
			 -EOPNOTSUPP);
	mcp_turn_refuse(held, "no");
	/* who was asked is gone: that is an answer too */
	old(&alice, 3, a, "tools/call", "\"name\":\"slow\"");
	assert_int_equal(mcp_turn_ask(held, "elicitation/create", NULL, on_answer, NULL), 0);
	streams[3].gone(streams[3].arg);
	assert_int_equal(answered, 2);
	/* and whom the question does not reach was not asked */
	old(&alice, 4, a, "tools/call", "\"name\":\"slow\"");
	mcp_turn_notify(held, "notifications/x", NULL);
	streams[4].refuses = true;
	assert_int_equal(mcp_turn_ask(held, "elicitation/create", NULL, on_answer, NULL), -EPIPE);
	mcp_turn_refuse(held, "no");
	assert_int_equal(answered, 2);
}

#define T(f)     cmocka_unit_test_setup_teardown(f, setup, teardown)
#define PACED(f) cmocka_unit_test_setup_teardown(f, pace_setup, pace_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(session_lives_and_ends),
		T(modern_is_stateless),
		T(tools_are_each_principals_own),
		T(resources_are_seen_by_who_may),
		T(listening),
		T(listening_in_a_session),
		T(progress_then_the_answer),
		T(a_caller_at_its_cap_is_refused),
		T(leaving_cancels),
		T(leaving_is_not_cancelling_there),
		T(asking_in_a_session),
		PACED(notices_wait_for_their_turn),
		PACED(who_leaves_while_a_notice_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
