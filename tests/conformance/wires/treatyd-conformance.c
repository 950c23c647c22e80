/* SPDX-License-Identifier: Apache-2.0 */
/* The wires of the daemon behind a scripted executor, on plain-HTTP loopback, for the official
 * suites and SDKs: a test build that is never installed. Every line but the executor is the
 * daemon's. treatyd-conformance PORT [no-push] [no-streaming] [required-extension] */
#include "executor.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "agent/crypto/crypto.h"
#include "agent/wire/http_client.h"
#include "agent/wire/http_push.h"
#include "agent/wire/http_server.h"

static struct loop *loop;
static struct a2a_server *a2a;
static struct mcp_server *mcp;
static struct turns *turns;

static void route(void *arg, const struct wire_request *r, struct http_reply *t)
{
	static const struct wire_response missing = { .status = 404 };

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

static int sign(void *arg, const char *input, size_t len, uint8_t sig[64])
{
	ed25519_sign(sig, input, len, arg);
	return 0;
}

static bool has(int argc, char **argv, const char *word)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], word))
			return true;
	return false;
}

static int start_a2a(int argc, char **argv, uint16_t port, struct http_push *push, struct err *e)
{
	static const char *const skills[] = { "tck", "Does what the message id says", NULL };
	static const char *const more[] = { "tck-more", "Only for callers who are known", NULL };
	static uint8_t seed[32] = { 7 }; /* a test key: anybody may know it */
	struct a2a_app app = { .on_message = executor_message, .arg = loop };
	bool required = has(argc, argv, "required-extension");
	char url[64];
	struct a2a_config c = { .path = "/a2a",
				.url = url,
				.name = "treatyd-conformance",
				.description = "The wires of treatyd behind a script",
				.version = "0.1",
				.extension = required ? "urn:a2a:tck:required-extension" : NULL,
				.extension_required = required,
				.skills = skills,
				.extended_skills = more,
				.streaming = !has(argc, argv, "no-streaming"),
				.any_output = true,
				.pace = turns_pace(turns),
				.sign = sign,
				.sign_arg = seed,
				.sign_kid = "did:web:conformance.example#card",
				.now = now,
				.now_arg = loop };

	if (!has(argc, argv, "no-push")) {
		app.push = http_push_send;
		app.push_check = http_push_check;
		app.push_arg = push;
	}
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/a2a", port);
	return a2a_server_new(&a2a, &c, &app, e);
}

int main(int argc, char **argv)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", NULL };
	static char origin[2][64];
	const char *const origins[] = { origin[0], origin[1], NULL };
	const struct http_config hc = { .handler = route, .hosts = hosts, .origins = origins };
	const struct http_push_config pc = { .private_ok = true, .plain_ok = true };
	int port = argc > 1 ? atoi(argv[1]) : 0;
	struct http_server *srv = NULL;
	struct http_client *client = NULL;
	struct http_push *push = NULL;
	struct err e = { 0 };

	if (port < 1 || port > 65535) {
		fprintf(stderr, "usage: treatyd-conformance PORT [no-push] [no-streaming] "
				"[required-extension]\n");
		return 2;
	}
	(void)snprintf(origin[0], sizeof(origin[0]), "http://127.0.0.1:%d", port);
	(void)snprintf(origin[1], sizeof(origin[1]), "http://localhost:%d", port);
	if (crypto_init() || loop_new(&loop, false) || turns_new(&turns, loop) ||
	    http_client_new(&client, loop, NULL) || http_push_new(&push, loop, client, &pc) ||
	    start_a2a(argc, argv, (uint16_t)port, push, &e) ||
	    executor_mcp(&mcp, loop, turns, &e) || http_server_new(&srv, loop, &hc, &e) ||
	    http_listen_plain(srv, "127.0.0.1", (uint16_t)port, "did:web:conformance.example",
			      &e)) {
		fprintf(stderr, "treatyd-conformance: %s\n", e.text);
		return 1;
	}
	fprintf(stderr, "ready on 127.0.0.1:%d\n", port);
	return loop_run(loop) ? 1 : 0;
}
