/* SPDX-License-Identifier: Apache-2.0 */
/* signer_state.h - what was signed last, per lineage: an append-only file of chained records. */
#ifndef TREATY_SIGNER_STATE_H
#define TREATY_SIGNER_STATE_H

#include "signer_core.h"

struct signer_state;

/* Opens or makes the file (0600, locked against a second signer). A torn last record is cut off:
 * its signature never left. Any other damage is -EBADMSG, and only a human may go on from there.
 * One that is mostly of what was forgotten is written anew, beside itself. */
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
/* Something was recorded of it. */
bool sstate_knows(const struct signer_state *s, uint32_t kind,
		  const uint8_t lineage[SIGN_LINEAGE_LEN]);

enum { SSTATE_ADD_MAX = 2 };
struct sstate_new {
	uint32_t kind;
	uint32_t named; /* sign_named() of it; 0 = it is never forgotten */
	uint8_t lineage[SIGN_LINEAGE_LEN];
	struct sign_last now;
};
/* n records, 1..SSTATE_ADD_MAX, by one write: on disk when it returns 0. A crash leaves all, none,
 * or those before the torn one. After a failure the state refuses everything: what is on disk is
 * then unknown. */
int sstate_add(struct signer_state *s, const struct sstate_new *r, unsigned n,
	       struct err *e) must_check;

/* Sets the horizon, in seconds since 1970, to `before` or to the middle of all times that names in
 * the table say, whichever is earlier: a clock that was wrong for a while, and names that were made
 * for this, move it no further. What is named before it leaves the table; that it can never be
 * recorded again is the caller's, by sstate_horizon(). *ret_gone: how many. -EACCES: it would not
 * move. On disk when it returns 0; failures as of sstate_add(). */
int sstate_forget(struct signer_state *s, uint32_t before, uint32_t *ret_gone,
		  struct err *e) must_check;
uint32_t sstate_horizon(const struct signer_state *s); /* 0 = none */

uint32_t sstate_lineages(const struct signer_state *s); /* up to SIGNER_LINEAGES */
uint32_t sstate_kept(const struct signer_state *s);     /* of these, what no horizon moves */
uint64_t sstate_count(const struct signer_state *s);
/* So many chain hashes before its begin are in a file that was written anew. What the log has yet
 * to learn is what one turn signs, and each signature costs a sync that a turn's commit has one of:
 * tens of records. */
enum { SSTATE_HEADS = 1024 };
/* Chain hash after `count` records (0 = zeros). -ERANGE when there are not so many, -ESTALE when
 * the file no longer tells. */
int sstate_head(const struct signer_state *s, uint64_t count, uint8_t ret[32]) must_check;

#endif
