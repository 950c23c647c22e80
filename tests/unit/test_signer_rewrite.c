/* SPDX-License-Identifier: Apache-2.0 */
/* The signer's file, written anew: at every step one of two whole ones, and what the log confirms
 * stays what it was. */
#include "signer_here.h"

/* --- the file, written anew ------------------------------------------------------------------ */

/* n lineages by the state alone, a second apart, of ten wallets. */
static void many(struct signer_state *s, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		struct sign_commit c = { .wallet = { (uint8_t)(i % 10) } };
		struct sstate_new r[2] = {
			{ .kind = SIGN_STATE_AGREED, .named = T0 + i, .now.revision = 3 },
			{ .kind = SIGNER_AGREEMENT, .named = T0 + i, .now.revision = 1 },
		};

		memcpy(r[0].lineage, &i, sizeof(i));
		memcpy(r[1].lineage, &i, sizeof(i));
		memcpy(r[0].now.digest, &c, sizeof(c));
		r[1].now.digest[0] = 7;
		assert_int_equal(sstate_add(s, r, 2, NULL), 0);
	}
}

static struct signer_state *opened(void)
{
	struct signer_state *s = NULL;
	struct err e = { 0 };

	if (sstate_open(&s, conf.keys.state, &e))
		fail_msg("%s", e.text);
	return s;
}

/* Three horizons over 2,400 lineages: 300 are left, and 4,803 records of which few are of use. */
static struct signer_state *grown(void)
{
	struct signer_state *s = opened();
	uint32_t gone, left = 2400;

	many(s, 0, left);
	for (int i = 0; i < 3; i++, left -= gone)
		assert_int_equal(sstate_forget(s, UINT32_MAX, &gone, NULL), 0);
	assert_int_equal(left, 300);
	return s;
}

static void still_300(const struct signer_state *s)
{
	struct sign_commit c = { .wallet = { 9 } };

	assert_int_equal(sstate_lineages(s), 310);
	assert_int_equal(sstate_kept(s), 10);
	assert_int_equal(sstate_horizon(s), T0 + 2100);
	assert_int_equal(sstate_total(s, SIGN_STATE_AGREED).ever, 7200);
	assert_int_equal(sstate_wallet(s, SIGN_STATE_AGREED, &c).ever, 720);
	for (uint32_t i = 0; i < 2400; i++) {
		uint8_t lineage[SIGN_LINEAGE_LEN] = { 0 };

		memcpy(lineage, &i, sizeof(i));
		assert_int_equal(sstate_knows(s, SIGNER_AGREEMENT, lineage), i >= 2100);
		assert_int_equal(sstate_last(s, SIGNER_AGREEMENT, lineage).revision, i >= 2100);
		assert_int_equal(sstate_committed(s, SIGN_STATE_AGREED, lineage), i < 2100 ? 0 : 3);
	}
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_size;
}

/* By the rule, at a start: the counts that the log may have confirmed stay what they were. */
static void test_rewritten(void **state)
{
	struct signer_state *s = grown();
	uint8_t heads[SSTATE_HEADS + 2][32], h[32];
	uint64_t count = sstate_count(s);

	(void)state;
	assert_int_equal(count, 4803);
	for (unsigned i = 0; i < ARRAY_LEN(heads); i++)
		assert_int_equal(sstate_head(s, count - i, heads[i]), 0);
	s = sstate_free(s);
	s = opened();
	still_300(s);
	assert_int_equal(sstate_count(s), count + 1);
	assert_true(size_of(conf.keys.state) < 2000 * 112);
	for (unsigned i = 0; i <= SSTATE_HEADS; i++) {
		assert_int_equal(sstate_head(s, count - i, h), 0);
		assert_memory_equal(h, heads[i], 32);
	}
	assert_int_equal(sstate_head(s, count - SSTATE_HEADS - 1, h), -ESTALE);
	assert_int_equal(sstate_head(s, 1, h), -ESTALE);
	assert_int_equal(sstate_head(s, 0, h), 0); /* a log that begins anew */
	assert_int_equal(sstate_head(s, count + 2, h), -ERANGE);
	many(s, 2400,
	     2401); /* and on; written anew once more, it still tells what the first one did */
	assert_int_equal(sstate_count(s), count + 3);
	assert_int_equal(state_rewrite(&s, conf.keys.state, NULL), 0);
	assert_int_equal(sstate_count(s), count + 4);
	assert_int_equal(sstate_head(s, count + 3 - SSTATE_HEADS, h), 0);
	assert_memory_equal(h, heads[SSTATE_HEADS - 3], 32);
	assert_int_equal(sstate_head(s, count + 2 - SSTATE_HEADS, h), -ESTALE);
	s = sstate_free(s);
}

/* The log's word across it, by the signer's own answer. */
static void test_attested(void **state)
{
	struct signer_state *s = grown();
	uint64_t count = sstate_count(s);
	uint8_t near[32], far[32];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(sstate_head(s, count - 5, near), 0);
	assert_int_equal(sstate_head(s, 5, far), 0);
	s = sstate_free(s);
	reopen(count - 5, near);
	near[0] ^= 1;
	assert_int_equal(attest_here(count - 5, near, &e), -EACCES);
	assert_string_equal(e.text, "state: record 4798 is not the one the log knows of");
	e = (struct err){ 0 };
	assert_int_equal(attest_here(5, far, &e), -EACCES);
	assert_string_equal(e.text,
			    "state: has 4804 records and was written anew, the log knows of 5");
	assert_int_equal(attest_here(9999, far, &e), -EACCES);
}

/* Each call of a rewrite in turn fails, or is the last before the process is gone. */
static bool at_step(unsigned step, bool dies)
{
	struct signer_state *s = NULL;
	int status, ours = open(conf.keys.state, O_RDONLY | O_CLOEXEC);
	struct stat was, now;
	pid_t child;

	assert_int_equal(fstat(ours, &was), 0);
	child = fork();
	if (child == 0) {
		struct err e = { 0 };
		int r;

		fault.at = step;
		fault.dies = dies;
		r = sstate_open(&s, conf.keys.state, &e);
		s = sstate_free(s);
		_exit(fault.seen < step ? 2 : r ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(stat(conf.keys.state, &now), 0);
	if (WEXITSTATUS(status) != 2 && dies)
		assert_int_equal(WEXITSTATUS(status), 9);
	/* one name, one of the two files, each of them whole */
	assert_true(now.st_ino == was.st_ino ? now.st_size == was.st_size
					     : now.st_size < was.st_size / 2);
	(void)close(ours);
	return WEXITSTATUS(status) != 2;
}

static void test_each_step(void **state)
{
	unsigned steps = 0;

	(void)state;
	for (int dies = 0; dies < 2; dies++)
		for (unsigned step = 1;; step++) {
			struct signer_state *s;
			bool more;

			(void)unlink(conf.keys.state);
			s = grown();
			s = sstate_free(s);
			more = at_step(step, dies);
			s = opened();
			still_300(s);
			assert_int_equal(sstate_count(s), 4804);
			s = sstate_free(s);
			steps += more;
			if (!more)
				break;
		}
	print_message("%u steps\n", steps);
	assert_true(steps >= 2 * 7);
}

/* A first part was whole before it had the name: whatever is missing or other is damage. What came
 * behind it may be torn as before. */
static void test_first_part(void **state)
{
	struct signer_state *s = grown();
	struct err e = { 0 };
	uint64_t part;
	off_t size;
	int fd;

	(void)state;
	s = sstate_free(s);
	s = opened();
	part = s->part.records;
	many(s, 2400, 2401);
	s = sstate_free(s);
	size = size_of(conf.keys.state);
	fd = open(conf.keys.state, O_RDWR | O_CLOEXEC);
	for (off_t at = 0; at < (off_t)part * 112; at += 112 * 37 + 5) {
		uint8_t c;

		assert_int_equal(pread(fd, &c, 1, at), 1);
		c ^= 0x10;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
		assert_int_equal(sstate_open(&s, conf.keys.state, &e), -EBADMSG);
		c ^= 0x10;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
	}
	(void)close(fd);
	assert_int_equal(truncate(conf.keys.state, (off_t)part * 112 + 224 - 7), 0);
	s = opened(); /* the second of the last write */
	assert_int_equal(sstate_count(s), 4805);
	s = sstate_free(s);
	assert_true(size > (off_t)part * 112);
	assert_int_equal(truncate(conf.keys.state, (off_t)part * 112 - 7), 0);
	assert_int_equal(sstate_open(&s, conf.keys.state, &e), -EBADMSG);
	assert_int_equal(truncate(conf.keys.state, 112), 0);
	assert_int_equal(sstate_open(&s, conf.keys.state, &e), -EBADMSG);
}

/* --- older files, and older signers ---------------------------------------------------------- */

/* As a signer wrote it that knew no times: the agreements of eight(), nothing else. */
static void old_file(void)
{
	uint8_t head[32] = { 0 };
	int fd = open(conf.keys.state, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	for (uint8_t i = 0; i < 8; i++) {
		struct record r = { .tag = RECORD_OLD, .what = SIGNER_AGREEMENT, .revision = 1 };

		names[i] = timed(T0 - 7200 + 60 * i, i);
		sha256(names[i], strlen(names[i]), r.lineage);
		memset(r.digest, 5, sizeof(r.digest));
		record_seal(&r, head);
		memcpy(head, r.chain, sizeof(head));
		assert_int_equal(write(fd, &r, sizeof(r)), sizeof(r));
	}
	(void)close(fd);
}

static void test_old_file(void **state)
{
	struct horizon_rep h = { 0 };
	uint32_t tag = RECORD_OLD;

	(void)state;
	old_file();
	reopen(0, NULL);
	assert_int_equal(sstate_count(sg.state), 8);
	assert_int_equal(sstate_kept(sg.state), 8); /* no times: all of them stay */
	for (uint8_t i = 0; i < 8; i++) {
		struct ask x = of(i, 1, 1);

		says(&x, -EACCES, "revision: was signed with other content");
	}
	for (uint8_t i = 0; i < 6; i++) { /* signed again, they have one */
		struct ask x = of(i, 2, 2);

		says(&x, 0, "");
	}
	assert_int_equal(sstate_kept(sg.state), 2 + 1);
	assert_int_equal(horizon_at(T0 - SIGNER_MARGIN_S, &h, NULL), 0);
	assert_int_equal(h.gone, 3);
	assert_int_equal(state_rewrite(&sg.state, conf.keys.state, NULL), 0);
	for (uint8_t i = 0; i < 8; i++) {
		struct ask x = of(i, i < 6 ? 2 : 1, 9);

		says(&x, i < 3 ? -ESTALE : -EACCES,
		     i < 3 ? FORGOT : "revision: was signed with other content");
	}
	reopen(0, NULL);
	assert_int_equal(pread(sg.state->fd, &tag, sizeof(tag), 0), sizeof(tag));
	assert_int_not_equal(tag, RECORD_OLD); /* an older signer finds its first record damaged */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		HERE(test_rewritten),  HERE(test_attested), HERE(test_each_step),
		HERE(test_first_part), HERE(test_old_file),
	};

	if (geteuid() != 0)
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
