/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a signed note, an add-checkpoint body and a proof file: what is read is written
 * again alike, and what nobody signed proves nothing. */
#include "agent/store/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note_of(const char *text, size_t len)
{
	struct note_key k = { .name = "k", .alg = NOTE_COSIGNATURE, .pub = { 0x42 } };
	struct checkpoint cp;
	uint64_t when;
	struct note n;

	if (note_parse(text, len, &n, NULL))
		return;
	if (n.len + n.sigs_len + 1 != len || !note_verify(&n, &k, &when))
		__builtin_trap();
	if (!checkpoint_read(n.text, n.len, &cp, NULL) && cp.size > INT64_MAX)
		__builtin_trap();
}

static void ask_of(const char *text, size_t len)
{
	static char again[WITNESS_ASK_MAX + 1];
	struct note_key k = { .name = "k", .alg = NOTE_ED25519, .pub = { 0x42 } };
	struct witness_known known = { .origin = "o", .size = 3 };
	struct witness_ask q;
	const char *note;
	int n;

	if (witness_ask_read(text, len, &q, NULL))
		return;
	if (witness_judge(&known, &k, &q) != WITNESS_UNSIGNED)
		__builtin_trap();
	note = q.note.text;
	n = witness_ask_write(again, sizeof(again), q.old, &q.proof, note,
			      (size_t)(text + len - note));
	if (n != (int)len || memcmp(again, text, len) != 0)
		__builtin_trap();
}

static void proof_of(const char *text, size_t len)
{
	struct checkpoint cp;
	struct proof_file f;
	char *again;

	if (proof_read(text, len, &f, NULL))
		return;
	again = proof_write(&f);
	if (!again || strlen(again) != len || memcmp(again, text, len) != 0)
		__builtin_trap();
	(void)!proof_check(&f, &cp, NULL);
	free(again);
	free(f.body);
}

static void evidence_of(const char *text, size_t len)
{
	struct witness_evidence ev;
	enum witness_verdict v;
	bool proved;

	if (witness_evidence_read(text, len, &ev, NULL))
		return;
	if (ev.note != text || text[ev.note_len] != '\n')
		__builtin_trap();
	v = witness_evidence_judge(&ev, &proved);
	if (proved != (v == WITNESS_FORK || v == WITNESS_NEW_LOG))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	evidence_of((const char *)data, size);
	note_of((const char *)data, size);
	ask_of((const char *)data, size);
	proof_of((const char *)data, size);
	return 0;
}
