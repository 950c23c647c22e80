/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_lab.h - for test_a2a.c and test_a2a_task.c: a server without sockets, and an application that
 * does what the first data part says. */
#ifndef TREATY_A2A_LAB_H
#define TREATY_A2A_LAB_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent/wire/a2a.h"

#define EXT "https://treaty.example/a2a/negotiation/v1"

static struct {
	int status, replies;
	char body[65536], ext[128], etag[128];
	json_t *json;
} got;
static struct a2a_server *srv;
static struct a2a_turn *held;
static unsigned app_calls;
static int cancel_answer;
static const struct peer alice = { .did = "did:web:alice.example" };
static int64_t clock_ms = 1790000000000;

static void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	got.replies++;
	got.status = r->status;
	assert_true(r->len < sizeof(got.body));
	memcpy(got.body, r->body ? r->body : "", r->len);
	got.body[r->len] = 0;
	got.ext[0] = got.etag[0] = 0;
	for (size_t i = 0; i < r->nheaders; i++) {
		if (!strcmp(r->headers[i].name, "A2A-Extensions"))
			(void)snprintf(got.ext, sizeof(got.ext), "%s", r->headers[i].value);
		if (!strcmp(r->headers[i].name, "ETag"))
			(void)snprintf(got.etag, sizeof(got.etag), "%s", r->headers[i].value);
	}
	json_decref(got.json);
	got.json = json_loads(got.body, 0, NULL);
}

static wall_t now(void *arg)
{
	(void)arg;
	return (wall_t){ clock_ms++ };
}

/* The first data part says what the application shall do. */
static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	const json_t *d = json_array_get(m->data, 0);
	const char *act = json_string_value(json_object_get(d, "act"));

	(void)arg;
	(void)p;
	app_calls++;
	assert_true(m->context_id[0] != 0);
	if (!act || !strcmp(act, "echo")) {
		a2a_turn_message(t, d ? d : json_object_get(m->metadata, "nothing"));
	} else if (!strcmp(act, "hold")) {
		held = t;
	} else if (!strcmp(act, "fail")) {
		a2a_turn_fail(t, A2A_E_PARAMS, "intent.class: unknown", d);
	} else if (!strcmp(act, "broken")) {
		return -EIO;
	} else if (!strcmp(act, "brief")) {
		json_t *first = json_pack("{s:s}", "act", "replaced");

		a2a_turn_brief(t);
		assert_int_equal(a2a_turn_artifact(t, "Agreement", first), 0);
		assert_int_equal(a2a_turn_artifact(t, "Agreement", d), 0);
		json_decref(first);
		a2a_turn_task(t, A2A_INPUT_REQUIRED, NULL);
	} else {
		assert_int_equal(a2a_turn_artifact(t, "Quote", d), 0);
		assert_int_equal(a2a_turn_metadata(t, d), 0);
		a2a_turn_task(t, a2a_state_parse(act), d);
	}
	return 0;
}

static int on_cancel(void *arg, const struct peer *p, const char *id)
{
	(void)arg;
	(void)p;
	(void)id;
	return cancel_answer;
}

static const char *const skills[] = { "negotiate", "Negotiates network service", NULL };
static struct a2a_config config = { .path = "/a2a",
				    .url = "https://op.lab.example:8443/a2a",
				    .name = "Operator",
				    .description = "Sells network service",
				    .version = "1.0.0",
				    .extension = EXT,
				    .skills = skills,
				    .now = now };

static inline int setup(void **state)
{
	static const struct a2a_app app = { .on_message = on_message, .on_cancel = on_cancel };

	(void)state;
	held = NULL;
	app_calls = 0;
	cancel_answer = 0;
	return a2a_server_new(&srv, &config, &app, NULL);
}

static int teardown(void **state)
{
	(void)state;
	srv = a2a_server_free(srv);
	json_decref(got.json);
	got.json = NULL;
	return 0;
}

static void send_raw(const struct peer *p, const char *method, const char *path,
		     const struct wire_header *h, size_t n, const char *body)
{
	struct wire_request r = { .method = method,
				  .path = path,
				  .query = "",
				  .headers = h,
				  .nheaders = n,
				  .body = body,
				  .len = strlen(body),
				  .peer = p };

	got.replies = 0;
	a2a_server_handle(srv, &r, (struct wire_sink){ .fn = on_reply });
}

static const struct wire_header good[] = { { "A2A-Version", "1.0" },
					   { "content-type", "application/json; charset=utf-8" },
					   { "A2A-Extensions", "urn:x, " EXT } };

static void post(const struct peer *p, const char *body)
{
	send_raw(p, "POST", "/a2a", good, ARRAY_LEN(good), body);
}

static void call(const struct peer *p, const char *method, const char *params)
{
	char body[4096];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"%s\",\"params\":%s}", method,
		       params);
	post(p, body);
}

static inline int64_t code(void)
{
	return json_integer_value(json_object_get(json_object_get(got.json, "error"), "code"));
}

static inline const char *at(const char *a, const char *b, const char *c)
{
	json_t *v = json_object_get(got.json, a);

	v = b ? json_object_get(v, b) : v;
	return json_string_value(c ? json_object_get(v, c) : v);
}

enum { PARAMS_MAX = 2048 };

/* Of a message whose one part is the act. */
static inline const char *message_params(char out[PARAMS_MAX], const char *id, const char *act,
					 const char *more)
{
	(void)snprintf(
		out, PARAMS_MAX,
		"{\"message\":{\"messageId\":\"%s\",\"role\":\"ROLE_USER\",\"parts\":[{\"data\":"
		"{\"act\":\"%s\"}}]%s}}",
		id, act, more);
	return out;
}

static inline void message(const struct peer *p, const char *id, const char *act, const char *more)
{
	char params[PARAMS_MAX];

	call(p, "SendMessage", message_params(params, id, act, more));
}

static inline json_t *task(void)
{
	json_t *r = json_object_get(got.json, "result");
	json_t *t = json_object_get(r, "task");

	return t ? t : r;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
