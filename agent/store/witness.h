/* SPDX-License-Identifier: Apache-2.0 */
/* witness.h - what one side shows the other of its log, as text: C2SP tlog-witness add-checkpoint
 * bodies ("old N", a consistency proof, an empty line, a signed checkpoint), the judgement over
 * them, and C2SP tlog-proof files for evidence that is checked without a daemon. Pure functions
 * over bytes; the caller signs, stores and sends. */
#ifndef TREATY_WITNESS_H
#define TREATY_WITNESS_H

#include "agent/crypto/note.h"
#include "merkle.h"

enum {
	WITNESS_ASK_MAX = 16 + (MERKLE_PROOF_MAX - 2) * 45 + NOTE_MAX, /* bytes of a body */
	PROOF_FILE_MAX = 96 * 1024 + WITNESS_ASK_MAX,
};

struct witness_ask {
	uint64_t old; /* the size that the log believes its witness last saw */
	struct merkle_proof proof;
	struct note note; /* borrowed */
	struct checkpoint cp;
};

/* Writes a body: its length, or -ENOSPC. note is the whole signed note. */
int witness_ask_write(char *buf, size_t cap, uint64_t old, const struct merkle_proof *proof,
		      const char *note, size_t note_len) must_check;
/* -EINVAL naming what is malformed. */
int witness_ask_read(const char *body, size_t len, struct witness_ask *ret,
		     struct err *e) must_check;

/* What was last believed of a log; size 0 and origin "" = nothing yet. */
struct witness_known {
	char origin[NOTE_NAME_MAX];
	uint64_t size;
	struct hash root;
};

enum witness_verdict {
	WITNESS_GOOD,     /* extends what was known: cosign it */
	WITNESS_UNSIGNED, /* not, or wrongly, signed by the log's key */
	WITNESS_CONFLICT, /* old is not the size that is known: say that size */
	WITNESS_NO_PROOF, /* the proof does not lead from the known root to the new one */
	WITNESS_SHORTER,  /* signed, and smaller than what the same log signed before */
	WITNESS_FORK,     /* signed, of the known size, with another root */
	WITNESS_NEW_LOG,  /* signed, of another origin than the known one */
	WITNESS_VERDICTS_,
};

const char *witness_verdict_name(enum witness_verdict v);
/* q was read; log: the key of the side whose log it is. FORK is two histories proved by two
 * signatures over one size; SHORTER and NO_PROOF are signed statements that do not fit. The caller
 * decides whether a new origin may begin. */
enum witness_verdict witness_judge(const struct witness_known *known, const struct note_key *log,
				   const struct witness_ask *q);

enum {
	EVIDENCE_MAX = NOTE_MAX + 1 + WITNESS_ASK_MAX, /* bytes of a kept contradiction */
};

/* A kept contradiction: the note of the head that was known, an empty line, and the body that does
 * not fit. Both borrowed. */
struct witness_evidence {
	const char *note;
	size_t note_len;
	struct checkpoint known;
	struct witness_ask shown;
};

/* -EINVAL naming what is malformed. */
int witness_evidence_read(const char *text, size_t len, struct witness_evidence *ret,
			  struct err *e) must_check;
/* What it says if both heads are signed by the one side, which is the caller's question.
 * *ret_proved: it shows that to anybody. FORK: no tree has both heads. NEW_LOG: the side began
 * another log. SHORTER and NO_PROOF are proved to nobody else: an honest log signs small heads
 * before large ones, and a spoilt proof is not signed. GOOD: the heads fit. */
enum witness_verdict witness_evidence_judge(const struct witness_evidence *ev, bool *ret_proved);

/* One event with the proof that it is in a signed tree. */
struct proof_file {
	uint64_t index; /* seq - 1 */
	const char *note;
	size_t note_len;
	struct merkle_proof proof;
	char *body; /* of the event; malloc'd by proof_read() */
	size_t body_len;
};

/* Text, malloc'd and NUL-terminated, or NULL on ENOMEM. */
char *proof_write(const struct proof_file *p) must_check;
/* -EINVAL naming what is malformed. note is borrowed from text, body to be freed. */
int proof_read(const char *text, size_t len, struct proof_file *ret, struct err *e) must_check;
/* 0 when body at index is in the tree of the note's checkpoint; *ret gets it. -EBADMSG, -EINVAL.
 * Who signed the note is the caller's question. */
int proof_check(const struct proof_file *p, struct checkpoint *ret, struct err *e) must_check;

#endif
