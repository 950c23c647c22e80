/* SPDX-License-Identifier: Apache-2.0 */
#include "role.h"
#include "msg.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

static const char *const names[CHILD_MAX_] = {
	[CHILD_AGENTS] = "agents", [CHILD_SIGNER] = "signer"
};

int role_die_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return -errno;
	return getppid() == parent ? 0 : -ESRCH; /* it may have died just before */
}

/* The children read what the parent read, not a file that may have changed since. */
static int config_memfd(const char *text, size_t len)
{
	int fd = memfd_create("treaty.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) {
		(void)close(fd);
		return -EIO;
	}
	return fd;
}

/* Between fork and exec: only async-signal-safe calls. The fds are first moved out of the way,
 * since one of them may already sit on another's number. */
static void child_exec(const int fds[3], char *const argv[], pid_t parent)
{
	int high[3];

	for (int i = 0; i < 3; i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16);
	for (int i = 0; i < 3; i++)
		if (high[i] < 0 || dup2(high[i], ROLE_FD_ENFORCER + i) < 0)
			_exit(126);
	if (close_range(ROLE_FD_CONFIG + 1, ~0u, 0) || role_die_with(parent))
		_exit(126);
	(void)execv("/proc/self/exe", argv);
	_exit(127);
}

static pid_t child_start(enum role_child which, const int fds[3], const struct role_start *how)
{
	pid_t parent = getpid(), pid;
	char ppid[16];
	const char *args[] = { "treatyd",      "--child",
			       names[which],   "-c",
			       how->file,      "--parent",
			       ppid,           how->state_dir ? "-d" : NULL,
			       how->state_dir, NULL };
	char *argv[ARRAY_LEN(args)];

	(void)snprintf(ppid, sizeof(ppid), "%d", parent);
	memcpy(argv, args, sizeof(args)); /* execv's prototype predates const */
	pid = fork();
	if (pid == 0)
		child_exec(fds, argv, parent);
	return pid < 0 ? -errno : pid;
}

static void tree_kill(struct role_tree *t)
{
	for (int i = 0; i < CHILD_MAX_; i++) {
		close_p(&t->sock[i]);
		if (t->pid[i] > 0) {
			(void)kill(t->pid[i], SIGKILL);
			(void)waitpid(t->pid[i], NULL, 0);
		}
	}
}

static void block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

int role_spawn(struct role_tree *t, const struct role_start *how, struct err *e)
{
	int between[2] = { -1, -1 }, pair[2], r;
	auto_close int conf = config_memfd(how->text, how->len);

	*t = (struct role_tree){ .sock = { -1, -1 } };
	block_signals();
	/* A document's tree is hundreds of small pieces, taken and given back together: glibc keeps
	 * seven of a size at hand, and searches and merges for the rest. */
	if (setenv("GLIBC_TUNABLES", ROLE_HEAP, 0))
		return err_set(e, -errno, "environment: %s", strerror(errno));
	r = conf < 0 ? conf : msg_pair(between);
	for (int i = 0; i < CHILD_MAX_ && !r; i++) {
		r = msg_pair(pair);
		if (r)
			break;
		t->sock[i] = pair[0];
		t->pid[i] = child_start((enum role_child)i,
					(const int[]){ pair[1], between[i], conf }, how);
		(void)close(pair[1]);
		r = t->pid[i] < 0 ? t->pid[i] : 0;
	}
	close_p(&between[0]);
	close_p(&between[1]);
	if (r) {
		tree_kill(t);
		return err_set(e, r, "start of a child: %s", strerror(-r));
	}
	return 0;
}

static int set_cloexec(void)
{
	for (int fd = ROLE_FD_ENFORCER; fd <= ROLE_FD_CONFIG; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC))
			return -errno;
	return 0;
}

int role_child_setup(struct config **ret, const char *file, pid_t parent, struct err *e)
{
	static char text[CFG_FILE_MAX];
	ssize_t n;
	int r = set_cloexec();

	if (r)
		return err_set(e, r, "--child: not started by treatyd");
	if (role_die_with(parent))
		return err_set(e, -ESRCH, "--child: the parent is gone");
	n = pread(ROLE_FD_CONFIG, text, sizeof(text), 0);
	(void)close(ROLE_FD_CONFIG);
	if (n < 0)
		return err_set(e, -errno, "%s: %s", file, strerror(errno));
	return config_parse(ret, text, (size_t)n, file, e);
}

/* --- the lab's supervisor -------------------------------------------------------------------- */

static volatile sig_atomic_t stop_now;
static volatile pid_t tree_pid; /* 0 = none runs */

static void on_term(int sig)
{
	(void)sig;
	stop_now = 1;
	if (tree_pid > 0)
		(void)kill(tree_pid, SIGTERM);
}

static pid_t supervise_start(char *const argv[])
{
	pid_t me = getpid(), pid = fork();

	if (pid)
		return pid;
	/* the tree goes down in order when its supervisor is killed */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) || getppid() != me)
		_exit(126);
	(void)execv("/proc/self/exe", argv);
	_exit(127);
}

static int supervise_once(char *const argv[])
{
	int status = -1;
	pid_t pid = supervise_start(argv);

	tree_pid = pid;
	if (stop_now && pid > 0) /* the signal may have come before we knew the pid */
		(void)kill(pid, SIGTERM);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	tree_pid = 0;
	return status;
}

static time_t now_s(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec;
}

int role_supervise(char *const argv[])
{
	const struct sigaction act = { .sa_handler = on_term };
	long wait_ms = 100;

	(void)sigaction(SIGTERM, &act, NULL);
	(void)sigaction(SIGINT, &act, NULL);
	while (!stop_now) {
		time_t began = now_s();
		int status = supervise_once(argv);
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CHILD;

		if (stop_now || code == 0 || code == EXIT_CONFIG)
			return code;
		if (now_s() - began >= 10)
			wait_ms = 100;
		(void)fprintf(stderr, "treatyd: supervisor: the tree ended, again in %ld ms\n",
			      wait_ms);
		(void)nanosleep(&(struct timespec){ wait_ms / 1000, wait_ms % 1000 * 1000000 },
				NULL);
		wait_ms = wait_ms > 5000 ? 10000 : wait_ms * 2;
	}
	return 0;
}
