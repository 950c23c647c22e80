/* SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int confine_user_find(struct confine_user *ret, const char *name, struct err *e)
{
	const struct passwd *pw;
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(name, &end, 10);
	if (name[0] >= '0' && name[0] <= '9' && !*end) {
		if (errno || n < 1 || n > 0x7fffffff)
			return err_set(e, -EINVAL, "daemon.user: a number must be 1 to 2147483647");
		*ret = (struct confine_user){ (uint32_t)n, (uint32_t)n };
		return 0;
	}
	pw = getpwnam(name);
	if (!pw)
		return err_set(e, -ENOENT,
			       "daemon.user: no user \"%s\": add it (useradd --system %s) or "
			       "give a number",
			       name, name);
	if (pw->pw_uid == 0)
		return err_set(e, -EINVAL, "daemon.user: must not be root");
	*ret = (struct confine_user){ pw->pw_uid, pw->pw_gid };
	return 0;
}

int confine_keep_caps(uint64_t caps, struct err *e)
{
	if (capng_get_caps_process())
		return err_set(e, -EIO, "capabilities: cannot be read");
	for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
		bool keep = caps & 1ull << i && capng_have_capability(CAPNG_PERMITTED, i);

		/* The bounding set binds what an execve could gain; we never execve again. It can
		 * only be cut by CAP_SETPCAP, which a plain user has not and does not need. */
		if (capng_update(keep ? CAPNG_ADD : CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
				 i) ||
		    capng_update(CAPNG_DROP, CAPNG_INHERITABLE, i))
			return err_set(e, -EIO, "capabilities: cannot name number %u", i);
	}
	if (capng_have_capability(CAPNG_PERMITTED, CAP_SETPCAP) || geteuid() == 0)
		for (int i = 0; i <= CAP_LAST_CAP; i++)
			if (!(caps & 1ull << i) && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
				(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return err_set(e, -EPERM, "capabilities: the kernel refused the smaller set");
	return 0;
}

int confine_drop_user(const struct confine_user *u, struct err *e)
{
	if (geteuid() == 0) {
		if (setgroups(0, NULL) || setresgid(u->gid, u->gid, u->gid))
			return err_set(e, -errno, "setresgid %u: %s", u->gid, strerror(errno));
		/* The bounding set is cut first: afterwards nothing may cut it. */
		for (int i = 0; i <= CAP_LAST_CAP; i++)
			if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
				(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
		if (setresuid(u->uid, u->uid, u->uid))
			return err_set(e, -errno, "setresuid %u: %s", u->uid, strerror(errno));
	}
	if (geteuid() == 0 || setuid(0) == 0)
		return err_set(e, -EPERM, "user %u: root can be had again", u->uid);
	return confine_keep_caps(0, e);
}

int confine_no_new_privs(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_set(e, -errno, "no-new-privs: %s", strerror(errno));
	return 0;
}

int confine_no_dump(struct err *e)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return err_set(e, -errno, "no core dumps: %s", strerror(errno));
	return 0;
}

/* --- landlock ------------------------------------------------------------------------------ */

/* The kernel's struct as of ABI 6; bookworm's header knows the first member only. */
struct ruleset {
	uint64_t handled_fs, handled_net, scoped;
};

#define SCOPE_ABSTRACT_UNIX 1u
#define SCOPE_SIGNAL        2u
#define FS_READ             (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_FILE             (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | (1ull << 14))
#define FS_ABI1             0x1fffull
#define FS_TREE                                                                    \
	(FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |            \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | (1ull << 13) | (1ull << 14))

/* What each ABI added to the file-system accesses: refer, truncate, (net), device ioctl. */
static uint64_t handled_by(int abi)
{
	return FS_ABI1 | (abi >= 2 ? 1ull << 13 : 0) | (abi >= 3 ? 1ull << 14 : 0) |
	       (abi >= 5 ? 1ull << 15 : 0);
}

static int allow_path(int ruleset, const char *path, uint64_t access, struct err *e)
{
	struct landlock_path_beneath_attr a = { .allowed_access = access };
	auto_close int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == EACCES))
		return 0;
	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "landlock: %s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		a.allowed_access &= FS_FILE;
	a.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0))
		return err_set(e, -errno, "landlock: %s: %s", path, strerror(errno));
	return 0;
}

int confine_files(const char *const *rw, const char *const *ro, int *ret_abi, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset rs = { .handled_fs = handled_by((int)abi) };
	auto_close int fd = -1;
	int r = 0;

	if (abi < 1) { /* ENOSYS: not built in; EOPNOTSUPP: not enabled at boot */
		*ret_abi = 0;
		return 0;
	}
	if (abi >= 6)
		rs.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	fd = (int)syscall(SYS_landlock_create_ruleset, &rs,
			  abi >= 6 ? sizeof(rs) : sizeof(rs.handled_fs), 0);
	if (fd < 0)
		return err_set(e, -errno, "landlock: ruleset: %s", strerror(errno));
	for (; *rw && !r; rw++)
		r = allow_path(fd, *rw, FS_TREE & rs.handled_fs, e);
	for (; *ro && !r; ro++)
		r = allow_path(fd, *ro, FS_READ & rs.handled_fs, e);
	if (!r && syscall(SYS_landlock_restrict_self, fd, 0))
		r = err_set(e, -errno, "landlock: restrict: %s", strerror(errno));
	if (!r)
		*ret_abi = (int)abi;
	return r;
}
