/* SPDX-License-Identifier: Apache-2.0 */
/* msg: every truncated length, every wrong header field, floods, fds, time-outs, late replies. */
#include "agent/msg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

struct add_req {
	int32_t a, b;
};

struct add_rep {
	int32_t sum, pad;
};

static int served;

static int add(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	const struct add_req *q = req;
	struct add_rep *p = rep;

	(void)ctx;
	(void)ret_fd;
	served++;
	if (q->a == 13)
		return err_set(e, -ERANGE, "a: 13 is not served");
	if (q->a == 66)
		return err_set(e, -EPROTO, "a: 66 is never sent");
	p->sum = q->a + q->b;
	return 0;
}

static int give_fd(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	(void)ctx;
	(void)req;
	(void)rep;
	*ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return *ret_fd < 0 ? err_set(e, -errno, "/dev/null") : 0;
}

/* Keeps what it is told; a first byte of 66 is a broken rule. */
static uint8_t told[16];

static int hear(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	(void)ctx;
	assert_null(rep);
	assert_int_equal(*ret_fd, -1);
	memcpy(told, req, sizeof(told));
	return told[0] == 66 ? err_set(e, -EPROTO, "66 is never said") : 0;
}

static const struct msg_handler table[] = {
	{ 0x101, sizeof(struct add_req), sizeof(struct add_rep), add },
	{ 0x102, 0, 0, give_fd },
	{ 0x104, sizeof(told), MSG_ONE_WAY, hear },
};

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static int serve(int fd, struct err *e)
{
	*e = (struct err){ 0 };
	return msg_serve(fd, table, ARRAY_LEN(table), NULL, e);
}

/* Serves sv[1] until it ends, in another thread. */
static void *server(void *arg)
{
	int fd = *(int *)arg;
	struct msg m;
	int r;

	for (;;) {
		struct err e;

		r = (int)recv(fd, &m.h, 1, MSG_PEEK);
		if (r <= 0 || serve(fd, &e))
			break;
	}
	(void)shutdown(fd, SHUT_RDWR);
	return NULL;
}

static void test_call(void **state)
{
	struct add_req q = { 2, 3 };
	struct add_rep p = { 0 };
	struct msg_client c = { 0 };
	struct err e = { 0 };
	int sv[2], fd = -1, before = count_fds();
	pthread_t t;

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	assert_int_equal(pthread_create(&t, NULL, server, &sv[1]), 0);
	c.fd = sv[0];
	assert_int_equal(msg_call(&c, 0x101, &q, sizeof(q), &p, sizeof(p), NULL, 1000, &e), 0);
	assert_int_equal(p.sum, 5);
	q.a = 13;
	assert_int_equal(msg_call(&c, 0x101, &q, sizeof(q), &p, sizeof(p), NULL, 1000, &e),
			 -ERANGE);
	assert_string_equal(e.text, "a: 13 is not served");
	assert_int_equal(p.sum, 5); /* out parameters untouched on failure */
	assert_int_equal(msg_call(&c, 0x102, NULL, 0, NULL, 0, &fd, 1000, NULL), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	(void)close(fd);
	/* an fd that nobody asked for, and a reply of another size, end the trust */
	assert_int_equal(msg_call(&c, 0x102, NULL, 0, NULL, 0, NULL, 1000, NULL), -EPROTO);
	q.a = 1;
	assert_int_equal(msg_call(&c, 0x101, &q, sizeof(q), &p, 4, NULL, 1000, NULL), -EPROTO);
	q.a = 66;
	assert_int_equal(msg_call(&c, 0x101, &q, sizeof(q), &p, sizeof(p), NULL, 1000, NULL),
			 -EPIPE);
	assert_int_equal(pthread_join(t, NULL), 0);
	(void)close(sv[0]);
	(void)close(sv[1]);
	assert_int_equal(count_fds(), before);
}

struct asked {
	struct msg_ask m;
	struct add_rep rep;
};

static void ask(struct msg_client *c, struct asked *a, struct add_req q)
{
	struct err e;

	*a = (struct asked){ .m = { .rep = &a->rep, .rep_size = sizeof(a->rep) } };
	assert_int_equal(msg_ask(c, 0x101, &q, sizeof(q), &a->m, 1000, &e), 0);
	assert_true(a->m.open);
}

/* Several requests at once, waited for in any order, a call between them; one that is refused, and
 * one that is given up: each has its own reply or none. */
static void test_ask(void **state)
{
	struct add_req q = { 20, 1 };
	struct add_rep p = { 0 };
	struct msg_client c = { 0 };
	struct asked a[4];
	pthread_t t;
	struct err e = { 0 };
	int sv[2];

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	c.fd = sv[0];
	for (int i = 0; i < 4; i++)
		ask(&c, &a[i], (struct add_req){ i == 2 ? 13 : i, 10 });
	assert_int_equal(msg_await(&c, &a[0].m, 0, &e), -ETIMEDOUT); /* nobody serves yet */
	assert_string_equal(e.text, "request 0x101: Connection timed out");
	assert_int_equal(pthread_create(&t, NULL, server, &sv[1]), 0);
	assert_int_equal(msg_call(&c, 0x101, &q, sizeof(q), &p, sizeof(p), NULL, 1000, &e), 0);
	assert_int_equal(p.sum, 21);
	assert_null(c.asked);
	assert_int_equal(msg_await(&c, &a[3].m, 0, &e), 0);
	assert_int_equal(a[3].rep.sum, 13);
	e = (struct err){ 0 };
	assert_int_equal(msg_await(&c, &a[2].m, 0, &e), -ERANGE);
	assert_string_equal(e.text, "a: 13 is not served");
	assert_int_equal(msg_await(&c, &a[1].m, 0, &e), 0);
	assert_int_equal(a[1].rep.sum, 11);
	assert_int_equal(a[0].rep.sum, 0);
	assert_int_equal(msg_await(&c, &a[0].m, 0, &e), -ETIMEDOUT); /* for good */
	(void)close(sv[0]);
	assert_int_equal(pthread_join(t, NULL), 0);
	(void)close(sv[1]);
}

/* No more than the bound are ever unanswered: the next one waits for the first. */
static void test_ask_bound(void **state)
{
	struct asked a[MSG_ASKED_MAX + 1];
	struct add_req q = { 1, 2 };
	struct msg_client c = { 0 };
	pthread_t t;
	struct err e;
	int sv[2];

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	c.fd = sv[0];
	for (int i = 0; i < MSG_ASKED_MAX; i++)
		ask(&c, &a[i], q);
	a[MSG_ASKED_MAX] =
		(struct asked){ .m = { .rep = &a[0].rep, .rep_size = sizeof(a[0].rep) } };
	assert_int_equal(msg_ask(&c, 0x101, &q, sizeof(q), &a[MSG_ASKED_MAX].m, 0, &e), -ETIMEDOUT);
	assert_int_equal(msg_await(&c, &a[MSG_ASKED_MAX].m, 0, &e), -ETIMEDOUT);
	assert_int_equal(pthread_create(&t, NULL, server, &sv[1]), 0);
	ask(&c, &a[MSG_ASKED_MAX], q);
	assert_false(a[0].m.open);
	for (int i = 0; i <= MSG_ASKED_MAX; i++) {
		assert_int_equal(msg_await(&c, &a[i].m, 1000, &e), 0);
		assert_int_equal(a[i].rep.sum, 3);
	}
	ask(&c, &a[0], (struct add_req){ 66, 0 }); /* the server ends */
	assert_int_equal(msg_await(&c, &a[0].m, 1000, &e), -EPIPE);
	assert_null(c.asked);
	(void)close(sv[0]);
	assert_int_equal(pthread_join(t, NULL), 0);
	(void)close(sv[1]);
}

/* What c holds goes out behind nothing: msg_post() alone sends only when no more fits. */
static void push(struct msg_client *c)
{
	assert_int_equal(send(c->fd, c->out, c->held, 0), c->held);
	c->held = 0;
}

static void one_says(struct msg_client *c, const uint8_t *what, uint32_t n)
{
	struct err e;

	assert_int_equal(msg_post(c, 0x104, what, n, 0, &e), 0);
	push(c);
}

/* No reply; what is short is filled up with zeros, whatever the message before held or the next
 * one holds; too long, or refused, ends it. The reply of a call that follows is its own. */
static void test_one_way(void **state)
{
	uint8_t say[sizeof(told) + 1], none[sizeof(told)] = { 0 };
	struct add_req q = { 2, 3 };
	struct add_rep p = { 0 };
	struct msg_client c = { 0 };
	struct msg got;
	pthread_t t;
	struct err e;
	int sv[2];

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	c.fd = sv[0];
	for (uint32_t n = sizeof(told); n--;) {
		memset(say, 0x55, sizeof(say));
		one_says(&c, say, sizeof(told));
		one_says(&c, say, n);
		assert_int_equal(serve(sv[1], &e), 0);
		assert_memory_equal(told, say, sizeof(told));
		assert_int_equal(serve(sv[1], &e), 0);
		assert_memory_equal(told, say, n);
		assert_memory_equal(told + n, none, sizeof(told) - n);
	}
	assert_int_equal(msg_recv(sv[0], &got, 0), -ETIMEDOUT);
	one_says(&c, say, sizeof(say));
	assert_int_equal(serve(sv[1], &e), -EPROTO);
	say[0] = 66;
	one_says(&c, say, 1);
	assert_int_equal(serve(sv[1], &e), -EPROTO);
	assert_string_equal(e.text, "message 0x104: 66 is never said");
	say[0] = 1;
	assert_int_equal(msg_post(&c, 0x104, say, 1, 1000, &e), 0);
	assert_int_equal(serve(sv[1], &e), 0); /* nothing has left yet */
	assert_int_equal(told[0], 66);
	assert_int_equal(pthread_create(&t, NULL, server, &sv[1]), 0);
	assert_int_equal(msg_call(&c, 0x101, &q, sizeof(q), &p, sizeof(p), NULL, 1000, &e), 0);
	assert_int_equal(p.sum, 5);
	assert_int_equal(told[0], 1);
	assert_memory_equal(told + 1, none, sizeof(told) - 1);
	(void)close(sv[0]);
	assert_int_equal(pthread_join(t, NULL), 0);
	(void)close(sv[1]);
	assert_int_equal(msg_call(&c, 0x102, NULL, 0, NULL, 0, NULL, 0, &e), -EBADF);
}

/* What was posted travels in the record of the call, in order, and one record wakes the server. As
 * many as fit: a record that is full leaves by itself. */
static void test_one_record(void **state)
{
	enum { FIT = MSG_RECORD_MAX / (sizeof(struct msg_hdr) + sizeof(told)) };
	struct msg_client c = { 0 };
	uint8_t say[sizeof(told)] = { 0 };
	static uint8_t raw[MSG_RECORD_MAX];
	struct msg_hdr h;
	struct err e;
	int sv[2];

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	c.fd = sv[0];
	for (unsigned i = 0; i < FIT; i++) {
		say[0] = (uint8_t)(i % 50);
		assert_int_equal(msg_post(&c, 0x104, say, sizeof(say), 0, &e), 0);
		assert_int_equal(recv(sv[1], raw, sizeof(raw), MSG_DONTWAIT), -1);
	}
	assert_int_equal(msg_post(&c, 0x104, say, 9, 0, &e), 0);
	assert_int_equal(recv(sv[1], raw, sizeof(raw), MSG_DONTWAIT), FIT * (sizeof(h) + 16));
	for (unsigned i = 0; i < FIT; i++) {
		const uint8_t *at = raw + i * (sizeof(h) + sizeof(say));

		memcpy(&h, at, sizeof(h));
		assert_int_equal(h.seq, i + 1);
		assert_int_equal(at[sizeof(h)], i % 50);
	}
	assert_int_equal(recv(sv[1], raw, sizeof(raw), MSG_DONTWAIT), -1);
	assert_int_equal(msg_call(&c, 0x102, NULL, 0, NULL, 0, NULL, 0, &e), -ETIMEDOUT);
	assert_int_equal(recv(sv[1], raw, sizeof(raw), MSG_DONTWAIT), sizeof(h) + 16 + sizeof(h));
	assert_int_equal(c.held, 0);
	(void)close(sv[0]);
	(void)close(sv[1]);
	/* gone is gone, for what is held as well */
	assert_int_equal(msg_post(&c, 0x104, say, 1, 0, &e), 0);
	assert_int_equal(msg_call(&c, 0x102, NULL, 0, NULL, 0, NULL, 0, &e), -EBADF);
	assert_int_equal(c.held, 0);
}

/* A record is looked at as a whole: with one byte of its last header or body missing or wrong, or
 * one byte more, its first message is not served either. */
static void test_record_whole(void **state)
{
	struct {
		struct msg_hdr h;
		struct add_req q;
		struct msg_hdr h2;
		struct add_req q2;
		uint8_t more;
	} m = { .h = { .magic = MSG_MAGIC, .type = 0x101, .seq = 1, .len = 8 },
		.q = { 1, 2 },
		.h2 = { .magic = MSG_MAGIC, .type = 0x101, .seq = 2, .len = 8 },
		.q2 = { 3, 4 } };
	const size_t right = offsetof(__typeof__(m), more);
	struct msg_hdr good = m.h2;
	struct msg got;
	struct err e;
	int sv[2];

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	served = 0;
	for (size_t n = sizeof(m.h) + sizeof(m.q) + 1; n <= right + 1; n++) {
		assert_int_equal(send(sv[0], &m, n, 0), n);
		assert_int_equal(serve(sv[1], &e), n == right ? 0 : -EPROTO);
		assert_int_equal(served, n < right ? 0 : 2);
	}
	for (uint32_t seq = 1; seq <= 2; seq++) {
		assert_int_equal(msg_recv(sv[0], &got, 100), 0);
		assert_int_equal(got.h.seq, seq);
	}
	for (size_t i = 0; i < sizeof(good); i++) {
		if (i >= offsetof(struct msg_hdr, seq) && i < offsetof(struct msg_hdr, status))
			continue;
		((uint8_t *)&m.h2)[i] ^=
			i < offsetof(struct msg_hdr, type) || i >= offsetof(struct msg_hdr, flags)
				? 0x40
				: 0x80;
		assert_int_equal(send(sv[0], &m, right, 0), right);
		assert_int_equal(serve(sv[1], &e), -EPROTO);
		m.h2 = good;
	}
	(void)close(sv[0]);
	(void)close(sv[1]);
}

/* Every length from 1 to one more than right: only the right one is served. */
static void test_every_length(void **state)
{
	struct {
		struct msg_hdr h;
		struct add_req q;
		uint8_t more;
	} m = { .h = { .magic = MSG_MAGIC, .type = 0x101, .seq = 9, .len = 8 }, .q = { 4, 5 } };
	size_t right = sizeof(m.h) + sizeof(m.q);
	struct msg got;
	struct err e;
	int sv[2];

	(void)state;
	for (size_t n = 1; n <= right + 1; n++) {
		assert_int_equal(msg_pair(sv), 0);
		served = 0;
		assert_int_equal(send(sv[0], &m, n, 0), n);
		assert_int_equal(serve(sv[1], &e), n == right ? 0 : -EPROTO);
		assert_int_equal(served, n == right);
		if (n == right) {
			assert_int_equal(msg_recv(sv[0], &got, 100), 0);
			assert_int_equal(got.h.type, 0x101 | MSG_REPLY);
			assert_int_equal(got.h.seq, 9);
		} else {
			assert_true(strlen(e.text) > 0);
		}
		(void)close(sv[0]);
		(void)close(sv[1]);
	}
}

static void test_truncated_giant(void **state)
{
	static uint8_t big[sizeof(struct msg_hdr) + MSG_BODY_MAX + 1];
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = 0x101, .len = MSG_BODY_MAX };
	struct msg_hdr too_long = { .magic = MSG_MAGIC, .type = 1, .len = MSG_BODY_MAX + 1 };
	struct err e;
	int sv[2];

	(void)state;
	memcpy(big, &h, sizeof(h));
	assert_int_equal(msg_pair(sv), 0);
	assert_int_equal(send(sv[0], big, sizeof(big), 0), sizeof(big));
	assert_int_equal(serve(sv[1], &e), -EPROTO);
	assert_int_equal(msg_send(sv[0], &too_long, big, -1, 10), -EMSGSIZE);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void test_bad_headers(void **state)
{
	static const struct msg_hdr bad[] = {
		{ .magic = MSG_MAGIC + 1, .type = 0x101, .len = 8 },
		{ .magic = MSG_MAGIC, .type = 0, .len = 8 },
		{ .magic = MSG_MAGIC, .type = 0x103, .len = 8 },
		{ .magic = MSG_MAGIC, .type = 0x101 | MSG_REPLY, .len = 8 },
		{ .magic = MSG_MAGIC, .type = MSG_REPLY, .len = 8 },
		{ .magic = MSG_MAGIC, .type = 0x101, .len = 8, .flags = 1 },
		{ .magic = MSG_MAGIC, .type = 0x101, .len = 8, .pad = 1 },
		{ .magic = MSG_MAGIC, .type = 0x101, .len = 8, .status = -5 },
		{ .magic = MSG_MAGIC, .type = 0x101, .len = 8, .status = 5 },
		{ .magic = MSG_MAGIC, .type = 0x101, .len = 7 },
		{ .magic = MSG_MAGIC, .type = 0x101, .len = UINT32_MAX },
		{ .magic = MSG_MAGIC, .type = 0x102, .len = 8 },
	};
	struct err e;
	int sv[2];

	(void)state;
	served = 0;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t raw[sizeof(bad[i]) + 8] = { 0 };

		memcpy(raw, &bad[i], sizeof(bad[i]));
		assert_int_equal(msg_pair(sv), 0);
		assert_int_equal(send(sv[0], raw, sizeof(raw), 0), sizeof(raw));
		assert_int_equal(serve(sv[1], &e), -EPROTO);
		(void)close(sv[0]);
		(void)close(sv[1]);
	}
	assert_int_equal(served, 0);
}

/* A client that sends and never reads: the server ends it instead of waiting for it. */
static void test_flood(void **state)
{
	struct {
		struct msg_hdr h;
		struct add_req q;
	} m = { .h = { .magic = MSG_MAGIC, .type = 0x101, .len = 8 } };
	struct err e = { 0 };
	int sv[2], r = 0, n = 0;

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	for (; r == 0 && n < 100000; n++) {
		assert_int_equal(send(sv[0], &m, sizeof(m), 0), sizeof(m));
		r = serve(sv[1], &e);
	}
	assert_int_equal(r, -EPROTO);
	assert_string_equal(e.text, "request 0x101: its sender reads no replies");
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void send_with_fds(int to, size_t k, const void *body, size_t len)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct cmsghdr *c = (struct cmsghdr *)ctl;
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl };

	memcpy(&iov.iov_base, &body, sizeof(body));
	iov.iov_len = len;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(k * sizeof(int));
	m.msg_controllen = CMSG_SPACE(k * sizeof(int));
	for (size_t i = 0; i < k; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){ 0 }, sizeof(int));
	assert_int_equal(sendmsg(to, &m, 0), len);
}

/* Fds pushed at a server with good and with bad messages: none stays. */
static void test_fds_do_not_leak(void **state)
{
	struct {
		struct msg_hdr h;
		struct add_req q;
	} m = { .h = { .magic = MSG_MAGIC, .type = 0x101, .len = 8 } };
	int before, sv[2];
	struct err e;

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	before = count_fds();
	served = 0;
	for (size_t k = 1; k <= 8; k++) {
		send_with_fds(sv[0], k, &m, sizeof(m));
		assert_int_equal(serve(sv[1], &e), -EPROTO);
		send_with_fds(sv[0], k, &m, 5);
		assert_int_equal(serve(sv[1], &e), -EPROTO);
		assert_int_equal(count_fds(), before);
	}
	assert_int_equal(served, 0);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void send_reply(int fd, uint16_t type, uint32_t seq)
{
	struct msg_hdr h = { .magic = MSG_MAGIC, .type = type, .seq = seq };

	assert_int_equal(msg_send(fd, &h, NULL, -1, 100), 0);
}

/* Silence is a time-out; the late reply is passed over by the next call; one from the future, or
 * of another type, is a broken peer; STOP is noted on the way. */
static void test_late_and_early(void **state)
{
	struct msg_client c = { 0 };
	struct timespec a, b;
	int sv[2];
	long ms;

	(void)state;
	assert_int_equal(msg_pair(sv), 0);
	c.fd = sv[0];
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(msg_call(&c, 7, NULL, 0, NULL, 0, NULL, 50, NULL), -ETIMEDOUT);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	assert_in_range(ms, 49, 5000);
	send_reply(sv[1], 7 | MSG_REPLY, 1); /* late */
	send_reply(sv[1], MSG_STOP, 0);
	send_reply(sv[1], 7 | MSG_REPLY, 2);
	assert_int_equal(msg_call(&c, 7, NULL, 0, NULL, 0, NULL, 1000, NULL), 0);
	assert_true(c.stop);
	send_reply(sv[1], 7 | MSG_REPLY, 99);
	assert_int_equal(msg_call(&c, 7, NULL, 0, NULL, 0, NULL, 1000, NULL), -EPROTO);
	send_reply(sv[1], 8 | MSG_REPLY, 4);
	assert_int_equal(msg_call(&c, 7, NULL, 0, NULL, 0, NULL, 1000, NULL), -EPROTO);
	(void)close(sv[1]);
	assert_int_equal(msg_call(&c, 7, NULL, 0, NULL, 0, NULL, 1000, NULL), -EPIPE);
	(void)close(sv[0]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_ask_bound),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_one_way),
		cmocka_unit_test(test_one_record),
		cmocka_unit_test(test_record_whole),
		cmocka_unit_test(test_truncated_giant),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_fds_do_not_leak),
		cmocka_unit_test(test_late_and_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
