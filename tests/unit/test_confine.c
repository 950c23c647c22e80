/* SPDX-License-Identifier: Apache-2.0 */
/* confine: each call is really tried in a forked process under the real filter. */
#include "agent/confine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

static char dir[64];
static pid_t bystander;

static int probe(long r)
{
	return r < 0 ? errno : 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int do_thread(void)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, nothing, NULL);

	return r ? r : pthread_join(t, NULL);
}

static int do_execve(void)
{
	char *argv[] = { NULL };

	return probe(execve("/bin/true", argv, argv));
}

static int do_fork(void)
{
	pid_t p = fork();

	if (p == 0)
		_exit(0);
	return probe(p);
}

static int do_socket(int domain, int type)
{
	return probe(socket(domain, type, 0));
}

static int do_inet(void)
{
	return do_socket(AF_INET6, SOCK_STREAM);
}

static int do_packet(void)
{
	return do_socket(AF_PACKET, SOCK_DGRAM);
}

static int do_netlink(void)
{
	return do_socket(AF_NETLINK, SOCK_RAW);
}

static int do_vsock(void)
{
	return do_socket(AF_VSOCK, SOCK_STREAM);
}

static int do_bpf(void)
{
	union bpf_attr a = { .map_type = BPF_MAP_TYPE_ARRAY };

	return probe(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a))); /* EINVAL when it gets in */
}

static int do_mount(void)
{
	return probe(mount("x", "/nowhere", "tmpfs", 0, NULL));
}

static int do_ptrace(void)
{
	return probe(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int do_unshare(void)
{
	return probe(unshare(CLONE_NEWNET));
}

static int do_setns(void)
{
	return probe(setns(0, 0));
}

static int do_module(void)
{
	return probe(syscall(SYS_finit_module, 0, "", 0));
}

static int do_keyctl(void)
{
	return probe(syscall(SYS_keyctl, 0, 0));
}

static int do_uring(void)
{
	return probe(syscall(SYS_io_uring_setup, 1, NULL));
}

static int do_setuid(void)
{
	return probe(setresuid(0, 0, 0));
}

static int do_kill_other(void)
{
	return probe(kill(bystander, 0));
}

static int do_kill_parent(void)
{
	return probe(kill(getppid(), 0));
}

static int do_open(void)
{
	return probe(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static int do_dumpable(void)
{
	return probe(prctl(PR_SET_DUMPABLE, 1));
}

static int do_pdeathsig(void)
{
	return probe(prctl(PR_SET_PDEATHSIG, 0));
}

static int do_write(void)
{
	return probe(write(STDERR_FILENO, "", 0));
}

static int do_chroot(void)
{
	return probe(chroot("/"));
}

static int do_sethostname(void)
{
	return probe(sethostname("x", 1));
}

static int do_settime(void)
{
	return probe(syscall(SYS_clock_settime, 0, NULL));
}

static int do_exec_memory(void)
{
	long page = 4096;
	void *p = mmap(NULL, (size_t)page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : probe(mprotect(p, (size_t)page, PROT_READ | PROT_EXEC));
}

#define KILLED (-SIGSYS)

/* In a child: confined as p, then fn; its result, or KILLED. */
static int tried(enum confine_profile p, int (*fn)(void))
{
	pid_t me = getpid(), pid = fork();
	int status;

	if (pid == 0) {
		const struct confine_user u = { 64000, 64000 };
		const pid_t may[] = { me };
		struct err e = { 0 };

		if (p != CONFINE_ENFORCER && confine_drop_user(&u, &e))
			_exit(250);
		if (confine_no_new_privs(&e) || confine_syscalls(p, may, p == CONFINE_ENFORCER, &e))
			_exit(251);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_syscalls(void **state)
{
	static const struct {
		const char *name;
		int (*fn)(void);
		int agents, signer, enforcer;
	} t[] = {
		{ "write", do_write, 0, 0, 0 },
		{ "open", do_open, 0, EPERM, 0 },
		{ "socket inet", do_inet, 0, EPERM, EPERM },
		{ "socket netlink", do_netlink, 0, EPERM, 0 },
		{ "socket packet", do_packet, EPERM, EPERM, EPERM },
		{ "socket vsock", do_vsock, EPERM, EPERM, EPERM },
		{ "bpf", do_bpf, KILLED, KILLED, EINVAL },
		{ "kill parent", do_kill_parent, EPERM, EPERM, 0 },
		{ "kill other", do_kill_other, EPERM, EPERM, EPERM },
		{ "dumpable", do_dumpable, EPERM, EPERM, EPERM },
		{ "pdeathsig", do_pdeathsig, EPERM, EPERM, EPERM },
		{ "sethostname", do_sethostname, EPERM, EPERM, EPERM },
		{ "clock_settime", do_settime, EPERM, EPERM, EPERM },
		{ "fork", do_fork, EPERM, EPERM, EPERM },
		{ "thread", do_thread, 0, EPERM, 0 },
		{ "execve", do_execve, KILLED, KILLED, KILLED },
		{ "mount", do_mount, KILLED, KILLED, KILLED },
		{ "ptrace", do_ptrace, KILLED, KILLED, KILLED },
		{ "unshare", do_unshare, KILLED, KILLED, KILLED },
		{ "setns", do_setns, KILLED, KILLED, KILLED },
		{ "finit_module", do_module, KILLED, KILLED, KILLED },
		{ "keyctl", do_keyctl, KILLED, KILLED, KILLED },
		{ "io_uring", do_uring, KILLED, KILLED, KILLED },
		{ "setresuid", do_setuid, KILLED, KILLED, KILLED },
		{ "chroot", do_chroot, KILLED, KILLED, KILLED },
		{ "exec memory", do_exec_memory, 0, EPERM, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		int a = tried(CONFINE_AGENTS, t[i].fn), s = tried(CONFINE_SIGNER, t[i].fn);
		int n = tried(CONFINE_ENFORCER, t[i].fn);

		if (a != t[i].agents || s != t[i].signer || n != t[i].enforcer)
			fail_msg("%s: agents %d signer %d enforcer %d, not %d %d %d", t[i].name, a,
				 s, n, t[i].agents, t[i].signer, t[i].enforcer);
	}
	print_message("%zu calls x 3 profiles\n", ARRAY_LEN(t));
}

static void test_user_find(void **state)
{
	static const char *const bad[] = { "0", "4294967296", "nobody-has-this-name", "root" };
	struct confine_user u = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(confine_user_find(&u, "64000", NULL), 0);
	assert_int_equal(u.uid, 64000);
	assert_int_equal(u.gid, 64000);
	assert_int_equal(confine_user_find(&u, "daemon", NULL), 0);
	assert_int_equal(u.uid, 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		e = (struct err){ 0 };
		assert_true(confine_user_find(&u, bad[i], &e) < 0);
		assert_int_equal(strncmp(e.text, "daemon.user: ", 13), 0);
	}
	assert_int_equal(u.uid, 1);
}

/* /proc/self/status: a hexadecimal or decimal line. */
static uint64_t status_of(const char *key, int base)
{
	FILE *f = fopen("/proc/self/status", "re");
	size_t n = strlen(key);
	uint64_t v = ~0ull;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && line[n] == ':')
			v = strtoull(line + n + 1, NULL, base);
	if (f)
		(void)fclose(f);
	return v;
}

static int dropped(void)
{
	const struct confine_user u = { 64000, 64001 };

	if (confine_drop_user(&u, NULL) || confine_no_new_privs(NULL) || confine_no_dump(NULL))
		return 1;
	if (getuid() != 64000 || getegid() != 64001 || getgroups(0, NULL) != 0)
		return 2;
	if (setuid(0) == 0 || setgid(0) == 0)
		return 3;
	if (prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 4;
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			return 5;
	return 0;
}

static int kept(void)
{
	const uint64_t want = 1ull << CAP_NET_ADMIN | 1ull << CAP_BPF;

	if (confine_keep_caps(want, NULL))
		return 1;
	if (status_of("CapEff", 16) != want || status_of("CapPrm", 16) != want ||
	    status_of("CapBnd", 16) != want || status_of("CapInh", 16) || status_of("CapAmb", 16))
		return 2;
	/* what was given away does not come back */
	if (confine_keep_caps(want | 1ull << CAP_SYS_ADMIN, NULL) ||
	    status_of("CapEff", 16) != want)
		return 3;
	return 0;
}

static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_user_and_caps(void **state)
{
	(void)state;
	assert_int_equal(in_child(dropped), 0);
	assert_int_equal(in_child(kept), 0);
}

static int can(const char *sub, int flags)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, sub);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	(void)close(fd);
	return 0;
}

static int landlocked(void)
{
	char rw[128], ro[128];
	const char *const allow_rw[] = { rw, "/nowhere/at/all", NULL };
	const char *const allow_ro[] = { ro, NULL };
	int abi = -1;

	(void)snprintf(rw, sizeof(rw), "%s/rw", dir);
	(void)snprintf(ro, sizeof(ro), "%s/ro/file", dir);
	if (confine_no_new_privs(NULL) || confine_files(allow_rw, allow_ro, &abi, NULL))
		return 1;
	if (abi == 0)
		return 77;
	if (can("rw/new", O_RDWR | O_CREAT) || can("rw/file", O_WRONLY | O_TRUNC))
		return 2;
	if (can("ro/file", O_RDONLY))
		return 3;
	if (can("ro/file", O_WRONLY) != EACCES || can("ro/other", O_RDONLY) != EACCES)
		return 4;
	if (can("ro/new", O_WRONLY | O_CREAT) != EACCES)
		return 5;
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
		return 6;
	if (abi >= 6 && (kill(bystander, 0) == 0 || errno != EPERM))
		return 7;
	return 0;
}

static void test_files(void **state)
{
	static const char *const files[] = { "rw/file", "ro/file", "ro/other" };
	char path[128];
	int r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, i ? "ro" : "rw");
		assert_int_equal(mkdir(path, 0700), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		assert_int_equal(can(files[i], O_WRONLY | O_CREAT), 0);
	r = in_child(landlocked);
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syscalls),
		cmocka_unit_test(test_user_find),
		cmocka_unit_test(test_user_and_caps),
		cmocka_unit_test(test_files),
	};
	char cmd[96];
	int r;

	if (geteuid() != 0)
		return 77;
	if (!str_set(dir, "/tmp/test_confine.XXXXXX") || !mkdtemp(dir))
		return 1;
	bystander = fork();
	if (bystander == 0) {
		(void)pause();
		_exit(0);
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)kill(bystander, SIGKILL);
	(void)waitpid(bystander, NULL, 0);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd) ? 1 : r;
}
