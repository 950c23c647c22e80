/* SPDX-License-Identifier: Apache-2.0 */
/* signer_here.h - a signer in the test's own process: its clock is the test's, and each call that
 * its file makes can fail or be the last one. */
#ifndef TREATY_TEST_SIGNER_HERE_H
#define TREATY_TEST_SIGNER_HERE_H

#include "agent/signer/signer_file.h"
#include "agent/signer/signer_int.h"
#include "signer_lab.h"

#define T0     1700000000u /* where the clock of these tests begins */
#define FORGOT "lineageId: named before the signer's horizon, and none it knows"

/* --- the clock, and what a file's calls come to ---------------------------------------------- */

static int64_t clock_s; /* 0: the real one */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = __real_clock_gettime(id, ts);

	if (clock_s && id == CLOCK_REALTIME)
		ts->tv_sec = clock_s;
	return r;
}

/* The n-th of these calls fails, or is the last thing that happens. 0: none does. */
static struct {
	unsigned at, seen;
	bool dies;
} fault;

static inline bool hit(void)
{
	if (!fault.at || ++fault.seen != fault.at)
		return false;
	if (fault.dies)
		_exit(9);
	errno = EIO;
	return true;
}

#define SEAM(name, args, ...)                                   \
	int __real_##name args;                                 \
	int __wrap_##name args;                                 \
	int __wrap_##name args                                  \
	{                                                       \
		return hit() ? -1 : __real_##name(__VA_ARGS__); \
	}
SEAM(fsync, (int fd), fd)
SEAM(rename, (const char *from, const char *to), from, to)
SEAM(unlink, (const char *path), path)

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
/* One that is cut short leaves half of it. */
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	if (fault.at && fault.dies && fault.seen + 1 == fault.at)
		(void)!__real_write(fd, p, n / 2);
	return hit() ? -1 : __real_write(fd, p, n);
}

/* --- a signer in this process ---------------------------------------------------------------- */

static struct signer sg;

static inline int setup_here(void **state)
{
	int r = setup(state);

	clock_s = T0;
	memset(names, 0, sizeof(names));
	memset(&fault, 0, sizeof(fault));
	conf.keys.rate_per_s = conf.keys.burst = 100000;
	conf.ledger.ceiling.minor = 1000000;
	/* in memory: what is tested is not how long a sync takes */
	(void)snprintf(conf.keys.state, sizeof(cfg_file), "/dev/shm/%s.state", dir + 5);
	return r;
}

static inline int teardown_here(void **state)
{
	char beside[sizeof(cfg_file) + 8];

	signer_close(&sg);
	clock_s = 0;
	(void)snprintf(beside, sizeof(beside), "%s.new", conf.keys.state);
	(void)unlink(beside);
	(void)unlink(conf.keys.state);
	return teardown(state);
}

static inline int serve_row(uint16_t type, const void *req, void *rep, struct err *e)
{
	int fd = -1;

	for (size_t i = 0; i < SIGNER_ROWS; i++)
		if (signer_rows[i].type == type)
			return signer_rows[i].fn(&sg, req, rep, &fd, e);
	return -EPROTO;
}

static inline void show(uint32_t kind, enum sign_part part, const char *text)
{
	struct sign_text *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	*t = (struct sign_text){
		.kind = kind, .part = part, .first = 1, .len = (uint32_t)strlen(text)
	};
	memcpy(t->data, text, t->len);
	assert_int_equal(serve_row(MSG_SIGN_TEXT, t, NULL, NULL), 0);
	free(t);
}

static inline int sign_here(const struct ask *x, struct sign_rep *p, struct err *e)
{
	struct texts t;

	texts_of(x, &t);
	if (t.about[0])
		show(x->kind, SIGN_ABOUT, t.about);
	show(x->kind, SIGN_DOCUMENT, t.doc);
	return serve_row(MSG_SIGN, &t.q, p, e);
}

static inline void says(const struct ask *x, int code, const char *text)
{
	struct err e = { 0 };
	struct sign_rep p;
	int r = sign_here(x, &p, &e);

	if (r != code || (text && strcmp(e.text, text)))
		fail_msg("lineage %d: %d \"%s\", not %d", x->lineage, r, e.text, code);
}

static inline int attest_here(uint64_t count, const uint8_t *head, struct err *e)
{
	struct attest_req q = { .count = count };
	struct attest_rep p;

	if (head)
		memcpy(q.head, head, 32);
	return serve_row(MSG_ATTEST, &q, &p, e);
}

static inline void reopen(uint64_t count, const uint8_t *head)
{
	struct err e = { 0 };

	signer_close(&sg);
	if (signer_open(&sg, &conf, &e))
		fail_msg("%s", e.text);
	if (attest_here(count, head, &e))
		fail_msg("%s", e.text);
}

static inline int horizon_at(uint64_t before, struct horizon_rep *p, struct err *e)
{
	const struct horizon_req q = { before };

	return serve_row(MSG_HORIZON, &q, p, e);
}

static inline char *timed(uint64_t s, unsigned random)
{
	static char buf[256][40];
	static unsigned next;
	char *b = buf[next++ % 256];

	(void)snprintf(b, sizeof(buf[0]), "agr-%011llx%016x", (unsigned long long)s * 1000, random);
	return b;
}

static inline struct ask of(uint8_t lineage, uint64_t revision, uint8_t content)
{
	return (struct ask){ SIGNER_AGREEMENT, lineage, revision, content, 10, 1 };
}

#define HERE(f) cmocka_unit_test_setup_teardown(f, setup_here, teardown_here)

#endif
