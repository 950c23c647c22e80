/* SPDX-License-Identifier: Apache-2.0 */
/* Our A2A client against the official SDK's server and against our own, on plain-HTTP loopback: a
 * test build that is never installed. a2a-client PORT KID DID-KEY: the card's signature must be of
 * that key. What the server does is chosen by the message's id. Every line but this driver is the
 * daemon's. */
#include <errno.h>
#include <stdio.h>

#include "agent/codec/did.h"
#include "agent/crypto/crypto.h"
#include "agent/loop.h"
#include "agent/wire/a2a.h"
#include "agent/wire/http_client.h"
#include "agent/wire/http_server.h"

static struct loop *loop;
static struct http_client *http;
static char base[64], *body;
static size_t len;
static int status, failed;
static char type[64];
static int64_t rpc; /* id of the last request */

static void row(const char *name, bool ok, const char *more)
{
	printf("%s %s%s%.300s\n", ok ? "ok  " : "FAIL", name, ok ? "" : ": ", ok ? "" : more);
	failed += !ok;
}

static void on_done(void *arg, int err, const struct wire_response *r, const char *why)
{
	(void)arg;
	free(body);
	status = err ? err : r->status;
	len = err ? strlen(why) : r->len;
	body = err ? strdup(why) : strndup(r->body, r->len);
	(void)snprintf(type, sizeof(type), "%s", !err && r->content_type ? r->content_type : "");
	loop_stop(loop, 0);
}

static void call(const char *path, const char *method, const char *text)
{
	char url[160];
	struct wire_header h[3];
	struct http_call_spec s = { .method = method,
				    .url = url,
				    .headers = h,
				    .nheaders = a2a_client_headers(h, NULL),
				    .body = text,
				    .len = text ? strlen(text) : 0,
				    .plain = true };
	struct err e = { 0 };

	(void)snprintf(url, sizeof(url), "%s%s", base, path);
	if (http_call_start(NULL, http, &s, on_done, NULL, &e) || loop_run(loop)) {
		printf("FAIL %s: %s\n", path, e.text);
		exit(1);
	}
}

/* The parsed answer of one method; text is freed. */
static bool ask(char *text, const char *method, struct a2a_result *ret)
{
	struct wire_response r;
	struct err e = { 0 };

	call("/a2a", "POST", text);
	free(text);
	r = (struct wire_response){
		.status = status, .content_type = type, .body = body, .len = len
	};
	if (!a2a_parse(ret, &r, method, rpc, &e))
		return true;
	row(method, false, e.text);
	return false;
}

/* The number that the answer must have: of ours, or given back. */
static bool is_42(const json_t *data)
{
	return json_integer_value(json_object_get(data, "answer")) == 42 ||
	       json_integer_value(json_object_get(data, "count")) == 42;
}

static bool send_message(const char *id, const struct a2a_result *to, struct a2a_result *ret)
{
	json_t *data = json_pack("[{s:s, s:i}]", "@type", "Order", "answer", 42);
	struct a2a_send m = { .message_id = id,
			      .task_id = to ? to->task_id : NULL,
			      .context_id = to ? to->context_id : NULL,
			      .data = data };
	bool ok = ask(a2a_build_send(&m, ++rpc), "SendMessage", ret);

	json_decref(data);
	return ok;
}

static bool task_call(const char *method, const char *task, struct a2a_result *ret)
{
	return ask(a2a_build_task(method, task, ++rpc), method, ret);
}

static void card(const char *kid, const char *did)
{
	uint8_t pub[32];
	struct err e = { 0 };
	char *at;

	call("/.well-known/agent-card.json", "GET", NULL);
	row("card is there", status == 200, body);
	if (did_key_parse(did, pub)) {
		row("the key is a did:key", false, did);
		return;
	}
	row("card verifies", !a2a_card_verify(body, len, kid, pub, &e), e.text);
	row("not with another key id", a2a_card_verify(body, len, "x", pub, &e) == -EKEYREJECTED,
	    e.text);
	at = strstr(body, "\"name\":\"");
	if (at)
		at[8] = 'X';
	row("not when changed", at && a2a_card_verify(body, len, kid, pub, &e) == -EKEYREJECTED,
	    body);
}

static void talk(void)
{
	struct a2a_result r, t;

	if (send_message("tck-artifact-data-1", NULL, &r)) {
		row("send", r.is_task && r.state == A2A_COMPLETED, body);
		row("artifact", r.nartifacts == 1 && is_42(r.artifacts[0].data), body);
		a2a_result_clear(&r);
	}
	if (send_message("tck-message-response-1", NULL, &r)) {
		row("message",
		    !r.is_task && !r.code &&
			    (!json_array_size(r.data) || is_42(json_array_get(r.data, 0))),
		    body);
		a2a_result_clear(&r);
	}
	if (send_message("tck-input-required-1", NULL, &t)) {
		row("input required", t.is_task && t.state == A2A_INPUT_REQUIRED, body);
		if (task_call("GetTask", t.task_id, &r)) {
			row("get",
			    r.is_task && r.state == A2A_INPUT_REQUIRED &&
				    !strcmp(r.task_id, t.task_id),
			    body);
			a2a_result_clear(&r);
		}
		if (send_message("tck-complete-task-2", &t, &r)) {
			row("follow-up", r.state == A2A_COMPLETED && !strcmp(r.task_id, t.task_id),
			    body);
			a2a_result_clear(&r);
		}
		a2a_result_clear(&t);
	}
	if (send_message("tck-input-required-2", NULL, &t)) {
		if (task_call("CancelTask", t.task_id, &r)) {
			row("cancel", r.is_task && r.state == A2A_CANCELED, body);
			a2a_result_clear(&r);
		}
		a2a_result_clear(&t);
	}
	if (task_call("GetTask", "no-such-task", &r)) {
		row("unknown task", r.code == A2A_E_TASK_NOT_FOUND, body);
		a2a_result_clear(&r);
	}
}

/* --- streams ---------------------------------------------------------------------------------- */

struct stream {
	struct a2a_watch *watch;
	unsigned n;
	enum a2a_state first, last;
	bool artifact, over, tell_begin;
	char task[A2A_ID_MAX + 1];
	int end, code;
	struct err e;
};

static void on_told(void *arg, const struct a2a_told *t)
{
	struct stream *s = arg;

	s->code = t->r.code;
	s->artifact |= t->kind == A2A_TOLD_ARTIFACT;
	if (t->kind == A2A_TOLD_TASK || t->kind == A2A_TOLD_STATUS) {
		s->last = t->r.state;
		(void)snprintf(s->task, sizeof(s->task), "%s", t->r.task_id);
		if (!s->n)
			s->first = s->last;
	}
	s->n++;
	if (s->tell_begin)
		loop_stop(loop, 0);
	s->tell_begin = false;
}

static int on_data(void *arg, const struct wire_response *head, const char *p, size_t n)
{
	struct stream *s = arg;

	return a2a_watch_feed(s->watch, head, p, n, &s->e);
}

static void on_end(void *arg, int err, const struct wire_response *r, const char *why)
{
	struct stream *s = arg;

	(void)r;
	s->over = true;
	s->end = a2a_watch_end(s->watch, &s->e);
	if (err && !s->end)
		s->end = err_set(&s->e, err, "%s", why);
	s->watch = a2a_watch_free(s->watch);
	loop_stop(loop, 0);
}

/* Text is freed. */
static void stream_start(struct stream *s, char *text)
{
	char url[160];
	struct wire_header h[3];
	struct http_call_spec c = { .method = "POST",
				    .url = url,
				    .headers = h,
				    .nheaders = a2a_client_headers(h, NULL),
				    .body = text,
				    .len = strlen(text),
				    .plain = true,
				    .on_data = on_data };

	(void)snprintf(url, sizeof(url), "%s/a2a", base);
	if (a2a_watch_new(&s->watch, rpc, on_told, s) ||
	    http_call_start(NULL, http, &c, on_end, s, &s->e)) {
		printf("FAIL stream: %s\n", s->e.text);
		exit(1);
	}
	free(text);
}

static char *stream_text(const char *id, const struct a2a_hook *hook)
{
	json_t *data = json_pack("[{s:i}]", "answer", 42);
	const struct a2a_send m = { .message_id = id, .data = data, .stream = true, .hook = hook };
	char *text = a2a_build_send(&m, ++rpc);

	json_decref(data);
	return text;
}

static void wait_for(struct stream *s)
{
	while (!s->over && !loop_run(loop))
		;
}

static void streams(void)
{
	struct stream a = { 0 }, b = { .tell_begin = true }, c = { 0 }, d = { 0 };

	stream_start(&a, stream_text("tck-stream-001-1", NULL));
	wait_for(&a);
	row("stream", !a.end && a.n >= 3 && a.artifact && a.last == A2A_COMPLETED, a.e.text);
	stream_start(&b, stream_text("test-resubscribe-message-id-1", NULL));
	while (!b.n && !b.over && !loop_run(loop))
		;
	stream_start(&c, a2a_build_task("SubscribeToTask", b.task, ++rpc));
	wait_for(&b);
	wait_for(&c);
	row("stream of a long task", !b.end && b.last == A2A_COMPLETED, b.e.text);
	row("subscribe",
	    !c.end && !strcmp(b.task, c.task) && c.first != A2A_COMPLETED &&
		    c.last == A2A_COMPLETED,
	    c.e.text);
	stream_start(&d, a2a_build_task("SubscribeToTask", "no-such-task", ++rpc));
	wait_for(&d);
	row("subscribe to nothing", !d.end && d.code == A2A_E_TASK_NOT_FOUND, d.e.text);
}

/* --- notifications ---------------------------------------------------------------------------- */

static struct {
	struct http_server *srv;
	char url[64], task[A2A_ID_MAX + 1], wrong[200];
	unsigned n;
	enum a2a_state last;
} hooked;

static void on_hook(void *arg, const struct wire_request *r, struct http_reply *token)
{
	const char *have = wire_header(r, "X-A2A-Notification-Token");
	struct a2a_told t;
	struct err e = { 0 };

	(void)arg;
	if (!have || strcmp(have, "tok") != 0) {
		(void)snprintf(hooked.wrong, sizeof(hooked.wrong), "token: %s", have ? have : "");
	} else if (a2a_told_read(&t, r->body, r->len, &e)) {
		(void)snprintf(hooked.wrong, sizeof(hooked.wrong), "%s", e.text);
	} else {
		if (!strcmp(t.r.task_id, hooked.task) && t.kind != A2A_TOLD_ARTIFACT)
			hooked.last = t.r.state;
		hooked.n++;
		a2a_result_clear(&t.r);
	}
	http_reply_send(token, &(struct wire_response){ .status = 204 });
	loop_stop(loop, 0);
}

static void too_late(void *arg)
{
	*(bool *)arg = true;
	loop_stop(loop, 0);
}

static void wait_for_hook(const char *name)
{
	bool late = false;
	struct loop_timer *t = loop_after(loop, 10000000, too_late, &late);

	while (!late && hooked.last != A2A_COMPLETED && !loop_run(loop))
		;
	if (!late)
		loop_cancel(loop, t);
	row(name, hooked.n && hooked.last == A2A_COMPLETED && !hooked.wrong[0], hooked.wrong);
}

static bool hook_call(const char *method, const char *task, const struct a2a_hook *h,
		      struct a2a_result *ret)
{
	return ask(a2a_build_hook(method, task, h, ++rpc), method, ret);
}

static void hook_calls(const char *task, const struct a2a_hook *h)
{
	struct a2a_result r;

	if (hook_call("CreateTaskPushNotificationConfig", task, h, &r)) {
		row("push create", r.nhooks == 1 && !strcmp(r.hooks[0].id, "hook"), body);
		a2a_result_clear(&r);
	}
	if (hook_call("GetTaskPushNotificationConfig", task, h, &r)) {
		row("push get", r.nhooks == 1 && !strcmp(r.hooks[0].url, h->url), body);
		a2a_result_clear(&r);
	}
	if (hook_call("ListTaskPushNotificationConfigs", task, NULL, &r)) {
		row("push list", r.nhooks == 1 && !strcmp(r.hooks[0].id, "hook"), body);
		a2a_result_clear(&r);
	}
}

static void notifications(void)
{
	const struct http_config hc = { .handler = on_hook };
	const struct a2a_hook h = { .id = "hook", .url = hooked.url, .token = "tok" };
	struct stream s = { .tell_begin = true };
	struct a2a_result t, r;
	struct err e = { 0 };

	if (http_server_new(&hooked.srv, loop, &hc, &e) ||
	    http_listen_plain(hooked.srv, "127.0.0.1", 0, "did:web:hook.example", &e)) {
		row("hook", false, e.text);
		return;
	}
	(void)snprintf(hooked.url, sizeof(hooked.url), "http://127.0.0.1:%u/",
		       http_listen_port(hooked.srv, 0));
	if (send_message("tck-input-required-3", NULL, &t)) {
		(void)snprintf(hooked.task, sizeof(hooked.task), "%s", t.task_id);
		hook_calls(t.task_id, &h);
		if (send_message("tck-complete-task-3", &t, &r)) {
			wait_for_hook("push told");
			a2a_result_clear(&r);
		}
		if (hook_call("DeleteTaskPushNotificationConfig", t.task_id, &h, &r)) {
			row("push delete", !r.code, body);
			a2a_result_clear(&r);
		}
		a2a_result_clear(&t);
	}
	hooked.last = A2A_SUBMITTED;
	stream_start(&s, stream_text("test-resubscribe-message-id-2", &h));
	while (!s.n && !s.over && !loop_run(loop))
		;
	(void)snprintf(hooked.task, sizeof(hooked.task), "%s", s.task);
	wait_for(&s);
	wait_for_hook("push with the message");
	hooked.srv = http_server_free(hooked.srv);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: a2a-client PORT KID DID-KEY\n");
		return 2;
	}
	(void)snprintf(base, sizeof(base), "http://127.0.0.1:%d", atoi(argv[1]));
	if (crypto_init() || loop_new(&loop, false) || http_client_new(&http, loop, NULL))
		return 1;
	card(argv[2], argv[3]);
	talk();
	streams();
	notifications();
	free(body);
	http = http_client_free(http);
	loop = loop_free(loop);
	if (!failed)
		puts("all rows hold");
	return failed ? 1 : 0;
}
