/* SPDX-License-Identifier: Apache-2.0 */
/* Client and server of both protocols in one loop, over mutual TLS and over a unix socket; and the
 * A2A client's strict reading of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/wire/a2a.h"
#include "agent/wire/http_client.h"
#include "agent/wire/http_server.h"
#include "agent/wire/mcp.h"
#include "wire_lab.h"

static struct loop *loop;
static struct http_server *srv;
static struct http_client *client;
static struct a2a_server *a2a;
static struct mcp_server *mcp;
static struct tls_id *alice, *bob;
static char sock[128], seen_did[WIRE_DID_MAX];

static void complete_later(void *arg)
{
	json_t *quote = json_pack("{s:s, s:i}", "@type", "Quote", "priceMinor", 42);

	assert_int_equal(a2a_turn_artifact(arg, "Quote", quote), 0);
	a2a_turn_task(arg, A2A_INPUT_REQUIRED, quote);
	json_decref(quote);
}

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	(void)arg;
	assert_true(str_set(seen_did, p->did) || !p->did[0]);
	if (m->task_id[0])
		a2a_turn_task(t, A2A_COMPLETED, NULL);
	else if (!loop_after(loop, 5000, complete_later, t))
		return -ENOMEM;
	return 0;
}

static void call_later(void *arg)
{
	json_t *o = json_pack("{s:b}", "done", 1);

	mcp_turn_result(arg, o);
	json_decref(o);
}

static int on_call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		   const char *key, struct mcp_turn *t)
{
	(void)arg;
	(void)p;
	(void)tool;
	(void)args;
	(void)key;
	return loop_after(loop, 5000, call_later, t) ? 0 : -ENOMEM;
}

static void route(void *arg, const struct wire_request *r, struct http_reply *t)
{
	struct wire_response missing = { .status = 404 };

	(void)arg;
	if (a2a_server_path(a2a, r->path))
		a2a_server_handle(a2a, r, http_sink(t));
	else if (mcp_server_path(mcp, r->path))
		mcp_server_handle(mcp, r, http_sink(t));
	else
		http_reply_send(t, &missing);
}

static wall_t now(void *arg)
{
	return loop_wall(arg);
}

static int setup(void **state)
{
	static const char *const skills[] = { "negotiate", "Negotiates", NULL };
	static const struct a2a_app app = { .on_message = on_message };
	static const struct mcp_app tool_app = { .call = on_call };
	static const struct mcp_tool tools[] = { { "step", "Step", "Does a step",
						   "{\"type\":\"object\"}", NULL, false, true, true,
						   false, false } };
	static const struct mcp_config mc = {
		.path = "/mcp", .name = "n", .version = "1", .tools = tools, .ntools = 1
	};
	static const struct http_config hc = { .handler = route };
	struct a2a_config ac = { .path = "/a2a",
				 .url = "https://h/a2a",
				 .name = "n",
				 .description = "d",
				 .version = "1",
				 .skills = skills,
				 .now = now };

	(void)state;
	(void)snprintf(sock, sizeof(sock), "%s", lab_path("e2e", ".sock"));
	if (loop_new(&loop, false))
		return -1;
	ac.now_arg = loop;
	return a2a_server_new(&a2a, &ac, &app, NULL) ||
	       mcp_server_new(&mcp, &mc, &tool_app, NULL) ||
	       http_server_new(&srv, loop, &hc, NULL) ||
	       http_listen_tls(srv, "127.0.0.1", 0, alice, NULL) ||
	       http_listen_unix(srv, sock, NULL) || http_client_new(&client, loop, bob);
}

static int teardown(void **state)
{
	(void)state;
	client = http_client_free(client);
	a2a = a2a_server_free(a2a);
	mcp = mcp_server_free(mcp);
	srv = http_server_free(srv);
	loop = loop_free(loop);
	return 0;
}

struct got {
	int calls, err, parse;
	const char *method;
	struct a2a_result a;
	struct mcp_result m;
	struct err e;
};

static void on_done(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct got *g = arg;

	g->calls++;
	g->err = err;
	if (err)
		print_error("%s\n", text);
	else if (g->method)
		g->parse = a2a_parse(&g->a, r, g->method, 7, &g->e);
	else
		g->parse = mcp_parse(&g->m, r, 7, &g->e);
	loop_stop(loop, 0);
}

static void exchange(bool tls, const char *path, struct wire_header *h, size_t n, char *body,
		     struct got *g)
{
	char url[100];
	struct http_call_spec s = { .method = "POST",
				    .url = url,
				    .headers = h,
				    .nheaders = n,
				    .body = body,
				    .len = strlen(body),
				    .did = "did:web:alice.example",
				    .unix_path = tls ? NULL : sock };

	if (tls)
		(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", http_listen_port(srv, 0),
			       path);
	else
		(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	assert_int_equal(http_call_start(NULL, client, &s, on_done, g, NULL), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(g->calls, 1);
	assert_int_equal(g->err, 0);
	if (g->parse)
		print_error("%s\n", g->e.text);
	assert_int_equal(g->parse, 0);
	free(body);
}

static void a2a_talk(bool tls)
{
	json_t *data = json_pack("[{s:s}]", "@type", "Intent");
	struct a2a_send m = { .message_id = tls ? "m1" : "u1", .data = data, .context_id = "c1" };
	struct got g = { .method = "SendMessage" };
	struct wire_header h[3];
	size_t n = a2a_client_headers(h, NULL);
	char task[A2A_ID_MAX + 1];

	exchange(tls, "/a2a", h, n, a2a_build_send(&m, 7), &g);
	assert_true(g.a.is_task);
	assert_int_equal(g.a.state, A2A_INPUT_REQUIRED);
	assert_string_equal(g.a.context_id, "c1");
	assert_int_equal(g.a.nartifacts, 1);
	assert_string_equal(g.a.artifacts[0].name, "Quote");
	assert_int_equal(json_integer_value(json_object_get(g.a.artifacts[0].data, "priceMinor")),
			 42);
	assert_int_equal(json_array_size(g.a.data), 1);
	assert_string_equal(seen_did, tls ? "did:web:bob.example" : "");
	assert_true(str_set(task, g.a.task_id));
	a2a_result_clear(&g.a);
	m.message_id = tls ? "m2" : "u2";
	m.task_id = task;
	g = (struct got){ .method = "SendMessage" };
	exchange(tls, "/a2a", h, n, a2a_build_send(&m, 7), &g);
	assert_int_equal(g.a.state, A2A_COMPLETED);
	a2a_result_clear(&g.a);
	g = (struct got){ .method = "GetTask" };
	exchange(tls, "/a2a", h, n, a2a_build_task("GetTask", task, 7), &g);
	assert_int_equal(g.a.state, A2A_COMPLETED);
	a2a_result_clear(&g.a);
	/* the same task through the other door belongs to another caller */
	g = (struct got){ .method = "GetTask" };
	exchange(!tls, "/a2a", h, n, a2a_build_task("GetTask", task, 7), &g);
	assert_int_equal(g.a.code, A2A_E_TASK_NOT_FOUND);
	assert_non_null(g.a.error_data);
	a2a_result_clear(&g.a);
	json_decref(data);
}

static void a2a_over_tls(void **state)
{
	(void)state;
	a2a_talk(true);
}

static void a2a_over_unix(void **state)
{
	(void)state;
	a2a_talk(false);
}

static void mcp_over_both(void **state)
{
	struct mcp_call c = { .method = "tools/call",
			      .tool = "step",
			      .client_name = "oss",
			      .client_version = "1",
			      .rpc_id = 7 };
	struct wire_header h[5];

	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct got g = { 0 };

		exchange(tls, "/mcp", h, mcp_client_headers(h, &c), mcp_build(&c), &g);
		assert_true(json_is_true(json_object_get(g.m.structured, "done")));
		mcp_result_clear(&g.m);
	}
}

struct raw {
	int status;
	json_int_t code;
};

static void on_raw(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct raw *g = arg;
	json_t *root = err ? NULL : json_loadb(r->body, r->len, 0, NULL);

	if (err)
		print_error("%s\n", text);
	g->status = err ? err : r->status;
	g->code = json_integer_value(json_object_get(json_object_get(root, "error"), "code"));
	json_decref(root);
	loop_stop(loop, 0);
}

/* A body of that many levels to one of the protocols. */
static struct raw deep(bool tls, const char *path, const char *method, struct wire_header *h,
		       size_t n, int levels)
{
	char url[100], body[512];
	struct raw g = { 0 };
	struct http_call_spec s = { .method = "POST",
				    .url = url,
				    .headers = h,
				    .nheaders = n,
				    .body = body,
				    .did = "did:web:alice.example",
				    .unix_path = tls ? NULL : sock };
	int len = snprintf(
		body, sizeof(body),
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"%s\",\"params\":{\"x\":", method);

	for (int i = 0; i < 2 * (levels - 2); i++)
		body[len++] = i < levels - 2 ? '[' : ']';
	body[len++] = '}';
	body[len++] = '}';
	s.len = (size_t)len;
	if (tls)
		(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", http_listen_port(srv, 0),
			       path);
	else
		(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	assert_int_equal(http_call_start(NULL, client, &s, on_raw, &g, NULL), 0);
	assert_int_equal(loop_run(loop), 0);
	return g;
}

static void bodies_of_too_many_levels_are_no_json(void **state)
{
	const struct mcp_call c = { .method = "tools/call",
				    .tool = "step",
				    .client_name = "oss",
				    .client_version = "1",
				    .rpc_id = 7 };
	struct wire_header h[5];

	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		size_t n = a2a_client_headers(h, NULL);
		struct raw g = deep(tls, "/a2a", "GetTask", h, n, 32);

		assert_int_equal(g.status, 200);
		assert_int_equal(g.code, A2A_E_PARAMS);
		for (int levels = 33; levels < 200; levels += 80) {
			n = a2a_client_headers(h, NULL);
			g = deep(tls, "/a2a", "GetTask", h, n, levels);
			assert_int_equal(g.status, 200);
			assert_int_equal(g.code, A2A_E_PARSE);
			n = mcp_client_headers(h, &c);
			g = deep(tls, "/mcp", "tools/call", h, n, levels);
			assert_int_equal(g.status, 400);
			assert_int_equal(g.code, MCP_E_PARSE);
		}
		n = mcp_client_headers(h, &c);
		g = deep(tls, "/mcp", "tools/call", h, n, 32);
		assert_int_equal(g.status, 400);
		assert_int_not_equal(g.code, MCP_E_PARSE);
	}
}

#define RES(r)  "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":" r "}"
#define STATUS  "\"status\":{\"state\":\"TASK_STATE_WORKING\"}"
#define TASK(m) RES("{\"task\":{\"id\":\"t\"," STATUS m "}}")
#define MSG(m)                                                                                    \
	RES("{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\",\"contextId\":\"c\"" m "}" \
	    "}")
#define PARTS ",\"parts\":[{\"data\":1}]"

static void client_reads_strictly(void **state)
{
	static const struct {
		const char *body;
		bool ok;
	} rows[] = {
		{ TASK(""), true },
		{ TASK(",\"artifacts\":[{\"artifactId\":\"a\"" PARTS "}]"), true },
		{ MSG(PARTS), true },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32001,\"message\":\"x\"}}",
		  true },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-1,\"message\":\"x\",\"data\":"
		  "{}}}",
		  false },
		{ "{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{}}", false },
		{ RES("{}"), false },
		{ RES("[]"), false },
		{ RES("{\"task\":{\"id\":\"t\"," STATUS "},\"x\":1}"), false },
		{ RES("{\"task\":{" STATUS "}}"), false },
		{ RES("{\"task\":{\"id\":\"t\"}}"), false },
		{ RES("{\"task\":{\"id\":\"t\",\"status\":{}}}"), false },
		{ RES("{\"task\":{\"id\":\"t\",\"status\":{\"state\":\"working\"}}}"), false },
		{ TASK(",\"kind\":\"task\""), false },
		{ TASK(",\"metadata\":[]"), false },
		{ TASK(",\"artifacts\":{}"), false },
		{ TASK(",\"artifacts\":[{"
		       "\"artifactId\":\"a\"}]"),
		  false },
		{ TASK(",\"artifacts\":[{\"artifactId\":\"\"" PARTS "}]"), false },
		{ MSG(""), false },
		{ MSG(",\"parts\":[]"), false },
		{ MSG(",\"parts\":[{}]"), false },
		{ MSG(",\"parts\":[{\"data\":1,\"text\":\"x\"}]"), false },
		{ MSG(",\"parts\":[{\"data\":1,\"kind\":\"data\"}]"), false },
		{ RES("{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"contextId\":"
		      "\"c\"" PARTS "}}"),
		  false },
		{ RES("{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\"" PARTS "}}"),
		  false },
	};
	struct wire_response r = { .status = 200, .content_type = "application/json" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct a2a_result a;
		int n;

		r.body = rows[i].body;
		r.len = strlen(r.body);
		n = a2a_parse(&a, &r, "SendMessage", 7, NULL);
		if (n != (rows[i].ok ? 0 : -EPROTO))
			print_error("row %zu %s\n", i, rows[i].body);
		assert_int_equal(n, rows[i].ok ? 0 : -EPROTO);
		if (!n)
			a2a_result_clear(&a);
	}
	r.status = 500;
	struct a2a_result a;
	assert_int_equal(a2a_parse(&a, &r, "SendMessage", 7, NULL), -EPROTO);
}

static int group_setup(void **state)
{
	(void)state;
	return lab_make() || lab_id(&alice, "alice") || lab_id(&bob, "bob");
}

static int group_teardown(void **state)
{
	(void)state;
	alice = tls_id_free(alice);
	bob = tls_id_free(bob);
	lab_remove();
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a2a_over_tls),          T(a2a_over_unix),
		T(mcp_over_both),         T(bodies_of_too_many_levels_are_no_json),
		T(client_reads_strictly),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
