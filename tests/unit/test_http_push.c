/* SPDX-License-Identifier: Apache-2.0 */
/* Where a webhook may be, and that a notification arrives: in order, at its owner, three times at
 * the most, and nowhere that a redirect or a name could lead it. */
#include "agent/wire/http_addr.h"
#include "agent/wire/http_push.h"
#include "http_lab.h"

static const struct {
	const char *ip;
	bool is_public;
} address_rows[] = {
	{ "8.8.8.8", true },
	{ "0.0.0.0", false },
	{ "10.1.2.3", false },
	{ "100.64.0.1", false },
	{ "100.128.0.1", true },
	{ "127.0.0.1", false },
	{ "169.254.169.254", false },
	{ "172.15.0.1", true },
	{ "172.16.0.1", false },
	{ "172.31.255.255", false },
	{ "172.32.0.1", true },
	{ "192.0.0.1", false },
	{ "192.0.2.1", false },
	{ "192.168.1.1", false },
	{ "198.18.0.1", false },
	{ "198.19.255.1", false },
	{ "198.51.100.1", false },
	{ "203.0.113.7", false },
	{ "224.0.0.1", false },
	{ "255.255.255.255", false },
	{ "2a00:1450::1", true },
	{ "::", false },
	{ "::1", false },
	{ "fc00::1", false },
	{ "fd10::1", false },
	{ "fe80::1", false },
	{ "ff02::1", false },
	{ "::ffff:127.0.0.1", false },
	{ "::ffff:8.8.8.8", true },
	{ "64:ff9b::10.0.0.1", false },
	{ "64:ff9b::8.8.8.8", true },
	{ "2002:0a00:0001::1", false },
	{ "2002:0808:0808::1", true },
	{ "2001::1", false },
	{ "2001:db8::1", false },
	{ "2001:4860::1", true },
	{ "3fff::1", false },
	{ "::7f00:1", false },
};

static void addresses(void **state)
{

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(address_rows); i++) {
		struct sockaddr_storage ss = { 0 };
		bool v6 = strchr(address_rows[i].ip, ':');

		ss.ss_family = v6 ? AF_INET6 : AF_INET;
		assert_int_equal(inet_pton(ss.ss_family, address_rows[i].ip,
					   v6 ? (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr
					      : (void *)&((struct sockaddr_in *)&ss)->sin_addr),
				 1);
		if (http_addr_public((struct sockaddr *)&ss) != address_rows[i].is_public)
			fail_msg("%s", address_rows[i].ip);
	}
	assert_false(http_addr_public(&(struct sockaddr){ .sa_family = AF_UNIX }));
}

static void urls(void **state)
{
	static const struct {
		const char *url;
		bool ok;
	} rows[] = {
		{ "https://a.example/x?y=1", true },
		{ "https://a.example:8443", true },
		{ "https://[2a00:1450::1]:443/", true },
		{ "http://a.example/", false },
		{ "ftp://a.example/", false },
		{ "file:///etc/passwd", false },
		{ "//a.example/", false },
		{ "https:///x", false },
		{ "https://", false },
		{ "https://u:p@a.example/", false },
		{ "https://a.example@127.0.0.1/", false },
		{ "https://a.example/#f", false },
		{ "https://a.example\\@b/", false },
		{ "https://a b/", false },
		{ "https://a.example/\r\nX: y", false },
		{ "https://a.example:0/", false },
		{ "https://a.example:65536/", false },
		{ "https://a.example:x/", false },
		{ "https://127.0.0.1/", false },
		{ "https://127.1/", false },
		{ "https://2130706433/", false },
		{ "https://0x7f.1/", false },
		{ "https://0177.0.0.1/", false },
		{ "https://[::1]/", false },
		{ "https://[::ffff:10.0.0.1]/", false },
		{ "https://[::1/", false },
		{ "https://169.254.169.254/latest", false },
		{ "https://a%2eexample/", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		int r = http_url_check(rows[i].url, false, false, &e);

		if (!r != rows[i].ok || (r && !e.text[0]))
			fail_msg("%s: %s", rows[i].url, e.text);
	}
	assert_int_equal(http_url_check("https://127.0.0.1/", true, false, NULL), 0);
	assert_int_equal(http_url_check("http://127.0.0.1/", true, true, NULL), 0);
}

/* --- delivery: the lab's server is alice; /hook answers as told ------------------------------- */

static struct http_push *push;
static struct {
	unsigned n;
	int status[16];
	char body[16][64], auth[16][64], type[16][64];
} hook;

static void on_hook(void *arg, const struct wire_request *r, struct http_reply *t)
{
	static const struct wire_header away = { "Location", "/elsewhere" };
	const char *auth = wire_header(r, "Authorization");
	unsigned i = hook.n++;
	struct wire_response a = { .status = 200, .headers = &away };

	(void)arg;
	assert_string_equal(r->path, "/hook");
	if (i >= ARRAY_LEN(hook.status)) {
		http_reply_send(t, &a);
		return;
	}
	(void)snprintf(hook.body[i], sizeof(hook.body[i]), "%s", r->body);
	(void)snprintf(hook.auth[i], sizeof(hook.auth[i]), "%s", auth ? auth : "");
	(void)snprintf(hook.type[i], sizeof(hook.type[i]), "%s", wire_header(r, "Content-Type"));
	if (hook.status[i])
		a.status = hook.status[i];
	a.nheaders = a.status == 302;
	http_reply_send(t, &a);
}

static int hook_setup(void **state)
{
	const struct http_config c = { .handler = on_hook };

	(void)state;
	memset(&hook, 0, sizeof(hook));
	if (loop_new(&loop, false) || http_server_new(&srv, loop, &c, NULL) ||
	    http_listen_tls(srv, "127.0.0.1", 0, alice, NULL) ||
	    http_client_new(&client, loop, bob))
		return -1;
	port = http_listen_port(srv, 0);
	return 0;
}

static int hook_teardown(void **state)
{
	(void)state;
	push = http_push_free(push);
	client = http_client_free(client);
	srv = http_server_free(srv);
	run_for(0);
	loop = loop_free(loop);
	return 0;
}

static void start_with(bool private_ok, size_t max, size_t max_owner)
{
	const struct http_push_config c = { .private_ok = private_ok,
					    .retry_us = 10000,
					    .timeout_us = 5000000,
					    .max_queued = max,
					    .max_owner_queued = max_owner };

	assert_int_equal(http_push_new(&push, loop, client, &c), 0);
}

static void start(bool private_ok)
{
	start_with(private_ok, 10, 10);
}

static void tell_at(unsigned at, const char *owner, const char *config, const char *auth,
		    const char *body)
{
	char url[64];
	struct a2a_push n = { .owner = owner,
			      .task_id = "t",
			      .config_id = config,
			      .url = url,
			      .token = "",
			      .authorization = auth,
			      .body = body };

	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/hook", at);
	http_push_send(push, &n);
}

static void tell(const char *owner, const char *config, const char *body)
{
	tell_at(port, owner, config, "Bearer x", body);
}

/* Until so many notes found their end. */
static void settle(uint64_t n)
{
	struct http_push_stats s;

	for (int i = 0; i < 500; i++) {
		s = http_push_stats(push);
		if (s.delivered + s.failed >= n)
			return;
		run_for(10000);
	}
	fail_msg("%llu of %llu", (unsigned long long)(s.delivered + s.failed),
		 (unsigned long long)n);
}

static void in_order_and_again(void **state)
{
	(void)state;
	start(true);
	hook.status[0] = 503;
	tell("did:web:alice.example", "c", "one");
	tell("did:web:alice.example", "c", "two");
	settle(2);
	assert_int_equal(hook.n, 3);
	assert_string_equal(hook.body[0], "one");
	assert_string_equal(hook.body[1], "one");
	assert_string_equal(hook.body[2], "two");
	assert_string_equal(hook.auth[2], "Bearer x");
	assert_string_equal(hook.type[2], "application/a2a+json");
	assert_int_equal(http_push_stats(push).delivered, 2);
}

static void redirects_and_errors_end_after_three_tries(void **state)
{
	(void)state;
	start(true);
	hook.status[0] = hook.status[1] = hook.status[2] = 302;
	tell("did:web:alice.example", "c", "one");
	tell("did:web:alice.example", "c", "two");
	settle(2);
	assert_int_equal(hook.n, 4);
	assert_int_equal(http_push_stats(push).failed, 1);
	assert_int_equal(http_push_stats(push).delivered, 1);
}

static void only_the_owner_is_told(void **state)
{
	(void)state;
	start(true);
	tell("did:web:carol.example", "c", "secret");
	settle(1);
	assert_int_equal(hook.n, 0);
	assert_int_equal(http_push_stats(push).failed, 1);
	assert_int_equal(http_push_stats(push).tries, 3);
}

/* The name was public when it was given; now it leads here. */
static void private_addresses_are_not_connected_to(void **state)
{
	struct err e = { 0 };
	const struct peer p = { .did = "did:web:alice.example" }, local = { .local = true };

	(void)state;
	start(false);
	tell("did:web:alice.example", "c", "one");
	settle(1);
	assert_int_equal(hook.n, 0);
	assert_int_equal(http_server_stats(srv).accepted, 0);
	assert_int_equal(http_push_check(push, &p, "https://10.0.0.1/", &e), -EINVAL);
	assert_int_equal(http_push_check(push, &p, "https://a.example/", &e), 0);
	assert_int_equal(http_push_check(push, &local, "https://a.example/", &e), -EINVAL);
}

static void queue_is_bounded(void **state)
{
	(void)state;
	start(true);
	for (int i = 0; i < 15; i++)
		tell("did:web:alice.example", "c", "x");
	settle(10);
	assert_int_equal(http_push_stats(push).dropped, 5);
	assert_int_equal(hook.n, 10);
	tell("did:web:alice.example", "c", "x");
	push = http_push_free(push); /* with one under way */
}

/* Whoever mended its webhook's address, or its credential, is told there what waited. */
static void replaced_configurations_hold_for_what_waits(void **state)
{
	(void)state;
	start(true);
	tell_at(1, "did:web:alice.example", "c", "Bearer old", "one"); /* nobody listens */
	tell_at(port, "did:web:alice.example", "c", "Bearer new", "two");
	settle(2);
	assert_int_equal(http_push_stats(push).delivered, 2);
	assert_int_equal(hook.n, 2);
	assert_string_equal(hook.body[0], "one");
	assert_string_equal(hook.body[1], "two");
	assert_string_equal(hook.auth[1], "Bearer new");
}

static void ignore(void *arg, int err, const struct wire_response *r, const char *text)
{
	(void)arg;
	(void)err;
	(void)r;
	(void)text;
}

/* A process has 256 calls: somebody with more webhooks than that must leave others theirs. */
static void many_webhooks_leave_room_for_other_calls(void **state)
{
	struct http_call_spec s = { .method = "GET",
				    .url = "https://127.0.0.1:1/",
				    .did = "did:web:carol.example" };
	struct http_call *other = NULL;
	struct err e = { 0 };
	char id[16];

	(void)state;
	start_with(true, 1000, 300);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(id, sizeof(id), "c%d", i);
		tell("did:web:alice.example", id, "x");
	}
	assert_int_equal(http_call_start(&other, client, &s, ignore, NULL, &e), 0);
	http_call_cancel(other);
	settle(300);
	assert_int_equal(http_push_stats(push).delivered, 300);
}

static void one_owner_does_not_fill_the_queue(void **state)
{
	(void)state;
	start_with(true, 10, 4);
	for (int i = 0; i < 9; i++)
		tell("did:web:carol.example", "c", "x");
	tell("did:web:alice.example", "a", "y");
	assert_int_equal(http_push_stats(push).dropped, 5);
	settle(5);
	assert_int_equal(http_push_stats(push).delivered, 1);
	assert_string_equal(hook.body[0], "y");
}

#define H(f) cmocka_unit_test_setup_teardown(f, hook_setup, hook_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(urls),
		H(in_order_and_again),
		H(redirects_and_errors_end_after_three_tries),
		H(only_the_owner_is_told),
		H(private_addresses_are_not_connected_to),
		H(queue_is_bounded),
		H(replaced_configurations_hold_for_what_waits),
		H(one_owner_does_not_fill_the_queue),
		H(many_webhooks_leave_room_for_other_calls),
	};

	(void)setup;
	(void)teardown;
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
