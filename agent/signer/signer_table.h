/* SPDX-License-Identifier: Apache-2.0 */
/* signer_table.h - the signer's memory: what was last signed of each lineage, and the sums. */
#ifndef TREATY_SIGNER_TABLE_H
#define TREATY_SIGNER_TABLE_H

#include "signer_core.h"

struct slot {
	bool used;
	uint16_t kind;
	uint32_t named; /* when, as its name says, seconds since 1970; 0 = it stays */
	uint8_t lineage[SIGN_LINEAGE_LEN];
	struct sign_last last;
	struct sign_sum sum; /* ever: of a lineage, the most that a revision committed */
};

/* Open addressing, at most half full. Zeros: an empty one, before its first table_reserve(). */
struct sign_table {
	struct slot *slot;
	size_t slots;
	uint32_t n;    /* in use */
	uint32_t kept; /* of these, those that stay */
};

void table_free(struct sign_table *t);
/* Room for so many more, the caller's limit being SIGNER_LINEAGES or a few above; what is there
 * moves, and pointers to it end. -ENOMEM. */
int table_reserve(struct sign_table *t, uint32_t more) must_check;
/* NULL: there is none. */
const struct slot *table_find(const struct sign_table *t, uint32_t kind,
			      const uint8_t lineage[SIGN_LINEAGE_LEN]);
/* Found or made; there is room: table_reserve(). One that stayed, because it was written without
 * its time, has one from now on if `named` is not 0. */
struct slot *table_make(struct sign_table *t, uint32_t kind,
			const uint8_t lineage[SIGN_LINEAGE_LEN], uint32_t named);

/* The middle one of all times that names here say; 0 = none says one. -ENOMEM. */
int table_middle(const struct sign_table *t, uint32_t *ret) must_check;
/* What is named before that time goes; pointers to it end, and to what is left. */
void table_forget(struct sign_table *t, uint32_t before);

#endif
