/* SPDX-License-Identifier: Apache-2.0 */
/* Where a secret key may be found: in the signer's locked memory, and nowhere else. The real tree
 * runs, signs and rotates; then every byte of its three processes is read, with their arguments and
 * environments, every file that they wrote, and what their death leaves behind. */
#include "agent/crypto/crypto.h"
#include "agent/signer/keyfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

enum { KEYS = 5, FORMS = 3, CHUNK = 1 << 20 };

static char bin[PATH_MAX], dir[64];
static const char *const names[KEYS] = { "wallet", "presentation", "agreement", "checkpoint",
					 "next-agreement" };

/* What would be the secret: the seed, its text, the scalar that signs. */
static struct needle {
	const char *what;
	uint8_t b[64];
	size_t n;
} needle[KEYS * FORMS];

static void add_needles(int key, const uint8_t seed[32])
{
	struct needle *x = &needle[key * FORMS];
	uint8_t h[64];

	x[0] = (struct needle){ .what = "seed", .n = 32 };
	memcpy(x[0].b, seed, 32);
	x[1] = (struct needle){ .what = "text", .n = 64 };
	for (int i = 0; i < 32; i++) { /* without a buffer of its own */
		x[1].b[2 * i] = (uint8_t) "0123456789abcdef"[seed[i] >> 4];
		x[1].b[2 * i + 1] = (uint8_t) "0123456789abcdef"[seed[i] & 15];
	}
	(void)crypto_hash_sha512(h, seed, 32);
	h[0] &= 248;
	h[31] = (uint8_t)((h[31] & 127) | 64);
	x[2] = (struct needle){ .what = "scalar", .n = 32 };
	memcpy(x[2].b, h, 32);
}

/* First needle in the bytes, or NULL. */
static const struct needle *find(const void *p, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(needle); i++)
		if (memmem(p, n, needle[i].b, needle[i].n))
			return &needle[i];
	return NULL;
}

/* --- processes ------------------------------------------------------------------------------- */

struct map {
	unsigned long from, to;
	char perms[8], name[128];
	bool locked, no_dump;
};

/* The next mapping of smaps, with its flags; false at the end. */
static bool next_map(FILE *f, struct map *m)
{
	struct map x = { 0 };
	char line[512];
	int at;

	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "VmFlags:", 8)) {
			m->locked = strstr(line, " lo") != NULL;
			m->no_dump = strstr(line, " dd") != NULL;
#ifdef __SANITIZE_ADDRESS__
			m->locked = true; /* its runtime makes mlock() do nothing */
#endif
			return true;
		}
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &x.from, &x.to, x.perms, &at) != 3)
			continue;
		*m = x;
		(void)sscanf(line + at, "%127[^\n]", m->name);
	}
	return false;
}

struct hits {
	unsigned secret, elsewhere; /* in locked and undumpable memory, and anywhere else */
	uint64_t bytes;
	char where[256];
};

static void scan_map(int mem, const struct map *m, struct hits *h)
{
	static uint8_t buf[CHUNK + 64];
	unsigned long at = m->from;
	size_t kept = 0;

	while (at < m->to) {
		size_t want = m->to - at < CHUNK ? m->to - at : CHUNK;
		ssize_t n = pread(mem, buf + kept, want, (off_t)at);
		const struct needle *x;

		if (n <= 0)
			return;
		h->bytes += (uint64_t)n;
		x = find(buf, kept + (size_t)n);
		if (x && m->locked && m->no_dump && !strcmp(x->what, "seed")) {
			h->secret++;
		} else if (x) {
			h->elsewhere++;
			(void)snprintf(h->where, sizeof(h->where), "%s in %s (%s)", x->what,
				       m->name, m->perms);
		}
		/* what lies across the edge of two reads */
		n += (ssize_t)kept;
		at += (size_t)n - kept;
		kept = n < 63 ? (size_t)n : 63;
		memmove(buf, buf + (size_t)n - kept, kept);
	}
}

static struct hits scan_process(pid_t pid)
{
	struct hits h = { 0 };
	char path[64];
	struct map m;
	FILE *f;
	int mem;

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "re");
	assert_true(mem >= 0 && f);
	while (next_map(f, &m)) {
		if (m.perms[0] != 'r' || !strncmp(m.name, "[v", 2))
			continue;
#ifdef __SANITIZE_ADDRESS__
		if (m.to - m.from > 1ul << 30) /* shadow: bits about bytes */
			continue;
#endif
		scan_map(mem, &m, &h);
	}
	(void)fclose(f);
	(void)close(mem);
	return h;
}

static bool file_clean(const char *path)
{
	static uint8_t buf[16 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? 0 : 1;
	size_t have = 0;

	while (n > 0 && have < sizeof(buf)) {
		n = read(fd, buf + have, sizeof(buf) - have);
		have += n > 0 ? (size_t)n : 0;
	}
	close_p(&fd);
	return !find(buf, have);
}

static unsigned files;

static int one_file(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	size_t n = strlen(path);

	(void)f;
	if (flag != FTW_F || !S_ISREG(st->st_mode) || (n > 4 && !strcmp(path + n - 4, ".key")))
		return 0;
	files++;
	if (file_clean(path))
		return 0;
	print_error("%s holds a secret\n", path);
	return 1;
}

/* --- the tree -------------------------------------------------------------------------------- */

static pid_t child_of(pid_t parent, const char *word)
{
	DIR *d = opendir("/proc");
	struct dirent *x;
	pid_t found = 0;

	while (d && (x = readdir(d)) && !found) {
		char path[300], stat[64] = "", line[256] = "";
		pid_t pid = atoi(x->d_name);
		FILE *f;
		int up = 0;

		(void)snprintf(path, sizeof(path), "/proc/%s/stat", x->d_name);
		f = pid > 0 ? fopen(path, "re") : NULL;
		if (f && fscanf(f, "%*d (%63[^)]) %*c %d", stat, &up) != 2)
			up = 0;
		if (f)
			(void)fclose(f);
		if (up != parent)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/cmdline", x->d_name);
		f = fopen(path, "re");
		if (f && fread(line, 1, sizeof(line) - 1, f) &&
		    memmem(line, sizeof(line), word, strlen(word)))
			found = pid;
		if (f)
			(void)fclose(f);
	}
	if (d)
		(void)closedir(d);
	return found;
}

/* Until cond holds, at most 20 s. */
#define wait_until(cond)                                                         \
	({                                                                       \
		int left_ = 4000;                                                \
		bool ok_;                                                        \
		while (!(ok_ = (cond)) && left_--)                               \
			(void)nanosleep(&(struct timespec){ 0, 5000000 }, NULL); \
		ok_;                                                             \
	})

static off_t size_of(const char *name)
{
	struct stat st = { 0 };
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return stat(path, &st) ? -1 : st.st_size;
}

static int ctl(const char *args)
{
	char cmd[PATH_MAX + 256];

	(void)snprintf(cmd, sizeof(cmd), "%s/treatyctl --socket %s/run/treaty.sock %s >%s/out 2>&1",
		       bin, dir, args, dir);
	return system(cmd);
}

static pid_t spawn(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	char file[80], log[80], exe[PATH_MAX + 16];
	pid_t pid = fork();

	if (pid)
		return pid;
	(void)snprintf(file, sizeof(file), "%s/treaty.conf", dir);
	(void)snprintf(log, sizeof(log), "%s/log", dir);
	(void)snprintf(exe, sizeof(exe), "%s/treatyd", bin);
	if (chdir(dir) || setrlimit(RLIMIT_CORE, &all) || !freopen(log, "a", stderr))
		_exit(125);
	(void)execl(exe, "treatyd", "-c", file, NULL);
	_exit(126);
}

static pid_t running; /* for the end, should a case fail */

struct tree {
	pid_t top, agents, signer;
};

static void end_running(void)
{
	if (running > 0 && !kill(running, SIGKILL))
		(void)waitpid(running, NULL, 0);
	running = 0;
}

/* Up, and a checkpoint is signed: the signer's state has its record. */
static struct tree start(void)
{
	struct tree t = { 0 };
	char cmd[200];

	end_running(); /* of a case that failed */
	t.top = spawn();

	running = t.top;
	if (!wait_until((t.agents = child_of(t.top, "agents")) &&
			(t.signer = child_of(t.top, "signer")) &&
			size_of("state/signer.state") >= 112 && ctl("status") == 0)) {
		(void)snprintf(cmd, sizeof(cmd), "tail -n 20 %s/log %s/out", dir, dir);
		fail_msg("the tree did not come up: %d", system(cmd));
	}
	return t;
}

static void nothing_in(pid_t pid, const char *who)
{
	static const char *const texts[] = { "cmdline", "environ" };
	struct hits h = scan_process(pid);
	char path[64];

	print_message("%s: %llu KiB read\n", who, (unsigned long long)h.bytes / 1024);
	assert_true(h.bytes > 100000);
	if (h.secret || h.elsewhere)
		fail_msg("%s holds a %s", who, h.where[0] ? h.where : "seed");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, texts[i]);
		assert_true(file_clean(path));
	}
}

static void test_memory(void **state)
{
	struct tree t = start();
	struct hits h;
	int st;

	(void)state;
	assert_int_equal(ctl("key rotate agreement --reason test"), 0);
	assert_int_equal(ctl("key list"), 0);
	/* the scan finds what is there: this process has them all, openly */
	assert_true(scan_process(getpid()).elsewhere > 0);
	nothing_in(t.top, "enforcer");
	nothing_in(t.agents, "agents");
	h = scan_process(t.signer);
	print_message("signer: %llu KiB read, %u locked places\n",
		      (unsigned long long)h.bytes / 1024, h.secret);
	if (h.elsewhere)
		fail_msg("signer: %s, outside its locked memory", h.where);
	assert_int_equal(h.secret, KEYS);
	assert_int_equal(kill(t.top, SIGTERM), 0);
	assert_int_equal(waitpid(t.top, &st, 0), t.top);
	running = 0;
	files = 0;
	assert_int_equal(nftw(dir, one_file, 8, FTW_PHYS), 0);
	assert_true(files >= 4); /* database, state, log, output */
}

/* --- death ----------------------------------------------------------------------------------- */

static int count_core(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	files += flag == FTW_F && !strncmp(path + f->base, "core", 4);
	return 0;
}

static unsigned cores(void)
{
	files = 0;
	(void)nftw(dir, count_core, 8, FTW_PHYS);
	return files;
}

/* Where this machine writes core files for others, the tree leaves none. */
static void test_core(void **state)
{
	pid_t pid = fork();
	unsigned before;
	int st;

	(void)state;
	if (pid == 0) {
		const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

		(void)signal(SIGABRT, SIG_DFL);
		if (chdir(dir) || setrlimit(RLIMIT_CORE, &all))
			_exit(1);
		(void)execl("/bin/sh", "sh", "-c", "kill -ABRT $$", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFSIGNALED(st));
	before = cores();
	print_message("control: %s, %u core files\n", WCOREDUMP(st) ? "dumped" : "not dumped",
		      before);
	for (int which = 0; which < 2; which++) {
		struct tree t = start();

		assert_int_equal(kill(which ? t.agents : t.signer, SIGSEGV), 0);
		assert_int_equal(waitpid(t.top, &st, 0), t.top);
		running = 0;
		assert_false(WIFSIGNALED(st) && WCOREDUMP(st));
		assert_int_equal(cores(), before);
	}
	if (nftw(dir, one_file, 8, FTW_PHYS))
		fail_msg("files: %s", strerror(errno));
}

static int setup(void **state)
{
	char self[PATH_MAX] = { 0 }, path[80];
	struct key_pair *k;
	uint8_t pub[32];
	FILE *f;

	(void)state;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
	    snprintf(bin, sizeof(bin), "%.4000s/../..", dirname(self)) < 0 || crypto_init() ||
	    !str_set(dir, "/tmp/test_key_mem.XXXXXX") || !mkdtemp(dir) || chmod(dir, 0755))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/treaty.conf", dir);
	f = fopen(path, "we");
	if (!f)
		return -1;
	(void)fprintf(f,
		      "[daemon]\nroles = bss,oss\nname = t\ndid = did:web:op.lab.example\n"
		      "user = 64000\nstate-dir = %s/state\nrun-dir = %s/run\n"
		      "log-level = debug\n[trust]\nissuers = "
		      "did:web:i.lab.example\n[ledger]\nceiling = 1000\n[keys]\n",
		      dir, dir);
	for (int i = 0; i < KEYS; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s.key", dir, names[i]);
		if (key_new(path, pub, NULL) || key_load(&k, path, NULL))
			return -1;
		add_needles(i, k->secret);
		(void)key_free(k);
		(void)fprintf(f, "%s = %s\n", names[i], path);
	}
	return fclose(f);
}

static int teardown(void **state)
{
	char cmd[100];
	end_running();

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_core),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
