/* SPDX-License-Identifier: Apache-2.0 */
/* One turn: hook, sleep, fd callbacks, due timers; in real mode with a slice again what is ready by
 * then, until nothing is.
 *
 * Real mode sleeps in libevent, woken for the next timer by a timerfd on CLOCK_BOOTTIME (libevent's
 * own timers count monotonic time, which stands still while a laptop is suspended, and epoll rounds
 * them to milliseconds). The clock is read at the first use after a sleep and then kept.
 *
 * Virtual mode asks libevent what is ready and never sleeps. Whether anything was ready is known
 * from a sentinel event of the highest priority: it runs first and counts what waits behind it. So
 * does real mode while there are spare timers, which run when nothing was, and when it looks for
 * more to do in the same turn. */
#include "loop.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <time.h>

#define PRIO_SENTINEL 0
#define VIRTUAL_EPOCH 1767225600000 /* virtual wall time starts at 2026-01-01T00:00:00Z */

struct loop_timer {
	LIST_ENTRY(loop_timer) entry; /* of a spare one */
	bool spare;
	mono_t at;
	uint64_t seq; /* ties fire in the order they were made */
	size_t slot;  /* where in the heap */
	loop_timer_fn fn;
	void *arg;
};

struct loop_fd {
	LIST_ENTRY(loop_fd) entry;
	struct loop *l;
	struct event *ev;
	loop_fd_fn fn;
	void *arg;
};

/* Filled at the first use in a turn, so it lives behind a pointer of the const loop. */
struct turn_clock {
	bool mono_fresh, wall_fresh;
	mono_t now;
	wall_t wall;
};

struct loop {
	struct event_base *base;
	struct event *wake, *sentinel;
	int timerfd;
	mono_t armed; /* what timerfd is set to, the next timer's time or before; 0 = nothing */
	bool is_virtual, stopped, was_busy;
	int status;
	int64_t slice, worked_from; /* us; 0 = no bound; 0 = nothing was done in this turn */
	struct turn_clock *clock;
	loop_hook_fn hook;
	void *hook_arg;
	loop_full_fn full;
	void *full_arg;
	struct loop_timer **heap;
	size_t n, cap;
	uint64_t next_seq, hook_seq; /* of timers; the first that this turn's hook may have made */
	LIST_HEAD(loop_fds, loop_fd) fds;
	LIST_HEAD(loop_spares, loop_timer) spare;
};

static int64_t clock_us(clockid_t id)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

mono_t loop_now(const struct loop *l)
{
	struct turn_clock *c = l->clock;

	if (!c->mono_fresh) {
		c->now = (mono_t){ clock_us(CLOCK_BOOTTIME) };
		c->mono_fresh = true;
	}
	return c->now;
}

mono_t loop_read(const struct loop *l)
{
	return l->is_virtual ? l->clock->now : (mono_t){ clock_us(CLOCK_BOOTTIME) };
}

wall_t loop_wall(const struct loop *l)
{
	struct turn_clock *c = l->clock;

	if (l->is_virtual)
		return (wall_t){ VIRTUAL_EPOCH + c->now.us / 1000 };
	if (!c->wall_fresh) {
		c->wall = (wall_t){ clock_us(CLOCK_REALTIME) / 1000 };
		c->wall_fresh = true;
	}
	return c->wall;
}

/* --- the heap ------------------------------------------------------------------------------ */

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
	int c = mono_cmp(a->at, b->at);

	return c < 0 || (c == 0 && a->seq < b->seq);
}

static void put(struct loop *l, size_t i, struct loop_timer *t)
{
	l->heap[i] = t;
	t->slot = i;
}

static void sift_up(struct loop *l, size_t i)
{
	struct loop_timer *t = l->heap[i];

	for (; i > 0 && before(t, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		put(l, i, l->heap[(i - 1) / 2]);
	put(l, i, t);
}

static void sift_down(struct loop *l, size_t i)
{
	struct loop_timer *t = l->heap[i];

	for (size_t k; (k = 2 * i + 1) < l->n; i = k) {
		if (k + 1 < l->n && before(l->heap[k + 1], l->heap[k]))
			k++;
		if (!before(l->heap[k], t))
			break;
		put(l, i, l->heap[k]);
	}
	put(l, i, t);
}

struct loop_timer *loop_after(struct loop *l, int64_t us, loop_timer_fn fn, void *arg)
{
	struct loop_timer *t;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct loop_timer **h = reallocarray(l->heap, cap, sizeof(*h));

		if (!h)
			return NULL;
		l->heap = h;
		l->cap = cap;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	*t = (struct loop_timer){ .seq = l->next_seq++, .fn = fn, .arg = arg };
	t->at = loop_now(l);
	if (us > 0 && __builtin_add_overflow(t->at.us, us, &t->at.us))
		t->at.us = INT64_MAX;
	l->heap[l->n] = t;
	sift_up(l, l->n++);
	return t;
}

struct loop_timer *loop_spare(struct loop *l, int64_t us, loop_timer_fn fn, void *arg)
{
	struct loop_timer *t = loop_after(l, us, fn, arg);

	if (!t)
		return NULL;
	t->spare = true;
	LIST_INSERT_HEAD(&l->spare, t, entry);
	return t;
}

/* Out of the heap, not freed. */
static void heap_take(struct loop *l, struct loop_timer *t)
{
	size_t i = t->slot;

	l->n--;
	if (i == l->n)
		return;
	put(l, i, l->heap[l->n]);
	sift_down(l, i);
	sift_up(l, i);
}

void loop_cancel(struct loop *l, struct loop_timer *t)
{
	if (!t)
		return;
	heap_take(l, t);
	if (t->spare)
		LIST_REMOVE(t, entry);
	free(t);
}

static void fire(struct loop *l, struct loop_timer *t)
{
	loop_timer_fn fn = t->fn;
	void *arg = t->arg;

	loop_cancel(l, t);
	fn(arg);
}

/* Timers made by a callback of this pass wait for the next turn: a zero-delay timer that re-arms
 * itself must not starve the fds and the hook. Up to the first that is older than from. */
static bool fire_due(struct loop *l, uint64_t from)
{
	uint64_t end = l->next_seq;
	mono_t now = loop_now(l);
	bool any = false;

	while (l->n && !l->stopped && mono_cmp(l->heap[0]->at, now) <= 0 &&
	       l->heap[0]->seq >= from && l->heap[0]->seq < end) {
		fire(l, l->heap[0]);
		any = true;
	}
	return any;
}

/* --- fds ----------------------------------------------------------------------------------- */

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *w = arg;
	unsigned bits = (what & EV_READ ? LOOP_READ : 0u) | (what & EV_WRITE ? LOOP_WRITE : 0u);
	struct loop *l = w->l;

	w->fn(w->arg, fd, bits); /* may free w */
	loop_worked(l);
}

void loop_slice(struct loop *l, int64_t us)
{
	l->slice = us;
}

void loop_full(struct loop *l, loop_full_fn fn, void *arg)
{
	l->full = fn;
	l->full_arg = arg;
}

/* In this turn nothing more is to be begun. */
static bool is_enough(const struct loop *l)
{
	return (l->worked_from && clock_us(CLOCK_MONOTONIC) - l->worked_from > l->slice) ||
	       (l->full && l->full(l->full_arg));
}

void loop_worked(struct loop *l)
{
	if (!l->slice || l->is_virtual)
		return;
	if (is_enough(l))
		(void)event_base_loopbreak(l->base); /* what is ready stays so, in its order */
	if (!l->worked_from)
		l->worked_from = clock_us(CLOCK_MONOTONIC);
}

struct loop_fd *loop_watch(struct loop *l, int fd, unsigned what, loop_fd_fn fn, void *arg)
{
	struct loop_fd *w = calloc(1, sizeof(*w));
	int bits =
		EV_PERSIST | (what & LOOP_READ ? EV_READ : 0) | (what & LOOP_WRITE ? EV_WRITE : 0);

	if (!w)
		return NULL;
	w->l = l;
	w->fn = fn;
	w->arg = arg;
	w->ev = event_new(l->base, fd, (short)bits, on_fd, w);
	if (!w->ev || event_add(w->ev, NULL)) {
		if (w->ev)
			event_free(w->ev);
		free(w);
		return NULL;
	}
	LIST_INSERT_HEAD(&l->fds, w, entry);
	return w;
}

struct loop_fd *loop_fd_free(struct loop_fd *w)
{
	if (!w)
		return NULL;
	LIST_REMOVE(w, entry);
	event_free(w->ev);
	free(w);
	return NULL;
}

/* --- the loop ------------------------------------------------------------------------------ */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t times;

	(void)what;
	(void)!read(fd, &times, sizeof(times));
	l->armed = (mono_t){ 0 };
}

static void on_sentinel(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->was_busy = event_base_get_num_events(l->base, EVENT_BASE_COUNT_ACTIVE) > 0;
}

static struct event_base *base_new(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *b = NULL;

	if (!cfg)
		return NULL;
	if (!event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK))
		b = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (b && event_base_priority_init(b, 3)) { /* a new event gets the middle one */
		event_base_free(b);
		b = NULL;
	}
	return b;
}

static int loop_init(struct loop *l)
{
	l->clock = calloc(1, sizeof(*l->clock));
	l->base = base_new();
	if (!l->clock || !l->base)
		return -ENOMEM;
	l->clock->mono_fresh = l->is_virtual; /* virtual time is never read, only moved */
	l->sentinel = event_new(l->base, -1, 0, on_sentinel, l);
	if (!l->sentinel || event_priority_set(l->sentinel, PRIO_SENTINEL))
		return -ENOMEM;
	if (l->is_virtual)
		return 0;
	l->timerfd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timerfd < 0)
		return -errno;
	l->wake = event_new(l->base, l->timerfd, EV_READ | EV_PERSIST, on_wake, l);
	return l->wake && !event_add(l->wake, NULL) ? 0 : -ENOMEM;
}

int loop_new(struct loop **ret, bool is_virtual)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->timerfd = -1;
	l->is_virtual = is_virtual;
	LIST_INIT(&l->fds);
	LIST_INIT(&l->spare);
	r = loop_init(l);
	if (r) {
		l = loop_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	while (l->n)
		loop_cancel(l, l->heap[l->n - 1]);
	while (!LIST_EMPTY(&l->fds))
		(void)loop_fd_free(LIST_FIRST(&l->fds));
	if (l->wake)
		event_free(l->wake);
	if (l->sentinel)
		event_free(l->sentinel);
	if (l->base)
		event_base_free(l->base);
	close_p(&l->timerfd);
	free(l->heap);
	free(l->clock);
	free(l);
	return NULL;
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

void loop_before_sleep(struct loop *l, loop_hook_fn fn, void *arg)
{
	l->hook = fn;
	l->hook_arg = arg;
}

static bool is_due(const struct loop *l)
{
	return l->n && mono_cmp(l->heap[0]->at, loop_read(l)) <= 0;
}

/* What is set to an earlier time stays so: one turn for nothing then, where moving it with each
 * timer that is cancelled costs a system call each time. */
static int arm_wake(struct loop *l)
{
	struct itimerspec its = { 0 };
	mono_t at;

	if (!l->n)
		return 0;
	at = l->heap[0]->at;
	if (l->armed.us && mono_cmp(l->armed, at) <= 0)
		return 0;
	its.it_value.tv_sec = at.us / 1000000;
	its.it_value.tv_nsec = at.us % 1000000 * 1000;
	if (timerfd_settime(l->timerfd, TFD_TIMER_ABSTIME, &its, NULL))
		return -errno;
	l->armed = at;
	return 0;
}

/* Works on what is ready; l->was_busy says whether anything was. */
static int poll_base(struct loop *l)
{
	event_active(l->sentinel, EV_TIMEOUT, 0);
	return event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NONBLOCK | EVLOOP_NO_EXIT_ON_EMPTY) < 0
		       ? -EIO
		       : 0;
}

/* Nothing is ready: what may wait runs now, unless a timer is due. False: there is none. */
static bool use_idle(struct loop *l)
{
	if (LIST_EMPTY(&l->spare))
		return false;
	if (mono_cmp(l->heap[0]->at, loop_now(l)) > 0)
		fire(l, LIST_FIRST(&l->spare));
	return true;
}

/* What the hook released is mostly a call that leaves by a timer for at once: before the fds, so
 * that whom it concerns can work while we do. What was due before waits for the fds. */
static int sleep_real(struct loop *l)
{
	int how = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY, r = 0;
	bool fired = fire_due(l, l->hook_seq);

	if (l->stopped)
		return 0;
	if (!LIST_EMPTY(&l->spare)) {
		r = poll_base(l);
		if (!r && !l->was_busy && !l->stopped)
			(void)use_idle(l);
		return r;
	}
	if (fired || is_due(l))
		how |= EVLOOP_NONBLOCK;
	else
		r = arm_wake(l);
	if (r)
		return r;
	if (!(how & EVLOOP_NONBLOCK)) /* looking for what is due has read it */
		l->clock->mono_fresh = l->clock->wall_fresh = false;
	return event_base_loop(l->base, how) < 0 ? -EIO : 0;
}

static int sleep_virtual(struct loop *l)
{
	int r = poll_base(l);

	if (r || l->was_busy || l->stopped || use_idle(l))
		return r;
	if (!l->n)
		loop_stop(l, 0);
	else if (mono_cmp(l->heap[0]->at, l->clock->now) > 0)
		l->clock->now = l->heap[0]->at;
	return 0;
}

/* What became ready while the turn worked joins it, so that one hook is for all: what nobody waits
 * for yet costs less together. With nothing ready the turn ends at once. */
static int work_on(struct loop *l)
{
	bool any = l->worked_from > 0;
	int r = 0;

	while (any && !r && !l->stopped && !is_enough(l)) {
		r = poll_base(l);
		any = l->was_busy; /* a timer that comes again and again is no reason to wait */
		if (!r && !l->stopped)
			(void)fire_due(l, 0);
	}
	return r;
}

static int work(struct loop *l)
{
	int r;

	if (l->is_virtual) {
		r = sleep_virtual(l);
	} else {
		l->clock->mono_fresh = l->clock->wall_fresh = false;
		l->worked_from = 0;
		r = sleep_real(l);
	}
	if (!r && !l->stopped)
		(void)fire_due(l, 0);
	return r ? r : work_on(l);
}

static int turn(struct loop *l)
{
	int r;

	l->hook_seq = l->next_seq;
	r = l->hook ? l->hook(l->hook_arg) : 0;
	if (r < 0 || l->stopped)
		return r < 0 ? r : 0;
	return work(l);
}

/* A stop still runs the hook once more: what the last turn staged must reach the disk, and the
 * replies that wait for it must be released. */
int loop_run(struct loop *l)
{
	int r = 0;

	l->stopped = false;
	while (!r && !l->stopped)
		r = turn(l);
	if (!r && l->hook)
		r = l->hook(l->hook_arg);
	return r < 0 ? r : l->status;
}

void loop_stop(struct loop *l, int status)
{
	l->stopped = true;
	l->status = status;
	(void)event_base_loopbreak(l->base);
}
