/* SPDX-License-Identifier: Apache-2.0 */
/* Our A2A client against a server that is not ours, on plain-HTTP loopback: a test build that is
 * never installed. a2a-client PORT KID DID-KEY: the card's signature must be of that key. Every
 * line but this driver is the daemon's. */
#include <errno.h>
#include <stdio.h>

#include "agent/codec/did.h"
#include "agent/crypto/crypto.h"
#include "agent/loop.h"
#include "agent/wire/a2a.h"
#include "agent/wire/http_client.h"

static struct loop *loop;
static struct http_client *http;
static char base[64], *body;
static size_t len;
static int status, failed;
static char type[64];

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
	static int64_t id;
	struct wire_response r;
	struct err e = { 0 };

	call("/a2a", "POST", text);
	free(text);
	r = (struct wire_response){
		.status = status, .content_type = type, .body = body, .len = len
	};
	if (!a2a_parse(ret, &r, method, ++id, &e))
		return true;
	row(method, false, e.text);
	return false;
}

static int64_t rpc;

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
	at = strstr(body, "SDK agent");
	if (at)
		*at = 'X';
	row("not when changed", at && a2a_card_verify(body, len, kid, pub, &e) == -EKEYREJECTED,
	    body);
}

static void talk(void)
{
	struct a2a_result r, t;

	if (send_message("complete-1", NULL, &r)) {
		row("send", r.is_task && r.state == A2A_COMPLETED, body);
		row("artifact",
		    r.nartifacts == 1 && json_integer_value(json_object_get(r.artifacts[0].data,
									    "answer")) == 42,
		    body);
		a2a_result_clear(&r);
	}
	if (send_message("message-1", NULL, &r)) {
		row("message",
		    !r.is_task && !r.code &&
			    json_integer_value(
				    json_object_get(json_array_get(r.data, 0), "answer")) == 42,
		    body);
		a2a_result_clear(&r);
	}
	if (send_message("input-1", NULL, &t)) {
		row("input required", t.is_task && t.state == A2A_INPUT_REQUIRED, body);
		if (task_call("GetTask", t.task_id, &r)) {
			row("get",
			    r.is_task && r.state == A2A_INPUT_REQUIRED &&
				    !strcmp(r.task_id, t.task_id),
			    body);
			a2a_result_clear(&r);
		}
		if (send_message("complete-2", &t, &r)) {
			row("follow-up", r.state == A2A_COMPLETED && !strcmp(r.task_id, t.task_id),
			    body);
			a2a_result_clear(&r);
		}
		a2a_result_clear(&t);
	}
	if (send_message("input-2", NULL, &t)) {
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
	free(body);
	http = http_client_free(http);
	loop = loop_free(loop);
	if (!failed)
		puts("all rows hold");
	return failed ? 1 : 0;
}
