/* SPDX-License-Identifier: Apache-2.0 */
/* treatyctl evidence: what a witness keeps of a log that was really forked, and what it keeps of
 * one that was not, in the hands of a stranger with the DID documents. Beside each proof stands
 * what looks like one. */
#include "witness_keys.h"

static char kept[160];

/* --- a side that lies ------------------------------------------------------------------------ */

static void on_lie(void *arg, int err, const struct a2a_result *r, const char *why)
{
	const json_t *part = json_array_get(r->data, 0);

	(void)err;
	(void)why;
	assert_string_equal(json_string_value(json_object_get(part, "verdict")), arg);
}

/* Lab 0 shows lab 1 its first `size` events as what follows `old`, and signs that; bent: with a
 * proof that leads nowhere. An honest daemon would have stopped. */
static void lie(uint64_t old, uint64_t size, bool bent, const char *verdict)
{
	struct note_key k = { .alg = NOTE_ED25519 };
	auto_free char *body = malloc(WITNESS_ASK_MAX + 1);
	struct a2a_send m = { .message_id = verdict, .extension = NEGO_EXTENSION };
	struct merkle_proof p = { .n = 0 };
	struct checkpoint cp;
	char text[NOTE_MAX], id[32];
	static unsigned n_lies;
	struct call *c = calloc(1, sizeof(*c));
	struct hash root;
	struct note n;
	uint8_t sig[64];
	int len;

	assert_true(body && c);
	assert_int_equal(witness_file_get(lab[0].dir, WITNESS_FILE, text, NULL), 0);
	assert_int_equal(note_parse(text, strlen(text), &n, NULL), 0);
	assert_int_equal(checkpoint_read(n.text, n.len, &cp, NULL), 0);
	must_set(k.name, cp.origin);
	memcpy(k.pub, lab[0].key.pub, 32);
	assert_int_equal(store_root_at(lab[0].store, size, &root, NULL), 0);
	if (old <= size)
		assert_int_equal(store_prove_consistency(lab[0].store, old, size, &p, NULL), 0);
	if (bent)
		p.node[0].b[0] ^= 1;
	len = merkle_checkpoint(text, sizeof(text), k.name, size, &root);
	ed25519_sign(sig, text, (size_t)len, lab[0].key.seed);
	text[len++] = '\n';
	len += note_line(&k, sig, 0, text + len, sizeof(text) - (size_t)len);
	assert_true(witness_ask_write(body, WITNESS_ASK_MAX, old, &p, text, (size_t)len) > 0);
	(void)snprintf(id, sizeof(id), "lie-%u", n_lies++);
	m.message_id = id;
	m.data = json_pack("[{s:s, s:s}]", "@type", NEGO_CHECKPOINT, "body", body);
	*c = (struct call){ .to = &lab[1],
			    .from = lab[0].did,
			    .body = a2a_build_send(&m, 1),
			    .fn = on_lie,
			    .arg = (void *)(uintptr_t)verdict };
	json_decref((json_t *)(uintptr_t)m.data);
	cut = false;
	deliver(c);
	cut = true;
	assert_int_equal(engine_turn(lab[1].side.engine), 0);
}

/* The one file that lab 1 keeps, as a path from the tests' directory. */
static void kept_path(void)
{
	char *name = strstr(lab[1].alarm, "evidence-");

	assert_int_equal(lab[1].alarms, 1);
	assert_non_null(name);
	(void)snprintf(kept, sizeof(kept), "1/%.60s", name);
	(void)snprintf(output, sizeof(output), "%s/%s", dir, kept);
	assert_int_equal(access(output, R_OK), 0);
}

static void check(const char *docs, int code, const char *text)
{
	char args[300];

	(void)snprintf(args, sizeof(args), "evidence check %s %s", kept, docs);
	want(args, code, text);
}

static uint64_t seen(void)
{
	return cosigned_size(0);
}

/* Both live until lab 0's log has that many events and lab 1 has seen them; then lab 0 is put back
 * to a state of before and grows otherwise, unheard, to `size` events. */
static void forked(uint64_t upto, uint64_t size)
{
	struct err e = { 0 };

	assert_int_equal(begin(&e), 0);
	assert_int_equal(run_s(3), 1);
	end();
	copy(&lab[0], "treaty.db", "old.db");
	copy(&lab[0], "signer.state", "old.state");
	assert_int_equal(begin(&e), 0);
	grow(&lab[0], (unsigned)(upto - store_durable(lab[0].store)));
	assert_int_equal(run_s(20), 1);
	assert_int_equal(seen(), upto);
	end();
	copy(&lab[0], WITNESS_FILE, "seen.note");
	copy(&lab[0], "old.db", "treaty.db");
	copy(&lab[0], "old.state", "signer.state");
	assert_int_equal(unlink(path_of(&lab[0], WITNESS_FILE)), 0);
	assert_int_equal(begin(&e), 0);
	cut = true;
	assert_int_equal(run_s(1), 1); /* at another time: another history */
	grow(&lab[0], (unsigned)(size - store_durable(lab[0].store)));
	assert_int_equal(run_s(3), 1);
	copy(&lab[0], "seen.note", WITNESS_FILE);
	assert_int_equal(lab[1].alarms, 0);
}

static void honest(uint64_t upto)
{
	struct err e = { 0 };

	assert_int_equal(begin(&e), 0);
	grow(&lab[0], (unsigned)(upto - store_durable(lab[0].store)));
	assert_int_equal(run_s(20), 1);
	assert_int_equal(seen(), upto);
	cut = true;
}

/* --- proofs ---------------------------------------------------------------------------------- */

static void test_same_size(void **state)
{
	char args[300];

	(void)state;
	forked(12, 12);
	lie(12, 12, false, "fork");
	kept_path();
	end();
	check(DOCS, 0, "two histories");
	check("--document 0.json", 0, "\"says\": \"fork\"");
	want("evidence list --state 1", 0, "fork  did:web:ent.example/");
	want("evidence list --state 1 --json", 0, "\"knownSize\": 12");
	want("evidence list --state 0", 0, "SAYS  LOG");
	want("evidence list --state nowhere", 4, "nowhere");
	(void)snprintf(args, sizeof(args), "evidence show %s", kept);
	want(args, 0, "known.names[1]                    did:web:op.example");
	(void)snprintf(args, sizeof(args), "evidence show %s" DOCS, kept);
	want(args, 0, "shown.signedBy.key                did:web:ent.example#checkpoint");
	want(args, 0, "known.cosignedBy[0].did           did:web:op.example");
	/* What does not convict. */
	check("", 2, "--document");
	check("--document 1.json", 1, "no --document holds a key that signed");
	want("evidence check 0.json" DOCS, 1, "type: \"TreatyWalletEvidence\" required");
	want("evidence check nothing" DOCS, 4, "nothing");
}

/* Larger than what was known, and of another history: its own proof says what it had before. */
static void test_larger(void **state)
{
	(void)state;
	forked(11, 23);
	lie(11, 23, false, "no_proof");
	kept_path();
	end();
	check(DOCS, 0, "two histories");
}

/* The same where the known tree was a whole one, whose root the proof does not hold. */
static void test_larger_whole(void **state)
{
	(void)state;
	forked(16, 23);
	lie(16, 23, false, "no_proof");
	kept_path();
	end();
	check(DOCS, 1, "no proof: the path between the heads");
}

static void test_new_log(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin(&e), 0);
	both_cosigned();
	end();
	(void)unlink(path_of(&lab[0], "treaty.db"));
	(void)unlink(path_of(&lab[0], WITNESS_FILE));
	assert_int_equal(begin(&e), 0);
	live();
	kept_path();
	end();
	check(DOCS, 0, "began another log");
}

/* --- what only looks like one ---------------------------------------------------------------- */

static void test_spoilt_proof(void **state)
{
	(void)state;
	honest(11);
	grow(&lab[0], 9);
	assert_int_equal(run_s(3), 1);
	lie(11, 20, true, "no_proof");
	kept_path();
	end();
	check(DOCS, 1, "no proof: the path between the heads");
	want("log prove --state 0 --from 11 --out answer.proof", 0, ""); /* the honest side's */
	want("log check-proof answer.proof --old 0/cosigned.note --document 0.json", 0,
	     "\"oldSize\": 11");
}

static void test_shorter(void **state)
{
	(void)state;
	honest(12);
	lie(12, 7, false, "shorter");
	kept_path();
	end();
	check(DOCS, 1, "no proof: an honest side signed both");
}

static void write_kept(const char *text)
{
	char path[256];
	FILE *f;

	must_set(kept, "made.txt");
	(void)snprintf(path, sizeof(path), "%s/%s", dir, kept);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void kept_text(char *to, size_t cap)
{
	char path[256];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, kept);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(to, 1, cap - 1, f);
	to[n] = '\0';
	(void)fclose(f);
}

/* Two heads of a log that only grew, put together by somebody with a grudge. */
static void test_harmless(void **state)
{
	char text[2 * NOTE_MAX], grew[5 * NOTE_MAX];

	(void)state;
	honest(11);
	want("log checkpoint --state 0 --out old.note", 0, "");
	cut = false;
	grow(&lab[0], 9);
	assert_int_equal(run_s(20), 1);
	end();
	want("log prove --state 0 --from 11 --out grew.txt", 0, "");
	must_set(kept, "old.note");
	kept_text(text, sizeof(text));
	must_set(kept, "grew.txt");
	kept_text(grew, sizeof(grew));
	(void)strcat(strcat(text, "\n"), grew);
	write_kept(text);
	check(DOCS, 1, "no contradiction");
	/* The same head twice. */
	must_set(kept, "old.note");
	kept_text(text, sizeof(text));
	(void)snprintf(grew, sizeof(grew), "%s\nold 11\n\n%s", text, text);
	write_kept(grew);
	check(DOCS, 1, "no contradiction");
}

/* Every byte matters but those of our own line, which only dates the head, and the size that the
 * other head claims to follow, which nobody signed. */
static void test_every_byte(void **state)
{
	char text[2 * NOTE_MAX], *old, *own;

	(void)state;
	forked(12, 12);
	lie(12, 12, false, "fork");
	kept_path();
	end();
	kept_text(text, sizeof(text));
	old = strstr(text, "\nold ");
	own = strstr(text, " did:web:op.example ");
	assert_true(old && own && own < old);
	for (size_t i = 0, n = strlen(text); i < n; i += 5) {
		char was = text[i];

		if (text + i > own && text + i < old + 8)
			continue;
		text[i] = was == 'A' ? 'B' : 'A';
		write_kept(text);
		check(DOCS, 1, "");
		text[i] = was;
	}
	write_kept(text);
	check(DOCS, 0, "two histories");
	text[strlen(text) - 20] = '\0';
	write_kept(text);
	check(DOCS, 1, "");
}

/* A rotation does not undo what was signed; a key that was lost proves nothing against its side,
 * but for a head that a cosigner saw before. */
static void test_keys_end(void **state)
{
	(void)state;
	forked(12, 12);
	lie(12, 12, false, "fork");
	kept_path();
	end();
	gen[0][0].expires.ms = EPOCH_MS + 1;
	publish();
	check(DOCS, 0, "two histories");
	check("--document 0.json", 0, "\"expires\": \"2001-");
	gen[0][0].revoked.ms = EPOCH_MS + 3600000; /* after lab 1 saw the known head */
	publish();
	check(DOCS, 1, "is compromised since");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, keys_setup, dir_drop)
	static const struct CMUnitTest tests[] = {
		T(test_same_size), T(test_larger),       T(test_larger_whole),
		T(test_new_log),   T(test_spoilt_proof), T(test_shorter),
		T(test_harmless),  T(test_every_byte),   T(test_keys_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
