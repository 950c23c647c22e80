/* SPDX-License-Identifier: Apache-2.0 */
/* bench_apply.c - agreements applied per second through the enforcer's own messages: the steps go
 * to its process in batches, each is written, read back and answered. Own namespaces and bpffs.
 *
 *   apply_per_s       label lines: changes of labels that are there
 *   apply_class_per_s HTB classes: changes of classes that are there (and apart: adds)
 *   load_1m_s         a million new label lines
 *   htb_add_us        what one more class costs once so many stand */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/enforcer/client.h"
#include "agent/enforcer/enforcer_node.h"
#include "agent/log.h"
#include "netlink/obj.h"

#define LABELS  (1u << 20)
#define ROUNDS  5
#define CHANGES 20000u
#define CLASSES 1000u
#define CURVE   4000u

static struct config cfg;
static struct step step[LABELS];
static struct enforcer_receipt receipt[LABELS];
static struct msg_client c;

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "bench_apply: %s\n", what);
	exit(1);
}

static int serve(int fd)
{
	struct {
		struct enforcer_node *node; /* first: the rows look for it */
	} served = { NULL };
	struct err e = { 0 };
	int r;

	log_init("bench_apply", LOG_LEVEL_ERROR);
	r = enforcer_node_open(&served.node, &cfg, NULL, &e);
	while (!r) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		(void)poll(&p, 1, -1);
		r = msg_serve(fd, enforcer_node_rows, ENFORCER_NODE_ROWS, &served, &e);
	}
	if (r == -EPIPE)
		r = enforcer_node_remove(&served.node, &e);
	if (r)
		(void)fprintf(stderr, "bench_apply: %s\n", e.text);
	return r ? 1 : 0;
}

static void stage(char pins[64])
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(pins) ||
	    mount("bpf", pins, "bpf", 0, "mode=0700"))
		die("namespaces or bpffs refused");
	if (system("ip link add acc0 type veth peer name acc1 && ip link set acc0 up && "
		   "ip link set acc1 up && ip link set lo up"))
		die("no veth");
	cfg.daemon.roles = ROLE_NODE;
	(void)snprintf(cfg.node.pin_dir, sizeof(cfg.node.pin_dir), "%s/dp", pins);
	cfg.node.max_labels = LABELS;
	cfg.node.max_classes = 8192;
	cfg.node.labels = (struct cfg_range){ 1, LABELS - 1 };
	cfg.devices = 1;
	(void)snprintf(cfg.device[0].name, sizeof(cfg.device[0].name), "acc0");
	cfg.device[0].role = DEVICE_NETWORK;
	cfg.device[0].rate.bps = 400000000000ull;
	cfg.device[0].shaper = SHAPER_HTB;
}

static void label(struct step *s, uint32_t i, uint64_t bps)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	*s = (struct step){ .kind = STEP_LABEL_SET,
			    .label = i,
			    .in_down = { "acc0" },
			    .rate = { bps },
			    .burst_ms = 300,
			    .dscp = 34,
			    .valid_until = { ((int64_t)t.tv_sec + 86400) * 1000 } };
}

static void class(struct step *s, uint32_t i, uint64_t bps)
{
	*s = (struct step){ .kind = STEP_CLASS_SET,
			    .label = i + 1,
			    .device = { "acc0" },
			    .minor = (uint16_t)(HTB_LABEL_BASE + i),
			    .rate = { bps },
			    .ceil = { bps } };
}

/* Seconds for n steps, each of which must have changed something and been read back. */
static double apply(uint32_t n)
{
	struct err e = { 0 };
	double from = now_s();

	memset(receipt, 0, n * sizeof(*receipt));
	if (enforcer_steps(&c, step, n, receipt, &e))
		die(e.text);
	for (uint32_t i = 0; i < n; i++)
		if (receipt[i].refusal || !receipt[i].changed)
			die(receipt[i].why.s[0] ? receipt[i].why.s : "a step changed nothing");
	return now_s() - from;
}

static int by_value(const void *a, const void *b)
{
	double x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return v[ROUNDS / 2];
}

static void line(const char *metric, double v, const char *unit, const char *more)
{
	(void)printf("{\"metric\":\"dataplane.%s\",\"value\":%.2f,\"unit\":\"%s\"%s}\n", metric, v,
		     unit, more);
	(void)fflush(stdout);
}

static void labels(void)
{
	double v[ROUNDS];

	for (uint32_t i = 1; i < LABELS; i++)
		label(&step[i - 1], i, 21000000);
	line("load_1m_s", apply(LABELS - 1), "s", ",\"target\":\"<= 5\"");
	for (int r = 0; r < ROUNDS; r++) {
		for (uint32_t i = 0; i < CHANGES; i++)
			label(&step[i], 1 + (i * 51) % (LABELS - 1),
			      22000000 + (uint64_t)r * 1000000);
		v[r] = CHANGES / apply(CHANGES);
	}
	line("apply_per_s", median(v), "1/s", ",\"kind\":\"label\",\"target\":\">= 20000\"");
}

static void classes(void)
{
	static const uint32_t curve[] = { 100, CLASSES, CURVE };
	double v[ROUNDS];
	char more[64];
	uint32_t at = 0;

	for (size_t k = 0; k < ARRAY_LEN(curve); k++) {
		double s;

		/* the last hundred before the mark are the ones that are timed */
		for (uint32_t i = 0; at + i < curve[k] - 100; i++)
			class(&step[i], at + i, 8000000);
		if (curve[k] - 100 > at)
			(void)apply(curve[k] - 100 - at);
		for (uint32_t i = 0; i < 100; i++)
			class(&step[i], curve[k] - 100 + i, 8000000);
		s = apply(100);
		at = curve[k];
		(void)snprintf(more, sizeof(more), ",\"classes\":%u", curve[k]);
		line("htb_add_us", s / 100 * 1e6, "us", more);
		for (int r = 0; r < ROUNDS; r++) {
			uint32_t n = curve[k] < CLASSES ? curve[k] : CLASSES;

			for (uint32_t i = 0; i < n; i++)
				class(&step[i], i, 9000000 + (uint64_t)(r + 10 * k) * 80000);
			v[r] = n / apply(n);
		}
		(void)snprintf(more, sizeof(more),
			       ",\"kind\":\"class\",\"classes\":%u,\"target\":\">= 20000\"",
			       curve[k]);
		line("apply_class_per_s", median(v), "1/s", more);
	}
}

int main(void)
{
	char pins[64] = "/tmp/treaty-apply-XXXXXX";
	int pair[2], status = 0;
	pid_t pid;

	if (geteuid() != 0) {
		(void)fprintf(stderr, "bench_apply: skipped, needs root\n");
		return 77;
	}
	stage(pins);
	if (msg_pair(pair))
		die("no sockets");
	pid = fork();
	if (pid == 0) {
		(void)close(pair[0]);
		_exit(serve(pair[1]));
	}
	(void)close(pair[1]);
	c.fd = pair[0];
	labels();
	classes();
	(void)close(pair[0]);
	(void)waitpid(pid, &status, 0);
	(void)umount(pins);
	(void)rmdir(pins);
	return status ? 1 : 0;
}
