/* SPDX-License-Identifier: Apache-2.0 */
#include "bpffs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int bpffs_is(const char *dir)
{
	struct statfs st;

	if (statfs(dir, &st))
		return -errno;
	return st.f_type == BPF_FS_MAGIC;
}

int bpffs_ensure(const char *dir, struct err *e)
{
	int is;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_set(e, -errno, "node.pin-dir: mkdir %s: %s", dir, strerror(errno));
	is = bpffs_is(dir);
	if (is < 0)
		return err_set(e, is, "node.pin-dir: %s: %s", dir, strerror(-is));
	if (is)
		return 0;
	if (mount("bpf", dir, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return err_set(e, -errno, "node.pin-dir: mount bpffs on %s: %s", dir,
			       strerror(errno));
	return 0;
}

/* Depth-first; bpffs nests as deep as its owner made it, which was us: a few levels. A name with a
 * dot is never a pin but the kernel's own (maps.debug, progs.debug), which it does not let go. */
static int clear_at(int at, const char *name, int depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	struct dirent *d;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (!r && (d = readdir(dir))) {
		if (strchr(d->d_name, '.'))
			continue;
		if (d->d_type == DT_DIR)
			r = depth ? clear_at(fd, d->d_name, depth - 1) : -ELOOP;
		if (!r && unlinkat(fd, d->d_name, d->d_type == DT_DIR ? AT_REMOVEDIR : 0))
			r = -errno;
	}
	(void)closedir(dir);
	return r;
}

int bpffs_clear(const char *dir, struct err *e)
{
	int r = bpffs_is(dir);

	if (r == 0)
		r = -ENODEV;
	if (r > 0)
		r = clear_at(AT_FDCWD, dir, 4);
	return r < 0 ? err_set(e, r, "node.pin-dir: clear %s: %s", dir, strerror(-r)) : 0;
}
