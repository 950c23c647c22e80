/* SPDX-License-Identifier: Apache-2.0 */
/* loop: order, ties, cancelling, fds, virtual time, the hook, bufferevents on the same base. */
#include "agent/loop.h"

#include <errno.h>
#include <pthread.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <cmocka.h>

struct probe {
	struct loop *l;
	char seen[64];
	size_t n;
	int64_t at[64];
	struct loop_timer *other;
	struct loop_fd *watch;
	unsigned hooks, fires;
	int status;
};

struct tag {
	struct probe *p;
	char c;
};

static void mark(void *arg)
{
	struct tag *t = arg;

	t->p->at[t->p->n] = loop_now(t->p->l).us;
	t->p->seen[t->p->n++] = t->c;
}

static void test_order_and_ties(void **state)
{
	struct probe p = { 0 };
	struct tag t[] = { { &p, 'a' }, { &p, 'b' }, { &p, 'c' }, { &p, 'd' }, { &p, 'e' } };
	static const int64_t delay[] = { 30, 10, 20, 10, 10 };

	(void)state;
	assert_int_equal(loop_new(&p.l, true), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_non_null(loop_after(p.l, delay[i], mark, &t[i]));
	assert_int_equal(loop_run(p.l), 0);
	assert_string_equal(p.seen, "bdeca");
	assert_int_equal(p.at[0], 10);
	assert_int_equal(p.at[4], 30);
	p.l = loop_free(p.l);
	assert_null(loop_free(NULL));
}

/* 4,000 timers of few distinct instants: order by time, then by age, whatever was cancelled. */
struct many {
	struct loop *l;
	int64_t last_at;
	int last_id, fired;
};

struct one {
	struct many *m;
	int id;
	int64_t at;
};

static void many_fire(void *arg)
{
	struct one *o = arg;

	assert_int_equal(loop_now(o->m->l).us, o->at);
	assert_true(o->at > o->m->last_at || (o->at == o->m->last_at && o->id > o->m->last_id));
	o->m->last_at = o->at;
	o->m->last_id = o->id;
	o->m->fired++;
}

static void test_heap_stable_under_cancel(void **state)
{
	enum { N = 4000 };
	static struct one o[N];
	static struct loop_timer *t[N];
	struct many m = { .last_at = -1 };
	uint32_t rnd = 0x5097d2bb; /* fixed seed */

	(void)state;
	assert_int_equal(loop_new(&m.l, true), 0);
	for (int i = 0; i < N; i++) {
		rnd = rnd * 1664525 + 1013904223;
		o[i] = (struct one){ &m, i, rnd >> 26 };
		t[i] = loop_after(m.l, o[i].at, many_fire, &o[i]);
		assert_non_null(t[i]);
	}
	for (int i = 0; i < N; i += 3)
		loop_cancel(m.l, t[i]);
	assert_int_equal(loop_run(m.l), 0);
	assert_int_equal(m.fired, N - (N + 2) / 3);
	m.l = loop_free(m.l);
}

static void cancel_other(void *arg)
{
	struct probe *p = arg;

	p->seen[p->n++] = 'x';
	loop_cancel(p->l, p->other);
	loop_cancel(p->l, NULL);
}

static void test_cancel_in_callback(void **state)
{
	struct probe p = { 0 };
	struct tag t = { &p, 'a' };

	(void)state;
	assert_int_equal(loop_new(&p.l, true), 0);
	assert_non_null(loop_after(p.l, 5, cancel_other, &p));
	p.other = loop_after(p.l, 5, mark, &t); /* due in the same pass */
	assert_non_null(p.other);
	assert_int_equal(loop_run(p.l), 0);
	assert_string_equal(p.seen, "x");
	p.l = loop_free(p.l);
}

static void every_second(void *arg)
{
	struct probe *p = arg;

	p->fires++;
	if (loop_now(p->l).us < 30LL * 86400 * 1000000)
		assert_non_null(loop_after(p->l, 10 * 1000000, every_second, p));
}

static void test_virtual_month(void **state)
{
	struct probe p = { 0 };
	struct rusage a, b;

	(void)state;
	assert_int_equal(loop_new(&p.l, true), 0);
	assert_int_equal(loop_now(p.l).us, 0);
	assert_non_null(loop_after(p.l, 0, every_second, &p));
	assert_int_equal(getrusage(RUSAGE_SELF, &a), 0);
	assert_int_equal(loop_run(p.l), 0);
	assert_int_equal(getrusage(RUSAGE_SELF, &b), 0);
	assert_int_equal(p.fires, 30 * 8640 + 1);
	assert_int_equal(loop_now(p.l).us, 30LL * 86400 * 1000000);
	assert_int_equal(loop_wall(p.l).ms, 1767225600000 + 30LL * 86400 * 1000);
	/* It slept for none of them, not even for a moment. */
	assert_true(b.ru_nvcsw - a.ru_nvcsw < (long)p.fires / 100);
	p.l = loop_free(p.l);
}

static void rearm_zero(void *arg)
{
	struct probe *p = arg;

	if (++p->fires < 100)
		assert_non_null(loop_after(p->l, 0, rearm_zero, p));
}

static int count_hook(void *arg)
{
	struct probe *p = arg;

	p->hooks++;
	return p->status;
}

/* A zero-delay timer that re-arms itself gets one turn each time, with a hook before it. */
static void test_hook_runs_each_turn(void **state)
{
	struct probe p = { 0 };

	(void)state;
	assert_int_equal(loop_new(&p.l, true), 0);
	loop_before_sleep(p.l, count_hook, &p);
	assert_non_null(loop_after(p.l, 0, rearm_zero, &p));
	assert_int_equal(loop_run(p.l), 0);
	assert_int_equal(p.fires, 100);
	assert_true(p.hooks >= 100);
	p.l = loop_free(p.l);
}

static void test_hook_error_stops(void **state)
{
	struct probe p = { .status = -ENOSPC };

	(void)state;
	assert_int_equal(loop_new(&p.l, false), 0);
	loop_before_sleep(p.l, count_hook, &p);
	assert_non_null(loop_after(p.l, 0, rearm_zero, &p));
	assert_int_equal(loop_run(p.l), -ENOSPC);
	assert_int_equal(p.hooks, 1);
	assert_int_equal(p.fires, 0);
	p.l = loop_free(p.l);
}

static void stop_loop(void *arg)
{
	struct probe *p = arg;

	loop_stop(p->l, 7);
}

static void read_one(void *arg, int fd, unsigned what)
{
	struct probe *p = arg;
	char c;

	assert_int_equal(what, LOOP_READ);
	assert_int_equal(read(fd, &c, 1), 1);
	p->seen[p->n++] = c;
	if (c == 'z') {
		p->watch = loop_fd_free(p->watch); /* from inside its own callback */
		loop_stop(p->l, 0);
	}
}

static void fd_watch(bool is_virtual)
{
	struct probe p = { 0 };
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(loop_new(&p.l, is_virtual), 0);
	p.watch = loop_watch(p.l, sv[0], LOOP_READ, read_one, &p);
	assert_non_null(p.watch);
	assert_non_null(loop_after(p.l, 3600LL * 1000000, stop_loop, &p));
	assert_int_equal(write(sv[1], "xyz", 3), 3);
	assert_int_equal(loop_run(p.l), 0);
	assert_string_equal(p.seen, "xyz");
	assert_null(p.watch);
	if (is_virtual) /* ready fds come before the jump to the next timer */
		assert_int_equal(loop_now(p.l).us, 0);
	p.l = loop_free(p.l);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void test_fd_watch(void **state)
{
	(void)state;
	fd_watch(false);
	fd_watch(true);
}

static void test_real_timer(void **state)
{
	struct probe p = { 0 };
	struct tag t = { &p, 'a' };
	int64_t start;

	(void)state;
	assert_int_equal(loop_new(&p.l, false), 0);
	start = loop_now(p.l).us;
	assert_int_equal(loop_now(p.l).us, start); /* one read per turn */
	assert_non_null(loop_after(p.l, 20000, mark, &t));
	assert_non_null(loop_after(p.l, 40000, stop_loop, &p));
	assert_int_equal(loop_run(p.l), 7);
	assert_string_equal(p.seen, "a");
	assert_true(p.at[0] - start >= 20000);
	p.l = loop_free(p.l);
}

/* Says when, after everybody sleeps. */
static void *late_writer(void *arg)
{
	const int *fd = arg;
	struct timespec ts = { .tv_nsec = 50000000 };
	int64_t at[2];

	(void)nanosleep(&ts, NULL);
	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	at[0] = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	at[1] = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	return write(*fd, at, sizeof(at)) == sizeof(at) ? NULL : arg;
}

static void not_before(void *arg, int fd, unsigned what)
{
	struct probe *p = arg;
	int64_t at[2];

	(void)what;
	assert_int_equal(read(fd, at, sizeof(at)), sizeof(at));
	assert_true(loop_now(p->l).us >= at[0]);
	assert_true(loop_wall(p->l).ms >= at[1]);
	loop_stop(p->l, 0);
}

static int look_at_clocks(void *arg)
{
	struct probe *p = arg;

	(void)loop_now(p->l);
	(void)loop_wall(p->l);
	return 0;
}

/* What woke us is not of a time before we slept. */
static void test_clock_after_sleep(void **state)
{
	struct probe p = { 0 };
	pthread_t writer;
	int pfd[2];

	(void)state;
	assert_int_equal(loop_new(&p.l, false), 0);
	assert_int_equal(pipe(pfd), 0);
	loop_before_sleep(p.l, look_at_clocks, &p);
	assert_non_null(loop_watch(p.l, pfd[0], LOOP_READ, not_before, &p));
	assert_int_equal(pthread_create(&writer, NULL, late_writer, &pfd[1]), 0);
	assert_int_equal(loop_run(p.l), 0);
	assert_int_equal(pthread_join(writer, NULL), 0);
	p.l = loop_free(p.l);
	(void)close(pfd[0]);
	(void)close(pfd[1]);
}

static unsigned armed; /* how often the kernel's timer was set */

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old)
{
	armed++;
	return __real_timerfd_settime(fd, flags, at, old);
}

static void again(void *arg)
{
	struct probe *p = arg;

	if (++p->fires < 20)
		assert_non_null(loop_after(p->l, 0, again, p));
	else
		loop_stop(p->l, 0);
}

/* Each exchange on a busy wire puts the deadline off. */
static void put_off(void *arg, int fd, unsigned what)
{
	struct probe *p = arg;

	read_one(arg, fd, what);
	loop_cancel(p->l, p->other);
	p->other = loop_after(p->l, (int64_t)(30000 + 1000 * p->n), stop_loop, p);
}

/* The kernel's timer is not set for what is due, nor moved with each deadline; and the one that
 * stands in the end is kept, neither early nor never. */
static void test_kernel_timer_is_let_alone(void **state)
{
	struct probe p = { 0 };
	int64_t end;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(loop_new(&p.l, false), 0);
	armed = 0;
	p.other = loop_after(p.l, 20000, stop_loop, &p);
	assert_non_null(loop_after(p.l, 0, again, &p));
	assert_int_equal(loop_run(p.l), 0);
	assert_int_equal(p.fires, 20);
	assert_int_equal(armed, 0);
	assert_int_equal(write(sv[1], "abcdefghij", 10), 10);
	p.watch = loop_watch(p.l, sv[0], LOOP_READ, put_off, &p);
	end = loop_read(p.l).us + 40000;
	assert_int_equal(loop_run(p.l), 7);
	assert_string_equal(p.seen, "abcdefghij");
	assert_true(loop_read(p.l).us >= end);
	assert_int_equal(armed, 2);
	p.l = loop_free(p.l);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static int hook_stops(void *arg)
{
	struct probe *p = arg;

	if (++p->hooks == 1)
		loop_stop(p->l, 3);
	return 0;
}

/* Stopped by the hook itself, the loop does not sleep first; the hook sees the last turn too. */
static void test_stop_in_hook(void **state)
{
	struct probe p = { 0 };

	(void)state;
	assert_int_equal(loop_new(&p.l, false), 0);
	loop_before_sleep(p.l, hook_stops, &p);
	assert_int_equal(loop_run(p.l), 3);
	assert_int_equal(p.hooks, 2);
	p.l = loop_free(p.l);
}

static void bev_read(struct bufferevent *b, void *arg)
{
	struct probe *p = arg;

	p->n += bufferevent_read(b, p->seen + p->n, sizeof(p->seen) - 1 - p->n);
	if (p->n >= 5)
		loop_stop(p->l, 0);
}

static void test_bufferevents(void **state)
{
	(void)state;
	for (int is_virtual = 0; is_virtual < 2; is_virtual++) {
		struct probe p = { 0 };
		struct bufferevent *pair[2];

		assert_int_equal(loop_new(&p.l, is_virtual), 0);
		assert_int_equal(bufferevent_pair_new(loop_base(p.l), 0, pair), 0);
		bufferevent_setcb(pair[1], bev_read, NULL, NULL, &p);
		assert_int_equal(bufferevent_enable(pair[1], EV_READ), 0);
		assert_int_equal(bufferevent_write(pair[0], "hello", 5), 0);
		assert_int_equal(loop_run(p.l), 0);
		assert_string_equal(p.seen, "hello");
		bufferevent_free(pair[0]);
		bufferevent_free(pair[1]);
		p.l = loop_free(p.l);
	}
}

static void mark_and_read(void *arg, int fd, unsigned what)
{
	struct probe *p = arg;
	char c;

	(void)what;
	p->seen[p->n++] = 'r';
	assert_int_equal(read(fd, &c, 1), 1);
}

/* What may wait comes after what is ready and after what is due, and before the loop sleeps. */
static void test_spare(void **state)
{
	struct probe p = { 0 };
	struct tag s = { &p, 's' }, d = { &p, 'd' }, l = { &p, 'l' }, gone = { &p, 'g' };
	struct loop_fd *w;
	int pfd[2];

	(void)state;
	assert_int_equal(loop_new(&p.l, true), 0);
	assert_int_equal(pipe(pfd), 0);
	assert_int_equal(write(pfd[1], "abc", 3), 3);
	w = loop_watch(p.l, pfd[0], LOOP_READ, mark_and_read, &p);
	assert_non_null(w);
	assert_non_null(loop_spare(p.l, 1000, mark, &s));
	loop_cancel(p.l, loop_spare(p.l, 1, mark, &gone));
	assert_non_null(loop_after(p.l, 0, mark, &d));
	assert_non_null(loop_after(p.l, 10, mark, &l));
	assert_int_equal(loop_run(p.l), 0);
	assert_int_equal(p.n, 6); /* rrr and d in whichever order, then */
	assert_int_equal(p.seen[4], 's');
	assert_int_equal(p.at[4], 0);
	assert_int_equal(p.seen[5], 'l');
	assert_non_null(loop_spare(p.l, 5, mark, &s)); /* goes with the loop */
	w = loop_fd_free(w);
	p.l = loop_free(p.l);
	(void)close(pfd[0]);
	(void)close(pfd[1]);
}

static void mark_and_stop(void *arg)
{
	struct tag *t = arg;

	mark(t);
	loop_stop(t->p->l, 7);
}

struct busy {
	struct probe p;
	struct tag t;
	unsigned turns;
};

static void stay_busy(void *arg, int fd, unsigned what)
{
	struct busy *b = arg;

	(void)fd;
	(void)what;
	b->turns++;
	if (b->p.n == 2)
		loop_stop(b->p.l, 0);
}

/* A loop that is never idle comes to it in its time; one that is, at once, in real time too. */
static void test_spare_in_a_busy_loop(void **state)
{
	struct busy b = { .t = { &b.p, 's' } };
	struct loop_fd *w;
	int fd = eventfd(1, EFD_CLOEXEC);
	int64_t from;

	(void)state;
	assert_int_equal(loop_new(&b.p.l, false), 0);
	from = loop_now(b.p.l).us;
	assert_non_null(loop_spare(b.p.l, INT64_C(3600) * 1000000, mark_and_stop, &b.t));
	assert_int_equal(loop_run(b.p.l), 7);
	assert_true(b.p.at[0] - from < INT64_C(3600) * 1000000);
	w = loop_watch(b.p.l, fd, LOOP_READ, stay_busy, &b);
	assert_non_null(w);
	from = loop_read(b.p.l).us;
	assert_non_null(loop_spare(b.p.l, 3000, mark, &b.t));
	assert_int_equal(loop_run(b.p.l), 0);
	assert_true(b.p.at[1] - from >= 2000); /* from the turn's beginning, which was earlier */
	w = loop_fd_free(w);
	b.p.l = loop_free(b.p.l);
	(void)close(fd);
}

/* What is still armed or watched goes with the loop (leak checker and ASAN watch this one). */
static void test_free_with_everything_armed(void **state)
{
	struct probe p = { 0 };
	int pfd[2];

	(void)state;
	assert_int_equal(loop_new(&p.l, false), 0);
	for (int i = 0; i < 200; i++)
		assert_non_null(loop_after(p.l, 1000 - i, stop_loop, &p));
	assert_int_equal(pipe(pfd), 0);
	assert_non_null(loop_watch(p.l, pfd[0], LOOP_READ, read_one, &p));
	p.l = loop_free(p.l);
	assert_null(p.l);
	(void)close(pfd[0]);
	(void)close(pfd[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_ties),
		cmocka_unit_test(test_heap_stable_under_cancel),
		cmocka_unit_test(test_cancel_in_callback),
		cmocka_unit_test(test_virtual_month),
		cmocka_unit_test(test_hook_runs_each_turn),
		cmocka_unit_test(test_hook_error_stops),
		cmocka_unit_test(test_fd_watch),
		cmocka_unit_test(test_real_timer),
		cmocka_unit_test(test_clock_after_sleep),
		cmocka_unit_test(test_kernel_timer_is_let_alone),
		cmocka_unit_test(test_stop_in_hook),
		cmocka_unit_test(test_bufferevents),
		cmocka_unit_test(test_spare),
		cmocka_unit_test(test_spare_in_a_busy_loop),
		cmocka_unit_test(test_free_with_everything_armed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
