/* SPDX-License-Identifier: Apache-2.0 */
/* wire_group.h - a cgroup of the bench's own: a socket belongs to the one in which its maker was.
 * It goes with the process, also when that is interrupted. */
#ifndef TREATY_BENCH_WIRE_GROUP_H
#define TREATY_BENCH_WIRE_GROUP_H

#include <signal.h>
#include <sys/stat.h>

#include "wire.h"

static char group_dir[192], group_home[256]; /* ours; where we came from */

/* Moves this process. */
static inline bool group_move(const char *dir)
{
	char path[300], me[16];
	int fd, n = snprintf(me, sizeof(me), "%d", (int)getpid());
	bool ok;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, me, (size_t)n) == n;
	if (fd >= 0)
		(void)close(fd);
	return ok;
}

static inline void group_end(void)
{
	if (group_dir[0])
		(void)group_move(group_home);
	(void)rmdir(group_dir);
}

static inline void group_signal(int sig)
{
	group_end();
	_exit(128 + sig);
}

/* False: there is no cgroup2 here. */
static inline bool group_new(void)
{
	char dev[128], dir[128], type[32], line[256];
	FILE *f = fopen("/proc/self/mounts", "re");
	bool found = false;

	while (f && !found && fscanf(f, "%127s %127s %31s %*[^\n]", dev, dir, type) == 3)
		found = !strcmp(type, "cgroup2");
	if (f)
		(void)fclose(f);
	f = found ? fopen("/proc/self/cgroup", "re") : NULL;
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3))
			(void)snprintf(group_home, sizeof(group_home), "%s%.*s", dir,
				       (int)strcspn(line + 3, "\n"), line + 3);
	if (f)
		(void)fclose(f);
	if (!group_home[0])
		return false;
	(void)snprintf(group_dir, sizeof(group_dir), "%s/treaty-bench-%d", dir, (int)getpid());
	if (mkdir(group_dir, 0755)) {
		group_dir[0] = 0;
		return false;
	}
	(void)atexit(group_end);
	(void)signal(SIGTERM, group_signal);
	(void)signal(SIGINT, group_signal);
	return true;
}

#endif
