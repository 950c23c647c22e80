/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"

#include "agent/codec/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int file_text(const char *path, size_t max, char **ret, size_t *ret_len)
{
	bool in = !strcmp(path, "-");
	auto_close int fd = in ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	auto_free char *buf = NULL;
	size_t n = 0;
	ssize_t k = 1;

	if (fd < 0)
		return fail(CTL_FAILED, "%s: %s", path, strerror(errno));
	buf = malloc(max + 2);
	if (!buf)
		return fail(CTL_FAILED, "out of memory");
	while (k > 0 && n <= max) {
		k = read(fd, buf + n, max + 1 - n);
		n += k > 0 ? (size_t)k : 0;
	}
	if (k < 0)
		return fail(CTL_FAILED, "%s: %s", path, strerror(errno));
	if (n > max)
		return fail(CTL_FAILED, "%s: more than %zu bytes", path, max);
	buf[n] = '\0';
	*ret = TAKE_PTR(buf);
	*ret_len = n;
	return CTL_OK;
}

int file_json(const char *path, json_t **ret)
{
	auto_free char *text = NULL;
	struct err e = { 0 };
	size_t n;
	int r = file_text(path, JSON_LIMITS_BODY.bytes, &text, &n);

	if (r)
		return r;
	if (json_read(ret, text, n, NULL, &e))
		return fail(CTL_FAILED, "%s: %s", path, e.text);
	return CTL_OK;
}

/* A new file beside the old one, then renamed: a reader never sees half of it. */
int file_put(const char *path, const char *text)
{
	char tmp[512];
	FILE *f;
	bool bad;

	if (!path) {
		(void)puts(text);
		return CTL_OK;
	}
	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return fail(CTL_FAILED, "%s: too long a name", path);
	f = fopen(tmp, "we");
	if (!f)
		return fail(CTL_FAILED, "%s: %s", tmp, strerror(errno));
	bad = fprintf(f, "%s\n", text) < 0 || fflush(f) || fsync(fileno(f));
	bad |= fclose(f) != 0;
	if (bad || rename(tmp, path)) {
		int err = errno;

		(void)unlink(tmp);
		return fail(CTL_FAILED, "%s: %s", path, strerror(err));
	}
	return CTL_OK;
}
