/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>

enum { HEX_LEN = 2 * KEY_SEED_LEN };

static int sync_dir_of(const char *path)
{
	char copy[PATH_MAX];
	int fd, r = 0;

	if (!str_set(copy, path))
		return -ENAMETOOLONG;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		r = -errno;
	close_p(&fd);
	return r;
}

static int write_seed(int fd, const uint8_t *seed)
{
	char *hex = sodium_malloc(HEX_LEN + 1);
	int r = 0;

	if (!hex)
		return -ENOMEM;
	(void)sodium_bin2hex(hex, HEX_LEN + 1, seed, KEY_SEED_LEN);
	hex[HEX_LEN] = '\n';
	if (write(fd, hex, HEX_LEN + 1) != HEX_LEN + 1 || fsync(fd))
		r = errno ? -errno : -EIO;
	sodium_free(hex);
	return r;
}

static int make_pair(struct key_pair **ret)
{
	*ret = sodium_init() < 0 ? NULL : sodium_malloc(sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

int key_new(const char *path, uint8_t ret_public[KEY_PUBLIC_LEN], struct err *e)
{
	auto_close int fd = -1;
	struct key_pair *k;
	int r = make_pair(&k);

	if (r)
		return err_set(e, r, "%s: no locked memory", path);
	(void)crypto_sign_keypair(k->public, k->secret);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : write_seed(fd, k->secret); /* the seed is its first half */
	if (!r)
		r = sync_dir_of(path);
	if (!r)
		memcpy(ret_public, k->public, KEY_PUBLIC_LEN);
	else if (fd >= 0)
		(void)unlink(path);
	k = key_free(k);
	return r ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

static int check_file(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s: a key must be a regular file", path);
	if (st.st_mode & 07177)
		return err_set(e, -EPERM, "%s: a key must have mode 0600 or 0400, not %04o", path,
			       st.st_mode & 07777);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(e, -EPERM, "%s: a key must belong to root or to its reader", path);
	return 0;
}

/* Raw 32 bytes, or 64 hex digits with at most one newline. */
static int parse_seed(uint8_t *seed, const char *text, size_t n)
{
	size_t got = 0;

	if (n == KEY_SEED_LEN) {
		memcpy(seed, text, n);
		return 0;
	}
	if (n == HEX_LEN + 1 && text[HEX_LEN] == '\n')
		n--;
	if (n != HEX_LEN || sodium_hex2bin(seed, KEY_SEED_LEN, text, n, NULL, &got, NULL) ||
	    got != KEY_SEED_LEN)
		return -EINVAL;
	return 0;
}

static int read_seed(uint8_t *seed, int fd)
{
	enum { CAP = HEX_LEN + 2 };
	char *text = sodium_malloc(CAP);
	ssize_t n;
	int r;

	if (!text)
		return -ENOMEM;
	n = read(fd, text, CAP); /* a regular file: one read gives all there is */
	r = n < 0 ? -errno : parse_seed(seed, text, (size_t)n);
	sodium_free(text);
	return r;
}

/* Only the variable is the service manager's; the file passes the same checks as any other. */
static int open_key(const char *path, struct err *e)
{
	size_t n = sizeof(CFG_CREDENTIAL) - 1;
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char file[PATH_MAX];
	int fd;

	if (!strncmp(path, CFG_CREDENTIAL, n)) {
		if (!dir || dir[0] != '/')
			return err_set(e, -ENOENT,
				       "%s: $CREDENTIALS_DIRECTORY is not set: LoadCredential= in "
				       "the unit is required",
				       path);
		if (snprintf(file, sizeof(file), "%s/%s", dir, path + n) >= (int)sizeof(file))
			return err_set(e, -ENAMETOOLONG, "%s: too long", path);
	} else if (!str_set(file, path)) {
		return err_set(e, -ENAMETOOLONG, "%s: too long", path);
	}
	fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? err_set(e, -errno, "%s: %s", path, strerror(errno)) : fd;
}

int key_load(struct key_pair **ret, const char *path, struct err *e)
{
	auto_close int fd = open_key(path, e);
	struct key_pair *k;
	int r;

	if (fd < 0)
		return fd;
	r = check_file(fd, path, e);
	if (r)
		return r;
	r = make_pair(&k);
	if (r)
		return err_set(e, r, "%s: no locked memory", path);
	r = read_seed(k->secret, fd);
	if (r == -EINVAL)
		(void)err_set(e, r, "%s: a key must be 64 hex digits or 32 bytes", path);
	else if (r)
		(void)err_set(e, r, "%s: %s", path, strerror(-r));
	if (!r) {
		uint8_t *seed = sodium_malloc(KEY_SEED_LEN);

		r = seed ? 0 : err_set(e, -ENOMEM, "%s: no locked memory", path);
		if (seed) {
			memcpy(seed, k->secret, KEY_SEED_LEN);
			(void)crypto_sign_seed_keypair(k->public, k->secret, seed);
			sodium_free(seed);
		}
	}
	if (r) {
		k = key_free(k);
		return r;
	}
	(void)sodium_mprotect_readonly(k);
	*ret = k;
	return 0;
}

struct key_pair *key_free(struct key_pair *k)
{
	sodium_free(k); /* wipes; NULL is fine */
	return NULL;
}
