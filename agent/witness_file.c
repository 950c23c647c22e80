/* SPDX-License-Identifier: Apache-2.0 */
#include "witness_file.h"

#include "agent/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int fail(struct err *e, const char *path)
{
	int code = errno ? errno : EIO;

	return err_set(e, -code, "%s: %s", path, strerror(code));
}

static int write_all(const char *path, int flags, const char *text, struct err *e)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	size_t n = strlen(text);

	if (fd < 0)
		return fail(e, path);
	errno = 0;
	if (write(fd, text, n) != (ssize_t)n || fsync(fd) < 0) {
		int r = fail(e, path);

		(void)unlink(path);
		return r;
	}
	return 0;
}

static int sync_dir(const char *dir, struct err *e)
{
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? fail(e, dir) : 0;
}

int witness_file_put(const char *dir, const char *name, const char *text, struct err *e)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)snprintf(tmp, sizeof(tmp), "%s/%s.new", dir, name);
	r = write_all(tmp, O_TRUNC, text, e);
	if (!r && rename(tmp, path) < 0)
		r = fail(e, path);
	return r ? r : sync_dir(dir, e);
}

int witness_file_new(const char *dir, const char *name, const char *text, struct err *e)
{
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!access(path, F_OK))
		return -EEXIST;
	r = write_all(path, O_EXCL, text, e);
	return r ? r : sync_dir(dir, e);
}

int witness_file_get(const char *dir, const char *name, char ret[NOTE_MAX], struct err *e)
{
	auto_close int fd = -1;
	char path[PATH_MAX];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fail(e, path);
	n = read(fd, ret, NOTE_MAX);
	if (n < 0)
		return fail(e, path);
	if (n == NOTE_MAX)
		return err_set(e, -EMSGSIZE, "%s: at most %d bytes", path, NOTE_MAX - 1);
	ret[n] = 0;
	return 0;
}

int witness_newest(struct store *st, const char *dir, uint64_t covers, char ret[NOTE_MAX],
		   struct checkpoint *cp, struct err *e)
{
	auto_free void *p = NULL;
	struct note n;
	size_t len;
	int r = witness_file_get(dir, WITNESS_FILE, ret, e);

	if (!r && !note_parse(ret, strlen(ret), &n, e) && !checkpoint_read(n.text, n.len, cp, e) &&
	    cp->size >= covers)
		return 0;
	if (store_kv_get(st, "checkpoint:own", &p, &len, NULL) || len >= NOTE_MAX)
		return err_set(e, -ENOENT,
			       "log: no checkpoint was signed (configure keys.checkpoint)");
	memcpy(ret, p, len);
	ret[len] = 0;
	r = note_parse(ret, len, &n, e);
	if (!r)
		r = checkpoint_read(n.text, n.len, cp, e);
	if (!r && cp->size < covers)
		r = err_set(e, -ENOENT, "event %llu: the newest checkpoint covers only %llu",
			    (unsigned long long)covers, (unsigned long long)cp->size);
	return r;
}
