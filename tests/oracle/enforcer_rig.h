/* SPDX-License-Identifier: Apache-2.0 */
/* enforcer_rig.h - the enforcer's node role in a process of its own (so that it can be killed),
 * spoken to over a real message socket, in a network and mount namespace with a bpffs.
 *
 *   lan --- lan0 [edge: this namespace] acc0 --- acc1 (far)
 */
#ifndef TREATY_TESTS_ENFORCER_RIG_H
#define TREATY_TESTS_ENFORCER_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include <bpf/bpf.h>

#include "agent/enforcer/client.h"
#include "agent/enforcer/enforcer_node.h"
#include "agent/log.h"

#define MBIT 1000000ull

static struct rig {
	char dir[64], pins[80];
	struct config cfg;
	pid_t pid;
	struct msg_client c;
} rig;

/* Two dumps must be equal; the first line that differs is named, because cmocka cuts long strings.
 */
static inline void same(const char *want, const char *seen, const char *what)
{
	const char *a = want, *b = seen;

	if (!strcmp(want, seen))
		return;
	while (*a && *a == *b) {
		a++;
		b++;
	}
	while (a > want && a[-1] != '\n') {
		a--;
		b--;
	}
	fail_msg("%s: \"%.*s\" became \"%.*s\"", what, (int)strcspn(a, "\n"), a,
		 (int)strcspn(b, "\n"), b);
}

/* Everything that a command says; its exit status must be 0. The caller frees. */
static inline char *printf_like(1, 2) told(const char *fmt, ...)
{
	char cmd[1024], buf[4096], *out = NULL;
	size_t len = 0, got;
	va_list ap;
	FILE *p, *m = open_memstream(&out, &len);

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	p = popen(cmd, "re");
	assert_non_null(p);
	while ((got = fread(buf, 1, sizeof(buf), p)) > 0)
		(void)fwrite(buf, 1, got, m);
	if (pclose(p) != 0)
		fail_msg("failed: %s", cmd);
	(void)fclose(m);
	return out;
}

#define sh(...) free(told(__VA_ARGS__))

/* What a command says holds (or not) a text. */
static inline void says(const char *cmd, const char *text, bool want)
{
	char *t = told("%s", cmd);

	if ((strstr(t, text) != NULL) != want)
		fail_msg("%s: %s \"%s\":\n%s", cmd, want ? "lacks" : "has", text, t);
	free(t);
}

/* The host as others see it; link numbers and counters left out. */
/* Numbers of programs are left out: an adopted clsact filter gets the new program in its place. */
static inline char *host(void)
{
	return told("tc qdisc show; tc class show dev acc0; tc class show dev lan0; "
		    "ip -4 rule; ip -6 rule; ip -4 route show table all; "
		    "ip -6 route show table all | grep -v fe80 | sort; "
		    "{ tc filter show dev acc0 ingress; tc filter show dev acc0 egress; } | "
		    "sed -E 's/:.[0-9]+. /:N /; s/ id [0-9]+ / id N /'; "
		    "bpftool net show 2>/dev/null | grep -c treaty || true; "
		    "ls %s 2>/dev/null | grep -v debug || true",
		    rig.pins);
}

static inline bool within(int64_t ms, bool (*cond)(void))
{
	for (int64_t i = 0; i < ms; i += 10) {
		if (cond())
			return true;
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return cond();
}

/* --- the configuration ----------------------------------------------------------------------- */

static inline struct cfg_addr address(const char *text)
{
	struct cfg_addr a = { 0 };
	char buf[64], *slash;

	assert_true(str_set(buf, text));
	slash = strchr(buf, '/');
	if (slash)
		*slash = 0;
	a.family = strchr(buf, ':') ? 6 : 4;
	assert_int_equal(inet_pton(a.family == 6 ? AF_INET6 : AF_INET, buf, a.b), 1);
	a.plen = slash ? (uint8_t)atoi(slash + 1) : a.family == 6 ? 128 : 32;
	return a;
}

static inline void device_add(const char *name, enum cfg_device_role role, uint64_t bps,
			      uint32_t dir)
{
	struct cfg_device *d = &rig.cfg.device[rig.cfg.devices++];

	assert_true(str_set(d->name, name));
	d->role = role;
	d->rate.bps = bps;
	d->dir = dir;
	d->shaper = SHAPER_HTB;
}

static inline void configure(void)
{
	struct config *c = &rig.cfg;

	memset(c, 0, sizeof(*c));
	assert_true(str_set(c->daemon.name, "edge"));
	c->daemon.roles = ROLE_NODE;
	assert_true(str_set(c->node.pin_dir, rig.pins));
	c->node.max_labels = 64;
	c->node.max_classes = 4096;
	c->node.labels = (struct cfg_range){ 10, 50 };
	device_add("lan0", DEVICE_CUSTOMER, 0, 0);
	device_add("acc0", DEVICE_NETWORK, 200 * MBIT, 1);
	c->paths = 1;
	c->path[0] = (struct cfg_path){ .id = 7,
					.name = "access",
					.device = "acc0",
					.nexthop6 = address("fd10:a1::2"),
					.v4_prefix = address("10.2.0.0/24"),
					.v4_sid = address("fd10:ff:b:d4::1"),
					.probe_src = address("fd10:ff:e:1::1"),
					.probe_dst = address("fd10:a1::2"),
					.probe_port = 8620 };
	c->sids = 1;
	c->sid[0] = (struct cfg_sid){ .name = "dx",
				      .sid = address("fd10:ff:e:d4::1"),
				      .nh4 = address("10.1.0.2"),
				      .device = "lan0" };
}

/* --- the enforcer process -------------------------------------------------------------------- */

struct served {
	struct enforcer_node *node; /* first: the rows look for it */
	struct loop *loop;
};

static inline void on_request(void *arg, int fd, unsigned what)
{
	struct served *s = arg;
	struct err e = { 0 };
	int r = msg_serve(fd, enforcer_node_rows, ENFORCER_NODE_ROWS, s, &e);

	(void)what;
	if (r)
		loop_stop(s->loop, r);
}

/* Until the client hangs up; then keeps or removes. Exit: 0, or the errno. */
static inline void enforcer_main(int fd, bool take_away)
{
	struct served s = { 0 };
	struct err e = { 0 };
	int r;

	log_init("enforcer", LOG_LEVEL_ERROR);
	r = loop_new(&s.loop, false);
	r = r ? r : enforcer_node_open(&s.node, &rig.cfg, s.loop, &e);
	if (!r && loop_watch(s.loop, fd, LOOP_READ, on_request, &s))
		r = loop_run(s.loop);
	if (r == -EPIPE)
		r = take_away ? enforcer_node_remove(&s.node, &e) : 0;
	if (r)
		(void)fprintf(stderr, "enforcer: %s\n", e.text);
	s.node = enforcer_node_close(s.node);
	_exit(-r);
}

static bool take_away_at_end;

/* Returns when it answers, or has ended. */
static inline void enforcer_up(void)
{
	struct err e = { 0 };
	int pair[2];

	assert_int_equal(msg_pair(pair), 0);
	rig.pid = fork();
	assert_true(rig.pid >= 0);
	if (rig.pid == 0) {
		(void)close(pair[0]);
		enforcer_main(pair[1], take_away_at_end);
	}
	(void)close(pair[1]);
	rig.c = (struct msg_client){ .fd = pair[0] };
	if (enforcer_wait(&rig.c, &e))
		print_message("no enforcer: %s\n", e.text);
}

/* Hangs up; its exit code. */
static inline int enforcer_down(void)
{
	int status = 0;

	(void)close(rig.c.fd);
	assert_int_equal(waitpid(rig.pid, &status, 0), rig.pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline void enforcer_kill(void)
{
	int status = 0;

	(void)kill(rig.pid, SIGKILL);
	assert_int_equal(waitpid(rig.pid, &status, 0), rig.pid);
	(void)close(rig.c.fd);
}

/* --- steps ----------------------------------------------------------------------------------- */

static inline struct enforcer_receipt take(const struct step *s)
{
	struct enforcer_receipt p = { 0 };
	struct err e = { 0 };
	int r = enforcer_step(&rig.c, s, &p, &e);

	/* As its callers do: a busy machine's late answer is waited for, and the step said again.
	 */
	if (r == -ETIMEDOUT) {
		print_message("late: %s\n", e.text);
		r = enforcer_wait(&rig.c, &e);
		if (!r)
			r = enforcer_step(&rig.c, s, &p, &e);
	}
	if (r)
		fail_msg("step: %s", e.text);
	return p;
}

static inline void done(const struct step *s, uint32_t changed)
{
	struct enforcer_receipt p = take(s);

	if (p.refusal || p.changed != changed)
		fail_msg("kind %d: %s, changed %u: %s", (int)s->kind,
			 refusal_name((enum refusal)p.refusal), p.changed, p.why.s);
	assert_true(p.took_us >= 0);
}

static inline wall_t in_an_hour(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (wall_t){ ((int64_t)ts.tv_sec + 3600) * 1000 };
}

static inline struct step label_step(uint32_t label)
{
	return (struct step){ .kind = STEP_LABEL_SET,
			      .label = label,
			      .in_up = { "lan0" },
			      .in_down = { "acc0" },
			      .minor = 0x110,
			      .rate = { 21 * MBIT },
			      .burst_ms = 300,
			      .dscp = 34,
			      .valid_until = in_an_hour() };
}

static inline struct step class_step(uint32_t label, uint16_t minor, uint64_t bps)
{
	return (struct step){ .kind = STEP_CLASS_SET,
			      .label = label,
			      .device = { "acc0" },
			      .minor = minor,
			      .rate = { bps },
			      .ceil = { bps },
			      .prio = 1 };
}

static inline struct step rule_step(uint32_t id, uint32_t label)
{
	return (struct step){ .kind = STEP_RULE_SET,
			      .label = label,
			      .rule = { .id = id,
					.prio = 3,
					.family = 6,
					.proto = 17,
					.dst = { 0xfd, 0x10, 0, 2 },
					.dst_len = 64,
					.dport_lo = 7001,
					.dport_hi = 7002,
					.dscp = 255,
					.class_id = 4,
					.label = label } };
}

static inline struct step steer_step(uint32_t label, uint8_t path)
{
	return (struct step){ .kind = STEP_STEER, .label = label, .dir = DIR_UP, .path = path };
}

/* --- the stage ------------------------------------------------------------------------------- */

static inline void links_make(void)
{
	sh("ip link add acc0 type veth peer name acc1 && ip link add lan0 type veth peer name "
	   "lan1");
	sh("for d in acc0 acc1 lan0 lan1; do ip link set $d addrgenmode none; ip link set $d up; "
	   "done");
	sh("ip -6 addr add fd10:a1::1/64 dev acc0 nodad; ip addr add 10.1.0.1/24 dev lan0; "
	   "ip -6 addr add fd10:ff:e:1::1 dev lo nodad");
	sh("for i in $(seq 500); do [ \"$(ip -o link | grep -c 'state UP')\" = 4 ] && exit 0; "
	   "sleep 0.01; done; exit 1");
}

static inline bool rig_enter(void)
{
	if (geteuid() != 0)
		return false;
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		perror("unshare");
		exit(1);
	}
	strcpy(rig.dir, "/tmp/treaty-rig-XXXXXX");
	if (!mkdtemp(rig.dir))
		exit(1);
	(void)snprintf(rig.pins, sizeof(rig.pins), "%s/bpf", rig.dir);
	if (mkdir(rig.pins, 0700) || mount("bpf", rig.pins, "bpf", 0, "mode=0700")) {
		perror("bpffs");
		exit(1);
	}
	sh("ip link set lo up && sysctl -qw net.ipv6.conf.all.forwarding=1 && "
	   "sysctl -qw net.ipv6.conf.all.seg6_enabled=1");
	return true;
}

static inline void rig_leave(void)
{
	(void)umount(rig.pins);
	(void)rmdir(rig.pins);
	(void)rmdir(rig.dir);
}

/* Of every test: the stage anew, and no enforcer yet. */
static inline int rig_setup(void **st)
{
	(void)st;
	links_make();
	configure();
	take_away_at_end = true;
	return 0;
}

static inline int rig_teardown(void **st)
{
	(void)st;
	(void)system("ip link del acc0 2>/dev/null; ip link del lan0 2>/dev/null; "
		     "ip -6 addr flush dev lo");
	return 0;
}

#define staged(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

/* A program's tests in the rig; its exit code. */
static inline int rig_run_all(const struct CMUnitTest *tests, size_t n)
{
	int r;

	if (!rig_enter()) {
		print_message("SKIPPED: needs root\n");
		return 77;
	}
	r = _cmocka_run_group_tests("rig", tests, n, NULL, NULL);
	rig_leave();
	return r;
}
#define rig_run(tests) rig_run_all(tests, ARRAY_LEN(tests))

/* A pinned map's element, read without any code of ours. */
static inline void element(const char *map, uint32_t i, void *ret)
{
	char path[128];
	auto_close int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/%s", rig.pins, map);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &i, ret), 0);
}

#endif
