/* SPDX-License-Identifier: Apache-2.0 */
/* signer_file.h - the state file as signer_state.c reads and signer_rewrite.c writes it. */
#ifndef TREATY_SIGNER_FILE_H
#define TREATY_SIGNER_FILE_H

#include "signer_state.h"
#include "signer_table.h"

/* Host byte order: the file never leaves the machine that holds the keys. */
struct record {
	uint32_t tag;  /* RECORD_TAG | kind; RECORD_OLD of a file from before names had a time */
	uint32_t what; /* when, as the name says, seconds since 1970, 0 = it stays; old: the kind */
	uint8_t lineage[SIGN_LINEAGE_LEN];
	uint64_t revision;
	uint8_t digest[32];
	uint8_t chain[32]; /* SHA-256(previous chain || everything before this member) */
};
_Static_assert(sizeof(struct record) == 112, "the file's format");

#define RECORD_TAG 0x53320000u
#define RECORD_OLD 0x54725331u /* "TrS1" */

/* What begins a file that was written anew: it stands for all records before it. In the place of a
 * lineage. */
struct base {
	uint64_t records; /* in this first part, itself included */
	uint64_t heads; /* right behind it: chain hashes of the counts before its own, newest first
			 */
};

struct signer_state {
	int fd;
	bool broken;
	struct base part;
	uint64_t base; /* the count that the first part ends with; 0 = there is none */
	uint64_t here; /* records in the file */
	off_t room;    /* bytes of the file */
	uint8_t head[32];
	uint32_t horizon;
	struct sign_sum total, back;
	struct sign_table table;
};

void record_seal(struct record *r, const uint8_t prev[32]); /* sets its chain */
uint32_t record_kind(const struct record *r);

/* Opens and reads the file as it is. */
int state_open(struct signer_state **ret, const char *path, struct err *e) must_check;
/* So many records are the first part of what state_rewrite() would make. */
uint64_t state_rewritten(const struct signer_state *s);
/* A file beside `path` that holds what *at knows, renamed over it when it is whole and on disk; *at
 * is that one then. 0 also when it was not made: the old one is as good, and the log says why. A
 * negative errno: which of the two a crash would leave is not known. */
int state_rewrite(struct signer_state **at, const char *path, struct err *e) must_check;

#endif
