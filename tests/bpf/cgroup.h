/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup.h - cgroups of a test's own: where they are made, and how a process moves into one; and a
 * bpffs of the test's own in a mount namespace of its own. */
#ifndef TREATY_TESTS_BPF_CGROUP_H
#define TREATY_TESTS_BPF_CGROUP_H

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "treaty/base.h"

/* Where cgroup2 is mounted. */
static inline bool cgroup_root(char root[128])
{
	char dev[128], dir[128], type[32];
	FILE *f = fopen("/proc/self/mounts", "re");
	bool found = false;

	while (f && !found && fscanf(f, "%127s %127s %31s %*[^\n]", dev, dir, type) == 3)
		found = !strcmp(type, "cgroup2");
	if (found)
		memcpy(root, dir, sizeof(dir));
	if (f)
		(void)fclose(f);
	return found;
}

/* This process; sockets that it makes from here on belong there. */
static inline void cgroup_join(const char *dir)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0", 1), 1);
	assert_int_equal(close(fd), 0);
}

/* pins: a directory in it that is not there yet. */
static inline bool bpffs_own(char bpffs[64], char pins[80])
{
	strcpy(bpffs, "/tmp/treaty-bpf-XXXXXX");
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(bpffs) || mount("bpf", bpffs, "bpf", 0, "mode=0700"))
		return false;
	(void)snprintf(pins, 80, "%s/dp", bpffs);
	return true;
}

static inline void bpffs_gone(const char *bpffs)
{
	(void)umount(bpffs);
	(void)rmdir(bpffs);
}

#endif
