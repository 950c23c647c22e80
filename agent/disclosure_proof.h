/* SPDX-License-Identifier: Apache-2.0 */
/* disclosure_proof.h - for the events of an export that are shown in part: that their salted
 * digests were fixed in the log (log_commit.h). */
#ifndef TREATY_DISCLOSURE_PROOF_H
#define TREATY_DISCLOSURE_PROOF_H

#include <jansson.h>

#include "agent/store/store.h"

struct disclosure_proving {
	struct store *st;
	const uint8_t *key; /* 32 bytes, of the salts */
	const struct store_prover *prover;
	uint64_t size; /* of the tree that the export is about */
	json_t *events;
};

/* Gives each event with "salts" its "committed" {by, path}, where there is one, and *ret (a new
 * array) the LOG_COMMITTED events that they name: seq, leaf, path, body. */
int disclosure_prove(const struct disclosure_proving *p, json_t **ret, struct err *e) must_check;

json_t *disclosure_hash(const struct hash *h); /* base64 */
json_t *disclosure_path(const struct merkle_proof *p);

#endif
