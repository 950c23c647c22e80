/* SPDX-License-Identifier: Apache-2.0 */
/* Our HTTP client against our server: who answers, limits, cancelling; the unix socket's file;
 * event streams and the drain. */
#include <sys/ioctl.h>

#include "agent/store/store.h"
#include "http_fetch.h"

/* --- our client ----------------------------------------------------------------------------- */

struct talk {
	char buf[8192];
	int status[4];
	bool ok;
};

static void client_checks_who_answers(void **state)
{
	struct http_call_spec s = { .did = ALICE };
	struct got g = fetch(s, "/who");

	(void)state;
	assert_int_equal(g.err, 0);
	assert_string_equal(g.body, "did:web:bob.example bob 0 0 ");
	assert_string_equal(g.type, "text/plain");
	(void)fetch(s, "/who");
	assert_int_equal(http_server_stats(srv).accepted, 1); /* the connection was kept */
	s.did = BOB; /* same address, another name: the kept one must not serve */
	g = fetch(s, "/who");
	assert_int_equal(g.err, -EACCES);
	assert_int_equal(http_server_stats(srv).requests, 2);
	s.did = NULL;
	s.url = "https://127.0.0.1:1/";
	s.method = "GET";
	assert_int_equal(http_call_start(NULL, client, &s, on_done, &g, NULL), -EINVAL);
	s.did = ALICE;
	assert_int_equal(fetch(s, "").err, -ECONNREFUSED);
	s.url = "http://127.0.0.1:1/";
	assert_int_equal(fetch(s, "").err, -EIO); /* https alone */
}

static void client_is_refused_or_refuses(void **state)
{
	struct http_call_spec s = { .did = ALICE };
	struct tls_id *mallory = NULL;
	struct err e = { 0 };
	struct got g;

	(void)state;
	/* mallory has a certificate in alice's name from another CA */
	assert_int_equal(tls_id_new(&mallory, lab_path("ca", ".pem"), lab_path("mallory", ".pem"),
				    lab_path("mallory", ".key"), &e),
			 0);
	client = http_client_free(client);
	assert_int_equal(http_client_new(&client, loop, mallory), 0);
	assert_int_equal(fetch(s, "/who").err, -EACCES);
	client = http_client_free(client);
	srv = http_server_free(srv);
	struct http_config c = { .handler = handler };
	assert_int_equal(http_server_new(&srv, loop, &c, NULL), 0);
	assert_int_equal(http_listen_tls(srv, "127.0.0.1", 0, mallory, NULL), 0);
	port = http_listen_port(srv, 0);
	assert_int_equal(http_client_new(&client, loop, bob), 0);
	g = fetch(s, "/who");
	assert_int_equal(g.err, -EACCES);
	assert_int_equal(http_server_stats(srv).requests, 0);
	client = http_client_free(client);
	srv = http_server_free(srv);
	mallory = tls_id_free(mallory);
}

static void client_limits(void **state)
{
	struct http_call_spec s = { .unix_path = sock };
	auto_free char *big = malloc(1 << 20);
	struct http_call *k = NULL;
	struct got g = { 0 };

	(void)state;
	memset(big, 'z', 1 << 20);
	s.method = "POST";
	s.body = big;
	s.len = 1 << 20;
	g = fetch(s, "/echo");
	assert_int_equal(g.err, 0);
	assert_int_equal(g.len, 1 << 20);
	s.max_bytes = (1 << 20) - 1;
	assert_int_equal(fetch(s, "/echo").err, -EMSGSIZE);
	s = (struct http_call_spec){ .did = ALICE, .method = "POST", .body = big, .len = 1 << 20 };
	g = fetch(s, "/echo");
	assert_int_equal(g.len, 1 << 20);
	s = (struct http_call_spec){ .unix_path = sock, .timeout_us = 50000 };
	assert_int_equal(fetch(s, "/hold").err, -ETIMEDOUT);
	reply_text(held, 200, "", 0);
	assert_string_equal(fetch((struct http_call_spec){ .unix_path = sock }, "/who").body,
			    "  1 1 ");
	assert_string_equal(fetch((struct http_call_spec){ .unix_path = sock }, "/later").body,
			    "later");
	/* cancelled: no callback */
	memset(&g, 0, sizeof(g));
	s = (struct http_call_spec){ .unix_path = sock,
				     .method = "GET",
				     .url = "http://localhost/x" };
	assert_int_equal(http_call_start(&k, client, &s, on_done, &g, NULL), 0);
	http_call_cancel(k);
	run_for(50000);
	assert_int_equal(g.calls, 0);
}

static void sync_call(void *arg)
{
	struct http_call_spec s = { .method = "POST",
				    .url = "http://localhost/echo",
				    .unix_path = sock,
				    .body = "hello",
				    .len = 5 };
	struct talk *t = arg;
	auto_free char *body = NULL;
	size_t len = 0;

	t->ok = !http_call_sync(&s, &t->status[0], &body, &len, NULL) && len == 5 &&
		!strcmp(body, "hello");
}

static void unix_socket_belongs_to_one(void **state)
{
	struct http_config c = { .handler = handler };
	struct http_server *other = NULL;
	struct err e = { 0 };
	struct talk t = { 0 };
	FILE *f;

	(void)state;
	assert_int_equal(lab_beside(loop, sync_call, &t), 0);
	assert_true(t.ok);
	assert_int_equal(t.status[0], 200);
	assert_int_equal(http_server_new(&other, loop, &c, NULL), 0);
	assert_int_equal(http_listen_unix(other, sock, &e), -EADDRINUSE);
	f = fopen(lab_path("file", ""), "we");
	assert_non_null(f);
	(void)fclose(f);
	assert_int_equal(http_listen_unix(other, lab_path("file", ""), NULL), -EEXIST);
	/* a crashed run's socket file is replaced */
	assert_int_equal(rename(sock, lab_path("old", ".sock")), 0);
	srv = http_server_free(srv);
	assert_int_equal(http_listen_unix(other, lab_path("old", ".sock"), NULL), 0);
	other = http_server_free(other);
	assert_int_not_equal(access(lab_path("old", ".sock"), F_OK), 0);
}

/* --- streams and the end -------------------------------------------------------------------- */

struct reader {
	struct wire_end w;
	char buf[1024];
	unsigned next; /* the id that must come */
};

static void read_events(void *arg)
{
	static const char req[] = "GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 1\r\n\r\n";
	struct reader *r = arg;
	size_t n = 0;

	if (end_unix(&r->w, sock))
		return;
	(void)end_write(&r->w, req, sizeof(req) - 1);
	while (n + 1 < sizeof(r->buf) && !strstr(r->buf, "id: 3")) {
		ssize_t k = end_read(&r->w, r->buf + n, sizeof(r->buf) - 1 - n);

		if (k <= 0)
			return;
		n += (size_t)k;
		r->buf[n] = 0;
	}
}

enum { FLOOD = 3000 };

/* Until nothing more goes into the reader's socket, however seldom its turn comes. */
static void fill(int fd)
{
	int before = 0, now = 0, same = 0;

	for (int i = 0; i < 10000 && same < 20; i++) {
		before = now;
		run_for(1000);
		assert_int_equal(ioctl(fd, FIONREAD, &now), 0);
		same = now && now == before ? same + 1 : 0;
	}
	assert_int_equal(same, 20);
}

/* Events of 4 KiB, far more than the sockets and the hub hold, while nobody reads. */
static void flood(struct reader *r)
{
	char data[4096];

	assert_int_equal(lab_beside(loop, read_events, r), 0);
	assert_non_null(strstr(r->buf, "id: 2\nevent: old\ndata: x\n\n"));
	assert_null(strstr(r->buf, "id: 1\n"));
	memset(data, 'd', sizeof(data) - 1);
	data[sizeof(data) - 1] = 0;
	for (uint64_t seq = 4; seq <= FLOOD; seq++) {
		sse_publish(hub, &(struct sse_event){ .seq = seq, .type = "tick", .data = data });
		log_end = seq;
		run_for(0);
	}
	fill(r->w.fd);
	assert_int_equal(sse_readers(hub), 1);
}

static void slow_reader_is_closed(void **state)
{
	struct reader r = { .w.fd = -1 };

	(void)state;
	flood(&r);
	sse_ping(hub);
	assert_int_equal(sse_readers(hub), 1);
	sse_ping(hub);
	assert_int_equal(sse_readers(hub), 0);
	end_close(&r.w);
}

/* Counts ids in their order until the last has come. */
static void read_the_flood(void *arg)
{
	struct reader *r = arg;
	static char buf[65536 + 64];
	char want[32];
	size_t kept = 0;
	ssize_t n;

	while (r->next <= FLOOD && (n = end_read(&r->w, buf + kept, 65536)) > 0) {
		char *at = buf, *hit;

		buf[kept += (size_t)n] = 0;
		for (; r->next <= FLOOD; r->next++, at = hit + strlen(want)) {
			(void)snprintf(want, sizeof(want), "id: %u\n", r->next);
			hit = strstr(at, want);
			if (!hit)
				break;
		}
		n = (ssize_t)strlen(at) < 40 ? (ssize_t)strlen(at) : 40; /* a cut id */
		memmove(buf, buf + kept - n, (size_t)n);
		kept = (size_t)n;
	}
}

/* It was away so long that the hub has forgotten: the log has not. */
static void slow_reader_misses_nothing(void **state)
{
	struct reader r = { .w.fd = -1, .next = 4 };

	(void)state;
	flood(&r);
	assert_int_equal(lab_beside(loop, read_the_flood, &r), 0);
	assert_int_equal(r.next, FLOOD + 1);
	sse_ping(hub);
	assert_int_equal(sse_readers(hub), 1);
	end_close(&r.w);
}

static void reader_that_leaves_is_forgotten(void **state)
{
	struct reader r = { .w.fd = -1 };

	(void)state;
	assert_int_equal(lab_beside(loop, read_events, &r), 0);
	end_close(&r.w);
	for (int i = 0; i < 100 && sse_readers(hub); i++)
		run_for(5000);
	assert_int_equal(sse_readers(hub), 0);
	sse_publish(hub, &(struct sse_event){ .seq = 9, .data = "nobody" });
}

/* Subscribes with each query and tells what came back. */
struct asked {
	struct wire_end w[8];
	int status[8];
	char buf[1024];
};

static const struct {
	const char *query;
	int status;
} queries[] = {
	{ "type=SIGNED,ENDED&class=gold", 200 },
	{ "agreement=lin-1", 200 },
	{ "type=SIGN", 200 },
	{ "type=a%20b", 400 },
	{ "since=3", 400 },
	{ "after=x", 400 },
	{ "class", 400 },
};

static void ask_all(void *arg)
{
	struct asked *a = arg;
	char req[200];

	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		int n = snprintf(req, sizeof(req), "GET /events?%s HTTP/1.1\r\nHost: h\r\n\r\n",
				 queries[i].query);

		if (end_unix(&a->w[i], sock) || end_write(&a->w[i], req, (size_t)n) != n)
			return;
		a->status[i] = end_reply(&a->w[i], a->buf, sizeof(a->buf));
	}
}

static void read_all(void *arg)
{
	struct asked *a = arg;
	size_t n = 0;

	a->buf[0] = 0;
	while (n + 1 < sizeof(a->buf) && !strstr(a->buf, "the end")) {
		ssize_t k = end_read(&a->w[0], a->buf + n, sizeof(a->buf) - 1 - n);

		if (k <= 0)
			return;
		n += (size_t)k;
		a->buf[n] = 0;
	}
}

static void readers_get_what_they_asked_for(void **state)
{
	const struct sse_event events[] = {
		{ 11, "SIGNED", { "lin-2", "neg-2" }, "gold", "one" },
		{ 12, "SIGNED", { "lin-2", "neg-2" }, "silver", "two" },
		{ 13, "OFFERED", { "lin-1", "neg-1" }, "gold", "three" },
		{ 14, "SIGNED", { NULL, NULL }, NULL, "four" },
		{ 15, "ENDED", { "lin-3", "lin-1" }, "gold", "the end" },
	};
	struct asked a = { 0 };

	(void)state;
	assert_int_equal(lab_beside(loop, ask_all, &a), 0);
	for (size_t i = 0; i < ARRAY_LEN(queries); i++)
		assert_int_equal(a.status[i], queries[i].status);
	assert_int_equal(sse_readers(hub), 3);
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		sse_publish(hub, &events[i]);
	assert_int_equal(lab_beside(loop, read_all, &a), 0);
	assert_non_null(strstr(a.buf, "id: 11\n"));
	assert_non_null(strstr(a.buf, "id: 15\n"));
	assert_null(strstr(a.buf, "id: 12\n"));
	assert_null(strstr(a.buf, "id: 13\n"));
	assert_null(strstr(a.buf, "id: 14\n"));
	end_close(&a.w[0]);
	a.w[0] = a.w[1]; /* of one agreement, under whichever of its ids */
	assert_int_equal(lab_beside(loop, read_all, &a), 0);
	assert_non_null(strstr(a.buf, "id: 13\n"));
	assert_null(strstr(a.buf, "id: 11\n"));
	for (size_t i = 1; i < ARRAY_LEN(queries); i++)
		end_close(&a.w[i]);
}

static void drained(void *arg)
{
	*(bool *)arg = true;
	loop_stop(loop, 0);
}

static void drain_lets_the_last_request_finish(void **state)
{
	struct http_call_spec s = { .unix_path = sock,
				    .method = "GET",
				    .url = "http://localhost/later" };
	struct got g = { 0 };
	bool over = false;

	(void)state;
	assert_int_equal(http_call_start(NULL, client, &s, on_done, &g, NULL), 0);
	for (int i = 0; i < 100 && !http_server_stats(srv).requests; i++)
		run_for(2000);
	http_server_drain(srv, drained, &over);
	assert_false(over);
	for (int i = 0; i < 10000 && (!over || !g.calls || http_server_connections(srv)); i++)
		run_for(1000);
	assert_true(over);
	assert_string_equal(g.body, "later");
	assert_int_equal(http_server_connections(srv), 0);
}

/* --- events through the ring ------------------------------------------------------------------ */

enum { RING_EVENTS = 700, RING_DATA = 16000 };

struct ring_reader {
	struct wire_end w;
	char *got;
	size_t n, looked; /* up to where its last event was found */
};

static void ring_open(struct ring_reader *r, const char *query)
{
	char req[96];
	int n = snprintf(req, sizeof(req), "GET /events%s HTTP/1.1\r\nHost: h\r\n\r\n", query);
	size_t before = sse_readers(hub);

	r->n = r->looked = 0;
	r->got = malloc((size_t)RING_EVENTS * (RING_DATA + 200));
	assert_non_null(r->got);
	assert_int_equal(end_unix(&r->w, sock), 0);
	assert_int_equal(end_write(&r->w, req, (size_t)n), n);
	for (int i = 0; i < 1000 && sse_readers(hub) == before; i++)
		run_for(1000);
	assert_int_equal(sse_readers(hub), before + 1);
}

static void ring_drain(struct ring_reader *r)
{
	ssize_t n;

	while ((n = recv(r->w.fd, r->got + r->n, RING_DATA, MSG_DONTWAIT)) > 0)
		r->n += (size_t)n;
	r->got[r->n] = 0;
}

static bool ring_has(const struct ring_reader *r, uint64_t seq)
{
	char id[32];

	(void)snprintf(id, sizeof(id), "id: %llu\n", (unsigned long long)seq);
	return strstr(r->got + r->looked, id);
}

/* Until the event is with both who want all, and the last odd one with the third, however many
 * turns of the loop that takes: who is more than a ring behind is fed from the log, and the lab's
 * has none of these. */
static void ring_catch_up(struct ring_reader r[3], uint64_t seq)
{
	const uint64_t want[3] = { seq, seq, seq - !(seq & 1) };

	for (int turns = 0; turns < 10000; turns++) {
		bool all = true;

		run_for(turns < 10 ? 0 : 1000);
		for (size_t i = 0; i < 3; i++) {
			ring_drain(&r[i]);
			all &= ring_has(&r[i], want[i]);
		}
		if (all)
			break;
	}
	for (size_t i = 0; i < 3; i++) {
		assert_true(ring_has(&r[i], want[i]));
		r[i].looked = r[i].n;
	}
}

/* Each of the events first, first + step, ... once and in order, with all of its data. */
static void ring_check(struct ring_reader *r, uint64_t first, uint64_t step)
{
	uint64_t want = first;
	size_t qs = 0, sum = 0;

	for (const char *at = r->got; (at = strstr(at, "id: ")); at += 4, want += step) {
		assert_int_equal(strtoull(at + 4, NULL, 10), want);
		sum += 1 + want * 37 % RING_DATA;
	}
	assert_in_range(want, RING_EVENTS + 4, RING_EVENTS + 3 + step);
	for (size_t i = 0; i < r->n; i++)
		qs += r->got[i] == 'Q';
	assert_int_equal(qs, sum);
	end_close(&r->w);
	free(r->got);
}

/* More than the ring holds, past two kinds of readers. */
static void events_wrap_around(void **state)
{
	static char data[RING_DATA + 1];
	struct ring_reader r[3]; /* two who want all, one of the odd ones */

	(void)state;
	ring_open(&r[0], "");
	ring_open(&r[1], "");
	ring_open(&r[2], "?type=b");
	for (uint64_t seq = 4; seq < RING_EVENTS + 4; seq++) {
		size_t len = 1 + seq * 37 % RING_DATA;

		memset(data, 'Q', len);
		data[len] = 0;
		sse_publish(hub, &(struct sse_event){
					 .seq = seq, .type = seq & 1 ? "b" : "a", .data = data });
		if (seq % 3 == 0 || seq == RING_EVENTS + 3) /* some wait for the next */
			ring_catch_up(r, seq);
	}
	ring_check(&r[0], 4, 1);
	ring_check(&r[1], 4, 1);
	ring_check(&r[2], 5, 2);
	for (int i = 0; i < 1000 && sse_readers(hub); i++)
		run_for(1000);
	assert_int_equal(sse_readers(hub), 0);
}

static void sse_formats(void **state)
{
	static char largest[STORE_BODY_MAX + 1];
	char buf[64];

	(void)state;
	memset(largest, 'x', STORE_BODY_MAX); /* what the log holds, a reader can be told */
	assert_in_range(sse_format(NULL, 0, INT64_MAX, "renegotiation_close", largest),
			STORE_BODY_MAX, STORE_BODY_MAX + 100);
	assert_int_equal(sse_format(buf, sizeof(buf), 7, "tick", "a\nb\r\nc"), 43);
	assert_string_equal(buf, "id: 7\nevent: tick\ndata: a\ndata: b\ndata: c\n\n");
	assert_int_equal(sse_format(buf, sizeof(buf), 0, NULL, ""), 8);
	assert_string_equal(buf, "data: \n\n");
	assert_int_equal(sse_format(buf, sizeof(buf), 0, "a\nb", ""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(client_checks_who_answers),
		T(client_is_refused_or_refuses),
		T(client_limits),
		T(unix_socket_belongs_to_one),
		T(slow_reader_is_closed),
		T(slow_reader_misses_nothing),
		T(reader_that_leaves_is_forgotten),
		T(readers_get_what_they_asked_for),
		T(drain_lets_the_last_request_finish),
		T(sse_formats),
		T(events_wrap_around),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
