/* SPDX-License-Identifier: Apache-2.0 */
/* The parent. It starts with everything, prepares directories and the bpffs, starts the children,
 * then keeps four capabilities: NET_ADMIN, BPF, PERFMON for the data plane, and KILL, because
 * without it the kernel drops even the parent-death signal to children of another uid (the check is
 * made with the dying parent's credentials). The filter allows kill() to those two pids only. */
#include "enforcer.h"
#include "agent/confine.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "bpffs.h"
#include "enforcer_node.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define STOP_US   4000000 /* both children, in order */
#define GONE_US   1000000 /* from closing its socket to dying */
#define KEPT_CAPS (1ull << CAP_NET_ADMIN | 1ull << CAP_BPF | 1ull << CAP_PERFMON | 1ull << CAP_KILL)

struct enforcer {
	struct enforcer_node *node; /* first: what the node's rows look for */
	const struct config *c;
	struct role_tree *t;
	struct loop *loop;
	struct loop_fd *watch[CHILD_MAX_];
	int sigfd;
	bool stopping;
	struct err *e;
};

static const char *const child_name[CHILD_MAX_] = { "agents", "signer" };

/* --- messages --------------------------------------------------------------------------------- */

static int on_ping(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	(void)ctx;
	(void)ret_fd;
	(void)e;
	memcpy(rep, req, sizeof(struct msg_ping));
	return 0;
}

static uint64_t effective_caps(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { { 0 } };

	if (syscall(SYS_capget, &h, d))
		return 0;
	return d[0].effective | (uint64_t)d[1].effective << 32;
}

static int on_status(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	const struct enforcer *s = ctx;
	struct enforcer_status *p = rep;
	struct utsname u;

	(void)req;
	(void)ret_fd;
	if (uname(&u))
		return err_set(e, -errno, "uname: %s", strerror(errno));
	p->pid = getpid();
	p->uid = geteuid();
	p->caps = effective_caps();
	p->bpffs = (s->c->daemon.roles & ROLE_NODE) && bpffs_is(s->c->node.pin_dir) == 1;
	(void)snprintf(p->release, sizeof(p->release), "%s", u.release);
	return 0;
}

static void stop(struct enforcer *s);

static int on_shutdown(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	(void)req;
	(void)rep;
	(void)ret_fd;
	(void)e;
	log_info("the agents asked for the end");
	stop(ctx);
	return 0;
}

static struct msg_handler table[3 + ENFORCER_NODE_ROWS] = {
	{ MSG_PING, sizeof(struct msg_ping), sizeof(struct msg_ping), on_ping },
	{ MSG_STATUS, 0, sizeof(struct enforcer_status), on_status },
	{ MSG_SHUTDOWN, 0, 0, on_shutdown },
};

/* --- life and death of the tree ----------------------------------------------------------------
 */

static void fatal(struct enforcer *s, int r)
{
	loop_stop(s->loop, r);
}

static void on_late(void *arg)
{
	struct enforcer *s = arg;

	fatal(s, err_set(s->e, -ETIMEDOUT, "a child did not stop in time"));
}

static void stop(struct enforcer *s)
{
	const struct msg_hdr h = { .magic = MSG_MAGIC, .type = MSG_STOP };

	if (s->stopping)
		return;
	s->stopping = true;
	if (!loop_after(s->loop, STOP_US, on_late, s))
		fatal(s, err_set(s->e, -ENOMEM, "out of memory"));
	if (s->t->sock[CHILD_AGENTS] >= 0 && msg_send(s->t->sock[CHILD_AGENTS], &h, NULL, -1, 100))
		fatal(s, err_set(s->e, -EPIPE, "the agents cannot be told to stop"));
}

static void unwatch(struct enforcer *s, int i)
{
	s->watch[i] = loop_fd_free(s->watch[i]);
	close_p(&s->t->sock[i]);
	s->t->sock[i] = -1;
}

static void child_gone(struct enforcer *s, int i, int status)
{
	bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	s->t->pid[i] = 0;
	if (s->watch[i])
		unwatch(s, i);
	if (!s->stopping || !well)
		return fatal(s,
			     err_set(s->e, -ECHILD, "%s ended: %s %d", child_name[i],
				     WIFSIGNALED(status) ? "signal" : "exit code",
				     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
	if (i == CHILD_AGENTS && s->t->pid[CHILD_SIGNER] > 0)
		unwatch(s, CHILD_SIGNER); /* which tells it */
	else
		loop_stop(s->loop, 0);
}

static void on_signal(void *arg, int fd, unsigned what)
{
	struct enforcer *s = arg;
	struct signalfd_siginfo si;
	int status;

	(void)what;
	if (read(fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo != SIGCHLD) {
		log_info("signal %u: stopping", si.ssi_signo);
		return stop(s);
	}
	for (int i = 0; i < CHILD_MAX_; i++)
		if (s->t->pid[i] > 0 && waitpid(s->t->pid[i], &status, WNOHANG) == s->t->pid[i])
			child_gone(s, i, status);
}

static void on_child(struct enforcer *s, int i)
{
	int r = msg_serve(s->t->sock[i], table, i == CHILD_AGENTS ? ARRAY_LEN(table) : 0, s, s->e);

	if (r == -EPIPE) { /* its SIGCHLD follows; a child that lives on without us is late */
		if (s->e)
			*s->e = (struct err){ 0 };
		unwatch(s, i);
		if (!s->stopping && !loop_after(s->loop, GONE_US, on_late, s))
			r = -ENOMEM;
		else
			r = 0;
	}
	if (r)
		fatal(s, r);
}

static void on_agents(void *arg, int fd, unsigned what)
{
	(void)fd;
	(void)what;
	on_child(arg, CHILD_AGENTS);
}

static void on_signer(void *arg, int fd, unsigned what)
{
	(void)fd;
	(void)what;
	on_child(arg, CHILD_SIGNER);
}

/* --- setting up --------------------------------------------------------------------------------
 */

/* role_spawn() blocked them before the first child could die. */
static int open_signals(int *ret, struct err *e)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGCHLD);
	*ret = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret < 0 ? err_set(e, -errno, "signals: %s", strerror(errno)) : 0;
}

/* The directory exists, is no link, and belongs to uid with mode. */
static int make_dir(const char *path, const char *key, uint32_t uid, uint32_t gid, mode_t mode,
		    struct err *e)
{
	auto_close int fd = -1;
	struct stat st;

	if (mkdir(path, mode) && errno != EEXIST)
		return err_set(e, -errno, "daemon.%s: mkdir %s: %s", key, path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "daemon.%s: %s: %s", key, path, strerror(errno));
	if (st.st_uid != geteuid() && st.st_uid != uid)
		return err_set(e, -EPERM, "daemon.%s: %s: must not belong to uid %u", key, path,
			       st.st_uid);
	if (st.st_uid != uid && fchown(fd, uid, gid))
		return err_set(e, -errno, "daemon.%s: chown %s: %s", key, path, strerror(errno));
	if (fchmod(fd, mode))
		return err_set(e, -errno, "daemon.%s: chmod %s: %s", key, path, strerror(errno));
	return 0;
}

int enforcer_prepare(const struct config *c, struct err *e)
{
	struct confine_user u = { geteuid(), getegid() };
	int r = 0;

	if (geteuid() == 0)
		r = confine_user_find(&u, c->daemon.user, e);
	r = r ? r : make_dir(c->daemon.state_dir, "state-dir", geteuid(), getegid(), 0711, e);
	r = r ? r : make_dir(c->daemon.agents_dir, "state-dir", u.uid, u.gid, 0700, e);
	r = r ? r : make_dir(c->daemon.run_dir, "run-dir", u.uid, u.gid, 0755, e);
	if (!r && (c->daemon.roles & ROLE_NODE))
		r = bpffs_ensure(c->node.pin_dir, e);
	return r;
}

int enforcer_preflight(const struct config *c, struct err *e)
{
	struct confine_user u;
	uint64_t need = KEPT_CAPS, have = effective_caps();

	if (c->daemon.roles & ROLE_NODE) {
		if (geteuid())
			return err_set(e, -EPERM, "daemon.roles: node needs root");
		if ((have & need) != need)
			return err_set(e, -EPERM,
				       "daemon.roles: node needs CAP_NET_ADMIN, "
				       "CAP_BPF, CAP_PERFMON and CAP_KILL");
	}
	return geteuid() == 0 ? confine_user_find(&u, c->daemon.user, e) : 0;
}

static int confine(const struct enforcer *s, struct err *e)
{
	int r = confine_keep_caps(KEPT_CAPS, e);

	r = r ? r : confine_no_new_privs(e);
	return r ? r : confine_syscalls(CONFINE_ENFORCER, s->t->pid, CHILD_MAX_, e);
}

/* Nobody of the tree outlives this function. */
static void end_children(struct role_tree *t)
{
	for (int i = 0; i < CHILD_MAX_; i++) {
		close_p(&t->sock[i]);
		t->sock[i] = -1;
		if (t->pid[i] > 0) {
			(void)kill(t->pid[i], SIGKILL);
			(void)waitpid(t->pid[i], NULL, 0);
		}
		t->pid[i] = 0;
	}
}

static int serve(struct enforcer *s)
{
	int r = loop_new(&s->loop, false);

	if (r)
		return err_set(s->e, r, "loop: %s", strerror(-r));
	memcpy(&table[3], enforcer_node_rows, sizeof(enforcer_node_rows));
	if (s->c->daemon.roles & ROLE_NODE)
		r = enforcer_node_open(&s->node, s->c, s->loop, s->e);
	if (r)
		return r;
	s->watch[0] = loop_watch(s->loop, s->t->sock[0], LOOP_READ, on_agents, s);
	s->watch[1] = loop_watch(s->loop, s->t->sock[1], LOOP_READ, on_signer, s);
	if (!s->watch[0] || !s->watch[1] || !loop_watch(s->loop, s->sigfd, LOOP_READ, on_signal, s))
		return err_set(s->e, -ENOMEM, "out of memory");
	log_info("ready: agents %d, signer %d", s->t->pid[0], s->t->pid[1]);
	return loop_run(s->loop);
}

int enforcer_run(const struct config *c, struct role_tree *t, struct err *e)
{
	struct enforcer s = { .c = c, .t = t, .sigfd = -1, .e = e };
	int r = open_signals(&s.sigfd, e);

	r = r ? r : confine(&s, e);
	r = r ? r : serve(&s);
	end_children(t);
	if (!r && c->daemon.on_exit == ON_EXIT_REMOVE && (c->daemon.roles & ROLE_NODE)) {
		r = enforcer_node_remove(&s.node, e);
		r = r ? r : bpffs_clear(c->node.pin_dir, e);
	}
	s.node = enforcer_node_close(s.node);
	s.loop = loop_free(s.loop);
	close_p(&s.sigfd);
	return r;
}
