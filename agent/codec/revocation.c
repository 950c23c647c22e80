/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/codec/revocation.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { REVOCATION_FILE_MAX = 1 << 20, REVOCATION_LINE_MAX = 256 };

/* Positive decimal number without sign; -1 when it is none. */
static int64_t number(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n && n <= 18 && !s[n] ? strtoll(s, NULL, 10) : -1;
}

/* 1 this line revokes w, 0 not, -EINVAL malformed. line is writable and NUL-terminated. */
static int check_line(char *line, const struct wallet *w)
{
	char *save = NULL, *id, *generation, *more;

	line[strcspn(line, "#")] = 0;
	id = strtok_r(line, " \t\r", &save);
	if (!id)
		return 0;
	generation = strtok_r(NULL, " \t\r", &save);
	more = strtok_r(NULL, " \t\r", &save);
	if (more || !strchr(id, ':') || (generation && number(generation) < 1))
		return -EINVAL;
	if (generation)
		return !strcmp(id, w->wallet_id) && w->generation <= number(generation);
	return !strcmp(id, w->id);
}

int revocation_check(const char *text, size_t len, const struct wallet *w, struct err *e)
{
	char line[REVOCATION_LINE_MAX];
	unsigned no = 0;
	int found = 0;

	for (size_t at = 0, n; at < len; at += n + 1) {
		const char *nl = memchr(text + at, '\n', len - at);
		int r;

		n = nl ? (size_t)(nl - text) - at : len - at;
		no++;
		if (n >= sizeof(line) || memchr(text + at, 0, n))
			return err_set(e, -EINVAL, "revocation list: line %u too long", no);
		memcpy(line, text + at, n);
		line[n] = 0;
		r = check_line(line, w);
		if (r < 0)
			return err_set(e, -EINVAL,
				       "revocation list: line %u: URI, or URI and generation", no);
		found |= r;
	}
	return found;
}

int revocation_check_file(const char *path, const struct wallet *w, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;
	size_t have = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "revocation list: cannot be read");
	if (!S_ISREG(st.st_mode) || st.st_size > REVOCATION_FILE_MAX)
		return err_set(e, -EFBIG, "revocation list: a file of at most 1 MiB required");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return err_set(e, -ENOMEM, "revocation list: no memory");
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, text + have, (size_t)st.st_size - have);

		if (n <= 0)
			return err_set(e, n ? -errno : -EIO, "revocation list: short read");
		have += (size_t)n;
	}
	return revocation_check(text, have, w, e);
}
