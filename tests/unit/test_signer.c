/* SPDX-License-Identifier: Apache-2.0 */
/* signer: its rules, its state file, its keys. */
#include "signer_lab.h"

static void test_revisions_forward_only(void **state)
{
	struct ask one = want(SIGNER_AGREEMENT, 1, 1, 1), two = want(SIGNER_AGREEMENT, 1, 2, 2);
	struct ask fork = want(SIGNER_AGREEMENT, 1, 2, 3), other = want(SIGNER_AGREEMENT, 2, 1, 1);
	struct sign_rep a, b;

	(void)state;
	start();
	assert_int_equal(sign(&one, &a, "state: the log has not confirmed it"), -EACCES);
	assert_int_equal(attest(0, NULL), 0);
	assert_int_equal(sign(&one, &a, ""), 0);
	assert_int_equal(sign(&two, &a, ""), 0);
	assert_int_equal(sign(&two, &b, ""), 0); /* the same again: the same answer */
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(sign(&fork, &b, "revision: was signed with other content"), -EACCES);
	assert_int_equal(sign(&one, &b, "revision: a later one was signed"), -EACCES);
	assert_int_equal(sign(&other, &b, ""), 0);
	assert_int_equal(b.count, 5); /* three revisions, and what each lineage commits */
	/* the same after a restart, by the file alone */
	assert_int_equal(halt(), 0);
	start();
	assert_int_equal(attest(b.count, b.head), 0);
	assert_int_equal(sign(&fork, &b, "revision: was signed with other content"), -EACCES);
	assert_int_equal(sign(&two, &b, ""), 0);
	assert_memory_equal(a.signature, b.signature, 64);
}

#define ROOT_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
#define ROOT_B "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
#define COSIGN "cosignature/v1\ntime 1700000000\n"

static void test_checkpoints(void **state)
{
	static const struct {
		const char *text, *says;
	} step[] = {
		{ "log.example/a\n5\n" ROOT_A, "" },
		{ "log.example/a\n5\n" ROOT_B, "revision: was signed with other content" },
		{ "log.example/a\n4\n" ROOT_A, "revision: a later one was signed" },
		{ COSIGN "log.example/a\n5\n" ROOT_A, "" },
		{ COSIGN "log.example/a\n5\n" ROOT_B, "revision: was signed with other content" },
		{ "log.example/b\n0\n" ROOT_A, "" },
		{ "log.example/b\n0\n" ROOT_B, "revision: was signed with other content" },
		{ "log.example/a\n6\n" ROOT_B "extension\n", "" },
		{ "log.example/a\n07\n" ROOT_A, "data: is no checkpoint" },
		{ "log.example/a\n7\nAAAA\n", "data: is no checkpoint" },
		{ "log.example/a\n7\n" ROOT_A "\n", "data: is no checkpoint" },
		{ "\n7\n" ROOT_A, "data: is no checkpoint" },
		{ "cosignature/v1\ntime x\nlog.example/a\n7\n" ROOT_A, "data: is no checkpoint" },
	};
	struct sign_rep p;

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(step); i++) {
		struct sign_req q = { .kind = SIGNER_CHECKPOINT };
		int r;

		q.data_len = (uint32_t)strlen(step[i].text);
		memcpy(q.data, step[i].text, q.data_len);
		r = ask(&q, &p, step[i].says);
		assert_int_equal(r, step[i].says[0] ? -EACCES : 0);
		if (!r)
			assert_int_equal(crypto_sign_verify_detached(p.signature, q.data,
								     q.data_len, p.public),
					 0);
	}
	assert_int_equal(p.count, 3);
}

static void fill(struct sign_rep *ret, unsigned n)
{
	for (unsigned i = 1; i <= n; i++) {
		struct ask q = want(SIGNER_AGREEMENT, 1, i, (uint8_t)i);

		assert_int_equal(sign(&q, ret, ""), 0);
	}
}

/* The file deleted, restored from a backup, replaced, or torn. */
static void test_state_and_log(void **state)
{
	struct ask q = want(SIGNER_AGREEMENT, 1, 9, 9);
	struct sign_rep three, five;
	uint8_t head[32];

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	fill(&three, 3);
	q.revision = 4;
	assert_int_equal(sign(&q, &five, ""), 0);
	q.revision = 5;
	assert_int_equal(sign(&q, &five, ""), 0);
	assert_int_equal(halt(), 0);
	/* ahead of the log: a crash between our fsync and the log's commit */
	start();
	assert_int_equal(attest(three.count, three.head), 0);
	memcpy(head, three.head, 32);
	head[5] ^= 1;
	assert_int_equal(attest(three.count, head), -EACCES);
	q.revision = 6;
	assert_int_equal(sign(&q, &five, "state: the log has not confirmed it"), -EACCES);
	assert_int_equal(halt(), 0);
	/* torn in the last record, then a record short of the log */
	for (int cut = 1; cut <= 112; cut += 111) {
		assert_int_equal(truncate(conf.keys.state, (off_t)five.count * 112 - cut), 0);
		start();
		assert_int_equal(attest(five.count, five.head), -EACCES);
		assert_int_equal(attest(three.count, three.head), 0);
		assert_int_equal(halt(), 0);
	}
	assert_int_equal(unlink(conf.keys.state), 0);
	start();
	assert_int_equal(attest(three.count, three.head), -EACCES);
	q.revision = 10;
	assert_int_equal(sign(&q, &five, "state: the log has not confirmed it"), -EACCES);
}

/* Any flipped byte of any record is found at the start. */
static void test_damage(void **state)
{
	struct sign_rep p;
	int fd;

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	fill(&p, 2);
	assert_int_equal(halt(), 0);
	fd = open(conf.keys.state, O_RDWR | O_CLOEXEC);
	for (off_t at = 0; at < 224; at += 13) {
		uint8_t c;

		assert_int_equal(pread(fd, &c, 1, at), 1);
		c ^= 0x40;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
		start();
		assert_int_equal(signer_ping(&cl, NULL), -EPIPE);
		assert_int_not_equal(halt(), 0);
		c ^= 0x40;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
	}
	(void)close(fd);
	start();
	assert_int_equal(attest(p.count, p.head), 0);
}

static off_t state_size(void)
{
	struct stat st;

	assert_int_equal(stat(conf.keys.state, &st), 0);
	return st.st_size;
}

/* Zeros from..to of a state of n records. With it a signer that attests what the first `good` came
 * to, and signs on; good < 0: none that starts. */
static void cut_out(unsigned n, off_t from, off_t to, int good)
{
	static const uint8_t none[512];
	struct sign_rep at[9] = { 0 }, p;
	struct ask q = want(SIGNER_AGREEMENT, 1, 1, 1);
	int fd;

	(void)unlink(conf.keys.state);
	start();
	assert_int_equal(attest(0, NULL), 0);
	for (unsigned i = 2; i <= n; i++, q.revision++) { /* the first commits too: two records */
		assert_int_equal(sign(&q, &at[i], ""), 0);
		assert_int_equal(at[i].count, i);
	}
	assert_int_equal(halt(), 0);
	fd = open(conf.keys.state, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, none, (size_t)(to - from), from), to - from);
	(void)close(fd);
	start();
	if (good < 0) {
		assert_int_equal(signer_ping(&cl, NULL), -EPIPE);
		assert_int_not_equal(halt(), 0);
		return;
	}
	assert_int_equal(attest(at[n].count, at[n].head), (unsigned)good == n ? 0 : -EACCES);
	assert_int_equal(attest(at[good].count, at[good].head), 0);
	for (int i = 0; i < 3; i++, q.revision++)
		assert_int_equal(sign(&q, &p, ""), 0);
	assert_int_equal(p.count, good + 3);
	assert_int_equal(halt(), 0);
	start(); /* nothing of what was cut off stands behind what came since */
	assert_int_equal(attest(p.count, p.head), 0);
	assert_int_equal(halt(), 0);
}

/* The fifth record, 448 to 560, lies on two sectors: a crash in its write leaves one of them. */
static void test_room(void **state)
{
	static const struct {
		unsigned n;
		off_t from, to;
		int good;
	} t[] = {
		{ 5, 560, 1000, 5 },                     /* the room itself */
		{ 5, 448, 512, 4 },                      /* one sector */
		{ 5, 512, 560, 4 },                      /* the other */
		{ 5, 448, 560, 4 },  { 6, 448, 512, 4 }, /* two records in one write */
		{ 6, 512, 560, 4 },  { 6, 448, 560, 4 },
		{ 5, 448, 500, -1 }, /* no sector */
		{ 5, 513, 560, -1 }, { 4, 336, 400, -1 },
		{ 7, 448, 512, -1 }, /* one that others were written after */
		{ 7, 448, 560, -1 }, { 8, 0, 512, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		cut_out(t[i].n, t[i].from, t[i].to, t[i].good);
}

/* A sync of a file that got longer costs three of one that did not. */
static void test_longer_seldom(void **state)
{
	struct sign_rep p;
	off_t had;

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	fill(&p, 1);
	had = state_size();
	for (unsigned i = 2; i <= 584; i++) { /* 585 records, 65,520 bytes */
		struct ask q = want(SIGNER_AGREEMENT, 1, i, (uint8_t)i);

		assert_int_equal(sign(&q, &p, ""), 0);
		assert_int_equal(state_size(), had);
	}
	for (unsigned i = 585; i <= 588; i++) {
		struct ask q = want(SIGNER_AGREEMENT, 1, i, (uint8_t)i);

		assert_int_equal(sign(&q, &p, ""), 0);
		assert_int_equal(state_size(), 2 * had);
	}
	assert_int_equal(halt(), 0);
	start();
	assert_int_equal(attest(p.count, p.head), 0);
}

/* A bucket per key, and the refusal says when to come again. */
static void test_rate(void **state)
{
	struct ask q = want(SIGNER_PRESENTATION, 0, 0, 1);
	struct sign_bucket b = { 0 };
	struct err e = { 0 };
	struct texts t;
	struct sign_rep p;
	int ms = 0;

	(void)state;
	conf.keys.rate_per_s = 1;
	conf.keys.burst = 3;
	start();
	assert_int_equal(sign(&q, &p, "state: the log has not confirmed it"), -EACCES);
	assert_int_equal(attest(0, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sign(&q, &p, ""), 0);
	texts_of(&q, &t);
	assert_int_equal(put_text(q.kind, SIGN_DOCUMENT, t.doc), 0);
	assert_int_equal(signer_sign(&cl, &t.q, &p, &e), -EAGAIN);
	assert_int_equal(sscanf(e.text, "rate: above keys.rate, again in %d ms", &ms), 1);
	assert_in_range(ms, 1, 1000);
	q = want(SIGNER_WALLET, 0, 0, 1); /* another key */
	assert_int_equal(sign(&q, &p, ""), 0);
	/* the bucket alone, in its own time */
	for (int i = 0; i < 5; i++)
		assert_int_equal(sign_take(&b, 10, 5, 1000000), 0);
	assert_int_equal(sign_take(&b, 10, 5, 1000000), 100000);
	assert_int_equal(sign_take(&b, 10, 5, 1099999), 1);
	assert_int_equal(sign_take(&b, 10, 5, 1100000), 0);
	assert_int_equal(sign_take(&b, 10, 5, 1100000), 100000);
}

static void put(const char *path, const void *data, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, data, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void test_keyfile(void **state)
{
	char seed[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	uint8_t raw[32], pub[32];
	struct key_pair *k = NULL, *h = NULL;
	char path[80], link[80];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/k", dir);
	(void)snprintf(link, sizeof(link), "%s/l", dir);
	for (uint8_t i = 0; i < 32; i++)
		raw[i] = i;
	put(path, seed, 65, 0600);
	assert_int_equal(key_load(&h, path, NULL), 0);
	put(path, raw, 32, 0400);
	assert_int_equal(key_load(&k, path, NULL), 0);
	assert_memory_equal(h, k, sizeof(*k));
	h = key_free(h);
	k = key_free(k);
	assert_int_equal(key_new(path, pub, NULL), -EEXIST);
	for (mode_t m = 01; m < 0200; m <<= 1) { /* any bit beyond the owner's read and write */
		put(path, seed, 65, 0600 | m);
		assert_int_equal(key_load(&k, path, NULL), -EPERM);
	}
	for (size_t n = 0; n < 70; n++) { /* 32 raw, 64 or 65 hex: nothing else */
		bool good = n == 32 || n == 64 || n == 65;
		char text[70];

		memset(text, '7', sizeof(text));
		text[64] = '\n';
		put(path, text, n, 0600);
		assert_int_equal(key_load(&k, path, NULL), good ? 0 : -EINVAL);
		k = key_free(k);
	}
	seed[3] = 'g';
	put(path, seed, 65, 0600);
	assert_int_equal(key_load(&k, path, NULL), -EINVAL);
	assert_int_equal(chown(path, 64001, 64001), 0);
	assert_int_equal(key_load(&k, path, NULL), -EPERM);
	assert_int_equal(symlink(conf.keys.file[0], link), 0);
	assert_int_equal(key_load(&k, link, NULL), -ELOOP);
	assert_null(k);
}

/* A second signer on the same state is refused, and a key that is missing is named. */
static int act(enum signer_key_act a, const uint8_t public[32], struct key_rep *p, const char *says)
{
	struct key_req q = { .key = KEY_AGREEMENT, .act = a };
	struct err e = { 0 };
	int r;

	memcpy(q.public, public, 32);
	r = signer_key_act(&cl, &q, p, &e);
	if (says && strcmp(e.text, says))
		fail_msg("says \"%s\", not \"%s\"", e.text, says);
	return r;
}

/* The next key takes over for good; a compromised one never signs again, whatever the files say. */
static void test_key_life(void **state)
{
	struct ask q = want(SIGNER_AGREEMENT, 1, 1, 1);
	struct pubkey_rep one, two, none;
	struct sign_rep p;
	struct key_rep k;
	struct err e = { 0 };
	uint8_t pub[32];

	(void)state;
	(void)snprintf(conf.keys.next[KEY_AGREEMENT], sizeof(cfg_file), "%s/next", dir);
	assert_int_equal(key_new(conf.keys.next[KEY_AGREEMENT], pub, NULL), 0);
	start();
	assert_int_equal(signer_key(&cl, KEY_AGREEMENT, SIGNER_ACTIVE, &one, NULL), 0);
	assert_int_equal(signer_key(&cl, KEY_AGREEMENT, SIGNER_STANDBY, &two, NULL), 0);
	assert_memory_equal(two.public, pub, 32);
	assert_int_equal(act(SIGNER_ROTATE, pub, &k, "state: the log has not confirmed it"),
			 -EACCES);
	assert_int_equal(attest(0, NULL), 0);
	assert_int_equal(act(SIGNER_ROTATE, (const uint8_t *)"a key that nobody has loaded....", &k,
			     "key: is not loaded: keys.next-agreement"),
			 -ENOKEY);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(act(SIGNER_ROTATE, pub, &k, ""), 0);
		assert_int_equal(k.generation, 2);
		assert_int_equal(k.count, 1);
	}
	assert_int_equal(sign(&q, &p, ""), 0);
	assert_memory_equal(p.public, pub, 32);
	/* by the file alone, with the new key in either place, never by the old one alone */
	assert_int_equal(halt(), 0);
	start();
	assert_int_equal(attest(p.count, p.head), 0);
	assert_int_equal(signer_key(&cl, KEY_AGREEMENT, SIGNER_ACTIVE, &two, NULL), 0);
	assert_memory_equal(two.public, pub, 32);
	assert_int_equal(two.generation, 2);
	assert_int_equal(act(SIGNER_COMPROMISE, pub, &k, ""), 0);
	assert_int_equal(k.generation, 3);
	q.revision = 2;
	assert_int_equal(sign(&q, &p, "kind: this side has no such key"), -ENOKEY);
	assert_int_equal(act(SIGNER_ROTATE, pub, &k, "key: is compromised"), -EACCES);
	assert_int_equal(halt(), 0);
	start();
	assert_int_equal(attest(k.count, k.head), 0);
	assert_int_equal(signer_key(&cl, KEY_AGREEMENT, SIGNER_ACTIVE, &none, &e), -ENOKEY);
	assert_int_equal(sign(&q, &p, "kind: this side has no such key"), -ENOKEY);
	assert_int_equal(act(SIGNER_ROTATE, one.public, &k, ""), 0);
	assert_int_equal(k.generation, 4);
	assert_int_equal(sign(&q, &p, ""), 0);
	assert_memory_equal(p.public, one.public, 32);
	assert_int_equal(halt(), 0);
	/* the state names a key that is not there */
	memcpy(conf.keys.file[KEY_AGREEMENT], conf.keys.next[KEY_AGREEMENT], sizeof(cfg_file));
	start();
	assert_int_equal(signer_ping(&cl, NULL), -EPIPE);
	assert_int_not_equal(halt(), 0);
}

/* A key that the service manager hands over passes the same checks. */
static void test_credential(void **state)
{
	const char *const name = "credential:agreement.key";
	struct key_pair *k = NULL;
	struct err e = { 0 };
	char path[80];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/agreement.key", dir);
	put(path, "0123456789abcdef0123456789abcdef", 32, 0400);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_int_equal(key_load(&k, name, &e), -ENOENT);
	assert_non_null(strstr(e.text, "LoadCredential="));
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	assert_int_equal(key_load(&k, name, NULL), 0);
	k = key_free(k);
	put(path, "0123456789abcdef0123456789abcdef", 32, 0440);
	e = (struct err){ 0 };
	assert_int_equal(key_load(&k, name, &e), -EPERM);
	assert_string_equal(
		e.text, "credential:agreement.key: a key must have mode 0600 or 0400, not 0440");
	assert_int_equal(key_load(&k, "credential:none", NULL), -ENOENT);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void test_one_signer_and_missing_keys(void **state)
{
	struct ask q = want(SIGNER_WALLET, 1, 1, 1);
	struct msg_client first;
	struct sign_rep p;
	int end;
	pid_t one;

	(void)state;
	memset(conf.keys.file[KEY_WALLET], 0, sizeof(cfg_file));
	start();
	assert_int_equal(attest(0, NULL), 0);
	assert_int_equal(sign(&q, &p, "kind: this side has no such key"), -ENOKEY);
	first = cl;
	end = TAKE_FD(parent_end);
	one = pid;
	start();
	assert_int_equal(signer_ping(&cl, NULL), -EPIPE);
	assert_int_not_equal(halt(), 0);
	cl = first;
	parent_end = end;
	pid = one;
	assert_int_equal(signer_ping(&cl, NULL), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_revisions_forward_only),
		CASE(test_checkpoints),
		CASE(test_state_and_log),
		CASE(test_damage),
		CASE(test_room),
		CASE(test_longer_seldom),
		CASE(test_rate),
		CASE(test_keyfile),
		CASE(test_credential),
		CASE(test_key_life),
		CASE(test_one_signer_and_missing_keys),
	};

	if (geteuid() != 0)
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
