/* SPDX-License-Identifier: Apache-2.0 */
/* The key of stored bodies in memory: read once, kept in locked memory, and gone as soon as it is
 * destroyed, by this process or by another. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store_util.h"

enum { KEY = 32 };

/* The only key file there is. */
static void key_path(char ret[256])
{
	char cmd[128];
	FILE *f;

	(void)snprintf(cmd, sizeof(cmd), "ls %s/consumer/*.key", dir);
	f = popen(cmd, "r");
	assert_non_null(f);
	assert_non_null(fgets(ret, 256, f));
	ret[strcspn(ret, "\n")] = '\0';
	(void)pclose(f);
}

/* Inverted, lest the search find this copy. */
static void key_inverted(uint8_t ret[KEY])
{
	char path[256];
	int fd;

	key_path(path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, ret, KEY), KEY);
	(void)close(fd);
	for (int i = 0; i < KEY; i++)
		ret[i] = (uint8_t)~ret[i];
}

static unsigned in_range(int mem, unsigned long from, unsigned long to, const uint8_t inv[KEY])
{
	static uint8_t page[4096];
	unsigned hits = 0;

	for (unsigned long at = from; at < to; at += sizeof(page)) {
		if (pread(mem, page, sizeof(page), (off_t)at) != (ssize_t)sizeof(page))
			break;
		for (size_t i = 0, k; i + KEY <= sizeof(page); i++) {
			for (k = 0; k < KEY && (page[i + k] ^ inv[k]) == 0xff; k++)
				;
			hits += k == KEY;
		}
	}
	memset(page, 0, sizeof(page));
	return hits;
}

/* How often the key stands in this process's memory that is locked, and in the rest of it, but for
 * the stack, which libsodium writes over. */
static void count_key(const uint8_t inv[KEY], unsigned *locked, unsigned *rest)
{
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long from = 0, to = 0, a, b;
	char line[512], perms[8], w[8] = "";

	assert_true(mem >= 0 && f);
	*locked = *rest = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &a, &b, perms) == 3 && strlen(perms) == 4) {
			from = a;
			to = b;
			memcpy(w, perms, sizeof(w));
		}
		if (strncmp(line, "VmFlags:", 8) != 0 || w[1] != 'w' || strstr(line, " gd"))
			continue;
#ifdef __SANITIZE_ADDRESS__
		if (to - from > 1ul << 30) /* shadow: bits about bytes */
			continue;
#endif
		*(strstr(line, " lo") ? locked : rest) += in_range(mem, from, to, inv);
	}
	(void)fclose(f);
	(void)close(mem);
}

static void no_more_files(bool on)
{
	static struct rlimit had;
	struct rlimit none;

	if (on)
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = (struct rlimit){ 0, had.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, on ? &none : &had), 0);
}

static void put(struct store *s, const struct hash *h, const char *text)
{
	assert_int_equal(store_body_put(s, h, "did:a", text, strlen(text), NULL), 0);
}

static int get(struct store *s, const struct hash *h)
{
	void *p = NULL;
	size_t n;
	int r = store_body_get(s, h, &p, &n, NULL);

	free(p);
	return r;
}

static void key_is_kept_and_forgotten(void **state)
{
	struct hash a = { { 1 } }, b = { { 2 } };
	struct store *s = open_ok(STORE_CREATE);
	unsigned locked, rest;
	uint8_t inv[KEY];

	(void)state;
	put(s, &a, "one");
	assert_int_equal(get(s, &a), 0);
	no_more_files(true); /* no file is opened for it again */
	put(s, &b, "two");
	assert_int_equal(get(s, &a), 0);
	no_more_files(false);
	key_inverted(inv);
	count_key(inv, &locked, &rest);
#ifdef __SANITIZE_ADDRESS__
	assert_int_equal(locked + rest, 1); /* its runtime makes mlock() do nothing */
#else
	assert_int_equal(locked, 1);
	assert_int_equal(rest, 0);
#endif
	assert_int_equal(store_consumer_erase(s, "did:a", NULL), 0);
	count_key(inv, &locked, &rest);
	assert_int_equal(locked + rest, 0);
	assert_int_equal(get(s, &a), -ENODATA);
	assert_int_equal(get(s, &b), -ENODATA);
	s = store_free(s);
}

/* Removed, or overwritten in place, by somebody else. */
static void key_of_another_process(void **state)
{
	static const uint8_t zeros[KEY];
	struct hash a = { { 1 } }, b = { { 2 } };
	struct store *s = open_ok(STORE_CREATE);
	struct timespec old;
	struct stat st;
	char path[256];
	int fd;

	(void)state;
	put(s, &a, "one");
	assert_int_equal(get(s, &a), 0);
	key_path(path);
	assert_int_equal(stat(path, &st), 0);
	old = st.st_ctim;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	do { /* the file system's clock has ticks */
		assert_int_equal(pwrite(fd, zeros, KEY, 0), KEY);
		assert_int_equal(fstat(fd, &st), 0);
	} while (st.st_ctim.tv_sec == old.tv_sec && st.st_ctim.tv_nsec == old.tv_nsec);
	(void)close(fd);
	assert_int_equal(get(s, &a), -ENODATA);
	put(s, &b, "two");
	assert_int_equal(get(s, &b), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(get(s, &b), -ENODATA);
	s = store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(key_is_kept_and_forgotten, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(key_of_another_process, dir_make, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
