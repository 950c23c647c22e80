/* SPDX-License-Identifier: Apache-2.0 */
/* dp_pace.c - the pacing program on a cgroup: its link is pinned, adopted, swapped in place, and
 * taken away with the rest. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "dp_internal.h"

#define CGROUP2_MAGIC 0x63677270

static void link_path(char to[DP_PATH_MAX], const struct dp *d)
{
	(void)snprintf(to, DP_PATH_MAX, "%.150s/link_pace", d->pin_dir);
}

/* -EOPNOTSUPP and the reason in said, when the kernel cannot run the program. */
int dp_pace_probe(void)
{
	int r = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SOCK_OPS, NULL);

	return r < 0 ? r : r ? 0 : -EOPNOTSUPP;
}

static uint64_t link_cgroup(int fd)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.cgroup.cgroup_id;
}

/* *id: what the kernel calls it. */
static int cgroup_open(const char *path, uint64_t *id, enum refusal *no, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (fd < 0)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "cgroup %s: %s", path,
				 strerror(errno));
	if (fstatfs(fd, &fs) || fs.f_type != CGROUP2_MAGIC || fstat(fd, &st)) {
		(void)close(fd);
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "cgroup %s: not a cgroup2 directory",
				 path);
	}
	*id = st.st_ino;
	return fd;
}

int dp_pace_attach(struct dp *d, const char *cgroup, enum refusal *no, struct err *e)
{
	int prog = d->skel ? bpf_program__fd(d->skel->progs.treaty_pace) : -1;
	auto_close int cg = -1, fd = -1;
	char path[DP_PATH_MAX];
	uint64_t id = 0;

	if (d->offline)
		return err_set(e, -EINVAL, "offline: nothing is attached");
	if (prog < 0)
		return dp_refuse(no, e, REFUSE_KERNEL_UNSUPPORTED,
				 "pacing: this kernel runs no sockops programs");
	cg = cgroup_open(cgroup, &id, no, e);
	if (cg < 0)
		return cg;
	link_path(path, d);
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		if (link_cgroup(fd) == id && !bpf_link_update(fd, prog, NULL))
			return 0;
		(void)bpf_link_detach(fd); /* another cgroup, or one that is gone */
		(void)unlink(path);
		(void)close(fd);
	}
	fd = bpf_link_create(prog, cg, BPF_CGROUP_SOCK_OPS, NULL);
	if (fd < 0)
		return err_set(e, -errno, "cgroup %s: %s", cgroup, strerror(errno));
	if (bpf_obj_pin(fd, path))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

int dp_pace_detach(struct dp *d, struct err *e)
{
	auto_close int fd = -1;
	char path[DP_PATH_MAX];

	if (d->offline)
		return 0;
	link_path(path, d);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s: %s", path, strerror(errno));
	(void)bpf_link_detach(fd); /* at once, even if somebody else holds the link */
	return unlink(path) ? err_set(e, -errno, "%s: %s", path, strerror(errno)) : 0;
}

bool dp_pace_stands(const struct dp *d)
{
	auto_close int fd = -1;
	char path[DP_PATH_MAX];

	link_path(path, d);
	fd = d->offline ? -1 : bpf_obj_get(path);
	return fd >= 0 && link_cgroup(fd);
}
