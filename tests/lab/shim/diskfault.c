/* SPDX-License-Identifier: Apache-2.0 */
/* diskfault.so - a failing disk for the shipped daemon, put under it by LD_PRELOAD in tests alone.
 * Files of the file system of $TREATY_FAULT_DIR fail while a file of the fault's name lies there:
 *   fault.eio   every write fails with EIO
 *   fault.rofs  every write fails with EROFS, as on a disk that its kernel made read-only
 *   fault.sync  fsync and fdatasync fail with EIO; what was written stays in the page cache */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static bool on(const char *fault)
{
	const char *dir = getenv("TREATY_FAULT_DIR");
	char path[512];
	int n = dir ? snprintf(path, sizeof(path), "%s/%s", dir, fault) : -1;

	return n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0;
}

/* Sockets and the files of other disks are not ours. */
static bool ours(int fd)
{
	const char *dir = getenv("TREATY_FAULT_DIR");
	struct stat d, f;

	return dir && stat(dir, &d) == 0 && fstat(fd, &f) == 0 && S_ISREG(f.st_mode) &&
	       f.st_dev == d.st_dev;
}

static int write_fault(int fd)
{
	int was = errno, r = 0;

	if (ours(fd))
		r = on("fault.eio") ? EIO : on("fault.rofs") ? EROFS : 0;
	errno = r ? r : was;
	return r;
}

static int sync_fault(int fd)
{
	int was = errno, r = ours(fd) && on("fault.sync") ? EIO : 0;

	errno = r ? r : was;
	return r;
}

typedef ssize_t (*pwrite_fn)(int fd, const void *buf, size_t n, off_t at);
typedef ssize_t (*write_fn)(int fd, const void *buf, size_t n);
typedef int (*sync_fn)(int fd);

__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *buf, size_t n,
							off64_t at)
{
	static pwrite_fn next;

	if (!next)
		next = (pwrite_fn)dlsym(RTLD_NEXT, "pwrite64");
	return write_fault(fd) ? -1 : next(fd, buf, n, at);
}

__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	return pwrite64(fd, buf, n, at);
}

__attribute__((visibility("default"))) ssize_t write(int fd, const void *buf, size_t n)
{
	static write_fn next;

	if (!next)
		next = (write_fn)dlsym(RTLD_NEXT, "write");
	return write_fault(fd) ? -1 : next(fd, buf, n);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	static sync_fn next;

	if (!next)
		next = (sync_fn)dlsym(RTLD_NEXT, "fdatasync");
	return sync_fault(fd) ? -1 : next(fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	static sync_fn next;

	if (!next)
		next = (sync_fn)dlsym(RTLD_NEXT, "fsync");
	return sync_fault(fd) ? -1 : next(fd);
}
