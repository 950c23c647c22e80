/* SPDX-License-Identifier: Apache-2.0 */
/* loop: what one turn in real time holds. */
#include "agent/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>

struct probe {
	struct loop *l;
	char seen[16];
	size_t n;
	int64_t at[16]; /* in which turn */
	unsigned hooks;
};

static int count_hook(void *arg)
{
	struct probe *p = arg;

	p->hooks++;
	return 0;
}

static void read_slowly(void *arg, int fd, unsigned what)
{
	struct probe *p = arg;
	struct timespec from, now;
	char c;

	(void)what;
	assert_int_equal(read(fd, &c, 1), 1);
	p->at[p->n] = p->hooks; /* in which turn */
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - from.tv_sec) * 1000000000 + now.tv_nsec - from.tv_nsec < 300000);
	if (++p->n == 6)
		loop_stop(p->l, 0);
}

/* Six fds are ready at once: without a slice in one turn, with one in turns of two pieces of work,
 * the first of which starts the clock. None is lost, none is served twice. */
static void slices(int64_t us, unsigned turns)
{
	struct probe p = { 0 };
	int sv[6][2];

	assert_int_equal(loop_new(&p.l, false), 0);
	loop_before_sleep(p.l, count_hook, &p);
	loop_slice(p.l, us);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv[i]), 0);
		assert_int_equal(write(sv[i][1], "x", 1), 1);
		assert_non_null(loop_watch(p.l, sv[i][0], LOOP_READ, read_slowly, &p));
	}
	assert_int_equal(loop_run(p.l), 0);
	assert_int_equal(p.n, 6); /* rrr and d in whichever order, then */
	assert_int_equal(p.at[5] - p.at[0], turns - 1);
	p.l = loop_free(p.l);
	for (int i = 0; i < 12; i++)
		(void)close(sv[i / 2][i % 2]);
}

static void test_slices(void **state)
{
	(void)state;
	slices(0, 1);
	slices(1, 3);
}

enum { LINKS = 5 };

static const int64_t HOUR = INT64_C(3600) * 1000 * 1000;

struct links {
	struct probe p;
	int fd[LINKS][2];
};

/* Each makes the next one ready, so none but the first is when the turn begins. */
static void read_and_wake(void *arg, int fd, unsigned what)
{
	struct links *k = arg;
	char c;

	(void)what;
	assert_int_equal(read(fd, &c, 1), 1);
	k->p.at[k->p.n] = k->p.hooks;
	if (++k->p.n == LINKS)
		loop_stop(k->p.l, 0);
	else
		assert_int_equal(write(k->fd[k->p.n][1], "x", 1), 1);
}

static void joins(int64_t us, int64_t turns)
{
	struct links k = { .p = { 0 } };

	assert_int_equal(loop_new(&k.p.l, false), 0);
	loop_before_sleep(k.p.l, count_hook, &k.p);
	loop_slice(k.p.l, us);
	for (int i = 0; i < LINKS; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, k.fd[i]), 0);
		assert_non_null(loop_watch(k.p.l, k.fd[i][0], LOOP_READ, read_and_wake, &k));
	}
	assert_int_equal(write(k.fd[0][1], "x", 1), 1);
	assert_int_equal(loop_run(k.p.l), 0);
	assert_int_equal(k.p.at[LINKS - 1] - k.p.at[0], turns - 1);
	k.p.l = loop_free(k.p.l);
	for (int i = 0; i < 2 * LINKS; i++)
		(void)close(k.fd[i / 2][i % 2]);
}

/* What becomes ready within the slice shares the turn. */
static void test_joins_the_turn(void **state)
{
	(void)state;
	joins(0, LINKS);
	joins(HOUR, 1);
}

static void read_one(void *arg, int fd, unsigned what)
{
	struct probe *p = arg;
	char c;

	(void)what;
	assert_int_equal(read(fd, &c, 1), 1);
	p->seen[p->n++] = c;
	if (c == 'z')
		loop_stop(p->l, 0);
}

static void come_again(void *arg)
{
	struct probe *p = arg;

	assert_non_null(loop_after(p->l, 0, come_again, p));
}

static int stop_after_one(void *arg)
{
	struct probe *p = arg;

	p->hooks++;
	if (p->n)
		loop_stop(p->l, 0);
	return 0;
}

static void give_up(void *arg)
{
	struct probe *p = arg;

	loop_stop(p->l, 9);
}

/* A piece of work with none after it is not kept waiting for the slice's end, nor for timers. */
static void test_alone_at_once(void **state)
{
	struct probe p = { 0 };
	int pfd[2];

	(void)state;
	assert_int_equal(pipe(pfd), 0);
	assert_int_equal(loop_new(&p.l, false), 0);
	loop_before_sleep(p.l, stop_after_one, &p);
	loop_slice(p.l, HOUR);
	assert_non_null(loop_watch(p.l, pfd[0], LOOP_READ, read_one, &p));
	assert_non_null(loop_after(p.l, 5 * 1000 * 1000, give_up, &p));
	assert_int_equal(write(pfd[1], "x", 1), 1);
	assert_int_equal(loop_run(p.l), 0);
	assert_string_equal(p.seen, "x");
	assert_int_equal(p.hooks, 3); /* before it, after it, at the end */
	p.n = 0;
	assert_non_null(loop_after(p.l, 0, come_again, &p));
	assert_int_equal(write(pfd[1], "x", 1), 1);
	assert_int_equal(loop_run(p.l), 0);
	p.l = loop_free(p.l);
	(void)close(pfd[0]);
	(void)close(pfd[1]);
}

enum { ROOM = 3, TURNS = 4 };

struct stream {
	struct probe p;
	unsigned held, most;
};

static int empty(void *arg)
{
	struct stream *s = arg;

	s->p.hooks++;
	s->most = s->held > s->most ? s->held : s->most;
	s->held = 0;
	return 0;
}

static bool has_no_room(void *arg)
{
	const struct stream *s = arg;

	return s->held >= ROOM;
}

static void hold_one(void *arg, int fd, unsigned what)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	s->held++;
	if (++s->p.n == ROOM * TURNS)
		loop_stop(s->p.l, 0);
}

/* However long the slice and however much is ready, or always is: a turn that is full ends. */
static void full(unsigned fds)
{
	struct stream s = { .held = 0 };
	int fd[ROOM * TURNS];

	assert_int_equal(loop_new(&s.p.l, false), 0);
	loop_before_sleep(s.p.l, empty, &s);
	loop_slice(s.p.l, HOUR);
	loop_full(s.p.l, has_no_room, &s);
	for (unsigned i = 0; i < fds; i++) {
		fd[i] = eventfd(1, EFD_CLOEXEC);
		assert_non_null(loop_watch(s.p.l, fd[i], LOOP_READ, hold_one, &s));
	}
	assert_int_equal(loop_run(s.p.l), 0);
	assert_int_equal(s.most, ROOM);
	assert_int_equal(s.p.hooks, 1 + TURNS);
	s.p.l = loop_free(s.p.l);
	for (unsigned i = 0; i < fds; i++)
		(void)close(fd[i]);
}

static void test_full(void **state)
{
	(void)state;
	full(1);
	full(ROOM * TURNS);
}

static void leave(void *arg)
{
	struct probe *p = arg;

	p->seen[p->n++] = 'd';
}

static int release_once(void *arg)
{
	struct probe *p = arg;

	if (!p->hooks++)
		assert_non_null(loop_after(p->l, 0, leave, p));
	return 0;
}

/* What the hook released goes out before the turn takes up the next work. */
static void test_released_goes_first(void **state)
{
	struct probe p = { 0 };
	int pfd[2];

	(void)state;
	assert_int_equal(pipe(pfd), 0);
	assert_int_equal(loop_new(&p.l, false), 0);
	loop_before_sleep(p.l, release_once, &p);
	assert_non_null(loop_watch(p.l, pfd[0], LOOP_READ, read_one, &p));
	assert_int_equal(write(pfd[1], "xz", 2), 2);
	assert_int_equal(loop_run(p.l), 0);
	assert_string_equal(p.seen, "dxz");
	p.l = loop_free(p.l);
	(void)close(pfd[0]);
	(void)close(pfd[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_joins_the_turn),
		cmocka_unit_test(test_alone_at_once),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_released_goes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
