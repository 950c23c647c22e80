/* SPDX-License-Identifier: Apache-2.0 */
/* dp_grace.c - waiting for the programs that still read what is about to be written anew.
 *
 * A changed rule is written into the copy of the tables that nobody reads. Programs that began
 * before the last flip may read it yet, so a grace period must lie between a flip and the next
 * write. It begins with the flip: a thread of ours waits for it, and who changes a rule later finds
 * it over. Only a change that follows at once waits for what is left of it. */
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dp_internal.h"

#define STACK (64 * 1024)

struct dp_grace {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t begun, over; /* flips; those whose readers are gone */
	int result;           /* of the last wait: negative errno */
	pid_t owner;          /* a child of a fork has no such thread */
	bool stop;
};

/* Where processors run without a tick (nohz_full) membarrier is not to be had. An update of a map
 * that holds maps waits for all running programs by the same call of the kernel. */
static int wait_by_map(void)
{
	uint32_t zero = 0, value;
	auto_close int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "treaty_in", 4, 4, 1, NULL);
	LIBBPF_OPTS(bpf_map_create_opts, o, .inner_map_fd = (uint32_t)inner);
	auto_close int outer =
		inner < 0 ? -1
			  : bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "treaty_out", 4, 4, 1, &o);

	value = (uint32_t)inner;
	if (outer < 0 || bpf_map_update_elem(outer, &zero, &value, BPF_ANY))
		return -errno;
	return 0;
}

static int wait_now(void)
{
	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return 0;
	return errno == EINVAL || errno == ENOSYS ? wait_by_map() : -errno;
}

int dp_readers_wait(const char *what, struct err *e)
{
	int r = wait_now();

	return r ? err_set(e, r, "%s: waiting for running programs: %s", what, strerror(-r)) : 0;
}

static void *waiter(void *arg)
{
	struct dp_grace *g = arg;

	(void)pthread_mutex_lock(&g->lock);
	while (!g->stop) {
		uint64_t upto = g->begun;
		int r;

		if (upto == g->over) {
			(void)pthread_cond_wait(&g->cond, &g->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&g->lock);
		r = wait_now();
		(void)pthread_mutex_lock(&g->lock);
		g->result = r;
		g->over = upto;
		(void)pthread_cond_broadcast(&g->cond);
	}
	(void)pthread_mutex_unlock(&g->lock);
	return NULL;
}

/* Signals are the owner's. */
static int thread_start(struct dp_grace *g)
{
	sigset_t all, was;
	pthread_attr_t a;
	int r;

	(void)sigfillset(&all);
	if (pthread_attr_init(&a))
		return -ENOMEM;
	(void)pthread_attr_setstacksize(&a, STACK);
	(void)pthread_sigmask(SIG_SETMASK, &all, &was);
	r = pthread_create(&g->thread, &a, waiter, g);
	(void)pthread_sigmask(SIG_SETMASK, &was, NULL);
	(void)pthread_attr_destroy(&a);
	return -r;
}

void dp_grace_start(struct dp *d)
{
	struct dp_grace *g = calloc(1, sizeof(*g));

	if (!g)
		return;
	(void)pthread_mutex_init(&g->lock, NULL);
	(void)pthread_cond_init(&g->cond, NULL);
	g->owner = getpid();
	g->begun = 1; /* of whoever had these tables before */
	if (thread_start(g)) {
		free(g);
		return;
	}
	d->grace = g;
}

void dp_grace_stop(struct dp *d)
{
	struct dp_grace *g = d->grace;

	d->grace = NULL;
	if (!g || g->owner != getpid())
		return;
	(void)pthread_mutex_lock(&g->lock);
	g->stop = true;
	(void)pthread_cond_broadcast(&g->cond);
	(void)pthread_mutex_unlock(&g->lock);
	(void)pthread_join(g->thread, NULL);
	(void)pthread_cond_destroy(&g->cond);
	(void)pthread_mutex_destroy(&g->lock);
	free(g);
}

void dp_grace_begin(struct dp *d)
{
	if (!d->grace || d->grace->owner != getpid())
		return;
	(void)pthread_mutex_lock(&d->grace->lock);
	d->grace->begun++;
	(void)pthread_cond_broadcast(&d->grace->cond);
	(void)pthread_mutex_unlock(&d->grace->lock);
}

int dp_grace_wait(struct dp *d, const char *what, struct err *e)
{
	struct dp_grace *g = d->grace;
	int r;

	if (!g || g->owner != getpid())
		return dp_readers_wait(what, e);
	(void)pthread_mutex_lock(&g->lock);
	while (g->over < g->begun)
		(void)pthread_cond_wait(&g->cond, &g->lock);
	r = g->result;
	(void)pthread_mutex_unlock(&g->lock);
	/* The thread's wait failed: ours may not. */
	return r ? dp_readers_wait(what, e) : 0;
}
