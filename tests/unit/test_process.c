/* SPDX-License-Identifier: Apache-2.0 */
/* The tree: build/treatyd is started for real, looked at in /proc, stopped, and killed in parts.
 * Runs in a mount namespace of its own, so that the bpffs mounts vanish with it. */
#include "agent/enforcer/bpffs.h"
#include "agent/enforcer/enforcer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#define KEPT (1ull << CAP_NET_ADMIN | 1ull << CAP_BPF | 1ull << CAP_PERFMON | 1ull << CAP_KILL)

static char treatyd[PATH_MAX], dir[64], file[80];

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until cond holds, at most 8 s. */
#define wait_until(cond)                                                         \
	({                                                                       \
		int64_t end_ = now_ms() + 8000;                                  \
		bool ok_;                                                        \
		while (!(ok_ = (cond)) && now_ms() < end_)                       \
			(void)nanosleep(&(struct timespec){ 0, 5000000 }, NULL); \
		ok_;                                                             \
	})

/* A number from /proc/PID/status; ~0 when the process or the line is not there. */
static uint64_t status_of(pid_t pid, const char *key, int base)
{
	size_t n = strlen(key);
	uint64_t v = ~0ull;
	char path[64], line[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && line[n] == ':')
			v = strtoull(line + n + 1, NULL, base);
	if (f)
		(void)fclose(f);
	return v;
}

/* The child of parent whose command line holds word; 0 = none (yet). */
static pid_t child_of(pid_t parent, const char *word)
{
	DIR *d = opendir("/proc");
	struct dirent *x;
	pid_t found = 0;

	while (d && (x = readdir(d)) && !found) {
		pid_t pid = atoi(x->d_name);
		char path[64], line[256] = "";
		int fd;

		if (pid <= 0 || status_of(pid, "PPid", 10) != (uint64_t)parent)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, line, sizeof(line) - 1) > 0 &&
		    memmem(line, sizeof(line), word, strlen(word)))
			found = pid;
		close_p(&fd);
	}
	if (d)
		(void)closedir(d);
	return found;
}

static bool gone(pid_t pid)
{
	return kill(pid, 0) && errno == ESRCH;
}

static bool confined(pid_t pid)
{
	return pid > 0 && status_of(pid, "Seccomp", 10) == 2;
}

static void write_conf(const char *roles, const char *more)
{
	FILE *f = fopen(file, "we");

	assert_non_null(f);
	(void)fprintf(f,
		      "[daemon]\nroles = %s\nname = t\nuser = 64000\nstate-dir = %s/state\n"
		      "run-dir = %s/run\nlog-level = error\n%s\n[node]\npin-dir = %s/run/bpf\n",
		      roles, dir, dir, more, dir);
	(void)fclose(f);
}

static pid_t spawn(const char *extra, uid_t uid)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(125);
		(void)execl(treatyd, "treatyd", "-c", file, extra, NULL);
		_exit(126);
	}
	assert_true(pid > 0);
	return pid;
}

struct tree {
	pid_t top, agents, signer;
};

static struct tree tree_of(pid_t top)
{
	struct tree t = { .top = top };

	if (!wait_until(confined(t.agents = child_of(top, "agents")) &&
			confined(t.signer = child_of(top, "signer")) && confined(top)))
		fail_msg("the tree did not come up");
	return t;
}

static int exit_code(pid_t pid)
{
	int status = 0;

	if (!wait_until(waitpid(pid, &status, WNOHANG) == pid)) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int setup(void **state)
{
	(void)state;
	if (!str_set(dir, "/tmp/test_process.XXXXXX") || !mkdtemp(dir) || chmod(dir, 0755))
		return -1;
	(void)snprintf(file, sizeof(file), "%s/treaty.conf", dir);
	write_conf("node", "");
	return 0;
}

static int teardown(void **state)
{
	char cmd[200];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "umount %s/run/bpf 2>/dev/null; rm -rf %s", dir, dir);
	return system(cmd);
}

static void test_three_processes(void **state)
{
	struct tree t;
	int64_t began;

	(void)state;
	t = tree_of(spawn(NULL, 0));
	assert_int_equal(status_of(t.top, "Uid", 10), 0);
	assert_int_equal(status_of(t.top, "CapEff", 16), KEPT);
	assert_int_equal(status_of(t.top, "CapPrm", 16), KEPT);
	for (int i = 0; i < 2; i++) {
		pid_t p = i ? t.signer : t.agents;

		assert_int_equal(status_of(p, "Uid", 10), 64000);
		assert_int_equal(status_of(p, "Gid", 10), 64000);
		assert_int_equal(status_of(p, "CapEff", 16), 0);
		assert_int_equal(status_of(p, "CapPrm", 16), 0);
		assert_int_equal(status_of(p, "CapBnd", 16), 0);
	}
	assert_int_equal(status_of(t.top, "NoNewPrivs", 10), 1);
	assert_int_equal(status_of(t.agents, "NoNewPrivs", 10), 1);
	assert_int_equal(status_of(t.signer, "NoNewPrivs", 10), 1);
	began = now_ms();
	assert_int_equal(kill(t.top, SIGTERM), 0);
	assert_int_equal(exit_code(t.top), 0);
	print_message("stopped in %lld ms\n", (long long)(now_ms() - began));
	assert_true(now_ms() - began < 5000);
	assert_true(gone(t.agents) && gone(t.signer));
}

/* Whichever dies, all die; and the ends of children are not waited for by hoping. */
static void test_kill_any(void **state)
{
	(void)state;
	for (int which = 0; which < 3; which++) {
		struct tree t = tree_of(spawn(NULL, 0));
		pid_t victim = which == 0 ? t.agents : (which == 1 ? t.signer : t.top);

		assert_int_equal(kill(victim, SIGKILL), 0);
		assert_int_equal(exit_code(t.top), which == 2 ? 1000 + SIGKILL : EXIT_CHILD);
		assert_true(wait_until(gone(t.agents) && gone(t.signer)));
	}
}

/* The parent alone decides: SIGTERM at a child does nothing. */
static void test_children_ignore_term(void **state)
{
	struct tree t = tree_of(spawn(NULL, 0));

	(void)state;
	assert_int_equal(kill(t.agents, SIGTERM), 0);
	assert_int_equal(kill(t.signer, SIGINT), 0);
	assert_int_equal(kill(t.top, SIGINT), 0);
	assert_int_equal(exit_code(t.top), 0);
}

static void test_supervisor(void **state)
{
	pid_t sup, top;
	struct tree one, two;

	(void)state;
	sup = spawn("--supervise", 0);
	assert_true(wait_until((top = child_of(sup, "treatyd"))));
	one = tree_of(top);
	assert_int_equal(kill(one.agents, SIGKILL), 0);
	assert_true(wait_until(gone(one.top) && (top = child_of(sup, "treatyd"))));
	two = tree_of(top);
	assert_true(two.top != one.top && gone(one.signer));
	assert_int_equal(kill(sup, SIGTERM), 0);
	assert_int_equal(exit_code(sup), 0);
	assert_true(gone(two.top) && gone(two.agents) && gone(two.signer));
	/* a bad configuration is not tried again */
	write_conf("king", "");
	assert_int_equal(exit_code(spawn("--supervise", 0)), EXIT_CONFIG);
	write_conf("node", "");
	/* the supervisor's own death takes the tree down in order */
	sup = spawn("--supervise", 0);
	assert_true(wait_until((top = child_of(sup, "treatyd"))));
	one = tree_of(top);
	assert_int_equal(kill(sup, SIGKILL), 0);
	assert_int_equal(exit_code(sup), 1000 + SIGKILL);
	assert_true(wait_until(gone(one.agents) && gone(one.signer)));
}

static void test_arguments_and_config(void **state)
{
	(void)state;
	assert_int_equal(exit_code(spawn("--check", 0)), 0);
	assert_int_equal(exit_code(spawn("--nonsense", 0)), EXIT_CONFIG);
	assert_int_equal(exit_code(spawn("word", 0)), EXIT_CONFIG);
	assert_int_equal(exit_code(spawn("-drelative", 0)), EXIT_CONFIG);
	write_conf("node", "user = no-such-user-here");
	assert_int_equal(exit_code(spawn(NULL, 0)), EXIT_CONFIG); /* user twice */
	assert_int_equal(chmod(file, 0666), 0);
	assert_int_equal(exit_code(spawn("--check", 0)), EXIT_CONFIG);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(exit_code(spawn("--check", 0)), EXIT_CONFIG);
}

static void test_state_dir_option(void **state)
{
	char opt[96], path[128];
	struct tree t;

	(void)state;
	(void)snprintf(opt, sizeof(opt), "-d%s/other", dir);
	t = tree_of(spawn(opt, 0));
	(void)snprintf(path, sizeof(path), "%s/other/signer.state", dir);
	assert_int_equal(access(path, F_OK), 0);
	(void)snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(kill(t.top, SIGTERM), 0);
	assert_int_equal(exit_code(t.top), 0);
}

/* Without root: every role but node, nothing to drop, confined all the same. */
static void test_not_root(void **state)
{
	struct tree t;
	int code;

	(void)state;
	assert_int_equal(chown(dir, 64000, 64000), 0);
	write_conf("oss", "");
	assert_int_equal(chown(file, 64000, 64000), 0);
	code = exit_code(spawn("--check", 64000));
	if (code == 126) {
		print_message("the build folder is closed to other users\n");
		skip();
	}
	assert_int_equal(code, 0);
	t = tree_of(spawn(NULL, 64000));
	assert_int_equal(status_of(t.top, "Uid", 10), 64000);
	assert_int_equal(status_of(t.top, "CapEff", 16), 0);
	assert_int_equal(kill(t.top, SIGTERM), 0);
	assert_int_equal(exit_code(t.top), 0);
	write_conf("node", "");
	assert_int_equal(chown(file, 64000, 64000), 0);
	assert_int_equal(exit_code(spawn("--check", 64000)), EXIT_CONFIG);
}

static void pin_map(const char *path)
{
	union bpf_attr a = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1
	};
	long fd = syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));

	assert_true(fd >= 0);
	memset(&a, 0, sizeof(a));
	a.pathname = (uintptr_t)path;
	a.bpf_fd = (uint32_t)fd;
	assert_int_equal(syscall(SYS_bpf, BPF_OBJ_PIN, &a, sizeof(a)), 0);
	(void)close((int)fd);
}

/* on-exit = keep leaves the pins, and a restart finds them; remove leaves an empty bpffs. */
static void test_on_exit(void **state)
{
	char sub[160], pin[200], bpf[128];

	(void)state;
	(void)snprintf(bpf, sizeof(bpf), "%s/run/bpf", dir);
	(void)snprintf(sub, sizeof(sub), "%s/maps", bpf);
	(void)snprintf(pin, sizeof(pin), "%s/label", sub);
	for (int remove = 0; remove < 2; remove++) {
		struct tree t;

		write_conf("node", remove ? "on-exit = remove" : "on-exit = keep");
		t = tree_of(spawn(NULL, 0));
		assert_int_equal(bpffs_is(bpf), 1);
		if (!remove) {
			assert_int_equal(mkdir(sub, 0700), 0);
			pin_map(pin);
		}
		assert_int_equal(access(pin, F_OK), 0);
		assert_int_equal(kill(t.top, SIGTERM), 0);
		assert_int_equal(exit_code(t.top), 0);
		assert_int_equal(bpffs_is(bpf), 1);
		assert_int_equal(access(pin, F_OK), remove ? -1 : 0);
	}
	assert_int_equal(access(sub, F_OK), -1);
	/* only ever a bpffs is cleared */
	(void)snprintf(sub, sizeof(sub), "%s/state", dir);
	assert_int_equal(bpffs_clear(sub, NULL), -ENODEV);
}

/* --- the enforcer with a false child ------------------------------------------------------- */

static void sleeper(int fd)
{
	(void)fd;
	for (;;)
		(void)pause();
}

static void send_raw(int fd, const struct msg_hdr *h, size_t n)
{
	if (send(fd, h, n, MSG_NOSIGNAL) < 0)
		_exit(9);
}

static void send_short(int fd)
{
	const struct msg_hdr h = { .magic = MSG_MAGIC, .type = MSG_PING };

	send_raw(fd, &h, 5);
	sleeper(fd);
}

static void send_unknown(int fd)
{
	const struct msg_hdr h = { .magic = MSG_MAGIC, .type = 0x7abc };

	send_raw(fd, &h, sizeof(h));
	sleeper(fd);
}

static void send_wrong_size(int fd)
{
	const struct msg_hdr h = { .magic = MSG_MAGIC, .type = MSG_PING };

	send_raw(fd, &h, sizeof(h));
	sleeper(fd);
}

static void close_and_stay(int fd)
{
	(void)close(fd);
	sleeper(fd);
}

static void be_honest(int fd)
{
	struct msg_client c = { .fd = fd };
	struct msg_ping q = { .token = 42 }, p = { 0 };
	struct enforcer_status s = { 0 };

	if (msg_call(&c, MSG_PING, &q, sizeof(q), &p, sizeof(p), NULL, 10000, NULL) ||
	    p.token != 42)
		_exit(1);
	if (msg_call(&c, MSG_STATUS, NULL, 0, &s, sizeof(s), NULL, 10000, NULL) ||
	    s.pid != getppid() || s.caps != KEPT || s.bpffs != 1 || !s.release[0])
		_exit(2);
	if (msg_call(&c, MSG_SHUTDOWN, NULL, 0, NULL, 0, NULL, 10000, NULL))
		_exit(3);
	_exit(0);
}

static void signer_until_eof(int fd)
{
	char c;

	_exit(read(fd, &c, 1) == 0 ? 0 : 4);
}

static void false_child(struct role_tree *t, int i, void (*fn)(int))
{
	int sv[2];

	if (msg_pair(sv))
		_exit(240);
	t->pid[i] = fork();
	if (t->pid[i] == 0) {
		if (i == CHILD_SIGNER)
			(void)close(t->sock[CHILD_AGENTS]);
		(void)close(sv[0]);
		if (role_die_with(getppid()))
			_exit(242);
		fn(sv[1]);
		_exit(0);
	}
	(void)close(sv[1]);
	t->sock[i] = sv[0];
}

/* enforcer_run in a forked process; its result as a positive errno. *held stays open in the false
 * agents until they die. */
static int enforced(void (*agents)(int), int *held)
{
	struct config *c = NULL;
	int p[2];
	pid_t pid;

	assert_int_equal(config_load(&c, file, NULL), 0);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct role_tree t = { .sock = { -1, -1 } };
		struct err e = { 0 };
		sigset_t set;

		(void)close(p[0]);
		(void)sigfillset(&set);
		(void)sigprocmask(SIG_BLOCK, &set, NULL);
		if (enforcer_prepare(c, &e))
			_exit(241);
		false_child(&t, CHILD_AGENTS, agents);
		false_child(&t, CHILD_SIGNER, signer_until_eof);
		_exit(-enforcer_run(c, &t, &e));
	}
	(void)close(p[1]);
	c = config_free(c);
	*held = p[0];
	return exit_code(pid);
}

static void test_false_children(void **state)
{
	static const struct {
		const char *name;
		void (*fn)(int);
		int result;
	} t[] = {
		{ "honest", be_honest, 0 },
		{ "short", send_short, EPROTO },
		{ "unknown", send_unknown, EPROTO },
		{ "wrong size", send_wrong_size, EPROTO },
		{ "closes its socket and stays", close_and_stay, ETIMEDOUT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		int held, r = enforced(t[i].fn, &held);
		char c;

		if (r != t[i].result)
			fail_msg("%s: %d, not %d", t[i].name, r, t[i].result);
		/* end of file: no process holds the other end, so the sender is dead */
		assert_int_equal(read(held, &c, 1), 0);
		(void)close(held);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_three_processes),
		CASE(test_kill_any),
		CASE(test_children_ignore_term),
		CASE(test_supervisor),
		CASE(test_arguments_and_config),
		CASE(test_state_dir_option),
		CASE(test_not_root),
		CASE(test_on_exit),
		CASE(test_false_children),
	};
	char self[PATH_MAX] = "";

	if (geteuid() != 0)
		return 77;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
	    snprintf(treatyd, sizeof(treatyd), "%.4000s/../../treatyd", dirname(self)) < 0)
		return 1;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	/* the leak checker wants ptrace, which the filters kill */
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
