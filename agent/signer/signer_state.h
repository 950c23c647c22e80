/* SPDX-License-Identifier: Apache-2.0 */
/* signer_state.h - what was signed last, per lineage: an append-only file of chained records. */
#ifndef TREATY_SIGNER_STATE_H
#define TREATY_SIGNER_STATE_H

#include "signer_core.h"

struct signer_state;

/* Opens or makes the file (0600, locked against a second signer). A torn last record is cut off:
 * its signature never left. Any other damage is -EBADMSG, and only a human may go on from there. */
int sstate_open(struct signer_state **ret, const char *path, struct err *e) must_check;
struct signer_state *sstate_free(struct signer_state *s); /* NULL in, NULL out */

/* The last record of a lineage, or zeros. */
struct sign_last sstate_last(const struct signer_state *s, uint32_t kind,
			     const uint8_t lineage[SIGN_LINEAGE_LEN]);
/* What was committed or, by SIGN_STATE_CREDITED, given back: by a lineage or note, with a wallet,
 * in all. record: of the kind that adds it up. */
int64_t sstate_committed(const struct signer_state *s, uint32_t record,
			 const uint8_t lineage[SIGN_LINEAGE_LEN]);
struct sign_sum sstate_wallet(const struct signer_state *s, uint32_t record,
			      const struct sign_commit *c);
struct sign_sum sstate_total(const struct signer_state *s, uint32_t record);

enum { SSTATE_ADD_MAX = 2 };
struct sstate_new {
	uint32_t kind;
	uint8_t lineage[SIGN_LINEAGE_LEN];
	struct sign_last now;
};
/* n records, 1..SSTATE_ADD_MAX, by one write: on disk when it returns 0. A crash leaves all, none,
 * or those before the torn one. After a failure the state refuses everything: what is on disk is
 * then unknown. */
int sstate_add(struct signer_state *s, const struct sstate_new *r, unsigned n,
	       struct err *e) must_check;

uint32_t sstate_lineages(const struct signer_state *s); /* below SIGNER_LINEAGES */
uint64_t sstate_count(const struct signer_state *s);
/* Chain hash after `count` records (0 = zeros). -ERANGE when there are not so many. */
int sstate_head(const struct signer_state *s, uint64_t count, uint8_t ret[32]) must_check;

#endif
