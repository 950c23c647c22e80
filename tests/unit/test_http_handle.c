/* SPDX-License-Identifier: Apache-2.0 */
/* What our HTTP client keeps from call to call: curl's handles and a connection's buffers. */
#include "http_fetch.h"

#include <curl/curl.h>
#include <openssl/ssl.h>

static unsigned handles, resets; /* of curl's, so far */

CURL *__real_curl_easy_init(void);
CURL *__wrap_curl_easy_init(void);
CURL *__wrap_curl_easy_init(void)
{
	handles++;
	return __real_curl_easy_init();
}

void __real_curl_easy_reset(CURL *easy);
void __wrap_curl_easy_reset(CURL *easy);
void __wrap_curl_easy_reset(CURL *easy)
{
	resets++;
	__real_curl_easy_reset(easy);
}

static void on_two(void *arg, int err, const struct wire_response *r, const char *text)
{
	static struct http_call_spec s = { .method = "GET", .url = "http://localhost/who?2" };
	struct got *g = arg;

	(void)text;
	assert_int_equal(err, 0);
	s.unix_path = sock;
	if (!g->calls++) { /* the first's handle is not free yet */
		assert_int_equal(http_call_start(NULL, client, &s, on_two, g, NULL), 0);
		return;
	}
	assert_string_equal(r->body, "  1 1 2");
	loop_stop(loop, 0);
}

static void on_last(void *arg, int err, const struct wire_response *r, const char *text)
{
	(void)arg;
	(void)err;
	(void)r;
	(void)text;
	client = http_client_free(client);
	loop_stop(loop, 0);
}

/* A handle serves one call after the other, and nothing of the one before: method, body, headers,
 * peer, limits, error. */
static void a_handle_is_used_again(void **state)
{
	struct wire_header odd = { "X-Odd", "1" };
	struct http_call_spec tls = { .did = ALICE }, get = { .unix_path = sock }, post = get;
	struct got g;

	(void)state;
	handles = 0;
	post.method = "POST";
	post.body = "body";
	post.len = 4;
	post.headers = &odd;
	post.nheaders = 1;
	for (int i = 0; i < 8; i++) {
		g = fetch(post, "/echo");
		assert_string_equal(g.body, "body");
		assert_int_equal(g.headers, 3);
		g = fetch(get, "/headers");
		assert_string_equal(g.body, "GET 0 3"); /* Host, User-Agent, Accept */
		assert_int_equal(g.headers, 3);
		assert_string_equal(fetch(tls, "/who").body, "did:web:bob.example bob 0 0 ");
		tls.did = BOB;
		assert_int_equal(fetch(tls, "/who").err, -EACCES);
		tls.did = ALICE;
		post.max_bytes = 3;
		assert_int_equal(fetch(post, "/echo").err, -EMSGSIZE);
		post.max_bytes = 0;
	}
	assert_int_equal(handles, 1);
	memset(&g, 0, sizeof(g));
	get.method = "GET";
	get.url = "http://localhost/who?1";
	assert_int_equal(http_call_start(NULL, client, &get, on_two, &g, NULL), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(g.calls, 2);
	assert_int_equal(handles, 2);
	assert_int_equal(http_call_start(NULL, client, &get, on_last, &g, NULL), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_null(client); /* freed by the last call's own callback */
}

/* The handle of a peer is not reset between its calls: each says anew what it is. */
static void a_peers_handle_is_set_anew(void **state)
{
	struct wire_header odd = { "X-Odd", "1" };
	struct http_call_spec get = { .did = ALICE }, post = get, del = get, slow = get;
	struct got g;

	(void)state;
	handles = resets = 0;
	post.method = "POST";
	post.body = "body";
	post.len = 4;
	post.headers = &odd;
	post.nheaders = 1;
	del.method = "DELETE";
	slow.timeout_us = 50000;
	for (int i = 0; i < 3; i++) {
		assert_string_equal(fetch(post, "/echo").body, "body");
		g = fetch(post, "/headers"); /* with type, length and ours */
		assert_string_equal(g.body, "POST 4 6");
		g = fetch(get, "/headers");
		assert_string_equal(g.body, "GET 0 3"); /* Host, User-Agent, Accept */
		g = fetch(del, "/headers");
		assert_string_equal(g.body, "DELETE 0 3");
		assert_string_equal(fetch(get, "/headers").body, "GET 0 3");
		assert_int_equal(fetch(slow, "/hold").err, -ETIMEDOUT);
		reply_text(held, 200, "", 0);
		g = fetch(get, "/later");
		assert_string_equal(g.body, "later");
		assert_string_equal(g.text, "");
	}
	assert_int_equal(handles, 1);
	assert_int_equal(resets, 0);
}

/* A connection that is kept keeps its two buffers of a record: libcurl would have them made and
 * freed for each. */
static void buffers_stay(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	(void)state;
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* as libcurl does */
	assert_int_equal(tls_client_setup(ctx, bob, ALICE), 0);
	assert_int_equal(SSL_CTX_get_mode(ctx) & SSL_MODE_RELEASE_BUFFERS, 0);
	SSL_CTX_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_handle_is_used_again),
		T(a_peers_handle_is_set_anew),
		T(buffers_stay),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
