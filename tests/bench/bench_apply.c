/* SPDX-License-Identifier: Apache-2.0 */
/* bench_apply.c - agreements applied per second through the enforcer's own messages: the steps go
 * to its process in batches, each is written, read back and answered. Own namespaces and bpffs.
 *
 *   apply_per_s       label lines: changes of labels that are there
 *   apply_class_per_s HTB classes: changes of classes that are there (and apart: adds)
 *   load_1m_s         a million new label lines
 *   apply_rule_per_s  rules in batches of a message, beside the same one by one
 *   htb_add_us        what one more class costs once so many stand
 *   htb_take_us       what a deal costs that takes one of so many idle classes
 *   htb_pool_s        until that many idle classes stand, at leisure
 *   apply_filling_us  a label's step meanwhile, beside apply_filled_us once they stand */
#include <arpa/inet.h>
#include <errno.h>
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

#define LABELS    (1u << 20)
#define ROUNDS    5
#define CHANGES   20000u
#define CLASSES   1000u
#define CURVE     4000u
#define CLASS_BPS 2000000ull /* of CURVE classes together less than the link has */
#define TAKEN     100u
#define PROBES    200
#define RULES     960u
#define SPACED    40 /* rules long after each other */
#define LONE      25u

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

struct served {
	struct enforcer_node *node; /* first: the rows look for it */
	struct loop *loop;
};

static void on_request(void *arg, int fd, unsigned what)
{
	struct served *s = arg;
	int r = msg_serve(fd, enforcer_node_rows, ENFORCER_NODE_ROWS, s, NULL);

	(void)what;
	if (r)
		loop_stop(s->loop, r);
}

static int serve(int fd)
{
	struct served s = { 0 };
	struct err e = { 0 };
	int r;

	log_init("bench_apply", LOG_LEVEL_ERROR);
	r = loop_new(&s.loop, false);
	r = r ? r : enforcer_node_open(&s.node, &cfg, s.loop, &e);
	if (!r && loop_watch(s.loop, fd, LOOP_READ, on_request, &s))
		r = loop_run(s.loop);
	if (r == -EPIPE)
		r = enforcer_node_remove(&s.node, &e);
	if (r)
		(void)fprintf(stderr, "bench_apply: %s\n", e.text);
	return r ? 1 : 0;
}

static pid_t start(void)
{
	struct err e = { 0 };
	int pair[2];
	pid_t pid;

	if (msg_pair(pair))
		die("no sockets");
	pid = fork();
	if (pid == 0) {
		(void)close(pair[0]);
		_exit(serve(pair[1]));
	}
	(void)close(pair[1]);
	c.fd = pair[0];
	if (enforcer_wait(&c, &e))
		die(e.text);
	return pid;
}

static void stop(pid_t pid)
{
	int status = 0;

	(void)close(c.fd);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the enforcer failed");
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
	cfg.device[0].rate.bps = 10000000000ull; /* what a veth says its link has */
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

static double percentile(double *v, size_t n, size_t p)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n * p / 100];
}

static double median(double *v)
{
	return percentile(v, ROUNDS, 50);
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
			class(&step[i], at + i, CLASS_BPS);
		if (curve[k] - 100 > at)
			(void)apply(curve[k] - 100 - at);
		for (uint32_t i = 0; i < 100; i++)
			class(&step[i], curve[k] - 100 + i, CLASS_BPS);
		s = apply(100);
		at = curve[k];
		(void)snprintf(more, sizeof(more), ",\"classes\":%u", curve[k]);
		line("htb_add_us", s / 100 * 1e6, "us", more);
		for (int r = 0; r < ROUNDS; r++) {
			uint32_t n = curve[k] < CLASSES ? curve[k] : CLASSES;

			for (uint32_t i = 0; i < n; i++)
				class(&step[i], i, CLASS_BPS + (uint64_t)(1 + r + 10 * k) * 8000);
			v[r] = n / apply(n);
		}
		(void)snprintf(more, sizeof(more),
			       ",\"kind\":\"class\",\"classes\":%u,\"target\":\">= 20000\"",
			       curve[k]);
		line("apply_class_per_s", median(v), "1/s", more);
	}
}

static void rule(struct step *s, uint32_t i, uint16_t prio)
{
	const uint32_t net = htonl(0xfd100000 + i);
	const uint16_t port = (uint16_t)(1024 + i);

	*s = (struct step){ .kind = STEP_RULE_SET,
			    .label = i,
			    .rule = { .id = i,
				      .prio = prio,
				      .family = 6,
				      .proto = 17,
				      .src_len = 64,
				      .dport_lo = port,
				      .dport_hi = port,
				      .sport_hi = UINT16_MAX,
				      .dscp = 255,
				      .label = i } };
	memcpy(s->rule.src, &net, sizeof(net));
}

/* One rule each, long after the one before: its grace period is over by then. */
static void rule_spaced(void)
{
	double us[SPACED];

	for (uint32_t i = 0; i < SPACED; i++) {
		(void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
		rule(&step[0], 1 + i, 200);
		us[i] = 1e6 * apply(1);
	}
	line("apply_rule_spaced_us", percentile(us, SPACED, 50), "us", ",\"apart_ms\":50");
}

/* A change is a new table, and a grace period between it and the next one: alone, or with the rest
 * of its message. */
static void rules(void)
{
	double many[ROUNDS], lone[ROUNDS];
	char more[128];

	for (int r = 0; r < ROUNDS; r++) {
		for (uint32_t i = 0; i < RULES; i++)
			rule(&step[i], 1 + i, (uint16_t)(10 + r));
		many[r] = RULES / apply(RULES);
		for (uint32_t i = 0; i < LONE; i++) {
			rule(&step[0], 1 + i, (uint16_t)(100 + r));
			lone[r] = (i ? lone[r] : 0) + apply(1);
		}
		lone[r] = LONE / lone[r];
	}
	(void)snprintf(more, sizeof(more), ",\"ms\":%.2f", 1e3 / median(lone));
	line("apply_rule_lone_per_s", median(lone), "1/s", more);
	(void)snprintf(more, sizeof(more),
		       ",\"baseline\":\"dataplane.apply_rule_lone_per_s\",\"ratio\":%.1f,"
		       "\"rules\":%u,\"batch\":%d",
		       median(many) / median(lone), RULES, ENFORCER_BATCH_MAX);
	line("apply_rule_per_s", median(many), "1/s", more);
	rule_spaced();
}

static uint32_t idle(void)
{
	static struct enforcer_shaper sh;
	struct err e = { 0 };

	memset(&sh, 0, sizeof(sh));
	if (enforcer_shaper(&c, &sh, &e))
		die(e.text);
	return sh.dev[0].idle;
}

static void rest(int64_t ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* Single steps of one label, so far apart that the pool is filled between them. */
static void lone_steps(const char *metric, uint32_t size)
{
	static double v[PROBES];
	char more[96];
	uint32_t at = idle();

	for (uint32_t i = 0; i < PROBES; i++) {
		label(&step[0], 1, 30000000 + i * 100000ull);
		v[i] = apply(1) * 1e6;
		rest(35);
	}
	(void)snprintf(more, sizeof(more),
		       ",\"classes\":%u,\"p50\":%.1f,\"tried\":%d,\"filled\":%u", size,
		       percentile(v, PROBES, 50), PROBES, idle() - at);
	line(metric, percentile(v, PROBES, 99), "us", more);
}

/* A pool of its own for each size; the classes that are taken are the last of it. */
static void pool(uint32_t size)
{
	double from;
	char more[64];
	pid_t pid;

	cfg.node.class_pool = size;
	pid = start();
	from = now_s();
	if (size == CURVE)
		lone_steps("apply_filling_us", size);
	while (idle() < size)
		rest(20);
	(void)snprintf(more, sizeof(more), ",\"classes\":%u", size);
	if (size == CURVE)
		lone_steps("apply_filled_us", size);
	else
		line("htb_pool_s", now_s() - from, "s", more);
	for (uint32_t i = 0; i < TAKEN; i++)
		class(&step[i], size - TAKEN + i, CLASS_BPS);
	line("htb_take_us", apply(TAKEN) / TAKEN * 1e6, "us", more);
	if (idle() != size - TAKEN)
		die("the deals took no idle class");
	stop(pid);
}

int main(void)
{
	char pins[64] = "/tmp/treaty-apply-XXXXXX";
	pid_t pid;

	if (geteuid() != 0) {
		(void)fprintf(stderr, "bench_apply: skipped, needs root\n");
		return 77;
	}
	stage(pins);
	pid = start();
	labels();
	rules();
	classes();
	stop(pid);
	cfg.node.max_labels = 4096;
	cfg.node.labels.high = 4095;
	pool(TAKEN);
	pool(CLASSES);
	pool(CURVE);
	(void)umount(pins);
	(void)rmdir(pins);
	return 0;
}
