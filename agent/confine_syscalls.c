/* SPDX-License-Identifier: Apache-2.0 */
/* Allow-lists by libseccomp. Three answers: a listed call runs; a call that no honest code of ours
 * ever makes kills the process; anything else fails with EPERM, so that a library which only tries
 * something (a cache, a hint) goes on without it. */
#include "confine.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Argument n is v; the bits of mask in argument n are v. */
#define IS(n, v)         ((struct scmp_arg_cmp){ n, SCMP_CMP_EQ, v, 0 })
#define BITS(n, mask, v) ((struct scmp_arg_cmp){ n, SCMP_CMP_MASKED_EQ, mask, v })

/* What every process needs to run at all, to talk on open fds, and to end. */
static const int base_calls[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(shutdown),
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getppid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(munlock),
	SCMP_SYS(mlock),
	SCMP_SYS(sched_yield),
};

/* Agents: sockets, SQLite, curl, OpenSSL, libevent. Files are landlock's matter. */
static const int agents_calls[] = {
	SCMP_SYS(connect),    SCMP_SYS(bind),        SCMP_SYS(listen),        SCMP_SYS(accept),
	SCMP_SYS(accept4),    SCMP_SYS(getsockname), SCMP_SYS(getpeername),   SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(sendmmsg),    SCMP_SYS(recvmmsg),      SCMP_SYS(eventfd2),
	SCMP_SYS(select),     SCMP_SYS(pselect6),    SCMP_SYS(mkdir),         SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),   SCMP_SYS(rename),      SCMP_SYS(renameat),      SCMP_SYS(renameat2),
	SCMP_SYS(chmod),      SCMP_SYS(fchmod),      SCMP_SYS(fallocate),     SCMP_SYS(truncate),
	SCMP_SYS(flock),      SCMP_SYS(fadvise64),   SCMP_SYS(utimensat),     SCMP_SYS(getdents64),
	SCMP_SYS(membarrier), SCMP_SYS(adjtimex),    SCMP_SYS(clock_adjtime),
};

/* Agents and enforcer both open files and run the loop. */
static const int daemon_calls[] = {
	SCMP_SYS(openat),
	SCMP_SYS(open),
	SCMP_SYS(newfstatat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(statx),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(fstatfs),
	SCMP_SYS(statfs),
	SCMP_SYS(fcntl),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(umask),
	SCMP_SYS(mprotect),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(signalfd4),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_getscheduler),
	SCMP_SYS(getcpu),
	SCMP_SYS(pipe2),
	SCMP_SYS(socketpair),
};

/* Enforcer: BPF, netlink, its children, its own bpffs. */
static const int enforcer_calls[] = {
	SCMP_SYS(bpf),         SCMP_SYS(perf_event_open), SCMP_SYS(bind),
	SCMP_SYS(getsockname), SCMP_SYS(getsockopt),      SCMP_SYS(setsockopt),
	SCMP_SYS(wait4),       SCMP_SYS(waitid),          SCMP_SYS(capget),
	SCMP_SYS(getdents64),  SCMP_SYS(mkdir),           SCMP_SYS(mkdirat),
	SCMP_SYS(rmdir),       SCMP_SYS(unlink),          SCMP_SYS(unlinkat),
	SCMP_SYS(prlimit64),   SCMP_SYS(epoll_create),    SCMP_SYS(membarrier),
};

static const int deadly[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(fsopen),
	SCMP_SYS(open_tree),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(swapon),
	SCMP_SYS(setuid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setgroups),
};

/* Deadly unless the profile's list has them. */
static const int deadly_elsewhere[] = { SCMP_SYS(bpf), SCMP_SYS(perf_event_open) };

static int rules(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = calls[i] < 0 ? 0 : seccomp_rule_add(f, action, calls[i], 0);
	return r;
}

#define ALLOW(f, list) rules(f, SCMP_ACT_ALLOW, list, ARRAY_LEN(list))

static int allow_domains(scmp_filter_ctx f, const int *domains, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     IS(0, (unsigned)domains[i]));
	return r;
}

/* Signals go to ourselves only (abort). */
static int allow_self(scmp_filter_ctx f)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				IS(0, (scmp_datum_t)getpid()));
}

/* clone3 hides its flags from the filter, so glibc is told to take clone, which must carry
 * CLONE_THREAD: no new process. */
static int allow_threads(scmp_filter_ctx f)
{
	int r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	return r ? r
		 : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				    BITS(0, CLONE_THREAD, CLONE_THREAD));
}

/* curl's resolver makes threads. Netlink is for getifaddrs (glibc's address sorting). PR_SET_NAME
 * names those threads. prlimit64 only reads. */
static int agents_rules(scmp_filter_ctx f)
{
	static const int domains[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	int r = ALLOW(f, agents_calls);

	r = r ? r : ALLOW(f, daemon_calls);
	r = r ? r : allow_domains(f, domains, ARRAY_LEN(domains));
	r = r ? r : allow_threads(f);
	r = r ? r : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, IS(0, PR_SET_NAME));
	r = r ? r : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, IS(2, 0));
	/* FIONREAD, FIONBIO: what bufferevents ask of sockets */
	r = r ? r : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, IS(1, 0x541b));
	r = r ? r : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, IS(1, 0x5421));
	return r ? r
		 : rules(f, SCMP_ACT_KILL_PROCESS, deadly_elsewhere, ARRAY_LEN(deadly_elsewhere));
}

/* A thread waits for grace periods (bpf/dp_grace.c). */
static int enforcer_rules(scmp_filter_ctx f)
{
	static const int domains[] = { AF_UNIX, AF_NETLINK, AF_INET /* interface ioctls */ };
	int r = ALLOW(f, enforcer_calls);

	r = r ? r : ALLOW(f, daemon_calls);
	r = r ? r : allow_threads(f);
	r = r ? r : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 0);
	return r ? r : allow_domains(f, domains, ARRAY_LEN(domains));
}

/* mprotect is sodium_free()'s and malloc's: never towards executable. */
static int signer_rules(scmp_filter_ctx f)
{
	int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, BITS(2, PROT_EXEC, 0));

	return r ? r
		 : rules(f, SCMP_ACT_KILL_PROCESS, deadly_elsewhere, ARRAY_LEN(deadly_elsewhere));
}

static int allow_kill(scmp_filter_ctx f, const pid_t *pid, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1,
				     IS(0, (scmp_datum_t)pid[i]));
	return r;
}

int confine_syscalls(enum confine_profile p, const pid_t *may_kill, size_t n, struct err *e)
{
	static int (*const extra[])(scmp_filter_ctx) = {
		[CONFINE_AGENTS] = agents_rules,
		[CONFINE_SIGNER] = signer_rules,
		[CONFINE_ENFORCER] = enforcer_rules,
	};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f)
		return err_set(e, -ENOMEM, "seccomp: out of memory");
	/* a call through another ABI (x32, i386) would be numbered otherwise */
	r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	r = r ? r : seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = r ? r : ALLOW(f, base_calls);
	r = r ? r : rules(f, SCMP_ACT_KILL_PROCESS, deadly, ARRAY_LEN(deadly));
	r = r ? r : allow_self(f);
	r = r ? r : allow_kill(f, may_kill, n);
	r = r ? r : extra[p](f);
	r = r ? r : seccomp_load(f);
	seccomp_release(f);
	return r ? err_set(e, r, "seccomp: %s", strerror(-r)) : 0;
}
