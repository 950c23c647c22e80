/* SPDX-License-Identifier: Apache-2.0 */
/* Signed notes, checkpoints, the judgement of a witness, proof files: the C2SP example, tables of
 * what is refused, each beside the twin that is accepted, and every changed byte of a good text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <cmocka.h>

#include "agent/crypto/crypto.h"
#include "agent/store/witness.h"

static char *read_file(const char *path)
{
	char *text = calloc(1, 4096);
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_true(fread(text, 1, 4095, f) > 0);
	(void)fclose(f);
	return text;
}

static void test_c2sp_example(void **state)
{
	auto_free char *text = read_file("tests/vectors/c2sp/note-vector.txt");
	auto_free char *vkey = read_file("tests/vectors/c2sp/note-vector.vkey");
	char again[NOTE_VKEY_MAX];
	struct note_key k;
	struct note n;

	(void)state;
	vkey[strcspn(vkey, "\n")] = 0;
	assert_int_equal(note_key_parse(vkey, &k), 0);
	assert_string_equal(k.name, "example.com/foo");
	assert_int_equal(note_key_format(&k, again), 0);
	assert_string_equal(again, vkey);
	assert_int_equal(note_parse(text, strlen(text), &n, NULL), 0);
	assert_memory_equal(n.text, "This is an example message.\n", n.len);
	assert_int_equal(note_verify(&n, &k, NULL), 0);
	vkey[strlen("example.com/foo+")] ^= 1;
	assert_int_equal(note_key_parse(vkey, &k), -EINVAL);
	for (size_t i = 0; text[i]; i++) {
		text[i] ^= 4;
		if (!note_parse(text, strlen(text), &n, NULL))
			assert_int_not_equal(note_verify(&n, &k, NULL), 0);
		text[i] ^= 4;
	}
}

/* Of 256 bytes exactly 64 are letters, whatever stands beside them: a value has one spelling. */
static void test_base64_alphabet(void **state)
{
	char text[5] = "AAAA";
	uint8_t raw[4];

	(void)state;
	for (int at = 0; at < 4; at++) {
		unsigned std = 0, url = 0;

		for (int c = 0; c < 256; c++) {
			text[at] = (char)c;
			std += base64_decode(text, 4, raw, sizeof(raw)) == 3;
			url += base64url_decode(text, 4, raw, sizeof(raw)) == 3;
		}
		assert_int_equal(std, 64);
		assert_int_equal(url, 64);
		text[at] = 'A';
	}
}

/* --- a log and its witness ------------------------------------------------------------------- */

enum { LEAVES = 40 };

static struct hash leaves[LEAVES];
static uint8_t seed[2][32];
static struct note_key log_key = { "did:web:a.example/log", NOTE_ED25519, { 0 } };

static int leaf_at(void *arg, uint64_t i, bool block, struct hash *ret)
{
	const struct hash *l = arg;

	(void)block;
	*ret = l[i];
	return 0;
}

static struct hash root_of(const struct hash *l, uint64_t size)
{
	struct merkle m = { .size = 0 };

	for (uint64_t i = 0; i < size; i++)
		merkle_append(&m, &l[i]);
	return merkle_root(&m);
}

/* The signed checkpoint of the first `size` of these leaves. */
static int sign(const struct hash *l, uint64_t size, const char *origin, int by, char *out,
		size_t cap)
{
	struct hash root = root_of(l, size);
	uint8_t sig[64];
	int n = merkle_checkpoint(out, cap, origin, size, &root);

	assert_true(n > 0);
	ed25519_sign(sig, out, (size_t)n, seed[by]);
	out[n++] = '\n';
	return n + note_line(&log_key, sig, 0, out + n, cap - (size_t)n);
}

static enum witness_verdict ask(const struct witness_known *known, const struct hash *l,
				uint64_t old, uint64_t size, const char *origin, int by)
{
	char note[NOTE_MAX], body[WITNESS_ASK_MAX];
	int n = sign(l, size, origin, by, note, sizeof(note));
	struct merkle_proof p = { .n = 0 };
	struct witness_ask q;
	struct err e = { 0 };

	if (old <= size)
		assert_int_equal(
			merkle_prove_consistency(leaf_at, (void *)(uintptr_t)l, old, size, &p), 0);
	n = witness_ask_write(body, sizeof(body), old, &p, note, (size_t)n);
	assert_true(n > 0);
	if (witness_ask_read(body, (size_t)n, &q, &e))
		fail_msg("%s", e.text);
	assert_int_equal(q.old, old);
	assert_int_equal(q.cp.size, size);
	return witness_judge(known, &log_key, &q);
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(crypto_init(), 0);
	for (uint64_t i = 0; i < LEAVES; i++)
		leaves[i] = hash_leaf(&i, sizeof(i));
	memset(seed[0], 7, 32);
	memset(seed[1], 8, 32);
	ed25519_public(seed[0], log_key.pub);
	return 0;
}

static void test_judge(void **state)
{
	static const char origin[] = "did:web:a.example/log";
	struct witness_known none = { .size = 0 }, k = { .size = 12 };
	struct hash other[LEAVES];

	(void)state;
	(void)snprintf(k.origin, sizeof(k.origin), "%s", origin);
	k.root = root_of(leaves, 12);
	memcpy(other, leaves, sizeof(other));
	other[5].b[0] ^= 1;
	assert_int_equal(ask(&none, leaves, 0, 12, origin, 0), WITNESS_GOOD);
	assert_int_equal(ask(&none, leaves, 0, 12, origin, 1), WITNESS_UNSIGNED);
	assert_int_equal(ask(&none, leaves, 3, 12, origin, 0), WITNESS_CONFLICT);
	for (uint64_t size = 12; size < LEAVES; size++)
		assert_int_equal(ask(&k, leaves, 12, size, origin, 0), WITNESS_GOOD);
	assert_int_equal(ask(&k, other, 12, 12, origin, 0), WITNESS_FORK);
	assert_int_equal(ask(&k, other, 12, 20, origin, 0), WITNESS_NO_PROOF);
	assert_int_equal(ask(&k, leaves, 12, 11, origin, 0), WITNESS_SHORTER);
	assert_int_equal(ask(&k, leaves, 10, 11, origin, 0), WITNESS_CONFLICT);
	assert_int_equal(ask(&k, leaves, 13, 20, origin, 0), WITNESS_CONFLICT);
	assert_int_equal(ask(&k, leaves, 0, 20, "did:web:a.example/two", 0), WITNESS_NEW_LOG);
	assert_int_equal(ask(&k, leaves, 12, 20, origin, 1), WITNESS_UNSIGNED);
}

/* A cosignature is a second line of the same note, over the time and the text. */
static void test_cosignature(void **state)
{
	struct note_key w = { "did:web:b.example", NOTE_COSIGNATURE, { 0 } }, stranger = w;
	char note[NOTE_MAX], msg[NOTE_MAX];
	uint64_t when = 0;
	uint8_t sig[64];
	struct note n;
	int len, m;

	(void)state;
	ed25519_public(seed[1], w.pub);
	memset(stranger.pub, 1, 32);
	len = sign(leaves, 9, "did:web:a.example/log", 0, note, sizeof(note));
	assert_int_equal(note_parse(note, (size_t)len, &n, NULL), 0);
	assert_int_equal(note_verify(&n, &w, NULL), -ENOKEY);
	m = note_cosign_text(n.text, n.len, 1700000000, msg, sizeof(msg));
	assert_true(m > 0);
	ed25519_sign(sig, msg, (size_t)m, seed[1]);
	len += note_line(&w, sig, 1700000000, note + len, sizeof(note) - (size_t)len);
	assert_int_equal(note_parse(note, (size_t)len, &n, NULL), 0);
	assert_int_equal(note_verify(&n, &log_key, NULL), 0);
	assert_int_equal(note_verify(&n, &w, &when), 0);
	assert_int_equal(when, 1700000000);
	assert_int_equal(note_verify(&n, &stranger, NULL), -ENOKEY);
	/* The same line with another time. */
	len = sign(leaves, 9, "did:web:a.example/log", 0, note, sizeof(note));
	len += note_line(&w, sig, 1700000001, note + len, sizeof(note) - (size_t)len);
	assert_int_equal(note_parse(note, (size_t)len, &n, NULL), 0);
	assert_int_equal(note_verify(&n, &w, &when), -EBADMSG);
}

static void test_malformed(void **state)
{
	static const char *const notes[] = {
		"",
		"\n",
		"a\n",
		"a\n\n",
		"a\n\nx\n",
		"a\n\n\xe2\x80\x94 n\n",
		"a\n\n\xe2\x80\x94 n YQ\n",
		"a\n\n\xe2\x80\x94 n YQ==",
		"a\n\n- n YQ==\n",
		"a\n\n\xe2\x80\x94  YQ==\n",
		"a\n\n\xe2\x80\x94 n+m YQ==\n",
		"a\x01\n\n\xe2\x80\x94 n YQ==\n",
		"a\xff\n\n\xe2\x80\x94 n YQ==\n",
		"\xed\xa0\x80\n\n\xe2\x80\x94 n YQ==\n",
		"\xc0\x80\n\n\xe2\x80\x94 n YQ==\n",
	};
	static const char *const points[] = {
		"",
		"o\n",
		"o\n1\n",
		"o\n01\n",
		"o\n-1\nAA==\n",
		"o\n1\nAA==\n",
		"\n1\n",
		"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
		"o\n9223372036854775808\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
	};
	static const char twin[] = "a\n\n\xe2\x80\x94 n YQ==\n";
	static const char point[] = "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
	struct checkpoint c;
	struct note n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(notes); i++)
		if (note_parse(notes[i], strlen(notes[i]), &n, NULL) != -EINVAL)
			fail_msg("note %zu was read", i);
	for (size_t i = 0; i < ARRAY_LEN(points); i++)
		if (checkpoint_read(points[i], strlen(points[i]), &c, NULL) != -EINVAL)
			fail_msg("checkpoint %zu was read", i);
	assert_int_equal(note_parse(twin, strlen(twin), &n, NULL), 0);
	assert_int_equal(checkpoint_read(point, strlen(point), &c, NULL), 0);
	assert_int_equal(checkpoint_read("o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nx\n",
					 strlen(point) + 2, &c, NULL),
			 0);
}

/* Every event of a tree, proved in a file; then each byte of one file changed. */
static void test_proof_file(void **state)
{
	char note[NOTE_MAX];
	int len = sign(leaves, LEAVES, "did:web:a.example/log", 0, note, sizeof(note));
	struct checkpoint cp;
	char *text = NULL;

	(void)state;
	for (uint64_t i = 0; i < LEAVES; i++) {
		struct proof_file p = { .index = i,
					.note = note,
					.note_len = (size_t)len,
					.body = (char *)&i,
					.body_len = sizeof(i) };
		struct proof_file q;

		free(text);
		assert_int_equal(merkle_prove_inclusion(leaf_at, leaves, i, LEAVES, &p.proof), 0);
		text = proof_write(&p);
		assert_non_null(text);
		assert_int_equal(proof_read(text, strlen(text), &q, NULL), 0);
		assert_int_equal(proof_check(&q, &cp, NULL), 0);
		assert_int_equal(cp.size, LEAVES);
		q.index ^= 1;
		assert_int_equal(proof_check(&q, &cp, NULL), -EBADMSG);
		free(q.body);
	}
	for (size_t i = 0, n = strlen(text); i < n; i++) {
		struct proof_file q;
		struct note sn;

		text[i] ^= 1;
		if (!proof_read(text, n, &q, NULL)) {
			/* What still proves inclusion is no longer signed. */
			if (!proof_check(&q, &cp, NULL)) {
				assert_int_equal(note_parse(q.note, q.note_len, &sn, NULL), 0);
				assert_int_not_equal(note_verify(&sn, &log_key, NULL), 0);
			}
			free(q.body);
		}
		text[i] ^= 1;
	}
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_alphabet), cmocka_unit_test(test_c2sp_example),
		cmocka_unit_test(test_judge),           cmocka_unit_test(test_cosignature),
		cmocka_unit_test(test_malformed),       cmocka_unit_test(test_proof_file),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
