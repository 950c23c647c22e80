/* SPDX-License-Identifier: Apache-2.0 */
/* standstill - tells when the machine itself stood still: a virtual machine whose processors are
 * taken away for a while keeps no promise about time, whatever it runs. One thread per processor,
 * above every wire and daemon, sleeps for a millisecond again and again and notes when it wakes up
 * late; work of this machine's own does not delay it.
 *
 *   standstill run CTL-SOCKET           until SIGTERM
 *   standstill ctl CTL-SOCKET since NS  {"now_ns", "stood_ns", "longest_ns"}: the worst processor
 *                                       since that time (CLOCK_MONOTONIC)
 *   standstill cause ON PERIOD          e.g. 20ms 60ms: makes it stand still so, until SIGTERM */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "ctl.h"

enum { MAX_CPUS = 64, KEPT = 16384, WATCH_PRIORITY = 20, CAUSE_PRIORITY = 30 };
#define STEP_NS 1000000U
#define LATE_NS 3000000U /* less is what a busy kernel does by itself */

struct pause {
	uint64_t end, length; /* ns */
};

struct cpu {
	pthread_t thread;
	int no;
	pthread_mutex_t lock;
	struct pause kept[KEPT]; /* the newest, as a ring */
	uint64_t n;
};

static struct cpu cpus[MAX_CPUS];
static int count;
static uint64_t cause_on, cause_period; /* ns */

static void be_first(int cpu, int priority)
{
	const struct sched_param p = { .sched_priority = priority };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &p))
		lab_die("SCHED_FIFO is refused: what stands still cannot be told from what is "
			"busy");
	prctl(PR_SET_TIMERSLACK, 1UL);
}

static void *watch(void *arg)
{
	static const struct timespec step = { .tv_nsec = STEP_NS };
	struct cpu *c = arg;
	uint64_t before;

	be_first(c->no, WATCH_PRIORITY);
	before = lab_now(CLOCK_MONOTONIC);
	for (;;) {
		uint64_t now, late;

		(void)nanosleep(&step, NULL);
		now = lab_now(CLOCK_MONOTONIC);
		late = now - before - STEP_NS;
		if (late > LATE_NS) {
			pthread_mutex_lock(&c->lock);
			c->kept[c->n++ % KEPT] = (struct pause){ now, late };
			pthread_mutex_unlock(&c->lock);
		}
		before = now;
	}
	return NULL;
}

/* All of them stand still at the same moments, as under a hypervisor. */
static void *cause(void *arg)
{
	const struct cpu *c = arg;

	be_first(c->no, CAUSE_PRIORITY);
	for (;;) {
		uint64_t next = (lab_now(CLOCK_MONOTONIC) / cause_period + 1) * cause_period;
		struct timespec at = { .tv_sec = (time_t)(next / LAB_NS_PER_S),
				       .tv_nsec = (long)(next % LAB_NS_PER_S) };

		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		while (lab_now(CLOCK_MONOTONIC) < next + cause_on)
			;
	}
	return NULL;
}

static void sum_since(struct cpu *c, uint64_t since, struct pause *worst)
{
	struct pause sum = { 0 };

	pthread_mutex_lock(&c->lock);
	for (uint64_t i = c->n > KEPT ? c->n - KEPT : 0; i < c->n; i++) {
		const struct pause *p = &c->kept[i % KEPT];
		uint64_t part = p->end <= since ? 0 : p->end - since;

		part = part < p->length ? part : p->length;
		sum.length += part;
		worst->end = part > worst->end ? part : worst->end;
	}
	pthread_mutex_unlock(&c->lock);
	worst->length = sum.length > worst->length ? sum.length : worst->length;
}

static int handle(void *arg, char *text, FILE *out)
{
	char *verb = strsep(&text, " "), *end = NULL;
	uint64_t since = text ? strtoull(text, &end, 10) : 0;
	struct pause worst = { 0 };

	(void)arg;
	if (!verb || strcmp(verb, "since") || !end || end == text || *end) {
		fputs("error: want since NS\n", out);
		return -EINVAL;
	}
	for (int i = 0; i < count; i++)
		sum_since(&cpus[i], since, &worst);
	fprintf(out, "{\"now_ns\":%lu,\"stood_ns\":%lu,\"longest_ns\":%lu}\n",
		lab_now(CLOCK_MONOTONIC), worst.length, worst.end);
	return 0;
}

static void start(void *(*work)(void *))
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		lab_die("affinity: %s", strerror(errno));
	for (int i = 0; i < CPU_SETSIZE && count < MAX_CPUS; i++) {
		struct cpu *c = &cpus[count];

		if (!CPU_ISSET(i, &set))
			continue;
		c->no = i;
		pthread_mutex_init(&c->lock, NULL);
		if (pthread_create(&c->thread, NULL, work, c))
			lab_die("thread: %s", strerror(errno));
		count++;
	}
}

int main(int argc, char **argv)
{
	static struct lab_ctl ctl = { .handle = handle };
	sigset_t ends;
	int sig;

	if (argc > 3 && !strcmp(argv[1], "ctl"))
		return lab_ctl_main(argv[2], argc - 3, argv + 3);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	(void)mlockall(MCL_CURRENT);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* nothing of this may outlive what it watches for */
	if (argc == 4 && !strcmp(argv[1], "cause") && lab_parse(argv[2], LAB_TIME, &cause_on) &&
	    lab_parse(argv[3], LAB_TIME, &cause_period) && cause_on && cause_on < cause_period) {
		start(cause);
	} else if (argc == 3 && !strcmp(argv[1], "run")) {
		start(watch);
		lab_ctl_bind(&ctl, argv[2]);
		lab_ctl_start(&ctl);
	} else {
		lab_die("usage: standstill run SOCKET | ctl SOCKET since NS | cause ON PERIOD");
	}
	sigwait(&ends, &sig);
	if (*ctl.path)
		(void)unlink(ctl.path);
	return 0;
}
