/* SPDX-License-Identifier: Apache-2.0 */
/* note.h - C2SP signed notes, checkpoints and cosignatures: text whose last line feed is followed
 * by an empty line and by lines "- NAME base64(key id || signature)" (an em dash). A checkpoint is
 * a note "ORIGIN\nSIZE\nbase64(ROOT)\n". Nothing here allocates; every value has one spelling. */
#ifndef TREATY_CRYPTO_NOTE_H
#define TREATY_CRYPTO_NOTE_H

#include "treaty/err.h"

enum {
	NOTE_MAX = 4096,     /* bytes of a whole note */
	NOTE_NAME_MAX = 192, /* key name or origin, with its NUL */
	NOTE_SIGS_MAX = 16,
	NOTE_VKEY_MAX = NOTE_NAME_MAX + 64,
	NOTE_LINE_MAX = NOTE_NAME_MAX + 128, /* one signature line with its line feed and NUL */
};

/* How the signature of a key is made: over the text, or over "cosignature/v1\ntime T\n" and the
 * text. The number is the algorithm's in the key id. */
enum note_alg { NOTE_ED25519 = 1, NOTE_COSIGNATURE = 4 };

struct note_key {
	char name[NOTE_NAME_MAX]; /* not empty, no white space, no '+' */
	enum note_alg alg;
	uint8_t pub[32];
};

/* A note taken apart; text (with its last line feed) and signatures are borrowed. */
struct note {
	const char *text, *sigs;
	size_t len, sigs_len;
};

struct checkpoint {
	char origin[NOTE_NAME_MAX];
	uint64_t size; /* leaves */
	uint8_t root[32];
};

/* First four bytes of SHA-256(name || "\n" || algorithm || key), big endian. */
uint32_t note_key_id(const struct note_key *k);
/* "NAME+hex(id)+base64(algorithm || key)". Parse: -EINVAL, also when the id is of another key. */
int note_key_parse(const char *vkey, struct note_key *ret) must_check;
int note_key_format(const struct note_key *k, char out[NOTE_VKEY_MAX]) must_check;
/* -EINVAL for a name that no key may have. */
int note_name_check(const char *name) must_check;

/* -EINVAL unless well formed UTF-8 without control characters, with 1..NOTE_SIGS_MAX lines. */
int note_parse(const char *note, size_t len, struct note *ret, struct err *e) must_check;
/* 0 when a line of this key verifies; -ENOKEY when no line is of it; -EBADMSG when one is and does
 * not verify. *ret_time (may be NULL) gets a cosignature's time in s since 1970, else 0. */
int note_verify(const struct note *n, const struct note_key *k, uint64_t *ret_time) must_check;
/* The bytes that a cosigner signs: length, or -ENOSPC. */
int note_cosign_text(const char *text, size_t len, uint64_t time_s, char *out,
		     size_t cap) must_check;
/* The line that carries a signature: length, or -ENOSPC. time_s is left out but by a cosignature.
 */
int note_line(const struct note_key *k, const uint8_t sig[64], uint64_t time_s, char *out,
	      size_t cap) must_check;

/* Adds signature lines to a NUL-terminated note. -EINVAL, and it is as before, when that is no note
 * or too long. */
int note_add(char note[NOTE_MAX], const char *lines) must_check;

/* The three lines; further lines (extensions) are allowed and not kept. -EINVAL. */
int checkpoint_read(const char *text, size_t len, struct checkpoint *ret, struct err *e) must_check;

#endif
