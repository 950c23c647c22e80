/* SPDX-License-Identifier: Apache-2.0 */
/* test_sock.c - the iterator tells of this namespace's TCP sockets what TCP_INFO tells. */
#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "bpf/dataplane.h"

#define PAIRS 300 /* more than one read of the file brings */

static struct dp_sock got[4 * PAIRS];
static int n_got;

static void on_sock(void *arg, const struct dp_sock *s)
{
	(void)arg;
	assert_true(n_got < (int)ARRAY_LEN(got));
	got[n_got++] = *s;
}

static void talk(int a, int b)
{
	char c;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(send(a, "x", 1, 0), 1);
		assert_int_equal(recv(b, &c, 1, 0), 1);
		assert_int_equal(send(b, "y", 1, 0), 1);
		assert_int_equal(recv(a, &c, 1, 0), 1);
	}
}

/* A connection over loopback; the first one's socket carries a mark. */
static void pair_make(int listener, int family, const void *addr, socklen_t len, uint32_t mark,
		      int fd[2])
{
	fd[0] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd[0] >= 0);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	assert_int_equal(connect(fd[0], addr, len), 0);
	fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd[1] >= 0);
	talk(fd[0], fd[1]);
}

static uint32_t srtt_of(int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	return i.tcpi_rtt;
}

static int listen_at(int family, void *addr, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, addr, len), 0);
	assert_int_equal(listen(fd, PAIRS), 0);
	assert_int_equal(getsockname(fd, addr, &len), 0);
	return fd;
}

static int found(uint32_t mark, const uint32_t peer[4], uint32_t srtt)
{
	int n = 0;

	for (int i = 0; i < n_got; i++)
		n += got[i].mark == mark && !memcmp(got[i].peer, peer, sizeof(got[i].peer)) &&
		     got[i].srtt_us == srtt;
	return n;
}

static void tells_what_tcp_info_tells(void **state)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const uint32_t v4[4] = { 0, 0, htonl(0xffff), htonl(INADDR_LOOPBACK) };
	const uint32_t v6[4] = { 0, 0, 0, htonl(1) };
	int l4, l6, r, one[2], many[PAIRS][2];
	struct dp_socks *s = NULL;
	struct err e = { 0 };

	(void)state;
	if (dp_socks_open(&s, &e)) {
		print_message("  %s\n", e.text);
		skip();
	}
	assert_int_equal(dp_socks_each(s, on_sock, NULL, &e), 0); /* a namespace of our own */
	l4 = listen_at(AF_INET, &a4, sizeof(a4));
	l6 = listen_at(AF_INET6, &a6, sizeof(a6));
	pair_make(l4, AF_INET, &a4, sizeof(a4), 77, one);
	for (int i = 0; i < PAIRS; i++)
		pair_make(l6, AF_INET6, &a6, sizeof(a6), 1000 + (uint32_t)i, many[i]);
	r = dp_socks_each(s, on_sock, NULL, &e);
	assert_int_equal(r, n_got);
	assert_int_equal(n_got, 2 * (PAIRS + 1));
	assert_int_equal(found(77, v4, srtt_of(one[0])), 1);
	assert_true(found(0, v4, srtt_of(one[1])) >= 1);
	for (int i = 0; i < PAIRS; i++)
		assert_int_equal(found(1000 + (uint32_t)i, v6, srtt_of(many[i][0])), 1);
	(void)dp_socks_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(tells_what_tcp_info_tells) };

	if (unshare(CLONE_NEWNET) || system("ip link set lo up")) {
		print_error("namespaces: %s\n", strerror(errno));
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
