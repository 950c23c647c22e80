/* SPDX-License-Identifier: Apache-2.0 */
/* Our HTTP client's connections: who waits for one, how long, and what is watched of one that
 * rests. */
#include <dirent.h>

#include "http_lab.h"

#define ALICE "did:web:alice.example"

enum { ALL_CONNS = 56 }; /* http_pool.c: to one peer */

static struct http_reply *kept[4 * ALL_CONNS];
static size_t nkept;

/* A handler that answers /hold when let_go() says so. */
static void keep(void *arg, const struct wire_request *r, struct http_reply *t)
{
	if (strcmp(r->path, "/hold")) {
		handler(arg, r, t);
		return;
	}
	assert_in_range(nkept, 0, ARRAY_LEN(kept) - 1);
	kept[nkept++] = t;
}

static void let_go(void)
{
	while (nkept)
		reply_text(kept[--nkept], 200, "", 0);
}

static void serve_keeping(void)
{
	struct http_config c = { .handler = keep };

	srv = http_server_free(srv);
	assert_int_equal(http_server_new(&srv, loop, &c, NULL), 0);
	assert_int_equal(http_listen_tls(srv, "127.0.0.1", 0, alice, NULL), 0);
	port = http_listen_port(srv, 0);
}

struct end {
	int n, err;
	char text[64];
	int *count; /* how many have ended before */
};

static void on_end(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct end *e = arg;

	e->n = ++*e->count;
	e->err = err;
	(void)snprintf(e->text, sizeof(e->text), "%s", r ? r->body : text);
}

static struct http_call *begin(const char *path, int64_t timeout_us, struct end *e)
{
	char url[128];
	struct http_call_spec s = {
		.url = url, .method = "GET", .did = ALICE, .timeout_us = timeout_us
	};
	struct http_call *k = NULL;

	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", port, path);
	assert_int_equal(http_call_start(&k, client, &s, on_end, e, NULL), 0);
	return k;
}

static void wait_ended(const int *count, int want)
{
	for (int i = 0; i < 5000 && *count < want; i++)
		run_for(1000);
	assert_int_equal(*count, want);
}

/* Who waits for a connection has the same time as any: it is over while all are still held. Whom
 * that leaves gets the first one that is free. */
static void calls_wait_for_a_connection(void **state)
{
	struct end on[ALL_CONNS] = { 0 }, late = { 0 }, gone = { 0 }, last = { 0 };
	struct http_call *first = NULL, *k;
	int count = 0, cancelled = 0;

	(void)state;
	serve_keeping();
	for (int i = 0; i < ALL_CONNS; i++) {
		on[i].count = &count;
		k = begin("/hold", 0, &on[i]);
		first = first ? first : k;
	}
	late.count = last.count = &count;
	gone.count = &cancelled;
	(void)begin("/who", 50000, &late);
	k = begin("/who", 0, &gone);
	(void)begin("/who?last", 0, &last);
	http_call_cancel(k);
	wait_ended(&count, 1);
	assert_int_equal(late.n, 1);
	assert_int_equal(late.err, -ETIMEDOUT);
	assert_string_equal(late.text, "no connection was free in time");
	http_call_cancel(first);
	wait_ended(&count, 2);
	assert_int_equal(last.n, 2);
	assert_int_equal(last.err, 0);
	assert_string_equal(last.text, "did:web:bob.example bob 0 0 last");
	let_go();
	wait_ended(&count, ALL_CONNS + 1);
	assert_int_equal(cancelled, 0);
	/* Without its calls' ends when it goes. */
	for (int i = 0; i < ALL_CONNS; i++)
		(void)begin("/hold", 0, &on[i]);
	(void)begin("/who", 0, &last);
	(void)begin("/who", 0, &late);
	client = http_client_free(client);
	run_for(100000);
	let_go();
	assert_int_equal(count, ALL_CONNS + 1);
}

/* Four times as many calls as connections, each of them answered, and in the order in which they
 * were made where one server's turn allows it: no call is passed over by a later one's answer. */
static void calls_take_turns(void **state)
{
	enum { N = 4 * ALL_CONNS };
	struct end on[N] = { 0 };
	int count = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		on[i].count = &count;
		(void)begin("/later", 0, &on[i]);
	}
	wait_ended(&count, N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(on[i].err, 0);
		assert_string_equal(on[i].text, "later");
		/* a connection has one call of each round */
		assert_in_range(on[i].n, i / ALL_CONNS ? (i / ALL_CONNS - 1) * ALL_CONNS + 1 : 1,
				(i / ALL_CONNS + 2) * ALL_CONNS);
	}
	assert_in_range(http_server_stats(srv).accepted, 1, ALL_CONNS);
}

/* Descriptors in all the epoll sets of this process. */
static unsigned watched(void)
{
	DIR *d = opendir("/proc/self/fdinfo");
	const struct dirent *x;
	unsigned n = 0;

	assert_non_null(d);
	while ((x = readdir(d))) {
		char name[300], line[128];
		FILE *f;

		(void)snprintf(name, sizeof(name), "/proc/self/fdinfo/%s", x->d_name);
		f = fopen(name, "re");
		while (f && fgets(line, sizeof(line), f))
			n += !strncmp(line, "tfd:", 4);
		if (f)
			(void)fclose(f);
	}
	(void)closedir(d);
	return n;
}

/* Between two calls a connection rests in the set: each end of it once. When the peer closes it, it
 * leaves, and the next call has another. */
static void a_resting_connection_stays_watched(void **state)
{
	struct end on[3] = { 0 };
	unsigned before;
	int count = 0;

	(void)state;
	serve_keeping();
	before = watched();
	for (int i = 0; i < 3; i++)
		on[i].count = &count;
	(void)begin("/who", 0, &on[0]);
	wait_ended(&count, 1);
	assert_int_equal(watched(), before + 2);
	(void)begin("/who", 0, &on[1]);
	wait_ended(&count, 2);
	assert_int_equal(watched(), before + 2);
	assert_int_equal(http_server_stats(srv).accepted, 1);
	serve_keeping();
	for (int i = 0; i < 1000 && watched() > before; i++)
		run_for(1000);
	assert_int_equal(watched(), before);
	(void)begin("/who", 0, &on[2]);
	wait_ended(&count, 3);
	assert_int_equal(on[2].err, 0);
	assert_int_equal(watched(), before + 2);
	client = http_client_free(client);
	for (int i = 0; i < 1000 && watched() > before; i++)
		run_for(1000);
	assert_int_equal(watched(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(calls_wait_for_a_connection),
		T(calls_take_turns),
		T(a_resting_connection_stays_watched),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
