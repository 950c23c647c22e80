/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - one thread, one clock read per turn, over libevent. libevent carries the fds (and the
 * wire's bufferevents, through loop_base()); timers are our own heap, so that a virtual loop has
 * the same API and jumps to the next timer instead of sleeping. */
#ifndef TREATY_LOOP_H
#define TREATY_LOOP_H

#include "treaty/err.h"
#include "treaty/units.h"

struct loop;
struct loop_timer;
struct loop_fd;
struct event_base;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void (*loop_fd_fn)(void *arg, int fd, unsigned what);
typedef void (*loop_timer_fn)(void *arg);
typedef int (*loop_hook_fn)(void *arg); /* negative stops the loop with that error */

/* is_virtual: time starts at 0 and jumps to the next timer when no fd is ready. */
int loop_new(struct loop **ret, bool is_virtual) must_check;
struct loop *loop_free(struct loop *l); /* NULL in, NULL out; frees timers and watches */
struct event_base *loop_base(struct loop *l);

mono_t loop_now(const struct loop *l); /* as read at the start of this turn */
wall_t loop_wall(const struct loop *l);
mono_t loop_read(const struct loop *l); /* as it is now, to measure what a callback takes */

/* Watches fd (borrowed) until loop_fd_free(). NULL on ENOMEM. */
struct loop_fd *loop_watch(struct loop *l, int fd, unsigned what, loop_fd_fn fn, void *arg);
struct loop_fd *loop_fd_free(struct loop_fd *w);

/* One-shot timer, us >= 0 from now; the loop frees it after it fired. NULL on ENOMEM. Timers of
 * the same instant fire in the order they were made. */
struct loop_timer *loop_after(struct loop *l, int64_t us, loop_timer_fn fn, void *arg);
/* For what may wait: the same, but sooner in a turn that has nothing else to do. */
struct loop_timer *loop_spare(struct loop *l, int64_t us, loop_timer_fn fn, void *arg);
void loop_cancel(struct loop *l, struct loop_timer *t); /* NULL is fine */

/* Runs before every sleep: commit the log here, then release what waited for it. */
void loop_before_sleep(struct loop *l, loop_hook_fn fn, void *arg);

/* A turn that has worked on fds for longer than us goes on to its hook, and to the rest afterwards:
 * whom the finished part concerns can work on meanwhile. One that has not takes up what became
 * ready meanwhile, until nothing is. 0 = all that is ready at first, and no more. Real time only.
 */
void loop_slice(struct loop *l, int64_t us);
/* Of a turn with a slice: asked between pieces of work; true ends it as the slice's end does. */
typedef bool (*loop_full_fn)(void *arg);
void loop_full(struct loop *l, loop_full_fn fn, void *arg);
/* For who works on fds that loop_watch() does not know: a piece of work is done. */
void loop_worked(struct loop *l);

/* Until loop_stop(), a hook's error, or, when virtual, until nothing is left to do. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int status);

#endif
